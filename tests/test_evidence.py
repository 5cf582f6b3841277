"""Bytes first: a store whose files are not those of its manifest, or not of this corpus, is not looked at."""

from __future__ import annotations

import os
import pickle
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.store import MANIFEST
from tests.conftest import Sample, build_sample_store, write_sample
from tests.stores import FILES, edit_database, edit_manifest, get_path, load_sample, sign
from validation.evidence import StoreEvidence, collect_store
from validation.outcomes import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from validation.spoiling import Part

    Sabotage = Callable[[Path], object]

ROWS = 12
ROLES = pytest.mark.parametrize("role", FILES)


@pytest.fixture
def small(tmp_path: Path) -> Sample:
    """A corpus of twelve chunks with a question each."""
    return write_sample(tmp_path / "corpus", rows=ROWS, questions=ROWS)


@pytest.fixture
def store(tmp_path: Path, small: Sample) -> Path:
    """A good store of the small corpus."""
    return build_sample_store(small, tmp_path / "store", model_id="base-model", hits=6)


def refuse(store: Path, small: Sample) -> Check:
    """Return the one check of a store that must not be trusted."""
    evidence, checks = collect_store("qlora", store, load_sample(small))

    assert evidence is None
    assert [(check.id, check.subject, check.outcome) for check in checks] == [("INT101", "qlora/fr", Outcome.ERROR)]

    return checks[0]


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


BYTES: dict[str, Sabotage] = {
    "cut by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "cut by a row": lambda path: path.write_bytes(path.read_bytes()[:-3072]),
    "a byte more": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "one bit": flip_bit,
    "tail of zeros": clear_tail,
    "emptied": lambda path: path.write_bytes(b""),
    "removed": lambda path: path.unlink(),
    "a folder": make_folder,
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

    assert refuse(store, small).detail == "embeddings_mode_b_fr.npy: SHA-256 differs from the manifest"


@pytest.mark.parametrize(
    "name", ["corpus_mode_b_fr.db-wal", "corpus_mode_b_fr.db-shm", "corpus_mode_b_fr.db-journal", "notes.txt", ".x"]
)
def test_a_file_beside_the_manifest_s_is_not_trusted(store: Path, small: Sample, name: str) -> None:
    """A store holds what its manifest lists and nothing else; a journal beside the database would change its rows."""
    before = get_path(store, "database").read_bytes()
    (store / name).write_bytes(b"")

    assert refuse(store, small).detail == f"{name} is not in the manifest"
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
    "database cut": ("database", lambda path: path.write_bytes(path.read_bytes()[:-4096]), "bytes by its header"),
    "junk after the database": ("database", BYTES["a byte more"], "bytes by its header"),
    "table damaged": ("database", lambda path: path.write_bytes(path.read_bytes()[:4096] * 2), "database"),
}


@pytest.mark.parametrize(("role", "sabotage", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_signed_file_that_cannot_be_read_is_not_trusted(
    store: Path, small: Sample, role: Part, sabotage: Sabotage, said: str
) -> None:
    """A file that is no matrix or no database is an ERROR even where the manifest agrees with its bytes."""
    path = get_path(store, role)
    sabotage(path)
    sign(store)
    detail = refuse(store, small).detail or ""

    assert path.name in detail
    assert said in detail


@pytest.mark.parametrize("table", ["metadata", "chunks", "chunks_fts"])
def test_a_database_without_a_table_is_not_trusted(store: Path, small: Sample, table: str) -> None:
    """A SQLite file that is no store database is an ERROR that names the table it lacks."""
    edit_database(store, f"DROP TABLE {table}")

    assert f"no table {table}" in (refuse(store, small).detail or "")


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

    assert [check.outcome for check in checks] == [Outcome.PASS] * 3
    assert evidence is not None

    return evidence


def test_a_good_store_is_read_as_it_lies(store: Path, small: Sample) -> None:
    """INT101 to INT103 pass, and the evidence is what is on disk; reading leaves the folder as it was."""
    before = {path.name: path.read_bytes() for path in store.iterdir()}
    evidence = read(store, small)

    assert (evidence.subject, evidence.metadata["model_id"], len(evidence.rows)) == ("base/fr", "base-model", ROWS)
    assert evidence.passages.header.shape == (ROWS, 768)
    assert evidence.rows[3].embedding == evidence.passages.values[3].tobytes()
    assert {path.name: path.read_bytes() for path in store.iterdir()} == before


@pytest.mark.parametrize("folder", ["a b", "a?b#c", "50%41", "règles"])
def test_a_store_may_lie_anywhere(tmp_path: Path, store: Path, small: Sample, folder: str) -> None:
    """Spaces, `?`, `#`, `%` and accents in a path change nothing."""
    moved = tmp_path / folder
    store.rename(moved)

    assert read(moved, small).metadata["total_chunks"] == str(ROWS)
