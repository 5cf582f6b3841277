"""Real Git repositories for tests, apart from what this machine and its hooks say to Git."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

MD5 = "d41d8cd98f00b204e9800998ecf8427e"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository and what stands in it."""

    root: Path

    def git(self, *arguments: str, given: bytes = b"") -> str:
        """Run Git at the root and return what it prints."""
        command = ["git", "-c", "user.name=Test", "-c", "user.email=test@localhost", "-C", str(self.root), *arguments]
        ended = subprocess.run(command, input=given, capture_output=True, check=True, env=make_environment())
        return os.fsdecode(ended.stdout).strip()

    def write(self, path: str, content: bytes | str = "text\n") -> Path:
        """Write a file without staging it."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def stage(self, path: str, content: bytes | str = "text\n") -> Path:
        """Write a file and stage it, whatever is ignored."""
        target = self.write(path, content)
        self.git("--literal-pathspecs", "add", "--force", "--", path)
        return target

    def point(self, path: str, *, is_folder: bool = False) -> Path:
        """Stage a pointer to a path."""
        return self.stage(f"{path}.dvc", write_pointer(Path(path).name, is_folder=is_folder))


def make_environment() -> dict[str, str]:
    """Return the variables of this process without what a hook or a person set for Git."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def forget_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away, for a test, what a hook or a person set for Git."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in make_environment().items():
        monkeypatch.setenv(name, value)


def make_repository(root: Path) -> Repository:
    """Make an empty repository."""
    root.mkdir(parents=True, exist_ok=True)
    repository = Repository(root)
    repository.git("init", "--quiet")
    return repository


def write_pointer(name: str, *, is_folder: bool = False) -> str:
    """Return a pointer as DVC writes it."""
    ending, files = (".dir", "  nfiles: 1\n") if is_folder else ("", "")
    return f"outs:\n- md5: {MD5}{ending}\n  size: 3\n{files}  hash: md5\n  path: {name}\n"
