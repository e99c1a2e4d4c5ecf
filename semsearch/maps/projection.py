"""Vectors to places on a plane: principal components, or UMAP.

Invariants: the same vectors give the same places; all of them, a question's as well as a passage's, are placed by one and the
same map.

Deliberately not here: which passages are placed (`maps`), how places are drawn (`page`, `picture`).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["Method", "Projected", "check_method", "project"]

Method = Literal["pca", "umap"]
"""How vectors are placed: on the two axes along which they differ most, or so that neighbours stay neighbours."""

_NEIGHBOURS = 15
_FEWEST = 10
"""Of fewer vectors UMAP makes nothing."""
_SEED = 7


class Projected(NamedTuple):
    """Vectors on a plane.

    ``places``: float32 (n, 2). ``explained_variance``: the share of the variance of the vectors that made the map which its two
    axes carry, each in 0..1; None for UMAP, which has no axes that mean anything.
    """

    places: Matrix
    explained_variance: tuple[float, float] | None


def check_method(method: str) -> None:
    """Refuse early what cannot place vectors.

    :raises InputError: if it is none of `Method`.
    :raises MissingExtra: if umap-learn is asked for and not installed.
    """
    if method not in get_args(Method):
        raise InputError(f"no method {method!r}: use {' or '.join(map(repr, get_args(Method)))}")
    if method == "umap":
        from importlib.util import find_spec

        if find_spec("umap") is None:
            raise MissingExtra('a map by UMAP needs umap-learn: python -m pip install "semsearch[umap]"')


def project(vectors: Matrix, n_fitted: int, method: Method) -> Projected:
    """Place vectors.

    :param vectors: float32 (n, d).
    :param n_fitted: so many of the first make the map; the others are put on it.
    :raises InputError: if they are too few for the method.
    """
    return _umap(vectors, n_fitted) if method == "umap" else _pca(vectors, n_fitted)


def _pca(vectors: Matrix, n_fitted: int) -> Projected:
    """The two principal components (Jolliffe, Principal Component Analysis, 2002): eigenvectors of the covariance.

    The one with the most variance comes first. Either way along an axis would do: its greatest weight is positive.
    """
    centred = vectors.astype(np.float64)
    centred -= centred[:n_fitted].mean(axis=0)
    fitted = centred[:n_fitted]
    variances, axes = np.linalg.eigh(fitted.T @ fitted)
    # They come in ascending order.
    axes, greatest = axes[:, :-3:-1], variances[:-3:-1].clip(0)
    strongest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0)
    total = float(variances.clip(0).sum())
    shares = (greatest / total if total > 0 else np.zeros(len(greatest))).tolist()
    places = np.zeros((len(vectors), 2), np.float32)
    places[:, : axes.shape[1]] = centred @ (axes * np.sign(strongest))
    return Projected(places, (shares[0], shares[1] if len(shares) > 1 else 0.0))


def _umap(vectors: Matrix, n_fitted: int) -> Projected:
    """McInnes, Healy and Melville, "UMAP: Uniform manifold approximation and projection", 2018; one seed, one thread."""
    if n_fitted < _FEWEST:
        raise InputError(f"{n_fitted} passages are too few for UMAP: use method='pca'")
    # It warns of what is right here: no spectral start where there are few, parts that hang together in nothing.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import umap

        mapper = umap.UMAP(n_neighbors=min(_NEIGHBOURS, n_fitted - 1), metric="cosine", random_state=_SEED, n_jobs=1)
        fitted: NDArray[np.float32] = mapper.fit_transform(vectors[:n_fitted])
        put: NDArray[np.float32] = mapper.transform(vectors[n_fitted:]) if n_fitted < len(vectors) else fitted[:0]
    return Projected(np.concatenate([fitted, put]).astype(np.float32), None)
