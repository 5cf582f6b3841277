"""`python -m pipeline.embed_corpora`: every corpus is embedded as `pipeline.embeddings` does it by itself."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.bad_input import check_refusal
from tests.releases import list_requests, load_small_params, write_corpora
from tests.stores import enter_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Result

MODULE = "pipeline.embed_corpora"


@pytest.fixture
def project(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two small corpora whose base model is a tiny real one."""
    root = tmp_path / "project"
    write_corpora(root)
    enter_project(monkeypatch, root, load_small_params())
    shutil.copytree(tiny_model, root / "build" / "models" / "base")
    monkeypatch.setattr("pipeline.embed_corpora.BUILD", root / "build")
    monkeypatch.setattr("pipeline.embed_corpora.load_params", load_params_of(root))
    return root


def load_params_of(root: Path) -> Callable[[], object]:
    """Return what loads the parameters of a project below `root`."""
    texts = {request.chunks.stem.removeprefix("chunks_mode_b_"): request for request in list_requests(root)}
    params = load_small_params()
    corpora = [
        each.model_copy(update={"chunks": texts[each.name].chunks, "questions": texts[each.name].questions})
        for each in params.corpora
    ]
    return lambda: params.model_copy(update={"corpora": corpora})


def test_every_corpus_is_embedded_as_by_itself(project: Path, run_cli: Callable[..., Result]) -> None:
    """Vectors and provenance of passages and questions, byte for byte, and nothing beside them."""
    assert run_cli(MODULE, "--candidate", "base").code == 0
    for request in list_requests(project):
        name = request.chunks.stem.removeprefix("chunks_mode_b_")
        single, found = project / "single" / name, project / "build" / "vectors" / "base" / name
        options = {"chunks": request.chunks, "output": single / "embeddings.npy", "questions": request.questions}
        options |= {"questions-output": single / "questions.npy", "model": project / "build" / "models" / "base"}
        told = run_cli("pipeline.embeddings", *(part for key, value in options.items() for part in (f"--{key}", value)))

        assert told.code == 0
        files = {path.name: path.read_bytes() for path in found.iterdir()}
        assert files == {path.name: path.read_bytes() for path in single.iterdir()}
        assert {"embeddings.npy", "questions.npy"} < set(files)


def test_a_model_that_is_missing_is_refused(project: Path, run_cli: Callable[..., Result]) -> None:
    """One line says which, and no vectors are left."""
    result = run_cli(MODULE, "--candidate", "qlora")

    check_refusal(result, "build/models/qlora")
    assert not (project / "build" / "vectors").exists()
