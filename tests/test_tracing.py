"""Marks of requirements: unknown ones are refused, and what the tests said is written down."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.documents import load_json
from validation.certificate import compute_code_digest
from validation.tested import TestedRequirements

ROOT = Path(__file__).resolve().parents[1]
TESTS = """
import pytest

@pytest.mark.requirement("REQ-VEC-01", "REQ-VEC-02")
@pytest.mark.parametrize("value", [1, 2, 3])
def test_cases(value):
    assert value != 2

@pytest.mark.requirement("REQ-VEC-01")
def test_good():
    pass

@pytest.mark.requirement("REQ-STO-01")
def test_left_out():
    pytest.skip("not here")

@pytest.fixture
def broken():
    raise RuntimeError

@pytest.mark.requirement("REQ-STO-02")
def test_without_its_fixture(broken):
    pass

def test_for_nothing():
    pass
"""


def run_tests(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin over a file of tests, away from this project's configuration."""
    (folder / "test_some.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.tracing", "-p", "no:cacheprovider", "-c", "/dev/null"]
    target = ["--rootdir", str(folder), str(folder), *options]
    return subprocess.run([*command, *target], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "side by side"])
@pytest.mark.requirement("REQ-TRC-01")
def test_outcomes_are_written_by_requirement(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Every requirement has its tests, each with the worst of its cases; a test that breaks in its fixture failed."""
    ended = run_tests(tmp_path, TESTS, "--requirements", str(tmp_path / "tests.json"), *options)
    found = load_json(tmp_path / "tests.json", TestedRequirements)

    assert ended.returncode == 1
    assert found.code == compute_code_digest()
    assert found.requirements == {
        "REQ-STO-01": {"test_some.py::test_left_out": "skipped"},
        "REQ-STO-02": {"test_some.py::test_without_its_fixture": "failed"},
        "REQ-VEC-01": {"test_some.py::test_cases": "failed", "test_some.py::test_good": "passed"},
        "REQ-VEC-02": {"test_some.py::test_cases": "failed"},
    }


@pytest.mark.parametrize("served", ['"REQ-VEC-99"', '"REQ-VEC-01", "vectors"', ""], ids=["number", "word", "none"])
@pytest.mark.requirement("REQ-TRC-01")
def test_an_unknown_requirement_fails_collection(tmp_path: Path, served: str) -> None:
    """A mark that names what nobody stated, or nothing at all, is an error before any test has run."""
    text = f"import pytest\n\n@pytest.mark.requirement({served})\ndef test_it():\n    pass\n"
    ended = run_tests(tmp_path, text)

    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "which requirements.yaml does not state" in ended.stderr
    assert "passed" not in ended.stdout
