"""Both stores of a corpus: what is looked at in each, under which name, and by which model it must have been made."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.conftest import SMALL_ROWS, Sample, build_sample_store, write_sample
from tests.stores import (
    build_request,
    copy_blobs,
    edit_database,
    edit_manifest,
    flip_bit,
    get_path,
    load_sample,
    name_model,
    replace_array,
)
from validation.engine import Engine
from validation.evidence import StoreEvidence, collect_store
from validation.expectations import open_remembering
from validation.gate import load_corpus
from validation.outcomes import Check, Outcome
from validation.policy import EXPECTATIONS, Limits, load_rulebook
from validation.stores import (
    ROLES,
    CorpusRequest,
    check_corpus,
    check_distinct,
    check_model,
    check_store,
    check_stores,
    open_stores,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.params import CandidateName
    from validation.expectations import SuiteRunner
    from validation.spoiling import Part

pytestmark = pytest.mark.requirement("REQ-INT-01", "REQ-INT-02", "REQ-INT-03", "REQ-INT-04")

MODEL_IDS: dict[CandidateName, str] = {"base": "base-model", "qlora": "qlora-model"}
PASS, FAIL, ERROR = Outcome.PASS, Outcome.FAIL, Outcome.ERROR


@pytest.fixture(scope="module")
def limits() -> Limits:
    """The limits of the project."""
    return load_rulebook(EXPECTATIONS / "policy.yaml").policy.limits


@pytest.fixture
def pair(tmp_path: Path, small: Sample) -> CorpusRequest:
    """Two good stores of which the pipeline knows the models, and which params.yaml names."""
    stores: dict[CandidateName, Path] = {}
    for seed, (role, model_id) in enumerate(MODEL_IDS.items()):
        stores[role] = build_sample_store(small, tmp_path / role, model_id=model_id, hits=6, seed=seed)
        name_model(stores[role])
    request = build_request(small, stores["base"], stores["qlora"], total=SMALL_ROWS)
    return replace(request, model_ids=MODEL_IDS)


@pytest.fixture
def store(pair: CorpusRequest) -> Path:
    """The candidate's store."""
    return pair.stores["qlora"]


def open_runner() -> SuiteRunner:
    """Return what runs the project's suites."""
    return open_remembering(EXPECTATIONS / "suites")


def look(pair: CorpusRequest, small: Sample, limits: Limits) -> tuple[dict[CandidateName, StoreEvidence], list[Check]]:
    """Look at both stores of a request."""
    corpus = load_sample(small)
    opened = open_stores(pair, corpus, lambda _: None)
    return opened.stores, check_stores(opened, corpus, pair, limits, Engine(open_runner()))


def read(store: Path, small: Sample, role: CandidateName = "qlora") -> StoreEvidence:
    """Read a store that must be trusted."""
    evidence, checks = collect_store(role, store, load_sample(small))

    assert evidence is not None, checks

    return evidence


def list_open(checks: list[Check]) -> dict[tuple[str, str], Outcome]:
    """Return what did not pass."""
    return {check.key: check.outcome for check in checks if check.outcome is not PASS}


# Both stores


def test_both_stores_are_looked_at(pair: CorpusRequest, small: Sample, limits: Limits) -> None:
    """Every check of integrity, vectors and database reports once for each store, and INT104 once for both."""
    told: list[str] = []
    corpus = load_sample(small)
    opened = open_stores(pair, corpus, told.append)
    stores, checks = opened.stores, check_stores(opened, corpus, pair, limits, Engine(open_runner()))
    policy = load_rulebook(EXPECTATIONS / "policy.yaml").policy.release
    expected = {("INT104", "fr")}
    for role in ROLES:
        expected |= {(check, f"{role}/fr") for check in {*policy.integrity, *policy.database} - {"INT104"}}
        expected |= {(check, f"{role}/fr/{part}") for check in policy.vectors for part in ("passages", "questions")}

    assert list(stores) == ["base", "qlora"]
    assert [stores[role].folder for role in ROLES] == [pair.stores[role] for role in ROLES]
    assert {check.key for check in checks} == expected
    assert len(checks) == len(expected)
    assert list_open(checks) == {}
    assert told == ["store base of fr", "store qlora of fr"]


