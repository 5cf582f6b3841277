"""`answers.jsonl`: enough to compute every figure of retrieval again without the stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import pytrec_eval

from pipeline.documents import load_jsonl
from pipeline.files import compute_sha256
from tests.releases import (
    Hits,
    build_gate_request,
    judge_release,
    list_requests,
    load_small_rulebook,
    write_release,
)
from validation.answers import ANSWERS, QuestionAnswers, write_answers
from validation.record import build_record

if TYPE_CHECKING:
    from pathlib import Path

    from validation.document import InputRecord, Record
    from validation.gate import CorpusFindings

Judged = tuple["list[CorpusFindings]", "Path", "InputRecord", "Record"]

HITS: Hits = {"fr": (40, 90), "intl": (60, 70)}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """A judged release: what was found, and its answers as they are written and recorded."""
    folder, rulebook = tmp_path_factory.mktemp("release"), load_small_rulebook()
    write_release(folder, HITS)
    request = build_gate_request(list_requests(folder), rulebook)
    judgement = judge_release(request, rulebook)
    answers = write_answers(judgement.findings, folder)
    assert answers is not None
    return judgement.findings, folder / ANSWERS, answers, build_record(judgement, request, rulebook, answers)


def test_the_decision_names_the_answers_by_digest(judged: Judged) -> None:
    """The file is bound to the decision."""
    _, path, _, record = judged

    assert record.answers is not None
    assert record.answers.sha256 == compute_sha256(path)


def test_every_question_of_every_corpus_has_a_line(judged: Judged) -> None:
    """In the order of the gold sets, with ten passages and the passages that answer it."""
    findings, path, _, _ = judged
    lines = load_jsonl(path, QuestionAnswers)
    asked = [(found.corpus.name, question.id) for found in findings for question in found.corpus.gold.questions]

    assert [(line.corpus, line.question) for line in lines] == asked
    assert all(len(side.returned) == 10 for line in lines for side in (line.base, line.candidate))
    assert all(len(side.ranks) == len(line.relevant) for line in lines for side in (line.base, line.candidate))


@pytest.mark.parametrize("side", ["base", "candidate"])
def test_the_figures_follow_from_the_ranks(judged: Judged, side: str) -> None:
    """Recall computed again from the ranks alone, and by trec_eval from the passages, is that of the decision."""
    _, path, _, record = judged
    lines = [line for line in load_jsonl(path, QuestionAnswers) if line.corpus == "fr"]
    answers = {line.question: getattr(line, side) for line in lines}
    counted = [np.mean(np.array(answers[line.question].ranks) <= 5) for line in lines]
    qrels = {line.question: dict.fromkeys(line.relevant, 1) for line in lines}
    runs = {
        question: {name: float(10 - place) for place, name in enumerate(told.returned)}
        for question, told in answers.items()
    }
    peers = pytrec_eval.RelevanceEvaluator(qrels, {"recall.5"}).evaluate(runs)
    expected = getattr(record.retrieval["fr"]["recall@5"], side).value

    assert 0 < expected < 1 or side == "candidate"
    assert np.mean(counted) == pytest.approx(expected, abs=1e-12)
    assert np.mean([each["recall_5"] for each in peers.values()]) == pytest.approx(expected, abs=1e-12)
    assert np.mean([told.metrics["recall@5"] for told in answers.values()]) == pytest.approx(expected, abs=1e-12)


def test_without_a_comparison_no_older_answers_are_left(tmp_path: Path) -> None:
    """Where nothing was compared there is no file, not even that of an earlier judgement."""
    (tmp_path / ANSWERS).write_text("older")

    assert write_answers([], tmp_path) is None
    assert not (tmp_path / ANSWERS).exists()
