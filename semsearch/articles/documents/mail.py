"""E-mail to articles: a message (.eml), or all of a mailbox (.mbox), read by Python's own email package.

The text is that of all parts that are shown in place: the plain one of several alternatives, or the next that has text. Lines
that quote are quotes, and so is a message that was forwarded; what follows a signature's mark goes. Headers are bounded, for the
package takes time by their length squared.

Deliberately not here: attachments, whose names become metadata; deciphering.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, NamedTuple

from semsearch.articles import html, text
from semsearch.articles.decode import decode, printable
from semsearch.articles.documents.draft import Draft, blocks_of
from semsearch.articles.outline import Piece
from semsearch.errors import InputError

__all__ = ["mailbox", "message"]

_FROM_LINE = re.compile(
    rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\r\n]*\r?\n"
    # Not every program leaves a blank line before: an address, a day, a time and a year make a line one all the same.
    rb"|^From [^\r\n]{1,300}?[ \t](?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[ \t]+[A-Z][a-z]{2}[ \t]+\d{1,2}[ \t]+\d{1,2}:\d\d"
    rb"(?::\d\d)?[ \t][^\r\n]{0,40}?\b\d{4}\b[^\r\n]{0,40}\r?\n",
    re.MULTILINE,
)
_ESCAPED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_SIGNATURE = re.compile(r"^-- \r?$.*", re.MULTILINE | re.DOTALL)
_QUOTED = re.compile(r"[ \t]*>[> \t]*")
_PROMPT = re.compile(r"[ \t]*>>>(?:[ \t]|\Z)")
"""A line of Python at its prompt, if all lines next to it are: three quotes deep, others are less or more."""
_MAX_PARTS = 1000
_MAX_DEPTH = 20
_MAX_VALUES = 500_000
_MAX_HEADER = 65_536
_MAX_PARAMETERS = 2048
"""Characters of the headers that have parameters: 80,000 of them took seconds."""
_PARAMETERS = ("content-type", "content-disposition", "content-transfer-encoding")
_PLAIN = frozenset({"text/plain", "text/markdown", "text/x-patch", "text/x-diff", "text/x-markdown", "text/x-rst"})
_SIGNED, _COMPRESSED = (bytes.fromhex(digits) for digits in ("2a864886f70d010702", "2a864886f70d0109100109"))
"""Object identifiers of PKCS #7 (RFC 8551): what is signed, and what is compressed."""


