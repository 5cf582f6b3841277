"""Sessions of this project; all share one environment in `.nox/project`, installed again only when a pin changes."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "typecheck", "tests"]

ROOT = Path(__file__).parent
ENVIRONMENT = ROOT / ".nox" / "project"
SCRIPTS = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
CONSTRAINTS = ROOT / "constraints.txt"
KEEP = 20


def prepare(session: nox.Session) -> dict[str, str]:
    """Create or renew the shared environment and return the variables that commands need to run in it."""
    project = nox.project.load_toml(ROOT / "pyproject.toml")
    wanted = [*project["project"]["dependencies"], *nox.project.dependency_groups(project, "test", "lint", "typecheck")]
    pins = hashlib.sha256("\n".join([sys.version, *wanted, CONSTRAINTS.read_text("utf-8")]).encode()).hexdigest()
    stamp = ENVIRONMENT / "installed.sha256"
    if not stamp.is_file() or stamp.read_text("utf-8") != pins:
        session.run(sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT), external=True)
        python = str(SCRIPTS / "python")
        session.run(python, "-m", "pip", "install", "-q", "-c", str(CONSTRAINTS), *wanted, external=True)
        stamp.write_text(pins, "utf-8")
    return {
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(ENVIRONMENT),
        "DVC_NO_ANALYTICS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def run_python(session: nox.Session, *arguments: str, success_codes: tuple[int, ...] = (0,)) -> None:
    """Run the shared environment's Python from the root of the project."""
    environment = prepare(session)
    session.chdir(ROOT)
    session.run(str(SCRIPTS / "python"), *arguments, env=environment, external=True, success_codes=list(success_codes))


@nox.session(default=False)
def gate(session: nox.Session) -> None:
    """Build what is out of date, then judge the candidate; RELEASE and KEEP both end well."""
    run_python(session, "-m", "dvc", "repro")
    run_python(session, "-m", "validation", "gate", *session.posargs, success_codes=(0, KEEP))


@nox.session(default=False)
def fetch(session: nox.Session) -> None:
    """Fetch the production base model from the hub (asks the network; needs HF_TOKEN and the accepted licence)."""
    run_python(session, "-m", "pipeline.base_model", "--download", "--output", "build/models/base", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    run_python(session, "-m", "ruff", "check", ".")
    run_python(session, "-m", "ruff", "format", "--check", ".")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check types strictly."""
    run_python(session, "-m", "mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after `--` go to pytest."""
    run_python(session, "-m", "pytest", *session.posargs)


if __name__ == "__main__":
    nox.main()
