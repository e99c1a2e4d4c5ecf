"""How values stand in the rows of the database, for those who write them and those who read them.

Deliberately not here: the tables themselves (`schema`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import numpy as np

from semsearch.protocols import Fingerprint, PassageText
from semsearch.records import Passage, Problem, Sentence, is_address
from semsearch.store.database import connect_to_read, damaged, one, translated
from semsearch.vectors import TARGET_RECALL, Recall

__all__ = [
    "PASSAGE",
    "FileRow",
    "Spans",
    "columns_of",
    "depth_of",
    "embedding_hash",
    "file_rows",
    "fingerprint_of",
    "former_sentence_spans",
    "metadata_of",
    "network_of",
    "number_of",
    "passage",
    "public_id",
    "recall_of",
    "sentence_bytes",
    "sentence_spans",
    "target_of",
]

PASSAGE = "text, headings, paragraph, line, start, stop, sentences, page"
"""The columns that `passage` takes."""
_PUBLIC = re.compile(r"([1-9]\d{0,18})-[0-9a-f]{10}", re.ASCII)
_MOST_NUMBER = 2**63 - 1
_MOST_DIMENSIONS = 2**20
_MOST_DEPTH = 2**20
_WIDTHS = (1, 2, 4)
_MOVED = 8
"""In the first byte of a passage's sentences: source and text do not go on at one distance."""
_HEAD = 5


class FileRow(NamedTuple):
    """A file that was indexed: ``path`` as stored, ``source`` as the user knows it, ``sha256`` of its bytes, ``columns`` by what
    they are that were named for it.

    Of a page or feed that was fetched, both are its address.
    """

    id: int
    path: str
    source: str
    sha256: bytes
    problems: list[Problem]
    columns: dict[str, str]

    @property
    def is_address(self) -> bool:
        """Whether it was fetched, and stands in no folder."""
        return is_address(self.source)


def file_rows(database: apsw.Connection) -> Iterator[FileRow]:
    """All files that were indexed."""
    statement = "SELECT id, path, source, sha256, problems, columns FROM files"
    for number, path, source, digest, problems, columns in database.execute(statement):
        try:
            told = [Problem(str(what), str(reason)) for what, reason in json.loads(problems)]
        except (TypeError, ValueError):
            # What was wrong with a file is told again, no more.
            told = []
        yield FileRow(number, path, source, digest, told, columns_of(columns))


def embedding_hash(text: PassageText) -> bytes:
    """What a vector is known by: everything that the encoder is given."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (text.context, text.text, np.asarray(text.sentences, np.int32).tobytes()):
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()


def public_id(number: int, *said: str) -> str:
    """The name by which the outside knows a row: its number, and a digest of what is in it.

    Numbers are given anew when an index is made anew: the digest sees to it that a name never means something else.
    """
    digest = hashlib.blake2b("\0".join(said).encode("utf-8", "surrogatepass"), digest_size=5)
    return f"{number}-{digest.hexdigest()}"


def number_of(public: str) -> int:
    """The row's number in a name of `public_id`; 0, which no row has, in anything else."""
    match = _PUBLIC.fullmatch(public)
    number = int(match[1]) if match else 0
    return number if number <= _MOST_NUMBER else 0


class Spans(NamedTuple):
    """Where sentences stand: ``inner`` in their passage's text, ``outer`` in the source."""

    inner: Sequence[tuple[int, int]]
    outer: Sequence[tuple[int, int]]


def sentence_bytes(spans: Spans) -> bytes:
    """The sentences of a passage as differences, in the fewest bytes.

    Nothing for none; else one byte for what follows, how far source and text are apart at the first edge (int32), each edge's
    distance to the one before in the text, and, where source and text do not go on at the same distance, how that changes.
    """
    inner = np.asarray(spans.inner, np.int64).ravel()
    if not len(inner):
        return b""
    apart = np.asarray(spans.outer, np.int64).ravel() - inner
    steps, changes = np.diff(inner, prepend=0), np.diff(apart)
    numbers = np.concatenate([steps, changes]) if changes.any() else steps
    width = next(width for width in _WIDTHS if np.abs(numbers).max() < 2 ** (8 * width - 1))
    kind = width | _MOVED * bool(changes.any())
    return bytes([kind]) + np.asarray(apart[:1], "<i4").tobytes() + numbers.astype(f"<i{width}").tobytes()


