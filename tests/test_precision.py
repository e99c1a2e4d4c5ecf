"""Passages encoded in 8 bits: a network that is calibrated once, kept in the index, and the only one that encodes it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import FakeEncoder
from helpers import build, run, write

import semsearch
from semsearch import encoder as encoders
from semsearch import passages
from semsearch.encoder import quantized
from semsearch.encoder.engines import Batch, OnnxRuntime, OpenVino
from semsearch.encoder.export import Export
from semsearch.encoder.int8_verification import Rejected, rebuild
from semsearch.errors import IndexCorrupt, InputError, MissingExtra, ModelMismatch
from semsearch.protocols import PassageText
from semsearch.store import Reader, network_of
from semsearch.store.writer import Writer

NETWORK = b"a network"
DIGEST = hashlib.sha256(NETWORK).hexdigest()


class Calibrated:
    """Stands in for NNCF: the fake encoder under another fingerprint. ``given`` are the texts of each calibration."""

    def __init__(self) -> None:
        self.given: list[list[str]] = []
        self.encoded: list[str] = []

    def calibrated(self, encoder, passages):
        self.given.append([passage.text for passage in passages])
        return replace(encoder.fingerprint, quantized=DIGEST), NETWORK

    def load_for(self, fingerprint, network=None):
        encoder = FakeEncoder()
        encoder.fingerprint = fingerprint
        if fingerprint.quantized:
            assert network() == NETWORK
        encoder.encoded = self.encoded
        return encoder


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Calibrated:
    made = Calibrated()
    monkeypatch.setattr(encoders, "load", lambda name="": FakeEncoder())
    monkeypatch.setattr(encoders, "load_for", made.load_for)
    monkeypatch.setattr(encoders, "load_when_needed", made.load_for)
    monkeypatch.setattr(encoders, "calibrated", made.calibrated)
    return made


def test_the_network_is_calibrated_once_and_encodes_all(notes, home, fakes):
    with semsearch.build(notes, home, precision="int8") as index:
        assert index.status()["precision"] == "int8"
        assert index.search("aid").hits
    assert [sorted(texts) for texts in fakes.given] == [sorted(fakes.encoded)]
    assert network_of(home) == NETWORK
    write(notes, "three.md", "charter")
    del fakes.encoded[:]
    semsearch.build(notes, home).close()
    semsearch.build(notes, home, precision="int8").close()
    semsearch.build(notes, home, model="fake").close()
    assert len(fakes.given) == 1
    assert len(fakes.encoded) == 1
    with semsearch.open(home) as index:
        assert index.status()["precision"] == "int8"
        assert index._reader.fingerprint.quantized == DIGEST
    assert semsearch.check(home).ok


def test_an_index_keeps_its_precision_until_it_is_made_anew(notes, home, fakes):
    semsearch.build(notes, home).close()
    with pytest.raises(InputError, match="the index was encoded in float: add --fresh to build it in int8"):
        semsearch.build(notes, home, precision="int8")
    semsearch.build(notes, home, precision="int8", fresh=True).close()
    with pytest.raises(InputError, match="the index was encoded in int8: add --fresh to build it in float"):
        semsearch.build(notes, home, precision="float")
    with semsearch.build(notes, home, precision="float", fresh=True) as index:
        assert index.status()["precision"] == "float"
    assert network_of(home) == b""
    with pytest.raises(InputError, match="there is no precision 'int4': float or int8"):
        semsearch.build(notes, home, precision="int4")  # type: ignore[arg-type]


def test_the_samples_are_from_all_over_the_index(tmp_path, home, fakes, monkeypatch):
    monkeypatch.setattr(encoders, "SAMPLES", 5)
    for number in range(20):
        write(tmp_path / "many", f"{number:02}.md", f"aid number{number}")
    semsearch.build(tmp_path / "many", home, precision="int8").close()
    (texts,) = fakes.given
    assert [int(text.split("number")[1].split()[0]) for text in texts] == [0, 4, 9, 14, 19]


def test_an_interrupted_build_goes_on_with_the_network_that_it_calibrated(notes, home, fakes, monkeypatch):
    class Interrupted(FakeEncoder):
        def encode_passages(self, passages):
            yield next(super().encode_passages(passages))
            raise KeyboardInterrupt

    def load_for(fingerprint, network=None):
        encoder = Interrupted()
        encoder.fingerprint = fingerprint
        return encoder

    with monkeypatch.context() as patch:
        patch.setattr(encoders, "load_for", load_for)
        with pytest.raises(KeyboardInterrupt):
            semsearch.build(notes, home, precision="int8")
    assert len(fakes.given) == 1
    with semsearch.build(notes, home, precision="int8") as index:
        assert index._reader.fingerprint.quantized == DIGEST
    assert len(fakes.given) == 1
    assert len(fakes.encoded) == 2
    # In another precision nothing of it is of use.
    semsearch.build(notes, home, fresh=True).close()
    assert network_of(home) == b""


def test_an_encoder_of_ones_own_is_for_questions_and_for_its_own_passages(notes, home, fakes, monkeypatch):
    semsearch.build(notes, home, precision="int8").close()
    with semsearch.open(home, encoder=FakeEncoder()) as index:
        assert index.search("aid").hits
    with pytest.raises(ModelMismatch):
        build(notes, home)
    monkeypatch.undo()
    with pytest.raises(InputError, match="'fake' cannot be run in 8 bits: leave --precision out"):
        build(notes, home, fresh=True, precision="int8")


def test_a_network_that_is_another_is_found(notes, home, fakes):
    semsearch.build(notes, home, precision="int8").close()
    writer = Writer(home)
    writer.set_network(b"another")
    assert writer.fingerprint is not None
    writer.commit(writer.fingerprint, "0")
    writer.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoders, "load_for", lambda fingerprint, network=None: FakeEncoder())
        problems = semsearch.check(home).problems
    assert ("model", "semsearch.sqlite") in {(damage.kind, damage.where) for damage in problems}
    assert any("add" in damage.what or "--fresh" in damage.what for damage in problems)


def test_without_the_extra_the_error_has_the_line_that_installs_it(notes, home, monkeypatch):
    monkeypatch.setattr(encoders, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'precision int8 needs nncf: python -m pip install "semsearch\[int8\]"'):
        semsearch.build(notes, home, precision="int8")
    assert not (home / "semsearch.sqlite").exists()


OBSERVED = """
import os, socket, sys
class Refusing(socket.socket):
    def connect(self, *_): raise AssertionError("a socket was connected")
