"""A store's database is made of exactly what an export makes, and is sound."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest

from pipeline.chunks import load_chunks
from pipeline.database import export_database, open_database, open_for_change
from pipeline.database_rows import PAGE_BYTES
from pipeline.database_schema import APPLICATION_ID, SCHEMA, USER_VERSION, find_structure_fault
from pipeline.errors import StoreError
from tests.conftest import ROWS, Sample, draw_unit_vectors, write_sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IDENTITY = f"expected application_id {APPLICATION_ID} and user_version {USER_VERSION}, got"
COLUMNS = "text TEXT NOT NULL, source TEXT NOT NULL, page INTEGER NOT NULL"
RECREATE = """
    ALTER TABLE chunks RENAME TO old;
    {table}
    INSERT INTO chunks SELECT * FROM old;
    DROP TABLE old;
"""
CHUNKS = SCHEMA[SCHEMA.index("CREATE TABLE chunks") :]
REWRITE = """
    PRAGMA writable_schema = ON;
    UPDATE sqlite_master SET sql = replace(sql, '{old}', '{new}') WHERE name = 'chunks';
"""

# What is done to a good database, and what is then said of it.
FAULTS = {
    "view": ("CREATE VIEW answers AS SELECT * FROM chunks", "view answers is not as"),
    "trigger": (
        "CREATE TRIGGER spy AFTER UPDATE ON chunks BEGIN DELETE FROM metadata; END",
        "trigger spy is not as",
    ),
    "table": ("CREATE TABLE notes(a)", "table notes is not as"),
    "table like one of the full-text index": ("CREATE TABLE chunks_fts_more(a)", "table chunks_fts_more is not as"),
    "view like one of the full-text index": ("CREATE VIEW chunks_fts_more AS SELECT 1", "view chunks_fts_more is not"),
    "index": ("CREATE INDEX pages ON chunks(page)", "index pages is not as"),
    "statistics": ("ANALYZE", "table sqlite_stat1 is not as"),
    "index missing": (
        RECREATE.format(table=CHUNKS.replace("id TEXT PRIMARY KEY", "id TEXT")),
        "index sqlite_autoindex_chunks_1 is not as",
    ),
    "column of another type": (
        RECREATE.format(table=CHUNKS.replace("page INTEGER", "page TEXT")),
        "table chunks is not as",
    ),
    "type rewritten": (REWRITE.format(old="page INTEGER", new="page TEXT"), "table chunks is not as"),
    "column without NOT NULL": (REWRITE.format(old="text TEXT NOT NULL", new="text TEXT"), "table chunks is not as"),
    "column added": ("ALTER TABLE chunks ADD COLUMN extra TEXT", "table chunks is not as"),
    "column renamed": ("ALTER TABLE metadata RENAME COLUMN value TO worth", "table metadata is not as"),
    "other words in the index": (
        "DROP TABLE chunks_fts; CREATE VIRTUAL TABLE chunks_fts USING fts5(section, text, content='')",
        "table chunks_fts is not as",
    ),
    "other version": ("PRAGMA user_version = 3", f"{IDENTITY} {APPLICATION_ID} and 3"),
    "no version": ("PRAGMA user_version = 0", f"{IDENTITY} {APPLICATION_ID} and 0"),
    "other application": ("PRAGMA application_id = 7", f"{IDENTITY} 7 and {USER_VERSION}"),
    "no application": ("PRAGMA application_id = 0", f"{IDENTITY} 0 and {USER_VERSION}"),
    "nothing where something must be": (
        """
        PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET sql = replace(sql, 'source TEXT NOT NULL', 'source TEXT') WHERE name = 'chunks';
        PRAGMA writable_schema = RESET;
        UPDATE chunks SET source = NULL WHERE rowid = 3;
        PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET sql = replace(sql, 'source TEXT', 'source TEXT NOT NULL') WHERE name = 'chunks';
        """,
        "integrity_check: NULL value in chunks.source",
    ),
}

# What the rows say is the business of other checks, and so is how a database came to be laid out.
SOUND = {
    "as exported": "",
    "relabelled": "INSERT INTO metadata VALUES ('relabelled', '[]')",
    "text for a number": "UPDATE chunks SET page = 'trois' WHERE rowid = 1",
    "row gone": "DELETE FROM chunks WHERE rowid = 5",
    "no rows": "DELETE FROM chunks",
    "rewritten": "VACUUM",
}


@pytest.fixture
def database(tmp_path: Path, sample: Sample) -> Path:
    """A store's database."""
    path = tmp_path / "corpus.db"
    export_database(path, load_chunks(sample.chunks).chunks, draw_unit_vectors(ROWS, 3), "tiny")
    return path


