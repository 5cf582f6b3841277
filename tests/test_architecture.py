"""The house rules: imports go one way, no cycles, bounded sizes, and no heavy import where none is needed."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted([*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("validation/**/*.py")])
MAX_MODULE_LINES = 250
MAX_FUNCTION_LINES = 60
HEAVY = ("torch", "transformers", "sentence_transformers", "peft")
# What spoils stores, or judges the spoilt ones: only the certification may know of it.
SABOTAGE = {f"validation.{name}" for name in ("injectors", "sabotage", "spoiling", "release_case", "null_runs")}
CERTIFICATION = "validation.certify"
RELEASING = "validation.releasing"
# What judges may know of releasing: that a drill was made, and how often something was judged before.
KNOWN_TO_THE_GATE = {f"{RELEASING}.{name}" for name in ("receipt", "events")}
COMMANDS = f"{RELEASING}.commands"
# What signs and reports may read the documents of releases, and never acts.
READERS_OF_RELEASES = ("validation.attesting.", "validation.auditing.", "validation.reporting.")
DOCUMENTS_OF_RELEASES = {f"{RELEASING}.{name}" for name in ("events", "measures", "receipt", "release_file")}
_FAULTS = "writes and reads what is spoilt on purpose"
_MATRICES = "reads `.npy`: header against size first, nothing unpickled"
_DOCUMENTS = "reads JSON and YAML: duplicate keys, numbers that are not finite, size and depth"
# Whatever opens a file of evidence, and the modules that may: each format has one reader.
READERS: dict[str, dict[str, str]] = {
    "numpy.load": {"validation.spoiling": _FAULTS},
    "numpy.memmap": {},
    "numpy.fromfile": {},
    "numpy.lib.format.open_memmap": {},
    "numpy.lib.format.read_array": {},
    "mmap.mmap": {"pipeline.vectors": _MATRICES},
    "sqlite3.connect": {
        "pipeline.database": "opens databases: header, journals, read-only",
        "pipeline.database_rows": "writes databases that are nobody's yet",
        "pipeline.embedded_rows": "rows that may be lost, each with its checksum, and no evidence",
        "validation.spoiling": _FAULTS,
    },
    "json.load": {},
    "json.loads": {
        "pipeline.documents": _DOCUMENTS,
        "pipeline.update_db_model_id": "a value of a database's metadata, which it wrote itself, and no file",
        "validation.spoiling": _FAULTS,
    },
    "ruamel.yaml.YAML": {"pipeline.documents": _DOCUMENTS},
    "pickle.load": {},
    "pickle.loads": {},
    "torch.load": {},
}


def list_imports(path: Path) -> set[str]:
    """Return every module of this project that a file imports, type-checking imports left out.

    A module that a table names, as the one of all commands does, counts: it is imported when it is asked for.
    """
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
        elif isinstance(node, ast.Constant) and re.fullmatch(r"validation(\.\w+)+", str(node.value)):
            found.add(str(node.value))
    return {name for name in found if name.split(".")[0] in {"pipeline", "validation", "tests"}}


def name_module(path: Path) -> str:
    """Return the dotted name of a source file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_pipeline_never_imports_validation() -> None:
    """Data walks one way: what builds a store knows nothing of what judges it."""
    offenders = [
        path.name
        for path in ROOT.glob("pipeline/**/*.py")
        if any(n.startswith("validation") for n in list_imports(path))
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
    assert callers == {"validation.commands"}


def list_releasing(path: Path) -> set[str]:
    """Return the modules of releasing that a file imports."""
    names = {name_module(each) for each in MODULES}
    return {name for name in list_imports(path) & names if name.startswith(f"{RELEASING}.")}


def test_the_gate_knows_next_to_nothing_of_releasing() -> None:
    """What judges may read a drill's report and the log, and never acts; the command line reaches all by `commands`."""
    outside = {name_module(path): list_releasing(path) for path in MODULES if path.parent.name != "releasing"}
    readers = {name: used for name, used in outside.items() if name.startswith(READERS_OF_RELEASES)}
    users = {name for name, used in outside.items() if used} - readers.keys()

    assert set().union(*readers.values()) <= DOCUMENTS_OF_RELEASES
    known = ("__main__", "certify", "preconditions", "release_case", "request")
    assert users == {f"validation.{name}" for name in known}
    assert set().union(*(outside[name] for name in users - {"validation.__main__"})) == KNOWN_TO_THE_GATE
    assert outside["validation.__main__"] == {COMMANDS}


def test_modules_in_folders_are_looked_at_too() -> None:
    """The rules of this file hold for releasing as they do for its neighbours."""
    found = {name_module(path) for path in MODULES}

    assert {COMMANDS, *KNOWN_TO_THE_GATE, "validation.gate", "pipeline.store"} <= found
    assert len([name for name in found if name.startswith(f"{RELEASING}.")]) > 20


def list_uses(text: str) -> set[str]:
    """Return every dotted name that a source uses, whatever it was imported as; databases in memory open no file."""
    tree = ast.parse(text)
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.split(".")[0]
                known[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom):
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    in_memory = {
        id(node.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.args[0]) == "':memory:'"
    }
    names = [ast.unparse(node) for node in ast.walk(tree) if is_name(node) and id(node) not in in_memory]
    return {".".join([known.get(first, first), *rest]) for first, *rest in (name.split(".") for name in names)}


def is_name(node: ast.AST) -> bool:
    """Whether a node is a name, or names joined by dots."""
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and is_name(node.value))


@pytest.mark.parametrize("opener", READERS)
def test_only_its_reader_opens_a_file_of_evidence(opener: str) -> None:
    """Each format is opened by the modules that are its readers, and by no other; each of these does open it."""
    sources = [*MODULES, ROOT / "noxfile.py"]
    users = {name_module(path) for path in sources if opener in list_uses(path.read_text(encoding="utf-8"))}

    assert users == {*READERS[opener]}


@pytest.mark.parametrize(
    ("text", "opener"),
    [
        ("import numpy as np\nx = np.load('a.npy')", "numpy.load"),
        ("import numpy\nx = numpy.lib.format.open_memmap('a.npy')", "numpy.lib.format.open_memmap"),
        ("from numpy import load as fetch\nx = fetch('a.npy')", "numpy.load"),
        ("def read():\n    from json import loads\n    return loads('1')", "json.loads"),
        ("import json\nread = json.loads", "json.loads"),
        ("import sqlite3 as lite\nlite.connect('a.db')", "sqlite3.connect"),
        ("import sqlite3\nsqlite3.connect(':memory:'), sqlite3.connect('a.db')", "sqlite3.connect"),
        ("import ruamel.yaml\nruamel.yaml.YAML(typ='safe')", "ruamel.yaml.YAML"),
        ("from ruamel.yaml import YAML\nYAML()", "ruamel.yaml.YAML"),
        ("import mmap\nmmap.mmap(3, 0)", "mmap.mmap"),
    ],
)
def test_an_opener_is_known_by_any_name(text: str, opener: str) -> None:
    """However it is imported, passed on or hidden in a function, the rule above sees it."""
    assert opener in list_uses(text)


def test_what_opens_no_file_is_no_opener() -> None:
    """A database in memory, a method of the same name and a written document are no business of the rule."""
    text = "import json, sqlite3\nsqlite3.connect(':memory:')\njson.dumps(1)\nmodel.load('x')\n# np.load('y')"

    assert list_uses(text).isdisjoint(READERS)


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