socket.socket = Refusing
from semsearch.encoder import quantized
quantized._calibrate(*sys.argv[1:4], sys.argv[4:])
import nncf.telemetry
print(type(nncf.telemetry.telemetry).__name__, sys.modules["openvino_telemetry"], os.environ["ORT_DISABLE_TELEMETRY"])
"""
"""Program that calibrates, fails if a socket is connected, and prints the means by which NNCF could send something."""


@pytest.fixture(scope="module")
def calibration() -> list[str]:
    """What each calibration of this module has printed."""
    return []


@pytest.fixture(scope="module")
def seeds(root: Path, model_cache: Path, tmp_path_factory: pytest.TempPathFactory, calibration: list[str]) -> Path:
    """An index of the seeds with an int8 model, whose calibration is observed."""

    def observed(command, **options):
        options["env"] = {name: value for name, value in options["env"].items() if name != "ORT_DISABLE_TELEMETRY"}
        done = start([command[0], "-c", OBSERVED, *command[3:]], **options)
        calibration.append(done.stdout)
        return done

    start = subprocess.run
    path = tmp_path_factory.mktemp("int8") / "index"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantized.subprocess, "run", observed)
        patch.setattr(encoders, "SAMPLES", 20)
        done = run("index", str(root / "seeds"), "--index", str(path), "--precision", "int8")
    assert done.exit_code == 0, done.stderr
    return path


@pytest.mark.model
def test_the_model_in_8_bits(root, seeds, bundled):
    with semsearch.open(seeds) as index:
        status = index.status()
        assert (status["precision"], status["engine"]) == ("int8", "openvino int8")
        hit = index.search("what aid did Russia offer", 1)[0]
        assert "medicine and food" in hit.highlight.text
        reader = index._reader
        rows = reader.passages(range(reader.vectors().n_rows), 1)
        stored = reader.vectors().take(np.asarray([row.row for row in rows]))
    given = [
        PassageText(passages.context(row.title, row.passage.headings), row.passage.text, row.passage.sentences) for row in rows
    ]
    near = np.concatenate([(each.vectors * stored[each.positions]).sum(axis=1) for each in bundled.encode_passages(given)])
    # Not the same, and nearly.
    assert near.min() > 0.97
    assert near.mean() > 0.99
    assert near.max() < 0.99999
    assert semsearch.check(seeds).ok


@pytest.mark.model
def test_what_is_encoded_later_is_encoded_by_the_same_network(root, seeds, tmp_path, monkeypatch):
    monkeypatch.setattr(encoders, "calibrated", lambda *_: pytest.fail("calibrated again"))
    with closing(Reader(seeds)) as reader:
        before = reader.vectors().take(np.arange(reader.vectors().n_rows))
    for segment in seeds.glob("segment-*"):
        segment.unlink()
    with pytest.raises(IndexCorrupt):
        semsearch.open(seeds)
    report = semsearch.check(seeds, repair=True)
    assert report.ok, report.problems
    assert any("encoded" in done for done in report.repaired)
    with closing(Reader(seeds)) as reader:
        assert np.array_equal(before, reader.vectors().take(np.arange(reader.vectors().n_rows)))


@pytest.mark.model
def test_onnxruntime_runs_the_network_where_openvino_is_not(seeds, monkeypatch):
    from semsearch.encoder import engines

    with semsearch.open(seeds) as index:
        fingerprint = index._reader.fingerprint
    given = [PassageText("", "Russia offered medicine and food.", ()), PassageText("", "The flu virus mutates.", ())]

    def vectors():
        encoder = encoders.load_for(fingerprint, lambda: network_of(seeds))
        (encoded,) = encoder.encode_passages(given)
        return encoder.engine, encoded.vectors[np.argsort(encoded.positions)]

    name, expected = vectors()
    assert name == "openvino int8"
    monkeypatch.setattr(engines, "OpenVino", lambda *_: (_ for _ in ()).throw(ImportError("openvino")))
    name, found = vectors()
    assert name == "onnxruntime int8"
    assert (found * expected).sum(axis=1).min() > 0.99


@pytest.mark.model
def test_calibration_connects_to_nothing(seeds, calibration: list[str]):
    (output,) = calibration
    assert output.splitlines()[-1] == "MagicMock None 1"


@pytest.fixture(scope="module")
def export(bundled) -> Export:
    return bundled.export


@pytest.fixture(scope="module")
def genuine(seeds) -> bytes:
    return network_of(seeds)


@pytest.mark.model
def test_a_verified_int8_model_gives_the_vectors_of_the_stored_one(export, genuine):
    ids = np.array([[101, 2054, 4681, 2106, 3607, 3749, 102]], np.int64)
    batch = Batch([0], ids, np.ones_like(ids))
    for engine in (OnnxRuntime, OpenVino):
        stored, verified = (
            next(engine(export, network).map([batch], lambda _, states: np.array(states)))
            for network in (genuine, rebuild(genuine, export))
        )
        assert np.array_equal(stored, verified)


def node_of(model, op_type, nth=0):
    return [node for node in model.graph.node if node.op_type == op_type][nth]


def tensor_of(model, name):
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def external(model):
    scale = tensor_of(model, node_of(model, "QuantizeLinear").input[1])
    scale.ClearField("raw_data")
    scale.data_location = onnx.TensorProto.EXTERNAL
    scale.external_data.add(key="location", value="../../secret.txt")


def external_without_the_mark(model):
    external(model)
    tensor_of(model, node_of(model, "QuantizeLinear").input[1]).data_location = onnx.TensorProto.DEFAULT


def loop(model):
    body = onnx.helper.make_graph([], "body", [], [])
    first = node_of(model, "LayerNormalization")
    model.graph.node.append(onnx.helper.make_node("Loop", ["", "", first.input[0]], ["looped"], "loop", body=body))
    first.input[0] = "looped"


def other_domain(model):
    node = node_of(model, "DequantizeLinear")
    node.op_type = "Custom"
    node.domain = "com.attacker"


def another_operator(model):
    node_of(model, "Softmax").op_type = "LogSoftmax"


def without_a_node(model):
    model.graph.node.remove(node_of(model, "Erf"))


def two_nodes_of_a_name(model):
    model.graph.node.append(node_of(model, "Erf"))


def rewired(model):
    node_of(model, "Softmax").input[0] = node_of(model, "Softmax", 1).input[0]


def scaled(model):
    """Scale an activation that no weights undo."""
    gelu = node_of(model, "Erf")
    scale = onnx.numpy_helper.from_array(np.full((1, 1, 1536), 2, np.float32), "twice")
    model.graph.initializer.append(scale)
    model.graph.node.append(onnx.helper.make_node("Mul", [gelu.input[0], "twice"], ["doubled"], "double"))
    gelu.input[0] = "doubled"


def widened(model):
    """Scale an activation by a tensor that makes it a million times as large."""
    scaled(model)
    tensor_of(model, "twice").CopyFrom(onnx.numpy_helper.from_array(np.ones((1000, 1, 1536), np.float32), "twice"))


def other_weights(model):
    product = node_of(model, "MatMul")
    weights = next(node for node in model.graph.node if node.output[0] == product.input[1]).input[0]
    tensor = tensor_of(model, weights)
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor)[::-1].copy(), weights))


def coarse_weights(model):
    """Choose a scale so large that any weights are within a step."""
    product = node_of(model, "MatMul")
    scale = next(node for node in model.graph.node if node.output[0] == product.input[1]).input[1]
    tensor = tensor_of(model, scale)
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * 1000, scale))


def other_bias(model):
    tensor = tensor_of(model, "network.encoder.layer.0.attention.self.query.bias")
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * 100, tensor.name))


def other_normalization(model):
    tensor = tensor_of(model, node_of(model, "LayerNormalization").input[1])
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * 1.5, tensor.name))


def not_a_number(model):
    scale = node_of(model, "QuantizeLinear").input[1]
    tensor = tensor_of(model, scale)
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * np.nan, scale))


def cut_short(model):
    tensor = tensor_of(model, node_of(model, "MatMul").input[1].replace("dq_output", "q_output"))
    tensor.raw_data = tensor.raw_data[:-1]


CHANGES = [
    external,
    external_without_the_mark,
    loop,
    other_domain,
    another_operator,
    without_a_node,
    two_nodes_of_a_name,
    rewired,
    scaled,
    widened,
    other_weights,
    coarse_weights,
    other_bias,
    other_normalization,
    not_a_number,
    cut_short,
]


@pytest.mark.model
@pytest.mark.parametrize("change", CHANGES)
def test_an_int8_model_that_is_not_the_quantized_export_is_rejected(change, export, genuine):
    model = onnx.load_from_string(genuine)
    change(model)
    with pytest.raises(Rejected):
        rebuild(model.SerializeToString(), export)


@pytest.mark.model
@pytest.mark.parametrize("data", [b"", b"\x08", b"PK\x03\x04" * 100, bytes(10_000)])
def test_bytes_that_are_no_model_are_rejected(data, export):
    with pytest.raises(Rejected):
        rebuild(data, export)


@pytest.mark.model
def test_a_file_larger_than_the_model_is_not_parsed(export, monkeypatch):
    monkeypatch.setattr(onnx, "load", lambda _: pytest.fail("parsed"))
    with pytest.raises(Rejected, match="larger than the model itself"):
        rebuild(bytes(export.weights.stat().st_size * 2), export)


@pytest.mark.model
def test_unused_parts_of_an_int8_model_are_dropped(export, genuine):
    model = onnx.load_from_string(genuine)
    model.graph.initializer.add(name="unused").external_data.add(key="location", value="/etc/passwd")
    model.graph.node.append(onnx.helper.make_node("Custom", ["unused"], ["nowhere"], "unused", domain="com.attacker"))
    model.functions.add(name="Add", domain="")
    model.metadata_props.add(key="a", value="b")
    assert rebuild(model.SerializeToString(), export) == rebuild(genuine, export)


@pytest.mark.model
def test_a_crafted_int8_model_is_neither_run_by_an_update_nor_by_a_check(seeds, genuine, tmp_path):
    crafted = tmp_path / "index"
    shutil.copytree(seeds, crafted)
    model = onnx.load_from_string(genuine)
    loop(model)
    network = model.SerializeToString()
    writer = Writer(crafted)
    assert writer.fingerprint is not None
    writer.set_network(network)
    writer.commit(replace(writer.fingerprint, quantized=hashlib.sha256(network).hexdigest()), "0")
    writer.close()
    done = run("index", str(write(tmp_path / "docs", "one.md", "Trains and stations.")), "--index", str(crafted))
    assert done.exit_code == 2
    assert "is not a quantized form of 'all-MiniLM-L6-v2'" in done.stderr
    assert "rebuild the index with --fresh" in done.stderr
    found = semsearch.check(crafted).problems
    assert any("is not a quantized form" in damage.what for damage in found)
