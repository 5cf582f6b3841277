"""Being at another commit of the release history: references, files and the served folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.projects import BASE_TAG, read_served
from tests.releasing.snapshots import look_at
from validation.releasing.drafting import Draft, commit_draft
from validation.releasing.errors import ReleaseError
from validation.releasing.events import NewEvent
from validation.releasing.opening import open_release
from validation.releasing.release_file import SERVED
from validation.releasing.switching import finish_interrupted, is_as_in, move_folder, switch
from validation.releasing.tracking import LOCAL_CACHE
from validation.releasing.workplace import open_tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.projects import Project

POINTER = "corpus/processed/corpus_mode_b_fr.db.dvc"


def draft_return(project: Project) -> str:
    """Return a commit by which the base is served again, without being at it."""
    tag, head = project.repository.find_tag(BASE_TAG), project.git("rev-parse", "HEAD")
    assert tag is not None
    draft = Draft("back", (NewEvent(event="fell back", tag=BASE_TAG),), source=tag.commit)
    with open_tree(project.repository, head, own_cache=True) as tree:
        return commit_draft(tree, draft, "Arbitre <arbitre@example.org>", head)


def test_switch_moves_all(released: Project) -> None:
    """After a switch the branch, the index and the served bytes are those of the commit, and the old ones are gone."""
    before, new = read_served(released), draft_return(released)
    repository, head = released.repository, released.git("rev-parse", "HEAD")
    tag = repository.find_tag(BASE_TAG)
    assert tag is not None
    with open_release(repository, BASE_TAG, tag.commit, [LOCAL_CACHE]) as opened:
        switch(repository, opened, (head, new))
    after = read_served(released)

    assert repository.get_head() == new
    assert repository.list_dirty() == []
    assert set(after) == set(before)
    assert not {name for name in after if name.endswith((".db", ".npy")) and after[name] == before[name]}
    assert look_at(released)["scratch"] == []
    assert finish_interrupted(repository) is None


def test_branch_that_moved_meanwhile(released: Project) -> None:
    """Where the branch is not where it was, nothing that is served changes."""
    new, old = draft_return(released), released.git("rev-parse", "HEAD")
    released.git("commit", "--quiet", "--allow-empty", "--message", "meanwhile")
    repository, before, tag = released.repository, look_at(released), released.repository.find_tag(BASE_TAG)
    assert tag is not None
    with (
        open_release(repository, BASE_TAG, tag.commit, [LOCAL_CACHE]) as opened,
        pytest.raises(ReleaseError, match="git update-ref"),
    ):
        switch(repository, opened, (old, new))

    after = look_at(released)
    assert {name: part for name, part in after.items() if name != "files"} == {
        name: part for name, part in before.items() if name != "files"
    }
    assert {name for name in after["files"] if after["files"][name] != before["files"].get(name)} <= {
        name for name in after["files"] if name.startswith("models/embedded-gemma-lsa/")
    }


def test_folder_changes_place_whole(fresh: Project, tmp_path: Path) -> None:
    """A folder that is moved takes the place of the old one, of which nothing stays; a reader keeps what it opened."""
    served = fresh.root / SERVED
    (tmp_path / SERVED / "below").mkdir(parents=True)
    (tmp_path / SERVED / "new.json").write_text("new", "utf-8")
    with (served / "chunks_mode_b_fr.json").open("rb") as reader:
        expected = (served / "chunks_mode_b_fr.json").read_bytes()
        move_folder(tmp_path, fresh.repository, SERVED)
        assert reader.read() == expected

    assert sorted(path.name for path in served.iterdir()) == ["below", "new.json"]
    assert sorted(path.name for path in served.parent.iterdir()) == ["gold", "processed"]


def test_file_as_in_a_commit(released: Project) -> None:
    """A file is as in one of some commits, or is missing as there; changed by hand it is neither."""
    repository, first = released.repository, released.git("rev-list", "--max-parents=0", "HEAD")
    assert is_as_in(repository, POINTER, ["HEAD"])
    assert not is_as_in(repository, POINTER, [first])
    released.git("restore", f"--source=refs/tags/{BASE_TAG}", "--", POINTER)
    assert not is_as_in(repository, POINTER, ["HEAD"])
    assert is_as_in(repository, POINTER, ["HEAD", f"refs/tags/{BASE_TAG}"])
    (released.root / POINTER).unlink()
    assert not is_as_in(repository, POINTER, ["HEAD"])
    assert is_as_in(repository, POINTER, ["HEAD", first])


def test_change_by_hand_is_not_completed(released: Project) -> None:
    """What somebody changed by hand is no interrupted switch, and is left alone."""
    with (released.root / POINTER).open("a", encoding="utf-8") as stream:
        stream.write("# mine\n")
    before = look_at(released)

    assert finish_interrupted(released.repository) is None
    assert look_at(released) == before
