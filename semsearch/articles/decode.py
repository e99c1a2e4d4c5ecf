"""Bytes to text: the encoding told by the file, else UTF-8, else the likeliest by charset-normalizer.

Deliberately not here: markup.
"""

from __future__ import annotations

import codecs
import re

from semsearch.errors import InputError

__all__ = ["decode", "printable"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_META_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?([\w-]+)""", re.IGNORECASE)
_UNSTORABLE = {0: 0xFFFD, **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)}


def decode(data: bytes, *, html: bool = False) -> str:
    """Text of a file, without a byte order mark, line ends as they are.

    A mostly valid UTF-8 file with some broken bytes is read with U+FFFD in their place: guessing another encoding would
    spoil every accented letter of it.

    :raises InputError: if the bytes are no text, or of an encoding that cannot be told.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return printable(data[len(mark) :].decode(encoding, "replace"))
    if b"\0" in data:
        raise InputError("binary file: it has NUL bytes")
    declared = _META_CHARSET.search(data[:4096]) if html else None
    for name in ([declared[1].decode("ascii")] if declared else []) + ["utf-8"]:
        try:
            return printable(data.decode(name))
        except (UnicodeDecodeError, LookupError):
            continue
    damaged = data.decode("utf-8", "replace")
    broken = damaged.count("\ufffd")
    if sum(character > "\x7f" for character in damaged) > 2 * broken:
        return printable(damaged)
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    if best is None:
        raise InputError("not text in any known encoding: save it as UTF-8")
    return printable(str(best))


def printable(text: str) -> str:
    """The text with NULs and lone surrogates, which neither UTF-8 nor the index can hold, replaced one by one by U+FFFD."""
    return text.translate(_UNSTORABLE) if not text.isascii() or "\0" in text else text
