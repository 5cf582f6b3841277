"""The SQLite file of a store: its schema, its bytes, and who may touch it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from pipeline import database_rows
from pipeline.chunks import STORED_FIELDS, Chunk, load_chunks
from pipeline.database import (
    StoredRow,
    export_database,
    load_matrix,
    load_metadata,
    load_rows,
    open_database,
    open_for_change,
    require_no_writer,
)
from pipeline.database_rows import PAGE_BYTES, serialise_metadata
from pipeline.database_schema import FULLTEXT
from pipeline.errors import InputError, PipelineError, StoreError
from tests.bad_input import SIDECARS, hold_writer, list_scraps
from tests.conftest import ROWS, Sample, build_chunk, draw_unit_vectors

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.requirement("REQ-STO-01", "REQ-STO-02", "REQ-STO-03", "REQ-STO-04")

MATRIX = draw_unit_vectors(ROWS, 3)
WRITERS = {
    "about to write": (
        ["BEGIN IMMEDIATE"],
        ": cannot be written: database is locked; close whatever is using it",
        ROWS,
    ),
    "writing": (["BEGIN EXCLUSIVE", "DELETE FROM chunks"], "-journal: a writer is active or died", ROWS),
    "writing ahead": (["PRAGMA journal_mode=WAL", "DELETE FROM chunks"], "-wal: a writer is active or died", 0),
}


@pytest.fixture
def chunks(sample: Sample) -> list[Chunk]:
    """The passages of a small corpus."""
    return load_chunks(sample.chunks).chunks


@pytest.fixture
def database(tmp_path: Path, chunks: list[Chunk]) -> Path:
    """A store's database of that corpus."""
    path = tmp_path / "store" / "corpus.db"
    export_database(path, chunks, MATRIX, "tiny")
    return path


@pytest.fixture
def quick_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a lock only briefly."""
    monkeypatch.setattr("pipeline.database.LOCK_TIMEOUT_S", 0.05)


def read(path: Path, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    """Query a database with plain SQLite, as the SDK would."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement, arguments).fetchall()


def change(path: Path, script: str) -> None:
    """Change a database with plain SQLite, as anyone might."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def empty_and_fail(connection: sqlite3.Connection, statement: str) -> None:
    """Delete all chunks, run `statement`, and raise what a defect would raise."""
    connection.execute("DELETE FROM chunks")
    connection.execute(statement)
    message = "defect"
    raise ValueError(message)


def search(path: Path, words: str) -> list[object]:
    """Return the ids of the chunks that the full-text index finds, in corpus order."""
    statement = """
        SELECT chunks.id FROM chunks_fts JOIN chunks ON chunks.rowid = chunks_fts.rowid
        WHERE chunks_fts MATCH ? ORDER BY chunks.rowid
    """
    return [row[0] for row in read(path, statement, words)]


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("metadata", [("key", "TEXT", 1), ("value", "TEXT", 0)]),
        (
            "chunks",
            [
                ("id", "TEXT", 1),
                ("text", "TEXT", 0),
                ("source", "TEXT", 0),
                ("page", "INTEGER", 0),
                ("tokens", "INTEGER", 0),
                ("metadata", "JSON", 0),
                ("embedding", "BLOB", 0),
            ],
        ),
    ],
)
def test_tables_have_exactly_the_columns_of_the_sdk(
    database: Path, table: str, columns: list[tuple[str, str, int]]
) -> None:
    """Names, types, order and primary keys are those that the Android SDK reads, and no value but a key is NULL."""
    info = read(database, f"PRAGMA table_info({table})")

    assert [(name, declared, key) for _, name, declared, _, _, key in info] == columns
    assert all(not_null for _, _, _, not_null, _, key in info if not key)


def test_the_full_text_index_ignores_accents_by_declaration(database: Path) -> None:
    """The index is FTS5 with `unicode61 remove_diacritics 2`, and there is no table, view or trigger besides."""
    entries = dict(read(database, "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"))
    shadows = {f"chunks_fts_{part}" for part in ("config", "data", "docsize", "idx")}

    assert entries.keys() == {"metadata", "chunks", "chunks_fts"} | shadows
    assert "USING fts5" in str(entries["chunks_fts"])
    assert "tokenize='unicode61 remove_diacritics 2'" in str(entries["chunks_fts"])


def test_metadata_says_what_the_database_holds(database: Path) -> None:
    """Exactly four entries, all text."""
    assert dict(read(database, "SELECT key, value FROM metadata")) == {
        "schema_version": "2.0",
        "embedding_dim": "768",
        "total_chunks": "40",
        "model_id": "tiny",
    }


def test_rows_are_the_chunks_in_their_order(tmp_path: Path, chunks: list[Chunk]) -> None:
    """Every column holds the chunk's value with its type, in the order of the corpus and not of the ids."""
    backwards = chunks[::-1]
    path = tmp_path / "corpus.db"
    export_database(path, backwards, MATRIX, "tiny")
    with open_database(path) as connection:
        rows = load_rows(connection)

    assert [row.id for row in rows] == [chunk.id for chunk in backwards]
    assert rows[0] == StoredRow(
        id="règles-039",
        text=build_chunk(39)["text"],
        source="règles.md",
        page=8,
        tokens=20,
        metadata=json.dumps(
            {"chunk_type": "text", "corpus": "fr", "parent_id": "règles-s7", "section": "bye 39"}, ensure_ascii=False
        ),
        embedding=MATRIX[0].astype("<f4").tobytes(),
        number=1,
    )


