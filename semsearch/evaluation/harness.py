"""`evaluate`: a data set through semsearch's own search; `evaluate_search`: through any other.

Deliberately not here: how data sets are read (`datasets`, `pairs`), how documents are ranked (`ranking`).
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from semsearch import encoder as encoders
from semsearch import engines
from semsearch import metrics as figures
from semsearch.arguments import check_k, check_mode
from semsearch.builder import Builder
from semsearch.errors import IndexMissing, InputError, ModelMismatch
from semsearch.evaluation import pairs
from semsearch.evaluation.comparison import compare
from semsearch.evaluation.datasets import IR_DATASETS, Dataset, beir, from_ir_datasets, ids_of, judged, texts_of, trec
from semsearch.evaluation.ranking import latencies, rank
from semsearch.evaluation.trec import read_run
from semsearch.evaluation.values import Evaluation, Measurement, Scored, Shown
from semsearch.index import Index
from semsearch.metrics import DEFAULT_METRICS
from semsearch.protocols import Encoder, Progress
from semsearch.records import Mode, Precision

__all__ = ["evaluate", "evaluate_search"]

logger = logging.getLogger("semsearch")

PathLike = str | os.PathLike[str]
Search = Callable[[str], Sequence[tuple[str, float]]]

DEFAULT_INDEX = "index"
DEPTH = 100
"""Documents of a ranking; a metric that looks deeper has what it looks at."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is the same for every measurement of an evaluation."""

    dataset: Dataset
    index: PathLike | None
    modes: tuple[Mode, ...]
    metrics: tuple[str, ...]
    depth: int
    whole: bool
    precision: Precision | None
    encoder: Encoder | None
    progress: Progress | None


