"""The words of judgement."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from validation.outcomes import Check, Outcome, Verdict


@pytest.mark.parametrize(
    ("verdict", "code"),
    [(Verdict.RELEASE, 0), (Verdict.KEEP, 20), (Verdict.NOT_EVALUATED, 30), (Verdict.HALT, 40)],
    ids=[verdict.value for verdict in Verdict],
)
def test_each_verdict_has_its_exit_code(verdict: Verdict, code: int) -> None:
    """A verdict is told apart by the exit code alone, and none shares one with a crash, wrong usage or a time-out."""
    assert verdict.exit_code == code
    assert code not in {1, 2, 124, 137}


def test_a_waived_check_has_an_outcome_of_its_own() -> None:
    """Five outcomes are told apart, and none is another by name."""
    assert [outcome.value for outcome in Outcome] == ["PASS", "FAIL", "INCONCLUSIVE", "WAIVED", "ERROR"]


def test_a_check_is_known_by_id_and_subject_and_stays_as_reported() -> None:
    """The key leaves out what was found; what was reported cannot be changed afterwards; nothing hides a report."""
    check = Check("RET301", "fr", Outcome.PASS, observed=0.25)

    assert check.key == ("RET301", "fr")
    assert (check.reported, check.blocked_by, check.detail) == (True, None, None)
    with pytest.raises(FrozenInstanceError):
        check.outcome = Outcome.FAIL  # type: ignore[misc]
