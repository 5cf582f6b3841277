"""Bytes first: a store whose files are not those of its manifest, or not of this corpus, is not looked at."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.database_rows import PAGE_BYTES
from pipeline.files import compute_sha256
from pipeline.store import MANIFEST, load_manifest
from tests.conftest import SMALL_ROWS, Sample, build_sample_store
from tests.stores import FILES, edit_database, edit_manifest, get_path, load_array, load_sample, sign
from validation.evidence import StoreEvidence, collect_store, open_files
from validation.outcomes import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from validation.spoiling import Part

    Sabotage = Callable[[Path], object]

pytestmark = pytest.mark.requirement("REQ-INT-01")

ROLES = pytest.mark.parametrize("role", FILES)


def refuse(store: Path, small: Sample, *, by: str = "INT101") -> Check:
    """Return the one check that does not pass of a store that must not be trusted; nothing is looked at after it."""
    evidence, checks = collect_store("qlora", store, load_sample(small))
    before = ["INT101", "INT102", "INT103"] if by == "INT106" else []

    assert evidence is None
    assert [(check.id, check.outcome) for check in checks[:-1]] == [(check, Outcome.PASS) for check in before]
    assert (checks[-1].id, checks[-1].outcome) == (by, Outcome.ERROR)
    assert {check.subject for check in checks} == {"qlora/fr"}

    return checks[-1]


def flip_bit(path: Path) -> None:
    """Flip one bit in the middle of a file and put its time back."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def clear_tail(path: Path) -> None:
    """Overwrite the last 2000 bytes of a file with zeros."""
    path.write_bytes(path.read_bytes()[:-2000] + bytes(2000))


def make_folder(path: Path) -> None:
    """Put a folder in the place of a file."""
    path.unlink()
    path.mkdir()


def link_name(path: Path) -> None:
    """Put a symbolic link to the very same bytes in the place of a file."""
    moved = path.parent.parent / f"moved-{path.name}"
    path.rename(moved)
    path.symlink_to(moved)


def make_pipe(path: Path) -> None:
    """Put a pipe, at whose other end there is nobody, in the place of a file."""
    path.unlink()
    os.mkfifo(path)


def link_nothing(path: Path) -> None:
    """Put a symbolic link that leads nowhere in the place of a file."""
    path.unlink()
    path.symlink_to("absent")


BYTES: dict[str, Sabotage] = {
    "cut by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "cut by a row": lambda path: path.write_bytes(path.read_bytes()[:-3072]),
    "a byte more": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "one bit": flip_bit,
    "tail of zeros": clear_tail,
    "emptied": lambda path: path.write_bytes(b""),
    "removed": lambda path: path.unlink(),
    "a folder": make_folder,
    "a pipe": make_pipe,
    "a symbolic link": link_name,
    "a second name": lambda path: os.link(path, path.parent.parent / "second"),
    "a symbolic link to nothing": link_nothing,
}


@ROLES
@pytest.mark.parametrize("sabotage", BYTES.values(), ids=BYTES)
def test_changed_bytes_are_not_trusted(store: Path, small: Sample, role: Part, sabotage: Sabotage) -> None:
    """Whatever happened to a file after its manifest was written, INT101 is an ERROR that names the file."""
    path = get_path(store, role)
    sabotage(path)

    assert path.name in (refuse(store, small).detail or "")


def test_sizes_are_told(store: Path, small: Sample) -> None:
    """A file of another size is refused with the size expected and the size found."""
    path = get_path(store, "embeddings")
    size = path.stat().st_size
    BYTES["a byte more"](path)

    assert refuse(store, small).detail == f"{path.name}: expected {size} bytes, got {size + 1}"


def test_files_of_another_store_are_not_trusted(tmp_path: Path, store: Path, small: Sample) -> None:
    """A good matrix of the same size from another store is still not the one of the manifest."""
    other = build_sample_store(small, tmp_path / "other", model_id="base-model", hits=6, seed=9)
    shutil.copyfile(get_path(other, "embeddings"), get_path(store, "embeddings"))

    assert refuse(store, small).detail == "embeddings_mode_b_fr.npy: SHA-256 differs from the one on record"


