"""How long flips, resamples and the whole comparison of two runs take beside ranx and scipy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.retrieval import Ranking
    from tests.benchmarks.race import Race

QUESTIONS = 600
PASSAGES = 1857
DEPTH = 100
MOST_RELEVANT = 3
FLIPS = 100_000  # of the policy
FLIP_RATIO = 1 / 100
COMPARISON_RATIO = 1 / 50
MODULE = "tests.benchmarks.statistics_methods"
FLIPPED = {name: f"{MODULE}:flip_by_{name}" for name in ("ours", "ranx", "scipy")}
BOUNDED = {name: f"{MODULE}:bound_by_{name}" for name in ("ours", "scipy")}
COMPARED = {name: f"{MODULE}:compare_by_{name}" for name in ("ours", "ranx")}


def assert_same_p(ours: float, theirs: float) -> None:
    """Both p-values are the same within 4.5 standard errors of as many flips."""
    assert abs(ours - theirs) < 4.5 * math.sqrt(2 * ours * (1 - ours) / FLIPS)


def assert_same_bounds(ours: tuple[float, float], theirs: tuple[float, float]) -> None:
    """Both bounds are the same within 5 % of the interval's width."""
    assert ours == pytest.approx(theirs, rel=0, abs=0.05 * (ours[1] - ours[0]))


def assert_same_means(ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> None:
    """Both runs have the same mean metrics within 1e-9."""
    for name, means in ours.items():
        assert theirs[name] == pytest.approx(means, rel=0, abs=1e-9), name


def save_values(folder: Path) -> None:
    """Write recall of both stores on 600 questions, one or two passages relevant to each; 59 % do not differ."""
    random = np.random.default_rng(1)
    base = random.choice([0.0, 0.5, 1.0], QUESTIONS, p=[0.5, 0.2, 0.3])
    moved = random.choice([0.0, 0.5, 1.0], QUESTIONS, p=[0.46, 0.2, 0.34])
    is_same = random.random(QUESTIONS) < 0.35
    np.save(folder / "base.npy", base)
    np.save(folder / "candidate.npy", np.where(is_same, base, moved))


def save_runs(folder: Path) -> None:
    """Write relevant passages, no two questions sharing one, and two runs with the first of them at a random place."""
    random = np.random.default_rng(1)
    ends = np.cumsum(random.integers(1, MOST_RELEVANT + 1, QUESTIONS))
    judged = [row.tolist() for row in np.split(random.permutation(PASSAGES), ends)[:QUESTIONS]]
    np.save(folder / "relevant.npy", [[*row, *[-1] * (MOST_RELEVANT - len(row))] for row in judged])
    for name in ("base", "candidate"):
        np.save(folder / f"{name}.npy", [_draw_ranking(random, row[0]) for row in judged])


def _draw_ranking(random: np.random.Generator, sought: int) -> Ranking:
    others = random.permutation(np.delete(np.arange(PASSAGES), sought))
    return np.insert(others, min(DEPTH, random.geometric(0.05) - 1), sought)[:DEPTH]


@pytest.mark.benchmark(group="100,000 sign flips of 600 paired differences")
def test_flips(race: Race, tmp_path: Path) -> None:
    """A hundred times as quick as ranx with the same values and as many permutations."""
    save_values(tmp_path)

    race(FLIPPED, tmp_path, rounds=5, agree=assert_same_p, limits={"ranx": FLIP_RATIO})


@pytest.mark.benchmark(group="10,000 resamples of 600 paired differences")
def test_resamples(race: Race, tmp_path: Path) -> None:
    """Drawing the resamples and bounding one metric, for information."""
    save_values(tmp_path)

    race(BOUNDED, tmp_path, rounds=9, agree=assert_same_bounds)


@pytest.mark.benchmark(group="two runs of 600 questions × 5 metrics, 100,000 flips and, by ours, 10,000 resamples")
def test_comparison_of_two_runs(race: Race, tmp_path: Path) -> None:
    """Everything that the gate says of two runs, fifty times as quick as the test alone by ranx."""
    save_runs(tmp_path)

    race(COMPARED, tmp_path, rounds=1, agree=assert_same_means, limits={"ranx": COMPARISON_RATIO})
