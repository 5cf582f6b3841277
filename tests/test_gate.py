"""The whole gate over small stores: for release with two corpora, and against encoders that are bad on purpose."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.vectors import DIMENSION, Matrix
from tests.conftest import Sample, build_sample_store, draw_unit_vectors, write_sample
from tests.stores import (
    ROLES,
    ROWS,
    build_request,
    edit_database,
    edit_manifest,
    get_path,
    name_model,
    replace_array,
    sign,
    write_pair,
)
from validation.gate import CorpusRequest, Judgement, judge
from validation.outcomes import Check, Outcome, Verdict
from validation.policy import EXPECTATIONS, Policy, load_rulebook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.params import CandidateName

    Sabotage = Callable[[Path], object]

CORPORA = {"fr": "primary", "intl": "secondary"}


@pytest.fixture(scope="module")
def policy() -> Policy:
    """The policy of the project, with a tenth of its resamples."""
    policy = load_rulebook(EXPECTATIONS / "policy.yaml").policy
    return policy.model_copy(update={"statistics": policy.statistics.model_copy(update={"resamples": 1000})})


def write_release(folder: Path, hits: dict[str, tuple[int, int]]) -> list[CorpusRequest]:
    """Write two corpora with both stores each, hits of base and candidate as told, and return what to judge."""
    requests = []
    for seed, (corpus, role) in enumerate(CORPORA.items()):
        sample = write_sample(folder / corpus / "corpus", corpus, rows=ROWS, questions=ROWS)
        stores: dict[CandidateName, Path] = {}
        for offset, (name, count) in enumerate(zip(ROLES, hits[corpus], strict=True)):
            store = build_sample_store(
                sample, folder / corpus / name, model_id=ROLES[name], hits=count, seed=10 * seed + offset
            )
            name_model(store)
            stores["base" if name == "base" else "qlora"] = store
        requests.append(
            CorpusRequest(
                sample.chunks,
                sample.questions,
                sample.qrels,
                stores,
                primary=role == "primary",
                total=ROWS,
                model_ids={"base": ROLES["base"], "qlora": ROLES["qlora"]},
            )
        )
    return requests


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of two corpora whose candidate is to be released."""
    folder = tmp_path_factory.mktemp("good")
    write_release(folder, {"fr": (40, 80), "intl": (60, 60)})
    return folder


@pytest.fixture
def release(good: Path, tmp_path: Path) -> list[CorpusRequest]:
    """A copy of those stores, to be spoilt."""
    folder = tmp_path / "release"
    shutil.copytree(good, folder)
    return [
        CorpusRequest(
            folder / corpus / "corpus" / "chunks.json",
            folder / corpus / "corpus" / "questions.jsonl",
            folder / corpus / "corpus" / "qrels.tsv",
            {"base": folder / corpus / "base", "qlora": folder / corpus / "qlora"},
            primary=role == "primary",
            total=ROWS,
            model_ids={"base": ROLES["base"], "qlora": ROLES["qlora"]},
        )
        for corpus, role in CORPORA.items()
    ]


def judge_release(requests: list[CorpusRequest], policy: Policy) -> Judgement:
    """Judge for release."""
    return judge(requests, policy, policy.release, for_release=True, announce=lambda _: None)


def judge_pair(sample: Sample, base: Path, candidate: Path, policy: Policy) -> Judgement:
    """Compare two stores from anywhere."""
    request = build_request(sample, base, candidate)
    return judge([request], policy, policy.comparison, for_release=False, announce=lambda _: None)


def list_causes(judgement: Judgement) -> dict[tuple[str, str], Outcome]:
    """Return what did not pass and is not the consequence of something else."""
    checks = [check for check in judgement.ledger if check.outcome is not Outcome.PASS]
    return {check.key: check.outcome for check in checks if check.blocked_by is None}


def get_check(judgement: Judgement, check_id: str, subject: str) -> Check:
    """Return one check of the ledger."""
    return next(check for check in judgement.ledger if check.key == (check_id, subject))


