"""The certification from end to end: what it writes, when it is done anew, and what becomes of a gate that errs."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

import validation.certify
import validation.gate
from pipeline.commandline import make_progress
from pipeline.documents import load_json
from pipeline.errors import PipelineError, StoreError
from pipeline.store import load_manifest
from tests.bad_input import check_refusal, list_scraps
from tests.releases import (
    DAY,
    build_latency,
    build_training,
    judge_release,
    list_causes,
    list_requests,
    load_small_params,
    load_small_rulebook,
    measure_steadily,
    remember_expectations,
    write_corpora,
    write_faint_bases,
)
from tests.stores import enter_project
from validation.certificate import Certificate, check_certificate, list_bound
from validation.certify import build_case, certify_gate, find_old_fault, list_findings, lower_floor
from validation.gate import GateRequest, load_corpus
from validation.outcomes import Check, Outcome, Verdict
from validation.policy import Rulebook, load_rulebook
from validation.release_case import build_canaries
from validation.sabotage import list_sabotages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Result

pytestmark = pytest.mark.requirement("REQ-CER-01")

RUNS = 40
FEW = ("leaked-questions", "twice-as-slow", "truncated-padded", "base-altered", "corpus-unlearnt")


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    """The rules of the project, with few draws and few runs."""
    return load_small_rulebook(runs=RUNS)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with corpora and base stores, of which no candidate has been built."""
    folder = tmp_path_factory.mktemp("project")
    write_faint_bases(write_corpora(folder))
    return folder


@pytest.fixture(scope="module", autouse=True)
def _entered(project: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, remember_expectations():
        enter_project(patch, project, load_small_params())
        patch.setattr("validation.certify.measure_latency", measure_steadily)
        yield


@pytest.fixture(scope="module")
def digests(project: Path) -> dict[str, str]:
    """Digests of everything below the project as it was before any certification."""
    return hash_files(project)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, rulebook: Rulebook, digests: dict[str, str]) -> tuple[Path, str]:
    """A folder with the certificate of all trials, and what was said of it."""
    assert digests
    output = tmp_path_factory.mktemp("reports")
    return output, certify(rulebook, output)


@pytest.fixture
def few(rulebook: Rulebook, monkeypatch: pytest.MonkeyPatch) -> Rulebook:
    """Let only a few sabotages be tried, and return rules to which these are enough."""
    chosen = [sabotage for sabotage in list_sabotages("fr", "intl") if sabotage.id in FEW]
    monkeypatch.setattr("validation.certify.list_sabotages", lambda *_: chosen)
    certification = rulebook.policy.certification.model_copy(update={"trials": len(chosen)})
    return replace(rulebook, policy=rulebook.policy.model_copy(update={"certification": certification}))


def hash_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def certify(rulebook: Rulebook, output: Path) -> str:
    """Certify the gate on the small project."""
    with make_progress() as progress, ThreadPoolExecutor(1) as pool:
        return certify_gate(rulebook, load_small_params(), output, progress, pool)


def read(output: Path) -> Certificate:
    """Read the certificate of a folder."""
    return load_json(output / "certificate.json", Certificate)


def find_bound(rulebook: Rulebook, project: Path) -> dict[str, str]:
    """Return the digests that a certificate for the small project is bound to."""
    requests = list_requests(project)
    return list_bound(rulebook, [(load_corpus(each), load_manifest(each.stores["base"])) for each in requests])


# A certificate that holds


def test_a_certificate_vouches_for_the_gate(whole: tuple[Path, str], rulebook: Rulebook, project: Path) -> None:
    """Every trial held, both nulls were run, and the gate takes the certificate for what it is."""
    certificate = read(whole[0])
    check = check_certificate("CER501", certificate, find_bound(rulebook, project), rulebook.policy)
    names = ["control", *(each.id for each in list_sabotages("fr", "intl")), "certified-control", "limit-lowered"]

    assert [trial.id for trial in certificate.trials] == [
        *names, "code-changed", "not-drilled", "drilled-elsewhere", "requirement-uncovered",
    ]  # fmt: skip
    assert all(trial.holds for trial in certificate.trials)
    assert [null.runs for null in certificate.null_runs] == [RUNS, RUNS]
    assert (check.outcome, check.observed, check.limit, check.n) == (Outcome.PASS, 42, 42, 2 * RUNS)
    assert whole[1].startswith(f"{whole[0] / 'certificate.json'}: 42 trials decided rightly; false releases: ")


def test_certifying_touches_no_store(whole: tuple[Path, str], project: Path, digests: dict[str, str]) -> None:
    """Stores, corpora and everything else of the project are what they were, and nothing is left beside them."""
    assert read(whole[0]).trials
    assert hash_files(project) == digests
    assert [path.name for path in whole[0].iterdir()] == ["certificate.json"]


