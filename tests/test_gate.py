"""The whole gate over small stores: releases of two corpora, two stores from anywhere, and encoders bad on purpose."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import validation.gate
from pipeline.errors import InputError
from pipeline.files import compute_sha256
from pipeline.store import MANIFEST
from pipeline.vectors import DIMENSION, Matrix
from tests.conftest import Sample, build_sample_store, draw_unit_vectors, write_sample
from tests.releases import (
    CLOCK,
    CORPORA,
    DAY,
    HARD,
    NUMBERS,
    Hits,
    build_gate_request,
    build_latency,
    build_training,
    drop_expectations,
    get_check,
    judge_release,
    list_causes,
    list_requests,
    load_small_rulebook,
    remember_expectations,
    write_release,
)
from tests.stores import (
    FILES,
    ROWS,
    build_request,
    edit_database,
    edit_manifest,
    get_path,
    replace_array,
    replace_passages,
    sign,
    write_pair,
)
from validation.decision import Key, complete_ledger
from validation.gate import GateRequest, Judgement, judge
from validation.inputs import Input, read_input
from validation.outcomes import Check, Outcome, Verdict
from validation.policy import EXPECTATIONS, Rulebook, Rules, Waiver
from validation.release_case import build_canaries, build_receipt
from validation.stores import ROLES, CorpusRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.params import CandidateName
    from validation.outcomes import Interval
    from validation.releasing.receipt import Receipt
    from validation.slices import SliceResult

    Sabotage = Callable[[Path], object]
    Evidence = Callable[[GateRequest], GateRequest]

Causes = dict[tuple[str, str], Outcome]
BESIDE = ("latency", "training", "certificate", "drill", "canaries")
FAIL, ERROR, INCONCLUSIVE = Outcome.FAIL, Outcome.ERROR, Outcome.INCONCLUSIVE


@pytest.fixture(autouse=True)
def _remember() -> Iterator[None]:
    with remember_expectations():
        yield


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    """The rules of the project, with a tenth of the resamples."""
    return load_small_rulebook()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release whose candidate is to go out; read only."""
    folder = tmp_path_factory.mktemp("good")
    write_release(folder, {"fr": (40, 80), "intl": (60, 60)})
    return folder


@pytest.fixture
def release(good: Path, tmp_path: Path) -> list[CorpusRequest]:
    """A copy of those stores, to be spoilt."""
    shutil.copytree(good, tmp_path / "release")
    return list_requests(tmp_path / "release")


@pytest.fixture
def whole(release: list[CorpusRequest], rulebook: Rulebook) -> GateRequest:
    """The request to judge them, with nothing missing."""
    return build_gate_request(release, rulebook)


def build_pair_request(request: CorpusRequest) -> GateRequest:
    """Return the request to compare two stores from anywhere, of which nothing but the latency is known."""
    request, latency = replace(request, total=None, model_ids=None), build_latency([request])
    return GateRequest(
        [request],
        latency,
        training=None,
        certificate=None,
        drill=None,
        custody=None,
        canaries={},
        for_release=False,
        as_of=DAY,
    )


def judge_pair(request: GateRequest, rulebook: Rulebook, rules: Rules | None = None) -> Judgement:
    """Compare by the rules for stores from anywhere, or by others."""
    return judge(request, rulebook, rules or rulebook.policy.comparison, lambda _: None)


def list_ids(judgement: Judgement) -> set[str]:
    """Return the identifiers of all checks of the ledger."""
    return {check.id for check in judgement.ledger}


def expect_keys(rules: Rules) -> set[tuple[str, str]]:
    """Return every check that the rules require of a primary corpus `fr` and a secondary one `intl`."""
    whole = ("CER501", "FBK502", "CUS503", "TRC504", "INT107")
    keys = {("RET307", "fr"), *((check, "gate") for check in whole)}
    vectors = [*rules.vectors, "VEC109"]
    for name, criteria in (("fr", rules.primary), ("intl", rules.secondary)):
        ids = [*rules.corpus, "INT104", *(each.check for each in criteria), "RET308", "RET309", "LAT401", "LAT402"]
        keys |= {(check, name) for check in (*ids, "TRN101")}
        for role in ROLES:
            of_store = {*rules.integrity, *rules.database} - {"INT104"}
            keys |= {(check, f"{role}/{name}") for check in of_store}
            keys |= {(check, f"{role}/{name}/{part}") for check in vectors for part in ("passages", "questions")}
    return keys


