"""What the documentation takes from the code: generated parts of pages, parts of other documents, pictures.

    python .docs/hooks.py

writes the generated parts of the pages anew (between ``<!-- generated: NAME -->`` and ``<!-- end -->``); a test holds that they
are up to date. When the site is built (``mkdocs build --strict -f .docs/mkdocs.yml``), a link to another document of
the repository with ``<!-- included -->`` behind it is replaced by that document, or the section that it leads to; pictures for
two themes are made such as follow the site's own switch; and a site that would load anything from elsewhere is refused.

Deliberately not here: text.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / ".docs" / "docs"
PICTURES = ROOT / "benchmarks" / "pictures"
ICON = ROOT / "semsearch" / "web" / "page" / "icon.svg"

_GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_INCLUDED = re.compile(r"\[[^\]]*\]\((?:\.\./)+([\w./-]+\.md)(?:#([\w-]+))?\)<!-- included -->")
_PICTURE = re.compile(
    r'<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">\s*'
    r'<img alt="([^"]+)" src="([^"]+)">\s*</picture>'
)
_AT_PICTURES = re.compile(r"(?:\.\./)+benchmarks/pictures/")
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)[^)]+\)")
_LOADS = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|srcset|data)=["']?(?:https?:)?//[^"'\s>]+
    |<link\b(?=[^>]*\brel=["']?(?:stylesheet|preconnect|prefetch|preload|icon|modulepreload|dns-prefetch))[^>]*?\bhref=["']?(?:https?:)?//[^"'\s>]+
    |(?:url\(|@import\s)\s*["']?(?:https?:)?//[^"')\s]+
    |https?://(?:unpkg\.com|cdn\.|cdnjs\.|fonts\.|polyfill\.|api\.github\.com)[^"'`\s]*""",
    re.VERBOSE | re.IGNORECASE,
)
_THEME_FETCHES = ("https://unpkg.com/", "https://api.github.com/")
"""Where the theme's script would get what an old browser lacks, and figures of a repository: cut out of it."""


# Parts that are made from the code.