@pytest.mark.parametrize("role", ROLES)
def test_a_store_that_cannot_be_trusted_does_not_hide_the_other(
    pair: CorpusRequest, small: Sample, limits: Limits, role: CandidateName
) -> None:
    """The other store is looked at in full; what needs both does not report, and nothing is read of the bad one."""
    flip_bit(pair.stores[role], "questions")
    stores, checks = look(pair, small, limits)
    other = "qlora" if role == "base" else "base"

    assert list(stores) == [other]
    assert list_open(checks) == {("INT101", f"{role}/fr"): ERROR}
    assert [check.id for check in checks if check.subject.startswith(f"{role}/")] == ["INT101"]
    assert ("STO204", f"{other}/fr") in {check.key for check in checks}
    assert "INT104" not in {check.id for check in checks}


@pytest.mark.parametrize("role", ROLES)
def test_a_database_that_is_not_sound_is_not_looked_into(
    pair: CorpusRequest, small: Sample, limits: Limits, role: CandidateName
) -> None:
    """Bytes and texts hold, INT106 does not: neither vectors nor rows of that store are judged, the other one's are."""
    edit_database(pair.stores[role], "CREATE TABLE notes(text TEXT)")
    stores, checks = look(pair, small, limits)
    spoilt = {check.id: check.outcome for check in checks if check.subject.startswith(f"{role}/")}

    assert list(stores) == ["qlora" if role == "base" else "base"]
    assert list_open(checks) == {("INT106", f"{role}/fr"): ERROR}
    assert spoilt == {"INT101": PASS, "INT102": PASS, "INT103": PASS, "INT106": ERROR}


def test_two_stores_that_are_gone_leave_two_errors(pair: CorpusRequest, small: Sample, limits: Limits) -> None:
    """Nothing is read, nothing is compared, and each store is named."""
    for folder in pair.stores.values():
        shutil.rmtree(folder)
    stores, checks = look(pair, small, limits)

    assert stores == {}
    assert [check.key for check in checks] == [("INT101", "base/fr"), ("INT101", "qlora/fr")]


def test_a_base_with_the_candidate_s_label_is_seen(pair: CorpusRequest, small: Sample, limits: Limits) -> None:
    """The same vectors under another name are still the same vectors."""
    array = np.load(get_path(pair.stores["base"], "embeddings"))
    replace_array(pair.stores["qlora"], "embeddings", array)
    copy_blobs(pair.stores["qlora"], array)

    assert list_open(look(pair, small, limits)[1]) == {("INT104", "fr"): ERROR}


# One store


def test_a_label_that_nobody_names_is_the_store_s_own(pair: CorpusRequest, small: Sample, limits: Limits) -> None:
    """Stores from elsewhere have no declared model: INT105 does not report, the database must agree with its store."""
    foreign = replace(pair, model_ids=None)
    corpus = load_sample(small)
    found = check_store(read(pair.stores["qlora"], small), corpus, foreign, limits, Engine(open_runner()))
    edit_database(pair.stores["qlora"], "UPDATE metadata SET value = 'base-model' WHERE key = 'model_id'")
    spoilt = check_store(read(pair.stores["qlora"], small), corpus, foreign, limits, Engine(open_runner()))

    assert list_open(found) == {}
    assert "INT105" not in {check.id for check in found}
    assert list_open(spoilt) == {("STO208", "qlora/fr"): FAIL}


def test_a_declared_label_binds_store_and_database(pair: CorpusRequest, small: Sample, limits: Limits) -> None:
    """A store that agrees with itself on another model is refused by manifest and database alike."""
    store = pair.stores["qlora"]
    edit_database(store, "UPDATE metadata SET value = 'stranger' WHERE key = 'model_id'")
    edit_manifest(store, lambda document: document.update(model_id="stranger"))
    checks = check_store(read(store, small), load_sample(small), pair, limits, Engine(open_runner()))

    assert list_open(checks) == {("INT105", "qlora/fr"): ERROR, ("STO208", "qlora/fr"): FAIL}


