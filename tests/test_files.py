"""Hashing, and writing that is seen whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import InputError
from pipeline.files import compute_sha256, open_verified, replace_file, replace_folder, require_file, write_json
from tests.bad_input import ROOT, list_scraps, run_limited

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

FAILURES = [ValueError("defect"), KeyboardInterrupt(), OSError(errno.EIO, "Input/output error")]


def write_and_fail(path: Path, failure: BaseException) -> None:
    """Write half of what was meant, then raise."""
    path.write_text("half of the ne")
    raise failure


@pytest.mark.parametrize("size", [0, 1, 300_000], ids=["empty", "one byte", "many blocks"])
def test_a_digest_is_that_of_the_bytes(tmp_path: Path, size: int) -> None:
    """The digest is plain SHA-256 of the whole file."""
    content = bytes(index % 251 for index in range(size))
    (tmp_path / "file").write_bytes(content)

    assert compute_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(("name", "fault"), [("none", "does not exist"), (".", "is a folder")])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str, fault: str) -> None:
    """Neither hashing nor reading takes a missing path or a folder."""
    path = tmp_path / name

    with pytest.raises(InputError, match=f"{re.escape(str(path))}: expected a file, but it {fault}"):
        require_file(path)
    with pytest.raises(InputError, match=fault):
        compute_sha256(path)


@pytest.mark.parametrize("older", [None, "older"], ids=["new", "replaced"])
def test_a_file_appears_when_its_block_ends(tmp_path: Path, older: str | None) -> None:
    """Until the block ends the target is as it was; then it is the new file, readable by all, and nothing else is."""
    target = tmp_path / "deep" / "file.txt"
    if older is not None:
        target.parent.mkdir()
        target.write_text(older)
    with replace_file(target) as partial:
        partial.write_text("newer")

        assert partial.parent == target.parent
        assert (target.read_text() if target.exists() else None) == older

    assert target.read_text() == "newer"
    assert target.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_failing_block_keeps_the_old_file(tmp_path: Path, failure: BaseException) -> None:
    """Whatever ends the block early, an interruption among it, the old bytes stay and the new ones go."""
    target = tmp_path / "file.txt"
    target.write_text("older")

    with pytest.raises(type(failure)), replace_file(target) as partial:
        write_and_fail(partial, failure)

    assert target.read_text() == "older"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_file_cannot_take_the_place_of_a_folder(tmp_path: Path) -> None:
    """A folder at the target stays with all that is in it."""
    target = tmp_path / "taken"
    target.mkdir()
    (target / "inside").touch()

    with pytest.raises(IsADirectoryError), replace_file(target) as partial:
        partial.write_text("newer")

    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "inside"]


@pytest.mark.parametrize("replace", [replace_file, replace_folder], ids=["file", "folder"])
def test_an_error_without_a_name_gets_that_of_the_target(
    tmp_path: Path, replace: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    """A full disk is reported by the operating system without a path, so the path is added."""
    target = tmp_path / "target"

    with pytest.raises(OSError, match="No space left on device") as failure, replace(target):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert (failure.value.errno, failure.value.filename) == (errno.ENOSPC, str(target))
    assert list(tmp_path.iterdir()) == []


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    """What fails while reading something else is not blamed on the target."""
    missing = tmp_path / "missing"

    with pytest.raises(FileNotFoundError) as failure, replace_file(tmp_path / "target"):
        missing.read_bytes()

    assert failure.value.filename == str(missing)


@pytest.mark.parametrize("older", [False, True], ids=["new", "replaced"])
def test_a_folder_appears_when_its_block_ends(tmp_path: Path, *, older: bool) -> None:
    """The new folder takes the old one's place as a whole: no file of the old one is left in it."""
    target = tmp_path / "deep" / "store"
    if older:
        target.mkdir(parents=True)
        (target / "old").touch()
    with replace_folder(target) as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "new").write_text("newer")

        assert target.exists() == older

    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "deep",
        "deep/store",
        "deep/store/sub",
        "deep/store/sub/new",
    ]
    assert target.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_failing_block_keeps_the_old_folder(tmp_path: Path, failure: BaseException) -> None:
    """Whatever ends the block early, the old folder stays and the half-made one goes."""
    target = tmp_path / "store"
    target.mkdir()
    (target / "old").write_text("older")

    with pytest.raises(type(failure)), replace_folder(target) as partial:
        write_and_fail(partial / "new", failure)

    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert (target / "old").read_text() == "older"


