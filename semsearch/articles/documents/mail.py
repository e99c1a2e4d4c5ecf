"""E-mail to articles: a message (.eml), or all of a mailbox (.mbox), read by Python's own email package.

The text is the plain part of a message, else its HTML. Lines that quote are quotes, what follows a signature's mark goes.

Deliberately not here: attachments, whose names become metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Any

from semsearch.articles import html, text
from semsearch.articles.decode import decode, printable
from semsearch.articles.documents.draft import Draft, blocks_of
from semsearch.articles.outline import Piece
from semsearch.errors import InputError

__all__ = ["mailbox", "message"]

_FROM_LINE = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\r\n]*\r?\n")
_ESCAPED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_SIGNATURE = re.compile(r"^-- \r?$.*", re.MULTILINE | re.DOTALL)
_QUOTED = re.compile(r"[ \t]*>[> \t]*")
_MAX_PARTS = 1000


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
        found = message_from_bytes(data, policy=policy.default)
        assert isinstance(found, EmailMessage)
        if found.get_content_type() == "multipart/encrypted" or _name(found).endswith(".p7m"):
            raise InputError("an encrypted message")
        pieces = _pieces(found)
        subject = printable(_header(found, "subject"))
        metadata = _metadata(found)
    except InputError:
        raise
    # The package lets out whatever broken headers make it stumble over.
    except Exception as error:
        raise InputError(f"a damaged message ({type(error).__name__})") from error
    if not pieces and subject:
        pieces = [("paragraph", 0, subject)]
    if not pieces:
        raise InputError("a message without text")
    yield Draft(" ".join(subject.split()), metadata, blocks_of(pieces))


def _pieces(found: EmailMessage) -> list[Piece]:
    body = found.get_body(("plain", "html"))
    if not isinstance(body, EmailMessage):
        return []
    written = _text(body)
    if body.get_content_type() == "text/html":
        return html.outline(written)
    pieces: list[Piece] = []
    for quoted, said in _parts(_SIGNATURE.sub("", written)):
        kind = "quote" if quoted else "paragraph"
        pieces += [(kind, 0, block.text) for block in text.paragraphs(said)]  # type: ignore[misc]
    return pieces


def _parts(written: str) -> Iterator[tuple[bool, str]]:
    """Stretches of lines that quote, without their marks, and of lines that do not."""
    quoted, lines = False, list[str]()
    for line in written.splitlines():
        mark = _QUOTED.match(line)
        if (mark is not None) != quoted and line.strip():
            yield quoted, "\n".join(lines)
            quoted, lines = mark is not None, []
        lines.append(line[mark.end() :] if mark else line)
    yield quoted, "\n".join(lines)


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
        return printable(part.get_filename() or "")
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
