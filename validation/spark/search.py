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

from pipeline.retrieval import Ranking, compute_scores, rank_cosine
from validation.comparison import LIST_DEPTH, LocalSearch, get_matrices
from validation.metrics import NOT_FOUND, TIE_TOLERANCE, Positions, Ranks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyspark.sql import SparkSession

    from pipeline.vectors import Matrix
    from validation.evidence import CorpusEvidence, StoreEvidence
    from validation.spark.row_ranges import CutMatrix, Cutter, MatrixFile

# 16 MiB of scores at a time, however many questions there are.
_BLOCK_SCORES = 1 << 22
Scores = npt.NDArray[np.float32]


class SparkSearch:
    """Searches with the workers of a session; questions are sent to them, passages they read themselves."""

    def __init__(self, session: SparkSession, cutter: Cutter) -> None:
        """Search with a session what a cutter cuts."""
        self._session = session
        self._cutter = cutter
        self._nearest: dict[str, Ranking] = {}

    def rank_relevant(self, store: StoreEvidence, corpus: CorpusEvidence) -> Ranks:
        """Return ranks by the rule of `validation.metrics.rank_relevant`.

        In one pass workers look up the scores of the relevant passages, in another they count what lies at or above
        the limits that follow from these.
        """
        cut = self._cut(store)
        if cut is None:
            return LocalSearch().rank_relevant(store, corpus)
        questions, _ = get_matrices(store)
        return rank_parts(self._session, cut, questions, corpus.gold.relevant)

    def list_nearest(self, store: StoreEvidence) -> Ranking:
        """Return the nearest passages of each part, merged: by score, and where that is equal by position."""
        cut = self._cut(store)
        if cut is None:
            return LocalSearch().list_nearest(store)
        if store.manifest_sha256 not in self._nearest:
            questions, _ = get_matrices(store)
            self._nearest[store.manifest_sha256] = list_parts(self._session, cut, questions, LIST_DEPTH)
        return self._nearest[store.manifest_sha256]

    def _cut(self, store: StoreEvidence) -> CutMatrix | None:
        return self._cutter.cut(store.passages, store.folder / store.manifest.files.embeddings.name)


def rank_parts(session: SparkSession, cut: CutMatrix, questions: Matrix, relevant: Sequence[Sequence[int]]) -> Ranks:
    """Rank the relevant passages of each question among all passages of a matrix.

    Args:
        session: whose workers do it.
        cut: the passages.
        questions: unit vectors, float32 `(n_questions, 768)`.
        relevant: positions of the relevant passages of each question; none is empty or repeats one.

    Raises:
        IndexError: a relevant passage lies beyond the last.
    """
    counts = np.array([len(positions) for positions in relevant])
    askers = np.repeat(np.arange(len(relevant)), counts)
    wanted = np.concatenate([np.asarray(positions, dtype=np.int64) for positions in relevant])
    file, context = cut.file, session.sparkContext
    shared = context.broadcast((questions, askers, wanted))
    found = cut.parts.mapInPandas(
        lambda tables: look_up_scores(file, tables, *shared.value), "pairs binary, scores binary"
    )
    scores = np.full(len(wanted), np.nan, dtype=np.float32)
    for row in found.collect():
        scores[np.frombuffer(row["pairs"], np.int64)] = np.frombuffer(row["scores"], np.float32)
    if np.isnan(scores).any():
        message = "a relevant passage lies beyond the last"
        raise IndexError(message)
    limits = context.broadcast(scores - np.float32(TIE_TOLERANCE))
    counted = cut.parts.mapInPandas(
        lambda tables: count_before(file, tables, limits.value, *shared.value), "before binary"
    )
    before = np.sum([np.frombuffer(row["before"], np.int64) for row in counted.collect()], axis=0)
    return collect_ranks(counts, askers, scores, before)


def look_up_scores(
    file: MatrixFile, tables: Iterable[pd.DataFrame], questions: Matrix, askers: Positions, wanted: Positions
) -> Iterator[pd.DataFrame]:
    """Look the scores of the relevant passages in a task's parts up: places among all pairs, and scores."""
    for first, passages in read_passages(file, tables):
        pairs = find_pairs(wanted, first, len(passages))
        for block, scores in compute_blocks(questions, passages):
            mine = pairs[(askers[pairs] >= block.start) & (askers[pairs] < block.stop)]
            found = scores[askers[mine] - block.start, wanted[mine] - first]
            yield pd.DataFrame({"pairs": [mine.tobytes()], "scores": [found.tobytes()]})


