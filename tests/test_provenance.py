"""Provenance: vectors know their model and their text."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.encoder import ModelIdentity
from pipeline.errors import InputError
from pipeline.files import compute_sha256
from pipeline.provenance import Role, load_provenance, require_same_label, write_provenance

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = ModelIdentity(
    model_id="tiny",
    revision="a" * 40,
    weights_sha256="b" * 64,
    dimension=768,
    document_prompt="title: {title} | text: {text}",
    question_prompt="query: {text}",
)


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Some file of vectors, with the provenance beside it that it was made from `text`."""
    path = tmp_path / "embeddings.v1.npy"
    path.write_bytes(b"vectors")
    (tmp_path / "chunks.json").write_bytes(b"text")
    write_provenance(path, tmp_path / "chunks.json", "passages", IDENTITY)
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """The text that `vectors` were made from."""
    return tmp_path / "chunks.json"


def locate(vectors: Path) -> Path:
    """Return the provenance file of `vectors`."""
    return vectors.with_name("embeddings.v1.provenance.json")


def test_provenance_binds_vectors_text_and_model(vectors: Path, text: Path) -> None:
    """What was written comes back, with the digests of both files."""
    record = load_provenance(vectors, text, "passages")

    assert record is not None
    assert (record.role, record.model) == ("passages", IDENTITY)
    assert (record.vectors_sha256, record.text_sha256) == (compute_sha256(vectors), compute_sha256(text))
    assert locate(vectors).is_file()


def test_vectors_made_elsewhere_have_none(vectors: Path, text: Path) -> None:
    """Without the file beside them nothing is known of vectors, which is no error."""
    locate(vectors).unlink()

    assert load_provenance(vectors, text, "passages") is None


@pytest.mark.parametrize(
    ("change", "role", "field"),
    [("vectors", "passages", "vectors_sha256"), ("text", "passages", "text_sha256"), (None, "questions", "role")],
    ids=["other vectors", "other text", "other role"],
)
def test_provenance_of_something_else_is_refused(
    vectors: Path, text: Path, change: str | None, role: Role, field: str
) -> None:
    """When a byte of the vectors or the text has changed, or passages are taken for questions, the field is named."""
    if change:
        {"vectors": vectors, "text": text}[change].write_bytes(b"other!!")

    with pytest.raises(InputError, match=f"{field}: expected .*, got ") as refusal:
        load_provenance(vectors, text, role)

    assert refusal.value.where == str(locate(vectors))


@pytest.mark.parametrize(
    ("field", "value"),
    [("role", "answers"), ("vectors_sha256", None), ("model", {"model_id": "tiny"}), ("note", "x")],
)
def test_a_malformed_provenance_is_refused(vectors: Path, text: Path, field: str, value: Any) -> None:
    """Provenance that cannot be read is never taken for none."""
    record = json.loads(locate(vectors).read_text(encoding="utf-8")) | {field: value}
    locate(vectors).write_text(json.dumps(record), encoding="utf-8")

    with pytest.raises(InputError, match=f"{re.escape(str(locate(vectors)))}: {field}"):
        load_provenance(vectors, text, "passages")


def test_a_label_must_be_that_of_the_model(vectors: Path, text: Path) -> None:
    """The label is compared to the letter; vectors of unknown origin may have any."""
    record = load_provenance(vectors, text, "passages")
    require_same_label(vectors, record, "tiny")
    require_same_label(vectors, None, "anything")

    with pytest.raises(InputError, match="made by 'tiny', but --model-id says 'tiny '"):
        require_same_label(vectors, record, "tiny ")
