"""The leak check: what the candidate was trained on cannot be evidence of what it finds."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import InputError
from tests.conftest import write_sample
from tests.stores import load_sample
from validation.leakage import TrainingEvidence, check_leak, load_training
from validation.outcomes import Check, Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from validation.evidence import CorpusEvidence

pytestmark = pytest.mark.requirement("REQ-TRN-01")

LIMIT = Decimal("0.9")
PAIRS = '{"anchor": "Qui roque ?", "positive": "Le roi."}\n{"anchor": "Qui mate ?", "positive": "La dame."}\n'


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> CorpusEvidence:
    """A corpus whose gold questions read "Que faire, question 0 ?" and so on."""
    return load_sample(write_sample(tmp_path_factory.mktemp("corpus"), rows=6, questions=6))


def make_training(path: Path, *questions: str, declared: str | None = "1" * 64) -> TrainingEvidence:
    """Return evidence of a training on these questions."""
    return TrainingEvidence(path, "1" * 64, questions, declared)


def test_training_is_read_with_its_digests(tmp_path: Path) -> None:
    """Questions, the digest of the pairs and the one that the candidate's record declares are kept side by side."""
    triplets, record = tmp_path / "triplets.jsonl", tmp_path / "training_args.json"
    triplets.write_text(PAIRS, encoding="utf-8")
    record.write_text(json.dumps({"data": {"sha256": "2" * 64, "rows": 2}, "seed": 1}), encoding="utf-8")
    digest = hashlib.sha256(PAIRS.encode()).hexdigest()
    asked = ("Qui roque ?", "Qui mate ?")

    assert load_training(triplets, record) == TrainingEvidence(triplets, digest, asked, "2" * 64)
    assert load_training(triplets, None) == TrainingEvidence(triplets, digest, asked, None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not valid JSON"),
        ("{}", "data: Field required"),
        ('{"data": {}}', "data.sha256: Field required"),
        ('{"data": {"sha256": 7}}', "data.sha256: expected a valid string, got 7"),
        ('{"data": {"sha256": "a", "sha256": "b"}}', 'duplicate key "sha256"'),
    ],
)
def test_a_malformed_record_is_refused(tmp_path: Path, content: str, said: str) -> None:
    """A record of training that does not say what it was trained on is named with the field."""
    triplets, record = tmp_path / "triplets.jsonl", tmp_path / "training_args.json"
    triplets.write_text(PAIRS, encoding="utf-8")
    record.write_text(content, encoding="utf-8")

    with pytest.raises(InputError) as error:
        load_training(triplets, record)

    assert str(error.value).startswith(str(record))
    assert said in str(error.value)


@pytest.mark.parametrize("missing", ["triplets.jsonl", "training_args.json"])
def test_a_missing_file_is_refused(tmp_path: Path, missing: str) -> None:
    """Pairs or record that are not there are no empty training."""
    for name, content in (("triplets.jsonl", PAIRS), ("training_args.json", '{"data": {"sha256": "a"}}')):
        if name != missing:
            (tmp_path / name).write_text(content, encoding="utf-8")

    with pytest.raises(InputError, match=rf"{missing}: expected a file, but it does not exist"):
        load_training(tmp_path / "triplets.jsonl", tmp_path / "training_args.json")


@pytest.mark.parametrize("declared", ["1" * 64, None], ids=["declared", "from elsewhere"])
def test_other_questions_pass(corpus: CorpusEvidence, tmp_path: Path, declared: str | None) -> None:
    """No gold question among the training questions is a PASS that says how many were looked for."""
    training = make_training(tmp_path, "Autre sujet", declared=declared)

    assert check_leak("TRN101", corpus, training, LIMIT) == Check("TRN101", "fr", Outcome.PASS, 0, 0, n=6)


def test_a_passage_as_a_question_is_no_leak(corpus: CorpusEvidence, tmp_path: Path) -> None:
    """Only questions are held against questions, not the text of the corpus."""
    training = make_training(tmp_path, *(chunk.text for chunk in corpus.chunks.chunks))

    assert check_leak("TRN101", corpus, training, LIMIT).outcome is Outcome.PASS


def test_every_leaked_question_counts_once(corpus: CorpusEvidence, tmp_path: Path) -> None:
    """A leak is an ERROR; gold questions are counted, not pairs, and the closest pair is shown."""
    texts = ("que faire : question 1 !", "Que faire question 1", "Que faire, la question 3 ?")
    check = check_leak("TRN101", corpus, make_training(tmp_path, *texts), Decimal("0.96"))

    assert (check.outcome, check.observed, check.limit, check.n) == (Outcome.ERROR, 1, 0, 6)
    assert check.detail == (
        "1 gold questions are given away, such as 'que faire : question 1 !' for 'Que faire, question 1 ?'"
    )


@pytest.mark.parametrize(
    ("similarity", "leaked"), [("1", 0), ("0.9501", 0), ("0.95", 6), ("0.9", 6)], ids=["equal", "above", "at", "below"]
)
def test_the_limit_of_the_policy_decides(corpus: CorpusEvidence, tmp_path: Path, similarity: str, leaked: int) -> None:
    """A question that differs in one sign of twenty is as much of a leak as the policy's share says."""
    check = check_leak("TRN101", corpus, make_training(tmp_path, "Que faire question 7"), Decimal(similarity))

    assert check.observed == leaked
    assert (check.outcome is Outcome.ERROR) is bool(leaked)


def test_missing_pairs_are_an_error(corpus: CorpusEvidence) -> None:
    """Without training pairs nothing is known, and that is no PASS."""
    check = check_leak("TRN101", corpus, None, LIMIT)

    assert (check.outcome, check.detail) == (Outcome.ERROR, "the training pairs were not given")


def test_other_pairs_are_an_error(corpus: CorpusEvidence, tmp_path: Path) -> None:
    """Pairs that the candidate was not trained on say nothing, whatever is or is not in them."""
    check = check_leak("TRN101", corpus, make_training(tmp_path, "Autre", declared="2" * 64), LIMIT)

    assert (check.outcome, check.detail) == (Outcome.ERROR, "the candidate was trained on other pairs")
    assert (check.observed, check.limit) == ("2" * 64, "1" * 64)
