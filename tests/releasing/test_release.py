"""Acting upon a decision: what is tagged, pushed, logged and served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.projects import BASE_TAG, CANDIDATE_TAG, read_served
from validation.outcomes import Verdict
from validation.releasing.release import release
from validation.releasing.release_file import load_release

if TYPE_CHECKING:
    from tests.projects import Project


def test_release_makes_both_tags(fresh: Project) -> None:
    """The first release makes the base's tag and the candidate's, here and on the remote, and serves the candidate."""
    verdict, _ = release(fresh.repository, fresh.order(), execute=True)

    assert verdict is Verdict.RELEASE
    assert fresh.git("tag").split() == [BASE_TAG, CANDIDATE_TAG]
    assert fresh.git("ls-remote", "--tags", "origin").count("refs/tags/") == 4  # each with the commit behind it
    assert fresh.git("status", "--porcelain") == ""
    assert load_release(fresh.root).tag == CANDIDATE_TAG
    assert len(read_served(fresh)) == 9
