"""Attesting: what the statement says, that the same gives the same bytes, and what is refused."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import PipelineError
from pipeline.files import compute_sha256, write_json
from tests.attesting.bundles import (
    COMMIT,
    MODEL_IDS,
    NOW,
    REQUIREMENTS,
    ROWS,
    TEXTS,
    WIDTH,
    Bundle,
    make_gated,
    write_bundle,
)
from tests.attesting.tampering import DATABASE, VECTORS
from tests.bad_input import list_scraps
from tests.records import make_check
from validation.attesting.attestation import write_attestation
from validation.attesting.errors import AttestationError
from validation.attesting.keys import compute_fingerprint, load_public_key
from validation.document import Record
from validation.outcomes import Outcome, Verdict
from validation.releasing.events import append_events
from validation.workflow_run import WorkflowRun

if TYPE_CHECKING:
    from pathlib import Path

RUN = WorkflowRun(id="17", attempt="2")


def read(bundle: Bundle) -> dict[str, Any]:
    """Return the statement as anybody reads it."""
    found: dict[str, Any] = json.loads(bundle.read_payload())
    return found


def test_the_statement_names_what_would_be_served(template: Bundle) -> None:
    """Both roles, both corpora, vectors and database: SHA-256 alone as digest, and the rest beside it."""
    subjects = {subject["name"]: subject for subject in read(template)["subject"]}
    vectors, database = subjects[VECTORS], subjects[DATABASE]
    content = (template.root / VECTORS).read_bytes()

    assert len(subjects) == 8
    assert {(s["annotations"]["role"], s["annotations"]["corpus"]) for s in subjects.values()} == {
        (role, corpus) for role in ("base", "qlora") for corpus in ("fr", "intl")
    }
    assert vectors["digest"] == {"sha256": hashlib.sha256(content).hexdigest()}
    assert vectors["annotations"] == {
        "role": "qlora",
        "corpus": "fr",
        "part": "embeddings",
        "model_id": MODEL_IDS["qlora"],
        "size": len(content),
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "shape": [ROWS, WIDTH],
        "dtype": "<f4",
    }
    assert {"shape", "dtype"} & {*database["annotations"]} == set()


def test_the_statement_names_all_that_had_a_say(template: Bundle) -> None:
    """Every other file that the decision names, by path, digest and the decision's own name for it."""
    record = Record.model_validate_json(template.decision.read_bytes())
    items = {item["annotations"]["input"]: item for item in read(template)["predicate"]["configuration"]}
    served = {name for name in record.inputs if name.endswith(("/embeddings", "/database"))}

    assert {*items} == {*record.inputs} - served
    assert {*TEXTS} <= {*items}
    for name, item in items.items():
        assert (item["name"], item["digest"]) == (record.inputs[name].path, {"sha256": record.inputs[name].sha256})


def test_the_statement_says_what_was_decided(template: Bundle) -> None:
    """Result, requirements, verdict, attempt, commit, and the digests of code, decision and answers."""
    statement = read(template)
    predicate = statement["predicate"]

    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert (predicate["result"], predicate["passedTests"]) == ("PASSED", sorted(REQUIREMENTS))
    assert (predicate["warnedTests"], predicate["failedTests"]) == ([], [])
    assert predicate["embeddingStoreGate"] == {
        "verdict": "RELEASE",
        "attempt": 2,
        "commit": COMMIT,
        "code": {"sha256": "d" * 64},
        "decision": {"name": "reports/decision.json", "digest": {"sha256": compute_sha256(template.decision)}},
        "answers": {
            "name": "reports/answers.jsonl",
            "digest": {"sha256": compute_sha256(template.root / "reports" / "answers.jsonl")},
        },
        "finishedOn": "2026-01-25T12:30:01Z",
    }


