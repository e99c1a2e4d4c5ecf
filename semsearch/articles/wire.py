"""Messages between the process that reads documents (`apart`) and its parent: encode, decode, validate.

A message is a header of fixed size with the lengths of three parts, and the parts: JSON, int64 numbers, UTF-8 text. The parent
trusts nothing that it receives: lengths are checked before the parts are read, and every value is checked for its type and
range. A malformed message raises `Malformed`. Metadata may be any JSON value: `articles` normalises it, as for all formats.

Not here: processes and time limits (`apart`).
"""

from __future__ import annotations

import json
import re
import struct
from array import array
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import IO, Any, NamedTuple, get_args

from semsearch.articles.decode import printable
from semsearch.articles.documents import Draft
from semsearch.articles.metadata import json_value
from semsearch.errors import InputError
from semsearch.records import Block, BlockKind, Run

__all__ = ["Failure", "Malformed", "ReplyReader", "Request", "receive_request", "send", "send_request"]

MAX_TEXT = 64 * 2**20
"""Maximum text of one article, in characters."""
MAX_JSON = 16 * 2**20
"""Maximum JSON of one article, in bytes: title, metadata and page starts. Parsed, it fills up to 25 times as much memory."""
MAX_NUMBERS = 2**24
"""Maximum number of integers of one article. A block has 5, and 4 for each run: 1.8 million blocks of one run each."""
MAX_PROBLEMS = 1000
"""Maximum number of problems of one file, not counting the last."""
MAX_REASON = 4000
"""Maximum length of a reason, in characters."""
MAX_TOTAL = 2 * 2**30
"""Maximum size of all messages about one file, in bytes, in addition to `MAX_EXPANSION` for each byte of the file."""
MAX_EXPANSION = 32
_MESSAGE_COST = 256
"""Bytes that each message is counted as in addition to its size, because small articles take more memory than bytes."""
_LARGEST = 2**31 - 1
"""Largest offset, line or level: the maximum of int32 columns in exports."""

_HEADER = struct.Struct("<cIII")
_REQUEST = struct.Struct("<IQ")
_DRAFT, _PROBLEM, _FAILURE, _END = b"D", b"P", b"F", b"E"
_BLOCK_KINDS: tuple[BlockKind, ...] = get_args(BlockKind)
_PLACES = {kind: place for place, kind in enumerate(_BLOCK_KINDS)}
_BLOCK_NUMBERS = 5
_RUN_NUMBERS = 4
_RECORD = re.compile(r"(?:#[1-9][0-9]{0,14})?")
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=json_value)


class Malformed(Exception):
    """Malformed message; the argument is the reason."""


class Failure(NamedTuple):
    """Last message about a file that cannot be read, or not to its end."""

    reason: str


class Request(NamedTuple):
    """A file to read, and the CPU time that this may take in seconds."""

    kind: str
    data: bytes
    columns: dict[str, str]
    seconds: float


def send_request(stream: IO[bytes], kind: str, data: bytes, columns: Mapping[str, str], seconds: float) -> None:
    """Send a file to the process that reads it."""
    options = json.dumps([kind, dict(columns), seconds]).encode()
    stream.write(_REQUEST.pack(len(options), len(data)) + options)
    stream.write(data)
    stream.flush()


def receive_request(stream: IO[bytes]) -> Request:
    """Return the next file to read.

    :raises EOFError: if there is none.
    """
    n_options, n_data = _REQUEST.unpack(_read_exactly(stream, _REQUEST.size))
    kind, columns, seconds = json.loads(_read_exactly(stream, n_options))
    return Request(kind, _read_exactly(stream, n_data), columns, seconds)


def send(stream: IO[bytes], answer: Draft | InputError | Failure | None) -> None:
    """Send an article, a problem with a part of the file, a failure, or None at the end of the file.

    :raises InputError: if an article is too large to be sent; nothing is sent then.
    """
    code, fields, numbers, text = _END, b"", b"", b""
    if isinstance(answer, Draft):
        code, (fields, numbers, text) = _DRAFT, _encoded(answer)
    elif answer is not None:
        code = _FAILURE if isinstance(answer, Failure) else _PROBLEM
        reason = answer.reason if isinstance(answer, Failure) else str(answer)
        fields = _to_json(reason[:MAX_REASON])
    stream.write(_HEADER.pack(code, len(fields), len(numbers), len(text)) + fields)
    stream.write(numbers)
    stream.write(text)


def _encoded(draft: Draft) -> tuple[bytes, bytes, bytes]:
    """Return the three parts of the message of an article."""
    if sum(len(block.text) for block in draft.blocks) > MAX_TEXT:
        raise InputError(f"more than {MAX_TEXT // 2**20} million characters of text: split the file")
    numbers = array("q")
    for block in draft.blocks:
        numbers.extend((_PLACES[block.kind], block.level, block.line, len(block.text), len(block.runs)))
        for run in block.runs:
            numbers.extend(run)
    if len(numbers) > MAX_NUMBERS:
        raise InputError("too many paragraphs and lines in one article: split the file")
    fields = _to_json([draft.title, draft.metadata, draft.record, draft.page_starts])
    if len(fields) > MAX_JSON:
        raise InputError(f"more than {MAX_JSON // 2**20} MB of metadata in one article: shorten it")
    return fields, numbers.tobytes(), printable("".join(block.text for block in draft.blocks)).encode()


