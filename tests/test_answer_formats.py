"""Results as JSON lines, Markdown, lines for editors, and TREC: each read back by what reads it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from helpers import run, write
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_results import hit

from semsearch.evaluation.trec import read_run
from semsearch.records import Highlight
from semsearch.results import Results

OURS = {
    "inline", "text", "softbreak", "hardbreak", "paragraph_open", "paragraph_close", "ordered_list_open", "ordered_list_close",
    "list_item_open", "list_item_close", "blockquote_open", "blockquote_close", "strong_open", "strong_close", "link_open",
    "link_close", "text_special",
}  # fmt: skip
HOSTILE = [
    "# heading", "- item\n* item\n+ item\n1. one\n2) two", "```sh\nrm -rf /\n```", "~~~\ncode", "    indented code", "\tcode",
    "> quote", "---", "***", "===\n---", "a\n===", "<script>alert(1)</script>", "<b>&lt;&copy;</b>", "[a](javascript:alert(1))",
    "![x](http://e/x.png)", "[ref]: http://evil", "[^1]: note", "<http://evil>", "http://evil.example www.evil.example",
    "| a | b |\n|---|---|\n| c | d |", "*a* _b_ **c** __d__ `e` ~~f~~ $x^2$", "a\\", "\\# a", "a  \nb", "- [ ] task",
    ": definition", "Term\n: definition", "::: warning", "%%", "12345678901. a", "１. a", "a\n\n\nb", "\x1b[31m\u202e",
    "“Q.” he said", "!", "&#35;",
]  # fmt: skip


def results(*hits) -> Results:
    return Results("what?", "hybrid", 1.0, True, hits)


def inline(tokens):
    for token in tokens:
        yield token
        yield from token.children or ()


def check(markdown: str, said: str) -> None:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = list(inline(parser.parse(markdown)))
    assert {token.type for token in tokens} <= OURS, markdown
    assert all(token.attrs["href"].startswith("file:///") for token in tokens if token.type == "link_open")

    class Text(HTMLParser):
        shown = ""

        def handle_data(self, data):
            self.shown += data

    reader = Text()
    reader.feed(parser.render(markdown))
    assert re.sub(r"\s+", "", said) in re.sub(r"\s+", "", reader.shown), markdown


def visible(text: str) -> str:
    from semsearch.render import safe

    return safe(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_says_what_articles_say_and_nothing_of_it_is_markdown(text: str):
    for best in (text, text.split("\n", maxsplit=1)[0], text[: len(text) // 2], ""):
        said = hit(text=text, title=text, heading=text, source=f"{text}.md", highlight=Highlight(0, len(best), best))
        check(results(said).to_markdown(), visible(text))


@settings(derandomize=True, max_examples=100, deadline=None, database=None)
@given(st.text(st.sampled_from("#-+*=_`~<>[]()!|&\\:.1) \n\tab$^\"'“。/w")), st.integers(0, 30), st.integers(0, 30))
@example("*", 0, 1)
def test_markdown_of_anything(text: str, start: int, length: int):
    best = text[start : start + length]
    check(results(hit(text=text, highlight=Highlight(start, start + length, best))).to_markdown(), visible(text))


def test_markdown_as_it_is_meant():
    passage = 'It rained. "The river rose." Nobody left.'
    sentence = '"The river rose."'
    said = hit(
        text=passage, title="Floods", heading="In May", source="a b(1).md", path="/x/a b(1).md", line=7, score=0.5,
        highlight=Highlight(11, 28, sentence), start=0, end=len(passage),
    )  # fmt: skip
    assert results(said).to_markdown() == (
        "**what?**\n\n"
        "1. Floods › In May (0.50), [a b(1).md:7](<file:///x/a%20b%281%29.md#L7>)\n\n"
        '   > It rained. **"The river rose."** Nobody left.'
    )
    assert results().to_markdown() == "**what?**\n\nno passages found"


def test_lines_are_one_hit_each():
    found = results(hit(rank=1, text="a\nb\u2028c"), hit(rank=2))
    lines = found.to_jsonl().split("\n")
    assert [json.loads(line) for line in lines] == found.to_dicts()
    assert results().to_jsonl() == results().to_paths() == results().to_trec() == ""


def test_paths_can_be_opened_from_here(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    best = Highlight(0, 3, "two\nlines")
    below = hit(path=str(tmp_path / "notes" / "a.md"), source="elsewhere.md", line=3, highlight=best)
    far = hit(path="/far/b.md", line=4, highlight=Highlight(0, 0, ""), text="text\x1b")
    lost = hit(path="", source="c.md", line=5, highlight=best)
    assert results(below, far, lost).to_paths() == "notes/a.md:3: two lines\n/far/b.md:4: text\nc.md:5: two lines"


def test_trec_lines_are_read_back(tmp_path: Path):
    found = results(
        hit(rank=1, source="a b.md", score=0.9), hit(rank=2, source="c.jsonl#2", score=0.8), hit(rank=3, source="a b.md")
    )  # fmt: skip
    written = found.to_trec("q 1", "my run")
    assert written == "q%201 Q0 a%20b.md 1 0.899999976 my%20run\nq%201 Q0 c.jsonl#2 2 0.800000012 my%20run"
    (tmp_path / "run").write_text(written + "\n")
    back = read_run(tmp_path / "run", ["q 1"], ["a b.md", "c.jsonl#2"])
    assert [scored.document for scored in back["q 1"]] == ["a b.md", "c.jsonl#2"]


@pytest.fixture
def asked(notes: Path, tmp_path: Path, monkeypatch, no_model):
    monkeypatch.chdir(tmp_path)
    assert run("index", "notes").exit_code == 0
    return lambda *options: run("ask", "sword in battle", "-k", "2", "--mode", "lexical", *options)


def test_each_format_of_the_command(asked):
    document = json.loads(asked("--json").stdout)
    took = re.compile(r'"took_ms": [\d.]+')
    assert took.sub("", asked("--format", "json").stdout) == took.sub("", asked("--json", "--format", "json").stdout)
    assert [json.loads(line) for line in asked("--format", "jsonl").stdout.splitlines()] == document["hits"]
    assert asked("--format", "table").stdout == asked().stdout
    assert asked("--format", "md").stdout.startswith("**sword in battle**\n\n1. Second (")
    assert asked("--format", "paths").stdout.startswith("notes/two.md:3: The sword was there")
    assert asked("--format", "trec", "--query-id", "q7").stdout.startswith("q7 Q0 notes/two.md 1 0.")
    assert asked("--format", "trec").stdout.startswith("1 Q0 notes/two.md 1 0.")


def test_formats_that_do_not_go_together(asked):
    for options, message in (
        (("--json", "--format", "md"), "--json and --format md"),
        (("--query-id", "q7"), "--query-id needs --format trec"),
        (("--format", "xml"), "xml"),
    ):
        failed = asked(*options)
        assert (failed.exit_code, failed.stdout) == (2, "")
        assert message in failed.stderr
        assert len(failed.stderr.splitlines()) == 1


def test_what_is_not_answered_is_told_beside_the_lines(asked, tmp_path: Path):
    write(tmp_path / "notes", "one.md", "aid")
    for name in ("jsonl", "paths", "trec", "md"):
        nothing = run("ask", "zebra", "--mode", "lexical", "--format", name)
        assert nothing.exit_code == 1
        assert nothing.stdout == ("**zebra**\n\nno passages found\n" if name == "md" else "")
        assert nothing.stderr == "semsearch: nothing relevant found\n"
