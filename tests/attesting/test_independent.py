"""Two verifiers that share no code say the same of every bundle."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.files import compute_sha256
from tests.attesting import independent
from tests.attesting.tampering import TAMPERED
from validation.outcomes import Verdict

if TYPE_CHECKING:
    from tests.attesting.bundles import Bundle

EVERY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# What JSON takes for the same: these change no meaning.
BLANKS = {" ", "\t", "\n", "\r"}


def list_imports(path: Path) -> set[str]:
    """Return the first part of the name of every module that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in named}


def holds(bundle: Bundle) -> bool:
    """Whether a bundle holds; both verifiers must say so."""
    try:
        bundle.verify()
    except PipelineError:
        first = False
    else:
        first = True
    denial = bundle.find_denial()

    assert first is (denial is None), denial
    return first


def test_the_second_verifier_shares_no_code() -> None:
    """It imports the standard library and `cryptography`, and nothing of this project."""
    imported = list_imports(Path(independent.__file__))

    assert imported - sys.stdlib_module_names == {"cryptography"}


def test_both_accept_what_holds(bundle: Bundle) -> None:
    """Before and after the decision was acted upon."""
    assert holds(bundle)

    bundle.log_gated(compute_sha256(bundle.decision), Verdict.RELEASE)

    assert holds(bundle)


@pytest.mark.parametrize("name", TAMPERED)
def test_both_deny_what_was_tampered_with(bundle: Bundle, name: str) -> None:
    """Neither lets pass what the other denies."""
    TAMPERED[name][0](bundle)

    assert not holds(bundle)


@EVERY
@given(st.data())
def test_both_agree_on_a_changed_byte(template: Bundle, data: st.DataObject) -> None:
    """A byte of the envelope that is another one is denied, blanks between its parts apart."""
    content = template.attestation.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != content[place]))
    changed = content[:place] + bytes([byte]) + content[place + 1 :]
    try:
        template.attestation.write_bytes(changed)
        accepted = holds(template)
    finally:
        template.attestation.write_bytes(content)

    assert not accepted or {chr(content[place]), chr(byte)} <= BLANKS


@EVERY
@given(st.data())
def test_both_agree_on_a_changed_field(template: Bundle, data: st.DataObject) -> None:
    """A field of the envelope that says something else is denied."""
    content = template.attestation.read_bytes()
    envelope: dict[str, Any] = json.loads(content)
    target = data.draw(st.sampled_from([envelope, envelope["signatures"][0]]))
    field = data.draw(st.sampled_from(sorted(target)) | st.text(max_size=5))
    before = target.get(field)
    scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
    target[field] = data.draw((scalars | st.lists(scalars, max_size=3)).filter(lambda value: value != before))
    try:
        template.attestation.write_text(json.dumps(envelope), "utf-8")
        accepted = holds(template)
    finally:
        template.attestation.write_bytes(content)

    assert not accepted


@EVERY
@given(st.data())
def test_both_agree_on_a_changed_statement(template: Bundle, data: st.DataObject) -> None:
    """Whatever its signer put into a field, one verifier denies it where the other does."""
    content = template.attestation.read_bytes()
    statement = json.loads(template.read_payload())
    target: Any = statement
    for _ in range(data.draw(st.integers(1, 5))):
        if not isinstance(target, dict | list) or not target:
            break
        parent = target
        place = data.draw(st.sampled_from(sorted(parent) if isinstance(parent, dict) else range(len(parent))))
        target = parent[place]
    parent[place] = data.draw(st.sampled_from(["", "KEEP", "0" * 64, "../x", -1, 2.5, None, [], {}]))
    try:
        template.sign(json.dumps(statement).encode())
        holds(template)
    finally:
        template.attestation.write_bytes(content)
