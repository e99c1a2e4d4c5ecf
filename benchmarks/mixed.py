"""A folder of 200 files of many kinds, as programs write them, indexed by one command: is each question answered by the right
passage, with the right page and a citation that holds?

The articles are those of xquad-en, whose 1,190 questions have each one right paragraph, among abstracts of scifact. Every
paragraph of a PDF begins a page of its own, so that its number is known. The programs are LaTeX, Chromium and LibreOffice, as far
as they are installed, and fpdf2; what none of them writes is written here.

    python benchmarks/mixed.py            # needs SEMSEARCH_DATA
    python benchmarks/mixed.py --keep DIR # keep the folder and its index
"""

from __future__ import annotations

import argparse
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

from common import data_folder, machine, save

import semsearch

N_FILES = 200
PERSON = "Ann Author"


class Told(NamedTuple):
    """An article: a title and paragraphs with the ids that judgments know them by."""

    title: str
    paragraphs: list[tuple[str, str]]


def articles(data: Path) -> list[Told]:
    """Those of xquad-en, and as many of scifact as are wanted."""
    by_file: dict[str, list[tuple[str, str]]] = defaultdict(list)
    corpus = {record["_id"]: record for record in map(json.loads, (data / "xquad-en" / "corpus.jsonl").open(encoding="utf-8"))}
    for line in (data / "xquad-en" / "article_map.jsonl").open(encoding="utf-8"):
        placed = json.loads(line)
        by_file[placed["file"]].append((str(placed["corpus_id"]), corpus[str(placed["corpus_id"])]["text"]))
    found = [
        Told(re.sub(r"^\d+_|\.md$", "", Path(name).name).replace("_", " "), texts) for name, texts in sorted(by_file.items())
    ]
    for line in (data / "scifact" / "corpus.jsonl").open(encoding="utf-8"):
        record = json.loads(line)
        found.append(Told(record["title"], [("", record["text"])]))
        if len(found) == N_FILES:
            break
    return found


def as_html(told: Told, style: str = "") -> str:
    paragraphs = "".join(f"<p>{html.escape(text)}</p>" for _, text in told.paragraphs)
    title = html.escape(told.title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>'
        f"<body><h1>{title}</h1>{paragraphs}</body></html>"
    )


def latex(told: Told, path: Path, columns: int) -> None:
    """By pdfLaTeX, with a running head and numbers at the foot."""
    escaped = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\^{}"} | {sign: f"\\{sign}" for sign in "&%$#_{}"}

    def plain(text: str) -> str:
        return "".join(escaped.get(letter, letter) for letter in text.encode("latin-1", "ignore").decode("latin-1"))

    pages = "\n\n\\clearpage\n\n".join(plain(text) for _, text in told.paragraphs)
    head = f"\\lhead{{{plain(told.title)}}}\\rhead{{Annals, vol. 3}}\\cfoot{{\\thepage}}"
    path.with_suffix(".tex").write_text(
        f"\\documentclass[{'twocolumn,10pt' if columns == 2 else '11pt'}]{{article}}\\usepackage[utf8]{{inputenc}}"
        f"\\usepackage{{fancyhdr}}\\pagestyle{{fancy}}{head}\\begin{{document}}{pages}\\end{{document}}",
        encoding="utf-8",
    )
    subprocess.run(["pdflatex", "-interaction=batchmode", path.with_suffix(".tex").name], cwd=path.parent, capture_output=True)
    for suffix in (".tex", ".aux", ".log"):
        path.with_suffix(suffix).unlink(missing_ok=True)


def chromium(told: Told, path: Path) -> None:
    """As a browser prints a page."""
    page = path.with_suffix(".print.html")
    page.write_text(as_html(told, "p + p {break-before: page} p {text-align: justify}"), encoding="utf-8")
    subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--print-to-pdf={path}", str(page)], capture_output=True
    )
    page.unlink()


def fpdf(told: Told, path: Path) -> None:
    """By fpdf2, in two columns."""
    from fpdf import FPDF

    document = FPDF()
    document.set_title(told.title)
    for _, text in told.paragraphs:
        document.add_page()
        document.set_font("Times", size=11)
        with document.text_columns(ncols=2, gutter=8, text_align="J") as columns:
            columns.write(text.encode("latin-1", "ignore").decode("latin-1"))
    document.output(str(path))


def office(folder: Path, kind: str, told: Sequence[tuple[Told, str]]) -> None:
    """By LibreOffice: all files of a kind in one go."""
    with tempfile.TemporaryDirectory() as pages:
        for article, stem in told:
            Path(pages, f"{stem}.html").write_text(as_html(article), encoding="utf-8")
        written = ["soffice", "--headless", "--convert-to", "docx:MS Word 2007 XML", "--outdir", pages]
        subprocess.run([*written, *map(str, sorted(Path(pages).glob("*.html")))], capture_output=True)
        if kind == "docx":
            for file in Path(pages).glob("*.docx"):
                shutil.copy(file, folder)
        else:
            target = ["soffice", "--headless", "--convert-to", kind, "--outdir", str(folder)]
            subprocess.run([*target, *map(str, sorted(Path(pages).glob("*.docx")))], capture_output=True)


def mail(told: Told, path: Path) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["Date"] = (
        told.title,
        f"{PERSON} <ann@example.org>",
        "Mon, 02 Mar 2020 10:00:00 +0100",
    )
    message.set_content("\n\n".join(text for _, text in told.paragraphs))
    path.write_bytes(message.as_bytes())


