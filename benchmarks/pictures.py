"""Pictures of the page for the README: both themes, both widths, of the articles that ship with semsearch.

    python benchmarks/pictures.py

Needs the extra ``serve``, Playwright and a Chromium on the path; writes ``pictures/*.png``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).resolve().parent
QUESTION = "what aid did Russia offer"
NOTHING = "how do I bake sourdough bread"
SIZES = {"wide": {"width": 1280, "height": 860}, "phone": {"width": 390, "height": 844}}


@contextmanager
def served(source: Path) -> Iterator[str]:
    """The address of a service over some articles, which ends with it."""
    with TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "semsearch",
            "serve",
            str(source.name),
            "--index",
            f"{folder}/index",
            "--port",
            "0",
            "--json",
        ]
        with subprocess.Popen(command, cwd=source.parent, stdout=subprocess.PIPE, text=True) as running:
            try:
                assert running.stdout is not None
                yield json.loads(running.stdout.readline())["url"]
            finally:
                running.terminate()


def chromium() -> str:
    found = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    if found is None:
        raise SystemExit("no chromium on the path")
    return found


def page_of(browser: Browser, size: str, theme: str) -> Page:
    return browser.new_context(viewport=SIZES[size], color_scheme=theme, device_scale_factor=1.5).new_page()


def take(browser: Browser, url: str, out: Path, size: str, theme: str) -> None:
    """All states of the page at one size, in one theme."""
    page = page_of(browser, size, theme)

    def picture(name: str) -> None:
        page.wait_for_timeout(250)
        suffix = theme if size == "wide" else f"{theme}-{size}"
        page.screenshot(path=out / f"{name}-{suffix}.png")

    page.goto(url)
    page.locator("#state").wait_for()
    picture("start")
    page.goto(f"{url}?q={QUESTION}")
    page.locator(".hit").first.wait_for()
    picture("answers")
    page.get_by_role("button", name="Filters").click()
    page.locator(".hit").first.get_by_role("button", name="Why this one").click()
    page.locator(".why dt", has_text="cosine").wait_for()
    picture("filters")
    page.locator(".hit h2 a").first.click()
    page.locator(".found").wait_for()
    picture("article")
    page.goto(f"{url}?q={NOTHING}")
    page.locator(".hit").first.wait_for()
    picture("nothing")
    page.context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=HERE.parent / "seeds", help="articles")
    parser.add_argument("--out", type=Path, default=HERE / "pictures")
    parser.add_argument("--all", action="store_true", help="every state, size and theme; else those that the README shows")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with served(options.source.resolve()) as url, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        for _ in range(3):
            # Neither the service nor the browser shall be at its very first question.
            page = page_of(browser, "wide", "light")
            page.goto(f"{url}?q={QUESTION}")
            page.locator(".hit").first.wait_for()
            page.context.close()
        for size in SIZES:
            for theme in ("light", "dark"):
                take(browser, url, options.out, size, theme)
        browser.close()
    if not options.all:
        for path in options.out.glob("*.png"):
            if path.stem not in ("answers-light", "article-dark"):
                path.unlink()


if __name__ == "__main__":
    main()