def sentence_spans(stored: bytes) -> tuple[tuple[Sentence, ...], tuple[tuple[int, int], ...]]:
    """What `sentence_bytes` was given: spans in the text, and in the source.

    :raises ValueError: if it is something else.
    """
    if not stored:
        return (), ()
    width, moved = stored[0] & ~_MOVED, bool(stored[0] & _MOVED)
    if width not in _WIDTHS or len(stored) < _HEAD:
        raise ValueError("not sentences")
    apart = int.from_bytes(stored[1:_HEAD], "little", signed=True)
    numbers = np.frombuffer(stored, f"<i{width}", offset=_HEAD).astype(np.int64)
    n_edges = (len(numbers) + 1) // 2 if moved else len(numbers)
    if n_edges % 2 or (moved and len(numbers) != 2 * n_edges - 1):
        raise ValueError("not sentences")
    inner = np.cumsum(numbers[:n_edges])
    outer = inner + apart
    if moved:
        outer[1:] += np.cumsum(numbers[n_edges:])
    pairs = inner.reshape(-1, 2).tolist(), outer.reshape(-1, 2).tolist()
    return tuple(Sentence(left, right) for left, right in pairs[0]), tuple((left, right) for left, right in pairs[1])


def former_sentence_spans(stored: bytes) -> Spans:
    """The same out of what formats before 4 have: int32 (n, 4), of each sentence its span in the text and in the source.

    :raises ValueError: if it is something else.
    """
    spans = np.frombuffer(stored, "<i4").reshape(-1, 4).tolist()
    return Spans([(left, right) for left, right, _, _ in spans], [(left, right) for _, _, left, right in spans])


def fingerprint_of(meta: Mapping[str, str], folder: Path) -> Fingerprint:
    """The model's, out of the facts on the index.

    :raises IndexCorrupt: if it is not noted.
    """
    try:
        found = Fingerprint(**json.loads(meta["fingerprint"]))
        strings = isinstance(found.model, str) and isinstance(found.quantized, str)
        if not (0 < found.dimension < _MOST_DIMENSIONS and isinstance(found.max_tokens, int) and strings):
            raise ValueError("not a model's")
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder, "its model is not noted") from error
    return found


def network_of(folder: Path) -> bytes:
    """The network in 8 bits that an index was encoded with; empty where it has none.

    :raises IndexCorrupt: if it cannot be read.
    """
    with translated(folder), closing(connect_to_read(folder)) as database:
        return bytes(one(database, "SELECT data FROM network") or b"")


def recall_of(meta: Mapping[str, str]) -> Recall | None:
    """What was measured of searching by codes, out of the facts on the index; None if nothing was, or it cannot be read.

    All rows are multiplied then, which is slower and never wrong.
    """
    try:
        found = Recall(**json.loads(meta["recall"]))
        readable = found.depth is None or 0 < found.depth < _MOST_DEPTH
    except (KeyError, TypeError, ValueError):
        return None
    return found if readable else None


def target_of(meta: Mapping[str, str]) -> float:
    """The recall that was asked for, out of the facts on the index."""
    try:
        found = float(meta["target_recall"])
    except (KeyError, ValueError):
        return TARGET_RECALL
    return found if 0 < found <= 1 else TARGET_RECALL


def columns_of(stored: Any) -> dict[str, str]:
    """Columns by what they are, as a file was read with them; none where none were named."""
    try:
        return {str(role): str(name) for role, name in json.loads(stored).items()}
    except (TypeError, ValueError, AttributeError):
        return {}


def depth_of(meta: Mapping[str, str]) -> int | None:
    """Rows that a search picks by their codes, None where all are multiplied."""
    found = recall_of(meta)
    return None if found is None else found.depth


def metadata_of(stored: str) -> dict[str, Any]:
    """An article's metadata.

    :raises ValueError: if it is something else.
    """
    found = json.loads(stored)
    if not isinstance(found, dict):
        raise ValueError("metadata is no object")  # noqa: TRY004 (it is data, not an argument)
    return found


def passage(text: Any, headings: Any, paragraph: Any, line: Any, start: Any, stop: Any, sentences: Any, page: Any) -> Passage:
    """The passage of the columns `PASSAGE`.

    :raises ValueError: if they hold something else; so does ``TypeError``.
    """
    trail = json.loads(headings)
    if not isinstance(trail, list) or not all(isinstance(heading, str) for heading in trail):
        raise ValueError("headings are no list of texts")
    return Passage(text, tuple(trail), paragraph, line, start, stop, *sentence_spans(sentences), page)
