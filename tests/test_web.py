"""The HTTP service: what it answers, whom it refuses, and that what it says of itself is true."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import Served, build, run, write

import semsearch
from semsearch import newest
from semsearch.errors import EngineError, IndexCorrupt, IndexLocked, InputError

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from starlette.testclient import TestClient

from semsearch.web.app import create_app
from semsearch.web.batching import AT_ONCE
from semsearch.web.guard import is_local
from semsearch.web.request_limits import MAX_BODY
from semsearch.web.server import listening

BASE = "http://127.0.0.1:8765"
PROBLEM = "application/problem+json"


@pytest.fixture
def home(notes: Path, tmp_path: Path) -> Path:
    build(notes, tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def index(home: Path):
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        yield opened


def client(index, *, base: str = BASE, **options) -> TestClient:
    return TestClient(create_app(index, **options), base_url=base, raise_server_exceptions=False)


@pytest.fixture
def asked(index):
    with client(index) as opened:
        yield opened


# ---- what it answers


def test_search_gives_what_ask_prints(asked, index):
    answer = asked.get("/search", params={"q": "oil", "k": 2, "mode": "dense"})
    expected = json.loads(index.search("oil", 2, mode="dense").to_json())
    found = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert {**found, "took_ms": 0} == {**expected, "took_ms": 0}


def test_conditions_and_options_are_passed_on(asked):
    sources = [hit["title"] for hit in asked.get("/search", params={"q": "oil", "where": ["title=Second"]}).json()["hits"]]
    assert set(sources) == {"Second"}
    explained = asked.get("/search", params={"q": "oil", "explain": "true", "per_article": 1}).json()["hits"]
    assert [hit["title"] for hit in explained] == ["First", "Second"]
    assert explained[0]["explanation"]["parts"]


def test_many_questions_at_once(asked, index):
    answer = asked.post("/search", json={"queries": ["oil", "sword"], "k": 1})
    expected = [json.loads(results.to_json()) for results in index.search_many(["oil", "sword"], 1)]
    found = answer.json()["results"]
    assert [{**one, "took_ms": 0} for one in found] == [{**one, "took_ms": 0} for one in expected]


def test_passages_and_articles(asked):
    hit = asked.get("/search", params={"q": "oil"}).json()["hits"][0]
    around = asked.get(f"/passages/{hit['passage_id']}").json()
    assert hit["text"] in [passage["text"] for passage in around["passages"]]
    whole = asked.get(f"/articles/{hit['article_id']}").json()
    assert (whole["title"], whole["n_passages"], len(whole["passages"])) == ("First", 2, 2)
    assert asked.get(f"/articles/{hit['article_id']}", params={"first": 1}).json()["passages"] == whole["passages"][1:]
    listed = asked.get("/articles", params={"where": "title=First"}).json()["articles"]
    assert listed == [{key: whole[key] for key in ("article_id", "title", "source", "metadata", "n_passages")}]


def test_facts(asked, home: Path):
    assert asked.get("/healthz").json() == {"status": "ok"}
    status = asked.get("/status").json()
    assert (status["articles"], status["passages"]) == (2, 4)
    assert str(home) not in json.dumps(status)
    assert asked.get("/facets").json()["articles"] == 2


def test_the_page_and_what_a_browser_may_do_with_it(asked):
    page = asked.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    for path in ("/static/page.js", "/static/page.css", "/static/icon.svg"):
        assert asked.get(path).status_code == 200
        assert f'"{path[1:]}"' in page.text  # whatever folder of a site a proxy puts it in
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"):
        assert asked.get(path).status_code == 404
    for path, kept in {
        "/": "no-cache",
        "/static/page.js": "no-cache",
        "/static/icon.svg": "max-age=86400",
        "/status": "no-store",
    }.items():
        assert asked.get(path).headers["cache-control"] == kept
    again = asked.get("/static/page.js", headers={"if-none-match": asked.get("/static/page.js").headers["etag"]})
    assert again.status_code == 304
    assert asked.get("/nothing").headers["x-content-type-options"] == "nosniff"


def test_nothing_of_the_page_comes_from_elsewhere(root: Path):
    import re

    for path in (root / "semsearch" / "web" / "page").iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.findall(r"https?://\w", text), path
        assert "innerHTML" not in text
        assert "insertAdjacentHTML" not in text
        assert not re.search(r"\son\w+=", text) or path.suffix == ".js", path


# ---- what it refuses


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/search", 422),
        ("/search?q=", 422),
        ("/search?q=%20", 400),
        ("/search?q=oil&k=0", 422),
        ("/search?q=oil&k=1000", 422),
        ("/search?q=oil&mode=best", 422),
        ("/search?q=oil&where=nonsense", 400),
        (f"/search?q={'a' * 5000}", 422),
        ("/passages/1-0000000000", 404),
        ("/articles/nothing", 404),
        ("/nothing", 404),
    ],
)
def test_what_cannot_be_answered_is_a_problem_document(asked, path: str, status: int):
    answer = asked.get(path)
    document = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert document["status"] == status
    assert document["detail"]
    assert document["title"]


def test_other_methods_are_told_which_there_are(asked):
    for path, allowed in {"/status": "GET", "/search": "GET, POST", "/": "GET, HEAD", "/static/page.js": "GET, HEAD"}.items():
        answer = asked.delete(path)
        assert (answer.status_code, answer.headers["content-type"], answer.headers["allow"]) == (405, PROBLEM, allowed)


@pytest.mark.parametrize(
    ("error", "status"), [(IndexCorrupt, 503), (IndexLocked, 503), (EngineError, 503), (InputError, 400), (RuntimeError, 500)]
)
def test_errors_of_the_library(asked, index, monkeypatch, error: type[Exception], status: int):
    def fail(*_, **__):
        raise error("told so: do this")

    monkeypatch.setattr(index, "search_many", fail)
    answer = asked.get("/search?q=oil")
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert ("told so" in answer.text) == (error is not RuntimeError)
    assert "x-content-type-options" in answer.headers or status == 500


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"queries": []}', b'{"queries": ["a"], "unknown": 1}', b'{"queries": ["a"], "k": "x"}']
)
def test_bodies_that_are_not_what_they_should_be(asked, body: bytes):
    answer = asked.post("/search", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    unreadable = asked.post("/search", content=b"\xff", headers={"content-type": "application/json"})
    assert (unreadable.status_code, unreadable.headers["content-type"]) == (400, PROBLEM)


@pytest.mark.parametrize("declared", [True, False])
def test_long_bodies_are_not_read(asked, declared: bool):
    body = b'{"queries": ["' + b"a" * MAX_BODY + b'"]}'

    def parts():
        for first in range(0, len(body), 50_000):
            yield body[first : first + 50_000]

    answer = asked.post("/search", content=body if declared else parts(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (413, PROBLEM)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8765", 200),
        ("10.0.0.7:8765", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:8765", 421),
        ("", 421),
        ("[", 421),
        ("user@evil.example", 421),
        ("archive.example:8765", 200),
        ("Archive.Example.", 200),
        ("[::1]", 200),
        ("[::ffff:127.0.0.1]:65535", 200),
        ("evil.example@localhost", 421),
        ("localhost@evil.example", 421),
        ("evil.example\\@localhost", 421),
        ("evil.example?@localhost", 421),
        ("evil.example#@127.0.0.1", 421),
        ("evil.example/localhost", 421),
        ("localhost/.evil.example", 421),
        ("localhost#evil", 421),
        ("localhost:evil", 421),
        ("localhost:", 421),
        ("localhost:65536", 421),
        ("localhost:8765:8765", 421),
        ("localhost,evil.example", 421),
        ("localhost evil.example", 421),
        ("localhost\tevil.example", 421),
        ("localhost..", 421),
        (".localhost", 421),
        ("127.0.0.1.nip.io", 421),
        ("127.1", 421),
        ("127.0.0.01", 421),
        ("2130706433", 421),
        ("0x7f.1", 421),
        ("::1", 421),
        ("[::1].evil.example", 421),
        ("[::1]evil.example", 421),
        ("[::1", 421),
        ("[localhost]", 421),
        ("[127.0.0.1]", 421),
        ("[::1%lo]", 421),
        ("[]", 421),
    ],
)
def test_names_under_which_it_is_not_served(index, host: str, status: int):
    with client(index, hosts=["archive.example"]) as asked:
        for path in ("/status", "/", "/healthz"):
            assert asked.get(path, headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8765", 200),
        ("http://127.0.0.1:9999", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("https://127.0.0.1:8765.evil.example", 403),
        ("http://[", 403),
        ("https://127.0.0.1:8765", 200),  # behind a proxy that encrypts
        ("HTTP://127.0.0.1:8765", 403),
        ("ftp://127.0.0.1:8765", 403),
        ("http://127.0.0.1", 403),
        ("http://127.0.0.1:8765/", 403),
        ("http://127.0.0.1:8765/@evil", 403),
        ("http://127.0.0.1:8765?evil", 403),
        ("http://127.0.0.1:8765 http://evil.example", 403),
        ("http://evil.example@127.0.0.1:8765", 403),
        ("http://[::1]:8765", 403),
        ("//127.0.0.1:8765", 403),
        ("file://", 403),
        ("chrome-extension://abc", 403),
        ("", 403),
    ],
)
def test_pages_from_elsewhere_may_not_ask(asked, origin: str, status: int):
    answer = asked.get("/search?q=oil", headers={"origin": origin})
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("cross-site", "no-cors", 403),  # a picture in somebody's page
        ("same-site", "cors", 403),  # another port of this machine
        ("cross-site", "navigate", 403),  # a link
        ("same-site", "navigate", 403),
        ("cross-site", "nested-navigate", 403),
        ("cross-site", "websocket", 403),
        ("CROSS-SITE", "cors", 403),
        ("cross-site", "", 403),
        ("", "navigate", 403),
        ("same-origin", "cors", 200),
        ("same-origin", "navigate", 200),
        ("none", "navigate", 200),
    ],
)
def test_embedded_and_linked_requests_of_other_sites_are_rejected(asked, site: str, mode: str, status: int):
    headers = {"sec-fetch-site": site, "sec-fetch-mode": mode}
    for path in ("/search?q=oil", "/articles", "/healthz", "/openapi.json", "/static/page.js"):
        assert asked.get(path, headers=headers).status_code == status
    # Only the page itself may be linked to.
    assert asked.get("/?q=oil", headers=headers).status_code == (200 if mode == "navigate" else status)


def test_a_header_that_is_sent_twice_is_refused(asked):
    assert asked.get("/status", headers=[("host", "localhost"), ("host", "evil.example")]).status_code == 421
    origins = [("origin", BASE), ("origin", "http://evil.example")]
    assert asked.get("/status", headers=origins).status_code == 403


def test_only_whether_it_is_there(asked):
    for path in ("/", "/healthz", "/static/page.js"):
        answer = asked.head(path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_a_token_is_asked_for(index):
    with client(index, token="secret") as asked:
        for path in ("/search?q=oil", "/status", "/facets", "/articles", "/nothing"):
            refused = asked.get(path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert asked.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
            assert asked.get(path, headers={"authorization": "Bearer secret"}).status_code in (200, 404)
        for path in ("/", "/static/page.js", "/healthz", "/openapi.json"):
            assert asked.get(path).status_code == 200
        assert asked.get("/openapi.json").json()["paths"]["/search"]["get"]["security"]


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("127.9.9.9", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("a.example", False),
    ],
)
def test_addresses_of_this_machine_alone(host: str, local: bool):
    assert is_local(host) == local


def test_no_more_wait_than_may(index, monkeypatch):
    release = threading.Event()

    def slow(*arguments, **options):
        release.wait(20)
        return original(*arguments, **options)

    original = index.search_many
    app = create_app(index, waiting=0)
    with TestClient(app, base_url=BASE) as asked:
        monkeypatch.setattr(index, "search_many", slow)
        codes: list[int] = []
        threads = [
            threading.Thread(target=lambda: codes.append(asked.get("/search?q=oil").status_code)) for _ in range(AT_ONCE + 9)
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 10
        while len(codes) < 9 and time.monotonic() < deadline:
            time.sleep(0.01)
        release.set()
        for thread in threads:
            thread.join()
    assert sorted(codes) == AT_ONCE * [200] + 9 * [503]


def test_those_who_wait_are_answered_together(index, monkeypatch):
    batches: list[int] = []
    original = index.search_many

    def counted(queries, *arguments, **options):
        batches.append(len(queries))
        time.sleep(0.05)
        return original(queries, *arguments, **options)

    questions = [f"{word} {number}" for number in range(10) for word in ("oil", "sword", "gas")]
    with client(index) as asked:
        monkeypatch.setattr(index, "search_many", counted)
        answers: dict[str, list] = {}

        def ask(question: str) -> None:
            answers[question] = asked.get("/search", params={"q": question, "k": 1 + len(question) % 2}).json()["hits"]

        threads = [threading.Thread(target=ask, args=(question,)) for question in questions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        monkeypatch.undo()
    assert sum(batches) == len(questions)
    assert max(batches) > 1
    for question, hits in answers.items():
        assert [hit["passage_id"] for hit in hits] == [hit.passage_id for hit in index.search(question, 1 + len(question) % 2)]


class Panic(BaseException):
    """As libraries of Rust raise it."""


@pytest.mark.parametrize("error", [RuntimeError, IndexCorrupt, Panic, StopIteration])
def test_an_error_is_told_to_nobody_else_and_ends_nothing(index, monkeypatch, error: type[BaseException]):
    original = index.search_many

    def fail(queries, *arguments, **options):
        time.sleep(0.05)
        if "gas" in queries:
            raise error("told so")
        return original(queries, *arguments, **options)

    with client(index) as asked:
        monkeypatch.setattr(index, "search_many", fail)
        codes: list[tuple[str, int]] = []

        def ask(question: str) -> None:
            codes.append((question, asked.get("/search", params={"q": question}).status_code))

        threads = [threading.Thread(target=ask, args=(question,)) for question in ("oil", "sword", "gas", "aid", "council")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        failed = 503 if error is IndexCorrupt else 500
        assert dict(codes) == {"oil": 200, "sword": 200, "gas": failed, "aid": 200, "council": 200}


@pytest.mark.parametrize("error", [OSError, IndexLocked, ValueError])
def test_while_no_new_generation_can_be_looked_for_the_old_one_answers(index, monkeypatch, caplog, error: type[Exception]):
    def fail():
        raise error("told so")

    monkeypatch.setattr(newest, "_SECONDS", 0)
    monkeypatch.setattr(index, "refresh", fail)
    with client(index) as asked:
        for _ in range(3):
            assert asked.get("/search?q=oil").status_code == asked.get("/status").status_code == 200
    assert [record.levelname for record in caplog.records if "told so" in record.message] == ["WARNING"]


def test_as_a_part_of_another_application(index):
    from starlette.applications import Starlette
    from starlette.routing import Mount

    outer = Starlette(routes=[Mount("/mine", create_app(index))])
    for _ in range(2):  # in an event loop of its own each time
        with TestClient(outer, base_url=BASE) as asked:
            page = asked.get("/mine/")
            assert 'src="static/page.js"' in page.text
            assert asked.get("/mine/static/page.js").status_code == 200
            assert asked.get("/mine/search?q=oil").json()["hits"]
            assert asked.get("/mine/status").status_code == 200


def test_as_a_part_of_another_application_the_page_is_open(index):
    from starlette.applications import Starlette
    from starlette.routing import Mount

    outer = Starlette(routes=[Mount("/mine", create_app(index, token="secret"))])
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    with TestClient(outer, base_url=BASE) as asked:
        for path, status in {"/mine/": 200, "/mine/static/page.js": 200, "/mine/status": 401, "/mine/search?q=oil": 401}.items():
            assert asked.get(path).status_code == status
        assert asked.get("/mine/", headers=link).status_code == 200
        assert asked.get("/mine/status", headers=link).status_code == 403


def test_the_longest_question_that_may_be_asked(index):
    smile = "%F0%9F%99%82"
    condition = f"&where={smile * 1998}%3D1"
    running = Served(index)
    try:
        with urllib.request.urlopen(f"{running.url}search?q={smile * 4000}{condition}", timeout=30) as answer:
            assert json.load(answer)["hits"] == []
    finally:
        running.stop()


# ---- what it says of itself


def test_a_new_generation_is_picked_up(asked, notes: Path, home: Path, monkeypatch):
    before = asked.get("/status").json()["generation"]
    facets = asked.get("/facets").json()
    write(notes, "three.md", "election", title="Third")
    build(notes, home)
    deadline = time.monotonic() + 10
    while asked.get("/status").json()["generation"] == before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert asked.get("/search?q=election").json()["hits"][0]["title"] == "Third"
    assert asked.get("/facets").json()["articles"] == facets["articles"] + 1


def test_its_openapi_document_holds(index):
    """Schemathesis asks whatever the document allows, and much that it does not."""
    pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    running = Served(index)
    try:
        command = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(Path(__file__).parent / "data" / "schemathesis.toml"),
            "run", f"{running.url}openapi.json", "--max-examples", "10", "--generation-deterministic", "--no-color",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        running.stop()
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]


def test_every_answer_is_described(asked):
    paths = asked.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/search",
        "/passages/{passage_id}",
        "/articles",
        "/articles/{article_id}",
        "/facets",
        "/status",
        "/healthz",
    }
    for methods in paths.values():
        for operation in methods.values():
            assert operation["responses"]["200"]["content"]["application/json"]["schema"]
            assert {"403", "421", "422", "503"} <= set(operation["responses"])
            for status, response in operation["responses"].items():
                if status != "200":
                    assert set(response["content"]) == {PROBLEM}


# ---- the command


def test_answers_are_sent_at_once():
    with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            # As asyncio asks, before it switches off what holds a body back.
            assert (accepted.family, accepted.type, accepted.proto) == (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)


def test_a_port_that_is_taken(home: Path):
    with listening("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", "--index", str(home), "--port", port)
        assert done.exit_code == 2
        assert "cannot listen" in done.stderr


@pytest.mark.parametrize("command", [["serve"], ["mcp", "--http"]])
def test_other_machines_need_a_token(home: Path, command: list[str]):
    done = run(*command, "--index", str(home), "--host", "0.0.0.0", "--port", "0")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "SEMSEARCH_TOKEN" in done.stderr


def test_without_an_index(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("serve", "--port", "0")
    assert done.exit_code == 2
    assert "no index" in done.stderr


@pytest.mark.model
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_process_serves_and_stops_when_told(root: Path, tmp_path: Path, model_cache: Path, ending: signal.Signals):
    (tmp_path / "seeds").symlink_to(root / "seeds")
    with subprocess.Popen(
        [sys.executable, "-m", "semsearch", "serve", "--port", "0", "--json"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as served:  # fmt: skip
        try:
            assert served.stdout is not None
            url = json.loads(served.stdout.readline())["url"]
            with urllib.request.urlopen(f"{url}search?q=what+aid+did+Russia+offer", timeout=30) as answer:
                hit = json.load(answer)["hits"][0]
            assert "humanitarian aid" in hit["text"]
            with pytest.raises(urllib.error.HTTPError, match="421"):
                urllib.request.urlopen(urllib.request.Request(f"{url}status", headers={"Host": "evil.example"}), timeout=30)
        finally:
            served.send_signal(ending)
        _, errors = served.communicate(timeout=30)
    assert served.returncode == 0, errors
    assert "Traceback" not in errors
