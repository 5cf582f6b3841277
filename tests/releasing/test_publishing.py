"""Publishing among others: two at once, somebody who was faster, a remote that refuses, a run that was killed."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pipeline.files import compute_sha256
from tests.projects import BASE_TAG, CANDIDATE_TAG, Project, read_served
from tests.releasing.snapshots import act, edit_decision, leave_out_objects, list_refs, look_at, rebind, refuse
from validation.outcomes import Verdict
from validation.record import DECISION
from validation.releasing.errors import HaltError, ReleaseError
from validation.releasing.events import load_events
from validation.releasing.release import Order, release
from validation.releasing.workplace import work_alone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PUSH = "push to origin"


def clone_with_decision(project: Project, name: str = "elsewhere") -> Project:
    """Return a clone in which the same was built and the same was decided."""
    other = project.clone(name)
    for part in ("build", "reports"):
        shutil.copytree(project.root / part, other.root / part, dirs_exist_ok=True)
    return Project(other.folder)


def act_telling(project: Project, announce: Callable[[str], None]) -> tuple[Verdict, tuple[str, ...]]:
    """Act upon the decision of a project, each step being told."""
    order = Order(project.params, project.root / "reports" / DECISION, None, announce)
    verdict, plan = release(project.repository, order, execute=True)
    return verdict, plan.steps


def list_there(project: Project) -> list[str]:
    """Return the references here that belong on the remote, and no others."""
    return [line for line in list_refs(project.root) if "refs/remotes" not in line]


@pytest.fixture(scope="module")
def overtaken(fresh_template: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Project]:
    """Two clones of one state: while the second was about to push, the first published the same decision."""
    slow = fresh_template.copy(tmp_path_factory.mktemp("race") / "all")
    fast = clone_with_decision(slow)

    def overtake(step: str) -> None:
        if step == PUSH:
            act(fast)

    verdict, _ = act_telling(slow, overtake)
    assert verdict is Verdict.RELEASE
    return slow, fast


def test_slower_one_takes_over_what_was_published(overtaken: tuple[Project, Project]) -> None:
    """Of two releases of one decision, one makes the tags and the other ends with the very same."""
    slow, fast = overtaken

    assert list_there(slow) == list_there(fast) == list_refs(slow.remote)
    assert slow.git("tag").split() == [BASE_TAG, CANDIDATE_TAG]
    assert read_served(slow) == read_served(fast)
    assert len(load_events(slow.root)) == 6
    for project in overtaken:
        assert project.git("status", "--porcelain") == ""
        assert look_at(project)["scratch"] == []


def test_overtaken_by_another_decision(fresh: Project) -> None:
    """Where another decision was published meanwhile, nothing changes here, and what to do is said."""
    fast = clone_with_decision(fresh)
    edit_decision(fast, lambda document: document["reasons"].append("judged elsewhere"))
    before = look_at(fresh)

    def overtake(step: str) -> None:
        if step == PUSH:
            act(fast)

    with pytest.raises(ReleaseError) as caught:
        act_telling(fresh, overtake)
    after = look_at(fresh)
    published = list_refs(fresh.remote)
    assert caught.value.where == "git push"
    assert "`git pull` and `nox -s gate` first" in caught.value.remedy
    assert {**leave_out_objects(after), "remote": None} == {**leave_out_objects(before), "remote": None}
    assert published == list_there(fast)

    with pytest.raises(ReleaseError, match="run `git pull`"):
        act(fresh)
    assert list_refs(fresh.remote) == published


def test_both_at_once(keeping: Project) -> None:
    """Two releases that push at the same moment end with one tag, which both have."""
    projects = [keeping, clone_with_decision(keeping)]
    together = threading.Barrier(2, timeout=120)

    def meet(step: str) -> None:
        if step == PUSH:
            together.wait()

    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda project: act_telling(project, meet), projects))

    assert [verdict for verdict, _ in ended] == [Verdict.KEEP] * 2
    assert list_there(projects[0]) == list_there(projects[1]) == list_refs(keeping.remote)
    assert read_served(projects[0]) == read_served(projects[1])
    assert len(list_refs(keeping.remote)) == 2


def test_second_in_one_tree_is_told(fresh: Project) -> None:
    """Whoever comes second in one working tree is told to wait, and disturbs nothing of the first."""
    scratch = fresh.root / "build" / "scratch" / "theirs"
    with work_alone(fresh.repository):
        scratch.mkdir(parents=True)
        error = refuse(fresh, ReleaseError)

    assert error.problem == "another release or fallback is under way"
    assert error.remedy == "wait until it ends"
    assert scratch.is_dir()


def test_remote_that_moved_on(fresh: Project) -> None:
    """A push that comes too late changes nothing; after a pull and a new judgement it goes through."""
    other = fresh.clone()
    before = look_at(fresh)

    def move_on(step: str) -> None:
        if step == PUSH:
            other.git("commit", "--quiet", "--allow-empty", "--message", "theirs")
            other.git("push", "--quiet")

    with pytest.raises(ReleaseError, match="git push: ") as caught:
        act_telling(fresh, move_on)
    after = look_at(fresh)
    assert len(str(caught.value).splitlines()) == 1
    assert {**leave_out_objects(after), "remote": None} == {**leave_out_objects(before), "remote": None}
    assert "refs/tags" not in "".join(list_refs(fresh.remote))

    fresh.git("pull", "--quiet")
    rebind(fresh)
    assert act(fresh)[0] is Verdict.RELEASE
    assert list_there(fresh) == list_refs(fresh.remote)


def test_tag_that_appears_at_the_last_moment(keeping: Project) -> None:
    """A tag of that name that somebody pushes meanwhile is not overwritten, and the branch is not pushed without it."""
    other = keeping.clone()

    def tag(step: str) -> None:
        if step == PUSH:
            other.git("tag", "--annotate", "--message", "theirs", BASE_TAG)
            other.git("push", "--quiet", "origin", f"refs/tags/{BASE_TAG}")

    head = keeping.git("rev-parse", "HEAD")
    with pytest.raises(ReleaseError, match="git push: "):
        act_telling(keeping, tag)
    there = keeping.git("ls-remote", "origin", f"refs/tags/{BASE_TAG}").split()[0]
    assert there == other.git("rev-parse", f"refs/tags/{BASE_TAG}")
    assert keeping.git("ls-remote", "origin", "refs/heads/main").split()[0] == head
    assert (keeping.git("tag"), keeping.git("rev-parse", "HEAD")) == ("", head)


def test_remote_that_refuses(keeping: Project) -> None:
    """A remote whose own rules refuse the push leaves everything as it was, there and here."""
    hook = keeping.remote / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in refs/tags/*) echo "tags are protected" >&2; exit 1;; esac\n', "utf-8")
    hook.chmod(0o755)

    assert refuse(keeping, ReleaseError, more_objects=True).where == "git push"


def test_git_remote_that_goes_away(keeping: Project) -> None:
    """A Git remote that goes down in the middle leaves everything here as it was."""
    before = look_at(keeping)

    def go_away(step: str) -> None:
        if step == PUSH:
            keeping.remote.rename(keeping.folder / "gone")

    with pytest.raises(ReleaseError, match="does not appear to be a git repository"):
        act_telling(keeping, go_away)
    (keeping.folder / "gone").rename(keeping.remote)
    assert leave_out_objects(look_at(keeping)) == leave_out_objects(before)


def test_object_that_does_not_come_back(keeping: Project) -> None:
    """An object of the base that the DVC remote took and did not keep is HALT before anything is pushed."""
    before = look_at(keeping)

    def lose(step: str) -> None:
        if step == "objects back from the DVC remote":
            next(path for path in keeping.objects.rglob("*") if path.is_file()).unlink()

    with pytest.raises(HaltError):
        act_telling(keeping, lose)
    assert leave_out_objects(look_at(keeping)) == leave_out_objects(before)


def interrupt(*_: object) -> None:
    """Stand for a kill at this very place."""
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def killed_template(fresh_template: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that was killed when all was published and nothing was switched here."""
    project = fresh_template.copy(tmp_path_factory.mktemp("killed") / "all")
    before = leave_out_objects(look_at(project))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("validation.releasing.publishing.switch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            act(project)
    after = leave_out_objects(look_at(project))
    assert {**after, "remote": None} == {**before, "remote": None}
    assert len(list_refs(project.remote)) == 3
    return project


@pytest.mark.parametrize("fetched", [False, True], ids=["as-left", "fetched-by-hand"])
def test_published_and_killed(killed_template: Project, tmp_path: Path, *, fetched: bool) -> None:
    """A run that was killed after the push is completed by the next one, which publishes nothing anew."""
    project = killed_template.copy(tmp_path / "all")
    published = list_refs(project.remote)
    if fetched:
        project.git("fetch", "--quiet", "--tags")
    verdict, steps = act(project)

    assert verdict is Verdict.RELEASE
    assert steps == (f"published from this decision before; {CANDIDATE_TAG} is served now",)
    assert list_refs(project.remote) == published == list_there(project)
    assert project.git("status", "--porcelain") == ""
    served = project.root / "corpus" / "processed" / "corpus_mode_b_fr.db"
    assert compute_sha256(served) == compute_sha256(project.root / "build" / "qlora" / "fr" / served.name)
    assert act(project) == (Verdict.RELEASE, ("this decision was acted upon before",))


def test_dry_run_takes_nothing_over(killed_template: Project, tmp_path: Path) -> None:
    """A dry run does not complete what was published: it says that the remote is ahead."""
    project = killed_template.copy(tmp_path / "all")
    before = look_at(project)

    with pytest.raises(ReleaseError, match="which was judged"):
        act(project, execute=False)
    assert look_at(project) == before


@pytest.mark.parametrize("name", ["notes.txt", "mine.npy", "chunks_mode_b_fr.json"])
def test_taking_over_loses_nothing(killed_template: Project, tmp_path: Path, name: str) -> None:
    """What lies in the served folder and in no commit stops whoever would take over what was published."""
    project = killed_template.copy(tmp_path / "all")
    with (project.root / "corpus" / "processed" / name).open("a", encoding="utf-8") as stream:
        stream.write("\n")

    assert refuse(project, ReleaseError).where == f"corpus/processed/{name}"


def test_taking_over_without_the_tag(killed_template: Project, tmp_path: Path) -> None:
    """A tag of which the log of the remote tells, and that is not there, is HALT."""
    project = killed_template.copy(tmp_path / "all")
    project.git("push", "--quiet", "--delete", "origin", f"refs/tags/{CANDIDATE_TAG}")

    assert "is in the log of the remote, but the tag is not" in str(refuse(project, HaltError))


def test_taking_over_with_another_tag(killed_template: Project, tmp_path: Path) -> None:
    """A tag of that name that is here and elsewhere is HALT; it is not moved."""
    project = killed_template.copy(tmp_path / "all")
    project.git("tag", "--annotate", "--message", "mine", CANDIDATE_TAG)

    assert refuse(project, HaltError).where == CANDIDATE_TAG
