"""Clauses of standards, paraphrased, that evidence in a document is mapped to."""

from __future__ import annotations

from validation.auditing.documents import ClauseMapping
from validation.requirements import Wording

# Clause; what is expected there, and what a document holds for it, in French and in English.
_ROWS: dict[str, list[tuple[str, tuple[str, str], tuple[str, str]]]] = {
    "trace-matrix": [
        (
            "ISO/IEC 42001 A.6.2.2",
            (
                "des exigences numérotées et vérifiables, écrites avant le résultat",
                "numbered, testable requirements, written before the result",
            ),
            ("exigences avec leur SHA-256 et leur limite", "requirements with their SHA-256 and their limit"),
        ),
        (
            "ISO/IEC 42001 A.6.2.4",
            (
                "des critères fixés d'avance, les données, n et l'incertitude",
                "criteria fixed beforehand, data, n and uncertainty",
            ),
            (
                "une ligne par contrôle : valeur, limite, n, intervalle, résultat, empreintes",
                "one row a check: value, limit, n, interval, outcome, digests",
            ),
        ),
        (
            "ISO/IEC/IEEE 12207, verification",
            ("ce qui n'a pas été vérifié", "what was not verified"),
            ("les deux listes d'écarts", "both lists of gaps"),
        ),
    ],
    "completion-report": [
        (
            "ISO/IEC/IEEE 29119-3, test completion",
            (
                "neuf rubriques, chacune présente même lorsqu'elle est vide",
                "nine parts, each present even when there is nothing to tell",
            ),
            ("les neuf rubriques, tirées de la décision", "all nine parts, derived from the decision"),
        ),
        (
            "ISO/IEC 42001 A.6.2.4",
            ("les résultats de la vérification", "the results of verification"),
            ("mesures, écarts et risques résiduels", "measures, deviations and residual risks"),
        ),
    ],
    "configuration-audit": [
        (
            "ISO/IEC/IEEE 12207, configuration management",
            (
                "éléments de configuration, références, registre des changements, audit",
                "configuration items, baselines, change record, audit",
            ),
            (
                "empreintes enregistrées et relevées, livraisons, journal",
                "digests on record and found, releases, log",
            ),
        ),
        (
            "ISO/IEC 42001 A.6.2.8",
            (
                "un registre des événements auquel on ne fait qu'ajouter",
                "a record of events that is only ever appended to",
            ),
            ("le journal, chaque ligne liée à la précédente", "the log, each line bound to the one before"),
        ),
        (
            "ISO/IEC 42001 A.6.2.5",
            ("l'approbation d'un déploiement", "the approval of a deployment"),
            ("la décision derrière chaque livraison", "the decision behind every release"),
        ),
    ],
    "data-quality": [
        (
            "ISO/IEC 42001 A.7.4",
            ("une qualité des données mesurée contre des limites", "quality of data measured against limits"),
            ("valeur, limite et résultat par caractéristique", "value, limit and outcome by characteristic"),
        ),
        (
            "ISO/IEC 25012",
            ("les caractéristiques de la qualité des données", "the characteristics of data quality"),
            ("les contrôles rangés par caractéristique", "the checks by characteristic"),
        ),
    ],
    "store-card": [
        (
            "ISO/IEC 42001 A.6.2.7",
            ("une documentation pour ceux qui utilisent le système", "documentation for those who use the system"),
            ("usage prévu, limites et retour à la version de base", "intended use, limits and the way back"),
        ),
        (
            "ISO/IEC 42001 A.6.2.3",
            ("ce que la conception a changé", "what design and development changed"),
            (
                "modèle, consignes, agrégation, parent, réglages et données d'entraînement",
                "model, prompts, pooling, parent, settings and training data",
            ),
        ),
        (
            "ISO/IEC 42001 A.7.5",
            ("la provenance des données", "the provenance of data"),
            (
                "du texte aux vecteurs et à la base vectorielle, par empreinte",
                "from text to vectors and store, by digest",
            ),
        ),
    ],
}


def list_clauses(document: str) -> list[ClauseMapping]:
    """Return the clauses that a kind of document is mapped to."""
    return [
        ClauseMapping(clause=clause, expects=_word(*expects), evidence=_word(*evidence))
        for clause, expects, evidence in _ROWS[document]
    ]


def _word(french: str, english: str) -> Wording:
    return Wording(fr=french, en=english)
