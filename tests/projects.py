"""A small project under Git and DVC: a bare remote, a folder of objects, stores of both candidates and a decision."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.files import compute_sha256, write_json
from pipeline.model_folder import compute_weights_digest
from tests.releases import (
    Hits,
    build_gate_request,
    judge_release,
    list_requests,
    load_small_params,
    load_small_rulebook,
    write_release,
)
from tests.stores import edit_manifest
from validation.answers import write_answers
from validation.certificate import CERTIFICATE
from validation.inputs import read_input
from validation.record import DECISION, build_record, write_record
from validation.releasing.receipt import RECEIPT
from validation.releasing.release import Order
from validation.releasing.repository import Repository
from validation.releasing.tracking import load_storage

if TYPE_CHECKING:
    from typing import Any

    from pipeline.params import CandidateName, Params
    from validation.document import Record
    from validation.stores import CorpusRequest

BASE_TAG, CANDIDATE_TAG = "v1.0-base", "v1.1-qlora"
ROOT = Path(__file__).resolve().parents[1]
IDENTITY = {"user.name": "Arbitre", "user.email": "arbitre@example.org"}
# Answered by base and candidate: the candidate is better on both corpora, or on neither.
BETTER: Hits = {"fr": (40, 90), "intl": (60, 70)}
NO_BETTER: Hits = {"fr": (60, 60), "intl": (60, 60)}
NETWORK_FREE = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "DVC_NO_ANALYTICS": "1"}


def ignore_configuration(patch: pytest.MonkeyPatch) -> None:
    """Let the configuration of the person who runs the tests have no say in what runs from now on."""
    for name, value in NETWORK_FREE.items():
        patch.setenv(name, value)


def run(folder: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, without any configuration of the person who runs the tests."""
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=check, env=os.environ | NETWORK_FREE
    )