def write(folder: Path, told: Sequence[Told]) -> dict[str, tuple[str, int, str]]:
    """All files; of each paragraph that is known, in which of them it is, on which page (0: not known), what wrote it."""
    kinds: list[tuple[str, str, Callable[[Told, Path], None] | None]] = [
        ("html", ".html", lambda article, path: path.write_text(as_html(article), encoding="utf-8") and None),
        (
            "markdown",
            ".md",
            lambda article, path: (
                path.write_text(f"# {article.title}\n\n" + "\n\n".join(text for _, text in article.paragraphs)) and None
            ),
        ),
        ("mail", ".eml", mail),
        ("fpdf2, two columns", ".pdf", fpdf),
    ]
    if shutil.which("pdflatex"):
        kinds += [
            ("pdfLaTeX", ".pdf", lambda article, path: latex(article, path, 1)),
            ("pdfLaTeX, two columns", ".pdf", lambda article, path: latex(article, path, 2)),
        ]
    if shutil.which("chromium"):
        kinds.append(("Chromium", ".pdf", chromium))
    if shutil.which("soffice"):
        kinds += [(f"LibreOffice {kind}", f".{kind}", None) for kind in ("docx", "epub", "odt", "rtf", "pdf")]
    places: dict[str, tuple[str, int, str]] = {}
    by_office: dict[str, list[tuple[Told, str]]] = defaultdict(list)
    made: Counter[str] = Counter()
    for number, article in enumerate(told):
        name, suffix, writer = kinds[number % len(kinds)]
        words = re.sub(r"\W+", "-", article.title)[:40]
        stem = f"{number:03}-{words}"
        made[name] += 1
        if writer is None:
            by_office[suffix[1:]].append((article, stem))
        else:
            writer(article, folder / f"{stem}{suffix}")
        paged = suffix == ".pdf" and writer is not None
        for page, (known, _) in enumerate(article.paragraphs, 1):
            if known:
                places[known] = (f"{stem}{suffix}", page if paged else 0, name)
    for kind, articles_of_kind in by_office.items():
        office(folder, kind, articles_of_kind)
    print("files:", ", ".join(f"{count} {name}" for name, count in made.items()))
    return places


def letters(text: str) -> str:
    """What a paragraph is known by: ASCII letters and digits, for LaTeX's fonts do without the others here."""
    return re.sub(r"[^a-z0-9]+", "", text.casefold())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--keep", metavar="DIR")
    keep = parser.parse_args().keep
    data = data_folder()
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(keep or temporary).absolute()
        folder = top / "folder"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        told = articles(data)
        places = write(folder, told)
        started = time.perf_counter()
        indexed = subprocess.run(
            [sys.executable, "-m", "semsearch", "index", "folder", "--index", "index", "--fresh", "--json"],
            cwd=top,
            capture_output=True,
            text=True,
        )
        report = json.loads(indexed.stdout)
        print(
            f"indexed: {report['articles']} articles, {report['passages']} passages in {time.perf_counter() - started:.1f} s;"
            f" problems: {report['problems']}"
        )
        ask(top, data, told, places)


def ask(top: Path, data: Path, told: Sequence[Told], places: dict[str, tuple[str, int, str]]) -> None:
    texts = {known: text for article in told for known, text in article.paragraphs if known}
    queries = {
        record["_id"]: record["text"] for record in map(json.loads, (data / "xquad-en" / "queries.jsonl").open(encoding="utf-8"))
    }
    judged = [line.split("\t") for line in (data / "xquad-en" / "qrels" / "test.tsv").read_text().splitlines()[1:]]
    right: dict[str, Counter[str]] = defaultdict(Counter)
    os.chdir(top)
    with semsearch.open("index") as index:
        results = index.search_many([queries[query] for query, *_ in judged], k=5)
        for at, ((query, known, _), found) in enumerate(zip(judged, results, strict=True)):
            source, page, kind = places[known]
            best = found[0]
            here = f"folder/{source}"
            said = letters(texts[known])
            in_file = best.source == here
            # A paragraph longer than the model takes is cut: its parts are parts of it.
            passage = in_file and (letters(best.text) in said or said in letters(best.text))
            counts = right[kind]
            counts["questions"] += 1
            counts["right file"] += in_file
            counts["right passage"] += passage
            counts["in the best five"] += any(
                hit.source == here and (letters(hit.text) in said or said in letters(hit.text)) for hit in found
            )
            if passage and page:
                counts["with a page"] += 1
                counts["right page"] += best.page == page
            if passage and at % 40 == 0:
                counts["citations read again"] += 1
                counts["that hold"] += str(best.verify()) == "OK"
            if counts["questions"] == 1:
                cited = f"{best.source}{f', page {best.page}' if best.page else f', paragraph {best.paragraph}'}"
                print(f"{'right' if passage else 'WRONG'}  {queries[query][:60]!r} -> {cited}, {best.verify()} ({kind})")
    total = sum(right.values(), Counter[str]())
    for name, counts in [*sorted(right.items()), ("all", total)]:
        print(f"{name:22}", ", ".join(f"{what} {count}" for what, count in counts.items()))
    save(
        "mixed",
        {"machine": machine(), "counts": {name: dict(counts) for name, counts in [*sorted(right.items()), ("all", total)]}},
    )


if __name__ == "__main__":
    main()
