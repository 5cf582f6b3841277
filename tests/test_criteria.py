"""Criteria: what an interval, a limit and the size of the gold set make of a candidate."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.answers import HIT, MISS, Rows, alter_policy, load_policy, make_comparison, make_rows
from validation.criteria import check_criterion, check_floor, describe_shortage, find_limit, judge_interval
from validation.outcomes import Interval, Outcome
from validation.policy import Criterion
from validation.statistics import Bootstrap

if TYPE_CHECKING:
    from validation.comparison import Comparison

pytestmark = pytest.mark.requirement("REQ-RET-01", "REQ-RET-02", "REQ-RET-03", "REQ-RET-04")

POLICY = alter_policy()
SUPERIORITY = Criterion(check="RET301", kind="superiority", metric="recall@5")
NON_INFERIORITY = Criterion(check="RET303", kind="non-inferiority", metric="recall@10")
OUTCOMES = [Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL]


def compare_hits(base: int, candidate: int, n: int = 200) -> Comparison:
    """Compare two stores that find the passage of the first so many questions at once, the others never."""
    sides = [make_rows((hits, HIT), (n - hits, MISS)) for hits in (base, candidate)]
    return make_comparison(sides[0], sides[1], POLICY)


def set_interval(lower: float, upper: float, n: int = 200) -> Comparison:
    """Return a comparison all of whose intervals are the given one."""
    comparison = compare_hits(50, 60, n)
    intervals = dict.fromkeys(comparison.intervals, Interval(lower, upper, 0.95, 0.01))
    return replace(comparison, intervals=intervals)


def step(value: float, direction: float) -> float:
    """Return the next float from `value` upwards (+1) or downwards (-1)."""
    return math.nextafter(value, direction * math.inf)


SUPERIORITY_ROWS = {
    "gain shown": (0.01, 0.08, Outcome.PASS),
    "just above 0": (step(0.0, 1), 0.08, Outcome.PASS),
    "lower bound at 0": (0.0, 0.08, Outcome.INCONCLUSIVE),
    "straddles": (-0.01, 0.08, Outcome.INCONCLUSIVE),
    "no difference": (0.0, 0.0, Outcome.INCONCLUSIVE),
    "upper bound at 0": (-0.08, 0.0, Outcome.INCONCLUSIVE),
    "just below 0": (-0.08, step(0.0, -1), Outcome.FAIL),
    "loss shown": (-0.08, -0.01, Outcome.FAIL),
}
NON_INFERIORITY_ROWS = {
    "gain": (0.01, 0.08, Outcome.PASS),
    "loss within the margin": (-0.02, -0.01, Outcome.PASS),
    "just above the margin": (step(-0.03, 1), 0.02, Outcome.PASS),
    "lower bound at the margin": (-0.03, 0.02, Outcome.INCONCLUSIVE),
    "straddles": (-0.04, 0.02, Outcome.INCONCLUSIVE),
    "upper bound at the margin": (-0.08, -0.03, Outcome.INCONCLUSIVE),
    "just below the margin": (-0.08, step(-0.03, -1), Outcome.FAIL),
    "loss beyond the margin": (-0.08, -0.05, Outcome.FAIL),
}


@pytest.mark.parametrize(("lower", "upper", "expected"), SUPERIORITY_ROWS.values(), ids=SUPERIORITY_ROWS)
def test_superiority_needs_a_lower_bound_above_zero(lower: float, upper: float, expected: Outcome) -> None:
    """A gain counts when shown, a loss when shown; an interval that touches 0 shows neither."""
    check = check_criterion(SUPERIORITY, set_interval(lower, upper), POLICY)

    assert check.outcome is expected
    assert (check.id, check.subject, check.limit, check.n) == ("RET301", "fr", 0.0, 200)
    assert check.interval == Interval(lower, upper, 0.95, 0.01)
    assert (check.detail is None) == (expected is Outcome.PASS)


@pytest.mark.parametrize(("lower", "upper", "expected"), NON_INFERIORITY_ROWS.values(), ids=NON_INFERIORITY_ROWS)
def test_non_inferiority_needs_a_lower_bound_above_minus_the_margin(
    lower: float, upper: float, expected: Outcome
) -> None:
    """A loss smaller than the margin passes; at the margin itself, taken as a decimal, nothing is shown."""
    check = check_criterion(NON_INFERIORITY, set_interval(lower, upper), POLICY)

    assert check.outcome is expected
    assert (check.id, check.limit) == ("RET303", -0.03)
    assert (check.detail is None) == (expected is Outcome.PASS)


REAL_ROWS = {
    "gain": (50, 70, Outcome.PASS, Outcome.PASS),
    "gain inside the noise": (50, 51, Outcome.INCONCLUSIVE, Outcome.PASS),
    "none": (50, 50, Outcome.INCONCLUSIVE, Outcome.PASS),
    "small loss": (50, 46, Outcome.FAIL, Outcome.INCONCLUSIVE),
    "large loss": (50, 20, Outcome.FAIL, Outcome.FAIL),
}


@pytest.mark.parametrize(("base", "candidate", "superior", "not_worse"), REAL_ROWS.values(), ids=REAL_ROWS)
def test_outcomes_of_real_answers(base: int, candidate: int, superior: Outcome, not_worse: Outcome) -> None:
    """What the interval of real differences says, and the paired difference that it is about."""
    comparison = compare_hits(base, candidate)
    checks = [check_criterion(criterion, comparison, POLICY) for criterion in (SUPERIORITY, NON_INFERIORITY)]

    assert [check.outcome for check in checks] == [superior, not_worse]
    assert [check.observed for check in checks] == pytest.approx([(candidate - base) / 200] * 2, abs=1e-15)
    assert [check.interval for check in checks] == [comparison.intervals[m] for m in ("recall@5", "recall@10")]


def test_each_criterion_looks_at_its_own_metric() -> None:
    """A candidate that finds the same passages lower down gains on recall@10 and loses on recall@1."""
    base, candidate = make_rows((60, HIT), (140, MISS)), make_rows((60, (2,)), (60, (9,)), (80, MISS))
    comparison = make_comparison(base, candidate, POLICY)
    outcomes = {
        metric: check_criterion(
            Criterion.model_validate({"check": "RET303", "kind": "non-inferiority", "metric": metric}),
            comparison,
            POLICY,
        ).outcome
        for metric in POLICY.limits.margins
    }

    assert outcomes == {
        "recall@1": Outcome.FAIL,
        "recall@5": Outcome.PASS,
        "recall@10": Outcome.PASS,
        "mrr@10": Outcome.FAIL,
        "ndcg@10": Outcome.INCONCLUSIVE,
    }


def test_a_bound_at_its_margin_never_passes() -> None:
    """To lose k of 100 questions is not to lose less than k %, whichever way the float of k/100 is rounded."""
    bootstrap = Bootstrap(np.zeros(100, dtype=np.int64), POLICY.statistics)
    outcomes = {}
    for percent in range(1, 31):
        differences = np.where(np.arange(100) < percent, -1.0, 0.0)
        interval = bootstrap.compute_intervals([differences])[0]
        limits = [-Decimal(percent) / 100 + Decimal(off) for off in ("-1e-9", "0", "1e-9")]
        outcomes[percent] = [judge_interval(interval, limit) for limit in limits]

    assert outcomes == dict.fromkeys(outcomes, OUTCOMES)


def test_limits_finer_than_a_float_are_kept() -> None:
    """A limit is compared as it is written, to the last digit."""
    interval = Interval(-0.03, -0.03, 0.95, 0.0)
    limits = [Decimal(f"-0.03{off}") for off in ("00000000000000000001", "")]
    limits.append(Decimal("-0.02999999999999999999"))

    assert [judge_interval(interval, limit) for limit in limits] == OUTCOMES


@given(
    bounds=st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted),
    drop=st.floats(0, 1),
    limit=st.decimals(-1, 0, places=3),
)
@settings(max_examples=50, deadline=None)
def test_a_lower_interval_is_never_judged_better(bounds: list[float], drop: float, limit: Decimal) -> None:
    """Moving both bounds down never improves the outcome."""
    before = judge_interval(Interval(bounds[0], bounds[1], 0.95, 0.01), limit)
    after = judge_interval(Interval(bounds[0] - drop, bounds[1] - drop, 0.95, 0.01), limit)

    assert OUTCOMES.index(after) >= OUTCOMES.index(before)


draw_rank = st.sampled_from([HIT, (2,), (5,), (6,), (10,), (11,), MISS])


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_worse_answers_are_never_judged_better(data: st.DataObject) -> None:
    """Moving passages down in the candidate's rankings improves the outcome of no criterion, nor of the floor."""
    policy = alter_policy(questions_min=1)
    rows: Rows = data.draw(st.lists(draw_rank, min_size=5, max_size=30))
    base: Rows = data.draw(st.lists(draw_rank, min_size=len(rows), max_size=len(rows)))
    below = data.draw(st.lists(st.integers(0, 12), min_size=len(rows), max_size=len(rows)))
    worse = [row if row == MISS else (row[0] + down,) for row, down in zip(rows, below, strict=True)]
    before, after = (
        [check_criterion(criterion, comparison, policy).outcome for criterion in policy.release.primary]
        + [check_floor("RET307", comparison, Decimal("0.25")).outcome]
        for comparison in (make_comparison(base, candidate, policy) for candidate in (rows, worse))
    )

    assert [OUTCOMES.index(now) >= OUTCOMES.index(then) for then, now in zip(before, after, strict=True)] == [True] * 6


