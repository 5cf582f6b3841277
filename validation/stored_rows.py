"""Hold every row of a store's database against its chunk and its vector, while the database is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.database import StoredRow, iterate_rows
from pipeline.database_rows import serialise_metadata

if TYPE_CHECKING:
    import sqlite3

    from pipeline.chunks import Chunk, ChunkFile

Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class RowEvidence:
    """What each row of `chunks` is, in stored order; bool `(rows,)` each.

    Attributes:
        id_equal: number and id are those of the chunk at that place.
        text_equal: so are text, source, page, tokens and metadata.
        vector_equal: the blob is the row of the matrix at that place, to the byte.
    """

    id_equal: Truths
    text_equal: Truths
    vector_equal: Truths


def compare_rows(connection: sqlite3.Connection, chunks: ChunkFile, passages: npt.NDArray[np.generic]) -> RowEvidence:
    """Compare the rows one after the other; of each, three truth values are kept.

    Args:
        connection: the store's database.
        chunks: the corpus that the store was made from.
        passages: the store's matrix, whatever its type and shape.
    """
    values = np.atleast_1d(passages)
    found = bytearray()
    for place, row in enumerate(iterate_rows(connection)):
        chunk = chunks.chunks[place] if place < chunks.total else None
        vector = values[place].tobytes() if place < min(len(values), chunks.total) else None
        found += bytes(_compare_row(row, place, chunk, vector))
    return RowEvidence(*np.frombuffer(found, dtype=np.bool_).reshape(-1, 3).T)


def _compare_row(row: StoredRow, place: int, chunk: Chunk | None, vector: bytes | None) -> tuple[bool, bool, bool]:
    vector_equal = vector is not None and row.embedding == vector
    if chunk is None:
        return False, False, vector_equal
    fields = (chunk.text, chunk.source, chunk.page, chunk.tokens, serialise_metadata(chunk))
    stored = (row.text, row.source, row.page, row.tokens, row.metadata)
    return (row.number, row.id) == (place + 1, chunk.id), stored == fields, vector_equal
