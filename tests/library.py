"""A tiny library of Markdown sources with questions beside them, in a project folder of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline.params import Corpus

if TYPE_CHECKING:
    from pathlib import Path

PARAGRAPHS = {
    "Le roque": "Le roi et la tour bougent ensemble. Le roi se déplace de deux cases vers la tour choisie.",
    "La pendule": "Chaque camp presse sa pendule de la main qui a joué. L'autre main ne sert à rien ici.",
    "Le drapeau": "Quand le drapeau tombe, le joueur a épuisé son temps. L'arbitre le constate aussitôt.",
    "La nulle": "Une nulle se propose après avoir joué son coup. L'adversaire accepte ou joue à son tour.",
}
TITLES = {"a-jeu": "Le jeu", "b-temps": "Le temps"}


def write_library(root: Path, name: str = "fr") -> Corpus:
    """Write two sources of two sections each, with a gold and a training question for each; return the corpus."""
    folder = root / "corpus" / "sources" / name
    folder.mkdir(parents=True)
    sections = list(PARAGRAPHS.items())
    for (stem, title), part in zip(TITLES.items(), (sections[:2], sections[2:]), strict=True):
        body = "".join(f"\n## {heading}\n\n{text}\n" for heading, text in part)
        (folder / f"{stem}.md").write_text(f"# {title}\n{body}", encoding="utf-8")
        write_questions(folder / f"{stem}.gold.jsonl", [make_question(f"Or : {h} ?", text) for h, text in part])
        train = [make_question(f"Exercice sur le roi, la main, son temps : {h} ?", text) for h, text in part]
        write_questions(folder / f"{stem}.train.jsonl", train)
    return Corpus(name=name, language="fr", total=4, duplicates_max=0.0, role="primary")


def make_question(asked: str, text: str, **changes: Any) -> dict[str, Any]:
    """Return a source question that quotes the first words of a text."""
    row = {
        "question": asked,
        "quotes": [" ".join(text.split()[:5])],
        "category": "laws",
        "difficulty": "easy",
        "question_type": "factual",
    }
    return row | changes


def write_questions(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write source questions as JSON Lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
