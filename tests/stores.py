"""Stores for tests of the gate: good ones, and ways to spoil one and sign its new bytes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.files import compute_sha256, write_json
from pipeline.store import MANIFEST, load_manifest
from tests.conftest import Sample, build_sample_store, write_sample
from validation.gate import CorpusRequest, load_corpus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from validation.evidence import CorpusEvidence

ROWS = 120
ROLES = {"base": "base-model", "qlora": "qlora-model"}
FILES = ("embeddings", "questions", "database")


def write_pair(folder: Path, *, base_hits: int, candidate_hits: int, rows: int = ROWS) -> tuple[Sample, Path, Path]:
    """Write a corpus with as many questions as chunks and two good stores that find as many passages as told."""
    sample = write_sample(folder / "corpus", rows=rows, questions=rows)
    base = build_sample_store(sample, folder / "base", model_id=ROLES["base"], hits=base_hits, seed=1)
    candidate = build_sample_store(sample, folder / "qlora", model_id=ROLES["qlora"], hits=candidate_hits, seed=2)
    return sample, base, candidate


def build_request(sample: Sample, base: Path, candidate: Path, *, total: int | None = None) -> CorpusRequest:
    """Return the request to compare two stores that come from elsewhere."""
    stores = {"base": base, "qlora": candidate}
    return CorpusRequest(
        sample.chunks,
        sample.questions,
        sample.qrels,
        {"base": stores["base"], "qlora": stores["qlora"]},
        primary=True,
        total=total,
        model_ids=None,
    )


def load_sample(sample: Sample) -> CorpusEvidence:
    """Load a small corpus as the gate does."""
    return load_corpus(build_request(sample, sample.chunks, sample.chunks))


def get_path(store: Path, role: str) -> Path:
    """Return the path of one of a store's three files."""
    record = getattr(load_manifest(store).files, role)
    return store / str(record.name)


def edit_manifest(store: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite a store's manifest after `change` altered it."""
    document = json.loads((store / MANIFEST).read_text(encoding="utf-8"))
    change(document)
    write_json(store / MANIFEST, document)


def sign(store: Path) -> None:
    """Make the manifest say what the files now are, so that their bytes are trusted."""

    def update(document: dict[str, Any]) -> None:
        for record in document["files"].values():
            path = store / record["name"]
            record["size"], record["sha256"] = path.stat().st_size, compute_sha256(path)

    edit_manifest(store, update)


def replace_array(store: Path, role: str, array: npt.NDArray[Any]) -> None:
    """Put another array in the place of a store's matrix and sign it."""
    np.save(get_path(store, role), array)
    sign(store)


def edit_database(store: Path, statement: str, parameters: tuple[object, ...] = ()) -> None:
    """Change a store's database by one statement and sign it."""
    with contextlib.closing(sqlite3.connect(get_path(store, "database"))) as connection:
        connection.execute(statement, parameters)
        connection.commit()
    sign(store)


def copy_blobs(store: Path, array: npt.NDArray[Any]) -> None:
    """Write the rows of an array as the blobs of a store's database and sign it."""
    with contextlib.closing(sqlite3.connect(get_path(store, "database"))) as connection:
        rows = [(row.tobytes(), position) for position, row in enumerate(array, 1)]
        connection.executemany("UPDATE chunks SET embedding = ? WHERE rowid = ?", rows)
        connection.commit()
    sign(store)


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
