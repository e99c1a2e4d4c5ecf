"""``semsearch eval`` as a user runs it: its JSON, its files, its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner, Result

import semsearch
from semsearch.cli import main
from semsearch.records import Mode

TEXTS = {
    "oil": "The price of oil fell on Friday.",
    "aid": "The convoy brought aid to the valley.",
    "gas": "Gas and oil followed.",
}


pytestmark = pytest.mark.usefixtures("no_model")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data"
    (data / "qrels").mkdir(parents=True)
    (data / "corpus.jsonl").write_text("".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in TEXTS.items()))
    (data / "queries.jsonl").write_text('{"_id": "1", "text": "oil"}\n{"_id": "2", "text": "aid"}\n')
    (data / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\toil\t1\n2\taid\t2\n")
    (data / "qrels" / "other.tsv").write_text("1\tnowhere\t1\n")
    (data / "qrels" / "fraction.tsv").write_text("1\toil\t1.5\n2\taid\t2\n")
    return data


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["eval", *arguments])


def one_line(result: Result) -> str:
    """What went to stderr, which is one line of ours."""
    (line,) = result.stderr.splitlines()
    assert line.startswith("semsearch: ")
    return line.removeprefix("semsearch: ")


def test_json(folder: Path):
    result = run("data", "--json", "--mode", "dense")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    latency, seconds = document.pop("latency_ms"), document.pop("seconds")
    assert document == {
        "dataset": "data",
        "mode": "dense",
        "model": "fake",
        "queries": 2,
        "documents": 3,
        "passages": 3,
        "metrics": {"nDCG@10": 1.0, "R@100": 1.0, "RR@10": 1.0, "AP": 1.0, "P@5": 0.2, "Success@1": 1.0},
    }
    assert seconds.keys() == {"index", "search"}
    assert latency.keys() == {"p50", "p95"}


def test_a_table_for_people(folder: Path):
    result = run("data", "--metric", "RR", "--metric", "P@1", "--mode", "dense")
    head, names, values = result.stdout.splitlines()
    assert head == "data: 2 queries, 3 documents, 3 passages"
    assert names.split()[:4] == ["mode", "model", "RR", "P@1"]
    assert values.split()[:4] == ["dense", "fake", "1.0000", "1.0000"]


def test_more_than_one_mode_gives_a_list(folder: Path, monkeypatch):
    modes = get_args(Mode)
    models = [] if len(modes) > 1 else ["--model", "one", "--model", "two"]
    result = run("data", "--json", *(part for mode in modes for part in ("--mode", mode)), *models)
    documents = json.loads(result.stdout)
    assert [document["mode"] for document in documents] == list(modes) * (2 if models else 1)


def test_a_run_is_written_and_compared_with(folder: Path):
    assert run("data", "--run", "before.run", "--mode", "dense").exit_code == 0
    lines = Path("before.run").read_text().splitlines()
    assert lines[0].split()[:4] == ["1", "Q0", "oil", "1"]
    assert len(lines) == 6
    result = run("data", "--against", "before.run", "--json", "--mode", "dense", "--fail-if", "nDCG@10 < -0.01")
    assert result.exit_code == 0
    against = json.loads(result.stdout)["against"]
    assert against["run"] == "before.run"
    assert against["metrics"]["AP"] == {"value": 1, "baseline": 1, "difference": 0, "interval": [0, 0], "p": 1, "p_holm": 1}
    assert against["won"] == against["lost"] == []
    worse = "".join(line.replace(" oil ", " x ").replace(" gas ", " oil ") + "\n" for line in lines)
    Path("worse.run").write_text(worse)
    compared = json.loads(run("data", "--against", "worse.run", "--json", "--mode", "dense").stdout)["against"]
    (won,) = compared["won"]
    assert (won["text"], won["top"], won["baseline_top"]) == ("oil", "oil", "x")
    assert won["difference"] == won["value"] - won["baseline"] > 0


def test_fail_if(folder: Path):
    result = run("data", "--fail-if", "RR@10 < 0.5", "--fail-if", "RR > 0.9", "--mode", "dense", "--json")
    assert result.exit_code == 1
    assert one_line(result) == "--fail-if: RR is 1.0000 (dense, fake): RR > 0.9"
    # The metric of an expression is measured, whether or not it was asked for.
    assert list(json.loads(result.stdout)["metrics"])[-1] == "RR"
    Path("base.run").write_text("1 Q0 oil 1 1 t\n2 Q0 aid 1 1 t\n")
    result = run("data", "--against", "base.run", "--fail-if", "RR <= 0", "--mode", "dense")
    assert result.exit_code == 1
    assert "RR differs by +0.0000 (dense, fake): RR <= 0" in one_line(result)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "--fail-if", "nDCG@10 is low"], "cannot read 'nDCG@10 is low'"),
        (["data", "--fail-if", "foo < 1"], "no metric 'foo'"),
        (["data", "--metric", "foo"], "no metric 'foo'"),
        (["nowhere"], "no data set 'nowhere'"),
        (["data", "--split", "dev"], "give --split fraction or other or test"),
        (["data", "--against", "nowhere.run"], "nowhere.run cannot be read"),
        (["data", "--mode", "best"], "see semsearch eval --help"),
        (["data", "--run", "x.run", "--model", "a", "--model", "b"], "--run writes one run"),
        (["data", "-k", "0"], "see semsearch eval --help"),
        (["data", "--whole", "--mode", "hybrid"], "by their cosine alone: leave --mode hybrid or --whole out"),
        (["data", "--whole", "--mode", "dense", "--mode", "lexical"], "leave --mode lexical or --whole out"),
        (["data", "--split", "other"], "no judged document is in"),
        (["data", "--split", "fraction"], "fraction.tsv line 1: '1.5' is no grade"),
        ([], "Missing argument 'DATASET'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(folder: Path, arguments: list[str], message: str):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in one_line(result)
    assert result.stdout == ""


@pytest.mark.parametrize("option", ["--run", "--report"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_done(folder: Path, fake, monkeypatch, option: str):
    if option == "--report":
        pytest.importorskip("matplotlib")
    result = run("data", option, "nowhere/x.html")
    assert result.exit_code == 2
    assert one_line(result) == "nowhere/x.html cannot be written (no folder nowhere): make it, or give another"
    Path("here").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != "here")
    result = run("data", option, "here/x.html")
    assert result.exit_code == 2
    assert one_line(result) == "here/x.html cannot be written (Permission denied): give another folder"
    assert result.stdout == ""
    assert not fake.encoded
    assert not (folder.parent / "cache").exists()
    assert list(Path("here").iterdir()) == []


def test_help_says_that_k_is_a_least_number():
    assert "How many documents are ranked, at least." in " ".join(run("--help").stdout.split())


def test_a_report(folder: Path):
    pytest.importorskip("matplotlib")
    assert run("data", "--report", "report.html").exit_code == 0
    assert "<svg" in Path("report.html").read_text(encoding="utf-8")


def test_a_report_without_its_packages_is_refused_before_anything_is_done(folder: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = run("data", "--report", "report.html")
    assert result.exit_code == 2
    assert 'python -m pip install "semsearch[eval]"' in one_line(result)
    assert not (folder.parent / "cache").exists()


def test_a_handful_of_questions_over_the_index_at_hand(folder: Path, fake):
    (folder / "notes").mkdir()
    (folder / "notes" / "oil.txt").write_text(TEXTS["oil"])
    (folder / "notes" / "aid.txt").write_text(TEXTS["aid"])
    semsearch.build(folder / "notes", "index", encoder=fake).close()
    Path("questions.tsv").write_text("oil\toil.txt\naid\tbrought AID to the valley\n")
    document = json.loads(run("questions.tsv", "--json", "--mode", "dense").stdout)
    assert document["metrics"]["Success@1"] == 1
    assert document["documents"] == 2


def test_help_of_eval_is_light():
    code = (
        "from click.testing import CliRunner; from semsearch.cli import main; CliRunner().invoke(main, ['eval', '--help']);"
        "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "scipy", "ir_measures", "matplotlib", "jinja2"} & set(done.stdout.split())
