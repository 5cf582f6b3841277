"""`python -m pipeline.embeddings`: embed a corpus, and the questions asked of it, with one model."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from pipeline.chunks import load_chunks
from pipeline.commandline import run_command
from pipeline.embedded_rows import EmbeddedRows
from pipeline.encoder import Encoder, format_document, format_question, load_encoder
from pipeline.filling import fill_matrix
from pipeline.gold import load_questions
from pipeline.params import BUILD, load_params
from pipeline.precision import Precision, parse_precision
from pipeline.provenance import Role, write_provenance
from pipeline.vectors import create_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    corpus = load_chunks(chunks)
    asked = load_questions(questions) if questions else []
    revision = revision or load_params().get_revision(model)
    encoder = load_encoder(
        model,
        revision=revision,
        device=device,
        token_budget=token_budget,
        precision=cast("Precision", precision),
        download=download,
    )
    with open_rows(None if anew else rows or ROWS, encoder) as known:
        texts = [format_document(chunk) for chunk in corpus.chunks]
        write_matrix(output, chunks, "passages", texts, encoder, known)
        if questions and questions_output:
            texts = [format_question(question.text) for question in asked]
            write_matrix(questions_output, questions, "questions", texts, encoder, known)


@contextlib.contextmanager
def open_rows(folder: Path | None, encoder: Encoder) -> Iterator[EmbeddedRows | None]:
    """Yield the rows that a model has embedded before, None without a folder."""
    if folder is None:
        yield None
        return
    with contextlib.closing(EmbeddedRows(folder, encoder.describe_rows())) as rows:
        yield rows


def write_matrix(
    output: Path, source: Path, role: Role, texts: list[str], encoder: Encoder, rows: EmbeddedRows | None
) -> None:
    """Write the vectors of the texts of `source`, and their provenance; rows are written where they will lie."""
    with create_vectors(output, len(texts)) as matrix:
        fill_matrix(matrix, texts, encoder.embed, role, rows)
    write_provenance(output, source, role, encoder.identity)


if __name__ == "__main__":
    run_command(embed)
