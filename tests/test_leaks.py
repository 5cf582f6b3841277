"""Leaks: training questions that give a gold question away."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz

from pipeline.leaks import find_leaks, normalise_question

letters = st.text("abcdeéÀœß '?!-_0", max_size=30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Échec  et mat ?", "echec et mat"),
        ("L’arbitre, l'a-t-il VU…", "l arbitre l a t il vu"),
        ("e\u0301chec", "echec"),
        ("Straße", "strasse"),
        ("snake_case 12", "snake case 12"),
        ("?!", ""),
        ("", ""),
    ],
)
def test_only_letters_and_digits_count(text: str, expected: str) -> None:
    """Case, accents, punctuation and spaces make no difference."""
    assert normalise_question(text) == expected


@settings(max_examples=50, deadline=None)
@given(text=letters)
@example("İ")
def test_normalising_twice_changes_nothing(text: str) -> None:
    """A normalised question is its own normal form."""
    once = normalise_question(text)

    assert normalise_question(once) == once


@pytest.mark.parametrize(
    ("training", "similarity"),
    [
        ("QUE FAIRE SI LE DRAPEAU TOMBE", 100.0),
        ("si le drapeau tombe, que faire ?", 100.0),
        ("Que faire, si le drapeau tombé ?", 100.0),
        ("Que faire si les drapeaux tombent ?", 100 * 2 * 29 / (29 + 33)),
    ],
    ids=["other case", "other order", "other accents", "plural"],
)
def test_a_question_in_other_clothes_is_a_leak(training: str, similarity: float) -> None:
    """Both questions are named as they were written, with their similarity in percent."""
    leaks = find_leaks(["Peut-on roquer ?", "Que faire si le drapeau tombe ?"], ["Autre sujet", training], 90.0)

    assert [(leak.gold, leak.training) for leak in leaks] == [("Que faire si le drapeau tombe ?", training)]
    assert leaks[0].similarity == pytest.approx(similarity, abs=0.1)


@pytest.mark.parametrize(
    ("gold", "training", "threshold", "is_leak"),
    [
        ("abcdefghij", "abcdefghiz", 90.0, True),
        ("abcdefghij", "abcdefghiz", 90.1, False),
        ("abcdefghi", "abcdefghz", 90.0, False),
        ("abcdefghi", "abcdefghz", 88.8, True),
        ("abcdefghij", "abcdefghij", 100.0, True),
        ("abcdefghij", "abcdefghiz", 100.0, False),
        ("abcdefghij", "zyxwvutsrq", 90.0, False),
    ],
    ids=["at", "just below", "8 in 9", "8 in 9 and lower", "equal", "not quite equal", "nothing in common"],
)
def test_the_threshold_itself_is_a_near_duplicate(gold: str, training: str, threshold: float, *, is_leak: bool) -> None:
    """A similarity of as many percent as are asked about counts as a leak, and less does not."""
    assert bool(find_leaks([gold], [training], threshold)) == is_leak


@pytest.mark.parametrize("threshold", [50.0, 70.0, 90.0])
def test_a_higher_threshold_finds_less(threshold: float) -> None:
    """What is found from a threshold on is just what a lower one finds with that similarity."""
    gold, training = ["le roi roque", "la dame prend"], ["le roi roquera", "la dame", "le fou"]
    every = find_leaks(gold, training, 1.0)

    assert find_leaks(gold, training, threshold) == [leak for leak in every if leak.similarity >= threshold]
    assert len({leak.similarity for leak in every}) > 3


@pytest.mark.parametrize(("gold", "training"), [([], ["a"]), (["a"], []), ([], [])], ids=["gold", "training", "both"])
def test_nothing_leaks_out_of_nothing(gold: list[str], training: list[str]) -> None:
    """Without questions on one side there is no leak."""
    assert find_leaks(gold, training, 90.0) == []


def test_every_pair_is_looked_at() -> None:
    """One training question may give several gold ones away, and the other way round."""
    leaks = find_leaks(["pendule arretee", "pendule arrêtée ?"], ["Pendule arrêtée", "arrêtée, pendule", "nulle"], 90.0)

    assert len(leaks) == 4


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(letters.filter(lambda text: normalise_question(text) != ""), min_size=1, max_size=6))
def test_a_shuffled_copy_never_escapes(texts: list[str]) -> None:
    """Whatever its words, a gold question among the training questions is found, in capitals and shuffled too."""
    rng = np.random.default_rng(0)
    shuffled = [" ".join(rng.permutation(normalise_question(text).split())).upper() for text in texts]
    leaks = find_leaks(texts, shuffled, 90.0)

    assert {leak.gold for leak in leaks if leak.similarity == 100} == set(texts)


@settings(max_examples=50, deadline=None)
@given(gold=st.lists(letters, min_size=1, max_size=4), training=st.lists(letters, min_size=1, max_size=4))
@example(gold=["b a"], training=["a  b"])
def test_words_sorted_beforehand_are_as_alike_as_words_sorted_pair_by_pair(
    gold: list[str], training: list[str]
) -> None:
    """Every pair above the threshold is found with the similarity that RapidFuzz gives the two questions."""
    found = [(leak.gold, leak.training, leak.similarity) for leak in find_leaks(gold, training, 40.0)]
    pairs = [(one, other, normalise_question(one), normalise_question(other)) for one in gold for other in training]
    alike = [(one, other, fuzz.token_sort_ratio(a, b, score_cutoff=40.0)) for one, other, a, b in pairs]

    assert found == [(one, other, float(np.float32(ratio))) for one, other, ratio in alike if ratio > 0]
