"""How passages are found: cosine, full text (BM25), or both fused. The search command and the gate both call this."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import sqlite3

    from pipeline.vectors import Matrix

Ranking = npt.NDArray[np.int64]

RRF_K = 60
# Groups for each passage sought: with four, about 15 % more passages than wanted reach the bound.
_GROUPS = 4
_WORD = re.compile(r"\w+")


def compute_scores(questions: Matrix, passages: Matrix) -> Matrix:
    """Return cosine similarities, float32 `(n_questions, n_passages)`, of unit vectors."""
    return questions @ passages.T


def rank_cosine(questions: Matrix, passages: Matrix, depth: int) -> Ranking:
    """Return the positions of the `depth` nearest passages of each question, nearest first.

    Equal scores are ordered by position in the corpus, so that the same bytes give the same answer. A score that is
    not a number comes last.

    Args:
        questions: unit vectors, float32 `(n_questions, 768)`.
        passages: unit vectors, float32 `(n_passages, 768)`.
        depth: how many passages to return, or all of them if there are fewer.

    Returns:
        int64 `(n_questions, min(depth, n_passages))`.
    """
    scores = compute_scores(questions, passages)
    depth = min(depth, len(passages))
    if not 0 < _GROUPS * depth <= len(passages):
        return np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    # "Not below" instead of "at least": NaN, in a score or as the bound, excludes nothing.
    kept = np.flatnonzero(~(scores < _bound_best(scores, depth)))
    rows, positions = np.divmod(kept, len(passages))
    order = np.lexsort((-scores.ravel()[kept], rows))
    counts = np.bincount(rows)
    starts = np.cumsum(counts) - counts
    best: Ranking = positions[order[starts[:, np.newaxis] + np.arange(depth)]]
    return best


def _bound_best(scores: Matrix, depth: int) -> Matrix:
    """Return a lower bound of each row's `depth`-th best score, float32 `(n_questions, 1)`.

    A row is dealt out to several times `depth` groups. In `depth` of them the best score is at or above the bound, so
    that at least as many scores are, and few others. This costs a tenth of partitioning the whole row.
    """
    groups = _GROUPS * depth
    height = scores.shape[1] // groups
    best = scores[:, : height * groups].reshape(len(scores), height, groups).max(axis=1)
    # Negated, so that a group with NaN in it is sorted last and lends itself to no bound.
    return -np.partition(-best, depth - 1, axis=1)[:, depth - 1 : depth]


def build_match(question: str) -> str:
    """Return an FTS5 MATCH expression: every word quoted, joined by OR.

    FTS5's implicit AND finds nothing for a whole question, and a raw question is a syntax error. Accents are composed
    first: a bare combining mark would cut its word in two.
    """
    return " OR ".join(f'"{word}"' for word in _WORD.findall(unicodedata.normalize("NFC", question)))


def rank_fulltext(connection: sqlite3.Connection, question: str, depth: int) -> Ranking:
    """Return the positions of the best passages by BM25 over section and text, best first; at most `depth`."""
    match = build_match(question)
    if not match:
        return np.empty(0, dtype=np.int64)
    statement = "SELECT rowid - 1 FROM chunks_fts WHERE chunks_fts MATCH ? ORDER BY rank, rowid LIMIT ?"
    rows = connection.execute(statement, (match, depth)).fetchall()
    return np.array([position for (position,) in rows], dtype=np.int64)


def fuse_rankings(rankings: list[Ranking], depth: int) -> Ranking:
    """Merge rankings by reciprocal rank fusion, score = Σ 1 / (60 + rank) (Cormack, Clarke and Büttcher, 2009)."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, position in enumerate(ranking.tolist(), 1):
            scores[position] = scores.get(position, 0.0) + 1.0 / (RRF_K + rank)
    ordered = sorted(scores, key=lambda position: (-scores[position], position))
    return np.array(ordered[:depth], dtype=np.int64)
