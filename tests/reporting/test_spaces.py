"""The map of both vector spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from validation.reporting.spaces import compare_spaces

if TYPE_CHECKING:
    from pipeline.vectors import Matrix


def make_units(seed: int, rows: int = 60) -> Matrix:
    """Return unit vectors in a few directions, as texts are."""
    randoms = np.random.default_rng(seed)
    raw = randoms.normal(size=(rows, 6)) @ randoms.normal(size=(6, 768)) + 0.05 * randoms.normal(size=(rows, 768))
    units: Matrix = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    return units


def test_a_turned_space_is_the_same_space() -> None:
    """When the candidate is the base, turned, passages moved as stored, and not at all after the alignment."""
    base = make_units(1)
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(768, 768)))
    spaces = compare_spaces(base, (base @ turn).astype(np.float32))

    assert np.median(spaces.moves) > 0.5
    assert spaces.aligned.max() < 1e-4
    assert np.abs(spaces.base - spaces.candidate).max() < 1e-3


def test_what_really_moved_is_seen() -> None:
    """One passage that points elsewhere is the one that moved most, before and after the alignment."""
    base = make_units(3)
    candidate = base.copy()
    candidate[7] = -candidate[7]
    spaces = compare_spaces(base, candidate)

    assert int(spaces.moves.argmax()) == int(spaces.aligned.argmax()) == 7
    assert spaces.moves[7] == pytest.approx(2.0, abs=1e-6)
    assert np.delete(spaces.moves, 7).max() == pytest.approx(0.0, abs=1e-6)


def test_the_axes_are_those_of_most_variance() -> None:
    """The first axis carries more variance than the second, and the map of equal stores is one map."""
    base = make_units(4)
    spaces = compare_spaces(base, base)

    assert 1 > spaces.shares[0] >= spaces.shares[1] > 0
    assert spaces.base.std(axis=0)[0] >= spaces.base.std(axis=0)[1]
    assert np.array_equal(compare_spaces(base, base).base, spaces.base)
    assert spaces.describe()["as_stored"] == pytest.approx([0.0] * 5, abs=1e-6)
