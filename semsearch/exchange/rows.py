"""What a file of passages says: its header, its rows, and how each value of them is checked.

Deliberately not here: the kinds of files (`lines`, `table`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray

from semsearch import signs
from semsearch.errors import InputError
from semsearch.protocols import Fingerprint
from semsearch.records import Passage, Sentence, is_address

__all__ = ["FORMAT", "Header", "Row", "Sink", "Source", "Wrong", "checked_metadata", "checksum", "foreign", "plain", "row_of"]

FORMAT = 1
"""Raised when a reader of before would misread a file."""
_KIND = "passages"
_LONGEST = 32 * 2**20
"""Characters of a text, as many as an article may have bytes; of metadata as JSON, too."""
_LONGEST_NAME = 4096
_LONGEST_TITLE = 2000
"""Twice what articles leave of one."""
_MOST_HEADINGS = 1000
_LARGEST = 2**31 - 1
_MOST_DIMENSIONS = 2**20
_NORM = 0.002
"""How far a vector's length may be from 1: half precision rounds each of its numbers by one part in 2,048."""
_RECORD = re.compile(r"(?:#[^\s/\\\x00-\x20]{1,100})?")
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Header:
    """What is true of all passages of a file.

    ``cut`` says how articles were cut, as an index notes it; ``fingerprint`` whose tokens they were counted by, and whose the
    vectors are, where there are ``vectors``. ``codes`` says whether these come with the codes of words.
    """

    version: str
    cut: str
    fingerprint: Fingerprint
    n_articles: int
    n_passages: int
    vectors: bool
    codes: bool

    def to_json(self) -> str:
        """As it stands in a file."""
        document = {
            "semsearch": _KIND,
            "format": FORMAT,
            "version": self.version,
            "articles": self.n_articles,
            "passages": self.n_passages,
            "cut": self.cut,
            "vectors": self.vectors,
            "codes": self.codes,
            "fingerprint": asdict(self.fingerprint),
        }
        return json.dumps(document, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes, path: Any) -> Header:
        """What `to_json` gave.

        :raises InputError: if it is something else, or a later version's.
        """
        try:
            found = plain(text)
            if not isinstance(found, dict) or found.get("semsearch") != _KIND:
                raise foreign(path)
            if _number(found["format"], "format") > FORMAT:
                raise InputError(f"{path} was written by semsearch {found.get('version')}: upgrade semsearch")
            return cls(
                _text(found["version"], "version", 100),
                _text(found["cut"], "cut", 100),
                _fingerprint(found["fingerprint"]),
                _number(found["articles"], "articles"),
                _number(found["passages"], "passages"),
                _flag(found["vectors"], "vectors"),
                _flag(found["codes"], "codes"),
            )
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise foreign(path) from error


class Row(NamedTuple):
    """A passage with all that an index knows of it and of its article.

    ``path`` is as an index stores it, ``source`` and ``record`` together are a hit's source, ``sha256`` is the file's.
    ``vector``: float32 (d,), of length 1. ``words``: uint8 (number of words, `signs.WIDTH`); ``spans``: int32 (number of
    sentences, 2), of each sentence the first of the words and the one behind its last. None where there are none.
    ``checksum`` tells whether the vector is this text's: see `checksum`; "" where there is no vector.
    """

    path: str
    source: str
    record: str
    sha256: bytes
    title: str
    metadata: Mapping[str, Any]
    passage: Passage
    vector: NDArray[np.float32] | None = None
    words: NDArray[np.uint8] | None = None
    spans: NDArray[np.int32] | None = None
    checksum: str = ""


class Wrong(ValueError):
    """What is wrong with a row, in words."""


class Sink(Protocol):
    """A file that is written."""

    def write(self, rows: Sequence[Row]) -> None:
        """Some rows more."""
        ...


class Source(Protocol):
    """A file that is read."""

    header: Header

    def __iter__(self) -> Iterator[Row]:
        """Its rows, in order."""
        ...


def checksum(
    embedding: bytes, vector: NDArray[np.float32], words: NDArray[np.uint8] | None, spans: NDArray[np.int32] | None
) -> str:
    """What tells of a row whose text was changed, or whose vector was, that the two do not belong together: XXH3, 64 bits, hex.

    :param embedding: the hash of what the encoder is given (`store.embedding_hash`).
    """
    digest = xxhash.xxh3_64(embedding)
    digest.update(np.ascontiguousarray(vector, "<f4").tobytes())
    if words is not None and spans is not None:
        digest.update(np.ascontiguousarray(words).tobytes() + np.ascontiguousarray(spans, "<i4").tobytes())
    return digest.hexdigest()


def row_of(found: Mapping[str, Any], header: Header) -> Row:
    """A row out of the values of its columns; the vector and what comes with it as arrays, words as bytes, metadata checked.

    :raises Wrong: if a value is not what it can be; `ValueError`, `TypeError` and `KeyError` are raised for the same reason.
    """
    source, record = _text(found["source"], "source", _LONGEST_NAME), _text(found["record"], "record", _LONGEST_NAME)
    if not _RECORD.fullmatch(record) or not source.endswith(record) or not source.removesuffix(record):
        raise Wrong("its source does not end with its record")
    if _CONTROL.search(source):
        raise Wrong("its source is no name")
    passage = _passage(found)
    vector, words, spans = _vector(found, passage, header)
    path = _path(found["path"])
    if is_address(source) != is_address(path) or (is_address(path) and source.removesuffix(record) != path):
        raise Wrong("its path is not its address")
    return Row(
        path=path,
        source=source.removesuffix(record),
        record=record,
        sha256=_digest(found["sha256"]),
        title=_text(found["title"], "title", _LONGEST_TITLE),
        metadata=found["metadata"],
        passage=passage,
        vector=vector,
        words=words,
        spans=spans,
        checksum="" if vector is None else _text(found["checksum"], "checksum", 32),
    )


