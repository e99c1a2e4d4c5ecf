"""The process that reads documents: its messages arrive as they were sent, malformed ones end it, it gets no secrets."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import struct
import sys
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_formats import FEED, RTF, only, reason

from semsearch.articles import apart, wire
from semsearch.articles.decode import printable
from semsearch.articles.documents import Draft
from semsearch.articles.metadata import normalise
from semsearch.errors import InputError
from semsearch.records import Block, Run

MALFORMED = "cannot be read: the process that reads it sent a malformed message"
FACTS = ["Title", {"author": "Ann"}, "", []]
BLOCK = [1, 0, 1, 5, 1, 0, 5, 0, 5]
"""A paragraph in line 1 of five characters, which are one run."""


class Bomb:
    """Runs a command where it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def message(code: bytes = b"D", facts: object = FACTS, numbers: list[int] | bytes = BLOCK, text: str | bytes = "Hello") -> bytes:
    """A message, well formed or not."""
    parts = (
        facts if isinstance(facts, bytes) else json.dumps(facts).encode(),
        numbers if isinstance(numbers, bytes) else array("q", numbers).tobytes(),
        text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"),
    )
    return struct.pack("<cIII", code, *map(len, parts)) + b"".join(parts)


END = message(b"E", b"", [], "")


def answering(monkeypatch, answer: bytes, then: str = "time.sleep(60)") -> None:
    """Have the next process give this answer, whatever it is asked."""
    apart.close()
    program = f"import os, sys, time; sys.stdout.buffer.write({answer!r}); sys.stdout.flush(); {then}"
    monkeypatch.setattr(apart, "_PROGRAM", program)


def test_the_messages_of_these_tests_are_well_formed_but_for_what_each_is_about(monkeypatch):
    answering(monkeypatch, message() + END)
    article = only("a.rtf", RTF)
    assert (article.title, article.metadata, article.blocks[0].text) == ("Title", {"author": "Ann"}, "Hello")
    apart.close()


def test_a_pickle_is_not_loaded(tmp_path, monkeypatch):
    marker = tmp_path / "executed"
    bomb = pickle.dumps(Bomb(f"{sys.executable} -c \"open(r'{marker}', 'w')\""))
    for answer in (bomb, message(facts=bomb), message(text=bomb), message(b"F", facts=bomb)):
        answering(monkeypatch, answer)
        assert reason("a.rtf", RTF).startswith(MALFORMED)
    assert not marker.exists()


