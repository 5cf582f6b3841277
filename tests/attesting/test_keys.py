"""Keys: both or neither, never overwritten, never in a working tree, and the private one is shown nowhere."""

from __future__ import annotations

import hashlib
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from pipeline.params import PROJECT_ROOT
from tests.bad_input import list_scraps, run_limited
from validation.attesting.errors import AttestationError
from validation.attesting.keys import (
    MAX_KEY_BYTES,
    PRIVATE_KEY,
    PUBLIC_KEY,
    compute_fingerprint,
    load_private_key,
    load_public_key,
    make_key_pair,
    write_public_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Result

OTHERS = {
    "encrypted": Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    ),
    "another curve": generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ),
    "junk": b"-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\n",
    "empty": b"",
    "too large": b"-" * (MAX_KEY_BYTES + 1),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a pair of keys."""
    make_key_pair(tmp_path / "keys")
    return tmp_path / "keys"


def test_a_pair_is_made(tmp_path: Path) -> None:
    """Private key as PKCS#8 for its owner alone, public key as SPKI, and a fingerprint that anybody can compute."""
    folder = tmp_path / "deep" / "keys"
    fingerprint = make_key_pair(folder)
    private = load_pem_private_key((folder / PRIVATE_KEY).read_bytes(), None)
    public = load_pem_public_key((folder / PUBLIC_KEY).read_bytes())
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    assert isinstance(private, Ed25519PrivateKey)
    assert private.public_key() == public == load_der_public_key(der)
    assert fingerprint == hashlib.sha256(der).hexdigest()
    assert (folder / PRIVATE_KEY).read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert (folder / PUBLIC_KEY).read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----\n")
    assert stat.S_IMODE((folder / PRIVATE_KEY).stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == [PRIVATE_KEY, PUBLIC_KEY]
    assert list_scraps(tmp_path) == []


def test_two_pairs_differ(tmp_path: Path) -> None:
    """Every pair is a new one."""
    assert make_key_pair(tmp_path / "a") != make_key_pair(tmp_path / "b")


@pytest.mark.parametrize("taken", ["a pair", "one file", "a file instead"])
def test_a_key_is_never_overwritten(tmp_path: Path, taken: str) -> None:
    """Where anything is already, nothing is written and what is there stays."""
    target = tmp_path / "keys"
    if taken == "a pair":
        make_key_pair(target)
    elif taken == "one file":
        target.mkdir()
        (target / "notes.txt").write_text("mine", "utf-8")
    else:
        target.write_text("mine", "utf-8")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(AttestationError, match="never overwritten"):
        make_key_pair(target)

    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert list_scraps(tmp_path) == []


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    """A folder that was made for the keys beforehand is as good as none."""
    (tmp_path / "keys").mkdir()
    make_key_pair(tmp_path / "keys")

    assert load_private_key(tmp_path / "keys" / PRIVATE_KEY)


@pytest.mark.parametrize("place", ["project", "repository", "worktree", "link"])
def test_no_key_is_made_in_a_working_tree(tmp_path: Path, place: str) -> None:
    """Neither in this project nor in any Git working tree, wherever links lead."""
    tree = tmp_path / "tree"
    if place == "project":
        target = PROJECT_ROOT / "build" / "keys"
    else:
        subprocess.run(["git", "init", "--quiet", str(tree)], check=True)
        target = tree / "deep" / "keys"
    if place == "worktree":
        (tree / ".git").rename(tmp_path / "elsewhere")
        (tree / ".git").write_text(f"gitdir: {tmp_path / 'elsewhere'}\n", "utf-8")
    if place == "link":
        (tmp_path / "innocent").symlink_to(tree)
        target = tmp_path / "innocent" / "keys"
    with pytest.raises(AttestationError, match="lies in the working tree"):
        make_key_pair(target)

    assert not target.exists()
    assert not (tree / "deep").exists()


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """Where the keys cannot be written there is one line, and neither key nor folder."""
    result = run_limited(64, "validation", "keygen", tmp_path / "keys")

    assert (result.code, result.out, result.err.count("\n")) == (30, "", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_key_in_a_working_tree_is_not_used(folder: Path) -> None:
    """A key that was moved into a working tree signs nothing."""
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    with pytest.raises(AttestationError, match="lies in the working tree"):
        load_private_key(folder / PRIVATE_KEY)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
def test_a_key_that_others_can_read_is_not_used(folder: Path, mode: int) -> None:
    """Mode 600 or stricter, or it is refused."""
    (folder / PRIVATE_KEY).chmod(mode)
    with pytest.raises(AttestationError, match=f"expected mode 600, got {mode:o}"):
        load_private_key(folder / PRIVATE_KEY)


@pytest.mark.parametrize("name", OTHERS)
def test_no_other_private_key_is_used(folder: Path, name: str) -> None:
    """Encrypted, of another kind, or none: refused, and nothing of the file is shown."""
    (folder / PRIVATE_KEY).write_bytes(OTHERS[name])
    with pytest.raises(AttestationError) as refusal:
        load_private_key(folder / PRIVATE_KEY)

    told = str(refusal.value)
    assert "expected" in told or "holds no unencrypted private key" in told
    assert [line for line in OTHERS[name].decode().splitlines() if len(line) > 5 and line in told] == []


def test_a_private_key_is_no_public_key(folder: Path) -> None:
    """Who names the private key where the public one is meant is told so, without a word of the key."""
    with pytest.raises(AttestationError, match="is a private key") as refusal:
        load_public_key(folder / PRIVATE_KEY)

    assert (folder / PRIVATE_KEY).read_text("utf-8").splitlines()[1] not in str(refusal.value)


@pytest.mark.parametrize("extra", [b"x", b"\n-----BEGIN PUBLIC KEY-----\nMC\n-----END PUBLIC KEY-----\n"])
def test_a_public_key_stands_alone(folder: Path, extra: bytes) -> None:
    """A file with anything beside the key is refused: which one would be trusted?"""
    path = folder / PUBLIC_KEY
    path.write_bytes(path.read_bytes() + extra)
    with pytest.raises(AttestationError, match="one key and nothing else"):
        load_public_key(path)


def test_a_public_key_of_another_system_is_read(folder: Path) -> None:
    """Line ends of another system change no key."""
    path = folder / PUBLIC_KEY
    key = load_public_key(path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert load_public_key(path) == key


def test_the_public_key_is_written_from_the_private(folder: Path, tmp_path: Path) -> None:
    """It is the same file that was made with the private one."""
    write_public_key(folder / PRIVATE_KEY, tmp_path / "audit" / "key.pem")

    assert (tmp_path / "audit" / "key.pem").read_bytes() == (folder / PUBLIC_KEY).read_bytes()


def test_the_command_shows_no_private_key(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    """`keygen` says fingerprint and places, and nothing of the private key."""
    result = run_cli("validation", "keygen", tmp_path / "keys")
    secret = (tmp_path / "keys" / PRIVATE_KEY).read_text("utf-8").splitlines()[1]
    fingerprint = compute_fingerprint(load_public_key(tmp_path / "keys" / PUBLIC_KEY))

    assert (result.code, result.err) == (0, "")
    assert fingerprint in result.out
    assert secret not in result.out

    again = run_cli("validation", "keygen", tmp_path / "keys")

    assert (again.code, again.out, again.err.count("\n")) == (30, "", 1)
    assert secret not in again.err
