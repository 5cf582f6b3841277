"""Every fault of the catalogue as data: how it is made, what must be decided, and which check must be the reason.

A fault that may be made before or after the manifest was written appears once for each, such as A2a and A2b: bytes that
differ from the manifest are an ERROR, bytes that do not and break a requirement a FAIL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.database_rows import PAGE_BYTES
from tests.faults import injectors
from tests.faults.injectors import (
    after,
    append,
    before,
    change_database,
    change_matrix,
    change_passages,
    change_policy,
    change_text,
    cut,
    put,
    spoil_store,
    swap,
    take,
)
from tests.faults.judging import BOUNDARY, READER
from tests.stores import flip_bit, get_path
from validation import injectors as sabotages
from validation.outcomes import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.faults.injectors import Inject

When = Literal["before", "after", ""]
Group = Literal["A", "B", "C", "D", "E", "F", "G", "H", "I"]
Characteristic = Literal[
    "integrity", "authenticity", "faultlessness", "fault tolerance", "recoverability", "functional correctness",
    "confidentiality", "resource utilization", "time behaviour",
]  # fmt: skip

FAIL, ERROR, PASS = Outcome.FAIL, Outcome.ERROR, Outcome.PASS
KEEP, REFUSED, HALT, RELEASE = Verdict.KEEP, Verdict.NOT_EVALUATED, Verdict.HALT, Verdict.RELEASE

STORE, PASSAGES, QUESTIONS = "qlora/fr", "qlora/fr/passages", "qlora/fr/questions"
# What vectors that are not those of their texts may lead to as well.
ANSWERS = ("RET301", "RET302", "RET303", "RET304", "RET305", "RET307", "RET308", "RET309")
OTHER_BYTES = "SHA-256 differs"
NO_ARRAY = "expected a NumPy .npy file, got other bytes"
POINTER = b"outs:\n- md5: 0123456789abcdef0123456789abcdef\n  size: 5704832\n  hash: md5\n  path: embeddings.npy\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 5704832\n"

# Every fault that there is to cover, by group.
ALL_IDS: tuple[str, ...] = tuple(
    f"{group}{number}"
    for group, numbers in {
        "A": range(1, 21),
        "B": range(1, 21),
        "C": range(1, 7),
        "D": range(1, 17),
        "E": range(1, 17),
        "F": range(1, 12),
        "G": (*range(1, 8), 9, 10, 12, 13, 14),
        "H": range(1, 9),
        "I": range(1, 7),
    }.items()
    for number in numbers
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can go wrong.

    Attributes:
        id: name in the catalogue, with a letter where it is made in several ways.
        when: before or after the manifest was written, empty where that does not apply.
        outcome, check, subject, said: of the finding that must be the reason, and what its detail must say;
            PASS where nothing may be found.
        verdict: what must be decided.
        characteristic: of ISO/IEC 25010, to which the fault is a threat.
        inject: how the fault gets into a release; None where it is covered elsewhere.
        also: checks that may find it too, as a consequence.
        covered_by: tests that cover it elsewhere, as `module::function`.
    """

    id: str
    title: str
    group: Group
    when: When
    outcome: Outcome
    check: str
    subject: str
    verdict: Verdict
    characteristic: Characteristic
    inject: Inject | None = None
    said: str = ""
    also: tuple[str, ...] = ()
    covered_by: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        """The name in the catalogue, without the letter of the way in which it is made."""
        return self.id.rstrip("abcdefgh")


def untrusted(name: str, title: str, said: str, inject: Inject, characteristic: Characteristic = "integrity") -> Fault:
    """Return a fault after the manifest: bytes of the store differ from it."""
    return Fault(
        name, title, get_group(name), "after", ERROR, "INT101", STORE, REFUSED, characteristic, inject, said
    )  # fmt: skip


