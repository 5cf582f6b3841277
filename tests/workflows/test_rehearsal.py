"""The workflows do what they are for: their steps run in order, in clones of a bare remote, to each of the outcomes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.files import compute_sha256
from tests.projects import BASE_TAG, CANDIDATE_TAG, Project, run
from tests.stores import flip_bit
from tests.workflows.conftest import keep, write_canaries, write_candidate, write_training
from tests.workflows.reading import load_workflows
from tests.workflows.rehearsing import SECRET, Run, copy_tree, is_due, rehearse, run_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.workflows.reading import Workflow

WORKFLOWS = {workflow.name: workflow for workflow in load_workflows()}
GATE = WORKFLOWS["release-gate.yml"]


def start(project: Project, workflow: Workflow, name: str, **inputs: str) -> Run:
    """Return a run of a workflow on the remote of a project."""
    folder = project.folder / name
    folder.mkdir()
    return Run(folder, project.remote, workflow, inputs)


def bring_certificate(first: Run) -> Callable[[str, Path], None]:
    """Return what puts the certificate of another run beside a fresh clone: it is about the base, which is the same."""

    def prepare(job: str, tree: Path) -> None:
        if job == "gate":
            (tree / "reports").mkdir(exist_ok=True)
            shutil.copy(first.folder / "gate" / "reports" / "certificate.json", tree / "reports")

    return prepare


def list_tags(project: Project) -> list[str]:
    """Return the tags of the remote."""
    return run(project.remote, "git", "tag").stdout.split()


def read_decision(done: Run) -> str:
    """Return what the gate job decided."""
    path = done.folder / "gate" / "reports" / "decision.json"
    return str(json.loads(path.read_text("utf-8"))["decision"])


@pytest.fixture(scope="module")
def first(site: Project) -> Run:
    """The first run on a remote without releases, with a candidate that is to be released."""
    return rehearse(start(site, GATE, "first"))


def test_a_better_candidate_is_released(site: Project, first: Run) -> None:
    """Gate, attestation and release go well in turn; the remote has both tags, and main is the release's commit."""
    assert first.results == {"gate": "success", "attest": "success", "release": "success"}, first.printed
    assert first.outputs["gate"]["decision"] == "RELEASE"
    assert list_tags(site) == [BASE_TAG, CANDIDATE_TAG]
    main, tag = (run(site.remote, "git", "rev-parse", name).stdout for name in ("main", f"{CANDIDATE_TAG}^{{}}"))
    assert main == tag
    assert "RELEASE" in (first.folder / "gate-summary.md").read_text("utf-8")


def test_every_step_was_run(first: Run) -> None:
    """The gate builds, judges and tells; the release puts back, releases and verifies; each exactly once."""
    assert [(job, step) for job, step, _ in first.steps] == [
        ("gate", "nox"), ("gate", "build"), ("gate", "gate"), ("gate", "summary"), ("gate", "report"),
        ("release", "nox"), ("release", "build"), ("release", "release"), ("release", "verify"),
    ]  # fmt: skip


def test_no_secret_is_in_an_output(site: Project, first: Run) -> None:
    """What the steps were given to keep to themselves is in nothing that they printed, wrote or pushed."""
    written = [path for folder in (first.folder, site.remote) for path in folder.rglob("*") if path.is_file()]

    assert SECRET not in first.printed
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []


def test_the_same_run_again_changes_nothing(site: Project, first: Run) -> None:
    """A release job that is started a second time finds its own work and ends well."""
    before = run(site.remote, "git", "show-ref").stdout
    again = start(site, GATE, "again")
    again.results, again.outputs, again.attempt = {**first.results}, {**first.outputs}, 2
    shutil.copytree(first.artifact, again.artifact)
    run_steps(again, "release", lambda _job, _tree: None)

    assert again.results["release"] == "success", again.printed
    assert run(site.remote, "git", "show-ref").stdout == before


def test_fallback_and_drill_end_well(site: Project, first: Run) -> None:
    """A person falls back by hand, which is pushed; the weekly run verifies what is served and walks the way again."""
    assert first.results["release"] == "success"
    back = rehearse(start(site, WORKFLOWS["fallback.yml"], "fallback", tag=BASE_TAG))
    weekly = rehearse(start(site, WORKFLOWS["drill.yml"], "drill"))

    assert set(back.results.values()) == {"success"}, back.printed
    assert set(weekly.results.values()) == {"success"}, weekly.printed
    served = run(site.remote, "git", "show", "main:corpus/processed/release.json").stdout
    assert json.loads(served)["tag"] == BASE_TAG


