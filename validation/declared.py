"""Which checks must report, before anything is looked at: what was declared and stays silent is not evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validation.comparison import find_slices
from validation.stores import ROLES, CorpusRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validation.decision import Key
    from validation.evidence import CorpusEvidence
    from validation.gate import GateRequest
    from validation.policy import Criterion, Policy, Rules


def declare_checks(
    corpus: CorpusEvidence, request: CorpusRequest, whole: GateRequest, policy: Policy, rules: Rules
) -> Iterator[Key]:
    """List every check that must report for a corpus; an optional one only where its evidence is given."""
    name, left_out = corpus.name, _list_left_out(corpus, whole, policy, rules)
    vectors = [*rules.vectors, *({rules.canary} - left_out)]
    yield from ((check, name) for check in rules.corpus)
    for role in ROLES:
        subject = f"{role}/{name}"
        yield from ((check, subject) for check in rules.integrity if check != "INT104")
        yield from ((check, f"{subject}/{part}") for part in ("passages", "questions") for check in vectors)
        yield from ((check, subject) for check in rules.database)
    if "INT104" in rules.integrity:
        yield ("INT104", name)
    ids = [criterion.check for criterion in list_criteria(request, rules)]
    ids += [rules.floor] if request.primary and rules.floor else []
    ids += [rules.slices.loss, rules.slices.collapse, *rules.latency.values(), rules.leak]
    yield from ((check, name) for check in ids if check not in left_out)


def _list_left_out(corpus: CorpusEvidence, whole: GateRequest, policy: Policy, rules: Rules) -> set[str]:
    limits = policy.limits
    sizes = [len(places) for places in find_slices(corpus, limits.slice_fields).values()]
    missing = set() if whole.training else {rules.leak}
    missing |= set() if whole.canaries else {rules.canary}
    missing |= set() if max(sizes, default=0) >= limits.slice_min else {rules.slices.loss, rules.slices.collapse}
    return missing & set(rules.optional)


def list_criteria(request: CorpusRequest, rules: Rules) -> list[Criterion]:
    """Return the criteria of a corpus: the primary one carries superiority, every other must not be worse."""
    return rules.primary if request.primary else rules.secondary


def list_retrieval_keys(request: CorpusRequest, rules: Rules, declared: list[Key]) -> list[Key]:
    """Return the declared checks that need both stores' answers."""
    ids = {criterion.check for criterion in list_criteria(request, rules)}
    ids |= {rules.slices.loss, rules.slices.collapse} | ({rules.floor} if rules.floor else set())
    return [key for key in declared if key[0] in ids]
