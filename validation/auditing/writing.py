"""Write every document of an audit, as JSON and as Markdown in both languages, all or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from pipeline.files import replace_folder, write_json
from validation.auditing.cards import build_store_card, list_stores
from validation.auditing.configuration import SOUND, build_configuration_audit
from validation.auditing.documents import ConfigurationAudit
from validation.auditing.places import require_own
from validation.auditing.quality import build_data_quality
from validation.auditing.showing import render_audit_document
from validation.auditing.tracing import build_completion_report, build_trace_matrix
from validation.typography import Language

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from validation.auditing.case import Case
    from validation.auditing.documents import AuditDocument

LANGUAGES: tuple[Language, ...] = get_args(Language)


def build_documents(case: Case) -> Iterator[AuditDocument]:
    """Yield every document; a store whose manifest is not the one that was judged gets no card.

    That it has none is told by the configuration audit, which comes first and fails then.

    Raises:
        InputError, HaltError: a document that was judged is malformed, or the log of releases is broken.
    """
    configuration = build_configuration_audit(case)
    yield configuration
    yield build_trace_matrix(case)
    yield build_completion_report(case)
    yield build_data_quality(case)
    sound = {item.name for item in configuration.items if item.state in SOUND}
    for role, corpus in list_stores(case):
        wanted = {f"{role}/{corpus}/manifest"} | (
            {"training"} & case.record.inputs.keys() if role == "qlora" else set()
        )
        if wanted <= sound:
            yield build_store_card(case, role, corpus)


def write_documents(case: Case, output: Path) -> ConfigurationAudit:
    """Write all documents into a folder, in the place of older ones, and return the configuration audit.

    Raises:
        StoreError: something else than older documents is in the place.
        InputError, HaltError: as `build_documents`; an older folder is then left as it was.
    """
    require_own(output, "configuration-audit.json")
    with replace_folder(output) as partial:
        documents = list(build_documents(case))
        for document in documents:
            write_json(partial / f"{document.document}.json", document.model_dump(mode="json"))
            for language in LANGUAGES:
                text = render_audit_document(document, language)
                (partial / f"{document.document}.{language}.md").write_text(text, encoding="utf-8", newline="\n")
    return next(each for each in documents if isinstance(each, ConfigurationAudit))
