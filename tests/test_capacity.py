"""The capacity plan: formulas by hand arithmetic, measured figures as the benchmarks wrote them, the page as it is printed."""

from __future__ import annotations

import json
import re
import sys

import pytest
from conftest import ROOT, FakeEncoder
from helpers import build

import semsearch
from semsearch import encoder, signs
from semsearch.engines import numbers

sys.path.insert(0, str(ROOT / "benchmarks"))

import capacity

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / ".docs" / "docs" / "explanation" / "capacity.md"


def results(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def test_measured_figures_are_those_of_the_benchmarks():
    figures = capacity.planned()
    million, indexing, encode = results("million"), results("indexing"), results("encode")
    disk, rows = million["disk"], million["disk"]["bytes a row"]
    words = disk["text bytes a passage"] / figures.word_bytes
    assert figures.words == round(words)
    assert figures.word_codes == pytest.approx(rows["words"] / capacity.CODE_BYTES / words, rel=0.005)
    assert figures.vector_bytes == rows["vectors"]
    assert figures.scan_bytes == rows["scan"]
    assert figures.rest_bytes == round(rows["offsets"] + rows["checksums"] + rows["sentences"])
    assert figures.bm25_word_bytes == pytest.approx(disk["words bytes a passage"] / words, rel=0.005)
    parts = disk["vectors bytes a passage"] + disk["words bytes a passage"]
    assert figures.database_bytes == disk["bytes a passage beside text and titles"] - parts
    # What all parts are together, a row being a passage: some share one.
    whole = figures.folder() - figures.text()
    assert whole == pytest.approx(disk["bytes a passage beside text and titles"], rel=0.02)
    seconds = indexing["semsearch seconds"]["median"]
    assert figures.cpu_tokens == pytest.approx(indexing["semsearch passages"] / seconds * 87, rel=0.005)
    assert figures.int8_factor == pytest.approx(seconds / indexing["semsearch int8 seconds"]["median"], rel=0.005)
    assert figures.cpu_cores == indexing["machine"]["cores"]
    assert figures.amx_factor == pytest.approx(394 / encode["openvino bf16 passages/s"]["median"], rel=0.005)
    assert figures.writer_tokens == pytest.approx(indexing["semsearch passages"] * 87 / 13, rel=0.005)
    assert figures.ask_seconds_million * 1000 == million["warm"]["hybrid ms"]["p50"]
    assert figures.arm_seconds_million * 1000 == pytest.approx(million["warm"]["dense arm ms"]["p50"], abs=0.05)
    assert figures.lexical_seconds_million * 1000 == pytest.approx(million["warm"]["lexical ms"]["p50"], abs=0.05)
    assert figures.ask_cpu_seconds_million == pytest.approx(2 / million["many"]["processes, questions a second"], rel=0.005)
    told = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    for said in (
        "and the dense arm took 45.5 ms",
        "2,100 passages a second",
        "do 5,700",
        "half a millisecond a passage",
        "394 (383",
    ):
        assert said in told
    assert figures.gpu_tokens == 2100 * 87
    assert figures.gpu_network_tokens == 5700 * 87


@pytest.mark.skipif(not (RESULTS / "postgres.json").exists(), reason="written by benchmarks/postgres.py")
def test_figures_of_postgresql_are_those_of_its_benchmark():
    found = results("postgres")["bytes a passage"]
    # Its passages have 50.8 words.
    assert capacity.planned({"words": 50.8}).postgres() == pytest.approx(found["all"], rel=0.01)
    assert capacity.planned().postgres_graph_bytes == pytest.approx(found["vectors_1"]["indexes"], rel=0.01)


def test_what_the_page_says_of_scifact_was_measured():
    found = results("engines")
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    folder, postgres, milvus = (f"{found[name]['hybrid']['nDCG@10']:.4f}"[1:] for name in ("folder", "postgres", "milvus"))
    assert f"mean nDCG@10 was {postgres}, in a folder {folder}" in page
    assert f"as in PostgreSQL, mean nDCG@10 {milvus}" in page
    assert {each["recall@10"] for name in ("postgres", "milvus") for each in found[name]["filters"].values()} == {1}
    size = found["postgres"]["bytes_per_passage"]
    assert f"took {size:,} bytes each in PostgreSQL" in page
    # Its passages have 100.3 words.
    assert capacity.planned({"words": 100.3}).postgres() == pytest.approx(8790, abs=5)
    assert size == pytest.approx(8790, rel=0.05)


def test_a_week_is_told_of_encoding_and_of_the_process_that_writes():
    rows = {row.split(" | ")[0]: row for row in capacity.encoding(capacity.planned(), [1e9]).splitlines()}
    # 94 hours of a machine, 185 of a GPU, and 248 of that process; a week has 168.
    assert rows["| a week, encoding alone: machines"].endswith("| 1 |")
    assert rows["| a week, encoding alone: GPUs as measured"].endswith("| 2 |")
    assert rows["| a week, all else: indexes beside each other, with such a process each"].endswith("| 2 |")


def test_constants_are_those_of_the_code():
    assert signs.WIDTH == capacity.CODE_BYTES
    assert numbers.MOST == capacity.NUMBERS


def test_formulas_by_hand():
    plan = capacity.planned({"words": 100, "word_bytes": 6, "word_tokens": 1.5, "word_terms": 0.5, "word_codes": 1})
    assert plan.text() == 600
    assert plan.codes() == 1600
    assert plan.folder() == pytest.approx(600 + 230 + 768 + 48 + 61 + 219 + 1600)
    assert plan.folder() - plan.folder(compact=True) == pytest.approx(1600)
    assert plan.exported() == pytest.approx(300 + 0.8 * (1536 + 1600))
    assert plan.postgres() == pytest.approx(3410 + 5360)
    assert plan.hnsw() == pytest.approx(1536 + 1.03 * 256)
    assert plan.diskann_memory() == 192
    # 1,536 of the vector, 224 of links, 4: two in a page of 4,096.
    assert plan.diskann_disk() == 2048
    assert plan.words_in_memory() == pytest.approx(50 * 8 + 560 + 364)
    # 10.6 million parameters in six layers, twice, for 150 tokens; and 6 * 4 * 384 * 150 for each of them.
    assert plan.flops() == pytest.approx(150 * (2 * 10_616_832 + 1_382_400))
    assert plan.cpu_rate() == pytest.approx(11_240 / 2 / 150)
    assert plan.gpu_rate() == pytest.approx(182_700 / 150)
    # At one and at ten million what was measured there.
    assert plan.arm(1e6) == pytest.approx(0.0064)
    assert plan.arm(1e7) == pytest.approx(0.0455)
    best, worst = plan.asked(1e6)
    assert best == pytest.approx(0.0172)
    assert worst == pytest.approx(0.0172 - 0.0064 + 0.0080)
    # Of ten million: what else there is, and the longer of two arms.
    assert plan.asked(1e7) == pytest.approx((0.0108 + 0.0455, 0.0108 + 0.0800))
    assert plan.questions(1e7) == pytest.approx(200e9 / 480e6)
    # Codes as base64.
    assert plan.bodies() - plan.bodies(compact=True) == pytest.approx(1600 * 4 / 3)
    assert plan.segments(1e9) == 2000
    assert capacity.collisions(1e9) == pytest.approx(1e18 / 2**64)
    assert capacity.collisions(23, 365) == pytest.approx(253 / 365)


def test_machines_are_enough():
    plan = capacity.planned({"machine_memory": 100, "machine_disk": 1000, "machine_full": 0.5})
    assert plan.machines(1, 1) == 1
    assert plan.machines(50, 1) == 1
    assert plan.machines(51, 1) == 2
    assert plan.machines(51, 1501) == 4


def test_sizes_are_told_so_that_people_read_them():
    assert [capacity.size(value) for value in (56, 3179, 32e9, 5e12, 1.5e15)] == ["56 B", "3,179 B", "32 GB", "5 TB", "1.5 PB"]
    assert [capacity.count(value) for value in (20, 2000, 1e7, 1e9, 3.5e6)] == [
        "20",
        "2,000",
        "10 million",
        "1 billion",
        "3.5 million",
    ]
    assert [capacity.hours(value) for value in (3.2, 90, 7200, 360_000)] == ["3.2 s", "1.5 min", "2 h", "100 h"]


def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["capacity.py", *arguments])
    capacity.main()
    return capsys.readouterr().out