def change(path: Path, script: str) -> None:
    """Change a database with plain SQLite, as anyone might."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def inspect(path: Path) -> str | None:
    """Return what is wrong with a database that is opened as the gate does it."""
    with open_database(path) as connection:
        return find_structure_fault(connection)


def find_page(path: Path, name: str) -> slice:
    """Return where the first page of a table or an index lies in the file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (number,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [name]).fetchone()
    return slice((number - 1) * PAGE_BYTES, number * PAGE_BYTES)


@pytest.mark.parametrize("script", SOUND.values(), ids=SOUND)
def test_what_an_export_makes_is_sound(database: Path, script: str) -> None:
    """A database has no fault as long as its parts are those of an export, whatever its rows say."""
    change(database, script)

    assert inspect(database) is None


@pytest.mark.parametrize("rows", [1, 500], ids=["one row", "many pages"])
def test_a_database_of_any_size_is_sound(tmp_path: Path, rows: int) -> None:
    """Neither the least nor a larger corpus is taken for a fault."""
    sample = write_sample(tmp_path / "text", rows=rows, questions=1)
    path = tmp_path / "corpus.db"
    export_database(path, load_chunks(sample.chunks).chunks, draw_unit_vectors(rows, 3), "tiny")

    assert inspect(path) is None


@pytest.mark.parametrize(("script", "fault"), FAULTS.values(), ids=FAULTS)
def test_whatever_is_not_as_exported_is_named(database: Path, script: str, fault: str) -> None:
    """A part too many, too few or of another kind, another identity, and rows that break a key have their own words."""
    change(database, script)
    found = inspect(database)

    assert found is not None
    assert found.startswith(fault)


def test_a_fault_stays_a_fault_after_a_change_of_ours(database: Path) -> None:
    """Labelling a database does not make a foreign one look like an export."""
    change(database, "CREATE VIEW answers AS SELECT * FROM chunks")
    with open_for_change(database) as connection:
        connection.execute("UPDATE metadata SET value = 'other' WHERE key = 'model_id'")

    assert inspect(database) == "view answers is not as an export makes it"


def zero(page: bytes) -> bytes:
    """Return a page on which nothing stands."""
    return bytes(len(page))


def fill(page: bytes) -> bytes:
    """Return a page of noise."""
    return b"\xff" * len(page)


def rename(page: bytes) -> bytes:
    """Return an index page in which one id is another."""
    text = "règles-005".encode()

    assert page.count(text) == 1

    return page.replace(text, "règles-905".encode())


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "emptied index": ("sqlite_autoindex_chunks_1", zero),
    "noise for an index": ("sqlite_autoindex_chunks_1", fill),
    "index of other ids": ("sqlite_autoindex_chunks_1", rename),
    "emptied table": ("chunks", zero),
    "noise for a table": ("chunks", fill),
    "emptied metadata": ("metadata", zero),
    "noise for the full-text index": ("chunks_fts_docsize", fill),
}


@pytest.mark.parametrize(("name", "spoil"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_page_is_found(database: Path, name: str, spoil: Callable[[bytes], bytes]) -> None:
    """Pages that do not hold together, or a table and an index that disagree, are a fault, and never a crash."""
    content, place = bytearray(database.read_bytes()), find_page(database, name)
    content[place] = spoil(bytes(content[place]))
    database.write_bytes(content)
    try:
        found = inspect(database)
    except StoreError as error:
        found = error.problem

    assert found is not None
    assert found.startswith(("integrity_check: ", "damaged database: "))


def test_table_and_index_that_disagree_are_told(database: Path) -> None:
    """An index that names another id than its table is found although each page is sound in itself."""
    content, place = bytearray(database.read_bytes()), find_page(database, "sqlite_autoindex_chunks_1")
    content[place] = rename(bytes(content[place]))
    database.write_bytes(content)

    assert inspect(database) == "integrity_check: row 6 missing from index sqlite_autoindex_chunks_1"


def test_looking_changes_nothing(database: Path) -> None:
    """The bytes stay, and nothing is left beside the file."""
    before = database.read_bytes(), sorted(database.parent.iterdir())
    inspect(database)

    assert (database.read_bytes(), sorted(database.parent.iterdir())) == before


def test_an_export_says_what_it_is_in_its_header(database: Path) -> None:
    """Without any SQLite the file tells its kind and version, at the places that SQLite keeps for that."""
    header = database.read_bytes()[:100]

    assert header[68:72] == b"EMBS"
    assert int.from_bytes(header[60:64], "big") == 2
