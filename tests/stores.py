"""What the tests of an index directory share: putting texts into one without reading files, and looking at what it has."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
from conftest import FakeEncoder

from semsearch.protocols import PassageText
from semsearch.records import Article, Passage, Sentence
from semsearch.store import Codes, Reader, database, embedding_hash, segments
from semsearch.store.writer import Writer

FINGERPRINT = FakeEncoder().fingerprint
ONE_WORD = Codes(*([part] for part in FakeEncoder.tokens(PassageText("", "oil", (Sentence(0, 3),)))))


def passage(text: str, sentences: int = 1, headings: tuple[str, ...] = ()) -> Passage:
    cuts = np.linspace(0, len(text), sentences + 1).astype(int).tolist()
    spans = tuple(Sentence(*cut) for cut in pairwise(cuts))
    return Passage(text, headings, 1, 3, 10, 10 + len(text), spans, tuple((10 + a, 10 + b) for a, b in spans))


def put(folder: Path, files: dict[str, list[str]], *, commit: bool = True) -> Writer:
    """Add files of passages, encode what is new, as `index` does it."""
    opened = Writer(folder)
    for name, texts in files.items():
        row = opened.add_file(name, f"as/{name}", name.encode())
        cut = [passage(text, number % 3) for number, text in enumerate(texts)]
        hashed = [(each, embedding_hash(PassageText("", each.text, each.sentences))) for each in cut]
        opened.add_article(row, "", Article(f"as/{name}", name.upper(), {"file": name}, ()), hashed)
    pending = opened.unencoded()
    for first in range(0, len(pending), segments.SEGMENT_ROWS):
        hashes = pending[first : first + segments.SEGMENT_ROWS]
        texts = [PassageText("", text, spans) for _, _, text, spans in opened.passage_texts(hashes)]
        opened.add_vectors(
            hashes, FakeEncoder.vectors([text.text for text in texts]), Codes(*zip(*map(FakeEncoder.tokens, texts), strict=True))
        )
    if commit:
        opened.commit(FINGERPRINT, "1.0")
        opened.close()
    return opened


def stored(folder: Path) -> dict[str, np.ndarray]:
    """Every passage's text with the vector that the index has for it."""
    with closing(Reader(folder)) as reader:
        found = {}
        for segment in reader.vectors().segments:
            rows = list(range(segment.first_row, segment.first_row + segment.n_rows))
            for item in reader.passages(rows, 10):
                found[item.passage.text] = segment.vectors(np.asarray([item.row]))[0]
                tokens, sentences = FakeEncoder.tokens(PassageText("", item.passage.text, item.passage.sentences))
                assert np.array_equal(segment.words(item.row), tokens)
                assert np.array_equal(segment.sentences(item.row), sentences)
        return found


def agrees(folder: Path, texts: set[str]) -> None:
    found = stored(folder)
    assert set(found) == texts
    for text, vector in found.items():
        assert np.array_equal(vector, FakeEncoder.vectors([text])[0])
    with closing(Reader(folder)) as reader:
        names = {name for (name,) in reader._database.execute("SELECT name FROM segments")}
    assert {path.name.split(".")[0] for path in folder.glob("segment-*")} == names


def by_words(folder: Path, query: str) -> set[str]:
    """The texts that have a question's words."""
    with closing(Reader(folder)) as reader:
        return texts_of(reader, query)


def texts_of(reader: Reader, query: str) -> set[str]:
    rows = reader.lexical().search(query, 100).rows.tolist()
    return {item.passage.text for item in reader.passages(rows, 9)}


def lexical_folders(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("lexical-*")}


def take_out(folder: Path, *names: str) -> None:
    opened = Writer(folder)
    files = opened.files()
    opened.remove_files(files[name].id for name in names)
    opened.commit(FINGERPRINT, "1.0")
    opened.close()


def edit(folder: Path, statement: str, *values: object) -> None:
    """Change the database behind everybody's back; its pages get the right checksums."""
    with closing(database.connect_to_write(folder)) as opened:
        opened.execute("PRAGMA foreign_keys = OFF")
        opened.config(database.apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
        opened.execute(statement, values)
