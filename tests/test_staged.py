"""Git's index is read as a commit takes it, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import InputError
from tests.repositories import Repository, forget_git, make_environment, make_repository
from validation.custody import find_misplaced
from validation.staged import list_ignored, read_contents, read_index

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 100


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Return a repository of one file, whatever Git is told outside of it."""
    forget_git(monkeypatch)
    made = make_repository(tmp_path / "project")
    made.stage("README.md", "text")
    return made


def test_every_path_has_its_mode_and_object(repository: Repository) -> None:
    """The index tells plain and executable files, links and submodules."""
    repository.stage("run.sh").chmod(0o755)
    repository.git("add", "run.sh")
    (repository.root / "link").symlink_to("README.md")
    repository.git("add", "link")
    readme = repository.git("rev-parse", ":README.md")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{readme},other")
    index = read_index(repository.root)

    assert {path: (entry.mode, entry.link) for path, entry in index.items()} == {
        "README.md": ("100644", None),
        "link": ("120000", "a symbolic link"),
        "other": ("160000", "a submodule"),
        "run.sh": ("100755", None),
    }
    assert index["README.md"].object_id == readme


def test_contents_are_cut_at_the_limit(repository: Repository) -> None:
    """Each file comes with its whole size and its first bytes, in order, whatever they are."""
    contents = {"a": b"", "b": b"\n\n", "c": b"x" * LIMIT, "d": b"\0\n" * LIMIT, "e": b"y" * 3_000_000, "f": b"end"}
    repository.git("rm", "--quiet", "--cached", "README.md")
    for path, content in contents.items():
        repository.stage(path, content)

    assert list(read_contents(repository.root, read_index(repository.root), LIMIT)) == [
        (path, len(content), content[:LIMIT]) for path, content in contents.items()
    ]


def test_a_reader_may_stop_early(repository: Repository) -> None:
    """Who looks at the first file only leaves no Git behind that waits, and no warning."""
    repository.stage("long", b"x" * 3_000_000)
    contents = read_contents(repository.root, read_index(repository.root), LIMIT)

    assert next(contents) == ("README.md", 4, b"text")
    del contents


def test_a_large_index_does_not_block(repository: Repository) -> None:
    """More names, objects and answers than any pipe holds are read to the end."""
    readme = repository.git("rev-parse", ":README.md")
    lines = "".join(f"100644 {readme}\tfolder/{number:06d}{'x' * 60}.md\n" for number in range(20_000))
    repository.git("update-index", "--add", "--index-info", given=lines.encode())
    index = read_index(repository.root)

    assert len(index) == 20_001
    assert sum(size for _, size, _ in read_contents(repository.root, index, LIMIT)) == 4 * 20_001
    assert find_misplaced(repository.root) == []


@pytest.mark.parametrize("damage", ["gone", "damaged", "no blob"])
def test_an_object_that_cannot_be_read_is_an_error(repository: Repository, damage: str) -> None:
    """A missing or damaged object, or a folder in the place of a file, is no empty file."""
    readme = repository.git("rev-parse", ":README.md")
    stored = repository.root / ".git" / "objects" / readme[:2] / readme[2:]
    stored.chmod(0o644)
    if damage == "damaged":
        stored.write_bytes(b"junk")
    elif damage == "gone":
        stored.unlink()
    else:
        tree = repository.git("write-tree")
        repository.git("update-index", "--cacheinfo", f"100644,{tree},README.md")

    with pytest.raises(InputError, match=r"^README\.md: Git cannot read what is staged; run `git fsck`"):
        list(read_contents(repository.root, read_index(repository.root), LIMIT))


def test_no_repository_is_an_error(tmp_path: Path) -> None:
    """A folder outside of any repository, or one that does not exist, is told in one line."""
    (tmp_path / "plain").mkdir()

    for folder in ("plain", "none"):
        with pytest.raises(InputError, match=r"`git rev-parse`: fatal: .*; run this in a clone") as refusal:
            read_index(tmp_path / folder)
        assert "\n" not in str(refusal.value)


