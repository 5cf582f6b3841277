"""Let a process that releases or falls back die at its n-th step, or in the middle of it; tell which steps there are.

The steps are seen by an audit hook of Python: nothing of what runs is replaced.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil

from pipeline.errors import PipelineError
from tests.projects import BASE_TAG, NETWORK_FREE, Project
from validation.releasing.fallback import fall_back
from validation.releasing.release import release
from validation.releasing.workplace import SCRATCH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.context import ForkServerContext, ForkServerProcess

# Dying before a command that only reads leaves what dying before the next step leaves: these are no steps of their own.
_READING = {"cat-file", "config", "diff", "for-each-ref", "hash-object", "ls-remote", "ls-tree", "merge-base", "remote"}
_READING |= {"rev-parse", "symbolic-ref", "var"}
_CHANGES = frozenset(
    {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "os.symlink", "os.truncate"}
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_EXCHANGE = "renameat2"
_RANDOM = re.compile(r"(?<=/tmp)[a-z0-9_]{8}(?=/|$)|(?<=\.)[a-z0-9_]{8}\.(?=partial|retired)")
REFUSED = 1


@dataclass(frozen=True, slots=True)
class Act:
    """What a process does: act upon the decision, or serve a tag again."""

    what: Literal["release", "fallback"]
    tag: str = BASE_TAG
    push: bool = False

    def attempt(self, project: Project) -> PipelineError | None:
        """Do it, or return why it is refused, which is one line."""
        try:
            self.do(project)
        except PipelineError as error:
            _require_line(error)
            return error
        return None

    def do(self, project: Project) -> None:
        """Do it. Raises `PipelineError` where it is refused."""
        if self.what == "release":
            release(project.repository, project.order(), execute=True)
        else:
            fall_back(project.repository, self.tag, BASE_TAG, push=self.push)


@dataclass(frozen=True, slots=True)
class Death:
    """When a process dies: before its n-th step, or `delay_s` after that step, a command, has begun.

    Who dies in the middle takes the command with it. A command that speaks to the Git remote dies without what runs
    there: that is another machine's.
    """

    number: int
    delay_s: float | None = None


class Steps:
    """Counts the steps of this process, and ends it when it is time."""

    def __init__(self, root: Path, death: Death | None) -> None:
        """Nothing is counted before the hook is added."""
        self.labels: list[str] = []
        self._root = os.fspath(root)
        self._death = death

    def look(self, event: str, arguments: Sequence[Any]) -> None:
        """Count an event of this process if it is a step; Python calls this before it happens."""
        label = self._describe(event, arguments)
        if label is None:
            return
        self.labels.append(label)
        if self._death is None or len(self.labels) != self._death.number:
            return
        if self._death.delay_s is None:
            os.kill(os.getpid(), signal.SIGKILL)
        threading.Thread(target=self._die_later, args=(self._death.delay_s, label), daemon=True).start()

    def _die_later(self, delay_s: float, label: str) -> None:
        time.sleep(delay_s)
        if label == "git push":
            for child in psutil.Process().children():
                child.kill()
            os.kill(os.getpid(), signal.SIGKILL)
        os.killpg(0, signal.SIGKILL)

    def _describe(self, event: str, arguments: Sequence[Any]) -> str | None:
        if event == "subprocess.Popen":
            return _describe_command(arguments[1])
        if event == "ctypes.dlsym" and arguments[1] == _EXCHANGE:
            return "exchange"
        if event == "shutil.rmtree" or event in _CHANGES or (event == "open" and _is_writing(arguments)):
            return self._describe_change(event, arguments)
        return None

    def _describe_change(self, event: str, arguments: Sequence[Any]) -> str | None:
        path = self._locate(arguments[0], arguments[-1] if event in {"os.remove", "os.rmdir"} else None)
        if path is None or not path.startswith(self._root):
            return None
        name = os.path.relpath(path, self._root)
        if event in {"os.remove", "os.rmdir"} and name.startswith(str(SCRATCH)):
            return None  # of a scratch tree that is being removed, which is one step
        target = f" to {os.path.relpath(os.fspath(arguments[1]), self._root)}" if event == "os.rename" else ""
        return _RANDOM.sub("", f"{event.removeprefix('os.')} {name}{target}")

    def _locate(self, path: object, folder: object) -> str | None:
        if not isinstance(path, str | bytes | os.PathLike):
            return None
        is_inside = isinstance(folder, int) and folder >= 0
        return os.fspath((Path(f"/proc/self/fd/{folder}").readlink() if is_inside else Path.cwd()) / os.fsdecode(path))


def _require_line(error: PipelineError) -> None:
    assert "\n" not in str(error)


def _is_writing(arguments: Sequence[Any]) -> bool:
    _, mode, flags = arguments
    return bool(set(mode) & set("wax+")) if isinstance(mode, str) else bool((flags or 0) & _WRITING)


def _describe_command(command: Sequence[object]) -> str | None:
    words = list(map(str, command))
    if words[0] != "git":
        return f"dvc {words[3]}"
    rest = words[1:]
    while rest[0] in {"-C", "-c"}:
        rest = rest[2:]
    return None if rest[0] in _READING else " ".join(["git", *rest[: 2 if rest[0] == "worktree" else 1]])


def run_counted(folder: Path, act: Act, death: Death | None, report: Path) -> None:
    """Act in this process and report its steps, or die; for a process of its own."""
    os.setsid()
    os.environ.update(NETWORK_FREE)
    project = Project(folder)
    steps = Steps(project.root, death)
    sys.addaudithook(steps.look)
    try:
        act.do(project)
    except PipelineError as error:
        report.write_text(json.dumps(str(error)), "utf-8")
        sys.exit(REFUSED)
    report.write_text(json.dumps(steps.labels), "utf-8")


@cache
def _get_context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.releasing.killing"])
    return context


def begin(project: Project, act: Act, death: Death | None = None) -> ForkServerProcess:
    """Begin an act in a process of its own, which may die in it."""
    process = _get_context().Process(target=run_counted, args=(project.folder, act, death, get_report(project, act)))
    process.start()
    return process


def get_report(project: Project, act: Act) -> Path:
    """Return where a process says what it did: beside the project."""
    return project.folder / f"{act.what}-{act.tag}.json"


def kill(project: Project, act: Act, death: Death) -> bool:
    """Act in a process that dies; return whether it did, and did not end before. Raises nothing."""
    process = begin(project, act, death)
    process.join()
    return process.exitcode == -signal.SIGKILL


def count_steps(project: Project, act: Act) -> list[str]:
    """Act, uninterrupted, in a process of its own, and return its steps."""
    process = begin(project, act)
    process.join()
    told = json.loads(get_report(project, act).read_text("utf-8"))

    assert process.exitcode == 0, told
    labels: list[str] = told
    return labels
