"""Ed25519 keys: a pair is made outside of every project, and what a key file holds is never shown."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from pipeline.files import replace_file
from pipeline.params import PROJECT_ROOT
from validation.attesting.errors import AttestationError
from validation.attesting.reading import read_small, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIVATE_KEY = "attestation-key.pem"
PUBLIC_KEY = "attestation-key.pub.pem"
MAX_KEY_BYTES = 4096

_MODES = {PRIVATE_KEY: 0o600, PUBLIC_KEY: 0o644}
# Of a rename onto anything but an empty folder.
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
_MAKE = "make a pair with `python -m validation keygen`"


def make_key_pair(folder: Path) -> str:
    """Make a pair of keys in a new folder, both or neither, and return its fingerprint.

    Raises:
        AttestationError: the folder lies in this project or a Git working tree, or something is there already.
    """
    require_outside(folder)
    target, key = resolve(folder), Ed25519PrivateKey.generate()
    target.parent.mkdir(parents=True, exist_ok=True)
    public = key.public_key()
    pair = {
        PRIVATE_KEY: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        PUBLIC_KEY: encode_public_key(public),
    }
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        _write_pair(partial, pair)
        partial.rename(target)
        _flush(target.parent)
    except OSError as error:
        if error.errno in _TAKEN:
            problem = "expected nothing there; a key is never overwritten"
            raise AttestationError(target, problem, "name a new folder") from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return compute_fingerprint(public)


def _write_pair(folder: Path, pair: Mapping[str, bytes]) -> None:
    for name, content in pair.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODES[name])
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(descriptor, _MODES[name])
            os.fsync(descriptor)
    _flush(folder)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_outside(path: Path) -> None:
    """Raise `AttestationError` where a path, links resolved, lies in this project or in a Git working tree."""
    target = resolve(path)
    for folder in (target, *target.parents):
        if folder == PROJECT_ROOT.resolve() or (folder / ".git").exists():
            message = f"lies in the working tree {folder}, from where a private key may be published"
            raise AttestationError(path, message, "keep it elsewhere, such as below your home folder")


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key that its owner alone can read and that lies outside of every working tree.

    Raises:
        AttestationError: it is missing, open to others, in a working tree, or no unencrypted Ed25519 key in PEM.
    """
    require_outside(path)
    content = read_small(path, MAX_KEY_BYTES)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise AttestationError(path, f"expected mode 600, got {mode:o}: others can read it", f"run `chmod 600 {path}`")
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # What the library says might quote what it read.
        raise AttestationError(path, "holds no unencrypted private key in PEM", _MAKE) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AttestationError(path, "expected an Ed25519 key, got another kind", _MAKE)
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key: one Ed25519 key in PEM and nothing else.

    Raises:
        AttestationError: it is missing or anything else, such as the private key.
    """
    content = read_small(path, MAX_KEY_BYTES).replace(b"\r\n", b"\n").strip()
    if b"PRIVATE" in content:
        raise AttestationError(path, "is a private key, expected the public one", f"name {PUBLIC_KEY}")
    try:
        key = load_pem_public_key(content)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise AttestationError(path, "holds no public key in PEM", "ask the signer for it") from error
    if not isinstance(key, Ed25519PublicKey):
        raise AttestationError(path, "expected an Ed25519 key, got another kind", "ask the signer for it")
    if encode_public_key(key).strip() != content:
        raise AttestationError(path, "expected one key and nothing else", "ask the signer for it")
    return key


def write_public_key(private: Path, path: Path) -> None:
    """Write the public key that belongs to a private one. Raises `AttestationError` like `load_private_key`."""
    content = encode_public_key(load_private_key(private).public_key())
    with replace_file(path) as partial:
        partial.write_bytes(content)


def encode_public_key(key: Ed25519PublicKey) -> bytes:
    """Return a public key as SPKI in PEM, as `openssl` reads it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def compute_fingerprint(key: Ed25519PublicKey) -> str:
    """Return the SHA-256 of a public key's SPKI in DER, by which people and envelopes name it."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
