"""Limits of computation: number of threads, memory of a build, deadline of a request.

All that computes asks here: the model's engines, faiss. While a question is answered numpy multiplies with one thread: what is
multiplied then is small, and threads that wait for more of it spin, in the way of those that run the model: on two cores a
question took 28 ms in place of 12. So it does while passages are encoded, by as many threads as there are processors.

A service sets a deadline around the work of a request; loops over all articles check it. Outside a service no deadline is set.

Deliberately not here: setting the threads of onnxruntime, openvino and faiss, which their doors do.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semsearch.errors import InputError

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

__all__ = ["MEMORY", "THREADS", "DeadlineExceeded", "check_deadline", "deadline", "memory", "one_multiplier", "processors"]

THREADS = "SEMSEARCH_THREADS"
"""Names the environment variable that says how many threads compute at most."""
MEMORY = "SEMSEARCH_MEMORY"
"""Names the environment variable that says how many megabytes a build fills."""
_MEGABYTES = 256
_LEAST = 64
"""Tantivy writes with no less than a quarter of it."""
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux tells a container how much of the processors it gets: two numbers, microseconds in so many."""


_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


class DeadlineExceeded(Exception):
    """The deadline of a request has passed."""

    def __init__(self) -> None:
        super().__init__("the time limit of the request was exceeded: request fewer hits or conditions, or try again later")


@contextmanager
def deadline(at: float) -> Iterator[None]:
    """Set the deadline of what this thread does within the context.

    :param at: a time of `time.monotonic`.
    """
    token = _deadline.set(at)
    try:
        yield
    finally:
        _deadline.reset(token)


def check_deadline() -> None:
    """Stop work whose deadline has passed.

    :raises DeadlineExceeded: if it has.
    """
    if time.monotonic() > _deadline.get():
        raise DeadlineExceeded


def processors() -> int:
    """Processors that this process may use: those it is bound to, its container's share of them, what the user allows.

    :raises InputError: if `THREADS` is set to something else than a number from 1.
    """
    known = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        known = min(known, max(1, math.ceil(int(quota) / int(period))))
    allowed = os.environ.get(THREADS)
    if not allowed:
        return known
    if not allowed.isascii() or not allowed.isdecimal() or not int(allowed):
        raise InputError(f"{THREADS} is {allowed!r}: set it to how many threads may compute, such as 2")
    return min(known, int(allowed))


def memory() -> int:
    """Megabytes that a build fills with what is under way, beside the model and lists of what there is: 256 unless the user says.

    Half of it with passages on their way through the model, a quarter with words, a quarter with pages of the database.

    :raises InputError: if `MEMORY` is set to something else than a number from 64.
    """
    allowed = os.environ.get(MEMORY)
    if not allowed:
        return _MEGABYTES
    if not allowed.isascii() or not allowed.isdecimal() or int(allowed) < _LEAST:
        raise InputError(f"{MEMORY} is {allowed!r}: set it to how many megabytes may be filled, from {_LEAST} on")
    return int(allowed)


def one_multiplier() -> AbstractContextManager[Any]:
    """For its time, numpy multiplies with one thread, in the whole process."""
    limit: AbstractContextManager[Any] = _controller().limit(limits=1)
    return limit


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
