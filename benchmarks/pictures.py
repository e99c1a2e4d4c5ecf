"""Pictures for the README and the documentation, in a light and a dark theme, of the articles that ship with semsearch.

    python benchmarks/pictures.py                   # all
    python benchmarks/pictures.py --only drawings   # without the page: neither Playwright nor a Chromium is needed

``answers-*.png`` and others are of the page, by Playwright and a Chromium on the path, both widths; ``ask-*.svg`` is what
``semsearch ask`` draws on a terminal; ``flow-*.svg`` is the data flow of the map in ``semsearch/__init__.py``. Drawings load no
fonts: a viewer takes its own.
"""

from __future__ import annotations

import argparse
import html
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

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


class Theme(NamedTuple):
    """Colours of a drawing: of a terminal's text and ground, its eight colours, and of lines and boxes."""

    text: str
    ground: str
    colours: tuple[str, ...]
    line: str
    box: str
    quiet: str


THEMES = {
    "light": Theme(
        "#1f2328", "#ffffff",
        ("#24292f", "#cf222e", "#116329", "#7d4e00", "#0969da", "#8250df", "#1b7c83", "#6e7781"),
        "#8c959f", "#f6f8fa", "#57606a",
    ),
    "dark": Theme(
        "#e6edf3", "#0d1117",
        ("#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4"),
        "#6e7681", "#161b22", "#9198a1",
    ),
}  # fmt: skip
_COLUMNS = 104
_MONOSPACE = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_SANS = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
_TERMINAL = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {terminal_width} {terminal_height}" role="img">
<title>What semsearch ask draws on a terminal</title>
<style>
.{unique_id}-matrix {{ font-family: FONTS; font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
<rect fill="GROUND" stroke="LINE" stroke-width="2" width="100%" height="100%" rx="8"/>
<g transform="translate({terminal_x}, 14) scale(0.98)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def drawn_on_a_terminal(arguments: list[str], folder: Path, columns: int = _COLUMNS) -> str:
    """What a command writes to a terminal of its own, escapes and all."""
    shown, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "LINES": "60", "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    command = [sys.executable, "-m", "semsearch", *arguments]
    with subprocess.Popen(command, cwd=folder, stdin=terminal, stdout=terminal, stderr=subprocess.DEVNULL, env=environment):
        os.close(terminal)
        said = b""
        # A terminal whose last writer is gone says so by an error.
        with suppress(OSError):
            while part := os.read(shown, 65_536):
                said += part
    os.close(shown)
    return said.decode()


def terminal_picture(question: str, said: str, theme: Theme, columns: int = _COLUMNS) -> str:
    """A command and what it drew, as SVG. Links are left out: they name folders of this machine."""
    from rich.console import Console
    from rich.terminal_theme import TerminalTheme
    from rich.text import Text

    def rgb(colour: str) -> tuple[int, int, int]:
        return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)

    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.assemble(("$ ", "bold green"), ("semsearch ask ", "bold"), f'"{question}"'), "")
    for line in re.sub(r"\x1b]8;[^\x1b]*\x1b\\\\", "", said).rstrip().splitlines():
        console.print(Text.from_ansi(line), no_wrap=True)
    colours = [rgb(colour) for colour in theme.colours]
    picture = console.export_svg(
        theme=TerminalTheme(rgb(theme.ground), rgb(theme.text), colours, colours),
        code_format=_TERMINAL.replace("FONTS", _MONOSPACE).replace("GROUND", theme.ground).replace("LINE", theme.line),
        unique_id="ask",
    )
    return re.sub(r"[ \t]+\n", "\n", picture)


