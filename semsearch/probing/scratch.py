"""Indexes that are made to be asked once: articles out of memory, with the vectors that are known already.

Deliberately not here: where the articles come from (`material`), what is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from semsearch import builder, passages
from semsearch._version import __version__
from semsearch.protocols import Encoder, PassageText, Progress
from semsearch.records import Article, Passage
from semsearch.store import ArticleText, Codes, embedding_hash
from semsearch.store.writer import Writer
from semsearch.vectors import TARGET_RECALL

if TYPE_CHECKING:
    from semsearch.engines import View

__all__ = ["hash_of", "write"]


def hash_of(title: str, passage: Passage) -> bytes:
    """What a passage's vector is known by, below this title."""
    return embedding_hash(PassageText(passages.context(title, passage.headings), passage.text, passage.sentences))


def write(
    folder: Path,
    articles: Iterable[ArticleText],
    encoder: Encoder,
    known: Sequence[View],
    *,
    compact: bool = False,
    progress: Progress | None = None,
) -> int:
    """Make an index of articles; how many texts had to be encoded.

    :param folder: where there is none yet; its files say nothing of the articles' own.
    :param known: indexes of the same model, whose vectors are taken over where a text is the same.
    :param compact: without codes of words.
    """
    writer = Writer(folder)
    try:
        for number, article in enumerate(articles):
            file = writer.add_file(str(number), article.source, b"")
            hashed = [(passage, hash_of(article.title, passage)) for passage in article.passages]
            writer.add_article(file, "", Article(article.source, article.title, article.metadata, ()), hashed)
        for reader in known:
            _take_over(writer, reader, compact=compact)
        encoded = builder.encode(writer, encoder, progress, compact=compact)
        builder.set_canaries(writer, encoder)
        facts = {"passages": str(passages.VERSION), "engine": encoder.engine}
        if compact:
            facts["codes"] = builder.NO_CODES
        writer.commit(encoder.fingerprint, __version__, facts, partial(builder.measured, writer, encoder, TARGET_RECALL))
    finally:
        writer.close()
    return encoded


def _take_over(writer: Writer, reader: View, *, compact: bool) -> None:
    """Vectors and codes of the texts that another index has, too."""
    for hashes, vectors, codes in reader.known(writer.unencoded()):
        if compact:
            codes = Codes([builder.NO_TOKENS] * len(hashes), [builder.NO_SENTENCES] * len(hashes))
        writer.add_vectors(hashes, vectors, codes)
