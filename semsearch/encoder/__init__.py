"""Texts to vectors: the one door to sentence-transformers, onnxruntime, openvino, nncf and tokenizers.

In: the name of a model, then texts. Out: unit float32 rows. `load` is for writing (it may export the model, which takes
torch and seconds), `load_for` for answering (it opens an export, and imports neither torch nor transformers).

Invariant: whichever engine computes, the vectors are those of `SentenceTransformer.encode`, to a cosine of 0.9999; but for
passages where the user chose 8 bits (`calibrated`).
"""

from __future__ import annotations

import hashlib
import logging
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from semsearch.encoder.cache import cache_folder, remember, remembered, touched
from semsearch.encoder.deferred import DeferredEncoder
from semsearch.encoder.export import Export, ensure, opened
from semsearch.encoder.model import DEFAULT_MODEL, ModelFiles, check_model_folder, is_local_folder, locate
from semsearch.errors import InputError, MissingExtra, ModelMismatch, ModelUnavailable
from semsearch.protocols import Encoder, Fingerprint, PassageText

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger("semsearch")

SAMPLES = 100
"""Passages to calibrate 8 bits with: 300 took twice as long, and gave vectors no nearer (``benchmarks/README.md``)."""
_REASON = 200
"""Maximum length of a reason that quotes an untrusted file, in characters."""
_AGREEMENT = 0.9999
"""Cosine, at least, between a vector and that of sentence-transformers."""

__all__ = [
    "DEFAULT_MODEL",
    "SAMPLES",
    "DeferredEncoder",
    "cache_folder",
    "calibrated",
    "check_calibrates",
    "check_unchanged",
    "load",
    "load_for",
    "load_when_needed",
]

Network = Callable[[], bytes]


def load(name: str = DEFAULT_MODEL) -> Encoder:
    """The encoder of a model: the bundled one's name, a folder, or a name on the Hugging Face hub.

    :raises ModelUnavailable: if it cannot be found, or loaded, or is not what it should be.
    """
    files = locate(name)
    encoder = _encoder(ensure(files, _agrees), files)
    logger.debug("model %s: %s", name, type(encoder).__name__)
    return encoder


def load_for(fingerprint: Fingerprint, network: Network | None = None) -> Encoder:
    """The encoder that an index was built with.

    :param network: gives the network in 8 bits of a fingerprint that has one; asked when passages are to be encoded.
    :raises ModelMismatch: if the model by that name has changed since.
    :raises ModelUnavailable: if it is no longer there.
    """
    check_unchanged(fingerprint)
    export = opened(fingerprint.weights, fingerprint.tokenizer, fingerprint.config)
    if export is None:
        export = ensure(_same_files(fingerprint), _agrees)
    if not export.fingerprint.same_questions(fingerprint):
        raise _mismatch(fingerprint)
    encoder = _encoder(replace(export, fingerprint=fingerprint), None, network)
    logger.debug("model %s: %s, out of %s", fingerprint.model, type(encoder).__name__, export.folder)
    return encoder


def load_when_needed(fingerprint: Fingerprint, network: Network) -> DeferredEncoder:
    """The same, for one who may not need it; whether the model has changed is looked at now.

    :raises ModelMismatch: if the model by that name has changed since.
    """
    check_unchanged(fingerprint)
    return DeferredEncoder(fingerprint, lambda: load_for(fingerprint, network))


def check_calibrates() -> None:
    """Tell now that `calibrated` could not.

    :raises MissingExtra: if NNCF is not installed.
    """
    if find_spec("nncf") is None:
        raise MissingExtra('precision int8 needs nncf: python -m pip install "semsearch[int8]"')


def calibrated(encoder: Encoder, passages: Sequence[PassageText]) -> tuple[Fingerprint, bytes]:
    """Calibrate the int8 model of an encoder on passages; return it with the fingerprint that `load_for` takes.

    :raises InputError: if the model is one that only sentence-transformers can run, or the encoder is the user's own.
    :raises ModelUnavailable: if NNCF cannot quantize the model, or the result fails verification.
    """
    from semsearch.encoder.fast import FastEncoder
    from semsearch.encoder.int8_verification import Rejected, rebuild
    from semsearch.encoder.quantized import calibrated as quantized

    if isinstance(encoder, DeferredEncoder):
        encoder = encoder.needed()
    if not isinstance(encoder, FastEncoder):
        raise InputError(f"{encoder.fingerprint.model!r} cannot be run in 8 bits: leave --precision out")
    network = quantized(encoder.export, encoder.token_ids(passages))
    try:
        rebuild(network, encoder.export)
    except Rejected as error:
        raise ModelUnavailable(
            f"the int8 form of {encoder.fingerprint.model!r} cannot be verified ({error}): omit --precision"
        ) from error
    return replace(encoder.fingerprint, quantized=hashlib.sha256(network).hexdigest()), network


