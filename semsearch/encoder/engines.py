"""What multiplies: token ids to token vectors, by onnxruntime, openvino or torch on an accelerator.

onnxruntime starts fastest and answers questions. openvino computes in bfloat16 where the processor has it, several times
faster there, and encodes passages; it reads the same file.

Deliberately not here: tokens, pooling.
"""

from __future__ import annotations

import importlib
import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from semsearch.encoder.export import Export, load_reference
from semsearch.errors import ModelUnavailable
from semsearch.limits import processors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from semsearch.encoder.model import ModelFiles

__all__ = [
    "Batch",
    "BulkEngine",
    "OnnxRuntime",
    "OpenVino",
    "Torch",
    "bulk_engine",
    "import_onnxruntime",
    "quantized_engine",
]

Done = TypeVar("Done")

_FEW = 4
"""Texts that are encoded by two engines, to compare them."""
_AGREEMENT = 0.999
"""Cosine, at least, between the two vectors of each of their tokens."""


class Batch(NamedTuple):
    """Texts of about the same length.

    ``positions``: where they stood in the list that was given. ``ids`` and ``mask``: int64 (n, longest), padded right.
    """

    positions: list[int]
    ids: NDArray[np.int64]
    mask: NDArray[np.int64]

    def inputs(self, names: Iterable[str]) -> dict[str, NDArray[np.int64]]:
        """The arrays under the names that the network gives its inputs."""
        known = {"input_ids": self.ids, "attention_mask": self.mask}
        return {name: known[name] if name in known else np.zeros_like(self.ids) for name in names}


class BulkEngine(Protocol):
    """Runs many batches, in any order, and finishes each on the way."""

    name: str
    budget: int
    """Padded tokens in a batch at which it is fastest."""

    def map(self, batches: Iterable[Batch], finish: Callable[[Batch, NDArray[np.float32]], Done]) -> Iterator[Done]:
        """``finish(batch, token_vectors)`` for each batch; token vectors are float32 (n, longest, d)."""
        ...


class OnnxRuntime:
    """The exported network in onnxruntime, single precision; or one in 8 bits (`quantized`)."""

    budget = 1024

    def __init__(self, export: Export, quantized: bytes | None = None) -> None:
        self.name = "onnxruntime" if quantized is None else "onnxruntime int8"
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = processors()
        options.log_severity_level = 3
        # Its threads wait for more without sleeping, for a while after a run, too, in the way of what comes then.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            network = str(export.onnx) if quantized is None else quantized
            self._session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # onnxruntime's exceptions have no common base.
            raise ModelUnavailable(f"the exported model cannot be read: remove {export.folder} and run again") from error
        self._inputs = export.inputs

    def run(self, batch: Batch) -> NDArray[np.float32]:
        """Token vectors of one batch: float32 (n, longest, d)."""
        return np.asarray(self._session.run(None, batch.inputs(self._inputs))[0], np.float32)

    def map(self, batches: Iterable[Batch], finish: Callable[[Batch, NDArray[np.float32]], Done]) -> Iterator[Done]:
        """See `BulkEngine.map`."""
        for batch in batches:
            yield finish(batch, self.run(batch))


