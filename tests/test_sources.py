"""Sources: Markdown becomes chunks in order, and questions find the chunks that hold their quotes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from pipeline import params
from pipeline.errors import InputError
from pipeline.sources import MAX_RELEVANT, build_chunks, load_source_questions
from tests.library import PARAGRAPHS, make_question, write_library, write_questions

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.params import Corpus

TEXTS = list(PARAGRAPHS.values())


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """A library of four passages with their questions."""
    monkeypatch.setattr(params, "PROJECT_ROOT", tmp_path)
    return write_library(tmp_path)


def test_chunks_come_by_file_name_and_place(corpus: Corpus) -> None:
    """Files in order of name, sections in order of the page; ids say file, section and piece."""
    chunks = build_chunks(corpus)

    assert (chunks.corpus, chunks.total) == ("fr", 4)
    assert [chunk.id for chunk in chunks.chunks] == [
        "a-jeu-s000-c00", "a-jeu-s001-c00", "b-temps-s000-c00", "b-temps-s001-c00",
    ]  # fmt: skip
    assert [chunk.text for chunk in chunks.chunks] == TEXTS
    assert [chunk.section for chunk in chunks.chunks] == list(PARAGRAPHS)


def test_a_chunk_knows_where_it_is_from(corpus: Corpus) -> None:
    """Source, page, tokens, section, parent and the document's title travel with the text."""
    chunk = build_chunks(corpus).chunks[2]

    assert chunk.model_dump() == {
        "id": "b-temps-s000-c00", "text": TEXTS[2], "source": "b-temps.md", "page": 1, "tokens": 19, "corpus": "fr",
        "chunk_type": "text", "section": "Le drapeau", "parent_id": "b-temps-s000", "title": "Le temps",
    }  # fmt: skip


def test_pages_count_the_tokens_before(corpus: Corpus) -> None:
    """A passage's page follows from the tokens that precede it in its file, 420 to a page."""
    words = " ".join(["mot"] * 100)
    body = "".join(f"\n## Partie {number}\n\n{words}\n" for number in range(9))
    (corpus.sources / "c-long.md").write_text(f"# Long\n{body}", encoding="utf-8")

    chunks = build_chunks(corpus.model_copy(update={"total": 13})).chunks[4:]

    assert [chunk.page for chunk in chunks] == [1, 1, 1, 1, 1, 2, 2, 2, 2]
    assert chunks[-1].page == 1 + 800 // 420


def test_a_long_section_becomes_siblings(corpus: Corpus) -> None:
    """Pieces of one section share parent and heading and are numbered."""
    paragraphs = "\n\n".join(" ".join([word] * 90) for word in ("un", "deux", "trois"))
    (corpus.sources / "c-long.md").write_text(f"# Long\n\n## Tout\n\n{paragraphs}\n", encoding="utf-8")

    chunks = build_chunks(corpus.model_copy(update={"total": 7})).chunks[4:]

    assert [chunk.id for chunk in chunks] == [f"c-long-s000-c0{number}" for number in range(3)]
    assert {(chunk.parent_id, chunk.section) for chunk in chunks} == {("c-long-s000", "Tout")}


@pytest.mark.parametrize("total", [1, 3, 5])
def test_another_number_of_chunks_is_refused(corpus: Corpus, total: int) -> None:
    """The text is frozen: both figures are named."""
    with pytest.raises(InputError, match=rf"sources/fr: expected {total} chunks from 2 sources, got 4; "):
        build_chunks(corpus.model_copy(update={"total": total}))


def test_a_corpus_without_sources_is_refused(corpus: Corpus) -> None:
    """A mistyped name is not an empty corpus."""
    with pytest.raises(InputError, match=r"sources/nowhere: expected 4 chunks from 0 sources, got 0"):
        build_chunks(corpus.model_copy(update={"name": "nowhere"}))


@pytest.mark.parametrize("kind", ["gold", "train"])
def test_questions_find_their_chunks(corpus: Corpus, kind: Any) -> None:
    """Each question of its kind, in order of file and line, with the chunk that holds its quote."""
    questions = load_source_questions(corpus, kind, build_chunks(corpus))
    word = "Or" if kind == "gold" else "Exercice"

    assert [question.relevant for question in questions] == [(0,), (1,), (2,), (3,)]
    assert all(question.source.question.startswith(word) for question in questions)


def test_a_question_keeps_its_id(corpus: Corpus) -> None:
    """The id follows from corpus, file and normalised question, so that adding others never renames it."""
    digest = hashlib.sha256(b"or le roque").hexdigest()[:8]
    first = load_source_questions(corpus, "gold", build_chunks(corpus))[0]
    path = corpus.sources / "a-jeu.gold.jsonl"
    rows = [make_question("Tout autre chose ?", TEXTS[1]), make_question("  OR, le roque ! ", TEXTS[0])]
    write_questions(path, rows)

    again = load_source_questions(corpus, "gold", build_chunks(corpus))[1]

    assert first.id == again.id == f"fr:a-jeu:{digest}"


def test_every_holder_of_a_quote_is_relevant(corpus: Corpus) -> None:
    """Several quotes and several holders add up, ascending and without repetition."""
    row = make_question("Qui joue ?", TEXTS[3], quotes=["le joueur a épuisé", "Une nulle se propose", "son temps"])
    write_questions(corpus.sources / "b-temps.gold.jsonl", [row])

    found = load_source_questions(corpus, "gold", build_chunks(corpus))[-1]

    assert found.relevant == (2, 3)


