"""The way of a verdict, as a list: open both stores, integrity, expectations, retrieval, ledger, decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.chunks import load_chunks
from pipeline.files import compute_sha256
from pipeline.gold import load_gold
from validation.comparison import Comparison, check_criterion, check_floor, compare_stores
from validation.decision import Key, block, complete_ledger, decide
from validation.evidence import CorpusEvidence, StoreEvidence, collect_store
from validation.expectations import ExpectationRunner, list_parameters
from validation.frames import build_chunk_frame, build_database_frame, build_metadata_frame, build_vector_frame
from validation.outcomes import Check, Decision, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.params import CandidateName
    from validation.policy import Criterion, Policy, Rules

ROLES: tuple[CandidateName, CandidateName] = ("base", "qlora")


@dataclass(frozen=True, slots=True)
class CorpusRequest:
    """One corpus to judge: its texts, its gold set, and the stores of base and candidate.

    `total` and `model_ids` are what params.yaml declares; None where stores come from elsewhere.
    """

    chunks: Path
    questions: Path
    qrels: Path
    stores: dict[CandidateName, Path]
    primary: bool
    total: int | None
    model_ids: dict[CandidateName, str] | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision with everything that it rests on."""

    decision: Decision
    ledger: list[Check]
    comparisons: list[Comparison]
    corpora: list[CorpusEvidence]
    stores: list[StoreEvidence]


def judge(
    requests: list[CorpusRequest], policy: Policy, rules: Rules, *, for_release: bool, announce: Callable[[str], None]
) -> Judgement:
    """Judge base and candidate over every corpus; `announce` is told what is being looked at."""
    runner = ExpectationRunner()
    declared: list[Key] = []
    executed: list[Check] = []
    comparisons: list[Comparison] = []
    corpora: list[CorpusEvidence] = []
    stores: list[StoreEvidence] = []
    for request in requests:
        corpus = load_corpus(request)
        corpora.append(corpus)
        criteria = rules.primary if request.primary else rules.secondary
        floor = rules.floor if request.primary else None
        declared += declare_checks(corpus.name, rules, criteria, floor)
        announce(f"corpus {corpus.name}")
        executed += check_corpus(corpus, policy, runner)
        pair, checks = check_stores(request, corpus, policy, runner, announce)
        executed += checks
        stores += pair.values()
        announce(f"retrieval on {corpus.name}")
        comparison, checks = check_retrieval(pair, corpus, policy, criteria, floor, checks)
        executed += checks
        comparisons += [comparison] if comparison else []
    ledger = complete_ledger(declared, executed)
    return Judgement(decide(ledger, protects_base=for_release), ledger, comparisons, corpora, stores)


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
    )


def declare_checks(corpus: str, rules: Rules, criteria: list[Criterion], floor: str | None) -> Iterator[Key]:
    """List every check that must report for a corpus."""
    yield from ((check, corpus) for check in rules.corpus)
    for role in ROLES:
        subject = f"{role}/{corpus}"
        yield from ((check, subject) for check in rules.integrity if check != "INT104")
        yield from ((check, f"{subject}/{part}") for part in ("passages", "questions") for check in rules.vectors)
        yield from ((check, subject) for check in rules.database)
    if "INT104" in rules.integrity:
        yield ("INT104", corpus)
    yield from list_retrieval_keys(corpus, criteria, floor)


def list_retrieval_keys(corpus: str, criteria: list[Criterion], floor: str | None) -> list[Key]:
    """List the checks that need both stores' answers."""
    ids = [criterion.check for criterion in criteria] + ([floor] if floor else [])
    return [(check, corpus) for check in ids]


def check_corpus(corpus: CorpusEvidence, policy: Policy, runner: ExpectationRunner) -> list[Check]:
    """Run the expectations over the chunks."""
    parameters = list_parameters(policy.limits, rows=corpus.total, model_id="", corpora=[corpus.name])
    return runner.run("chunks", corpus.name, build_chunk_frame(corpus.chunks), parameters)


