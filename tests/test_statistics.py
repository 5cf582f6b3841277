"""Clusters and intervals against plain oracles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from validation.policy import Statistics
from validation.statistics import compute_interval, find_clusters

SETTINGS = Statistics(level=0.95, resamples=10_000, seed=7)
Relevant = list[list[int]]

draw_relevant = st.lists(st.lists(st.integers(0, 25), min_size=1, max_size=4, unique=True), min_size=1, max_size=25)


def group_naively(relevant: Relevant) -> set[frozenset[int]]:
    """Merge groups of questions as long as two of them share a passage."""
    groups = [({question}, set(passages)) for question, passages in enumerate(relevant)]
    merged = True
    while merged:
        merged = False
        for left in range(len(groups)):
            right = next((r for r in range(left + 1, len(groups)) if groups[left][1] & groups[r][1]), None)
            if right is not None:
                other = groups.pop(right)
                groups[left] = (groups[left][0] | other[0], groups[left][1] | other[1])
                merged = True
                break
    return {frozenset(questions) for questions, _ in groups}


def group_by_label(labels: npt.NDArray[np.int64]) -> set[frozenset[int]]:
    """Return the questions of each label as sets."""
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}


def draw_differences(n: int, seed: int) -> npt.NDArray[np.float64]:
    """Return differences of a hit: mostly 0, some +1 and -1."""
    return np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], n, p=[0.08, 0.78, 0.14])


@given(relevant=draw_relevant)
@settings(max_examples=50, deadline=None)
def test_clusters_are_those_of_a_naive_merge(relevant: Relevant) -> None:
    """Questions are together exactly when a chain of shared passages links them."""
    labels = find_clusters(relevant)

    assert len(labels) == len(relevant)
    assert group_by_label(labels) == group_naively(relevant)
    assert set(labels.tolist()) == set(range(labels.max() + 1))


@given(relevant=draw_relevant, seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_clusters_do_not_depend_on_the_order_of_questions(relevant: Relevant, seed: int) -> None:
    """Asking the questions in another order groups the same questions."""
    order = np.random.default_rng(seed).permutation(len(relevant))
    moved = group_by_label(find_clusters([relevant[place] for place in order]))

    assert {frozenset(order[list(group)].tolist()) for group in moved} == group_by_label(find_clusters(relevant))


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("n", [100, 400])
def test_interval_is_that_of_scipy_where_every_cluster_has_one_question(n: int, level: float) -> None:
    """With singletons it is the ordinary percentile bootstrap, two one-sided bounds, within Monte Carlo error."""
    differences = draw_differences(n, seed=n) + np.random.default_rng(1).normal(0, 0.01, n)
    found = compute_interval(differences, np.arange(n), Statistics(level=level, resamples=10_000, seed=7))
    oracle = scipy.stats.bootstrap(
        (differences,),
        np.mean,
        confidence_level=2 * level - 1,
        n_resamples=10_000,
        method="percentile",
        rng=np.random.default_rng(3),
    ).confidence_interval
    error = differences.std() / np.sqrt(n)

    assert found.level == level
    assert abs(found.lower - oracle.low) < 0.1 * error
    assert abs(found.upper - oracle.high) < 0.1 * error


def test_interval_resamples_whole_clusters() -> None:
    """Questions that always move together carry no more evidence than one of them, so the interval is as wide."""
    single = draw_differences(100, seed=5)
    copied = np.repeat(single, 4)
    clustered = compute_interval(copied, np.repeat(np.arange(100), 4), SETTINGS)
    alone = compute_interval(single, np.arange(100), SETTINGS)
    naive = compute_interval(copied, np.arange(400), SETTINGS)

    assert (clustered.lower, clustered.upper) == pytest.approx((alone.lower, alone.upper), abs=1e-12)
    assert naive.upper - naive.lower < 0.6 * (clustered.upper - clustered.lower)


def test_means_divide_by_the_questions_drawn() -> None:
    """With clusters of unequal size a resample's mean is over its questions, so a constant difference stays itself."""
    clusters = np.repeat(np.arange(4), [1, 2, 3, 10])
    interval = compute_interval(np.full(16, 0.25), clusters, SETTINGS)

    assert (interval.lower, interval.upper) == (0.25, 0.25)


def test_interval_does_not_depend_on_the_order_of_questions() -> None:
    """The same questions with the same clusters in another order give the same bounds to the bit."""
    differences = draw_differences(150, seed=2)
    clusters = np.random.default_rng(3).integers(0, 60, 150)
    clusters = np.unique(clusters, return_inverse=True)[1].astype(np.int64)
    order = np.random.default_rng(4).permutation(150)

    assert compute_interval(differences[order], clusters[order], SETTINGS) == compute_interval(
        differences, clusters, SETTINGS
    )


def test_the_seed_decides_the_draw() -> None:
    """The same seed gives the same bounds to the bit; another seed gives others, within Monte Carlo error."""
    differences = np.random.default_rng(9).normal(0.02, 0.3, 200)
    first, again = (compute_interval(differences, np.arange(200), SETTINGS) for _ in range(2))
    other = compute_interval(differences, np.arange(200), SETTINGS.model_copy(update={"seed": 8}))

    assert first == again
    assert other != first
    assert (other.lower, other.upper) == pytest.approx((first.lower, first.upper), abs=0.1 * 0.3 / np.sqrt(200))


def test_global_random_state_is_not_used() -> None:
    """What else draws random numbers in the process changes no bound, and the bounds consume none."""
    differences = draw_differences(50, seed=1)
    first = compute_interval(differences, np.arange(50), SETTINGS)
    np.random.seed(0)  # noqa: NPY002 - the global state is the point
    state = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    second = compute_interval(differences, np.arange(50), SETTINGS)

    assert first == second
    assert state == np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002


def test_no_difference_gives_an_interval_of_zero() -> None:
    """Stores that answer alike differ by exactly 0, both bounds included."""
    interval = compute_interval(np.zeros(120), np.arange(120), SETTINGS)

    assert (interval.lower, interval.upper) == (0.0, 0.0)


@given(differences=st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=2, max_size=60), shift=st.floats(0.01, 0.5))
@settings(max_examples=25, deadline=None)
def test_bounds_move_with_the_differences(differences: list[float], shift: float) -> None:
    """Bounds are ordered, lie within the data, and rise by what every difference rises."""
    values, clusters = np.array(differences), np.arange(len(differences))
    low, high = (compute_interval(array, clusters, SETTINGS) for array in (values, values + shift))

    assert values.min() <= low.lower <= low.upper <= values.max()
    assert (high.lower - shift, high.upper - shift) == pytest.approx((low.lower, low.upper), abs=1e-9)
