"""Full text (BM25) for many questions at once: the same rankings as one by one, with every word looked up but once."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.retrieval import list_words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from pipeline.retrieval import Ranking

Scored = npt.NDArray[np.void]

_SCORE = np.dtype([("position", np.int64), ("score", np.float64)])
_STATEMENT = "SELECT rowid - 1, rank FROM chunks_fts WHERE chunks_fts MATCH ?"


def rank_questions(connection: sqlite3.Connection, questions: Sequence[str], depth: int) -> list[Ranking]:
    """Return for each question what `pipeline.retrieval.rank_fulltext` returns for it, int64 `(≤ depth,)` each.

    BM25 is a sum over the words of a question. FTS5 gives each word's share; the shares are added in the order of the
    words, as FTS5 adds them, so that the sums are the same to the bit. A question of common words touches nearly every
    passage, once for each word; here a word is looked up once, however many questions have it.
    """
    asked = [list_words(question) for question in questions]
    shares = {word: _look_up(connection, word) for word in dict.fromkeys(itertools.chain(*asked))}
    passages = 1 + max((int(found["position"].max(initial=-1)) for found in shares.values()), default=-1)
    return [_rank_words(words, shares, passages)[:depth] for words in asked]


def _look_up(connection: sqlite3.Connection, word: str) -> Scored:
    """Return the passages with a word, and what it adds to their score; the lower a score, the better."""
    return np.array(connection.execute(_STATEMENT, (f'"{word}"',)).fetchall(), dtype=_SCORE)


def _rank_words(words: Sequence[str], shares: Mapping[str, Scored], passages: int) -> Ranking:
    scores, is_found = np.zeros(passages), np.zeros(passages, dtype=np.bool_)
    for word in words:
        found = shares[word]
        scores[found["position"]] += found["score"]
        is_found[found["position"]] = True
    positions: Ranking = np.flatnonzero(is_found)
    return positions[np.argsort(scores[positions], kind="stable")]
