"""Evidence as tables: what each column says of a matrix, a database and its metadata."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.vectors import VectorHeader
from tests.conftest import build_sample_store, write_sample
from tests.stores import edit_database, load_sample
from validation.evidence import VectorEvidence, collect_store
from validation.frames import build_chunk_frame, build_database_frame, build_metadata_frame, build_vector_frame

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from validation.evidence import CorpusEvidence, StoreEvidence

ROWS = 8
NAN, INF = float("nan"), float("inf")


def lay_out(values: list[list[float]] | npt.NDArray[Any]) -> pd.DataFrame:
    """Return the table of a matrix that lies in memory."""
    array = np.asarray(values, dtype="<f4" if isinstance(values, list) else None)
    header = VectorHeader(shape=array.shape, dtype=array.dtype.str, fortran_order=False, offset=128)
    return build_vector_frame(VectorEvidence(header, array))


def count_constant(values: list[list[float]]) -> int:
    """Return how many dimensions of a matrix are constant; every row of the table must say the same."""
    (count,) = set(lay_out(values)["constant_dimensions"])
    return int(count)


@pytest.mark.parametrize(
    ("values", "constant"),
    [
        ([[0.6, 0.8], [0.8, 0.6]], 0),
        ([[0.6, 0.8], [0.8, 0.8]], 1),
        ([[1.0, 0.0], [0.8, 0.0], [0.6, 0.0]], 1),
        ([[0.6, 0.8], [0.6, 0.8]], 2),
        ([[0.0, 1.0], [-0.0, 0.5]], 1),
        ([[0.6, 0.8]], 0),
        ([[0.1, 0.5], [0.1, 0.5], [0.1, 0.25]], 1),
        ([[0.1, 0.5], [0.2, 0.5], [0.1, 0.5]], 1),
    ],
    ids=["vary", "one", "padded", "all", "both zeros", "single row", "last row differs", "middle row differs"],
)
def test_dimensions_that_never_vary_are_counted(values: list[list[float]], constant: int) -> None:
    """A dimension counts when every row has the same value in it, wherever it stands; one row has none to compare."""
    assert count_constant(values) == constant


@pytest.mark.parametrize(
    ("values", "constant"),
    [
        ([[NAN, NAN], [0.6, 0.0], [0.8, 0.0]], 1),
        ([[0.6, 0.0], [NAN, NAN], [0.8, 0.0]], 1),
        ([[0.6, 0.0], [0.8, NAN], [0.7, 0.0]], 1),
        ([[0.6, 0.0], [0.8, INF], [0.7, 0.0]], 1),
        ([[0.6, 0.8], [NAN, NAN], [0.8, 0.6]], 0),
        ([[0.6, 0.8], [0.6, NAN], [0.7, 0.9]], 0),
        ([[0.6, 0.8], [0.7, NAN], [0.6, 0.9]], 0),
        ([[0.6, 0.8], [NAN, NAN]], 0),
        ([[NAN, NAN], [NAN, NAN]], 0),
        ([[INF, 0.5], [INF, 0.25]], 0),
    ],
    ids=[
        "first row", "middle row", "one value", "infinity", "none hidden", "value invents none", "row still counts",
        "one row left", "nothing left", "infinity everywhere",
    ],
)  # fmt: skip
def test_what_is_not_finite_neither_hides_nor_invents(values: list[list[float]], constant: int) -> None:
    """Only finite values are compared, and at least two of them."""
    assert count_constant(values) == constant


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(
        st.lists(st.sampled_from([0.0, 0.5, 1.0, NAN, INF]), min_size=3, max_size=3), min_size=1, max_size=5
    )
)
def test_constant_dimensions_are_those_of_a_plain_count(values: list[list[float]]) -> None:
    """Whatever the matrix, the count is that of a loop over its columns."""
    columns = [[value for value in column if np.isfinite(value)] for column in zip(*values, strict=True)]

    assert count_constant(values) == sum(len(column) > 1 and len(set(column)) == 1 for column in columns)


def test_each_row_has_its_norm_and_digest() -> None:
    """Norms are lengths, none where a value is not finite; digests are equal exactly where rows are."""
    frame = lay_out([[3.0, 4.0], [0.6, 0.8], [NAN, 1.0], [0.6, 0.8], [0.0, 0.0]])

    assert frame["finite"].tolist() == [True, True, False, True, True]
    np.testing.assert_allclose(frame["norm"], [5.0, 1.0, NAN, 1.0, 0.0], atol=1e-7)
    assert [frame["digest"].tolist().index(digest) for digest in frame["digest"]] == [0, 1, 2, 1, 4]
    assert frame["digest"][0] == hashlib.sha256(np.array([3.0, 4.0]).tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("array", "rows", "dimension"),
    [
        (np.zeros((2, 3), dtype="<f8"), 2, 3),
        (np.zeros((0, 3), dtype="<f4"), 0, None),
        (np.zeros((2, 0), dtype="<f4"), 2, 0),
        (np.zeros(4, dtype="<f4"), 4, 0),
        (np.float32(1.0).reshape(()), 1, 0),
        (np.zeros((2, 3, 1), dtype="<f4"), 2, 0),
        (np.full((2, 3), "x"), 2, 3),
    ],
    ids=["matrix", "no row", "no column", "list", "number", "three axes", "text"],
)
def test_whatever_an_array_is_it_has_a_table(array: npt.NDArray[Any], rows: int, dimension: int | None) -> None:
    """One row a row; the dimension of what is no matrix is 0, and what is no real number is not finite."""
    frame = lay_out(array)

    assert len(frame) == rows
    assert set(frame["dimension"]) == (set() if dimension is None else {dimension})
    assert set(frame["dtype"]) <= {array.dtype.str}
    assert set(frame["finite"]) <= {array.dtype.kind == "f"}


@pytest.fixture
def pair(tmp_path: Path) -> tuple[StoreEvidence, CorpusEvidence]:
    """A store whose fourth row has another text, and its corpus."""
    sample = write_sample(tmp_path / "corpus", rows=ROWS, questions=ROWS)
    store = build_sample_store(sample, tmp_path / "store", model_id="base-model", hits=6)
    edit_database(store, "UPDATE chunks SET text = text || '.' WHERE rowid = 4")
    edit_database(store, "DELETE FROM metadata WHERE key = 'model_id'")
    corpus = load_sample(sample)
    evidence, _ = collect_store("base", store, corpus)

    assert evidence is not None

    return evidence, corpus


def test_rows_of_a_database_are_held_against_their_chunk(pair: tuple[StoreEvidence, CorpusEvidence]) -> None:
    """Id, text fields and vector are compared at each position, and only what differs says so."""
    frame = build_database_frame(pair[0], pair[1].chunks)

    assert frame["id_equal"].tolist() == [True] * ROWS
    assert frame["text_equal"].tolist() == [True] * 3 + [False] + [True] * (ROWS - 4)
    assert frame["vector_equal"].tolist() == [True] * ROWS


def test_metadata_that_is_missing_is_a_null(pair: tuple[StoreEvidence, CorpusEvidence]) -> None:
    """One row with the four keys that a store must have, whether the database has them or not."""
    (row,) = build_metadata_frame(pair[0]).to_dict("records")

    assert row == {"schema_version": "2.0", "embedding_dim": "768", "total_chunks": str(ROWS), "model_id": None}


def test_chunks_are_rows(pair: tuple[StoreEvidence, CorpusEvidence]) -> None:
    """One row a chunk, with its fields as columns."""
    chunks = pair[1].chunks
    frame = build_chunk_frame(chunks)

    assert frame["id"].tolist() == [chunk.id for chunk in chunks.chunks]
    assert {"text", "page", "tokens", "corpus", "source"} <= set(frame.columns)
