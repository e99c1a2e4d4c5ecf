"""Data sets: folders in BEIR format, TREC judgments with a file of queries, names of ir_datasets.

Out: a `Dataset` of the queries that have a positive judgment. Grades are kept as they are.

Deliberately not here: lists of questions with their answers (`pairs`), which need an index to be understood.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semsearch.errors import InputError, MissingExtra
from semsearch.evaluation.trec import Grades, numbered_lines, read_judgments
from semsearch.evaluation.values import Shown

__all__ = ["IR_DATASETS", "Dataset", "beir", "from_ir_datasets", "ids_of", "judged", "questions", "shown", "texts_of", "trec"]

logger = logging.getLogger("semsearch")

IR_DATASETS = "ir_datasets:"
"""What the name of an ir_datasets data set begins with."""
_JSON_LINES = (".jsonl", ".ndjson")
SHOWN_CHARACTERS = 240
"""Of a document's text, to recognise it by."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Queries and their judgments.

    ``corpus`` is a JSONL file to make an index of; None where there is an index already. ``by_passage`` are the queries whose
    judgments are of passages, not of whole documents.
    """

    name: str
    queries: Mapping[str, str]
    judgments: Mapping[str, Mapping[str, int]]
    corpus: Path | None = None
    by_passage: frozenset[str] = field(default=frozenset())


def beir(folder: Path, split: str) -> Dataset:
    """A folder in BEIR format: ``corpus.jsonl``, ``queries.jsonl``, ``qrels/SPLIT.tsv``.

    :raises InputError: if one of them is missing or is not what it should be.
    """
    corpus, judgments = folder / "corpus.jsonl", folder / "qrels" / f"{split}.tsv"
    if not judgments.is_file():
        there = sorted(path.stem for path in (folder / "qrels").glob("*.tsv"))
        hint = f"give --split {' or '.join(there)}" if there else "a data set is a folder in BEIR format"
        raise InputError(f"no judgments in {judgments}: {hint}")
    if not corpus.is_file():
        raise InputError(f"no {corpus}: a folder in BEIR format has corpus.jsonl, queries.jsonl and qrels/{split}.tsv")
    first = next(_objects(corpus), (0, {}))[1]
    if "_id" not in first:
        raise InputError(f"{corpus} line 1: no '_id' key, which the judgments name documents by: add it to each line")
    queries = _queries(folder / "queries.jsonl")
    name = folder.resolve().name
    return judged(Dataset(name, queries, read_judgments(judgments), corpus))


def trec(judgments: Path, queries: Path) -> Dataset:
    """TREC judgments with a file of queries: ``id<TAB>text`` a line, or BEIR's ``queries.jsonl``.

    :raises InputError: if one of them is not what it should be.
    """
    return judged(Dataset(judgments.stem, _queries(queries), read_judgments(judgments)))


def from_ir_datasets(name: str, folder: Path) -> Dataset:
    """A data set of ir_datasets, which may download it; its documents are written to ``folder`` once.

    :raises MissingExtra: if ir-datasets is not installed.
    :raises InputError: if it has no data set by that name, or one without queries, judgments or texts.
    """
    try:
        import ir_datasets
    except ImportError as error:
        raise MissingExtra('ir_datasets: names need ir-datasets: python -m pip install "semsearch[eval]"') from error
    try:
        loaded = ir_datasets.load(name)
    except KeyError as error:
        raise InputError(f"ir_datasets has no {name!r}: see ir-datasets.com for the names") from error
    if not (loaded.has_docs() and loaded.has_queries() and loaded.has_qrels()):
        raise InputError(f"ir_datasets {name!r} lacks documents, queries or judgments: name a part that has them, such as /test")
    judgments: Grades = {}
    for qrel in loaded.qrels_iter():
        judgments.setdefault(qrel.query_id, {})[qrel.doc_id] = int(qrel.relevance)
    queries = {query.query_id: _text(query) for query in loaded.queries_iter()}
    corpus = folder / "corpus.jsonl"
    if not corpus.is_file():
        try:
            _write_corpus(corpus, loaded.docs_iter())
        except OSError as error:
            raise InputError(f"{folder} cannot be written ({error.strerror or error}): set SEMSEARCH_CACHE to another") from error
    return judged(Dataset(f"{IR_DATASETS}{name}", queries, judgments, corpus))


def _write_corpus(corpus: Path, documents: Iterable[Any]) -> None:
    """Write the documents beside the file and rename it, so that one that is there is whole."""
    corpus.parent.mkdir(parents=True, exist_ok=True)
    unfinished = corpus.with_suffix(".part")
    with unfinished.open("w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            file.write(json.dumps(_record(document), ensure_ascii=False) + "\n")
    unfinished.replace(corpus)


def _record(document: Any) -> dict[str, str]:
    title = str(getattr(document, "title", "") or "")
    text = str(document.text) if hasattr(document, "text") else _text(document)
    return {"_id": document.doc_id, "title": title, "text": text}


def _text(item: Any) -> str:
    return str(item.default_text()) if hasattr(item, "default_text") else str(item.text)


def judged(dataset: Dataset) -> Dataset:
    """The data set with only the queries that have both a text and a positive judgment, in the order of their texts.

    :raises InputError: if that is none, or one of them has an empty text.
    """
    positive = {query for query, grades in dataset.judgments.items() if any(grade > 0 for grade in grades.values())}
    without = sorted(positive - dataset.queries.keys())
    chosen = {query: text for query, text in dataset.queries.items() if query in positive}
    if not chosen:
        raise InputError(f"no query of {dataset.name} has a text and a positive judgment: check that both use the same ids")
    if without:
        logger.warning("%d judged queries have no text and are left out (%s)", len(without), without[0])
    for query, text in chosen.items():
        if not text.strip():
            raise InputError(f"query {query!r} of {dataset.name} is empty: give it a text, or take its judgments out")
    judgments = {query: dict(dataset.judgments[query]) for query in chosen}
    return Dataset(dataset.name, chosen, judgments, dataset.corpus, dataset.by_passage)


def questions(path: Path) -> dict[str, str]:
    """Questions without judgments by their ids: BEIR's ``queries.jsonl``, lines of an id, a tab and the question, or plain lines.

    What stands in a plain line has the number of the line as its id.

    :raises InputError: if it cannot be read, has no questions, or lines of both kinds.
    """
    lines = [] if path.suffix in _JSON_LINES else list(numbered_lines(path))
    plain = lines and not any("\t" in line for _, line in lines)
    found = {str(number): line.strip() for number, line in lines} if plain else _queries(path)
    if not found:
        raise InputError(f"{path} has no questions: write one on each line")
    for query, text in found.items():
        if not text.strip():
            raise InputError(f"{path}: query {query!r} is empty: give it a text")
    return found


def _queries(path: Path) -> dict[str, str]:
    """Texts by id, from JSONL or from two columns.

    :raises InputError: if a line is neither, or an id comes twice with different texts.
    """
    found: dict[str, str] = {}
    for number, query, text in _jsonl_queries(path) if path.suffix in _JSON_LINES else _tsv_queries(path):
        if found.setdefault(query, text) != text:
            raise InputError(f"{path} line {number}: query {query!r} comes twice: keep one line")
    return found


def _jsonl_queries(path: Path) -> Iterator[tuple[int, str, str]]:
    for number, item in _objects(path):
        query = item.get("_id", item.get("id"))
        text = item.get("text")
        if not isinstance(query, str | int) or not isinstance(text, str):
            raise InputError(f"{path} line {number}: give '_id' and 'text' as strings")
        yield number, str(query), text


def _tsv_queries(path: Path) -> Iterator[tuple[int, str, str]]:
    for number, line in numbered_lines(path):
        query, tab, text = line.partition("\t")
        if not tab:
            raise InputError(f"{path} line {number}: give an id, a tab and the question")
        yield number, query.strip(), text.strip()


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, a line each, one at a time: a corpus may be large.

    :raises InputError: if it cannot be read, or a line is none.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                item = json.loads(line)
                if not isinstance(item, dict):
                    raise InputError(f"{path} line {number}: not a JSON object: write one on each line")
                yield number, item
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): check the path") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path} line {number}: not JSON ({error.msg}): write one object on each line") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: convert it") from error


def shown(title: str, text: str) -> Shown:
    """What a document is recognised by."""
    return Shown(title, text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS].rsplit(None, 1)[0] + " …")


def ids_of(corpus: Path) -> Iterator[str]:
    """The ids of a corpus's documents, one at a time."""
    return (str(item.get("_id")) for _, item in _objects(corpus))


def texts_of(corpus: Path, documents: Iterable[str]) -> dict[str, Shown]:
    """What some documents of a corpus are recognised by."""
    wanted = set(documents)
    found: dict[str, Shown] = {}
    for _, item in _objects(corpus) if wanted else ():
        if str(item.get("_id")) in wanted:
            found[str(item["_id"])] = shown(str(item.get("title") or ""), str(item.get("text") or ""))
    return found
