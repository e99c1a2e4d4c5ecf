"""How many threads compute, as the machine, the container and the user allow; how much memory a build fills."""

from __future__ import annotations

import os

import pytest
from helpers import run

from semsearch import limits
from semsearch.errors import InputError
from semsearch.protocols import PassageText


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """Eight processors, no container."""
    monkeypatch.setattr(limits, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.delenv(limits.THREADS, raising=False)
    return tmp_path


def test_all_that_the_process_is_bound_to():
    assert limits.processors() == 8


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1), ("1600000 100000", 8), ("", 8), ("x", 8)],
)
def test_the_share_of_a_container(machine, quota, expected):
    (machine / "cpu.max").write_text(quota)
    assert limits.processors() == expected


@pytest.mark.parametrize(("allowed", "expected"), [("3", 3), ("1", 1), ("64", 8), ("", 8)])
def test_what_the_user_allows(monkeypatch, allowed, expected):
    monkeypatch.setenv(limits.THREADS, allowed)
    assert limits.processors() == expected


@pytest.mark.parametrize("allowed", ["0", "-1", "two", "1.5", " ", "\u0663"])
def test_what_is_no_number_is_refused(monkeypatch, allowed):
    monkeypatch.setenv(limits.THREADS, allowed)
    with pytest.raises(InputError, match=r"SEMSEARCH_THREADS is .*: set it to how many threads may compute, such as 2"):
        limits.processors()


@pytest.mark.usefixtures("no_model")
def test_the_command_allows_so_many(notes, home, monkeypatch):
    monkeypatch.setenv(limits.THREADS, "")
    assert run("index", str(notes), "--index", str(home), "--threads", "2").exit_code == 0
    assert limits.processors() == 2
    assert run("index", str(notes), "--index", str(home), "--threads", "0").exit_code == 2


@pytest.mark.parametrize(("allowed", "expected"), [("64", 64), ("1000", 1000), ("", 256)])
def test_the_memory_that_the_user_allows(monkeypatch, allowed, expected):
    monkeypatch.setenv(limits.MEMORY, allowed)
    assert limits.memory() == expected


@pytest.mark.parametrize("allowed", ["0", "63", "-64", "1 GB", "256.5", "\u0662\u0665\u0666"])
def test_memory_that_is_no_number_or_too_little_is_refused(monkeypatch, allowed):
    monkeypatch.setenv(limits.MEMORY, allowed)
    with pytest.raises(InputError, match=r"SEMSEARCH_MEMORY is .*: set it to how many megabytes may be filled, from 64 on"):
        limits.memory()


@pytest.mark.usefixtures("no_model")
def test_the_command_fills_so_much(notes, home, monkeypatch):
    monkeypatch.setenv(limits.MEMORY, "")
    assert run("index", str(notes), "--index", str(home), "--memory", "64").exit_code == 0
    assert limits.memory() == 64
    assert run("index", str(notes), "--index", str(home), "--memory", "63").exit_code == 2


@pytest.mark.model
def test_with_less_memory_fewer_passages_are_cut_into_tokens_at_once_and_the_vectors_are_the_same(bundled, monkeypatch):
    given = [PassageText("", f"Passage {number} says {'a little more ' * (number % 7)}of it.", ()) for number in range(1000)]
    cut = []

    class Told:
        def __init__(self, tokenizer):
            self._tokenizer = tokenizer

        def encode_batch(self, texts):
            cut.append(len(texts))
            return self._tokenizer.encode_batch(texts)

        def __getattr__(self, name):
            return getattr(self._tokenizer, name)

    monkeypatch.setattr(bundled, "_tokenizer", Told(bundled._tokenizer))

    def encoded():
        found = {}
        for batch in bundled.encode_passages(given):
            for position, vector, tokens in zip(batch.positions, batch.vectors, batch.tokens, strict=True):
                assert position not in found
                found[position] = (vector.tobytes(), tokens.tobytes())
        return found

    monkeypatch.setenv(limits.MEMORY, "64")
    less = encoded()
    monkeypatch.delenv(limits.MEMORY)
    assert encoded() == less
    assert cut == [512, 488, 1000]
    assert len(less) == 1000