def run_dvc(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run DVC in a folder."""
    return run(folder, sys.executable, "-m", "dvc", *arguments, check=check)


@dataclass(frozen=True, slots=True)
class Project:
    """A project below `folder`: its working tree, the bare Git remote and the folder that is the DVC remote."""

    folder: Path

    @property
    def root(self) -> Path:
        """The working tree."""
        return self.folder / "project"

    @property
    def remote(self) -> Path:
        """The bare Git repository that everybody pushes to."""
        return self.folder / "remote.git"

    @property
    def objects(self) -> Path:
        """The DVC remote."""
        return self.folder / "objects"

    @property
    def repository(self) -> Repository:
        """The working tree, as the releasing code sees it."""
        return Repository(self.root)

    @property
    def params(self) -> Params:
        """Parameters of a project of this size."""
        return load_small_params()

    def git(self, *arguments: str) -> str:
        """Run Git in the working tree."""
        return run(self.root, "git", *arguments).stdout.strip()

    def list_requests(self) -> list[CorpusRequest]:
        """Return both corpora with their stores."""
        return list_requests(self.root)

    def order(self, digest: str | None = None) -> Order:
        """Return the order to act upon the decision of this project."""
        return Order(self.params, self.root / "reports" / DECISION, digest, lambda _: None)

    def copy(self, folder: Path) -> Project:
        """Return a copy of everything below another folder, remotes included."""
        shutil.copytree(self.folder, folder, symlinks=True)
        copy = Project(folder)
        copy.git("remote", "set-url", "origin", str(copy.remote))
        point_at(copy, copy.objects)
        return copy

    def clone(self, name: str = "elsewhere") -> Project:
        """Return a fresh clone of the remotes of this project, without anything that is built."""
        other = Project(self.folder / name)
        other.folder.mkdir()
        run(other.folder, "git", "clone", "--quiet", str(self.remote), "project")
        for key, value in IDENTITY.items():
            other.git("config", key, value)
        point_at(other, self.objects)
        return other


def point_at(project: Project, objects: Path) -> None:
    """Let a working tree use a folder as its DVC remote, for itself alone."""
    text = f"['remote \"store\"']\n    url = {objects}\n"
    (project.root / ".dvc" / "config.local").write_text(text, "utf-8")


def write_model(project: Project, role: CandidateName) -> None:
    """Write a folder that stands for a model, and let the stores of a candidate name its weights."""
    folder = project.root / "build" / "models" / role
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(f"weights of {role}".encode() * 100)
    (folder / "tokenizer.json").write_text(f'{{"role": "{role}"}}\n', "utf-8")
    (folder / "1_Pooling" / "config.json").write_text("{}\n", "utf-8")
    digest = compute_weights_digest(folder)

    def name_weights(document: dict[str, Any]) -> None:
        document["model"]["weights_sha256"] = digest

    for request in project.list_requests():
        edit_manifest(request.stores[role], name_weights)


def write_project(folder: Path, hits: Hits = BETTER) -> Project:
    """Write a project whose stores are built, whose text is committed and pushed, and in which nothing was released."""
    project = Project(folder)
    project.root.mkdir(parents=True)
    write_release(project.root, hits)
    shutil.rmtree(project.root / "sample")
    for role in ("base", "qlora"):
        write_model(project, role)
    shutil.copy(ROOT / ".gitignore", project.root)
    run(folder, "git", "init", "--quiet", "--bare", "--initial-branch", "main", str(project.remote))
    run(project.root, "git", "init", "--quiet", "--initial-branch", "main")
    for key, value in IDENTITY.items():
        project.git("config", key, value)
    run_dvc(project.root, "init", "--quiet")
    run_dvc(project.root, "remote", "add", "--default", "--quiet", "store", str(project.objects))
    project.git("remote", "add", "origin", str(project.remote))
    commit(project, "text")
    return project


def commit(project: Project, message: str) -> str:
    """Commit and push everything, and return the commit."""
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", message)
    project.git("push", "--quiet", "--set-upstream", "origin", "main")
    return project.git("rev-parse", "HEAD")


def decide(project: Project, **changes: Any) -> Record:
    """Judge the stores of a project by the whole gate, and write the decision with the evidence that it names.

    `changes` replace fields of the decision, to see what becomes of one that is not as it should be.
    """
    rulebook = load_small_rulebook()
    requests = project.list_requests()
    request = build_gate_request(requests, rulebook)
    evidence = {"certificate": (CERTIFICATE, request.certificate), "drill": (RECEIPT, request.drill)}
    inputs = []
    for name, (file, document) in evidence.items():
        assert document is not None
        write_json(project.root / "reports" / file, document.model_dump(mode="json"))
        inputs.append(read_input(name, project.root / "reports" / file))
    request = replace(request, inputs=tuple(inputs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("validation.record.PROJECT_ROOT", project.root)
        judgement = judge_release(request, rulebook)
        answers = write_answers(judgement.findings, project.root / "reports")
        record = build_record(judgement, request, rulebook, answers)
    record = record.model_copy(update=changes)
    write_record(record, project.root / "reports")
    return record


def read_served(project: Project) -> dict[str, str]:
    """Return SHA-256 by name of every file in the served folder, the text apart."""
    served = project.root / "corpus" / "processed"
    files = (path for path in sorted(served.rglob("*")) if path.is_file() and not path.name.startswith("chunks"))
    return {path.name: compute_sha256(path) for path in files}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a refusal must leave as it was.

    `served` and `objects` are digests by path, those of the served folder and models and those on the DVC remote;
    `refs`, `remote` and `status` are what Git says of references here, there, and of the working tree; `scraps` are
    scratch trees and half-made folders.
    """

    served: dict[str, str]
    refs: str
    status: str
    remote: str
    objects: dict[str, str]
    scraps: tuple[str, ...]


def take_snapshot(project: Project) -> Snapshot:
    """Look at all that a release or a fallback may change, by own hashes and by Git."""
    storage = load_storage(project.root)
    objects = Path(storage.remotes[storage.require_remote()]["url"])
    folders = [project.root / name for name in ("corpus/processed", "models")]
    scratch = [path.name for path in project.root.glob("build/scratch/*")]
    halves = [path.name for path in project.root.rglob(".*") if path.suffix in {".partial", ".retired"}]
    return Snapshot(
        served={name: digest for folder in folders for name, digest in list_digests(folder).items()},
        refs=project.git("for-each-ref", "--format=%(refname) %(objectname)") + project.git("symbolic-ref", "HEAD"),
        status=project.git("status", "--porcelain", "--untracked-files=all", "--ignored=matching", "corpus", "models"),
        remote=run(project.root, "git", "ls-remote", "origin", check=False).stdout,
        objects=list_digests(objects),
        scraps=(*scratch, *halves, *project.git("worktree", "list").splitlines()[1:]),
    )


def list_digests(folder: Path) -> dict[str, str]:
    """Return SHA-256, or what a link leads to, of everything below a folder, by path."""
    return {
        str(path): f"-> {path.readlink()}"
        if path.is_symlink()
        else compute_sha256(path)
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
    }
