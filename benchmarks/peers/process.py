"""Run a process to its end: seconds, peak memory, what it printed. `common.run` for commands that may fail and may say much."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from tempfile import TemporaryFile

from peers.environments import BENCHMARKS, Failed


@dataclass(frozen=True)
class Outcome:
    """Wall-clock seconds of the whole process, peak resident memory in MB, standard output.

    The memory is that of the process, or of the greatest that it started where that is greater.
    """

    seconds: float
    megabytes: float
    output: str


def finish(command: list[str], variables: dict[str, str], *, answers: tuple[int, ...] = (0,)) -> Outcome:
    """Run a command in the folder of the benchmarks, so that ``-m peers.NAME`` finds a script.

    :param answers: exit statuses of a command that did what it should.
    :raises Failed: if it has another one.
    """
    # Into files: a pipe that nobody empties would stop a tool that shows its progress.
    with TemporaryFile() as output, TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=BENCHMARKS, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode not in answers:
            raise Failed(f"exit status {process.returncode}: {errors.read().decode(errors='replace').strip()[-1000:]}")
        return Outcome(seconds, usage.ru_maxrss / 1024, output.read().decode(errors="replace"))


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    print(text, file=sys.stderr, flush=True)
