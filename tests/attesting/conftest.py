"""A bundle that holds, made once; every test works on a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.attesting.bundles import Bundle, write_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A project whose decision RELEASE is attested, and that nothing was done to."""
    return write_bundle(tmp_path_factory.mktemp("attested") / "all")


@pytest.fixture
def bundle(template: Bundle, tmp_path: Path) -> Bundle:
    """A copy of it."""
    return template.copy(tmp_path / "all")
