"""Probes and their masks: what is asked, what answers it, and that nothing gives it away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from semsearch.passages.sentences import spans
from semsearch.probing.masking import masked, without
from semsearch.probing.probes import EVERYWHERE, Place, Probe, heading_ranges, make, near_copy
from semsearch.records import Passage, Sentence
from semsearch.store import ArticleText

AT = 100
"""Where passages stand in their sources."""


def passage(text: str, *headings: str, at: int = AT) -> Passage:
    found = spans(text)
    sentences = tuple(Sentence(*span) for span in found)
    return Passage(text, headings, 1, 1, at, at + len(text), sentences, tuple((at + left, at + right) for left, right in found))


def article(source: str, title: str, *passages: Passage) -> ArticleText:
    return ArticleText(source, title, {}, passages)


FIRST = "The heron waits at the old weir for trout in autumn. Nobody on the towpath near the canal has seen it at the sluice."
SECOND = (
    "The miller keeps some thirty geese behind the house. A lighthouse keeper painted the sluice in cobalt and ochre stripes."
)


def common(words):
    """Rarity as an index has it in which all but a few words are everywhere."""
    rare = {"heron", "weir", "trout", "towpath", "lighthouse", "brittany", "cobalt", "ochre", "sluice", "geese", "canal"}
    return np.asarray([9.0 if word.lower() in rare else 0.1 for word in words], np.float32)


def nowhere(text, sources, place):
    return False


def made(articles, *, seed=0, elsewhere=nowhere, **wanted):
    return make(articles, wanted, seed, common, 10_000, elsewhere)


def test_a_sentence_is_answered_by_what_stands_beside_it():
    start = FIRST.index("Nobody")
    (probe,) = made([article("a.md", "T", passage(FIRST))], sentence=5)
    others = {"The heron": (AT + start, AT + len(FIRST)), "Nobody": (AT, AT + start - 1)}
    said = next(key for key in others if probe.text.startswith(key))
    other = next(key for key in others if key != said)
    assert probe.masked == Place("a.md", *others[other])
    assert probe.answer.startswith(other)
    assert probe.answered_by("a.md", AT, AT + 20)
    assert not probe.answered_by("b.md", AT, AT + 20)
    assert not probe.answered_by("a.md", AT + len(FIRST), AT + 500)


def test_what_says_little_or_stands_alone_is_no_probe():
    # Too short; without rare words; nothing beside it; figures.
    assert (
        made([article("a", "T", passage("The heron waits. " + "It was there all day long and nobody said so. " * 2))], sentence=9)
        == []
    )
    assert made([article("a", "T", passage(SECOND[SECOND.index("A light") :]))], sentence=9) == []
    table = "Heron 1.5 2.5 3.5 (4.5) weir 6.5 7.5; trout 8.5 9.5 0.5 1.5 sluice 2.5. " + SECOND[:52]
    assert made([article("a", "T", passage(table))], sentence=9) == []
    # And the one that does.
    (probe,) = made([article("a", "T", passage(SECOND))], sentence=9)
    assert probe.text == SECOND[SECOND.index("A light") :]


def test_what_nearly_stands_elsewhere_is_no_probe():
    asked = []

    def elsewhere(text, sources, place):
        asked.append((text, sources, place))
        return True

    assert made([article("a.md", "The heron and the weir", passage(SECOND))], sentence=9, title=9, elsewhere=elsewhere) == []
    assert ("The heron and the weir", frozenset({"a.md"}), None) in asked
    assert any(place is not None and place.source == "a.md" for _, _, place in asked)


def test_articles_of_one_title_answer_it_together():
    two = [article(name, title, passage(FIRST)) for name, title in (("a", "The Weir: a heron"), ("b", "the weir, a HERON"))]
    (probe,) = made(two, title=5)
    assert probe.text == "The Weir: a heron"
    assert probe.places == (Place("a", 0, EVERYWHERE), Place("b", 0, EVERYWHERE))
    # One word, or one without any rare word, names nothing.
    assert made([article("a", "Heron", passage(FIRST)), article("b", "Of this and that", passage(FIRST))], title=5) == []


def test_headings_and_what_stands_below_them():
    passages = [
        passage("Zero.", at=0),
        passage("One.", "The canal weir", at=10),
        passage("Two.", "The canal weir", "Its sluice, its geese", at=20),
        passage("Three.", "The canal weir", at=30),
        passage("Four.", "Notes on geese", at=40),
    ]
    assert sorted(heading_ranges(passages)) == [
        ("Its sluice, its geese", 2, 3),
        ("Notes on geese", 4, 5),
        ("The canal weir", 1, 4),
    ]
    found = made([article("a", "T", *passages)], heading=5)
    assert {(probe.text, probe.places) for probe in found} == {
        ("The canal weir", (Place("a", 10, 36),)),
        ("Its sluice, its geese", (Place("a", 20, 24),)),
    }
    # One that two articles have is no question for either.
    again = article("b", "T", passage("Five.", "The Canal: weir"))
    assert [probe.text for probe in made([article("a", "T", *passages), again], heading=5)] == ["Its sluice, its geese"]


def test_the_same_articles_give_the_same_probes():
    articles = [
        article(
            f"{number}.md",
            f"The weir {number}",
            passage(FIRST.replace("old", str(number)).replace("it at", f"{number} at")),
            passage(SECOND, at=900),
        )
        for number in range(30)
    ]
    found = made(articles, sentence=20, title=10)
    assert [probe.id for probe in found][18:22] == ["sentence-19", "sentence-20", "title-1", "title-2"]
    assert len({probe.text for probe in found}) == len(found) == 30
    assert made(articles[::-1], sentence=20, title=10) == found
    other = made(articles, sentence=20, title=10, seed=1)
    assert {probe.places for probe in other} != {probe.places for probe in found}


def test_quotation_marks_are_not_asked():
    (probe,) = made([article("a", 'The “heron” at the "weir"', passage(FIRST))], title=1)
    assert probe.text == "The heron at the weir"


@pytest.mark.parametrize(
    ("text", "other", "copied"),
    [
        ("the heron waits at the weir", "Where the heron waits, at the weir, I was.", True),
        ("the heron waits at the weir", "The weir at which waits the heron", False),
        ("the heron waits at the old weir of the canal", "the heron waits at the new weir of the canal", False),
        ("the heron waits at the old weir of the canal", "the heron waits at the old weir by the road", True),
        ("a heron", "not a heron", True),
        ("a heron", "herons", False),
        ("", "anything", False),
    ],
)
def test_near_copies(text, other, copied):
    assert near_copy(text, other) is copied


def test_without_a_sentence():
    first, second = spans(FIRST)
    left = without(passage(FIRST), [first])
    assert left is not None
    assert left.text == FIRST[second[0] :]
    assert left.sentences == (Sentence(0, len(left.text)),)
    assert left.sentence_spans == ((AT + second[0], AT + second[1]),)
    assert (left.start, left.end) == (AT, AT + len(FIRST))
    right = without(passage(FIRST), [second])
    assert right is not None
    assert (right.text, right.sentences) == (FIRST[: first[1]], (Sentence(*first),))
    # From within a sentence: the rest of it stays one.
    middle = without(passage(FIRST), [(4, 16)])
    assert middle is not None
    assert middle.text == FIRST[:4] + FIRST[16:]
    assert [middle.text[a:b] for a, b in middle.sentences] == [FIRST[:4] + FIRST[16 : first[1]], FIRST[second[0] :]]
    assert without(passage(FIRST), [(0, len(FIRST) - 6)]) is None


def test_a_sentence_is_masked_by_its_place_however_it_is_cut():
    first, second = spans(FIRST)
    probe = Probe("sentence-1", "sentence", "", (Place("a", AT, AT + 9),), Place("a", AT + second[0], AT + second[1]), "")
    whole, other = article("a", "T", passage(FIRST)), article("b", "T", passage(FIRST))
    (left, untouched) = masked([whole, other], [probe])
    assert [each.text for each in left.passages] == [FIRST[: first[1]]]
    assert untouched is other
    # Cut so that the sentence is a passage by itself, in two parts: nothing is left of either.
    half = second[0] + 20
    parts = [passage(FIRST[: first[1]])]
    for start, end in ((second[0], half), (half, second[1])):
        text = FIRST[start:end]
        parts.append(
            replace(passage(text, at=AT + start), sentences=(Sentence(0, len(text)),), sentence_spans=((AT + start, AT + end),))
        )
    assert [each.text for each in masked([article("a", "T", *parts)], [probe])[0].passages] == [FIRST[: first[1]]]


def test_a_title_is_taken_out_wherever_it_stands():
    title = "The heron at the weir"
    probe = Probe("title-1", "title", title, (Place("a", 0, EVERYWHERE),), None, "")
    text = f"{title.lower()} . {FIRST} In the heron, at the WEIR: many readers are misled."
    (left,) = masked([article("a", title, passage(text, "The Heron At The Weir", "Part one"))], [probe])
    assert left.title == ""
    (only,) = left.passages
    assert only.headings == ("Part one",)
    assert only.text == f"{FIRST} In many readers are misled."


def test_a_short_title_stays_where_more_is_said():
    probe = Probe("title-1", "title", "Nikola Tesla", (Place("a", 0, EVERYWHERE),), None, "")
    text = "Nikola Tesla (1856). Nikola Tesla was born in Smiljan during a storm."
    (left,) = masked([article("a", "Nikola Tesla", passage(text))], [probe])
    assert [each.text for each in left.passages] == ["Nikola Tesla was born in Smiljan during a storm."]


def test_a_heading_is_taken_from_what_stands_below_it():
    probe = Probe("heading-1", "heading", "The canal", (Place("a", 10, 14),), None, "")
    above, below = passage("It is about the canal.", at=0), passage("Barges go there every day.", "The canal", "Today", at=10)
    (left,) = masked([article("a", "T", replace(above, end=9), below)], [probe])
    assert [(each.text, each.headings) for each in left.passages] == [
        ("It is about the canal.", ()),
        ("Barges go there every day.", ("Today",)),
    ]
