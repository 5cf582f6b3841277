"""What each section of the page is made of, gathered out of the decision."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from pipeline.store import Manifest
from validation.decision import describe_reason, describe_release
from validation.outcomes import Outcome
from validation.reporting.evidence import list_stores
from validation.requirements import Characteristic
from validation.trace import list_checks
from validation.typography import format_count, format_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validation.document import CheckRecord, FlipRecord, Record
    from validation.reporting.evidence import Missing, ReportEvidence
    from validation.reporting.wording import Words
    from validation.typography import Language

RATIO = "ratio of medians"
PRIMARY = "recall@5"
SHOWN_REASONS = 8
_LANGUAGE = re.compile(r"[a-z]{2}")


@dataclass(frozen=True, slots=True)
class Link:
    """One link of a store's chain from texts to tag.

    Attributes:
        step: the word for it; label: what is named there.
        digest: its SHA-256 where it has one; same: whether manifest and decision agree on it, None where one is silent.
    """

    step: str
    label: str
    digest: str | None = None
    same: bool | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of a decision.

    Attributes:
        text: as the decision gives it, in English.
        check: the check whose outcome it tells; told: the same in the page's words. Both None where it is neither.
    """

    text: str
    check: CheckRecord | None = None
    told: str | None = None


def list_reasons(record: Record, words: Words) -> list[Reason]:
    """Return a decision's reasons; those that checks give are led back to them, so that the page can use its words."""
    causes = {describe_reason(check.id, check.subject, check.outcome, check.detail): check for check in record.checks}
    waived = Counter(check.outcome for check in record.checks)[Outcome.WAIVED]
    figures = {"passed": count_passed(record.checks), "waived": waived}
    told = {describe_release(**figures): words["reason_waived" if waived else "reason_passed"].format(**figures)}
    return [Reason(text, causes.get(text), told.get(text)) for text in record.reasons]


def list_criteria(record: Record) -> list[CheckRecord]:
    """Return the checks that an interval of paired differences decides."""
    return [check for check in record.checks if check.explanation and check.interval]


def list_ratios(record: Record) -> list[CheckRecord]:
    """Return the checks of a ratio of times that was measured."""
    return [check for check in record.checks if check.unit == RATIO and _is_number(check.observed, check.limit)]


def _is_number(*values: object) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def list_open(record: Record) -> list[CheckRecord]:
    """Return the checks that do not pass, the consequences of another one last."""
    found = [check for check in record.checks if check.outcome is not Outcome.PASS]
    return sorted(found, key=lambda check: check.blocked_by is not None)


def count_passed(checks: list[CheckRecord]) -> int:
    """Return how many checks pass."""
    return Counter(check.outcome for check in checks)[Outcome.PASS]


def group_quality(record: Record) -> dict[str, list[CheckRecord]]:
    """Return the checks of the data by characteristic of ISO/IEC 25012, in its order; empty ones are left out."""
    groups = {
        name: [check for check in record.checks if check.characteristic == name] for name in get_args(Characteristic)
    }
    return {name: checks for name, checks in groups.items() if checks}


def group_requirements(record: Record) -> dict[str, list[CheckRecord]]:
    """Return the checks of every requirement."""
    return {name: list_checks(record, name) for name in record.requirements}


def list_fields(record: Record, language: Language) -> dict[str, list[str]]:
    """Return the values of every metadata field of the flips, sorted, by which they can be filtered."""
    fields: dict[str, set[str]] = {}
    for flips in record.flips.values():
        for flip in flips:
            for field, value in flip.metadata.items():
                fields.setdefault(field, set()).add(format_value(value, language))
    return {field: sorted(values) for field, values in sorted(fields.items())}


def place_flip(flip: FlipRecord, fields: dict[str, list[str]], language: Language) -> dict[str, int]:
    """Return the place of a flip's value in each field, by the field's place: no text of it becomes a name."""
    return {
        str(number): fields[field].index(format_value(flip.metadata[field], language))
        for number, field in enumerate(fields)
        if field in flip.metadata
    }


def find_language(corpus: str) -> str:
    """Return the language of a corpus that is named after it, or nothing where that is unknown."""
    return corpus if _LANGUAGE.fullmatch(corpus) else ""


def find_passage_state(returned: str, relevant: list[str]) -> str:
    """Return the word for whether a passage is one that answers the question."""
    return "is_relevant" if returned in relevant else "is_not_relevant"


def chain_stores(
    record: Record, evidence: ReportEvidence, decision_sha256: str, words: Words, language: Language
) -> dict[str, list[Link] | Missing]:
    """Return the chain of each store, or why its manifest does not show it."""
    chains: dict[str, list[Link] | Missing] = {}
    for store in list_stores(record):
        manifest = evidence.manifests[store]
        if isinstance(manifest, Manifest):
            chains[store] = list(_chain(record, store, manifest, decision_sha256, words, language))
        else:
            chains[store] = manifest
    return chains


def _chain(
    record: Record, store: str, manifest: Manifest, decision_sha256: str, words: Words, language: Language
) -> Iterator[Link]:
    corpus, files, model = store.split("/")[1], manifest.files, manifest.model

    def compare(name: str, digest: str) -> bool | None:
        return record.inputs[name].sha256 == digest if name in record.inputs else None

    chunks = manifest.chunks_sha256
    counted = words["passages"].format(n=format_count(manifest.total, language))
    yield Link("step_texts", f"{corpus}, {counted}", chunks, compare(f"{corpus}/chunks", chunks))
    yield Link("step_model", manifest.model_id, model.weights_sha256 if model else None)
    for step, part, found in (("vectors", "embeddings", files.embeddings), ("store", "database", files.database)):
        yield Link(f"step_{step}", found.name, found.sha256, compare(f"{store}/{part}", found.sha256))
    yield Link("step_decision", record.decision.value, decision_sha256)
    releases = record.decision.value == "RELEASE" and not store.startswith("base/") and record.policy == "release"
    yield Link("step_tag", words["tag_release" if releases else "tag_none"])
