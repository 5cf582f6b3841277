"""What is done to a project, rightly and wrongly, and what a refusal must look like."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import PipelineError
from pipeline.files import compute_sha256, write_json
from tests.projects import BASE_TAG, run_dvc, take_snapshot
from validation.outcomes import Verdict
from validation.releasing.audit import audit
from validation.releasing.errors import HaltError
from validation.releasing.events import LOG
from validation.releasing.fallback import fall_back
from validation.releasing.release import release
from validation.releasing.release_file import (
    RELEASE_FILE,
    SERVED,
    Release,
    describe_pointer,
    load_committed_release,
    load_release,
)
from validation.releasing.tracking import LOCAL_CACHE, list_sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.projects import Project
    from validation.releasing.audit import Finding
    from validation.releasing.fallback import Return

    Spoil = Callable[[Path], object]

HALT, ERROR = Verdict.HALT, Verdict.NOT_EVALUATED
VECTORS, DATABASE = "embeddings_mode_b_fr.npy", "corpus_mode_b_fr.db"


def audit_tag(project: Project, name: str | None = None, *, fetch: bool = False) -> list[Finding]:
    """Audit a release, offline unless told otherwise."""
    sources = list_sources(project.root) if fetch else [LOCAL_CACHE]
    return audit(project.repository, name, BASE_TAG, sources)


def serve(project: Project, name: str = BASE_TAG) -> Return:
    """Fall back to a release."""
    return fall_back(project.repository, name, BASE_TAG, push=False)


def act_upon(project: Project) -> object:
    """Act upon the decision of a project."""
    return release(project.repository, project.order(), execute=True)


def expect_refusal(
    project: Project,
    act: Callable[[], object],
    verdict: Verdict,
    *words: str,
    sends: bool = False,
    drops: Path | None = None,
) -> str:
    """Assert that an act is refused with an exit code, a message that says all of this, and nothing changed.

    `sends` allows that objects were put on the DVC remote before: no reference names them, so they change nothing.
    `drops` is a bad object that DVC removes from a remote when it meets it.
    Returns what is wrong, without the remedy.
    """
    before = take_snapshot(project)
    with pytest.raises(PipelineError) as caught:
        act()
    after, error = take_snapshot(project), caught.value

    assert error.exit_code == verdict.exit_code, error
    assert isinstance(error, HaltError) is (verdict is HALT)
    assert [word for word in words if word not in f"{error.where}: {error.problem}"] == [], error
    assert error.remedy
    if sends:
        assert before.objects.items() <= after.objects.items()
        after = replace(after, objects=before.objects)
    if drops is not None:
        assert str(drops) not in after.objects
        before.objects.pop(str(drops))
    assert after == before
    return error.problem


def find_object(project: Project, store: Path, tag: str, name: str) -> Path:
    """Return where a store of objects keeps what a release serves under a name."""
    release = load_committed_release(project.repository, project.git("rev-parse", f"refs/tags/{tag}^{{commit}}"))
    assert release is not None
    pointer = next(each for each in release.pointers if each.path.endswith(f"/{name}.dvc"))
    return store / "files" / "md5" / pointer.md5[:2] / pointer.md5[2:]


def get_cache(project: Project) -> Path:
    """Return the cache of a project."""
    return project.root / ".dvc" / "cache"


def damage(path: Path) -> None:
    """Change one byte of a file, leave its size, and make it read-only."""
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    path.chmod(0o444)


def edit_release(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change `release.json`."""
    document = json.loads((root / RELEASE_FILE).read_text("utf-8"))
    change(document)
    write_json(root / RELEASE_FILE, document)


def record_served(root: Path) -> Release:
    """Write into `release.json` what is served and what the pointers say, and return it."""
    release = load_release(root)
    files = [
        each.model_copy(update={"size": path.stat().st_size, "sha256": compute_sha256(path)})
        for each, path in ((each, root / each.path) for each in release.files)
    ]
    pointers = [describe_pointer(root / pointer.path, root) for pointer in release.pointers]
    release = release.model_copy(update={"files": files, "pointers": pointers})
    write_json(root / RELEASE_FILE, release.model_dump(mode="json"))
    return release


def make_again(project: Project, spoil: Spoil) -> None:
    """Make the release that is checked out anew, spoilt, with log, tag and remotes as they are for a good one."""
    name = load_release(project.root).tag
    spoil(project.root)
    *before, last = (project.root / LOG).read_text("utf-8").splitlines()
    event = json.loads(last) | {"evidence_sha256": compute_sha256(project.root / RELEASE_FILE)}
    line = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    (project.root / LOG).write_text("".join(f"{each}\n" for each in [*before, line]), "utf-8")
    project.git("add", "--all", "--", "corpus", "models")
    project.git("commit", "--quiet", "--amend", "--no-edit", "--allow-empty")
    project.git("tag", "--force", "--annotate", "--message", "again", name)
    project.git("push", "--quiet", "--force", "origin", "main", f"refs/tags/{name}")


def make_content_again(project: Project, spoil: Spoil, *names: str) -> None:
    """Make the release that is checked out anew, from other content, with digests and objects that are right for it."""

    def build(root: Path) -> None:
        spoil(root)
        run_dvc(root, "add", *(str(SERVED / name) for name in names))
        record_served(root)

    make_again(project, build)
    run_dvc(project.root, "push")
