"""How long exact search takes beside faiss, usearch and numpy, in a store of 1857 passages and in one of a million."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.chunks import Chunk
from pipeline.database import export_database
from pipeline.vectors import DIMENSION
from tests.benchmarks.search_methods import DATABASE, save_workload
from tests.conftest import build_chunk, draw_unit_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from tests.benchmarks.race import Race

PASSAGES = 1857
QUESTIONS = 328
ROUNDS = 21
CALLS = 5  # of some milliseconds each
FAISS_RATIO = 1.1
NUMPY_RATIO = 1.5
BLOB_RATIO = 2.5
LARGE = 1_000_000
DRAWN_AT_ONCE = 20_000
MOST_MB = 1000
REPEATS = 20  # of a short text, so that rows are as long as real ones
METHODS = {
    name: f"tests.benchmarks.search_methods:{function}"
    for name, function in {
        "ours": "rank_by_ours",
        "faiss": "rank_by_faiss",
        "numpy": "rank_by_numpy",
        "usearch": "rank_by_usearch",
    }.items()
}
AT_SCALE = {name: METHODS[name] for name in ("ours", "faiss")}
RANKED = {"ours": "tests.benchmarks.search_methods:rank_relevant_too"}
FROM_BLOBS = {"ours, from blobs": "tests.benchmarks.search_methods:rank_blobs", "numpy": METHODS["numpy"]}


def assert_same_passages(ours: npt.NDArray[np.integer], theirs: npt.NDArray[np.integer]) -> None:
    """Each question has the same nearest passages in both answers, in any order."""
    np.testing.assert_array_equal(np.sort(ours, axis=1), np.sort(theirs.astype(np.int64), axis=1))


def assert_nearly_same_passages(ours: npt.NDArray[np.integer], theirs: npt.NDArray[np.integer]) -> None:
    """Each question has the same nearest passages, but for ties at the end: at most one in 1000 places differs."""
    shared = sum(len(np.intersect1d(*pair)) for pair in zip(ours, theirs, strict=True))
    assert ours.shape == theirs.shape
    assert shared >= 0.999 * ours.size


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep a folder with a million passages, 3 GB, which is removed at the end."""
    folder = tmp_path_factory.mktemp("large")
    path, random = folder / "passages.npy", np.random.default_rng(1)
    passages = np.lib.format.open_memmap(path, "w+", np.dtype("<f4"), (LARGE, DIMENSION))
    for start in range(0, LARGE, DRAWN_AT_ONCE):
        block = random.standard_normal((DRAWN_AT_ONCE, DIMENSION), dtype=np.float32)
        passages[start : start + DRAWN_AT_ONCE] = block / np.linalg.norm(block, axis=1, keepdims=True)
    passages.flush()
    del passages
    yield folder
    path.unlink()


@pytest.mark.parametrize("threads", [1, 2], ids="threads: {}".format)
@pytest.mark.benchmark(group="top 10 of 1857 passages, 328 questions")
def test_search_of_a_gold_set(race: Race, tmp_path: Path, threads: int) -> None:
    """All questions of a gold set at once: at most 1.1 times as long as faiss, and 1.5 times as numpy by hand."""
    save_workload(tmp_path, *draw_workload())

    limits = {"faiss": FAISS_RATIO, "numpy": NUMPY_RATIO}
    race(METHODS, tmp_path, rounds=ROUNDS, calls=CALLS, threads=threads, agree=assert_same_passages, limits=limits)


@pytest.mark.benchmark(group="from a database: top 10 of 1857 passages, 328 questions")
def test_search_of_a_database(race: Race, tmp_path: Path) -> None:
    """Opening a database and reading every vector out of it costs at most 2.5 times the search by numpy."""
    questions, depth, passages = draw_workload()
    save_workload(tmp_path, questions, depth, passages)
    chunks: list[dict[str, Any]] = [build_chunk(index) for index in range(PASSAGES)]
    long = [Chunk.model_validate({**chunk, "text": chunk["text"] * REPEATS}) for chunk in chunks]
    export_database(tmp_path / DATABASE, long, passages, "speed")

    limits = {"numpy": BLOB_RATIO}
    race(FROM_BLOBS, tmp_path, rounds=ROUNDS, calls=CALLS, agree=assert_same_passages, limits=limits)


@pytest.mark.parametrize("depth", [10, 100], ids="top {}".format)
@pytest.mark.benchmark(group="1,000,000 passages, 328 questions")
def test_search_of_a_million(race: Race, large: Path, depth: int) -> None:
    """At most 1.1 times as long as faiss, with at most 1 GB beside the mapped file."""
    save_workload(large, draw_unit_vectors(QUESTIONS, 2), depth)
    file_mb = (large / "passages.npy").stat().st_size / 1e6

    lanes = race(AT_SCALE, large, rounds=3, agree=assert_nearly_same_passages, limits={"faiss": FAISS_RATIO})

    assert lanes["ours"].anonymous_mb <= MOST_MB
    assert lanes["ours"].peak_mb <= file_mb + MOST_MB


@pytest.mark.benchmark(group="ranks of relevant passages and top 100, 1,000,000 passages, 328 questions")
def test_ranks_of_a_million(race: Race, large: Path) -> None:
    """What the gate needs of each store, from one pass over the file, for information; the memory is bounded."""
    save_workload(large, draw_unit_vectors(QUESTIONS, 2), 100)

    lanes = race(RANKED, large, rounds=1)

    assert lanes["ours"].anonymous_mb <= MOST_MB


def draw_workload() -> tuple[npt.NDArray[np.float32], int, npt.NDArray[np.float32]]:
    """Return questions that are each near a passage, how many passages are sought, and the passages."""
    passages = draw_unit_vectors(PASSAGES, 1)
    near = passages[np.arange(QUESTIONS) * 7 % PASSAGES] + draw_unit_vectors(QUESTIONS, 2)
    return near / np.linalg.norm(near, axis=1, keepdims=True), 10, passages
