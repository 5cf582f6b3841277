"""The plots of both vector spaces: where each passage lies, and how far it moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from validation.reporting.drawing import (
    BASE,
    CANDIDATE,
    INK,
    LINE,
    MUTED,
    finish_figure,
    shorten,
    start_figure,
)
from validation.typography import format_count, format_decimal, format_percent, localise

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.typing import CapStyleType

    from validation.metrics import Values
    from validation.reporting.spaces import Spaces
    from validation.reporting.wording import Words
    from validation.typography import Language

DOT = 2.6
SPECK = 2e-4  # of what the map shows, thus about a tenth of a point
BINS = 56
# From next to nothing to opposite directions; on this scale both a shift of all and a few outliers are seen.
SHOWN_MOVES = (1e-4, 2.0)


def draw_map(name: str, corpus: str, spaces: Spaces, words: Words, language: Language) -> Markup:
    """Return all passages of both stores on the two main axes of the base."""
    figure, axes = start_figure(5.0)
    _draw_dots(axes, spaces.base, BASE, words["base"], "round")
    _draw_dots(axes, spaces.candidate, CANDIDATE, words["candidate"], "projecting")
    axes.set_aspect("equal", adjustable="datalim")
    axes.autoscale_view()
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines["left"].set_visible(True)
    axes.spines["left"].set_color(LINE)
    labels = [
        words["axis"].format(n=place, share=format_percent(share, language))
        for place, share in enumerate(spaces.shares, 1)
    ]
    axes.set_xlabel(labels[0], loc="left")
    axes.set_ylabel(labels[1], loc="bottom", color=MUTED, fontsize=11)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=11, labelcolor=MUTED, markerscale=3
    )
    told = words["map_told"].format(
        n=format_count(len(spaces.base), language), share=format_percent(sum(spaces.shares), language)
    )
    return finish_figure(figure, name, words["map_plot"].format(corpus=shorten(corpus)), told)


def _draw_dots(axes: Axes, places: Values, colour: str, label: str, ends: CapStyleType) -> None:
    """Draw all dots as one path of strokes of next to no length, whose ends are the dots: small, quick to show."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    corners = np.repeat(places, 2, axis=0)
    # A square end has no direction on a stroke without any length, and paper leaves it out.
    corners[1::2, 0] += SPECK * np.ptp(places)
    codes = np.tile([Path.MOVETO, Path.LINETO], len(places))
    path = Path(corners, codes)
    path.should_simplify = False
    dots = PathPatch(path, fill=False, ec=colour, lw=DOT, capstyle=ends, alpha=0.55)
    axes.add_patch(dots)
    axes.update_datalim(places)
    axes.add_line(Line2D([], [], ls="none", marker="o" if ends == "round" else "s", ms=DOT, color=colour, label=label))


def draw_moves(name: str, corpus: str, spaces: Spaces, words: Words, language: Language) -> Markup:
    """Return how many passages moved how far, as stored, with the median marked."""
    from matplotlib.ticker import LogLocator, NullLocator

    figure, axes = start_figure(3.1)
    axes.spines["left"].set_visible(False)
    shown = np.clip(spaces.moves, *SHOWN_MOVES)
    axes.hist(shown, bins=np.geomspace(*SHOWN_MOVES, BINS).tolist(), rwidth=0.9, color=CANDIDATE, alpha=0.75, lw=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.set_xlim(shown.min() / 1.3, shown.max() * 1.3)
    median, high = np.quantile(spaces.moves, (0.5, 0.95)).tolist()
    place = max(median, SHOWN_MOVES[0])
    axes.axvline(place, color=INK, lw=1.4)
    axes.margins(y=0.16)
    axes.annotate(
        f"{words['median']} {format_decimal(median, language, 3)}",
        (place, 1), xycoords=("data", "axes fraction"), xytext=(6, -2), textcoords="offset points",
        va="top", fontsize=11, color=INK,
    )  # fmt: skip
    axes.set_xlabel(words["plot_distance"])
    axes.set_ylabel(words["plot_passages"], color=MUTED, fontsize=11)
    axes.grid(axis="y", color=LINE, lw=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(lambda value, _: localise(f"{value:g}", language))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: format_count(round(value), language))
    told = words["moves_told"].format(
        median=format_decimal(median, language, 3), high=format_decimal(high, language, 3)
    )
    return finish_figure(figure, name, words["moves_plot"].format(corpus=shorten(corpus)), told)