def test_the_page_has_what_is_printed(monkeypatch, capsys):
    out = printed(monkeypatch, capsys)
    page = PAGE.read_text(encoding="utf-8")
    names = re.findall(r"^## (\w+)$", out, re.MULTILINE)
    assert names == list(capacity.tables(capacity.planned()))
    for name, text in capacity.tables(capacity.planned()).items():
        assert f"## {name}\n\n{text}" in out
        assert f"<!-- generated: capacity_{name} -->\n\n{text}\n\n<!-- end -->" in page, f"{name}: run python .docs/hooks.py"


def test_each_figure_is_measured_or_assumed():
    for name, figure in capacity.FIGURES.items():
        assert bool(figure.where) != bool(figure.why), name
        assert figure.value > 0, name


def test_figures_of_ones_own(monkeypatch, capsys):
    out = printed(
        monkeypatch, capsys, "--passages", "3e7", "--words", "120", "--encoder-rate", "400", "--set", "machine_cores=16"
    )
    assert "| 30 million passages |" in out
    assert "| `words` | 120 words | a passage | given |" in out
    # A machine that encodes 400 a second: 30 million in 75,000 seconds.
    assert "cores) | 21 h |" in out
    for wrong in (
        ["--set", "nothing=1"],
        ["--set", "words=-1"],
        ["--set", "words=many"],
        ["--passages", "0"],
        ["--set", "words"],
    ):
        with pytest.raises(SystemExit):
            printed(monkeypatch, capsys, *wrong)


