"""`python -m pipeline.embeddings`: embed a corpus, and the questions asked of it, with one model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.chunks import load_chunks
from pipeline.commandline import run_command
from pipeline.encoder import load_encoder
from pipeline.engine import LOCAL_MASTER, EngineName, EngineOption, MasterOption
from pipeline.gold import load_questions
from pipeline.params import load_params
from pipeline.provenance import write_provenance
from pipeline.vectors import save_vectors


def embed(
    chunks: Annotated[Path, typer.Option(help="Corpus to embed, chunks in JSON.")],
    output: Annotated[Path, typer.Option(help="Where the (chunks, 768) float32 .npy goes.")],
    model: Annotated[str, typer.Option(help="Model folder, or hub id found in the local cache.")],
    questions: Annotated[Path | None, typer.Option(help="Questions to embed with the same model, JSON Lines.")] = None,
    questions_output: Annotated[Path | None, typer.Option(help="Where the questions' .npy goes.")] = None,
    revision: Annotated[str | None, typer.Option(help="Hub commit; default: as params.yaml pins it.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts per forward pass.")] = 32,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or mps; chosen by itself when left out.")] = None,
    engine: EngineOption = EngineName.LOCAL,
    spark_master: MasterOption = LOCAL_MASTER,
    *,
    download: Annotated[bool, typer.Option("--download", help="Allow fetching the model from the hub.")] = False,
) -> None:
    """Write unit vectors in chunk order as C-order little-endian float32, with their provenance beside them."""
    if (questions is None) != (questions_output is None):
        message = "--questions and --questions-output go together"
        raise typer.BadParameter(message)
    if questions_output is not None and questions_output.resolve() == output.resolve():
        message = "--output and --questions-output name the same file"
        raise typer.BadParameter(message)
    if engine is EngineName.SPARK:
        from pipeline.spark.embedding import EmbeddingTask, EncoderSettings, embed_files

        if download:
            message = "--download goes with --engine local: fetch the model before workers load it"
            raise typer.BadParameter(message)
        tasks = [EmbeddingTask("passages", chunks, output)]
        tasks += [EmbeddingTask("questions", questions, questions_output)] if questions and questions_output else []
        revision = revision or load_params().get_revision(model)
        model = str(Path(model).resolve()) if Path(model).exists() else model  # workers run in another folder
        embed_files(spark_master, tasks, EncoderSettings(model, revision, device, batch_size))
        return
    corpus = load_chunks(chunks)
    asked = load_questions(questions) if questions else []
    revision = revision or load_params().get_revision(model)
    encoder = load_encoder(model, revision=revision, device=device, batch_size=batch_size, download=download)
    save_vectors(output, encoder.encode_documents(corpus.chunks))
    write_provenance(output, chunks, "passages", encoder.identity)
    if questions and questions_output:
        save_vectors(questions_output, encoder.encode_questions([question.text for question in asked]))
        write_provenance(questions_output, questions, "questions", encoder.identity)


if __name__ == "__main__":
    run_command(embed)
