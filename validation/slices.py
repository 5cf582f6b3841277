"""Look at the questions by category: a mean that rises must not hide a slice that loses or collapses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from validation.comparison import DEPTHS, PRIMARY
from validation.outcomes import Check, Interval, Outcome
from validation.statistics import adjust_holm, compute_mean

if TYPE_CHECKING:
    from validation.comparison import Comparison
    from validation.policy import Policy, SliceChecks


@dataclass(frozen=True, slots=True)
class SliceResult:
    """How the stores compare on one slice.

    Attributes:
        base_hits, candidate_hits: questions with a relevant passage in the top 5.
        difference: mean paired difference of recall@5.
        interval, loss_p: None where the slice is too small to be tested; `loss_p` is adjusted by Holm over slices.
        loses: a loss is shown; collapsed: the base had enough hits and the candidate has none.
    """

    field: str
    value: str
    n: int
    base_hits: int
    candidate_hits: int
    difference: float
    interval: Interval | None
    loss_p: float | None
    loses: bool
    collapsed: bool


def judge_slices(comparison: Comparison, policy: Policy) -> list[SliceResult]:
    """Test every slice that is large enough for a loss, Holm over these slices, and look at all for a collapse."""
    difference, depth = comparison.subtract(PRIMARY), DEPTHS[PRIMARY]
    base, candidate = (side.ranks.find_hits(depth) for side in (comparison.base, comparison.candidate))
    tested = [found for found in comparison.design.slices if found.bootstrap is not None]
    p_values = [found.bootstrap.compute_loss_p(difference[found.places]) for found in tested if found.bootstrap]
    adjusted = {id(found): p for found, p in zip(tested, adjust_holm(np.array(p_values)).tolist(), strict=True)}
    results = []
    for found in comparison.design.slices:
        values = difference[found.places]
        loss_p = adjusted.get(id(found))
        hits = int(base[found.places].sum()), int(candidate[found.places].sum())
        results.append(
            SliceResult(
                field=found.field,
                value=found.value,
                n=len(found.places),
                base_hits=hits[0],
                candidate_hits=hits[1],
                difference=compute_mean(values),
                interval=found.bootstrap.compute_intervals([values])[0] if found.bootstrap else None,
                loss_p=loss_p,
                loses=loss_p is not None and loss_p <= 1 - policy.statistics.level,
                collapsed=hits[0] >= policy.limits.collapse_hits and hits[1] == 0,
            )
        )
    return results


def check_slices(ids: SliceChecks, slices: list[SliceResult], corpus: str, policy: Policy) -> list[Check]:
    """Return the check of shown losses and that of collapses; without any slice large enough both are ERROR."""
    tested = sum(found.loss_p is not None for found in slices)
    fields = ", ".join(policy.limits.slice_fields)
    nothing = None if tested else f"no slice by {fields} has {policy.limits.slice_min} questions"
    checks = []
    for check_id, hurt, n, what in (
        (ids.loss, [found for found in slices if found.loses], tested, "a loss is shown"),
        (ids.collapse, [found for found in slices if found.collapsed], len(slices), "no hit is left"),
    ):
        names = [f"{each.field}={each.value} ({each.base_hits} → {each.candidate_hits} of {each.n})" for each in hurt]
        outcome = Outcome.FAIL if hurt else Outcome.PASS
        checks.append(
            Check(
                id=check_id,
                subject=corpus,
                outcome=Outcome.ERROR if nothing else outcome,
                observed=len(hurt),
                limit=0,
                n=n,
                detail=nothing or (f"{what} in {', '.join(names)}" if hurt else None),
            )
        )
    return checks
