"""Many who ask `semsearch serve` at the same time, its memory over very many requests, and how soon the page shows an answer.

    python -m pip install "semsearch[serve]" locust playwright
    SEMSEARCH_DATA=... python benchmarks/serving.py

Indexes scifact, serves it on this machine, and lets locust ask questions of scifact and wikimix-dev: 1, 8 and 64 clients, each of
which asks again as soon as it has its answer; then goes on until the service has answered as many requests as ``--requests``
says, and looks at its memory on the way. Server and clients share the processors. At last Chromium opens the page: the first
time after the service has started, by an address with a question, and then again; and types questions, of which the time from
the last key to the answer counts, pause included. ``--only`` takes one part.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import psutil
from common import data_folder, machine, save

CLIENTS = (1, 8, 64)
WARM_UP = 3
"""Seconds in which each number of clients asks before it counts."""


def questions() -> list[str]:
    """Of two collections in turns, so that not all have an answer there."""
    found: list[list[str]] = []
    for name in ("scifact", "wikimix-dev"):
        with (data_folder() / name / "queries.jsonl").open(encoding="utf-8") as file:
            found.append([json.loads(line)["text"] for line in file][:300])
    return [question for pair in zip(*found, strict=False) for question in pair]


class Served:
    """A process of the service."""

    def __init__(self, index: Path) -> None:
        command = [sys.executable, "-m", "semsearch", "serve", "--index", str(index), "--port", "0", "--json"]
        self._running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._running.stdout is not None
        self.url = json.loads(self._running.stdout.readline())["url"]
        self._process = psutil.Process(self._running.pid)

    def megabytes(self) -> float:
        """Memory of its own: what is mapped from files is the system's to take away."""
        memory = self._process.memory_full_info()
        return round(memory.uss / 1e6, 1)

    def stop(self) -> int:
        self._running.terminate()
        return self._running.wait(30)


def ask(url: str, folder: Path, clients: int, seconds: int) -> dict[str, float]:
    """So many clients for so long: requests a second, failures, milliseconds."""
    command = [
        sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("asking.py")), "--headless", "--only-summary",
        "--host", url.rstrip("/"), "-u", str(clients), "-r", str(clients), "-t", f"{seconds}s", "--csv", str(folder / "locust"),
        "--reset-stats", "--exit-code-on-error", "0",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "QUESTIONS": str(folder / "questions.json")}
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    lines = (folder / "locust_stats.csv").read_text().splitlines()
    names, values = lines[0].split(","), lines[-1].split(",")
    row = dict(zip(names, values, strict=True))
    return {
        "requests": int(row["Request Count"]),
        "failures": int(row["Failure Count"]),
        "requests/s": round(float(row["Requests/s"]), 1),
        "p50 ms": float(row["50%"]),
        "p95 ms": float(row["95%"]),
        "p99 ms": float(row["99%"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path, help="an index that is there, in place of scifact's")
    parser.add_argument("--seconds", type=int, default=30, help="for each number of clients")
    parser.add_argument("--requests", type=int, default=100_000, help="over which the memory is watched")
    parser.add_argument("--only", choices=["clients", "memory", "page"])
    options = parser.parse_args()
    figures: dict[str, object] = {"machine": machine()}
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "questions.json").write_text(json.dumps(questions()))
        index = options.index or folder / "index"
        if options.index is None:
            source = str(data_folder() / "scifact" / "corpus.jsonl")
            subprocess.run([sys.executable, "-m", "semsearch", "index", source, "--index", str(index)], check=True)
        served = Served(index)
        try:
            if options.only in (None, "page"):
                figures["page"] = look(served.url)
            ask(served.url, folder, 1, WARM_UP)
            if options.only in (None, "clients"):
                rounds = [{str(count): ask(served.url, folder, count, options.seconds) for count in CLIENTS} for _ in range(3)]
                figures["clients"] = rounds
            if options.only in (None, "memory"):
                figures["memory"] = watch(served, folder, options.requests)
        finally:
            figures["exit status"] = served.stop()
    save("serving", figures)


_OPENED = """() => new Promise(answered => {
    const hits = document.getElementById("hits");
    const seen = () => requestAnimationFrame(() => answered(performance.now()));
    if (hits.childElementCount) seen();
    else new MutationObserver(seen).observe(hits, { childList: true });
})"""
_TYPED = """() => {
    let typed;
    document.addEventListener("input", () => { typed = performance.now(); }, true);
    window.answer = new Promise(answered => {
        const seen = () => requestAnimationFrame(() => answered(performance.now() - typed));
        new MutationObserver(seen).observe(document.getElementById("hits"), { childList: true });
    });
}"""


def look(url: str) -> dict[str, list[float]]:
    """Milliseconds until the page has an answer: from when it is asked for, and from the last key."""
    from playwright.sync_api import sync_playwright

    figures: dict[str, list[float]] = {"opened": [], "typed": []}
    asked = questions()[:20]
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        for question in asked:
            page = browser.new_page()
            page.goto(f"{url}?q={quote(question)}", wait_until="domcontentloaded")
            figures["opened"].append(round(page.evaluate(_OPENED), 1))
            page.close()
        for question in asked:
            page = browser.new_page()
            page.goto(url)
            page.get_by_label("Your question").fill(question[:-1])
            page.locator(".hit").first.wait_for()
            page.evaluate(_TYPED)
            page.keyboard.type(question[-1])
            figures["typed"].append(round(page.evaluate("() => window.answer"), 1))
            page.close()
        browser.close()
    return figures


def watch(served: Served, folder: Path, most: int) -> list[dict[str, float]]:
    """Memory after every minute of eight clients, until there were so many requests."""
    seen = [{"requests": 0, "failures": 0, "MB": served.megabytes()}]
    started = time.monotonic()
    while seen[-1]["requests"] < most:
        done = ask(served.url, folder, 8, 60)
        total = seen[-1]["requests"] + done["requests"]
        seen.append({"requests": total, "failures": seen[-1]["failures"] + done["failures"], "MB": served.megabytes()})
        print(f"{time.monotonic() - started:.0f} s: {seen[-1]}", file=sys.stderr, flush=True)
    return seen


if __name__ == "__main__":
    main()
