"""reStructuredText to blocks: docutils makes HTML of it, `html` reads that.

Nothing is included from other files, no code is run, no configuration is read. Sphinx's own words (``:ref:`` and the like) are
taken for what a reader sees of them.

Deliberately not here: what Sphinx makes of its words across files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from semsearch.articles import html
from semsearch.articles.documents.draft import Draft, blocks_of
from semsearch.errors import InputError

__all__ = ["read"]

_ROLES = (
    "abbr attr c:func class command const cpp:class data dfn doc download envvar exc file func guilabel kbd keyword mailheader"
    " makevar manpage menuselection meth mimetype mod newsgroup numref obj option pep program py:attr py:class py:const py:data"
    " py:exc py:func py:meth py:mod py:obj ref regexp rfc samp term token"
)
_CONTENT = (
    "centered deprecated hlist index-note only seealso tab tabs tab-set tab-item versionadded versionchanged versionremoved"
)
_CODE = "code-block highlight-block sourcecode doctest prompt"
_SILENT = (
    "autoclass autoexception autofunction automodule automethod bibliography currentmodule graphviz highlight include index"
    " literalinclude mermaid module plot py:currentmodule py:module sectionauthor tabularcolumns toctree uml"
)
_DESCRIBED = (
    "attribute c:function class classmethod cmdoption confval data describe envvar exception function method option property"
    " py:attribute py:class py:data py:exception py:function py:method program staticmethod"
)
_ASIDE = re.compile(r"(?<=<)aside\b|(?<=</)aside\b")
"""A note is text."""
_TARGET = re.compile(r"\s*<[^<>]*>\Z")


def read(text: str) -> Iterator[Draft]:
    """The article.

    :raises InputError: if it has no text.
    """
    from docutils.core import publish_parts
    from docutils.utils import SystemMessage

    _know_sphinx()
    settings = {
        "_disable_config": True,
        "doctitle_xform": True,
        "file_insertion_enabled": False,
        "halt_level": 5,
        "initial_header_level": 1,
        "line_length_limit": 10_000_000,
        "raw_enabled": False,
        "report_level": 5,
        "sectnum_xform": False,
        "smart_quotes": False,
        "syntax_highlight": "none",
    }
    try:
        parts = publish_parts(text, writer="html5", settings_overrides=settings)
    except (SystemMessage, ValueError, AttributeError, TypeError, LookupError) as error:
        raise InputError(f"reStructuredText that cannot be read ({type(error).__name__})") from error
    pieces = html.outline(f"<html><body>{parts['html_title']}{_ASIDE.sub('div', parts['body'])}</body></html>")
    if not pieces:
        raise InputError("no text in this file")
    yield Draft(html.plain_text(parts["title"]) if parts["title"] else "", _docinfo(parts["docinfo"]), blocks_of(pieces))


def _docinfo(fields: str) -> dict[str, Any]:
    """The fields that stand below a title (``:Author: ...``)."""
    found = re.findall(r'<dt class="([\w -]+?)(?: simple)?"?>.*?</dt>\s*<dd class="[^"]*">(.*?)</dd>', fields, re.DOTALL)
    return {
        name: text for name, text in ((name.split()[0], html.plain_text(text)) for name, text in found if text.strip()) if text
    }


@cache
def _know_sphinx() -> None:
    """Have docutils take Sphinx's roles and directives for what they show."""
    from docutils import nodes
    from docutils.parsers.rst import Directive, directives, roles

    def shown(_name: str, raw: str, text: str, *_: Any, **_options: Any) -> Any:
        said = _TARGET.sub("", text).lstrip("~!")
        return [nodes.inline(raw, said or text)], []

    class Content(Directive):  # type: ignore[misc]
        optional_arguments = 1
        final_argument_whitespace = True
        has_content = True

        def run(self) -> list[Any]:
            container = nodes.container()
            if self.arguments and self.name not in ("only", "tab-set", "tabs"):
                container += nodes.paragraph("", " ".join(self.arguments))
            self.state.nested_parse(self.content, self.content_offset, container)
            return [container]

    class Code(Content):
        def run(self) -> list[Any]:
            code = "\n".join(self.content)
            return [nodes.literal_block(code, code)] if code.strip() else []

    class Silent(Content):
        def run(self) -> list[Any]:
            return []

    # Options that are not known would cost the whole directive.
    anything = _AnyOptions(directives.unchanged)
    for name in _ROLES.split():
        roles.register_local_role(name, shown)
    for names, kind in ((_CONTENT + " " + _DESCRIBED, Content), (_CODE, Code), (_SILENT, Silent)):
        for name in names.split():
            directives.register_directive(name, type("Known", (kind,), {"option_spec": anything}))


class _AnyOptions(dict[str, Any]):
    """A specification of options that knows every name."""

    def __init__(self, convert: Any) -> None:
        super().__init__({"": convert})
        self._convert = convert

    def __getitem__(self, name: str) -> Any:
        return self._convert
