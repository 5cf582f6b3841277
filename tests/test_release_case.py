"""The release that trials start from: a control candidate better by construction, and copies to be spoilt."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.canary import draw_rows
from pipeline.errors import StoreError
from pipeline.store import load_manifest
from tests.conftest import draw_unit_vectors
from tests.releases import (
    MODEL_IDS,
    build_small_case,
    get_check,
    judge_release,
    load_small_rulebook,
    remember_expectations,
    write_corpora,
    write_faint_bases,
)
from tests.stores import edit_manifest, get_path, load_array, replace_array
from validation.comparison import answer_questions
from validation.latency import collect_digests
from validation.outcomes import Outcome, Verdict
from validation.release_case import ReleaseCase, blur, build_canaries, build_control, normalise
from validation.stores import ROLES

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.params import CandidateName
    from validation.policy import Rulebook
    from validation.spoiling import Part
    from validation.stores import CorpusRequest


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    """The rules of the project, with a tenth of the resamples."""
    return load_small_rulebook()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, rulebook: Rulebook) -> ReleaseCase:
    """A small release of two corpora; read only."""
    return build_small_case(tmp_path_factory.mktemp("release"), rulebook)


@pytest.fixture
def case(built: ReleaseCase, tmp_path: Path) -> ReleaseCase:
    """That release, with a folder of its own to spoil things in."""
    return replace(built, folder=tmp_path)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> list[CorpusRequest]:
    """Base stores that no control has been built beside."""
    requests = write_corpora(tmp_path_factory.mktemp("bases"))
    write_faint_bases(requests)
    return requests


def read_bytes(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def count_found(case: ReleaseCase, role: CandidateName, corpus: int) -> int:
    """Return how many questions of a corpus a store answers in its top 5."""
    store = case.get_store(role, corpus)
    answers = answer_questions(load_array(store, "questions"), load_array(store, "embeddings"), case.gold[corpus])
    return answers.ranks.count_hits(5)


# The control


@pytest.mark.parametrize("corpus", [0, 1], ids=["primary", "secondary"])
def test_the_control_answers_more(built: ReleaseCase, corpus: int) -> None:
    """Every question finds what answers it, which the base does not."""
    assert 20 < count_found(built, "base", corpus) < 100
    assert count_found(built, "qlora", corpus) == 120


def test_the_control_is_not_the_base(built: ReleaseCase) -> None:
    """Its passages lie beside those of the base, and not one of them is the base's own."""
    base, control = (load_array(built.get_store(role), "embeddings") for role in ROLES)

    assert (base * control).sum(axis=1).min() > 0.999
    assert not (base == control).all(axis=1).any()
    np.testing.assert_allclose(np.linalg.norm(control, axis=1), 1, atol=1e-6)


def test_the_control_carries_the_candidate_s_name(built: ReleaseCase) -> None:
    """Provenance is the base's but for the name that params.yaml gives to the candidate."""
    base, control = (load_manifest(built.get_store(role)) for role in ROLES)

    assert base.model is not None
    assert control.model == base.model.model_copy(update={"model_id": MODEL_IDS["qlora"]})
    assert control.model_id == MODEL_IDS["qlora"]


def test_the_control_is_released(built: ReleaseCase, rulebook: Rulebook) -> None:
    """The whole gate, but for its certificate and a drill, finds nothing in it."""
    rules = rulebook.policy.release.model_copy(update={"certificate": None, "drill": None, "coverage": None})
    with remember_expectations():
        judgement = judge_release(built.build_request(), rulebook, rules)

    assert judgement.decision.verdict is Verdict.RELEASE
    assert len(judgement.findings) == 2


def test_the_control_is_the_same_every_time(bases: list[CorpusRequest], rulebook: Rulebook, tmp_path: Path) -> None:
    """The same base, gold set and seed give the same bytes."""
    one, other = (build_control(bases[0], tmp_path / name, rulebook.policy) for name in ("one", "other"))

    assert read_bytes(one) == read_bytes(other)


