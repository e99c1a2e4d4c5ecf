"""Which language a text is written in, among those whose words can be stemmed: the one door to py3langid.

Deliberately not here: what is done with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from semsearch.lexical.analysis import STEMMERS

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

__all__ = ["languages"]

_LONG = 100
"""Characters from which a passage is believed to tell its own language: cut to 60 to 100 characters, four times as many were
taken for another."""
_READ = 200
"""Characters that are looked at, in 0.08 ms: by these, all of 500 abstracts and of 480 German and Spanish passages were told."""
_READ_OF_ARTICLE = 1000
_SURE = 0.8
"""Probability from which the answer is believed: of 8,000 English passages of 100 to 200 characters, 16 were taken for others
with as much, and 87 with more than 0.5."""
_ENGLISH = frozenset(
    ["and", "are", "by", "for", "from", "is", "its", "of", "that", "their", "these", "this", "to", "were", "which", "with"]
)
_ENOUGH = 2
"""With "the", so many of these are English: of 480 German and Spanish passages none had them, of 6,887 English ones two thirds,
among them 79 with etymologies and code that py3langid was not sure of, and none that it took for another language."""
_ASCII_WORD = re.compile(r"[a-z]+")
_NAMES = {"nb": "no", "nn": "no", "ary": "ar", "arz": "ar"}
"""What counts as another language here, for its words are stemmed alike."""


def languages(title: str, texts: Sequence[str], declared: object = None) -> list[str]:
    """The language of each passage of an article: a key of `STEMMERS`, or "" for a language without a stemmer.

    A passage that is long and clear enough says it itself. All others have the article's: the one that it declares, else
    that of its text as a whole, else English.

    :param texts: the article's passages.
    :param declared: what the article's metadata say of its language: an ISO 639 code, with or without a region.
    """
    found = [_detected(text[:_READ]) if len(text) >= _LONG else None for text in texts]
    if None not in found:
        return [language for language in found if language is not None]
    default = _declared(declared)
    if default is None:
        default = _detected("\n".join([title, *_first(texts)])[:_READ_OF_ARTICLE])
    if default is None:
        default = "en"
    return [default if language is None else language for language in found]


def _first(texts: Sequence[str]) -> list[str]:
    """So many of the texts as are looked at."""
    chosen, length = [], 0
    for text in texts:
        if length >= _READ_OF_ARTICLE:
            break
        chosen.append(text)
        length += len(text)
    return chosen


def _declared(language: object) -> str | None:
    match = re.match(r"([a-z]{2,3})(?![a-z])", language.strip().lower()) if isinstance(language, str) else None
    return _known(match[1]) if match else None


def _known(code: str) -> str:
    code = _NAMES.get(code, code)
    return code if code in STEMMERS else ""


def _detected(text: str) -> str | None:
    """The language of a text, None where that is not sure."""
    if _is_plain_english(text):
        return "en"
    code, probability = _identifier().classify(text.encode("utf-8", "replace"))
    # "zxx" is no language at all: numbers, code.
    return _known(code) if probability >= _SURE and code != "zxx" else None


def _is_plain_english(text: str) -> bool:
    """Whether it is so clear that it is English that nobody has to be asked, which takes ten times as long."""
    if not text.isascii():
        return False
    words = set(_ASCII_WORD.findall(text.lower()))
    return "the" in words and len(words & _ENGLISH) >= _ENOUGH


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    """The model of py3langid, which comes with it: 0.4 s to load."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
