"""What trials gave: counts, and of each that went wrong what it was and where its folder is kept."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any


class Unwanted(Exception):
    """Something that must not happen has happened."""


class Trials:
    """Counts of one kind of trial, and what went wrong.

    :param name: of the kind.
    :param seed: that all trials were made from.
    :param broken: the folder where the folders of trials that went wrong are kept.
    :param every: trials after which a line of progress is printed; 0 for none.
    """

    def __init__(self, name: str, seed: int, broken: Path, every: int = 50) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self.unwanted: list[dict[str, Any]] = []
        self._seed = seed
        self._broken = broken
        self._every = every
        self._started = time.perf_counter()

    def wrong(self, trial: str, what: object, folder: Path | None = None) -> None:
        """Note what went wrong, and keep the folder of the trial."""
        kept = ""
        if folder is not None and folder.exists():
            self._broken.mkdir(parents=True, exist_ok=True)
            place = self._broken / f"{self.name} {trial} seed {self._seed}".replace(" ", "-").replace("/", "-")
            shutil.rmtree(place, ignore_errors=True)
            shutil.move(folder, place)
            kept = str(place)
        self.unwanted.append({"trial": trial, "seed": self._seed, "what": str(what).strip(), "kept": kept})
        # Of a traceback the last line says most; all of it is in the figures.
        lines = str(what).strip().splitlines() or [""]
        told = lines[0] if len(lines) == 1 else f"{lines[0]} ... {lines[-1]}"
        print(f"{self.name}: UNWANTED in {trial} (seed {self._seed}): {told}{f'; kept: {kept}' if kept else ''}", flush=True)

    def done(self, total: int = 0) -> None:
        """One more trial is over.

        :param total: how many there will be; 0 where that is not known.
        """
        self.counts["trials"] += 1
        number = self.counts["trials"]
        if self._every and number % self._every == 0:
            seconds = time.perf_counter() - self._started
            print(
                f"{self.name}: {number}{f' of {total}' if total else ''}, {len(self.unwanted)} unwanted, {seconds:.0f} s",
                flush=True,
            )

    def figures(self) -> dict[str, Any]:
        """For the results: counts, seconds, the first of what went wrong."""
        return {
            **dict(sorted(self.counts.items())),
            "unwanted": len(self.unwanted),
            "seconds": round(time.perf_counter() - self._started, 1),
            **({"first unwanted": self.unwanted[:20]} if self.unwanted else {}),
        }
