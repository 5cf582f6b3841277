"""Inputs that once ended as a defect: each is refused in the project's own words."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.database import load_metadata, open_database
from pipeline.documents import load_json, load_yaml
from pipeline.errors import InputError, StoreError
from pipeline.files import replace_folder
from pipeline.params import Params
from pipeline.store import FileRecord
from pipeline.vectors import load_vectors, map_array
from tests.conftest import build_sample_store, write_sample
from tests.records import make_check, make_interval_check, make_record
from validation.document import Record
from validation.outcomes import Outcome, Verdict

if TYPE_CHECKING:
    from pathlib import Path

ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def write_array(path: Path, shape: object, dtype: str, version: tuple[int, int] = (1, 0)) -> Path:
    """Write a `.npy` file without values."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n".encode()
    width = 2 if version == (1, 0) else 4
    path.write_bytes(b"\x93NUMPY" + bytes(version) + len(text).to_bytes(width, "little") + text)
    return path


@pytest.mark.parametrize(
    ("shape", "dtype", "words"),
    [
        ((0, 2**63), "<f4", "no array has shape"),
        ((0, -3), "<f4", "no array has shape"),
        ((10**30,), "|S0", "no array has shape"),
        ((-2, -3), "|V0", "no array has shape"),
    ],
    ids=["too large", "negative", "no bytes", "two negative sizes"],
)
def test_an_impossible_shape_is_refused(tmp_path: Path, shape: object, dtype: str, words: str) -> None:
    """A shape that no array can have is an error of the file, although its size is as the header says."""
    path = write_array(tmp_path / "a.npy", shape, dtype)
    with path.open("rb") as stream, pytest.raises(InputError, match=words):
        map_array(stream, path)


def test_a_size_that_is_a_boolean_is_a_number(tmp_path: Path) -> None:
    """Python takes True for 1, and so NumPy lets it pass as a size."""
    path = write_array(tmp_path / "a.npy", (0, True), "<f4")
    with path.open("rb") as stream:
        header, values = map_array(stream, path)

    assert values.shape == (0, 1)
    assert repr(header.shape) == "(0, 1)"


def test_an_unknown_version_is_refused(tmp_path: Path) -> None:
    """A version that NumPy does not write is not guessed at."""
    path = write_array(tmp_path / "a.npy", (0, 768), "<f4", version=(9, 9))
    with pytest.raises(InputError, match=r"expected \.npy version 1\.0, 2\.0 or 3\.0, got 9\.9"):
        load_vectors(path)


@pytest.mark.parametrize(
    "text",
    ["!!bool x", "a: !!int ''", "a: !!float _", 'a: "\\UFFFFFFFF"', "a: &a x\nb: &a y", "? {a: b}\n: 1", "a: &a [*a]"],
    ids=["tag", "no digits", "no number", "beyond Unicode", "anchor twice", "key that is a map", "part of itself"],
)
def test_junk_in_yaml_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever the YAML library raises or warns of is an error of the file."""
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=r"a\.yaml: "):
        load_yaml(tmp_path / "a.yaml", Params)


def test_aliases_are_not_multiplied_out(tmp_path: Path) -> None:
    """A few lines of aliases of aliases, 400 million values, take neither time nor memory."""
    (tmp_path / "a.yaml").write_text(ALIASES, encoding="utf-8")

    with pytest.raises(InputError, match="expected at most 100000 values, aliases counted out; repeat less"):
        load_yaml(tmp_path / "a.yaml", Params)


def test_a_schema_that_is_no_text_is_damage(tmp_path: Path) -> None:
    """SQLite quotes a damaged schema byte for byte, which Python cannot read."""
    sample = write_sample(tmp_path / "corpus", rows=2, questions=2)
    path = build_sample_store(sample, tmp_path / "store", model_id="tiny", hits=1) / "corpus_mode_b_fr.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_master SET name = CAST(x'ff00' AS TEXT) WHERE name = 'chunks_fts_data'")
    connection.close()

    with pytest.raises(StoreError, match="damaged database: "), open_database(path) as opened:
        load_metadata(opened)


def test_a_file_name_has_no_zero_byte() -> None:
    """No file can be opened by such a name."""
    with pytest.raises(ValueError, match="String should match pattern"):
        FileRecord(name="a\0b", size=1, sha256="0" * 64)


@pytest.mark.parametrize("value", [None, "0.1", 10**400, [1], True], ids=["null", "text", "huge", "list", "true"])
@pytest.mark.parametrize("field", ["observed", "limit"])
def test_an_explained_check_is_about_shares(tmp_path: Path, field: str, value: Any) -> None:
    """What is explained by an interval has numbers to be explained; other checks may observe anything."""
    path = tmp_path / "decision.json"
    document = make_record(Verdict.KEEP, make_interval_check(Outcome.FAIL)).model_dump(mode="json")
    document["checks"][0][field] = value
    path.write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(InputError, match=r"checks\[0\]: RET301: explained, so that observed and limit must be"):
        load_json(path, Record)
    assert make_check("VEC101", Outcome.FAIL, **{field: value}).explanation is None


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where two folders cannot change places and the second rename fails, the first one is taken back."""
    target = tmp_path / "store"
    target.mkdir()
    (target / "a").write_text("old")
    rename = os.rename

    def refuse(source: Path, place: Path) -> None:
        if os.fspath(source).endswith(".partial"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        rename(source, place)

    monkeypatch.setattr("pipeline.files._exchange", lambda *_: False)
    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="Read-only file system"), replace_folder(target) as partial:
        (partial / "a").write_text("new")

    assert [(path.name, path.is_dir()) for path in tmp_path.iterdir()] == [("store", True)]
    assert (target / "a").read_text() == "old"


def test_a_signalling_nan_is_a_value_like_any_other(tmp_path: Path) -> None:
    """Bits that the processor itself complains of when it converts them are one row that is not finite."""
    path = tmp_path / "vectors.npy"
    bits = np.zeros((2, 768), dtype="<u4")
    bits[:, 0] = 0x3F800000
    bits[1, 5] = 0x7F800001
    np.save(path, bits.view("<f4"))

    with pytest.raises(InputError, match="row 1 holds NaN"):
        load_vectors(path)
