"""semsearch: ask your own articles, get the ranked passages that answer.

::

    import semsearch

    index = semsearch.build("articles/", "index")
    for hit in index.search("what aid did Russia offer", k=5):
        print(hit.score, hit.source, hit.line, hit.text)

The map. Data flows one way::

    files -- articles --> Article -- passages --> Passage -- encoder --> vectors, codes of words ---> store
                                         |------------------- lexical --> words ---------------------->|
    question -- encoder, vectors --> near rows --|
        |------ lexical -----------> rows -------|-- fusion, ranking --> rows -- hits --> Results --> render

A module imports only from layers below its own, and modules of one layer never import each other (a test holds this):

===== ======================================== =======================================================================
layer modules                                  what for
===== ======================================== =======================================================================
0     ``errors``                               the error tree; messages pass ``redaction``
1     ``records`` ``protocols``                the frozen values; the seams where something plugs in
1     ``signs``                                vectors of words as bits, and how near they are to a question's tokens
1     ``scripts`` ``limits`` ``cutting``       letters of scripts without spaces; how many threads compute, how much memory
                                               a build fills; how long passages are
1     ``locks``                                lock files between processes; refuses links
1     ``condition_values``                     values of conditions: numbers, dates, patterns, and comparison with stored values
1     ``outputs`` ``drawing``                  files that users ask for; axes to draw on, the only door to matplotlib
2     ``arguments``                            what users give a search, checked; pure
2     ``articles``                             files to `Article`; the only door to the parsers of Markdown, HTML, YAML, PDF,
                                               documents, mail, feeds and tables, and to what fetches a page
2     ``passages``                             `Article` to `Passage`; pure; the only door to sentencex
2     ``encoder``                              texts to unit vectors; the only door to sentence-transformers,
                                               onnxruntime, openvino, nncf, tokenizers
2     ``vectors``                              rows to nearest rows; the only door to faiss
2     ``lexical``                              rows by the words they have, BM25; the only door to tantivy, py3langid
2     ``filters``                              conditions on articles; pure
2     ``fusion``                               what is known of some passages, to one score; pure
2     ``render``                               hits to text, terminal, HTML
2     ``frames``                               dictionaries to DataFrames; the only door to pandas
2     ``exchange``                             passages to a file of JSON lines or Parquet, and back; the only door to pyarrow
2     ``metrics``                              rankings to figures, significance; the only door to ir_measures, scipy
3     ``store``                                one index directory: SQLite, segments, words; the writer's lock; the only
                                               door to SQLite
3     ``ranking``                              a question to ranked rows, out of the candidates of both arms
3     ``results``                              `Results`, what a search gives back
3     ``cluster``                              passages to vectors on other machines; the only door to distributed (Dask)
4     ``engines``                              where an index is: a folder, or Milvus or PostgreSQL; the only door to pymilvus,
                                               psycopg
5     ``builder``                              one run over the sources of an index
5     ``citations``                            whether passages still stand in their files
5     ``hits``                                 ranked rows to hits: places, best sentences, copies folded
5     ``maps``                                 passages and a question on a plane: page, picture; the only door to umap
6     ``index``                                `Index`: build, refresh, search, tables, maps
6     ``importer``                             passages that another index exported, into this one
6     ``checking``                             an index compared with itself, its model, its articles; and mended
7     ``evaluation``                           a test collection through any search: figures, comparison, report
7     ``newest``                               an open index kept at its newest generation
7     ``watching``                             an index that follows its articles; the only door to watchfiles
8     ``web``                                  a page, HTTP and MCP over an index; the only door to fastapi, starlette,
                                               uvicorn, mcp
8     ``integrations``                         retrievers of other frameworks; the only door to langchain_core, llama_index,
                                               haystack
8     ``probing``                              questions made from the articles themselves, to measure without judgments
9     ``cli``                                  parse, call, print; the only door to click, prompt_toolkit
===== ======================================== =======================================================================

Kept by tests: ``import semsearch`` and ``semsearch --help`` load none of the heavy libraries, and answering a question
imports neither torch nor transformers: a model is exported to ONNX once, when articles are indexed. Nothing is downloaded
unless the user names a model of the hub. Nothing in an index is a pickle. Nothing but ``cli`` prints: what there is to say goes
to the logger ``semsearch``.

What decides is measured in ``benchmarks/README.md``.
"""

from __future__ import annotations

import logging
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
from semsearch.redaction import redact_record

if TYPE_CHECKING:
    from semsearch.checking import check
    from semsearch.evaluation import Comparison, Evaluation, Measurement, evaluate, evaluate_search
    from semsearch.importer import import_passages
    from semsearch.index import Index, ask, build, open, remove  # noqa: A004
    from semsearch.maps import PassageMap
    from semsearch.probing import Bench, Diff, ModelComparison, bench, compare_model, diff
    from semsearch.records import (
        ArticleInfo,
        BuildReport,
        CheckReport,
        Citation,
        Context,
        Damage,
        Excerpt,
        Explanation,
        Facets,
        Highlight,
        Hit,
        Place,
        Problem,
        Refresh,
        StoredPassage,
    )
    from semsearch.results import Results
    from semsearch.watching import watch

__all__ = [
    "ArticleInfo",
    "Bench",
    "BuildReport",
    "CheckReport",
    "Citation",
    "Comparison",
    "Context",
    "Damage",
    "Diff",
    "EngineError",
    "Evaluation",
    "Excerpt",
    "Explanation",
    "Facets",
    "Highlight",
    "Hit",
    "Index",
    "IndexCorrupt",
    "IndexLocked",
    "IndexMissing",
    "IndexTooNew",
    "InputError",
    "Measurement",
    "MissingExtra",
    "ModelComparison",
    "ModelMismatch",
    "ModelUnavailable",
    "PassageMap",
    "Place",
    "Problem",
    "Refresh",
    "Results",
    "SemsearchError",
    "StoredPassage",
    "__version__",
    "ask",
    "bench",
    "build",
    "check",
    "compare_model",
    "diff",
    "evaluate",
    "evaluate_search",
    "import_passages",
    "open",
    "remove",
    "watch",
]

# Whoever uses the library decides what becomes of what it logs; without this, Python would print warnings.
logging.getLogger("semsearch").addHandler(logging.NullHandler())
logging.getLogger("semsearch").addFilter(redact_record)

_HOMES = {
    **dict.fromkeys(("Comparison", "Evaluation", "Measurement", "evaluate", "evaluate_search"), "semsearch.evaluation"),
    **dict.fromkeys(("Index", "ask", "build", "open", "remove"), "semsearch.index"),
    **dict.fromkeys(
        (
            "ArticleInfo",
            "BuildReport",
            "CheckReport",
            "Citation",
            "Context",
            "Damage",
            "Excerpt",
            "Explanation",
            "Facets",
            "Highlight",
            "Hit",
            "Place",
            "Problem",
            "Refresh",
            "StoredPassage",
        ),
        "semsearch.records",
    ),
    "PassageMap": "semsearch.maps",
    **dict.fromkeys(("Bench", "Diff", "ModelComparison", "bench", "compare_model", "diff"), "semsearch.probing"),
    "check": "semsearch.checking",
    "import_passages": "semsearch.importer",
    "Results": "semsearch.results",
    "watch": "semsearch.watching",
}


def __getattr__(name: str) -> Any:
    """Names that need numpy are imported when first used, so that ``import semsearch`` costs next to nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'semsearch' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
