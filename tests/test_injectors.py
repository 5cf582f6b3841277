"""What each injector does to a release: this, and nothing beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.files import compute_sha256
from pipeline.store import load_manifest
from tests.releases import CLOCK, HARD, build_small_case, load_small_rulebook
from tests.stores import FILES, find_altered_file, get_path, load_array
from validation import injectors
from validation.comparison import answer_questions, find_slices
from validation.injectors import change_array, change_database, change_manifest, change_passages, spoil_store
from validation.spoiling import flip_bit

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.params import CandidateName
    from validation.comparison import Answers
    from validation.injectors import Spoil
    from validation.release_case import ReleaseCase

ROWS = 120


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> ReleaseCase:
    """A small release of two corpora; read only."""
    return build_small_case(tmp_path_factory.mktemp("release"), load_small_rulebook())


@pytest.fixture
def case(built: ReleaseCase, tmp_path: Path) -> ReleaseCase:
    """That release, with a folder of its own to spoil things in."""
    return replace(built, folder=tmp_path)


def answer(case: ReleaseCase, role: CandidateName = "qlora") -> Answers:
    """Return what a store of the primary corpus answers."""
    store = case.get_store(role)
    return answer_questions(load_array(store, "questions"), load_array(store, "embeddings"), case.primary)


def list_changed(case: ReleaseCase, spoilt: ReleaseCase, role: CandidateName = "qlora", corpus: int = 0) -> set[str]:
    """Return the parts of a store that an injector changed, and `manifest` where it says anything else."""
    old, new = (each.get_store(role, corpus) for each in (case, spoilt))
    parts = {part for part in FILES if get_path(old, part).read_bytes() != get_path(new, part).read_bytes()}
    said = [load_manifest(store).model_dump(exclude={"files"}) for store in (old, new)]
    return parts | ({"manifest"} if said[0] != said[1] else set())


CHANGED: dict[str, tuple[Spoil, set[str]]] = {
    "passages": (change_passages(lambda rows: -rows), {"embeddings", "database"}),
    "matrix": (change_array("embeddings", lambda rows: -rows), {"embeddings"}),
    "questions": (change_array("questions", injectors.permute), {"questions"}),
    "database": (change_database("UPDATE chunks SET page = 9"), {"database"}),
    "manifest": (change_manifest("model_id", "somebody-else"), {"manifest"}),
    "truncated": (injectors.truncate, {"embeddings", "questions", "database"}),
    "base's database": (injectors.take_base_database, {"database"}),
    "base relabelled": (injectors.relabel_base, {"embeddings", "questions", "database"}),
    "second place": (injectors.put_second, {"questions"}),
    "slice": (injectors.collapse_slice, {"questions"}),
    "whisper": (injectors.whisper, {"embeddings", "questions", "database"}),
    "rotated": (injectors.rotate, {"embeddings", "questions", "database"}),
    "prompt": (injectors.blur_questions, {"questions"}),
    "input": (injectors.outdate_input, set()),
    "latency kept": (injectors.keep_latency, {"embeddings", "database"}),
    "leak": (injectors.leak_questions, set()),
    "slow": (injectors.slow_down, set()),
    "expectation": (injectors.drop_expectation, set()),
}


@pytest.mark.parametrize(("spoil", "parts"), CHANGED.values(), ids=CHANGED)
def test_an_injector_changes_its_part_and_signs_it(case: ReleaseCase, spoil: Spoil, parts: set[str]) -> None:
    """The candidate of the primary corpus differs in just these parts, is signed, and everything else is as it was."""
    spoilt = spoil(case)
    store = spoilt.get_store("qlora")

    assert list_changed(case, spoilt) == parts
    assert find_altered_file(store) is None
    assert spoilt.get_store("base") == case.get_store("base")
    assert spoilt.corpora[1] == case.corpora[1]
    assert (store.parent == case.folder) is bool(parts)


def test_another_corpus_is_spoilt_where_it_is_named(case: ReleaseCase) -> None:
    """An injector for the second corpus leaves the first one alone."""
    spoilt = change_array("questions", injectors.permute, corpus=1)(case)

    assert list_changed(case, spoilt, corpus=1) == {"questions"}
    assert spoilt.corpora[0] == case.corpora[0]


def test_a_store_may_be_spoilt_behind_its_manifest_s_back(case: ReleaseCase) -> None:
    """Nothing is signed that the spoiling itself does not sign."""
    store = spoil_store(lambda path: flip_bit(path, "questions"))(case).get_store("qlora")

    assert "questions" in (find_altered_file(store) or "")


def test_the_base_is_altered_in_a_copy(case: ReleaseCase) -> None:
    """One bit of the base's database, in a copy that its manifest does not cover."""
    spoilt = injectors.alter_base(case)
    base = case.get_store("base")

    assert list_changed(case, spoilt, role="base") == {"database"}
    assert find_altered_file(base) is None
    assert spoilt.get_store("qlora") == case.get_store("qlora")


