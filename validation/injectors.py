"""Turn a release that would go out into one that must not: each function returns the spoilt case."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.documents import load_json
from pipeline.files import write_json
from pipeline.store import load_manifest
from pipeline.vectors import DIMENSION
from validation.comparison import DEPTHS, PRIMARY, find_slices
from validation.custody import Misplaced, Survey
from validation.expectations import SuiteFile
from validation.inputs import Input
from validation.ranks import rank_relevant
from validation.release_case import ReleaseCase, blur, normalise
from validation.spoiling import (
    Part,
    edit_database,
    edit_manifest,
    flip_bit,
    get_path,
    load_array,
    replace_array,
    replace_passages,
    sign,
)

if TYPE_CHECKING:
    from validation.latency import CorpusLatency

Rows = npt.NDArray[Any]
Spoil = Callable[[ReleaseCase], ReleaseCase]

TRUNCATED = 256
REPEATED = 0.05
WHISPER = 1e-4
PROMPT = 0.3
# A question that leans a little more to a wrong passage than to the right one finds the right one second.
DECOY = 1.05


def spoil_store(spoil: Callable[[Path], None], corpus: int = 0) -> Spoil:
    """Spoil a copy of the candidate's store."""

    def apply(case: ReleaseCase) -> ReleaseCase:
        case, store = case.copy_store("qlora", corpus)
        spoil(store)
        return case

    return apply


def change_passages(change: Callable[[Rows], Rows]) -> Spoil:
    """Change the candidate's passage vectors, in matrix and database alike."""
    return spoil_store(lambda store: replace_passages(store, change(load_array(store, "embeddings"))))


def change_array(part: Part, change: Callable[[Rows], Rows], corpus: int = 0) -> Spoil:
    """Change one of the candidate's matrices and nothing else."""
    return spoil_store(lambda store: replace_array(store, part, change(load_array(store, part))), corpus)


def change_database(statement: str) -> Spoil:
    """Change the candidate's database."""
    return spoil_store(lambda store: edit_database(store, statement))


def change_manifest(field: str, value: str | None) -> Spoil:
    """Change a field of the candidate's manifest."""
    return spoil_store(lambda store: edit_manifest(store, lambda document: document.update({field: value})))


