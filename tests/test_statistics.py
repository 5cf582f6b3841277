"""Clusters, bootstrap, sign flips, McNemar and Holm against plain and independent readings of each."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import random
import subprocess
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from validation import statistics
from validation.outcomes import Interval
from validation.policy import Statistics
from validation.statistics import (
    Bootstrap,
    Clusters,
    adjust_holm,
    compute_mcnemar,
    compute_mean,
    compute_tolerated_loss,
    count_questions_needed,
    find_clusters,
)

if TYPE_CHECKING:
    from validation.metrics import Values

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = Statistics(level=0.95, power=0.8, resamples=10_000, flips=100_000, rounds=5, seed=7)
FEW = SETTINGS.model_copy(update={"resamples": 1000, "flips": 1000})
Relevant = list[list[int]]

# What the stores' metrics can differ by: hits, shares of passages, reciprocal ranks, discounted gains.
STEPS = [-1.0, -0.75, -1 / math.log2(3), -1 / 2, -1 / 3, -0.1, 0.0, 0.1, 1 / 7, 1 / 3, 1 / 2, 1 / math.log2(5), 1.0]

draw_relevant = st.lists(st.lists(st.integers(0, 25), min_size=1, max_size=4, unique=True), min_size=1, max_size=25)
draw_step = st.sampled_from(STEPS)


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


def group_by_label(labels: Clusters) -> set[frozenset[int]]:
    """Return the questions of each label as sets."""
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}


def draw_hits(n: int, seed: int) -> Values:
    """Return differences of a hit: mostly 0, some +1 and -1."""
    return np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], n, p=[0.08, 0.78, 0.14])


def draw_gains(n: int, seed: int) -> Values:
    """Return differences that no float holds exactly, with a small gain."""
    return np.random.default_rng(seed).normal(0.02, 0.3, n).clip(-1, 1)


def draw_gold(questions: int, seed: int) -> Relevant:
    """Return relevant passages of which neighbours share some, so that clusters have one to a few questions."""
    draw = np.random.default_rng(seed)
    return [sorted({place // 2, place // 2 + int(draw.integers(0, 2))}) for place in range(questions)]


def sum_clusters(differences: Values, clusters: Clusters) -> list[float]:
    """Return the sum of each cluster, added one by one."""
    return [sum(differences[clusters == cluster].tolist()) for cluster in range(clusters.max() + 1)]


def resample_naively(differences: Values, clusters: Clusters, resamples: int, seed: int) -> list[float]:
    """Return means of questions, drawn by whole clusters in a plain loop."""
    members = [differences[clusters == cluster].tolist() for cluster in range(clusters.max() + 1)]
    draw, means = random.Random(seed), []  # noqa: S311 - another generator than the one in use
    for _ in range(resamples):
        drawn = [value for group in draw.choices(members, k=len(members)) for value in group]
        means.append(sum(drawn) / len(drawn))
    return means


def enumerate_flips(sums: list[float]) -> float:
    """Return the exact share of sign patterns whose total is at least the observed one."""
    observed = sum(map(Fraction, sums))
    signs = itertools.product((1, -1), repeat=len(sums))
    reached = [sum(sign * Fraction(value) for sign, value in zip(row, sums, strict=True)) >= observed for row in signs]
    return sum(reached) / len(reached)


def digest_results() -> str:
    """Return a digest over every bit that clusters, bootstrap and flips give for awkward differences."""
    relevant = draw_gold(600, 3)
    columns = [draw_gains(600, seed) for seed in range(5)]
    bootstrap = Bootstrap(find_clusters(relevant), SETTINGS)
    found = (bootstrap.compute_means(columns).tobytes(), bootstrap.compute_intervals(columns))
    told = (*found, bootstrap.compute_loss_p(-columns[0]), bootstrap.compute_flip_p(columns))
    return hashlib.sha256(repr(told).encode()).hexdigest()


@given(relevant=draw_relevant)
@settings(max_examples=50, deadline=None)
def test_clusters_are_those_of_a_naive_merge(relevant: Relevant) -> None:
    """Questions are together exactly when a chain of shared passages links them."""
    labels = find_clusters(relevant)

    assert len(labels) == len(relevant)
    assert group_by_label(labels) == group_naively(relevant)
    assert set(labels.tolist()) == set(range(labels.max() + 1))


@given(relevant=draw_relevant)
@settings(max_examples=50, deadline=None)
def test_clusters_are_numbered_by_their_first_passage(relevant: Relevant) -> None:
    """The lower a cluster's lowest passage stands in the corpus, the lower is its number."""
    labels = find_clusters(relevant)
    first = [
        min(min(row) for row, label in zip(relevant, labels.tolist(), strict=True) if label == cluster)
        for cluster in range(labels.max() + 1)
    ]

    assert first == sorted(first)


