"""The corpus file: what is read from it, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.chunks import Chunk, load_chunks
from pipeline.vectors import save_vectors
from tests.bad_input import check_refusal, list_scraps
from tests.conftest import Result, Sample, build_chunk, draw_unit_vectors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.requirement("REQ-CHK-01", "REQ-CHK-02")

REQUIRED = ("id", "text", "source", "page", "tokens", "corpus", "chunk_type", "section", "parent_id")
WRONG_TYPES: dict[str, object] = {
    "id": 7,
    "text": None,
    "source": ["a.md"],
    "page": "3",
    "tokens": True,
    "corpus": 1,
    "chunk_type": {},
    "section": 4,
    "parent_id": False,
}
OUT_OF_RANGE = {
    "empty id": ("id", ""),
    "empty text": ("text", ""),
    "empty source": ("source", ""),
    "page 0": ("page", 0),
    "page beyond SQLite": ("page", 2**63),
    "fraction of a page": ("page", 1.5),
    "no tokens": ("tokens", 0),
    "tokens beyond SQLite": ("tokens", 10**30),
}
BAD_TEXT = {
    "empty": ("", "not valid JSON"),
    "cut": ('{"corpus": "fr", "total": 2, "chunks": [{"id": "a"', "not valid JSON"),
    "list": ("[]", "expected an object"),
    "duplicate key": ('{"corpus": "fr", "total": 1, "total": 2, "chunks": []}', 'duplicate key "total"'),
    "no chunks": ('{"corpus": "fr", "total": 1}', "chunks: Field required"),
    "none at all": ('{"corpus": "fr", "total": 0, "chunks": []}', "total: expected greater than or equal to 1, got 0"),
    "unknown field": ('{"corpus": "fr", "total": 1, "chunks": [], "made": "x"}', "made: Extra inputs"),
}


def build_document(rows: int = 3) -> dict[str, Any]:
    """Return a valid corpus as plain data."""
    return {"corpus": "fr", "total": rows, "chunks": [build_chunk(index) for index in range(rows)]}


def write_document(path: Path, document: dict[str, Any]) -> Path:
    """Write plain data as JSON, NaN included."""
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture
def refuse(tmp_path: Path, sample: Sample, run_cli: Callable[..., Result]) -> Callable[..., None]:
    """Export the corpus at `sample.chunks` and assert that it is refused and an older database stays."""
    vectors, output = tmp_path / "vectors.npy", tmp_path / "corpus.db"
    save_vectors(vectors, draw_unit_vectors(load_chunks(sample.chunks).total, 1))
    command = ("--chunks", sample.chunks, "--embeddings", vectors, "--output", output, "--model-id", "m")
    assert run_cli("pipeline.export_sdk", *command).code == 0
    before = output.read_bytes()

    def check(*words: str) -> None:
        check_refusal(run_cli("pipeline.export_sdk", *command), str(sample.chunks), *words)

        assert output.read_bytes() == before
        assert list_scraps(tmp_path) == []

    return check


def test_chunks_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    """The order of the file is the order of the corpus, whatever the ids."""
    document = build_document()
    document["chunks"].reverse()
    corpus = load_chunks(write_document(tmp_path / "chunks.json", document))

    assert (corpus.corpus, corpus.total) == ("fr", 3)
    assert [chunk.id for chunk in corpus.chunks] == ["règles-002", "règles-001", "règles-000"]


def test_metadata_is_all_that_has_no_column() -> None:
    """Fields of the corpus's own travel with the declared ones; columns are not repeated."""
    chunk = Chunk(**build_chunk(4), title="Règles", extra={"a": [1, None]})

    assert chunk.collect_metadata() == {
        "corpus": "fr",
        "chunk_type": "text",
        "section": None,
        "parent_id": "règles-s0",
        "title": "Règles",
        "extra": {"a": [1, None]},
    }


@pytest.mark.parametrize("page", [1, 2**63 - 1], ids=["first", "largest of SQLite"])
def test_pages_at_the_limits_are_taken(tmp_path: Path, page: int) -> None:
    """The smallest and the largest page are valid."""
    document = build_document()
    document["chunks"][1]["page"] = page

    assert load_chunks(write_document(tmp_path / "chunks.json", document)).chunks[1].page == page