@pytest.mark.parametrize("n", [1, 99, 100, 101])
@pytest.mark.parametrize("criterion", [SUPERIORITY, NON_INFERIORITY], ids=lambda criterion: criterion.kind)
def test_too_few_questions_decide_nothing(criterion: Criterion, n: int) -> None:
    """Below the policy's minimum even a shown gain is not evaluated, and the check says how many are asked for."""
    comparison = make_comparison(make_rows((n, MISS)), make_rows((n, HIT)), POLICY)
    check, told = check_criterion(criterion, comparison, POLICY), describe_shortage(comparison, POLICY)

    assert check.outcome is (Outcome.ERROR if n < 100 else Outcome.PASS)
    assert check.detail == told
    assert (told is not None) == (n < 100)
    assert told is None or (f"{n} questions" in told and "at least 100" in told)


@pytest.mark.parametrize(
    ("kind", "metric", "expected"),
    [
        ("superiority", "recall@5", "0"),
        ("superiority", "ndcg@10", "0"),
        ("non-inferiority", "recall@5", "-0.05"),
        ("non-inferiority", "recall@1", "-0.03"),
    ],
)
def test_limits_are_decimals_of_the_policy(kind: str, metric: str, expected: str) -> None:
    """The lower bound must exceed 0 to be better, minus the margin of the metric to be no worse."""
    criterion = Criterion.model_validate({"check": "RET301", "kind": kind, "metric": metric})

    assert find_limit(criterion, load_policy()) == Decimal(expected)


