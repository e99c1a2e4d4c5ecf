"""Haystack's retriever: the component's contract, pipelines, and the standard tests of filters."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import socket
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import FakeEncoder
from helpers import records
from shelf import QUESTION, Later, run_snippets, run_standard, stocked, while_it_waits

import semsearch
from semsearch.errors import IndexMissing, InputError

if TYPE_CHECKING:
    from haystack import Document

if find_spec("haystack") is None:
    pytest.skip("the extra haystack is not installed", allow_module_level=True)

ours = Later("semsearch.integrations.haystack")
haystack = Later("haystack")
types = Later("haystack.document_stores.types")
telemetry = Later("haystack.telemetry._telemetry")
pytestmark = pytest.mark.usefixtures("no_model")
ALLOWED = ["semsearch.integrations.haystack"]


@dataclass(frozen=True)
class Imported:
    """What importing did: whether it was the first time, whom it called, what it left in the home of the user."""

    first: bool
    called: list[object]
    left: list[str]


@pytest.fixture(scope="module", autouse=True)
def imported(tmp_path_factory) -> Imported:
    """The import of our module, as one does it who has not switched Haystack's reports off; from then on they are."""
    home = tmp_path_factory.mktemp("home")
    called: list[object] = []
    first = "haystack" not in sys.modules
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("HAYSTACK_TELEMETRY_ENABLED", raising=False)
        patched.setenv("HOME", str(home))
        patched.setattr(socket.socket, "connect", lambda _, address: called.append(address))
        patched.setattr(socket, "getaddrinfo", lambda *address, **_: called.append(address))
        assert ours.SemsearchRetriever
        assert telemetry.telemetry is not None
    import_module("haystack.telemetry._telemetry").telemetry = None
    return Imported(first, called, sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()))


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    return stocked(tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def retriever(index):
    made = ours.SemsearchRetriever(index, top_k=3)
    yield made
    made.close()


def ids(output) -> list[str]:
    return [document.id for document in output["documents"]]


def numbers(output) -> list[int]:
    return sorted(document.meta["number"] for document in output["documents"])


def condition(field: str, operator: str, value) -> dict:
    return {"field": field, "operator": operator, "value": value}


def test_importing_calls_nobody(imported):
    assert imported.first, "Haystack was imported before"
    assert imported.called == []
    assert imported.left == [".haystack/config.yaml"], "as the documentation says"


def test_what_haystack_reports_has_neither_questions_nor_the_index(index, retriever, monkeypatch):
    sent = []

    class Recorder:
        def send_event(self, *event) -> None:
            sent.append(event)

    monkeypatch.setattr("haystack.telemetry._telemetry.telemetry", Recorder())
    pipeline = haystack.Pipeline()
    pipeline.add_component("retriever", retriever)
    pipeline.run({"retriever": {"query": QUESTION}})
    ((_, said),) = sent
    assert dict(said["components"]) == {"semsearch.integrations.haystack.SemsearchRetriever": [{"name": "retriever"}]}
    assert QUESTION not in repr(sent)
    assert str(index) not in repr(sent)


def test_documents_are_the_hits(index, retriever):
    with semsearch.open(index) as opened:
        results = opened.search(QUESTION, 3)
    output = retriever.run(QUESTION)
    assert [(document.id, document.content, document.score) for document in output["documents"]] == [
        (hit.passage_id, hit.text, hit.score) for hit in results
    ]
    assert output["answerable"] is True
    first = output["documents"][0]
    assert (first.meta["source"], first.meta["line"]) == ("seeds/russia-venezuela-road-map.md", 16)
    for document in output["documents"]:
        assert haystack.Document.from_dict(document.to_dict()) == document, "no key of the metadata is one of the document's"
    assert asyncio.run(retriever.run_async(QUESTION)) == output


def test_both_ways_to_run_take_and_give_the_same(retriever):
    assert inspect.signature(retriever.run) == inspect.signature(retriever.run_async)
    assert {name: socket.type for name, socket in retriever.__haystack_output__._sockets_dict.items()} == {
        "documents": list[haystack.Document],
        "answerable": bool,
    }


def test_how_many(retriever):
    assert len(retriever.run("election", top_k=5)["documents"]) == 5
    assert len(retriever.run("election")["documents"]) == 3
    assert retriever.run("election", top_k=0)["documents"] == []
    with pytest.raises(InputError, match="top_k"):
        retriever.run("election", top_k=-1)


def test_the_event_loop_goes_on(monkeypatch, retriever):
    expected = retriever.run(QUESTION)
    assert while_it_waits(monkeypatch, lambda: retriever.run_async(QUESTION)) == expected
    retriever.close()
    assert while_it_waits(monkeypatch, retriever.warm_up_async) is None


def test_many_at_the_same_time(retriever):
    questions = ["aid", "sword battle", "council", "election 3"] * 4

    async def all_at_once():
        return await asyncio.gather(*map(retriever.run_async, questions))

    expected = [ids(retriever.run(question)) for question in questions]
    assert list(map(ids, asyncio.run(all_at_once()))) == expected
    assert len({tuple(found) for found in expected}) == 4


def test_warming_up_tells_what_is_wrong_and_is_done_once(index, monkeypatch):
    with pytest.raises(IndexMissing):
        ours.SemsearchRetriever("no/such/index").warm_up()
    asked = []
    search = semsearch.Index.search
    monkeypatch.setattr(
        semsearch.Index, "search", lambda self, query, *a, **b: asked.append(query) or search(self, query, *a, **b)
    )
    retriever = ours.SemsearchRetriever(index)
    retriever.warm_up()
    retriever.warm_up()
    assert asked == ["semsearch"]
    retriever.run(QUESTION)
    retriever.close()


def test_a_pipeline_is_written_and_read(index, monkeypatch):
    monkeypatch.chdir(index.parent)
    options = {
        "index": "index",
        "filters": condition("meta.number", ">", 2),
        "top_k": 5,
        "mode": "lexical",
        "where": {"source": ["records", "seeds"], "number": {"!=": 7}},
        "per_article": 2,
        "fold": False,
        "answerable_only": False,
        "filter_policy": "merge",
        "auto_refresh": False,
    }
    pipeline = haystack.Pipeline()
    pipeline.add_component("retriever", ours.SemsearchRetriever(**options))
    expected = pipeline.run({"retriever": {"query": "election"}})["retriever"]
    assert numbers(expected) == [10, 100]
    written = pipeline.dumps()
    assert pipeline.to_dict()["components"]["retriever"]["init_parameters"] == options
    with pytest.raises(haystack.DeserializationError, match=r"semsearch\.integrations\.haystack"):
        haystack.Pipeline.loads(written)
    read = haystack.Pipeline.loads(written, allowed_modules=ALLOWED)
    assert read.dumps() == written
    assert ids(read.run({"retriever": {"query": "election"}})["retriever"]) == ids(expected)
    for each in (pipeline, read):
        each.get_component("retriever").close()


def test_conditions_on_a_type_are_not_the_name_of_a_class(index):
    where = {"type": "collections.OrderedDict"}
    written = ours.SemsearchRetriever(index, where=where).to_dict()
    read = ours.SemsearchRetriever.from_dict(written)
    assert read.to_dict() == written
    assert read.run("election")["documents"] == []
    read.close()
    with pytest.raises(haystack.DeserializationError, match="no SemsearchRetriever"):
        ours.SemsearchRetriever.from_dict(written | {"type": "some.Other"})


def test_a_component_of_a_path_can_be_pickled(index, retriever):
    copy = pickle.loads(pickle.dumps(retriever))
    assert copy.to_dict() == retriever.to_dict()
    assert copy.run(QUESTION) == retriever.run(QUESTION)
    copy.close()


def test_an_open_index_is_asked_but_not_written(index):
    with semsearch.open(index) as opened:
        retriever = ours.SemsearchRetriever(opened, top_k=1)
        expected = retriever.run(QUESTION)
        assert len(expected["documents"]) == 1
        assert not retriever.refresh()
        for write in (retriever.to_dict, lambda: pickle.dumps(retriever)):
            with pytest.raises(InputError, match="give it the path of the index"):
                write()
        retriever.close()
        assert retriever.run(QUESTION) == expected


def test_what_is_wrong_is_told_when_it_is_made(index, retriever):
    for wrong in (
        {"top_k": 0},
        {"mode": "fuzzy"},
        {"where": "no condition"},
        {"per_article": 0},
        {"filters": {"field": "meta.n"}},
    ):
        with pytest.raises(InputError):
            ours.SemsearchRetriever(index, **wrong)
    with pytest.raises(ValueError, match="FilterPolicy"):
        ours.SemsearchRetriever(index, filter_policy="mix")
    with pytest.raises(InputError, match="the question is empty"):
        retriever.run(" ")


def test_filters_of_a_question_replace_or_are_merged_and_where_holds(index):
    given, asked = condition("meta.number", ">", 2), condition("meta.date", "<", "2014")
    for policy, expected in ((types.FilterPolicy.REPLACE, [0, 2, 2, 10]), (types.FilterPolicy.MERGE, [10])):
        retriever = ours.SemsearchRetriever(index, filters=given, filter_policy=policy, where="source=records", fold=False)
        assert numbers(retriever.run("election")) == [10, 100]
        assert numbers(retriever.run("election", filters=asked)) == expected
        assert retriever.run("sword", filters=condition("meta.source", "==", "seeds"))["documents"] == []
        retriever.close()


def test_a_router_decides_by_whether_it_is_answered(index):
    from haystack.components.routers import ConditionalRouter

    pipeline = haystack.Pipeline()
    pipeline.add_component("retriever", ours.SemsearchRetriever(index, top_k=2, answerable_only=True))
    routes = [
        {
            "condition": "{{ answerable }}",
            "output": "{{ documents }}",
            "output_name": "answered",
            "output_type": list[haystack.Document],
        },
        {"condition": "{{ not answerable }}", "output": "nothing", "output_name": "unanswered", "output_type": str},
    ]
    pipeline.add_component("router", ConditionalRouter(routes, unsafe=True))
    pipeline.connect("retriever.documents", "router.documents")
    pipeline.connect("retriever.answerable", "router.answerable")
    assert ids({"documents": pipeline.run({"retriever": {"query": QUESTION}})["router"]["answered"]})
    assert pipeline.run({"retriever": {"query": "charter"}})["router"] == {"unanswered": "nothing"}
    assert asyncio.run(pipeline.run_async({"retriever": {"query": "charter"}}))["router"] == {"unanswered": "nothing"}


class Store:
    """As much of a document store as the standard tests of filters ask for, over an index and a retriever of it."""

    def __init__(self, folder: Path, indexed: dict[str, Path]) -> None:
        self.folder, self.indexed = folder, indexed
        self.documents: list[Document] = []

    def write_documents(self, documents: list[Document]) -> None:
        self.documents = documents
        told = repr([(document.content, document.meta) for document in documents])
        if told not in self.indexed:
            home = self.folder / str(len(self.indexed))
            records(home / "documents", [{"text": document.content, **document.meta} for document in documents])
            semsearch.build(home / "documents", home / "index", encoder=FakeEncoder()).close()
            self.indexed[told] = home / "index"
        self.path = self.indexed[told]

    def filter_documents(self, filters: dict | None = None) -> list[Document]:
        if not self.documents:
            return []
        retriever = ours.SemsearchRetriever(self.path, filters=filters, mode="dense", fold=False, top_k=100)
        places = sorted(int(document.meta["source"].rpartition("#")[2]) for document in retriever.run("document")["documents"])
        retriever.close()
        return [self.documents[place - 1] for place in places]


def test_haystacks_standard_tests_of_filters(tmp_path):
    from haystack.testing.document_store import FilterDocumentsTest, create_filterable_docs

    indexed: dict[str, Path] = {}
    names = run_standard(
        FilterDocumentsTest, document_store=lambda: Store(tmp_path, indexed), filterable_docs=create_filterable_docs
    )
    assert len(names) > 30
    assert {"test_no_filters", "test_comparison_not_equal_with_none", "test_not_operator"} <= set(names)


NOTE = {"n": 5, "author": "A. Nother", "nested": {"section": "world"}, "what": "What? [a*b]", "date": "2019-09-27"}
HELD, MISSED = condition("meta.n", "==", 5), condition("meta.n", "==", 6)
EITHER = {"operator": "OR", "conditions": [MISSED]}
SAME = [
    (HELD, True),
    (condition("n", "==", 5), True),
    (condition("meta.none", "!=", 5), True),
    (condition("meta.none", "==", None), True),
    (condition("meta.n", "==", None), False),
    (condition("meta.n", "!=", None), True),
    (condition("meta.nested.section", "==", "world"), True),
    (condition("meta.nested.section", "in", ["world", None]), True),
    (condition("meta.none", "in", ["world", None]), True),
    (condition("meta.n", "in", []), False),
    (condition("meta.n", "not in", []), True),
    (condition("meta.n", "not in", [5]), False),
    (condition("meta.none", "not in", [5]), True),
    (condition("meta.none", "not in", [None]), False),
    (condition("meta.date", ">", "2019-09-26"), True),
    (condition("meta.date", "<=", "2019-09-26"), False),
    (condition("meta.n", ">", None), False),
    (condition("meta.none", "<", 5), False),
    (condition("meta.what", "==", "What? [a*b]"), True),
    (condition("meta.what", "==", "What*"), False),
    ({"operator": "AND", "conditions": []}, True),
    ({"operator": "OR", "conditions": []}, False),
    ({"operator": "OR", "conditions": [MISSED, HELD]}, True),
    ({"operator": "NOT", "conditions": [HELD, MISSED]}, True),
    ({"operator": "NOT", "conditions": [HELD]}, False),
    ({"operator": "AND", "conditions": [HELD, {"operator": "NOT", "conditions": [EITHER]}]}, True),
]  # fmt: skip


@pytest.mark.parametrize(("filters", "expected"), SAME, ids=lambda value: repr(value)[:70])
def test_filters_mean_what_they_mean_there(filters: dict, expected: bool):
    from haystack.utils.filters import document_matches_filter

    assert ours.filter_of(filters).matches("a.md", "Title", NOTE) is expected
    assert document_matches_filter(filters, haystack.Document(content="x", meta=NOTE)) is expected


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        (condition("meta.line", "==", 3), "is told of each passage"),
        (condition("content", "==", "x"), "is no metadata"),
        (condition("score", ">", 0.5), "is no metadata"),
        (condition("meta.tags", "==", ["oil"]), "with a list as a whole"),
        (condition("meta.tags", "in", "oil"), "give a list"),
        (condition("meta.tags", "contains", "oil"), "no operator 'contains'"),
        (condition("meta.author", ">", "A"), "give a number, or a date"),
        (condition("meta.n", ">", "4.5"), "cannot be > '4.5'"),
        (condition("meta.n", ">", [4]), "cannot be > ."),
        ({"operator": "XOR", "conditions": [HELD]}, "no logical operator"),
        ({"operator": "AND", "conditions": HELD}, "give a list"),
        ({"operator": "AND", "conditions": ["n=5"]}, "a part of the filter is"),
        ({"operator": "AND"}, "has no 'conditions'"),
        ({"conditions": []}, "has no 'operator'"),
        ({"field": "meta.n", "operator": "=="}, "has no 'value'"),
    ],
)
def test_what_has_no_sense_is_refused(filters: dict, said: str):
    with pytest.raises(ours.UnusableFilter, match=said) as raised:
        ours.filter_of(filters)
    assert isinstance(raised.value, Later("haystack.errors").FilterError)
    assert isinstance(raised.value, InputError)


def test_the_snippets(index, monkeypatch, capsys):
    names = run_snippets("Haystack", index, monkeypatch)
    prompt = capsys.readouterr().out
    assert "[seeds/russia-venezuela-road-map.md:16] Russia has offered Venezuela humanitarian aid" in prompt
    assert prompt.endswith(f"Question: {QUESTION}\n")
    assert {document.meta["source"] for document in names["narrowed"]["documents"]} == {"seeds/russia-venezuela-road-map.md"}
    asked = {"retriever": {"query": QUESTION}, "prompt": {"question": QUESTION}}
    assert names["read"].run(asked) == names["done"]
    names["retriever"].close()
