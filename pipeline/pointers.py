"""Read `.dvc` pointers: which object of DVC's cache belongs at which path. An address, never evidence."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline.documents import Strict, load_yaml
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def _require_inside(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\\" in value or value in {"", "."}:
        message = f"expected a relative path without `..`, got {value!r}"
        raise ValueError(message)
    return value


class Output(Strict):
    """What a pointer points to: MD5 and size of the object, and its path beside the pointer.

    A folder's MD5 ends in `.dir`, and `nfiles` says how many files it holds.
    """

    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")]
    size: Annotated[int, Field(ge=0)]
    nfiles: Annotated[int, Field(ge=0)] | None = None
    hash: Literal["md5"]
    path: Annotated[str, AfterValidator(_require_inside)]


class Pointer(Strict):
    """All of a `.dvc` file that this project writes and accepts."""

    outs: Annotated[list[Output], Field(min_length=1, max_length=1)]


def load_pointer(path: Path) -> Output:
    """Return what a pointer points to.

    Raises:
        InputError: it is missing, a link, or not strict YAML with one output, whose hash is DVC 3's md5 and whose path
            stays beside the pointer and is the pointer's own name without `.dvc`.
    """
    if path.is_symlink():
        raise InputError(path, "expected a file, but it is a symbolic link", "restore the pointer from Git")
    output = load_yaml(path, Pointer).outs[0]
    if path.name != f"{output.path}.dvc":
        message = f"outs[0].path: expected {path.name.removesuffix('.dvc')!r}, got {output.path!r}"
        raise InputError(path, message, "restore the pointer from Git")
    return output
