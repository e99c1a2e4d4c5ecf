"""Rows by the words they have: BM25 over title, headings and text; the one door to tantivy and py3langid.

In: passages, each under its row, with the language it is written in. Out: rows and scores for a question, which is any
text: its words, any of which may match, and its quoted parts, which must match word behind word. Invariants: a question
finds what it says whichever languages the index has; the same passages give the same scores, in whatever order and in how
many steps they came, as long as nothing was deleted; equal scores come in order of their rows.

Deliberately not here: texts to show, which row is which passage, transactions. And compounds are not taken apart:
``Verfassungsgericht`` does not find ``Bundesverfassungsgericht`` (the dense arm may); that takes a dictionary for each of the
languages that write them in one word.
"""

from __future__ import annotations

from semsearch.lexical.analysis import VERSION, Analyzer, words
from semsearch.lexical.facts import Facts, is_lexical_file
from semsearch.lexical.languages import languages
from semsearch.lexical.question import Boosts, Question, Word, idf
from semsearch.lexical.reading import Reading
from semsearch.lexical.search import Lexical
from semsearch.lexical.writer import LexicalWriter

__all__ = [
    "VERSION",
    "Analyzer",
    "Boosts",
    "Facts",
    "Lexical",
    "LexicalWriter",
    "Question",
    "Reading",
    "Word",
    "idf",
    "is_lexical_file",
    "languages",
    "words",
]
