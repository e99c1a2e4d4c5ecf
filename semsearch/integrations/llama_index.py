"""LlamaIndex: an index as a retriever, by llama-index-core.

::

    from semsearch.integrations.llama_index import SemsearchRetriever

    retriever = SemsearchRetriever("index", similarity_top_k=4)
    nodes = retriever.retrieve("what aid did Russia offer")

Deliberately not here: a vector store; several query strings of one bundle, of which only ``query_str`` is asked.
"""

from __future__ import annotations

import asyncio
import glob
from collections.abc import Sequence
from typing import Any

from semsearch.errors import InputError, MissingExtra

try:
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import IndexNode, NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode
    from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters
except ImportError as error:
    raise MissingExtra(
        'the retriever for LlamaIndex needs llama-index-core: python -m pip install "semsearch[llama-index]"'
    ) from error

from semsearch import filters
from semsearch.filters import Filter, Where
from semsearch.index import Index
from semsearch.integrations.citing import OF_PASSAGES, article_key, metadata_of
from semsearch.integrations.searching import Asking, PathLike, Searcher
from semsearch.records import Hit, Mode
from semsearch.results import Results

__all__ = ["SemsearchRetriever", "filter_of"]

_CITED = ("heading", "line", "page")
_UNSAID_TO_MODELS = [key for key in OF_PASSAGES if key not in _CITED]
"""What is of no use in a prompt; LlamaIndex puts all other metadata before a text."""
_UNSAID_TO_ENCODERS = [key for key in ("source", *OF_PASSAGES) if key != "heading"]


class SemsearchRetriever(BaseRetriever):
    """Passages of an index as nodes: ``node_id`` is the passage's, ``metadata`` its citation and what its article says of itself.

    Of the metadata, prompts are given the citation (source, title, heading, line, page) and the article's own. Threads may share
    it.

    :param index: the path of an index, which is opened with the first question, or an open one, which stays yours to close.
    :param similarity_top_k: nodes, at most.
    :param mode: by meaning and words, by meaning (``dense``), by words (``lexical``).
    :param filters: only articles that meet these; see `filter_of`.
    :param where: and these, as in `Index.search`.
    :param per_article: nodes of one article, at most.
    :param fold: whether copies of a passage, and what is nearly the same, are one node.
    :param answerable_only: whether only passages come back that are believed to answer, and none if the best one is not.
    :param auto_refresh: whether it answers from the newest state of the index, looked for once a second at most; None: of a path
        it does, of an open index it does not.
    :param callback_manager: as every retriever takes it, like ``object_map``, ``objects`` and ``verbose``.
    :raises InputError: if any of it cannot be used.
    """

    def __init__(
        self,
        index: PathLike | Index,
        *,
        similarity_top_k: int = 10,
        mode: Mode = "hybrid",
        filters: MetadataFilters | None = None,
        where: Where = None,
        per_article: int | None = None,
        fold: bool = True,
        answerable_only: bool = False,
        auto_refresh: bool | None = None,
        callback_manager: CallbackManager | None = None,
        object_map: dict[str, Any] | None = None,
        objects: list[IndexNode] | None = None,
        verbose: bool = False,
    ) -> None:
        self._searcher = Searcher(index, auto_refresh=auto_refresh)
        self._asking = Asking.of(
            similarity_top_k,
            mode,
            _both(where, filters),
            per_article,
            fold=fold,
            answerable_only=answerable_only,
        )
        super().__init__(callback_manager=callback_manager, object_map=object_map, objects=objects, verbose=verbose)

    @property
    def similarity_top_k(self) -> int:
        """Nodes, at most."""
        return self._asking.k

    def refresh(self) -> bool:
        """Go on to the newest generation; False if this is it.

        :raises SemsearchError: as `Index.refresh` does.
        """
        return self._searcher.refresh()

    def close(self) -> None:
        """Close what the retriever opened; another question opens it again."""
        self._searcher.close()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(self._searcher.search(query_bundle.query_str, self._asking))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(await asyncio.to_thread(self._searcher.search, query_bundle.query_str, self._asking))


def _both(where: Where, given: MetadataFilters | None) -> Filter:
    return filters.all_of(filters.parse(where), filter_of(given))


def _nodes(results: Results) -> list[NodeWithScore]:
    return [NodeWithScore(node=_node(hit), score=hit.score) for hit in results]


def _node(hit: Hit) -> TextNode:
    return TextNode(
        id_=hit.passage_id,
        text=hit.text,
        metadata=metadata_of(hit),
        excluded_llm_metadata_keys=_UNSAID_TO_MODELS,
        excluded_embed_metadata_keys=_UNSAID_TO_ENCODERS,
        start_char_idx=hit.start,
        end_char_idx=hit.end,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.article_id)},
    )


def filter_of(given: MetadataFilters | None) -> Filter:
    """A filter of LlamaIndex as one of ours, of any depth.

    Keys are those of the nodes' metadata that tell of articles: their own, ``source`` and ``title``. Values mean what they mean
    in ``where``: a date is any moment in it, of a list any value counts. ``text_match`` looks for letters anywhere in a value,
    ``contains`` for a whole value in a list.

    :raises InputError: if a filter has no sense, or asks of passages.
    """
    if given is None:
        return Filter()
    parts = [filter_of(each) if isinstance(each, MetadataFilters) else _condition(each) for each in given.filters]
    # By their values: older versions have fewer names.
    condition = "and" if given.condition is None else given.condition.value
    if condition == "and":
        return filters.all_of(*parts)
    if condition == "or":
        return filters.any_of(*parts)
    if condition == "not":
        return filters.none_of(*parts)
    raise InputError(f"filters cannot be put together by {condition!r}: use 'and', 'or' or 'not'")


def _condition(given: MetadataFilter) -> Filter:
    key, operator, value = article_key(given.key), given.operator.value, given.value
    if operator == "is_empty":
        return filters.parse({key: {"!=": "*"}})
    if operator in ("in", "nin", "any", "all"):
        if not isinstance(value, list):
            raise InputError(f"{key!r} is compared with {value!r} by {operator!r}: give a list")
        return _of_list(key, operator, value)
    if value is None or isinstance(value, list):
        raise InputError(f"{key!r} is compared with {value!r} by {operator!r}: give one value, or use 'in', 'all' or 'is_empty'")
    if operator in ("text_match", "text_match_insensitive"):
        text = str(value)
        return filters.parse({key: f"*{glob.escape(text) if operator == 'text_match' else _in_any_case(text)}*"})
    operator = "=" if operator == "contains" else operator
    return filters.parse({key: {operator: _literal(value) if operator in ("=", "==", "!=") else value}})


def _of_list(key: str, operator: str, values: Sequence[Any]) -> Filter:
    each = [filters.parse({key: _literal(value)}) for value in values]
    if operator == "all":
        return filters.all_of(*each)
    return filters.none_of(*each) if operator == "nin" else filters.any_of(*each)


def _literal(value: Any) -> Any:
    """A value in which nothing is a pattern."""
    return glob.escape(value) if isinstance(value, str) else value


def _in_any_case(text: str) -> str:
    """A pattern for a text in small letters or capitals."""
    cases = ((letter.lower(), letter.upper(), letter) for letter in text)
    return "".join(f"[{low}{up}]" if low != up and len(low + up) == 2 else glob.escape(letter) for low, up, letter in cases)
