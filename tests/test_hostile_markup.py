"""Markup in articles, questions and data sets: it is shown as text, never as elements, attributes, links or controls."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import CHROMIUM, build, run, sentence

import semsearch
from semsearch.evaluation import plots
from semsearch.maps.page import page
from semsearch.render import terminal

MARKS = (
    "<script>window.pwned=1</script>",
    '"><img src=x onerror=window.pwned=2>',
    "'><img src=x onerror='window.pwned=3'>",
    '" onmouseover="window.pwned=4" x="',
    "' onfocus='window.pwned=5' autofocus x='",
    "</script><script>window.pwned=6</script>",
    "</style><style>*{background:url(http://127.0.0.1:9/x)}</style>",
    "</title></textarea><svg/onload=window.pwned=7>",
    "<iframe srcdoc='<script>parent.pwned=8</script>'>",
    "<a href=javascript:window.pwned=9>x</a>",
    "[x](javascript:window.pwned=10) ![y](http://127.0.0.1:9/y) <javascript:window.pwned=11>",
    "{{7*191}} {% for x in y %} {{ self.__init__ }} ${window.pwned=12} #{1} <%= 1 %>",
    "--><img src=x onerror=window.pwned=13><!-- ]]> <![CDATA[ <b>x</b> ]]>",
    "&lt;script&gt; &#60;script&#62; &quot; &amp;lt;",
    "[bold red]x[/] [link=http://127.0.0.1:9]y[/link] [@click=app.quit]z[/]",
    "\x1b]8;;http://127.0.0.1:9\x07x\x1b]8;;\x07 \x1b[2J \x9b31m \x00 \ufeff \u202egnitset\u2066 \u2028 \r x",
    r"\1 \g<0> $x^2$ \$ \\ %s {0} {x}",
    "=cmd|' /C calc'!A1",
)
ATTACK = " ".join(MARKS)


class Page(HTMLParser):
    """Names of the elements and attributes of a page, its addresses, its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.names |= {f"<{tag}>", *(name for name, _ in attrs)}
        self.addresses += [
            value or "" for name, value in attrs if name in ("href", "src", "xlink:href", "action", "srcdoc", "data")
        ]

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text += data


