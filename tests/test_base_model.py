"""`python -m pipeline.base_model`: the profile's base model in a folder, built from the corpus or out of the cache."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline import base_model, params
from pipeline.chunks import load_chunks
from pipeline.encoder import load_encoder
from pipeline.model_folder import ModelSource, compute_weights_digest, find_model
from pipeline.params import Corpus, EmbeddedModel, HubModel, Params, Profile, load_params
from tests.bad_input import check_refusal, list_scraps
from tests.conftest import Result, write_sample
from tests.hub import REVISION, cache_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def choose_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[EmbeddedModel | HubModel], Path]:
    """Make a small project whose active profile has the given base model; return its corpus."""

    def choose(base: EmbeddedModel | HubModel) -> Path:
        processed = tmp_path / "project" / "corpus" / "processed"
        sample = write_sample(processed, rows=80).chunks.rename(processed / "chunks_mode_b_fr.json")
        given = load_params()
        chosen = given.model_copy(
            update={
                "corpora": [Corpus(name="fr", language="fr", total=80, duplicates_max=0.0, role="primary")],
                "profiles": {given.profile: Profile(base=base, qlora=given.active.qlora)},
            }
        )
        monkeypatch.setattr(params, "PROJECT_ROOT", tmp_path / "project")
        monkeypatch.setattr(base_model, "load_params", lambda: Params.model_validate(chosen.model_dump()))
        return sample

    return choose


def test_the_embedded_base_is_built_from_the_corpus(
    run_cli: Callable[..., Result],
    choose_base: Callable[[EmbeddedModel | HubModel], Path],
    tiny_settings: EmbeddedModel,
    tmp_path: Path,
) -> None:
    """The folder loads as a model under its own id, with its settings and a loss for each step beside it."""
    corpus = choose_base(tiny_settings)
    output = tmp_path / "models" / "base"

    result = run_cli("pipeline.base_model", "--output", output)

    record = json.loads((output / "training_args.json").read_text(encoding="utf-8"))
    assert result.code == 0
    assert result.out == f"{output}: tiny-base\n"
    assert find_model(str(output)).source == ModelSource(model_id="tiny-base", revision=None)
    assert record["settings"] == tiny_settings.model_dump()
    assert record["chunks"] == 80
    assert len(record["loss"]) == tiny_settings.steps
    assert load_encoder(str(output)).encode_documents(load_chunks(corpus).chunks).shape == (80, 768)
    assert list_scraps(tmp_path) == []


def test_a_corpus_counts_as_often_as_params_say(
    run_cli: Callable[..., Result],
    choose_base: Callable[[EmbeddedModel | HubModel], Path],
    tiny_settings: EmbeddedModel,
    tmp_path: Path,
) -> None:
    """A corpus with weight 2 is learnt from twice; one that is not named is left out."""
    choose_base(tiny_settings.model_copy(update={"corpora": {"fr": 2, "intl": 5}}))
    output = tmp_path / "base"

    assert run_cli("pipeline.base_model", "--output", output).code == 0
    assert json.loads((output / "training_args.json").read_text(encoding="utf-8"))["chunks"] == 160


def test_building_again_replaces_the_model_by_an_equal_one(
    run_cli: Callable[..., Result],
    choose_base: Callable[[EmbeddedModel | HubModel], Path],
    tiny_settings: EmbeddedModel,
    tmp_path: Path,
) -> None:
    """The same corpus and settings give vectors within 1e-5, and nothing of the older folder is left."""
    chunks = load_chunks(choose_base(tiny_settings)).chunks
    output = tmp_path / "base"
    run_cli("pipeline.base_model", "--output", output)
    (output / "left-over.json").write_text("{}", encoding="utf-8")
    before = load_encoder(str(output)).encode_documents(chunks)

    result = run_cli("pipeline.base_model", "--output", output)

    assert result.code == 0
    assert not (output / "left-over.json").exists()
    np.testing.assert_allclose(load_encoder(str(output)).encode_documents(chunks), before, atol=1e-5)


def test_a_hub_base_is_copied_out_of_the_cache(
    run_cli: Callable[..., Result],
    choose_base: Callable[[EmbeddedModel | HubModel], Path],
    tiny_model: Path,
    hub_cache: Path,
    tmp_path: Path,
) -> None:
    """The folder holds regular files, the same weights, and the hub's id and commit as identity."""
    snapshot = cache_model(tiny_model, hub_cache, "acme/tiny")
    choose_base(HubModel(kind="hub", model="acme/tiny", revision=REVISION, folder=None))
    output = tmp_path / "base"

    result = run_cli("pipeline.base_model", "--output", output)

    assert (result.code, result.out) == (0, f"{output}: acme/tiny\n")
    assert find_model(str(output)).source == ModelSource(model_id="acme/tiny", revision=REVISION)
    assert compute_weights_digest(output) == compute_weights_digest(snapshot)
    assert not any(path.is_symlink() for path in output.rglob("*"))


