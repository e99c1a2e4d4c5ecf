"""`compare_model`: a model tried beside the index's own, before anybody commits to it.

A sample of the articles is encoded with both; the index itself is only read.

Deliberately not here: probes and what they tell (`benching`), which answers differ (`differences`).
"""

from __future__ import annotations

import os
import shlex
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from semsearch import encoder as encoders
from semsearch import engines, passages
from semsearch.arguments import check_k, check_mode
from semsearch.errors import InputError
from semsearch.evaluation import latencies
from semsearch.index import Index
from semsearch.probing.benching import DEFAULT_PROBES, Asking, Plan, Variant, draw, measured, planned
from semsearch.probing.differences import asked_of, compared
from semsearch.probing.probes import KINDS, Kind
from semsearch.probing.values import ALL, Bench, Cost, Diff, ModelComparison
from semsearch.protocols import Encoder, PassageText, Progress
from semsearch.records import Mode

__all__ = ["compare_model"]

PathLike = str | os.PathLike[str]

_TIMED_PASSAGES = 192
"""Passages that both models encode against the clock."""
_WARM = 8
"""Passages that come before, so that what is loaded with the first is not counted."""
_TIMED_QUERIES = 40


def compare_model(
    name: str,
    index: PathLike = "index",
    *,
    queries: PathLike | Sequence[str] | Mapping[str, str] | None = None,
    probes: int = DEFAULT_PROBES,
    k: int = 10,
    mode: Mode = "hybrid",
    seed: int = 0,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> ModelComparison:
    """Try a model on a sample of an index's articles beside the model that the index has: quality, changes, cost.

    :param name: the candidate: a folder, or a name on the Hugging Face hub.
    :param queries: questions whose answers are compared, as `diff` takes them; None for the probes.
    :param probes: how many, at most: see `bench`.
    :param k: how many hits of each question are compared.
    :param mode: how passages are ranked, ``hybrid`` or ``dense``.
    :param seed: which articles and sentences are chosen.
    :param encoder: what to encode with, in place of the model that the index names.
    :param progress: told how far it is.
    :raises InputError: if the candidate is the index's own model, or the articles cannot be read again or give no probes.
    :raises IndexMissing: if there is no index.
    :raises ModelUnavailable: if a model cannot be found.
    """
    started = time.perf_counter()
    check_k(k)
    check_mode(mode)
    if mode == "lexical":
        raise InputError("no model has a part in ranking by words alone: give mode hybrid or dense")
    asked = None if queries is None else asked_of(queries)
    with engines.pinned(index) as reader, tempfile.TemporaryDirectory(prefix="semsearch-") as folder:
        own = encoder or encoders.load_for(reader.fingerprint, reader.network)
        candidate = encoders.load(name)
        if candidate.fingerprint.same_questions(own.fingerprint):
            raise InputError(f"{name} is the model that the index {engines.shown(index)} has: name another")
        plan = planned(index, reader, own, [candidate], (), seed)
        drawn = draw(reader, plan.variants[0].articles, probes, KINDS, seed)
        asking = Asking(drawn, plan.units, Path(folder), progress)
        bench = measured(engines.shown(index), reader, plan, asking, [mode], seed, started)
        found = _diff(plan, asking, asked, k, mode, progress)
        costs = _costs(plan, asking, mode, bench)
    return ModelComparison(
        bench=bench,
        diff=found,
        current=costs[0],
        candidate=costs[1],
        verdict=_verdict(bench, costs),
        command=_command(name, engines.shown(index)),
        seconds=time.perf_counter() - started,
    )


def _diff(plan: Plan, asking: Asking, asked: Mapping[str, str] | None, k: int, mode: Mode, progress: Progress | None) -> Diff:
    """The answers of the sample with either model: to the user's questions, or to the probes without what gives them away."""
    started = time.perf_counter()
    one, other = plan.variants
    texts = {probe.id: (probe.kind, probe.text) for probe in asking.probes}
    groups: dict[Kind | None, Mapping[str, str]] = {None: asked} if asked is not None else {}
    if asked is None:
        for known in asking.kinds:
            groups[known] = {name: text for name, (of, text) in texts.items() if of == known}
    parts = []
    for kind, questions in groups.items():
        paths = [asking.index(variant, kind) for variant in (one, other)]
        with (
            engines.pinned(paths[0]) as before,
            engines.pinned(paths[1]) as after,
            Index.open(paths[0], encoder=one.encoder) as first,
            Index.open(paths[1], encoder=other.encoder) as second,
        ):
            parts.append(compared((before, first), (after, second), questions, k=k, mode=mode, progress=progress))
    facts, content, _ = parts[0]
    merged = tuple(each for _, _, found in parts for each in found)
    names = [variant.encoder.fingerprint.model for variant in (one, other)]
    return Diff(names[0], names[1], k, mode, facts, content, merged, time.perf_counter() - started)


def _costs(plan: Plan, asking: Asking, mode: Mode, bench: Bench) -> tuple[Cost, Cost]:
    """What each of the two models costs, measured on the sample and reckoned up for the whole index."""
    one, other = plan.variants
    found = []
    for variant in (one, other):
        path = asking.index(variant, asking.kinds[0])
        with engines.pinned(path) as reader, Index.open(path, encoder=variant.encoder) as index:
            size = reader.counts()["bytes"]
            step = max(1, len(asking.probes) // _TIMED_QUERIES)
            times = latencies(index, mode, [probe.text for probe in asking.probes][::step])
        n = variant.n_passages
        # Of the articles that are not in the sample as many passages are made as of those that are.
        whole = round(bench.all_passages * n / one.n_passages)
        seconds = _seconds(variant)
        found.append(
            Cost(
                model=variant.encoder.fingerprint.model,
                dimension=variant.encoder.fingerprint.dimension,
                max_tokens=variant.encoder.fingerprint.max_tokens,
                passages=whole,
                seconds_per_1000=seconds * 1000,
                whole_seconds=seconds * whole,
                whole_bytes=round(size / n * whole),
                query_ms=median(times) if times else 0.0,
            )
        )
    return found[0], found[1]


def _seconds(variant: Variant) -> float:
    """Seconds to encode a passage: some from all over the sample, the model being there."""
    texts = [
        PassageText(passages.context(article.title, passage.headings), passage.text, passage.sentences)
        for article in variant.articles
        for passage in article.passages
    ]
    chosen = texts[:: -(-len(texts) // _TIMED_PASSAGES)]
    for _ in variant.encoder.encode_passages(chosen[:_WARM]):
        pass
    started = time.perf_counter()
    for _ in variant.encoder.encode_passages(chosen):
        pass
    return (time.perf_counter() - started) / len(chosen)


def _verdict(bench: Bench, costs: tuple[Cost, Cost]) -> str:
    """Whether to switch, in one sentence."""
    current, candidate = costs
    best, other = bench.rows
    n = len(bench.probes)
    figures = {row.way.model: row.figures[ALL].rr for row in bench.rows}
    against = f"RR@10 {figures[candidate.model]:.3f} against {figures[current.model]:.3f} on {n:,} probes"
    if not other.told_apart:
        reason = _cheaper(current, candidate)
        return f"{n:,} probes cannot tell {candidate.model} from {current.model} ({against}): {reason}."
    if best.way.model == current.model:
        return f"Stay with {current.model}: {candidate.model} answers worse here, and not by chance ({against})."
    price = f"{candidate.whole_seconds / max(current.whole_seconds, 1e-9):.1f} times the time to encode"
    price += f", {candidate.query_ms / max(current.query_ms, 1e-9):.1f} times that of a question"
    return f"{candidate.model} answers better here, and not by chance ({against}); it takes {price}."


def _cheaper(current: Cost, candidate: Cost) -> str:
    """Which of two that answer alike costs less, where one does in every respect."""
    pairs = [
        (candidate.whole_seconds, current.whole_seconds),
        (candidate.whole_bytes, current.whole_bytes),
        (candidate.query_ms, current.query_ms),
    ]
    if all(mine < theirs for mine, theirs in pairs):
        return "it costs less in time and disk, so switching saves that"
    return "there is no reason to switch"


def _command(name: str, index: str) -> str:
    place = "" if index == "index" else f" --index {shlex.quote(index)}"
    return f"semsearch index SOURCE... --model {shlex.quote(name)} --fresh{place}"
