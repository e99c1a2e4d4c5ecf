"""Markdown to blocks: what a reader sees, and where each word of it stands in the source."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch.articles import markdown
from semsearch.errors import InputError
from semsearch.records import Block, locate


def blocks(source: str) -> list[Block]:
    found = list(markdown.blocks(source))
    for block in found:
        check(source, block)
    return found


def check(source: str, block: Block) -> None:
    """The promises of `Block` and `Run`."""
    if block.kind == "rule":
        assert (block.text, block.runs) == ("", ())
        return
    assert block.text
    assert block.text == block.text.strip()
    assert (block.level > 0) == (block.kind == "heading")
    assert block.runs
    end = source_end = 0
    for run in block.runs:
        assert end <= run.start < run.end <= len(block.text)
        assert source_end <= run.source_start < run.source_end <= len(source)
        end, source_end = run.end, run.source_end
        if run.end - run.start == run.source_end - run.source_start:
            assert block.text[run.start : run.end] == source[run.source_start : run.source_end]
    start, stop = locate(block.runs, 0, len(block.text))
    assert (start, stop) == (block.runs[0].source_start, block.runs[-1].source_end)


def seen(source: str) -> list[str]:
    return [block.text for block in blocks(source)]


def kinds(source: str) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in blocks(source)]


def span(source: str, at: int = 0) -> str:
    """What the source has where a block stands."""
    block = blocks(source)[at]
    start, end = locate(block.runs, 0, len(block.text))
    return source[start:end]


@pytest.mark.parametrize(
    ("source", "text", "where"),
    [
        ("*one* **two** _three_ __four__ ***five***", "one two three four five", "one* **two** _three_ __four__ ***five"),
        ("so**me**thing ~~gone~~ 2 * 3 * 4 a_b_c", "something gone 2 * 3 * 4 a_b_c", None),
        ("approximately \\$11 billion", "approximately $11 billion", "approximately \\$11 billion"),
        ("\\*not emphasis\\* \\[x\\] \\\\", "*not emphasis* [x] \\", "\\*not emphasis\\* \\[x\\] \\\\"),
        ("AT&amp;T &copy; &#8364;5 &nbsp;&eacute;t&eacute;", "AT&T © €5 \xa0été", None),
        ("a [link](http://x.org/a) b", "a link b", "a [link](http://x.org/a) b"),
        ("[a](u_(v_(w))_x) u", "a u", "a](u_(v_(w))_x) u"),
        ('[a](u "smile :) now") now', "a now", 'a](u "smile :) now") now'),
        ("[a](<u v) w> 'v') v", "a v", "a](<u v) w> 'v') v"),
        ("[*em* `code`](http://em/code) em", "em code em", "em* `code`](http://em/code) em"),
        ("[![alt](pic.png)](http://alt) alt", "alt alt", "alt](pic.png)](http://alt) alt"),
        ("[one][ref] [two][] [ref] ref\n\n[ref]: http://x 'ref'\n[two]: y", "one two ref ref", "one][ref] [two][] [ref] ref"),
        ("[ref](is not an address) is\n\n[ref]: http://x", "ref(is not an address) is", "ref](is not an address) is"),
        ("see <https://x.org/a> and <me@x.org>", "see https://x.org/a and me@x.org", "see <https://x.org/a> and <me@x.org"),
        ("![A *red* house](house.png 'red') red", "A red house red", "A *red* house](house.png 'red') red"),
        ("use `` a`b `` and `*x*`", "use a`b and *x*", "use `` a`b `` and `*x*"),
        ("one  \ntwo\\\nthree\nfour", "one two three four", "one  \ntwo\\\nthree\nfour"),
        ("one<br>two<BR/>three", "one two three", None),
        ('<span title="foo">foo</span> bar <!-- bar baz --> baz', "foo bar  baz", "foo</span> bar <!-- bar baz --> baz"),
        ("`code over\ntwo lines`", "code over two lines", "code over\ntwo lines"),
        ("Größe – 大きい “x” 🙂 end", "Größe – 大きい “x” 🙂 end", "Größe – 大きい “x” 🙂 end"),
    ],
)
def test_paragraph(source, text, where):
    first = blocks(source)[0]
    assert (first.kind, first.text, first.line) == ("paragraph", text, 1)
    if where is not None:
        assert span(source) == where
    # A source of other line ends says the same.
    assert seen(source.replace("\n", "\r\n"))[0] == text


def test_word_is_found_where_it_stands_and_not_in_an_address_before():
    source = "[a](http://x/russia) russia ![b](russia.png) russia <i title='russia'>russia</i>"
    (block,) = blocks(source)
    at = [found for found in range(len(block.text)) if block.text.startswith("russia", found)]
    places = [locate(block.runs, start, start + 6) for start in at]
    assert places == [(21, 27), (45, 51), (70, 76)]
    assert {source[slice(*place)] for place in places} == {"russia"}


def test_escape_stands_for_one_character():
    (block,) = blocks("aid of \\$11 &amp; more")
    assert block.text == "aid of $11 & more"
    assert [tuple(run) for run in block.runs] == [(0, 7, 0, 7), (7, 8, 7, 9), (8, 11, 9, 12), (11, 12, 12, 17), (12, 17, 17, 22)]
    assert locate(block.runs, 7, 10) == (7, 11)
    assert locate(block.runs, 11, 12) == (12, 17)


def test_headings_and_rules():
    source = "# One #\n\nTwo\nlines\n===\n\n### *Three*\n\nFour\n---\n\n---\n***\ntext\n- - -\n"
    assert [(b.kind, b.level, b.text, b.line) for b in blocks(source)] == [
        ("heading", 1, "One", 1),
        ("heading", 1, "Two lines", 3),
        ("heading", 3, "Three", 7),
        ("heading", 2, "Four", 9),
        ("rule", 0, "", 12),
        ("rule", 0, "", 13),
        ("paragraph", 0, "text", 14),
        ("rule", 0, "", 15),
    ]


def test_lists():
    source = (
        "Two ways:\n\n- by *ship*\n- by pipe\n  wrapped\n\n  More of it.\n"
        "  1. one\n     - deep\n  2. two\n- last\n\n7. seven\n8) other\n"
    )
    assert [(b.kind, b.text, b.line) for b in blocks(source)] == [
        ("paragraph", "Two ways:", 1),
        ("item", "- by ship", 3),
        ("item", "- by pipe wrapped", 4),
        ("item", "More of it.", 7),
        ("item", "1. one", 8),
        ("item", "- deep", 9),
        ("item", "2. two", 10),
        ("item", "- last", 11),
        ("item", "7. seven", 13),
        ("item", "8. other", 14),
    ]
    assert span(source, 1) == "by *ship"
    assert span("0. zero\n1. one", 1) == "one"


def test_quotes():
    source = "> one\n> two\nlazy\n>\n> > three\n> > four\n\n> - item\n"
    assert kinds(source) == [("quote", "one two lazy"), ("quote", "three four"), ("item", "- item")]
    assert [span(source, at) for at in range(3)] == ["one\n> two\nlazy", "three\n> > four", "item"]


def test_tables():
    source = "| Name | Sum |\n|:-----|----:|\n| **Oil** | \\$5 |\n| `a\\|b` | |\n| | c |\n\nText."
    assert kinds(source) == [("table", "Name | Sum\nOil | $5\na|b | \nc"), ("paragraph", "Text.")]
    assert span(source) == source[2 : source.index(" |\n\nText")]
    assert kinds("|a\\|b|\n|-|") == [("table", "a|b")]
    assert kinds("| |\n|-|") == []


def test_code():
    source = "```python\npython\n\n  x = 1\n```\n\n    indented\n\tcode\n\n~~~\n*x*\n~~~"
    assert kinds(source) == [("code", "python\n\n  x = 1"), ("code", "indented\ncode"), ("code", "*x*")]
    assert span(source) == "python\n\n  x = 1"
    assert blocks(source)[0].line == 1
    assert kinds("- a\n\n\t\tfoo\tbar\n") == [("item", "- a"), ("code", "foo\tbar")]


def test_html_blocks():
    source = (
        "<div>hello <b>bold <i>it</i> x</b> tail<p>one</p>two</div>\n\n<!-- hidden -->\n\n<script>\nlet x = 1\n</script>\n\ntext"
    )
    assert kinds(source) == [("paragraph", "hello bold it x tail\none\ntwo"), ("paragraph", "text")]
    assert span(source) == source[: source.index("\n\n<!--") + 1]


def test_body_behind_front_matter_keeps_its_places():
    source = "---\nbody: 1\n---\nbody *two*\r\n\r\nthree"
    found = list(markdown.blocks(source, 16))
    assert [(block.text, block.line) for block in found] == [("body two", 4), ("three", 6)]
    assert [tuple(run) for run in found[0].runs] == [(0, 5, 16, 21), (5, 8, 22, 25)]
    assert [tuple(run) for run in found[1].runs] == [(0, 5, 30, 35)]


def test_bare_address():
    found = blocks("<https://x.org/a>\n\nhttps://x.org/b\n\n[x](https://x.org)\n\nsee https://x.org\n\nftp://x.org")
    assert [markdown.bare_address(block) for block in found] == ["https://x.org/a", "https://x.org/b", "", "", "ftp://x.org"]


@pytest.mark.parametrize("source", ["> " * 150 + "deep", "- " * 150 + "deep", "1. " * 30 + "deep"])
def test_nested_too_deeply_is_read_as_plain_text(source):
    assert seen(f"{source}\n\nother *words*") == [source, "other *words*"]


@pytest.mark.parametrize("source", ["> " * 30 + "deep", "- " * 15 + "deep"])
def test_nested_deeply(source):
    assert [text.removeprefix("- ") for text in seen(source)] == ["deep"]


def test_nothing():
    for source in ("", "\n\n", "<!-- -->", "[ref]: http://x", " \t", "\\"[:0], "***"):
        assert [block.text for block in blocks(source) if block.kind != "rule"] == []


@pytest.mark.parametrize(
    "piece", ["[", "![", "*", "_a_ ", "`", "> ", "- ", "<", "&", "\\", "[a](", "|a", "<!-- ", "*a **b ", '[a]("']
)
def test_rows_of_one_mark(piece):
    source = piece * (4000 // len(piece))
    found = blocks(source)
    assert "".join(block.text for block in found).count("a") >= min(1, source.count("a"))


WORDS = st.sampled_from(["oil", "gas", "Bolívar", "a", "I", "石油", "1.5", "U.S.", "x", "\\$5", "&amp;", "&#33;", "it’s"])
TEXTS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)
INLINE = st.recursive(
    TEXTS,
    lambda inner: st.one_of(
        inner.map("*{}*".format),
        inner.map("**{}**".format),
        inner.map("`{}`".format),
        inner.map("[{}](http://oil/gas_(x) 'a')".format),
        inner.map("[{}](<gas a>)".format),
        inner.map("[{}][r]".format),
        inner.map("![{}](a.png)".format),
        inner.map("<b title='gas'>{}</b>".format),
        st.tuples(inner, inner).map(" ".join),
        st.tuples(inner, inner).map("\n".join),
        st.tuples(inner, inner).map("  \n".join),
        st.just("<https://oil.x/a>"),
        st.just("a<br>b"),
    ),
    max_leaves=6,
)


def indented(prefix: str, rest: str):
    return lambda body: prefix + body.replace("\n", "\n" + rest)


BLOCKS = st.recursive(
    st.one_of(
        INLINE,
        INLINE.map("# {}".format),
        INLINE.map("{}\n---".format),
        INLINE.map("```a\n{}\n```".format),
        INLINE.map(indented("    ", "    ")),
        INLINE.map(lambda body: "| a | {} |\n|---|---|\n| x\\|y | |".format(body.replace("\n", " "))),
        INLINE.map("<div>{}</div>".format),
        st.sampled_from(["---", "***", "<https://oil.x>", "[r]: http://gas 'a'", "<!-- a -->"]),
    ),
    lambda inner: st.one_of(
        inner.map(indented("> ", "> ")),
        inner.map(indented("- ", "  ")),
        inner.map(indented("3. ", "   ")),
        inner.map(indented("-\t", "\t")),
        st.lists(inner, min_size=1, max_size=3).map("\n\n".join),
        st.lists(inner, min_size=2, max_size=2).map("\n".join),
    ),
    max_leaves=5,
)


@settings(derandomize=True, max_examples=250, deadline=None)
@given(BLOCKS, st.sampled_from(["\n", "\r\n", "\r"]))
def test_promises_hold_for_any_markdown(source, line_end):
    source = source.replace("\n", line_end)
    last = 0
    for block in markdown.blocks(source):
        check(source, block)
        assert block.line >= last
        last = block.line


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab \n\t\r*_`~[]()<>!&;\\|-+#>1.=\"':/é字\xa0"), max_size=60))
def test_promises_hold_for_any_text(source):
    try:
        found = list(markdown.blocks(source))
    except InputError:
        return
    for block in found:
        check(source, block)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_plain_words_are_all_seen(paragraphs):
    source = "\n\n".join(paragraphs)
    read = " ".join(seen(source)).split()
    plain = source.replace("\\$", "$").replace("&amp;", "&").replace("&#33;", "!")
    # "1." in front makes a list.
    assert [word for word in read if word != "-"] == plain.split()
    for block, paragraph in zip(blocks(source), paragraphs, strict=True):
        start, end = locate(block.runs, 0, len(block.text))
        assert source[start:end] == paragraph
