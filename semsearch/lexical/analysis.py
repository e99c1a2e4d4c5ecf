"""Text to terms, for passages and questions alike: what is one word, and which words count as the same.

In: any text, and the language it is written in. Out: terms. Invariants: a term has no white space; what a passage says in
its own language is found by the same words of a question, whichever languages the index has.

- Unicode NFKC and lower case; points and vowel signs that readers leave out (Hebrew, Arabic), tatweel and other invisible
  letters go; the forms of alef, yeh and kaf are one (Lucene's ArabicNormalizer and PersianNormalizer), so are ё and е, and the
  digits of all scripts.
- A word is a run of letters, digits and their combining marks, so ``S-300`` is two words and a question for ``S 300``
  finds it. Kept together: ``3.5``, ``U.S.`` (as ``us``, the way Lucene's ClassicFilter has it), ``1,000`` (as ``1000``),
  ``C++``, ``C#``. An English ``'s`` goes.
- Scripts that put no space between words give overlapping pairs of letters (the method of Lucene's CJKAnalyzer), each with
  the marks it carries; a letter on its own is a term by itself.
- Snowball's stemmer of the language, where it has one; then accents go, so that ``Muller`` finds ``Müller``.

No word is left out: phrases need them all. `STOPPED` is for questions only.

Deliberately not here: which language a text has (`languages`), looking anything up.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from semsearch.scripts import UNSPACED

if TYPE_CHECKING:
    from tantivy import TextAnalyzer

__all__ = ["STEMMERS", "STOPPED", "VERSION", "Analyzer", "words"]

VERSION = 2
"""Raised when the same text gives other terms: the lexical side of an index is then built anew when it is refreshed."""

STEMMERS = {
    "ar": "arabic",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
}
"""Languages, by ISO 639-1 code, that words are stemmed in; every other one is written "" and not stemmed."""

STOPPED = frozenset({"da", "de", "en", "es", "fi", "fr", "hu", "it", "nl", "no", "pt", "ru", "sv"})
"""Those of them that tantivy has a list of stop words for."""

_ENGLISH = [
    "i", "me", "my", "we", "our", "you", "your", "he", "him", "his", "she", "her", "it", "its", "they", "them", "their", "who",
    "whom", "whose", "what", "which", "this", "that", "these", "those", "there", "then", "where", "when", "why", "how", "a",
    "an", "the", "and", "but", "if", "or", "as", "of", "at", "by", "for", "with", "about", "into", "to", "from", "in", "on",
    "not", "no", "so", "such", "than", "is", "are", "am", "was", "were", "be", "been", "being", "have", "has", "had", "do",
    "does", "did", "would", "should", "could", "can", "will", "any",
]  # fmt: skip
"""Stop words of English that questions are made of, too: with them mean nDCG@10 over nine collections is 57.1, with the 33 that
tantivy and Lucene have 56.6, with the 127 of NLTK 57.0. Not ``us``, which may be ``U.S.``"""

_LONGEST = 255
"""Bytes that a term has at most, less one; what is longer is no word."""
_LONGEST_RUN = 2**16
"""The same of a run of letters before it is cut into pairs: where no spaces stand between words, a whole phrase is one run."""
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー"
_LETTERS = rf"[[\p{{L}}\p{{N}}\p{{M}}]--[{_UNSPACED}]]+"
_WORD = rf"[{_UNSPACED}]+|\p{{Nd}}+\.\p{{Nd}}+|\b\p{{L}}#|{_LETTERS}(?:\+\+)?"

_ASCII_WORD = re.compile(r"[0-9]+\.[0-9]+|\b[a-z]#|[a-z0-9]+(?:\+\+)?")
"""What `_WORD` finds in a text of ASCII in lower case, in a third of the time."""

# Letters that join those before them: jamo, in all their forms, and the marks of half-width kana.
_PIECE = re.compile(r".{1,1000}(?=\s)|.{1,1000}(?=[^\W\u1160-\u11ff\u3131-\u318e\uff9e-\uffdc])|.{1,1000}", re.DOTALL)
"""A stretch of text that is brought to NFKC at once, since marks in a row, which it sorts, take time by their number squared. It
ends before white space, else before a letter that joins nothing, else, if there are only marks for 1,000 characters, anywhere."""
_INITIAL = re.compile(r"\.\w\.")
_POSSESSIVE = re.compile(r"(?<=\w)['’]s\b")
_ACRONYM = re.compile(r"(?<!\w)(?:[^\W\d_]\.){2,}")
_GROUP = re.compile(r",\d")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_PAIRED = re.compile(f"[{UNSPACED}]")
"""A letter of the scripts that put no space between words; `_UNSPACED` has letters of just these blocks."""


def _spellings() -> dict[int, str | None]:
    """Characters that are left out or stand for another one."""
    table: dict[int, str | None] = {}
    for first, last in (
        (0x00AD, 0x00AD),  # soft hyphen
        (0x0300, 0x036F),  # what NFKC could not join to its letter
        (0x0591, 0x05BD), (0x05BF, 0x05BF), (0x05C1, 0x05C2), (0x05C4, 0x05C5), (0x05C7, 0x05C7),  # Hebrew points
        (0x0640, 0x0640), (0x064B, 0x065F), (0x0670, 0x0670), (0x06D6, 0x06DC),  # Arabic tatweel, vowel signs
        (0x200C, 0x200F), (0x202A, 0x202E), (0x2060, 0x2064), (0x2066, 0x2069), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    ):  # fmt: skip
        table |= dict.fromkeys(range(first, last + 1))
    table |= {ord(letter): "ا" for letter in "آأإٱ"}
    table |= {ord("ё"): "е", ord("ی"): "ي", ord("ې"): "ي", ord("ک"): "ك", ord("ۀ"): "ه", ord("ہ"): "ه"}
    table |= {ord(zero) + digit: str(digit) for zero in "٠۰߀०০੦૦୦௦౦೦൦๐໐༠၀០" for digit in range(10)}
    return table


_SPELLINGS = _spellings()


def _plain(text: str) -> str:
    """A text as words are cut from it: the same text for all ways to write the same thing."""
    text = text.lower()
    if not text.isascii():
        # A lone half of a surrogate pair is nothing that can be found.
        text = _composed(text.encode("utf-8", "replace").decode("utf-8")).translate(_SPELLINGS).lower()
    # Looked for first, in a tenth of the time: most texts have none of these.
    if "'s" in text or "’s" in text:
        text = _POSSESSIVE.sub("", text)
    if _INITIAL.search(text):
        text = _ACRONYM.sub(lambda found: found[0].replace(".", "") + " ", text)
    return _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text) if _GROUP.search(text) else text


def _composed(text: str) -> str:
    """NFKC of a text, in time in proportion to its length."""
    if len(text) <= 1000:
        return unicodedata.normalize("NFKC", text)
    return "".join(unicodedata.normalize("NFKC", piece) for piece in _PIECE.findall(text))


def _pairs(run: str) -> list[str]:
    """Overlapping pairs of a run's letters, each letter with its marks; the run itself if it is one letter."""
    starts = [at for at, character in enumerate(run) if not at or unicodedata.category(character)[0] != "M"]
    letters = [run[start:end] for start, end in pairwise([*starts, len(run)])]
    return [left + right for left, right in pairwise(letters)] or [run]


