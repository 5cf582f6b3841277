"""Lay evidence out as tables, one row an item, for Great Expectations to look at."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.chunks import Chunk
from pipeline.database_schema import RELABEL_KEY
from pipeline.vectors import MATRIX_RANK
from validation.stored_rows import RowEvidence

if TYPE_CHECKING:
    import numpy.typing as npt

    from pipeline.chunks import ChunkFile
    from validation.evidence import StoreEvidence, VectorEvidence

REAL_KINDS = "biuf"
BLOCK_ROWS = 4096


def build_chunk_frame(chunks: ChunkFile) -> pd.DataFrame:
    """Return one row a chunk, with the fields that every chunk has as columns."""
    return pd.DataFrame({name: [getattr(chunk, name) for chunk in chunks.chunks] for name in Chunk.model_fields})


def build_vector_frame(vectors: VectorEvidence) -> pd.DataFrame:
    """Return one row that sums a matrix up: rows, dimension, dtype, order, lengths, and how many vectors are wrong.

    `not_finite` counts rows with NaN, infinity or what is no real number; `length_min` and `length_max` are those of
    the other rows; `distinct` is the share of different vectors; `constant_dimensions` counts dimensions with one and
    the same finite value wherever they have one, at least twice. The dimension of what is no matrix is 0. Beyond a
    block of rows, memory grows by sixteen bytes a row.
    """
    values, header = vectors.values, vectors.header
    found = _sum_up(values)
    return pd.DataFrame([{
        "rows": values.shape[0] if values.ndim else 0,
        "dimension": values.shape[1] if values.ndim == MATRIX_RANK else 0,
        "dtype": header.dtype,
        "order": "Fortran" if header.fortran_order else "C",
        **found,
    }])  # fmt: skip


def _sum_up(values: npt.NDArray[np.generic]) -> dict[str, float]:
    shape = values.shape or (1,)
    rows, width = shape[0], math.prod(shape[1:])
    lengths, hashes = [np.empty(0)], [np.empty(0, dtype=np.uint64)]
    lowest, highest, known = np.full(width, np.inf), np.full(width, -np.inf), np.zeros(width, dtype=np.int64)
    not_finite = 0
    for start in range(0, rows, BLOCK_ROWS):
        block = np.ascontiguousarray(values.reshape(shape)[start : start + BLOCK_ROWS])
        block = block.reshape(len(block), width)
        with np.errstate(invalid="ignore"):  # whatever bits there are, such as a signalling NaN
            matrix = block.astype(np.float64) if values.dtype.kind in REAL_KINDS else np.full(block.shape, np.nan)
        numbers = np.isfinite(matrix)
        finite = numbers.all(axis=1)
        with np.errstate(over="ignore"):
            lengths.append(np.linalg.norm(matrix[finite], axis=1))
        hashes.append(_hash_rows(block))
        lowest = np.minimum(lowest, matrix.min(axis=0, where=numbers, initial=np.inf))
        highest = np.maximum(highest, matrix.max(axis=0, where=numbers, initial=-np.inf))
        known += numbers.sum(axis=0)
        not_finite += int((~finite).sum())
    length, kinds = np.concatenate(lengths), len(np.unique(np.concatenate(hashes)))
    return {
        "not_finite": not_finite,
        "length_min": float(length.min()) if length.size else math.nan,
        "length_max": float(length.max()) if length.size else math.nan,
        "distinct": kinds / rows if rows else 0.0,
        "constant_dimensions": int(((lowest == highest) & (known > 1)).sum()),
    }


def _hash_rows(block: npt.NDArray[np.generic]) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of each row's bytes: a sum of words by odd multipliers, modulo 2 to the 64.

    Different rows collide about as often as random numbers would; a collision makes a matrix look worse, never better.
    """
    content = np.frombuffer(block.tobytes(), dtype=np.uint8).reshape(len(block), block.shape[1] * block.itemsize)
    padded = np.pad(content, ((0, 0), (0, -content.shape[1] % 8))).view(np.uint64)
    odd = 2 * np.random.default_rng(0).integers(0, 2**63, padded.shape[1], dtype=np.uint64) + 1
    mixed = padded ^ (padded >> np.uint64(29))
    hashed: npt.NDArray[np.uint64] = (mixed * odd).sum(axis=1, dtype=np.uint64)
    return hashed


def build_database_frame(store: StoreEvidence) -> pd.DataFrame:
    """Return one row a database row: whether number and id, text fields and blob are those of the chunk there."""
    return pd.DataFrame({field.name: getattr(store.rows, field.name) for field in fields(RowEvidence)})


def build_metadata_frame(store: StoreEvidence) -> pd.DataFrame:
    """Return the database's metadata as one row, a missing key as a null, and the keys that nothing declares."""
    keys = ("schema_version", "embedding_dim", "total_chunks", "model_id")
    strange = sorted(repr(key) for key in set(store.metadata) - {*keys, RELABEL_KEY})  # SQLite lets a key be anything
    return pd.DataFrame([{**{key: store.metadata.get(key) for key in keys}, "undeclared": ", ".join(strange)}])
