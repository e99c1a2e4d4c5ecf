"""What documents say of themselves in the terms of Dublin Core, as DOCX, EPUB and others hold it in XML; and how XML is read.

Deliberately not here: where in a package that XML is.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from semsearch.articles.documents.packed import UNPACKING_ERRORS
from semsearch.errors import InputError

if TYPE_CHECKING:
    from lxml.etree import _Element

__all__ = ["of_core", "of_odf", "parsed", "refuse_doctypes"]

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
    "source": "source",
}
_ODF_NAMES = {"initial-creator": "author", "creation-date": "date", "keyword": "tags", "subject": "tags"}
"""Where OpenDocument differs: its creator and date are of the last change."""
_STEP = 65_536


class _Known(Exception):
    """Whether some XML has a DOCTYPE is known."""


def refuse_doctypes(data: bytes, kind: str) -> None:
    """Refuse a package of XML in which some part declares a DOCTYPE, before a library expands the entities that it may define.

    Office programs write none. No more of a part is looked at than stands before its first element.

    :raises InputError: if one does.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            declaring = next((name for name in archive.namelist() if _has_doctype(archive, name)), None)
    except UNPACKING_ERRORS as error:
        raise InputError(f"a damaged {kind} file, which cannot be unpacked") from error
    if declaring is not None:
        raise InputError(f"{declaring} has a DOCTYPE, as no {kind} file has: it is not read")


def _has_doctype(archive: zipfile.ZipFile, name: str) -> bool:
    """Whether a part declares a DOCTYPE; what is no XML does not."""
    parser = expat.ParserCreate()
    found = False

    def declares(*_: Any) -> None:
        nonlocal found
        found = True
        raise _Known

    def begins(*_: Any) -> None:
        raise _Known

    parser.StartDoctypeDeclHandler = declares
    parser.StartElementHandler = begins
    with archive.open(name) as part:
        try:
            while chunk := part.read(_STEP):
                parser.Parse(chunk, False)
        except (_Known, expat.ExpatError, LookupError):
            pass
    return found


def parsed(data: bytes, *, strict: bool = False) -> _Element | None:
    """The tree of some XML, without its comments; None if it is none. No entity is expanded, nothing is loaded from elsewhere.

    :param strict: what is damaged is none, rather than what can be made of it.
    """
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=not strict,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root: _Element | None = etree.fromstring(data, parser)
    except (etree.LxmlError, ValueError):
        return None
    return root


def of_core(data: bytes, names: Mapping[str, str] = _NAMES) -> dict[str, Any]:
    """Metadata out of the elements of Dublin Core in some XML, by our names; several of one kind are joined by commas.

    :param names: of elements, whatever their namespace, and what each is to us.
    """
    root = parsed(data) if data.strip() else None
    found: dict[str, list[str]] = {}
    for element in root.iter() if root is not None else ():
        if not isinstance(element.tag, str):
            continue
        name = names.get(element.tag.rpartition("}")[2])
        text = " ".join("".join(element.itertext()).split())
        if name and text and not len(element):
            found.setdefault(name, []).append(text)
    singles = ("date", "title", "language", "source")
    return {name: texts[0] if name in singles else ", ".join(dict.fromkeys(texts)) for name, texts in found.items()}


def of_odf(data: bytes) -> dict[str, Any]:
    """As `of_core`, of OpenDocument's metadata: who first wrote it and when, rather than who changed it last."""
    return of_core(data) | of_core(data, _ODF_NAMES)
