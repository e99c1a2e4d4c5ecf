"""PDFs: the right text, on the right page, in the right order; what pages repeat and where lines were broken is gone."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from random import Random

import made
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch import passages
from semsearch.articles import SourceFile, documents, load, read
from semsearch.articles.documents import layout, pdf
from semsearch.articles.documents.layout import Page, Segment
from semsearch.errors import InputError
from semsearch.records import Article, Problem

HARBOUR = (
    "The harbour of Skerryvore was built by two hundred men in the summer of 1838, and the stones came from a quarry on the"
    " island of Tiree, where a second village was put up for those who cut them. Nobody had believed that it could be done."
)
KEEPER = (
    "Its first keeper was a man who kept bees, although there is not a single flower within eleven miles of the tower; the bees"
    " flew to the mainland in the morning and came home at night. He wrote about them in letters that his daughter published."
)
STORM = (
    "In the great storm of January 1905 the sea went over the lantern for two days. The men could not light the lamp, and three"
    " ships that looked for it were lost on the reef, one of them with all that she carried from Lisbon."
)
LETTERS = (
    "What is left of the letters is kept in a museum in the capital, together with the lamp and the two oars of the boat that"
    " brought provisions every second week. The museum is open on weekdays."
)


def drafts(data: bytes):
    return list(pdf.read(data))


def blocks(data: bytes) -> list[tuple[str, str]]:
    (draft,) = drafts(data)
    return [(block.kind, block.text) for block in draft.blocks]


def article(data: bytes, name: str = "report.pdf") -> Article:
    """As files are read: in a process of its own."""
    (found,) = read(SourceFile(Path("/nowhere") / name, name), data)
    assert isinstance(found, Article), found
    return found


def test_paragraphs_come_whole_with_their_page_and_line():
    (draft,) = drafts(made.pdf([["# The Lighthouse", HARBOUR, KEEPER], [STORM, LETTERS]], title="The Lighthouse"))
    assert [(block.kind, block.text) for block in draft.blocks] == [
        ("heading", "The Lighthouse"),
        ("paragraph", HARBOUR),
        ("paragraph", KEEPER),
        ("paragraph", STORM),
        ("paragraph", LETTERS),
    ]
    assert draft.title == "The Lighthouse"
    # Lines count on the page.
    assert [block.line for block in draft.blocks] == [1, 2, 5, 1, 4]
    starts = [block.runs[0].source_start for block in draft.blocks]
    assert draft.page_starts == (0, starts[3])
    assert draft.metadata["pages"] == 2


def test_the_article_knows_the_page_of_each_passage():
    found = article(made.pdf([["# The Lighthouse", HARBOUR, KEEPER], [STORM], [], [LETTERS]]))
    cut = passages.cut(found, 256, lambda texts: [len(text.split()) for text in texts])
    assert [(passage.text, passage.page) for passage in cut] == [(HARBOUR, 1), (KEEPER, 1), (STORM, 2), (LETTERS, 4)]
    assert found.title == "The Lighthouse"
    extracted = "\n\n".join(block.text for block in found.blocks)
    shift = cut[0].start
    assert [extracted[passage.start - shift : passage.end - shift] for passage in cut] == [HARBOUR, KEEPER, STORM, LETTERS]


def test_short_lines_are_joined_on_their_page_alone():
    found = article(made.pdf([["Bees.", "Honey."], ["Wax.", "Candles."]]))
    cut = passages.cut(found, 256, lambda texts: [len(text.split()) for text in texts])
    assert [(passage.text, passage.page) for passage in cut] == [("Bees.\nHoney.", 1), ("Wax.\nCandles.", 2)]


def test_two_columns_are_read_one_after_the_other():
    data = made.pdf([[HARBOUR, KEEPER, STORM, LETTERS]], columns=2)
    assert blocks(data) == [("paragraph", text) for text in (HARBOUR, KEEPER, STORM, LETTERS)]


def test_a_paragraph_that_goes_on_on_the_next_page_is_one_and_its_parts_have_their_pages():
    words = STORM.split()
    first, rest = " ".join(words[:24]), " ".join(words[24:])
    (draft,) = drafts(made.pdf([[HARBOUR, first], [rest, LETTERS]]))
    assert [block.text for block in draft.blocks] == [HARBOUR, STORM, LETTERS]
    assert draft.page_starts == (0, len(HARBOUR) + 2 + len(first) + 1)


def test_headers_footers_and_page_numbers_are_left_out():
    pages = [[HARBOUR], [KEEPER], [STORM], [LETTERS]]
    said = [text for _, text in blocks(made.pdf(pages, header="Annals of the Northern Lights, vol. 3", numbered=True))]
    assert said == [HARBOUR, KEEPER, STORM, LETTERS]
    # What stands there once is text.
    assert blocks(made.pdf([[HARBOUR]], header="Annals"))[0] == ("paragraph", "Annals")


def rows_of(pages: list[list[tuple[str, ...]]], *, top: float = 50, pitch: float = 13, size: float = 9, apart: float = 120):
    """Pages of rows, each of its cells, to be drawn."""
    return [
        [(50 + apart * cell, top + pitch * row, size, text) for row, cells in enumerate(page) for cell, text in enumerate(cells)]
        for page in pages
    ]


def said(data: bytes) -> list[str]:
    """All lines of the text, in order."""
    return [line for _, text in blocks(data) for line in text.split("\n")]


def test_no_row_of_a_table_over_many_pages_is_lost():
    table = [(f"Site {row}", f"{row * 7919 % 900 + 100} t", f"{row * 31 % 90 + 10} %") for row in range(290)]
    pages = [table[at : at + 58] for at in range(0, 290, 58)]
    assert said(made.drawn(rows_of(pages))) == [" | ".join(row) for row in table]


def test_numbers_of_a_table_are_no_page_numbers():
    # One column; two; one that counts on from page to page; and cells that are empty beside a number.
    for table in (
        [(str(row * 7919 % 90 + 10),) for row in range(174)],
        [(str(row % 9), str(row * 31 % 50)) for row in range(174)],
        [(str(row),) for row in range(174)],
        [("", str(row % 7)) if row % 58 in (0, 57) else (f"Site {row}", str(row)) for row in range(174)],
        [("0", "0") for _ in range(174)],
    ):
        pages = [table[at : at + 58] for at in range(0, 174, 58)]
        data = made.drawn(rows_of([[tuple(cell or " " for cell in row) for row in page] for page in pages]))
        found = " ".join(said(data)).replace("|", "").split()
        assert found == " ".join(cell for row in table for cell in row).split()


def test_the_head_of_a_table_is_said_once_and_its_page_numbers_are_not():
    names = ("Ship", "Cargo", "Lost")
    rows = [(f"Ship {row}", "cork", str(1800 + row)) for row in range(200)]
    pages = rows_of([[names, *rows[at : at + 50]] for at in range(0, 200, 50)])
    numbered = [[*page, (300, 820, 9, f"Page {number} of 4")] for number, page in enumerate(pages, 1)]
    assert said(made.drawn(numbered)) == [" | ".join(row) for row in [names, *rows]]


@pytest.mark.parametrize("size", [9, 24])
@pytest.mark.parametrize("name", ["Example {}", "Example ({})", "Part {}: what the sea left"])
def test_numbered_titles_of_slides_are_text(name, size):
    things = ["goat", "ferry", "bell", "museum", "lamp", "harbour"]
    slides = [
        [
            (50, 50, size, name.format(at)),
            (50, 90, 9, f"The {thing} crosses the sound."),
            (500, 820, 7, f"Spring school {at} / 6"),
        ]
        for at, thing in enumerate(things, 1)
    ]
    expected = [line for at, thing in enumerate(things, 1) for line in (name.format(at), f"The {thing} crosses the sound.")]
    assert said(made.drawn(slides)) == expected


def test_what_is_measured_is_no_page_number():
    slides = [
        [(50, 50, 9, f"{40 + at} %"), (50, 90, 9, f"of the {what} came home.")]
        for at, what in enumerate(("men", "ships", "bees"))
    ]
    assert (
        " ".join(said(made.drawn(slides)))
        == "40 % of the men came home. 41 % of the ships came home. 42 % of the bees came home."
    )


def test_a_title_that_goes_over_slides_is_said_once():
    slides = [[(50, 50, 24, "Results"), (50, 90, 12, f"There is {what} to see.")] for what in ("much", "less", "nothing")]
    slides += [[(50, 50, 24, "Thanks"), (50, 90, 12, "To all who kept the light.")]]
    assert " ".join(said(made.drawn(slides))) == (
        "Results There is much to see. There is less to see. There is nothing to see. Thanks To all who kept the light."
    )


@pytest.mark.parametrize(
    "running",
    [
        lambda page: [(50, 30, 9, "Annals of the Lights"), (540, 30, 9, str(page))],
        lambda page: [(50, 30, 9, f"Annals of the Lights, page {page} of 12")],
        lambda page: [(50, 30, 9, f"Annals of the Lights | {page}")],
        lambda page: [(50, 825, 7, f"Annals of the Lights {page}")],
        lambda page: [
            (50, 30, 9, "Annals"),
            (300, 825, 9, ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "1", "2", "3", "4"][page - 1]),
        ],
        lambda page: [(50, 825, 9, f"A-{page + 40}")],
        lambda page: [(50, 825, 11, f"The Lights {page}")] if page % 2 else [(50, 825, 11, str(page)), (250, 825, 11, "Annals")],
        lambda page: [(50 if page % 2 else 540, 30, 9, str(page + 100)), (250, 30, 9, "Left" if page % 2 else "Right")],
        lambda page: [(50, 30, 9, f"Chapter {1 + (page > 6)}. Of Stones"), (540, 30, 9, str(page))],
        lambda page: [(50, 30, 9, "Ministry of Seas"), (50, 42, 9, "Circular 17/3"), (50, 825, 9, f"- {page} -")],
        lambda page: [
            (50, 20, 8, "1/2/24, 12:30 PM"),
            (250, 20, 8, "Lights"),
            (50, 830, 8, "https://a.org/b"),
            (540, 830, 8, f"{page}/12"),
        ],
    ],
)
def test_running_rows_are_left_out_on_all_pages(running):
    texts = [f"{'It is said: ' * again}{text}" for again in range(3) for text in (HARBOUR, KEEPER, STORM, LETTERS)]
    pages = []
    for number, text in enumerate(texts, 1):
        words = text.split()
        lines = [" ".join(words[at : at + 12]) for at in range(0, len(words), 12)]
        pages.append([*running(number), *((50, 90 + 13 * row, 11, line) for row, line in enumerate(lines))])
    assert " ".join(said(made.drawn(pages))) == " ".join(texts)


def test_a_log_is_no_page_that_a_browser_printed():
    lines = [
        f"2024-01-{1 + row // 60:02} 12:{row % 60:02} the lamp was {what}" for row in range(60) for what in ("lit", "put out")
    ]
    pages = [[(line,) for line in lines[at : at + 40]] for at in range(0, 120, 40)]
    assert " ".join(said(made.drawn(rows_of(pages)))) == " ".join(lines)
    (draft,) = drafts(made.drawn([[(50, 50, 9, lines[0]), (50, 90, 9, HARBOUR[:60])]]))
    assert [block.text for block in draft.blocks] == [lines[0], HARBOUR[:60]]


def test_chinese_and_japanese_lines_are_joined_without_spaces():
    lines = [
        "灯台は一八三八年の夏に二百人の男",
        "たちが建てました。石はタイリー島",
        "の石切り場から来て、そこには Tiree",
        "島の村がありま",
        "す。",
    ]
    segments = [Segment(text, 50, 300, 100 + 12 * row, 110 + 12 * row) for row, text in enumerate(lines)]
    (found,) = layout.paragraphs([Page(1, 842, segments)])
    assert found.text == "".join(lines).replace("Tiree", "Tiree ")
    korean = [Segment(text, 50, 300, 100 + 12 * row, 110 + 12 * row) for row, text in enumerate(["등대는 여름에", "세워졌다"])]
    assert [found.text for found in layout.paragraphs([Page(1, 842, korean)])] == ["등대는 여름에 세워졌다"]


def test_hyphens_of_broken_lines_go_and_those_of_words_stay():
    lines = (
        "The light-\nhouse is a well-\nknown sight, and well-known are its keep-\ners, who came in 1838-\n1840 from Nova"
        " Sco-\ntia."
    )
    data = made.pdf([[lines]], width=60)
    assert [text for _, text in blocks(data)] == [
        "The lighthouse is a well-known sight, and well-known are its keepers, who came in 1838-1840 from Nova Scotia."
    ]


def test_two_words_that_the_text_has_keep_their_hyphen():
    lines = "It was the first time ever that a bicy-\ncle race had its first-\never winner from the coun-\ntry."
    data = made.pdf([[lines]], width=75)
    assert [text for _, text in blocks(data)] == [
        "It was the first time ever that a bicycle race had its first-ever winner from the country."
    ]


def test_a_table_keeps_its_rows():
    rows = [("Ship", 60, 0), ("Cargo", 60, 50), ("Lost", 60, 100), ("Aurora", 70, 0), ("cork", 70, 50), ("1905", 70, 100)]
    segments = [Segment(text, 50 + left, 50 + left + 5 * len(text), top, top + 10) for text, top, left in rows]
    (found,) = layout.paragraphs([Page(1, 800, segments)])
    assert found.is_table
    assert found.text == "Ship | Cargo | Lost\nAurora | cork | 1905"


@pytest.mark.parametrize(
    ("told", "title"),
    [
        ("The Lighthouse", "The Lighthouse"),
        ("Microsoft Word - draft7.doc", "A Heading of Size"),
        ("Template of the Ministry", "A Heading of Size"),
        ("", "A Heading of Size"),
    ],
)
def test_the_title_is_what_the_first_page_says_too(told, title):
    page = ["# A Heading of Size", f"This is about The Lighthouse. {HARBOUR}"]
    assert drafts(made.pdf([page], title=told))[0].title == title


def test_what_cannot_be_read_is_told():
    with pytest.raises(InputError, match="encrypted: save it without its password"):
        drafts(made.pdf([[HARBOUR]], password="secret"))
    with pytest.raises(InputError, match="a damaged PDF"):
        drafts(b"%PDF-1.7\nnothing of the kind")
    with pytest.raises(InputError, match="no text in this PDF: if it is a scan"):
        drafts(made.pdf([[]]))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.99])
def test_a_file_cut_short_is_read_or_told_of(share, tmp_path):
    data = made.pdf([[HARBOUR, KEEPER], [STORM]])
    path = tmp_path / "a.pdf"
    path.write_bytes(data[: int(share * len(data))])
    file = SourceFile(path, "a.pdf")
    (item,) = read(file, load(file))
    said = item.reason if isinstance(item, Problem) else " ".join(block.text for block in item.blocks)
    assert "damaged" in said or "no text" in said or set(said.split()) <= set(f"{HARBOUR} {KEEPER} {STORM}".split())


def test_a_missing_library_is_named_with_its_pip_line(monkeypatch, tmp_path):
    monkeypatch.setattr(documents, "find_spec", lambda name: None)
    path = tmp_path / "a.pdf"
    path.write_bytes(made.pdf([[HARBOUR]]))
    with pytest.raises(documents.Missing, match=r'pdf files need pypdfium2: python -m pip install "semsearch\[formats\]"'):
        load(SourceFile(path, "a.pdf"))


# The layout by itself.


def words(text: str) -> str:
    return re.sub(r"[\W_]+", "", text)


@given(
    st.lists(
        st.builds(
            lambda text, left, top, size, bold: Segment(text, left, left + 4 * len(text), top, top + size, bold),
            st.text("abcdefgh .-1", min_size=1, max_size=20).filter(lambda text: any(map(str.isalnum, text))),
            st.floats(0, 500),
            st.floats(0, 800),
            st.floats(4, 30),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_no_letter_is_lost_or_made(segments):
    pages = [Page(1, 842, segments), Page(2, 842, [])]
    found = layout.paragraphs(pages)
    assert sorted(words("".join(paragraph.text for paragraph in found))) == sorted(words("".join(item.text for item in segments)))
    assert all(0 <= at <= len(paragraph.text) for paragraph in found for _, at in paragraph.starts)


@given(st.integers(2, 3), st.integers(5, 12), st.randoms())
def test_columns_are_told_whatever_the_order_in_which_they_are_drawn(columns, rows, random):
    said = [[f"column {column} row {row} says this" for row in range(rows)] for column in range(columns)]
    segments = [
        Segment(text, 50 + 170 * column, 50 + 170 * column + 150, 100 + 12 * row, 110 + 12 * row)
        for column, texts in enumerate(said)
        for row, text in enumerate(texts)
    ]
    random.shuffle(segments)
    found = " ".join(paragraph.text for paragraph in layout.paragraphs([Page(1, 842, segments)]))
    assert found == " ".join(text for texts in said for text in texts)


_TITLES = ("Example {}", "{}", "Results {}", "Part {} of the harbour")
_COLUMNS = ("Site {}", "{}", "{} t", "{} %", "lit", "2024-01-02 12:{}", "{}, {}", "https://example.org/{} {}/{}")


@st.composite
def documents_of_pages(draw):
    """Pages of tables, slides and text with what runs above and below them, and the words that are the text's."""
    random = Random(draw(st.integers(0, 10_000)))
    count = draw(st.integers(3, 6))
    kind = draw(st.sampled_from(["table", "slides", "text"]))
    columns = draw(st.lists(st.sampled_from(_COLUMNS), min_size=1, max_size=4))
    title, large = draw(st.sampled_from(_TITLES)), draw(st.sampled_from([9, 14]))
    first, step = draw(st.integers(0, 30)), draw(st.integers(1, 58))
    pages, body = [], []
    for number in range(1, count + 1):
        if kind == "table":
            rows = [
                [cell.replace("{}", str(random.randint(10, 99))) for cell in columns] for _ in range(draw(st.integers(45, 55)))
            ]
            rows[0][0] += f" {'abcdefgh'[number]}"
            page = [(50 + 130 * at, 60 + 14 * row, 9, cell) for row, cells in enumerate(rows) for at, cell in enumerate(cells)]
        elif kind == "slides":
            name = title.replace("{}", str(first + step * number) if title == "{}" else str(number + first))
            page = [
                (50, 60, large, name if title != "{}" else f"{name} ships"),
                (50, 120, 9, f"Of this {random.random()} is true."),
            ]
        else:
            page = [
                (50, 60 + 14 * row, 9, f"The {random.randint(1, 99)} stones of {random.random()}")
                for row in range(draw(st.integers(1, 55)))
            ]
        body += [word for *_, text in page for word in text.split()]
        pages.append(page)
    if draw(st.booleans()):
        pages = [[*page, (50, 25, 7, "Annals of the Lights"), (300, 830, 7, str(number))] for number, page in enumerate(pages, 8)]
    return pages, body


