"""Questions with known answers on the articles that ship with the project, by the bundled model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import contents

import semsearch
from semsearch import articles
from semsearch.records import Article

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def index(root: Path, bundled, tmp_path_factory: pytest.TempPathFactory):
    with semsearch.build(root / "seeds", tmp_path_factory.mktemp("seeds") / "index", encoder=bundled) as built:
        yield built


@pytest.fixture(scope="module")
def questions(root: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (root / "tests/data/seed_questions.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_right_passage_is_on_top_for_nine_of_ten_and_in_the_first_three_for_all(index, questions):
    """Two more are marked as hard: words of the question stand in the paragraph beside the answer's."""
    ranks = {}
    for item in questions:
        hits = index.search(item["question"], k=10)
        ranks[item["question"]] = next((hit.rank for hit in hits if item["contains"] in hit.text), 99)
    plain = [ranks[item["question"]] for item in questions if not item.get("hard")]
    assert len(plain) == 10
    assert plain.count(1) >= 9, ranks
    assert max(ranks.values()) <= 3, ranks


@pytest.mark.parametrize("question", ["best pizza recipe", "how do I reset my router"])
def test_a_question_on_something_else_is_not_believed_to_be_answered(index, question: str):
    assert not index.search(question).answerable


def test_the_first_question_of_the_readme(index, root: Path):
    results = index.search("what aid did Russia offer", k=3)
    top = results[0]
    assert results.answerable
    assert "medicine and food" in top.highlight.text
    assert "vaccines" in top.text
    assert top.title == "Russia and Venezuela agree on a road map of cooperation"
    assert Path(top.path) == (root / "seeds/russia-venezuela-road-map.md").resolve()
    text = Path(top.path).read_text(encoding="utf-8")
    assert text[top.start : top.end] == top.text
    assert text[top.highlight.start : top.highlight.end] == top.highlight.text
    assert text.splitlines()[top.line - 1].startswith(top.text[:40])
    assert top.metadata["date"]
    assert top.metadata["url"].startswith("https://")


@pytest.mark.parametrize(
    ("question", "words"),
    [
        pytest.param(
            "how much are the weapons deals between Moscow and Caracas worth?",
            "roughly $11 billion",
            marks=pytest.mark.xfail(strict=True, reason="nearer by 0.04, and codes of 128 bits are off by 0.03"),
        ),
        ("who was Simon Bolivar's wife and what happened to her?", "She died of fever within a year of the wedding"),
        ("how does the flu manage to escape the antibodies people already have", "Antibodies raised against last year's strain"),
        (
            "which country did the Security Council punish first with mandatory trade restrictions?",
            "Southern Rhodesia was the first",
        ),
        ("is Cuba allowed back into the club of American countries it was thrown out of?", "The decision was lifted in 2009"),
        ("how is drift different from shift in the flu", "This slow change is called antigenic drift."),
    ],
)
def test_the_sentence_that_answers_is_marked(index, question: str, words: str):
    hit = index.search(question, k=1)[0]
    assert words in hit.highlight.text
    assert len(hit.highlight.text) < len(hit.text)


@pytest.mark.parametrize(
    "question", ["who is Tschaikin", "what did Tschaikin sell", "what was it that cost 48,213", "48,213 crowns"]
)
def test_a_rare_name_or_number_is_found_though_the_model_has_never_met_it(root: Path, tmp_path: Path, bundled, question: str):
    planted = "The firm of Tschaikin sold the ferry for 48,213 crowns. The new owners kept its crew, and painted it green."
    (tmp_path / "ferry.md").write_text(f"# A ferry\n\nIt had lain in the harbour since the war.\n\n{planted}\n", encoding="utf-8")
    with semsearch.build([root / "seeds", tmp_path / "ferry.md"], tmp_path / "index", encoder=bundled) as index:
        assert planted in index.search(question, k=1)[0].text


def test_questions_at_once_are_answered_as_one_by_one(index, questions):
    asked = [item["question"] for item in questions]
    for mode in ("hybrid", "dense", "lexical"):
        for together, question in zip(index.search_many(asked, 5, mode=mode), asked, strict=True):
            alone = index.search(question, 5, mode=mode)
            assert [(hit.source, hit.start, hit.highlight) for hit in together] == [
                (hit.source, hit.start, hit.highlight) for hit in alone
            ]
            for one, other in zip(together, alone, strict=True):
                assert one.score == pytest.approx(other.score, abs=2e-6)
                assert one.confidence == pytest.approx(other.confidence, abs=1e-5)


def test_hits_come_from_every_format(index, questions):
    suffixes = {Path(index.search(item["question"], k=1)[0].source).suffix for item in questions}
    assert suffixes == {".md", ".txt", ".html"}


