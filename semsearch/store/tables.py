"""How values stand in the rows of the database, for those who write them and those who read them.

Deliberately not here: the tables themselves (`database.SCHEMA`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import numpy as np

from semsearch.protocols import Fingerprint, PassageText
from semsearch.records import Passage, Problem, Sentence
from semsearch.store.database import damaged

__all__ = [
    "PASSAGE",
    "FileRow",
    "embedding_hash",
    "file_rows",
    "fingerprint_of",
    "metadata_of",
    "passage",
    "sentence_bytes",
    "sentence_spans",
]

PASSAGE = "text, headings, paragraph, line, start, stop, sentences"
"""The columns that `passage` takes."""
_MOST_DIMENSIONS = 2**20


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
        try:
            told = [Problem(str(what), str(reason)) for what, reason in json.loads(problems)]
        except (TypeError, ValueError):
            # What was wrong with a file is told again, no more.
            told = []
        yield FileRow(number, path, source, digest, told)


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


def fingerprint_of(meta: Mapping[str, str], folder: Path) -> Fingerprint:
    """The model's, out of the facts on the index.

    :raises IndexCorrupt: if it is not noted.
    """
    try:
        found = Fingerprint(**json.loads(meta["fingerprint"]))
        if not (0 < found.dimension < _MOST_DIMENSIONS and isinstance(found.max_tokens, int) and isinstance(found.model, str)):
            raise ValueError("not a model's")
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder, "its model is not noted") from error
    return found


def metadata_of(stored: str) -> dict[str, Any]:
    """An article's metadata.

    :raises ValueError: if it is something else.
    """
    found = json.loads(stored)
    if not isinstance(found, dict):
        raise ValueError("metadata is no object")  # noqa: TRY004 (it is data, not an argument)
    return found


def passage(text: Any, headings: Any, paragraph: Any, line: Any, start: Any, stop: Any, sentences: Any) -> Passage:
    """The passage of the columns `PASSAGE`.

    :raises ValueError: if they hold something else; so does ``TypeError``.
    """
    trail = json.loads(headings)
    if not isinstance(trail, list) or not all(isinstance(heading, str) for heading in trail):
        raise ValueError("headings are no list of texts")
    return Passage(text, tuple(trail), paragraph, line, start, stop, *sentence_spans(sentences))
