"""Latency: rounds interleaved by pytest-benchmark, evidence bound to bytes, and a ratio that an interval decides."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import threading
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from pipeline.errors import InputError, PipelineError, StoreError
from pipeline.files import write_json
from pipeline.store import load_manifest
from tests.conftest import build_sample_store, draw_unit_vectors, write_sample
from tests.stores import edit_database, edit_manifest, get_path, sign, write_pair
from validation import latency, latency_rounds
from validation.latency import (
    LatencyEvidence,
    LatencyTarget,
    PairDigests,
    check_latency,
    collect_digests,
    describe_latency,
    estimate_ratio,
    is_current,
    load_latency,
    measure_latency,
)
from validation.latency_rounds import OPERATIONS, SIDES, Plan, Run, load_report, measure_rounds
from validation.outcomes import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.retrieval import Ranking
    from pipeline.vectors import Matrix
    from validation.policy import Operation

pytestmark = pytest.mark.requirement("REQ-LAT-01")

ROWS = 40
SLOW_ROWS = 4000
ROUNDS = 6
CANARY = "canary-5f1d7c"
LIMIT = Decimal("1.1")
SETTINGS: dict[str, Any] = {"level": 0.95, "resamples": 1000, "seed": 7}
CORE = ("open-and-search", "gold-set")
TIMES = st.lists(st.floats(1e-6, 10.0), min_size=5, max_size=12)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> LatencyTarget:
    """Two small good stores; read only."""
    _, base, candidate = write_pair(tmp_path_factory.mktemp("pair"), base_hits=20, candidate_hits=30, rows=ROWS)
    return LatencyTarget("fr", base, candidate)


@pytest.fixture(scope="module")
def slow_target(target: LatencyTarget, tmp_path_factory: pytest.TempPathFactory) -> LatencyTarget:
    """A candidate that answers the same questions from a hundred times as many passages."""
    folder = tmp_path_factory.mktemp("slow")
    sample = write_sample(folder / "corpus", rows=SLOW_ROWS, questions=ROWS)
    store = build_sample_store(sample, folder / "qlora", model_id="slow-model", hits=ROWS, seed=3)
    return LatencyTarget("fr", target.base, store)


@pytest.fixture(scope="module")
def environments() -> list[dict[str, str]]:
    """What the measuring processes were given as their environment."""
    return []


@pytest.fixture(scope="module")
def slow(
    slow_target: LatencyTarget, environments: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A real `latency.json` of the slow candidate, measured in an environment that holds a secret and a trap."""
    run = subprocess.run

    def spy(*arguments: Any, **options: Any) -> Any:
        environments.append(options["env"])
        return run(*arguments, **options)

    path = tmp_path_factory.mktemp("evidence") / "latency.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", CANARY)
        patch.setenv("PYTEST_ADDOPTS", "--benchmark-skip")
        patch.setattr(subprocess, "run", spy)
        measure_latency([slow_target], path, rounds=ROUNDS)
    return path


@pytest.fixture(scope="module")
def plan(target: LatencyTarget) -> Plan:
    """Three rounds of two corpora."""
    return Plan(
        stores={corpus: {"base": target.base, "candidate": target.candidate} for corpus in ("fr", "intl")}, rounds=3
    )


