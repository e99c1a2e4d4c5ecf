"""reStructuredText to blocks: docutils makes HTML of it, `html` reads that.

Nothing is included from other files, no code is run, no configuration is read. What docutils does not know, Sphinx's own words
(``:ref:``, ``.. glossary::``) and those of its many extensions, is taken for what a reader sees of it: a role is its text, a
directive its content below its argument, if that reads as words.

Deliberately not here: what Sphinx makes of its words across files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from semsearch.articles import html
from semsearch.articles.documents.draft import Draft, blocks_of
from semsearch.articles.outline import LINE
from semsearch.errors import InputError

__all__ = ["read"]

_LITERAL_ROLES = (
    "abbr command dfn file guilabel kbd mailheader makevar manpage menuselection mimetype newsgroup program regexp samp"
)
"""Roles whose text is shown as it stands, what looks like the target of a link included."""
_CODE = (
    "code code-block code-cell doctest highlight-block ipython jupyter-execute productionlist prompt sourcecode testcode"
    " testoutput"
)
_SILENT = (
    "autosummary bibliography codeauthor contents default-domain digraph graph graphviz highlight include index"
    " inheritance-diagram literalinclude mermaid plot program-output raw sectionauthor sectnum tabularcolumns tags testcleanup"
    " testsetup toctree uml youtube"
)
"""Directives of which a reader sees nothing, or what is not in the file."""
_CONTENT_ALONE = re.compile(
    r"auto.*|(?:.*:)?(?:currentmodule|module|namespace(?:-push|-pop)?)|cssclass|grid|hlist|ifconfig|only|program|rst-class|tab-set|tabs"
)
"""Directives whose argument a reader does not see."""
_DESCRIBED = (
    "attribute class classmethod cmdoption confval data describe envvar exception function glossary method object option property"
    " staticmethod versionadded versionchanged versionremoved deprecated"
)
"""Directives whose argument is shown, whatever it looks like; so is that of each in a domain (``c:function``)."""
_WORD = re.compile(r"[^\W\d_][\w'’-]*[.!?:]?")
_TITLES = ("title", "caption", "header")
"""Options that are shown."""
_TARGET = re.compile(r"\s*<[^<>]*>\Z")
_PARAGRAPH = re.compile(r"(</?)p\b")
_OTHER_LINE_ENDS = re.compile("[\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
_MARKER = re.compile(r"\A\.\. [^\n]*?::(?:[ \t]+|(?=\n|\Z))(?:\n?[ \t]+:[^:\n]+:[^\n]*(?=\n|\Z))*")
_ERROR = 3
"""From this level of docutils' messages on, what one is about is in no other place of the tree."""


