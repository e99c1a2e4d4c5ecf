"""What the retrievers of all frameworks have in common: the index that they ask, what they say of a passage, who is missing."""

from __future__ import annotations

import importlib
import os
import pickle
import sys
import threading
from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import write
from shelf import QUESTION, stocked
from test_package import HEAVY, loaded_by

import semsearch
from semsearch import filters, newest
from semsearch.errors import IndexLocked, IndexMissing, InputError, MissingExtra
from semsearch.integrations.citing import OF_PASSAGES, article_key, metadata_of
from semsearch.integrations.searching import Asking, Searcher

pytestmark = pytest.mark.usefixtures("no_model")


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    return stocked(tmp_path_factory.mktemp("shelf"))


def asking(k: int = 10, where: filters.Where = None, **options) -> Asking:
    return Asking.of(k, "hybrid", where, options.pop("per_article", None), **{"fold": True, "answerable_only": False} | options)


def passages(results) -> list[str]:
    return [hit.passage_id for hit in results]


def test_the_package_itself_is_light():
    assert not loaded_by("import semsearch.integrations") & (HEAVY | {"pydantic"})


@pytest.mark.parametrize(
    ("module", "package", "line"),
    [
        ("langchain", "langchain_core", 'langchain-core: python -m pip install "semsearch[langchain]"'),
        ("llama_index", "llama_index", 'llama-index-core: python -m pip install "semsearch[llama-index]"'),
        ("haystack", "haystack", 'haystack-ai: python -m pip install "semsearch[haystack]"'),
    ],
)
def test_what_is_missing_is_told_with_the_line_that_mends_it(monkeypatch, module: str, package: str, line: str):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"semsearch.integrations.{module}", raising=False)
    with pytest.raises(MissingExtra) as raised:
        importlib.import_module(f"semsearch.integrations.{module}")
    assert str(raised.value).endswith(line)


def test_a_path_is_opened_with_the_first_question_and_answers_as_the_index_does(index):
    assert Searcher("no/such/index")
    with pytest.raises(IndexMissing):
        Searcher("no/such/index").search(QUESTION, asking())
    with semsearch.open(index, encoder=FakeEncoder()) as opened:
        expected = opened.search(QUESTION, 4)
    for given in (index, str(index)):
        searcher = Searcher(given)
        found = searcher.search(QUESTION, asking(4))
        assert found.hits == expected.hits
        assert len(found) == 4
        searcher.close()
        assert searcher.search(QUESTION, asking(4)).hits == expected.hits, "closed, it opens again"
        searcher.close()
    with pytest.raises(InputError, match="give the path of one"):
        Searcher(7)


def test_an_open_index_stays_the_callers(index):
    with semsearch.open(index, encoder=FakeEncoder()) as opened:
        searcher = Searcher(opened)
        searcher.search(QUESTION, asking(1))
        searcher.close()
        assert opened.search(QUESTION, 1)
        with pytest.raises(InputError, match="give it the path"):
            pickle.dumps(searcher)


def test_which_generation_answers(tmp_path, monkeypatch):
    def build() -> None:
        semsearch.build(tmp_path / "notes", tmp_path / "index", encoder=FakeEncoder()).close()

    write(tmp_path / "notes", "one.md", "aid")
    build()
    monkeypatch.setattr(newest, "_SECONDS", 0)
    opened = [semsearch.open(tmp_path / "index", encoder=FakeEncoder()) for _ in range(3)]
    searchers = {
        (given is not None, auto_refresh): Searcher(given or tmp_path / "index", auto_refresh=auto_refresh)
        for givens in (opened, [None] * 3)
        for given, auto_refresh in zip(givens, (None, True, False), strict=True)
    }
    assert [len(searcher.search("sword", asking())) for searcher in searchers.values()] == [1] * 6
    write(tmp_path / "notes", "two.md", "sword")
    build()
    for (is_open, auto_refresh), searcher in searchers.items():
        follows = not is_open if auto_refresh is None else auto_refresh
        assert len(searcher.search("sword", asking())) == 1 + follows, (is_open, auto_refresh)
        assert searcher.refresh() is not follows
        assert len(searcher.search("sword", asking())) == 2
        searcher.close()
    for index in opened:
        index.close()


