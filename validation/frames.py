"""Lay evidence out as tables, one row an item, for Great Expectations to look at."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.database import serialise_metadata
from pipeline.vectors import MATRIX_RANK

if TYPE_CHECKING:
    import numpy.typing as npt

    from pipeline.chunks import Chunk, ChunkFile
    from validation.evidence import StoreEvidence, VectorEvidence

REAL_KINDS = "biuf"


def build_chunk_frame(chunks: ChunkFile) -> pd.DataFrame:
    """Return one row a chunk with its fields as columns."""
    return pd.DataFrame([chunk.model_dump() for chunk in chunks.chunks])


def build_vector_frame(vectors: VectorEvidence) -> pd.DataFrame:
    """Return one row a vector: dimension, dtype, order, whether finite, norm (none when not finite) and digest.

    The dimension of what is no matrix is 0; what is no real number counts as not finite. Beside each row stands
    how many dimensions have one and the same finite value wherever they have one, at least twice.
    """
    values, header = vectors.values, vectors.header
    matrix = _flatten_rows(values)
    finite = np.asarray(np.isfinite(matrix).all(axis=1))
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.where(finite, np.linalg.norm(matrix, axis=1), np.nan)
    return pd.DataFrame({
        "dimension": matrix.shape[1] if values.ndim == MATRIX_RANK else 0,
        "dtype": header.dtype,
        "order": "Fortran" if header.fortran_order else "C",
        "finite": finite,
        "norm": norms,
        "constant_dimensions": _count_constant_dimensions(matrix),
        "digest": [hashlib.sha256(row.tobytes()).hexdigest() for row in matrix],
    })  # fmt: skip


def _count_constant_dimensions(matrix: npt.NDArray[np.float64]) -> int:
    known = np.isfinite(matrix)
    lowest = matrix.min(axis=0, where=known, initial=np.inf)
    highest = matrix.max(axis=0, where=known, initial=-np.inf)
    return int(((lowest == highest) & (known.sum(axis=0) > 1)).sum())


def _flatten_rows(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    shape = values.shape or (1,)
    rows, width = shape[0], math.prod(shape[1:])
    if values.dtype.kind not in REAL_KINDS:
        return np.full((rows, width), np.nan)
    return values.reshape(rows, width).astype(np.float64)


def build_database_frame(store: StoreEvidence, chunks: ChunkFile) -> pd.DataFrame:
    """Return one row a database row: whether id, text fields and blob are those of the chunk at that position."""
    values = np.atleast_1d(store.passages.values)
    records: list[dict[str, bool]] = []
    for row, stored in enumerate(store.rows):
        chunk = chunks.chunks[row] if row < chunks.total else None
        found = (stored.text, stored.source, stored.page, stored.tokens, stored.metadata)
        records.append({
            "id_equal": chunk is not None and stored.id == chunk.id,
            "text_equal": chunk is not None and found == _list_text_fields(chunk),
            "vector_equal": row < min(len(values), chunks.total) and stored.embedding == values[row].tobytes(),
        })  # fmt: skip
    return pd.DataFrame(records, columns=["id_equal", "text_equal", "vector_equal"])


def _list_text_fields(chunk: Chunk) -> tuple[object, ...]:
    return (chunk.text, chunk.source, chunk.page, chunk.tokens, serialise_metadata(chunk))


def build_metadata_frame(store: StoreEvidence) -> pd.DataFrame:
    """Return the database's metadata as one row; a missing key is a null."""
    keys = ("schema_version", "embedding_dim", "total_chunks", "model_id")
    return pd.DataFrame([{key: store.metadata.get(key) for key in keys}])
