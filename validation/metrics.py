"""Retrieval metrics per question, from the ranks of its relevant passages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from validation.ranks import NOT_FOUND

if TYPE_CHECKING:
    from validation.ranks import Positions, Ranks

Values = npt.NDArray[np.float64]

RECALL_DEPTHS = (1, 5, 10, 100)
CUT_OFF = 10


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
