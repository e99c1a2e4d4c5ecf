"""Shared fixtures: a fake encoder whose vectors can be computed in the head, and the bundled model for the few."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from semsearch.protocols import Encoded, Encoder, Fingerprint, PassageText

WORDS = ["aid", "vaccine", "oil", "sword", "battle", "council", "gas", "charter", "sanction", "election"]


class FakeEncoder:
    """Counts words: dimension i is how often ``WORDS[i]`` occurs, the last one is always a little; then unit length."""

    engine = "fake"
    passage_tokens = 60

    def __init__(self, model: str = "fake") -> None:
        self.fingerprint = Fingerprint(model, model, "words", "none", "mean", "", "", 64, len(WORDS) + 1)
        self.encoded: list[str] = []

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return self.vectors(texts)

    def encode_passages(self, passages: Sequence[PassageText]) -> Iterator[Encoded]:
        """Backwards, two at a time: nobody may rely on the order."""
        for first in range(0, len(passages), 2):
            positions = list(range(first, min(first + 2, len(passages))))[::-1]
            chosen = [passages[position] for position in positions]
            self.encoded += [passage.text for passage in chosen]
            sentences = [self.vectors([passage.text[start:end] for start, end in passage.sentences]) for passage in chosen]
            yield Encoded(positions, self.vectors([f"{passage.context} {passage.text}" for passage in chosen]), sentences)

    @staticmethod
    def vectors(texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), len(WORDS) + 1), np.float32)
        for row, text in zip(rows, texts, strict=True):
            found = re.findall(r"\w+", text.lower())
            row[:-1] = [found.count(word) for word in WORDS]
            row[-1] = 0.1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def fake() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for the tests that run the bundled model, so that it is exported once; nothing of the user's is touched."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("SEMSEARCH_CACHE")
    os.environ["SEMSEARCH_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["SEMSEARCH_CACHE"]
    else:
        os.environ["SEMSEARCH_CACHE"] = before


@pytest.fixture(scope="session")
def bundled(model_cache: Path) -> Encoder:
    from semsearch import encoder

    return encoder.load()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    folder = os.environ.get("SEMSEARCH_DATA")
    if not folder:
        pytest.skip("SEMSEARCH_DATA is not set: it names the folder of test collections")
    return Path(folder)


ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
