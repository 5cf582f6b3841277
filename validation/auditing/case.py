"""What is audited: a decision with its digest, and the folder in which the files lie that it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.documents import load_json
from pipeline.errors import InputError
from pipeline.files import compute_sha256
from validation.auditing.documents import Basis
from validation.document import InputRecord, Record
from validation.tested import TESTED, TestedRequirements


@dataclass(frozen=True, slots=True)
class Case:
    """A decision and the folder with its evidence, at the paths of `record.inputs`.

    `tests` is what the project's tests said of the code that judged, with the file that says it, where it lies beside
    the decision; tests of other code are no evidence.
    """

    record: Record
    decision: InputRecord
    folder: Path
    tests: tuple[TestedRequirements, InputRecord] | None = None

    @property
    def basis(self) -> Basis:
        """What every document says of the decision."""
        record = self.record
        return Basis(
            decision=self.decision,
            verdict=record.decision,
            policy=record.policy,
            commit=record.code.revision,
            code_sha256=record.code.sha256,
            run=record.run,
            attempt=record.attempt,
        )


def open_case(decision: Path, folder: Path) -> Case:
    """Read a decision.

    Raises:
        InputError: it is missing, malformed, was replaced while it was read, or is not about files of `folder`; or what
            the tests said is malformed.
    """
    sha256 = compute_sha256(decision)
    record = load_json(decision, Record)
    if compute_sha256(decision) != sha256:
        raise InputError(decision, "was replaced while it was read", "run again when the gate has ended")
    for name, each in record.inputs.items():
        if Path(each.path).is_absolute() or ".." in Path(each.path).parts:
            message = f"inputs: {name}: expected a path below {folder}, got {each.path}"
            raise InputError(decision, message, "audit the project's own decision, made by `nox -s gate`")
    path, root = decision.resolve(), folder.resolve()
    place = PurePosixPath(path.relative_to(root) if path.is_relative_to(root) else decision.name)
    tests = _open_tests(decision.with_name(TESTED), place.with_name(TESTED), record.code.sha256)
    return Case(record, InputRecord(path=str(place), sha256=sha256), folder, tests)


def _open_tests(path: Path, place: PurePosixPath, code: str) -> tuple[TestedRequirements, InputRecord] | None:
    if not path.is_file():
        return None
    evidence = InputRecord(path=str(place), sha256=compute_sha256(path))
    tested = load_json(path, TestedRequirements)
    return (tested, evidence) if tested.code == code else None
