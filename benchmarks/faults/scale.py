"""What size costs: a refresh where nothing changed, one change among many passages, a first build of a million.

Each build is a process of its own: ``python -m faults.scale SOURCES INDEX`` builds with the encoder that needs no model, and
prints what it took.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import data_folder, run

from faults.collection import WordEncoder
from faults.launcher import import_path
from semsearch.protocols import Encoded, PassageText

DIMENSION = 384
MEGABYTE = 2**20

# Made-up articles of the size of real ones.

SYLLABLES = (
    "ba",
    "cor",
    "de",
    "fil",
    "gan",
    "hu",
    "jo",
    "kel",
    "lim",
    "mo",
    "nar",
    "ost",
    "per",
    "qui",
    "ros",
    "sta",
    "tun",
    "vex",
)


def _vocabulary() -> list[str]:
    """50,000 words that differ, the frequent ones short."""
    words = [a + b for a in SYLLABLES for b in SYLLABLES]
    words += [word + end for word in words[:] for end in SYLLABLES]
    words += [word + end for word in words[324:] for end in SYLLABLES]
    return words[:50_000]


def write_articles(folder: Path, passages: int, *, in_article: int = 10, in_file: int = 1000) -> None:
    """JSONL files of articles with so many passages in all, each some 95 words long: as many as a real one has tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = np.asarray(_vocabulary())
    drawn = np.random.default_rng(1)
    articles = passages // in_article
    for first in range(0, articles, in_file):
        with open(folder / f"articles{first // in_file:06}.jsonl", "w", encoding="utf-8") as file:
            for number in range(first, min(articles, first + in_file)):
                text = "\n\n".join(_passage(vocabulary, drawn) for _ in range(in_article))
                file.write(json.dumps({"title": f"Article {number}", "text": text}) + "\n")


def _passage(vocabulary: np.ndarray, drawn: np.random.Generator) -> str:
    """Sentences of words as frequent as in a language: the n-th word about 1 / n times as often as the first."""
    ranks = (len(vocabulary) ** drawn.random(95)).astype(np.int64) - 1
    words = vocabulary[ranks].tolist()
    return " ".join(" ".join(words[start : start + 19]).capitalize() + "." for start in range(0, 95, 19))


# A process that builds.


class _Timed(WordEncoder):
    """Knows how many seconds it encoded."""

    passage_tokens = 256
    seconds = 0.0

    def encode_passages(self, passages: Sequence[PassageText]) -> Iterator[Encoded]:
        given = super().encode_passages(passages)
        while True:
            started = time.perf_counter()
            encoded = next(given, None)
            self.seconds += time.perf_counter() - started
            if encoded is None:
                return
            yield encoded


def main() -> None:
    import semsearch

    sources, index = sys.argv[1:]
    memory = _Memory()
    encoder = _Timed(DIMENSION, batch=256)
    with semsearch.build(sources, index, encoder=encoder) as built:
        report = built.report
    assert report is not None
    print(
        json.dumps(
            {
                "seconds": report.seconds,
                "encoding": encoder.seconds,
                "encoded": report.encoded,
                "passages": report.passages,
                "anonymous": memory.most(),
            }
        )
    )


class _Memory:
    """The most memory, in bytes, that this process has had of its own, not of files; looked at every 0.2 seconds."""

    def __init__(self) -> None:
        self._most = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def most(self) -> int:
        return max(self._most, self._now())

    def _watch(self) -> None:
        while True:
            self._most = max(self._most, self._now())
            time.sleep(0.2)

    def _now(self) -> int:
        status = Path("/proc/self/status")
        lines = status.read_text().splitlines() if status.exists() else []
        return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:")), 0)


def _build(sources: Path, index: Path) -> dict[str, Any]:
    """Build in a process of its own: what `main` prints, with ``process``, its seconds, and ``peak``, its memory in MB."""
    os.environ["PYTHONPATH"] = import_path()
    done = run([sys.executable, "-m", "faults.scale", str(sources), str(index)])
    return {**json.loads(done.output), "process": done.seconds, "peak": done.megabytes}


