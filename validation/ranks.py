"""Ranks of the relevant passages of questions, in which ties count against the passage that is sought."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.nearest import Nearest, iterate_scores, split_questions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.retrieval import Ranking
    from pipeline.vectors import Matrix

Positions = npt.NDArray[np.int64]

TIE_TOLERANCE = 1e-6
NOT_FOUND = np.iinfo(np.int64).max
"""Rank of a relevant passage that a ranking does not hold; it also fills the rows of questions with fewer passages."""


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
    before it: products of matrices of different shapes differ by that much, and equal vectors must not earn recall.
    Relevant passages keep their own order.

    Args:
        questions: unit vectors, float32 `(n_questions, 768)`.
        passages: unit vectors, float32 `(n_passages, 768)`, in memory or mapped; they are read in blocks, once for
            each 1024 questions.
        relevant: positions of the relevant passages of each question.

    Raises:
        ValueError: a score is not finite, there is not one entry in `relevant` for each question, or one is empty,
            repeats a position or has a negative one.
        IndexError: a relevant passage lies beyond the last.
    """
    return rank_passages(questions, passages, relevant, 0)[0]


def rank_passages(
    questions: Matrix, passages: Matrix, relevant: Sequence[Sequence[int]], depth: int
) -> tuple[Ranks, Ranking]:
    """Return what `rank_relevant` and `rank_cosine` return, from one pass over the scores. Raises as they do."""
    wanted, counts = pad_relevant(relevant, len(questions))
    ranks, rankings = np.empty_like(wanted), np.empty((len(questions), min(depth, len(passages))), dtype=np.int64)
    for rows in split_questions(questions):
        sought = Sought(wanted[rows], find_limits(questions[rows], passages, wanted[rows]))
        nearest = Nearest(len(questions[rows]), rankings.shape[1])
        for first, scores in iterate_scores(questions[rows], passages):
            nearest.add(first, scores)
            sought.count(first, scores)
        ranks[rows], rankings[rows] = compute_ranks(sought.before, wanted[rows]), nearest.list_best()
    return Ranks(ranks, counts), rankings


def find_limits(questions: Matrix, passages: Matrix, wanted: Positions) -> Matrix:
    """Return what a passage must score to go before the best relevant one, the second best, and so on.

    The scores of relevant passages are summed in float64, so that they are as near to those of a block as any product
    can be.

    Args:
        questions: unit vectors, float32 `(n_questions, 768)`.
        passages: unit vectors, float32 `(n_passages, 768)`, of which only the relevant ones are read.
        wanted: positions of the relevant passages as `pad_relevant` returns them.

    Returns:
        Descending limits, float32 of the shape of `wanted`; -inf where there are fewer relevant passages.

    Raises:
        IndexError: a relevant passage lies beyond the last.
    """
    found = np.full(wanted.shape, -np.inf, dtype=np.float32)
    for place, rows in _list_places(wanted):
        sought = passages[wanted[rows, place]]
        found[rows, place] = np.einsum("nd,nd->n", questions[rows], sought, dtype=np.float64)
    limits: Matrix = -np.sort(-found, axis=1) - np.float32(TIE_TOLERANCE)
    return limits


class Sought:
    """Counts, block by block, the passages that go before the relevant ones of some questions."""

    def __init__(self, wanted: Positions, limits: Matrix) -> None:
        """Take positions as `pad_relevant` returns them and limits as `find_limits` does."""
        self._wanted = wanted
        self._limits = limits
        self.before: Positions = np.zeros(wanted.shape, dtype=np.int64)

    def count(self, first: int, scores: Matrix) -> None:
        """Count the passages of a block, `(n_passages, n_questions)`, whose relevant ones are overwritten.

        Raises:
            ValueError: a score is not finite.
        """
        require_finite(scores)
        # What is left in `scores` are the others: relevant passages are not before one another by a tie.
        is_here = (first <= self._wanted) & (self._wanted < first + len(scores))
        scores[self._wanted[is_here] - first, np.nonzero(is_here)[0]] = -np.inf
        for place, rows in _list_places(self._wanted):
            others = scores if len(rows) == scores.shape[1] else np.take(scores, rows, axis=1)
            self.before[rows, place] += np.count_nonzero(others >= self._limits[rows, place], axis=0)


def require_finite(scores: Matrix) -> None:
    """Raise `ValueError` where a similarity is not finite."""
    if not np.isfinite(scores).all():
        message = "a similarity is not finite"
        raise ValueError(message)


def compute_ranks(before: Positions, wanted: Positions) -> Positions:
    """Return the ascending ranks that follow from how many others go before each relevant passage."""
    return np.where(wanted >= 0, before + np.arange(1, before.shape[1] + 1), NOT_FOUND)


def _list_places(wanted: Positions) -> Iterator[tuple[int, Positions]]:
    """Return the questions that have a first relevant passage, a second one, and so on."""
    return ((place, np.flatnonzero(wanted[:, place] >= 0)) for place in range(wanted.shape[1]))


def rank_listed(rankings: Sequence[Ranking], relevant: Sequence[Sequence[int]]) -> Ranks:
    """Look up the ranks of the relevant passages of each question in a ranked list of positions.

    Args:
        rankings: positions of the passages found for each question, best first; short or empty where little is found.
        relevant: positions of the relevant passages of each question.

    Raises:
        ValueError: there is not one entry in `relevant` for each ranking, one is empty, or an entry or a ranking
            repeats a position or has a negative one.
    """
    wanted, counts = pad_relevant(relevant, len(rankings))
    listed, _ = _pad_rows(rankings, "a ranking")
    # The padding of one side never meets that of the other.
    sought = np.where(wanted >= 0, wanted, -2)
    ranks = np.full(wanted.shape, NOT_FOUND)
    for place in range(wanted.shape[1]):
        rows, found = np.divmod(np.flatnonzero(listed == sought[:, place, np.newaxis]), listed.shape[1])
        ranks[rows, place] = found + 1
    return Ranks(np.sort(ranks, axis=1), counts)


def pad_relevant(relevant: Sequence[Sequence[int]], questions: int) -> tuple[Positions, Positions]:
    """Return the relevant passages of each question as one matrix.

    Returns:
        Positions, int64 `(n_questions, most relevant passages of any question)` and -1 where a question has fewer, and
        how many each has.

    Raises:
        ValueError: there is not one entry in `relevant` for each question, or one is empty, repeats a position or has
            a negative one.
    """
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
    padded[np.arange(padded.shape[1]) < counts[:, np.newaxis]] = flat
    ordered = np.sort(padded, axis=1)
    if flat.min(initial=0) < 0 or ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        message = f"{what}: a position is negative or stands there twice"
        raise ValueError(message)
    return padded, counts