def read(text: str) -> Iterator[Draft]:
    """The article.

    :raises InputError: if it has no text.
    """
    from docutils.core import publish_parts
    from docutils.utils import SystemMessage

    text = _OTHER_LINE_ENDS.sub(" ", text)
    settings = {
        "_disable_config": True,
        "doctitle_xform": True,
        "embed_stylesheet": False,
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
        with _all_known():
            reader, writer = _reader_and_writer()
            parts = publish_parts(text, reader=reader(), writer=writer(), settings_overrides=settings)
    except (SystemMessage, ValueError, AttributeError, TypeError, LookupError) as error:
        raise InputError(f"reStructuredText that cannot be read ({type(error).__name__})") from error
    subtitle = _PARAGRAPH.sub(r"\1h2", parts["html_subtitle"])
    found = html.walked(html.flat_cells(f"<html><body>{parts['html_title']}{subtitle}{parts['body']}</body></html>"))
    if found is None or not found.pieces:
        raise InputError("no text in this file")
    # Offsets count in the extracted text; lines, which an editor can open, in the file.
    blocks = [replace(block, line=line) for block, line in zip(blocks_of(found.pieces), found.lines, strict=True)]
    title = html.plain_text(parts["title"]) if parts["title"] else ""
    yield Draft(title, _docinfo(parts["docinfo"]), blocks)


def _docinfo(fields: str) -> dict[str, Any]:
    """The fields that stand below a title (``:Author: ...``)."""
    found = re.findall(r'<dt class="([\w -]+?)(?: simple)?"?>.*?</dt>\s*<dd class="[^"]*">(.*?)</dd>', fields, re.DOTALL)
    return {
        name: text for name, text in ((name.split()[0], html.plain_text(text)) for name, text in found if text.strip()) if text
    }


@contextmanager
def _all_known() -> Iterator[None]:
    """Have docutils know each role and directive, as long as this lasts; what a file defines goes with it."""
    from docutils.parsers.rst import directives, roles

    known_directive, known_role, defined = directives.directive, roles.role, dict(roles._roles)

    def directive(name: str, language: Any, document: Any) -> Any:
        folded = name.lower()
        if folded in _SILENT.split():
            return _directives().silent, []
        if folded in _CODE.split():
            return _directives().code, []
        # Of one name with another of docutils, which shows nothing.
        found, _ = (None, []) if folded == "class" else known_directive(name, language, document)
        return (_directives().content if found is None else _lenient(found)), []

    def role(name: str, language: Any, line: int, reporter: Any) -> Any:
        found, _ = known_role(name, language, line, reporter) if name.lower() not in _LITERAL_ROLES.split() else (None, [])
        return (_shown if found is None else found), []

    directives.directive, roles.role = directive, role
    try:
        yield
    finally:
        directives.directive, roles.role = known_directive, known_role
        roles._roles.clear()
        roles._roles.update(defined)


def _shown(name: str, raw: str, text: str, *_: Any, **_options: Any) -> Any:
    """What a reader sees of a role."""
    from docutils import nodes

    said = text if name.lower() in _LITERAL_ROLES.split() else _TARGET.sub("", text).lstrip("~!")
    return [nodes.inline(raw, nodes.unescape(said or text))], []


@cache
def _lenient(directive: Any) -> Any:
    """A directive that takes options which it does not know, rather than be lost with all of its content."""
    options = getattr(directive, "option_spec", None)
    if not isinstance(directive, type) or not options:
        return directive
    return type(directive.__name__, (directive,), {"option_spec": _AnyOptions(options)})


class _AnyOptions(dict[str, Any]):
    """A specification of options that knows every name."""

    def __missing__(self, name: str) -> Any:
        from docutils.parsers.rst import directives

        return directives.unchanged


class _Directives(NamedTuple):
    """Classes that can be written only when docutils is there."""

    content: Any
    code: Any
    silent: Any


@cache
def _directives() -> _Directives:
    from docutils import nodes
    from docutils.parsers.rst import Directive, states
    from docutils.statemachine import StringList

    class Content(Directive):  # type: ignore[misc]
        optional_arguments = 1
        final_argument_whitespace = True
        option_spec = _AnyOptions({"": None})
        has_content = True

        def run(self) -> list[Any]:
            argument = self.arguments[0] if self.arguments else ""
            if isinstance(self.state, states.SubstitutionDef):
                return [nodes.Text(argument)] if argument else []
            container = nodes.container()
            # So that what is put into it is told its line.
            container.document = self.state.document
            if argument and self.begins_below:
                lines = argument.splitlines()
                self.parse(StringList(lines, items=[(None, self.lineno + at) for at in range(len(lines))]), container)
            elif argument:
                container += self.shown(argument)
            for name in _TITLES:
                if self.options.get(name):
                    container += self.shown(self.options[name], always=True)
            self.parse(self.content, container)
            return [container] if container.children else []

        @property
        def begins_below(self) -> bool:
            """Whether what docutils took for the argument is the content, right below the name."""
            return str(self.block_text).partition("\n")[0].rstrip().endswith((f"{self.name}::", f"{self.name} ::"))

        def shown(self, argument: str, *, always: bool = False) -> list[Any]:
            """Paragraphs of an argument: of a described thing, each line is one as it stands."""
            name = self.name.lower()
            if ":" in name or name in _DESCRIBED.split() or "(" in argument:
                shown = not _CONTENT_ALONE.fullmatch(name)
                paragraphs = [nodes.paragraph("", line) for line in argument.splitlines()] if shown or always else []
            elif always or (not _CONTENT_ALONE.fullmatch(name) and _reads_as_words(argument)):
                inline, _ = self.state.inline_text(" ".join(argument.split()), self.lineno)
                paragraphs = [nodes.paragraph("", "", *inline)]
            else:
                return []
            for paragraph in paragraphs:
                paragraph.line = self.lineno
            return paragraphs

        def parse(self, lines: Any, container: Any) -> None:
            """What stands in some lines; a heading there is one of its own, as in the files that Sphinx puts together."""
            memo = self.state.memo
            styles, level = memo.title_styles, memo.section_level
            memo.title_styles, memo.section_level = [], 0
            try:
                self.state.nested_parse(lines, self.content_offset, container, match_titles=True)
            finally:
                memo.title_styles, memo.section_level = styles, level

    class Code(Content):
        def run(self) -> list[Any]:
            above = self.arguments if self.arguments and self.begins_below else []
            code = "\n".join([*above, *self.content]).strip("\n")
            block = nodes.literal_block(code, code)
            block.line = self.content_offset + 1 if self.content else self.lineno + 1
            caption = self.options.get("caption")
            return [*(self.shown(caption, always=True) if caption else []), *([block] if code.strip() else [])]

    class Silent(Content):
        def run(self) -> list[Any]:
            return []

    return _Directives(Content, Code, Silent)


@cache
def _reader_and_writer() -> tuple[Any, Any]:
    """The classes by which docutils reads and writes."""
    from docutils import nodes
    from docutils.readers import standalone
    from docutils.transforms import Transform
    from docutils.writers import html5_polyglot

    class Kept(Transform):  # type: ignore[misc]
        """Shows what docutils could make nothing of (a malformed table, a heading in a list) as it stands in the file."""

        default_priority = 100

        def apply(self) -> None:
            for title in self.document.findall(nodes.title):
                # Of a heading, docutils tells the line below; of one that becomes a subtitle, what is in it alone is kept.
                if title.line and title.children and isinstance(title.parent, nodes.section):
                    title.line = title[0].line = max(title.line - 1, 1)
            for message in list(self.document.findall(nodes.system_message)):
                source = next(iter(message.findall(nodes.literal_block)), None)
                said = _MARKER.sub("", source.astext()) if source is not None and message["level"] >= _ERROR else ""
                if re.search(r"\w", said):
                    block = nodes.literal_block(said, said)
                    block.line = message.get("line")
                    message.replace_self(block)

    class Reader(standalone.Reader):  # type: ignore[misc]
        def get_transforms(self) -> list[Any]:
            return [*super().get_transforms(), Kept]

    class Translator(html5_polyglot.HTMLTranslator):  # type: ignore[misc]
        """Tells with each element in which line of the file it begins."""

        def starttag(self, node: Any, tagname: str, suffix: str = "\n", empty: bool = False, **attributes: Any) -> str:
            line = getattr(node, "line", None)
            if not line and isinstance(node, nodes.Element):
                line = next((part.line for part in node.findall() if part.line), None)
            if line:
                attributes[LINE] = str(line)
            return str(super().starttag(node, tagname, suffix, empty, **attributes))

        def visit_image(self, node: Any) -> None:
            # The option ":loading: embed" reads the image's file, whatever "file_insertion_enabled" says.
            node.attributes.pop("loading", None)
            super().visit_image(node)

    class Writer(html5_polyglot.Writer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.translator_class = Translator

    return Reader, Writer


def _reads_as_words(argument: str) -> bool:
    """Whether an argument is text, rather than a path, an address, a name in code or a number of columns."""
    words = argument.split()
    return bool(_WORD.fullmatch(argument)) if len(words) == 1 else any(_WORD.fullmatch(word.strip("*`\"'(),")) for word in words)
