"""The documents as programs: the blocks of a page, run one after the other in a folder of their own.

- ```` ```sh ````: line by line. ``semsearch`` runs in this process, with the bundled model loaded once for all pages; what it is
  piped into, and all other commands, in bash. ``semsearch serve`` goes on in a thread until the page ends, and ``curl`` asks it.
  ``python -m pip`` is not run, but what it names must exist. A comment ``exit code N`` says how the line ends, 0 otherwise.
- ```` ```python ````: in one namespace a page.
- ```` ```text ```` and ```` ```json ````: what the block before printed; ``...`` stands for anything, numbers with a point may be
  off by a little, as processors round each in its own way; of JSON what is shown must be there.
- A block with ``title="NAME"`` is a file of that name.
- ``<!-- not run: REASON -->`` before a block: it is left out.

All other blocks are only shown.
"""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import semsearch
from semsearch.cli import main
from semsearch.protocols import Encoded, Encoder, Fingerprint, PassageText, Queries

_FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+?) -->\s*\n)?"
    r"^(?P<indent> *)```(?P<kind>\w*)(?P<rest>[^\n]*)\n(?P<body>.*?)^(?P=indent)```\s*$",
    re.DOTALL | re.MULTILINE,
)
_OPERATOR = re.compile(r"""("[^"]*"|'[^']*'|[^"'&|>]+|&(?!&)|>[>&]?|&&|\|)""")
_NUMBER = re.compile(r"\.\.\.|-?\d+\.\d+")
_OFF = 0.035


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    kind: str
    title: str
    body: str
    line: int
    reason: str
    """Why it is not run; empty for one that is."""

    @property
    def runs(self) -> bool:
        return self.kind in ("sh", "python") and not self.title and not self.reason


