"""A decision is acted upon only where it is whole, and about the very bytes, code and run that are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.documents import load_json
from pipeline.errors import InputError
from pipeline.files import compute_sha256
from tests.releasing.snapshots import act, edit_decision, look_at, rebind, refuse
from validation.document import Record
from validation.outcomes import Verdict
from validation.record import DECISION
from validation.releasing.binding import load_decision, require_bound
from validation.releasing.errors import HaltError, ReleaseError
from validation.workflow_run import WorkflowRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.projects import Project

RULES = ("policy", "checks", "requirements", "suite_chunks", "suite_database", "suite_metadata", "suite_vectors")
TEXTS = ("chunks", "questions", "qrels")
PARTS = ("manifest", "embeddings", "questions", "database")
INPUTS = (
    *RULES,
    *(f"{corpus}/{text}" for corpus in ("fr", "intl") for text in TEXTS),
    *(f"{role}/{corpus}/{part}" for role in ("base", "qlora") for corpus in ("fr", "intl") for part in PARTS),
    "certificate",
    "drill",
)


@pytest.fixture(scope="module")
def bound(fresh_template: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that has its own copy of the rules by which it was judged."""
    project = fresh_template.copy(tmp_path_factory.mktemp("bound") / "all")

    def bring_rules(document: dict[str, Any]) -> None:
        for name in RULES:
            rule = project.root / "build" / "rules" / f"{name}.txt"
            rule.parent.mkdir(exist_ok=True)
            rule.write_bytes(Path(document["inputs"][name]["path"]).read_bytes())
            document["inputs"][name]["path"] = rule.relative_to(project.root).as_posix()

    edit_decision(project, bring_rules)
    return project


def read(project: Project) -> Record:
    """Return the decision of a project."""
    return load_json(project.root / "reports" / DECISION, Record)


def test_every_kind_of_input_is_bound(bound: Project) -> None:
    """The decision names all files that had a say, and holds where all are as they were."""
    record = read(bound)

    assert set(record.inputs) == set(INPUTS)
    require_bound(record, bound.root, bound.git("rev-parse", "HEAD"))


@pytest.mark.parametrize("name", [*INPUTS, "answers"])
@pytest.mark.parametrize("change", ["appended", "removed"])
def test_changed_input_is_named(bound: Project, name: str, change: str) -> None:
    """One file with other bytes than were judged, or without any, is enough to do nothing."""
    record = read(bound)
    assert record.answers is not None
    named = (record.inputs | {"answers": record.answers})[name].path
    path = bound.root / named
    before = path.read_bytes()
    try:
        path.unlink() if change == "removed" else path.write_bytes(before + b"\n")
        with pytest.raises(ReleaseError) as caught:
            require_bound(record, bound.root, record.code.revision or "")
    finally:
        path.write_bytes(before)
    assert str(caught.value) == f"{named}: has other bytes than were judged: {name}; run `nox -s gate` again"


def test_changed_inputs_are_counted(fresh: Project) -> None:
    """Where several files changed, the first is named and the others are counted, and nothing is released."""
    for corpus in ("fr", "intl"):
        with (fresh.root / "build" / "qlora" / corpus / f"corpus_mode_b_{corpus}.db").open("ab") as stream:
            stream.write(b"\0")
    error = refuse(fresh, ReleaseError)

    assert error.where == "build/qlora/fr/corpus_mode_b_fr.db"
    assert error.problem == "has other bytes than were judged: qlora/fr/database (and 1 more)"


@pytest.mark.parametrize("name", ["policy", "certificate", "drill"])
def test_decision_without_its_evidence(fresh: Project, name: str) -> None:
    """A decision that does not say what it rests on is not acted upon."""
    edit_decision(fresh, lambda document: document["inputs"].pop(name))
    error = refuse(fresh, ReleaseError)

    assert error.problem == f"inputs: {name} is missing, so nothing says what it rests on"


def test_commit_since(fresh: Project) -> None:
    """A commit after the judgement, even an empty one that was pushed, asks for a new judgement."""
    judged = fresh.git("rev-parse", "HEAD")
    fresh.git("commit", "--quiet", "--allow-empty", "--message", "since")
    fresh.git("push", "--quiet")
    error = refuse(fresh, ReleaseError)

    head = fresh.git("rev-parse", "HEAD")
    assert str(error) == (
        f"decision.json: was judged at {judged[:12]}, but {head[:12]} is checked out; run `nox -s gate` again"
    )


def drop_revision(document: dict[str, Any]) -> None:
    """Judge outside of any repository."""
    document["code"]["revision"] = None


def change_code(document: dict[str, Any]) -> None:
    """Judge by other code."""
    document["code"]["sha256"] = "0" * 64


def compare(document: dict[str, Any]) -> None:
    """Judge stores from elsewhere."""
    document["policy"] = "comparison"


def tamper(document: dict[str, Any]) -> None:
    """Let a KEEP end well."""
    document["decision"] = "KEEP"


def tamper_code(document: dict[str, Any]) -> None:
    """Give RELEASE the exit code of KEEP."""
    document["exit_code"] = 20


def halt(document: dict[str, Any]) -> None:
    """Judge that the base does not hold, without saying why."""
    document.update(decision="HALT", exit_code=40, reasons=[])


