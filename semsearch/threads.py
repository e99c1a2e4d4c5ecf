"""How many threads multiply: one while a question is answered.

What is multiplied then is small, and threads that wait for more of it spin, in the way of those that run the model: on two cores
a question took 28 ms in place of 12.

Deliberately not here: the threads of onnxruntime, openvino and faiss, which their doors set.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

__all__ = ["one_multiplier"]


def one_multiplier() -> AbstractContextManager[Any]:
    """For its time, numpy multiplies with one thread, in the whole process."""
    limit: AbstractContextManager[Any] = _controller().limit(limits=1)
    return limit


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
