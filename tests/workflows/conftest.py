"""A copy of this project with small stores that DVC keeps, pushed to a bare remote: what a workflow checks out."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.files import compute_sha256, write_json
from pipeline.model_folder import TRAINING_FILE
from tests.conftest import draw_unit_vectors
from tests.projects import IDENTITY, ROOT, Project, commit, run, run_dvc, write_model
from tests.releases import NUMBERS, write_corpora, write_faint_bases, write_store
from tests.stores import ROWS, write_policy
from validation.release_case import build_canaries

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = ("pipeline", "validation", "noxfile.py", "pyproject.toml", "constraints.txt", ".gitignore", ".dvcignore")
# Nothing is ever built by it: what it makes is there already, or on the remote.
GRAPH = """\
stages:
  stores:
    cmd: "false"
    deps: [corpus/gold, corpus/training]
    outs: [build/base, build/qlora, build/models, build/canaries]
"""


def write_candidate(project: Project, hits: int) -> None:
    """Build candidate stores that answer so many questions, with their model and their samples."""
    for seed, request in enumerate(project.list_requests()):
        passages = draw_unit_vectors(ROWS, 10 + seed)
        shutil.rmtree(request.stores["qlora"], ignore_errors=True)
        write_store(request, "qlora", passages, np.where((hits > NUMBERS)[:, None], passages, -passages))
        shutil.rmtree(request.stores["qlora"].with_name(f"{request.stores['qlora'].name}-vectors"))
    write_model(project, "qlora")


def keep(project: Project, message: str) -> None:
    """Let DVC keep what is built, commit the rest, and put both on the remotes."""
    run_dvc(project.root, "commit", "--force", "--quiet", "stores")
    run_dvc(project.root, "push", "--quiet", "stores")
    commit(project, message)


def write_training(project: Project, question: str) -> None:
    """Write training pairs, and that the candidate was trained on them."""
    triplets = project.root / "corpus" / "training" / "triplets_train.jsonl"
    triplets.parent.mkdir(parents=True, exist_ok=True)
    triplets.write_text(f'{{"anchor": "{question}", "positive": "L\'arbitre."}}\n', "utf-8")
    record = {"data": {"sha256": compute_sha256(triplets)}}
    write_json(project.root / "build" / "models" / "qlora" / TRAINING_FILE, record)


def write_canaries(project: Project) -> None:
    """Write samples of what the stores hold, as if embedded anew."""
    for role, canary in build_canaries(project.list_requests()).items():
        write_json(project.root / "build" / "canaries" / f"{role}.json", canary.model_dump(mode="json"))


def write_copy(folder: Path) -> Project:
    """Write the project with small corpora and a candidate that is to be released."""
    project = Project(folder)
    project.root.mkdir(parents=True)
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, project.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, project.root)
    shutil.copytree(ROOT / "expectations", project.root / "expectations")
    # Rounds of a millisecond on a machine that does other work; twice as slow must still be noticed.
    changes = (("latency_ratio: 1.25", "latency_ratio: 1.45"), ("rounds: 10", "rounds: 60"))
    write_policy(project.root / "expectations", *changes)
    params = (ROOT / "params.yaml").read_text("utf-8")
    (project.root / "params.yaml").write_text(params.replace("1857", str(ROWS)).replace("344", str(ROWS)), "utf-8")
    write_faint_bases(write_corpora(project.root))
    shutil.rmtree(project.root / "sample")
    for request in project.list_requests():
        shutil.rmtree(request.stores["base"].with_name(f"{request.stores['base'].name}-vectors"))
    write_model(project, "base")
    write_candidate(project, 110)
    write_training(project, "Qui marque les points ?")
    write_canaries(project)
    run(folder, "git", "init", "--quiet", "--bare", "--initial-branch", "main", str(project.remote))
    run(project.root, "git", "init", "--quiet", "--initial-branch", "main")
    for key, value in IDENTITY.items():
        project.git("config", key, value)
    project.git("remote", "add", "origin", str(project.remote))
    run_dvc(project.root, "init", "--quiet")
    run_dvc(project.root, "remote", "add", "--default", "--quiet", "store", str(project.objects))
    (project.root / "dvc.yaml").write_text(GRAPH, "utf-8")
    keep(project, "text and stores")
    return project


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The copy, pushed; a test that changes it commits to it."""
    return write_copy(tmp_path_factory.mktemp("site") / "all")
