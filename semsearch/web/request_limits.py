"""Limits of one request.

They bound what a request costs. On two cores and 2,000 articles, the most expensive filter takes 0.1 s, the most expensive search
0.8 s, and the most expensive request of several queries 2 s and 1.3 MB of answer. Totals, such as the number of queries times
the number of hits, are checked here; the schemas (`schemas`) have the other limits.

Not here: the number and duration of connections (`connection_limits`), hosts, origins and tokens (`guard`).
"""

from __future__ import annotations

from collections.abc import Sequence

from semsearch import filters
from semsearch.errors import InputError
from semsearch.filters import Filter

__all__ = [
    "DEADLINE",
    "MAX_ALTERNATIVES",
    "MAX_ANSWER",
    "MAX_BODY",
    "MAX_CONDITIONS",
    "MAX_FILTER",
    "MAX_HEAD",
    "MAX_HITS",
    "MAX_HITS_TOTAL",
    "MAX_PATTERNS",
    "MAX_PATTERN_TOTAL",
    "MAX_QUERIES",
    "MAX_QUERY",
    "MAX_QUERY_TOTAL",
    "TOO_LONG_BODY",
    "TOO_LONG_HEAD",
    "check_answer",
    "check_searches",
    "parse_conditions",
]

DEADLINE = 30.0
"""Time limit of a request from its arrival to its answer, in seconds."""
MAX_BODY = 250_000
"""Maximum size of the body of a request, in bytes. `MAX_QUERY_TOTAL` characters take up to 192,000 as JSON escapes."""
MAX_HEAD = 80_000
"""Maximum size of the address and headers, in bytes. A query and conditions of maximum length take up to 72,000."""
TOO_LONG_HEAD = f"the address and headers are longer than {MAX_HEAD:,} bytes: shorten the request"
TOO_LONG_BODY = f"the request is longer than {MAX_BODY:,} bytes: ask fewer questions at once"
MAX_ANSWER = 8_000_000
"""Maximum length of an answer, in characters."""
MAX_QUERY = 4000
"""Maximum length of a query, in characters."""
MAX_QUERIES = 64
"""Maximum number of queries in one request."""
MAX_QUERY_TOTAL = 16_000
"""Maximum length of all queries of a request, in characters."""
MAX_HITS = 200
"""Maximum number of hits for one query."""
MAX_HITS_TOTAL = 640
"""Maximum number of hits for all queries of a request: ten for each of `MAX_QUERIES`."""
MAX_CONDITIONS = 10
"""Maximum number of conditions."""
MAX_FILTER = 2000
"""Maximum length of all conditions, in characters."""
MAX_ALTERNATIVES = 100
"""Maximum number of alternatives in all conditions. A plain alternative costs next to nothing."""
MAX_PATTERNS = 20
"""Maximum number of patterns in all conditions. Each is compared with every value of every article."""
MAX_PATTERN_TOTAL = 500
"""Maximum length of all patterns, in characters."""


def parse_conditions(where: Sequence[str]) -> Filter:
    """Parse the conditions of a request.

    :raises InputError: if they exceed a limit, or one of them is malformed.
    """
    _check("the conditions have", sum(map(len, where)), MAX_FILTER, "characters")
    wanted = filters.parse(list(where))
    values = [value for each in wanted.conditions if isinstance(each, filters.Condition) for value in each.values]
    patterns = [value for value in values if filters.is_pattern(value)]
    _check("the conditions have", len(values), MAX_ALTERNATIVES, "alternatives")
    _check("the conditions have", len(patterns), MAX_PATTERNS, "patterns")
    _check("the patterns of the conditions have", sum(map(len, patterns)), MAX_PATTERN_TOTAL, "characters")
    return wanted


def check_searches(queries: Sequence[str], k: int) -> None:
    """Check the total size of the queries of a request.

    :param k: maximum number of hits for each query.
    :raises InputError: if the queries exceed a limit together.
    """
    _check("the queries have", sum(map(len, queries)), MAX_QUERY_TOTAL, "characters")
    _check("the queries ask for", len(queries) * k, MAX_HITS_TOTAL, "hits")


def check_answer(document: str) -> str:
    """Return an answer that is not too long.

    :raises InputError: if it is.
    """
    _check("the answer has", len(document), MAX_ANSWER, "characters")
    return document


def _check(what: str, count: int, limit: int, unit: str) -> None:
    if count > limit:
        raise InputError(f"{what} {count:,} {unit}, more than {limit:,}: request less at a time")
