"""The commands of attesting, `keygen` and `attest`, and what `verify` says of an attestation."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.params import PROJECT_ROOT, REPORTS
from validation.attesting.attestation import write_attestation
from validation.attesting.errors import AttestationError
from validation.attesting.keys import PRIVATE_KEY, PUBLIC_KEY, compute_fingerprint, load_public_key, make_key_pair
from validation.attesting.verification import verify_attestation
from validation.policy import EXPECTATIONS
from validation.record import DECISION
from validation.releasing.events import LOG
from validation.render import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validation.attesting.statement import Statement

SHOWN = 60


def keygen(
    folder: Annotated[Path, typer.Argument(help="A new folder outside of every working tree, such as ~/gate-keys.")],
) -> None:
    """Make a pair of Ed25519 keys: attestation-key.pem stays secret, attestation-key.pub.pem is for those who verify.

    Both appear together or not at all, and nothing is ever overwritten. The fingerprint is the SHA-256 of the public
    key's SPKI in DER; give it to those who verify by another way than the attestation.
    """
    fingerprint = make_key_pair(folder)
    _tell({"fingerprint": fingerprint, "private": str(folder / PRIVATE_KEY), "public": str(folder / PUBLIC_KEY)})


def attest(
    key: Annotated[Path, typer.Option(help="Private key, made by `keygen`.")],
    decision: Annotated[Path, typer.Option(help="The decision to attest.")] = REPORTS / DECISION,
    output: Annotated[Path, typer.Option(help="Folder of attestation.json.")] = REPORTS,
) -> None:
    """Sign what was decided, and on which bytes: an in-toto statement in a DSSE envelope, attestation.json.

    Every verdict can be attested; only a release will be verified. Every file that the decision names must still be as
    it was judged.
    """
    typer.echo(write_attestation(decision, key, output, datetime.now(UTC)))


def tell_verified(
    attestation: Path, key: Path | None, folder: Path | None, policy: Path | None, log: Path | None
) -> None:
    """Verify an attestation and say what is attested; what is not given is this project's, the key apart.

    Raises:
        AttestationError: there is no key, or something does not hold.
    """
    if key is None:
        raise AttestationError(attestation, "no key is trusted, so nothing can be verified", "give --key")
    policy, log = policy or EXPECTATIONS / "policy.yaml", log or PROJECT_ROOT / LOG
    statement = verify_attestation(attestation, key, folder or PROJECT_ROOT, policy, log)
    _tell({"key": compute_fingerprint(load_public_key(key)), **dict(_describe(statement))})


def _describe(statement: Statement) -> Iterator[tuple[str, str]]:
    predicate, judgement = statement.predicate, statement.predicate.judgement
    size = sum(subject.annotations.size for subject in statement.subject)
    yield "verdict", f"{judgement.verdict}, attempt {judgement.attempt}, attested on {judgement.finished_on}"
    yield "subjects", f"{len(statement.subject)} files, {size:,} bytes, SHA-256 equal"
    for role in dict.fromkeys(subject.annotations.role for subject in statement.subject):
        names = (told.model_id for told in (subject.annotations for subject in statement.subject) if told.role == role)
        yield role, ", ".join(name[:SHOWN] for name in dict.fromkeys(names))
    yield "requirements", f"{len(predicate.passed_tests)} passed, {len(predicate.warned_tests)} waived"
    yield "commit", judgement.commit or "none"


def _tell(told: dict[str, str]) -> None:
    for what, found in told.items():
        typer.echo(f"{what:<12} {quote(found).plain}")
