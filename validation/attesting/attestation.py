"""Attest a decision: read it, make its statement, sign that, and write the envelope."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pipeline.documents import parse_json
from pipeline.files import replace_file
from pipeline.params import PROJECT_ROOT
from validation.attesting.describing import build_statement
from validation.attesting.envelope import seal
from validation.attesting.errors import AttestationError
from validation.attesting.keys import load_private_key
from validation.attesting.reading import read_small, resolve
from validation.document import InputRecord, Record

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

ATTESTATION = "attestation.json"
MAX_DECISION_BYTES = 1 << 30


def write_attestation(decision: Path, key: Path, output: Path, now: datetime, folder: Path | None = None) -> Path:
    """Attest a decision, whatever it says, and return the path of the envelope, `output/attestation.json`.

    Args:
        decision: the document; it and all that it names lie in `folder`.
        key: the private key.
        output: where the envelope goes, whole or not at all.
        now: when this is, in UTC.
        folder: the root of the project; None for this one.

    Raises:
        AttestationError: the key cannot be used, the decision is not about a release, or a file that it names is
            missing or has other bytes than were judged.
        InputError: the decision or a file of a store is malformed.
    """
    signer, root = load_private_key(key), folder or PROJECT_ROOT
    record, evidence = load_judged(decision, root)
    envelope = seal(build_statement(record, evidence, root, now).encode(), signer)
    path = output / ATTESTATION
    with replace_file(path) as partial:
        partial.write_bytes(envelope)
    return path


def load_judged(decision: Path, folder: Path) -> tuple[Record, InputRecord]:
    """Read a decision about a release, with its place in the project and its digest.

    Raises:
        AttestationError: it is missing, lies elsewhere, or is about something else.
        InputError: it is malformed.
    """
    path, root = resolve(decision), resolve(folder)
    if not path.is_relative_to(root):
        raise AttestationError(decision, f"expected a decision in {root}", "attest it where it was made")
    content = read_small(decision, MAX_DECISION_BYTES)
    try:
        record = parse_json(str(decision), content.decode("utf-8"), Record)
    except UnicodeDecodeError as error:
        raise AttestationError(decision, f"not UTF-8 at byte {error.start}", "run `nox -s gate` again") from error
    if record.policy != "release":
        message = "compares stores from elsewhere, which are not released"
        raise AttestationError(decision, message, "run `nox -s gate`")
    if record.exit_code != record.decision.exit_code:
        message = f"exit_code {record.exit_code} does not belong to {record.decision}"
        raise AttestationError(decision, message, "run `nox -s gate` again")
    name, sha256 = path.relative_to(root).as_posix(), hashlib.sha256(content).hexdigest()
    return record, InputRecord(path=name, sha256=sha256)