def test_a_base_of_unknown_provenance_has_no_known_control(
    bases: list[CorpusRequest], rulebook: Rulebook, tmp_path: Path
) -> None:
    """What nobody saw of the base nobody saw of the control: it must not pass for more than its base does."""
    request = copy_base(bases[1], tmp_path)
    edit_manifest(request.stores["base"], lambda document: document.update(model=None))
    manifest = load_manifest(build_control(request, tmp_path / "control", rulebook.policy))

    assert (manifest.model, manifest.model_id) == (None, MODEL_IDS["qlora"])


def copy_base(request: CorpusRequest, folder: Path) -> CorpusRequest:
    """Return a request with its own copy of the base store."""
    shutil.copytree(request.stores["base"], folder / "base")
    return replace(request, stores={**request.stores, "base": folder / "base"})


def test_a_base_that_cannot_be_read_has_no_control(
    bases: list[CorpusRequest], rulebook: Rulebook, tmp_path: Path
) -> None:
    """A base that is gone is an error and leaves no control."""
    gone = replace(bases[0], stores={**bases[0].stores, "base": tmp_path / "absent"})

    with pytest.raises(StoreError, match="expected a store folder"):
        build_control(gone, tmp_path / "control", rulebook.policy)
    assert not (tmp_path / "control").exists()


@pytest.mark.parametrize("part", ["embeddings", "questions"])
@pytest.mark.parametrize("rows", [slice(0, -1), slice(0, 0), [*range(120), 0]], ids=["one less", "none", "one more"])
def test_a_base_of_another_size_has_no_control(
    bases: list[CorpusRequest], rulebook: Rulebook, tmp_path: Path, part: Part, rows: slice | list[int]
) -> None:
    """A base with more or fewer vectors than texts is one line that names it, and leaves no control."""
    request = copy_base(bases[0], tmp_path)
    store = request.stores["base"]
    replace_array(store, part, load_array(store, part)[rows])

    with pytest.raises(StoreError, match="another number of vectors than there are texts") as caught:
        build_control(request, tmp_path / "control", rulebook.policy)
    assert str(caught.value).startswith(f"{store}: ")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base"]


# Samples embedded anew


def test_samples_are_of_the_stores_own_vectors(built: ReleaseCase) -> None:
    """Both roles have a sample of both corpora: their own rows, those that the texts draw, under their own model."""
    assert list(built.canaries) == list(ROLES)
    for role, canary in built.canaries.items():
        assert list(canary.corpora) == ["fr", "intl"]
        assert canary.model == load_manifest(built.get_store(role)).model
        for number, (name, sample) in enumerate(canary.corpora.items()):
            store, gold = built.get_store(role, number), built.gold[number]

            assert name == gold.name
            assert (sample.chunks_sha256, sample.questions_sha256) == (gold.chunks_sha256, gold.questions_sha256)
            assert sample.passages.rows == draw_rows(gold.chunks_sha256, 120)
            assert sample.questions.rows == draw_rows(gold.questions_sha256, 120)
            np.testing.assert_array_equal(
                sample.passages.decode(), load_array(store, "embeddings")[sample.passages.rows]
            )
            np.testing.assert_array_equal(
                sample.questions.decode(), load_array(store, "questions")[sample.questions.rows]
            )


def test_a_store_of_unknown_provenance_has_no_sample(bases: list[CorpusRequest], tmp_path: Path) -> None:
    """Where nobody knows the model, nobody can have embedded anything with it."""
    request = copy_base(bases[0], tmp_path)
    request = replace(request, stores=dict.fromkeys(ROLES, request.stores["base"]))
    edit_manifest(request.stores["base"], lambda document: document.update(model=None))

    assert build_canaries([request]) == {}


def test_samples_are_those_of_the_release(case: ReleaseCase, rulebook: Rulebook) -> None:
    """When a copy of a store is spoilt the samples stay what they were, and show it."""
    changed, store = case.copy_store("qlora")
    replace_array(store, "questions", draw_unit_vectors(120, 7))
    with remember_expectations():
        judgement = judge_release(changed.build_request(), rulebook)

    assert changed.build_request().canaries is case.canaries
    assert get_check(judgement, "VEC109", "qlora/fr/questions").outcome is Outcome.FAIL
    assert get_check(judgement, "VEC109", "qlora/fr/passages").outcome is Outcome.PASS


