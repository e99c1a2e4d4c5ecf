from __future__ import annotations

import io
import re
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from test_results import hit

from semsearch import render
from semsearch.records import Highlight

ATTACK = "\x1b[31mred\x1b]0;title\x07\x9b2J\x08\x0b\x0c\x7f\u202eevil\u202c\u2066x\u2069\u200e\u061c\x85\u2028"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def drawn(*hits, width: int = 60) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=width, color_system="standard", highlight=False, legacy_windows=False)
    render.terminal(hits, console)
    return file.getvalue()


def without_styles(output: str) -> str:
    """What was drawn, without the colours and links that rich writes itself."""
    return re.sub(r"\x1b\[[\d;]*m|\x1b\]8;[^\x1b\x07]*\x1b\\", "", output)


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch):
    monkeypatch.delenv("TERM_PROGRAM", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@settings(derandomize=True, max_examples=200, deadline=None, database=None)
@given(st.text(st.characters(exclude_categories=()) | st.sampled_from(ATTACK + "\r\n\u2029\ud800")))
def test_safe_text_steers_nothing(value):
    assert not FORBIDDEN.search(render.safe(value))
    assert not re.search(r"\n", render.safe_line(value))


def test_safe_keeps_all_else():
    value = "Größe\t中文\n\nعربي \u200d 😀 — ‘x’"
    assert render.safe(value) == value
    assert render.safe("a\r\nb\rc\u2028d") == "a\nb\nc\nd"


def wound():
    value = f"{ATTACK}\r\n2. 0.99  forged\n"
    return hit(text=value, title=value, source=value, heading=value, highlight=Highlight(10, 20, value), metadata={"date": value})


def test_plain_text_of_a_hostile_hit():
    shown = render.text(f"{ATTACK}\nforged", [wound()])
    assert not FORBIDDEN.search(shown)
    lines = shown.split("\n")
    assert lines[0].startswith("1 passage for: ")
    assert lines[1].startswith("1. ")
    assert all(line.startswith("   ") for line in lines[2:])


def test_html_of_a_hostile_hit():
    assert not FORBIDDEN.search(render.html(ATTACK, [wound()]))


@pytest.mark.parametrize("width", [20, 60, 200])
def test_terminal_of_a_hostile_hit(width):
    shown = without_styles(drawn(wound(), width=width))
    assert not FORBIDDEN.search(shown)
    assert not re.search(r"^2\. ", shown, re.MULTILINE)


def test_terminal_takes_no_markup_from_articles():
    shown = without_styles(drawn(hit(title="[bold]x[/bold]", text="[link=http://evil]y[/link] :smile:", source="[red].md")))
    assert "[bold]x[/bold]" in shown
    assert "[link=http://evil]y[/link] :smile:" in shown
    assert "[red].md:3" in shown


def test_terminal_shows_the_hit():
    shown = without_styles(drawn(hit()))
    assert [line.rstrip() for line in shown.split("\n")][:4] == [
        " 1 0.75 Aid › Help › Russia",
        "        Russia sent aid. It arrived.",
        "        notes/a.md:3  paragraph 2  2020-01-02",
        "",
    ]


def test_terminal_wraps_to_the_width():
    long = hit(text="word " * 100, highlight=Highlight(10, 14, "word"), title="title " * 30)
    lines = without_styles(drawn(long)).split("\n")
    assert max(map(len, lines)) <= 60
    assert " ".join(lines).split().count("title") == 30
    assert " ".join(lines).split().count("word") == 100


def test_best_sentence_is_bold():
    shown = drawn(hit())
    assert "\x1b[1mRussia sent aid.\x1b[0m It arrived." in shown


def test_the_right_one_of_equal_sentences_is_marked():
    text = "Yes. He said no. Yes. She said no. Yes."
    for start in (0, 17, 35):
        again = hit(text=text, start=100, end=100 + len(text), highlight=Highlight(100 + start, 104 + start, "Yes."))
        before, best, after = render._around_highlight(again)
        assert (before, best, after) == (text[:start], "Yes.", text[start + 4 :])


def test_the_right_one_of_equal_sentences_where_the_source_has_markup():
    # The source is "**Yes.** He said &amp; left. **Yes.**"
    again = hit(text="Yes. He said & left. Yes.", start=2, end=35, highlight=Highlight(31, 35, "Yes."))
    assert render._around_highlight(again) == ("Yes. He said & left. ", "Yes.", "")


def test_a_highlight_that_is_not_in_the_text_marks_nothing():
    assert render._around_highlight(hit(highlight=Highlight(10, 20, "other"))) == ("Russia sent aid. It arrived.", "", "")
    assert render._around_highlight(hit(highlight=Highlight(10, 10, ""))) == ("Russia sent aid. It arrived.", "", "")


def linked(shown: str) -> str:
    return re.search(r"\x1b\]8;[^;]*;([^\x1b]*)\x1b\\", shown)[1]


def test_link_opens_the_file():
    path = "/home/me/my notes/ä;x\x1b#.md"
    shown = drawn(hit(path=path))
    assert linked(shown) == f"file://{socket.gethostname()}/home/me/my%20notes/%C3%A4%3Bx%1B%23.md"
    assert "\x1b]8;" not in drawn(hit(path=""))


def test_link_of_kitty_and_of_vscode_has_the_line(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-kitty")
    assert linked(drawn(hit())) == f"file://{socket.gethostname()}/home/me/notes/a.md#3"
    monkeypatch.setenv("TERM_PROGRAM", "vscode")
    assert linked(drawn(hit())) == "vscode://file/home/me/notes/a.md:3"


@pytest.mark.parametrize("path", ["notes/a.md", "javascript:alert(1)", "../a.md", "\0"])
def test_a_path_that_names_no_file_is_no_link(path: str):
    assert render.link(hit(path=path)) is None
    assert "\x1b]8;" not in drawn(hit(path=path))


def test_link_of_a_name_that_is_not_utf8():
    assert render.link(hit(path="/x/caf\udce9.md")).endswith("/x/caf%E9.md")
