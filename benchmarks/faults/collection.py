"""A made-up collection of articles in known states, questions to it, and an encoder that needs no model.

Everything is decided by seeds: the same call gives the same articles, vectors and answers in every process.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from semsearch import signs
from semsearch.protocols import Encoded, Fingerprint, PassageText, Queries

WORDS = re.findall(
    r"\w+",
    """
aid army artist assembly author bank battle border bridge budget capital castle century charter church citizen city coast
colony committee company conference congress constitution contract council country court crisis crop culture currency debate
decade decree defence delegation democracy desert doctor drought economy edition election embassy emperor empire energy engine
export factory farmer festival fleet forest frontier garden general governor grain harbour harvest history hospital import
independence industry island judge junta justice king kingdom labour language law leader library loan market mayor medicine
merchant mineral minister mission monument mountain museum nation navy newspaper novel ocean oil painter parliament party
peace pension people philosopher pilot planet poem police port president prison province queen railway rebel refinery reform
refugee region republic revolution river road ruler sanction school scientist senate shipment silver soldier statue storm
strike student sugar summit sword tariff tax teacher temple territory theatre trade treaty tribe troop union university
vaccine valley village volcano vote wage war wheat winter worker
""",
)
VERBS = re.findall(
    r"\w+", "reached left signed refused built found lost supported criticised visited described joined rejected funded"
)
QUESTIONS = (
    "which treaty did the president sign",
    "how was the harvest of wheat and sugar",
    "who painted the queen and the castle",
    "soldiers at the river in the winter of the war",
    "what vaccine did the hospital give",
    '"the railway" to the harbour and the port',
)
MODES = ("hybrid", "dense", "lexical")
K = 10

Articles = dict[str, str]
"""Texts of articles by file name."""
Answers = dict[str, Any]
"""For each question and mode (``MODE: QUESTION``) the hits, each (text, source, start, end, score), or the error it met."""


def article(number: int, version: int = 0, paragraphs: int = 4) -> str:
    """Markdown of one article; versions have some paragraphs in common, each paragraph is one passage."""
    own = random.Random(f"article {number}")
    parts = [_paragraph(own) for _ in range(paragraphs)]
    if version:
        changed = random.Random(f"article {number} version {version}")
        parts[number % paragraphs] = _paragraph(changed)
        parts.append(_paragraph(changed))
    return f"# The {own.choice(WORDS)} of the {own.choice(WORDS)} {number}\n\n" + "\n\n".join(parts) + "\n"


def _paragraph(chosen: random.Random) -> str:
    return " ".join(_sentence(chosen) for _ in range(chosen.randint(2, 4)))


def _sentence(chosen: random.Random) -> str:
    first, second, third, fourth = chosen.sample(WORDS, 4)
    return (
        f"The {first} of the {second} {chosen.choice(VERBS)} the {third} in {chosen.randint(1500, 2020)}, "
        f"and the {fourth} {chosen.choice(VERBS)} it."
    )


def earlier(size: int) -> Articles:
    """The collection before a refresh: ``size`` articles."""
    return {f"article{number:03}.md": article(number) for number in range(size)}


def later(size: int) -> Articles:
    """The collection after it: a quarter each added, edited, renamed; one in six deleted; the others as they were."""
    share = max(1, size // 4)
    articles = earlier(size)
    for number in range(share):
        articles[f"article{number:03}.md"] = article(number, version=1)
    for number in range(share, 2 * share):
        articles[f"renamed/article{number:03}.md"] = articles.pop(f"article{number:03}.md")
    for number in range(2 * share, 2 * share + max(1, size // 6)):
        articles.pop(f"article{number:03}.md", None)
    for number in range(size, size + share):
        articles[f"article{number:03}.md"] = article(number)
    return articles


def write_folder(articles: Articles, folder: Path) -> Path:
    """Make a folder that holds these articles and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in articles.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def write_records(articles: Articles, path: Path) -> Path:
    """Write the articles into one JSONL file, which takes the place of an earlier one in one step."""
    fresh = path.with_name(f"{path.name}.{random.getrandbits(64):x}")
    lines = [json.dumps({"title": name, "text": text.split("\n\n", 1)[1]}) for name, text in articles.items()]
    fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
    fresh.replace(path)
    return path


