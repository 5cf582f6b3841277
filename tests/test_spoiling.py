"""Ways to spoil a store: each changes what it names and nothing else, and signs it or leaves the manifest behind."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.database import load_rows, open_database
from pipeline.store import MANIFEST, load_manifest
from tests.conftest import SMALL_ROWS, Sample, draw_unit_vectors
from tests.stores import FILES, find_altered_file, open_store
from validation.spoiling import (
    Part,
    copy_blobs,
    edit_database,
    edit_manifest,
    flip_bit,
    get_path,
    load_array,
    replace_array,
    replace_passages,
    sign,
)

if TYPE_CHECKING:
    from pathlib import Path


def read_bytes(store: Path) -> dict[str, bytes]:
    """Return the content of every file of a store."""
    return {path.name: path.read_bytes() for path in store.iterdir()}


def list_changed(store: Path, before: dict[str, bytes]) -> set[str]:
    """Return the names of the files that are not what they were."""
    after = read_bytes(store)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def load_blobs(store: Path) -> list[bytes]:
    """Return the vectors of a store's database in their order."""
    with contextlib.closing(sqlite3.connect(get_path(store, "database"))) as connection:
        return [blob for (blob,) in connection.execute("SELECT embedding FROM chunks ORDER BY rowid")]


def is_trusted(store: Path) -> bool:
    """Whether a store's bytes are those of its manifest."""
    return find_altered_file(store) is None


def test_each_part_has_its_file(store: Path) -> None:
    """The three files are those that the manifest names, and matrices are read as they lie."""
    names = [get_path(store, part).name for part in FILES]

    assert names == ["embeddings_mode_b_fr.npy", "questions_mode_b_fr.npy", "corpus_mode_b_fr.db"]
    assert load_array(store, "embeddings").tobytes() == b"".join(load_blobs(store))
    np.testing.assert_array_equal(load_array(store, "questions"), np.load(get_path(store, "questions")))


@pytest.mark.parametrize("part", FILES)
def test_one_bit_changes_behind_the_manifest_s_back(store: Path, part: Part) -> None:
    """Exactly one bit of the file differs, its size does not, and the store is not trusted any more."""
    before = read_bytes(store)
    flip_bit(store, part)
    name = get_path(store, part).name
    pairs = zip(before[name], get_path(store, part).read_bytes(), strict=True)

    assert list_changed(store, before) == {name}
    assert sum((old ^ new).bit_count() for old, new in pairs) == 1
    assert not is_trusted(store)


@pytest.mark.parametrize("part", FILES)
def test_what_is_signed_is_trusted_again(store: Path, part: Part) -> None:
    """After signing, the manifest names the new bytes, and says of texts and model what it said."""
    said = load_manifest(store).model_dump(exclude={"files"})
    path = get_path(store, part)
    path.write_bytes(path.read_bytes() + (b"" if part == "database" else b"\0"))
    flip_bit(store, part)
    sign(store)

    assert is_trusted(store)
    assert load_manifest(store).model_dump(exclude={"files"}) == said
    assert getattr(load_manifest(store).files, part).size == path.stat().st_size


def test_a_matrix_is_replaced_alone(store: Path) -> None:
    """The database keeps the old vectors, so matrix and database differ, signed alike."""
    before, array = read_bytes(store), draw_unit_vectors(SMALL_ROWS, 9)
    replace_array(store, "embeddings", array)

    assert list_changed(store, before) == {"embeddings_mode_b_fr.npy", MANIFEST}
    assert load_array(store, "embeddings").tobytes() == array.tobytes() != b"".join(load_blobs(store))
    assert is_trusted(store)


def test_passages_are_replaced_in_matrix_and_database(store: Path, small: Sample) -> None:
    """Matrix and database agree on the new vectors; questions and texts are as before."""
    before, array = read_bytes(store), draw_unit_vectors(SMALL_ROWS, 9)
    texts = read_rows(store, small)
    replace_passages(store, array)

    assert list_changed(store, before) == {"embeddings_mode_b_fr.npy", "corpus_mode_b_fr.db", MANIFEST}
    assert load_array(store, "embeddings").tobytes() == array.tobytes() == b"".join(load_blobs(store))
    assert read_rows(store, small) == texts
    assert is_trusted(store)


def read_rows(store: Path, small: Sample) -> list[tuple[object, ...]]:
    """Return ids, texts and metadata of a store's rows."""
    evidence, _ = open_store(store, small)

    with open_database(store / evidence.manifest.files.database.name) as connection:
        return [(row.id, row.text, row.source, row.page, row.tokens, row.metadata) for row in load_rows(connection)]


def test_blobs_take_the_rows_in_their_order(store: Path) -> None:
    """Each row of the array goes into the row at its place, and the matrix stays."""
    before, array = read_bytes(store), draw_unit_vectors(SMALL_ROWS, 9)
    copy_blobs(store, array)

    assert load_blobs(store) == [row.tobytes() for row in array]
    assert list_changed(store, before) == {"corpus_mode_b_fr.db", MANIFEST}
    assert is_trusted(store)


def test_a_database_is_changed_by_one_statement(store: Path, small: Sample) -> None:
    """What the statement says is committed and signed, with its parameters in their places."""
    rows = read_rows(store, small)
    edit_database(store, "UPDATE chunks SET page = ? WHERE rowid = ?", (77, 3))

    assert [row[3] for row in read_rows(store, small)] == [*(row[3] for row in rows[:2]), 77, *(r[3] for r in rows[3:])]
    assert {path.name for path in store.iterdir()} == {*(get_path(store, part).name for part in FILES), MANIFEST}


def test_a_manifest_is_edited_alone(store: Path) -> None:
    """The change is written, the rest of the manifest and every other file stay."""
    before, said = read_bytes(store), load_manifest(store)
    edit_manifest(store, lambda document: document.update(model_id="stranger"))

    assert load_manifest(store) == said.model_copy(update={"model_id": "stranger"})
    assert list_changed(store, before) == {MANIFEST}