def test_a_quote_may_break_its_line_elsewhere(corpus: Corpus) -> None:
    """Only words count: line breaks and repeated spaces in quote or text do not."""
    path = corpus.sources / "a-jeu.md"
    path.write_text(path.read_text(encoding="utf-8").replace("roi et la", "roi\net  la"), encoding="utf-8")
    row = make_question("Qui bouge ?", TEXTS[0], quotes=["roi  et\nla tour"])
    write_questions(corpus.sources / "a-jeu.gold.jsonl", [row])

    assert load_source_questions(corpus, "gold", build_chunks(corpus))[0].relevant == (0,)


@pytest.mark.parametrize("quote", ["ne se trouve nulle part", "LE ROI ET LA TOUR", "le roi et la dame"])
def test_a_quote_that_stands_nowhere_is_refused(corpus: Corpus, quote: str) -> None:
    """Text and questions cannot drift apart: file, line, field and quote are named."""
    rows = [make_question("Une ?", TEXTS[0]), make_question("Deux ?", TEXTS[0], quotes=["Le roi et la tour", quote])]
    path = write_questions(corpus.sources / "a-jeu.gold.jsonl", rows)

    with pytest.raises(InputError, match=rf"{path}:2: quotes: expected a passage of 1 to 6 chunks, 0 hold '{quote}'"):
        load_source_questions(corpus, "gold", build_chunks(corpus))


@pytest.mark.parametrize("holders", [MAX_RELEVANT, MAX_RELEVANT + 1])
def test_a_quote_of_everything_is_refused(corpus: Corpus, holders: int) -> None:
    """Six holders are a hard question, seven a bad quote."""
    body = "".join(f"\n## Partie {number}\n\nPartout le même début, {number}.\n" for number in range(holders))
    (corpus.sources / "c-meme.md").write_text(f"# Même\n{body}", encoding="utf-8")
    write_questions(corpus.sources / "c-meme.gold.jsonl", [make_question("Où ?", "Partout le même début,")])
    chunks = build_chunks(corpus.model_copy(update={"total": 4 + holders}))

    if holders == MAX_RELEVANT:
        assert load_source_questions(corpus, "gold", chunks)[-1].relevant == tuple(range(4, 4 + holders))
    else:
        with pytest.raises(InputError, match=r"c-meme\.gold\.jsonl:1: quotes: .* 7 hold 'Partout le même début,'"):
            load_source_questions(corpus, "gold", chunks)


@pytest.mark.parametrize("again", ["Or : Le roque ?", "or le ROQUE", "Or :  le roqué !"])
def test_a_question_asked_twice_is_refused(corpus: Corpus, again: str) -> None:
    """Case, accents and punctuation make no second question."""
    rows = [make_question("Or : Le roque ?", TEXTS[0]), make_question(again, TEXTS[1])]
    path = write_questions(corpus.sources / "a-jeu.gold.jsonl", rows)

    with pytest.raises(InputError, match=rf"{path}:2: this question is asked twice"):
        load_source_questions(corpus, "gold", build_chunks(corpus))


def test_a_question_asked_in_two_files_is_refused(corpus: Corpus) -> None:
    """One question with two answers by place would count twice."""
    rows = [make_question("Or : Le roque ?", TEXTS[2])]
    path = write_questions(corpus.sources / "b-temps.gold.jsonl", rows)

    with pytest.raises(InputError, match=rf"{path}:1: this question is asked twice"):
        load_source_questions(corpus, "gold", build_chunks(corpus))


def test_a_corpus_without_gold_questions_is_refused(corpus: Corpus) -> None:
    """Nothing could be measured on it; to train on it is not required."""
    for path in corpus.sources.glob("*.jsonl"):
        path.unlink()

    assert load_source_questions(corpus, "train", build_chunks(corpus)) == []
    with pytest.raises(InputError, match=r"sources/fr: expected gold questions in \*\.gold\.jsonl, got none"):
        load_source_questions(corpus, "gold", build_chunks(corpus))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"question": ""}, "question: .*at least 1 character"),
        ({"quotes": []}, "quotes: .*at least 1 item"),
        ({"quotes": "le roi"}, "quotes: expected a valid array"),
        ({"quotes": [""]}, r"quotes\[0\]: .*at least 1 character"),
        ({"difficulty": "nightmare"}, "difficulty: expected 'easy', 'medium' or 'hard', got \"nightmare\""),
        ({"question_type": "essay"}, "question_type: expected 'factual', 'procedural' or 'scenario'"),
        ({"answer": "oui"}, "answer: Extra inputs are not permitted"),
    ],
    ids=["no-question", "no-quotes", "no-list", "empty-quote", "difficulty", "type", "extra"],
)
def test_a_malformed_question_is_refused(corpus: Corpus, changes: dict[str, Any], words: str) -> None:
    """File, line and field are named."""
    path = corpus.sources / "a-jeu.train.jsonl"
    write_questions(path, [make_question("Une ?", TEXTS[0]), make_question("Deux ?", TEXTS[0], **changes)])

    with pytest.raises(InputError, match=rf"{path}:2: {words}"):
        load_source_questions(corpus, "train", build_chunks(corpus))


def test_sources_that_are_not_utf8_are_refused(corpus: Corpus) -> None:
    """A file saved in another encoding is named with the place."""
    (corpus.sources / "a-jeu.md").write_bytes("# Été\n\n## A\n\nB\n".encode("latin-1"))

    with pytest.raises(InputError, match=r"a-jeu\.md: not UTF-8 at byte 2"):
        build_chunks(corpus)
