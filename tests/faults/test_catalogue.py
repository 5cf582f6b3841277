"""Every fault of the catalogue is caught by the check and with the outcome that it names; nothing good is refused."""

from __future__ import annotations

import importlib
import os
import time
import tracemalloc
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.faults.catalogue import ALL_IDS, FAULTS, RUNNABLE, Fault
from tests.faults.content import find_alarms, list_contents
from tests.faults.injectors import PAYLOAD
from tests.faults.judging import judge_case, observe
from tests.releases import build_small_case, load_small_rulebook, remember_expectations
from tests.stores import get_path
from validation.evidence import collect_store
from validation.expectations import ExpectationRunner
from validation.outcomes import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Result
    from validation.release_case import ReleaseCase

# Far more than a judgement takes that waits for nobody, far less than one that waits for a writer.
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def _remember() -> Iterator[None]:
    with remember_expectations():
        yield


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ReleaseCase:
    """A small release of two corpora; every fault spoils a copy."""
    return build_small_case(tmp_path_factory.mktemp("release"), load_small_rulebook())


@pytest.fixture
def own(case: ReleaseCase, tmp_path: Path) -> ReleaseCase:
    """The primary corpus of the release, with a folder of the test's own for what is spoilt."""
    return replace(case, folder=tmp_path, corpora=case.corpora[:1], gold=case.gold[:1])


def inject(name: str, case: ReleaseCase, stack: ExitStack) -> ReleaseCase:
    """Put a fault into a case."""
    spoil = RUNNABLE[name].inject

    assert spoil is not None

    return spoil(case, stack)


# Faults


def test_what_has_no_fault_is_released(own: ReleaseCase) -> None:
    """The release that all faults are put into goes out, and every check of it passes."""
    seen = judge_case(own)

    assert (seen.verdict, seen.findings) == (Verdict.RELEASE, ())
    assert len(seen.ledger) > 50


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_fault_is_caught(case: ReleaseCase, name: str) -> None:
    """The verdict is the one that is named, for the check, outcome and reason that are named."""
    fault = RUNNABLE[name]
    seen = observe(fault, case)
    found = seen.find(fault)

    assert seen.verdict is fault.verdict
    if fault.outcome is Outcome.PASS:
        assert seen.findings == ()
    else:
        assert found is not None, seen.findings
        assert found.outcome is fault.outcome
        assert fault.said in f"{found.detail}"
        assert {check.id for check in seen.findings} <= {fault.check, *fault.also}
    assert seen.catches(fault)


def test_a_fault_leaves_the_release_as_it_was(case: ReleaseCase) -> None:
    """Copies are spoilt: after all of them the release itself still goes out, and no folder is left behind."""
    narrowed = replace(case, corpora=case.corpora[:1], gold=case.gold[:1])

    assert judge_case(narrowed).verdict is Verdict.RELEASE
    assert [path.name for path in case.folder.iterdir() if path.name.startswith("tmp")] == []


# What a finding does not show


