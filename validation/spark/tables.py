"""Send tables to Spark with the place of each row, and let workers sum matrices up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from validation.frames import build_vector_frame, describe_vectors
from validation.vector_sums import VectorSums, hash_rows, make_empty, sum_block

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from validation.evidence import VectorEvidence
    from validation.spark.row_ranges import CutMatrix, Cutter, MatrixFile

# Great Expectations on Spark knows rows by a column; no field of a chunk is likely to have this name.
PLACE = "place in the table"
_BIGINT = range(-(2**63), 2**63)
_SUMS = "rows long, not_finite long, shortest double, longest double, lowest binary, highest binary, known binary"


def lay_out_frame(session: SparkSession, frame: pd.DataFrame) -> DataFrame:
    """Return a table of pandas as one of Spark, with the place of each row."""
    from pyspark.sql.types import LongType, StructField, StructType

    fields, columns = [StructField(PLACE, LongType())], {PLACE: [*range(len(frame))]}
    for name in frame.columns:
        kind, columns[name] = convert_column(frame[name].tolist())
        fields.append(StructField(name, kind))
    converted = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    return session.createDataFrame(converted, StructType(fields))


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


def sum_up(cutter: Cutter, vectors: VectorEvidence, path: Path) -> pd.DataFrame:
    """Return the row that sums a matrix up; workers read it from `path`, where it has ranges of rows."""
    cut = cutter.cut(vectors, path)
    return describe_vectors(vectors, *sum_matrix(cut)) if cut else build_vector_frame(vectors)


def sum_matrix(cut: CutMatrix) -> tuple[VectorSums, int]:
    """Return the sums of a matrix, added up from those of its tasks, and how many different rows it has."""
    file = cut.file
    sums = make_empty(np.empty((0, file.width)))
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
        yield pd.DataFrame({"hash": hash_rows(block).view(np.int64)})