def test_a_better_candidate_is_released(
    whole: GateRequest, rulebook: Rulebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all evidence trusted and every criterion met the verdict is RELEASE, and every declared check reported."""
    monkeypatch.undo()
    told: list[str] = []
    judgement = judge(whole, rulebook, rulebook.policy.release, told.append)
    expected = expect_keys(rulebook.policy.release)

    assert judgement.decision.verdict is Verdict.RELEASE
    assert judgement.decision.reasons == (f"all {len(expected)} required checks passed",)
    assert {check.key for check in judgement.ledger} == expected
    assert len(judgement.ledger) == len(expected)
    assert all(check.reported for check in judgement.ledger)
    assert [found.corpus.name for found in judgement.findings] == ["fr", "intl"]
    assert all(found.compared and list(found.stores) == list(ROLES) for found in judgement.findings)
    assert told[0] == "corpus fr"


# The primary corpus carries superiority, the other one must not be worse, and no slice may be left behind.

KEPT: dict[str, tuple[Hits, Causes]] = {
    "below the floor": ({"fr": (5, 29), "intl": (60, 60)}, {("RET307", "fr"): FAIL}),
    "worse on the other corpus": (
        {"fr": (40, 80), "intl": (80, 60)},
        {("RET306", "intl"): FAIL, ("RET308", "intl"): FAIL},
    ),
    "perhaps worse on the other corpus": (
        {"fr": (40, 80), "intl": (NUMBERS < 60, (NUMBERS > 5) & (NUMBERS < 63))},
        {("RET306", "intl"): INCONCLUSIVE},
    ),
    "gain not shown": ({"fr": (40, 41), "intl": (60, 60)}, {("RET301", "fr"): INCONCLUSIVE}),
    "a slice loses": (
        {"fr": ((NUMBERS < 20) | CLOCK, ~CLOCK | (NUMBERS < 60)), "intl": (60, 60)},
        {("RET308", "fr"): FAIL},
    ),
    "a slice too small to be tested collapses": (
        {"fr": ((NUMBERS < 20) | HARD, ~HARD), "intl": (60, 60)},
        {("RET309", "fr"): FAIL},
    ),
    "a slice of the other corpus collapses": (
        {"fr": (40, 80), "intl": (HARD | (NUMBERS < 60), ~HARD)},
        {("RET309", "intl"): FAIL},
    ),
}


@pytest.mark.parametrize(("hits", "causes"), KEPT.values(), ids=KEPT)
def test_a_candidate_short_of_a_criterion_keeps_the_base(
    tmp_path: Path, rulebook: Rulebook, hits: Hits, causes: Causes
) -> None:
    """One criterion that is not met on one corpus is enough for KEEP, and it is the reason given."""
    judgement = judge_release(build_gate_request(write_release(tmp_path, hits), rulebook), rulebook)

    assert judgement.decision.verdict is Verdict.KEEP
    assert list_causes(judgement) == causes


def test_the_other_corpus_may_stay_as_it_is(tmp_path: Path, rulebook: Rulebook) -> None:
    """Nothing has to be gained on a secondary corpus, and no floor to be reached there."""
    requests = write_release(tmp_path, {"fr": (40, 80), "intl": (10, 10)})

    assert judge_release(build_gate_request(requests, rulebook), rulebook).decision.verdict is Verdict.RELEASE


def test_a_gain_on_the_other_corpus_does_not_count(tmp_path: Path, rulebook: Rulebook) -> None:
    """Superiority is asked of the primary corpus, whatever is gained elsewhere."""
    requests = write_release(tmp_path, {"fr": (60, 60), "intl": (10, 110)})
    judgement = judge_release(build_gate_request(requests, rulebook), rulebook)

    assert judgement.decision.verdict is Verdict.KEEP
    assert list_causes(judgement) == {("RET301", "fr"): INCONCLUSIVE}


def judge_alone(rulebook: Rulebook) -> Rules:
    """Return the rules of releasing for the primary corpus alone, on which not all that is required can be covered."""
    return rulebook.policy.release.model_copy(update={"coverage": None})


def test_the_floor_is_reached_exactly(tmp_path: Path, rulebook: Rulebook) -> None:
    """30 of 120 is the floor of a quarter, and enough."""
    requests = write_release(tmp_path, {"fr": (5, 30), "intl": (60, 60)})[:1]
    judgement = judge_release(build_gate_request(requests, rulebook), rulebook, judge_alone(rulebook))

    assert judgement.decision.verdict is Verdict.RELEASE


def flip(store: Path) -> None:
    """Change one byte of a store's file after its manifest was written."""
    path = get_path(store, "embeddings")
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


def add_view(store: Path) -> None:
    """Add to a store's database what no export makes."""
    edit_database(store, "CREATE VIEW more AS SELECT * FROM chunks")


def label_twice(store: Path) -> None:
    """Give a store's database a second label."""
    edit_database(store, "INSERT INTO metadata VALUES ('Model_id', 'stranger')")


def embed_otherwise(store: Path) -> None:
    """Turn all vectors of a store alike: whatever it answered it still answers, in the space of another model."""
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((DIMENSION, DIMENSION)))[0]
    for part in ("embeddings", "questions"):
        rows = np.load(get_path(store, part)) @ turn
        turned = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("<f4")
        if part == "embeddings":
            replace_passages(store, turned)
        else:
            replace_array(store, "questions", turned)


SPOILT: dict[str, tuple[Sabotage, str, Verdict]] = {
    "bytes changed": (flip, "INT101", Verdict.NOT_EVALUATED),
    "store gone": (shutil.rmtree, "INT101", Verdict.NOT_EVALUATED),
    "origin unknown": (forget_model, "INT105", Verdict.NOT_EVALUATED),
    "other model": (rename_model, "INT105", Verdict.NOT_EVALUATED),
    "view added": (add_view, "INT106", Verdict.NOT_EVALUATED),
    "not finite": (poison, "VEC105", Verdict.KEEP),
    "vectors of another model": (embed_otherwise, "VEC109", Verdict.KEEP),
    "second label": (label_twice, "STO209", Verdict.KEEP),
    "database relabelled": (relabel_database, "STO208", Verdict.KEEP),
}


@pytest.mark.parametrize("sabotage", [poison, label_twice])
def test_a_candidate_that_cannot_be_drilled_is_kept_out(
    whole: GateRequest, rulebook: Rulebook, sabotage: Sabotage
) -> None:
    """What breaks a requirement cannot be served, so nobody could walk the way with it: KEEP, for what it breaks."""
    sabotage(whole.corpora[0].stores["qlora"])
    whole = replace(whole, latency=build_latency(whole.corpora), drill=None)
    judgement = judge_release(whole, rulebook)

    assert judgement.decision.verdict is Verdict.KEEP
    assert get_check(judgement, "FBK502", "gate").blocked_by is not None


