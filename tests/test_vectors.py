"""Matrices of embeddings: written and read to the byte, and never unpickled."""

from __future__ import annotations

import contextlib
import hashlib
import io
import mmap
import os
import re
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.files import open_verified
from pipeline.vectors import (
    DIMENSION,
    NORM_TOLERANCE,
    VectorHeader,
    create_vectors,
    find_header_fault,
    find_value_fault,
    load_header,
    load_vectors,
    map_array,
    read_header,
    save_vectors,
)
from tests.bad_input import check_refusal, list_scraps
from tests.conftest import Result, Sample, draw_unit_vectors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.requirement("REQ-VEC-02", "REQ-VEC-03", "REQ-VEC-04")

ROWS = 40
GOOD_HEADER = VectorHeader((ROWS, DIMENSION), "<f4", fortran_order=False, offset=128)
UNITS = draw_unit_vectors(ROWS, 1)


def to_npy(array: npt.NDArray[Any], *, allow_pickle: bool = False) -> bytes:
    """Return the bytes that NumPy saves an array as."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def to_npz(array: npt.NDArray[Any]) -> bytes:
    """Return the bytes of a NumPy archive."""
    stream = io.BytesIO()
    np.savez(stream, array)
    return stream.getvalue()


def build_npy(header: str, data: bytes = b"") -> bytes:
    """Return a `.npy` file whose header is any text."""
    encoded = (header + "\n").encode()
    return b"\x93NUMPY\x01\x00" + len(encoded).to_bytes(2, "little") + encoded + data


def alter(row: int, column: int | slice, value: float) -> npt.NDArray[np.float32]:
    """Return the unit vectors with something overwritten."""
    matrix = UNITS.copy()
    matrix[row, column] = value
    return matrix


def scale(row: int, factor: float) -> npt.NDArray[np.float32]:
    """Return the unit vectors with one row of another length."""
    matrix = UNITS.copy()
    matrix[row] *= np.float32(factor)
    return matrix


POINTER = b"outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  hash: md5\n  path: embeddings.npy\n"
SHAPE = "{'descr': '<f4', 'fortran_order': False, 'shape': %s}"
BAD_FILES = {
    "one row less": (to_npy(UNITS[:-1]), "expected 40 rows, got 39"),
    "one row more": (to_npy(draw_unit_vectors(41, 1)), "expected 40 rows, got 41"),
    "no rows": (to_npy(UNITS[:0]), "expected 40 rows, got 0"),
    "half the dimension": (to_npy(UNITS[:, :384]), "expected 768 dimensions, got shape (40, 384)"),
    "flat": (to_npy(UNITS.ravel()), "expected 768 dimensions, got shape (30720,)"),
    "three axes": (to_npy(UNITS[None]), "expected 768 dimensions, got shape (1, 40, 768)"),
    "reshaped": (to_npy(UNITS.reshape(20, 1536)), "expected 768 dimensions, got shape (20, 1536)"),
    "float64": (to_npy(UNITS.astype("<f8")), "expected dtype <f4 (little-endian float32), got <f8"),
    "float16": (to_npy(UNITS.astype("<f2")), "expected dtype <f4 (little-endian float32), got <f2"),
    "big-endian": (to_npy(UNITS.astype(">f4")), "expected dtype <f4 (little-endian float32), got >f4"),
    "integers": (to_npy(UNITS.astype("<i4")), "expected dtype <f4 (little-endian float32), got <i4"),
    "Fortran order": (to_npy(np.asfortranarray(UNITS)), "expected C order, got Fortran order"),
    "NaN": (to_npy(alter(7, 3, np.nan)), "row 7 holds NaN or infinity (1 rows"),
    "infinity": (to_npy(alter(39, 767, -np.inf)), "row 39 holds NaN or infinity"),
    "zero row": (to_npy(alter(11, slice(None), 0.0)), "row 11 has length 0.0000, expected 1 ± 0.001 (1 such rows)"),
    "too long": (to_npy(scale(5, 1.01)), "row 5 has length 1.0100, expected 1 ± 0.001"),
    "too short": (to_npy(scale(5, 0.998)), "row 5 has length 0.9980, expected 1 ± 0.001"),
    "not normalised at all": (to_npy(UNITS * np.float32(3)), "row 0 has length 3.0000, expected 1 ± 0.001 (40 such"),
    "one byte less": (to_npy(UNITS)[:-1], "truncated: expected 123008 bytes for (40, 768), got 123007"),
    "last row cut": (to_npy(UNITS)[:-3072], "truncated: expected 123008 bytes for (40, 768), got 119936"),
    "one byte more": (to_npy(UNITS) + b"\0", "longer than its header says: expected 123008 bytes"),
    "header only": (to_npy(UNITS)[:128], "truncated: expected 123008 bytes"),
    "header cut": (to_npy(UNITS)[:60], "unreadable .npy header"),
    "magic only": (to_npy(UNITS)[:6], "unreadable .npy header"),
    "pickled": (to_npy(np.array([{"a": 1}], dtype=object), allow_pickle=True), "pickled objects, which are never"),
    "empty": (b"", "expected a NumPy .npy file, got other bytes"),
    "archive": (to_npz(UNITS), "expected a NumPy .npy file, got other bytes"),
    "pointer": (POINTER, "expected a NumPy .npy file, got other bytes (a pointer or archive?)"),
    "absurd rows": (build_npy(SHAPE % "(10000000000, 768)"), "truncated: expected 30720000000"),
    "negative rows": (build_npy(SHAPE % "(-1, 768)"), "no array has shape (-1, 768) of 4 bytes each"),
    "shape of no tuple": (build_npy(SHAPE % "5"), "unreadable .npy header"),
    "open bracket": (build_npy("{'descr': '<f4', 'shape': (1,768"), "unreadable .npy header"),
    "unhashable key": (build_npy("{[]: 1}"), "unreadable .npy header"),
    "empty type": (build_npy("{'descr': (), 'fortran_order': False, 'shape': (1, 768)}"), "unreadable .npy header"),
    "bottomless expression": (build_npy("-" * 9000 + "1"), "unreadable .npy header"),
    "endless header": (build_npy(" " * 20_000), "unreadable .npy header"),
    "Python 2 header": (build_npy(SHAPE % "(1L, 768L)"), "unreadable .npy header"),
}  # fmt: skip


class Payload:
    """An object that leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        """Remember where the trace goes."""
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        """Have the trace written by whoever unpickles this."""
        return (type(self.trace).touch, (self.trace,))


