"""The commands as a user runs them: what goes to stdout and stderr, exit codes, bad input."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import run

from semsearch import articles

AID = "The convoy brought aid and more aid to the flooded valley, said the council of the province."
OIL = "The price of oil fell again on Friday, and gas followed it down, traders in the port reported."


pytestmark = pytest.mark.usefixtures("no_model")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    articles = tmp_path / "articles"
    articles.mkdir()
    (articles / "aid.md").write_text(f"# Floods\n\n{AID}\n", encoding="utf-8")
    (articles / "oil.txt").write_text(f"{OIL}\n", encoding="utf-8")
    return articles


def fails(*arguments: str) -> str:
    """The one line that a failing command says."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("semsearch: ")
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def test_index_then_ask(folder):
    built = run("index", "articles")
    assert built.exit_code == 0
    assert built.stdout == "index: 2 articles, 2 passages\n"
    assert re.fullmatch(r"semsearch: files: 2 added; 2 passages encoded in \d+\.\d s\n", built.stderr)
    answer = run("ask", "aid", "-k", "1")
    assert answer.exit_code == 0
    assert answer.stderr == ""
    assert "articles/aid.md:3" in answer.stdout
    assert AID in answer.stdout
    assert OIL not in answer.stdout


def test_index_json(folder):
    (folder / "bad.jsonl").write_text('{"text": "Oil is oil."}\nnot json\n', encoding="utf-8")
    report = json.loads(run("index", "articles", "--json").stdout)
    assert (report["articles"], report["passages"], report["added"], report["unchanged"]) == (3, 3, 3, 0)
    assert report["problems"] == [{"source": "articles/bad.jsonl", "reason": report["problems"][0]["reason"]}]
    assert report["problems"][0]["reason"].startswith("line 2: not JSON")


def test_ask_json_is_the_contract(folder):
    run("index", "articles")
    answer = run("ask", "aid", "--json")
    assert answer.exit_code == 0
    document = json.loads(answer.stdout)
    assert list(document) == ["query", "mode", "took_ms", "answerable", "hits"]
    assert (document["query"], document["mode"], document["answerable"]) == ("aid", "hybrid", True)
    hit = document["hits"][0]
    assert list(hit) == [
        "rank", "score", "text", "title", "source", "start", "end", "line", "paragraph", "heading", "highlight", "scores",
        "page", "passage_id", "article_id", "confidence", "duplicates", "metadata",
    ]  # fmt: skip
    text = (folder / "aid.md").read_text(encoding="utf-8")
    assert text[hit["start"] : hit["end"]] == hit["text"] == AID
    assert (hit["rank"], hit["title"], hit["line"], hit["paragraph"], hit["heading"]) == (1, "Floods", 3, 1, "")
    assert hit["highlight"] == {"start": hit["start"], "end": hit["end"], "text": AID}
    assert set(hit["scores"]) == {"dense", "lexical"}


def test_nothing_relevant_is_exit_1_and_json_lists_the_hits_all_the_same(folder):
    run("index", "articles")
    answer = run("ask", "zebra", "--json")
    document = json.loads(answer.stdout)
    assert answer.exit_code == 1
    assert document["answerable"] is False
    assert len(document["hits"]) == 2
    plain = run("ask", "zebra")
    assert plain.exit_code == 1
    assert "nothing relevant found" in plain.stderr


def test_ask_with_sources_builds_first(folder):
    answer = run("ask", "oil", "articles", "--index", "other", "-k", "1")
    assert answer.exit_code == 0
    assert OIL in answer.stdout
    assert "2 added" in answer.stderr
    assert (folder.parent / "other" / "semsearch.sqlite").is_file()


def test_ask_without_index_takes_seeds(folder):
    folder.rename(folder.parent / "seeds")
    answer = run("ask", "oil", "-k", "1")
    assert answer.exit_code == 0
    assert answer.stderr.startswith("semsearch: no index in index: indexing seeds first\n")
    assert run("ask", "oil", "-k", "1").stderr == ""


def test_status_and_remove(folder):
    run("index", "articles")
    status = json.loads(run("status", "--json").stdout)
    assert {"articles", "passages", "model", "generation", "bytes"} <= set(status)
    assert (status["articles"], status["generation"], status["model"]) == (2, 1, "fake")
    assert "articles       2\n" in run("status").stdout
    assert "passage_tokens what the model takes\n" in run("status").stdout
    assert json.loads(run("remove", "articles/oil.txt", "--json").stdout) == {"removed": 1}
    assert json.loads(run("status", "--json").stdout)["articles"] == 1
    assert "not in the index" in fails("remove", "articles/oil.txt")


