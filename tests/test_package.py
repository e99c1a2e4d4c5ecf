"""Promises about the package as a whole: layers, light imports, one public door, docstrings that are true."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import semsearch

PACKAGE = Path(semsearch.__file__).parent
LAYERS = [
    {"redaction", "_version"},
    {"errors"},
    {"condition_values", "cutting", "drawing", "limits", "locks", "outputs", "protocols", "records", "scripts", "signs"},
    {"arguments", "articles", "encoder", "exchange", "filters", "frames", "fusion", "lexical", "metrics", "passages", "render"}
    | {"vectors"},
    {"cluster", "store", "results", "ranking"},
    {"engines"},
    {"builder", "citations", "hits", "maps"},
    {"checking", "importer", "index"},
    {"evaluation", "newest", "watching"},
    {"integrations", "probing", "web"},
    {"cli"},
]
DOORS = {
    "threadpoolctl": "limits",
    "faiss": "vectors",
    "tantivy": "lexical",
    "py3langid": "lexical",
    "onnx": "encoder",
    "onnxruntime": "encoder",
    "openvino": "encoder",
    "nncf": "encoder",
    "tokenizers": "encoder",
    "sentence_transformers": "encoder",
    "torch": "encoder",
    "huggingface_hub": "encoder",
    "sentencex": "passages",
    "markdown_it": "articles",
    "trafilatura": "articles",
    "lxml": "articles",
    "yaml": "articles",
    "charset_normalizer": "articles",
    "pypdfium2": "articles",
    "mammoth": "articles",
    "striprtf": "articles",
    "feedparser": "articles",
    "docutils": "articles",
    "pyarrow": ("articles", "exchange"),  # tables are articles, and what an index is written to
    "httpcore": "articles",
    "apsw": "store",
    "ir_measures": "metrics",
    "scipy": "metrics",
    "ir_datasets": "evaluation",
    "jinja2": "evaluation",
    "markupsafe": "evaluation",
    "matplotlib": "drawing",
    "pandas": "frames",
    "umap": "maps",
    "psycopg": "engines",
    "watchfiles": "watching",
    "distributed": "cluster",
    "dask": "cluster",
    "cloudpickle": "cluster",
    "click": "cli",
    "prompt_toolkit": "cli",
    "fastapi": "web",
    "starlette": "web",
    "uvicorn": "web",
    "langchain_core": "integrations",
    "llama_index": "integrations",
    "haystack": "integrations",
    "pymilvus": "engines",
    "grpc": "engines",
}
HEAVY = {
    "tantivy",
    "py3langid",
    "numpy",
    "faiss",
    "onnxruntime",
    "openvino",
    "tokenizers",
    "torch",
    "transformers",
    "sentence_transformers",
    "ir_measures",
    "scipy",
    "jinja2",
    "matplotlib",
    "pandas",
    "umap",
    "rich",
    "fastapi",
    "starlette",
    "uvicorn",
    "mcp",
    "prompt_toolkit",
    "pypdfium2",
    "mammoth",
    "feedparser",
    "docutils",
    "pyarrow",
    "psycopg",
    "httpcore",
    "langchain_core",
    "llama_index",
    "haystack",
    "watchfiles",
    "distributed",
    "dask",
    "cloudpickle",
    "pymilvus",
    "grpc",
}


def unit_of(path: Path) -> str:
    """The module or package right below semsearch that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Full names of all that a file imports, anywhere in it, unless for type checking only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_file_imports_only_from_lower_layers_and_knocks_at_one_door(path: Path):
    unit = unit_of(path)
    for name in imports_of(path):
        top, _, rest = name.partition(".")
        if top != "semsearch":
            doors = DOORS.get(top, unit)
            assert unit in ((doors,) if isinstance(doors, str) else doors), f"{unit} imports {top}, whose door is {doors}"
            continue
        target = rest.split(".")[0]
        if unit in ("__init__", "__main__") or target in (unit, "__version__"):
            continue
        below = set().union(*LAYERS[: next(number for number, layer in enumerate(LAYERS) if unit in layer)])
        # `from semsearch import name` may name a module or what the front door gives.
        assert target in below, f"{unit} imports {target}, which is not below it"


def test_every_module_is_in_a_layer():
    units = {unit_of(path) for path in FILES} - {"__init__", "__main__"}
    assert units == set().union(*LAYERS)


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_import_and_help_are_light():
    assert not loaded_by("import semsearch") & (HEAVY | {"click", "apsw", "yaml"})
    assert (
        not loaded_by("from click.testing import CliRunner; from semsearch.cli import main; CliRunner().invoke(main, ['--help'])")
        & HEAVY
    )


def test_the_front_door_is_sorted_and_opens():
    assert semsearch.__all__ == sorted(semsearch.__all__)
    for name in semsearch.__all__:
        assert getattr(semsearch, name) is not None
    assert set(semsearch.__all__) <= set(dir(semsearch))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = semsearch.no_such_name


def test_every_public_error_is_drawn_in_the_tree():
    from semsearch import errors

    assert all(name in (errors.__doc__ or "") for name in errors.__all__)
    assert all(issubclass(getattr(errors, name), errors.SemsearchError) for name in errors.__all__)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_documented_parameters_exist(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            documented = set(re.findall(r":param (\w+):", ast.get_docstring(node) or ""))
            functions = [node] if isinstance(node, ast.FunctionDef) else [n for n in node.body if isinstance(n, ast.FunctionDef)]
            names = {argument.arg for function in functions for argument in (*function.args.args, *function.args.kwonlyargs)}
            assert documented <= names, (node.name, documented - names)
