"""How long metrics take beside pytrec_eval, from the same ranked lists, and beside the evaluator of training runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.benchmarks.metric_methods import save_lists, save_vectors
from tests.conftest import draw_unit_vectors

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.retrieval import Ranking
    from tests.benchmarks.race import Race
    from validation.metrics import Values

QUESTIONS = 100_000
PASSAGES = 1_000_000
DEPTH = 100
TREC_RATIO = 1 / 10
MODULE = "tests.benchmarks.metric_methods"
FROM_LISTS = {"ours": f"{MODULE}:measure_lists", "pytrec_eval": f"{MODULE}:measure_by_pytrec_eval"}
FROM_VECTORS = {
    "ours": f"{MODULE}:average_by_ours",
    "InformationRetrievalEvaluator": f"{MODULE}:average_by_sentence_transformers",
}


def assert_equal_metrics(ours: dict[str, Values], theirs: dict[str, Values]) -> None:
    """Every metric of every question is the same within 1e-12."""
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], rtol=0, atol=1e-12, err_msg=name)


def assert_equal_means(ours: dict[str, float], theirs: dict[str, float]) -> None:
    """Every mean metric is the same within 1e-9."""
    assert ours == pytest.approx(theirs, rel=0, abs=1e-9)


def draw_lists(most_relevant: int) -> tuple[Ranking, Ranking]:
    """Draw ranked lists of 100 passages, and 1 to so many relevant ones a question, of which some are not listed."""
    random = np.random.default_rng(most_relevant)
    order = random.permuted(np.tile(np.arange(DEPTH), (QUESTIONS, 1)), axis=1)
    rankings = random.integers(0, PASSAGES // DEPTH, (QUESTIONS, 1)) * DEPTH + order
    places = random.permuted(np.tile(np.arange(DEPTH), (QUESTIONS, 1)), axis=1)[:, :most_relevant]
    relevant = np.take_along_axis(rankings, places, axis=1)
    relevant[random.random(relevant.shape) < 0.3] += PASSAGES  # which no list holds
    relevant[np.arange(most_relevant) >= random.integers(1, most_relevant + 1, (QUESTIONS, 1))] = -1
    return rankings, relevant


@pytest.mark.parametrize("most_relevant", [1, 3], ids=["one relevant", "one to three relevant"])
@pytest.mark.benchmark(group="recall@1/5/10/100, MRR@10, nDCG@10 of 100,000 questions")
def test_metrics_of_many_questions(race: Race, tmp_path: Path, most_relevant: int) -> None:
    """From integers in memory to every metric of every question, ten times as quick as pytrec_eval with its dicts."""
    save_lists(tmp_path, *draw_lists(most_relevant))

    race(FROM_LISTS, tmp_path, rounds=3, agree=assert_equal_metrics, limits={"pytrec_eval": TREC_RATIO})


@pytest.mark.benchmark(group="from vectors to mean metrics: 328 questions, 1857 passages")
def test_metrics_of_vectors(race: Race, tmp_path: Path) -> None:
    """Search and metrics in one, for information."""
    passages, questions = draw_unit_vectors(1857, 1), draw_unit_vectors(328, 2)
    relevant = np.arange(328)[:, np.newaxis] * 5 + np.arange(2)
    near = questions + passages[relevant].sum(axis=1) / 8
    save_vectors(tmp_path, near / np.linalg.norm(near, axis=1, keepdims=True), passages, relevant)

    race(FROM_VECTORS, tmp_path, rounds=9, agree=assert_equal_means)
