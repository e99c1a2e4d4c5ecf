"""The network in 8 bits: calibrated once for an index, on passages of its own.

Weights, and what each layer is given, are rounded to 8 bits, by scales that come from what the layers are given by some passages
(post-training quantization by NNCF, which evens out the scales of activations and weights first: Xiao et al., "SmoothQuant",
ICML 2023). The result is an ONNX file that onnxruntime and openvino multiply in integers.

It is made in a process of its own: NNCF takes torch and a gigabyte, prints, changes what loggers are made of, and tells its
maker of each call by a package that is kept out of that process.

Deliberately not here: running it (`engines`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semsearch.errors import ModelUnavailable
from semsearch.limits import processors

if TYPE_CHECKING:
    from semsearch.encoder.export import Export

__all__ = ["calibrated"]


def calibrated(export: Export, samples: Sequence[Sequence[int]]) -> bytes:
    """The exported network in 8 bits, as an ONNX file; the same for the same samples on the same machine.

    :param samples: token ids of some texts, special tokens included.
    :raises ModelUnavailable: if it cannot do it.
    """
    with tempfile.TemporaryDirectory(prefix="semsearch-") as folder:
        given, made = Path(folder, "samples.json"), Path(folder, "network.onnx")
        given.write_text(json.dumps([list(sample) for sample in samples]), encoding="ascii")
        done = subprocess.run(  # noqa: S603 -- ourselves, on files of ours
            [sys.executable, "-m", __name__, str(export.onnx), str(given), str(made), *export.inputs],
            # What this process can import, that one can, wherever it was started.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise ModelUnavailable(f"the model cannot be calibrated for 8 bits ({reason[:200]}): leave --precision out")
        return made.read_bytes()


def _calibrate(network: str, given: str, made: str, inputs: Sequence[str]) -> None:
    """What the process does."""
    from semsearch.encoder.engines import Batch, import_onnxruntime

    # So that importing it fails, and NNCF tells nobody; nor does the engine that it runs the network with.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import_onnxruntime()
    if hasattr(os, "sched_setaffinity"):
        # That engine takes all processors that the process may use.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: processors()])
    import logging

    import nncf
    import numpy as np
    import onnx

    nncf.set_log_level(logging.ERROR)
    batches = [
        Batch([0], ids, np.ones_like(ids))
        for ids in (np.asarray([sample], np.int64) for sample in json.loads(Path(given).read_text(encoding="ascii")))
    ]
    dataset = nncf.Dataset(batches, lambda batch: batch.inputs(inputs))
    quantized = nncf.quantize(
        onnx.load(network), dataset, model_type=nncf.ModelType.TRANSFORMER, subset_size=max(1, len(batches))
    )
    onnx.save(quantized, made)


if __name__ == "__main__":
    _calibrate(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
