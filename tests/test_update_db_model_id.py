"""`python -m pipeline.update_db_model_id`: labels are shown, given once, and changed only on the record."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from pipeline.chunks import load_chunks
from pipeline.database import export_database, load_metadata, open_database
from pipeline.database_schema import find_structure_fault
from tests.bad_input import check_refusal, hold_writer, list_scraps, run_limited
from tests.conftest import ROWS, Result, Sample, draw_unit_vectors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.requirement("REQ-STO-05", "REQ-VER-01")

MODULE = "pipeline.update_db_model_id"


@pytest.fixture
def labelled(tmp_path: Path, sample: Sample) -> Path:
    """A database with the label `first`."""
    path = tmp_path / "store" / "corpus.db"
    export_database(path, load_chunks(sample.chunks).chunks, draw_unit_vectors(ROWS, 2), "first")
    return path


@pytest.fixture
def unlabelled(labelled: Path) -> Path:
    """The same database without a label."""
    set_metadata(labelled, "model_id", None)
    return labelled


def set_metadata(path: Path, key: str, value: str | None) -> None:
    """Write or remove one entry with plain SQLite."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM metadata WHERE key = ?", [key])
        if value is not None:
            connection.execute("INSERT INTO metadata VALUES (?, ?)", [key, value])
        connection.commit()


def get_metadata(path: Path) -> dict[str, str]:
    """Return all entries."""
    with open_database(path) as connection:
        return load_metadata(connection)


def test_show_prints_the_metadata_and_changes_nothing(labelled: Path, run_cli: Callable[..., Result]) -> None:
    """Each entry is a line `key: value`, and the file keeps its bytes."""
    before = labelled.read_bytes()
    result = run_cli(MODULE, "--db", labelled, "--show")

    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "embedding_dim: 768",
        "model_id: first",
        "schema_version: 2.0",
        "total_chunks: 40",
    ]
    assert labelled.read_bytes() == before


def test_a_database_without_a_label_is_adopted(unlabelled: Path, run_cli: Callable[..., Result]) -> None:
    """The first label needs no reason and leaves no record; vectors and text stay."""
    result = run_cli(MODULE, "--db", unlabelled, "--model-id", "given", "--show")

    assert result.code == 0
    assert "model_id: given" in result.out.splitlines()
    assert get_metadata(unlabelled).keys() == {"schema_version", "embedding_dim", "total_chunks", "model_id"}


def test_the_same_label_again_changes_nothing(labelled: Path, run_cli: Callable[..., Result]) -> None:
    """Giving the label that is there is no change, not even with a reason."""
    before = labelled.read_bytes()
    codes = [
        run_cli(MODULE, "--db", labelled, "--model-id", "first").code,
        run_cli(MODULE, "--db", labelled, "--model-id", "first", "--relabel", "--reason", "none").code,
    ]

    assert codes == [0, 0]
    assert labelled.read_bytes() == before


@pytest.mark.parametrize("extra", [[], ["--reason", "because"]], ids=["plain", "reason alone"])
@pytest.mark.parametrize("label", ["second", "First", "first "])
def test_another_label_is_refused(labelled: Path, run_cli: Callable[..., Result], label: str, extra: list[str]) -> None:
    """A label without its vectors is a lie: it stays, and the message says how it could be changed."""
    before = labelled.read_bytes()
    result = run_cli(MODULE, "--db", labelled, "--model-id", label, *extra)

    check_refusal(result, str(labelled), "model_id: already 'first'", "--relabel --reason TEXT")

    assert labelled.read_bytes() == before


def test_every_change_of_a_label_is_on_record(labelled: Path, run_cli: Callable[..., Result]) -> None:
    """Each relabelling keeps the older label, the newer one and the reason, in order."""
    for label, reason in (("second", "typing error"), ("third", "nom déposé")):
        assert run_cli(MODULE, "--db", labelled, "--model-id", label, "--relabel", "--reason", reason).code == 0
    metadata = get_metadata(labelled)

    assert metadata["model_id"] == "third"
    assert json.loads(metadata["relabelled"]) == [
        {"from": "first", "to": "second", "reason": "typing error"},
        {"from": "second", "to": "third", "reason": "nom déposé"},
    ]
    assert list(labelled.parent.iterdir()) == [labelled]
    with open_database(labelled) as connection:
        assert find_structure_fault(connection) is None


