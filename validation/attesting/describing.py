"""Make the statement of a decision, after hashing every file that the decision names."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, get_args

from pydantic import ValidationError

from pipeline.documents import parse_json
from pipeline.params import CandidateName
from pipeline.store import Manifest
from pipeline.vectors import read_header
from validation.attesting.chain import LOG_INPUT, count_judged
from validation.attesting.errors import AttestationError
from validation.attesting.reading import hash_inside, open_inside
from validation.attesting.statement import (
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    ConfigurationItem,
    DigestSet,
    InputAnnotations,
    Judgement,
    NamedFile,
    Part,
    Predicate,
    Statement,
    StoreAnnotations,
    Subject,
)
from validation.outcomes import Outcome, Verdict
from validation.trace import settle_requirements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from validation.attesting.statement import Result
    from validation.document import InputRecord, Record
    from validation.workflow_run import WorkflowRun

ROLES: tuple[CandidateName, ...] = get_args(CandidateName)
PARTS: tuple[Part, ...] = get_args(Part)
MAX_MANIFEST_BYTES = 1 << 26

_AGAIN = "run `nox -s gate` again"


def build_statement(record: Record, decision: InputRecord, folder: Path, now: datetime) -> Statement:
    """Return the statement of a decision; what became of a requirement is the worst of its checks.

    Args:
        record: the decision.
        decision: path and digest of the document that says it.
        folder: the root of the project, where the files lie that the decision names.
        now: when it is attested.

    Raises:
        AttestationError: no store was judged, or a file is missing or has other bytes than were judged.
        InputError: a manifest or a matrix is malformed.
    """
    require_judged(record, folder)
    subjects = list(_describe_subjects(record, folder))
    if not subjects:
        raise AttestationError(decision.path, "looked at no store, so there is nothing to attest", _AGAIN)
    served = {subject.name for subject in subjects}
    settled = settle_requirements(record)
    try:
        return Statement(
            _type=STATEMENT_TYPE,
            predicateType=PREDICATE_TYPE,
            subject=subjects,
            predicate=Predicate(
                result=settle_result(record.decision, settled),
                configuration=[
                    ConfigurationItem(
                        name=each.path, digest=DigestSet(sha256=each.sha256), annotations=InputAnnotations(input=name)
                    )
                    for name, each in record.inputs.items()
                    if each.path not in served
                ],
                url=describe_run(record.run),
                passedTests=_list_settled(settled, Outcome.PASS),
                warnedTests=_list_settled(settled, Outcome.WAIVED),
                failedTests=_list_settled(settled, Outcome.INCONCLUSIVE, Outcome.FAIL, Outcome.ERROR),
                embeddingStoreGate=_describe_judgement(record, decision, now),
            ),
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join([decision.path, *map(str, first["loc"])])
        raise AttestationError(where, first["msg"], _AGAIN) from error


def require_judged(record: Record, folder: Path) -> None:
    """Raise `AttestationError` unless every file that a decision names has the bytes that were judged.

    The log may have grown since: it is appended to by whoever acts upon the decision.
    """
    named = record.inputs | ({"answers": record.answers} if record.answers else {})
    for name, each in named.items():
        found = hash_inside(folder, each.path)
        if found == each.sha256 or (name == LOG_INPUT and _has_grown(folder / each.path, each.sha256)):
            continue
        raise AttestationError(each.path, f"SHA-256: expected {each.sha256} as judged, got {found}", _AGAIN)


def _has_grown(log: Path, sha256: str) -> bool:
    return count_judged(log.read_text("utf-8"), sha256) is not None


def settle_result(verdict: Verdict, settled: Mapping[str, Outcome]) -> Result:
    """Return what a decision is called in a test result: whatever is no release has failed."""
    outcomes = {*settled.values()}
    if verdict is not Verdict.RELEASE or not outcomes or not outcomes <= {Outcome.PASS, Outcome.WAIVED}:
        return "FAILED"
    return "WARNED" if Outcome.WAIVED in outcomes else "PASSED"


def _list_settled(settled: Mapping[str, Outcome], *outcomes: Outcome) -> list[str]:
    return sorted(name for name, outcome in settled.items() if outcome in outcomes)


def describe_run(run: WorkflowRun | None) -> str | None:
    """Return the address of a run of a workflow, None where there was none or nothing tells where it ran."""
    server, project = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    return f"{server}/{project}/actions/runs/{run.id}/attempts/{run.attempt}" if run and server and project else None


def _describe_judgement(record: Record, decision: InputRecord, now: datetime) -> Judgement:
    return Judgement(
        verdict=record.decision,
        attempt=record.attempt,
        run=record.run,
        commit=record.code.revision,
        code=DigestSet(sha256=record.code.sha256),
        decision=_describe_file(decision),
        answers=_describe_file(record.answers) if record.answers else None,
        finishedOn=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _describe_file(file: InputRecord) -> NamedFile:
    return NamedFile(name=file.path, digest=DigestSet(sha256=file.sha256))


def _describe_subjects(record: Record, folder: Path) -> Iterator[Subject]:
    """Describe the files that would be served, of both roles and every corpus that was judged."""
    for role in ROLES:
        ends = [name.split("/") for name in record.inputs if name.startswith(f"{role}/") and name.endswith("/manifest")]
        for corpus in (parts[1] for parts in ends):
            manifest = _load_manifest(record.inputs[f"{role}/{corpus}/manifest"], folder)
            for part in PARTS:
                file = record.inputs.get(f"{role}/{corpus}/{part}")
                if file is None or file.sha256 != getattr(manifest.files, part).sha256:
                    message = f"{role}/{corpus}/{part} is not the file that the store's manifest names"
                    raise AttestationError(record.inputs[f"{role}/{corpus}/manifest"].path, message, _AGAIN)
                yield _describe_subject(file, folder, (role, corpus, part), manifest.model_id)


def _load_manifest(file: InputRecord, folder: Path) -> Manifest:
    with open_inside(folder, file.path) as stream:
        content = stream.read(MAX_MANIFEST_BYTES)
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise AttestationError(file.path, "has other bytes than were judged", _AGAIN)
    return parse_json(file.path, content.decode("utf-8"), Manifest)


def _describe_subject(
    file: InputRecord, folder: Path, place: tuple[CandidateName, str, Part], model_id: str
) -> Subject:
    role, corpus, part = place
    with open_inside(folder, file.path) as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        md5 = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        stream.seek(0)
        header = read_header(stream, folder / file.path) if part == "embeddings" else None
        size = os.fstat(stream.fileno()).st_size
    if sha256 != file.sha256:
        raise AttestationError(file.path, f"SHA-256: expected {file.sha256} as judged, got {sha256}", _AGAIN)
    return Subject(
        name=file.path,
        digest=DigestSet(sha256=sha256),
        annotations=StoreAnnotations(
            role=role,
            corpus=corpus,
            part=part,
            model_id=model_id,
            size=size,
            md5=md5,
            shape=list(header.shape) if header else None,
            dtype=header.dtype if header else None,
        ),
    )
