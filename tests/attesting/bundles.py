"""What an auditor has in hand, small: the files of a decision, the decision, its attestation, keys and the log."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pipeline.files import compute_sha256, write_json
from pipeline.store import FileRecord, Manifest, StoreFiles
from tests.attesting.independent import find_denial
from tests.records import make_check, make_record
from validation.attesting.attestation import ATTESTATION, write_attestation
from validation.attesting.envelope import seal
from validation.attesting.keys import PRIVATE_KEY, PUBLIC_KEY, make_key_pair
from validation.attesting.verification import verify_attestation
from validation.document import CodeRecord, InputRecord, Record, RequirementRecord
from validation.outcomes import Outcome, Verdict
from validation.releasing.events import LOG, NewEvent, append_events
from validation.requirements import Wording

if TYPE_CHECKING:
    from collections.abc import Callable

    from validation.attesting.statement import Statement

    Edit = Callable[[dict[str, Any]], object]

NOW = datetime(2026, 1, 25, 12, 30, 1, tzinfo=UTC)
COMMIT, ACTOR = "c" * 40, "Arbitre <arbitre@example.org>"
MODEL_IDS = {"base": "embedded-lsa", "qlora": "embedded-lsa-échecs"}
REQUIREMENTS = ("REQ-STO-01", "REQ-RET-01", "REQ-TRC-01")
ROWS, WIDTH = 5, 8
TEXTS = {
    "policy": "expectations/policy.yaml",
    "checks": "expectations/checks.yaml",
    "requirements": "expectations/requirements.yaml",
    "suite_vectors": "expectations/suites/vectors.json",
    **{f"{name}/chunks": f"corpus/processed/chunks_mode_b_{name}.json" for name in ("fr", "intl")},
    **{f"{name}/questions": f"corpus/gold/questions_{name}.jsonl" for name in ("fr", "intl")},
    **{f"{name}/qrels": f"corpus/gold/qrels_{name}.tsv" for name in ("fr", "intl")},
    "certificate": "reports/certificate.json",
    "drill": "reports/rollback-drill.json",
    "graph": "dvc.lock",
    "packages": "constraints.txt",
    "log": str(LOG),
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A project as it is when its decision was attested, and, apart from it, a pair of keys."""

    folder: Path

    @property
    def root(self) -> Path:
        """Where the attested files lie."""
        return self.folder / "project"

    @property
    def decision(self) -> Path:
        """The decision."""
        return self.root / "reports" / "decision.json"

    @property
    def attestation(self) -> Path:
        """The envelope."""
        return self.root / "reports" / ATTESTATION

    @property
    def private(self) -> Path:
        """The private key."""
        return self.folder / "keys" / PRIVATE_KEY

    @property
    def public(self) -> Path:
        """The public key."""
        return self.folder / "keys" / PUBLIC_KEY

    @property
    def policy(self) -> Path:
        """The policy that the verifier holds."""
        return self.folder / "policy.yaml"

    @property
    def log(self) -> Path:
        """The log that the verifier holds."""
        return self.folder / "log" / LOG

    def copy(self, folder: Path) -> Bundle:
        """Return a copy of everything below another folder."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Bundle(folder)

    def attest(self) -> Path:
        """Attest the decision that lies in the project."""
        return write_attestation(self.decision, self.private, self.root / "reports", NOW, self.root)

    def verify(self, key: Path | None = None) -> Statement:
        """Verify the attestation, or raise."""
        return verify_attestation(self.attestation, key or self.public, self.root, self.policy, self.log)

    def find_denial(self) -> str | None:
        """Return why the second verifier denies, or None."""
        return find_denial(self.attestation, self.public, self.root, self.policy, self.log)

    def change_decision(self, **changes: Any) -> None:
        """Let the decision say something else, and attest that."""
        record = Record.model_validate_json(self.decision.read_bytes()).model_copy(update=changes)
        write_json(self.decision, record.model_dump(mode="json"))
        self.attest()

    def read_envelope(self) -> dict[str, Any]:
        """Return the envelope."""
        found: dict[str, Any] = json.loads(self.attestation.read_text("utf-8"))
        return found

    def read_payload(self) -> bytes:
        """Return what is signed."""
        return base64.b64decode(self.read_envelope()["payload"])

    def change_envelope(self, edit: Edit) -> None:
        """Change the envelope, as anybody can."""
        envelope = self.read_envelope()
        edit(envelope)
        self.attestation.write_text(json.dumps(envelope), "utf-8")

    def sign_again(self, edit: Edit) -> None:
        """Change the statement and sign that, as only who has the private key can."""
        statement = json.loads(self.read_payload())
        edit(statement)
        self.sign(json.dumps(statement).encode())

    def sign(self, payload: bytes) -> None:
        """Sign any bytes."""
        key = load_pem_private_key(self.private.read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        self.attestation.write_bytes(seal(payload, key))

    def log_gated(self, evidence_sha256: str, verdict: Verdict = Verdict.KEEP) -> None:
        """Append to the verifier's log that a decision was acted upon."""
        append_events(self.log.parents[1], ACTOR, COMMIT, [make_gated(evidence_sha256, verdict)])


