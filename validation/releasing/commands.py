"""The commands of releasing: `release`, `fallback`, `drill`, `verify` and `releases`."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipeline.files import write_json
from pipeline.params import PROJECT_ROOT, REPORTS, load_params
from validation.attesting.commands import tell_verified
from validation.record import DECISION
from validation.releasing.audit import audit
from validation.releasing.content import get_tag
from validation.releasing.drill import drill as walk_back
from validation.releasing.drill import still_holds
from validation.releasing.fallback import fall_back
from validation.releasing.history import list_releases, render_releases
from validation.releasing.receipt import RECEIPT
from validation.releasing.release import Order
from validation.releasing.release import release as act_upon
from validation.releasing.repository import Repository
from validation.releasing.tracking import LOCAL_CACHE, list_sources
from validation.render import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def telling(what: str) -> Iterator[Callable[[str], None]]:
    """Show on standard error what is being done, where that is a terminal."""
    with Console(stderr=True).status(what) as status:
        yield lambda step: status.update(quote(step))


def release(
    decision: Annotated[Path, typer.Option(help="The decision to act upon.")] = REPORTS / DECISION,
    decision_sha256: Annotated[str | None, typer.Option(help="Its SHA-256, where that was passed on apart.")] = None,
    *,
    execute: Annotated[
        bool, typer.Option("--execute", help="Do it; without this, only say what would be done.")
    ] = False,
) -> int:
    """Act upon a decision: tag the candidate on RELEASE, keep the base on KEEP.

    The base becomes the first release. Commit and tags are pushed together, after their objects were put on the DVC
    remote, fetched back and hashed. Nothing is ever moved or overwritten; a second run changes nothing.
    """
    with telling("release") as announce:
        order = Order(load_params(), decision, decision_sha256, announce)
        verdict, plan = act_upon(Repository(PROJECT_ROOT), order, execute=execute)
    prefix = "" if execute or not plan.drafts else "would "
    for step in plan.steps:
        typer.echo(f"{prefix}{step}")
    if prefix:
        typer.echo("nothing was changed; `--execute` does it")
    return verdict.exit_code


def fallback(
    to: Annotated[str | None, typer.Option(help="Tag to serve; default: that of the base.")] = None,
    *,
    push: Annotated[bool, typer.Option("--push", help="Push the commit to the Git remote as well.")] = False,
) -> None:
    """Serve the base again, or another release: staged apart, verified, switched once, verified again."""
    base = get_tag(load_params(), "base")
    with telling("fallback"):
        done = fall_back(Repository(PROJECT_ROOT), base if to is None else to, base, push=push)
    for note in done.notes:
        typer.echo(note)
    typer.echo(f"{done.tag} is served" if done.changed else f"{done.tag} is served already; nothing was changed")


def drill(
    output: Annotated[Path, typer.Option(help="Folder of the report.")] = REPORTS,
    *,
    if_needed: Annotated[
        bool, typer.Option("--if-needed", help="Do nothing where the report of these stores still holds.")
    ] = False,
) -> None:
    """Walk the way back in a scratch clone with scratch remotes: release, fall back, go forward; hash, ask, time it.

    Writes rollback-drill.json, without which nothing is released.
    """
    params, path = load_params(), output / RECEIPT
    if if_needed and still_holds(path, PROJECT_ROOT, params):
        typer.echo(f"{path}: still holds")
        return
    path.unlink(missing_ok=True)  # an older one must not vouch for a way that does not lead back today
    with telling("drill") as announce, tempfile.TemporaryDirectory() as folder:
        receipt = walk_back(PROJECT_ROOT, params, Path(folder), announce)
    write_json(path, receipt.model_dump(mode="json"))
    for step in receipt.steps:
        asked = ", ".join(f"{each.hits}/{each.questions} on {name}" for name, each in step.answers.items())
        typer.echo(f"{step.act:<18} {step.tag:<12} {step.seconds:6.1f} s  {step.files} files hashed, hits {asked}")
    typer.echo(path)


def verify(
    tag: Annotated[str | None, typer.Argument(help="Tag to audit; default: the release that is served.")] = None,
    *,
    fetch: Annotated[
        bool,
        typer.Option("--fetch", help="Take objects from the DVC remote too, as in a clone that has only the pointers."),
    ] = False,
    attestation: Annotated[Path | None, typer.Option(help="Verify this attestation.json instead of a tag.")] = None,
    key: Annotated[Path | None, typer.Option(help="Public key that is trusted.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where the attested files lie; default: this project.")] = None,
    policy: Annotated[Path | None, typer.Option(help="Policy that must have been applied; default: ours.")] = None,
    log: Annotated[Path | None, typer.Option(help="Log of releases; default: models/releases.jsonl.")] = None,
) -> None:
    """Audit a release offline: where its tag points, pointers, objects, decision, events, and what is served.

    With --attestation and --key, the signature on a decision is verified instead, and that the files at hand are the
    ones that were judged: offline, and with the public key alone.
    """
    trusted = (key, folder, policy, log)
    if attestation and (tag or fetch):
        message = "--attestation goes with --key, --folder, --policy and --log, without a tag or --fetch"
        raise typer.BadParameter(message)
    if attestation:
        tell_verified(attestation, *trusted)
        return
    if any(trusted):
        message = "--key, --folder, --policy and --log go with --attestation"
        raise typer.BadParameter(message)
    sources = list_sources(PROJECT_ROOT) if fetch else [LOCAL_CACHE]
    with telling("verify"):
        findings = audit(Repository(PROJECT_ROOT), tag, get_tag(load_params(), "base"), sources)
    for finding in findings:
        typer.echo(f"{finding.what:<12} {finding.found}")


def releases() -> None:
    """List every release, when and by whom it was made, and its state."""
    Console().print(render_releases(list_releases(Repository(PROJECT_ROOT), load_params())))
