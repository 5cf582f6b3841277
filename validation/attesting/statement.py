"""The in-toto statement, typed: which bytes were judged, by what, and what became of every requirement."""

from __future__ import annotations

import json
from typing import Annotated, Final, Literal

from pydantic import Field

from pipeline.documents import Strict
from pipeline.params import CandidateName, Count
from pipeline.store import Digest
from validation.attesting.reading import InsidePath
from validation.outcomes import Verdict
from validation.releasing.release_file import Commit
from validation.requirements import RequirementId
from validation.workflow_run import WorkflowRun

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://in-toto.io/attestation/test-result/v0.1"

Part = Literal["embeddings", "database"]
Result = Literal["PASSED", "WARNED", "FAILED"]
Text = Annotated[str, Field(min_length=1)]
Size = Annotated[int, Field(ge=0)]


class DigestSet(Strict):
    """SHA-256 and no other digest: what is weaker must not count as one."""

    sha256: Digest


class NamedFile(Strict):
    """A file by its path from the root of the project, and its bytes."""

    name: InsidePath
    digest: DigestSet


class StoreAnnotations(Strict):
    """What a served file is; `md5` is DVC's name for its bytes and proves nothing.

    `shape` and `dtype` are those of a matrix, None for a database.
    """

    role: CandidateName
    corpus: Text
    part: Part
    model_id: Text
    size: Size
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    shape: list[Size] | None = None
    dtype: Text | None = None


class Subject(NamedFile):
    """A file that would be served."""

    annotations: StoreAnnotations


class InputAnnotations(Strict):
    """The name by which the decision knows a file."""

    input: Text


class ConfigurationItem(NamedFile):
    """A file, other than a subject, that had a say in the decision."""

    annotations: InputAnnotations


class Judgement(Strict):
    """What the decision says beside its tests: the verdict, by which code and commit, in which run and attempt."""

    verdict: Verdict
    attempt: Count | None = None
    run: WorkflowRun | None = None
    commit: Commit | None = None
    code: DigestSet
    decision: NamedFile
    answers: NamedFile | None = None
    finished_on: str = Field(alias="finishedOn", pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")


class Predicate(Strict):
    """Requirements by what became of them, and what they were tested with."""

    result: Result
    configuration: Annotated[list[ConfigurationItem], Field(min_length=1)]
    url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    passed_tests: list[RequirementId] = Field(alias="passedTests")
    warned_tests: list[RequirementId] = Field(alias="warnedTests")
    failed_tests: list[RequirementId] = Field(alias="failedTests")
    judgement: Judgement = Field(alias="embeddingStoreGate")


class Statement(Strict):
    """All that is signed."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    predicate_type: Literal["https://in-toto.io/attestation/test-result/v0.1"] = Field(alias="predicateType")
    subject: Annotated[list[Subject], Field(min_length=1)]
    predicate: Predicate

    def find_input(self, name: str) -> ConfigurationItem | None:
        """Return the file that the decision knows by a name."""
        return next((item for item in self.predicate.configuration if item.annotations.input == name), None)

    def encode(self) -> bytes:
        """Return the bytes that are signed: compact JSON in ASCII with sorted keys, so one way to write it."""
        document = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
