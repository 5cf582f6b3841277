"""What all plots share: colours that the page decides about, and SVG that is small, silent and the same every time."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from markupsafe import Markup

from validation.reporting.quoting import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Drawn in colours that nobody would choose, each of which then becomes a variable of the style sheet.
INK, MUTED, LINE, PAPER = "#000001", "#000002", "#000003", "#000004"
BASE, CANDIDATE, OTHER = "#000005", "#000006", "#000007"
PASS, FAIL, OPEN, WAIVED = "#000008", "#000009", "#00000a", "#00000b"
VARIABLES = {
    INK: "ink", MUTED: "muted", LINE: "line", PAPER: "paper", BASE: "base", CANDIDATE: "candidate", OTHER: "other",
    PASS: "pass", FAIL: "fail", OPEN: "open", WAIVED: "waived",
}  # fmt: skip
WIDTH = 5.2  # inches, of 72 points
LABEL = 18
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_LINK = f"{{{_XLINK}}}href"
_FONT = re.compile(r"(?:(?P<weight>bold|\d00) )?(?P<size>[\d.]+)px")
_LONG = re.compile(r"-?\d+\.\d{2}\d+")
_USELESS = {"stroke-dashoffset", "font-family", "font"}


def start_figure(height: float) -> tuple[Figure, Axes]:
    """Return a figure of a height in inches and its only axes, without a frame."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(colors=MUTED, length=0, labelsize=11)
    axes.xaxis.label.set_color(MUTED)
    axes.xaxis.label.set_fontsize(11)
    return figure, axes


def shorten(text: str) -> str:
    """Return a label that comes from evidence, short enough for a plot."""
    shown = clean(text)
    return shown if len(shown) <= LABEL else shown[: LABEL - 1] + "…"


def finish_figure(figure: Figure, name: str, title: str, told: str) -> Markup:
    """Return a figure as inline SVG with a text alternative.

    Args:
        figure: what was drawn.
        name: unique on the page, a word of our own.
        title: what it shows.
        told: what a reader would see in it.
    """
    import matplotlib as mpl

    drawn = io.StringIO()
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcParams |= {
            "svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False, "path.simplify": False
        }  # fmt: skip
        # Letters that the measuring font lacks are shown by the reader's own.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _tidy(drawn.getvalue(), name, clean(title), clean(told))


def _tidy(drawn: str, name: str, title: str, told: str) -> Markup:
    root = ET.fromstring(drawn)  # noqa: S314 - written by matplotlib a moment ago
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"}:
                parent.remove(child)
    for element in root.iter():
        _tidy_element(element, name)
    used = set(re.findall(r"#([^\s\"')]+)", " ".join(v for e in root.iter() for v in e.attrib.values())))
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)
    for wanted in ("width", "height", "version"):
        root.attrib.pop(wanted, None)
    labels = {"title": title, "desc": told}
    for place, (tag, text) in enumerate(labels.items()):
        label = ET.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{tag}"})
        label.text = text
        root.insert(place, label)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title", "aria-describedby": f"{name}-desc"}
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - text and attributes are escaped by the writer


def _tidy_element(element: ET.Element, name: str) -> None:
    """Turn a style, which the page's policy forbids, into attributes, sentinel colours into variables."""
    for rule in filter(None, (part.strip() for part in element.attrib.pop("style", "").split(";"))):
        key, _, value = (part.strip() for part in rule.partition(":"))
        found = _FONT.search(value) if key == "font" else None
        if found:
            element.set("font-size", found["size"])
            element.attrib |= {"font-weight": found["weight"]} if found["weight"] else {}
        if key not in _USELESS:
            element.set(key, value)
    for key, value in element.attrib.items():
        told = f"var(--{VARIABLES[value]})" if value in VARIABLES else value
        told = _LONG.sub(lambda found: f"{float(found[0]):.2f}", told)
        if key == "id":
            told = f"{name}-{told}"
        elif key == _LINK or told.startswith("url("):
            told = told.replace("#", f"#{name}-")
        element.set(key, " ".join(told.split()))