def ask(index: Any, questions: Sequence[str] = QUESTIONS, modes: Sequence[str] = MODES) -> Answers:
    """What an open index answers; an error of semsearch's takes the place of the hits that it kept back."""
    from semsearch.errors import SemsearchError

    answers: Answers = {}
    for question in questions:
        for mode in modes:
            try:
                found = index.search(question, K, mode=mode, fold=False)
            except SemsearchError as error:
                answers[f"{mode}: {question}"] = {"error": type(error).__name__, "message": str(error)}
            else:
                answers[f"{mode}: {question}"] = [[hit.text, hit.source, hit.start, hit.end, float(hit.score)] for hit in found]
    return answers


def same(one: Any, other: Any, tolerance: float = 1e-6) -> bool:
    """Whether two lists of hits are the same: places and texts exactly, scores to rounding, hits of one score in any order.

    :param tolerance: of scores; 0 for what comes out of the same files.
    """
    if isinstance(one, dict) or isinstance(other, dict):
        return False
    if not tolerance:
        return bool(one == other)
    if len(one) != len(other) or not all(_descend(hits, tolerance) for hits in (one, other)):
        return False
    pairs = zip(sorted(one), sorted(other), strict=True)
    return all(left[:4] == right[:4] and abs(left[4] - right[4]) <= tolerance for left, right in pairs)


def _descend(hits: Any, tolerance: float) -> bool:
    return all(left[4] >= right[4] - tolerance for left, right in pairwise(hits))


def all_same(one: Answers, other: Answers, tolerance: float = 1e-6) -> bool:
    """`same` for every question and mode."""
    return one.keys() == other.keys() and all(same(one[key], other[key], tolerance) for key in one)


class WordEncoder:
    """A word's vector is drawn by its hash, a text's is the mean of its words': texts that share words are near each other.

    :param dimension: of the vectors.
    :param batch: passages encoded at once.
    :param pause: seconds that each batch takes beside.
    :param told: is given the number of passages encoded so far, after each batch was taken.
    """

    engine = "words"
    passage_tokens = 120

    def __init__(
        self, dimension: int = 32, batch: int = 4, pause: float = 0.0, told: Callable[[int], None] = lambda _: None
    ) -> None:
        self.fingerprint = Fingerprint("words", "words", "words", "none", "mean", "", "", 128, dimension)
        self.encoded = 0
        self._batch = batch
        self._pause = pause
        self._told = told

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def encode_queries(self, texts: Sequence[str]) -> Queries:
        found = [list(re.finditer(r"\w+", text)) for text in texts]
        tokens = [self._vectors([[word[0]] for word in words] or [[text]]) for words, text in zip(found, texts, strict=True)]
        spans = [
            np.asarray([word.span() for word in words] or [(0, len(text))], np.int64)
            for words, text in zip(found, texts, strict=True)
        ]
        vectors = self._vectors([[word[0] for word in words] or [text] for words, text in zip(found, texts, strict=True)])
        return Queries(vectors, tokens, spans, [1.0] * len(texts))

    def encode_passages(self, passages: Sequence[PassageText]) -> Iterator[Encoded]:
        for first in range(0, len(passages), self._batch):
            chosen = passages[first : first + self._batch]
            words = [re.findall(r"\w+", f"{passage.context} {passage.text}") for passage in chosen]
            if self._pause:
                time.sleep(self._pause)
            codes = _codes(self.fingerprint.dimension)
            yield Encoded(
                list(range(first, first + len(chosen))),
                self._vectors(words),
                [codes[_places(each)] for each in words],
                [_ranges(passage) for passage in chosen],
            )
            self.encoded += len(chosen)
            self._told(self.encoded)

    def _vectors(self, texts: Sequence[Sequence[str]]) -> np.ndarray:
        table = _table(self.fingerprint.dimension)
        rows = np.stack([table[_places(words[:32])].sum(axis=0) for words in texts])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.astype(np.float16).astype(np.float32)


def _ranges(passage: PassageText) -> np.ndarray:
    """Which of a passage's words each sentence has: int32 (number of sentences, 2)."""
    before = len(re.findall(r"\w+", passage.context))
    starts = np.asarray([word.start() for word in re.finditer(r"\w+", passage.text)], np.int64)
    spans = np.asarray(passage.sentences, np.int64).reshape(-1, 2)
    return (before + np.searchsorted(starts, spans)).astype(np.int32)


_ROWS = 4096


def _places(words: Sequence[str]) -> np.ndarray:
    return np.asarray([_place(word.lower()) for word in words], np.int64)


@lru_cache(maxsize=65_536)
def _place(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "little") % _ROWS


@lru_cache
def _table(dimension: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((_ROWS, dimension), np.float32)


@lru_cache
def _codes(dimension: int) -> np.ndarray:
    return signs.pack(_table(dimension))
