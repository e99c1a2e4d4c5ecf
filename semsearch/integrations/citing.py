"""A hit's citation as the metadata that frameworks carry along with a passage.

Deliberately not here: the absolute path of a file, which is nobody's business where prompts and traces go.
"""

from __future__ import annotations

from typing import Any

from semsearch.errors import InputError
from semsearch.records import Hit

__all__ = ["OF_PASSAGES", "article_key", "metadata_of"]

_OF_ARTICLES = ("source", "title")
OF_PASSAGES = (
    "heading",
    "line",
    "paragraph",
    "page",
    "start",
    "end",
    "highlight",
    "score",
    "confidence",
    "passage_id",
    "article_id",
)
"""Keys that tell of a passage, which no filter knows."""
_TAKEN = frozenset(_OF_ARTICLES + OF_PASSAGES)
_OWN = "metadata."
"""Before a key of an article's own that the citation has, too; filters call it the same."""


def metadata_of(hit: Hit) -> dict[str, Any]:
    """The place of a passage, and what its article says of itself, as JSON values.

    ``page`` only where there are pages. An article's own key that is one of ours comes as ``metadata.KEY``, which is its name
    in filters, too.
    """
    page = hit.page
    cited = {
        "source": hit.source,
        "title": hit.title,
        "heading": hit.heading,
        "line": hit.line,
        "paragraph": hit.paragraph,
        **({"page": page} if page else {}),
        "start": hit.start,
        "end": hit.end,
        "highlight": hit.highlight.text,
        "score": hit.score,
        "confidence": hit.confidence,
        "passage_id": hit.passage_id,
        "article_id": hit.article_id,
    }
    own: dict[str, Any] = {}
    for key, value in hit.metadata.items():
        name = key
        while name in _TAKEN or (name != key and (name in hit.metadata or name in own)):
            name = f"{_OWN}{name}"
        own[name] = value
    return {**cited, **own}


def article_key(key: str) -> str:
    """A key as a filter of ours takes it.

    :raises InputError: if it tells of a passage.
    """
    if key in OF_PASSAGES:
        raise InputError(
            f"{key!r} is told of each passage, and filters know of articles alone: filter by their metadata, source or title "
            f"({_OWN}{key} is what an article says itself)"
        )
    return key
