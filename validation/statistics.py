"""How sure a mean paired difference is: bootstrap, sign flips, McNemar and Holm, by cluster of questions.

Questions that share a relevant passage are one cluster and are drawn together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import bdtrc, ndtri

from validation.outcomes import Interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from validation.metrics import Values
    from validation.policy import Statistics

Clusters = npt.NDArray[np.int64]

MANTISSA_BITS = 52
BLOCK_VALUES = 4_000_000
COUNTED_VALUES = 1 << 17  # what is counted at a time stays in the cache
KEPT_VALUES = 1 << 25  # 256 MiB; more resamples than that are drawn again each time


def find_clusters(relevant: Sequence[Sequence[int]]) -> Clusters:
    """Return a cluster number for each question; questions linked by shared relevant passages have the same one.

    Clusters are numbered by their first passage in the corpus, so the order of the questions changes no number.
    """
    questions = np.repeat(np.arange(len(relevant)), [len(row) for row in relevant])
    passages = np.concatenate([np.asarray(row) for row in relevant])
    size = len(relevant) + int(passages.max()) + 1
    links = coo_array((np.ones(len(passages)), (questions, len(relevant) + passages)), shape=(size, size))
    labels = connected_components(links)[1][: len(relevant)]
    first = np.full(len(relevant), size)
    np.minimum.at(first, labels[questions], passages)
    return np.unique(first[labels], return_inverse=True)[1].astype(np.int64)


class Bootstrap:
    """Resamples of whole clusters, the same for every metric of the same questions; kept where there is room.

    The draws depend on the clusters and the seed alone, never on the differences: worsening a difference can therefore
    only lower a bound. Differences are rounded to a grain so fine (below 3e-11 for 10,000 questions) that every sum is
    exact, so no order of addition, hence no number of threads, changes a bit of the result.
    """

    def __init__(self, clusters: Clusters, settings: Statistics) -> None:
        """Draw `settings.resamples` times as many clusters as there are, with replacement (Field and Welsh, 2007)."""
        self._clusters = clusters
        self._sizes = np.bincount(clusters)
        self._settings = settings
        self._grain = 2.0 ** (math.ceil(math.log2(len(clusters))) + 3 - MANTISSA_BITS)
        is_kept = settings.resamples * len(self._sizes) <= KEPT_VALUES
        self._kept = list(self._draw()) if is_kept else None

    def compute_means(self, differences: Sequence[Values]) -> Values:
        """Return each resample's mean over its own questions for each metric, float64 `(resamples, metrics)`."""
        sums = np.column_stack([self._sum_clusters(differences), self._sizes])
        totals = np.concatenate([counts @ sums for counts in self._kept or self._draw()])
        means: Values = totals[:, :-1] / totals[:, -1:]
        return means

    def compute_intervals(self, differences: Sequence[Values]) -> list[Interval]:
        """Return the percentile interval of the mean of each metric's differences, float64 `(n_questions,)` each.

        Both bounds are one-sided at the policy's level; the standard error is the spread of the resampled means.
        """
        means, level = self.compute_means(differences), self._settings.level
        lower, upper = np.quantile(means, [1 - level, level], axis=0)
        rows = np.column_stack([lower, upper, means.std(axis=0)]).tolist()
        return [Interval(low, high, level, error) for low, high, error in rows]

    def compute_loss_p(self, differences: Values) -> float:
        """Return the share of resampled means that show no loss: the p-value of "the mean is below 0".

        When it is at most 1 − level', the one-sided upper bound at level' lies below 0; the reverse holds but for a
        resample at the bound. Counting the observed sample too keeps it above 0 (Davison and Hinkley, 1997).
        """
        means = self.compute_means([differences])
        return float((1 + (means >= 0).sum()) / (1 + len(means)))

    def compute_flip_p(self, differences: Sequence[Values]) -> list[float]:
        """Return for each metric the one-sided sign-flip p-value of "the candidate is better".

        The sum of each cluster keeps or changes its sign with probability ½; p is the share of `settings.flips` draws,
        with the observed one, whose total is at least the observed one: that is so when what keeps its sign sums
        to at least the observed total. Clusters without any difference are left out.
        """
        sums = self._sum_clusters(differences)
        sums = sums[sums.any(axis=1)]
        tables, total = _tabulate_bytes(sums), sums.sum(axis=0)
        draw, reached = np.random.default_rng([self._settings.seed, 1]), np.zeros(len(total))
        for rows in _split(self._settings.flips, max(len(sums), 1), BLOCK_VALUES):
            drawn = np.frombuffer(draw.bytes(rows * len(tables)), np.uint8).reshape(rows, len(tables))
            kept = np.zeros((rows, len(total)))
            for table, column in zip(tables, drawn.T, strict=True):
                kept += table[column]
            reached += (kept >= total).sum(axis=0)
        return [float(p) for p in (1 + reached) / (1 + self._settings.flips)]

    def _sum_clusters(self, differences: Sequence[Values]) -> Values:
        """Return the sum of each cluster for each metric, float64 `(clusters, metrics)`."""
        grains = (np.rint(values / self._grain) for values in differences)
        return np.column_stack([np.bincount(self._clusters, weights) * self._grain for weights in grains])

    def _draw(self) -> Iterator[Values]:
        """Yield how often each resample holds each cluster, float64 `(≤ resamples, clusters)`, block by block."""
        draw, total = np.random.default_rng(self._settings.seed), len(self._sizes)
        for rows in _split(self._settings.resamples, total, COUNTED_VALUES):
            drawn = draw.integers(0, total, (rows, total)) + total * np.arange(rows)[:, None]
            yield np.bincount(drawn.ravel(), minlength=rows * total).reshape(rows, total).astype(np.float64)


