"""Documents of an audit: what they say, in both languages, and that their Markdown says nothing else."""

from __future__ import annotations

import re
from enum import Enum
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Literal, get_origin
from unicodedata import category

import pytest
from pydantic import BaseModel

from pipeline.documents import load_json
from pipeline.errors import InputError
from pipeline.files import write_json
from tests.auditing.projects import TRIPLETS, Audited, read_json
from tests.projects import BETTER
from tests.records import make_check, make_record
from tests.stores import ROWS
from validation.auditing.case import Case, open_case
from validation.auditing.documents import (
    CompletionReport,
    ConfigurationAudit,
    DataQuality,
    StoreCard,
    TestCounts,
    TraceMatrix,
)
from validation.auditing.quality import build_data_quality
from validation.auditing.showing import render_audit_document
from validation.auditing.tracing import build_trace_matrix
from validation.auditing.writing import write_documents
from validation.document import InputRecord
from validation.outcomes import Outcome, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from validation.typography import Language

CARDS = {f"store-card-{role}-{corpus}" for role in ("base", "qlora") for corpus in BETTER}
KINDS = {"trace-matrix", "completion-report", "configuration-audit", "data-quality"}
HOSTILE = "</td><script>alert(1)</script> **b** @team #1 ![x](http://x.example)\n\n# h1 \x1b[31m \u202eevil"
LANGUAGES = ("fr", "en")


class Tables(HTMLParser):
    """Reads the cells of all tables, row by row, and every tag that there is."""

    def __init__(self, text: str) -> None:
        """Read a text."""
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self._cell: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - of the library
        """Begin a row or a cell."""
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        if tag in {"td", "th"} and self._cell is not None:
            self.rows[-1].append("".join(self._cell))
            self._cell = None

    def handle_data(self, data: str) -> None:
        """Add to a cell."""
        if self._cell is not None:
            self._cell.append(data)


def read_rows(folder: Path, name: str, language: str) -> list[list[str]]:
    """Return the rows of all tables of a document."""
    return Tables((folder / f"{name}.{language}.md").read_text("utf-8")).rows


def test_every_document_is_there_in_both_languages(documents: Path) -> None:
    """One JSON and two Markdown files a document, one card a store, and nothing else."""
    expected = {f"{name}{suffix}" for name in KINDS | CARDS for suffix in (".json", ".fr.md", ".en.md")}

    assert {path.name for path in documents.iterdir()} == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_trace_matrix_tells_the_same_in_json_and_markdown(documents: Path, language: str) -> None:
    """Each row of the matrix has the same requirement, check, subject and outcome in Markdown, in the same order."""
    matrix = load_json(documents / "trace-matrix.json", TraceMatrix)
    rows = read_rows(documents, "trace-matrix", language)

    told = [tuple(row[:4]) for row in rows if len(row) == 10][1:]
    assert told == [(row.requirement, row.check, row.subject, row.outcome.value) for row in matrix.rows]
    states = {row[0]: row[2] for row in rows if len(row) == 5 and row[0].startswith("REQ-")}
    assert states == {each.requirement: each.outcome.value for each in matrix.requirements}
    assert len(states) > 20


@pytest.mark.parametrize("language", LANGUAGES)
def test_data_quality_tells_the_same_in_json_and_markdown(documents: Path, language: str) -> None:
    """Each measure has the same check, subject and outcome in Markdown as in JSON."""
    quality = load_json(documents / "data-quality.json", DataQuality)
    told = [(row[0], row[2], row[3]) for row in read_rows(documents, "data-quality", language) if len(row) == 7]
    measures = [each for group in quality.groups for each in group.measures]

    assert [row for row in told if re.fullmatch(r"[A-Z]{3}\d{3}", row[0])] == [
        (each.check, each.subject, each.outcome.value) for each in measures
    ]
    assert len(measures) > 50


@pytest.mark.parametrize("language", LANGUAGES)
def test_configuration_audit_tells_the_same_in_json_and_markdown(documents: Path, language: str) -> None:
    """Outcome, digests and releases are those of the JSON."""
    audit = load_json(documents / "configuration-audit.json", ConfigurationAudit)
    rows = read_rows(documents, "configuration-audit", language)

    assert [audit.outcome.value] in rows
    digests = {row[0]: row[2] for row in rows if len(row) == 4}
    assert {item.name: item.recorded for item in audit.items}.items() <= digests.items()
    assert audit.baselines[0].tag in {row[0] for row in rows}


@pytest.mark.parametrize("language", LANGUAGES)
def test_completion_report_has_nine_parts(documents: Path, language: str) -> None:
    """All nine parts are told, in the order of the standard, each with the statements of the JSON."""
    report = load_json(documents / "completion-report.json", CompletionReport)
    text = (documents / f"completion-report.{language}.md").read_text("utf-8")
    titles = re.findall(r"<h3>(.*?)</h3>", text)
    rows = read_rows(documents, "completion-report", language)

    assert titles[1:10] == [getattr(part.title, language) for part in report.completion.parts]
    assert len([row for row in rows if len(row) == 1]) == 9 + sum(len(each.items) for each in report.completion.parts)
    assert any("RELEASE" in cell for row in rows for cell in row)


