"""`python -m validation explain`: why a decision came out as it did, in the terminal."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from pipeline.documents import load_json
from pipeline.errors import InputError
from pipeline.files import write_json
from tests.bad_input import check_refusal
from tests.conftest import build_sample_store, write_sample
from tests.records import EXPLANATION, make_check, make_flip, make_interval_check, make_record
from tests.releases import build_latency, remember_expectations
from tests.stores import build_request, list_options, write_policy
from validation.document import Record
from validation.explain import SHOWN_FLIPS, render_explanation
from validation.outcomes import Interval, Outcome, Verdict
from validation.slices import SliceResult

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Result

HOSTILE = "[/b] [red]x\x1b[2J\x9b :smile: \u202eabc\nnext"
SHOWN = "[/b] [red]x\\x1b[2J\\x9b :smile: \\u202eabc"


def show(record: Record, check: str | None = None, width: int = 200) -> str:
    """Return the explanation as a terminal without colours shows it."""
    stream = io.StringIO()
    Console(file=stream, width=width).print(render_explanation(record, check))
    return stream.getvalue()


def make_slice(value: str, **changes: Any) -> SliceResult:
    """Return a slice that was tested and holds."""
    good = SliceResult("category", value, 40, 20, 21, 0.025, Interval(-0.05, 0.1, 0.95, 0.05), 0.75, False, False)
    return replace(good, **changes)


def make_compared(*checks: Any, **changes: Any) -> Record:
    """Return a decision on a corpus that was compared, with one lost and one gained answer."""
    fields: dict[str, Any] = {
        "slices": {"fr": [make_slice("laws")]},
        "flips": {"fr": [make_flip("lost"), make_flip("gained", question="q2")]},
    }
    return make_record(Verdict.KEEP, *checks, **fields | changes)


@pytest.fixture(scope="module")
def decision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real decision: a gain that is not shown, found with hostile text in questions and passages."""
    from typer.testing import CliRunner

    from validation.__main__ import app

    folder = tmp_path_factory.mktemp("decision")
    sample = write_sample(folder / "corpus", rows=120, questions=120)
    mark = json.dumps(HOSTILE)[1:-1]
    for path, old in ((sample.chunks, "l'arbitre traite"), (sample.questions, "Que faire,")):
        path.write_text(path.read_text(encoding="utf-8").replace(old, mark), encoding="utf-8")
    base = build_sample_store(sample, folder / "base", model_id="base-model", hits=40, seed=1)
    candidate = build_sample_store(sample, folder / "qlora", model_id="qlora-model", hits=42, seed=2)
    request = build_request(sample, base, candidate)
    output = folder / "reports"
    write_json(output / "latency.json", build_latency([request]).model_dump())
    arguments = [*list_options(request, output), "--policy", write_policy(folder)]
    with remember_expectations():
        result = CliRunner().invoke(app, [str(part) for part in arguments], standalone_mode=False)

    assert result.return_value == 20

    return output / "decision.json"


@pytest.mark.parametrize("check", ["RET301", None], ids=["one check", "all that matter"])
def test_an_open_criterion_says_how_far_it_is_from_passing(
    decision: Path, run_cli: Callable[..., Result], check: str | None
) -> None:
    """Bounds, questions that would decide, hits that would pass among which questions, and what loss is tolerated."""
    record = load_json(decision, Record)
    found = next(each for each in record.checks if each.id == "RET301")
    result = run_cli("validation", "explain", decision, *([check] if check else []))
    said = " ".join(result.out.split())
    behind = found.explanation

    assert (result.code, result.err, found.outcome) == (0, "", Outcome.INCONCLUSIVE)
    assert behind is not None
    assert behind.questions_needed is not None
    assert behind.hits_needed is not None
    assert "RET301 fr: INCONCLUSIVE. candidate finds more than the base" in said
    assert "difference +1.7 points, one-sided 95% bounds [0.0, " in said
    assert "limit 0.0, n = 120 the stores differ on 1.7% of the questions" in said
    assert f"about {behind.questions_needed} questions would decide it" in said
    assert f"{behind.hits_needed} more questions answered in full would pass" in said
    assert f"the nearest being {', '.join(behind.hits_among[:10])}" in said
    assert "the policy accepts no loss; with 120 questions a gain of" in said
    assert "what to do: keep the base" in said
    assert "Answers that flipped on fr: 0 lost, 2 gained" in said
    assert ("RET302 fr: PASS" in said) is (check is None)
    assert ("gained: " in said) is (check is not None)


