"""The command as a process of its own: ``semsearch``, ``python -m semsearch``.

What the libraries leave behind when they are imported is searched for garbage many times on the way and once more at the end,
which takes a tenth of the time of a question and finds nothing. So it is searched more rarely, and at the end not at all: the
system takes the memory.
"""

import atexit
import gc

_ALLOCATIONS = 50_000
"""More of these than are freed before young objects are looked through; Python's own number is 700, and 2,000 from 3.13 on."""


def run() -> None:
    """Run the command line, and exit."""
    gc.set_threshold(_ALLOCATIONS)
    atexit.register(gc.freeze)
    from semsearch.cli import main

    main(prog_name="semsearch")


if __name__ == "__main__":
    run()
