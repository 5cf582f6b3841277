"""`python -m pipeline.export_sdk`: put text and vectors into the SQLite file that the Android SDK reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.chunks import load_chunks
from pipeline.commandline import run_command
from pipeline.database import export_database
from pipeline.errors import InputError
from pipeline.provenance import load_provenance, require_same_label
from pipeline.vectors import load_vectors


def export(
    chunks: Annotated[Path, typer.Option(help="Corpus, chunks in JSON.")],
    embeddings: Annotated[Path, typer.Option(help="Vectors of that corpus, .npy in chunk order.")],
    output: Annotated[Path, typer.Option(help="SQLite file; an older store database there is replaced.")],
    model_id: Annotated[str, typer.Option(help="Identity of the model that made the vectors.")],
) -> None:
    """Write metadata, chunks with their vectors, and a full-text index in one transaction."""
    if not model_id.strip():
        raise InputError(output, "--model-id: expected a model id, got an empty label", "give the model's name")
    corpus = load_chunks(chunks)
    matrix = load_vectors(embeddings, rows=corpus.total)
    require_same_label(embeddings, load_provenance(embeddings, chunks, "passages"), model_id)
    export_database(output, corpus.chunks, matrix, model_id)


if __name__ == "__main__":
    run_command(export)
