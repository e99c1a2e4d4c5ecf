"""What `diff` compares: an open index, or the answers that one gave before, out of a file.

A file of answers outlives the semsearch that gave them: what an upgrade changes can be told only from it, for two indexes are
asked by the same semsearch, whichever wrote them.

Deliberately not here: comparing (`differences`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from semsearch._version import __version__
from semsearch.cutting import Cutting
from semsearch.errors import InputError
from semsearch.index import Index
from semsearch.probing import scratch
from semsearch.probing.values import State
from semsearch.protocols import Progress
from semsearch.records import Highlight, Hit, Mode
from semsearch.render import safe_json
from semsearch.results import Results

if TYPE_CHECKING:
    from semsearch.engines import View

__all__ = ["CUT", "IndexSide", "Made", "SavedSide", "Side", "is_saved", "plain"]

CUT = ("tokens of a passage", "rules of cutting")
"""Names of the settings by which the same articles have other passages."""
_FORMAT = "semsearch answers 1"
_AT_ONCE = 64
_PREFIX = 8
"""Bytes of a text's hash that a file has: enough to tell whether a text was there."""


class Made(NamedTuple):
    """What an index was made with, and what asked it: name and value of all that decides the model, of the settings, versions."""

    model: Mapping[str, str]
    settings: Mapping[str, str]
    version: Mapping[str, str]


class Side(Protocol):
    """One of the two that are compared.

    ``texts`` are the prefixes of the hashes of all texts with their context, in hex; ``articles`` the names by which the file of
    each source is known.
    """

    made: Made
    texts: set[str]
    articles: Mapping[str, str]

    def answers(self, asked: Mapping[str, str], k: int, mode: Mode, progress: Progress | None) -> Sequence[Results]:
        """The first k hits of each question."""
        ...

    def state(self, hit: Hit, source: str, own: Side) -> State:
        """What it has of a hit of the other's, whose article it has under this source, though not among its own hits."""
        ...

    def text_hash(self, hit: Hit) -> str | None:
        """The prefix of the hash of a hit of its own; None where it cannot tell."""
        ...


class IndexSide:
    """An open index."""

    def __init__(self, reader: View, index: Index) -> None:
        self._reader = reader
        self._index = index
        fingerprint = {name: str(value) for name, value in asdict(reader.fingerprint).items() if name != "quantized"}
        model = {**fingerprint, **{name: fingerprint[name][:12] for name in ("weights", "tokenizer", "config")}}
        self.made = Made(
            model, _settings(reader), {"written by semsearch": reader.meta.get("version", ""), "asked by": __version__}
        )
        self.texts = {embedding[:_PREFIX].hex() for embedding in reader.hashes()}
        files = {file.id: file for file in reader.files()}
        self._numbers = {}
        names = {}
        for article in reader.sized_articles():
            file = files[article.file]
            self._numbers[article.source] = article.id
            names[article.source] = file.path + article.source.removeprefix(file.source)
        self.articles: Mapping[str, str] = names
        self._known: dict[str, tuple[dict[str, str], str]] = {}

    def answers(self, asked: Mapping[str, str], k: int, mode: Mode, progress: Progress | None) -> list[Results]:
        """The first k hits of each question."""
        texts = list(asked.values())
        found: list[Results] = []
        for first in range(0, len(texts), _AT_ONCE):
            if progress:
                progress("searching", first, len(texts))
            found += self._index.search_many(texts[first : first + _AT_ONCE], k, mode=mode)
        if progress:
            progress("searching", len(texts), len(texts))
        return found

    def state(self, hit: Hit, source: str, own: Side) -> State:  # noqa: ARG002 (a file of answers asks it)
        """What it has of a hit of the other's."""
        texts, joined = self._article(source)
        if hit.text in texts:
            return "ranked lower"
        return "cut otherwise" if _bare(hit.text) in joined else "changed"

    def text_hash(self, hit: Hit) -> str | None:
        """The prefix of the hash of a hit of its own."""
        return self._article(hit.source)[0].get(hit.text)

    def _article(self, source: str) -> tuple[dict[str, str], str]:
        """The texts of an article's passages with their hashes, and all of it without white space."""
        if source not in self._known:
            (article,) = self._reader.article_texts([self._numbers[source]])
            hashes = {each.text: scratch.hash_of(article.title, each)[:_PREFIX].hex() for each in article.passages}
            self._known[source] = hashes, _bare("".join(each.text for each in article.passages))
        return self._known[source]

    def saved(self, asked: Mapping[str, str], answers: Sequence[Results], k: int, mode: Mode) -> str:
        """Its answers as a file that `SavedSide` reads."""
        document = {
            "format": _FORMAT,
            "made": self.made._asdict(),
            "k": k,
            "mode": mode,
            "questions": [
                {
                    "id": query,
                    "text": text,
                    "answerable": results.answerable,
                    "hits": [{**{name: getattr(hit, name) for name in _KEPT}, "heading": hit.heading} for hit in results],
                }
                for (query, text), results in zip(asked.items(), answers, strict=True)
            ],
            "articles": dict(self.articles),
            "texts": sorted(self.texts),
        }
        return safe_json(json.dumps(document, ensure_ascii=False)) + "\n"


