"""The fast encoder: an exported model, its tokenizer, pooling in numpy.

Deliberately not here: what multiplies (`engines`), how the export came about (`export`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from semsearch import signs
from semsearch.encoder.engines import Batch, BulkEngine, OnnxRuntime
from semsearch.encoder.export import Export
from semsearch.limits import memory, one_multiplier
from semsearch.protocols import CONTEXT_SHARE, Encoded, Fingerprint, PassageText, Queries
from semsearch.scripts import UNSPACED

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["FastEncoder", "one_code_each"]

logger = logging.getLogger("semsearch")

_COUNTED = 512
_SINGLY = 8
_PADDED = 16
"""Lengths of batches of passages are multiples of it: then openvino gives a text the same vector, to the last bit, whatever its
company, so that a refresh ends where a fresh build does (in bfloat16; in batches of any other length 40 % of 60 texts got another
vector, by up to 0.0007 in a coordinate)."""
_PASSAGES = 8
"""For each megabyte of `limits.memory` so many are cut into tokens at once, which take some 60 kB each. Where 2,048 are sorted by
length, what is padded is 8.2 % more than the tokens, where 9,000 are, 7.7."""
_CHARACTERS = 100
"""Characters of a question that are looked at for each token that the model takes: more than any word has."""
_WORD = re.compile(f"[{UNSPACED}]|[^\\W{UNSPACED}]+")


class _Given(NamedTuple):
    """A passage on its way: its context and text, where the text begins in it, and its tokens."""

    text: str
    prefix: int
    encoding: Encoding


class FastEncoder:
    """`Encoder` over an exported model."""

    def __init__(self, export: Export, bulk: Callable[[OnnxRuntime], BulkEngine]) -> None:
        self.export = export
        self._tokenizer = Tokenizer.from_file(str(export.tokenizer))
        # The file may carry another limit and padding than sentence-transformers uses; both are done here.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        identifier = self._tokenizer.token_to_id(unknown) if unknown else None
        self._unknown = -1 if identifier is None else identifier
        self._single = OnnxRuntime(export)
        self._make_bulk = bulk
        self._bulk: BulkEngine | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors depend on."""
        return self.export.fingerprint

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
        if len(texts) <= _SINGLY:
            # A pool of threads costs more to wake than a few texts do.
            return [len(self._tokenizer.encode(text, add_special_tokens=False)) for text in texts]
        counts: list[int] = []
        # Some at a time: an encoding takes a hundred times its text.
        for first in range(0, len(texts), _COUNTED):
            encodings = self._tokenizer.encode_batch_fast(list(texts[first : first + _COUNTED]), add_special_tokens=False)
            counts += map(len, encodings)
        return counts

    def encode_queries(self, texts: Sequence[str]) -> Queries:
        """Questions, with the model's query prompt. Ends beyond the model's limit are cut."""
        prompt = self.fingerprint.query_prompt
        # What is far beyond the limit is not even cut into tokens: an encoding takes a hundred times its text.
        texts = [text[: _CHARACTERS * self.fingerprint.max_tokens] for text in texts]
        # One by one, for a pool of threads costs more to wake than a few questions do.
        encodings = [self._tokenizer.encode(prompt + text) for text in texts]
        vectors = np.empty((len(texts), self.fingerprint.dimension), np.float32)
        tokens: list[Matrix] = [vectors[:0]] * len(texts)
        known = [1.0] * len(texts)
        spans = [np.asarray([[0, len(text)]], np.int64) for text in texts]
        for batch in self._batches(encodings, OnnxRuntime.budget):
            states = self._single.run(batch)
            vectors[batch.positions] = self._pool(batch, states)
            for row, position in enumerate(batch.positions):
                tokens[position] = vectors[position : position + 1]
                real, offsets, known[position] = self._real(encodings[position], len(prompt))
                if self._late and len(real):
                    tokens[position] = unit(states[row, real])
                    spans[position] = offsets[real] - len(prompt)
        return Queries(vectors, tokens, spans, known)

    def encode_passages(self, passages: Sequence[PassageText]) -> Iterator[Encoded]:
        """Passages, with the model's document prompt; of some at a time the longest first, and each position once.

        Token vectors are those of the passage's own pass, so a word is read in its passage; those of a word's pieces are added
        up. Models that do not pool by the mean have none that mean much: their sentences are encoded on their own, and stand for
        the words.
        """
        engine = self._bulk_engine()
        prompt = len(self.fingerprint.document_prompt)
        given: dict[int, _Given] = {}

        def batches() -> Iterator[Batch]:
            # Asked for the next ones while the engine is at the last ones, so that it never waits for tokens.
            window = _PASSAGES * memory()
            for first in range(0, len(passages), window):
                chosen = passages[first : first + window]
                prefixes = [self._prefix(passage.context) for passage in chosen]
                texts = [prefix + passage.text for prefix, passage in zip(prefixes, chosen, strict=True)]
                encodings = self._tokenizer.encode_batch(texts)
                for batch in self._batches(encodings, engine.budget, multiple=_PADDED, warn=True):
                    for place in batch.positions if self._late else ():
                        given[first + place] = _Given(texts[place], len(prefixes[place]), encodings[place])
                    yield batch._replace(positions=[first + place for place in batch.positions])

        def finish(batch: Batch, states: NDArray[np.float32]) -> Encoded:
            vectors = self._pool(batch, states)
            if not self._late:
                return Encoded(batch.positions, vectors, [], [])
            words, ranges = [], []
            for row, position in enumerate(batch.positions):
                text, prefix, encoding = given.pop(position)
                real, offsets, _ = self._real(encoding, prompt)
                inside, first, word_spans = _words(text, offsets[real])
                words.append(_sums(states[row, real[inside]], first))
                ranges.append(_word_ranges(word_spans, prefix, passages[position]))
            codes = signs.pack(np.concatenate(words))
            return Encoded(batch.positions, vectors, np.split(codes, np.cumsum([len(each) for each in words])[:-1]), ranges)

        # The engine's threads finish, too: those of numpy beside them took a tenth of the speed.
        with one_multiplier():
            for encoded in engine.map(batches(), finish):
                yield encoded if self._late else self._with_sentences(encoded, passages)

    def token_ids(self, passages: Sequence[PassageText]) -> list[list[int]]:
        """What the network is given of passages, special tokens included; the longest first."""
        encodings = self._tokenizer.encode_batch_fast([self._prefix(passage.context) + passage.text for passage in passages])
        return [batch.ids[0].tolist() for batch in self._batches(encodings, 1)]

    @property
    def _late(self) -> bool:
        return self.fingerprint.pooling == "mean"

    def _real(self, encoding: Encoding, prompt: int) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
        """Positions of the tokens that stand for letters behind the prompt, as far as the model takes and knows them.

        Also where each token stands, int64 (tokens, 2), and the share of those behind the prompt that it knows. What stands for
        unknown words is like any other unknown word, and tells nothing.
        """
        offsets = np.asarray(encoding.offsets, np.int64).reshape(-1, 2)
        ids = np.asarray(encoding.ids, np.int64)
        limit = self.fingerprint.max_tokens
        if len(offsets) > limit:
            # The last place is the closing token's.
            offsets, ids = offsets[: limit - 1], ids[: limit - 1]
        real = np.flatnonzero((offsets[:, 1] > offsets[:, 0]) & (offsets[:, 1] > prompt))
        known = real[ids[real] != self._unknown]
        return known, offsets, len(known) / len(real) if len(real) else 1.0

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

    def _batches(self, encodings: list[Encoding], budget: int, *, multiple: int = 1, warn: bool = False) -> Iterator[Batch]:
        """Batches of equal cost, the longest texts first: none is padded much, and memory is at its peak at once.

        :param multiple: what the number of tokens that a batch is padded to is a multiple of, as far as the model takes so many.
        """
        limit = self.fingerprint.max_tokens
        ids: list[list[int]] = [encoding.ids for encoding in encodings]
        long = [position for position, row in enumerate(ids) if len(row) > limit]
        for position in long:
            ids[position] = ids[position][: limit - 1] + ids[position][-1:]
        if long and warn:
            logger.warning("%d passages were cut to the %d tokens that the model takes", len(long), limit)
        order = sorted(range(len(ids)), key=lambda position: -len(ids[position]))
        while order:
            longest = min(limit, -(-len(ids[order[0]]) // multiple) * multiple)
            chosen, order = order[: max(1, budget // max(1, longest))], order[max(1, budget // max(1, longest)) :]
            rows = np.full((len(chosen), longest), self.export.pad_id, np.int64)
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
                # One by one, over what is not padding: the order in which a text's tokens are added up is then its own.
                sizes = batch.mask.sum(axis=1).tolist()
                pooled = np.stack([row[:size].sum(axis=0) for row, size in zip(states, sizes, strict=True)])
        return unit(pooled)

    def _with_sentences(self, encoded: Encoded, passages: Sequence[PassageText]) -> Encoded:
        """The same with sentences, encoded on their own, in the place of tokens."""
        chosen = [passages[position] for position in encoded.positions]
        texts = [passage.text[start:end] for passage in chosen for start, end in passage.sentences]
        encodings = self._tokenizer.encode_batch_fast([self.fingerprint.document_prompt + text for text in texts])
        vectors = np.empty((len(texts), self.fingerprint.dimension), np.float32)
        engine = self._bulk_engine()
        for positions, pooled in engine.map(
            self._batches(encodings, engine.budget, multiple=_PADDED),
            lambda batch, states: (batch.positions, self._pool(batch, states)),
        ):
            vectors[positions] = pooled
        tokens, sentences = one_code_each(vectors, [len(passage.sentences) for passage in chosen])
        return encoded._replace(tokens=tokens, sentences=sentences)


def unit(rows: NDArray[np.float32]) -> Matrix:
    """Rows scaled to length 1; a row of zeros stays."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-12), np.float32)


def one_code_each(vectors: Matrix, sizes: Sequence[int]) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.int32]]]:
    """``tokens`` and ``sentences`` of `Encoded` where each sentence is one token; ``sizes`` counts each passage's sentences."""
    tokens = np.split(signs.pack(vectors), np.cumsum(sizes)[:-1]) if sizes else []
    ranges = [np.stack([np.arange(size), np.arange(1, size + 1)], axis=1).astype(np.int32) for size in sizes]
    return tokens, ranges


def _words(text: str, spans: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Which tokens are of words, at which of these each word begins, and where the words stand: int64 (n,), (m,), (m, 2).

    A run of letters and figures is a word; in scripts without spaces, a token is. What is neither is left out, unless there is
    nothing else.

    :param spans: int64 (tokens, 2), of the tokens in the text, in their order.
    """
    runs = np.asarray([found.span() for found in _WORD.finditer(text)], np.int64).reshape(-1, 2)
    # A token may include the space before its word, so the last run that it touches is its own.
    own = np.searchsorted(runs[:, 0], spans[:, 1]) - 1
    inside = np.flatnonzero((own >= 0) & (runs[own, 1] > spans[:, 0])) if len(runs) else np.empty(0, np.int64)
    if not len(inside):
        every = np.arange(len(spans))
        return every, every, spans
    first = np.flatnonzero(np.diff(own[inside], prepend=-1))
    last = np.append(first[1:], len(inside)) - 1
    return inside, first, np.stack([spans[inside[first], 0], spans[inside[last], 1]], axis=1)


def _sums(rows: NDArray[np.float32], first: NDArray[np.int64]) -> Matrix:
    """Rows added up from each of the first ones to the next: what `numpy.add.reduceat` does, in half of its time.

    :param first: ascending, from 0.
    """
    sums = rows[first]
    sizes = np.diff(first, append=len(rows))
    # Most words are one piece, and few have more than two.
    for piece in range(1, int(sizes.max(initial=1))):
        longer = np.flatnonzero(sizes > piece)
        sums[longer] += rows[first[longer] + piece]
    return sums


def _word_ranges(words: NDArray[np.int64], prefix: int, passage: PassageText) -> NDArray[np.int32]:
    """First word and the one behind the last of each sentence; both equal where it has none. No word is in two.

    :param words: int64 (n, 2), where they stand in prefix and text.
    """
    spans = np.asarray(passage.sentences, np.int64).reshape(-1, 2) + prefix
    # By a word's end at the left and its start at the right: its first token may include the space before it.
    first = np.searchsorted(words[:, 1], spans[:, 0], side="right")
    behind = np.searchsorted(words[:, 0], spans[:, 1], side="left")
    first[1:] = np.maximum(first[1:], behind[:-1])
    return np.stack([first, np.maximum(first, behind)], axis=1).astype(np.int32)
