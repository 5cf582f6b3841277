"""A Spark session that is quiet, keeps to this machine where its master does, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import tempfile
import threading
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import EngineError
from pipeline.params import PROJECT_ROOT
from pipeline.spark.java import prepare_java

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import Popen

    from pyspark.sql import SparkSession

# Where `nox -s spark` puts Spark. Great Expectations imports it wherever it finds it, so that every gate would wait for
# it if it were among the packages of the rest.
EXTRA = PROJECT_ROOT / ".nox" / "spark"
PACKAGE = "pyspark"
SPARK = "Spark"
LOOPBACK = "127.0.0.1"
JVM_LOG = "jvm.log"
PATIENCE_S = 30
_LOGGING = """rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %m%n%ex
"""


@contextlib.contextmanager
def open_session(master: str) -> Iterator[SparkSession]:
    """Start Spark with `master`, and stop it with its JVM when the block ends; what Spark throws becomes one line.

    A local master listens on the loopback alone. Scratch files lie in one temporary folder, which is removed. What the
    JVM and the workers print goes to a file there.

    Raises:
        EngineError: Spark or a fitting Java is missing, Spark does not start, or a task of it failed.
    """
    require_spark()
    with tempfile.TemporaryDirectory(prefix="store-gate-spark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with _name_faults(), _start(master, folder) as session:
            yield session


def require_spark() -> None:
    """Make pyspark importable, from where `nox -s spark` puts it. Raises `EngineError` where it is not there."""
    if find_spec(PACKAGE) is None and EXTRA.is_dir():
        sys.path.append(str(EXTRA))
        importlib.invalidate_caches()
    if find_spec(PACKAGE) is None:
        raise EngineError(PACKAGE, "is not installed", "run `nox -s spark`, which installs it, or leave out --engine")
    # Said once a call by Spark 4.3, of which the tests show that what is used here works.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)


def list_settings(master: str, folder: Path) -> dict[str, str]:
    """Return Spark's settings; whatever is written goes below `folder`."""
    settings = {
        "spark.master": master,
        "spark.app.name": "embedding-store-gate",
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": (
            f"-Dlog4j2.configurationFile=file:{folder}/log4j2.properties -Djava.io.tmpdir={folder} -XX:-UsePerfData"
            " -XX:TieredStopAtLevel=1"
        ),
        "spark.executorEnv.PYTHONPATH": os.pathsep.join([str(PROJECT_ROOT), *filter(None, sys.path)]),
        "spark.executorEnv.TTY_COMPATIBLE": "0",  # no progress bars of workers
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.caseSensitive": "true",  # chunks may have any further fields
        # The plans are many and the tables small: what is much work is done by NumPy, in the workers.
        "spark.sql.codegen.wholeStage": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if master.startswith("local"):
        settings |= {"spark.driver.bindAddress": LOOPBACK, "spark.driver.host": LOOPBACK}
    return settings


@contextlib.contextmanager
def _start(master: str, folder: Path) -> Iterator[SparkSession]:
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    (folder / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
    conf = SparkConf().setAll([*list_settings(master, folder).items()])
    interrupt = signal.getsignal(signal.SIGINT)  # Spark puts a handler of its own there, and leaves it
    with (folder / JVM_LOG).open("wb") as log, _set_environment(master, prepare_java(folder)):
        try:
            gateway = launch_gateway(conf, popen_kwargs={"stdout": log, "stderr": log, "cwd": folder})
        except PySparkException as error:
            said = (folder / JVM_LOG).read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            raise EngineError(SPARK, f"its JVM did not start: {said or error}", "mend the cause") from error
        try:
            session = SparkSession(SparkContext(conf=conf, gateway=gateway))
            session.conf.set("spark.sql.shuffle.partitions", str(2 * session.sparkContext.defaultParallelism))
            try:
                yield session
            finally:
                session.stop()
        finally:
            gateway.shutdown()
            _end(gateway.proc)
            # The next session starts a JVM of its own.
            SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001 - Spark has no public way
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, interrupt)


def _end(process: Popen[bytes]) -> None:
    """Let the JVM end, as it does when its input is closed."""
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(PATIENCE_S)
    finally:
        process.kill()


@contextlib.contextmanager
def _set_environment(master: str, java: Path) -> Iterator[None]:
    """Tell Spark's start script, which knows nothing but the environment, of Java, of Python and of the loopback."""
    wanted = {"JAVA_HOME": str(java), "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    if master.startswith("local"):
        wanted["SPARK_LOCAL_IP"] = LOOPBACK
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextlib.contextmanager
def _name_faults() -> Iterator[None]:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise EngineError(SPARK, tell_fault(error), "mend the cause, or leave out --engine") from error


def tell_fault(error: Any) -> str:
    """Return the last line of what went wrong: where a worker's Python raised, that is its exception."""
    lines = [line.strip() for line in str(error).splitlines()]
    traced = next((place for place, line in enumerate(lines) if line.startswith("Traceback (most recent")), None)
    if traced is None:
        # What Java threw stands on the second line, behind a colon.
        told = [line.removeprefix(": ") for line in lines if line and not line.startswith("An error occurred while")]
        return next(iter(told), type(error).__name__)
    # After a traceback in Python comes one of Java, whose lines begin with "at".
    told = [line for line in lines[traced:] if line]
    ended = next((place for place, line in enumerate(told) if line.startswith("at ")), len(told))
    return told[ended - 1]
