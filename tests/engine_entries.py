"""Articles with their passages as engines are given them, made up, the same each time."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

import numpy as np
from conftest import WORDS, FakeEncoder

from semsearch import signs
from semsearch.engines import numbers
from semsearch.engines.narrowing import values_of
from semsearch.engines.seam import ArticleEntry, Kept, PassageEntry, Terms, Value
from semsearch.records import Passage, Sentence
from semsearch.store import FileRow

FILLER = ["harbour", "keeper", "bees", "lantern", "storm", "archive", "letter", "bridge", "winter", "market", "o'clock", "größe"]
DIMENSION = len(WORDS) + 1
META = {"generation": "1", "format": "1"}


def file_of(number: int, version: int = 0) -> FileRow:
    path = f"/articles/part-{number % 3}/file-{number:03}.md"
    digest = hashlib.sha256(f"{number} {version}".encode()).digest()
    return FileRow(numbers.file_id(path), path, path.removeprefix("/"), digest, [], {})


def article_of(number: int, version: int = 0) -> tuple[ArticleEntry, list[PassageEntry], list[Value]]:
    """The one article of a file; another version says something else in some of its passages."""
    drawn = random.Random(f"{number}")
    file = file_of(number)
    title = " ".join(drawn.sample(WORDS, 2)).capitalize()
    metadata = {
        "date": f"20{10 + number % 15}-0{1 + number % 9}-1{number % 10}",
        "tags": drawn.sample(["energy", "peace", 'quo"te', "per%cent", "back\\slash", "O'Neill"], 2),
        "nested": {"deep": number % 4, "flag": number % 2 == 0},
    }
    passages = []
    for place in range(drawn.randint(1, 5)):
        words = [drawn.choice(WORDS + FILLER) for _ in range(drawn.randint(5, 40))]
        if place % 2 == 0:
            words += [f"version{version}"]
        text = " ".join(words).capitalize() + "."
        headings = ("Part one", drawn.choice(FILLER)) if place else ()
        passages.append(Passage(text, headings, place + 1, place * 2 + 3, place * 500, place * 500 + len(text),
                                (Sentence(0, len(text)),), ((place * 500, place * 500 + len(text)),)))  # fmt: skip
    said = [title.encode(), *(passage.text.encode() for passage in passages)]
    record = f"#{number}" if number % 5 == 0 else ""
    key = numbers.article_id(file.path, record, said)
    values, keys = values_of(file.source + record, title, metadata)
    entries = [entry_of(key, place, title, passage) for place, passage in enumerate(passages)]
    languages = dict(Counter(entry.language for entry in entries))
    ids = (*(value.id for value in values), *keys)
    article = ArticleEntry(key, file.id, file.path, file.source, record, title, metadata, ids, len(entries), languages)
    return article, entries, values


def entry_of(article: int, place: int, title: str, passage: Passage) -> PassageEntry:
    heading = "\n".join(passage.headings)
    terms = Terms(*(" ".join(part.lower().replace(".", "").split()) for part in (title, heading, passage.text)))
    drawn = np.random.default_rng(numbers.passage_row(article, place))
    vector = FakeEncoder.vectors([f"{title} {passage.text}"])[0] + 0.01 * drawn.standard_normal(DIMENSION)
    vector = (vector / np.linalg.norm(vector)).astype(np.float16).astype(np.float32)
    n_words = len(passage.text.split())
    words = drawn.integers(0, 256, (n_words, signs.WIDTH), np.uint8)
    spans = np.asarray([[0, n_words]], np.int32)
    embedding = hashlib.blake2b(f"{title} {heading} {passage.text}".encode(), digest_size=16).digest()
    row = numbers.passage_row(article, place)
    return PassageEntry(row, article, place, passage, embedding, "en", terms, Kept(vector, words, spans))