def test_a_folder_of_another_repository_is_an_error(repository: Repository) -> None:
    """A project that was copied into a repository has an index of another's, not an empty one."""
    repository.stage("project/README.md")

    with pytest.raises(InputError, match="lies inside of another Git repository"):
        read_index(repository.root / "project")


def test_without_git_nothing_is_clean(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Git cannot tell what is staged."""
    monkeypatch.setenv("PATH", str(repository.root))

    with pytest.raises(InputError, match=r"^git: cannot be started: No such file or directory; install Git$"):
        read_index(repository.root)


def test_an_empty_index_is_an_error(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to look at is no clean repository, also where a hook names an index that is not there."""
    monkeypatch.setenv("GIT_INDEX_FILE", str(repository.root / "none"))

    with pytest.raises(InputError, match="Git's index holds no file"):
        read_index(repository.root)


def test_an_index_that_is_not_merged_is_an_error(repository: Repository) -> None:
    """In a conflict a path has several contents, and none of them is the one of the commit."""
    readme = repository.git("rev-parse", ":README.md")
    stages = "".join(f"100644 {readme} {stage}\tnotes.md\n" for stage in (1, 2, 3))
    repository.git("update-index", "--index-info", given=stages.encode())

    with pytest.raises(InputError, match=r"^notes\.md: is not merged; resolve the conflict"):
        read_index(repository.root)


def test_the_index_that_a_hook_names_counts(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """`git commit FILE` runs hooks on an index of its own; asking about ignore rules leaves the repository alone."""
    repository.stage(".gitignore", "/a.npy\n")
    hook = repository.write(".git/hooks/pre-commit", f"#!/bin/sh\nexec {sys.executable} -c '{SURVEY}'\n")
    hook.chmod(0o755)
    repository.git("commit", "--quiet", "--no-verify", "--message", "first")
    repository.stage("b.npy")
    repository.write("README.md", "more")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    # Only the file that is named goes into this commit.
    environment = make_environment() | {"GIT_DIR": str(repository.root / ".git")}
    command = ["git", "-c", "user.name=T", "-c", "user.email=t@localhost", "commit", "-qm", "second", "README.md"]
    ended = subprocess.run(command, cwd=repository.root, env=environment, capture_output=True, text=True, check=True)

    assert ended.stderr.split() == [".gitignore", "README.md", "ignored:", "a.npy"]
    assert repository.git("config", "--get", "core.bare") == "false"


SURVEY = """
import pathlib, sys
from validation.staged import list_ignored, read_index
index = read_index(pathlib.Path("."))
print(*index, "ignored:", *list_ignored(pathlib.Path("."), index, ["a.npy", "c.npy"], 100), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("path", "is_ignored"),
    [
        ("models/v/", True),
        ("models/v", False),
        ("models/v/weights", True),
        ("models/evidence/", False),
        ("models/evidence/a.json", False),
        ("deep/a.npy", True),
        ("deep/er/a.npy", True),
        ("a.npy", False),
        ("deep/b.npy", False),
    ],
)
def test_staged_rules_of_every_folder_are_followed(repository: Repository, path: str, *, is_ignored: bool) -> None:
    """Rules for folders, exceptions and rules of a folder mean what they mean to Git."""
    repository.stage(".gitignore", "/models/*/\n!/models/evidence/\n")
    repository.stage("deep/.gitignore", "*.npy\n!b.npy\n").write_bytes(b"")

    found = list_ignored(repository.root, read_index(repository.root), [path, "README.md"], LIMIT)

    assert found == ({path} if is_ignored else set())


def test_a_link_to_rules_is_not_followed(repository: Repository) -> None:
    """Git reads no `.gitignore` through a link, so nothing is left out by one."""
    target = repository.git("hash-object", "-w", "--stdin", given=b"*")
    repository.git("update-index", "--add", "--cacheinfo", f"120000,{target},.gitignore")

    assert list_ignored(repository.root, read_index(repository.root), ["a.npy"], LIMIT) == set()