# Copies to be spoilt


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("corpus", [0, 1], ids=["primary", "secondary"])
def test_a_copy_leaves_the_original_alone(case: ReleaseCase, role: CandidateName, corpus: int) -> None:
    """Only the named store of the named corpus is another folder, with the same bytes, in the case's own folder."""
    original = case.get_store(role, corpus)
    copied, store = case.copy_store(role, corpus)
    stores = [(copied.get_store(r, c), case.get_store(r, c)) for r in ROLES for c in (0, 1)]

    assert store.parent == case.folder
    assert copied.get_store(role, corpus) == store != original == case.get_store(role, corpus)
    assert read_bytes(store) == read_bytes(original)
    assert sum(new != old for new, old in stores) == 1
    assert [each.primary for each in copied.corpora] == [True, False]


def test_latency_is_bound_to_the_stores_that_are_judged(case: ReleaseCase) -> None:
    """After a store was changed, the request's latency is of the changed bytes, with the times that were measured."""
    changed, store = case.copy_store("qlora", 1)
    replace_array(store, "questions", draw_unit_vectors(120, 7))
    latency, before = changed.build_request().latency, case.build_request().latency

    assert latency is not None
    assert before is not None
    assert latency.corpora["fr"] == before.corpora["fr"]
    assert latency.corpora["intl"].operations == before.corpora["intl"].operations
    assert latency.corpora["intl"].stores == collect_digests(*(load_manifest(changed.get_store(r, 1)) for r in ROLES))
    assert latency.corpora["intl"].stores != before.corpora["intl"].stores


def test_latency_stays_as_it_was_where_it_is_told_to(case: ReleaseCase) -> None:
    """A case that does not bind its latency anew carries the evidence as it was measured."""
    changed, store = case.copy_store("qlora")
    replace_array(store, "questions", draw_unit_vectors(120, 7))

    assert replace(changed, rebinds=False).build_request().latency is case.latency


def test_a_case_asks_for_a_release(case: ReleaseCase) -> None:
    """The request is that of a release, with the evidence of the case and no day on which anything could expire."""
    request = case.build_request()

    assert (request.for_release, request.as_of) == (True, date.min)
    assert (request.training, request.certificate) == (case.training, None)
    assert (request.canaries, request.inputs) == (case.canaries, ())
    assert request.corpora == list(case.corpora)


def test_a_narrow_case_is_judged_on_one_corpus(case: ReleaseCase, rulebook: Rulebook) -> None:
    """With only its primary corpus a case needs nothing of the other one."""
    narrow = replace(case, corpora=case.corpora[:1], gold=case.gold[:1])
    with remember_expectations():
        judgement = judge_release(narrow.build_request(), rulebook)

    assert {check.subject.split("/")[-1] for check in judgement.ledger} == {"fr", "passages", "questions", "gate"}
    assert get_check(judgement, "CER501", "gate").outcome is Outcome.ERROR


# Noise


@settings(max_examples=25, deadline=None)
@given(noise=st.floats(0.0, 3.0), seed=st.integers(0, 100))
def test_noise_turns_a_vector_as_far_as_its_length_says(noise: float, seed: int) -> None:
    """A unit vector with noise of length l keeps the cosine 1 / √(1 + l²), and length 1."""
    vectors = draw_unit_vectors(60, seed)
    blurred = blur(vectors, noise, np.random.default_rng(seed))

    np.testing.assert_allclose(np.linalg.norm(blurred, axis=1), 1, atol=1e-5)
    assert (vectors * blurred).sum(axis=1).mean() == pytest.approx(1 / (1 + noise**2) ** 0.5, abs=0.03)
    assert blurred.dtype == np.float32


def test_lengths_become_one() -> None:
    """Directions stay, lengths become 1, in float32 whatever they were in."""
    found = normalise(np.array([[3.0, 4.0], [0.0, -2.0]]))

    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, -1.0]], atol=1e-7)
    assert found.dtype == np.float32


def test_the_control_never_moves_the_base(bases: list[CorpusRequest], rulebook: Rulebook, tmp_path: Path) -> None:
    """Building a control writes nothing beside the base store."""
    build = bases[0].stores["base"].parents[1]
    before = read_bytes(build)
    build_control(bases[0], tmp_path / "control", rulebook.policy)

    assert read_bytes(build) == before
    assert get_path(tmp_path / "control", "database").is_file()
