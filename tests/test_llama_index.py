"""LlamaIndex's retriever: nodes, filters, query engines."""

from __future__ import annotations

import asyncio
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from shelf import QUESTION, Later, run_snippets, stocked, while_it_waits

import semsearch
from semsearch.errors import IndexMissing, InputError

if find_spec("llama_index") is None:
    pytest.skip("the extra llama-index is not installed", allow_module_level=True)

ours = Later("semsearch.integrations.llama_index")
schema = Later("llama_index.core.schema")
stores = Later("llama_index.core.vector_stores.types")
pytestmark = pytest.mark.usefixtures("no_model")


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    return stocked(tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def retriever(index):
    made = ours.SemsearchRetriever(index, similarity_top_k=3)
    yield made
    made.close()


def ids(nodes) -> list[str]:
    return [node.node_id for node in nodes]


def test_nodes_are_the_hits(index, retriever):
    with semsearch.open(index) as opened:
        hits = opened.search(QUESTION, 3)
    nodes = retriever.retrieve(QUESTION)
    assert [(node.node_id, node.text, node.score) for node in nodes] == [(hit.passage_id, hit.text, hit.score) for hit in hits]
    assert ids(retriever.retrieve(schema.QueryBundle(QUESTION))) == ids(nodes)
    first = nodes[0]
    assert (first.metadata["source"], first.metadata["line"]) == ("seeds/russia-venezuela-road-map.md", 16)
    assert first.node.ref_doc_id == hits[0].article_id
    text = (index.parent / hits[0].source).read_text()
    assert text[first.node.start_char_idx : first.node.end_char_idx] == first.text


def test_prompts_are_given_the_citation_and_what_the_article_says(retriever):
    node = retriever.retrieve("sword battle")[0].node
    head, _, text = node.get_content(schema.MetadataMode.LLM).partition("\n\n")
    assert text == node.text
    assert [line.partition(":")[0] for line in head.splitlines()] == [
        "source", "title", "heading", "line",
        "metadata.source", "metadata.score", "metadata.metadata.page", "metadata.page", "tags", "nested", "abstract",
    ]  # fmt: skip
    embedded = node.get_content(schema.MetadataMode.EMBED)
    assert "title: Clashing" in embedded
    assert "line:" not in embedded
    assert "passage_id" not in embedded


def test_the_event_loop_goes_on(monkeypatch, retriever):
    expected = ids(retriever.retrieve(QUESTION))
    assert ids(while_it_waits(monkeypatch, lambda: retriever.aretrieve(QUESTION))) == expected


def test_many_at_the_same_time(retriever):
    questions = ["aid", "sword battle", "council", "election 3"] * 4

    async def all_at_once():
        return await asyncio.gather(*map(retriever.aretrieve, questions))

    expected = [ids(retriever.retrieve(question)) for question in questions]
    assert list(map(ids, asyncio.run(all_at_once()))) == expected
    assert len({tuple(found) for found in expected}) == 4


def test_a_query_engine_answers_from_what_was_found(retriever):
    from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
    from llama_index.core.llms import MockLLM
    from llama_index.core.query_engine import RetrieverQueryEngine

    told = LlamaDebugHandler(print_trace_on_end=False)
    manager = CallbackManager([told])
    asked = ours.SemsearchRetriever(retriever._searcher.given, similarity_top_k=2, callback_manager=manager)
    engine = RetrieverQueryEngine.from_args(asked, llm=MockLLM())
    response = engine.query(QUESTION)
    assert ids(response.source_nodes) == ids(retriever.retrieve(QUESTION))[:2]
    assert "Russia has offered Venezuela humanitarian aid" in str(response)
    assert ids(asyncio.run(engine.aquery(QUESTION)).source_nodes) == ids(response.source_nodes)
    assert len(told.get_event_pairs(CBEventType.RETRIEVE)) == 2
    asked.close()


def test_it_travels_as_its_path(index, retriever):
    copy = pickle.loads(pickle.dumps(retriever))
    assert ids(copy.retrieve(QUESTION)) == ids(retriever.retrieve(QUESTION))
    assert copy.similarity_top_k == 3
    copy.close()
    with semsearch.open(index) as opened:
        of_open = ours.SemsearchRetriever(opened, similarity_top_k=1)
        assert ids(of_open.retrieve(QUESTION)) == ids(retriever.retrieve(QUESTION))[:1]
        assert not of_open.refresh()
        with pytest.raises(InputError, match="give it the path of the index"):
            pickle.dumps(of_open)
        of_open.close()
        assert opened.search(QUESTION, 1)


def test_what_is_wrong_is_told_when_it_is_made(index, retriever):
    for wrong in ({"similarity_top_k": 0}, {"mode": "fuzzy"}, {"where": "no condition"}, {"per_article": 0}):
        with pytest.raises(InputError):
            ours.SemsearchRetriever(index, **wrong)
    with pytest.raises(TypeError):
        ours.SemsearchRetriever(index, k=3)
    with pytest.raises(InputError, match="the question is empty"):
        retriever.retrieve(" ")
    with pytest.raises(IndexMissing):
        ours.SemsearchRetriever("no/such/index").retrieve(QUESTION)


def test_only_what_is_believed_to_answer(index, retriever):
    assert len(retriever.retrieve("charter")) == 3
    only = ours.SemsearchRetriever(index, answerable_only=True)
    assert only.retrieve("charter") == []
    assert only.retrieve("sword battle")
    only.close()


def test_filters_and_conditions_narrow_what_is_searched(index):
    either = stores.MetadataFilters(filters=[of("number", "==", 100), of("date", "<", "2011")], condition="or")
    retriever = ours.SemsearchRetriever(index, filters=either, where="source=records", fold=False)
    assert sorted(node.metadata["number"] for node in retriever.retrieve("election")) == [0, 100]
    retriever.close()


NOTE = {"n": 5, "author": "A. Nother", "tags": ["oil", "gas"], "empty": [], "what": "What? [a*b]", "date": "2019-09-27"}


def of(key: str, operator: str, value: Any) -> Any:
    return stores.MetadataFilter(key=key, operator=operator, value=value)


# Where LlamaIndex's own store can tell, it is asked, too.
SAME = [
    (("n", "==", 5), True),
    (("n", "==", 6), False),
    (("none", "==", 6), False),
    (("n", "!=", 6), True),
    (("none", "!=", 6), True),
    (("n", ">", 4), True),
    (("n", ">=", 5), True),
    (("n", "<", 5), False),
    (("n", "<=", 5), True),
    (("none", "<=", 5), False),
    (("author", "in", ["B", "A. Nother"]), True),
    (("author", "in", []), False),
    (("author", "nin", ["B"]), True),
    (("author", "nin", []), True),
    (("author", "nin", ["A. Nother"]), False),
    (("none", "nin", ["A. Nother"]), True),
    (("tags", "any", ["coal", "oil"]), True),
    (("tags", "any", ["coal"]), False),
    (("tags", "all", ["gas", "oil"]), True),
    (("tags", "all", ["gas", "coal"]), False),
    (("tags", "contains", "gas"), True),
    (("tags", "contains", "ga"), False),
    (("author", "text_match", "Noth"), True),
    (("author", "text_match", "noth"), False),
    (("author", "text_match_insensitive", "noTH"), True),
    (("author", "text_match_insensitive", "nith"), False),
    (("what", "text_match", "? [a*"), True),
    (("what", "text_match", "?[a*"), False),
    (("what", "text_match_insensitive", "? [A*B]"), True),
    (("what", "==", "What? [a*b]"), True),
    (("what", "==", "What*"), False),
    (("what", "!=", "What*"), True),
    (("what", "in", ["*"]), False),
    (("empty", "is_empty", None), True),
    (("none", "is_empty", None), True),
    (("tags", "is_empty", None), False),
]


@pytest.mark.parametrize(("condition", "expected"), SAME, ids=str)
def test_each_operator_means_what_it_means_there(condition: tuple, expected: bool):
    from llama_index.core.vector_stores.utils import build_metadata_filter_fn

    filters = stores.MetadataFilters(filters=[of(*condition)])
    assert ours.filter_of(filters).matches("a.md", "Title", NOTE) is expected
    assert build_metadata_filter_fn(lambda _: NOTE, filters)("id") is expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (("date", "==", "2019-09"), True),
        (("date", "<", "2020"), True),
        (("tags", "==", "oil"), True),
        (("source", "==", "notes"), True),
        (("title", "text_match", "itl"), True),
        (("metadata.n", "==", 5), True),
    ],
)
def test_values_mean_what_they_mean_in_where(condition: tuple, expected: bool):
    assert ours.filter_of(stores.MetadataFilters(filters=[of(*condition)])).matches("notes/a.md", "Title", NOTE) is expected


