"""What is kept of files, articles and passages, as entities of Milvus' collections, and back.

An index named NAME is NAME, which holds the record and the tickets of writers, and, for each edition of it, NAME_passages_...,
what is searched; NAME_records_..., all that is only shown or compared; NAME_terms_..., in how many passages each term is.
Milvus knows neither bytes nor texts of more than 65,535 bytes: a body is cut in pieces, each an entity, and bytes are base64.

Terms become words of small letters and digits (`token`), so that every analyzer of Milvus leaves them whole and no pattern of
``like`` has to be escaped.

Deliberately not here: calls, and which generation sees what.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from semsearch.engines.milvus.client import Column, Function, Index
from semsearch.engines.seam import K1, ArticleEntry, B, Kept, PassageEntry, Terms, Value
from semsearch.errors import InputError
from semsearch.records import Passage, Problem
from semsearch.signs import WIDTH
from semsearch.store import FileRow
from semsearch.store.tables import Spans, sentence_bytes, sentence_spans

__all__ = [
    "ALIVE",
    "ARTICLE",
    "CODES",
    "FIELDS",
    "FILE",
    "GAP",
    "KEY",
    "NAMES",
    "NO_VECTOR",
    "PASSAGE",
    "PASSAGES",
    "RECORD",
    "RECORDS",
    "RECORD_INDEXES",
    "SLOTS",
    "TERMS",
    "TERM_INDEXES",
    "VALUE",
    "article_body",
    "article_of",
    "body_of",
    "codes_body",
    "file_body",
    "file_of",
    "functions",
    "kept_of",
    "known_as",
    "number_of",
    "parts_of",
    "passage_body",
    "passage_entity",
    "passage_indexes",
    "passage_of",
    "passages",
    "records_of",
    "sort_key",
    "term_number",
    "token",
    "value_body",
    "value_of",
    "whole_of",
]

ALIVE = 2**62
"""What is not gone is gone from this draft on, which no draft is."""
ARTICLE, PASSAGE, CODES, FILE, VALUE, KEY = range(1, 7)
"""Kinds of records."""
FIELDS = ("title", "heading", "whole")
"""What BM25 looks through, as `seam.Field` has them."""
SLOTS = 2
"""Entities of a term: what counts now, and what counts from the next generation on, by turns."""
GAP = "gap"
NO_VECTOR = [0.0, 1.0]
"""Every collection of Milvus has a vector, of two numbers at least."""
NAMES = ("passages", "records", "terms")
_MOST = 65_535
_PIECE = 60_000
"""Bytes of a body that one entity has."""
_KEY = 4000
_MOST_VALUES = 4096
_PLAIN = re.compile(r"[a-y0-9][a-z0-9]{0,39}")
_ANALYZED = {"enable_analyzer": True, "analyzer_params": {"tokenizer": "standard"}}

_GAP = Column(GAP, "FLOAT_VECTOR", {"dim": len(NO_VECTOR)})
_BODIES = tuple(Column(f"body{place}", "VARCHAR", {"max_length": _MOST}) for place in range(8))
RECORD = (Column("name", "VARCHAR", {"max_length": 100}), *_BODIES, _GAP)
"""The columns of the collection of the record and the tickets."""
RECORDS = (
    Column("id", "INT64"),
    Column("kind", "INT64"),
    Column("number", "INT64"),
    Column("parent", "INT64"),
    Column("piece", "INT64"),
    Column("pieces", "INT64"),
    Column("born", "INT64"),
    Column("gone", "INT64"),
    Column("sorted", "VARCHAR", {"max_length": _MOST}),
    Column("body", "VARCHAR", {"max_length": _MOST, "mmap_enabled": True}),
    _GAP,
)
"""``number`` is what the record is of; ``parent`` an article's file, a passage's article, the id of a value's key.
``sorted``: what articles are listed by."""
TERMS = (Column("id", "INT64"), Column("born", "INT64"), Column("n", "INT64"), _GAP)
_NO_GAP = Index(GAP, "FLAT", "L2")
RECORD_INDEXES = (_NO_GAP, *(Index(name, "INVERTED") for name in ("number", "parent")))
TERM_INDEXES = (_NO_GAP,)
PASSAGES = ("id", "row", "article", "place", "embedding", "born", "gone", "title", "heading", "whole", "having", "vector")
"""Fields of a passage that are written."""


def passages(dimension: int) -> tuple[Column, ...]:
    """The columns of the collection of what is searched."""
    numbers = [Column(name, "INT64") for name in PASSAGES[:7]]
    texts = [Column(name, "VARCHAR", {"max_length": _MOST, **_ANALYZED}) for name in FIELDS]
    having = Column("having", "ARRAY", {"element_type": "INT64", "max_capacity": _MOST_VALUES})
    sparse = [Column(f"{name}_bm25", "SPARSE_FLOAT_VECTOR") for name in FIELDS]
    return (*numbers, *texts, having, Column("vector", "FLOAT_VECTOR", {"dim": dimension}), *sparse)


def functions() -> tuple[Function, ...]:
    """What Milvus makes of the texts."""
    return tuple(Function(name, f"{name}_bm25") for name in FIELDS)


def passage_indexes(kind: str) -> tuple[Index, ...]:
    """The indexes of what is searched.

    :param kind: of the vectors.
    """
    graph: dict[str, Any] = {"M": 32, "efConstruction": 200} if kind.startswith("HNSW") else {}
    if kind == "HNSW_SQ":
        graph |= {"sq_type": "SQ8", "refine": True, "refine_type": "FP32"}
    sparse = [Index(f"{name}_bm25", "SPARSE_INVERTED_INDEX", "BM25", {"bm25_k1": K1, "bm25_b": B}) for name in FIELDS]
    plain = [Index(name, "INVERTED") for name in ("row", "article", "embedding")]
    return (Index("vector", kind, "COSINE", graph), *sparse, *plain)


def number_of(*said: object) -> int:
    """A number made of what says what something is: of 63 bits, above 0."""
    digest = hashlib.blake2b(repr(said).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 1) or 1


def token(term: str) -> str:
    """A term as Milvus is given it: itself if it is of small letters and digits, else a word made of it."""
    if _PLAIN.fullmatch(term):
        return term
    return "z" + hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def term_number(field: str, word: str, slot: int) -> int:
    """The key of a term's count."""
    return number_of("term", field, word, slot)