def test_saved_vectors_come_back_to_the_byte(tmp_path: Path) -> None:
    """Values, order and dtype survive, and the file is a plain C-order `<f4` of the format's first version."""
    path = tmp_path / "deep" / "vectors.npy"
    save_vectors(path, UNITS)
    loaded = load_vectors(path, rows=ROWS)

    assert load_header(path) == GOOD_HEADER
    assert path.read_bytes()[128:] == UNITS.astype("<f4").tobytes()
    assert np.array_equal(np.load(path), UNITS)
    assert np.array_equal(loaded, UNITS)
    assert loaded.dtype == np.float32


@pytest.mark.parametrize(
    "convert",
    [np.asfortranarray, lambda matrix: matrix.astype(">f4"), lambda matrix: matrix.astype("<f8")],
    ids=["Fortran order", "big-endian", "float64"],
)
def test_any_layout_is_saved_as_the_one_layout(tmp_path: Path, convert: Callable[..., Any]) -> None:
    """However a matrix lies in memory, the same values give the same bytes."""
    save_vectors(tmp_path / "a.npy", UNITS)
    save_vectors(tmp_path / "b.npy", convert(UNITS))

    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_the_number_of_rows_may_be_left_open(tmp_path: Path) -> None:
    """Without an expected count, any number of rows is read."""
    save_vectors(tmp_path / "v.npy", UNITS[:3])

    assert load_vectors(tmp_path / "v.npy").shape == (3, DIMENSION)


