"""Articles in languages that the default model was not made for are found by their words."""

from __future__ import annotations

from pathlib import Path

import pytest

import semsearch

pytestmark = pytest.mark.model

ARTICLES = {
    "zh": "俄罗斯援助\n\n俄罗斯向委内瑞拉提供了人道主义援助，包括药品和食品。普京还宣布将很快运送一百五十万支流感疫苗。",
    "th": "ความช่วยเหลือ\n\nรัสเซียเสนอความช่วยเหลือด้านมนุษยธรรมแก่เวเนซุเอลา รวมถึงยาและอาหาร และวัคซีนไข้หวัดใหญ่",
    "weather": "อากาศ\n\nวันนี้อากาศร้อนมากในกรุงเทพมหานคร และจะมีฝนตกในช่วงเย็นของวันพรุ่งนี้ทั่วทุกภาค",
    "ar": "المساعدات\n\nعرضت روسيا على فنزويلا مساعدات إنسانية من الأدوية والغذاء، وأعلن إرسال لقاحات الإنفلونزا قريبا.",
    "en": "Aid\n\nRussia has offered Venezuela humanitarian aid, medicine and food, and flu vaccines are to follow.",
    "de": "Hilfe\n\nRussland hat Venezuela humanitäre Hilfe angeboten, Medikamente und Nahrung; Grippeimpfstoffe sollen folgen.",
}


@pytest.fixture(scope="module")
def index(bundled, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("languages")
    for name, text in ARTICLES.items():
        (folder / f"{name}.md").write_text(f"# {text}\n", encoding="utf-8")
    with semsearch.build(folder, folder / "index", encoder=bundled) as built:
        yield built


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("流感疫苗", "zh"),
        ("俄罗斯提供了什么援助", "zh"),
        ("วัคซีน", "th"),
        ("ความช่วยเหลือ", "th"),
        ("ฝนตก", "weather"),
        ("لقاحات الإنفلونزا", "ar"),
        ("flu vaccines", "en"),
        ("welche Hilfe hat Russland angeboten", "de"),
    ],
)
@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
def test_a_question_finds_the_article_of_its_language(index, question: str, first: str, mode):
    assert Path(index.search(question, mode=mode)[0].source).stem == first


def test_a_question_that_the_model_cannot_read_is_answered_by_its_words_alone(index):
    hit = index.search("流感疫苗")[0]
    assert hit.scores["dense"] is None
    assert hit.scores["lexical"] > 0
    assert "流感疫苗" in hit.highlight.text
    assert index.search("flu vaccines")[0].scores["dense"] is not None
    assert not index.search("天气预报")
