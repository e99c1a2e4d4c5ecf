"""Files to articles: which files are found, how bytes become text, front matter, plain text, JSONL."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch import articles
from semsearch.articles import SourceFile, text
from semsearch.articles.decode import decode
from semsearch.errors import InputError
from semsearch.records import INDEX_DATABASE, Article, Problem


def read(name: str, data: str | bytes) -> list[Article | Problem]:
    data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return list(articles.read(SourceFile(Path("/x") / name, name), data))


def one(name: str, data: str | bytes) -> Article:
    (item,) = read(name, data)
    assert isinstance(item, Article), item
    return item


def problem(name: str, data: str | bytes) -> str:
    (item,) = read(name, data)
    assert isinstance(item, Problem), item
    return item.reason


def texts(article: Article) -> list[str]:
    return [block.text for block in article.blocks]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ``notes`` in the working folder, with two articles, one of them a level down."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes/sub").mkdir(parents=True)
    for name in ("notes/b.md", "notes/sub/a.txt"):
        (tmp_path / name).write_text("Some text.\n")
    return tmp_path


def sources(*names: str | Path) -> list[str]:
    return [file.source for file in articles.find(names).files]


class TestFind:
    def test_folder_is_read_with_its_folders_in_the_order_of_paths(self, folder):
        assert sources("notes") == ["notes/b.md", "notes/sub/a.txt"]
        assert articles.find(["notes"]).files[0] == SourceFile((folder / "notes/b.md").resolve(), "notes/b.md")
        assert sources("./notes/", folder / "notes/sub") == ["notes/b.md", "notes/sub/a.txt"]

    def test_source_is_the_path_as_it_was_given(self, folder):
        assert sources(folder / "notes/b.md") == [f"{folder}/notes/b.md"]
        assert sources("./notes/../notes/b.md") == ["notes/b.md"]

    def test_unknown_suffix_is_passed_over_in_a_folder_and_read_if_named(self, folder):
        (folder / "notes/c.log").write_text("Some text.")
        (folder / "notes/D.MD").write_text("Some text.")
        assert sources("notes") == ["notes/D.MD", "notes/b.md", "notes/sub/a.txt"]
        assert sources("notes/c.log") == ["notes/c.log"]

    def test_hidden_files_are_passed_over_unless_named(self, folder):
        (folder / "notes/.git").mkdir()
        (folder / "notes/.git/x.md").write_text("x")
        (folder / "notes/.hidden.md").write_text("x")
        assert sources("notes") == ["notes/b.md", "notes/sub/a.txt"]
        assert sources("notes/.hidden.md") == ["notes/.hidden.md"]

    def test_folder_that_holds_an_index_is_passed_over(self, folder):
        (folder / "notes/sub" / INDEX_DATABASE).write_text("")
        assert sources("notes") == ["notes/b.md"]

    def test_folder_with_the_name_of_an_article(self, folder):
        (folder / "notes/x.md").mkdir()
        (folder / "notes/x.md/y.md").write_text("x")
        assert sources("notes") == ["notes/b.md", "notes/sub/a.txt", "notes/x.md/y.md"]
        assert articles.find(["notes"]).problems == []

    def test_patterns(self, folder):
        assert sources("notes/*.md") == ["notes/b.md"]
        assert sources("**/*.txt") == ["notes/sub/a.txt"]
        assert sources("no*") == ["notes/b.md", "notes/sub/a.txt"]
        (folder / "notes/[x].md").write_text("x")
        assert sources("notes/[x].md") == ["notes/[x].md"]

    def test_each_file_comes_once(self, folder):
        (folder / "notes/link.md").symlink_to(folder / "notes/b.md")
        assert sources("notes/b.md", "notes", "notes/*.md", folder / "notes") == ["notes/b.md", "notes/sub/a.txt"]

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            ([], "no articles named"),
            (["gone.md"], "no such file or folder: 'gone.md'"),
            (["notes/*.pdf"], "nothing matches 'notes/\\*.pdf'"),
            (["notes", "gone"], "no such file or folder: 'gone'"),
        ],
    )
    def test_sources_that_name_nothing(self, folder, names, message):
        with pytest.raises(InputError, match=message):
            articles.find(names)

    def test_links(self, folder):
        (folder / "outside.md").write_text("x")
        (folder / "notes/dangling.md").symlink_to("gone.md")
        (folder / "notes/loop.md").symlink_to("loop.md")
        (folder / "notes/out.md").symlink_to("../outside.md")
        (folder / "notes/up").symlink_to("..")
        (folder / "notes/inside.md").symlink_to("sub/a.txt")
        found = articles.find(["notes"])
        assert [file.source for file in found.files] == ["notes/b.md", "notes/inside.md"]
        assert {(problem.source, problem.reason.split(":")[0]) for problem in found.problems} == {
            ("notes/dangling.md", "a link to a file that is not there"),
            ("notes/loop.md", "a link that leads back to itself, or a path that cannot be followed"),
            ("notes/out.md", "a link that leads out of its folder"),
            ("notes/up", "a link that leads out of its folder"),
        }
        assert sources("notes/out.md") == ["notes/out.md"]

    def test_kind_of_a_link_is_told_by_its_name(self, folder):
        (folder / "notes/blob").write_text("# Head\n\nSome *text*.")
        (folder / "notes/c.md").symlink_to("blob")
        file = next(file for file in articles.find(["notes"]).files if file.source == "notes/c.md")
        (article,) = articles.read(file, articles.load(file))
        assert (article.title, texts(article)) == ("Head", ["Some text."])

    def test_what_is_neither_file_nor_folder(self, folder):
        os.mkfifo(folder / "pipe.md")
        assert articles.find(["pipe.md"]).problems == [Problem("pipe.md", "neither a file nor a folder")]

    def test_name_that_is_not_utf8_is_a_problem(self, folder):
        with open(os.fsencode(folder / "notes") + b"/caf\xe9.md", "w") as file:
            file.write("x")
        found = articles.find(["notes"])
        assert [file.source for file in found.files] == ["notes/b.md", "notes/sub/a.txt"]
        assert found.problems == [Problem("notes/caf\ufffd.md", "a file name that is not text: rename it")]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read all")
    def test_folder_that_may_not_be_listed(self, folder):
        (folder / "notes/sub").chmod(0)
        found = articles.find(["notes"])
        (folder / "notes/sub").chmod(0o700)
        assert [file.source for file in found.files] == ["notes/b.md"]
        assert found.problems == [Problem("notes/sub", "cannot be listed: Permission denied")]

    @pytest.mark.parametrize(
        ("source", "path", "expected"),
        [
            ("notes", "notes/gone.md", True),
            ("notes", "notes/deep/down/gone.md", True),
            ("notes", "notes/gone.log", True),
            ("notes", "notes/there.log", False),
            ("notes", "notebook/gone.md", False),
            ("notes/b.md", "notes/gone.md", False),
            ("notes/*.md", "notes/gone.md", True),
            ("notes/*.md", "notes/sub/gone.md", False),
            ("notes/**/*.md", "notes/gone.md", True),
            ("notes/**/*.md", "notes/sub/deep/gone.md", True),
            ("no*", "notes/sub/gone.md", True),
        ],
    )
    def test_looked_for(self, folder, source, path, expected):
        (folder / "notes/there.log").write_text("named by itself, some time ago")
        assert articles.find([source]).looked_for((folder / path).resolve()) is expected

    def test_looked_for_below_a_folder_whose_name_looks_like_a_pattern(self, folder, monkeypatch):
        (folder / "[n]").mkdir()
        monkeypatch.chdir(folder / "[n]")
        Path("a.md").write_text("x")
        found = articles.find(["*.md"])
        assert found.looked_for(Path("gone.md").resolve())
        assert not found.looked_for((folder / "n/gone.md").resolve())


class TestLoad:
    def file(self, path: Path, data: bytes) -> SourceFile:
        path.write_bytes(data)
        return SourceFile(path, path.name)

    def test_bytes_as_they_are(self, tmp_path):
        assert articles.load(self.file(tmp_path / "a.md", b"\xffx\r\n")) == b"\xffx\r\n"

    def test_nothing_in_it(self, tmp_path):
        for data in (b"", b" \r\n\t\n"):
            with pytest.raises(InputError, match="empty file"):
                articles.load(self.file(tmp_path / "a.md", data))

    def test_too_large_for_an_article_but_not_for_jsonl(self, tmp_path, monkeypatch):
        monkeypatch.setattr(articles, "MAX_ARTICLE_BYTES", 2**20)
        data = b"x" * (2**20 + 1)
        with pytest.raises(InputError, match="more than the 1 MB of one article: split the file"):
            articles.load(self.file(tmp_path / "a.md", data))
        assert articles.load(self.file(tmp_path / "a.jsonl", data)) == data

    def test_gone(self, tmp_path):
        with pytest.raises(InputError, match="cannot be read: No such file"):
            articles.load(SourceFile(tmp_path / "gone.md", "gone.md"))


CAFE = "“It’s” the café’s view – naïve, perhaps. "


class TestDecode:
    @pytest.mark.parametrize(
        "data",
        [
            CAFE.encode(),
            codecs.BOM_UTF8 + CAFE.encode(),
            codecs.BOM_UTF16_LE + CAFE.encode("utf-16-le"),
            codecs.BOM_UTF16_BE + CAFE.encode("utf-16-be"),
            codecs.BOM_UTF32_LE + CAFE.encode("utf-32-le"),
            CAFE.encode("cp1252"),
        ],
    )
    def test_encodings(self, data):
        assert decode(data) == CAFE

    def test_few_odd_bytes_are_western(self):
        assert decode(b"caf\xe9 na\xefve") == "café naïve"
        assert decode(b"Dogs " * 50 + b"\x96 caf\xe9") == "Dogs " * 50 + "– café"

    def test_many_odd_bytes_are_guessed(self):
        russian = "Президент заявил, что встреча состоится позже. "
        assert decode(russian.encode("cp1251")) == russian

    @pytest.mark.parametrize(
        ("encoding", "text"),
        [
            ("cp1252", "La réunion a été reportée, a dit le ministre. « Où va-t-on ? » Les élèves français étaient déçus. "),
            ("cp1252", "Die Größe überraschte die Bürger. Für die Bevölkerung änderte sich nichts. "),
            ("cp1250", "Prezydent powiedział, że spotkanie odbędzie się później. Żaden z posłów nie był obecny. "),
            ("cp1254", "Cumhurbaşkanı toplantının ertelendiğini söyledi. Hiçbir milletvekili katılmadı. "),
        ],
    )
    def test_latin_alphabets(self, encoding, text):
        for times in (5, 40):
            assert decode((text * times).encode(encoding)) == text * times

    def test_mostly_valid_utf8_keeps_its_letters(self):
        assert decode("Größe, Straße, Mühe: ".encode() + b"\xff!") == "Größe, Straße, Mühe: \ufffd!"

    def test_binary(self):
        noise = random.Random(1).randbytes(3000)
        for data in (noise, noise.replace(b"\0", b""), b"text \0 text"):
            with pytest.raises(InputError, match=r"binary file|not text in any known encoding"):
                decode(data)
        assert problem("a.md", noise).startswith("binary file")

    @pytest.mark.parametrize(
        ("charset", "encoding"),
        [("utf-8", "utf-8"), ("windows-1251", "cp1251"), ("Shift_JIS", "shift_jis"), ("iso-2022-jp", "iso-2022-jp")],
    )
    def test_declared_charset(self, charset, encoding):
        words = {"cp1251": "нефть", "utf-8": "Größe – 大"}.get(encoding, "石油")
        page = f'<html><head><meta charset="{charset}"></head><body><p>{words}</p></body></html>'
        assert texts(one("a.html", page.encode(encoding))) == [words]

    @pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", "undefined", "hex", "idna", "no-such", "unicode"])
    def test_wrongly_declared_charset(self, charset):
        page = f"<meta charset={charset}><p>It’s a café</p>"
        assert texts(one("a.html", page.encode("cp1252"))) == ["It’s a café"]

    def test_charset_counts_in_html_only(self):
        assert decode('<meta charset="cp1251"> café'.encode()) == '<meta charset="cp1251"> café'

    def test_what_cannot_be_stored_is_replaced(self):
        assert decode(codecs.BOM_UTF16_LE + "a\0b".encode("utf-16-le")) == "a\ufffdb"

    @settings(derandomize=True, max_examples=100, deadline=None)
    @given(st.binary(max_size=200))
    def test_any_bytes_are_text_or_refused(self, data):
        for html in (False, True):
            with contextlib.suppress(InputError):
                decode(b"<meta charset=utf-7>" * html + data, html=html).encode()

    def test_files_of_nothing_but_space(self):
        for name in ("a.md", "a.txt"):
            assert problem(name, codecs.BOM_UTF8 + b" \n") == "no text in this file"
        assert problem("a.html", " <p> </p>") == "no text in this HTML page"
        assert read("a.jsonl", "\n \n") == []


class TestFrontMatter:
    def test_metadata_under_common_names(self):
        article = one(
            "a.md",
            "---\ntitle: Oil\ndate: 2018-09-27\nlang: en\nkeywords: oil, gas , \nauthors: [A, B]\nsource: https://x.org/a\n"
            "wordcount: 12\nupdated: 2018-09-27 10:00:00\ndraft: no\nnote:\nnested: {when: 2020-01-02}\n---\nBody.\n",
        )
        assert article.title == "Oil"
        assert dict(article.metadata) == {
            "date": "2018-09-27",
            "language": "en",
            "tags": ["oil", "gas"],
            "author": ["A", "B"],
            "url": "https://x.org/a",
            "wordcount": 12,
            "updated": "2018-09-27T10:00:00",
            "draft": False,
            "nested": {"when": "2020-01-02"},
        }
        assert [(block.text, block.line) for block in article.blocks] == [("Body.", 14)]
        json.dumps(article.metadata)

    def test_crlf_and_text_files(self):
        for name in ("a.md", "a.txt"):
            article = one(name, "---\r\ntitle: Oil\r\ntags: [a, b]\r\n---\r\n\r\nBody\r\nwraps.\r\n")
            assert (article.title, dict(article.metadata)) == ("Oil", {"tags": ["a", "b"]})
            assert [(block.text, block.line) for block in article.blocks] == [("Body wraps.", 6)]

    @pytest.mark.parametrize(
        ("matter", "reason"),
        [
            ("title: Oil: a history", "line 2: mapping values are not allowed here"),
            ("# note\ntitle: Oil: a history", "line 3: mapping values are not allowed here"),
            ("a: 1\nb: [1, 2", "line 4"),
            ("a: &x [1]\nb: *x", "line 3: aliases are not read"),
            ("a: !!bool x", ""),
            ("a: !!timestamp x", ""),
            ('a: !!int ""', ""),
            ("a: !!python/object/apply:os.system [ls]", "line 2"),
            ("a: " + "[" * 5000, ""),
        ],
    )
    def test_what_cannot_be_read_is_left_out_and_told(self, matter, reason):
        wrong, article = read("oil.md", f"---\n{matter}\n---\nBody.\n")
        assert isinstance(wrong, Problem)
        assert wrong.reason.startswith("front matter is not YAML")
        assert reason in wrong.reason
        assert wrong.reason.endswith("its metadata is left out")
        assert isinstance(article, Article)
        assert (article.title, dict(article.metadata), texts(article)) == ("oil", {}, ["Body."])

    @pytest.mark.parametrize(
        "source",
        [
            "---\n\nCaracas, Sept. 27: all of it is text.\n\n---\n\nMore of the text is here.",
            "---\r\n \r\nCaracas, Sept. 27: all of it is text.\r\n\r\n---\r\n\r\nMore of the text is here.",
            "---\nCaracas, Sept. 27 (RHC)\n---\n\nMore of the text is here.",
            "---\n- one\n- two\n\n---\n\nMore of the text is here.",
        ],
    )
    def test_rule_at_the_top_is_no_front_matter(self, source):
        article = one("a.md", source)
        assert dict(article.metadata) == {}
        words = " ".join(texts(article)).replace("- ", "").split()
        assert words == [word for word in source.replace("- ", "").split() if word != "---"]

    def test_empty_front_matter(self):
        assert texts(one("a.md", "---\n---\nBody.")) == ["Body."]

    def test_numbers_json_does_not_know(self):
        assert dict(one("a.md", "---\na: .inf\nb: .nan\nc: 1.5\n---\nBody.").metadata) == {"a": "inf", "b": "nan", "c": 1.5}


class TestArticle:
    def test_title_is_the_heading_on_top_or_the_only_one(self):
        assert one("a.md", "# *Oil* & gas\n\nText.").title == "Oil & gas"
        assert one("a.md", "By someone\n\n# Oil\n\nText.").title == "Oil"
        article = one("big_oil-2.md", "Text.\n\n# Part one\n\nMore.\n\n# Part two\n\nStill more.")
        assert article.title == "big oil 2"
        assert texts(article) == ["Text.", "Part one", "More.", "Part two", "Still more."]
        assert texts(one("a.md", "# Oil\n\nText.\n\n# Gas\n\nMore.")) == ["Text.", "Gas", "More."]

    def test_title_of_the_front_matter_goes_first(self):
        article = one("a.md", "---\ntitle: Oil & gas\n---\n# OIL and gas\n\n# Oil & Gas\n\nText.")
        assert article.title == "Oil & gas"
        assert texts(article) == ["OIL and gas", "Text."]

    def test_bare_address_and_footer_become_metadata(self):
        article = one("a.md", "# T\n\nText.\n\n---\n\n<https://x.org/a>\n\n**Radio X**\n")
        assert dict(article.metadata) == {"url": "https://x.org/a", "footer": "Radio X"}
        assert texts(article) == ["Text."]

    def test_footer_that_says_something_stays(self):
        for below in ("He died in 1831.", "- one\n- two", "\n\n".join(["a line of verse"] * 5), "无法" * 70):
            article = one("a.md", f"Text.\n\n---\n\n{below}")
            assert "footer" not in article.metadata
            assert len(article.blocks) > 2

    def test_only_headings_or_only_an_address_are_text(self):
        assert [(block.kind, block.text) for block in one("a.md", "# One\n\n## Two").blocks] == [
            ("paragraph", "One"),
            ("paragraph", "Two"),
        ]
        assert texts(one("a.md", "<https://x.org>")) == ["https://x.org"]


class TestText:
    def test_paragraphs_lines_and_runs(self):
        source = "A title line\r\n\r\nOne that\r\n  is wrapped  \r\nby hand.\r\n \t\r\n\r\nTwo.\r\n"
        article = one("a.txt", source)
        assert article.title == "A title line"
        assert [(block.kind, block.text, block.line) for block in article.blocks] == [
            ("paragraph", "One that is wrapped by hand.", 3),
            ("paragraph", "Two.", 8),
        ]
        for block in article.blocks:
            assert [block.text[run.start : run.end] for run in block.runs] == [
                source[run.source_start : run.source_end] for run in block.runs
            ]
        assert [tuple(run) for run in article.blocks[0].runs] == [(0, 8, 16, 24), (9, 19, 28, 38), (20, 28, 42, 50)]

    @pytest.mark.parametrize(
        ("first", "title"),
        [
            ("Sanctions and blockades", "Sanctions and blockades"),
            ("This is a sentence.", "a"),
            ("He said: “No!”", "He said: “No!”"),
            ("Two lines\nof text", "a"),
            (" ".join(["word"] * 16), "a"),
            ("字" * 201, "a"),
        ],
    )
    def test_title_is_a_short_line_that_is_no_sentence(self, first, title):
        article = one("a.txt", f"{first}\n\nText.")
        assert article.title == title
        assert article.blocks[-1].text == "Text."
        assert len(article.blocks) == (1 if title != "a" else 2)

    def test_only_line_stays_text(self):
        article = one("oil notes.txt", "Sanctions and blockades")
        assert (article.title, texts(article)) == ("oil notes", ["Sanctions and blockades"])

    def test_long_lines_are_paragraphs_without_blank_lines_between(self):
        long = ["word " * 60, "other " * 60]
        article = one("a.txt", f"short\nlines\n{long[0]}\n{long[1]}\nthe end.")
        assert [(block.text, block.line) for block in article.blocks] == [
            ("short lines", 1),
            (long[0].strip(), 3),
            (long[1].strip(), 4),
            ("the end.", 5),
        ]

    def test_markdown_is_not_read_in_text(self):
        assert texts(one("a.txt", "# *Not* a heading.\n\n\\$5 &amp; more.")) == ["# *Not* a heading.", "\\$5 &amp; more."]

    @settings(derandomize=True, max_examples=150, deadline=None)
    @given(st.text(alphabet=st.sampled_from("ab. \t\n\r\x0b\x85\u2028é字"), max_size=80))
    def test_words_and_places_are_kept(self, source):
        blocks = list(text.paragraphs(source))
        assert [word for block in blocks for word in block.text.split()] == source.split()
        for block in blocks:
            assert block.text == block.text.strip()
            for run in block.runs:
                assert block.text[run.start : run.end] == source[run.source_start : run.source_end]
            before = source[: block.runs[0].source_start].replace("\r\n", "\n").replace("\r", "\n")
            assert block.line == 1 + before.count("\n")


class TestJsonl:
    def test_records(self):
        lines = [
            {"title": " Oil ", "text": "One.\n\nTwo\nwraps.", "lang": "es", "n": {"a": [1, None]}},
            {"_id": "7", "body": "Body."},
            {"text": " ", "content": "Content.", "title": 1984},
            {"title": "Only a title", "text": ""},
            {"title": "Only a title", "text": " \n"},
        ]
        found = read("dump.jsonl", "\n".join(json.dumps(line) for line in lines))
        assert [(item.source, item.title, dict(item.metadata), texts(item)) for item in found if isinstance(item, Article)] == [
            ("dump.jsonl#1", "Oil", {"language": "es", "n": {"a": [1, None]}}, ["One.", "Two wraps."]),
            ("dump.jsonl#2", "", {"_id": "7"}, ["Body."]),
            ("dump.jsonl#3", "1984", {}, ["Content."]),
            ("dump.jsonl#4", "Only a title", {}, ["Only a title"]),
            ("dump.jsonl#5", "Only a title", {}, ["Only a title"]),
        ]
        assert [block.line for block in found[0].blocks] == [1, 1]
        assert [tuple(run) for block in found[0].blocks for run in block.runs] == [(0, 4, 0, 4), (0, 3, 6, 9), (4, 10, 10, 16)]

    def test_bad_lines_are_told_and_the_others_read(self):
        deep = "[" * 100_000 + "]" * 100_000
        lines = [
            '{"text": "One."}',
            "",
            '{"text": "Two."',
            "[1]",
            '{"title": 5}',
            '{"text": ["a"]}',
            '{"text": " "}',
            '{"text": "x", "n": ' + deep + "}",
            '{"text": "x", "n": ' + "9" * 5000 + "}",
            '{"text": "\u2028Last."}',
        ]
        found = read("d.jsonl", "\r\n".join(lines))
        assert [item.source for item in found if isinstance(item, Article)] == ["d.jsonl#1", "d.jsonl#10"]
        reasons = [item.reason for item in found if isinstance(item, Problem)]
        assert reasons[:5] == [
            "line 3: not JSON (Expecting ',' delimiter at column 17)",
            "line 4: not a JSON object with a 'text' key",
            "line 5: no 'text' key with a string",
            "line 6: no 'text' key with a string",
            "line 7: the text is empty",
        ]
        assert [reason[:35] for reason in reasons[5:]] == [
            "line 8: JSON that cannot be read (m",
            "line 9: JSON that cannot be read (E",
        ]
        assert all(item.source == "d.jsonl" for item in found if isinstance(item, Problem))

    def test_metadata_nested_deeply(self):
        for depth in (15, 25, 900):
            found = read("d.jsonl", '{"text": "x", "n": ' + "[" * depth + "]" * depth + '}\n{"text": "Last."}')
            assert texts(found[-1]) == ["Last."]
            assert len(found) == 2

    def test_what_cannot_be_stored_is_replaced(self):
        line = r'{"text": "a\ud800\u0000b", "title": "\udfff", "k\ud800": {"\ud800": "\u0000 \ud83d\ude00"}, "tags": ["\ud800"]}'
        article = one("d.jsonl", line)
        assert (article.title, texts(article)) == ("\ufffd", ["a\ufffd\ufffdb"])
        assert dict(article.metadata) == {"k\ufffd": {"\ufffd": "\ufffd 😀"}, "tags": ["\ufffd"]}
        json.dumps(article.metadata, ensure_ascii=False).encode()

    def test_nan_is_no_json(self):
        assert dict(one("d.jsonl", '{"text": "x", "a": NaN, "b": -Infinity, "c": 1e999}').metadata) == {
            "a": "nan",
            "b": "-inf",
            "c": "inf",
        }