@pytest.fixture(scope="module")
def report(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pytest-benchmark itself wrote about that plan."""
    folder = tmp_path_factory.mktemp("report")
    measure_rounds(plan, folder)
    return folder / "report.json"


@pytest.fixture
def digests(target: LatencyTarget) -> PairDigests:
    """What the manifests of the two small stores say."""
    return collect_digests(load_manifest(target.base), load_manifest(target.candidate))


def build_document(digests: PairDigests, base: list[float], candidate: list[float]) -> dict[str, Any]:
    """Return a `latency.json` of both operations with the given times."""
    times = {"base": base, "candidate": candidate}
    return {
        "schema_version": 1,
        "machine": {
            "cpu": "Abacus",
            "cores": 2,
            "system": "Linux",
            "release": "6",
            "python_version": "3.11.7",
            "python_implementation": "CPython",
        },
        "corpora": {
            "fr": {"stores": digests.model_dump(), "operations": {name: json.loads(json.dumps(times)) for name in CORE}}
        },
    }


def build_evidence(digests: PairDigests, base: list[float], candidate: list[float]) -> LatencyEvidence:
    """Return evidence with the given times."""
    return LatencyEvidence.model_validate_json(json.dumps(build_document(digests, base, candidate)))


def judge(
    evidence: LatencyEvidence | None,
    digests: PairDigests,
    *,
    corpus: str = "fr",
    operation: Operation = "gold-set",
    limit: Decimal = LIMIT,
) -> Check:
    """Judge evidence by the settings of these tests."""
    return check_latency("LAT301", operation, evidence, digests, corpus, limit=limit, **SETTINGS)


def copy_pair(folder: Path) -> LatencyTarget:
    """Write two small stores that a test may spoil."""
    _, base, candidate = write_pair(folder, base_hits=2, candidate_hits=3, rows=12)
    return LatencyTarget("fr", base, candidate)


def damage_database(store: Path) -> None:
    """Cut a store's database short and let the manifest agree."""
    path = get_path(store, "database")
    path.write_bytes(path.read_bytes()[:5000])
    sign(store)


# Measuring


def test_base_and_candidate_take_turns_within_one_run(report: Path) -> None:
    """pytest-benchmark's own order is base, candidate, then candidate, base, and so on, for every operation."""
    items = json.loads(report.read_text(encoding="utf-8"))["benchmarks"]
    rounds = [item["name"].removeprefix("test_round[").removesuffix("]") for item in items]
    turns = ["0-base", "0-candidate", "1-candidate", "1-base", "2-base", "2-candidate"]

    for start in [f"{corpus}-{operation}" for corpus in ("fr", "intl") for operation in CORE]:
        assert [name.removeprefix(f"{start}-") for name in rounds if name.startswith(start)] == turns
    assert rounds[:2] == ["fr-open-and-search-0-base", "fr-open-and-search-0-candidate"]
    assert [name.rsplit("-", 2)[1] for name in rounds] == ["0"] * 8 + ["1"] * 8 + ["2"] * 8


def test_each_item_is_one_undisturbed_measurement(report: Path) -> None:
    """Every run is measured once, one iteration, with garbage collection off."""
    items = json.loads(report.read_text(encoding="utf-8"))["benchmarks"]

    assert {(item["stats"]["rounds"], item["stats"]["iterations"]) for item in items} == {(1, 1)}
    assert {item["options"]["disable_gc"] for item in items} == {True}


def test_both_stores_of_a_round_are_asked_the_same_question(
    plan: Plan, target: LatencyTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question that is searched changes with the round, and the answers are those of the store's own search."""
    write_json(tmp_path / "plan.json", plan.model_dump(mode="json"))
    monkeypatch.setenv(latency_rounds.PLAN_VARIABLE, str(tmp_path / "plan.json"))
    latency_rounds.load_plan.cache_clear()
    asked: list[Matrix] = []
    found: list[Ranking] = []

    class Recorder:
        extra_info: dict[str, Any]

        def __init__(self) -> None:
            self.extra_info = {}

        def pedantic(
            self, target: Callable[..., Any], args: tuple[Any, ...], *, rounds: int, warmup_rounds: int
        ) -> None:
            assert (rounds, warmup_rounds) == (1, 1)
            asked.append(args[1])
            found.append(target(*args))

    numbers = [0, 1, ROWS + 1]
    for number in numbers:
        for store in SIDES:
            run = Run(corpus="fr", operation="open-and-search", round=number, store=store)
            latency_rounds.test_round(Recorder(), run)
    latency_rounds.load_plan.cache_clear()
    questions = [np.load(get_path(folder, "questions")) for folder in (target.base, target.candidate)]
    expected = [matrix[number % ROWS] for number in numbers for matrix in questions]

    np.testing.assert_array_equal(np.concatenate(asked), np.array(expected))
    assert {ranking.shape for ranking in found} == {(1, 10)}
    assert [int(ranking[0, 0]) for ranking in found[:4]] == [0, 0, 1, 1]


def test_a_slower_candidate_is_detected(slow: Path, slow_target: LatencyTarget) -> None:
    """A candidate with a hundred times the passages fails both operations; the other way round it passes both."""
    evidence = load_latency(slow)
    digests = collect_digests(load_manifest(slow_target.base), load_manifest(slow_target.candidate))
    swapped = {
        operation: {"base": times.candidate, "candidate": times.base}
        for operation, times in evidence.corpora["fr"].operations.items()
    }
    document = evidence.model_dump()
    document["corpora"]["fr"]["operations"] = swapped
    faster = LatencyEvidence.model_validate(document)

    for operation in OPERATIONS:
        check = judge(evidence, digests, operation=operation)
        assert check.outcome is Outcome.FAIL
        assert check.observed > 2
        assert judge(faster, digests, operation=operation).outcome is Outcome.PASS


def test_every_planned_round_is_in_the_file(slow: Path, slow_target: LatencyTarget) -> None:
    """The written evidence has all rounds of both operations and is bound to the bytes of both stores."""
    evidence = load_latency(slow)
    measured = evidence.corpora["fr"]

    assert list(evidence.corpora) == ["fr"]
    assert {
        name: (len(times.base), len(times.candidate)) for name, times in measured.operations.items()
    } == dict.fromkeys(CORE, (ROUNDS, ROUNDS))
    assert measured.stores.candidate.database == load_manifest(slow_target.candidate).files.database.sha256
    assert measured.stores.base.questions == load_manifest(slow_target.base).files.questions.sha256
    assert is_current(evidence, [slow_target])


def test_no_secret_reaches_the_measuring_process_or_the_file(slow: Path, environments: list[dict[str, str]]) -> None:
    """The process gets the variables that it needs and no other; the file says nothing of host, user or paths."""
    text = slow.read_text(encoding="utf-8")
    threads = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}

    assert [set(environment) - {"PATH", "HOME"} for environment in environments] == [
        threads | {latency_rounds.PLAN_VARIABLE, "COLUMNS"}
    ]
    assert {environments[0][name] for name in threads} == {"1"}
    assert CANARY not in text
    assert str(slow.parent) not in text
    assert set(json.loads(text)["machine"]) == set(latency_rounds.Machine.model_fields)


def test_a_failing_run_is_one_line_and_leaves_the_old_file(tmp_path: Path) -> None:
    """When a database cannot be opened, the error names it, and what was measured before stays."""
    spoilt = copy_pair(tmp_path / "stores")
    damage_database(spoilt.candidate)
    path = tmp_path / "reports" / "latency.json"
    path.parent.mkdir()
    path.write_text("old", encoding="utf-8")

    with pytest.raises(StoreError) as caught:
        measure_latency([spoilt], path, rounds=1)

    assert "\n" not in str(caught.value)
    assert "pytest ended with 1: FAILED" in caught.value.problem
    assert "[fr-open-and-search-0-candidate]" in caught.value.problem
    assert f"0/candidate/{get_path(spoilt.candidate, 'database').name}: expected" in caught.value.problem
    assert caught.value.remedy
    assert [found.name for found in path.parent.iterdir()] == ["latency.json"]
    assert path.read_text(encoding="utf-8") == "old"


def alter_byte(pair: LatencyTarget) -> list[LatencyTarget]:
    """Change a store without its manifest."""
    with get_path(pair.candidate, "database").open("ab") as stream:
        stream.write(b"\0")
    return [pair]


def ask_otherwise(pair: LatencyTarget) -> list[LatencyTarget]:
    """Let the candidate's manifest name other questions."""
    edit_manifest(pair.candidate, lambda document: document.update(questions_sha256="0" * 64))
    return [pair]


@pytest.mark.parametrize(
    ("spoil", "fragment"),
    [
        (lambda _pair: [], "expected corpora, each once, got []"),
        (lambda pair: [pair, pair], "expected corpora, each once, got ['fr', 'fr']"),
        (lambda pair: [LatencyTarget("intl", pair.base, pair.candidate)], "expected a store of intl, got one of fr"),
        (lambda pair: [LatencyTarget("fr", pair.base, pair.base / "none")], "expected a store folder"),
        (alter_byte, "corpus_mode_b_fr.db: expected"),
        (ask_otherwise, "made for other questions than the base"),
    ],
    ids=["no corpus", "corpus twice", "another corpus", "no store", "altered bytes", "other questions"],
)
def test_stores_that_cannot_be_compared_are_not_measured(
    tmp_path: Path, spoil: Callable[[LatencyTarget], list[LatencyTarget]], fragment: str
) -> None:
    """A pair that would make the ratio meaningless is refused in one line, and nothing is written."""
    targets = spoil(copy_pair(tmp_path / "stores"))

    with pytest.raises(PipelineError) as caught:
        measure_latency(targets, tmp_path / "latency.json", rounds=1)

    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*latency.json*"))


def test_a_run_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement that takes longer than any should is one line, and nothing is written or left running."""
    monkeypatch.setattr(latency_rounds, "TIMEOUT_S", 0.05)
    children = Path("/proc/self/task") / str(threading.get_native_id()) / "children"
    before = children.read_text(encoding="utf-8")

    with pytest.raises(StoreError) as caught:
        measure_latency([copy_pair(tmp_path / "stores")], tmp_path / "latency.json", rounds=1)

    assert caught.value.problem.endswith("ended after 0.05 seconds")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*latency.json*"))
    assert children.read_text(encoding="utf-8") == before


def test_a_store_that_changes_while_it_is_measured_makes_stale_evidence(
    report: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verified copies are measured, so the evidence is bound to the old bytes, whatever a build does meanwhile."""
    pair = copy_pair(tmp_path / "stores")
    before = load_manifest(pair.base).files.database.sha256

    def rebuild(planned: Plan, _folder: Path) -> latency_rounds.Report:
        edit_database(pair.base, "UPDATE chunks SET page = page + 1")
        assert load_manifest(planned.stores["fr"]["base"]).files.database.sha256 == before
        return load_report(report, plan)

    monkeypatch.setattr(latency, "measure_rounds", rebuild)
    measure_latency([pair], tmp_path / "latency.json", rounds=3)
    evidence = load_latency(tmp_path / "latency.json")

    assert evidence.corpora["fr"].stores.base.database == before
    assert not is_current(evidence, [pair])


@pytest.mark.parametrize(
    ("spoil", "fragment"),
    [
        (lambda items: items.pop(), "expected the 24 planned runs"),
        (lambda items: items.append(items[0]), "expected the 24 planned runs"),
        (lambda items: items.reverse(), "expected the 24 planned runs"),
        (lambda items: items[3]["extra_info"].update(store="other"), "benchmarks[3].extra_info.store"),
        (lambda items: items[3]["extra_info"].clear(), "benchmarks[3].extra_info.corpus"),
        (lambda items: items[3]["stats"].update(data=[0.0]), "benchmarks[3].stats.data[0]"),
        (lambda items: items[3]["stats"].update(data=[True]), "benchmarks[3].stats.data[0]"),
        (lambda items: items[3].pop("stats"), "benchmarks[3].stats"),
    ],
    ids=["run missing", "run twice", "another order", "unknown store", "no names", "no time", "bool", "no stats"],
)
def test_an_incomplete_report_is_refused(
    report: Path, plan: Plan, tmp_path: Path, spoil: Callable[[list[dict[str, Any]]], None], fragment: str
) -> None:
    """What pytest-benchmark wrote must be exactly the planned runs, in their order, with a time each."""
    document = json.loads(report.read_text(encoding="utf-8"))
    spoil(document["benchmarks"])
    path = tmp_path / "report.json"
    write_json(path, document)

    with pytest.raises(StoreError) as caught:
        load_report(path, plan)

    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_report_is_refused(plan: Plan, tmp_path: Path) -> None:
    """A run that wrote nothing is no evidence."""
    with pytest.raises(StoreError, match="does not exist"):
        load_report(tmp_path / "report.json", plan)


def test_a_processor_without_a_brand_is_named_by_its_kind(report: Path, plan: Plan, tmp_path: Path) -> None:
    """Where the operating system knows no brand, the machine's architecture stands for the processor."""
    document = json.loads(report.read_text(encoding="utf-8"))
    document["machine_info"]["cpu"].pop("brand_raw", None)
    document["machine_info"]["machine"] = "aarch64"
    write_json(tmp_path / "report.json", document)

    assert load_report(tmp_path / "report.json", plan).get_machine().cpu == "aarch64"


# The file


def set_time(value: object) -> Callable[[dict[str, Any]], None]:
    """Put a value in the place of the candidate's third time."""

    def change(document: dict[str, Any]) -> None:
        document["corpora"]["fr"]["operations"]["gold-set"]["candidate"][2] = value

    return change


def set_times(values: list[float]) -> Callable[[dict[str, Any]], None]:
    """Put other rounds in the place of the candidate's."""

    def change(document: dict[str, Any]) -> None:
        document["corpora"]["fr"]["operations"]["gold-set"]["candidate"] = values

    return change


TIME = "corpora.fr.operations.gold-set.candidate[2]"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (set_time(0.0), TIME),
        (set_time(-0.1), TIME),
        (set_time(1e300), TIME),
        (set_time(math.nan), TIME),
        (set_time(math.inf), TIME),
        (set_time(True), TIME),
        (set_time("0.1"), TIME),
        (set_time(None), TIME),
        (set_times([0.1] * 4), "corpora.fr.operations.gold-set"),
        (set_times([]), "corpora.fr.operations.gold-set.candidate"),
        (lambda document: document.update(schema_version=2), "schema_version"),
        (lambda document: document.update(schema_version=True), "schema_version"),
        (lambda document: document.update(host="me"), "host"),
        (lambda document: document["machine"].pop("cpu"), "machine.cpu"),
        (lambda document: document["machine"].update(cores=2.0), "machine.cores"),
        (lambda document: document["corpora"]["fr"]["stores"]["base"].update(database="abc"), "stores.base.database"),
        (lambda document: document["corpora"]["fr"]["stores"].pop("candidate"), "stores.candidate"),
        (lambda document: document["corpora"]["fr"]["operations"].update(write={}), "operations.write"),
    ],
    ids=[
        *("zero", "negative", "huge", "NaN", "infinite", "bool", "text", "null", "uneven", "no round"),
        *("other schema", "bool schema", "unknown field", "no cpu", "float cores", "short digest", "no candidate"),
        "unknown operation",
    ],
)
def test_a_malformed_file_names_its_field(
    digests: PairDigests, tmp_path: Path, change: Callable[[dict[str, Any]], None], field: str
) -> None:
    """What is not exactly a `latency.json` is refused, with the path of the field."""
    document = build_document(digests, [0.1] * 5, [0.1] * 5)
    change(document)
    path = tmp_path / "latency.json"
    path.write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(InputError) as caught:
        load_latency(path)

    assert str(path) in caught.value.where
    assert field in caught.value.where
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    """Evidence that was never written cannot be loaded."""
    with pytest.raises(InputError, match="does not exist"):
        load_latency(tmp_path / "latency.json")


