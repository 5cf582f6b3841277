"""The report of a drill: what it must say, and what the gate's check FBK502 makes of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.documents import load_json
from pipeline.errors import InputError
from pipeline.files import write_json
from pipeline.store import load_manifest
from tests.releases import (
    build_gate_request,
    get_check,
    judge_release,
    list_causes,
    list_requests,
    load_small_rulebook,
    write_release,
    write_store,
)
from tests.stores import load_array
from validation.evidence import PARTS
from validation.outcomes import Outcome, Verdict
from validation.releasing.receipt import (
    RECEIPT,
    WAY,
    Answered,
    Receipt,
    Step,
    check_drill,
    find_fault,
    list_drilled,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from validation.outcomes import Check
    from validation.policy import Rulebook

    Change = Callable[[dict[str, Any]], object]

BASE, CANDIDATE = "v1.0-base", "v1.1-qlora"
HASHED = {"code": "c" * 64, "base/fr/database": "b" * 64, "qlora/fr/database": "d" * 64}


def answer(digit: str, hits: int = 3) -> dict[str, Answered]:
    """Return answers on two corpora."""
    return {name: Answered(questions=9, hits=hits, sha256=digit * 64) for name in ("fr", "intl")}


def build() -> Receipt:
    """Return the report of a drill that went well."""
    steps = [
        Step(act=act, tag=tag, seconds=1.5, files=5, size=100, answers=answer(digit))
        for act, (tag, digit) in zip(WAY, [(BASE, "a"), (CANDIDATE, "b")] * 2, strict=True)
    ]
    return Receipt(schema_version=1, bound_to=HASHED, steps=steps)


def change(edit: Change) -> Receipt:
    """Return that report after its document was edited."""
    document = build().model_dump(mode="json")
    edit(document)
    return Receipt.model_validate(document)


def set_step(number: int, **fields: Any) -> Change:
    """Return what changes fields of a step."""
    return lambda document: document["steps"][number].update(fields)


def set_answer(number: int, corpus: str, **fields: Any) -> Change:
    """Return what changes the answers of a step on a corpus."""
    return lambda document: document["steps"][number]["answers"][corpus].update(fields)


BACK = "after falling back, the base did not answer as before"
FORWARD = "after going forward again, the candidate did not answer as before"
ORDER = "expected the way release base, release candidate, fall back, go forward"
FAULTS: dict[str, tuple[Change, str]] = {
    "other-code": (lambda document: document["bound_to"].update(code="0" * 64), "drilled with another code"),
    "other-base": (
        lambda document: document["bound_to"].update({"base/fr/database": "0" * 64}),
        "drilled with another base/fr/database",
    ),
    "candidate-not-named": (
        lambda document: document["bound_to"].pop("qlora/fr/database"), "drilled with another qlora/fr/database",
    ),
    "store-besides": (
        lambda document: document["bound_to"].update({"base/de/database": "0" * 64}),
        "drilled with another base/de/database",
    ),
    "nothing-named": (
        lambda document: document["bound_to"].clear(), "drilled with another base/fr/database (and 2 more)",
    ),
    "no-steps": (lambda document: document["steps"].clear(), ORDER),
    "last-step-missing": (lambda document: document["steps"].pop(), ORDER),
    "first-step-missing": (lambda document: document["steps"].pop(0), ORDER),
    "step-besides": (lambda document: document["steps"].append(document["steps"][-1]), ORDER),
    "other-order": (lambda document: document["steps"].reverse(), ORDER),
    "never-fell-back": (set_step(2, act="go forward"), ORDER),
    "other-act": (set_step(2, act="Fall back"), ORDER),
    "nothing-hashed": (set_step(2, files=0), "a step looked at nothing"),
    "nothing-hashed-at-first": (set_step(0, files=0), "a step looked at nothing"),
    "nothing-asked": (set_step(3, answers={}), "a step looked at nothing"),
    "candidate-after-falling-back": (set_step(2, tag=CANDIDATE), BACK),
    "answers-differ-back": (set_answer(2, "fr", sha256="0" * 64), BACK),
    "answers-differ-back-elsewhere": (set_answer(2, "intl", sha256="0" * 64), BACK),
    "hits-differ-back": (set_answer(2, "fr", hits=4), BACK),
    "fewer-questions-back": (set_answer(2, "fr", questions=8), BACK),
    "corpus-not-asked-back": (lambda document: document["steps"][2]["answers"].pop("intl"), BACK),
    "base-after-going-forward": (set_step(3, tag=BASE), FORWARD),
    "answers-differ-forward": (set_answer(3, "fr", sha256="0" * 64), FORWARD),
    "corpus-besides-forward": (
        lambda document: document["steps"][3]["answers"].update(de=document["steps"][3]["answers"]["fr"]), FORWARD,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "fault"), FAULTS.values(), ids=FAULTS)
def test_fault_of_a_drill_is_an_error(edit: Change, fault: str) -> None:
    """Whatever a drill was not made with, or did not do, is named; a drill is never half passed."""
    receipt = change(edit)
    check = check_drill("FBK502", receipt, HASHED)

    assert find_fault(receipt, HASHED) == fault
    assert (check.outcome, check.detail) == (Outcome.ERROR, fault)
    assert check.observed == len(receipt.steps)


def test_good_drill_passes() -> None:
    """All steps, on the very stores, with the same answers back and forth; seconds and sizes decide nothing."""
    slow = change(lambda document: [step.update(seconds=9e9, size=0) for step in document["steps"]])
    for receipt in (build(), slow):
        check = check_drill("FBK502", receipt, HASHED)

        assert find_fault(receipt, HASHED) is None
        assert (check.id, check.subject, check.outcome, check.detail) == ("FBK502", "gate", Outcome.PASS, None)
        assert (check.observed, check.limit, check.n) == (4, 4, 20)


def test_no_drill_is_an_error() -> None:
    """Without a report nothing is observed."""
    check = check_drill("FBK502", None, HASHED)

    assert (check.outcome, check.detail) == (Outcome.ERROR, "the fallback was not drilled")
    assert (check.observed, check.limit, check.n) == (None, 4, None)


MALFORMED: dict[str, tuple[Change, str]] = {
    "negative": (set_step(0, files=-1), r"steps\[0\]\.files"),
    "bool": (set_step(0, files=True), r"steps\[0\]\.files"),
    "infinite": (set_step(0, seconds=float("inf")), r"steps\[0\]\.seconds: expected a finite number"),
    "tag": (set_step(1, tag="v1.1-qlora; rm -rf"), r"steps\[1\]\.tag"),
    "digest": (set_answer(1, "fr", sha256="A" * 64), r"steps\[1\]\.answers\.fr\.sha256"),
    "bound": (lambda document: document["bound_to"].update(code="x"), r"bound_to\.code"),
    "field": (set_step(1, passed=True), r"steps\[1\]\.passed"),
    "version": (lambda document: document.update(schema_version=2), "schema_version"),
}


@pytest.mark.parametrize(("edit", "said"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_report_is_refused(tmp_path: Path, edit: Change, said: str) -> None:
    """A report is read strictly."""
    document = build().model_dump(mode="json")
    edit(document)
    (tmp_path / RECEIPT).write_text(json.dumps(document), "utf-8")

    with pytest.raises(InputError, match=said):
        load_json(tmp_path / RECEIPT, Receipt)


def test_report_is_written_and_read(tmp_path: Path) -> None:
    """What is written is what is read."""
    write_json(tmp_path / RECEIPT, build().model_dump(mode="json"))

    assert load_json(tmp_path / RECEIPT, Receipt) == build()


# The gate


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    """The rules of the project, with fewer draws."""
    return load_small_rulebook()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of which the candidate is to be released; read only."""
    folder = tmp_path_factory.mktemp("built")
    write_release(folder, {"fr": (40, 90), "intl": (60, 70)})
    return folder


