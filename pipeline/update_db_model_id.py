"""`python -m pipeline.update_db_model_id`: show a database's metadata, or label a database that has no label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commandline import run_command
from pipeline.database import load_metadata, open_database, open_for_change
from pipeline.database_schema import RELABEL_KEY
from pipeline.errors import StoreError


def update(
    db: Annotated[Path, typer.Option(help="Store database (SQLite).")],
    model_id: Annotated[str | None, typer.Option(help="Label to write.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why an existing label is changed; kept in the database.")] = None,
    *,
    show: Annotated[bool, typer.Option("--show", help="Print the metadata.")] = False,
    relabel: Annotated[bool, typer.Option("--relabel", help="Change a label that is already there.")] = False,
) -> None:
    """Show or set which model made a database's vectors. A label without its vectors is a lie: changes are recorded."""
    if not show and model_id is None:
        message = "give --show, --model-id, or both"
        raise typer.BadParameter(message)
    if relabel and (model_id is None or not (reason or "").strip()):
        message = "--relabel needs --model-id and --reason"
        raise typer.BadParameter(message)
    if model_id is not None:
        write_label(db, model_id, reason if relabel else None)
    if show:
        show_metadata(db)


def write_label(db: Path, model_id: str, reason: str | None) -> None:
    """Write `model_id` into a database; with a reason, over an existing one, which stays on record.

    Raises:
        StoreError: the label is empty, or another label is there and no reason was given.
    """
    if not model_id.strip():
        raise StoreError(db, "expected a model id, got an empty label", "give the model's name")
    with open_for_change(db) as connection:
        metadata = load_metadata(connection)
        present = metadata.get("model_id")
        if present == model_id:
            return
        if present is not None and reason is None:
            remedy = "use --relabel --reason TEXT if the label is wrong; other vectors need a new export"
            raise StoreError(db, f"model_id: already {present!r}", remedy)
        if present is not None:
            history = _load_history(db, metadata)
            history.append({"from": present, "to": model_id, "reason": reason})
            record = json.dumps(history, ensure_ascii=False)
            connection.execute("INSERT OR REPLACE INTO metadata VALUES (?, ?)", (RELABEL_KEY, record))
        connection.execute("INSERT OR REPLACE INTO metadata VALUES ('model_id', ?)", (model_id,))


def _load_history(db: Path, metadata: dict[str, str]) -> list[object]:
    try:
        history = json.loads(metadata.get(RELABEL_KEY, "[]"))
    except ValueError:
        history = None
    if not isinstance(history, list):
        raise StoreError(db, f"{RELABEL_KEY}: expected a JSON list of earlier labels", "export the database again")
    return history


def show_metadata(db: Path) -> None:
    """Print each metadata entry of a database as `key: value`."""
    with open_database(db) as connection:
        for key, value in load_metadata(connection).items():
            typer.echo(f"{key}: {value}")


if __name__ == "__main__":
    run_command(update)
