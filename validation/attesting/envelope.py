"""The DSSE envelope: a payload, its type and one Ed25519 signature over both."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, Signature, SSlibKey

from pipeline.documents import Strict, parse_json
from pipeline.errors import InputError
from pipeline.store import Digest
from validation.attesting.errors import AttestationError
from validation.attesting.keys import compute_fingerprint
from validation.attesting.reading import read_small

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_BYTES = 1 << 20
SIGNATURE_BYTES = 64

_ANOTHER = "ask the signer for the attestation itself"


class SignatureDocument(Strict):
    """A signature and the fingerprint of the key that made it."""

    keyid: Digest
    sig: str


class EnvelopeDocument(Strict):
    """All of `attestation.json`; payload and signature are standard base64."""

    payload_type: Annotated[str, Field(alias="payloadType")]
    payload: str
    signatures: list[SignatureDocument]


def seal(payload: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return the envelope of a payload, signed; the same payload and key give the same bytes.

    Raises:
        AttestationError: the envelope would be larger than a verifier reads.
    """
    public = _describe_key(key.public_key())
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(key, public))
    text = json.dumps(envelope.to_dict(), indent=2, sort_keys=True) + "\n"
    if len(text) > MAX_BYTES:
        message = f"expected at most {MAX_BYTES} bytes, would be {len(text)}"
        raise AttestationError(PAYLOAD_TYPE, message, "look for a name in the stores that is no name")
    return text.encode()


def open_envelope(path: Path, key: Ed25519PublicKey) -> bytes:
    """Return the payload of an envelope, once the one signature on it is the pinned key's.

    Raises:
        AttestationError: the file is too large, malformed, of another type, or not signed by this key and it alone.
    """
    content = read_small(path, MAX_BYTES)
    try:
        document = parse_json(str(path), content.decode("utf-8"), EnvelopeDocument)
    except UnicodeDecodeError as error:
        raise AttestationError(path, f"not UTF-8 at byte {error.start}", _ANOTHER) from error
    except InputError as error:
        raise AttestationError(error.where, error.problem, _ANOTHER) from error
    payload, where = _decode(f"{path}: payload", document.payload), f"{path}: envelope"
    if document.payload_type != PAYLOAD_TYPE:
        message = f"payloadType: expected {PAYLOAD_TYPE}, got {document.payload_type!r}"
        raise AttestationError(where, message, _ANOTHER)
    if len(document.signatures) != 1:
        message = f"expected exactly one signature, got {len(document.signatures)}"
        raise AttestationError(where, message, _ANOTHER)
    _require_signature(path, payload, document.signatures[0], key)
    return payload


def _require_signature(path: Path, payload: bytes, signed: SignatureDocument, key: Ed25519PublicKey) -> None:
    expected, where = compute_fingerprint(key), f"{path}: signatures[0]"
    if signed.keyid != expected:
        raise AttestationError(where, f"expected key {expected}, got {signed.keyid}", "ask who signed it, and why")
    found = _decode(f"{where}.sig", signed.sig)
    if len(found) != SIGNATURE_BYTES:
        message = f"expected {SIGNATURE_BYTES} bytes of Ed25519, got {len(found)}"
        raise AttestationError(f"{where}.sig", message, _ANOTHER)
    envelope = Envelope(payload, PAYLOAD_TYPE, {expected: Signature(expected, found.hex())})
    try:
        envelope.verify([_describe_key(key)], 1)
    except UnverifiedSignatureError as error:
        message = f"is not that of key {expected}: something was changed after it was signed"
        raise AttestationError(where, message, _ANOTHER) from error


def _describe_key(key: Ed25519PublicKey) -> SSlibKey:
    return SSlibKey.from_crypto(key, keyid=compute_fingerprint(key))


def _decode(where: str, text: str) -> bytes:
    """Return what base64 stands for, where there is no other way to spell it."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AttestationError(where, "expected standard base64", _ANOTHER) from error
    if base64.b64encode(content).decode() != text:
        raise AttestationError(where, "expected base64 as it is written by all, got another spelling", _ANOTHER)
    return content
