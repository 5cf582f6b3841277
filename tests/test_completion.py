"""The completion report: nine parts, each there even when empty, all derived from the decision."""

from __future__ import annotations

import string
from typing import get_args

import pytest

from tests.reporting.samples import (
    DIGEST,
    make_criterion,
    make_decision,
    make_empty,
    make_keep,
    make_release,
    make_reported,
    make_slice,
)
from validation.completion import Completion, PartName, build_completion
from validation.completion_words import SENTENCES, TITLES
from validation.document import InputRecord, Record, WaiverRecord
from validation.outcomes import Outcome, Verdict

PARTS = list(get_args(PartName))


def read_part(record: Record, name: PartName) -> str:
    """Return what a part says in English, evidence behind it."""
    part = next(part for part in build_completion(record).parts if part.name == name)
    return "\n".join(f"{item.text.en} {item.evidence or ''}".strip() for item in part.items)


@pytest.mark.parametrize("record", [make_release(), make_keep(4), make_empty()], ids=["release", "keep", "empty"])
def test_all_nine_parts_are_always_there(record: Record) -> None:
    """In the order of the standard, with a title and at least one sentence in both languages."""
    completion = build_completion(record)

    assert [part.name for part in completion.parts] == PARTS
    assert all(part.items for part in completion.parts)
    assert all((part.items[0].text.fr == "Néant.") is part.empty for part in completion.parts)
    assert Completion.model_validate_json(completion.model_dump_json()) == completion


def test_what_was_tested_is_counted() -> None:
    """Checks, subjects, requirements, questions and code come from the decision."""
    said = read_part(make_release(), "tested")

    assert "Checks demanded: 11; subjects looked at: 2; requirements served: 3." in said
    assert "Corpus “fr”: 120 gold questions" in said
    assert f"SHA-256 {DIGEST}" in said


def test_deviations_name_waivers_errors_and_gaps() -> None:
    """Who answers for what, what could not be evaluated, and what nothing covers."""
    record = make_keep(4)
    error = make_reported("VEC101", Outcome.ERROR, detail="no such file")
    said = read_part(record.model_copy(update={"checks": [*record.checks, error]}), "deviations")

    assert "Waiver WAIVER-001 of check RET303 on fr, answered for by L. Arbitre" in said
    assert said.count("a known gap of the corpus") == 1
    assert "Check VEC101 on fr could not be evaluated. no such file" in said
    assert "RET309" not in said
    assert "Requirement REQ-TAG-01 is covered by no check." in said
    assert "Decision number 3" in said


@pytest.mark.parametrize("state", ["applied", "expired", "unused"])
def test_each_state_of_a_waiver_has_its_sentence(state: str) -> None:
    """A waiver that had no effect is told as such."""
    waiver = WaiverRecord.model_validate(
        {"id": "W", "check": "RET303", "subject": "fr", "owner": "o", "reason": "r", "expires": "2027", "state": state}
    )
    said = read_part(make_release(waivers=[waiver]), "deviations")

    assert said.startswith("Waiver W of check RET303 on fr, answered for by o")
    assert {"expired": "without effect", "unused": "unused", "applied": "until 2027"}[state] in said


def test_the_evaluation_gives_verdict_reasons_and_open_requirements() -> None:
    """All reasons stand there, and each requirement that is not met with its outcome."""
    said = read_part(make_keep(4), "evaluation")

    assert said.startswith("Verdict: KEEP, exit code 20.")
    assert "Reason: RET302 fr: FAIL, the bounds lie below -0.05" in said
    assert "Requirements met without a waiver: 2 of 4." in said
    assert "Requirement REQ-RET-01: ERROR. Requirement no. 1 holds." in said


def test_what_blocked_is_named_with_its_consequences() -> None:
    """The cause is named once, with the number of checks that it kept from being evaluated."""
    assert read_part(make_keep(4), "blocked").startswith("RET308 fr kept other checks")
    assert read_part(make_release(), "blocked") == "None."


def test_measures_are_those_of_the_decision() -> None:
    """Outcomes, recall with bounds, flips and ratios of times."""
    said = read_part(make_release(), "measures")

    assert "Checks by outcome: PASS 11." in said
    assert "Recall@5 on “fr”: base 50.0%, candidate 51.7%, change +1.7 points [−1.2, +4.6]." in said
    assert "Flips on “fr”: answers lost 8, gained 4." in said
    assert "LAT401 on fr: ratio of times 1.017, limit 1.25." in said


def test_risks_that_remain_are_told() -> None:
    """What is inconclusive or waived, the loss that would pass, lost answers and slices too small to be tested."""
    said = read_part(make_keep(4).model_copy(update={"slices": {"fr": [make_slice("x", interval=None)]}}), "risks")

    assert "Check RET301 on fr is inconclusive. the bounds reach across 0.0" in said
    assert "Check RET303 on fr does not hold; it is waived." in said
    assert "questions that the base answers and the candidate does not: 3." in said
    assert "slices too small for a loss to be shown in them: 1." in said
    assert "a true loss of 3.0 points would still pass" in read_part(make_release(), "risks")


def test_files_are_deliverables_or_used_again() -> None:
    """What was made for this decision is delivered; rules and gold sets serve the next one too."""
    names = (
        "certificate",
        "latency",
        "policy",
        "suite_chunks",
        "fr/questions",
        "base/fr/questions",
        "base/fr/manifest",
    )
    record = make_release(
        inputs={name: InputRecord(path=f"p/{name}", sha256=DIGEST) for name in names},
        answers=InputRecord(path="reports/answers.jsonl", sha256=DIGEST),
    )
    made, kept = (read_part(record, name) for name in ("deliverables", "assets"))

    assert [line.split(":")[0] for line in made.split("\n")] == ["decision.json", "answers", "certificate", "latency"]
    assert [line.split(":")[0] for line in kept.split("\n")] == ["policy", "suite_chunks", "fr/questions"]


def test_lessons_are_what_to_do_next() -> None:
    """How many questions would decide, and the remedy of each check that does not pass; nothing after a release."""
    said = read_part(make_keep(4), "lessons")
    passing = make_criterion("RET301", explanation=None)

    assert "Check RET301 on fr: about 731 questions would decide." in said
    assert "Check RET302 on fr: train another candidate." in said
    assert "RET309" not in said
    assert read_part(make_decision(Verdict.RELEASE, [passing]), "lessons") == "None."


def test_evidence_is_kept_apart_from_our_own_sentences() -> None:
    """What the gate said in English is not woven into a French sentence."""
    part = next(part for part in build_completion(make_keep(4)).parts if part.name == "evaluation")

    assert part.items[1].text.fr == "Motif\u00a0:"
    assert part.items[1].evidence == "RET301 fr: INCONCLUSIVE, the bounds reach across 0.0"


@pytest.mark.parametrize("pair", [*SENTENCES.values(), *TITLES.values()], ids=[*SENTENCES, *TITLES])
def test_both_languages_fill_the_same_blanks(pair: tuple[str, str]) -> None:
    """A sentence says the same in both languages."""
    french, english = ({name for _, name, _, _ in string.Formatter().parse(each) if name} for each in pair)

    assert french == english
    assert pair[0] != pair[1]
