"""Batches by token budget: every text once, none above the budget, whatever the lengths."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pipeline.batching import cut_batches

LENGTHS = st.lists(st.integers(1, 600), max_size=60)


@given(lengths=LENGTHS, budget=st.integers(1, 5000), padded=st.booleans())
def test_every_text_is_in_one_batch_that_keeps_to_the_budget(lengths: list[int], budget: int, *, padded: bool) -> None:
    """No place is lost or repeated, and only a text that is alone may take more than the budget."""
    batches = cut_batches(lengths, budget, padded=padded)

    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= budget


@given(lengths=LENGTHS, budget=st.integers(1, 5000), padded=st.booleans())
def test_batches_go_from_long_to_short_and_are_full(lengths: list[int], budget: int, *, padded: bool) -> None:
    """The longest come first, equal ones in order, and no batch had room for the text that begins the next."""
    batches = cut_batches(lengths, budget, padded=padded)

    assert [place for batch in batches for place in batch] == sorted(
        range(len(lengths)), key=lambda place: (-lengths[place], place)
    )
    for batch, following in itertools.pairwise(batches):
        is_full = (len(batch) + 1) * lengths[batch[0]] > budget
        assert is_full or (not padded and lengths[following[0]] != lengths[batch[0]])


@given(lengths=LENGTHS, budget=st.integers(1, 5000))
def test_without_padding_a_batch_has_one_length(lengths: list[int], budget: int) -> None:
    """However much room there is."""
    batches = cut_batches(lengths, budget, padded=False)

    assert all(len({lengths[place] for place in batch}) == 1 for batch in batches)


def test_a_budget_of_one_lets_every_text_go_alone() -> None:
    """However short a text is, no other shares its pass."""
    assert cut_batches([3, 2, 2, 9], 1, padded=True) == [[3], [0], [1], [2]]
