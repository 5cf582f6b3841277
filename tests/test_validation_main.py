"""`python -m validation gate` from its command line to exit code, table and decision.json."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.documents import load_json
from pipeline.files import write_json
from pipeline.params import PROJECT_ROOT
from tests.conftest import Sample, build_sample_store, draw_unit_vectors, write_sample
from tests.releases import (
    build_certificate,
    build_latency,
    list_requests,
    load_small_params,
    remember_expectations,
    write_release,
)
from tests.repositories import make_repository
from tests.stores import (
    ROLES,
    build_request,
    edit_database,
    enter_project,
    flip_bit,
    get_path,
    list_options,
    replace_array,
    replace_passages,
    write_pair,
    write_policy,
)
from validation.document import Record
from validation.outcomes import Verdict
from validation.policy import EXPECTATIONS, load_rulebook
from validation.release_case import build_canaries, build_receipt
from validation.releasing.events import LOG, NewEvent, append_events
from validation.releasing.receipt import RECEIPT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Result
    from validation.document import CheckRecord
    from validation.stores import CorpusRequest

    Run = Callable[..., Result]

OLD = '{"decision": "RELEASE"}'


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """The same tables are validated once."""
    with remember_expectations():
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, a base and a candidate that finds more."""
    folder = tmp_path_factory.mktemp("good")
    write_pair(folder, base_hits=40, candidate_hits=80)
    return folder


@pytest.fixture
def pair(good: Path, tmp_path: Path) -> CorpusRequest:
    """A copy of that pair, to be spoilt, with an earlier RELEASE in the reports."""
    folder = shutil.copytree(good, tmp_path / "pair")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "decision.json").write_text(OLD, encoding="utf-8")
    return open_pair(folder)


def open_pair(folder: Path) -> CorpusRequest:
    """Return the request to compare the stores of a folder."""
    corpus = folder / "corpus"
    sample = Sample(corpus / "chunks.json", corpus / "questions.jsonl", corpus / "qrels.tsv")
    return build_request(sample, folder / "base", folder / "qlora")


def compare(run_cli: Run, request: CorpusRequest, output: Path, *options: object, measured: bool = True) -> Result:
    """Compare two stores; unless told not to, leave evidence of their latency first."""
    if measured:
        write_json(output / "latency.json", build_latency([request]).model_dump())
    policy = () if "--policy" in options else ("--policy", write_policy(output.parent))
    return run_cli("validation", *list_options(request, output), *policy, *options)


def read(output: Path) -> Record:
    """Read the decision that a run left."""
    return load_json(output / "decision.json", Record)


def get_check(record: Record, check_id: str) -> CheckRecord:
    """Return one check of a decision, the first that did not pass if there are several."""
    found = [check for check in record.checks if check.id == check_id]
    return min(found, key=lambda check: check.outcome == "PASS")


@pytest.mark.parametrize(
    ("hits", "decision", "code", "outcome"),
    [
        ((40, 80), "RELEASE", 0, "PASS"),
        ((40, 41), "KEEP", 20, "INCONCLUSIVE"),
        ((80, 40), "KEEP", 20, "FAIL"),
    ],
    ids=["gain shown", "gain not shown", "loss shown"],
)
def test_two_stores_are_compared(
    tmp_path: Path, run_cli: Run, hits: tuple[int, int], decision: str, code: int, outcome: str
) -> None:
    """Exit code, table and record say the same: RELEASE for a shown gain, KEEP for a loss or what is not shown."""
    request = build_request(*write_pair(tmp_path, base_hits=hits[0], candidate_hits=hits[1]))
    result = compare(run_cli, request, tmp_path / "reports")
    record = read(tmp_path / "reports")

    assert (result.code, result.err) == (code, "")
    assert f" {decision} " in result.out
    assert (record.decision, record.exit_code, record.policy) == (decision, code, "comparison")
    assert get_check(record, "RET301").outcome == outcome
    assert not {"RET307", "CER501", "INT105"} & {check.id for check in record.checks}
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == [
        "answers.jsonl", "decision.json", "latency.json",
    ]  # fmt: skip


