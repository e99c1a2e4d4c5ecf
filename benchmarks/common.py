"""What the benchmarks share: where the data is, running a process and what it took, medians with their spread."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("faiss-cpu", "numpy", "onnxruntime", "openvino", "sentence-transformers", "tokenizers", "torch")


@dataclass(frozen=True)
class Run:
    """One whole process: wall-clock seconds, peak resident memory in MB, what it printed."""

    seconds: float
    megabytes: float
    output: str


def data_folder() -> Path:
    """The folder of test collections; ends the program where it is not known."""
    folder = os.environ.get("SEMSEARCH_DATA")
    if not folder:
        sys.exit("SEMSEARCH_DATA is not set: it names the folder of test collections in BEIR format")
    return Path(folder)


def run(command: list[str], accept: tuple[int, ...] = (0,)) -> Run:
    """Run a process to its end.

    :param accept: exit codes that are no failure.
    """
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        output = process.stdout.read()
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in accept:
        sys.exit(f"{command} failed: {errors.decode()[-2000:]}")
    return Run(seconds, usage.ru_maxrss / 1024, output.decode())


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {"median": round(median(values), 4), "min": round(min(values), 4), "max": round(max(values), 4)}


def machine() -> dict[str, object]:
    """What the figures were got on."""
    cpu = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0] if names else cpu
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }


def save(name: str, figures: dict[str, object]) -> None:
    """Print the figures and keep them in ``results/NAME.json``."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(figures, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(text)
