"""What colour each passage on a map has, and what its colour says.

Deliberately not here: drawing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import InputError

__all__ = [
    "ARTICLE",
    "DARK",
    "DARK_SCALE",
    "GROUPS",
    "LIGHT",
    "LIGHT_SCALE",
    "OTHERS",
    "SIMILARITY",
    "Colored",
    "by_article",
    "by_key",
    "by_similarity",
    "palette",
]

ARTICLE, SIMILARITY = "article", "similarity"
GROUPS = 8
"""Groups that have a colour of their own: more cannot be told apart."""
STEPS = 7
_MOST = 1e300
OTHERS = -1
"""The group of what has no colour of its own."""
LIGHT = ("#4269d0", "#e08a00", "#d9482b", "#2f9e8f", "#3ca951", "#d6609a", "#8f4fe0", "#8a5a3c")
"""Of the groups on light ground, told apart as well as eight colours are by those who do not see all of them."""
DARK = ("#7f9cf5", "#f2b13c", "#ff7d5f", "#62cdbb", "#6fd483", "#ff9ccb", "#b991ff", "#c89a78")
LIGHT_SCALE, DARK_SCALE = ("#c3cdda", "#0a3d91"), ("#3d4856", "#8fd0ff")
"""The two ends of the steps: what is low recedes into the ground."""
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?![\d-])", re.ASCII)


class Colored(NamedTuple):
    """The groups of passages.

    ``by``: what they are grouped by. ``groups``: int64 (n,), each passage's place in ``labels``, or `OTHERS`. ``labels``: what
    the groups have in common. ``stepped``: whether the groups are steps of a scale, from low to high. ``others``: what is said of
    those that are in none.
    """

    by: str
    groups: NDArray[np.int64]
    labels: tuple[str, ...]
    stepped: bool
    others: str

    def counts(self) -> list[int]:
        """How many passages each group has, the others last."""
        return [*(int((self.groups == group).sum()) for group in range(len(self.labels))), int((self.groups == OTHERS).sum())]


def palette(colored: Colored, groups: Sequence[str], scale: tuple[str, str]) -> list[str]:
    """The colours of the groups, ``#rrggbb``.

    :param groups: those of groups that are no steps.
    :param scale: the first and the last of steps.
    """
    if not colored.stepped:
        return list(groups[: len(colored.labels)])
    low, high = ([int(end[place : place + 2], 16) for place in (1, 3, 5)] for end in scale)
    shares = [step / (STEPS - 1) for step in range(STEPS)]
    return ["#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in zip(low, high, strict=True)) for share in shares]


def by_article(articles: Sequence[int], names: Mapping[int, str], first: Sequence[int]) -> Colored:
    """A colour for each of the articles that matter most: those of the hits, then those with the most passages.

    :param articles: of each passage, its article.
    :param names: what each article is called.
    :param first: articles that come before others, whatever their size.
    """
    counted = Counter(articles)
    order = list(dict.fromkeys([*first, *sorted(counted, key=lambda article: (-counted[article], names[article], article))]))
    return _grouped(ARTICLE, [[article] for article in articles], order, names, "other articles")


def by_similarity(similarities: NDArray[np.float32]) -> Colored:
    """Steps of the similarity with the question."""
    return _stepped(SIMILARITY, [float(value) for value in similarities], [f"{value:.2f}" for value in similarities])


def by_key(key: str, metadata: Sequence[Mapping[str, Any]]) -> Colored:
    """By a value of the metadata: steps where there are many numbers or dates, else a colour for each of the most frequent ones.

    Of a list the value counts that most others have.

    :param metadata: of each passage, that of its article.
    :raises InputError: if none has the key.
    """
    values = [_texts(found.get(key)) for found in metadata]
    counted = Counter(text for found in values for text in found)
    if not counted:
        raise InputError(
            f"no article on the map has {key!r} in its metadata: color by {ARTICLE!r}, {SIMILARITY!r}, or a key that it has"
        )
    numbers = [_number(found.get(key)) for found in metadata]
    if len(counted) > GROUPS and all(number is not None for number, found in zip(numbers, values, strict=True) if found):
        return _stepped(key, numbers, [found[0] if found else "" for found in values])
    order = sorted(counted, key=lambda text: (-counted[text], text))
    return _grouped(key, values, order, {text: text for text in order}, "other or none")


def _grouped(by: str, values: Sequence[Sequence[Any]], order: Sequence[Any], names: Mapping[Any, str], others: str) -> Colored:
    """The first of an order each a group, and passages in the first of these that they have."""
    place = {value: number for number, value in enumerate(order[:GROUPS])}
    groups = [min((place[value] for value in found if value in place), default=OTHERS) for found in values]
    return Colored(by, np.asarray(groups, np.int64), tuple(names[value] for value in place), False, others)


def _stepped(by: str, numbers: Sequence[float | None], written: Sequence[str]) -> Colored:
    """Steps of equal width between the least and the greatest number, each called by the least and the greatest in it."""
    known = np.asarray([number is not None for number in numbers], bool)
    values = np.asarray([0.0 if number is None else number for number in numbers], np.float64)
    low, high = float(values[known].min()), float(values[known].max())
    width = (high - low) / STEPS or 1.0
    groups = np.where(known, np.minimum(((values - low) / width).astype(np.int64), STEPS - 1), OTHERS)
    labels = []
    for step in range(STEPS):
        inside = np.flatnonzero(groups == step)
        ends = [written[inside[pick(values[inside])]] for pick in (np.argmin, np.argmax)] if len(inside) else [""]
        labels.append(" to ".join(dict.fromkeys(ends)))
    return Colored(by, groups, tuple(labels), True, "none")


def _texts(value: Any) -> list[str]:
    """The values that metadata has at a key, as they are shown."""
    if value is None or value == "":
        return []
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)]


def _number(value: Any) -> float | None:
    """A number, or a date as a number of years; None for all else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        # An integer of JSON may be greater than any float.
        return float(value) if abs(value) < _MOST else None
    date = _DATE.match(value) if isinstance(value, str) else None
    if date is None:
        return None
    year, month, day = (int(part or 1) for part in date.groups())
    return year + (month - 1) / 12 + (day - 1) / 372