def _paired(terms: list[str]) -> list[str]:
    """The same terms, those of scripts without spaces replaced by their pairs; what is too long for a term left out."""
    found = [term for run in terms for term in (_pairs(run) if _PAIRED.match(run) else (run,))]
    return [term for term in found if len(term) < _LONGEST // 4 or len(term.encode()) < _LONGEST]


@lru_cache(maxsize=1)
def _cutter() -> TextAnalyzer:
    import tantivy

    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(_WORD)).filter(tantivy.Filter.remove_long(_LONGEST_RUN)).build()


def words(text: str) -> list[str]:
    """The words of a text in order, in lower case and not stemmed; runs of scripts without spaces as their pairs."""
    plain = _plain(text)
    if plain.isascii():
        return [word for word in _ASCII_WORD.findall(plain) if len(word) < _LONGEST]
    return _paired(_cutter().analyze(plain))


class Analyzer:
    """Terms of texts in one language. Threads may share it.

    :param language: a key of `STEMMERS`, or "" for any other language.
    """

    def __init__(self, language: str) -> None:
        import tantivy

        def finished(tokenizer: tantivy.Tokenizer, longest: int = _LONGEST) -> TextAnalyzer:
            builder = tantivy.TextAnalyzerBuilder(tokenizer).filter(tantivy.Filter.remove_long(longest))
            if language in STEMMERS:
                builder = builder.filter(tantivy.Filter.stemmer(STEMMERS[language]))
            return builder.filter(tantivy.Filter.ascii_fold()).build()

        self._of_text = finished(tantivy.Tokenizer.regex(_WORD), _LONGEST_RUN)
        self._of_words = finished(tantivy.Tokenizer.whitespace())
        self._of_word = finished(tantivy.Tokenizer.raw())
        self._unstopped = None
        if language in STOPPED:
            stop = tantivy.Filter.custom_stopword(_ENGLISH) if language == "en" else tantivy.Filter.stopword(STEMMERS[language])
            self._unstopped = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.raw()).filter(stop).build()

    def terms(self, text: str) -> list[str]:
        """The terms of a text, in order."""
        plain = _plain(text)
        if plain.isascii():
            return self._of_words.analyze(" ".join(_ASCII_WORD.findall(plain)))
        return _paired(self._of_text.analyze(plain))

    def term(self, word: str) -> str:
        """The term of one of `words`: what `terms` has in its place."""
        return (self._of_word.analyze(word) or [word])[0]

    def stops(self, word: str) -> bool:
        """Whether one of `words` is too common in the language to tell passages apart."""
        return self._unstopped is not None and not self._unstopped.analyze(word)
