"""Run the Great Expectations suites of `expectations/suites/` over the evidence and turn results into checks."""

from __future__ import annotations

import functools
import gc
import hashlib
import os
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import ConfigDict

from pipeline.documents import Strict, load_json
from validation.outcomes import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import ModuleType

    import pandas as pd
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult

    from validation.policy import Limits

SHOWN_VALUES = 3


class SuiteFile(Strict):
    """A suite as Great Expectations stores it; each expectation names the check that it serves."""

    model_config = ConfigDict(extra="forbid")

    name: str
    expectations: list[dict[str, Any]]
    meta: dict[str, Any]


class SuiteRunner(Protocol):
    """Whatever runs a suite over a table, in this process or in another one."""

    def run(self, suite: str, subject: str, frame: pd.DataFrame, parameters: dict[str, Any]) -> list[Check]:
        """Validate a table and return one check for each check id that the suite serves."""
        ...


def import_great_expectations() -> ModuleType:
    """Import Great Expectations, without its analytics.

    The million objects of its import live as long as the process: to look for garbage among them would take a quarter
    of the time.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "module 'sre_", DeprecationWarning)
            return import_module("great_expectations")
    finally:
        if is_collecting:
            gc.enable()


class ExpectationRunner:
    """Runs suites in one ephemeral context, without analytics and progress bars.

    Great Expectations takes seconds to import, so only who runs suites imports it.
    """

    def __init__(self, suites: Path) -> None:
        """Open the context and load every suite of a folder."""
        gx = import_great_expectations()
        from great_expectations.data_context.types.base import ProgressBarsConfig

        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = self._add_source(self._context.data_sources).add_dataframe_asset("table")
        self._tables = asset.add_batch_definition_whole_dataframe("whole")
        paths = sorted(suites.glob("*.json"))
        self._suites = {path.stem: load_json(path, SuiteFile) for path in paths}

    def _add_source(self, sources: Any) -> Any:
        return sources.add_pandas("evidence")

    def run(self, suite: str, subject: str, frame: pd.DataFrame, parameters: dict[str, Any]) -> list[Check]:
        """Validate a table and return one check for each check id that the suite serves.

        A check passes when all its expectations hold; an expectation that raised makes it ERROR.
        """
        from great_expectations.core.expectation_suite import ExpectationSuite

        batch = self._tables.get_batch({"dataframe": frame})
        definition = self._suites[suite].model_dump()
        report = batch.validate(ExpectationSuite(**definition), expectation_parameters=parameters)
        return merge_results(report.results, subject, len(frame))


class RememberingRunner(ExpectationRunner):
    """Runs every suite for real, but not twice over the same table: most spoilt releases differ in one part.

    A table, the suite's file and the parameters are all that a result depends on.
    """

    def __init__(self, suites: Path) -> None:
        """Open the context; nothing is remembered yet."""
        super().__init__(suites)
        self._seen: dict[str, list[Check]] = {}

    def run(self, suite: str, subject: str, frame: pd.DataFrame, parameters: dict[str, Any]) -> list[Check]:
        """See `ExpectationRunner.run`."""
        asked = (suite, subject, parameters, [*frame.dtypes.items()], frame.to_dict("list"))
        key = hashlib.sha256(repr(asked).encode("utf-8", "surrogatepass")).hexdigest()
        if key not in self._seen:
            self._seen[key] = super().run(suite, subject, frame, parameters)
        return list(self._seen[key])


@functools.cache
def open_remembering(suites: Path) -> RememberingRunner:
    """Return the one remembering runner of a folder of suites in this process; the folder is read the first time."""
    return RememberingRunner(suites)


def merge_results(results: Iterable[ExpectationValidationResult], subject: str, rows: int) -> list[Check]:
    """Return one check for each check id that the expectations of a table of `rows` rows serve."""
    by_check: dict[str, list[ExpectationValidationResult]] = {}
    for result in results:
        by_check.setdefault(result.expectation_config.meta["check"], []).append(result)
    return [_merge_check(check, subject, found, rows) for check, found in sorted(by_check.items())]


def list_parameters(limits: Limits, *, rows: int, model_id: str, corpora: Iterable[str]) -> dict[str, Any]:
    """Return the values that suites refer to by `$PARAMETER`."""
    return {
        "total": rows,
        "rows": rows,
        "corpora": list(corpora),
        "dimension": limits.dimension,
        "norm_min": 1 - limits.norm_tolerance,
        "norm_max": 1 + limits.norm_tolerance,
        "distinct_texts_min": float(limits.distinct_texts_min),
        "distinct_vectors_min": float(limits.distinct_vectors_min),
        "dimension_texts": [str(limits.dimension)],
        "total_texts": [str(rows)],
        "model_ids": [model_id],
    }


def _merge_check(check: str, subject: str, results: list[ExpectationValidationResult], rows: int) -> Check:
    message = next((message for result in results if (message := _find_exception(result))), None)
    if message is not None:
        return Check(check, subject, Outcome.ERROR, n=rows, detail=f"the expectation raised: {message}")
    failed = next((result for result in results if not result.success), None)
    shown = failed or results[-1]
    return Check(
        id=check,
        subject=subject,
        outcome=Outcome.FAIL if failed else Outcome.PASS,
        observed=_observe(shown),
        limit=_describe_limit(shown),
        n=rows,
        detail=_explain(failed) if failed else None,
    )


def _find_exception(result: ExpectationValidationResult) -> str | None:
    """Return what an expectation raised: Great Expectations notes it flat, or once for each metric that it needed."""
    info = result.exception_info or {}
    notes = [info, *(note for note in info.values() if isinstance(note, dict))]
    return next((str(note.get("exception_message")) for note in notes if note.get("raised_exception")), None)


def _observe(result: ExpectationValidationResult) -> Any:
    if "observed_value" in result.result:
        value = result.result["observed_value"]
        return value.item() if isinstance(value, np.generic) else value
    return {"unexpected": result.result.get("unexpected_count")}


def _describe_limit(result: ExpectationValidationResult) -> dict[str, Any]:
    kwargs = result.expectation_config.kwargs
    return {name: kwargs[name] for name in sorted(kwargs) if name not in {"batch_id", "column"}}


def _explain(result: ExpectationValidationResult) -> str:
    column = result.expectation_config.kwargs.get("column", "table")
    if "observed_value" in result.result:
        return f"{column}: observed {result.result['observed_value']}"
    rows = result.result.get("partial_unexpected_index_list") or []
    values = result.result.get("partial_unexpected_list") or []
    places = ", ".join(f"row {row}: {value!r}" for row, value in list(zip(rows, values, strict=False))[:SHOWN_VALUES])
    return f"{column}: {result.result.get('unexpected_count')} of {result.result.get('element_count')} rows ({places})"
