"""`python -m tests.growth`: measure every part at every size, each in a process of its own, and write the report."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commandline import run_command
from pipeline.files import replace_file, write_json
from tests.benchmarks import worker
from tests.benchmarks.race import open_workers
from tests.benchmarks.tables import describe_machine
from tests.growth.report import Measurement, draw_growth, render_table
from tests.growth.workload import write_workload

ROWS = (2_000, 20_000, 200_000, 1_000_000)
QUESTIONS = (328, 1_000, 10_000, 100_000)
# In this order: each finds what those before it have written.
BY_ROWS: tuple[str, ...] = ("write", "check_vectors", "read_text", "export", "adopt", "look", "search")
THREADS = 2


def grow(
    output: Annotated[Path, typer.Option(help="Where growth.json, growth.md, growth.svg and growth.png go.")],
    most_rows: Annotated[int, typer.Option(help="Sizes above this are left out.")] = 200_000,
    most_questions: Annotated[int, typer.Option(help="Numbers of questions above this are left out.")] = 100_000,
    scratch: Annotated[Path | None, typer.Option(help="A folder with room; a million rows need 17 GB.")] = None,
) -> None:
    """Measure time and memory against rows and against questions."""
    sizes: list[tuple[int, int, tuple[str, ...]]] = [(ROWS[0], QUESTIONS[0], (*BY_ROWS, "judge"))]
    sizes += [(rows, QUESTIONS[0], BY_ROWS) for rows in ROWS[1:] if rows <= most_rows]
    for asked in QUESTIONS[1:]:
        if asked <= most_questions:
            # A large gold set asks for many passages: clusters of questions, which are what is drawn, grow as well.
            sizes += [(ROWS[0], asked, ("search",)), (max(ROWS[0], asked), asked, ("judge",))]
    found: list[Measurement] = []
    for rows, questions, parts in sizes:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            work = write_workload(Path(folder), rows, questions)
            if parts == ("search",):
                measure("write", work.folder)
            for part in parts:
                taken = measure(part, work.folder)
                size = sum(path.stat().st_size for path in work.folder.rglob("*") if path.is_file())
                found.append(Measurement(part, rows, questions, *taken, disk_mb=size / 1e6))
                typer.echo(f"{part}: {rows} rows, {questions} questions, {taken[0]:.3g} s, {taken[2]:.0f} MB")
                if part == "export":
                    (work.folder / "export.db").unlink()
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "growth.json", {"machine": describe_machine(), "measured": [asdict(each) for each in found]})
    with replace_file(output / "growth.md") as partial:
        partial.write_text(render_table(found), encoding="utf-8")
    draw_growth(found, output / "growth.svg")
    draw_growth(found, output / "growth.png")


def measure(part: str, folder: Path) -> tuple[float, float, float, float]:
    """Run one part in a fresh process.

    Returns:
        Seconds by the clock and of the processor, the most anonymous and the most resident memory in MB.
    """
    with open_workers({part: ""}, THREADS) as workers:
        trial = workers[part].submit(worker.try_method, f"tests.growth.parts:{part}", folder).result()
        return *trial.answer, trial.anonymous_mb, workers[part].submit(worker.read_peak).result()


if __name__ == "__main__":
    run_command(grow)
