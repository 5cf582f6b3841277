"""Cut texts into batches by the tokens that a forward pass takes, padding included."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def cut_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return the places of all texts in batches, the longest first, those of equal length in order.

    A batch is padded to its longest text: texts × longest is at most the budget. A text that is longer than the budget
    is a batch of its own, so a budget of 1 lets every text go alone.

    Args:
        lengths: tokens of each text.
        budget: tokens of a forward pass.
    """
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        # Sorted: what a batch was begun with is its longest.
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= budget:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches
