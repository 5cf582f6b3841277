"""The list of releases: what was ever released or tagged, and what has become of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from pipeline.errors import PipelineError
from tests.projects import BASE_TAG, CANDIDATE_TAG, IDENTITY
from tests.releases import MODEL_IDS
from tests.releasing.acts import serve
from tests.releasing.observing import LOG, read_log
from validation.releasing.errors import HaltError
from validation.releasing.events import NewEvent, append_events
from validation.releasing.history import Row, list_releases, render_releases

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.projects import Project

    Change = Callable[[Project], object]

ACTOR = f"{IDENTITY['user.name']} <{IDENTITY['user.email']}>"
# What a terminal would obey, and what rich would take for its own.
HOSTILE = "Ar\x1b[2Jbitre [bold red]x[/] \u202egro.elpmaxe \x9b31m <a@b>"


def list_rows(project: Project) -> list[Row]:
    """Return the releases of a project."""
    return list_releases(project.repository, project.params)


def list_states(project: Project) -> dict[str, str]:
    """Return what has become of each release."""
    return {row.tag: row.state for row in list_rows(project)}


def render(rows: list[Row], width: int = 120) -> str:
    """Return the table as a terminal of that width shows it."""
    console = Console(width=width, color_system="truecolor", force_terminal=True, highlight=False)
    with console.capture() as captured:
        console.print(render_releases(rows))
    return captured.get()


def test_releases_are_told_whole(released_template: Project) -> None:
    """Each release has its tag, model, time and actor from the log, and the commit that its tag names."""
    times = {event["tag"]: event["time"] for event in read_log(released_template) if event["event"] == "released"}
    rows = [
        Row(
            tag=tag,
            model=model,
            time=times[tag],
            actor=ACTOR,
            commit=released_template.git("rev-parse", f"{tag}^{{commit}}")[:12],
            state=state,
        )
        for tag, model, state in (
            (BASE_TAG, MODEL_IDS["base"], "released"),
            (CANDIDATE_TAG, MODEL_IDS["qlora"], "served"),
        )
    ]

    assert list_rows(released_template) == rows


def test_nothing_was_released_yet(fresh: Project) -> None:
    """Before the first release each candidate of params.yaml is listed as one that was not released."""
    assert list_rows(fresh) == [
        Row(tag=tag, model="", time="", actor="", commit="", state="not released") for tag in (BASE_TAG, CANDIDATE_TAG)
    ]


def test_base_alone(based_template: Project) -> None:
    """After KEEP the base is what is served, and the candidate was not released."""
    assert list_states(based_template) == {BASE_TAG: "served", CANDIDATE_TAG: "not released"}


def test_fallback_changes_what_is_served(released: Project) -> None:
    """What is served follows the log: after a fallback it is the base, and the candidate stays a release."""
    before = list_rows(released)
    serve(released)
    after = list_rows(released)

    assert [row.state for row in before] == ["released", "served"]
    assert [row.state for row in after] == ["served", "released"]
    assert [(row.tag, row.time, row.actor, row.commit) for row in after] == [
        (row.tag, row.time, row.actor, row.commit) for row in before
    ]


def add_release(project: Project, tag: str, actor: str = ACTOR) -> None:
    """Let the committed log know one release more, which has no tag."""
    append_events(project.root, actor, "0" * 40, [NewEvent(event="released", tag=tag)])
    project.git("commit", "--quiet", "--message", tag, LOG)


def add_third(project: Project) -> None:
    """Let there be one release more, with its tag."""
    add_release(project, "v1.2-qlora")
    project.git("tag", "v1.2-qlora", CANDIDATE_TAG)


CHANGES: dict[str, tuple[Change, dict[str, str]]] = {
    "tag-gone": (
        lambda project: project.git("tag", "--delete", BASE_TAG), {BASE_TAG: "tag is gone", CANDIDATE_TAG: "served"},
    ),
    "tag-of-what-is-served-gone": (
        lambda project: project.git("tag", "--delete", CANDIDATE_TAG),
        {BASE_TAG: "released", CANDIDATE_TAG: "tag is gone"},
    ),
    "third-release": (
        add_third,
        {BASE_TAG: "released", CANDIDATE_TAG: "released", "v1.2-qlora": "served"},
    ),
    "branch-of-that-name": (
        lambda project: project.git("branch", BASE_TAG), {BASE_TAG: "released", CANDIDATE_TAG: "served"},
    ),
    "tag-that-begins-so": (
        lambda project: project.git("tag", f"{BASE_TAG}-old"), {BASE_TAG: "released", CANDIDATE_TAG: "served"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "states"), CHANGES.values(), ids=CHANGES)
def test_states(released: Project, change: Change, states: dict[str, str]) -> None:
    """A tag that the log knows and Git does not is gone; only a tag is one, whatever has its name."""
    change(released)

    assert list_states(released) == states


@pytest.mark.parametrize("kind", [[], ["--annotate", "--message", "mine"]], ids=["lightweight", "annotated"])
def test_tag_made_by_hand(fresh: Project, kind: list[str]) -> None:
    """A tag of which the log knows nothing was made by hand, whoever made it; nobody is named."""
    fresh.git("tag", *kind, BASE_TAG)
    row = list_rows(fresh)[0]

    assert (row.state, row.model, row.time, row.actor) == ("made by hand", "", "", "")
    assert row.commit == fresh.git("rev-parse", "HEAD")[:12]


def test_list_is_of_what_is_committed(released: Project) -> None:
    """What stands in the log of the working tree alone is nobody's release."""
    append_events(released.root, ACTOR, "0" * 40, [NewEvent(event="released", tag="v2.0-qlora")])

    assert list_states(released) == {BASE_TAG: "released", CANDIDATE_TAG: "served"}