def corpus(folder: Path, mark: str) -> Path:
    """Articles in which a text stands everywhere: file and folder names, titles, headings, text, keys and values of metadata."""
    # Files have no NUL; a slash in a name makes folders of it.
    said = mark.replace("\0", "")
    home = folder / said[:60].replace("/", "∕")
    path = home / f"{said[:100]}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# Title {said}\n\n## Oil {said}\n\n{sentence('oil gas')} {said}\n\n{sentence('oil')}\n", encoding="utf-8")
    records = [
        {
            "title": f"{number} {mark}",
            "text": f"{sentence('oil')} {mark}",
            f"k {mark}": f"v {mark}",
            "kind": f"{number} {mark}",
            "date": mark,
            "url": f"javascript:window.pwned=14//{mark}",
            "tags": [mark, f"<i>{mark}"],
        }
        for number in range(3)
    ]
    (home / "all.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[semsearch.Index]:
    folder = tmp_path_factory.mktemp("hostile")
    for number, mark in enumerate((*MARKS, ATTACK)):
        corpus(folder / "all" / str(number), mark)
    with semsearch.build(folder / "all", folder / "index", encoder=FakeEncoder()) as built:
        yield built


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[semsearch.Index]:
    folder = tmp_path_factory.mktemp("harmless")
    for number in range(3):
        corpus(folder / "all" / str(number), f"word{number}")
    with semsearch.build(folder / "all", folder / "index", encoder=FakeEncoder()) as built:
        yield built


def pages(index: semsearch.Index, mark: str) -> dict[str, str]:
    """All HTML that is made of a question in which a text stands."""
    query = f"oil {mark}"
    found = index.search(query, 50, fold=False, explain=True)
    made = {
        "results": found._repr_html_(),
        "all results": index.search("oil", 80, fold=False)._repr_html_(),
        "no results": index.search(query, where=["title=none"])._repr_html_(),
        "frame": found.to_pandas()._repr_html_(),
        "flat frame": found.to_pandas(flat=True)._repr_html_(),
        "index frame": index.to_dataframe()._repr_html_(),
    }
    keys = sorted({key for info in index.articles() for key in info.metadata if key.startswith("k ")})
    for color in ("article", "similarity", "kind", "tags", *keys):
        drawn = index.plot(query, k=50, color=color)
        made |= {f"fragment by {color}": drawn._repr_html_(), f"page by {color}": page(drawn)}
    return made


def report(folder: Path, mark: str) -> str:
    """The report on a data set in whose name, ids, texts and questions a text stands, compared with a run named so, too."""
    name, identifier = re.sub(r"[\0/]", "", mark)[:60], re.sub(r"\s", "_", mark)
    home = folder / name
    (home / "qrels").mkdir(parents=True)
    documents = [{"_id": f"{n}{identifier}", "title": f"T {mark}", "text": f"{sentence('oil')} {mark}"} for n in range(3)]
    questions = [{"_id": f"{n}q{identifier}", "text": f"oil {n} {mark}"} for n in range(3)]
    pairs = [(question["_id"], document["_id"]) for question, document in zip(questions, documents, strict=True)]
    (home / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)), encoding="utf-8")
    (home / "queries.jsonl").write_text("\n".join(map(json.dumps, questions)), encoding="utf-8")
    judgments = ["query-id\tcorpus-id\tscore", *(f"{question}\t{document}\t1" for question, document in pairs)]
    (home / "qrels" / "test.tsv").write_text("\n".join(judgments) + "\n", encoding="utf-8", newline="")
    other = folder / f"{name}\udcff.run"
    other.write_text(
        "".join(f"{question} Q0 {documents[0]['_id']} 1 2 {identifier}\n" for question, _ in pairs), encoding="utf-8"
    )
    evaluation = semsearch.evaluate(home, modes=["dense"], against=other, encoder=FakeEncoder())
    evaluation.report(folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


def test_all_articles_are_read(hostile: semsearch.Index):
    assert hostile.report is not None
    assert not hostile.report.problems
    assert hostile.report.articles == 4 * (len(MARKS) + 1)


def test_html_has_no_other_elements_and_attributes_for_markup(hostile: semsearch.Index, harmless: semsearch.Index):
    pytest.importorskip("pandas")
    expected = {name.partition(" by ")[0]: Page(html).names for name, html in pages(harmless, "word").items()}
    for mark in ("word", ATTACK):
        for name, html in pages(hostile, mark).items():
            shown = Page(html)
            # pandas counts the rows of a long table.
            assert shown.names <= expected[name.partition(" by ")[0]] | ({"<p>"} if "frame" in name else set()), name
            assert not shown.addresses, name
            assert not re.search("[\x1b\x9b\x00\u202e\u2066]", html) or "frame" in name
            if name == "all results":
                assert "<script>window.pwned=1</script>" in shown.text
                assert "{{7*191}}" in shown.text


def test_a_report_has_no_other_elements_and_attributes_for_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    expected = Page(report(tmp_path / "plain", "word"))
    for number, mark in enumerate((ATTACK, *MARKS[::5])):
        html = report(tmp_path / str(number), mark)
        shown = Page(html)
        assert shown.names <= expected.names, mark
        assert {address[:1] for address in shown.addresses} <= {"#"}
        assert not re.search("[\x1b\x9b\x00\u202e\u2066\udcff]", html), mark
        assert "1337" not in shown.text


def test_a_plot_has_no_markup_of_its_names():
    pytest.importorskip("matplotlib")
    expected = Page(plots.bars([0.5], "word", differences=False)).names
    for mark in MARKS:
        name = mark.replace("$", "").translate(dict.fromkeys((*range(32), *range(127, 160))))
        assert Page(plots.bars([0.5], name, differences=False)).names <= expected, mark


CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.mark.parametrize("mark", ["", *MARKS])
def test_output_has_no_controls(hostile: semsearch.Index, mark: str, no_model: None):
    place, query = str(hostile.status()["path"]), f"oil {mark}"
    for form in ("table", "json", "jsonl", "md", "paths", "trec"):
        result = run("ask", query, "--index", place, "-k", "80", "--copies", "--format", form)
        assert not CONTROLS.search(result.stdout + result.stderr), form
    found = hostile.search(query, 80, fold=False, explain=True)
    excerpt = hostile.around(found[0].passage_id)
    shown = map(repr, (found, found[0], excerpt, hostile.articles(), hostile.facets(), hostile.report))
    assert not CONTROLS.search("".join(shown))


def test_names_of_files_do_not_steer_a_terminal(tmp_path: Path, no_model: None):
    """Without white space, for which TREC runs encode a name in any case."""
    (tmp_path / "a\x1b]0;x\x07\u202e\x9b31m.md").write_text("Oil is oil.\n", encoding="utf-8")
    place = str(tmp_path / "index")
    build(tmp_path / "a\x1b]0;x\x07\u202e\x9b31m.md", place)
    for command in (
        *(("ask", "oil", "--format", form) for form in ("table", "json", "jsonl", "md", "paths", "trec")),
        ("check", "--sources"),
        ("status",),
        ("-v", "index", str(tmp_path)),
        ("remove", str(tmp_path)),
    ):
        result = run(*command, "--index", place)
        assert not result.exception, result.stderr
        assert not CONTROLS.search(result.stdout + result.stderr), command


def test_a_terminal_gets_no_controls_and_only_links_to_files(hostile: semsearch.Index):
    from rich.console import Console

    file = io.StringIO()
    found = hostile.search("oil", 80, fold=False)
    terminal(found.hits, Console(file=file, force_terminal=True, color_system="truecolor", width=200))
    drawn = file.getvalue()
    links = re.findall(r"\x1b\]8;([^;]*);([^\x1b]*)\x1b\\", drawn)
    assert all(address == "" or address.startswith("file://") for _, address in links)
    assert len({address for _, address in links}) > len(MARKS)
    # Nothing but links and styles is left of what steers.
    assert not CONTROLS.search(re.sub(r"\x1b\]8;[^\x1b]*\x1b\\|\x1b\[[0-9;]*m", "", drawn))
    assert "[link=http://127.0.0.1:9]y" in drawn


def test_markdown_has_only_links_to_files(hostile: semsearch.Index):
    from markdown_it import MarkdownIt

    for mark in MARKS:
        html = (
            MarkdownIt("commonmark")
            .enable(["table", "strikethrough"])
            .render(f"{hostile.search('oil', 80, fold=False).to_markdown()}\n\n{hostile.search(mark, 5).to_markdown()}")
        )
        shown = Page(html)
        assert {name for name in shown.names if name.startswith("<")} <= {
            "<p>", "<ol>", "<li>", "<blockquote>", "<strong>", "<a>", "<br>"
        }  # fmt: skip
        assert all(address.startswith("file:///") for address in shown.addresses)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the path")
@pytest.mark.filterwarnings("default")
def test_a_browser_runs_nothing(request, hostile: semsearch.Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without any policy, as in a notebook; and nothing is asked of anybody."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    made = pages(hostile, ATTACK)
    made["report"] = report(tmp_path / "data", ATTACK)
    context = request.getfixturevalue("browser").new_context()
    opened, asked = context.new_page(), []
    opened.set_default_timeout(15_000)
    opened.on("request", lambda sent: asked.append(sent.url))
    try:
        for number, html in enumerate(made.values()):
            file = tmp_path / f"{number}.html"
            file.write_text(re.sub("<meta http-equiv=[^>]*>", "", html), encoding="utf-8", errors="replace")
            opened.goto(file.as_uri())
            # Point at everything: handlers of an attribute would run.
            opened.evaluate(
                "for (const each of document.querySelectorAll('*'))"
                " for (const kind of ['mouseover', 'pointerenter', 'focus', 'error', 'load']) each.dispatchEvent(new Event(kind))"
            )
            assert opened.evaluate("window.pwned") is None
            assert opened.evaluate("[...document.links].length") == 0
    finally:
        context.close()
    assert all(address.startswith("file:///") for address in asked)
    assert len(asked) == len(made)
