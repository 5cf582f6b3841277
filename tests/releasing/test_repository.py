"""Git as releasing sees it: what is there, what changed, and references that are created and never moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.projects import IDENTITY, run
from validation.releasing.errors import ReleaseError
from validation.releasing.repository import NO_IDENTITY, Repository, find_reason

if TYPE_CHECKING:
    from pathlib import Path

TAG = "v1.0-base"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with two commits, a bare remote and files of odd names."""
    root = tmp_path / "le dépôt #1"
    root.mkdir()
    run(tmp_path, "git", "init", "--quiet", "--bare", "remote.git")
    run(root, "git", "init", "--quiet", "--initial-branch", "main")
    for key, value in IDENTITY.items():
        run(root, "git", "config", key, value)
    run(root, "git", "remote", "add", "origin", str(tmp_path / "remote.git"))
    for number in ("one", "two"):
        (root / f"é {number}.txt").write_text(f"{number}\n\n", "utf-8")
        run(root, "git", "add", "--all")
        run(root, "git", "commit", "--quiet", "--message", number)
    return Repository(root)


def create_tag(repository: Repository, commit: str = "HEAD") -> str:
    """Create an annotated tag, and return its object."""
    target = repository.make_tag(TAG, repository.git("rev-parse", commit), "why")
    head = repository.get_head()
    repository.update_refs(("main", head, head), [(TAG, target)])
    return target


def test_tag_is_annotated(repository: Repository) -> None:
    """A tag that is made names its commit through an object of its own, whatever branch has its name."""
    repository.git("branch", TAG, "HEAD~1")
    target = create_tag(repository)
    tag = repository.find_tag(TAG)

    assert tag is not None
    assert (tag.object, tag.commit, tag.is_annotated) == (target, repository.get_head(), True)
    assert repository.git("cat-file", "-t", target) == "tag"
    assert repository.find_tag("v1.1-qlora") is None
    assert repository.find_tag("v1.0") is None


def test_lightweight_tag_is_told_apart(repository: Repository) -> None:
    """A tag that is no object of its own is not annotated."""
    repository.git("tag", TAG)
    tag = repository.find_tag(TAG)

    assert tag is not None
    assert not tag.is_annotated


def test_made_tag_is_nowhere_yet(repository: Repository) -> None:
    """Writing a tag's object creates no reference."""
    repository.make_tag(TAG, repository.get_head(), "why")

    assert repository.git("tag") == ""


def test_references_change_together(repository: Repository) -> None:
    """Where a tag exists, the branch does not move either, and the tag stays."""
    target = create_tag(repository, "HEAD~1")
    head, before = repository.get_head(), repository.git("rev-parse", "HEAD~1")
    other = repository.make_tag(TAG, head, "anew")

    with pytest.raises(ReleaseError, match="git update-ref"):
        repository.update_refs(("main", head, before), [(TAG, other)])
    with pytest.raises(ReleaseError, match="git update-ref"):
        repository.update_refs(("main", before, before), [("v1.1-qlora", other)])
    assert repository.get_head() == head
    assert repository.git("for-each-ref", "--format=%(objectname)", "refs/tags/") == target


def test_remote_tag_is_the_same(repository: Repository) -> None:
    """A tag on a remote is read with the commit behind it; one that is not there is None."""
    create_tag(repository)
    repository.git("push", "--quiet", "origin", "refs/heads/main", f"refs/tags/{TAG}")
    refs = repository.list_remote_refs("origin")

    assert repository.find_remote_tag(refs, TAG) == repository.find_tag(TAG)
    assert repository.find_remote_tag(refs, "v1.1-qlora") is None


def test_lightweight_remote_tag(repository: Repository) -> None:
    """A lightweight tag on a remote is its commit."""
    repository.git("tag", TAG)
    repository.git("push", "--quiet", "origin", f"refs/tags/{TAG}")

    assert repository.find_remote_tag(repository.list_remote_refs("origin"), TAG) == repository.find_tag(TAG)


def test_dirty_paths_are_whole(repository: Repository) -> None:
    """What differs is named as it is called, accents and renames included; what is ignored only if asked for."""
    (repository.root / "é one.txt").rename(repository.root / "dame.txt")
    (repository.root / "sous").mkdir()
    (repository.root / "sous" / "a b").write_text("", "utf-8")
    (repository.root / ".git" / "info" / "exclude").write_text("*.npy\n", "utf-8")
    (repository.root / "x.npy").write_text("", "utf-8")

    assert sorted(repository.list_dirty()) == ["dame.txt", "sous/a b", "é one.txt"]
    assert "x.npy" in repository.list_dirty(ignored=True)
    assert repository.list_dirty("sous") == ["sous/a b"]


def test_difference_of_commits(repository: Repository) -> None:
    """The paths in which two commits differ are named, a rename as both of its names."""
    old = repository.get_head()
    repository.git("mv", "é one.txt", "dame.txt")
    repository.git("commit", "--quiet", "--message", "rename")

    assert sorted(repository.list_changed(old, "HEAD")) == ["dame.txt", "é one.txt"]
    assert repository.list_changed("HEAD", "HEAD") == []
    assert repository.is_ancestor(old, "HEAD")
    assert not repository.is_ancestor("HEAD", old)


def test_file_of_a_commit(repository: Repository) -> None:
    """A file is read from a commit with every newline; one that is not there is None."""
    assert repository.read_blob("HEAD", "é two.txt") == "two\n\n"
    assert repository.read_blob("HEAD~1", "é two.txt") is None
    assert repository.hash_blob("HEAD~1", "é two.txt") is None
    assert repository.hash_blob("HEAD", "é two.txt") == repository.git("hash-object", "é two.txt")


def test_who_and_where(repository: Repository) -> None:
    """Branch and name are those of the repository; a detached HEAD and a missing name are said with what to do."""
    assert repository.get_branch() == "main"
    assert repository.get_identity().startswith("Arbitre <arbitre@example.org> ")
    repository.git("checkout", "--quiet", "--detach")
    with pytest.raises(ReleaseError, match="run `git switch <branch>`"):
        repository.get_branch()
    repository.git("config", "--unset", "user.email")
    with pytest.raises(ReleaseError) as caught:
        repository.get_identity()
    assert (caught.value.where, caught.value.remedy) == ("git var", NO_IDENTITY)


def test_another_repository_is_not_touched(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Variables that a hook sets do not point Git at another repository."""
    head = repository.get_head()
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "remote.git"))

    assert repository.get_head() == head


def test_no_git(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Git is not installed, that is what is said."""
    monkeypatch.setenv("PATH", "")

    with pytest.raises(ReleaseError, match=r"Git cannot be run .*; install Git"):
        repository.get_head()


def test_git_that_does_not_answer(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A remote that neither answers nor refuses holds nobody up for ever."""
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 60\n", "utf-8")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("validation.releasing.repository.PATIENCE_S", 0.2)

    with pytest.raises(ReleaseError, match=r"git ls-remote: no answer in 0.2 seconds; see whether the remote is up"):
        repository.list_remote_refs("origin")


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("warning: x\nfatal: no\nmore\n", "fatal: no"),
        ("To there\n ! [rejected] main\nerror: failed to push\n", "! [rejected] main"),
        ("remote: error: protected\n", "remote: error: protected"),
        ("something\n\nlast \n", "last"),
        ("", "it gave no reason"),
    ],
    ids=["fatal", "rejected", "remote", "nothing-telling", "silent"],
)
def test_reason_is_one_line(stderr: str, reason: str) -> None:
    """Of what Git writes, the line that says what is wrong is kept."""
    assert find_reason(stderr) == reason