def test_a_missing_file_is_refused(sample: Sample, refuse: Callable[..., None]) -> None:
    """The error says that there is no such file."""
    sample.chunks.unlink()

    refuse("expected a file, but it does not exist")


@pytest.mark.parametrize("field", REQUIRED)
def test_a_missing_field_is_refused(sample: Sample, refuse: Callable[..., None], field: str) -> None:
    """Every declared field must be there, `section` and `parent_id` at least as null."""
    document = build_document()
    del document["chunks"][2][field]
    write_document(sample.chunks, document)

    refuse(f"chunks[2].{field}: Field required")


@pytest.mark.parametrize(("field", "value"), WRONG_TYPES.items(), ids=WRONG_TYPES)
def test_a_wrongly_typed_field_is_refused(
    sample: Sample, refuse: Callable[..., None], field: str, value: object
) -> None:
    """No value is turned into another type: what was found is shown."""
    document = build_document()
    document["chunks"][1][field] = value
    write_document(sample.chunks, document)

    refuse(f"chunks[1].{field}: expected a valid", f"got {json.dumps(value)}")


@pytest.mark.parametrize(("field", "value"), OUT_OF_RANGE.values(), ids=OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused(
    sample: Sample, refuse: Callable[..., None], field: str, value: object
) -> None:
    """Names are never empty, and numbers fit a database's columns."""
    document = build_document()
    document["chunks"][0][field] = value
    write_document(sample.chunks, document)

    refuse(f"chunks[0].{field}: ", f"got {json.dumps(value)}")


@pytest.mark.parametrize(("content", "fault"), BAD_TEXT.values(), ids=BAD_TEXT)
def test_a_malformed_file_is_refused(sample: Sample, refuse: Callable[..., None], content: str, fault: str) -> None:
    """What is no corpus at all is refused by line or field."""
    sample.chunks.write_text(content, encoding="utf-8")

    refuse(fault)


def test_a_duplicate_id_is_refused(sample: Sample, refuse: Callable[..., None]) -> None:
    """Both places of a repeated id are named."""
    document = build_document()
    document["chunks"][2]["id"] = document["chunks"][0]["id"]
    write_document(sample.chunks, document)

    refuse("chunks[2].id: duplicate of chunks[0]: 'règles-000'")


@pytest.mark.parametrize("total", [2, 4], ids=["one less", "one more"])
def test_another_total_is_refused(sample: Sample, refuse: Callable[..., None], total: int) -> None:
    """The declared total must be the number of chunks."""
    write_document(sample.chunks, build_document() | {"total": total})

    refuse(f"total says {total}, but there are 3 chunks")


def test_a_chunk_of_another_corpus_is_refused(sample: Sample, refuse: Callable[..., None]) -> None:
    """Every chunk belongs to the corpus of its file."""
    document = build_document()
    document["chunks"][1]["corpus"] = "intl"
    write_document(sample.chunks, document)

    refuse("chunks[1].corpus: expected 'fr', got 'intl'")


@pytest.mark.parametrize("name", ["", "../fr", "a/b", "a b"], ids=["empty", "upwards", "folder", "space"])
def test_a_corpus_name_that_is_no_file_name_is_refused(sample: Sample, refuse: Callable[..., None], name: str) -> None:
    """The files of a store are named after the corpus, so its name leads nowhere else."""
    write_document(sample.chunks, build_document() | {"corpus": name})

    refuse("corpus: ", f"got {json.dumps(name)}")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(sample: Sample, refuse: Callable[..., None], number: str) -> None:
    """Not even a field of the corpus's own may hold NaN or infinity."""
    document = build_document()
    document["chunks"][1]["weight"] = 0.5
    sample.chunks.write_text(json.dumps(document).replace("0.5", number), encoding="utf-8")

    refuse("chunks[1].weight", "finite number")


def test_a_key_that_is_given_twice_in_a_chunk_is_refused(sample: Sample, refuse: Callable[..., None]) -> None:
    """JSON readers would silently keep the last of two; here it is an error."""
    text = json.dumps(build_document())
    sample.chunks.write_text(text.replace('"page": 1', '"page": 1, "page": 2', 1), encoding="utf-8")

    refuse('duplicate key "page"')