@pytest.mark.parametrize(
    "name", ["corpus_mode_b_fr.db-wal", "corpus_mode_b_fr.db-shm", "corpus_mode_b_fr.db-journal", "notes.txt", ".x"]
)
def test_a_file_beside_the_manifest_s_is_not_trusted(store: Path, small: Sample, name: str) -> None:
    """A store holds what its manifest lists and nothing else; a journal beside the database would change its rows."""
    before = get_path(store, "database").read_bytes()
    (store / name).write_bytes(b"")

    assert refuse(store, small).detail == f"{name}: is not in the manifest"
    assert get_path(store, "database").read_bytes() == before


MANIFESTS: dict[str, tuple[Sabotage, str]] = {
    "removed": (lambda path: path.unlink(), "expected a store folder with manifest.json"),
    "empty": (lambda path: path.write_text(""), "not valid JSON"),
    "no JSON": (lambda path: path.write_text("{"), "not valid JSON"),
    "duplicate key": (lambda path: path.write_text('{"corpus": "fr", "corpus": "fr"}'), 'duplicate key "corpus"'),
    "not UTF-8": (lambda path: path.write_bytes(b'{"corpus": "\xff"}'), "not UTF-8"),
    "not a number": (lambda path: path.write_text('{"total": NaN}'), "expected a finite number"),
}


@pytest.mark.parametrize(("sabotage", "said"), MANIFESTS.values(), ids=MANIFESTS)
def test_an_unreadable_manifest_is_not_trusted(store: Path, small: Sample, sabotage: Sabotage, said: str) -> None:
    """A store without a readable manifest says nothing."""
    sabotage(store / MANIFEST)

    assert said in (refuse(store, small).detail or "")


def put(*path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Return a change that puts a value at a path of a manifest."""

    def change(document: dict[str, Any]) -> None:
        for part in path[:-1]:
            document = document[part]
        document[path[-1]] = value

    return change


FIELDS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "missing field": (lambda document: document.pop("model_id"), "model_id: Field required"),
    "unknown field": (put("colour", value="red"), "colour:"),
    "size in words": (put("files", "database", "size", value="1"), "files.database.size:"),
    "boolean total": (put("total", value=True), "total:"),
    "digest cut": (put("files", "questions", "sha256", value="0" * 63), "files.questions.sha256:"),
    "path upwards": (put("files", "embeddings", "name", value="../x.npy"), "files.embeddings.name:"),
}


@pytest.mark.parametrize(("change", "said"), FIELDS.values(), ids=FIELDS)
def test_a_malformed_manifest_is_not_trusted(
    store: Path, small: Sample, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    """A field that is missing, unknown or mistyped is named by its path."""
    edit_manifest(store, change)

    assert said in (refuse(store, small).detail or "")


def test_a_missing_store_is_not_trusted(tmp_path: Path, small: Sample) -> None:
    """A folder that does not exist is an ERROR, and none is made."""
    assert "expected a store folder" in (refuse(tmp_path / "absent", small).detail or "")
    assert not (tmp_path / "absent").exists()


class Payload:
    """An object that runs a command when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        """Remember what the command would leave behind."""
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        """Tell pickle to make a folder."""
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("role", ["embeddings", "questions"])
def test_a_pickled_payload_never_runs(tmp_path: Path, store: Path, small: Sample, role: Part) -> None:
    """An object array is refused before it is unpickled, even where its bytes are those of the manifest."""
    trace = tmp_path / "trace"
    np.save(get_path(store, role), np.array([Payload(trace)], dtype=object), allow_pickle=True)
    sign(store)

    assert "pickled objects" in (refuse(store, small).detail or "")
    assert not trace.exists()


def claim_rows(path: Path) -> None:
    """Write a header that claims ten thousand million rows."""
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (10**10, 768)})


def write_archive(path: Path) -> None:
    """Write a NumPy archive under the name of an array."""
    with path.open("wb") as stream:
        np.savez(stream, matrix=np.zeros(3))


def fill_pages(path: Path) -> None:
    """Overwrite every page of a database but the first with junk."""
    content = path.read_bytes()
    path.write_bytes(content[:PAGE_BYTES] + b"\xaa" * (len(content) - PAGE_BYTES))


