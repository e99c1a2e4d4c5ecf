"""LangChain: an index as a retriever, by langchain-core.

::

    from semsearch.integrations.langchain import SemsearchRetriever

    retriever = SemsearchRetriever(index="index", k=4)
    documents = retriever.invoke("what aid did Russia offer")

Deliberately not here: a vector store, and filters of its query language, for which there is ``where``.
"""

from __future__ import annotations

import asyncio
from typing import Any

from semsearch.arguments import MAX_K
from semsearch.errors import MissingExtra

try:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from pydantic import Field, PrivateAttr, field_validator
except ImportError as error:
    raise MissingExtra(
        'the retriever for LangChain needs langchain-core: python -m pip install "semsearch[langchain]"'
    ) from error

from semsearch import filters
from semsearch.filters import Where
from semsearch.index import Index
from semsearch.integrations.citing import metadata_of
from semsearch.integrations.searching import Asking, PathLike, Searcher, path_of
from semsearch.records import Hit, Mode

__all__ = ["SemsearchRetriever"]


class SemsearchRetriever(BaseRetriever):
    """Passages of an index as documents: ``id`` is the passage's, ``metadata`` its citation and what its article says of itself.

    ``k``, ``mode``, ``where``, ``per_article`` and ``answerable_only`` may be given with a question, too, as in
    ``retriever.invoke(question, k=3)``, for that question alone; ``where`` then narrows what the retriever's own leaves.
    Errors are those of `Index.open` and `Index.search`; of what is wrong with a field, pydantic tells.
    """

    index: PathLike | Index
    """The path of an index, which is opened with the first question, or an open one, which stays yours to close."""
    k: int = Field(default=10, ge=1, le=MAX_K)
    """Documents, at most."""
    mode: Mode = "hybrid"
    """By meaning and words, by meaning (``dense``), by words (``lexical``)."""
    where: Any = None
    """Only articles that meet these conditions, as in `Index.search`: ``{"date": {">=": "2019"}}``, ``"tags=oil|gas"``."""
    per_article: int | None = Field(default=None, ge=1, le=MAX_K)
    """Documents of one article, at most."""
    fold: bool = True
    """Whether copies of a passage, and what is nearly the same, are one document."""
    answerable_only: bool = False
    """Whether only passages come back that are believed to answer, and none if the best one is not."""
    auto_refresh: bool | None = None
    """Whether it answers from the newest state of the index, looked for once a second at most; None: of a path, it does."""

    _searcher: Searcher = PrivateAttr()

    @field_validator("where")
    @classmethod
    def _check_where(cls, where: Any) -> Any:
        filters.parse(where)
        return where

    def model_post_init(self, context: Any, /) -> None:
        """Take hold of the index; nothing is opened yet."""
        super().model_post_init(context)
        self._searcher = Searcher(self.index, auto_refresh=self.auto_refresh)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether ``dumps`` of langchain-core can write it: its fields, and of the index the path."""
        return True

    def refresh(self) -> bool:
        """Go on to the newest generation; False if this is it.

        :raises SemsearchError: as `Index.refresh` does.
        """
        return self._held().refresh()

    def close(self) -> None:
        """Close what the retriever opened; another question opens it again."""
        self._held().close()

    def _held(self) -> Searcher:
        """What asks the index, which may be another one by now: fields can be set, in copies, too."""
        if (self._searcher.given, self._searcher.auto_refresh) != (self.index, self.auto_refresh):
            self._searcher = Searcher(self.index, auto_refresh=self.auto_refresh)
        return self._searcher

    def __getstate__(self) -> dict[Any, Any]:
        """Its fields; of the index the path.

        :raises InputError: if it was given an open index.
        """
        path_of(self.index)
        return super().__getstate__()

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002
        k: int | None = None,
        mode: Mode | None = None,
        where: Where = None,
        per_article: int | None = None,
        answerable_only: bool | None = None,
    ) -> list[Document]:
        asking = self._asking(k, mode, where, per_article, answerable_only)
        return [_document(hit) for hit in self._held().search(query, asking)]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002
        k: int | None = None,
        mode: Mode | None = None,
        where: Where = None,
        per_article: int | None = None,
        answerable_only: bool | None = None,
    ) -> list[Document]:
        asking = self._asking(k, mode, where, per_article, answerable_only)
        return [_document(hit) for hit in await asyncio.to_thread(self._held().search, query, asking)]

    def _asking(
        self, k: int | None, mode: Mode | None, where: Where, per_article: int | None, answerable_only: bool | None
    ) -> Asking:
        return Asking.of(
            self.k if k is None else k,
            self.mode if mode is None else mode,
            filters.all_of(filters.parse(self.where), filters.parse(where)),
            self.per_article if per_article is None else per_article,
            fold=self.fold,
            answerable_only=self.answerable_only if answerable_only is None else answerable_only,
        )


def _document(hit: Hit) -> Document:
    return Document(id=hit.passage_id, page_content=hit.text, metadata=metadata_of(hit))
