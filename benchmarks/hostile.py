"""What bad input costs: articles and questions made to hurt, at one size and at four times as much.

Each kind of article is read, cut into passages and cut into words, in a process of its own; each kind of question is asked of an
index of a few articles in all three modes. Figures: seconds at each size, the exponent by which they grow (1 is linear; told
only where the longer run took a second or more, since below that it is mostly noise) and what was raised that is no `InputError`
(wanted: nothing).

    python benchmarks/hostile.py [--size 100000] [--question-size 250000] [--only NAME]
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common import machine, save

import semsearch
from semsearch import articles, passages
from semsearch.articles import SourceFile
from semsearch.errors import InputError
from semsearch.lexical.analysis import Analyzer
from semsearch.lexical.languages import languages
from semsearch.records import Article

WORDS = "The council met in the old town and said nothing of the oil that was found. "
JSON_LD = '<script type="application/ld+json">'
TOLD_FROM = 1.0
LIMIT = 60
"""Seconds after which a run is given up."""

Maker = Callable[[int], str | bytes]


def _rows(piece: str) -> Maker:
    """The same piece over and over."""
    return lambda size: piece * (size // len(piece))


def _around(before: str, piece: str, after: str) -> Maker:
    return lambda size: before + piece * (size // len(piece)) + after


def _nested(opening: str, closing: str, middle: str = WORDS) -> Maker:
    def make(size: int) -> str:
        depth = size // (len(opening) + len(closing))
        return opening * depth + middle + closing * depth

    return make


def _numbered(form: str) -> Maker:
    """A form with a number in it that is never the same."""
    return lambda size: "".join(form.format(at) for at in range(size // max(1, len(form) + 3)))


def _page(maker: Maker) -> Maker:
    def make(size: int) -> str:
        made = maker(size)
        assert isinstance(made, str)
        return f"<!DOCTYPE html><html><head><title>T</title></head><body><p>{WORDS * 5}</p>{made}<p>{WORDS}</p></body></html>"

    return make


def _runs_of(mark: str) -> Maker:
    """Runs of a mark, each one longer than the last."""

    def make(size: int) -> str:
        longest = int(math.sqrt(2 * size))
        return " ".join(mark * length for length in range(1, longest))

    return make


def _table(size: int) -> str:
    columns = int(math.sqrt(size / 4))
    row = "|" + "a|" * columns + "\n"
    return row + "|" + "-|" * columns + "\n" + row * (columns // 2)


def _wide_table(size: int) -> str:
    columns = size // 8
    return "|" + "a|" * columns + "\n|" + "-|" * columns + "\n" + "|b|\n" * (columns // 2)


def _entities(size: int) -> str:
    bomb = "".join(f'<!ENTITY e{at} "{f"&e{at - 1};" * 10 if at else "ha"}">' for at in range(12))
    body = f"<p>{WORDS * 3}&e11;</p>" + "<p>&e11;</p>" * (size // 12)
    return f'<?xml version="1.0"?><!DOCTYPE html [{bomb}]><html><body>{body}</body></html>'


def _svg(size: int) -> str:
    return _entities(size).replace("<body>", "<body><svg xmlns='http://www.w3.org/2000/svg'><text>&e11;</text></svg>")


def _record(form: str, piece: str) -> Maker:
    return lambda size: form.replace("@", piece * (size // len(piece)))


def _headings(size: int) -> str:
    return "".join(f"{'#' * (1 + at % 6)} Heading {at}\n\n{WORDS}\n\n" for at in range(size // 100))


def _lone_headings(size: int) -> str:
    return "".join(f"{'#' * (1 + at % 2)} H{at}\n" for at in range(size // 9))


def _long_title(size: int) -> str:
    return f"# {'very ' * (size // 10)}\n\n" + f"{WORDS * 3}\n\n" * (size // (2 * 3 * len(WORDS)))


def _front_matter(inside: str) -> Maker:
    return lambda size: f"---\n{inside.replace('@', 'x' * 8)}\n---\n\n{WORDS * (size // len(WORDS))}"


def _marks(size: int) -> str:
    return "e" + "\u0301\u0323\u0301\u0327" * (size // 4)


ARTICLES: dict[str, tuple[str, Maker]] = {
    "ordinary text": (".txt", lambda size: f"{WORDS * 4}\n\n" * (size // (4 * len(WORDS)))),
    "ordinary Markdown": (".md", lambda size: f"## Head\n\n{WORDS * 4} *so* [it](http://x.y) was.\n\n" * (size // 350)),
    "ordinary HTML": (".html", _page(lambda size: f"<h2>Head</h2><p>{WORDS * 4}</p>\n" * (size // 330))),
    "invalid UTF-8": (".txt", lambda size: (b"caf\xe9 \xff\xfe na\xc3\xafve. " * (size // 20))),
    "random bytes": (".txt", lambda size: bytes((at * 7919 + at // 251) % 255 + 1 for at in range(size))),
    "other encoding": (".txt", lambda size: ("Под вечер совет собрался в старом городе. " * (size // 40)).encode("cp1251")),
    "UTF-16": (".txt", lambda size: ("\ufeff" + WORDS * (size // (2 * len(WORDS)))).encode("utf-16-le")),
    "UTF-32 of nothing": (".txt", lambda size: b"\xff\xfe\0\0" + b"\xff" * size),
    "one line": (".txt", _rows(WORDS)),
    "one word": (".txt", _rows("x")),
    "one word of Markdown": (".md", _rows("x")),
    "one word in HTML": (".html", _page(_rows("x"))),
    "one line of letters without space": (".txt", _rows("水")),
    "white space": (".txt", _around("a", " ", "b")),
    "tabs in Markdown": (".md", _around("a", "\t", "b")),
    "short lines": (".txt", _rows("a b\n")),
    "short paragraphs": (".txt", _rows("a b\n\n")),
    "carriage returns": (".txt", _rows("a.\r")),
    "full stops": (".txt", _rows(".")),
    "sentence ends": (".txt", _rows("A. ")),
    "question marks": (".txt", _rows("?!")),
    "ellipses": (".txt", _rows("…) ")),
    "quotation marks": (".txt", _rows('"')),
    "open quotation marks": (".txt", _rows("“A. ")),
    "capitals and odd spaces": (".txt", _rows("A\u00a0B\u2003")),
    "emoji": (".txt", _rows("👩\u200d👩\u200d👧")),
    "combining marks": (".txt", _marks),
    "bidirectional": (".txt", _rows("\u202eab\u2066\u200f ")),
    "zero width": (".txt", _rows("\u200b")),
    "controls": (".txt", _rows("\x01\x1b[31m\x07 ")),
    "acronyms": (".txt", _rows("a.")),
    "thousands": (".txt", _rows("1,000,")),
    "Thai with marks": (".txt", _around("ก", "\u0e49", "")),
    "100,000 headings": (".md", _headings),
    "headings alone": (".md", _lone_headings),
    "a title of half the file": (".md", _long_title),
    "[": (".md", _rows("[")),
    "[[]": (".md", _rows("[[]")),
    "![": (".md", _rows("![")),
    "](": (".md", _rows("](")),
    "[a](": (".md", _rows("[a](")),
    "[a](<": (".md", _rows("[a](<b")),
    "[a](b \"": (".md", _rows('[a](b "')),
    "nested images": (".md", _nested("![", "](a)")),
    "nested links": (".md", _nested("[", "](a)")),
    "links": (".md", _rows("[a](b) ")),
    "links with titles": (".md", _rows('[a](b "c]d") ')),
    "links that are not told by their text": (".md", _rows("[&amp;](b) \\[ ")),
    "autolinks": (".md", _rows("<http://a.b/%C3%A9> ")),
    "autolinks with backslashes": (".md", _rows("<http://a.b/\\> ")),
    "*": (".md", _rows("*")),
    "*a **a": (".md", _rows("*a **a ")),
    "a**b": (".md", _rows("a**b")),
    "a***b*": (".md", _rows("***a* ")),
    "_ and *": (".md", _rows("*_")),
    "~~": (".md", _rows("~~a")),
    "` of all lengths": (".md", _runs_of("`")),
    "* of all lengths": (".md", _runs_of("*")),
    "`a``": (".md", _rows("`a`` ")),
    "~ fences": (".md", _rows("~~~\n\n")),
    ">": (".md", _rows(">")),
    "> in lines": (".md", _rows("> a\nb\n")),
    "quotes of all depths": (".md", lambda size: "\n".join(">" * at for at in range(int(math.sqrt(2 * size))))),
    "- - -": (".md", _rows("- ")),
    "- in lines": (".md", _rows("- a\n")),
    "lists of all depths": (".md", lambda size: "\n".join(" " * 2 * at + "- a" for at in range(int(math.sqrt(size))))),
    "lists 30 deep": (".md", lambda size: "\n".join(" " * 2 * (at % 30) + "- a" for at in range(size // 34))),
    "numbers": (".md", _rows("1. ")),
    "definitions": (".md", _numbered("[a{}]: http://x.y\n")),
    "definitions that are none": (".md", _rows("[a]: <b\n")),
    "long definitions": (".md", _rows("[a\n")),
    "definitions used": (".md", lambda size: _numbered("[a{}]: b\n")(size // 2) + "\n" + _numbered("[a{}] ")(size // 2)),
    "table": (".md", _table),
    "wide table": (".md", _wide_table),
    "table rows": (".md", _around("|a|b|\n|-|-|\n", "|c|d|\n", "")),
    "escapes": (".md", _rows("\\*")),
    "escaped pipes": (".md", _around("|a|\n|-|\n|", "\\|b ", "|\n")),
    "entities": (".md", _rows("&amp;&#65;")),
    "&": (".md", _rows("&")),
    "<": (".md", _rows("<")),
    "<a": (".md", _rows("<a ")),
    "<!--": (".md", _rows("<!-- ")),
    "a<!--": (".md", _around("a ", "<!-- a", "")),
    "a<?": (".md", _around("a ", "<?", "")),
    "a<![CDATA[": (".md", _around("a ", "<![CDATA[", "")),
    "<!A": (".md", _around("a ", "<!A", "")),
    "HTML blocks": (".md", _rows("<div>\n\n")),
    "HTML inline": (".md", _rows("a <b>c</b> ")),
    "front matter of aliases": (
        ".md",
        _front_matter("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]"),
    ),
    "front matter that is deep": (".md", _front_matter("a: " + "[" * 30_000)),
    "front matter of a huge number": (".md", _front_matter("a: 0x" + "f" * 60_000)),
    "front matter in base 60": (".md", _front_matter("a: 1" + ":59" * 20_000)),
    "front matter in blocks": (".md", _front_matter("- " * 30_000)),
    "front matter that never ends": (".md", _around("---\na: b\n", "c: d\n", "")),
    "records": (".jsonl", _rows('{"text": "Some text of a record."}\n')),
    "record of one text": (".jsonl", _record('{"text": "@"}', "word ")),
    "record with a title": (".jsonl", _record('{"text": "x\\n\\n@", "title": "@"}', "The words of it. \\n\\n")),
    "record of keys": (".jsonl", lambda size: '{"text": "x"' + _numbered(', "k{}": 1')(size) + "}"),
    "record of one key": (".jsonl", _record('{"text": "x"@}', ', "k": 1')),
    "record that is deep": (".jsonl", _record('{"text": "x", "a": @', "[")),
    "record of objects": (".jsonl", _record('{"text": "x", "a": @', '{"a":')),
    "record of a huge number": (".jsonl", _record('{"text": "x", "a": @}', "9")),
    "record of escapes": (".jsonl", _record('{"text": "@"}', "\\ud800")),
    "record of NaN": (".jsonl", _record('{"text": "x", "a": [@ 1]}', "NaN,")),
    "lines that are no records": (".jsonl", _rows("{\n")),
    "entity bomb": (".html", _entities),
    "entity bomb in SVG": (".html", _svg),
    "entities in HTML": (".html", _page(_rows("&amp;&lt;&#65;"))),
    "nested": (".html", _page(_nested("<div>", "</div>"))),
    "nested tables": (".html", _page(_nested("<table><tr><td>", "</td></tr></table>"))),
    "nested 200 deep": (".html", _page(_rows("<div>" * 200 + "a" + "</div>" * 200))),
    "nested 200 deep around": (".html", _page(lambda size: "<div>" * 200 + "<i></i>" * (size // 7) + "</div>" * 200)),
    "tables 60 deep": (".html", _page(_rows("<table><tr><td>" * 60 + WORDS + "</td></tr></table>" * 60))),
    "open": (".html", _page(_rows("<div>"))),
    "open paragraphs": (".html", _page(_rows("<p>a"))),
    "open and inline": (".html", _page(_rows("<b>"))),
    "open and crossed": (".html", _page(_rows("<b><i></b>"))),
    "open lists": (".html", _page(_rows("<ul><li>a"))),
    "never closed tag": (".html", _page(_rows("<a href='"))),
    "closing tags": (".html", _page(_rows("</p></div>"))),
    "comment": (".html", _page(_around("<!--", "a ", "-->"))),
    "comments": (".html", _page(_rows("<!-- a -->b"))),
    "open comments": (".html", _page(_rows("<!-- a"))),
    "attributes": (".html", _page(lambda size: "<p" + _numbered(" a{}=1")(size) + ">Text</p>")),
    "the same attribute": (".html", _page(_around("<p", " a=1", ">Text</p>"))),
    "classes": (".html", _page(lambda size: "<p class='" + _numbered("c{} ")(size) + "'>Text</p>")),
    "data address": (".html", _page(_around('<img src="data:image/png;base64,', "QUJD", '"><p>Text</p>'))),
    "data addresses": (".html", _page(_rows(f'<img src="data:image/png;base64,{"QUJD" * 20}">a '))),
    "scripts": (".html", _page(_rows("<script>x</script>abc "))),
    "pictures": (".html", _page(_rows("<svg><path/></svg>abc "))),
    "hidden parts": (".html", _page(_rows("<b hidden>x</b>abc "))),
    "breaks": (".html", _page(_rows("a<br>"))),
    "short blocks": (".html", _page(_rows("<p>I</p>\n"))),
    "spans": (".html", _page(_rows("<span>I</span>"))),
    "links in HTML": (".html", _page(_rows('<a href="/a">a</a> '))),
    "list items": (".html", _page(_around("<ul>", "<li>a b c", "</ul>"))),
    "definitions in HTML": (".html", _page(_around("<dl>", "<dt>a<dd>b", "</dl>"))),
    "cells": (".html", _page(_around("<table><tr>", "<td>a", "</table>"))),
    "rows": (".html", _page(_around("<table>", "<tr><td>a<td>b", "</table>"))),
    "headings in HTML": (".html", _page(_rows("<h2>a</h2>"))),
    "headings and text in HTML": (".html", _page(_numbered("<h2>Head {}</h2><p>It was said so in the old town.</p>"))),
    "meta tags": (".html", lambda size: '<meta name="author" content="a">' * (size // 32) + f"<p>{WORDS}</p>"),
    "dates": (".html", _page(_rows("<p>2020-01-01 and 3 May 2021, 01/02/2022.</p>"))),
    "addresses": (".html", _page(_rows("<p>http://a.b/2020/01/01/x</p>"))),
    "pre": (".html", _page(_around("<pre>", "a b\n", "</pre>"))),
    "forms": (".html", _page(_rows("<form><input><select><option>a</select></form>"))),
    "articles in one page": (".html", _page(_numbered("<article><h1>T{}</h1><p>It was said so in the old town.</p></article>"))),
    "JSON in a page": (".html", _page(_around(f'{JSON_LD}{{"@type":"Article","author":[', '{"name":"a"},', "]}</script>"))),
    "no markup": (".html", _rows(WORDS)),
    "< in HTML": (".html", _page(_rows("<"))),
    "& in HTML": (".html", _page(_rows("&"))),
    "charset of another kind": (".html", lambda size: b"<meta charset=utf16><p>" + WORDS.encode() * (size // len(WORDS))),
    "charset of a slow kind": (".html", _around(f"<meta charset=punycode><p>{WORDS}-", "a", "")),
    "nested 900 deep around": (".html", _page(lambda size: "<div>" * 900 + "<i>a</i>" * (size // 8) + "</div>" * 900)),
    "tables 300 deep around": (
        ".html",
        _page(lambda size: "<table><tr><td>" * 300 + "<i>a</i>" * (size // 8) + "</table>" * 300),
    ),
    "headers in headers": (".html", _page(lambda size: "<header>" * 300 + "<i>a</i>" * (size // 8))),
}  # fmt: skip


def count_tokens(texts: Sequence[str]) -> list[int]:
    """As most tokenizers do it: words, and each mark by itself."""
    return [len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]


def read(name: str, suffix: str, data: str | bytes) -> int:
    """Take an article through everything that is done with it but the model; how many passages it has."""
    file = SourceFile(Path(f"/hostile/{name}{suffix}"), f"{name}{suffix}")
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    analyzer = Analyzer("en")
    count = 0
    for item in articles.read(file, raw):
        if not isinstance(item, Article):
            continue
        cut = passages.cut(item, 250, count_tokens)
        texts = [passage.text for passage in cut]
        languages(item.title, texts, item.metadata.get("language"))
        for passage in cut:
            if analyzer:
                analyzer.terms(passages.context(item.title, passage.headings) + passage.text)
        count += len(cut)
    return count


QUESTIONS: dict[str, Maker] = {
    "ordinary": lambda size: "what did the council say of the oil? " * (size // 37),
    "one word": _rows("x"),
    "one word without spaces between": _rows("水"),
    "distinct words": _numbered("w{} "),
    "distinct words beyond ASCII": _numbered("é{} "),
    "quotation marks": _rows('"'),
    "typographic quotation marks": _rows("“"),
    "guillemets": _rows("«»"),
    "phrases": _numbered('"oil w{}" '),
    "phrases that are found": _rows('"the oil" '),
    "one phrase": _around('"', "the oil ", '"'),
    "one phrase of distinct words": lambda size: '"' + _numbered("w{} ")(size) + '"',
    "query syntax": _rows('row:1 +a -b && || !(c) {d} [e TO f]^2 "g"~3 h* i? : \\ / AND OR NOT IN *:* '),
    "brackets": _rows("("),
    "backslashes": _rows("\\"),
    "surrogates": _rows("\ud800"),
    "NUL": _rows("\0a"),
    "emoji": _rows("🙂"),
    "combining marks": _marks,
    "Thai with marks": _around("ก", "\u0e49", ""),
    "right to left": _rows("\u202eשלום\u200f "),
    "zero width": _rows("\u200b"),
    "white space": _around("oil", " ", "gas"),
    "stop words": _rows("the of and "),
    "capitals": _numbered("A{}B "),
    "acronyms": _rows("u.s."),
    "thousands": _rows("1,000,"),
    "controls": _rows("\x1b[31m"),
    "lines": _rows("oil\n"),
}  # fmt: skip

MODES = ("hybrid", "dense", "lexical")


def ask(folder: Path, question: str) -> dict[str, float]:
    """Seconds that an answer takes in each mode; the model was loaded before."""
    seconds = {}
    with semsearch.open(folder) as index:
        index.search("oil", 5)
        for mode in MODES:
            started = time.perf_counter()
            results = index.search(question, 5, mode=mode, explain=True)  # type: ignore[arg-type]
            results.to_json()
            repr(results)
            seconds[mode] = time.perf_counter() - started
    return seconds


def _child(connection: Any, function: Callable[..., Any], *arguments: Any) -> None:
    started = time.perf_counter()
    try:
        result, raised = function(*arguments), ""
    except InputError as error:
        result, raised = str(error), ""
    except BaseException as error:
        # A panic of a Rust library is no Exception.
        result, raised = None, f"{type(error).__name__}: {error}"[:200]
    connection.send((time.perf_counter() - started, result, raised))


def apart(function: Callable[..., Any], *arguments: Any) -> tuple[float, Any, str]:
    """A call in a process of its own: seconds, what came back, what was raised that is no `InputError`."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, function, *arguments))
    process.start()
    theirs.close()
    try:
        answer: tuple[float, Any, str] = ours.recv() if ours.poll(LIMIT) else (math.inf, None, f"not done in {LIMIT} s")
    except EOFError:
        answer = (math.inf, None, "died")
    process.kill()
    process.join()
    return answer


