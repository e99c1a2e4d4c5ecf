"""A million passages: what they take to build and on the disk, how fast they answer, how much of what is near is found.

    SEMSEARCH_DATA=... python benchmarks/million.py --work DIR

The recipe of the passages is in `size`. Everything is kept in ``--work`` (8 GB), so that a part can be run again:
``--only cold warm many add``. Each figure is taken in a process of its own; questions are those of wikimix-dev and scifact.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

from common import RESULTS, data_folder, machine, run, save, spread
from faults.launcher import import_path
from size.recombined import write_real

QUESTION = "Do statins lower the risk of heart disease?"
PARTS = ("build", "disk", "cold", "warm", "many", "add", "vectors")


def measured(part: str, *arguments: object) -> dict[str, Any]:
    """What a process of `size.measuring` prints."""
    done = run([sys.executable, "-m", "size.measuring", part, *map(str, arguments)])
    return {**json.loads(done.output.splitlines()[-1]), "peak MB": round(done.megabytes)}


def build(work: Path, passages: int) -> dict[str, Any]:
    """Really encode the real ones, if that was not done; then all."""
    if not (work / "base").exists():
        write_real(work / "real")
        report = json.loads(run([*SEMSEARCH, "index", str(work / "real"), "--index", str(work / "base"), "--json"]).output)
        (work / "base.json").write_text(json.dumps(report), encoding="utf-8")
    shutil.rmtree(work / "index", ignore_errors=True)
    return measured("build", work, passages)


def disk(work: Path) -> dict[str, Any]:
    """Bytes of an index a passage, beside its text."""
    index = work / "index"
    with sqlite3.connect(f"{(index / 'semsearch.sqlite').resolve().as_uri()}?mode=ro", uri=True) as database:
        passages, text = database.execute("SELECT count(*), sum(length(CAST(text AS BLOB))) FROM passages").fetchone()
        titles = database.execute(
            "SELECT sum(length(CAST(title AS BLOB)) + length(CAST(metadata AS BLOB))) FROM articles"
        ).fetchone()[0]
    sizes: dict[str, int] = {}
    for path in index.rglob("*"):
        if path.is_file():
            kind = "words" if path.parent != index else path.suffix.lstrip(".")
            sizes[kind] = sizes.get(kind, 0) + path.stat().st_size
    beside = sum(sizes.values()) - text - titles
    return {
        "passages": passages,
        "text bytes a passage": round(text / passages),
        **{f"{kind} bytes a passage": round(size / passages) for kind, size in sizes.items() if size > passages},
        "bytes a passage beside text and titles": round(beside / passages),
        **measured("parts", index),
    }


def cold(work: Path, pairs: int) -> dict[str, Any]:
    """`semsearch ask` as a whole process, a million passages and scifact in turns."""
    small = work / "scifact"
    run([*SEMSEARCH, "index", str(data_folder() / "scifact" / "corpus.jsonl"), "--index", str(small)])
    commands = {
        name: [*SEMSEARCH, "ask", QUESTION, "--index", str(path)] for name, path in (("large", work / "index"), ("small", small))
    }
    for command in commands.values():
        run(command)
    runs: dict[str, list[Any]] = {name: [] for name in commands}
    for _ in range(pairs):
        for name, command in commands.items():
            runs[name].append(run(command))
    return {
        **{f"{name} seconds": spread([each.seconds for each in found]) for name, found in runs.items()},
        **{f"{name} peak MB": spread([each.megabytes for each in found]) for name, found in runs.items()},
        "ratio": spread([a.seconds / b.seconds for a, b in zip(runs["large"], runs["small"], strict=True)]),
    }


def add(work: Path) -> dict[str, Any]:
    """One more article: seconds, and the bytes of the files that were not there before."""
    folder, index = work / "one", work / "index"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    number = len(list(work.glob("added*")))
    (folder / f"article{number}.md").write_text(
        f"# The {number}. article\n\nThis was not in the index before, {number}.\n", encoding="utf-8"
    )
    (work / f"added{number}").touch()
    before = {path.stat().st_ino: path.stat().st_size for path in index.rglob("*") if path.is_file()}
    done = run([*SEMSEARCH, "index", str(folder), "--index", str(index), "--json"])
    new = [path for path in index.rglob("*") if path.is_file() and path.stat().st_ino not in before]
    report = json.loads(done.output)
    return {
        "seconds of the process": round(done.seconds, 2),
        "seconds": round(report["seconds"], 2),
        "encoded": report["encoded"],
        "bytes of new files": sum(path.stat().st_size for path in new),
        "largest new file": max((path.stat().st_size for path in new), default=0),
        "peak MB": round(done.megabytes),
    }


SEMSEARCH = [sys.executable, "-m", "semsearch"]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/benchmarks/million"))
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--vectors", type=int, default=10_000_000, help="of the last part: 8.4 GB on the disk")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    os.environ["PYTHONPATH"] = import_path()
    kept = RESULTS / "million.json"
    figures: dict[str, object] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    ways = {
        "build": lambda: build(work, options.passages),
        "disk": lambda: disk(work),
        "cold": lambda: cold(work, options.pairs),
        "warm": lambda: measured("warm", work / "index"),
        "many": lambda: measured("many", work / "index"),
        "add": lambda: add(work),
        "vectors": lambda: measured("vectors", work / "index", work / "vectors", options.vectors),
    }
    for part in PARTS:
        if part in options.only:
            figures[part] = ways[part]()
            print(part, figures[part], file=sys.stderr, flush=True)
    save("million", {**figures, "machine": machine()})


if __name__ == "__main__":
    main()
