"""The way of a verdict, as a list: look at stores, compare answers, complete the ledger, apply waivers, decide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.chunks import load_chunks
from pipeline.files import compute_sha256
from pipeline.gold import load_gold
from validation.canaries import check_canary
from validation.catalogue import WHOLE
from validation.comparison import LocalSearch, build_answers, build_design, compare_answers, find_slices
from validation.criteria import check_criterion, check_floor
from validation.decision import Key, block, complete_ledger, decide
from validation.engine import Engine
from validation.evidence import CorpusEvidence, StoreEvidence
from validation.expectations import ExpectationRunner
from validation.inputs import Input, list_inputs
from validation.latency import check_latency, collect_digests
from validation.leakage import TrainingEvidence, check_leak
from validation.outcomes import Check, Decision, Outcome
from validation.preconditions import check_preconditions
from validation.slices import SliceResult, check_slices, judge_slices
from validation.stores import ROLES, CorpusRequest, check_corpus, check_stores
from validation.waivers import apply_waivers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

    from pipeline.canary import Canary
    from pipeline.params import CandidateName
    from validation.certificate import Certificate
    from validation.comparison import Comparison, Search
    from validation.custody import Survey
    from validation.latency import LatencyEvidence
    from validation.policy import Criterion, Policy, Rulebook, Rules
    from validation.releasing.receipt import Receipt


@dataclass(frozen=True, slots=True)
class GateRequest:
    """Everything that is judged; evidence that is not there is None and makes its checks ERROR where required.

    `for_release` protects the base (HALT) and lets waivers speak; `as_of` is the day on which waivers are looked at;
    `attempt` counts decisions; `inputs` are the files from which that evidence was read.
    """

    corpora: list[CorpusRequest]
    latency: LatencyEvidence | None
    training: TrainingEvidence | None
    certificate: Certificate | None
    drill: Receipt | None
    custody: Survey | None
    canaries: dict[CandidateName, Canary]
    for_release: bool
    as_of: date
    attempt: int | None = None
    inputs: tuple[Input, ...] = ()


@dataclass(slots=True)
class CorpusFindings:
    """What was found on one corpus; without a comparison where its evidence cannot be trusted."""

    request: CorpusRequest
    corpus: CorpusEvidence
    stores: dict[CandidateName, StoreEvidence]
    declared: list[Key]
    executed: list[Check]
    compared: tuple[Comparison, list[SliceResult]] | None = None
    search: Search = field(default_factory=LocalSearch)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision with everything that it rests on."""

    decision: Decision
    ledger: list[Check]
    findings: list[CorpusFindings]
    inputs: list[Input]


def judge(
    request: GateRequest,
    rulebook: Rulebook,
    rules: Rules,
    announce: Callable[[str], None],
    engine: Engine | None = None,
) -> Judgement:
    """Judge base and candidate over every corpus; `announce` is told what is being looked at.

    Without `engine`, all of it is done in this process.

    Raises:
        InputError: a corpus or gold set is malformed, so nothing can be judged.
    """
    engine = engine or Engine(ExpectationRunner(rulebook.suites), LocalSearch())
    findings = [judge_corpus(corpus, request, rulebook.policy, rules, engine, announce) for corpus in request.corpora]
    declared = [key for found in findings for key in found.declared]
    executed = [check for found in findings for check in found.executed]
    inputs = [*list_inputs(rulebook, ((found.corpus, found.stores.values()) for found in findings)), *request.inputs]
    declared += [(check, WHOLE) for check in rules.list_whole()]
    executed += check_preconditions(request, rulebook, rules, findings, inputs)
    ledger = complete_ledger(declared, executed)
    if request.for_release:
        ledger = apply_waivers(ledger, rulebook.policy.waivers, request.as_of)
    return Judgement(decide(ledger, protects_base=request.for_release), ledger, findings, inputs)


def judge_corpus(
    request: CorpusRequest,
    whole: GateRequest,
    policy: Policy,
    rules: Rules,
    engine: Engine,
    announce: Callable[[str], None],
) -> CorpusFindings:
    """Look at one corpus with both its stores and compare their answers."""
    corpus = load_corpus(request)
    announce(f"corpus {corpus.name}")
    declared = list(declare_checks(corpus, request, whole, policy, rules))
    executed = check_corpus(corpus, policy.limits, engine.runner)
    stores, checks = check_stores(request, corpus, policy.limits, engine.runner, announce)
    if rules.canary in {check for check, _ in declared}:
        limit = policy.limits.canary_similarity
        for store in stores.values():
            checks += check_canary(rules.canary, store, corpus, whole.canaries.get(store.role), limit)
    announce(f"training pairs against {corpus.name}")
    found = CorpusFindings(request, corpus, stores, declared, executed + checks, search=engine.search)
    if (rules.leak, corpus.name) in declared:
        found.executed.append(check_leak(rules.leak, corpus, whole.training, policy.limits.leak_similarity))
    if len(stores) == len(ROLES):
        found.executed += check_latencies(found, whole.latency, policy, rules)
    announce(f"retrieval on {corpus.name}")
    needed = {*rules.integrity, *rules.vectors}
    blocking = next((check for check in checks if check.outcome is not Outcome.PASS and check.id in needed), None)
    if blocking is not None:
        found.executed += [block(key, blocking) for key in list_retrieval_keys(request, rules, declared)]
    else:
        found.compared = compare_retrieval(corpus, stores, policy, engine.search)
        found.executed += check_answers(*found.compared, request, policy, rules, declared)
    return found


