"""HTML pages to blocks: the article and not what stands around it, with lines of the file."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch import articles
from semsearch.articles import SourceFile, html
from semsearch.errors import InputError
from semsearch.records import Article, Problem

SENTENCE = "Russia offered medicine, food and a million vaccines to the country. "

PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
  <title>Aid | Example News</title>
  <meta name="author" content="A. Writer">
  <meta name="date" content="2018-09-27">
  <meta name="keywords" content="aid, vaccines">
  <meta name="Description" content="What was offered">
  <link rel="canonical" href="https://news.example/aid">
  <style>p {{ color: red }}</style>
</head>
<body>
<header><nav><a href="/">Front page</a> <a href="/world">World news</a></nav></header>
<main><article>
<h1>Aid &amp; vaccines</h1>
<p>{SENTENCE * 3}</p>
<h2>What was <em>offered</em></h2>
<p>There were two ways,<br>as he <a href="/x">said</a>: {SENTENCE * 2}</p>
<ul>
  <li>by <b>ship</b>
    <ul><li>slowly</li></ul>
  </li>
  <li>by air</li>
</ul>
<ol><li>first</li><li>second</li></ol>
<blockquote><p>All doors are open.</p>
<p>They stay open.</p></blockquote>
<table>
  <tr><th>Good</th><th>Amount</th></tr>
  <tr><td>Vaccines</td><td>1.5&nbsp;million</td></tr>
</table>
<script>var hidden = "script text";</script>
<p>{SENTENCE * 3}</p>
</article></main>
<footer><p>Copyright Example News. All rights reserved.</p></footer>
</body>
</html>
"""


def read(page: str) -> Article:
    (item,) = articles.read(SourceFile(Path("/x/a_page.html"), "a_page.html"), page.encode())
    assert isinstance(item, Article), item
    return item


def texts(page: str) -> list[str]:
    return [block.text for block in read(page).blocks]


def test_page():
    article = read(PAGE)
    assert article.title == "Aid & vaccines"
    assert dict(article.metadata) == {
        "author": "A. Writer",
        "date": "2018-09-27",
        "tags": ["aid", "vaccines"],
        "description": "What was offered",
        "language": "en",
        "url": "https://news.example/aid",
    }
    assert [(block.kind, block.level, block.text, block.line) for block in article.blocks] == [
        ("paragraph", 0, (SENTENCE * 3).strip(), 16),
        ("heading", 2, "What was offered", 17),
        ("paragraph", 0, f"There were two ways, as he said: {SENTENCE * 2}".strip(), 18),
        ("item", 0, "- by ship slowly", 20),
        ("item", 0, "- by air", 23),
        ("item", 0, "1. first", 25),
        ("item", 0, "2. second", 25),
        ("quote", 0, "All doors are open. They stay open.", 26),
        ("table", 0, "Good | Amount\nVaccines | 1.5 million", 28),
        ("paragraph", 0, (SENTENCE * 3).strip(), 33),
    ]


def test_offsets_count_in_the_extracted_text():
    page = html.read(PAGE)
    whole = "\n\n".join(block.text for block in page.blocks)
    assert [[tuple(run) for run in block.runs] for block in page.blocks] == [
        [(0, len(block.text), whole.index(block.text, at), whole.index(block.text, at) + len(block.text))]
        for block, at in zip(page.blocks, [block.runs[0].source_start for block in page.blocks], strict=True)
    ]
    assert page.blocks[-1].runs[0].source_end == len(whole)


def test_shipped_pages(root):
    pages = sorted((root / "seeds").glob("*.html"))
    assert pages
    for path in pages:
        source = path.read_text()
        lines = unescape(source).split("\n")
        article = read(source)
        assert {"date", "author", "tags", "url", "language"} <= set(article.metadata)
        whole = " ".join(block.text for block in article.blocks)
        for outside in ("Background Briefs", "Related", "Sections"):
            assert outside not in whole
        for block in article.blocks:
            first = block.text.removeprefix("- ").split()[0]
            nearby = " ".join(lines[block.line - 1 : block.line + 1])
            assert first in nearby, (path.name, block.line, block.text[:40])
        assert [block.line for block in article.blocks] == sorted(block.line for block in article.blocks)


