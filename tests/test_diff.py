"""``semsearch diff``: which answers differ between two indexes, and why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import build, run, write

import semsearch
from semsearch import encoder as encoders
from semsearch.errors import InputError
from semsearch.evaluation import questions
from semsearch.metrics import rank_biased_overlap

ASKED = ["oil", "battle", "vaccine and council"]


@pytest.fixture(autouse=True)
def by_name(monkeypatch):
    """Each index is asked with the fake encoder that it names."""
    monkeypatch.setattr(encoders, "load_for", lambda fingerprint, network: FakeEncoder(fingerprint.model))
    monkeypatch.setattr(encoders, "load", lambda name="fake": FakeEncoder(name))


@pytest.fixture
def pair(notes: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two indexes of the same articles."""
    build(notes, tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    return tmp_path / "a", tmp_path / "b"


def test_nothing_differs(pair):
    found = semsearch.diff(*pair, ASKED)
    assert found.summary == {
        **dict.fromkeys(("changed", "best", "lost", "gained", "unanswered", "answered"), 0),
        "overlap": 1,
        "rbo": pytest.approx(1),
    }
    assert (found.facts, found.causes) == ((), {})
    assert found.content == (0, 0, 4)
    assert not any(each.changed or each.causes for each in found.questions)
    assert found.failures(["changed > 0", "rbo < 0.999"]) == []


def test_nothing_is_written(pair):
    def bytes_of(folder):
        kept = [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.name.endswith(("-wal", "-shm"))]
        return {file.name: file.read_bytes() for file in kept}

    before = [bytes_of(folder) for folder in pair]
    semsearch.diff(*pair, ASKED)
    assert [bytes_of(folder) for folder in pair] == before


def test_an_article_that_changed(pair, notes):
    write(notes, "one.md", "aid, vaccine", "gas gas", title="First")
    build(notes, pair[1])
    found = semsearch.diff(*pair, ["oil", "battle"], k=2)
    assert found.content == (1, 1, 3)
    oil, battle = found.questions
    assert oil.changed
    assert oil.causes == ("content",)
    best = oil.best("a")
    assert best is not None
    assert (best.rank_a, best.rank_b, best.state) == (1, None, "changed")
    assert found.summary["lost"] == 0.5
    # The battle is still there and still first; what may differ behind it is due to what others say now.
    assert battle.best("a") == battle.best("b")
    assert set(battle.causes) <= {"content", "other content"}


def test_an_article_that_came_and_one_that_went(pair, notes):
    write(notes, "three.md", "battle battle battle", title="Third")
    (notes / "one.md").unlink()
    build(notes, pair[1])
    (battle, oil) = semsearch.diff(*pair, ["battle", "oil"], k=1).questions
    new, old = battle.best("b"), battle.best("a")
    assert new is not None
    assert old is not None
    assert (new.source, new.rank_a, new.state) == (str(notes / "three.md"), None, "no article")
    assert (old.rank_b, old.state) == (None, "ranked lower")
    assert battle.causes == ("content",)
    gone = oil.best("a")
    assert gone is not None
    assert gone.state == "no article"


def test_another_title(pair, notes):
    text = (notes / "two.md").read_text()
    (notes / "two.md").write_text(text.replace("# Second", "# Oil oil oil"))
    build(notes, pair[1])
    (oil,) = semsearch.diff(*pair, ["oil"], k=4).questions
    assert oil.causes == ("content",)
    assert {answer.state for answer in oil.answers if answer.source.endswith("two.md")} == {"retitled"}


def test_another_model(pair, notes, monkeypatch):
    class Other(FakeEncoder):
        def encode_queries(self, texts):
            # Whatever it is asked, it thinks of gas.
            return super().encode_queries(["gas" for _ in texts])

    def load_for(fingerprint, network):
        return Other("other") if fingerprint.model == "other" else FakeEncoder()

    monkeypatch.setattr(encoders, "load_for", load_for)
    build(notes, pair[1], Other("other"), fresh=True)
    found = semsearch.diff(*pair, ["battle sword", "nothing of it"], mode="dense", k=4)
    assert {fact.kind for fact in found.facts} == {"model"}
    assert {"weights"} < {fact.name for fact in found.facts}
    assert found.content.only_a == found.content.only_b == 0
    assert all(each.causes in ((), ("model",)) for each in found.questions)
    assert "model" in found.causes


def test_the_same_model_under_another_name_is_none(pair, notes):
    class Named(FakeEncoder):
        def __init__(self):
            super().__init__()
            from dataclasses import replace

            self.fingerprint = replace(self.fingerprint, model="elsewhere")

    build(notes, pair[1], Named(), fresh=True)
    assert semsearch.diff(*pair, ["oil"]).facts == ()


def test_other_settings(tmp_path):
    long = " ".join(f"Sentence {number} says that the oil went up by some {number} dollars." for number in range(9))
    (tmp_path / "x.md").write_text(f"# X\n\n{long}\n")
    build(tmp_path / "x.md", tmp_path / "a")
    build(tmp_path / "x.md", tmp_path / "b", passage_tokens=30, compact=True)
    found = semsearch.diff(tmp_path / "a", tmp_path / "b", ["Sentence 8"], k=1)
    assert {(fact.kind, fact.name) for fact in found.facts} == {
        ("settings", "codes of words"),
        ("settings", "tokens of a passage"),
    }
    (each,) = found.questions
    # Part of what was found before is the same place.
    assert each.overlap == 1
    assert not each.changed
    found = semsearch.diff(tmp_path / "a", tmp_path / "b", ["Sentence 8"], k=9)
    (each,) = found.questions
    assert "cut otherwise" in {answer.state for answer in each.answers}
    assert each.causes == ("settings",)


def test_indexes_of_the_same_files_named_otherwise(notes, tmp_path, monkeypatch):
    build(notes, tmp_path / "a")
    monkeypatch.chdir(notes)
    build(".", tmp_path / "b")
    found = semsearch.diff(tmp_path / "a", tmp_path / "b", ASKED)
    assert found.summary["changed"] == 0


def test_queries(tmp_path):
    def read(name, text):
        (tmp_path / name).write_text(text)
        return questions(tmp_path / name)

    assert read("q.txt", "one?\n\n two? \n") == {"1": "one?", "3": "two?"}
    assert read("q.tsv", "a\tone?\nb\ttwo?\n") == {"a": "one?", "b": "two?"}
    assert read("q.jsonl", '{"_id": "x", "text": "one?"}\n') == {"x": "one?"}
    for name, text in (("q", ""), ("q.jsonl", ""), ("q.tsv", "a\tone?\ntwo?\n"), ("q.tsv", "a\t \n"), ("q.jsonl", "no json\n")):
        with pytest.raises(InputError):
            read(name, text)
    with pytest.raises(InputError, match="cannot be read"):
        questions(tmp_path / "none.txt")


def test_what_makes_no_sense_is_refused(pair):
    for queries in ([], ["", "x"]):
        with pytest.raises(InputError, match="empty"):
            semsearch.diff(*pair, queries)
    with pytest.raises(InputError, match="no difference 'nDCG@10'"):
        semsearch.diff(*pair, ["x"]).failures(["nDCG@10 > 0"])
    with pytest.raises(InputError, match="no mode"):
        semsearch.diff(*pair, ["x"], mode="both")
    with pytest.raises(semsearch.IndexMissing):
        semsearch.diff(pair[0], "nowhere", ["x"])


def test_answers_from_before_an_upgrade(pair, tmp_path):
    saved = tmp_path / "before.json"
    semsearch.diff(*pair, ["oil", "battle"], k=3, save=saved)
    again = semsearch.diff(saved, pair[1])
    assert (again.k, again.mode, [each.text for each in again.questions]) == (3, "hybrid", ["oil", "battle"])
    assert again.summary["changed"] == 0
    assert (again.facts, again.causes, again.content) == ((), {}, (0, 0, 4))
    # As if an earlier version had ranked the first two the other way.
    document = json.loads(saved.read_text())
    first, second, *_ = document["questions"][0]["hits"]
    first["rank"], second["rank"] = 2, 1
    document["questions"][0]["hits"][:2] = [second, first]
    document["made"]["version"]["asked by"] = "0.0.9"
    saved.write_text(json.dumps(document))
    later = semsearch.diff(saved, pair[1])
    oil, battle = later.questions
    assert (oil.causes, battle.causes) == (("version",), ())
    assert [(answer.rank_a, answer.rank_b) for answer in oil.answers[:2]] == [(1, 2), (2, 1)]
    assert ("version", "asked by", "0.0.9", semsearch.__version__) in later.facts
    assert later.failures(["best > 0.4"]) == ["best is 0.5000: best > 0.4"]


def test_answers_from_before_the_articles_changed(pair, notes, tmp_path):
    saved = tmp_path / "before.json"
    semsearch.diff(*pair, ["gas gas", "battle"], k=1, save=saved)
    write(notes, "one.md", "aid, vaccine", "gas gas gas", title="First")
    write(notes, "three.md", "battle battle battle", title="Third")
    build(notes, pair[1])
    gas, battle = semsearch.diff(saved, pair[1]).questions
    new, fresh = gas.best("b"), battle.best("b")
    assert new is not None
    assert fresh is not None
    assert (new.source, new.state, gas.causes) == (str(notes / "one.md"), "changed", ("content",))
    assert (fresh.source, fresh.state, battle.causes) == (str(notes / "three.md"), "no article", ("content",))
    # What was there before, but not among the hits, is known by its hash.
    semsearch.diff(*pair, ["sword"], k=1, mode="lexical", save=saved)
    document = json.loads(saved.read_text())
    document["questions"][0]["hits"] = []
    saved.write_text(json.dumps(document))
    (sword,) = semsearch.diff(saved, pair[1]).questions
    assert [(answer.state, answer.rank_a, answer.rank_b) for answer in sword.answers] == [("ranked lower", None, 1)]


def test_files_of_answers_that_are_none(pair, tmp_path):
    saved = tmp_path / "before.json"
    semsearch.diff(*pair, ["oil"], save=saved)
    with pytest.raises(InputError, match="has its own questions"):
        semsearch.diff(saved, pair[1], ["oil"])
    with pytest.raises(InputError, match="has its own questions"):
        semsearch.diff(saved, pair[1], k=3)
    with pytest.raises(InputError, match="no questions"):
        semsearch.diff(*pair)
    with pytest.raises(InputError, match="cannot be written"):
        semsearch.diff(*pair, ["oil"], save=tmp_path / "no" / "folder.json")
    for text in ("", "[]", "{}", '{"format": "semsearch answers 2"}', '{"format": "semsearch answers 1", "made": 3}', "\udcff"):
        saved.write_text(text, errors="surrogateescape")
        with pytest.raises(InputError, match="is no file of answers"):
            semsearch.diff(saved, pair[1])


def test_rank_biased_overlap():
    assert rank_biased_overlap([], []) == 1
    assert rank_biased_overlap(["a"], []) == rank_biased_overlap([], ["a"]) == 0
    assert rank_biased_overlap("abc", "abc") == pytest.approx(1)
    assert rank_biased_overlap("abc", "xyz") == 0
    # By hand, p = 0.5: X = 0, 2; (1-p)/p = 1: 0 * .5 + 2/2 * .25 = .25, and 2/2 * .25 beyond.
    assert rank_biased_overlap("ab", "ba", 0.5) == pytest.approx(0.5)
    # Lengths 1 and 2: X = 1, 1; 1 * .5 + 1/2 * .25 + 1 * 1/2 * .25, and (0/2 + 1) * .25 beyond.
    assert rank_biased_overlap("a", "ab", 0.5) == pytest.approx(0.5 + 0.125 + 0.125 + 0.25)
    # The first ranks count most.
    assert rank_biased_overlap("abcd", "bacd") < rank_biased_overlap("abcd", "abdc")


def test_the_command(pair, notes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("q.txt").write_text("oil\nbattle\n")
    assert run("diff", "a", "b", "--queries", "q.txt", "--fail-if", "changed > 0").exit_code == 0
    (notes / "one.md").unlink()
    build(notes, pair[1])
    result = run("diff", "a", "b", "--queries", "q.txt", "-k", "2", "--fail-if", "lost > 0", "--fail-if", "rbo < 0.1")
    assert result.exit_code == 1
    assert result.stderr == "semsearch: --fail-if: lost is 0.5000: lost > 0\n"
    assert "texts: 2 in both, 2 only before, 0 only now" in result.stdout
    assert "(no article)" in result.stdout
    assert "due to content" in result.stdout
    document = json.loads(run("diff", "a", "b", "--queries", "q.txt", "--json", "--mode", "lexical").stdout)
    assert document["mode"] == "lexical"
    assert document["summary"]["lost"] == 0.5
    assert [each["text"] for each in document["questions"]] == ["oil", "battle"]
    for wrong in (("--fail-if", "nDCG@10 > 0"), ("--fail-if", "lost"), ("--mode", "both"), ("-k", "0")):
        assert run("diff", "a", "b", "--queries", "q.txt", *wrong).exit_code == 2
    assert run("diff", "a", "b").exit_code == 2
    assert run("diff", "a", "b", "--queries", "q.txt", "--save", "before.json").exit_code == 0
    assert run("diff", "before.json", "b", "--fail-if", "changed > 0").exit_code == 0
    assert run("diff", "before.json", "b", "--queries", "q.txt").exit_code == 2
