"""Write a judgement down as `decision.json`: the one source of every other report."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.files import write_json
from pipeline.params import PROJECT_ROOT
from validation.catalogue import select_inputs
from validation.certificate import compute_code_digest
from validation.document import (
    CheckRecord,
    CodeRecord,
    InputRecord,
    LatencyRecord,
    Record,
    RequirementRecord,
    WaiverRecord,
)
from validation.latency import describe_latency
from validation.outcomes import Verdict
from validation.requirements import resolve_limit
from validation.waivers import describe_waiver
from validation.workflow_run import find_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validation.catalogue import DeclaredCheck
    from validation.explanation import Explanation
    from validation.gate import GateRequest, Judgement
    from validation.outcomes import Check
    from validation.policy import Policy, Rulebook
    from validation.requirements import Requirement

DECISION = "decision.json"


def build_record(
    judgement: Judgement, request: GateRequest, rulebook: Rulebook, answers: InputRecord | None = None
) -> Record:
    """Return the decision document; the same evidence gives the same document, byte for byte.

    Args:
        judgement: what was decided, and on what.
        request: what was judged.
        rulebook: policy, requirements, catalogue and the digests of their files.
        answers: the file with both stores' answers, where there is one.
    """
    verdict = judgement.decision.verdict
    waivers = rulebook.policy.waivers if request.for_release else []
    compared = {found.corpus.name: found.description for found in judgement.findings if found.description}
    explanations = {key: value for found in compared.values() for key, value in found.explanations.items()}
    names = [each.name for each in judgement.inputs]
    return Record(
        schema_version=1,
        policy="release" if request.for_release else "comparison",
        decision=verdict,
        exit_code=verdict.exit_code,
        reasons=list(judgement.decision.reasons),
        requirements={
            name: _describe_requirement(each, rulebook.policy) for name, each in rulebook.requirements.items()
        },
        checks=[
            _describe_check(check, rulebook.catalogue.get(check.id), explanations.get(check.key), names)
            for check in judgement.ledger
        ],
        retrieval={name: found.metrics for name, found in compared.items()},
        baselines={name: found.baselines for name, found in compared.items()},
        slices={name: found.slices for name, found in compared.items()},
        flips={name: found.flips for name, found in compared.items()},
        latency=LatencyRecord.model_validate(describe_latency(request.latency)) if request.latency else None,
        waivers=[
            WaiverRecord.model_validate(describe_waiver(waiver, judgement.ledger, request.as_of)) for waiver in waivers
        ],
        as_of=request.as_of.isoformat() if waivers else None,
        attempt=request.attempt,
        run=find_run(),
        code=CodeRecord(revision=find_revision(), sha256=compute_code_digest()),
        inputs={each.name: InputRecord(path=shorten(each.path), sha256=each.sha256) for each in judgement.inputs},
        answers=answers,
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
        requirements={},
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
        answers=None,
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


def _describe_requirement(requirement: Requirement, policy: Policy) -> RequirementRecord:
    return RequirementRecord(
        **requirement.model_dump(), bound=resolve_limit(requirement.limit, policy), sha256=requirement.compute_digest()
    )


def _describe_check(
    check: Check, declared: DeclaredCheck | None, explanation: Explanation | None, names: Sequence[str]
) -> CheckRecord:
    return CheckRecord(
        id=check.id,
        requirements=declared.requirements if declared else [],
        title=declared.title if declared else None,
        characteristic=declared.characteristic if declared else None,
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
        inputs=select_inputs(declared, check.subject, names) if declared else [],
    )


def shorten(path: Path) -> str:
    """Return a path as the document names it: relative to the project where it lies there."""
    absolute = path.resolve()
    return absolute.relative_to(PROJECT_ROOT).as_posix() if absolute.is_relative_to(PROJECT_ROOT) else path.as_posix()