def test_blobs_are_the_rows_of_the_matrix(database: Path) -> None:
    """Each blob is its row's 768 little-endian float32 values to the byte."""
    blobs = [row[0] for row in read(database, "SELECT embedding FROM chunks ORDER BY rowid")]
    with open_database(database) as connection:
        loaded = load_matrix(connection)

    assert blobs == [row.astype("<f4").tobytes() for row in MATRIX]
    assert np.array_equal(loaded, MATRIX)
    assert loaded.dtype == np.float32


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("echec", [7, 17, 27, 37]),
        ("ÉCHEC", [7, 17, 27, 37]),
        ("échec", [7, 17, 27, 37]),
        ("section : echec", [7, 17, 27, 37]),
        ("numero AND 1912", [12]),
        ("section : roque", [1, 11, 21, 31]),
        ("absent", []),
    ],
)
def test_words_are_found_without_their_accents(database: Path, words: str, found: list[int]) -> None:
    """The index finds words of text and section whatever accents or capitals the question has."""
    assert search(database, words) == [f"règles-{index:03d}" for index in found]


WORDS = ["arbitre", "pendule", "Élo", "échec", "nulle", "zéro", "forfait", "appel", "ronde", "règle", "temps", "coup"]


def draw_texts(count: int) -> list[Chunk]:
    """Return passages of up to 200 words, the first of the words being the most frequent."""
    draw = np.random.default_rng(3)
    weights = 1 / np.arange(1, len(WORDS) + 1)
    chunks = []
    for place in range(count):
        words = draw.choice(WORDS, draw.integers(1, 200), p=weights / weights.sum())
        section = str(draw.choice(WORDS)) if place % 3 else None
        chunks.append(Chunk.model_validate(build_chunk(place) | {"text": " ".join(words), "section": section}))
    return chunks


@pytest.mark.parametrize("buffer", [1 << 14, 1 << 24], ids=["many pieces to merge", "one piece"])
def test_full_text_is_ranked_as_by_a_plainly_built_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, buffer: int
) -> None:
    """Rows and BM25 scores are, to the bit, those of an index that was made by plain inserts, however ours was."""
    monkeypatch.setitem(database_rows.FULLTEXT_WRITING, "hashsize", buffer)
    chunks, path = draw_texts(2000), tmp_path / "corpus.db"
    export_database(path, chunks, draw_unit_vectors(len(chunks), 3), "tiny")
    match = "SELECT rowid, bm25(chunks_fts) FROM chunks_fts WHERE chunks_fts MATCH ? ORDER BY rank, rowid"
    with contextlib.closing(sqlite3.connect(":memory:")) as plain:
        plain.execute(FULLTEXT)
        for row, chunk in enumerate(chunks, 1):
            inserted = (row, chunk.section or "", chunk.text)
            plain.execute("INSERT INTO chunks_fts(rowid, section, text) VALUES (?, ?, ?)", inserted)
        for words in ("echec OR nulle", "section : elo", "regle AND temps", "coup OR appel OR zero", "absent"):
            assert read(path, match, words) == plain.execute(match, (words,)).fetchall()
    assert read(path, "SELECT count(DISTINCT segid) FROM chunks_fts_idx") == [(1,)]


def test_the_way_the_index_was_written_is_not_left_in_it(database: Path) -> None:
    """The index says its version, and nothing of how to write to it."""
    assert read(database, "SELECT k FROM chunks_fts_config") == [("version",)]