def test_evidence_is_current_only_on_the_measured_bytes(tmp_path: Path) -> None:
    """A rebuilt store, or a corpus that was not measured, makes the evidence stale."""
    pair = copy_pair(tmp_path / "stores")
    measured = collect_digests(load_manifest(pair.base), load_manifest(pair.candidate))
    evidence = build_evidence(measured, [0.1] * 5, [0.1] * 5)

    assert is_current(evidence, [pair])
    assert is_current(evidence, [pair], rounds=5)
    assert not is_current(evidence, [pair], rounds=6)
    assert not is_current(evidence, [pair], rounds=4)
    assert not is_current(evidence, [pair, LatencyTarget("intl", pair.base, pair.candidate)])
    edit_database(pair.candidate, "UPDATE chunks SET page = page + 1")
    assert not is_current(evidence, [pair])


def test_evidence_of_one_operation_is_not_current(digests: PairDigests, target: LatencyTarget) -> None:
    """Where rounds are asked for, every operation must have them."""
    document = build_document(digests, [0.1] * 5, [0.1] * 5)
    del document["corpora"]["fr"]["operations"]["gold-set"]

    assert not is_current(LatencyEvidence.model_validate(document), [target], rounds=5)


def test_absolute_times_are_described_in_milliseconds(digests: PairDigests) -> None:
    """The record says the median of both stores, the rounds and the machine."""
    described = describe_latency(build_evidence(digests, [0.001, 0.002, 0.004], [0.003, 0.005, 0.009]))

    assert described["machine"]["cpu"] == "Abacus"
    assert described["corpora"]["fr"]["gold-set"] == {
        "rounds": 3,
        "base_median_ms": 2.0,
        "candidate_median_ms": 5.0,
    }


