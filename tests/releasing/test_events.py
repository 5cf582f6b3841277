"""The log of events: appended all or none, and a chain in which a change shows."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InputError, PipelineError
from validation.outcomes import Verdict
from validation.releasing.errors import HaltError
from validation.releasing.events import (
    LOG,
    NOTHING_BEFORE,
    Event,
    NewEvent,
    append_events,
    find_release,
    find_served,
    load_events,
    parse_events,
)

if TYPE_CHECKING:
    from pathlib import Path

ACTOR, COMMIT = "Arbitre Émile <arbitre@example.org>", "c" * 40
FIRST = [NewEvent(event="registered", tag="v1.0-base"), NewEvent(event="released", tag="v1.0-base")]
THEN = [
    NewEvent(event="gated", tag="v1.1-qlora", evidence_sha256="a" * 64, verdict=Verdict.RELEASE),
    NewEvent(event="released", tag="v1.1-qlora", evidence_sha256="b" * 64),
    NewEvent(event="fell back", tag="v1.0-base"),
]


def write_log(root: Path) -> str:
    """Write a log of five events and return its text."""
    (root / "models").mkdir(parents=True, exist_ok=True)
    append_events(root, ACTOR, COMMIT, FIRST)
    append_events(root, ACTOR, COMMIT, THEN)
    return (root / LOG).read_text("utf-8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of a log of five events."""
    return write_log(tmp_path_factory.mktemp("log"))


def chain(documents: list[dict[str, Any]]) -> str:
    """Return a log in which every line follows from the one before, whatever it says."""
    lines: list[str] = []
    for document in documents:
        previous = hashlib.sha256(lines[-1].encode()).hexdigest() if lines else NOTHING_BEFORE
        lines.append(json.dumps({**document, "previous": previous}))
    return "".join(f"{line}\n" for line in lines)


def test_events_are_numbered_and_chained(tmp_path: Path) -> None:
    """Every line has its number, and the digest of the line before; the first has zeros."""
    lines = write_log(tmp_path).splitlines()
    documents = [json.loads(line) for line in lines]

    assert [each["number"] for each in documents] == [1, 2, 3, 4, 5]
    assert [each["event"] for each in documents] == [each.event for each in [*FIRST, *THEN]]
    assert [each["previous"] for each in documents] == [
        "0" * 64,
        *(hashlib.sha256(line.encode()).hexdigest() for line in lines[:-1]),
    ]
    assert {(each["actor"], each["commit"]) for each in documents} == {(ACTOR, COMMIT)}
    assert load_events(tmp_path)[2].verdict is Verdict.RELEASE


