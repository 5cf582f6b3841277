"""The store folder: its files, its manifest, and what it refuses to replace."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.chunks import load_chunks
from pipeline.errors import InputError, StoreError
from pipeline.files import compute_sha256
from pipeline.provenance import write_provenance
from pipeline.store import MANIFEST, StoreInputs, build_store, load_manifest, name_files, require_replaceable
from pipeline.vectors import save_vectors
from tests.bad_input import list_scraps
from tests.conftest import IDENTITY, QUESTIONS, ROWS, Sample, draw_unit_vectors, write_sample

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.encoder import ModelIdentity


@pytest.fixture
def inputs(tmp_path: Path, sample: Sample) -> StoreInputs:
    """Texts and vectors that belong together, of unknown origin."""
    files = StoreInputs(sample.chunks, tmp_path / "v" / "e.npy", sample.questions, tmp_path / "v" / "q.npy")
    save_vectors(files.embeddings, draw_unit_vectors(ROWS, 1))
    save_vectors(files.question_embeddings, draw_unit_vectors(QUESTIONS, 2))
    return files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the store goes."""
    return tmp_path / "build" / "store"


def sign(inputs: StoreInputs, passages: ModelIdentity | None, questions: ModelIdentity | None) -> None:
    """Write beside the vectors which model made them."""
    if passages:
        write_provenance(inputs.embeddings, inputs.chunks, "passages", passages)
    if questions:
        write_provenance(inputs.question_embeddings, inputs.questions, "questions", questions)