def test_text_of_questions_and_passages_is_not_obeyed(decision: Path, run_cli: Callable[..., Result]) -> None:
    """Markup, terminal codes and line breaks in questions and passages are written out."""
    result = run_cli("validation", "explain", decision, "RET301")
    said = " ".join(result.out.split())

    assert not {"\x1b", "\x9b", "\u202e", "\r", "\t"} & set(result.out)
    assert f"gained: {SHOWN}\\nnext question 40 ?" in said
    assert f"Article 40 : {SHOWN} next « pendule »" in said


def test_hostile_text_elsewhere_is_not_obeyed() -> None:
    """Reasons, subjects, titles, details, remedies, slices and identifiers are shown as they are, too."""
    checks = [
        make_check("VEC106", Outcome.FAIL, subject=HOSTILE, title=HOSTILE, detail=HOSTILE, remedy=HOSTILE,
                   observed=HOSTILE, limit=HOSTILE, unit=HOSTILE),
        make_interval_check(Outcome.FAIL, explanation=replace(EXPLANATION, hits_among=(HOSTILE,))),
    ]  # fmt: skip
    slices = {"fr": [make_slice(HOSTILE)]}
    shown = show(make_compared(*checks, reasons=(HOSTILE,), slices=slices))

    assert not {"\x1b", "\x9b", "\u202e", "\r", "\t"} & set(shown)
    # Observed and limit are cut to 40 signs.
    assert shown.count("[/b] [red]x\\x1b[2J") == 10


@pytest.mark.parametrize("check", ["RET999", "ret301", "[red]\x1b[2J"])
def test_an_unknown_check_is_one_line(decision: Path, run_cli: Callable[..., Result], check: str) -> None:
    """A check that the decision does not know gives exit code 30, its name, and what can be named."""
    result = run_cli("validation", "explain", decision, check)
    known = {each["id"] for each in json.loads(decision.read_text(encoding="utf-8"))["checks"]}

    check_refusal(result, f"not among the {len(known)} checks of this decision", "such as RET301")
    assert "\x1b" not in result.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document.update(decision="MAYBE"), "decision: expected 'RELEASE'"),
        (lambda document: document.update(schema_version=2), "schema_version: "),
        (lambda document: document.pop("reasons"), "reasons: Field required"),
        (lambda document: document["checks"][3].pop("outcome"), "checks[3].outcome: Field required"),
        (lambda document: document["checks"][0].update(outcome="SKIPPED"), "checks[0].outcome: "),
        (lambda document: document["checks"][0].update(rest=1), "checks[0].rest: Extra inputs"),
        (lambda document: document["slices"]["fr"][0].update(n="40"), "slices.fr[0].n: "),
        (lambda document: document["flips"]["fr"][0].update(direction="up"), "flips.fr[0].direction: "),
        (lambda document: document["retrieval"]["fr"]["recall@5"]["interval"].pop("lower"),
         "retrieval.fr.recall@5.interval.lower: Field required"),
        (lambda document: document["code"].update(sha256="0"), "code.sha256: "),
        (lambda document: document["inputs"]["policy"].update(sha256="0"), "inputs.policy.sha256: "),
    ],
)  # fmt: skip
def test_a_malformed_decision_is_one_line(
    decision: Path, tmp_path: Path, run_cli: Callable[..., Result], change: Callable[[Any], object], said: str
) -> None:
    """A document that is not a decision gives exit code 30 with the field's path."""
    document = json.loads(decision.read_text(encoding="utf-8"))
    change(document)
    path = tmp_path / "decision.json"
    path.write_text(json.dumps(document), encoding="utf-8")

    check_refusal(run_cli("validation", "explain", path), f"error: {path}: {said}")


@pytest.mark.parametrize("text", ["", "{}", "[]", "{", '{"decision": NaN}'])
def test_what_is_no_document_is_one_line(tmp_path: Path, run_cli: Callable[..., Result], text: str) -> None:
    """An empty, cut or foreign file gives exit code 30 and is named."""
    path = tmp_path / "decision.json"
    path.write_text(text, encoding="utf-8")

    check_refusal(run_cli("validation", "explain", path), f"error: {path}: ")
    check_refusal(run_cli("validation", "explain", tmp_path / "absent.json"), "absent.json: expected a file")


