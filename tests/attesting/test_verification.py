"""Verifying denies whatever is not shown, and says what."""

from __future__ import annotations

import shutil
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import EXIT_NOT_DONE
from pipeline.files import compute_sha256
from tests.attesting.bundles import COMMIT, REQUIREMENTS, TEXTS, make_requirement
from tests.attesting.tampering import TAMPERED
from tests.records import make_check
from validation.attesting.errors import AttestationError
from validation.document import Record
from validation.outcomes import Outcome, Verdict

if TYPE_CHECKING:
    from tests.attesting.bundles import Bundle


def test_what_was_released_holds(bundle: Bundle) -> None:
    """An attestation of a release, with the files that were judged, holds and says what was judged."""
    statement = bundle.verify()

    assert statement.predicate.judgement.verdict is Verdict.RELEASE
    assert (statement.predicate.judgement.commit, statement.predicate.judgement.attempt) == (COMMIT, 2)
    assert statement.predicate.passed_tests == sorted(REQUIREMENTS)
    assert len(statement.subject) == 8


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_tampered_with_is_denied(bundle: Bundle, name: str) -> None:
    """Each is refused with exit code 30, in one line that says what is wrong."""
    tamper, said = TAMPERED[name]
    tamper(bundle)
    with pytest.raises(AttestationError) as refusal:
        bundle.verify()

    assert said in str(refusal.value)
    assert refusal.value.exit_code == EXIT_NOT_DONE
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 1000


def test_a_huge_envelope_is_not_read(bundle: Bundle) -> None:
    """A terabyte of nothing is refused by its size, before a byte of it is read."""
    with bundle.attestation.open("wb") as stream:
        stream.truncate(1 << 40)
    tracemalloc.start()
    try:
        with pytest.raises(AttestationError, match=f"expected at most {1 << 20} bytes, got {1 << 40}"):
            bundle.verify()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 10_000_000


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_envelope(bundle: Bundle, device: str) -> None:
    """What never ends, or is never there, is not read."""
    bundle.attestation.unlink()
    bundle.attestation.symlink_to(device)
    with pytest.raises(AttestationError, match="expected a regular file"):
        bundle.verify()


def test_a_waived_requirement_is_a_warning(bundle: Bundle) -> None:
    """A requirement that somebody answers for is attested as warned, and the release holds."""
    record = Record.model_validate_json(bundle.decision.read_bytes())
    outcomes = (Outcome.WAIVED, Outcome.PASS, Outcome.PASS)
    checks = [
        make_check("CHK101", outcome, requirements=[name])
        for name, outcome in zip(record.requirements, outcomes, strict=True)
    ]
    bundle.change_decision(checks=checks)
    predicate = bundle.verify().predicate

    assert (predicate.result, predicate.warned_tests) == ("WARNED", [REQUIREMENTS[0]])
    assert len(predicate.passed_tests) == 2


def test_a_release_holds_after_it_was_made(bundle: Bundle) -> None:
    """The event of the attested decision itself, and what follows from it, supersede nothing."""
    bundle.log_gated(compute_sha256(bundle.decision), Verdict.RELEASE)

    assert bundle.verify().predicate.judgement.attempt == 2


def test_a_part_of_the_configuration_is_enough(bundle: Bundle) -> None:
    """An auditor who was given stores and requirements alone can verify them."""
    for name, path in TEXTS.items():
        if name != "requirements":
            (bundle.root / path).unlink()
    bundle.decision.unlink()

    assert len(bundle.verify().subject) == 8


def test_the_first_release_needs_a_log_too(bundle: Bundle) -> None:
    """Where nothing was ever decided there is no log to attest; the verifier's empty one is what it goes on from."""
    record = Record.model_validate_json(bundle.decision.read_bytes())
    inputs = {name: each for name, each in record.inputs.items() if name != "log"}
    bundle.change_decision(inputs=inputs, attempt=1)
    bundle.log.write_bytes(b"")

    assert bundle.verify().predicate.judgement.attempt == 1

    bundle.log.unlink()
    with pytest.raises(AttestationError, match="does not exist"):
        bundle.verify()


def test_nothing_is_required(bundle: Bundle) -> None:
    """A file of requirements that requires nothing is met by nothing."""
    path = bundle.root / TEXTS["requirements"]
    path.write_text("requirements: {}\n", "utf-8")
    record = Record.model_validate_json(bundle.decision.read_bytes())
    inputs = record.inputs | {
        "requirements": record.inputs["requirements"].model_copy(update={"sha256": compute_sha256(path)})
    }
    bundle.change_decision(inputs=inputs, requirements={}, checks=[])
    with pytest.raises(AttestationError, match="requires nothing"):
        bundle.verify()


def test_a_requirement_without_a_check_is_not_met(bundle: Bundle) -> None:
    """What no check serves is attested as failed."""
    record = Record.model_validate_json(bundle.decision.read_bytes())
    more = {**record.requirements, "REQ-ODD-01": make_requirement("REQ-ODD-01")}
    bundle.change_decision(requirements=more)
    with pytest.raises(AttestationError, match="got REQ-ODD-01"):
        bundle.verify()


def test_a_link_inside_the_folder_is_no_file(bundle: Bundle) -> None:
    """A subject is the file itself, even where a link leads to the right bytes beside it."""
    path = bundle.root / "build" / "qlora" / "fr" / "corpus_mode_b_fr.db"
    shutil.copy(path, path.with_suffix(".copy"))
    path.unlink()
    path.symlink_to(path.with_suffix(".copy"))
    with pytest.raises(AttestationError, match="cannot be opened"):
        bundle.verify()
