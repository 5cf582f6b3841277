"""The log of releases beside an attestation: it goes on from the log that was judged, and nothing newer was gated."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pipeline.documents import read_text
from pipeline.errors import PipelineError
from validation.attesting.errors import AttestationError
from validation.releasing.events import parse_events

if TYPE_CHECKING:
    from pathlib import Path

    from validation.attesting.statement import Statement

LOG_INPUT = "log"


def count_judged(text: str, sha256: str) -> int | None:
    """Return how many of a log's lines have a digest together, counted from the first; None where there is no such."""
    digest = hashlib.sha256()
    if digest.hexdigest() == sha256:
        return 0
    for number, line in enumerate(text.split("\n"), 1):
        digest.update(f"{line}\n".encode())
        if digest.hexdigest() == sha256:
            return number
    return None


def require_current(statement: Statement, log: Path) -> None:
    """Raise `AttestationError` unless the attested decision is the last one that the log may know of.

    A decision is attested before it is acted upon, so that its own event comes after the log that it names.
    """
    if not log.exists():
        remedy = "fetch it from Git; where nothing was ever decided, give an empty file with --log"
        raise AttestationError(log, "the log of releases does not exist", remedy)
    try:
        text = read_text(log)
        events = parse_events(str(log), text)
    except PipelineError as error:
        raise AttestationError(error.where, error.problem, error.remedy) from error
    item, judgement = statement.find_input(LOG_INPUT), statement.predicate.judgement
    judged = count_judged(text, item.digest.sha256) if item else 0
    if judged is None:
        message = "does not go on from the log that was judged: lines were cut out or changed, or it is an older one"
        raise AttestationError(log, message, "fetch the log from Git; never take an older one")
    attempt = 1 + sum(event.event == "gated" for event in events[:judged])
    if judgement.attempt != attempt:
        message = f"the log makes this attempt {attempt}, but attested is {judgement.attempt}"
        raise AttestationError(log, message, "ask the signer for an attestation of the last decision")
    later = (event for event in events[judged:] if event.event == "gated")
    newer = next((event for event in later if event.evidence_sha256 != judgement.decision.digest.sha256), None)
    if newer:
        message = f"line {newer.number}: a newer decision, {newer.verdict} of {newer.time}, supersedes the attested one"
        raise AttestationError(log, message, "ask the signer for an attestation of that decision")
