"""The suites say on Spark what they say on pandas: every check, whatever is wrong, with the same words and types."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import EngineError
from tests.conftest import SMALL_ROWS, Sample
from tests.stores import build_request, edit_database, get_path, open_store, replace_array
from tests.test_expectations import (
    CHUNK_SABOTAGES,
    DATABASE_SABOTAGES,
    ODD_ARRAYS,
    VECTOR_SABOTAGES,
    with_chunk,
)
from validation.expectations import list_parameters
from validation.frames import build_database_frame, build_metadata_frame
from validation.outcomes import Outcome
from validation.policy import EXPECTATIONS, load_rulebook
from validation.spark.suites import translate_regex
from validation.spark.tables import lay_out_frame
from validation.stores import check_corpus, check_store

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt
    from pyspark.sql import SparkSession

    from tests.test_expectations import Change
    from validation.engine import Engine
    from validation.evidence import CorpusEvidence
    from validation.outcomes import Check

LIMITS = load_rulebook(EXPECTATIONS / "policy.yaml").policy.limits


@pytest.fixture
def compare(
    engines: tuple[Engine, Engine], compared: Counter[str]
) -> Callable[[Callable[[Engine], list[Check]]], set[str]]:
    """Return a function that lets both engines check, requires the same, and returns the ids that did not pass."""

    def run(check: Callable[[Engine], list[Check]]) -> set[str]:
        local, distributed = (check(engine) for engine in engines)

        assert [repr(each) for each in distributed] == [repr(each) for each in local]
        assert json.dumps([each.observed for each in distributed]) == json.dumps([each.observed for each in local])

        compared["checks of suites"] += len(local)
        return {each.id for each in local if each.outcome is not Outcome.PASS}

    return run


def look(store: Path, small: Sample, *suites: str) -> Callable[[Engine], list[Check]]:
    """Return a function that runs suites over a store."""
    evidence, _ = open_store(store, small)
    parameters = list_parameters(LIMITS, rows=SMALL_ROWS, model_id="base-model", corpora=["fr"])

    def run(engine: Engine) -> list[Check]:
        tables = {
            "vectors": lambda: engine.sum_up(evidence.passages, get_path(store, "embeddings")),
            "database": lambda: build_database_frame(evidence),
            "metadata": lambda: build_metadata_frame(evidence),
        }
        return [check for suite in suites for check in engine.runner.run(suite, suite, tables[suite](), parameters)]

    return run


def test_a_good_store_passes_alike(store: Path, small: Sample, compare: Any) -> None:
    """Every check of a good store passes, with the same observations."""
    evidence, corpus = open_store(store, small)
    request = build_request(small, store, store)

    assert compare(lambda engine: check_store(evidence, corpus, request, LIMITS, engine)) == set()


@pytest.mark.parametrize(("change", "expected"), VECTOR_SABOTAGES.values(), ids=VECTOR_SABOTAGES)
def test_spoilt_vectors_fail_alike(
    store: Path, small: Sample, compare: Any, change: Change, expected: set[str]
) -> None:
    """A matrix built wrong fails on both engines for the same reason."""
    replace_array(store, "embeddings", change(np.load(get_path(store, "embeddings"))))

    assert compare(look(store, small, "vectors")) == expected


@pytest.mark.parametrize("array", ODD_ARRAYS.values(), ids=ODD_ARRAYS)
def test_what_is_no_matrix_fails_alike(store: Path, small: Sample, compare: Any, array: npt.NDArray[Any]) -> None:
    """Whatever array a store holds, both engines say the same of it."""
    replace_array(store, "embeddings", array)

    failed = compare(look(store, small, "vectors", "database"))

    assert failed & {"VEC101", "VEC102", "VEC103"}
    assert "STO204" in failed


def name_suite(check: str) -> str:
    """Return the suite of a database that a check belongs to."""
    return "database" if check < "STO205" else "metadata"


# Of several that differ in nothing that an engine sees, one is run: each takes seconds.
SAME = ("other source", "other page", "other tokens", "empty text", "schema in short", "other total", "other dimension")
DATABASES = {name: sabotage for name, sabotage in DATABASE_SABOTAGES.items() if name not in SAME}


@pytest.mark.parametrize(("statement", "expected"), DATABASES.values(), ids=DATABASES)
def test_a_spoilt_database_fails_alike(store: Path, small: Sample, compare: Any, statement: str, expected: str) -> None:
    """Ranges of rows are compared as the whole is, and rows that fail are named from the first on."""
    edit_database(store, statement)

    assert compare(look(store, small, name_suite(expected))) == {expected}


SHIFTED = "UPDATE chunks SET rowid = 100 WHERE rowid = 1"
BYTES = "UPDATE metadata SET value = CAST(value AS BLOB) WHERE key = 'schema_version'"
EXTRA = "INSERT INTO chunks SELECT 'x' || id, text, source, page, tokens, metadata, embedding FROM chunks"
STATEMENTS = {
    "shifted": (SHIFTED, {"STO202"}),
    "value as bytes": (BYTES, {"STO205"}),
    "rows too many": (EXTRA, {"STO201"}),
}


@pytest.mark.parametrize(("statement", "expected"), STATEMENTS.values(), ids=STATEMENTS)
def test_what_crosses_parts_fails_alike(
    store: Path, small: Sample, compare: Any, statement: str, expected: set[str]
) -> None:
    """Rows in another order, more rows than chunks, and what is no text are told as by one process."""
    edit_database(store, statement)

    assert compare(look(store, small, "database", "metadata")) >= expected


@pytest.mark.parametrize(("change", "expected"), CHUNK_SABOTAGES.values(), ids=CHUNK_SABOTAGES)
def test_a_spoilt_corpus_fails_alike(
    store: Path, small: Sample, compare: Any, change: Callable[[CorpusEvidence], CorpusEvidence], expected: str
) -> None:
    """Texts that are not what they should be fail on both engines for the same reason."""
    corpus = change(open_store(store, small)[1])

    assert compare(lambda engine: check_corpus(corpus, LIMITS, engine.runner)) == {expected}


BLANKS = {"no-break space": "\u00a0\u2003", "separators": "\x1c\x1f\x85", "ideographic space": "\u3000"}


@pytest.mark.parametrize("text", BLANKS.values(), ids=BLANKS)
def test_blank_is_what_python_calls_blank(store: Path, small: Sample, compare: Any, text: str) -> None:
    """A text of white space beyond ASCII is blank on both engines; Java alone would let it pass."""
    corpus = with_chunk(open_store(store, small)[1], text=text)

    assert compare(lambda engine: check_corpus(corpus, LIMITS, engine.runner)) == {"CHK103"}


def test_further_fields_of_chunks_do_no_harm(store: Path, small: Sample, compare: Any) -> None:
    """Fields of any name and type travel along, though no type of Spark holds them."""
    further = {"Id": 1, "a.b": None, "list": [1, "x"], "big": 2**80, "mixed": 1.5, "`": {"x": float("inf")}}
    corpus = with_chunk(open_store(store, small)[1], **further)

    assert compare(lambda engine: check_corpus(corpus, LIMITS, engine.runner)) == set()


@pytest.mark.parametrize("regex", [r"\S", r"\s", r"\d", r"[^\s.]", r"\.\\|\s"], ids=str)
def test_a_regular_expression_means_the_same_to_java(spark: SparkSession, compared: Counter[str], regex: str) -> None:
    """Of every character of Unicode's first plane, Spark says what Python says."""
    signs = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    table = lay_out_frame(spark, pd.DataFrame({"sign": signs}))
    found = [row[0] for row in table.select(table["sign"].rlike(translate_regex(regex))).collect()]
    differing = [sign for sign, is_found in zip(signs, found, strict=True) if is_found != bool(re.search(regex, sign))]
    compared["characters by regular expression"] += len(signs)

    assert len(differing) == 0, (len(differing), [hex(ord(sign)) for sign in differing[:20]])


@pytest.mark.parametrize("regex", [r"\w", r"a\b", r"\Z"], ids=str)
def test_what_java_reads_otherwise_is_refused(regex: str) -> None:
    """A class of characters that is another one to Java is not guessed at."""
    with pytest.raises(EngineError, match="means another thing to Spark; name the characters"):
        translate_regex(regex)
