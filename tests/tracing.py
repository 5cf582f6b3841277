"""Which tests serve which requirement: the mark, a collection that refuses unknown ones, and what the tests said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pipeline.documents import load_yaml
from pipeline.files import write_json
from pipeline.params import PROJECT_ROOT
from validation.requirements import Requirements

if TYPE_CHECKING:
    from pathlib import Path

MARK = "requirement"
OPTION = "--requirements"
# The worst that happened to any case of a test stands for the test.
WORST_FIRST = ("failed", "skipped", "passed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says where the outcomes are written."""
    parser.addoption(OPTION, metavar="FILE", help="write what the tests of every requirement said, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark and, where asked for, what gathers the outcomes in the process that writes them."""
    config.addinivalue_line("markers", f"{MARK}(id, …): identifiers of the requirements that a test serves")
    path = config.getoption(OPTION)
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Gathering(config.rootpath / path))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that names a requirement which nobody stated, and let every report carry what its test serves.

    Raises:
        UsageError: a mark names an unknown requirement, or none.
    """
    known = load_yaml(PROJECT_ROOT / "expectations" / "requirements.yaml", Requirements).requirements
    for item in items:
        served = [name for mark in item.iter_markers(MARK) for name in mark.args or ("nothing",)]
        unknown = sorted(set(served) - known.keys())
        if unknown:
            message = f"{item.nodeid}: serves {', '.join(unknown)}, which requirements.yaml does not state"
            raise pytest.UsageError(message)
        item.user_properties.append((MARK, served))


@dataclass
class Gathering:
    """Gathers the outcomes of tests by requirement and writes them when all have run."""

    path: Path
    outcomes: dict[str, dict[str, str]] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take down the outcome of a test, and of what is set up and torn down around it where that went wrong."""
        if report.when != "call" and report.passed:
            return
        test = report.nodeid.split("[")[0]
        served = (names for mark, names in report.user_properties if mark == MARK and isinstance(names, list))
        for requirement in (name for names in served for name in names):
            tests = self.outcomes.setdefault(requirement, {})
            tests[test] = min(tests.get(test, "passed"), report.outcome, key=WORST_FIRST.index)

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        from validation.certificate import compute_code_digest
        from validation.record import find_revision
        from validation.tested import TestedRequirements

        requirements = {name: dict(sorted(tests.items())) for name, tests in sorted(self.outcomes.items())}
        document = {"revision": find_revision(), "code": compute_code_digest(), "requirements": requirements}
        record = TestedRequirements.model_validate({"schema_version": 1, **document})
        write_json(self.path, record.model_dump(mode="json"))