def test_json_is_readable_and_ends_with_a_newline(tmp_path: Path) -> None:
    """Letters stay letters, and the same document always gives the same bytes."""
    write_json(tmp_path / "a.json", {"règle": [1, 0.5, None], "b": True})

    assert (tmp_path / "a.json").read_text(encoding="utf-8") == (
        '{\n  "règle": [\n    1,\n    0.5,\n    null\n  ],\n  "b": true\n}\n'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}], ids=["NaN", "infinity", "set"])
def test_json_that_no_one_could_read_is_not_written(tmp_path: Path, value: object) -> None:
    """NaN and what JSON has no form for are refused, and the old file stays."""
    path = tmp_path / "a.json"
    path.write_text("older")

    with pytest.raises((ValueError, TypeError)):
        write_json(path, {"value": value})

    assert path.read_text() == "older"
    assert list_scraps(tmp_path) == []


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    """Where the new bytes do not fit, the old ones stay, no scrap is left, and the error names the target."""
    script = tmp_path / "save.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom pipeline.files import write_json\n"
        "write_json(Path(sys.argv[1]), ['x' * 1000] * 10)\n"
    )
    target = tmp_path / "out" / "a.json"
    write_json(target, "older")
    # `runpy.run_module` finds the script by its name where the module path holds its folder.
    result = run_limited(4096, "save", target, path=tmp_path)

    assert result.code == 1
    assert f"OSError: [Errno {errno.EFBIG}] File too large: '{target}'" in result.err
    assert json.loads(target.read_text()) == "older"
    assert [path.name for path in target.parent.iterdir()] == ["a.json"]


