"""A judged project, made once; every test that changes something works on a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.auditing.projects import Audited, write_audited
from tests.projects import ignore_configuration
from tests.releases import remember_expectations
from validation.auditing.writing import write_documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _alone() -> Iterator[None]:
    """No configuration of the person who runs the tests has a say, and no table is looked at twice."""
    with pytest.MonkeyPatch.context() as patch, remember_expectations():
        ignore_configuration(patch)
        yield


@pytest.fixture(scope="session")
def template(_alone: None, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    """A judged project that nothing was done to."""
    return write_audited(tmp_path_factory.mktemp("audited") / "all")


@pytest.fixture
def audited(template: Audited, tmp_path: Path) -> Audited:
    """A copy of it."""
    return template.copy(tmp_path / "all")


@pytest.fixture(scope="session")
def documents(template: Audited, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all documents about it."""
    folder = tmp_path_factory.mktemp("documents") / "audit"
    write_documents(template.open(), folder)
    return folder


@pytest.fixture(scope="session")
def taken(template: Audited, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    """A project of which the bundle was made."""
    audited = template.copy(tmp_path_factory.mktemp("taken") / "all")
    audited.take_away()
    return audited
