"""A scheduler of Dask and its nodes as real processes on this machine, to be killed.

A node is what ``dask worker`` starts: a process that looks after its workers, and these. All listen on 127.0.0.1 alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil

from semsearch.cluster import spread

PATIENCE = 120.0
"""Seconds after which what does not come passes for hanging."""


class Cluster:
    """A scheduler and its nodes; what was killed is started again when it is needed next.

    :param folder: for what they say, and what they keep.
    :param environment: of theirs, beside that of this process.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = {**os.environ, **environment}
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._nodes: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def scheduler(self) -> str:
        """The address of a running scheduler; its nodes are others than before if it is another one."""
        if self._scheduler is None or self._scheduler.poll() is not None:
            said = self._folder / "scheduler.json"
            said.unlink(missing_ok=True)
            self._scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(said))
            self.nodes(0, known=False)
            wait_for(lambda: self._address_in(said))
        return self.address

    def nodes(self, count: int, workers: int = 1, threads: int = 1, *, known: bool = True) -> list[subprocess.Popen[bytes]]:
        """So many living nodes, those that are missing of so many workers with so many threads each; more than that are killed.

        :param known: whether to wait until the scheduler knows of them all, and of none beside them.
        """
        self._nodes = [node for node in self._nodes if node.poll() is None]
        while len(self._nodes) > count:
            kill(self._nodes.pop())
        if not known:
            return self._nodes
        address = self.scheduler()
        how = ("--nworkers", str(workers), "--nthreads", str(threads), "--memory-limit", "0")
        while len(self._nodes) < count:
            self._nodes.append(self._start("worker", address, *how, "--local-directory", str(self._folder)))
        with closing(client_of(address)) as client:
            wait_for(lambda: len(client.nthreads()) == count * workers)
        return self._nodes

    def kill_scheduler(self) -> None:
        """The scheduler alone."""
        if self._scheduler is not None:
            kill(self._scheduler)

    def close(self) -> None:
        """Kill all of them."""
        self.nodes(0, known=False)
        self.kill_scheduler()

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        local = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")
        with (self._folder / f"{arguments[0]}.log").open("ab") as log:
            command = [sys.executable, "-m", "dask", *arguments, *local]
            # A scheduler needs nothing of ours.
            environment = self._environment | ({"PYTHONPATH": ""} if arguments[0] == "scheduler" else {})
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=self._folder)

    def _address_in(self, said: Path) -> str:
        with suppress(OSError, ValueError):
            self.address = json.loads(said.read_text(encoding="utf-8"))["address"]
            return self.address
        return ""


def client_of(address: str) -> Any:
    """A client of Dask beside the one that a build has."""
    return spread.distributed().Client(address, set_as_default=False)


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Until it is so.

    :raises TimeoutError: if it is not within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} seconds")
        time.sleep(0.02)


def workers_of(node: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The worker processes of a node."""
    return [child for child in psutil.Process(node.pid).children() if "spawn_main" in " ".join(child.cmdline())]


def kill(process: subprocess.Popen[bytes]) -> None:
    """With all that it started, at once: none of them sees another one die."""
    if process.poll() is None:
        found = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for each in found:
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(number)
        process.wait()
