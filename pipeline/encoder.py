"""Turn passages and questions into unit vectors with a sentence-transformers model and EmbeddingGemma's prompts."""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from pipeline.documents import Strict
from pipeline.errors import ModelError
from pipeline.filling import fill_matrix
from pipeline.model_folder import compute_weights_digest, find_model
from pipeline.network import Network
from pipeline.precision import Precision, is_usual
from pipeline.vectors import DIMENSION, Matrix

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sentence_transformers import SentenceTransformer

    from pipeline.chunks import Chunk

DOCUMENT_PROMPT = "title: {title} | text: {text}"
QUESTION_PROMPT = "task: search result | query: {text}"
NO_TITLE = "none"
UNUSED_WEIGHTS = "pooler."
LIBRARIES = ("torch", "transformers", "sentence-transformers")


class ModelIdentity(Strict):
    """Which model made a set of vectors: enough to recompute them, never only a label.

    The precision that it computed in changes vectors, so it belongs to it. It is written where it is not float32, which
    all stores were in before there was a choice.
    """

    model_id: str
    revision: str | None
    weights_sha256: str
    dimension: int
    document_prompt: str
    question_prompt: str
    precision: Annotated[Precision, Field(exclude_if=is_usual)] = "float32"


class Encoder:
    """A loaded model with its identity."""

    def __init__(self, network: Network, identity: ModelIdentity) -> None:
        """Wrap a model whose output has been checked to be 768-dimensional."""
        self._network = network
        self.identity = identity

    def embed(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Matrix]]:
        """Yield places of texts, prompts included, with their unit vectors, float32 `(places, 768)`."""
        return self._network.embed(texts)

    def describe_rows(self) -> dict[str, object]:
        """Return all that the vector of a text depends on, whatever the model is called."""
        identity = {"weights_sha256": self.identity.weights_sha256, "precision": self.identity.precision}
        return {**identity, "device": self._network.device, **{name: version(name) for name in LIBRARIES}}

    def encode_documents(self, chunks: Sequence[Chunk]) -> Matrix:
        """Return unit vectors of passages, float32 `(len(chunks), 768)`, with the section as title."""
        return self._encode("passages", [format_document(chunk) for chunk in chunks])

    def encode_questions(self, questions: Sequence[str]) -> Matrix:
        """Return unit vectors of questions, float32 `(len(questions), 768)`."""
        return self._encode("questions", [format_question(question) for question in questions])

    def _encode(self, what: str, texts: list[str]) -> Matrix:
        vectors = np.empty((len(texts), DIMENSION), dtype=np.float32)
        fill_matrix(vectors, texts, self.embed, what)
        return vectors


def format_document(chunk: Chunk) -> str:
    """Return the text that is embedded for a passage."""
    return DOCUMENT_PROMPT.format(title=chunk.section or NO_TITLE, text=chunk.text)


def format_question(question: str) -> str:
    """Return the text that is embedded for a question."""
    return QUESTION_PROMPT.format(text=question)


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """Which model is loaded, and how it computes, as `load_encoder` takes it."""

    model: str
    revision: str | None = None
    device: str | None = None
    token_budget: int | None = None
    precision: Precision = "float32"


def load_encoder(
    model: str,
    *,
    revision: str | None = None,
    device: str | None = None,
    token_budget: int | None = None,
    precision: Precision = "float32",
    download: bool = False,
) -> Encoder:
    """Load a model by folder or hub id; `token_budget` is that of `Network`.

    Raises:
        ModelError: the model cannot be found, is unsafe, or does not give 768 dimensions.
    """
    folder = find_model(model, revision, download=download)
    transformer = load_transformer(folder.path, device=device, precision=precision)
    identity = ModelIdentity(
        model_id=folder.source.model_id,
        revision=folder.source.revision,
        weights_sha256=compute_weights_digest(folder.path),
        dimension=DIMENSION,
        document_prompt=DOCUMENT_PROMPT,
        question_prompt=QUESTION_PROMPT,
        precision=precision,
    )
    return Encoder(Network(transformer, token_budget), identity)


def load_transformer(
    folder: Path, *, device: str | None = None, precision: Precision = "float32", **model_kwargs: Any
) -> SentenceTransformer:
    """Load the sentence-transformers model of a checked folder, offline and without remote code.

    float16 is not offered, because Gemma 3 gives NaN in it.

    Raises:
        ModelError: the folder cannot be loaded or its output is not 768-dimensional.
    """
    quieten_libraries()
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer

    dtype = getattr(torch, precision)
    try:
        transformer = SentenceTransformer(
            str(folder), device=device, local_files_only=True, model_kwargs={"dtype": dtype, **model_kwargs}
        )
        _require_all_weights(folder, transformer)
    except (OSError, ValueError, LookupError, TypeError, ImportError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ModelError(folder, f"cannot be loaded: {reason}", "fetch or train the model again") from error
    dimension = transformer.get_embedding_dimension()
    if dimension != DIMENSION:
        raise ModelError(folder, f"expected {DIMENSION} dimensions, got {dimension}", "use a 768-D model")
    for module in list(transformer)[1:]:  # the library loads only the first in the precision that is asked for
        module.to(dtype)
    return transformer


def _require_all_weights(folder: Path, transformer: SentenceTransformer) -> None:
    # transformers fills a tensor that the files lack with random numbers and only warns.
    from safetensors import safe_open

    stored: set[str] = set()
    for path in folder.glob("model*.safetensors"):
        with safe_open(path, framework="pt") as tensors:
            stored.update(tensors.keys())
    network = getattr(transformer[0], "model", transformer[0])
    expected = [name for name, _ in network.named_parameters() if not name.startswith(UNUSED_WEIGHTS)]
    missing = [name for name in expected if not any(key == name or key.endswith(f".{name}") for key in stored)]
    if missing:
        message = f"{len(missing)} tensors are in no safetensors file, such as {missing[0]}"
        raise ValueError(message)


def quieten_libraries() -> None:
    """Keep model libraries offline, free of telemetry and silent below errors."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("sentence_transformers", "transformers", "bitsandbytes", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # peft asks transformers by an attribute's old name; nothing that a user could act upon.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
