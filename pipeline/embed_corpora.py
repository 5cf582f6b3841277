"""`python -m pipeline.embed_corpora`: what `pipeline.embeddings` does, for every corpus of params.yaml in one process.

To start Python with the libraries of a model takes longer than to embed a small corpus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commandline import run_command
from pipeline.embeddings import embed
from pipeline.params import BUILD, CandidateName, load_params

if TYPE_CHECKING:
    from pathlib import Path


def embed_corpora(
    candidate: Annotated[CandidateName, typer.Option(help="Whose model embeds, `base` or `qlora`.")],
) -> None:
    """Write the vectors of passages and gold questions of every corpus to `build/vectors/CANDIDATE/CORPUS/`."""
    for corpus in load_params().corpora:
        folder: Path = BUILD / "vectors" / candidate / corpus.name
        embed(
            chunks=corpus.chunks,
            output=folder / "embeddings.npy",
            model=str(BUILD / "models" / candidate),
            questions=corpus.questions,
            questions_output=folder / "questions.npy",
        )


if __name__ == "__main__":
    run_command(embed_corpora)
