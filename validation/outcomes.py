"""The words in which evidence is judged: outcomes, intervals, checks and decisions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What a check says.

    INCONCLUSIVE exists only where an interval decides; WAIVED is a FAIL or INCONCLUSIVE that a named person answers
    for, and is never a PASS; ERROR means not evaluated.
    """

    PASS = "PASS"  # noqa: S105 - an outcome, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    WAIVED = "WAIVED"
    ERROR = "ERROR"


class Verdict(StrEnum):
    """What is decided about a candidate."""

    RELEASE = "RELEASE"
    KEEP = "KEEP"
    NOT_EVALUATED = "NOT_EVALUATED"
    HALT = "HALT"

    @property
    def exit_code(self) -> int:
        """The process exit code that stands for this verdict."""
        return {"RELEASE": 0, "KEEP": 20, "NOT_EVALUATED": 30, "HALT": 40}[self.value]


@dataclass(frozen=True, slots=True)
class Interval:
    """A bootstrap confidence interval; both bounds are one-sided at `level`."""

    lower: float
    upper: float
    level: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one subject.

    Attributes:
        id: stable identifier, declared in `expectations/checks.yaml`.
        subject: what was looked at, such as `qlora/fr`.
        observed: what was found; limit: what it was held against; n: on how many items.
        detail: why, when the outcome is not PASS.
        blocked_by: key of the check for want of which this one could not be evaluated.
        reported: False where a declared check did not report at all.
    """

    id: str
    subject: str
    outcome: Outcome
    observed: Any = None
    limit: Any = None
    n: int | None = None
    interval: Interval | None = None
    detail: str | None = None
    blocked_by: tuple[str, str] | None = None
    reported: bool = True

    @property
    def key(self) -> tuple[str, str]:
        """Identifier and subject, by which the ledger knows a check."""
        return (self.id, self.subject)


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with its reasons, the most serious first."""

    verdict: Verdict
    reasons: tuple[str, ...]
