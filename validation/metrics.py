"""Retrieval metrics per question, from ranks in which ties count against the passage that is sought."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.retrieval import compute_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.retrieval import Ranking
    from pipeline.vectors import Matrix

Values = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

RECALL_DEPTHS = (1, 5, 10, 100)
CUT_OFF = 10
TIE_TOLERANCE = 1e-6
NOT_FOUND = np.iinfo(np.int64).max
"""Rank of a relevant passage that a ranking does not hold; it also fills the rows of questions with fewer passages."""

# 16 MiB of scores at a time, however many questions there are.
_BLOCK_SCORES = 1 << 22


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """For each question, the ranks (from 1) of its relevant passages.

    Attributes:
        ranks: int64 `(n_questions, most relevant passages of any question)`, ascending, `NOT_FOUND` beyond.
        relevant: number of relevant passages of each question, at least 1; int64 `(n_questions,)`.
    """

    ranks: Positions
    relevant: Positions

    def find_hits(self, depth: int) -> npt.NDArray[np.bool_]:
        """Tell of each question whether a relevant passage is in the top `depth`, bool `(n_questions,)`."""
        return self.ranks[:, 0] <= depth

    def count_hits(self, depth: int) -> int:
        """Return how many questions have at least one relevant passage in the top `depth`."""
        return int(np.count_nonzero(self.find_hits(depth)))

    def count_found(self, depth: int) -> Positions:
        """Return how many relevant passages of each question are in the top `depth`, int64 `(n_questions,)`."""
        found: Positions = np.count_nonzero(self.ranks <= depth, axis=1)
        return found

    def compute_recall_exact(self, depth: int) -> Fraction:
        """Return mean recall@depth as an exact fraction, for comparison with a floor.

        Raises:
            ZeroDivisionError: there is no question.
        """
        # Questions with equally many relevant passages share a denominator; the sums are integers far below 2**53.
        sums = np.bincount(self.relevant, weights=self.count_found(depth))
        shares = (Fraction(int(sums[count]), int(count)) for count in np.flatnonzero(sums))
        return sum(shares, Fraction(0)) / len(self.relevant)


def rank_relevant(questions: Matrix, passages: Matrix, relevant: Sequence[Sequence[int]]) -> Ranks:
    """Rank the relevant passages of each question among all passages.

    A passage whose score is within 1e-6 of a relevant one's, or at the float32 nearest to 1e-6 below it, counts as
    before it: batch and single matrix products differ by that much, and equal vectors must not earn recall. Relevant
    passages keep their own order.

    Args:
        questions: unit vectors, float32 `(n_questions, 768)`.
        passages: unit vectors, float32 `(n_passages, 768)`.
        relevant: positions of the relevant passages of each question.

    Raises:
        ValueError: a score is not finite, there is not one entry in `relevant` for each question, or one is empty,
            repeats a position or has a negative one.
        IndexError: a relevant passage lies beyond the last.
    """
    wanted, counts = _pad_relevant(relevant, len(questions))
    ranks = np.empty_like(wanted)
    block = max(1, _BLOCK_SCORES // max(1, len(passages)))
    for start in range(0, len(questions), block):
        rows = slice(start, start + block)
        ranks[rows] = _rank_block(compute_scores(questions[rows], passages), wanted[rows], counts[rows])
    return Ranks(ranks, counts)


def _rank_block(scores: Matrix, wanted: Positions, counts: Positions) -> Positions:
    if not np.isfinite(scores).all():
        message = "a similarity is not finite"
        raise ValueError(message)
    is_wanted = _mask_rows(counts, wanted.shape[1])
    found = np.where(is_wanted, np.take_along_axis(scores, wanted, axis=1), -np.inf)
    limits = -np.sort(-found, axis=1) - np.float32(TIE_TOLERANCE)
    # What is left in `scores` are the others: relevant passages are not before one another by a tie.
    scores[np.nonzero(is_wanted)[0], wanted[is_wanted]] = -np.inf
    ranks = np.full(wanted.shape, NOT_FOUND)
    for place in range(wanted.shape[1]):
        rows = np.flatnonzero(is_wanted[:, place])
        before = np.count_nonzero(scores[rows] >= limits[rows, place, np.newaxis], axis=1)
        ranks[rows, place] = before + place + 1
    return ranks


def rank_listed(rankings: Sequence[Ranking], relevant: Sequence[Sequence[int]]) -> Ranks:
    """Look up the ranks of the relevant passages of each question in a ranked list of positions.

    Args:
        rankings: positions of the passages found for each question, best first; short or empty where little is found.
        relevant: positions of the relevant passages of each question.

    Raises:
        ValueError: there is not one entry in `relevant` for each ranking, one is empty, or an entry or a ranking
            repeats a position or has a negative one.
    """
    wanted, counts = _pad_relevant(relevant, len(rankings))
    listed, _ = _pad_rows(rankings, "a ranking")
    is_wanted = _mask_rows(counts, wanted.shape[1])
    ranks = np.full(wanted.shape, NOT_FOUND)
    for place in range(wanted.shape[1]):
        rows, found = np.nonzero((listed == wanted[:, place, np.newaxis]) & is_wanted[:, place, np.newaxis])
        ranks[rows, place] = found + 1
    return Ranks(np.sort(ranks, axis=1), counts)


def _pad_relevant(relevant: Sequence[Sequence[int]], questions: int) -> tuple[Positions, Positions]:
    if len(relevant) != questions:
        message = f"expected the relevant passages of {questions} questions, got {len(relevant)}"
        raise ValueError(message)
    wanted, counts = _pad_rows(relevant, "the relevant passages of a question")
    if not counts.all():
        message = f"question {int(np.argmin(counts))} has no relevant passage"
        raise ValueError(message)
    return wanted, counts


def _pad_rows(rows: Sequence[Sequence[int] | Positions], what: str) -> tuple[Positions, Positions]:
    counts = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    padded = np.full((len(rows), counts.max(initial=1)), -1)
    flat = np.concatenate([np.empty(0, dtype=np.int64), *(np.asarray(row, dtype=np.int64) for row in rows)])
    padded[_mask_rows(counts, padded.shape[1])] = flat
    ordered = np.sort(padded, axis=1)
    if flat.min(initial=0) < 0 or ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        message = f"{what}: a position is negative or stands there twice"
        raise ValueError(message)
    return padded, counts


def _mask_rows(counts: Positions, width: int) -> npt.NDArray[np.bool_]:
    return np.arange(width) < counts[:, np.newaxis]


def compute_recall(ranks: Ranks, depth: int) -> Values:
    """Return recall@depth of each question: the share of its relevant passages in the top `depth`."""
    return ranks.count_found(depth) / ranks.relevant


def compute_mrr(ranks: Ranks) -> Values:
    """Return the reciprocal rank of each question's first relevant passage, 0 beyond rank 10."""
    first = ranks.ranks[:, 0]
    return np.where(first <= CUT_OFF, 1.0 / first, 0.0)


def compute_ndcg(ranks: Ranks) -> Values:
    """Return nDCG@10 of each question, binary gains discounted by log2(rank + 1) (Järvelin and Kekäläinen, 2002)."""
    places = np.arange(1, ranks.ranks.shape[1] + 1)
    ideal = np.where(places <= ranks.relevant[:, np.newaxis], places, NOT_FOUND)
    return _sum_gains(ranks.ranks) / _sum_gains(ideal)


def _sum_gains(ranks: Positions) -> Values:
    discounts = np.append(1.0 / np.log2(np.arange(2, CUT_OFF + 2)), 0.0)
    gains = discounts[np.minimum(ranks[:, :CUT_OFF], CUT_OFF + 1) - 1]
    # Added from left to right: a question's value depends neither on the padding nor on its neighbours.
    return np.cumsum(gains, axis=1)[:, -1]


def compute_metrics(ranks: Ranks) -> dict[str, Values]:
    """Return every metric by name, float64 `(n_questions,)` each."""
    metrics = {f"recall@{depth}": compute_recall(ranks, depth) for depth in RECALL_DEPTHS}
    return metrics | {f"mrr@{CUT_OFF}": compute_mrr(ranks), f"ndcg@{CUT_OFF}": compute_ndcg(ranks)}
