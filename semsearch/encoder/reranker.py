"""Question and passage read together: a cross-encoder of sentence-transformers, over the few best candidates.

In: the name of a model, then a question and texts. Out: one relevance from 0 to 1 for each text, or None for those that
the time did not suffice for. It runs in torch, so loading one takes seconds; a search without it pays nothing, because this
module imports torch only when a `Reranker` is made.

Deliberately not here: which candidates are read and how the new scores change the order; a cache of models.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semsearch.encoder.engines import accelerator
from semsearch.encoder.export import quiet
from semsearch.encoder.model import DEFAULT_MODEL, ModelFiles, locate
from semsearch.errors import InputError, ModelUnavailable

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

__all__ = ["Reranker"]

_BATCH = 8
"""Texts between two looks at the clock. On two cores 8 cost 76 ms a text, 4 cost 75, 1 cost 68, and 32, for padding, 114
(a network of the size of MiniLM-L6, 32 texts of 40 to 160 words, best of four runs)."""
_ORGANIZATION = "cross-encoder"
"""Where sentence-transformers, too, looks on the hub for the name of a cross-encoder without a slash."""


class Reranker:
    """A cross-encoder that gives one score for a question with a text. One thread may use it at a time.

    :param name: what the model is called in messages.
    :param model: with one output; anything it raises or gives that is no number becomes a ModelUnavailable.
    :param clock: seconds from any start, never going back.
    :raises ModelUnavailable: if the model fails on a trial of two short texts.
    """

    def __init__(self, name: str, model: CrossEncoder, *, clock: Callable[[], float] = time.monotonic) -> None:
        from torch.nn import Identity

        self.name = name
        self._model = model
        self._clock = clock
        self._logit = Identity()
        # A model that cannot do its work (a tokenizer that cannot pad, say) is found out before any question waits for it,
        # and what an engine does once, at its first pass, is not on a question's clock.
        self._relevances("a", ["a", "a b"])

    @classmethod
    def load(cls, name: str, *, clock: Callable[[], float] = time.monotonic) -> Reranker:
        """The reranker in a folder, or with a name on the Hugging Face hub; ``cross-encoder/`` may be left out.

        The hub is asked only for a name that is neither a folder nor in the local hub cache. Code that comes with a model is
        never run. It computes on an accelerator where there is one, else on the processor in single precision.

        :raises ModelUnavailable: if there is no such model, it cannot be loaded, or it is no reranker: a model for embeddings, or
            one with several labels.
        """
        files = locate(_full_name(name))
        _refuse_other_kinds(files)
        return cls(files.name, _load(files), clock=clock)

    def scores(self, query: str, texts: Sequence[str], *, seconds: float) -> list[float | None]:
        """How relevant each text is to the query: score i is that of ``texts[i]``, from 0 to 1, higher is better.

        A score is the logistic function of the model's output, 1 / (1 + exp(-x)), whatever activation its own configuration
        names. It orders the texts of one query; it is no probability unless the model was trained to give one.

        Texts are read in the order given, some at a time. As many are read as ``seconds`` suffice for, to judge by the slowest
        batch so far; the rest are None, always at the end of the list. The first batch is read even if it takes longer.

        Query and text together are cut to the tokens that the model takes (512 for most), at the end of the longer one.

        :param seconds: time for this call, infinity for no limit; loading the model is not part of it.
        :raises InputError: if ``seconds`` is negative or not a number.
        :raises ModelUnavailable: if the model fails, or gives something that is no number.
        """
        if not seconds >= 0:
            raise InputError(f"no {seconds} seconds can be spent on reranking: give 0 or more")
        scores: list[float | None] = []
        slowest = 0.0
        started = before = self._clock()
        for first in range(0, len(texts), _BATCH):
            if first and before - started + slowest > seconds:
                break
            scores += self._relevances(query, texts[first : first + _BATCH])
            now = self._clock()
            slowest, before = max(slowest, now - before), now
        return scores + [None] * (len(texts) - len(scores))

    def _relevances(self, query: str, texts: Sequence[str]) -> list[float]:
        """Scores of one batch, in double precision: in single, all outputs above 17 would be the same score."""
        with _refusals(self.name, "cannot read passages"):
            outputs = self._model.predict(
                [(query, text) for text in texts], batch_size=_BATCH, activation_fn=self._logit, show_progress_bar=False
            )
            logits = np.asarray(outputs, np.float64).reshape(len(texts))
            if not np.isfinite(logits).all():
                raise ValueError("it gives scores that are no numbers")
        return [_logistic(logit) for logit in logits.tolist()]


def _logistic(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _full_name(name: str) -> str:
    """With the organisation of sentence-transformers' own cross-encoders before a name that has none."""
    bare = name.strip() and name != DEFAULT_MODEL and not name.startswith((".", "~")) and not {"/", "\\"} & set(name)
    return f"{_ORGANIZATION}/{name}" if bare and not Path(name).exists() else name


def _load(files: ModelFiles) -> CrossEncoder:
    device = accelerator() or "cpu"
    with _refusals(files.name, "cannot be loaded"), _silent():
        from sentence_transformers import CrossEncoder

        model = CrossEncoder(str(files.folder), device=device, local_files_only=True)
        if device == "cpu":
            # Half precision, as some are stored, is slower there and less exact.
            model.float()
    if model.num_labels != 1:
        raise _no_reranker(files.name, f"it gives {model.num_labels} labels, not one score")
    return model


def _refuse_other_kinds(files: ModelFiles) -> None:
    """Refuse what sentence-transformers would turn into a cross-encoder by inventing the layer that scores.

    :raises ModelUnavailable: if the files do not say that they hold a cross-encoder.
    """
    if (files.folder / "modules.json").exists():
        kind = _settings(files, "config_sentence_transformers.json").get("model_type", "SentenceTransformer")
        if kind != "CrossEncoder":
            raise _no_reranker(files.name, f"it is a {kind}")
        return
    kinds = [str(kind) for kind in _settings(files, "config.json").get("architectures") or []]
    if not any(kind.endswith("ForSequenceClassification") for kind in kinds):
        raise _no_reranker(files.name, f"it is a {kinds[0]}" if kinds else "its configuration does not say what it is")


def _settings(files: ModelFiles, file: str) -> dict[str, Any]:
    """A file of settings, empty if there is none."""
    try:
        settings = json.loads((files.folder / file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"model {files.name!r} cannot be loaded ({file} cannot be read): try another model") from error
    return settings if isinstance(settings, dict) else {}


def _no_reranker(name: str, reason: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"model {name!r} is no reranker ({reason}): "
        f"name a cross-encoder with one output, such as {_ORGANIZATION}/ms-marco-MiniLM-L6-v2"
    )


@contextmanager
def _refusals(name: str, what: str) -> Iterator[None]:
    """Turns whatever is raised into a ModelUnavailable of one line.

    :raises ModelUnavailable: if anything was raised.
    """
    try:
        yield
    except Exception as error:
        # Anything can come out of other people's model files; what matters is which model and why.
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ModelUnavailable(f"model {name!r} {what} ({reason}): try another model") from error


@contextmanager
def _silent() -> Iterator[None]:
    """As `export.quiet`, and without the progress bar of transformers where tqdm has read its environment before."""
    with quiet():
        from transformers.utils import logging

        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            if shown:
                logging.enable_progress_bar()
