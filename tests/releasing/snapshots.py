"""What a project, its remotes and its decision are, so that a test can tell whether anything changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import PipelineError
from pipeline.files import compute_sha256
from tests.projects import run
from validation.record import DECISION
from validation.releasing.release import release
from validation.releasing.workplace import SCRATCH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.projects import Project
    from validation.outcomes import Verdict

# What Git and DVC keep for themselves; references and index are asked for by name.
_INNER = (".git/", ".dvc/cache/", ".dvc/tmp/")


def list_refs(folder: Path) -> list[str]:
    """Return every reference of a repository with the object that it names."""
    return run(folder, "git", "for-each-ref", check=False).stdout.splitlines()


def look_at(project: Project) -> dict[str, Any]:
    """Return everything that must not change where nothing is done: files, index, references, remotes."""
    return {
        "files": _list_files(project.root, _INNER),
        "scratch": sorted(path.name for path in (project.root / SCRATCH).glob("*")),
        "head": run(project.root, "git", "rev-parse", "--symbolic-full-name", "HEAD", check=False).stdout,
        "index": run(project.root, "git", "ls-files", "--stage", check=False).stdout,
        "refs": [line for line in list_refs(project.root) if "refs/remotes/" not in line],
        "worktrees": run(project.root, "git", "worktree", "list", "--porcelain", check=False).stdout,
        "remote": list_refs(project.remote) if project.remote.exists() else None,
        "objects": _list_files(project.objects),
        "cache": _list_files(project.root / ".dvc" / "cache"),
    }


def leave_out_objects(seen: dict[str, Any]) -> dict[str, Any]:
    """Return what was seen, but for objects by their digests, of which more may lie about without harm."""
    return {name: part for name, part in seen.items() if name not in {"objects", "cache"}}


def _list_files(folder: Path, left_out: tuple[str, ...] = ()) -> dict[str, str]:
    paths = [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    kept = {name: path for name, path in names.items() if not (left_out and name.startswith(left_out))}
    return {name: str(path.readlink()) if path.is_symlink() else compute_sha256(path) for name, path in kept.items()}


def edit_decision(project: Project, change: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite the decision of a project."""
    path = project.root / "reports" / DECISION
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document), "utf-8")


def rebind(project: Project, **changes: Any) -> None:
    """Let the decision of a project be about the commit that is checked out now, some of its fields being others."""

    def change(document: dict[str, Any]) -> None:
        document["code"]["revision"] = project.git("rev-parse", "HEAD")
        document.update(changes)

    edit_decision(project, change)


def act(project: Project, *, execute: bool = True, digest: str | None = None) -> tuple[Verdict, tuple[str, ...]]:
    """Act upon the decision of a project; return its verdict and what was done, or would be."""
    verdict, plan = release(project.repository, project.order(digest), execute=execute)
    return verdict, plan.steps


def refuse(project: Project, error: type[PipelineError], *, more_objects: bool = False) -> PipelineError:
    """Act upon a decision, which must fail in one line, with a remedy, without changing anything; return the error.

    `more_objects` is for what fails late: objects may then lie in cache and DVC remote that nothing points to.
    """
    before = look_at(project)
    with pytest.raises(PipelineError) as caught:
        act(project)
    after = look_at(project)
    assert caught.type is error
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.remedy
    if more_objects:
        before, after = leave_out_objects(before), leave_out_objects(after)
    assert after == before
    return caught.value
