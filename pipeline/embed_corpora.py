"""`python -m pipeline.embed_corpora`: what `pipeline.embeddings` does, for every corpus of params.yaml in one process.

To start Python with the libraries of a model takes longer than to embed a small corpus.
"""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.commandline import run_command
from pipeline.embeddings import ROWS, embed_files
from pipeline.encoder import EncoderSettings
from pipeline.params import BUILD, CandidateName, load_params
from pipeline.texts import EmbeddingTask


def embed_corpora(
    candidate: Annotated[CandidateName, typer.Option(help="Whose model embeds, `base` or `qlora`.")],
) -> None:
    """Write the vectors of passages and gold questions of every corpus to `build/vectors/CANDIDATE/CORPUS/`."""
    tasks: list[EmbeddingTask] = []
    for corpus in load_params().corpora:
        folder = BUILD / "vectors" / candidate / corpus.name
        tasks.append(EmbeddingTask("passages", corpus.chunks, folder / "embeddings.npy"))
        tasks.append(EmbeddingTask("questions", corpus.questions, folder / "questions.npy"))
    embed_files(tasks, EncoderSettings(str(BUILD / "models" / candidate)), ROWS)


if __name__ == "__main__":
    run_command(embed_corpora)
