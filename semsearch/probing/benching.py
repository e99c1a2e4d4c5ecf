"""`bench`: which mode, model and passage size answers questions best on these articles, told by probes made from them.

For each kind of probe an index of its own is made, in which only what would give these probes away is missing: all else has the
vectors that it has in the user's index, which is never written to.

Deliberately not here: how probes are made (`probes`) and masked (`masking`), figures and tests (`metrics`).
"""

from __future__ import annotations

import os
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from semsearch import encoder as encoders
from semsearch import engines, metrics
from semsearch.arguments import check_mode
from semsearch.builder import NO_CODES
from semsearch.cutting import Cutting, check_passage_tokens
from semsearch.errors import InputError
from semsearch.index import Index
from semsearch.probing import material, scratch
from semsearch.probing.masking import masked
from semsearch.probing.probes import KINDS, Kind, Probe, make
from semsearch.probing.values import ALL, Bench, BenchRow, Figures, Gap, Way
from semsearch.protocols import Encoder, Progress
from semsearch.records import Article, Hit, Mode
from semsearch.store import ArticleText

if TYPE_CHECKING:
    from semsearch.engines import View

__all__ = [
    "DEFAULT_PROBES",
    "Asking",
    "Plan",
    "Units",
    "Variant",
    "bench",
    "draw",
    "measured",
    "named_apart",
    "planned",
    "rank_of",
    "verdict",
]

PathLike = str | os.PathLike[str]

DEFAULT_PROBES = 300
"""Of all kinds together: `benchmarks/README.md` has how far that many tell modes apart, and how long they take."""
MOST_PASSAGES = 50_000
"""Of an index with more, articles are chosen by chance: so many are searched exactly, and copied in seconds."""
SAMPLE_PASSAGES = 3_000
"""Passages that are encoded anew for each model and passage size, at most."""
_METRICS = ("RR@10", "R@1", "R@10")
_DEEP = 10
_HITS = 40
"""Hits that are asked for where several may be of one place: of so many ten places are made."""
_NAMED = 4
"""Ways that the verdict names, of those that do worse."""
_AT_ONCE = 64
_ANSWER = "answer"


