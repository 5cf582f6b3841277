"""All words of the report: in both languages, each used, none missing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import InputError
from validation.reporting import wording
from validation.reporting.evidence import Gap
from validation.reporting.rendering import SECTIONS
from validation.reporting.wording import PAGE, WORDING, load_words

if TYPE_CHECKING:
    from validation.typography import Language

# Names that templates or code put together.
COMPOSED = {f"s_{name}" for name in SECTIONS} | {"policy_release", "policy_comparison", "lost", "gained", "base"}
COMPOSED |= {"as_stored", "aligned", "is_relevant", "is_not_relevant", "candidate"}
COMPOSED |= {f"step_{name}" for name in ("texts", "model", "vectors", "store", "decision", "tag")}
GROUPS = {"verdicts", "compared", "outcomes", "characteristics", "operations", "states", "gaps"}


def list_used() -> set[str]:
    """Return every word that a template or a module of the report asks for."""
    templates = "".join(path.read_text("utf-8") for path in PAGE.glob("*.html"))
    modules = "".join(path.read_text("utf-8") for path in Path(wording.__file__).parent.glob("*.py"))
    named = re.findall(r'words\["(\w+)"', modules) + re.findall(r'words\["(\w+)" if \w+ else "(\w+)"\]', modules)
    flat = {name for found in named for name in (found if isinstance(found, tuple) else (found,))}
    return {*re.findall(r"\bw\.(\w+)", templates), *flat, *COMPOSED}


@pytest.mark.parametrize("language", ["fr", "en"])
def test_each_word_is_used_and_none_is_missing(language: Language) -> None:
    """What is asked for is there, and what is there is asked for."""
    assert load_words(language).keys() == list_used()


def test_both_languages_have_the_same_blanks() -> None:
    """A sentence is filled with the same figures in either language."""
    french, english = load_words("fr"), load_words("en")
    unlike = [
        name
        for name in french.keys() - GROUPS
        if set(re.findall(r"{\w+}", french[name])) != set(re.findall(r"{\w+}", english[name]))
    ]

    assert unlike == []


def test_every_gap_has_its_words() -> None:
    """Whatever keeps evidence from being shown can be said."""
    assert set(load_words("en")["gaps"]) == {*Gap.__args__}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("old", "new"),
    [("title: {fr: Rapport de décision, en: Decision report}", "title: {fr: Rapport}"), ("  PASS: {fr", "  PAS: {fr")],
    ids=["one language only", "an outcome without words"],
)
def test_incomplete_words_are_refused(old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that lacks a language, or a verdict that lacks a word, is an error and no gap in the page."""
    path = tmp_path / "wording.yaml"
    path.write_text(WORDING.read_text("utf-8").replace(old, new), encoding="utf-8")
    monkeypatch.setattr(wording, "WORDING", path)

    with pytest.raises(InputError):
        load_words("fr")


def test_french_spaces_do_not_break() -> None:
    """Where French sets a space before a sign, no line may end there."""
    words = load_words("fr")

    assert words["recall_caption"] == "Mesures sur «\u00a0{corpus}\u00a0», {n} questions"
    assert " :" not in str(words)
    assert " ;" not in str(words)
