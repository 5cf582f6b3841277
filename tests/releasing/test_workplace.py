"""Where releases are prepared: one at a time, in scratch trees of which nothing is left."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.releasing.snapshots import look_at
from validation.releasing.errors import ReleaseError
from validation.releasing.repository import Repository
from validation.releasing.tracking import LOCAL_CACHE, load_storage
from validation.releasing.workplace import SCRATCH, open_tree, work_alone

if TYPE_CHECKING:
    from pathlib import Path

    from tests.projects import Project

HOLD = """
import sys
from pathlib import Path
from validation.releasing.repository import Repository
from validation.releasing.workplace import open_tree, work_alone
repository = Repository(Path(sys.argv[1]))
with work_alone(repository), open_tree(repository, "HEAD", own_cache=True):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_at_a_time(fresh: Project) -> None:
    """Two cannot be at it, in whatever worktree of the repository; once the first ends, the next one can."""
    fresh.git("worktree", "add", "--quiet", "--detach", str(fresh.folder / "beside"))
    with work_alone(fresh.repository):
        for root in (fresh.root, fresh.folder / "beside"):
            with pytest.raises(ReleaseError, match="under way; wait until it ends"), work_alone(Repository(root)):
                pytest.fail("two were at it")
    with work_alone(fresh.repository):
        pass


def test_killed_process_holds_nobody_up(fresh: Project) -> None:
    """Whoever was killed leaves no lock that counts, and the next one removes what it left."""
    before = look_at(fresh)
    command = [sys.executable, "-c", HOLD, str(fresh.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(ReleaseError, match="under way"), work_alone(fresh.repository):
            pytest.fail("two were at it")
        process.send_signal(signal.SIGKILL)
    left = look_at(fresh)
    assert len(left["scratch"]) == 1
    assert left["worktrees"].count("worktree ") == 2

    with work_alone(fresh.repository):
        assert not (fresh.root / SCRATCH).exists()
    assert look_at(fresh) == before


def test_half_made_folders_are_removed(fresh: Project) -> None:
    """What a killed exchange of folders left is removed, and nothing else beside it."""
    served = fresh.root / "corpus" / "processed"
    left = [
        fresh.root / "corpus" / ".processed.ab12.partial",
        fresh.root / "corpus" / ".processed.ab12.retired",
        fresh.root / "models" / ".embedded-gemma-lsa.ab12.partial",
        fresh.root / "models" / ".embedded-gemma-lsa.ab12.retired",
    ]
    kept = [fresh.root / "models" / "mine.partial", fresh.root / "corpus" / ".hidden"]
    for folder in left + kept:
        folder.mkdir(parents=True)
        (folder / "file").write_text("x", "utf-8")
    (served / ".release.json.ab12.partial").write_text("{", "utf-8")
    with work_alone(fresh.repository):
        pass

    assert not [path for path in left if path.exists()]
    assert all((folder / "file").exists() for folder in kept)
    assert sorted(path.name for path in served.iterdir()) == ["chunks_mode_b_fr.json", "chunks_mode_b_intl.json"]


def test_nothing_is_left_of_a_scratch_tree(fresh: Project) -> None:
    """A scratch tree goes, with its cache and what Git knows of it, however its use ends."""
    before = look_at(fresh)
    trees: list[Path] = []

    def use() -> None:
        with open_tree(fresh.repository, "HEAD", own_cache=True) as tree:
            trees.append(tree)
            (tree.parent / "cache").mkdir()
            (tree / "corpus" / "processed" / "new").write_text("x", "utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    assert not trees[0].parent.exists()
    assert look_at(fresh) == before


@pytest.mark.parametrize("own", [True, False], ids=["own-cache", "cache-of-the-project"])
def test_scratch_tree_is_the_commit(fresh: Project, *, own: bool) -> None:
    """A scratch tree is the commit, not what lies about, and knows remotes and cache of the project."""
    (fresh.root / "corpus" / "gold" / "qrels_fr.tsv").write_text("changed", "utf-8")
    with open_tree(fresh.repository, "HEAD", own_cache=own) as tree:
        storage = load_storage(tree)
        assert Repository(tree).list_dirty() == []
        assert Repository(tree).get_head() == fresh.git("rev-parse", "HEAD")
        assert storage.remotes["store"]["url"] == str(fresh.objects)
        assert storage.remotes[LOCAL_CACHE]["url"] == str(fresh.root / ".dvc" / "cache")
        assert (storage.cache == fresh.root / ".dvc" / "cache") is not own
        assert tree.is_relative_to(fresh.root / SCRATCH)


def test_commit_that_is_not_there(fresh: Project) -> None:
    """A commit that Git does not have opens no tree, and leaves nothing."""
    before = look_at(fresh)

    with pytest.raises(ReleaseError, match="git worktree"), open_tree(fresh.repository, "0" * 40, own_cache=True):
        pytest.fail("opened")
    assert look_at(fresh) == before
