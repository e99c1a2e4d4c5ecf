"""Limits of the HTTP service: what a request may ask for, how long it may take, how many connections there may be."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from conftest import FakeEncoder
from helpers import Served, build

import semsearch

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from starlette.testclient import TestClient

from semsearch.web import batching, connection_limits, request_limits, service
from semsearch.web.app import create_app

BASE = "http://127.0.0.1:8765"
PROBLEM = "application/problem+json"
WAIT = 20


@pytest.fixture
def index(notes: Path, tmp_path: Path):
    build(notes, tmp_path / "index")
    with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as opened:
        yield opened


@pytest.fixture
def asked(index):
    with TestClient(create_app(index), base_url=BASE, raise_server_exceptions=False) as opened:
        yield opened


# ---- what a request may ask for


def values(count: int, text: str = "v{}") -> str:
    return "|".join(text.format(number) for number in range(count))


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ([f"author={values(request_limits.MAX_ALTERNATIVES)}"], None),
        ([f"author={values(request_limits.MAX_ALTERNATIVES + 1)}"], "alternatives"),
        ([f"author={values(60)}", f"tags!={values(60)}"], "alternatives"),
        ([f"author={values(request_limits.MAX_PATTERNS, '*{}')}"], None),
        ([f"author={values(request_limits.MAX_PATTERNS + 1, '*{}')}"], "patterns"),
        ([f"author={values(15, '?{}')}", f"title={values(15, '[{}]')}"], "patterns"),
        (["title=*" + "a" * (request_limits.MAX_PATTERN_TOTAL - 1)], None),
        (["title=*" + "a" * request_limits.MAX_PATTERN_TOTAL], "patterns of the conditions"),
        (["title=" + "a" * (request_limits.MAX_FILTER - 6)], None),
        (["title=" + "a" * 1500, "author=" + "a" * 1500], "characters"),
    ],
)
def test_conditions_are_bounded_together(asked, where: list[str], reason: str | None):
    for answer in (
        asked.get("/search", params={"q": "oil", "where": where}),
        asked.post("/search", json={"queries": ["oil"], "where": where}),
        asked.get("/articles", params={"where": where}),
    ):
        if reason is None:
            assert answer.status_code == 200
        else:
            assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)
            assert reason in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"queries": ["a" * 250] * 64, "k": 10, "explain": True}, 200),
        ({"queries": ["a" * 251] * 64, "k": 10}, 400),
        ({"queries": ["a"] * 64, "k": 11}, 400),
        ({"queries": ["a"] * 3, "k": 200}, 200),
        ({"queries": ["a"] * 4, "k": 200}, 400),
        ({"queries": ["a"] * 65, "k": 1}, 422),
        ({"queries": ["a"], "k": 201}, 422),
        ({"queries": ["a" * 4001], "k": 1}, 422),
    ],
)
def test_queries_are_bounded_together(asked, body: dict, status: int):
    answer = asked.post("/search", json=body)
    assert answer.status_code == status
    assert status == 200 or answer.json()["detail"]


def test_the_limits_are_in_the_openapi_document(asked):
    document = asked.get("/openapi.json").json()
    queries = document["components"]["schemas"]["Searches"]["properties"]
    assert queries["queries"]["maxItems"] == request_limits.MAX_QUERIES
    assert f"{request_limits.MAX_QUERY_TOTAL:,}" in queries["queries"]["description"]
    assert str(request_limits.MAX_HITS_TOTAL) in queries["k"]["description"]
    for description in (queries["where"]["description"], json.dumps(document["paths"]["/articles"])):
        for limit in (
            request_limits.MAX_FILTER,
            request_limits.MAX_ALTERNATIVES,
            request_limits.MAX_PATTERNS,
            request_limits.MAX_PATTERN_TOTAL,
        ):
            assert f"{limit:,}" in description


def test_the_limits_are_in_the_documents(root: Path):
    page = (root / ".docs" / "docs" / "how-to" / "serve.md").read_text(encoding="utf-8")
    table = page.partition("## Limits\n")[2].partition("\n## ")[0]
    limits = [vars(request_limits)[name] for name in request_limits.__all__ if name.startswith("MAX_")]
    limits += [
        request_limits.DEADLINE,
        service.WAITING,
        *(vars(connection_limits)[name] for name in connection_limits.__all__ if name.isupper()),
    ]
    for limit in limits:
        shown = "64 KB" if limit == connection_limits.WRITE_BYTES else f"{limit:,.0f}"
        assert re.search(rf"(?<![\d,]){shown}(?![\d,])", table), limit


@pytest.mark.parametrize("path", ["/search?q=oil", "/search?q=oil&explain=true", "/articles", "/articles/{}", "/facets"])
def test_an_answer_has_a_maximum_length(asked, index, monkeypatch, path: str):
    path = path.format(index.search("oil", 1)[0].article_id)
    assert asked.get(path).status_code == 200
    monkeypatch.setattr(request_limits, "MAX_ANSWER", 50)
    answer = asked.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)
    assert "request less at a time" in answer.json()["detail"]


# ---- how long it may take, and who waits for whom


class Blocked:
    """Searches of an index that wait until they are released, where ``chosen`` is true of their queries and options."""

    def __init__(self, index, monkeypatch, chosen: Callable[..., bool]) -> None:
        self.entered: list[list[str]] = []
        self.release = threading.Event()
        original = index.search_many

        def search_many(queries, *arguments, **options):
            if chosen(queries, **options):
                self.entered.append(list(queries))
                self.release.wait(WAIT)
            return original(queries, *arguments, **options)

        monkeypatch.setattr(index, "search_many", search_many)

    def wait(self, count: int) -> None:
        deadline = time.monotonic() + WAIT
        while len(self.entered) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.entered) == count


@contextmanager
def in_threads(*calls: Callable[[], object]) -> Iterator[list[object]]:
    """Make calls in threads; their results are complete after the context."""
    results: list[object] = []
    threads = [threading.Thread(target=lambda call=call: results.append(call())) for call in calls]
    for thread in threads:
        thread.start()
    try:
        yield results
    finally:
        for thread in threads:
            thread.join()


@pytest.mark.parametrize(
    "expensive",
    [
        {"json": {"queries": ["sword", "battle"]}},
        {"params": {"q": "sword", "explain": "true"}},
        {"params": {"q": "sword", "per_article": 1}},
        {"params": {"q": "sword", "k": 51}},
    ],
)
def test_an_expensive_search_does_not_block_others(asked, index, monkeypatch, expensive: dict):
    blocked = Blocked(index, monkeypatch, lambda queries, **_: "sword" in queries)
    method = "POST" if "json" in expensive else "GET"
    with in_threads(*[lambda: asked.request(method, "/search", **expensive).status_code for _ in range(5)]) as codes:
        blocked.wait(1)
        for path in ("/search?q=oil", "/search?q=oil&where=title%3DFirst", "/articles", "/status"):
            assert asked.get(path).status_code == 200
        assert len(blocked.entered) == 1
        assert not codes
        blocked.release.set()
    assert codes == [200] * 5


def test_a_search_with_a_filter_does_not_block_others(asked, index, monkeypatch):
    blocked = Blocked(index, monkeypatch, lambda queries, where, **_: bool(where))
    with in_threads(lambda: asked.get("/search?q=oil&where=title%3DFirst").status_code) as codes:
        blocked.wait(1)
        assert asked.get("/search?q=oil").status_code == 200
        assert not codes
        blocked.release.set()
    assert codes == [200]


@pytest.mark.parametrize("path", ["/search?q=sword", "/search?q=sword&where=title%3DSecond", "/search?q=sword&explain=true"])
def test_a_request_has_a_deadline(asked, index, monkeypatch, path: str):
    blocked = Blocked(index, monkeypatch, lambda queries, **_: "sword" in queries)
    monkeypatch.setattr(batching, "DEADLINE", 0.2)
    try:
        answer = asked.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
        assert "time limit of the request was exceeded" in answer.json()["detail"]
        assert answer.headers["retry-after"]
    finally:
        blocked.release.set()


@pytest.mark.parametrize("options", [{}, {"explain": "true"}])
def test_what_has_not_started_by_its_deadline_never_starts(asked, index, monkeypatch, options: dict):
    blocked = Blocked(index, monkeypatch, lambda queries, **_: True)
    with in_threads(lambda: asked.get("/search", params={"q": "sword", **options}).status_code) as codes:
        blocked.wait(1)
        monkeypatch.setattr(batching, "DEADLINE", 0.2)
        for _ in range(3):
            assert asked.get("/search", params={"q": "oil", **options}).status_code == 503
        monkeypatch.setattr(batching, "DEADLINE", WAIT)
        blocked.release.set()
    assert codes == [200]
    assert asked.get("/search", params={"q": "gas", **options}).status_code == 200
    assert blocked.entered == [["sword"], ["gas"]]


def test_a_filter_stops_at_the_deadline_of_its_request(asked, index, monkeypatch):
    looked: list[str] = []
    monkeypatch.setattr(semsearch.filters.Filter, "matches", lambda _, source, *__: looked.append(source))
    monkeypatch.setattr(service, "DEADLINE", -1.0)
    monkeypatch.setattr(batching, "time", SimpleNamespace(monotonic=lambda: -1000.0))
    assert asked.get("/search?q=oil&where=title%3DFirst").status_code == 503
    assert asked.get("/articles?where=title%3DFirst").status_code == 503
    assert looked == []


# ---- connections


@pytest.fixture
def served(index, monkeypatch):
    """A service that checks the limits of its connections often."""
    monkeypatch.setattr(connection_limits, "_TICK", 0.02)
    running = Served(index)
    yield running
    running.stop()


def connect(running: Served, sent: bytes = b"") -> socket.socket:
    place = urlsplit(running.url)
    opened = socket.create_connection((place.hostname, place.port), timeout=WAIT)
    opened.sendall(sent)
    return opened


def read(opened: socket.socket) -> bytes:
    """Return all that comes until the server closes the connection."""
    found = b""
    try:
        while part := opened.recv(65_536):
            found += part
    except ConnectionResetError:
        pass
    return found


def request(path: str = "/healthz", more: bytes = b"") -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (path.encode(), more)


CLOSE = b"Connection: close\r\n"
POST = b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", POST + b'{"queries": ['])
def test_idle_connections_keep_nobody_out(served, monkeypatch, sent: bytes):
    monkeypatch.setattr(connection_limits, "MAX_PER_CLIENT", 5)
    for limit in ("HEAD_SECONDS", "BODY_SECONDS"):
        monkeypatch.setattr(connection_limits, limit, 3600.0)
    held = []
    for _ in range(20):
        held.append(connect(served, sent))
        with connect(served, request(more=CLOSE)) as honest:
            assert b'{"status": "ok"}' in read(honest)
    # The oldest ones made room.
    assert [read(each) for each in held[:14]] == [b""] * 14
    for each in held:
        each.close()


def test_connections_of_all_clients_together(served, monkeypatch):
    monkeypatch.setattr(connection_limits, "MAX_CONNECTIONS", 5)
    held = [connect(served) for _ in range(20)]
    with connect(served, request(more=CLOSE)) as honest:
        assert b'{"status": "ok"}' in read(honest)
    assert len(served._server.server_state.connections) <= 5
    for each in held:
        each.close()


def test_a_connection_is_refused_only_where_all_others_are_at_work(served, index, monkeypatch):
    blocked = Blocked(index, monkeypatch, lambda queries, **_: "sword" in queries)
    monkeypatch.setattr(connection_limits, "MAX_PER_CLIENT", 2)
    held = [connect(served, request(f"/search?q=sword&explain={explain}", CLOSE)) for explain in ("true", "false")]
    blocked.wait(2)
    with connect(served) as refused:
        status, _, rest = read(refused).partition(b"\r\n")
        assert status == b"HTTP/1.1 503 Service Unavailable"
        assert PROBLEM.encode() in rest
        assert json.loads(rest.partition(b"\r\n\r\n")[2])["status"] == 503
    blocked.release.set()
    for each in held:
        assert b"HTTP/1.1 200" in read(each)
        each.close()


@pytest.mark.parametrize(
    ("limit", "sent"),
    [
        ("HEAD_SECONDS", b""),
        ("HEAD_SECONDS", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "),
        ("HEAD_SECONDS", request() + b"GET / HTTP/1.1\r\n"),
        ("BODY_SECONDS", POST + b'{"queries": ['),
    ],
)
def test_a_slow_client_is_disconnected(served, monkeypatch, limit: str, sent: bytes):
    with connect(served, sent) as slow:
        time.sleep(0.1)
        slow.settimeout(0.1)
        with suppress(TimeoutError):
            assert slow.recv(65_536).startswith(b"HTTP/1.1 200")
        monkeypatch.setattr(connection_limits, limit, 0.0)
        slow.settimeout(WAIT)
        assert b"HTTP/1.1 2" not in read(slow)


@pytest.mark.parametrize("limit", ["HEAD_SECONDS", "BODY_SECONDS"])
def test_a_client_waiting_for_its_answer_stays_connected(served, index, monkeypatch, limit: str):
    blocked = Blocked(index, monkeypatch, lambda queries, **_: "sword" in queries)
    with connect(served, request("/search?q=sword", CLOSE)) as patient:
        blocked.wait(1)
        monkeypatch.setattr(connection_limits, limit, 0.0)
        time.sleep(0.2)
        blocked.release.set()
        assert b"HTTP/1.1 200" in read(patient)


def test_long_headers_are_refused(served):
    for more in (b"X: " + b"a" * request_limits.MAX_HEAD + b"\r\n", (b"X: " + b"a" * 1000 + b"\r\n") * 90):
        with connect(served, request(more=more + CLOSE)) as opened:
            assert b" 431 " in read(opened).partition(b"\r\n")[0]
    with connect(served, b"GET / HTTP/1.1\r\nX: " + b"a" * request_limits.MAX_HEAD) as opened:
        assert b" 431 " in read(opened).partition(b"\r\n")[0]


def test_what_is_no_request_is_refused(served, index, monkeypatch):
    with connect(served, b"GET / HTTP/1.1\r\nnonsense\r\n\r\n") as opened:
        head, _, document = read(opened).partition(b"\r\n\r\n")
        assert b" 400 " in head
        assert PROBLEM.encode() in head
        assert json.loads(document)["detail"]
    # Nor does nonsense in a body add anything to the answer.
    blocked = Blocked(index, monkeypatch, lambda *_, **__: True)
    chunked = POST.replace(b"Content-Length: 100", b"Transfer-Encoding: chunked")
    with connect(served, chunked + b"nonsense\r\n\r\n") as opened:
        assert read(opened) == b""
    assert blocked.entered == []


def unread(*, answered: bool) -> tuple[connection_limits.LimitedConnection, SimpleNamespace]:
    """A connection on which an answer of 10 MB was written, and its transport."""
    connection = connection_limits.LimitedConnection.__new__(connection_limits.LimitedConnection)
    transport = SimpleNamespace(unsent=10_000_000, get_write_buffer_size=lambda: transport.unsent)
    connection.transport = transport
    connection.cycle = SimpleNamespace(response_complete=answered, response_started=True, more_body=False)
    return connection, transport


@pytest.mark.parametrize("answered", [True, False])
def test_a_client_has_to_read_its_answer(answered: bool):
    connection, transport = unread(answered=answered)
    assert not connection.is_overdue(0.0)
    transport.unsent -= connection_limits.WRITE_BYTES // 2
    assert not connection.is_overdue(connection_limits.WRITE_SECONDS)
    assert connection.is_overdue(connection_limits.WRITE_SECONDS + 1)


def test_a_client_may_read_slowly():
    connection, transport = unread(answered=True)
    now = 0.0
    while transport.unsent > 0:
        assert not connection.is_overdue(now)
        transport.unsent -= connection_limits.WRITE_BYTES
        now += connection_limits.WRITE_SECONDS
    transport.unsent = 0
    # The time without a request begins when all is read.
    assert not connection.is_overdue(now - connection_limits.WRITE_SECONDS + connection_limits.HEAD_SECONDS)
    assert connection.is_overdue(now - connection_limits.WRITE_SECONDS + connection_limits.HEAD_SECONDS + 1)


def test_a_slow_reader_is_spared_before_a_computation():
    connection, transport = unread(answered=False)
    slow = connection._rank()
    connection.cycle.response_started = False
    assert connection._rank() > slow
    connection.cycle.response_complete = True
    assert connection._rank() == slow
    transport.unsent = 0
    assert connection._rank() < slow
