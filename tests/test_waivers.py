"""Waivers: a named person answers for a check, which is then WAIVED and never PASS."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.files import write_json
from tests.releases import (
    DAY,
    build_certificate,
    build_gate_request,
    build_latency,
    list_requests,
    load_small_params,
    remember_expectations,
    write_release,
)
from tests.repositories import make_repository
from tests.stores import enter_project, write_policy
from validation.decision import decide
from validation.gate import judge
from validation.outcomes import Check, Outcome, Verdict
from validation.policy import Waiver, load_rulebook
from validation.release_case import build_canaries, build_receipt
from validation.releasing.receipt import RECEIPT
from validation.waivers import COVERED, apply_waivers, describe_waiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Result

    Gate = Callable[[Path, str], tuple[Result, dict[str, Any]]]

WAIVER = Waiver(
    id="WAIVER-001",
    check="RET303",
    subject="fr",
    owner="A. Arbitre",
    reason="the lost questions are out of date",
    expires=date(2027, 1, 31),
)
BEFORE = WAIVER.expires - timedelta(days=1)
AFTER = WAIVER.expires + timedelta(days=1)
PASSED = Check("RET301", "fr", Outcome.PASS)


def make_check(outcome: Outcome, check_id: str = "RET303", subject: str = "fr") -> Check:
    """Return a check with everything that a report carries."""
    return Check(check_id, subject, outcome, observed=-0.1, limit=-0.03, n=120, detail="too low")


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.INCONCLUSIVE], ids=str)
@pytest.mark.parametrize("day", [BEFORE, WAIVER.expires], ids=["day before", "last day"])
def test_a_waived_check_is_released_by_name(outcome: Outcome, day: date) -> None:
    """WAIVED says what was found, who answers and until when, and a RELEASE that rests on it names it."""
    check = make_check(outcome)
    ledger = apply_waivers([PASSED, check], [WAIVER], day)
    decision = decide(ledger, protects_base=True)
    said = f"{outcome.value}, too low; A. Arbitre answers for it until 2027-01-31 (WAIVER-001)"

    assert ledger == [PASSED, replace(check, outcome=Outcome.WAIVED, detail=said)]
    assert decision.verdict is Verdict.RELEASE
    assert decision.reasons == ("1 checks passed, 1 waived", f"RET303 fr: WAIVED, {said}")


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.INCONCLUSIVE], ids=str)
def test_an_expired_waiver_is_named_and_covers_nothing(outcome: Outcome) -> None:
    """On the day after its last a waiver leaves the check as it is, and the reason says when it expired."""
    check = make_check(outcome)
    ledger = apply_waivers([PASSED, check], [WAIVER], AFTER)
    decision = decide(ledger, protects_base=True)

    assert ledger == [PASSED, replace(check, detail="too low; WAIVER-001 expired on 2027-01-31")]
    assert decision.verdict is Verdict.KEEP
    assert decision.reasons == (f"RET303 fr: {outcome.value}, too low; WAIVER-001 expired on 2027-01-31",)


def test_missing_evidence_cannot_be_waived() -> None:
    """An ERROR stays one, and nothing is evaluated."""
    ledger = apply_waivers([PASSED, make_check(Outcome.ERROR)], [WAIVER], BEFORE)

    assert ledger == [PASSED, make_check(Outcome.ERROR)]
    assert decide(ledger, protects_base=True).verdict is Verdict.NOT_EVALUATED


@pytest.mark.parametrize(
    ("check_id", "subject"), [("RET302", "fr"), ("RET303", "intl")], ids=["other check", "other subject"]
)
def test_a_waiver_for_what_is_not_judged_is_an_error(check_id: str, subject: str) -> None:
    """A waiver that names no check of the ledger covers nothing and lets nothing be released."""
    found = make_check(Outcome.PASS, check_id, subject)
    ledger = apply_waivers([found], [WAIVER], BEFORE)
    decision = decide(ledger, protects_base=True)

    assert ledger[0] == found
    assert decision.verdict is Verdict.NOT_EVALUATED
    assert decision.reasons == ("RET303 fr: ERROR, WAIVER-001 waives a check that is not judged",)


def test_a_waiver_covers_one_subject_only() -> None:
    """The same check on another corpus stays as it is."""
    others = [make_check(Outcome.FAIL, subject="intl"), make_check(Outcome.FAIL, "RET302")]
    ledger = apply_waivers([make_check(Outcome.FAIL), *others], [WAIVER], BEFORE)

    assert ledger[0].outcome is Outcome.WAIVED
    assert ledger[1:] == others
    assert decide(ledger, protects_base=True).verdict is Verdict.KEEP


@pytest.mark.parametrize(
    ("outcome", "day", "state"),
    [
        (Outcome.FAIL, WAIVER.expires, "applied"),
        (Outcome.INCONCLUSIVE, BEFORE, "applied"),
        (Outcome.FAIL, AFTER, "expired"),
        (Outcome.PASS, AFTER, "expired"),
        (Outcome.PASS, WAIVER.expires, "unused"),
        (Outcome.ERROR, BEFORE, "unused"),
    ],
)
def test_a_waiver_is_described_with_its_state(outcome: Outcome, day: date, state: str) -> None:
    """All that the policy says of it goes into the record, and what became of it."""
    ledger = apply_waivers([make_check(outcome), make_check(Outcome.PASS, "RET304")], [WAIVER], day)

    assert describe_waiver(WAIVER, ledger, day) == {
        "id": "WAIVER-001",
        "check": "RET303",
        "subject": "fr",
        "owner": "A. Arbitre",
        "reason": "the lost questions are out of date",
        "expires": "2027-01-31",
        "state": state,
    }


def test_another_waived_check_does_not_count() -> None:
    """A waiver is applied when its own check is WAIVED, not some other one."""
    ledger = [
        make_check(Outcome.WAIVED, "RET304"),
        make_check(Outcome.WAIVED, subject="intl"),
        make_check(Outcome.PASS),
    ]

    assert describe_waiver(WAIVER, ledger, BEFORE)["state"] == "unused"


@given(
    outcomes=st.lists(st.sampled_from([o for o in Outcome if o is not Outcome.WAIVED]), min_size=3, max_size=3),
    day=st.dates(BEFORE - timedelta(days=1), AFTER + timedelta(days=1)),
    protects_base=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_a_waiver_changes_one_outcome_at_most(outcomes: list[Outcome], day: date, *, protects_base: bool) -> None:
    """What is not covered keeps its outcome; nothing becomes PASS; without the covered check it would be no RELEASE."""
    before = [make_check(o, i) for o, i in zip(outcomes, ("RET302", "RET303", "RET304"), strict=True)]
    after = apply_waivers(before, [WAIVER], day)
    covered = outcomes[1] in COVERED and day <= WAIVER.expires

    assert [check.key for check in after] == [check.key for check in before]
    assert [after[0], after[2]] == [before[0], before[2]]
    assert after[1].outcome is (Outcome.WAIVED if covered else outcomes[1])
    assert (decide(after, protects_base=protects_base).verdict is Verdict.RELEASE) == (
        {outcomes[0], outcomes[2]} == {Outcome.PASS} and (covered or outcomes[1] is Outcome.PASS)
    )


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """The same tables are validated once."""
    with remember_expectations():
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose candidate finds more on the primary corpus and perhaps loses on the other one."""
    folder = tmp_path_factory.mktemp("project")
    write_release(folder, {"fr": (40, 80), "intl": (80, 76)})
    make_repository(folder).stage("README.md")
    return folder


