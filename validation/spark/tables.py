"""Lay evidence out as tables of Spark with the columns of `validation.frames`, and the place of each row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from pipeline.chunks import Chunk
from pipeline.database import list_row_ids, load_rows, open_database
from pipeline.errors import StoreError
from validation.frames import compare_rows
from validation.spark.row_ranges import MatrixFile, describe_file, hash_rows
from validation.vector_sums import VectorSums, make_empty, sum_block
from validation.vector_sums import hash_rows as hash_vectors

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from pipeline.chunks import ChunkFile
    from validation.evidence import StoreEvidence, VectorEvidence
    from validation.spark.row_ranges import CutMatrix, Cutter

# Great Expectations on Spark knows rows by a column; no field of a chunk is likely to have this name.
PLACE = "place in the table"
_BIGINT = range(-(2**63), 2**63)
_SUMS = "rows long, not_finite long, shortest double, longest double, lowest binary, highest binary, known binary"
_EQUAL = "id_equal boolean, text_equal boolean, vector_equal boolean"
_RANGES = "start long, stop long, vectors long, row_id long, sha256 string, chunks string"
_CHUNKS = TypeAdapter(list[Chunk])


@dataclass(frozen=True, slots=True)
class Table:
    """A table of Spark with its number of rows, and with what it was made from where that is at hand."""

    frame: DataFrame
    rows: int
    origin: pd.DataFrame | None = None


def lay_out_frame(session: SparkSession, frame: pd.DataFrame) -> Table:
    """Return a table of pandas as one of Spark, rows in order."""
    from pyspark.sql.types import LongType, StructField, StructType

    fields, columns = [StructField(PLACE, LongType())], {PLACE: [*range(len(frame))]}
    for name in frame.columns:
        kind, columns[name] = convert_column(frame[name].tolist())
        fields.append(StructField(name, kind))
    converted = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    return Table(session.createDataFrame(converted, StructType(fields)), len(frame), frame)


def convert_column(values: list[Any]) -> tuple[Any, list[Any]]:
    """Return the type of Spark that holds values, and the values as it holds them; NaN becomes null, as in pandas.

    Where values are of several types, or of one that is none of Spark's, all that is no text is told by its `repr`: it
    equals no text that anything is compared with.
    """
    from pyspark.sql.types import BooleanType, DoubleType, LongType, StringType

    present = [None if isinstance(value, float) and math.isnan(value) else value for value in values]
    kinds = {type(value) for value in present if value is not None}
    if kinds == {bool}:
        return BooleanType(), present
    if kinds == {int} and all(value is None or value in _BIGINT for value in present):
        return LongType(), present
    if kinds == {float}:
        return DoubleType(), present
    return StringType(), [value if value is None or isinstance(value, str) else repr(value) for value in present]


def sum_matrix(cut: CutMatrix, vectors: VectorEvidence) -> tuple[VectorSums, int]:
    """Return the sums of a matrix, added up from those of its tasks, and how many different rows it has."""
    file = cut.file
    sums = make_empty(vectors.values[:0])
    for row in cut.parts.mapInPandas(lambda tables: sum_parts(file, tables), _SUMS).collect():
        lowest, highest = (np.frombuffer(row[name], np.float64) for name in ("lowest", "highest"))
        known = np.frombuffer(row["known"], np.int64)
        sums += VectorSums(row["rows"], row["not_finite"], row["shortest"], row["longest"], lowest, highest, known)
    kinds = cut.parts.mapInPandas(lambda tables: hash_parts(file, tables), "hash long").distinct().count()
    return sums, kinds


def sum_parts(file: MatrixFile, tables: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Sum the parts of a task up."""
    sums = make_empty(np.empty((0, file.width)))
    for _, block in file.read_parts(tables):
        sums += sum_block(block)
    values = [getattr(sums, name) for name in VectorSums.__slots__]
    told = [value.tobytes() if isinstance(value, np.ndarray) else value for value in values]
    yield pd.DataFrame([told], columns=list(VectorSums.__slots__))


def hash_parts(file: MatrixFile, tables: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Hash every row of a task's parts."""
    for _, block in file.read_parts(tables):
        yield pd.DataFrame({"hash": hash_vectors(block).view(np.int64)})


def compare_database(cutter: Cutter, store: StoreEvidence, chunks: ChunkFile) -> Table | None:
    """Let workers compare ranges of a database's rows with chunks and vectors; None where vectors have no ranges."""
    files = store.manifest.files
    file = describe_file(store.passages, store.folder / files.embeddings.name)
    if file is None:
        return None
    path = (store.folder / files.database.name).resolve()
    with open_database(path) as connection:
        row_ids = list_row_ids(connection)
    ranges = cutter.split(len(row_ids))
    parts = [describe_range(store.passages, chunks.chunks, row_ids, start, stop) for start, stop in ranges]
    spread = cutter.spread(parts, _RANGES)
    equal = spread.mapInPandas(lambda tables: compare_parts(path, file, tables), f"`{PLACE}` long, {_EQUAL}")
    return Table(equal, len(row_ids))


def describe_range(
    vectors: VectorEvidence, chunks: Sequence[Chunk], row_ids: Sequence[int], start: int, stop: int
) -> tuple[object, ...]:
    """Return what a worker must know of the database rows from `start` to before `stop`, with the chunks there."""
    end = max(start, min(stop, len(vectors.values)))
    texts = _CHUNKS.dump_json(list(chunks[start:stop])).decode()
    return start, stop, end, row_ids[start], hash_rows(vectors, start, end), texts


def compare_parts(path: Path, file: MatrixFile, tables: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Compare the ranges of a task.

    Raises:
        StoreError: the database holds other rows than when the driver looked.
    """
    ranges: list[dict[Hashable, Any]] = [each for table in tables for each in table.to_dict("records")]
    for each in ranges:
        start, stop = each["start"], each["stop"]
        with open_database(path) as connection:
            rows = load_rows(connection, each["row_id"], stop - start)
        if len(rows) != stop - start:
            raise StoreError(path, "was changed while it was judged", "let nothing write to it, and judge again")
        values = file.read_rows(start, each["vectors"], each["sha256"])
        equal = compare_rows(rows, start, _CHUNKS.validate_json(each["chunks"]), values)
        equal.insert(0, PLACE, range(start, stop))
        yield equal
