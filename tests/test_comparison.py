"""Criteria: what an interval, a limit and the size of the gold set make of a candidate."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stores import load_sample, write_pair
from validation.comparison import (
    Comparison,
    check_criterion,
    check_floor,
    compare_stores,
    describe_retrieval,
    judge_interval,
)
from validation.evidence import StoreEvidence, collect_store
from validation.metrics import Ranks, compute_metrics
from validation.outcomes import Interval, Outcome
from validation.policy import EXPECTATIONS, Criterion, Policy, load_rulebook
from validation.statistics import compute_interval

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.params import CandidateName

SUPERIORITY = Criterion(check="RET301", kind="superiority", metric="recall@5")
NON_INFERIORITY = Criterion(check="RET303", kind="non-inferiority", metric="recall@10")
MISS = 1000


@pytest.fixture(scope="module")
def policy() -> Policy:
    """The policy of the project: margin 0.03 on recall@10, at least 100 questions."""
    return load_rulebook(EXPECTATIONS / "policy.yaml").policy


def make_ranks(hits: int, n: int) -> Ranks:
    """Return ranks of `n` questions of which the first `hits` find their passage at once."""
    return Ranks(tuple((1 if question < hits else MISS,) for question in range(n)))


def make_comparison(lower: float, upper: float, n: int = 200, hits: tuple[int, int] = (50, 60)) -> Comparison:
    """Return a comparison all of whose intervals are the given one."""
    base, candidate = (make_ranks(count, n) for count in hits)
    metrics = [compute_metrics(ranks) for ranks in (base, candidate)]
    intervals = dict.fromkeys(metrics[0], Interval(lower, upper, 0.95))
    return Comparison("fr", base, candidate, metrics[0], metrics[1], intervals)


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
def test_superiority_needs_a_lower_bound_above_zero(
    policy: Policy, lower: float, upper: float, expected: Outcome
) -> None:
    """A gain counts when shown, a loss when shown; an interval that touches 0 shows neither."""
    check = check_criterion(SUPERIORITY, make_comparison(lower, upper), policy)

    assert check.outcome is expected
    assert (check.id, check.subject, check.limit, check.n) == ("RET301", "fr", 0.0, 200)
    assert check.interval == Interval(lower, upper, 0.95)
    assert (check.detail is None) == (expected is Outcome.PASS)


@pytest.mark.parametrize(("lower", "upper", "expected"), NON_INFERIORITY_ROWS.values(), ids=NON_INFERIORITY_ROWS)
def test_non_inferiority_needs_a_lower_bound_above_minus_the_margin(
    policy: Policy, lower: float, upper: float, expected: Outcome
) -> None:
    """A loss smaller than the margin passes; at the margin itself, taken as a decimal, nothing is shown."""
    check = check_criterion(NON_INFERIORITY, make_comparison(lower, upper), policy)

    assert check.outcome is expected
    assert (check.id, check.limit) == ("RET303", -0.03)


def test_a_bound_at_its_margin_never_passes(policy: Policy) -> None:
    """To lose k of 100 questions is not to lose less than k %, whichever way the float of k/100 is rounded."""
    clusters = np.zeros(100, dtype=np.int64)
    outcomes = {
        percent: judge_interval(
            compute_interval(np.where(np.arange(100) < percent, -1.0, 0.0), clusters, policy.statistics),
            -Decimal(percent) / 100,
        )
        for percent in range(1, 31)
    }

    assert outcomes == dict.fromkeys(outcomes, Outcome.INCONCLUSIVE)


@given(
    bounds=st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted),
    drop=st.floats(0, 1),
    limit=st.decimals(-1, 0, places=3),
)
@settings(max_examples=50, deadline=None)
def test_a_lower_interval_is_never_judged_better(bounds: list[float], drop: float, limit: Decimal) -> None:
    """Moving both bounds down never improves the outcome."""
    order = [Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL]
    before = judge_interval(Interval(bounds[0], bounds[1], 0.95), limit)
    after = judge_interval(Interval(bounds[0] - drop, bounds[1] - drop, 0.95), limit)

    assert order.index(after) >= order.index(before)


@pytest.mark.parametrize(("n", "expected"), [(99, Outcome.ERROR), (100, Outcome.PASS), (101, Outcome.PASS)], ids=str)
@pytest.mark.parametrize("criterion", [SUPERIORITY, NON_INFERIORITY], ids=lambda criterion: criterion.kind)
def test_too_few_questions_decide_nothing(policy: Policy, criterion: Criterion, n: int, expected: Outcome) -> None:
    """Below the policy's minimum even a shown gain is not evaluated, and the check says how many are asked for."""
    check = check_criterion(criterion, make_comparison(0.1, 0.2, n), policy)

    assert check.outcome is expected
    assert (n < 100) == ("at least 100" in (check.detail or ""))


