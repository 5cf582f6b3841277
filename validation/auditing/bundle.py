"""One folder, and a zip of it, that an auditor takes away: report, documents, evidence, signature, and how to check."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import StoreError
from pipeline.files import compute_sha256, replace_file, replace_folder
from validation.attesting.attestation import ATTESTATION, write_attestation
from validation.attesting.envelope import open_envelope
from validation.attesting.keys import PUBLIC_KEY, load_public_key, write_public_key
from validation.attesting.verification import (
    read_statement,
    require_configuration,
    require_subjects,
    verify_attestation,
)
from validation.auditing.archive import SUMS, write_archive, write_sums
from validation.auditing.cards import ROLES, locate_pooling
from validation.auditing.case import Case, open_case
from validation.auditing.configuration import SOUND, list_items
from validation.auditing.guide import render_guide
from validation.auditing.places import require_own
from validation.auditing.schemas import write_schemas
from validation.auditing.writing import write_documents
from validation.outcomes import Verdict
from validation.record import DECISION
from validation.releasing.events import LOG
from validation.reporting.report import write_report
from validation.summary import STEP_SUMMARY_LIMIT, SUMMARY, render_summary

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

EVIDENCE, DOCUMENTS, SCHEMAS, README = "evidence", "documents", "schemas", "README.md"
POLICY_INPUT = "policy"
REPORTS_BY_LANGUAGE = {"fr": "report.html", "en": "report.en.html"}
# What is announced, in order.
STEPS = ("evidence", "documents", "report", "attestation", "verification", "zip")
_AGAIN = "restore it, or run `nox -s gate` again"


@dataclass(frozen=True, slots=True)
class Commission:
    """What somebody asks for: a decision below the root of a project, a private key to sign it, a time and a place."""

    decision: Path
    root: Path
    key: Path
    now: datetime
    output: Path

    @property
    def archive(self) -> Path:
        """The zip beside the folder."""
        return self.output.with_name(f"{self.output.name}.zip")


def write_bundle(commission: Commission, announce: Callable[[str], None]) -> Path:
    """Write the folder and its zip, verified as they will be by whoever gets them; all or nothing.

    Returns:
        The zip.

    Raises:
        StoreError: something that was recorded is missing or changed, or the place is taken.
        AttestationError: the key cannot be used, or what was gathered does not hold.
        InputError, HaltError: a document is malformed, or the log of releases is broken.
    """
    require_own(commission.output, SUMS, ATTESTATION)
    case = open_case(commission.decision, commission.root)
    require_recorded(case)
    with replace_folder(commission.output) as folder, replace_file(commission.archive) as archive:
        announce("evidence")
        copy_evidence(case, folder)
        gathered = open_case(folder / EVIDENCE / case.decision.path, folder / EVIDENCE)
        announce("documents")
        write_documents(gathered, folder / DOCUMENTS)
        write_schemas(folder / SCHEMAS)
        announce("report")
        write_reports(gathered, folder)
        announce("attestation")
        write_attestation(commission.decision, commission.key, folder, commission.now, commission.root)
        write_public_key(commission.key, folder / PUBLIC_KEY)
        (folder / README).write_text(render_guide(gathered, folder), encoding="utf-8", newline="\n")
        write_sums(folder)
        announce("verification")
        verify_bundle(folder, gathered)
        announce("zip")
        write_archive(folder, archive, commission.output.name)
    return commission.archive


def require_recorded(case: Case) -> None:
    """Raise `StoreError` unless every file that the decision records is there with its bytes."""
    items = list(list_items(case))
    if not items:
        raise StoreError(case.decision.path, "records no file, as nothing could be judged", "run `nox -s gate` again")
    odd = [item for item in items if item.state not in SOUND]
    if odd:
        found = "is missing" if odd[0].state == "missing" else "has other bytes than were judged"
        more = f" (and {len(odd) - 1} more)" if odd[1:] else ""
        raise StoreError(odd[0].path, f"{found}{more}", _AGAIN)


def copy_evidence(case: Case, folder: Path) -> None:
    """Copy all that the decision records, itself, what the tests said and the log; what was copied is hashed.

    Raises:
        StoreError: a file changed while it was copied.
    """
    evidence = folder / EVIDENCE
    wanted = {each.path: each.sha256 for each in case.record.inputs.values()}
    if case.record.answers:
        wanted[case.record.answers.path] = case.record.answers.sha256
    if case.tests:
        wanted[case.tests[1].path] = case.tests[1].sha256
    wanted[case.decision.path] = case.decision.sha256
    log = wanted.pop(LOG.as_posix(), None)
    # No decision records how a model pools, but the digest of its weights is over this file, too.
    for path in map(locate_pooling, ROLES):
        if (case.folder / path).is_file():
            wanted.setdefault(path.as_posix(), compute_sha256(case.folder / path))
    for name, sha256 in wanted.items():
        (evidence / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(case.folder / name, evidence / name)
        if compute_sha256(evidence / name) != sha256:
            raise StoreError(case.folder / name, "changed while it was copied", _AGAIN)
    (evidence / LOG).parent.mkdir(parents=True, exist_ok=True)
    if log is not None or (case.folder / LOG).is_file():
        shutil.copyfile(case.folder / LOG, evidence / LOG)
    else:
        (evidence / LOG).touch()  # nothing was ever released: a log without a line
    shutil.copyfile(evidence / case.decision.path, folder / DECISION)
    if case.record.answers:
        shutil.copyfile(evidence / case.record.answers.path, folder / Path(case.record.answers.path).name)


def write_reports(case: Case, folder: Path) -> None:
    """Write the report in both languages, and the summary."""
    decision = folder / EVIDENCE / case.decision.path
    write_report(decision, case.folder, folder / REPORTS_BY_LANGUAGE["fr"], "fr")
    write_report(decision, case.folder, folder / REPORTS_BY_LANGUAGE["en"], "en")
    summary = render_summary(case.record, case.decision.sha256, STEP_SUMMARY_LIMIT)
    (folder / SUMMARY).write_text(summary, encoding="utf-8", newline="\n")


def verify_bundle(folder: Path, case: Case) -> None:
    """Verify a bundle from what lies in it; of a decision that released nothing, all but that it did.

    Raises:
        AttestationError: the signature, a subject or a file of the evidence does not hold.
    """
    attestation, key, evidence = folder / ATTESTATION, folder / PUBLIC_KEY, folder / EVIDENCE
    policy = evidence / case.record.inputs[POLICY_INPUT].path
    if case.record.decision is Verdict.RELEASE:
        verify_attestation(attestation, key, evidence, policy, evidence / LOG)
        return
    statement = read_statement(attestation, open_envelope(attestation, load_public_key(key)))
    require_subjects(statement, attestation, evidence)
    require_configuration(statement, attestation, evidence, policy)