class _Policy(policy.EmailPolicy):
    """Reads no more of a header than what people write there, and what each part has as the short text that it is."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        if hasattr(value, "name"):
            return value
        if name.lower() in _PARAMETERS:
            # The classes for headers took over 100 s for a message of 12 MB in 6,000 parts; as text, these take 2.
            return "".join(value[:_MAX_PARAMETERS].splitlines()).strip()
        if len(value) > _MAX_HEADER:
            # At the end of a line or an address, if there is one.
            value = value[:_MAX_HEADER]
            end = max(value.rfind(","), value.rfind("\n"))
            value = value[:end] if end > 0 else value
        return super().header_fetch_parse(name, value)


def mailbox(data: bytes) -> Iterator[Draft | InputError]:
    """The messages of a mailbox, each with its number; or what is wrong with one.

    :raises InputError: if it is none.
    """
    starts = [match.span() for match in _FROM_LINE.finditer(data)]
    if not starts or data[: starts[0][0]].strip():
        raise InputError("not a mailbox: it does not begin with a line 'From ...'")
    ends = [start for start, _ in starts[1:]] + [len(data)]
    for number, ((_, start), end) in enumerate(zip(starts, ends, strict=True), 1):
        try:
            for draft in message(_ESCAPED_FROM.sub(rb"\1", data[start:end])):
                yield draft._replace(record=f"#{number}")
        except InputError as error:
            yield InputError(f"message {number}: {error}")


def message(data: bytes) -> Iterator[Draft]:
    """The article in a message.

    :raises InputError: if it has no text, or is encrypted.
    """
    try:
        found = message_from_bytes(data, policy=_Policy())
        assert isinstance(found, EmailMessage)
        parts = _Parts()
        pieces = parts.pieces(found, whole=True)
        subject = printable(_header(found, "subject"))
        metadata = _metadata(found)
    except InputError:
        raise
    # The package lets out whatever broken headers make it stumble over.
    except Exception as error:
        raise InputError(f"a damaged message ({type(error).__name__})") from error
    if not pieces and parts.wrong is not None:
        raise parts.wrong
    if not pieces and subject:
        pieces = [("paragraph", 0, subject)]
    if not pieces:
        raise InputError("a message without text")
    yield Draft(" ".join(subject.split()), metadata, blocks_of(pieces))


class _Parts:
    """The parts of one message, of which so many are read at most. ``wrong``: why one could not be read, None if all were."""

    def __init__(self) -> None:
        self.wrong: InputError | None = None
        self._left = _MAX_PARTS

    def pieces(self, part: EmailMessage, *, whole: bool = False) -> list[Piece]:
        """The blocks of a part.

        :param whole: it is the message itself.
        """
        self._left -= 1
        if self._left < 0:
            return []
        kind = part.get_content_type()
        if kind == "multipart/encrypted":
            self.wrong = InputError("an encrypted message")
            return []
        if _is_sealed(part, whole=whole):
            return self._unsealed(part)
        if kind == "message/rfc822":
            return [piece for inner in _inner(part) for piece in self._forwarded(inner)]
        if part.is_multipart():
            return self._of_several(part, kind)
        if _is_attached(part):
            return []
        if kind == "text/html":
            return html.outline(_text(part))
        return _plain_pieces(_text(part)) if kind in _PLAIN else []

    def _of_several(self, part: EmailMessage, kind: str) -> list[Piece]:
        inner = _inner(part)
        if kind == "multipart/alternative":
            # The plain one, else the richest, which is the last.
            plain = [one for one in inner if one.get_content_type() in _PLAIN]
            ranked = [*plain, *(one for one in reversed(inner) if one not in plain)]
            return next((pieces for one in ranked if (pieces := self.pieces(one))), [])
        if kind in ("multipart/related", "multipart/signed"):
            # What else there is belongs to the first: its pictures, its signature.
            inner = inner[:1]
        return [piece for one in inner for piece in self.pieces(one)]

    def _unsealed(self, part: EmailMessage) -> list[Piece]:
        try:
            return self.pieces(_signed(part), whole=True)
        except InputError as error:
            self.wrong = error
            return []

    def _forwarded(self, found: EmailMessage) -> Iterator[Piece]:
        """A message in another: its blocks, as a quote below who wrote it and of what."""
        said = (f"{label}: {printable(_header(found, label.lower()))}" for label in ("From", "Date", "Subject") if found[label])
        about = "; ".join(" ".join(line.split()) for line in said)
        if about:
            yield "quote", 0, about
        for kind, level, written in self.pieces(found):
            yield ("quote", 0, written) if kind in ("paragraph", "heading") else (kind, level, written)


def _inner(part: EmailMessage) -> list[EmailMessage]:
    payload = part.get_payload()
    return [inner for inner in payload if isinstance(inner, EmailMessage)] if isinstance(payload, list) else []


def _is_attached(part: EmailMessage) -> bool:
    try:
        return part.get_content_disposition() == "attachment"
    except Exception:
        # A header that cannot be read says nothing.
        return False


def _is_sealed(part: EmailMessage, *, whole: bool) -> bool:
    """Whether a part is a message in an envelope of S/MIME, and no attached document that was signed."""
    name = _name(part).lower()
    if part.get_content_type() in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        return whole or name in ("", "smime.p7m")
    return whole and name.endswith(".p7m")


def _signed(part: EmailMessage) -> EmailMessage:
    """The message inside one that was signed as a whole (RFC 8551, section 3.5.2). Whose signature that is, is not looked at.

    :raises InputError: if it is encrypted, or cannot be read.
    """
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    kind = str(part.get_param("smime-type", "")).lower()
    if _SIGNED not in data[:64]:
        if kind == "signed-data":
            raise InputError("a signed message that cannot be read: save it without its signature")
        if kind == "compressed-data" or _COMPRESSED in data[:64]:
            raise InputError("a compressed message (S/MIME): save it as text")
        raise InputError("an encrypted message")
    content = _signed_content(data)
    if not content.strip():
        raise InputError("a signed message that cannot be read: save it without its signature")
    found = message_from_bytes(content, policy=_Policy())
    assert isinstance(found, EmailMessage)
    return found


def _signed_content(data: bytes) -> bytes:
    """What a PKCS #7 message of the kind signed-data holds, b"" if that cannot be found."""
    steps = iter(range(_MAX_VALUES))
    try:
        # ContentInfo { type, [0] { SignedData { version, digests, { type, [0] { OCTET STRING } }, ... } } }
        (whole,) = islice(_values(data, steps), 1)
        _, wrapped = islice(_values(whole.content, steps), 2)
        (signed,) = islice(_values(wrapped.content, steps), 1)
        _, _, encapsulated = islice(_values(signed.content, steps), 3)
        _, held = islice(_values(encapsulated.content, steps), 2)
        (octets,) = islice(_values(held.content, steps), 1)
        return b"".join(_octets(octets, steps, _MAX_DEPTH))
    except (ValueError, IndexError):
        return b""


