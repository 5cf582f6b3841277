"""What the sweeps run: commands and writers over small real files, each replacing what an earlier run left."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import write_json
from pipeline.vectors import save_vectors
from tests.conftest import Result, draw_unit_vectors, write_sample
from tests.faults.failing import fail
from tests.fuzz.spoil import run_quietly

ROWS = 4
NAMES = ("export", "adopt", "vectors", "document")


@dataclass(frozen=True, slots=True)
class Command:
    """A command that writes into the folder `out` beside its inputs, over an older output there."""

    name: str
    folder: Path

    @property
    def out(self) -> Path:
        """The folder of what is written."""
        return self.folder / "out"

    def run(self, label: str = "new") -> Result:
        """Run it in this process; the label goes into what is written."""
        paths = {"chunks": self.folder / "corpus" / "chunks.json", "embeddings": self.folder / "embeddings.npy"}
        if self.name == "export":
            return run_quietly("pipeline.export_sdk", *_list(paths), "--output", self.out / "a.db", "--model-id", label)
        paths |= {"questions": self.folder / "corpus" / "questions.jsonl"}
        paths |= {"question-embeddings": self.folder / "questions.npy"}
        if self.name == "adopt":
            return run_quietly("pipeline.adopt", *_list(paths), "--output", self.out / "store", "--model-id", label)
        if self.name == "vectors":
            matrix = draw_unit_vectors(ROWS, len(label) * ord(label[0]))
            return run_quietly(None, lambda: save_vectors(self.out / "a.npy", matrix))
        return run_quietly(None, lambda: write_json(self.out / "decision.json", {"decision": label * 3000}))


def _list(paths: dict[str, Path]) -> list[object]:
    return [part for name, path in paths.items() for part in (f"--{name}", path)]


def prepare(name: str, folder: Path) -> Command:
    """Write the inputs of a command, and what an earlier run of it left."""
    write_sample(folder / "corpus", rows=ROWS, questions=ROWS)
    save_vectors(folder / "embeddings.npy", draw_unit_vectors(ROWS, 1))
    save_vectors(folder / "questions.npy", draw_unit_vectors(ROWS, 2))
    command = Command(name, folder)
    result = command.run("old")

    assert result.code == 0, result
    return command


def run_killed(name: str, folder: Path, operation: str, number: int) -> None:
    """Run a command in a process that is killed at the n-th call of an operation; for a process of its own."""
    with fail(folder, operation, number, kill=True):
        Command(name, folder).run()


def clear(command: Command, content: dict[str, bytes]) -> None:
    """Put back into `out` what was there."""
    shutil.rmtree(command.out)
    for name, found in content.items():
        path = command.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(found)
