"""The words of judgement."""

from __future__ import annotations

import pytest

from validation.outcomes import Verdict


@pytest.mark.parametrize(
    ("verdict", "code"),
    [(Verdict.RELEASE, 0), (Verdict.KEEP, 20), (Verdict.NOT_EVALUATED, 30), (Verdict.HALT, 40)],
    ids=[verdict.value for verdict in Verdict],
)
def test_each_verdict_has_its_exit_code(verdict: Verdict, code: int) -> None:
    """A verdict is told apart by the exit code alone, and none shares one with a crash, wrong usage or a time-out."""
    assert verdict.exit_code == code
    assert code not in {1, 2, 124, 137}
