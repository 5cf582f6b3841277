"""Apply waivers: a check that did not pass, for which a named person answers until a day, is WAIVED and never PASS."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from validation.outcomes import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from validation.policy import Waiver

COVERED = (Outcome.FAIL, Outcome.INCONCLUSIVE)


def apply_waivers(ledger: Sequence[Check], waivers: Sequence[Waiver], as_of: date) -> list[Check]:
    """Return the ledger with each check that an unexpired waiver covers turned into WAIVED.

    A waiver covers FAIL and INCONCLUSIVE, never ERROR: missing evidence cannot be answered for. An expired one leaves
    the check as it is and is named in its detail. One that names no check of the ledger is itself an ERROR.
    """
    by_key = {waiver.key: waiver for waiver in waivers}
    judged = {check.key for check in ledger}
    strays = [
        Check(*waiver.key, Outcome.ERROR, detail=f"{waiver.id} waives a check that is not judged")
        for waiver in waivers
        if waiver.key not in judged
    ]
    return [_apply(check, by_key.get(check.key), as_of) for check in ledger] + strays


def describe_waiver(waiver: Waiver, ledger: Sequence[Check], as_of: date) -> dict[str, str]:
    """Return a waiver with what became of it: `applied`, `expired` or `unused`."""
    applied = any(check.key == waiver.key and check.outcome is Outcome.WAIVED for check in ledger)
    state = "applied" if applied else "expired" if waiver.expires < as_of else "unused"
    return {**waiver.model_dump(mode="json"), "state": state}


def _apply(check: Check, waiver: Waiver | None, as_of: date) -> Check:
    if waiver is None or check.outcome not in COVERED:
        return check
    if waiver.expires < as_of:
        return replace(check, detail=f"{check.detail}; {waiver.id} expired on {waiver.expires}")
    said = f"{check.outcome.value}, {check.detail}; {waiver.owner} answers for it until {waiver.expires} ({waiver.id})"
    return replace(check, outcome=Outcome.WAIVED, detail=said)
