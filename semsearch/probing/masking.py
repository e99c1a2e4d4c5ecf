"""Articles without what would give a probe away: its title, its heading, its sentence.

In: articles, and probes of one kind. Out: the same articles, with the same places, less those words. What is masked is told by
its place in the source, so that it is the same whichever way articles are cut into passages.

Pure. Deliberately not here: choosing probes (`probes`), encoding what is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from semsearch.passages import n_words
from semsearch.probing.probes import Place, Probe, plain
from semsearch.records import Passage, Sentence
from semsearch.store import ArticleText

__all__ = ["masked", "without"]

_LEFT_WORDS = 3
"""A passage of which fewer words are left is left out."""
_QUOTED_WORDS = 4
"""A title of so many words is taken out of the text wherever it stands there; a shorter one only where little else is said."""
_LITTLE_ELSE = 2
_BEHIND = r"[\s.:;,)\]\-–—]*"


def masked(articles: Sequence[ArticleText], probes: Iterable[Probe]) -> list[ArticleText]:
    """The articles in their order, without the words of the probes."""
    by_source: dict[str, list[Probe]] = {}
    for probe in probes:
        for source in {place.source for place in probe.places}:
            by_source.setdefault(source, []).append(probe)
    return [_masked(article, by_source[article.source]) if article.source in by_source else article for article in articles]


def _masked(article: ArticleText, probes: Sequence[Probe]) -> ArticleText:
    for probe in probes:
        if probe.kind == "sentence":
            assert probe.masked is not None
            passages = [_without_place(passage, probe.masked) for passage in article.passages]
        else:
            passages = [_without_name(passage, probe) for passage in article.passages]
        title = "" if probe.kind == "title" else article.title
        article = article._replace(title=title, passages=tuple(passage for passage in passages if passage is not None))
    return article


def _without_place(passage: Passage, place: Place) -> Passage | None:
    """Without the sentences that stand at a place of the source, or parts of it where it was cut."""
    spans = [
        (left, right)
        for (left, right), (start, end) in zip(passage.sentences, passage.sentence_spans, strict=True)
        if place.start <= start and end <= place.end
    ]
    return without(passage, spans) if spans else passage


def _without_name(passage: Passage, probe: Probe) -> Passage | None:
    """Without a title or a heading: among the headings, and where the text repeats it."""
    if probe.kind == "heading" and not probe.answered_by(probe.places[0].source, passage.start, passage.end):
        return passage
    name = plain(probe.text)
    kept = tuple(heading for heading in passage.headings if plain(heading) != name)
    if kept != passage.headings:
        passage = replace(passage, headings=kept)
    spans = list(_repeated(passage, name))
    return without(passage, spans) if spans else passage


def _repeated(passage: Passage, name: str) -> Iterator[tuple[int, int]]:
    words = name.split()
    if not words:
        return
    spelled = r"[\W_]+".join(map(re.escape, words))
    pattern = re.compile(rf"\b{spelled}\b{_BEHIND}", re.IGNORECASE)
    if len(words) >= _QUOTED_WORDS:
        yield from (match.span() for match in pattern.finditer(passage.text))
        return
    for left, right in passage.sentences:
        said = passage.text[left:right]
        if pattern.search(said) and len(plain(said).split()) <= len(words) + _LITTLE_ELSE:
            yield left, right


def without(passage: Passage, spans: Sequence[tuple[int, int]]) -> Passage | None:
    """A passage less some spans of its text, and the white space behind them; None if hardly anything is left.

    Its place and the places of the sentences that are left stay what they were.
    """
    text = passage.text
    gone = bytearray(len(text))
    for start, end in spans:
        while end < len(text) and text[end].isspace():
            end += 1
        gone[start:end] = b"\1" * (end - start)
    kept = "".join(letter for letter, out in zip(text, gone, strict=True) if not out).rstrip()
    if n_words(kept) < _LEFT_WORDS:
        return None
    moved = [0]
    for out in gone:
        moved.append(moved[-1] + (not out))
    sentences: list[Sentence] = []
    places: list[tuple[int, int]] = []
    for (start, end), place in zip(passage.sentences, passage.sentence_spans, strict=True):
        left, right = moved[start], moved[end]
        said = kept[left:right]
        left, right = left + len(said) - len(said.lstrip()), left + len(said.rstrip())
        if left < right:
            sentences.append(Sentence(left, right))
            places.append(place)
    return replace(passage, text=kept, sentences=tuple(sentences), sentence_spans=tuple(places))
