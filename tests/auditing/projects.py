"""A project as an auditor finds it: judged by the real gate, with all that its decision names below one root."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.documents import load_json
from pipeline.files import compute_sha256, write_json
from tests.projects import BETTER, Project, decide, write_project
from validation.answers import QuestionAnswers, SideAnswers
from validation.attesting.keys import PRIVATE_KEY, make_key_pair
from validation.auditing.bundle import Commission, write_bundle
from validation.auditing.case import Case, open_case
from validation.auditing.training import ParentModel, TrainingArguments, TrainingData, TrainingMethod
from validation.document import InputRecord, Record
from validation.policy import EXPECTATIONS
from validation.releasing.events import LOG, NewEvent, append_events

NOW = datetime(2026, 1, 25, 12, 30, 1, tzinfo=UTC)
COMMIT, ACTOR = "c" * 40, "Arbitre <arbitre@example.org>"
TRIPLETS, TRAINING = "corpus/training/triplets_train.jsonl", "build/models/qlora/training_args.json"
ANSWERS = "reports/answers.jsonl"
EVENTS = [
    NewEvent(event="registered", tag="v1.0-base"),
    NewEvent(event="gated", tag="v1.1-qlora", evidence_sha256="a" * 64, verdict=None),
    NewEvent(event="kept", tag="v1.0-base", evidence_sha256="a" * 64),
    NewEvent(event="released", tag="v1.0-base", evidence_sha256="b" * 64),
]


@dataclass(frozen=True, slots=True)
class Audited:
    """A judged project, and apart from it a pair of keys and the place for what is taken away."""

    folder: Path

    @property
    def root(self) -> Path:
        """The root of the project."""
        return Project(self.folder).root

    @property
    def decision(self) -> Path:
        """The decision."""
        return self.root / "reports" / "decision.json"

    @property
    def key(self) -> Path:
        """The private key."""
        return self.folder / "keys" / PRIVATE_KEY

    @property
    def output(self) -> Path:
        """Where the bundle goes."""
        return self.folder / "taken" / "audit-bundle"

    @property
    def record(self) -> Record:
        """The decision, read."""
        return load_json(self.decision, Record)

    def copy(self, folder: Path) -> Audited:
        """Return a copy of everything below another folder."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Audited(folder)

    def open(self) -> Case:
        """Return the case of this project's decision."""
        return open_case(self.decision, self.root)

    def change(self, **changes: Any) -> None:
        """Let the decision say something else."""
        write_json(self.decision, self.record.model_copy(update=changes).model_dump(mode="json"))

    def take_away(self) -> Path:
        """Write the bundle, and return its zip."""
        return write_bundle(Commission(self.decision, self.root, self.key, NOW, self.output), lambda _: None)


def write_audited(folder: Path) -> Audited:
    """Write a project that was judged for the second time, with a decision that names files of the project alone."""
    project = write_project(folder, BETTER)
    record = decide(project)
    audited = Audited(folder)
    shutil.copytree(EXPECTATIONS, audited.root / "expectations")
    write_rest(audited.root)
    rules = {
        name: InputRecord(path=f"expectations/{Path(each.path).relative_to(EXPECTATIONS)}", sha256=each.sha256)
        for name, each in record.inputs.items()
        if Path(each.path).is_absolute()
    }
    rest = {"triplets": TRIPLETS, "training": TRAINING, "graph": "dvc.lock", "log": str(LOG)}
    inputs = {**record.inputs, **rules} | {name: describe(audited.root, path) for name, path in rest.items()}
    changed = record.model_copy(update={"inputs": inputs, "answers": describe(audited.root, ANSWERS), "attempt": 2})
    write_json(audited.decision, changed.model_dump(mode="json"))
    make_key_pair(folder / "keys")
    return audited


def write_rest(root: Path) -> None:
    """Write what the gate of a small project is not given: training, build graph, log and answers."""
    (root / TRIPLETS).parent.mkdir(parents=True)
    (root / TRIPLETS).write_text('{"anchor": "Quand ?", "positive": "Demain.", "negative": "Hier."}\n', "utf-8")
    (root / "dvc.lock").write_text("schema: '2.0'\n", "utf-8")
    append_events(root, ACTOR, COMMIT, EVENTS)
    write_json(root / TRAINING, make_training(compute_sha256(root / TRIPLETS)).model_dump(mode="json"))
    side = SideAnswers(returned=["fr-1", "fr-2"], ranks=[1], metrics={"recall@5": 1.0})
    answer = QuestionAnswers(corpus="fr", question="q1", relevant=["fr-1"], base=side, candidate=side)
    (root / ANSWERS).write_text(answer.model_dump_json() + "\n", "utf-8")


def make_training(sha256: str) -> TrainingArguments:
    """Return how a candidate says that it was trained, on one pair of a file of this digest."""
    return TrainingArguments(
        model_id="embedded-gemma-chess-fr",
        parent=ParentModel(model_id="embedded-gemma-lsa", revision=None, weights_sha256="d" * 64),
        settings={"rank": 16, "epochs": 0.3},
        method=TrainingMethod(
            adapter="LoRA", quantisation="nf4", target_modules="all-linear", loss="InfoNCE", merged_into="float32",
            libraries={"torch": "2.13.0"},
        ),
        data=TrainingData(triplets=1, sha256=sha256),
        loss=[1.5, 0.5],
    )  # fmt: skip


def describe(root: Path, path: str) -> InputRecord:
    """Return a file as a decision names it."""
    return InputRecord(path=path, sha256=compute_sha256(root / path))


def read_json(path: Path) -> Any:
    """Return a JSON document."""
    return json.loads(path.read_text("utf-8"))
