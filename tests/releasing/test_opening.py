"""Opening a release: which tag, from which store of objects, and whether it is where it was released."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import PipelineError
from pipeline.files import compute_sha256
from tests.projects import BASE_TAG, CANDIDATE_TAG
from tests.releasing.acts import VECTORS, damage, find_object, get_cache
from validation.releasing.errors import HaltError, ReleaseError
from validation.releasing.opening import (
    bring_objects,
    find_release_tag,
    open_release,
    require_place,
    require_whole_history,
)
from validation.releasing.tracking import LOCAL_CACHE, list_sources

if TYPE_CHECKING:
    from tests.projects import Project


def test_both_releases_open_and_leave_nothing(released: Project) -> None:
    """A release lies, whole and verified, in a tree of its own while it is open; afterwards nothing is left of it."""
    with ExitStack() as stack:
        trees = []
        for name in (BASE_TAG, CANDIDATE_TAG):
            tag = find_release_tag(released.repository, name)
            opened = stack.enter_context(open_release(released.repository, name, tag.commit, [LOCAL_CACHE]))
            require_place(released.repository, tag, opened.tree)
            trees.append(opened.tree)

            assert (opened.name, opened.commit, opened.detour) == (name, tag.commit, None)
            assert {path: compute_sha256(opened.tree / path) for path in opened.release.served} == opened.release.served
            assert all((opened.tree / path).stat().st_nlink == 1 for path in opened.release.served)
        assert trees[0] != trees[1]

    assert not any(tree.parent.exists() for tree in trees)
    assert len(released.git("worktree", "list").splitlines()) == 1


def test_sources_are_tried_in_turn(released: Project) -> None:
    """Where the first source is damaged the second one is taken, and the file that was damaged is told."""
    damage(find_object(released, get_cache(released), CANDIDATE_TAG, VECTORS))
    tag = find_release_tag(released.repository, CANDIDATE_TAG)
    sources = list_sources(released.root)
    with open_release(released.repository, CANDIDATE_TAG, tag.commit, sources) as opened:
        assert opened.detour is not None
        assert VECTORS in opened.detour
        assert compute_sha256(opened.tree / "corpus" / "processed" / VECTORS) in opened.release.served.values()

    assert sources == [LOCAL_CACHE, "store"]


@pytest.mark.parametrize(
    ("sources", "said"),
    [([], "no store of objects"), (["nowhere"], "nowhere"), ([LOCAL_CACHE, "nowhere"], "nowhere")],
    ids=["none", "unknown", "last one unknown"],
)
def test_no_source_has_it(released: Project, sources: list[str], said: str) -> None:
    """Without a source that has the objects, the last reason is given."""
    damage(find_object(released, get_cache(released), CANDIDATE_TAG, VECTORS))
    tag = find_release_tag(released.repository, CANDIDATE_TAG)

    with (
        pytest.raises(PipelineError, match=said),
        open_release(released.repository, CANDIDATE_TAG, tag.commit, sources),
    ):
        pytest.fail("it was opened")
    assert list((released.root / "build" / "scratch").iterdir()) == []


def test_bad_bytes_do_not_stay(released: Project) -> None:
    """After a source of bad bytes nothing of it is left in the tree that could be taken for good."""
    damage(find_object(released, get_cache(released), CANDIDATE_TAG, VECTORS))
    tag = find_release_tag(released.repository, CANDIDATE_TAG)
    with open_release(released.repository, CANDIDATE_TAG, tag.commit, ["store"]) as opened:
        shutil.rmtree(opened.tree / "corpus")
        shutil.rmtree(opened.tree / "models")
        released.repository.git("-C", str(opened.tree), "restore", "corpus", "models")
        with pytest.raises(PipelineError, match="SHA-256 differs"):
            bring_objects(opened.tree, opened.release, [LOCAL_CACHE])

        tracked = [path for path in opened.release.served if not path.endswith(".json")]
        assert not any((opened.tree / path).exists() for path in tracked)


def test_name_must_be_the_one_in_the_release(released: Project) -> None:
    """The commit of one release is not opened under the name of another."""
    with (
        pytest.raises(ReleaseError, match=f"its commit is that of {CANDIDATE_TAG}"),
        open_release(released.repository, BASE_TAG, "HEAD", [LOCAL_CACHE]),
    ):
        pytest.fail("it was opened")


def test_commit_without_a_release_is_not_opened(released: Project) -> None:
    """A commit without `release.json` is none of a release."""
    with (
        pytest.raises(ReleaseError, match=r"was made by hand: its commit holds no .*release\.json"),
        open_release(released.repository, BASE_TAG, f"refs/tags/{BASE_TAG}~1", [LOCAL_CACHE]),
    ):
        pytest.fail("it was opened")


def test_tags_are_found_by_the_log(released: Project) -> None:
    """A tag that never was is an error; one that was released and is gone is a reason to halt."""
    released.git("tag", "--delete", CANDIDATE_TAG)

    assert find_release_tag(released.repository, BASE_TAG).is_annotated
    with pytest.raises(HaltError, match=r"was released, as models/releases.jsonl says"):
        find_release_tag(released.repository, CANDIDATE_TAG)
    with pytest.raises(ReleaseError, match="there is no such tag") as refusal:
        find_release_tag(released.repository, "v2.0-other")
    assert not isinstance(refusal.value, HaltError)


def test_whole_history(released: Project) -> None:
    """A clone with its whole history passes."""
    require_whole_history(released.repository)


def test_log_here_must_continue_that_of_the_tag(released: Project) -> None:
    """Where the base alone is checked out, the candidate's tag is not in the history, and that is said."""
    tag = find_release_tag(released.repository, CANDIDATE_TAG)
    with open_release(released.repository, CANDIDATE_TAG, tag.commit, [LOCAL_CACHE]) as opened:
        require_place(released.repository, tag, opened.tree)
        released.git("reset", "--quiet", "--hard", f"refs/tags/{BASE_TAG}")

        with pytest.raises(HaltError, match="is not in the history of what is checked out"):
            require_place(released.repository, tag, opened.tree)
