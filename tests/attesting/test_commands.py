"""`attest` and `verify --attestation` from the command line: exit codes, one line, and nothing that acts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline.params import PROJECT_ROOT
from tests.attesting.bundles import COMMIT, MODEL_IDS, Bundle, write_bundle
from tests.attesting.tampering import VECTORS, change_file
from tests.bad_input import check_refusal
from validation.attesting.keys import compute_fingerprint, load_public_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Result


def list_options(bundle: Bundle) -> tuple[object, ...]:
    """Return the options with which a bundle is verified."""
    return (
        "verify", "--attestation", bundle.attestation, "--key", bundle.public, "--folder", bundle.root,
        "--policy", bundle.policy, "--log", bundle.log,
    )  # fmt: skip


def test_a_release_is_told(run_cli: Callable[..., Result], bundle: Bundle) -> None:
    """Verdict, key, files, models and commit are printed, and the exit code is 0."""
    result = run_cli("validation", *list_options(bundle))
    told = dict(line.split(maxsplit=1) for line in result.out.splitlines())

    assert (result.code, result.err) == (0, "")
    assert told["key"] == compute_fingerprint(load_public_key(bundle.public))
    assert told["verdict"].startswith("RELEASE, attempt 2")
    assert told["subjects"].startswith("8 files, ")
    assert (told["base"], told["qlora"]) == (MODEL_IDS["base"], MODEL_IDS["qlora"])
    assert told["requirements"] == "3 passed, 0 waived"
    assert told["commit"] == COMMIT


def test_what_does_not_hold_is_one_line(run_cli: Callable[..., Result], bundle: Bundle) -> None:
    """Exit code 30, nothing on standard output, and one line that says where, what and what to do."""
    change_file(VECTORS)(bundle)

    check_refusal(run_cli("validation", *list_options(bundle)), VECTORS, "as attested, got", "ask the signer")


def test_nothing_is_verified_without_a_key(run_cli: Callable[..., Result], bundle: Bundle) -> None:
    """No key is no reason to look away."""
    result = run_cli("validation", "verify", "--attestation", bundle.attestation, "--folder", bundle.root)

    check_refusal(result, "no key is trusted", "give --key")


@pytest.mark.parametrize(
    "options",
    [
        ("--attestation", "a.json", "v1.0-base"),
        ("--attestation", "a.json", "--fetch"),
        ("--key", "k.pem"),
        ("v1.0-base", "--folder", "x"),
        ("--policy", "p.yaml"),
        ("--log", "l.jsonl"),
    ],
    ids=" ".join,
)
def test_a_tag_and_an_attestation_do_not_mix(run_cli: Callable[..., Result], options: tuple[str, ...]) -> None:
    """What belongs to the one is wrong usage with the other."""
    result = run_cli("validation", "verify", *options)

    assert (result.code, result.out) == (2, "")
    assert "--attestation" in result.err


def test_the_verifier_trusts_its_own_policy(run_cli: Callable[..., Result], bundle: Bundle) -> None:
    """Where no policy is named it is this project's, and not the one that lies with the attestation."""
    options = list_options(bundle)
    place = options.index("--policy")
    result = run_cli("validation", *options[:place], *options[place + 2 :])

    check_refusal(result, f"of {PROJECT_ROOT / 'expectations' / 'policy.yaml'}")


def test_a_decision_is_attested(
    run_cli: Callable[..., Result], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`attest` writes the envelope and says where; no word of the key is in what it says."""
    monkeypatch.setattr("validation.attesting.attestation.PROJECT_ROOT", bundle.root)
    bundle.attestation.unlink()
    result = run_cli(
        "validation",
        "attest",
        "--key",
        bundle.private,
        "--decision",
        bundle.decision,
        "--output",
        bundle.root / "reports",
    )
    secret = bundle.private.read_text("utf-8").splitlines()[1]

    assert (result.code, result.out, result.err) == (0, f"{bundle.attestation}\n", "")
    assert secret not in bundle.attestation.read_text("utf-8")
    assert bundle.verify()


def test_a_key_that_cannot_be_used_is_one_line(run_cli: Callable[..., Result], bundle: Bundle) -> None:
    """The public key instead of the private one, or a decision of another project: one line, exit code 30."""
    bundle.public.chmod(0o600)
    check_refusal(run_cli("validation", "attest", "--key", bundle.public), "no unencrypted private key")
    check_refusal(
        run_cli("validation", "attest", "--key", bundle.private, "--decision", bundle.decision),
        "expected a decision in",
    )


def test_no_terminal_obeys_a_name(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    """Control characters and changes of direction in a model's name are written out, and a long name is cut."""
    bundle = write_bundle(tmp_path / "all", {"base": "\x1b[2J\u202eabc\n", "qlora": "<b>" + "x" * 5000})
    result = run_cli("validation", *list_options(bundle))

    assert result.code == 0
    assert {"\x1b", "\u202e"} & {*result.out} == set()
    assert "\\x1b[2J\\u202eabc\\n" in result.out
    assert max(map(len, result.out.splitlines())) < 200


def test_nothing_hostile_in_an_envelope_is_obeyed(run_cli: Callable[..., Result], bundle: Bundle) -> None:
    """What stands in a field that is refused is shown as text, and not at length."""
    bundle.change_envelope(lambda envelope: envelope.update({"\x1b[31m" + "y" * 100_000: 1}))
    result = run_cli("validation", *list_options(bundle))

    check_refusal(result, "Extra inputs")
    assert "\x1b" not in result.err
    assert len(result.err) < 1500


@pytest.mark.parametrize("flags", [[], ["-O"]], ids=["plain", "-O"])
def test_optimisation_denies_the_same(bundle: Bundle, flags: list[str]) -> None:
    """`python -O` verifies what holds and denies what does not."""
    command = [sys.executable, *flags, "-m", "validation", *map(str, list_options(bundle))]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    held = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)
    bundle.change_envelope(lambda envelope: envelope.update(signatures=[]))
    denied = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)

    assert (held.returncode, denied.returncode) == (0, 30)
    assert json.dumps(COMMIT)[1:-1] in held.stdout
    assert denied.stdout == ""
