"""Let the whole gate judge a release with a fault in it, and write down what came out."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from validation.gate import judge
from validation.outcomes import Check, Outcome, Verdict
from validation.record import build_refusal

if TYPE_CHECKING:
    from tests.faults.catalogue import Fault
    from validation.release_case import ReleaseCase

# What refuses a fault before there is anything to judge: a reader, or the boundary of the command line.
READER = "reader"
BOUNDARY = "boundary"


@dataclass(frozen=True, slots=True)
class Observation:
    """A verdict with the checks that did not pass for themselves, or the refusal as one such check."""

    verdict: Verdict
    findings: tuple[Check, ...]
    ledger: tuple[Check, ...] = ()

    def find(self, fault: Fault) -> Check | None:
        """Return the finding that a fault should lead to, whatever its outcome, or None."""
        key = (fault.check, fault.subject)
        return next((found for found in self.findings if found.key == key), None)

    def catches(self, fault: Fault) -> bool:
        """Whether verdict, check, outcome and reason are those of a fault, and nothing else was found but consequences.

        A fault that nothing should be found in, such as an unusual path, is caught when nothing is.
        """
        if fault.outcome is Outcome.PASS:
            return self.verdict is fault.verdict and not self.findings
        found, others = self.find(fault), {check.id for check in self.findings} - {fault.check, *fault.also}
        told = found is not None and found.outcome is fault.outcome and fault.said in f"{found.detail}"
        return self.verdict is fault.verdict and told and not others


def observe(fault: Fault, case: ReleaseCase) -> Observation:
    """Put a fault into a copy of a release, on its primary corpus alone, and judge it by the rules of releasing.

    Certificate and drill are asked for only where the fault brings them.
    """
    assert fault.inject is not None
    with tempfile.TemporaryDirectory(dir=case.folder) as folder, ExitStack() as stack:
        narrowed = replace(case, folder=Path(folder), corpora=case.corpora[:1], gold=case.gold[:1])
        try:
            return judge_case(fault.inject(narrowed, stack))
        except (PipelineError, MemoryError, OSError) as error:
            refusal = build_refusal(error, for_release=True)
            subject = READER if isinstance(error, PipelineError) else BOUNDARY
            found = Check(subject, "", Outcome.ERROR, detail=refusal.reasons[0])
            return Observation(refusal.decision, (found,))


def judge_case(case: ReleaseCase) -> Observation:
    """Judge a case by the rules of releasing, apart from certificate and drill where it has none."""
    # The primary corpus alone does not cover what is required of the others.
    rules = case.rulebook.policy.release.model_copy(update={"coverage": None})
    if case.certificate is None:
        rules = rules.model_copy(update={"certificate": None})
    if case.receipt is None:
        rules = rules.model_copy(update={"drill": None})
    judgement = judge(case.build_request(), case.rulebook, rules, lambda _: None)
    open_checks = (check for check in judgement.ledger if check.outcome is not Outcome.PASS)
    findings = tuple(check for check in open_checks if check.blocked_by is None)
    return Observation(judgement.decision.verdict, findings, tuple(judgement.ledger))