@pytest.mark.parametrize("question", ["", "   ", "\n"])
def test_an_empty_question(folder, question: str):
    assert "question is empty" in fails("ask", question, "articles")
    assert not (folder.parent / "index").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ask", "aid", "-k", "0"), "-k"),
        (("ask", "aid"), "semsearch index SOURCE"),
        (("status",), "no index in index"),
        (("remove", "x"), "no index in index"),
        (("index", "missing"), "no such file or folder"),
        (("index", "none*"), "nothing matches"),
        (("index", "empty"), "no articles in empty"),
        (("index", "articles", "--index", "articles"), "is not an index and not empty"),
        (("index", "articles", "--index", "articles/aid.md"), "is a file"),
        (("ask", "aid", "articles", "--mode", "psychic"), "psychic"),
        (("index",), "SOURCE"),
        (("index", "bad"), "nothing could be read: bad/binary.md: binary file"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(folder, arguments, message):
    (folder.parent / "empty").mkdir()
    (folder.parent / "bad").mkdir()
    (folder.parent / "bad" / "binary.md").write_bytes(bytes(range(256)))
    before = sorted(path.name for path in folder.rglob("*"))
    assert message in fails(*arguments)
    assert sorted(path.name for path in folder.rglob("*")) == before


@pytest.fixture
def bad_folder(folder: Path) -> Path:
    """A folder of everything that goes wrong, beside two articles that are fine."""
    (folder / "a-empty.md").write_bytes(b"")
    (folder / "b-spaces.txt").write_text(" \n\t\n", encoding="utf-8")
    (folder / "c-binary.md").write_bytes(bytes(range(256)) * 20)
    (folder / "d-utf8.txt").write_bytes("Der Rat für Öl und Gäste tagte über die Maßnahmen: ".encode() * 3 + b"\xff\xfe aid")
    (folder / "e-nul.txt").write_bytes(b"some text\0with NULs\0inside")
    (folder / "f-dangling.md").symlink_to(folder / "nowhere.md")
    (folder / "g-loop.md").symlink_to(folder / "g-loop.md")
    (folder / "h-folder.md").mkdir()
    (folder / "h-folder.md" / "inside.md").write_text("A charter inside a folder that is named like a file.", encoding="utf-8")
    (folder / "i-empty.html").write_text("<html><body><script>var a;</script></body></html>", encoding="utf-8")
    (folder / "j-lines.jsonl").write_text('{"text": "A sword was found in the river."}\n{"text": 3}\n{oops\n', encoding="utf-8")
    (folder / "k-front.md").write_text("---\ntitle: a: b: c\n  - [\n---\n\nThe election was held in spring.\n", encoding="utf-8")
    (folder / "l-large.txt").write_bytes(b"a" * (50 * 2**20))
    (folder / ".hidden.md").write_text("Hidden battle.", encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    return folder


def test_bad_files_are_reported_and_the_rest_is_indexed(bad_folder):
    result = run("index", "articles", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    reasons = {problem["source"].removeprefix("articles/"): problem["reason"] for problem in report["problems"]}
    expected = {
        "a-empty.md": "empty file",
        "b-spaces.txt": "empty file",
        "c-binary.md": "binary file",
        "e-nul.txt": "binary file",
        "f-dangling.md": "not there",
        "g-loop.md": "leads back",
        "i-empty.html": "no text",
        "j-lines.jsonl": "line",
        "k-front.md": "front matter is not YAML",
        "l-large.txt": "50 MB",
    }
    assert set(reasons) == set(expected)
    for name, words in expected.items():
        assert words in reasons[name], name
    lines = [problem["reason"] for problem in report["problems"] if problem["source"].endswith("jsonl")]
    assert [line.split(":")[0] for line in lines] == ["line 2", "line 3"]
    assert report["articles"] == 6
    assert result.stderr.count("\n") == len(report["problems"]) + 1
    assert "11 problems" in result.stderr
    for question, source in (("sword", "articles/j-lines.jsonl#1"), ("charter", "articles/h-folder.md/inside.md")):
        assert json.loads(run("ask", question, "--json").stdout)["hits"][0]["source"] == source
    again = run("index", "articles")
    assert "11 problems" in again.stderr
    assert "0 passages encoded" in again.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(folder):
    (folder / "secret.md").write_text("A battle that nobody may read of.", encoding="utf-8")
    (folder / "secret.md").chmod(0)
    result = run("index", "articles")
    assert "articles/secret.md: cannot be read: Permission denied" in result.stderr
    assert result.exit_code == 0


def test_a_file_that_refuses_to_be_read(folder, monkeypatch):
    def refuse(path, limit, **options):
        raise PermissionError(13, "Permission denied")

    run("index", "articles")
    monkeypatch.setattr(articles, "read_regular", refuse)
    result = run("index", "articles")
    assert "articles/aid.md: cannot be read: Permission denied; kept as it was indexed" in result.stderr
    assert result.exit_code == 0
    assert json.loads(run("status", "--json").stdout)["articles"] == 2
    assert "nothing could be read: articles/aid.md: cannot be read" in fails("index", "articles", "--index", "other")


def test_files_that_are_no_longer_there_and_were_not_asked_about_are_told_of(folder):
    run("index", "articles")
    folder.rename(folder.parent / "renamed")
    result = run("index", "renamed")
    assert "2 indexed files are no longer there (articles/aid.md): semsearch remove takes them out" in result.stderr
    assert json.loads(run("remove", "articles", "--json").stdout) == {"removed": 2}
    assert "no longer there" not in run("index", "renamed").stderr


def test_a_model_that_does_not_exist(folder, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(folder.parent)
    assert "no model at './nothing'" in fails("index", "articles", "--model", "./nothing")
    assert "semsearch: " in fails("index", "articles", "--model", "./nothing")
    assert not (folder.parent / "index" / "semsearch.sqlite").exists()


def test_ctrl_c_leaves_the_index_as_it_was(folder, monkeypatch, fake):
    run("index", "articles")
    (folder / "new.md").write_text("A new council of gas was founded in the old port, it is said.", encoding="utf-8")

    def interrupted(passages):
        raise KeyboardInterrupt

    monkeypatch.setattr(fake, "encode_passages", interrupted)
    result = run("index", "articles")
    assert result.exit_code == 130
    assert result.stderr == "semsearch: interrupted: the index is as it was; what was encoded is kept for the next run\n"
    assert json.loads(run("status", "--json").stdout)["generation"] == 1
    assert json.loads(run("status", "--json").stdout)["articles"] == 2


def test_hostile_names_and_texts_do_not_reach_the_terminal_raw(folder):
    (folder / "evil\x1b]0;title\x07.md").write_text(
        "# T\x1b[31m\n\nThe battle\x1b[2J of the \u202egnik council was long.\n", encoding="utf-8"
    )
    built = run("index", "articles")
    answer = run("ask", "battle", "-k", "1")
    assert "battle" in answer.stdout
    for output in (built.stderr, answer.stdout):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", output)


@pytest.mark.model
def test_on_a_terminal_the_best_sentence_is_bold_and_the_file_a_link(root: Path, tmp_path: Path, bundled):
    """A real terminal, the real program."""
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "PYTHONPATH": str(root)}
    environment.pop("NO_COLOR", None)
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "semsearch", "ask", "what aid did Russia offer", str(root / "seeds"), "-k", "2"]
    with subprocess.Popen([*command, "--index", str(tmp_path / "index")], stdout=child, stderr=child, env=environment) as process:
        os.close(child)
        output = b""
        while chunk := _read(parent):
            output += chunk
    os.close(parent)
    shown = output.decode()
    assert process.returncode == 0, shown
    assert re.search(r"\x1b\]8;[^;]*;file://[^\x1b]*russia-venezuela-road-map\.md", shown)
    assert re.search(r"\x1b\[1mRussia has offered Venezuela", shown)
    assert all(
        len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\]8;[^\x1b]*\x1b\\", "", line)) <= 80 for line in shown.split("\r\n")[-12:]
    )


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.parametrize("arguments", [("index", "articles"), ("index", "missing"), ("index", "articles", "--model", "./none")])
def test_a_folder_with_files_of_other_names_is_never_touched(folder, arguments):
    """Names that begin like those of an index's files are no licence to remove them."""
    other = folder.parent / "other"
    other.mkdir()
    for name in ("segment-2023.csv", "semsearch.sqlite.bak", ".bashrc"):
        (other / name).write_text("precious", encoding="utf-8")
    assert run(*arguments, "--index", "other").exit_code == 2
    assert sorted(path.name for path in other.iterdir()) == [".bashrc", "segment-2023.csv", "semsearch.sqlite.bak"]


def test_files_laid_beside_an_index_stay(folder):
    run("index", "articles")
    (folder.parent / "index" / "segment-2023.csv").write_text("precious", encoding="utf-8")
    (folder / "new.md").write_text("A sword and a charter were shown in the hall of the council today.", encoding="utf-8")
    assert run("index", "articles").exit_code == 0
    assert (folder.parent / "index" / "segment-2023.csv").read_text(encoding="utf-8") == "precious"
