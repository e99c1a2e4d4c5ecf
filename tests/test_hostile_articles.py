"""Articles made to hurt: whatever is in a file, it is read or refused, its passages lead back to it, and time is linear.

Also where files come from (links, patterns, pipes, files that change meanwhile), and that nothing out of them steers a terminal.
Inputs of some size are there because a path that is quadratic would take minutes over them.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import build, found, run
from hypothesis import given, settings
from hypothesis import strategies as st
from test_render import FORBIDDEN

import semsearch
from semsearch import articles, passages
from semsearch.articles import SourceFile, files, html, markdown, nofollow
from semsearch.articles.decode import decode
from semsearch.errors import InputError
from semsearch.records import Article, Passage, Problem

SENTENCE = "The council met in the old town and said nothing of the oil that was found. "
PIECES = [
    "oil ", "Gas. ", "\n", "\n\n", "\r\n", "\r", "# ", "## ", "- ", "1. ", "> ", "    ", "\t", "*", "**", "_", "`", "```\n", "[",
    "]", "](", "![", "<", ">", "<b>", "</b>", "<br>", "<!--", "-->", "<http://a.b/%C3%A9>", "<a@b.c>", "|", "|-|\n", "---\n",
    "===\n", "\\", "\\*", "&amp;", "&#0;", "&nbsp;", "[a]: b\n", "[a]", "~~", "\0", "\x1b[31m", "\u202e", "\u200b", "\u2028",
    "\ud800", "\ufeff", "\u0301", "水", "🙂", "a" * 200, "…", "?!", '"', "“", "<div>\n", "</div>\n", "<p>", "<td>", "<svg>",
    "<script>", "<title>", "a: b\n", "{", "}", '"text": ',
]  # fmt: skip
WILD = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=40).map("".join)


def read(name: str, data: str | bytes) -> list[Article | Problem]:
    data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return list(articles.read(SourceFile(Path("/x") / name, name), data))


def article(name: str, data: str | bytes) -> Article:
    read_articles = [item for item in read(name, data) if isinstance(item, Article)]
    assert len(read_articles) == 1
    return read_articles[0]


def reasons(name: str, data: str | bytes) -> list[str]:
    return [item.reason for item in read(name, data) if isinstance(item, Problem)]


def cut(item: Article, limit: int = 60) -> list[Passage]:
    """The passages of an article, for which what is promised of any is checked."""
    made = passages.cut(item, limit, FakeEncoder().count_tokens)
    for passage in made:
        assert passage.text.strip()
        assert passage.line >= 1
        assert 0 <= passage.start <= passage.end
        assert len(passage.sentences) == len(passage.sentence_spans)
        at = 0
        for start, end in passage.sentences:
            assert at <= start < end <= len(passage.text)
            assert passage.text[start:end].strip()
            at = end
        for start, end in passage.sentence_spans:
            assert passage.start <= start <= end <= passage.end
    starts = [passage.start for passage in made]
    assert starts == sorted(starts)
    assert all(one.paragraph <= other.paragraph for one, other in pairwise(made))
    return made


def holds(name: str, data: str | bytes) -> list[Passage]:
    """Passages of all that can be read of a file, for which all promises are checked."""
    suffix = Path(name).suffix
    made: list[Passage] = []
    for item in read(name, data):
        assert item.source.startswith(name)
        if isinstance(item, Problem):
            assert item.reason
            assert "\n" not in item.reason
            continue
        # What an index keeps must be UTF-8 and JSON.
        json.dumps([item.title, dict(item.metadata)], allow_nan=False, ensure_ascii=False).encode()
        assert len(item.title) <= articles.MAX_TITLE + 1
        source = (
            decode(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data) if suffix in (".txt", ".md") else ""
        )
        for block in item.blocks:
            assert block.text == block.text.strip()
            at = 0
            for run_ in block.runs:
                assert at <= run_.start < run_.end <= len(block.text)
                assert run_.source_start <= run_.source_end
                at = run_.end
                if source and run_.end - run_.start == run_.source_end - run_.source_start:
                    assert block.text[run_.start : run_.end] == source[run_.source_start : run_.source_end]
        for passage in cut(item):
            passage.text.encode()
            if suffix == ".txt":
                # A paragraph's lines are joined by spaces, paragraphs by line ends.
                assert passage.end <= len(source)
                assert passage.text.split() == source[passage.start : passage.end].split()
            elif suffix == ".md":
                assert passage.end <= len(source)
            made.append(passage)
    return made


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.sampled_from([".txt", ".md", ".jsonl"]), WILD)
def test_promises_hold_for_any_text(suffix, source):
    holds(f"a{suffix}", source)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(WILD)
def test_promises_hold_for_any_page(source):
    holds("a.html", source)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.sampled_from([".txt", ".md", ".html", ".jsonl"]), st.binary(max_size=120))
def test_promises_hold_for_any_bytes(suffix, data):
    holds(f"a{suffix}", data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
KEYS = st.sampled_from(["text", "title", "body", "content", "tags", "date", "source", "lang", "_id"]) | st.text(max_size=4)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_promises_hold_for_any_record(record):
    made = read("a.jsonl", json.dumps(record))
    holds("a.jsonl", json.dumps(record))
    texts = [record[key] for key in ("text", "body", "content") if isinstance(record.get(key), str)]
    if any(text.strip() for text in texts):
        assert [type(item) for item in made] == [Article]


SCALARS = st.sampled_from(
    ["x", "1", "0x" + "f" * 5000, "1" + ":59" * 3000, "9" * 5000, ".nan", "-.inf", "2020-02-30", "9999-12-31 23:59:59 -23:59",
     "!!int ''", "!!bool x", "!!timestamp x", "!!binary aGk=", "!!set {a, b}", "!!python/object:os.system x", "*a", "&a x",
     "|\n  x", '"\\ud800"', "[" * 3000, "{a: " * 300, "- " * 300, "? x", "'", "!", "%", "@", "\x1b[31m", "<<",
     "{1: 2, 0x" + "f" * 5000 + ": 3}"]
)  # fmt: skip


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["title", "date", "tags", "a", "0x" + "f" * 5000, "<<", "? [a]"]), SCALARS), max_size=4)
)
def test_any_front_matter_leaves_the_text_readable(pairs):
    lines = "".join(f"{key}: {value}\n" for key, value in pairs)
    made = holds("a.md", f"---\n{lines}---\n\n{SENTENCE}")
    assert made[-1].text.endswith(SENTENCE.strip())


def test_front_matter_never_stands_for_more_than_it_is():
    bomb = "a: &a [x, x]\n" + "".join(
        f"{two}: &{two} [*{one}, *{one}]\n" for one, two in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert reasons("a.md", f"---\n{bomb}---\n\nText.") == [
        "front matter is not YAML (line 3: aliases are not read): its metadata is left out"
    ]
    assert reasons("a.md", "---\na: &a [*a]\n---\n\nText.") == [
        "front matter is not YAML (line 2: aliases are not read): its metadata is left out"
    ]


def test_numbers_that_python_does_not_write_out_are_texts():
    item = article("a.md", f"---\na: 0x{'f' * 20_000}\nb: {2**600}\nc: [0b{'1' * 9000}]\n---\n\nText.")
    assert item.metadata["a"] == "0x" + "f" * 20_000
    assert item.metadata["b"] == 2**600
    assert item.metadata["c"] == [hex(2**9000 - 1)]


def test_the_last_of_equal_keys_counts_and_a_record_of_the_wrong_types_is_told():
    assert article("a.jsonl", '{"text": "One.", "text": "Two.", "a": 1, "a": 2}').blocks[0].text == "Two."
    assert reasons("a.jsonl", '{"text": 1}\n{"text": null}\n{"text": {}}\n"text"\nnull\nNaN\n') == [
        f"line {line}: {'no' if line < 4 else 'not a JSON object with a'} 'text' key{' with a string' if line < 4 else ''}"
        for line in range(1, 7)
    ]


# Size. Each of these took a minute or more where it is not linear.


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.txt", "x" * 10_000_000),
        ("a.txt", "a" + " " * 10_000_000 + "b"),
        ("a.txt", "“A. " * 100_000),
        ("a.txt", "水" * 300_000),
        ("a.txt", "e" + "\u0301\u0323" * 150_000),
        ("a.md", "`" * 1_000_000),
        ("a.md", ">" * 1_000_000),
        ("a.md", "[a](b \"c]d\") " * 10_000),
        ("a.md", "".join(f"[a{at}]: b\n" for at in range(10_000)) + "\n" + "[a9] " * 10_000),
        ("a.jsonl", '{"text": "x", "a": ' + "[" * 1_000_000),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else None,
)  # fmt: skip
def test_files_of_one_thing_over_and_over(name, source):
    made = holds(name, source)
    letters = len(re.sub(r"\W", "", source))
    if name == "a.txt":
        assert sum(len(re.sub(r"\W", "", passage.text)) for passage in made) == letters


def test_a_hundred_thousand_headings():
    item = article("a.md", "".join(f"{'#' * (1 + at % 6)} Part {at}\n\n" for at in range(100_000)) + "The end of it.\n")
    # The first is the title.
    assert (item.title, sum(block.kind == "heading" for block in item.blocks)) == ("Part 0", 99_999)
    (passage,) = cut(item)
    assert passage.text == "The end of it."
    # 99,999 is the fourth of six levels: the way down to it begins at 99,996.
    assert passage.headings == tuple(f"Part {at}" for at in range(99_996, 100_000))


def test_what_is_read_with_each_passage_is_short_however_long_a_title_is():
    words = "very " * 40_000
    body = f"{SENTENCE * 3}\n\n" * 500
    markdown_article = article("a.md", f"# {words}\n\n{body}")
    assert markdown_article.title == "a"
    assert markdown_article.blocks[0].kind == "paragraph"
    record = article("a.jsonl", json.dumps({"title": words, "text": body}))
    page = article("a.html", f"<title>{words}</title><p>{SENTENCE * 3}</p>")
    front = article("a.md", f"---\ntitle: {'very ' * 5000}\n---\n\n{body}")
    for item in (record, page, front):
        assert item.title == "very " * 199 + "very…"
    read_texts: list[str] = []

    def count(texts):
        read_texts.extend(texts)
        return FakeEncoder().count_tokens(texts)

    for item in (markdown_article, record):
        passages.cut(item, 60, count)
    # Each letter is counted a few times, the title not once for each passage.
    assert sum(map(len, read_texts)) < 20 * (len(words) + len(body))


def test_a_title_that_is_not_too_long_stays():
    title = "very " * 199 + "long."
    assert len(title) == articles.MAX_TITLE
    assert article("a.md", f"# {title}\n\nText.").title == title
    assert article("a.jsonl", json.dumps({"title": title, "text": "x"})).title == title


class Looked(str):
    """A source that counts how far it is searched."""

    looked = 0

    def find(self, piece, start=0, end=None):
        at = super().find(piece, start, end)
        Looked.looked += (at if at >= 0 else len(self) if end is None else end) - start
        return at


@pytest.mark.parametrize("piece", ["<http://a.b/%C3%A9> ", "<http://a.b/%C3%A9> `x` \\* ", "&amp;x <b> [a](b) "])
def test_places_that_cannot_be_told_are_not_looked_for_in_the_whole_paragraph_each(piece, monkeypatch):
    source = piece * (400_000 // len(piece))
    reader = markdown._Reader
    monkeypatch.setattr(markdown, "_Reader", lambda text, lines: reader(Looked(text), lines))
    Looked.looked = 0
    (block,) = markdown.blocks(source)
    assert block.text.count("\u00e9" if "%C3" in piece else "&x") == source.count(piece)
    assert Looked.looked < 100 * len(source)


def test_an_address_between_brackets_leads_back_to_it_however_it_is_spelled():
    source = "See <http://a.b/%C3%A9> and <http://a.b/c> and http://a.b/é, <m@x.y>."
    (block,) = markdown.blocks(source)
    assert block.text == "See http://a.b/é and http://a.b/c and http://a.b/é, m@x.y."
    places = [source[run_.source_start : run_.source_end] for run_ in block.runs]
    assert places == ["See ", "http://a.b/%C3%A9", " and ", "http://a.b/c", " and http://a.b/é, ", "m@x.y", "."]


# HTML.


def page_texts(page: str) -> str:
    return " ".join(block.text for block in html.read(page).blocks)


@pytest.mark.parametrize(
    "middle",
    [
        "<script>x</script>oil " * 50_000,
        "<svg><path/></svg>oil " * 50_000,
        "<b hidden>x</b>oil " * 50_000,
        "oil<br>" * 50_000,
        "<p>oil" * 50_000,
        "<table><tr>" + "<td>oil" * 50_000 + "</table>",
        "<ul>" + "<li>oil" * 50_000 + "</ul>",
        "<b><i></b>" * 50_000 + "oil",
        "<div>" * 200 + "<i></i>" * 50_000 + "oil" + "</div>" * 200,
        "<table><tr><td>" * 100 + "<i></i>" * 50_000 + "oil",
        "<!--" + " oil" * 500_000 + "-->oil",
        '<img src="data:image/png;base64,' + "QUJD" * 500_000 + '">oil',
        "<p class='" + "c " * 500_000 + "'>oil</p>",
        "<p" + " a=1" * 200_000 + ">oil</p>",
    ],
    ids=lambda page: page[:12],
)  # fmt: skip
def test_pages_of_one_thing_over_and_over(middle):
    text = page_texts(f"<title>T</title><body><p>{SENTENCE * 5}</p>{middle}<p>{SENTENCE} After all.</p>")
    assert text.startswith(SENTENCE.strip())
    assert text.endswith("After all.")
    assert text.count("oil") == 6 + (50_000 if middle.count("oil") == 50_000 else 1)
    assert "QUJD" not in text


@pytest.mark.parametrize("value", ["=1", "", "='>'", '="<a b>"', " = x/y", "=/x/y/="])
def test_an_element_of_fifty_thousand_attributes_is_read_without_most_of_them(value):
    page = f"<body>\n<p{''.join(f' a{at}{value}' for at in range(50_000))}\n>{SENTENCE}</p>\n<p>After all.</p>"
    found_page = html.read(page)
    assert [block.text for block in found_page.blocks][-1] == "After all."
    assert " ".join(block.text for block in found_page.blocks).count("old town") == 1
    assert found_page.blocks[-1].line == 4


def test_few_attributes_are_left_alone():
    tag = "<p " + " ".join(f'a{at}="<b> {at}>"' for at in range(200)) + ">"
    assert html._CROWDED.sub("", f"{tag}Text{tag}") == f"{tag}Text{tag}"


def test_entities_of_a_document_type_stand_for_nothing():
    bomb = "".join(f'<!ENTITY e{at} "{f"&e{at - 1};" * 10 if at else "ha"}">' for at in range(12))
    outside = '<!ENTITY xxe SYSTEM "file:///etc/passwd">'
    body = f"<p>{SENTENCE * 3}&e11;&xxe;</p><svg><text>&e11;</text></svg>"
    for page in (
        f'<?xml version="1.0"?><!DOCTYPE html [{bomb}{outside}]><html><body>{body}</body></html>',
        f"<!DOCTYPE svg [{bomb}{outside}]><svg><text>&e11;&xxe;</text></svg>{body}",
    ):
        text = page_texts(page)
        assert "haha" not in text
        assert "root:" not in text
        assert SENTENCE.strip() in text
        assert len(text) < 2 * len(page)


@pytest.mark.parametrize("opening", ["<div>", "<b>", "<ul><li>", "<table><tr><td>", "<blockquote>"])
def test_a_hundred_thousand_levels_are_refused_in_one_line(opening):
    assert reasons("a.html", f"<p>{SENTENCE}</p>{opening * 100_000}<p>Deep.") == [
        "HTML nested too deeply to be read: save the page's text instead"
    ]


@pytest.mark.parametrize(
    "charset", ["utf16", "U16", "utf_32", "utf7", "punycode", "idna", "unicode_escape", "rot13", "zlib", "undefined"]
)
def test_a_charset_that_no_page_can_have_is_not_believed(charset):
    data = f"<meta charset={charset}><p>The café of M\\u00fcller +AGE-, {SENTENCE}</p>".encode()
    (block,) = article("a.html", data).blocks
    assert block.text == f"The café of M\\u00fcller +AGE-, {SENTENCE.strip()}"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-8"])
def test_a_mark_at_the_beginning_goes_before_what_a_page_says_of_itself(encoding):
    data = ("\ufeff" + f"<meta charset=koi8-r><p>The café. {SENTENCE}</p>").encode(encoding)
    assert article("a.html", data).blocks[0].text.startswith("The café.")
    # Cut in the middle of a letter, or followed by nothing that is one.
    holds("a.html", data[:-1])
    holds("a.txt", data[:8] + b"\xff\xdb" * 9)


# Where files come from.


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes/sub").mkdir(parents=True)
    for name in ("notes/b.md", "notes/sub/a.md", "secret.md"):
        (tmp_path / name).write_text("Some text.\n")
    return tmp_path


PATTERNS = [
    "notes/*.md",
    "notes/*",
    "notes/**",
    "notes/**/*.md",
    "notes/*/*.md",
    "notes/?ut.md",
    "notes/*/../*.md",
    "notes/[a-z]*",
]
NAMED = ["notes", *PATTERNS]


@pytest.mark.parametrize("named", NAMED)
def test_no_link_leads_out_of_a_folder_or_of_a_patterns_folder(folder, named):
    (folder / "notes/out.md").symlink_to("../secret.md")
    (folder / "notes/up").symlink_to("..")
    (folder / "notes/sub/far.md").symlink_to(folder / "secret.md")
    (folder / "notes/device.md").symlink_to("/dev/zero")
    found_files = articles.find([named])
    assert found_files.files or named == "notes/?ut.md"
    assert all(file.path.is_relative_to(folder / "notes") for file in found_files.files)
    assert all(place.is_relative_to(folder / "notes") for place in found_files.folders)
    assert found_files.problems
    assert {problem.reason.partition(" ")[2] for problem in found_files.problems} == {
        f"{'path' if '..' in named else 'link'} that leads out of its folder: name its target to index it"
    } | ({"link that leads out of its folder: name its target to index it"} if named == "notes/*/../*.md" else set())


def test_two_dots_behind_a_wildcard_lead_out_of_no_folder(folder):
    found_files = articles.find(["notes/*/../../*.md"])
    assert found_files.files == []
    assert found_files.problems == [Problem(".", "a path that leads out of its folder: name its target to index it")]
    assert [file.source for file in articles.find(["notes/../*.md"]).files] == ["secret.md"]


@pytest.mark.parametrize("named", [named for named in NAMED if "?" not in named])
def test_rings_of_links_end_and_each_file_comes_once_by_its_own_name(folder, named):
    for name in "cdefghij":
        (folder / "notes" / name).symlink_to(".")
        (folder / "notes/sub" / name).symlink_to("..")
    (folder / "notes/loop.md").symlink_to("pool.md")
    (folder / "notes/pool.md").symlink_to("loop.md")
    files = articles.find([named]).files
    assert len({file.path for file in files}) == len(files) <= 2
    if "*/" not in named.replace("**/", ""):
        assert "notes/b.md" in [file.source for file in files]


def test_patterns_find_what_they_found_before(folder):
    (folder / "notes/.hidden").mkdir()
    (folder / "notes/.hidden/h.md").write_text("x")
    (folder / "notes/log.txt").write_text("x")

    def sources(*names):
        return [file.source for file in articles.find(names).files]

    assert sources("notes/**/*.md") == ["notes/b.md", "notes/sub/a.md"]
    assert sources("**/a.md") == ["notes/sub/a.md"]
    assert sources("notes/.h*/*.md") == ["notes/.hidden/h.md"]
    assert sources("*/sub/*") == ["notes/sub/a.md"]
    assert sources(str(folder / "notes/*.txt")) == [str(folder / "notes/log.txt")]
    assert sources("notes/**") == ["notes/b.md", "notes/log.txt", "notes/sub/a.md"]
    for nothing in ("notes/*.pdf", "nowhere/*/x.md", "notes/b.md/*"):
        with pytest.raises(InputError, match="nothing matches"):
            articles.find([nothing])


def test_folders_deeper_than_python_calls_itself(folder):
    place = folder / "deep"
    place.mkdir()
    os.chdir(place)
    for _ in range(1200):
        Path("d").mkdir()
        os.chdir("d")
    Path("x.md").write_text("Some text.")
    os.chdir(folder)
    for named in ("deep", "deep/**/*.md"):
        (file,) = articles.find([named]).files
        assert articles.load(file) == b"Some text."
    # So that pytest can take it away.
    while not (place / "x.md").exists():
        (place / "d").rename(folder / "next")
        place.rmdir()
        (folder / "next").rename(place)


def test_pipes_and_devices_are_never_read(folder):
    os.mkfifo(folder / "notes/pipe.md")
    (folder / "notes/link.md").symlink_to("pipe.md")
    for named in ("notes/pipe.md", "notes/link.md", "/dev/zero", "/dev/null", "/dev/tty"):
        assert articles.find([named]).problems == [Problem(named, "neither a file nor a folder")]
    assert [file.source for file in articles.find(["notes"]).files] == ["notes/b.md", "notes/sub/a.md"]


def test_what_has_come_in_the_place_of_a_file_is_not_read(folder):
    (file,) = articles.find(["notes/b.md"]).files
    file.path.unlink()
    with pytest.raises(articles.Unreadable, match="cannot be read: No such file"):
        articles.load(file)
    os.mkfifo(file.path)
    with pytest.raises(articles.Unreadable, match="cannot be read: no longer a file"):
        articles.load(file)
    file.path.unlink()
    file.path.symlink_to(folder / "secret.md")
    with pytest.raises(articles.Unreadable, match="cannot be read: a part of its path was replaced by a link"):
        articles.load(file)
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(articles.Unreadable, match=r"cannot be read: (?:Is a directory|no longer a file)"):
        articles.load(file)


REPLACED = "a part of its path was replaced by a link or a file; index it again"
needs_parts = pytest.mark.skipif(not nofollow._BY_PARTS, reason="the system opens no file relative to a folder")


def replace_by_link(place: Path, target: Path) -> None:
    place.rename(target.with_name("moved"))
    place.symlink_to(target)


@needs_parts
@pytest.mark.parametrize("replaced", ["notes/sub", "notes"])
@pytest.mark.parametrize("suffix", [".md", ".md.gz", ".jsonl"])
def test_a_folder_replaced_by_a_link_after_the_search_is_not_read(folder, replaced, suffix):
    for name in ("notes/sub", "outside", "outside/sub"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / f"a{suffix}").write_text('{"text": "Some text."}\n')
    (file,) = articles.find([f"notes/sub/a{suffix}"]).files
    replace_by_link(folder / replaced, folder / "outside")
    with pytest.raises(articles.Unreadable, match=f"cannot be read: {REPLACED}"):
        articles.load(file)
    # Neither a file nor a pipe in the place of the folder.
    (folder / replaced).unlink()
    os.mkfifo(folder / replaced)
    with pytest.raises(articles.Unreadable, match=f"cannot be read: {REPLACED}"):
        articles.load(file)
    (folder / replaced).unlink()
    (folder / "moved").rename(folder / replaced)
    assert articles.load(file)


@needs_parts
def test_a_folder_replaced_by_a_link_while_it_is_indexed_costs_itself_alone(folder, home, monkeypatch):
    (folder / "outside").mkdir()
    (folder / "outside/a.md").write_text("The private words of somebody else.")
    load = articles.load

    def exchanging(file):
        if file.source == "notes/sub/a.md" and not (folder / "moved").exists():
            replace_by_link(folder / "notes/sub", folder / "outside")
        return load(file)

    monkeypatch.setattr(articles, "load", exchanging)
    report, encoded = build("notes", home)
    assert (report.articles, len(encoded)) == (1, 1)
    assert [(problem.source, problem.reason) for problem in report.problems] == [
        ("notes/sub/a.md", f"cannot be read: {REPLACED}")
    ]
    # What was indexed of the folder is removed by the next run: the link leads out.
    report, _ = build("notes", home)
    assert [(problem.source, problem.reason.partition(":")[0]) for problem in report.problems] == [
        ("notes/sub", "a link that leads out of its folder")
    ]


@needs_parts
def test_files_of_a_folder_that_became_a_link_leave_the_index(folder, home):
    assert build("notes", home)[0].articles == 2
    (folder / "outside").mkdir()
    (folder / "outside/a.md").write_text("The private words of somebody else.")
    (folder / "notes/sub").rename(folder / "moved")
    (folder / "notes/sub").symlink_to(folder / "outside")
    report, encoded = build("notes", home)
    assert (report.articles, report.removed, encoded) == (1, 1, [])
    (folder / "notes/sub").unlink()
    (folder / "moved").rename(folder / "notes/sub")
    assert build("notes", home)[0].added == 1


@needs_parts
@pytest.mark.parametrize("named", ["notes", "notes/**", "notes/**/*.md", "notes/*/*.md", "no*"])
def test_a_folder_replaced_by_a_link_before_it_is_listed_is_not_listed(folder, named, monkeypatch):
    (folder / "outside/deep").mkdir(parents=True)
    (folder / "outside/private.md").write_text("x")
    listed = []
    real = files.list_folder

    def exchanging(path):
        if path.name == "sub" and not path.is_symlink():
            replace_by_link(path, folder / "outside")
        found_here = real(path)
        listed.extend(entry.name for entry in found_here)
        return found_here

    monkeypatch.setattr(files, "list_folder", exchanging)
    if named == "notes/*/*.md":
        with pytest.raises(InputError, match="nothing matches"):
            articles.find([named])
        assert "private.md" not in listed
        return
    found_files = articles.find([named])
    assert [file.source for file in found_files.files] == ["notes/b.md"]
    assert "private.md" not in listed
    assert "deep" not in listed
    assert not [problem for problem in found_files.problems if "private" in problem.source]
    if named in ("notes", "no*"):
        assert found_files.problems == [Problem("notes/sub", f"cannot be listed: {REPLACED}")]


@needs_parts
def test_a_citation_is_not_compared_through_a_link(folder, home):
    build("notes", home)
    shutil.copytree(folder / "notes", folder / "copy")
    with semsearch.open(home, encoder=FakeEncoder()) as index:
        (hit, *_) = index.search("some text")
        assert hit.verify() == "OK"
        replace_by_link(folder / "notes", folder / "copy")
        assert (str(hit.verify()), hit.verify().reason) == ("STALE", f"cannot be read: {REPLACED}")
    assert semsearch.check(home, sources=True).citations == {"OK": 0, "MOVED": 0, "STALE": 2}


def test_no_folder_outside_a_pattern_is_listed(folder):
    (folder / "outside/deep").mkdir(parents=True)
    (folder / "outside/deep/secret.md").write_text("x")
    (folder / "notes/sub/x").symlink_to(folder / "outside")
    for named in ("notes/*/x/**", "notes/*/x/*/*.md", "notes/*/x/*"):
        found_files = articles.find([named])
        assert found_files.files == []
        assert found_files.problems == [
            Problem("notes/sub/x", "a link that leads out of its folder: name its target to index it")
        ]


def test_a_pattern_below_a_link_to_itself_matches_nothing(folder):
    (folder / "loop").symlink_to("loop")
    with pytest.raises(InputError, match="nothing matches 'loop/"):
        articles.find(["loop/*.md"])


@pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="the system cannot open a folder without listing it")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may list all folders")
def test_a_file_below_a_folder_that_may_only_be_entered_is_read(folder):
    (file,) = articles.find(["notes/b.md"]).files
    (folder / "notes").chmod(0o100)
    try:
        assert articles.load(file) == b"Some text.\n"
    finally:
        (folder / "notes").chmod(0o700)


def test_a_system_that_cannot_open_by_parts_reads_and_lists_as_well(folder, monkeypatch):
    monkeypatch.setattr(nofollow, "_BY_PARTS", False)
    found_files = articles.find(["notes", "notes/*/*.md"])
    assert [file.source for file in found_files.files] == ["notes/b.md", "notes/sub/a.md"]
    assert [articles.load(file) for file in found_files.files] == [b"Some text.\n"] * 2


def test_no_descriptor_stays_open(folder):
    (file,) = articles.find(["notes/b.md"]).files
    (folder / "notes/link").symlink_to("sub")
    refused = SourceFile(folder / "notes/link/a.md", "a.md")
    before = os.open(os.devnull, os.O_RDONLY)
    os.close(before)
    for _ in range(5):
        articles.load(file)
        articles.find(["notes", "notes/**/*.md"])
        with contextlib.suppress(articles.Unreadable):
            articles.load(refused)
    after = os.open(os.devnull, os.O_RDONLY)
    os.close(after)
    assert after == before


def test_a_file_that_is_larger_than_the_system_says_is_read_no_further_than_allowed(folder, monkeypatch):
    (file,) = articles.find(["notes/b.md"]).files
    monkeypatch.setattr(articles, "MAX_ARTICLE_BYTES", 5)
    # As files of /proc and files that grow meanwhile: a size that is not theirs.
    real = os.fstat
    monkeypatch.setattr(os, "fstat", lambda handle: os.stat_result((*real(handle)[:6], 0, *real(handle)[7:])))
    with pytest.raises(InputError, match="more than the 0 MB of one article: split the file"):
        articles.load(file)
    monkeypatch.setattr(articles, "MAX_ARTICLE_BYTES", 100)
    assert articles.load(file) == b"Some text.\n"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_a_file_of_no_size_with_something_in_it_is_read():
    (file,) = articles.find(["/proc/self/status"]).files
    assert b"VmRSS" in articles.load(file)


def test_a_file_that_is_gone_when_it_is_read_leaves_the_others(folder, home, monkeypatch):
    load = articles.load

    def vanishing(file):
        if file.source == "notes/b.md":
            file.path.unlink()
        return load(file)

    monkeypatch.setattr(articles, "load", vanishing)
    report, _ = build("notes", home)
    assert report.articles == 1
    assert [(problem.source, problem.reason) for problem in report.problems] == [
        ("notes/b.md", "cannot be read: No such file or directory")
    ]


# Terminals.


ATTACK = "\x1b[2J\x1b]0;owned\x07\x9b31m\x1b]8;;http://evil\x1b\\x\x08\x7f\u202eevil\u2066\u200f"


@pytest.mark.usefixtures("no_model")
def test_nothing_in_an_article_steers_the_terminal(folder):
    file_name = "e\x1b]0;owned\x07\x9b2J\u202evil\r\nforged"
    escaped = json.dumps(ATTACK)[1:-1]
    (folder / f"notes/{file_name}.md").write_text(
        f'---\ntitle: "{escaped}"\ndate: "{escaped}"\n"k{escaped}": "{escaped}"\n---\n\n'
        f"## {ATTACK}\n\nThe oil {ATTACK} was found.\n"
    )
    (folder / "notes/page.html").write_text(
        f"<title>{ATTACK}</title><h2>{ATTACK}</h2><p>The oil {ATTACK} was lost. {SENTENCE}</p>"
    )
    (folder / "notes/all.jsonl").write_text(json.dumps({"title": ATTACK, "text": f"The oil {ATTACK}", "date": ATTACK}) + "\n{\n")
    (folder / f"notes/bad{file_name}.md").write_bytes(b"\0\1\2")
    (folder / f"notes/yaml{file_name}.md").write_text(f'---\na: !!{ATTACK.replace(" ", "")} x\nb: "\n---\n\nThe oil.')
    outputs = []
    for arguments in (
        ["index", "notes"],
        ["ask", f"oil {ATTACK}", "-k", "9", "--explain", "--copies"],
        ["ask", f"oil {ATTACK}", "-k", "9", "--json"],
        ["ask", "oil", "--where", f"date={ATTACK}"],
        ["ask", "oil", "--mode", "lexical"],
        ["index", "notes", "--index", file_name],
        ["status", "--index", file_name],
        ["remove", "notes", "--index", file_name],
    ):
        result = run(*arguments)
        outputs += [result.stdout, result.stderr]
        assert result.exit_code in (0, 1)
    assert "oil" in outputs[2]
    for output in outputs:
        assert not FORBIDDEN.search(output), FORBIDDEN.search(output)


def test_a_whole_folder_of_bad_files_is_indexed_as_far_as_it_can_be_read(folder, home):
    chance = random.Random(7)
    for at in range(20):
        suffix = (".md", ".txt", ".html", ".jsonl")[at % 4]
        (folder / f"notes/{at}{suffix}").write_bytes(chance.randbytes(2000).replace(b"\0", b" "))
        wild = "".join(chance.choice(PIECES) for _ in range(200)).replace("\0", "")
        (folder / f"notes/wild{at}{suffix}").write_bytes(wild.encode("utf-8", "surrogatepass"))
    (folder / "notes/numbers.md").write_text(f"---\na: 0x{'f' * 20_000}\n---\n\nA sword of the council.\n")
    report, _ = build("notes", home)
    assert report.articles >= 13
    (hit,) = found(home, "sword council", 1)
    assert (hit.source, hit.text) == ("notes/numbers.md", "A sword of the council.")
    again, encoded = build("notes", home)
    assert (again.unchanged, again.articles, encoded) == (43, report.articles, [])
    assert again.problems == report.problems