def leave_as_is(_request: CorpusRequest) -> None:
    """Spoil nothing."""


def tie(request: CorpusRequest) -> None:
    """Let the candidate say the same of everything."""
    vector = draw_unit_vectors(1, seed=4)
    replace_passages(request.stores["qlora"], np.repeat(vector, 120, axis=0))
    replace_array(request.stores["qlora"], "questions", np.repeat(vector, 120, axis=0))


def repeat_base(request: CorpusRequest) -> None:
    """Let the candidate be the base."""
    shutil.rmtree(request.stores["qlora"])
    shutil.copytree(request.stores["base"], request.stores["qlora"])


def drop_questions(request: CorpusRequest) -> None:
    """Take away the candidate's question vectors."""
    get_path(request.stores["qlora"], "questions").unlink()


def reword(request: CorpusRequest) -> None:
    """Build the candidate for other questions."""
    folder = request.questions.parent / "other"
    other = write_sample(folder, rows=120, questions=120)
    other.questions.write_text(other.questions.read_text("utf-8").replace("Que faire", "Comment faire"), "utf-8")
    build_sample_store(other, request.stores["qlora"], model_id=ROLES["qlora"], hits=80, seed=2)


def poison(request: CorpusRequest) -> None:
    """Build a NaN into the candidate's vectors and its manifest."""
    array = np.load(get_path(request.stores["qlora"], "embeddings"))
    array[3, 5] = np.nan
    replace_passages(request.stores["qlora"], array)


def ask_once(request: CorpusRequest) -> None:
    """Ask one question only."""
    sample = write_sample(request.questions.parent, rows=120, questions=1)
    for seed, (role, hits) in enumerate((("base", 0), ("qlora", 1)), 1):
        build_sample_store(sample, request.stores["qlora" if role == "qlora" else "base"], model_id=ROLES[role],
                           hits=hits, seed=seed)  # fmt: skip


def part_one(request: CorpusRequest) -> None:
    """Give one question a category of its own."""
    text = request.questions.read_text(encoding="utf-8")
    request.questions.write_text(text.replace("laws", "clock", 1), encoding="utf-8")
    rebuild(request)


def part_all(request: CorpusRequest) -> None:
    """Give every question a category of its own."""
    lines = request.questions.read_text(encoding="utf-8").splitlines()
    told = "".join(line.replace("laws", f"part {n}") + "\n" for n, line in enumerate(lines))
    request.questions.write_text(told, encoding="utf-8")
    rebuild(request)


def rebuild(request: CorpusRequest) -> None:
    """Build both stores for the questions as they now are."""
    sample = Sample(request.chunks, request.questions, request.qrels)
    build_sample_store(sample, request.stores["base"], model_id=ROLES["base"], hits=40, seed=1)
    build_sample_store(sample, request.stores["qlora"], model_id=ROLES["qlora"], hits=80, seed=2)


# What is wrong, what is decided, by which check, and what is said of it.
POOR: dict[str, tuple[Callable[[CorpusRequest], None], str, str, str]] = {
    "nothing": (leave_as_is, "RELEASE", "RET301", ""),
    "all ties": (tie, "KEEP", "VEC107", "distinct: observed 0.0083"),
    "a NaN": (poison, "KEEP", "VEC105", "not_finite: observed 1"),
    "identical stores": (
        repeat_base, "NOT_EVALUATED", "INT104", "candidate and base hold the same vectors: there is nothing to compare",
    ),
    "no question vectors": (
        drop_questions, "NOT_EVALUATED", "INT101",
        "questions_mode_b_fr.npy: expected a file of its own, but it does not exist",
    ),
    "other questions": (reword, "NOT_EVALUATED", "INT103", "made for other questions"),
    "one question": (ask_once, "NOT_EVALUATED", "RET301", "1 questions, the policy asks for at least 100"),
    "a slice of one": (part_one, "RELEASE", "RET308", ""),
    "bytes changed": (
        lambda request: flip_bit(request.stores["qlora"], "database"), "NOT_EVALUATED", "INT101",
        "corpus_mode_b_fr.db: SHA-256 differs from the one on record",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "decision", "check_id", "said"), POOR.values(), ids=POOR)
