"""Releases, fallbacks, kills, races and tampering in any order: what is served is always one release, whole."""

from __future__ import annotations

import itertools
import json
import os
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pipeline.errors import PipelineError
from pipeline.files import compute_sha256, write_json
from tests.projects import BASE_TAG, CANDIDATE_TAG, Project, ignore_configuration, run, run_dvc
from tests.releasing.killing import REFUSED, Act, Death, begin, kill
from tests.releasing.observing import (
    LOG,
    SERVED,
    ask,
    check_leftovers,
    check_remote,
    check_whole,
    find_served,
    flip,
    is_behind,
    list_tags,
    read_log,
    see,
)
from validation.outcomes import Verdict
from validation.releasing.audit import audit
from validation.releasing.tracking import LOCAL_CACHE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IS_FULL = os.environ.get("SWEEP_EVERY") == "1"
EXAMPLES, STEPS = (5, 20) if IS_FULL else (2, 8)
MOST_STEPS = 135
TAGS = st.sampled_from([BASE_TAG, CANDIDATE_TAG])
RETURNS = st.builds(Act, st.just("fallback"), TAGS, st.booleans())
ACTS = st.just(Act("release")) | RETURNS


class Releases(RuleBasedStateMachine):
    """A project that people, and chance, do things to.

    `is_sound` is what the machine expects of the served folder; `tags` and `log` are what was seen of them so far.
    """

    templates: ClassVar[dict[str, Project]] = {}
    folders: ClassVar[Callable[[], Path]]

    def __init__(self) -> None:
        """Nothing is there before a template is chosen."""
        super().__init__()
        self.project: Project
        self.is_sound = True
        self.tags: dict[str, str] = {}
        self.log: list[dict[str, Any]] = []
        self.last: Act | None = None

    @initialize(name=st.sampled_from(["fresh", "based", "released"]))
    def begin(self, name: str) -> None:
        """Nothing was released, or the base alone, or both."""
        self.project = self.templates[name].copy(type(self).folders())

    @property
    def served(self) -> str | None:
        """The tag that is served by the log."""
        return find_served(self.project)

    def must_end_well(self, act: Act) -> bool:
        """Whether nothing stands in the way of an act."""
        if act.what == "fallback":
            return act.tag in list_tags(self.project.root) and not (act.push and is_behind(self.project))
        path = self.project.root / "reports" / "decision.json"
        if compute_sha256(path) in {event["evidence_sha256"] for event in read_log(self.project)}:
            return True
        head = self.project.git("rev-parse", "HEAD")
        judged = json.loads(path.read_text("utf-8"))["code"]["revision"]
        return self.is_sound and head == judged == ask(self.project.remote, "rev-parse", "main")

    def do(self, act: Act) -> bool:
        """Do something; where it ends well, a return leaves the project sound."""
        is_free = self.must_end_well(act)
        refused = act.attempt(self.project)
        if refused:
            note(f"{act}: {refused}")
            assert not is_free, refused
            self.is_sound = self.is_sound or self.look()
            return False
        self.is_sound = self.is_sound or act.what == "fallback" or self.look()
        self.last = act

        assert act.what == "release" or self.served == act.tag
        return True

    def look(self) -> bool:
        """Whether the served folder is one release, whole, and the one of the log."""
        try:
            return check_whole(self.project, released=self.served is not None) == self.served
        except AssertionError:
            return False

    @rule(verdict=st.sampled_from([Verdict.RELEASE, Verdict.KEEP]))
    def decide(self, verdict: Verdict) -> None:
        """What is here is pushed and judged again, with this verdict."""
        run(self.project.root, "git", "push", "--quiet", "origin", "main", check=False)
        path = self.project.root / "reports" / "decision.json"
        document = json.loads(path.read_text("utf-8"))
        document["code"]["revision"] = self.project.git("rev-parse", "HEAD")
        write_json(path, document | {"decision": verdict, "exit_code": verdict.exit_code})

    @rule(act=ACTS)
    def act(self, act: Act) -> None:
        """The decision is acted upon, or base or candidate is served again."""
        self.do(act)

    @precondition(lambda self: self.last and self.is_sound)
    @rule()
    def do_it_again(self) -> None:
        """What was done last is done again, and changes nothing, wherever it still is what is served."""
        assert self.last
        before = see(self.project)
        ended = self.do(self.last)

        if ended and (self.last.what == "release" or before.events[-1][1] == self.last.tag) and not self.last.push:
            assert see(self.project) == before

    @precondition(lambda self: self.is_sound and self.served)
    @rule(name=st.sampled_from(["embeddings_mode_b_fr.npy", "corpus_mode_b_intl.db"]))
    def tamper(self, name: str) -> None:
        """Somebody changes a byte of what is served."""
        flip(self.project.root / SERVED / name)
        self.is_sound = False

    @precondition(lambda self: self.is_sound and self.served and not is_behind(self.project))
    @rule()
    def damage_the_cache(self) -> None:
        """An object in the local cache rots; the audit says so, and both releases still can be had from the remote."""
        served = str(self.served)
        pointer = (self.project.root / SERVED / "corpus_mode_b_fr.db.dvc").read_text("utf-8")
        md5 = pointer.split("md5: ")[1][:32]
        rotten = self.project.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
        flip(rotten)
        with pytest.raises(PipelineError):
            self.audit(served)
        for tag in [each for each in list_tags(self.project.root) if each != served] + [served]:
            self.do(Act("fallback", tag))
        flip(rotten)

    @precondition(lambda self: self.is_sound)
    @rule(act=ACTS, number=st.integers(1, MOST_STEPS))
    def kill(self, act: Act, number: int) -> None:
        """Something is killed at some step: old or new; doing it again goes on as if it had not been killed."""
        before = self.served
        is_free = self.must_end_well(act)
        kill(self.project, act, Death(number))
        tag = check_whole(self.project, released=before is not None)
        note(f"{before} -> {tag}")
        refused = act.attempt(self.project)

        assert not (refused and is_free), refused
        assert refused or act.what == "release" or self.served == act.tag

    @precondition(lambda self: self.is_sound)
    @rule(acts=st.tuples(ACTS, ACTS))
    def race(self, acts: tuple[Act, Act]) -> None:
        """Two are started at once: each ends well or is refused."""
        processes = [begin(self.project, act) for act in acts]
        for process in processes:
            process.join()

        assert {process.exitcode for process in processes} <= {0, REFUSED}

    @rule(is_pushed=st.booleans())
    def commit_something(self, *, is_pushed: bool) -> None:
        """Somebody commits a file that has nothing to do with it."""
        notes = self.project.root / "notes.txt"
        notes.write_text(f"{self.project.git('rev-parse', 'HEAD')}\n", "utf-8")
        self.project.git("add", "notes.txt")
        self.project.git("commit", "--quiet", "--message", "note", "--only", "notes.txt")
        if is_pushed:
            run(self.project.root, "git", "push", "--quiet", "origin", "main", check=False)

    @precondition(lambda self: self.is_sound and self.served)
    @rule(tag=TAGS)
    def follow_the_specification(self, tag: str) -> None:
        """The two commands of the specification put other files there; `release.json` comes with the fallback."""
        if tag in list_tags(self.project.root):
            pointers = self.project.git("ls-files", f"{SERVED}/*.dvc").splitlines()
            self.project.git("checkout", tag, "--", *pointers)
            run_dvc(self.project.root, "checkout", *pointers)
            self.is_sound = tag == self.served

    def audit(self, tag: str | None) -> None:
        """Audit a tag offline."""
        audit(self.project.repository, tag, BASE_TAG, [LOCAL_CACHE])

    @invariant()
    def one_release_is_served(self) -> None:
        """Served is the release that the log and `release.json` name; where it was tampered with, the audit objects."""
        if self.is_sound:
            assert check_whole(self.project, released=self.served is not None) == self.served
            assert self.project.git("status", "--porcelain", "corpus", "models") == ""
        else:
            with pytest.raises(PipelineError):
                self.audit(None)

    @invariant()
    def tags_never_move(self) -> None:
        """A tag that was seen once names the same object for ever, and the remote has none that is not here."""
        here, there = list_tags(self.project.root), list_tags(self.project.remote)

        assert self.tags.items() <= here.items()
        assert there.items() <= here.items()
        self.tags = here
        check_remote(self.project)

    @invariant()
    def the_log_only_grows(self) -> None:
        """The log is the one that is committed, continues what was seen of it, and its chain holds."""
        log = read_log(self.project)
        path = self.project.root / LOG

        assert log[: len(self.log)] == self.log
        assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == log if log else not path.exists()
        self.log = log

    @invariant()
    def nothing_is_left_over(self) -> None:
        """No scratch tree and no half-made folder outlives a command."""
        check_leftovers(self.project)

    def teardown(self) -> None:
        """Whatever was done: one fallback makes it sound, and each tag passes its audit."""
        if list_tags(self.project.root):
            self.do(Act("fallback"))
            self.one_release_is_served()
            for tag in list_tags(self.project.root):
                self.audit(tag)


def test_any_order(
    fresh_template: Project,
    based_template: Project,
    released_template: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is done in whatever order: one release is served whole, tags stay, the log grows, the audit knows."""
    monkeypatch.undo()  # processes are forked from one that is spoken to through a socket
    ignore_configuration(monkeypatch)
    numbers = itertools.count()
    Releases.templates = {"fresh": fresh_template, "based": based_template, "released": released_template}
    Releases.folders = staticmethod(lambda: tmp_path / str(next(numbers)))
    run_state_machine_as_test(
        Releases,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=not IS_FULL,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