def import_onnxruntime() -> Any:
    """The package, told not to keep in the user's cache what it was used for and not to send it to its maker, as 1.32 does.

    It looks when it is loaded; what another part of the process imported before stays as it is.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module("onnxruntime")


def _openvino() -> Any:
    """The package, imported without `openvino_telemetry`, by which it tells its maker of each import.

    Where that is not installed it has a stub, and that it gets here, too. What another part of the process imported before
    stays as it is.

    :raises ImportError: if it is not installed.
    """
    if "openvino" in sys.modules or "openvino_telemetry" in sys.modules:
        return importlib.import_module("openvino")
    # So that importing it fails; in this process it is nobody else's yet.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules["openvino_telemetry"]


class OpenVino:
    """The exported network in openvino: bfloat16 where the processor has it, else single precision; or one in 8 bits."""

    budget = 2048

    def __init__(self, export: Export, quantized: bytes | None = None) -> None:
        openvino = _openvino()
        # Its table of types is made at the first call, and two threads that make it at once wait for each other for ever: one has
        # C++'s guard of the table and wants the interpreter's lock, the other the reverse (openvino 2026.4.1, seen once).
        openvino.Type.i64.to_dtype()
        core = openvino.Core()
        bfloat16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.name = "openvino int8" if quantized is not None else "openvino bf16" if bfloat16 else "openvino"
        self._streams = min(processors(), 8)
        self._inputs = export.inputs
        self._compiled = core.compile_model(
            core.read_model(str(export.onnx) if quantized is None else BytesIO(quantized)),
            "CPU",
            {
                "PERFORMANCE_HINT": "THROUGHPUT",
                "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
                "NUM_STREAMS": self._streams,
                "INFERENCE_NUM_THREADS": processors(),
                # Processes that have a share each would all be bound to the first processors: two of one thread encoded 18
                # passages a second each, on processors of their own 36.
                "ENABLE_CPU_PINNING": processors() == os.cpu_count(),
            },
        )

    def map(self, batches: Iterable[Batch], finish: Callable[[Batch, NDArray[np.float32]], Done]) -> Iterator[Done]:
        """See `BulkEngine.map`; a thread for each stream computes and finishes, and few batches wait.

        Not openvino's own AsyncInferQueue: its callbacks run in threads of its own, and a test run that used it was once
        aborted in a thread without a Python frame (openvino 2026.4.1). It was no faster.
        """
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self._streams):
            requests.put(self._compiled.create_infer_request())

        def compute(batch: Batch) -> Done:
            request = requests.get()
            try:
                request.infer(batch.inputs(self._inputs), share_inputs=True)
                return finish(batch, request.get_output_tensor(0).data)
            finally:
                requests.put(request)

        return _by_threads(self._streams, compute, batches)


def _by_threads(count: int, compute: Callable[[Batch], Done], batches: Iterable[Batch]) -> Iterator[Done]:
    """``compute`` of each batch by so many threads, in order; few batches wait, and few are ready before they are asked for."""
    with ThreadPoolExecutor(count, "semsearch-encoder") as pool:
        waiting: deque[Future[Done]] = deque()
        try:
            for batch in batches:
                waiting.append(pool.submit(compute, batch))
                if len(waiting) > 2 * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class Torch:
    """The network in torch on an accelerator, in half precision as long as that is good enough.

    :param load: gives the model in single precision.
    :param single: what half precision is compared with, on the first texts that are encoded.
    """

    budget = 65_536

    def __init__(
        self, load: Callable[[], SentenceTransformer], device: str, inputs: tuple[str, ...], single: OnnxRuntime
    ) -> None:
        self._load = load
        self._device = device
        self._inputs = inputs
        self._network = self._loaded().half()
        self._half = True
        self.name = f"torch {device} fp16"
        self._single = single
        self._compared = False
        self._lock = threading.Lock()

    def map(self, batches: Iterable[Batch], finish: Callable[[Batch, NDArray[np.float32]], Done]) -> Iterator[Done]:
        """See `BulkEngine.map`; while the accelerator computes for one thread, the other finishes."""

        def compute(batch: Batch) -> Done:
            with self._lock:
                vectors = self._run(batch)
                # Not every model was trained for numbers up to 65,504 only: some give more now and then, and some always.
                if self._half and not (np.isfinite(vectors).all() and self._agrees(batch, vectors)):
                    self._half = False
                    self.name = f"torch {self._device}"
                    # Anew, for the weights in hand are rounded.
                    self._network = self._loaded()
                    vectors = self._run(batch)
            return finish(batch, vectors)

        return _by_threads(2, compute, batches)

    def _loaded(self) -> Any:
        return self._load()[0].model.eval().to(self._device)

    def _run(self, batch: Batch) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            inputs = {name: torch.from_numpy(array).to(self._device) for name, array in batch.inputs(self._inputs).items()}
            return np.asarray(self._network(**inputs)[0].float().cpu().numpy(), np.float32)

    def _agrees(self, batch: Batch, vectors: NDArray[np.float32]) -> bool:
        """Whether the token vectors of the batch's last few texts are those of single precision; looked at once."""
        if self._compared:
            return True
        self._compared = True
        few = Batch(batch.positions[-_FEW:], batch.ids[-_FEW:], batch.mask[-_FEW:])
        tokens = few.mask > 0
        expected, got = self._single.run(few)[tokens], vectors[-_FEW:][tokens]
        norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(got, axis=1)
        return bool(((expected * got).sum(axis=1) >= _AGREEMENT * norms).all())


def accelerator() -> str | None:
    """``cuda`` or ``mps`` if there is one, without importing torch on a machine that cannot have one."""
    if sys.platform == "darwin" and os.uname().machine == "arm64":
        import torch

        return "mps" if torch.backends.mps.is_available() else None
    if sys.platform == "win32" or Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists():
        import torch

        return "cuda" if torch.cuda.is_available() else None
    return None


def bulk_engine(export: Export, files: Callable[[], ModelFiles], single: OnnxRuntime) -> BulkEngine:
    """The fastest engine here for many passages; ``single`` where there is none but that for questions.

    :param files: finds the model itself, which only torch needs.
    """
    device = accelerator()
    if device:
        found = files()
        return Torch(lambda: load_reference(found, device), device, export.inputs, single)
    try:
        return OpenVino(export)
    except (ImportError, RuntimeError):  # not installed; no plugin for this processor
        return single


def quantized_engine(export: Export, quantized: bytes) -> BulkEngine:
    """The fastest engine here for a network in 8 bits."""
    try:
        return OpenVino(export, quantized)
    except (ImportError, RuntimeError):  # as above
        return OnnxRuntime(export, quantized)
