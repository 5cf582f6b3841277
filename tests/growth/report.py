"""The growth of time and memory as a table and as a plot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

WORDS = {
    "write": "draw and write vectors",
    "check_vectors": "read and check vectors",
    "read_text": "read and check text",
    "export": "export to SQLite",
    "adopt": "build a store",
    "look": "look at a store",
    "search": "exact search, top 100",
    "judge": "metrics, bootstrap, sign flips",
}
HEAD = "| part | rows | questions | seconds | of the processor | memory MB | with files MB |"
MARKERS = "os^Dv<>P"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one part took at one size; memory in MB of 1e6 bytes.

    Attributes:
        part: its name in `tests/growth/parts.py`.
        rows, questions: the size.
        seconds: of the one call, by the clock.
        cpu_seconds: of the processor, all threads together.
        anonymous_mb: the most memory without pages of files, what the part was given and imports included.
        peak_mb: the same with the pages of mapped files that were resident.
        disk_mb: bytes of all files afterwards.
    """

    part: str
    rows: int
    questions: int
    seconds: float
    cpu_seconds: float
    anonymous_mb: float
    peak_mb: float
    disk_mb: float


def render_table(found: list[Measurement]) -> str:
    """Return the measurements as Markdown, part by part."""
    lines = ["# Growth", "", HEAD, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for part, words in WORDS.items():
        lines += [_render_row(words, each) for each in found if each.part == part]
    return "\n".join(lines) + "\n"


def _render_row(words: str, each: Measurement) -> str:
    return (
        f"| {words} | {each.rows:,} | {each.questions:,} | {each.seconds:.3g} | {each.cpu_seconds:.3g} "
        f"| {each.anonymous_mb:.0f} | {each.peak_mb:.0f} |"
    )


def draw_growth(found: list[Measurement], path: Path) -> None:
    """Draw seconds and memory against rows and against questions, both axes logarithmic, as SVG or PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 9), layout="constrained")
    axes = figure.subplots(2, 2, sharey="row", sharex="col")
    rows, questions = min(each.rows for each in found), min(each.questions for each in found)
    columns = (
        ("rows", [each for each in found if each.questions == questions and each.part != "judge"]),
        ("questions", [each for each in found if each.part == "judge" or (each.part, each.rows) == ("search", rows)]),
    )
    for column, (size, series) in enumerate(columns):
        for row, field in enumerate(("seconds", "anonymous_mb")):
            _draw_lines(axes[row, column], series, size, field)
        axes[1, column].set_xlabel(size)
    for row in range(2):
        low, high = (math.log10(limit) for limit in axes[row, 0].get_ylim())
        axes[row, 0].set_ylim(10.0 ** math.floor(low), 10.0 ** math.ceil(high))  # so that two numbers stand there
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("memory without files, MB")
    axes[0, 0].set_title(f"against rows, {questions:,} questions", fontsize=10)
    axes[0, 1].set_title(f"against questions; {rows:,} rows are searched", fontsize=10)
    lines = {line.get_label(): line for each in axes.flat for line in each.get_lines()}
    figure.legend(handles=list(lines.values()), loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    figure.savefig(path, dpi=150)


def _draw_lines(axes: Axes, found: list[Measurement], size: str, field: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for place, (part, words) in enumerate(WORDS.items()):
        points = sorted((getattr(each, size), getattr(each, field)) for each in found if each.part == part)
        if points:
            sizes, taken = zip(*points, strict=True)
            axes.plot(sizes, taken, color=f"C{place}", marker=MARKERS[place], markersize=5, label=words)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}" if value < 1 else f"{value:,.0f}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True, which="major", alpha=0.3)
