"""`python -m tests.faults.matrix REPORTS`: put in every fault, print what caught it, fail where one was not caught."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.commandline import make_progress
from pipeline.files import write_json
from tests.faults.catalogue import FAULTS, Fault
from tests.faults.content import find_alarms, list_contents
from tests.faults.judging import Observation, observe
from tests.releases import build_small_case, load_small_rulebook, remember_expectations
from validation.expectations import ExpectationRunner
from validation.outcomes import Outcome

MATRIX = "fault-matrix.json"
COLUMNS = ("fault", "what", "expected", "observed", "by", "characteristic")


def describe(fault: Fault, seen: Observation | None) -> dict[str, Any]:
    """Return one row of the matrix; what is covered elsewhere was not observed here."""
    found = seen.find(fault) if seen else None
    row: dict[str, Any] = {
        "fault": fault.id,
        "title": fault.title,
        "group": fault.group,
        "when": fault.when or None,
        "characteristic": fault.characteristic,
        "covered_by": list(fault.covered_by),
        "expected": None,
        "observed": None,
        "caught": None,
    }
    if seen is not None:
        passed = fault.outcome is Outcome.PASS and not seen.findings
        row["expected"] = {"outcome": fault.outcome, "check": fault.check or None, "verdict": fault.verdict}
        row["observed"] = {
            "outcome": found.outcome if found else Outcome.PASS if passed else None,
            "check": found.id if found else None,
            "subject": found.subject if found else None,
            "detail": found.detail if found else None,
            "verdict": seen.verdict,
            "also": sorted({check.id for check in seen.findings} - {fault.check}),
        }
        row["caught"] = seen.catches(fault)
    return row


def run_catalogue() -> list[dict[str, Any]]:
    """Put every fault into a small release and judge it."""
    with remember_expectations(), tempfile.TemporaryDirectory() as folder, make_progress() as progress:
        case = build_small_case(Path(folder), load_small_rulebook())
        faults = progress.track(FAULTS, description="faults")
        return [describe(fault, observe(fault, case) if fault.inject else None) for fault in faults]


def list_alarms() -> list[dict[str, Any]]:
    """Return what is said against stores of random but valid content, a large one among them."""
    rulebook = load_small_rulebook()
    runner = ExpectationRunner(rulebook.suites)
    contents, alarms = list_contents(large=True), []
    with tempfile.TemporaryDirectory() as folder, make_progress() as progress:
        for content in progress.track(contents, description="good stores"):
            found = find_alarms(content, Path(folder, str(content.seed)), rulebook.policy.limits, runner)
            alarms.append({"seed": content.seed, "rows": content.rows, "alarms": [f"{each.key}" for each in found]})
    return alarms


def show(rows: list[dict[str, Any]], console: Console) -> None:
    """Print what was observed, and who covers the others."""
    table = Table(*COLUMNS)
    elsewhere: dict[str, list[str]] = {}
    for row in rows:
        if row["observed"] is None:
            elsewhere.setdefault(", ".join(row["covered_by"]), []).append(row["fault"])
            continue
        expected, seen = row["expected"], row["observed"]
        what = f"{row['title']} ({row['when']} the manifest)" if row["when"] else row["title"]
        cells = [f"{each['outcome']} {each['verdict']}" for each in (expected, seen)]
        by = f"{seen['check'] or ''} {seen['subject'] or ''}".strip()
        table.add_row(row["fault"], what, *cells, by, row["characteristic"], style=None if row["caught"] else "red")
    console.print(table)
    for by, names in elsewhere.items():
        console.print(f"{', '.join(names)}: {by}", soft_wrap=True)


def main(reports: str) -> int:
    """Write `fault-matrix.json`; return 1 when a fault was not caught or a good store was not let through."""
    rows, good = run_catalogue(), list_alarms()
    counts = Counter("elsewhere" if row["caught"] is None else "caught" if row["caught"] else "missed" for row in rows)
    alarms = [store for store in good if store["alarms"]]
    summary = {
        "caught": 0,
        "missed": 0,
        "elsewhere": 0,
        **counts,
        "good_stores": len(good),
        "false_alarms": len(alarms),
    }
    write_json(Path(reports) / MATRIX, {"summary": summary, "faults": rows, "good_stores": good})
    console = Console()
    show(rows, console)
    missed = [row["fault"] for row in rows if row["caught"] is False]
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in summary.items())
    console.print(f"{Path(reports) / MATRIX}: {told}{f'; missed: {missed}' if missed else ''}", soft_wrap=True)
    return int(bool(alarms) or counts["missed"] > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
