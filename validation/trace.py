"""From requirement to evidence and back: what the checks of each requirement said, and what nothing covers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.documents import Strict
from pipeline.store import Digest
from validation.document import InputRecord
from validation.outcomes import Interval, Outcome
from validation.requirements import Bound, Reference

if TYPE_CHECKING:
    from validation.document import CheckRecord, Record

# What decides about a requirement whose checks disagree: the first of these that occurs.
WORST_FIRST = (Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.WAIVED, Outcome.PASS)


class TraceRow(Strict):
    """One requirement, one check that serves it on one subject, and the evidence for its outcome.

    `limit` is what was observed held against, `reference` and `bound` where the requirement takes its limit from;
    `inputs` gives the SHA-256 of every file that the check looked at, by its name in the decision.
    """

    requirement: str
    requirement_sha256: Digest
    commit: str | None
    check: str
    subject: str
    inputs: dict[str, Digest]
    observed: Any
    operator: str
    limit: Any
    reference: Reference
    bound: Bound
    unit: str | None
    n: int | None
    interval: Interval | None
    outcome: Outcome
    evidence: InputRecord
    run: str | None
    run_attempt: str | None
    attempt: int | None
    clauses: list[str]


def settle_requirements(record: Record) -> dict[str, Outcome]:
    """Return what became of every requirement: the worst of its checks, and an ERROR where there is none."""
    return {name: _find_worst(list_checks(record, name)) for name in record.requirements}


def _find_worst(checks: list[CheckRecord]) -> Outcome:
    outcomes = {check.outcome for check in checks}
    return next((outcome for outcome in WORST_FIRST if outcome in outcomes), Outcome.ERROR)


def list_checks(record: Record, requirement: str) -> list[CheckRecord]:
    """Return the checks that serve a requirement, in the order of the decision."""
    return [check for check in record.checks if requirement in check.requirements]


def find_uncovered(record: Record) -> list[str]:
    """Return the requirements that no check of the decision serves."""
    return [name for name in record.requirements if not list_checks(record, name)]


def find_stray(record: Record) -> list[str]:
    """Return the checks that serve no requirement of the decision, each once."""
    stray = (check.id for check in record.checks if not {*check.requirements} & {*record.requirements})
    return list(dict.fromkeys(stray))


def trace_evidence(record: Record, evidence: InputRecord) -> list[TraceRow]:
    """Return the trace matrix, in the order of the requirements.

    Args:
        record: the decision.
        evidence: path and digest of the document that says it.
    """
    return [
        TraceRow(
            requirement=name,
            requirement_sha256=requirement.sha256,
            commit=record.code.revision,
            check=check.id,
            subject=check.subject,
            inputs={each: record.inputs[each].sha256 for each in check.inputs},
            observed=check.observed,
            operator=requirement.operator,
            limit=check.limit,
            reference=requirement.limit,
            bound=requirement.bound,
            unit=check.unit,
            n=check.n,
            interval=check.interval,
            outcome=check.outcome,
            evidence=evidence,
            run=record.run.id if record.run else None,
            run_attempt=record.run.attempt if record.run else None,
            attempt=record.attempt,
            clauses=requirement.clauses,
        )
        for name, requirement in record.requirements.items()
        for check in list_checks(record, name)
    ]