@pytest.mark.parametrize(
    "further",
    [
        {},
        {"title": "Élo"},
        {"z": [1, {"b": 2.5, "a": None}], "A": True, "_x": "\u2028"},
        {"model_extra": "", "é": "\n"},
    ],
    ids=["none", "accent", "nested", "odd names"],
)
def test_metadata_of_a_row_is_every_further_field(further: dict[str, Any]) -> None:
    """What has no column of its own stands there as JSON with sorted keys, as `json` writes the whole record."""
    chunk = Chunk.model_validate(build_chunk(3) | further)
    kept = {key: value for key, value in chunk.model_dump().items() if key not in STORED_FIELDS}

    assert serialise_metadata(chunk) == json.dumps(kept, ensure_ascii=False, sort_keys=True)
    assert kept.keys() >= further.keys()


@pytest.mark.parametrize("order", ["C", "F"])
def test_blobs_are_cut_from_blocks(
    tmp_path: Path, chunks: list[Chunk], monkeypatch: pytest.MonkeyPatch, order: Literal["C", "F"]
) -> None:
    """Wherever a block ends, and however the matrix lies in memory, each row gets its own bytes."""
    monkeypatch.setattr("pipeline.database_rows.BLOCK_ROWS", 7)
    path = tmp_path / "corpus.db"
    export_database(path, chunks, np.array(MATRIX, order=order), "tiny")

    assert read(path, "SELECT embedding FROM chunks ORDER BY rowid") == [
        (row.astype("<f4").tobytes(),) for row in MATRIX
    ]


def test_the_same_export_gives_the_same_bytes(tmp_path: Path, chunks: list[Chunk], database: Path) -> None:
    """A database depends on nothing but text, vectors and label: not on its path, the hour, or what was there."""
    export_database(tmp_path / "other name.db", chunks, MATRIX, "tiny")
    before = database.read_bytes()
    export_database(database, chunks, MATRIX, "tiny")

    assert database.read_bytes() == before == (tmp_path / "other name.db").read_bytes()


def test_an_older_store_database_is_replaced(database: Path, chunks: list[Chunk]) -> None:
    """Nothing of the older one is left."""
    export_database(database, chunks[:2], MATRIX[:2], "other")

    assert read(database, "SELECT count(*) FROM chunks") == [(2,)]
    assert read(database, "SELECT value FROM metadata WHERE key = 'model_id'") == [("other",)]
    assert search(database, "echec") == []


@pytest.mark.parametrize("name", ["a b.db", "q?mode=rwc.db", "n#1.db", "50%.db", "règles.db"])
def test_any_file_name_will_do(tmp_path: Path, chunks: list[Chunk], name: str) -> None:
    """Signs that mean something in a URI are part of the name."""
    path = tmp_path / name
    export_database(path, chunks, MATRIX, "tiny")
    with open_database(path) as connection:
        assert load_metadata(connection)["model_id"] == "tiny"
    with open_for_change(path) as connection:
        connection.execute("DELETE FROM metadata WHERE key = 'model_id'")

    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == [name]


def test_vectors_of_another_count_leave_the_old_database(database: Path, chunks: list[Chunk]) -> None:
    """Rows and vectors are paired completely or not at all."""
    before = database.read_bytes()

    with pytest.raises(ValueError, match="shorter"):
        export_database(database, chunks, MATRIX[:-1], "other")

    assert database.read_bytes() == before
    assert list_scraps(database.parent) == []


def test_reading_changes_nothing(database: Path) -> None:
    """A database opened for reading keeps its bytes and gets no companion; writing to it fails."""
    before = database.read_bytes()

    with open_database(database) as connection:
        assert connection.execute("SELECT count(*) FROM chunks").fetchone() == (ROWS,)
        assert list(database.parent.iterdir()) == [database]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM chunks")

    assert database.read_bytes() == before
    assert list(database.parent.iterdir()) == [database]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "expected a SQLite database, got other bytes"),
        (b"chunks, many of them", "expected a SQLite database, got other bytes"),
        (b"SQLite format 3\0", "expected 0 bytes by its header, got 16"),
    ],
    ids=["empty", "text", "magic only"],
)
def test_what_is_no_database_is_refused_and_kept(
    tmp_path: Path, chunks: list[Chunk], content: bytes, fault: str
) -> None:
    """Neither reading, changing nor exporting takes another kind of file, and none of them touches it."""
    path = tmp_path / "store" / "corpus.db"
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(StoreError, match=fault), open_database(path):
        pass
    with pytest.raises(StoreError, match=fault), open_for_change(path):
        pass
    with pytest.raises(StoreError, match=f"{fault}; name another output, or remove what is there"):
        export_database(path, chunks, MATRIX, "tiny")

    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("cut", [1, PAGE_BYTES, -1], ids=["one byte less", "one page less", "one byte more"])
