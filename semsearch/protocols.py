"""The seams where something plugs in: the encoder, who is told of progress, what every arm of a search gives.

Deliberately not here: implementations, and a protocol for anything that has only one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from semsearch.records import Sentence

    Matrix = NDArray[np.float32]

CONTEXT_SHARE = 4
"""Title and headings may take up to one part in this many of the tokens that a model takes; the passage has the rest."""

__all__ = [
    "CONTEXT_SHARE",
    "Allowed",
    "DenseArm",
    "Encoded",
    "Encoder",
    "Fingerprint",
    "Found",
    "LexicalArm",
    "PassageText",
    "Progress",
    "Queries",
]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What decides the vectors that a model gives; two indexes with equal fingerprints can share vectors.

    ``weights``, ``tokenizer`` and ``config`` are SHA-256 hex digests. ``model`` is the name or path that it was loaded by
    and is not compared: the same model may lie elsewhere on another machine. ``quantized`` is the SHA-256 hex digest of the
    network in 8 bits that encodes passages, empty where the model itself does; questions are always encoded by the model itself.
    """

    model: str
    weights: str
    tokenizer: str
    config: str
    pooling: str
    query_prompt: str
    document_prompt: str
    max_tokens: int
    dimension: int
    quantized: str = ""

    def same_vectors(self, other: Fingerprint) -> bool:
        """Whether the other model gives the same vectors."""
        return self.same_questions(other) and self.quantized == other.quantized

    def same_questions(self, other: Fingerprint) -> bool:
        """Whether the other model gives questions the same vectors, and passages the same but for what 8 bits take away."""
        mine, theirs = asdict(self), asdict(other)
        return all(mine[key] == theirs[key] for key in mine if key not in ("model", "quantized"))


class PassageText(NamedTuple):
    """A passage as the encoder gets it.

    ``context`` (title and headings) is read before ``text`` and belongs to no sentence; ``sentences`` are spans of
    ``text``, in order and not overlapping.
    """

    context: str
    text: str
    sentences: tuple[Sentence, ...]


class Encoded(NamedTuple):
    """The vectors of some passages, by position in the list that was given.

    ``vectors``: float32 (n, d), unit rows, row i is passage ``positions[i]``.
    ``tokens``: n arrays, uint8 (number of words, `signs.WIDTH`): the codes of what a question's tokens are compared with, which
    are the words of context and text, each the sum of its pieces' vectors out of the same pass through the model.
    ``sentences``: n arrays, int32 (number of sentences, 2): the first of a sentence's words and the one behind its last; both
    equal where it has none.
    """

    positions: list[int]
    vectors: Matrix
    tokens: list[NDArray[np.uint8]]
    sentences: list[NDArray[np.int32]]


class Queries(NamedTuple):
    """The vectors of some questions.

    ``vectors``: float32 (n, d), unit rows.
    ``tokens``: n arrays, float32 (number of tokens, d), unit rows: what is compared with a passage's tokens.
    ``spans``: n arrays, int64 (number of tokens, 2): where each token stands in its question.
    ``known``: of each question the share of its tokens that the model has a vector of its own for, in 0..1.
    """

    vectors: Matrix
    tokens: list[Matrix]
    spans: list[NDArray[np.int64]]
    known: list[float]


class Encoder(Protocol):
    """Texts to unit vectors. One encoder may be used by one thread at a time."""

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors depend on."""
        ...

    @property
    def engine(self) -> str:
        """What encodes passages: ``onnxruntime``, ``openvino bf16``, ``openvino int8``..."""
        ...

    @property
    def passage_tokens(self) -> int:
        """Tokens that a passage and its context may have together."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the special tokens and without any limit."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Queries:
        """Questions, with the model's query prompt: float32 (n, d), unit rows."""
        ...

    def encode_passages(self, passages: Sequence[PassageText]) -> Iterator[Encoded]:
        """Passages, with the model's document prompt, in whatever order is fastest; each position comes once."""
        ...


class Found(NamedTuple):
    """The best rows of one question, best first: ``rows`` int64 (m,), ``scores`` float32 (m,), higher is better; m <= k."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


class Allowed(NamedTuple):
    """What a filter leaves of an index, as that index takes it: of a folder's index int64 and ascending.

    ``rows``: of passages of the articles that the filter means, for both arms; ``articles``: those articles, for what is to be
    shown. A row may be shared with an article that is not meant, so rows alone do not tell which passages to show.
    """

    rows: Any
    articles: Any
    n_articles: int


class DenseArm(Protocol):
    """Rows by their vectors: of a folder's index `vectors.Vectors`, which says what each method gives; or an engine's.

    ``allowed``, here as in `LexicalArm`, is what `Allowed.rows` is of the same index.
    """

    has_words: bool

    def search(self, queries: Matrix, k: int, *, allowed: Any = None) -> list[Found]:
        """The k nearest rows of each query."""
        ...

    def take(self, rows: NDArray[np.int64]) -> Matrix:
        """Vectors of rows."""
        ...

    def words(self, rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """Codes of the words of rows."""
        ...

    def sentences(self, row: int) -> NDArray[np.int32]:
        """Which of a row's words each of its sentences has."""
        ...


class LexicalArm(Protocol):
    """Rows by their words: of a folder's index `lexical.Lexical`, which says what each method gives; or an engine's."""

    n_documents: int

    def search(self, query: str, k: int, *, allowed: Any = None) -> Found:
        """The k best rows of a question, of those that match at all."""
        ...

    def scores(self, query: str, rows: NDArray[np.int64], *, allowed: Any = None) -> NDArray[np.float32]:
        """The scores that `search` gives these rows."""
        ...

    def rarity(self, words: Sequence[str], /) -> NDArray[np.float32]:
        """``idf`` of some words as they stand in a text."""
        ...

    def bound(self, query: str, *, allowed: Any = None) -> float:
        """What no row's score for a question is above."""
        ...

    def must_match(self, query: str, *, allowed: Any = None) -> bool:
        """Whether a question has a quoted phrase that some row has."""
        ...

    def overlap(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """How much of a question each text has."""
        ...

    def explain(self, query: str, row: int) -> list[tuple[str, float]]:
        """What each word of a question adds to a row's score."""
        ...


class Progress(Protocol):
    """Told what a build is at; the library itself prints nothing."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """``stage`` is ``reading`` (unit: files), ``calibrating`` (networks), ``encoding``, ``exporting``, ``importing``
        (passages) or ``searching`` (queries).

        done == total ends it.
        """
        ...
