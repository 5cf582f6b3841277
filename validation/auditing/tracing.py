"""The trace matrix and the completion report of a decision, as documents of an audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validation.auditing.clauses import list_clauses
from validation.auditing.documents import CompletionReport, RequirementState, TestCounts, TraceMatrix
from validation.completion import build_completion
from validation.requirements import Wording
from validation.trace import find_stray, find_uncovered, settle_requirements, trace_evidence

if TYPE_CHECKING:
    from validation.auditing.case import Case
    from validation.tested import TestedRequirements

MATRIX = Wording(fr="Matrice de traçabilité", en="Trace matrix")
COMPLETION = Wording(fr="Rapport de clôture des tests", en="Test completion report")


def build_trace_matrix(case: Case) -> TraceMatrix:
    """Return every requirement with what became of it, every row of evidence, and the gaps in both directions."""
    settled = settle_requirements(case.record)
    tested, evidence = case.tests or (None, None)
    return TraceMatrix(
        document="trace-matrix",
        title=MATRIX,
        basis=case.basis,
        evidence_mapped_to=list_clauses("trace-matrix"),
        tests=evidence,
        requirements=[
            RequirementState(
                requirement=name,
                statement=each.statement,
                sha256=each.sha256,
                outcome=settled[name],
                tests=_count_tests(tested, name) if tested else None,
            )
            for name, each in case.record.requirements.items()
        ],
        rows=trace_evidence(case.record, case.decision),
        uncovered=find_uncovered(case.record),
        stray=find_stray(case.record),
    )


def _count_tests(tested: TestedRequirements, requirement: str) -> TestCounts:
    outcomes = list(tested.requirements.get(requirement, {}).values())
    return TestCounts(
        passed=outcomes.count("passed"), failed=outcomes.count("failed"), skipped=outcomes.count("skipped")
    )


def build_completion_report(case: Case) -> CompletionReport:
    """Return the nine parts, each with at least one statement."""
    return CompletionReport(
        document="completion-report",
        title=COMPLETION,
        basis=case.basis,
        evidence_mapped_to=list_clauses("completion-report"),
        completion=build_completion(case.record),
    )
