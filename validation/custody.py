"""Who keeps what: Git the code, configuration and text, DVC the vectors, databases and models.

What Git keeps is read from its index, because that is what a commit takes, whatever the folder holds meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from pipeline.errors import EXIT_NOT_DONE, InputError, StoreError
from pipeline.params import PROJECT_ROOT
from pipeline.pointers import load_pointer
from validation.render import quote
from validation.staged import Entry, is_rules, list_ignored, parse_pointer, read_contents, read_index

# A file in Git is smaller than this.
GIT_LIMIT = 10_000_000
DVC_SUFFIXES = (
    ".npy", ".npz", ".db", ".sqlite", ".sqlite3", ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".gguf",
    ".pkl", ".joblib", ".h5",
)  # fmt: skip
DVC_MAGICS = {b"\x93NUMPY": "a NumPy array", b"SQLite format 3\0": "an SQLite database"}
# What a release takes from: everything there is there itself, not by way of a link.
ROOMS = ("corpus", "models")
# No control characters, yet ends of lines.
_LINE_ENDS = {0x2028: "\\u2028", 0x2029: "\\u2029"}


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A file that the wrong one keeps, or that nobody keeps.

    Attributes:
        path: relative to the root of the repository.
        problem: what was observed against what was expected.
        remedy: what to run.
    """

    path: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """Return one line; signs of a file name that a terminal would obey are written out."""
        return quote(f"{self.path}: {self.problem}; {self.remedy}").plain.translate(_LINE_ENDS)


@dataclass(frozen=True, slots=True)
class Survey:
    """How many files were looked at, and what was misplaced among them, sorted by path."""

    count: int
    misplaced: list[Misplaced]

    def __str__(self) -> str:
        """Return how much was looked at and found."""
        return f"custody: {self.count} files looked at, {len(self.misplaced)} misplaced"


def find_misplaced(root: Path, paths: Sequence[str] | None = None) -> list[Misplaced]:
    """Return what is not where it belongs. Takes and raises what `survey` does."""
    return survey(root, paths).misplaced


def check_custody(root: Path, paths: Sequence[str] | None = None) -> str:
    """Return a line that says how many files were looked at.

    Raises:
        StoreError: something is misplaced; the error is about the first, and counts the others.
        InputError: as in `survey`.
    """
    result = survey(root, paths)
    if result.misplaced:
        first, *others = result.misplaced
        raise StoreError(first.path, first.problem + (f" (and {len(others)} more)" if others else ""), first.remedy)
    return str(result)


def custody(
    paths: Annotated[list[Path] | None, typer.Argument(help="Only these files and folders; default: all.")] = None,
) -> int:
    """Look whether Git keeps only text below 10 MB, and DVC the vectors, databases and models.

    What is staged counts. Each misplaced file is a line on standard error that says what to run; the exit code is then
    30.
    """
    result = survey(PROJECT_ROOT, [os.path.relpath(path, PROJECT_ROOT) for path in paths or ()])
    for misplaced in result.misplaced:
        typer.echo(str(misplaced), err=True)
    typer.echo(str(result), err=bool(result.misplaced))
    return EXIT_NOT_DONE if result.misplaced else 0


def survey(root: Path, paths: Sequence[str] | None = None) -> Survey:
    """Look at what Git's index holds, and at what lies in the rooms of a release without being in it.

    Args:
        root: of the repository.
        paths: files and folders relative to `root`, the only ones to look at; none means all. With a `.gitignore` come
            all pointers, because it decides about what they point to.

    Raises:
        InputError: there is no Git, `root` is not the root of its repository, the index is empty or not merged, an
            object is missing, or one of `paths` is nowhere.
    """
    index = read_index(root)
    loose = [path for path in _list_rooms(root) if path not in index and _is_dvc_kind(root / path)]
    wanted = _select(root, {*index, *loose}, paths)
    if any(is_rules(path) for path in wanted):
        wanted |= {path for path in index if _is_pointer(path)}
    entries = {path: entry for path, entry in index.items() if path in wanted}
    faults = (*_find_unfit(root, entries), *_find_links(entries), *_find_kept_twice(index, wanted))
    found = {fault.path: fault for fault in faults}
    pointers = {path: entry for path, entry in entries.items() if _is_pointer(path) and path not in found}
    forlorn = [path for path in loose if path in wanted and not _has_pointer(root, path)]
    faults = (*found.values(), *_find_unignored(root, index, pointers, forlorn))
    return Survey(len(wanted), sorted(faults, key=lambda fault: fault.path))


def _find_links(entries: Mapping[str, Entry]) -> Iterator[Misplaced]:
    for path, entry in entries.items():
        expected = path.split("/")[0] in ROOMS or _is_pointer(path) or path.lower().endswith(DVC_SUFFIXES)
        if expected and entry.link:
            problem = f"is {entry.link}, expected the file itself"
            yield Misplaced(path, problem, f"run `git rm --cached {_quote(path)}` and put the file itself there")


