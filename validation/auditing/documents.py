"""The documents of an audit, typed: each says by which decision it was made, and to which clauses it is mapped."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.documents import Strict
from pipeline.params import CandidateName, TagName
from pipeline.store import Digest
from validation.completion import Completion
from validation.document import InputRecord
from validation.outcomes import Interval, Outcome, Verdict
from validation.releasing.events import Event
from validation.releasing.release_file import Commit
from validation.requirements import Characteristic, RequirementId, Text, Wording
from validation.trace import TraceRow
from validation.workflow_run import WorkflowRun

Count = Annotated[int, Field(ge=0)]
Part = Literal["embeddings", "questions", "database"]
# What was found of a file: `continued` is said of a log that has more lines than when it was read for the decision.
FileState = Literal["unchanged", "continued", "changed", "missing"]


class Basis(Strict):
    """The decision that a document was made from: its verdict, and the code, commit, run and attempt behind it."""

    decision: InputRecord
    verdict: Verdict
    policy: Literal["release", "comparison"]
    commit: str | None
    code_sha256: Digest
    run: WorkflowRun | None
    attempt: int | None


class ClauseMapping(Strict):
    """A clause, paraphrased, and where this document holds evidence for it; conformity is claimed nowhere."""

    clause: Text
    expects: Wording
    evidence: Wording


class AuditDocument(Strict):
    """What every document says first."""

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    document: Text
    title: Wording
    basis: Basis
    evidence_mapped_to: Annotated[list[ClauseMapping], Field(min_length=1)]


class TestCounts(Strict):
    """How many tests of a requirement had each outcome."""

    __test__ = False

    passed: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0)]
    skipped: Annotated[int, Field(ge=0)]


class RequirementState(Strict):
    """What became of a requirement, by the worst of its checks, and what its tests said of the code that judged."""

    requirement: RequirementId
    statement: Wording
    sha256: Digest
    outcome: Outcome
    tests: TestCounts | None


class TraceMatrix(AuditDocument):
    """Requirement → check → evidence → outcome; `uncovered` and `stray` are the gaps in both directions.

    `tests` is the file that the counts of tests come from; None where the code that judged was not tested.
    """

    tests: InputRecord | None
    requirements: list[RequirementState]
    rows: list[TraceRow]
    uncovered: list[RequirementId]
    stray: list[str]


class CompletionReport(AuditDocument):
    """The nine parts of a test completion report."""

    completion: Completion


class ConfigurationItem(Strict):
    """A file that was recorded when it was judged, and what is there now."""

    name: Text
    path: Text
    recorded: Digest
    found: Digest | None
    state: FileState


class Baseline(Strict):
    """A release, by the log: when and by whom, from which commit and decision, and whether it is what is served.

    `decision_sha256` and `verdict` are None where the log has no decision about that commit.
    """

    tag: TagName
    state: Literal["served", "released"]
    time: str
    actor: str
    gated_commit: Commit
    release_sha256: Digest | None
    decision_sha256: Digest | None
    verdict: Verdict | None


class ConfigurationAudit(AuditDocument):
    """Recorded against present, in both directions; the releases; and every change of what is served.

    `unrecorded` are files beside the stores that nothing records. The outcome is PASS where every recorded file is
    there with its bytes and nothing else is.
    """

    outcome: Outcome
    items: list[ConfigurationItem]
    unrecorded: list[str]
    baselines: list[Baseline]
    changes: list[Event]


class QualityMeasure(Strict):
    """A measured property of the data, and the limit that it was held against."""

    check: Text
    title: Wording | None
    subject: Text
    observed: Any
    limit: Any
    unit: str | None
    n: int | None
    interval: Interval | None
    outcome: Outcome


class QualityGroup(Strict):
    """All that was measured of one characteristic; nothing where no check of the decision is about it."""

    characteristic: Characteristic
    title: Wording
    measures: list[QualityMeasure]


class DataQuality(AuditDocument):
    """Quality of the data by the characteristics of ISO/IEC 25012."""

    groups: list[QualityGroup]


class CardFile(Strict):
    """A file of a store."""

    part: Part
    path: Text
    size: Count
    sha256: Digest


class Origin(Strict):
    """The model that was trained further; `weights_sha256` tells its bytes."""

    model_id: Text
    revision: str | None
    weights_sha256: Digest


class Training(Strict):
    """How the model of a store was trained, as its record has it.

    `triplets_file` is the file of training pairs that was judged, None where it is not the one that was trained on.
    """

    record: InputRecord
    parent: Origin
    settings: dict[str, int | float]
    method: dict[str, str]
    libraries: dict[str, str]
    triplets: Count
    triplets_sha256: Digest
    triplets_file: str | None


class Measured(Strict):
    """One metric of the store on the gold questions of its corpus."""

    metric: Text
    value: float
    hits: int | None
    n: Count


class StoreCard(AuditDocument):
    """What those who use a store need to know of it.

    `revision`, `weights_sha256` and prompts are None for vectors of unknown provenance; `pooling` where the folder of
    the model is not at hand.
    """

    role: CandidateName
    corpus: Text
    model_id: Text
    revision: str | None
    weights_sha256: Digest | None
    document_prompt: str | None
    question_prompt: str | None
    pooling: str | None
    training: Training | None
    chunks: InputRecord
    rows: Count
    dimension: Count
    dtype: Text
    manifest: InputRecord
    files: list[CardFile]
    measured: list[Measured]
    outcomes: dict[Outcome, Count]
    intended_use: list[Wording]
    limits: list[Wording]
    fallback: list[Wording]
