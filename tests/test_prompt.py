"""The prompt of ``semsearch ask`` without a question."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import FakeEncoder
from helpers import build, run, write
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

import semsearch
from semsearch.cli import prompt as prompts
from semsearch.cli.prompt import Prompt

PARAGRAPHS = ["aid, vaccine", "oil oil", "sword, battle", "oil gas", "charter"]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    write(folder, "one.md", *PARAGRAPHS, title="First")
    write(folder, "two.md", "sword oil council", title="Second")
    return folder


@pytest.fixture
def index(notes: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    build(notes, tmp_path / "index")
    with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as opened:
        yield opened


class Screen:
    """A prompt that is typed at, and what it shows."""

    def __init__(self, index: semsearch.Index, k: int = 2) -> None:
        self._out = io.StringIO()
        self._prompt = Prompt(index, k=k, mode="hybrid", console=Console(file=self._out, width=100, highlight=False))

    def after(self, *lines: str) -> str:
        """What is shown after the last of some lines."""
        for line in lines:
            self._out.seek(0)
            self._out.truncate()
            self._prompt.take(line)
        return self._out.getvalue()

    def typed(self, keys: str) -> str:
        with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
            keyboard.send_text(keys)
            self._prompt.run()
        return self._out.getvalue()


def test_question_after_question(index):
    shown = Screen(index).typed("oil\n\n:mode\nsword\n:quit\n")
    assert "2 articles, 6 passages" in shown
    assert shown.count("notes/one.md") >= 2
    assert "hybrid" in shown


def test_the_end_of_the_input_ends_it(index):
    assert "Ask, or :help" in Screen(index).typed("\x04")


def test_what_was_typed_is_kept_for_the_next_time(index, tmp_path: Path):
    Screen(index).typed("oil\n:quit\n")
    kept = tmp_path / "cache" / "history"
    assert "+oil" in kept.read_text(encoding="utf-8")
    assert kept.stat().st_mode & 0o077 == 0
    # Up and Enter: the same again.
    assert "one.md" in Screen(index).typed("\x1b[A\x1b[A\n:quit\n")


def test_more_of_a_passage(index):
    first = Screen(index, k=1)
    shown = first.after("oil oil", ":more 1 1")
    # Two sentences, one, two.
    assert shown.count("The ") == 5
    assert first.after(":more 1").count("The ") > 5


def test_the_article_of_a_passage(index, monkeypatch):
    paged: list[tuple[str, str]] = []
    monkeypatch.setattr(prompts.click, "echo_via_pager", lambda text: paged.append((text, os.environ["LESS"])))
    before = os.environ.get("LESS")
    Screen(index).after("gas", ":open 1")
    ((text, less),) = paged
    assert os.environ.get("LESS") == before
    marked = [line for line in text.splitlines() if line.startswith("> ")]
    assert "oil gas" in marked[0]
    assert text.count("The ") == 7
    assert f"+{text.splitlines().index(marked[0]) + 1 - 3}g" in less


def test_the_passages_that_come_next(index):
    screen = Screen(index, k=2)
    one, two = screen.after("oil"), screen.after(":next")
    assert one
    assert two
    assert not set(one.split("\n\n")) & set(two.split("\n\n")) - {""}
    for _ in range(5):
        last = screen.after(":next")
    assert "there are no more" in last


def test_how_many_come_next(index):
    screen = Screen(index, k=2)
    assert "there are no more" not in screen.after("oil", ":k 3", ":next")


def test_what_was_interrupted_can_be_asked_for_again(index, monkeypatch):
    screen = Screen(index, k=2)
    screen.after("oil")
    with monkeypatch.context() as patched:
        patched.setattr(index, "search", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        assert "interrupted" in screen.after(":next")
    assert "there are no more" not in screen.after(":next")


def test_signs_are_shown_as_they_stand(tmp_path: Path):
    write(tmp_path / "notes", "one.md", "oil at 3:100:4 and [bold] [/] :smile:")
    build(tmp_path / "notes", tmp_path / "index")
    with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as opened:
        for line in ("oil", ":more 1", ":why 1"):
            screen = Screen(opened)
            assert "3:100:4 and [bold] [/] :smile:" in screen.after("oil", line)


def test_a_long_article_is_opened_where_the_passage_is(index, monkeypatch):
    paged: list[str] = []
    monkeypatch.setattr(prompts.click, "echo_via_pager", paged.append)
    monkeypatch.setattr(prompts, "_AROUND", 1)
    Screen(index).after("sword battle", ":open 1")
    assert "passages 2 to 4 of 5" in paged[0]
    assert paged[0].count("\n> ") >= 1


def test_options_that_the_prompt_has_not(monkeypatch):
    monkeypatch.setattr(sys.modules["semsearch.cli.ask"], "sys", SimpleNamespace(stdin=Terminal, stdout=Terminal))
    done = run("ask", "--explain")
    assert done.exit_code == 2
    assert "--explain needs a question" in done.stderr


class Terminal:
    @staticmethod
    def isatty() -> bool:
        return True


def test_filters(index):
    screen = Screen(index, k=10)
    assert "two.md" not in screen.after("oil", ":filter title=First")
    assert "two.md" in screen.after(":filter")
    assert "nothing relevant found" in screen.after(":filter title=Third")
    assert "only where title=Third" in screen.after("oil")
    assert "KEY=VALUE" in screen.after(":filter nonsense")


def test_modes_and_how_many(index):
    screen = Screen(index)
    assert "dense" in screen.after(":mode dense", ":mode")
    assert "there is no mode" in screen.after(":mode best")
    assert "7" in screen.after(":k 7", ":k")
    assert "cosine" in screen.after("oil", ":why 1")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (":open 1", "ask something first"),
        (":nothing", "see :help"),
        (":help", ":open N"),
        (":filter 'a", "close the quotation mark"),
        (":k x", "no number"),
    ],
)
def test_what_is_wrong_is_told(index, line: str, said: str):
    assert said in Screen(index).after(line)


def test_numbers_that_are_none(index):
    assert "give 1 to 2" in Screen(index).after("oil", ":open 9")


def test_commands_are_completed_and_questions_left_alone():
    completer = prompts._Commands([":open", ":more", ":mode"])

    def offered(text: str) -> list[str]:
        return [completion.text for completion in completer.get_completions(Document(text), CompleteEvent())]

    assert offered(":mo") == [":more", ":mode"]
    assert offered("mo") == offered(":open 1") == []


def test_without_a_terminal_a_question_is_asked_for(notes: Path, tmp_path: Path):
    done = run("ask", "--index", str(tmp_path / "index"))
    assert done.exit_code == 2
    assert "Missing argument 'QUESTION'" in done.stderr


@pytest.mark.model
def test_on_a_terminal(root: Path, tmp_path: Path, model_cache: Path):
    (tmp_path / "seeds").symlink_to(root / "seeds")
    parent, child = pty.openpty()
    asked = subprocess.Popen(
        [sys.executable, "-m", "semsearch", "ask"],
        cwd=tmp_path,
        stdin=child,
        stdout=child,
        stderr=child,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(child)
    shown = b""

    def until(said: bytes) -> None:
        nonlocal shown
        deadline = time.monotonic() + 60
        while said not in shown and time.monotonic() < deadline:
            if select.select([parent], [], [], 1)[0]:
                shown += os.read(parent, 65_536)
        assert said in shown

    try:
        until(b"Ask, or :help")
        until(b"\x1b[?2004h")  # it reads from here on
        os.write(parent, b"what aid did Russia offer\r")
        until(b"humanitarian")
        os.write(parent, b":quit\r")
        assert asked.wait(30) == 0
    finally:
        asked.kill()
        os.close(parent)
    assert b"Traceback" not in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell: str):
    def completed(words: str, word: str) -> str:
        environment = {"_SEMSEARCH_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": word}
        done = subprocess.run(
            [sys.executable, "-m", "semsearch"], capture_output=True, text=True, env={**os.environ, **environment}, check=False
        )
        return done.stdout

    last = "semsearch se" if shell == "fish" else "1"
    assert "serve" in completed("semsearch se", "se" if shell == "fish" else last)
