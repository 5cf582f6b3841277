"""Evidence as tables: what each column says of a matrix, a database and its metadata."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.chunks import Chunk, ChunkFile
from pipeline.database import export_database, open_database
from pipeline.vectors import VectorHeader
from tests.conftest import build_chunk, build_sample_store, draw_unit_vectors, write_sample
from tests.stores import edit_database, load_sample
from validation.evidence import VectorEvidence, collect_store
from validation.frames import build_chunk_frame, build_database_frame, build_metadata_frame, build_vector_frame
from validation.stored_rows import compare_rows

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from validation.evidence import CorpusEvidence, StoreEvidence

ROOT = Path(__file__).resolve().parents[1]
ROWS = 8
NAN, INF = float("nan"), float("inf")


def lay_out(values: list[list[float]] | npt.NDArray[Any]) -> pd.DataFrame:
    """Return the table of a matrix that lies in memory."""
    array = np.asarray(values, dtype="<f4" if isinstance(values, list) else None)
    header = VectorHeader(shape=array.shape, dtype=array.dtype.str, fortran_order=False, offset=128)
    return build_vector_frame(VectorEvidence(header, array))


def count_constant(values: list[list[float]]) -> int:
    """Return how many dimensions of a matrix are constant."""
    (count,) = lay_out(values)["constant_dimensions"]
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


def sum_up(values: list[list[float]] | npt.NDArray[Any]) -> dict[str, Any]:
    """Return the one row that sums a matrix up."""
    (row,) = lay_out(values).to_dict("records")
    return {str(name): cell for name, cell in row.items()}


def test_a_matrix_is_summed_up() -> None:
    """Lengths are those of the rows that are finite; repeated rows, one of them not finite, lower the share."""
    row = sum_up([[3.0, 4.0], [0.6, 0.8], [NAN, 1.0], [0.6, 0.8], [0.0, 0.0], [0.3, 0.4], [INF, 1.0], [NAN, 1.0]])

    assert (row["rows"], row["dimension"], row["dtype"], row["order"]) == (8, 2, "<f4", "C")
    assert (row["not_finite"], row["distinct"]) == (3, 6 / 8)
    assert (row["length_min"], row["length_max"]) == pytest.approx((0.0, 5.0))


def test_lengths_are_told_to_double_precision() -> None:
    """The shortest and the longest row are told, wherever they stand; both zeros are one length."""
    values = draw_unit_vectors(50, 3)
    values[7] *= np.float32(0.25)
    values[31] *= np.float32(4)
    lengths = np.linalg.norm(values.astype(np.float64), axis=1)
    row = sum_up(values)

    assert (row["length_min"], row["length_max"]) == (lengths[7], lengths[31])


@pytest.mark.parametrize("values", [[[NAN, 1.0], [INF, 0.0]], np.empty((0, 3), dtype="<f4")], ids=["none", "no row"])
def test_without_a_finite_row_there_is_no_length(values: list[list[float]] | npt.NDArray[Any]) -> None:
    """Where no row is finite the lengths are nulls, not numbers that would pass."""
    row = sum_up(values)

    assert np.isnan([row["length_min"], row["length_max"]]).all()


def test_a_huge_row_has_no_length_within_bounds() -> None:
    """A length beyond what a double holds is infinite, and raises nothing."""
    row = sum_up(np.full((2, 3), 1e300))

    assert (row["not_finite"], row["length_min"], row["length_max"]) == (0, INF, INF)


REAL: list[npt.NDArray[Any]] = [
    np.array([[3, 4], [3, 4], [0, 5]], dtype=dtype)
    for dtype in ("<f2", "<f4", ">f4", "<f8", ">f8", "<i2", ">i8", "|u1")
]


@pytest.mark.parametrize("array", REAL, ids=lambda array: array.dtype.str)
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_of_any_type_are_summed_up(array: npt.NDArray[Any], order: Literal["C", "F"]) -> None:
    """Width, byte order and order of storage change what the header says, and none of the figures."""
    row = sum_up(np.array(array, order=order))

    assert (row["rows"], row["dimension"], row["dtype"]) == (3, 2, array.dtype.str)
    assert (row["not_finite"], row["length_min"], row["length_max"], row["distinct"]) == (0, 5.0, 5.0, 2 / 3)
    assert row["constant_dimensions"] == 0


def test_truth_values_are_numbers() -> None:
    """Booleans count as 0 and 1."""
    row = sum_up(np.array([[True, False], [True, True]]))

    assert (row["not_finite"], row["length_max"], row["constant_dimensions"]) == (0, pytest.approx(2**0.5), 1)


@pytest.mark.parametrize(
    ("array", "rows", "dimension", "not_finite"),
    [
        (np.zeros((2, 3), dtype="<f8"), 2, 3, 0),
        (np.zeros((0, 3), dtype="<f4"), 0, 3, 0),
        (np.zeros((2, 0), dtype="<f4"), 2, 0, 0),
        (np.zeros((0, 0), dtype="<f4"), 0, 0, 0),
        (np.zeros(4, dtype="<f4"), 4, 0, 0),
        (np.zeros(0, dtype="<f4"), 0, 0, 0),
        (np.float32(1.0).reshape(()), 0, 0, 0),
        (np.array("x"), 0, 0, 1),
        (np.zeros((2, 3, 1), dtype="<f4"), 2, 0, 0),
        (np.zeros((2, 0, 5), dtype="<f4"), 2, 0, 0),
        (np.full((2, 3), "x"), 2, 3, 2),
        (np.full((2, 3), ""), 2, 3, 2),
        (np.full((2, 3), b"xyz"), 2, 3, 2),
        (np.full((2, 3), 1j, dtype="<c8"), 2, 3, 2),
        (np.zeros((2, 3), dtype="datetime64[D]"), 2, 3, 2),
        (np.zeros((2, 3), dtype=[("a", "<f4"), ("b", "|u1")]), 2, 3, 2),
        (np.zeros((2, 3), dtype="V0"), 2, 3, 2),
    ],
    ids=[
        "matrix", "no row", "no column", "nothing", "list", "empty list", "number", "word", "three axes",
        "three axes of nothing", "text", "empty text", "bytes", "complex", "dates", "records", "void",
    ],
)  # fmt: skip
def test_whatever_an_array_is_it_is_summed_up(
    array: npt.NDArray[Any], rows: int, dimension: int, not_finite: int
) -> None:
    """The dimension of what is no matrix is 0, what is no real number is not finite, and nothing breaks down."""
    row = sum_up(array)

    assert (row["rows"], row["dimension"], row["dtype"]) == (rows, dimension, array.dtype.str)
    assert row["not_finite"] == not_finite
    assert 0.0 <= row["distinct"] <= 1.0


@pytest.mark.parametrize("fortran", [True, False])
def test_the_order_is_that_of_the_header(*, fortran: bool) -> None:
    """What a file says of its order is told, whatever the order in memory."""
    array = np.zeros((2, 3), dtype="<f4")
    frame = build_vector_frame(VectorEvidence(VectorHeader((2, 3), "<f4", fortran, 128), array))

    assert frame["order"].tolist() == ["Fortran" if fortran else "C"]


# In blocks


def sum_by_blocks(array: npt.NDArray[Any], size: int) -> dict[str, Any]:
    """Return the row that sums an array up, looked at in blocks of so many rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("validation.vector_sums.BLOCK_ROWS", size)
        return sum_up(array)