def test_floor_is_compared_exactly() -> None:
    """For every k, k of 100 questions reach a floor of k % and miss one a thousandth higher: no float is between."""
    outcomes = {}
    for hits in range(100):
        comparison = compare_hits(0, hits, n=100)
        floors = (Decimal(hits) / 100, Decimal(hits) / 100 + Decimal("0.001"))
        outcomes[hits] = [check_floor("RET307", comparison, floor).outcome for floor in floors]

    assert outcomes == {hits: [Outcome.PASS, Outcome.FAIL] for hits in range(100)}


def test_a_floor_finer_than_a_float_is_kept() -> None:
    """50 of 200 questions miss a floor that is above a quarter by less than any float can say."""
    check = check_floor("RET307", compare_hits(0, 50), Decimal("0.25000000000000000001"))

    assert check.outcome is Outcome.FAIL


def test_floor_adds_shares_exactly() -> None:
    """Ten questions with one of ten passages found reach 0.1, which the mean of their floats may miss."""
    rows: Rows = make_rows((10, (1, *range(101, 110))))
    comparison = make_comparison(rows, rows, POLICY)

    assert check_floor("RET307", comparison, Decimal("0.1")).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("hits", "floor", "lacking"), [(49, "0.25", 1), (20, "0.25", 30), (0, "1", 200), (49, "0.2451", 1), (59, "0.3", 1)]
)
def test_a_missed_floor_says_by_what(hits: int, floor: str, lacking: int) -> None:
    """The check names recall, floor and how many more questions it takes, and looks at the candidate only."""
    check = check_floor("RET307", compare_hits(200, hits), Decimal(floor))
    reached = check_floor("RET307", compare_hits(0, hits + lacking), Decimal(floor))
    short = check_floor("RET307", compare_hits(0, hits + lacking - 1), Decimal(floor))

    assert check.outcome is Outcome.FAIL
    assert (check.observed, check.limit, check.n) == (hits / 200, float(floor), 200)
    assert f"; {lacking} more questions in full" in (check.detail or "")
    assert (reached.outcome, reached.detail) == (Outcome.PASS, None)
    assert short.outcome is Outcome.FAIL


@given(hits=st.lists(st.integers(0, 3), min_size=1, max_size=30), floor=st.decimals(0, 1, places=2))
@settings(max_examples=25, deadline=None)
def test_floor_is_that_of_exact_fractions(hits: list[int], floor: Decimal) -> None:
    """Questions of three passages each, some found: the floor is met exactly when Σ found / 3n is at least as much."""
    rows = [tuple([1, 2, 3][:found] + [50, 51, 52][found:]) for found in hits]
    check = check_floor("RET307", make_comparison(rows, rows, POLICY), floor)
    recall = Fraction(sum(hits), 3 * len(hits))

    assert (check.outcome is Outcome.PASS) == (recall >= Fraction(floor))
    assert check.observed == float(recall)
