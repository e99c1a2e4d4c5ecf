"""Secrets of addresses: absent from messages, logs and tracebacks, whatever command or function gets the address."""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
import traceback
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from conftest import FakeEncoder
from helpers import Served, build, run, write

import semsearch
from semsearch.errors import EngineError, InputError
from semsearch.redaction import index_scheme, redact

SECRET = "s3cretPW"
ADDRESSES = [
    f"postgresql://user:{SECRET}@127.0.0.1:1/db?connect_timeout=1",
    f"postgres://user:{SECRET}@127.0.0.1:1/db?index=a-b",
    f"postgresql://127.0.0.1:1/db?password={SECRET}&nonsense=1",
    f"postgresql://127.0.0.1:1/db?sslpassword={SECRET}&nonsense=1",
    f"postgresql://user:p/{SECRET}@127.0.0.1:1/db",
    f"postgresql://user:p?{SECRET}@127.0.0.1:1/db",
    f"postgresql://user:p@{SECRET}@127.0.0.1:1/db&x",
    f"postgresql://user:my {SECRET}@127.0.0.1:1/a b/c",
    f"POSTGRESQL://USER:{SECRET}@127.0.0.1:1/db?index=a-b",
    f"POSTGRESQL:user:{SECRET}",
    f" postgresql://user:{SECRET}@127.0.0.1/db",
    f"postgresql//user:{SECRET}@127.0.0.1/db",
    f"postgresql:/user:{SECRET}@127.0.0.1/db",
    f"postgressql://user:{SECRET}@127.0.0.1/db",
    f"mysql://user:{SECRET}@127.0.0.1/db",
    f"milvus://user:{SECRET}@127.0.0.1:1/one-two",
    f"milvus://{SECRET}@127.0.0.1:1/one-two",
    f"milvus://127.0.0.1:1/one?token={SECRET}",
    f"MILVUS://user:'{SECRET}\"@127.0.0.1:1/one-two",
    f"milvus:user:{SECRET}@127.0.0.1",
    f"milvus//{SECRET}@127.0.0.1/articles",
    f"https://user:{SECRET}@127.0.0.1:1/page",
    f"https://user:p/{SECRET}@127.0.0.1:1/page",
    f"HTTPS:user:{SECRET}@127.0.0.1/page",
    f"tcp://user:{SECRET}@127.0.0.1:1",
    f"host=127.0.0.1 password={SECRET} dbname=x",
    f"host=127.0.0.1 password='my {SECRET}' dbname=x",
]
COMMANDS = [
    ("index", "{}"),
    ("index", "articles", "{}"),
    ("index", "articles", "--index", "{}"),
    ("index", "articles", "--cluster", "{}"),
    ("index", "articles", "--precision", "{}"),
    ("index", "articles", "--column", "{}"),
    ("index", "--watch", "{}"),
    ("ask", "aid", "{}"),
    ("ask", "aid", "--index", "{}"),
    ("ask", "aid", "--where", "{}"),
    ("ask", "aid", "-k", "{}"),
    ("check", "--index", "{}"),
    ("check", "{}"),
    ("status", "--index", "{}"),
    ("status", "{}"),
    ("remove", "{}"),
    ("remove", "a.md", "--index", "{}"),
    ("export", "{}/out.jsonl", "--index", "index"),
    ("export", "out.jsonl", "--index", "{}"),
    ("import", "{}", "--index", "other"),
    ("import", "{}.jsonl", "--index", "other"),
    ("eval", "{}"),
    ("eval", "articles/questions.tsv", "--index", "{}"),
    ("eval", "articles/questions.tsv", "--against", "{}"),
    ("eval", "articles/questions.tsv", "--report", "{}/report.html"),
    ("bench", "--index", "{}"),
    ("diff", "{}", "index", "--queries", "articles/questions.tsv"),
    ("diff", "index", "index", "--queries", "{}"),
    ("plot", "aid", "--index", "{}"),
    ("plot", "aid", "--output", "{}/map.html"),
    ("serve", "{}", "--port", "0"),
    ("serve", "--index", "{}", "--port", "0"),
    ("mcp", "{}"),
    ("mcp", "--index", "{}"),
    ("model", "fake", "--index", "{}"),
    ("--config", "{}", "status"),
    ("{}",),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_model: None) -> Path:
    """A working directory with articles and an index; engines are tried once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    if importlib.util.find_spec("psycopg"):
        monkeypatch.setattr("semsearch.engines.postgres.connections._ATTEMPTS", 1)
    write(tmp_path / "articles", "a.md", "aid", "oil")
    (tmp_path / "articles" / "questions.tsv").write_text("aid\ta.md\n", encoding="utf-8")
    build("articles", tmp_path / "index")
    return tmp_path


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_command_prints_a_secret(address: str, folder: Path, caplog: pytest.LogCaptureFixture):
    for command in COMMANDS:
        with caplog.at_level(logging.DEBUG, "semsearch"):
            result = run("-v", *(part.replace("{}", address) for part in command))
        assert result.exit_code, command
        told = [record.getMessage() for record in caplog.records if record.name.startswith("semsearch")]
        assert SECRET not in result.stdout + result.stderr + "".join(told), (command, result.stderr)
    assert not [path for path in folder.rglob("*") if SECRET in path.name]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("kind", [str, Path])
def test_no_exception_shows_a_secret(address: str, kind: type, folder: Path):
    place = kind(address)
    calls = [
        lambda: semsearch.build([place], "other", encoder=FakeEncoder()),
        lambda: semsearch.build("articles", place, encoder=FakeEncoder()),
        lambda: semsearch.build("articles", "other", encoder=FakeEncoder(), cluster=address),
        lambda: semsearch.open(place),
        lambda: semsearch.ask("aid", place),
        lambda: semsearch.remove([place], "index"),
        lambda: semsearch.remove(["a.md"], place),
        lambda: semsearch.check(place),
        lambda: semsearch.import_passages(place, "other", encoder=FakeEncoder()),
        lambda: semsearch.import_passages("none.jsonl", place, encoder=FakeEncoder()),
        lambda: semsearch.bench(place),
        lambda: semsearch.diff(place, "index", ["aid"]),
        lambda: semsearch.evaluate(place),
    ]
    for number, call in enumerate(calls):
        with pytest.raises(semsearch.SemsearchError) as caught:
            call()
        # The whole traceback as Python prints it, with the errors that led to this one.
        text = "".join(traceback.format_exception_only(caught.value))
        error: BaseException | None = caught.value
        while error := (error.__cause__ or (None if error.__suppress_context__ else error.__context__)):
            text += "".join(traceback.format_exception_only(error))
        assert SECRET not in text, (number, text)


@pytest.mark.parametrize("address", [address for address in ADDRESSES if index_scheme(address)])
def test_an_index_address_as_source_is_named_as_one(address: str, folder: Path):
    for command in (("index", address), ("ask", "aid", address), ("serve", address, "--port", "0"), ("mcp", address)):
        result = run(*command)
        assert result.exit_code == 2
        assert "is the address of an index, not of articles" in result.stderr
        assert "--index" in result.stderr


def test_files_named_like_an_engine_are_articles(folder: Path):
    named = folder / "postgres:notes.md"
    named.write_text("# Notes\n\nOil and gas.\n", encoding="utf-8")
    report, _ = build(["postgres:notes.md"], folder / "other")
    assert report.articles == 1
    result = run("index", "postgresql/none.md")
    assert "no such file or folder: 'postgresql/none.md'" in result.stderr


@pytest.mark.parametrize("address", ADDRESSES)
def test_settings_are_refused_without_secrets(address: str, folder: Path):
    file = folder / "semsearch.toml"
    for line in (
        f"index = {json.dumps(address)}",
        f"cluster = {json.dumps(address)}",
        f"model = {json.dumps(address)}",
        f"k = {json.dumps(address)}",
        f"format = {json.dumps(address)}",
        f"{json.dumps(address)} = 1",
        f"commands = {json.dumps(address)}",
        f"[commands]\n{json.dumps(address)} = 1",
        f"index = {address}",
    ):
        file.write_text(line, encoding="utf-8")
        for command in (("ask", "aid"), ("--config", "semsearch.toml", "ask", "aid"), ("ask", "--help")):
            result = run(*command)
            assert SECRET not in result.stdout + result.stderr, (line, result.stderr)


def test_log_records_and_their_tracebacks_have_no_secrets():
    told: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(self.format(record))

    logger, handler = logging.getLogger("semsearch"), Kept()
    logger.addHandler(handler)
    try:
        logger.error("no answer from %s in %d s", ADDRESSES[0], 3)
        try:
            raise OSError(f"cannot resolve {ADDRESSES[0]}")
        except OSError:
            logger.exception("failed")
    finally:
        logger.removeHandler(handler)
    assert told[0] == "no answer from postgresql://... in 3 s"
    assert "OSError: cannot resolve postgresql://..." in told[1]
    assert SECRET not in "".join(told)


@pytest.mark.parametrize("where", ["main", "thread"])
def test_tracebacks_of_unexpected_errors_have_no_secrets(where: str):
    script = (
        "import sys, threading\n"
        "from semsearch import __main__, cli\n"
        "def fail(*_, **__):\n"
        "    raise RuntimeError('cannot resolve ' + address)\n"
        "def start(*_, **__):\n"
        "    threading.Thread(target=fail).start()\n"
        "where, address = sys.argv[1:]\n"
        "cli.main = fail if where == 'main' else start\n"
        "__main__.run()\n"
    )
    done = subprocess.run([sys.executable, "-c", script, where, ADDRESSES[0]], capture_output=True, text=True, check=False)
    assert "RuntimeError: cannot resolve postgresql://...\n" in done.stderr
    assert "in fail" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_unexpected_errors_of_servers_have_no_secrets(folder: Path, monkeypatch: pytest.MonkeyPatch, caplog, capfd):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    pytest.importorskip("mcp", reason="the extra mcp is not installed")
    from test_mcp import in_client, text

    def fail(*_: object, **__: object) -> dict[str, object]:
        raise RuntimeError(f"cannot resolve {ADDRESSES[0]}")

    with semsearch.open("index", encoder=FakeEncoder()) as index:
        monkeypatch.setattr(type(index), "status", fail)
        served = Served(index)
        try:
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"{served.url}status")
        finally:
            served.stop()

        async def ask(client: Any) -> Any:
            return await client.call_tool("status", {})

        told = text(in_client(index, ask))
    output = capfd.readouterr()
    printed = caplog.text + output.out + output.err
    assert "RuntimeError: cannot resolve postgresql://..." in printed
    assert SECRET not in printed + told + caught.value.read().decode()


@pytest.mark.parametrize(
    "message",
    [
        "no engine has addresses like mysql://...: write milvus://HOST:PORT/COLLECTION, postgresql://HOST/DATABASE",
        "write postgresql://user@host:port/database?index=NAME",
        "cannot connect to postgresql://user@one:1,[::1]:2/db?index=notes: connection refused, ask admin@example.org",
        "milvus://127.0.0.1:19530/articles?database=news does not answer",
        "https://example.org/@author/post?page=2: cannot be fetched",
        "no scheduler of a cluster answers at tcp://127.0.0.1:8786 (refused)",
        "postgres.md:3: a heading without text, see postgres/notes.md and /var/lib/postgresql//x",
        "C:/Users/me@work/notes.md and file:///home/me@work/notes.md and 12:30@noon",
        "passage_tokens = 300: give more; tokens = 5",
    ],
)
def test_messages_without_secrets_stay_as_they_are(message: str):
    assert redact(message) == message
    assert str(InputError(message)) == message


@pytest.mark.parametrize("quoted", [str, repr, json.dumps, lambda address: f"({address}): see the log"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_secrets_are_taken_out_wherever_an_address_stands(address: str, quoted: Any):
    message = f"1 problem: {quoted(address)}"
    assert SECRET not in redact(message)
    assert SECRET not in str(EngineError(message))
    assert redact(message).startswith("1 problem: ")
    assert redact(redact(message)) == redact(message)


@pytest.mark.parametrize(
    "part", ["a:/", "postgresql:/", "postgres/", "//", "milvus", "@", "a@", "token=", "password", "x/:", "'"]
)
def test_long_messages_are_redacted_in_linear_time(part: str):
    """A quadratic search would take minutes."""
    message = part * (400_000 // len(part))
    assert len(redact(message)) <= len(message) + 400_000