def unreadable(name: str, title: str, said: str, inject: Inject, check: str = "INT106") -> Fault:
    """Return a fault before the manifest that leaves nothing that may be read, or that no export makes."""
    return Fault(name, title, get_group(name), "before", ERROR, check, STORE, REFUSED, "integrity", inject, said)


def broken(
    name: str, title: str, check: str, subject: str, inject: Inject, also: Iterable[str] = (), said: str = ""
) -> Fault:
    """Return a fault before the manifest: trusted bytes that break a requirement."""
    group = get_group(name)
    also = (*also, "VEC109") if check != "VEC109" else tuple(also)
    return Fault(name, title, group, "before", FAIL, check, subject, KEEP, "functional correctness", inject, said, also)


def refused(name: str, title: str, said: str, inject: Inject) -> Fault:
    """Return a fault of texts or rules that are refused before anything is judged."""
    return Fault(name, title, get_group(name), "", ERROR, READER, "", REFUSED, "faultlessness", inject, said)


def doubtful(name: str, title: str, check: str, subject: str, said: str, inject: Inject, *also: str) -> Fault:
    """Return a fault of evidence that makes a check an ERROR."""
    return Fault(name, title, get_group(name), "", ERROR, check, subject, REFUSED, "authenticity", inject, said, also)


def covered(name: str, title: str, characteristic: Characteristic, *tests: str) -> Fault:
    """Return a fault that tests elsewhere cover."""
    return Fault(name, title, get_group(name), "", ERROR, "", "", REFUSED, characteristic, covered_by=tests)


def get_group(name: str) -> Group:
    """Return the group of a fault."""
    groups: tuple[Group, ...] = ("A", "B", "C", "D", "E", "F", "G", "H", "I")
    return next(group for group in groups if name.startswith(group))


def list_vector_faults() -> list[Fault]:
    """Return what can be wrong with matrices."""
    return [
        untrusted("A1", "last row cut", "expected 368768 bytes, got 365696", after("embeddings", cut(3072))),
        untrusted("A2a", "tail zeroed, same size", OTHER_BYTES, after("embeddings", injectors.zero_tail)),
        broken("A2b", "tail zeroed, same size", "VEC106", PASSAGES, change_passages(injectors.put_zero_rows)),
        untrusted("A3", "bytes appended", "got 368772", after("embeddings", append(b"\0\0\0\0"))),
        untrusted("A4", "one bit flipped", OTHER_BYTES, spoil_store(lambda store: flip_bit(store, "embeddings"))),
        broken("A5a", "NaN", "VEC105", PASSAGES, change_passages(sabotages.put_nan), ["VEC106"]),
        broken("A5b", "infinity", "VEC105", PASSAGES, change_passages(injectors.put_inf), ["VEC106"]),
        untrusted("A6a", "header says >f4", OTHER_BYTES, after("embeddings", swap(b"'<f4'", b"'>f4'"))),
        broken("A6b", "header says >f4", "VEC103", PASSAGES, before("embeddings", swap(b"'<f4'", b"'>f4'")),
               ["VEC105", "VEC106", "VEC107", "STO204"]),
        broken("A7a", "float64", "VEC103", PASSAGES, change_passages(lambda rows: rows.astype("<f8"))),
        broken("A7b", "float16", "VEC103", PASSAGES, change_passages(lambda rows: rows.astype("<f2")), ["VEC106"]),
        broken("A8", "Fortran order", "VEC104", PASSAGES, change_passages(np.asfortranarray)),
        broken("A9a", "flag says Fortran, rows are in C order", "VEC104", PASSAGES,
               before("embeddings", swap(b"False, ", b"True , ")), ["VEC106", "STO204"]),
        broken("A9b", "flag says C, rows are in Fortran order", "VEC106", PASSAGES,
               spoil_store(injectors.store_columns), ["STO204"]),
        broken("A10", "reshaped to N/2 x 1536", "VEC102", PASSAGES,
               change_matrix(lambda rows: rows.reshape(-1, 1536)), ["VEC101", "VEC106", "STO204"]),
        unreadable("A11", "pickled object with a payload", "pickled objects, which are never loaded",
                   spoil_store(injectors.store_pickle), "INT101"),
        unreadable("A12a", "archive named .npy", NO_ARRAY, spoil_store(injectors.store_archive), "INT101"),
        unreadable("A12b", "DVC pointer named .npy", NO_ARRAY, before("embeddings", put(POINTER)), "INT101"),
        unreadable("A12c", "LFS pointer named .npy", NO_ARRAY, before("embeddings", put(LFS)), "INT101"),
        Fault("A13", "header claims 1e10 rows", "A", "before", ERROR, "INT101", STORE, REFUSED, "resource utilization",
              before("embeddings", injectors.claim_rows), "truncated: expected 30720000000128 bytes"),
        broken("A14a", "a zero row", "VEC106", PASSAGES, change_passages(injectors.put_zero_row)),
        broken("A14b", "all rows equal", "VEC107", PASSAGES, change_passages(injectors.equal_rows), ["VEC108"]),
        broken("A15", "length x 1.01", "VEC106", PASSAGES, change_passages(lambda rows: rows * np.float32(1.01))),
        broken("A16", "dimensions 256-767 zero", "VEC108", PASSAGES, change_passages(injectors.lose_dimensions)),
        broken("A17", "rows permuted against the database", "STO204", STORE, change_matrix(sabotages.permute),
               ANSWERS),
        broken("A18", "rows shifted by one, in matrix and database", "VEC109", PASSAGES,
               change_passages(injectors.shift), ANSWERS),
        broken("A19", "last batch uninitialised", "VEC105", PASSAGES, change_passages(injectors.leave_memory),
               ["VEC106"]),
        doubtful("A20", "candidate equal to the base", "INT104", "fr", "the same vectors",
                 take(sabotages.relabel_base), "VEC109"),
    ]  # fmt: skip


