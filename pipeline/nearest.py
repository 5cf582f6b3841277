"""The nearest passages of questions, out of scores that come block by block, so that a million passages fit as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.vectors import Matrix

Positions = npt.NDArray[np.int64]

# Fewer questions or passages at a time, and the matrix product slows down; more, and its scores leave the cache.
BLOCK_QUESTIONS = 1024
BLOCK_PASSAGES = 4096
BLOCK_SCORES = 1 << 21
# Groups for each passage sought: with four, about 15 % more passages than wanted reach the bound.
_GROUPS = 4
# How many passages for each one sought may be kept before they are sorted.
_SPARE = 2


def split_questions(questions: Matrix) -> Iterator[slice]:
    """Cut questions into blocks whose scores are computed together."""
    for start in range(0, len(questions), BLOCK_QUESTIONS):
        yield slice(start, min(start + BLOCK_QUESTIONS, len(questions)))


def iterate_scores(questions: Matrix, passages: Matrix) -> Iterator[tuple[int, Matrix]]:
    """Compute cosine similarities in blocks of passages, read in order and once.

    A block differs from the whole product in the last bits, as products of matrices of different shapes do.

    Yields:
        the position of the block's first passage, and float32 `(passages of the block, n_questions)`, which is
        overwritten by the next block.
    """
    height = max(BLOCK_PASSAGES, BLOCK_SCORES // max(1, len(questions)))
    scores = np.empty((min(height, len(passages)), len(questions)), dtype=np.float32)
    for start in range(0, len(passages), height):
        block = passages[start : start + height]
        yield start, np.matmul(block, questions.T, out=scores[: len(block)])


class Nearest:
    """Gathers the best passages of some questions; what cannot be among them is dropped at sight.

    The order of passages is by score, equal scores by position, a score that is not a number last.
    """

    def __init__(self, questions: int, depth: int) -> None:
        """Begin with no passage, for `depth` passages of each question."""
        self._depth = depth
        self._seen = 0
        # Below its bound no passage of a question is among the best. Nothing is below NaN.
        self._bounds = np.full(questions, np.nan, dtype=np.float32)
        self._best = np.empty((questions, 0), dtype=np.int64)
        self._scores = np.empty((questions, 0), dtype=np.float32)
        self._kept: list[tuple[Positions, Positions, Matrix]] = []
        self._counts = np.zeros(questions, dtype=np.int64)

    def add(self, first: int, scores: Matrix) -> None:
        """Look at the scores of passages from position `first` on, float32 `(n_passages, n_questions)`."""
        if not self._depth:
            return
        if not self._seen and _GROUPS * self._depth <= len(scores):
            self._bounds = _bound_best(scores, self._depth)
        self._seen += len(scores)
        # "Not below" instead of "at least": NaN, in a score or as the bound, excludes nothing.
        kept = np.flatnonzero(~(scores < self._bounds))
        positions, questions = np.divmod(kept, scores.shape[1])
        self._kept.append((questions, positions + first, scores.ravel()[kept]))
        self._counts += np.bincount(questions, minlength=len(self._counts))
        if self._counts.max(initial=0) > _SPARE * self._depth:
            self._sort()

    def list_best(self) -> Positions:
        """Return the positions of the best passages so far, int64 `(n_questions, min(depth, passages seen))`."""
        self._sort()
        return self._best

    def list_scores(self) -> Matrix:
        """Return the scores of the best passages so far, in their order, float32 `(n_questions, …)`."""
        self._sort()
        return self._scores

    def _sort(self) -> None:
        """Put what was kept in its place among the best, and raise the bounds."""
        if not self._kept:
            return
        questions, positions, values = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        # Small integers are sorted by their digits; the order of the passages is kept.
        order = np.argsort(questions.astype(np.min_scalar_type(len(self._counts))), kind="stable")
        is_kept = np.arange(self._counts.max(initial=0)) < self._counts[:, np.newaxis]
        negated = np.full(is_kept.shape, np.nan, dtype=np.float32)
        places = np.zeros(is_kept.shape, dtype=np.int64)
        negated[is_kept], places[is_kept] = -values[order], positions[order]
        negated, places = np.hstack([-self._scores, negated]), np.hstack([self._best, places])
        # The padding comes last: it stands behind every score, and the sort is stable.
        best = np.argsort(negated, axis=1, kind="stable")[:, : min(self._depth, self._seen)]
        self._best, self._scores = np.take_along_axis(places, best, axis=1), -np.take_along_axis(negated, best, axis=1)
        if self._depth <= self._seen:
            # Later passages do not displace an equal one.
            self._bounds = np.nextafter(self._scores[:, -1], np.float32(np.inf))
        self._kept.clear()
        self._counts[:] = 0


def _bound_best(scores: Matrix, depth: int) -> Matrix:
    """Return a lower bound of each column's `depth`-th best score, float32 `(n_questions,)`.

    A column is dealt out to several times `depth` groups. In `depth` of them the best score is at or above the bound,
    so that at least as many scores are, and few others. This costs a tenth of partitioning the whole column.
    """
    groups = _GROUPS * depth
    height = len(scores) // groups
    best = scores[: height * groups].reshape(height, groups, -1).max(axis=0)
    # Negated, so that a group with NaN in it is sorted last and lends itself to no bound.
    bounds: Matrix = -np.partition(-best, depth - 1, axis=0)[depth - 1]
    return bounds
