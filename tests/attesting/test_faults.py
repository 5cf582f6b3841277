"""Faults of evidence that is signed: each is denied by both verifiers, for the reason that is named."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from pipeline.files import compute_sha256
from tests.attesting.tampering import DATABASE, TAMPERED, VECTORS, change_file
from validation.attesting.errors import AttestationError
from validation.outcomes import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.attesting.bundles import Bundle


def expect_denial(bundle: Bundle, said: str) -> None:
    """Assert that both verifiers deny, and ours for this reason."""
    with pytest.raises(AttestationError) as refusal:
        bundle.verify()

    assert said in str(refusal.value)
    assert refusal.value.exit_code == 30
    assert bundle.find_denial() is not None


@pytest.mark.parametrize("path", [VECTORS, DATABASE])
def test_f1_attestation_of_other_bytes(bundle: Bundle, path: str) -> None:
    """F1: a store that is not the one that was judged, by a single bit, is not what was attested."""
    change_file(path)(bundle)

    expect_denial(bundle, f"{path}: SHA-256: expected {compute_other(bundle, path)} as attested")


def compute_other(bundle: Bundle, path: str) -> str:
    """Return what is attested of a file."""
    attested = bundle.read_payload().decode()
    subject = attested[: attested.index(f'"name":"{path}"')]
    return subject[subject.rindex('"sha256":"') + 10 :][:64]


@pytest.mark.parametrize("name", ["signature of another key", "signature of another key under our name"])
def test_f2_good_signature_of_the_wrong_key(bundle: Bundle, name: str) -> None:
    """F2: whoever signed, and under whatever name, only the key that is pinned counts."""
    TAMPERED[name][0](bundle)

    expect_denial(bundle, TAMPERED[name][1])


def test_f3_a_failed_attestation_deleted(bundle: Bundle, tmp_path: Path) -> None:
    """F3: without the attestation of a failure nothing passes: a passing one is needed, and an older one is no help."""
    passing = bundle.attestation.read_bytes()
    released = bundle.decision.read_bytes()
    bundle.change_decision(decision=Verdict.KEEP, exit_code=Verdict.KEEP.exit_code)
    bundle.log_gated(compute_sha256(bundle.decision))
    expect_denial(bundle, "expected PASSED, got FAILED")

    bundle.attestation.rename(tmp_path / "hidden.json")
    expect_denial(bundle, "cannot be opened")

    bundle.attestation.write_bytes(passing)
    bundle.decision.write_bytes(released)
    expect_denial(bundle, "a newer decision, KEEP of")


def test_f4_old_pass_under_a_new_policy(bundle: Bundle) -> None:
    """F4: what passed by an older policy has not passed by the one that the verifier holds."""
    before = compute_sha256(bundle.policy)
    TAMPERED["another policy"][0](bundle)

    expect_denial(bundle, f"policy: expected {compute_sha256(bundle.policy)} of {bundle.policy}, got {before}")


@pytest.mark.parametrize("name", ["predicate is of another type", "statement is of another type"])
def test_f5_unknown_predicate(bundle: Bundle, name: str) -> None:
    """F5: a statement of another type is not read as if it were of this one."""
    TAMPERED[name][0](bundle)

    expect_denial(bundle, TAMPERED[name][1])


@pytest.mark.parametrize("name", ["subject by MD5", "subject by MD5 as well"])
def test_f6_subject_by_md5_only(bundle: Bundle, name: str) -> None:
    """F6: MD5 is an address and no digest, neither alone nor beside SHA-256."""
    TAMPERED[name][0](bundle)

    expect_denial(bundle, TAMPERED[name][1])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('{"_type":', '{"_type":"x","_type":', id="type"),
        pytest.param('"result":"PASSED"', '"result":"FAILED","result":"PASSED"', id="result"),
        pytest.param('{"sha256":', '{"sha256":"0","sha256":', id="digest"),
    ],
)
def test_f7_duplicate_keys(bundle: Bundle, old: str, new: str) -> None:
    """F7: a field that is told twice says two things, so that even its signer is not believed."""
    bundle.sign(bundle.read_payload().replace(old.encode(), new.encode(), 1))

    expect_denial(bundle, "duplicate key")


def test_f7_duplicate_keys_of_the_envelope(bundle: Bundle) -> None:
    """F7: nor does an envelope carry two payloads."""
    text = bundle.attestation.read_text("utf-8")
    other = base64.b64encode(b"{}").decode()
    bundle.attestation.write_text(text.replace('"payload":', f'"payload": "{other}", "payload":', 1), "utf-8")

    expect_denial(bundle, "duplicate key")


@pytest.mark.parametrize("how", ["cut", "cut at its end", "swapped", "edited"])
def test_f8_log_cut_swapped_or_edited(bundle: Bundle, how: str) -> None:
    """F8: a log whose chain is broken, or that ends before the one that was judged, shows nothing to be current."""
    tamper, said = TAMPERED[f"log was {how}"]
    tamper(bundle)

    expect_denial(bundle, said)


@pytest.mark.parametrize("name", ["key is missing", "key is empty", "key is of another kind", "no signature"])
def test_f9_no_trust_root(bundle: Bundle, name: str) -> None:
    """F9: without a key, or without a signature, nothing is skipped and nothing is believed."""
    TAMPERED[name][0](bundle)

    expect_denial(bundle, TAMPERED[name][1])


@pytest.mark.parametrize("name", ["one signature twice", "a foreign signature beside it"])
def test_f11_one_key_signs_twice(bundle: Bundle, name: str) -> None:
    """F11: one key is one signature, however often it stands there, and nobody else's stands beside it."""
    TAMPERED[name][0](bundle)

    expect_denial(bundle, TAMPERED[name][1])