UNREADABLE: dict[str, tuple[Part, Sabotage, str]] = {
    "archive": ("embeddings", write_archive, "expected a NumPy .npy file"),
    "pointer": ("questions", lambda path: path.write_text("version https://git-lfs\n"), "expected a NumPy .npy file"),
    "bare pickle": ("embeddings", lambda path: path.write_bytes(pickle.dumps([1])), "expected a NumPy .npy file"),
    "row cut": ("embeddings", BYTES["cut by a row"], "truncated"),
    "byte more": ("questions", BYTES["a byte more"], "longer than its header says"),
    "ten thousand million rows": ("embeddings", claim_rows, "truncated"),
    "empty matrix file": ("questions", BYTES["emptied"], "expected a NumPy .npy file"),
    "no database": ("database", lambda path: path.write_text("hello"), "expected a SQLite database"),
    "empty database": ("database", BYTES["emptied"], "expected a SQLite database"),
    "database cut": ("database", lambda path: path.write_bytes(path.read_bytes()[:-PAGE_BYTES]), "bytes by its header"),
    "junk after the database": ("database", BYTES["a byte more"], "bytes by its header"),
    "page twice": (
        "database",
        lambda path: path.write_bytes(path.read_bytes()[:PAGE_BYTES] * 2),
        "bytes by its header",
    ),
    "pages of junk": ("database", fill_pages, "integrity_check: *** in database main *** Page"),
}


