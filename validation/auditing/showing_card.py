"""Which tables a store card consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validation.auditing.sheets import NOTHING, Row, Sheet, show
from validation.markdown import Html, tell
from validation.requirements import Wording
from validation.typography import format_count, format_percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validation.auditing.documents import StoreCard, Training
    from validation.typography import Language

FIELD = Wording(fr="champ", en="field")
VALUE = Wording(fr="valeur", en="value")
SHA256 = Wording(fr="SHA-256", en="SHA-256")


def list_card_sheets(card: StoreCard, language: Language) -> Iterator[Sheet]:
    """Return the tables of a store card, what it is for first."""
    yield _list_words(Wording(fr="Usage prévu", en="Intended use"), card.intended_use)
    yield _list_words(Wording(fr="Limites", en="Limits"), card.limits)
    yield _show_measures(card, language)
    yield _show_model(card)
    if card.training:
        yield _show_training(card.training, language)
    yield _show_content(card, language)
    files = [[each.part, each.path, _count(each.size, language), each.sha256] for each in card.files]
    size = Wording(fr="octets", en="bytes")
    columns = (Wording(fr="partie", en="part"), Wording(fr="fichier", en="file"), size, SHA256)
    yield Sheet(Wording(fr="Fichiers", en="Files"), columns, files)
    yield _list_words(Wording(fr="Retour à la version de base", en="How to fall back"), card.fallback)


def _list_words(title: Wording, words: list[Wording]) -> Sheet:
    return Sheet(title, (Wording(fr="à savoir", en="to know"),), [[each] for each in words])


def _show_measures(card: StoreCard, language: Language) -> Sheet:
    rows = [
        [each.metric, Html(format_percent(each.value, language)), show(each.hits, language), _count(each.n, language)]
        for each in card.measured
    ]
    columns = (
        Wording(fr="mesure", en="metric"),
        VALUE,
        Wording(fr="questions satisfaites", en="questions hit"),
        Wording(fr="n", en="n"),
    )
    return Sheet(Wording(fr="Mesures de cette base vectorielle", en="Measured of this store"), columns, rows)


def _show_model(card: StoreCard) -> Sheet:
    rows: list[Row] = [
        [Wording(fr="modèle", en="model"), card.model_id],
        [Wording(fr="révision", en="revision"), card.revision or NOTHING],
        [Wording(fr="poids, SHA-256", en="weights, SHA-256"), card.weights_sha256 or NOTHING],
        [Wording(fr="consigne des passages", en="prompt of passages"), card.document_prompt or NOTHING],
        [Wording(fr="consigne des questions", en="prompt of questions"), card.question_prompt or NOTHING],
        [Wording(fr="agrégation", en="pooling"), card.pooling or NOTHING],
    ]
    return Sheet(Wording(fr="Modèle", en="Model"), (FIELD, VALUE), rows)


def _show_training(training: Training, language: Language) -> Sheet:
    rows: list[Row] = [
        [Wording(fr="parent", en="parent"), tell(training.parent.model_id, training.parent.revision or "")],
        [Wording(fr="parent, SHA-256 des poids", en="parent, SHA-256 of weights"), training.parent.weights_sha256],
        [Wording(fr="paires d'entraînement", en="training pairs"), _count(training.triplets, language)],
        [Wording(fr="leur fichier", en="their file"), training.triplets_file or NOTHING],
        [Wording(fr="leur SHA-256", en="their SHA-256"), training.triplets_sha256],
        *((name, str(value)) for name, value in training.settings.items()),
        *training.method.items(),
        *training.libraries.items(),
        [Wording(fr="registre", en="record"), tell(training.record.path, training.record.sha256)],
    ]
    return Sheet(Wording(fr="Entraînement", en="Training"), (FIELD, VALUE), rows)


def _show_content(card: StoreCard, language: Language) -> Sheet:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in card.outcomes.items() if count)
    rows: list[Row] = [
        [Wording(fr="corpus", en="corpus"), card.corpus],
        [Wording(fr="texte", en="text"), tell(card.chunks.path, card.chunks.sha256)],
        [Wording(fr="lignes", en="rows"), _count(card.rows, language)],
        [Wording(fr="dimension", en="dimension"), _count(card.dimension, language)],
        [Wording(fr="type de nombre", en="number type"), card.dtype],
        [Wording(fr="manifeste", en="manifest"), tell(card.manifest.path, card.manifest.sha256)],
        [Wording(fr="contrôles de cette base", en="checks of this store"), Html(outcomes or "–")],
    ]
    return Sheet(Wording(fr="Contenu", en="Content"), (FIELD, VALUE), rows)


def _count(number: int, language: Language) -> Html:
    return Html(format_count(number, language))
