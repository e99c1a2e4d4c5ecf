"""Rebuild an int8 model from the local export of the same model, so that nothing else of an untrusted file is run.

Input: an ONNX file out of an index, and the local export. Output: the ONNX file to run.
Invariant: every node of the output is a node of the local export or one that quantization inserts (`QuantizeLinear`,
`DequantizeLinear`, `Mul`), every tensor was compared with the local one, and the data flow is that of the local export. So the
output needs the time and memory of the local export, reads no other file, and has no control flow that the export does not have.
Everything else in the input is dropped: external data, functions, custom domains, metadata, nodes that lead nowhere.

What NNCF does to a model, and what is therefore accepted: weights in 8 bits; activations through a pair of `QuantizeLinear` and
`DequantizeLinear`; activations scaled before a matrix product whose weights undo the scale (SmoothQuant); corrected biases;
dropped `Cast` nodes (their effect is not checked; a missing cast changes values or types, not the size of tensors).

Not here: calibration (`quantized`), inference (`engines`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from semsearch.encoder.export import Export

__all__ = ["Rejected", "rebuild"]

_BIAS = 2.0
"""Maximum relative change of a bias. 2: NNCF's own threshold for bias correction."""
_STEP = 0.51
"""Maximum difference between a weight and its int8 form, in quantization steps. Rounding needs 0.5."""
_RANGE = 1.01
"""Maximum ratio of the int8 range to the largest magnitude in the tensor."""
_FLOAT = 1e-4
"""Tolerance for weights that were scaled but not quantized, relative to the largest of them."""
_LEVELS = 127
"""Positive values of int8."""


class Rejected(ValueError):
    """Raised if a file is not the quantized form of the local export; the message is the reason."""


def rebuild(stored: bytes, export: Export) -> bytes:
    """Return the int8 model to run, as an ONNX file.

    :param stored: untrusted ONNX file.
    :raises Rejected: if it is anything else than the quantized local export.
    """
    import onnx

    # Quantized weights take a quarter of the space; this bounds what the parser allocates.
    if len(stored) > export.onnx.stat().st_size + export.weights.stat().st_size:
        raise Rejected("larger than the model itself")
    local = onnx.load(export.onnx)
    try:
        parsed = onnx.ModelProto.FromString(stored)
        return bytes(_Rebuild(local, parsed.graph).model().SerializeToString())
    except Rejected:
        raise
    except Exception as error:
        # protobuf, onnx and NumPy raise errors of their own for malformed files.
        raise Rejected(f"malformed ({type(error).__name__})") from error


class _Graph:
    """Nodes and tensors of an ONNX graph by name."""

    def __init__(self, graph: Any) -> None:
        self.nodes: dict[str, Any] = {node.name: node for node in graph.node}
        self.producers: dict[str, Any] = {output: node for node in graph.node for output in node.output if output}
        self.tensors: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        if len(self.nodes) != len(graph.node):
            raise Rejected("two nodes share a name")


class _Input(NamedTuple):
    """Source of a node's input, and the nodes that quantization inserted after the source.

    ``name``: output of a node of the export, input of the graph, or tensor. ``weights``: the tensor's values, if it is one.
    ``steps``: quantization step of each weight, broadcast to its shape; None if not quantized.
    ``factor``: scale that an inserted `Mul` applies, float32 (channels,); None if there is none.
    """

    name: str
    inserted: tuple[Any, ...] = ()
    tensors: tuple[str, ...] = ()
    weights: NDArray[Any] | None = None
    steps: NDArray[np.float32] | None = None
    factor: NDArray[np.float32] | None = None


