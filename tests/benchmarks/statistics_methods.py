"""Ways to say how sure a difference is: ours, ranx's and scipy's, from the same differences or the same two runs."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.answers import load_policy
from validation.metrics import compute_metrics
from validation.ranks import rank_listed
from validation.statistics import Bootstrap, find_clusters

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

METRICS = ("recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10")


def flip_by_ours(folder: Path) -> Callable[[], float]:
    """Flip the policy's 100,000 times; the resamples, which flips do not need, are drawn before."""
    differences = _load_differences(folder)
    bootstrap = Bootstrap(np.arange(len(differences)), load_policy().statistics)
    return lambda: bootstrap.compute_flip_p([differences])[0]


def flip_by_ranx(folder: Path) -> Callable[[], float]:
    """Run ranx's Fisher randomisation test, compiled; of its two sides one is kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own just-in-time compilation
        from ranx.statistical_tests import fisher_randomization_test

    base, candidate = np.load(folder / "base.npy"), np.load(folder / "candidate.npy")
    flips = load_policy().statistics.flips
    return lambda: float(fisher_randomization_test(base, candidate, flips)[0]) / 2


def flip_by_scipy(folder: Path) -> Callable[[], float]:
    """Run scipy's paired permutation test in batches."""
    from scipy.stats import permutation_test

    pair = np.load(folder / "candidate.npy"), np.load(folder / "base.npy")
    options: dict[str, Any] = {"permutation_type": "samples", "alternative": "greater", "vectorized": True}
    flips = load_policy().statistics.flips
    return lambda: float(
        permutation_test(
            pair, _subtract_means, n_resamples=flips, batch=2000, rng=np.random.default_rng(1), **options
        ).pvalue
    )


def _subtract_means(candidate: Any, base: Any, axis: int) -> Any:
    return np.mean(candidate, axis=axis) - np.mean(base, axis=axis)


def bound_by_ours(folder: Path) -> Callable[[], tuple[float, float]]:
    """Draw the policy's 10,000 resamples and return both bounds of the mean."""
    differences = _load_differences(folder)

    def bound() -> tuple[float, float]:
        bootstrap = Bootstrap(np.arange(len(differences)), load_policy().statistics)
        interval = bootstrap.compute_intervals([differences])[0]
        return interval.lower, interval.upper

    return bound


def bound_by_scipy(folder: Path) -> Callable[[], tuple[float, float]]:
    """Run scipy's percentile bootstrap with as many resamples."""
    from scipy.stats import bootstrap

    differences, settings = _load_differences(folder), load_policy().statistics

    def bound() -> tuple[float, float]:
        options: dict[str, Any] = {"method": "percentile", "vectorized": True, "batch": 2000}
        level = 2 * settings.level - 1
        found = bootstrap(
            (differences,), np.mean, n_resamples=settings.resamples, confidence_level=level, rng=1, **options
        )
        return float(found.confidence_interval.low), float(found.confidence_interval.high)

    return bound


def compare_by_ours(folder: Path) -> Callable[[], dict[str, list[float]]]:
    """Compare two runs as the gate does: metrics, clusters, 10,000 resamples and 100,000 flips of five metrics."""
    relevant, runs = _load_runs(folder)
    ranks = [rank_listed(run, relevant) for run in runs]

    def compare() -> dict[str, list[float]]:
        base, candidate = (compute_metrics(side) for side in ranks)
        differences = [candidate[name] - base[name] for name in METRICS]
        bootstrap = Bootstrap(find_clusters(relevant), load_policy().statistics)
        bootstrap.compute_intervals(differences)
        bootstrap.compute_flip_p(differences)
        return {name: [float(base[name].mean()), float(candidate[name].mean())] for name in METRICS}

    return compare


def compare_by_ranx(folder: Path) -> Callable[[], dict[str, list[float]]]:
    """Compare the same runs by `ranx.compare`, read in before; it makes as many permutations and no resample."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ranx

    relevant, runs = _load_runs(folder)
    qrels = ranx.Qrels({f"q{n}": {f"p{p}": 1 for p in row} for n, row in enumerate(relevant)})
    sides = [ranx.Run(_score(run), name=name) for name, run in zip(("base", "new"), runs, strict=True)]
    flips = load_policy().statistics.flips

    def compare() -> dict[str, list[float]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = ranx.compare(qrels, sides, list(METRICS), stat_test="fisher", n_permutations=flips)
        return {name: [float(report.results[side][name]) for side in ("base", "new")] for name in METRICS}

    return compare


def _load_differences(folder: Path) -> Any:
    return np.load(folder / "candidate.npy") - np.load(folder / "base.npy")


def _load_runs(folder: Path) -> tuple[list[list[int]], list[Any]]:
    relevant = [[place for place in row if place >= 0] for row in np.load(folder / "relevant.npy").tolist()]
    return relevant, [np.load(folder / f"{name}.npy") for name in ("base", "candidate")]


def _score(rankings: Any) -> dict[str, dict[str, float]]:
    return {f"q{n}": {f"p{p}": 1.0 / rank for rank, p in enumerate(row, 1)} for n, row in enumerate(rankings.tolist())}
