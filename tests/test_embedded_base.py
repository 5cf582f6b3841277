"""The embedded base encoder: EmbeddingGemma's shape, learnt from the chunks alone, the same each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.chunks import Chunk, load_chunks
from pipeline.embedded_base import (
    build_encoder,
    build_pairs,
    compute_token_vectors,
    train_encoder,
    train_tokenizer,
)
from pipeline.encoder import format_document, load_encoder
from pipeline.errors import InputError
from tests.conftest import write_sample

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.params import EmbeddedModel

QUESTION = "task: search result | query: "


@pytest.fixture(scope="module")
def chunks(tmp_path_factory: pytest.TempPathFactory) -> list[Chunk]:
    """The passages that the tiny model was built from."""
    return load_chunks(write_sample(tmp_path_factory.mktemp("text"), rows=80).chunks).chunks


def test_building_twice_gives_the_same_vectors(
    tiny_model: Path, tiny_settings: EmbeddedModel, chunks: list[Chunk], tmp_path: Path
) -> None:
    """Tokenizer, token vectors, Dense layers and training repeat: vectors agree within 1e-5."""
    again = build_encoder(chunks, tiny_settings, tmp_path / "scratch")
    losses = train_encoder(again, chunks, tiny_settings)
    texts = [format_document(chunk) for chunk in chunks]

    rebuilt = again.encode(texts, normalize_embeddings=True, show_progress_bar=False)

    assert len(losses) == tiny_settings.steps
    assert np.isfinite(losses).all()
    np.testing.assert_allclose(load_encoder(str(tiny_model)).encode_documents(chunks), rebuilt, atol=1e-5)


def test_another_seed_gives_another_model(tiny_settings: EmbeddedModel, chunks: list[Chunk], tmp_path: Path) -> None:
    """The seed reaches the model: it is not a decoration."""
    texts = [format_document(chunk) for chunk in chunks[:5]]
    first, second = (
        build_encoder(chunks, tiny_settings.model_copy(update={"seed": seed}), tmp_path / str(seed)).encode(texts)
        for seed in (1, 2)
    )

    assert np.abs(first - second).max() > 1e-3


def test_the_encoder_has_embeddinggemmas_shape(
    tiny_settings: EmbeddedModel, chunks: list[Chunk], tmp_path: Path
) -> None:
    """A bidirectional Gemma 3 text encoder, mean pooling, Dense, Dense(768), Normalize, with the two prompts."""
    model = build_encoder(chunks, tiny_settings, tmp_path)
    config = model[0].model.config

    assert [type(module).__name__ for module in model] == ["Transformer", "Pooling", "Dense", "Dense", "Normalize"]
    assert (config.model_type, config.use_bidirectional_attention) == ("gemma3_text", True)
    assert (config.hidden_size, config.num_hidden_layers) == (tiny_settings.hidden_size, tiny_settings.layers)
    assert config.layer_types == ["sliding_attention", "full_attention"]
    assert model[1].pooling_mode == "mean"
    assert model[3].linear.weight.shape[0] == 768
    assert model.prompts["query"] == QUESTION
    assert model.prompts["document"] == "title: none | text: "


def test_attention_looks_both_ways(tiny_model: Path) -> None:
    """A later word changes the state of an earlier one, as it must in an encoder."""
    import torch

    from pipeline.encoder import load_transformer

    model = load_transformer(tiny_model, device="cpu")
    network = model[0].model.requires_grad_(requires_grad=False)
    for layer in network.layers:
        layer.post_attention_layernorm.weight.fill_(1e4)
    first, second = (
        network(torch.tensor([model.tokenizer(text)["input_ids"]])).last_hidden_state[0, 0]
        for text in ("forfait pendule", "forfait roque")
    )

    assert (first - second).abs().max() > 1e-3


def test_an_untrained_encoder_already_finds_shared_words(
    tiny_settings: EmbeddedModel, chunks: list[Chunk], tmp_path: Path
) -> None:
    """The token vectors carry meaning: a chunk's own words find it more often than chance does."""
    model = build_encoder(chunks, tiny_settings, tmp_path)
    passages = model.encode([format_document(chunk) for chunk in chunks])
    questions = model.encode([QUESTION + chunk.text for chunk in chunks])

    best = (questions @ passages.T).argsort(axis=1)[:, -5:]

    assert np.mean([row in best[row] for row in range(len(chunks))]) > 0.5


def test_the_tokenizer_ignores_case_and_accents(chunks: list[Chunk]) -> None:
    """Questions are typed without accents: they must meet the same tokens."""
    tokenizer = train_tokenizer([chunk.text for chunk in chunks], 400)

    assert tokenizer.encode("Échec, forcé").ids == tokenizer.encode("echec, FORCE").ids
    assert tokenizer.encode("roque").ids != tokenizer.encode("pendule").ids
    assert tokenizer.get_vocab_size() <= 400
    assert [tokenizer.token_to_id(token) for token in ("<pad>", "<eos>", "<bos>", "<unk>")] == [0, 1, 2, 3]


