"""Faults of the fallback itself: a base that does not hold, a remote that is down, a switch that is watched."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.vectors import load_vectors, save_vectors
from tests.projects import BASE_TAG, CANDIDATE_TAG, decide, take_snapshot
from tests.releasing.acts import (
    DATABASE,
    ERROR,
    HALT,
    VECTORS,
    act_upon,
    audit_tag,
    expect_refusal,
    find_object,
    get_cache,
    make_content_again,
    serve,
)
from validation.releasing.events import load_events
from validation.releasing.release_file import SERVED, load_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from _typeshed import TraceFunction

    from tests.projects import Project


# I1: a base that does not hold


def change_database(root: Path, statement: str) -> None:
    """Change the served database."""
    path = root / SERVED / DATABASE
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def swap_vectors(root: Path) -> None:
    """Let the served matrix be another one than the database holds."""
    path = root / SERVED / VECTORS
    rows = np.array(load_vectors(path, rows=120))
    path.unlink()
    save_vectors(path, rows[::-1])


CONTENTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "other model": (
        lambda root: change_database(
            root, "UPDATE metadata SET value = 'embedded-gemma-chess-fr' WHERE key = 'model_id'"
        ),
        DATABASE,
        "model_id: expected 'embedded-gemma-lsa', got 'embedded-gemma-chess-fr'",
    ),
    "extra view": (
        lambda root: change_database(root, "CREATE VIEW more AS SELECT * FROM chunks"),
        DATABASE,
        "view more is not as an export makes it",
    ),
    "other vectors": (swap_vectors, VECTORS, "does not hold the vectors of"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_i1_base_does_not_hold(based: Project, name: str) -> None:
    """I1: a base whose bytes are all as recorded, but wrong, is not served, and nothing is released beside it."""
    spoil, file, said = CONTENTS[name]
    make_content_again(based, spoil, file)

    expect_refusal(based, lambda: audit_tag(based, BASE_TAG), HALT, DATABASE, said)
    expect_refusal(based, lambda: serve(based), HALT, DATABASE, said)


def test_i1_no_candidate_beside_a_base_that_does_not_hold(based: Project) -> None:
    """I1: beside a base that is not the one that was judged, though log and tag vouch for it, nothing is released."""
    spoil, file, _ = CONTENTS["other model"]
    make_content_again(based, spoil, file)
    decide(based)

    expect_refusal(based, lambda: act_upon(based), ERROR, BASE_TAG, "was released in other bytes than the base")


# I2: no objects


def lose_remote(project: Project) -> None:
    """Let the DVC remote be gone."""
    project.objects.rename(project.folder / "down")


def block_remote(project: Project) -> None:
    """Let something else be where the DVC remote was."""
    lose_remote(project)
    project.objects.write_text("down\n", "utf-8")


@pytest.mark.parametrize("down", [lose_remote, block_remote])
def test_i2_remote_is_down(released: Project, down: Callable[[Project], None]) -> None:
    """I2: without remote and cache what is served stays, and the audit offline says that the way back is cut."""
    shutil.rmtree(get_cache(released))
    down(released)

    expect_refusal(released, lambda: serve(released), HALT, "dvc pull")
    expect_refusal(released, lambda: audit_tag(released, BASE_TAG), HALT, "dvc pull")


def test_i2_cache_alone_is_enough(released: Project) -> None:
    """I2: with the objects in the cache, the base is served while the remote and Git's are down, and nothing said."""
    lose_remote(released)
    released.remote.rename(released.folder / "gone")
    done = serve(released)

    assert (done.changed, done.notes) == (True, ())
    assert load_release(released.root).tag == BASE_TAG


def test_i2_candidate_cannot_be_had(released: Project) -> None:
    """I2: that a candidate cannot be had again is an error; the base stays what is served."""
    serve(released)
    shutil.rmtree(get_cache(released))
    lose_remote(released)

    expect_refusal(released, lambda: serve(released, CANDIDATE_TAG), ERROR, "dvc pull")


# I3: the switch


