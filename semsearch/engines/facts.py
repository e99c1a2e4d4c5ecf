"""The facts on an index that an engine keeps, as text under keys, and what can be read.

As those of a folder's index (``generation``, ``format``, ``version``, ``fingerprint``, ``passages``, ``codes``, ``engine``), and
what a folder's index has tables for: ``words`` (the version of `lexical`), ``languages``, ``canaries``, ``n_files``,
``n_articles``, ``n_passages``; and ``stamp``, which no other commit has.

Deliberately not here: where they are kept.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from semsearch import lexical
from semsearch.errors import IndexCorrupt, IndexTooNew
from semsearch.protocols import Fingerprint

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["FORMAT", "canaries_of", "canaries_text", "fingerprint_of", "generation_of", "languages_of", "readable"]

FORMAT = 1
"""Of indexes in engines; raised when a reader of before would misread one."""
_ANEW = "make it anew from the articles with semsearch index SOURCE... --fresh"


def readable(meta: Mapping[str, str], where: str) -> None:
    """Refuse an index that this version cannot read.

    :raises IndexTooNew: if a later semsearch wrote it.
    :raises IndexCorrupt: if an earlier one did, whose words were others, or its facts are not there.
    """
    try:
        version, words = int(meta["format"]), int(meta["words"])
        int(meta["generation"])
        counts = [int(meta[name]) for name in ("n_files", "n_articles", "n_passages")]
        languages_of(meta["languages"])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise IndexCorrupt(f"the index at {where} does not say what it is: {_ANEW}") from error
    if version > FORMAT or words > lexical.VERSION:
        raise IndexTooNew(f"the index at {where} was written by semsearch {meta.get('version')}: upgrade semsearch")
    if words < lexical.VERSION or min(counts) < 0:
        raise IndexCorrupt(f"the index at {where} has words as semsearch {meta.get('version')} made them: {_ANEW}")


def generation_of(meta: Mapping[str, str]) -> str:
    """What no other generation has: numbers begin again where an index was dropped and made anew at the same address."""
    return f"{meta['generation']} {meta.get('stamp', '')}"


def fingerprint_of(meta: Mapping[str, str], where: str) -> Fingerprint:
    """The model's.

    :raises IndexCorrupt: if it is not noted.
    """
    try:
        found = Fingerprint(**json.loads(meta["fingerprint"]))
        if not (isinstance(found.model, str) and isinstance(found.dimension, int) and found.dimension > 0):
            raise ValueError("not a model's")
    except (KeyError, TypeError, ValueError) as error:
        raise IndexCorrupt(f"the model of the index at {where} is not noted: {_ANEW}") from error
    return found


def languages_of(stored: str) -> dict[str, int]:
    """How many passages are in each language.

    :raises ValueError: if it is something else; so do ``TypeError`` and ``AttributeError``.
    """
    return {str(language): int(count) for language, count in json.loads(stored).items()}


def canaries_text(texts: Sequence[str], vectors: Matrix) -> str:
    """Texts with what the model makes of them, as a fact."""
    rows = np.asarray(vectors, "<f4")
    return json.dumps([[text, base64.b64encode(row.tobytes()).decode()] for text, row in zip(texts, rows, strict=True)])


def canaries_of(meta: Mapping[str, str], dimension: int) -> tuple[list[str], Matrix]:
    """What `canaries_text` was given, by text: float32 (n, d).

    :raises IndexCorrupt: if it is something else.
    """
    try:
        pairs = sorted(json.loads(meta.get("canaries", "[]")))
        vectors = [np.frombuffer(base64.b64decode(vector, validate=True), "<f4") for _, vector in pairs]
        if any(vector.shape != (dimension,) for vector in vectors):
            raise ValueError("of another dimension")
    except (TypeError, ValueError) as error:
        raise IndexCorrupt(f"the vectors that tell the model cannot be read: {_ANEW}") from error
    return [text for text, _ in pairs], np.asarray(vectors, np.float32)
