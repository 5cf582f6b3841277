"""What can be wrong in a workflow: one text of a real one exchanged for another, and the rule that must say so."""

from __future__ import annotations

from dataclasses import dataclass

CI, RELEASE, FALLBACK, DRILL = "ci.yml", "release-gate.yml", "fallback.yml", "drill.yml"
HEX = "de0fac2e4500dabe0009e67214ff5f5447ce83dd"
CHECKOUT = f"actions/checkout@{HEX}"
SETUP = '          python-version: "3.11"\n'
ATTESTED = " && needs.attest.result == 'success'"
GATE_PASSED = "${{ needs.gate.result == 'success'"
ON_MAIN = "    if: ${{ github.ref == 'refs/heads/main' }}\n"
READ_KEY = "          AWS_SECRET_ACCESS_KEY: ${{ secrets.DVC_READ_KEY }}\n"
HUB_LINE = "          HF_TOKEN: ${{ secrets.HF_TOKEN }}\n"
DIGEST_LINE = "          DECISION_SHA256: ${{ needs.gate.outputs.decision_sha256 }}\n"
VERIFY = "        run: nox -s verify -- --fetch\n"
ARTIFACT = "          artifact-ids: ${{ needs.gate.outputs.artifact }}\n"
UNCANCELLED = "  cancel-in-progress: false\n"


@dataclass(frozen=True, slots=True)
class Spoil:
    """One text of a real workflow exchanged for another, and what the rule must say to it."""

    rule: str
    workflow: str
    old: str
    new: str
    says: str


