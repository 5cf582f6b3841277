"""Bring about what users meet by mistake or bad luck: refused input, another writer, a full disk."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
SIDECARS = ("-wal", "-shm", "-journal")

_LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
_WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchall()
print("ready", flush=True)
sys.stdin.read()
"""


def check_refusal(result: Result, *words: str) -> None:
    """Assert that a command gave up with code 30 and one line on standard error that holds every one of `words`."""
    lines = result.err.splitlines()

    assert (result.code, result.out, len(lines)) == (30, "", 1), result
    assert result.err.startswith("error: ")
    assert [word for word in words if word not in result.err] == [], result.err
    assert "internal error" not in result.err


def list_scraps(folder: Path) -> list[str]:
    """Return the half-written files and journals below a folder."""
    endings = (".partial", ".retired", *SIDECARS)
    return sorted(path.name for path in folder.rglob("*") if path.name.endswith(endings))


def run_limited(limit: int, module: str, *arguments: object, path: Path = ROOT) -> Result:
    """Run `python -m MODULE ARGUMENTS` where no file can grow beyond `limit` bytes, as on a full disk.

    The module is this project's, or one of its own in the folder `path`.
    """
    command = [sys.executable, "-c", _LIMITED, str(limit), module, *map(str, arguments)]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def hold_writer(path: Path, *statements: str) -> Iterator[None]:
    """Keep another process connected to a database in which it has run `statements` and not finished."""
    command = [sys.executable, "-I", "-S", "-c", _WRITER, str(path), *statements]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()
