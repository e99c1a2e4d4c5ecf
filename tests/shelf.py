"""What the tests of the frameworks ask: one small index, of articles with metadata of all kinds; the documentation's snippets."""

from __future__ import annotations

import asyncio
import inspect
import re
import threading
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, FakeEncoder
from helpers import records, sentence

import semsearch

QUESTION = "what aid did Russia offer"
PAGE = ROOT / ".docs" / "docs" / "how-to" / "frameworks.md"
NUMBERS = (0, 2, 2, 10, -10, 100)


def stocked(folder: Path) -> Path:
    """An index in ``folder``: an article of the seeds, one whose metadata has our own keys, six records."""
    # As the documentation has it.
    (folder / "seeds").mkdir()
    name = "russia-venezuela-road-map.md"
    (folder / "seeds" / name).write_bytes((ROOT / "seeds" / name).read_bytes())
    (folder / "seeds" / "clashing.md").write_text(
        "---\nsource: Reuters\nscore: 7\npage: A4\nmetadata.page: B5\ntags: [oil, gas]\nnested: {section: world}\n"
        f"abstract: What?\n---\n# Clashing\n\n{sentence('sword battle')}\n\n{sentence('council')}\n"
    )
    records(
        folder / "records",
        [
            {"title": f"Record {place}", "text": sentence(f"election {place}"), "number": number, "date": f"20{10 + place}-03-05"}
            for place, number in enumerate(NUMBERS)
        ],
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        semsearch.build(["seeds", "records"], "index", encoder=FakeEncoder()).close()
    return folder / "index"


class Later:
    """A module that is imported when something of it is first asked for.

    Each process of the tests collects all of them, and the frameworks take seconds: only that which runs a test shall import it.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            # pytest asks everything whether it is a test.
            raise AttributeError(name)
        return getattr(import_module(self._name), name)


def run_standard(tests: type, **fixtures: Any) -> list[str]:
    """Run all tests of a class that a framework has for such as us; their names.

    :param fixtures: what makes each fixture anew, by its name.
    """
    names = [name for name in dir(tests) if name.startswith("test_")]
    for name in names:
        test = getattr(tests(), name)
        done = test(**{wanted: fixtures[wanted]() for wanted in inspect.signature(test).parameters})
        if inspect.isawaitable(done):
            asyncio.run(_awaited(done))
    return names


async def _awaited(done: Awaitable[Any]) -> None:
    await done


def snippets(heading: str) -> list[str]:
    """The blocks of Python under a heading of the page on frameworks."""
    if not PAGE.exists():
        pytest.skip("the documentation's pages are not here")
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def run_snippets(heading: str, index: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the names of a section's snippets are in the end, one after the other run beside the index."""
    monkeypatch.chdir(index.parent)
    names: dict[str, Any] = {}
    for code in snippets(heading):
        exec(compile(code, f"{PAGE.name}: {heading}", "exec"), names)
    return names


def while_it_waits(monkeypatch: pytest.MonkeyPatch, ask: Callable[[], Awaitable[Any]]) -> Any:
    """What asking gives, of which it is known that the event loop went on while the search waited for it."""
    gone_on = threading.Event()
    search = semsearch.Index.search

    def waits(self: semsearch.Index, *args: Any, **options: Any) -> Any:
        assert gone_on.wait(30), "the event loop stands still"
        return search(self, *args, **options)

    monkeypatch.setattr(semsearch.Index, "search", waits)

    async def main() -> Any:
        asked = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        gone_on.set()
        return await asked

    return asyncio.run(main())
