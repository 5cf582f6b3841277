"""Verify an attestation offline, with the public key alone: whatever is not shown is denied, and the first thing tells.

In this order: size, strict JSON, signature, types, subjects by their bytes, policy and configuration, requirements, and
that nothing newer was decided.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.documents import load_yaml, parse_json
from pipeline.errors import InputError
from pipeline.files import compute_sha256
from validation.attesting.chain import LOG_INPUT, require_current
from validation.attesting.describing import PARTS, ROLES
from validation.attesting.envelope import open_envelope
from validation.attesting.errors import AttestationError
from validation.attesting.keys import load_public_key
from validation.attesting.reading import hash_inside
from validation.attesting.statement import NamedFile, Statement
from validation.outcomes import Verdict
from validation.requirements import Requirements

if TYPE_CHECKING:
    from collections.abc import Iterable

POLICY_INPUT, REQUIREMENTS_INPUT = "policy", "requirements"

_DENIED = "do not use these stores; ask the signer for an attestation of a release"
_OTHER = "fetch the files that were attested, or ask the signer which are right"


def verify_attestation(attestation: Path, key: Path, folder: Path, policy: Path, log: Path) -> Statement:
    """Return what is attested, once all of it holds.

    Args:
        attestation: the envelope.
        key: the public key that is trusted; it comes another way than the attestation.
        folder: where the attested files lie, at the paths that the attestation gives.
        policy: the policy that must have been applied.
        log: the log of releases, as new as can be had.

    Raises:
        AttestationError: something does not hold; the first such thing.
    """
    payload = open_envelope(attestation, load_public_key(key))
    statement = read_statement(attestation, payload)
    require_subjects(statement, attestation, folder)
    require_configuration(statement, attestation, folder, policy)
    require_tests(statement, attestation, folder)
    require_current(statement, log)
    return statement


def read_statement(attestation: Path, payload: bytes) -> Statement:
    """Return the statement in a payload whose signature holds.

    Raises:
        AttestationError: it is no strict JSON, or of another type.
    """
    where = f"{attestation}: payload"
    try:
        return parse_json(where, payload.decode("utf-8"), Statement)
    except UnicodeDecodeError as error:
        raise AttestationError(where, f"not UTF-8 at byte {error.start}", _DENIED) from error
    except InputError as error:
        raise AttestationError(error.where, error.problem, _DENIED) from error


def require_subjects(statement: Statement, attestation: Path, folder: Path) -> None:
    """Raise `AttestationError` unless the subjects are all that a release serves, byte for byte."""
    where, subjects = f"{attestation}: subject", statement.subject
    _require_unique(where, (subject.name for subject in subjects))
    corpora = _list_corpora(statement)
    wanted = {(role, corpus, part) for role in ROLES for corpus in corpora for part in PARTS}
    places = [(told.role, told.corpus, told.part) for told in (subject.annotations for subject in subjects)]
    _require_unique(where, ("/".join(place) for place in places))
    if odd := sorted({*places} ^ wanted):
        found = "is missing" if odd[0] in wanted else "belongs to no corpus that was judged"
        raise AttestationError(where, f"{'/'.join(odd[0])} {found}", _DENIED)
    for subject in subjects:
        _require_bytes(folder, subject.name, subject.digest.sha256)


def _list_corpora(statement: Statement) -> set[str]:
    """Return the corpora whose chunks were judged."""
    names = (item.annotations.input for item in statement.predicate.configuration)
    return {name.removesuffix("/chunks") for name in names if name.endswith("/chunks")}


def require_configuration(statement: Statement, attestation: Path, folder: Path, policy: Path) -> None:
    """Raise `AttestationError` unless the policy was the verifier's, and what lies in the folder what was attested.

    Of what a decision was made from, an auditor may have been given a part; that part must be the real one.
    """
    where, items = f"{attestation}: configuration", statement.predicate.configuration
    _require_unique(where, (item.name for item in items))
    _require_unique(where, (item.annotations.input for item in items))
    attested, held = statement.find_input(POLICY_INPUT), _hash_policy(policy)
    if attested is None or attested.digest.sha256 != held:
        found = attested.digest.sha256 if attested else "none"
        raise AttestationError(where, f"policy: expected {held} of {policy}, got {found}", _DENIED)
    judgement = statement.predicate.judgement
    evidence: list[NamedFile] = [judgement.decision, *([judgement.answers] if judgement.answers else [])]
    # The log grows; it is looked at last.
    for item in (*(item for item in items if item.annotations.input != LOG_INPUT), *evidence):
        if (folder / item.name).exists() or (folder / item.name).is_symlink():
            _require_bytes(folder, item.name, item.digest.sha256)


def _hash_policy(policy: Path) -> str:
    try:
        return compute_sha256(policy)
    except InputError as error:
        raise AttestationError(error.where, error.problem, error.remedy) from error


def require_tests(statement: Statement, attestation: Path, folder: Path) -> None:
    """Raise `AttestationError` unless every requirement of the folder's file, and no other, passed or was waived."""
    predicate, where = statement.predicate, f"{attestation}: predicate"
    passed, warned, failed = predicate.passed_tests, predicate.warned_tests, predicate.failed_tests
    required = _load_ids(statement, where, folder)
    _require_unique(where, [*passed, *warned, *failed])
    if failed:
        raise AttestationError(where, f"failedTests: expected none, got {', '.join(sorted(failed))}", _DENIED)
    if odd := sorted({*passed, *warned} ^ required):
        found = "is required and was not tested" if odd[0] in required else "is required by nobody here"
        raise AttestationError(where, f"{odd[0]} {found}", _DENIED)
    expected = "WARNED" if warned else "PASSED"
    if predicate.result != expected:
        raise AttestationError(f"{where}.result", f"expected {expected}, got {predicate.result}", _DENIED)
    if predicate.judgement.verdict is not Verdict.RELEASE:
        message = f"expected verdict {Verdict.RELEASE}, got {predicate.judgement.verdict}"
        raise AttestationError(where, message, _DENIED)


def _load_ids(statement: Statement, where: str, folder: Path) -> set[str]:
    item = statement.find_input(REQUIREMENTS_INPUT)
    if item is None:
        raise AttestationError(where, "names no file of requirements", _DENIED)
    _require_bytes(folder, item.name, item.digest.sha256)
    try:
        found = load_yaml(folder / item.name, Requirements)
    except InputError as error:
        raise AttestationError(error.where, error.problem, _OTHER) from error
    if not found.requirements:
        raise AttestationError(item.name, "requires nothing", _OTHER)
    return {*found.requirements}


def _require_bytes(folder: Path, name: str, sha256: str) -> None:
    found = hash_inside(folder, name)
    if found != sha256:
        raise AttestationError(folder / name, f"SHA-256: expected {sha256} as attested, got {found}", _OTHER)


def _require_unique(where: str, names: Iterable[str]) -> None:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise AttestationError(where, f"{twice} is named twice", _DENIED)
