"""How long the comparison of two runs takes beside ranx's."""

from __future__ import annotations

import importlib
import time
import warnings
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pipeline.retrieval import Ranking

QUESTIONS = 600
PASSAGES = 1857
DEPTH = 100
MOST_RELEVANT = 3
METRICS = ("recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10")
RANX_PERMUTATIONS = 1000  # its default


@dataclass(frozen=True, slots=True)
class Runs:
    """What two stores found for the same questions.

    Attributes:
        relevant: positions of each question's relevant passages.
        base, candidate: int64 `(600, 100)`, nearest first.
    """

    relevant: list[list[int]]
    base: Ranking
    candidate: Ranking


def draw_runs(seed: int) -> Runs:
    """Draw relevant passages, and rankings that hold the first of them at a random place more often than not."""
    random = np.random.default_rng(seed)
    judged = [random.permutation(PASSAGES)[: random.integers(1, MOST_RELEVANT + 1)].tolist() for _ in range(QUESTIONS)]
    base, candidate = (np.stack([_draw_ranking(random, row[0]) for row in judged]) for _ in range(2))
    return Runs(judged, base, candidate)


def _draw_ranking(random: np.random.Generator, sought: int) -> Ranking:
    others = random.permutation(np.delete(np.arange(PASSAGES), sought))
    return np.insert(others, min(DEPTH, random.geometric(0.05) - 1), sought)[:DEPTH]


def measure_ranx(runs: Runs, rounds: int, permutations: int = RANX_PERMUTATIONS) -> float:
    """Return the median seconds that `ranx.compare` takes with Fisher's randomisation test over five metrics.

    Reading the runs into ranx and the first call, in which it compiles itself, do not count.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own just-in-time compilation
        ranx = importlib.import_module("ranx")
        qrels = ranx.Qrels({f"q{q}": {f"p{p}": 1 for p in row} for q, row in enumerate(runs.relevant)})
        sides = [ranx.Run(_score(side), name=name) for name, side in (("base", runs.base), ("new", runs.candidate))]
        seconds = []
        for _ in range(rounds + 1):
            begun = time.perf_counter()
            ranx.compare(qrels, sides, list(METRICS), stat_test="fisher", n_permutations=permutations)
            seconds.append(time.perf_counter() - begun)
    return median(seconds[1:])


def _score(rankings: Ranking) -> dict[str, dict[str, float]]:
    rows = enumerate(rankings.tolist())
    return {f"q{q}": {f"p{p}": 1.0 / rank for rank, p in enumerate(row, 1)} for q, row in rows}
