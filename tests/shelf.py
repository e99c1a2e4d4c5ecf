"""What the tests of the frameworks ask: one small index, of articles with metadata of all kinds; the documentation's snippets."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
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