def test_figures_of_ones_own_passages(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pyarrow")
    fake = FakeEncoder()
    monkeypatch.setattr(encoder, "load", lambda: fake)
    (tmp_path / "one.md").write_text("# Relief\n\nAid came by sea, and aid came by air.\n\nThe council met.\n")
    build(tmp_path / "one.md", tmp_path / "index")
    with semsearch.open(tmp_path / "index", encoder=fake) as index:
        index.export(tmp_path / "all.parquet", vectors=True)
    told = capacity.shape(tmp_path / "all.parquet")
    # One passage of 9 and 3 words, of 37 and 16 bytes with a space between; the title's word has a code, too.
    assert told["words"] == 12
    assert told["word_bytes"] == pytest.approx(54 / 12)
    assert told["word_tokens"] == 1
    assert told["word_codes"] == pytest.approx(13 / 12)
    # Aid, came, sea, air; council, met: what is left of them when words of grammar are counted, too, is at most 10.
    assert 6 / 12 <= told["word_terms"] <= 10 / 12
    assert 2 < told["term_bytes"] < 4.5
    out = printed(monkeypatch, capsys, "--of", str(tmp_path / "all.parquet"))
    assert "--set words=12\n" in out
    # What is printed is what the next call takes.
    assert "| `words` | 12 words | a passage | given |" in printed(monkeypatch, capsys, *out.split())


def test_what_cannot_be_read_is_told_in_a_line(tmp_path, monkeypatch, capsys):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (tmp_path / "all.jsonl").write_text('{"text": "one"}\n' * 10)
    pq.write_table(pa.table({"title": ["one"]}), tmp_path / "titles.parquet")
    pq.write_table(pa.table({"text": [1, None], "words": [2, 3]}), tmp_path / "numbers.parquet")
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    for name, said in {
        "nofile.parquet": "there is no",
        "all.jsonl": "cannot be read as Parquet",
        "": "cannot be read as Parquet",
        "numbers.parquet": "there are no passages in",
        "titles.parquet": "there are no passages in",
        "empty.parquet": "there are no passages in",
    }.items():
        with pytest.raises(SystemExit) as exited:
            printed(monkeypatch, capsys, "--of", str(tmp_path / name))
        assert exited.value.code == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.count("\n") == 1
        assert said in told.err
        assert "semsearch export FILE.parquet" in told.err
