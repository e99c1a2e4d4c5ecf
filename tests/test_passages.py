"""Articles to passages: what stands together, what is cut, and that nothing is lost on the way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch import articles
from semsearch.articles import SourceFile
from semsearch.passages import context, cut, whole
from semsearch.records import Article, Block, Passage, Run


def count(texts):
    return [len(text.split()) for text in texts]


def article(source: str, name: str = "a.md") -> Article:
    (found,) = articles.read(SourceFile(Path("/x") / name, name), source.encode())
    assert isinstance(found, Article)
    return found


def passages(source: str, name: str = "a.md", limit: int = 60) -> list[Passage]:
    found = cut(article(source, name), limit, count)
    for passage in found:
        check(passage)
        assert passage.end <= len(source)
    return found


def texts(source: str, name: str = "a.md", limit: int = 60) -> list[str]:
    return [passage.text for passage in passages(source, name, limit)]


def check(passage: Passage) -> None:
    """The promises of `Passage`."""
    assert passage.text.strip() == passage.text != ""
    assert passage.sentences
    assert len(passage.sentences) == len(passage.sentence_spans)
    end, source_end = 0, passage.start
    for (start, stop), (source_start, source_stop) in zip(passage.sentences, passage.sentence_spans, strict=True):
        assert end <= start < stop <= len(passage.text)
        assert not re.sub(r"(?m)^(?:- |\d+\. )", "", passage.text[end:start]).strip()
        assert source_end <= source_start < source_stop <= passage.end
        end, source_end = stop, source_stop
    assert end == len(passage.text)


def words(prefix: str, number: int, end: str = ".") -> str:
    return " ".join(f"{prefix}{at}" for at in range(number)) + end


LONG = words("long", 20)


def test_paragraph_is_the_unit():
    one, two = words("one", 15), words("two", 15)
    first, second = passages(f"# Title\n\n{one}\n\n{two}\n")
    assert (first.text, first.paragraph, first.line, first.start, first.end) == (one, 1, 3, 9, 9 + len(one))
    assert (second.text, second.paragraph, second.line, second.start, second.end) == (
        two,
        2,
        5,
        11 + len(one),
        11 + len(one + two),
    )
    assert first.sentences == ((0, len(one)),)
    assert first.sentence_spans == ((first.start, first.end),)


def test_trail_of_headings():
    source = f"# T\n\n{LONG}\n\n## A\n\n{LONG}\n\n#### B\n\n{LONG}\n\n### C\n\n---\n\n{LONG}\n\n## D\n\n{LONG}"
    assert [passage.headings for passage in passages(source)] == [(), ("A",), ("A", "B"), ("A", "C"), ("D",)]


def test_heading_with_nothing_below_it_is_found_by_its_words():
    source = f"# T\n\n## Russia will send vaccines soon\n\n## See also\n\n## Aid\n\n{LONG}\n\n### They signed it in Moscow"
    assert [(passage.text, passage.headings, passage.line) for passage in passages(source)] == [
        ("Russia will send vaccines soon", (), 3),
        (LONG, ("Aid",), 9),
        ("They signed it in Moscow", ("Aid",), 11),
    ]


def test_scraps_join_their_neighbours():
    assert texts(f"By Someone\n\nCaracas, Sept. 27\n\n{LONG}\n\n{LONG}\n\nPhoto: AFP") == [
        f"By Someone\nCaracas, Sept. 27\n{LONG}",
        f"{LONG}\nPhoto: AFP",
    ]


def test_scraps_stay_on_their_side_of_headings_and_rules():
    assert texts(f"{LONG}\n\nPhoto\n\n---\n\nCaption\n\n## H\n\nBy Someone\n\n***\n\n{LONG}") == [
        f"{LONG}\nPhoto",
        "Caption",
        "By Someone",
        LONG,
    ]


def test_passage_of_scraps_has_a_line_each():
    (found,) = passages(f"By *Someone*\n\n{LONG}\n\nPhoto")
    assert (found.paragraph, found.line, found.start) == (1, 1, 0)
    assert [found.text[start:end] for start, end in found.sentences] == ["By Someone", LONG, "Photo"]


def test_list_stands_with_its_introduction():
    source = f"{LONG}\n\n{words('intro', 14, ':')}\n\n- first thing;\n- second thing.\n\n{LONG}"
    assert texts(source) == [LONG, f"{words('intro', 14, ':')}\n- first thing;\n- second thing.", LONG]
    second = passages(source)[1]
    assert [second.text[start:end] for start, end in second.sentences] == [
        words("intro", 14, ":"),
        "first thing;",
        "second thing.",
    ]


def test_list_that_is_cut_keeps_its_markers():
    source = "Steps:\n\n" + "\n".join(f"{at}. {words('step', 9)}" for at in range(1, 9))
    found = texts(source, limit=30)
    assert " ".join(found).split() == source.split()
    assert all(re.match(r"\d\. step0|Steps:", text) for text in found)


def test_long_paragraph_is_cut_evenly_at_sentence_ends():
    sentences = [words(f"S{at}x", 10) for at in range(12)]
    found = passages(" ".join(sentences), limit=55)
    assert [passage.text for passage in found] == [" ".join(sentences[at : at + 4]) for at in (0, 4, 8)]
    assert [passage.paragraph for passage in found] == [1, 1, 1]
    assert [(passage.start, passage.end) for passage in found] == [
        (" ".join(sentences).index(passage.text), " ".join(sentences).index(passage.text) + len(passage.text))
        for passage in found
    ]


def test_sentence_that_is_too_long_is_cut_at_clauses_then_at_white_space():
    clauses = words("a", 14, ",") + " " + words("b", 16)
    assert texts(clauses, limit=20) == [words("a", 14, ","), words("b", 16)]
    numbers = " ".join(["1,000,000"] * 40)
    assert texts(numbers, limit=24) == [" ".join(["1,000,000"] * 20)] * 2


def test_wall_of_letters():
    found = texts("x" * 100_000, limit=50)
    assert "".join(found) == "x" * 100_000
    assert max(map(len, found)) <= 50 * 12


def test_table_and_code_are_cut_at_lines():
    rows = [f"row{at} | {words('cell', 6, '')}" for at in range(20)]
    source = "| h | c |\n|---|---|\n" + "\n".join(f"| {row} |" for row in rows)
    found = passages(source, limit=40)
    assert [line for passage in found for line in passage.text.split("\n")] == ["h | c", *rows]
    assert all(passage.text.count("\n") + 1 == len(passage.sentences) for passage in found)


def test_room_is_made_for_the_context():
    source = f"## {words('head', 10, '')}\n\n" + " ".join(words(f"s{at}x", 10) for at in range(6))
    assert max(count(texts(source, limit=40))) <= 30


@pytest.mark.parametrize(
    ("title", "headings", "expected"),
    [("", (), ""), ("T", (), "T."), ("Why?", ("A.", "B"), "Why? A. B."), ("", ("石油。",), "石油。"), ("", ("", "A"), "A.")],
)
def test_context(title, headings, expected):
    assert context(title, headings) == expected


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("zh", "俄罗斯向委内瑞拉提供了药品和食品，还有一百五十万支流感疫苗。"),
        ("ja", "ロシアはベネズエラに医薬品と食料を提供し、百五十万本のワクチンを送る。"),
        ("ar", "قدمت روسيا مساعدات إنسانية إلى فنزويلا، وأرسلت مليون ونصف مليون لقاح."),
        ("hi", "रूस ने वेनेज़ुएला को दवाएँ और भोजन दिया, और पंद्रह लाख टीके भेजे।"),
        ("th", "รัสเซียเสนอความช่วยเหลือแก่เวเนซุเอลา "),
    ],
)
def test_scripts(language, sentence):
    def letters(texts):
        return [len(text.replace(" ", "")) // 2 + 1 for text in texts]

    space = "" if language in ("zh", "ja") else " "
    paragraph = space.join([sentence.strip()] * 6)
    source = f"---\nlang: {language}\n---\n{paragraph}\n\n{paragraph}\n"
    whole = cut(article(source), 1000, letters)
    assert [passage.text for passage in whole] == [paragraph, paragraph]
    if language != "th":
        assert [[p.text[a:b] for a, b in p.sentences] for p in whole] == [[sentence.strip()] * 6] * 2
    parts = cut(article(source), 50, letters)
    assert len(parts) >= 4
    assert "".join("".join(passage.text for passage in parts).split()) == "".join((paragraph * 2).split())
    for passage in parts:
        check(passage)
        assert letters([passage.text])[0] <= 50
        assert source[passage.start : passage.end] == passage.text


NEWS = """# *Minister says visit to Norway opened door to grain deal*

