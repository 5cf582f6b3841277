"""QLoRA (Dettmers et al., 2023): train LoRA adapters over a parent held in 4-bit NF4, then merge into the parent.

The adapters are merged into the parent's own float32 weights, not into their 4-bit rounding. The Dense layers behind
the pooling are not quantised; they train as they are and are carried over whole.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
from typing import TYPE_CHECKING

import torch
from peft import LoraConfig, PeftModel, TaskType
from sentence_transformers.sentence_transformer.modules import Dense
from transformers import BitsAndBytesConfig

from pipeline.encoder import load_transformer
from pipeline.training import TrainingSettings, train_contrastive

if TYPE_CHECKING:
    from pathlib import Path

    from sentence_transformers import SentenceTransformer

    from pipeline.params import FineTuning

LIBRARIES = ("torch", "transformers", "sentence-transformers", "peft", "bitsandbytes")
TARGETS = "all-linear"


def train_merged(parent: Path, columns: dict[str, list[str]], settings: FineTuning, output: Path) -> list[float]:
    """Train on prompted text columns, write the merged model into `output` and return the loss of each step."""
    torch.manual_seed(settings.seed)
    model = load_transformer(parent, quantization_config=build_quantization())
    model.add_adapter(
        LoraConfig(
            task_type=TaskType.FEATURE_EXTRACTION,
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=TARGETS,
        )
    )
    losses = train_contrastive(
        model,
        columns,
        TrainingSettings(
            seed=settings.seed,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            temperature=settings.temperature,
            epochs=settings.epochs,
        ),
        "QLoRA",
    )
    merged = merge_adapter(model, parent)
    merged.save_pretrained(str(output), create_model_card=False)
    return losses


def build_quantization() -> BitsAndBytesConfig:
    """Return the QLoRA recipe: 4-bit NF4 with double quantisation, computing in float32."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )


def describe_training() -> dict[str, object]:
    """Return what the settings do not say: the method and the versions of the libraries that carried it out."""
    return {
        "adapter": "LoRA",
        "quantisation": "nf4, double quantisation, float32 compute",
        "target_modules": TARGETS,
        "loss": "multiple negatives ranking (InfoNCE)",
        "merged_into": "float32 parent",
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def merge_adapter(trained: SentenceTransformer, parent: Path) -> SentenceTransformer:
    """Return the parent in float32 with the trained adapters merged in and the trained Dense layers in place."""
    merged = load_transformer(parent, device="cpu")
    with tempfile.TemporaryDirectory() as adapter:
        trained[0].model.save_pretrained(adapter)
        merged[0].model = PeftModel.from_pretrained(merged[0].model, adapter).merge_and_unload()
    for target, source in zip(merged, trained, strict=True):
        if isinstance(target, Dense):
            target.load_state_dict(source.state_dict())
    return merged
