"""Stores for tests of the gate; the ways to spoil one and sign its new bytes are those of the certification."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.files import compute_sha256, write_json
from pipeline.model_folder import TRAINING_FILE
from pipeline.store import load_manifest
from tests.conftest import Sample, build_sample_store, write_sample
from validation.evidence import collect_store, open_files
from validation.gate import load_corpus
from validation.policy import EXPECTATIONS
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

    import pytest

    from pipeline.params import Params
    from validation.evidence import CorpusEvidence, StoreEvidence

__all__ = [
    "FILES", "ROLES", "ROWS", "build_request", "copy_blobs", "edit_database", "edit_manifest", "enter_project",
    "find_altered_file", "flip_bit", "get_path", "list_options", "load_array", "load_sample", "name_model",
    "open_store", "replace_array", "replace_passages", "sign", "write_pair", "write_policy",
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


def open_store(store: Path, small: Sample) -> tuple[StoreEvidence, CorpusEvidence]:
    """Read a store, whose bytes must be trusted, and its corpus."""
    corpus = load_sample(small)
    evidence, checks = collect_store("base", store, corpus)

    assert evidence is not None, checks

    return evidence, corpus


def find_altered_file(store: Path) -> str | None:
    """Return what a store holds beside or instead of what its manifest lists, or None."""
    try:
        with open_files(store, load_manifest(store)):
            return None
    except PipelineError as error:
        return str(error)


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


def write_policy(folder: Path, *changes: tuple[str, str]) -> Path:
    """Write the project's policy with few draws and as many rounds as small releases have; replace further texts."""
    text = (EXPECTATIONS / "policy.yaml").read_text(encoding="utf-8")
    for field, count in (("resamples", 1000), ("flips", 1000), ("rounds", 10)):
        text = re.sub(rf"(?m)^  {field}: \d+$", f"  {field}: {count}", text)
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def enter_project(patch: pytest.MonkeyPatch, root: Path, params: Params) -> None:
    """Let the gate find its corpora, stores and training pairs below `root`, and write there what else it wants.

    The training pairs are written, and that the candidate was trained on them; stores and corpora must be there.
    """
    for name in ("judging", "commands", "releasing.commands"):
        importlib.import_module(f"validation.{name}")  # read first under the patches it would keep them
    triplets = root / "corpus" / "training" / "triplets_train.jsonl"
    triplets.parent.mkdir(parents=True, exist_ok=True)
    triplets.write_text('{"anchor": "Qui marque les points ?", "positive": "L\'arbitre."}\n', encoding="utf-8")
    record = {"data": {"sha256": compute_sha256(triplets)}}
    write_json(root / "build" / "models" / "qlora" / TRAINING_FILE, record)
    patch.setattr("pipeline.params.PROJECT_ROOT", root)
    patch.setattr("validation.request.PROJECT_ROOT", root)
    patch.setattr("validation.request.BUILD", root / "build")
    patch.setattr("validation.request.TRIPLETS", triplets)
    patch.setattr("validation.judging.load_params", lambda: params)
    patch.setattr("validation.commands.load_params", lambda: params)