@pytest.mark.parametrize("width", [80, 120])
def test_long_lines_stay_indented_and_whole(decision: Path, width: int) -> None:
    """Every line below a check is indented, the text that a line takes more than one row for included."""
    shown = show(load_json(decision, Record), "RET301", width)
    rows = [row for row in shown.splitlines() if row.strip()]
    heads = [row for row in rows if not row.startswith(" ")]

    assert max(map(len, rows)) <= width
    assert [re.split(r"[ :]", row)[0] for row in heads] == ["KEEP", "RET301", "Slices", "Answers"]


def test_reasons_and_verdict_stand_first() -> None:
    """The explanation begins with what was decided, by which policy, and all the reasons."""
    shown = show(make_record(Verdict.HALT, reasons=tuple(f"reason {n}" for n in range(20)))).splitlines()

    assert shown[0] == "HALT (policy release, exit code 40)"
    assert shown[1:21] == [f"  reason {n}" for n in range(20)]


def test_only_what_matters_is_explained_unless_asked_for() -> None:
    """What passed without an interval, and what another check blocked, is left out; by name it is explained."""
    record = make_record(
        Verdict.KEEP,
        make_check("STO201", Outcome.PASS, observed=3, limit=3, n=120, unit="rows"),
        make_check("VEC105", Outcome.FAIL, detail="a NaN"),
        make_check("RET301", Outcome.ERROR, detail="not evaluated", blocked_by="VEC105 fr"),
        make_check("RET302", Outcome.WAIVED, detail="A. Arbitre answers"),
    )
    shown = show(record)

    assert [name for name in ("STO201", "VEC105", "RET301", "RET302") if name in shown] == ["VEC105", "RET302"]
    assert "why: a NaN\n  what to do: do this" in shown
    assert "why: A. Arbitre answers" in shown
    assert shown.count("what to do") == 1
    assert "observed 3, limit 3 (rows), n = 120" in show(record, "STO201")
    assert "why: not evaluated" in show(record, "RET301")
    assert "flipped" not in show(record, "RET301")


def test_a_check_is_explained_on_every_subject() -> None:
    """By its identifier a check is explained wherever it was made, and no other is."""
    record = make_record(
        Verdict.KEEP, *(make_check("VEC105", Outcome.FAIL, subject=name) for name in ("base/fr", "qlora/fr")),
        make_check("VEC106", Outcome.FAIL),
    )  # fmt: skip
    shown = show(record, "VEC105")

    assert ("VEC105 base/fr: FAIL" in shown, "VEC105 qlora/fr: FAIL" in shown) == (True, True)
    assert "VEC106" not in shown


def test_an_unknown_check_is_refused() -> None:
    """Where nothing was judged there is no check to name."""
    with pytest.raises(InputError, match="not among the 0 checks"):
        render_explanation(make_record(Verdict.NOT_EVALUATED), "RET301")


BEHIND: dict[str, tuple[Outcome, dict[str, Any], str, bool]] = {
    "sign flips": (Outcome.PASS, {}, "0.1719 by sign flips", True),
    "small p": (Outcome.PASS, {}, "< 0.0001 by McNemar (mid-p)", True),
    "no recall": (Outcome.PASS, {"mcnemar_p": None}, "McNemar", False),
    "disagreement": (Outcome.PASS, {}, "the stores differ on 5.0% of the questions", True),
    "hits needed": (Outcome.FAIL, {}, "3 more questions answered in full would pass, the nearest being q7, q8", True),
    "many hits needed": (
        Outcome.FAIL, {"hits_needed": 12, "hits_among": tuple(f"q{n}" for n in range(12))}, "q8, q9, …", True,
    ),
    "no hits would do": (Outcome.FAIL, {"hits_needed": None}, "not even every question answered in full", True),
    "none needed": (Outcome.PASS, {"hits_needed": None}, "not even every question answered in full", False),
    "to spare": (Outcome.PASS, {"hits_to_spare": 4}, "4 answers could be lost and it would still pass", True),
    "none to spare": (Outcome.PASS, {"hits_to_spare": 0}, "0 answers could be lost and it would still pass", True),
    "nothing to spare told": (Outcome.FAIL, {}, "could be lost", False),
    "questions needed": (Outcome.INCONCLUSIVE, {}, "about 731 questions would decide it", True),
    "decided": (Outcome.FAIL, {"questions_needed": None}, "would decide it", False),
    "superiority": (Outcome.PASS, {}, "the policy accepts no loss; with 120 questions a gain of 2.9 points", True),
    "non-inferiority": (Outcome.PASS, {"loss_nominal": 0.03}, "the policy accepts a loss of 3.0 points;", True),
    "loss that passes": (Outcome.PASS, {}, "every other time, a loss of 3.0 points 1 time in 20", True),
    "no difference": (Outcome.PASS, {"loss_rare": 0.0}, "every other time, no difference 1 time in 20", True),
}  # fmt: skip