def test_run_of_a_workflow_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event says in which run of a workflow it happened."""
    monkeypatch.setenv("GITHUB_RUN_ID", "77")
    monkeypatch.setenv("GITHUB_RUN_ATTEMPT", "2")
    write_log(tmp_path)

    run = load_events(tmp_path)[-1].run
    assert run is not None
    assert (run.id, run.attempt) == ("77", "2")


def test_no_log_is_an_empty_one(tmp_path: Path) -> None:
    """Where nothing was released there is no log, and nothing is served."""
    assert load_events(tmp_path) == []
    assert parse_events("log", "") == []
    assert find_served([]) is None


def test_append_keeps_what_was_there(tmp_path: Path, text: str) -> None:
    """Appending changes no line that was there, with or without a newline at the end."""
    (tmp_path / LOG).parent.mkdir()
    (tmp_path / LOG).write_text(text.removesuffix("\n"), "utf-8")
    append_events(tmp_path, ACTOR, COMMIT, FIRST)

    assert (tmp_path / LOG).read_text("utf-8").startswith(text)
    assert [each.number for each in load_events(tmp_path)] == [1, 2, 3, 4, 5, 6, 7]


def test_append_to_a_broken_log_changes_nothing(tmp_path: Path, text: str) -> None:
    """A log whose chain is broken is not continued."""
    broken = text.split("\n", 1)[1]
    (tmp_path / LOG).parent.mkdir()
    (tmp_path / LOG).write_text(broken, "utf-8")

    with pytest.raises(HaltError):
        append_events(tmp_path, ACTOR, COMMIT, FIRST)
    assert (tmp_path / LOG).read_text("utf-8") == broken
    assert [path.name for path in (tmp_path / LOG).parent.iterdir()] == [LOG.name]


def test_append_is_all_or_none(tmp_path: Path, text: str) -> None:
    """Where one of several events cannot be written, none is."""
    (tmp_path / LOG).parent.mkdir()
    (tmp_path / LOG).write_text(text, "utf-8")
    odd = FIRST[0].model_copy(update={"event": "lost"})

    with pytest.raises(ValueError, match="event"):
        append_events(tmp_path, ACTOR, COMMIT, [*FIRST, odd])
    assert (tmp_path / LOG).read_text("utf-8") == text


@given(data=st.data())
def test_cut_line_shows(text: str, data: st.DataObject) -> None:
    """A line that was cut out shows, but for the last one.

    Nothing follows that one; Git has the log of every commit before, and a tag the log that ends with its release.
    """
    lines = text.splitlines()
    cut = data.draw(st.integers(0, len(lines) - 2))

    with pytest.raises(HaltError, match="a line was cut out, swapped or edited; restore the log from Git"):
        parse_events("log", "".join(f"{line}\n" for line in lines[:cut] + lines[cut + 1 :]))


@given(data=st.data())
def test_swapped_lines_show(text: str, data: st.DataObject) -> None:
    """Two lines that changed places show."""
    lines = text.splitlines()
    one, other = data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True))
    lines[one], lines[other] = lines[other], lines[one]

    with pytest.raises(HaltError, match=f"log:{min(one, other) + 1}: does not follow from the line before"):
        parse_events("log", "".join(f"{line}\n" for line in lines))


@given(data=st.data())
def test_edited_line_shows(text: str, data: st.DataObject) -> None:
    """One character that was edited, put in or taken out of any line but the last shows.

    Nothing follows the last line; there Git has the log of each commit, and the tag that of its release.
    """
    lines = text.splitlines()
    number = data.draw(st.integers(0, len(lines) - 2))
    at = data.draw(st.integers(0, len(lines[number]) - 1))
    new = data.draw(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=1))
    edited = lines[number][:at] + new + lines[number][at + 1 :]
    if edited == lines[number]:
        return
    lines[number] = edited
    with pytest.raises(PipelineError) as caught:
        parse_events("log", "".join(f"{line}\n" for line in lines))
    assert caught.value.where.startswith(f"log:{number + 1}") or caught.value.where == f"log:{number + 2}"


@given(number=st.integers(1, 5), copies=st.integers(1, 3))
def test_repeated_line_shows(text: str, number: int, copies: int) -> None:
    """A line that stands there more than once shows, the last one included."""
    lines = text.splitlines()
    lines[number - 1 : number] = [lines[number - 1]] * (copies + 1)

    with pytest.raises(HaltError, match=f"log:{number + 1}: does not follow"):
        parse_events("log", "".join(f"{line}\n" for line in lines))


def test_line_without_line_before(text: str) -> None:
    """A log that does not begin with its first line is broken, even where it is chained anew."""
    documents = [json.loads(line) for line in text.splitlines()]

    assert len(parse_events("log", chain(documents))) == 5
    with pytest.raises(HaltError, match="log:1: does not follow"):
        parse_events("log", chain(documents[1:]))


MALFORMED = {
    "no-json": lambda _: "released\n",
    "blank": lambda _: "\n",
    "unknown-event": lambda line: line.replace('"registered"', '"removed"'),
    "unknown-field": lambda line: line.replace("{", '{"more": 1, ', 1),
    "field-twice": lambda line: line.replace("{", '{"number": 1, ', 1),
    "field-missing": lambda line: line.replace('"verdict":null,', ""),
    "number-as-text": lambda line: line.replace('"number":1', '"number":"1"'),
    "number-zero": lambda line: line.replace('"number":1', '"number":0'),
    "odd-time": lambda line: line.replace("Z", "+01:00", 1),
    "odd-commit": lambda line: line.replace(COMMIT, "HEAD"),
    "odd-tag": lambda line: line.replace("v1.0-base", "--force"),
    "odd-digest": lambda line: line.replace("0" * 64, "0" * 63),
}


@pytest.mark.parametrize("spoil", MALFORMED.values(), ids=MALFORMED)
def test_malformed_line_is_bad_input(text: str, spoil: Any) -> None:
    """A line that is no event is bad input, named by its number; only a broken chain is HALT."""
    first, rest = text.split("\n", 1)

    with pytest.raises(InputError) as caught:
        parse_events("log", spoil(first + "\n") + rest)
    assert caught.value.where.startswith("log:1")
    assert caught.value.exit_code == 30


def make_event(kind: str, tag: str | None) -> Event:
    """Return an event of which only kind and tag matter."""
    return Event.model_validate(
        {
            "number": 1, "event": kind, "time": "2026-01-25T12:00:00Z", "actor": "a", "commit": COMMIT, "tag": tag,
            "evidence_sha256": None, "verdict": None, "run": None, "previous": NOTHING_BEFORE,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("told", "served"),
    [
        ([("registered", "v1.0-base"), ("gated", "v1.1-qlora")], None),
        ([("released", "v1.0-base"), ("released", "v1.1-qlora")], "v1.1-qlora"),
        ([("released", "v1.1-qlora"), ("fell back", "v1.0-base")], "v1.0-base"),
        ([("fell back", "v1.0-base"), ("restored", "v1.1-qlora")], "v1.1-qlora"),
        ([("released", "v1.1-qlora"), ("kept", "v1.0-base")], "v1.0-base"),
        ([("released", "v1.0-base"), ("gated", "v1.1-qlora"), ("drilled", "v1.1-qlora")], "v1.0-base"),
    ],
    ids=["nothing", "released", "fell-back", "restored", "kept", "judged-only"],
)
def test_served_is_what_the_last_switch_says(told: list[tuple[str, str]], served: str | None) -> None:
    """What is served is the tag of the last event that switches; being judged does not."""
    assert find_served([make_event(*each) for each in told]) == served


def test_release_is_found_by_its_tag() -> None:
    """The event in which a tag was released is neither its registration nor the release of another."""
    events = [
        make_event("registered", "v1.1-qlora"),
        make_event("released", "v1.0-base"),
        make_event("kept", "v1.1-qlora"),
    ]

    assert find_release(events, "v1.0-base") is events[1]
    assert find_release(events, "v1.1-qlora") is None