@settings(max_examples=40, deadline=None)
@given(documents_of_pages())
def test_every_word_of_the_text_comes_out_once(document):
    pages, body = document
    found = [word for line in said(made.drawn(pages)) for word in line.split() if word != "|"]
    assert Counter(found) == Counter(body)


def test_long_texts_and_crowded_pages_are_read_in_proportion():
    """With work that grows with the square of the text, each of these takes minutes."""
    line = "goat ferry bridge " * 5
    text = [
        Page(page, 842, [Segment(line, 50, 500, 60 + 12 * row, 70 + 12 * row) for row in range(50)]) for page in range(1, 401)
    ]
    (found,) = layout.paragraphs(layout.without_running(text))
    assert found.text.split() == line.split() * 20_000
    crowded = [
        Segment("ab", 3.0 * at, 3.0 * at + 1, 2.0 * at + 100 * side, 2.0 * at + 100 * side + 1.9)
        for at in range(8_000)
        for side in (0, 1)
    ]
    wide = [
        Segment("a", 40.0 * at + 20 * row, 40.0 * at + 20 * row + 5, 12.0 * row, 12.0 * row + 10)
        for at in range(8_000)
        for row in (0, 1)
    ]
    beside = [
        segment
        for row in range(2_700)
        for left in (50, 350)
        for segment in [Segment(f"{line[:40]}{row}", left, left + (600 if row % 2 else 250), 12.0 * row, 12.0 * row + 10)][
            : 1 if left == 50 else 1 - row % 2
        ]
    ]
    leaders = [Segment("1" + "." * 100_000 + "x", 50, 500, 10, 20), Segment("a" * 100_000, 50, 500, 800, 810)]
    for segments in (crowded, wide, beside, leaders):
        kept = layout.without_running([Page(1, 842, segments)])
        letters = words("".join(paragraph.text for paragraph in layout.paragraphs(kept)))
        assert len(letters) == len(words("".join(segment.text for segment in segments)))


