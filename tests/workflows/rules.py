"""Judge the workflows: each rule lists what breaks it, in sentences. What a release must obey is in `release_rules`."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.workflows.reading import (
    SESSION,
    Workflow,
    count_texts,
    list_clauses,
    list_sessions,
    list_steps,
    walk_keys,
)

Rule = Callable[[Workflow], list[str]]

RUNNER = "ubuntu-24.04"
READ = {"contents": "read"}
# What a job may do beyond reading, or short of it. Nothing else is granted to anyone.
GRANTS: dict[tuple[str, str], dict[str, str]] = {
    ("ci.yml", "all-green"): {},
    ("ci.yml", "comment"): {"pull-requests": "write"},
    ("release-gate.yml", "attest"): {"attestations": "write", "id-token": "write"},
    ("release-gate.yml", "release"): {"contents": "write"},
    ("fallback.yml", "fallback"): {"contents": "write"},
}
TRIGGERS = {"push", "pull_request", "workflow_dispatch", "schedule"}
ENVIRONMENTS = {"gate", "release"}
INSTALL = "python -m pip install -c constraints.txt nox"
# Which sessions a secret may reach; the hub's token reaches the one that downloads (rule 4).
READERS = {"build", "verify", "fallback"}
SECRETS = {
    "HF_TOKEN": {"fetch"},
    "DVC_READ_KEY_ID": READERS,
    "DVC_READ_KEY": READERS,
    "DVC_WRITE_KEY_ID": {"release"},
    "DVC_WRITE_KEY": {"release"},
}
# Steps that may be left out, and when: any other `if` could leave out the gate and end well.
CONDITIONS = {"fetch": {"vars.PROFILE == 'embeddinggemma'"}, "summary": {"!cancelled()"}, "report": {"!cancelled()"}}
COMMENT = 'gh pr comment "$NUMBER" --edit-last --create-if-none --body-file reports/comment.md'
RESULT = re.compile(r'test "\$[A-Z_]+" = success')
PIN = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
SWALLOWS = re.compile(r"[|&;]|\bset \+|\btrue$|\bexit\b")
LONGEST_MINUTES = 120


def check_permissions(workflow: Workflow) -> list[str]:
    """Nothing is granted at the top, and each job has exactly its own grants (rule 1)."""
    found = [] if workflow.data.get("permissions") == {} else ["the workflow grants something to every job"]
    for name, job in workflow.jobs.items():
        allowed = GRANTS.get((workflow.name, name), READ)
        if job.get("permissions") != allowed:
            found.append(f"{name}: is granted {job.get('permissions')}, not {allowed}")
    return found


def check_pins(workflow: Workflow) -> list[str]:
    """Every action is pinned by its commit, with the version beside it (rule 2)."""
    lines = [line.strip().removeprefix("- ") for line in workflow.text.splitlines()]
    named = [line for line in lines if line.startswith("uses:")]
    found = [f"not pinned by a commit with its version: {line}" for line in named if not PIN.fullmatch(line)]
    used = sum(key == "uses" for key, _ in walk_keys(workflow.data))
    return found if used == len(named) else [*found, "an action is named in a way that hides its pin"]


def check_credentials(workflow: Workflow) -> list[str]:
    """No checkout leaves the token on the disk (rule 2)."""
    checkouts = [step for step in list_steps(workflow) if step.uses.startswith("actions/checkout@")]
    return [
        f"{s.job}: the checkout keeps the token" for s in checkouts if s.options.get("persist-credentials") is not False
    ]


def check_timeouts(workflow: Workflow) -> list[str]:
    """Every job ends by itself (rule 2)."""
    minutes = {name: job.get("timeout-minutes") for name, job in workflow.jobs.items()}
    return [
        f"{name}: timeout-minutes is {value}"
        for name, value in minutes.items()
        if not isinstance(value, int) or not 0 < value <= LONGEST_MINUTES
    ]


def check_shell(workflow: Workflow) -> list[str]:
    """One shell for all, which stops at the first command that fails, also in a pipe (rule 2)."""
    shells = [value for key, value in walk_keys(workflow.data) if key == "shell"]
    return (
        []
        if shells == ["bash"] and workflow.data.get("defaults") == {"run": {"shell": "bash"}}
        else [f"shell: {shells}"]
    )


def check_triggers(workflow: Workflow) -> list[str]:
    """Nothing starts a workflow that gives a stranger's change the repository's rights (rule 3)."""
    found = [f"is started by {name}" for name in workflow.triggers if name not in TRIGGERS]
    return [*found, "is started by nothing"] if not workflow.triggers else found


def check_interpolation(workflow: Workflow) -> list[str]:
    """No expression stands in a command: what comes from an event or an input comes by the environment (rule 3)."""
    return [f"{step.job}: an expression in `run`: {step.run}" for step in list_steps(workflow) if "${{" in step.run]


def check_swallowing(workflow: Workflow) -> list[str]:
    """No failure is swallowed, by the shell, a pipe or the workflow (rule 3)."""
    found = [f"`{key}` is set" for key, _ in walk_keys(workflow.data) if key == "continue-on-error"]
    lines = [(step.job, line) for step in list_steps(workflow) for line in step.lines]
    return [*found, *(f"{job}: hides how it ended: {line}" for job, line in lines if SWALLOWS.search(line))]


def check_commands(workflow: Workflow) -> list[str]:
    """A command is a nox session: tags, pushes and digests are the sessions' business (rules 5 and 6)."""
    lines = [(step, line) for step in list_steps(workflow) for line in step.lines]
    known = (INSTALL, COMMENT)
    strange = [
        f"{step.job}: not a nox session: {line}"
        for step, line in lines
        if line not in known and not SESSION.fullmatch(line) and not RESULT.fullmatch(line)
    ]
    unset = [
        f"{step.job}: ${name} is not set by the step"
        for step, line in lines
        for name in re.findall(r"\$(\w+)", line)
        if name not in step.env
    ]
    return strange + unset


