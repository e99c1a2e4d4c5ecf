"""What documents say of themselves in the terms of Dublin Core, as DOCX, EPUB and others hold it in XML.

Deliberately not here: where in a package that XML is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lxml.etree import _Element

__all__ = ["of_core", "parsed"]

_NAMES = {
    "title": "title",
    "creator": "author",
    "language": "language",
    "subject": "tags",
    "keywords": "tags",
    "date": "date",
    "created": "date",
    "publisher": "publisher",
    "description": "description",
    "source": "url",
}


def parsed(data: bytes) -> _Element | None:
    """The tree of some XML, None if it is none. Entities are not expanded, nothing is loaded from elsewhere."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True)
    try:
        root: _Element | None = etree.fromstring(data, parser)
    except (etree.LxmlError, ValueError):
        return None
    return root


def of_core(data: bytes) -> dict[str, Any]:
    """Metadata out of the elements of Dublin Core in some XML, by our names; several of one kind are joined by commas."""
    root = parsed(data) if data.strip() else None
    found: dict[str, list[str]] = {}
    for element in root.iter() if root is not None else ():
        if not isinstance(element.tag, str):
            continue
        name = _NAMES.get(element.tag.rpartition("}")[2])
        text = " ".join("".join(element.itertext()).split())
        if name and text and not len(element):
            found.setdefault(name, []).append(text)
    singles = ("date", "title", "language", "url")
    return {name: texts[0] if name in singles else ", ".join(dict.fromkeys(texts)) for name, texts in found.items()}