def whole_of(terms: Terms) -> str:
    """All terms of a passage, as tokens: one space between terms, two between parts, and one at either end.

    >>> whole_of(Terms("aid", "", "oil gas"))
    ' aid    oil gas '
    """
    return f" {'  '.join(_tokens(part) for part in terms)} "


def parts_of(whole: str) -> tuple[list[str], list[str], list[str]]:
    """The tokens of title, headings and text out of what `whole_of` made."""
    title, heading, text = (part.split() for part in whole[1:-1].split("  ", 2))
    return title, heading, text


def _tokens(terms: str) -> str:
    return " ".join(map(token, terms.split()))


def known_as(embedding: bytes) -> int:
    """What a text is looked up by."""
    return int.from_bytes(embedding[:8], "little") >> 1


def passage_entity(entry: PassageEntry, having: Sequence[int], born: int, version: int) -> dict[str, Any]:
    """What is searched of a passage; the first version has its row for a key.

    :param having: ids of the values of its article.
    :param version: as `records_of` has it.
    :raises InputError: if it is longer than Milvus takes.
    """
    title, heading, _ = map(_tokens, entry.terms)
    whole = whole_of(entry.terms)
    if len(whole) > _MOST or len(having) > _MOST_VALUES:
        what = f"{len(whole)} bytes of words" if len(whole) > _MOST else f"an article with {len(having)} values"
        most = _MOST if len(whole) > _MOST else _MOST_VALUES
        raise InputError(f"a passage has {what}, and Milvus takes {most}: index with --passage-tokens 512, or less metadata")
    key = number_of(entry.row, version) if version else entry.row
    return {
        "id": key, "row": entry.row, "article": entry.article, "place": entry.place, "embedding": known_as(entry.embedding),
        "born": born, "gone": ALIVE, "title": title, "heading": heading, "whole": whole, "having": list(having),
        "vector": np.asarray(entry.kept.vector, np.float32),
    }  # fmt: skip


def records_of(
    kind: int, number: int, body: str, born: int, *, parent: int = 0, sorted_by: str = "", version: int = 0
) -> Iterator[dict[str, Any]]:
    """A body as entities.

    :param version: a number that no other version of the same record has which is still there; 0 for the first.
    """
    pieces = list(_pieces(body))
    for place, piece in enumerate(pieces):
        key = number_of(kind, number, place, version)
        yield {
            "id": key, "kind": kind, "number": number, "parent": parent, "piece": place, "pieces": len(pieces), "born": born,
            "gone": ALIVE, "sorted": sorted_by, "body": piece, GAP: NO_VECTOR,
        }  # fmt: skip


