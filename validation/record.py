"""Write a judgement down as `decision.json`: the one source of every other report."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.files import write_json
from pipeline.params import PROJECT_ROOT
from validation.certificate import compute_code_digest
from validation.document import (
    CheckRecord,
    CodeRecord,
    InputRecord,
    Record,
    WaiverRecord,
)
from validation.latency import describe_latency
from validation.outcomes import Verdict
from validation.retrieval_record import describe_comparison
from validation.waivers import describe_waiver
from validation.workflow_run import find_run

if TYPE_CHECKING:
    from validation.explanation import Explanation
    from validation.gate import GateRequest, Judgement
    from validation.outcomes import Check
    from validation.policy import DeclaredCheck, Rulebook

DECISION = "decision.json"


def build_record(judgement: Judgement, request: GateRequest, rulebook: Rulebook) -> Record:
    """Return the decision document; the same evidence gives the same document, byte for byte.

    Args:
        judgement: what was decided, and on what.
        request: what was judged.
        rulebook: policy, catalogue and the digests of their files.
    """
    verdict = judgement.decision.verdict
    rules = rulebook.policy.release if request.for_release else rulebook.policy.comparison
    waivers = rulebook.policy.waivers if request.for_release else []
    told = {found.corpus.name: describe_comparison(found, rulebook.policy, rules) for found in judgement.findings}
    compared = {name: description for name, description in told.items() if description}
    explanations = {key: value for found in compared.values() for key, value in found.explanations.items()}
    return Record(
        schema_version=1,
        policy="release" if request.for_release else "comparison",
        decision=verdict,
        exit_code=verdict.exit_code,
        reasons=list(judgement.decision.reasons),
        checks=[
            _describe_check(check, rulebook.catalogue.get(check.id), explanations.get(check.key))
            for check in judgement.ledger
        ],
        retrieval={name: found.metrics for name, found in compared.items()},
        baselines={name: found.baselines for name, found in compared.items()},
        slices={name: found.slices for name, found in compared.items()},
        flips={name: found.flips for name, found in compared.items()},
        latency=describe_latency(request.latency) if request.latency else None,
        waivers=[
            WaiverRecord.model_validate(describe_waiver(waiver, judgement.ledger, request.as_of)) for waiver in waivers
        ],
        as_of=request.as_of.isoformat() if waivers else None,
        attempt=request.attempt,
        run=find_run(),
        code=CodeRecord(revision=find_revision(), sha256=compute_code_digest()),
        inputs={each.name: InputRecord(path=_shorten(each.path), sha256=each.sha256) for each in judgement.inputs},
    )


def build_refusal(error: Exception, *, for_release: bool) -> Record:
    """Return the decision when nothing could be judged, so that no older one is left standing: what its code says."""
    code = error.exit_code if isinstance(error, PipelineError) else Verdict.NOT_EVALUATED.exit_code
    verdict = next(each for each in Verdict if each.exit_code == code)
    told = str(error) if isinstance(error, PipelineError) else f"{type(error).__name__}: {error}"
    return Record(
        schema_version=1,
        policy="release" if for_release else "comparison",
        decision=verdict,
        exit_code=verdict.exit_code,
        reasons=[" ".join(told.split())],
        checks=[],
        retrieval={},
        baselines={},
        slices={},
        flips={},
        latency=None,
        waivers=[],
        as_of=None,
        attempt=None,
        run=find_run(),
        code=CodeRecord(revision=find_revision(), sha256=compute_code_digest()),
        inputs={},
    )


def write_record(record: Record, output: Path) -> Path:
    """Write the document to `output/decision.json`, atomically, and return its path."""
    path = output / DECISION
    write_json(path, record.model_dump(mode="json"))
    return path


def find_revision() -> str | None:
    """Return the commit that is checked out, or None outside of a Git repository."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        ended = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None


def _describe_check(check: Check, declared: DeclaredCheck | None, explanation: Explanation | None) -> CheckRecord:
    return CheckRecord(
        id=check.id,
        requirement=declared.requirement if declared else None,
        title=declared.title if declared else None,
        subject=check.subject,
        outcome=check.outcome,
        observed=check.observed,
        limit=check.limit,
        unit=declared.unit if declared else None,
        n=check.n,
        interval=check.interval,
        detail=check.detail,
        blocked_by=" ".join(check.blocked_by) if check.blocked_by else None,
        explanation=explanation,
        remedy=declared.remedy if declared else None,
    )


def _shorten(path: Path) -> str:
    absolute = path.resolve()
    return absolute.relative_to(PROJECT_ROOT).as_posix() if absolute.is_relative_to(PROJECT_ROOT) else path.as_posix()