@pytest.mark.parametrize(
    ("role", "rows", "expected"),
    [
        ("embeddings", slice(0, -1), {("VEC101", "qlora/fr/passages"), ("STO204", "qlora/fr")}),
        ("questions", slice(0, -1), {("VEC101", "qlora/fr/questions")}),
    ],
    ids=["passages", "questions"],
)
def test_each_matrix_has_its_own_number_of_rows(
    pair: CorpusRequest, small: Sample, limits: Limits, role: Part, rows: slice, expected: set[tuple[str, str]]
) -> None:
    """Passages are counted against the corpus, questions against the gold set."""
    store = pair.stores["qlora"]
    replace_array(store, role, np.load(get_path(store, role))[rows])
    checks = check_store(read(store, small), load_sample(small), pair, limits, Engine(open_runner()))

    assert list_open(checks) == dict.fromkeys(expected, FAIL)


def test_fewer_questions_than_chunks_are_no_fault(tmp_path: Path, limits: Limits) -> None:
    """The number of questions has nothing to do with the size of the corpus."""
    sample = write_sample(tmp_path / "corpus", rows=SMALL_ROWS, questions=5)
    store = build_sample_store(sample, tmp_path / "store", model_id="base-model", hits=3)
    request = build_request(sample, store, store)
    checks = check_store(read(store, sample, "base"), load_sample(sample), request, limits, Engine(open_runner()))

    assert list_open(checks) == {}


# Which model


def set_model(document: dict[str, Any], value: object) -> None:
    """Put another label into a manifest, or take the provenance out of it."""
    document["model" if value is None else "model_id"] = value


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("Qlora-model", "made by Qlora-model"),
        ("qlora-model ", "made by qlora-model "),
        ("qlor\u0430-model", "made by qlor\u0430-model"),
        ("base-model", "made by base-model"),
        (None, "vectors of unknown provenance"),
    ],
    ids=["capital", "space", "another alphabet's letter", "the base's", "unknown"],
)
def test_the_model_is_told_by_its_exact_name(store: Path, small: Sample, label: str | None, said: str) -> None:
    """Whatever is not, byte for byte, the declared model, or is known by its label only, is an ERROR of INT105."""
    edit_manifest(store, lambda document: set_model(document, label))
    check = check_model(read(store, small), "qlora-model")

    assert (check.id, check.subject, check.outcome) == ("INT105", "qlora/fr", ERROR)
    assert (check.observed, check.limit, check.detail) == (label or "qlora-model", "qlora-model", said)


def test_the_declared_model_passes(store: Path, small: Sample) -> None:
    """The declared model, whose vectors the pipeline made itself, passes."""
    assert check_model(read(store, small), "qlora-model") == Check(
        "INT105", "qlora/fr", PASS, "qlora-model", "qlora-model"
    )


@pytest.mark.parametrize(("seed", "outcome"), [(0, ERROR), (1, PASS)], ids=["equal", "different"])
def test_equal_vectors_are_nothing_to_compare(
    tmp_path: Path, pair: CorpusRequest, small: Sample, seed: int, outcome: Outcome
) -> None:
    """A candidate with the base's passages, under whatever label and with whatever questions, is an ERROR of INT104."""
    other = build_sample_store(small, tmp_path / "other", model_id="qlora-model", hits=9, seed=seed)
    check = check_distinct(read(pair.stores["base"], small, "base"), read(other, small), "fr")

    assert (check.id, check.subject, check.outcome) == ("INT104", "fr", outcome)
    assert (check.detail is None) is (outcome is PASS)


# The corpus


@pytest.mark.parametrize(
    ("total", "failed"), [(None, set()), (SMALL_ROWS, set()), (SMALL_ROWS + 1, {"CHK101"})], ids=str
)
def test_a_corpus_has_the_declared_size(
    pair: CorpusRequest, limits: Limits, total: int | None, failed: set[str]
) -> None:
    """Where params.yaml declares a size it binds; where nothing does, the corpus is as large as it is."""
    corpus = load_corpus(replace(pair, total=total))
    checks = check_corpus(corpus, limits, open_runner())

    assert list_open(checks) == {(check, "fr"): FAIL for check in failed}
    assert {check.subject for check in checks} == {"fr"}