# The figures.


def million(work: Path, *, passages: int, limit: float) -> dict[str, Any]:
    """A first build of so many passages.

    :param limit: megabytes of resident memory that it may take at most.
    """
    write_articles(work / "articles", passages)
    built = _build(work / "articles", work / "index")
    on_disk = sum(path.stat().st_size for path in (work / "index").rglob("*") if path.is_file())
    return {
        "passages": built["passages"],
        "seconds": round(built["seconds"], 1),
        "seconds of encoding": round(built["encoding"], 1),
        "peak MB": round(built["peak"]),
        "peak MB of its own, not of files": round(built["anonymous"] / MEGABYTE),
        "bytes on disk": on_disk,
        "unwanted": int(built["peak"] > limit or built["passages"] != passages),
    }


def one_change(work: Path, *, passages: int, limit: float) -> dict[str, Any]:
    """One passage of one article is changed in an index of so many passages, and the folder refreshed.

    :param limit: seconds that it may take at most, besides encoding.
    """
    write_articles(work / "many", passages, in_file=1)
    first = _build(work / "many", work / "index of many")
    path = min((work / "many").iterdir())
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**record, "text": f"Something is new here. {record['text']}"}) + "\n", encoding="utf-8")
    second = _build(work / "many", work / "index of many")
    besides = second["seconds"] - second["encoding"]
    return {
        "passages": first["passages"],
        "seconds of the first build": round(first["seconds"], 2),
        "seconds of the refresh": round(second["seconds"], 3),
        "seconds besides encoding": round(besides, 3),
        "passages encoded": second["encoded"],
        "share of the first build": round(second["seconds"] / first["seconds"], 4),
        "peak MB": round(second["peak"]),
        "unwanted": int(besides > limit or second["encoded"] != 1),
    }


def no_change(work: Path, *, articles: int, limit: float) -> dict[str, Any]:
    """Articles are indexed with the bundled model on the command line, and once more where nothing has changed.

    :param limit: seconds of the second time, as a share of the first, at most.
    """
    folder = work / "articles"
    folder.mkdir()
    with gzip.open(data_folder() / "scale-passages.jsonl.gz", "rt", encoding="utf-8") as lines:
        for number, line in zip(range(articles), lines, strict=False):
            record = json.loads(line)
            (folder / f"{number:05}.md").write_text(f"# {record['title'] or number}\n\n{record['text']}\n", encoding="utf-8")
    command = [sys.executable, "-m", "semsearch", "index", str(folder), "--index", str(work / "index"), "--json"]
    first, *others = [run(command) for _ in range(4)]
    second = sorted(others, key=lambda each: each.seconds)[1]
    reports = [json.loads(each.output) for each in (first, second)]
    return {
        "articles": reports[1]["articles"],
        "passages": reports[1]["passages"],
        "seconds of the first build": round(reports[0]["seconds"], 2),
        "seconds of a refresh": round(reports[1]["seconds"], 3),
        "share": round(reports[1]["seconds"] / reports[0]["seconds"], 4),
        "seconds of the processes": [round(first.seconds, 2), round(second.seconds, 2)],
        "share of the processes": round(second.seconds / first.seconds, 4),
        "unwanted": int(reports[1]["seconds"] > limit * reports[0]["seconds"] or reports[1]["encoded"] != 0),
    }


def refresh(work: Path, *, articles: int, passages: int) -> dict[str, Any]:
    """What a refresh costs where nothing, and where little has changed."""
    same = no_change(work, articles=articles, limit=0.02)
    little = one_change(work, passages=passages, limit=3.0)
    return {"no change": same, "one change": little, "unwanted": same["unwanted"] + little["unwanted"]}


if __name__ == "__main__":
    main()
