"""Questions read in the languages that an index has.

Deliberately not here: what is looked for (`question`), and where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from semsearch.lexical import question
from semsearch.lexical.analysis import Analyzer
from semsearch.lexical.question import Question

__all__ = ["Reading"]

_QUESTIONS = 32
"""Questions whose words are remembered: a search needs them 3 times, one by words alone once more for each hit."""


class Reading:
    """Reads questions. Threads may share it.

    :param languages: how many passages are in each language.
    """

    def __init__(self, languages: Mapping[str, int]) -> None:
        self._analyzers = {language: Analyzer(language) for language in sorted(languages)} or {"": Analyzer("")}

        @lru_cache(maxsize=_QUESTIONS)
        def read(query: str) -> Question:
            return question.read(query, languages, self._analyzers)

        self.question = read
        """A question's words and phrases: `question.read`."""

    def terms(self, word: str) -> set[str]:
        """What one of `words` may read in the index, in whichever language."""
        return {analyzer.term(word) for analyzer in self._analyzers.values()}

    def overlap(self, query: str, texts: Sequence[str], idf: Callable[[str], float]) -> NDArray[np.float32]:
        """How much of a question each text has, by the ``idf`` of the words they share: float32 (len(texts),)."""
        asked = [(set(word.terms), idf(word.text)) for word in self.question(query).words]
        found = []
        for text in texts:
            terms = {term for analyzer in self._analyzers.values() for term in analyzer.terms(text)}
            found.append(sum(rarity for ways, rarity in asked if ways & terms))
        return np.asarray(found, np.float32)