def test_what_is_set_sideways_amid_a_page_is_text_and_a_stamp_in_its_margin_is_none():
    page = [(100, 200 + 13 * row, 11, f"The {what} is in the harbour.") for row, what in enumerate(("goat", "ferry", "bell"))]
    heads = [(200 + 20 * at, 500, 9, f"{what} in tons") for at, what in enumerate(("Cork", "Salt", "Fish"))]
    stamp = [(25, 600, 14, "arXiv:1234.5678 [physics] 1 Jan 2020")]
    expected = "The goat is in the harbour. The ferry is in the harbour. The bell is in the harbour."
    assert " ".join(said(made.drawn([page], sideways=stamp))) == expected
    assert " ".join(said(made.drawn([page], sideways=[*stamp, *heads]))) == f"{expected} Cork in tons Salt in tons Fish in tons"


def test_letters_without_spaces_are_counted_as_words_are():
    large = [
        Segment("灯台は一八三八年の夏に二百人の男たちが建てました" * 2, 50, 500, 100 + 20 * row, 116 + 20 * row)
        for row in range(4)
    ]
    small = [Segment("灯台守は蜂を飼っていました。" * 4, 50, 500, 200 + 12 * row, 210 + 12 * row) for row in range(40)]
    found = layout.paragraphs([Page(1, 842, [*large, *small])])
    assert [kind for kind, _, _ in pdf._pieces(found)] == ["paragraph", "paragraph"]
    heading = layout.paragraphs([Page(1, 842, [Segment("灯台の話", 50, 200, 100, 116), *small])])
    assert [kind for kind, _, _ in pdf._pieces(heading)] == ["heading", "paragraph"]


def test_turned_pages_are_read_upright():
    for quarter in range(4):
        letters = [pdf._Letter(letter, 10 * at, 10 * at + 8, 20, 30, False, 0) for at, letter in enumerate("abc")]
        turned = [_turned(letter, quarter, 100, 200) for letter in letters]
        width, height = (200, 100) if quarter % 2 else (100, 200)
        upright, *size = pdf._upright(turned, width, height)
        assert [letter[:5] for letter in upright] == [letter[:5] for letter in letters]
        assert size == [100, 200]


def _turned(letter: pdf._Letter, quarter: int, width: float, height: float) -> pdf._Letter:
    """A letter of an upright page as it stands when all of the page is turned."""
    _, left, right, top, bottom, *_ = letter
    boxes = {
        0: (left, right, top, bottom),
        1: (height - bottom, height - top, left, right),
        2: (width - right, width - left, height - bottom, height - top),
        3: (top, bottom, width - right, width - left),
    }
    left, right, top, bottom = boxes[quarter]
    return letter._replace(left=left, right=right, top=top, bottom=bottom, quarter=quarter)
