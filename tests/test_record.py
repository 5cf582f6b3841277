"""The decision document: what it says of each check, where its inputs lie, and how it is written."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from pipeline.documents import load_json
from pipeline.errors import InputError
from pipeline.params import PROJECT_ROOT
from tests.stores import write_policy
from validation.certificate import compute_code_digest
from validation.document import Record
from validation.gate import GateRequest, Judgement
from validation.inputs import Input, read_input
from validation.outcomes import Check, Decision, Interval, Outcome, Verdict
from validation.policy import EXPECTATIONS, Rulebook, load_rulebook
from validation.record import build_record, build_refusal, find_revision, write_record
from validation.releasing.errors import HaltError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FAILED = Check(
    "RET301", "fr", Outcome.FAIL, -0.1, 0.0, n=120, interval=Interval(-0.2, -0.05, 0.95, 0.04), detail="below the limit"
)
RELEASE = GateRequest(
    [],
    latency=None,
    training=None,
    certificate=None,
    drill=None,
    custody=None,
    canaries={},
    for_release=True,
    as_of=date(2026, 1, 25),
)
COMPARISON = replace(RELEASE, for_release=False)


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    """Policy and catalogue of the project."""
    return load_rulebook(EXPECTATIONS / "policy.yaml")


def make_judgement(*checks: Check, inputs: Sequence[Input] = ()) -> Judgement:
    """Return a judgement that rests on checks, and on files that were read for them."""
    return Judgement(Decision(Verdict.KEEP, ("because", "and because")), list(checks), [], list(inputs))


def record(rulebook: Rulebook, *checks: Check, request: GateRequest = RELEASE) -> dict[str, Any]:
    """Return the document as it is written."""
    return build_record(make_judgement(*checks), request, rulebook).model_dump(mode="json")


def test_a_check_is_recorded_with_title_requirement_unit_and_remedy(rulebook: Rulebook) -> None:
    """What the catalogue knows of a check stands beside what was found."""
    declared = YAML(typ="safe", pure=True).load((EXPECTATIONS / "checks.yaml").read_text("utf-8"))["checks"]["RET301"]

    assert record(rulebook, FAILED)["checks"] == [
        {
            "id": "RET301",
            "requirements": declared["requirements"],
            "title": declared["title"],
            "characteristic": None,
            "subject": "fr",
            "outcome": "FAIL",
            "observed": -0.1,
            "limit": 0.0,
            "unit": declared["unit"],
            "n": 120,
            "interval": {"lower": -0.2, "upper": -0.05, "level": 0.95, "standard_error": 0.04},
            "detail": "below the limit",
            "blocked_by": None,
            "explanation": None,
            "remedy": declared["remedy"],
            "inputs": [],
        }
    ]


def test_an_undeclared_check_is_recorded_without_them(rulebook: Rulebook) -> None:
    """A check that the catalogue does not know is not hidden."""
    check = record(rulebook, Check("XYZ999", "fr", Outcome.ERROR))["checks"][0]

    assert [check[name] for name in ("id", "title", "characteristic", "unit", "remedy")] == ["XYZ999", *[None] * 4]
    assert check["requirements"] == check["inputs"] == []


def test_a_blocked_check_names_check_and_subject(rulebook: Rulebook) -> None:
    """What stood before a check is told in one word each."""
    blocked = Check("STO204", "qlora/fr", Outcome.ERROR, blocked_by=("INT101", "qlora/fr"))

    assert record(rulebook, blocked)["checks"][0]["blocked_by"] == "INT101 qlora/fr"


@pytest.mark.parametrize(("request_", "policy"), [(RELEASE, "release"), (COMPARISON, "comparison")])
def test_the_head_says_what_was_decided_and_how(rulebook: Rulebook, request_: GateRequest, policy: str) -> None:
    """Verdict, exit code, reasons and the name of the policy are those of the judgement."""
    found = record(rulebook, FAILED, request=request_)

    assert [found[name] for name in ("schema_version", "policy", "decision", "exit_code", "reasons")] == [
        1, policy, "KEEP", 20, ["because", "and because"],
    ]  # fmt: skip
    assert [found[name] for name in ("retrieval", "baselines", "slices", "flips", "latency")] == [{}, {}, {}, {}, None]


def test_waivers_are_recorded_for_a_release_only(tmp_path: Path) -> None:
    """Each waiver stands with its state and the day that was looked at; in a comparison none has a say."""
    waiver = "{id: WAIVER-001, check: RET303, subject: fr, owner: A, reason: r, expires: 2026-01-25}"
    rulebook = load_rulebook(write_policy(tmp_path, ("waivers: []", f"waivers: [{waiver}]")))
    ledger = Check("RET303", "fr", Outcome.WAIVED)
    told = {"id": "WAIVER-001", "check": "RET303", "subject": "fr", "owner": "A", "reason": "r"}

    release, comparison = (record(rulebook, ledger, request=each) for each in (RELEASE, COMPARISON))

    assert release["waivers"] == [told | {"expires": "2026-01-25", "state": "applied"}]
    assert (release["as_of"], comparison["as_of"]) == ("2026-01-25", None)
    assert comparison["waivers"] == []


def test_without_waivers_no_day_is_recorded(rulebook: Rulebook) -> None:
    """Where no waiver was looked at the day made no difference."""
    assert record(rulebook, FAILED)["as_of"] is None


def test_the_inputs_of_the_judgement_are_recorded(rulebook: Rulebook, tmp_path: Path) -> None:
    """Every file that was judged is named with path and the digest of what was looked at, and no file besides."""
    latency = tmp_path / "latency.json"
    latency.write_text("{}", encoding="utf-8")
    inputs = [read_input("checks", EXPECTATIONS / "checks.yaml"), read_input("latency", latency)]
    latency.write_text("something else since", encoding="utf-8")
    found = build_record(make_judgement(FAILED, inputs=inputs), RELEASE, rulebook).inputs

    assert {name: (entry.path, entry.sha256) for name, entry in found.items()} == {
        "checks": (
            "expectations/checks.yaml",
            hashlib.sha256((EXPECTATIONS / "checks.yaml").read_bytes()).hexdigest(),
        ),
        "latency": (latency.as_posix(), hashlib.sha256(b"{}").hexdigest()),
    }


def test_a_relative_path_into_the_project_is_the_same(rulebook: Rulebook, monkeypatch: pytest.MonkeyPatch) -> None:
    """From wherever a file of the project is named, it is recorded from the project's root."""
    monkeypatch.chdir(PROJECT_ROOT / "expectations" / "suites")
    params = read_input("params", Path("../../params.yaml"))
    found = build_record(make_judgement(inputs=[params]), RELEASE, rulebook).inputs

    assert found["params"].path == "params.yaml"