def compute_mean(values: Values) -> float:
    """Return the mean, rounded but once, so that the order of the questions changes no bit of it."""
    return math.fsum(values) / len(values)


def compute_mcnemar(gained: int, lost: int) -> float:
    """Return the one-sided mid-p value of McNemar's test of "more gained than lost" (Fagerland, 2013)."""
    at_least, more = bdtrc([gained - 1, gained], gained + lost, 0.5)
    return float((at_least + more) / 2)


def adjust_holm(p_values: Values) -> Values:
    """Return p-values adjusted for their number by Holm's step-down procedure (1979), float64 of the same shape."""
    order = np.argsort(p_values)
    steps = np.arange(len(p_values), 0, -1) * p_values[order]
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def count_questions_needed(n: int, interval: Interval, gap: float, power: float) -> int | None:
    """Return how many questions would decide a true difference that lies `gap` from its limit.

    From the standard error at hand, which carries the share of questions on which the stores disagree and the
    clusters: n · ((z_level + z_power) · SE / gap)², or None where the gap is 0 and no number would do.
    """
    if gap == 0:
        return None
    reach = (ndtri(interval.level) + ndtri(power)) * interval.standard_error
    return math.ceil(n * (reach / gap) ** 2)


def compute_tolerated_loss(margin: float, interval: Interval, chance: float) -> float:
    """Return the true loss that passes a non-inferiority margin with probability `chance`.

    The lower bound is about the estimate − z_level · SE, so a loss L passes with probability
    Φ((margin − L) / SE − z_level).
    """
    return float(margin - (ndtri(interval.level) + ndtri(chance)) * interval.standard_error)


def _tabulate_bytes(sums: Values) -> Values:
    """Return what every byte of bits, eight clusters at a time, keeps of them, float64 `(bytes, 256, metrics)`.

    The first bit of a byte stands for the first cluster. Looking a byte up adds eight clusters at once.
    """
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, np.newaxis], axis=1).astype(np.float64)
    padded = np.pad(sums, ((0, -len(sums) % 8), (0, 0)))
    return bits @ padded.reshape(-1, 8, sums.shape[1])


def _split(total: int, width: int, values: int) -> Iterator[int]:
    """Cut `total` rows into blocks of at most so many values."""
    block = max(1, values // width)
    for start in range(0, total, block):
        yield min(block, total - start)
