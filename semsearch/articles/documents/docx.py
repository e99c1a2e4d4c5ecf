"""Word's DOCX to blocks: mammoth makes HTML of what its styles mean, `html` reads that.

Deliberately not here: comments, tracked deletions, headers and footers, pictures.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from semsearch.articles import html
from semsearch.articles.documents.draft import Draft, blocks_of
from semsearch.articles.documents.packed import Package
from semsearch.articles.documents.properties import of_core, refuse_doctypes
from semsearch.errors import InputError

__all__ = ["read"]

_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='Quote'] => blockquote > p:fresh
p[style-name='Intense Quote'] => blockquote > p:fresh
comment-reference =>
"""


def read(data: bytes) -> Iterator[Draft]:
    """The article in a DOCX file.

    :raises InputError: if it is encrypted, damaged, has a DOCTYPE, or has no text.
    """
    import mammoth

    package = Package(data, "DOCX")
    package.check()
    if "[Content_Types].xml" not in package.names:
        raise InputError("not a DOCX file, whatever its name says")
    if "word/document.xml" not in package.names and "xl/workbook.xml" in package.names:
        raise InputError("a workbook of tables, which is not read: save its sheets as CSV")
    if "word/document.xml" not in package.names and "ppt/presentation.xml" in package.names:
        raise InputError("slides, which are not read: save them as PDF")
    refuse_doctypes(data, "DOCX")
    try:
        converted = mammoth.convert_to_html(io.BytesIO(data), style_map=_STYLES, convert_image=_no_picture)
    except Exception as error:
        # Whatever it stumbles over: the package was sound.
        raise InputError(f"a damaged DOCX file ({type(error).__name__})") from error
    pieces = html.outline(html.flat_cells(converted.value))
    if not pieces:
        raise InputError("no text in this document")
    metadata = of_core(package.read("docProps/core.xml"))
    title = str(metadata.pop("title", ""))
    yield Draft(title, metadata, blocks_of(pieces))


def _no_picture(_: Any) -> list[Any]:
    return []
