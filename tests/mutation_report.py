"""`python -m tests.mutation_report REPORTS [PATTERN…]`: count mutants by fate, list survivors, fail below 95 %."""

from __future__ import annotations

import fnmatch
import subprocess
import sys
from collections import Counter
from pathlib import Path

from pipeline.files import write_json

KILLED = ("killed", "timeout")
SHARE_MIN = 0.95


def run_mutmut(*arguments: str) -> str:
    """Return what mutmut, beside this interpreter, says of the run in the present folder."""
    command = [str(Path(sys.executable).with_name("mutmut")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def read_fates(patterns: list[str]) -> dict[str, str]:
    """Return the fate of every mutant whose name fits one of the patterns."""
    lines = [line.strip() for line in run_mutmut("results", "--all", "true").splitlines() if "__mutmut_" in line]
    fates = dict(line.rsplit(": ", 1) for line in lines)
    return {name: fate for name, fate in fates.items() if any(fnmatch.fnmatchcase(name, each) for each in patterns)}


def summarise(fates: dict[str, str]) -> dict[str, dict[str, float]]:
    """Count the fates of each module's mutants."""
    modules: dict[str, Counter[str]] = {}
    for name, fate in fates.items():
        modules.setdefault(name.split(".x")[0], Counter())[fate] += 1
    return {
        module: {**counts, "mutants": counts.total(), "killed_share": sum(counts[k] for k in KILLED) / counts.total()}
        for module, counts in sorted(modules.items())
    }


def main(reports: str, *patterns: str) -> int:
    """Write `mutation.json` and return 1 when a module's tests let too many mutants live."""
    fates = read_fates(list(patterns) or ["*"])
    survivors = {name: run_mutmut("show", name) for name, fate in sorted(fates.items()) if fate not in KILLED}
    summary = summarise(fates)
    write_json(Path(reports) / "mutation.json", {"modules": summary, "survivors": survivors})
    for text in survivors.values():
        sys.stdout.write(text)
    for module, figures in summary.items():
        sys.stdout.write(f"{module}: {figures}\n")
    return int(not summary or min(figures["killed_share"] for figures in summary.values()) < SHARE_MIN)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