# The interval


def test_the_interval_is_the_naive_bootstrap_of_the_median() -> None:
    """Resample by resample in plain Python, the same draws give the same bounds."""
    source = np.random.default_rng(5)
    base, candidate = source.lognormal(-4, 0.2, 12), source.lognormal(-4, 0.3, 12)
    ratios = [float(after / before) for before, after in zip(base, candidate, strict=True)]
    draws = np.random.default_rng(11).integers(12, size=(500, 12)).tolist()
    medians = sorted(statistics.median(ratios[position] for position in draw) for draw in draws)

    ratio, interval = estimate_ratio(base.tolist(), candidate.tolist(), level=0.9, resamples=500, seed=11)

    assert ratio == pytest.approx(statistics.median(ratios), rel=1e-12)
    assert interval.lower == pytest.approx(medians[math.floor(0.1 * 499)], rel=1e-12)
    assert interval.upper == pytest.approx(medians[math.ceil(0.9 * 499)], rel=1e-12)
    assert interval.standard_error == pytest.approx(statistics.pstdev(medians), rel=1e-9)
    assert interval.level == 0.9


@pytest.mark.parametrize("rounds", [15, 40])
def test_the_interval_agrees_with_scipy(rounds: int) -> None:
    """Both bounds lie where scipy's own bootstrap has them, within four Monte Carlo errors of the quantile."""
    source = np.random.default_rng(rounds)
    base, candidate = source.lognormal(-4, 0.2, rounds), source.lognormal(-4, 0.2, rounds)
    resamples, level = 20_000, 0.95
    theirs = bootstrap(
        (candidate / base,), np.median, n_resamples=resamples, method="percentile", rng=np.random.default_rng(99)
    ).bootstrap_distribution
    _, ours = estimate_ratio(base.tolist(), candidate.tolist(), level=level, resamples=resamples, seed=1)
    error = 4 * math.sqrt(2 * level * (1 - level) / resamples)

    for bound, share in ((ours.lower, 1 - level), (ours.upper, level)):
        low, high = np.quantile(theirs, [share - error, share + error])
        assert low <= bound <= high


