"""Releases and fallbacks killed at every step: old or new is served, and running again ends as if nothing had been."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import PipelineError
from tests.projects import BASE_TAG, CANDIDATE_TAG, Project, decide, ignore_configuration
from tests.releasing.killing import Act, Death, begin, count_steps, kill
from tests.releasing.observing import SCRATCH, Seen, check_remote, check_tidy, check_whole, read_models, see
from validation.outcomes import Verdict
from validation.releasing.audit import audit
from validation.releasing.tracking import LOCAL_CACHE
from validation.releasing.workplace import LOCK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Beside the steps that matter most, every so-manieth one in an ordinary run; with 1, each of them.
EVERY = int(os.environ.get("SWEEP_EVERY", "200"))
RELEASE, BACK, FORWARD = Act("release"), Act("fallback"), Act("fallback", CANDIDATE_TAG)
# In an ordinary run: what comes about the point of no return and after it.
TURNS = {
    "first": ("exchange",),
    "candidate": ("git push", "git update-ref"),
    "keep": ("git restore",),
    "back": ("git restore", "exchange", "shutil.rmtree corpus/.processed.partial"),
    "forward": ("git update-ref",),
    "push": ("git push",),
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """An act on a project, another one that somebody may want when it was killed, and what it does uninterrupted."""

    before: Project
    act: Act
    other: Act
    steps: list[str]
    old: Seen
    new: Seen

    def list_numbers(self, turns: tuple[str, ...]) -> list[int]:
        """Return the steps to die at: the turns, and an even sample."""
        last = len(self.steps) - 1
        found = {last - self.steps[::-1].index(label) + 1 for label in turns} if EVERY > 1 else set()
        return sorted(found | set(range(EVERY // 2 + 1, last + 2, EVERY)))


@pytest.fixture(autouse=True)
def _reach_processes(monkeypatch: pytest.MonkeyPatch, _no_network: None, _no_own_configuration: None) -> None:
    """The process that others are forked from is spoken to through a socket."""
    monkeypatch.undo()
    ignore_configuration(monkeypatch)


@pytest.fixture(scope="module")
def make_scenario(
    fresh_template: Project,
    based_template: Project,
    released_template: Project,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Scenario]:
    """Return, and remember, a scenario by its name."""
    made: dict[str, Scenario] = {}
    folder = tmp_path_factory.mktemp("scenarios")

    def prepare(name: str) -> tuple[Project, Act, Act]:
        if name == "first":
            return fresh_template, RELEASE, BACK
        if name == "candidate":
            return based_template, RELEASE, BACK
        project = released_template.copy(folder / name)
        if name == "keep":
            decide(project, decision=Verdict.KEEP, exit_code=Verdict.KEEP.exit_code)
            return project, RELEASE, FORWARD
        if name == "forward":
            BACK.do(project)
            return project, FORWARD, RELEASE
        return project, Act("fallback", push=name == "push"), RELEASE

    def make(name: str) -> Scenario:
        if name not in made:
            before, act, other = prepare(name)
            done = before.copy(folder / f"{name}-done")
            made[name] = Scenario(before, act, other, count_steps(done, act), see(before), see(done))
            check_end(done, made[name])
        return made[name]

    return make


def check_killed(project: Project, scenario: Scenario) -> None:
    """Look at what a kill left: each folder is old or new, and on the remote there is no tag without all of it."""
    found, models = see(project), read_models(project)
    old, new = scenario.old, scenario.new
    check_whole(project, released="release.json" in old.served)

    assert found.served in (old.served, new.served)
    for name in {*models, *old.models}:
        assert models.get(name) in (old.models.get(name), new.models.get(name)), name
    assert found.tags in (old.tags, new.tags)
    assert found.events in (old.events, new.events)
    check_remote(project)


def check_end(project: Project, scenario: Scenario) -> None:
    """Look at what a run leaves that ends well."""
    assert see(project) == scenario.new
    check_whole(project)
    check_remote(project)
    check_tidy(project)
    for tag in scenario.new.tags if EVERY == 1 else [None]:
        audit(project.repository, tag, BASE_TAG, [LOCAL_CACHE])
    check_tidy(project)


def check_other(project: Project, scenario: Scenario) -> None:
    """Look at what somebody gets who does something else after a kill: it ends well, or one line says why not."""
    for act in (scenario.other, scenario.act):
        act.attempt(project)
        check_whole(project, released="release.json" in scenario.old.served)
        check_remote(project)
        check_tidy(project)
    for tag in see(project).tags:
        audit(project.repository, tag, BASE_TAG, [LOCAL_CACHE])


@pytest.mark.parametrize("name", TURNS)
def test_a_killed_run_is_completed_by_the_next(
    tmp_path: Path, make_scenario: Callable[[str], Scenario], name: str
) -> None:
    """Whichever step it dies at: old or new, and the same command again ends as one that nobody killed."""
    scenario = make_scenario(name)
    for number in scenario.list_numbers(TURNS[name]):
        project = scenario.before.copy(tmp_path / str(number))
        assert kill(project, scenario.act, Death(number)), scenario.steps[number - 1]
        try:
            check_killed(project, scenario)
            scenario.act.do(project)
            check_end(project, scenario)
        except (AssertionError, PipelineError) as error:
            error.add_note(f"killed before {number}: {scenario.steps[number - 1]}")
            raise


@pytest.mark.parametrize("name", ["first", "keep", "back", "forward"])
def test_something_else_after_a_kill(tmp_path: Path, make_scenario: Callable[[str], Scenario], name: str) -> None:
    """Who falls back after a killed release, or releases after a killed fallback, gets it or one line."""
    scenario = make_scenario(name)
    for number in scenario.list_numbers(TURNS[name][-1:]):
        project = scenario.before.copy(tmp_path / str(number))
        assert kill(project, scenario.act, Death(number)), scenario.steps[number - 1]
        try:
            check_other(project, scenario)
        except (AssertionError, PipelineError) as error:
            error.add_note(f"killed before {number}: {scenario.steps[number - 1]}")
            raise


def test_two_at_once(tmp_path: Path, make_scenario: Callable[[str], Scenario]) -> None:
    """While one is at it another is refused, and does not disturb it."""
    scenario = make_scenario("first")
    project = scenario.before.copy(tmp_path / "all")
    process = begin(project, scenario.act)
    while process.is_alive() and not [*project.root.glob(f"{SCRATCH}/*")]:
        process.join(0.01)
    refused = scenario.other.attempt(project)
    process.join()

    assert refused
    assert "another release or fallback is under way" in str(refused)
    check_end(project, scenario)


def list_moments(scenario: Scenario) -> list[Death]:
    """Return moments in the middle of commands: of a few in an ordinary run, else of all of them."""
    commands = [number for number, label in enumerate(scenario.steps, 1) if label.startswith(("git ", "dvc "))]
    delays_s = {"git ": (0.001, 0.004, 0.016), "dvc ": (0.2, 0.6)}
    moments = [Death(number, delay_s) for number in commands for delay_s in delays_s[scenario.steps[number - 1][:4]]]
    return moments[EVERY // 12 :: max(1, EVERY // 3)]


@pytest.mark.parametrize("name", ["first", "back"])
def test_a_kill_in_the_middle_of_a_command(tmp_path: Path, make_scenario: Callable[[str], Scenario], name: str) -> None:
    """A command that dies with the process leaves old or new as well, and at most a lock of Git, which is named."""
    scenario = make_scenario(name)
    for death in list_moments(scenario):
        project = scenario.before.copy(tmp_path / f"{death.number}-{death.delay_s}")
        kill(project, scenario.act, death)
        try:
            check_killed(project, scenario)
            run_past_locks(project, scenario.act)
            check_end(project, scenario)
        except (AssertionError, PipelineError) as error:
            error.add_note(f"killed {death.delay_s} s into {death.number}: {scenario.steps[death.number - 1]}")
            raise


def run_past_locks(project: Project, act: Act) -> None:
    """Run again; where a lock of Git is in the way, one line names it, and without it all ends well."""
    left = [path for path in (project.root / ".git").rglob("*.lock") if path.name != LOCK]
    refused = act.attempt(project)
    if refused:
        assert [path for path in left if str(path) in str(refused)], refused
        for path in left:
            path.unlink(missing_ok=True)
        act.do(project)


def test_a_tree_that_git_has_locked_is_removed(released: Project) -> None:
    """A `git worktree add` that was killed leaves its entry locked; the next run removes it, and no person's own."""
    own = released.folder / "own"
    left = released.root / SCRATCH / "killed" / "release-scratch"
    for path in (own, left):
        released.git("worktree", "add", "--quiet", "--detach", str(path))
        released.git("worktree", "lock", "--reason", "initializing", str(path))
    BACK.do(released)

    entries = [path.name for path in (released.root / ".git" / "worktrees").iterdir()]
    assert entries == ["own"]
    assert (own / ".git").is_file()


@pytest.mark.parametrize("act", [RELEASE, FORWARD], ids=["release", "fallback"])
def test_the_lock_of_a_git_command_is_named(released: Project, act: Act) -> None:
    """Where another Git command holds the index nothing is begun, and the lock, which may be a person's, stays."""
    BACK.do(released)
    lock = released.root / ".git" / "index.lock"
    lock.touch()
    before = see(released)
    refused = act.attempt(released)

    assert refused
    assert str(lock) in str(refused)
    assert lock.exists()
    assert see(released) == before


def test_looking_takes_no_lock(released: Project) -> None:
    """A command that only looks leaves the index alone, so no lock outlives it."""
    index = released.root / ".git" / "index"
    before = index.stat().st_mtime_ns
    os.utime(released.root / ".gitignore", (1, 1))  # Git would write down that it has seen this

    assert released.repository.list_dirty() == []
    assert index.stat().st_mtime_ns == before
