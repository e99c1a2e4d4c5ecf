"""Maps: the passages of an index as points on a plane, with a question and its hits among them.

``draw`` makes a `PassageMap`; which passages are on it depends on the index and the filter alone, so that two questions give two
views of one map. A map shows how a collection lies, not how well a passage answers: two axes carry a small part of what a model
tells apart, and the map says how small.

Deliberately not here: searching (`index`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semsearch import frames
from semsearch.arguments import check_k
from semsearch.errors import InputError
from semsearch.maps import colors
from semsearch.maps.projection import Method, check_method, project
from semsearch.outputs import write
from semsearch.results import Results
from semsearch.store import number_of

if TYPE_CHECKING:
    import pandas as pd

    from semsearch.engines import View
    from semsearch.protocols import Allowed, Matrix
    from semsearch.store import PassageRow

__all__ = ["Method", "PassageMap", "check_method", "draw"]


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class PassageMap:
    """Passages on a plane, with a question among them; made by `Index.plot`.

    Notebooks show it. All arrays are read-only, row i is the same passage in each; a hit comes in the order of its place in the
    index, not of its rank.

    ``results``: what the question finds. ``method``: ``pca`` or ``umap``. ``explained_variance``: the share of the variance of
    the passages' vectors that each of the two axes carries, in 0..1; None for UMAP, whose axes mean nothing.
    ``coordinates``: float32 (n, 2), ``question``: float32 (2,), placed by the same map. ``similarity``: float32 (n,), the cosine
    of the passage's vector and the question's, in -1..1, which the places on the map only hint at. ``ranks``: int64 (n,), the
    rank of the hit that the passage is, 0 for none. ``n_passages``: how many the index has, or the filter leaves, of which these
    are a sample if they are fewer. ``colored``: the groups that have a colour of their own.
    """

    results: Results
    method: Method
    explained_variance: tuple[float, float] | None
    coordinates: Matrix
    question: Matrix
    similarity: NDArray[np.float32]
    ranks: NDArray[np.int64]
    n_passages: int
    colored: colors.Colored
    rows: tuple[PassageRow, ...] = field(repr=False)

    @property
    def query(self) -> str:
        """The question."""
        return self.results.query

    def __len__(self) -> int:
        """How many passages are on the map."""
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<map of {self.summary()}>"

    def summary(self) -> str:
        """What is on the map and how far to trust it, on one line."""
        shown = f"{len(self):,}" if len(self) == self.n_passages else f"{len(self):,} of {self.n_passages:,}"
        if self.explained_variance is None:
            return f"{shown} passages by UMAP, which keeps neighbours together: distances between groups mean little"
        first, second = self.explained_variance
        return (
            f"{shown} passages by PCA: the two axes carry {100 * (first + second):.0f} % of the variance "
            f"({100 * first:.1f} + {100 * second:.1f})"
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row a passage, as `Index.to_dataframe` has it; then ``x``, ``y``, ``similarity``, ``rank`` (0: no hit), ``group``.

        :raises MissingExtra: if pandas is not installed.
        """
        keys = sorted({key for row in self.rows for key in row.metadata})
        labels = [*self.colored.labels, self.colored.others]
        records = [
            {**row.to_dict(), "x": float(x), "y": float(y), "similarity": float(near), "rank": int(rank), "group": labels[group]}
            for row, (x, y), near, rank, group in zip(
                self.rows, self.coordinates, self.similarity, self.ranks, self.colored.groups, strict=True
            )
        ]
        return frames.passages([records], keys, ("x", "y", "similarity", "rank", "group"))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary of what is on the map, with the keys that ``plot --json`` prints."""
        return {
            "query": self.query,
            "method": self.method,
            "passages": len(self),
            "of": self.n_passages,
            "hits": len(self.results),
            "explained_variance": None if self.explained_variance is None else list(self.explained_variance),
            "color": self.colored.by,
        }

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the map as one HTML page that needs nothing else, for light and dark.

        :raises InputError: if the file cannot be written.
        """
        from semsearch.maps import page

        write(path, page.page(self))

    def to_png(self, path: str | os.PathLike[str], *, dpi: int = 150) -> None:
        """Write the map as a picture, 10 inches wide.

        :param dpi: dots per inch.
        :raises MissingExtra: if matplotlib is not installed.
        :raises InputError: if the file cannot be written or is to be of another kind, or ``dpi`` is not in 1..10,000.
        """
        from semsearch.maps import picture

        if Path(path).suffix.lower() not in (".png", ""):
            raise InputError(f"{path}: the picture is a PNG: name it so, or write the page with to_html")
        write(path, picture.png(self, check_k(dpi, "dpi")))

    def _repr_html_(self) -> str:
        from semsearch.maps import page

        return page.fragment(self)


def draw(
    reader: View,
    results: Results,
    question: Matrix,
    *,
    allowed: Allowed | None,
    method: Method,
    color: str | None,
    limit: int,
) -> PassageMap:
    """Put passages, a question and its hits on a map.

    :param results: what the question finds in this very generation.
    :param question: its vector, float32 (d,).
    :param allowed: what a filter leaves; None for all.
    :param color: see `Index.plot`.
    :param limit: passages, at most, beside the hits.
    :raises InputError: if there are no passages, too few for the method, or no metadata to color by.
    """
    ids = reader.passage_ids(allowed=allowed)
    if not len(ids):
        raise InputError("there are no passages to put on a map: index some, or let where= leave some")
    hits = [number_of(hit.passage_id) for hit in results]
    sample = _spread(ids, limit)
    chosen = np.concatenate([sample, np.setdiff1d(np.asarray(hits, np.int64), sample)])
    rows = reader.listed(chosen)
    vectors = reader.vectors().take(np.asarray([row.row for row in rows], np.int64))
    # The hits that are not of the sample make no difference to the map, so it is the same for each question.
    placed = project(np.concatenate([vectors, question[None]]), len(sample), method)
    # Vectors are kept in half precision: the product of two of them may be a little more than 1.
    similarity = np.clip(vectors @ question, -1, 1)
    rank = {number: place for place, number in enumerate(hits, 1)}
    ranks = np.asarray([rank.get(row.id, 0) for row in rows], np.int64)
    colored = _colored(rows, similarity, hits, color)
    for array in (placed.places, similarity, ranks, colored.groups):
        array.flags.writeable = False
    return PassageMap(
        results,
        method,
        placed.explained_variance,
        placed.places[:-1],
        placed.places[-1],
        similarity,
        ranks,
        len(ids),
        colored,
        tuple(rows),
    )


def _spread(ids: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """As many as there may be, from all over: the articles stand in the order of their sources."""
    n = min(limit, len(ids))
    return ids[np.arange(n) * len(ids) // n]


def _colored(
    rows: Sequence[PassageRow], similarity: NDArray[np.float32], hits: Sequence[int], color: str | None
) -> colors.Colored:
    if color is None:
        few = len({row.article for row in rows}) <= colors.GROUPS
        color = colors.ARTICLE if few else colors.SIMILARITY
    if color == colors.SIMILARITY:
        return colors.by_similarity(similarity)
    if color == colors.ARTICLE:
        home = {row.id: row.article for row in rows}
        names = {row.article: row.title or row.source for row in rows}
        return colors.by_article([row.article for row in rows], names, [home[number] for number in hits])
    return colors.by_key(color, [row.metadata for row in rows])
