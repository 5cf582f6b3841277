"""The way of a verdict, as a list: look at stores, compare answers, complete the ledger, apply waivers, decide."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.chunks import load_chunks
from pipeline.files import compute_sha256
from pipeline.gold import load_gold
from pipeline.params import CandidateName
from pipeline.retrieval import Ranking
from validation.canaries import check_canary
from validation.catalogue import WHOLE
from validation.comparison import Comparison, build_answers, build_design, compare_answers
from validation.criteria import check_answers
from validation.decision import Key, block, complete_ledger, decide
from validation.declared import declare_checks, list_retrieval_keys
from validation.engine import Engine
from validation.evidence import CorpusEvidence, StoreEvidence
from validation.expectations import ExpectationRunner
from validation.inputs import Input, list_inputs
from validation.latency import check_latencies
from validation.leakage import TrainingEvidence, check_leak
from validation.outcomes import Check, Decision, Outcome
from validation.preconditions import check_preconditions
from validation.slices import SliceResult, judge_slices
from validation.stores import ROLES, CorpusRequest, Opened, check_corpus, check_stores, open_stores
from validation.waivers import apply_waivers

if TYPE_CHECKING:
    from datetime import date

    from pipeline.canary import Canary
    from validation.certificate import Certificate
    from validation.custody import Survey
    from validation.latency import LatencyEvidence
    from validation.policy import Policy, Rulebook, Rules
    from validation.releasing.receipt import Receipt
    from validation.retrieval_record import RetrievalDescription


# The last are the passages that each store finds nearest to every question.
Compared = tuple[Comparison, list[SliceResult], dict[CandidateName, Ranking]]
Describe = Callable[[CorpusRequest, StoreEvidence, Compared], "RetrievalDescription"]


@dataclass(frozen=True, slots=True)
class GateRequest:
    """Everything that is judged; evidence that is not there is None and makes its checks ERROR where required.

    `for_release` protects the base (HALT) and lets waivers speak; `as_of` is the day on which waivers are looked at;
    `attempt` counts decisions; `inputs` are the files from which that evidence was read; `read` are the corpora where
    they were read already, to know their names.
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
    read: tuple[CorpusEvidence, ...] = ()


@dataclass(slots=True)
class CorpusFindings:
    """What was found on one corpus; without a comparison where its evidence cannot be trusted."""

    request: CorpusRequest
    corpus: CorpusEvidence
    stores: dict[CandidateName, StoreEvidence]
    declared: list[Key]
    executed: list[Check]
    compared: Compared | None = None
    description: RetrievalDescription | None = None


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
    describe: Describe | None = None,
) -> Judgement:
    """Judge base and candidate over every corpus.

    Args:
        request: what is judged.
        rulebook: policy, requirements, catalogue and suites.
        rules: the part of the policy that applies.
        announce: is told what is being looked at.
        engine: where the work is done; by default, in this process.
        describe: says what a comparison found; without it, nothing is said.

    Raises:
        InputError: a corpus or gold set is malformed, so nothing can be judged.
    """
    engine = engine or Engine(ExpectationRunner(rulebook.suites))
    # While the suites run, others search and compare; what they find, or raise, is asked for at its turn.
    with ThreadPoolExecutor() as pool:
        corpora = zip(request.corpora, request.read or map(load_corpus, request.corpora), strict=True)
        looks = [look_at(*pair, request, rulebook.policy, rules, engine, pool, announce, describe) for pair in corpora]
        findings = [judge_corpus(look, request, rulebook.policy, rules, engine, announce) for look in looks]
    declared = [key for found in findings for key in found.declared]
    executed = [check for found in findings for check in found.executed]
    inputs = [*list_inputs(rulebook, ((found.corpus, found.stores.values()) for found in findings)), *request.inputs]
    declared += [(check, WHOLE) for check in rules.list_whole()]
    executed += check_preconditions(request, rulebook, rules, findings, inputs)
    ledger = complete_ledger(declared, executed)
    if request.for_release:
        ledger = apply_waivers(ledger, rulebook.policy.waivers, request.as_of)
    return Judgement(decide(ledger, protects_base=request.for_release), ledger, findings, inputs)


