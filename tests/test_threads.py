"""How many threads compute: as the machine, the container and the user allow."""

from __future__ import annotations

import os

import pytest
from helpers import run

from semsearch import threads
from semsearch.errors import InputError


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """Eight processors, no container."""
    monkeypatch.setattr(threads, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.delenv(threads.THREADS, raising=False)
    return tmp_path


def test_all_that_the_process_is_bound_to():
    assert threads.processors() == 8


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1), ("1600000 100000", 8), ("", 8), ("x", 8)],
)
def test_the_share_of_a_container(machine, quota, expected):
    (machine / "cpu.max").write_text(quota)
    assert threads.processors() == expected


@pytest.mark.parametrize(("allowed", "expected"), [("3", 3), ("1", 1), ("64", 8), ("", 8)])
def test_what_the_user_allows(monkeypatch, allowed, expected):
    monkeypatch.setenv(threads.THREADS, allowed)
    assert threads.processors() == expected


@pytest.mark.parametrize("allowed", ["0", "-1", "two", "1.5", " ", "\u0663"])
def test_what_is_no_number_is_refused(monkeypatch, allowed):
    monkeypatch.setenv(threads.THREADS, allowed)
    with pytest.raises(InputError, match=r"SEMSEARCH_THREADS is .*: set it to how many threads may compute, such as 2"):
        threads.processors()


@pytest.mark.usefixtures("no_model")
def test_the_command_allows_so_many(notes, home, monkeypatch):
    monkeypatch.setenv(threads.THREADS, "")
    assert run("index", str(notes), "--index", str(home), "--threads", "2").exit_code == 0
    assert threads.processors() == 2
    assert run("index", str(notes), "--index", str(home), "--threads", "0").exit_code == 2
