"""What must hold before a release touches anything, and what is said where it does not."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.projects import BASE_TAG, CANDIDATE_TAG, IDENTITY, Project, run
from tests.releasing.snapshots import act, look_at, rebind, refuse
from validation.releasing.errors import HaltError, ReleaseError
from validation.releasing.readiness import require_nothing_lost, require_site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.errors import PipelineError

QRELS = "corpus/gold/qrels_fr.tsv"
SERVED = "corpus/processed"


def append(project: Project, path: str, text: str = "\n") -> None:
    """Append to a file of a project, which is made where there is none."""
    (project.root / path).parent.mkdir(parents=True, exist_ok=True)
    with (project.root / path).open("a", encoding="utf-8") as stream:
        stream.write(text)


def scatter(project: Project) -> None:
    """Leave several files about."""
    for path in ("a/b", "a/c", "d"):
        append(project, path)


def stage(project: Project) -> None:
    """Change a file and stage the change."""
    append(project, QRELS)
    project.git("add", QRELS)


def stage_and_revert(project: Project) -> None:
    """Stage a change of a file whose bytes are then put back."""
    before = (project.root / QRELS).read_bytes()
    stage(project)
    (project.root / QRELS).write_bytes(before)


def link_folder(project: Project) -> None:
    """Put a link to a folder into the served folder."""
    (project.root / SERVED / "lien.npy").symlink_to(project.root / "build")


def forget_remote(project: Project) -> None:
    """Have no DVC remote at all, nor one that is known on this machine alone."""
    (project.root / ".dvc" / "config").write_text("", "utf-8")
    (project.root / ".dvc" / "config.local").unlink()


def name_unknown_remote(project: Project) -> None:
    """Have a default remote that is not there."""
    (project.root / ".dvc" / "config").write_text("[core]\n    remote = other\n", "utf-8")


def spoil_config(project: Project) -> None:
    """Have a configuration that cannot be read."""
    (project.root / ".dvc" / "config").write_text("[core\n", "utf-8")


def cut_history(project: Project) -> None:
    """Have a clone of the last commit only."""
    append(project, "NOTES")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "notes")
    project.git("push", "--quiet")
    shutil.rmtree(project.root / ".git")
    url = project.remote.as_uri()
    run(project.folder, "git", "clone", "--quiet", "--depth", "1", "--no-checkout", url, "shallow")
    (project.folder / "shallow" / ".git").rename(project.root / ".git")
    project.git("reset", "--quiet")
    rebind(project)


def forget_name(project: Project) -> None:
    """Have an address and no name."""
    project.git("config", "--unset", "user.name")


def forget_address(project: Project) -> None:
    """Have a name and no address."""
    project.git("config", "--unset", "user.email")


def commit_here(project: Project) -> None:
    """Have a commit that was judged and not pushed."""
    project.git("commit", "--quiet", "--allow-empty", "--message", "not pushed")
    rebind(project)


def commit_there(project: Project) -> None:
    """Have somebody else push a commit."""
    other = project.clone()
    other.git("commit", "--quiet", "--allow-empty", "--message", "theirs")
    other.git("push", "--quiet")


def diverge(project: Project) -> None:
    """Have one's own commit and somebody else's."""
    commit_there(project)
    commit_here(project)


def tag_here(project: Project) -> None:
    """Have a tag that was never pushed."""
    project.git("tag", "--annotate", "--message", "by hand", CANDIDATE_TAG)


def tag_there(project: Project) -> None:
    """Have a tag on the remote alone."""
    tag_here(project)
    project.git("push", "--quiet", "origin", f"refs/tags/{CANDIDATE_TAG}")
    project.git("tag", "--delete", CANDIDATE_TAG)


def tag_by_hand(project: Project) -> None:
    """Have a tag everywhere that no release made."""
    tag_here(project)
    project.git("push", "--quiet", "origin", f"refs/tags/{CANDIDATE_TAG}")


def tag_base_by_hand(project: Project) -> None:
    """Have a tag of the base everywhere that names a commit without any mark of a release."""
    project.git("tag", BASE_TAG)
    project.git("push", "--quiet", "origin", f"refs/tags/{BASE_TAG}")


def tag_twice(project: Project) -> None:
    """Have another tag of the same name here than on the remote, both on the same commit."""
    tag_by_hand(project)
    project.git("tag", "--force", "--annotate", "--message", "anew", CANDIDATE_TAG)


Case = tuple["Callable[[Project], object]", "type[PipelineError]", str, str, str]
# What is done to a project; the error, where it says it is, what it says, and what to do.
IN_THE_WAY: dict[str, Case] = {
    "modified": (lambda project: append(project, QRELS), ReleaseError, QRELS, "differs from the commit", "commit it"),
    "staged": (stage, ReleaseError, QRELS, "differs from the commit", "commit it"),
    "staged-and-reverted": (stage_and_revert, ReleaseError, QRELS, "differs from the commit", "commit it"),
    "deleted": (lambda project: (project.root / QRELS).unlink(), ReleaseError, QRELS, "differs", "commit it"),
    "untracked": (lambda project: append(project, "é #1.txt"), ReleaseError, "é #1.txt", "differs", "commit it"),
    "several": (
        scatter,
        ReleaseError, "a/b", "(and 2 more)", "move it away",
    ),
    "untracked-beside-the-served": (
        lambda project: append(project, f"{SERVED}/notes.txt"),
        ReleaseError, f"{SERVED}/notes.txt", "differs", "commit it",
    ),
    "ignored-beside-the-served": (
        lambda project: append(project, f"{SERVED}/mine.npy"),
        ReleaseError, f"{SERVED}/mine.npy", "is no part of the release that is served", "move it out",
    ),
    "ignored-below-the-served": (
        lambda project: append(project, f"{SERVED}/__pycache__/x.pyc"),
        ReleaseError, f"{SERVED}/__pycache__/", "is no part of the release", "move it out",
    ),
    "link-beside-the-served": (link_folder, ReleaseError, f"{SERVED}/lien.npy", "is no part of", "move it out"),
    "no-git-remote": (
        lambda project: project.git("remote", "remove", "origin"),
        ReleaseError, "origin", "there is no such Git remote", "git remote add origin",
    ),
    "git-remote-down": (
        lambda project: project.remote.rename(project.folder / "gone"),
        ReleaseError, "git ls-remote", "does not appear to be a git repository", "remote origin is up",
    ),
    "no-dvc-remote": (forget_remote, ReleaseError, ".dvc/config", "names no default remote", "dvc remote add -d"),
    "unknown-dvc-remote": (name_unknown_remote, ReleaseError, ".dvc/config", "no remote 'other'", "dvc remote add -d"),
    "spoilt-dvc-config": (spoil_config, ReleaseError, ".dvc/config", "cannot be read", "restore it from Git"),
    "no-dvc": (
        lambda project: shutil.rmtree(project.root / ".dvc"), ReleaseError, "project", "is no DVC project", "dvc init",
    ),
    "no-git": (
        lambda project: shutil.rmtree(project.root / ".git"),
        ReleaseError, "git rev-parse", "not a git repository", "in a clone of the project",
    ),
    "shallow": (cut_history, ReleaseError, "project", "is a shallow clone", "git fetch --unshallow --tags"),
    "detached": (
        lambda project: project.git("checkout", "--quiet", "--detach"),
        ReleaseError, "HEAD", "is detached, expected a branch", "git switch",
    ),
    "no-name": (forget_name, ReleaseError, "git var", "name", "git config user.name"),
    "no-address": (forget_address, ReleaseError, "git var", "email", "git config user.name"),
    "not-pushed": (commit_here, ReleaseError, "main", "expected", "git push"),
    "remote-ahead": (commit_there, ReleaseError, "main", "which was judged", "`git pull`"),
    "diverged": (diverge, ReleaseError, "main", "which was judged", "`git pull`"),
    "branch-not-pushed": (
        lambda project: project.git("switch", "--quiet", "--create", "other"),
        ReleaseError, "other", "is not there on origin", "run `git push`",
    ),
    "tag-here-only": (tag_here, ReleaseError, CANDIDATE_TAG, "is here and not on origin", "git tag -d v1.1"),
    "tag-there-only": (
        tag_there, ReleaseError, CANDIDATE_TAG, "so this is no first release", "git fetch --tags",
    ),
    "tag-by-hand": (tag_by_hand, HaltError, CANDIDATE_TAG, "was made by hand", "remove it here and on the remote"),
    "base-by-hand": (tag_base_by_hand, HaltError, BASE_TAG, "was made by hand", "remove it here and on the remote"),
    "another-tag-there": (tag_twice, HaltError, CANDIDATE_TAG, "one of them was moved", "find out who moved it"),
}  # fmt: skip


@pytest.mark.parametrize("case", IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_nothing_is_released_while_something_is_in_the_way(fresh: Project, case: Case) -> None:
    """Whatever is in the way is named in one line with what to do, and nothing is changed, here or elsewhere."""
    prepare, error, where, problem, remedy = case
    prepare(fresh)
    refused = refuse(fresh, error)

    assert refused.where.endswith(where)
    assert problem in refused.problem
    assert remedy in refused.remedy
    assert refused.exit_code == (40 if error is HaltError else 30)


def remove_tag(project: Project) -> None:
    """Remove the tag of the candidate here."""
    project.git("tag", "--delete", CANDIDATE_TAG)


def remove_tag_everywhere(project: Project) -> None:
    """Remove the tag of the base here and on the remote."""
    project.git("tag", "--delete", BASE_TAG)
    project.git("push", "--quiet", "--delete", "origin", f"refs/tags/{BASE_TAG}")


def remove_tag_there(project: Project) -> None:
    """Remove the tag of the base on the remote."""
    project.git("push", "--quiet", "--delete", "origin", f"refs/tags/{BASE_TAG}")


def move_tag(project: Project, *, lightweight: bool = False) -> None:
    """Move the tag of the base to the commit of the candidate, here."""
    kind = [] if lightweight else ["--annotate", "--message", "moved"]
    project.git("tag", "--force", *kind, BASE_TAG, "HEAD")


def move_tag_everywhere(project: Project) -> None:
    """Move the tag of the base here and on the remote."""
    move_tag(project)
    project.git("push", "--quiet", "--force", "origin", f"refs/tags/{BASE_TAG}")


AFTER_A_RELEASE: dict[str, Case] = {
    "tag-removed-here": (remove_tag, ReleaseError, CANDIDATE_TAG, "is on origin and not here", "git fetch --tags"),
    "tag-removed-there": (remove_tag_there, ReleaseError, BASE_TAG, "is here and not on origin", "git push origin"),
    "tag-removed": (remove_tag_everywhere, HaltError, BASE_TAG, "the tag is gone", "find out who removed it"),
    "tag-moved": (move_tag, HaltError, BASE_TAG, "one of them was moved", "put it back"),
    "tag-made-lightweight": (
        lambda project: move_tag(project, lightweight=True),
        HaltError, BASE_TAG, "one of them was moved", "put it back",
    ),
    "tag-moved-everywhere": (move_tag_everywhere, HaltError, BASE_TAG, "which is the commit of v1.1", "put it back"),
    "served-file-changed": (
        lambda project: append(project, f"{SERVED}/release.json"), ReleaseError, "release.json", "differs", "commit",
    ),
    "log-changed": (
        lambda project: append(project, "models/releases.jsonl"), ReleaseError, "releases.jsonl", "differs", "commit",
    ),
    "stray": (lambda project: append(project, f"{SERVED}/x.db-wal"), ReleaseError, "x.db-wal", "differs", "commit"),
    "ignored-stray": (lambda project: append(project, f"{SERVED}/x.db"), ReleaseError, "x.db", "no part", "move"),
}  # fmt: skip


@pytest.mark.parametrize("case", AFTER_A_RELEASE.values(), ids=AFTER_A_RELEASE)
def test_nothing_is_released_on_top_of_what_was_changed(released: Project, case: Case) -> None:
    """After a release, what was changed by hand is named, and a tag that was moved or removed is HALT."""
    prepare, error, where, problem, remedy = case
    prepare(released)
    rebind(released)
    refused = refuse(released, error)

    assert refused.where.endswith(where)
    assert problem in refused.problem
    assert remedy in refused.remedy


def test_first_commit_is_asked_for(fresh: Project) -> None:
    """A project in which nothing was committed yet is told so."""
    fresh.git("checkout", "--quiet", "--orphan", "nouveau")
    refused = refuse(fresh, ReleaseError)

    assert refused.where == "git rev-parse"
    assert refused.remedy == "commit something first"


def test_site_tells_who_and_where(fresh: Project) -> None:
    """Who releases, on which branch of which remote, and what is there."""
    fresh.git("remote", "add", "ailleurs", str(fresh.remote))
    fresh.git("config", "branch.main.remote", "ailleurs")
    site = require_site(fresh.repository)
    head = fresh.git("rev-parse", "HEAD")

    assert site.actor == f"{IDENTITY['user.name']} <{IDENTITY['user.email']}>"
    assert (site.branch, site.head, site.remote) == ("main", head, "ailleurs")
    assert site.refs == {"HEAD": head, "refs/heads/main": head}


def test_dvc_remote_that_cannot_be_written(fresh: Project, tmp_path: Path) -> None:
    """A DVC remote that takes nothing stops the release before anything was pushed."""
    (tmp_path / "file").write_text("no folder", "utf-8")
    text = f"['remote \"store\"']\n    url = {tmp_path / 'file' / 'below'}\n"
    (fresh.root / ".dvc" / "config.local").write_text(text, "utf-8")
    refused = refuse(fresh, ReleaseError, more_objects=True)

    assert refused.where == "dvc push"
    assert "DVC remote is up" in refused.remedy


def test_dry_run_sees_what_is_in_the_way(fresh: Project) -> None:
    """A dry run refuses what a release would refuse."""
    append(fresh, QRELS)
    before = look_at(fresh)

    with pytest.raises(ReleaseError, match="differs from the commit"):
        act(fresh, execute=False)
    assert look_at(fresh) == before


def test_nothing_is_lost_that_no_commit_holds(released: Project) -> None:
    """A pointer changed by hand would be lost; one that is as in another release would not."""
    base = released.repository.find_tag(BASE_TAG)
    assert base is not None
    pointer = f"{SERVED}/corpus_mode_b_fr.db.dvc"
    released.git("restore", f"--source={base.commit}", "--", pointer)
    require_nothing_lost(released.repository, [base.commit])

    append(released, pointer, "# mine\n")
    with pytest.raises(ReleaseError, match=r"was changed by hand, and would be lost; commit it") as caught:
        require_nothing_lost(released.repository, [base.commit])
    assert caught.value.where == pointer
