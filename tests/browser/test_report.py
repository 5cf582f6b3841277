"""The report in a real browser: silent, accessible, usable by keyboard, at each size and on paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import FLIPS, SIZES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Visit

SCREENSHOTS = Path(__file__).resolve().parents[2] / "reports" / "screenshots"
SAMPLES = ("release", "keep", "empty", "hostile")
SERIOUS = {"serious", "critical"}
HIGHEST = 16_000  # pixels that chromium draws in one picture


def list_findings(visit: Visit) -> list[tuple[str, list[Any]]]:
    """Return the serious findings of axe-core, with the elements concerned."""
    found = Axe().run(visit.page).response["violations"]
    return [(each["id"], [node["target"] for node in each["nodes"]][:3]) for each in found if each["impact"] in SERIOUS]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("name", SAMPLES)
def test_the_page_is_silent_and_accessible(visit: Callable[..., Visit], name: str, language: str, scheme: str) -> None:
    """No word on the console, no request to anywhere, and no serious finding, with everything opened."""
    opened = visit(f"{name}.{language}.html", scheme=scheme)
    opened.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")

    assert list_findings(opened) == []
    assert opened.said == []
    assert opened.asked == []


@pytest.mark.parametrize("name", SAMPLES)
def test_a_phone_needs_no_sideways_scrolling(visit: Callable[..., Visit], name: str) -> None:
    """On a screen of 375 pixels the page is as wide as the screen; only tables scroll, in their own box."""
    opened = visit(f"{name}.fr.html", size="phone")
    opened.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")

    assert opened.page.evaluate("document.documentElement.scrollWidth") == 375
    assert list_findings(opened) == []


@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("name", SAMPLES)
def test_no_cell_reaches_into_its_neighbour(visit: Callable[..., Visit], name: str, size: str) -> None:
    """With everything opened, each cell of each table is as wide as what stands in it."""
    page = visit(f"{name}.fr.html", size=size).page
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    wider = "(cells) => cells.filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.innerText)"

    assert page.locator("th, td").evaluate_all(wider) == []


@pytest.mark.parametrize("name", ["release", "keep"])
def test_no_row_fills_a_phone(visit: Callable[..., Visit], name: str) -> None:
    """A table that is too wide scrolls sideways, rather than to squeeze a column into a tower of letters."""
    page = visit(f"{name}.fr.html", size="phone").page
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    heights = page.locator("tr").evaluate_all("(rows) => rows.map((each) => each.getBoundingClientRect().height)")

    assert max(heights) < SIZES["phone"]["height"] / 6


def test_flips_are_filtered_by_keyboard(visit: Callable[..., Visit]) -> None:
    """Tab leads to the filters, letters choose, the count follows, and one key shows all again."""
    page = visit("keep.en.html").page
    page.locator("#f-corpus").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("g")  # gained
    gained = page.locator("[data-flip]:visible").count()
    told = page.locator("#flip-count").inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("c")  # the first category
    both = page.locator("[data-flip]:visible").count()
    page.get_by_role("button", name="Show all").press("Enter")
    page.wait_for_function(f"document.querySelectorAll('[data-flip]:not([hidden])').length === {FLIPS}")

    assert gained == FLIPS // 4
    assert told == f"Flips shown: {gained} of {FLIPS}"
    assert both == FLIPS // 20
    assert page.locator("#flip-count").inner_text() == f"Flips shown: {FLIPS} of {FLIPS}"


def test_a_flip_opens_by_keyboard_and_all_at_once(visit: Callable[..., Visit]) -> None:
    """Enter opens the passages of a question, and one button those of every question."""
    page = visit("keep.fr.html").page
    page.locator(".flips summary").first.press("Enter")
    one = page.locator(".flips details[open]").count()
    page.get_by_role("button", name="Ouvrir les passages").press("Space")

    assert one == 1
    assert page.locator(".flips blockquote").first.is_visible()
    assert page.locator(".flips details[open]").count() == FLIPS


def test_the_first_key_leads_to_the_content(visit: Callable[..., Visit]) -> None:
    """The first stop is the skip link, which is seen when it has the focus and leads past the header."""
    page = visit("keep.fr.html").page
    page.keyboard.press("Tab")
    link = page.locator(".skip")
    seen = link.evaluate("(each) => each === document.activeElement && each.getBoundingClientRect().width > 20")
    page.keyboard.press("Enter")

    assert seen
    assert page.evaluate("document.activeElement.id") == "main"


def test_a_link_into_a_closed_part_opens_it(visit: Callable[..., Visit]) -> None:
    """From a check one gets to its requirement, although that is folded away."""
    page = visit("release.en.html").page
    page.evaluate("location.hash = '#REQ-RET-01'")
    page.wait_for_function("document.getElementById('REQ-RET-01').open")

    assert page.locator("[id='REQ-RET-01'] table").is_visible()


def test_paper_is_light_and_shows_what_is_folded(visit: Callable[..., Visit]) -> None:
    """Printed from a dark screen, the page is black on white, everything is open, and no row is cut."""
    page = visit("release.fr.html", scheme="dark").page
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    style = "(name) => getComputedStyle(document.documentElement)[name]"

    assert page.evaluate(style, "backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(style, "color") == "rgb(0, 0, 0)"
    assert page.locator("details:not([open])").count() == 0
    assert not page.locator("nav").is_visible()
    assert page.locator("tbody tr").first.evaluate("(row) => getComputedStyle(row).breakInside") == "avoid"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("name", SAMPLES)
def test_pictures_are_taken(visit: Callable[..., Visit], name: str) -> None:
    """Every sample is drawn light, dark, on a phone and on paper, for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    views = {"light": ("desktop", "light"), "dark": ("desktop", "dark"), "phone": ("phone", "light")}
    for view, (size, scheme) in views.items():
        page = visit(f"{name}.fr.html", size=size, scheme=scheme).page
        height = min(page.evaluate("document.documentElement.scrollHeight"), HIGHEST)
        width = page.viewport_size["width"]
        clip = {"x": 0, "y": 0, "width": width, "height": height}
        page.screenshot(path=SCREENSHOTS / f"{name}-{view}.png", full_page=True, clip=clip)
    page = visit(f"{name}.fr.html", scheme="dark").page
    page.pdf(path=SCREENSHOTS / f"{name}-print.pdf", prefer_css_page_size=True, print_background=True)

    assert (SCREENSHOTS / f"{name}-print.pdf").read_bytes().startswith(b"%PDF-")
    assert all((SCREENSHOTS / f"{name}-{view}.png").stat().st_size > 10_000 for view in views)
