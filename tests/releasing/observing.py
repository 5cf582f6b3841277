"""What a project and its remotes hold, read without the code that wrote it: served files, tags, objects, leftovers."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.projects import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.projects import Project

_MD5 = re.compile(r"md5: ([0-9a-f]{32})(\.dir)?")
SERVED, LOG, SCRATCH = "corpus/processed", "models/releases.jsonl", "build/scratch"
# Beside the files of a release: what is there before the first one.
# What was measured is text, which Git keeps.
MEASURES = (f"{SERVED}/metrics.json", f"{SERVED}/plots/")
_TEXT = re.compile(r"chunks_mode_b_\w+\.json|\.gitignore")


@dataclass(frozen=True, slots=True)
class Seen:
    """What counts of a project and its Git remote: two runs that did the same leave the same.

    Attributes:
        served, models: SHA-256 by name of everything in the served folder; of each model, by its folder.
        events: kind and tag of each event of the committed log.
        tags, remote_tags: the object of each tag, without its time: whether both sides have the same, by name.
        commits, ahead: how many there are, and how many of them the Git remote does not have.
    """

    served: dict[str, str]
    models: dict[str, dict[str, str]]
    events: list[tuple[str, str]]
    tags: list[str]
    is_same_there: bool
    commits: int
    ahead: int


def see(project: Project) -> Seen:
    """Return what counts of a project."""
    here, there = list_tags(project.root), list_tags(project.remote)
    return Seen(
        served=read_folder(project.root / SERVED),
        models=read_models(project),
        events=[(event["event"], event["tag"]) for event in read_log(project)],
        tags=sorted(here),
        is_same_there=here == there,
        commits=int(project.git("rev-list", "--count", "HEAD")),
        ahead=int(project.git("rev-list", "--count", f"{ask(project.remote, 'rev-parse', 'main')}..HEAD")),
    )


def ask(folder: Path, *arguments: str) -> str:
    """Return what Git says in a folder."""
    return run(folder, "git", *arguments).stdout.strip()


def read_folder(folder: Path) -> dict[str, str]:
    """Return SHA-256 by name of everything below a folder, which must all be plain files and folders."""
    found = {}
    for path in sorted(folder.rglob("*")):
        assert not path.is_symlink(), path
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def read_models(project: Project) -> dict[str, dict[str, str]]:
    """Return what each folder of a model holds, by its name; half-made ones and evidence apart."""
    folders = [path for path in (project.root / "models").glob("*") if path.is_dir()]
    named = [path for path in folders if not path.name.startswith(".") and path.name != "evidence"]
    return {path.name: read_folder(path) for path in named}


def list_tags(folder: Path) -> dict[str, str]:
    """Return the object that each tag of a repository names."""
    lines = ask(folder, "for-each-ref", "--format=%(refname:short) %(objectname)", "refs/tags").splitlines()
    return dict(line.split(" ") for line in lines)


def read_log(project: Project, revision: str = "HEAD", folder: Path | None = None) -> list[dict[str, Any]]:
    """Return the events of a commit's log, whose chain must hold and whose lines must all be others."""
    shown = run(folder or project.root, "git", "show", f"{revision}:{LOG}", check=False)
    lines = shown.stdout.splitlines() if shown.returncode == 0 else []
    previous = "0" * 64
    for number, line in enumerate(lines, 1):
        event = json.loads(line)
        assert (event["number"], event["previous"]) == (number, previous), (
            f"{revision}: the chain is broken at {number}"
        )
        previous = hashlib.sha256(line.encode()).hexdigest()
    return [json.loads(line) for line in lines]


def find_served(project: Project) -> str | None:
    """Return the tag that is served by the log."""
    switches = {"released", "kept", "fell back", "restored"}
    return next((event["tag"] for event in reversed(read_log(project)) if event["event"] in switches), None)


def is_behind(project: Project) -> bool:
    """Whether the Git remote has commits that are not here."""
    there = ask(project.remote, "rev-parse", "main")
    return run(project.root, "git", "merge-base", "--is-ancestor", there, "HEAD", check=False).returncode != 0