def test_every_seed_has_title_date_and_address_and_is_read_without_a_problem(root: Path):
    files = articles.find([root / "seeds"]).files
    assert 10 <= len(files) <= 15
    for file in files:
        read = list(articles.read(file, articles.load(file)))
        assert len(read) == 1, file.source
        article = read[0]
        assert isinstance(article, Article), article
        assert article.title
        assert {"date", "url", "language", "tags"} <= set(article.metadata), file.source
        assert len(article.blocks) >= 5


def test_answering_needs_neither_torch_nor_transformers_nor_the_network(index, model_cache: Path):
    """A process that asks: what it has loaded, and that it never opens a socket."""
    code = f"""
import socket, sys
def refuse(*args, **kwargs): raise AssertionError("a socket was opened")
socket.socket = refuse
import semsearch
with semsearch.open({index.status()["path"]!r}) as opened:
    print(opened.search("what aid did Russia offer")[0].highlight.text)
print(*sorted(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer, modules = done.stdout.splitlines()
    assert "medicine and food" in answer
    loaded = {name.split(".")[0] for name in modules.split()}
    assert not loaded & {"torch", "transformers", "sentence_transformers", "openvino", "huggingface_hub", "rich", "yaml"}
    assert {"numpy", "faiss", "onnxruntime", "tokenizers"} <= loaded


def test_nothing_is_kept_of_what_was_asked(index, model_cache: Path, tmp_path: Path):
    """onnxruntime keeps in the user's home what it was used for, and sends it when the process lives long enough."""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    command = [sys.executable, "-m", "semsearch", "ask", "what aid did Russia offer", "--index", str(index._reader.home)]
    done = subprocess.run(command, env={**environment, **home}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("*")) == []


def test_indexing_opens_no_socket(root: Path, tmp_path: Path, model_cache: Path):
    """openvino brings a package along that tells its maker of each import, from a process of its own: it is not even loaded."""
    code = f"""
import socket
class Refused(socket.socket):
    def connect(self, address): raise AssertionError(f"connects to {{address}}")
socket.socket = Refused
import semsearch
built = semsearch.build({str(root / "seeds")!r}, {str(tmp_path / "index")!r})
print(built.report.encoded, built._encoder.engine)
built.close()
import sys
print("told by", [name for name in sys.modules if name.startswith("openvino_telemetry")])
if "openvino" in sys.modules:
    from openvino.tools.ovc import telemetry_utils
    print(telemetry_utils.tm.__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    encoded, told, *stub = done.stdout.splitlines()
    assert int(encoded.split()[0]) > 50
    assert told == "told by []"
    assert stub in ([], ["openvino.tools.ovc.telemetry_stub"])


ON_ONE_ARTICLE = [
    ("what aid did Russia offer", "humanitarian aid"),
    ("how many flu vaccines", "1.5 million"),
    ("how much money for energy", "$4 billion"),
    ("what did the UN meeting lead Maduro to say of Trump", "disgust"),
    pytest.param(
        "what present did Putin get", "replica", marks=pytest.mark.xfail(strict=True, reason="rank 5 of 8, in both arms")
    ),
    ("what did the military specialists come for", "service equipment"),
]


@pytest.mark.parametrize(("question", "words"), ON_ONE_ARTICLE)
def test_questions_on_one_article_as_it_was_published(data_folder: Path, tmp_path: Path, bundled, question: str, words: str):
    published = data_folder.parent / "seeds"
    if not published.is_dir():
        pytest.skip("the article as published is not beside the collections of SEMSEARCH_DATA")
    with semsearch.build(published, tmp_path / "index", encoder=bundled) as index:
        assert words in index.search(question, k=1)[0].text


def test_a_refresh_ends_where_a_fresh_build_does_to_the_last_bit(root: Path, bundled, tmp_path: Path):
    folder = tmp_path / "seeds"
    shutil.copytree(root / "seeds", folder)
    semsearch.build(folder, tmp_path / "grown", encoder=bundled).close()
    first, second, third, *_ = sorted(folder.glob("*.md"))
    text = first.read_text(encoding="utf-8")
    first.write_text(text + "\n\nA word of ours at the end, which nobody had expected.\n", encoding="utf-8")
    (folder / "sub").mkdir()
    second.rename(folder / "sub" / "moved.md")
    third.unlink()
    with semsearch.build(folder, tmp_path / "grown", encoder=bundled) as grown:
        assert grown.report is not None
        assert grown.report.encoded == 1
    semsearch.build(folder, tmp_path / "fresh", encoder=bundled).close()
    before, after = contents(tmp_path / "fresh"), contents(tmp_path / "grown")
    if bundled.engine.startswith("openvino"):
        assert after == before
    assert [item[0] for item in after] == [item[0] for item in before]
