"""Numbers made of what things say: the same thing has the same number wherever and however often it is written.

Deliberately not here: what is numbered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

__all__ = ["MOST", "article_id", "file_id", "key_id", "passage_row", "value_id"]

MOST = 2**63 - 1
"""Numbers go up to this, which is what every engine's integers can be. Of a billion passages, two have the same one with a chance
of 5 in 100; the index would then lack one of them."""


def file_id(path: str) -> int:
    """Of a file by its path or address."""
    return _number("file", path)


def article_id(path: str, record: str, said: Sequence[bytes]) -> int:
    """Of an article by where it stands and all that is kept of it.

    :param said: what it consists of, in order: title, metadata, passages with their places.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in said:
        digest.update(len(part).to_bytes(8, "little") + part)
    return _number("article", path, record, digest.hexdigest())


def passage_row(article: int, place: int) -> int:
    """Of a passage by its article and its place there."""
    return _number("passage", str(article), str(place))


def value_id(key: str, value: Any) -> int:
    """Of a text, number or boolean that stands under a key; 1, 1.0 and "1" are three."""
    return _number("value", key, json.dumps(value, ensure_ascii=False))


def key_id(key: str) -> int:
    """Of there being anything under a key."""
    return _number("key", key)


def _number(*said: str) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for part in said:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return int.from_bytes(digest.digest(), "little") % MOST + 1
