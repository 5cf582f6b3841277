"""`python -m pipeline.search`: what an arbiter would get for a question, from a store's database."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.text import Text

from pipeline.commandline import run_command
from pipeline.database import StoredRow, load_matrix, load_metadata, load_rows, open_database
from pipeline.encoder import load_encoder
from pipeline.errors import StoreError
from pipeline.params import load_params
from pipeline.retrieval import Ranking, fuse_rankings, rank_cosine, rank_fulltext

if TYPE_CHECKING:
    import sqlite3

FUSION_DEPTH = 100


class Mode(StrEnum):
    """How passages are ranked."""

    cosine = "cosine"
    fulltext = "fulltext"
    fused = "fused"


def search(
    question: Annotated[str, typer.Argument(help="The question, in plain words.")],
    db: Annotated[Path, typer.Option(help="Store database (SQLite).")],
    model: Annotated[str | None, typer.Option(help="The model that made it; not needed for full text.")] = None,
    mode: Annotated[Mode, typer.Option(help="Vectors, words (BM25), or both fused.")] = Mode.cosine,
    top: Annotated[int, typer.Option(min=1, max=100, help="How many passages to show.")] = 5,
    revision: Annotated[str | None, typer.Option(help="Hub commit; default: as params.yaml pins it.")] = None,
) -> None:
    """Print the best passages with source and page."""
    if model is None and mode is not Mode.fulltext:
        message = f"--mode {mode.value} needs --model"
        raise typer.BadParameter(message)
    with open_database(db) as connection:
        words = rank_fulltext(connection, question, FUSION_DEPTH)
        meaning = _rank_by_meaning(connection, db, question, model, revision) if model else words[:0]
        ranking = {Mode.cosine: meaning, Mode.fulltext: words, Mode.fused: fuse_rankings([meaning, words], top)}[mode]
        rows = load_rows(connection)
    _show([rows[position] for position in ranking[:top]])


def _rank_by_meaning(
    connection: sqlite3.Connection, db: Path, question: str, model: str, revision: str | None
) -> Ranking:
    encoder = load_encoder(model, revision=revision or load_params().get_revision(model))
    label = load_metadata(connection).get("model_id")
    if label != encoder.identity.model_id:
        message = f"its vectors are by {label!r}, but the model is {encoder.identity.model_id!r}"
        raise StoreError(db, message, "search with the model that made the store")
    ranking = rank_cosine(encoder.encode_questions([question]), load_matrix(connection), FUSION_DEPTH)
    return np.asarray(ranking[0])


def _show(rows: list[StoredRow]) -> None:
    console = Console()
    if not rows:
        console.print("no passage matches")
    for rank, row in enumerate(rows, 1):
        console.print(Text(f"{rank}. {row.source}, p. {row.page}  ({row.id})", style="bold"))
        console.print(Text(f"{row.text}\n"))


if __name__ == "__main__":
    run_command(search)
