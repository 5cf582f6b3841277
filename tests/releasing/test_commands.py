"""The commands of releasing, from the command line to exit code, output and what was done."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline.files import compute_sha256
from tests.projects import BASE_TAG, CANDIDATE_TAG, ROOT, Project, commit, decide, run
from tests.releasing.acts import damage, find_object, get_cache
from tests.releasing.observing import SERVED, check_remote, check_whole, read_log
from tests.releasing.snapshots import edit_decision, look_at
from validation.releasing.receipt import RECEIPT, WAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Result

    Run = Callable[..., Result]
    Change = Callable[[Project], object]

COMMANDS = ("release", "fallback", "drill", "verify", "releases")
HOSTILE = "v1.0-\x1b[2Jbase\u202e"


@pytest.fixture
def run_in(run_cli: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `python -m validation …` as if a project were the one that the sources lie in."""

    def run(project: Project, *arguments: object) -> Result:
        monkeypatch.setattr("pipeline.params.PROJECT_ROOT", project.root)
        monkeypatch.setattr("validation.releasing.commands.PROJECT_ROOT", project.root)
        monkeypatch.setattr("validation.releasing.commands.load_params", lambda: project.params)
        return run_cli("validation", *arguments)

    return run


def act(run_in: Run, project: Project, *options: object) -> Result:
    """Act upon the decision of a project."""
    return run_in(project, "release", "--decision", project.root / "reports" / "decision.json", *options)


def check_refusal(result: Result, code: int, *said: str) -> None:
    """Look at a refusal: its exit code, nothing on standard output, and one line that says all of this."""
    assert (result.code, result.out, result.err.count("\n")) == (code, "", 1), result
    assert result.err.startswith("error: ")
    assert [word for word in said if word not in result.err] == [], result.err


# release


def test_release_says_what_it_would_do_and_does_it(run_in: Run, fresh: Project) -> None:
    """Without `--execute` nothing changes and every step is told; with it the same steps are done, and only once."""
    before = look_at(fresh)
    planned = act(run_in, fresh)
    assert look_at(fresh) == before
    done, again = act(run_in, fresh, "--execute"), act(run_in, fresh, "--execute")

    assert (planned.code, planned.err) == (0, "")
    assert planned.out.splitlines() == [
        f"would release {BASE_TAG}", f"would release {CANDIDATE_TAG}", "nothing was changed; `--execute` does it",
    ]  # fmt: skip
    assert (done.code, done.out, done.err) == (0, f"release {BASE_TAG}\nrelease {CANDIDATE_TAG}\n", "")
    assert (again.code, again.out, again.err) == (0, "this decision was acted upon before\n", "")
    assert check_whole(fresh) == CANDIDATE_TAG
    check_remote(fresh)


def test_keep_is_exit_code_20(run_in: Run, keeping: Project) -> None:
    """A decision to keep the base is acted upon, and the exit code says which it was, planned and done."""
    planned, done = act(run_in, keeping), act(run_in, keeping, "--execute")

    assert (planned.code, planned.out.splitlines()[0], planned.err) == (20, f"would release {BASE_TAG}", "")
    assert (done.code, done.out, done.err) == (20, f"release {BASE_TAG}\n", "")
    assert check_whole(keeping) == BASE_TAG


def test_digest_of_the_decision_is_asked_for(run_in: Run, fresh: Project) -> None:
    """A digest that was passed on apart must be that of the decision."""
    digest = compute_sha256(fresh.root / "reports" / "decision.json")
    refused, planned = (act(run_in, fresh, "--decision-sha256", each) for each in ("0" * 64, digest))

    check_refusal(refused, 30, "decision.json: SHA-256: expected 0000", digest)
    assert (planned.code, planned.err) == (0, "")


