"""Intervals of paired differences, by cluster: questions that share a relevant passage are drawn together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from validation.outcomes import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validation.metrics import Values
    from validation.policy import Statistics

Clusters = npt.NDArray[np.int64]


def find_clusters(relevant: Sequence[Sequence[int]]) -> Clusters:
    """Return a cluster number for each question; questions linked by shared relevant passages have the same one."""
    questions = np.repeat(np.arange(len(relevant)), [len(row) for row in relevant])
    passages = np.concatenate([np.asarray(row, dtype=np.int64) for row in relevant])
    size = len(relevant) + int(passages.max()) + 1
    links = coo_array((np.ones(len(passages)), (questions, len(relevant) + passages)), shape=(size, size))
    labels = connected_components(links, directed=False)[1][: len(relevant)]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def compute_interval(differences: Values, clusters: Clusters, settings: Statistics) -> Interval:
    """Return the percentile bootstrap interval of a mean paired difference, resampled by cluster.

    Whole clusters are drawn with replacement (Field and Welsh, 2007); a resample's mean divides by its own number of
    questions. Both bounds are one-sided at `settings.level`.

    Args:
        differences: candidate minus base, float64 `(n_questions,)`.
        clusters: cluster number of each question, int64 `(n_questions,)`.
        settings: level, resamples and seed.
    """
    sums = np.bincount(clusters, weights=differences)
    sizes = np.bincount(clusters)
    draw = np.random.default_rng(settings.seed)
    counts = draw.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=settings.resamples)
    means = (counts @ sums) / (counts @ sizes)
    lower, upper = np.quantile(means, [1 - settings.level, settings.level])
    return Interval(float(lower), float(upper), settings.level)