def test_what_holds_is_not_done_again(
    whole: tuple[Path, str], rulebook: Rulebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked again, nothing is built or judged, and the certificate is the same file."""
    monkeypatch.setattr("validation.certify.build_case", None)
    path = whole[0] / "certificate.json"
    before = path.stat()

    assert certify(rulebook, whole[0]) == f"{path}: still holds"
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def change_policy(rulebook: Rulebook, _path: Path) -> Rulebook:
    """Return the rules as if their policy had been edited."""
    path, _ = rulebook.digests["policy"]
    return replace(rulebook, digests=rulebook.digests | {"policy": (path, "0" * 64)})


def ask_for_more(rulebook: Rulebook, _path: Path) -> Rulebook:
    """Return rules that ask for one run more."""
    certification = rulebook.policy.certification.model_copy(update={"runs": RUNS + 1})
    return replace(rulebook, policy=rulebook.policy.model_copy(update={"certification": certification}))


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Rulebook, Path], Rulebook]:
    """Return a change of the certificate that is there."""

    def apply(rulebook: Rulebook, path: Path) -> Rulebook:
        document = json.loads(path.read_text(encoding="utf-8"))
        change(document)
        path.write_text(json.dumps(document), encoding="utf-8")
        return rulebook

    return apply


def damage(rulebook: Rulebook, path: Path) -> Rulebook:
    """Cut the certificate off in the middle."""
    path.write_bytes(path.read_bytes()[:1000])
    return rulebook


def remove(rulebook: Rulebook, path: Path) -> Rulebook:
    """Remove the certificate."""
    path.unlink()
    return rulebook


STALE: dict[str, tuple[Callable[[Rulebook, Path], Rulebook], str]] = {
    "policy changed": (change_policy, "certified with another policy"),
    "more runs asked for": (ask_for_more, f"expected {RUNS + 1} runs"),
    "code changed": (edit(lambda document: document["bound_to"].update(code="0" * 64)), "certified with another code"),
    "base rebuilt": (
        edit(lambda document: document["bound_to"].update({"base/intl/embeddings": "0" * 64})),
        "another base/intl/embeddings",
    ),
    "trial missed": (edit(lambda document: document["trials"][3].update(observed="RELEASE")), "did not decide rightly"),
    "damaged": (damage, "not valid JSON"),
    "removed": (remove, "does not exist"),
}


@pytest.mark.parametrize(("change", "said"), STALE.values(), ids=STALE)
def test_what_does_not_hold_is_done_again(
    whole: tuple[Path, str],
    rulebook: Rulebook,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Rulebook, Path], Rulebook],
    said: str,
) -> None:
    """A certificate that is older than rules, code or stores, or that cannot be read, is replaced by a new one."""
    good = read(whole[0])
    path = tmp_path / "certificate.json"
    path.write_bytes((whole[0] / "certificate.json").read_bytes())
    changed = change(rulebook, path)
    asked: list[dict[str, str]] = []

    def run_again(_case: object, bound: dict[str, str], *_: object) -> Certificate:
        asked.append(bound)
        more = [null.model_copy(update={"runs": null.runs + 1}) for null in good.null_runs]
        return good.model_copy(update={"bound_to": bound, "null_runs": more})

    monkeypatch.setattr("validation.certify.run_trials", run_again)
    bound = good.bound_to | ({"policy": "0" * 64} if said.endswith("policy") else {})

    assert said in (find_old_fault(path, bound, changed) or "")
    assert "42 trials decided rightly" in certify(changed, tmp_path)
    assert asked == [bound]
    assert read(tmp_path).bound_to == bound
    assert [each.name for each in tmp_path.iterdir()] == ["certificate.json"]


# A gate that errs


def pass_leak(*arguments: Any) -> Check:
    """Look at no leak at all."""
    return Check(arguments[0], arguments[1].name, Outcome.PASS)


def test_a_gate_that_decides_wrongly_is_not_certified(
    run_cli: Callable[..., Result], few: Rulebook, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 30 and one line; the certificate says which trial came out how, and CER501 refuses it."""
    monkeypatch.setattr(validation.gate, "check_leak", pass_leak)
    monkeypatch.setattr("validation.commands.load_rulebook", lambda _: few)
    (tmp_path / "certificate.json").write_text("{}", encoding="utf-8")
    result = run_cli("validation", "certify", "--output", tmp_path)
    certificate = read(tmp_path)
    check = check_certificate("CER501", certificate, find_bound(few, project), few.policy)
    missed = {trial.id: (trial.expected, trial.observed) for trial in certificate.trials if not trial.holds}
    wrong = ("leaked-questions", "certified-control", "not-drilled", "drilled-elsewhere", "requirement-uncovered")
    said = f"the gate did not decide rightly on {', '.join(wrong)}"

    check_refusal(result, "certificate.json", said, "nothing can be released")
    assert missed == {
        "leaked-questions": (Verdict.NOT_EVALUATED, Verdict.RELEASE),
        "certified-control": (Verdict.RELEASE, Verdict.NOT_EVALUATED),
        # Refused as they must be, but by a certificate that does not hold and not for their own reason alone.
        "not-drilled": (Verdict.NOT_EVALUATED, Verdict.NOT_EVALUATED),
        "drilled-elsewhere": (Verdict.NOT_EVALUATED, Verdict.NOT_EVALUATED),
        "requirement-uncovered": (Verdict.NOT_EVALUATED, Verdict.NOT_EVALUATED),
    }
    assert (check.outcome, check.detail) == (Outcome.ERROR, said)
    assert list_scraps(tmp_path) == []


def test_a_gate_that_erred_is_tried_again(few: Rulebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that says that the gate erred never counts as one that holds; a mended gate gets a new one."""
    with monkeypatch.context() as patch:
        patch.setattr(validation.gate, "check_leak", pass_leak)
        for _ in range(2):
            with pytest.raises(StoreError, match="did not decide rightly on leaked-questions"):
                certify(few, tmp_path)
    said = certify(few, tmp_path)

    assert "12 trials decided rightly" in said
    assert all(trial.holds for trial in read(tmp_path).trials)


# What is tried on what


def test_the_primary_corpus_stands_first(rulebook: Rulebook, tmp_path: Path) -> None:
    """Whatever the order of params.yaml, sabotages are of the primary corpus; bases are the project's own."""
    params = load_small_params()
    turned = params.model_copy(update={"corpora": params.corpora[::-1]})
    case = build_case(rulebook, turned, tmp_path)

    assert [gold.name for gold in case.gold] == ["fr", "intl"]
    assert [request.primary for request in case.corpora] == [True, False]
    assert {request.stores["qlora"].parent for request in case.corpora} == {tmp_path}
    assert case.certificate is None
    assert case.latency.corpora.keys() == {"fr", "intl"}


def test_nothing_built_is_nothing_to_certify(
    run_cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first build one line says what to run, and no certificate is written."""
    monkeypatch.setattr("validation.request.BUILD", tmp_path / "absent")
    result = run_cli("validation", "certify", "--output", tmp_path / "reports")

    check_refusal(result, "no store has been built yet", "nox -s gate")
    assert not (tmp_path / "reports").exists()


def test_a_base_without_a_manifest_cannot_be_certified_on(
    rulebook: Rulebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base that is not there while something else is built is named, and no certificate is written."""
    monkeypatch.setattr("validation.request.BUILD", tmp_path / "build")
    (tmp_path / "build" / "base" / "fr").mkdir(parents=True)

    with pytest.raises(PipelineError, match="expected a store folder with manifest"):
        certify(rulebook, tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_the_floor_is_lowered_in_a_copy_of_the_policy(rulebook: Rulebook, tmp_path: Path) -> None:
    """The copy has a floor of 0, every other limit, the same suites and another digest; the policy stays."""
    lowered = lower_floor(replace(build_case(rulebook, load_small_params(), tmp_path), folder=tmp_path)).rulebook
    own = load_rulebook(rulebook.digests["policy"][0])

    assert lowered.policy.limits == own.policy.limits.model_copy(update={"recall_floor": Decimal("0.0")})
    assert lowered.policy.release == own.policy.release
    assert lowered.suites == own.suites
    assert lowered.digests["policy"][1] != own.digests["policy"][1]
    assert own.policy.limits.recall_floor > 0


def test_findings_are_causes(project: Path, rulebook: Rulebook) -> None:
    """What another check blocked is no finding; everything else that did not pass is, with its outcome."""
    requests = list_requests(project)[:1]
    requests[0].stores["qlora"] = requests[0].stores["base"]
    latency, training = build_latency(requests), build_training(project)
    request = GateRequest(
        requests, latency, training, None, None, None, build_canaries(requests), for_release=True, as_of=DAY
    )
    judgement = judge_release(request, rulebook)
    found = {(each.check, each.subject): each.outcome for each in list_findings(judgement)}

    assert found == list_causes(judgement)
    assert found[("INT104", "fr")] is Outcome.ERROR
    assert ("RET301", "fr") not in found
