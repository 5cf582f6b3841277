"""`python -m pipeline.finetune_embeddinggemma`: a merged model with a full record of its making, or one line."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline import finetune_embeddinggemma
from pipeline.chunks import load_chunks
from pipeline.encoder import load_encoder
from pipeline.errors import InputError
from pipeline.finetune_embeddinggemma import build_columns, finetune, load_titles
from pipeline.model_folder import ModelSource, compute_weights_digest, find_model
from pipeline.params import HubModel, load_params
from pipeline.triplets import Triplet
from tests.bad_input import check_refusal, list_scraps
from tests.hub import REVISION, cache_model
from tests.test_encoder import resize_dense
from tests.tuning import PEFT_READS_OLD_NAME, SETTINGS, STEPS, write_triplets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Result, Sample
    from tests.tuning import Tuning

merges = pytest.mark.filterwarnings(f"ignore:{PEFT_READS_OLD_NAME}:FutureWarning")


def read_json(path: Path) -> Any:
    """Return a JSON document."""
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_folder_is_a_complete_model(tuning: Tuning) -> None:
    """Weights in safetensors, configuration, modules, tokenizer, identity and training record, and no scraps."""
    names = {path.relative_to(tuning.folder).as_posix() for path in tuning.folder.rglob("*") if path.is_file()}

    assert names >= {
        "model.safetensors", "config.json", "modules.json", "tokenizer.json", "identity.json", "training_args.json",
        "2_Dense/model.safetensors", "3_Dense/model.safetensors",
    }  # fmt: skip
    assert {path.rsplit(".", 1)[1] for path in names} == {"json", "safetensors"}
    assert list_scraps(tuning.folder.parent) == []


def test_the_configuration_is_the_parents(tuning: Tuning) -> None:
    """The merged model has the parent's architecture and prompts."""
    for name in ("config.json", "modules.json"):
        assert read_json(tuning.folder / name) == read_json(tuning.parent / name)
    prompts = [
        read_json(folder / "config_sentence_transformers.json")["prompts"] for folder in (tuning.folder, tuning.parent)
    ]

    assert prompts[0] == prompts[1]


def test_the_record_names_the_parent(tuning: Tuning) -> None:
    """Parent, its revision and the digest of its weights are those of the model that was trained on."""
    record = read_json(tuning.folder / "training_args.json")

    assert record["model_id"] == "tiny-tuned"
    assert record["parent"] == {
        "model_id": "tiny-base",
        "revision": None,
        "weights_sha256": compute_weights_digest(tuning.parent),
    }


def test_the_record_has_every_setting(tuning: Tuning) -> None:
    """Each setting of params.yaml is recorded with the value that was used, the seed among them."""
    settings = read_json(tuning.folder / "training_args.json")["settings"]
    configured = load_params().active.qlora

    assert settings == SETTINGS | {"dropout": configured.dropout, "temperature": configured.temperature}
    assert set(settings) == set(type(configured).model_fields) - {"model_id", "parent"}


def test_the_record_binds_the_data(tuning: Tuning) -> None:
    """The number of triplets and the SHA-256 of their file."""
    record = read_json(tuning.folder / "training_args.json")

    assert record["data"] == {
        "triplets": len(tuning.triplets.read_text(encoding="utf-8").splitlines()),
        "sha256": hashlib.sha256(tuning.triplets.read_bytes()).hexdigest(),
    }


def test_the_record_has_the_loss_curve_and_method(tuning: Tuning) -> None:
    """One finite loss a step, a fall, and the libraries that carried it out."""
    record = read_json(tuning.folder / "training_args.json")

    assert len(record["loss"]) == STEPS
    assert np.isfinite(record["loss"]).all()
    assert np.mean(record["loss"][-2:]) < np.mean(record["loss"][:2])
    assert record["method"]["adapter"] == "LoRA"
    assert set(record["method"]["libraries"]) >= {"torch", "peft", "bitsandbytes", "sentence-transformers"}


