"""Haystack: an index as a retriever component, by haystack-ai.

::

    from semsearch.integrations.haystack import SemsearchRetriever

    retriever = SemsearchRetriever("index", top_k=4)
    documents = retriever.run("what aid did Russia offer")["documents"]

Importing Haystack makes a file with a number for this user, ``~/.haystack/config.yaml``, and running a pipeline tells its makers
the classes and names of its components, unless ``HAYSTACK_TELEMETRY_ENABLED=false`` is set. That is Haystack's, and left as it
is: nothing is sent by importing this, and neither the path of an index nor questions are ever part of it.

Deliberately not here: a document store to write to; leave to load this class, which `Pipeline.load` asks the user for
(``allowed_modules``).
"""

# Without postponed annotations: older versions of Haystack read the types of inputs off the signature as it stands.

import asyncio
import glob
import re
from dataclasses import replace
from typing import Any, Optional

from semsearch.errors import InputError, MissingExtra

try:
    from haystack import DeserializationError, Document, component, default_to_dict
    from haystack.document_stores.types import FilterPolicy, apply_filter_policy
    from haystack.errors import FilterError
except ImportError as error:
    raise MissingExtra('the retriever for Haystack needs haystack-ai: python -m pip install "semsearch[haystack]"') from error

from semsearch import filters as our_filters
from semsearch.arguments import check_k
from semsearch.filters import Filter, Where
from semsearch.index import Index
from semsearch.integrations.citing import article_key, metadata_of
from semsearch.integrations.searching import Asking, PathLike, Searcher, path_of
from semsearch.records import Hit, Mode
from semsearch.results import Results

__all__ = ["SemsearchRetriever", "UnusableFilter", "filter_of"]

_FIELDS = ("id", "content", "blob", "meta", "score", "embedding", "sparse_embedding")
# As Haystack's own components have them: older versions do not connect `dict | None`.
_Filters = Optional[dict[str, Any]]  # noqa: UP045
_Number = Optional[int]  # noqa: UP045
_ORDERED = (">", ">=", "<", "<=")
_NOTHING = our_filters.any_of()
_NUMBER = re.compile(r"\s*[+-]?[\d.]+(?:[eE][+-]?\d+)?\s*")
_YEAR = re.compile(r"\d{4}")


class UnusableFilter(FilterError, InputError):
    """A filter that has no sense, as either side calls it."""


