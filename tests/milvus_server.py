"""A Milvus server for tests: ``milvus-lite server``, a process of its own in a folder of its own, which ends with the tests."""

from __future__ import annotations

import atexit
import importlib.util
import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from semsearch.engines.seam import Engine

__all__ = ["Server", "address", "milvus"]

_numbers = itertools.count()


class Server:
    """A server that can be killed and started again on the same folder."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="semsearch-milvus-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        # It looks for no other network, and what it prints is of no interest unless it ends.
        with open(f"{self.folder}.log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "milvus_lite", "server", "--host", "127.0.0.1", "--port", str(self.port),
                 "--data-dir", self.folder],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )  # fmt: skip
        until = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < until:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"milvus-lite did not start: {Path(f'{self.folder}.log').read_text()[-2000:]}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        Path(f"{self.folder}.log").unlink()

    def address(self, options: str = "") -> str:
        """Of an index that is not there yet."""
        return f"milvus://127.0.0.1:{self.port}/articles_{next(_numbers)}{options}"


@cache
def _server() -> Server:
    server = Server()
    atexit.register(server.end)
    return server


def address(options: str = "") -> str:
    """Of an index that is not there yet, in the server of all tests."""
    for name in ("pymilvus", "milvus_lite"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    return _server().address(options)


@contextmanager
def milvus() -> Iterator[Engine]:
    from semsearch.engines.milvus import connect

    engine = connect(address())
    try:
        yield engine
    finally:
        engine.close()
