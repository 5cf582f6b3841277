"""Every call to the system made to fail in turn, and processes killed at every step: old or new, never RELEASE."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.documents import load_yaml, read_text
from pipeline.files import compute_sha256, write_json
from tests.faults.commands import NAMES, Command, clear, prepare, run_killed
from tests.faults.failing import CODES, fail, list_content
from tests.fuzz.spoil import check_end, run_quietly
from tests.releases import build_latency, remember_expectations
from tests.stores import build_request, list_options, write_pair, write_policy
from validation.certificate import compute_code_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from validation.stores import CorpusRequest

RELEASE, KEEP, NOT_DONE = 0, 20, 30
# Removing a folder opens and lists it: where that fails, what was to be removed is left over.
REMOVING = {"open", "stat"}
SWEEPS = [
    (path, operation) for path in (*NAMES, "gate") for operation in CODES if (path, operation) != ("gate", "stat")
]
MOST_CALLS = 2000
# The gate makes hundreds of calls. In an ordinary run, every fifth of the later ones fails; with 1, each of them.
NEAR, EVERY = 20, int(os.environ.get("SWEEP_EVERY", "5"))
RANDOM_KILLS = 6
SCRAPS = (".partial", ".retired")


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """The same tables are validated once, and the sources are read once."""
    digest = compute_code_digest()
    with remember_expectations(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("validation.record.compute_code_digest", lambda: digest)
        patch.setattr("validation.record.find_revision", lambda: None)
        patch.setattr("validation.policy.load_yaml", remember_yaml)
        yield


READ: dict[str, Any] = {}


def remember_yaml(path: Path, record: Any) -> Any:
    """Read a YAML document, and take it apart only the first time."""
    text = read_text(path)
    if text not in READ:
        READ[text] = load_yaml(path, record)
    return READ[text]


@pytest.fixture(params=NAMES)
def command(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    """Each command that writes, with its inputs and an older output."""
    return prepare(request.param, tmp_path)


def list_output(command: Command) -> dict[str, bytes]:
    """Return what a command wrote, without what a run could not remove."""
    return {path: found for path, found in list_content(command.out).items() if not path.split("/")[0].endswith(SCRAPS)}


def list_states(command: Command) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return what a command's output folder holds before it runs and after, and leave it as before."""
    old = list_content(command.out)
    assert command.run().code == 0
    new = list_content(command.out)
    assert new != old
    clear(command, old)
    return old, new


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> CorpusRequest:
    """Two good stores of which the candidate would be released."""
    folder = tmp_path_factory.mktemp("gate")
    request = build_request(*write_pair(folder, base_hits=40, candidate_hits=80))
    write_json(folder / "reports" / "latency.json", build_latency([request]).model_dump())
    return request


def run_gate(pair: CorpusRequest) -> int:
    """Judge the pair and return the exit code."""
    folder = pair.chunks.parents[1]
    result = run_quietly("validation", *list_options(pair, folder / "reports"), "--policy", folder / "policy.yaml")
    if result.code == 30:
        assert result.err.count("\n") <= 1, result
    else:
        assert result.err == "", result
    assert "internal error" not in result.err, result
    return result.code


def fail_gate(pair: CorpusRequest, operation: str) -> None:
    """Let every call of an operation in the gate fail in turn."""
    folder = pair.chunks.parents[1]
    write_policy(folder)
    decision, answers = (folder / "reports" / name for name in ("decision.json", "answers.jsonl"))
    made = {f"reports/{path.name}": b"" for path in (decision, answers)}
    assert run_gate(pair) == RELEASE
    good = list_content(folder)
    for number in (*range(1, NEAR), *range(NEAR, MOST_CALLS, EVERY)):
        with fail(folder, operation, number) as countdown:
            code = run_gate(pair)
        if not countdown.reached:
            break
        found = list_content(folder)

        if operation == "mkdir":  # of a folder that is there, which Python then sees
            assert (code, found) == (RELEASE, good)
        else:
            assert code in {KEEP, NOT_DONE}, f"{operation} {number}: {code}"
            told = json.loads(decision.read_text(encoding="utf-8"))
            assert told["exit_code"] == code
            assert told["answers"] is None or compute_sha256(answers) == told["answers"]["sha256"]
            assert found | made == good | made
    assert code == RELEASE
    assert list_content(folder) == good


def fail_command(command: Command, operation: str) -> None:
    """Let every call of an operation in a command that writes fail in turn."""
    old, new = list_states(command)
    inputs = list_content(command.folder / "corpus")
    for number in range(1, MOST_CALLS):
        with fail(command.folder, operation, number) as countdown:
            result = command.run()
        found = list_output(command) if operation in REMOVING else list_content(command.out)
        if not countdown.reached:
            break
        check_end(result)

        assert found in ((old, new) if result.code else (new,)), f"{operation} {number}: {sorted(found)}"
        assert command.run().code == 0
        assert list_output(command) == new
        clear(command, old)
    assert (result.code, found) == (0, new)
    assert list_content(command.folder / "corpus") == inputs


@pytest.mark.parametrize(("path", "operation"), SWEEPS, ids=map("-".join, SWEEPS))
def test_a_failing_call_never_releases(tmp_path: Path, pair: CorpusRequest, path: str, operation: str) -> None:
    """Whichever call fails: one line, no RELEASE, old or new in full, nothing left over, and the next run mends it."""
    if path == "gate":
        fail_gate(pair, operation)
    else:
        fail_command(prepare(path, tmp_path), operation)


def test_a_failed_flush_is_an_error(command: Command) -> None:
    """A file that the disk did not take is not put in place, and the flush is not tried until it passes."""
    old = list_content(command.out)
    with fail(command.folder, "fsync", 1) as countdown:
        result = command.run()
    check_end(result)

    assert countdown.reached
    assert result.code == 30
    assert list_content(command.out) == old


KILLED_AT = ("open", "write", "copy", "fsync", "replace", "mkdir", "chmod", "execute")


@pytest.mark.parametrize("name", ["export", "adopt", "document"])
def test_a_kill_leaves_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A process that is killed, at any step or at any time, leaves old or new in full, and the next run is as usual."""
    monkeypatch.undo()  # the process that others are forked from is spoken to through a socket
    command = prepare(name, tmp_path)
    old, new = list_states(command)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.commands"])
    seen = set()
    moments = [(operation, number) for operation in KILLED_AT for number in (1, 2, 3, 5, 8, 13)]
    chance = random.Random(name)  # noqa: S311 - moments, no secrets
    for operation, number in [*moments, *[("", 0)] * RANDOM_KILLS]:
        process = context.Process(target=run_killed, args=(name, tmp_path, operation, number))
        process.start()
        if not operation:
            time.sleep(chance.uniform(0, 0.05))
            process.kill()
        process.join()
        found = list_output(command)

        assert process.exitcode in {0, -signal.SIGKILL}
        assert found in ((old, new) if process.exitcode else (new,)), f"{operation} {number}: {sorted(found)}"
        seen.add(process.exitcode)
        assert command.run().code == 0
        assert list_output(command) == new
        clear(command, old)
    assert -signal.SIGKILL in seen
