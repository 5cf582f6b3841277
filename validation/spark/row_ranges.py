"""Cut a matrix into ranges of rows that workers read from its file by themselves.

What they read must still be what was hashed. The driver has compared the whole file with the manifest and holds its
bytes, or maps them through the descriptor that was hashed; from these it takes a SHA-256 of every range. A worker
opens the file anew, reads its range once, compares it with that digest, and works on the very bytes that it compared.
The file lies on storage that all machines share, at the same path. When all has been looked at, the gate hashes every
file again (INT107), which covers what workers read from databases as well.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import InputError
from pipeline.vectors import MATRIX_RANK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

    from validation.evidence import VectorEvidence
    from validation.vector_sums import Array

ROWS_A_PART = 16_384
# Below that a matrix product takes another way, whose last bits differ; and a part is not worth a task.
ROWS_A_PART_MIN = 512
TASKS_A_CORE = 4
_PARTS = "start long, stop long, sha256 string"


@dataclass(frozen=True, slots=True)
class MatrixFile:
    """What a worker must know of a `.npy` file in C order: where its data begins, and what a row is."""

    path: Path
    offset: int
    dtype: str
    width: int

    def read_rows(self, start: int, stop: int, sha256: str) -> Array:
        """Return the rows from `start` to before `stop`, of the file's type and `(stop - start, width)`.

        Raises:
            InputError: the bytes are not those of the digest.
        """
        row_bytes = self.width * np.dtype(self.dtype).itemsize
        with self.path.open("rb") as stream:
            stream.seek(self.offset + start * row_bytes)
            content = stream.read((stop - start) * row_bytes)
        if hashlib.sha256(content).hexdigest() != sha256:
            problem = f"rows {start} to {stop - 1} are not those that were hashed"
            raise InputError(self.path, problem, "share the store with every worker, and let nothing write to it")
        return np.frombuffer(content, self.dtype).reshape(stop - start, self.width)

    def read_parts(self, tables: Iterable[pd.DataFrame]) -> Iterator[tuple[int, Array]]:
        """Read the parts of a task, a part in memory at a time: place of the first row, and rows."""
        for table in tables:
            for start, stop, sha256 in zip(table["start"], table["stop"], table["sha256"], strict=True):
                yield int(start), self.read_rows(int(start), int(stop), sha256)


@dataclass(frozen=True, slots=True)
class CutMatrix:
    """A file, and its parts as a table of Spark: tasks hold consecutive ones, in order."""

    file: MatrixFile
    parts: DataFrame


class Cutter:
    """Cuts matrices, each only once, for as many cores as Spark has."""

    def __init__(self, session: SparkSession, rows_a_part: int = ROWS_A_PART) -> None:
        """Cut for a session, into parts of at most `rows_a_part` rows."""
        self._session = session
        self._rows_a_part = rows_a_part
        self._known: dict[tuple[Path, int], CutMatrix] = {}

    def cut(self, vectors: VectorEvidence, path: Path) -> CutMatrix | None:
        """Return the parts of a matrix, or None where it has no ranges of rows: no rows, or not in C order."""
        file = describe_file(vectors, path)
        if file is None:
            return None
        key = (file.path, id(vectors.values))
        if key not in self._known:
            ranges = [(*each, hash_rows(vectors, *each)) for each in self.split(len(vectors.values))]
            self._known[key] = CutMatrix(file, self.spread(ranges, _PARTS))
        return self._known[key]

    def split(self, rows: int) -> list[tuple[int, int]]:
        """Return the ranges into which so many rows are cut, as start and stop; none differs by more than a row."""
        least = min(self._session.sparkContext.defaultParallelism, rows // min(ROWS_A_PART_MIN, self._rows_a_part))
        count = max(-(-rows // self._rows_a_part), least, min(rows, 1))
        ends = [rows * place // count for place in range(count + 1)] if count else [0]
        return list(itertools.pairwise(ends))

    def spread(self, parts: Sequence[tuple[object, ...]], schema: str) -> DataFrame:
        """Return a table of parts in tasks of consecutive ones, in order; there are some tasks for every core."""
        context = self._session.sparkContext
        tasks = min(len(parts), TASKS_A_CORE * context.defaultParallelism)
        return self._session.createDataFrame(context.parallelize(parts, max(tasks, 1)), schema)


def describe_file(vectors: VectorEvidence, path: Path) -> MatrixFile | None:
    """Return what workers must know of a file, or None where it has no ranges of rows."""
    header = vectors.header
    if len(header.shape) != MATRIX_RANK or 0 in header.shape or header.fortran_order:
        return None
    return MatrixFile(path.resolve(), header.offset, header.dtype, header.shape[1])


def hash_rows(vectors: VectorEvidence, start: int, stop: int) -> str:
    """Return the SHA-256 of a range of rows as they lie in the file."""
    rows = np.ascontiguousarray(vectors.values[start:stop])
    return hashlib.sha256(rows.reshape(-1).view(np.uint8).data).hexdigest()
