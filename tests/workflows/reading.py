"""Read the workflows: jobs, steps, what a condition demands, and which nox sessions a command runs."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "workflows"
SESSION = re.compile(r'nox -s (?P<session>[a-z]+)(?: --(?: (?:--)?[a-z0-9-]+| "\$[A-Z0-9_]+")+)?')


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow's file name, its text (which alone has the comments) and what the text means."""

    name: str
    text: str
    data: dict[str, Any]

    @property
    def triggers(self) -> dict[str, Any]:
        """Return what starts it, with the settings of each."""
        on = self.data["on"]
        return on if isinstance(on, dict) else dict.fromkeys([on] if isinstance(on, str) else on)

    @property
    def jobs(self) -> dict[str, Any]:
        """Return its jobs by name, in the order of the file."""
        return dict(self.data["jobs"])


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a job; `run` is empty where it uses an action."""

    job: str
    id: str
    run: str
    uses: str
    condition: str
    env: dict[str, str]
    options: dict[str, Any]
    name: str

    @property
    def lines(self) -> list[str]:
        """Return its commands, one a line."""
        return [line.strip() for line in self.run.splitlines() if line.strip()]

    @property
    def sessions(self) -> list[str]:
        """Return the nox sessions that it runs."""
        return [match["session"] for line in self.lines if (match := SESSION.fullmatch(line))]


def parse_workflow(name: str, text: str) -> Workflow:
    """Return a workflow from its text."""
    return Workflow(name, text, YAML(typ="safe", pure=True).load(text))


def load_workflows() -> list[Workflow]:
    """Read every workflow of this project, whichever of the two endings GitHub takes its file has."""
    paths = sorted([*FOLDER.glob("*.yml"), *FOLDER.glob("*.yaml")])
    return [parse_workflow(path.name, path.read_text(encoding="utf-8")) for path in paths]


def list_steps(workflow: Workflow, job: str | None = None) -> list[Step]:
    """Return the steps of one job, or of all, in order."""
    return [
        Step(
            job=name,
            id=str(step.get("id", "")),
            run=str(step.get("run", "")),
            uses=str(step.get("uses", "")),
            condition=str(step.get("if", "")),
            env=dict(step.get("env") or {}),
            options=dict(step.get("with") or {}),
            name=str(step.get("name", "")),
        )
        for name, each in workflow.jobs.items()
        if job in (None, name)
        for step in each.get("steps", [])
    ]


def list_sessions(noxfile: Path = ROOT / "noxfile.py") -> set[str]:
    """Return the names of the nox sessions, read from the source and not run."""
    functions = [node for node in ast.parse(noxfile.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)]
    return {
        function.name
        for function in functions
        for mark in function.decorator_list
        if ast.unparse(mark.func if isinstance(mark, ast.Call) else mark) == "nox.session"
    }


def list_clauses(condition: object) -> set[str]:
    """Return what must all be true for a condition to be true."""
    text = re.sub(r"\s+", " ", str(condition or "")).strip().removeprefix("${{").removesuffix("}}")
    return {clause.strip() for clause in text.split("&&")}


def list_needs(job: dict[str, Any]) -> list[str]:
    """Return the jobs that a job waits for."""
    needs = job.get("needs") or []
    return [needs] if isinstance(needs, str) else list(needs)


def list_writing(workflow: Workflow) -> dict[str, Any]:
    """Return the jobs that may write to the repository."""
    jobs = workflow.jobs.items()
    return {name: job for name, job in jobs if dict(job.get("permissions") or {}).get("contents") == "write"}


def walk_keys(value: object) -> Iterator[tuple[str, object]]:
    """Yield every key of a document with its value, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key), inner
            yield from walk_keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk_keys(inner)


def walk_texts(value: object) -> Iterator[str]:
    """Yield every text of a document, at any depth; keys are none."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk_texts(inner)


def count_texts(workflow: Workflow, pattern: str) -> int:
    """Return in how many texts of a workflow a pattern is found."""
    return sum(bool(re.search(pattern, text)) for text in walk_texts(workflow.data))