class _Rebuild:
    """Comparison of an untrusted graph with the local export."""

    def __init__(self, local: Any, stored: Any) -> None:
        self._model = local
        self._local = _Graph(local.graph)
        self._order = list(stored.node)
        self._stored = _Graph(stored)
        self._chosen: dict[str, Any] = {}
        self._tensors: dict[str, NDArray[Any]] = {}

    def model(self) -> Any:
        """Return the verified model as an ``onnx.ModelProto``."""
        import onnx

        for name, node in self._local.nodes.items():
            if name in self._stored.nodes:
                self._check_node(node, self._stored.nodes[name])
            elif node.op_type != "Cast":
                raise Rejected(f"{node.op_type} {name!r} is missing")
        graph = self._model.graph
        del graph.node[:]
        graph.node.extend(self._chosen[node.name] for node in self._order if node.name in self._chosen)
        del graph.initializer[:]
        graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in self._tensors.items())
        onnx.checker.check_model(self._model)
        # NNCF writes shapes too. Without them onnxruntime fuses other nodes, which changes the vectors a little.
        return onnx.shape_inference.infer_shapes(self._model)

    def _check_node(self, node: Any, stored: Any) -> None:
        """Compare a node of the export with the one of the same name, and choose it with the inserted nodes before it."""
        if (stored.op_type, list(stored.output)) != (node.op_type, list(node.output)) or len(stored.input) != len(node.input):
            raise Rejected(f"{node.op_type} {node.name!r} has changed")
        inputs = [self._traced(name) for name in stored.input]
        for position, (name, found) in enumerate(zip(node.input, inputs, strict=True)):
            self._check_input(node, position, name, inputs)
            for inserted in found.inserted:
                self._chosen[inserted.name] = _inserted(inserted)
            for tensor in found.tensors:
                self._tensors[tensor] = self._array(tensor)
        chosen = type(node)()
        # Attributes are those of the export.
        chosen.CopyFrom(node)
        del chosen.input[:]
        chosen.input.extend(stored.input)
        self._chosen[node.name] = chosen

    def _check_input(self, node: Any, position: int, name: str, inputs: list[_Input]) -> None:
        """Compare an input of a node of the export with the stored one."""
        found = inputs[position]
        name = self._without_dropped_casts(name)
        if name not in self._local.tensors:
            if found.name != name or found.weights is not None:
                raise Rejected(f"{node.op_type} {node.name!r} has another input")
            undone = node.op_type == "MatMul" and position == 0 and inputs[1].weights is not None
            if found.factor is not None and not undone:
                raise Rejected(f"a scale before {node.op_type} {node.name!r} is not undone")
            return
        import onnx

        expected = onnx.numpy_helper.to_array(self._local.tensors[name])
        factor = inputs[0].factor if position == 1 and node.op_type == "MatMul" else None
        same = _same_weights(expected, found, factor) or (node.op_type == "Add" and _corrected_bias(expected, found))
        if found.factor is not None or not same:
            raise Rejected(f"{node.op_type} {node.name!r} has other weights")

    def _without_dropped_casts(self, name: str) -> str:
        while (node := self._local.producers.get(name)) is not None and node.name not in self._stored.nodes:
            name = node.input[0]
        return name

    def _traced(self, name: str) -> _Input:
        """Follow an input back through inserted nodes: at most a scale, a quantization and a dequantization."""
        if name in self._stored.tensors:
            return _Input(name, tensors=(name,), weights=self._array(name))
        inserted: list[Any] = []
        tensors: list[str] = []
        node = self._inserted_before(name, "DequantizeLinear")
        if node is not None:
            inserted.append(node)
            tensors += node.input[1:]
            before = self._inserted_before(node.input[0], "QuantizeLinear")
            if before is None:
                weights, steps = self._dequantized(node)
                return _Input(node.input[0], (node,), (node.input[0], *tensors), weights, steps)
            inserted.append(before)
            tensors += before.input[1:]
            self._quantization(before)
            self._quantization(node)
            name = before.input[0]
        factor = None
        node = self._inserted_before(name, "Mul")
        if node is not None:
            scales = [each for each in node.input if each in self._stored.tensors]
            if len(node.input) != 2 or len(scales) != 1:
                raise Rejected(f"Mul {node.name!r} is not a scale")
            factor = self._array(scales[0])
            if factor.dtype != np.float32 or factor.shape != (1, 1, factor.size) or not _are_scales(factor):
                raise Rejected(f"Mul {node.name!r} has no valid scale")
            inserted.append(node)
            tensors += scales
            name = next(each for each in node.input if each not in scales)
        return _Input(name, tuple(inserted), tuple(tensors), factor=None if factor is None else factor.ravel())

    def _inserted_before(self, name: str, op_type: str) -> Any:
        """Return the inserted node of this type whose output has this name, or None."""
        node = self._stored.producers.get(name)
        return node if node is not None and node.name not in self._local.nodes and node.op_type == op_type else None

    def _dequantized(self, node: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the float32 values of int8 weights, and the quantization step of each."""
        stored = self._array(node.input[0])
        scale, zero = self._quantization(node)
        if stored.dtype != zero.dtype:
            raise Rejected(f"{node.name!r} has weights of type {stored.dtype}")
        shape = [1] * stored.ndim
        if scale.size > 1:
            shape[_axis(node)] = scale.size
        steps = np.broadcast_to(scale.reshape(shape), stored.shape)
        return (stored.astype(np.float32) - zero.astype(np.float32).reshape(shape)) * steps, steps

    def _quantization(self, node: Any) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Return scale and zero point of a quantization or dequantization."""
        if len(node.input) != 3:
            raise Rejected(f"{node.name!r} has no zero point")
        scale, zero = self._array(node.input[1]), self._array(node.input[2])
        right = scale.dtype == np.float32 and zero.dtype in (np.int8, np.uint8) and scale.shape == zero.shape
        if not right or scale.ndim > 1 or not _are_scales(scale):
            raise Rejected(f"{node.name!r} has no valid scale")
        return scale, zero

    def _array(self, name: str) -> NDArray[Any]:
        import onnx

        tensor = self._stored.tensors.get(name)
        if tensor is None:
            raise Rejected(f"{name!r} is no tensor")
        if tensor.external_data or tensor.data_location != onnx.TensorProto.DEFAULT:
            raise Rejected(f"{name!r} lies in another file")
        return np.asarray(onnx.numpy_helper.to_array(tensor))


def _same_weights(expected: NDArray[Any], found: _Input, factor: NDArray[np.float32] | None) -> bool:
    """Check weights against the local ones, as far as quantization and scaling change them."""
    weights = found.weights
    if weights is None or weights.shape != expected.shape or weights.dtype != expected.dtype:
        return False
    if factor is None and found.steps is None:
        return np.array_equal(weights, expected)
    if factor is not None:
        if expected.ndim != 2 or len(factor) != len(expected):
            return False
        expected = expected / factor[:, None]
    error = np.abs(weights - expected)
    if found.steps is None:
        return bool((error <= _FLOAT * np.abs(expected).max(initial=0)).all())
    in_range = found.steps.max(initial=0) * _LEVELS <= _RANGE * np.abs(expected).max(initial=0)
    return bool(in_range and (error <= _STEP * found.steps).all())


def _corrected_bias(expected: NDArray[Any], found: _Input) -> bool:
    """Check a bias that NNCF has corrected for the mean error of quantization."""
    bias = found.weights
    if bias is None or found.steps is not None or expected.ndim != 1 or bias.shape != expected.shape:
        return False
    return expected.dtype == bias.dtype == np.float32 and bool((np.abs(bias - expected) <= _BIAS * np.abs(expected)).all())


def _are_scales(scale: NDArray[np.float32]) -> bool:
    return bool(np.isfinite(scale).all() and (scale > 0).all())


def _axis(node: Any) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "axis"), 1)


def _inserted(node: Any) -> Any:
    """Copy an inserted node without unused attributes."""
    import onnx

    axis = {"axis": _axis(node)} if node.attribute else {}
    return onnx.helper.make_node(node.op_type, list(node.input), list(node.output)[:1], node.name, **axis)
