"""Everything that is done to a bundle so that it must be denied: by anybody, and by who has the private key."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pipeline.files import compute_sha256
from tests.attesting.bundles import TEXTS, Bundle
from validation.attesting.envelope import seal
from validation.outcomes import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    Tamper = Callable[[Bundle], object]

VECTORS, DATABASE = "build/qlora/fr/embeddings_mode_b_fr.npy", "build/base/intl/corpus_mode_b_intl.db"
OTHER = "0" * 64


def edit_signed(*path: str | int, **values: Any) -> Tamper:
    """Set fields of an object in the statement, and sign it again."""

    def edit(statement: dict[str, Any]) -> None:
        find(statement, *path).update(values)

    return lambda bundle: bundle.sign_again(edit)


def find(document: Any, *path: str | int) -> Any:
    """Return what a path leads to in a document."""
    for step in path:
        document = document[step]
    return document


def edit_envelope(**values: Any) -> Tamper:
    """Set fields of the envelope, which is not signed itself."""
    return lambda bundle: bundle.change_envelope(lambda envelope: envelope.update(values))


def edit_payload(old: str, new: str) -> Tamper:
    """Replace text in the payload and keep the signature."""

    def tamper(bundle: Bundle) -> None:
        payload = bundle.read_payload().replace(old.encode(), new.encode())
        assert payload != bundle.read_payload()
        bundle.change_envelope(lambda envelope: envelope.update(payload=base64.b64encode(payload).decode()))

    return tamper


def edit_signature(change: Callable[[dict[str, str]], list[dict[str, str]]]) -> Tamper:
    """Replace the one signature by others."""
    return lambda bundle: bundle.change_envelope(lambda e: e.update(signatures=change(e["signatures"][0])))


def respell(text: str) -> str:
    """Return other base64 of the same bytes: the last sign before the padding has bits that stand for nothing."""
    signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = f"{text[:-3]}{signs[signs.index(text[-3]) ^ 1]}=="
    assert base64.b64decode(other) == base64.b64decode(text)
    return other


def sign_text(change: Callable[[str], str]) -> Tamper:
    """Change the text of the statement, and sign that."""
    return lambda bundle: bundle.sign(change(bundle.read_payload().decode()).encode())


def write(path: str, content: bytes) -> Tamper:
    """Give a file of the project other bytes."""
    return lambda bundle: (bundle.root / path).write_bytes(content)


def change_file(path: str) -> Tamper:
    """Change the last byte of a file of the project."""

    def tamper(bundle: Bundle) -> None:
        content = (bundle.root / path).read_bytes()
        (bundle.root / path).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    return tamper


def remove(path: str) -> Tamper:
    """Remove a file of the project."""
    return lambda bundle: (bundle.root / path).unlink()


def link(path: str) -> Tamper:
    """Put a link to the right bytes in the place of a file."""

    def tamper(bundle: Bundle) -> None:
        (bundle.root / path).rename(bundle.folder / "elsewhere")
        (bundle.root / path).symlink_to(bundle.folder / "elsewhere")

    return tamper


def link_to_nothing(path: str) -> Tamper:
    """Put a link to nothing in the place of a file."""

    def tamper(bundle: Bundle) -> None:
        (bundle.root / path).unlink()
        (bundle.root / path).symlink_to(bundle.root / "nothing")

    return tamper


def circle(path: str) -> Tamper:
    """Put a link to itself in the place of a file."""

    def tamper(bundle: Bundle) -> None:
        (bundle.root / path).unlink()
        (bundle.root / path).symlink_to(bundle.root / path)

    return tamper


def make_folder(path: str) -> Tamper:
    """Put a folder in the place of a file."""

    def tamper(bundle: Bundle) -> None:
        (bundle.root / path).unlink()
        (bundle.root / path).mkdir()

    return tamper


def make_pipe(path: str) -> Tamper:
    """Put a pipe that nobody writes to in the place of a file."""

    def tamper(bundle: Bundle) -> None:
        (bundle.root / path).unlink()
        os.mkfifo(bundle.root / path)

    return tamper


def swap(one: str, other: str) -> Tamper:
    """Let two files of the project change places."""

    def tamper(bundle: Bundle) -> None:
        first, second = bundle.root / one, bundle.root / other
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)

    return tamper


def drop_subjects(word: str) -> Tamper:
    """Sign a statement without the subjects whose path has a word."""

    def edit(statement: dict[str, Any]) -> None:
        statement["subject"] = [each for each in statement["subject"] if word not in each["name"]]

    return lambda bundle: bundle.sign_again(edit)


def drop_input(name: str) -> Tamper:
    """Sign a statement without a file of the configuration."""

    def edit(statement: dict[str, Any]) -> None:
        items = statement["predicate"]["configuration"]
        statement["predicate"]["configuration"] = [each for each in items if each["annotations"]["input"] != name]

    return lambda bundle: bundle.sign_again(edit)


def repeat(*path: str | int) -> Tamper:
    """Sign a statement in which the first entry of a list stands twice."""
    return lambda bundle: bundle.sign_again(lambda statement: find(statement, *path).append(find(statement, *path)[0]))


def sign_with_another_key(bundle: Bundle) -> None:
    """Sign the same statement with a key that nobody trusts."""
    bundle.attestation.write_bytes(seal(bundle.read_payload(), Ed25519PrivateKey.generate()))


def claim_the_key(bundle: Bundle) -> None:
    """Sign with a key that nobody trusts, and name the trusted one."""
    name = bundle.read_envelope()["signatures"][0]["keyid"]
    sign_with_another_key(bundle)
    bundle.change_envelope(lambda envelope: envelope["signatures"][0].update(keyid=name))


def add_foreign_signature(bundle: Bundle) -> None:
    """Add the signature of another key to the good one."""
    envelope = json.loads(seal(bundle.read_payload(), Ed25519PrivateKey.generate()))
    bundle.change_envelope(lambda own: own["signatures"].append(envelope["signatures"][0]))


def use_curve(bundle: Bundle) -> None:
    """Trust a key of another kind."""
    key = generate_private_key(SECP256R1()).public_key()
    bundle.public.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def change_policy(bundle: Bundle) -> None:
    """Let the verifier hold a newer policy than was applied."""
    bundle.policy.write_text("# stricter\n", "utf-8")


def add_requirement(bundle: Bundle) -> None:
    """Require one thing more, in a file whose digest is attested, too."""
    path = bundle.root / TEXTS["requirements"]
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines, lines[-1].replace("REQ-TRC-01", "REQ-TRC-02", 1)]), "utf-8")
    bundle.sign_again(lambda statement: set_digest(statement, "requirements", compute_sha256(path)))


def set_digest(statement: dict[str, Any], name: str, sha256: str) -> None:
    """Set the digest of a file of the configuration."""
    for item in statement["predicate"]["configuration"]:
        if item["annotations"]["input"] == name:
            item["digest"]["sha256"] = sha256


def edit_log(change: Callable[[list[str]], list[str]]) -> Tamper:
    """Change the lines of the log that the verifier holds."""

    def tamper(bundle: Bundle) -> None:
        lines = bundle.log.read_text("utf-8").splitlines(keepends=True)
        bundle.log.write_text("".join(change(lines)), "utf-8")

    return tamper


def decide_again(bundle: Bundle) -> None:
    """Log the attested decision, and then another one."""
    bundle.log_gated(compute_sha256(bundle.decision), Verdict.RELEASE)
    bundle.log_gated("b" * 64)


def decide_otherwise(verdict: Verdict) -> Tamper:
    """Attest a decision that is no release."""
    return lambda bundle: bundle.change_decision(decision=verdict, exit_code=verdict.exit_code)


SIGNED = "is not that of key"
FAILING = {"result": "FAILED", "passedTests": ["REQ-STO-01", "REQ-TRC-01"], "failedTests": ["REQ-RET-01"]}
# Name: what is done, and what the refusal must say.
TAMPERED: dict[str, tuple[Tamper, str]] = {
    "envelope is missing": (lambda bundle: bundle.attestation.unlink(), "cannot be opened"),
    "envelope is empty": (lambda bundle: bundle.attestation.write_bytes(b""), "not valid JSON"),
    "envelope is too large": (lambda bundle: bundle.attestation.write_bytes(b" " * (1 << 20 | 1)), "at most 1048576"),
    "envelope is no UTF-8": (lambda bundle: bundle.attestation.write_bytes(b'{"payload": "\xff"}'), "not UTF-8"),
    "envelope is too deep": (lambda bundle: bundle.attestation.write_text("[" * 1000, "utf-8"), "JSON"),
    "envelope has another field": (edit_envelope(more=1), "Extra inputs"),
    "envelope has NaN": (edit_envelope(payload=float("nan")), "finite number"),
    "payload is of another type": (edit_envelope(payloadType="application/json"), "expected application/vnd.in-toto"),
    "payload is URL-safe base64": (
        lambda bundle: bundle.change_envelope(lambda e: e.update(payload=e["payload"][:-4] + "-_==")), "base64",
    ),
    "payload has a line break": (
        lambda bundle: bundle.change_envelope(lambda e: e.update(payload=e["payload"] + "\n")), "base64",
    ),
    "payload was changed": (edit_payload("RELEASE", "release"), SIGNED),
    "payload is another one's": (edit_envelope(payload=base64.b64encode(b"{}").decode()), SIGNED),
    "no signature": (edit_envelope(signatures=[]), "exactly one signature, got 0"),
    "one signature twice": (edit_signature(lambda one: [one, one]), "exactly one signature, got 2"),
    "a foreign signature beside it": (add_foreign_signature, "exactly one signature, got 2"),
    "signature of another key": (sign_with_another_key, "expected key"),
    "signature of another key under our name": (claim_the_key, SIGNED),
    "signature is spelt otherwise": (edit_signature(lambda one: [{**one, "sig": respell(one["sig"])}]), "spelling"),
    "signature is cut": (
        edit_signature(lambda one: [{**one, "sig": base64.b64encode(b"0" * 63).decode()}]), "64 bytes of Ed25519",
    ),
    "signature is zeros": (edit_signature(lambda one: [{**one, "sig": base64.b64encode(bytes(64)).decode()}]), SIGNED),
    "signature has another field": (edit_signature(lambda one: [{**one, "cert": "x"}]), "Extra inputs"),
    "key is missing": (lambda bundle: bundle.public.unlink(), "cannot be opened"),
    "key is empty": (lambda bundle: bundle.public.write_bytes(b""), "no public key"),
    "key is of another kind": (use_curve, "Ed25519"),
    "key of somebody else": (
        lambda bundle: bundle.public.write_bytes(
            Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        ),
        "expected key",
    ),
    "statement is of another type": (edit_signed(_type="https://in-toto.io/Statement/v0.1"), "_type"),
    "predicate is of another type": (edit_signed(predicateType="https://slsa.dev/provenance/v1"), "predicateType"),
    "statement has another field": (edit_signed(more=1), "more"),
    "key twice in the payload": (sign_text(lambda text: '{"_type":"x",' + text[1:]), "duplicate key"),
    "NaN in the payload": (sign_text(lambda text: text.replace('"attempt":2', '"attempt":NaN')), "finite number"),
    "payload is no JSON": (sign_text(lambda text: text[:-1]), "not valid JSON"),
    "payload is a list": (sign_text(lambda text: f"[{text}]"), "payload"),
    "no subject": (edit_signed(subject=[]), "subject"),
    "no corpus at all": (
        lambda bundle: (drop_input("fr/chunks")(bundle), drop_input("intl/chunks")(bundle)), "no corpus",
    ),
    "one role only": (drop_subjects("/base/"), "base/fr/database is missing"),
    "one corpus only": (drop_subjects("/intl/"), "base/intl/database is missing"),
    "no database": (drop_subjects(".db"), "base/fr/database is missing"),
    "a subject twice": (repeat("subject"), "is named twice"),
    "one file for two subjects": (
        edit_signed("subject", 0, name="build/qlora/fr/corpus_mode_b_fr.db"), "is named twice",
    ),
    "roles confused": (edit_signed("subject", 0, "annotations", role="qlora"), "is named twice"),
    "a subject of another role": (edit_signed("subject", 0, "annotations", role="other"), "role"),
    "a subject of another corpus": (edit_signed("subject", 0, "annotations", corpus="de"), "base/de/embeddings bel"),
    "subject by MD5": (edit_signed("subject", 0, digest={"md5": "0" * 32}), "sha256"),
    "subject by MD5 as well": (edit_signed("subject", 0, "digest", md5="0" * 32), "Extra inputs"),
    "subject outside": (edit_signed("subject", 0, name="../keys/attestation-key.pem"), "without `..`"),
    "subject with an absolute path": (edit_signed("subject", 0, name="/etc/passwd"), "relative path"),
    "subject with a line break in its path": (edit_signed("subject", 0, name="build/x\ny.npy"), "relative path"),
    "subject with a path of another system": (edit_signed("subject", 0, name="build\\x.npy"), "on every system"),
    "subject on a drive": (edit_signed("subject", 0, name="c:x.npy"), "on every system"),
    "subject with a path told otherwise": (edit_signed("subject", 0, name="build//x.npy"), "relative path"),
    "subject with other bytes": (edit_signed("subject", 0, "digest", sha256=OTHER), "as attested"),
    "vectors were changed": (change_file(VECTORS), "as attested"),
    "database was changed": (change_file(DATABASE), "as attested"),
    "database was cut": (write(DATABASE, b""), "as attested"),
    "vectors are missing": (remove(VECTORS), "cannot be opened"),
    "vectors are a link in a circle": (circle(VECTORS), "leads nowhere"),
    "vectors are a folder": (make_folder(VECTORS), "Is a directory"),
    "vectors are a pipe": (make_pipe(VECTORS), "regular file"),
    "vectors are a link": (link(VECTORS), "leads out of"),
    "stores were swapped": (swap(VECTORS, VECTORS.replace("qlora", "base")), "as attested"),
    "another policy": (change_policy, "policy: expected"),
    "policy is missing": (lambda bundle: bundle.policy.unlink(), "does not exist"),
    "no policy attested": (drop_input("policy"), "got none"),
    "no requirements attested": (drop_input("requirements"), "names no file of requirements"),
    "policy of the folder was changed": (change_file(TEXTS["policy"]), "as attested"),
    "gold set was changed": (change_file(TEXTS["fr/qrels"]), "as attested"),
    "certificate was changed": (change_file(TEXTS["certificate"]), "as attested"),
    "decision was changed": (change_file("reports/decision.json"), "as attested"),
    "answers were changed": (change_file("reports/answers.jsonl"), "as attested"),
    "requirements are missing": (remove(TEXTS["requirements"]), "cannot be opened"),
    "a file of the configuration twice": (repeat("predicate", "configuration"), "is named twice"),
    "one name for two files": (
        edit_signed("predicate", "configuration", 13, "annotations", input="graph"), "graph is named twice",
    ),
    "one file under two names": (
        edit_signed("predicate", "configuration", 13, name=TEXTS["graph"]), f"{TEXTS['graph']} is named twice",
    ),
    "gold set is a link to nothing": (link_to_nothing(TEXTS["fr/qrels"]), "cannot be opened"),
    "one requirement more": (add_requirement, "REQ-TRC-02 is required and was not tested"),
    "a requirement was not tested": (edit_signed("predicate", passedTests=["REQ-STO-01"]), "was not tested"),
    "a requirement of nobody": (
        edit_signed("predicate", passedTests=["REQ-ODD-01", "REQ-RET-01", "REQ-STO-01", "REQ-TRC-01"]), "by nobody",
    ),
    "a requirement twice": (edit_signed("predicate", warnedTests=["REQ-RET-01"]), "is named twice"),
    "a requirement failed": (edit_signed("predicate", **FAILING), "failedTests: expected none, got REQ-RET-01"),
    "a failed result": (edit_signed("predicate", result="FAILED"), "expected PASSED, got FAILED"),
    "a warned result without a waiver": (edit_signed("predicate", result="WARNED"), "expected PASSED, got WARNED"),
    "an unknown result": (edit_signed("predicate", result="GREAT"), "result"),
    "verdict KEEP": (edit_signed("predicate", "embeddingStoreGate", verdict="KEEP"), "expected verdict RELEASE"),
    "decision KEEP": (decide_otherwise(Verdict.KEEP), "expected PASSED, got FAILED"),
    "decision NOT_EVALUATED": (decide_otherwise(Verdict.NOT_EVALUATED), "expected PASSED, got FAILED"),
    "decision HALT": (decide_otherwise(Verdict.HALT), "expected PASSED, got FAILED"),
    "another attempt": (edit_signed("predicate", "embeddingStoreGate", attempt=1), "makes this attempt 2"),
    "log is missing": (lambda bundle: bundle.log.unlink(), "does not exist"),
    "log is empty": (lambda bundle: bundle.log.write_bytes(b""), "does not go on"),
    "log was cut": (edit_log(lambda lines: lines[1:]), "does not follow"),
    "log was cut at its end": (edit_log(lambda lines: lines[:-1]), "does not go on"),
    "log was swapped": (edit_log(lambda lines: [lines[1], lines[0], *lines[2:]]), "does not follow"),
    "log was edited": (edit_log(lambda lines: [*lines[:1], lines[1].replace("v1.0", "v9.0"), *lines[2:]]), "follow"),
    "a newer decision": (lambda bundle: bundle.log_gated("b" * 64), "line 5: a newer decision, KEEP"),
    "a newer decision after our own": (
        decide_again,
        "line 6: a newer decision",
    ),
    "log was not attested": (drop_input("log"), "attempt 1, but attested is 2"),
}  # fmt: skip