@settings(max_examples=50, deadline=None)
@given(base=TIMES, data=st.data(), factor=st.floats(1.0, 1e3), seed=st.integers(0, 2**32))
def test_a_slower_round_never_helps_the_candidate(
    base: list[float], data: st.DataObject, factor: float, seed: int
) -> None:
    """Slowing any round of the candidate lowers neither the ratio nor a bound."""
    candidate = data.draw(st.lists(st.floats(1e-6, 10.0), min_size=len(base), max_size=len(base)))
    position = data.draw(st.integers(0, len(base) - 1))
    slower = [time * factor if number == position else time for number, time in enumerate(candidate)]
    drawn: dict[str, Any] = {"level": 0.95, "resamples": 200, "seed": seed}

    before_ratio, before = estimate_ratio(base, candidate, **drawn)
    after_ratio, after = estimate_ratio(base, slower, **drawn)

    assert after_ratio >= before_ratio
    assert after.lower >= before.lower
    assert after.upper >= before.upper


@settings(max_examples=25, deadline=None)
@given(base=TIMES, seed=st.integers(0, 2**32))
def test_bounds_lie_within_the_ratios_that_were_seen(base: list[float], seed: int) -> None:
    """Both bounds are in order and among the ratios; equal times give exactly 1."""
    candidate = base[::-1]
    ratios = np.array(candidate) / np.array(base)
    _, interval = estimate_ratio(base, candidate, level=0.95, resamples=200, seed=seed)
    ratio, same = estimate_ratio(base, base, level=0.95, resamples=200, seed=seed)

    assert ratios.min() <= interval.lower <= interval.upper <= ratios.max()
    assert (ratio, same.lower, same.upper, same.standard_error) == (1.0, 1.0, 1.0, 0.0)


