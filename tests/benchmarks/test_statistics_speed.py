"""How long the comparison of two runs takes beside ranx's, which needs an environment of its own with ranx in it."""

from __future__ import annotations

import importlib
import os
import time
import warnings
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.answers import load_policy
from validation.metrics import compute_metrics, rank_listed
from validation.statistics import Bootstrap, find_clusters

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from pipeline.retrieval import Ranking
    from validation.metrics import Ranks
    from validation.outcomes import Interval

QUESTIONS = 600
PASSAGES = 1857
DEPTH = 100
MOST_RELEVANT = 3
METRICS = ("recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10")
RANX_PERMUTATIONS = 1000  # its default
ROUNDS = 9
RATIO = 50


@dataclass(frozen=True, slots=True)
class Runs:
    """What two stores found for the same questions.

    Attributes:
        relevant: positions of each question's relevant passages; no two questions share one, so that each is a unit
            of its own for both sides of the comparison.
        base, candidate: int64 `(600, 100)`, nearest first.
    """

    relevant: list[list[int]]
    base: Ranking
    candidate: Ranking

    def rank(self) -> tuple[Ranks, Ranks]:
        """Return the ranks of the relevant passages in both runs."""
        return rank_listed(list(self.base), self.relevant), rank_listed(list(self.candidate), self.relevant)


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the comparison of two runs says: means, intervals and p-values of each metric."""

    means: dict[str, tuple[float, float]]
    intervals: list[Interval]
    flips: list[float]


def draw_runs(seed: int) -> Runs:
    """Draw relevant passages, and rankings that hold the first of them at a random place more often than not."""
    random = np.random.default_rng(seed)
    ends = np.cumsum(random.integers(1, MOST_RELEVANT + 1, QUESTIONS))
    judged = [row.tolist() for row in np.split(random.permutation(PASSAGES), ends)[:QUESTIONS]]
    base, candidate = (np.stack([_draw_ranking(random, row[0]) for row in judged]) for _ in range(2))
    return Runs(judged, base, candidate)


def _draw_ranking(random: np.random.Generator, sought: int) -> Ranking:
    others = random.permutation(np.delete(np.arange(PASSAGES), sought))
    return np.insert(others, min(DEPTH, random.geometric(0.05) - 1), sought)[:DEPTH]


def compare_runs(runs: Runs, ranks: tuple[Ranks, Ranks]) -> Findings:
    """Compare two runs as the gate does: metrics, clusters, the policy's 10,000 resamples and 100,000 flips."""
    base, candidate = (compute_metrics(side) for side in ranks)
    differences = [candidate[name] - base[name] for name in METRICS]
    bootstrap = Bootstrap(find_clusters(runs.relevant), load_policy().statistics)
    return Findings(
        means={name: (float(base[name].mean()), float(candidate[name].mean())) for name in METRICS},
        intervals=bootstrap.compute_intervals(differences),
        flips=bootstrap.compute_flip_p(differences),
    )


class Peer:
    """ranx with both runs read in, which is not timed, and compiled, which is not timed either."""

    def __init__(self, runs: Runs) -> None:
        """Import ranx, hand it the runs and let it compare them once."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own just-in-time compilation
            self._ranx: Any = importlib.import_module("ranx")
            self._qrels = self._ranx.Qrels({f"q{q}": {f"p{p}": 1 for p in row} for q, row in enumerate(runs.relevant)})
            sides = (("base", runs.base), ("new", runs.candidate))
            self._sides = [self._ranx.Run(_score(side), name=name) for name, side in sides]
        self.report = self.compare(permutations=2)

    def compare(self, permutations: int) -> Any:
        """Compare both runs over five metrics with Fisher's randomisation test."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._ranx.compare(
                self._qrels, self._sides, list(METRICS), stat_test="fisher", n_permutations=permutations
            )

    def measure(self, permutations: int, rounds: int) -> float:
        """Return the median seconds of a comparison."""
        seconds = []
        for _ in range(rounds):
            begun = time.perf_counter()
            self.compare(permutations)
            seconds.append(time.perf_counter() - begun)
        return median(seconds)


def _score(rankings: Ranking) -> dict[str, dict[str, float]]:
    rows = enumerate(rankings.tolist())
    return {f"q{q}": {f"p{p}": 1.0 / rank for rank, p in enumerate(row, 1)} for q, row in rows}


@pytest.fixture(scope="module")
def runs() -> Runs:
    """Two runs over 600 questions."""
    return draw_runs(1)


@pytest.mark.benchmark(
    group="600 questions × 5 metrics, 10,000 resamples and 100,000 flips", min_rounds=ROUNDS, warmup=True
)
def test_comparison_time(benchmark: BenchmarkFixture, runs: Runs) -> None:
    """Absolute time, which informs and decides nothing, from the ranks of both runs on."""
    ranks = runs.rank()
    found = benchmark(compare_runs, runs, ranks)
    benchmark.extra_info.update(threads=os.environ.get("OPENBLAS_NUM_THREADS", "as many as there are"))

    assert len(set(find_clusters(runs.relevant).tolist())) == QUESTIONS
    assert all(each.lower < each.upper for each in found.intervals)
    assert all(0 < p < 1 for p in found.flips)


@pytest.mark.benchmark(group="beside ranx", min_rounds=ROUNDS)
def test_comparison_is_far_quicker_than_ranx(benchmark: BenchmarkFixture, runs: Runs) -> None:
    """In one run and with as many permutations, ranx takes at least 50 times as long for the test alone."""
    ranks, peer = runs.rank(), Peer(runs)
    measured: list[float] = []

    def run_round() -> Findings:
        begun = time.perf_counter()
        found = compare_runs(runs, ranks)
        measured.append(time.perf_counter() - begun)
        return found

    found, seconds = benchmark(run_round), median(measured)
    equal = peer.measure(load_policy().statistics.flips, rounds=1)
    default = peer.measure(RANX_PERMUTATIONS, rounds=3)
    benchmark.extra_info.update(
        threads=os.environ.get("OPENBLAS_NUM_THREADS", "as many as there are"),
        ranx_seconds=equal,
        ratio=equal / seconds,
        ranx_default_seconds=default,
        ratio_to_default=default / seconds,
    )

    for name, means in found.means.items():
        assert [peer.report.results[side][name] for side in ("base", "new")] == pytest.approx(means, abs=1e-9)
    assert equal / seconds >= RATIO
