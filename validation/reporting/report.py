"""Write the report of a decision, and tell whether a report is the one of a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.documents import load_json, read_text
from pipeline.errors import InputError, PipelineError
from pipeline.files import compute_sha256, replace_file
from validation.document import Record

if TYPE_CHECKING:
    from pathlib import Path

    from validation.typography import Language

NAMES: dict[Language, str] = {"fr": "report.html", "en": "report.en.html"}


class ReportError(PipelineError):
    """A report is not what its decision says."""


def write_report(decision: Path, folder: Path, path: Path, language: Language) -> Path:
    """Write the page of a decision, whole or not at all; an older one is removed first.

    Args:
        decision: a `decision.json`.
        folder: where the decision's inputs lie, at their recorded paths; what is not there is told in the page.
        path: the page.
        language: of everything that is not evidence.

    Raises:
        InputError: the decision is missing, malformed, or was replaced while it was read.
    """
    from validation.reporting.evidence import gather_evidence
    from validation.reporting.rendering import render_report

    path.unlink(missing_ok=True)
    record, sha256 = read_decision(decision)
    page = render_report(record, sha256, gather_evidence(record, folder), language)
    with replace_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def read_decision(decision: Path) -> tuple[Record, str]:
    """Return a decision and the SHA-256 of the bytes that it was read from.

    Raises:
        InputError: it is missing, malformed, or was replaced while it was read.
    """
    sha256 = compute_sha256(decision)
    record = load_json(decision, Record)
    if compute_sha256(decision) != sha256:
        raise InputError(decision, "was replaced while it was read", "run again when the gate has ended")
    return record, sha256


def is_of_decision(page: Path, decision: Path) -> bool:
    """Whether a page says that it is made from a decision, by the digest of its bytes.

    Raises:
        InputError: either cannot be read.
    """
    return f'data-decision-sha256="{compute_sha256(decision)}"' in read_text(page)


def check_report(page: Path, decision: Path, folder: Path) -> list[str]:
    """Return the sections that could not be compared, because their evidence is not at hand as it was; else nothing.

    Args:
        page: a report.
        decision: what it should say.
        folder: where the decision's inputs lie.

    Raises:
        InputError: report or decision cannot be read.
        ReportError: the report says something else than the decision.
    """
    from validation.reporting.agreement import find_disagreement, list_differing
    from validation.reporting.evidence import gather_evidence

    html = read_text(page)
    record, sha256 = read_decision(decision)
    found = find_disagreement(html, record, sha256)
    if found:
        raise ReportError(page, found, "write it again with `python -m validation report`")
    return list_differing(html, record, sha256, gather_evidence(record, folder))