def check_sessions(workflow: Workflow) -> list[str]:
    """Every session that is named exists."""
    named = {session for step in list_steps(workflow) for session in step.sessions}
    return [f"there is no session {name}" for name in sorted(named - list_sessions())]


def check_steps(workflow: Workflow) -> list[str]:
    """Every step says what it is for; every command can be pointed at."""
    steps = list_steps(workflow)
    nameless = [f"{step.job}: a step without a name" for step in steps if not step.name]
    ids = [(step.job, step.id) for step in steps if step.run]
    return [
        *nameless,
        *(f"{job}: a command without an id of its own" for job, id_ in ids if not id_ or ids.count((job, id_)) > 1),
    ]


def check_conditions(workflow: Workflow) -> list[str]:
    """No command may be left out, but those that decide nothing (rules 3 and 5)."""
    return [
        f"{step.job}: {step.id or step.run} may be left out: {step.condition}"
        for step in list_steps(workflow)
        if step.run and step.condition and list_clauses(step.condition) != CONDITIONS.get(step.id)
    ]


def check_caches(workflow: Workflow) -> list[str]:
    """Nothing is restored from a cache, which another branch could have filled (rule 4)."""
    found = [f"{key} is set" for key, _ in walk_keys(workflow.data) if key.startswith("cache")]
    return found + [f"{s.job}: uses {s.uses}" for s in list_steps(workflow) if re.search(r"\bcache\b", s.uses)]


def check_secrets(workflow: Workflow) -> list[str]:
    """A secret reaches one step, in a protected environment, and never a pull request (rule 4)."""
    uses = [
        (s, name)
        for s in list_steps(workflow)
        for v in s.env.values()
        for name in re.findall(r"secrets\.(\w+)", str(v))
    ]
    found = [
        f"{step.job}: {name} reaches {step.id or step.uses}"
        for step, name in uses
        if not set(step.sessions) or not set(step.sessions) <= SECRETS.get(name, set())
    ]
    bare = {step.job for step, _ in uses if workflow.jobs[step.job].get("environment") not in ENVIRONMENTS}
    found += [f"{job}: a secret outside a protected environment" for job in sorted(bare)]
    if uses and "pull_request" in workflow.triggers:
        found.append("a pull request gets at a secret")
    if count_texts(workflow, r"\bsecrets\b") != len(uses) or any(
        key == "secrets" for key, _ in walk_keys(workflow.data)
    ):
        found.append("a secret is named outside the environment of a step")
    return found


def check_hub_token(workflow: Workflow) -> list[str]:
    """The hub's token is only where the production model is downloaded (rule 4)."""
    holders = [step for step in list_steps(workflow) if "HF_TOKEN" in step.env]
    found = [f"{s.job}: {s.id} has the hub's token" for s in holders if s.lines != ["nox -s fetch"] or not s.condition]
    everywhere = sum(key == "HF_TOKEN" for key, _ in walk_keys(workflow.data))
    return found if everywhere == len(holders) else [*found, "the hub's token is set for more than one step"]


def check_git_token(workflow: Workflow) -> list[str]:
    """The job's token is named only where something is pushed or commented."""
    holders = [step for step in list_steps(workflow) if "GH_TOKEN" in step.env]
    strays = [s for s in holders if not set(s.sessions) & {"release", "fallback"} and s.lines != [COMMENT]]
    found = [f"{step.job}: {step.id} has the token" for step in strays]
    everywhere = count_texts(workflow, r"github\.token|github\['token")
    return found if everywhere == len(holders) else [*found, "the token is named outside the environment of a step"]


def check_runners(workflow: Workflow) -> list[str]:
    """Every job runs on a fresh machine of one known kind."""
    runners = {name: job.get("runs-on") for name, job in workflow.jobs.items()}
    return [f"{name}: runs on {runner}" for name, runner in runners.items() if runner != RUNNER]


def check_variables(workflow: Workflow) -> list[str]:
    """What a command gets from the environment is written at that command, and nowhere above it (rule 4)."""
    found = ["the workflow sets variables for every job"] if "env" in workflow.data else []
    return found + [f"{name}: sets variables for every step" for name, job in workflow.jobs.items() if "env" in job]


SAFETY_RULES: tuple[Rule, ...] = (
    check_permissions,
    check_pins,
    check_credentials,
    check_timeouts,
    check_shell,
    check_triggers,
    check_interpolation,
    check_swallowing,
    check_commands,
    check_sessions,
    check_steps,
    check_conditions,
    check_caches,
    check_secrets,
    check_hub_token,
    check_git_token,
    check_runners,
    check_variables,
)
