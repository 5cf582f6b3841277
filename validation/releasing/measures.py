"""`metrics.json` and `plots/*.json` beside `release.json`: what was measured of the released store, as DVC reads it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pipeline.documents import Strict
from pipeline.files import write_json
from validation.outcomes import Outcome
from validation.releasing.release_file import SERVED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path, PurePosixPath

    from pipeline.params import CandidateName
    from validation.document import LatencyRecord, Record, SideRecord

METRICS_FILE = SERVED / "metrics.json"
PLOTS = SERVED / "plots"
RETRIEVAL_PLOT = PLOTS / "retrieval.json"
SLICES_PLOT = PLOTS / "slices.json"

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0)]


class TimedOperation(Strict):
    """Median milliseconds of an operation, and how many times the base's median that is: 1 for the base itself."""

    median_ms: Milliseconds
    ratio_to_base: Milliseconds


class Measures(Strict):
    """All of `metrics.json`: numbers alone, so that DVC can subtract those of one release from those of another.

    Attributes:
        retrieval: value of each metric, by corpus; hits: questions with a relevant passage, by corpus and recall.
        questions: how many gold questions were asked, by corpus.
        latency: by corpus and operation.
        checks: how many checks of the decision had each outcome.
    """

    retrieval: dict[str, dict[str, Share]]
    hits: dict[str, dict[str, Count]]
    questions: dict[str, Count]
    latency: dict[str, dict[str, TimedOperation]]
    checks: dict[Outcome, Count]


class MetricPoint(Strict):
    """A bar of `retrieval.json`."""

    metric: str
    value: Share


class SlicePoint(Strict):
    """A bar of `slices.json`: the share of a slice's questions that have a relevant passage in the top 5."""

    slice: str
    questions: Count
    hits: Count
    share: Share


def build_measures(record: Record, role: CandidateName) -> Measures:
    """Return what a decision says of one of its two stores."""
    sides = {corpus: dict(_take_side(record, corpus, role)) for corpus in record.retrieval}
    outcomes = [check.outcome for check in record.checks]
    return Measures(
        retrieval={corpus: {name: side.value for name, side in told.items()} for corpus, told in sides.items()},
        hits={
            corpus: {name: side.hits for name, side in told.items() if side.hits is not None}
            for corpus, told in sides.items()
        },
        questions={corpus: max((side.n for side in told.values()), default=0) for corpus, told in sides.items()},
        latency=_take_latency(record.latency, role) if record.latency else {},
        checks={outcome: outcomes.count(outcome) for outcome in Outcome},
    )


def stage_measures(tree: Path, record: Record | None, role: CandidateName) -> list[PurePosixPath]:
    """Write what was measured of a candidate into a tree, in the place of what was measured of another one.

    Returns:
        The files; none where nothing was judged, as in a drill.
    """
    (tree / METRICS_FILE).unlink(missing_ok=True)
    shutil.rmtree(tree / PLOTS, ignore_errors=True)
    if record is None:
        return []
    write_json(tree / METRICS_FILE, build_measures(record, role).model_dump(mode="json"))
    (tree / PLOTS).mkdir()
    write_json(tree / RETRIEVAL_PLOT, [point.model_dump() for point in _list_metrics(record, role)])
    write_json(tree / SLICES_PLOT, [point.model_dump() for point in _list_slices(record, role)])
    return [METRICS_FILE, RETRIEVAL_PLOT, SLICES_PLOT]


def _take_side(record: Record, corpus: str, role: CandidateName) -> Iterator[tuple[str, SideRecord]]:
    for name, metric in record.retrieval[corpus].items():
        yield name, metric.base if role == "base" else metric.candidate


def _take_latency(latency: LatencyRecord, role: CandidateName) -> dict[str, dict[str, TimedOperation]]:
    taken: dict[str, dict[str, TimedOperation]] = {}
    for corpus, operations in latency.corpora.items():
        for name, rounds in operations.items():
            median = rounds.base_median_ms if role == "base" else rounds.candidate_median_ms
            timed = TimedOperation(median_ms=median, ratio_to_base=median / rounds.base_median_ms)
            taken.setdefault(corpus, {})[name] = timed
    return taken


def _list_metrics(record: Record, role: CandidateName) -> Iterator[MetricPoint]:
    for corpus in record.retrieval:
        for name, side in _take_side(record, corpus, role):
            yield MetricPoint(metric=f"{corpus} {name}", value=side.value)


def _list_slices(record: Record, role: CandidateName) -> Iterator[SlicePoint]:
    for corpus, slices in record.slices.items():
        for found in slices:
            hits = found.base_hits if role == "base" else found.candidate_hits
            name = f"{corpus} {found.field}={found.value}"
            yield SlicePoint(slice=name, questions=found.n, hits=hits, share=hits / found.n)
