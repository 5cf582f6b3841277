"""Run a small QLoRA training for real and keep what can only be seen while the quantised model is in memory."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.chunks import load_chunks
from tests.conftest import TOPICS, write_sample

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.vectors import Matrix

Tensor = npt.NDArray[np.float32]

ROWS = 24
SETTINGS: dict[str, Any] = {
    "rank": 4, "alpha": 8, "epochs": 2.0, "batch_size": 8, "learning_rate": 5e-3, "seed": 3,
}  # fmt: skip
STEPS = 6
PEFT_READS_OLD_NAME = "`is_gradient_checkpointing` is deprecated"
PROBES = [f"task: search result | query: {topic} tombé ?" for topic in TOPICS]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that carries an adapter: how its frozen weight is held, and what the adapter adds to it."""

    kind: str
    dtype: str
    quantisation: str
    double: bool
    trainable: bool
    added: Tensor


@dataclass(frozen=True, slots=True)
class Tuning:
    """The files of a training run and what was seen of the quantised model before and after its steps."""

    parent: Path
    folder: Path
    triplets: Path
    chunks: Path
    columns: dict[str, list[str]]
    before: dict[str, Layer]
    after: dict[str, Layer]
    plain_linears: list[str]
    trained_names: list[str]
    dense: list[Tensor]
    vectors: Matrix


def write_triplets(path: Path, chunks: Path, rows: int = ROWS) -> Path:
    """Write training triplets about a corpus of `write_sample`."""
    texts = [chunk.text for chunk in load_chunks(chunks).chunks]
    lines = [
        {
            "anchor": f"Quid {TOPICS[row * 3 % len(TOPICS)]} {1950 + row} ?",
            "positive": texts[row],
            "negative": texts[(row + 5) % len(texts)],
        }
        for row in range(rows)
    ]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def run_tuning(parent: Path, work: Path) -> Tuning:
    """Fine-tune `parent` with the real command and watch it."""
    from pipeline import qlora
    from pipeline.finetune_embeddinggemma import finetune
    from pipeline.training import train_contrastive

    chunks = write_sample(work / "corpus").chunks
    triplets = write_triplets(work / "triplets.jsonl", chunks)
    seen: dict[str, Any] = {}

    def watch(model: Any, columns: dict[str, list[str]], *rest: Any) -> list[float]:
        seen["columns"], seen["before"] = columns, look_at_layers(model)
        losses = train_contrastive(model, columns, *rest)
        seen["after"] = look_at_layers(model)
        seen["plain_linears"] = list_plain_linears(model)
        seen["trained_names"] = [name for name, value in model.named_parameters() if value.requires_grad]
        seen["dense"] = [model[index].linear.weight.detach().numpy().copy() for index in (2, 3)]
        seen["vectors"] = model.encode(PROBES, normalize_embeddings=True, show_progress_bar=False)
        return losses

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", PEFT_READS_OLD_NAME, FutureWarning)
        patch.setattr(qlora, "train_contrastive", watch)
        finetune(triplets, work / "tuned", model=str(parent), chunks=chunks, model_id="tiny-tuned", **SETTINGS)
    return Tuning(parent, work / "tuned", triplets, chunks, **seen)


def look_at_layers(model: Any) -> dict[str, Layer]:
    """Return every layer of the encoder that carries an adapter, by its name in the parent."""
    layers = {}
    for name, module in model[0].model.named_modules():
        if not hasattr(module, "lora_A"):
            continue
        weight = module.base_layer.weight
        added = module.get_delta_weight(next(iter(module.lora_A))).detach().numpy().copy()
        layers[f"{name}.weight"] = Layer(
            kind=f"{type(module.base_layer).__module__}.{type(module.base_layer).__name__}",
            dtype=str(weight.dtype),
            quantisation=weight.quant_state.quant_type,
            double=weight.quant_state.nested,
            trainable=weight.requires_grad,
            added=added,
        )
    return layers


def list_plain_linears(model: Any) -> list[str]:
    """Return the linear layers of the encoder that are neither quantised nor part of an adapter."""
    import torch

    return [
        name
        for name, module in model[0].model.named_modules()
        if type(module) is torch.nn.Linear and "lora_" not in name
    ]
