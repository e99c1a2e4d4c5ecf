"""A question's words and phrases, as the queries of tantivy.

Any text is a question: it is cut into words here and never goes through a query parser.

Deliberately not here: running the queries.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from semsearch.lexical.analysis import Analyzer, words

if TYPE_CHECKING:
    from tantivy import Query, Schema, Searcher

__all__ = ["FIELDS", "Boosts", "Question", "Word", "idf", "most_of_phrase", "most_of_word", "of_phrase", "of_words", "read"]

_Way = TypeVar("_Way")

FIELDS = ("title", "heading", "whole")
"""``whole`` is title, headings and text together."""
STOPPING_SHARE = 0.25
"""The stop words of a language are left out of questions where at least this part of the passages is written in it."""
MAX_WORDS = 1000
"""Different words of a question that are looked up, the first ones: each costs a look into the index for every field, and more
than a model reads of a question. The longest question of thirteen test collections has 58."""
MAX_PHRASES = 32
"""Phrases of a question that must be found, the first ones; the words of further ones count as words."""
MAX_PHRASE = 1000
"""Words that a phrase may have; no passage has more."""
_CAPITALS = re.compile(r"\b[A-Z]{2,}\b")
_QUOTED = re.compile(r'"([^"]+)"|[“”„]([^“”„]+)[“”]|«([^«»]+)»|»([^«»]+)«')


@dataclass(frozen=True, slots=True)
class Boosts:
    """What the BM25 score of each field counts; a field of 0 is not searched.

    Mean nDCG@10 over nine collections that have titles and no headings: 56.6 by the whole alone, 57.1 with titles at 0.25,
    56.5 at 0.5; 54.4 by title and text added up as equals.
    """

    title: float = 0.25
    heading: float = 0.25
    whole: float = 1.0

    def fields(self) -> list[tuple[str, float]]:
        """The fields that are searched, with their factors."""
        return [(name, value) for name in FIELDS if (value := float(getattr(self, name))) > 0]


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a question: ``terms`` are what it may read in the index, one of each way its languages stem it."""

    text: str
    terms: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for: words, any of which may match, and quoted phrases, each as its ways to read (lists of terms)."""

    words: tuple[Word, ...]
    phrases: tuple[tuple[tuple[str, ...], ...], ...]


def read(text: str, languages: Mapping[str, int], analyzers: Mapping[str, Analyzer]) -> Question:
    """The words and phrases of any text.

    A text's words count as often as they occur; words too common to tell passages apart are left out, unless there are no
    others. Parts in quotation marks (straight or typographic) are phrases, and their words count as words, too. Of a text that is
    too long to be a question, the first `MAX_WORDS` different words and the first `MAX_PHRASES` phrases count.

    :param languages: how many passages are in each language.
    :param analyzers: of each of these languages.
    """
    counts = Counter(words(text))
    # WHO is not who.
    names = set() if text.isupper() else {name.lower() for name in _CAPITALS.findall(text)}
    main = [analyzers[language] for language, number in languages.items() if number >= STOPPING_SHARE * sum(languages.values())]
    telling = {
        word: count for word, count in counts.items() if word in names or not any(analyzer.stops(word) for analyzer in main)
    }
    found = tuple(
        Word(word, _distinct(analyzer.term(word) for analyzer in analyzers.values()), count)
        for word, count in islice((telling or counts).items(), MAX_WORDS)
    )
    quoted = dict.fromkeys("".join(found.groups("")) for found in _QUOTED.finditer(text))
    read = (_distinct(tuple(analyzer.terms(part)) for analyzer in analyzers.values()) for part in quoted)
    phrases = (phrase for phrase in read if phrase and 0 < len(phrase[0]) <= MAX_PHRASE)
    return Question(found, tuple(islice(phrases, MAX_PHRASES)))


def _distinct(ways: Iterable[_Way]) -> tuple[_Way, ...]:
    return tuple(dict.fromkeys(ways))


def of_words(searcher: Searcher, schema: Schema, chosen: Sequence[Word], boosts: Boosts) -> Query:
    """Any of the words in any field: the score is the sum over words and fields, of a word's terms the best."""
    from tantivy import Occur, Query

    # Flat, and of plain terms wherever it can be: tantivy skips what cannot reach the top only in such queries.
    parts: list[tuple[Occur, Query]] = []
    for word in chosen:
        for field, boost in boosts.fields():
            terms = [
                _boosted(Query.term_query(schema, field, term, index_option="freq"), boost * word.count * factor)
                for term, factor in _weighed(searcher, field, word.terms)
            ]
            if terms:
                parts.append((Occur.Should, terms[0] if len(terms) == 1 else Query.disjunction_max_query(terms)))
    return Query.boolean_query(parts)


def _weighed(searcher: Searcher, field: str, terms: Sequence[str]) -> list[tuple[str, float]]:
    """Those of a word's terms that the field has, with factors by which each is held to be as common as all together.

    Else the term of a language with few passages would pass for a rare and telling word (Lucene's SynonymQuery does the
    same): on 11,000 English passages of which ten were taken for others, it cost 0.8 of 43.3 nDCG@10.
    """
    if len(terms) == 1:
        return [(terms[0], 1.0)]
    found = [(term, df) for term in terms if (df := searcher.doc_freq(field, term))]
    together = idf(searcher.num_docs, sum(df for _, df in found))
    return [(term, together / idf(searcher.num_docs, df)) for term, df in found]


def idf(documents: int, df: int) -> float:
    """How rare a term is that ``df`` of ``documents`` rows have."""
    df = min(documents, df)
    return math.log(1 + (documents - df + 0.5) / (df + 0.5))


def _boosted(query: Query, boost: float) -> Query:
    from tantivy import Query

    return query if boost == 1 else Query.boost_query(query, boost)


def of_phrase(schema: Schema, phrase: Sequence[Sequence[str]], boosts: Boosts) -> Query:
    """A phrase, word behind word, in any field: the score is the sum over fields, of its ways to read the best.

    Tantivy takes a phrase for one term, whose ``idf`` is the sum of those of its terms.
    """
    from tantivy import Occur, Query

    parts: list[tuple[Occur, Query]] = []
    for field, boost in boosts.fields():
        ways = [
            Query.phrase_query(schema, field, list(terms))
            if len(terms) > 1
            else Query.term_query(schema, field, terms[0], index_option="freq")
            for terms in phrase
        ]
        parts.append((Occur.Should, _boosted(ways[0] if len(ways) == 1 else Query.disjunction_max_query(ways), boost)))
    return Query.boolean_query(parts)


def most_of_word(searcher: Searcher, documents: int, word: Word, boosts: Boosts) -> float:
    """What a row that says a word over and over comes near to in `of_words`, but for the factor ``k1 + 1``.

    :param documents: rows that the frequencies count, deleted ones among them.
    """
    return word.count * sum(
        boost
        * max(
            (
                factor * idf(documents, df)
                for term, factor in _weighed(searcher, field, word.terms)
                if (df := searcher.doc_freq(field, term))
            ),
            default=0.0,
        )
        for field, boost in boosts.fields()
    )


def most_of_phrase(searcher: Searcher, documents: int, phrase: Sequence[Sequence[str]], boosts: Boosts) -> float:
    """The same of a phrase in `of_phrase`."""

    def most(field: str, terms: Sequence[str]) -> float:
        dfs = [searcher.doc_freq(field, term) for term in terms]
        return sum(idf(documents, df) for df in dfs) if all(dfs) else 0.0

    return sum(boost * max(most(field, terms) for terms in phrase) for field, boost in boosts.fields())