---



Dakar, March 3 (WAN)-- Back from Oslo, Minister Awa Diop said that the two countries "have agreed on a plan for grain and ports."

The agreement amounts to approximately \\$11 billion. Norway also offered medicine and 1.5 million vaccines to the U.N. mission.

“All doors are open,” she said, “and they will stay open.”

---

<https://wan.example/news/2019/grain-deal>



**West Africa News**"""


def test_article_as_the_project_is_given_them():
    whole = article(NEWS)
    assert whole.title == "Minister says visit to Norway opened door to grain deal"
    assert dict(whole.metadata) == {"url": "https://wan.example/news/2019/grain-deal", "footer": "West Africa News"}
    found = passages(NEWS)
    assert [(passage.line, passage.paragraph, passage.headings) for passage in found] == [(7, 1, ()), (9, 2, ())]
    assert found[0].text == NEWS.split("\n\n")[3].strip()
    assert found[1].text == (
        "The agreement amounts to approximately $11 billion. "
        "Norway also offered medicine and 1.5 million vaccines to the U.N. mission.\n"
        "“All doors are open,” she said, “and they will stay open.”"
    )
    assert NEWS[found[1].start : found[1].end] == "\n\n".join(NEWS.split("\n\n")[4:6])
    assert [NEWS[start:end] for start, end in found[1].sentence_spans] == [
        "The agreement amounts to approximately \\$11 billion.",
        "Norway also offered medicine and 1.5 million vaccines to the U.N. mission.",
        "“All doors are open,” she said, “and they will stay open.”",
    ]


def test_language_that_is_none():
    for language in (5, ["en"], "Deutsch", "\ud800", "EN_us", "", None, {"a": 1}):
        block = Block("paragraph", "It rained. They left.", 1, (Run(0, 21, 0, 21),))
        (found,) = cut(Article("a", "", {"language": language}, (block,)), 50, count)
        assert found.sentences == ((0, 10), (11, 21))


def test_no_blocks():
    assert cut(Article("a", "T", {}, ()), 50, count) == []
    assert (
        cut(Article("a", "T", {}, (Block("rule", "", 1, ()), Block("heading", "See also", 2, (Run(0, 8, 0, 8),), 2))), 50, count)
        == []
    )


def test_hard_wrapped_book_without_blank_lines_is_cut_in_linear_time():
    line = "Russia offered aid to the country. It was flown in, he said.\n"
    found = passages(line * 5000, "a.txt", limit=60)
    assert sum(passage.text.count("Russia") for passage in found) == 5000
    assert all(count([passage.text])[0] <= 60 for passage in found)


WORD = st.sampled_from(["oil", "U.S.", "aid.", "gas,", "He", "said:", "end!", "Mr.", "石油。", "1.5", "“No.”", "x" * 300, "a;"])
SPACE = st.sampled_from([" ", " ", " ", "\n", "  ", "\n\n", "\r\n", "\n\n\n"])
PLAIN = st.lists(st.tuples(WORD, SPACE), min_size=1, max_size=80).map(lambda pairs: "".join(map("".join, pairs)))


@settings(derandomize=True, max_examples=150, deadline=None)
@given(PLAIN, st.sampled_from([8, 20, 60, 250]))
def test_plain_text_is_all_there_and_leads_back_to_its_source(source, limit):
    whole = article(source, "a.txt")
    found = cut(whole, limit, count)
    title = [] if whole.title == "a" else whole.title.split()
    assert "".join([*title, *(passage.text for passage in found)]).split() or found
    squeezed = "".join("".join([*title, *(passage.text for passage in found)]).split())
    assert squeezed == "".join(source.split())
    last = 0
    for passage in found:
        check(passage)
        assert last <= passage.start < passage.end <= len(source)
        last = passage.end
        assert source[passage.start : passage.end].split() == passage.text.split()
        for (start, end), (left, right) in zip(passage.sentences, passage.sentence_spans, strict=True):
            assert source[left:right].split() == passage.text[start:end].split()
        room = max(8, limit - min(count([context(whole.title, passage.headings)])[0], limit // 4))
        assert count([passage.text])[0] <= room
        assert len(passage.text) <= room * 12 + len(passage.sentences)


LINES = st.sampled_from(
    [
        *("# T", "## Head", "### Lower", "---", "- item *one*", "1. item two", "> quote here", "By Someone", LONG, "Photo: AFP"),
        *(
            words("intro", 13, ":"),
            "| a | b |\n|---|---|\n| c | d |",
            "```\ncode\n```",
            " ".join([LONG] * 5),
            "AT&amp;T \\$5 [x](y)",
        ),
    ]
)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=12), st.sampled_from([10, 40, 250]))
def test_every_block_of_an_article_is_in_its_passages_once(lines, limit):
    source = "\n\n".join(lines)
    found = list(articles.read(SourceFile(Path("/x/a.md"), "a.md"), source.encode()))
    if not isinstance(found[0], Article):
        assert set(lines) == {"---"}
        return
    made = cut(found[0], limit, count)
    expected = [word for block in found[0].blocks if block.kind not in ("heading", "rule") for word in block.text.split()]
    assert [word for passage in made for word in passage.text.split()] == expected
    assert [passage.paragraph for passage in made] == sorted(passage.paragraph for passage in made)
    assert [passage.line for passage in made] == sorted(passage.line for passage in made)
    for passage in made:
        check(passage)
        assert count([passage.text])[0] <= max(8, limit)


def test_a_passage_from_the_middle_of_a_hard_wrapped_paragraph_has_its_own_line(tmp_path):
    lines = [f"Sentence number {number} of this report stands on a line of its own here." for number in range(40)]
    (tmp_path / "long.txt").write_text("A report\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    file = articles.find([tmp_path / "long.txt"]).files[0]
    (article,) = articles.read(file, articles.load(file))
    cut_passages = cut(article, 60, lambda texts: [len(text.split()) for text in texts])
    assert len(cut_passages) > 3
    for passage in cut_passages:
        number = int(passage.text.split()[2])
        assert passage.line == 3 + number


def test_an_article_taken_whole_is_one_passage_without_sentences(tmp_path: Path):
    text = "# Oil\n\nFirst *part*.\n\n## Below\n\nSecond part.\n"
    (tmp_path / "oil.md").write_text(text)
    (file,) = articles.find([tmp_path / "oil.md"]).files
    (article,) = articles.read(file, articles.load(file))
    untitled, (passage,) = whole(article)
    assert (untitled.title, untitled.source) == ("", article.source)
    assert passage.text == "Oil First part.\nBelow\nSecond part."
    assert passage.sentences == passage.sentence_spans == passage.headings == ()
    assert text[passage.start : passage.end] == "First *part*.\n\n## Below\n\nSecond part."
    assert passage.line == 3