def test_a_hub_base_may_lie_in_a_folder(
    run_cli: Callable[..., Result],
    choose_base: Callable[[EmbeddedModel | HubModel], Path],
    tiny_model: Path,
    tmp_path: Path,
) -> None:
    """Where the revision lies in a folder, that folder is copied and the hub's id and commit stay the identity."""
    choose_base(HubModel(kind="hub", model="acme/tiny", revision=REVISION, folder=str(tiny_model)))
    output = tmp_path / "base"

    result = run_cli("pipeline.base_model", "--output", output)

    assert (result.code, result.out) == (0, f"{output}: acme/tiny\n")
    assert find_model(str(output)).source == ModelSource(model_id="acme/tiny", revision=REVISION)
    assert compute_weights_digest(output) == compute_weights_digest(tiny_model)


def test_a_hub_base_that_is_not_cached_leaves_the_old_model(
    run_cli: Callable[..., Result],
    choose_base: Callable[[EmbeddedModel | HubModel], Path],
    hub_cache: Path,
    tmp_path: Path,
) -> None:
    """Offline and not in the cache: one line names model, commit and remedy; the older folder is untouched."""
    choose_base(HubModel(kind="hub", model="acme/tiny", revision=REVISION, folder=None))
    output = tmp_path / "base"
    output.mkdir()
    (output / "modules.json").write_text("[]", encoding="utf-8")

    result = run_cli("pipeline.base_model", "--output", output)

    check_refusal(result, "acme/tiny", REVISION, "not in the local hub cache", "--download")
    assert [path.name for path in output.iterdir()] == ["modules.json"]
    assert list_scraps(tmp_path) == []
    assert not hub_cache.exists()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.unlink(), ["chunks_mode_b_fr.json", "does not exist"]),
        (lambda path: path.write_text("{", encoding="utf-8"), ["chunks_mode_b_fr.json", "not valid JSON at line 1"]),
    ],
    ids=["missing", "torn"],
)
def test_a_bad_corpus_leaves_no_model(
    run_cli: Callable[..., Result],
    choose_base: Callable[[EmbeddedModel | HubModel], Path],
    tiny_settings: EmbeddedModel,
    tmp_path: Path,
    spoil: Callable[[Path], object],
    words: list[str],
) -> None:
    """A model is made of all of its corpora or not at all."""
    spoil(choose_base(tiny_settings))

    result = run_cli("pipeline.base_model", "--output", tmp_path / "base")

    check_refusal(result, *words)
    assert not (tmp_path / "base").exists()
    assert list_scraps(tmp_path) == []


def test_a_folder_of_something_else_is_never_replaced(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    """A mistyped --output does not cost a folder of other things."""
    thesis = tmp_path / "documents" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("years of work", encoding="utf-8")

    result = run_cli("pipeline.base_model", "--output", thesis.parent)

    check_refusal(result, str(thesis.parent), "exists and is not a model folder")
    assert thesis.read_text(encoding="utf-8") == "years of work"


def test_an_output_is_required(run_cli: Callable[..., Result]) -> None:
    """Without --output the usage is wrong, code 2."""
    assert run_cli("pipeline.base_model").code == 2
