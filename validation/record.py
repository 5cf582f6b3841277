"""Write a judgement down as `decision.json`: the one source of every other report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.files import compute_sha256, write_json
from pipeline.params import PROJECT_ROOT
from pipeline.store import MANIFEST
from validation.comparison import describe_retrieval

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validation.gate import Judgement
    from validation.outcomes import Check
    from validation.policy import DeclaredCheck, Rulebook

SCHEMA_VERSION = 1


def build_record(judgement: Judgement, rulebook: Rulebook, policy_name: str) -> dict[str, Any]:
    """Return the decision document; the same evidence gives the same document, byte for byte."""
    verdict = judgement.decision.verdict
    return {
        "schema_version": SCHEMA_VERSION,
        "policy": policy_name,
        "decision": verdict.value,
        "exit_code": verdict.exit_code,
        "reasons": list(judgement.decision.reasons),
        "checks": [_describe_check(check, rulebook.catalogue.get(check.id)) for check in judgement.ledger],
        "retrieval": {found.corpus: describe_retrieval(found) for found in judgement.comparisons},
        "inputs": {
            name: {"path": _shorten(path), "sha256": digest} for name, path, digest in _list_inputs(judgement, rulebook)
        },
    }


def write_record(record: dict[str, Any], output: Path) -> Path:
    """Write the document to `output/decision.json`, atomically, and return its path."""
    path = output / "decision.json"
    write_json(path, record)
    return path


def _describe_check(check: Check, declared: DeclaredCheck | None) -> dict[str, Any]:
    return {
        "id": check.id,
        "requirement": declared.requirement if declared else None,
        "subject": check.subject,
        "outcome": check.outcome.value,
        "observed": check.observed,
        "limit": check.limit,
        "unit": declared.unit if declared else None,
        "n": check.n,
        "interval": asdict(check.interval) if check.interval else None,
        "detail": check.detail,
        "blocked_by": check.blocked_by,
        "remedy": declared.remedy if declared else None,
    }


def _list_inputs(judgement: Judgement, rulebook: Rulebook) -> Iterator[tuple[str, Path, str]]:
    for name, (path, digest) in rulebook.digests.items():
        yield name, path, digest
    for corpus in judgement.corpora:
        yield f"{corpus.name}/chunks", corpus.chunks_path, corpus.chunks_sha256
        yield f"{corpus.name}/questions", corpus.questions_path, corpus.questions_sha256
        yield f"{corpus.name}/qrels", corpus.qrels_path, compute_sha256(corpus.qrels_path)
    for store in judgement.stores:
        files = store.manifest.files
        yield f"{store.subject}/manifest", store.folder / MANIFEST, compute_sha256(store.folder / MANIFEST)
        for role in ("embeddings", "questions", "database"):
            file = getattr(files, role)
            yield f"{store.subject}/{role}", store.folder / file.name, file.sha256


def _shorten(path: Path) -> str:
    absolute = path.resolve()
    return absolute.relative_to(PROJECT_ROOT).as_posix() if absolute.is_relative_to(PROJECT_ROOT) else path.as_posix()
