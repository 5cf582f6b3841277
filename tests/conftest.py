"""Fixtures: a small corpus, stores built from it, a tiny real model, and a guard against the network."""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

from pipeline import nearest
from pipeline.chunks import ChunkFile, load_chunks
from pipeline.encoder import ModelIdentity
from pipeline.params import EmbeddedModel
from pipeline.store import StoreInputs, build_store
from pipeline.vectors import DIMENSION, Matrix, save_vectors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.tuning import Tuning

TOPICS = ("pendule", "roque", "promotion", "drapeau", "nulle", "appariement", "forfait", "échec", "notation", "bye")
ROWS = 40
SMALL_ROWS = 12
LONGEST = ("rehearsal", "kills", "machine")
IDENTITY = ModelIdentity(
    model_id="tiny",
    revision=None,
    weights_sha256="0" * 64,
    dimension=768,
    document_prompt="{text}",
    question_prompt="{text}",
)
QUESTIONS = 120


@dataclass(frozen=True, slots=True)
class Sample:
    """Paths of a small corpus with its gold set."""

    chunks: Path
    questions: Path
    qrels: Path


@dataclass(frozen=True, slots=True)
class Result:
    """What a command line left behind."""

    code: int
    out: str
    err: str


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process has one of them left when the others have ended."""
    items.sort(key=lambda item: not item.path.stem.endswith(LONGEST))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine."""

    def refuse(_self: socket.socket, address: Any, *_arguments: Any) -> None:
        message = f"a test tried to reach {address}"
        raise AssertionError(message)

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `python -m MODULE ARGUMENTS` in this process and return exit code, output and errors."""

    def run(module: str, *arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", [module, *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_info:
            _run_module(module)
        captured = capsys.readouterr()
        return Result(int(exit_info.value.code or 0), captured.out, captured.err)

    return run


def _run_module(module: str) -> None:
    from pipeline.commandline import run_app, run_command

    if module == "validation":
        run_app(importlib.import_module("validation.__main__").app)
    commands = {
        "pipeline.embeddings": "embed",
        "pipeline.embed_corpora": "embed_corpora",
        "pipeline.export_sdk": "export",
        "pipeline.update_db_model_id": "update",
        "pipeline.finetune_embeddinggemma": "finetune",
        "pipeline.adopt": "adopt",
        "pipeline.search": "search",
        "pipeline.corpus": "build_corpus",
        "pipeline.base_model": "make_base",
        "pipeline.canary": "embed_canary",
    }
    run_command(getattr(importlib.import_module(module), commands[module]))


def build_chunk(index: int, corpus: str = "fr") -> dict[str, Any]:
    """Return a chunk record whose text differs from every other one's."""
    topic = TOPICS[index % len(TOPICS)]
    return {
        "id": f"règles-{index:03d}",
        "text": f"Article {index} : l'arbitre traite « {topic} », cas numéro {index}. Ainsi fait-on en {1900 + index}.",
        "source": "règles.md",
        "page": 1 + index // 5,
        "tokens": 20,
        "corpus": corpus,
        "chunk_type": "text",
        "section": f"{topic} {index}" if index % 4 else None,
        "parent_id": f"règles-s{index // 5}",
    }


