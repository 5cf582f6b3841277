"""What every store card says in words: what the store is for, what it does not tell, and how to go back."""

from __future__ import annotations

from validation.requirements import Wording

TITLE = Wording(fr="Fiche de la base vectorielle", en="Store card of")
USE = [
    Wording(
        fr="Recherche hors ligne de passages dans le corpus nommé ici, pour un arbitre d'échecs qui les lit lui-même.",
        en="Offline search for passages of the corpus named here, for a chess arbiter who reads them.",
    ),
    Wording(
        fr="Les questions sont vectorisées par le même modèle, avec la consigne indiquée ici.",
        en="Questions are embedded by the same model, with the prompt given here.",
    ),
]
LIMITS = [
    Wording(
        fr="Un passage trouvé n'est pas une décision arbitrale ; le texte en vigueur fait foi.",
        en="A passage that is found is no ruling; the text in force decides.",
    ),
    Wording(
        fr="Les mesures valent pour les questions de référence de ce corpus et ne disent rien d'autres textes, langues "
        "ou modèles.",
        en="The measures are of this corpus's gold questions, and say nothing of other texts, languages or models.",
    ),
    Wording(
        fr="Des vecteurs d'un autre modèle, ou sans la consigne, ne sont pas comparables à ceux-ci.",
        en="Vectors of another model, or made without the prompt, cannot be compared with these.",
    ),
]
FALLBACK = [
    Wording(fr="`nox -s fallback` remet la version de base en service.", en="`nox -s fallback` serves the base again."),
    Wording(
        fr="Sans cet outil : `git checkout v1.0-base -- corpus/processed/*.dvc`, puis `dvc checkout`.",
        en="Without this tool: `git checkout v1.0-base -- corpus/processed/*.dvc`, then `dvc checkout`.",
    ),
    Wording(
        fr="`nox -s verify` contrôle ensuite ce qui est servi.",
        en="`nox -s verify` then looks at what is served.",
    ),
]