def test_the_result_loads_under_its_own_name(tuning: Tuning, sample: Sample) -> None:
    """The merged model embeds like any other, by its own identity and with other vectors than its parent's."""
    chunks = load_chunks(sample.chunks).chunks
    tuned, parent = (load_encoder(str(folder), device="cpu") for folder in (tuning.folder, tuning.parent))

    assert find_model(str(tuning.folder)).source == ModelSource(model_id="tiny-tuned", revision=None)
    assert tuned.identity.weights_sha256 != parent.identity.weights_sha256
    assert np.abs(tuned.encode_documents(chunks) - parent.encode_documents(chunks)).max() > 1e-3


def test_training_sees_the_prompts_that_embedding_uses(tuning: Tuning) -> None:
    """Questions as queries; passages with the section of their chunk as title, `none` where it has none."""
    titles = {chunk.text: chunk.section or "none" for chunk in load_chunks(tuning.chunks).chunks}
    rows = [json.loads(line) for line in tuning.triplets.read_text(encoding="utf-8").splitlines()]

    assert tuning.columns == {
        "anchor": [f"task: search result | query: {row['anchor']}" for row in rows],
        "positive": [f"title: {titles[row['positive']]} | text: {row['positive']}" for row in rows],
        "negative": [f"title: {titles[row['negative']]} | text: {row['negative']}" for row in rows],
    }
    assert {"none"} < set(titles.values())


@merges
def test_training_repeats(tuning: Tuning, tmp_path: Path) -> None:
    """The same parent, data and seed give the same loss curve and vectors within 1e-5."""
    finetune(
        tuning.triplets, tmp_path / "again", model=str(tuning.parent), chunks=tuning.chunks, model_id="tiny-tuned",
        **SETTINGS,
    )  # fmt: skip
    first, again = (read_json(folder / "training_args.json") for folder in (tuning.folder, tmp_path / "again"))
    vectors = [load_encoder(str(folder)).encode_questions(["roque"]) for folder in (tuning.folder, tmp_path / "again")]

    assert again["loss"] == pytest.approx(first["loss"], abs=1e-5)
    assert again | {"loss": None} == first | {"loss": None}
    np.testing.assert_allclose(vectors[1], vectors[0], atol=1e-5)


@merges
def test_two_pairs_from_a_hub_parent_suffice(
    run_cli: Callable[..., Result], tiny_model: Path, hub_cache: Path, tmp_path: Path
) -> None:
    """The least to train on is two rows; negatives are optional; a hub parent is recorded with its commit."""
    cache_model(tiny_model, hub_cache, "acme/tiny")
    triplets = tmp_path / "pairs.jsonl"
    triplets.write_text(
        '{"anchor": "roi", "positive": "a b c"}\n{"anchor": "dame", "positive": "d"}\n', encoding="utf-8"
    )
    output = tmp_path / "tuned"
    shutil.copytree(tiny_model, output)
    (output / "left-over.json").write_text("{}", encoding="utf-8")

    result = run_cli(
        "pipeline.finetune_embeddinggemma", "--triplets", triplets, "--output", output, "--model", "acme/tiny",
        "--revision", REVISION, "--model-id", "pair-tuned", "--epochs", 1, "--batch-size", 2, "--rank", 2, "--alpha", 3,
    )  # fmt: skip

    record = read_json(output / "training_args.json")
    assert result.code == 0
    assert result.out.startswith(f"{output}: pair-tuned from acme/tiny, loss ")
    assert (record["parent"]["model_id"], record["parent"]["revision"]) == ("acme/tiny", REVISION)
    assert (record["settings"]["rank"], record["settings"]["alpha"]) == (2, 3)
    assert len(record["loss"]) == 1
    assert not (output / "left-over.json").exists()


