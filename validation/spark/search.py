"""Search on Spark: each task searches its parts, and what tasks find is merged to what one process would find.

Scores are float32, and the last bits of a matrix product depend on the shapes in it. On one kind of machine parts of
512 rows and more give the bits of the whole; where machines differ, a rank may differ by the passages whose scores lie
within some 1e-7 of the limit at which they count as before the passage that is sought.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.nearest import Nearest, iterate_scores, split_questions
from validation.comparison import LIST_DEPTH, get_matrices, search_store
from validation.ranks import Positions, Ranks, Sought, compute_ranks, find_limits, pad_relevant, require_finite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyspark.sql import SparkSession

    from pipeline.retrieval import Ranking
    from pipeline.vectors import Matrix
    from validation.evidence import CorpusEvidence, StoreEvidence
    from validation.spark.row_ranges import CutMatrix, Cutter, MatrixFile

Scores = npt.NDArray[np.float32]


def search_on_spark(
    session: SparkSession, cutter: Cutter, store: StoreEvidence, corpus: CorpusEvidence
) -> tuple[Ranks, Ranking]:
    """Return what `validation.comparison.search_store` does: counts of each part are added up, its lists are merged.

    Questions are sent to the workers, passages they read themselves.
    """
    cut = cutter.cut(store.passages, store.folder / store.manifest.files.embeddings.name)
    if cut is None:
        return search_store(store, corpus)
    questions, passages = get_matrices(store)
    ranks = rank_parts(session, cut, questions, passages, corpus.gold.relevant)
    return ranks, list_parts(session, cut, questions, LIST_DEPTH)


def rank_parts(
    session: SparkSession, cut: CutMatrix, questions: Matrix, passages: Matrix, relevant: Sequence[Sequence[int]]
) -> Ranks:
    """Rank the relevant passages of each question among all passages of a matrix.

    Args:
        session: whose workers count.
        cut: the passages as workers read them.
        questions: unit vectors, float32 `(n_questions, 768)`.
        passages: the same passages here, of which only the relevant ones are read.
        relevant: positions of the relevant passages of each question.

    Raises:
        ValueError: as `validation.ranks.pad_relevant` says.
        IndexError: a relevant passage lies beyond the last.
    """
    wanted, counts = pad_relevant(relevant, len(questions))
    limits = np.concatenate(
        [find_limits(questions[rows], passages, wanted[rows]) for rows in split_questions(questions)]
    )
    file, shared = cut.file, session.sparkContext.broadcast((questions, wanted, limits))
    counted = cut.parts.mapInPandas(lambda tables: count_before(file, tables, *shared.value), "before binary")
    before = np.sum([np.frombuffer(row["before"], np.int64) for row in counted.collect()], axis=0)
    return Ranks(compute_ranks(before.reshape(wanted.shape), wanted), counts)


def count_before(
    file: MatrixFile, tables: Iterable[pd.DataFrame], questions: Matrix, wanted: Positions, limits: Matrix
) -> Iterator[pd.DataFrame]:
    """Count the other passages in a task's parts that go before each relevant one."""
    blocks = [(rows, Sought(wanted[rows], limits[rows])) for rows in split_questions(questions)]
    for start, passages in read_passages(file, tables):
        for rows, sought in blocks:
            for first, scores in iterate_scores(questions[rows], passages):
                sought.count(start + first, scores)
    yield pd.DataFrame({"before": [np.concatenate([sought.before for _, sought in blocks]).tobytes()]})


def list_parts(session: SparkSession, cut: CutMatrix, questions: Matrix, depth: int) -> Ranking:
    """Return the positions of the `depth` nearest passages of each question, as `pipeline.retrieval.rank_cosine`."""
    file, shared = cut.file, session.sparkContext.broadcast(questions)
    found = cut.parts.mapInPandas(
        lambda tables: search_parts(file, tables, shared.value, depth), "scores binary, positions binary"
    )
    merged = make_nothing(len(questions))
    for row in found.collect():  # in the order of tasks, which is that of passages
        scores = np.frombuffer(row["scores"], np.float32).reshape(len(questions), -1)
        positions = np.frombuffer(row["positions"], np.int64).reshape(scores.shape)
        merged = merge_nearest(merged, (scores, positions), depth)
    return merged[1]


def search_parts(
    file: MatrixFile, tables: Iterable[pd.DataFrame], questions: Matrix, depth: int
) -> Iterator[pd.DataFrame]:
    """Return scores and positions of the nearest passages of all parts of a task."""
    merged = make_nothing(len(questions))
    for start, passages in read_passages(file, tables):
        found = [search_block(questions[rows], passages, depth) for rows in split_questions(questions)]
        scores = np.concatenate([scores for scores, _ in found])
        merged = merge_nearest(merged, (scores, start + np.concatenate([places for _, places in found])), depth)
    yield pd.DataFrame({"scores": [merged[0].tobytes()], "positions": [merged[1].tobytes()]})


def search_block(questions: Matrix, passages: Matrix, depth: int) -> tuple[Scores, Ranking]:
    """Return scores and positions of the nearest passages of a part, for questions that are scored together."""
    nearest = Nearest(len(questions), min(depth, len(passages)))
    for first, scores in iterate_scores(questions, passages):
        require_finite(scores)
        nearest.add(first, scores)
    return nearest.list_scores(), nearest.list_best()


def make_nothing(questions: int) -> tuple[Scores, Ranking]:
    """Return the scores and positions of no passages."""
    return np.empty((questions, 0), dtype=np.float32), np.empty((questions, 0), dtype=np.int64)


def merge_nearest(before: tuple[Scores, Ranking], after: tuple[Scores, Ranking], depth: int) -> tuple[Scores, Ranking]:
    """Merge what was found in two stretches of passages, of which `before` comes first in the corpus."""
    scores = np.concatenate([before[0], after[0]], axis=1)
    positions = np.concatenate([before[1], after[1]], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(positions, order, axis=1)


def read_passages(file: MatrixFile, tables: Iterable[pd.DataFrame]) -> Iterator[tuple[int, Matrix]]:
    """Read the parts of a task as float32."""
    for first, values in file.read_parts(tables):
        yield first, values.astype(np.float32, copy=False)
