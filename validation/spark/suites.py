r"""Run the Great Expectations suites on its Spark engine, with the outcomes that its pandas engine has.

The suites are the same files. Where the two engines differ, it is mended here: Java's `\s` and `\S` know the white
space of ASCII only, NaN is no null to Spark, and Spark knows no order in which the rows that fail would be named.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pipeline.errors import EngineError
from validation.expectations import ExpectationRunner, merge_results
from validation.spark.tables import PLACE, lay_out_frame

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from pyspark.sql import SparkSession

    from validation.outcomes import Check

# Of rows that fail, so many are looked at for the first ones: all, as long as there are no more.
NAMED_ROWS = 10_000
_RESULT_FORMAT = {
    "result_format": "SUMMARY",
    "partial_unexpected_count": NAMED_ROWS,
    "unexpected_index_column_names": [PLACE],
    "return_unexpected_index_query": False,
}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# Python counts four separators of ASCII as white space, Java's Unicode mode does not.
_CLASSES = {"s": r"[\s\x1c-\x1f]", "S": r"[^\s\x1c-\x1f]", "d": r"\d", "D": r"\D", "n": r"\n", "t": r"\t"}


class SparkRunner(ExpectationRunner):
    """Runs suites over tables of Spark."""

    def __init__(self, session: SparkSession, suites: Path) -> None:
        """Open a context of Great Expectations on a session, with every suite of a folder."""
        super().__init__(suites)
        self._session = session

    def _add_source(self, sources: Any) -> Any:
        return sources.add_spark("evidence")

    def run(self, suite: str, subject: str, frame: pd.DataFrame, parameters: dict[str, Any]) -> list[Check]:
        """See `ExpectationRunner.run`; the table is sent to Spark."""
        from great_expectations.core.expectation_suite import ExpectationSuite

        definition = self._suites[suite].model_dump()
        own = {translate_regex(regex): regex for regex in list_regexes(definition)}
        for expectation in definition["expectations"]:
            if "regex" in expectation["kwargs"]:
                expectation["kwargs"]["regex"] = translate_regex(expectation["kwargs"]["regex"])
        batch = self._tables.get_batch({"dataframe": lay_out_frame(self._session, frame)})
        report = batch.validate(
            ExpectationSuite(**definition), expectation_parameters=parameters, result_format=_RESULT_FORMAT
        )
        self._session.catalog.clearCache()  # Great Expectations keeps each table in memory
        for result in report.results:
            restore_result(result, frame, own)
        return merge_results(report.results, subject, len(frame))


def list_regexes(definition: dict[str, Any]) -> list[str]:
    """Return the regular expressions of a suite."""
    return [each["kwargs"]["regex"] for each in definition["expectations"] if "regex" in each["kwargs"]]


def translate_regex(regex: str) -> str:
    r"""Return a regular expression of Python as one of Java, with `\s` and `\d` that know all of Unicode.

    Raises:
        EngineError: there is another class in it, such as `\w`, which Java reads in another way.
    """
    return f"(?U){_ESCAPED.sub(_translate_class, regex)}"


def _translate_class(escaped: re.Match[str]) -> str:
    known = _CLASSES.get(escaped[1], None if escaped[1].isalnum() else escaped[0])
    if known is None:
        raise EngineError(escaped[0], "means another thing to Spark", "name the characters, or leave out --engine")
    return known


def restore_result(result: ExpectationValidationResult, frame: pd.DataFrame, own: dict[str, str]) -> None:
    """Let a result of Spark read like one of pandas: its own regular expression, and failing rows from the first on."""
    kwargs = result.expectation_config.kwargs
    if "unexpected_count" in result.result:
        result.result["unexpected_count"] = result.result["unexpected_count"] or 0  # of no rows Spark counts null
    if "regex" in kwargs:
        kwargs["regex"] = own[kwargs["regex"]]
    if named := result.result.get("partial_unexpected_index_list"):
        rows = sorted(each[PLACE] for each in named)
        result.result["partial_unexpected_index_list"] = rows
        result.result["partial_unexpected_list"] = frame[kwargs["column"]].iloc[rows].tolist()
