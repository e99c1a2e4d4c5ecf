"""What runs in a worker process of the cluster: a shard in, what was encoded of it out.

The encoder is loaded once in a process, and used by one thread at a time. It computes with as many threads as Dask gives the
worker, so that several workers of one machine share its processors as whoever started them meant it.

Everything that a worker cannot or will not do is answered, and not raised, with the worker's address: who reads it has to know
which machine to mend.

Deliberately not here: which shard goes where (Dask), and what becomes of an answer (`spread`).
"""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from semsearch import encoder as encoders
from semsearch._version import __version__
from semsearch.cluster.shards import Packed, PlainText, packed
from semsearch.errors import SemsearchError
from semsearch.limits import THREADS
from semsearch.protocols import Encoder, Fingerprint, PassageText
from semsearch.records import Sentence

__all__ = ["Answer", "Parcel", "encode", "line"]


class Parcel(NamedTuple):
    """What an encoder is made of beside the model that lies on the worker's machine.

    ``digest``: SHA-256 hex digest of ``data``, by which it is known. ``is_encoder``: whether that is the user's own encoder,
    pickled; else it is the network in 8 bits.
    """

    digest: str
    is_encoder: bool
    data: bytes = b""

    @property
    def name(self) -> Parcel:
        """The same without what it is."""
        return self._replace(data=b"")


class Answer(NamedTuple):
    """What a worker gives back: ``packed``, or why there is nothing.

    ``wants``: it has not got the `Parcel` yet. ``refusal``: it cannot encode for this index, whatever it is given. ``failure``:
    this shard went wrong this time.
    """

    worker: str
    engine: str = ""
    packed: Packed | None = None
    wants: bool = False
    refusal: str = ""
    failure: str = ""


_LOCK = threading.Lock()
_LOADED: dict[tuple[Fingerprint, str], Encoder] = {}
"""One, by its fingerprint and the digest of its `Parcel`: a model takes hundreds of megabytes."""


def encode(version: str, model: dict[str, Any], sent_along: tuple[str, bool, bytes] | None, texts: Sequence[PlainText]) -> Answer:
    """Encode a shard. What is given are plain values, for Dask's scheduler looks into them.

    :param version: of semsearch, where the index is made.
    :param model: its fingerprint.
    :param sent_along: a `Parcel`; may be without its data, which is then asked for if it is needed.
    """
    worker, threads = _here()
    if version != __version__:
        return Answer(worker, refusal=f"it has semsearch {__version__}, and {version} makes the index: install that there")
    fingerprint = Fingerprint(**model)
    parcel = Parcel(*sent_along) if sent_along else None
    with _LOCK:
        try:
            encoder = _LOADED.get((fingerprint, parcel.digest if parcel else ""))
            if encoder is None:
                if parcel and not parcel.data:
                    return Answer(worker, wants=True)
                encoder = _load(fingerprint, parcel, threads)
        except SemsearchError as error:
            return Answer(worker, refusal=f"it cannot load the model ({error})")
        except Exception as error:
            return Answer(worker, refusal=f"it cannot load the model ({line(error)})")
        if not encoder.fingerprint.same_vectors(fingerprint):
            return Answer(worker, refusal=f"its {encoder.fingerprint.model!r} is another model than that of the index")
        try:
            given = [PassageText(context, text, tuple(Sentence(*span) for span in spans)) for context, text, spans in texts]
            found = packed(encoder.encode_passages(given), len(given), fingerprint.dimension)
        except Exception as error:
            return Answer(worker, failure=line(error))
        return Answer(worker, encoder.engine, found)


def _load(fingerprint: Fingerprint, parcel: Parcel | None, threads: int) -> Encoder:
    # What was set for this process by whoever started it goes before what Dask was told.
    os.environ.setdefault(THREADS, str(threads))
    if parcel and hashlib.sha256(parcel.data).hexdigest() != parcel.digest:
        raise ValueError("what came is not what was sent")
    _LOADED.clear()
    if parcel and parcel.is_encoder:
        # Out of the process that makes the index, by Dask, all of whose messages are pickles.
        encoder: Encoder = pickle.loads(parcel.data)  # noqa: S301
    else:
        encoder = encoders.load_for(fingerprint, (lambda: parcel.data) if parcel else None)
    _LOADED[fingerprint, parcel.digest if parcel else ""] = encoder
    return encoder


def _here() -> tuple[str, int]:
    """The address of this worker, and its threads."""
    from distributed import get_worker

    worker = get_worker()
    return str(worker.address), int(worker.state.nthreads)


def line(error: BaseException) -> str:
    """What went wrong, in one line."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
