"""The house rules: imports go one way, no cycles, bounded sizes, and no heavy import where none is needed."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted([*ROOT.glob("pipeline/*.py"), *ROOT.glob("validation/*.py")])
MAX_MODULE_LINES = 250
MAX_FUNCTION_LINES = 60
HEAVY = ("torch", "transformers", "sentence_transformers", "peft")
# What spoils stores, or judges the spoilt ones: only the certification may know of it.
SABOTAGE = {f"validation.{name}" for name in ("injectors", "sabotage", "spoiling", "release_case", "null_runs")}
CERTIFICATION = "validation.certify"


def list_imports(path: Path) -> set[str]:
    """Return every module of this project that a file imports, type-checking imports left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {name for name in found if name.split(".")[0] in {"pipeline", "validation", "tests"}}


def name_module(path: Path) -> str:
    """Return the dotted name of a source file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_pipeline_never_imports_validation() -> None:
    """Data walks one way: what builds a store knows nothing of what judges it."""
    offenders = [
        path.name for path in ROOT.glob("pipeline/*.py") if any(n.startswith("validation") for n in list_imports(path))
    ]

    assert offenders == []


def test_imports_have_no_cycle() -> None:
    """Every module can be read after the modules that it imports."""
    graph = {name_module(path): list_imports(path) for path in MODULES}

    assert len(list(graphlib.TopologicalSorter(graph).static_order())) >= len(MODULES)


def test_only_the_certification_knows_of_sabotage() -> None:
    """Nothing that builds or judges a release imports what spoils one; the command line reaches it by `certify`."""
    users = {name_module(path) for path in MODULES if list_imports(path) & SABOTAGE}
    callers = {name_module(path) for path in MODULES if CERTIFICATION in list_imports(path)}

    assert {name_module(path) for path in MODULES} >= SABOTAGE
    assert users <= SABOTAGE | {CERTIFICATION}
    assert callers == {"validation.__main__"}


def test_data_rooms_hold_no_code() -> None:
    """`expectations/`, `corpus/` and `models/` are data."""
    assert [path for room in ("expectations", "corpus", "models") for path in ROOT.glob(f"{room}/**/*.py")] == []


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_sizes_are_bounded(path: Path) -> None:
    """A module fits on a few screens and a function on one."""
    text = path.read_text(encoding="utf-8")
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    longest = max(((node.end_lineno or 0) - node.lineno for node in functions), default=0)

    assert len(text.splitlines()) <= MAX_MODULE_LINES
    assert longest <= MAX_FUNCTION_LINES


def test_the_gate_imports_no_model_library() -> None:
    """A verdict needs no model, so importing the whole gate loads none."""
    code = "import sys, validation.__main__; print([name for name in sys.argv[1:] if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code, *HEAVY], cwd=ROOT, capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
