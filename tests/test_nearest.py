"""Search in blocks against a sort over everything: odd sizes, ties, missing scores, and matrices that are mapped."""

from __future__ import annotations

import math
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.nearest import Nearest, iterate_scores
from pipeline.retrieval import rank_cosine
from pipeline.vectors import DIMENSION, Matrix
from tests.conftest import cut_into_blocks, draw_unit_vectors

if TYPE_CHECKING:
    from pathlib import Path

MISSING = float("nan")


def sort_everything(scores: npt.NDArray[np.float64], depth: int) -> list[list[int]]:
    """Sort the positions of each question, `(n_questions, n_passages)`, by score, then position; NaN comes last."""
    return [
        sorted(range(len(row)), key=lambda place: (math.isnan(row[place]), -row[place], place))[:depth]
        for row in np.nan_to_num(scores, nan=MISSING).tolist()
    ]


@st.composite
def draw_scores(draw: st.DrawFn) -> npt.NDArray[np.float64]:
    """Draw scores of 1 to 5 questions with many ties and some that are missing, whole columns as well."""
    questions, passages = draw(st.integers(1, 5)), draw(st.one_of(st.integers(0, 2), st.integers(3, 400)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = random.integers(0, draw(st.sampled_from([1, 3, 1000])), (questions, passages)) / 1024
    scores[random.random(scores.shape) < draw(st.sampled_from([0, 0.02, 0.5, 1]))] = np.nan
    return scores


def place(scores: npt.NDArray[np.float64]) -> tuple[Matrix, Matrix]:
    """Return questions, each with an axis of its own, and passages of which each product is one of these scores."""
    passages = np.zeros((scores.shape[1], DIMENSION), dtype=np.float32)
    passages[:, : len(scores)] = scores.T
    return np.eye(len(scores), DIMENSION, dtype=np.float32), passages


@settings(max_examples=150, deadline=None)
@given(scores=draw_scores(), depth=st.sampled_from([0, 1, 2, 10, 33, 500]), data=st.data())
def test_whatever_the_blocks_the_best_are_those_of_a_full_sort(
    scores: npt.NDArray[np.float64], depth: int, data: st.DataObject
) -> None:
    """Scores that come in blocks of any heights, in order, give what sorting all of them gives."""
    cuts = data.draw(st.lists(st.integers(0, scores.shape[1]), max_size=8).map(sorted))
    found = Nearest(len(scores), depth)
    for first, end in zip([0, *cuts], [*cuts, scores.shape[1]], strict=True):
        found.add(first, np.ascontiguousarray(scores[:, first:end].T, dtype=np.float32))

    assert found.list_best().tolist() == sort_everything(scores, depth)


@settings(max_examples=50, deadline=None)
@given(scores=draw_scores(), depth=st.sampled_from([1, 10, 500]), height=st.integers(1, 130))
def test_vectors_are_searched_alike_in_blocks(scores: npt.NDArray[np.float64], depth: int, height: int) -> None:
    """However few questions and passages are multiplied at a time, and whatever is missing, the answer is the same."""
    scores = np.where(np.isnan(scores).any(axis=0), np.nan, scores)  # a vector with NaN in it has no score at all
    with pytest.MonkeyPatch.context() as patch:
        cut_into_blocks(patch, 2, height)

        assert rank_cosine(*place(scores), depth).tolist() == sort_everything(scores, depth)


@pytest.mark.parametrize("height", [1, 7, 64, 300, 4096])
def test_blocks_cover_every_score_once(monkeypatch: pytest.MonkeyPatch, height: int) -> None:
    """Blocks follow one another, and each score is the sum of products, question by passage, in float32."""
    cut_into_blocks(monkeypatch, 1000, height)
    questions, passages = draw_unit_vectors(3, 1), draw_unit_vectors(130, 2)
    blocks = [(first, scores.copy()) for first, scores in iterate_scores(questions, passages)]

    assert [first for first, _ in blocks] == list(range(0, 130, height))
    assert {scores.dtype for _, scores in blocks} == {np.dtype(np.float32)}
    whole = np.concatenate([scores for _, scores in blocks])
    expected = [[math.fsum(map(float, q * p)) for q in questions] for p in passages]
    np.testing.assert_allclose(whole, expected, atol=1e-6)


def test_a_mapped_matrix_is_searched_without_holding_its_scores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file of passages is searched as the matrix is, in a small part of the memory of all scores."""
    cut_into_blocks(monkeypatch, 1000, 256)
    questions, passages = draw_unit_vectors(100, 1), draw_unit_vectors(8000, 2)
    np.save(tmp_path / "passages.npy", passages)
    mapped = np.load(tmp_path / "passages.npy", mmap_mode="r")
    tracemalloc.start()
    try:
        found = rank_cosine(questions, mapped, 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    np.testing.assert_array_equal(found, np.argsort(-(questions @ passages.T), axis=1)[:, :10])
    assert peak < len(questions) * len(passages) * questions.itemsize / 4
