"""Indexing under faults: what is lost, what is wrong and what stays when processes, disks and files fail.

``kills``       kill -9 of indexing processes at random moments of their lives
``operations``  a kill, a torn write or an error at every single file operation (Linux with a C compiler)
``full``        full disks, and folders that may not be written
``corruption``  bytes flipped, files cut, emptied, deleted, swapped
``crowd``       two writers and twenty readers at once
``refresh``     seconds: 5,000 unchanged articles, and one changed in an index of 100,000 passages
``million``     memory and seconds of a first build of 1,000,000 passages
``all``         all of these

Each is decided by ``--seed``. What must not happen is told with the trial and the seed that show it again, and the folder is
kept; the exit code is 1 then. Figures go to ``results/torture.json``.

    python benchmarks/torture.py kills --count 300
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import RESULTS, machine, save
from faults.corruption import corruption
from faults.crowd import crowd
from faults.full import full
from faults.kills import kills
from faults.launcher import Launcher, compile_shim
from faults.operations import operations
from faults.scale import million, refresh

Figures = dict[str, Any]


def _kills(options: argparse.Namespace, work: Path) -> Figures:
    with Launcher() as launcher:
        return kills(launcher, work, seed=options.seed, count=options.count, slack=options.slack)


def _operations(options: argparse.Namespace, work: Path) -> Figures:
    shim = compile_shim(work)
    if isinstance(shim, str):
        return _skipped("operations", shim)
    with Launcher(shim) as launcher:
        return operations(launcher, work, seed=options.seed, stride=options.stride)


def _full(options: argparse.Namespace, work: Path) -> Figures:
    with Launcher() as launcher:
        return full(launcher, work, seed=options.seed, step=options.step)


def _corruption(options: argparse.Namespace, work: Path) -> Figures:
    with Launcher() as launcher:
        return corruption(launcher, work, seed=options.seed, count=options.corruptions)


def _crowd(options: argparse.Namespace, work: Path) -> Figures:
    with Launcher() as launcher:
        return crowd(launcher, work, seed=options.seed, seconds=options.seconds)


def _refresh(options: argparse.Namespace, work: Path) -> Figures:
    return refresh(work, articles=options.articles, passages=options.passages)


def _million(options: argparse.Namespace, work: Path) -> Figures:
    return million(work, passages=options.million, limit=options.megabytes)


def _skipped(name: str, reason: str) -> Figures:
    print(f"{name}: skipped: {reason}")
    return {"skipped": reason}


SUITES: dict[str, Callable[[argparse.Namespace, Path], Figures]] = {
    "kills": _kills,
    "operations": _operations,
    "full": _full,
    "corruption": _corruption,
    "crowd": _crowd,
    "refresh": _refresh,
    "million": _million,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=[*SUITES, "all"])
    parser.add_argument("--seed", type=int, default=1, help="what all that is random is drawn from (default: 1)")
    parser.add_argument("--work", type=Path, default=Path("build/benchmarks/torture"), help="where indexes are made and kept")
    parser.add_argument("--count", type=int, default=300, help="kills (default: 300)")
    parser.add_argument("--slack", type=int, help="passages that a killed build may encode in vain (default: any number)")
    parser.add_argument("--stride", type=int, default=1, help="a fault at each so many-th file operation (default: 1)")
    parser.add_argument("--corruptions", type=int, default=500, help="damaged indexes (default: 500)")
    parser.add_argument("--seconds", type=float, default=60, help="that writers and readers meet (default: 60)")
    parser.add_argument("--step", type=int, default=8192, help="bytes from one full disk to the next (default: 8192)")
    parser.add_argument("--articles", type=int, default=5000, help="refreshed unchanged (default: 5000)")
    parser.add_argument("--passages", type=int, default=100_000, help="of the index with one change (default: 100000)")
    parser.add_argument("--million", type=int, default=1_000_000, help="passages of the large index (default: 1000000)")
    parser.add_argument("--megabytes", type=float, default=2000, help="that building it may take (default: 2000)")
    options = parser.parse_args()
    chosen = list(SUITES) if options.suite == "all" else [options.suite]
    options.work.mkdir(parents=True, exist_ok=True)
    figures = {}
    for name in chosen:
        work = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=options.work)).resolve()
        work.chmod(0o755)
        figures[name] = {"seed": options.seed, **SUITES[name](options, work), "machine": machine()}
    kept = RESULTS / "torture.json"
    save("torture", {**(json.loads(kept.read_text()) if kept.exists() else {}), **figures})
    return int(any(each.get("unwanted") for each in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