def _to_json(value: Any) -> bytes:
    return _ENCODER.encode(value).encode("utf-8", "surrogatepass")


class ReplyReader:
    """Reader of the validated messages about one file.

    :param size: of the file, in bytes.
    """

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._left = self._most = MAX_TOTAL + MAX_EXPANSION * size
        self._problems_left = MAX_PROBLEMS
        self._last_record = -1

    def receive(self) -> Draft | InputError | Failure | None:
        """Return the next article, problem or failure, or None at the end of the file.

        :raises Malformed: if the message is malformed, or there are too many problems.
        :raises InputError: if the messages are too large together.
        :raises EOFError: if the process has closed its output.
        """
        code, n_fields, n_numbers, n_text = _HEADER.unpack(_read_exactly(self._stream, _HEADER.size))
        if code not in (_DRAFT, _PROBLEM, _FAILURE, _END):
            raise Malformed("a message of an unknown kind")
        if n_fields > MAX_JSON or n_numbers > 8 * MAX_NUMBERS or n_text > 4 * MAX_TEXT:
            raise Malformed("a message that is too large")
        self._left -= _HEADER.size + n_fields + n_numbers + n_text + _MESSAGE_COST
        if self._left < 0:
            raise InputError(
                f"more than {self._most / 2**20:,.0f} MB of text and metadata, too much for its size: split the file"
            )
        parts = memoryview(_read_exactly(self._stream, n_fields + n_numbers + n_text))
        if code == _END:
            return None
        fields = _from_json(parts[:n_fields])
        if code == _DRAFT:
            return self._draft(fields, parts[n_fields : n_fields + n_numbers], parts[n_fields + n_numbers :])
        if not isinstance(fields, str) or len(fields) > MAX_REASON:
            raise Malformed("a reason that is not a short text")
        if code == _FAILURE:
            return Failure(printable(fields))
        self._problems_left -= 1
        if self._problems_left < 0:
            raise Malformed("more problems than a file can have")
        return InputError(printable(fields))

    def _draft(self, fields: Any, numbers: memoryview, text: memoryview) -> Draft:
        match fields:
            case [str(title), dict(metadata), str(record), list(pages)]:
                pass
            case _:
                raise Malformed("an article whose title, metadata, record or pages are of another type")
        number = int(record[1:] or 0) if _RECORD.fullmatch(record) else -1
        if number <= self._last_record:
            raise Malformed("records out of order")
        self._last_record = number
        if pages and not _are_offsets(pages):
            raise Malformed("pages out of order")
        return Draft(printable(title), metadata, _blocks(numbers, _text(text)), record, tuple(pages))


def _read_exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _from_json(data: memoryview) -> Any:
    try:
        return json.loads(str(data, "utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise Malformed("invalid JSON") from error


def _text(data: memoryview) -> str:
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("text that is not UTF-8") from error
    if len(text) > MAX_TEXT or "\0" in text:
        raise Malformed("text that is too long or has NUL characters")
    return text


def _blocks(data: memoryview, text: str) -> list[Block]:
    """Decode blocks; check that they cover the text exactly."""
    if len(data) % 8:
        raise Malformed("half a number")
    numbers = data.cast("q").tolist()
    blocks = []
    place = at = 0
    while place < len(numbers):
        if len(numbers) - place < _BLOCK_NUMBERS:
            raise Malformed("half a block")
        kind, level, line, length, n_runs = numbers[place : place + _BLOCK_NUMBERS]
        place += _BLOCK_NUMBERS
        if not 0 <= kind < len(_BLOCK_KINDS):
            raise Malformed("a block of an unknown kind")
        if not (0 <= level <= 6 and 1 <= line <= _LARGEST and 0 <= length <= len(text) - at):
            raise Malformed("a block whose level, line or length is out of range")
        if not 0 <= n_runs <= (len(numbers) - place) // _RUN_NUMBERS or bool(n_runs) != bool(length):
            raise Malformed("a block with another number of runs")
        end = place + _RUN_NUMBERS * n_runs
        runs = tuple([Run._make(numbers[first : first + _RUN_NUMBERS]) for first in range(place, end, _RUN_NUMBERS)])
        _check_runs(runs, length)
        blocks.append(Block(_BLOCK_KINDS[kind], text[at : at + length], line, runs, level))
        place, at = end, at + length
    if at != len(text):
        raise Malformed("text that is in no block")
    return blocks


def _check_runs(runs: Sequence[Run], length: int) -> None:
    """Check that runs are in order, in the text as in the source."""
    edge = source_edge = 0
    for start, end, source_start, source_end in runs:
        if not (edge <= start < end <= length and source_edge <= source_start <= source_end <= _LARGEST):
            raise Malformed("runs out of range or order")
        edge, source_edge = end, source_end


def _are_offsets(numbers: Sequence[Any]) -> bool:
    """Return True if all numbers are non-decreasing offsets."""
    if any(type(number) is not int for number in numbers):
        return False
    return all(left <= right for left, right in pairwise([0, *numbers, _LARGEST]))