def evaluate(
    dataset: PathLike,
    *,
    index: PathLike | None = None,
    queries: PathLike | None = None,
    modes: Sequence[str] | None = None,
    models: Sequence[str | None] = (None,),
    metrics: Sequence[str] = DEFAULT_METRICS,
    k: int = DEPTH,
    split: str = "test",
    whole: bool = False,
    precision: Precision | None = None,
    against: PathLike | None = None,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure how well questions are answered, on a data set with judgments.

    A folder in BEIR format and a data set of ir_datasets bring their documents: an index of them is kept in the user's cache,
    and refreshed when they are evaluated again. Judgments and lists of questions are evaluated over an index that is there
    already, whose documents are known by their sources, or by ``_id`` or ``id`` in their metadata.

    :param dataset: a folder in BEIR format; ``ir_datasets:NAME``; a file of TREC judgments, with ``queries``; or a file of lines
        ``question<TAB>source or words of a passage``.
    :param index: the index directory: where that of the documents is kept, or the one to evaluate over (default ``index``).
    :param queries: a file of lines ``id<TAB>text``, or BEIR's ``queries.jsonl``.
    :param modes: how passages are ranked, one measurement each; None for the default mode.
    :param models: what to encode the documents with, one measurement each; None for the default model.
    :param metrics: names of ir_measures.
    :param k: documents in each ranking, at least; fewer where the index has fewer.
    :param split: which judgments of a folder in BEIR format.
    :param whole: take each document as one passage, cut where the model's limit is, by its cosine alone; only to check against
        published figures, which are got this way. The only mode is then dense.
    :param precision: how the documents are encoded, see `semsearch.build`; None for ``float``.
    :param against: a TREC run to compare with.
    :param encoder: what to encode with, in place of ``models``.
    :param progress: told how far it is.
    :raises InputError: if the data set, a mode, a metric or ``against`` cannot be used, or none of the documents is judged.
    :raises IndexMissing: if there is no index to evaluate over.
    :raises MissingExtra: if ir_datasets is asked for and not installed.
    """
    wanted = figures.canonical(_listed(metrics))
    chosen = _modes(modes, whole)
    depth = max(check_k(k), figures.deepest(wanted))
    loaded = _load(dataset, index, queries, split)
    named = list(dict.fromkeys(_listed(models)))
    _check(loaded, index, named, whole, encoder)
    if loaded.corpus is None and precision is not None:
        raise InputError("the index is there already, encoded as it is: leave --precision out")
    baseline = read_run(Path(against), loaded.queries, _documents(loaded)) if against is not None else None
    place = index
    plan = _Plan(loaded, place, chosen, wanted, depth, whole, precision, encoder, progress)
    measured: list[Measurement] = []
    documents: dict[str, Shown] = {}
    for model in named:
        with _index(plan, model) as (opened, seconds):
            measured += [_measure(plan, opened, mode, seconds, documents) for mode in chosen]
    evaluation = Evaluation(loaded.name, loaded.queries, loaded.judgments, tuple(measured), documents)
    if baseline is None or against is None:
        return evaluation
    # Once more, for ids with white space that only a search has found.
    baseline = read_run(Path(against), loaded.queries, {*_documents(loaded), *documents})
    return _against(evaluation, os.fspath(against), baseline, loaded)


def evaluate_search(
    search: Search,
    queries: Mapping[str, str],
    judgments: figures.Judgments,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    against: PathLike | None = None,
    name: str = "search",
) -> Evaluation:
    """Measure any search: a function from a question to ``(document id, score)`` pairs, best first.

    The order counts, not the scores; of a document that comes twice the first place counts. Each call is timed.

    :param queries: texts by query id; those without a positive judgment are passed over.
    :param judgments: grades by query id and document id.
    :param name: what the search is called in tables.
    :raises InputError: if no query has a positive judgment, or a metric or ``against`` cannot be used.
    """
    wanted = figures.canonical(_listed(metrics))
    dataset = judged(Dataset(name, dict(queries), {query: dict(grades) for query, grades in judgments.items()}))
    rankings: dict[str, tuple[Scored, ...]] = {}
    times = []
    for query, text in dataset.queries.items():
        started = time.perf_counter()
        found = search(text)
        times.append((time.perf_counter() - started) * 1000)
        first: dict[str, float] = {}
        for document, score in found:
            first.setdefault(document, float(score))
        rankings[query] = tuple(Scored(document, score) for document, score in first.items())
    seen = {document for ranking in rankings.values() for document, _ in ranking}
    per_query = _figures(wanted, dataset, rankings)
    measured = Measurement(
        mode=name,
        model="",
        documents=len(seen),
        passages=len(seen),
        metrics={metric: figures.summary(metric, values) for metric, values in per_query.items()},
        per_query=per_query,
        rankings=rankings,
        seconds={"index": 0.0, "search": sum(times) / 1000},
        latencies=tuple(times),
    )
    evaluation = Evaluation(name, dataset.queries, dataset.judgments, (measured,), {})
    if against is None:
        return evaluation
    baseline = read_run(Path(against), dataset.queries, {*_documents(dataset), *seen})
    return _against(evaluation, os.fspath(against), baseline, dataset)


def _listed(values: Sequence[str] | Sequence[str | None]) -> list[str]:
    """A list also where somebody gave one name."""
    return [values] if isinstance(values, str) else list(values)  # type: ignore[arg-type]


def _modes(modes: Sequence[str] | None, whole: bool) -> tuple[Mode, ...]:
    known: tuple[Mode, ...] = get_args(Mode)
    if not modes:
        return ("dense",) if whole else known[:1]
    for mode in _listed(modes):
        check_mode(mode)
        if whole and mode != "dense":
            raise InputError(f"whole documents are ranked by their cosine alone: leave --mode {mode} or --whole out")
    return tuple(dict.fromkeys(_listed(modes)))  # type: ignore[arg-type]


def _load(dataset: PathLike, index: PathLike | None, queries: PathLike | None, split: str) -> Dataset:
    name = os.fspath(dataset)
    path = Path(name).expanduser()
    if name.startswith(IR_DATASETS) or path.is_dir():
        if queries is not None:
            raise InputError(f"{name} brings its own queries: leave --queries out")
        if path.is_dir():
            return beir(path, split)
        short = name.removeprefix(IR_DATASETS)
        return from_ir_datasets(short, _home(name, short.replace("/", "-")) / "documents")
    if not path.is_file():
        raise InputError(f"no data set {name!r}: give a folder in BEIR format, a file, or {IR_DATASETS}NAME")
    if queries is not None:
        return trec(path, Path(queries).expanduser())
    return pairs.load(path, index if index is not None else DEFAULT_INDEX)


def _check(dataset: Dataset, index: PathLike | None, models: list[str], whole: bool, encoder: Encoder | None) -> None:
    """Refuse what does not go together."""
    if dataset.corpus is None and (whole or any(models)):
        raise InputError("the index is there already, with its model and passages: leave --model and --whole out")
    if encoder is not None and any(models):
        raise InputError("both an encoder and models are given: give one of them")
    if index is not None and len(models) > 1:
        raise InputError("an index has one model: leave --index out to evaluate several")
    if dataset.corpus is not None and index is not None:
        _refuse_other_articles(index, dataset.corpus)
    _refuse_other_judgments(dataset, index if index is not None else DEFAULT_INDEX)


def _refuse_other_judgments(dataset: Dataset, index: PathLike) -> None:
    """Refuse judgments of other documents: all figures would be 0. Looks no further than the first document that is judged."""
    if dataset.by_passage:
        return  # Their answers were looked up in the index.
    known = _documents(dataset)
    other = None
    for named in ({name} for name in ids_of(dataset.corpus)) if dataset.corpus is not None else pairs.names(index):
        if not known.isdisjoint(named):
            return
        other = other or min(named)
    there = dataset.corpus or engines.shown(index)
    having = f"has ids such as {other!r}" if other is not None else "has none"
    raise InputError(f"no judged document is in {there}: the judgments have ids such as {min(known)!r}, it {having}")


def _refuse_other_articles(index: PathLike, corpus: Path) -> None:
    """Keep documents of a data set out of an index of something else."""
    try:
        with engines.pinned(index) as reader:
            others = [file for file in reader.files() if file.is_address or Path(file.path) != corpus.resolve()]
    except IndexMissing:
        return
    if others:
        raise InputError(
            f"the index {engines.shown(index)} holds other articles than {corpus}: give another --index, or leave it out"
        )


@contextmanager
def _index(plan: _Plan, model: str | None) -> Iterator[tuple[Index, float]]:
    """The index to search, and the seconds that it took to make or refresh it."""
    corpus = plan.dataset.corpus
    if corpus is None:
        with Index.open(plan.index or DEFAULT_INDEX, encoder=plan.encoder) as index:
            yield index, 0.0
        return
    started = time.perf_counter()
    if plan.index is not None:
        encoder = _build(plan, plan.index, corpus, model)
        place = plan.index
    else:
        name = model or (plan.encoder.fingerprint.model if plan.encoder else encoders.DEFAULT_MODEL)
        place = (
            _home(str(corpus.resolve()), corpus.resolve().parent.name)
            / _short(f"{_resolved(name)}{' whole' if plan.whole else ''}{_beside(plan.precision)}", name)
            / "index"
        )
        try:
            encoder = _build(plan, place, corpus, None if plan.encoder else name)
        except ModelMismatch:
            # Another model lies under the same name now, and the index is ours to replace.
            encoder = _build(plan, place, corpus, None if plan.encoder else name, fresh=True)
    seconds = time.perf_counter() - started
    with Index.open(place, encoder=encoder) as index:
        yield index, seconds


def _build(plan: _Plan, place: PathLike, corpus: Path, model: str | None, *, fresh: bool = False) -> Encoder | None:
    """Make or refresh an index; the encoder that was used, None if none was."""
    builder = Builder(place, [str(corpus)], fresh, whole=plan.whole, precision=plan.precision)
    try:
        _, encoder = builder.run(model, plan.encoder, plan.progress)
    finally:
        builder.close()
    if builder.problems:
        first = builder.problems[0]
        logger.warning("%d documents were left out (%s: %s)", len(builder.problems), first.source, first.reason)
    return encoder


def _home(identity: str, readable: str) -> Path:
    """The folder in the user's cache that is kept for a data set."""
    return encoders.cache_folder() / "evaluation" / _short(identity, readable)


def _short(identity: str, readable: str) -> str:
    """A folder's name: something to recognise it by, and a digest of what it is for."""
    word = re.sub(r"[^A-Za-z0-9.]+", "-", Path(readable).name or readable).strip("-.")[:40]
    return f"{word or 'data'}-{hashlib.sha256(identity.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def _beside(precision: Precision | None) -> str:
    """What tells an index in another precision than the default's from one in that."""
    return "" if precision in (None, get_args(Precision)[0]) else f" {precision}"


def _resolved(model: str) -> str:
    folder = Path(model).expanduser()
    return str(folder.resolve()) if folder.is_dir() else model


def _measure(plan: _Plan, index: Index, mode: Mode, seconds: float, documents: dict[str, Shown]) -> Measurement:
    def tell(done: int) -> None:
        if plan.progress:
            plan.progress("searching", done, len(plan.dataset.queries))

    times = latencies(index, mode, list(plan.dataset.queries.values()))
    started = time.perf_counter()
    ranked = rank(index, mode, plan.dataset, plan.depth, tell)
    took = time.perf_counter() - started
    documents.update(ranked.documents)
    facts = index.status()
    known = _documents(plan.dataset)
    found = {document for ranking in ranked.rankings.values() for document, _ in ranking}
    if found and not known & found:
        logger.warning(
            "no document that was found is judged: the judgments have ids such as %r, the index such as %r",
            min(known),
            min(found),
        )
    per_query = _figures(plan.metrics, plan.dataset, ranked.rankings)
    return Measurement(
        mode=mode,
        model=facts["model"],
        documents=facts["articles"],
        passages=facts["passages"],
        metrics={metric: figures.summary(metric, values) for metric, values in per_query.items()},
        per_query=per_query,
        rankings=ranked.rankings,
        seconds={"index": seconds, "search": took},
        latencies=times,
    )


def _figures(metrics: Sequence[str], dataset: Dataset, rankings: Mapping[str, Sequence[Scored]]) -> dict[str, dict[str, float]]:
    documents = {query: [item.document for item in ranking] for query, ranking in rankings.items()}
    return figures.figures(metrics, dataset.judgments, documents)


def _documents(dataset: Dataset) -> set[str]:
    return {document for grades in dataset.judgments.values() for document in grades}


def _against(evaluation: Evaluation, name: str, baseline: Mapping[str, Sequence[Scored]], dataset: Dataset) -> Evaluation:
    """The evaluation with each of its measurements compared with another run."""
    compared = tuple(
        replace(
            found,
            comparison=compare(name, evaluation.queries, evaluation.judgments, found.per_query, found.rankings, baseline),
        )
        for found in evaluation
    )
    documents = dict(evaluation.documents)
    if dataset.corpus is not None:
        listed = [item for found in compared if found.comparison for item in (*found.comparison.won, *found.comparison.lost)]
        tops = {top for item in listed for top in (item.top, item.baseline_top) if top is not None}
        documents |= texts_of(dataset.corpus, tops)
    return replace(evaluation, measurements=compared, documents=documents)
