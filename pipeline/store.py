"""A store: what one candidate makes of one corpus, in a folder with a manifest that binds every byte."""

from __future__ import annotations

import functools
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pipeline.chunks import ChunkFile, load_chunks
from pipeline.database import export_database
from pipeline.documents import Strict, load_json
from pipeline.encoder import ModelIdentity
from pipeline.errors import InputError, PipelineError, StoreError
from pipeline.files import compute_sha256, replace_folder, write_json
from pipeline.gold import load_questions
from pipeline.provenance import Provenance, load_provenance, require_same_label
from pipeline.vectors import load_vectors

if TYPE_CHECKING:
    from collections.abc import Callable

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileRecord(Strict):
    """Name, size in bytes and SHA-256 of one file of a store."""

    name: Annotated[str, Field(pattern=r"^[^/\\\x00]+$")]
    size: int
    sha256: Digest


class StoreFiles(Strict):
    """The three files of a store."""

    embeddings: FileRecord
    questions: FileRecord
    database: FileRecord


class Manifest(Strict):
    """What a store is made of: its files, its model and the texts behind them.

    `model` is None for vectors made elsewhere, of which only the label `model_id` is known.
    """

    schema_version: int
    corpus: str
    total: int
    chunks_sha256: Digest
    questions_sha256: Digest
    model_id: str
    model: ModelIdentity | None
    files: StoreFiles


@dataclass(frozen=True, slots=True)
class StoreInputs:
    """The files that a store is built from."""

    chunks: Path
    embeddings: Path
    questions: Path
    question_embeddings: Path


def build_store(inputs: StoreInputs, model_id: str | None, folder: Path) -> Manifest:
    """Make a store folder, which appears whole or not at all; an older store there is replaced.

    Raises:
        InputError: vectors, texts and label do not belong together.
        StoreError: `folder` exists and is no store.
    """
    require_replaceable(folder)
    digest = functools.cache(compute_sha256)  # gigabytes are hashed once
    corpus = load_chunks(inputs.chunks)
    questions = load_questions(inputs.questions)
    matrix = load_vectors(inputs.embeddings, rows=corpus.total)
    load_vectors(inputs.question_embeddings, rows=len(questions))
    model = _load_model(inputs, model_id, digest)
    label = model_id or (model.model_id if model else "")
    if not label.strip():
        raise InputError(inputs.embeddings, "nothing says which model made these vectors", "give --model-id")
    names = name_files(corpus)
    with replace_folder(folder) as partial:
        shutil.copyfile(inputs.embeddings, partial / names["embeddings"])
        shutil.copyfile(inputs.question_embeddings, partial / names["questions"])
        export_database(partial / names["database"], corpus.chunks, matrix, label)
        # A copy has the digest of what was checked: had it other bytes, no one would take the store.
        sources = {"embeddings": inputs.embeddings, "questions": inputs.question_embeddings}
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            corpus=corpus.corpus,
            total=corpus.total,
            chunks_sha256=digest(inputs.chunks),
            questions_sha256=digest(inputs.questions),
            model_id=label,
            model=model,
            files=StoreFiles(
                **{
                    role: _describe_file(partial / name, digest(sources.get(role, partial / name)))
                    for role, name in names.items()
                }
            ),
        )
        write_json(partial / MANIFEST, manifest.model_dump())
    return manifest


def name_files(corpus: ChunkFile) -> dict[str, str]:
    """Return the file names of a corpus's store, by role."""
    return {
        "embeddings": f"embeddings_mode_b_{corpus.corpus}.npy",
        "questions": f"questions_mode_b_{corpus.corpus}.npy",
        "database": f"corpus_mode_b_{corpus.corpus}.db",
    }


def require_replaceable(folder: Path) -> None:
    """Raise `StoreError` when a path is taken by something that is not a store."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        load_manifest(folder)
    except PipelineError as error:
        message = f"exists and is not a store ({error.problem})"
        raise StoreError(folder, message, "name another folder, or remove this one") from error


def load_manifest(folder: Path) -> Manifest:
    """Read a store's manifest.

    Raises:
        StoreError: there is no such folder or no manifest in it.
        InputError: the manifest is malformed.
    """
    if not (folder / MANIFEST).is_file():
        raise StoreError(folder, f"expected a store folder with {MANIFEST}", "build it with `python -m pipeline.adopt`")
    return load_json(folder / MANIFEST, Manifest)


def _load_model(inputs: StoreInputs, model_id: str | None, digest: Callable[[Path], str]) -> ModelIdentity | None:
    passages = load_provenance(inputs.embeddings, inputs.chunks, "passages", digest)
    questions = load_provenance(inputs.question_embeddings, inputs.questions, "questions", digest)
    if model_id is not None:
        require_same_label(inputs.embeddings, passages, model_id)
        require_same_label(inputs.question_embeddings, questions, model_id)
    _require_same_model(inputs, passages, questions)
    return passages.model if passages else None


def _require_same_model(inputs: StoreInputs, passages: Provenance | None, questions: Provenance | None) -> None:
    if (passages and passages.model) != (questions and questions.model):
        message = f"not made by the model that made {inputs.embeddings.name}"
        raise InputError(inputs.question_embeddings, message, "embed passages and questions with one model")


def _describe_file(path: Path, sha256: str) -> FileRecord:
    return FileRecord(name=path.name, size=path.stat().st_size, sha256=sha256)
