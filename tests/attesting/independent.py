"""A second verifier of attestations: the standard library and `cryptography` alone, and no line of the first one."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LIMIT = 1024 * 1024
TYPE = "application/vnd.in-toto+json"
SHA256 = re.compile(r"[0-9a-f]{64}")
REQUIREMENT = re.compile(r"^ +['\"]?(REQ-[A-Z]{3}-\d\d)['\"]?:", re.MULTILINE)
JSON = dict[str, Any]
TEXT, HEX = re.compile(r".+", re.DOTALL), re.compile(r"[0-9a-f]{40}")
COUNTED, MOMENT = re.compile(r"\d{1,20}"), re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
# Fields of every object: what a text must match in full, or of which type anything else must be; `?` may be left out.
FIELDS: dict[str, dict[str, re.Pattern[str] | type]] = {
    "envelope": {"payload": TEXT, "payloadType": TEXT, "signatures": list},
    "signature": {"keyid": SHA256, "sig": TEXT},
    "statement": {"_type": TEXT, "predicate": dict, "predicateType": TEXT, "subject": list},
    "predicate": {
        "configuration": list, "embeddingStoreGate": dict, "failedTests": list, "passedTests": list,
        "warnedTests": list, "result": TEXT, "?url": re.compile(r"https?://\S+"),
    },
    "gate": {
        "code": dict, "decision": dict, "finishedOn": MOMENT, "verdict": TEXT, "?answers": dict, "?attempt": int,
        "?commit": HEX, "?run": dict,
    },
    "run": {"attempt": COUNTED, "id": COUNTED},
    "digest": {"sha256": SHA256},
    "file": {"digest": dict, "name": TEXT},
    "item": {"annotations": dict, "digest": dict, "name": TEXT},
    "served": {
        "corpus": TEXT, "md5": re.compile("[0-9a-f]{32}"), "model_id": TEXT, "part": re.compile("embeddings|database"),
        "role": re.compile("base|qlora"), "size": int, "?dtype": TEXT, "?shape": list,
    },
    "input": {"input": TEXT},
}  # fmt: skip


class DeniedError(Exception):
    """The attestation does not hold, and why."""


def find_denial(attestation: Path, key: Path, folder: Path, policy: Path, log: Path) -> str | None:
    """Return why an attestation is denied, None where all of it holds."""
    try:
        statement = read_signed(attestation, key)
        check_statement(statement)
        check_files(statement, folder)
        check_tests(statement, folder, policy)
        check_log(statement, log)
    except (DeniedError, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def deny(wrong: object, why: str) -> None:
    """Raise where something is wrong."""
    if wrong:
        raise DeniedError(why)


def parse(content: bytes) -> JSON:
    """Return an object from JSON in which no key is told twice and every number is one."""

    def pair(pairs: list[tuple[str, Any]]) -> JSON:
        deny(len({key for key, _ in pairs}) != len(pairs), "a key is told twice")
        return dict(pairs)

    def refuse(name: str) -> None:
        deny(wrong=True, why=f"{name} is no number")

    found = json.loads(content.decode("utf-8"), object_pairs_hook=pair, parse_constant=refuse)
    deny(not isinstance(found, dict), "no object")
    return dict(found)


def decode(text: str) -> bytes:
    """Return what base64 stands for."""
    content = base64.b64decode(text.encode("ascii"), validate=True)
    deny(base64.b64encode(content) != text.encode("ascii"), "odd base64")
    return content


def have(kind: str, document: Any) -> JSON:
    """Return an object that has the fields of its kind and no other; what may be left out may be null."""
    rules = FIELDS[kind]
    deny(not isinstance(document, dict), f"{kind} is no object")
    found = {name: value for name, value in document.items() if value is not None or f"?{name}" not in rules}
    must, known = {name for name in rules if name[0] != "?"}, {name.lstrip("?"): rule for name, rule in rules.items()}
    deny(not must <= set(found) <= set(known), f"{kind} has other fields")
    for name, value in found.items():
        rule = known[name]
        fits = type(value) is rule if isinstance(rule, type) else isinstance(value, str) and rule.fullmatch(value)
        deny(not fits, f"{kind}.{name} is odd")
        deny(type(value) is int and value < 0, f"{kind}.{name} is below nothing")
    return found


def read_signed(attestation: Path, key: Path) -> JSON:
    """Return the statement whose one signature is that of the key."""
    public = serialization.load_pem_public_key(key.read_bytes())
    if not isinstance(public, Ed25519PublicKey):
        message = "not an Ed25519 key"
        raise DeniedError(message)
    deny(attestation.stat().st_size > LIMIT, "too large")
    envelope = have("envelope", parse(attestation.read_bytes()))
    deny(envelope["payloadType"] != TYPE or len(envelope["signatures"]) != 1, "another type, or not one signature")
    signature = have("signature", envelope["signatures"][0])
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    deny(signature["keyid"] != hashlib.sha256(der).hexdigest(), "another key")
    payload = decode(envelope["payload"])
    try:
        public.verify(
            decode(signature["sig"]), b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE.encode(), len(payload), payload)
        )
    except InvalidSignature:
        deny(wrong=True, why="signature does not hold")
    return parse(payload)


def check_statement(document: JSON) -> None:
    """Deny what is not of the one form that is known."""
    have("statement", document)
    deny(document["_type"] != "https://in-toto.io/Statement/v1", "unknown statement")
    deny(document["predicateType"] != "https://in-toto.io/attestation/test-result/v0.1", "unknown predicate")
    predicate = have("predicate", document["predicate"])
    gate = have("gate", predicate["embeddingStoreGate"])
    have("digest", gate["code"])
    have("run", gate.get("run", {"attempt": "1", "id": "1"}))
    for subject in document["subject"]:
        shape = have("served", have("item", subject)["annotations"]).get("shape", [])
        deny([size for size in shape if type(size) is not int or size < 0], "no shape")
    for item in predicate["configuration"]:
        have("input", have("item", item)["annotations"])
    for file in (*document["subject"], *predicate["configuration"], *list_evidence(gate)):
        have("file", {"digest": file["digest"], "name": file["name"]})
        have("digest", file["digest"])
        path = PurePosixPath(file["name"])
        deny(path.is_absolute() or ".." in path.parts or str(path) != file["name"], "path leads elsewhere")
        deny(not file["name"].isprintable() or {*file["name"]} & {*"\\:"} or path == PurePosixPath(), "path is odd")


def list_evidence(gate: JSON) -> list[JSON]:
    """Return decision and answers, where there are any."""
    return [have("file", gate[name]) for name in ("decision", "answers") if gate.get(name) is not None]


def hash_file(folder: Path, name: str) -> str:
    """Return the SHA-256 of a file that lies in a folder itself."""
    path = folder / name
    deny(path.is_symlink() or not path.is_file(), f"{name} is no file")
    deny(folder.resolve() not in path.resolve().parents, f"{name} lies elsewhere")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_files(document: JSON, folder: Path) -> None:
    """Deny where a subject is missing, left over or other than attested, or anything beside it is other."""
    configuration = document["predicate"]["configuration"]
    corpora = {
        item["annotations"]["input"][:-7] for item in configuration if item["annotations"]["input"].endswith("/chunks")
    }
    places = [
        tuple(subject["annotations"][name] for name in ("role", "corpus", "part")) for subject in document["subject"]
    ]
    wanted = {
        (role, corpus, part) for role in ("base", "qlora") for corpus in corpora for part in ("embeddings", "database")
    }
    deny(not places or sorted(places) != sorted(wanted), "not the files of a release")
    deny(len({subject["name"] for subject in document["subject"]}) != len(places), "a subject is named twice")
    for names in ([item["name"] for item in configuration], [item["annotations"]["input"] for item in configuration]):
        deny(len(set(names)) != len(names), "configuration is named twice")
    for subject in document["subject"]:
        deny(hash_file(folder, subject["name"]) != subject["digest"]["sha256"], f"{subject['name']} has other bytes")
    for file in (*configuration, *list_evidence(document["predicate"]["embeddingStoreGate"])):
        is_log = file.get("annotations", {}).get("input") == "log"
        is_there = (folder / file["name"]).exists() or (folder / file["name"]).is_symlink()
        if is_there and not is_log:
            deny(hash_file(folder, file["name"]) != file["digest"]["sha256"], f"{file['name']} has other bytes")


def check_tests(document: JSON, folder: Path, policy: Path) -> None:
    """Deny unless the policy is ours and every requirement, and no other, passed or was waived."""
    predicate = document["predicate"]
    files = {item["annotations"]["input"]: item for item in predicate["configuration"]}
    deny(files["policy"]["digest"]["sha256"] != hashlib.sha256(policy.read_bytes()).hexdigest(), "another policy")
    rules = folder / files["requirements"]["name"]
    deny(hash_file(folder, files["requirements"]["name"]) != files["requirements"]["digest"]["sha256"], "other rules")
    required = REQUIREMENT.findall(rules.read_text("utf-8"))
    told = [*predicate["passedTests"], *predicate["warnedTests"]]
    deny(not required or sorted(told) != sorted(required) or predicate["failedTests"], "not every requirement is met")
    deny(predicate["result"] != ("WARNED" if predicate["warnedTests"] else "PASSED"), "result contradicts the tests")
    deny(predicate["embeddingStoreGate"]["verdict"] != "RELEASE", "no release")


def check_log(document: JSON, log: Path) -> None:
    """Deny where the log is broken, does not go on from the one that was judged, or knows of a newer decision."""
    gate = document["predicate"]["embeddingStoreGate"]
    lines = log.read_text("utf-8").splitlines(keepends=True)
    previous = "0" * 64
    for number, line in enumerate(lines, 1):
        event = parse(line.encode())
        deny((event["number"], event["previous"]) != (number, previous), "the chain is broken")
        previous = hashlib.sha256(line.removesuffix("\n").encode()).hexdigest()
    named = [item for item in document["predicate"]["configuration"] if item["annotations"]["input"] == "log"]
    starts = {hashlib.sha256("".join(lines[:count]).encode()).hexdigest(): count for count in range(len(lines) + 1)}
    deny(named and named[0]["digest"]["sha256"] not in starts, "another log")
    judged = starts[named[0]["digest"]["sha256"]] if named else 0
    gated = [(number, json.loads(line)) for number, line in enumerate(lines) if json.loads(line)["event"] == "gated"]
    deny(gate.get("attempt") != 1 + sum(number < judged for number, _ in gated), "another attempt")
    decision = gate["decision"]["digest"]["sha256"]
    deny(any(number >= judged and event["evidence_sha256"] != decision for number, event in gated), "superseded")