def test_a_database_of_another_size_is_refused(database: Path, cut: int) -> None:
    """The size must be what the header says: bytes cut off or hung on are noticed before anything is read."""
    content = database.read_bytes()
    database.write_bytes(content[:-cut] if cut > 0 else content + b"\0")

    fault = f"expected {len(content)} bytes by its header, got {len(content) - cut}"
    with pytest.raises(StoreError, match=fault), open_database(database):
        pass


def test_a_damaged_page_is_one_error(database: Path) -> None:
    """Damage that shows only while reading is a `StoreError` as well."""
    content = bytearray(database.read_bytes())
    content[100:PAGE_BYTES] = b"\xff" * (PAGE_BYTES - 100)
    database.write_bytes(content)

    with pytest.raises(StoreError, match=r"corpus\.db: damaged database"), open_database(database):
        pass


@pytest.mark.parametrize("suffix", SIDECARS)
def test_a_companion_of_a_writer_is_refused(database: Path, suffix: str) -> None:
    """With a journal beside it a database may answer with other rows, so it does not answer at all."""
    sidecar = database.with_name(database.name + suffix)
    sidecar.touch()

    with pytest.raises(StoreError, match=f"{suffix}: a writer is active or died"), open_database(database):
        pass


def test_a_missing_database_is_not_created(tmp_path: Path) -> None:
    """A wrong path gives an error and no empty file."""
    path = tmp_path / "missing.db"

    with pytest.raises(InputError, match="does not exist"), open_database(path):
        pass
    with pytest.raises(InputError, match="does not exist"), open_for_change(path):
        pass

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("table", ["metadata", "chunks", "chunks_fts"])
def test_a_database_of_something_else_is_refused_and_kept(
    tmp_path: Path, chunks: list[Chunk], database: Path, table: str
) -> None:
    """A sound database that lacks a table of ours is someone else's: the missing one is named and nothing is lost."""
    change(database, f"DROP TABLE {table}")
    before = database.read_bytes()

    with pytest.raises(StoreError, match=f"not a store database: no table {table}"), open_database(database):
        pass
    with pytest.raises(StoreError, match="name another output, or remove what is there"):
        export_database(database, chunks, MATRIX, "tiny")

    assert database.read_bytes() == before
    assert list_scraps(tmp_path) == []


@pytest.mark.usefixtures("quick_lock")
@pytest.mark.parametrize(("statements", "fault", "left"), WRITERS.values(), ids=WRITERS)
def test_a_database_with_a_writer_is_left_alone(
    tmp_path: Path, chunks: list[Chunk], database: Path, statements: list[str], fault: str, left: int
) -> None:
    """While another process writes, whatever its journal, neither export nor change goes through."""
    with hold_writer(database, *statements):
        with pytest.raises(StoreError) as refusal:
            export_database(database, chunks[:1], MATRIX[:1], "other")
        with pytest.raises(StoreError) as second, open_for_change(database):
            pass

        assert list(tmp_path.rglob("*.partial")) == []

    assert str(refusal.value).startswith(f"{database}{fault}")
    assert str(second.value).startswith(f"{database}{fault}")
    assert read(database, "SELECT value FROM metadata WHERE key = 'model_id'") == [("tiny",)]
    assert read(database, "SELECT count(*) FROM chunks") == [(left,)]


def test_a_folder_is_no_place_for_a_database(tmp_path: Path, chunks: list[Chunk]) -> None:
    """A folder at the output's path is named and kept."""
    with pytest.raises(PipelineError, match="expected a file, but it is a folder; name another output"):
        export_database(tmp_path, chunks, MATRIX, "tiny")


def test_a_change_is_committed_when_its_block_ends(database: Path) -> None:
    """What the block did is in the file afterwards, and no journal is."""
    with open_for_change(database) as connection:
        connection.execute("UPDATE metadata SET value = 'other' WHERE key = 'model_id'")

    assert read(database, "SELECT value FROM metadata WHERE key = 'model_id'") == [("other",)]
    assert list(database.parent.iterdir()) == [database]


