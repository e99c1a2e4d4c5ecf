"""`Results`: the ranked hits of one question, and the shapes they can be shown in.

Deliberately not here: how a result is laid out (`render`), how it was found (`index`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from semsearch import render
from semsearch.records import Highlight, Hit, Mode

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Results"]

_NO_HIT = Hit(0, 0.0, "", "", "", 0, 0, 0, 0, "", Highlight(0, 0, ""), {"dense": None, "lexical": None}, {})
"""What tells the columns of a table without rows."""


@dataclass(frozen=True, slots=True, repr=False)
class Results(Sequence[Hit]):
    """Ranked hits for one question, best first; falsy when empty.

    ``answerable`` says whether the best hit is believed to answer the question; ``took_ms`` is the time of the search
    alone, in milliseconds, without opening the index and loading the model.
    """

    query: str
    mode: Mode
    took_ms: float
    answerable: bool
    hits: tuple[Hit, ...]

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        """The hit at a position (0 is the best), or a tuple of hits for a slice."""
        return self.hits[index]

    def __len__(self) -> int:
        """How many hits there are."""
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        """The hits, best first."""
        return iter(self.hits)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The hits as JSON-ready dictionaries, best first."""
        return [hit.to_dict() for hit in self.hits]

    def to_json(self) -> str:
        """The JSON document that ``ask --json`` prints, on one line."""
        document = {
            "query": self.query,
            "mode": self.mode,
            "took_ms": round(self.took_ms, 3),
            "answerable": self.answerable,
            "hits": self.to_dicts(),
        }
        return render.safe_json(json.dumps(document, ensure_ascii=False))

    def to_jsonl(self) -> str:
        """The hits as JSON, one a line; "" where there are none."""
        return render.safe_json("\n".join(json.dumps(hit, ensure_ascii=False) for hit in self.to_dicts()))

    def to_markdown(self) -> str:
        """A numbered list of the passages, quoted, with links to their files; what articles say is escaped."""
        return render.markdown(self.query, self.hits, answerable=self.answerable)

    def to_paths(self) -> str:
        """``file:line: `` and the best sentence, one hit a line, as editors and grep have it; "" where there are none."""
        return render.paths(self.hits)

    def to_trec(self, query_id: str = "1", tag: str = "semsearch") -> str:
        """The lines of a TREC run: each article once, by its best passage, and its source as its id."""
        return render.trec(query_id, self.hits, tag)

    def to_pandas(self, *, flat: bool = False) -> pd.DataFrame:
        """One row a hit, one column a field of `to_dicts`; the columns are there when there is no hit, too.

        :param flat: whether what a field is made of has columns of its own: ``scores.dense``, ``highlight.text``,
            ``metadata.date``.
        :raises MissingExtra: if pandas is not installed.
        """
        # Not at the top: few make tables.
        from semsearch import frames

        return frames.frame(self.to_dicts(), _NO_HIT.to_dict(), flat=flat)

    def __repr__(self) -> str:
        """A plain-text table of the hits."""
        return render.text(self.query, self.hits, answerable=self.answerable)

    def _repr_html_(self) -> str:
        """The table of the hits that notebooks show: in the notebook's own colours, without scripts."""
        return render.html(self.query, self.hits, answerable=self.answerable)
