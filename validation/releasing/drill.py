"""Walk the way back before it is needed: release, fall back and go forward again, in a scratch clone and remotes."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.chunks import load_chunks
from pipeline.documents import load_json
from pipeline.errors import PipelineError
from pipeline.gold import load_gold
from pipeline.retrieval import rank_cosine
from pipeline.store import load_manifest
from pipeline.vectors import load_vectors
from validation.ranks import rank_relevant
from validation.releasing.content import build_content
from validation.releasing.drafting import EVIDENCE, Draft
from validation.releasing.errors import ReleaseError
from validation.releasing.events import LOG, NewEvent
from validation.releasing.fallback import fall_back
from validation.releasing.measures import METRICS_FILE, PLOTS
from validation.releasing.opening import require_whole_history
from validation.releasing.publishing import Publication, publish
from validation.releasing.readiness import require_site
from validation.releasing.receipt import RECEIPT, WAY, Answered, Receipt, Step, find_fault, list_drilled
from validation.releasing.release_file import MODELS, RELEASE_FILE, SERVED, load_release
from validation.releasing.repository import Repository
from validation.releasing.served import check_served, read_served
from validation.releasing.switching import GRAPH
from validation.releasing.tracking import Storage, configure_scratch
from validation.releasing.workplace import work_alone
from validation.stores import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.params import Corpus, Params
    from validation.releasing.content import Content
    from validation.releasing.release_file import Release

BRANCH = "main"
DEPTH, HIT_DEPTH = 10, 5


@dataclass(frozen=True, slots=True)
class Course:
    """Where a drill runs, what it releases there, and the corpora whose questions are asked."""

    clone: Repository
    base: Content
    candidate: Content
    corpora: list[Corpus]


def drill(root: Path, params: Params, folder: Path, announce: Callable[[str], None]) -> Receipt:
    """Walk the whole way in `folder`, look at every byte and ask every gold question after each step.

    Raises:
        ReleaseError, StoreError, InputError: a step could not be done, or the way back does not lead back.
    """
    base, candidate = (build_content(role, params, root / "build") for role in ROLES)
    course = Course(prepare_clone(Repository(root), folder), base, candidate, params.corpora)
    acts: dict[str, tuple[Content, Callable[[], object]]] = {
        "release base": (base, lambda: release_content(course, base, announce)),
        "release candidate": (candidate, lambda: release_content(course, candidate, announce)),
        "fall back": (base, lambda: fall_back(course.clone, base.tag, base.tag, push=True)),
        "go forward": (candidate, lambda: fall_back(course.clone, candidate.tag, base.tag, push=True)),
    }
    steps = []
    for act in WAY:
        announce(act)
        steps.append(walk(course, act, *acts[act]))
    receipt = Receipt(schema_version=1, bound_to=bind(base, candidate), steps=steps)
    fault = find_fault(receipt, receipt.bound_to)
    if fault:
        raise ReleaseError(RECEIPT, fault, "nothing can be released; look into it before anyone needs the fallback")
    return receipt


def still_holds(path: Path, root: Path, params: Params) -> bool:
    """Whether there is the report of a drill with the stores and the code as they are now."""
    try:
        contents = [build_content(role, params, root / "build") for role in ROLES]
        return find_fault(load_json(path, Receipt), bind(*contents)) is None
    except PipelineError:
        return False


def bind(*contents: Content) -> dict[str, str]:
    """Return the digests of the code and of every store that is drilled."""
    stores = [(content.role, name, folder) for content in contents for name, folder in content.stores.items()]
    return list_drilled((f"{role}/{name}", load_manifest(folder)) for role, name, folder in stores)


def prepare_clone(project: Repository, folder: Path) -> Repository:
    """Clone what is checked out, with remotes of its own, without what is built and what was released before."""
    require_whole_history(project)
    remote, path = folder / "remote.git", folder / "clone"
    project.git("init", "--quiet", "--bare", str(remote))
    project.git("clone", "--quiet", "--no-tags", "--single-branch", str(project.root), str(path))
    clone = Repository(path)
    for name, value in {"user.name": "drill", "user.email": "drill@localhost"}.items():
        clone.git("config", name, value)
    clone.git("remote", "set-url", "origin", str(remote))
    clone.git("switch", "--quiet", "--force-create", BRANCH)
    past = (RELEASE_FILE, METRICS_FILE, PLOTS, LOG, SERVED / "*.dvc", MODELS / "*.dvc", EVIDENCE, "dvc.yaml", GRAPH)
    clone.git("rm", "--quiet", "-r", "--ignore-unmatch", "--", *map(str, past))
    clone.git("commit", "--quiet", "--allow-empty", "--message", "begin a drill")
    clone.git("push", "--quiet", "origin", BRANCH)
    cache = path / ".dvc" / "cache"
    configure_scratch(path, Storage(cache, "drill", {"drill": {"url": str(folder / "objects")}}), cache)
    return clone


def release_content(course: Course, content: Content, announce: Callable[[str], None]) -> None:
    """Release a candidate the way that a decision does, but without one."""
    events = (NewEvent(event="registered", tag=content.tag), NewEvent(event="released", tag=content.tag))
    draft = Draft(f"release {content.tag}", events, content)
    with work_alone(course.clone):
        publish(course.clone, require_site(course.clone), Publication((draft,), course.base.tag, announce))


def walk(course: Course, act: str, content: Content, do: Callable[[], object]) -> Step:
    """Do one step, then hash what is served and let it answer.

    Raises:
        ReleaseError: something else is served than should be.
    """
    started = time.perf_counter()
    do()
    seconds = time.perf_counter() - started
    release = load_release(course.clone.root)
    check_served(course.clone.root, release)
    if release.tag != content.tag:
        raise ReleaseError(act, f"serves {release.tag}, expected {content.tag}", "look into it before it is needed")
    answers = {corpus.name: answer(course.clone.root, release, corpus, content) for corpus in course.corpora}
    return Step(
        act=act,
        tag=release.tag,
        seconds=round(seconds, 3),
        files=len(release.files),
        size=sum(file.size for file in release.files),
        answers=answers,
    )


def answer(root: Path, release: Release, corpus: Corpus, content: Content) -> Answered:
    """Let a served database answer the gold questions, embedded when the store was built."""
    served = release.corpora[corpus.name]
    gold = load_gold(corpus.questions, corpus.qrels, load_chunks(root / served.chunks))
    store = content.stores[corpus.name]
    questions = load_vectors(store / load_manifest(store).files.questions.name, rows=len(gold.questions))
    passages, _ = read_served(root, served)
    ranks = rank_relevant(questions, passages, gold.relevant)
    nearest = np.ascontiguousarray(rank_cosine(questions, passages, DEPTH), dtype="<i8")
    return Answered(
        questions=len(gold.questions),
        hits=int(np.count_nonzero(ranks.count_found(HIT_DEPTH))),
        sha256=hashlib.sha256(nearest.tobytes()).hexdigest(),
    )