def list_database_faults() -> list[Fault]:
    """Return what can be wrong with databases."""
    first = "UPDATE metadata SET value = ? WHERE key = ?"
    label = "UPDATE metadata SET value = {} WHERE key = 'model_id'"
    return [
        untrusted("B1a", "bit flip in text", OTHER_BYTES, after("database", injectors.edit_text)),
        broken("B1b", "bit flip in text", "STO203", STORE, before("database", injectors.edit_text)),
        unreadable("B2", "table and index disagree", "integrity_check: ", spoil_store(injectors.break_index)),
        untrusted("B3a", "last pages cut", "expected", after("database", cut(2 * PAGE_BYTES))),
        unreadable("B3b", "last pages cut", "bytes by its header", before("database", cut(2 * PAGE_BYTES))),
        untrusted("B4a", "zero length", "got 0", after("database", put(b""))),
        unreadable("B4b", "zero length", "expected a SQLite database", before("database", put(b""))),
        untrusted("B5a", "junk after the last page", "expected", after("database", append(b"junk"))),
        unreadable("B5b", "junk after the last page", "bytes by its header", before("database", append(b"junk"))),
        untrusted("B6", "missing", "does not exist", spoil_store(lambda store: get_path(store, "database").unlink())),
        untrusted("B7", "live -wal", "is not in the manifest", injectors.keep_writing),
        untrusted("B8", "stale -wal of another version", "is not in the manifest", injectors.leave_stale_log),
        unreadable("B9", "commits only in the -wal", "write-ahead log", spoil_store(injectors.commit_to_log)),
        untrusted("B10", "hot -journal", "is not in the manifest", spoil_store(injectors.leave_journal)),
        broken("B11", "text in an INTEGER column", "STO203", STORE,
               change_database("UPDATE chunks SET page = 'douze' WHERE rowid = 12")),
        broken("B12", "row without a chunk", "STO201", STORE,
               change_database("INSERT INTO chunks SELECT 'orphan', text, source, page, tokens, metadata, embedding "
                               "FROM chunks WHERE rowid = 1"), ["STO202", "STO203", "STO204"]),
        broken("B13", "two model ids", "STO209", STORE,
               change_database("INSERT INTO metadata VALUES ('Model_id', 'somebody-else')")),
        broken("B14", "right label, another model's vectors", "VEC109", PASSAGES, take(sabotages.rotate)),
        broken("B15a", "model id in another case", "STO208", STORE, change_database(label.format("upper(value)"))),
        broken("B15b", "model id with a space", "STO208", STORE, change_database(label.format("value || ' '"))),
        broken("B15c", "model id with a look-alike letter", "STO208", STORE,
               change_database(label.format("replace(value, 'a', 'а')"))),
        broken("B16a", "duplicate chunk", "STO203", STORE,
               change_database("UPDATE chunks SET text = (SELECT text FROM chunks WHERE rowid = 1) WHERE rowid = 2")),
        broken("B16b", "NULL for an id", "STO202", STORE,
               change_database("UPDATE chunks SET id = NULL WHERE rowid = 9")),
        broken("B16c", "empty chunk", "STO203", STORE, change_database("UPDATE chunks SET text = '' WHERE rowid = 9")),
        unreadable("B17a", "extra view", "view more is not as an export makes it",
                   change_database("CREATE VIEW more AS SELECT * FROM chunks")),
        unreadable("B17b", "extra trigger", "trigger more is not as an export makes it",
                   change_database("CREATE TRIGGER more AFTER INSERT ON chunks BEGIN DELETE FROM metadata; END")),
        unreadable("B18a", "wrong user_version", "user_version", change_database("PRAGMA user_version = 99")),
        unreadable("B18b", "wrong application_id", "application_id", change_database("PRAGMA application_id = 99")),
        Fault("B19", "locked by a writer", "B", "", ERROR, "INT106", STORE, REFUSED, "time behaviour", injectors.lock,
              "is locked by a writer"),
        broken("B20a", "total_chunks not what the rows say", "STO207", STORE,
               change_database(first, "1", "total_chunks")),
        broken("B20b", "embedding_dim not what the rows say", "STO206", STORE,
               change_database(first, "256", "embedding_dim")),
        broken("B20c", "schema_version not what the rows say", "STO205", STORE,
               change_database(first, "1.0", "schema_version")),
    ]  # fmt: skip


