"""Faults of tags: moved here, on the remote or on both, replaced, or shadowed by a branch of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.projects import BASE_TAG, CANDIDATE_TAG
from tests.releasing.acts import HALT, act_upon, audit_tag, expect_refusal, serve
from validation.releasing.release_file import load_release

if TYPE_CHECKING:
    from tests.projects import Project

# Where somebody moves the tag of the base, and what is said of it.
TARGETS: dict[str, tuple[list[str], str]] = {
    "before it was released": (["--annotate", "--message", "moved", BASE_TAG, "{tag}^"], "was moved to"),
    "to another release": (["--annotate", "--message", "moved", BASE_TAG, "HEAD"], "was moved to"),
    "to a later commit": (["--annotate", "--message", "moved", BASE_TAG, "{later}"], "was moved to"),
    "to a side branch": (["--annotate", "--message", "moved", BASE_TAG, "{side}"], "is not in the history"),
    "to a lightweight tag": ([BASE_TAG, "{tag}"], "replaced by one that is not annotated"),
    "to a file": ([BASE_TAG, "HEAD:models/releases.jsonl"], "was moved to"),
}


def move_tag(project: Project, how: str) -> None:
    """Move the tag of the base in the working tree."""
    tag = project.git("rev-parse", f"refs/tags/{BASE_TAG}^{{commit}}")
    tree, parent = project.git("rev-parse", f"{tag}^{{tree}}"), project.git("rev-parse", f"{tag}^")
    named = {
        "tag": tag,
        "later": project.git("commit-tree", "-p", tag, "-m", "later", tree),
        "side": project.git("commit-tree", "-p", parent, "-m", "the same again", tree),
    }
    project.git("tag", "--force", *(part.format(**named) for part in TARGETS[how][0]))


@pytest.mark.parametrize("how", TARGETS)
def test_d14_base_was_moved_here(released: Project, how: str) -> None:
    """D14: a base whose tag was moved here is neither audited nor served: a person must look."""
    move_tag(released, how)
    said = TARGETS[how][1]

    expect_refusal(released, lambda: audit_tag(released, BASE_TAG), HALT, said)
    expect_refusal(released, lambda: serve(released), HALT, said)
    assert load_release(released.root).tag == CANDIDATE_TAG


@pytest.mark.parametrize("how", ["before it was released", "to a later commit", "to a lightweight tag"])
@pytest.mark.parametrize("where", ["here", "remote", "both"])
def test_d14_base_was_moved_before_a_release(based: Project, how: str, where: str) -> None:
    """D14: no candidate is released beside a base whose tag was moved here, on the remote or on both."""
    kept = based.git("rev-parse", f"refs/tags/{BASE_TAG}")
    move_tag(based, how)
    if where != "here":
        based.git("push", "--quiet", "--force", "origin", f"refs/tags/{BASE_TAG}")
    if where == "remote":
        based.git("update-ref", f"refs/tags/{BASE_TAG}", kept)

    expect_refusal(based, lambda: act_upon(based), HALT, BASE_TAG, sends=True)
    assert based.git("tag") == BASE_TAG


def test_d14_base_was_tagged_anew_on_the_remote(based: Project) -> None:
    """D14: another tag of the same name is another tag, even at the same commit."""
    kept = based.git("rev-parse", f"refs/tags/{BASE_TAG}")
    based.git("tag", "--force", "--annotate", "--message", "anew", BASE_TAG, f"{BASE_TAG}^{{commit}}")
    based.git("push", "--quiet", "--force", "origin", f"refs/tags/{BASE_TAG}")
    based.git("update-ref", f"refs/tags/{BASE_TAG}", kept)

    expect_refusal(based, lambda: act_upon(based), HALT, BASE_TAG, "one of them was moved")


def test_d14_candidate_was_moved(released: Project) -> None:
    """D14: a candidate's tag that the log knows elsewhere is a reason to halt, too, and the base can be served."""
    released.git("tag", "--force", "--annotate", "--message", "moved", CANDIDATE_TAG, f"{CANDIDATE_TAG}~2")

    expect_refusal(released, lambda: audit_tag(released, CANDIDATE_TAG), HALT, CANDIDATE_TAG, "was moved")
    assert serve(released).changed


def test_d15_branch_named_like_the_tag(released: Project) -> None:
    """D15: a branch of the name of the base, here and there, is not taken for its tag."""
    released.git("branch", BASE_TAG, f"refs/tags/{BASE_TAG}~1")
    released.git("push", "--quiet", "origin", f"refs/heads/{BASE_TAG}")
    commit = released.git("rev-parse", "--short=12", f"refs/tags/{BASE_TAG}^{{commit}}")

    assert commit in next(each.found for each in audit_tag(released, BASE_TAG) if each.what == "tag")
    assert serve(released).changed
    assert load_release(released.root).tag == BASE_TAG


def test_d15_branch_named_like_the_tag_to_make(based: Project) -> None:
    """D15: a branch of the name of the candidate, here and there, is not in the way of its tag, and stays."""
    branch = f"refs/heads/{CANDIDATE_TAG}"
    based.git("branch", CANDIDATE_TAG)
    based.git("push", "--quiet", "origin", branch)
    before = based.git("rev-parse", branch)
    act_upon(based)

    assert based.git("rev-parse", branch) == before
    assert based.git("ls-remote", "origin", branch).split()[0] == before
    assert based.git("rev-parse", f"refs/tags/{CANDIDATE_TAG}^{{commit}}") == based.git("rev-parse", "HEAD") != before
    assert audit_tag(based)[-1].what == "served"
