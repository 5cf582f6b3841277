"""What the decision document says of retrieval, held against vectors and judgements themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.conftest import build_sample_store, write_sample
from tests.releases import build_latency, load_small_rulebook, remember_expectations
from tests.stores import build_request, flip_bit, get_path, replace_array
from validation.comparison import compute_flip_p
from validation.gate import CorpusFindings, GateRequest, judge
from validation.outcomes import Outcome
from validation.retrieval_record import EXCERPT, RetrievalDescription, describe_comparison

if TYPE_CHECKING:
    from pathlib import Path

    from validation.comparison import Comparison
    from validation.policy import Rulebook

from datetime import date

ROWS = 120
LONG = "Un très long article. " * 20
METRICS = ("recall@1", "recall@5", "recall@10", "recall@100", "mrr@10", "ndcg@10")
# Questions that base and candidate answer: 0 to 39 are lost, 60 to 99 gained.
ANSWERED = {"base": range(60), "candidate": range(40, 100)}


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    """The rules of the project, with few draws."""
    return load_small_rulebook()


def compare(folder: Path, rulebook: Rulebook, *, questions: int = ROWS, spoilt: bool = False) -> CorpusFindings:
    """Write two stores that answer different questions, one passage being long, and judge them."""
    sample = write_sample(folder / "corpus", rows=ROWS, questions=questions)
    document = json.loads(sample.chunks.read_text(encoding="utf-8"))
    document["chunks"][0]["text"] = LONG
    sample.chunks.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    stores = []
    for seed, (name, answered) in enumerate(ANSWERED.items()):
        store = build_sample_store(sample, folder / name, model_id=name, hits=questions, seed=seed)
        array = np.load(get_path(store, "questions"))
        array[[place for place in range(questions) if place not in answered]] *= -1
        replace_array(store, "questions", array)
        stores.append(store)
    request = build_request(sample, stores[0], stores[1])
    latency = build_latency([request])
    if spoilt:
        flip_bit(stores[1], "embeddings")
    whole = GateRequest([request], latency, None, None, None, None, {}, for_release=False, as_of=date(2026, 1, 25))
    with remember_expectations():
        rules = rulebook.policy.comparison
        say = partial(describe_comparison, rulebook.policy, rules)
        return judge(whole, rulebook, rules, lambda _: None, describe=say).findings[0]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, rulebook: Rulebook) -> CorpusFindings:
    """What the gate found on that pair."""
    return compare(tmp_path_factory.mktemp("pair"), rulebook)


@pytest.fixture(scope="module")
def comparison(found: CorpusFindings) -> Comparison:
    """The comparison that was made."""
    assert found.compared is not None

    return found.compared[0]


@pytest.fixture(scope="module")
def described(found: CorpusFindings, rulebook: Rulebook) -> RetrievalDescription:
    """What is recorded of it: worked out while the gate judges, and the same as afterwards."""
    assert found.description == describe(found, rulebook)

    return found.description


def describe(found: CorpusFindings, rulebook: Rulebook, *, primary: bool = True) -> RetrievalDescription:
    """Describe what was found, as if the corpus were the primary one or not."""
    assert found.compared is not None

    policy, request = rulebook.policy, replace(found.request, primary=primary)
    rules = policy.comparison if primary else policy.release
    return describe_comparison(policy, rules, request, found.stores["base"], found.compared)


def test_every_metric_is_told_for_both_stores(described: RetrievalDescription, comparison: Comparison) -> None:
    """Values, hits as whole numbers, difference, interval and sign-flip p are those that were compared."""
    flip_p = compute_flip_p(comparison)

    assert tuple(described.metrics) == METRICS
    for name, metric in described.metrics.items():
        assert (metric.base.n, metric.candidate.n) == (ROWS, ROWS)
        assert (metric.interval, metric.flip_p) == (comparison.intervals[name], flip_p[name])
        assert metric.difference == pytest.approx(metric.candidate.value - metric.base.value)
        if name.startswith("recall"):
            assert metric.base.value == pytest.approx((metric.base.hits or 0) / ROWS)
        else:
            assert (metric.base.hits, metric.candidate.hits) == (None, None)


@pytest.mark.parametrize(("metric", "hits"), [("recall@1", 60), ("recall@5", 60), ("recall@10", 60)])
def test_hits_are_the_questions_that_were_made_to_hit(described: RetrievalDescription, metric: str, hits: int) -> None:
    """Base and candidate answer as many questions as they were built to."""
    found = described.metrics[metric]

    assert (found.base.hits, found.candidate.hits) == (hits, hits)


def test_flips_are_the_questions_that_only_one_store_answers(
    described: RetrievalDescription, found: CorpusFindings
) -> None:
    """Lost questions come first, then the gained ones, each in the order of the gold set, with what was returned."""
    lost, gained = range(40), range(60, 100)
    chunks = found.corpus.chunks.chunks
    scores = {
        name: np.load(get_path(store.folder, "questions")) @ np.load(get_path(store.folder, "embeddings")).T
        for name, store in (("base", found.stores["base"]), ("candidate", found.stores["qlora"]))
    }

    assert [(flip.question, flip.direction) for flip in described.flips] == [
        *((f"q{place}", "lost") for place in lost), *((f"q{place}", "gained") for place in gained),
    ]  # fmt: skip
    for flip, place in zip(described.flips, [*lost, *gained], strict=True):
        assert flip.text == f"Que faire, question {place} ?"
        assert flip.metadata == {"category": "laws"}
        assert flip.relevant == [chunks[place].id]
        for name, answer in (("base", flip.base), ("candidate", flip.candidate)):
            row = scores[name][place]
            first = chunks[int(row.argmax())]

            assert answer.rank == 1 + int((np.delete(row, place) >= row[place]).sum())
            assert (answer.returned, answer.section) == (first.id, first.section)
            assert answer.excerpt == first.text[:EXCERPT]


def test_a_long_passage_is_cut(described: RetrievalDescription) -> None:
    """The beginning of a passage is enough to know it again."""
    assert described.flips[0].base.excerpt == LONG[:EXCERPT]
    assert len(LONG) > EXCERPT


def test_lexical_systems_stand_beside_both_stores(described: RetrievalDescription) -> None:
    """BM25 alone and fused with each store are told by every metric, the store that answers more in front."""
    assert list(described.baselines) == ["BM25", "BM25 + base", "BM25 + candidate"]
    for values in described.baselines.values():
        assert tuple(values) == METRICS
        assert all(0 <= value <= 1 for value in values.values())


def test_every_criterion_is_explained(described: RetrievalDescription, rulebook: Rulebook) -> None:
    """Each criterion of the corpus has an explanation with the p-value of its own metric."""
    criteria = rulebook.policy.comparison.primary
    expected = {(each.check, "fr"): described.metrics[each.metric].flip_p for each in criteria}

    assert {key: explanation.flip_p for key, explanation in described.explanations.items()} == expected
    assert {explanation.disagreement for explanation in described.explanations.values()} == {80 / ROWS}


def test_a_secondary_corpus_is_explained_by_its_own_criterion(found: CorpusFindings, rulebook: Rulebook) -> None:
    """Where a corpus is not the primary one, only what is asked of it is explained."""
    assert list(describe(found, rulebook, primary=False).explanations) == [("RET306", "fr")]


def test_slices_are_those_that_were_judged(described: RetrievalDescription, found: CorpusFindings) -> None:
    """The slices that the checks rest on are recorded as they are."""
    assert found.compared is not None
    assert described.slices == found.compared[1]
    assert [(each.field, each.value, each.n) for each in described.slices] == [("category", "laws", ROWS)]


def test_nothing_is_described_where_nothing_was_compared(tmp_path: Path, rulebook: Rulebook) -> None:
    """A store that cannot be trusted leaves no retrieval behind."""
    spoilt = compare(tmp_path, rulebook, spoilt=True)

    assert spoilt.compared is None
    assert spoilt.description is None


@pytest.mark.parametrize(("questions", "explained"), [(99, False), (100, True)])
def test_too_few_questions_are_not_explained(
    tmp_path: Path, rulebook: Rulebook, questions: int, *, explained: bool
) -> None:
    """Below the policy's minimum the figures inform, but no number of hits is said to help."""
    few = compare(tmp_path, rulebook, questions=questions)
    description = describe(few, rulebook)
    outcomes = {check.outcome for check in few.executed if check.id.startswith("RET30") and check.interval}

    assert bool(description.explanations) is explained
    assert (outcomes == {Outcome.ERROR}) is not explained
    assert description.metrics["recall@5"].base.n == questions