@pytest.mark.parametrize(("sabotage", "check", "verdict"), SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("name", ["base", "qlora"])
def test_a_spoilt_store_is_never_released(
    whole: GateRequest, rulebook: Rulebook, sabotage: Sabotage, check: str, verdict: Verdict, name: CandidateName
) -> None:
    """A base that does not hold is HALT; a candidate is KEEP when it FAILs, NOT_EVALUATED when it cannot be known."""
    store = whole.corpora[0].stores[name]
    sabotage(store)
    if store.exists():
        whole = replace(whole, latency=build_latency(whole.corpora), drill=build_receipt(whole.corpora))
    judgement = judge_release(whole, rulebook)
    causes = {(found, subject.split("/")[0]) for found, subject in list_causes(judgement)}

    assert judgement.decision.verdict is (Verdict.HALT if name == "base" else verdict)
    assert (check, name) in causes
    assert {role for _, role in causes} - {"gate"} == {name}
    assert judgement.decision.reasons[0].startswith(tuple(f"{found} {role}/" for found, role in causes))


@pytest.mark.parametrize(("name", "verdict"), [("base", Verdict.HALT), ("qlora", Verdict.NOT_EVALUATED)])
def test_other_corpora_count_as_much(
    whole: GateRequest, rulebook: Rulebook, name: CandidateName, verdict: Verdict
) -> None:
    """A store of a secondary corpus whose bytes changed stops the release like one of the primary corpus."""
    flip(whole.corpora[1].stores[name])
    judgement = judge_release(whole, rulebook)

    assert judgement.decision.verdict is verdict
    assert list_causes(judgement).pop(("INT101", f"{name}/intl")) is ERROR


def test_the_same_vectors_are_not_evaluated(whole: GateRequest, rulebook: Rulebook) -> None:
    """A candidate that is the base under another label is nothing to compare, whatever its questions find."""
    stores = whole.corpora[0].stores
    shutil.copyfile(get_path(stores["base"], "embeddings"), get_path(stores["qlora"], "embeddings"))
    sign(stores["qlora"])
    judgement = judge_release(whole, rulebook)

    assert judgement.decision.verdict is Verdict.NOT_EVALUATED
    assert get_check(judgement, "INT104", "fr").outcome is ERROR
    assert get_check(judgement, "RET301", "fr").blocked_by == ("INT104", "fr")


def test_a_declared_total_binds_the_corpus(whole: GateRequest, rulebook: Rulebook) -> None:
    """A corpus of another size than params.yaml declares fails in chunks, vectors and database."""
    short = [replace(corpus, total=ROWS + 1) for corpus in whole.corpora[:1]]
    judgement = judge_release(replace(whole, corpora=short), rulebook)
    failed = {check for check, subject in list_causes(judgement) if subject.endswith(("fr", "fr/passages"))}

    assert judgement.decision.verdict is Verdict.HALT
    assert failed == {"CHK101", "VEC101", "STO201", "STO207"}


def test_nothing_is_compared_where_vectors_do_not_hold(whole: GateRequest, rulebook: Rulebook) -> None:
    """No metric is computed from vectors that FAIL; its checks name the cause, and the other corpus is measured."""
    poison(whole.corpora[0].stores["qlora"])
    judgement = judge_release(whole, rulebook)
    criteria = [check for check in judgement.ledger if check.id.startswith("RET") and check.subject == "fr"]

    assert [found.compared is None for found in judgement.findings] == [True, False]
    assert len(criteria) == 8
    assert {(check.outcome, check.blocked_by) for check in criteria} == {(ERROR, ("VEC105", "qlora/fr/passages"))}
    assert get_check(judgement, "RET306", "intl").outcome is Outcome.PASS


def test_one_corpus_does_not_answer_for_another(whole: GateRequest, rulebook: Rulebook) -> None:
    """Stores of the other corpus are refused: they were made from other chunks."""
    first, second = whole.corpora
    first.stores["qlora"] = second.stores["qlora"]
    judgement = judge_release(whole, rulebook)

    assert judgement.decision.verdict is Verdict.NOT_EVALUATED
    assert get_check(judgement, "INT102", "qlora/fr").outcome is ERROR


def test_a_malformed_corpus_is_refused(whole: GateRequest, rulebook: Rulebook) -> None:
    """Without a corpus nothing is judged at all: the error names file and field."""
    chunks = whole.corpora[0].chunks
    document = json.loads(chunks.read_text(encoding="utf-8"))
    document["chunks"][4]["page"] = True
    chunks.write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(InputError, match=r"chunks_mode_b_fr\.json: chunks\[4\]\.page: "):
        judge_release(whole, rulebook)


def test_too_few_questions_decide_nothing(whole: GateRequest, rulebook: Rulebook) -> None:
    """A gold set smaller than the policy's minimum is no ground for any criterion; one of just that size is."""
    verdicts = {}
    for least in (ROWS, ROWS + 1):
        limits = rulebook.policy.limits.model_copy(update={"questions_min": least})
        strict = replace(rulebook, policy=rulebook.policy.model_copy(update={"limits": limits}))
        judgement = judge_release(whole, strict)
        verdicts[least] = judgement.decision.verdict

    assert verdicts == {ROWS: Verdict.RELEASE, ROWS + 1: Verdict.NOT_EVALUATED}
    assert {check for check, _ in list_causes(judgement)} == {f"RET30{number}" for number in range(1, 7)}


# Evidence beside the stores: what is missing, stale or of something else is an ERROR, what is bad enough a FAIL.

LEAK = "Que faire, question 7 ?"


def leak(request: GateRequest) -> GateRequest:
    """Put a gold question among the training questions."""
    assert request.training is not None
    return replace(request, training=replace(request.training, questions=("Autre chose ?", LEAK)))


def train_on_others(request: GateRequest) -> GateRequest:
    """Let the candidate have been trained on other pairs than those that are given."""
    assert request.training is not None
    return replace(request, training=replace(request.training, declared="2" * 64))


def measure_others(request: GateRequest) -> GateRequest:
    """Let the latency of the primary corpus have been measured on other stores."""
    latency = build_latency(request.corpora)
    stores = latency.corpora["intl"].stores
    moved = latency.corpora | {"fr": latency.corpora["fr"].model_copy(update={"stores": stores})}
    return replace(request, latency=latency.model_copy(update={"corpora": moved}))


def measure_one(request: GateRequest) -> GateRequest:
    """Let only the primary corpus have been measured."""
    return replace(request, latency=build_latency(request.corpora[:1]))


def certify_otherwise(request: GateRequest, **changes: object) -> GateRequest:
    """Change fields of the certificate."""
    assert request.certificate is not None
    return replace(request, certificate=request.certificate.model_copy(update=changes))


def bind_otherwise(request: GateRequest) -> GateRequest:
    """Let the certificate have been made with another policy."""
    assert request.certificate is not None
    return certify_otherwise(request, bound_to=request.certificate.bound_to | {"policy": "0" * 64})


def drill_otherwise(request: GateRequest, name: str, digest: str) -> GateRequest:
    """Let the drill have been made with another file."""
    assert request.drill is not None
    return replace(
        request, drill=request.drill.model_copy(update={"bound_to": request.drill.bound_to | {name: digest}})
    )


def walk_less(request: GateRequest) -> Receipt:
    """Return the drill without its last step."""
    assert request.drill is not None
    return request.drill.model_copy(update={"steps": request.drill.steps[:-1]})


def outdate(request: GateRequest) -> GateRequest:
    """Let a file of evidence have changed since it was read."""
    changed = Input("training", request.corpora[0].questions, "0" * 64)
    return replace(request, inputs=(read_input("triplets", request.corpora[0].chunks), changed))


def lose(request: GateRequest) -> GateRequest:
    """Let a file of evidence be gone since it was read."""
    return replace(request, inputs=(Input("latency", request.corpora[0].chunks.parent / "absent", "0" * 64),))


def embed_base_only(request: GateRequest) -> GateRequest:
    """Let no sample of the candidate have been embedded anew."""
    return replace(request, canaries={"base": request.canaries["base"]})


def swap_canaries(request: GateRequest) -> GateRequest:
    """Let the candidate's sample be the base's."""
    return replace(request, canaries={**request.canaries, "qlora": request.canaries["base"]})


def embed_one_corpus(request: GateRequest) -> GateRequest:
    """Let only the primary corpus have been embedded anew."""
    canaries = {
        role: canary.model_copy(update={"corpora": {"fr": canary.corpora["fr"]}})
        for role, canary in request.canaries.items()
    }
    return replace(request, canaries=canaries)


def list_canaries(*stores: str) -> Causes:
    """Return what is an ERROR where these stores have no sample."""
    return {("VEC109", f"{store}/{part}"): ERROR for store in stores for part in ("passages", "questions")}


SLOW: Causes = {(check, corpus): FAIL for check in ("LAT401", "LAT402") for corpus in CORPORA}
UNMEASURED: Causes = dict.fromkeys(SLOW, ERROR)
UNDRILLED: Causes = {("FBK502", "gate"): ERROR}
EVIDENCE: dict[str, tuple[Evidence, Verdict, Causes]] = {
    "twice as slow": (
        lambda request: replace(request, latency=build_latency(request.corpora, ratio=2.0)),
        Verdict.KEEP,
        SLOW,
    ),
    "latency missing": (lambda request: replace(request, latency=None), Verdict.NOT_EVALUATED, UNMEASURED),
    "latency of one corpus": (
        measure_one,
        Verdict.NOT_EVALUATED,
        {key: ERROR for key in SLOW if key[1] == "intl"},
    ),
    "latency of other stores": (
        measure_others,
        Verdict.NOT_EVALUATED,
        {key: ERROR for key in SLOW if key[1] == "fr"},
    ),
    "training missing": (
        lambda request: replace(request, training=None),
        Verdict.NOT_EVALUATED,
        {("TRN101", "fr"): ERROR, ("TRN101", "intl"): ERROR},
    ),
    "trained on other pairs": (
        train_on_others,
        Verdict.NOT_EVALUATED,
        {("TRN101", "fr"): ERROR, ("TRN101", "intl"): ERROR},
    ),
    "question leaked": (leak, Verdict.NOT_EVALUATED, {("TRN101", "fr"): ERROR, ("TRN101", "intl"): ERROR}),
    "input changed": (outdate, Verdict.NOT_EVALUATED, {("INT107", "gate"): ERROR}),
    "input gone": (lose, Verdict.NOT_EVALUATED, {("INT107", "gate"): ERROR}),
    "candidate's sample missing": (
        embed_base_only,
        Verdict.NOT_EVALUATED,
        list_canaries("qlora/fr", "qlora/intl"),
    ),
    "sample of the base's model": (swap_canaries, Verdict.NOT_EVALUATED, list_canaries("qlora/fr", "qlora/intl")),
    "both samples missing": (
        lambda request: replace(request, canaries={}),
        Verdict.HALT,
        list_canaries("base/fr", "base/intl", "qlora/fr", "qlora/intl"),
    ),
    "sample of one corpus": (embed_one_corpus, Verdict.HALT, list_canaries("base/intl", "qlora/intl")),
    "certificate missing": (
        lambda request: replace(request, certificate=None),
        Verdict.NOT_EVALUATED,
        {("CER501", "gate"): ERROR},
    ),
    "certificate stale": (bind_otherwise, Verdict.NOT_EVALUATED, {("CER501", "gate"): ERROR}),
    "certificate of another gold set": (
        lambda request: replace(request, corpora=request.corpora[:1], drill=build_receipt(request.corpora[:1])),
        Verdict.NOT_EVALUATED,
        {("CER501", "gate"): ERROR, ("TRC504", "gate"): ERROR},
    ),
    "certificate without trials": (
        lambda request: certify_otherwise(request, trials=[]),
        Verdict.NOT_EVALUATED,
        {("CER501", "gate"): ERROR},
    ),
    "certificate without nulls": (
        lambda request: certify_otherwise(request, null_runs=[]),
        Verdict.NOT_EVALUATED,
        {("CER501", "gate"): ERROR},
    ),
    "not drilled": (lambda request: replace(request, drill=None), Verdict.NOT_EVALUATED, UNDRILLED),
    "drilled with other code": (
        lambda request: drill_otherwise(request, "code", "0" * 64),
        Verdict.NOT_EVALUATED,
        UNDRILLED,
    ),
    "drilled with another candidate": (
        lambda request: drill_otherwise(request, "qlora/intl/questions", "0" * 64),
        Verdict.NOT_EVALUATED,
        UNDRILLED,
    ),
    "drilled with another base": (
        lambda request: drill_otherwise(request, "base/fr/database", "0" * 64),
        Verdict.NOT_EVALUATED,
        UNDRILLED,
    ),
    "drilled with another corpus besides": (
        lambda request: drill_otherwise(request, "base/de/database", "0" * 64),
        Verdict.NOT_EVALUATED,
        UNDRILLED,
    ),
    "drilled on one corpus": (
        lambda request: replace(request, drill=build_receipt(request.corpora[:1])),
        Verdict.NOT_EVALUATED,
        UNDRILLED,
    ),
    "not drilled to the end": (
        lambda request: replace(request, drill=walk_less(request)),
        Verdict.NOT_EVALUATED,
        UNDRILLED,
    ),
}


@pytest.mark.parametrize(("change", "verdict", "causes"), EVIDENCE.values(), ids=EVIDENCE)
def test_evidence_beside_the_stores_counts(
    whole: GateRequest, rulebook: Rulebook, change: Evidence, verdict: Verdict, causes: Causes
) -> None:
    """What is missing or belongs to something else is NOT_EVALUATED, what is measured and bad KEEP; each by name."""
    judgement = judge_release(change(whole), rulebook)

    assert judgement.decision.verdict is verdict
    assert list_causes(judgement) == causes


@pytest.mark.parametrize("corpora", [CORPORA, ["fr"]], ids=["both", "one"])
def test_missing_training_pairs_are_missed_on_every_corpus(good: Path, rulebook: Rulebook, corpora: list[str]) -> None:
    """The leak check is declared for each corpus, and says which questions were looked at."""
    requests = list_requests(good)[: len(corpora)]
    judgement = judge_release(build_gate_request(requests, rulebook), rulebook)
    checks = [check for check in judgement.ledger if check.id == "TRN101"]

    assert [(check.subject, check.n, check.limit) for check in checks] == [(name, ROWS, 0) for name in corpora]


def take_away(request: GateRequest, what: str) -> GateRequest:
    """Return a request without a piece of evidence, or with a store that is not where it should be."""
    if what in BESIDE:
        nothing: dict[str, Any] = {what: {} if what == "canaries" else None}
        return replace(request, **nothing)
    role, name = what.split("/")
    spoilt, corpora = list(CORPORA).index(name), list(request.corpora)
    stores = {each: folder for each, folder in corpora[spoilt].stores.items() if each != role}
    gone: CandidateName = "base" if role == "base" else "qlora"
    corpora[spoilt] = replace(corpora[spoilt], stores={**stores, gone: corpora[spoilt].chunks.parent / "absent"})
    return replace(request, corpora=corpora)


@settings(max_examples=30, deadline=None)
@given(gone=st.sets(st.sampled_from([*BESIDE, *(f"{role}/{name}" for role in ROLES for name in CORPORA)]), min_size=1))
def test_less_evidence_never_releases(good: Path, rulebook: Rulebook, gone: set[str]) -> None:
    """Whatever is taken away from a RELEASE, it is none any more; and a base that is gone is HALT."""
    request = build_gate_request(list_requests(good), rulebook)
    for name in sorted(gone):
        request = take_away(request, name)
    verdict = judge_release(request, rulebook).decision.verdict

    protected = "canaries" in gone or any(name.startswith("base/") for name in gone)

    assert verdict is (Verdict.HALT if protected else Verdict.NOT_EVALUATED)


# The ledger: what is declared must report.

SERVED = sorted({
    each["meta"]["check"]
    for path in (EXPECTATIONS / "suites").glob("*.json")
    for each in json.loads(path.read_text(encoding="utf-8"))["expectations"]
})  # fmt: skip


@pytest.mark.parametrize("check", SERVED)
def test_an_expectation_that_is_gone_is_missed(good: Path, rulebook: Rulebook, tmp_path: Path, check: str) -> None:
    """A suite that lost a check gives NOT_EVALUATED, names the check wherever it was due, and never blames the base."""
    request = build_gate_request(list_requests(good)[:1], rulebook)
    fewer = drop_expectations(rulebook, [check], tmp_path / "suites")
    judgement = judge_release(request, fewer, judge_alone(rulebook))
    due = {key for key in expect_keys(rulebook.policy.release) if key[0] == check and "intl" not in key[1]}

    assert judgement.decision.verdict is Verdict.NOT_EVALUATED
    assert list_causes(judgement) == dict.fromkeys(due, ERROR)
    assert {(found.detail, found.reported) for found in judgement.ledger if found.id == check} == {
        ("did not report", False)
    }


def test_a_check_that_nobody_declared_is_an_error(good: Path, rulebook: Rulebook) -> None:
    """A suite that reports what the rules do not ask for does not pass unseen."""
    fewer = [check for check in rulebook.policy.release.vectors if check != "VEC107"]
    rules = judge_alone(rulebook).model_copy(update={"vectors": fewer})
    judgement = judge_release(build_gate_request(list_requests(good)[:1], rulebook), rulebook, rules)

    assert judgement.decision.verdict is not Verdict.RELEASE
    assert {check for check, _ in list_causes(judgement)} == {"VEC107"}


# Order and repetition

Numbers = tuple[Verdict, dict[str, dict[str, "Interval"]], dict[str, list["SliceResult"]], Causes]


def read_numbers(judgement: Judgement) -> Numbers:
    """Return verdict, intervals and slices by corpus, and what did not pass."""
    compared = {found.corpus.name: found.compared for found in judgement.findings if found.compared}
    return (
        judgement.decision.verdict,
        {name: comparison.intervals for name, (comparison, _, _) in sorted(compared.items())},
        {name: slices for name, (_, slices, _) in sorted(compared.items())},
        list_causes(judgement),
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of faint stores in which questions share passages; read only."""
    folder = tmp_path_factory.mktemp("shared")
    for seed, request in enumerate(write_release(folder, {"fr": (40, 50), "intl": (60, 60)})):
        rows = request.qrels.read_text(encoding="utf-8").splitlines()
        extra = [row.split("\t")[1] for row in rows[1:11]]
        rows += [f"q{20 + 2 * number}\t{chunk}\t1" for number, chunk in enumerate(extra)]
        request.qrels.write_text("\n".join(rows) + "\n", encoding="utf-8")
        draw = np.random.default_rng(100 + seed)
        for role in ROLES:
            array = np.load(get_path(request.stores[role], "questions"))
            faint = 0.1 * array + draw.standard_normal(array.shape).astype(np.float32) / 768**0.5
            unit = (faint / np.linalg.norm(faint, axis=1, keepdims=True)).astype(np.float32)
            replace_array(request.stores[role], "questions", unit)
    return folder


def shuffle_questions(request: CorpusRequest, order: list[int], seed: int) -> None:
    """Put the gold questions of a corpus, their vectors and their judgements into another order."""
    lines = request.questions.read_text(encoding="utf-8").splitlines()
    request.questions.write_text("".join(f"{lines[place]}\n" for place in order), encoding="utf-8")
    header, *rows = request.qrels.read_text(encoding="utf-8").splitlines()
    mixed = np.random.default_rng(seed).permutation(rows).tolist()
    request.qrels.write_text("\n".join([header, *mixed]) + "\n", encoding="utf-8")
    digest = compute_sha256(request.questions)
    for role in ROLES:
        store = request.stores[role]
        replace_array(store, "questions", np.load(get_path(store, "questions"))[order])
        edit_manifest(store, lambda document: document.update(questions_sha256=digest))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_questions_changes_nothing(shared: Path, rulebook: Rulebook, tmp_path: Path, seed: int) -> None:
    """Questions, their vectors and qrels in another order give the same verdict and, to the bit, the same numbers."""
    shutil.copytree(shared, tmp_path / "copy")
    moved = list_requests(tmp_path / "copy")
    order = np.random.default_rng(seed).permutation(ROWS).tolist()
    for request in moved:
        shuffle_questions(request, order, seed)
    first, again = (
        judge_release(build_gate_request(requests, rulebook), rulebook) for requests in (list_requests(shared), moved)
    )
    observed = [{check.key: check.observed for check in found.ledger if check.interval} for found in (first, again)]

    assert read_numbers(again) == read_numbers(first)
    assert observed[1] == observed[0]
    assert first.decision == again.decision
    assert all(interval.lower < interval.upper for interval in read_numbers(first)[1]["fr"].values())


def test_the_order_of_corpora_changes_nothing(shared: Path, rulebook: Rulebook) -> None:
    """The primary corpus is told by its role, not by its place."""
    requests = list_requests(shared)
    first, turned = (
        judge_release(build_gate_request(given, rulebook), rulebook) for given in (requests, requests[::-1])
    )

    assert read_numbers(turned) == read_numbers(first)
    assert {check.key: check for check in turned.ledger} == {check.key: check for check in first.ledger}


def test_every_input_is_hashed_again_at_the_end(whole: GateRequest, rulebook: Rulebook) -> None:
    """Rules, texts, manifests, all files of all stores and what was given are told with the digest of their bytes."""
    given = read_input("triplets", whole.corpora[0].chunks)
    judgement = judge_release(replace(whole, inputs=(given,)), rulebook)
    found = {each.name: each for each in judgement.inputs}
    expected = {*rulebook.digests, "triplets"}
    for name in CORPORA:
        expected |= {f"{name}/{part}" for part in ("chunks", "questions", "qrels")}
        expected |= {f"{role}/{name}/{part}" for role in ROLES for part in ("manifest", *FILES)}
    check = get_check(judgement, "INT107", "gate")

    assert found.keys() == expected
    assert len(judgement.inputs) == len(expected)
    assert all(each.sha256 == compute_sha256(each.path) for each in judgement.inputs)
    assert found["qlora/intl/database"].path == get_path(whole.corpora[1].stores["qlora"], "database")
    assert (check.outcome, check.observed, check.limit, check.n) == (Outcome.PASS, 0, 0, len(expected))


@pytest.mark.parametrize("corpus", [0, 1], ids=["primary", "secondary"])
@pytest.mark.parametrize("what", ["chunks", "qrels", "manifest", "embeddings", "database"])
def test_what_changes_while_it_is_judged_is_not_evaluated(
    whole: GateRequest, rulebook: Rulebook, corpus: int, what: str
) -> None:
    """A byte that is added after a file was looked at makes INT107 an ERROR that names the file, and nothing else."""
    request = whole.corpora[corpus]
    store = request.stores["qlora"]
    paths = {"chunks": request.chunks, "qrels": request.qrels, "manifest": store / MANIFEST}
    path = paths.get(what) or next(get_path(store, part) for part in FILES if part == what)
    name = f"{'fr' if corpus == 0 else 'intl'}/{what}"
    last = "retrieval on intl"

    def interfere(told: str) -> None:
        if told == last:
            with path.open("ab") as stream:
                stream.write(b"\n")

    judgement = judge(whole, rulebook, rulebook.policy.release, interfere)

    assert judgement.decision.verdict is Verdict.NOT_EVALUATED
    assert list_causes(judgement) == {("INT107", "gate"): ERROR}
    assert get_check(judgement, "INT107", "gate").detail == (
        f"changed while it was judged: {name if what in ('chunks', 'qrels') else f'qlora/{name}'}"
    )


def test_a_change_is_seen_in_a_comparison_too(release: list[CorpusRequest], rulebook: Rulebook) -> None:
    """Two stores from anywhere are hashed again as well."""
    path = get_path(release[0].stores["base"], "questions")

    def interfere(told: str) -> None:
        if told.startswith("retrieval"):
            path.write_bytes(path.read_bytes()[:-1] + b"\0")

    judgement = judge(build_pair_request(release[0]), rulebook, rulebook.policy.comparison, interfere)

    assert judgement.decision.verdict is Verdict.NOT_EVALUATED
    assert get_check(judgement, "INT107", "gate").detail == "changed while it was judged: base/fr/questions"


@pytest.mark.parametrize("check", ["INT106", "INT107"])
def test_a_check_of_integrity_that_does_not_report_is_missed(
    whole: GateRequest, rulebook: Rulebook, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    """A gate that no longer executes one of them is NOT_EVALUATED wherever it was due, and the base is not blamed."""

    def forget(declared: list[Key], executed: list[Check]) -> list[Check]:
        return complete_ledger(declared, [each for each in executed if each.id != check])

    monkeypatch.setattr(validation.gate, "complete_ledger", forget)
    judgement = judge_release(whole, rulebook)
    due = {key for key in expect_keys(rulebook.policy.release) if key[0] == check}

    assert judgement.decision.verdict is Verdict.NOT_EVALUATED
    assert {each.key for each in judgement.ledger if not each.reported} == due
    assert {get_check(judgement, *key).outcome for key in due} == {ERROR}


def test_judging_again_gives_the_same(shared: Path, rulebook: Rulebook) -> None:
    """The same evidence gives the same ledger, check by check."""
    request = build_gate_request(list_requests(shared), rulebook)
    first, again = (judge_release(request, rulebook) for _ in range(2))

    assert again.ledger == first.ledger
    assert again.decision == first.decision


# Waivers


def waive(rulebook: Rulebook, check: str, days: int) -> Rulebook:
    """Return the rules with a waiver that ends so many days after the day of judging."""
    waiver = Waiver(
        id="WAIVER-001", check=check, subject="intl", owner="L'arbitre", reason="connu", expires=DAY + timedelta(days)
    )
    return replace(rulebook, policy=rulebook.policy.model_copy(update={"waivers": [waiver]}))


@pytest.mark.parametrize(
    ("days", "verdict"), [(0, Verdict.RELEASE), (-1, Verdict.KEEP)], ids=["last day", "day after the last"]
)
def test_a_waiver_speaks_until_its_day(tmp_path: Path, rulebook: Rulebook, days: int, verdict: Verdict) -> None:
    """What a person answers for does not stand in the way of a RELEASE, and is WAIVED, not PASS."""
    hits: Hits = {"fr": (40, 80), "intl": (NUMBERS < 60, (NUMBERS > 5) & (NUMBERS < 63))}
    request = build_gate_request(write_release(tmp_path, hits), rulebook)
    judgement = judge_release(request, waive(rulebook, "RET306", days))

    assert judgement.decision.verdict is verdict
    assert get_check(judgement, "RET306", "intl").outcome is (INCONCLUSIVE if days else Outcome.WAIVED)


def test_a_waiver_does_not_speak_for_stores_from_anywhere(good: Path, rulebook: Rulebook) -> None:
    """A waiver of the project, even one that names no check of the comparison, has no say in one."""
    request = list_requests(good)[0]

    assert judge_pair(build_pair_request(request), waive(rulebook, "RET306", 1)).decision.verdict is Verdict.RELEASE


# Two stores from anywhere


def test_a_comparison_leaves_out_what_belongs_to_releasing(good: Path, rulebook: Rulebook) -> None:
    """What belongs to releasing is left out and, without pairs, the leak check; all the rest is asked for."""
    judgement = judge_pair(build_pair_request(list_requests(good)[0]), rulebook)
    release = {check for check, subject in expect_keys(rulebook.policy.release) if subject.split("/")[-1] != "intl"}

    assert judgement.decision.verdict is Verdict.RELEASE
    left_out = {"CER501", "FBK502", "CUS503", "TRC504", "RET307", "INT105", "TRN101", "VEC109"}

    assert release - list_ids(judgement) >= left_out
    assert release - list_ids(judgement) <= left_out | {"RET306"}
    assert {"INT106", "INT107"} <= list_ids(judgement)


@pytest.mark.parametrize(
    ("questions", "outcome"), [(("Autre chose ?",), Outcome.PASS), (("Autre chose ?", LEAK), ERROR)], ids=["no", "yes"]
)
def test_pairs_that_are_given_are_searched(
    good: Path, rulebook: Rulebook, questions: tuple[str, ...], outcome: Outcome
) -> None:
    """With training pairs of a candidate from elsewhere the leak check is due, and says what it finds."""
    training = replace(build_training(good), questions=questions, declared=None)
    judgement = judge_pair(replace(build_pair_request(list_requests(good)[0]), training=training), rulebook)

    assert get_check(judgement, "TRN101", "fr").outcome is outcome
    assert judgement.decision.verdict is (Verdict.RELEASE if outcome is Outcome.PASS else Verdict.NOT_EVALUATED)


@pytest.mark.parametrize("roles", [("base", "qlora"), ("qlora",)], ids=["both", "candidate's"])
def test_samples_that_are_given_are_looked_at(good: Path, rulebook: Rulebook, roles: tuple[CandidateName, ...]) -> None:
    """With samples VEC109 is due for both stores of a comparison, and a store without one is an ERROR."""
    request = list_requests(good)[0]
    canaries = build_canaries([request])
    given = replace(build_pair_request(request), canaries={role: canaries[role] for role in roles})
    judgement = judge_pair(given, rulebook)
    outcomes = {check.subject: check.outcome for check in judgement.ledger if check.id == "VEC109"}

    expected = {role: Outcome.PASS if role in roles else ERROR for role in ROLES}

    assert outcomes == {f"{role}/fr/{part}": expected[role] for role in ROLES for part in ("passages", "questions")}
    assert judgement.decision.verdict is (Verdict.RELEASE if len(roles) == len(ROLES) else Verdict.NOT_EVALUATED)


def test_a_comparison_sees_another_model_by_its_sample(release: list[CorpusRequest], rulebook: Rulebook) -> None:
    """Vectors of another model under the right label FAIL where samples are given, and pass unseen where none are."""
    canaries = build_canaries(release[:1])
    embed_otherwise(release[0].stores["qlora"])
    request = build_pair_request(release[0])

    assert judge_pair(request, rulebook).decision.verdict is Verdict.RELEASE
    assert list_causes(judge_pair(replace(request, canaries=canaries), rulebook)) == {
        ("VEC109", "qlora/fr/passages"): FAIL,
        ("VEC109", "qlora/fr/questions"): FAIL,
    }


def set_slices(request: CorpusRequest, size: int | None) -> None:
    """Give the first questions of a gold set, as many as told, a category, and let the stores be made for it."""
    rows = [json.loads(line) for line in request.questions.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows):
        row["metadata"] = {"category": "laws"} if size and number < size else {}
    request.questions.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    digest = compute_sha256(request.questions)
    for role in ROLES:
        edit_manifest(request.stores[role], lambda document: document.update(questions_sha256=digest))


@pytest.mark.parametrize(
    ("size", "due"), [(None, False), (29, False), (30, True)], ids=["none", "too small", "just large enough"]
)
def test_slices_are_looked_at_where_there_are_any(
    release: list[CorpusRequest], rulebook: Rulebook, size: int | None, *, due: bool
) -> None:
    """A gold set from elsewhere need not have slices; a release does, and is NOT_EVALUATED without."""
    set_slices(release[0], size)
    judgement = judge_pair(build_pair_request(release[0]), rulebook)
    judged = judge_release(build_gate_request(release, rulebook), rulebook)

    assert judgement.decision.verdict is Verdict.RELEASE
    assert ({"RET308", "RET309"} <= list_ids(judgement)) is due
    assert judged.decision.verdict is (Verdict.RELEASE if due else Verdict.NOT_EVALUATED)
    assert list_causes(judged) == ({} if due else {("RET308", "fr"): ERROR, ("RET309", "fr"): ERROR})


def test_a_comparison_needs_its_latency(good: Path, rulebook: Rulebook) -> None:
    """Latency is not optional: without it two stores from anywhere are not evaluated either."""
    judgement = judge_pair(replace(build_pair_request(list_requests(good)[0]), latency=None), rulebook)

    assert judgement.decision.verdict is Verdict.NOT_EVALUATED
    assert list_causes(judgement) == {("LAT401", "fr"): ERROR, ("LAT402", "fr"): ERROR}


def test_a_bad_base_from_elsewhere_is_no_halt(release: list[CorpusRequest], rulebook: Rulebook) -> None:
    """Only the project's own fallback calls a person."""
    request = build_pair_request(release[0])
    flip(release[0].stores["base"])

    assert judge_pair(request, rulebook).decision.verdict is Verdict.NOT_EVALUATED


def test_roles_are_not_symmetric(tmp_path: Path, rulebook: Rulebook) -> None:
    """What wins as candidate loses as base: the gate never releases in both directions."""
    sample, base, candidate = write_pair(tmp_path, base_hits=40, candidate_hits=80)
    forth, back = build_request(sample, base, candidate), build_request(sample, candidate, base)

    assert judge_pair(build_pair_request(forth), rulebook).decision.verdict is Verdict.RELEASE
    assert judge_pair(build_pair_request(back), rulebook).decision.verdict is Verdict.KEEP


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


def request_bad(folder: Path, kind: str, base_hits: int) -> GateRequest:
    """Write a good base and a candidate whose encoder is bad, and return the request to compare them."""
    passages, questions = BAD[kind]
    sample: Sample = write_sample(folder / "corpus", rows=ROWS, questions=ROWS)
    base = build_sample_store(sample, folder / "base", model_id="base-model", hits=base_hits, seed=1)
    candidate = build_sample_store(sample, folder / "bad", model_id="bad-model", hits=ROWS, passages=passages)
    if questions is not None:
        replace_array(candidate, "questions", questions)
    return build_pair_request(build_request(sample, base, candidate))


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_encoder_is_rejected(tmp_path: Path, rulebook: Rulebook, kind: str) -> None:
    """Vectors without meaning do not replace a base that finds a third, and ties earn them nothing."""
    judgement = judge_pair(request_bad(tmp_path, kind, base_hits=40), rulebook)
    causes = list_causes(judgement)
    parts = ("qlora/fr/passages", "qlora/fr/questions")

    assert judgement.decision.verdict is Verdict.KEEP
    if kind == "one vector":
        assert causes == {(check, part): FAIL for part in parts for check in ("VEC107", "VEC108")}
    else:
        expected = {(f"RET30{number}", "fr"): FAIL for number in (1, 2, 3, 4, 5, 8, 9)}
        assert expected.keys() - {("RET309", "fr")} <= causes.keys() <= expected.keys()


def test_vectors_that_tie_find_nothing(tmp_path: Path, rulebook: Rulebook) -> None:
    """Where every question is its own passage's vector but all are alike within rounding, there is not one hit."""
    judgement = judge_pair(request_bad(tmp_path, "almost one vector", base_hits=0), rulebook)
    compared = judgement.findings[0].compared

    assert compared is not None
    assert compared[0].candidate.ranks.count_hits(100) == 0
    assert judgement.decision.verdict is Verdict.KEEP


def test_a_bad_encoder_is_not_released_over_a_worse_base(tmp_path: Path, rulebook: Rulebook) -> None:
    """Chance beats a base that always errs, but does not reach the floor."""
    rules = rulebook.policy.comparison.model_copy(update={"floor": "RET307"})
    judgement = judge_pair(request_bad(tmp_path, "random vectors", base_hits=0), rulebook, rules)

    assert judgement.decision.verdict is Verdict.KEEP
    assert list_causes(judgement) == {("RET307", "fr"): FAIL}
