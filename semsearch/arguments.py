"""What users give a search, checked before anything is done with it; pure."""

from __future__ import annotations

import operator
from typing import get_args

from semsearch.errors import InputError
from semsearch.records import Mode

__all__ = ["MAX_K", "check_k", "check_mode", "check_query"]

MAX_K = 10_000
"""Hits that one question may ask for."""


def check_query(query: str) -> str:
    """A question as the encoder gets it.

    :raises InputError: if it is empty.
    """
    if not isinstance(query, str):
        raise InputError(f"the question is {query!r}: give a string")
    cleaned = query.encode("utf-8", "replace").decode("utf-8").replace("\0", " ").strip()
    if not cleaned:
        raise InputError("the question is empty: give a few words")
    return cleaned


def check_k(k: int, name: str = "k") -> int:
    """A number of hits that makes sense, as an int of Python's own.

    :raises InputError: if it is not in 1..10,000.
    """
    try:
        number = operator.index(k)
    except TypeError:
        number = 0
    if not 1 <= number <= MAX_K:
        raise InputError(f"{name} is {k!r}: give a whole number from 1 to {MAX_K:,}")
    return number


def check_mode(mode: str) -> None:
    """Refuse a way of ranking that there is not.

    :raises InputError: if it is none of `Mode`.
    """
    if mode not in get_args(Mode):
        raise InputError(f"no mode {mode!r}: use {' or '.join(map(repr, get_args(Mode)))}")
