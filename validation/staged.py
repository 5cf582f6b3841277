"""Read Git's index: which files it holds, what is in them, and what their `.gitignore` and `.dvc` files say."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.pointers import load_pointer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import BinaryIO

    from pipeline.pointers import Output

_LINKS = {"120000": "a symbolic link", "160000": "a submodule"}
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index says of one path: the mode, and the object that holds the content."""

    mode: str
    object_id: str

    @property
    def link(self) -> str | None:
        """What it is where it is no file, in words."""
        return _LINKS.get(self.mode)


def read_index(root: Path) -> dict[str, Entry]:
    """Return every path in the index of the repository at `root`.

    Raises:
        InputError: there is no Git, `root` is not the root of a work tree, or the index is empty or not merged.
    """
    if _run_git(root, "rev-parse", "--show-prefix").strip():
        raise InputError(root, "lies inside of another Git repository", "name the root of the repository")
    index: dict[str, Entry] = {}
    for record in _run_git(root, "ls-files", "-z", "--stage").split(b"\0")[:-1]:
        header, name = record.split(b"\t", 1)
        mode, object_id, stage = header.decode().split()
        if stage != "0":
            raise InputError(os.fsdecode(name), "is not merged", "resolve the conflict and run `git add`")
        index[os.fsdecode(name)] = Entry(mode, object_id)
    if not index:
        raise InputError(root, "Git's index holds no file", "run `git add` first")
    return index


def read_contents(root: Path, entries: Mapping[str, Entry], limit: int) -> Iterator[tuple[str, int, bytes]]:
    """Yield path, size and at most the first `limit` bytes of staged files, one after the other.

    Raises:
        InputError: there is no Git, or it does not have one of the objects.
    """
    with tempfile.TemporaryFile() as asked:  # no pipe: two of them can wait for each other
        asked.write("".join(f"{entry.object_id}\n" for entry in entries.values()).encode())
        asked.seek(0)
        with _start_git(root, "cat-file", "--batch", "--buffer", stdin=asked, stderr=subprocess.DEVNULL) as process:
            for path in entries:
                yield path, *_read_object(process, path, limit)


def _read_object(process: subprocess.Popen[bytes], path: str, limit: int) -> tuple[int, bytes]:
    """Return size and first bytes of the next object; the rest, with the end of line that follows, is passed over."""
    stream = process.stdout
    header = stream.readline().split() if stream else []
    if stream and header[1:2] == [b"blob"]:
        size = int(header[2])
        content, left = stream.read(min(size, limit)), size - min(size, limit) + 1
        while left and (piece := stream.read(min(left, _PIECE))):
            left -= len(piece)
        if not left:
            return size, content
    raise InputError(path, "Git cannot read what is staged", "run `git fsck`, and `git add` the file again")


def parse_pointer(path: str, content: bytes) -> Output:
    """Return what a staged pointer points to.

    Raises:
        InputError: as in `load_pointer`, about the staged file.
    """
    with tempfile.TemporaryDirectory() as folder:
        pointer = Path(folder, PurePosixPath(path).name)
        pointer.write_bytes(content)
        try:
            return load_pointer(pointer)
        except InputError as error:
            field = error.where.removeprefix(str(pointer)).removeprefix(": ")
            problem = " ".join(f"{field or 'pointer'}: {error.problem}".split())
            raise InputError(path, problem, error.remedy) from error


def is_rules(path: str) -> bool:
    """Whether a path is one of a file that says what Git leaves out."""
    return PurePosixPath(path).name == ".gitignore"


def list_ignored(root: Path, index: Mapping[str, Entry], paths: Collection[str], limit: int) -> set[str]:
    """Return those of `paths` that staged `.gitignore` files leave out of Git; a folder's path ends in `/`.

    Git is asked in a repository that holds these rules and nothing else: what only this machine ignores protects no
    other clone.
    """
    rules = {path: entry for path, entry in index.items() if is_rules(path) and not entry.link}
    with tempfile.TemporaryDirectory() as folder:
        clean = Path(folder)
        _run_git(clean, "init", "--quiet", "--template=", foreign=True)
        for path, _, content in read_contents(root, rules, limit):
            rule = clean / path
            rule.parent.mkdir(parents=True, exist_ok=True)
            rule.write_bytes(content)
        options = ("-c", f"core.excludesFile={os.devnull}", "check-ignore", "-z", "--stdin")
        # The dot in front keeps a colon from being read as pathspec magic.
        asked = b"".join(os.fsencode(f"./{path}\0") for path in paths)
        ignored = _run_git(clean, *options, given=asked, expected=(0, 1), foreign=True)
    return {os.fsdecode(path).removeprefix("./") for path in ignored.split(b"\0")[:-1]}


def _run_git(
    root: Path, *arguments: str, given: bytes = b"", expected: tuple[int, ...] = (0,), foreign: bool = False
) -> bytes:
    """Return what Git prints.

    Raises:
        InputError: there is no Git, or it ends with another code than one of `expected`.
    """
    with _start_git(root, *arguments, stdin=subprocess.PIPE, stderr=subprocess.PIPE, foreign=foreign) as process:
        output, errors = process.communicate(given)
    if process.returncode not in expected:
        said = " ".join(errors.decode(errors="replace").split()) or f"it ended with {process.returncode}"
        raise InputError(root, f"`git {arguments[0]}`: {said}", "run this in a clone of the repository")
    return output


def _start_git(
    root: Path, *arguments: str, stdin: BinaryIO | int, stderr: int, foreign: bool = False
) -> subprocess.Popen[bytes]:
    """Start Git at `root`; a `foreign` repository gets nothing of what a hook tells about ours."""
    environment = {name: value for name, value in os.environ.items() if not (foreign and name.startswith("GIT_"))}
    command = ["git", "--no-replace-objects", "-C", str(root), *arguments]
    try:
        return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, env=environment)  # noqa: S603
    except OSError as error:
        raise InputError(command[0], f"cannot be started: {error.strerror}", "install Git") from error
