"""Run the jobs of a workflow as GitHub would: checkouts, artifacts and every `run:` step in order, on a bare remote."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.projects import NETWORK_FREE, run
from tests.workflows.reading import list_needs, list_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.workflows.reading import Step, Workflow

SECRET = "s3cr3t-that-nobody-may-see"  # noqa: S105 - it opens nothing
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", re.DOTALL)
NOT_RUN = ("actions/setup-python",)


@dataclass(slots=True)
class Run:
    """What became of a run: results and outputs by job, the artifact, and everything that was printed."""

    folder: Path
    remote: Path
    workflow: Workflow
    inputs: dict[str, str] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    steps: list[tuple[str, str, int]] = field(default_factory=list)
    printed: str = ""
    attempt: int = 1

    @property
    def artifact(self) -> Path:
        """Where the kept files lie between jobs."""
        return self.folder / "artifact"

    def get_code(self, job: str, step: str) -> int:
        """Return the exit code of a step."""
        return next(code for name, each, code in self.steps if (name, each) == (job, step))


def rehearse(run: Run, prepare: Callable[[str, Path], None] = lambda _job, _tree: None) -> Run:
    """Run every job that is due, in order; `prepare` is called with each working tree after its checkout."""
    for name, job in run.workflow.jobs.items():
        if not is_due(run, name):
            run.results[name] = "skipped"
            continue
        outputs = run_steps(run, name, prepare)
        told = {key: fill(str(value), run, outputs) for key, value in (job.get("outputs") or {}).items()}
        run.outputs[name] = told
    return run


def is_due(run: Run, name: str) -> bool:
    """Whether GitHub would start a job: what it needs went well, and its condition holds."""
    job = run.workflow.jobs[name]
    condition = str(job.get("if") or "")
    if not condition:
        return all(run.results[need] == "success" for need in list_needs(job))
    return bool(evaluate(condition, run, {}))


def evaluate(condition: str, run: Run, outputs: dict[str, dict[str, str]]) -> object:
    """Return the value of a condition made of comparisons, `&&` and `||`."""
    inner = condition.strip().removeprefix("${{").removesuffix("}}")
    named = re.sub(r"(?<!')\b[a-z_]+(?:\.[A-Za-z0-9_-]+)+", lambda found: repr(look_up(found[0], run, outputs)), inner)
    python = named.replace("&&", " and ").replace("||", " or ").replace("!cancelled()", "True").strip()
    # The workflow is our own, and its names were replaced by their values.
    return eval(" ".join(python.split()), {"__builtins__": {}}, {"failure": lambda: False})  # noqa: S307


def look_up(name: str, run: Run, outputs: dict[str, dict[str, str]]) -> str:
    """Return the value of a name in an expression."""
    parts = name.split(".")
    match parts:
        case ["secrets", _] | ["github", "token"]:
            value = SECRET
        case ["vars", _]:
            value = ""
        case ["github", "ref"]:
            value = "refs/heads/main"
        case ["inputs", key]:
            value = run.inputs[key]
        case ["needs", job, "result"]:
            value = run.results[job]
        case ["needs", job, "outputs", key]:
            value = run.outputs.get(job, {}).get(key, "")
        case ["steps", step, "outputs", key]:
            value = outputs.get(step, {}).get(key, "")
        case ["steps", step, "outcome"]:
            codes = [code for _, each, code in run.steps if each == step]
            value = "skipped" if not codes else "failure" if codes[-1] else "success"
        case _:
            message = f"the rehearsal does not know {name}"
            raise AssertionError(message)
    return value


def fill(text: str, run: Run, outputs: dict[str, dict[str, str]]) -> str:
    """Return a text with its expressions replaced by their values."""
    return EXPRESSION.sub(lambda found: look_up(found[1], run, outputs), text)


def run_steps(run: Run, job: str, prepare: Callable[[str, Path], None]) -> dict[str, dict[str, str]]:
    """Run the steps of a job in a working tree of its own, and return their outputs."""
    tree = run.folder / job
    tree.mkdir(parents=True)
    outputs: dict[str, dict[str, str]] = {}
    run.results[job] = "success"
    for step in list_steps(run.workflow, job):
        always = "cancelled" in step.condition
        if run.results[job] != "success" and not always:
            continue
        if step.condition and not evaluate(step.condition, run, outputs):
            continue
        if step.uses:
            use_action(run, step, tree)
            if step.uses.startswith("actions/checkout"):
                prepare(job, tree)
            continue
        code, outputs[step.id] = run_step(run, step, tree, outputs)
        run.steps.append((job, step.id, code))
        if code:
            run.results[job] = "failure"
    return outputs


def use_action(run: Run, step: Step, tree: Path) -> None:
    """Do what an action does, with files of this machine."""
    name = step.uses.split("@")[0]
    if name == "actions/checkout":
        clone(run.remote, tree)
    elif name == "actions/upload-artifact":
        for path in step.options["path"].split():
            if (tree / path).exists():
                copy_tree(tree / path, run.artifact / path)
    elif name == "actions/download-artifact":
        copy_tree(run.artifact, tree)
    elif name == "actions/attest-build-provenance":
        for pattern in step.options["subject-path"].split():
            assert list(tree.glob(pattern)), pattern
    else:
        assert name in NOT_RUN, name


def clone(remote: Path, tree: Path) -> None:
    """Check out main with its history and tags."""
    run(tree.parent, "git", "clone", "--quiet", "--branch", "main", str(remote), str(tree))


def copy_tree(source: Path, target: Path) -> None:
    """Copy a file or a folder over what is there."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def run_step(run: Run, step: Step, tree: Path, outputs: dict[str, dict[str, str]]) -> tuple[int, dict[str, str]]:
    """Run the commands of a step the way that GitHub's `bash` does, and return exit code and outputs."""
    told = run.folder / f"{step.job}-{step.id}.txt"
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(run.folder),
        "STORE_GATE_ENVIRONMENT": sys.prefix,
        "GITHUB_OUTPUT": str(told),
        "GITHUB_STEP_SUMMARY": str(run.folder / f"{step.job}-summary.md"),
        "GITHUB_RUN_ID": "4242",
        "GITHUB_RUN_ATTEMPT": str(run.attempt),
        **NETWORK_FREE,
        **{name: fill(str(value), run, outputs) for name, value in step.env.items()},
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.run]
    ended = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    run.printed += f"--- {step.job} {step.id}\n{ended.stdout}{ended.stderr}"
    lines = told.read_text("utf-8").splitlines() if told.exists() else []
    return ended.returncode, dict(line.split("=", 1) for line in lines if line)
