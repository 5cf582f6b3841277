"""Rows that were embedded before: found to the bit, by model and text, and never wrong, whatever became of the file."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.embedded_rows import EmbeddedRows
from tests.conftest import draw_unit_vectors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.vectors import Matrix

IDENTITY = {"weights_sha256": "a" * 64, "precision": "float32"}
TEXTS = [f"texte {number}" for number in range(1200)]
KNOWN = dict(zip(TEXTS, draw_unit_vectors(len(TEXTS), 3), strict=True))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The file of 1200 rows that were kept and closed."""
    rows = EmbeddedRows(tmp_path / "rows", IDENTITY)
    rows.keep(KNOWN)
    rows.close()
    return rows.path


def find(path: Path, texts: list[str], identity: dict[str, str] | None = None) -> dict[str, Matrix]:
    """Open the rows again and return what they know."""
    rows = EmbeddedRows(path.parent, identity or IDENTITY)
    found = rows.find(texts)
    rows.close()
    return found


def test_rows_are_found_to_the_bit(kept: Path) -> None:
    """More texts than one question may hold, with some that were never kept among them."""
    found = find(kept, ["neu", *TEXTS, "autre"])

    assert found.keys() == KNOWN.keys()
    assert all(found[text].tobytes() == KNOWN[text].tobytes() for text in TEXTS)
    assert found[TEXTS[0]].dtype == np.float32


@pytest.mark.parametrize("field", ["weights_sha256", "precision"])
def test_another_model_has_other_rows(kept: Path, field: str) -> None:
    """Other weights or another precision: nothing is known, not even in a file that is given the other's name."""
    other = EmbeddedRows(kept.parent, IDENTITY | {field: "other"})
    other.close()
    other.path.write_bytes(kept.read_bytes())

    assert other.path != kept
    assert find(kept, TEXTS, IDENTITY | {field: "other"}) == {}


def damage(path: Path, statement: str, *values: object) -> None:
    """Change rows behind the back of what wrote them."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


ROW_FAULTS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "other bytes": ("UPDATE rows SET vector = zeroblob(3072) WHERE rowid = 1", ()),
    "shorter": ("UPDATE rows SET vector = substr(vector, 1, 3068) WHERE rowid = 1", ()),
    "text": ("UPDATE rows SET vector = 'text' WHERE rowid = 1", ()),
    "other checksum": ("UPDATE rows SET checksum = zeroblob(32) WHERE rowid = 1", ()),
    "another row's": (
        "UPDATE rows SET (vector, checksum) = (SELECT vector, checksum FROM rows WHERE rowid = 2) WHERE rowid = 1",
        (),
    ),
}


@pytest.mark.parametrize(("statement", "values"), ROW_FAULTS.values(), ids=ROW_FAULTS)
def test_a_damaged_row_is_as_one_that_is_not_there(kept: Path, statement: str, values: tuple[Any, ...]) -> None:
    """It is embedded again, and then lies there as it should."""
    damage(kept, statement, *values)

    assert find(kept, TEXTS).keys() == KNOWN.keys() - {TEXTS[0]}

    rows = EmbeddedRows(kept.parent, IDENTITY)
    rows.keep({TEXTS[0]: KNOWN[TEXTS[0]]})
    rows.close()
    assert find(kept, TEXTS)[TEXTS[0]].tobytes() == KNOWN[TEXTS[0]].tobytes()


def overwrite(path: Path, start: int, content: bytes) -> None:
    """Write bytes into the middle of a file."""
    with path.open("r+b") as stream:
        stream.seek(start)
        stream.write(content)


FILE_FAULTS: dict[str, Callable[[Path], object]] = {
    "no database": lambda path: path.write_bytes(b"no database" * 1000),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:50_000]),
    "pages": lambda path: overwrite(path, 4096, b"\xff" * 400_000),
    "schema": lambda path: overwrite(path, 100, b"\xff" * 3000),
}


@pytest.mark.parametrize("spoil", FILE_FAULTS.values(), ids=FILE_FAULTS)
def test_a_damaged_file_is_put_aside(kept: Path, spoil: Callable[[Path], object], capsys: Any) -> None:
    """One line says so, nothing wrong is found, and a new file takes the rows of this run already."""
    spoil(kept)
    rows = EmbeddedRows(kept.parent, IDENTITY)
    found = rows.find(TEXTS)
    rows.keep(KNOWN)
    rows.close()
    lines = capsys.readouterr().err.splitlines()

    assert all(vector.tobytes() == KNOWN[text].tobytes() for text, vector in found.items())
    assert len(lines) == 1
    assert lines[0].startswith(f"warning: {kept} is damaged and was put aside: ")
    assert kept.with_suffix(".damaged").is_file()
    assert find(kept, TEXTS).keys() == KNOWN.keys()
    assert capsys.readouterr().err == ""


def test_an_empty_file_is_one_without_rows(kept: Path, capsys: Any) -> None:
    """As a run leaves it that was killed before its first row."""
    kept.write_bytes(b"")

    assert find(kept, TEXTS) == {}
    assert capsys.readouterr().err == ""


def test_without_a_place_for_the_file_the_run_goes_on(tmp_path: Path, capsys: Any) -> None:
    """One warning names the path and what stands in the way; nothing is found and nothing kept."""
    (tmp_path / "rows").write_text("a file", encoding="utf-8")
    rows = EmbeddedRows(tmp_path / "rows", IDENTITY)
    rows.keep(KNOWN)

    assert rows.find(TEXTS) == {}
    rows.close()
    assert capsys.readouterr().err.count("\n") == 1


def test_a_writer_that_does_not_end_is_not_waited_for_for_ever(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """What is known is found beside it; what cannot be kept is said, and the run goes on."""
    monkeypatch.setattr("pipeline.embedded_rows.WAIT_SECONDS", 0.05)
    writer = sqlite3.connect(kept, isolation_level=None)
    rows = EmbeddedRows(kept.parent, IDENTITY)
    writer.execute("BEGIN IMMEDIATE")
    found = rows.find(TEXTS)
    rows.keep({"neu": KNOWN[TEXTS[0]]})
    rows.close()
    writer.close()

    assert found.keys() == KNOWN.keys()
    assert "cannot be used, every text is embedded: database is locked" in capsys.readouterr().err


def test_two_that_write_the_same_rows_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Both keep and find while the other is open."""
    one, other = EmbeddedRows(tmp_path, IDENTITY), EmbeddedRows(tmp_path, IDENTITY)
    for rows in (one, other):
        rows.keep(KNOWN)
    other.keep({"neu": KNOWN[TEXTS[5]]})

    assert one.find([*TEXTS, "neu"]).keys() == KNOWN.keys() | {"neu"}
    one.close()
    other.close()
    assert [path.suffix for path in tmp_path.iterdir()] == [".db"]


def test_any_text_has_rows(tmp_path: Path) -> None:
    """Also one with half of a surrogate pair, a zero byte or nothing in it."""
    texts = ["\ud800", "a\0b", "", "é"]
    rows = EmbeddedRows(tmp_path, IDENTITY)
    rows.keep(dict(zip(texts, draw_unit_vectors(4, 1), strict=True)))

    assert rows.find(texts).keys() == set(texts)
    rows.close()