@given(relevant=draw_relevant, seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_clusters_do_not_depend_on_the_order_of_questions(relevant: Relevant, seed: int) -> None:
    """Asking the questions in another order gives each the same number."""
    order = np.random.default_rng(seed).permutation(len(relevant))
    moved = find_clusters([relevant[place] for place in order])

    np.testing.assert_array_equal(moved, find_clusters(relevant)[order])


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("n", [100, 400])
def test_interval_is_that_of_scipy_where_every_cluster_has_one_question(n: int, level: float) -> None:
    """With singletons it is the ordinary percentile bootstrap, two one-sided bounds, within Monte Carlo error."""
    differences = draw_hits(n, seed=n) + np.random.default_rng(1).normal(0, 0.01, n)
    bootstrap = Bootstrap(np.arange(n), SETTINGS.model_copy(update={"level": level}))
    found = bootstrap.compute_intervals([differences])[0]
    oracle = scipy.stats.bootstrap(
        (differences,),
        np.mean,
        confidence_level=2 * level - 1,
        n_resamples=10_000,
        method="percentile",
        rng=np.random.default_rng(3),
    )
    error = differences.std() / np.sqrt(n)

    assert found.level == level
    assert abs(found.lower - oracle.confidence_interval.low) < 0.1 * error
    assert abs(found.upper - oracle.confidence_interval.high) < 0.1 * error
    assert found.standard_error == pytest.approx(oracle.standard_error, rel=0.04)


@pytest.mark.parametrize("gain", [0.0, 0.4], ids=["no gain", "large clusters gain"])
def test_interval_is_that_of_a_plain_loop_over_unequal_clusters(gain: float) -> None:
    """Clusters of 1 to 10 questions are drawn whole, and each resample is divided by the questions that it holds."""
    sizes = np.tile([1, 2, 3, 10], 8)
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    differences = draw_gains(len(clusters), seed=2) + gain * (sizes[clusters] / 10)
    found = Bootstrap(clusters, SETTINGS).compute_intervals([differences])[0]
    means = resample_naively(differences, clusters, resamples=10_000, seed=5)
    low, high = np.quantile(means, [0.05, 0.95])

    assert abs(found.lower - low) < 0.1 * np.std(means)
    assert abs(found.upper - high) < 0.1 * np.std(means)
    assert found.standard_error == pytest.approx(np.std(means), rel=0.04)


def test_interval_resamples_whole_clusters() -> None:
    """Questions that always move together carry no more evidence than one of them, so the interval is as wide."""
    single = draw_hits(100, seed=5)
    copied = np.repeat(single, 4)
    clustered = Bootstrap(np.repeat(np.arange(100), 4), SETTINGS).compute_intervals([copied])[0]
    alone = Bootstrap(np.arange(100), SETTINGS).compute_intervals([single])[0]
    naive = Bootstrap(np.arange(400), SETTINGS).compute_intervals([copied])[0]

    assert clustered == alone
    assert naive.upper - naive.lower < 0.6 * (clustered.upper - clustered.lower)


def test_means_divide_by_the_questions_drawn() -> None:
    """With clusters of unequal size a resample's mean is over its questions, so a constant difference stays itself."""
    bootstrap = Bootstrap(np.repeat(np.arange(4), [1, 2, 3, 10]), SETTINGS)

    assert bootstrap.compute_intervals([np.full(16, 0.25)]) == [Interval(0.25, 0.25, 0.95, 0.0)]


def test_every_metric_is_resampled_alike() -> None:
    """One column a metric, a row a resample: the same draws as if the metric had been asked for alone."""
    columns = [draw_gains(90, seed) for seed in range(3)]
    bootstrap = Bootstrap(np.arange(90) // 3, SETTINGS)
    means = bootstrap.compute_means(columns)
    bounds = [(found.lower, found.upper) for found in bootstrap.compute_intervals(columns)]

    assert means.shape == (10_000, 3)
    assert np.array_equal(means, np.hstack([bootstrap.compute_means([column]) for column in columns]))
    assert bounds == [tuple(np.quantile(means[:, place], [1 - 0.95, 0.95]).tolist()) for place in range(3)]


@given(data=st.data(), n=st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_worse_differences_never_look_better(data: st.DataObject, n: int) -> None:
    """Draws do not depend on differences: worsening any raises no mean, no bound, and lowers no p-value of a loss."""
    before = np.array(data.draw(st.lists(draw_step, min_size=n, max_size=n)))
    worse = data.draw(st.lists(st.one_of(st.just(0.0), st.sampled_from([0.05, 1 / 3, 1.0])), min_size=n, max_size=n))
    clusters = np.unique(data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n)), return_inverse=True)[1]
    bootstrap = Bootstrap(clusters, FEW)
    after = before - worse
    high, low = (bootstrap.compute_intervals([values])[0] for values in (before, after))

    assert (bootstrap.compute_means([after]) <= bootstrap.compute_means([before])).all()
    assert low.lower <= high.lower
    assert low.upper <= high.upper
    assert bootstrap.compute_loss_p(after) <= bootstrap.compute_loss_p(before)


@given(differences=st.lists(draw_step, min_size=2, max_size=60))
@settings(max_examples=25, deadline=None)
def test_bounds_are_ordered_and_lie_within_the_data(differences: list[float]) -> None:
    """The lower bound is not above the upper one, and neither leaves the range of the differences."""
    values, grain = np.array(differences), 1e-11
    found = Bootstrap(np.arange(len(values)), FEW).compute_intervals([values])[0]

    assert values.min() - grain <= found.lower <= found.upper <= values.max() + grain
    assert found.standard_error >= 0


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_questions_changes_no_bit(seed: int) -> None:
    """Questions in another order, with their passages, give the same means, bounds and p-values to the last bit."""
    relevant, columns = draw_gold(151, seed), [draw_gains(151, seed + 10 * metric) for metric in range(2)]
    order = np.random.default_rng(seed).permutation(151)
    first = Bootstrap(find_clusters(relevant), FEW)
    moved = Bootstrap(find_clusters([relevant[place] for place in order]), FEW)
    shuffled = [column[order] for column in columns]

    assert first.compute_means(columns).tobytes() == moved.compute_means(shuffled).tobytes()
    assert first.compute_intervals(columns) == moved.compute_intervals(shuffled)
    assert first.compute_flip_p(columns) == moved.compute_flip_p(shuffled)
    assert first.compute_loss_p(columns[0]) == moved.compute_loss_p(shuffled[0])


@pytest.mark.parametrize(("threads", "hash_seed"), [("1", "1"), ("2", "2")], ids=["one thread", "two threads"])
def test_threads_and_hash_seed_change_no_bit(threads: str, hash_seed: str) -> None:
    """Another process with another number of threads and another hash seed gives the same bits."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", "from tests.test_statistics import digest_results; print(digest_results())"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)

    assert result.stdout.strip() == digest_results()


@pytest.mark.parametrize("block", [1, 997, 50 * 37], ids=["row by row", "odd blocks", "whole rows"])
def test_blocks_change_no_resample(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Drawing in blocks of any size gives the resamples that are drawn at once, all of them."""
    clusters, columns = np.arange(100) // 2, [draw_gains(100, 1), draw_hits(100, 2)]
    whole = Bootstrap(clusters, FEW).compute_means(columns)
    monkeypatch.setattr(statistics, "COUNTED_VALUES", block)
    parts = Bootstrap(clusters, FEW).compute_means(columns)

    assert whole.shape == (1000, 2)
    assert whole.tobytes() == parts.tobytes()


def test_resamples_that_are_not_kept_are_drawn_again_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """More resamples than there is room for give the same means, time after time, and are never held as a whole."""
    clusters, columns = np.arange(5000), [draw_hits(5000, 2)]
    kept = Bootstrap(clusters, FEW).compute_means(columns)
    monkeypatch.setattr(statistics, "KEPT_VALUES", 1000 * 5000 - 1)
    tracemalloc.start()
    drawn = Bootstrap(clusters, FEW)
    means = [drawn.compute_means(columns).tobytes() for _ in range(2)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert means == [kept.tobytes()] * 2
    assert peak < 1000 * 5000


@pytest.mark.parametrize("block", [997, 50 * 37], ids=["odd blocks", "whole rows"])
def test_flips_in_blocks_are_as_many_and_determinate(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Flips drawn in blocks are the same each time, and as close to the whole as chance allows."""
    bootstrap = Bootstrap(np.arange(50), SETTINGS.model_copy(update={"flips": 20_000}))
    columns = [draw_hits(50, 2), np.full(50, 0.5)]
    whole = bootstrap.compute_flip_p(columns)
    monkeypatch.setattr(statistics, "BLOCK_VALUES", block)
    parts, again = bootstrap.compute_flip_p(columns), bootstrap.compute_flip_p(columns)

    assert parts == again
    assert parts == pytest.approx(whole, abs=4.5 * math.sqrt(2 * 0.25 / 20_000))
    assert parts[1] == 1 / 20_001


@pytest.mark.parametrize("n", [1, 2, 37, 128, 129])
def test_sums_are_exact(n: int) -> None:
    """A resample's mean is the exact sum over the questions drawn, rounded once; fine parts are not cut off."""
    bootstrap = Bootstrap(np.arange(n), FEW)
    counts = np.rint(bootstrap.compute_means(list(np.eye(n))) * n).astype(int).tolist()
    grains = np.random.default_rng(n).integers(-(2**41), 2**41 + 1, n).tolist()
    means = bootstrap.compute_means([np.array(grains) / 2**41])[:, 0].tolist()

    assert means == [
        float(Fraction(sum(count * grain for count, grain in zip(row, grains, strict=True)), n * 2**41))
        for row in counts
    ]


@given(differences=st.lists(st.floats(-1, 1), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_rounding_to_the_grain_is_invisible(differences: list[float]) -> None:
    """Where all questions are one cluster every resample is their mean, within 1e-12 of the exact one."""
    clusters = np.zeros(len(differences), dtype=np.int64)
    means = Bootstrap(clusters, FEW).compute_means([np.array(differences)])[:, 0]
    exact = sum(map(Fraction, differences), Fraction(0)) / len(differences)

    assert set(means.tolist()) == {means[0]}
    assert abs(Fraction(float(means[0])) - exact) <= Fraction(1, 10**12)


def test_one_question_is_its_own_interval() -> None:
    """A gold set of one question has nothing to draw from, so both bounds are its difference."""
    bootstrap = Bootstrap(np.zeros(1, dtype=np.int64), FEW)

    assert bootstrap.compute_intervals([np.array([-1.0])]) == [Interval(-1.0, -1.0, 0.95, 0.0)]


def test_no_difference_gives_an_interval_of_zero() -> None:
    """Stores that answer alike differ by exactly 0, both bounds included."""
    bootstrap = Bootstrap(np.arange(120), SETTINGS)

    assert bootstrap.compute_intervals([np.zeros(120)]) == [Interval(0.0, 0.0, 0.95, 0.0)]


def test_the_seed_decides_the_draw() -> None:
    """The same seed gives the same bits; another seed gives others, within Monte Carlo error."""
    differences, clusters = draw_gains(200, seed=9), np.arange(200)
    other_settings = SETTINGS.model_copy(update={"seed": 8})
    first, again, other = (Bootstrap(clusters, chosen) for chosen in (SETTINGS, SETTINGS, other_settings))
    bounds = [each.compute_intervals([differences])[0] for each in (first, again, other)]
    flips = [each.compute_flip_p([differences])[0] for each in (first, again, other)]

    assert (bounds[0], flips[0]) == (bounds[1], flips[1])
    assert bounds[2] != bounds[0]
    assert flips[2] != flips[0]
    assert bounds[2].lower == pytest.approx(bounds[0].lower, abs=0.1 * bounds[0].standard_error)
    assert flips[2] == pytest.approx(flips[0], abs=0.01)


def test_global_random_state_is_not_used() -> None:
    """What else draws random numbers in the process changes no bit, and none is taken from there."""
    differences = draw_hits(50, seed=1)

    def compute() -> tuple[list[Interval], list[float]]:
        bootstrap = Bootstrap(np.arange(50), FEW)
        return bootstrap.compute_intervals([differences]), bootstrap.compute_flip_p([differences])

    first = compute()
    np.random.seed(0)  # noqa: NPY002 - the global state is the point
    state = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002

    assert first == compute()
    assert state == np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002


def test_loss_p_is_the_share_of_resamples_without_a_loss() -> None:
    """A resampled mean of 0 shows no loss; the observed sample counts among the resamples."""
    differences = -draw_hits(60, seed=3)
    bootstrap = Bootstrap(np.arange(60), FEW)
    means = bootstrap.compute_means([differences])[:, 0].tolist()
    without = sum(mean >= 0 for mean in means)

    assert 0 < means.count(0.0) < without
    assert bootstrap.compute_loss_p(differences) == (1 + without) / 1001


@pytest.mark.parametrize(("value", "expected"), [(-0.25, 1 / 1001), (0.0, 1.0), (0.25, 1.0)], ids=["-", "0", "+"])
def test_loss_p_of_constants(value: float, expected: float) -> None:
    """A loss in every question is as sure as the resamples allow, and never 0; no loss at all gives 1."""
    assert Bootstrap(np.arange(20), FEW).compute_loss_p(np.full(20, value)) == expected


@given(differences=st.lists(draw_step, min_size=2, max_size=60))
@settings(max_examples=50, deadline=None)
def test_loss_p_agrees_with_the_upper_bound(differences: list[float]) -> None:
    """A p-value at most 1 − level means an upper bound below 0, and the reverse but for one resample."""
    bootstrap, values = Bootstrap(np.arange(len(differences)), FEW), np.array(differences)
    shown = bootstrap.compute_intervals([values])[0].upper < 0
    p = bootstrap.compute_loss_p(values)

    assert shown or p > 0.05
    assert p <= 0.05 + 2 / 1001 or not shown


@pytest.mark.parametrize("seed", range(4))
def test_flip_p_is_that_of_scipy_where_every_cluster_has_one_question(seed: int) -> None:
    """With singletons it is the paired permutation test, one-sided, within Monte Carlo error."""
    draw = np.random.default_rng(seed)
    base, candidate = draw.random(80), draw.random(80) + 0.03 * seed
    oracle = scipy.stats.permutation_test(
        (candidate, base),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(11),
    )
    found = Bootstrap(np.arange(80), SETTINGS).compute_flip_p([candidate - base])[0]
    error = math.sqrt(oracle.pvalue * (1 - oracle.pvalue) * (1 / 20_000 + 1 / 100_000))

    assert 0.0005 < oracle.pvalue < 0.9995
    assert abs(found - oracle.pvalue) < 4 * error + 1 / 20_000


@pytest.mark.parametrize("n", [1, 7, 8, 9, 64, 65])
def test_each_cluster_has_a_bit_of_its_own(n: int) -> None:
    """Looking up eight clusters at a time keeps what multiplying each by its own drawn bit keeps, to the last draw."""
    random = np.random.default_rng(n)
    columns = random.integers(1, 9, (n, 2)) * random.choice([-1, 1], (n, 2)) / 8
    bits = np.unpackbits(
        np.frombuffer(np.random.default_rng([FEW.seed, 1]).bytes(FEW.flips * -(-n // 8)), np.uint8)
    ).reshape(FEW.flips, -1)
    totals = (2.0 * bits[:, :n] - 1) @ columns

    found = Bootstrap(np.arange(n), FEW).compute_flip_p(list(columns.T))

    assert found == [(1 + (totals[:, k] >= columns[:, k].sum()).sum()) / (1 + FEW.flips) for k in (0, 1)]


@pytest.mark.parametrize("seed", range(4))
def test_flip_p_is_that_of_full_enumeration(seed: int) -> None:
    """Nine clusters of one to four questions: all 512 sign patterns give the exact p-value; a tie is reached."""
    draw = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(9), draw.integers(1, 5, 9))
    columns = [draw.choice([-1.0, 0.0, 0.5, 1.0], len(clusters)) for _ in range(3)]
    exact = [enumerate_flips(sum_clusters(column, clusters)) for column in columns]
    found = Bootstrap(clusters, SETTINGS).compute_flip_p(columns)

    assert found == pytest.approx(exact, abs=4 * math.sqrt(0.25 / 100_000))


def test_whole_clusters_are_flipped() -> None:
    """Forty gains in four clusters are four observations: p is 1/16, not 2 ** -40."""
    clusters = np.repeat(np.arange(4), 10)
    found = Bootstrap(clusters, SETTINGS).compute_flip_p([np.ones(40)])[0]
    naive = Bootstrap(np.arange(40), SETTINGS).compute_flip_p([np.ones(40)])[0]

    assert found == pytest.approx(1 / 16, abs=4 * math.sqrt(1 / 16 / 100_000))
    assert naive == 1 / 100_001


@pytest.mark.parametrize("n", [1, 7, 8, 9, 40])
def test_no_difference_at_all_shows_nothing(n: int) -> None:
    """Without any difference the p-value is exactly 1, alone and beside a metric that has some."""
    bootstrap, nothing = Bootstrap(np.arange(n), FEW), np.zeros(n)

    assert bootstrap.compute_flip_p([nothing]) == [1.0]
    assert bootstrap.compute_flip_p([nothing, np.eye(n)[0]])[0] == 1.0


def test_clusters_whose_differences_cancel_show_nothing() -> None:
    """A gain and a loss of the same passage are no evidence for either store."""
    clusters = np.repeat(np.arange(10), 2)

    assert Bootstrap(clusters, FEW).compute_flip_p([np.tile([1.0, -1.0], 10)]) == [1.0]


def test_flip_p_has_a_direction() -> None:
    """A gain gives a small p-value, the same loss one that is as large as it can be."""
    bootstrap = Bootstrap(np.arange(30), FEW)
    gain, loss = bootstrap.compute_flip_p([np.ones(30), -np.ones(30)])

    assert (gain, loss) == (1 / 1001, 1.0)


@given(values=st.lists(st.floats(-1, 1), min_size=1, max_size=60), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_a_mean_is_rounded_once(values: list[float], seed: int) -> None:
    """The mean is the float nearest to the exact sum, divided, whatever the order of the questions."""
    shuffled = np.random.default_rng(seed).permutation(values)
    exact = float(sum(map(Fraction, values), Fraction(0))) / len(values)

    assert compute_mean(np.array(values)) == compute_mean(shuffled) == exact


def test_mcnemar_is_the_mid_p_value_of_the_exact_test() -> None:
    """Half of the observed table's probability is taken off the exact binomial test, one-sided."""
    pairs = [(gained, lost) for gained in range(25) for lost in range(25) if gained + lost]
    expected = {
        (gained, lost): scipy.stats.binomtest(gained, gained + lost, 0.5, alternative="greater").pvalue
        - math.comb(gained + lost, gained) / 2 ** (gained + lost) / 2
        for gained, lost in pairs
    }

    assert {pair: compute_mcnemar(*pair) for pair in pairs} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("gained", "lost", "expected"), [(7, 1, 0.039 / 2), (0, 0, 0.5), (5, 5, 0.5), (0, 1, 0.75), (1, 0, 0.25)]
)
def test_mcnemar_known_values(gained: int, lost: int, expected: float) -> None:
    """Fagerland's example (2013, two-sided mid-p 0.039 for 7 against 1), and what symmetry gives."""
    assert compute_mcnemar(gained, lost) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.01, 0.02, 0.03, 0.04, 0.05], [0.05, 0.08, 0.09, 0.09, 0.09]),
        ([0.3, 0.6, 0.9], [0.9, 1.0, 1.0]),
        ([0.03], [0.03]),
        ([], []),
    ],
    ids=["four", "R's p.adjust", "capped at 1", "one", "none"],
)
def test_holm_known_values(p_values: list[float], expected: list[float]) -> None:
    """Known examples, in the order in which the p-values were given."""
    assert adjust_holm(np.array(p_values)).tolist() == pytest.approx(expected, abs=1e-15)


@given(p_values=st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.01, 0.05])), max_size=12))
@settings(max_examples=50, deadline=None)
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float]) -> None:
    """Going up from the smallest p-value, the k-th is held against level / (m − k + 1) until one fails."""
    adjusted = adjust_holm(np.array(p_values)).tolist()
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    expected, worst = {}, 0.0
    for step, place in enumerate(order):
        worst = max(worst, (len(p_values) - step) * p_values[place])
        expected[place] = min(worst, 1.0)

    assert dict(enumerate(adjusted)) == expected


