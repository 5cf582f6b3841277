"""A decision that is acted upon: read, and held against the very bytes, code and run that it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.documents import load_json
from pipeline.files import compute_sha256
from validation.certificate import compute_code_digest
from validation.document import Record
from validation.inputs import Input, has_changed
from validation.outcomes import Verdict
from validation.record import DECISION
from validation.releasing.errors import HaltError, ReleaseError
from validation.workflow_run import find_run

if TYPE_CHECKING:
    from pathlib import Path

# What a decision rests on beside the stores; what cannot be released cannot be drilled either.
_EVIDENCE = {Verdict.KEEP: ("policy", "certificate"), Verdict.RELEASE: ("policy", "certificate", "drill")}
_AGAIN = "run `nox -s gate` again"


def load_decision(path: Path, expected_sha256: str | None) -> tuple[Record, str]:
    """Read a decision that may be acted upon, and its SHA-256.

    Raises:
        InputError: it is missing or malformed.
        ReleaseError: it is another one than expected, judged no release, or says NOT_EVALUATED.
        HaltError: it says HALT.
    """
    record, digest = load_json(path, Record), compute_sha256(path)
    if expected_sha256 is not None and digest != expected_sha256:
        raise ReleaseError(path, f"SHA-256: expected {expected_sha256}, got {digest}", _AGAIN)
    if record.policy != "release":
        raise ReleaseError(path, "compares stores from elsewhere, which are not released", "run `nox -s gate`")
    if record.exit_code != record.decision.exit_code:
        raise ReleaseError(path, f"exit_code {record.exit_code} does not belong to {record.decision}", _AGAIN)
    reason = record.reasons[0] if record.reasons else "without a reason"
    if record.decision is Verdict.HALT:
        raise HaltError(path, f"the gate said HALT: {reason}", "mend that, and judge again; nothing was changed")
    if record.decision is Verdict.NOT_EVALUATED:
        raise ReleaseError(path, f"the gate said NOT_EVALUATED: {reason}", "mend that, and judge again")
    return record, digest


def require_bound(record: Record, root: Path, head: str) -> None:
    """Raise `ReleaseError` unless everything that the decision was made from still is what it was."""
    if record.code.revision != head:
        message = f"was judged at {(record.code.revision or 'no commit')[:12]}, but {head[:12]} is checked out"
        raise ReleaseError(DECISION, message, _AGAIN)
    if record.code.sha256 != compute_code_digest():
        raise ReleaseError(DECISION, "was judged by other code", _AGAIN)
    missing = next((name for name in _EVIDENCE[record.decision] if name not in record.inputs), None)
    if missing:
        raise ReleaseError(DECISION, f"inputs: {missing} is missing, so nothing says what it rests on", _AGAIN)
    named = record.inputs | ({"answers": record.answers} if record.answers else {})
    inputs = (Input(name, root / each.path, each.sha256) for name, each in named.items())
    changed = [each.name for each in inputs if has_changed(each)]
    if changed:
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        message = f"has other bytes than were judged: {changed[0]}{more}"
        raise ReleaseError(named[changed[0]].path, message, _AGAIN)
    here, judged = find_run(), record.run
    if here is not None and (judged is None or judged.id != here.id or int(judged.attempt) > int(here.attempt)):
        found = f"run {judged.id}, attempt {judged.attempt}" if judged else "no run of a workflow"
        raise ReleaseError(DECISION, f"comes from {found}, expected run {here.id}", _AGAIN)