def flip(path: Path) -> None:
    """Change a bit of a file, or change it back."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


def check_whole(project: Project, *, released: bool = True) -> str | None:
    """Return the tag that `release.json` names, after holding every file of the served folder against it."""
    found = read_folder(project.root / SERVED)
    others = {name for name in found if not _TEXT.fullmatch(name)}
    if "release.json" not in found:
        assert others == set(), f"before the first release: {sorted(others)}"
        assert not released
        return None
    document = json.loads((project.root / SERVED / "release.json").read_text("utf-8"))
    files = {file["path"]: file["sha256"] for file in document["files"]}
    named = {path.removeprefix(f"{SERVED}/"): digest for path, digest in files.items() if path.startswith(SERVED)}
    pointers = {pointer["path"].removeprefix(f"{SERVED}/") for pointer in document["pointers"]}
    beside = {name for name in pointers if not name.startswith("models/")}

    assert {name: found.get(name) for name in named} == named
    assert others == {*named, *beside, "release.json"}
    for name in beside:
        content = (project.root / SERVED / name.removesuffix(".dvc")).read_bytes()
        assert (project.root / SERVED / name).read_text("utf-8").count(_md5(content)) == 1, name
    tag: str = document["tag"]
    return tag


def check_remote(project: Project) -> None:
    """Look at every tag of the Git remote: its commit is on the branch, and its objects are on the DVC remote, good."""
    log = read_log(project, "main", project.remote)
    for tag in list_tags(project.remote):
        assert run(project.remote, "git", "merge-base", "--is-ancestor", tag, "main", check=False).returncode == 0, tag
        assert [event["event"] for event in log if event["tag"] == tag].count("released") == 1, tag
        document = json.loads(ask(project.remote, "show", f"{tag}:{SERVED}/release.json"))
        files = {file["path"]: file["sha256"] for file in document["files"]}

        assert document["tag"] == tag
        measured = {path: digest for path, digest in files.items() if path.startswith(MEASURES)}
        assert {path: _hash_committed(project, tag, path) for path in measured} == measured
        pointers = [pointer["path"] for pointer in document["pointers"]]
        assert _list_objects(project, tag, pointers) | measured == files
    released = {event["tag"] for event in log if event["event"] == "released"}

    assert released == set(list_tags(project.remote))


def check_tidy(project: Project) -> None:
    """Look for anything that differs from the commit, or that a run leaves only when it was killed."""
    check_leftovers(project)

    assert project.git("status", "--porcelain") == ""


def check_leftovers(project: Project) -> None:
    """Look for scratch trees, half-made folders, locks, and trees that Git still lists."""
    leftovers = [
        *project.root.glob(f"{SCRATCH}/*"),
        *project.root.glob("corpus/.*"),
        *project.root.glob("models/.*.partial"),
        *project.root.glob("models/.*.retired"),
        *(project.root / SERVED).glob("*.partial"),
        *(project.root / ".git").rglob("*.lock"),
        *(project.root / ".git" / "worktrees").glob("*"),
    ]
    own = {"embedding-store-gate.lock"}

    assert [path for path in leftovers if path.name not in own] == []
    assert project.git("worktree", "list", "--porcelain").count("worktree ") == 1


def _hash_committed(project: Project, tag: str, path: str) -> str:
    """Return SHA-256 of a text file as it is in a commit of the remote."""
    content = run(project.remote, "git", "show", f"{tag}:{path}").stdout
    return hashlib.sha256(content.encode()).hexdigest()


def _list_objects(project: Project, tag: str, pointers: list[str]) -> dict[str, str]:
    """Return SHA-256 by path of all that pointers name, as it is on the DVC remote, each object having its MD5."""
    found = {}
    for pointer in pointers:
        named = _MD5.search(ask(project.remote, "show", f"{tag}:{pointer}"))
        assert named, pointer
        content = _read_object(project, named[1], named[2] or "")
        path = pointer.removesuffix(".dvc")
        if named[2]:
            for entry in json.loads(content):
                inner = _read_object(project, entry["md5"], "")
                found[f"{path}/{entry['relpath']}"] = hashlib.sha256(inner).hexdigest()
        else:
            found[path] = hashlib.sha256(content).hexdigest()
    return found


def _read_object(project: Project, md5: str, suffix: str) -> bytes:
    content = (project.objects / "files" / "md5" / md5[:2] / f"{md5[2:]}{suffix}").read_bytes()

    assert _md5(content) == md5
    return content


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
