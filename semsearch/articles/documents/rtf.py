"""RTF to blocks, by striprtf: a paragraph each; which of them are headings is not told.

Deliberately not here: styles, footnotes, pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from semsearch.articles import text
from semsearch.articles.decode import printable
from semsearch.articles.documents.draft import Draft, blocks_of
from semsearch.errors import InputError

__all__ = ["read"]

_FACT = re.compile(r"\{\\(title|author|keywords) ([^{}\\]*)\}")
_CREATED = re.compile(r"\{\\creatim\\yr(\d{4})(?:\\mo(\d{1,2})\\dy(\d{1,2}))?")
_HEAD = 20_000
"""Characters in which a document says what it is."""


def read(data: bytes) -> Iterator[Draft]:
    """The article in an RTF file.

    :raises InputError: if it is none, or has no text.
    """
    from striprtf.striprtf import rtf_to_text

    if not data.lstrip().startswith(b"{\\rtf"):
        raise InputError("not an RTF file, whatever its name says")
    # ASCII by its own rules; what else there is, is told by codes.
    coded = data.decode("cp1252", "replace")
    plain = printable(rtf_to_text(coded, errors="replace"))  # type: ignore[no-untyped-call]
    lines = [line.strip().strip("|").strip() for line in plain.splitlines()]
    blocks = blocks_of(("paragraph", 0, re.sub(r"\s+", " ", line)) for line in lines if line)
    if not blocks:
        raise InputError("no text in this document")
    metadata = {name: value.strip() for name, value in _FACT.findall(coded[:_HEAD]) if value.strip()}
    created = _CREATED.search(coded[:_HEAD])
    if created:
        metadata["date"] = "-".join(part.zfill(2) for part in created.groups() if part)
    title = metadata.pop("title", "") or text.take_title(blocks)
    yield Draft(title, metadata, blocks)
