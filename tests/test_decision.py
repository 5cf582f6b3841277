"""The verdict as a function of what was declared and what reported."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validation.decision import Key, block, complete_ledger, decide
from validation.outcomes import Check, Outcome, Verdict

if TYPE_CHECKING:
    from random import Random

DECLARED: list[Key] = [
    ("CHK101", "fr"),
    ("INT101", "base/fr"),
    ("VEC105", "base/fr/passages"),
    ("INT101", "qlora/fr"),
    ("VEC105", "qlora/fr/passages"),
    ("STO204", "qlora/fr"),
    ("INT104", "fr"),
    ("RET301", "fr"),
    ("RET302", "fr"),
]
WORSE = [Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL, Outcome.ERROR]


def make_checks(changes: dict[Key, Outcome] | None = None) -> list[Check]:
    """Return a report of every declared check, PASS unless changed."""
    changes = changes or {}
    return [Check(*key, outcome=changes.get(key, Outcome.PASS), detail="why") for key in DECLARED]


def judge_outcomes(changes: dict[Key, Outcome], *, protects_base: bool = False) -> Verdict:
    """Return the verdict on a full report with some outcomes changed."""
    return decide(complete_ledger(DECLARED, make_checks(changes)), protects_base=protects_base).verdict


ROWS: dict[str, tuple[dict[Key, Outcome], Verdict, Verdict]] = {
    "all passed": ({}, Verdict.RELEASE, Verdict.RELEASE),
    "criterion failed": ({("RET301", "fr"): Outcome.FAIL}, Verdict.KEEP, Verdict.KEEP),
    "criterion inconclusive": ({("RET302", "fr"): Outcome.INCONCLUSIVE}, Verdict.KEEP, Verdict.KEEP),
    "failed and inconclusive": (
        {("RET301", "fr"): Outcome.FAIL, ("RET302", "fr"): Outcome.INCONCLUSIVE},
        Verdict.KEEP,
        Verdict.KEEP,
    ),
    "candidate's content broken": ({("STO204", "qlora/fr"): Outcome.FAIL}, Verdict.KEEP, Verdict.KEEP),
    "corpus broken": ({("CHK101", "fr"): Outcome.FAIL}, Verdict.KEEP, Verdict.KEEP),
    "candidate's bytes not trusted": (
        {("INT101", "qlora/fr"): Outcome.ERROR},
        Verdict.NOT_EVALUATED,
        Verdict.NOT_EVALUATED,
    ),
    "same vectors": ({("INT104", "fr"): Outcome.ERROR}, Verdict.NOT_EVALUATED, Verdict.NOT_EVALUATED),
    "error outranks failure": (
        {("RET301", "fr"): Outcome.FAIL, ("RET302", "fr"): Outcome.ERROR},
        Verdict.NOT_EVALUATED,
        Verdict.NOT_EVALUATED,
    ),
    "base's bytes not trusted": ({("INT101", "base/fr"): Outcome.ERROR}, Verdict.NOT_EVALUATED, Verdict.HALT),
    "base's content broken": ({("VEC105", "base/fr/passages"): Outcome.FAIL}, Verdict.KEEP, Verdict.HALT),
    "base and candidate broken": (
        {("VEC105", "base/fr/passages"): Outcome.FAIL, ("INT101", "qlora/fr"): Outcome.ERROR},
        Verdict.NOT_EVALUATED,
        Verdict.HALT,
    ),
}


@pytest.mark.parametrize(("changes", "comparison", "release"), ROWS.values(), ids=ROWS)
def test_every_row_of_the_table(changes: dict[Key, Outcome], comparison: Verdict, release: Verdict) -> None:
    """Each kind of finding has its verdict; a base that does not hold stops a release, not a mere comparison."""
    assert judge_outcomes(changes) is comparison
    assert judge_outcomes(changes, protects_base=True) is release


@pytest.mark.parametrize("protects_base", [False, True], ids=["comparison", "release"])
def test_an_empty_ledger_is_not_evaluated(*, protects_base: bool) -> None:
    """Where nothing was asked nothing is released."""
    decision = decide(complete_ledger([], []), protects_base=protects_base)

    assert decision.verdict is Verdict.NOT_EVALUATED
    assert decision.reasons == ("no check was declared",)


@pytest.mark.parametrize("key", [key for key in DECLARED if not key[1].startswith("base")], ids=":".join)
def test_a_missing_check_is_not_evaluated(key: Key) -> None:
    """A declared check that did not report is an ERROR that says so."""
    ledger = complete_ledger(DECLARED, [check for check in make_checks() if check.key != key])
    decision = decide(ledger, protects_base=True)

    assert [check.key for check in ledger] == DECLARED
    assert decision.verdict is Verdict.NOT_EVALUATED
    assert decision.reasons == (f"{key[0]} {key[1]}: ERROR, did not report",)


@pytest.mark.parametrize("key", [key for key in DECLARED if key[1].startswith("base")], ids=":".join)
def test_a_missing_check_of_the_base_says_nothing_against_it(key: Key) -> None:
    """The base is not called into question by a report that is not there; one that says it does not hold is HALT."""
    missing = complete_ledger(DECLARED, [check for check in make_checks() if check.key != key])
    decision = decide(missing, protects_base=True)

    assert decision.verdict is Verdict.NOT_EVALUATED
    assert decision.reasons == (f"{key[0]} {key[1]}: ERROR, did not report",)
    assert [check.reported for check in missing if check.key == key] == [False]
    for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR):
        assert judge_outcomes({key: outcome}, protects_base=True) is Verdict.HALT


def test_a_check_of_the_base_reported_twice_is_no_halt() -> None:
    """Two reports contradict the ledger, not the base."""
    executed = [*make_checks(), Check("INT101", "base/fr", Outcome.PASS)]

    assert decide(complete_ledger(DECLARED, executed), protects_base=True).verdict is Verdict.NOT_EVALUATED


def test_a_check_reported_twice_is_not_evaluated() -> None:
    """Two reports of one check, even if both passed, are an ERROR that says how many there were."""
    executed = [*make_checks(), Check("RET301", "fr", Outcome.PASS)]
    decision = decide(complete_ledger(DECLARED, executed), protects_base=False)

    assert decision.verdict is Verdict.NOT_EVALUATED
    assert decision.reasons == ("RET301 fr: ERROR, reported 2 times",)


@pytest.mark.parametrize("outcome", list(Outcome), ids=str)
def test_an_undeclared_check_is_not_evaluated(outcome: Outcome) -> None:
    """A check that no policy asked for is an ERROR, whatever it reported."""
    executed = [*make_checks(), Check("VEC999", "qlora/fr", outcome)]
    ledger = complete_ledger(DECLARED, executed)
    decision = decide(ledger, protects_base=False)

    assert ledger[-1].key == ("VEC999", "qlora/fr")
    assert decision.verdict is Verdict.NOT_EVALUATED
    assert decision.reasons == ("VEC999 qlora/fr: ERROR, reported without being declared",)


def test_the_same_id_on_another_subject_does_not_stand_in() -> None:
    """A report on one store is none on the other."""
    moved = [replace(check, subject="qlora/intl") if check.id == "STO204" else check for check in make_checks()]
    outcomes = {check.key: check.outcome for check in complete_ledger(DECLARED, moved)}

    assert outcomes[("STO204", "qlora/fr")] is Outcome.ERROR
    assert outcomes[("STO204", "qlora/intl")] is Outcome.ERROR


def test_checks_behind_an_untrusted_store_name_it() -> None:
    """What could not run because a store's bytes are not trusted is blocked by that check, and only it is a reason."""
    executed = [
        Check("CHK101", "fr", Outcome.PASS),
        Check("INT101", "base/fr", Outcome.PASS),
        Check("VEC105", "base/fr/passages", Outcome.PASS),
        Check("INT101", "qlora/fr", Outcome.ERROR, detail="bytes differ"),
    ]
    ledger = complete_ledger(DECLARED, executed)
    decision = decide(ledger, protects_base=True)

    assert {check.id: check.blocked_by for check in ledger[4:]} == dict.fromkeys(
        ("VEC105", "STO204", "INT104", "RET301", "RET302"), ("INT101", "qlora/fr")
    )
    assert decision.verdict is Verdict.NOT_EVALUATED
    assert decision.reasons == ("INT101 qlora/fr: ERROR, bytes differ",)