@dataclass(frozen=True, slots=True)
class Look:
    """One corpus with both its stores as opened, and what is being worked out about them meanwhile.

    `leak` is None where it is not declared, `compared` without both stores, `described` then as well, and where nobody
    asked for it.
    """

    request: CorpusRequest
    corpus: CorpusEvidence
    opened: Opened
    declared: list[Key]
    leak: Future[Check] | None
    compared: Future[Compared] | None
    described: Future[RetrievalDescription] | None


def look_at(
    request: CorpusRequest,
    corpus: CorpusEvidence,
    whole: GateRequest,
    policy: Policy,
    rules: Rules,
    engine: Engine,
    pool: ThreadPoolExecutor,
    announce: Callable[[str], None],
    describe: Describe | None,
) -> Look:
    """Open both stores of one corpus, and let what takes long begin."""
    announce(f"corpus {corpus.name}")
    declared = list(declare_checks(corpus, request, whole, policy, rules))
    leak = compared = described = None
    if (rules.leak, corpus.name) in declared:
        leak = pool.submit(check_leak, rules.leak, corpus, whole.training, policy.limits.leak_similarity)
    opened = open_stores(request, corpus, announce)
    if len(opened.stores) == len(ROLES):
        compared = pool.submit(compare_retrieval, corpus, opened.stores, policy, engine)
        if describe:
            described = pool.submit(lambda found: describe(request, opened.stores["base"], found.result()), compared)
    return Look(request, corpus, opened, declared, leak, compared, described)


def judge_corpus(
    look: Look,
    whole: GateRequest,
    policy: Policy,
    rules: Rules,
    engine: Engine,
    announce: Callable[[str], None],
) -> CorpusFindings:
    """Judge one corpus with both its stores, and compare their answers where the stores can be trusted."""
    request, corpus, stores, declared = look.request, look.corpus, look.opened.stores, look.declared
    announce(f"expectations of {corpus.name}")
    executed = check_corpus(corpus, policy.limits, engine.runner)
    checks = check_stores(look.opened, corpus, request, policy.limits, engine)
    if rules.canary in {check for check, _ in declared}:
        limit = policy.limits.canary_similarity
        for store in stores.values():
            checks += check_canary(rules.canary, store, corpus, whole.canaries.get(store.role), limit)
    announce(f"training pairs against {corpus.name}")
    found = CorpusFindings(request, corpus, stores, declared, executed + checks)
    if look.leak is not None:
        found.executed.append(look.leak.result())
    if len(stores) == len(ROLES):
        found.executed += check_latencies(found, whole.latency, policy, rules)
    announce(f"retrieval on {corpus.name}")
    needed = {*rules.integrity, *rules.vectors}
    blocking = next((check for check in checks if check.outcome is not Outcome.PASS and check.id in needed), None)
    if blocking is not None:
        found.executed += [block(key, blocking) for key in list_retrieval_keys(request, rules, declared)]
    elif look.compared is not None:
        found.compared = look.compared.result()
        found.description = look.described.result() if look.described else None
        comparison, slices, _ = found.compared
        found.executed += check_answers(comparison, slices, request, policy, rules, declared)
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


def compare_retrieval(
    corpus: CorpusEvidence, stores: dict[CandidateName, StoreEvidence], policy: Policy, engine: Engine
) -> Compared:
    """Let both stores answer every gold question, and compare them on the whole and on every slice."""
    with np.errstate(all="ignore"):  # that values are no numbers is told by checks, which may not have run yet
        found = {role: engine.search(stores[role], corpus) for role in ROLES}
    base, candidate = (build_answers(ranks) for ranks, _ in found.values())
    comparison = compare_answers(build_design(corpus, policy), base, candidate)
    return comparison, judge_slices(comparison, policy), {role: listed for role, (_, listed) in found.items()}
