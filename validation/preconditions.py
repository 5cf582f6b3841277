"""What must hold whatever the stores are: certificate, drill, custody, coverage, and that nothing changed meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validation.catalogue import WHOLE, check_coverage
from validation.certificate import check_certificate, list_bound
from validation.decision import block
from validation.inputs import check_unchanged
from validation.outcomes import Check, Outcome
from validation.releasing.receipt import check_drill, list_drilled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from validation.custody import Survey
    from validation.gate import CorpusFindings, GateRequest
    from validation.inputs import Input
    from validation.policy import Rulebook, Rules


def check_preconditions(
    request: GateRequest, rulebook: Rulebook, rules: Rules, findings: Sequence[CorpusFindings], inputs: Sequence[Input]
) -> list[Check]:
    """Return every check of the judgement as a whole that the rules ask for.

    Args:
        request: what is judged.
        rulebook: the rules with their requirements.
        rules: the way of judging.
        findings: what was found on the corpora.
        inputs: every file that was looked at.
    """
    return list(_check_each(request, rulebook, rules, findings, inputs))


def _check_each(
    request: GateRequest, rulebook: Rulebook, rules: Rules, findings: Sequence[CorpusFindings], inputs: Sequence[Input]
) -> Iterator[Check]:
    if rules.certificate:
        bases = [(found.corpus, found.stores.get("base")) for found in findings]
        bound = list_bound(rulebook, [(corpus, base.manifest if base else None) for corpus, base in bases])
        yield check_certificate(rules.certificate, request.certificate, bound, rulebook.policy)
    if rules.drill:
        yield _check_way_back(rules.drill, request, rules, findings)
    if rules.custody:
        yield check_places(rules.custody, request.custody)
    if rules.coverage:
        declared = [check for found in findings for check, _ in found.declared]
        named = [*declared, *rules.list_whole()]
        yield check_coverage(rules.coverage, rulebook.requirements, rulebook.catalogue, named)
    yield check_unchanged(rules.unchanged, inputs)


def _check_way_back(check_id: str, request: GateRequest, rules: Rules, findings: Sequence[CorpusFindings]) -> Check:
    """Return the check of the drill; a store that breaks a requirement cannot be served, which is then the cause."""
    drilled = list_drilled((store.subject, store.manifest) for found in findings for store in found.stores.values())
    drill, broken = check_drill(check_id, request.drill, drilled), {*rules.vectors, *rules.database}
    executed = (check for found in findings for check in found.executed)
    cause = next((check for check in executed if check.outcome is Outcome.FAIL and check.id in broken), None)
    return block(drill.key, cause) if cause and drill.outcome is not Outcome.PASS else drill


def check_places(check_id: str, survey: Survey | None) -> Check:
    """Check that Git and DVC keep what is theirs; where nobody could look, that is an ERROR."""
    if survey is None:
        return Check(check_id, WHOLE, Outcome.ERROR, limit=0, detail="Git's index could not be read")
    misplaced = survey.misplaced
    return Check(
        id=check_id,
        subject=WHOLE,
        outcome=Outcome.FAIL if misplaced else Outcome.PASS,
        observed=len(misplaced),
        limit=0,
        n=survey.count,
        detail=f"misplaced: {', '.join(each.path for each in misplaced)}" if misplaced else None,
    )
