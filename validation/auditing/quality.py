"""Data quality by the characteristics of ISO/IEC 25012, from the checks that are about the quality of data."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from validation.auditing.clauses import list_clauses
from validation.auditing.documents import DataQuality, QualityGroup, QualityMeasure
from validation.requirements import Characteristic, Wording

if TYPE_CHECKING:
    from validation.auditing.case import Case
    from validation.document import CheckRecord

TITLE = Wording(fr="Qualité des données", en="Data quality")
CHARACTERISTICS: dict[Characteristic, Wording] = {
    "accuracy": Wording(fr="Exactitude", en="Accuracy"),
    "completeness": Wording(fr="Complétude", en="Completeness"),
    "consistency": Wording(fr="Cohérence", en="Consistency"),
    "credibility": Wording(fr="Crédibilité", en="Credibility"),
    "precision": Wording(fr="Précision", en="Precision"),
    "traceability": Wording(fr="Traçabilité", en="Traceability"),
    "recoverability": Wording(fr="Récupérabilité", en="Recoverability"),
}


def build_data_quality(case: Case) -> DataQuality:
    """Return what was measured of each characteristic, those of which nothing was measured included."""
    return DataQuality(
        document="data-quality",
        title=TITLE,
        basis=case.basis,
        evidence_mapped_to=list_clauses("data-quality"),
        groups=[
            QualityGroup(
                characteristic=name,
                title=CHARACTERISTICS[name],
                measures=[_describe(check) for check in case.record.checks if check.characteristic == name],
            )
            for name in get_args(Characteristic)
        ],
    )


def _describe(check: CheckRecord) -> QualityMeasure:
    return QualityMeasure(
        check=check.id,
        title=check.title,
        subject=check.subject,
        observed=check.observed,
        limit=check.limit,
        unit=check.unit,
        n=check.n,
        interval=check.interval,
        outcome=check.outcome,
    )
