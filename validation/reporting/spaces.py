"""Two vector spaces side by side: a map of both on common axes, and how far each passage moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pipeline.vectors import Matrix
    from validation.metrics import Values

# Fewer passages span no plane.
SMALLEST = 3
SEED = 0
QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Spaces:
    """Both stores of a corpus on two common axes.

    Attributes:
        base, candidate: places on the map, float64 `(n, 2)`; the candidate is rotated onto the base.
        shares: share of the base's variance on either axis.
        moves: cosine distance of each passage's two vectors as stored; aligned: after the rotation; `(n,)` each.
    """

    base: Values
    candidate: Values
    shares: tuple[float, float]
    moves: Values
    aligned: Values

    def describe(self) -> dict[str, list[float]]:
        """Return least, 5th percentile, median, 95th percentile and most of both distances."""
        told = {"as_stored": self.moves, "aligned": self.aligned}
        return {name: np.quantile(values, QUANTILES).tolist() for name, values in told.items()}


def compare_spaces(base: Matrix, candidate: Matrix) -> Spaces:
    """Lay both spaces over each other: principal components of the base, orthogonal Procrustes for the candidate.

    Args:
        base: unit vectors of the passages, float32 `(n, 768)`, n at least 3.
        candidate: those of the same passages in the same order.
    """
    from scipy.linalg import orthogonal_procrustes
    from sklearn.decomposition import PCA

    one, other = base.astype(np.float64), candidate.astype(np.float64)
    # Two of 768 components are wanted; the solver starts from fixed random numbers, so that the map is always the same.
    axes = PCA(2, svd_solver="arpack", random_state=SEED).fit(one)
    rotation, _ = orthogonal_procrustes(other, one)
    turned = other @ rotation
    first, second = axes.explained_variance_ratio_.tolist()
    return Spaces(
        base=axes.transform(one),
        candidate=axes.transform(turned),
        shares=(first, second),
        moves=_measure(one, other),
        aligned=_measure(one, turned),
    )


def _measure(one: Values, other: Values) -> Values:
    """Return the cosine distance of each row, not below 0 by a rounding."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    distances: Values = np.maximum(0.0, 1.0 - (one * other).sum(axis=1) / lengths)
    return distances