@pytest.mark.parametrize(("role", "place"), [("base", 0), ("qlora", 1)])
@pytest.mark.parametrize("corpus", BETTER)
def test_store_card_is_of_that_store(template: Audited, documents: Path, role: str, place: int, corpus: str) -> None:
    """A card has the files, digests and model of its store, and the recall that this store was measured to have."""
    card = load_json(documents / f"store-card-{role}-{corpus}.json", StoreCard)
    manifest = read_json(template.root / "build" / role / corpus / "manifest.json")
    recall = next(each for each in card.measured if each.metric == "recall@5")

    assert (recall.hits, recall.n) == (BETTER[corpus][place], ROWS)
    assert recall.value == pytest.approx(BETTER[corpus][place] / ROWS)
    assert {each.part: each.sha256 for each in card.files} == {
        part: each["sha256"] for part, each in manifest["files"].items()
    }
    assert (card.model_id, card.rows, card.dtype, card.dimension) == (manifest["model_id"], ROWS, "<f4", 768)
    assert card.question_prompt == manifest["model"]["question_prompt"]
    shown = [row for row in read_rows(documents, f"store-card-{role}-{corpus}", "fr") if row[0] == "recall@5"]
    assert shown[0][2:] == [str(BETTER[corpus][place]), str(ROWS)]


def test_store_card_of_the_candidate_tells_its_training(documents: Path) -> None:
    """Parent, settings and training data are told of the candidate, and of the base nothing of the kind."""
    card = load_json(documents / "store-card-qlora-fr.json", StoreCard)

    assert card.training is not None
    assert (card.training.parent.model_id, card.training.settings["rank"]) == ("embedded-gemma-lsa", 16)
    assert (card.training.triplets_file, card.training.triplets) == (TRIPLETS, 1)
    assert load_json(documents / "store-card-base-fr.json", StoreCard).training is None


def test_training_on_other_pairs_is_not_covered_up(audited: Audited) -> None:
    """Where the pairs that were judged are not those that were trained on, the card names no file of pairs."""
    inputs = dict(audited.record.inputs)
    (audited.root / TRIPLETS).write_text("{}\n", "utf-8")
    inputs["triplets"] = InputRecord(
        path=TRIPLETS, sha256="ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"
    )
    audited.change(inputs=inputs)
    write_documents(audited.open(), audited.folder / "audit")
    card = load_json(audited.folder / "audit" / "store-card-qlora-fr.json", StoreCard)

    assert card.training is not None
    assert card.training.triplets_file is None
    assert card.training.triplets_sha256 != inputs["triplets"].sha256


def test_model_that_does_not_say_how_it_pools(documents: Path) -> None:
    """A model's folder that does not say how it pools is not said to pool in any way."""
    assert load_json(documents / "store-card-base-fr.json", StoreCard).pooling is None


@pytest.mark.parametrize("name", sorted(KINDS | CARDS))
def test_evidence_is_mapped_and_nothing_is_claimed(documents: Path, name: str) -> None:
    """Every document maps evidence to clauses, in both languages, and claims no conformity."""
    text = "".join((documents / f"{name}{end}").read_text("utf-8") for end in (".json", ".fr.md", ".en.md"))

    assert read_json(documents / f"{name}.json")["evidence_mapped_to"]
    assert not re.search(r"complian|conform", text, re.IGNORECASE)
    assert "ISO/IEC" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_evidence_does_nothing(language: str, tmp_path: Path) -> None:
    """Markup, mentions, links, line breaks and control characters in evidence are shown, and are nothing but text."""
    hostile = dict.fromkeys(("subject", "observed", "unit", "title"), HOSTILE)
    check = make_check("CHK101", Outcome.FAIL, characteristic="accuracy", **hostile)
    case = Case(make_record(Verdict.KEEP, check), InputRecord(path=HOSTILE, sha256="0" * 64), tmp_path)
    for document in (build_data_quality(case), build_trace_matrix(case)):
        text = render_audit_document(document, "fr" if language == "fr" else "en")
        parsed = Tables(text)

        assert parsed.tags <= {"h1", "h3", "table", "tr", "th", "td", "b", "code", "p", "br"}
        assert not {"\x1b", "\u202e"} & set(text)
        assert not re.search(r"<tr>(?:(?!</tr>).)*\n", text)
        for cell in re.findall(r"[^>]*@team[^<]*", text):
            assert f"<code>{cell}" in text or f"<td>{cell}" in text


