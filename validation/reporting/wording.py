"""All words of the report, in one file, by language."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import model_validator

from pipeline.documents import Strict, load_yaml
from validation.outcomes import Outcome, Verdict
from validation.requirements import Characteristic, Wording
from validation.typography import set_spaces

if TYPE_CHECKING:
    from validation.typography import Language

PAGE = Path(__file__).parent / "page"
WORDING = PAGE / "wording.yaml"


class VerdictWords(Strict):
    """A verdict in words: its name, what it means and what happens next."""

    name: Wording
    means: Wording
    next: Wording


class WordingFile(Strict):
    """All of `wording.yaml`; a word that exists in one language only is refused."""

    verdicts: dict[str, VerdictWords]
    compared: dict[str, VerdictWords]
    outcomes: dict[str, Wording]
    characteristics: dict[str, Wording]
    operations: dict[str, Wording]
    states: dict[str, Wording]
    gaps: dict[str, Wording]
    phrases: dict[str, Wording]

    @model_validator(mode="after")
    def _check_complete(self) -> WordingFile:
        needed = ((self.verdicts, Verdict), (self.outcomes, Outcome), (self.characteristics, get_args(Characteristic)))
        for told, names in needed:
            if {*told} != {str(name) for name in names}:
                message = f"expected words for {sorted(map(str, names))}, got {sorted(told)}"
                raise ValueError(message)
        return self


Words = dict[str, Any]


def load_words(language: Language) -> Words:
    """Return phrases by name, and the words of each closed set as a dictionary of its own.

    Raises:
        InputError: the file is malformed, or a word is missing.
    """
    told = load_yaml(WORDING, WordingFile).model_dump()
    phrases = told.pop("phrases")
    return {name: _pick(part, language) for name, part in {**told, **phrases}.items()}


def _pick(part: dict[str, Any], language: Language) -> Any:
    if part.keys() == Wording.model_fields.keys():
        return set_spaces(part["fr"]) if language == "fr" else part["en"]
    return {name: _pick(each, language) for name, each in part.items()}