def _find_unfit(root: Path, entries: Mapping[str, Entry]) -> Iterator[Misplaced]:
    """Yield the files that are of a kind that DVC keeps, too large or not text."""
    files = {path: entry for path, entry in entries.items() if not entry.link}
    for path, size, content in read_contents(root, files, GIT_LIMIT):
        if problem := _find_fault(path, size, content):
            yield Misplaced(path, problem, f"run `git rm --cached {_quote(path)} && dvc add {_quote(path)}`")


def _find_fault(path: str, size: int, content: bytes) -> str | None:
    suffix = next((suffix for suffix in DVC_SUFFIXES if path.lower().endswith(suffix)), None)
    if suffix:
        return f"is a {suffix} file in Git, expected it in DVC"
    if magic := next((magic for magic in DVC_MAGICS if content.startswith(magic)), None):
        return f"holds {DVC_MAGICS[magic]} in Git, expected it in DVC"
    if size >= GIT_LIMIT:
        return f"has {size} bytes in Git, expected fewer than {GIT_LIMIT}"
    try:
        place = content.decode("utf-8").find("\0")
    except UnicodeDecodeError as error:
        return f"is not UTF-8 at byte {error.start}, expected text in Git"
    return f"has a NUL at character {place}, expected text in Git" if place >= 0 else None


def _find_kept_twice(index: Collection[str], wanted: Collection[str]) -> Iterator[Misplaced]:
    """Yield the files in Git that are, or lie in, what a pointer in Git points to."""
    for path in index:
        for pointer in (f"{step}.dvc" for step in _climb(path)):
            if pointer in index and (path in wanted or pointer in wanted):
                problem = f"is in Git, and in DVC by {pointer}; expected one of both"
                yield Misplaced(path, problem, f"run `git rm --cached {_quote(path)}`")


def _find_unignored(
    root: Path, index: Mapping[str, Entry], pointers: Mapping[str, Entry], loose: Sequence[str]
) -> Iterator[Misplaced]:
    """Yield pointers that are malformed or whose output Git would take, and loose files that Git would take."""
    problem = "expected a pointer or a staged ignore rule, found neither"
    asked = {path: Misplaced(path, problem, f"run `dvc add {_quote(path)}`") for path in loose}
    for path, _, content in read_contents(root, pointers, GIT_LIMIT):
        try:
            is_folder = parse_pointer(path, content).md5.endswith(".dir")
        except InputError as error:
            yield Misplaced(path, error.problem, error.remedy)
            continue
        target = path.removesuffix(".dvc")
        rules = _quote((PurePosixPath(path).parent / ".gitignore").as_posix())
        problem = f"points to {target}, expected a staged ignore rule for it"
        asked[f"{target}/" if is_folder else target] = Misplaced(path, problem, f"name it in {rules}, `git add` that")
    ignored = list_ignored(root, index, asked, GIT_LIMIT) if asked else set()
    yield from (fault for path, fault in asked.items() if path not in ignored)


def _has_pointer(root: Path, path: str) -> bool:
    """Return whether a strict pointer lies beside a path on disk, or beside a folder that holds it."""
    for step in _climb(path):
        with contextlib.suppress(InputError):
            load_pointer(root / f"{step}.dvc")
            return True
    return False


def _list_rooms(root: Path) -> Iterator[str]:
    """Yield the files on disk below `corpus/processed` and those directly in `models`."""
    for room, is_deep in (("corpus/processed", True), ("models", False)):
        for folder, folders, names in os.walk(root / room, onerror=_require_absent):
            if not is_deep:
                folders.clear()
            yield from (Path(folder, name).relative_to(root).as_posix() for name in names)


def _require_absent(error: OSError) -> None:
    # `os.walk` passes over what it cannot read; only a room that is not there may be passed over.
    if not isinstance(error, FileNotFoundError):
        raise error


def _is_dvc_kind(path: Path) -> bool:
    if path.name.lower().endswith(DVC_SUFFIXES):
        return True
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(max(map(len, DVC_MAGICS))).startswith(tuple(DVC_MAGICS))


def _select(root: Path, known: Collection[str], paths: Sequence[str] | None) -> set[str]:
    """Return those of the known paths that are, or lie in, one of `paths`."""
    given = {os.path.normpath(path) for path in paths or ["."]}
    wanted = {path for path in known if given.intersection(_climb(path))}
    for path in sorted(given.difference(*map(_climb, wanted))):
        if PurePosixPath(path).is_absolute() or path.split("/")[0] == "..":
            raise InputError(path, f"expected a path inside of {root}", "name a file of this project")
        if not os.path.lexists(root / path):
            raise InputError(path, "expected a file in Git or on disk, found neither", "check the path")
    return wanted


def _climb(path: str) -> list[str]:
    """Return a path and the folders that hold it, the root being `.`."""
    return [path, *map(str, PurePosixPath(path).parents)]


def _is_pointer(path: str) -> bool:
    return path.endswith(".dvc")


def _quote(path: str) -> str:
    """Return a path as a shell takes it, and no command as an option or as pathspec magic."""
    return shlex.quote(f"./{path}" if path.startswith(("-", ":")) else path)
