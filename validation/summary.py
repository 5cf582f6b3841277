"""Show a decision on GitHub: `summary.md` for a run's page, `comment.md` for a pull request, outputs for later jobs.

All of it is read from `decision.json`; no verdict depends on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.documents import load_json
from pipeline.errors import InputError
from pipeline.files import compute_sha256, replace_file
from pipeline.params import REPORTS
from validation.document import Record
from validation.markdown import SMALLEST_LIMIT, fit_parts, tell
from validation.record import DECISION
from validation.render import COLOURS, EXPLANATIONS, count_checks
from validation.summary_parts import SIGNS, build_parts

if TYPE_CHECKING:
    from typing import BinaryIO


# "Each step is restricted to a maximum size of 1MiB": GitHub, Workflow commands for GitHub Actions, job summaries.
STEP_SUMMARY_LIMIT = (1 << 20) - 1
# "Body is too long (maximum is 65536 characters)": GitHub's answer to a longer comment; a character is a byte or more.
COMMENT_LIMIT = (1 << 16) - 1
SUMMARY = "summary.md"
COMMENT = "comment.md"


def render_summary(record: Record, decision_sha256: str, limit: int) -> str:
    """Return a decision as GitHub Markdown in at most `limit` bytes of UTF-8; verdict and first reason always stand.

    Args:
        record: the decision.
        decision_sha256: digest of the document's bytes.
        limit: what does not fit is left out, the least important first, and one line says what.

    Raises:
        ValueError: the limit is below 4 KiB.
    """
    return fit_parts(_render_head(record), build_parts(record, decision_sha256), limit)


def _render_head(record: Record) -> str:
    """Return the verdict, its first reason and a count of all checks: what is never left out."""
    verdict = record.decision
    lines = [f"## {SIGNS[COLOURS[verdict]]} {verdict}: {EXPLANATIONS[verdict]}"]
    if record.reasons:
        lines.append(f"<p>{tell(record.reasons[0])}</p>")
    counts = count_checks(record.checks).plain
    lines.append(f"<p>{counts}. Policy: {record.policy}. Exit code: {verdict.exit_code}.</p>")
    return "\n\n".join(lines)


def write_summaries(decision: Path, output: Path, step_summary: Path | None, outputs: Path | None) -> Path:
    """Write `summary.md` and `comment.md` and add to the files that GitHub reads; return the path of the summary.

    Args:
        decision: a `decision.json`.
        output: folder of both files; those of an older decision are removed first.
        step_summary: GitHub's file of the step's summary, to which the summary is added as far as there is room.
        outputs: GitHub's file of the step's outputs, to which `decision` and `decision_sha256` are added.

    Raises:
        InputError: the decision is missing, malformed, or was replaced while it was read.
    """
    for name in (SUMMARY, COMMENT):
        (output / name).unlink(missing_ok=True)
    sha256 = compute_sha256(decision)
    record = load_json(decision, Record)
    if compute_sha256(decision) != sha256:
        raise InputError(decision, "was replaced while it was read", "run again when the gate has ended")
    texts = {
        name: render_summary(record, sha256, limit)
        for name, limit in ((SUMMARY, STEP_SUMMARY_LIMIT), (COMMENT, COMMENT_LIMIT))
    }
    for name, text in texts.items():
        with replace_file(output / name) as partial:
            partial.write_text(text, encoding="utf-8")
    if step_summary:
        room = STEP_SUMMARY_LIMIT - len("\n\n") - (step_summary.stat().st_size if step_summary.exists() else 0)
        if room >= SMALLEST_LIMIT:
            _append(step_summary, "\n\n", render_summary(record, sha256, room))
    if outputs:
        _append(outputs, "\n", f"decision={record.decision.value}\ndecision_sha256={sha256}\n")
    return output / SUMMARY


def _append(path: Path, gap: str, text: str) -> None:
    """Add a text to a file, whole or not at all, with a gap before it where there is something already."""
    with path.open("ab", buffering=0) as stream:
        size = stream.tell()
        try:
            _write(stream, ((gap if size else "") + text).encode())
        except OSError:
            stream.truncate(size)
            raise


def _write(stream: BinaryIO, data: bytes) -> None:
    while data:
        data = data[stream.write(data) :]


def summary(
    decision: Annotated[Path, typer.Option(help="A decision.json.")] = REPORTS / DECISION,
    output: Annotated[Path, typer.Option(help="Folder of summary.md and comment.md.")] = REPORTS,
    step_summary: Annotated[
        Path | None, typer.Option(envvar="GITHUB_STEP_SUMMARY", help="File to which the summary is added.")
    ] = None,
    outputs: Annotated[
        Path | None, typer.Option(envvar="GITHUB_OUTPUT", help="File to which verdict and digest are added.")
    ] = None,
) -> None:
    """Show a decision on GitHub: a summary of the run, a comment for the pull request, and outputs for later jobs."""
    typer.echo(write_summaries(decision, output, step_summary, outputs))
