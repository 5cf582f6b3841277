"""Training triplets are read line by line and strictly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import InputError
from pipeline.triplets import TRIPLETS, Triplet, load_triplets

if TYPE_CHECKING:
    from pathlib import Path

GOOD = '{"anchor": "Qui roque ?", "positive": "Le roi."}\n'


def test_a_negative_may_be_missing(tmp_path: Path) -> None:
    """A line is a question with the passage that answers it and, where there is one, a passage that does not."""
    path = tmp_path / "triplets.jsonl"
    path.write_text(GOOD + '{"anchor": "Q", "positive": "P", "negative": "N"}\n', encoding="utf-8")

    assert load_triplets(path) == [
        Triplet(anchor="Qui roque ?", positive="Le roi.", negative=None),
        Triplet(anchor="Q", positive="P", negative="N"),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"anchor": "Q"}', "positive: Field required"),
        ('{"positive": "P"}', "anchor: Field required"),
        ('{"anchor": "", "positive": "P"}', "anchor: "),
        ('{"anchor": "Q", "positive": ""}', "positive: "),
        ('{"anchor": "Q", "positive": "P", "negative": ""}', "negative: "),
        ('{"anchor": "Q", "positive": 1}', "positive: expected a valid string, got 1"),
        ('{"anchor": "Q", "positive": "P", "label": 1}', "label: Extra inputs"),
        ('{"anchor": "Q", "anchor": "Q", "positive": "P"}', 'duplicate key "anchor"'),
        ("", "not valid JSON"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    """One bad line refuses the file, by the line's number and the field."""
    path = tmp_path / "triplets.jsonl"
    path.write_text(f"{GOOD}{line}\n", encoding="utf-8")

    with pytest.raises(InputError) as error:
        load_triplets(path)

    assert error.value.where.startswith(f"{path}:2")
    assert said in str(error.value)


def test_the_triplets_of_the_project_are_read() -> None:
    """The file that the project trains on is where it is said to be, and well-formed."""
    assert len(load_triplets(TRIPLETS)) > 100