def test_a_better_candidate_is_released(release: list[CorpusRequest], policy: Policy) -> None:
    """With all evidence trusted and every criterion met the verdict is RELEASE, and every declared check reported."""
    told: list[str] = []
    judgement = judge(release, policy, policy.release, for_release=True, announce=told.append)
    rules = policy.release
    stores = len(rules.integrity) - 1 + 2 * len(rules.vectors) + len(rules.database)
    count = 2 * (len(rules.corpus) + 2 * stores + 1) + len(rules.primary) + len(rules.secondary) + 1

    assert judgement.decision.verdict is Verdict.RELEASE
    assert judgement.decision.reasons == (f"all {count} required checks passed",)
    assert len({check.key for check in judgement.ledger}) == count
    assert [comparison.corpus for comparison in judgement.comparisons] == ["fr", "intl"]
    assert [store.subject for store in judgement.stores] == ["base/fr", "qlora/fr", "base/intl", "qlora/intl"]
    assert told[0] == "corpus fr"


KEPT: dict[str, tuple[dict[str, tuple[int, int]], dict[tuple[str, str], Outcome]]] = {
    "below the floor": ({"fr": (5, 29), "intl": (60, 60)}, {("RET307", "fr"): Outcome.FAIL}),
    "worse on the other corpus": ({"fr": (40, 80), "intl": (80, 40)}, {("RET306", "intl"): Outcome.FAIL}),
    "gain not shown": ({"fr": (40, 41), "intl": (60, 60)}, {("RET301", "fr"): Outcome.INCONCLUSIVE}),
}


@pytest.mark.parametrize(("hits", "causes"), KEPT.values(), ids=KEPT)
def test_a_candidate_short_of_a_criterion_keeps_the_base(
    tmp_path: Path, policy: Policy, hits: dict[str, tuple[int, int]], causes: dict[tuple[str, str], Outcome]
) -> None:
    """One criterion that is not met is enough for KEEP, and it is the reason given."""
    judgement = judge_release(write_release(tmp_path, hits), policy)

    assert judgement.decision.verdict is Verdict.KEEP
    assert list_causes(judgement) == causes


def test_the_floor_is_reached_exactly(tmp_path: Path, policy: Policy) -> None:
    """30 of 120 is the floor of a quarter, and enough."""
    judgement = judge_release(write_release(tmp_path, {"fr": (5, 30), "intl": (60, 60)})[:1], policy)

    assert judgement.decision.verdict is Verdict.RELEASE


def flip(store: Path, role: str = "embeddings") -> None:
    """Change one byte of a store's file after its manifest was written."""
    path = get_path(store, role)
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)


def poison(store: Path) -> None:
    """Build a NaN into a store's vectors and its manifest."""
    array = np.load(get_path(store, "embeddings"))
    array[3, 5] = np.nan
    replace_array(store, "embeddings", array)


def forget_model(store: Path) -> None:
    """Take the provenance out of a store's manifest."""
    edit_manifest(store, lambda document: document.update(model=None))


def rename_model(store: Path) -> None:
    """Label a store with another model, in manifest and database alike."""
    edit_database(store, "UPDATE metadata SET value = 'stranger' WHERE key = 'model_id'")
    edit_manifest(store, lambda document: document.update(model_id="stranger"))


def relabel_database(store: Path) -> None:
    """Label only a store's database with another model."""
    edit_database(store, "UPDATE metadata SET value = 'stranger' WHERE key = 'model_id'")


SPOILT: dict[str, tuple[Sabotage, str, dict[str, Verdict]]] = {
    "bytes changed": (flip, "INT101", {"base": Verdict.HALT, "qlora": Verdict.NOT_EVALUATED}),
    "store gone": (shutil.rmtree, "INT101", {"base": Verdict.HALT, "qlora": Verdict.NOT_EVALUATED}),
    "origin unknown": (forget_model, "INT105", {"base": Verdict.HALT, "qlora": Verdict.NOT_EVALUATED}),
    "other model": (rename_model, "INT105", {"base": Verdict.HALT, "qlora": Verdict.NOT_EVALUATED}),
    "not finite": (poison, "VEC105", {"base": Verdict.HALT, "qlora": Verdict.KEEP}),
    "database relabelled": (relabel_database, "STO208", {"base": Verdict.HALT, "qlora": Verdict.KEEP}),
}


@pytest.mark.parametrize(("sabotage", "check", "verdicts"), SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("name", ["base", "qlora"])
def test_a_spoilt_store_is_never_released(
    release: list[CorpusRequest],
    policy: Policy,
    sabotage: Sabotage,
    check: str,
    verdicts: dict[str, Verdict],
    name: CandidateName,
) -> None:
    """A base that does not hold is HALT; a candidate is KEEP when it FAILs, NOT_EVALUATED when it cannot be known."""
    sabotage(release[0].stores[name])
    judgement = judge_release(release[:1], policy)
    causes = {(found, subject.split("/")[0]) for found, subject in list_causes(judgement)}

    assert judgement.decision.verdict is verdicts[name]
    assert (check, name) in causes
    assert {role for _, role in causes} == {name}
    assert judgement.decision.reasons[0].startswith(tuple(f"{found} {role}/" for found, role in causes))


@pytest.mark.parametrize(("name", "verdict"), [("base", Verdict.HALT), ("qlora", Verdict.NOT_EVALUATED)])
def test_other_corpora_count_as_much(
    release: list[CorpusRequest], policy: Policy, name: CandidateName, verdict: Verdict
) -> None:
    """A store of a secondary corpus whose bytes changed stops the release like one of the primary corpus."""
    flip(release[1].stores[name])
    judgement = judge_release(release, policy)

    assert judgement.decision.verdict is verdict
    assert list_causes(judgement) == {("INT101", f"{name}/intl"): Outcome.ERROR}


def test_the_same_vectors_are_not_evaluated(release: list[CorpusRequest], policy: Policy) -> None:
    """A candidate that is the base under another label is nothing to compare, whatever its questions find."""
    stores = release[0].stores
    shutil.copyfile(get_path(stores["base"], "embeddings"), get_path(stores["qlora"], "embeddings"))
    sign(stores["qlora"])
    judgement = judge_release(release[:1], policy)

    assert judgement.decision.verdict is Verdict.NOT_EVALUATED
    assert get_check(judgement, "INT104", "fr").outcome is Outcome.ERROR
    assert get_check(judgement, "RET301", "fr").blocked_by == "INT104"


def test_a_declared_total_binds_the_corpus(release: list[CorpusRequest], policy: Policy) -> None:
    """A corpus of another size than params.yaml declares fails in chunks, vectors and database."""
    judgement = judge_release([replace(release[0], total=ROWS + 1)], policy)
    failed = {check for check, subject in list_causes(judgement) if subject.endswith(("fr", "fr/passages"))}

    assert judgement.decision.verdict is Verdict.HALT
    assert failed == {"CHK101", "VEC101", "STO201", "STO207"}


def test_nothing_is_compared_where_vectors_do_not_hold(release: list[CorpusRequest], policy: Policy) -> None:
    """No metric is computed from vectors that FAIL; its checks name the cause, and the other corpus is measured."""
    poison(release[0].stores["qlora"])
    judgement = judge_release(release, policy)
    criteria = [check for check in judgement.ledger if check.id.startswith("RET") and check.subject == "fr"]

    assert [comparison.corpus for comparison in judgement.comparisons] == ["intl"]
    assert {(check.outcome, check.blocked_by) for check in criteria} == {(Outcome.ERROR, "VEC105")}


def test_one_corpus_does_not_answer_for_another(release: list[CorpusRequest], policy: Policy) -> None:
    """Stores of the other corpus are refused: they were made from other chunks."""
    release[0].stores["qlora"] = release[1].stores["qlora"]
    judgement = judge_release(release[:1], policy)

    assert judgement.decision.verdict is Verdict.NOT_EVALUATED
    assert get_check(judgement, "INT102", "qlora/fr").outcome is Outcome.ERROR


def test_a_malformed_corpus_is_refused(release: list[CorpusRequest], policy: Policy) -> None:
    """Without a corpus nothing is judged at all: the error names file and field."""
    document = json.loads(release[0].chunks.read_text(encoding="utf-8"))
    document["chunks"][4]["page"] = True
    release[0].chunks.write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(InputError, match=r"chunks\.json: chunks\[4\]\.page: "):
        judge_release(release, policy)


def test_roles_are_not_symmetric(tmp_path: Path, policy: Policy) -> None:
    """What wins as candidate loses as base: the gate never releases in both directions."""
    sample, base, candidate = write_pair(tmp_path, base_hits=40, candidate_hits=80)

    assert judge_pair(sample, base, candidate, policy).decision.verdict is Verdict.RELEASE
    assert judge_pair(sample, candidate, base, policy).decision.verdict is Verdict.KEEP


def draw_almost_equal() -> Matrix:
    """Return unit vectors that differ in their bytes and by less than 1e-6 in every similarity."""
    noise = np.random.default_rng(5).standard_normal((ROWS, DIMENSION)) * 1e-6
    vectors = draw_unit_vectors(1, seed=4) + noise
    unit: Matrix = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


BAD: dict[str, tuple[Matrix, Matrix | None]] = {
    "random vectors": (draw_unit_vectors(ROWS, seed=97), draw_unit_vectors(ROWS, seed=98)),
    "one vector": (np.repeat(draw_unit_vectors(1, seed=4), ROWS, axis=0), None),
    "almost one vector": (draw_almost_equal(), None),
}


def write_bad(folder: Path, kind: str, base_hits: int) -> tuple[Sample, Path, Path]:
    """Write a good base and a candidate whose encoder is bad."""
    passages, questions = BAD[kind]
    sample = write_sample(folder / "corpus", rows=ROWS, questions=ROWS)
    base = build_sample_store(sample, folder / "base", model_id="base-model", hits=base_hits, seed=1)
    candidate = build_sample_store(sample, folder / "bad", model_id="bad-model", hits=ROWS, passages=passages)
    if questions is not None:
        replace_array(candidate, "questions", questions)
    return sample, base, candidate


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_encoder_is_rejected(tmp_path: Path, policy: Policy, kind: str) -> None:
    """Vectors without meaning do not replace a base that finds a third, and ties earn them nothing."""
    judgement = judge_pair(*write_bad(tmp_path, kind, base_hits=40), policy)
    causes = list_causes(judgement)

    assert judgement.decision.verdict is Verdict.KEEP
    if kind == "one vector":
        assert set(causes) == {("VEC107", "qlora/fr/passages"), ("VEC107", "qlora/fr/questions")}
    else:
        assert causes == {(f"RET30{number}", "fr"): Outcome.FAIL for number in range(1, 6)}


def test_vectors_that_tie_find_nothing(tmp_path: Path, policy: Policy) -> None:
    """Where every question is its own passage's vector but all are alike within rounding, there is not one hit."""
    judgement = judge_pair(*write_bad(tmp_path, "almost one vector", base_hits=0), policy)

    assert judgement.comparisons[0].candidate_ranks.count_hits(100) == 0
    assert judgement.decision.verdict is Verdict.KEEP


def test_a_bad_encoder_is_not_released_over_a_worse_base(tmp_path: Path, policy: Policy) -> None:
    """Chance beats a base that always errs, but does not reach the floor."""
    request = build_request(*write_bad(tmp_path, "random vectors", base_hits=0))
    rules = policy.comparison.model_copy(update={"floor": "RET307"})
    judgement = judge([request], policy, rules, for_release=False, announce=lambda _: None)

    assert judgement.decision.verdict is Verdict.KEEP
    assert list_causes(judgement) == {("RET307", "fr"): Outcome.FAIL}
