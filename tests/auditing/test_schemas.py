"""JSON Schemas: generated from the models, valid themselves, and what every writer writes is valid by them."""

from __future__ import annotations

import base64
import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from pipeline.encoder import DOCUMENT_PROMPT, QUESTION_PROMPT, ModelIdentity
from tests.auditing.projects import ANSWERS, TRAINING, Audited, read_json
from tests.releases import build_latency, list_requests
from validation.auditing.schemas import DIALECT, MODELS, SCHEMAS, SUFFIX, build_schema, render_schemas, write_schemas
from validation.release_case import build_canaries
from validation.releasing.events import LOG
from validation.releasing.measures import METRICS_FILE, RETRIEVAL_PLOT, SLICES_PLOT, stage_measures
from validation.releasing.release_file import Release, ReleasedCorpus, ReleasedFile
from validation.tested import TestedRequirements

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMITTED = {path.name: path.read_text("utf-8") for path in SCHEMAS.glob("*")}


@pytest.fixture(scope="module")
def artefacts(taken: Audited, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One real document of every kind, as its writer writes it."""
    root, documents = taken.root, taken.output / "documents"
    tree = tmp_path_factory.mktemp("tree")
    (tree / METRICS_FILE).parent.mkdir(parents=True)
    stage_measures(tree, taken.record, "qlora")
    envelope = read_json(taken.output / "attestation.json")
    canary = build_canaries(list_requests(root))["base"]
    return {
        "answers-line": json.loads((root / ANSWERS).read_text("utf-8").splitlines()[0]),
        "attestation-statement": json.loads(base64.b64decode(envelope["payload"])),
        "canary": canary.model_dump(mode="json"),
        "certificate": read_json(root / "reports" / "certificate.json"),
        "decision": read_json(taken.decision),
        "drill-receipt": read_json(root / "reports" / "rollback-drill.json"),
        "latency": make_latency(root),
        "manifest": read_json(root / "build" / "qlora" / "fr" / "manifest.json"),
        "metrics": read_json(tree / METRICS_FILE),
        "plot-retrieval": read_json(tree / RETRIEVAL_PLOT),
        "plot-slices": read_json(tree / SLICES_PLOT),
        "provenance": read_json(next((root / "build").rglob("*.provenance.json"))),
        "release": make_release(),
        "releases-line": json.loads((root / LOG).read_text("utf-8").splitlines()[-1]),
        "store-card": read_json(documents / "store-card-qlora-fr.json"),
        "tests": make_tested(),
        "training-args": read_json(root / TRAINING),
        **{
            name: read_json(documents / f"{name}.json")
            for name in ("completion-report", "configuration-audit", "data-quality", "trace-matrix")
        },
    }


def make_latency(root: Path) -> Any:
    """Return the evidence of a latency run on these stores."""
    return build_latency(list_requests(root)).model_dump(mode="json")


def make_tested() -> Any:
    """Return a `tests.json`; that a real one is valid is seen where it is made."""
    return TestedRequirements(
        schema_version=1, revision=None, code="1" * 64, requirements={"REQ-VEC-01": {"a.py::one": "passed"}}
    ).model_dump(mode="json")


def make_release() -> Any:
    """Return a `release.json`; that real ones are valid is seen where they are made."""
    path, sha256 = "corpus/processed/corpus_mode_b_fr.db", "1" * 64
    identity = ModelIdentity(
        model_id="m", revision=None, weights_sha256=sha256, dimension=768, document_prompt=DOCUMENT_PROMPT,
        question_prompt=QUESTION_PROMPT,
    )  # fmt: skip
    corpus = ReleasedCorpus(
        chunks="corpus/processed/chunks_mode_b_fr.json", chunks_sha256=sha256, total=1, embeddings=path, database=path
    )
    return Release(
        schema_version=1, tag="v1.0-base", candidate="base", gated_commit="2" * 40, decision_sha256=sha256,
        policy_sha256=None, model=identity, model_folder=None, corpora={"fr": corpus}, pointers=[],
        files=[ReleasedFile(path=path, size=1, sha256=sha256)],
    ).model_dump(mode="json")  # fmt: skip


def test_committed_schemas_are_the_generated_ones(tmp_path: Path) -> None:
    """What lies in the package is what the models give now: no file too many, none that is old."""
    write_schemas(tmp_path / "schemas")

    assert render_schemas() == COMMITTED
    assert {path.name: path.read_text("utf-8") for path in (tmp_path / "schemas").iterdir()} == COMMITTED


@pytest.mark.parametrize("name", MODELS)
def test_schema_is_a_schema(name: str) -> None:
    """Every schema is one by its dialect, says which and its name, and closes every object that it declares."""
    schema = json.loads(COMMITTED[f"{name}{SUFFIX}"])
    Draft202012Validator.check_schema(schema)

    assert (schema["$schema"], schema["$id"]) == (DIALECT, f"urn:embedding-store-gate:schema:{name}:1")
    declared = [part for part in [schema, *schema.get("$defs", {}).values()] if "properties" in part]
    assert declared
    assert all(part["additionalProperties"] is False for part in declared)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_written_is_valid(artefacts: dict[str, Any], name: str) -> None:
    """A document as its writer writes it is valid, and its strict model reads it."""
    document = artefacts[name]
    errors = list(Draft202012Validator(build_schema(name)).iter_errors(document))

    assert errors == []
    assert MODELS[name].model_validate_json(json.dumps(document), strict=True)


def leave_out(document: Any) -> Any:
    """Leave a field out; a document says its version even where a reader could do without."""
    item = document[0] if isinstance(document, list) else document
    del item[next(name for name in item if name != "schema_version")]
    return document


def add(document: Any) -> Any:
    """Add a field that nobody declared."""
    item = document[0] if isinstance(document, list) else document
    item["surplus"] = 1
    return document


def turn(document: Any) -> Any:
    """Give every field a value of another type."""
    item = document[0] if isinstance(document, list) else document
    item.update({name: [[None]] for name in item})
    return document


@pytest.mark.parametrize("spoil", [leave_out, add, turn], ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("name", MODELS)
def test_what_is_spoilt_is_not_valid(artefacts: dict[str, Any], name: str, spoil: Callable[[Any], Any]) -> None:
    """A field less, a field more or a value of another type is refused by the schema and by the model alike."""
    document = spoil(copy.deepcopy(artefacts[name]))

    assert not Draft202012Validator(build_schema(name)).is_valid(document)
    with pytest.raises(ValidationError):
        MODELS[name].model_validate_json(json.dumps(document), strict=True)


def test_every_strict_document_has_a_schema(artefacts: dict[str, Any]) -> None:
    """What is looked at here is every kind of document, none left out."""
    assert artefacts.keys() == MODELS.keys()
    assert COMMITTED.keys() == {f"{name}{SUFFIX}" for name in MODELS}
