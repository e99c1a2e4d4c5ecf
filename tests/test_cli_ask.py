"""What ``semsearch ask`` takes beside a question: modes, conditions, copies, explanations."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from helpers import run

AID = "The convoy brought aid to the flooded valley, said the council of the province on Friday."
SINCE = "Since the new year nobody in the valley has heard of another convoy, and the council waits for an answer."
OIL = "The price of oil fell again on Friday, and gas followed it down, traders in the port reported."


pytestmark = pytest.mark.usefixtures("no_model")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    articles = tmp_path / "articles"
    articles.mkdir()
    (articles / "aid.md").write_text(f"---\ndate: 2019-09-27\ntags: [floods, aid]\n---\n# Floods\n\n{AID}\n", encoding="utf-8")
    (articles / "copy.md").write_text(f"---\ndate: 2020-01-02\n---\n# Floods\n\n{AID}\n\n{SINCE}\n", encoding="utf-8")
    (articles / "oil.txt").write_text(f"{OIL}\n", encoding="utf-8")
    assert run("index", "articles").exit_code == 0
    return articles


def hits(*arguments: str) -> list[dict]:
    return json.loads(run("ask", *arguments, "--json").stdout)["hits"]


def test_hybrid_is_the_default_and_shows_both_arms(folder):
    document = json.loads(run("ask", "aid in the valley", "--json").stdout)
    assert document["mode"] == "hybrid"
    scores = document["hits"][0]["scores"]
    assert 0 < scores["dense"] <= 1
    assert scores["lexical"] > 0


@pytest.mark.parametrize(("mode", "absent"), [("dense", "lexical"), ("lexical", "dense")])
def test_one_arm_alone(folder, mode: str, absent: str):
    document = json.loads(run("ask", "aid in the valley", "--mode", mode, "--json").stdout)
    assert document["mode"] == mode
    assert document["hits"][0]["source"] == "articles/aid.md"
    assert all(hit["scores"][absent] is None for hit in document["hits"])


def test_words_alone_find_only_what_has_them(folder):
    assert [hit["source"] for hit in hits("traders", "--mode", "lexical")] == ["articles/oil.txt"]
    nothing = run("ask", "zebra", "--mode", "lexical")
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert nothing.stderr == "semsearch: nothing relevant found\n"


def test_a_filter_that_leaves_nothing_is_suspected(folder):
    nothing = run("ask", "aid", "--where", "dat>=2019")
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert "check whether --where leaves an article" in nothing.stderr


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["date>=2020"], {"articles/copy.md"}),
        (["date=2019-09"], {"articles/aid.md"}),
        (["tags=floods|fires"], {"articles/aid.md"}),
        (["source=articles/*.txt"], {"articles/oil.txt"}),
        (["title=Floods", "date<2020"], {"articles/aid.md"}),
        (["date=2031"], set()),
    ],
)
def test_conditions(folder, conditions: list[str], expected: set[str]):
    options = [part for condition in conditions for part in ("--where", condition)]
    assert {hit["source"] for hit in hits("aid", "--copies", *options)} == expected


def test_a_bad_condition_is_told_of_before_anything_is_indexed(folder, tmp_path):
    result = run("ask", "aid", "articles", "--index", "other", "--where", "date")
    assert result.exit_code == 2
    assert result.stderr.startswith("semsearch: the condition 'date' cannot be read")
    assert not (tmp_path / "other").exists()


def test_copies_are_one_hit_unless_asked_for(folder):
    first, *others = hits("aid in the valley")
    assert first["source"] == "articles/aid.md"
    assert [copy["source"] for copy in first["duplicates"]] == ["articles/copy.md"]
    assert AID not in [hit["text"] for hit in others]
    assert [hit["text"] for hit in hits("aid in the valley", "--copies")].count(AID) == 2
    assert f"also in articles/copy.md:{first['duplicates'][0]['line']}" in run("ask", "aid in the valley").stdout


def test_one_passage_of_each_article(folder):
    sources = [hit["source"] for hit in hits("aid", "--copies", "--per-article", "1")]
    assert sorted(sources) == ["articles/aid.md", "articles/copy.md", "articles/oil.txt"]


def test_an_explanation_adds_up_to_the_score(folder):
    for hit in hits("aid in the valley", "--explain"):
        parts = hit["explanation"]["parts"]
        assert [part["name"] for part in parts] == ["cosine", "late", "lexical", "feedback"]
        total = sum(part["value"] * part["weight"] for part in parts) / sum(part["weight"] for part in parts)
        assert hit["score"] == pytest.approx(max(0.0, total), abs=1e-5)
    text = run("ask", "aid in the valley", "--explain").stdout
    assert re.search(r"score: \(1 x cosine \d\.\d{3} \+ 1\.2 x late ", text)
    assert re.search(r"words: (valley|aid) \d\.\d\d, (valley|aid) \d\.\d\d\n", text)


def test_a_quoted_phrase_must_stand_so(folder):
    assert [hit["text"] for hit in hits('"price of oil"')] == [OIL]
    assert len(hits('"oil of price"')) > 1


def test_a_reranker_that_is_not_there(folder):
    result = run("ask", "aid", "--rerank", "no/such/folder/anywhere")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