def test_the_parent_of_params_is_used_when_none_is_given(
    run_cli: Callable[..., Result], tmp_path: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parent in params.yaml goes before the built base; here it is looked for in the cache and missed by name."""
    params = load_params()
    parent = HubModel(kind="hub", model="acme/parent", revision=REVISION, folder=None)
    qlora = params.active.qlora.model_copy(update={"parent": parent})
    chosen = params.model_copy(update={"profiles": {params.profile: params.active.model_copy(update={"qlora": qlora})}})
    monkeypatch.setattr(finetune_embeddinggemma, "load_params", lambda: chosen)
    triplets = tmp_path / "t.jsonl"
    triplets.write_text('{"anchor": "roi", "positive": "a"}\n{"anchor": "dame", "positive": "d"}\n', encoding="utf-8")

    result = run_cli("pipeline.finetune_embeddinggemma", "--triplets", triplets, "--output", tmp_path / "tuned")

    check_refusal(result, "acme/parent", REVISION, "not in the local hub cache")
    assert not hub_cache.exists()


def test_a_missing_base_model_says_how_to_build_it(
    run_cli: Callable[..., Result], sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --model, and before anything is built, the line tells both ways out."""
    monkeypatch.setattr(finetune_embeddinggemma, "BASE_MODEL", tmp_path / "build" / "models" / "base")
    triplets = write_triplets(tmp_path / "t.jsonl", sample.chunks)

    result = run_cli("pipeline.finetune_embeddinggemma", "--triplets", triplets, "--output", tmp_path / "tuned")

    check_refusal(result, str(tmp_path / "build" / "models" / "base"), "no base model yet", "dvc repro", "--model")


GOOD = '{"anchor": "a", "positive": "b", "negative": "c"}\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["t.jsonl", "does not exist"]),
        ("", ["t.jsonl", "at least 2 triplets, got 0"]),
        (GOOD, ["t.jsonl", "at least 2 triplets, got 1"]),
        (GOOD + '{"anchor": "a"}\n', ["t.jsonl:2", "positive", "Field required"]),
        (GOOD + '{"anchor": 3, "positive": "b"}\n', ["t.jsonl:2", "anchor", "expected a valid string, got 3"]),
        (GOOD + '{"anchor": "", "positive": "b"}\n', ["t.jsonl:2", "anchor", 'got ""']),
        (GOOD + '{"anchor": "a", "positive": "b", "label": 1}\n', ["t.jsonl:2", "label", "Extra inputs"]),
        (GOOD + '{"anchor": "a", "anchor": "b", "positive": "c"}\n', ["t.jsonl:2", 'duplicate key "anchor"']),
        (GOOD + '{"anchor": "a", "positive": "b"}\n', ["t.jsonl", "only 1 of 2 triplets have a negative"]),
        (GOOD + "\n" + GOOD, ["t.jsonl:2", "not valid JSON"]),
        (GOOD + "[]\n", ["t.jsonl:2", "got []"]),
    ],
    ids=[
        "missing", "empty", "one", "no-positive", "number", "empty-anchor", "extra", "twice", "some-negatives",
        "blank-line", "list",
    ],
)  # fmt: skip
def test_bad_training_data_leaves_the_old_model(
    run_cli: Callable[..., Result], tiny_model: Path, tmp_path: Path, text: str | None, words: list[str]
) -> None:
    """One line names file, row and field; the older model is untouched and nothing half-made is left."""
    triplets = tmp_path / "t.jsonl"
    if text is not None:
        triplets.write_text(text, encoding="utf-8")
    output = tmp_path / "tuned"
    shutil.copytree(tiny_model, output)
    before = compute_weights_digest(output)

    result = run_cli(
        "pipeline.finetune_embeddinggemma", "--triplets", triplets, "--output", output, "--model", tiny_model
    )

    check_refusal(result, *words)
    assert compute_weights_digest(output) == before
    assert list_scraps(tmp_path) == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda model: (model / "model.safetensors").unlink(), ["expected model.safetensors, got no weights"]),
        (lambda model: (model / "x.bin").write_bytes(b"x"), ["x.bin", "pickled weights are never loaded"]),
        (lambda model: resize_dense(model, 512), ["expected 768 dimensions, got 512"]),
    ],
    ids=["no-weights", "pickle", "512-d"],
)
def test_a_bad_parent_leaves_no_model(
    run_cli: Callable[..., Result],
    sample: Sample,
    tiny_model: Path,
    tmp_path: Path,
    spoil: Callable[[Path], object],
    words: list[str],
) -> None:
    """The parent is checked like every model; nothing is written when it fails."""
    parent = tmp_path / "parent"
    shutil.copytree(tiny_model, parent)
    spoil(parent)
    triplets = write_triplets(tmp_path / "t.jsonl", sample.chunks)

    result = run_cli(
        "pipeline.finetune_embeddinggemma", "--triplets", triplets, "--output", tmp_path / "out" / "tuned",
        "--model", parent,
    )  # fmt: skip

    check_refusal(result, str(parent), *words)
    assert not (tmp_path / "out" / "tuned").exists()
    assert list_scraps(tmp_path) == []


