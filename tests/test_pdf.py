"""PDFs: the right text, on the right page, in the right order; what pages repeat and where lines were broken is gone."""

from __future__ import annotations

import re
from pathlib import Path

import made
import pytest
from hypothesis import given
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


def test_hyphens_of_broken_lines_go_and_those_of_words_stay():
    lines = (
        "The light-\nhouse is a well-\nknown sight, and well-known are its keep-\ners, who came in 1838-\n1840 from Nova"
        " Sco-\ntia."
    )
    data = made.pdf([[lines]], width=60)
    assert [text for _, text in blocks(data)] == [
        "The lighthouse is a well-known sight, and well-known are its keepers, who came in 1838-1840 from Nova Scotia."
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