def list_pairing_faults() -> list[Fault]:
    """Return what can be wrong between files, stores and corpora that are each sound."""
    return [
        broken("C1a", "fewer vectors than rows", "VEC101", PASSAGES, change_matrix(lambda rows: rows[:-1]), ["STO204"]),
        broken("C1b", "more vectors than rows", "VEC101", PASSAGES,
               change_matrix(lambda rows: np.concatenate([rows, -rows[:1]]))),
        broken("C2a", "gap in the order, last row", "STO202", STORE,
               change_database("UPDATE chunks SET rowid = 999 WHERE rowid = 120")),
        broken("C2b", "gap in the order, other rows move up", "STO202", STORE,
               change_database("UPDATE chunks SET rowid = 999 WHERE rowid = 60"), ["STO203", "STO204"]),
        broken("C2c", "repeat in the order", "STO202", STORE,
               change_database("UPDATE chunks SET (id, text, embedding) = (SELECT id || '-bis', text, embedding FROM "
                               "chunks WHERE rowid = 5) WHERE rowid = 6"), ["STO203", "STO204"]),
        broken("C3", "database of the base beside the candidate's vectors", "STO204", STORE,
               take(sabotages.take_base_database), ["STO208"]),
        Fault("C4", "roles swapped", "C", "", ERROR, "INT105", "base/fr", HALT, "authenticity", injectors.swap_roles,
              "made by", ("INT105", "STO208", "VEC109", *ANSWERS)),
        doubtful("C5a", "candidate of another corpus", "INT102", STORE, "made from other chunks",
                 lambda case, _stack: injectors.take_other_corpus(case, case.folder.parent / "intl"), "INT103"),
        doubtful("C5b", "one chunk edited on one side", "INT102", STORE, "made from other chunks",
                 injectors.build_other_corpus),
        doubtful("C6a", "candidate's matrix is a symbolic link to the base's", "INT101", STORE, "is a symbolic link",
                 lambda case, _stack: injectors.link_file(case, lambda old, new: new.symlink_to(old))),
        Fault("C6b", "both stores' matrices are one file", "C", "", ERROR, "INT101", "base/fr", HALT, "integrity",
              lambda case, _stack: injectors.link_file(case, lambda old, new: new.hardlink_to(old)), "has 2 names",
              ("INT101",)),
        doubtful("C6c", "both roles name one folder", "INT104", "fr", "the same vectors", injectors.name_one_folder,
                 "INT105", "STO208", "VEC109"),
    ]  # fmt: skip


