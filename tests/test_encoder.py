"""The encoder: EmbeddingGemma's prompts, unit vectors in order, batches that do not matter, models that are refused."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pipeline.chunks import Chunk, load_chunks
from pipeline.encoder import Encoder, ModelIdentity, format_document, load_encoder, load_transformer
from pipeline.errors import ModelError
from pipeline.model_folder import compute_weights_digest
from tests.conftest import write_sample
from tests.hub import REVISION, cache_model

if TYPE_CHECKING:
    from collections.abc import Callable

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> Encoder:
    """The tiny model, loaded."""
    return load_encoder(str(tiny_model), device="cpu")


@pytest.fixture(scope="module")
def chunks(tmp_path_factory: pytest.TempPathFactory) -> list[Chunk]:
    """Passages of unequal length, some without a section."""
    plain = load_chunks(write_sample(tmp_path_factory.mktemp("encoder")).chunks).chunks
    return [chunk.model_copy(update={"text": " ".join([chunk.text] * (1 + i % 7))}) for i, chunk in enumerate(plain)]


@pytest.fixture
def model_copy(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model to damage."""
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("Le roque", "title: Le roque | text: Le roi va."),
        (None, "title: none | text: Le roi va."),
        ("", "title: none | text: Le roi va."),
    ],
    ids=["section", "no-section", "empty-section"],
)
def test_a_passage_is_prompted_with_its_section(chunks: list[Chunk], section: str | None, expected: str) -> None:
    """EmbeddingGemma's document prompt carries the section as title, `none` without one."""
    chunk = chunks[0].model_copy(update={"section": section, "text": "Le roi va."})

    assert format_document(chunk) == expected


def test_passages_are_embedded_with_their_prompt(encoder: Encoder, tiny_model: Path, chunks: list[Chunk]) -> None:
    """The vectors are those that the bare model gives for the prompted texts, one by one and in order."""
    texts = [f"title: {chunk.section or 'none'} | text: {chunk.text}" for chunk in chunks]
    expected = np.vstack([load_transformer(tiny_model, device="cpu").encode(text) for text in texts[:6]])

    np.testing.assert_allclose(encoder.encode_documents(chunks)[:6], expected, atol=TOLERANCE)


def test_questions_are_embedded_with_their_prompt(encoder: Encoder, tiny_model: Path) -> None:
    """A question goes in as `task: search result | query: …` and not as a passage or as bare text."""
    model = load_transformer(tiny_model, device="cpu")

    vector = encoder.encode_questions(["Qui arrête la pendule ?"])[0]

    prompted = model.encode("task: search result | query: Qui arrête la pendule ?")
    bare = model.encode("Qui arrête la pendule ?")
    np.testing.assert_allclose(vector, prompted, atol=TOLERANCE)
    assert np.abs(vector - bare).max() > 100 * TOLERANCE


def test_vectors_have_the_stores_shape(encoder: Encoder, chunks: list[Chunk]) -> None:
    """float32, 768 dimensions, unit length, C order."""
    matrix = encoder.encode_documents(chunks)

    assert matrix.shape == (len(chunks), 768)
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(matrix.astype(np.float64), axis=1), 1.0, atol=TOLERANCE)


def test_order_is_that_of_the_chunks(encoder: Encoder, chunks: list[Chunk]) -> None:
    """Turning the passages round turns the rows round: each row belongs to its own passage."""
    forwards = encoder.encode_documents(chunks)
    backwards = encoder.encode_documents(chunks[::-1])

    np.testing.assert_allclose(backwards[::-1], forwards, atol=TOLERANCE)
    assert np.abs(backwards - forwards).max() > 100 * TOLERANCE


@pytest.mark.parametrize("token_budget", [1, 100, 2000, 1_000_000])
def test_the_token_budget_does_not_matter(
    encoder: Encoder, tiny_model: Path, chunks: list[Chunk], token_budget: int
) -> None:
    """Padding next to longer passages changes no vector by more than 1e-5."""
    other = load_encoder(str(tiny_model), device="cpu", token_budget=token_budget)

    np.testing.assert_allclose(other.encode_documents(chunks), encoder.encode_documents(chunks), atol=TOLERANCE)


def test_nothing_to_embed_gives_no_rows(encoder: Encoder) -> None:
    """An empty list is an empty matrix of the right width."""
    assert encoder.encode_questions([]).shape == (0, 768)


def test_the_identity_says_how_to_recompute(encoder: Encoder, tiny_model: Path) -> None:
    """Label, revision, digest of the weights, dimension and both prompts travel with the vectors."""
    assert encoder.identity == ModelIdentity(
        model_id="tiny-base",
        revision=None,
        weights_sha256=compute_weights_digest(tiny_model),
        dimension=768,
        document_prompt="title: {title} | text: {text}",
        question_prompt="task: search result | query: {text}",
    )


