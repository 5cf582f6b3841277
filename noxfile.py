"""Sessions of this project; all share one environment in `.nox/project`, installed again only when a pin changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "typecheck", "tests"]

ROOT = Path(__file__).parent
# One that is there already, as in an image of a container, is used as it is; nothing is installed into it.
READY = os.environ.get("STORE_GATE_ENVIRONMENT")
ENVIRONMENT = Path(READY) if READY else ROOT / ".nox" / "project"
SCRIPTS = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
CONSTRAINTS = ROOT / "constraints.txt"
KEEP = 20
NOT_DONE = 30
HALT = 40
SWEEPS = ("tests/faults/test_sweeps.py", "tests/releasing/test_kills.py", "tests/releasing/test_machine.py")
SPARK = ROOT / ".nox" / "spark"
MUTANTS = ROOT / "build" / "mutants"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def prepare(session: nox.Session, *extras: str) -> dict[str, str]:
    """Create or renew the shared environment and return the variables that commands need to run in it.

    `extras` are dependency groups that only one session needs; they are added when it runs for the first time.
    """
    project = nox.project.load_toml(ROOT / "pyproject.toml")
    python = str(SCRIPTS / "python")
    groups = {"installed": [*project["project"]["dependencies"], *list_group(project, "test", "lint", "typecheck")]}
    groups |= {extra: list_group(project, extra) for extra in extras}
    for name, wanted in {} if READY else groups.items():
        pins = hash_pins(wanted)
        stamp = ENVIRONMENT / f"{name}.sha256"
        if not stamp.is_file() or stamp.read_text("utf-8") != pins:
            if name == "installed":
                session.run(sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT), external=True)
            session.run(python, "-m", "pip", "install", "-q", "-c", str(CONSTRAINTS), *wanted, external=True)
            stamp.write_text(pins, "utf-8")
    return {
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(ENVIRONMENT),
        "DVC_NO_ANALYTICS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def hash_pins(wanted: list[str]) -> str:
    """Return a digest that differs where something else would be installed."""
    return hashlib.sha256("\n".join([sys.version, *wanted, CONSTRAINTS.read_text("utf-8")]).encode()).hexdigest()


def list_group(project: dict[str, Any], *names: str) -> list[str]:
    """Return the requirements of dependency groups."""
    return list(nox.project.dependency_groups(project, *names))


def run_python(session: nox.Session, *arguments: str, success_codes: tuple[int, ...] = (0,), **variables: str) -> None:
    """Run the shared environment's Python from the root of the project, with further environment variables."""
    environment = prepare(session) | variables
    session.chdir(ROOT)
    session.run(str(SCRIPTS / "python"), *arguments, env=environment, external=True, success_codes=list(success_codes))


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """Build what is out of date; with `--pull`, what the DVC remote has is fetched instead."""
    run_python(session, "-m", "dvc", "repro", *session.posargs)


@nox.session(default=False)
def gate(session: nox.Session) -> None:
    """Build, certify and drill what is out of date, then judge the candidate; RELEASE and KEEP both end well."""
    run_python(session, "-m", "dvc", "repro")
    # Whatever stands in the way of certificate and drill, the gate says it in its verdict. Certifying takes two cores.
    run_python(session, "-m", "validation", "certify", success_codes=(0, NOT_DONE), **ONE_THREAD)
    run_python(session, "-m", "validation", "drill", "--if-needed", success_codes=(0, NOT_DONE, HALT))
    run_python(session, "-m", "validation", "gate", *session.posargs, success_codes=(0, KEEP))


@nox.session(default=False)
def certify(session: nox.Session) -> None:
    """Prove the gate on the base stores with spoilt and with indifferent candidates; writes the certificate."""
    run_python(session, "-m", "dvc", "repro")
    run_python(session, "-m", "validation", "certify", *session.posargs, success_codes=(0,), **ONE_THREAD)


@nox.session(default=False)
def drill(session: nox.Session) -> None:
    """Release, fall back and go forward again in a scratch clone with scratch remotes; writes the drill's report."""
    run_python(session, "-m", "validation", "drill", *session.posargs)


@nox.session(default=False)
def summary(session: nox.Session) -> None:
    """Write the last decision down as Markdown, for the step summary and for a comment on a pull request."""
    run_python(session, "-m", "validation", "summary", *session.posargs)


@nox.session(default=False)
def report(session: nox.Session) -> None:
    """Show the last decision: `reports/report.html`, and the same page in English."""
    for language in ("fr", "en"):
        run_python(session, "-m", "validation", "report", "--lang", language, *session.posargs)


@nox.session(default=False)
def audit(session: nox.Session) -> None:
    """Gather, sign and verify what an auditor takes away; `--key PRIVATE` is made by `python -m validation keygen`."""
    run_python(session, "-m", "validation", "audit", *session.posargs)


@nox.session(default=False)
def release(session: nox.Session) -> None:
    """Act upon the last decision: a dry run unless `--execute` is given; RELEASE and KEEP both end well."""
    run_python(session, "-m", "validation", "release", *session.posargs, success_codes=(0, KEEP))


@nox.session(default=False)
def fallback(session: nox.Session) -> None:
    """Serve the base again, or the release that `--to` names; `--push` pushes the commit."""
    run_python(session, "-m", "validation", "fallback", *session.posargs)


@nox.session(default=False)
def verify(session: nox.Session) -> None:
    """Audit a release, by default the one that is served: tag, pointers, objects, decision, events."""
    run_python(session, "-m", "validation", "verify", *session.posargs)