@settings(max_examples=50, deadline=None)
@given(data=st.data(), size=st.integers(1, 7), order=st.sampled_from(["C", "F"]))
def test_blocks_sum_up_to_the_whole(data: st.DataObject, size: int, order: Literal["C", "F"]) -> None:
    """However many rows are looked at at once, every figure is, to the bit, that of the whole."""
    values = st.sampled_from([0.0, -0.0, 0.5, 1.0, 0.25, NAN, INF])
    rows = data.draw(st.lists(st.lists(values, min_size=4, max_size=4), min_size=1, max_size=20))
    array = np.array(rows, dtype="<f4", order=order)

    assert repr(sum_by_blocks(array, size)) == repr(sum_by_blocks(array, 1000))


@pytest.mark.parametrize("rows", [1, 4, 5, 6, 9, 10, 11])
def test_no_row_is_lost_between_blocks(rows: int) -> None:
    """At every place, the one row that is not finite, the shortest or the longest is seen."""
    for place in range(rows):
        array = draw_unit_vectors(rows, 1)
        array[place] *= np.float32(2)
        long = sum_by_blocks(array, 5)
        array[place] = NAN
        poisoned = sum_by_blocks(array, 5)

        assert (long["length_max"], long["not_finite"]) == (pytest.approx(2, abs=1e-6), 0)
        assert (poisoned["not_finite"], poisoned["constant_dimensions"]) == (1, 0)


def test_rows_are_told_apart_across_blocks() -> None:
    """A row that stands again in another block is a repeated one; a dimension varies if it does between blocks."""
    array = draw_unit_vectors(12, 1)
    array[11] = array[0]
    steps = np.repeat(np.arange(3, dtype="<f4"), 4)[:, None] * np.ones(2, dtype="<f4")

    assert sum_by_blocks(array, 4)["distinct"] == 11 / 12
    assert sum_by_blocks(steps, 4)["constant_dimensions"] == 0
    assert sum_by_blocks(steps, 4)["distinct"] == 3 / 12


