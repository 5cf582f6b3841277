"""Leaks: training questions that give a gold question away."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

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
    leaks = find_leaks(["Peut-on roquer ?", "Que faire si le drapeau tombe ?"], ["Autre sujet", training])

    assert [(leak.gold, leak.training) for leak in leaks] == [("Que faire si le drapeau tombe ?", training)]
    assert leaks[0].similarity == pytest.approx(similarity, abs=0.1)


@pytest.mark.parametrize(
    ("gold", "training", "is_leak"),
    [("abcdefghij", "abcdefghiz", True), ("abcdefghi", "abcdefghz", False), ("abcdefghij", "zyxwvutsrq", False)],
    ids=["90 percent", "88.9 percent", "nothing in common"],
)
def test_ninety_percent_is_a_near_duplicate(gold: str, training: str, *, is_leak: bool) -> None:
    """The limit itself counts as a leak; one letter in nine does not."""
    assert bool(find_leaks([gold], [training])) == is_leak


@pytest.mark.parametrize(("gold", "training"), [([], ["a"]), (["a"], []), ([], [])], ids=["gold", "training", "both"])
def test_nothing_leaks_out_of_nothing(gold: list[str], training: list[str]) -> None:
    """Without questions on one side there is no leak."""
    assert find_leaks(gold, training) == []


def test_every_pair_is_looked_at() -> None:
    """One training question may give several gold ones away, and the other way round."""
    leaks = find_leaks(["pendule arretee", "pendule arrêtée ?"], ["Pendule arrêtée", "arrêtée, pendule", "nulle"])

    assert len(leaks) == 4


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(letters.filter(lambda text: normalise_question(text) != ""), min_size=1, max_size=6))
def test_a_shuffled_copy_never_escapes(texts: list[str]) -> None:
    """Whatever its words, a gold question among the training questions is found, in capitals and shuffled too."""
    rng = np.random.default_rng(0)
    shuffled = [" ".join(rng.permutation(normalise_question(text).split())).upper() for text in texts]
    leaks = find_leaks(texts, shuffled)

    assert {leak.gold for leak in leaks if leak.similarity == 100} == set(texts)
