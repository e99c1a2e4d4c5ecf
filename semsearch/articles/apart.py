"""Files read in a process of their own, which is ended when it takes too long: a library that hangs, fills all memory or crashes
on a damaged file costs that file and nothing else.

A process serves one file after the other; after one that it did not survive, the next file starts another, and so does a file
that is read while another one is not yet read to its end. The parent does not trust what the process sends: a library with a
security hole may have handed control of it to a file. It gets no environment variable but those in `_ENVIRONMENT`, and a
malformed message ends it.

Deliberately not here: the formats (`documents`), messages (`wire`).
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from semsearch.articles import documents, wire
from semsearch.articles.documents import Draft
from semsearch.errors import InputError

__all__ = ["close", "read", "serve"]

SECONDS = 60.0
"""For which a file may be waited for, not counting what becomes of its articles meanwhile; a PDF of a thousand pages takes 20."""
SECONDS_PER_MEGABYTE = 6.0
"""What it may take beyond that."""
_LOOK = 0.1
"""Seconds after which it is looked again whether a file takes too long."""
_MEMORY = 4 * 2**30
"""Bytes of memory that the process may fill, where the system can be told so."""
_GRACE = 10.0
"""Seconds in which a process has to exit after it has closed its output."""
# Not "-m": Python would look for modules in the working directory, which is somebody's folder of articles.
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from semsearch.articles import apart; apart.serve()"
_ENVIRONMENT = "DYLD_LIBRARY_PATH LANG LC_ALL LC_CTYPE LD_LIBRARY_PATH PATH SYSTEMDRIVE SYSTEMROOT TEMP TMP TMPDIR TZ WINDIR"
"""Environment variables that the process gets, where they are set. Others may hold passwords and tokens."""


_MALFORMED = "cannot be read: the process that reads it sent a malformed message"


class _Child:
    """The process, and what it says."""

    def __init__(self) -> None:
        here = str(Path(__file__).parents[2])
        paths = [path for path in sys.path if Path(path).is_absolute()]
        self.owner = os.getpid()
        try:
            self.process = subprocess.Popen(  # noqa: S603 (our own interpreter and code)
                [sys.executable, "-I", "-c", _PROGRAM, here, *paths],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT.split() if name in os.environ},
            )
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be read: no process can be started for it ({error})") from error

    def ask(self, kind: str, data: bytes, columns: Mapping[str, str]) -> Iterator[Draft | InputError]:
        """Yield the articles of a file. Kill the process if the iteration stops early.

        :raises InputError: if the file cannot be read.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        limit = SECONDS + SECONDS_PER_MEGABYTE * len(data) / 2**20
        replies = wire.ReplyReader(self.process.stdout, len(data))
        finished = False
        with _Patience(self.process, limit) as patience:
            try:
                with patience.waiting():
                    wire.send_request(self.process.stdin, kind, data, columns, limit)
                    answer = replies.receive()
                while answer is not None:
                    if isinstance(answer, wire.Failure):
                        finished = True
                        raise InputError(answer.reason)
                    yield answer
                    with patience.waiting():
                        answer = replies.receive()
                finished = True
            except InputError:
                raise
            except wire.Malformed as error:
                raise InputError(f"{_MALFORMED} ({error}): the file is damaged or malicious; remove it or repair it") from error
            except (EOFError, OSError, ValueError) as error:
                raise InputError(self._what_happened(late=patience.lost)) from error
            finally:
                if not finished:
                    self.close()

    def _what_happened(self, *, late: bool) -> str:
        """Return why the process has closed its output."""
        try:
            code = self.process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            return f"{_MALFORMED} (it ended too early): the file is damaged or malicious; remove it or repair it"
        # It counts its own time, too.
        if late or code == -getattr(_signals(), "SIGXCPU", 0):
            return "takes too long to be read: the file is damaged, or made to do so"
        return f"cannot be read: its reader crashed ({'signal' if code < 0 else 'code'} {abs(code)})"

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self.process.wait()


class _Patience:
    """Kills a process that is waited for too long; time in which nobody waits for it does not count.

    ``lost``: whether it had to.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.lost = False
        self._process = process
        self._left = seconds
        self._since: float | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Patience:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def waiting(self) -> _Waiting:
        """While this context is open, the process is waited for."""
        return _Waiting(self)

    def begin(self) -> None:
        self._since = time.monotonic()

    def end(self) -> None:
        since, self._since = self._since, None
        self._left -= time.monotonic() - (since or 0.0)

    def _look(self) -> None:
        while not self._done.wait(min(_LOOK, max(0.01, self._left))):
            since = self._since
            if since is not None and time.monotonic() - since > self._left:
                self.lost = True
                self._process.kill()
                return


class _Waiting:
    def __init__(self, patience: _Patience) -> None:
        self._patience = patience

    def __enter__(self) -> None:
        self._patience.begin()

    def __exit__(self, *_: object) -> None:
        self._patience.end()


_lock = threading.Lock()
_idle: _Child | None = None
"""The process that waits for the next file, if there is one."""


def read(kind: str, data: bytes, columns: Mapping[str, str]) -> Iterator[Draft | InputError]:
    """As `documents.read`, in another process.

    :raises InputError: if the file cannot be read, or took too long, or its reader crashed.
    """
    child = _taken() or _Child()
    try:
        yield from child.ask(kind, data, columns)
    finally:
        _given_back(child)


def _taken() -> _Child | None:
    global _idle
    with _lock:
        child, _idle = _idle, None
    # One that was forked off has its parent's; it is not its to end.
    return child if child is not None and child.owner == os.getpid() and child.process.poll() is None else None


def _given_back(child: _Child) -> None:
    global _idle  # noqa: PLW0603 (one process for all files of a run)
    if child.process.poll() is not None:
        return
    with _lock:
        if _idle is None:
            _idle = child
            return
    child.close()


@atexit.register
def close() -> None:
    """End the process that waits for the next file, if there is one; that file starts another."""
    child = _taken()
    if child is not None:
        child.close()


def serve() -> None:
    """The other process: files come by the standard input, what is in them goes to the standard output."""
    # What libraries print must not come between.
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    _bound_memory()
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            request = wire.receive_request(sys.stdin.buffer)
            _bound_time(request.seconds)
            _answer(answers, request)


def _answer(answers: IO[bytes], request: wire.Request) -> None:
    """Send the articles of a file, then an end marker or the reason of a failure."""
    end = None
    try:
        for answer in documents.read(request.kind, request.data, request.columns):
            wire.send(answers, answer)
    except InputError as error:
        end = wire.Failure(str(error))
    except MemoryError:
        end = wire.Failure("takes more memory than there is for one file: split it")
    except RecursionError:
        end = wire.Failure("nested too deeply to be read")
    except BrokenPipeError:
        raise
    except Exception as error:
        # Whatever a library stumbles over.
        end = wire.Failure(f"cannot be read ({type(error).__name__})")
    wire.send(answers, end)
    answers.flush()


def _signals() -> Any:
    import signal

    return signal


def _bound_memory() -> None:
    try:
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (min(_MEMORY, most) if most > 0 else _MEMORY, most))
    except (ImportError, ValueError, OSError):
        # Windows has no such bound, macOS does not keep it: the time is bounded all the same.
        return


def _bound_time(seconds: float) -> None:
    """End this process when it has computed for so long, should the one that waits for it be gone."""
    try:
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds) + 2, most))
    except (ImportError, ValueError, OSError):
        return
