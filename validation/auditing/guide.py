"""The README of an audit's folder: what lies where, which clause it is evidence for, and how to check all of it."""

from __future__ import annotations

import html
import shlex
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import ConfigDict

from pipeline.documents import Strict, load_json
from pipeline.files import compute_sha256
from validation.attesting.attestation import ATTESTATION
from validation.attesting.keys import PUBLIC_KEY
from validation.auditing.documents import ClauseMapping
from validation.auditing.sheets import NOTHING, render_table, say, show_lines
from validation.markdown import Html, quote_text
from validation.outcomes import Verdict
from validation.releasing.events import LOG
from validation.requirements import Wording

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from validation.auditing.case import Case
    from validation.typography import Language

TITLE = Wording(fr="Dossier d'audit", en="Audit folder")
HERE = Path(__file__).parent
CONTENT = Wording(fr="Contenu", en="Content")
POLICY_INPUT = "policy"
COLUMNS = (
    Wording(fr="fichier", en="file"),
    Wording(fr="ce que c'est", en="what it is"),
    Wording(fr="clauses", en="clauses"),
    Wording(fr="SHA-256", en="SHA-256"),
)
CONTENTS = {
    "report.html": Wording(fr="le rapport, en français", en="the report, in French"),
    "report.en.html": Wording(fr="le rapport, en anglais", en="the report, in English"),
    "decision.json": Wording(fr="la décision, source de tout le reste", en="the decision, source of all the rest"),
    "answers.jsonl": Wording(
        fr="les réponses des deux bases vectorielles, question par question",
        en="both stores' answers to every question",
    ),
    "summary.md": Wording(fr="la décision en une page", en="the decision on one page"),
    ATTESTATION: Wording(fr="l'attestation signée", en="the signed attestation"),
    PUBLIC_KEY: Wording(fr="la clé publique", en="the public key"),
}
SCHEMAS = Wording(fr="la forme de chaque document (JSON Schema)", en="the shape of every document (JSON Schema)")


class _Heading(Strict):
    """What is read of any document."""

    model_config = ConfigDict(extra="ignore")

    title: Wording
    evidence_mapped_to: list[ClauseMapping]


# What is signed, put together from the envelope, and the signature, by what every system has.
SUMS_STEP = "sha256sum --check --quiet SHA256SUMS"
STEPS = rf"""
work=$(mktemp -d)
sed -n 's/.*"payload": "\([^"]*\)".*/\1/p' {ATTESTATION} | base64 --decode > "$work/payload.json"
sed -n 's/.*"sig": "\([^"]*\)".*/\1/p' {ATTESTATION} | base64 --decode > "$work/signature"
printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(wc -c < "$work/payload.json")" > "$work/signed"
cat "$work/payload.json" >> "$work/signed"
openssl pkeyutl -verify -pubin -inkey {PUBLIC_KEY} -rawin -in "$work/signed" -sigfile "$work/signature"
grep -o '"digest":{{"sha256":"[0-9a-f]*"}},"name":"[^"]*"' "$work/payload.json" |
  sed 's/.*"\([0-9a-f]\{{64\}}\)"}},"name":"\(.*\)"/\1  evidence\/\2/' |
  grep -v '{LOG}$' | sha256sum --check --quiet
openssl pkey -pubin -in {PUBLIC_KEY} -outform DER | sha256sum
""".strip()


def render_guide(case: Case, folder: Path) -> str:
    """Return the README of a folder in which everything else lies, in French and in English."""
    environment = Environment(  # noqa: S701 - Markdown; whatever is evidence is quoted before
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True
    )
    databases = [each.path for name, each in case.record.inputs.items() if name.endswith("/database")]
    return environment.get_template("README.md.j2").render(
        title=TITLE,
        basis=case.basis,
        index={language: _render_index(folder, language) for language in ("fr", "en")},
        steps="\n".join([SUMS_STEP, *_compare(case), STEPS, *(_ask(path) for path in databases[:1])]),
        tool=_tell_tool(case),
        is_release=case.record.decision is Verdict.RELEASE,
    )


def _compare(case: Case) -> Iterator[str]:
    """Yield commands that hold what lies on top against the evidence: sums can be made anew, what is signed cannot."""
    yield f"cmp decision.json {shlex.quote(f'evidence/{case.decision.path}')}"
    if case.record.answers:
        yield f"cmp answers.jsonl {shlex.quote(f'evidence/{case.record.answers.path}')}"


def _ask(path: str) -> str:
    return f"sqlite3 -readonly {shlex.quote(f'evidence/{path}')} 'SELECT * FROM metadata'"  # noqa: S608 - of a shell


def _tell_tool(case: Case) -> str:
    policy = case.record.inputs[POLICY_INPUT].path
    places = {"key": PUBLIC_KEY, "folder": "evidence", "policy": f"evidence/{policy}", "log": f"evidence/{LOG}"}
    options = (f'--{name} "$bundle"/{shlex.quote(path)}' for name, path in places.items())
    verify = " ".join([f'python -m validation verify --attestation "$bundle"/{ATTESTATION}', *options])
    decision = f'--decision "$bundle"/{shlex.quote(f"evidence/{case.decision.path}")} --folder "$bundle"/evidence'
    return f'{verify}\npython -m validation report --check "$bundle"/report.html {decision}'


def _render_index(folder: Path, language: Language) -> str:
    """Return what lies in a folder, the evidence apart, whose digests are in `SHA256SUMS`."""
    rows: list[Sequence[str]] = [
        [_link(name), say(what, language), NOTHING, compute_sha256(folder / name)]
        for name, what in CONTENTS.items()
        if (folder / name).is_file()
    ]
    rows += [_describe(path, folder, language) for path in sorted(folder.glob("documents/*.json"))]
    rows.append([Html("<code>schemas/</code>"), say(SCHEMAS, language), NOTHING, Html("<code>SHA256SUMS</code>")])
    return render_table(say(CONTENT, language), [say(column, language) for column in COLUMNS], rows)


def _describe(path: Path, folder: Path, language: Language) -> Sequence[str]:
    """Return the row of a document, its text in this language beside the JSON."""
    document = load_json(path, _Heading)
    names = [file.relative_to(folder).as_posix() for file in (path, path.with_suffix(f".{language}.md"))]
    clauses = show_lines([each.clause for each in document.evidence_mapped_to])
    digests = show_lines([compute_sha256(folder / name) for name in names])
    return [show_lines([_link(name) for name in names]), say(document.title, language), clauses, digests]


def _link(name: str) -> Html:
    return Html(f'<a href="{html.escape(quote(name))}">{quote_text(name)}</a>')