def edit_log(project: Project, edit: Callable[[list[str]], list[str]]) -> None:
    """Commit an edited log."""
    lines = edit((project.root / LOG).read_text("utf-8").splitlines())
    (project.root / LOG).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    project.git("commit", "--quiet", "--message", "edited", LOG)


def test_broken_chain_is_told(released: Project) -> None:
    """A log out of which a line was cut is no list of releases."""
    edit_log(released, lambda lines: lines[1:])

    with pytest.raises(HaltError, match=r"releases\.jsonl:1: does not follow from the line before"):
        list_rows(released)


def test_hostile_tag_in_the_log(released: Project) -> None:
    """A tag in another form than tags have is refused by the reader of the log."""
    edit_log(released, lambda lines: [*lines[:-1], lines[-1].replace(CANDIDATE_TAG, "v1.1-qlora\\u001b[2J")])

    with pytest.raises(PipelineError, match=r"releases\.jsonl:\d+: tag: ") as caught:
        list_rows(released)
    assert "\x1b" not in str(caught.value)


def test_no_repository_is_told(released: Project) -> None:
    """Where Git has nothing to say there is no list."""
    (released.root / ".git").rename(released.folder / "aside")

    with pytest.raises(PipelineError, match="not a git repository"):
        list_rows(released)


def test_hostile_actor_is_shown_as_it_is(released: Project) -> None:
    """Control characters are written out and markup is text, so that no terminal obeys who released."""
    add_release(released, "v2.0-qlora", HOSTILE)
    rows = list_rows(released)

    assert "Ar\\x1b[2Jbitre [bold red]x[/] \\u202egro.elpmaxe \\x9b31m <a@b>" in render(rows, 200)
    for width in (80, 200):
        shown = render(rows, width)
        assert not {"\u202e", "\x9b"} & set(shown)
        assert "\x1b[2J" not in shown


def test_nothing_is_cut(released_template: Project) -> None:
    """In a wide terminal every cell stands whole on its line; a narrow one folds and shows every sign."""
    rows = list_rows(released_template)
    wide = render(rows, 160).splitlines()
    for row in rows:
        line = next(line for line in wide if row.tag in line)
        assert all(cell in line for cell in (row.tag, row.state, row.model, row.time, row.actor, row.commit))
    narrow = render(rows, 80)

    assert all(name in render(rows) for name in ("tag", "state", "model", "released", "by", "commit"))
    assert "…" not in narrow
    assert all(row.commit in narrow for row in rows)
