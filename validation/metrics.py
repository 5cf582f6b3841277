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

    from pipeline.vectors import Matrix

Values = npt.NDArray[np.float64]

RECALL_DEPTHS = (1, 5, 10, 100)
CUT_OFF = 10
TIE_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Ranks:
    """For each question, the ranks (from 1) of its relevant passages, ascending."""

    ranks: tuple[tuple[int, ...], ...]

    def count_hits(self, depth: int) -> int:
        """Return how many questions have at least one relevant passage in the top `depth`."""
        return sum(ranks[0] <= depth for ranks in self.ranks)

    def compute_recall_exact(self, depth: int) -> Fraction:
        """Return mean recall@depth as an exact fraction, for comparison with a floor."""
        shares = (Fraction(sum(rank <= depth for rank in ranks), len(ranks)) for ranks in self.ranks)
        return sum(shares, Fraction(0)) / len(self.ranks)


def rank_relevant(questions: Matrix, passages: Matrix, relevant: Sequence[Sequence[int]]) -> Ranks:
    """Rank the relevant passages of each question among all passages.

    A passage whose score is within 1e-6 of a relevant one's counts as before it: batch and single matrix products
    differ by that much, and equal vectors must not earn recall. Relevant passages keep their own order.

    Args:
        questions: unit vectors, float32 `(n_questions, 768)`.
        passages: unit vectors, float32 `(n_passages, 768)`.
        relevant: positions of the relevant passages of each question.

    Raises:
        ValueError: a score is not finite.
    """
    scores = compute_scores(questions, passages)
    if not np.isfinite(scores).all():
        message = "a similarity is not finite"
        raise ValueError(message)
    return Ranks(tuple(_rank_row(row, np.asarray(wanted)) for row, wanted in zip(scores, relevant, strict=True)))


def _rank_row(scores: Matrix, wanted: npt.NDArray[np.int64]) -> tuple[int, ...]:
    found = np.sort(scores[wanted])[::-1]
    others = np.sort(np.delete(scores, wanted))
    before = len(others) - np.searchsorted(others, found - TIE_TOLERANCE, side="left")
    return tuple((before + np.arange(1, len(found) + 1)).tolist())


def compute_recall(ranks: Ranks, depth: int) -> Values:
    """Return recall@depth of each question: the share of its relevant passages in the top `depth`."""
    return np.array([sum(rank <= depth for rank in row) / len(row) for row in ranks.ranks])


def compute_mrr(ranks: Ranks) -> Values:
    """Return the reciprocal rank of each question's first relevant passage, 0 beyond rank 10."""
    return np.array([1.0 / row[0] if row[0] <= CUT_OFF else 0.0 for row in ranks.ranks])


def compute_ndcg(ranks: Ranks) -> Values:
    """Return nDCG@10 of each question, binary gains discounted by log2(rank + 1) (Järvelin and Kekäläinen, 2002)."""
    discounts = 1.0 / np.log2(np.arange(2, CUT_OFF + 2))
    gains = [sum(discounts[rank - 1] for rank in row if rank <= CUT_OFF) for row in ranks.ranks]
    ideals = [discounts[: len(row)].sum() for row in ranks.ranks]
    return np.divide(gains, ideals, dtype=np.float64)


def compute_metrics(ranks: Ranks) -> dict[str, Values]:
    """Return every metric by name, float64 `(n_questions,)` each."""
    metrics = {f"recall@{depth}": compute_recall(ranks, depth) for depth in RECALL_DEPTHS}
    return metrics | {f"mrr@{CUT_OFF}": compute_mrr(ranks), f"ndcg@{CUT_OFF}": compute_ndcg(ranks)}
