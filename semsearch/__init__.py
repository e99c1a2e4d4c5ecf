"""semsearch: ask your own articles, get the ranked passages that answer.

::

    import semsearch

    index = semsearch.build("articles/", "index")
    for hit in index.search("what aid did Russia offer", k=5):
        print(hit.score, hit.source, hit.line, hit.text)

The map. Data flows one way::

    files -- articles --> Article -- passages --> Passage -- encoder --> vectors --> store
    question -- encoder --> query vector -- vectors --> rows -- store --> Hit --> Results --> render

A module imports only from layers below its own, and modules of one layer never import each other (a test holds this):

===== ===================================== ==========================================================================
layer modules                               what for
===== ===================================== ==========================================================================
0     ``errors`` ``records`` ``protocols``  the error tree; the frozen values; the seams where something plugs in
1     ``articles``                          files to `Article`; the only door to the parsers of Markdown, HTML, YAML
1     ``passages``                          `Article` to `Passage`; pure; the only door to sentencex
1     ``encoder``                           texts to unit vectors; the only door to sentence-transformers, onnxruntime,
                                            openvino, tokenizers
1     ``vectors``                           rows to nearest rows; the only door to faiss
1     ``render``                            hits to text, terminal, HTML
2     ``store``                             one index directory: SQLite and segments, transactions, the writer's lock
2     ``results``                           `Results`, what a search gives back
3     ``builder``                           one run over the sources of an index
4     ``index``                             `Index`: build, refresh, search
5     ``cli``                               parse, call, print
===== ===================================== ==========================================================================

Kept by tests: ``import semsearch`` and ``semsearch --help`` load none of the heavy libraries, and answering a question
imports neither torch nor transformers: a model is exported to ONNX once, when articles are indexed. Nothing is downloaded
unless the user names a model of the hub. Nothing in an index is a pickle.

What decides is measured in ``benchmarks/README.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from semsearch._version import __version__
from semsearch.errors import (
    EngineError,
    IndexCorrupt,
    IndexLocked,
    IndexMissing,
    IndexTooNew,
    InputError,
    MissingExtra,
    ModelMismatch,
    ModelUnavailable,
    SemsearchError,
)

if TYPE_CHECKING:
    from semsearch.index import Index, ask, build, open, remove  # noqa: A004
    from semsearch.records import BuildReport, Highlight, Hit, Problem
    from semsearch.results import Results

__all__ = [
    "BuildReport",
    "EngineError",
    "Highlight",
    "Hit",
    "Index",
    "IndexCorrupt",
    "IndexLocked",
    "IndexMissing",
    "IndexTooNew",
    "InputError",
    "MissingExtra",
    "ModelMismatch",
    "ModelUnavailable",
    "Problem",
    "Results",
    "SemsearchError",
    "__version__",
    "ask",
    "build",
    "open",
    "remove",
]

_HOMES = {
    **dict.fromkeys(("Index", "ask", "build", "open", "remove"), "semsearch.index"),
    **dict.fromkeys(("BuildReport", "Highlight", "Hit", "Problem"), "semsearch.records"),
    "Results": "semsearch.results",
}


def __getattr__(name: str) -> Any:
    """Names that need numpy are imported when first used, so that ``import semsearch`` costs next to nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'semsearch' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