@pytest.mark.parametrize("job", ["gate", "attest"])
@pytest.mark.parametrize("result", ["skipped", "failure", "cancelled"])
def test_a_release_needs_every_job_before_it(site: Project, first: Run, job: str, result: str) -> None:
    """A job that was skipped counts as success for GitHub; for the release it does not."""
    other = Run(site.folder, site.remote, GATE, results={**first.results, job: result}, outputs=first.outputs)

    assert not is_due(other, "release")


@pytest.fixture(scope="module")
def kept(site: Project, first: Run) -> Run:
    """A later run, with a candidate that is worse."""
    write_candidate(site, 2)
    write_training(site, "Qui marque les points ?")
    write_canaries(site)
    pull_and_keep(site, "a worse candidate")
    return rehearse(start(site, GATE, "keep"), bring_certificate(first))


def test_a_worse_candidate_is_kept_out(site: Project, first: Run, kept: Run) -> None:
    """The gate job ends well with KEEP, the base is served, the verdict is on record, and no tag is made or moved."""
    assert kept.results == first.results, kept.printed
    assert kept.outputs["gate"]["decision"] == "KEEP"
    log = run(site.remote, "git", "show", "main:models/releases.jsonl").stdout.splitlines()
    assert [json.loads(line)["event"] for line in log[-3:]] == ["gated", "drilled", "kept"]
    served = run(site.remote, "git", "show", "main:corpus/processed/release.json").stdout
    assert json.loads(served)["tag"] == BASE_TAG
    assert list_tags(site) == [BASE_TAG, CANDIDATE_TAG]


def test_a_swapped_artefact_is_refused(site: Project, first: Run, kept: Run) -> None:
    """What another run judged, put in the place of what this run did, changes nothing."""
    before = run(site.remote, "git", "show-ref").stdout
    done = start(site, GATE, "swapped")
    done.results, done.outputs = {**first.results}, {**first.outputs}
    shutil.copytree(kept.artifact, done.artifact)
    run_steps(done, "release", lambda _job, _tree: None)

    assert done.results["release"] == "failure"
    assert "SHA-256: expected" in done.printed
    assert run(site.remote, "git", "show-ref").stdout == before


@pytest.fixture(scope="module")
def leaked(site: Project, first: Run) -> Run:
    """A run in which a gold question is among the training pairs."""
    asked = site.list_requests()[0].questions.read_text("utf-8").splitlines()[0]
    write_training(site, json.loads(asked)["text"])
    pull_and_keep(site, "a leak")
    return rehearse(start(site, GATE, "leak"), bring_certificate(first))


def test_a_leak_ends_in_not_evaluated(leaked: Run) -> None:
    """The gate job fails, and nothing after it runs."""
    assert leaked.results == {"gate": "failure", "attest": "skipped", "release": "skipped"}, leaked.printed
    assert read_decision(leaked) == "NOT_EVALUATED"


def test_an_exit_code_alone_releases_nothing(site: Project, first: Run, leaked: Run) -> None:
    """Where a pipe would hide how the gate ended, no release is due; done all the same, it refuses the decision."""
    before = run(site.remote, "git", "show-ref").stdout
    done = start(site, GATE, "piped")
    decision = leaked.folder / "gate" / "reports" / "decision.json"
    outputs = {"decision": read_decision(leaked), "decision_sha256": compute_sha256(decision)}
    done.results, done.outputs = {**first.results}, {"gate": outputs}
    for name in ("reports", ".dvc/cache", "dvc.lock"):
        copy_tree(leaked.folder / "gate" / name, done.artifact / name)

    assert not is_due(done, "release")
    run_steps(done, "release", lambda _job, _tree: None)
    assert done.results["release"] == "failure"
    assert "the gate said NOT_EVALUATED" in done.printed
    assert run(site.remote, "git", "show-ref").stdout == before


def test_a_damaged_base_ends_in_halt(site: Project, first: Run) -> None:
    """A base store whose bytes are not those of its manifest: the gate job fails, and nothing after it runs."""
    flip_bit(site.list_requests()[0].stores["base"], "database")
    pull_and_keep(site, "a damaged base")
    before = run(site.remote, "git", "show-ref").stdout
    done = rehearse(start(site, GATE, "halt"), bring_certificate(first))

    assert done.results == {"gate": "failure", "attest": "skipped", "release": "skipped"}, done.printed
    assert read_decision(done) == "HALT"
    assert run(site.remote, "git", "show-ref").stdout == before


def pull_and_keep(project: Project, message: str) -> None:
    """Bring a working tree to the remote's state, and push what is built in it now."""
    project.git("pull", "--quiet", "--rebase", "--autostash", "origin", "main")
    keep(project, message)