def look(folder: Path) -> tuple[str, ...] | None:
    """Return the digests of what is served as one who opened the folder once sees them; None where it was removed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        digests = []
        for name in (VECTORS, DATABASE, "embeddings_mode_b_intl.npy", "corpus_mode_b_intl.db", "release.json"):
            with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=descriptor), "rb") as stream:
                digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    except FileNotFoundError:
        return None
    finally:
        os.close(descriptor)
    return tuple(digests)


def test_i3_every_line_of_the_switch(released: Project) -> None:
    """I3: whoever looks between any two lines of a fallback finds the old files or the new, whole and never mixed."""
    folder = released.root / SERVED
    seen = [look(folder)]

    def trace(frame: FrameType, event: str, _argument: object) -> TraceFunction | None:
        if not frame.f_code.co_filename.endswith(("switching.py", "fallback.py", "pipeline/files.py")):
            return None
        if event == "line" and frame.f_code.co_name not in {"compute_sha256", "open_verified"}:
            seen.append(look(folder))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        serve(released)
    finally:
        sys.settrace(before)
    seen.append(look(folder))

    assert len(seen) > 50
    assert None not in seen
    assert list(dict.fromkeys(seen)) == [seen[0], seen[-1]]
    assert all(old != new for old, new in zip(seen[0] or (), seen[-1] or (), strict=True))


@pytest.fixture
def watched(released: Project) -> Iterator[list[tuple[str, ...] | None]]:
    """What somebody saw who looked at the served folder again and again."""
    seen: list[tuple[str, ...] | None] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            seen.append(look(released.root / SERVED))

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield seen
    is_over.set()
    watcher.join()


def test_i3_another_reader(released: Project, watched: list[tuple[str, ...] | None]) -> None:
    """I3: another thread that reads all the time sees the old release, then the new one, and the folder at any time."""
    first = look(released.root / SERVED)
    serve(released)
    last = look(released.root / SERVED)
    while watched[-1] != last:
        pass

    assert [each for each in dict.fromkeys(watched) if each is not None] == [first, last]


# I4 to I6


@pytest.mark.parametrize("name", [VECTORS, "embedded-gemma-lsa"])
def test_i4_checkout_that_fails_midway(released: Project, name: str) -> None:
    """I4: what a failing checkout leaves or deletes lies in staging alone: refused, or had from the next source."""
    good = find_object(released, released.objects, BASE_TAG, name)
    find_object(released, get_cache(released), BASE_TAG, name).unlink()
    aside = good.rename(released.folder / "aside")

    expect_refusal(released, lambda: serve(released), HALT, name)
    aside.rename(good)
    done = serve(released)
    assert "the local cache is damaged" in done.notes[0]
    assert take_snapshot(released).scraps == ()
    assert load_release(released.root).tag == BASE_TAG


def test_i5_second_fallback_changes_nothing(released: Project) -> None:
    """I5: the second fallback makes no commit, logs no event, and rewrites no file."""
    assert serve(released).changed
    before, events = take_snapshot(released), load_events(released.root)
    inodes = [path.stat().st_ino for path in sorted((released.root / SERVED).iterdir())]
    again = serve(released)

    assert (again.tag, again.changed, again.notes) == (BASE_TAG, False, ())
    assert take_snapshot(released) == before
    assert load_events(released.root) == events
    assert events[-1].event == "fell back"
    assert [path.stat().st_ino for path in sorted((released.root / SERVED).iterdir())] == inodes


def test_i6_open_reader_keeps_the_old_files(released: Project) -> None:
    """I6: an application that has file and database open goes on reading the old release, whole."""
    vectors, database = (released.root / SERVED / name for name in (VECTORS, DATABASE))
    old = vectors.read_bytes()
    ask = "SELECT value FROM metadata WHERE key = 'model_id'"
    with vectors.open("rb") as stream, closing(sqlite3.connect(database)) as connection:
        half = stream.read(len(old) // 2)
        asked = connection.execute("SELECT id FROM chunks ORDER BY rowid")
        first = asked.fetchone()
        serve(released)
        rest = asked.fetchall()
        said = connection.execute(ask).fetchone()
        half += stream.read()
    with closing(sqlite3.connect(database)) as connection:
        anew = connection.execute(ask).fetchone()

    assert half == old != vectors.read_bytes()
    assert len([first, *rest]) == 120
    assert (said, anew) == (("embedded-gemma-chess-fr",), ("embedded-gemma-lsa",))
