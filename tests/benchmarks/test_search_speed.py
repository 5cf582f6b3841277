"""How long exact search takes beside numpy's own batch product, on a store of the French corpus's size."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.chunks import Chunk
from pipeline.database import export_database, load_matrix, open_database
from pipeline.retrieval import Ranking, rank_cosine
from tests.conftest import build_chunk, draw_unit_vectors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

    from pipeline.vectors import Matrix

PASSAGES = 1857
QUESTIONS = 680
DEPTH = 10
ROUNDS = 21
SEARCH_RATIO = 1.5
BLOB_RATIO = 2.5
REPEATS = 20  # of a short text, so that rows are as long as real ones


@dataclass(frozen=True, slots=True)
class Workload:
    """A store's database, its passages' vectors, and the vectors of a gold set that is asked of it."""

    questions: Matrix
    passages: Matrix
    database: Path

    def search_by_peer(self) -> npt.NDArray[np.intp]:
        """Find the ten nearest passages, in no order, as one writes it in numpy."""
        scores = self.questions @ self.passages.T
        return np.argpartition(scores, -DEPTH, axis=1)[:, -DEPTH:]

    def search(self) -> Ranking:
        """Rank vectors that are in memory."""
        return rank_cosine(self.questions, self.passages, DEPTH)

    def search_blobs(self) -> Ranking:
        """Open the database, read every vector out of it, and rank."""
        with open_database(self.database) as connection:
            return rank_cosine(self.questions, load_matrix(connection), DEPTH)


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    """A store of 1857 rows with text of a usual length, and 680 questions, each near a passage."""
    passages = draw_unit_vectors(PASSAGES, 1)
    near = passages[np.arange(QUESTIONS) * 7 % PASSAGES] + draw_unit_vectors(QUESTIONS, 2)
    chunks = [build_chunk(index) for index in range(PASSAGES)]
    database = tmp_path_factory.mktemp("speed") / "store.db"
    long = [Chunk.model_validate({**chunk, "text": chunk["text"] * REPEATS}) for chunk in chunks]
    export_database(database, long, passages, "speed")
    return Workload(near / np.linalg.norm(near, axis=1, keepdims=True), passages, database)


@pytest.fixture(params=["peer", "memory", "blobs"])
def search(request: pytest.FixtureRequest, workload: Workload) -> Callable[[], npt.NDArray[np.intp]]:
    """Each of the three ways to find the ten nearest passages."""
    searches = {"peer": workload.search_by_peer, "memory": workload.search, "blobs": workload.search_blobs}
    return searches[request.param]


@pytest.mark.benchmark(group="the gold set's ten nearest passages")
def test_search_time(
    benchmark: BenchmarkFixture, search: Callable[[], npt.NDArray[np.intp]], workload: Workload
) -> None:
    """Absolute times, which inform and decide nothing; each search finds the same ten passages as numpy."""
    found = benchmark(search)

    np.testing.assert_array_equal(np.sort(found, axis=1), np.sort(workload.search_by_peer(), axis=1))


@pytest.mark.parametrize("questions", [328, QUESTIONS], ids="{} questions".format)
@pytest.mark.benchmark(group="the three searches in turn", min_rounds=ROUNDS)
def test_search_costs_little_more_than_its_matrix_product(
    benchmark: BenchmarkFixture, workload: Workload, questions: int
) -> None:
    """Measured in turn in one run: search at most 1.5 times numpy's product with argpartition, from blobs 2.5 times."""
    asked = replace(workload, questions=workload.questions[:questions])
    searches: tuple[Callable[[], object], ...] = (asked.search_by_peer, asked.search, asked.search_blobs)
    seconds: list[list[float]] = []

    def run_round() -> None:
        seconds.append([measure_seconds(search) for search in searches])

    benchmark(run_round)
    peer, memory, blobs = np.median(seconds, axis=0).tolist()
    benchmark.extra_info.update(memory_ratio=memory / peer, blob_ratio=blobs / peer)

    assert memory / peer <= SEARCH_RATIO
    assert blobs / peer <= BLOB_RATIO


def measure_seconds(search: Callable[[], object]) -> float:
    """Return how long one call takes."""
    begun = time.perf_counter()
    search()
    return time.perf_counter() - begun