@pytest.mark.parametrize("width", [1, 3, 8, 768])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", "|u1"])
def test_rows_that_differ_in_one_bit_differ(width: int, dtype: str) -> None:
    """Every bit of a row counts, in whatever place, and so does the order of its values."""
    raw = np.zeros((1 + 8 * width * np.dtype(dtype).itemsize, width * np.dtype(dtype).itemsize), dtype=np.uint8)
    for bit in range(len(raw) - 1):
        raw[bit + 1, bit // 8] = 1 << bit % 8
    turned = np.array([np.arange(width), np.arange(width)[::-1]], dtype=dtype)

    assert sum_up(raw.view(dtype))["distinct"] == 1
    assert sum_up(turned)["distinct"] == (1 if width > 1 else 0.5)


def test_many_rows_are_told_apart() -> None:
    """Among 20,000 rows that differ in few small whole numbers not two are taken for one."""
    digits = np.stack(np.unravel_index(np.arange(20_000), (10,) * 5), axis=1).astype("<f4")

    assert sum_up(digits)["distinct"] == 1
    assert sum_up(np.vstack([digits, digits[:5000]]))["distinct"] == 20_000 / 25_000


LARGE = 100_000
MEASURE = """
import resource, sys
from pathlib import Path
from pipeline.vectors import map_array
from validation.evidence import VectorEvidence
from validation.frames import build_vector_frame

def peak():
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0])

import numpy as np
import threading, time
start, most, done = peak(), [0], threading.Event()
def watch():
    while not done.wait(0.002):
        most[0] = max(most[0], peak())
watcher = threading.Thread(target=watch)
watcher.start()
path = Path(sys.argv[1])
with path.open("rb") as stream:
    row = build_vector_frame(VectorEvidence(*map_array(stream, path))).to_dict("records")[0]
done.set()
watcher.join()
print(row["rows"], row["not_finite"], (most[0] - start) // 1024)
"""


def test_memory_stays_flat(tmp_path: Path) -> None:
    """Summing up 100,000 vectors, 300 MB, takes at most 100 MB beside what lies in the file."""
    path = tmp_path / "large.npy"
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (LARGE, 768)})
        block = draw_unit_vectors(1000, 1).tobytes()
        for _ in range(LARGE // 1000):
            stream.write(block)
    ended = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    path.unlink()
    rows, not_finite, grown = map(int, ended.stdout.split())

    assert (rows, not_finite) == (LARGE, 0)
    assert grown <= 100


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
    frame = build_database_frame(pair[0])

    assert frame["id_equal"].tolist() == [True] * ROWS
    assert frame["text_equal"].tolist() == [True] * 3 + [False] + [True] * (ROWS - 4)
    assert frame["vector_equal"].tolist() == [True] * ROWS


def test_rows_are_compared_without_being_held(tmp_path: Path) -> None:
    """A database of 12 MB is compared with less than 1 MB; nothing but truth values stays."""
    rows = 4000
    chunks = [Chunk.model_validate(build_chunk(place)) for place in range(rows)]
    matrix = draw_unit_vectors(rows, 1)
    export_database(tmp_path / "corpus.db", chunks, matrix, "any")
    whole = ChunkFile(corpus="fr", total=rows, chunks=chunks)
    tracemalloc.start()
    with open_database(tmp_path / "corpus.db") as connection:
        found = compare_rows(connection, whole, matrix)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [int(truths.sum()) for truths in (found.id_equal, found.text_equal, found.vector_equal)] == [rows] * 3
    assert peak < 1_000_000


def test_metadata_that_is_missing_is_a_null(pair: tuple[StoreEvidence, CorpusEvidence]) -> None:
    """One row with the four keys that a store must have, whether the database has them or not."""
    (row,) = build_metadata_frame(pair[0]).to_dict("records")

    assert row == {
        "schema_version": "2.0",
        "embedding_dim": "768",
        "total_chunks": str(ROWS),
        "model_id": None,
        "undeclared": "",
    }


@pytest.mark.parametrize(
    ("keys", "undeclared"),
    [
        ([], ""),
        (["relabelled"], ""),
        (["Model_id"], "'Model_id'"),
        (["zeta", "relabelled", "alpha"], "'alpha', 'zeta'"),
        (["model_id ", "m\u043edel_id"], "'model_id ', 'm\u043edel_id'"),
        ([""], "''"),
        ([None, "a", b"model_id"], "'a', None, b'model_id'"),
    ],
    ids=["none", "on record", "capital", "two", "look-alikes", "empty", "no text"],
)
def test_keys_that_nothing_declares_are_named(
    pair: tuple[StoreEvidence, CorpusEvidence], keys: list[Any], undeclared: str
) -> None:
    """Every key but the four and the record of relabelling is named, told by its exact name."""
    strange = replace(pair[0], metadata=pair[0].metadata | dict.fromkeys(keys, "x"))
    (found,) = build_metadata_frame(strange)["undeclared"]

    assert found == undeclared


def test_chunks_are_rows(pair: tuple[StoreEvidence, CorpusEvidence]) -> None:
    """One row a chunk, with its fields as columns."""
    chunks = pair[1].chunks
    frame = build_chunk_frame(chunks)

    assert frame["id"].tolist() == [chunk.id for chunk in chunks.chunks]
    assert {"text", "page", "tokens", "corpus", "source"} <= set(frame.columns)