def test_the_payload_of_a_pickle_never_runs(own: ReleaseCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A11: the variable that the payload sets when it is read back by pickle is not set by the gate."""
    monkeypatch.delenv(PAYLOAD, raising=False)
    with ExitStack() as stack:
        spoilt = inject("A11", own, stack)
        seen = judge_case(spoilt)

    assert seen.verdict is Verdict.NOT_EVALUATED
    assert PAYLOAD not in os.environ

    np.load(get_path(spoilt.get_store("qlora"), "embeddings"), allow_pickle=True)

    assert os.environ[PAYLOAD] == "1"


def test_a_claimed_size_takes_no_memory(own: ReleaseCase) -> None:
    """A13: a header that claims 30 TB is refused before anything of that order is allocated."""
    with ExitStack() as stack:
        spoilt = inject("A13", own, stack)
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        store, checks = collect_store("qlora", spoilt.get_store("qlora"), own.primary)
        peak = tracemalloc.get_traced_memory()[1]

    assert store is None
    assert checks[-1].outcome is Outcome.ERROR
    assert peak < 10_000_000


def test_a_missing_database_is_not_made(own: ReleaseCase) -> None:
    """B6: judging a store without its database creates no file."""
    with ExitStack() as stack:
        store = inject("B6", own, stack).get_store("qlora")
        judge_case(replace(own, corpora=(replace(own.corpora[0], stores={**own.corpora[0].stores, "qlora": store}),)))

    assert sorted(path.suffix for path in store.iterdir()) == [".json", ".npy", ".npy"]


def test_a_stale_log_is_not_played_back(own: ReleaseCase) -> None:
    """B8: the database keeps its bytes and so does the log, which a plain connection would have played or removed."""
    with ExitStack() as stack:
        spoilt = inject("B8", own, stack)
        store = spoilt.get_store("qlora")
        before = {path.name: path.read_bytes() for path in store.iterdir()}
        seen = judge_case(spoilt)

    assert seen.verdict is Verdict.NOT_EVALUATED
    assert {path.name: path.read_bytes() for path in store.iterdir()} == before
    assert any(name.endswith("-wal") for name in before)


def test_a_writer_is_not_waited_for(own: ReleaseCase) -> None:
    """B19: a database that is locked for as long as the gate looks at it ends in bounded time."""
    with ExitStack() as stack:
        spoilt = inject("B19", own, stack)
        start = time.monotonic()
        seen = judge_case(spoilt)
        taken = time.monotonic() - start

    assert seen.verdict is Verdict.NOT_EVALUATED
    assert taken < PATIENCE_S


@pytest.mark.parametrize("name", [name for name in RUNNABLE if name.startswith("A5")])
def test_nothing_is_measured_on_what_is_not_finite(own: ReleaseCase, name: str) -> None:
    """A5: no metric is computed; each says which check it was that stood before it."""
    with ExitStack() as stack:
        ledger = judge_case(inject(name, own, stack)).ledger
    measured = [check for check in ledger if check.id.startswith("RET")]

    assert {check.blocked_by for check in measured} == {("VEC105", "qlora/fr/passages")}
    assert {check.interval for check in measured} == {None}


@pytest.mark.parametrize("name", [name for name in RUNNABLE if name.startswith("H8")])
def test_a_path_changes_no_check(own: ReleaseCase, name: str) -> None:
    """H8: wherever the stores lie, every check says the same to the last digit."""
    with ExitStack() as stack:
        moved = judge_case(inject(name, own, stack))

    assert moved.ledger[:-1] == judge_case(own).ledger[:-1]
    assert moved.ledger[-1].outcome is Outcome.PASS


def test_what_is_used_is_what_was_hashed(own: ReleaseCase) -> None:
    """H6: of a file that is replaced after it was hashed, the hashed bytes are judged: answers are those of before."""
    with ExitStack() as stack:
        seen = judge_case(inject("H6a", own, stack)).ledger

    assert [check for check in seen if check.id.startswith(("VEC", "RET", "STO"))] == [
        check for check in judge_case(own).ledger if check.id.startswith(("VEC", "RET", "STO"))
    ]


def test_no_memory_is_one_line(
    own: ReleaseCase, run_cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """H4: out of memory ends the command with 30, one line, and a decision that is not evaluated."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise MemoryError

    request = own.corpora[0]
    stores = ("--base", request.stores["base"], "--candidate", request.stores["qlora"])
    texts = ("--chunks", request.chunks, "--questions", request.questions, "--qrels", request.qrels)
    monkeypatch.setattr("validation.request.measure_latency", fail)
    result = run_cli("validation", "gate", *stores, *texts, "--output", tmp_path / "reports")

    assert (result.code, result.err.count("\n")) == (30, 1)
    assert result.err.startswith("error: out of memory: ")
    assert '"decision": "NOT_EVALUATED"' in (tmp_path / "reports" / "decision.json").read_text("utf-8")


# Coverage


def exists(name: str) -> bool:
    """Whether a test is there that is named as `module::function`."""
    module, function = name.split("::")
    return callable(getattr(importlib.import_module(f"tests.{module}"), function, None))


@pytest.mark.parametrize("number", ALL_IDS)
def test_every_fault_is_covered(number: str) -> None:
    """Each is put into a release here, or covered by tests that exist."""
    ways = [fault for fault in FAULTS if fault.number == number]

    assert ways
    for fault in ways:
        assert (fault.inject is None) is bool(fault.covered_by), fault.id
        assert [name for name in fault.covered_by if not exists(name)] == []


def test_the_catalogue_names_each_fault_once_and_no_other() -> None:
    """No id is used twice, none is unknown, and a way that stands alone needs no letter."""
    names = [fault.id for fault in FAULTS]

    assert len(set(names)) == len(names)
    assert {fault.number for fault in FAULTS} == set(ALL_IDS)
    assert all(fault.group == fault.id[0] for fault in FAULTS)


def test_a_fault_says_what_is_expected(case: ReleaseCase) -> None:
    """A check is one of the catalogue, a reader or the boundary; only a FAIL keeps the base, only an ERROR refuses."""
    known = {*case.rulebook.catalogue, "reader", "boundary"}
    expected = {Outcome.FAIL: {Verdict.KEEP}, Outcome.ERROR: {Verdict.NOT_EVALUATED, Verdict.HALT}}
    expected |= {Outcome.INCONCLUSIVE: {Verdict.KEEP}, Outcome.PASS: {Verdict.RELEASE}}
    for fault in RUNNABLE.values():
        assert fault.verdict in expected[fault.outcome], fault.id
        assert fault.outcome is Outcome.PASS or {fault.check, *fault.also} <= known, fault.id
        assert fault.said or fault.outcome is not Outcome.ERROR, fault.id


def test_another_finding_is_not_caught(case: ReleaseCase) -> None:
    """A fault counts as caught by its own verdict, check, outcome and reason only."""
    fault = RUNNABLE["A1"]
    seen = observe(fault, case)
    others: list[Fault] = [
        replace(fault, verdict=Verdict.KEEP),
        replace(fault, check="INT102"),
        replace(fault, subject="qlora/intl"),
        replace(fault, outcome=Outcome.FAIL),
        replace(fault, said="SHA-256 differs"),
        replace(fault, outcome=Outcome.PASS, verdict=Verdict.NOT_EVALUATED),
    ]

    assert seen.catches(fault)
    assert [seen.catches(other) for other in others] == [False] * len(others)


# False alarms


def test_valid_content_raises_no_alarm(tmp_path: Path) -> None:
    """Fifty stores of random but valid content pass every check of bytes, chunks, vectors and rows."""
    rulebook = load_small_rulebook()
    runner = ExpectationRunner(rulebook.suites)
    contents = list_contents(large=False)
    alarms = [
        (content, check)
        for content in contents
        for check in find_alarms(content, tmp_path / str(content.seed), rulebook.policy.limits, runner)
    ]

    assert alarms == []
    assert len(contents) >= 50
