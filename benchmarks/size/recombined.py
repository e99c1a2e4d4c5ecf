"""Passages made of the sentences of others, and an encoder that knows theirs; see the package.

Deliberately not here: measuring.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
from common import data_folder
from numpy.typing import NDArray

from semsearch import encoder as encoders
from semsearch import signs
from semsearch.protocols import Encoded, Fingerprint, PassageText, Queries
from semsearch.store import Reader

SENTENCES = 5
NOISE = 0.025
"""Standard deviation of what is added to each coordinate of a vector of length 1."""
_IN_ARTICLE = 10
_IN_FILE = 500


def write_real(folder: Path, limit: int | None = None) -> None:
    """The real passages as files of JSONL, each an article."""
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(data_folder() / "scale-passages.jsonl.gz", "rt", encoding="utf-8") as lines:
        kept = islice(lines, limit)
        for number, first in enumerate(kept):
            (folder / f"real{number:05}.jsonl").write_text(first + "".join(islice(kept, 4999)), encoding="utf-8")


class Sentences:
    """The sentences of an index, in the order of their passages: where each is from, and which follow it."""

    def __init__(self, index: Path) -> None:
        self.texts: list[str] = []
        rows: list[int] = []
        places: list[int] = []
        with closing(Reader(index)) as reader:
            opened = reader.vectors()
            for segment in opened.segments:
                for first in range(segment.first_row, segment.first_row + segment.n_rows, 2000):
                    chosen = range(first, min(first + 2000, segment.first_row + segment.n_rows))
                    for item in sorted(reader.passages(chosen, 1), key=lambda item: item.row):
                        for place, (start, end) in enumerate(item.passage.sentences):
                            self.texts.append(item.passage.text[start:end])
                            rows.append(item.row)
                            places.append(place)
        self.rows, self.places = np.asarray(rows), np.asarray(places)

    def windows(self, count: int) -> Iterator[NDArray[np.int64]]:
        """So many windows of five sentences, all different: int64 (5,), numbers of sentences."""
        n = len(self.texts)
        drawn = np.random.default_rng(2)
        for number in range(count):
            if number < n - SENTENCES:
                yield np.arange(number, number + SENTENCES)
            else:
                start, other = drawn.integers(0, n - SENTENCES, 2)
                yield np.concatenate([np.arange(start, start + 3), np.arange(other, other + 2)])


def write_windows(sentences: Sentences, folder: Path, count: int) -> None:
    """Windows as articles of ten paragraphs each, in files of JSONL."""
    folder.mkdir(parents=True, exist_ok=True)
    windows = sentences.windows(count)
    number = 0
    while articles := list(islice(iter(lambda: list(islice(windows, _IN_ARTICLE)), []), _IN_FILE)):
        with (folder / f"windows{number:05}.jsonl").open("w", encoding="utf-8") as file:
            for chunk in articles:
                paragraphs = [" ".join(sentences.texts[place] for place in window) for window in chunk]
                file.write(json.dumps({"text": "\n\n".join(paragraphs)}) + "\n")
        number += 1


def key(text: str) -> bytes:
    """What a window is known by."""
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


class RecombiningEncoder:
    """`Encoder` of windows: what their sentences had where they are from. Real passages have what they had; no model runs."""

    engine = "recombined"

    def __init__(self, sentences: Sentences, index: Path, count: int) -> None:
        self._sentences = sentences
        self._model = encoders.load()
        self._reader = Reader(index)
        self._opened = self._reader.vectors()
        self._windows = {key(" ".join(sentences.texts[p] for p in window)): window for window in sentences.windows(count)}
        self._own: dict[bytes, int] = {}
        for segment in self._opened.segments:
            for first in range(segment.first_row, segment.first_row + segment.n_rows, 2000):
                chosen = range(first, min(first + 2000, segment.first_row + segment.n_rows))
                self._own |= {key(item.passage.text): item.row for item in self._reader.passages(chosen, 1)}
        self.strange = 0
        """Passages that are neither: cut otherwise than they were written."""
        self.seconds = 0.0

    @property
    def fingerprint(self) -> Fingerprint:
        return self._model.fingerprint

    @property
    def passage_tokens(self) -> int:
        return self._model.passage_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._model.count_tokens(texts)

    def encode_queries(self, texts: Sequence[str]) -> Queries:
        return self._model.encode_queries(texts)

    def encode_passages(self, passages: Sequence[PassageText]) -> Iterator[Encoded]:
        for first in range(0, len(passages), 256):
            chosen = list(range(first, min(first + 256, len(passages))))
            started = time.perf_counter()
            made = [self._made(passages[place]) for place in chosen]
            self.seconds += time.perf_counter() - started
            vectors, codes, sentences = zip(*made, strict=True)
            yield Encoded(chosen, np.stack(vectors), list(codes), list(sentences))

    def _made(self, passage: PassageText) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.int32]]:
        known = key(passage.text)
        drawn = np.random.default_rng(int.from_bytes(known, "little"))
        if known in self._own:
            row = self._own[known]
            return self._opened.take(np.asarray([row]))[0], self._opened.words(np.asarray([row]))[0], self._opened.sentences(row)
        window = self._windows.get(known)
        if window is None:
            self.strange += 1
            window = drawn.integers(0, len(self._sentences.texts), SENTENCES)
        rows = self._sentences.rows[window]
        vector = self._opened.take(rows).sum(axis=0)
        vector = vector / np.linalg.norm(vector) + NOISE * drawn.standard_normal(len(vector)).astype(np.float32)
        parts = []
        places = self._sentences.places[window].tolist()
        for codes, row, place in zip(self._opened.words(rows), rows.tolist(), places, strict=True):
            start, end = self._opened.sentences(row)[place]
            parts.append(codes[start:end])
        ends = np.cumsum([len(part) for part in parts])
        ranges = np.stack([ends - [len(part) for part in parts], ends], axis=1).astype(np.int32)
        if len(ranges) != len(passage.sentences):
            # Cut into other sentences than it was made of: all words stand in the first.
            ranges = np.full((len(passage.sentences), 2), ends[-1], np.int32)
            ranges[:1, 0] = 0
        codes = np.concatenate(parts) if parts else np.empty((0, signs.WIDTH), np.uint8)
        return np.asarray(vector / np.linalg.norm(vector), np.float32), codes, ranges