def test_a_folder_of_something_else_is_never_replaced(
    run_cli: Callable[..., Result], sample: Sample, tiny_model: Path, tmp_path: Path
) -> None:
    """A mistyped --output does not cost a folder of other things."""
    triplets = write_triplets(tmp_path / "t.jsonl", sample.chunks)

    result = run_cli(
        "pipeline.finetune_embeddinggemma", "--triplets", triplets, "--output", sample.chunks.parent,
        "--model", tiny_model,
    )  # fmt: skip

    check_refusal(result, str(sample.chunks.parent), "exists and is not a model folder")
    assert sample.chunks.is_file()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--rank", "0"), ("--alpha", "0"), ("--epochs", "0"), ("--epochs", "nan"), ("--epochs", "-1"),
        ("--batch-size", "1"), ("--learning-rate", "0"), ("--learning-rate", "inf"), ("--model-id", ""),
        ("--seed", "x"),
    ],
)  # fmt: skip
def test_settings_without_sense_are_wrong_usage(
    run_cli: Callable[..., Result], sample: Sample, tiny_model: Path, tmp_path: Path, option: str, value: str
) -> None:
    """Code 2 and the option's name, before anything is trained."""
    triplets = write_triplets(tmp_path / "t.jsonl", sample.chunks)

    result = run_cli(
        "pipeline.finetune_embeddinggemma", "--triplets", triplets, "--output", tmp_path / "tuned",
        "--model", tiny_model, option, value,
    )  # fmt: skip

    assert result.code == 2
    assert result.err.startswith("error: ")
    assert option in result.err
    assert not (tmp_path / "tuned").exists()


def test_titles_come_from_the_sections(sample: Sample) -> None:
    """Each passage text maps to its section; one without a section has no title; no corpus, no titles."""
    chunks = load_chunks(sample.chunks).chunks

    titles = load_titles(sample.chunks)

    assert titles == {chunk.text: chunk.section for chunk in chunks if chunk.section}
    assert chunks[0].text not in titles
    assert load_titles(None) == {}


def test_columns_without_negatives_have_no_such_column(tmp_path: Path) -> None:
    """Two rows without negatives give two columns, prompted; unknown passages get the title `none`."""
    rows = [Triplet(anchor="roi", positive="a"), Triplet(anchor="dame", positive="b")]

    assert build_columns(rows, {"b": "La dame"}, tmp_path) == {
        "anchor": ["task: search result | query: roi", "task: search result | query: dame"],
        "positive": ["title: none | text: a", "title: La dame | text: b"],
    }


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_rows_are_refused(tmp_path: Path, count: int) -> None:
    """A contrastive loss needs another row to contrast with."""
    with pytest.raises(InputError, match=f"expected at least 2 triplets, got {count}"):
        build_columns([Triplet(anchor="roi", positive="a")] * count, {}, tmp_path)
