"""Read a report as a browser would, without one."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

# What stands apart from what follows it.
APART = {"td", "th", "dt", "dd", "li", "p", "h3", "caption", "option", "summary", "span"}
VOID = {"meta", "link", "br", "img", "input"}


@dataclass(slots=True)
class Element:
    """A tag with its attributes and all text below it."""

    tag: str
    attributes: dict[str, str]
    text: list[str] = field(default_factory=list)

    def read(self) -> str:
        """Return the text, spaces joined."""
        return " ".join("".join(self.text).split())


class Page(HTMLParser):
    """All elements of a page in their order; one that is closed in the wrong order is an error."""

    def __init__(self, html: str) -> None:
        """Read a page."""
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element of SVG that closes itself."""
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element."""
        assert self._open.pop().tag == tag
        if tag in APART:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        """Give a text to every open element."""
        for element in self._open:
            element.text.append(data)

    def find_all(self, tag: str, **wanted: str) -> list[Element]:
        """Return the elements of a tag with these attributes; `_` stands for `-`."""
        told = {name.rstrip("_").replace("_", "-"): value for name, value in wanted.items()}
        return [each for each in self.elements if each.tag == tag and told.items() <= each.attributes.items()]

    def find(self, tag: str, **wanted: str) -> Element:
        """Return the only such element."""
        found = self.find_all(tag, **wanted)
        assert len(found) == 1
        return found[0]

    def read_section(self, name: str) -> str:
        """Return the text of a section."""
        return self.find("section", id=name).read()