@pytest.mark.parametrize("page", ["<!-- c -->", "<html><head><title>T</title></head><body></body></html>"])
def test_page_without_text(page):
    items = list(articles.read(SourceFile(Path("/x/a.html"), "a.html"), page.encode()))
    assert items == [Problem("a.html", "no text in this HTML page")]


def test_page_without_text_is_an_input_error():
    for page in ("", "<html><frameset></frameset></html>", "<script>x</script>", "<p> &nbsp; </p>"):
        with pytest.raises(InputError, match="no text in this HTML page"):
            html.read(page)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("just text", ["just text"]),
        ("<p>one<br>two</p>", ["one two"]),
        ("<p>AT&amp;T &lt;b&gt; &eacute;t&eacute; &#8364;5</p>", ["AT&T <b> été €5"]),
        ("<td>a cell", ["a cell"]),
        ('<?xml version="1.0" encoding="iso-8859-1"?><html xml:lang="de"><body><p>Größe</p></body></html>', ["Größe"]),
    ],
)
def test_fragments(page, expected):
    assert texts(page) == expected


def test_page_in_which_nothing_stands_out():
    page = "<body>" + "".join(f"<div><span>Line {at} of it</span></div>" for at in range(3)) + "</body>"
    assert " ".join(texts(page)).split() == " ".join(f"Line {at} of it" for at in range(3)).split()
    assert read(page).title == "a page"


def test_extraction_that_fails_leaves_the_whole_text(monkeypatch):
    import trafilatura

    def stumble(*args, **kwargs):
        raise TypeError("inside trafilatura")

    monkeypatch.setattr(trafilatura, "bare_extraction", stumble)
    page = html.read("<title>T</title><body><p>one\ntwo<p>three<script>hidden</script><br>four</body>")
    assert (page.title, [(block.text, block.line) for block in page.blocks]) == (
        "T",
        [("one two", 1), ("three four", 2)],
    )


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("<div>hello <b>bold <i>it</i> x</b> tail<p>one</p>two</div>", "hello bold it x tail\none\ntwo"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<ul><li>one\n  wrapped<li>two</ul>", "one wrapped\ntwo"),
        ("<details><summary>Sum</summary>Inside</details>", "Sum\nInside"),
        ("<p>a<style>p{}</style>b<script>x</script>c<!-- d --><noscript>e</noscript></p>", "abc"),
        ("</div>", ""),
        ("", ""),
        ("<!-- c -->", ""),
        ("a &amp; b", "a & b"),
    ],
)
def test_plain_text(fragment, expected):
    assert html.plain_text(fragment) == expected


def test_words_neither_run_together_nor_fall_apart():
    page = (
        f"<body><article><p>{SENTENCE * 4}</p><p>half<b>way</b> <i> to <u>Caracas</u> </i>now.</p><ul><li>one<p>two</p>three</ul>"
    )
    assert texts(page)[1:] == ["halfway to Caracas now.", "- one two three"]


def test_scripts_and_styles_are_never_shown():
    for page in (PAGE, f"<body><p>{SENTENCE}</p><script>hidden()</script><style>hidden</style><template>hidden</template>"):
        whole = " ".join(texts(page))
        assert "hidden" not in whole
        assert "script" not in whole
        assert "color" not in whole


def test_nested_deeply():
    page = f"<body><p>{SENTENCE * 5}</p>{'<div>' * 1000}<p>{SENTENCE} Deep down.</p>{'</div>' * 1000}<p>{SENTENCE} After all.</p>"
    whole = " ".join(texts(page))
    assert "Deep down." in whole
    assert "After all." in whole