# The check


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        ([1.0] * 6, Outcome.PASS),
        ([1.1] * 6, Outcome.PASS),
        ([math.nextafter(1.1, 2)] * 6, Outcome.FAIL),
        ([1.1] * 3 + [1.2] * 3, Outcome.INCONCLUSIVE),
        ([1.0] * 3 + [1.2] * 3, Outcome.INCONCLUSIVE),
        ([1.2] * 6, Outcome.FAIL),
        ([1.0] * 7 + [9.0], Outcome.PASS),
    ],
    ids=["below", "at the limit", "a step above", "lower at the limit", "across", "above", "one disturbed round"],
)
def test_the_bounds_decide_in_decimals(digests: PairDigests, candidate: list[float], expected: Outcome) -> None:
    """An upper bound at the limit passes, a lower bound above it fails, and an interval across it decides nothing."""
    check = judge(build_evidence(digests, [1.0] * len(candidate), candidate), digests)

    assert check.outcome is expected
    assert (check.id, check.subject, check.limit, check.n) == ("LAT301", "fr", 1.1, len(candidate))
    assert check.observed == statistics.median(candidate)
    assert check.interval is not None
    assert (check.detail is None) == (expected is Outcome.PASS)
    assert check.detail is None or "gold-set: the 95% bounds [1." in check.detail