CONTENT = b"the bytes of a store" * 5000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file of its own."""
    path = tmp_path / "vectors.npy"
    path.write_bytes(CONTENT)
    return path


def test_a_verified_file_is_read_from_its_start(own: Path) -> None:
    """A file of the expected size and digest gives all its bytes, and is closed when the block ends."""
    with open_verified(own, len(CONTENT), DIGEST) as stream:
        assert stream.read() == CONTENT
        assert stream.seek(7) == 7

    assert stream.closed


def test_an_empty_file_may_be_expected(tmp_path: Path) -> None:
    """Nothing is content too: a file without bytes is verified like any other."""
    (tmp_path / "empty").touch()
    with open_verified(tmp_path / "empty", 0, hashlib.sha256(b"").hexdigest()) as stream:
        assert stream.read() == b""


def link_to(path: Path) -> None:
    """Put a symbolic link to the same bytes in the place of a file."""
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def link_to_nothing(path: Path) -> None:
    """Put a symbolic link that leads nowhere in the place of a file."""
    path.unlink()
    path.symlink_to("nowhere")


def make_folder(path: Path) -> None:
    """Put a folder in the place of a file."""
    path.unlink()
    path.mkdir()


def make_pipe(path: Path) -> None:
    """Put a pipe, to whose other end nobody writes, in the place of a file."""
    path.unlink()
    os.mkfifo(path)


def change_byte(path: Path) -> None:
    """Change one bit of the last byte in place, and set the times back."""
    status = path.stat()
    path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def give_second_name(path: Path) -> None:
    """Let a file have another name, under which somebody may write to it."""
    path.with_name("second").hardlink_to(path)


NOT_OWN: dict[str, tuple[Callable[[Path], object], str]] = {
    "symbolic link": (link_to, "expected a file of its own, but it is a symbolic link"),
    "link to nothing": (link_to_nothing, "expected a file of its own, but it is a symbolic link"),
    "second name": (give_second_name, "expected a file of its own, but it has 2 names"),
    "pipe": (make_pipe, "expected a file of its own, but it is no regular file"),
    "folder": (make_folder, "expected a file of its own, but it is "),
    "missing": (lambda path: path.unlink(), "expected a file of its own, but it does not exist"),
    "one byte less": (lambda path: path.write_bytes(CONTENT[:-1]), "expected 100000 bytes, got 99999"),
    "one byte more": (lambda path: path.write_bytes(CONTENT + b"x"), "expected 100000 bytes, got 100001"),
    "emptied": (lambda path: path.write_bytes(b""), "expected 100000 bytes, got 0"),
    "one byte changed": (change_byte, "SHA-256 differs from the one on record"),
}


@pytest.mark.parametrize(("change", "fault"), NOT_OWN.values(), ids=NOT_OWN)
def test_what_is_not_the_expected_file_is_not_opened(own: Path, change: Callable[[Path], object], fault: str) -> None:
    """Links, what is no file, another size and other bytes are refused by name, without waiting for anybody."""
    change(own)

    with pytest.raises(InputError) as refusal, open_verified(own, len(CONTENT), DIGEST):
        pytest.fail("was opened")

    assert refusal.value.where == str(own)
    assert refusal.value.problem.startswith(fault)


def test_a_digest_of_other_bytes_is_refused(own: Path) -> None:
    """It is the whole digest that must be equal."""
    wrong = DIGEST[:-1] + ("0" if DIGEST[-1] != "0" else "1")

    with pytest.raises(InputError, match="SHA-256 differs"), open_verified(own, len(CONTENT), wrong):
        pytest.fail("was opened")


@pytest.mark.parametrize("how", ["replaced", "removed", "folder"])
def test_what_is_read_is_what_was_hashed(own: Path, how: str) -> None:
    """Whatever takes the file's place after it was hashed, the bytes that are read are those that were hashed."""
    with open_verified(own, len(CONTENT), DIGEST) as stream:
        own.unlink()
        if how == "replaced":
            own.write_bytes(CONTENT[::-1])
        elif how == "folder":
            own.mkdir()

        assert stream.read() == CONTENT


def test_a_folder_is_replaced_where_the_system_cannot_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an exchange in one step the new folder still takes the old one's place, and nothing is left over."""
    monkeypatch.setattr("pipeline.files._exchange", lambda *_: False)
    target = tmp_path / "store"
    target.mkdir()
    (target / "old").touch()
    with replace_folder(target) as partial:
        (partial / "new").touch()

    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["store", "store/new"]


_REPLACING = """
import itertools, sys
from pathlib import Path
from pipeline.files import replace_folder
target = Path(sys.argv[1])
for number in itertools.count(int(sys.argv[2])):
    with replace_folder(target) as partial:
        for name in "abc":
            (partial / name).write_text(str(number))
    print(number, flush=True)
"""


def test_a_kill_at_any_moment_leaves_the_old_folder_or_the_new_one(tmp_path: Path) -> None:
    """A folder that is replaced without end is there, whole, and of one run whenever the process is killed."""
    target = tmp_path / "store"
    target.mkdir()
    for name in "abc":
        (target / name).write_text("0")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    draw = random.Random(11)  # noqa: S311 - moments, not secrets
    moments = 0
    for _ in range(20):
        first = int((target / "a").read_text()) + 1
        command = [sys.executable, "-S", "-c", _REPLACING, str(target), str(first)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{first}\n"
            time.sleep(draw.uniform(0, 0.02))
            process.kill()
            told = [first, *map(int, process.stdout.read().split())][-1]
        found = {path.name: path.read_text() for path in target.iterdir()}
        number = int(found["a"])

        assert found == dict.fromkeys("abc", str(number))
        # The line may be lost that tells of the last one.
        assert told <= number <= told + 1

        for path in tmp_path.iterdir():
            moments += path != target
            if path != target:
                shutil.rmtree(path)

    # At least one kill came in the middle, or this would show nothing.
    assert moments > 0
