"""A cluster of encoders on this machine: the same index as without, whatever dies on the way.

The scheduler and the nodes are real processes: ``benchmarks/nodes.py``. Vectors are compared to the last bit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEncoder
from helpers import contents, records, run

import semsearch
from semsearch import encoder as encoders
from semsearch import watching
from semsearch._version import __version__
from semsearch.cluster import connected, shards, spread, worker
from semsearch.errors import EngineError, InputError, MissingExtra
from semsearch.protocols import Encoded, Encoder, PassageText
from semsearch.store.pending import pending_texts

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from nodes import Cluster, client_of, kill, wait_for, workers_of

TESTS = Path(__file__).resolve().parent
IMPORT_PATH = os.pathsep.join([str(TESTS), str(TESTS.parent), str(TESTS.parent / "benchmarks")])
PASSAGES = 120


class Slow(FakeEncoder):
    """Takes some milliseconds for each passage, and kills its process where one is deadly."""

    def __init__(self, milliseconds: float = 10.0) -> None:
        super().__init__()
        self.milliseconds = milliseconds

    def encode_passages(self, passages: Sequence[PassageText]) -> Iterator[Encoded]:
        for encoded in super().encode_passages(passages):
            time.sleep(self.milliseconds / 1000 * len(encoded.positions))
            if any("deadly" in passages[position].text for position in encoded.positions):
                os.kill(os.getpid(), signal.SIGKILL)
            yield encoded


class Changing(FakeEncoder):
    """Is another model where it is unpickled."""

    def __reduce__(self) -> tuple[type[FakeEncoder], tuple[str]]:
        return FakeEncoder, ("another",)


class Failing(FakeEncoder):
    def encode_passages(self, passages: Sequence[PassageText]) -> Iterator[Encoded]:
        raise RuntimeError("out of order\nand more")


class Unsendable(FakeEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    environment = {"PYTHONPATH": IMPORT_PATH, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    started = Cluster(tmp_path_factory.mktemp("cluster"), environment)
    yield started
    started.close()


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "_TOKENS", 150)
    monkeypatch.setattr(spread, "_TICK", 0.1)


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    words = ["aid oil", "sword battle council", "gas", "charter sanction", "vaccine election vote"]
    return records(
        tmp_path / "articles", [f"The {words[number % 5]} of day {number}. All was well." for number in range(PASSAGES)]
    )


@pytest.fixture
def alone(articles: Path, tmp_path: Path) -> list[tuple[object, ...]]:
    """What an index has that was made without a cluster."""
    semsearch.build(articles, tmp_path / "alone", encoder=FakeEncoder()).close()
    return contents(tmp_path / "alone")


def built(
    articles: Path, home: Path, address: str, encoder: Encoder | None = None, at: int = 0, then: Callable[[], object] = int
):
    """The report of a build by the cluster, during which something is done once so many passages are encoded."""
    done = threading.Event()

    def progress(stage: str, count: int, total: int) -> None:
        if stage == "encoding" and count >= at and not done.is_set():
            done.set()
            then()

    with semsearch.build(articles, home, encoder=encoder or FakeEncoder(), cluster=address, progress=progress) as index:
        assert done.is_set()
        assert index.status()["engine"] == "fake, cluster"
        return index.report


def test_an_index_made_by_a_cluster_is_the_one_made_alone(cluster: Cluster, articles: Path, home: Path, alone):
    cluster.nodes(2)
    encoder = FakeEncoder()
    report = built(articles, home, cluster.address, encoder)
    assert report.encoded == PASSAGES
    assert encoder.encoded == []
    assert contents(home) == alone
    with articles.open("a") as file:
        file.write('{"text": "One more word of the council."}\n')
    assert built(articles, home, cluster.address, encoder).encoded == 1
    assert encoder.encoded == []


def test_a_worker_that_is_killed(cluster: Cluster, articles: Path, home: Path, alone):
    _, node = cluster.nodes(2)
    (victim,) = workers_of(node)
    assert built(articles, home, cluster.address, Slow(), PASSAGES // 4, victim.kill).encoded == PASSAGES
    assert contents(home) == alone


def test_a_node_that_is_killed_and_one_that_comes(cluster: Cluster, articles: Path, home: Path, alone):
    _, node = cluster.nodes(2)
    assert built(articles, home, cluster.address, Slow(), PASSAGES // 4, partial(kill, node)).encoded == PASSAGES
    assert contents(home) == alone


def test_who_made_the_index_is_killed_and_goes_on(cluster: Cluster, articles: Path, home: Path, alone):
    cluster.nodes(1)
    script = (
        "import sys, semsearch; from semsearch.cluster import spread; from test_cluster import Slow; spread._TOKENS = 150;"
        "semsearch.build(sys.argv[1], sys.argv[2], encoder=Slow(), cluster=sys.argv[3])"
    )
    environment = {**os.environ, "PYTHONPATH": IMPORT_PATH}
    with subprocess.Popen([sys.executable, "-c", script, articles, home, cluster.address], env=environment) as process:
        wait_for(lambda: len(pending_texts(home)) > PASSAGES // 4)
        process.kill()
    kept = len(pending_texts(home))
    assert PASSAGES // 4 < kept < PASSAGES
    assert built(articles, home, cluster.address).encoded == PASSAGES - kept
    assert contents(home) == alone


def test_a_passage_that_kills_every_worker_ends_the_build_and_keeps_the_rest(
    cluster: Cluster, articles: Path, home: Path, monkeypatch: pytest.MonkeyPatch
):
    cluster.nodes(1)
    monkeypatch.setattr(spread, "_TRIES", 1)
    monkeypatch.setattr(spread, "_AHEAD", 1)
    # The shortest of all, which comes last.
    with articles.open("a") as file:
        file.write('{"text": "deadly"}\n')
    said = (
        r"cannot encode \d+ of the passages: 2 workers died of it, the last of them tcp://127.0.0.1:\d+ .* leave the cluster out"
    )
    with pytest.raises(EngineError, match=said):
        built(articles, home, cluster.address, Slow(0))
    kept = len(pending_texts(home))
    assert kept > PASSAGES // 2
    with semsearch.build(articles, home, encoder=FakeEncoder()) as index:
        assert index.report.encoded == PASSAGES + 1 - kept


def test_a_worker_with_another_model_or_version_is_named(
    cluster: Cluster, articles: Path, home: Path, monkeypatch: pytest.MonkeyPatch
):
    cluster.nodes(1)
    with pytest.raises(EngineError, match=r"the worker tcp://127\.0\.0\.1:\d+ cannot .* its 'another' is another model"):
        built(articles, home, cluster.address, Changing())
    elsewhere = replace(FakeEncoder().fingerprint, model="/no/such/model")
    missing = encoders.DeferredEncoder(elsewhere, FakeEncoder)
    with (
        connected(cluster.address) as spreading,
        pytest.raises(EngineError, match=r"the worker tcp://\S+ cannot .* load the model \(no model at '/no/such/model'"),
    ):
        list(spreading(missing, bytes).encode_passages([PassageText("", "aid", ())]))
    monkeypatch.setattr(spread, "__version__", "0.0.9")
    with pytest.raises(EngineError, match=rf"it has semsearch {__version__}, and 0.0.9 makes the index"):
        built(articles, home, cluster.address)


def test_an_encoder_that_fails_is_tried_again_and_then_told(cluster: Cluster, articles: Path, home: Path, caplog):
    cluster.nodes(1)
    with pytest.raises(EngineError, match=r"cannot encode \d+ of the passages: RuntimeError: out of order; ") as told:
        built(articles, home, cluster.address, Failing())
    assert "\n" not in str(told.value)
    assert len({record.message for record in caplog.records if "once more" in record.message}) >= 1


def test_what_is_under_way_is_given_up_with_the_build(cluster: Cluster, articles: Path, home: Path):
    cluster.nodes(1)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built(articles, home, cluster.address, Slow(), PASSAGES // 4, interrupt)
    assert pending_texts(home)
    with closing(client_of(cluster.address)) as client:
        wait_for(lambda: not any(client.processing().values()))
        assert not client.run_on_scheduler(lambda dask_scheduler: [key for key in dask_scheduler.tasks if "semsearch" in key])


def test_what_cannot_be_vectors_is_not_taken_for_them(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    cluster.nodes(1)
    nothing = worker.Answer("tcp://it:1", "fake", shards.Packed(*[None] * 5))  # type: ignore[arg-type]
    for gives, said in {
        None: "gave no vectors: is its semsearch the same",
        ("w", "fake", None, False, "", ""): "gave no vectors",
        nothing: "the worker tcp://it:1 gave what cannot be",
    }.items():
        monkeypatch.setattr(spread, "_task", lambda gives=gives: lambda *task: gives)
        with connected(cluster.address) as spreading, pytest.raises(EngineError, match=said):
            list(spreading(FakeEncoder(), bytes).encode_passages(given("aid", said)))


def test_an_index_that_follows_its_articles_takes_the_cluster(cluster: Cluster, articles: Path, home: Path, alone):
    cluster.nodes(1)
    encoder = FakeEncoder()
    with closing(watching.watch([articles], home, encoder=encoder, cluster=cluster.address)) as refreshes:
        assert next(refreshes).report.encoded == PASSAGES
    assert encoder.encoded == []
    assert contents(home) == alone


def test_what_was_done_and_died_with_its_node_is_not_waited_for_without_end(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    (node,) = cluster.nodes(1)
    monkeypatch.setattr(spread, "_FETCHING", 0.1)
    monkeypatch.setattr(spread, "_PATIENCE", 0.3)
    with closing(client_of(cluster.address)) as client:
        encoder = FakeEncoder()
        flight = spread._Flight(client, cluster.address, encoder.fingerprint, spread._pickled(encoder))
        flight.budget()
        flight.start(next(shards.cut(given("aid"), 100, encoder.fingerprint)))
        wait_for(lambda: not flight._done.empty())
        kill(node)
        with pytest.raises(EngineError, match="has had no worker for"):
            flight.landed()


def test_without_workers_it_waits_and_then_says_so(cluster: Cluster, articles: Path, home: Path, monkeypatch: pytest.MonkeyPatch):
    cluster.nodes(0)
    monkeypatch.setattr(spread, "_PATIENCE", 0.3)
    with pytest.raises(EngineError, match=r"has had no worker for .* \(dask worker tcp://"):
        built(articles, home, cluster.address)


def test_workers_that_come_when_it_has_begun(cluster: Cluster, articles: Path, home: Path, alone):
    cluster.nodes(0)
    coming = threading.Timer(0.5, cluster.nodes, [1])
    coming.start()
    assert built(articles, home, cluster.address).encoded == PASSAGES
    coming.join()
    assert contents(home) == alone


def test_a_scheduler_that_is_killed(cluster: Cluster, articles: Path, home: Path, alone, monkeypatch: pytest.MonkeyPatch):
    cluster.nodes(1)
    address = cluster.address
    with pytest.raises(EngineError, match=f"the scheduler at {address} is gone: start it and its workers, and run this again"):
        built(articles, home, address, Slow(), PASSAGES // 4, cluster.kill_scheduler)
    kept = len(pending_texts(home))
    assert kept >= PASSAGES // 4
    monkeypatch.setattr(spread, "_CONNECTING", 0.5)
    result = run("index", str(articles), "--index", str(home), "--cluster", address)
    assert result.exit_code == 2
    assert f"no scheduler of a cluster answers at {address}" in result.stderr
    with semsearch.build(articles, home, encoder=FakeEncoder()) as index:
        assert index.report.encoded == PASSAGES - kept
    assert contents(home) == alone


def test_what_is_no_cluster_is_refused(articles: Path, home: Path, monkeypatch: pytest.MonkeyPatch):
    for address in ("", "tcp://", "127.0.0.1:8786", "http://127.0.0.1:8786", "inproc://x"):
        with pytest.raises(InputError, match="not the address of a cluster"):
            semsearch.build(articles, home, encoder=FakeEncoder(), cluster=address)
    with pytest.raises(InputError, match="this encoder cannot be sent to workers"):
        spread.ClusterEncoder(None, "", Unsendable(), bytes)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r'a cluster needs distributed: python -m pip install "semsearch\[cluster\]"'):
        semsearch.build(articles, home, encoder=FakeEncoder(), cluster="tcp://127.0.0.1:1")
    assert not home.exists()


def given(*texts: str) -> list[PassageText]:
    return [PassageText("title", text, ((0, len(text)),)) for text in texts]


def test_shards_have_each_text_once_and_the_same_key_each_time():
    fingerprint = FakeEncoder().fingerprint
    texts = given(*("word " * (number % 7) + str(number) for number in range(50)), "long " * 900, "")
    found = list(shards.cut(texts, 100, fingerprint))
    assert sorted(position for shard in found for position in shard.positions) == list(range(len(texts)))
    for shard in found:
        assert shard.texts == [tuple(texts[position]) for position in shard.positions]
        assert len(shard.texts) == 1 or sum(8 + (5 + len(text)) // 4 for _, text, _ in shard.texts) <= 100
    assert found[0].positions == [50]
    # To a token's length.
    lengths = [(5 + len(text)) // 4 for shard in found for _, text, _ in shard.texts]
    assert lengths == sorted(lengths, reverse=True)
    assert list(shards.cut(texts, 100, fingerprint)) == found
    assert len({shard.key for shard in found}) == len(found)
    # JSON can say half of a character.
    assert [shard.positions for shard in shards.cut(given("\ud800 aid"), 100, fingerprint)] == [[0]]
    others = shards.cut(texts, 100, replace(fingerprint, weights="other"))
    assert not {shard.key for shard in others} & {shard.key for shard in found}


def test_what_was_packed_is_what_was_encoded():
    encoder = FakeEncoder()
    texts = given("aid and oil", "sword", "", "gas gas gas")
    packed = shards.packed(encoder.encode_passages(texts), 4, encoder.fingerprint.dimension)
    assert packed.fits(4, encoder.fingerprint.dimension)
    back = packed.encoded([5, 3, 9, 0])
    assert back.positions == [5, 3, 9, 0]
    for encoded in encoder.encode_passages(texts):
        for row, position in enumerate(encoded.positions):
            assert back.vectors[position].tobytes() == encoded.vectors[row].tobytes()
            assert back.tokens[position].tolist() == encoded.tokens[row].tolist()
            assert back.sentences[position].tolist() == encoded.sentences[row].tolist()
    assert not packed.fits(3, encoder.fingerprint.dimension)
    assert not packed._replace(vectors=np.full_like(packed.vectors, np.nan)).fits(4, encoder.fingerprint.dimension)
    assert not packed._replace(token_counts=packed.token_counts + 1).fits(4, encoder.fingerprint.dimension)
    with pytest.raises(ValueError, match="left texts out"):
        shards.packed(encoder.encode_passages(texts[1:]), 4, encoder.fingerprint.dimension)


@pytest.mark.model
def test_a_worker_loads_the_model_of_the_index_and_gives_its_vectors(bundled: Encoder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker, "_here", lambda: ("tcp://here:1", 1))
    monkeypatch.setattr(worker, "_LOADED", {})
    monkeypatch.setenv("SEMSEARCH_THREADS", "1")
    texts = given("What aid was offered, and by whom?", "Vaccines.")
    answer = worker.encode(__version__, asdict(bundled.fingerprint), None, [tuple(text) for text in texts])
    assert answer.refusal == answer.failure == ""
    back = answer.packed.encoded([0, 1])
    for encoded in bundled.encode_passages(texts):
        for row, position in enumerate(encoded.positions):
            assert back.vectors[position] @ encoded.vectors[row] > 0.9999
            assert back.tokens[position].tolist() == encoded.tokens[row].tolist()
            assert back.sentences[position].tolist() == encoded.sentences[row].tolist()
    sent = worker.Parcel("0" * 64, is_encoder=False)
    fingerprint = replace(bundled.fingerprint, quantized="0" * 64)
    assert worker.encode(__version__, asdict(fingerprint), tuple(sent), []).wants
    damaged = worker.encode(__version__, asdict(fingerprint), tuple(sent._replace(data=b"none")), [])
    assert damaged.refusal == "it cannot load the model (ValueError: what came is not what was sent)"
