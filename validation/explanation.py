"""Say what stands behind an interval's outcome: certainty, the nearest other outcome, and what loss is tolerated."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from validation.comparison import DEPTHS
from validation.criteria import find_limit, judge_interval
from validation.outcomes import Outcome
from validation.statistics import compute_mcnemar, compute_mean, compute_tolerated_loss, count_questions_needed

if TYPE_CHECKING:
    from decimal import Decimal

    from validation.comparison import Comparison
    from validation.policy import Criterion, Policy
    from validation.ranks import Positions

EVEN, RARE = 0.5, 0.05


@dataclass(frozen=True, slots=True)
class Explanation:
    """What stands behind a check that an interval of paired differences decides.

    Attributes:
        disagreement: share of questions for which the two stores' values differ.
        flip_p: one-sided sign-flip p-value of "the candidate is better", by cluster.
        mcnemar_p: one-sided mid-p value of the same by McNemar's test on hits; None where the metric is no recall.
        questions_needed: how many questions would decide; None unless inconclusive.
        hits_needed: the fewest further questions answered in full with which the check would pass; None where it
            passes, or where no number would do.
        hits_among: identifiers of these questions, the nearest to an answer first.
        hits_to_spare: how many answers could be lost with the check still passing; None where it does not pass.
        loss_nominal: the loss that the policy accepts; 0 for superiority.
        loss_even, loss_rare: the true losses that pass with a chance of 50 % and of 5 %; negative means a gain.
    """

    disagreement: float
    flip_p: float
    mcnemar_p: float | None
    questions_needed: int | None
    hits_needed: int | None
    hits_among: tuple[str, ...]
    hits_to_spare: int | None
    loss_nominal: float
    loss_even: float
    loss_rare: float


def explain_criterion(criterion: Criterion, comparison: Comparison, flip_p: float, policy: Policy) -> Explanation:
    """Say how certain the outcome of a criterion is, and how far from another one."""
    metric, limit = criterion.metric, find_limit(criterion, policy)
    interval, difference = comparison.intervals[metric], comparison.subtract(metric)
    outcome = judge_interval(interval, limit)
    passed = outcome is Outcome.PASS
    needed = None if passed else count_hits_needed(comparison, metric, limit)
    return Explanation(
        disagreement=float((difference != 0).mean()),
        flip_p=flip_p,
        mcnemar_p=_compare_hits(comparison, metric) if metric in DEPTHS else None,
        questions_needed=count_questions_needed(
            comparison.design.n, interval, compute_mean(difference) - float(limit), policy.statistics.power
        )
        if outcome is Outcome.INCONCLUSIVE
        else None,
        hits_needed=needed,
        hits_among=tuple(_name_questions(comparison, order_misses(comparison, metric)[:needed])) if needed else (),
        hits_to_spare=count_hits_to_spare(comparison, metric, limit) if passed else None,
        loss_nominal=-float(limit),
        loss_even=compute_tolerated_loss(-float(limit), interval, EVEN),
        loss_rare=compute_tolerated_loss(-float(limit), interval, RARE),
    )


def count_hits_needed(comparison: Comparison, metric: str, limit: Decimal) -> int | None:
    """Return the fewest questions, nearest to an answer first, that answered in full would make the check pass."""
    misses = order_misses(comparison, metric)
    found = bisect.bisect_left(
        range(len(misses) + 1),
        x=True,
        key=lambda hits: _would_pass(comparison, metric, limit, misses[:hits], value=1.0),
    )
    return found if found <= len(misses) else None


def count_hits_to_spare(comparison: Comparison, metric: str, limit: Decimal) -> int:
    """Return how many answers, the shakiest first, could be lost altogether with the check still passing."""
    answers = comparison.candidate
    hits = np.flatnonzero(answers.metrics[metric] > 0)
    shakiest = hits[np.lexsort((_name_questions(comparison, hits), -answers.ranks.ranks[hits, 0]))]
    failing = bisect.bisect_left(
        range(len(hits) + 1),
        x=True,
        key=lambda lost: not _would_pass(comparison, metric, limit, shakiest[:lost], value=0.0),
    )
    return failing - 1


def order_misses(comparison: Comparison, metric: str) -> Positions:
    """Return the questions that the candidate does not answer in full, the nearest to an answer first."""
    answers = comparison.candidate
    misses = np.flatnonzero(answers.metrics[metric] < 1)
    order = np.lexsort((_name_questions(comparison, misses), answers.ranks.ranks[misses, 0]))
    ordered: Positions = misses[order]
    return ordered


def _would_pass(comparison: Comparison, metric: str, limit: Decimal, questions: Positions, value: float) -> bool:
    candidate = comparison.candidate.metrics[metric].copy()
    candidate[questions] = value
    intervals = comparison.design.bootstrap.compute_intervals([candidate - comparison.base.metrics[metric]])
    return judge_interval(intervals[0], limit) is Outcome.PASS


def _compare_hits(comparison: Comparison, metric: str) -> float:
    base, candidate = (side.ranks.find_hits(DEPTHS[metric]) for side in (comparison.base, comparison.candidate))
    return compute_mcnemar(int((candidate & ~base).sum()), int((base & ~candidate).sum()))


def _name_questions(comparison: Comparison, places: Positions) -> list[str]:
    questions = comparison.corpus.gold.questions
    return [questions[place].id for place in places.tolist()]
