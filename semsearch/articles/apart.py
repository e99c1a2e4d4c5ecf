"""Files read in a process of their own, which is ended when it takes too long: a library that hangs, fills all memory or crashes
on a damaged file costs that file and nothing else.

One such process serves a run, file by file; the next file after one that it did not survive starts another. What passes between
the two is pickled: both are ours, and nothing of it is kept.

Deliberately not here: the formats (`documents`).
"""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from semsearch.articles import documents
from semsearch.articles.documents import Draft
from semsearch.errors import InputError

__all__ = ["close", "read", "serve"]

SECONDS = 60.0
"""What a file may take; a PDF of a thousand pages takes 25."""
SECONDS_PER_MEGABYTE = 6.0
"""What it may take beyond that."""
_MEMORY = 4 * 2**30
"""Bytes of memory that the process may fill, where the system can be told so."""
_MAX_TEXT = 64 * 2**20
"""Characters that may come of one article."""
_lock = threading.Lock()


class _Child:
    """The process, and what it says."""

    def __init__(self) -> None:
        here = str(Path(__file__).parents[2])
        # Not "-m": Python would look for modules in the working directory, which is somebody's folder of articles.
        code = "import sys; sys.path[:] = sys.argv[1:]; from semsearch.articles import apart; apart.serve()"
        paths = [path for path in sys.path if Path(path).is_absolute()]
        self.owner = os.getpid()
        self.process = subprocess.Popen(  # noqa: S603 (our own interpreter and code)
            [sys.executable, "-I", "-c", code, here, *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.late = False

    def ask(self, kind: str, data: bytes, columns: Mapping[str, str]) -> Iterator[Draft | InputError]:
        """What comes of a file. The process is gone when this ends early."""
        timer = threading.Timer(SECONDS + SECONDS_PER_MEGABYTE * len(data) / 2**20, self._end)
        timer.daemon = True
        timer.start()
        finished = False
        try:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            pickle.dump((kind, data, dict(columns)), self.process.stdin, pickle.HIGHEST_PROTOCOL)
            self.process.stdin.flush()
            while (answer := pickle.load(self.process.stdout)) is not None:  # noqa: S301 (from our own process)
                if isinstance(answer, _Failed):
                    raise InputError(answer.reason)
                yield answer
            finished = True
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise InputError(self._what_happened()) from error
        except InputError:
            finished = True
            raise
        finally:
            timer.cancel()
            if not finished:
                self.close()

    def _end(self) -> None:
        self.late = True
        self.process.kill()

    def _what_happened(self) -> str:
        code = self.process.wait()
        if self.late:
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


class _Failed:
    """What the process says of a file that cannot be read."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


_child: _Child | None = None


def read(kind: str, data: bytes, columns: Mapping[str, str]) -> Iterator[Draft | InputError]:
    """As `documents.read`, in the other process.

    :raises InputError: if the file cannot be read, or took too long, or its reader crashed.
    """
    global _child  # noqa: PLW0603 (one process for all files of a run)
    with _lock:
        if _child is not None and (_child.owner != os.getpid() or _child.process.poll() is not None):
            _child = None
        if _child is None:
            _child = _Child()
        yield from _child.ask(kind, data, columns)


@atexit.register
def close() -> None:
    """End the process, if there is one; the next file starts another."""
    global _child  # noqa: PLW0603
    if _child is not None and _child.owner == os.getpid():
        _child.close()
    _child = None


def serve() -> None:
    """The other process: files come by the standard input, what is in them goes to the standard output."""
    # What libraries print must not come between.
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    _bound_memory()
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            kind, data, columns = pickle.load(sys.stdin.buffer)  # noqa: S301 (from the process that started this one)
            _answer(answers, kind, data, columns)


def _answer(answers: IO[bytes], kind: str, data: bytes, columns: Mapping[str, str]) -> None:
    def say(value: Any) -> None:
        pickle.dump(value, answers, pickle.HIGHEST_PROTOCOL)

    try:
        for draft in documents.read(kind, data, columns):
            if isinstance(draft, Draft) and sum(len(block.text) for block in draft.blocks) > _MAX_TEXT:
                raise InputError(f"more than {_MAX_TEXT // 2**20} million characters of text: split the file")
            say(draft)
        say(None)
    except InputError as error:
        say(_Failed(str(error)))
    except MemoryError:
        say(_Failed("takes more memory than there is for one file: split it"))
    except RecursionError:
        say(_Failed("nested too deeply to be read"))
    except Exception as error:
        # Whatever a library stumbles over.
        say(_Failed(f"cannot be read ({type(error).__name__})"))
    answers.flush()


def _bound_memory() -> None:
    try:
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (min(_MEMORY, most) if most > 0 else _MEMORY, most))
    except (ImportError, ValueError, OSError):
        # Windows has no such bound, macOS does not keep it: the time is bounded all the same.
        return
