"""The slow way that takes any model: sentence-transformers itself.

Deliberately not here: anything that the fast path can do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from semsearch.encoder.engines import accelerator
from semsearch.encoder.export import load_reference
from semsearch.encoder.fast import one_code_each
from semsearch.protocols import CONTEXT_SHARE, Encoded, Fingerprint, PassageText, Queries

if TYPE_CHECKING:
    from semsearch.encoder.model import ModelFiles
    from semsearch.protocols import Matrix

__all__ = ["ReferenceEncoder"]

_CHUNK = 256


class ReferenceEncoder:
    """`Encoder` over `SentenceTransformer.encode_query` and `encode_document`.

    Sentences are encoded on their own, and stand for the tokens.
    """

    def __init__(self, files: ModelFiles, fingerprint: Fingerprint) -> None:
        self._device = accelerator() or "cpu"
        self._model = load_reference(files, self._device)
        self._fingerprint = fingerprint

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors depend on."""
        return self._fingerprint

    @property
    def engine(self) -> str:
        """What computes."""
        return f"sentence-transformers {self._device}"

    @property
    def passage_tokens(self) -> int:
        """Tokens left for a passage with its context, beside special tokens and the document prompt."""
        return max(16, self._fingerprint.max_tokens - 4 - self.count_tokens([self._fingerprint.document_prompt])[0])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the special tokens; words where the model has no tokenizer of that kind."""
        tokenizer = getattr(self._model, "tokenizer", None)
        if callable(tokenizer):
            rows = tokenizer(list(texts), add_special_tokens=False, truncation=False)["input_ids"]
            return [len(row) for row in rows]
        return [len(text.split()) for text in texts]

    def encode_queries(self, texts: Sequence[str]) -> Queries:
        """Questions, with the model's query prompt; each is one token."""
        encoded = self._model.encode_query(list(texts), normalize_embeddings=True, show_progress_bar=False)
        vectors = np.asarray(encoded, np.float32)
        spans = [np.asarray([[0, len(text)]], np.int64) for text in texts]
        return Queries(vectors, list(vectors[:, None]), spans, [1.0] * len(texts))

    def encode_passages(self, passages: Sequence[PassageText]) -> Iterator[Encoded]:
        """Passages, with the model's document prompt, in order."""
        for first in range(0, len(passages), _CHUNK):
            chunk = passages[first : first + _CHUNK]
            sentences = [text[start:end] for _, text, spans in chunk for start, end in spans]
            texts = [f"{self._shortened(context)} {text}".lstrip() for context, text, _ in chunk]
            vectors = self._documents(texts + sentences)
            positions = list(range(first, first + len(chunk)))
            sizes = [len(spans) for _, _, spans in chunk]
            yield Encoded(positions, vectors[: len(chunk)], *one_code_each(vectors[len(chunk) :], sizes))

    def _shortened(self, context: str) -> str:
        """The context, cut to its share of the model's limit."""
        share = self.passage_tokens // CONTEXT_SHARE
        while (tokens := self.count_tokens([context])[0]) > share:
            words = context.split()
            context = " ".join(words[: min(len(words) - 1, len(words) * share // tokens)])
        return context

    def _documents(self, texts: list[str]) -> Matrix:
        vectors = self._model.encode_document(texts, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)
