"""A document as GitHub Markdown: tables in one language, evidence quoted so that nothing obeys it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from validation.markdown import Html, make_table, quote_text, tell
from validation.render import quote
from validation.requirements import Wording
from validation.typography import format_value, set_spaces

if TYPE_CHECKING:
    from validation.auditing.documents import AuditDocument
    from validation.typography import Language

NOTHING = Html("–")
# Words between backticks, which Markdown does not look for inside of HTML.
_CODE = re.compile(r"`([^`]+)`")
NONE = Wording(fr="Néant.", en="None.")
BASIS = Wording(fr="La décision", en="The decision")
VERDICT = Wording(fr="verdict", en="verdict")
DECISION = Wording(fr="document, SHA-256", en="document, SHA-256")
COMMIT = Wording(fr="révision", en="commit")
CODE = Wording(fr="code, SHA-256", en="code, SHA-256")
RUN = Wording(fr="exécution", en="run")
ATTEMPT = Wording(fr="tentative", en="attempt")
MAPPING = Wording(fr="Preuves rattachées aux clauses", en="Evidence mapped to clauses")
CLAUSE = Wording(fr="clause (paraphrasée)", en="clause (paraphrased)")
EXPECTED = Wording(fr="ce qui y est attendu", en="what is expected there")
EVIDENCE = Wording(fr="preuve dans ce document", en="evidence in this document")


Row = Sequence[str | Wording]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table of a document; a cell is words of the project, `Html`, or else evidence. Without rows it says so."""

    title: Wording
    columns: Sequence[Wording]
    rows: Sequence[Row]


def render_document(document: AuditDocument, sheets: Sequence[Sheet], language: Language) -> str:
    """Return a document in one language; the same document gives the same text."""
    blocks = [f"<h1>{say(document.title, language)}</h1>", _tell_basis(document, language)]
    blocks += [_render_sheet(sheet, language) for sheet in [*sheets, _list_clauses(document)]]
    return "\n\n".join(blocks) + "\n"


def say(wording: Wording, language: Language) -> Html:
    """Return words of the project in one language; whatever a parser or terminal would obey is written out."""
    text = set_spaces(wording.fr) if language == "fr" else wording.en
    return Html(_CODE.sub(r"<code>\1</code>", html.escape(quote(text).plain, quote=False)))


def show(value: object, language: Language) -> Html:
    """Return what was observed, or a limit, as evidence; numbers as the language writes them."""
    shown = format_value(value, language)
    return Html(html.escape(shown)) if isinstance(value, int | float) or value is None else quote_text(shown)


def show_lines(lines: Sequence[str]) -> Html:
    """Return texts below each other; those that are not `Html` are evidence."""
    return tell(*lines, between="<br>")


def _tell_basis(document: AuditDocument, language: Language) -> str:
    basis = document.basis
    run = f"{basis.run.id}/{basis.run.attempt}" if basis.run else None
    rows: list[tuple[Html, str]] = [
        (say(VERDICT, language), Html(f"<b>{html.escape(basis.verdict)}</b>")),
        (say(DECISION, language), tell(basis.decision.path, basis.decision.sha256)),
        (say(COMMIT, language), basis.commit or NOTHING),
        (say(CODE, language), basis.code_sha256),
        (say(RUN, language), run or NOTHING),
        (say(ATTEMPT, language), show(basis.attempt, language)),
    ]
    return render_table(say(BASIS, language), [Html(""), Html("")], rows)


def _list_clauses(document: AuditDocument) -> Sheet:
    rows: list[Row] = [[each.clause, each.expects, each.evidence] for each in document.evidence_mapped_to]
    return Sheet(MAPPING, (CLAUSE, EXPECTED, EVIDENCE), rows)


def _render_sheet(sheet: Sheet, language: Language) -> str:
    title = say(sheet.title, language)
    if not sheet.rows:
        return f"<h3>{title}</h3>\n\n<p>{say(NONE, language)}</p>"
    rows = [[say(cell, language) if isinstance(cell, Wording) else cell for cell in row] for row in sheet.rows]
    return render_table(title, [say(column, language) for column in sheet.columns], rows)


def render_table(title: Html, columns: Sequence[Html], rows: Sequence[Sequence[str]]) -> str:
    """Return a table below its title, all rows of it."""
    part = make_table("rows", 0, title, columns, rows, folded=False)
    return part.render(len(part.rows))