def write_sample(folder: Path, corpus: str = "fr", rows: int = ROWS, questions: int = QUESTIONS) -> Sample:
    """Write a valid corpus with one relevant chunk a question into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [build_chunk(index, corpus) for index in range(rows)]
    document = {"corpus": corpus, "total": rows, "chunks": chunks}
    sample = Sample(folder / "chunks.json", folder / "questions.jsonl", folder / "qrels.tsv")
    sample.chunks.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    asked = [
        {"_id": f"q{number}", "text": f"Que faire, question {number} ?", "metadata": {"category": "laws"}}
        for number in range(questions)
    ]
    sample.questions.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in asked), encoding="utf-8")
    judged = [f"q{number}\t{chunks[number % rows]['id']}\t1" for number in range(questions)]
    sample.qrels.write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n", encoding="utf-8")
    return sample


def draw_unit_vectors(rows: int, seed: int) -> Matrix:
    """Return random unit vectors, float32 `(rows, 768)`."""
    vectors = np.random.default_rng(seed).standard_normal((rows, DIMENSION)).astype(np.float32)
    unit: Matrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def cut_into_blocks(patch: pytest.MonkeyPatch, questions: int, passages: int) -> None:
    """Let scores be computed for so many questions and passages at a time."""
    patch.setattr(nearest, "BLOCK_QUESTIONS", questions)
    patch.setattr(nearest, "BLOCK_PASSAGES", passages)
    patch.setattr(nearest, "BLOCK_SCORES", 0)


def build_sample_store(
    sample: Sample, folder: Path, *, model_id: str, hits: int, seed: int = 0, passages: Matrix | None = None
) -> Path:
    """Build a real store in which the first `hits` questions find their passage first and the others do not."""
    chunks: ChunkFile = load_chunks(sample.chunks)
    asked = len(sample.questions.read_text(encoding="utf-8").splitlines())
    matrix = draw_unit_vectors(chunks.total, seed) if passages is None else passages
    targets = np.arange(asked) % chunks.total
    questions = np.where(np.arange(asked)[:, None] < hits, matrix[targets], -matrix[targets])
    work = folder.parent / f"{folder.name}-vectors"
    inputs = StoreInputs(sample.chunks, work / "embeddings.npy", sample.questions, work / "questions.npy")
    save_vectors(inputs.embeddings, matrix)
    save_vectors(inputs.question_embeddings, questions.astype(np.float32))
    build_store(inputs, model_id, folder)
    return folder


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    """A small valid corpus with its gold set."""
    return write_sample(tmp_path / "corpus")


@pytest.fixture
def small(tmp_path: Path) -> Sample:
    """A corpus of twelve chunks with a question each."""
    return write_sample(tmp_path / "corpus", rows=SMALL_ROWS, questions=SMALL_ROWS)


@pytest.fixture
def store(tmp_path: Path, small: Sample) -> Path:
    """A good store of the small corpus."""
    return build_sample_store(small, tmp_path / "store", model_id="base-model", hits=6)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache that takes the place of this machine's."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture(scope="session")
def tiny_settings() -> EmbeddedModel:
    """Settings of an embedded base model that builds in seconds."""
    return EmbeddedModel(
        kind="embedded",
        model_id="tiny-base",
        seed=7,
        corpora={"fr": 1},
        vocabulary=400,
        hidden_size=64,
        intermediate_size=64,
        layers=2,
        norm_epsilon=10.0,
        steps=2,
        batch_size=8,
        learning_rate=1e-3,
        temperature=0.05,
    )


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, tiny_settings: EmbeddedModel) -> Path:
    """The folder of a real 768-D model of EmbeddingGemma's shape, built from a small corpus."""
    import torch

    from pipeline.embedded_base import build_encoder, train_encoder
    from pipeline.files import write_json
    from pipeline.model_folder import IDENTITY_FILE, ModelSource

    torch.set_num_threads(1)  # matrices this small gain nothing from a second one
    folder = tmp_path_factory.mktemp("model") / "tiny"
    chunks = load_chunks(write_sample(tmp_path_factory.mktemp("text"), rows=80).chunks).chunks
    model = build_encoder(chunks, tiny_settings, tmp_path_factory.mktemp("scratch"))
    train_encoder(model, chunks, tiny_settings)
    model.save_pretrained(str(folder), create_model_card=False)
    write_json(folder / IDENTITY_FILE, ModelSource(model_id="tiny-base", revision=None).model_dump())
    return folder


@pytest.fixture(scope="session")
def tuning(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Tuning:
    """A real QLoRA run on the tiny model, with what was seen of it while it trained."""
    from tests.tuning import run_tuning

    return run_tuning(tiny_model, tmp_path_factory.mktemp("tuning"))