def test_observed_is_the_paired_difference(policy: Policy) -> None:
    """A criterion shows candidate minus base of its own metric."""
    check = check_criterion(SUPERIORITY, make_comparison(-0.2, -0.01, n=200, hits=(60, 50)), policy)

    assert check.observed == pytest.approx(-0.05, abs=1e-15)


def test_floor_is_compared_exactly() -> None:
    """For every k, k of 100 questions reach a floor of k % and miss one a thousandth higher: no float is between."""
    outcomes = {}
    for hits in range(100):
        comparison = make_comparison(0, 0, n=100, hits=(0, hits))
        floors = (Decimal(hits) / 100, Decimal(hits) / 100 + Decimal("0.001"))
        outcomes[hits] = [check_floor("RET307", comparison, floor).outcome for floor in floors]

    assert outcomes == {hits: [Outcome.PASS, Outcome.FAIL] for hits in range(100)}


def test_floor_adds_shares_exactly() -> None:
    """Ten questions with one of ten passages found reach 0.1, which the mean of their floats may miss."""
    ranks = Ranks(tuple((1, *range(101, 110)) for _ in range(10)))
    metrics = compute_metrics(ranks)
    comparison = Comparison("fr", ranks, ranks, metrics, metrics, {})

    assert check_floor("RET307", comparison, Decimal("0.1")).outcome is Outcome.PASS


def test_a_missed_floor_says_by_what() -> None:
    """The check names recall and floor, and looks at the candidate, not at the base."""
    check = check_floor("RET307", make_comparison(0, 0, n=200, hits=(200, 49)), Decimal("0.25"))

    assert check.outcome is Outcome.FAIL
    assert (check.observed, check.limit, check.n) == (0.245, 0.25, 200)
    assert check.detail == "recall@5 0.2450 is below the floor 0.25"


def test_stores_are_compared_question_by_question(tmp_path: Path, policy: Policy) -> None:
    """Hits, means, differences and intervals of two real stores are those that they were built with."""
    sample, base, candidate = write_pair(tmp_path, base_hits=30, candidate_hits=48)
    corpus = load_sample(sample)
    folders: dict[CandidateName, Path] = {"base": base, "qlora": candidate}
    stores: list[StoreEvidence | None] = [collect_store(role, folder, corpus)[0] for role, folder in folders.items()]

    assert stores[0] is not None
    assert stores[1] is not None

    comparison = compare_stores(stores[0], stores[1], corpus, policy.statistics)
    described = describe_retrieval(comparison)
    expected = compute_interval(
        np.where((np.arange(120) >= 30) & (np.arange(120) < 48), 1.0, 0.0), np.arange(120), policy.statistics
    )

    assert list(described) == ["recall@1", "recall@5", "recall@10", "recall@100", "mrr@10", "ndcg@10"]
    assert described["recall@5"] == {
        "base": {"hits": 30, "n": 120, "value": 0.25},
        "candidate": {"hits": 48, "n": 120, "value": 0.4},
        "difference": pytest.approx(0.15, abs=1e-15),
        "interval": {"lower": expected.lower, "upper": expected.upper, "level": 0.95},
    }
    assert "hits" not in str(described["mrr@10"])
