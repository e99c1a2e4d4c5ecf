"""An encoder that may never be needed: refreshing an index whose articles did not change takes the model only by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from semsearch.protocols import Encoded, Encoder, Fingerprint, PassageText, Queries

__all__ = ["DeferredEncoder"]


class DeferredEncoder:
    """`Encoder` that is loaded when it is first asked for more than its fingerprint.

    :param load: gives the encoder; called once, and raises what it raises.
    """

    def __init__(self, fingerprint: Fingerprint, load: Callable[[], Encoder]) -> None:
        self._fingerprint = fingerprint
        self._load = load
        self.loaded: Encoder | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors depend on."""
        return self._fingerprint

    @property
    def engine(self) -> str:
        """What encodes passages."""
        return self.needed().engine

    @property
    def passage_tokens(self) -> int:
        """Tokens that a passage and its context may have together."""
        return self.needed().passage_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return self.needed().count_tokens(texts)

    def encode_queries(self, texts: Sequence[str]) -> Queries:
        """Questions."""
        return self.needed().encode_queries(texts)

    def encode_passages(self, passages: Sequence[PassageText]) -> Iterator[Encoded]:
        """Passages; none of them, and nothing is loaded."""
        return self.needed().encode_passages(passages) if passages else iter(())

    def needed(self) -> Encoder:
        """The encoder, loaded now if it was not."""
        if self.loaded is None:
            self.loaded = self._load()
        return self.loaded
