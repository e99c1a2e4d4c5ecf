"""What the service takes and gives, as its OpenAPI document describes it.

The answers themselves are made by the library (``to_json``, ``to_dict``); tests hold these descriptions to them.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from semsearch.records import Mode
from semsearch.web.request_limits import (
    MAX_ALTERNATIVES,
    MAX_CONDITIONS,
    MAX_FILTER,
    MAX_HITS,
    MAX_HITS_TOTAL,
    MAX_PATTERN_TOTAL,
    MAX_PATTERNS,
    MAX_QUERIES,
    MAX_QUERY,
    MAX_QUERY_TOTAL,
)

__all__ = [
    "Answers",
    "Article",
    "ArticleList",
    "Excerpt",
    "Facets",
    "Health",
    "Limit",
    "Problem",
    "Question",
    "Results",
    "Searches",
    "Status",
    "Where",
]

Question = Annotated[str, Field(min_length=1, max_length=MAX_QUERY, description="A question in plain words.")]
Limit = Annotated[int, Field(ge=1, le=MAX_HITS, description="How many passages, at most.")]
Where = Annotated[
    list[Annotated[str, Field(max_length=MAX_FILTER)]],
    Field(
        max_length=MAX_CONDITIONS,
        description="Conditions on articles, such as date>=2019, tags=oil|gas, source=notes; all must hold. Together at most "
        f"{MAX_FILTER:,} characters, {MAX_ALTERNATIVES} alternatives, and {MAX_PATTERNS} patterns of "
        f"{MAX_PATTERN_TOTAL} characters.",
    ),
]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Searches(_Closed):
    """Several questions at once."""

    queries: Annotated[
        list[Question],
        Field(
            min_length=1,
            max_length=MAX_QUERIES,
            description=f"At most {MAX_QUERIES} questions, together at most {MAX_QUERY_TOTAL:,} characters.",
        ),
    ]
    k: Annotated[
        Limit,
        Field(description=f"Maximum number of passages for each question, {MAX_HITS_TOTAL:,} for all questions together."),
    ] = 10
    mode: Mode = "hybrid"
    where: Where = []
    per_article: Limit | None = None
    explain: StrictBool = False


class Highlight(_Closed):
    """The sentence that answers best."""

    start: int
    end: int
    text: str


class Scores(_Closed):
    """What either arm gave: the dense one in 0..1, the lexical one without an upper limit; null where it took no part."""

    dense: float | None
    lexical: float | None


class Place(_Closed):
    """Where else the same is said."""

    source: str
    start: int
    end: int
    line: int
    paragraph: int
    title: str
    page: int


class Part(_Closed):
    """One of the numbers that a score is the weighted mean of."""

    name: str
    value: float
    weight: float


class Explanation(_Closed):
    """How a score came about."""

    parts: list[Part]
    words: dict[str, float]
    rerank: float | None


class Hit(_Closed):
    """A passage that was found, the best first."""

    rank: int
    score: float = Field(ge=0, le=1)
    passage_id: str
    article_id: str
    text: str
    title: str
    source: str
    start: int
    end: int
    line: int
    paragraph: int
    heading: str
    page: int | None = Field(description="The page of a PDF; line counts on it.")
    highlight: Highlight
    scores: Scores
    confidence: float = Field(ge=0, le=1, description="The probability that the passage answers the question.")
    duplicates: list[Place]
    explanation: Explanation | None = None
    metadata: dict[str, Any]


class Results(_Closed):
    """The passages that answer a question best."""

    query: str
    mode: Mode
    took_ms: float
    answerable: bool = Field(description="Whether the first passage is believed to answer the question.")
    hits: list[Hit]


class Answers(_Closed):
    """The answers to several questions, in their order."""

    results: list[Results]


class Passage(_Closed):
    """A passage of an article."""

    passage_id: str
    text: str
    heading: str
    paragraph: int
    line: int
    start: int
    end: int
    page: int


class Article(_Closed):
    """What is known of an article beside its text."""

    article_id: str
    title: str
    source: str
    metadata: dict[str, Any]
    n_passages: int


class ArticleList(_Closed):
    """Some of the articles, by their sources."""

    articles: list[Article]


class Excerpt(Article):
    """Passages of an article that follow each other; ``first`` is the place of the first one, counted from 0."""

    first: int
    passages: list[Passage]


class Counted(_Closed):
    """A value, and how many articles have it."""

    value: str
    articles: int


class Dates(_Closed):
    """The earliest and the latest date of an article, as they are written there."""

    first: str
    last: str


class Facets(_Closed):
    """What the articles can be told apart by."""

    articles: int
    sources: list[Counted]
    values: dict[str, list[Counted]]
    dates: Dates | None


class Status(BaseModel):
    """Facts on the index."""

    articles: int
    passages: int
    model: str
    generation: int
    bytes: int


class Health(_Closed):
    """The service is there."""

    status: str


class Problem(BaseModel):
    """What is wrong, and what to do (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