def _pieces(body: str) -> Iterator[str]:
    data = body.encode()
    first = 0
    while len(data) - first > _PIECE:
        end = first + _PIECE
        while data[end] & 0xC0 == 0x80:
            # Not in the middle of a character.
            end -= 1
        yield data[first:end].decode()
        first = end
    yield data[first:].decode()


def body_of(pieces: Iterable[Mapping[str, Any]]) -> str | None:
    """A body out of its entities, in any order; None if some are missing."""
    found = {int(piece["piece"]): piece for piece in pieces}
    if 0 not in found or len(found) < found[0]["pieces"]:
        return None
    return "".join(str(found[place]["body"]) for place in range(found[0]["pieces"]))


def _json(value: Any) -> str:
    """JSON, with characters as they are unless they are none."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def sort_key(article: ArticleEntry) -> str:
    """What articles are listed by, as a text that sorts like it; no more of it than 4,000 bytes."""
    key = "\x01".join((article.source, article.record, article.path))
    return key.encode("utf-8", "replace")[:_KEY].decode("utf-8", "ignore").replace("\0", "")


def article_body(article: ArticleEntry) -> str:
    """An article as text."""
    return _json([*article[1:6], dict(article.metadata), list(article.values), article.n_passages, dict(article.languages)])


def article_of(number: int, body: str) -> ArticleEntry:
    """What `article_body` was given."""
    file, path, source, record, title, metadata, values, n_passages, languages = json.loads(body)
    return ArticleEntry(number, file, path, source, record, title, metadata, tuple(values), n_passages, languages)


def passage_body(entry: PassageEntry) -> str:
    """All that is shown of a passage as text."""
    said = entry.passage
    sentences = b64encode(sentence_bytes(Spans(said.sentences, said.sentence_spans))).decode()
    place = [entry.article, entry.place, entry.embedding.hex()]
    return _json([*place, said.text, said.headings, said.paragraph, said.line, said.start, said.end, sentences, said.page])


def passage_of(body: str) -> tuple[int, int, bytes, Passage]:
    """Article, place, `store.embedding_hash` and passage out of what `passage_body` made."""
    article, place, embedding, text, headings, paragraph, line, start, end, sentences, page = json.loads(body)
    inner, outer = sentence_spans(b64decode(sentences))
    return (
        article,
        place,
        bytes.fromhex(embedding),
        Passage(text, tuple(headings), paragraph, line, start, end, inner, outer, page),
    )


def codes_body(kept: Kept) -> str:
    """Codes of words and spans of sentences as text: how many spans, the spans, the codes."""
    spans = np.ascontiguousarray(kept.spans, "<i4").reshape(-1, 2)
    data = len(spans).to_bytes(4, "little") + spans.tobytes() + np.ascontiguousarray(kept.words, np.uint8).tobytes()
    return b64encode(data).decode()


def kept_of(vector: Any, codes: str) -> Kept:
    """What is kept of a passage, out of its vector and what `codes_body` made."""
    data = b64decode(codes)
    n_spans = int.from_bytes(data[:4], "little")
    spans = np.frombuffer(data, "<i4", 2 * n_spans, 4).reshape(-1, 2).astype(np.int32)
    words = np.frombuffer(data, np.uint8, offset=4 + 8 * n_spans).reshape(-1, WIDTH)
    return Kept(np.asarray(vector, np.float32), words, spans)


def file_body(file: FileRow) -> str:
    """A file as text."""
    problems = [(problem.source, problem.reason) for problem in file.problems]
    return _json([file.path, file.source, file.sha256.hex(), problems, file.columns])


def file_of(number: int, body: str) -> FileRow:
    """What `file_body` was given."""
    path, source, digest, problems, columns = json.loads(body)
    return FileRow(number, path, source, bytes.fromhex(digest), [Problem(*problem) for problem in problems], columns)


def value_body(value: Value) -> str:
    """A value as text."""
    return _json([value.key, value.value])


def value_of(number: int, body: str) -> Value:
    """What `value_body` was given."""
    return Value(number, *json.loads(body))