ANSWERS = {
    "no message": (b"<html>" + 20 * b"?", "a message of an unknown kind"),
    "facts beyond the limit": (struct.pack("<cIII", b"D", 2**32 - 1, 0, 0), "a message that is too large"),
    "numbers beyond the limit": (struct.pack("<cIII", b"D", 0, 2**32 - 1, 0), "a message that is too large"),
    "text beyond the limit": (struct.pack("<cIII", b"F", 0, 0, 2**32 - 1), "a message that is too large"),
    "invalid JSON": (message(facts=b"{"), "invalid JSON"),
    "JSON that is not UTF-8": (message(facts=b'"\xff"'), "invalid JSON"),
    "deep nesting": (message(facts=b"[" * 100_000), "invalid JSON"),
    "a number of too many digits": (message(facts=b"9" * 10_000), "invalid JSON"),
    "no list": (message(facts={}), "of another type"),
    "too few facts": (message(facts=FACTS[:3]), "of another type"),
    "a title that is a number": (message(facts=[1, *FACTS[1:]]), "of another type"),
    "metadata that is a list": (message(facts=["", [], "", []]), "of another type"),
    "a record that is none": (message(facts=["", {}, "/../other.md", []]), "records out of order"),
    "a record twice": (2 * message(facts=["", {}, "#7", []]), "records out of order"),
    "an article after the only one": (2 * message(), "records out of order"),
    "pages that are texts": (message(facts=["", {}, "", ["0"]]), "pages out of order"),
    "a page that is true": (message(facts=["", {}, "", [True]]), "pages out of order"),
    "a page before the first": (message(facts=["", {}, "", [-1]]), "pages out of order"),
    "a page beyond all offsets": (message(facts=["", {}, "", [2**40]]), "pages out of order"),
    "half a number": (message(numbers=array("q", BLOCK).tobytes()[:-1]), "half a number"),
    "half a block": (message(numbers=[1, 0]), "half a block"),
    "a kind below all": (message(numbers=[-1, *BLOCK[1:]]), "a block of an unknown kind"),
    "a kind beyond all": (message(numbers=[7, *BLOCK[1:]]), "a block of an unknown kind"),
    "a level beyond all": (message(numbers=[1, 7, *BLOCK[2:]]), "level, line or length"),
    "line 0": (message(numbers=[1, 0, 0, *BLOCK[3:]]), "level, line or length"),
    "a line beyond all": (message(numbers=[1, 0, 2**31, *BLOCK[3:]]), "level, line or length"),
    "a negative length": (message(numbers=[1, 0, 1, -5, *BLOCK[4:]]), "level, line or length"),
    "more text than there is": (message(numbers=[1, 0, 1, 6, *BLOCK[4:]]), "level, line or length"),
    "text in no block": (message(text="Hello!"), "text that is in no block"),
    "runs that are not there": (message(numbers=[1, 0, 1, 5, 2, *BLOCK[5:]]), "another number of runs"),
    "fewer than no runs": (message(numbers=[1, 0, 1, 5, -1, *BLOCK[5:]]), "another number of runs"),
    "text without runs": (message(numbers=[1, 0, 1, 5, 0]), "another number of runs"),
    "a run before the text": (message(numbers=[*BLOCK[:5], -1, 5, 0, 5]), "runs out of range or order"),
    "a run beyond the text": (message(numbers=[*BLOCK[:5], 0, 6, 0, 6]), "runs out of range or order"),
    "a run of a negative offset": (message(numbers=[*BLOCK[:5], 0, 5, -5, 0]), "runs out of range or order"),
    "a run beyond all offsets": (message(numbers=[*BLOCK[:5], 0, 5, 2**31, 2**31 + 5]), "runs out of range or order"),
    "a run backwards": (message(numbers=[*BLOCK[:5], 0, 5, 5, 0]), "runs out of range or order"),
    "runs out of order": (message(numbers=[1, 0, 1, 5, 2, 3, 5, 0, 2, 0, 3, 2, 5]), "runs out of range or order"),
    "text that is not UTF-8": (message(text=b"Hell\xff"), "text that is not UTF-8"),
    "a lone surrogate": (message(numbers=[1, 0, 1, 1, 1, 0, 1, 0, 1], text="\ud800"), "text that is not UTF-8"),
    "NUL": (message(text="Hell\0"), "NUL characters"),
    "a reason that is no text": (message(b"F", {}, [], ""), "a reason that is not a short text"),
    "a long reason": (message(b"P", "x" * 4001, [], ""), "a reason that is not a short text"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_malformed_answer_is_a_problem_of_its_file_alone(case, monkeypatch):
    answer, why = ANSWERS[case]
    answering(monkeypatch, answer)
    found = list(apart_read(RTF))
    assert isinstance(found[-1], str)
    assert found[-1].startswith(f"{MALFORMED} (")
    assert why in found[-1]
    assert apart._idle is None
    monkeypatch.undo()
    assert only("b.rtf", RTF).title == "The Sound"


def apart_read(data: bytes):
    """What a process gives of a file; the last is why it failed, if it did."""
    try:
        yield from apart.read("rtf", data, {})
    except InputError as error:
        yield str(error)


def test_the_process_is_ended_and_the_next_file_is_read_by_another(monkeypatch):
    answering(monkeypatch, message(facts=[]))
    child = apart._Child()
    monkeypatch.setattr(apart, "_idle", child)
    assert reason("a.rtf", RTF).startswith(MALFORMED)
    assert child.process.poll() is not None
    monkeypatch.undo()
    assert only("b.rtf", RTF).title == "The Sound"
    assert apart._idle is not child


@pytest.mark.parametrize("answer", [b"", message()[:5], message()[:-1]], ids=["none", "half a header", "half a text"])
def test_an_answer_that_ends_too_early_is_a_problem(answer, monkeypatch):
    answering(monkeypatch, answer, "raise SystemExit(3)")
    assert reason("a.rtf", RTF) == "cannot be read: its reader crashed (code 3)"
    # A process that goes on without its output is not waited for.
    monkeypatch.setattr(apart, "_GRACE", 0.1)
    answering(monkeypatch, answer, "os.close(1); time.sleep(60)")
    assert reason("a.rtf", RTF) == f"{MALFORMED} (it ended too early): the file is damaged or malicious; remove it or repair it"
    monkeypatch.undo()
    assert only("b.rtf", RTF).title == "The Sound"


@pytest.mark.parametrize(
    ("limit", "value", "why"),
    [
        ("MAX_TEXT", 4, "text that is too long"),
        ("MAX_TEXT", 1, "a message that is too large"),
        ("MAX_JSON", 20, "a message that is too large"),
        ("MAX_NUMBERS", 8, "a message that is too large"),
        ("MAX_TOTAL", 70_000, "more than 0 MB of text and metadata, too much for its size: split the file"),
    ],
)
def test_the_parent_holds_the_limits_too(limit, value, why, monkeypatch):
    answering(monkeypatch, b"".join(message(facts=["", {"x": "x" * 30_000}, f"#{number}", []]) for number in (1, 2, 3)) + END)
    monkeypatch.setattr(wire, limit, value)
    monkeypatch.setattr(wire, "MAX_EXPANSION", 0)
    child = apart._Child()
    monkeypatch.setattr(apart, "_idle", child)
    assert why in list(apart_read(RTF))[-1]
    assert child.process.poll() is not None


def test_a_process_cannot_go_on_for_ever(monkeypatch):
    small = [message(facts=["", {}, f"#{number}", []]) for number in range(1, 100)]
    monkeypatch.setattr(wire, "MAX_TOTAL", 10_000)
    monkeypatch.setattr(wire, "MAX_EXPANSION", 0)
    answering(monkeypatch, b"".join(small) + END)
    *drafts, why = apart_read(RTF)
    assert len(drafts) < 10_000 / 256
    assert "too much for its size: split the file" in str(why)
    monkeypatch.undo()
    monkeypatch.setattr(wire, "MAX_PROBLEMS", 3)
    answering(monkeypatch, 10 * message(b"P", "wrong", [], "") + END)
    *problems, why = apart_read(RTF)
    assert len(problems) == 3
    assert "more problems than a file can have" in str(why)


@pytest.mark.parametrize(
    ("limit", "value", "why"),
    [
        ("MAX_TEXT", 4, "more than 0 million characters of text: split the file"),
        ("MAX_JSON", 20, "more than 0 MB of metadata in one article: shorten it"),
        ("MAX_NUMBERS", 8, "too many paragraphs and lines in one article: split the file"),
    ],
)
def test_an_article_beyond_the_limits_is_not_sent(limit, value, why, monkeypatch):
    monkeypatch.setattr(wire, limit, value)
    stream = io.BytesIO()
    with pytest.raises(InputError) as refused:
        wire.send(stream, Draft("Title", {"author": "Ann"}, [Block("paragraph", "Hello", 1, (Run(0, 5, 0, 5),))]))
    assert str(refused.value) == why
    assert not stream.getvalue()


def test_reasons_are_cut_and_hold_no_surrogates():
    for answer in (wire.Failure("x\ud800" * 4000), InputError("x\ud800" * 4000)):
        stream = io.BytesIO()
        wire.send(stream, answer)
        stream.seek(0)
        received = wire.ReplyReader(stream, 0).receive()
        assert (received.reason if isinstance(received, wire.Failure) else str(received)) == "x\ufffd" * 2000
        assert type(received) is type(answer)


# Whatever a reader gives arrives, as the index would hold it.

TEXT = st.text(st.characters(codec=None) | st.sampled_from("\0\ud800\udfff\u2028🙂"), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.dates() | st.datetimes() | st.times() | st.timedeltas()
    | st.decimals() | st.binary(max_size=5) | st.integers(2**70, 2**3000),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@st.composite
def blocks(draw) -> list[Block]:
    found = []
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["heading", "paragraph", "item", "quote", "table", "code"]))
        text, runs, at = "", [], 0
        for piece in draw(st.lists(TEXT.filter(bool), min_size=1, max_size=3)):
            start, at = len(text), at + draw(st.integers(0, 3))
            text += piece
            end = at + draw(st.integers(0, 20))
            runs.append(Run(start, len(text), at, end))
            at = end
        found.append(Block(kind, text, draw(st.integers(1, 2**31 - 1)), tuple(runs), draw(st.integers(0, 6))))
    if draw(st.booleans()):
        found.append(Block("rule", "", 1, ()))
    return found


DRAFTS = st.builds(
    Draft,
    TEXT,
    st.dictionaries(TEXT, VALUES, max_size=4),
    blocks(),
    st.just("") | st.integers(1, 10**12).map("#{}".format),
    st.lists(st.integers(0, 2**31 - 1), max_size=4).map(sorted).map(tuple),
)


@given(draft=DRAFTS)
@settings(max_examples=200, deadline=None)
def test_a_draft_arrives_as_it_was_sent(draft):
    stream = io.BytesIO()
    wire.send(stream, draft)
    stream.seek(0)
    received = wire.ReplyReader(stream, 0).receive()
    assert isinstance(received, Draft)
    expected = draft._replace(
        title=printable(draft.title),
        metadata=normalise(draft.metadata),
        blocks=[Block(block.kind, printable(block.text), block.line, block.runs, block.level) for block in draft.blocks],
    )
    assert received._replace(metadata=normalise(received.metadata)) == expected
    assert not stream.read()


def test_numbers_that_are_none_and_dates_arrive():
    from datetime import date, datetime, timezone

    metadata = {
        "nan": math.nan, "inf": -math.inf, "date": date(2020, 1, 2), "when": datetime(2020, 1, 2, 3, tzinfo=timezone.utc),
        "nested": {"pair": (1, 2.5), "when": [date(2020, 1, 2)]}, "huge": 2**2100,
    }  # fmt: skip
    stream = io.BytesIO()
    wire.send(stream, Draft("", metadata, []))
    stream.seek(0)
    received = wire.ReplyReader(stream, 0).receive()
    assert isinstance(received, Draft)
    assert normalise(received.metadata) == normalise(metadata) == {
        "nan": "nan", "inf": "-inf", "date": "2020-01-02", "when": "2020-01-02T03:00:00+00:00",
        "nested": {"pair": [1, 2.5], "when": ["2020-01-02"]}, "huge": hex(2**2100),
    }  # fmt: skip


@given(
    kind=TEXT,
    data=st.binary(max_size=50),
    columns=st.dictionaries(TEXT, TEXT, max_size=2),
    seconds=st.floats(0, 1e6),
)
@settings(max_examples=50, deadline=None)
def test_a_request_arrives_as_it_was_sent(kind, data, columns, seconds):
    stream = io.BytesIO()
    wire.send_request(stream, kind, data, columns, seconds)
    stream.seek(0)
    assert wire.receive_request(stream)[1:2] == (data,)
    stream.seek(0)
    assert wire.receive_request(stream).seconds == seconds


# What the process has of its parent.


def test_the_process_gets_no_secrets_and_no_files(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMSEARCH_TOKEN", "secret")
    monkeypatch.setenv("PGPASSWORD", "secret")
    told = (
        "from semsearch.articles import wire; found = [*os.environ.values()];"
        "links = [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')"
        " if os.path.exists(f'/proc/self/fd/{fd}')] if os.path.isdir('/proc/self/fd') else [];"
        "wire.send(sys.stdout.buffer, wire.Failure(repr(found + links))); sys.stdout.flush(); time.sleep(60)"
    )
    answering(monkeypatch, b"", f"sys.path[:] = sys.argv[1:]; {told}")
    with (tmp_path / "private.txt").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        said = reason("a.rtf", RTF)
    assert said.startswith("[")
    assert "secret" not in said
    assert "private.txt" not in said
    apart.close()
    monkeypatch.undo()
    assert only("b.rtf", RTF)


def test_no_module_of_articles_unpickles():
    folder = Path(apart.__file__).parent
    assert not [path.name for path in folder.rglob("*.py") if "pickle" in path.read_text(encoding="utf-8")]


def test_a_feed_has_its_entries_in_order():
    assert [draft.record for draft in apart.read("feed", FEED.encode(), {}) if isinstance(draft, Draft)] == ["#1", "#2"]
