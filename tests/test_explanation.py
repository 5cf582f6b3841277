"""What stands behind a criterion's outcome, recomputed the long way: one hit after another."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.answers import HIT, MISS, Rows, alter_policy, make_comparison, make_rows
from validation.criteria import find_limit, judge_interval
from validation.explanation import Explanation, explain_criterion
from validation.outcomes import Interval, Outcome
from validation.policy import Criterion
from validation.statistics import count_questions_needed

if TYPE_CHECKING:
    from validation.comparison import Comparison

POLICY = alter_policy()
FLIP_P = 0.125
SUPERIORITY = Criterion(check="RET301", kind="superiority", metric="recall@5")
METRICS = ["recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10"]


def set_kind(kind: str, metric: str) -> Criterion:
    """Return a criterion of any kind on any metric."""
    return Criterion.model_validate({"check": "RET302", "kind": kind, "metric": metric})


def explain(comparison: Comparison, criterion: Criterion = SUPERIORITY) -> Explanation:
    """Explain a criterion of a comparison."""
    return explain_criterion(criterion, comparison, FLIP_P, POLICY)


def passes(comparison: Comparison, criterion: Criterion, changed: list[str], value: float) -> bool:
    """Whether the criterion would pass if the candidate's value of these questions were another."""
    names = [question.id for question in comparison.corpus.gold.questions]
    candidate = comparison.candidate.metrics[criterion.metric].copy()
    candidate[[names.index(name) for name in changed]] = value
    difference = candidate - comparison.base.metrics[criterion.metric]
    interval = comparison.design.bootstrap.compute_intervals([difference])[0]
    return judge_interval(interval, find_limit(criterion, POLICY)) is Outcome.PASS


def list_misses(comparison: Comparison, metric: str) -> list[str]:
    """Return the questions not answered in full, the nearest first: by the rank of the first passage, then by name."""
    rows = zip(
        comparison.candidate.ranks.ranks[:, 0].tolist(),
        (question.id for question in comparison.corpus.gold.questions),
        comparison.candidate.metrics[metric].tolist(),
        strict=True,
    )
    return [name for _, name, value in sorted(rows) if value < 1]


def list_hits(comparison: Comparison, metric: str) -> list[str]:
    """Return the questions answered at all, the shakiest first: by falling rank of the first passage, then by name."""
    rows = zip(
        (-comparison.candidate.ranks.ranks[:, 0]).tolist(),
        (question.id for question in comparison.corpus.gold.questions),
        comparison.candidate.metrics[metric].tolist(),
        strict=True,
    )
    return [name for _, name, value in sorted(rows) if value > 0]


def count_by_steps(comparison: Comparison, criterion: Criterion) -> tuple[int | None, int | None]:
    """Return how many hits are needed and to spare, trying one more each time."""
    metric = criterion.metric
    misses, hits = list_misses(comparison, metric), list_hits(comparison, metric)
    if not passes(comparison, criterion, [], 1.0):
        needed = (n for n in range(len(misses) + 1) if passes(comparison, criterion, misses[:n], 1.0))
        return next(needed, None), None
    failing = (n for n in range(len(hits) + 1) if not passes(comparison, criterion, hits[:n], 0.0))
    return None, next(failing, len(hits) + 1) - 1


def draw_rows(questions: int, seed: int, shift: float) -> tuple[Rows, Rows]:
    """Return ranks of one to three passages a question, the candidate's lower the larger `shift`."""
    draw = random.Random(seed)  # noqa: S311 - test data
    sizes = [draw.randint(1, 3) for _ in range(questions)]
    sides = [
        [tuple(sorted({1 + int(draw.expovariate(1 / scale)) for _ in range(9)})[:size]) for size in sizes]
        for scale in (25, 25 * shift)
    ]
    return [_fill(row, size) for row, size in zip(sides[0], sizes, strict=True)], [
        _fill(row, size) for row, size in zip(sides[1], sizes, strict=True)
    ]


def _fill(row: tuple[int, ...], size: int) -> tuple[int, ...]:
    return (*row, *range(500, 500 + size - len(row)))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["superiority", "non-inferiority"])
@pytest.mark.parametrize("shift", [0.4, 0.95, 1.1, 2.5], ids="ranks × {}".format)
def test_hits_needed_and_to_spare_are_exact(kind: str, metric: str, shift: float) -> None:
    """With so many further hits the check passes and with one fewer it does not; so many can be lost and no more."""
    base, candidate = draw_rows(120, seed=3, shift=shift)
    comparison, criterion = make_comparison(base, candidate, POLICY), set_kind(kind, metric)
    found = explain(comparison, criterion)
    needed, spare = count_by_steps(comparison, criterion)

    assert (needed is None) != (spare is None)
    assert (found.hits_needed, found.hits_to_spare) == (needed, spare)
    if needed is not None:
        assert found.hits_among == tuple(list_misses(comparison, metric)[:needed])
        assert passes(comparison, criterion, list(found.hits_among), 1.0)
        assert not passes(comparison, criterion, list(found.hits_among[:-1]), 1.0)