def test_the_code_that_judged_is_named(rulebook: Rulebook) -> None:
    """Revision and digest of the sources stand in the record."""
    assert record(rulebook, FAILED)["code"] == {"revision": find_revision(), "sha256": compute_code_digest()}


def test_the_revision_is_what_git_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout it is the commit, whatever the working folder; elsewhere, and without Git, there is none."""
    for command in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "--message", "first"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", tmp_path, *identity, *command], check=True)
    head = (tmp_path / ".git" / (tmp_path / ".git" / "HEAD").read_text("utf-8").split()[1]).read_text("utf-8").strip()
    monkeypatch.setattr("validation.record.PROJECT_ROOT", tmp_path)
    here = find_revision()
    monkeypatch.setattr("validation.record.PROJECT_ROOT", Path("/proc"))
    elsewhere = find_revision()
    monkeypatch.setattr("validation.record.PROJECT_ROOT", tmp_path)
    monkeypatch.setenv("PATH", "")

    assert (here, elsewhere, find_revision()) == (head, None, None)


@pytest.mark.parametrize("for_release", [True, False], ids=["release", "comparison"])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("a.json", "field: expected\n  a number", "mend it"), "a.json: field: expected a number; mend it"),
        (PermissionError(13, "Permission denied", "a.db"), "PermissionError: [Errno 13] Permission denied: 'a.db'"),
    ],
    ids=["bad input", "system"],
)
def test_what_could_not_be_judged_is_not_evaluated(error: Exception, said: str, *, for_release: bool) -> None:
    """A refusal is a whole document: NOT_EVALUATED, exit code 30, and one line that says why."""
    refusal = build_refusal(error, for_release=for_release)

    assert (refusal.decision, refusal.exit_code) == (Verdict.NOT_EVALUATED, 30)
    assert refusal.reasons == [said]
    assert refusal.policy == ("release" if for_release else "comparison")
    assert (refusal.checks, refusal.inputs, refusal.waivers, refusal.as_of) == ([], {}, [], None)
    assert refusal.code.sha256 == compute_code_digest()


def test_a_refusal_says_what_the_process_does() -> None:
    """Where the way back cannot be trusted the document says HALT, as the exit code does."""
    refusal = build_refusal(HaltError("models/releases.jsonl:2", "a line was cut out", "restore it"), for_release=True)

    assert (refusal.decision, refusal.exit_code) == (Verdict.HALT, 40)
    assert refusal.reasons == ["models/releases.jsonl:2: a line was cut out; restore it"]


@pytest.mark.parametrize(
    "build",
    [
        lambda rules: build_record(make_judgement(FAILED), RELEASE, rules),
        lambda _: build_refusal(InputError("a", "b", "c"), for_release=True),
    ],
    ids=["decision", "refusal"],
)
def test_the_record_replaces_an_older_one_whole(
    tmp_path: Path, rulebook: Rulebook, build: Callable[[Rulebook], Record]
) -> None:
    """The document makes its folder, takes the place of an older one, leaves nothing beside it, and can be read."""
    document = build(rulebook)
    output = tmp_path / "new" / "reports"
    first = write_record(document, output)
    first.write_text("older and much longer" * 10_000, encoding="utf-8")
    second = write_record(document, output)

    assert first == second == output / "decision.json"
    assert load_json(second, Record) == document
    assert [path.name for path in output.iterdir()] == ["decision.json"]
    assert list(json.loads(second.read_text(encoding="utf-8"))) == list(Record.model_fields)


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=["NaN", "infinity"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: replace(FAILED, observed=value),
        lambda value: replace(FAILED, limit={"worst": value}),
        lambda value: replace(FAILED, interval=Interval(-0.1, value, 0.95, 0.1)),
    ],
    ids=["observed", "in a map", "bound"],
)
def test_a_number_that_is_not_finite_is_never_recorded(
    tmp_path: Path, rulebook: Rulebook, spoil: Callable[[float], Check], value: float
) -> None:
    """Such a document would be no JSON, and one that says null would hide it: nothing is written."""
    document = build_record(make_judgement(spoil(value)), RELEASE, rulebook)

    with pytest.raises(ValueError, match="not JSON compliant"):
        write_record(document, tmp_path)

    assert list(tmp_path.iterdir()) == []
