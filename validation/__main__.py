"""`python -m validation`: judge embedding stores, certify the gate and explain a decision, from the command line."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from pipeline.commandline import run_app

# In the order in which they are shown, with the module that holds the function of that name.
COMMANDS = {
    "gate": "validation.gate_command",
    "certify": "validation.commands",
    "explain": "validation.commands",
    "keygen": "validation.attesting.commands",
    "attest": "validation.attesting.commands",
    "audit": "validation.auditing.commands",
    "documents": "validation.auditing.commands",
    "schemas": "validation.auditing.commands",
    "summary": "validation.summary",
    "report": "validation.reporting.commands",
    "release": "validation.releasing.commands",
    "fallback": "validation.releasing.commands",
    "drill": "validation.releasing.commands",
    "verify": "validation.releasing.commands",
    "releases": "validation.releasing.commands",
    "custody": "validation.custody",
}


class LazyGroup(TyperGroup):
    """Imports the command that is asked for, and no other."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer asks with it
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - typer asks with it
        """Return a command, or None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name)(getattr(import_module(COMMANDS[cmd_name]), cmd_name))
        return typer.main.get_command(single)


app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, cls=LazyGroup)


@app.callback()
def describe() -> None:
    """Judge embedding stores. Exit codes: 0 RELEASE, 20 KEEP, 30 NOT_EVALUATED, 40 HALT, 2 wrong usage."""


if __name__ == "__main__":
    run_app(app)