def poison(value: Any, text: str) -> Any:
    """Return a value in which every text that is not one of a closed set is another one, names included."""
    if isinstance(value, BaseModel):
        fields = {name for name, told in type(value).model_fields.items() if get_origin(told.annotation) is not Literal}
        return value.model_copy(update={name: poison(getattr(value, name), text) for name in fields})
    if isinstance(value, list):
        return [poison(each, text) for each in value[:3]]
    if isinstance(value, dict):
        return {poison(name, f"{text} {place}"): poison(each, text) for place, (name, each) in enumerate(value.items())}
    return text if isinstance(value, str) and not isinstance(value, Enum) else value


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("trace-matrix", TraceMatrix),
        ("completion-report", CompletionReport),
        ("configuration-audit", ConfigurationAudit),
        ("data-quality", DataQuality),
        ("store-card-qlora-fr", StoreCard),
    ],
)
def test_no_text_of_any_document_is_obeyed(
    documents: Path, name: str, kind: type[BaseModel], language: Language
) -> None:
    """With hostile text in every place there are the tags of harmless text, and a long one is cut."""
    document = load_json(documents / f"{name}.json", kind)
    hostile, harmless, long = (
        render_audit_document(poison(document, text), language) for text in (HOSTILE, "x", "a<" * (1 << 13))
    )

    assert re.findall(r"</?(?!code\b)\w+", hostile) == re.findall(r"</?(?!code\b)\w+", harmless)
    assert {sign for sign in hostile if category(sign).startswith("C")} == {"\n"}
    assert "@team" in hostile
    assert "a&lt;" * 2501 not in long


def test_decision_without_any_check(tmp_path: Path) -> None:
    """Where nothing could be judged every document says so, and nothing in it passed."""
    case = Case(make_record(Verdict.NOT_EVALUATED), InputRecord(path="d", sha256="0" * 64), tmp_path)
    audit = write_documents(case, tmp_path / "audit")
    matrix = load_json(tmp_path / "audit" / "trace-matrix.json", TraceMatrix)

    assert audit.outcome is Outcome.FAIL
    assert (matrix.rows, matrix.requirements) == ([], [])
    assert {path.name.split(".")[0] for path in (tmp_path / "audit").iterdir()} == KINDS
    assert not any("PASS" in path.read_text("utf-8") for path in (tmp_path / "audit").iterdir())


def test_gaps_are_listed_in_both_directions(template: Audited) -> None:
    """A requirement without a check is not met, and a check without a requirement is named."""
    record = template.record
    stray = make_check("XYZ999", Outcome.PASS, requirements=[])
    first = next(iter(record.requirements))
    checks = [check for check in record.checks if first not in check.requirements]
    case = Case(record.model_copy(update={"checks": [*checks, stray]}), template.open().decision, template.root)
    matrix = build_trace_matrix(case)

    assert (matrix.uncovered[0], matrix.stray) == (first, ["XYZ999"])
    assert matrix.requirements[0].outcome is Outcome.ERROR
    assert "XYZ999" in render_audit_document(matrix, "fr")


def write_tests(audited: Audited, code: str) -> None:
    """Write what tests of some code said of one requirement."""
    outcomes = {"a.py::one": "passed", "a.py::two": "passed", "b.py::three": "failed", "b.py::four": "skipped"}
    document = {"schema_version": 1, "revision": None, "code": code, "requirements": {"REQ-VEC-01": outcomes}}
    write_json(audited.root / "reports" / "tests.json", document)


@pytest.mark.requirement("REQ-TRC-01")
def test_tests_are_counted_by_requirement(audited: Audited) -> None:
    """What the tests said of the code that judged stands in the matrix, with the file that says it."""
    write_tests(audited, audited.record.code.sha256)
    matrix = build_trace_matrix(audited.open())
    counts = {each.requirement: each.tests for each in matrix.requirements}

    assert matrix.tests is not None
    assert matrix.tests.path == "reports/tests.json"
    assert counts["REQ-VEC-01"] == TestCounts(passed=2, failed=1, skipped=1)
    assert counts["REQ-VEC-02"] == TestCounts(passed=0, failed=0, skipped=0)
    assert "2 / 1 / 1" in render_audit_document(matrix, "fr")


@pytest.mark.requirement("REQ-TRC-01")
def test_tests_of_other_code_are_no_evidence(audited: Audited) -> None:
    """What was said of other code than the one that judged is not shown."""
    write_tests(audited, "0" * 64)
    matrix = build_trace_matrix(audited.open())

    assert matrix.tests is None
    assert {each.tests for each in matrix.requirements} == {None}


@pytest.mark.parametrize("path", ["/etc/hostname", "../elsewhere"], ids=["absolute", "outside"])
def test_decision_about_files_elsewhere_is_not_audited(audited: Audited, path: str) -> None:
    """A decision that names a file outside of the project is refused."""
    audited.change(inputs={**audited.record.inputs, "policy": InputRecord(path=path, sha256="0" * 64)})

    with pytest.raises(InputError, match=r"inputs: policy: expected a path below"):
        open_case(audited.decision, audited.root)


def test_same_evidence_gives_the_same_documents(template: Audited, documents: Path, tmp_path: Path) -> None:
    """Nothing but the evidence has a say: a second run gives the same bytes."""
    write_documents(template.open(), tmp_path / "audit")

    for path in documents.iterdir():
        assert (tmp_path / "audit" / path.name).read_bytes() == path.read_bytes()