def write_waiver(folder: Path, **changes: str) -> Path:
    """Write a policy with one waiver, by default for the loss on the other corpus."""
    waiver = {
        "id": "WAIVER-001", "check": "RET306", "subject": "intl", "owner": "A. Arbitre", "reason": "r",
        "expires": "2027-01-31",
    } | changes  # fmt: skip
    lines = ", ".join(f"{name}: {value}" for name, value in waiver.items())
    return write_policy(folder, ("waivers: []", f"waivers: [{{{lines}}}]"))


@pytest.fixture
def gate(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Callable[..., Result]) -> Gate:
    """Judge the project for release, with all its evidence, on a day and by a policy."""

    def run(policy: Path, as_of: str) -> tuple[Result, dict[str, Any]]:
        requests = list_requests(project)
        enter_project(monkeypatch, project, load_small_params())
        output = tmp_path / "reports"
        write_json(output / "latency.json", build_latency(requests).model_dump())
        for role, canary in build_canaries(requests).items():
            write_json(project / "build" / "canaries" / f"{role}.json", canary.model_dump())
        certificate = build_certificate(requests, load_rulebook(policy))
        write_json(output / "certificate.json", certificate.model_dump(mode="json"))
        write_json(output / RECEIPT, build_receipt(requests).model_dump(mode="json"))
        result = run_cli("validation", "gate", "--policy", policy, "--output", output, "--as-of", as_of)
        return result, json.loads((output / "decision.json").read_text(encoding="utf-8"))

    return run


