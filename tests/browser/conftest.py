"""A browser that never leaves the page, and the reports that it opens."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from tests.reporting.samples import (
    make_empty,
    make_hostile,
    make_keep,
    make_release,
    write_record,
    write_stores,
)
from validation.reporting.report import write_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Route

SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 375, "height": 812}}
FLIPS = 300


@dataclass(slots=True)
class Visit:
    """An open page, what its console said and what it asked for besides itself."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Debian's chromium."""
    with sync_playwright() as playwright:
        # Chromium has no sandbox of its own where everything runs as root, as in a container.
        started = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write all sample reports in both languages; return their folder."""
    folder = tmp_path_factory.mktemp("reports")
    samples = {
        "release": make_release(inputs=write_stores(folder)),
        "keep": make_keep(FLIPS),
        "empty": make_empty(),
        "hostile": make_hostile(),
    }
    for name, record in samples.items():
        decision = write_record(record, folder / f"{name}.json")
        write_report(decision, folder, folder / f"{name}.fr.html", "fr")
        write_report(decision, folder, folder / f"{name}.en.html", "en")
    return folder


@pytest.fixture
def visit(browser: Browser, reports: Path) -> Iterator[Callable[..., Visit]]:
    """Return a function that opens a report by name, in a size and a colour scheme."""
    contexts = []

    def open_report(name: str, size: str = "desktop", scheme: str = "light") -> Visit:
        context = browser.new_context(viewport=SIZES[size], color_scheme=scheme)
        contexts.append(context)
        visited = Visit(context.new_page())
        address = (reports / name).as_uri()

        def intercept(route: Route) -> None:
            if route.request.url == address:
                route.continue_()
            else:
                visited.asked.append(route.request.url)
                route.abort()

        visited.page.route("**/*", intercept)
        visited.page.on("console", lambda message: visited.said.append(message.text))
        visited.page.on("pageerror", lambda error: visited.said.append(str(error)))
        visited.page.goto(address)
        return visited

    yield open_report
    for context in contexts:
        context.close()
