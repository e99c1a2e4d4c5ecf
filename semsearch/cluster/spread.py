"""The encoder whose passages the workers of a cluster encode, and what is done where one of them fails.

What a dead worker was at is given to others by Dask. Here is decided what Dask leaves open: how many shards are under way, that a
scheduler which is gone ends the build, that workers are waited for, but not for ever, and that a shard which ends whatever it
meets is given up.

Deliberately not here: what a shard is (`shards`), and what a worker does with it (`worker`).
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import queue
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict
from typing import Any, NamedTuple

from semsearch._version import __version__
from semsearch.cluster.shards import Shard, cut
from semsearch.cluster.worker import Answer, Parcel, line
from semsearch.errors import EngineError, InputError, MissingExtra
from semsearch.protocols import Encoded, Encoder, Fingerprint, PassageText, Queries

__all__ = ["ClusterEncoder", "Spread", "connected", "distributed"]

logger = logging.getLogger("semsearch")

Network = Callable[[], bytes]
Spread = Callable[[Encoder, Network], Encoder]
"""Makes of an encoder, and of what gives its network in 8 bits if it has one, the one whose passages the cluster encodes."""

_SCHEMES = ("tcp://", "tls://")
_CONNECTING = 10.0
"""Seconds in which a scheduler has to answer."""
_PATIENCE = 60.0
"""Seconds for which a cluster may be without any worker: machines that were restarted are back by then."""
_TICK = 1.0
"""Seconds after which it is looked whether there is still anybody, where nothing comes."""
_COUNTED = 2.0
"""Seconds for which the number of workers is believed."""
_FETCHING = 10.0
"""Seconds for which what a worker has is waited for before it is looked whether there is still anybody."""
_TOKENS = 8192
"""Of a shard for each thread of the greatest worker: on one thread half a second to a second, four batches of openvino."""
_MOST_THREADS = 16
_AHEAD = 3
"""Shards for each worker: one that it is at, and two that wait, so that it never does."""
_TRIES = 3
"""Times that a shard is begun anew after it went wrong. Each time Dask itself gives it to several workers, if they die of it
(``distributed.scheduler.allowed-failures``, 3)."""
_GOES_ON = "run this again: it goes on where it stopped"


def connected(address: str | None) -> AbstractContextManager[Spread | None]:
    """A cluster for as long as it is needed; None where no address is given.

    :param address: of its scheduler, ``tcp://HOST:PORT``, or ``tls://HOST:PORT`` with certificates that Dask's own configuration
        names.
    :raises InputError: if that is no such address.
    :raises MissingExtra: if Dask is not installed.
    :raises EngineError: if no scheduler answers.
    """
    if address is None:
        return nullcontext()
    if not address.startswith(_SCHEMES) or not address.partition("://")[2] or set("@?#") & set(address):
        # Without the address: it may have a password.
        raise InputError("not the address of a cluster: give the address of its scheduler, such as tcp://127.0.0.1:8786")
    return _connected(address)


@contextmanager
def _connected(address: str) -> Iterator[Spread]:
    client = _client(address)
    try:
        yield lambda encoder, network: ClusterEncoder(client, address, encoder, network)
    finally:
        # A scheduler that is gone need not be told.
        with suppress(Exception):
            client.close(timeout=2)


def _client(address: str) -> Any:
    try:
        client = distributed().Client
    except ImportError as error:
        raise MissingExtra(f'a cluster needs {error.name}: python -m pip install "semsearch[cluster]"') from error
    try:
        # Of other versions of its own Dask warns; which of them matter, a worker tells.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return client(address, timeout=_CONNECTING, set_as_default=False, direct_to_workers=False)
    except Exception as error:
        # What its network, its TLS and its handshake raise has no common base.
        raise EngineError(
            f"no scheduler of a cluster answers at {address} ({line(error)}): start one (dask scheduler), or mend the address"
        ) from error


def distributed() -> Any:
    """The package, whose log goes where this process's goes, and not to stderr.

    What another part of the process imported before stays as it is.

    :raises ImportError: if it is not installed.
    """
    known = "distributed" in sys.modules
    package = importlib.import_module("distributed")
    if not known:
        for name in ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application"):
            its = logging.getLogger(name)
            its.handlers = [logging.NullHandler()]
            its.propagate = True
    return package


class ClusterEncoder:
    """`Encoder` whose passages are encoded by a cluster, and all else by another encoder, which has the same vectors.

    :param client: of Dask; closed by who made it.
    :param local: one of semsearch's own encoders, whose model lies on the workers' machines, too; or the user's own, which is
        pickled and sent there.
    :param network: gives the network in 8 bits, if the local encoder has one: it is sent once to each worker.
    :raises InputError: if the user's own encoder cannot be sent.
    """

    def __init__(self, client: Any, address: str, local: Encoder, network: Network) -> None:
        self._client = client
        self._address = address
        self._local = local
        self._network = network
        self._parcel: Parcel | None = None
        self._engines: set[str] = set()
        if type(local).__module__.partition(".")[0] != "semsearch":
            self._parcel = _pickled(local)

    @property
    def fingerprint(self) -> Fingerprint:
        """What the vectors depend on."""
        return self._local.fingerprint

    @property
    def engine(self) -> str:
        """What encoded passages on the workers so far."""
        return ", ".join([*sorted(self._engines), "cluster"])

    @property
    def passage_tokens(self) -> int:
        """Tokens that a passage and its context may have together."""
        return self._local.passage_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text; counted here."""
        return self._local.count_tokens(texts)

    def encode_queries(self, texts: Sequence[str]) -> Queries:
        """Questions; encoded here."""
        return self._local.encode_queries(texts)

    def encode_passages(self, passages: Sequence[PassageText]) -> Iterator[Encoded]:
        """Passages, by the cluster, in the order in which it is done; each position comes once.

        :raises EngineError: if the cluster cannot; what has come until then is right.
        """
        if not passages:
            return
        if self._parcel is None and self.fingerprint.quantized:
            data = self._network()
            self._parcel = Parcel(hashlib.sha256(data).hexdigest(), is_encoder=False, data=data)
        flight = _Flight(self._client, self._address, self.fingerprint, self._parcel)
        try:
            for shard in cut(passages, flight.budget(), self.fingerprint):
                while flight.is_full():
                    yield self._landed(flight)
                flight.start(shard)
            while flight:
                yield self._landed(flight)
        finally:
            flight.cancel()

    def _landed(self, flight: _Flight) -> Encoded:
        engine, encoded = flight.landed()
        self._engines.add(engine)
        return encoded