@pytest.mark.parametrize("outcome", Outcome)
def test_a_requirement_is_what_its_worst_check_is(bundle: Bundle, outcome: Outcome) -> None:
    """PASS has passed, WAIVED is a warning, and anything else has failed."""
    first, second, third = REQUIREMENTS
    checks = [
        make_check("CHK101", Outcome.PASS, requirements=[first, second]),
        make_check("CHK102", outcome, requirements=[first]),
        make_check("CHK103", Outcome.PASS, requirements=[third]),
    ]
    bundle.change_decision(checks=checks)
    predicate = read(bundle)["predicate"]
    where = {Outcome.PASS: "passedTests", Outcome.WAIVED: "warnedTests"}.get(outcome, "failedTests")
    result = {"passedTests": "PASSED", "warnedTests": "WARNED", "failedTests": "FAILED"}[where]

    assert first in predicate[where]
    assert sum(len(predicate[name]) for name in ("passedTests", "warnedTests", "failedTests")) == 3
    assert predicate["result"] == result


@pytest.mark.parametrize("verdict", [Verdict.KEEP, Verdict.NOT_EVALUATED, Verdict.HALT])
def test_what_is_no_release_has_failed(bundle: Bundle, verdict: Verdict) -> None:
    """It can be attested, since it is evidence too, and its result is FAILED whatever passed."""
    bundle.change_decision(decision=verdict, exit_code=verdict.exit_code)
    predicate = read(bundle)["predicate"]

    assert (predicate["result"], predicate["embeddingStoreGate"]["verdict"]) == ("FAILED", verdict)


def test_the_same_gives_the_same_bytes(bundle: Bundle) -> None:
    """Attested twice at the same time, the envelope is the same, and the payload is written in one way only."""
    before = bundle.attestation.read_bytes()
    bundle.attest()
    payload = bundle.read_payload()

    assert bundle.attestation.read_bytes() == before
    assert payload.isascii()
    assert payload == json.dumps(json.loads(payload), sort_keys=True, separators=(",", ":")).encode()
    assert bundle.read_envelope()["signatures"][0]["keyid"] == compute_fingerprint(load_public_key(bundle.public))
    assert list_scraps(bundle.folder) == []


def test_the_run_of_a_workflow_is_named(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a workflow decided, the statement says which run it was and where it can be looked at."""
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example.org")
    monkeypatch.setenv("GITHUB_REPOSITORY", "arbitres/stores")
    bundle.change_decision(run=RUN)
    predicate = read(bundle)["predicate"]

    assert predicate["url"] == "https://git.example.org/arbitres/stores/actions/runs/17/attempts/2"
    assert predicate["embeddingStoreGate"]["run"] == {"id": "17", "attempt": "2"}
    assert bundle.verify().predicate.judgement.run == RUN


@pytest.mark.parametrize("name", ["policy", "fr/qrels", "base/intl/database", "qlora/fr/manifest", "drill", "answers"])
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_other_bytes_are_not_attested(bundle: Bundle, name: str, how: str) -> None:
    """A file that the decision names must be there with the bytes that were judged; the old attestation stays."""
    record = Record.model_validate_json(bundle.decision.read_bytes())
    named = {**record.inputs, "answers": record.answers}[name]
    assert named is not None
    path, before = bundle.root / named.path, bundle.attestation.read_bytes()
    if how == "changed":
        path.write_bytes(path.read_bytes() + b" ")
    else:
        path.unlink()
    with pytest.raises(AttestationError, match="as judged" if how == "changed" else "cannot be opened"):
        bundle.attest()

    assert bundle.attestation.read_bytes() == before


def test_the_log_may_have_grown(bundle: Bundle) -> None:
    """A decision that was acted upon can still be attested: the log goes on from the one that was judged."""
    append_events(bundle.root, "Arbitre", COMMIT, [make_gated(compute_sha256(bundle.decision), Verdict.RELEASE)])
    bundle.attest()

    assert bundle.verify()

    (bundle.root / TEXTS["log"]).write_bytes(b"")
    with pytest.raises(AttestationError, match="as judged"):
        bundle.attest()


def test_a_manifest_names_what_was_judged(bundle: Bundle) -> None:
    """Vectors that are not those of the manifest beside them are not attested under its model's name."""
    record = Record.model_validate_json(bundle.decision.read_bytes())
    swapped = record.inputs | {"qlora/fr/embeddings": record.inputs["base/fr/embeddings"]}
    with pytest.raises(AttestationError, match="is not the file that the store's manifest names"):
        bundle.change_decision(inputs=swapped)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"policy": "comparison"}, "compares stores from elsewhere", id="comparison"),
        pytest.param({"exit_code": 20}, "does not belong to RELEASE", id="exit code"),
        pytest.param({"inputs": {}, "answers": None}, "looked at no store", id="nothing was judged"),
        pytest.param(
            {"requirements": {}, "checks": [], "attempt": None, "inputs": {}}, "looked at no store", id="refusal"
        ),
    ],
)
def test_another_decision_is_not_attested(bundle: Bundle, changes: dict[str, Any], said: str) -> None:
    """What judged no release, contradicts itself, or looked at no store is refused."""
    with pytest.raises(AttestationError, match=said):
        bundle.change_decision(**changes)


