"""Judge how the workflows release: who waits for whom, what is handed over, and what is fetched back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.workflows.reading import Workflow, list_clauses, list_needs, list_steps, list_writing

if TYPE_CHECKING:
    from tests.workflows.rules import Rule

# Told to people only: the verdict depends on none of them.
COURTESIES = {"comment"}
ON_MAIN = "github.ref == 'refs/heads/main'"
DECIDED = "(needs.gate.outputs.decision == 'RELEASE' || needs.gate.outputs.decision == 'KEEP')"
RELEASE = 'nox -s release -- --execute --decision-sha256 "$DECISION_SHA256"'
FETCH_BACK = "nox -s verify -- --fetch"
OWNED = (
    "/.github/",
    "/corpus/gold/",
    "/expectations/",
    "/models/releases.jsonl",
    "/noxfile.py",
    "/params.yaml",
    "/validation/",
)


def check_environment(workflow: Workflow) -> list[str]:
    """Who writes is in the environment with reviewers, and runs on `main` only (rules 4 and 8)."""
    found = [
        f"{name}: writes outside the environment `release`"
        for name, job in list_writing(workflow).items()
        if job.get("environment") != "release"
    ]
    guarded = [name for name, job in workflow.jobs.items() if job.get("environment")]
    return found + [f"{name}: runs elsewhere than on main" for name in guarded if not _is_on_main(workflow, name)]


def _is_on_main(workflow: Workflow, name: str) -> bool:
    """Return whether a job, or one that it waits for, runs on `main` only."""
    job = workflow.jobs[name]
    return list_clauses(job.get("if")) == {ON_MAIN} or any(_is_on_main(workflow, each) for each in list_needs(job))


def check_release(workflow: Workflow) -> list[str]:
    """Who releases waits for gate and attestation, looks at both results, and hands over the digest (rules 5 and 7)."""
    releasing = sorted({step.job for step in list_steps(workflow) if "release" in step.sessions})
    expected = ["release"] if workflow.name == "release-gate.yml" else []
    if releasing != expected or not expected:
        return [] if releasing == expected else [f"released by {releasing}, not by {expected}"]
    jobs = workflow.jobs
    passed = {name: f"needs.{name}.result == 'success'" for name in ("gate", "attest")}
    found = [f"release does not wait for {name}" for name in passed if name not in list_needs(jobs["release"])]
    if list_clauses(jobs["release"].get("if")) != {*passed.values(), DECIDED}:
        found.append("release does not look at each result and at the decision")
    if list_clauses(jobs["attest"].get("if")) != {passed["gate"], DECIDED} or list_needs(jobs["attest"]) != ["gate"]:
        found.append("attest does not look at the gate's result and at the decision")
    digest = "${{ needs.gate.outputs.decision_sha256 }}"
    steps = [step for step in list_steps(workflow, "release") if "release" in step.sessions]
    if [(step.run, step.env.get("DECISION_SHA256")) for step in steps] != [(RELEASE, digest)]:
        found.append("release is not told the digest of the decision")
    return found


def check_gate_job(workflow: Workflow) -> list[str]:
    """The decision that is handed over is the summary of a gate that ran, its digest beside it (rule 5)."""
    if workflow.name != "release-gate.yml":
        return []
    gate = [session for step in list_steps(workflow, "gate") for session in step.sessions]
    outputs = dict(workflow.jobs["gate"].get("outputs") or {})
    found = [] if gate == ["fetch", "build", "gate", "summary", "report"] else [f"gate runs {gate}"]
    told = {name: f"${{{{ steps.summary.outputs.{name} }}}}" for name in ("decision", "decision_sha256")}
    return found + [f"{name} is not the summary's" for name, value in told.items() if outputs.get(name) != value]


def check_attestation(workflow: Workflow) -> list[str]:
    """The job that signs runs nothing of this repository, and signs stores and decision (rules 1 and 7)."""
    if workflow.name != "release-gate.yml":
        return []
    steps = list_steps(workflow, "attest")
    found = [f"attest runs {step.run}" for step in steps if step.run]
    found += [f"{step.name}: may be left out" for step in steps if step.condition]
    names = [step.uses.partition("@")[0] for step in steps]
    if names != ["actions/download-artifact", "actions/attest-build-provenance"]:
        return [*found, f"attest uses {names}"]
    subjects = str(steps[-1].options.get("subject-path")).split()
    wanted = ["build/base/*/*", "build/qlora/*/*", "reports/decision.json"]
    return found if subjects == wanted else [*found, f"attests {subjects}"]


def check_handover(workflow: Workflow) -> list[str]:
    """What a job takes over is named by its number and unchanged, and hidden files come along (rule 5)."""
    found = []
    for step in list_steps(workflow):
        source = str(step.options.get("artifact-ids", ""))
        if step.uses.startswith("actions/download-artifact@") and not source.startswith("${{ needs.gate.outputs."):
            found.append(f"{step.job}: takes over whatever has a name")
        if step.uses.startswith("actions/download-artifact@") and step.options.get("digest-mismatch") != "error":
            found.append(f"{step.job}: takes over what was changed on the way")
        hidden = ".dvc" in str(step.options.get("path", "")) and step.options.get("include-hidden-files") is not True
        if step.uses.startswith("actions/upload-artifact@") and hidden:
            found.append(f"{step.job}: {step.id} leaves hidden files behind")
    return found


def check_verified(workflow: Workflow) -> list[str]:
    """What was written is fetched back and hashed in the same job (rule 6)."""
    jobs = {
        name: [line for step in list_steps(workflow, name) for line in step.lines] for name in list_writing(workflow)
    }
    return [f"{name}: nothing is fetched back in the end" for name, lines in jobs.items() if lines[-1:] != [FETCH_BACK]]


def check_concurrency(workflow: Workflow) -> list[str]:
    """Runs of a kind wait for each other, and one that writes is never cancelled (rule 7)."""
    concurrency = workflow.data.get("concurrency")
    if not isinstance(concurrency, dict) or not concurrency.get("group"):
        return ["has no concurrency group"]
    cancels = concurrency.get("cancel-in-progress") is not False and list_writing(workflow)
    return ["a run that writes may be cancelled"] if cancels else []


def check_schedule(workflow: Workflow) -> list[str]:
    """What was released is verified and the drill performed by the clock (rule 10)."""
    if workflow.name != "drill.yml":
        return []
    lines = [line for step in list_steps(workflow) for line in step.lines]
    found = [] if workflow.triggers.get("schedule") else ["has no schedule"]
    return found + [f"never runs {line}" for line in (FETCH_BACK, "nox -s drill") if line not in lines]


def check_all_green(workflow: Workflow) -> list[str]:
    """One job needs every other and passes only where each result is success; none needs a courtesy (rule 9)."""
    jobs = workflow.jobs
    found = [f"{name}: waits for a courtesy" for name, job in jobs.items() if COURTESIES & set(list_needs(job))]
    if workflow.name != "ci.yml":
        return found
    others = [name for name in jobs if name not in {"all-green", *COURTESIES}]
    found += [f"all-green does not need {name}" for name in others if name not in list_needs(jobs["all-green"])]
    if list_clauses(jobs["all-green"].get("if")) != {"always()"}:
        found.append("all-green can be skipped")
    tested = {
        step.env.get(name)
        for step in list_steps(workflow, "all-green")
        for line in step.lines
        for name in re.findall(r"\$(\w+)", line)
    }
    return found + [f"all-green does not look at {n}" for n in others if f"${{{{ needs.{n}.result }}}}" not in tested]


def check_owners(text: str) -> list[str]:
    """What decides has code owners, and no line takes them away again (rule 8)."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = [f"{line[0]} has no owner" for line in lines if not any(word.startswith("@") for word in line[1:])]
    return found + [f"{path} is not covered" for path in OWNED if path not in {line[0] for line in lines}]


RELEASE_RULES: tuple[Rule, ...] = (
    check_environment,
    check_release,
    check_gate_job,
    check_attestation,
    check_handover,
    check_verified,
    check_concurrency,
    check_schedule,
    check_all_green,
)
