"""How values stand in the rows of the database, for those who write them and those who read them.

Deliberately not here: the tables themselves (`database.SCHEMA`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import apsw
import numpy as np

from semsearch.protocols import PassageText
from semsearch.records import Passage, Problem, Sentence

__all__ = ["PASSAGE", "FileRow", "embedding_hash", "file_rows", "passage", "sentence_bytes", "sentence_spans"]

PASSAGE = "text, headings, paragraph, line, start, stop, sentences"
"""The columns that `passage` takes."""


class FileRow(NamedTuple):
    """A file that was indexed: ``path`` as stored, ``source`` as the user knows it, ``sha256`` of its bytes."""

    id: int
    path: str
    source: str
    sha256: bytes
    problems: list[Problem]


def file_rows(database: apsw.Connection) -> Iterator[FileRow]:
    """All files that were indexed."""
    for number, path, source, digest, problems in database.execute("SELECT id, path, source, sha256, problems FROM files"):
        yield FileRow(number, path, source, digest, [Problem(*problem) for problem in json.loads(problems)])


def embedding_hash(text: PassageText) -> bytes:
    """What a vector is known by: everything that the encoder is given."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (text.context, text.text, np.asarray(text.sentences, np.int32).tobytes()):
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()


def sentence_bytes(of: Passage) -> bytes:
    """A passage's sentences, of each its span in the text and in the source: int32 (n, 4)."""
    spans = [(*inner, *outer) for inner, outer in zip(of.sentences, of.sentence_spans, strict=True)]
    return np.asarray(spans, "<i4").tobytes()


def sentence_spans(stored: bytes) -> tuple[tuple[Sentence, ...], tuple[tuple[int, int], ...]]:
    """What `sentence_bytes` was given: spans in the text, and in the source.

    :raises ValueError: if it is something else.
    """
    spans = np.frombuffer(stored, "<i4").reshape(-1, 4).tolist()
    return tuple(Sentence(left, right) for left, right, _, _ in spans), tuple((left, right) for _, _, left, right in spans)


def passage(text: Any, headings: Any, paragraph: Any, line: Any, start: Any, stop: Any, sentences: Any) -> Passage:
    """The passage of the columns `PASSAGE`.

    :raises ValueError: if they hold something else; so does ``TypeError``.
    """
    return Passage(text, tuple(json.loads(headings)), paragraph, line, start, stop, *sentence_spans(sentences))