def test_a_cached_hub_model_gives_the_same_vectors(encoder: Encoder, tiny_model: Path, hub_cache: Path) -> None:
    """The same weights from the hub cache give the same vectors, under the hub's name and commit."""
    cache_model(tiny_model, hub_cache, "acme/tiny")

    found = load_encoder("acme/tiny", revision=REVISION, device="cpu")

    assert (found.identity.model_id, found.identity.revision) == ("acme/tiny", REVISION)
    assert found.identity.weights_sha256 == encoder.identity.weights_sha256
    np.testing.assert_array_equal(found.encode_questions(["roque"]), encoder.encode_questions(["roque"]))


def test_weights_are_loaded_in_float32(tiny_model: Path) -> None:
    """float16 gives NaN with Gemma 3, so float32 it is, whatever the configuration says."""
    kinds = {str(value.dtype) for value in load_transformer(tiny_model, device="cpu").parameters()}

    assert kinds == {"torch.float32"}


def test_weights_stored_in_half_precision_are_widened(model_copy: Path) -> None:
    """A checkpoint in float16 is computed in float32."""
    path = model_copy / "model.safetensors"
    halves = {name: tensor.astype(np.float16) for name, tensor in load_file(path).items()}
    save_file(halves, path, metadata={"format": "pt"})
    edit_json(model_copy / "config.json", lambda config: config.update(dtype="float16"))

    matrix = load_encoder(str(model_copy), device="cpu").encode_questions(["roque"])

    assert np.isfinite(matrix).all()
    assert {str(value.dtype) for value in load_transformer(model_copy, device="cpu").parameters()} == {"torch.float32"}


@pytest.mark.parametrize("width", [512, 767, 1024])
def test_a_model_of_another_width_is_refused(model_copy: Path, width: int) -> None:
    """Stores are 768-D; the message says what the model gives."""
    resize_dense(model_copy, width)

    with pytest.raises(ModelError, match=rf"{model_copy}: expected 768 dimensions, got {width}; "):
        load_encoder(str(model_copy))


def cut(folder: Path, name: str) -> None:
    """Cut a file of a model in half."""
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def drop_tensor(folder: Path, part: str) -> None:
    """Remove the tensors whose name holds `part` from the encoder's weights."""
    path = folder / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(path).items() if part not in name}
    save_file(kept, path, metadata={"format": "pt"})


def resize_dense(folder: Path, width: int) -> None:
    """Give the last Dense layer another output width."""
    path = folder / "3_Dense" / "model.safetensors"
    (name,) = load_file(path)
    save_file({name: np.full((width, 1024), 0.01, dtype=np.float32)}, path, metadata={"format": "pt"})
    edit_json(folder / "3_Dense" / "config.json", lambda config: config.update(out_features=width))


def edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a JSON file in place."""
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: cut(folder, "model.safetensors"),
        lambda folder: cut(folder, "3_Dense/model.safetensors"),
        lambda folder: cut(folder, "config.json"),
        lambda folder: cut(folder, "tokenizer.json"),
        lambda folder: (folder / "model.safetensors").write_bytes(pickle.dumps({"weight": 1})),
        lambda folder: (folder / "3_Dense/model.safetensors").unlink(),
        lambda folder: shutil.rmtree(folder / "3_Dense"),
        lambda folder: edit_json(folder / "config.json", lambda config: config.update(hidden_size=128)),
        lambda folder: edit_json(folder / "config.json", dict.clear),
        lambda folder: edit_json(folder / "modules.json", list.clear),
        lambda folder: edit_json(
            folder / "modules.json", lambda modules: modules[-1].update(type="sentence_transformers.base.Nothing")
        ),
    ],
    ids=[
        "cut-weights", "cut-dense", "cut-config", "cut-tokenizer", "pickled-weights", "no-dense-weights", "no-dense",
        "other-size", "empty-config", "no-modules", "unknown-module",
    ],
)  # fmt: skip
def test_a_damaged_model_cannot_be_loaded(model_copy: Path, damage: Callable[[Path], object]) -> None:
    """Whatever the libraries stumble over becomes one error that names the folder."""
    damage(model_copy)

    with pytest.raises(ModelError, match=rf"{model_copy}: cannot be loaded: .+; fetch or train the model again"):
        load_encoder(str(model_copy))


@pytest.mark.parametrize("part", ["layers.0.self_attn.q_proj", "embed_tokens", "norm"])
def test_a_missing_tensor_is_not_made_up(model_copy: Path, part: str) -> None:
    """Weights that lack a tensor are refused instead of being completed with random numbers."""
    drop_tensor(model_copy, part)

    with pytest.raises(ModelError, match=rf"tensors are in no safetensors file, such as \S*{part}"):
        load_encoder(str(model_copy))
