"""Turn each criterion of the policy into a check."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from validation.comparison import DEPTHS, PRIMARY
from validation.declared import list_criteria
from validation.outcomes import Check, Interval, Outcome
from validation.slices import check_slices
from validation.statistics import compute_mean

if TYPE_CHECKING:
    from validation.comparison import Comparison
    from validation.decision import Key
    from validation.policy import Criterion, Policy, Rules
    from validation.slices import SliceResult
    from validation.stores import CorpusRequest


def check_answers(
    comparison: Comparison,
    slices: list[SliceResult],
    request: CorpusRequest,
    policy: Policy,
    rules: Rules,
    declared: list[Key],
) -> list[Check]:
    """Return every declared check that needs nothing but both stores' answers."""
    checks = [check_criterion(criterion, comparison, policy) for criterion in list_criteria(request, rules)]
    if request.primary and rules.floor:
        checks.append(check_floor(rules.floor, comparison, policy.limits.recall_floor))
    checks += check_slices(rules.slices, slices, comparison.corpus.name, policy)
    return [check for check in checks if check.key in declared]


def check_criterion(criterion: Criterion, comparison: Comparison, policy: Policy) -> Check:
    """Judge one metric by its interval.

    Superiority passes when the lower bound lies above 0, non-inferiority when it lies above minus the margin. An
    upper bound below the same limit is a FAIL; an interval that straddles it is INCONCLUSIVE. A gold set smaller than
    the policy's minimum is an ERROR: it cannot decide anything.
    """
    limit = find_limit(criterion, policy)
    interval = comparison.intervals[criterion.metric]
    outcome = judge_interval(interval, limit)
    detail = None if outcome is Outcome.PASS else _describe_bounds(criterion, interval, limit)
    too_few = describe_shortage(comparison, policy)
    return Check(
        id=criterion.check,
        subject=comparison.corpus.name,
        outcome=Outcome.ERROR if too_few else outcome,
        observed=compute_mean(comparison.subtract(criterion.metric)),
        limit=float(limit),
        n=comparison.design.n,
        interval=interval,
        detail=too_few or detail,
    )


def find_limit(criterion: Criterion, policy: Policy) -> Decimal:
    """Return what the lower bound must exceed: 0 for superiority, else minus the margin."""
    return Decimal(0) if criterion.kind == "superiority" else -policy.limits.margins[criterion.metric]


def describe_shortage(comparison: Comparison, policy: Policy) -> str | None:
    """Return why a gold set is too small to decide anything, or None."""
    least, found = policy.limits.questions_min, comparison.design.n
    return f"{found} questions, the policy asks for at least {least}" if found < least else None


def judge_interval(interval: Interval, limit: Decimal) -> Outcome:
    """Return PASS above the limit, FAIL below it, INCONCLUSIVE across it.

    Bounds are compared as the decimals that they are written as: the float -0.03 lies above -3/100, the bound does not.
    """
    if Decimal(str(interval.lower)) > limit:
        return Outcome.PASS
    return Outcome.FAIL if Decimal(str(interval.upper)) < limit else Outcome.INCONCLUSIVE


def check_floor(check_id: str, comparison: Comparison, floor: Decimal) -> Check:
    """Hold the candidate's recall@5 against the floor in exact fractions."""
    recall = comparison.candidate.ranks.compute_recall_exact(DEPTHS[PRIMARY])
    lacking = math.ceil((Fraction(floor) - recall) * comparison.design.n)
    low = f"{PRIMARY} {float(recall):.4f} is below the floor {floor}; {lacking} more questions in full would reach it"
    return Check(
        id=check_id,
        subject=comparison.corpus.name,
        outcome=Outcome.FAIL if recall < Fraction(floor) else Outcome.PASS,
        observed=float(recall),
        limit=float(floor),
        n=comparison.design.n,
        detail=low if recall < Fraction(floor) else None,
    )


def _describe_bounds(criterion: Criterion, interval: Interval, limit: Decimal) -> str:
    bounds = f"[{interval.lower:+.4f}, {interval.upper:+.4f}]"
    return f"{criterion.metric}: the {interval.level:.0%} bounds {bounds} do not lie above {limit}"
