"""Projects in three states, made once; every test works on a copy."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.projects import NO_BETTER, Project, decide, ignore_configuration, write_project
from tests.releases import remember_expectations
from validation.outcomes import Verdict
from validation.releasing.release import release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_own_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests has a Git configuration; it must not have a say."""
    ignore_configuration(monkeypatch)


@pytest.fixture(scope="session", autouse=True)
def _remember() -> Iterator[None]:
    with remember_expectations():
        yield


@pytest.fixture(scope="session")
def fresh_template(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose candidate is to be released, and in which nothing was released yet."""
    project = write_project(tmp_path_factory.mktemp("fresh") / "all")
    decide(project)
    return project


@pytest.fixture(scope="session")
def keeping_template(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose candidate is no better, and in which nothing was released yet."""
    project = write_project(tmp_path_factory.mktemp("keeping") / "all", NO_BETTER)
    decide(project)
    return project


@pytest.fixture(scope="session")
def released_template(fresh_template: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which base and candidate were released, and the candidate is served."""
    project = fresh_template.copy(tmp_path_factory.mktemp("released") / "all")
    with pytest.MonkeyPatch.context() as patch:
        ignore_configuration(patch)
        release(project.repository, project.order(), execute=True)
    return project


@pytest.fixture(scope="session")
def based_template(fresh_template: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the base alone was released and is served, and whose candidate is to be released next."""
    project = fresh_template.copy(tmp_path_factory.mktemp("based") / "all")
    with pytest.MonkeyPatch.context() as patch:
        ignore_configuration(patch)
        decide(project, decision=Verdict.KEEP, exit_code=Verdict.KEEP.exit_code)
        release(project.repository, project.order(), execute=True)
        decide(project)
    return project


@pytest.fixture
def fresh(fresh_template: Project, tmp_path: Path) -> Project:
    """A copy of the project in which nothing was released yet, with the decision RELEASE."""
    return fresh_template.copy(tmp_path / "all")


@pytest.fixture
def keeping(keeping_template: Project, tmp_path: Path) -> Project:
    """A copy of the project in which nothing was released yet, with the decision KEEP."""
    return keeping_template.copy(tmp_path / "all")


@pytest.fixture
def released(released_template: Project, tmp_path: Path) -> Project:
    """A copy of the project in which both were released."""
    return released_template.copy(tmp_path / "all")


@pytest.fixture
def based(based_template: Project, tmp_path: Path) -> Project:
    """A copy of the project in which the base alone was released."""
    return based_template.copy(tmp_path / "all")


@pytest.fixture
def tree(released_template: Project, tmp_path: Path) -> Path:
    """A copy of what a project serves, without Git and DVC: neither is asked."""
    for name in ("corpus", "models"):
        shutil.copytree(released_template.root / name, tmp_path / name)
    return tmp_path
