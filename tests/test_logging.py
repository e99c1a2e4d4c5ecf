"""The library prints nothing, whatever happens: it logs; and the command says of that what it is asked to say."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import build, run, write

import semsearch

SCRIPT = """
import sys
import semsearch
with semsearch.build(sys.argv[1:], "index") as index:
    assert index.search("what aid did Russia offer")
with semsearch.build(sys.argv[1:2], "index") as index:
    assert len(index.report.problems) == 1
    index.export("all.jsonl", vectors=True)
semsearch.import_passages("all.jsonl", "copy")
assert semsearch.check("copy", sources=True).ok
assert not semsearch.ask("who", sys.argv[1], k=1, mode="lexical").answerable
try:
    semsearch.open("none")
except semsearch.IndexMissing:
    pass
"""


@pytest.mark.model
def test_the_library_prints_nothing(notes: Path, tmp_path: Path, model_cache: Path):
    """Not even warnings: one file cannot be read, and one is gone at the second build."""
    (notes / "bad.md").write_bytes(b"\0\1\2")
    other = write(tmp_path / "other", "x.md", "gas")
    script = SCRIPT.replace(
        "with semsearch.build(sys.argv[1:2]", f"__import__('os').unlink({str(other)!r})\nwith semsearch.build(sys.argv[1:2]"
    )
    command = [sys.executable, "-W", "error::UserWarning", "-c", script, str(notes), str(other)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_it_has_to_say_is_logged(notes: Path, home: Path, tmp_path: Path, caplog):
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("semsearch").handlers)
    other = write(tmp_path / "other", "x.md", "gas")
    build([notes, other], home)
    other.unlink()
    with caplog.at_level(logging.DEBUG, "semsearch"):
        build(notes, home)
        with semsearch.open(home, encoder=FakeEncoder()) as opened:
            opened.search("aid")
    told = {record.levelname: record.getMessage() for record in caplog.records}
    assert told["WARNING"].startswith("1 indexed files are no longer there (")
    debug = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert [line.split()[0] for line in debug] == ["read", "encoded", "generation", "1"]
    assert {record.name for record in caplog.records} == {"semsearch"}


@pytest.fixture
def folder(notes: Path, tmp_path: Path, monkeypatch, no_model) -> Path:
    monkeypatch.chdir(tmp_path)
    return notes


def test_verbose_says_how_long_what_takes(folder: Path):
    done = run("-v", "index", "notes")
    assert done.stdout == "index: 2 articles, 4 passages\n"
    told = [line.removeprefix("semsearch: ") for line in done.stderr.splitlines()]
    assert [line.split(" s: ")[1].split()[0] for line in told if " s: " in line] == ["read", "encoded", "generation"]
    assert told[-1].startswith("files: 2 added")
    assert " s: 1 questions, mode hybrid, generation 1, all articles: " in run("--verbose", "ask", "sword").stderr
    # The next one is no more talkative than it is asked to be.
    assert run("ask", "sword").stderr == ""


def test_quiet_leaves_results_and_errors(folder: Path):
    (folder / "bad.md").write_bytes(b"\0\1\2")
    assert "bad.md" in run("index", "notes", "--index", "loud").stderr
    done = run("-q", "index", "notes")
    assert (done.stdout, done.stderr) == ("index: 2 articles, 4 passages\n", "")
    (folder / "two.md").unlink()
    write(folder.parent, "x.md", "gas")
    assert run("--quiet", "index", "x.md").stderr == ""
    nothing = run("-q", "ask", "zebra", "--mode", "lexical")
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (1, "", "")
    failed = run("-q", "status", "--index", "none")
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert failed.stderr.startswith("semsearch: no index in none")
    assert "--verbose and --quiet are two" in run("-q", "-v", "status").stderr
