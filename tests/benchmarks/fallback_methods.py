"""Ways to the base and forward again in a project with two releases: ours, and Git and DVC without any question.

Each works on a copy of its own and answers with the digests of what is served at the base and after it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.projects import BASE_TAG, CANDIDATE_TAG, NETWORK_FREE, Project, decide, read_served, write_project
from tests.releases import remember_expectations
from validation.releasing.fallback import fall_back
from validation.releasing.release import release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Serve = Callable[[str], object]
    Travel = Callable[[], list[dict[str, str]]]

NAME = "released"


def save_project(folder: Path) -> None:
    """Write a project in which base and candidate were released, and the candidate is served."""
    project = write_project(folder / NAME)
    with remember_expectations():
        decide(project)
    release(project.repository, project.order(), execute=True)


def travel_by_ours(folder: Path) -> Travel:
    """Stage, verify, commit and switch, as `python -m validation fallback` does."""
    project = copy_project(folder, "ours")
    return travel(project, lambda tag: fall_back(project.repository, tag, BASE_TAG, push=False))


def travel_by_dvc(folder: Path) -> Travel:
    """Check pointers out by Git and what they name by DVC: nothing is verified, and nothing is written down."""
    from dvc.repo import Repo

    project = copy_project(folder, "dvc")

    def serve(tag: str) -> None:
        project.git("checkout", "--quiet", tag)
        with Repo(str(project.root)) as repository:
            repository.checkout(force=True)

    return travel(project, serve)


def copy_project(folder: Path, name: str) -> Project:
    """Return a copy of the project, with Git and DVC as they are without anybody's configuration."""
    os.environ.update(NETWORK_FREE)
    return Project(folder / NAME).copy(folder / name)


def travel(project: Project, serve: Serve) -> Travel:
    """Return a function that serves the base and then the candidate."""

    def run() -> list[dict[str, str]]:
        served = []
        for tag in (BASE_TAG, CANDIDATE_TAG):
            serve(tag)
            served.append(read_served(project))
        return served

    return run