@pytest.mark.parametrize(("outcome", "changes", "said", "there"), BEHIND.values(), ids=BEHIND)
def test_what_stands_behind_an_interval_is_told(
    outcome: Outcome, changes: dict[str, Any], said: str, *, there: bool
) -> None:
    """Each figure is told where there is one, as a loss or a gain without a sign to be misread."""
    shown = show(make_compared(make_interval_check(outcome, explanation=replace(EXPLANATION, **changes))))

    assert (said in shown) is there
    assert "-0.0 " not in shown


def test_slices_are_listed_with_what_became_of_them() -> None:
    """Hits of both stores, bounds where the slice was large enough, and whether it loses or collapses."""
    slices = [
        make_slice("laws"),
        make_slice("clock", loses=True, loss_p=0.001),
        make_slice("titles", collapsed=True, candidate_hits=0, interval=None, loss_p=None, n=8),
    ]
    rows = {
        line.split()[0]: line.split()
        for line in show(make_compared(make_interval_check(Outcome.PASS), slices={"fr": slices})).splitlines()
        if line.strip().startswith("category=")
    }

    assert rows == {
        "category=laws": ["category=laws", "40", "20→21", "+2.5", "[-5.0,", "+10.0]", "0.750"],
        "category=clock": ["category=clock", "40", "20→21", "+2.5", "[-5.0,", "+10.0]", "0.001", "loses"],
        "category=titles": ["category=titles", "8", "20→0", "+2.5", "not", "tested", "–", "collapsed"],
    }


def test_lost_answers_come_first_and_are_cut() -> None:
    """Without a check only the first lost answers are shown, and how many there are; by name all are."""
    flips = [make_flip("lost", question=f"q{n}") for n in range(SHOWN_FLIPS + 1)] + [make_flip("gained")]
    record = make_compared(make_interval_check(Outcome.PASS), flips={"fr": flips})
    short, whole = show(record), show(record, "RET301")

    assert f"Answers that flipped on fr: {SHOWN_FLIPS + 1} lost, 1 gained" in short
    assert (short.count("lost: "), short.count("gained: ")) == (SHOWN_FLIPS, 0)
    assert f"… name a retrieval check to see all {SHOWN_FLIPS + 2}" in short
    assert (whole.count("lost: "), whole.count("gained: ")) == (SHOWN_FLIPS + 1, 1)
    assert "to see all" not in whole


def test_an_answer_names_rank_and_passage() -> None:
    """Both stores' ranks and first passages stand below the question, with what answers it."""
    shown = show(
        make_compared(make_interval_check(Outcome.FAIL), flips={"fr": [make_flip("lost", "Qui ?", "Le\n  roi")]})
    )

    assert "  lost: Qui ?  (q1; relevant: passage 1)\n" in shown
    assert "    base finds it at rank 1; first comes passage 1: Le roi\n" in shown
    assert "    candidate finds it at rank 9; first comes passage 9: Le roi\n" in shown


def test_a_long_passage_ends_with_a_whole_word() -> None:
    """A passage is cut where a word ends, and the cut is shown."""
    flips = {"fr": [make_flip("lost", excerpt="L'arbitre compte. " * 12)]}
    shown = show(make_compared(make_interval_check(Outcome.FAIL), flips=flips), width=400)

    assert shown.count("compte. L'arbitre…\n") + shown.count("L'arbitre compte.…\n") == 2


def test_only_retrieval_checks_show_slices_and_answers() -> None:
    """A check that has nothing to do with answers does not list them."""
    record = make_compared(make_check("LAT401", Outcome.FAIL), make_interval_check(Outcome.PASS))

    assert "flipped" in show(record, "RET301")
    assert "flipped" not in show(record, "LAT401")
    assert "Slices" not in show(record, "LAT401")