@pytest.mark.parametrize(
    ("statement", "error"),
    [("UPDATE metadata SET value = 'x'", ValueError), ("UPDATE nothing SET value = 'x'", StoreError)],
    ids=["defect", "SQLite error"],
)
def test_a_change_that_fails_is_taken_back(database: Path, statement: str, error: type[Exception]) -> None:
    """When the block raises, the bytes are as before; an error of SQLite's comes out as one of ours."""
    before = database.read_bytes()

    with pytest.raises(error), open_for_change(database) as connection:
        empty_and_fail(connection, statement)

    assert database.read_bytes() == before
    assert list(database.parent.iterdir()) == [database]


@pytest.mark.parametrize(
    "blob", [bytes(3071), bytes(3076), "x" * 3072, 3072], ids=["shorter", "longer", "text", "number"]
)
def test_a_blob_of_another_size_is_named_by_its_row(database: Path, blob: object) -> None:
    """A matrix is only made of blobs of 768 float32 values."""
    with open_for_change(database) as connection:
        connection.execute("UPDATE chunks SET embedding = ? WHERE rowid = 6", [blob])

    with (
        pytest.raises(StoreError, match=r"chunks\[5\]\.embedding: expected 3072 bytes"),
        open_database(database) as connection,
    ):
        load_matrix(connection)


def test_stored_values_are_not_interpreted(database: Path) -> None:
    """What SQLite holds is returned with its own type, so that a check can see that it is wrong."""
    change(database, "UPDATE chunks SET page = 'trois', metadata = x'00', text = 5 WHERE rowid = 1")
    with open_database(database) as connection:
        row = load_rows(connection)[0]

    assert (row.page, row.metadata, row.text) == ("trois", b"\0", "5")


def test_a_database_that_keeps_a_log_ahead_is_refused_and_kept(database: Path, chunks: list[Chunk]) -> None:
    """Closed and without a file beside it, it may have lost what its log held: its header alone refuses it."""
    change(database, "PRAGMA journal_mode=WAL")
    before = database.read_bytes()
    fault = "keeps a write-ahead log, so the file alone is not the database"

    assert list(database.parent.iterdir()) == [database]
    with pytest.raises(StoreError, match=fault), open_database(database):
        pass
    with pytest.raises(StoreError, match=fault), open_for_change(database):
        pass
    with pytest.raises(StoreError, match=f"{fault}; name another output"):
        export_database(database, chunks, MATRIX, "tiny")
    assert database.read_bytes() == before


@pytest.mark.parametrize("place", [18, 19], ids=["written", "read"])
def test_either_sign_of_a_log_ahead_is_seen(database: Path, place: int) -> None:
    """The header says for writing and for reading how the file is kept; each must say that it is whole."""
    content = bytearray(database.read_bytes())
    content[place] = 2
    database.write_bytes(content)

    with pytest.raises(StoreError, match="keeps a write-ahead log"), open_database(database):
        pass


@pytest.mark.parametrize(
    ("statements", "is_writer"),
    [
        (["BEGIN IMMEDIATE"], True),
        (["BEGIN EXCLUSIVE"], True),
        (["BEGIN IMMEDIATE", "UPDATE metadata SET value = 'x'"], True),
        (["BEGIN", "SELECT * FROM chunks"], False),
        (["BEGIN IMMEDIATE", "ROLLBACK"], False),
        ([], False),
    ],
    ids=["about to write", "alone", "writing", "reading", "given up", "connected"],
)
def test_a_writer_is_seen_in_another_process(database: Path, statements: list[str], *, is_writer: bool) -> None:
    """Whoever has begun to write is seen, a reader is not one, and when it is gone the database is free."""
    with hold_writer(database, *statements):
        try:
            require_no_writer(database)
            found = None
        except StoreError as error:
            found = str(error)

    assert found == (
        f"{database}: is locked by a writer; close whatever is using it and run again" if is_writer else None
    )
    require_no_writer(database)


def test_looking_for_a_writer_locks_nobody_out(database: Path) -> None:
    """The system is asked and no lock is taken: another process can begin to write at once."""
    before = database.read_bytes(), list(database.parent.iterdir())
    require_no_writer(database)

    assert (database.read_bytes(), list(database.parent.iterdir())) == before
    with hold_writer(database, "BEGIN EXCLUSIVE"), pytest.raises(StoreError, match="is locked by a writer"):
        require_no_writer(database)
