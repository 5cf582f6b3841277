"""The sabotages that the gate must see through: what is spoilt, what must be decided, and by which check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from validation import injectors
from validation.injectors import change_array, change_database, change_manifest, change_passages, spoil_store
from validation.outcomes import Outcome, Verdict
from validation.release_case import normalise
from validation.spoiling import flip_bit

if TYPE_CHECKING:
    from validation.injectors import Spoil

RETRIEVAL = ("RET301", "RET302", "RET303", "RET304", "RET305", "RET306", "RET307", "RET308", "RET309")


@dataclass(frozen=True, slots=True)
class Sabotage:
    """A way to spoil a release that would otherwise go out.

    Attributes:
        verdict, findings: what must be decided, and the check, subject and outcome that must be the reason.
        tolerated: checks that may fail as well, as a consequence.
        corpora: how many of the corpora are judged; the first is the primary one.
    """

    id: str
    title: str
    verdict: Verdict
    findings: tuple[tuple[str, str, Outcome], ...]
    spoil: Spoil
    tolerated: tuple[str, ...] = ()
    corpora: int = 1


def list_sabotages(primary: str, secondary: str | None) -> list[Sabotage]:
    """Return every sabotage that needs no certificate; `secondary` names the corpus that may be unlearnt."""
    found = [*_list_broken_stores(primary), *_list_false_evidence(primary), *_list_bad_answers(primary)]
    if secondary is not None:
        found.append(
            Sabotage("corpus-unlearnt", "the other corpus is unlearnt", Verdict.KEEP,
                     (("RET306", secondary, Outcome.FAIL),),
                     change_array("questions", injectors.permute, corpus=1), RETRIEVAL, corpora=2)
        )  # fmt: skip
    return found


def _list_broken_stores(primary: str) -> list[Sabotage]:
    """Return stores whose bytes are those of their manifest, with content that no store may have."""
    keep, fail = Verdict.KEEP, Outcome.FAIL
    store, passages, questions = f"qlora/{primary}", f"qlora/{primary}/passages", f"qlora/{primary}/questions"
    floor = ("RET307", primary, fail)
    return [
        Sabotage("wrong-dimension", "vectors have 512 dimensions", keep, (("VEC102", passages, fail),),
                 change_passages(lambda rows: normalise(rows[:, :512]))),
        Sabotage("not-a-number", "one vector holds NaN", keep, (("VEC105", passages, fail),),
                 change_passages(injectors.put_nan), ("VEC106",)),
        Sabotage("not-normalised", "lengths are 1.01", keep, (("VEC106", passages, fail),),
                 change_passages(lambda rows: rows * np.float32(1.01))),
        Sabotage("half-precision", "vectors are float16", keep, (("VEC103", passages, fail),),
                 change_passages(lambda rows: rows.astype("<f2")), ("VEC106",)),
        Sabotage("fortran-order", "the matrix is stored by columns", keep, (("VEC104", passages, fail),),
                 change_passages(np.asfortranarray)),
        Sabotage("row-missing", "the last vector is missing", keep, (("VEC101", passages, fail),),
                 change_array("embeddings", lambda rows: rows[:-1]), ("STO204",)),
        Sabotage("repeated-vectors", "one passage in twenty has the vector of the first", keep,
                 (("VEC107", passages, fail),), change_passages(injectors.repeat_vectors)),
        Sabotage("truncated-padded", "vectors are truncated to 256 dimensions and padded with zeros", keep,
                 (("VEC108", passages, fail), ("VEC108", questions, fail)), injectors.truncate),
        Sabotage("rows-permuted", "vectors do not stand in the order of the database", keep,
                 (("STO204", store, fail), floor), change_array("embeddings", injectors.permute), RETRIEVAL),
        Sabotage("pairs-permuted", "vectors and database are permuted alike, against the text", keep,
                 (floor,), change_passages(injectors.permute), RETRIEVAL),
        Sabotage("stale-database", "the database is the base's", keep,
                 (("STO204", store, fail), ("STO208", store, fail)), injectors.take_base_database),
        Sabotage("text-edited", "a passage of the database was edited", keep, (("STO203", store, fail),),
                 change_database("UPDATE chunks SET text = text || ' (sic)' WHERE rowid = 3")),
        Sabotage("count-untrue", "the database tells another number of chunks", keep, (("STO207", store, fail),),
                 change_database("UPDATE metadata SET value = '1' WHERE key = 'total_chunks'")),
        Sabotage("second-label", "the database has a second label", keep, (("STO209", store, fail),),
                 change_database("INSERT INTO metadata VALUES ('Model_id', 'somebody-else')")),
        Sabotage("other-space", "the label is right and the vectors are another model's", keep,
                 (("VEC109", passages, fail), ("VEC109", questions, fail)), injectors.rotate),
        Sabotage("prompt-dropped", "the questions were embedded without their prompt", keep,
                 (("VEC109", questions, fail),), injectors.blur_questions, RETRIEVAL),
    ]  # fmt: skip


def _list_false_evidence(primary: str) -> list[Sabotage]:
    """Return releases of which something is missing, altered, or says what is not so."""
    refuse, error, store = Verdict.NOT_EVALUATED, Outcome.ERROR, f"qlora/{primary}"
    return [
        Sabotage("bit-flipped", "one bit of the vectors changed after the manifest was written", refuse,
                 (("INT101", store, error),), spoil_store(lambda path: flip_bit(path, "embeddings"))),
        Sabotage("other-chunks", "the store was made from other chunks", refuse, (("INT102", store, error),),
                 change_manifest("chunks_sha256", "0" * 64)),
        Sabotage("other-questions", "the store was made for other questions", refuse, (("INT103", store, error),),
                 change_manifest("questions_sha256", "0" * 64)),
        Sabotage("base-relabelled", "the base's store carries the candidate's name", refuse,
                 (("INT104", primary, error),), injectors.relabel_base),
        Sabotage("other-model", "another model made the store", refuse, (("INT105", store, error),),
                 change_manifest("model_id", "somebody-else")),
        Sabotage("unknown-provenance", "nobody saw which model made the vectors", refuse,
                 (("INT105", store, error),), change_manifest("model", None)),
        Sabotage("base-altered", "one bit of the base's database changed", Verdict.HALT,
                 (("INT101", f"base/{primary}", error),), injectors.alter_base),
        Sabotage("check-missing", "a suite lost an expectation, so a check does not report", refuse,
                 (("CHK103", primary, error),), injectors.drop_expectation),
        Sabotage("leaked-questions", "gold questions are among the training questions", refuse,
                 (("TRN101", primary, error),), injectors.leak_questions),
        Sabotage("view-added", "the database holds a view that no export makes", refuse,
                 (("INT106", store, error),), change_database("CREATE VIEW more AS SELECT * FROM chunks")),
        Sabotage("file-misplaced", "Git keeps a matrix of vectors", Verdict.KEEP,
                 (("CUS503", "gate", Outcome.FAIL),), injectors.misplace_file),
        Sabotage("input-changed", "a file changed while it was judged", refuse,
                 (("INT107", "gate", error),), injectors.outdate_input),
        Sabotage("latency-of-others", "the latency was measured on other stores", refuse,
                 (("LAT401", primary, error), ("LAT402", primary, error)), injectors.keep_latency),
    ]  # fmt: skip


def _list_bad_answers(primary: str) -> list[Sabotage]:
    """Return sound stores that answer worse than the base, or later."""
    keep, fail = Verdict.KEEP, Outcome.FAIL
    return [
        Sabotage("shuffled-questions", "every question got another one's vector", keep,
                 (("RET307", primary, fail),), change_array("questions", injectors.permute), RETRIEVAL),
        Sabotage("first-place-lost", "the right passage always comes second", keep, (("RET302", primary, fail),),
                 injectors.put_second, ("RET304", "RET305", "RET308")),
        Sabotage("slice-collapsed", "nothing is found any more in one slice", keep, (("RET309", primary, fail),),
                 injectors.collapse_slice, ("RET308", "RET301", "RET302", "RET303", "RET304", "RET305")),
        Sabotage("nothing-gained", "the candidate is the base with a whisper of noise", keep,
                 (("RET301", primary, Outcome.INCONCLUSIVE),), injectors.whisper),
        Sabotage("twice-as-slow", "the candidate takes twice the time", keep,
                 (("LAT401", primary, fail), ("LAT402", primary, fail)), injectors.slow_down),
    ]  # fmt: skip
