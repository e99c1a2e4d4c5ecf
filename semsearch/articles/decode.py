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
_PROBE = b'<meta charset="\\u0041\\x41+AGE-~{.xn--mnchen-3ya.">'
"""What a page's own declaration may look like, with what some encodings write other letters by."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_FEW = 8
"""Fewer bytes than this that are not ASCII are too few to tell one encoding from another."""


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
        raise InputError("binary file: it has NUL bytes; if it is UTF-16 text, save it as UTF-8")
    for name in (_declared(data) if html else "", "utf-8"):
        try:
            return printable(data.decode(name))
        except (UnicodeError, LookupError):
            continue
    damaged = data.decode("utf-8", "replace")
    broken = damaged.count("\ufffd")
    if sum(character > "\x7f" for character in damaged) > 2 * broken:
        return printable(damaged)
    if broken < _FEW and 4 * broken <= len(data):
        try:
            return data.decode("cp1252")
        except UnicodeDecodeError:
            pass
    from charset_normalizer import from_bytes

    guesses = from_bytes(data)
    best = guesses.best()
    if best is None:
        raise InputError("not text in any known encoding: save it as UTF-8")
    equals = [guess for guess in guesses if (guess.chaos, guess.coherence) == (best.chaos, best.coherence)]
    # It may find French as likely in the Central European encoding as in the Western one, which far more files have.
    return printable(str(next((guess for guess in equals if guess.encoding == "cp1252"), best)))


def _declared(data: bytes) -> str:
    """The encoding that a page names, "" if none; the two that are often named wrongly are read as browsers read them."""
    match = _META_CHARSET.search(data[:4096])
    name = match[1].decode("ascii").lower() if match else ""
    if name in ("iso-8859-1", "latin1", "us-ascii"):
        return "cp1252"
    # The name was found as ASCII bytes, so the page is of no encoding that writes ASCII otherwise: UTF-16 by any name, UTF-7, and
    # what is no encoding of pages at all: Python's escapes, or punycode, which takes time by its size squared.
    try:
        return name if _PROBE.decode(name) == _PROBE.decode("ascii") else ""
    except (UnicodeError, LookupError):
        return ""


def printable(text: str) -> str:
    """The text with NULs and lone surrogates, which neither UTF-8 nor the index can hold, replaced one by one by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)