def test_nested_too_deeply_is_told():
    page = f"<body><p>{SENTENCE * 5}</p>{'<div>' * 5000}<p>Deep.</p>{'</div>' * 5000}<p>After.</p>"
    items = list(articles.read(SourceFile(Path("/x/a.html"), "a.html"), page.encode()))
    assert items == [Problem("a.html", "HTML nested too deeply to be read: save the page's text instead")]


def test_huge_attribute():
    assert texts(f'<p title="{"x" * 11_000_000}">Some text.</p>') == ["Some text."]


def test_lines_of_a_long_page_of_short_blocks():
    rows = "\n".join(f"<p>I</p>\n<p>In {1500 + at} there was a battle number {at}, which nobody won.</p>" for at in range(400))
    blocks = read(f"<html><body><article>\n{rows}\n</article></body></html>").blocks
    lines = {block.text: block.line for block in blocks if block.text != "I"}
    assert lines[f"In {1500 + 399} there was a battle number 399, which nobody won."] == 2 + 2 * 399 + 1
    assert lines["In 1500 there was a battle number 0, which nobody won."] == 3


TAGS = st.sampled_from(
    ["p", "div", "b", "h1", "h2", "li", "ul", "table", "tr", "td", "br", "script", "blockquote", "pre", "title", "svg"]
)
MARKUP = st.lists(
    st.one_of(
        TAGS.map("<{}>".format), TAGS.map("</{}>".format), st.sampled_from(["oil ", "gas. ", "&amp;", "<!--", "-->", "<", "\0"])
    ),
    max_size=25,
).map("".join)


@settings(derandomize=True, max_examples=80, deadline=None)
@given(MARKUP)
def test_any_markup_is_read_or_refused(page):
    try:
        found = html.read(page)
    except InputError:
        return
    assert found.blocks
    for block in found.blocks:
        assert block.text.strip() == block.text != ""
        assert 1 <= block.line <= 1 + page.count("\n")
    html.plain_text(page)


SECTIONS = "".join(
    f'<section id="{name}"><h2>{name.title()}</h2><p>All that can be said about {name} is said in this paragraph.</p>'
    "<dl><dt>Open</dt>\n<dd>Opens a file that exists.</dd><dt>Close</dt><dd><p>Closes it again.</p></dd></dl></section>"
    for name in ("menus", "editing", "search", "shell", "completions")
)


@pytest.mark.parametrize("frame", ["<main>{}</main>", '<div role="main">{}</div>', "<article>{}</article>", "{}"])
def test_no_section_of_a_page_is_lost(frame: str):
    links = '<nav><a href="/">Home</a></nav><div class="sidebar"><ul><li><a href="/a">Elsewhere</a></li></ul></div>'
    page = html.read(f"<title>Manual</title><body>{links}{frame.format('<h1>Manual</h1>' + SECTIONS)}<footer>Imprint</footer>")
    text = "\n".join(block.text for block in page.blocks)
    for name in ("menus", "editing", "search", "shell", "completions"):
        assert f"said about {name} is" in text
    assert text.count("- Open: Opens a file that exists.") == 5
    assert "Imprint" not in text
    assert "Home" not in text
    assert [block.text for block in page.blocks if block.kind == "heading"][-5:] == [
        "Menus", "Editing", "Search", "Shell", "Completions",
    ]  # fmt: skip


def test_a_short_page_keeps_its_blocks_and_hides_what_is_hidden():
    page = html.read(
        "<header><h1>Big news</h1></header><article><p>One thing happened.</p><p hidden>secret</p>"
        '<p style="display: none">secret</p><ol><li>x one</li><li>y two</li></ol><h2>Prices¶</h2>'
        "<table><tr><th>Name</th><th>Price</th></tr><tr><td>Tea</td><td>3</td></tr></table></article>"
    )
    assert [(block.kind, block.text) for block in page.blocks if block.text != "Big news"] == [
        ("paragraph", "One thing happened."),
        ("item", "1. x one"),
        ("item", "2. y two"),
        ("heading", "Prices"),
        ("table", "Name | Price\nTea | 3"),
    ]