def _pickled(encoder: Encoder) -> Parcel:
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(encoder)
    except Exception as error:
        # Whatever its parts raise.
        raise InputError(
            f"this encoder cannot be sent to workers ({type(error).__name__}): make it one that pickles, or leave the cluster out"
        ) from error
    return Parcel(hashlib.sha256(data).hexdigest(), is_encoder=True, data=data)


class _Sent(NamedTuple):
    """A shard that is under way: as which of Dask's futures, and how often it went wrong."""

    future: Any
    shard: Shard
    failures: int


class _Flight:
    """The shards that are under way; true as long as there are any."""

    def __init__(self, client: Any, address: str, fingerprint: Fingerprint, parcel: Parcel | None) -> None:
        self._client = client
        self._address = address
        self._fingerprint = fingerprint
        self._parcel = parcel
        self._sent: dict[str, _Sent] = {}
        self._begun: dict[str, int] = {}
        self._done: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._workers: dict[str, int] = {}
        self._counted = 0.0
        self._seen = time.monotonic()
        self._told = False

    def __len__(self) -> int:
        return len(self._sent)

    def budget(self) -> int:
        """Tokens of a shard, for the workers that there are; the first of them is waited for.

        :raises EngineError: if none comes.
        """
        while not self._count():
            time.sleep(_TICK / 10)
        return _TOKENS * min(max(self._workers.values()), _MOST_THREADS)

    def is_full(self) -> bool:
        """Whether there is nobody to give another shard to."""
        if time.monotonic() - self._counted > _COUNTED:
            self._count()
        return len(self._sent) >= _AHEAD * max(len(self._workers), 1)

    def start(self, shard: Shard) -> None:
        """Give a shard to the cluster."""
        self._send(shard, 0)

    def landed(self) -> tuple[str, Encoded]:
        """What encoded the next shard that is done, and what came of it.

        :raises EngineError: if nothing more can come.
        """
        while True:
            try:
                key = self._done.get(timeout=_TICK)
            except queue.Empty:
                self._count()
                continue
            # A worker that died may have been done, and what it had is made again.
            sent = self._sent.pop(key, None)
            if sent is None:
                continue
            answer = self._answer(sent)
            if answer.packed is not None:
                if not answer.packed.fits(len(sent.shard.texts), self._fingerprint.dimension):
                    raise EngineError(f"the worker {answer.worker} gave what cannot be the vectors of its passages: look at it")
                return answer.engine, answer.packed.encoded(sent.shard.positions)
            if answer.refusal:
                raise EngineError(f"the worker {answer.worker} cannot encode for this index: {answer.refusal}")
            if answer.wants:
                # Not for that worker alone: if it died now, Dask would keep the shard for it for ever (distributed 2026.8.0).
                self._send(sent.shard, sent.failures, self._parcel)
            else:
                self._again(sent, answer)

    def cancel(self) -> None:
        """Nothing of what is under way is wanted any more."""
        futures = [sent.future for sent in self._sent.values()]
        self._sent.clear()
        # A scheduler that is gone has nothing under way.
        with suppress(Exception):
            if futures and self._client.status == "running":
                self._client.cancel(futures)

    def _send(self, shard: Shard, failures: int, parcel: Parcel | None = None) -> None:
        number = self._begun.get(shard.key, 0)
        self._begun[shard.key] = number + 1
        # A key that was used before may still stand for what went wrong.
        key = f"{shard.key}-{number}" if number else shard.key
        parcel = parcel or (self._parcel.name if self._parcel else None)
        try:
            # Of much data in a task it warns: a network is sent once to each worker.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                future = self._client.submit(
                    _task(),
                    __version__,
                    asdict(self._fingerprint),
                    tuple(parcel) if parcel else None,
                    shard.texts,
                    key=key,
                )
        except Exception as error:
            raise self._lost() from error
        self._sent[key] = _Sent(future, shard, failures)
        future.add_done_callback(lambda future: self._done.put(future.key))

    def _answer(self, sent: _Sent) -> Answer:
        """What a worker said, or Dask in its place."""
        try:
            if sent.future.status == "error":
                return _told(sent.future.exception())
            answer = self._fetched(sent.future)
        except EngineError:
            raise
        except (CancelledError, OSError) as error:
            raise self._lost() from error
        except Exception as error:
            # Whatever it is that cannot be unpickled here.
            raise EngineError(
                f"what the cluster at {self._address} gave cannot be read ({line(error)}): is its semsearch the same as here?"
            ) from error
        # What has come need not be made again if its worker dies.
        sent.future.release()
        if not isinstance(answer, Answer):
            raise EngineError(f"the cluster at {self._address} gave no vectors: is its semsearch the same as here?")
        return answer

    def _fetched(self, future: Any) -> Any:
        """What came of a shard that is done. Whoever had it may be dead by now: then it is made again, if there is anybody."""
        seconds = _FETCHING
        while True:
            try:
                return future.result(timeout=seconds)
            except distributed().TimeoutError:
                self._count()
                # It may be much on a slow network.
                seconds *= 2

    def _again(self, sent: _Sent, answer: Answer) -> None:
        """Begin a shard anew that went wrong.

        :raises EngineError: if it did so too often.
        """
        n_texts = len(sent.shard.texts)
        if sent.failures + 1 == _TRIES:
            raise EngineError(
                f"the cluster at {self._address} cannot encode {n_texts:,} of the passages: {answer.failure}; "
                "give the workers what they lack, or leave the cluster out, and run this again: it goes on where it stopped"
            )
        logger.warning("%d passages are encoded once more: %s", n_texts, answer.failure)
        self._send(sent.shard, sent.failures + 1)

    def _count(self) -> int:
        """How many workers there are.

        :raises EngineError: if there has been none for too long, or the scheduler is gone.
        """
        try:
            if self._client.status != "running":
                raise self._lost()
            self._workers = self._client.nthreads()
        except OSError as error:
            raise self._lost() from error
        self._counted = time.monotonic()
        if self._workers:
            self._seen = self._counted
            self._told = False
        elif not self._told:
            self._told = True
            logger.warning("the cluster at %s has no worker: waiting %.0f seconds for one", self._address, _PATIENCE)
        elif self._counted - self._seen > _PATIENCE:
            raise EngineError(
                f"the cluster at {self._address} has had no worker for {_PATIENCE:.0f} seconds: "
                f"start some (dask worker {self._address}), and {_GOES_ON}"
            )
        return len(self._workers)

    def _lost(self) -> EngineError:
        return EngineError(f"the scheduler at {self._address} is gone: start it and its workers, and {_GOES_ON}")


def _task() -> Callable[..., Any]:
    """What a worker is to do, such that the scheduler, which looks into it, needs nothing of semsearch."""

    def encode(*task: Any) -> Any:
        from semsearch.cluster import worker

        return worker.encode(*task)

    # One inside another is pickled as what it says, and not as where it is found.
    return encode


def _told(error: BaseException) -> Answer:
    """What Dask says of a task that no worker answered."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        worker = getattr(error.last_worker, "address", "")
        n_dead = error.allowed_failures + 1
        return Answer(worker, failure=f"{n_dead} workers died of it, the last of them {worker} (was there memory?)")
    return Answer("", failure=f"a worker could not begin ({line(error)}): is its semsearch the same as here?")