@nox.session(default=False)
def fetch(session: nox.Session) -> None:
    """Fetch the production base model from the hub (asks the network; needs HF_TOKEN and the accepted licence)."""
    run_python(session, "-m", "pipeline.base_model", "--download", "--output", "build/models/base", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format, who keeps which file, and the workflows."""
    run_python(session, "-m", "ruff", "check", ".")
    run_python(session, "-m", "ruff", "format", "--check", ".")
    run_python(session, "-m", "validation", "custody")
    zizmor = (str(SCRIPTS / "zizmor"), "--offline", "--quiet", "--no-progress", "--persona", "pedantic", ".github")
    session.run(*zizmor, env=prepare(session), external=True)


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check types strictly."""
    run_python(session, "-m", "mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after `--` go to pytest."""
    # Files side by side, one process a core: most of the time is spent in Git, DVC and SQLite.
    side_by_side = ("-n", "logical", "--dist", "loadfile", "--no-loadscope-reorder")
    run_python(session, "-m", "pytest", *side_by_side, "--requirements", "reports/tests.json", *session.posargs)


@nox.session(default=False)
def benchmarks(session: nox.Session) -> None:
    """Measure our methods beside their peers, in turn; writes `reports/benchmarks.json` and `reports/benchmarks.md`.

    Arguments after `--` go to pytest: `-k search` measures a part, and the reports then hold that part.
    """
    environment = prepare(session, "bench")
    session.chdir(ROOT)
    (ROOT / "reports").mkdir(exist_ok=True)
    written = ("--benchmark-only", "--benchmark-json=reports/benchmarks.json", "-p", "no:cacheprovider")
    command = (str(SCRIPTS / "python"), "-m", "pytest", "tests/benchmarks", *written, *session.posargs)
    session.run(*command, env=environment, external=True)


@nox.session(default=False)
def faults(session: nox.Session) -> None:
    """Put every fault of the catalogue into a release and print what caught it; writes `reports/fault-matrix.json`."""
    run_python(session, "-m", "tests.faults.matrix", str(ROOT / "reports"))
    # Every call fails, or is the last one, in turn here; the ordinary tests leave out most of the late ones.
    run_python(session, "-m", "pytest", *SWEEPS, "-p", "no:cacheprovider", SWEEP_EVERY="1")


@nox.session(default=False)
def growth(session: nox.Session) -> None:
    """Measure how time and memory grow with rows and questions; `--most-rows 1000000` needs 17 GB and ten minutes."""
    run_python(session, "-m", "tests.growth", "--output", "reports", *session.posargs)


@nox.session(default=False)
def mutate(session: nox.Session) -> None:
    """Change the deciding modules in small ways; of each module's mutants 95 % must fail a test.

    Works in `build/mutants` and writes `reports/mutation.json`. Arguments are patterns such as
    `validation.decision.*`: only those mutants are run and counted.
    """
    environment = prepare(session, "mutate") | ONE_THREAD | {"PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    shutil.rmtree(MUTANTS, ignore_errors=True)  # a verdict is kept there although the tests changed
    MUTANTS.mkdir(parents=True)
    for name in ("pipeline", "validation", "tests", "expectations", "params.yaml", "pyproject.toml"):
        (MUTANTS / name).symlink_to(
            ROOT / name
        )  # copied from there into `mutants/mutants`, and only copies are changed
    session.chdir(MUTANTS)
    session.run(str(SCRIPTS / "mutmut"), "run", "--max-children", "1", *session.posargs, env=environment, external=True)
    report = (str(SCRIPTS / "python"), "-m", "tests.mutation_report", str(ROOT / "reports"), *session.posargs)
    session.run(*report, env=environment, external=True)


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Open sample reports in Debian's chromium: accessibility, keyboard, requests; writes `reports/screenshots/`."""
    environment = prepare(session, "browser")
    if shutil.which("chromium") is None:
        session.error("chromium is missing; on Debian: apt-get install chromium")
    session.chdir(ROOT)
    options = ("-p", "no:cacheprovider", *session.posargs)
    session.run(str(SCRIPTS / "python"), "-m", "pytest", "tests/browser", *options, env=environment, external=True)


@nox.session(default=False)
def spark(session: nox.Session) -> None:
    """Install Spark with a Java runtime beside the environment, and hold `--engine spark` against one process.

    What needs Spark finds it in `.nox/spark` from then on. Arguments after `--` go to pytest.
    """
    environment = prepare(session)
    install_spark(session, environment)
    session.chdir(ROOT)
    options = ("-p", "no:cacheprovider", *session.posargs)
    session.run(str(SCRIPTS / "python"), "-m", "pytest", "tests/spark", *options, env=environment, external=True)


def install_spark(session: nox.Session, environment: dict[str, str]) -> None:
    """Install the group `spark` into a folder of its own: Great Expectations imports Spark wherever it finds it."""
    wanted = list_group(nox.project.load_toml(ROOT / "pyproject.toml"), "spark")
    pins = hash_pins(wanted)
    stamp = SPARK / "installed.sha256"
    if not stamp.is_file() or stamp.read_text("utf-8") != pins:
        shutil.rmtree(SPARK, ignore_errors=True)
        install = ("-m", "pip", "install", "-q", "--no-deps", "--target", str(SPARK), "-c", str(CONSTRAINTS))
        session.run(str(SCRIPTS / "python"), *install, *wanted, env=environment, external=True)
        stamp.write_text(pins, "utf-8")


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Try more than 100,000 spoilt inputs on readers and command lines; writes `reports/fuzz.json`."""
    run_python(session, "-m", "pytest", "tests/fuzz", "-p", "tests.fuzzing", "-p", "no:cacheprovider", *session.posargs)


if __name__ == "__main__":
    nox.main()
