"""Stores for tests of the gate; the ways to spoil one and sign its new bytes are those of the certification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conftest import Sample, build_sample_store, write_sample
from validation.gate import load_corpus
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
from validation.stores import CorpusRequest

if TYPE_CHECKING:
    from pathlib import Path

    from validation.evidence import CorpusEvidence

__all__ = [
    "FILES", "ROLES", "ROWS", "build_request", "copy_blobs", "edit_database", "edit_manifest", "flip_bit", "get_path",
    "list_options", "load_array", "load_sample", "name_model", "replace_array", "replace_passages", "sign",
    "write_pair",
]  # fmt: skip

ROWS = 120
ROLES = {"base": "base-model", "qlora": "qlora-model"}
FILES: tuple[Part, ...] = ("embeddings", "questions", "database")


def write_pair(folder: Path, *, base_hits: int, candidate_hits: int, rows: int = ROWS) -> tuple[Sample, Path, Path]:
    """Write a corpus with as many questions as chunks and two good stores that find as many passages as told."""
    sample = write_sample(folder / "corpus", rows=rows, questions=rows)
    base = build_sample_store(sample, folder / "base", model_id=ROLES["base"], hits=base_hits, seed=1)
    candidate = build_sample_store(sample, folder / "qlora", model_id=ROLES["qlora"], hits=candidate_hits, seed=2)
    return sample, base, candidate


def build_request(sample: Sample, base: Path, candidate: Path, *, total: int | None = None) -> CorpusRequest:
    """Return the request to compare two stores that come from elsewhere."""
    return CorpusRequest(
        sample.chunks,
        sample.questions,
        sample.qrels,
        {"base": base, "qlora": candidate},
        primary=True,
        total=total,
        model_ids=None,
    )


def load_sample(sample: Sample) -> CorpusEvidence:
    """Load a small corpus as the gate does."""
    return load_corpus(build_request(sample, sample.chunks, sample.chunks))


def name_model(store: Path) -> None:
    """Give a store the provenance that the pipeline writes when it made the vectors itself."""

    def update(document: dict[str, Any]) -> None:
        document["model"] = {
            "model_id": document["model_id"],
            "revision": None,
            "weights_sha256": "0" * 64,
            "dimension": 768,
            "document_prompt": "title: {title} | text: {text}",
            "question_prompt": "task: search result | query: {text}",
        }

    edit_manifest(store, update)


def list_options(request: CorpusRequest, output: Path) -> list[object]:
    """Return the command line that compares the stores of a request."""
    options = {
        "base": request.stores["base"],
        "candidate": request.stores["qlora"],
        "chunks": request.chunks,
        "questions": request.questions,
        "qrels": request.qrels,
        "output": output,
    }
    return ["gate", *(part for name, value in options.items() for part in (f"--{name}", value))]
