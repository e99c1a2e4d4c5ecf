"""Calls to a Milvus server: the one door to pymilvus. Every call has a time limit, and every failure is an `EngineError`.

pymilvus itself tries again, ever less often, while a server cannot be reached or asks for patience, until the time is up.

Deliberately not here: what is written and read.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any, NamedTuple

from semsearch.engines.milvus.address import Address
from semsearch.errors import EngineError, MissingExtra

__all__ = ["BOUNDED", "STRONG", "WINDOW", "Client", "Column", "Function", "Index", "Missing"]

STRONG = 0
"""As of now: Milvus waits until it has seen all that was written before, some 200 ms."""
BOUNDED = 2
"""As of some seconds ago at most, which the server decides; 5 s as it comes. pymilvus sends this number for it."""
WINDOW = 16_384
"""Milvus gives no more rows than that to one search."""
_MOST_BYTES = 4 * 2**20
"""Of texts and vectors that are sent at once, about: servers refuse messages of 64 MB."""
_MOST_ENTITIES = 2000
_PAGE = 2000
_KEYS = 1000
"""That are asked for at once."""
_NOT_FOUND = (4, 100)
_NOT_LOADED = 101
_REFUSED = re.compile(r"auth|permission|privilege|credential", re.IGNORECASE)
_LOST = re.compile(r"connect|unavailable|timeout|timed out|deadline|refused", re.IGNORECASE)
_RECONNECTING = {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1000,
    "grpc.use_local_subchannel_pool": 1,
}
"""As it comes, gRPC waits up to two minutes before it tries a server again that was away, and every new connection waits, too."""
_LONGEST = 200
"""Characters of what a server says that go into an error."""


class Missing(EngineError):
    """There is no such collection."""


class Column(NamedTuple):
    """A field of a collection: pymilvus' name of its type, and what more it is told."""

    name: str
    kind: str
    options: Mapping[str, Any] = {}


class Function(NamedTuple):
    """Milvus' own BM25 over a field, as a field of sparse vectors."""

    source: str
    target: str


class Index(NamedTuple):
    """Of a field."""

    field: str
    kind: str
    metric: str = ""
    options: Mapping[str, Any] = {}