@pytest.mark.parametrize(("content", "fault"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_vectors_are_refused(
    tmp_path: Path, sample: Sample, run_cli: Callable[..., Result], content: bytes, fault: str
) -> None:
    """Vectors that are not what the corpus needs are refused with what was expected and found; nothing is written."""
    path, output = tmp_path / "vectors.npy", tmp_path / "out" / "corpus.db"
    path.write_bytes(content)
    result = run_cli(
        "pipeline.export_sdk", "--chunks", sample.chunks, "--embeddings", path, "--output", output, "--model-id", "m"
    )

    check_refusal(result, str(path), fault, "build the file again with `python -m pipeline.embeddings`")

    assert not output.parent.exists()


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_vectors_that_are_no_file_are_refused(tmp_path: Path, kind: str) -> None:
    """A missing file and a folder are told apart."""
    path = tmp_path if kind == "folder" else tmp_path / "vectors.npy"

    with pytest.raises(InputError, match="but it is a folder" if kind == "folder" else "but it does not exist"):
        load_vectors(path)


def test_a_pickled_payload_never_runs(tmp_path: Path) -> None:
    """Loading objects would run code; here the file is refused by its header."""
    trace = tmp_path / "trace"
    path = tmp_path / "vectors.npy"
    np.save(path, np.array([Payload(trace)], dtype=object), allow_pickle=True)

    with pytest.raises(InputError, match="holds pickled objects"):
        load_vectors(path)

    assert not trace.exists()


def test_an_absurd_header_allocates_nothing(tmp_path: Path) -> None:
    """The header is held against the file's size before any memory is asked for."""
    path = tmp_path / "vectors.npy"
    path.write_bytes(build_npy(SHAPE % "(100000, 768)"))
    tracemalloc.start()
    with pytest.raises(InputError, match="truncated"):
        load_vectors(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2**20


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_damaged_header_never_gives_other_values(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever bytes of the header are overwritten, the outcome is an `InputError` or the same values."""
    content = bytearray(to_npy(UNITS[:1]))
    for position in data.draw(st.lists(st.integers(0, 127), min_size=1, max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.npy"
    path.write_bytes(content)
    loaded = UNITS[:1]
    with contextlib.suppress(InputError):
        loaded = load_vectors(path, rows=1)

    assert np.array_equal(loaded, UNITS[:1])


@settings(max_examples=30, deadline=None)
@given(keys=st.dictionaries(st.sampled_from(["descr", "fortran_order", "shape", "x"]), st.recursive(
    st.none() | st.booleans() | st.integers(-2, 800) | st.sampled_from(["<f4", "O", "<f4,<", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple), max_leaves=5)))  # fmt: skip
def test_a_header_of_other_values_is_refused(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, Any]) -> None:
    """A header may hold any Python literal: without the data for it, it is always an `InputError`."""
    path = tmp_path_factory.getbasetemp() / "other.npy"
    path.write_bytes(build_npy(repr(keys)))

    with pytest.raises(InputError, match=re.escape(str(path))):
        load_vectors(path, rows=1)


@pytest.mark.parametrize(
    ("header", "rows", "fault"),
    [
        (GOOD_HEADER, ROWS, None),
        (GOOD_HEADER, None, None),
        (GOOD_HEADER, ROWS + 1, "expected 41 rows, got 40"),
        (VectorHeader((ROWS, 767), "<f4", fortran_order=False, offset=128), ROWS, "expected 768 dimensions"),
        (VectorHeader((DIMENSION,), "<f4", fortran_order=False, offset=128), None, "expected 768 dimensions"),
        (VectorHeader((ROWS, DIMENSION), "<f4", fortran_order=True, offset=128), ROWS, "expected C order"),
        (VectorHeader((ROWS, DIMENSION), "|V4", fortran_order=False, offset=128), ROWS, "expected dtype <f4"),
    ],
    ids=["good", "rows open", "rows", "dimension", "axes", "order", "dtype"],
)
def test_a_header_says_what_is_wrong_with_it(header: VectorHeader, rows: int | None, fault: str | None) -> None:
    """A good header has no fault, any other names the first."""
    found = find_header_fault(header, rows)

    assert found == fault if fault is None else found is not None and found.startswith(fault)


@pytest.mark.parametrize(
    ("length", "is_unit"),
    [(0.9991, True), (1.0009, True), (0.9989, False), (1.0011, False)],
    ids=["just long enough", "just short enough", "too short", "too long"],
)
def test_lengths_are_held_to_a_thousandth(tmp_path: Path, length: float, *, is_unit: bool) -> None:
    """A row's length may differ from 1 by 0.001 and no more."""
    path = tmp_path / "vectors.npy"
    path.write_bytes(to_npy(scale(2, length)))
    try:
        load_vectors(path)
    except InputError:
        assert not is_unit
    else:
        assert is_unit


BAD_MATRICES = {
    "dimension": (UNITS[:, :256], "expected 768 dimensions, got shape (40, 256)"),
    "axes": (UNITS[0], "expected 768 dimensions, got shape (768,)"),
    "NaN": (alter(3, 0, np.nan), "row 3 holds NaN or infinity"),
    "length": (scale(4, 2.0), "row 4 has length 2.0000"),
}


@pytest.mark.parametrize(("matrix", "fault"), BAD_MATRICES.values(), ids=BAD_MATRICES)
def test_a_matrix_that_no_store_could_use_is_not_saved(
    tmp_path: Path, matrix: npt.NDArray[np.float32], fault: str
) -> None:
    """Such a matrix leaves an older file as it was, and no other."""
    path = tmp_path / "vectors.npy"
    path.write_bytes(b"older")

    with pytest.raises(InputError, match=re.escape(fault)):
        save_vectors(path, matrix)

    assert path.read_bytes() == b"older"
    assert list_scraps(tmp_path) == []


@pytest.mark.parametrize("rows", [0, 1, ROWS])
def test_rows_are_written_where_they_will_lie(tmp_path: Path, rows: int) -> None:
    """Filled row by row, the file has the bytes of a matrix that is saved whole, and appears at the end."""
    path, whole = tmp_path / "rows.npy", tmp_path / "whole.npy"
    with create_vectors(path, rows) as matrix:
        for row in reversed(range(rows)):
            matrix[row] = UNITS[row]

        assert not path.exists()

    save_vectors(whole, UNITS[:rows])
    assert path.read_bytes() == whole.read_bytes() == to_npy(UNITS[:rows])
    assert list_scraps(tmp_path) == []


def test_a_written_matrix_cannot_be_changed(tmp_path: Path) -> None:
    """Once the file has its name, nobody writes to it by the array that made it."""
    with create_vectors(tmp_path / "v.npy", ROWS) as matrix:
        matrix[:] = UNITS

    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 0


def test_rows_that_were_left_out_are_refused(tmp_path: Path) -> None:
    """A row that nobody wrote is no unit vector: the older file stays, and no other appears."""
    path = tmp_path / "v.npy"
    path.write_bytes(b"older")

    with (
        pytest.raises(InputError, match=r"row 7 has length 0\.0000, expected 1 ± 0\.001 \(1 such rows\)"),
        create_vectors(path, ROWS) as matrix,
    ):
        matrix[:7], matrix[8:] = UNITS[:7], UNITS[8:]

    assert path.read_bytes() == b"older"
    assert list_scraps(tmp_path) == []


def test_a_full_disk_is_found_out_before_the_first_row(tmp_path: Path) -> None:
    """The room is taken beforehand, because a mapped file that finds none later ends the process."""
    path = tmp_path / "v.npy"

    with pytest.raises(OSError, match=r"v\.npy"), create_vectors(path, 10**13):
        pytest.fail("there is no such room")

    assert list_scraps(tmp_path) == []


KINDS = ["<f4", ">f4", "<f8", ">f8", "<f2", "|i1", "|u1", "<i8", "|b1", "<c8", "|S5", "<U3", ">U3", "<M8[s]", "|V6"]
FORMS: list[tuple[int, ...]] = [(), (1,), (7,), (0,), (0, 768), (3, 0), (2, 3), (2, 3, 4), (1,) * 20]


@pytest.mark.parametrize("shape", FORMS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_any_array_is_mapped_as_numpy_loads_it(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    """Whatever the type, the shape and the order, header and values are those that NumPy itself finds in the file."""
    dtype = np.dtype(kind)
    count = int(np.prod(shape))
    content = np.random.default_rng(3).integers(0, 2, count * dtype.itemsize, dtype=np.uint8).tobytes()
    array = np.frombuffer(content, dtype).reshape(shape) if count else np.zeros(shape, dtype)
    for order in ("C", "F"):
        path = tmp_path / f"{order}.npy"
        np.save(path, np.asarray(array, order="C" if order == "C" else "F"))
        expected = np.load(path)
        with path.open("rb") as stream:
            header, values = map_array(stream, path)

        assert (header.shape, header.dtype) == (expected.shape, expected.dtype.str)
        assert header == load_header(path)
        assert (values.shape, values.dtype) == (expected.shape, expected.dtype)
        assert values.tobytes() == expected.tobytes()


def test_values_that_do_not_lie_even_are_mapped(tmp_path: Path) -> None:
    """Data may begin at any byte: a header of another length than NumPy's own gives the same values."""
    path = tmp_path / "odd.npy"
    path.write_bytes(build_npy(SHAPE % "(40, 768)" + "  ", UNITS.tobytes()))
    with path.open("rb") as stream:
        header, values = map_array(stream, path)

    assert header.offset % 4
    assert np.array_equal(values, UNITS)


def test_mapped_values_cannot_be_changed_and_outlive_the_stream(tmp_path: Path) -> None:
    """They are what was found: nobody writes to the file by them, and they stay when file and name are gone."""
    path = tmp_path / "vectors.npy"
    save_vectors(path, UNITS)
    content = path.read_bytes()
    with open_verified(path, len(content), hashlib.sha256(content).hexdigest()) as stream:
        save_vectors(path, -UNITS)
        _, values = map_array(stream, path)
    path.unlink()

    assert np.array_equal(values, UNITS)
    with pytest.raises(ValueError, match="read-only"):
        values[0, 0] = 0


IMPOSSIBLE = {
    "two negative sides": (SHAPE % "(-1, -768)", UNITS[:1].tobytes()),
    "one negative side": (SHAPE % "(-1, 768)", b""),
    "endless side of nothing": (SHAPE % f"({10**30}, 0)", b""),
    "wide side of nothing": (SHAPE % f"({2**62}, 4, 0)", b""),
    "too many axes": (SHAPE % str((1,) * 65), UNITS[0, :1].tobytes()),
    "too many axes of nothing": (SHAPE % str((0,) * 65), b""),
    "values of no size": ("{'descr': '|S0', 'fortran_order': False, 'shape': (1000000000000,)}", b""),
    "nothing at all": ("{'descr': '|V0', 'fortran_order': False, 'shape': (3,)}", b""),
}


@pytest.mark.parametrize(("header", "data"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_can_be_no_array_is_one_error(tmp_path: Path, header: str, data: bytes) -> None:
    """A shape that multiplies out to the file's size and still is none is refused by the file's name."""
    path = tmp_path / "vectors.npy"
    path.write_bytes(build_npy(header, data))

    with pytest.raises(InputError, match=re.escape(str(path))), path.open("rb") as stream:
        map_array(stream, path)
    with pytest.raises(InputError, match=re.escape(str(path))):
        load_header(path)


def test_a_header_is_read_from_an_open_file(tmp_path: Path) -> None:
    """The size that counts is that of the open file, and errors name the path that was told."""
    path, other = tmp_path / "vectors.npy", tmp_path / "other.npy"
    save_vectors(path, UNITS)
    with path.open("rb") as stream:
        path.rename(other)
        path.write_bytes(b"something else")

        assert read_header(stream, path) == GOOD_HEADER
        assert stream.tell() == GOOD_HEADER.offset

    with path.open("rb") as stream, pytest.raises(InputError, match=r"told\.npy: expected a NumPy \.npy file"):
        read_header(stream, tmp_path / "told.npy")


def test_a_million_vectors_take_no_memory(tmp_path: Path) -> None:
    """Values are read from the file as they are used: 3 GB of them cost as little as one row."""
    path = tmp_path / "vectors.npy"
    rows = 1_000_000
    path.write_bytes(build_npy(SHAPE % f"({rows}, 768)"))
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size + rows * DIMENSION * 4)
    process = psutil.Process()
    before = process.memory_info().rss
    with path.open("rb") as stream:
        _, values = map_array(stream, path)
    total = sum(float(np.abs(values[row]).sum()) for row in range(0, rows, 100_000))

    assert (values.shape, total) == ((rows, DIMENSION), 0.0)
    assert process.memory_info().rss - before < 50 * 2**20


def test_a_file_that_is_cut_while_it_is_looked_at_ends_nothing(tmp_path: Path) -> None:
    """What was read of a small file stays what it was, whatever somebody does to the file meanwhile."""
    path = tmp_path / "vectors.npy"
    np.save(path, draw_unit_vectors(40, seed=3))
    with path.open("rb") as stream:
        _, values = map_array(stream, path)
        os.truncate(path, 200)

    assert np.array_equal(values, draw_unit_vectors(40, seed=3))


def test_a_large_file_is_read_as_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mapped values are those that reading the whole file gives."""
    path = tmp_path / "vectors.npy"
    np.save(path, draw_unit_vectors(40, seed=3))
    monkeypatch.setattr("pipeline.vectors.READ_WHOLE_BYTES", 0)
    with path.open("rb") as stream:
        _, values = map_array(stream, path)

    assert np.array_equal(values, draw_unit_vectors(40, seed=3))


# In blocks


def find_plainly(matrix: npt.NDArray[np.float32]) -> tuple[int, int] | None:
    """Return the first row that is no unit vector and how many there are, all measured at once in double precision."""
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.linalg.norm(matrix.astype(np.float64), axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) <= NORM_TOLERANCE))
    return (int(wrong[0]), len(wrong)) if wrong.size else None


def read_fault(fault: str | None) -> tuple[int, int] | None:
    """Return the row that a fault names and the number of rows that it counts."""
    found = re.search(r"^row (\d+) .*\((\d+) ", fault or "")
    return (int(found[1]), int(found[2])) if found else None


@pytest.mark.parametrize("rows", [1, 4, 5, 6, 10, 11])
@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, 0.5])
def test_a_wrong_row_is_found_wherever_it_lies(monkeypatch: pytest.MonkeyPatch, rows: int, value: float) -> None:
    """Before, at and after the end of a block, the first wrong row is named and all are counted."""
    monkeypatch.setattr("pipeline.vectors.BLOCK_ROWS", 5)
    for place in range(rows):
        matrix = draw_unit_vectors(rows, 1)
        matrix[place:, 3] = value

        assert read_fault(find_value_fault(matrix)) == (place, rows - place) == find_plainly(matrix)


def test_lengths_at_the_limit_are_decided_in_double_precision() -> None:
    """Close to the limit, as far from it, exactly the rows are wrong that double precision says are wrong."""
    for seed, (low, high) in enumerate(
        [(0.9985, 1.0015), (0.99899, 0.99901), (1.00099, 1.00101), (0.9990001, 1.0009999)]
    ):
        matrix = draw_unit_vectors(3000, seed) * np.linspace(low, high, 3000, dtype=np.float32)[:, None]

        assert read_fault(find_value_fault(matrix)) == find_plainly(matrix)


def test_a_matrix_without_rows_has_no_wrong_one() -> None:
    """Nothing is found where nothing is."""
    assert find_value_fault(np.empty((0, DIMENSION), dtype=np.float32)) is None


def test_a_large_file_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a size the values are those in the file, not a copy; they are checked as those of any other file."""
    monkeypatch.setattr("pipeline.vectors.READ_WHOLE_BYTES", 1000)
    path = tmp_path / "v.npy"
    save_vectors(path, UNITS)
    loaded = load_vectors(path, rows=ROWS)

    assert np.array_equal(loaded, UNITS)
    assert not loaded.flags.writeable
    assert isinstance(find_base(loaded), mmap.mmap)

    path.write_bytes(to_npy(scale(5, 1.01)))
    with pytest.raises(InputError, match=r"row 5 has length 1\.0100"):
        load_vectors(path)


def find_base(array: object) -> object:
    """Return what holds the bytes of an array."""
    while isinstance(array, np.ndarray | memoryview):
        array = array.base if isinstance(array, np.ndarray) else array.obj
    return array
