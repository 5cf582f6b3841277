"""The frozen text of a corpus: chunks in their order, with the file's declared total."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from pipeline.documents import Strict, load_json

if TYPE_CHECKING:
    from pathlib import Path

STORED_FIELDS = ("id", "text", "source", "page", "tokens")

SQLITE_INTEGER_MAX = 2**63 - 1

Name = Annotated[str, Field(min_length=1)]
FileNamePart = Annotated[str, Field(pattern=r"^[\w-]+$")]
Count = Annotated[int, Field(ge=1, le=SQLITE_INTEGER_MAX)]


class Chunk(Strict):
    """One passage; fields beyond these are kept as they are and travel into the database's metadata."""

    model_config = ConfigDict(extra="allow")

    id: Name
    text: Name
    source: Name
    page: Count
    tokens: Count
    corpus: Name
    chunk_type: Name
    section: str | None
    parent_id: str | None

    def collect_metadata(self) -> dict[str, Any]:
        """Return every field that has no column of its own in a store's database."""
        fields = {**vars(self), **(self.model_extra or {})}
        for name in STORED_FIELDS:
            del fields[name]
        return fields


class ChunkFile(Strict):
    """A corpus as it lies on disk: `{"corpus", "total", "chunks"}`."""

    corpus: FileNamePart
    total: Count
    chunks: list[Chunk]

    @model_validator(mode="after")
    def _check_whole(self) -> ChunkFile:
        if self.total != len(self.chunks):
            message = f"total says {self.total}, but there are {len(self.chunks)} chunks"
            raise ValueError(message)
        seen: dict[str, int] = {}
        for index, chunk in enumerate(self.chunks):
            if chunk.id in seen:
                message = f"chunks[{index}].id: duplicate of chunks[{seen[chunk.id]}]: {chunk.id!r}"
                raise ValueError(message)
            if chunk.corpus != self.corpus:
                message = f"chunks[{index}].corpus: expected {self.corpus!r}, got {chunk.corpus!r}"
                raise ValueError(message)
            seen[chunk.id] = index
        return self


def load_chunks(path: Path) -> ChunkFile:
    """Read a corpus. Raises `InputError` naming the field for anything missing, duplicate, mistyped or miscounted."""
    return load_json(path, ChunkFile)