def test_what_is_done_to_rows() -> None:
    """One NaN; a twentieth of the rows equal to the first; every row elsewhere."""
    rows = np.random.default_rng(1).standard_normal((40, 768)).astype(np.float32)
    poisoned, repeated, moved = (
        change(rows.copy()) for change in (injectors.put_nan, injectors.repeat_vectors, injectors.permute)
    )

    assert np.isnan(poisoned).sum() == 1
    assert (repeated == rows[0]).all(axis=1).sum() == 3
    assert not (moved == rows).all(axis=1).any()
    assert sorted(moved.tolist()) == sorted(rows.tolist())


def test_a_relabelled_base_carries_the_candidate_s_name(case: ReleaseCase) -> None:
    """Vectors and questions are the base's, label and provenance in database and manifest the candidate's."""
    spoilt = injectors.relabel_base(case)

    assert list_changed(replace(spoilt, corpora=case.corpora), spoilt, role="base") == set()
    for part in ("embeddings", "questions"):
        base, found = (load_array(spoilt.get_store(role), part) for role in ("base", "qlora"))
        np.testing.assert_array_equal(found, base)
    assert load_manifest(spoilt.get_store("qlora")).model_id == load_manifest(case.get_store("qlora")).model_id


def test_a_whisper_is_heard_in_bytes_only(case: ReleaseCase) -> None:
    """The base's passages with so little noise that next to no answer changes."""
    spoilt = injectors.whisper(case)
    base, found = (load_array(spoilt.get_store(role), "embeddings") for role in ("base", "qlora"))

    assert not (base == found).all(axis=1).any()
    assert (base * found).sum(axis=1).min() > 1 - 1e-6
    assert (answer(spoilt).metrics["recall@5"] != answer(case, "base").metrics["recall@5"]).sum() <= 2


def test_truncated_vectors_end_with_zeros(case: ReleaseCase) -> None:
    """Passages and questions of unit length with nothing beyond 256 dimensions, and still better than the base."""
    spoilt = injectors.truncate(case)
    for array in (load_array(spoilt.get_store("qlora"), part) for part in FILES[:2]):
        assert not array[:, 256:].any()
        assert (array[:, :256] != 0).all()
        np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1, atol=1e-5)
    assert answer(spoilt).ranks.count_hits(5) > answer(case, "base").ranks.count_hits(5)


def test_the_right_passage_comes_second(case: ReleaseCase) -> None:
    """Each question finds another passage first and what answers it directly after."""
    assert answer(injectors.put_second(case)).ranks.ranks[:, 0].tolist() == [2] * ROWS


def test_the_smallest_slice_that_can_collapse_does(case: ReleaseCase) -> None:
    """Of the slices in which the base has hits enough, the one with the fewest questions finds nothing any more."""
    limits = case.rulebook.policy.limits
    hits = answer(case, "base").ranks.find_hits(5)
    sizes = {name: len(places) for name, places in find_slices(case.primary, limits.slice_fields).items()}

    assert hits[HARD].sum() >= limits.collapse_hits
    assert min(sizes, key=lambda name: sizes[name]) == ("difficulty", "hard")
    assert answer(injectors.collapse_slice(case)).ranks.find_hits(5).tolist() == (~HARD).tolist()


