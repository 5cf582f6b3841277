"""One session of Spark for all tests, both engines, and a count of what was compared."""

from __future__ import annotations

import ipaddress
import socket
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.spark.session import open_session
from validation.engine import Engine
from validation.expectations import ExpectationRunner
from validation.policy import EXPECTATIONS
from validation.spark.row_ranges import Cutter
from validation.spark.search import search_on_spark
from validation.spark.suites import SparkRunner
from validation.spark.tables import sum_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

MASTER = "local[2]"
SUITES = EXPECTATIONS / "suites"
# So that the small tables of tests are cut as well.
ROWS_A_PART = 5
_compared: Counter[str] = Counter()


@pytest.fixture(scope="session")
def compared() -> Counter[str]:
    """How much was found equal, by what it is; told in the last line."""
    return _compared


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was held against one process."""
    told = ", ".join(f"{count:,} {what}" for what, count in sorted(_compared.items()))
    terminalreporter.write_line(f"Spark on {MASTER} against one process, all equal: {told or 'nothing'}")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine; Spark's own parts talk over the loopback."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not ipaddress.ip_address(address[0]).is_loopback:
            message = f"a test tried to reach {address}"
            raise AssertionError(message)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """A session with two workers."""
    with open_session(MASTER) as session:
        yield session


@pytest.fixture(scope="session")
def cutter(spark: SparkSession) -> Cutter:
    """Cuts into parts of five rows."""
    return Cutter(spark, ROWS_A_PART)


@pytest.fixture(scope="session")
def engines(spark: SparkSession, cutter: Cutter) -> tuple[Engine, Engine]:
    """The engine of one process, and that of the session."""
    distributed = Engine(SparkRunner(spark, SUITES), partial(search_on_spark, spark, cutter), partial(sum_up, cutter))
    return Engine(ExpectationRunner(SUITES)), distributed
