"""What the gate was certified for: `certificate.json`, its digest bindings, and the check that it still holds."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from scipy.stats import binom

from pipeline.documents import Strict
from pipeline.files import compute_sha256
from pipeline.params import PROJECT_ROOT
from validation.evidence import PARTS
from validation.inputs import list_texts
from validation.outcomes import Check, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.store import Manifest
    from validation.evidence import CorpusEvidence
    from validation.policy import Policy, Rulebook

ROOMS = ("pipeline", "validation")
CERTIFICATE = "certificate.json"

Count = Annotated[int, Field(ge=0)]


class Finding(Strict):
    """A check that did not pass, apart from those that were merely blocked by another one."""

    check: str
    subject: str
    outcome: Outcome


class Trial(Strict):
    """One release judged by the whole gate: what had to come out, and what did.

    `tolerated` names checks that may fail as well, as a consequence.
    """

    id: str
    title: str
    expected: Verdict
    expected_findings: list[Finding]
    tolerated: list[str]
    observed: Verdict
    observed_findings: list[Finding]

    @property
    def holds(self) -> bool:
        """Whether the decision was the right one for the right reason, and for no other one than is tolerated."""
        others = [found.check for found in self.observed_findings if found not in self.expected_findings]
        missing = [found for found in self.expected_findings if found not in self.observed_findings]
        return self.observed is self.expected and not missing and set(others) <= set(self.tolerated)


class NullRuns(Strict):
    """How often a candidate that does not differ from its base, but for noise, was released."""

    id: str
    title: str
    runs: Count
    releases: Count
    disagreement: float


class Certificate(Strict):
    """All of `certificate.json`."""

    schema_version: Annotated[int, Field(ge=1, le=1)]
    bound_to: dict[str, str]
    trials: list[Trial]
    null_runs: list[NullRuns]


def compute_code_digest() -> str:
    """Return one SHA-256 over the name and content of every source file of `pipeline` and `validation`."""
    total = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (PROJECT_ROOT / room).rglob("*.py")):
        total.update(f"{compute_sha256(path)}  {path.relative_to(PROJECT_ROOT).as_posix()}\n".encode())
    return total.hexdigest()


def list_bound(rulebook: Rulebook, evidence: Sequence[tuple[CorpusEvidence, Manifest | None]]) -> dict[str, str]:
    """Return the digests that a certificate is bound to: rules, code, gold sets and base stores."""
    bound = {name: digest for name, (_, digest) in rulebook.digests.items()}
    bound["code"] = compute_code_digest()
    for corpus, base in evidence:
        bound |= {text.name: text.sha256 for text in list_texts(corpus)}
        if base is not None:
            bound |= list_digests(f"base/{corpus.name}", base)
    return bound


def list_digests(subject: str, manifest: Manifest) -> dict[str, str]:
    """Return the digests of a store's files, by `role/corpus/part`."""
    return {f"{subject}/{part}": getattr(manifest.files, part).sha256 for part in PARTS}


def find_change(bound: dict[str, str], found: dict[str, str]) -> str | None:
    """Return the first name to which two bindings give different digests, with how many more there are, or None."""
    changed = sorted(name for name in {*bound, *found} if bound.get(name) != found.get(name))
    return changed[0] + (f" (and {len(changed) - 1} more)" if changed[1:] else "") if changed else None


def check_certificate(check_id: str, certificate: Certificate | None, bound: dict[str, str], policy: Policy) -> Check:
    """Check that the gate was certified as it is now, and that it did not fail; anything else is an ERROR."""
    fault = "the gate was not certified" if certificate is None else find_fault(certificate, bound, policy)
    return Check(
        id=check_id,
        subject="gate",
        outcome=Outcome.ERROR if fault else Outcome.PASS,
        observed=sum(trial.holds for trial in certificate.trials) if certificate else None,
        limit=len(certificate.trials) if certificate else None,
        n=sum(null.runs for null in certificate.null_runs) if certificate else None,
        detail=fault,
    )


def find_fault(certificate: Certificate, bound: dict[str, str], policy: Policy) -> str | None:
    """Return why a certificate does not vouch for what is judged with, or None."""
    changed = find_change(bound, certificate.bound_to)
    if changed:
        return f"certified with another {changed}"
    missed = [trial.id for trial in certificate.trials if not trial.holds]
    if missed:
        return f"the gate did not decide rightly on {', '.join(missed)}"
    wanted = policy.certification
    if len(certificate.trials) < wanted.trials:
        return f"{len(certificate.trials)} trials, the policy asks for {wanted.trials}"
    if min((null.runs for null in certificate.null_runs), default=0) < wanted.runs:
        return f"expected {wanted.runs} runs of each null"
    loose = [null.id for null in certificate.null_runs if null.releases > count_allowed(null.runs, policy)]
    return f"false releases above the level in {', '.join(loose)}" if loose else None


def count_allowed(runs: int, policy: Policy) -> int:
    """Return the most false releases in `runs` that a gate of the stated level would still bring about.

    It is exceeded with a probability of at most `certification.significance` (binomial).
    """
    return int(binom.ppf(1 - policy.certification.significance, runs, 1 - policy.statistics.level))