def test_filters_of_any_depth():
    held, missed = of("n", "==", 5), of("n", "==", 6)
    for condition, filters, expected in (
        ("and", [held, missed], False),
        ("or", [held, missed], True),
        ("not", [held, missed], False),
        ("not", [missed], True),
        ("and", [], True),
        (None, [held, held], True),
        (
            "and",
            [
                held,
                stores.MetadataFilters(filters=[stores.MetadataFilters(filters=[held], condition="not"), held], condition="or"),
            ],
            True,
        ),
        ("not", [stores.MetadataFilters(filters=[held, missed])], True),
    ):
        assert ours.filter_of(stores.MetadataFilters(filters=filters, condition=condition)).matches("a.md", "", NOTE) is expected
    assert not ours.filter_of(None)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (("line", "==", 3), "is told of each passage"),
        (("score", ">", 1), "is told of each passage"),
        (("tags", "==", ["oil"]), "give one value"),
        (("tags", "!=", None), "give one value"),
        (("tags", "in", "oil"), "give a list"),
        (("author", ">", "A"), "give a number, or a date"),
        (("author", "==", ""), "no value for"),
        (("", "==", "x"), "has no key"),
    ],
)
def test_what_has_no_sense_is_refused(condition: tuple, said: str):
    with pytest.raises(InputError, match=said):
        ours.filter_of(stores.MetadataFilters(filters=[of(*condition)]))


def test_every_operator_there_is():
    """A new one would be noticed."""
    assert {operator for (_, operator, _), _ in SAME} == {operator.value for operator in stores.FilterOperator}


def test_the_snippets(index, monkeypatch, capsys):
    names = run_snippets("LlamaIndex", index, monkeypatch)
    printed = capsys.readouterr().out.splitlines()
    assert "seeds/russia-venezuela-road-map.md:16 Russia has offered Venezuela humanitarian aid" in printed[0]
    assert printed[-4] == f"{names['response'].source_nodes[0].node_id} seeds/russia-venezuela-road-map.md"
    assert len(names["narrowed"].retrieve(QUESTION)) == 10
    names["retriever"].close()
    names["narrowed"].close()
