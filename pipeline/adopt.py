"""`python -m pipeline.adopt`: make a store folder out of vectors, ours or anyone's, so that they can be judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commandline import run_command
from pipeline.store import StoreInputs, build_store


def adopt(
    chunks: Annotated[Path, typer.Option(help="Corpus, chunks in JSON.")],
    embeddings: Annotated[Path, typer.Option(help="Vectors of the corpus, .npy in chunk order.")],
    questions: Annotated[Path, typer.Option(help="Gold questions, JSON Lines.")],
    question_embeddings: Annotated[Path, typer.Option(help="Vectors of the questions, .npy in file order.")],
    output: Annotated[Path, typer.Option(help="Store folder; an older store there is replaced.")],
    model_id: Annotated[
        str | None, typer.Option(help="Identity of the model; may be left out where the vectors' provenance tells it.")
    ] = None,
) -> None:
    """Check that vectors and texts belong together and write the store with its manifest."""
    inputs = StoreInputs(chunks, embeddings, questions, question_embeddings)
    manifest = build_store(inputs, model_id, output)
    typer.echo(f"{output}: {manifest.total} chunks of corpus {manifest.corpus!r} by {manifest.model_id}")


if __name__ == "__main__":
    run_command(adopt)