def grown(short: float, long: float, times: int) -> float | None:
    """The exponent by which seconds grow with size."""
    return round(math.log(long / short, times), 2) if TOLD_FROM <= long < math.inf else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000, help="characters of the shorter article")
    parser.add_argument("--question-size", type=int, default=250_000, help="characters of the shorter question")
    parser.add_argument("--times", type=int, default=4, help="how much longer the longer one is")
    parser.add_argument("--only", default="", help="kinds that have this in their name")
    parser.add_argument("--part", choices=["articles", "questions"], help="one of the two")
    options = parser.parse_args()
    sizes = (options.size, options.size * options.times)
    question_sizes = (options.question_size, options.question_size * options.times)
    kinds: dict[str, dict[str, Any]] = {"articles": {}, "questions": {}}
    raised: list[str] = []

    def note(part: str, kind: str, figures: dict[str, Any], errors: list[str]) -> None:
        raised.extend(f"{part}: {kind}: {error}" for error in errors if error)
        kinds[part][kind] = figures
        print(part, kind, figures, *filter(None, errors), file=sys.stderr, flush=True)

    # What is loaded once would count as time of the first.
    for suffix in (".html", ".md", ".jsonl"):
        read(
            "warm",
            suffix,
            '{"text": "Some text, long enough to tell what language it may be written in, which takes a hundred."}',
        )

    for name, (suffix, make) in ARTICLES.items() if options.part != "questions" else ():
        if options.only not in name:
            continue
        runs = [apart(read, "a", suffix, make(size)) for size in sizes]
        seconds = [run[0] for run in runs]
        figures = {"seconds": [round(value, 3) for value in seconds], "growth": grown(*seconds, options.times)}
        note("articles", name, {**figures, "passages": [run[1] for run in runs]}, [run[2] for run in runs])

    with tempfile.TemporaryDirectory() as folder:
        if options.part != "articles":
            written = Path(folder) / "articles"
            written.mkdir()
            for at in range(20):
                (written / f"{at}.md").write_text(f"# Title {at}\n\n{WORDS} Number {at}.\n", encoding="utf-8")
            apart(lambda: semsearch.build(str(written), Path(folder) / "index").close())
        for name, make in QUESTIONS.items() if options.part != "articles" else ():
            if options.only not in name:
                continue
            runs = [apart(ask, Path(folder) / "index", make(size)) for size in question_sizes]
            figures = {}
            for mode in MODES:
                seconds = [run[1][mode] if isinstance(run[1], dict) else run[0] for run in runs]
                figures[mode] = {"seconds": [round(value, 3) for value in seconds], "growth": grown(*seconds, options.times)}
            note(
                "questions", name, {"refused": runs[-1][1]} if isinstance(runs[-1][1], str) else figures, [run[2] for run in runs]
            )
    save("hostile", {"sizes": sizes, "question sizes": question_sizes, "kinds": kinds, "raised": raised, "machine": machine()})


if __name__ == "__main__":
    main()
