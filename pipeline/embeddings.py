"""`python -m pipeline.embeddings`: embed a corpus, and the questions asked of it, with one model."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from pipeline.commandline import run_command
from pipeline.embedded_rows import EmbeddedRows
from pipeline.encoder import EncoderSettings, load_encoder
from pipeline.engine import LOCAL_MASTER, EngineName, EngineOption, MasterOption
from pipeline.filling import fill_matrix
from pipeline.params import BUILD, load_params
from pipeline.precision import Precision, parse_precision
from pipeline.provenance import write_provenance
from pipeline.texts import EmbeddingTask, load_texts
from pipeline.vectors import create_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS = BUILD / "rows"


def embed(
    chunks: Annotated[Path, typer.Option(help="Corpus to embed, chunks in JSON.")],
    output: Annotated[Path, typer.Option(help="Where the (chunks, 768) float32 .npy goes.")],
    model: Annotated[str, typer.Option(help="Model folder, or hub id found in the local cache.")],
    questions: Annotated[Path | None, typer.Option(help="Questions to embed with the same model, JSON Lines.")] = None,
    questions_output: Annotated[Path | None, typer.Option(help="Where the questions' .npy goes.")] = None,
    revision: Annotated[str | None, typer.Option(help="Hub commit; default: as params.yaml pins it.")] = None,
    token_budget: Annotated[
        int | None, typer.Option(min=1, help="Tokens a forward pass; default: 2048 on a CPU, else 32,768.")
    ] = None,
    precision: Annotated[
        str, typer.Option(parser=parse_precision, metavar="[float32|bfloat16]", help="What the model computes in.")
    ] = "float32",
    device: Annotated[str | None, typer.Option(help="cpu, cuda or mps; chosen by itself when left out.")] = None,
    rows: Annotated[
        Path | None, typer.Option(help="Folder of rows that were embedded before; default: build/rows.")
    ] = None,
    engine: EngineOption = EngineName.LOCAL,
    spark_master: MasterOption = LOCAL_MASTER,
    *,
    anew: Annotated[bool, typer.Option("--anew", help="Neither look up nor keep rows in that folder.")] = False,
    download: Annotated[bool, typer.Option("--download", help="Allow fetching the model from the hub.")] = False,
) -> None:
    """Write unit vectors in chunk order as C-order little-endian float32, with their provenance beside them."""
    if (questions is None) != (questions_output is None):
        message = "--questions and --questions-output go together"
        raise typer.BadParameter(message)
    if questions_output is not None and questions_output.resolve() == output.resolve():
        message = "--output and --questions-output name the same file"
        raise typer.BadParameter(message)
    if engine is EngineName.SPARK and (download or rows):
        message = "--download and --rows go with --engine local: workers load a model that is there, and embed anew"
        raise typer.BadParameter(message)
    tasks = [EmbeddingTask("passages", chunks, output)]
    tasks += [EmbeddingTask("questions", questions, questions_output)] if questions and questions_output else []
    revision = revision or load_params().get_revision(model)
    settings = EncoderSettings(model, revision, device, token_budget, cast("Precision", precision))
    if engine is EngineName.SPARK:
        from pipeline.spark.embedding import embed_on_spark

        embed_on_spark(spark_master, tasks, settings)
    else:
        embed_files(tasks, settings, None if anew else rows or ROWS, download=download)


def embed_files(
    tasks: Sequence[EmbeddingTask], settings: EncoderSettings, rows: Path | None, *, download: bool = False
) -> None:
    """Write the vectors of every file, with their provenance beside them; the model is loaded once.

    Args:
        tasks: files, and where their vectors go.
        settings: which model, and how it computes.
        rows: folder of rows that were embedded before; None embeds all texts anew.
        download: whether the hub may be asked for the model.
    """
    texts = [load_texts(task) for task in tasks]
    encoder = load_encoder(**asdict(settings), download=download)
    with contextlib.ExitStack() as stack:
        known = EmbeddedRows(rows, encoder.describe_rows()) if rows else None
        if known:
            stack.callback(known.close)
        for task, lines in zip(tasks, texts, strict=True):
            with create_vectors(task.output, len(lines)) as matrix:
                fill_matrix(matrix, lines, encoder.embed, task.role, known)
            write_provenance(task.output, task.source, task.role, encoder.identity)


if __name__ == "__main__":
    run_command(embed)
