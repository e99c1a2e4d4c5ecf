"""The way from sentence-transformers to the fast path: a model is exported to ONNX once, into the user's cache.

An export is a folder, named by the digests of the model's files: ``model.onnx`` (token ids to token vectors) with its
weights beside it in ``model.onnx.data``, ``tokenizer.json`` and ``encoder.json`` (pooling, prompts, limits). The weights are a
file of their own because it is then memory-mapped, not read: a session opens in less than half the time and takes 80 MB
less (all-MiniLM-L6-v2, onnxruntime 1.32). An export is written under another name, compared
with sentence-transformers on a few texts, and renamed when whole; of two processes that export the same model one does
the work and the other waits.

Deliberately not here: running the exported model.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semsearch.encoder.cache import cache_folder
from semsearch.encoder.model import ModelFiles
from semsearch.errors import ModelUnavailable
from semsearch.locks import file_lock
from semsearch.protocols import Fingerprint

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Export", "ensure", "load_reference", "opened", "quiet"]

logger = logging.getLogger("semsearch")

FORMAT = 1
"""Part of an export's name: raised when the files in it change their meaning."""
_POOLINGS = ("mean", "cls", "max")
_OPSET = 17
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")


@dataclass(frozen=True, slots=True)
class Export:
    """An exported model. ``fast`` is False for one that only sentence-transformers itself can run: then there is no ONNX."""

    folder: Path
    fingerprint: Fingerprint
    inputs: tuple[str, ...]
    pad_id: int
    fast: bool

    @property
    def onnx(self) -> Path:
        """The exported network."""
        return self.folder / "model.onnx"

    @property
    def weights(self) -> Path:
        """The numbers of the exported network."""
        return self.folder / "model.onnx.data"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer, for the tokenizers library."""
        return self.folder / "tokenizer.json"


Agrees = Callable[[Export, "SentenceTransformer"], bool]


def opened(weights: str, tokenizer: str, config: str) -> Export | None:
    """The finished export of a model with these digests, None if there is none."""
    folder = cache_folder() / "models" / _key(weights, tokenizer, config)
    try:
        facts = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
        export = Export(folder, Fingerprint(**facts["fingerprint"]), tuple(facts["inputs"]), facts["pad_id"], facts["fast"])
        whole = all((folder / name).stat().st_size == size for name, size in facts["files"].items())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return export if whole else None


def ensure(files: ModelFiles, agrees: Agrees) -> Export:
    """The export of a model, made now if there is none yet (seconds, with torch).

    Where the cache cannot be written, it is made in a temporary folder that lasts as long as the process.

    :param agrees: compares an export with the model in sentence-transformers; one that does not agree is not used.
    :raises ModelUnavailable: if sentence-transformers cannot load the model.
    """
    export = _ensure(files, agrees)
    # The same files may have been exported under another name.
    return replace(export, fingerprint=replace(export.fingerprint, model=files.name))


def _ensure(files: ModelFiles, agrees: Agrees) -> Export:
    export = opened(files.weights, files.tokenizer, files.config)
    if export is not None:
        return export
    target = cache_folder() / "models" / _key(files.weights, files.tokenizer, files.config)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(target.with_suffix(".lock")):
            return opened(files.weights, files.tokenizer, files.config) or _make(files, target, agrees)
    except OSError as error:
        logger.warning(
            "the cache %s cannot be written (%s): the model is prepared again by every process; "
            "set SEMSEARCH_CACHE to a folder that you can write to",
            cache_folder(),
            error.strerror or error,
        )
        return _temporary(files, agrees)


def _temporary(files: ModelFiles, agrees: Agrees) -> Export:
    import atexit

    home = Path(tempfile.mkdtemp(prefix="semsearch-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    try:
        return _make(files, home / "model", agrees)
    except OSError as error:
        raise ModelUnavailable(
            f"no room to prepare model {files.name!r} ({error.strerror or error}): "
            "set SEMSEARCH_CACHE to a folder with 200 MB free"
        ) from error


def _key(weights: str, tokenizer: str, config: str) -> str:
    return hashlib.sha256(f"{FORMAT} {weights} {tokenizer} {config}".encode()).hexdigest()[:32]


def _make(files: ModelFiles, target: Path, agrees: Agrees) -> Export:
    """Write an export beside its target and rename it, replacing what is broken there."""
    logger.info("preparing the model %s, once on this machine: some seconds", files.name)
    model = load_reference(files)
    for abandoned in target.parent.glob(f"{target.name}.*/"):
        shutil.rmtree(abandoned, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        export = _write(model, files, draft, agrees)
        if target.exists():
            shutil.rmtree(target)
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return replace(export, folder=target)


def load_reference(files: ModelFiles, device: str = "cpu") -> SentenceTransformer:
    """The model in sentence-transformers, never with code of its own.

    :raises ModelUnavailable: if it cannot be loaded.
    """
    with quiet():
        from sentence_transformers import SentenceTransformer

        try:
            # Attention written out: the fused form cannot be exported.
            return SentenceTransformer(
                str(files.folder), device=device, local_files_only=True, model_kwargs={"attn_implementation": "eager"}
            )
        except Exception as error:
            # Anything can come out of other people's model files; what matters is which model and why.
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise ModelUnavailable(f"model {files.name!r} cannot be loaded ({reason}): try another model") from error


def _write(model: SentenceTransformer, files: ModelFiles, folder: Path, agrees: Agrees) -> Export:
    """Write the three files; for a model that the fast path cannot express, ``encoder.json`` alone, which says so."""
    export = _write_fast(model, files, folder)
    if export is None or not agrees(export, model):
        logger.warning("model %r has parts that the fast path cannot express: it runs in torch, slower", files.name)
        export = Export(folder, _fingerprint(model, files, None), (), 0, fast=False)
        for path in (export.onnx, export.weights, export.tokenizer):
            path.unlink(missing_ok=True)
    facts = {
        "fingerprint": asdict(export.fingerprint),
        "inputs": export.inputs,
        "pad_id": export.pad_id,
        "fast": export.fast,
        "files": {path.name: _sync(path) for path in sorted(folder.iterdir())},
    }
    (folder / "encoder.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    _sync(folder / "encoder.json")
    return export


def _write_fast(model: SentenceTransformer, files: ModelFiles, folder: Path) -> Export | None:
    pooling = _pooling(model)
    if pooling is None:
        return None
    try:
        inputs, pad_id = _write_network(model, folder)
    except OSError:
        raise
    except Exception:
        # The exporter raises whatever it likes for operators that it does not know.
        logger.debug("export of %s failed", files.name, exc_info=True)
        return None
    return Export(folder, _fingerprint(model, files, pooling), inputs, pad_id, fast=True)


def _fingerprint(model: SentenceTransformer, files: ModelFiles, pooling: str | None) -> Fingerprint:
    prompts: dict[str, str] = dict(model.prompts or {})
    default = prompts.get(model.default_prompt_name or "", "")
    document = next((prompts[name] for name in _DOCUMENT_PROMPTS if name in prompts), default)
    dimension = model.get_embedding_dimension() if hasattr(model, "get_embedding_dimension") else None
    dimension = dimension or len(model.encode("a", show_progress_bar=False))
    return Fingerprint(
        model=files.name,
        weights=files.weights,
        tokenizer=files.tokenizer,
        config=files.config,
        pooling=pooling or "sentence-transformers",
        query_prompt=prompts.get("query", default),
        document_prompt=document,
        max_tokens=int(model.max_seq_length or 512),
        dimension=int(dimension),
    )


def _pooling(model: SentenceTransformer) -> str | None:
    """How token vectors become one, for a model of transformer, pooling and maybe normalisation; else None."""
    modules = list(model)
    kinds = [type(module).__name__ for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return None
    settings: dict[str, Any] = modules[1].get_config_dict()
    mode = settings.get("pooling_mode")
    prompts = any((model.prompts or {}).values())
    if mode not in _POOLINGS or (prompts and not settings.get("include_prompt", True)):
        return None
    if getattr(modules[0], "do_lower_case", False) or getattr(model.tokenizer, "backend_tokenizer", None) is None:
        return None
    return str(mode)


def _write_network(model: SentenceTransformer, folder: Path) -> tuple[tuple[str, ...], int]:
    """Write ``model.onnx``, its weights and ``tokenizer.json``; names of the inputs, id of the padding token."""
    import onnx
    import torch

    tokenizer = model.tokenizer
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    sample = tokenizer(["what aid was offered", "a"], padding=True, return_tensors="pt")
    names = tuple(name for name in sample if name in ("input_ids", "attention_mask", "token_type_ids"))

    class TokenVectors(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = model[0].model.eval()

        def forward(self, *tensors: torch.Tensor) -> Any:
            return self.network(**dict(zip(names, tensors, strict=True)))[0]

    whole = folder / "whole.onnx"
    with quiet(), torch.no_grad():
        torch.onnx.export(
            TokenVectors(),
            tuple(sample[name] for name in names),
            str(whole),
            input_names=list(names),
            output_names=["token_vectors"],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in (*names, "token_vectors")},
            opset_version=_OPSET,
            dynamo=False,
        )
    # Weights beside the graph: see the module's docstring.
    onnx.save_model(
        onnx.load(whole), folder / "model.onnx", save_as_external_data=True, location="model.onnx.data", size_threshold=1024
    )
    whole.unlink()
    return names, int(tokenizer.pad_token_id or 0)


def _sync(path: Path) -> int:
    """Bytes of a file, which are on the disk when this returns."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings and progress bars of torch and transformers, which are not for our users."""
    loggers = [logging.getLogger(name) for name in ("transformers", "sentence_transformers", "torch.onnx")]
    levels = [log.level for log in loggers]
    before = os.environ.get("TQDM_DISABLE")
    os.environ["TQDM_DISABLE"] = "1"
    for log in loggers:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(loggers, levels, strict=True):
            log.setLevel(level)
        if before is None:
            del os.environ["TQDM_DISABLE"]
        else:
            os.environ["TQDM_DISABLE"] = before
