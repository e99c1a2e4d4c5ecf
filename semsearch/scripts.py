"""Letters of the scripts that put no space between words, where a run of letters is not a word.

Deliberately not here: what is made of them.
"""

from __future__ import annotations

__all__ = ["UNSPACED"]

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u19e0-\u19ff\u2e80-\u2fdf\u3005-\u30ff\u3130-\u318f\u31f0-\u31ff"
    "\u3400-\u9fff\ua960-\ua97f\ua9e0-\ua9ff\uaa60-\uaa7f\uac00-\ud7ff\uf900-\ufaff\U0001aff0-\U0001b16f\U00020000-\U000323af"
)
"""For a character class of a regular expression: Han, kana, Hangul, Thai, Lao, Khmer, Myanmar. Hangul has spaces, but between
phrases."""
