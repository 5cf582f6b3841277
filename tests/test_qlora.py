"""QLoRA: truly 4-bit while it trains, and merged so that the result is the parent plus what was learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import load_file

from pipeline.encoder import load_encoder, load_transformer
from pipeline.qlora import build_quantization, describe_training
from tests.tuning import PROBES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tuning import Tensor, Tuning

LINEARS = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
)  # fmt: skip
TARGETED = {f"layers.{layer}.{name}.weight" for layer in range(2) for name in LINEARS}
DENSE = ("2_Dense", "3_Dense")


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of the encoder in a model folder."""
    return dict(load_file(folder / "model.safetensors"))


def load_dense(folder: Path) -> list[Tensor]:
    """Return the weights of both Dense layers of a model folder."""
    return [load_file(folder / name / "model.safetensors")["linear.weight"] for name in DENSE]


def measure_distance(first: Tensor, second: Tensor) -> float:
    """Return the largest cosine distance between rows."""
    return float(np.max(1.0 - np.sum(first.astype(np.float64) * second, axis=1)))


@pytest.mark.parametrize("moment", ["before", "after"])
def test_every_linear_layer_is_nf4_while_training(tuning: Tuning, moment: str) -> None:
    """All linear layers are frozen 4-bit layers in NF4 with double quantisation, from the first step to the last."""
    layers = getattr(tuning, moment)

    assert set(layers) == TARGETED
    assert {layer.kind for layer in layers.values()} == {"bitsandbytes.nn.modules.Linear4bit"}
    assert {(layer.dtype, layer.quantisation) for layer in layers.values()} == {("torch.uint8", "nf4")}
    assert all(layer.double for layer in layers.values())
    assert not any(layer.trainable for layer in layers.values())
    assert tuning.plain_linears == []


def test_only_adapters_and_dense_layers_train(tuning: Tuning) -> None:
    """Each targeted layer has two trainable matrices; beyond them only the Dense layers may move."""
    adapters = [name for name in tuning.trained_names if "lora_" in name]

    assert len(adapters) == 2 * len(TARGETED)
    assert set(tuning.trained_names) - set(adapters) == {"2.linear.weight", "3.linear.weight"}


def test_adapters_start_at_nothing_and_learn(tuning: Tuning) -> None:
    """Before the first step the adapters add nothing; afterwards each one adds something."""
    assert not any(layer.added.any() for layer in tuning.before.values())
    assert all(np.abs(layer.added).max() > 0 for layer in tuning.after.values())


def test_the_recipe_is_qloras() -> None:
    """NF4, double quantisation, float32 compute; the training record says the same."""
    recipe = build_quantization()
    said = describe_training()

    assert (recipe.load_in_4bit, recipe.bnb_4bit_quant_type) == (True, "nf4")
    assert recipe.bnb_4bit_use_double_quant is True
    assert str(recipe.bnb_4bit_compute_dtype) == "torch.float32"
    assert said["quantisation"] == "nf4, double quantisation, float32 compute"
    assert said["target_modules"] == "all-linear"


def test_targeted_layers_differ_from_the_parents(tuning: Tuning) -> None:
    """Every layer with an adapter is the parent's own float32 weight plus what its adapter learnt."""
    parent, merged = load_weights(tuning.parent), load_weights(tuning.folder)
    for name in sorted(TARGETED):
        assert not np.array_equal(merged[name], parent[name]), name
        np.testing.assert_allclose(merged[name], parent[name] + tuning.after[name].added, atol=1e-6, err_msg=name)


def test_everything_else_is_the_parents(tuning: Tuning) -> None:
    """Token vectors and norms are bit for bit the parent's, and no tensor is missing, new or left in 4 bits."""
    parent, merged = load_weights(tuning.parent), load_weights(tuning.folder)
    untouched = set(parent) - TARGETED

    assert set(merged) == set(parent)
    assert {name for name in untouched if "norm" in name or "embed_tokens" in name} == untouched
    assert "embed_tokens.weight" in untouched
    assert [name for name in sorted(untouched) if not np.array_equal(merged[name], parent[name])] == []
    assert {tensor.dtype for tensor in merged.values()} == {np.dtype(np.float32)}


def test_dense_layers_are_carried_over(tuning: Tuning) -> None:
    """The Dense layers of the merged model are the trained ones, not the parent's."""
    for merged, trained, parent in zip(load_dense(tuning.folder), tuning.dense, load_dense(tuning.parent), strict=True):
        np.testing.assert_array_equal(merged, trained)
        assert not np.array_equal(merged, parent)


def test_the_merged_model_answers_as_the_trained_one(tuning: Tuning) -> None:
    """Merging changes the output by no more than the rounding to 4 bits does, and far less than training did."""
    merged = load_transformer(tuning.folder, device="cpu").encode(PROBES, normalize_embeddings=True)
    parent = load_transformer(tuning.parent, device="cpu").encode(PROBES, normalize_embeddings=True)

    to_trained = measure_distance(merged, tuning.vectors)
    assert to_trained < 1e-3
    assert measure_distance(parent, tuning.vectors) > 10 * to_trained


def test_the_merged_model_loads_like_any_other(tuning: Tuning) -> None:
    """It goes through the same loading, gives finite unit vectors, and needs no adapter or 4-bit library files."""
    encoder = load_encoder(str(tuning.folder), device="cpu")

    matrix = encoder.encode_questions(["Qui arrête la pendule ?"])

    assert matrix.shape == (1, 768)
    assert np.linalg.norm(matrix[0]) == pytest.approx(1.0, abs=1e-5)
    assert encoder.identity.model_id == "tiny-tuned"
    assert not list(tuning.folder.rglob("adapter*"))
    assert "quantization_config" not in (tuning.folder / "config.json").read_text(encoding="utf-8")
