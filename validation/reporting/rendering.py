"""Render the page: one file that asks the network for nothing and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from validation.completion import build_completion
from validation.outcomes import Outcome
from validation.reporting import plots, space_plots, views
from validation.reporting.evidence import Missing
from validation.reporting.quoting import break_names, finalize, mark_code
from validation.reporting.values import describe_limit, describe_observed, tell_exactly
from validation.reporting.wording import PAGE, load_words
from validation.retrieval_record import EXCERPT
from validation.trace import find_stray, find_uncovered, settle_requirements
from validation.typography import (
    format_count,
    format_decimal,
    format_p,
    format_percent,
    format_points,
    format_value,
    set_spaces,
)

if TYPE_CHECKING:
    from validation.document import Record
    from validation.reporting.evidence import ReportEvidence
    from validation.reporting.wording import Words
    from validation.typography import Language

SECTIONS = (
    "recall", "criteria", "slices", "latency", "flips", "spaces", "quality", "trace", "provenance", "completion",
    "digests",
)  # fmt: skip
# Sections that show more than the decision says, so that they differ with the evidence at hand.
OF_EVIDENCE = ("spaces", "provenance")


def render_report(record: Record, decision_sha256: str, evidence: ReportEvidence, language: Language) -> str:
    """Return the page; the same decision and evidence give the same page, byte for byte.

    Args:
        record: the decision.
        decision_sha256: digest of the document's bytes.
        evidence: what is at hand of the stores.
        language: of everything that is not evidence.
    """
    words = load_words(language)
    environment = build_environment(words, language)
    fields = views.list_fields(record, language)
    environment.filters["place"] = lambda flip: views.place_flip(flip, fields, language)
    style, script = ((PAGE / f"report.{kind}").read_text("utf-8") for kind in ("css", "js"))
    context = _describe_decision(record) | {
        "reasons": views.list_reasons(record, words),
        "sections": SECTIONS,
        "sha256": decision_sha256,
        "style": Markup(style),  # noqa: S704 - our own, like the script
        "script": Markup(script),  # noqa: S704
        "policy": build_policy(style, script),
        "fields": fields,
        "evidence": evidence,
        "chains": views.chain_stores(record, evidence, decision_sha256, words, language),
        "plots": draw_plots(record, evidence, words, language),
    }
    return environment.get_template("report.html").render(context)


def build_environment(words: Words, language: Language) -> Environment:
    """Return the templates' environment, in which whatever is printed is cleaned, and escaped unless it is markup."""
    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    formats = {
        "count": format_count, "decimal": format_decimal, "p": format_p, "percent": format_percent,
        "points": format_points, "value": format_value,
    }  # fmt: skip
    environment.filters |= {name: partial(_swap, tell, language) for name, tell in formats.items()}
    environment.filters |= {
        "baseline": lambda name: name.replace("candidate", words["candidate"]),
        "breakable": break_names,
        "code": mark_code,
        "exact": lambda value: Markup(escape(tell_exactly(value))),  # noqa: S704 - escaped; never cut
        "limit": lambda check: describe_limit(check, words, language),
        "observed": lambda check: describe_observed(check, words, language),
        "passed": views.count_passed,
        "passage_state": views.find_passage_state,
        "pick": lambda told: set_spaces(told.fr) if language == "fr" else told.en,
        "tongue": views.find_language,
    }
    environment.globals |= {"w": words, "lang": language, "primary": views.PRIMARY}
    return environment


def _swap(tell: Any, language: Language, value: Any, *options: int) -> str:
    return str(tell(value, language, *options))


def build_policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy: nothing but this style, this script and images in the page itself."""
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    styles, scripts = (f"'sha256-{digest}'" for digest in digests)
    rules = (
        "default-src 'none'",
        f"style-src {styles}",
        f"script-src {scripts}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


def _describe_decision(record: Record) -> dict[str, Any]:
    settled = settle_requirements(record)
    flips = [flip.direction for each in record.flips.values() for flip in each]
    intervals = (told.interval for metrics in record.retrieval.values() for told in metrics.values())
    return {
        "record": record,
        "shown_reasons": views.SHOWN_REASONS,
        "excerpt": EXCERPT,
        "level": next((interval.level for interval in intervals), None),
        "criteria": views.list_criteria(record),
        "ratios": views.list_ratios(record),
        "open_checks": views.list_open(record),
        "quality": views.group_quality(record),
        "matrix": views.group_requirements(record),
        "settled": settled,
        "met": sum(outcome is Outcome.PASS for outcome in settled.values()),
        "uncovered": find_uncovered(record),
        "stray": find_stray(record),
        "gained": flips.count("gained"),
        "lost": flips.count("lost"),
        "numbers": {name: number for number, name in enumerate(record.inputs, 1)},
        "completion": build_completion(record),
    }


def draw_plots(record: Record, evidence: ReportEvidence, words: Words, language: Language) -> dict[str, Any]:
    """Return every plot for which there are figures."""
    criteria, ratios = views.list_criteria(record), views.list_ratios(record)
    spaces = {
        corpus: (number, found)
        for number, (corpus, found) in enumerate(evidence.spaces.items())
        if not isinstance(found, Missing)
    }
    return {
        "metrics": {
            corpus: plots.draw_metrics(
                f"metrics-{number}", corpus, metrics, record.baselines.get(corpus, {}), words, language
            )
            for number, (corpus, metrics) in enumerate(record.retrieval.items())
            if metrics
        },
        "criteria": plots.draw_criteria(criteria, words, language) if criteria else None,
        "ratios": plots.draw_ratios(ratios, words, language) if ratios else None,
        "maps": {
            corpus: space_plots.draw_map(f"map-{number}", corpus, found, words, language)
            for corpus, (number, found) in spaces.items()
        },
        "moves": {
            corpus: space_plots.draw_moves(f"moves-{number}", corpus, found, words, language)
            for corpus, (number, found) in spaces.items()
        },
    }