def list_evaluation_faults() -> list[Fault]:
    """Return what can be wrong with gold sets, rules and evidence."""
    floor = "recall_floor: 0.25"
    corpus = "fr"
    return [
        refused("E1", "a time that is NaN", "corpora.fr.operations.open-and-search.base[0]: expected a finite number",
                injectors.time_nothing),
        refused("E2a", "duplicate key in the policy", "duplicate key", change_policy(floor, f"{floor}\n  {floor}")),
        refused("E2b", "duplicate key in a question", 'duplicate key "text"',
                change_text("questions", lambda text: text.replace('"text"', '"text": "", "text"', 1))),
        refused("E2c", "a pair judged twice", "judged twice",
                change_text("qrels", lambda text: text + text.splitlines()[1] + "\n")),
        refused("E3a", "1e999 as a limit", "limits.recall_floor: expected a finite number",
                change_policy(floor, "recall_floor: 1.0e+999")),
        refused("E3b", "true as a limit", "limits.recall_floor: expected a number",
                change_policy(floor, "recall_floor: true")),
        refused("E3c", "text as a limit", "limits.recall_floor: expected a number",
                change_policy(floor, 'recall_floor: "0.25"')),
        covered("E4", "exactly at the limit", "functional correctness", "test_criteria::test_floor_is_compared_exactly",
                "test_criteria::test_a_bound_at_its_margin_never_passes",
                "test_gate::test_the_floor_is_reached_exactly"),
        doubtful("E5a", "latency of an older build", "LAT401", corpus, "measured on other bytes",
                 take(sabotages.keep_latency), "LAT402"),
        doubtful("E5b", "sample of older texts", "VEC109", PASSAGES, "the sample is of other texts",
                 injectors.outdate_canary),
        doubtful("E5c", "trained on other pairs", "TRN101", corpus, "trained on other pairs",
                 injectors.train_on_others),
        doubtful("E6", "limit lowered in the change that is judged", "CER501", "gate", "policy",
                 injectors.certify_then_lower),
        refused("E7a", "limit missing", "limits.recall_floor: Field required", change_policy(f"  {floor}\n", "")),
        refused("E7b", "limit misspelt", "limits.recall_floor: Field required",
                change_policy(floor, "recal_floor: 0.25")),
        refused("E8a", "gold set empty", "expected at least one question", change_text("questions", lambda _text: "")),
        doubtful("E8b", "gold set below min n", "RET301", corpus, "120 questions, the policy asks for at least 121",
                 injectors.ask_for_more, *ANSWERS),
        refused("E9", "qrels name an unknown chunk", "names no chunk",
                change_text("qrels", lambda text: text + "q0\tunknown\t1\n")),
        doubtful("E10", "gold questions in the training pairs", "TRN101", corpus, "given away",
                 take(sabotages.leak_questions)),
        doubtful("E11a", "query prompt dropped on one side, as provenance says", "VEC109", PASSAGES, "prompts",
                 spoil_store(injectors.drop_prompt)),
        broken("E11b", "query prompt dropped, as nothing says", "VEC109", QUESTIONS, take(sabotages.blur_questions),
               ANSWERS),
        refused("E12a", "questions embedded by another model, as provenance says", "not made by the model",
                injectors.mix_models),
        broken("E12b", "questions embedded by another model, as nothing says", "VEC109", QUESTIONS,
               change_matrix(injectors.turn, "questions"), ANSWERS),
        covered("E13", "ties", "faultlessness", "test_gate::test_vectors_that_tie_find_nothing",
                "test_gate::test_judging_again_gives_the_same"),
        Fault("E14", "a slice collapses", "E", "", FAIL, "RET309", corpus, KEEP, "functional correctness",
              take(sabotages.collapse_slice), "", ("VEC109", *ANSWERS)),
        Fault("E15", "gain inside the noise", "E", "", Outcome.INCONCLUSIVE, "RET301", corpus, KEEP,
              "functional correctness", take(sabotages.whisper), "do not lie above 0", ("VEC109",)),
        doubtful("E16a", "a required check deleted from a suite", "CHK103", corpus, "did not report",
                 take(sabotages.drop_expectation)),
        doubtful("E16b", "a required check deleted from the policy", "CER501", "gate", "policy",
                 injectors.certify_then_drop),
    ]  # fmt: skip