TABLE = {
    (100, 5): 5.6,
    (100, 10): 7.9,
    (100, 15): 9.6,
    (300, 5): 3.2,
    (300, 10): 4.5,
    (300, 15): 5.6,
    (600, 5): 2.3,
    (600, 10): 3.2,
    (600, 15): 3.9,
}


@pytest.mark.parametrize(
    ("n", "disagreement", "points"),
    [(*row, points) for row, points in TABLE.items()],
    ids=[f"{n} questions, {d} %" for n, d in TABLE],
)
def test_questions_needed_are_those_of_the_table(n: int, disagreement: int, points: float) -> None:
    """The smallest gap that n questions decide, 2.49 · √(d/n), needs n questions, as far as its two digits tell."""
    interval = Interval(-1, 1, level=0.95, standard_error=math.sqrt(disagreement / 100 / n))
    needed = [count_questions_needed(n, interval, sign * points / 100, 0.8) for sign in (1, -1)]
    bounds = [n * (2.4865 * math.sqrt(disagreement / n) * 10 / (points + off)) ** 2 for off in (0.05, -0.05)]

    assert needed[0] == needed[1]
    assert needed[0] is not None
    assert needed[0] == pytest.approx(n, rel=0.05)
    assert bounds[0] < needed[0] < bounds[1]


