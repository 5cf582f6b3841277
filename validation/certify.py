"""Certify the gate: judge spoilt releases and releases without a difference, and write down how it decided."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.documents import load_json
from pipeline.errors import PipelineError, StoreError
from pipeline.files import write_json
from pipeline.store import load_manifest
from validation.certificate import CERTIFICATE, Certificate, Finding, Trial, find_fault, list_bound
from validation.engine import Engine
from validation.expectations import open_remembering
from validation.gate import judge, load_corpus
from validation.latency import load_latency, measure_latency
from validation.leakage import TrainingEvidence
from validation.null_runs import run_nulls
from validation.outcomes import Outcome, Verdict
from validation.policy import load_rulebook
from validation.release_case import ReleaseCase, build_canaries, build_control, build_receipt
from validation.releasing.receipt import Receipt
from validation.request import list_release_corpora, list_targets, require_built
from validation.sabotage import Sabotage, list_sabotages

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from rich.progress import Progress

    from pipeline.params import Params
    from validation.gate import Judgement
    from validation.policy import Rulebook

# Vectors that are spoilt are no longer what their texts give; that this shows as well is no fault of the gate.
CANARY = "VEC109"

Bound = TypeVar("Bound", Certificate, Receipt)


def certify_gate(rulebook: Rulebook, params: Params, output: Path, progress: Progress, pool: Executor) -> str:
    """Write `output/certificate.json` unless the one that is there still holds, and say what it vouches for.

    `pool` runs the releases without a difference beside the spoilt ones; the certificate does not depend on it.

    Raises:
        StoreError: nothing was built yet, or the gate decided wrongly; the certificate then says where, and is refused.
        InputError: a corpus or gold set is malformed.
    """
    corpora = list_release_corpora(params)
    require_built(corpora)
    gold = [load_corpus(request) for request in corpora]
    manifests = [load_manifest(request.stores["base"]) for request in corpora]
    bound = list_bound(rulebook, list(zip(gold, manifests, strict=True)))
    path = output / CERTIFICATE
    if find_old_fault(path, bound, rulebook) is None:
        return f"{path}: still holds"
    with tempfile.TemporaryDirectory() as folder:
        case = build_case(rulebook, params, Path(folder))
        certificate = run_trials(case, bound, progress, pool)
    write_json(path, certificate.model_dump(mode="json"))
    fault = find_fault(certificate, bound, rulebook.policy)
    if fault is not None:
        raise StoreError(path, fault, "nothing can be released; look at the trials in that file")
    runs = ", ".join(f"{null.releases} of {null.runs} {null.id}" for null in certificate.null_runs)
    return f"{path}: {len(certificate.trials)} trials decided rightly; false releases: {runs}"


def find_old_fault(path: Path, bound: dict[str, str], rulebook: Rulebook) -> str | None:
    """Return why the certificate that is there does not hold, or None."""
    try:
        return find_fault(load_json(path, Certificate), bound, rulebook.policy)
    except PipelineError as error:
        return str(error)


def build_case(rulebook: Rulebook, params: Params, folder: Path) -> ReleaseCase:
    """Return a release of the control candidate, with the primary corpus first and no certificate asked for.

    Raises:
        PipelineError: a base store cannot be read.
    """
    requests = sorted(list_release_corpora(params), key=lambda request: not request.primary)
    gold = tuple(load_corpus(request) for request in requests)
    names = [corpus.name for corpus in gold]
    corpora = tuple(
        replace(request, stores={**request.stores, "qlora": build_control(request, folder / name, rulebook.policy)})
        for request, name in zip(requests, names, strict=True)
    )
    measure_latency(list_targets(corpora, names), folder / "latency.json", rounds=rulebook.policy.statistics.rounds)
    return ReleaseCase(
        folder=folder,
        corpora=corpora,
        gold=gold,
        rulebook=rulebook,
        latency=load_latency(folder / "latency.json"),
        canaries=build_canaries(corpora),
        training=TrainingEvidence(folder, "", ("Une question qui n'est dans aucun jeu de test ?",), None),
    )


def run_trials(case: ReleaseCase, bound: dict[str, str], progress: Progress, pool: Executor) -> Certificate:
    """Run every trial and every null, and then those trials that need a certificate."""
    names = [corpus.name for corpus in case.gold]
    sabotages = list_sabotages(names[0], names[1] if len(names) > 1 else None)
    beside = pool.submit(run_nulls, case)
    task = progress.add_task("spoilt releases", total=len(sabotages) + 1)
    control = Sabotage(
        "control", "a candidate that is better in every respect", Verdict.RELEASE, (), lambda case: case, (), len(names)
    )
    trials = []
    for sabotage in (control, *sabotages):
        trials.append(run_trial(sabotage, case, certified=False))
        progress.advance(task)
    progress.add_task("releases without a difference", total=None)
    certificate = Certificate(schema_version=1, bound_to=bound, trials=trials, null_runs=beside.result())
    certified = replace(case, certificate=certificate, receipt=build_receipt(case.corpora))
    last = list_certified(certified)
    progress.update(task, total=len(trials) + len(last))
    for sabotage in last:
        trials.append(run_trial(sabotage, certified, certified=True))
        progress.advance(task)
    return certificate.model_copy(update={"trials": trials})


def list_certified(control: ReleaseCase) -> list[Sabotage]:
    """Return the trials in which the gate asks for the certificate that the other trials have earned, and for a drill.

    `control` has both.
    """
    refused, reason, corpora = Verdict.NOT_EVALUATED, (("CER501", "gate", Outcome.ERROR),), len(control.gold)
    undrilled = (("FBK502", "gate", Outcome.ERROR),)
    older = change_bound(control.certificate, "code")
    elsewhere = change_bound(control.receipt, f"qlora/{control.primary.name}/database")
    return [
        Sabotage("certified-control", "the control with its certificate", Verdict.RELEASE, (),
                 lambda case: case, (), corpora),
        Sabotage("limit-lowered", "the floor was lowered after the certificate was made", refused, reason,
                 lower_floor, (), corpora),
        Sabotage("code-changed", "the certificate was made with other code", refused, reason,
                 lambda case: replace(case, certificate=older), (), corpora),
        Sabotage("not-drilled", "nobody walked the way back", refused, undrilled,
                 lambda case: replace(case, receipt=None), (), corpora),
        Sabotage("drilled-elsewhere", "the way back was walked with another store", refused, undrilled,
                 lambda case: replace(case, receipt=elsewhere), (), corpora),
        Sabotage("requirement-uncovered", "a requirement that no check serves", refused,
                 (("TRC504", "gate", Outcome.ERROR),), require_more, (), corpora),
    ]  # fmt: skip


def change_bound(evidence: Bound | None, name: str) -> Bound | None:
    """Return a certificate or the report of a drill as if it had been made with another file."""
    return evidence and evidence.model_copy(update={"bound_to": {**evidence.bound_to, name: "0" * 64}})


def lower_floor(case: ReleaseCase) -> ReleaseCase:
    """Put a floor of 0 into a copy of the policy, as a change would that wants to pass its own judgement."""
    path = case.folder / "policy.yaml"
    text = case.rulebook.digests["policy"][0].read_text(encoding="utf-8")
    path.write_text(re.sub(r"recall_floor: \S+", "recall_floor: 0.0", text), encoding="utf-8")
    return replace(case, rulebook=load_rulebook(path, case.rulebook.suites))


def require_more(case: ReleaseCase) -> ReleaseCase:
    """State a requirement to which nobody gave a check."""
    requirements = case.rulebook.requirements
    more = {"REQ-NEW-01": next(iter(requirements.values()))}
    return replace(case, rulebook=replace(case.rulebook, requirements=requirements | more))


def run_trial(sabotage: Sabotage, case: ReleaseCase, *, certified: bool) -> Trial:
    """Spoil a release, let the whole gate judge it, and write down what had to come out and what did.

    Waivers have no say here: they are about the candidate of the day, not about whether the gate sees a fault.
    """
    with tempfile.TemporaryDirectory(dir=case.folder) as folder:
        narrowed = replace(
            case, folder=Path(folder), corpora=case.corpora[: sabotage.corpora], gold=case.gold[: sabotage.corpora]
        )
        spoilt = sabotage.spoil(narrowed)
        policy = spoilt.rulebook.policy.model_copy(update={"waivers": []})
        without = {"certificate": None, "drill": None, "coverage": None}
        rules = policy.release if certified else policy.release.model_copy(update=without)
        engine = Engine(open_remembering(spoilt.rulebook.suites))
        rulebook = replace(spoilt.rulebook, policy=policy)
        judgement = judge(spoilt.build_request(), rulebook, rules, lambda _: None, engine)
    return Trial(
        id=sabotage.id,
        title=sabotage.title,
        expected=sabotage.verdict,
        expected_findings=[Finding(check=check, subject=where, outcome=out) for check, where, out in sabotage.findings],
        tolerated=[*sabotage.tolerated, CANARY],
        observed=judgement.decision.verdict,
        observed_findings=list_findings(judgement),
    )


def list_findings(judgement: Judgement) -> list[Finding]:
    """Return what did not pass, apart from what another check blocked."""
    return [
        Finding(check=check.id, subject=check.subject, outcome=check.outcome)
        for check in judgement.ledger
        if check.outcome is not Outcome.PASS and check.blocked_by is None
    ]
