"""The verdict: a pure function of declared and executed checks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from validation.outcomes import Check, Decision, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Key = tuple[str, str]
INTEGRITY = "INT"


def complete_ledger(declared: Iterable[Key], executed: Sequence[Check]) -> list[Check]:
    """Return one check for every declared one, in declared order; what did not report exactly once is an ERROR.

    Where an integrity check (`INT…`) of the same subject did not pass, the missing check names it as the cause.
    """
    declared = list(declared)
    counts = Counter(check.key for check in executed)
    by_key = {check.key: check for check in executed}
    causes = sorted(filter(_is_open_integrity, executed), key=lambda check: check.key)
    ledger = [_settle(key, counts[key], by_key, causes) for key in declared]
    known = set(declared)
    ledger += [
        Check(check.id, check.subject, Outcome.ERROR, detail="reported without being declared", reported=False)
        for check in executed
        if check.key not in known
    ]
    return ledger


def _settle(key: Key, count: int, by_key: dict[Key, Check], causes: list[Check]) -> Check:
    if count == 1:
        return by_key[key]
    cause = next((check for check in causes if _concerns(check, key)), None)
    if count == 0 and cause is not None:
        return block(key, cause)
    told = "did not report" if count == 0 else f"reported {count} times"
    return Check(*key, Outcome.ERROR, detail=told, reported=False)


def block(key: Key, cause: Check) -> Check:
    """Return the check that could not be evaluated because another one did not pass."""
    detail = f"not evaluated, because {cause.id} {cause.subject} did not pass"
    return Check(*key, Outcome.ERROR, detail=detail, blocked_by=cause.key)


def _is_open_integrity(check: Check) -> bool:
    return check.id.startswith(INTEGRITY) and check.outcome is not Outcome.PASS


def _concerns(check: Check, key: Key) -> bool:
    """Whether a check of a store concerns the subject of `key`: the store itself, a part of it, or its corpus."""
    subject = key[1]
    return f"{subject}/".startswith(f"{check.subject}/") or check.subject.endswith(f"/{subject}")


def decide(ledger: Sequence[Check], *, protects_base: bool) -> Decision:
    """Decide from a complete ledger.

    A base store that does not hold is HALT when it is the fallback (`protects_base`); a check of it that did not report
    says nothing against it. Else any ERROR that is not
    merely the consequence of a FAIL, and an empty ledger, are NOT_EVALUATED; any FAIL or INCONCLUSIVE is KEEP; only
    a ledger in which every check passed, or is waived and named as such, is RELEASE.
    """
    waived = [check for check in ledger if check.outcome is Outcome.WAIVED]
    open_checks = [check for check in ledger if check.outcome not in {Outcome.PASS, Outcome.WAIVED}]
    failed = {check.key for check in ledger if check.outcome is Outcome.FAIL}
    base = [check for check in open_checks if _concerns_base(check) and check.reported]
    errors = [check for check in open_checks if check.outcome is Outcome.ERROR and check.blocked_by not in failed]
    if protects_base and base:
        return Decision(Verdict.HALT, _list_reasons(base))
    if not ledger or errors:
        return Decision(Verdict.NOT_EVALUATED, _list_reasons(errors) or ("no check was declared",))
    if open_checks:
        return Decision(Verdict.KEEP, _list_reasons(open_checks))
    passed = len(ledger) - len(waived)
    return Decision(Verdict.RELEASE, (describe_release(passed, len(waived)), *_list_reasons(waived)))


def describe_release(passed: int, waived: int) -> str:
    """Return the first reason of a RELEASE."""
    return f"{passed} checks passed, {waived} waived" if waived else f"all {passed} required checks passed"


def describe_reason(check_id: str, subject: str, outcome: Outcome, detail: str | None) -> str:
    """Return the reason that a check gives for a decision."""
    return f"{check_id} {subject}: {outcome.value}, {detail}"


def _concerns_base(check: Check) -> bool:
    return check.subject.startswith("base/")


def _list_reasons(checks: Sequence[Check]) -> tuple[str, ...]:
    """Return the reasons, the most serious first and, among equals, integrity, from which others may follow."""
    order = [Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.WAIVED]
    causes = [check for check in checks if check.blocked_by is None] or checks
    ranked = sorted(causes, key=lambda check: (order.index(check.outcome), not check.id.startswith(INTEGRITY)))
    return tuple(describe_reason(check.id, check.subject, check.outcome, check.detail) for check in ranked)
