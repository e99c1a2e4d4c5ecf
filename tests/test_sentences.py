"""Sentences as spans: cases that were hard for the libraries that were compared, and what holds for any text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch.passages.sentences import spans


def sentences(text: str, language: str = "en") -> list[str]:
    return [text[start:end] for start, end in spans(text, language)]


# "|" stands where a sentence ends.
ENGLISH = [
    "The U.S. Navy sent two ships.| They left on Monday.",
    "She came back to the U.S.| The journey took a week.",
    "Mr. Ortiz met Dr. Silva and Prof. Lima.| They talked for an hour.",
    "Gen. Padrino and Sen. Rubio spoke.| Rep. Diaz did not.",
    "The plane left at 9 a.m. Monday and landed at 4 p.m.| Nobody clapped.",
    "The session opens at 10 a.m. Eastern time.| It is public.",
    "Acme Inc. reported a loss.| Its shares fell 3.14 percent.",
    "He signed for Russia vs. Spain.| Spain lost.",
    "Some fuels, e.g. diesel, are scarce.| Others, i.e. propane, are not.",
    "J. R. Martinez wrote the report.| A. B. Smith did not.",
    "The loan is worth $4.5 billion.| It ends on Jan. 3, 2024.",
    "Prices rose 0.4 percent in Aug. and 0.6 percent in Sept., the bank said.| Few had expected it.",
    "He waited… Nothing happened.".replace("… ", "…| "),
    "“I will go,” he said.| “You will not.”",
    '"Where is it?" she asked.| "Over there!" he shouted.| They ran.',
    "“The future belongs to us.”| The crowd cheered.",
    "Really?!| Yes.",
    "“We will resist, work and fight because the future belongs to us,” he said.| He left.",
    "Putin (who had arrived on Sept. 24) agreed.| Maduro did too.",
    "Visit www.radiohc.cu today.| The site is free.",
    "Version 2.0 of the plan was leaked.| It had 3.5 million readers.",
    "No ends here",
]

OTHERS = [
    ("de", "Am 3. Oktober kam Dr. Weiß nach Bonn.| Er blieb bis z.B. Dienstag.| Dann ging er."),
    ("es", "El Sr. Maduro llegó a las 9 a.m.| ¿Qué dijo?| ¡Nada nuevo!| La reunión terminó."),
    ("fr", "M. Dupont a parlé.| « Nous partons », a-t-il dit.| Personne n’a répondu."),
    ("ru", "Президент приехал в 2018 г. в Москву.| Он подписал договор.| Что дальше?"),
    ("zh", "俄罗斯提供了药品和食品。|还有一百五十万支疫苗！|你知道吗？|他们知道。"),
    ("ja", "大統領は到着した。|会談は二時間続いた。|結果は？|まだ分からない。"),
    ("ar", "وصل الرئيس أمس.| هل وقع الاتفاق؟| نعم وقعه."),
    ("hi", "राष्ट्रपति कल पहुँचे।| समझौता हुआ।| क्या यह काफी है?| हाँ।"),
]


@pytest.mark.parametrize("marked", ENGLISH)
def test_english(marked):
    expected = [part.strip() for part in marked.split("|")]
    assert sentences(marked.replace("|", "")) == expected


@pytest.mark.parametrize(("language", "marked"), OTHERS)
def test_other_languages(language, marked):
    expected = [part.strip() for part in marked.split("|")]
    assert sentences(marked.replace("|", ""), language) == expected


def test_unknown_language_is_split_by_general_rules():
    for language in ("", "xx", "English", "zh-CN"):
        assert sentences("It rained. They left.", language) == ["It rained.", "They left."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\r\n\u3000", []),
        ("\0", ["\0"]),
        ("a\ud800b. \ud800", ["a\ud800b.", "\ud800"]),
        ("  One.  Two. ", ["One.", "Two."]),
        ("A\u00a0.", ["A\u00a0."]),
        ("É\u2003. Then it rained.", ["É\u2003.", "Then it rained."]),
        ("It rained.\r\nThey left.\r\n", ["It rained.", "They left."]),
        ("." * 100_000, ["." * 100_000]),
        ("x" * 100_000, ["x" * 100_000]),
    ],
)
def test_odd_text(text, expected):
    assert sentences(text) == expected


def test_long_text_is_cut_as_its_parts_are():
    sentence = "Russia offered medicine and food to the U.N. on Sept. 26, he said."
    assert sentences(" ".join([sentence] * 500)) == [sentence] * 500
    assert sentences("“" + " ".join([sentence] * 300))[-100:] == [sentence] * 100
    assert sentences("会议持续了两个小时。" * 2000, "zh") == ["会议持续了两个小时。"] * 2000


def check(text: str, language: str = "en") -> None:
    end = 0
    for start, stop in spans(text, language):
        assert end <= start < stop <= len(text)
        assert not text[end:start].strip()
        assert text[start:stop] == text[start:stop].strip()
        end = stop
    assert not text[end:].strip()


PIECES = st.sampled_from(
    [
        "It rained",
        "U.S.",
        "Mr.",
        "a.m.",
        "…",
        "?!",
        ".",
        "!",
        "? ",
        "。",
        "।",
        " ",
        "\n",
        "\u00a0",
        "\u3000",
        '"',
        "“",
        "”",
        "(",
        "A",
        "é",
    ]
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join), st.sampled_from(["en", "de", "zh", "ar", "xx"]))
def test_spans_cover_all_that_is_not_white_space(text, language):
    check(text, language)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=60))
def test_spans_of_any_text(text):
    check(text)


@pytest.mark.parametrize("piece", ['"', "(", "。", "?!", "…A", "… ", "a. ", "\u200b", "A\u00a0. ", "“a. ", "石"])
def test_spans_of_rows_of_one_piece(piece):
    check(piece * 9000)
