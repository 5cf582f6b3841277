"""The audit: what it says of good tags, and which evidence of a bad one it does not accept."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.files import compute_sha256
from tests.projects import BASE_TAG, CANDIDATE_TAG, run_dvc, take_snapshot
from tests.releasing.acts import (
    DATABASE,
    ERROR,
    HALT,
    VECTORS,
    act_upon,
    audit_tag,
    edit_release,
    expect_refusal,
    make_again,
    serve,
)
from validation.releasing.drafting import EVIDENCE
from validation.releasing.events import LOG
from validation.releasing.release_file import RELEASE_FILE, SERVED, load_release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.projects import Project
    from validation.outcomes import Verdict

pytestmark = pytest.mark.requirement("REQ-TAG-01", "REQ-VER-01")


# Good tags


def test_audit_says_what_it_looked_at(released: Project) -> None:
    """Of the release that is served every part is named, of the other one all but what is served; nothing changes."""
    before = take_snapshot(released)
    candidate = {each.what: each.found for each in audit_tag(released)}
    base = {each.what: each.found for each in audit_tag(released, BASE_TAG)}
    release, head = load_release(released.root), released.git("rev-parse", "HEAD")[:12]
    size = sum((released.root / file.path).stat().st_size for file in release.files)

    assert candidate == {
        "event chain": "6 events, unbroken",
        "tag": f"{CANDIDATE_TAG} is annotated and names {head}, where it was released",
        "pointers": "5, as in release.json",
        "objects": f"{len(release.files)} files, {size:,} bytes, SHA-256 equal",
        "model": "embedded-gemma-chess-fr",
        "commit": f"judged at {release.gated_commit[:12]}, and released without another change",
        "decision": f"RELEASE by {str(release.decision_sha256)[:12]}…, 164 checks",
        "served": f"{SERVED} is {CANDIDATE_TAG}",
    }
    assert (set(candidate) - set(base), base["model"]) == ({"served"}, "embedded-gemma-lsa")
    assert take_snapshot(released) == before


def test_a_kept_base_holds(based: Project) -> None:
    """A base that was released by a decision to keep it rests on that decision; nothing else is served."""
    found = {each.what: each.found for each in audit_tag(based)}

    assert found["decision"].startswith("KEEP by ")
    assert found["served"] == f"{SERVED} is {BASE_TAG}"
    expect_refusal(based, lambda: audit_tag(based, CANDIDATE_TAG), ERROR, CANDIDATE_TAG, "there is no such tag")


def test_nothing_was_released_yet(fresh: Project) -> None:
    """Where nothing was released there is nothing to audit and nothing to fall back to."""
    expect_refusal(fresh, lambda: audit_tag(fresh), ERROR, "nothing was released yet")
    expect_refusal(fresh, lambda: audit_tag(fresh, BASE_TAG), HALT, "there is no such tag")
    expect_refusal(fresh, lambda: serve(fresh), HALT, "there is no such tag")


# Tags made by hand


def tag_by_hand(project: Project, role: str, *options: str) -> None:
    """Do what a person does who makes a tag with `dvc add` and `git tag` alone."""
    served = project.root / SERVED
    for name in (VECTORS, DATABASE):
        (served / name).write_bytes((project.root / "build" / role / "fr" / name).read_bytes())
    run_dvc(project.root, "add", f"{SERVED}/{VECTORS}", f"{SERVED}/{DATABASE}")
    project.git("add", "--", f"{SERVED}/*.dvc")
    project.git("commit", "--quiet", "--message", "feat: embeddings")
    project.git("tag", *options)
    run_dvc(project.root, "push")
    project.git("push", "--quiet", "--tags", "origin", "main")


@pytest.mark.parametrize(("role", "tag", "verdict"), [("base", BASE_TAG, HALT), ("qlora", CANDIDATE_TAG, ERROR)])
@pytest.mark.parametrize("options", [(), ("--annotate", "--message", "by hand")], ids=["lightweight", "annotated"])
def test_tag_made_by_hand(fresh: Project, role: str, tag: str, verdict: Verdict, options: tuple[str, ...]) -> None:
    """A tag that nothing but `git tag` made is said to be made by hand, by the audit and by the fallback."""
    tag_by_hand(fresh, role, *options, tag)

    expect_refusal(fresh, lambda: audit_tag(fresh, tag), verdict, tag, "was made by hand", "holds no", "release.json")
    clone = fresh.clone()
    expect_refusal(clone, lambda: serve(clone, tag), verdict, tag, "was made by hand")


@pytest.mark.parametrize("options", [(), ("--annotate", "--message", "by hand")], ids=["lightweight", "annotated"])
def test_candidate_made_by_hand_after_a_release(based: Project, options: tuple[str, ...]) -> None:
    """A candidate tagged by hand on top of a real base is none either, and cannot be released under that name."""
    tag_by_hand(based, "qlora", *options, CANDIDATE_TAG)

    expect_refusal(based, lambda: audit_tag(based, CANDIDATE_TAG), ERROR, CANDIDATE_TAG, "made by hand")
    expect_refusal(based, lambda: serve(based, CANDIDATE_TAG), ERROR, CANDIDATE_TAG, "made by hand")
    expect_refusal(based, lambda: act_upon(based), ERROR, "decision.json", "was judged at")
    expect_refusal(based, lambda: audit_tag(based), HALT, "differs from v1.0-base")
    assert serve(based).changed
    assert audit_tag(based, BASE_TAG)[-1].what == "served"


def test_a_release_file_alone_makes_no_release(based: Project) -> None:
    """A tag whose `release.json` is in order, but which no event of the log names, was made by hand."""
    edit_release(based.root, lambda document: document.update(tag=CANDIDATE_TAG))
    based.git("commit", "--quiet", "--all", "--message", "by hand")
    based.git("tag", "--annotate", "--message", "by hand", CANDIDATE_TAG)

    expect_refusal(
        based, lambda: audit_tag(based, CANDIDATE_TAG), ERROR, "made by hand", "does not end with this release"
    )


# Decisions


def change_decision(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Put a changed decision on record, by the right name, in the place of the one that a release rests on."""
    old = root / EVIDENCE / f"{load_release(root).decision_sha256}.json"
    document = json.loads(old.read_text("utf-8"))
    change(document)
    old.write_text(json.dumps(document), "utf-8")
    digest = compute_sha256(old)
    old.rename(old.with_name(f"{digest}.json"))
    edit_release(root, lambda release: release.update(decision_sha256=digest))


def fail_check(document: dict[str, Any], subject: str) -> None:
    """Let the first check of a store fail."""
    next(check for check in document["checks"] if check["subject"].startswith(subject))["outcome"] = "FAIL"


def drop_checks(document: dict[str, Any]) -> None:
    """Leave out every check."""
    document["checks"] = []


def get_evidence(root: Path) -> Path:
    """Return the decision on record."""
    return root / EVIDENCE / f"{load_release(root).decision_sha256}.json"


def judge_other(document: dict[str, Any], name: str) -> None:
    """Let the decision be about another file."""
    document["inputs"][name]["sha256"] = "0" * 64


def decide_with(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Return how a decision gets this change."""
    return partial(change_decision, change=change)


DECISIONS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda root: get_evidence(root).unlink(), "is missing or has other bytes"),
    "edited in place": (lambda root: get_evidence(root).write_text("{}"), "is missing or has other bytes"),
    "none": (
        lambda root: edit_release(root, lambda release: release.update(decision_sha256=None)),
        "released without a decision",
    ),
    "KEEP": (decide_with(lambda document: document.update(decision="KEEP")), "says KEEP of a release"),
    "HALT": (decide_with(lambda document: document.update(decision="HALT")), "says HALT of a release"),
    "comparison": (decide_with(lambda document: document.update(policy="comparison")), "says RELEASE of a comparison"),
    "not a decision": (decide_with(lambda document: document.pop("checks")), "checks: Field required"),
    "other vectors": (
        decide_with(partial(judge_other, name="qlora/fr/embeddings")),
        "judged other bytes than those of fr",
    ),
    "other database": (
        decide_with(partial(judge_other, name="qlora/intl/database")),
        "judged other bytes than those of intl",
    ),
    "other text": (decide_with(partial(judge_other, name="fr/chunks")), "judged other bytes than those of fr"),
    "other policy": (decide_with(partial(judge_other, name="policy")), "by another policy"),
    "other commit": (
        decide_with(lambda document: document["code"].update(revision="0" * 40)),
        "was made at another commit",
    ),
    "failed check": (decide_with(partial(fail_check, subject="qlora/")), "not every check of qlora passed"),
    "no check": (decide_with(drop_checks), "or there is none"),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_decision_that_does_not_carry_a_candidate(released: Project, name: str) -> None:
    """A candidate without a decision for it, for these bytes, by this policy, at this commit does not hold."""
    spoil, said = DECISIONS[name]
    make_again(released, spoil)

    expect_refusal(released, lambda: audit_tag(released, CANDIDATE_TAG), ERROR, said)


def test_decision_that_does_not_carry_a_base(based: Project) -> None:
    """A base of which a check did not pass does not hold, and that is a reason to halt."""
    make_again(based, decide_with(partial(fail_check, subject="base/")))

    expect_refusal(based, lambda: audit_tag(based, BASE_TAG), HALT, "not every check of base passed")


def test_waiver_carries_a_candidate(released: Project) -> None:
    """A check for which somebody answers did not stop the release, so it does not stop the audit."""

    def waive(document: dict[str, Any]) -> None:
        next(check for check in document["checks"] if check["subject"] == "qlora/fr")["outcome"] = "WAIVED"

    make_again(released, decide_with(waive))

    assert audit_tag(released)[-2].what == "decision"


# History and log


def test_change_beside_a_release(released: Project) -> None:
    """A commit of a release that changes anything but releases was not made by a release."""

    def change(root: Path) -> None:
        (root / "corpus" / "gold" / "qrels_fr.tsv").write_text("", "utf-8")

    make_again(released, change)

    expect_refusal(released, lambda: audit_tag(released), HALT, "corpus/gold/qrels_fr.tsv was changed between")


def test_judged_elsewhere(released: Project) -> None:
    """The commit that was judged must be in the history of the tag."""
    tree = released.git("rev-parse", "HEAD^{tree}")
    elsewhere = released.git("commit-tree", "-m", "elsewhere", tree)
    make_again(released, lambda root: edit_release(root, lambda release: release.update(gated_commit=elsewhere)))

    expect_refusal(released, lambda: audit_tag(released), HALT, f"judged at {elsewhere[:12]}", "not in its history")


def change_lines(root: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of the log."""
    lines = (root / LOG).read_text("utf-8").splitlines()
    (root / LOG).write_text("".join(f"{line}\n" for line in change(lines)), "utf-8")


LOGS: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "first line cut": (lambda lines: lines[1:], f"{LOG}:1"),
    "line cut": (lambda lines: lines[:2] + lines[3:], f"{LOG}:3"),
    "lines swapped": (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], f"{LOG}:3"),
    "line edited": (lambda lines: [lines[0].replace("Arbitre", "Personne"), *lines[1:]], f"{LOG}:2"),
    "line repeated": (lambda lines: [*lines, lines[-1]], f"{LOG}:7"),
}


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("is_committed", [True, False], ids=["committed", "dirty"])
def test_log_was_changed(released: Project, name: str, *, is_committed: bool) -> None:
    """A line that was cut, swapped, edited or repeated breaks the chain, for every tag and every act."""
    change, place = LOGS[name]
    change_lines(released.root, change)
    if is_committed:
        released.git("commit", "--quiet", "--all", "--message", "tidy up")

    said = "a line was cut out, swapped or edited"
    expect_refusal(released, lambda: audit_tag(released), HALT, place, said)
    expect_refusal(released, lambda: audit_tag(released, BASE_TAG), HALT, place, said)
    if is_committed:
        expect_refusal(released, lambda: serve(released), HALT, place, said)