@pytest.mark.parametrize("record", ["gone", '{"from": "x"}'], ids=["no JSON", "no list"])
def test_a_damaged_record_stops_relabelling(labelled: Path, run_cli: Callable[..., Result], record: str) -> None:
    """Where earlier changes can no longer be read, no further one is added."""
    set_metadata(labelled, "relabelled", record)
    result = run_cli(MODULE, "--db", labelled, "--model-id", "second", "--relabel", "--reason", "why")

    check_refusal(result, str(labelled), "relabelled: expected a JSON list")

    assert get_metadata(labelled)["model_id"] == "first"


@pytest.mark.parametrize("label", ["", " \t"], ids=["empty", "blank"])
def test_an_empty_label_is_refused(unlabelled: Path, run_cli: Callable[..., Result], label: str) -> None:
    """No label is better than an empty one."""
    result = run_cli(MODULE, "--db", unlabelled, "--model-id", label)

    check_refusal(result, str(unlabelled), "expected a model id, got an empty label")

    assert "model_id" not in get_metadata(unlabelled)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --show, --model-id, or both"),
        (["--reason", "x"], "give --show, --model-id, or both"),
        (["--model-id", "m", "--relabel"], "--relabel needs --model-id and --reason"),
        (["--model-id", "m", "--relabel", "--reason", " "], "--relabel needs --model-id and --reason"),
        (["--show", "--relabel", "--reason", "x"], "--relabel needs --model-id and --reason"),
    ],
    ids=["nothing", "reason only", "no reason", "blank reason", "no label"],
)
def test_half_a_wish_is_wrong_usage(
    labelled: Path, run_cli: Callable[..., Result], arguments: list[str], message: str
) -> None:
    """Options that say too little end with code 2 and touch nothing."""
    before = labelled.read_bytes()
    result = run_cli(MODULE, "--db", labelled, *arguments)

    assert (result.code, result.out) == (2, "")
    assert result.err == f"error: Invalid value: {message}; see --help\n"
    assert labelled.read_bytes() == before


@pytest.mark.parametrize("arguments", [["--show"], ["--model-id", "m"]], ids=["show", "label"])
@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "does not exist"), (b"", "expected a SQLite database"), (b"notes", "expected a SQLite database")],
    ids=["missing", "empty", "text"],
)
def test_what_is_no_database_is_refused(
    tmp_path: Path, run_cli: Callable[..., Result], content: bytes | None, fault: str, arguments: list[str]
) -> None:
    """No file is created, changed or mistaken for a database."""
    path = tmp_path / "x" / "corpus.db"
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)

    check_refusal(run_cli(MODULE, "--db", path, *arguments), str(path), fault)

    assert (path.read_bytes() if path.exists() else None) == content
    assert len(list(path.parent.iterdir())) == int(content is not None)


def test_a_locked_database_keeps_its_label(unlabelled: Path, run_cli: Callable[..., Result]) -> None:
    """While someone else writes, the command gives up after a short wait."""
    with hold_writer(unlabelled, "BEGIN IMMEDIATE"):
        result = run_cli(MODULE, "--db", unlabelled, "--model-id", "m")

    check_refusal(result, str(unlabelled), "database is locked", "close whatever is using it")

    assert "model_id" not in get_metadata(unlabelled)


def test_a_full_disk_keeps_the_label(labelled: Path) -> None:
    """Where the change does not fit, the database is as it was, to the byte and without a journal."""
    before = labelled.read_bytes()
    command = ("--db", labelled, "--model-id", "second", "--relabel", "--reason", "why")

    check_refusal(run_limited(1024, MODULE, *command), str(labelled), "could not be changed", "free disk space")

    assert labelled.read_bytes() == before
    assert list_scraps(labelled.parent) == []