def test_a_slice_without_hits_cannot_collapse(case: ReleaseCase) -> None:
    """Where the base finds too little in the smallest slice, a larger one is taken."""
    hits = int(answer(case, "base").ranks.find_hits(5)[HARD].sum())
    limits = case.rulebook.policy.limits.model_copy(update={"collapse_hits": hits + 1})
    policy = case.rulebook.policy.model_copy(update={"limits": limits})
    spoilt = injectors.collapse_slice(replace(case, rulebook=replace(case.rulebook, policy=policy)))

    assert answer(spoilt).ranks.find_hits(5).tolist() == (~CLOCK).tolist()


def test_a_leak_adds_gold_questions(case: ReleaseCase) -> None:
    """Five gold questions join the training questions, which stay."""
    spoilt = injectors.leak_questions(case)
    gold = [question.text for question in case.primary.gold.questions]

    assert spoilt.training.questions == (*case.training.questions, *gold[:5])


def test_a_slow_candidate_takes_twice_the_time(case: ReleaseCase) -> None:
    """Every round of the candidate is doubled on every corpus, and none of the base."""
    spoilt = injectors.slow_down(case)
    for name, measured in case.latency.corpora.items():
        for operation, times in measured.operations.items():
            found = spoilt.latency.corpora[name].operations[operation]

            assert (found.base, found.candidate) == (times.base, [2 * seconds for seconds in times.candidate])


def test_latency_that_is_kept_is_of_other_bytes(case: ReleaseCase) -> None:
    """The vectors change a little, and the evidence that is given is that of the old ones."""
    spoilt = injectors.keep_latency(case)
    latency, measured = spoilt.build_request().latency, load_manifest(case.get_store("qlora")).files.embeddings

    assert latency is case.latency
    assert latency.corpora["fr"].stores.candidate.embeddings == measured.sha256


def test_a_turned_store_answers_as_before(case: ReleaseCase) -> None:
    """Every rank stays, as turning all vectors alike changes no similarity, but no vector is like what it was."""
    spoilt = injectors.rotate(case)
    moved = answer(spoilt).ranks.ranks

    assert (moved == answer(case).ranks.ranks).mean() > 0.99
    for part in FILES[:2]:
        old, new = (load_array(each.get_store("qlora"), part) for each in (case, spoilt))

        assert np.abs((old * new).sum(axis=1)).max() < 0.3
        np.testing.assert_allclose(np.linalg.norm(new, axis=1), 1, atol=1e-5)


def test_another_prompt_moves_questions_a_little(case: ReleaseCase) -> None:
    """Questions lie as far from where they were as a prompt moves them: seen in each, and still the same question."""
    old, new = (load_array(each.get_store("qlora"), "questions") for each in (case, injectors.blur_questions(case)))
    cosines = (old * new).sum(axis=1)

    assert 0.9 < cosines.min() <= cosines.max() < float(case.rulebook.policy.limits.canary_similarity)


def test_an_outdated_input_is_there_with_other_bytes(case: ReleaseCase) -> None:
    """One input that can be read, whose digest is not that of its bytes; nothing on disk is touched."""
    (outdated,) = injectors.outdate_input(case).inputs

    assert outdated.path.is_file()
    assert outdated.sha256 != compute_sha256(outdated.path)
    assert case.inputs == ()


def list_served(suites: Path) -> list[str]:
    """Return the checks that the suites of a folder serve, as often as they do."""
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(suites.glob("*.json"))]
    return [each["meta"]["check"] for document in documents for each in document["expectations"]]


def test_an_expectation_is_dropped_from_a_copy(case: ReleaseCase) -> None:
    """The copy of the suites lacks the one check, and the project's own suites have it."""
    served = list_served(case.rulebook.suites)
    suites = injectors.drop_expectation(case).rulebook.suites

    assert suites.parent == case.folder
    assert [check for check in served if check != "CHK103"] == list_served(suites) != served
    assert list_served(case.rulebook.suites) == served
