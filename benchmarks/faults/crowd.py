"""Two writers and many readers of one index at once."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from faults import collection, scenarios
from faults.launcher import PATIENCE, Launcher, Outcome
from faults.trials import Trials, Unwanted

ENCODER = {"batch": 64}
WAYS = ("anew", "refreshed", "shared")
"""How readers read in turn; see `jobs.read`."""


def make_states(launcher: Launcher, folder: Path, size: int) -> tuple[dict[str, collection.Articles], dict[str, Any]]:
    """Two states of a collection, the answers of each, and an index in the first of them in ``folder/index``."""
    states = {"A": collection.earlier(size), "B": collection.later(size)}
    answers = {}
    folder.mkdir(parents=True)
    for name in ("B", "A"):
        collection.write_records(states[name], folder / "articles.jsonl")
        outcome = launcher.run("build", folder=folder, sources=["articles.jsonl"], index="index", encoder=ENCODER)
        if outcome.result is None or outcome.error:
            raise Unwanted(f"build without any fault: {outcome.described()}")
        answers[name] = scenarios.ask(launcher, folder, ENCODER, collection.QUESTIONS)["answers"]
    if any(collection.same(answers["A"][key], answers["B"][key]) for key in answers["A"]):
        raise Unwanted("the two states answer a question alike")
    return states, answers


def gather(
    launcher: Launcher, folder: Path, states: dict[str, collection.Articles], answers: dict[str, Any], trials: Trials,
    *, writers: int, readers: int, seconds: float, pause: float,
) -> None:  # fmt: skip
    """Let so many processes write and read for so many seconds.

    Counts: ``searches``, of them answers of ``state A`` and ``state B``; ``rounds`` of questions; ``generations``, the most that
    one reader saw; ``refreshed``, how often an open index went on to a newer one; ``written`` and ``locked`` of the writers.
    """
    until = time.time() + seconds
    given = {"folder": folder, "index": "index", "options": ENCODER, "until": until}
    writing = [launcher.start("write", records="articles.jsonl", states=states, **given) for _ in range(writers)]
    reading = [
        launcher.start("read", states=answers, how=WAYS[number % len(WAYS)], pause=pause, **given) for number in range(readers)
    ]
    for kind, jobs in (("writer", writing), ("reader", reading)):
        for number, job in enumerate(jobs):
            try:
                _add(job.wait(seconds + PATIENCE), f"{kind} {number}", trials)
            except (Unwanted, TimeoutError) as error:
                trials.wrong(f"{kind} {number}", error)
    # The last writer's generation is whole, too.
    last = scenarios.ask(launcher, folder, ENCODER, collection.QUESTIONS)
    if "error" in last or not any(collection.all_same(last["answers"], each) for each in answers.values()):
        trials.wrong("afterwards", f"the index is in neither state: {last.get('error', 'other answers')}", folder)
    elif not (said := scenarios.check(launcher, folder, ENCODER)).get("ok"):
        trials.wrong("afterwards", f"the index is not sound: {said}", folder)


def _add(outcome: Outcome, who: str, trials: Trials) -> None:
    result = outcome.result
    if result is None or outcome.error:
        raise Unwanted(outcome.described())
    numbers = {key: value for key, value in result.items() if isinstance(value, int) and not key.startswith("n_")}
    trials.counts.update(Counter(numbers))
    trials.counts["errors"] += result["n_errors"]
    trials.counts["wrong"] += result.get("n_wrong", 0)
    if "generations" in result:
        trials.counts["generations"] = max(trials.counts["generations"], len(result["generations"]))
    for what in (*result["errors"], *result.get("wrong", ())):
        trials.wrong(who, what)


def crowd(
    launcher: Launcher, work: Path, *, seed: int, seconds: float, writers: int = 2, readers: int = 20, size: int = 24,
    pause: float = 0.2,
) -> dict[str, Any]:  # fmt: skip
    """Two writers and twenty readers."""
    trials = Trials("crowd", seed, work / "broken", 0)
    states, answers = make_states(launcher, work / "shared", size)
    gather(
        launcher, work / "shared", states, answers, trials, writers=writers, readers=readers, seconds=seconds, pause=pause
    )  # fmt: skip
    return {"writers": writers, "readers": readers, **trials.figures()}