def test_hits_are_named_the_nearest_first() -> None:
    """Questions whose passage stands just below the cut come first; names decide between equal ranks."""
    ranks: Rows = [(9,), (6,), (40,), MISS, (6,), (7,), *make_rows((2, (6,)), (12, MISS), (80, HIT))]
    found = explain(make_comparison(make_rows((20, MISS), (80, HIT)), ranks, POLICY))

    assert found.hits_needed == 4
    assert found.hits_among == ("q1", "q4", "q6", "q7")
    wide = make_comparison(make_rows((4, MISS), (96, HIT)), [*ranks[:8], *make_rows((4, MISS), (88, HIT))], POLICY)
    assert explain(wide).hits_among[:9] == ("q1", "q4", "q6", "q7", "q5", "q0", "q2", "q10", "q11")


def test_a_question_that_is_half_answered_can_be_answered_in_full() -> None:
    """A question with one of two passages found is a miss nearer than one whose passage is not found at all."""
    base, candidate = make_rows((50, MISS), (50, HIT)), make_rows((40, (3, 70)), (10, (6, 80)), (50, HIT))
    two: Rows = [(500, 501) if row == MISS else row for row in base]
    found = explain(make_comparison(two, candidate, POLICY), set_kind("non-inferiority", "recall@5"))
    worse = explain(make_comparison([(1, 2)] * 50 + base[50:], candidate, POLICY))

    assert found.hits_needed is None
    assert worse.hits_needed is None
    assert found.hits_to_spare is not None


def test_no_number_of_hits_would_do_where_the_base_is_perfect() -> None:
    """Nothing is better than a base that finds everything, so no number is named, nor any question."""
    comparison = make_comparison(make_rows((100, HIT)), make_rows((30, MISS), (70, HIT)), POLICY)
    found = explain(comparison)

    assert (found.hits_needed, found.hits_among, found.hits_to_spare) == (None, (), None)
    assert explain(comparison, set_kind("non-inferiority", "recall@5")).hits_needed is not None


def test_nothing_is_needed_of_a_candidate_that_cannot_miss_more() -> None:
    """Two perfect stores are inconclusive, with no question left to answer; a gap of nothing needs no number."""
    comparison = make_comparison(make_rows((100, HIT)), make_rows((100, HIT)), POLICY)
    found = explain(comparison)

    assert (found.hits_needed, found.hits_among, found.questions_needed) == (None, (), None)
    assert (found.disagreement, found.loss_even, found.loss_rare) == (0.0, 0.0, 0.0)


def test_every_answer_is_to_spare_where_the_base_has_none() -> None:
    """Against a base that finds nothing a candidate is no worse even without any answer."""
    comparison = make_comparison(make_rows((100, MISS)), make_rows((30, HIT), (70, MISS)), POLICY)

    assert explain(comparison, set_kind("non-inferiority", "recall@5")).hits_to_spare == 30
    assert explain(comparison).hits_to_spare == count_by_steps(comparison, SUPERIORITY)[1]


def test_the_shakiest_answers_are_lost_first() -> None:
    """Losing answers whose passage stands lowest: those that the base has too cost more than those it has not."""
    base = make_rows((30, MISS), (30, HIT), (60, MISS))
    tops = make_comparison(base, make_rows((30, (5,)), (30, HIT), (60, MISS)), POLICY)
    tails = make_comparison(base, make_rows((30, HIT), (30, (5,)), (60, MISS)), POLICY)
    metric = set_kind("superiority", "mrr@10")

    for comparison in (tops, tails):
        for criterion in (SUPERIORITY, metric):
            assert explain(comparison, criterion).hits_to_spare == count_by_steps(comparison, criterion)[1]
    assert list_hits(tops, "recall@5")[:2] == ["q0", "q1"]
    assert list_hits(tails, "recall@5")[:2] == ["q30", "q31"]


OUTCOMES = {
    "shown": (make_rows((40, HIT), (80, MISS)), Outcome.PASS),
    "inside the noise": (make_rows((22, HIT), (98, MISS)), Outcome.INCONCLUSIVE),
    "a loss shown": (make_rows((110, MISS), (10, HIT)), Outcome.FAIL),
}


@pytest.mark.parametrize(("candidate", "outcome"), OUTCOMES.values(), ids=OUTCOMES)
def test_questions_needed_are_told_only_where_more_would_decide(candidate: Rows, outcome: Outcome) -> None:
    """Only an inconclusive check says how many questions would decide the difference at hand."""
    comparison = make_comparison(make_rows((20, HIT), (100, MISS)), candidate, POLICY)
    interval, found = comparison.intervals["recall@5"], explain(comparison)
    gap = float(comparison.subtract("recall@5").mean())

    assert judge_interval(interval, Decimal(0)) is outcome
    if outcome is Outcome.INCONCLUSIVE:
        assert found.questions_needed == count_questions_needed(120, interval, gap, POLICY.statistics.power)
        assert (found.questions_needed or 0) > 120
    else:
        assert found.questions_needed is None
    assert (found.hits_needed is None) == (outcome is Outcome.PASS)
    assert (found.hits_to_spare is None) == (outcome is not Outcome.PASS)


