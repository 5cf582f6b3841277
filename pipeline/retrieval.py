"""How passages are found: cosine, full text (BM25), or both fused. The search command and the gate both call this."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.nearest import Nearest, iterate_scores, split_questions

if TYPE_CHECKING:
    import sqlite3

    from pipeline.vectors import Matrix

Ranking = npt.NDArray[np.int64]

RRF_K = 60
_WORD = re.compile(r"\w+")


def rank_cosine(questions: Matrix, passages: Matrix, depth: int) -> Ranking:
    """Return the positions of the `depth` nearest passages of each question, nearest first.

    Equal scores are ordered by position in the corpus, so that the same bytes give the same answer. A score that is
    not a number comes last.

    Args:
        questions: unit vectors, float32 `(n_questions, 768)`.
        passages: unit vectors, float32 `(n_passages, 768)`, in memory or mapped; they are read in blocks, once for
            each 1024 questions.
        depth: how many passages to return, or all of them if there are fewer.

    Returns:
        int64 `(n_questions, min(depth, n_passages))`.
    """
    depth = min(depth, len(passages))
    rankings = [np.empty((0, depth), dtype=np.int64)]
    for rows in split_questions(questions):
        nearest = Nearest(rows.stop - rows.start, depth)
        for first, scores in iterate_scores(questions[rows], passages):
            nearest.add(first, scores)
        rankings.append(nearest.list_best())
    return np.concatenate(rankings)


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
