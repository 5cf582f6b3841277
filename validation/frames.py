"""Lay evidence out as tables, one row an item, for Great Expectations to look at."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.chunks import Chunk
from pipeline.database_schema import RELABEL_KEY
from pipeline.vectors import MATRIX_RANK
from validation.stored_rows import RowEvidence
from validation.vector_sums import cut_blocks, describe_sums, hash_rows, make_empty, sum_block

if TYPE_CHECKING:
    from pipeline.chunks import ChunkFile
    from validation.evidence import StoreEvidence, VectorEvidence
    from validation.vector_sums import VectorSums


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
    sums, hashes = make_empty(vectors.values), [np.empty(0, dtype=np.uint64)]
    for block in cut_blocks(vectors.values):
        sums += sum_block(block)
        hashes.append(hash_rows(block))
    return describe_vectors(vectors, sums, len(np.unique(np.concatenate(hashes))))


def describe_vectors(vectors: VectorEvidence, sums: VectorSums, kinds: int) -> pd.DataFrame:
    """Return the row of `build_vector_frame` of a matrix whose rows were summed up; `kinds` of them are different."""
    shape = vectors.values.shape
    return pd.DataFrame([{
        "rows": shape[0] if shape else 0,
        "dimension": shape[1] if len(shape) == MATRIX_RANK else 0,
        "dtype": vectors.header.dtype,
        "order": "Fortran" if vectors.header.fortran_order else "C",
        **describe_sums(sums, kinds),
    }])  # fmt: skip


def build_database_frame(store: StoreEvidence) -> pd.DataFrame:
    """Return one row a database row: whether number and id, text fields and blob are those of the chunk there."""
    return pd.DataFrame({field.name: getattr(store.rows, field.name) for field in fields(RowEvidence)})


def build_metadata_frame(store: StoreEvidence) -> pd.DataFrame:
    """Return the database's metadata as one row, a missing key as a null, and the keys that nothing declares."""
    keys = ("schema_version", "embedding_dim", "total_chunks", "model_id")
    strange = sorted(repr(key) for key in set(store.metadata) - {*keys, RELABEL_KEY})  # SQLite lets a key be anything
    return pd.DataFrame([{**{key: store.metadata.get(key) for key in keys}, "undeclared": ", ".join(strange)}])
