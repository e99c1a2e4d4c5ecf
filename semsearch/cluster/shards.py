"""Texts cut into shards, and what was encoded of a shard as few arrays: pure.

A shard is encoded the same wherever and however often it is: its key is the digest of all that decides what comes out.

Deliberately not here: who encodes it (`worker`), and what becomes of one that is lost (`spread`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semsearch import signs
from semsearch._version import __version__
from semsearch.protocols import Encoded, Fingerprint, PassageText

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["Packed", "Shard", "cut", "packed"]

_BYTES = 4
"""Of a text for each token, roughly: to count them takes a tenth of the time that it takes to encode them."""
_OVERHEAD = 8
"""Tokens that any text takes beside its own, so that a thousand empty ones are not one shard."""

PlainText = tuple[str, str, tuple[tuple[int, int], ...]]


class Shard(NamedTuple):
    """Some texts, and where they stood in the list that was cut."""

    key: str
    positions: list[int]
    texts: list[PlainText]


class Packed(NamedTuple):
    """What was encoded of a shard's texts, in their order: an array each of what `protocols.Encoded` has lists of.

    ``vectors``: float32 (n, d). ``tokens``: uint8 (all words, `signs.WIDTH`), of which each text has ``token_counts``.
    ``sentences``: int32 (all sentences, 2), of which each text has ``sentence_counts``; both counts int64 (n,).
    """

    vectors: Matrix
    tokens: NDArray[np.uint8]
    token_counts: NDArray[np.int64]
    sentences: NDArray[np.int32]
    sentence_counts: NDArray[np.int64]

    def encoded(self, positions: list[int]) -> Encoded:
        """The same as the encoder gives it, for texts that stood there."""
        tokens = np.split(self.tokens, np.cumsum(self.token_counts)[:-1])
        return Encoded(positions, self.vectors, tokens, np.split(self.sentences, np.cumsum(self.sentence_counts)[:-1]))

    def fits(self, n_texts: int, dimension: int) -> bool:
        """Whether it can be what was encoded of so many texts."""
        return (
            all(isinstance(each, np.ndarray) for each in self)
            and self.token_counts.dtype == self.sentence_counts.dtype == np.int64
            and self.token_counts.shape == self.sentence_counts.shape == (n_texts,)
            and bool((self.token_counts >= 0).all() and (self.sentence_counts >= 0).all())
            and self.vectors.dtype == np.float32
            and self.vectors.shape == (n_texts, dimension)
            and bool(np.isfinite(self.vectors).all())
            and self.tokens.dtype == np.uint8
            and self.tokens.shape == (self.token_counts.sum(), signs.WIDTH)
            and self.sentences.dtype == np.int32
            and self.sentences.shape == (self.sentence_counts.sum(), 2)
        )


def cut(passages: Sequence[PassageText], budget: int, fingerprint: Fingerprint) -> Iterator[Shard]:
    """Shards of texts of about the same length, the longest first; each text is in one.

    :param budget: tokens, roughly, that the texts of a shard have together; one text may have more.
    """
    known_by = json.dumps([__version__, asdict(fingerprint)], sort_keys=True).encode()
    sizes = [_OVERHEAD + (_bytes(text) + _bytes(context)) // _BYTES for context, text, _ in passages]
    positions: list[int] = []
    held = 0
    for position in sorted(range(len(passages)), key=lambda place: (-sizes[place], place)):
        if positions and held + sizes[position] > budget:
            yield _shard(passages, positions, known_by)
            positions, held = [], 0
        positions.append(position)
        held += sizes[position]
    if positions:
        yield _shard(passages, positions, known_by)


def _bytes(text: str) -> int:
    # JSON can say half of a character.
    return len(text.encode("utf-8", "surrogatepass"))


def _shard(passages: Sequence[PassageText], positions: list[int], known_by: bytes) -> Shard:
    texts: list[PlainText] = [
        (passages[place].context, passages[place].text, tuple((start, end) for start, end in passages[place].sentences))
        for place in positions
    ]
    digest = hashlib.sha256(known_by)
    digest.update(json.dumps(texts).encode())
    return Shard(f"semsearch-encode-{digest.hexdigest()[:32]}", positions, texts)


def packed(batches: Iterator[Encoded], n_texts: int, dimension: int) -> Packed:
    """What an encoder gives of so many texts, in their order.

    :raises ValueError: if it did not give each of them once.
    """
    vectors = np.empty((n_texts, dimension), np.float32)
    tokens = [np.empty((0, signs.WIDTH), np.uint8)] * n_texts
    sentences = [np.empty((0, 2), np.int32)] * n_texts
    given = [0] * n_texts
    for batch in batches:
        vectors[batch.positions] = batch.vectors
        for position, own_tokens, own_sentences in zip(batch.positions, batch.tokens, batch.sentences, strict=True):
            tokens[position], sentences[position] = own_tokens, own_sentences
            given[position] += 1
    if given != [1] * n_texts:
        raise ValueError("the encoder left texts out, or gave them twice")
    return Packed(
        vectors,
        np.concatenate(tokens).astype(np.uint8, copy=False),
        np.asarray([len(own) for own in tokens], np.int64),
        np.concatenate(sentences).astype(np.int32, copy=False),
        np.asarray([len(own) for own in sentences], np.int64),
    )