def bench(
    index: PathLike = "index",
    *,
    probes: int = DEFAULT_PROBES,
    modes: Sequence[str] | None = None,
    models: Sequence[str] = (),
    passage_tokens: Sequence[int] = (),
    kinds: Sequence[str] = KINDS,
    seed: int = 0,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> Bench:
    """Measure without any judgments which way to search does best on the articles of an index.

    Probes are titles (their article answers), headings (what stands below them answers) and sentences with several rare words
    (what stands beside them answers). Their own words are taken out of what is searched. The index is only read.

    :param probes: how many, at most; as many of each kind, where the articles have them.
    :param modes: of searching; None for all, or for the default mode alone where models or passage sizes are compared.
    :param models: to compare with the index's own: names or folders.
    :param passage_tokens: sizes of passages to compare with the index's own: tokens at most.
    :param kinds: of probes: ``title``, ``heading``, ``sentence``.
    :param seed: which articles and sentences are chosen.
    :param encoder: what to encode with, in place of the model that the index names.
    :param progress: told how far it is.
    :raises InputError: if the articles give no probes, or an argument makes no sense.
    :raises IndexMissing: if there is no index.
    :raises ModelUnavailable: if a model cannot be found.
    """
    started = time.perf_counter()
    chosen = _modes(modes, several=bool(models or passage_tokens))
    _check(probes, kinds, passage_tokens)
    with engines.pinned(index) as reader, tempfile.TemporaryDirectory(prefix="semsearch-") as folder:
        own = encoder or encoders.load_for(reader.fingerprint, reader.network)
        others = [encoders.load(name) for name in dict.fromkeys(models)]
        plan = planned(index, reader, own, others, passage_tokens, seed)
        drawn = draw(reader, plan.variants[0].articles, probes, kinds, seed)
        asking = Asking(drawn, plan.units, Path(folder), progress)
        return measured(engines.shown(index), reader, plan, asking, chosen, seed, started)


def measured(index: str, reader: View, plan: Plan, asking: Asking, modes: Sequence[Mode], seed: int, started: float) -> Bench:
    """Each way of a plan asked all probes; by words alone only the index's own model, for none changes that.

    :param started: by `time.perf_counter`.
    """
    ranks: dict[Way, dict[str, int | None]] = {}
    found: dict[Way, int] = {}
    first = plan.variants[0]
    for variant in plan.variants:
        for mode in [mode for mode in modes if mode != "lexical" or variant.encoder is first.encoder]:
            ranks[variant.way(mode)], found[variant.way(mode)] = asking.ranks(variant, mode), variant.n_passages
    counts = reader.counts()
    rows = _rows(asking.probes, ranks, found)
    return Bench(
        index=index,
        articles=len(first.articles),
        passages=first.n_passages,
        all_articles=counts["articles"],
        all_passages=counts["passages"],
        seed=seed,
        probes=tuple(asking.probes),
        rows=rows,
        verdict=verdict(rows),
        notes=tuple(plan.notes),
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """Articles cut for an encoder; ``tokens`` as `Way` has it. ``known`` are indexes that have vectors of its."""

    encoder: Encoder
    tokens: int | None
    articles: list[ArticleText]
    known: tuple[str | os.PathLike[str], ...]
    compact: bool

    def way(self, mode: Mode) -> Way:
        """To search it."""
        return Way(mode, self.encoder.fingerprint.model, self.tokens)

    @property
    def n_passages(self) -> int:
        """Of all articles together."""
        return sum(len(article.passages) for article in self.articles)


class Plan(NamedTuple):
    """What is compared, the index as it is first; what counts as one place; and what is to be said of that."""

    variants: list[Variant]
    units: Units
    notes: list[str]


class Units:
    """What counts as one place among the hits, however articles are cut: a passage of the longest that are compared.

    Shorter ones are parts of it. Were each counted, the more of them there are the more would stand before an answer, and less
    would be one.

    :param articles: cut into the longest passages.
    :param parted: whether others are cut into shorter ones.
    """

    def __init__(self, articles: Sequence[ArticleText], *, parted: bool = False) -> None:
        self.parted = parted
        self._starts = {article.source: sorted(passage.start for passage in article.passages) for article in articles}

    def of(self, source: str, start: int) -> tuple[str, int]:
        """The place of what begins at an offset of a source."""
        return source, bisect_right(self._starts.get(source, ()), start)


def _modes(modes: Sequence[str] | None, *, several: bool) -> list[Mode]:
    known: tuple[Mode, ...] = get_args(Mode)
    if modes is None or not list(modes):
        return list(known[:1] if several else known)
    named = [modes] if isinstance(modes, str) else list(modes)
    for mode in named:
        check_mode(mode)
    return [mode for mode in known if mode in named]


def _check(probes: int, kinds: Sequence[str], passage_tokens: Sequence[int]) -> None:
    if probes < 1:
        raise InputError(f"probes is {probes}: give a number from 1 on")
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"no kind of probes {kind!r}: use {' or '.join(map(repr, KINDS))}")
    for tokens in passage_tokens:
        check_passage_tokens(tokens)


def planned(
    place: str | os.PathLike[str], reader: View, own: Encoder, models: Sequence[Encoder], sizes: Sequence[int], seed: int
) -> Plan:
    """What is compared: all of an index, or a sample of it where other models or sizes need it encoded anew.

    :param place: where the index is that is read.
    :raises InputError: if articles have to be read again and cannot.
    """
    compact = reader.meta.get("codes") == NO_CODES
    cutting = Cutting.parse(reader.meta.get("passages", ""))
    several = bool(models or sizes)
    if cutting.whole and several:
        raise InputError(
            "the index has whole articles as passages: models and passage sizes can be compared only where it has not"
        )
    wanted = material.chosen(reader, SAMPLE_PASSAGES if several else MOST_PASSAGES, seed)
    notes: list[str] = []
    if not several:
        taken = material.as_indexed(reader, wanted).articles
        variants = [Variant(own, cutting.tokens, taken, (place,), compact)]
        units = Units(taken)
    else:
        read, left_out = material.read_again(reader, wanted)
        if left_out:
            notes.append(f"{left_out:,} articles are left out: their files are not what was indexed")
        variants = [Variant(own, cutting.tokens, material.cut(read, own, cutting.tokens), (place,), compact)]
        variants += _others(read, variants[0], models, sizes)
        longest = max([own, *models], key=lambda encoder: encoder.passage_tokens)
        units = Units(material.cut(read, longest, None), parted=True)
    n_articles, n_chosen = reader.n_articles(), len(variants[0].articles)
    if n_chosen < n_articles:
        notes.insert(0, f"a sample: {n_chosen:,} of {n_articles:,} articles; among all of them answers are harder to find")
    return Plan(variants, units, notes)


def _others(read: Sequence[Article], first: Variant, models: Sequence[Encoder], sizes: Sequence[int]) -> Iterator[Variant]:
    """Each model with each size, but for that which the index is."""
    own = first.encoder
    for encoder, asked in product([own, *models], [None, *dict.fromkeys(sizes)]):
        tokens = asked
        if tokens is not None:
            check_passage_tokens(tokens, encoder.passage_tokens)
        elif first.tokens is not None and first.tokens < encoder.passage_tokens:
            tokens = first.tokens
        same = encoder.fingerprint.same_vectors(own.fingerprint)
        if same and (encoder is not own or (tokens or own.passage_tokens) == (first.tokens or own.passage_tokens)):
            continue
        yield Variant(encoder, tokens, material.cut(read, encoder, tokens), first.known if same else (), first.compact)


def draw(reader: View, articles: Sequence[ArticleText], count: int, kinds: Sequence[str], seed: int) -> list[Probe]:
    """Probes of some articles of an index: so many at most, as many of each kind.

    :raises InputError: if there are none.
    """
    lexical = reader.lexical()
    elsewhere = partial(material.elsewhere, reader)
    named = [kind for kind in KINDS if kind in kinds]
    most = dict.fromkeys(named, count)
    drawn = make(articles, most, seed, lexical.rarity, lexical.n_documents, elsewhere)
    found = {kind: [probe for probe in drawn if probe.kind == kind] for kind in named}
    kept = [
        probe
        for kind, number in _shares(count, {kind: len(of) for kind, of in found.items()}).items()
        for probe in found[kind][:number]
    ]
    if not kept:
        raise InputError(
            "the articles give no probes: they have neither telling titles nor headings nor passages of several sentences"
        )
    return kept


def _shares(count: int, there: Mapping[Kind, int]) -> dict[Kind, int]:
    """How many of each kind: as many of each, and what one has not the others have more."""
    shares: dict[Kind, int] = {}
    left = count
    for position, kind in enumerate(sorted(there, key=lambda kind: there[kind])):
        shares[kind] = min(there[kind], left // (len(there) - position))
        left -= shares[kind]
    return {kind: shares[kind] for kind in there}


class Asking:
    """The probes, asked of each variant.

    :param folder: where indexes are made without what gives the probes away.
    """

    def __init__(self, probes: Sequence[Probe], units: Units, folder: Path, progress: Progress | None) -> None:
        self.probes = probes
        self._units = units
        self._folder = folder
        self._progress = progress
        self._made: dict[tuple[int, Kind | None], Path] = {}

    @property
    def kinds(self) -> list[Kind]:
        """Those that there are."""
        return list(dict.fromkeys(probe.kind for probe in self.probes))

    def ranks(self, variant: Variant, mode: Mode) -> dict[str, int | None]:
        """Rank of each probe's first answer among the first ten."""
        found: dict[str, int | None] = {}
        for kind in self.kinds:
            probes = [probe for probe in self.probes if probe.kind == kind]
            with Index.open(self.index(variant, kind), encoder=variant.encoder) as index:
                for first in range(0, len(probes), _AT_ONCE):
                    chunk = probes[first : first + _AT_ONCE]
                    if self._progress:
                        self._progress("searching", len(found), len(self.probes))
                    # A title's rank is among articles, as in `semsearch eval`.
                    each = 1 if kind == "title" else None
                    texts = [probe.text for probe in chunk]
                    k = _HITS if self._units.parted and each is None else _DEEP
                    answers = index.search_many(texts, k, mode=mode, fold=False, per_article=each)
                    found.update(
                        (probe.id, rank_of(probe, hits, self._units)) for probe, hits in zip(chunk, answers, strict=True)
                    )
        if self._progress:
            self._progress("searching", len(found), len(self.probes))
        return found

    def index(self, variant: Variant, kind: Kind | None) -> Path:
        """An index of a variant's articles without what gives the probes of a kind away, made when it is first asked for.

        :param kind: None for the articles as they are.
        """
        key = (id(variant), kind)
        if key not in self._made:
            place = self._folder / str(len(self._made))
            earlier = [path for (number, _), path in self._made.items() if number == id(variant)]
            with ExitStack() as opened:
                scratch.write(
                    place,
                    masked(variant.articles, [probe for probe in self.probes if probe.kind == kind]),
                    variant.encoder,
                    [opened.enter_context(engines.pinned(path)) for path in (*variant.known, *earlier)],
                    compact=variant.compact,
                    progress=self._progress,
                )
            self._made[key] = place
        return self._made[key]


def rank_of(probe: Probe, hits: Sequence[Hit], units: Units) -> int | None:
    """Rank of the first answer among the first ten places, None if none of them is one.

    Of a sentence its own place is the answer, of a heading any that has something of what stands below it.
    """
    seen: dict[tuple[str, int], None] = {}
    own = None if probe.masked is None else units.of(probe.masked.source, probe.masked.start)
    for hit in hits:
        place = units.of(hit.source, hit.start)
        seen[place] = None
        if len(seen) > _DEEP:
            return None
        if place == own or (own is None and probe.answered_by(hit.source, hit.start, hit.end)):
            return list(seen).index(place) + 1
    return None


def _rows(
    probes: Sequence[Probe], ranks: Mapping[Way, Mapping[str, int | None]], found: Mapping[Way, int]
) -> tuple[BenchRow, ...]:
    """Each way with its figures and how far it is behind the best, best first."""
    values = {way: _values(of) for way, of in ranks.items()}
    means = {way: metrics.summary("RR@10", of["RR@10"]) for way, of in values.items()}
    order = sorted(ranks, key=lambda way: -means[way])
    best = values[order[0]]["RR@10"]
    differences = {way: [values[way]["RR@10"][probe.id] - best[probe.id] for probe in probes] for way in order[1:]}
    p_values = {way: metrics.p_value(of) for way, of in differences.items()}
    adjusted = dict(zip(p_values, metrics.holm(list(p_values.values())), strict=True))
    groups: dict[str, list[str]] = {}
    for probe in probes:
        groups.setdefault(probe.kind, []).append(probe.id)
    groups[ALL] = [probe.id for probe in probes]
    rows = []
    for way in order:
        gap = None
        if way in differences:
            gap = Gap(means[way] - means[order[0]], *metrics.interval(differences[way]), p_values[way], adjusted[way])
        figures = {kind: _figures(values[way], chosen) for kind, chosen in groups.items()}
        rows.append(BenchRow(way, found[way], figures, gap, ranks[way]))
    return tuple(rows)


def _values(ranks: Mapping[str, int | None]) -> dict[str, dict[str, float]]:
    """Each metric's value for each probe, by the same code as those of ``semsearch eval``."""
    judgments = {probe: {_ANSWER: 1} for probe in ranks}
    rankings = {
        probe: [] if rank is None else [*(f"other {number}" for number in range(rank - 1)), _ANSWER]
        for probe, rank in ranks.items()
    }
    return metrics.figures(_METRICS, judgments, rankings)


def _figures(values: Mapping[str, Mapping[str, float]], chosen: Sequence[str]) -> Figures:
    rr, r1, r10 = ({probe: values[metric][probe] for probe in chosen} for metric in _METRICS)
    low, high = metrics.interval(list(rr.values()))
    return Figures(
        len(chosen),
        metrics.summary(_METRICS[0], rr),
        low,
        high,
        metrics.summary(_METRICS[1], r1),
        metrics.summary(_METRICS[2], r10),
    )


def verdict(rows: Sequence[BenchRow]) -> str:
    """What does best, in one sentence; or that nothing can be told."""
    best, others = rows[0], rows[1:]
    n = best.figures[ALL].n
    if not others:
        return f"{n:,} probes: nothing to compare with."
    named = named_apart(rows)
    level = [row for row in others if not row.told_apart]
    behind = [row for row in others if row.told_apart]
    worse = _listed([named[row.way] for row in behind]) if len(behind) <= _NAMED else f"the other {len(behind)}"
    figure = f"RR@10 {best.figures[ALL].rr:.3f} on {n:,} probes"
    if not level:
        return f"{named[best.way]} does best here ({figure}), and not by chance: ahead of {worse}."
    if not behind:
        return f"{n:,} probes cannot tell {_listed([named[row.way] for row in rows])} apart."
    together = _listed([named[row.way] for row in [best, *level]])
    verb = "does" if len(behind) == 1 else "do"
    return f"{together} do best here and cannot be told apart ({figure}); {worse} {verb} worse."


def named_apart(rows: Sequence[BenchRow]) -> dict[Way, str]:
    """Each way by what tells it from the others."""
    ways = [row.way for row in rows]
    told = [len({way[part] for way in ways}) > 1 for part in range(3)]
    names = {}
    for way in ways:
        size = f"passages of {way.passage_tokens} tokens" if way.passage_tokens else "passages as long as the model takes"
        first, *others = [part for part, tells in zip((way.mode, way.model, size), told, strict=True) if tells] or [way.mode]
        names[way] = f"{first} ({', '.join(others)})" if others else first
    return names


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
