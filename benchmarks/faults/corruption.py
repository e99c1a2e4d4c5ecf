"""Flipped bytes, and files cut, emptied, deleted or swapped: whether that is seen, and what is answered then."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

from faults import collection, scenarios
from faults.launcher import Launcher
from faults.trials import Trials, Unwanted

BLOCK = 4096
DATABASE = "semsearch.sqlite"
ENCODER = {"batch": 64}


def damage(index: Path, drawn: random.Random) -> tuple[str, str]:
    """Damage one file of an index; the kind of the file, and what was done to it.

    Each kind of file is as probable as each other, but the database four times so.
    """
    kinds = _by_kind(index)
    while True:
        kind = drawn.choice([*sorted(kinds), *["database"] * 3])
        path = drawn.choice(kinds[kind])
        way = drawn.choice(sorted(WAYS))
        others = [other for other in kinds[kind] if other != path and other.read_bytes() != path.read_bytes()]
        before = path.read_bytes()
        told = WAYS[way](path, drawn, others)
        if told is not None and (not path.exists() or path.read_bytes() != before):
            return kind, f"{path.relative_to(index)} {told}"


def _by_kind(index: Path) -> dict[str, list[Path]]:
    """The files of an index that hold anything, by kind: the ends of their names.

    Not SQLite's ``-shm``: it is memory that processes share, and made anew by the first that opens the database.
    """
    kinds: dict[str, list[Path]] = {}
    for path in sorted(index.rglob("*")):
        if path.is_file() and path.stat().st_size and not path.name.endswith("-shm"):
            kinds.setdefault(_kind(path), []).append(path)
    # Names are random, and a seed shall damage the same files again.
    return {kind: sorted(paths, key=lambda path: (path.stat().st_size, path.read_bytes())) for kind, paths in kinds.items()}


def _kind(path: Path) -> str:
    if path.name == DATABASE:
        return "database"
    if path.suffix == ".json":
        return path.name
    return path.name[path.name.index(".") :]


def _flip_bit(path: Path, drawn: random.Random, _: list[Path]) -> str:
    data = bytearray(path.read_bytes())
    place, bit = drawn.randrange(len(data)), drawn.randrange(8)
    data[place] ^= 1 << bit
    path.write_bytes(data)
    return f"has bit {bit} of byte {place} flipped"


def _overwrite_byte(path: Path, drawn: random.Random, _: list[Path]) -> str:
    data = bytearray(path.read_bytes())
    place, value = drawn.randrange(len(data)), drawn.randrange(256)
    data[place] = value
    path.write_bytes(data)
    return f"has byte {place} set to {value}"


def _clear_block(path: Path, drawn: random.Random, _: list[Path]) -> str:
    data = bytearray(path.read_bytes())
    start = BLOCK * drawn.randrange((len(data) + BLOCK - 1) // BLOCK)
    end = min(len(data), start + BLOCK)
    data[start:end] = bytes(end - start)
    path.write_bytes(data)
    return f"has bytes {start} to {end - 1} set to zero"


def _cut(path: Path, drawn: random.Random, _: list[Path]) -> str:
    data = path.read_bytes()
    length = drawn.randrange(len(data))
    path.write_bytes(data[:length])
    return f"is cut from {len(data)} to {length} bytes"


def _empty(path: Path, _: random.Random, __: list[Path]) -> str:
    path.write_bytes(b"")
    return "is emptied"


def _delete(path: Path, _: random.Random, __: list[Path]) -> str:
    path.unlink()
    return "is deleted"


def _swap(path: Path, drawn: random.Random, others: list[Path]) -> str | None:
    if not others:
        return None
    other = drawn.choice(others)
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)
    return f"is swapped with {other.name}"


WAYS = {
    "bit": _flip_bit,
    "byte": _overwrite_byte,
    "block": _clear_block,
    "cut": _cut,
    "empty": _empty,
    "delete": _delete,
    "swap": _swap,
}


def make_index(launcher: Launcher, folder: Path, size: int) -> dict[str, Any]:
    """An index in ``folder/index`` of several segments, for it was made by three runs; what it answers."""
    articles = list(collection.earlier(size).items())
    for share in (size // 2, size * 3 // 4, size):
        collection.write_folder(dict(articles[:share]), folder / "articles")
        outcome = launcher.run("build", folder=folder, sources=["articles"], index="index", encoder=ENCODER)
        if outcome.result is None or outcome.error:
            raise Unwanted(f"build without any fault: {outcome.described()}")
    expected = scenarios.ask(launcher, folder, ENCODER, collection.QUESTIONS)
    if expected != scenarios.ask(launcher, folder, ENCODER, collection.QUESTIONS):
        raise Unwanted("asked twice, the index answers differently")
    return expected


def corrupt(
    launcher: Launcher, template: Path, expected: dict[str, Any], trials: Trials, work: Path, seed: int, count: int
) -> None:
    """Damage a copy of an index so many times, each time anew; check it, ask it, and have it mended.

    Counts: ``detected`` by check; queries answered ``right``, ``refused``, ``wrong``; ``crashes`` of processes; and for each
    kind of file how often it was damaged, and ``mended``.
    """
    for number in range(count):
        # Each by itself, so that one can be shown again without those before it.
        drawn = random.Random(f"{seed} corruption {number}")
        folder = work / "trial"
        scenarios.copy(template, folder)
        kind, told = damage(folder / "index", drawn)
        trials.counts[f"{kind}: damaged"] += 1
        wrong = [
            *_unwanted(_detect, launcher, folder, kind, told, trials),
            *_unwanted(_answer, launcher, folder, expected, trials),
            *_unwanted(_mend, launcher, folder, kind, expected, trials),
        ]
        if wrong:
            # As it was right behind the damage.
            scenarios.copy(template, folder)
            damage(folder / "index", random.Random(f"{seed} corruption {number}"))
            trials.wrong(f"corruption {number}", f"{told}: {'; '.join(wrong)}", folder)
        shutil.rmtree(folder, ignore_errors=True)
        trials.done(count)


def _unwanted(step: Any, *given: Any) -> list[str]:
    try:
        step(*given)
    except (Unwanted, TimeoutError) as error:
        return [str(error)]
    return []


def _is_gone(folder: Path) -> bool:
    """Whether there is no database. One without a byte is what a first build leaves that is killed as it begins."""
    path = folder / "index" / DATABASE
    return not path.exists() or not path.stat().st_size


def _detect(launcher: Launcher, folder: Path, kind: str, told: str, trials: Trials) -> None:
    said = scenarios.check(launcher, folder, ENCODER)
    if "error" in said and not (said["error"] == "IndexMissing" and _is_gone(folder)):
        raise Unwanted(f"check raises {said['error']}: {said['message']}")
    if said.get("ok"):
        trials.counts["not detected"] += 1
        trials.counts[f"{kind}: not detected"] += 1
        raise Unwanted("check finds nothing")
    trials.counts["detected"] += 1
    named = Path(told.split(maxsplit=1)[0]).name
    if kind != "database" and not any(named in str(problem) for problem in said.get("problems", [])):
        trials.counts["detected, without the file's name"] += 1


def _answer(launcher: Launcher, folder: Path, expected: dict[str, Any], trials: Trials) -> None:
    outcome = launcher.run("ask", folder=folder, index="index", encoder=ENCODER)
    total = len(expected["answers"])
    if outcome.result is None:
        trials.counts["crashes"] += 1
        raise Unwanted(f"asking: {outcome.described()}")
    if outcome.error:
        if outcome.error != "IndexCorrupt" and not (outcome.error == "IndexMissing" and _is_gone(folder)):
            trials.counts["other errors"] += 1
            raise Unwanted(f"opening: {outcome.described()}")
        trials.counts["refused"] += total
        return
    wrong = []
    for key, hits in expected["answers"].items():
        given = outcome.result["answers"][key]
        if isinstance(given, dict):
            trials.counts["refused" if given["error"] == "IndexCorrupt" else "other errors"] += 1
            if given["error"] != "IndexCorrupt":
                wrong.append(f"{key} ends with {given['error']}: {given['message']}")
        elif collection.same(given, hits, 0):
            trials.counts["right"] += 1
        else:
            trials.counts["wrong"] += 1
            wrong.append(f"{key} is answered wrong")
    if wrong:
        raise Unwanted(f"{len(wrong)} queries: {wrong[0]}")


def _mend(launcher: Launcher, folder: Path, kind: str, expected: dict[str, Any], trials: Trials) -> None:
    said = scenarios.check(launcher, folder, ENCODER, repair=True)
    if kind != "database" and not said.get("ok"):
        trials.counts[f"{kind}: not mended"] += 1
        raise Unwanted(f"it is not mended: {said.get('problems') or said}")
    if not said.get("ok"):
        trials.counts[f"{kind}: not mended"] += 1
        return
    found = scenarios.ask(launcher, folder, ENCODER, collection.QUESTIONS)
    if "error" in found or not collection.all_same(expected["answers"], found["answers"]):
        raise Unwanted(f"it is said to be mended, and is not: {found.get('error', 'other answers')}")
    if not scenarios.check(launcher, folder, ENCODER).get("ok"):
        raise Unwanted("mended, it is not sound to the next check")
    trials.counts[f"{kind}: mended"] += 1


def corruption(launcher: Launcher, work: Path, *, seed: int, count: int, size: int = 40, every: int = 50) -> dict[str, Any]:
    """Damage an index so many times."""
    trials = Trials("corruption", seed, work / "broken", every)
    template = work / "template"
    expected = make_index(launcher, template, size)
    corrupt(launcher, template, expected, trials, work, seed, count)
    return {**dict.fromkeys(("wrong", "crashes", "not detected", "other errors"), 0), **trials.figures()}