def test_what_cannot_be_looked_for_does_no_harm_unless_it_was_asked_for(index, monkeypatch, caplog):
    def fail(self):
        raise IndexLocked("told so")

    monkeypatch.setattr(newest, "_SECONDS", 0)
    monkeypatch.setattr(semsearch.Index, "refresh", fail)
    searcher = Searcher(index)
    for _ in range(2):
        assert searcher.search(QUESTION, asking(1))
    assert [record.message for record in caplog.records] == ["told so"]
    with pytest.raises(IndexLocked):
        searcher.refresh()
    searcher.close()


def test_it_travels_as_its_path(index, monkeypatch):
    monkeypatch.chdir(index.parent)
    searcher = Searcher("index", auto_refresh=False)
    expected = passages(searcher.search(QUESTION, asking(2)))
    sent = pickle.dumps(searcher)
    searcher.close()
    assert str(index).encode() not in sent, "as it was given"
    copy = pickle.loads(sent)
    assert passages(copy.search(QUESTION, asking(2))) == expected
    assert not copy._follows
    copy.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_process_that_was_forked_off_opens_its_own(index):
    searcher = Searcher(index)
    expected = passages(searcher.search("election", asking(3)))
    child = os.fork()
    if not child:
        done = 1
        try:
            done = 0 if passages(searcher.search("election", asking(3))) == expected else 2
        finally:
            os._exit(done)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert passages(searcher.search("election", asking(3))) == expected
    searcher.close()