def list_machine_faults() -> list[Fault]:
    """Return what the machine can do."""
    sweeps = "faults.test_sweeps::"
    return [
        covered("H1", "ENOSPC, EIO, EROFS at the n-th write", "fault tolerance",
                f"{sweeps}test_a_failing_call_never_releases"),
        covered("H2", "fsync error", "fault tolerance", f"{sweeps}test_a_failed_flush_is_an_error"),
        covered("H3", "SIGKILL at each step", "recoverability", f"{sweeps}test_a_kill_leaves_old_or_new"),
        Fault("H4", "no memory left", "H", "", ERROR, BOUNDARY, "", REFUSED, "fault tolerance", injectors.lack_memory,
              "MemoryError"),
        Fault("H5", "time-out", "H", "", ERROR, READER, "", REFUSED, "time behaviour", injectors.take_too_long,
              "ended after 0.01 seconds"),
        doubtful("H6a", "file replaced between hash and use", "INT107", "gate", "qlora/fr/embeddings",
                 injectors.replace_after_hash),
        doubtful("H6b", "file written to while it is judged", "INT107", "gate", "qlora/fr/embeddings",
                 injectors.write_in_place),
        covered("H7", "other clock, zone, locale, hash seed, threads", "faultlessness",
                "test_validation_main::test_the_same_evidence_gives_the_same_bytes_everywhere"),
        *(Fault(f"H8{letter}", f"path with {what}", "H", "", PASS, "", "", RELEASE, "faultlessness",
                injectors.move_to(name))
          for letter, what, name in (("a", "a space", "deux mots"), ("b", "?", "quoi?mode=rw"), ("c", "#", "n#1"),
                                     ("d", "%", "100%41"), ("e", "accents", "règles-é"))),
    ]  # fmt: skip


