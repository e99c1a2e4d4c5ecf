"""A prompt that keeps index and model open: question after question, and what one wants to see of the answers.

Deliberately not here: editing a line, its history and completion (prompt_toolkit), how hits look (`render`).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, get_args

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from rich.console import Console
from rich.text import Text

from semsearch import filters
from semsearch.encoder.cache import cache_folder
from semsearch.errors import InputError, SemsearchError
from semsearch.records import Mode
from semsearch.render import safe, safe_line, terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    from semsearch.index import Index
    from semsearch.records import Hit
    from semsearch.results import Results

__all__ = ["Prompt"]

_HELP = """\
A question, or:
:open N           the article of passage N, from there on
:more N [COUNT]   passage N with COUNT passages before and behind it (2; more each time)
:why N            how the score of passage N came about
:next             the passages that come next
:filter [KEY=VALUE...]  only articles that are so; alone: all articles again
:mode [hybrid|dense|lexical], :k [N]  how is searched, how many passages are shown
:help, :quit      (or Ctrl-D)
"""
_MOST = 1000
_AROUND = 2000
"""Passages of an article that are shown on either side of the one that was found, at most."""


class Prompt:
    """Asks an index what is typed.

    :param k: passages that are shown at a time.
    """

    def __init__(self, index: Index, *, k: int, mode: Mode, where: Sequence[str] = (), console: Console | None = None) -> None:
        self._index = index
        self._k = k
        self._mode: Mode = mode
        self._where = list(where)
        self._console = console or Console(highlight=False)
        self._results: Results | None = None
        self._wanted = 0
        self._widths: dict[int, int] = {}
        self._commands: dict[str, Callable[[list[str]], None]] = {
            "open": self._open,
            "more": self._more,
            "why": self._why,
            "next": self._next,
            "filter": self._filter,
            "mode": self._set_mode,
            "k": self._set_k,
            "help": lambda _: self._say(_HELP.rstrip()),
        }

    def run(self) -> None:
        """Ask until the input ends."""
        session: PromptSession[str] = PromptSession(
            history=_history(),
            auto_suggest=AutoSuggestFromHistory(),
            completer=_Commands([f":{name}" for name in (*self._commands, "quit")]),
            complete_while_typing=True,
        )
        counts = self._index.status()
        self._say(f"{counts['articles']:,} articles, {counts['passages']:,} passages. Ask, or :help")
        while True:
            try:
                line = session.prompt("? ").strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if line in (":quit", ":q", ":exit"):
                return
            if line:
                self.take(line)

    def take(self, line: str) -> None:
        """A question or a command; what is wrong with it is said."""
        try:
            # What was indexed meanwhile.
            self._index.refresh()
            if not line.startswith(":"):
                self._ask(line)
                return
            name, _, rest = line[1:].partition(" ")
            command = self._commands.get(name)
            if command is None:
                raise InputError(f"there is no :{name}: see :help")
            command(_words(rest))
        except SemsearchError as error:
            self._say(str(error))
        except KeyboardInterrupt:
            self._say("interrupted")

    def _ask(self, question: str) -> None:
        self._results = self._index.search(question, self._k, mode=self._mode, where=self._where)
        self._wanted = self._k
        self._widths = {}
        if not self._results.answerable:
            self._say("nothing relevant found" + ("; the nearest passages:" if self._results else self._where_hint()))
        terminal(self._results.hits, self._console)

    def _where_hint(self) -> str:
        return f": only where {' '.join(self._where)} (:filter alone takes it away)" if self._where else ""

    def _next(self, _: list[str]) -> None:
        results = self._asked()
        first = len(results)
        if first >= _MOST or first < self._wanted:
            self._say("there are no more")
            return
        wanted = min(_MOST, first + self._k)
        self._results = self._index.search(results.query, wanted, mode=results.mode, where=self._where)
        self._wanted = wanted
        if len(self._results) <= first:
            self._say("there are no more")
        terminal(self._results.hits[first:], self._console)

    def _open(self, words: list[str]) -> None:
        hit = self._hit(words)
        found = self._index.around(hit.passage_id, _AROUND, _AROUND)
        lines = [safe_line(found.article.title or found.article.source), safe_line(f"{hit.source}  {hit.path}"), ""]
        if len(found.passages) < found.article.n_passages:
            last = found.first + len(found.passages)
            lines[2:2] = [f"passages {found.first + 1:,} to {last:,} of {found.article.n_passages:,}"]
        heading, at = "", 0
        for passage in found.passages:
            if passage.heading != heading:
                heading = passage.heading
                lines += [safe_line(heading), ""]
            here = passage.passage_id == hit.passage_id
            if here:
                at = len(lines) + 1
            for line in safe(passage.text).splitlines():
                lines += [f"{'> ' if here else '  '}{part}" for part in _wrapped(line, self._console.width - 4)]
            lines.append("")
        with _from_line(at):
            click.echo_via_pager("\n".join(lines))

    def _more(self, words: list[str]) -> None:
        hit = self._hit(words)
        width = _number(words[1]) if len(words) > 1 else self._widths.get(hit.rank, 0) + 2
        self._widths[hit.rank] = width
        found = self._index.around(hit.passage_id, width, width)
        for passage in found.passages:
            here = passage.passage_id == hit.passage_id
            self._console.print(Text(safe(passage.text), "bold" if here else "dim"))
            self._console.print()

    def _why(self, words: list[str]) -> None:
        results, hit = self._asked(), self._hit(words)
        explained = self._index.search(results.query, len(results), mode=results.mode, where=self._where, explain=True)
        terminal([other for other in explained if other.passage_id == hit.passage_id], self._console)

    def _filter(self, words: list[str]) -> None:
        # What is wrong with a condition is told before it is kept.
        filters.parse(words)
        self._where = words
        if self._results is not None:
            self._ask(self._results.query)

    def _set_mode(self, words: list[str]) -> None:
        modes: tuple[Mode, ...] = get_args(Mode)
        chosen = next((mode for mode in modes if words == [mode]), None)
        if words and chosen is None:
            raise InputError(f"there is no mode {' '.join(words)!r}: give {', '.join(modes)}")
        if chosen is None:
            self._say(self._mode)
            return
        self._mode = chosen
        if self._results is not None:
            self._ask(self._results.query)

    def _set_k(self, words: list[str]) -> None:
        if not words:
            self._say(str(self._k))
            return
        self._k = max(1, min(_MOST, _number(words[0])))

    def _hit(self, words: list[str]) -> Hit:
        results = self._asked()
        number = _number(words[0]) if words else 1
        if not 1 <= number <= len(results):
            raise InputError(f"there is no passage {number}: give 1 to {len(results)}")
        return results[number - 1]

    def _asked(self) -> Results:
        if not self._results:
            raise InputError("ask something first")
        return self._results

    def _say(self, text: str) -> None:
        self._console.print(Text(safe(text), "dim"))


class _Commands(Completer):
    """Completes what begins with a colon, and nothing else: questions are not in our hands."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Commands that begin so."""
        del complete_event
        text = document.text_before_cursor
        if text.startswith(":") and " " not in text:
            yield from (Completion(name, start_position=-len(text)) for name in self._names if name.startswith(text))


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InputError(f"{error}: close the quotation mark") from error


def _number(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) <= 6):
        raise InputError(f"{word!r} is no number of a passage: give one that stands beside it")
    return int(word)


def _history() -> History:
    """What was typed before, on this machine, for its user alone to read; none where it cannot be kept."""
    path = cache_folder() / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.chmod(0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


def _wrapped(line: str, width: int) -> Iterator[str]:
    from textwrap import wrap

    yield from wrap(line, max(20, min(100, width))) or [""]


@contextmanager
def _from_line(number: int) -> Iterator[None]:
    """Let ``less``, if that is the pager, begin at a line."""
    before = os.environ.get("LESS")
    os.environ["LESS"] = f"{before or '-R'} +{max(1, number - 3)}g"
    try:
        yield
    finally:
        if before is None:
            del os.environ["LESS"]
        else:
            os.environ["LESS"] = before
