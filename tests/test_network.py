"""Running a model: vectors as the library gives them, of bits that depend on the text alone, for any modules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from pipeline.batching import cut_batches
from pipeline.encoder import load_encoder, load_transformer
from pipeline.errors import ModelError
from pipeline.network import Network, select_features
from pipeline.vectors import DIMENSION, Matrix

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TOLERANCE = 1e-5
NEIGHBOURS = 1e-6
TEXTS = [
    " ".join(f"L'arbitre traite le cas {number}, la pendule tourne." for _ in range(1 + number * 5 % 11))
    for number in range(30)
]


@pytest.fixture(scope="module")
def plain(tiny_model: Path) -> Matrix:
    """What the library itself gives for the texts, 32 at once."""
    vectors: Matrix = load_transformer(tiny_model, device="cpu").encode(TEXTS, batch_size=32, normalize_embeddings=True)
    return vectors


@pytest.fixture
def threads() -> Iterator[int]:
    """Two threads, as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


def gather(network: Network, texts: Sequence[str]) -> Matrix:
    """Return all vectors in order; every place comes once."""
    vectors = np.full((len(texts), DIMENSION), np.nan, dtype=np.float32)
    for places, found in network.embed(texts):
        assert np.isnan(vectors[places]).all()
        assert found.dtype == np.float32
        vectors[places] = found
    return vectors


@pytest.mark.parametrize("budget", [None, 1, 120, 100_000])
def test_vectors_are_those_of_the_library(tiny_model: Path, plain: Matrix, budget: int | None) -> None:
    """Alone, in small batches or all at once: within 1e-5 of `SentenceTransformer.encode`."""
    network = Network(load_transformer(tiny_model, device="cpu"), budget)

    np.testing.assert_allclose(gather(network, TEXTS), plain, atol=TOLERANCE)


def test_the_bits_do_not_depend_on_the_number_of_threads(tiny_model: Path, threads: int) -> None:
    """Each batch is computed by one thread, the same batches whatever their number; so every run gives the same."""
    network = Network(load_transformer(tiny_model, device="cpu"))
    runs = [gather(network, TEXTS), gather(network, TEXTS)]
    torch.set_num_threads(1)
    runs.append(gather(network, TEXTS))

    assert threads == 2
    assert len({run.tobytes() for run in runs}) == 1


def test_neighbours_change_a_vector_in_its_last_bits_at_most(tiny_model: Path) -> None:
    """Alone or beside others, in any order: within 1e-6."""
    network = Network(load_transformer(tiny_model, device="cpu"))
    expected = gather(network, TEXTS)
    alone = np.concatenate([gather(network, [text]) for text in TEXTS])

    np.testing.assert_allclose(alone, expected, rtol=0, atol=NEIGHBOURS)
    np.testing.assert_allclose(gather(network, TEXTS[::-1])[::-1], expected, rtol=0, atol=NEIGHBOURS)


def test_the_number_of_threads_is_left_as_it_was(tiny_model: Path, threads: int) -> None:
    """Also by a run that is given up in the middle."""
    run = iter(Network(load_transformer(tiny_model, device="cpu")).embed(TEXTS))
    next(run)
    run.close()  # type: ignore[attr-defined]

    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_may_be_on_either_side(tiny_model: Path, plain: Matrix, side: str) -> None:
    """Columns are kept by the attention mask, not by their place; a padded batch gives the same vectors."""
    model = load_transformer(tiny_model, device="cpu")
    model.tokenizer.padding_side = side
    tokens = model.preprocess(TEXTS)
    with torch.inference_mode():
        for batch in cut_batches(tokens["attention_mask"].sum(dim=1).tolist(), 600, padded=True):
            features = select_features(tokens, batch)
            vectors = model(features)["sentence_embedding"].numpy()

            np.testing.assert_allclose(vectors, plain[batch], atol=TOLERANCE)


def test_a_model_of_the_bert_kind_gives_the_vectors_of_the_library(tmp_path: Path, tiny_model: Path) -> None:
    """Token types, biases, absolute positions, no Dense layer: another architecture goes the same way."""
    model = build_bert(tmp_path, tiny_model)
    expected = model.encode(TEXTS, normalize_embeddings=True)
    for budget in (1, 500):
        for places, vectors in Network(model, budget).embed(TEXTS):
            np.testing.assert_allclose(vectors, expected[places], atol=TOLERANCE)


def build_bert(folder: Path, tiny_model: Path) -> Any:
    """Return a BERT-shaped model with random weights, and the tiny model's tokenizer."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(5)
    tokenizer = AutoTokenizer.from_pretrained(str(tiny_model))
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    config = BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **shape)
    BertModel(config, add_pooling_layer=False).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    modules = [Transformer(str(folder), max_seq_length=512), Pooling(64, "mean"), Normalize()]
    return SentenceTransformer(modules=modules, device="cpu")


def test_a_selection_has_no_needless_padding() -> None:
    """Rows of a batch, columns that one of them uses; the mask goes where nothing is padded, the rest stays."""
    mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]])
    tokens = {"input_ids": torch.arange(12).reshape(3, 4), "attention_mask": mask, "modality": "text"}
    mixed, even = select_features(tokens, [1, 0]), select_features(tokens, [2, 0])

    assert mixed["input_ids"].tolist() == [[4, 5, 6, 7], [0, 1, 2, 3]]
    assert mixed["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert even["input_ids"].tolist() == [[8, 9], [0, 1]]
    assert set(even) == {"input_ids", "modality"}


def test_a_model_without_a_mask_is_refused(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which tokens are padding cannot be guessed."""
    model = load_transformer(tiny_model, device="cpu")
    monkeypatch.setattr(model, "preprocess", lambda texts: {"input_ids": torch.ones(len(texts), 2)})

    with pytest.raises(ModelError, match="gives no attention mask; use a model that begins with a transformer"):
        next(iter(Network(model).embed(["a"])))


def test_bfloat16_is_computed_in_and_told(tiny_model: Path, plain: Matrix) -> None:
    """All weights are bfloat16, the vectors float32 and of unit length, near those of float32 and not the same."""
    model = load_transformer(tiny_model, device="cpu", precision="bfloat16")
    vectors = gather(Network(model), TEXTS)
    identity = load_encoder(str(tiny_model), device="cpu", precision="bfloat16").identity

    assert {str(value.dtype) for value in model.parameters()} == {"torch.bfloat16"}
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1, atol=1e-6)
    assert (vectors * plain).sum(axis=1).min() > 0.99
    assert np.abs(vectors - plain).max() > TOLERANCE
    assert json.loads(identity.model_dump_json())["precision"] == "bfloat16"


def test_an_identity_in_float32_is_written_as_it_always_was(tiny_model: Path) -> None:
    """Older manifests are read, and new ones of float32 have the same fields."""
    identity = load_encoder(str(tiny_model), device="cpu").identity

    assert identity.precision == "float32"
    assert "precision" not in identity.model_dump()
    assert type(identity).model_validate_json(identity.model_dump_json()) == identity