class _Value(NamedTuple):
    """A value in the Basic Encoding Rules (ITU-T X.690): its first octet, what is in it."""

    tag: int
    content: bytes


def _values(data: bytes, steps: Iterator[int]) -> Iterator[_Value]:
    """The values that follow one another."""
    at = 0
    while at < len(data):
        start, length = _header_of(data, at, steps)
        end = _end_of(data, start, steps, _MAX_DEPTH) if length < 0 else start + length
        yield _Value(data[at], data[start:end])
        at = end + 2 * (length < 0)


def _header_of(data: bytes, at: int, steps: Iterator[int]) -> tuple[int, int]:
    """Where a value's content begins, and how long that is; -1 if it goes on until a mark says that it ends."""
    if next(steps, None) is None or data[at] & 31 == 31:
        raise ValueError("too many values, or a tag that none of these has")
    first = data[at + 1]
    if first < 128:
        return at + 2, first
    if first == 128:
        return at + 2, -1
    return at + 2 + first - 128, int.from_bytes(data[at + 2 : at + 2 + first - 128], "big")


def _end_of(data: bytes, at: int, steps: Iterator[int], depth: int) -> int:
    """Where the mark stands that ends a value whose length is not told."""
    if not depth:
        raise ValueError("nested too deeply")
    while data[at] or data[at + 1]:
        start, length = _header_of(data, at, steps)
        at = _end_of(data, start, steps, depth - 1) + 2 if length < 0 else start + length
    return at


def _octets(value: _Value, steps: Iterator[int], depth: int) -> Iterator[bytes]:
    """An octet string, which may be made of others."""
    if not value.tag & 32:
        yield value.content
    elif depth:
        for part in _values(value.content, steps):
            yield from _octets(part, steps, depth - 1)


def _plain_pieces(written: str) -> list[Piece]:
    pieces: list[Piece] = []
    # What is no quote after all goes with what stands beside it.
    for quoted, stretches in groupby(_stretches(_SIGNATURE.sub("", written)), key=itemgetter(0)):
        kind = "quote" if quoted else "paragraph"
        said = "\n".join(lines for _, lines in stretches)
        pieces += [(kind, 0, block.text) for block in text.paragraphs(said)]  # type: ignore[misc]
    return pieces


def _stretches(written: str) -> Iterator[tuple[bool, str]]:
    """Stretches of lines that quote, without their marks, and of lines that do not."""
    quoted, lines = False, list[str]()
    for line in written.splitlines():
        if line.strip() and bool(_QUOTED.match(line)) != quoted:
            yield from _stretch(quoted, lines)
            quoted, lines = not quoted, []
        lines.append(line)
    yield from _stretch(quoted, lines)


def _stretch(quoted: bool, lines: list[str]) -> Iterator[tuple[bool, str]]:
    if quoted and all(_PROMPT.match(line) for line in lines if line.strip()):
        quoted = False
    yield quoted, "\n".join(_QUOTED.sub("", line, count=1) if quoted and _QUOTED.match(line) else line for line in lines)


def _text(part: EmailMessage) -> str:
    """The text of a part; its bytes are looked at where it names an encoding that there is not, or another than they are of."""
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    try:
        return printable(data.decode(part.get_content_charset() or "ascii"))
    except (LookupError, UnicodeError):
        return decode(data) if data.strip() else ""


def _header(found: EmailMessage, name: str) -> str:
    try:
        return str(found.get(name) or "")
    except Exception:
        # A header that cannot be read is none.
        return ""


def _name(part: EmailMessage) -> str:
    try:
        name = part.get_filename() or ""
        # Not as the standard has it, but as some programs write it.
        return printable(str(make_header(decode_header(name))) if "=?" in name else name)
    except Exception:
        return ""


def _metadata(found: EmailMessage) -> dict[str, Any]:
    named = {"author": "from", "to": "to", "cc": "cc", "message_id": "message-id", "list": "list-id"}
    metadata: dict[str, Any] = {key: _header(found, header) for key, header in named.items()}
    try:
        metadata["date"] = parsedate_to_datetime(_header(found, "date")).isoformat()
    except (TypeError, ValueError, IndexError, OverflowError):
        metadata["date"] = _header(found, "date")
    names = [_name(part) for _, part in zip(range(_MAX_PARTS), found.walk(), strict=False) if isinstance(part, EmailMessage)]
    metadata["attachments"] = [name for name in names if name] or None
    return metadata
