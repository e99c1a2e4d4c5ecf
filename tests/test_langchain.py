"""LangChain's retriever, by the standard tests of langchain-tests, and what they leave out."""

from __future__ import annotations

import asyncio
import pickle
from importlib.util import find_spec
from pathlib import Path

import pytest
from pydantic import ValidationError
from shelf import QUESTION, Later, run_snippets, run_standard, stocked, while_it_waits

import semsearch
from semsearch.errors import IndexMissing, InputError

if find_spec("langchain_tests") is None:
    pytest.skip("langchain-tests is not installed", allow_module_level=True)

ours = Later("semsearch.integrations.langchain")
pytestmark = pytest.mark.usefixtures("no_model")


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    return stocked(tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def retriever(index):
    made = ours.SemsearchRetriever(index=index, k=3)
    yield made
    made.close()


def ids(documents) -> list[str]:
    return [document.id for document in documents]


def test_langchains_standard_tests(index):
    from langchain_tests.integration_tests import RetrieversIntegrationTests

    class TestRetriever(RetrieversIntegrationTests):
        @property
        def retriever_constructor(self) -> type:
            return ours.SemsearchRetriever

        @property
        def retriever_constructor_params(self) -> dict:
            return {"index": str(index), "k": 2}

        @property
        def retriever_query_example(self) -> str:
            return QUESTION

    made = TestRetriever()
    names = run_standard(TestRetriever, retriever=lambda: made.retriever_constructor(**made.retriever_constructor_params))
    assert {
        "test_k_constructor_param",
        "test_invoke_with_k_kwarg",
        "test_invoke_returns_documents",
        "test_ainvoke_returns_documents",
        "test_no_overrides_DO_NOT_OVERRIDE",
    } <= set(names)


def test_documents_are_the_hits(index, retriever):
    with semsearch.open(index) as opened:
        hits = opened.search(QUESTION, 3)
    documents = retriever.invoke(QUESTION)
    assert [(document.id, document.page_content) for document in documents] == [(hit.passage_id, hit.text) for hit in hits]
    assert [document.metadata["score"] for document in documents] == [hit.score for hit in hits]
    first = documents[0].metadata
    assert (first["source"], first["line"], first["date"]) == ("seeds/russia-venezuela-road-map.md", 16, "2019-09-27")


def test_what_comes_with_a_question_is_for_that_question(retriever):
    before = retriever.invoke("election")
    assert len(retriever.invoke("election", k=5)) == 5
    assert [document.metadata["number"] for document in retriever.invoke("election", where={"number": 100})] == [100]
    assert len(retriever.invoke("election", per_article=1, where="source=seeds")) == 2
    assert len(retriever.invoke("charter")) == 3
    assert retriever.invoke("charter", answerable_only=True) == []
    assert len(retriever.invoke("sword")) == 3
    assert len(retriever.invoke("sword", mode="lexical")) == 2
    assert retriever.invoke("election") == before
    with pytest.raises(TypeError, match="top_k"):
        retriever.invoke("election", top_k=5)
    with pytest.raises(InputError, match="no mode"):
        retriever.invoke("election", mode="fuzzy")


def test_conditions_of_a_question_cannot_widen_the_retrievers_own(index):
    retriever = ours.SemsearchRetriever(index=index, where="source=records", fold=False)
    assert len(retriever.invoke("election")) == 6
    assert retriever.invoke("sword", where="source=seeds") == []
    assert {document.metadata["number"] for document in retriever.invoke("election", where="number>2")} == {10, 100}
    retriever.close()


def test_what_is_wrong_is_told_when_it_is_made(index, retriever):
    for wrong in ({"k": 0}, {"k": "many"}, {"mode": "fuzzy"}, {"where": "no condition"}, {"per_article": 0}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            ours.SemsearchRetriever(index=index, **wrong)
    with pytest.raises(ValidationError):
        ours.SemsearchRetriever(index=7)
    with pytest.raises(InputError, match="the question is empty"):
        retriever.invoke(" ")


def test_the_event_loop_goes_on(monkeypatch, retriever):
    expected = retriever.invoke(QUESTION)
    assert while_it_waits(monkeypatch, lambda: retriever.ainvoke(QUESTION)) == expected


def test_many_at_the_same_time(retriever):
    questions = ["aid", "sword battle", "council", "election 3"] * 4
    expected = [ids(retriever.invoke(question)) for question in questions]
    assert [ids(found) for found in retriever.batch(questions)] == expected
    assert [ids(found) for found in asyncio.run(retriever.abatch(questions))] == expected
    assert len({tuple(found) for found in expected}) == 4


def test_callbacks_are_told(index, retriever):
    from langchain_core.callbacks import BaseCallbackHandler

    class Told(BaseCallbackHandler):
        def __init__(self) -> None:
            self.said: list[object] = []

        def on_retriever_start(self, serialized, query, **kwargs):
            self.said.append(query)

        def on_retriever_end(self, documents, **kwargs):
            self.said.append(ids(documents))

        def on_retriever_error(self, error, **kwargs):
            self.said.append(type(error))

    told = Told()
    found = ids(retriever.invoke("aid", {"callbacks": [told]}))
    with pytest.raises(IndexMissing):
        ours.SemsearchRetriever(index="no/such/index").invoke("oil", {"callbacks": [told]})
    assert told.said == ["aid", found, "oil", IndexMissing]


def test_it_is_written_and_read(index, monkeypatch):
    from langchain_core.load import dumps, loads

    monkeypatch.chdir(index.parent)
    retriever = ours.SemsearchRetriever(index="index", k=2, where={"source": "records"}, mode="lexical", auto_refresh=False)
    expected = ids(retriever.invoke("election"))
    assert len(expected) == 2
    read = [
        loads(dumps(retriever), valid_namespaces=["semsearch"], allowed_objects=[ours.SemsearchRetriever]),
        pickle.loads(pickle.dumps(retriever)),
        retriever.model_copy(deep=True),
        ours.SemsearchRetriever(**retriever.model_dump()),
    ]
    for copy in read:
        assert isinstance(copy, ours.SemsearchRetriever)
        assert copy.index == "index"
        assert (copy.k, copy.where, copy.mode, copy.auto_refresh) == (2, {"source": "records"}, "lexical", False)
        assert ids(copy.invoke("election")) == expected
        copy.close()
    retriever.close()


def test_fields_may_be_set(index, retriever):
    assert retriever.invoke(QUESTION)
    other = retriever.model_copy(update={"index": "no/such/index"})
    with pytest.raises(IndexMissing):
        other.invoke(QUESTION)
    retriever.k = 1
    assert len(retriever.invoke(QUESTION)) == 1
    retriever.index = "no/such/index"
    with pytest.raises(IndexMissing):
        asyncio.run(retriever.ainvoke(QUESTION))


def test_an_open_index_is_asked_as_it_is(index):
    from langchain_core.runnables import ConfigurableField

    with semsearch.open(index) as opened:
        retriever = ours.SemsearchRetriever(index=opened, k=1)
        expected = ids(retriever.invoke(QUESTION))
        with pytest.raises(InputError, match="give it the path of the index"):
            pickle.dumps(retriever)
        retriever.close()
        assert ids(retriever.invoke(QUESTION)) == expected
        configurable = ours.SemsearchRetriever(index=opened).configurable_fields(k=ConfigurableField(id="k"))
        assert len(configurable.with_config(configurable={"k": 2}).invoke(QUESTION)) == 2
    with pytest.raises(InputError, match="closed"):
        retriever.invoke(QUESTION)


def test_the_snippets(index, monkeypatch, capsys):
    names = run_snippets("LangChain", index, monkeypatch)
    printed = capsys.readouterr().out
    assert "seeds/russia-venezuela-road-map.md:16 Russia has offered Venezuela humanitarian aid" in printed.splitlines()[0]
    assert len(names["narrowed"]) == 1
    assert names["answer"] == "Medicine and food [seeds/russia-venezuela-road-map.md:16]."
    prompt = (names["chain"].steps[0] | names["prompt"]).invoke(QUESTION).to_string()
    assert "[seeds/russia-venezuela-road-map.md:16] Russia has offered Venezuela humanitarian aid" in prompt
    names["retriever"].close()