def check_stores(
    request: CorpusRequest,
    corpus: CorpusEvidence,
    policy: Policy,
    runner: ExpectationRunner,
    announce: Callable[[str], None],
) -> tuple[dict[CandidateName, StoreEvidence], list[Check]]:
    """Open both stores and run integrity checks and expectations over each that can be trusted."""
    stores: dict[CandidateName, StoreEvidence] = {}
    checks: list[Check] = []
    for role in ROLES:
        announce(f"store {role} of {corpus.name}")
        store, found = collect_store(role, request.stores[role], corpus)
        checks += found
        if store is not None:
            stores[role] = store
            checks += check_store(store, corpus, request, policy, runner)
    if len(stores) == len(ROLES):
        checks.append(check_distinct(stores["base"], stores["qlora"], corpus.name))
    return stores, checks


def check_store(
    store: StoreEvidence, corpus: CorpusEvidence, request: CorpusRequest, policy: Policy, runner: ExpectationRunner
) -> list[Check]:
    """Run model identity and the expectations over one store's matrices and database."""
    model_id = request.model_ids[store.role] if request.model_ids else store.manifest.model_id
    checks = [check_model(store, model_id)] if request.model_ids else []
    for part, vectors, rows in (
        ("passages", store.passages, corpus.total),
        ("questions", store.questions, len(corpus.gold.questions)),
    ):
        parameters = list_parameters(policy.limits, rows=rows, model_id=model_id, corpora=[corpus.name])
        checks += runner.run("vectors", f"{store.subject}/{part}", build_vector_frame(vectors), parameters)
    parameters = list_parameters(policy.limits, rows=corpus.total, model_id=model_id, corpora=[corpus.name])
    checks += runner.run("database", store.subject, build_database_frame(store, corpus.chunks), parameters)
    return checks + runner.run("metadata", store.subject, build_metadata_frame(store), parameters)


def check_model(store: StoreEvidence, expected: str) -> Check:
    """Check that a store was made by the model that params.yaml names, and that the pipeline saw it happen (INT105)."""
    found = store.manifest.model_id
    if store.manifest.model is None:
        return Check("INT105", store.subject, Outcome.ERROR, found, expected, detail="vectors of unknown provenance")
    if found != expected:
        return Check("INT105", store.subject, Outcome.ERROR, found, expected, detail=f"made by {found}")
    return Check("INT105", store.subject, Outcome.PASS, found, expected)


def check_distinct(base: StoreEvidence, candidate: StoreEvidence, corpus: str) -> Check:
    """Check that the candidate's vectors are not the base's, byte for byte (INT104)."""
    digests = [store.manifest.files.embeddings.sha256 for store in (base, candidate)]
    same = digests[0] == digests[1]
    return Check(
        id="INT104",
        subject=corpus,
        outcome=Outcome.ERROR if same else Outcome.PASS,
        observed=digests[1],
        limit=f"not {digests[0]}",
        detail="candidate and base hold the same vectors: there is nothing to compare" if same else None,
    )


def check_retrieval(
    stores: dict[CandidateName, StoreEvidence],
    corpus: CorpusEvidence,
    policy: Policy,
    criteria: list[Criterion],
    floor: str | None,
    checks: list[Check],
) -> tuple[Comparison | None, list[Check]]:
    """Compare both stores' answers, or say which failed check stands in the way."""
    blocking = next((check for check in checks if check.outcome is not Outcome.PASS and _is_needed(check)), None)
    if blocking is not None:
        return None, [block(key, blocking) for key in list_retrieval_keys(corpus.name, criteria, floor)]
    comparison = compare_stores(stores["base"], stores["qlora"], corpus, policy.statistics)
    found = [check_criterion(criterion, comparison, policy) for criterion in criteria]
    found += [check_floor(floor, comparison, policy.limits.recall_floor)] if floor else []
    return comparison, found


def _is_needed(check: Check) -> bool:
    return check.id.startswith(("INT", "VEC"))