def test_questions_needed_are_counted_from_the_limit() -> None:
    """A slight loss is near to the margin and far from a gain: more questions decide the one than the other."""
    base, candidate = make_rows((20, HIT), (100, MISS)), make_rows((5, MISS), (18, HIT), (97, MISS))
    comparison = make_comparison(base, candidate, POLICY)
    interval, power = comparison.intervals["recall@10"], POLICY.statistics.power
    gaps = {"non-inferiority": 0.03 - 2 / 120, "superiority": -2 / 120}

    for kind, gap in gaps.items():
        found = explain(comparison, set_kind(kind, "recall@10"))
        assert found.hits_needed is not None
        assert found.questions_needed == count_questions_needed(120, interval, gap, power)


@pytest.mark.parametrize("metric", METRICS)
def test_mcnemar_is_told_of_recalls_only(metric: str) -> None:
    """Hits gained and lost at the metric's own depth; a metric that is no hit or miss has no such test."""
    base = make_rows((9, (2,)), (3, HIT), (4, (30,)), (104, MISS))
    candidate = make_rows((9, HIT), (3, (4,)), (4, (8,)), (104, MISS))
    found = explain(make_comparison(base, candidate, POLICY), set_kind("superiority", metric)).mcnemar_p
    tables = {"recall@1": (9, 3), "recall@5": (0, 0), "recall@10": (4, 0)}

    if metric in tables:
        gained, lost = tables[metric]
        exact = scipy.stats.binom(gained + lost, 0.5)
        assert found == pytest.approx(exact.sf(gained) + exact.pmf(gained) / 2, abs=1e-12)
    else:
        assert found is None


@pytest.mark.parametrize(
    ("metric", "expected"), [("recall@1", 0.3), ("recall@5", 0.0), ("mrr@10", 0.4), ("ndcg@10", 0.4)]
)
def test_disagreement_is_the_share_of_questions_that_differ(metric: str, expected: float) -> None:
    """A question counts when its value changes, whichever way and by however much."""
    base = make_rows((20, HIT), (10, (2,)), (10, (9,)), (60, MISS))
    candidate = make_rows((20, (3,)), (10, HIT), (10, (8,)), (60, MISS))
    found = explain(make_comparison(base, candidate, POLICY), set_kind("superiority", metric))

    assert found.disagreement == pytest.approx(expected, abs=1e-15)
    assert found.flip_p == FLIP_P


@pytest.mark.parametrize(("kind", "margin"), [("superiority", 0.0), ("non-inferiority", 0.03)])
def test_tolerances_follow_from_margin_and_spread(kind: str, margin: float) -> None:
    """The nominal loss is the margin; what passes half the time is one z less, and 1 in 20 times the margin itself."""
    comparison = make_comparison(make_rows((40, HIT), (80, MISS)), make_rows((6, MISS), (40, HIT), (74, MISS)), POLICY)
    error = comparison.intervals["recall@10"].standard_error
    found = explain(comparison, set_kind(kind, "recall@10"))

    assert error > 0.01
    assert found.loss_nominal == margin
    assert found.loss_even == pytest.approx(margin - 1.6448536269514722 * error, abs=1e-12)
    assert found.loss_rare == pytest.approx(margin, abs=1e-12)


def test_the_given_interval_is_explained() -> None:
    """Outcome and tolerances are those of the interval that the check was judged by."""
    comparison = make_comparison(make_rows((20, HIT), (100, MISS)), make_rows((40, HIT), (80, MISS)), POLICY)
    other = replace(comparison, intervals={"recall@5": Interval(-0.1, -0.01, 0.95, 0.2)})

    assert explain(comparison).hits_to_spare is not None
    assert explain(other).hits_to_spare is None
    assert explain(other).loss_even == pytest.approx(-1.6448536269514722 * 0.2, abs=1e-12)


draw_row = st.sampled_from([HIT, (2,), (5,), (6,), (11,), (40,), MISS])


@given(rows=st.lists(st.tuples(draw_row, draw_row), min_size=5, max_size=30), metric=st.sampled_from(METRICS))
@settings(max_examples=25, deadline=None)
def test_counts_are_exact_for_any_answers(rows: list[tuple[Any, Any]], metric: str) -> None:
    """Whatever the ranks, both numbers are those of trying one hit after another."""
    comparison = make_comparison([row[0] for row in rows], [row[1] for row in rows], POLICY)
    for kind in ("superiority", "non-inferiority"):
        criterion = set_kind(kind, metric)
        found = explain(comparison, criterion)

        assert (found.hits_needed, found.hits_to_spare) == count_by_steps(comparison, criterion)
