"""What is served against `release.json`: every byte, nothing beside, and stores that answer."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.files import compute_sha256
from pipeline.vectors import load_vectors, save_vectors
from tests.bad_input import hold_writer
from tests.releasing.acts import DATABASE, VECTORS, damage
from validation.releasing.release_file import SERVED, Release, load_release
from validation.releasing.served import check_served, find_stray

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


MODEL = "models/embeddinggemma-chess-fr"
FILE, STORE = f"{SERVED}/{VECTORS}", f"{SERVED}/{DATABASE}"


def test_what_was_released_is_served(tree: Path) -> None:
    """A tree that serves a release and nothing else passes, with a `.gitignore` beside it as DVC may write one."""
    release = load_release(tree)
    (tree / SERVED / ".gitignore").write_text("*.npy\n", "utf-8")

    check_served(tree, release)
    assert find_stray(tree, release) is None


def link(path: Path) -> None:
    """Put a link to the same bytes in the place of a file or folder."""
    aside = path.parents[1] / "aside"
    path.rename(aside)
    path.symlink_to(aside)


def cut(path: Path) -> None:
    """Cut the last byte off."""
    path.write_bytes(path.read_bytes()[:-1])


def fill(path: Path) -> None:
    """Write a file, and the folder that it lies in."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")


def put_folder(path: Path) -> None:
    """Put an empty folder in the place of a file."""
    path.unlink()
    path.mkdir()


SPOILS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": (FILE, lambda path: path.unlink(), "does not exist"),
    "short": (FILE, cut, "expected 368768 bytes, got 368767"),
    "other bytes": (STORE, damage, "SHA-256 differs"),
    "link": (STORE, link, "is a symbolic link"),
    "second name": (FILE, lambda path: (path.parents[2] / "aside").hardlink_to(path), "has 2 names"),
    "folder": (FILE, put_folder, "is a folder"),
    "weights": (f"{MODEL}/model.safetensors", damage, "SHA-256 differs"),
    "model is missing": (MODEL, shutil.rmtree, "is missing, expected the folder of a model"),
    "model is a link": (MODEL, link, "is a link, expected"),
    "file beside": (f"{SERVED}/note.txt", fill, "is no part of v1.1-qlora"),
    "file below": (f"{SERVED}/old", lambda path: fill(path / "note.txt"), "is no part of v1.1-qlora"),
    "empty folder beside": (f"{SERVED}/old", lambda path: path.mkdir(), "is no part of v1.1-qlora"),
    "link beside": (f"{SERVED}/old", lambda path: path.symlink_to("nowhere"), "is no part of v1.1-qlora"),
    "journal beside": (f"{STORE}-wal", fill, "is no part of v1.1-qlora"),
    "file in the model": (f"{MODEL}/adapter.safetensors", fill, "is no part of v1.1-qlora"),
    "text": (f"{SERVED}/chunks_mode_b_fr.json", lambda path: path.write_text(path.read_text("utf-8") + "\n", "utf-8"),
             "is not the text"),
    "no text": (f"{SERVED}/chunks_mode_b_fr.json", lambda path: path.unlink(), "does not exist"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILS)
def test_anything_else_is_not_served(tree: Path, name: str) -> None:
    """A file that is missing, changed, linked or beside those of the release is named."""
    place, spoil, said = SPOILS[name]
    release = load_release(tree)
    spoil(tree / place)

    with pytest.raises(PipelineError) as refusal:
        check_served(tree, release)

    assert said in refusal.value.problem
    assert refusal.value.where.endswith(place)


def change_rows(tree: Path, *statements: str) -> None:
    """Change the served database."""
    with closing(sqlite3.connect(tree / STORE)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def exchange_corpora(tree: Path) -> None:
    """Let each corpus be served from the store of the other one."""
    for name in (FILE, STORE):
        one, other = tree / name, tree / name.replace("_fr", "_intl")
        content = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(content)


def turn_vectors(tree: Path) -> None:
    """Let the matrix have its rows the other way round."""
    rows = np.array(load_vectors(tree / FILE, rows=120))
    (tree / FILE).unlink()
    save_vectors(tree / FILE, rows[::-1])


def switch_journal(tree: Path) -> None:
    """Let the database use a write-ahead log."""
    with closing(sqlite3.connect(tree / STORE)) as connection:
        connection.execute("PRAGMA journal_mode = wal").fetchall()


CONTENTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "model": (
        lambda tree: change_rows(tree, "UPDATE metadata SET value = upper(value) WHERE key = 'model_id'"),
        "model_id",
    ),
    "no model": (lambda tree: change_rows(tree, "DELETE FROM metadata WHERE key = 'model_id'"), "got None"),
    "view": (lambda tree: change_rows(tree, "CREATE VIEW more AS SELECT * FROM chunks"), "view more is not as"),
    "row": (lambda tree: change_rows(tree, "DELETE FROM chunks WHERE rowid = 120"), "does not hold the vectors of"),
    "vectors": (turn_vectors, "does not hold the vectors of"),
    "write-ahead": (switch_journal, "write-ahead log"),
    "empty": (lambda tree: (tree / STORE).write_bytes(b""), "expected a SQLite database"),
}


def record(tree: Path, release: Release) -> Release:
    """Return a release that records the bytes that lie there."""
    files = [
        file.model_copy(update={"size": (tree / file.path).stat().st_size, "sha256": compute_sha256(tree / file.path)})
        for file in release.files
    ]
    return release.model_copy(update={"files": files})


@pytest.mark.parametrize("name", CONTENTS)
def test_recorded_bytes_that_are_no_store(tree: Path, name: str) -> None:
    """Bytes that are as recorded and still are no store of the model that the release names are refused."""
    spoil, said = CONTENTS[name]
    spoil(tree)
    release = record(tree, load_release(tree))

    with pytest.raises(PipelineError) as refusal:
        check_served(tree, release)

    assert said in str(refusal.value)
    assert DATABASE in refusal.value.where


def test_corpus_of_another_name(tree: Path) -> None:
    """A text that says of itself that it is of another corpus is not the one that was released."""
    release = load_release(tree)
    swapped = {"fr": release.corpora["intl"], "intl": release.corpora["fr"]}

    with pytest.raises(PipelineError, match=r"is not the text that v1\.1-qlora was made from"):
        check_served(tree, release.model_copy(update={"corpora": swapped}))


def test_somebody_writes(tree: Path) -> None:
    """A database that another process writes to is not waited for and not vouched for."""
    release = load_release(tree)
    with hold_writer(tree / STORE, "BEGIN EXCLUSIVE"), pytest.raises(PipelineError) as refusal:
        check_served(tree, release)

    assert DATABASE in str(refusal.value)


def test_weights_of_another_model(tree: Path) -> None:
    """A model folder as recorded, whose weights are not those that made the vectors, is refused."""
    damage(tree / MODEL / "model.safetensors")
    release = record(tree, load_release(tree))

    with pytest.raises(PipelineError, match=f"{MODEL}: is not the model embedded-gemma-chess-fr"):
        check_served(tree, release)


def test_release_without_a_model_folder(tree: Path) -> None:
    """Where the hub is the home of the model, no folder is looked for and one that lies there is no concern."""
    release = load_release(tree)
    files = [file for file in release.files if not file.path.startswith(MODEL)]

    check_served(tree, release.model_copy(update={"files": files, "model_folder": None}))