_KEPT = ("rank", "text", "title", "source", "start", "end", "line", "paragraph", "path")


class SavedSide:
    """Answers out of a file that `IndexSide.saved` gave.

    :raises InputError: if it is none, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["format"] != _FORMAT:
                raise ValueError("another format")
            self.made = Made(*({str(key): str(value) for key, value in found["made"][part].items()} for part in Made._fields))
            self.k, self.mode = int(found["k"]), found["mode"]
            self.questions = {str(each["id"]): str(each["text"]) for each in found["questions"]}
            self._results = {str(each["id"]): _results(each, self.mode) for each in found["questions"]}
            self.articles: Mapping[str, str] = {str(source): str(name) for source, name in found["articles"].items()}
            self.texts = set(map(str, found["texts"]))
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror or error}): check the path") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{path} is no file of answers: write one with semsearch diff A B --queries FILE --save {path}"
            ) from error

    def answers(self, asked: Mapping[str, str], k: int, mode: Mode, progress: Progress | None) -> list[Results]:  # noqa: ARG002
        """The hits that it has of each question."""
        return [self._results[query] for query in asked]

    def state(self, hit: Hit, source: str, own: Side) -> State:  # noqa: ARG002 (an index asks it)
        """What it had of a hit of the other's, by the hash of its text."""
        return "ranked lower" if own.text_hash(hit) in self.texts else "changed"

    def text_hash(self, hit: Hit) -> str | None:  # noqa: ARG002
        """None: texts are known by their hashes alone."""
        return None


def is_saved(path: Path) -> bool:
    """Whether a path is that of a file of answers, and not of an index."""
    return path.is_file()


def plain(text: str) -> str:
    """A text on one line."""
    return " ".join(text.split())


def _bare(text: str) -> str:
    return "".join(text.split())


def _results(saved: Mapping[str, Any], mode: Mode) -> Results:
    hits = [
        Hit(
            **{name: each[name] for name in _KEPT},
            score=0.0,
            heading=each["heading"],
            highlight=Highlight(each["start"], each["start"], ""),
            scores={},
            metadata={},
        )
        for each in saved["hits"]
    ]
    return Results(str(saved["text"]), mode, 0.0, bool(saved["answerable"]), tuple(hits))


def _settings(reader: View) -> dict[str, str]:
    meta = reader.meta
    cutting = Cutting.parse(meta.get("passages", ""))
    return {
        "codes of words": meta.get("codes", "yes"),
        "precision": meta.get("precision", "float"),
        "network in 8 bits": reader.fingerprint.quantized[:12],
        "engine": meta.get("engine", ""),
        "target recall": meta.get("target_recall", ""),
        "measured recall": meta.get("recall") or "exact",
        CUT[0]: "whole articles" if cutting.whole else str(cutting.tokens or "what the model takes"),
        CUT[1]: cutting.version,
    }
