"""A fault at every single file operation of an indexing process: it dies there, or the operation fails."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.launcher import Launcher, Outcome
from faults.scenarios import ALLOWED, Maker, Scenario, judge
from faults.trials import Trials, Unwanted

DATA, SIZE, SYNC, CREATE, NAME, REMOVE = range(6)
"""Kinds of operations, as ``faults.c`` has them."""


@dataclass(frozen=True)
class Fault:
    """What happens at an operation, and from then on if ``onwards``.

    ``kinds``: of operations that can meet it, None for all; ``faults.c`` lets the others go on.
    """

    action: str
    error: int = 0
    onwards: bool = False
    kinds: tuple[int, ...] | None = None

    def given(self, folder: Path, at: int) -> dict[str, Any]:
        """For `Launcher.start`."""
        return {"folder": str(folder), "at": at, "action": self.action, "error": self.error, "onwards": self.onwards}


_NAMES = (CREATE, NAME, REMOVE)
FAULTS = {
    "killed": Fault("kill"),
    "torn write": Fault("tear", kinds=(DATA,)),
    "an input/output error": Fault("fail", errno.EIO),
    "no space once": Fault("fail", errno.ENOSPC, kinds=(DATA, SIZE, SYNC, CREATE)),
    "no space from there on": Fault("fail", errno.ENOSPC, onwards=True, kinds=(DATA, SIZE, SYNC, CREATE)),
    "no permission from there on": Fault("fail", errno.EACCES, onwards=True, kinds=_NAMES),
}


def count_operations(launcher: Launcher, scenario: Scenario, work: Path) -> list[tuple[int, str]]:
    """The file operations of an undisturbed run, in turn: the kind of each, and its name and the file's."""
    log = work / "operations.log"
    with scenario.trial(work) as folder:
        outcome = scenario.run(launcher, folder, faults={"folder": str(folder / "index"), "log": str(log)})
        if outcome.result is None or outcome.error:
            raise Unwanted(f"counting operations: {outcome.described()}")
    lines = [line.split(" ", 2) for line in log.read_text().splitlines()]
    return [(int(kind), rest) for _, kind, rest in lines]


def fail_each(
    launcher: Launcher, scenario: Scenario, trials: Trials, work: Path, chosen: dict[str, Fault], stride: int = 1, first: int = 1
) -> None:
    """Let each fault happen at every ``stride``-th file operation from the ``first`` on, and judge what it leaves.

    Counts: operations of the scenario, trials of each fault, states found, and how the processes ended.
    """
    operations = count_operations(launcher, scenario, work)
    trials.counts[f"{scenario.name}: operations"] = len(operations)
    planned = [
        (name, fault, number)
        for name, fault in chosen.items()
        for number in range(first, len(operations) + 1, stride)
        if fault.kinds is None or operations[number - 1][0] in fault.kinds
    ]
    for name, fault, number in planned:
        trial = f"{scenario.name}, {name} at {number} ({operations[number - 1][1].split('/')[0].strip()})"
        trials.counts[name] += 1
        with scenario.trial(work) as folder:
            try:
                for found in _one(launcher, scenario, folder, fault, number):
                    trials.counts[f"{scenario.name}: {found}"] += 1
            except (Unwanted, TimeoutError) as error:
                trials.wrong(trial, error, folder)
        trials.done()


def _one(launcher: Launcher, scenario: Scenario, folder: Path, fault: Fault, number: int) -> Iterator[str]:
    """How the process ended, and in which state it left the index."""
    outcome = scenario.run(launcher, folder, faults=fault.given(folder / "index", number))
    yield end_of(outcome, killed=fault.action != "fail")
    yield judge(launcher, scenario, folder).state


def end_of(outcome: Outcome, *, killed: bool = False) -> str:
    """How an operation under a fault ended: well, with an error of semsearch's, or killed where that is the fault.

    :raises Unwanted: if it ended otherwise.
    """
    if outcome.result is None:
        if not killed or outcome.status != -signal.SIGKILL:
            raise Unwanted(f"the process was {outcome.described()}")
        return "killed"
    if outcome.error and outcome.error not in ALLOWED:
        raise Unwanted(f"an error that is none of semsearch's: {outcome.described()}")
    if outcome.error == "InputError" and "check the disk" not in outcome.result["message"]:
        raise Unwanted(f"the message does not say what to do: {outcome.described()}")
    return f"ended with {outcome.error}" if outcome.error else "ended well"


def operations(launcher: Launcher, work: Path, *, seed: int, stride: int, size: int = 6, every: int = 100) -> dict[str, Any]:
    """Faults at the file operations of a first build, a refresh, a removal and repairs."""
    trials = Trials("operations", seed, work / "broken", every)
    maker = Maker(launcher, work, size=size, pause=0.0)
    scenarios = [maker.first_build(), maker.refresh(), maker.removal(), *maker.repairs()]
    for scenario in scenarios:
        # What is left out is not the same of each scenario.
        fail_each(launcher, scenario, trials, work, FAULTS, stride, 1 + seed % stride)
    return trials.figures()