def test_token_vectors_are_scaled_and_weighted(chunks: list[Chunk], tiny_settings: EmbeddedModel) -> None:
    """One vector a token, mean square length 1; tokens that occur together lie nearer than others."""
    texts = ["roi dame tour"] * 20 + ["pendule drapeau temps"] * 20 + [chunk.text for chunk in chunks]
    tokenizer = train_tokenizer(texts, 400)
    vectors = compute_token_vectors(tokenizer, texts, tiny_settings)

    def compare(first: str, second: str) -> float:
        one, two = (vectors[tokenizer.encode(word).ids].sum(axis=0) for word in (first, second))
        return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))

    assert vectors.shape == (tokenizer.get_vocab_size(), tiny_settings.hidden_size)
    assert (vectors**2).sum(axis=1).mean() == pytest.approx(1.0)
    assert compare("roi", "dame") > compare("roi", "temps") + 0.3


def test_token_vectors_are_those_of_latent_semantic_analysis(chunks: list[Chunk], tiny_settings: EmbeddedModel) -> None:
    """Their products are those of idf-weighted right singular vectors of the tf-idf matrix, from a full SVD."""
    texts = [chunk.text for chunk in chunks[: tiny_settings.hidden_size]]
    tokenizer = train_tokenizer(texts, 400)
    counts = np.zeros((len(texts), tokenizer.get_vocab_size()))
    for row, text in enumerate(texts):
        np.add.at(counts[row], tokenizer.encode(text).ids, 1)
    idf = np.log((1 + len(texts)) / (1 + (counts > 0).sum(axis=0))) + 1
    weighted = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf
    weighted /= np.linalg.norm(weighted, axis=1, keepdims=True)
    oracle = idf[:, None] * np.linalg.svd(weighted, full_matrices=False)[2].T
    oracle /= (oracle**2).sum(axis=1).mean() ** 0.5

    vectors = compute_token_vectors(tokenizer, texts, tiny_settings)

    np.testing.assert_allclose(vectors @ vectors.T, oracle @ oracle.T, atol=0.1)


def test_pairs_are_a_sentence_and_the_rest(tiny_settings: EmbeddedModel, chunks: list[Chunk]) -> None:
    """Each pair is prompted, comes from one chunk, and its question is missing from its passage."""
    pairs = build_pairs(chunks, tiny_settings)
    sections = {chunk.section for chunk in chunks}
    kinds = {"heading": 0, "sentence": 0}
    for anchor, positive in zip(pairs["anchor"], pairs["positive"], strict=True):
        question = anchor.removeprefix(QUESTION)
        title, text = positive.removeprefix("title: ").split(" | text: ")
        sources = [chunk for chunk in chunks if text in chunk.text and title in {chunk.section, "none"}]
        kinds["heading" if question in sections else "sentence"] += 1

        assert anchor.startswith(QUESTION)
        assert question not in text or question in sections
        assert any(question == chunk.section or question in chunk.text for chunk in sources)
        assert (title == "none") or question != title
    assert len(pairs["anchor"]) >= tiny_settings.steps * tiny_settings.batch_size
    assert min(kinds.values()) >= 10


def test_pairs_repeat_with_their_seed(tiny_settings: EmbeddedModel, chunks: list[Chunk]) -> None:
    """The same seed draws the same pairs, another one draws others."""
    other = tiny_settings.model_copy(update={"seed": 8})

    assert build_pairs(chunks, tiny_settings) == build_pairs(chunks, tiny_settings)
    assert build_pairs(chunks, tiny_settings) != build_pairs(chunks, other)


def test_too_little_text_is_refused(tiny_settings: EmbeddedModel, chunks: list[Chunk], tmp_path: Path) -> None:
    """One passage fewer than dimensions is refused with both figures; as many passages as dimensions suffice."""
    build_encoder(chunks[:64], tiny_settings, tmp_path)

    with pytest.raises(InputError, match=r"fr: 63 passages with \d+ tokens are too few for 64 dimensions"):
        build_encoder(chunks[:63], tiny_settings, tmp_path)


@pytest.mark.parametrize("text", ["Un seul énoncé sans suite", "Oui. Non. Si. Ou."], ids=["one", "short"])
def test_text_without_two_sentences_is_refused(tiny_settings: EmbeddedModel, chunks: list[Chunk], text: str) -> None:
    """There is nothing to learn from, and that is said rather than searched for ever."""
    single = [chunk.model_copy(update={"text": text}) for chunk in chunks]

    with pytest.raises(InputError, match="fr: none of 80 passages has two sentences"):
        build_pairs(single, tiny_settings)