REFUSED: dict[str, tuple[dict[str, object], int, str]] = {
    "not-evaluated": (
        {"decision": "NOT_EVALUATED", "exit_code": 30, "reasons": ["no drill"]}, 30, "NOT_EVALUATED: no drill",
    ),
    "halt": ({"decision": "HALT", "exit_code": 40, "reasons": ["the base is gone"]}, 40, "HALT: the base is gone"),
    "comparison": ({"policy": "comparison"}, 30, "stores from elsewhere"),
    "hostile-reason": (
        {"decision": "HALT", "exit_code": 40, "reasons": [f"x\n{HOSTILE}"]}, 40, "x v1.0-\\x1b[2Jbase\\u202e",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_decision_that_is_not_acted_upon(
    run_in: Run, fresh: Project, fields: dict[str, object], code: int, said: str
) -> None:
    """NOT_EVALUATED is exit code 30 and HALT 40, in one line with the reason and nothing that a terminal obeys."""
    edit_decision(fresh, lambda document: document.update(fields))
    before = look_at(fresh)
    result = act(run_in, fresh, "--execute")

    check_refusal(result, code, "decision.json", said)
    assert not {"\x1b", "\u202e"} & set(result.err)
    assert look_at(fresh) == before


# fallback


def test_fallback_and_forward(run_in: Run, released: Project) -> None:
    """Without a tag it is the base; the second time nothing is changed, and says so; any other release by its tag."""
    results = [run_in(released, "fallback", *options) for options in ([], [], ["--to", CANDIDATE_TAG, "--push"])]

    assert [(result.code, result.err) for result in results] == [(0, "")] * 3
    assert [result.out for result in results] == [
        f"{BASE_TAG} is served\n",
        f"{BASE_TAG} is served already; nothing was changed\n",
        f"{CANDIDATE_TAG} is served\n",
    ]
    assert [event["event"] for event in read_log(released, "main", released.remote)][-2:] == ["fell back", "restored"]
    check_remote(released)


def lose(project: Project) -> None:
    """Let there be no objects of any release."""
    shutil.rmtree(get_cache(project))
    shutil.rmtree(project.objects)


NO_WAY: dict[str, tuple[Change, tuple[str, ...], int, str]] = {
    "no-such-tag": (lambda _: None, ("--to", "v9.9-base"), 30, "v9.9-base: there is no such tag; run `git fetch"),
    "empty-tag": (lambda _: None, ("--to", ""), 30, "there is no such tag"),
    "hostile-tag": (lambda _: None, ("--to", HOSTILE), 30, "v1.0-\\x1b[2Jbase\\u202e: there is no such tag"),
    "no-objects-of-the-base": (lose, (), 40, "dvc pull: "),
    "no-objects-of-the-candidate": (lose, ("--to", CANDIDATE_TAG), 30, "dvc pull: "),
    "tag-gone": (lambda project: project.git("tag", "--delete", BASE_TAG), (), 40, "no such tag here; run `git fetch"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "options", "code", "said"), NO_WAY.values(), ids=NO_WAY)
def test_fallback_that_cannot_be_done(
    run_in: Run, released: Project, change: Change, options: tuple[str, ...], code: int, said: str
) -> None:
    """What cannot be served is exit code 30; where it is the base, 40: a person must look. Nothing is changed."""
    change(released)
    damage(released.root / SERVED / "corpus_mode_b_fr.db")
    before = look_at(released)
    result = run_in(released, "fallback", *options)

    check_refusal(result, code, said)
    assert not {"\x1b", "\u202e"} & set(result.err)
    assert look_at(released) == before


def test_fallback_that_cannot_be_pushed(run_in: Run, released: Project) -> None:
    """Exit code 30 and one line that says that the base is served all the same."""
    released.remote.rename(released.folder / "gone")
    result = run_in(released, "fallback", "--push")

    check_refusal(result, 30, f"{BASE_TAG}: is served here, but was not pushed: ")
    assert check_whole(released) == BASE_TAG


def test_fallback_tells_of_a_damaged_cache(run_in: Run, released: Project) -> None:
    """What was noticed on the way stands before what is served."""
    damage(find_object(released, get_cache(released), BASE_TAG, "corpus_mode_b_fr.db"))
    result = run_in(released, "fallback")

    assert (result.code, result.err) == (0, "")
    assert len(result.out.splitlines()) == 2
    assert "the local cache is damaged" in result.out.splitlines()[0]
    assert result.out.splitlines()[1] == f"{BASE_TAG} is served"


# verify


def test_verify_says_what_holds(run_in: Run, released: Project) -> None:
    """A line for each thing that was looked at; by default of what is served."""
    served, base = run_in(released, "verify"), run_in(released, "verify", BASE_TAG)
    looked = ["event chain", "tag", "pointers", "objects", "model", "commit", "decision"]

    for result, further in ((served, ["served"]), (base, [])):
        assert (result.code, result.err) == (0, "")
        assert [line[:12].strip() for line in result.out.splitlines()] == looked + further
    assert f"served       {SERVED} is {CANDIDATE_TAG}" in served.out.splitlines()
    assert f"{BASE_TAG} is annotated" in base.out


def test_verify_is_offline_unless_told(run_in: Run, released: Project) -> None:
    """In a clone that has pointers alone objects are taken from the remote only when that is asked for."""
    clone = released.clone()
    offline, fetched = run_in(clone, "verify", CANDIDATE_TAG), run_in(clone, "verify", BASE_TAG, "--fetch")

    check_refusal(offline, 30, "dvc pull: ")
    assert (fetched.code, fetched.err) == (0, "")


UNSOUND: dict[str, tuple[Change, tuple[str, ...], int, str]] = {
    "nothing-served": (lambda project: (project.root / SERVED / "release.json").unlink(), (), 30, "release.json"),
    "no-such-tag": (lambda _: None, ("v9.9-qlora",), 30, "v9.9-qlora: there is no such tag"),
    "hostile-tag": (lambda _: None, (HOSTILE,), 30, "v1.0-\\x1b[2Jbase\\u202e: there is no such tag"),
    "served-file-damaged": (lambda project: damage(project.root / SERVED / "corpus_mode_b_fr.db"), (), 30, "_fr.db"),
    "base-damaged": (
        lambda project: damage(find_object(project, get_cache(project), BASE_TAG, "corpus_mode_b_fr.db")),
        (BASE_TAG,), 40, "_fr.db: SHA-256 differs",
    ),
    "log-cut": (
        lambda project: (project.root / "models/releases.jsonl").write_text("", "utf-8"), (), 40, "releases.jsonl",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "options", "code", "said"), UNSOUND.values(), ids=UNSOUND)
def test_verify_says_what_does_not_hold(
    run_in: Run, released: Project, change: Change, options: tuple[str, ...], code: int, said: str
) -> None:
    """The first thing that does not hold is one line; where it is the base or the log, exit code 40."""
    change(released)
    result = run_in(released, "verify", *options)

    check_refusal(result, code, said)
    assert not {"\x1b", "\u202e"} & set(result.err)


# releases


def test_releases_are_listed(run_in: Run, released: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags with state, model, time, actor and commit."""
    monkeypatch.setenv("COLUMNS", "160")
    released.git("tag", "--delete", BASE_TAG)
    result = run_in(released, "releases")
    rows = [re.split(r"\s{2,}", line.strip()) for line in result.out.splitlines() if line.startswith(" v1.")]

    assert (result.code, result.err) == (0, "")
    assert [row[:2] for row in rows] == [[BASE_TAG, "tag is gone"], [CANDIDATE_TAG, "served"]]
    assert rows[1][2] == "embedded-gemma-chess-fr"
    assert rows[1][4:] == ["Arbitre <arbitre@example.org>", released.git("rev-parse", f"{CANDIDATE_TAG}^{{}}")[:12]]


def test_releases_of_a_broken_log(run_in: Run, released: Project) -> None:
    """A committed log that was cut is exit code 40."""
    log = released.root / "models" / "releases.jsonl"
    log.write_text("".join(log.read_text("utf-8").splitlines(keepends=True)[1:]), "utf-8")
    released.git("commit", "--quiet", "--all", "--message", "cut")

    check_refusal(run_in(released, "releases"), 40, "releases.jsonl:1: does not follow from the line before")


# drill


def test_drill_that_does_not_lead_back_leaves_no_report(
    run_in: Run, fresh: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 30, one line, and no report: not even the older one, which would vouch for a way that is cut."""
    monkeypatch.setattr("validation.releasing.drill.fall_back", lambda *_, **__: None)
    output = fresh.root / "reports"
    before = look_at(fresh)
    assert (output / RECEIPT).is_file()
    result = run_in(fresh, "drill", "--output", output)

    check_refusal(result, 30, f"fall back: serves {CANDIDATE_TAG}, expected {BASE_TAG}")
    assert not (output / RECEIPT).exists()
    after = look_at(fresh)
    before["files"].pop(f"reports/{RECEIPT}")
    assert after == before


# Usage and help

WRONG = [
    ("release", "--force"),
    ("release", "decision.json"),
    ("fallback", BASE_TAG),
    ("fallback", "--to"),
    ("verify", BASE_TAG, CANDIDATE_TAG),
    ("drill", "--output"),
    ("releases", "--all"),
]


def test_wrong_usage(run_in: Run, fresh: Project) -> None:
    """Exit code 2 and one line, and nothing is done."""
    before = look_at(fresh)
    for arguments in WRONG:
        check_refusal(run_in(fresh, *arguments), 2, "; see --help")
    assert look_at(fresh) == before


OPTIONS = {
    "release": ["--decision", "--decision-sha256", "--execute"],
    "fallback": ["--to", "--push"],
    "drill": ["--output", "--if-needed"],
    "verify": ["--fetch", "--attestation", "--key", "--folder", "--policy", "--log"],
    "releases": [],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_every_option(run_cli: Run, command: str) -> None:
    """`--help` lists exactly the options that there are, says what the command does, and README.md knows it."""
    result = run_cli("validation", command, "--help")
    found = re.findall(r"^ {2}(--[a-z0-9-]+)", result.out, re.MULTILINE)

    assert (result.code, result.err) == (0, "")
    assert found == [*OPTIONS[command], "--help"]
    assert command in run_cli("validation", "--help").out
    assert f"`python -m validation {command}" in (ROOT / "README.md").read_text("utf-8")


def test_help_tells_the_defaults(run_cli: Run) -> None:
    """What happens without an option is said where it is not nothing."""
    fallback, verify = (" ".join(run_cli("validation", name, "--help").out.split()) for name in ("fallback", "verify"))

    assert "default: that of the base" in fallback
    assert "default: the release that is served" in verify
    assert "without this, only say" in " ".join(run_cli("validation", "release", "--help").out.split())


# The whole way, each command in a process of its own


def install(project: Project) -> None:
    """Put the sources of this project beside the text of a small one, and commit them."""
    for room in ("pipeline", "validation", "expectations"):
        shutil.copytree(ROOT / room, project.root / room, ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / "params.yaml").read_text("utf-8")
    (project.root / "params.yaml").write_text(re.sub(r"total: \d+", "total: 120", text), "utf-8")
    commit(project, "sources")
    decide(project)


def test_whole_way_in_processes(fresh: Project) -> None:
    """Drill, release, list, fall back, audit: each command finds its project by itself and ends with its code."""
    install(fresh)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def call(*arguments: str) -> list[str]:
        ended = subprocess.run(
            [sys.executable, "-m", "validation", *arguments],
            cwd=fresh.root,
            env=environment | {"COLUMNS": "160", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
        return ended.stdout.splitlines()

    before = look_at(fresh)
    drilled = call("drill", "--output", "drilled")
    report = json.loads((fresh.root / "drilled" / RECEIPT).read_text("utf-8"))

    assert [line[: len(act)] for act, line in zip(WAY, drilled, strict=False)] == [*WAY]
    assert all(line.endswith("7 files hashed, hits 40/120 on fr, 60/120 on intl") for line in drilled[:4:2])
    assert all(line.endswith("7 files hashed, hits 90/120 on fr, 70/120 on intl") for line in drilled[1:4:2])
    assert drilled[4:] == [f"drilled/{RECEIPT}"]
    assert [step["act"] for step in report["steps"]] == [*WAY]
    assert call("drill", "--output", "drilled", "--if-needed") == [f"drilled/{RECEIPT}: still holds"]
    shutil.rmtree(fresh.root / "drilled")
    assert look_at(fresh) == before
    assert call("release")[-1] == "nothing was changed; `--execute` does it"
    assert call("release", "--execute") == [f"release {BASE_TAG}", f"release {CANDIDATE_TAG}"]
    assert call("fallback", "--push") == [f"{BASE_TAG} is served"]
    assert call("verify")[-1] == f"served       {SERVED} is {BASE_TAG}"
    assert [line.split()[1] for line in call("releases") if line.startswith(" v1.")] == ["served", "released"]
    assert run(fresh.root, "git", "status", "--porcelain").stdout == ""
    check_remote(fresh)