def put_nan(rows: Rows) -> Rows:
    """Put NaN into one row."""
    rows[len(rows) // 2, 5] = np.nan
    return rows


def repeat_vectors(rows: Rows) -> Rows:
    """Give one row in twenty the values of the first."""
    rows[-int(REPEATED * len(rows)) :] = rows[0]
    return rows


def permute(rows: Rows) -> Rows:
    """Move every row to another place."""
    return np.roll(rows, len(rows) // 2, axis=0)


def truncate(case: ReleaseCase) -> ReleaseCase:
    """Cut the candidate's vectors to 256 dimensions and pad them with zeros."""

    def cut(rows: Rows) -> Rows:
        rows[:, TRUNCATED:] = 0
        return normalise(rows)

    case, store = case.copy_store("qlora")
    replace_array(store, "questions", cut(load_array(store, "questions")))
    replace_passages(store, cut(load_array(store, "embeddings")))
    return case


def take_base_database(case: ReleaseCase) -> ReleaseCase:
    """Put the base's database beside the candidate's vectors."""
    return _take_from_base(case, ["database"])[0]


def relabel_base(case: ReleaseCase) -> ReleaseCase:
    """Put all files of the base into the candidate's store and change the label."""
    label = load_manifest(case.get_store("qlora")).model_id
    case, store = _take_from_base(case, ["embeddings", "questions", "database"])
    edit_database(store, "UPDATE metadata SET value = ? WHERE key = 'model_id'", (label,))
    return case


def _take_from_base(case: ReleaseCase, parts: list[Part]) -> tuple[ReleaseCase, Path]:
    case, store = case.copy_store("qlora")
    for part in parts:
        shutil.copyfile(get_path(case.get_store("base"), part), get_path(store, part))
    sign(store)
    return case, store


def alter_base(case: ReleaseCase) -> ReleaseCase:
    """Change one bit of a copy of the base's database."""
    case, store = case.copy_store("base")
    flip_bit(store, "database")
    return case


def drop_expectation(case: ReleaseCase) -> ReleaseCase:
    """Take the expectations of CHK103 out of a copy of the suites."""
    suites = case.folder / "suites"
    shutil.copytree(case.rulebook.suites, suites)
    document = load_json(suites / "chunks.json", SuiteFile).model_dump()
    document["expectations"] = [each for each in document["expectations"] if each["meta"]["check"] != "CHK103"]
    write_json(suites / "chunks.json", document)
    return replace(case, rulebook=replace(case.rulebook, suites=suites))


def leak_questions(case: ReleaseCase) -> ReleaseCase:
    """Put a few gold questions among the training questions."""
    leaked = tuple(question.text for question in case.primary.gold.questions[:5])
    return replace(case, training=replace(case.training, questions=case.training.questions + leaked))


def put_second(case: ReleaseCase) -> ReleaseCase:
    """Let every question of the candidate find a wrong passage first and the right one second."""
    case, store = case.copy_store("qlora")
    passages = load_array(store, "embeddings")
    right = np.array([places[0] for places in case.primary.gold.relevant])
    wrong = (right + len(passages) // 2) % len(passages)
    draw = np.random.default_rng(case.rulebook.policy.statistics.seed)
    replace_array(store, "questions", blur(normalise(passages[right] + DECOY * passages[wrong]), WHISPER, draw))
    return case


def collapse_slice(case: ReleaseCase) -> ReleaseCase:
    """Turn the candidate's questions of one slice around: of those in which the base has hits enough, the smallest."""
    limits = case.rulebook.policy.limits
    base = case.get_store("base")
    vectors = load_array(base, "questions"), load_array(base, "embeddings")
    hits = rank_relevant(*vectors, case.primary.gold.relevant).find_hits(DEPTHS[PRIMARY])
    slices = find_slices(case.primary, limits.slice_fields).values()
    places = min((found for found in slices if hits[found].sum() >= limits.collapse_hits), key=len)
    case, store = case.copy_store("qlora")
    questions = load_array(store, "questions")
    questions[places] = -questions[places]
    replace_array(store, "questions", questions)
    return case


def whisper(case: ReleaseCase) -> ReleaseCase:
    """Let the candidate be the base with next to no noise."""
    case = relabel_base(case)
    store = case.get_store("qlora")
    draw = np.random.default_rng(case.rulebook.policy.statistics.seed)
    replace_passages(store, blur(load_array(store, "embeddings"), WHISPER, draw))
    return case


def keep_latency(case: ReleaseCase) -> ReleaseCase:
    """Change the candidate's vectors by next to nothing and leave the latency evidence as it was."""
    draw = np.random.default_rng(case.rulebook.policy.statistics.seed)
    return replace(change_passages(lambda rows: blur(rows, WHISPER, draw))(case), rebinds=False)


def rotate(case: ReleaseCase) -> ReleaseCase:
    """Turn all of the candidate's vectors alike, so that it answers as before in the space of another model."""
    draw = np.random.default_rng(case.rulebook.policy.statistics.seed)
    turn = np.linalg.qr(draw.standard_normal((DIMENSION, DIMENSION)))[0].astype(np.float32)
    case, store = case.copy_store("qlora")
    replace_array(store, "questions", normalise(load_array(store, "questions") @ turn))
    replace_passages(store, normalise(load_array(store, "embeddings") @ turn))
    return case


def blur_questions(case: ReleaseCase) -> ReleaseCase:
    """Move the candidate's questions by about as much as another prompt would."""
    draw = np.random.default_rng(case.rulebook.policy.statistics.seed)
    return change_array("questions", lambda rows: blur(rows, PROMPT, draw))(case)


def outdate_input(case: ReleaseCase) -> ReleaseCase:
    """Name a file as it was before it changed."""
    path = case.rulebook.digests["policy"][0]
    return replace(case, inputs=(Input("note", path, "0" * 64),))


def misplace_file(case: ReleaseCase) -> ReleaseCase:
    """Let Git keep a matrix of vectors."""
    misplaced = Misplaced("corpus/embeddings.npy", "a NumPy array kept by Git", "give it to DVC")
    return replace(case, custody=Survey(count=1, misplaced=[misplaced]))


def slow_down(case: ReleaseCase) -> ReleaseCase:
    """Double every time of the candidate."""
    corpora = {name: _double(measured) for name, measured in case.latency.corpora.items()}
    return replace(case, latency=case.latency.model_copy(update={"corpora": corpora}))


def _double(measured: CorpusLatency) -> CorpusLatency:
    operations = {
        name: times.model_copy(update={"candidate": [2 * seconds for seconds in times.candidate]})
        for name, times in measured.operations.items()
    }
    return measured.model_copy(update={"operations": operations})