@pytest.mark.parametrize(
    ("subject", "blocked"),
    [("qlora/fr", True), ("qlora/fr/passages", True), ("fr", True), ("base/fr", False), ("qlora/fr2", False)],
)
def test_a_store_blocks_only_what_depends_on_it(subject: str, *, blocked: bool) -> None:
    """An untrusted store blocks itself, its parts and its corpus; not another store, nor a corpus of like name."""
    executed = [Check("INT101", "qlora/fr", Outcome.ERROR, detail="bytes differ")]
    missing = complete_ledger([("INT101", "qlora/fr"), ("XYZ101", subject)], executed)[1]

    assert missing.outcome is Outcome.ERROR
    assert missing.blocked_by == (("INT101", "qlora/fr") if blocked else None)
    assert missing.reported is blocked


def test_what_a_failure_blocks_is_kept_not_unknown() -> None:
    """Retrieval that could not be measured because the candidate's vectors FAIL leaves the base in place: KEEP."""
    cause = Check("VEC105", "qlora/fr/passages", Outcome.FAIL, detail="NaN")
    executed = [
        cause if check.key == cause.key else block(check.key, cause) if check.id.startswith("RET") else check
        for check in make_checks()
    ]
    decision = decide(complete_ledger(DECLARED, executed), protects_base=True)

    assert decision.verdict is Verdict.KEEP
    assert decision.reasons == ("VEC105 qlora/fr/passages: FAIL, NaN",)