@component
class SemsearchRetriever:
    """Passages of an index as documents: ``id`` is the passage's, ``meta`` its citation and what its article says of itself.

    The second output, ``answerable``, says whether the question is believed to be answered, for a router to decide on.

    :param index: the path of an index, which is opened when the pipeline warms up or with the first question, or an open one,
        which stays yours to close; only the former can be written with a pipeline.
    :param filters: only articles that meet these; see `filter_of`.
    :param top_k: documents, at most.
    :param mode: by meaning and words, by meaning (``dense``), by words (``lexical``).
    :param where: only articles that meet these conditions, too, whatever filters a question comes with; as in `Index.search`.
    :param per_article: documents of one article, at most.
    :param fold: whether copies of a passage, and what is nearly the same, are one document.
    :param answerable_only: whether only passages come back that are believed to answer, and none if the best one is not.
    :param filter_policy: whether the filters of a question replace those given here, or are merged with them as Haystack does it.
    :param auto_refresh: whether it answers from the newest state of the index, looked for once a second at most; None: of a path
        it does, of an open index it does not.
    :raises InputError: if any of it cannot be used; as `UnusableFilter` what is wrong with filters.
    """

    def __init__(
        self,
        index: PathLike | Index,
        *,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        mode: Mode = "hybrid",
        where: Where = None,
        per_article: int | None = None,
        fold: bool = True,
        answerable_only: bool = False,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
        auto_refresh: bool | None = None,
    ) -> None:
        self._searcher = Searcher(index, auto_refresh=auto_refresh)
        self._asking = Asking.of(top_k, mode, where, per_article, fold=fold, answerable_only=answerable_only)
        filter_of(filters)
        self._where = where
        self._warm = False
        self.filters = filters
        self.filter_policy = FilterPolicy.from_str(filter_policy) if isinstance(filter_policy, str) else filter_policy

    def to_dict(self) -> dict[str, Any]:
        """What a pipeline is written with.

        :raises InputError: if an open index was given: write the path instead.
        """
        asking = self._asking
        return default_to_dict(
            self,
            index=path_of(self._searcher.given),
            filters=self.filters,
            top_k=asking.k,
            mode=asking.mode,
            where=self._where,
            per_article=asking.per_article,
            fold=asking.fold,
            answerable_only=asking.answerable_only,
            filter_policy=self.filter_policy.value,
            auto_refresh=self._searcher.auto_refresh,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "SemsearchRetriever":
        """A retriever of what `to_dict` wrote.

        :raises DeserializationError: if that was another class.
        """
        # Not by Haystack's own function, which takes conditions on a "type" for the name of a class to import.
        if data.get("type") != f"{cls.__module__}.{cls.__name__}":
            raise DeserializationError(f"this is a {data.get('type')}, and no {cls.__name__}: give what to_dict wrote")
        return cls(**data.get("init_parameters", {}))

    def warm_up(self) -> None:
        """Open the index and load the model, so that the first question need not wait, and what is wrong is told before it."""
        if not self._warm:
            self._searcher.search("semsearch", replace(self._asking, k=1))
            self._warm = True

    async def warm_up_async(self) -> None:
        """`warm_up`, in a thread."""
        await asyncio.to_thread(self.warm_up)

    @component.output_types(documents=list[Document], answerable=bool)
    def run(
        self,
        query: str,
        filters: _Filters = None,
        top_k: _Number = None,
    ) -> dict[str, Any]:
        """The passages that answer a question best, the best first.

        :param query: the question.
        :param filters: in place of those given before, or merged with them, as ``filter_policy`` says.
        :param top_k: documents, at most; none for 0.
        :raises SemsearchError: as `Index.open` and `Index.search` do.
        """
        asking = self._asked(filters, top_k)
        return _output(self._searcher.search(query, asking), top_k)

    @component.output_types(documents=list[Document], answerable=bool)
    async def run_async(
        self,
        query: str,
        filters: _Filters = None,
        top_k: _Number = None,
    ) -> dict[str, Any]:
        """`run`, with the search in a thread."""
        asking = self._asked(filters, top_k)
        return _output(await asyncio.to_thread(self._searcher.search, query, asking), top_k)

    def refresh(self) -> bool:
        """Go on to the newest generation; False if this is it.

        :raises SemsearchError: as `Index.refresh` does.
        """
        return self._searcher.refresh()

    def close(self) -> None:
        """Close what the retriever opened; another question opens it again."""
        self._warm = False
        self._searcher.close()

    def _asked(self, filters: dict[str, Any] | None, top_k: int | None) -> Asking:
        policy = apply_filter_policy(self.filter_policy, self.filters, filters)
        return replace(
            self._asking,
            # As Haystack's own have it: none are asked for, none come.
            k=self._asking.k if top_k is None else check_k(top_k or 1, "top_k"),
            where=our_filters.all_of(self._asking.where, filter_of(policy)),
        )


def _output(results: Results, top_k: int | None) -> dict[str, Any]:
    return {"documents": [] if top_k == 0 else [_document(hit) for hit in results], "answerable": results.answerable}


def _document(hit: Hit) -> Document:
    meta = metadata_of(hit)
    # A field of the document itself; written out, both would be one.
    score = meta.pop("score")
    return Document(id=hit.passage_id, content=hit.text, meta=meta, score=score)


def filter_of(given: dict[str, Any] | None) -> Filter:
    """A filter of Haystack as one of ours, of any depth.

    Fields are those of the documents' ``meta`` that tell of articles: their own, ``meta.source`` and ``meta.title``. Values mean
    what they mean in ``where``: a date is any moment in it, of a list any value counts. None is what an article does not have.

    :raises UnusableFilter: if a filter has no sense, or asks of passages.
    """
    if not given:
        return Filter()
    try:
        return _translated(given)
    except UnusableFilter:
        raise
    except InputError as error:
        raise UnusableFilter(str(error)) from error


def _translated(given: Any) -> Filter:
    if not isinstance(given, dict):
        raise UnusableFilter(f"a part of the filter is {given!r}: give {{'field': ..., 'operator': ..., 'value': ...}}")
    if missing := [key for key in ("operator", "value" if "field" in given else "conditions") if key not in given]:
        raise UnusableFilter(f"the filter {given!r} has no {missing[0]!r}: add it")
    operator = given["operator"]
    if "field" in given:
        return _comparison(_key(given["field"]), operator, given["value"])
    if not isinstance(given["conditions"], list):
        raise UnusableFilter(f"the conditions of {operator} are {given['conditions']!r}: give a list")
    conditions = list(map(_translated, given["conditions"]))
    if operator == "AND":
        return our_filters.all_of(*conditions)
    if operator == "OR":
        return our_filters.any_of(*conditions)
    if operator == "NOT":
        return our_filters.none_of(our_filters.all_of(*conditions))
    raise UnusableFilter(f"no logical operator {operator!r}: use AND, OR or NOT")


def _key(field: Any) -> str:
    if not isinstance(field, str) or field in _FIELDS:
        raise UnusableFilter(f"{field!r} is no metadata, and filters know of nothing else: give 'meta.KEY'")
    return article_key(field.removeprefix("meta."))


def _comparison(key: str, operator: Any, value: Any) -> Filter:
    if operator in ("in", "not in"):
        if not isinstance(value, list):
            raise UnusableFilter(f"{key!r} is compared with {value!r} by {operator!r}: give a list")
        each = [_equal(key, one) for one in value]
        return our_filters.any_of(*each) if operator == "in" else our_filters.none_of(*each)
    if operator in ("==", "!="):
        return _equal(key, value) if operator == "==" else our_filters.none_of(_equal(key, value))
    if operator not in _ORDERED:
        raise UnusableFilter(f"no operator {operator!r} for {key!r}: use one of == != > >= < <= in 'not in'")
    if value is None:
        return _NOTHING
    if isinstance(value, list) or (isinstance(value, str) and _NUMBER.fullmatch(value) and not _YEAR.fullmatch(value)):
        raise UnusableFilter(f"{key!r} cannot be {operator} {value!r}: give a number, or a date such as '2019-09-27'")
    return our_filters.parse({key: {operator: value}})


def _equal(key: str, value: Any) -> Filter:
    if value is None:
        return our_filters.parse({key: {"!=": "*"}})
    if isinstance(value, list):
        raise UnusableFilter(f"{key!r} cannot be compared with a list as a whole: use 'in', or one condition for each value")
    return our_filters.parse({key: glob.escape(value) if isinstance(value, str) else value})