def checked_metadata(found: Any) -> dict[str, Any]:
    """Return metadata that an index can store.

    :raises Wrong: if it is not an object, or contains characters that cannot be stored.
    """
    if not isinstance(found, dict) or _UNSTORABLE.search(json.dumps(found, ensure_ascii=False)):
        raise Wrong("its metadata is not an object of texts and numbers")
    return found


def plain(text: str | bytes) -> Any:
    """JSON without numbers that are none.

    :raises ValueError: if it is none; so does ``RecursionError``.
    """
    return json.loads(text, parse_constant=_refuse, parse_float=_finite)


def foreign(path: Any) -> InputError:
    """The error of a file that is not ours."""
    return InputError(f"{path} has no passages of an index: give a file that semsearch export wrote")


def _refuse(name: str) -> Any:
    raise Wrong(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Wrong(f"{text[:40]} is no number")
    return number


def _fingerprint(found: Any) -> Fingerprint:
    kinds = {item.name: int if item.type == "int" else str for item in fields(Fingerprint)}
    if not isinstance(found, dict) or set(found) != set(kinds):
        raise Wrong("the model is not told")
    if any(type(found[name]) is not kind for name, kind in kinds.items()):
        raise Wrong("the model is not told")
    fingerprint = Fingerprint(**found)
    if not 0 < fingerprint.dimension < _MOST_DIMENSIONS:
        raise Wrong("the model is not told")
    return fingerprint


def _text(value: Any, name: str, longest: int) -> str:
    if not isinstance(value, str):
        raise Wrong(f"its {name} is no text")
    if len(value) > longest:
        raise Wrong(f"its {name} has {len(value):,} characters, more than {longest:,}")
    if _UNSTORABLE.search(value):
        raise Wrong(f"its {name} has characters that no text has")
    return value


def _number(value: Any, name: str, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= _LARGEST:
        raise Wrong(f"its {name} is no number from {least}")
    return value


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise Wrong(f"its {name} is neither true nor false")
    return value


def _path(value: Any) -> str:
    """A name that leads nowhere upwards, and to no other machine. It is never opened to import."""
    path = _text(value, "path", _LONGEST_NAME)
    parts = path.replace("\\", "/").split("/")
    if not path.strip() or _CONTROL.search(path) or ".." in parts or parts[:2] == ["", ""]:
        raise Wrong("its path leads out of its folder")
    return path


def _digest(value: Any) -> bytes:
    digest = bytes.fromhex(_text(value, "sha256", 64))
    if len(digest) not in (0, 32):
        raise Wrong("its sha256 is none")
    return digest


def _passage(found: Mapping[str, Any]) -> Passage:
    text = _text(found["text"], "text", _LONGEST)
    headings = found["headings"]
    if not isinstance(headings, list) or len(headings) > _MOST_HEADINGS:
        raise Wrong("its headings are no list of texts")
    sentences = found["sentences"]
    if not isinstance(sentences, list) or len(sentences) > len(text):
        raise Wrong("its sentences are no list")
    edges = [[_number(edge, "sentences") for edge in sentence] for sentence in sentences]
    if any(len(sentence) != 4 for sentence in edges):
        raise Wrong("its sentences do not have four numbers each")
    passage = Passage(
        text=text,
        headings=tuple(_text(heading, "headings", _LONGEST_TITLE) for heading in headings),
        paragraph=_number(found["paragraph"], "paragraph", 1),
        line=_number(found["line"], "line", 1),
        start=_number(found["start"], "start"),
        end=_number(found["end"], "end"),
        sentences=tuple(Sentence(left, right) for left, right, _, _ in edges),
        sentence_spans=tuple((left, right) for _, _, left, right in edges),
        page=_number(found.get("page") or 0, "page"),
    )
    if not passage.in_place:
        raise Wrong("its spans are not where spans can be")
    return passage


def _vector(
    found: Mapping[str, Any], passage: Passage, header: Header
) -> tuple[NDArray[np.float32] | None, NDArray[np.uint8] | None, NDArray[np.int32] | None]:
    """The vector and the codes of a row, None where the file has none."""
    if not header.vectors or found.get("vector") is None:
        return None, None, None
    vector = np.asarray(found["vector"], np.float32)
    with np.errstate(all="ignore"):
        length = float(np.linalg.norm(vector))
    # Not the other way round, which is False for what is no number.
    if vector.shape != (header.fingerprint.dimension,) or not abs(length - 1) <= _NORM:
        raise Wrong("its vector is not one of the model's")
    if not header.codes:
        return vector, None, None
    words = np.frombuffer(found["words"], np.uint8).reshape(-1, signs.WIDTH)
    spans = np.asarray(found["word_spans"], np.int32).reshape(-1, 2)
    inside = all(0 <= start <= end <= len(words) for start, end in spans.tolist())
    if not inside or len(spans) not in (0, len(passage.sentences)):
        raise Wrong("the codes of its words are not those of its sentences")
    return vector, words, spans