def judge(
    folder: Path, rulebook: Rulebook, receipt: Receipt | None
) -> tuple[Verdict, dict[tuple[str, str], Outcome], Check]:
    """Judge stores with the report of a drill; return verdict, causes and the check of the drill."""
    request = replace(build_gate_request(list_requests(folder), rulebook), drill=receipt)
    judgement = judge_release(request, rulebook)
    return judgement.decision.verdict, list_causes(judgement), get_check(judgement, "FBK502", "gate")


def drill_in_words(folder: Path) -> Receipt:
    """Return the report of a drill with the stores in a folder, bound to each of their files and to the code."""
    stores = [(role, store) for request in list_requests(folder) for role, store in request.stores.items()]
    manifests = [(role, load_manifest(store)) for role, store in stores]
    bound = list_drilled((f"{role}/{manifest.corpus}", manifest) for role, manifest in manifests)

    assert len(bound) == 1 + len(manifests) * len(PARTS) == 13
    return build().model_copy(update={"bound_to": bound})


UNDRILLED = {("FBK502", "gate"): Outcome.ERROR}


def test_gate_asks_for_a_drill(built: Path, rulebook: Rulebook) -> None:
    """With it the verdict is RELEASE; without it, or with a drill that has a fault, NOT_EVALUATED by FBK502 alone."""
    good = drill_in_words(built)
    short = good.model_copy(update={"steps": good.steps[:3]})

    assert judge(built, rulebook, good)[:2] == (Verdict.RELEASE, {})
    assert judge(built, rulebook, None)[:2] == (Verdict.NOT_EVALUATED, UNDRILLED)
    verdict, causes, check = judge(built, rulebook, short)
    assert (verdict, causes, check.detail) == (Verdict.NOT_EVALUATED, UNDRILLED, ORDER)


def test_drill_of_another_candidate(built: Path, rulebook: Rulebook, tmp_path: Path) -> None:
    """After the candidate was embedded anew, the drill of the older one does not count."""
    folder = shutil.copytree(built, tmp_path / "anew")
    request = list_requests(folder)[0]
    store = request.stores["qlora"]
    passages, questions = load_array(store, "embeddings"), load_array(store, "questions")
    shutil.rmtree(store)
    write_store(request, "qlora", passages[:, ::-1].copy(), questions[:, ::-1].copy())
    verdict, causes, check = judge(folder, rulebook, drill_in_words(built))

    assert (verdict, causes) == (Verdict.NOT_EVALUATED, UNDRILLED)
    assert check.detail == "drilled with another qlora/fr/database (and 2 more)"


def test_drill_with_older_code(built: Path, rulebook: Rulebook, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change of the code the way back must be walked again."""
    older = drill_in_words(built)
    monkeypatch.setattr("validation.releasing.receipt.compute_code_digest", lambda: "0" * 64)
    verdict, causes, check = judge(built, rulebook, older)

    assert (verdict, causes, check.detail) == (Verdict.NOT_EVALUATED, UNDRILLED, "drilled with another code")
    assert judge(built, rulebook, drill_in_words(built))[0] is Verdict.RELEASE


def test_drill_never_hides_a_base_that_does_not_hold(built: Path, rulebook: Rulebook, tmp_path: Path) -> None:
    """A base that is gone is HALT, drilled or not."""
    folder = shutil.copytree(built, tmp_path / "gone")
    request = build_gate_request(list_requests(folder), rulebook)
    shutil.rmtree(list_requests(folder)[0].stores["base"])

    for receipt in (drill_in_words(built), None):
        verdict = judge_release(replace(request, drill=receipt), rulebook).decision.verdict
        assert verdict is Verdict.HALT