def test_poor_evidence_has_its_decision_reason_and_remedy(
    pair: CorpusRequest, tmp_path: Path, run_cli: Run, spoil: Callable[[CorpusRequest], None], decision: str,
    check_id: str, said: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """What is decided, by which check, why and what to do stand in the record, and in the terminal."""
    monkeypatch.setenv("COLUMNS", "300")
    spoil(pair)
    measured = check_id not in {"INT101", "INT103"}
    result = compare(run_cli, pair, tmp_path / "reports", measured=measured)
    record = read(tmp_path / "reports")
    check = get_check(record, check_id)

    assert (result.code, record.decision) == (Verdict(decision).exit_code, decision)
    assert result.err.startswith("latency not measured: ") if not measured else result.err == ""
    assert result.err.count("\n") == (not measured)
    assert said in (check.detail or "")
    assert (check.outcome == "PASS") is (decision == "RELEASE")
    assert not [reason for reason in record.reasons if "\n" in reason]
    if decision != "RELEASE":
        assert any(reason.startswith(f"{check_id} {check.subject}: ") for reason in record.reasons)
        assert check.remedy
        assert check.remedy.en in result.out


def test_a_slice_of_one_is_told_and_not_tested(pair: CorpusRequest, tmp_path: Path, run_cli: Run) -> None:
    """A single question is no slice to lose; where all slices are so small, these checks are left out and not PASS."""
    part_one(pair)
    compare(run_cli, pair, tmp_path / "reports")
    one = read(tmp_path / "reports")
    part_all(pair)
    compare(run_cli, pair, tmp_path / "reports")
    every = read(tmp_path / "reports")

    assert [(found.n, found.interval is None) for found in one.slices["fr"]] == [(1, True), (119, False)]
    assert get_check(one, "RET308").n == 1
    assert {found.n for found in every.slices["fr"]} == {1}
    assert not {"RET308", "RET309"} & {check.id for check in every.checks}


def test_an_earlier_release_does_not_outlive_its_evidence(pair: CorpusRequest, tmp_path: Path, run_cli: Run) -> None:
    """What was released yesterday is NOT_EVALUATED today when the gold set can no longer be read."""
    first = compare(run_cli, pair, tmp_path / "reports")
    pair.questions.write_text("", encoding="utf-8")
    second = compare(run_cli, pair, tmp_path / "reports")
    record = read(tmp_path / "reports")
    reason = f"{pair.questions}: expected at least one question, got an empty file; add questions"

    assert (first.code, second.code) == (0, 30)
    assert (record.decision, record.exit_code, record.reasons) == ("NOT_EVALUATED", 30, [reason])
    assert (second.out, second.err) == ("", f"error: {reason}\n")
    assert (record.checks, record.retrieval) == ([], {})


def test_a_defect_leaves_no_earlier_release_standing(
    pair: CorpusRequest, tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even an error that nobody foresaw ends in a decision that releases nothing, and in one line."""

    def fail(*_arguments: object) -> None:
        message = "out of luck"
        raise RuntimeError(message)

    monkeypatch.setattr("validation.judging.judge", fail)
    result = compare(run_cli, pair, tmp_path / "reports")

    assert (result.code, result.out, result.err.count("\n")) == (30, "", 1)
    assert "internal error" in result.err
    assert read(tmp_path / "reports").reasons == ["RuntimeError: out of luck"]


def break_policy(old: str, new: str) -> Callable[[Path], Path]:
    """Return a way to write a policy with one thing replaced."""
    return lambda folder: write_policy(folder, (old, new))


def write_text(text: str) -> Callable[[Path], Path]:
    """Return a way to write a policy of this text."""

    def write(folder: Path) -> Path:
        path = folder / "policy.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def list_waivers(*checks: str) -> str:
    """Return waivers for these checks, as they stand in a policy."""
    told = [
        f"{{id: WAIVER-00{n}, check: {check}, subject: fr, owner: A, reason: r, expires: 2027-01-31}}"
        for n, check in enumerate(checks, 1)
    ]
    return f"waivers: [{', '.join(told)}]"


POLICIES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "empty": (write_text(""), "expected an object, got null"),
    "unknown waiver id": (break_policy("waivers: []", list_waivers("RET399")), "WAIVER-001 names RET399, which is not"),
    "waivers over the cap": (
        break_policy("waivers: []", list_waivers("RET302", "RET303", "RET304")),
        "waivers: 3 waivers, limits.waivers_max allows 2",
    ),
    "text for a level": (break_policy("level: 0.95", "level: '0.95'"), "statistics.level: expected a valid number"),
    "duplicate key": (
        break_policy("  seed: 20260125", "  seed: 20260125\n  seed: 1"), 'duplicate key "seed"'
    ),
    "limit missing": (break_policy("  recall_floor: 0.25\n", ""), "limits.recall_floor: Field required"),
}  # fmt: skip


@pytest.mark.parametrize(("write", "said"), POLICIES.values(), ids=POLICIES)
def test_a_malformed_policy_judges_nothing(
    pair: CorpusRequest, tmp_path: Path, run_cli: Run, write: Callable[[Path], Path], said: str
) -> None:
    """File, field and remedy in one line; exit code 30; and the earlier RELEASE is no longer there."""
    path = write(tmp_path)
    result = compare(run_cli, pair, tmp_path / "reports", "--policy", path, measured=False)
    record = read(tmp_path / "reports")

    assert (result.code, result.out, len(result.err.splitlines())) == (30, "", 1)
    assert result.err.startswith(f"error: {path}: ")
    assert said in result.err
    assert (record.decision, len(record.reasons)) == ("NOT_EVALUATED", 1)
    assert said in record.reasons[0]
    assert "\n" not in record.reasons[0]
    assert result.err == f"error: {record.reasons[0]}\n"


def replace_text(name: str, old: str, new: str) -> Callable[[CorpusRequest], Path]:
    """Return a sabotage of one file of a corpus that also says where the error is."""

    def change(request: CorpusRequest) -> Path:
        path: Path = getattr(request, name)
        text = path.read_text(encoding="utf-8")

        assert old in text

        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return change


INPUTS = {
    "chunks: other total": (
        replace_text("chunks", '"total": 120', '"total": 7'), "total says 7, but there are 120 chunks"
    ),
    "chunks: duplicate key": (
        replace_text("chunks", '"total": 120', '"total": 120, "total": 120'), 'duplicate key "total"'
    ),
    "chunks: not a number": (replace_text("chunks", '"tokens": 20', '"tokens": NaN'), "NaN"),
    "chunks: boolean page": (replace_text("chunks", '"page": 1', '"page": true'), "chunks[0].page:"),
    "chunks: duplicate id": (replace_text("chunks", "règles-001", "règles-000"), "chunks[1].id: duplicate"),
    "chunks: hostile name": (replace_text("chunks", '"corpus": "fr"', '"corpus": "[b]\\u001b\\u202e"'), "corpus: "),
    "questions: duplicate id": (replace_text("questions", '"q1"', '"q0"'), "_id: duplicate of line 1"),
    "questions: no JSON": (replace_text("questions", '{"_id": "q1"', '"_id": "q1"'), ":2"),
    "questions: hostile field": (
        replace_text("questions", '"metadata"', '"\u202e\x7f": 1, "metadata"'), "\\u202e\\x7f: Extra inputs"
    ),
    "qrels: unknown chunk": (replace_text("qrels", "règles-002", "règles-999"), "règles-999"),
    "qrels: unknown question": (replace_text("qrels", "q3\t", "q999\t"), "q999"),
    "qrels: no header": (replace_text("qrels", "query-id\t", "query\t"), ":1"),
}  # fmt: skip


@pytest.mark.parametrize(("sabotage", "said"), INPUTS.values(), ids=INPUTS)
def test_bad_input_is_one_line_and_exit_code_30(
    pair: CorpusRequest, tmp_path: Path, run_cli: Run, sabotage: Callable[[CorpusRequest], Path], said: str
) -> None:
    """A malformed corpus or gold set is named by file and field, nothing is measured, and nothing is released."""
    path = sabotage(pair)
    result = compare(run_cli, pair, tmp_path / "reports", measured=False)

    assert (result.code, result.out) == (30, "")
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith(f"error: {path}")
    assert said in result.err
    assert not {"\x1b", "\u202e", "\x7f"} & set(result.err)
    assert read(tmp_path / "reports").decision == "NOT_EVALUATED"
    assert [file.name for file in (tmp_path / "reports").iterdir()] == ["decision.json"]


def test_a_report_that_cannot_be_written_is_exit_code_30(good: Path, tmp_path: Path, run_cli: Run) -> None:
    """Where the report's folder is a file the run ends with one line; a verdict that is not recorded is none."""
    (tmp_path / "reports").write_text("a file", encoding="utf-8")
    result = compare(run_cli, open_pair(good), tmp_path / "reports", measured=False)

    assert (result.code, result.out) == (30, "")
    assert len(result.err.splitlines()) == 1
    assert str(tmp_path / "reports") in result.err
    assert (tmp_path / "reports").read_text(encoding="utf-8") == "a file"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose candidate is to be released."""
    folder = tmp_path_factory.mktemp("project")
    write_release(folder, {"fr": (40, 80), "intl": (60, 60)})
    make_repository(folder).stage("README.md")
    return folder


def release(run_cli: Run, patch: pytest.MonkeyPatch, root: Path, output: Path) -> Result:
    """Judge a project for release with its certificate, and with evidence of latency where stores can be measured."""
    enter_project(patch, root, load_small_params())
    policy = write_policy(output.parent)
    return run_cli("validation", "gate", "--policy", policy, "--output", output, "--as-of", "2026-01-25")


def certify(root: Path, output: Path) -> None:
    """Write latency, certificate, drill and the samples embedded anew of a project as it is."""
    requests = list_requests(root)
    for role, canary in build_canaries(requests).items():
        write_json(root / "build" / "canaries" / f"{role}.json", canary.model_dump())
    write_json(output / "latency.json", build_latency(requests).model_dump())
    write_json(output / RECEIPT, build_receipt(requests).model_dump(mode="json"))
    certificate = build_certificate(requests, load_rulebook(write_policy(output.parent)))
    write_json(output / "certificate.json", certificate.model_dump(mode="json"))


def test_a_release_with_all_its_evidence_is_one(
    project: Path, tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without options the built stores of every corpus are judged for release, by model, certificate and drill too."""
    certify(project, tmp_path / "reports")
    result = release(run_cli, monkeypatch, project, tmp_path / "reports")
    record = read(tmp_path / "reports")
    checks = {(check.id, check.subject): check.outcome for check in record.checks}
    declared = load_rulebook(EXPECTATIONS / "policy.yaml").policy.release.list_checks()

    assert (result.code, result.err, record.decision, record.policy) == (0, "", "RELEASE", "release")
    assert record.reasons == [f"all {len(checks)} required checks passed"]
    assert {check for check, _ in checks} == set(declared)
    assert set(checks.values()) == {"PASS"}
    assert ("RET301", "fr") in checks
    assert ("RET306", "intl") in checks
    assert {("CER501", "gate"), ("FBK502", "gate")} <= set(checks)
    assert record.attempt == 1


def test_every_input_is_recorded_with_its_digest(
    project: Path, tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules, evidence, training, corpora, gold sets and all files of the stores have their SHA-256."""
    certify(project, tmp_path / "reports")
    release(run_cli, monkeypatch, project, tmp_path / "reports")
    inputs = read(tmp_path / "reports").inputs
    suites = {f"suite_{path.stem}" for path in (EXPECTATIONS / "suites").glob("*.json")}
    corpora = {f"{corpus}/{name}" for corpus in ("fr", "intl") for name in ("chunks", "questions", "qrels")}
    stores = {
        f"{role}/{corpus}/{name}"
        for role in ("base", "qlora")
        for corpus in ("fr", "intl")
        for name in ("manifest", "embeddings", "questions", "database")
    }
    further = {"latency", "certificate", "drill", "triplets", "training", "graph", "packages"}
    further |= {"canary_base", "canary_qlora"}

    assert set(inputs) == {"policy", "requirements", "checks"} | suites | corpora | stores | further
    assert inputs["checks"].path == "expectations/checks.yaml"
    for name, entry in inputs.items():
        assert entry.sha256 == hashlib.sha256((PROJECT_ROOT / entry.path).read_bytes()).hexdigest(), name


MISSING: dict[str, tuple[str, str, str]] = {
    "certificate": ("reports/certificate.json", "NOT_EVALUATED", "CER501 gate: ERROR, the gate was not certified"),
    "report of a drill": (
        f"reports/{RECEIPT}", "NOT_EVALUATED", "FBK502 gate: ERROR, the fallback was not drilled",
    ),
    "record of training": (
        "project/build/models/qlora", "NOT_EVALUATED", "TRN101 fr: ERROR, the training pairs were not given",
    ),
    "sample of the candidate": (
        "project/build/canaries/qlora.json", "NOT_EVALUATED",
        "VEC109 qlora/fr/passages: ERROR, no sample was embedded anew",
    ),
    "sample of the base": (
        "project/build/canaries/base.json", "HALT", "VEC109 base/fr/passages: ERROR, no sample was embedded anew",
    ),
    "candidate": ("project/build/qlora/intl", "NOT_EVALUATED", "INT101 qlora/intl: ERROR, "),
    "base": ("project/build/base/intl", "HALT", "INT101 base/intl: ERROR, "),
}  # fmt: skip


@pytest.mark.parametrize(("name", "decision", "reason"), MISSING.values(), ids=MISSING)
def test_a_release_without_a_part_of_its_evidence(
    project: Path, tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch, name: str, decision: str, reason: str
) -> None:
    """What is missing is named and nothing moves; a base that is gone calls a person."""
    root = shutil.copytree(project, tmp_path / "project")
    certify(root, tmp_path / "reports")
    enter_project(monkeypatch, root, load_small_params())
    path = tmp_path / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    policy = write_policy(tmp_path)
    result = run_cli("validation", "gate", "--policy", policy, "--output", tmp_path / "reports")
    record = read(tmp_path / "reports")

    assert (result.code, record.decision) == (Verdict(decision).exit_code, decision)
    assert record.reasons[0].startswith(reason)


def test_a_log_that_was_changed_calls_a_person(
    project: Path, tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain of events that is broken is HALT, in the exit code, in one line and in the document."""
    root = shutil.copytree(project, tmp_path / "project")
    append_events(root, "Arbitre <arbitre@example.org>", "0" * 40, [NewEvent(event="kept", tag="v1.0-base")])
    log = root / LOG
    log.write_text(log.read_text("utf-8") * 2, "utf-8")
    result = release(run_cli, monkeypatch, root, tmp_path / "reports")
    record = read(tmp_path / "reports")
    said = "releases.jsonl:2: does not follow from the line before"

    assert (result.code, result.out, result.err.count("\n"), said in result.err) == (40, "", 1, True)
    assert (record.decision, record.exit_code, said in record.reasons[0]) == ("HALT", 40, True)


def test_nothing_built_is_no_halt(tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first build the gate says in one line what to run, and that nothing was evaluated."""
    monkeypatch.setattr("validation.request.BUILD", tmp_path / "absent")
    result = run_cli("validation", "gate", "--output", tmp_path / "reports")
    record = read(tmp_path / "reports")

    assert (result.code, result.out, result.err.count("\n")) == (30, "", 1)
    assert "no store has been built yet; run `nox -s gate`" in result.err
    assert (record.decision, record.policy) == ("NOT_EVALUATED", "release")


def test_the_record_has_the_fields_that_readers_rely_on(good: Path, tmp_path: Path, run_cli: Run) -> None:
    """Top level, checks, retrieval, latency and inputs carry the documented fields."""
    compare(run_cli, open_pair(good), tmp_path / "reports")
    record: dict[str, Any] = json.loads((tmp_path / "reports" / "decision.json").read_text(encoding="utf-8"))
    recall = record["retrieval"]["fr"]["recall@5"]

    assert list(record) == [
        "schema_version", "policy", "decision", "exit_code", "reasons", "requirements", "checks", "retrieval",
        "baselines", "slices", "flips", "latency", "waivers", "as_of", "attempt", "run", "code", "inputs", "answers",
    ]  # fmt: skip
    assert all(check["requirements"] and check["unit"] and check["remedy"] for check in record["checks"])
    assert set(record["retrieval"]["fr"]) == {"recall@1", "recall@5", "recall@10", "recall@100", "mrr@10", "ndcg@10"}
    assert recall["base"] == {"hits": 40, "n": 120, "value": pytest.approx(1 / 3)}
    assert recall["candidate"] == {"hits": 80, "n": 120, "value": pytest.approx(2 / 3)}
    assert recall["difference"] == pytest.approx(1 / 3)
    assert set(recall["interval"]) == {"lower", "upper", "level", "standard_error"}
    assert set(record["baselines"]["fr"]) == {"BM25", "BM25 + base", "BM25 + candidate"}
    assert set(record["latency"]) == {"machine", "corpora"}
    assert len(record["flips"]["fr"]) == 40


def test_leaked_questions_are_not_evaluated(pair: CorpusRequest, tmp_path: Path, run_cli: Run) -> None:
    """Training pairs that hold a gold question take away what the comparison could show."""
    triplets = tmp_path / "triplets.jsonl"
    triplets.write_text('{"anchor": "que faire : question 7", "positive": "P"}\n', encoding="utf-8")
    result = compare(run_cli, pair, tmp_path / "reports", "--triplets", triplets)
    record = read(tmp_path / "reports")

    assert (result.code, record.decision) == (30, "NOT_EVALUATED")
    assert record.reasons[0].startswith("TRN101 fr: ERROR, ")
    assert "'Que faire, question 7 ?'" in record.reasons[0]
    assert record.inputs["triplets"].path == triplets.as_posix()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gate", "--base", "x"], "go together"),
        (["gate", "--base", "a", "--candidate", "b", "--chunks", "c", "--questions", "d"], "go together"),
        (["gate", "--qrels", "x"], "go together"),
        (["gate", "--triplets", "x"], "go together"),
        (["gate", "--as-of", "tomorrow"], "--as-of"),
        (["gate", "--colour", "red"], "--colour"),
        (["gate", "--output"], "--output"),
        (["gate", "extra"], "extra"),
        (["judge"], "judge"),
        (["explain", "a", "b", "c"], "c"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_exit_code_2(
    tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    """A command line that cannot be meant is refused before anything is read or written."""
    monkeypatch.chdir(tmp_path)
    result = run_cli("validation", *arguments)

    assert (result.code, result.out) == (2, "")
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith("error: ")
    assert said in result.err
    assert list(tmp_path.iterdir()) == []


def test_no_argument_shows_the_help(run_cli: Run) -> None:
    """Without a command the exit code is that of wrong usage, and the commands are listed."""
    result = run_cli("validation")

    assert result.code == 2
    assert all(command in result.out + result.err for command in ("gate", "certify", "explain"))


def test_help_names_every_exit_code(run_cli: Run) -> None:
    """The meaning of each exit code can be read from the command line."""
    result = run_cli("validation", "--help")
    said = " ".join(result.out.split())

    assert result.code == 0
    assert "0 RELEASE, 20 KEEP, 30 NOT_EVALUATED, 40 HALT, 2 wrong usage" in said


ENVIRONMENTS: dict[str, tuple[dict[str, str], list[str], list[str]]] = {
    "one thread, ASCII terminal": (
        {
            "PYTHONHASHSEED": "1",
            "TZ": "Pacific/Kiritimati",
            "LC_ALL": "C",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONIOENCODING": "ascii",
        },
        [],
        [],
    ),
    "two threads, optimised, another day": (
        {
            "PYTHONHASHSEED": "2",
            "TZ": "America/Adak",
            "LC_ALL": "C.UTF-8",
            "OMP_NUM_THREADS": "2",
            "OPENBLAS_NUM_THREADS": "2",
            "COLUMNS": "40",
            "PYTHONDONTWRITEBYTECODE": "",  # or every library is compiled anew for `-O`
        },
        ["-O"],
        ["--as-of", "2036-02-29"],
    ),
}


def test_the_same_evidence_gives_the_same_bytes_everywhere(
    tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hash seed, clock, locale, working folder, threads, `-O`, terminal and a second run change no byte.

    The latency is measured by the first run and kept by the others; every run names its files from where it stands.
    """
    first = tmp_path / "first"
    write_pair(first, base_hits=40, candidate_hits=46)
    write_policy(first)
    monkeypatch.chdir(first)
    arguments = [
        "gate", "--base", "base", "--candidate", "qlora", "--chunks", "corpus/chunks.json", "--questions",
        "corpus/questions.jsonl", "--qrels", "corpus/qrels.tsv", "--policy", "policy.yaml", "--output", "reports",
    ]  # fmt: skip
    codes = {"first": run_cli("validation", *arguments).code}
    expected = (first / "reports" / "decision.json").read_bytes()
    latency = (first / "reports" / "latency.json").read_bytes()
    runs = {}
    for name, (environment, flags, further) in ENVIRONMENTS.items():
        folder = shutil.copytree(first, tmp_path / name)
        (folder / "reports" / "decision.json").unlink()
        runs[name] = subprocess.Popen(
            [sys.executable, *flags, "-m", "validation", *arguments, *further],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    codes["second"] = run_cli("validation", *arguments).code
    ended = {name: (run.communicate()[1], run.returncode) for name, run in runs.items()}

    assert set(codes.values()) == {codes["first"]}
    assert codes["first"] in {0, 20}
    assert ended == dict.fromkeys(ENVIRONMENTS, (b"", codes["first"]))
    for folder in (first, *(tmp_path / name for name in ENVIRONMENTS)):
        assert (folder / "reports" / "latency.json").read_bytes() == latency, folder
        assert (folder / "reports" / "decision.json").read_bytes() == expected, folder


HOSTILE = "[/b] [red]x\x1b[2J :smile: \u202eabc"


def test_hostile_text_is_shown_and_not_obeyed(tmp_path: Path, run_cli: Run) -> None:
    """Markup and terminal codes in labels, ids and texts neither break the table nor reach the terminal."""
    sample, base, _ = write_pair(tmp_path, base_hits=40, candidate_hits=80)
    for path in (sample.chunks, sample.questions, sample.qrels):
        text = path.read_text(encoding="utf-8")
        mark = json.dumps(HOSTILE)[1:-1] if path != sample.qrels else HOSTILE
        path.write_text(text.replace("règles-003", f"règles-003{mark}").replace("Article 3", mark), encoding="utf-8")
    base = build_sample_store(sample, tmp_path / "first", model_id=HOSTILE, hits=40, seed=1)
    candidate = build_sample_store(sample, tmp_path / "second", model_id=f"{HOSTILE}2", hits=80, seed=2)
    edit_database(candidate, "UPDATE metadata SET value = value || 'x' WHERE key = 'model_id'")
    (base / f"notes{HOSTILE.replace('/', '')}").write_text("", encoding="utf-8")
    result = compare(run_cli, build_request(sample, base, candidate), tmp_path / "reports", measured=False)

    assert result.code == 30
    assert not {"\x1b", "\u202e"} & set(result.out + result.err)
    assert "[red]x" in result.out
    assert ":smile:" in result.out
    assert result.err.startswith("latency not measured: ")
    assert result.err.count("\n") == 1
