"""The plots of the figures that a decision holds: metrics of both stores, and intervals against their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validation.outcomes import Outcome
from validation.reporting.drawing import (
    BASE,
    CANDIDATE,
    FAIL,
    INK,
    LINE,
    MUTED,
    OPEN,
    OTHER,
    PAPER,
    PASS,
    WAIVED,
    finish_figure,
    shorten,
    start_figure,
)
from validation.typography import format_decimal, format_percent, format_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from validation.document import CheckRecord, MetricRecord
    from validation.outcomes import Interval
    from validation.reporting.wording import Words
    from validation.typography import Language

OUTCOME_COLOURS = {
    Outcome.PASS: PASS, Outcome.FAIL: FAIL, Outcome.INCONCLUSIVE: OPEN, Outcome.WAIVED: WAIVED, Outcome.ERROR: OPEN,
}  # fmt: skip
# Shape says what colour says.
OUTCOME_MARKS = {
    Outcome.PASS: "o", Outcome.FAIL: "X", Outcome.INCONCLUSIVE: "D", Outcome.WAIVED: "s", Outcome.ERROR: "D",
}  # fmt: skip
PRIMARY = "recall@5"
BM25 = "BM25"
ROW = 0.42
FRAME = 0.95


def draw_metrics(
    name: str,
    corpus: str,
    metrics: dict[str, MetricRecord],
    baselines: dict[str, dict[str, float]],
    words: Words,
    language: Language,
) -> Markup:
    """Return both stores' metrics on one corpus, the certainty of their difference, and lexical search beside them."""
    figure, axes = start_figure(FRAME + 0.25 + ROW * len(metrics))
    for place, (metric, told) in enumerate(metrics.items()):
        _draw_metric(axes, place, told, baselines.get(BM25, {}).get(metric))
    _name_rows(axes, list(metrics))
    axes.set_xlabel(words["plot_percent"])
    axes.xaxis.set_major_formatter(lambda value, _: format_decimal(value, language, 0))
    named = [words["base"], words["candidate"], words["plot_bounds"], BM25]
    handles, labels = axes.get_legend_handles_labels()
    chosen = [handles[labels.index(each)] for each in ("base", "candidate", "bounds", "BM25") if each in labels]
    _draw_legend(axes, chosen, named)
    told_title = words["recall_plot"].format(corpus=shorten(corpus))
    return finish_figure(figure, name, told_title, _tell_metrics(metrics, words, language))


def _draw_metric(axes: Axes, place: int, told: MetricRecord, lexical: float | None) -> None:
    base, candidate = 100 * told.base.value, 100 * told.candidate.value
    bounds = [base + 100 * told.interval.lower, base + 100 * told.interval.upper]
    axes.plot(bounds, [place, place], color=CANDIDATE, lw=7, alpha=0.25, solid_capstyle="butt", label="bounds")
    axes.plot([base, candidate], [place, place], color=CANDIDATE, lw=1.4, zorder=2)
    if lexical is not None:
        axes.plot([100 * lexical], [place], ls="none", marker="|", ms=15, mew=1.8, color=OTHER, label="BM25", zorder=3)
    axes.plot(
        [base], [place], ls="none", marker="o", ms=8, mfc=PAPER, mec=BASE, mew=2, color=BASE, label="base", zorder=4
    )
    axes.plot(
        [candidate], [place], ls="none", marker="D", ms=7.5, color=CANDIDATE, mec=PAPER, label="candidate", zorder=5
    )


def _tell_metrics(metrics: dict[str, MetricRecord], words: Words, language: Language) -> str:
    found = metrics.get(PRIMARY)
    if found is None:
        return str(words["show_plot_data"])
    told = words["recall_plot_told"].format(
        base=format_percent(found.base.value, language),
        candidate=format_percent(found.candidate.value, language),
        change=format_points(found.difference, language),
    )
    return f"{told} {words['show_plot_data']}"


def draw_criteria(checks: Sequence[CheckRecord], words: Words, language: Language) -> Markup:
    """Return every criterion of paired differences against its limit, in points."""
    figure, axes = start_figure(FRAME + 0.25 + ROW * len(checks))
    axes.axvline(0, color=LINE, lw=1, zorder=0)
    for place, check in enumerate(checks):
        _draw_interval(axes, place, check, scale=100)
    _finish_rows(axes, checks, words)
    axes.set_xlabel(words["plot_points"])
    axes.xaxis.set_major_formatter(lambda value, _: format_points(value / 100, language).replace(",0", ""))
    return finish_figure(figure, "criteria", words["criteria_plot"], _count_passed(checks, words))


def draw_ratios(checks: Sequence[CheckRecord], words: Words, language: Language) -> Markup:
    """Return the ratio of times of each operation against its limit."""
    figure, axes = start_figure(FRAME + 0.25 + ROW * len(checks))
    axes.axvline(1, color=LINE, lw=1, zorder=0)
    for place, check in enumerate(checks):
        _draw_interval(axes, place, check, scale=1)
    _finish_rows(axes, checks, words)
    axes.set_xlabel(words["plot_ratio"])
    axes.xaxis.set_major_formatter(lambda value, _: format_decimal(value, language, 2))
    return finish_figure(figure, "latency", words["latency_plot"], _count_passed(checks, words))


def _draw_interval(axes: Axes, place: int, check: CheckRecord, scale: int) -> None:
    colour, limit, observed = OUTCOME_COLOURS[check.outcome], scale * check.limit, scale * check.observed
    interval: Interval | None = check.interval
    if interval:
        axes.plot([scale * interval.lower, scale * interval.upper], [place, place], color=colour, lw=2.4)
    axes.plot([observed], [place], ls="none", marker=OUTCOME_MARKS[check.outcome], ms=8, color=colour, mec=PAPER)
    axes.plot([limit, limit], [place - 0.38, place + 0.38], color=INK, lw=1.8, solid_capstyle="butt", zorder=4)


def _finish_rows(axes: Axes, checks: Sequence[CheckRecord], words: Words) -> None:
    from matplotlib.lines import Line2D

    _name_rows(axes, [f"{shorten(check.id)} {shorten(check.subject)}" for check in checks])
    for place, check in enumerate(checks):
        axes.annotate(
            words["outcomes"][check.outcome.value],
            (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=11,
            color=OUTCOME_COLOURS[check.outcome],
        )  # fmt: skip
    mark = Line2D([], [], ls="none", marker="|", ms=13, mew=1.8, color=INK)
    _draw_legend(axes, [mark], [words["plot_limit"]])


def _name_rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), [shorten(name) for name in names])
    axes.tick_params(axis="y", labelcolor=INK, pad=6)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="x", color=LINE, lw=0.6)
    axes.set_axisbelow(True)


def _draw_legend(axes: Axes, handles: list[Artist], labels: list[str]) -> None:
    axes.legend(
        handles, labels[: len(handles)], loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False,
        fontsize=11, labelcolor=MUTED, handletextpad=0.5, columnspacing=1.2, borderpad=0.2,
    )  # fmt: skip


def _count_passed(checks: Sequence[CheckRecord], words: Words) -> str:
    passed = sum(check.outcome is Outcome.PASS for check in checks)
    told = words["criteria_plot_told"].format(passed=passed, all=len(checks))
    return f"{told} {words['show_plot_data']}"
