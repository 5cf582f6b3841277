"""Cut texts into batches by the tokens that a forward pass takes, padding included."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def cut_batches(lengths: Sequence[int], budget: int, *, padded: bool) -> list[list[int]]:
    """Return the places of all texts in batches, the longest first, those of equal length in order.

    Texts × longest of a batch is at most the budget; a text that is longer than the budget goes alone.

    Args:
        lengths: tokens of each text.
        budget: tokens of a forward pass, padding included.
        padded: whether texts of several lengths may share a batch, of which the shorter ones are padded.
    """
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        # Sorted: what a batch was begun with is its longest.
        longest = lengths[batches[-1][0]] if batches else 0
        may_join = padded or lengths[place] == longest
        if batches and may_join and (len(batches[-1]) + 1) * longest <= budget:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches
