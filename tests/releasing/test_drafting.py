"""Commits of the release history: what is in them, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.files import compute_sha256
from tests.projects import BASE_TAG, CANDIDATE_TAG
from validation.releasing.drafting import Draft, commit_draft
from validation.releasing.events import NewEvent, load_committed_events
from validation.releasing.release_file import RELEASE_FILE, load_committed_release
from validation.releasing.repository import Repository
from validation.releasing.workplace import open_tree

if TYPE_CHECKING:
    from tests.projects import Project

ACTOR = "Arbitre <arbitre@example.org>"


def test_event_alone(released: Project) -> None:
    """A draft without content adds its events and evidence, and leaves what is served as it is."""
    head = released.git("rev-parse", "HEAD")
    drill = released.root / "reports" / "rollback-drill.json"
    drill.write_text("{}\n", "utf-8")
    events = (
        NewEvent(event="gated", tag=CANDIDATE_TAG, evidence_sha256="1" * 64),
        NewEvent(event="kept", tag=BASE_TAG),
    )
    with open_tree(released.repository, head, own_cache=True) as tree:
        (tree / "astray.txt").write_text("not mine", "utf-8")
        commit = commit_draft(tree, Draft("keep", events, evidence=(drill,)), ACTOR, "b" * 40)
        assert Repository(tree).get_head() == commit
    repository = released.repository

    assert repository.list_changed(head, commit) == [
        f"models/evidence/{compute_sha256(drill)}.json",
        "models/releases.jsonl",
    ]
    logged = load_committed_events(repository, commit)[-2:]
    assert [each.evidence_sha256 for each in logged] == ["1" * 64, compute_sha256(released.root / RELEASE_FILE)]
    assert {(each.actor, each.commit) for each in logged} == {(ACTOR, "b" * 40)}
    assert repository.git("log", "-1", "--format=%s %P", commit) == f"keep {head}"
    assert repository.get_head() == head


def test_release_is_taken_back_whole(released: Project) -> None:
    """What a release serves is as in its commit, without what a later one served beside it; the model of that stays."""
    repository, tag = released.repository, released.repository.find_tag(BASE_TAG)
    assert tag is not None
    extra = released.root / "corpus" / "processed" / "corpus_mode_b_de.db.dvc"
    extra.write_text("outs: []\n", "utf-8")
    released.git("add", "--all")
    released.git("commit", "--quiet", "--message", "more")
    head = repository.get_head()
    draft = Draft("back", (NewEvent(event="fell back", tag=BASE_TAG),), source=tag.commit)
    with open_tree(repository, head, own_cache=True) as tree:
        commit = commit_draft(tree, draft, ACTOR, head)

    assert repository.hash_blob(commit, "corpus/processed") == repository.hash_blob(tag.commit, "corpus/processed")
    release = load_committed_release(repository, commit)
    assert release is not None
    assert release.tag == BASE_TAG
    kept = ("models/embedded-gemma-lsa.dvc", "models/embeddinggemma-chess-fr.dvc", "models/evidence")
    assert all(repository.hash_blob(commit, path) == repository.hash_blob(head, path) for path in kept)
    log = load_committed_events(repository, commit)
    assert log[:-1] == load_committed_events(repository, head)
    assert log[-1].evidence_sha256 != log[-2].evidence_sha256
