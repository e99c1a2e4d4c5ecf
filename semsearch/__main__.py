"""The command as a process of its own: ``semsearch``, ``python -m semsearch``.

What the libraries leave behind when they are imported is searched for garbage many times on the way and once more at the end,
which takes a tenth of the time of a question and finds nothing. So it is searched more rarely, and at the end not at all: the
system takes the memory.
"""

from __future__ import annotations

import atexit
import gc
import sys
import threading
from types import TracebackType

_ALLOCATIONS = 50_000
"""More of these than are freed before young objects are looked through; Python's own number is 700, and 2,000 from 3.13 on."""


def run() -> None:
    """Run the command line, and exit."""
    sys.excepthook = _print_traceback
    threading.excepthook = lambda crash: _print_traceback(crash.exc_type, crash.exc_value, crash.exc_traceback)
    gc.set_threshold(_ALLOCATIONS)
    atexit.register(gc.freeze)
    from semsearch.cli import main

    main(prog_name="semsearch")


def _print_traceback(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Print the traceback of an unexpected error without the secrets of addresses in its message."""
    import traceback

    from semsearch.redaction import redact

    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


if __name__ == "__main__":
    run()
