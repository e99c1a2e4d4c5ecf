"""kill -9 of an indexing process at random moments of its life."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from faults.launcher import Launcher
from faults.scenarios import Maker, Scenario, judge
from faults.trials import Trials, Unwanted


def kill(
    launcher: Launcher, scenario: Scenario, trials: Trials, work: Path, seed: int, wanted: int,
    *, total: int = 0, slack: int | None = None,
) -> None:  # fmt: skip
    """Kill so many processes at moments drawn from the whole time of an undisturbed run, and judge what each leaves.

    :param total: how many there will be with those of other scenarios, for the line of progress.
    :param slack: passages that a killed process had encoded and the next one may encode again; None for any.

    Counts, of the scenario: ``kills``; ``before`` and ``after``, the states found; ``encoded``, passages that killed processes
    had encoded, and of these ``saved``, those that the next run did not encode again; ``outlived``, processes that had ended
    before they were to be killed, which count as no kill.
    """
    drawn = random.Random(f"{seed} {scenario.name}")
    name, killed = scenario.name, 0
    for number in range(10 * wanted):
        if killed == wanted:
            break
        with scenario.trial(work) as folder:
            job = scenario.start(launcher, folder)
            # The commit is near the end, and short.
            first = 0.7 if number % 3 == 2 else 0.0
            died = job.kill(drawn.uniform(first, 1.05) * scenario.seconds)
            outcome = job.wait()
            if not died:
                trials.counts[f"{name}: outlived"] += 1
                continue
            killed += 1
            _judge(launcher, scenario, trials, folder, f"{name} {number}", outcome.encoded, slack)
        trials.done(total or wanted)


def _judge(
    launcher: Launcher, scenario: Scenario, trials: Trials, folder: Path, trial: str, encoded: int, slack: int | None
) -> None:
    name = scenario.name
    trials.counts["kills"] += 1
    trials.counts[f"{name}: kills"] += 1
    try:
        judgment = judge(launcher, scenario, folder)
    except (Unwanted, TimeoutError) as error:
        trials.wrong(trial, error, folder)
        return
    trials.counts[f"{name}: {judgment.state}"] += 1
    # A check encodes some passages to compare them: what it had encoded anew cannot be told from these.
    if judgment.state == "before" and encoded and scenario.do != "check":
        trials.counts[f"{name}: encoded"] += encoded
        saved = min(encoded, scenario.needed - judgment.encoded)
        trials.counts[f"{name}: saved"] += saved
        if slack is not None and encoded - saved > slack:
            trials.wrong(trial, f"of {encoded} passages that the killed process had encoded, {saved} were kept", folder)


def kills(
    launcher: Launcher, work: Path, *, seed: int, count: int, slack: int | None = None, size: int = 40, pause: float = 0.004,
    every: int = 50,
) -> dict[str, Any]:  # fmt: skip
    """Kill processes that do each of the operations in turn.

    :param count: kills in all, shared out evenly.
    :param slack: see `kill`.
    """
    trials = Trials("kills", seed, work / "broken", every)
    maker = Maker(launcher, work, size=size, pause=pause)
    scenarios = [maker.first_build(), maker.refresh(), maker.removal(), *maker.repairs(), *maker.migrations()]
    for number, scenario in enumerate(scenarios):
        share = count // len(scenarios) + (number < count % len(scenarios))
        kill(launcher, scenario, trials, work, seed, share, total=count, slack=slack)
        trials.counts[f"{scenario.name}: milliseconds"] = round(1000 * scenario.seconds)
    return trials.figures()