def read_all(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_store_is_three_files_and_their_manifest(inputs: StoreInputs, folder: Path) -> None:
    """The vectors are copied to the byte, the database holds them, and the manifest binds every byte."""
    manifest = build_store(inputs, "mine", folder)
    names = ["corpus_mode_b_fr.db", "embeddings_mode_b_fr.npy", "manifest.json", "questions_mode_b_fr.npy"]

    assert sorted(path.name for path in folder.iterdir()) == names
    assert (folder / names[1]).read_bytes() == inputs.embeddings.read_bytes()
    assert (folder / names[3]).read_bytes() == inputs.question_embeddings.read_bytes()
    assert load_manifest(folder) == manifest
    for record in (manifest.files.embeddings, manifest.files.questions, manifest.files.database):
        path = folder / record.name

        assert (record.size, record.sha256) == (path.stat().st_size, compute_sha256(path))


def test_the_manifest_says_what_the_store_is_made_of(inputs: StoreInputs, folder: Path) -> None:
    """Corpus, texts and model are named; of vectors made elsewhere only the label is known."""
    manifest = build_store(inputs, "mine", folder)

    assert (manifest.schema_version, manifest.corpus, manifest.total) == (1, "fr", ROWS)
    assert manifest.chunks_sha256 == compute_sha256(inputs.chunks)
    assert manifest.questions_sha256 == compute_sha256(inputs.questions)
    assert (manifest.model_id, manifest.model) == ("mine", None)


@pytest.mark.parametrize("label", [None, "tiny"], ids=["label from provenance", "same label"])
def test_provenance_travels_into_the_manifest(inputs: StoreInputs, folder: Path, label: str | None) -> None:
    """The whole identity of a known model is kept, and its label stands in the database too."""
    sign(inputs, IDENTITY, IDENTITY)
    manifest = build_store(inputs, label, folder)
    with contextlib.closing(sqlite3.connect(folder / manifest.files.database.name)) as connection:
        rows = connection.execute("SELECT value FROM metadata WHERE key = 'model_id'").fetchall()

    assert (manifest.model_id, manifest.model) == ("tiny", IDENTITY)
    assert rows == [("tiny",)]


def test_blobs_are_the_rows_of_the_matrix(inputs: StoreInputs, folder: Path) -> None:
    """Database and `.npy` of a store hold the same bytes, row for row."""
    manifest = build_store(inputs, "mine", folder)
    with contextlib.closing(sqlite3.connect(folder / manifest.files.database.name)) as connection:
        blobs = [row[0] for row in connection.execute("SELECT embedding FROM chunks ORDER BY rowid")]

    assert blobs == [row.tobytes() for row in np.load(folder / manifest.files.embeddings.name)]


def test_no_file_is_hashed_twice(inputs: StoreInputs, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gigabytes are hashed once, whether provenance, manifest or both need the digest."""
    sign(inputs, IDENTITY, IDENTITY)
    hashed: list[str] = []

    def note(path: Path) -> str:
        hashed.append(path.name)
        return compute_sha256(path)

    monkeypatch.setattr("pipeline.store.compute_sha256", note)
    build_store(inputs, None, folder)

    assert sorted(hashed) == sorted(["chunks.json", "corpus_mode_b_fr.db", "e.npy", "q.npy", "questions.jsonl"])


def test_the_same_inputs_give_the_same_store(inputs: StoreInputs, folder: Path, tmp_path: Path) -> None:
    """No file of a store depends on the hour, the folder or what was there before."""
    build_store(inputs, "mine", folder)
    first = read_all(folder)
    build_store(inputs, "mine", folder)
    build_store(inputs, "mine", tmp_path / "elsewhere")

    assert read_all(folder) == first == read_all(tmp_path / "elsewhere")


def test_an_older_store_is_replaced_as_a_whole(inputs: StoreInputs, folder: Path) -> None:
    """Nothing of the older store is left, and no scrap beside it."""
    build_store(inputs, "mine", folder)
    (folder / "questions_mode_b_intl.npy").touch()
    build_store(inputs, "other", folder)

    assert load_manifest(folder).model_id == "other"
    assert len(list(folder.iterdir())) == 4
    assert list(folder.parent.iterdir()) == [folder]


def test_an_empty_folder_may_become_a_store(inputs: StoreInputs, folder: Path) -> None:
    """A folder with nothing in it is free."""
    folder.mkdir(parents=True)
    require_replaceable(folder)

    assert build_store(inputs, "mine", folder) == load_manifest(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [("notes.txt", "mine"), (MANIFEST, '{"name": "a browser extension", "version": "1"}'), (MANIFEST, "{")],
    ids=["other files", "manifest of something else", "broken manifest"],
)
def test_a_folder_that_is_no_store_is_kept(inputs: StoreInputs, folder: Path, name: str, content: str) -> None:
    """Only a folder with a store's manifest is ever replaced."""
    folder.mkdir(parents=True)
    (folder / name).write_text(content)

    with pytest.raises(StoreError, match="exists and is not a store") as refusal:
        build_store(inputs, "mine", folder)

    assert (refusal.value.where, refusal.value.remedy) == (str(folder), "name another folder, or remove this one")
    assert read_all(folder) == {name: content.encode()}


def test_a_file_is_no_place_for_a_store(inputs: StoreInputs, folder: Path) -> None:
    """A file at the store's path is kept."""
    folder.parent.mkdir()
    folder.write_text("mine")

    with pytest.raises(StoreError, match="exists and is not a store"):
        build_store(inputs, "mine", folder)

    assert folder.read_text() == "mine"


@pytest.mark.parametrize("label", [None, "", " "], ids=["none", "empty", "blank"])
def test_vectors_of_unknown_origin_need_a_label(inputs: StoreInputs, folder: Path, label: str | None) -> None:
    """A store always says which model made it."""
    with pytest.raises(InputError, match="nothing says which model made these vectors; give --model-id"):
        build_store(inputs, label, folder)

    assert not folder.exists()


@pytest.mark.parametrize("part", ["embeddings", "question_embeddings"])
def test_a_known_model_is_not_renamed(inputs: StoreInputs, folder: Path, part: str) -> None:
    """A label that contradicts the provenance of passages or questions is refused."""
    other = IDENTITY.model_copy(update={"model_id": "other"})
    sign(inputs, *((other, IDENTITY) if part == "embeddings" else (IDENTITY, other)))

    with pytest.raises(InputError, match="made by 'other', but --model-id says 'tiny'") as refusal:
        build_store(inputs, "tiny", folder)

    assert refusal.value.where == str(getattr(inputs, part))
    assert not folder.exists()


@pytest.mark.parametrize(
    "questions",
    [None, {"weights_sha256": "1" * 64}, {"revision": "a" * 40}, {"question_prompt": "query: {text}"}],
    ids=["unknown", "weights", "revision", "prompt"],
)
def test_passages_and_questions_come_from_one_model(
    inputs: StoreInputs, folder: Path, questions: dict[str, str] | None
) -> None:
    """One label is not enough: weights, revision and prompts must agree as well."""
    sign(inputs, IDENTITY, None if questions is None else IDENTITY.model_copy(update=questions))

    with pytest.raises(InputError, match=r"not made by the model that made e\.npy"):
        build_store(inputs, "tiny", folder)

    assert not folder.exists()


def test_vectors_of_another_text_are_refused(inputs: StoreInputs, folder: Path, tmp_path: Path) -> None:
    """Provenance ties vectors to the bytes of their text, not only to its number of chunks."""
    sign(inputs, IDENTITY, IDENTITY)
    edited = tmp_path / "edited.json"
    edited.write_text(inputs.chunks.read_text(encoding="utf-8").replace("arbitre", "ARBITRE"), encoding="utf-8")

    with pytest.raises(InputError, match="text_sha256: expected"):
        build_store(replace(inputs, chunks=edited), None, folder)

    assert not folder.exists()


@pytest.mark.parametrize(
    ("part", "rows", "fault"),
    [
        ("embeddings", ROWS + 1, f"expected {ROWS} rows, got {ROWS + 1}"),
        ("question_embeddings", QUESTIONS - 1, f"expected {QUESTIONS} rows, got {QUESTIONS - 1}"),
    ],
    ids=["passages", "questions"],
)
def test_vectors_of_another_count_are_refused(
    inputs: StoreInputs, folder: Path, part: str, rows: int, fault: str
) -> None:
    """There is one vector a chunk and one a question; an older store stays when there is not."""
    build_store(inputs, "mine", folder)
    before = read_all(folder)
    save_vectors(getattr(inputs, part), draw_unit_vectors(rows, 3))

    with pytest.raises(InputError, match=fault):
        build_store(inputs, "mine", folder)

    assert read_all(folder) == before
    assert list_scraps(folder.parent) == []


def test_files_are_named_after_their_corpus(tmp_path: Path) -> None:
    """Stores of two corpora never share a file name."""
    french = name_files(load_chunks(write_sample(tmp_path / "fr", "fr").chunks))
    english = name_files(load_chunks(write_sample(tmp_path / "intl", "intl").chunks))

    assert french == {
        "embeddings": "embeddings_mode_b_fr.npy",
        "questions": "questions_mode_b_fr.npy",
        "database": "corpus_mode_b_fr.db",
    }
    assert not set(french.values()) & set(english.values())


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_a_folder_without_a_manifest_is_no_store(tmp_path: Path, kind: str) -> None:
    """A missing folder, an empty one and a file are all refused."""
    folder = tmp_path / "store"
    if kind == "empty":
        folder.mkdir()
    elif kind == "file":
        folder.touch()

    with pytest.raises(StoreError, match=r"expected a store folder with manifest\.json"):
        load_manifest(folder)


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        (("total",), "40", "total: expected a valid integer"),
        (("chunks_sha256",), "0" * 63, "chunks_sha256: String should match pattern"),
        (("files", "database", "name"), "../x.db", "files.database.name: String should match pattern"),
        (("files", "database", "sha256"), "A" * 64, "files.database.sha256: String should match pattern"),
        (("files", "extra"), {}, "files.extra: Extra inputs"),
        (("note",), "x", "note: Extra inputs"),
    ],
    ids=["type", "short digest", "path upwards", "capitals", "extra file", "unknown field"],
)
def test_a_malformed_manifest_is_refused(
    inputs: StoreInputs, folder: Path, place: tuple[str, ...], value: object, fault: str
) -> None:
    """A manifest is read strictly, and none of its names leads out of the folder."""
    build_store(inputs, "mine", folder)
    document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    target: Any = document
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    (folder / MANIFEST).write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(InputError) as refusal:
        load_manifest(folder)

    assert str(refusal.value).startswith(f"{folder / MANIFEST}: {fault}")


def test_a_manifest_without_a_field_is_refused(inputs: StoreInputs, folder: Path) -> None:
    """`model` may be null but not absent."""
    build_store(inputs, "mine", folder)
    document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    del document["model"]
    (folder / MANIFEST).write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(InputError, match="model: Field required"):
        load_manifest(folder)


def test_a_store_can_be_moved(inputs: StoreInputs, folder: Path, tmp_path: Path) -> None:
    """A manifest names files, not paths."""
    manifest = build_store(inputs, "mine", folder)
    shutil.move(folder, tmp_path / "moved")

    assert load_manifest(tmp_path / "moved") == manifest