@pytest.mark.parametrize(("role", "sabotage", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_signed_file_that_cannot_be_read_is_not_trusted(
    store: Path, small: Sample, role: Part, sabotage: Sabotage, said: str
) -> None:
    """A file that is no matrix or no database is an ERROR even where the manifest agrees with its bytes."""
    path = get_path(store, role)
    sabotage(path)
    sign(store)
    detail = refuse(store, small, by="INT106" if role == "database" else "INT101").detail or ""

    assert path.name in detail
    assert said in detail


@pytest.mark.parametrize("table", ["metadata", "chunks", "chunks_fts"])
def test_a_database_without_a_table_is_not_trusted(store: Path, small: Sample, table: str) -> None:
    """A SQLite file that is no store database is an ERROR that names the table it lacks."""
    edit_database(store, f"DROP TABLE {table}")

    assert f"no table {table}" in (refuse(store, small, by="INT106").detail or "")


def set_header(offset: int, content: bytes) -> Sabotage:
    """Return a change of a few bytes of a database's header."""

    def change(path: Path) -> None:
        whole = bytearray(path.read_bytes())
        whole[offset : offset + len(content)] = content
        path.write_bytes(whole)

    return change


def execute(statement: str) -> Sabotage:
    """Return a change of a database by statements."""

    def change(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.executescript(statement)

    return change


def drop_from_index(path: Path) -> None:
    """Let an index lack a row of its table, as a write that was lost would."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name LIKE '%autoindex_chunks_1'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    start = (page - 1) * size
    count = int.from_bytes(path.read_bytes()[start + 3 : start + 5], "big")
    set_header(start + 3, (count - 1).to_bytes(2, "big"))(path)


UNSOUND: dict[str, tuple[Sabotage, str]] = {
    "view": (execute("CREATE VIEW more AS SELECT * FROM chunks"), "view more is not as an export makes it"),
    "trigger": (
        execute("CREATE TRIGGER late AFTER UPDATE ON chunks BEGIN DELETE FROM metadata; END"),
        "trigger late is not as an export makes it",
    ),
    "index": (execute("CREATE INDEX pages ON chunks(page)"), "index pages is not as an export makes it"),
    "table": (execute("CREATE TABLE notes(text TEXT)"), "table notes is not as an export makes it"),
    "column": (execute("ALTER TABLE chunks ADD COLUMN note TEXT"), "table chunks is not as an export makes it"),
    "constraint gone": (
        execute(
            "CREATE TABLE other(key TEXT PRIMARY KEY, value TEXT);"
            "INSERT INTO other SELECT * FROM metadata; DROP TABLE metadata; ALTER TABLE other RENAME TO metadata"
        ),
        "table metadata is not as an export makes it",
    ),
    "other version": (execute("PRAGMA user_version = 3"), "user_version 2, got"),
    "other application": (execute("PRAGMA application_id = 0"), "expected application_id"),
    "write-ahead log": (set_header(18, b"\x02\x02"), "keeps a write-ahead log"),
    "index lacks a row": (drop_from_index, "integrity_check"),
}


@pytest.mark.parametrize(("sabotage", "said"), UNSOUND.values(), ids=UNSOUND)
def test_a_database_that_is_not_as_exported_is_not_trusted(
    store: Path, small: Sample, sabotage: Sabotage, said: str
) -> None:
    """A signed database with anything more, less or other than an export makes is an ERROR of INT106 that says what."""
    path = get_path(store, "database")
    sabotage(path)
    sign(store)
    detail = refuse(store, small, by="INT106").detail or ""

    assert detail.startswith(f"{path.name}: ")
    assert said in detail


def test_a_database_that_is_being_written_is_not_trusted(store: Path, small: Sample) -> None:
    """A writer in another process makes INT106 an ERROR at once; when it has ended, the store is read."""
    path = get_path(store, "database")
    code = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "connection.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "locked\n"

        check = refuse(store, small, by="INT106")
        writer.communicate("")

    assert check.detail == f"{path.name}: is locked by a writer"
    assert read(store, small).metadata["model_id"] == "base-model"


@pytest.mark.parametrize("part", FILES)
def test_what_is_opened_is_what_was_hashed(store: Path, part: Part) -> None:
    """A file that takes the place of another one after it was opened is not the one that is read."""
    manifest, path = load_manifest(store), get_path(store, part)
    content = path.read_bytes()
    with open_files(store, manifest) as streams:
        other = store.parent / "other"
        other.write_bytes(bytes(len(content)))
        other.replace(path)

        assert streams[part].read() == content


def test_other_chunks_are_not_judged(tmp_path: Path, store: Path, small: Sample) -> None:
    """A store made from chunks that differ by one byte is an ERROR of INT102, with both digests."""
    other = tmp_path / "other.json"
    other.write_bytes(small.chunks.read_bytes() + b"\n")
    corpus = load_sample(Sample(other, small.questions, small.qrels))
    evidence, checks = collect_store("base", store, corpus)
    outcomes = {check.id: check.outcome for check in checks}

    assert evidence is None
    assert outcomes == {"INT101": Outcome.PASS, "INT102": Outcome.ERROR, "INT103": Outcome.PASS}
    assert checks[1].limit == corpus.chunks_sha256
    assert checks[1].observed != checks[1].limit


def test_other_questions_are_not_judged(tmp_path: Path, store: Path, small: Sample) -> None:
    """A store made for questions of which one differs is an ERROR of INT103."""
    other = tmp_path / "other.jsonl"
    other.write_text(small.questions.read_text("utf-8").replace("question 3 ?", "question 3 donc ?"), "utf-8")
    evidence, checks = collect_store("base", store, load_sample(Sample(small.chunks, other, small.qrels)))
    outcomes = {check.id: check.outcome for check in checks}

    assert evidence is None
    assert outcomes == {"INT101": Outcome.PASS, "INT102": Outcome.PASS, "INT103": Outcome.ERROR}


def read(store: Path, small: Sample) -> StoreEvidence:
    """Read a store that must be trusted."""
    evidence, checks = collect_store("base", store, load_sample(small))

    assert [check.id for check in checks] == ["INT101", "INT102", "INT103", "INT106"]
    assert {check.outcome for check in checks} == {Outcome.PASS}
    assert evidence is not None

    return evidence


def test_a_good_store_is_read_as_it_lies(store: Path, small: Sample) -> None:
    """INT101 to INT103 and INT106 pass, and the evidence is what is on disk; reading leaves the folder as it was."""
    before = {path.name: path.read_bytes() for path in store.iterdir()}
    evidence = read(store, small)

    assert (evidence.subject, evidence.metadata["model_id"], len(evidence.rows.id_equal)) == (
        "base/fr",
        "base-model",
        SMALL_ROWS,
    )
    assert evidence.passages.header.shape == (SMALL_ROWS, 768)
    assert evidence.passages.values.tobytes() == load_array(store, "embeddings").tobytes()
    assert all(found.all() for found in (evidence.rows.id_equal, evidence.rows.text_equal, evidence.rows.vector_equal))
    assert evidence.manifest_sha256 == compute_sha256(store / MANIFEST)
    assert {path.name: path.read_bytes() for path in store.iterdir()} == before


@pytest.mark.parametrize("folder", ["a b", "a?b#c", "50%41", "règles"])
def test_a_store_may_lie_anywhere(tmp_path: Path, store: Path, small: Sample, folder: str) -> None:
    """Spaces, `?`, `#`, `%` and accents in a path change nothing."""
    moved = tmp_path / folder
    store.rename(moved)

    assert read(moved, small).metadata["total_chunks"] == str(SMALL_ROWS)
