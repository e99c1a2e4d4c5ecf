"""The fast encoder: an exported model, its tokenizer, pooling in numpy.

Deliberately not here: what multiplies (`engines`), how the export came about (`export`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from semsearch.encoder.engines import Batch, BulkEngine, OnnxRuntime
from semsearch.encoder.export import Export
from semsearch.protocols import CONTEXT_SHARE, Encoded, Fingerprint, PassageText

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["FastEncoder"]

logger = logging.getLogger("semsearch")

_COUNTED = 512


class FastEncoder:
    """`Encoder` over an exported model."""

    def __init__(self, export: Export, bulk: Callable[[OnnxRuntime], BulkEngine]) -> None:
        self._export = export
        self._tokenizer = Tokenizer.from_file(str(export.tokenizer))
        # The file may carry another limit and padding than sentence-transformers uses; both are done here.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._single = OnnxRuntime(export)
        self._make_bulk = bulk
        self._bulk: BulkEngine | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors depend on."""
        return self._export.fingerprint

    @property
    def engine(self) -> str:
        """What encodes passages."""
        return self._bulk_engine().name

    @property
    def passage_tokens(self) -> int:
        """Tokens left for a passage with its context, beside special tokens and the document prompt."""
        special = self._tokenizer.num_special_tokens_to_add(False)
        return self.fingerprint.max_tokens - special - self.count_tokens([self.fingerprint.document_prompt])[0]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the special tokens and without any limit."""
        counts: list[int] = []
        # Some at a time: an encoding takes a hundred times its text.
        for first in range(0, len(texts), _COUNTED):
            encodings = self._tokenizer.encode_batch_fast(list(texts[first : first + _COUNTED]), add_special_tokens=False)
            counts += map(len, encodings)
        return counts

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Questions, with the model's query prompt: float32 (n, d), unit rows. Ends beyond the model's limit are cut."""
        encodings = self._tokenizer.encode_batch_fast([self.fingerprint.query_prompt + text for text in texts])
        vectors = np.empty((len(texts), self.fingerprint.dimension), np.float32)
        for batch in self._batches(encodings, OnnxRuntime.budget):
            vectors[batch.positions] = self._pool(batch, self._single.run(batch))
        return vectors

    def encode_passages(self, passages: Sequence[PassageText]) -> Iterator[Encoded]:
        """Passages, with the model's document prompt, longest first; each position comes once.

        Sentence vectors are pooled from the token vectors of the passage ("late pooling"), so a sentence is read in its
        passage. Models that do not pool by the mean have no such vectors: their sentences are encoded on their own.
        """
        prefixes = [self._prefix(passage.context) for passage in passages]
        encodings = self._tokenizer.encode_batch(
            [prefix + passage.text for prefix, passage in zip(prefixes, passages, strict=True)]
        )
        late = self.fingerprint.pooling == "mean"
        ranges = [
            _token_ranges(encoding, len(prefix), passage) if late else np.empty((0, 2), np.int64)
            for encoding, prefix, passage in zip(encodings, prefixes, passages, strict=True)
        ]

        def finish(batch: Batch, states: NDArray[np.float32]) -> Encoded:
            vectors = self._pool(batch, states)
            pooled = _pool_ranges(states, [ranges[position] for position in batch.positions], vectors)
            return Encoded(batch.positions, vectors, pooled)

        engine = self._bulk_engine()
        for encoded in engine.map(self._batches(encodings, engine.budget, warn=True), finish):
            yield encoded if late else encoded._replace(sentences=self._encode_sentences(passages, encoded.positions))

    def _bulk_engine(self) -> BulkEngine:
        if self._bulk is None:
            self._bulk = self._make_bulk(self._single)
        return self._bulk

    def _prefix(self, context: str) -> str:
        """Document prompt and context, the context shortened to its share of the model's limit."""
        encoding = self._tokenizer.encode(context, add_special_tokens=False) if context else None
        share = self.passage_tokens // CONTEXT_SHARE
        if encoding is not None and len(encoding) > share:
            context = context[: encoding.offsets[share - 1][1]]
        return self.fingerprint.document_prompt + (f"{context} " if context else "")

    def _batches(self, encodings: list[Encoding], budget: int, *, warn: bool = False) -> Iterator[Batch]:
        """Batches of equal cost, the longest texts first: none is padded much, and memory is at its peak at once."""
        limit = self.fingerprint.max_tokens
        ids: list[list[int]] = [encoding.ids for encoding in encodings]
        long = [position for position, row in enumerate(ids) if len(row) > limit]
        for position in long:
            ids[position] = ids[position][: limit - 1] + ids[position][-1:]
        if long and warn:
            logger.warning("%d passages were cut to the %d tokens that the model takes", len(long), limit)
        order = sorted(range(len(ids)), key=lambda position: -len(ids[position]))
        while order:
            longest = len(ids[order[0]])
            chosen, order = order[: max(1, budget // max(1, longest))], order[max(1, budget // max(1, longest)) :]
            rows = np.full((len(chosen), longest), self._export.pad_id, np.int64)
            mask = np.zeros_like(rows)
            for number, position in enumerate(chosen):
                rows[number, : len(ids[position])] = ids[position]
                mask[number, : len(ids[position])] = 1
            yield Batch(chosen, rows, mask)

    def _pool(self, batch: Batch, states: NDArray[np.float32]) -> Matrix:
        """One unit vector a text, by the model's own pooling."""
        mask = batch.mask[:, :, None].astype(np.float32)
        match self.fingerprint.pooling:
            case "cls":
                pooled = states[:, 0]
            case "max":
                pooled = np.where(mask > 0, states, -np.inf).max(axis=1)
            case _:
                pooled = np.matmul(mask.transpose(0, 2, 1), states)[:, 0]
        return unit(pooled)

    def _encode_sentences(self, passages: Sequence[PassageText], positions: list[int]) -> list[Matrix]:
        texts, sizes = [], []
        for position in positions:
            passage = passages[position]
            texts += [passage.text[start:end] for start, end in passage.sentences]
            sizes.append(len(passage.sentences))
        encodings = self._tokenizer.encode_batch_fast([self.fingerprint.document_prompt + text for text in texts])
        vectors = np.empty((len(texts), self.fingerprint.dimension), np.float32)
        engine = self._bulk_engine()
        for chosen, pooled in engine.map(
            self._batches(encodings, engine.budget), lambda batch, states: (batch.positions, self._pool(batch, states))
        ):
            vectors[chosen] = pooled
        return np.split(vectors, np.cumsum(sizes)[:-1]) if sizes else []


def unit(rows: NDArray[np.float32]) -> Matrix:
    """Rows scaled to length 1; a row of zeros stays."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-12), np.float32)


def _token_ranges(encoding: Encoding, prefix: int, passage: PassageText) -> NDArray[np.int64]:
    """First token and the one behind the last of each sentence, int64 (sentences, 2); both equal where it has none."""
    offsets = np.asarray(encoding.offsets, np.int64).reshape(-1, 2)
    real = np.flatnonzero(offsets[:, 1] > offsets[:, 0])
    spans = np.asarray(passage.sentences, np.int64).reshape(-1, 2) + prefix
    if not len(real):
        return np.zeros_like(spans)
    # By a token's end at the left and its start at the right: a token may include the space before its word.
    first = np.searchsorted(offsets[real, 1], spans[:, 0], side="right")
    behind = np.searchsorted(offsets[real, 0], spans[:, 1], side="left")
    empty = behind <= first
    result = np.stack([real[np.minimum(first, len(real) - 1)], real[np.maximum(behind, 1) - 1] + 1], axis=1)
    result[empty] = 0
    return result


def _pool_ranges(states: NDArray[np.float32], ranges: list[NDArray[np.int64]], vectors: Matrix) -> list[Matrix]:
    """Unit mean of each range of token vectors; a range of no tokens has its passage's vector."""
    pooled = []
    for row, spans in enumerate(ranges):
        limit = states.shape[1]
        sums = [
            states[row, first : min(behind, limit)].sum(axis=0) if first < min(behind, limit) else vectors[row]
            for first, behind in spans
        ]
        pooled.append(unit(np.asarray(sums, np.float32).reshape(-1, vectors.shape[1])))
    return pooled
