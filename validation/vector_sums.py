"""Sum a matrix up, block by block or part by part: sums of parts add to that of the whole, to the last bit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

REAL_KINDS = "biuf"
BLOCK_ROWS = 4096

Array = npt.NDArray[np.generic]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class VectorSums:
    """What is known of some rows.

    Attributes:
        rows, not_finite: how many there are, and how many of them hold NaN, infinity or what is no real number.
        shortest, longest: lengths among the other rows; infinities where there is none.
        lowest, highest: of the finite values of each dimension, float64 `(width,)`; infinities where there is none.
        known: how many values of each dimension are finite, int64 `(width,)`.
    """

    rows: int
    not_finite: int
    shortest: float
    longest: float
    lowest: npt.NDArray[np.float64]
    highest: npt.NDArray[np.float64]
    known: npt.NDArray[np.int64]

    def __add__(self, other: VectorSums) -> VectorSums:
        """Return what is known of both together."""
        return VectorSums(
            rows=self.rows + other.rows,
            not_finite=self.not_finite + other.not_finite,
            shortest=min(self.shortest, other.shortest),
            longest=max(self.longest, other.longest),
            lowest=np.minimum(self.lowest, other.lowest),
            highest=np.maximum(self.highest, other.highest),
            known=self.known + other.known,
        )


def make_empty(values: Array) -> VectorSums:
    """Return what is known of none of the rows of an array."""
    width = math.prod(values.shape[1:])
    nothing = np.full(width, np.inf)
    return VectorSums(0, 0, math.inf, -math.inf, nothing, -nothing, np.zeros(width, dtype=np.int64))


def cut_blocks(values: Array) -> Iterator[Array]:
    """Yield all rows in blocks of at most 4,096, C-order and of two dimensions, whatever shape the array has."""
    shape = values.shape or (1,)
    width = math.prod(shape[1:])
    for start in range(0, shape[0], BLOCK_ROWS):
        block = np.ascontiguousarray(values.reshape(shape)[start : start + BLOCK_ROWS])
        yield block.reshape(len(block), width)


def sum_block(block: Array) -> VectorSums:
    """Sum some rows up, any type `(rows, width)`; memory is that of their float64 copy."""
    with np.errstate(invalid="ignore"):  # whatever bits there are, such as a signalling NaN
        matrix = block.astype(np.float64) if block.dtype.kind in REAL_KINDS else np.full(block.shape, np.nan)
    numbers = np.isfinite(matrix)
    finite = numbers.all(axis=1)
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(matrix[finite], axis=1)
    return VectorSums(
        rows=len(block),
        not_finite=int((~finite).sum()),
        shortest=float(lengths.min(initial=np.inf)),
        longest=float(lengths.max(initial=-np.inf)),
        lowest=matrix.min(axis=0, where=numbers, initial=np.inf),
        highest=matrix.max(axis=0, where=numbers, initial=-np.inf),
        known=numbers.sum(axis=0),
    )


def hash_rows(block: Array) -> Hashes:
    """Return a 64-bit hash of each row's bytes: a sum of words by odd multipliers, modulo 2 to the 64.

    Different rows collide about as often as random numbers would; a collision makes a matrix look worse, never better.
    """
    content = np.frombuffer(block.tobytes(), dtype=np.uint8).reshape(len(block), block.shape[1] * block.itemsize)
    padded = np.pad(content, ((0, 0), (0, -content.shape[1] % 8))).view(np.uint64)
    odd = 2 * np.random.default_rng(0).integers(0, 2**63, padded.shape[1], dtype=np.uint64) + 1
    mixed = padded ^ (padded >> np.uint64(29))
    hashed: Hashes = (mixed * odd).sum(axis=1, dtype=np.uint64)
    return hashed


def describe_sums(sums: VectorSums, kinds: int) -> dict[str, float]:
    """Return what is said of a matrix of which `kinds` rows are different."""
    measured = sums.rows > sums.not_finite
    return {
        "not_finite": sums.not_finite,
        "length_min": sums.shortest if measured else math.nan,
        "length_max": sums.longest if measured else math.nan,
        "distinct": kinds / sums.rows if sums.rows else 0.0,
        "constant_dimensions": int(((sums.lowest == sums.highest) & (sums.known > 1)).sum()),
    }