def test_reasons_begin_with_the_gravest() -> None:
    """Failures are named before what is undecided, in the order of the ledger."""
    changes = {("CHK101", "fr"): Outcome.INCONCLUSIVE, ("RET301", "fr"): Outcome.FAIL, ("RET302", "fr"): Outcome.FAIL}
    decision = decide(complete_ledger(DECLARED, make_checks(changes)), protects_base=False)

    assert [reason.split(":")[0] for reason in decision.reasons] == ["RET301 fr", "RET302 fr", "CHK101 fr"]


draw_outcomes = st.lists(st.sampled_from(WORSE), min_size=len(DECLARED), max_size=len(DECLARED))


@given(
    outcomes=draw_outcomes,
    steps=st.lists(st.integers(0, 3), min_size=len(DECLARED), max_size=len(DECLARED)),
    protects_base=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_worsening_an_outcome_never_releases(outcomes: list[Outcome], steps: list[int], *, protects_base: bool) -> None:
    """Whatever gets worse, what was no RELEASE stays none; and a RELEASE has no outcome but PASS."""
    worse = [WORSE[min(WORSE.index(o) + s, 3)] for o, s in zip(outcomes, steps, strict=True)]
    before, after = (
        judge_outcomes(dict(zip(DECLARED, row, strict=True)), protects_base=protects_base) for row in (outcomes, worse)
    )

    assert (before is Verdict.RELEASE) == (set(outcomes) == {Outcome.PASS})
    assert before is Verdict.RELEASE or after is not Verdict.RELEASE


@given(
    outcomes=draw_outcomes,
    kept=st.lists(st.booleans(), min_size=len(DECLARED), max_size=len(DECLARED)),
    protects_base=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_removing_a_report_never_releases(outcomes: list[Outcome], kept: list[bool], *, protects_base: bool) -> None:
    """With any report missing there is no RELEASE, whatever the others say."""
    checks = make_checks(dict(zip(DECLARED, outcomes, strict=True)))
    left = [check for check, keep in zip(checks, kept, strict=True) if keep]
    verdict = decide(complete_ledger(DECLARED, left), protects_base=protects_base).verdict

    assert (verdict is Verdict.RELEASE) == (all(kept) and set(outcomes) == {Outcome.PASS})


@given(outcomes=draw_outcomes, shuffling=st.randoms(use_true_random=False), protects_base=st.booleans())
@settings(max_examples=25, deadline=None)
def test_order_of_reports_does_not_matter(outcomes: list[Outcome], shuffling: Random, *, protects_base: bool) -> None:
    """The ledger is in declared order and the decision the same, whichever check finished first."""
    checks = make_checks(dict(zip(DECLARED, outcomes, strict=True)))
    shuffled = list(checks)
    shuffling.shuffle(shuffled)
    ledgers = [complete_ledger(DECLARED, executed) for executed in (checks, shuffled)]

    assert ledgers[0] == ledgers[1]
    assert decide(ledgers[0], protects_base=protects_base) == decide(ledgers[1], protects_base=protects_base)


def test_integrity_is_named_before_what_may_follow_from_it() -> None:
    """Of equally grave reasons the first is that the evidence does not hold; but no error stands behind a failure."""
    changes = {("RET301", "fr"): Outcome.ERROR, ("INT101", "qlora/fr"): Outcome.ERROR, ("CHK101", "fr"): Outcome.ERROR}
    decision = decide(make_checks(changes | {("INT104", "fr"): Outcome.FAIL}), protects_base=False)

    assert [reason.split(":")[0] for reason in decision.reasons] == ["INT101 qlora/fr", "CHK101 fr", "RET301 fr"]


def test_a_blocked_check_says_by_what() -> None:
    """The detail of what could not be evaluated names check and subject that stood before it."""
    executed = [Check("INT101", "qlora/fr", Outcome.ERROR, detail="bytes differ")]
    ledger = complete_ledger([("INT101", "qlora/fr"), ("STO204", "qlora/fr")], executed)

    assert ledger[1].detail == "not evaluated, because INT101 qlora/fr did not pass"


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [(Outcome.FAIL, Verdict.KEEP), (Outcome.INCONCLUSIVE, Verdict.NOT_EVALUATED)],
    ids=str,
)
def test_only_a_failure_excuses_what_it_blocks(outcome: Outcome, verdict: Verdict) -> None:
    """A blocked ERROR is a mere consequence only of a FAIL, and only of that of its own cause."""
    cause = Check("STO204", "qlora/fr", outcome, detail="why")
    namesake = replace(cause, subject="qlora/intl", outcome=Outcome.FAIL)

    assert decide([cause, namesake, block(("RET301", "fr"), cause)], protects_base=False).verdict is verdict


def test_halt_names_what_does_not_hold_of_the_base() -> None:
    """A release that stops says at which check of the base."""
    decision = decide(
        complete_ledger(DECLARED, make_checks({("INT101", "base/fr"): Outcome.ERROR})), protects_base=True
    )

    assert decision.reasons == ("INT101 base/fr: ERROR, why",)


def test_release_counts_the_checks() -> None:
    """A release says how many checks passed."""
    assert decide(complete_ledger(DECLARED, make_checks()), protects_base=True).reasons == (
        "all 9 required checks passed",
    )


def test_what_is_blocked_by_nothing_in_the_ledger_is_its_own_reason() -> None:
    """Without its cause a blocked check is not excused, and says what it wanted for."""
    cause = Check("VEC105", "qlora/fr/passages", Outcome.FAIL, detail="NaN")
    decision = decide([block(("RET301", "fr"), cause)], protects_base=False)

    assert decision.verdict is Verdict.NOT_EVALUATED
    assert decision.reasons == ("RET301 fr: ERROR, not evaluated, because VEC105 qlora/fr/passages did not pass",)


def test_a_passed_integrity_check_blocks_nothing() -> None:
    """What is missing behind a store that holds did not report, and names no cause."""
    executed = [Check("INT101", "qlora/fr", Outcome.PASS)]
    missing = complete_ledger([("INT101", "qlora/fr"), ("STO204", "qlora/fr")], executed)[1]

    assert (missing.detail, missing.blocked_by, missing.reported) == ("did not report", None, False)


def test_only_integrity_stands_before_other_checks() -> None:
    """Expectations that fail do not explain why another check is missing."""
    executed = [Check("STO203", "qlora/fr", Outcome.FAIL)]
    missing = complete_ledger([("STO203", "qlora/fr"), ("STO204", "qlora/fr")], executed)[1]

    assert (missing.detail, missing.blocked_by) == ("did not report", None)


# Reports as they may come in by mistake: some missing, some twice, some that nobody asked for.
reports = st.lists(
    st.builds(
        lambda key, outcome: Check(key[0], key[1], outcome, detail="why"),
        st.sampled_from([*DECLARED, ("VEC999", "qlora/fr"), ("INT101", "base/intl")]),
        st.sampled_from(WORSE),
    ),
    max_size=14,
)


@given(extra=reports.filter(bool), outcomes=draw_outcomes, protects_base=st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_report_too_many_never_releases(extra: list[Check], outcomes: list[Outcome], *, protects_base: bool) -> None:
    """A second report of a check, or one that nobody asked for, makes no RELEASE, whatever it says."""
    executed = [*make_checks(dict(zip(DECLARED, outcomes, strict=True))), *extra]

    assert decide(complete_ledger(DECLARED, executed), protects_base=protects_base).verdict in {
        Verdict.NOT_EVALUATED, Verdict.HALT,
    }  # fmt: skip


@given(executed=reports, protects_base=st.booleans(), shuffling=st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_no_order_of_any_reports_changes_the_verdict(
    executed: list[Check], shuffling: Random, *, protects_base: bool
) -> None:
    """Whatever is missing or too many, verdict and reasons do not depend on what finished first."""
    shuffled = list(executed)
    shuffling.shuffle(shuffled)
    # Of contradicting reports of one check neither counts, so their order is no question.
    one, other = (decide(complete_ledger(DECLARED, each), protects_base=protects_base) for each in (executed, shuffled))

    assert one.verdict is other.verdict
    assert sorted(one.reasons) == sorted(other.reasons)


@given(executed=reports, protects_base=st.booleans())
@settings(max_examples=50, deadline=None)
def test_completing_and_deciding_twice_changes_nothing(executed: list[Check], *, protects_base: bool) -> None:
    """A complete ledger is its own completion, holds every declared check, and is decided as it was."""
    once = complete_ledger(DECLARED, executed)
    twice = complete_ledger(DECLARED, once)

    assert [check.key for check in once[: len(DECLARED)]] == DECLARED
    assert {check.key for check in once} == {*DECLARED, *(check.key for check in executed)}
    assert twice == once
    assert decide(twice, protects_base=protects_base) == decide(once, protects_base=protects_base)


@pytest.mark.parametrize("last", ["INT102", "INT103"])
def test_the_first_of_several_causes_is_named(last: str) -> None:
    """Whichever of two open integrity checks reported last, the same one stands before what is missing."""
    causes = [Check(check, "qlora/fr", Outcome.ERROR) for check in ("INT102", "INT103")]
    causes.sort(key=lambda check: check.id == last)
    ledger = complete_ledger([*(check.key for check in causes), ("STO204", "qlora/fr")], causes)

    assert ledger[2].blocked_by == ("INT102", "qlora/fr")


@pytest.mark.parametrize("second", [Outcome.PASS, Outcome.ERROR], ids=str)
def test_a_cause_that_contradicts_itself_is_one(second: Outcome) -> None:
    """An integrity check that reported twice, once not PASS, stands before what is missing in either order."""
    twice = [Check("INT101", "qlora/fr", Outcome.PASS), Check("INT101", "qlora/fr", Outcome.ERROR)]
    twice.sort(key=lambda check: check.outcome is second)
    missing = complete_ledger([("INT101", "qlora/fr"), ("STO204", "qlora/fr")], twice)[1]

    assert missing.blocked_by == ("INT101", "qlora/fr")


def test_an_undeclared_report_says_nothing_against_the_base() -> None:
    """A suite that serves a check which no rule asks for is a fault of the rules: NOT_EVALUATED, never HALT."""
    declared = [("RET301", "fr")]
    ledger = complete_ledger(
        declared, [Check("RET301", "fr", Outcome.PASS), Check("VEC108", "base/fr/passages", Outcome.PASS)]
    )
    decision = decide(ledger, protects_base=True)

    assert decision.verdict is Verdict.NOT_EVALUATED
    assert decision.reasons == ("VEC108 base/fr/passages: ERROR, reported without being declared",)
