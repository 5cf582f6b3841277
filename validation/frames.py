"""Lay evidence out as tables, one row an item, for Great Expectations to look at."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pipeline.chunks import ChunkFile
    from validation.evidence import StoreEvidence, VectorEvidence


def build_chunk_frame(chunks: ChunkFile) -> pd.DataFrame:
    """Return one row a chunk with its fields as columns."""
    return pd.DataFrame([chunk.model_dump() for chunk in chunks.chunks])


def build_vector_frame(vectors: VectorEvidence) -> pd.DataFrame:
    """Return one row a vector: dimension, dtype, order, whether finite, norm (none when not finite) and digest."""
    values, header = vectors.values, vectors.header
    matrix = values.reshape(len(values) if values.ndim else 1, -1).astype(np.float64)
    finite = np.asarray(np.isfinite(matrix).all(axis=1))
    norms = np.where(finite, np.linalg.norm(matrix, axis=1), np.nan)
    return pd.DataFrame({
        "dimension": matrix.shape[1],
        "dtype": header.dtype,
        "order": "Fortran" if header.fortran_order else "C",
        "finite": finite,
        "norm": norms,
        "digest": [hashlib.sha256(row.tobytes()).hexdigest() for row in matrix],
    })  # fmt: skip


def build_database_frame(store: StoreEvidence, chunks: ChunkFile) -> pd.DataFrame:
    """Return one row a database row: whether id, text fields and blob are those of the chunk at that position."""
    values = store.passages.values
    expected = [
        (chunk, values[row].tobytes() if row < len(values) else None) for row, chunk in enumerate(chunks.chunks)
    ]
    records: list[dict[str, Any]] = []
    for row, stored in enumerate(store.rows):
        chunk, blob = expected[row] if row < len(expected) else (None, None)
        fields = (stored.text, stored.source, stored.page, stored.tokens)
        records.append({
            "id_equal": chunk is not None and stored.id == chunk.id,
            "text_equal": chunk is not None and fields == (chunk.text, chunk.source, chunk.page, chunk.tokens),
            "vector_equal": blob is not None and stored.embedding == blob,
        })  # fmt: skip
    return pd.DataFrame(records, columns=["id_equal", "text_equal", "vector_equal"])


def build_metadata_frame(store: StoreEvidence) -> pd.DataFrame:
    """Return the database's metadata as one row; a missing key is a null."""
    keys = ("schema_version", "embedding_dim", "total_chunks", "model_id")
    return pd.DataFrame([{key: store.metadata.get(key) for key in keys}])