def test_operations_are_judged_by_their_own_rounds(digests: PairDigests) -> None:
    """A slow gold set does not fail a quick search."""
    document = build_document(digests, [1.0] * 6, [1.0] * 6)
    document["corpora"]["fr"]["operations"]["gold-set"]["candidate"] = [2.0] * 6
    evidence = LatencyEvidence.model_validate(document)

    assert judge(evidence, digests, operation="open-and-search").outcome is Outcome.PASS
    assert judge(evidence, digests, operation="gold-set").outcome is Outcome.FAIL


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("role", ["database", "embeddings", "questions"])
def test_evidence_of_other_bytes_is_an_error(digests: PairDigests, side: str, role: str) -> None:
    """Rounds on any other file of either store say nothing about these stores."""
    document = build_document(digests, [1.0] * 6, [1.0] * 6)
    document["corpora"]["fr"]["stores"][side][role] = "f" * 64
    check = judge(LatencyEvidence.model_validate(document), digests)

    assert check.outcome is Outcome.ERROR
    assert check.detail == "gold-set on fr was measured on other bytes than those of the stores"
    assert check.observed is check.interval is None


def test_evidence_that_is_missing_is_an_error(digests: PairDigests) -> None:
    """No file, no such corpus and no such operation: each is an ERROR that says what was not measured."""
    evidence = build_evidence(digests, [1.0] * 6, [1.0] * 6)
    document = build_document(digests, [1.0] * 6, [1.0] * 6)
    del document["corpora"]["fr"]["operations"]["gold-set"]
    partial = LatencyEvidence.model_validate(document)

    for check, corpus in (
        (judge(None, digests), "fr"),
        (judge(evidence, digests, corpus="intl"), "intl"),
        (judge(partial, digests), "fr"),
    ):
        assert check.outcome is Outcome.ERROR
        assert (check.subject, check.limit) == (corpus, 1.1)
        assert check.detail == f"gold-set on {corpus} was not measured"


@pytest.mark.parametrize(("rounds", "expected"), [(1, Outcome.ERROR), (4, Outcome.ERROR), (5, Outcome.PASS)])
def test_too_few_rounds_decide_nothing(digests: PairDigests, rounds: int, expected: Outcome) -> None:
    """Four rounds cannot bound a median at 95 %, whatever they took."""
    check = judge(build_evidence(digests, [1.0] * rounds, [0.5] * rounds), digests)

    assert check.outcome is expected
    assert expected is Outcome.PASS or f"{rounds} rounds are too few for a bound at 95%" in str(check.detail)


def test_a_store_is_measured_from_its_own_files(target: LatencyTarget) -> None:
    """What is searched is what the manifest names: the database, and both matrices."""
    database, passages, questions = latency_rounds.load_store(target.base)

    assert database == get_path(target.base, "database")
    assert passages.shape == questions.shape == (ROWS, 768)
    np.testing.assert_array_equal(passages, draw_unit_vectors(ROWS, 1))