def count_before(
    file: MatrixFile,
    tables: Iterable[pd.DataFrame],
    limits: Scores,
    questions: Matrix,
    askers: Positions,
    wanted: Positions,
) -> Iterator[pd.DataFrame]:
    """Count for each pair the other passages in a task's parts that score at or above its limit."""
    before = np.zeros(len(wanted), dtype=np.int64)
    for first, passages in read_passages(file, tables):
        pairs = find_pairs(wanted, first, len(passages))
        for block, scores in compute_blocks(questions, passages):
            mine = pairs[(askers[pairs] >= block.start) & (askers[pairs] < block.stop)]
            # Relevant passages are not before one another by a tie.
            scores[askers[mine] - block.start, wanted[mine] - first] = -np.inf
            for pair in np.flatnonzero((askers >= block.start) & (askers < block.stop)):
                before[pair] += np.count_nonzero(scores[askers[pair] - block.start] >= limits[pair])
    yield pd.DataFrame({"before": [before.tobytes()]})


def collect_ranks(counts: Positions, askers: Positions, scores: Scores, before: Positions) -> Ranks:
    """Return the ranks that follow from how many others are before each pair; relevant ones keep their own order."""
    order = np.lexsort((-scores, askers))
    places = np.arange(len(askers)) - np.repeat(np.cumsum(counts) - counts, counts)
    ranks = np.full((len(counts), counts.max(initial=1)), NOT_FOUND)
    ranks[askers, places] = before[order] + places + 1
    return Ranks(ranks, counts)


def list_parts(session: SparkSession, cut: CutMatrix, questions: Matrix, depth: int) -> Ranking:
    """Return the positions of the `depth` nearest passages of each question, as `pipeline.retrieval.rank_cosine`."""
    file, shared = cut.file, session.sparkContext.broadcast(questions)
    found = cut.parts.mapInPandas(
        lambda tables: search_parts(file, tables, shared.value, depth), "scores binary, positions binary"
    )
    merged = make_nothing(len(questions))
    for row in found.collect():  # in the order of tasks, which is that of passages
        scores = np.frombuffer(row["scores"], np.float32).reshape(len(questions), -1)
        merged = merge_nearest(merged, (scores, np.frombuffer(row["positions"], np.int64).reshape(scores.shape)), depth)
    return merged[1]


def search_parts(
    file: MatrixFile, tables: Iterable[pd.DataFrame], questions: Matrix, depth: int
) -> Iterator[pd.DataFrame]:
    """Return the nearest passages of all parts of a task."""
    merged = make_nothing(len(questions))
    for first, passages in read_passages(file, tables):
        found = [
            search_block(questions[block], scores, passages, depth)
            for block, scores in compute_blocks(questions, passages)
        ]
        scores = np.concatenate([scores for scores, _ in found])
        merged = merge_nearest(merged, (scores, first + np.concatenate([positions for _, positions in found])), depth)
    yield pd.DataFrame({"scores": [merged[0].tobytes()], "positions": [merged[1].tobytes()]})


def search_block(questions: Matrix, scores: Scores, passages: Matrix, depth: int) -> tuple[Scores, Ranking]:
    """Return scores and positions of the nearest passages of a part."""
    positions = rank_cosine(questions, passages, depth)
    return np.take_along_axis(scores, positions, axis=1), positions


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


def find_pairs(wanted: Positions, first: int, rows: int) -> Positions:
    """Return the places of the pairs whose passage is in a part."""
    pairs: Positions = np.flatnonzero((wanted >= first) & (wanted < first + rows))
    return pairs


def compute_blocks(questions: Matrix, passages: Matrix) -> Iterator[tuple[slice, Scores]]:
    """Yield the scores of all passages of a part, some questions at a time.

    Raises:
        ValueError: a similarity is not finite.
    """
    size = max(1, _BLOCK_SCORES // len(passages))
    for start in range(0, len(questions), size):
        block = slice(start, min(start + size, len(questions)))
        scores = compute_scores(questions[block], passages)
        if not np.isfinite(scores).all():
            message = "a similarity is not finite"
            raise ValueError(message)
        yield block, scores