def list_tracking_faults() -> list[Fault]:
    """Return what can be wrong with objects, pointers, clones and tags."""
    objects, tags = "releasing.test_faults_d::", "releasing.test_faults_tags::"
    pointers = [f"{objects}test_d7_d8_d9_d16_pointer_of_{where}" for where in ("a_tag", "the_working_tree")]
    return [
        covered("D1", "cache object damaged and made read-only", "integrity",
                f"{objects}test_d1_damaged_cache_is_noticed",
                f"{objects}test_d1_damaged_cache_is_made_good_by_the_remote",
                f"{objects}test_d1_damage_everywhere_is_refused"),
        covered("D2", "same-size edit, mtime restored", "integrity", f"{objects}test_d2_edit_with_its_time_restored"),
        covered("D3", "hardlinked cache written through", "integrity",
                f"{objects}test_d3_cache_written_through_a_link"),
        covered("D4", "pointer pushed, object not", "recoverability", f"{objects}test_d4_object_was_never_pushed"),
        covered("D5", "one of two objects pushed", "recoverability",
                f"{objects}test_d5_one_of_two_objects_was_pushed"),
        covered("D6", "fallback's objects collected", "recoverability",
                f"{objects}test_d6_objects_of_the_fallback_were_collected"),
        covered("D7", "empty md5, conflict markers, duplicate key in a pointer", "faultlessness", *pointers),
        covered("D8", "pointer and manifest disagree", "integrity", *pointers,
                f"{objects}test_d8_release_file_names_another_object"),
        covered("D9", "pointer without hash: md5", "integrity", *pointers),
        covered("D10", "remote gives a short object", "integrity", f"{objects}test_d10_remote_gives_a_short_object",
                f"{objects}test_d10_short_object_of_the_base_stops_a_release"),
        covered("D11", "newer pointer left behind", "recoverability",
                f"{objects}test_d11_leftover_pointer_in_a_tag", f"{objects}test_d11_overlay_checkout"),
        covered("D12", "dirty or untracked file under corpus/processed", "integrity",
                f"{objects}test_d12_served_folder_is_not_as_committed",
                f"{objects}test_d12_served_candidate_is_not_as_committed", f"{objects}test_d12_hidden_edit"),
        covered("D13", "shallow clone, no tags", "recoverability", f"{objects}test_d13_shallow_clone",
                f"{objects}test_d13_clone_without_tags",
                f"{objects}test_d13_tags_removed_here_are_no_first_release"),
        covered("D14", "v1.0-base moved", "authenticity", f"{tags}test_d14_base_was_moved_here",
                f"{tags}test_d14_base_was_moved_before_a_release",
                f"{tags}test_d14_base_was_tagged_anew_on_the_remote", f"{tags}test_d14_candidate_was_moved"),
        covered("D15", "a branch named like the tag", "faultlessness",
                f"{tags}test_d15_branch_named_like_the_tag", f"{tags}test_d15_branch_named_like_the_tag_to_make"),
        covered("D16", "pointer path ../x or a symlink", "integrity", *pointers,
                f"{objects}test_d16_served_file_is_a_link", f"{objects}test_d16_served_folder_is_a_link"),
    ]  # fmt: skip


def list_fallback_faults() -> list[Fault]:
    """Return what can go wrong on the way back."""
    way = "releasing.test_faults_i::"
    return [
        covered("I1", "v1.0 fails its own checks", "recoverability", f"{way}test_i1_base_does_not_hold",
                f"{way}test_i1_no_candidate_beside_a_base_that_does_not_hold"),
        covered("I2", "remote down", "recoverability", f"{way}test_i2_remote_is_down",
                f"{way}test_i2_cache_alone_is_enough", f"{way}test_i2_candidate_cannot_be_had"),
        covered("I3", "crash between the two files", "recoverability", f"{way}test_i3_every_line_of_the_switch",
                f"{way}test_i3_another_reader"),
        covered("I4", "checkout deletes an output midway", "fault tolerance",
                f"{way}test_i4_checkout_that_fails_midway"),
        covered("I5", "fallback twice", "faultlessness", f"{way}test_i5_second_fallback_changes_nothing"),
        covered("I6", "a reader has the old file open", "fault tolerance",
                f"{way}test_i6_open_reader_keeps_the_old_files"),
    ]  # fmt: skip


