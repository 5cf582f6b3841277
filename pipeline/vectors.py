"""Read and write matrices of embeddings as `.npy` files, without ever unpickling."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import tokenize
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.errors import InputError
from pipeline.files import replace_file, require_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

Matrix = npt.NDArray[np.float32]

DIMENSION = 768
DTYPE = "<f4"
NORM_TOLERANCE = 1e-3
MAX_HEADER_BYTES = 10_000
MATRIX_RANK = 2
READ_WHOLE_BYTES = 1 << 28
BLOCK_ROWS = 4096
# More axes than this NumPy refuses to give an array.
MAX_RANK = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32

_MAGIC = b"\x93NUMPY"
_VERSIONS = {(1, 0), (2, 0), (3, 0)}
# NumPy evaluates the header as a Python literal, so junk there fails in any of these ways.
_HEADER_FAULTS = (
    ValueError,
    TypeError,
    LookupError,
    SyntaxError,
    tokenize.TokenError,
    RecursionError,
    MemoryError,
    Warning,
)
_REBUILD = "build the file again with `python -m pipeline.embeddings`"


@dataclass(frozen=True, slots=True)
class VectorHeader:
    """What a `.npy` file says of itself.

    Attributes:
        shape: the array's shape; dtype: numpy's type string, `<f4` for little-endian float32;
        fortran_order: whether columns are contiguous; offset: bytes before the data.
    """

    shape: tuple[int, ...]
    dtype: str
    fortran_order: bool
    offset: int


def load_header(path: Path) -> VectorHeader:
    """Read a `.npy` header and hold it against the file's size, before anything is allocated.

    Raises:
        InputError: the file is missing, is no `.npy`, holds pickled objects, or is shorter or longer than it says.
    """
    require_file(path)
    with path.open("rb") as stream:
        return read_header(stream, path)


def read_header(stream: BinaryIO, path: Path) -> VectorHeader:
    """Read the header of an open `.npy` file; `path` is what errors name. Raises `InputError` like `load_header`."""
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise InputError(path, "expected a NumPy .npy file, got other bytes (a pointer or archive?)", _REBUILD)
    stream.seek(0)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            shape, fortran_order, dtype = read(stream, max_header_size=MAX_HEADER_BYTES)
    except _HEADER_FAULTS as error:
        raise InputError(path, f"unreadable .npy header: {error}", _REBUILD) from error
    if version not in _VERSIONS:
        raise InputError(path, f"expected .npy version 1.0, 2.0 or 3.0, got {version[0]}.{version[1]}", _REBUILD)
    if dtype.hasobject:
        raise InputError(path, "holds pickled objects, which are never loaded", _REBUILD)
    if not _can_exist(shape, dtype.itemsize):
        raise InputError(path, f"no array has shape {shape} of {dtype.itemsize} bytes each", _REBUILD)
    header = VectorHeader(tuple(map(int, shape)), dtype.str, fortran_order, stream.tell())
    expected = header.offset + dtype.itemsize * int(np.prod(header.shape, dtype=object))
    found = os.fstat(stream.fileno()).st_size
    if found != expected:
        what = "truncated" if found < expected else "longer than its header says"
        raise InputError(path, f"{what}: expected {expected} bytes for {header.shape}, got {found}", _REBUILD)
    return header


def _can_exist(shape: tuple[int, ...], item_bytes: int) -> bool:
    """Return whether NumPy can make an array of a shape at all, were there memory for it."""
    if len(shape) > MAX_RANK or min(shape, default=0) < 0:
        return False
    return item_bytes > 0 and math.prod(size for size in shape if size) * item_bytes <= np.iinfo(np.intp).max


def map_array(stream: BinaryIO, path: Path) -> tuple[VectorHeader, npt.NDArray[np.generic]]:
    """Return header and values of an open `.npy` file, of any type and shape.

    A file of up to 256 MiB is read whole: whoever cut it short while it is mapped would end the process. A larger one
    is read as it is used, so that memory stays flat.

    Raises:
        InputError: like `load_header`.
    """
    header = read_header(stream, path)
    dtype = np.dtype(header.dtype)
    if 0 in header.shape:
        return header, np.zeros(header.shape, dtype=dtype)
    if os.fstat(stream.fileno()).st_size <= READ_WHOLE_BYTES:
        values = np.frombuffer(stream.read(), dtype)
    else:
        values = np.frombuffer(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), dtype, offset=header.offset)
    return header, values.reshape(header.shape, order="F" if header.fortran_order else "C")


def find_header_fault(header: VectorHeader, rows: int | None) -> str | None:
    """Return why a header is not that of a C-order `<f4` matrix of `rows` × 768, or None."""
    if header.dtype != DTYPE:
        return f"expected dtype {DTYPE} (little-endian float32), got {header.dtype}"
    if len(header.shape) != MATRIX_RANK or header.shape[1] != DIMENSION:
        return f"expected {DIMENSION} dimensions, got shape {header.shape}"
    if header.fortran_order:
        return "expected C order, got Fortran order"
    if rows is not None and header.shape[0] != rows:
        return f"expected {rows} rows, got {header.shape[0]}"
    return None


def find_value_fault(matrix: Matrix) -> str | None:
    """Return the first row that is not finite or not of unit length within 1e-3, or None; memory stays flat."""
    wrong = np.concatenate([np.empty(0, np.intp), *_find_wrong_rows(matrix)])
    if not wrong.size:
        return None
    row = int(wrong[0])
    if not np.isfinite(matrix[row]).all():
        return f"row {row} holds NaN or infinity ({wrong.size} rows are not unit vectors)"
    length = _compute_lengths(matrix[row : row + 1])[0]
    return f"row {row} has length {length:.4f}, expected 1 ± {NORM_TOLERANCE} ({wrong.size} such rows)"


def _find_wrong_rows(matrix: Matrix) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the rows that are no unit vectors, block by block.

    A square that is within 1e-3 of 1 in single precision belongs to a length that is within half of that, rounding
    included: only the other rows are measured in double precision, which decides.
    """
    for start in range(0, len(matrix), BLOCK_ROWS):
        block = matrix[start : start + BLOCK_ROWS]
        with np.errstate(invalid="ignore", over="ignore"):  # a signalling NaN would raise a warning, not a finding
            squares = np.einsum("ij,ij->i", block, block)
            doubtful = np.flatnonzero(~(np.abs(squares - 1) <= NORM_TOLERANCE))
            lengths = _compute_lengths(block[doubtful])
        yield start + doubtful[~(np.abs(lengths - 1.0) <= NORM_TOLERANCE)]