class Client:
    """A connection to a server, made at the first call. Threads may share it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._client: Any = None
        self._making = RLock()

    def close(self) -> None:
        """Let go of the connection; the next call makes another."""
        with self._making:
            if self._client is not None:
                client, self._client = self._client, None
                with self._border():
                    client.close()

    def _connected(self) -> Any:
        with self._making:
            if self._client is None:
                pymilvus = _pymilvus()
                where = self._address
                self._client = pymilvus.MilvusClient(
                    uri=where.uri,
                    token=where.token,
                    db_name=where.database,
                    timeout=where.timeout,
                    grpc_options=_RECONNECTING,
                    dedicated=True,  # else one of another address with other certificates may be shared
                    **where.tls,
                )
            return self._client

    @contextmanager
    def _border(self) -> Iterator[None]:
        """Whatever pymilvus raises, as an `EngineError`, once.

        :raises EngineError: in place of it.
        """
        pymilvus = _pymilvus()
        from grpc import RpcError

        try:
            yield
        except (pymilvus.MilvusException, RpcError, OSError) as error:
            raise self._told(error) from None

    def _told(self, error: Exception) -> EngineError:
        """An error in one line, without secrets, with what to do."""
        code, said = getattr(error, "code", None), str(getattr(error, "message", "") or error)
        said = " ".join(said.split())
        for secret in filter(None, (self._address.token, *self._address.token.split(":", 1)[1:])):
            said = said.replace(secret, "...")
        said = "".join(character for character in said if character.isprintable())[:_LONGEST]
        shown = self._address.shown
        name = str(code() if callable(code) else code)
        if code in _NOT_FOUND:
            return Missing(f"{shown} has no such collection any more: open the index again, or index again")
        if isinstance(error, OSError):
            return EngineError(f"cannot connect to {shown}: {error.strerror}: check the files that the address names")
        if _REFUSED.search(f"{name} {said}"):
            return EngineError(f"{shown} lets nobody in like this ({said}): check user, password or token")
        if _LOST.search(f"{name} {said}"):
            return EngineError(f"{shown} does not answer ({said}): check host, port and tls, and that Milvus runs there")
        return EngineError(f"{shown} refused ({said}): see Milvus' log, or try again")

    def _call(self, method: str, collection: str, *given: Any, **options: Any) -> Any:
        """Call a method of `MilvusClient`; a collection that the server has not in memory is loaded first."""
        with self._border():
            client = self._connected()
            options["timeout"] = self._address.timeout
            try:
                return getattr(client, method)(collection, *given, **options)
            except _pymilvus().MilvusException as error:
                if error.code != _NOT_LOADED and "not loaded" not in str(error):
                    raise
                client.load_collection(collection, timeout=self._address.timeout)
                return getattr(client, method)(collection, *given, **options)

    def collections(self) -> list[str]:
        """Names of all collections of the database."""
        with self._border():
            return [str(name) for name in self._connected().list_collections(timeout=self._address.timeout)]

    def has(self, collection: str) -> bool:
        """Whether there is a collection."""
        return bool(self._call("has_collection", collection))

    def create(self, collection: str, columns: Sequence[Column], functions: Sequence[Function], indexes: Sequence[Index]) -> None:
        """Make a collection and load it; the first column is its key.

        :raises EngineError: if the server left out a function: Milvus before 2.5 takes and forgets them.
        """
        pymilvus = _pymilvus()
        with self._border():
            client = self._connected()
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            for position, (name, kind, options) in enumerate(columns):
                given = {**options}
                if "element_type" in given:
                    given["element_type"] = getattr(pymilvus.DataType, given["element_type"])
                schema.add_field(name, getattr(pymilvus.DataType, kind), is_primary=position == 0, **given)
            for source, target in functions:
                schema.add_function(
                    pymilvus.Function(
                        name=f"{source}_bm25",
                        function_type=pymilvus.FunctionType.BM25,
                        input_field_names=[source],
                        output_field_names=[target],
                    )
                )
            params = client.prepare_index_params()
            for field, kind, metric, options in indexes:
                extra = {"metric_type": metric} if metric else {}
                params.add_index(field, index_type=kind, params=dict(options), **extra)
            limit = self._address.timeout
            # pymilvus' iterators ask for the consistency of the collection, whatever they are told: this one leaves it to each
            # call as of when. With "Bounded", pages missed in 8 of 8 tries what had just been written (Milvus 2.3.5).
            client.create_collection(collection, schema=schema, consistency_level="Customized", timeout=limit)
            self._check_functions(collection, functions)
            # Indexes of nothing need not be waited for, which takes half a second each; loading waits for them.
            client.create_index(collection, params, timeout=limit, sync=False)
            client.load_collection(collection, timeout=limit)

    def _check_functions(self, collection: str, functions: Sequence[Function]) -> None:
        told = self._call("describe_collection", collection).get("functions", [])
        made = {name for each in told for name in each["output_field_names"]}
        if not {function.target for function in functions} <= made:
            self.drop(collection)
            raise EngineError(f"{self._address.shown} knows no BM25: it needs Milvus 2.5 or later, upgrade the server")

    def drop(self, collection: str) -> None:
        """Remove a collection, if there is one."""
        try:
            self._call("drop_collection", collection)
        except Missing:
            return

    def flush(self, collection: str) -> None:
        """Have what was written so far put into segments that are indexed."""
        self._call("flush", collection)

    def upsert(self, collection: str, entities: Sequence[Mapping[str, Any]]) -> int:
        """Write entities in place of those with the same key.

        :returns: the timestamp from which on they can be read; 0 if the server, or pymilvus, does not tell.
        """
        at = STRONG
        for some in _portions(entities):
            self._call("upsert", collection, some)
            at = self._written(collection)
        return at

    def delete(self, collection: str, condition: str) -> int:
        """Delete what meets a condition; the timestamp as `upsert` has it."""
        self._call("delete", collection, filter=condition)
        return self._written(collection)

    def _written(self, collection: str) -> int:
        """The timestamp of the last write to a collection, as pymilvus remembers it."""
        try:
            from pymilvus.client.ts_utils import get_collection_ts

            server = self._connected()._get_connection().server_address
            return int(get_collection_ts(collection, server, self._address.database) or STRONG)
        except (ImportError, AttributeError, TypeError):
            return STRONG

    def query(self, collection: str, condition: str, fields: Sequence[str], at: int) -> list[dict[str, Any]]:
        """The entities that meet a condition that few meet."""
        found = self._call("query", collection, filter=condition, output_fields=list(fields), **_as_of(at))
        return [dict(each) for each in found]

    def one_of(
        self, collection: str, field: str, keys: Iterable[int], fields: Sequence[str], at: int, more: str = ""
    ) -> list[dict[str, Any]]:
        """The entities whose field is one of some numbers, in any order."""
        every = list(keys)
        found = []
        for first in range(0, len(every), _KEYS):
            some = f"{field} in {every[first : first + _KEYS]}"
            found += self.query(collection, f"{some} and {more}" if more else some, fields, at)
        return found

    def pages(self, collection: str, condition: str, fields: Sequence[str], at: int) -> Iterator[dict[str, Any]]:
        """The entities that meet a condition, however many."""
        iterator = self._call(
            "query_iterator", collection, batch_size=_PAGE, filter=condition, output_fields=list(fields), **_as_of(at)
        )
        try:
            while True:
                with self._border():
                    page = iterator.next()
                if not page:
                    return
                yield from (dict(each) for each in page)
        finally:
            iterator.close()

    def count(self, collection: str, condition: str, at: int) -> int:
        """How many entities meet a condition."""
        found = self._call("query", collection, filter=condition, output_fields=["count(*)"], **_as_of(at))
        return int(found[0]["count(*)"])

    def search(
        self, collection: str, field: str, queries: Sequence[Any], k: int, condition: str, fields: Sequence[str], at: int,
        options: Mapping[str, Any],
    ) -> list[list[tuple[float, dict[str, Any]]]]:  # fmt: skip
        """The k nearest entities to each query: score and fields, best first as the server has it."""
        found = self._call(
            "search", collection, list(queries), anns_field=field, limit=min(k, WINDOW), filter=condition,
            output_fields=list(fields), search_params={"params": dict(options)}, **_as_of(at),
        )  # fmt: skip
        return [[(float(hit["distance"]), dict(hit["entity"])) for hit in hits] for hits in found]


def _as_of(at: int) -> dict[str, Any]:
    """As pymilvus takes the timestamp before which nothing may be missing."""
    if at in (STRONG, BOUNDED):
        return {"consistency_level": "Bounded" if at else "Strong"}
    return {"consistency_level": "Customized", "guarantee_timestamp": at}


def _portions(entities: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    some: list[Mapping[str, Any]] = []
    size = 0
    for entity in entities:
        length = sum(len(value) * (1 if isinstance(value, str) else 8) for value in entity.values() if hasattr(value, "__len__"))
        if some and (size + length > _MOST_BYTES or len(some) == _MOST_ENTITIES):
            yield some
            some, size = [], 0
        some.append(entity)
        size += length
    if some:
        yield some


def _pymilvus() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pymilvus
    except ImportError as error:
        raise MissingExtra('an index in Milvus needs pymilvus: python -m pip install "semsearch[milvus]"') from error
    # What it has to say is in the errors that it raises.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return pymilvus
