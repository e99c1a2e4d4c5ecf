"""OpenDocument texts (ODT) to blocks: odfdo makes Markdown of them, `markdown` reads that.

Deliberately not here: comments, tracked changes, headers and footers, pictures.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

from semsearch.articles import markdown
from semsearch.articles.documents.draft import Draft, blocks_of
from semsearch.articles.documents.packed import Package
from semsearch.articles.documents.properties import of_core
from semsearch.errors import InputError

__all__ = ["read"]


def read(data: bytes) -> Iterator[Draft]:
    """The article in an ODT file.

    :raises InputError: if it is encrypted, damaged, or has no text.
    """
    from odfdo import Document

    package = Package(data, "ODT")
    package.check()
    if b"encryption-data" in package.read("META-INF/manifest.xml"):
        raise InputError("encrypted: save it without its password")
    try:
        text = str(Document(io.BytesIO(data)).to_markdown())
    except Exception as error:
        # Whatever it stumbles over: the package was sound.
        raise InputError(f"a damaged ODT file ({type(error).__name__})") from error
    pieces = [(block.kind, block.level, block.text) for block in markdown.blocks(text) if block.text]
    if not pieces:
        raise InputError("no text in this document")
    metadata = of_core(package.read("meta.xml"))
    title = str(metadata.pop("title", ""))
    yield Draft(title, metadata, blocks_of(pieces))
