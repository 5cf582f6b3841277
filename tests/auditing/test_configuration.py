"""The configuration audit: recorded against present in both directions, releases, and the record of changes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pipeline.files import compute_sha256
from tests.auditing.projects import ACTOR, COMMIT, EVENTS, Audited
from validation.auditing.commands import documents
from validation.auditing.configuration import build_configuration_audit
from validation.auditing.writing import write_documents
from validation.outcomes import Outcome
from validation.releasing.errors import HaltError
from validation.releasing.events import LOG, NewEvent, append_events

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STORE = "build/qlora/fr"
DATABASE = f"{STORE}/corpus_mode_b_fr.db"


def test_untouched_project_passes(template: Audited) -> None:
    """Every recorded file, the answers among them, is found unchanged, and nothing lies beside the stores."""
    audit = build_configuration_audit(template.open())
    record = template.record

    assert audit.outcome is Outcome.PASS
    assert {item.name for item in audit.items} == {*record.inputs, "answers"}
    assert {item.state for item in audit.items} == {"unchanged"}
    assert all(item.found == item.recorded == compute_sha256(template.root / item.path) for item in audit.items)
    assert audit.unrecorded == []


def change(root: Path) -> None:
    """Change the last byte of a database."""
    content = (root / DATABASE).read_bytes()
    (root / DATABASE).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def remove(root: Path) -> None:
    """Remove a database."""
    (root / DATABASE).unlink()


def put_folder(root: Path) -> None:
    """Put a folder where a database was."""
    remove(root)
    (root / DATABASE).mkdir()


@pytest.mark.parametrize(
    ("spoil", "state"),
    [(change, "changed"), (remove, "missing"), (put_folder, "missing")],
    ids=["changed", "removed", "folder"],
)
def test_recorded_file_that_is_not_there_as_it_was(audited: Audited, spoil: Callable[[Path], None], state: str) -> None:
    """A file that was recorded and is changed or missing is told by name, and the audit fails."""
    spoil(audited.root)
    audit = build_configuration_audit(audited.open())

    assert {item.path: item.state for item in audit.items if item.state != "unchanged"} == {DATABASE: state}
    assert audit.outcome is Outcome.FAIL


@pytest.mark.parametrize("kind", ["file", "link", "deep"])
def test_file_that_nothing_records(audited: Audited, kind: str) -> None:
    """A file beside a store, a link, or a file in a folder there, is listed, and the audit fails."""
    name = f"{STORE}/deep/extra.db" if kind == "deep" else f"{STORE}/extra.db-wal"
    (audited.root / name).parent.mkdir(exist_ok=True)
    if kind == "link":
        (audited.root / name).symlink_to("nowhere")
    else:
        (audited.root / name).write_text("-", "utf-8")
    audit = build_configuration_audit(audited.open())

    assert (audit.unrecorded, audit.outcome) == ([name], Outcome.FAIL)


@pytest.mark.parametrize(("lines", "state"), [(6, "continued"), (3, "changed")], ids=["longer", "shorter"])
def test_log_may_grow_and_not_shrink(audited: Audited, lines: int, state: str) -> None:
    """A log with lines after those that were judged is continued; one without some of them was changed."""
    append_events(audited.root, ACTOR, COMMIT, [NewEvent(event="kept", tag="v1.0-base")] * 2)
    text = (audited.root / LOG).read_text("utf-8").splitlines(keepends=True)
    (audited.root / LOG).write_text("".join(text[:lines]), "utf-8")
    audit = build_configuration_audit(audited.open())

    assert {item.name: item.state for item in audit.items}["log"] == state
    assert audit.outcome is (Outcome.PASS if state == "continued" else Outcome.FAIL)
    assert len(audit.changes) == lines


def test_other_files_may_not_grow(audited: Audited) -> None:
    """What is continued is the log alone: a policy with a line more is a changed one."""
    with (audited.root / "expectations" / "policy.yaml").open("a", encoding="utf-8") as stream:
        stream.write("# more\n")

    assert {each.name: each.state for each in build_configuration_audit(audited.open()).items}["policy"] == "changed"


def test_releases_are_baselines_with_their_decision(template: Audited) -> None:
    """Each release has its tag, what it was decided by, who made it, and whether it is served; every event is told."""
    audit = build_configuration_audit(template.open())
    (base,) = audit.baselines

    assert (base.tag, base.state, base.decision_sha256, base.actor) == ("v1.0-base", "served", "a" * 64, ACTOR)
    assert (base.gated_commit, base.release_sha256) == (COMMIT, "b" * 64)
    assert [each.event for each in audit.changes] == [each.event for each in EVENTS]


def test_release_that_is_not_served_any_more(audited: Audited) -> None:
    """After another release the older one is released, and the newer one is served."""
    append_events(audited.root, ACTOR, "d" * 40, [NewEvent(event="released", tag="v1.1-qlora")])
    audit = build_configuration_audit(audited.open())

    assert {each.tag: each.state for each in audit.baselines} == {"v1.0-base": "released", "v1.1-qlora": "served"}
    assert audit.baselines[1].decision_sha256 is None


def test_broken_log_is_not_audited(audited: Audited) -> None:
    """A log from whose middle a line was cut out stops the audit: what was changed cannot be told."""
    lines = (audited.root / LOG).read_text("utf-8").splitlines(keepends=True)
    (audited.root / LOG).write_text("".join(lines[:1] + lines[2:]), "utf-8")

    with pytest.raises(HaltError, match="a line was cut out"):
        build_configuration_audit(audited.open())


@pytest.mark.parametrize(("spoil", "code"), [(None, 0), (remove, 30)], ids=["sound", "store-missing"])
def test_command_writes_even_what_fails(
    audited: Audited, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None] | None, code: int
) -> None:
    """The documents are written in either case; the exit code tells whether everything recorded is there."""
    monkeypatch.setattr("validation.auditing.commands.PROJECT_ROOT", audited.root)
    if spoil:
        spoil(audited.root)

    assert documents(audited.decision, audited.folder / "audit") == code
    assert (audited.folder / "audit" / "configuration-audit.fr.md").is_file()


def test_store_that_is_gone_has_no_card(audited: Audited) -> None:
    """A store without its manifest gets no card; the others do, and the audit says what is missing."""
    shutil.rmtree(audited.root / STORE)
    audit = write_documents(audited.open(), audited.folder / "audit")
    cards = sorted(path.stem for path in (audited.folder / "audit").glob("store-card-*.json"))

    assert cards == ["store-card-base-fr", "store-card-base-intl", "store-card-qlora-intl"]
    assert {item.path.startswith(STORE) for item in audit.items if item.state == "missing"} == {True}