def commands() -> str:
    """Every command with its arguments and options, as ``--help`` has them."""
    import click

    from semsearch.cli import main

    def parts(name: str, command: click.Command) -> Iterator[str]:
        context = click.Context(command, info_name=name)
        usage = " ".join([name, *(piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")])
        yield f"## {name}\n\n```\n{usage} [OPTIONS]\n```\n\n{_prose(command.help or '')}\n"
        rows = [row for parameter in command.get_params(context) if (row := _option(parameter))]
        yield "\n".join(["| option | what it does |", "|---|---|", *rows]) + "\n"
        if isinstance(command, click.Group):
            for below in command.list_commands(context):
                yield from parts(f"{name} {below}", command.commands[below])

    return "\n".join(part for name in sorted(main.commands) for part in parts(f"semsearch {name}", main.commands[name]))


def _prose(text: str) -> str:
    return inspect.cleandoc(text.replace("\b", ""))


def _option(parameter: Any) -> str:
    """A row of the table of options; empty for an argument, which the usage line has."""
    if parameter.param_type_name != "option" or "--help" in parameter.opts:
        return ""
    kind = parameter.type
    choices = getattr(kind, "choices", ())
    ranged = kind.name.endswith(" range")
    # Not as click has it: of what stands in code in a table, a bar cannot be part.
    value = parameter.metavar or ("N" if ranged else (parameter.name or "").upper().rstrip("S") if choices else kind.name.upper())
    metavar = "" if parameter.is_flag or parameter.count else f" {value}"
    names = ", ".join(sorted((*parameter.opts, *parameter.secondary_opts), key=len))
    facts = []
    if choices:
        facts.append(", ".join(f"`{choice}`" for choice in choices))
    if ranged:
        low, high = kind.min, kind.max
        facts.append(f"from {low:,}" if high is None else f"{low:,} to {high:,}")
    if parameter.show_default and parameter.default is not None:
        facts.append(f"default: {parameter.default}")
    if parameter.envvar:
        facts.append(f"environment: `{parameter.envvar}`")
    return f"| `{_cell(names + metavar)}` | {_cell(parameter.help or '')}{' (' + '; '.join(facts) + ')' if facts else ''} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def http() -> str:
    """Every path of the service with what it takes, and the schemas of what it gives, from its OpenAPI document."""
    from semsearch.web.app import _ALWAYS, create_app

    document = create_app(None, token="given").openapi()  # type: ignore[arg-type]  # noqa: S106
    parts = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(f"## {method.upper()} {path}\n\n{_prose(operation.get('description', ''))}\n")
            rows = [_parameter(parameter) for parameter in operation.get("parameters", [])]
            if rows:
                parts.append("\n".join(["| parameter | type | what |", "|---|---|---|", *rows]) + "\n")
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                parts.append(f"The body is {_type(schema)}.\n")
            told = []
            for status, response in operation["responses"].items():
                if int(status) in _ALWAYS:
                    continue
                schema = response.get("content", {}).get("application/json", {}).get("schema")
                told.append(f"`{status}`: {_type(schema) if schema else response['description'].rstrip('.').lower()}")
            parts.append(f"{'; '.join(told)}.\n")
    told = "\n".join(f"| {status} | {text} |" for status, text in _ALWAYS.items())
    parts.append(f"## Refusals\n\nAny path but the page may give these, too:\n\n| status | when |\n|---|---|\n{told}\n")
    parts.append("## Values\n")
    for name, schema in sorted(document["components"]["schemas"].items()):
        if "properties" not in schema or name in ("HTTPValidationError", "ValidationError"):
            continue
        rows = [_row(key, value) for key, value in schema["properties"].items()]
        parts.append(f"### {name}\n\n{_prose(schema.get('description', ''))}\n")
        parts.append("\n".join(["| key | type | what |", "|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _row(key: str, schema: dict[str, Any]) -> str:
    return f"| `{key}` | {_type(schema)} | {_cell(schema.get('description', ''))} |"


def _parameter(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    default = schema.get("default")
    shown = "" if default in (None, [], False) else f", default {default}"
    needed = ", required" if parameter.get("required") else ""
    said = parameter.get("description") or schema.get("description", "")
    return f"| `{parameter['name']}` | {_type(schema)}{needed}{shown} | {_cell(said)} |"


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    bounds = [f"{word} {int(schema[key]):,}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema]
    return " ".join([str(schema.get("type", "any")), *bounds])


def tables() -> str:
    """The tables of an index's database."""
    from semsearch.store.database import FORMAT, SCHEMA

    return f"Format {FORMAT}:\n\n```sql\n{SCHEMA.strip()}\n```\n"


def capacity(name: str) -> str:
    """A table of the capacity plan."""
    spec = importlib.util.spec_from_file_location("capacity", ROOT / "benchmarks" / "capacity.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules.setdefault("capacity", importlib.util.module_from_spec(spec))
    if not hasattr(module, "FIGURES"):
        spec.loader.exec_module(module)
    made: dict[str, str] = module.tables(module.planned())
    return made[name]


CAPACITY = ("figures", "passage", "storage", "encoding", "asking", "engines", "year", "numbers")
GENERATED: dict[str, Callable[[], str]] = {
    "commands": commands,
    "http": http,
    "tables": tables,
    **{f"capacity_{name}": partial(capacity, name) for name in CAPACITY},
}


def renewed(markdown: str) -> str:
    """A page with its generated parts made anew."""
    return _GENERATED.sub(lambda match: f"{match[1]}\n{GENERATED[match[2]]().strip()}\n\n{match[3]}", markdown)


# Parts of other documents.


def included(markdown: str) -> str:
    """A page with what it includes in its place."""
    return _INCLUDED.sub(lambda match: part(match[1], match[2]), markdown)


def part(name: str, anchor: str | None = None) -> str:
    """A document, or what stands below one of its headings of the second level, up to the next one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if anchor is not None:
        sections = re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
        known = {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")): section for heading, section in sections}
        if anchor not in known:
            raise ValueError(f"{name} has no heading #{anchor}")
        text = known[anchor]
    # What it links to is not on the site.
    return _LINK.sub(r"`\1`", text).strip()


# What mkdocs calls.


def on_files(files: Any, config: Any) -> Any:
    """The pictures, which lie beside the script that draws them."""
    from mkdocs.structure.files import File

    for path in (ICON, *sorted(PICTURES.iterdir())):
        files.append(File.generated(config, f"pictures/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with what it includes, and with the pictures where they lie on the site."""
    return pictured(included(markdown), page.file.src_uri.count("/"))


def pictured(markdown: str, depth: int) -> str:
    """A page with each picture for two themes as the theme has it.

    :param depth: how many folders the page lies in.
    """
    switched = _PICTURE.sub(r"![\2](\3#only-light)\n![\2](\1#only-dark)", markdown)
    return _AT_PICTURES.sub("../" * depth + "pictures/", switched)


def on_post_build(config: Any) -> None:
    """Refuse a site that loads anything from elsewhere."""
    from mkdocs.exceptions import PluginError

    site = Path(config["site_dir"])
    for script in site.rglob("bundle.*.js"):
        text = script.read_text(encoding="utf-8")
        for address in _THEME_FETCHES:
            text = text.replace(address, "/nowhere/")
        script.write_text(text, encoding="utf-8")
    found = [(path, load) for path in files_of(site) for load in loads(path.read_text(encoding="utf-8"))]
    if found:
        told = "; ".join(f"{path.relative_to(site)}: {load}" for path, load in sorted(found)[:10])
        raise PluginError(f"the site would load from elsewhere: {told}")


def files_of(site: Path) -> Iterator[Path]:
    """The files of a built site in which something may be loaded from elsewhere."""
    for suffix in ("html", "css", "js", "svg"):
        yield from site.rglob(f"*.{suffix}")


def loads(text: str) -> list[str]:
    """What a page, a style sheet, a script or a picture would load from another host; links are no loads."""
    return [match[0][:200] for match in _LOADS.finditer(text)]


def main() -> None:
    """Write the generated parts of all pages anew."""
    for page in sorted(PAGES.rglob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = renewed(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            sys.stdout.write(f"{page.relative_to(ROOT)}\n")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