@pytest.mark.parametrize(
    ("level", "power", "gap", "expected"),
    [(0.95, 0.8, 0.05, 248), (0.95, 0.8, 0.1, 62), (0.975, 0.8, 0.05, 314), (0.9, 0.9, 0.05, 263)],
)
def test_questions_needed_known_values(level: float, power: float, gap: float, expected: int) -> None:
    """(z_level + z_power)² · n · SE² / gap², rounded up: half the gap needs four times as many questions."""
    interval = Interval(-1, 1, level=level, standard_error=math.sqrt(0.1 / 400))

    assert count_questions_needed(400, interval, gap, power) == expected


def test_no_number_of_questions_decides_a_gap_of_nothing() -> None:
    """A true difference at the limit itself is decided by no number of questions."""
    assert count_questions_needed(100, Interval(-1, 1, 0.95, 0.02), 0.0, 0.8) is None


@pytest.mark.parametrize("chance", [0.05, 0.5, 0.8])
@pytest.mark.parametrize(("margin", "level"), [(0.03, 0.95), (0.0, 0.95), (0.05, 0.9)])
def test_a_tolerated_loss_passes_with_its_chance(margin: float, level: float, chance: float) -> None:
    """Estimates drawn around the loss have a lower bound above minus the margin as often as stated."""
    error, runs = 0.018, 100_000
    loss = compute_tolerated_loss(margin, Interval(-1, 1, level, error), chance)
    estimates = np.random.default_rng(3).normal(-loss, error, runs)
    passes = np.mean(estimates - scipy.stats.norm.ppf(level) * error > -margin)

    assert abs(passes - chance) < 4 * math.sqrt(chance * (1 - chance) / runs)


def test_what_is_known_exactly_tolerates_its_margin() -> None:
    """Without any uncertainty the true loss that passes is the margin."""
    assert compute_tolerated_loss(0.03, Interval(0, 0, 0.95, 0.0), 0.05) == 0.03
