"""Indexing under faults, the quick part of ``benchmarks/torture.py``: nothing is lost, and nothing wrong is answered."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from faults import collection, corruption, crowd, kills, operations
from faults.launcher import Launcher, compile_shim
from faults.scenarios import Maker
from faults.trials import Trials

pytestmark = pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="processes under test are forked")

SEED = 1


@pytest.fixture(scope="module")
def launcher(tmp_path_factory):
    shim = compile_shim(tmp_path_factory.mktemp("shim"))
    with Launcher(shim if isinstance(shim, Path) else None) as started:
        # Why there is none, for those that need it.
        started.reason = shim if isinstance(shim, str) else ""
        yield started


@pytest.fixture
def trials(tmp_path):
    return Trials("quick", SEED, tmp_path / "broken", every=0)


@pytest.fixture
def maker(launcher, tmp_path):
    return Maker(launcher, tmp_path, size=8, pause=0.01)


@pytest.mark.parametrize("name", ["first_build", "refresh"])
def test_a_killed_process_leaves_one_of_two_states(launcher, maker, trials, tmp_path, name):
    scenario = getattr(maker, name)()
    kills.kill(launcher, scenario, trials, tmp_path, SEED, 4)
    assert trials.unwanted == []
    assert trials.counts[f"{scenario.name}: before"] + trials.counts[f"{scenario.name}: after"] == trials.counts["kills"] == 4


@pytest.fixture(scope="module")
def small_refresh(launcher, tmp_path_factory):
    if launcher.reason:
        pytest.skip(launcher.reason)
    return Maker(launcher, tmp_path_factory.mktemp("refresh"), size=4, pause=0).refresh()


@pytest.mark.parametrize("fault", operations.FAULTS)
def test_a_fault_at_a_file_operation_leaves_one_of_two_states(launcher, small_refresh, trials, tmp_path, fault):
    # Together they reach every tenth operation.
    stride = 10 * len(operations.FAULTS)
    first = 1 + 10 * list(operations.FAULTS).index(fault)
    operations.fail_each(launcher, small_refresh, trials, tmp_path, {fault: operations.FAULTS[fault]}, stride, first)
    assert trials.unwanted == []
    assert trials.counts[fault] == trials.counts["trials"]
    assert trials.counts["refresh: operations"] > 100


def test_damage_is_seen_and_answers_are_right_or_refused(launcher, trials, tmp_path):
    expected = corruption.make_index(launcher, tmp_path / "template", 12)
    corruption.corrupt(launcher, tmp_path / "template", expected, trials, tmp_path, SEED, 24)
    assert trials.unwanted == []
    assert trials.counts["detected"] == trials.counts["trials"] == 24
    assert trials.counts["wrong"] == trials.counts["crashes"] == 0


def test_every_reader_sees_whole_generations(launcher, trials, tmp_path):
    states, answers = crowd.make_states(launcher, tmp_path / "shared", 12)
    crowd.gather(
        launcher, tmp_path / "shared", states, answers, trials, writers=2, readers=4, seconds=3, pause=0.05
    )  # fmt: skip
    assert trials.unwanted == []
    assert trials.counts["written"] > 2
    assert trials.counts["state A"] > 0
    assert trials.counts["state B"] > 0
    assert trials.counts["state A"] + trials.counts["state B"] == trials.counts["searches"]


def test_every_way_to_damage_a_file_changes_it(launcher, tmp_path):
    (tmp_path / "template").mkdir()
    for name in ("semsearch.sqlite", "segment-1.vectors", "segment-2.vectors"):
        (tmp_path / "template" / name).write_bytes(name.encode() * 1000)
    for number in range(50):
        folder = tmp_path / str(number)
        folder.mkdir()
        before = {path.name: path.read_bytes() for path in (tmp_path / "template").iterdir()}
        for name, data in before.items():
            (folder / name).write_bytes(data)
        kind, told = corruption.damage(folder, random.Random(number))
        after = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert after != before
        assert kind in ("database", ".vectors")
        assert told.split()[0] in before


def test_two_lists_of_hits_are_the_same_but_for_rounding_and_the_order_of_equals():
    one = [["a", "x.md", 0, 1, 0.9], ["b", "x.md", 2, 3, 0.5], ["c", "y.md", 0, 1, 0.5]]
    assert collection.same(one, [one[0], one[2], one[1]])
    assert collection.same(one, [[*one[0][:4], 0.9 + 1e-7], *one[1:]])
    assert not collection.same(one, [[*one[0][:4], 0.9 + 1e-7], *one[1:]], 0)
    assert not collection.same(one, [[*one[0][:4], 0.89], *one[1:]])
    assert not collection.same(one, [["z", *one[0][1:]], *one[1:]])
    assert not collection.same(one, one[:2])
    assert not collection.same(one, [one[1], one[0], one[2]])
    assert not collection.same(one, {"error": "IndexCorrupt", "message": ""})