def test_threads_may_share_it_from_the_first_question_on(index, monkeypatch):
    opened = []
    open_index = semsearch.Index.open
    monkeypatch.setattr(semsearch.Index, "open", lambda path: opened.append(path) or open_index(path))
    searcher = Searcher(index)
    questions = ["aid", "sword battle", "council", "election 3"] * 4
    found: dict[int, list[str]] = {}
    together = threading.Barrier(len(questions))

    def ask(place: int) -> None:
        together.wait()
        found[place] = passages(searcher.search(questions[place], asking(2)))

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(questions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1
    for place, question in enumerate(questions):
        assert found[place] == passages(searcher.search(question, asking(2)))
    assert len({tuple(found[place]) for place in range(4)}) == 4
    searcher.close()


def test_only_what_is_believed_to_answer(index):
    searcher = Searcher(index)
    everything = searcher.search("sword battle", asking())
    assert everything.answerable
    believed = searcher.search("sword battle", asking(answerable_only=True))
    assert believed.hits == tuple(hit for hit in everything if hit.confidence >= semsearch.index.ANSWERABLE)
    assert 0 < len(believed) < len(everything)
    unanswered = searcher.search("charter", asking())
    assert unanswered
    assert not unanswered.answerable
    assert searcher.search("charter", asking(answerable_only=True)).hits == ()
    searcher.close()


@pytest.mark.parametrize("wrong", [{"k": 0}, {"k": 10_001}, {"per_article": 0}, {"where": "no condition"}, {"where": {"": 1}}])
def test_what_cannot_be_asked_is_refused_before_the_first_question(wrong: dict):
    with pytest.raises(InputError):
        asking(**wrong)
    with pytest.raises(InputError, match="no mode"):
        Asking.of(1, "fuzzy", None, None, fold=True, answerable_only=False)


def test_a_citation_leaves_the_articles_own_keys_as_they_are(index):
    searcher = Searcher(index)
    hit = searcher.search("sword battle", asking(1))[0]
    found = metadata_of(hit)
    expected = {
        "source": "seeds/clashing.md",
        "title": "Clashing",
        "heading": hit.heading,
        "line": hit.line,
        "paragraph": hit.paragraph,
        "start": hit.start,
        "end": hit.end,
        "highlight": hit.highlight.text,
        "score": hit.score,
        "confidence": hit.confidence,
        "passage_id": hit.passage_id,
        "article_id": hit.article_id,
        "tags": ["oil", "gas"],
        "nested": {"section": "world"},
        "abstract": "What?",
        "metadata.source": "Reuters",
        "metadata.score": 7,
        "metadata.page": "B5",
        "metadata.metadata.page": "A4",
    }
    assert found == expected
    assert (index.parent / hit.source).read_text()[found["start"] : found["end"]] == hit.text
    # Under the names that it has in filters.
    for where in ({"metadata.source": "Reuters"}, {"metadata.score": 7}, {"source": "seeds/clashing.md"}, {"tags": "gas"}):
        assert passages(searcher.search("sword battle", asking(1, where))) == [hit.passage_id]
    searcher.close()


def test_a_page_is_told_where_there_is_one(index):
    class Paged:
        def __init__(self, hit, page: int) -> None:
            self.hit, self.page = hit, page

        def __getattr__(self, name: str):
            return getattr(self.hit, name)

    searcher = Searcher(index)
    hit = searcher.search("election", asking(1))[0]
    assert metadata_of(Paged(hit, 7))["page"] == 7
    assert "page" not in metadata_of(Paged(hit, 0))
    searcher.close()


def test_filters_know_of_articles_alone():
    assert [article_key(key) for key in ("source", "title", "date", "metadata.line")] == [
        "source",
        "title",
        "date",
        "metadata.line",
    ]
    for key in OF_PASSAGES:
        with pytest.raises(InputError, match=rf"metadata\.{key} is what an article says itself"):
            article_key(key)


ARTICLE = ("notes/a.md", "Title", {"n": 5, "tags": ["oil"]})
HELD, MISSED = filters.parse("n=5"), filters.parse("n=6")


@pytest.mark.parametrize(
    ("combined", "expected"),
    [
        (filters.all_of(), True),
        (filters.all_of(HELD, filters.parse("tags=oil")), True),
        (filters.all_of(HELD, MISSED), False),
        (filters.any_of(), False),
        (filters.any_of(MISSED, HELD), True),
        (filters.any_of(MISSED, filters.parse("tags=gas")), False),
        (filters.any_of(MISSED), False),
        (filters.none_of(), True),
        (filters.none_of(MISSED), True),
        (filters.none_of(MISSED, HELD), False),
        (filters.none_of(filters.all_of(HELD, MISSED)), True),
        (filters.none_of(filters.none_of(HELD)), True),
        (filters.all_of(filters.any_of(HELD, MISSED), filters.none_of(MISSED)), True),
        (filters.all_of(filters.any_of(HELD, MISSED), filters.any_of()), False),
    ],
)
def test_filters_put_together(combined: filters.Filter, expected: bool):
    assert combined.matches(*ARTICLE) is expected
    assert filters.parse(combined) is combined
    assert {combined: 1}[combined] == 1


def test_what_was_put_together_is_a_filter_as_any():
    assert not filters.all_of()
    assert not filters.none_of()
    assert filters.any_of(), "it leaves nothing, so it is one"
    assert filters.all_of(HELD, HELD) == HELD
    by_place = filters.parse("source=notes")
    assert not filters.any_of(by_place, filters.parse("title=x")).needs_metadata
    assert filters.none_of(by_place, HELD).needs_metadata


def test_the_index_is_searched_within_what_was_put_together(index):
    with semsearch.open(index, encoder=FakeEncoder()) as opened:
        for combined, expected in (
            (filters.any_of(filters.parse({"number": 100}), filters.parse({"number": -10})), {100, -10}),
            (filters.none_of(filters.parse({"number": [0, 2]}), filters.parse("source=seeds")), {10, -10, 100}),
            (filters.any_of(), set()),
        ):
            hits = opened.search("election", 100, where=combined, fold=False)
            assert {hit.metadata["number"] for hit in hits} == expected
