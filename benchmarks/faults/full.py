"""Disks that are full, files that may not grow, folders that may not be written.

A disk that fails or fills up at each single operation, and rights that are lost halfway, are in `operations`.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from faults import scenarios
from faults.launcher import Launcher
from faults.operations import end_of
from faults.scenarios import Maker, Scenario, judge
from faults.trials import Trials, Unwanted

NOBODY = 65534
PAGE = 4096


def _command(*arguments: str) -> str:
    """What a command that failed says, "" if it did not fail."""
    if shutil.which(arguments[0]) is None:
        return f"no {arguments[0]}"
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[str]:
    """A disk of so many bytes at a folder; "", or why there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    reason = _command("mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder))
    try:
        yield reason
    finally:
        if not reason:
            _command("umount", "--lazy", str(folder))


def fill_disks(launcher: Launcher, scenario: Scenario, trials: Trials, work: Path, step: int) -> None:
    """Do an operation on disks that have room for what is there and a little more, each time for more, until it goes well.

    Whatever it ends with, the index can be read; with more room, the next run leads to the state after.
    """
    disk = work / "small disk"
    there = sum(-(-path.stat().st_size // PAGE) * PAGE for path in scenario.template.rglob("*") if path.is_file()) + PAGE
    for number in range(10_000):
        with small_disk(disk, there + number * step) as reason:
            if reason:
                trials.counts["small disks skipped"] = 1
                print(f"{trials.name}: no small disks: {reason}")
                return
            folder = disk / "trial"
            scenarios.copy(scenario.template, folder)
            ended = _full(launcher, scenario, trials, disk, folder, f"{scenario.name} with room for {number * step} bytes")
        trials.done()
        if ended == "ended well":
            return


def _full(launcher: Launcher, scenario: Scenario, trials: Trials, disk: Path, folder: Path, trial: str) -> str:
    """How the operation ended."""
    trials.counts[f"{scenario.name}: full disks"] += 1
    ended = ""
    try:
        ended = end_of(scenario.run(launcher, folder))
        trials.counts[f"{scenario.name}: {ended}"] += 1
        # To read, too, SQLite makes a small file beside its own.
        found = scenarios.ask(launcher, folder, scenario.encoder, scenario.questions)
        trials.counts[f"{scenario.name}: full, reading {'refused' if found.get('error') == 'InputError' else 'works'}"] += 1
        _command("mount", "-o", "remount,size=1g", str(disk))
        trials.counts[f"{scenario.name}: {judge(launcher, scenario, folder).state}"] += 1
    except (Unwanted, TimeoutError) as error:
        trials.wrong(trial, error, folder)
    return ended


def limit_files(launcher: Launcher, scenario: Scenario, trials: Trials, work: Path) -> None:
    """Do an operation whose files may not grow beyond some length."""
    for limit in (0, 1, 100, 500, 1000, 2000, *range(4096, 40_960, 4096), 65_536, 131_072, 262_144):
        with scenario.trial(work) as folder:
            trials.counts[f"{scenario.name}: limited files"] += 1
            try:
                trials.counts[f"{scenario.name}: {end_of(scenario.run(launcher, folder, limit=limit))}"] += 1
                trials.counts[f"{scenario.name}: {judge(launcher, scenario, folder).state}"] += 1
            except (Unwanted, TimeoutError) as error:
                trials.wrong(f"{scenario.name}, files of up to {limit} bytes", error, folder)
        trials.done()


def forbid_writing(launcher: Launcher, scenario: Scenario, trials: Trials, work: Path) -> None:
    """An index in a folder that may not be written is read as ever, and an operation on it is refused."""
    with scenario.trial(work) as folder:
        _withdraw(folder)
        options = {"uid": NOBODY} if os.getuid() == 0 else {}
        _read_only(launcher, scenario, trials, folder, f"{scenario.name}, no rights", **options)
        _restore(folder)
        trials.done()
    with scenario.trial(work) as folder:
        index = str(folder / "index")
        reason = _command("mount", "--bind", index, index) or _command("mount", "-o", "remount,ro,bind", index)
        try:
            if reason:
                trials.counts["read-only disks skipped"] = 1
                print(f"{trials.name}: no read-only disks: {reason}")
            else:
                _read_only(launcher, scenario, trials, folder, f"{scenario.name}, read-only disk")
                trials.done()
        finally:
            _command("umount", "--lazy", index)


def _withdraw(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222 | 0o444 | (0o111 if path.is_dir() else 0))


def _restore(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o200)


def _read_only(launcher: Launcher, scenario: Scenario, trials: Trials, folder: Path, trial: str, **options: Any) -> None:
    asked = {"folder": folder, "index": "index", **options}
    try:
        read = launcher.run("ask", encoder=scenario.encoder, questions=list(scenario.questions), **asked)
        if read.result is None or not scenarios.alike(scenario.before, read.result):
            raise Unwanted(f"reading: {read.described()}")
        checked = launcher.run("check", encoder=scenario.encoder, **asked)
        if checked.result is None or checked.result.get("ok") is not scenario.sound_before:
            raise Unwanted(f"checking: {checked.described()} {checked.result}")
        ended = end_of(scenario.run(launcher, folder, **options))
        if ended != "ended with InputError":
            raise Unwanted(f"an operation that cannot write {ended}")
        trials.counts["read-only: read, and refused to write"] += 1
    except (Unwanted, TimeoutError) as error:
        trials.wrong(trial, error)


def can_enter(folder: Path) -> bool:
    """Whether every user may enter a folder."""
    return all(stat.S_IMODE(path.stat().st_mode) & 0o001 for path in (folder, *folder.parents))


def full(launcher: Launcher, work: Path, *, seed: int, step: int, size: int = 16, every: int = 50) -> dict[str, Any]:
    """Full disks and forbidden folders for a first build, a refresh, a removal and repairs.

    :param step: bytes that a disk has more than the one before.
    """
    trials = Trials("full", seed, work / "broken", every)
    maker = Maker(launcher, work, size=size, pause=0.0)
    first, *others = [maker.first_build(), maker.refresh(), maker.removal(), *maker.repairs()]
    for scenario in (first, *others):
        fill_disks(launcher, scenario, trials, work, step)
        limit_files(launcher, scenario, trials, work)
    if os.getuid() == 0 and not can_enter(work):
        print(f"{trials.name}: no folders without rights: others than root may not enter {work}")
    else:
        for scenario in others[:2]:
            forbid_writing(launcher, scenario, trials, work)
    return trials.figures()