def check_unchanged(fingerprint: Fingerprint) -> None:
    """Refuse a model folder whose files have changed since the index was built.

    The files are read only if one was touched since they were read last. A folder that no longer exists is not checked, nor are
    the bundled model and the models of the hub: their names are never reused.

    :raises ModelMismatch: if weights, tokenizer, prompts, pooling or another setting that decides the vectors has changed.
    :raises ModelUnavailable: if the folder holds no model.
    """
    if not is_local_folder(fingerprint.model):
        return
    folder = Path(fingerprint.model)
    check_model_folder(folder)
    digests = (fingerprint.weights, fingerprint.tokenizer, fingerprint.config)
    if remembered(folder) != digests:
        files = touched(folder)
        _same_files(fingerprint)
        remember(folder, files, digests)


def _same_files(fingerprint: Fingerprint) -> ModelFiles:
    """Find the model of a fingerprint on this machine. An index may be somebody else's, so nothing is downloaded.

    :raises ModelMismatch: if it is another model now.
    :raises ModelUnavailable: if it is not on this machine.
    """
    files = locate(fingerprint.model, stored=True)
    if (files.weights, files.tokenizer, files.config) != (fingerprint.weights, fingerprint.tokenizer, fingerprint.config):
        raise _mismatch(fingerprint)
    return files


_SAMPLE = [
    "What aid was offered?",
    "In 1821, at Carabobo, an army of some 6,500 men won a battle -- and with it a country's independence.",
    "Größe, naïveté, 東京, Москва, 🙂 and a_very_long_identifier_with_underscores_1234567890",
    "x",
]


def _agrees(export: Export, model: SentenceTransformer) -> bool:
    """Whether an export gives the vectors of sentence-transformers, on a few texts of different lengths and scripts."""
    from semsearch.encoder.fast import FastEncoder

    mine = FastEncoder(export, lambda single: single).encode_queries(_SAMPLE).vectors
    theirs = model.encode_query(_SAMPLE, normalize_embeddings=True, show_progress_bar=False)
    return bool((mine * theirs).sum(axis=1).min() >= _AGREEMENT)


def _mismatch(fingerprint: Fingerprint) -> ModelMismatch:
    return ModelMismatch(
        f"the model {fingerprint.model!r} has changed since the index was built: "
        f"run semsearch index SOURCE... --fresh --model {shlex.quote(fingerprint.model)}"
    )


def _encoder(export: Export, files: ModelFiles | None, network: Network | None = None) -> Encoder:
    def needed() -> ModelFiles:
        return files or _same_files(export.fingerprint)

    if not export.fast:
        from semsearch.encoder.reference import ReferenceEncoder

        return ReferenceEncoder(needed(), export.fingerprint)
    from semsearch.encoder.engines import BulkEngine, OnnxRuntime, bulk_engine, quantized_engine
    from semsearch.encoder.fast import FastEncoder

    def bulk(single: OnnxRuntime) -> BulkEngine:
        expected = export.fingerprint.quantized
        if not expected:
            return bulk_engine(export, needed, single)
        quantized = network() if network else b""
        if hashlib.sha256(quantized).hexdigest() != expected:
            raise ModelMismatch(
                "the index does not hold the int8 model that its passages were encoded with: rebuild it with --fresh"
            )
        from semsearch.encoder.int8_verification import Rejected, rebuild

        try:
            return quantized_engine(export, rebuild(quantized, export))
        except Rejected as error:
            raise ModelMismatch(
                f"the int8 model in the index is not a quantized form of {export.fingerprint.model!r} as it is on this machine "
                f"({str(error)[:_REASON]}): rebuild the index with --fresh"
            ) from error

    return FastEncoder(export, bulk)