def make_gated(evidence_sha256: str, verdict: Verdict = Verdict.KEEP) -> NewEvent:
    """Return the event of a decision that was acted upon."""
    return NewEvent(event="gated", tag="v1.1-qlora", evidence_sha256=evidence_sha256, verdict=verdict)


def write_bundle(folder: Path, model_ids: dict[str, str] | None = None) -> Bundle:
    """Write a project whose candidate is to be released on the second attempt, with its attestation."""
    bundle = Bundle(folder)
    write_texts(bundle.root)
    inputs = {name: describe(bundle.root, path) for name, path in TEXTS.items()}
    for role, model_id in (model_ids or MODEL_IDS).items():
        for corpus in ("fr", "intl"):
            inputs |= write_store(bundle.root, role, corpus, model_id)
    answers = bundle.root / "reports" / "answers.jsonl"
    answers.write_text('{"corpus": "fr", "question": "q1"}\n', "utf-8")
    record = make_record(
        Verdict.RELEASE,
        *(make_check("CHK101", Outcome.PASS, requirements=[name]) for name in REQUIREMENTS),
        inputs=inputs,
        answers=describe(bundle.root, "reports/answers.jsonl"),
        attempt=2,
        code=CodeRecord(revision=COMMIT, sha256="d" * 64),
        requirements={name: make_requirement(name) for name in REQUIREMENTS},
    )
    write_json(bundle.decision, record.model_dump(mode="json"))
    make_key_pair(folder / "keys")
    bundle.attest()
    shutil.copy(bundle.root / TEXTS["policy"], bundle.policy)
    bundle.log.parent.mkdir(parents=True)
    shutil.copy(bundle.root / LOG, bundle.log)
    return bundle


def write_texts(root: Path) -> None:
    """Write what a decision rests on beside the stores, and a log in which one decision was acted upon before."""
    for name, path in TEXTS.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"# {name}\n", "utf-8")
    lines = ["requirements:"]
    for name in REQUIREMENTS:
        wanted = make_requirement(name).model_dump(mode="json", exclude={"bound", "sha256"})
        lines.append(f"  {name}: {json.dumps(wanted, ensure_ascii=False)}")
    (root / TEXTS["requirements"]).write_text("\n".join([*lines, ""]), "utf-8")
    (root / LOG).unlink()
    registered = [NewEvent(event="registered", tag="v1.0-base"), NewEvent(event="released", tag="v1.0-base")]
    append_events(root, ACTOR, COMMIT, [*registered, make_gated("a" * 64), NewEvent(event="kept", tag="v1.0-base")])


def make_requirement(name: str) -> RequirementRecord:
    """Return a requirement that asks for no difference."""
    text = Wording(fr=f"Exigence {name}.", en=f"Requirement {name}.")
    return RequirementRecord(
        section="3.2", statement=text, rationale=text, owner="Arbitre", metric=text, operator="=", limit=0,
        clauses=["ISO/IEC 42001 A.6.2.4"], bound=0.0, sha256="e" * 64,
    )  # fmt: skip


def write_store(root: Path, role: str, corpus: str, model_id: str) -> dict[str, InputRecord]:
    """Write files that stand for a store, with their manifest, and return them as a decision names them."""
    folder = Path("build", role, corpus)
    (root / folder).mkdir(parents=True)
    files = {
        "embeddings": f"embeddings_mode_b_{corpus}.npy",
        "questions": f"questions_mode_b_{corpus}.npy",
        "database": f"corpus_mode_b_{corpus}.db",
    }
    for part, name in files.items():
        path = root / folder / name
        if part == "database":
            path.write_bytes(b"SQLite format 3\0" + f"{role} {corpus}".encode() * 40)
        else:
            seed = sum(map(ord, f"{role} {corpus} {part}"))
            np.save(path, np.random.default_rng(seed).standard_normal((ROWS, WIDTH)).astype("<f4"))
    described = {part: describe(root, str(folder / name)) for part, name in files.items()}
    records = {
        part: FileRecord(name=files[part], size=(root / each.path).stat().st_size, sha256=each.sha256)
        for part, each in described.items()
    }
    manifest = Manifest(
        schema_version=1, corpus=corpus, total=ROWS, chunks_sha256="1" * 64, questions_sha256="2" * 64,
        model_id=model_id, model=None, files=StoreFiles(**records),
    )  # fmt: skip
    write_json(root / folder / "manifest.json", manifest.model_dump(mode="json"))
    described["manifest"] = describe(root, str(folder / "manifest.json"))
    return {f"{role}/{corpus}/{part}": each for part, each in described.items()}


def describe(root: Path, path: str) -> InputRecord:
    """Return a file as a decision names it."""
    return InputRecord(path=path, sha256=compute_sha256(root / path))