@pytest.mark.parametrize("path", ["/etc/hostname", "../keys/attestation-key.pub.pem", "link"])
def test_nothing_outside_is_attested(bundle: Bundle, path: str) -> None:
    """What the decision names must lie in the project."""
    (bundle.root / "link").symlink_to(bundle.public)
    record = Record.model_validate_json(bundle.decision.read_bytes())
    target = (bundle.root / path).resolve()
    named = record.inputs["graph"].model_copy(update={"path": path, "sha256": compute_sha256(target)})
    with pytest.raises(AttestationError, match="leads out of"):
        bundle.change_decision(inputs=record.inputs | {"graph": named})


def test_a_decision_lies_in_the_project(bundle: Bundle, tmp_path: Path) -> None:
    """A decision from elsewhere is not attested beside the files that lie here."""
    elsewhere = tmp_path / "decision.json"
    elsewhere.write_bytes(bundle.decision.read_bytes())
    with pytest.raises(AttestationError, match="expected a decision in"):
        write_attestation(elsewhere, bundle.private, tmp_path, NOW, bundle.root)


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1, "a": 2}', b"\xff", b"[]"])
def test_a_malformed_decision_is_not_attested(bundle: Bundle, content: bytes) -> None:
    """It is read as strictly as everywhere."""
    bundle.decision.write_bytes(content)
    with pytest.raises(PipelineError) as refusal:
        bundle.attest()

    assert refusal.value.exit_code == 30


@pytest.mark.parametrize(
    "model_id",
    [
        "\x1b[31mred\x1b[0m\x07",
        "safe\u202egnp.exe",
        "<script>alert(1)</script>",
        '"; DROP TABLE x',
        "ligne\nligne\u2028",
    ],
    ids=["terminal", "right to left", "HTML", "quotes", "lines"],
)
def test_a_hostile_name_is_only_a_name(tmp_path: Path, model_id: str) -> None:
    """Whatever a model is called, it is attested as it is, in plain ASCII, and verifies."""
    bundle = write_bundle(tmp_path / "all", {**MODEL_IDS, "qlora": model_id})
    names = {subject.annotations.model_id for subject in bundle.verify().subject}

    assert names == {MODEL_IDS["base"], model_id}
    assert bundle.read_payload().isascii()
    assert b"\n" not in bundle.read_payload()
    assert bundle.find_denial() is None


def test_a_name_without_end_is_refused(tmp_path: Path) -> None:
    """A megabyte of name would make an attestation that no verifier reads, so none is written."""
    with pytest.raises(AttestationError, match="expected at most 1048576 bytes") as refusal:
        write_bundle(tmp_path / "all", {**MODEL_IDS, "qlora": "x" * (1 << 20)})

    assert len(str(refusal.value)) < 500
    assert not Bundle(tmp_path / "all").attestation.exists()


def test_an_odd_requirement_is_refused(bundle: Bundle) -> None:
    """An id that no file of requirements can have is not attested."""
    record = Record.model_validate_json(bundle.decision.read_bytes())
    odd = {"requirement 1": record.requirements[REQUIREMENTS[0]]}
    document = record.model_copy(update={"requirements": odd}).model_dump(mode="json")
    write_json(bundle.decision, document)
    with pytest.raises(AttestationError, match="should match pattern"):
        bundle.attest()