def load_corpus(request: CorpusRequest) -> CorpusEvidence:
    """Read a corpus and its gold set. Raises `InputError` for anything malformed: nothing can then be judged."""
    chunks = load_chunks(request.chunks)
    return CorpusEvidence(
        name=chunks.corpus,
        total=request.total if request.total is not None else chunks.total,
        chunks=chunks,
        gold=load_gold(request.questions, request.qrels, chunks),
        chunks_path=request.chunks,
        questions_path=request.questions,
        qrels_path=request.qrels,
        chunks_sha256=compute_sha256(request.chunks),
        questions_sha256=compute_sha256(request.questions),
        qrels_sha256=compute_sha256(request.qrels),
    )


def declare_checks(
    corpus: CorpusEvidence, request: CorpusRequest, whole: GateRequest, policy: Policy, rules: Rules
) -> Iterator[Key]:
    """List every check that must report for a corpus; an optional one only where its evidence is given."""
    name, left_out = corpus.name, _list_left_out(corpus, whole, policy, rules)
    vectors = [*rules.vectors, *({rules.canary} - left_out)]
    yield from ((check, name) for check in rules.corpus)
    for role in ROLES:
        subject = f"{role}/{name}"
        yield from ((check, subject) for check in rules.integrity if check != "INT104")
        yield from ((check, f"{subject}/{part}") for part in ("passages", "questions") for check in vectors)
        yield from ((check, subject) for check in rules.database)
    if "INT104" in rules.integrity:
        yield ("INT104", name)
    ids = [criterion.check for criterion in list_criteria(request, rules)]
    ids += [rules.floor] if request.primary and rules.floor else []
    ids += [rules.slices.loss, rules.slices.collapse, *rules.latency.values(), rules.leak]
    yield from ((check, name) for check in ids if check not in left_out)


def _list_left_out(corpus: CorpusEvidence, whole: GateRequest, policy: Policy, rules: Rules) -> set[str]:
    limits = policy.limits
    sizes = [len(places) for places in find_slices(corpus, limits.slice_fields).values()]
    missing = set() if whole.training else {rules.leak}
    missing |= set() if whole.canaries else {rules.canary}
    missing |= set() if max(sizes, default=0) >= limits.slice_min else {rules.slices.loss, rules.slices.collapse}
    return missing & set(rules.optional)


def list_criteria(request: CorpusRequest, rules: Rules) -> list[Criterion]:
    """Return the criteria of a corpus: the primary one carries superiority, every other must not be worse."""
    return rules.primary if request.primary else rules.secondary


def list_retrieval_keys(request: CorpusRequest, rules: Rules, declared: list[Key]) -> list[Key]:
    """Return the declared checks that need both stores' answers."""
    ids = {criterion.check for criterion in list_criteria(request, rules)}
    ids |= {rules.slices.loss, rules.slices.collapse} | ({rules.floor} if rules.floor else set())
    return [key for key in declared if key[0] in ids]


def compare_retrieval(
    corpus: CorpusEvidence, stores: dict[CandidateName, StoreEvidence], policy: Policy, search: Search
) -> tuple[Comparison, list[SliceResult]]:
    """Let both stores answer every gold question, and compare them on the whole and on every slice."""
    base, candidate = (build_answers(search.rank_relevant(stores[role], corpus)) for role in ROLES)
    comparison = compare_answers(build_design(corpus, policy), base, candidate)
    return comparison, judge_slices(comparison, policy)


def check_answers(
    comparison: Comparison,
    slices: list[SliceResult],
    request: CorpusRequest,
    policy: Policy,
    rules: Rules,
    declared: list[Key],
) -> list[Check]:
    """Return every declared check that needs nothing but both stores' answers."""
    checks = [check_criterion(criterion, comparison, policy) for criterion in list_criteria(request, rules)]
    if request.primary and rules.floor:
        checks.append(check_floor(rules.floor, comparison, policy.limits.recall_floor))
    checks += check_slices(rules.slices, slices, comparison.corpus.name, policy)
    return [check for check in checks if check.key in declared]


def check_latencies(
    found: CorpusFindings, evidence: LatencyEvidence | None, policy: Policy, rules: Rules
) -> list[Check]:
    """Judge the latency of each operation by the ratio's interval."""
    settings = policy.statistics
    digests = collect_digests(found.stores["base"].manifest, found.stores["qlora"].manifest)
    return [
        check_latency(
            check,
            operation,
            evidence,
            digests,
            found.corpus.name,
            limit=policy.limits.latency_ratio,
            level=settings.level,
            resamples=settings.resamples,
            seed=settings.seed,
        )
        for operation, check in rules.latency.items()
    ]