_BOX = 42
_BOXES = {
    "files": (12, 180, 82, "files", ""),
    "articles": (116, 180, 88, "articles", "blocks"),
    "passages": (226, 180, 96, "passages", "paragraphs"),
    "encoder": (346, 30, 104, "encoder", "openvino"),
    "analysis": (346, 180, 104, "analysis", "stems"),
    "vectors": (486, 30, 124, "vectors", "codes of words"),
    "words": (486, 180, 124, "words", "tantivy"),
    "database": (486, 255, 124, "database", "texts, places"),
    "dense": (652, 30, 112, "dense arm", "by meaning"),
    "question": (652, 105, 112, "question", "onnxruntime"),
    "lexical": (652, 180, 112, "lexical arm", "BM25"),
    "ranking": (796, 105, 84, "ranking", "4 scores to 1"),
    "hits": (904, 105, 84, "hits", "best sentence"),
    "results": (904, 30, 84, "Results", "text, JSON"),
}
"""Left, top, width, name, what is in it."""
_ARROWS = (
    "M94,201 H114", "M204,201 H224", "M322,201 H344", "M450,201 H484", "M274,180 V51 H344", "M274,222 V276 H484", "M450,51 H484",
    "M610,51 H650", "M610,201 H650", "M708,105 V74", "M708,147 V178", "M764,51 H838 V103", "M764,201 H838 V149",
    "M880,126 H902", "M946,105 V74", "M610,276 H946 V149",
)  # fmt: skip
_ASKED = 7
"""The arrows from here on are a question's."""


def flow(theme: Theme) -> str:
    """The data flow: files into an index, a question to hits."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 322" role="img">',
        "<title>Files become articles, passages, vectors and words in one index; a question becomes hits</title>",
        f"<style>text {{ font: 13px {_SANS}; fill: {theme.text}; text-anchor: middle }}"
        f" .small {{ font-size: 10.5px; fill: {theme.quiet} }}"
        f" rect {{ fill: {theme.box}; stroke: {theme.line} }} path {{ fill: none; stroke-width: 1.5 }}</style>",
        "<defs>",
    ]
    shades = {"in": theme.line, "asked": theme.colours[4]}
    for name, shade in shades.items():
        parts.append(
            f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0,0 L8,4 L0,8 z" style="fill: {shade}"/></marker>'
        )
    parts += [
        "</defs>",
        f'<rect x="0.5" y="0.5" width="999" height="321" rx="8" style="fill: {theme.ground}"/>',
        '<rect x="474" y="10" width="148" height="300" rx="8"'
        f' style="fill: none; stroke: {theme.colours[6]}; stroke-dasharray: 5 4"/>',
        '<text x="548" y="112">one index</text><text x="548" y="130">directory</text>',
        '<text class="small" x="548" y="150">one transaction,</text><text class="small" x="548" y="164">one generation</text>',
        '<text class="small" x="100" y="170">semsearch index</text>',
        f'<text class="small" x="708" y="18" style="fill: {shades["asked"]}">semsearch ask</text>',
    ]
    for number, path in enumerate(_ARROWS):
        name = "asked" if number >= _ASKED else "in"
        parts.append(f'<path d="{path}" style="stroke: {shades[name]}" marker-end="url(#{name})"/>')
    for left, top, width, name, what in _BOXES.values():
        middle = left + width / 2
        parts.append(f'<rect x="{left}" y="{top}" width="{width}" height="{_BOX}" rx="6"/>')
        parts.append(f'<text x="{middle:g}" y="{top + (18 if what else 26)}">{html.escape(name)}</text>')
        if what:
            parts.append(f'<text class="small" x="{middle:g}" y="{top + 33}">{html.escape(what)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def draw(source: Path, out: Path) -> None:
    """The drawings: what a terminal shows, and the data flow."""
    with TemporaryDirectory() as folder:
        home = f"{folder}/index"
        subprocess.run([sys.executable, "-m", "semsearch", "index", source.name, "--index", home], cwd=source.parent, check=True)
        said = drawn_on_a_terminal(["ask", QUESTION, "-k", "2", "--index", home], source.parent)
    for name, theme in THEMES.items():
        (out / f"ask-{name}.svg").write_text(terminal_picture(QUESTION, said, theme), encoding="utf-8")
        (out / f"flow-{name}.svg").write_text(flow(theme), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=HERE.parent / "seeds", help="articles")
    parser.add_argument("--out", type=Path, default=HERE / "pictures")
    parser.add_argument("--all", action="store_true", help="every state, size and theme; else those that the README shows")
    parser.add_argument("--only", choices=("drawings", "page"), help="one kind of picture")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.only != "page":
        draw(options.source.resolve(), options.out)
    if options.only == "drawings":
        return
    from playwright.sync_api import sync_playwright

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
