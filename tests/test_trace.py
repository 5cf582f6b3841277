"""From requirement to evidence and back: outcomes, rows and both gaps."""

from __future__ import annotations

import pytest

from tests.records import make_check, make_record, make_requirement
from validation.document import CodeRecord, InputRecord, Record
from validation.outcomes import Outcome, Verdict
from validation.trace import find_stray, find_uncovered, settle_requirements, trace_evidence
from validation.workflow_run import WorkflowRun

pytestmark = pytest.mark.requirement("REQ-TRC-01")

PASS, FAIL, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.ERROR
EVIDENCE = InputRecord(path="reports/decision.json", sha256="e" * 64)


def build(*outcomes: Outcome) -> Record:
    """Return a decision in which checks of these outcomes serve one requirement, and none serves another."""
    checks = [
        make_check(f"CHK10{number}", outcome, requirements=["REQ-ONE-01"], inputs=["policy"], observed=number, limit=7)
        for number, outcome in enumerate(outcomes)
    ]
    stray = make_check("XYZ999", Outcome.ERROR)
    requirements = {"REQ-ONE-01": make_requirement(), "REQ-TWO-01": make_requirement()}
    return make_record(
        Verdict.KEEP,
        *checks,
        stray,
        requirements=requirements,
        inputs={"policy": InputRecord(path="policy.yaml", sha256="a" * 64)},
        code=CodeRecord(revision="c" * 40, sha256="0" * 64),
        run=WorkflowRun(id="17", attempt="2"),
        attempt=3,
    )


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((PASS, PASS), PASS),
        ((PASS, Outcome.WAIVED), Outcome.WAIVED),
        ((Outcome.WAIVED, Outcome.INCONCLUSIVE), Outcome.INCONCLUSIVE),
        ((Outcome.INCONCLUSIVE, FAIL, PASS), FAIL),
        ((FAIL, ERROR, PASS), ERROR),
        ((), ERROR),
    ],
)
def test_a_requirement_is_what_the_worst_of_its_checks_says(outcomes: tuple[Outcome, ...], expected: Outcome) -> None:
    """No good outcome hides a bad one, and what nobody checked is no pass."""
    assert settle_requirements(build(*outcomes)) == {"REQ-ONE-01": expected, "REQ-TWO-01": ERROR}


def test_both_gaps_are_found() -> None:
    """Requirements without a check and checks without a requirement are named."""
    record = build(PASS)

    assert find_uncovered(record) == ["REQ-TWO-01"]
    assert find_stray(record) == ["XYZ999"]


def test_a_row_says_all_that_an_auditor_asks_for() -> None:
    """Every check of a requirement is a row with its inputs' digests, limit, outcome and the evidence for it."""
    first, second = trace_evidence(build(PASS, FAIL), EVIDENCE)

    assert (first.requirement, first.check, first.outcome, first.observed, first.limit) == (
        "REQ-ONE-01", "CHK100", PASS, 0, 7,
    )  # fmt: skip
    assert (second.check, second.outcome) == ("CHK101", FAIL)
    assert first.inputs == {"policy": "a" * 64}
    assert (first.commit, first.run, first.run_attempt, first.attempt) == ("c" * 40, "17", "2", 3)
    assert (first.operator, first.reference, first.bound) == ("=", 0, 0)
    assert first.evidence == EVIDENCE
    assert first.requirement_sha256 == make_requirement().sha256
