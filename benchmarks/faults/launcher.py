"""Starting jobs in processes of their own, killing them, waiting for them; see `jobs` for what they do."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import semsearch

BENCHMARKS = Path(__file__).parent.parent
PATIENCE = 120.0
"""Seconds after which a job that was not meant to last passes for hanging."""


def import_path() -> str:
    """PYTHONPATH of a process under test: it imports the same semsearch as this one, and these modules."""
    places = [str(BENCHMARKS), str(Path(semsearch.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, places))


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    ``status``: its exit code, or the negative number of the signal that ended it. ``result``: what it gave back; of an error
    ``error``, ``message``, and ``foreign``, the traceback, if it is none of semsearch's; None of a process that was ended.
    ``encoded``: passages it encoded. ``seconds``: from the beginning of the job proper.
    """

    status: int
    result: dict[str, Any] | None
    encoded: int
    seconds: float

    @property
    def error(self) -> str:
        """The error's name, "" where there was none."""
        return "" if self.result is None else self.result.get("error", "")

    def described(self) -> str:
        """In one line, for a report."""
        if self.result is None:
            return f"ended by {'signal' if self.status < 0 else 'exit code'} {abs(self.status)}"
        if self.error:
            return self.result.get("foreign") or f"{self.error}: {self.result['message']}"
        return "success"


class Job:
    """A process under test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.told: queue.Queue[tuple[float, list[str]]] = queue.Queue()
        self.pid = 0
        self._begun = 0.0
        self._status: int | None = None
        self._ended = 0.0

    def begin(self) -> None:
        """Wait until the job proper begins."""
        self._until("begin", PATIENCE)

    def kill(self, after: float) -> bool:
        """SIGKILL to the process and its group, so many seconds after it began; False if it had ended before."""
        self.begin()
        if self._until("end", max(0.0, self._begun + after - time.perf_counter())):
            return False
        self._end()
        self._until("end", PATIENCE)
        return self._status == -signal.SIGKILL

    def _end(self) -> None:
        # It may end by itself just now.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self, patience: float = PATIENCE) -> Outcome:
        """Wait for its end.

        :raises TimeoutError: if it does not end; it is killed then.
        """
        if not self._until("end", patience):
            self._end()
            self._until("end", PATIENCE)
            raise TimeoutError(f"a job did not end within {patience:.0f} s")
        assert self._status is not None
        out, encoded = self._folder / "out", self._folder / "encoded"
        text = out.read_text(encoding="utf-8") if out.exists() else ""
        count = int.from_bytes(encoded.read_bytes(), "little") if encoded.exists() else 0
        shutil.rmtree(self._folder, ignore_errors=True)
        result = None
        if self._status >= 0 and text:
            result = json.loads(text)
        return Outcome(self._status, result, count, self._ended - self._begun)

    def _until(self, what: str, patience: float) -> bool:
        """Whether the process told this within so many seconds, or had told it before."""
        limit = time.perf_counter() + patience
        while not (self._status is not None or (what == "begin" and self._begun)):
            try:
                moment, told = self.told.get(timeout=max(0.0, limit - time.perf_counter()))
            except queue.Empty:
                return False
            if told[0] == "pid":
                self.pid = int(told[1])
            elif told[0] == "begin":
                self._begun = moment
            elif told[0] == "end":
                self._ended = moment
                self._status = os.waitstatus_to_exitcode(int(told[1]))
            elif told[0] == "lost":
                raise RuntimeError("the program that makes the processes under test has ended")
        return True


class Launcher:
    """Makes processes under test; a context manager, which leaves none.

    :param shim: the library from `compile_shim`, None where no file operation is to be counted.
    """

    def __init__(self, shim: Path | None = None) -> None:
        self.shim = shim
        self._folder = Path(tempfile.mkdtemp(prefix="semsearch-jobs-"))
        # Jobs that give up their rights have to enter it.
        self._folder.chmod(0o755)
        self._count = 0
        self._jobs: dict[str, Job] = {}
        environment = {
            **os.environ,
            # A process that has threads must not fork; and the machine is shared by several.
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1"),
            "PYTHONPATH": import_path(),
            "PYTHONWARNINGS": "ignore",
        }
        if shim is not None:
            environment["LD_PRELOAD"] = str(shim)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.jobs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=BENCHMARKS,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the processes under test cannot be made")
        self._pump = threading.Thread(target=self._listen, daemon=True)
        self._pump.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, *told = line.split()
            job = self._jobs.get(number)
            if job:
                job.told.put((time.perf_counter(), told))
                if told[0] == "end":
                    del self._jobs[number]
        for job in list(self._jobs.values()):
            job.told.put((0.0, ["lost"]))

    def start(
        self,
        do: str,
        *,
        folder: Path,
        faults: dict[str, Any] | None = None,
        limit: int | None = None,
        uid: int | None = None,
        **given: Any,
    ) -> Job:
        """Start a job in a folder; see `jobs` for what there is and what it takes."""
        self._count += 1
        number = str(self._count)
        own = self._folder / number
        own.mkdir()
        job = self._jobs[number] = Job(own)
        order: dict[str, Any] = {"id": number, "do": do, "given": given, "folder": str(folder)}
        order.update({"out": str(own / "out"), "encoded": str(own / "encoded")})
        order.update({key: value for key, value in (("faults", faults), ("limit", limit), ("uid", uid)) if value is not None})
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return job

    def run(self, do: str, patience: float = PATIENCE, **given: Any) -> Outcome:
        """Start a job and wait for its end."""
        return self.start(do, **given).wait(patience)

    def close(self) -> None:
        """End all."""
        for job in list(self._jobs.values()):
            if job.pid:
                job._end()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._pump.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Launcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def compile_shim(folder: Path) -> Path | str:
    """The library made of ``faults.c``, or the reason why there is none."""
    if not sys.platform.startswith("linux"):
        return "file operations are counted on Linux only"
    compiler = shutil.which("cc")
    if compiler is None:
        return "no C compiler (cc)"
    library = folder / "faults.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(BENCHMARKS / "faults.c"), "-ldl"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    return library if made.returncode == 0 else f"faults.c cannot be compiled: {made.stderr.strip()[:500]}"