def blocks(markdown: str) -> list[Block]:
    """The blocks of a page, in their order."""
    found = []
    for match in _FENCE.finditer(markdown):
        title = re.search(r'title="([^"]+)"', match["rest"])
        body = re.sub(rf"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
        line = markdown.count("\n", 0, match.start("kind")) + 1
        found.append(Block(match["kind"], title[1] if title else "", body, line, (match["reason"] or "").strip()))
    return found


class Remembering:
    """An encoder that encodes each text once, for all pages: they are about the same few articles."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[PassageText, Encoded] = {}
        self._asked: dict[tuple[str, ...], Queries] = {}
        self.fingerprint = encoder.fingerprint
        self.engine = encoder.engine
        self.passage_tokens = encoder.passage_tokens

    def called(self, name: str) -> Remembering:
        """The same by another name, as a copy of the model in some folder is."""
        other = copy(self)
        other.fingerprint = replace(self.fingerprint, model=name)
        return other

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._encoder.count_tokens(texts)

    def encode_queries(self, texts: Sequence[str]) -> Queries:
        asked = tuple(texts)
        if asked not in self._asked:
            self._asked[asked] = self._encoder.encode_queries(texts)
        return self._asked[asked]

    def encode_passages(self, passages: Sequence[PassageText]) -> Iterator[Encoded]:
        new = [passage for passage in dict.fromkeys(passages) if passage not in self._known]
        for batch in self._encoder.encode_passages(new) if new else ():
            for place, position in enumerate(batch.positions):
                rows = [part[place : place + 1] for part in batch[1:]]
                self._known[new[position]] = Encoded([0], *rows)
        for position, passage in enumerate(passages):
            yield self._known[passage]._replace(positions=[position])


class Page:
    """Runs the blocks of one page in the folder at hand."""

    def __init__(self, encoder: Remembering, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self._encoder = encoder
        self._names: dict[str, Any] = {"__name__": "__page__"}
        self._served: list[_Served] = []
        self._printed: str | None = None
        self._shown = ""
        self._take_the_model()
        # As where Python is started in the folder.
        monkeypatch.syspath_prepend(".")

    def _take_the_model(self) -> None:
        from semsearch import encoder
        from semsearch.encoder.model import DEFAULT_MODEL, locate

        def load(name: str = DEFAULT_MODEL) -> Encoder:
            if name == DEFAULT_MODEL:
                return self._encoder
            files = locate(name)
            assert files.weights == self._encoder.fingerprint.weights, "pages know the bundled model and copies of it"
            return self._encoder.called(files.name)

        def load_for(fingerprint: Fingerprint, _: Any = None) -> Encoder:
            encoder.check_unchanged(fingerprint)
            return load(fingerprint.model)

        self._patch.setattr(encoder, "load", load)
        self._patch.setattr(encoder, "load_for", load_for)

    def run(self, markdown: str) -> int:
        """Run all blocks; how many were run or compared."""
        count = 0
        try:
            for block in blocks(markdown):
                try:
                    count += self._block(block)
                except (Exception, SystemExit) as error:
                    raise AssertionError(f"line {block.line}: {error!r}\n{block.body}") from error
        finally:
            self.close()
        return count

    def close(self) -> None:
        for served in self._served:
            served.stop()
        self._served = []
        for value in self._names.values():
            if isinstance(value, semsearch.Index):
                value.close()
        here = os.getcwd()
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(here):
                del sys.modules[name]

    def _block(self, block: Block) -> int:
        if block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.body, encoding="utf-8")
            _check_client(block)
            return 0
        if block.reason:
            self._printed = None
            return 0
        if block.kind == "python":
            with redirect_stdout(io.StringIO()) as out:
                exec(compile(block.body, f"<page, line {block.line}>", "exec"), self._names)
            self._printed = self._shown = out.getvalue()
        elif block.kind == "sh":
            self._printed = self._shown = ""
            for line in block.body.replace("\\\n", " ").splitlines():
                self._line(line)
        elif block.kind in ("text", "json"):
            if self._printed is None:
                return 0
            if block.kind == "json":
                said = [json.loads(line) for line in self._printed.splitlines()]
                assert shows(json.loads(block.body), said[-1]), f"it printed\n{self._printed}"
            else:
                # What stands on a terminal is both streams; what one asks for is often one of them.
                assert agrees(block.body, self._shown) or agrees(block.body, self._printed), f"it printed\n{self._shown}"
        else:
            return 0
        return 1

    def _line(self, line: str) -> None:
        command, _, comment = (part.strip() for part in re.sub(r"(?:^|\s)#\s", "\0", line, count=1).partition("\0"))
        expected = re.search(r"exit code (\d)", comment)
        code = 0
        for part in _split(command, "&&"):
            code = self._pipeline(part)
            if code:
                break
        assert code == int(expected[1] if expected else 0), f"{line}: exit code {code}\n{self._shown}"

    def _pipeline(self, command: str) -> int:
        first, *rest = _split(command, "|")
        first, *to = _split(first, ">")
        words = shlex.split(first)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            self._patch.setenv(*words.pop(0).split("=", 1))
        if not words:
            return 0
        if words[0] == "export":
            for word in words[1:]:
                self._patch.setenv(*word.split("=", 1))
            return 0
        if words[:3] == ["python", "-m", "pip"]:
            check_pip(words[3:])
            return 0
        if words[0] == "semsearch":
            code, out, shown = self._semsearch(words[1:])
        elif words[0] == "curl":
            code, out, shown = self._curl(words[1:])
        elif words[0] == "python" and words[1].endswith(".py"):
            code, out, shown = self._script(words[1:])
        else:
            code, out, shown = _bash(command)
            rest = []
        if to:
            Path(to[0].strip()).write_text(out, encoding="utf-8")
            shown = shown.replace(out, "")
            out = ""
        if rest:
            code, out, shown = _bash(" | ".join(rest), out)
        self._printed = (self._printed or "") + out
        self._shown += shown
        return code

    def _semsearch(self, arguments: list[str]) -> tuple[int, str, str]:
        if arguments[:1] in (["serve"], ["mcp"]):
            self._served.append(_Served(arguments, self._patch))
            return 0, self._served[-1].said, self._served[-1].said
        result = CliRunner().invoke(main, arguments, prog_name="semsearch")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.output

    def _curl(self, arguments: list[str]) -> tuple[int, str, str]:
        """As curl asks: an address, headers, a body."""
        headers, data, address = {}, None, ""
        words = iter(arguments)
        for word in words:
            if word in ("-H", "--header"):
                name, _, value = next(words).partition(":")
                headers[name] = value.strip()
            elif word in ("-d", "--data", "--json"):
                data = next(words).encode()
                headers.setdefault("Content-Type", "application/json")
            elif not word.startswith("-"):
                address = word
        asked = re.sub(r"^http://[^/]+/", self._served[-1].url, address)
        request = urllib.request.Request(asked, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                said = response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode()
        return 0, f"{said}\n", f"{said}\n"

    def _script(self, words: list[str]) -> tuple[int, str, str]:
        self._patch.setattr(sys, "argv", words)
        code = 0
        with redirect_stdout(io.StringIO()) as out:
            try:
                runpy.run_path(words[0], run_name="__main__")
            except SystemExit as error:
                code = int(error.code or 0)
        return code, out.getvalue(), out.getvalue()


class _Served:
    """``semsearch serve`` or ``mcp`` in a thread, on any port that is free."""

    def __init__(self, arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
        import uvicorn

        from semsearch.web import server

        self._wanted = arguments[arguments.index("--port") + 1] if "--port" in arguments else 8765
        ready, self._server, self.url, self.said = threading.Event(), None, "", ""
        failed: list[BaseException] = []
        real = server.listening

        def serve(app: Any, listener: Any, *, ready: Any) -> None:
            self.url = server.address(listener)
            with redirect_stdout(io.StringIO()) as out, redirect_stderr(out):
                ready()
            # As if it listened where it was told to.
            self.said = re.sub(r":\d+/", f":{self._wanted}/", out.getvalue())
            self._server = uvicorn.Server(server.configured(app))
            self._server.run(sockets=[listener])

        def run() -> None:
            try:
                main.main(list(arguments), standalone_mode=False)
            except BaseException as error:
                failed.append(error)
            finally:
                ready.set()

        monkeypatch.setattr(server, "listening", lambda host, port: real("127.0.0.1", 0))
        monkeypatch.setattr(server, "serve", serve)
        if "--http" not in arguments and arguments[0] == "mcp":
            from mcp.server.mcpserver import MCPServer

            monkeypatch.setattr(MCPServer, "run", lambda self, transport: None)
        self._thread = threading.Thread(target=run)
        self._thread.start()
        while not (self._server and self._server.started) and not ready.wait(0.01):
            pass
        if failed:
            raise failed[0]

    def stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join()


def _split(command: str, operator: str) -> list[str]:
    """A command at an operator that is not quoted."""
    parts = [""]
    for token in _OPERATOR.findall(command):
        if token == operator:
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts]


def _bash(command: str, given: str | None = None) -> tuple[int, str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], input=given, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )
    return done.returncode, done.stdout, done.stdout + done.stderr


def extras() -> list[str]:
    """The extras that the project has."""
    project = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    section = project.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    return re.findall(r"^([a-z0-9-]+) = \[", section, re.MULTILINE)


def check_pip(words: Sequence[str]) -> None:
    """The extras that a pip line names must exist."""
    for word in words:
        named = re.fullmatch(r"(?:semsearch|\.)\[([\w,-]+)\]", word)
        if named:
            assert set(named[1].split(",")) <= set(extras()), f"there is no extra {named[1]}"


def _check_client(block: Block) -> None:
    """A client's configuration must start a command that there is."""
    if Path(block.title).suffix != ".json":
        return
    for server in json.loads(block.body).get("mcpServers", {}).values():
        if "command" in server:
            name, *arguments = server["args"]
            main.commands[name].make_context(name, arguments)


def agrees(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed."""
    pattern, numbers, at = "", [], 0
    shown = "\n".join(line.rstrip() for line in shown.strip("\n").splitlines())
    printed = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
    for match in _NUMBER.finditer(shown):
        pattern += re.escape(shown[at : match.start()])
        if match[0] == "...":
            alone = re.search(r"(?:^|\n)[ ]*$", shown[: match.start()]) and re.match(r"(?:\n|$)", shown[match.end() :])
            pattern += r"(?:.|\n)*?" if alone else r".*?"
        else:
            numbers.append(float(match[0]))
            pattern += r"(-?\d+\.\d+)"
        at = match.end()
    found = re.fullmatch(pattern + re.escape(shown[at:]), printed)
    return found is not None and all(abs(float(a) - b) <= _OFF for a, b in zip(found.groups(), numbers, strict=True))


def shows(shown: Any, there: Any) -> bool:
    """Whether all that is shown of a JSON value is there; ``...`` at a text's end stands for its rest."""
    if isinstance(shown, dict):
        return isinstance(there, dict) and all(key in there and shows(value, there[key]) for key, value in shown.items())
    if isinstance(shown, list):
        return isinstance(there, list) and len(shown) <= len(there) and all(map(shows, shown, there))
    if isinstance(shown, float) and isinstance(there, (int, float)):
        return abs(shown - there) <= _OFF
    if isinstance(shown, str) and isinstance(there, str):
        return there.startswith(shown[:-3]) if shown.endswith("...") else shown == there
    return bool(shown == there)
