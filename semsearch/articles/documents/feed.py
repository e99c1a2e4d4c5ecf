"""RSS and Atom to articles, by feedparser: one an entry, with its address, date, author and tags.

Deliberately not here: fetching the pages that a feed links to.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from typing import Any

from semsearch.articles import html, text
from semsearch.articles.documents.draft import Draft, blocks_of
from semsearch.articles.outline import Piece
from semsearch.errors import InputError

__all__ = ["read"]

_SHORT_ENTITY = re.compile(rb'\s+(\w+)\s+"(&#\w+;|[^&"]{0,64})"')
"""Entities that feedparser lets a feed define. Without the maximum length, 40 KB of a feed become 90 MB of text."""


def read(data: bytes) -> Iterator[Draft]:
    """The entries of a feed, as it has them.

    :raises InputError: if it is none, or has no entries.
    """
    import feedparser
    from feedparser import sanitizer

    sanitizer.RE_SAFE_ENTITY_PATTERN = _SHORT_ENTITY
    parsed = feedparser.parse(io.BytesIO(data), resolve_relative_uris=False)
    if not parsed.get("version") and not parsed.entries:
        raise InputError("not an RSS or Atom feed")
    if not parsed.entries:
        raise InputError("a feed without entries")
    name = html.plain_text(parsed.feed.get("title", "")) if parsed.feed.get("title") else ""
    for number, entry in enumerate(parsed.entries, 1):
        written = entry.get("title") or ""
        # Atom says what is no HTML; of RSS feedparser cannot know.
        plain = str(parsed.version).startswith("atom") and (entry.get("title_detail") or {}).get("type") == "text/plain"
        title = " ".join((written if plain or not written else html.plain_text(written)).split())
        pieces = [piece for part in entry.get("content") or [entry.get("summary_detail") or {}] for piece in _pieces(part)]
        if not pieces and title:
            pieces = [("paragraph", 0, title)]
        metadata = {**_metadata(entry), **({"feed": name} if name else {})}
        yield Draft(title, metadata, blocks_of(pieces), f"#{number}")


def _pieces(part: Any) -> list[Piece]:
    """The blocks of a content or summary, which says whether it is HTML."""
    content = part.get("value", "")
    if part.get("type") == "text/plain":
        return [("paragraph", 0, block.text) for block in text.paragraphs(content)]
    return html.outline(content)


def _metadata(entry: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if entry.get("link"):
        found["url"] = entry["link"]
    when = entry.get("published_parsed") or entry.get("updated_parsed")
    if when:
        found["date"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", when)
    if entry.get("author"):
        found["author"] = entry["author"]
    tags = [tag.get("term") for tag in entry.get("tags", []) if tag.get("term")]
    if tags:
        found["tags"] = tags
    return found