def list_release_faults() -> list[Fault]:
    """Return what can go wrong between a verdict and a tag."""
    rules, steps = "workflows.test_rules::", "workflows.test_rehearsal::"
    races = "releasing.test_publishing::"
    return [
        covered("G1", "exception in a check", "fault tolerance",
                "test_validation_main::test_a_defect_leaves_no_earlier_release_standing",
                "test_commandline::test_a_defect_says_where_it_is"),
        covered("G2", "gate piped into tee", "fault tolerance", f"{rules}test_rule_rejects_what_breaks_it",
                f"{steps}test_an_exit_code_alone_releases_nothing"),
        covered("G3", "gate job skipped", "fault tolerance", f"{steps}test_a_release_needs_every_job_before_it"),
        covered("G4", "errors ignored in a workflow", "fault tolerance", f"{rules}test_rule_rejects_what_breaks_it"),
        covered("G5", "two runs tag at once", "faultlessness", f"{races}test_both_at_once",
                f"{races}test_slower_one_takes_over_what_was_published",
                f"{races}test_overtaken_by_another_decision"),
        covered("G6", "tag exists elsewhere", "integrity", f"{races}test_tag_that_appears_at_the_last_moment",
                "releasing.test_planning::test_candidate_of_other_bytes_under_a_known_tag"),
        covered("G7", "killed after the tag, before the push", "recoverability",
                f"{races}test_published_and_killed",
                "releasing.test_kills::test_a_killed_run_is_completed_by_the_next"),
        covered("G9", "no hub token", "fault tolerance", "test_model_folder::test_a_hub_that_refuses_is_one_line"),
        covered("G10", "a secret in the environment", "confidentiality",
                f"{steps}test_no_secret_is_in_an_output", "releasing.test_errors::test_git_shows_no_token"),
        covered("G12", "artefact swapped between jobs", "authenticity", f"{steps}test_a_swapped_artefact_is_refused"),
        covered("G13", "hostile text in a chunk reaches the summary", "integrity",
                "test_summary::test_nothing_that_evidence_says_can_act"),
        covered("G14", "python -O", "faultlessness",
                "test_validation_main::test_the_same_evidence_gives_the_same_bytes_everywhere"),
    ]  # fmt: skip


def list_evidence_faults() -> list[Fault]:
    """Return what can be wrong with a signed decision, and with what is told of it."""
    signed = "attesting.test_faults::"
    return [
        covered("F1", "attestation of other bytes", "authenticity", f"{signed}test_f1_attestation_of_other_bytes"),
        covered("F2", "good signature, wrong key", "authenticity", f"{signed}test_f2_good_signature_of_the_wrong_key"),
        covered("F3", "a failed attestation deleted", "authenticity",
                f"{signed}test_f3_a_failed_attestation_deleted"),
        covered("F4", "old pass replayed under a new policy", "authenticity",
                f"{signed}test_f4_old_pass_under_a_new_policy"),
        covered("F5", "unknown predicate", "authenticity", f"{signed}test_f5_unknown_predicate"),
        covered("F6", "md5-only subject", "authenticity", f"{signed}test_f6_subject_by_md5_only"),
        covered("F7", "duplicate keys in the payload", "authenticity", f"{signed}test_f7_duplicate_keys"),
        covered("F8", "log line cut, swapped or edited", "authenticity",
                f"{signed}test_f8_log_cut_swapped_or_edited",
                "releasing.test_events::test_cut_line_shows",
                "releasing.test_events::test_swapped_lines_show", "releasing.test_events::test_edited_line_shows"),
        covered("F9", "no trust root", "authenticity", f"{signed}test_f9_no_trust_root"),
        covered("F10", "HTML and JSON disagree", "integrity",
                "reporting.test_faults::test_html_and_json_cannot_disagree"),
        covered("F11", "one key signs twice", "authenticity", f"{signed}test_f11_one_key_signs_twice"),
    ]  # fmt: skip


def list_covered_faults() -> list[Fault]:
    """Return what tests elsewhere cover: pointers, the fallback, signatures, workflow and releases."""
    return [*list_tracking_faults(), *list_fallback_faults(), *list_evidence_faults(), *list_release_faults()]


FAULTS: tuple[Fault, ...] = (
    *list_vector_faults(),
    *list_database_faults(),
    *list_pairing_faults(),
    *list_evaluation_faults(),
    *list_machine_faults(),
    *list_covered_faults(),
)
RUNNABLE: dict[str, Fault] = {fault.id: fault for fault in FAULTS if fault.inject is not None}
