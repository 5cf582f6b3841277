"""`decision.json`, typed: written by the gate, and all that explaining and rendering read."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from pipeline.documents import Strict
from pipeline.store import Digest
from validation.explanation import Explanation
from validation.latency_rounds import Machine
from validation.outcomes import Interval, Outcome, Verdict
from validation.requirements import Bound, Characteristic, Requirement, Wording
from validation.slices import SliceResult
from validation.workflow_run import WorkflowRun


class RequirementRecord(Requirement):
    """A requirement with the value of its limit and the digest of all that it says."""

    bound: Bound
    sha256: Digest


class CheckRecord(Strict):
    """A check with the requirements that it serves and what to do when it does not pass.

    `inputs` are the names of the files that it looked at; `characteristic` is one of ISO/IEC 25012, where it is about
    the quality of data.
    """

    id: str
    requirements: list[str]
    title: Wording | None
    characteristic: Characteristic | None
    subject: str
    outcome: Outcome
    observed: Any
    limit: Any
    unit: str | None
    n: int | None
    interval: Interval | None
    detail: str | None
    blocked_by: str | None
    explanation: Explanation | None
    remedy: Wording | None
    inputs: list[str]

    @model_validator(mode="after")
    def _check_explained(self) -> Self:
        shares = (self.observed, self.limit) if self.explanation else ()
        if not all(type(share) in {int, float} and -1 <= share <= 1 for share in shares):
            message = f"{self.id}: explained, so that observed and limit must be differences of shares"
            raise ValueError(message)
        return self


class SideRecord(Strict):
    """One store's value of a metric; `hits` where the metric is a recall."""

    n: int
    value: float
    hits: int | None


class MetricRecord(Strict):
    """Both stores' values of a metric and the certainty of their difference."""

    base: SideRecord
    candidate: SideRecord
    difference: float
    interval: Interval
    flip_p: float


class AnswerRecord(Strict):
    """The passage that a store returned first, and the rank of the first relevant one."""

    rank: int
    returned: str
    section: str | None
    excerpt: str


class FlipRecord(Strict):
    """A question that only one of the stores answers in its top 5."""

    question: str
    text: str
    metadata: dict[str, Any]
    direction: Literal["lost", "gained"]
    relevant: list[str]
    base: AnswerRecord
    candidate: AnswerRecord


class RoundsRecord(Strict):
    """Rounds of one operation and the median milliseconds of both stores."""

    rounds: int
    base_median_ms: float
    candidate_median_ms: float


class LatencyRecord(Strict):
    """The machine that measured, and what it measured, by corpus and operation."""

    machine: Machine
    corpora: dict[str, dict[str, RoundsRecord]]


class WaiverRecord(Strict):
    """A waiver and what became of it."""

    id: str
    check: str
    subject: str
    owner: str
    reason: str
    expires: str
    state: Literal["applied", "expired", "unused"]


class InputRecord(Strict):
    """A file that had a say."""

    path: str
    sha256: Digest


class CodeRecord(Strict):
    """The code that judged: its Git revision where there is one, and the digest of its sources."""

    revision: str | None
    sha256: Digest


class Record(Strict):
    """All of `decision.json`; `as_of` is the day on which waivers were looked at, where there are any.

    `answers` is the file with both stores' answers to every gold question, where they were compared.

    `attempt` counts, by the log of releases, the decisions that were acted upon before, and this one.

    A number that is not finite, for which JSON has no word, is not turned into null: the document cannot be written.
    """

    model_config = ConfigDict(ser_json_inf_nan="constants")

    schema_version: Annotated[int, Field(ge=1, le=1)]
    policy: Literal["release", "comparison"]
    decision: Verdict
    exit_code: int
    reasons: list[str]
    requirements: dict[str, RequirementRecord]
    checks: list[CheckRecord]
    retrieval: dict[str, dict[str, MetricRecord]]
    baselines: dict[str, dict[str, dict[str, float]]]
    slices: dict[str, list[SliceResult]]
    flips: dict[str, list[FlipRecord]]
    latency: LatencyRecord | None
    waivers: list[WaiverRecord]
    as_of: str | None
    attempt: Annotated[int, Field(ge=1)] | None
    run: WorkflowRun | None
    code: CodeRecord
    inputs: dict[str, InputRecord]
    answers: InputRecord | None