def evaluate_nothing(document: dict[str, Any]) -> None:
    """Judge nothing, for two reasons."""
    document.update(decision="NOT_EVALUATED", exit_code=30, reasons=["INT105 fr: ERROR", "RET301 fr: ERROR"])


@pytest.mark.parametrize(
    ("change", "error", "problem"),
    [
        (drop_revision, ReleaseError, "was judged at no commit"),
        (change_code, ReleaseError, "was judged by other code"),
        (compare, ReleaseError, "compares stores from elsewhere, which are not released"),
        (tamper, ReleaseError, "exit_code 0 does not belong to KEEP"),
        (tamper_code, ReleaseError, "exit_code 20 does not belong to RELEASE"),
        (halt, HaltError, "the gate said HALT: without a reason"),
        (evaluate_nothing, ReleaseError, "the gate said NOT_EVALUATED: INT105 fr: ERROR"),
        (lambda document: document.update(decision="release"), InputError, "decision"),
        (lambda document: document.pop("code"), InputError, "code"),
        (lambda document: document.update(schema_version=2), InputError, "schema_version"),
        (lambda document: document.update(more=1), InputError, "more"),
        (lambda document: document["inputs"]["drill"].update(sha256="F" * 64), InputError, "sha256"),
    ],
    ids=[
        "no-revision", "other-code", "comparison", "keep-as-release", "release-as-keep", "halt", "not-evaluated",
        "small-letters", "without-code", "other-schema", "unknown-field", "odd-digest",
    ],
)  # fmt: skip
def test_decision_that_is_not_acted_upon(
    fresh: Project, change: Callable[[dict[str, Any]], object], error: type[ReleaseError], problem: str
) -> None:
    """A decision that releases nothing, contradicts itself or is about something else changes nothing."""
    edit_decision(fresh, change)
    refused = refuse(fresh, error)

    assert problem in str(refused)


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b"[]", b"\xff", b'{"decision": "RELEASE", "decision": "KEEP"}'],
    ids=["missing", "empty", "cut", "another-type", "no-text", "twice"],
)
def test_decision_that_cannot_be_read(fresh: Project, content: bytes | None) -> None:
    """No decision, or what is none, is bad input in one line."""
    path = fresh.root / "reports" / DECISION
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    assert str(path) in refuse(fresh, InputError).where


def test_digest_that_was_passed_on(fresh: Project) -> None:
    """A decision of another digest than was passed on is not acted upon; of that digest it is."""
    path = fresh.root / "reports" / DECISION
    digest = compute_sha256(path)
    path.write_text(json.dumps(json.loads(path.read_text("utf-8"))), "utf-8")
    before = look_at(fresh)

    with pytest.raises(ReleaseError, match=f"SHA-256: expected {digest}, got {compute_sha256(path)}"):
        act(fresh, digest=digest)
    assert look_at(fresh) == before
    assert load_decision(path, compute_sha256(path))[1] == compute_sha256(path)
    assert load_decision(path, None)[0].decision is Verdict.RELEASE


RUN, OTHER = WorkflowRun(id="77", attempt="2"), WorkflowRun(id="78", attempt="2")


@pytest.mark.parametrize(
    ("judged", "here", "is_bound"),
    [
        (None, None, True),
        (RUN, None, True),
        (RUN, ("77", "2"), True),
        (RUN, ("77", "3"), True),
        (RUN, ("77", "10"), True),
        (RUN, ("77", "1"), False),
        (WorkflowRun(id="77", attempt="10"), ("77", "9"), False),
        (OTHER, ("77", "2"), False),
        (None, ("77", "2"), False),
    ],
    ids=[
        "laptop", "judged-by-a-workflow", "same-attempt", "later-attempt", "tenth-attempt", "earlier-attempt",
        "ninth-attempt", "other-run", "judged-on-a-laptop",
    ],
)  # fmt: skip
def test_run_of_a_workflow(
    bound: Project,
    monkeypatch: pytest.MonkeyPatch,
    judged: WorkflowRun | None,
    here: tuple[str, str] | None,
    *,
    is_bound: bool,
) -> None:
    """A workflow acts upon decisions of its own run, of this attempt or an earlier one."""
    if here:
        monkeypatch.setenv("GITHUB_RUN_ID", here[0])
        monkeypatch.setenv("GITHUB_RUN_ATTEMPT", here[1])
    record = read(bound).model_copy(update={"run": judged})
    if is_bound:
        require_bound(record, bound.root, record.code.revision or "")
        return
    with pytest.raises(ReleaseError, match=r"comes from .*, expected run 77; run `nox -s gate` again"):
        require_bound(record, bound.root, record.code.revision or "")


def test_other_run_releases_nothing(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision of another run of the workflow is refused before anything is changed."""
    rebind(fresh, run={"id": "76", "attempt": "1"})
    monkeypatch.setenv("GITHUB_RUN_ID", "77")
    monkeypatch.setenv("GITHUB_RUN_ATTEMPT", "1")

    assert refuse(fresh, ReleaseError).problem == "comes from run 76, attempt 1, expected run 77"


@pytest.fixture(autouse=True)
def _on_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT"):
        monkeypatch.delenv(name, raising=False)