@pytest.mark.parametrize(
    "change",
    [lambda lines: lines[:-1], lambda lines: [*lines[:-1], lines[-1].replace("Arbitre", "Personne")], lambda _: []],
    ids=["last line cut", "last line edited", "emptied"],
)
def test_end_of_the_log_was_changed(released: Project, change: Callable[[list[str]], list[str]]) -> None:
    """What no later line vouches for is held against the commit, here and in the one of the tag."""
    change_lines(released.root, change)

    expect_refusal(released, lambda: audit_tag(released), HALT, str(LOG), "differs from the one that is committed")
    released.git("commit", "--quiet", "--all", "--message", "tidy up")
    expect_refusal(released, lambda: audit_tag(released), HALT, CANDIDATE_TAG, "is not in the history")


def test_log_is_malformed(released: Project) -> None:
    """A log that cannot be read is no log: nothing is said of a release."""
    change_lines(released.root, lambda lines: [*lines, "{"])

    expect_refusal(released, lambda: audit_tag(released), ERROR, f"{LOG}:7", "not valid JSON")


# release.json


RELEASES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown key": (lambda document: document.update(note="x"), "note: Extra inputs are not permitted"),
    "path outside": (lambda document: document["files"][0].update(path="../outside.npy"), "files[0].path"),
    "tag of nobody": (lambda document: document.update(tag="main"), "tag: "),
    "other tag": (lambda document: document.update(tag="v9.9-other"), "is that of v9.9-other"),
    "other size": (lambda document: document["files"][0].update(size=1), "expected 1 bytes, got 368768"),
    "other digest": (lambda document: document["files"][0].update(sha256="0" * 64), "SHA-256 differs"),
    "file left out": (lambda document: document["files"].pop(0), "is no part of"),
    "pointer left out": (lambda document: document["pointers"].pop(0), "is no pointer of"),
    "other text": (lambda document: document["corpora"]["fr"].update(chunks_sha256="0" * 64), "is not the text"),
    "other weights": (lambda document: document["model"].update(weights_sha256="0" * 64), "is not the model"),
}


@pytest.mark.parametrize("name", RELEASES)
def test_release_file_of_a_tag(released: Project, name: str) -> None:
    """A `release.json` that is malformed, or says something else than lies there, is refused."""
    change, said = RELEASES[name]

    def spoil(root: Path) -> None:
        edit_release(root, change)

    make_again(released, spoil)

    expect_refusal(released, lambda: audit_tag(released, CANDIDATE_TAG), ERROR, said)


def test_release_file_of_the_working_tree(released: Project) -> None:
    """One that was changed here is no release that could be named."""
    (released.root / RELEASE_FILE).write_text("{}", "utf-8")

    expect_refusal(released, lambda: audit_tag(released), ERROR, str(RELEASE_FILE), "Field required")
    expect_refusal(released, lambda: audit_tag(released, BASE_TAG), HALT, str(RELEASE_FILE), "Field required")