SPOILS: dict[str, Spoil] = {
    "granted at the top": Spoil(
        "permissions", CI, "\npermissions: {}\n", "\npermissions: write-all\n", "grants something"
    ),
    "nothing said at the top": Spoil("permissions", CI, "\npermissions: {}\n", "\n", "grants something"),
    "a test that may write": Spoil("permissions", CI, "contents: read", "contents: write", "lint: is granted"),
    "an attestation that may push": Spoil(
        "permissions",
        RELEASE,
        "      id-token: write",
        "      contents: write\n      id-token: write",
        "attest: is granted",
    ),
    "a job without permissions": Spoil(
        "permissions", DRILL, "    permissions:\n      contents: read\n", "", "drill: is granted None"
    ),
    "pinned by a tag": Spoil("pins", CI, f"{CHECKOUT} # v6.0.2", "actions/checkout@v6 # v6.0.2", "checkout@v6"),
    "a pin cut short": Spoil("pins", RELEASE, HEX, HEX[:12], "not pinned"),
    "a pin without its version": Spoil("pins", DRILL, f"{HEX} # v6.0.2", HEX, "not pinned"),
    "an action in quotes": Spoil(
        "pins", CI, f"        uses: {CHECKOUT} # v6.0.2", '        "uses": actions/checkout@v6', "hides its pin"
    ),
    "a token that stays": Spoil(
        "credentials", RELEASE, "persist-credentials: false", "persist-credentials: true", "gate: the checkout"
    ),
    "a token that stays unsaid": Spoil(
        "credentials", FALLBACK, "          persist-credentials: false\n", "", "fallback: the checkout"
    ),
    "no end": Spoil("timeouts", CI, "    timeout-minutes: 60\n", "", "tests: timeout-minutes is None"),
    "an end after six hours": Spoil("timeouts", DRILL, "timeout-minutes: 90", "timeout-minutes: 360", "is 360"),
    "another shell": Spoil("shell", CI, "    shell: bash", "    shell: sh", "shell: ['sh']"),
    "no shell": Spoil("shell", CI, "defaults:\n  run:\n    shell: bash\n", "", "shell: []"),
    "a step's own shell": Spoil(
        "shell", RELEASE, "        id: gate\n", "        id: gate\n        shell: bash {0}\n", "bash {0}"
    ),
    "a stranger's change with rights": Spoil(
        "triggers", CI, "  pull_request:\n", "  pull_request_target:\n", "pull_request_target"
    ),
    "started by another workflow": Spoil(
        "triggers", RELEASE, "  workflow_dispatch:\n", "  workflow_run:\n", "workflow_run"
    ),
    "an input in a command": Spoil("interpolation", FALLBACK, '--to "$TAG"', "--to ${{ inputs.tag }}", "inputs.tag"),
    "a failure made true": Spoil(
        "swallowing", RELEASE, "run: nox -s gate", "run: nox -s gate || true", "hides how it ended"
    ),
    "a gate in a pipe": Spoil(
        "swallowing", RELEASE, "run: nox -s gate", "run: nox -s gate | tee log", "hides how it ended"
    ),
    "a gate in the background": Spoil("swallowing", CI, "run: nox -s gate", "run: nox -s gate &", "hides how it ended"),
    "another command afterwards": Spoil(
        "swallowing", CI, "run: nox -s gate", "run: nox -s gate; nox -s lint", "hides how it ended"
    ),
    "a shell that goes on": Spoil(
        "swallowing", CI, "run: nox -s gate", "run: |\n          set +e\n          nox -s gate", "set +e"
    ),
    "a failure that goes on": Spoil(
        "swallowing",
        RELEASE,
        "        id: gate\n",
        "        id: gate\n        continue-on-error: true\n",
        "continue-on-error",
    ),
    "a job that may fail": Spoil(
        "swallowing", CI, "    name: tests\n", "    name: tests\n    continue-on-error: true\n", "continue-on-error"
    ),
    "a tag by hand": Spoil(
        "commands",
        RELEASE,
        "run: nox -s verify -- --fetch",
        "run: git push --force origin v1.0-base",
        "git push --force",
    ),
    "nox without a pin": Spoil("commands", DRILL, "-c constraints.txt ", "", "pip install nox"),
    "a variable from nowhere": Spoil("commands", RELEASE, DIGEST_LINE, "", "$DECISION_SHA256 is not set"),
    "a session that is not there": Spoil("sessions", CI, "run: nox -s lint", "run: nox -s polish", "no session polish"),
    "a step without a name": Spoil(
        "steps", CI, "      - name: Lint\n        id: lint\n", "      - id: lint\n", "without a name"
    ),
    "a command without an id": Spoil("steps", DRILL, "        id: drill\n", "", "without an id"),
    "two commands of one id": Spoil("steps", DRILL, "        id: drill\n", "        id: build\n", "without an id"),
    "a gate that is left out": Spoil(
        "conditions",
        RELEASE,
        "        id: gate\n",
        "        id: gate\n        if: ${{ vars.GATED == 'yes' }}\n",
        "gate may be left out",
    ),
    "a release whatever happened": Spoil(
        "conditions",
        RELEASE,
        "        id: release\n",
        "        id: release\n        if: ${{ always() }}\n",
        "release may be left out",
    ),
    "packages from a cache": Spoil("caches", RELEASE, SETUP, f"{SETUP}          cache: pip\n", "cache is set"),
    "stores from a cache": Spoil(
        "caches", RELEASE, f"{CHECKOUT} # v6.0.2", f"actions/cache@{HEX} # v6.0.2", "actions/cache"
    ),
    "a writing key for a reader": Spoil(
        "secrets", DRILL, "secrets.DVC_READ_KEY }}", "secrets.DVC_WRITE_KEY }}", "DVC_WRITE_KEY reaches verify"
    ),
    "an unknown secret": Spoil(
        "secrets", RELEASE, "secrets.DVC_READ_KEY }}", "secrets.ADMIN }}", "ADMIN reaches build"
    ),
    "a secret in no environment": Spoil(
        "secrets", RELEASE, "    environment: gate\n", "", "outside a protected environment"
    ),
    "a secret in another environment": Spoil(
        "secrets", DRILL, "    environment: gate\n", "    environment: open\n", "outside a protected environment"
    ),
    "a secret for a pull request": Spoil(
        "secrets", RELEASE, "on:\n", "on:\n  pull_request:\n", "a pull request gets at"
    ),
    "a secret of an action": Spoil(
        "secrets",
        RELEASE,
        SETUP,
        f"{SETUP}          token: ${{{{ secrets.DVC_READ_KEY }}}}\n",
        "outside the environment of a step",
    ),
    "every secret at once": Spoil(
        "secrets",
        RELEASE,
        READ_KEY,
        "          AWS_SECRET_ACCESS_KEY: ${{ toJSON(secrets) }}\n",
        "outside the environment of a step",
    ),
    "the hub's token while building": Spoil(
        "hub_token", RELEASE, READ_KEY, f"{READ_KEY}{HUB_LINE}", "build has the hub's token"
    ),
    "the hub's token in every profile": Spoil(
        "hub_token", RELEASE, "        if: ${{ vars.PROFILE == 'embeddinggemma' }}\n", "", "fetch has the hub's token"
    ),
    "the hub's token for a job": Spoil(
        "hub_token",
        RELEASE,
        "    environment: gate\n",
        f"    environment: gate\n    env:\n{HUB_LINE}",
        "for more than one step",
    ),
    "the token while building": Spoil(
        "git_token",
        RELEASE,
        READ_KEY,
        f"{READ_KEY}          GH_TOKEN: ${{{{ github.token }}}}\n",
        "build has the token",
    ),
    "the token for an action": Spoil(
        "git_token",
        DRILL,
        SETUP,
        f"{SETUP}          token: ${{{{ github.token }}}}\n",
        "outside the environment of a step",
    ),
    "a machine of one's own": Spoil("runners", RELEASE, "runs-on: ubuntu-24.04", "runs-on: self-hosted", "self-hosted"),
    "a variable for every job": Spoil(
        "variables", RELEASE, "\npermissions: {}\n", "\npermissions: {}\nenv:\n  BASH_ENV: x\n", "for every job"
    ),
    "a variable for every step": Spoil(
        "variables",
        FALLBACK,
        "    environment: release\n",
        "    environment: release\n    env:\n      BASH_ENV: x\n",
        "for every step",
    ),
    "a release nobody reviews": Spoil(
        "environment", RELEASE, "    environment: release\n", "    environment: gate\n", "release: writes outside"
    ),
    "a fallback nobody reviews": Spoil(
        "environment", FALLBACK, "    environment: release\n", "", "fallback: writes outside"
    ),
    "a release from a branch": Spoil("environment", RELEASE, ON_MAIN, "", "release: runs elsewhere"),
    "a release from a branch after all": Spoil(
        "environment",
        RELEASE,
        "'refs/heads/main' }}",
        "'refs/heads/main' && success() || always() }}",
        "runs elsewhere",
    ),
    "a release without a gate": Spoil(
        "release", RELEASE, "needs: [gate, attest]", "needs: [attest]", "does not wait for gate"
    ),
    "a release without an attestation": Spoil(
        "release", RELEASE, "needs: [gate, attest]", "needs: [gate]", "does not wait for attest"
    ),
    "an attestation that was skipped": Spoil("release", RELEASE, ATTESTED, "", "does not look at each result"),
    "a gate that was skipped": Spoil(
        "release",
        RELEASE,
        f"{GATE_PASSED}{ATTESTED}",
        "${{ needs.attest.result == 'success'",
        "does not look at each result",
    ),
    "a release always": Spoil(
        "release",
        RELEASE,
        f"{GATE_PASSED}{ATTESTED}",
        f"${{{{ always() && needs.gate.result == 'success'{ATTESTED}",
        "does not look at each result",
    ),
    "a release of any decision": Spoil(
        "release",
        RELEASE,
        "decision == 'KEEP') }}\n    runs-on: ubuntu-24.04\n    timeout-minutes: 60",
        "decision != 'HALT') }}\n    runs-on: ubuntu-24.04\n    timeout-minutes: 60",
        "and at the decision",
    ),
    "an attestation of any decision": Spoil(
        "release",
        RELEASE,
        "decision == 'KEEP') }}\n    runs-on: ubuntu-24.04\n    timeout-minutes: 15",
        "decision != '') }}\n    runs-on: ubuntu-24.04\n    timeout-minutes: 15",
        "attest does not look",
    ),
    "a release of no digest": Spoil(
        "release", RELEASE, ' --decision-sha256 "$DECISION_SHA256"', "", "not told the digest"
    ),
    "a release of another digest": Spoil(
        "release", RELEASE, "needs.gate.outputs.decision_sha256", "github.sha", "not told the digest"
    ),
    "a second who releases": Spoil(
        "release", DRILL, "run: nox -s drill", "run: nox -s release -- --execute", "released by ['drill']"
    ),
    "a gate job without a gate": Spoil("gate_job", RELEASE, "run: nox -s gate", "run: nox -s certify", "gate runs"),
    "a decision made up": Spoil(
        "gate_job",
        RELEASE,
        "decision: ${{ steps.summary.outputs.decision }}",
        "decision: RELEASE",
        "decision is not the summary's",
    ),
    "a digest made up": Spoil(
        "gate_job", RELEASE, "steps.summary.outputs.decision_sha256", "github.sha", "decision_sha256 is not"
    ),
    "a signer that runs code": Spoil(
        "attestation", RELEASE, "        id: attest\n", "        id: attest\n        run: nox -s build\n", "attest runs"
    ),
    "a signature that is left out": Spoil(
        "attestation",
        RELEASE,
        "        id: attest\n",
        "        id: attest\n        if: ${{ false }}\n",
        "may be left out",
    ),
    "nothing signed": Spoil(
        "attestation", RELEASE, "actions/attest-build-provenance@", "actions/attest-sbom@", "attest uses"
    ),
    "a store that is not signed": Spoil("attestation", RELEASE, "            build/qlora/*/*\n", "", "attests"),
    "taken over by name": Spoil("handover", RELEASE, ARTIFACT, "          name: judged\n", "whatever has a name"),
    "changed on the way": Spoil(
        "handover", RELEASE, "digest-mismatch: error", "digest-mismatch: warn", "attest: takes over what was changed"
    ),
    "a cache left behind": Spoil(
        "handover", RELEASE, "          include-hidden-files: true\n", "", "leaves hidden files behind"
    ),
    "a release that is not fetched back": Spoil(
        "verified", RELEASE, VERIFY, "        run: nox -s verify\n", "release: nothing is fetched back"
    ),
    "a fallback that is not fetched back": Spoil(
        "verified", FALLBACK, VERIFY, "        run: nox -s verify\n", "fallback: nothing is fetched back"
    ),
    "a release cut off": Spoil("concurrency", RELEASE, UNCANCELLED, "  cancel-in-progress: true\n", "may be cancelled"),
    "a fallback cut off now and then": Spoil(
        "concurrency", FALLBACK, UNCANCELLED, "  cancel-in-progress: ${{ github.ref != '' }}\n", "may be cancelled"
    ),
    "runs side by side": Spoil(
        "concurrency", RELEASE, f"concurrency:\n  group: release-gate\n{UNCANCELLED}", "", "no concurrency group"
    ),
    "no schedule": Spoil("schedule", DRILL, '  schedule:\n    - cron: "17 4 * * 1"\n', "", "has no schedule"),
    "a drill that drills nothing": Spoil(
        "schedule", DRILL, "run: nox -s drill", "run: nox -s lint", "never runs nox -s drill"
    ),
    "a drill that verifies nothing": Spoil(
        "schedule", DRILL, VERIFY, "        run: nox -s verify\n", "never runs nox -s verify"
    ),
    "green without tests": Spoil(
        "all_green",
        CI,
        "needs: [lint, typecheck, tests, gate]",
        "needs: [lint, typecheck, gate]",
        "does not need tests",
    ),
    "green by being skipped": Spoil("all_green", CI, "    if: ${{ always() }}\n", "", "can be skipped"),
    "green whatever the gate says": Spoil(
        "all_green", CI, '          test "$GATE" = success\n', "", "does not look at gate"
    ),
    "green by another's result": Spoil(
        "all_green", CI, "GATE: ${{ needs.gate.result }}", "GATE: ${{ needs.lint.result }}", "does not look at gate"
    ),
    "green only with a comment": Spoil(
        "all_green",
        CI,
        "needs: [lint, typecheck, tests, gate]",
        "needs: [lint, typecheck, tests, gate, comment]",
        "waits for a courtesy",
    ),
}
