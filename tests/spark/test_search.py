"""Parts searched by workers and merged give what one process finds in the whole: the same ranks, the same lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.errors import EngineError
from pipeline.params import BUILD, load_params
from pipeline.retrieval import rank_cosine
from pipeline.spark.session import tell_fault
from pipeline.vectors import DIMENSION, Matrix, map_array, save_vectors
from tests.conftest import draw_unit_vectors
from validation.comparison import search_store
from validation.evidence import VectorEvidence, collect_store
from validation.gate import load_corpus
from validation.ranks import rank_relevant
from validation.request import list_release_corpora
from validation.spark.row_ranges import Cutter
from validation.spark.search import list_parts, rank_parts, search_on_spark

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from pyspark.sql import SparkSession

    from validation.spark.row_ranges import CutMatrix
    from validation.stores import CorpusRequest

QUESTIONS, PASSAGES = 240, 6000
CORPORA = [corpus for corpus in list_release_corpora(load_params()) if corpus.stores["qlora"].is_dir()]


def write_matrix(path: Path, matrix: Matrix) -> VectorEvidence:
    """Write vectors and read them as the gate does."""
    save_vectors(path, matrix)
    with path.open("rb") as stream:
        return VectorEvidence(*map_array(stream, path))


def draw_with_ties(rows: int, seed: int) -> Matrix:
    """Return unit vectors of which every third is one that comes elsewhere too, in another part as a rule."""
    vectors = draw_unit_vectors(rows, seed)
    places = np.arange(0, rows, 3)
    vectors[places] = vectors[np.random.default_rng(seed).permutation(places) // 2]
    return vectors


def cut_file(cutter: Cutter, path: Path, matrix: Matrix) -> CutMatrix:
    """Return the parts of a matrix on disk."""
    cut = cutter.cut(write_matrix(path, matrix), path)

    assert cut is not None

    return cut


@pytest.mark.parametrize("rows_a_part", [700, 1024, PASSAGES], ids=str)
def test_ranks_and_lists_are_those_of_the_whole(
    spark: SparkSession, tmp_path: Path, compared: Counter[str], rows_a_part: int
) -> None:
    """With equal vectors in other parts, ties count against the passage sought and stand in the corpus's order."""
    passages, draw = draw_with_ties(PASSAGES, seed=3), np.random.default_rng(4)
    relevant = [draw.choice(PASSAGES, size=draw.integers(1, 5), replace=False).tolist() for _ in range(QUESTIONS)]
    near = np.stack([passages[places].mean(axis=0) for places in relevant]) + draw_unit_vectors(QUESTIONS, seed=5)
    questions = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)
    cut = cut_file(Cutter(spark, rows_a_part), tmp_path / "passages.npy", passages)
    expected, found = (
        rank_relevant(questions, passages, relevant),
        rank_parts(spark, cut, questions, passages, relevant),
    )
    compared["ranks"] += int(expected.relevant.sum())

    assert cut.parts.count() == -(-PASSAGES // rows_a_part) or rows_a_part == PASSAGES
    assert (found.ranks == expected.ranks).all()
    assert (found.relevant == expected.relevant).all()
    assert (list_parts(spark, cut, questions, 100) == rank_cosine(questions, passages, 100)).all()


def test_small_parts_merge_with_ties(spark: SparkSession, cutter: Cutter, tmp_path: Path) -> None:
    """Parts with fewer passages than are asked for, all of them equal, are listed by position."""
    passages = np.zeros((23, DIMENSION), dtype=np.float32)
    passages[:, :4] = 0.5  # products without rounding: so small ones differ in their last bits by their shape
    questions = np.eye(3, DIMENSION, dtype=np.float32)
    cut = cut_file(cutter, tmp_path / "passages.npy", passages)

    assert list_parts(spark, cut, questions, 10).tolist() == [list(range(10))] * 3
    assert rank_parts(spark, cut, questions, passages, [[0], [22], [3, 4]]).ranks[:, 0].tolist() == [23, 23, 22]


def test_a_passage_beyond_the_last_is_refused(spark: SparkSession, cutter: Cutter, tmp_path: Path) -> None:
    """What is sought and is not there has no rank."""
    passages = draw_unit_vectors(12, seed=1)
    cut = cut_file(cutter, tmp_path / "passages.npy", passages)

    with pytest.raises(IndexError, match="out of bounds"):
        rank_parts(spark, cut, draw_unit_vectors(1, seed=2), passages, [[12]])


def test_rows_that_were_changed_meanwhile_are_not_searched(spark: SparkSession, cutter: Cutter, tmp_path: Path) -> None:
    """What a worker reads is what was hashed: a single other bit in its part is an error that names file and rows."""
    path = tmp_path / "passages.npy"
    cut = cut_file(cutter, path, draw_unit_vectors(12, seed=1))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with pytest.raises(Exception, match="are not those that were hashed") as raised:
        list_parts(spark, cut, draw_unit_vectors(1, seed=2), 10)

    told = EngineError("Spark", tell_fault(raised.value), "stop")
    assert f"{path}: rows 8 to 11 are not those that were hashed" in str(told)
    assert "\n" not in str(told)


@pytest.mark.parametrize("request_", CORPORA, ids=lambda request: request.stores["base"].name)
@pytest.mark.parametrize("role", ["base", "qlora"])
def test_built_stores_are_searched_alike(
    spark: SparkSession, compared: Counter[str], request_: CorpusRequest, role: str
) -> None:
    """On the project's own stores, where they are built, ranks and lists are those of one process."""
    corpus = load_corpus(request_)
    store, _ = collect_store(role, BUILD / role / corpus.name, corpus)  # type: ignore[arg-type]

    assert store is not None

    ranks, listed = search_on_spark(spark, Cutter(spark), store, corpus)
    expected, expected_list = search_store(store, corpus)
    compared["ranks"] += int(expected.relevant.sum())

    assert (ranks.ranks == expected.ranks).all()
    assert (listed == expected_list).all()
