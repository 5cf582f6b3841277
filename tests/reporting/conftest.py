"""Pages that several tests look at, each rendered once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.reporting.reading import Page
from tests.reporting.samples import DIGEST, make_empty, make_hostile, make_keep, make_release, write_stores
from validation.reporting.evidence import gather_evidence
from validation.reporting.rendering import render_report

if TYPE_CHECKING:
    from pathlib import Path

    from validation.document import Record
    from validation.typography import Language


def render(record: Record, folder: Path, language: Language = "fr") -> str:
    """Return the page of a decision whose inputs lie in a folder."""
    return render_report(record, DIGEST, gather_evidence(record, folder), language)


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, str]:
    """Return a decision for release and its French page, with stores at hand."""
    folder = tmp_path_factory.mktemp("release")
    record = make_release(inputs=write_stores(folder))
    return record, render(record, folder)


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """Return the French pages of decisions without evidence at hand, by name."""
    folder = tmp_path_factory.mktemp("nothing")
    records = {"keep": make_keep(20), "empty": make_empty(), "hostile": make_hostile()}
    return {name: Page(render(record, folder)) for name, record in records.items()}
