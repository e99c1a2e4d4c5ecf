"""Shared fixtures: a fake encoder whose vectors can be computed in the head, and the bundled model for the few."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from semsearch import signs
from semsearch.protocols import Encoded, Encoder, Fingerprint, PassageText, Queries

WORDS = ["aid", "vaccine", "oil", "sword", "battle", "council", "gas", "charter", "sanction", "election"]


class FakeEncoder:
    """Counts words: dimension i is how often ``WORDS[i]`` occurs, the last one is always a little; then unit length.

    Each word of a context, a text or a question is a token, and its vector is that of the word alone: the cosine of two tokens
    is 1 for the same of ``WORDS`` and for two other words, 0.01 / 1.01 for two different ones of ``WORDS``, and 0.1 / sqrt(1.01)
    for one of them and another word.
    """

    engine = "fake"
    passage_tokens = 60

    def __init__(self, model: str = "fake") -> None:
        self.fingerprint = Fingerprint(model, model, "words", "none", "mean", "", "", 64, len(WORDS) + 1)
        self.encoded: list[str] = []

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def encode_queries(self, texts: Sequence[str]) -> Queries:
        vectors = self.vectors(texts)
        tokens, spans = [], []
        for text, vector in zip(texts, vectors, strict=True):
            found = list(re.finditer(r"\w+", text))[: self.fingerprint.max_tokens]
            # As the real one: what has no words is one token.
            tokens.append(self.vectors([word[0] for word in found]) if found else vector[None])
            spans.append(np.asarray([word.span() for word in found] or [(0, len(text))], np.int64))
        return Queries(vectors, tokens, spans, [1.0] * len(texts))

    def encode_passages(self, passages: Sequence[PassageText]) -> Iterator[Encoded]:
        """Backwards, two at a time: nobody may rely on the order."""
        for first in range(0, len(passages), 2):
            positions = list(range(first, min(first + 2, len(passages))))[::-1]
            chosen = [passages[position] for position in positions]
            self.encoded += [passage.text for passage in chosen]
            tokens, sentences = zip(*map(self.tokens, chosen), strict=True)
            vectors = self.vectors([f"{passage.context} {passage.text}" for passage in chosen])
            yield Encoded(positions, vectors, list(tokens), list(sentences))

    @classmethod
    def tokens(cls, passage: PassageText) -> tuple[np.ndarray, np.ndarray]:
        """Codes of a passage's words, those of its context first, and which of them each sentence has."""
        words = re.findall(r"\w+", passage.context)
        inside = list(re.finditer(r"\w+", passage.text))
        starts = np.asarray([word.start() for word in inside], np.int64)
        spans = np.asarray(passage.sentences, np.int64).reshape(-1, 2)
        ranges = len(words) + np.searchsorted(starts, spans)
        return signs.pack(cls.vectors([*words, *(word[0] for word in inside)])), ranges.astype(np.int32)

    @staticmethod
    def vectors(texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), len(WORDS) + 1), np.float32)
        for row, text in zip(rows, texts, strict=True):
            found = re.findall(r"\w+", text.lower())
            row[:-1] = [found.count(word) for word in WORDS]
            row[-1] = 0.1
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        # As an index keeps them, so that both are equal to the last bit.
        return rows.astype(np.float16).astype(np.float32)


@pytest.fixture
def fake() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch, fake: FakeEncoder, request: pytest.FixtureRequest) -> None:
    """Everything is encoded with the fake encoder, unless the test is marked as running the model."""
    from semsearch import encoder

    if "model" not in request.keywords:
        monkeypatch.setattr(encoder, "load", lambda name="": fake)
        monkeypatch.setattr(encoder, "load_for", lambda fingerprint, network: fake)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    from helpers import write

    folder = tmp_path / "notes"
    write(folder, "one.md", "aid, vaccine", "oil oil", title="First")
    write(folder, "two.md", "sword, battle, council", "gas", title="Second")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One cache for the tests that run the bundled model, so that it is exported once; nothing of the user's is touched."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    folder /= "model-cache"
    folder.mkdir(exist_ok=True)
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


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Headless Chromium, by Playwright; see ``helpers.CHROMIUM``."""
    from helpers import CHROMIUM
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