def _compute_lengths(rows: Matrix) -> npt.NDArray[np.float64]:
    lengths: npt.NDArray[np.float64] = np.linalg.norm(rows.astype(np.float64), axis=1)
    return lengths


def load_vectors(path: Path, rows: int | None = None) -> Matrix:
    """Load a float32 matrix of shape `(rows, 768)` whose rows are unit vectors, for reading only.

    One above 256 MiB is mapped, as `map_array` does it, and checked in blocks.

    Raises:
        InputError: header or values are not what a store's matrix must be; says which and where.
    """
    require_file(path)
    with path.open("rb") as stream:
        fault = find_header_fault(read_header(stream, path), rows)
        if fault is None:
            stream.seek(0)
            matrix = map_array(stream, path)[1].astype(np.float32, copy=False)
            fault = find_value_fault(matrix)
    if fault is not None:
        raise InputError(path, fault, _REBUILD)
    return matrix


@contextlib.contextmanager
def create_vectors(path: Path, rows: int) -> Iterator[Matrix]:
    """Yield a float32 array of shape `(rows, 768)` in which rows are written where they will lie in the file.

    The array is mapped, so memory stays flat however many rows there are. The file is C-order `<f4`, and appears under
    its name when the block ends well; from then on the array is read-only.

    Raises:
        InputError: a row is no unit vector in the end; nothing is written.
        OSError: there is no room for the file, which is found out before the first row.
    """
    with replace_file(path) as partial, partial.open("w+b") as stream:
        header = {"descr": DTYPE, "fortran_order": False, "shape": (rows, DIMENSION)}
        np.lib.format.write_array_header_1_0(stream, header)
        offset = stream.tell()
        _reserve(stream, offset + rows * DIMENSION * np.dtype(DTYPE).itemsize)
        matrix = np.frombuffer(mmap.mmap(stream.fileno(), 0), DTYPE, offset=offset).reshape(rows, DIMENSION)
        yield matrix
        fault = find_value_fault(matrix)
        if fault is not None:
            raise InputError(path, fault, "the model's output cannot be stored; check its precision (never float16)")
        matrix.flags.writeable = False


def _reserve(stream: BinaryIO, size: int) -> None:
    # A mapped file with holes ends the process on a full disk; one whose blocks are there does not.
    stream.flush()
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(stream.fileno(), 0, size)
    else:
        stream.truncate(size)


def save_vectors(path: Path, matrix: Matrix) -> None:
    """Write a `(rows, 768)` matrix of unit vectors as C-order `<f4`, atomically.

    Raises:
        InputError: the matrix is not what a store's matrix must be; nothing is written.
    """
    if matrix.ndim != MATRIX_RANK or matrix.shape[1] != DIMENSION:
        raise InputError(path, f"expected {DIMENSION} dimensions, got shape {matrix.shape}", "use a 768-D model")
    with create_vectors(path, len(matrix)) as stored, np.errstate(invalid="ignore", over="ignore"):
        stored[:] = matrix
