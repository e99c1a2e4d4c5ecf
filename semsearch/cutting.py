"""How the articles of an index are cut, as the index remembers it; pure.

Deliberately not here: the cutting itself (`passages.cut`, `passages.whole`).
"""

from __future__ import annotations

from typing import NamedTuple

from semsearch.errors import InputError

__all__ = ["LEAST_TOKENS", "Cutting", "check_passage_tokens"]

LEAST_TOKENS = 16
"""Fewer tokens are not a sentence, and a quarter of them may go to title and headings."""
_WHOLE = "whole"


class Cutting(NamedTuple):
    """Articles cut by a version of the rules: ``whole`` as one passage each, else into passages of ``tokens`` at most.

    ``tokens`` is None for as many as the model takes.
    """

    version: str
    whole: bool = False
    tokens: int | None = None

    @classmethod
    def parse(cls, stored: str) -> Cutting:
        """What `__str__` gave; of a later kind, or of none, no more than its version."""
        version, _, rest = stored.partition(" ")
        if rest == _WHOLE:
            return cls(version, whole=True)
        return cls(version, tokens=int(rest)) if rest.isascii() and rest.isdigit() else cls(version)

    def __str__(self) -> str:
        """As it stands among the facts of an index."""
        return f"{self.version} {_WHOLE}" if self.whole else f"{self.version} {self.tokens}" if self.tokens else self.version

    def limit(self, passage_tokens: int) -> int:
        """Tokens of a passage at most, for a model that takes ``passage_tokens``."""
        return min(self.tokens or passage_tokens, passage_tokens)


def check_passage_tokens(tokens: int, most: int | None = None) -> None:
    """Refuse passages that are too short to say anything, or longer than the model takes.

    :param most: what the model takes, where that is known.
    :raises InputError: if they are.
    """
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < LEAST_TOKENS:
        raise InputError(f"passage_tokens is {tokens!r}: give a whole number from {LEAST_TOKENS} on")
    if most is not None and tokens > most:
        raise InputError(f"passage_tokens is {tokens}, more than the {most} that the model takes: give {most} or fewer")
