"""Sums of a matrix's parts, wherever it is cut and in whatever order they come, are those of the whole."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.nearest import Nearest
from validation.vector_sums import VectorSums, describe_sums, make_empty, sum_block

if TYPE_CHECKING:
    import numpy.typing as npt

ROWS = 11


def draw_odd(kind: str) -> npt.NDArray[Any]:
    """Return a small matrix with equal values, NaN and infinity in places."""
    values = np.random.default_rng(1).normal(size=(ROWS, 3))
    values[:, 2] = 0.5
    values[4, 0], values[7, 1], values[8] = np.nan, np.inf, np.nan
    return values.astype(kind) if kind != "U1" else np.full((ROWS, 3), "x")


def tell(sums: VectorSums) -> list[Any]:
    """Return all that sums know, as lists."""
    return [np.asarray(getattr(sums, name)).tolist() for name in VectorSums.__slots__]


@pytest.mark.parametrize("kind", ["<f4", "<f8", "U1"], ids=str)
@pytest.mark.parametrize("cuts", [[], [1], [5, 9], [4, 4, 8], [*range(1, ROWS)]], ids=str)
def test_parts_add_up_to_the_whole(kind: str, cuts: list[int]) -> None:
    """Counts, lengths and extremes of parts add to the same bits, empty parts and another order included."""
    values = draw_odd(kind)
    parts = [sum_block(part) for part in reversed(np.split(values, cuts))]
    whole = make_empty(values) + sum_block(values)

    assert tell(functools.reduce(operator.add, parts)) == tell(whole)
    assert repr(describe_sums(whole, 7)) == repr(describe_sums(functools.reduce(operator.add, parts), 7))


def test_of_no_rows_nothing_is_known() -> None:
    """Lengths of no rows are no numbers, and no dimension of them is constant."""
    described = describe_sums(make_empty(np.empty((0, 3))), 0)

    assert repr(described) == (
        "{'not_finite': 0, 'length_min': nan, 'length_max': nan, 'distinct': 0.0, 'constant_dimensions': 0}"
    )


def test_the_scores_of_the_nearest_come_in_their_order() -> None:
    """What is merged with other parts' is told with its score: the best first, equal ones as they came."""
    nearest = Nearest(2, 3)
    nearest.add(0, np.array([[0.1, 0.9], [0.3, 0.2]], dtype=np.float32))
    nearest.add(2, np.array([[0.3, 0.9], [0.2, 0.1]], dtype=np.float32))

    assert nearest.list_best().tolist() == [[1, 2, 3], [0, 2, 1]]
    assert nearest.list_scores().tolist() == np.array([[0.3, 0.3, 0.2], [0.9, 0.9, 0.2]], dtype=np.float32).tolist()
