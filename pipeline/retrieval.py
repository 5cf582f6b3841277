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
_WORD = re.compile(r"\w+")


def compute_scores(questions: Matrix, passages: Matrix) -> Matrix:
    """Return cosine similarities, float32 `(n_questions, n_passages)`, of unit vectors."""
    return questions @ passages.T


def rank_cosine(questions: Matrix, passages: Matrix, depth: int) -> Ranking:
    """Return the positions of the `depth` nearest passages of each question, nearest first.

    Equal scores are ordered by position in the corpus, so that the same bytes give the same answer.
    """
    scores = compute_scores(questions, passages)
    depth = min(depth, scores.shape[1])
    if depth < scores.shape[1]:
        candidates = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
    else:
        candidates = np.tile(np.arange(depth), (len(scores), 1))
    worst = np.take_along_axis(scores, candidates, axis=1).min(axis=1, keepdims=True, initial=np.inf)
    tied = np.flatnonzero((scores >= worst).sum(axis=1) > depth)
    candidates[tied] = np.argsort(-scores[tied], axis=1, kind="stable")[:, :depth]
    candidates = np.sort(candidates, axis=1)
    order = np.argsort(-np.take_along_axis(scores, candidates, axis=1), axis=1, kind="stable")
    return np.take_along_axis(candidates, order, axis=1).astype(np.int64)


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