def test_a_waived_check_is_released_on_its_last_day(gate: Gate, tmp_path: Path) -> None:
    """The release stands on a waiver that record and terminal name, and terminal and explanation ask for nothing."""
    result, record = gate(write_waiver(tmp_path), "2027-01-31")
    check = next(check for check in record["checks"] if check["id"] == "RET306")

    assert (result.code, result.err, record["decision"]) == (0, "", "RELEASE")
    assert (check["outcome"], check["detail"][:12]) == ("WAIVED", "INCONCLUSIVE")
    assert [(waiver["id"], waiver["state"]) for waiver in record["waivers"]] == [("WAIVER-001", "applied")]
    assert record["as_of"] == "2027-01-31"
    assert "A. Arbitre answers for it until 2027-01-31 (WAIVER-001)" in record["reasons"][1]
    assert "1 WAIVED" in result.out
    assert "keep the base" not in result.out


@pytest.mark.parametrize(
    ("changes", "day", "decision", "state", "reason"),
    [
        ({}, "2027-02-01", "KEEP", "expired", "WAIVER-001 expired on 2027-01-31"),
        ({"check": "RET308"}, "2027-01-31", "KEEP", "unused", "RET306 intl: INCONCLUSIVE"),
        ({"subject": "es"}, "2027-01-31", "NOT_EVALUATED", "unused", "WAIVER-001 waives a check that is not judged"),
    ],
    ids=["expired", "of a check that passed", "of a corpus that is not judged"],
)
def test_a_waiver_that_does_not_hold(
    gate: Gate, tmp_path: Path, changes: dict[str, str], day: str, decision: str, state: str, reason: str
) -> None:
    """An expired waiver and an unused one leave the base in place; one for nothing is evidence that is not there."""
    result, record = gate(write_waiver(tmp_path, **changes), day)

    assert (result.code, record["decision"]) == (record["exit_code"], decision)
    assert [waiver["state"] for waiver in record["waivers"]] == [state]
    assert record["as_of"] == day
    assert len(record["reasons"]) == 1
    assert reason in record["reasons"][0]


def test_without_waivers_the_day_has_no_say(gate: Gate, tmp_path: Path) -> None:
    """The same evidence on another day is the same record, in which no day stands."""
    policy = write_policy(tmp_path)
    (result, first), (_, second) = gate(policy, "2026-01-01"), gate(policy, "2036-01-01")

    assert (result.code, first["as_of"], first["waivers"]) == (20, None, [])
    assert first == second


def test_comparing_ignores_waivers(project: Path, tmp_path: Path) -> None:
    """Two stores from anywhere are compared as they are: nobody answers for them, not even by mistake."""
    rulebook = load_rulebook(write_waiver(tmp_path))
    request = build_gate_request(list_requests(project), rulebook)
    rules = rulebook.policy.release.model_copy(update={"certificate": None, "drill": None, "coverage": None})
    verdicts = {
        for_release: judge(
            replace(request, for_release=for_release, as_of=DAY), rulebook, rules, lambda _: None
        ).decision.verdict
        for for_release in (True, False)
    }

    assert verdicts == {True: Verdict.RELEASE, False: Verdict.KEEP}
