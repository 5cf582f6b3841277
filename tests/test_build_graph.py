"""`dvc.yaml` is one graph in which every command, dependency and corpus exists."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.params import load_params

ROOT = Path(__file__).resolve().parents[1]
STAGES: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]


def test_dvc_resolves_one_stage_for_each_candidate_and_corpus() -> None:
    """DVC reads the graph and expands it over both candidates and, for stores, every corpus of `params.yaml`."""
    listed = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = listed.stdout.split()
    pairs = 2 * len(load_params().corpora)

    assert {"base_model", "qlora_model"} <= set(names)
    assert {name for name in names if name.startswith("embed@")} == {"embed@base", "embed@qlora"}
    assert sum(name.startswith("store@") for name in names) == pairs
    assert {name for name in names if name.startswith("canary@")} == {"canary@base", "canary@qlora"}


@pytest.mark.parametrize("name", sorted(STAGES))
def test_a_stage_runs_a_module_and_depends_on_its_code(name: str) -> None:
    """Each command is `python -m pipeline.X`, and a change of that module makes the stage run again."""
    words = STAGES[name]["cmd"].split()

    assert words[:2] == ["python", "-m"]
    assert importlib.util.find_spec(words[2]) is not None
    assert f"{words[2].replace('.', '/')}.py" in STAGES[name]["deps"]


@pytest.mark.parametrize("name", sorted(STAGES))
def test_a_stage_depends_on_what_lies_in_git_or_on_what_another_stage_makes(name: str) -> None:
    """No dependency is missing: a fresh clone can run every stage in order."""
    made = [out.split("$")[0] for stage in STAGES.values() for out in stage["outs"]]
    fixed = [path for path in STAGES[name]["deps"] if "$" not in path and not path.startswith(tuple(made))]

    assert [path for path in fixed if not (ROOT / path).is_file()] == []


def test_a_sample_is_drawn_from_every_corpus() -> None:
    """What is embedded anew depends on the texts of every corpus, and on the model alone, not on its vectors."""
    deps = STAGES["canary"]["deps"]
    texts = {
        path.relative_to(ROOT).as_posix() for each in load_params().corpora for path in (each.chunks, each.questions)
    }

    assert texts <= set(deps)
    assert "build/models/${item.candidate}" in deps
    assert not [path for path in deps if path.startswith("build/vectors")]


def test_every_corpus_is_embedded() -> None:
    """Vectors depend on the texts of every corpus of `params.yaml`, and there are some of each."""
    stage = STAGES["embed"]
    corpora = load_params().corpora
    texts = {path.relative_to(ROOT).as_posix() for each in corpora for path in (each.chunks, each.questions)}

    assert texts <= set(stage["deps"])
    assert set(stage["outs"]) == {f"build/vectors/${{item.candidate}}/{each.name}" for each in corpora}


def test_outputs_stay_out_of_git() -> None:
    """Everything that is built lies under `build/`, which DVC keeps out of Git."""
    outs = [out for stage in STAGES.values() for out in stage["outs"]]

    assert outs
    assert all(out.startswith("build/") for out in outs)
