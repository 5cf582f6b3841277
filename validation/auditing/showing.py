"""Which tables each document of an audit consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validation.auditing.documents import (
    CompletionReport,
    ConfigurationAudit,
    DataQuality,
    StoreCard,
    TraceMatrix,
)
from validation.auditing.sheets import NOTHING, Row, Sheet, render_document, say, show, show_lines
from validation.auditing.showing_card import list_card_sheets
from validation.markdown import Html, tell
from validation.requirements import Wording
from validation.typography import format_count, format_points

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validation.auditing.documents import AuditDocument, TestCounts
    from validation.outcomes import Interval, Outcome
    from validation.typography import Language

REQUIREMENT = Wording(fr="exigence", en="requirement")
STATEMENT = Wording(fr="énoncé", en="statement")
OUTCOME = Wording(fr="résultat", en="outcome")
CHECK = Wording(fr="contrôle", en="check")
TESTS = Wording(fr="tests réussis / en échec / omis", en="tests passed / failed / skipped")
SUBJECT = Wording(fr="objet", en="subject")
OBSERVED = Wording(fr="observé", en="observed")
LIMIT = Wording(fr="limite", en="limit")
COUNT = Wording(fr="n", en="n")
INTERVAL = Wording(fr="intervalle (points)", en="interval (points)")
INPUTS = Wording(fr="fichiers examinés, SHA-256", en="files looked at, SHA-256")
CLAUSES = Wording(fr="clauses", en="clauses")
FILE = Wording(fr="fichier", en="file")
RECORDED = Wording(fr="SHA-256 enregistré", en="SHA-256 on record")
STATE = Wording(fr="état", en="state")
TAG = Wording(fr="étiquette", en="tag")
WHEN = Wording(fr="date (UTC)", en="time (UTC)")
WHO = Wording(fr="par", en="by")
DECISION = Wording(fr="décision, SHA-256", en="decision, SHA-256")
EVENT = Wording(fr="événement", en="event")
EVIDENCE = Wording(fr="preuve, SHA-256", en="evidence, SHA-256")
STATES = {
    "unchanged": Wording(fr="inchangé", en="unchanged"),
    "continued": Wording(fr="continué", en="continued"),
    "changed": Wording(fr="CHANGÉ", en="CHANGED"),
    "missing": Wording(fr="ABSENT", en="MISSING"),
    "served": Wording(fr="servi", en="served"),
    "released": Wording(fr="livré", en="released"),
}


def render_audit_document(document: AuditDocument, language: Language) -> str:
    """Return a document as Markdown in one language."""
    return render_document(document, list(_list_sheets(document, language)), language)


def mark(outcome: Outcome) -> Html:
    """Return an outcome; its name is the same in every language."""
    return Html(outcome.value)


def _list_sheets(document: AuditDocument, language: Language) -> Iterator[Sheet]:
    match document:
        case TraceMatrix():
            yield from _show_trace(document, language)
        case CompletionReport():
            yield from _show_completion(document, language)
        case ConfigurationAudit():
            yield from _show_configuration(document, language)
        case DataQuality():
            yield from _show_quality(document, language)
        case StoreCard():
            yield from list_card_sheets(document, language)


def _show_trace(document: TraceMatrix, language: Language) -> Iterator[Sheet]:
    states: list[Row] = [
        [each.requirement, each.statement, mark(each.outcome), _show_tests(each.tests), each.sha256]
        for each in document.requirements
    ]
    title = Wording(fr="Exigences", en="Requirements")
    yield Sheet(title, (REQUIREMENT, STATEMENT, OUTCOME, TESTS, Wording(fr="SHA-256", en="SHA-256")), states)
    if document.tests:
        source = Wording(fr="D'où viennent les nombres de tests", en="Where the counts of tests come from")
        yield Sheet(source, (FILE, RECORDED), [[document.tests.path, document.tests.sha256]])
    rows = [
        [
            row.requirement,
            row.check,
            row.subject,
            mark(row.outcome),
            show(row.observed, language),
            tell(row.operator, show(row.limit, language), row.unit or ""),
            show(row.n, language),
            _show_interval(row.interval, language),
            show_lines([f"{name} {digest}" for name, digest in row.inputs.items()]) or NOTHING,
            show_lines(row.clauses),
        ]
        for row in document.rows
    ]
    columns = (REQUIREMENT, CHECK, SUBJECT, OUTCOME, OBSERVED, LIMIT, COUNT, INTERVAL, INPUTS, CLAUSES)
    yield Sheet(Wording(fr="De l'exigence à la preuve", en="From requirement to evidence"), columns, rows)
    uncovered = Wording(fr="Exigences sans contrôle", en="Requirements without a check")
    yield Sheet(uncovered, (REQUIREMENT,), [[name] for name in document.uncovered])
    stray = Wording(fr="Contrôles sans exigence", en="Checks without a requirement")
    yield Sheet(stray, (CHECK,), [[name] for name in document.stray])


def _show_tests(tests: TestCounts | None) -> Html:
    return Html(f"{tests.passed} / {tests.failed} / {tests.skipped}") if tests else NOTHING


def _show_interval(interval: Interval | None, language: Language) -> Html:
    if interval is None:
        return NOTHING
    bounds = (format_points(bound, language) for bound in (interval.lower, interval.upper))
    return Html(f"[{'; '.join(bounds)}]")


def _show_completion(document: CompletionReport, language: Language) -> Iterator[Sheet]:
    for part in document.completion.parts:
        rows = [[tell(say(item.text, language), item.evidence or "")] for item in part.items]
        yield Sheet(part.title, (Wording(fr="constat", en="statement"),), rows)


def _show_configuration(document: ConfigurationAudit, language: Language) -> Iterator[Sheet]:
    outcome = Wording(fr="Résultat de l'audit", en="Outcome of the audit")
    yield Sheet(outcome, (OUTCOME,), [[mark(document.outcome)]])
    items: list[Row] = [[item.name, item.path, item.recorded, STATES[item.state]] for item in document.items]
    title = Wording(fr="Éléments de configuration", en="Configuration items")
    yield Sheet(title, (Wording(fr="nom", en="name"), FILE, RECORDED, STATE), items)
    beside = Wording(fr="Fichiers que rien n'enregistre", en="Files that nothing records")
    yield Sheet(beside, (FILE,), [[path] for path in document.unrecorded])
    baselines: list[Row] = [
        [each.tag, STATES[each.state], each.time, each.actor, each.decision_sha256 or NOTHING, each.verdict or NOTHING]
        for each in document.baselines
    ]
    verdict = Wording(fr="verdict", en="verdict")
    yield Sheet(Wording(fr="Livraisons", en="Baselines"), (TAG, STATE, WHEN, WHO, DECISION, verdict), baselines)
    changes = [
        [format_count(each.number, language), Html(each.event), each.tag or NOTHING, each.time, each.actor,
         each.evidence_sha256 or NOTHING]
        for each in document.changes
    ]  # fmt: skip
    record = Wording(fr="Registre des changements", en="Change record")
    yield Sheet(record, (Wording(fr="n°", en="no."), EVENT, TAG, WHEN, WHO, EVIDENCE), changes)


def _show_quality(document: DataQuality, language: Language) -> Iterator[Sheet]:
    columns = (CHECK, Wording(fr="intitulé", en="title"), SUBJECT, OUTCOME, OBSERVED, LIMIT, COUNT)
    for group in document.groups:
        rows: list[Row] = [
            [
                each.check,
                each.title or NOTHING,
                each.subject,
                mark(each.outcome),
                show(each.observed, language),
                tell(show(each.limit, language), each.unit or ""),
                show(each.n, language),
            ]
            for each in group.measures
        ]
        yield Sheet(group.title, columns, rows)
