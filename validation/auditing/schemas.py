"""JSON Schemas of everything that is written, from the models that everything is read by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, RootModel

from pipeline.canary import Canary
from pipeline.files import replace_folder
from pipeline.params import PROJECT_ROOT
from pipeline.provenance import Provenance
from pipeline.store import Manifest
from validation.answers import QuestionAnswers
from validation.attesting.statement import Statement
from validation.auditing.documents import CompletionReport, ConfigurationAudit, DataQuality, StoreCard, TraceMatrix
from validation.auditing.places import require_own
from validation.auditing.training import TrainingArguments
from validation.certificate import Certificate
from validation.document import Record
from validation.latency import LatencyEvidence
from validation.releasing.events import Event
from validation.releasing.measures import Measures, MetricPoint, SlicePoint
from validation.releasing.receipt import Receipt
from validation.releasing.release_file import Release
from validation.tested import TestedRequirements

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMAS = PROJECT_ROOT / "validation" / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
SUFFIX = ".schema.json"


class RetrievalPlot(RootModel[list[MetricPoint]]):
    """All of `plots/retrieval.json`."""


class SlicesPlot(RootModel[list[SlicePoint]]):
    """All of `plots/slices.json`."""


# By the name of what they describe; of JSON Lines it is one line.
MODELS: Mapping[str, type[BaseModel]] = {
    "answers-line": QuestionAnswers,
    "attestation-statement": Statement,
    "canary": Canary,
    "certificate": Certificate,
    "completion-report": CompletionReport,
    "configuration-audit": ConfigurationAudit,
    "data-quality": DataQuality,
    "decision": Record,
    "drill-receipt": Receipt,
    "latency": LatencyEvidence,
    "manifest": Manifest,
    "metrics": Measures,
    "plot-retrieval": RetrievalPlot,
    "plot-slices": SlicesPlot,
    "provenance": Provenance,
    "release": Release,
    "releases-line": Event,
    "store-card": StoreCard,
    "tests": TestedRequirements,
    "trace-matrix": TraceMatrix,
    "training-args": TrainingArguments,
}


def build_schema(name: str) -> dict[str, Any]:
    """Return the schema of what is called so; objects have the fields that are declared and no other."""
    schema = MODELS[name].model_json_schema(by_alias=True)
    _close(schema)
    return {"$schema": DIALECT, "$id": f"urn:embedding-store-gate:schema:{name}:1", **schema}


def _close(schema: object) -> None:
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            _close(part)
    elif isinstance(schema, list):
        for part in schema:
            _close(part)


def render_schemas() -> dict[str, str]:
    """Return every schema as the text of its file, by file name."""
    return {
        f"{name}{SUFFIX}": json.dumps(build_schema(name), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
        for name in MODELS
    }


def write_schemas(folder: Path) -> None:
    """Write all schemas into a folder, in the place of older ones, all or none. Raises like `require_own`."""
    require_own(folder, f"decision{SUFFIX}")
    with replace_folder(folder) as partial:
        for name, text in render_schemas().items():
            (partial / name).write_text(text, encoding="utf-8", newline="\n")
