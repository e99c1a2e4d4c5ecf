"""What a collection of any size would take: formulas over measured bytes and milliseconds, and over what is assumed.

    python benchmarks/capacity.py
    python benchmarks/capacity.py --passages 3e7 --words 120 --encoder-rate 400
    python benchmarks/capacity.py --set price_machine_hour=2.5 --set replicas=3
    python benchmarks/capacity.py --of passages.parquet
    python benchmarks/capacity.py --of passages.parquet | xargs python benchmarks/capacity.py --passages 3e7

prints the tables of the page on capacity, for its three sizes or for yours. Every figure that goes in is in `FIGURES`, with
where it was measured, or that it is assumed and why; ``--set NAME=VALUE`` puts your own in its place. ``--of`` reads what
``semsearch export`` wrote and prints the figures of your own passages as such options, each on a line of its own, and no tables:
they are to be given to the next call, pasted or as above. A GB is 10^9 bytes.

Milliseconds of a question in a folder: its arms, vectors and words, are searched at the same time, so that the longer of the two
counts, and to it is added what else a question takes, which hangs on the number of candidates alone (an example: `Plan.asked`).

Deliberately not here: measuring (the other benchmarks). Of ten million passages nothing was run but the vectors, of a billion
nothing, and no cluster of engines ever: above what was measured, the tables are arithmetic.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

SIZES = (10**7, 10**9, 10**11)
CODE_BYTES = 16
"""Of a word, for late interaction: 128 bits."""
DIMENSION = 384
LAYERS = 6
INNER = 1536
"""Of all-MiniLM-L6-v2: how wide its feed-forward layers are."""
NUMBERS = 2**63 - 1
"""How many numbers passages in an engine can have (`semsearch/engines/numbers.py`)."""

POSTGRES_MOST = 2**31
"""Passages that an index in PostgreSQL can have."""


class Figure(NamedTuple):
    """A number that goes in.

    ``where``: what it was measured by, and on what; empty for one that is assumed, and then ``why`` says why it is so.
    """

    value: float
    unit: str
    what: str
    where: str = ""
    why: str = ""


_MILLION = "`million.py`, EPYC"
_POSTGRES = "`postgres.py`, 147,757 passages, EPYC"
_CUDA = "by hand, H200, see [Encoding](performance.md#encoding)"
_EXPORT = "`semsearch export`, the same passages"
_SHAPE = "`capacity.py --of`, 81,007 passages of scale-passages"

FIGURES: dict[str, Figure] = {
    # A passage.
    "words": Figure(82, "words", "a passage", why="the passages of `million.py`, 526 bytes; `--of` tells yours"),
    "word_bytes": Figure(6.44, "bytes", "of text a word", _SHAPE),
    "word_tokens": Figure(1.48, "tokens", "a word", _SHAPE),
    "word_terms": Figure(0.76, "terms", "that differ, a word", _SHAPE),
    "word_codes": Figure(1.04, "codes", "of 16 bytes a word", _MILLION),
    # In a folder.
    "vector_bytes": Figure(768, "bytes", "a vector in half precision", _MILLION),
    "scan_bytes": Figure(48, "bytes", "of the scan a passage", _MILLION),
    "rest_bytes": Figure(61, "bytes", "of offsets, checksums, spans of sentences a passage", _MILLION),
    "database_bytes": Figure(230, "bytes", "of the database a passage, beside its text", _MILLION),
    "bm25_word_bytes": Figure(2.19, "bytes", "of BM25 a word (tantivy)", _MILLION),
    "export_bytes": Figure(144, "bytes", "of Parquet a passage, without vectors (48 words)", _EXPORT),
    "export_packed": Figure(0.80, "", "what zstd leaves of float32 vectors and codes", _EXPORT),
    # Encoding.
    "cpu_tokens": Figure(
        11_240, "tokens/s", "`semsearch index`, 2 cores, bfloat16 (129 passages of 87 tokens)", "`indexing.py`, EPYC"
    ),
    "cpu_cores": Figure(2, "cores", "of that machine", "`indexing.py`, EPYC"),
    "int8_factor": Figure(1.30, "times", "faster with `--precision int8`", "`indexing.py`, EPYC"),
    "amx_factor": Figure(2.71, "times", "faster on a processor with AMX (encoding alone)", "`encode.py`, Xeon to EPYC"),
    "gpu_tokens": Figure(182_700, "tokens/s", "one GPU, one process (2,100 passages of 87 tokens)", _CUDA),
    "gpu_network_tokens": Figure(495_900, "tokens/s", "the same, the network alone", _CUDA),
    "gpu_peak": Figure(989e12, "FLOP/s", "peak of an H100, half precision", why="its data sheet; an A10 has 125e12"),
    "gpu_utilisation": Figure(0.30, "", "of the peak that such a network could reach", why="measured was 0.011"),
    "gpu_host_seconds": Figure(0.0005, "s", "of Python a passage, which the GPU waits for", _CUDA),
    "writer_tokens": Figure(
        136_000, "tokens/s", "read, cut and written by one process (13 s for 20,343 passages)", "`indexing.py`, EPYC"
    ),
    # Asking.
    "ask_seconds_million": Figure(0.0172, "s", "a warm hybrid question of a million passages", _MILLION),
    "arm_seconds_million": Figure(0.0064, "s", "of it, the scan and what it picks", _MILLION),
    "arm_seconds_ten_million": Figure(0.0455, "s", "the same of ten million vectors", f"{_MILLION}, other work going on"),
    "ask_cpu_seconds_million": Figure(0.0242, "s", "of processor a question of a million passages (2 cores / 82.6)", _MILLION),
    "words_exponent": Figure(1, "", "with which the search by words grows", why="in proportion to passages, the worst there is"),
    "lexical_seconds_million": Figure(0.0080, "s", "a question by words alone, a million passages", _MILLION),
    # An engine.
    "graph_links": Figure(64, "links", "of 4 bytes a vector in HNSW, M=32", why="so HNSW is defined; upper layers add 3 %"),
    "diskann_share": Figure(0.125, "", "of the vectors that DISKANN has in memory", why="Milvus' own default"),
    "diskann_links": Figure(56, "links", "of 4 bytes a vector in DISKANN", why="Milvus' own default"),
    "rabitq_bytes": Figure(56, "bytes", "a vector in RaBitQ", "by hand, EPYC, see [Many passages](performance.md#many-passages)"),
    "postgres_bytes": Figure(3410, "bytes", "in PostgreSQL that hang on no words", _POSTGRES),
    "postgres_word_bytes": Figure(53.6, "bytes", "in PostgreSQL a word: text, codes, postings, positions", _POSTGRES),
    "postgres_graph_bytes": Figure(1281, "bytes", "of it the index of vectors, m=24, and two keys", _POSTGRES),
    "posting_bytes": Figure(8, "bytes", "of BM25 in Milvus a passage and term", why="a number and a weight of 4 each"),
    "term_bytes": Figure(5.6, "bytes", "of terms as text in Milvus, a word", _SHAPE),
    "row_bytes": Figure(
        364, "bytes", "of columns and their indexes in Milvus", why="counted by the columns, ten values an article"
    ),
    "segment_rows": Figure(5e5, "passages", "in a segment of Milvus", why="1 GB, its default, at 2 KB a row"),
    "segment_seconds": Figure(0.001, "s", "of a core to search a segment", why="a graph of so many takes less by itself"),
    "replicas": Figure(2, "", "copies of what is searched", why="one may fail while it is in use"),
    # Machines and money.
    "machine_cores": Figure(64, "cores", "a machine", why="a size that every vendor has"),
    "machine_memory": Figure(512e9, "bytes", "of memory a machine", why="the same"),
    "machine_disk": Figure(15e12, "bytes", "of NVMe a machine", why="the same"),
    "machine_bandwidth": Figure(200e9, "bytes/s", "of memory that a machine reads", why="2 cores of the EPYC: 45e9"),
    "machine_full": Figure(0.70, "", "of memory and disk that data may fill", why="the rest is for building and merging"),
    "price_machine_hour": Figure(4.0, "$", "an hour of such a machine", why="an order of magnitude: put in what you pay"),
    "price_gpu_hour": Figure(3.0, "$", "an hour of a GPU with 16 cores", why="the same"),
    "yearly_growth": Figure(0.25, "", "of the passages that a year adds", why="yours is in your own records"),
    "yearly_change": Figure(0.10, "", "of the passages that a year changes, each once", why="the same"),
}


@dataclass(frozen=True)
class Plan:
    """The figures, and what follows from them. Bytes are of one passage, times are seconds, ``n`` is a number of passages."""

    values: Mapping[str, float]

    def __getattr__(self, name: str) -> float:
        try:
            return self.values[name]
        except KeyError as error:
            raise AttributeError(name) from error

    # A passage.

    def text(self) -> float:
        return self.words * self.word_bytes

    def tokens(self) -> float:
        return self.words * self.word_tokens

    def terms(self) -> float:
        return self.words * self.word_terms

    def codes(self) -> float:
        return CODE_BYTES * self.words * self.word_codes

    def folder(self, *, compact: bool = False) -> float:
        """On the disk, with its text."""
        searched = self.vector_bytes + self.scan_bytes + self.rest_bytes + self.words * self.bm25_word_bytes
        return self.text() + self.database_bytes + searched + (0 if compact else self.codes())

    def exported(self, *, compact: bool = False) -> float:
        """In a Parquet file with vectors."""
        packed = self.export_packed * (4 * DIMENSION + (0 if compact else self.codes()))
        return self.export_bytes * self.words / 48 + packed

    # Vectors in an engine: memory, disk.

    def hnsw(self) -> float:
        return 4 * DIMENSION + 1.03 * 4 * self.graph_links

    def diskann_memory(self) -> float:
        return self.diskann_share * 4 * DIMENSION

    def diskann_disk(self) -> float:
        """A vector, its links and their number: 1,536 + 56 * 4 + 4 = 1,764 bytes, as many as go into a page of 4,096: two."""
        row = 4 * DIMENSION + 4 * self.diskann_links + 4
        return 4096 / (4096 // row) if row <= 4096 else 4096 * math.ceil(row / 4096)

    def postgres(self) -> float:
        """On the disk, all tables and indexes, with its text."""
        return self.postgres_bytes + self.words * self.postgres_word_bytes

    def words_in_memory(self) -> float:
        """Postings of Milvus' BM25, and the columns that it has in memory unless it maps them."""
        return self.terms() * self.posting_bytes + self.words * self.term_bytes + self.row_bytes

    def bodies(self, *, compact: bool = False) -> float:
        """What an engine has on its disk beside what is searched: text, spans, and codes as base64, which is 4 bytes for 3."""
        return self.text() + self.database_bytes + (0 if compact else self.codes() * 4 / 3)

    # Encoding.

    def flops(self) -> float:
        """Of the network, a passage: two for each parameter and token, and attention's two products of tokens with tokens."""
        parameters = LAYERS * (4 * DIMENSION**2 + 2 * DIMENSION * INNER)
        return self.tokens() * (2 * parameters + LAYERS * 4 * DIMENSION * self.tokens())

    def cpu_rate(self) -> float:
        """Passages a second of one core."""
        return self.cpu_tokens / self.cpu_cores / self.tokens()

    def gpu_rate(self) -> float:
        """Passages a second of one GPU as it was measured."""
        return self.gpu_tokens / self.tokens()

    def gpu_bound(self) -> float:
        """Passages a second of one GPU that is always fed."""
        return self.gpu_peak * self.gpu_utilisation / self.flops()

    # Asking a folder.

    def arm(self, n: float) -> float:
        """The scan and what it picks: a line through what was measured at one and at ten million."""
        slope = (self.arm_seconds_ten_million - self.arm_seconds_million) / 9e6
        return max(0.0, self.arm_seconds_million + slope * (n - 1e6))

    def asked(self, n: float) -> tuple[float, float]:
        """A question of n passages in a folder: at best, where words take no longer than vectors, and at worst.

        Both arms are searched at the same time, so the longer of the two counts (with one processor they take their sum). What
        else there is, to encode the question and to compare its candidates, takes as long as it does among a million:
        17.2 - 6.4 = 10.8 ms. Of ten million: vectors 45.5 ms, words 8 ms as among a million to 80 in proportion, and so
        10.8 + 45.5 = 56 ms to 10.8 + max(45.5, 80) = 91 ms.
        """
        rest = self.ask_seconds_million - self.arm_seconds_million
        words = self.lexical_seconds_million * (n / 1e6) ** self.words_exponent
        return rest + self.arm(n), rest + max(self.arm(n), words)

    def questions(self, n: float) -> float:
        """Questions a second of a machine: as its cores compute, or as it reads the scan's codes."""
        # Words are taken to be found no slower than among a million.
        processor = self.ask_cpu_seconds_million - self.arm_seconds_million + self.arm(n)
        return min(self.machine_cores / processor, self.machine_bandwidth / (self.scan_bytes * n))

    # Asking Milvus of many machines.

    def segments(self, n: float) -> float:
        return max(1.0, n / self.segment_rows)

    def machines(self, memory: float, disk: float) -> int:
        """Machines that hold so much."""
        by_memory = memory / (self.machine_memory * self.machine_full)
        by_disk = disk / (self.machine_disk * self.machine_full)
        return max(1, math.ceil(by_memory), math.ceil(by_disk))


def collisions(n: float, numbers: float = NUMBERS) -> float:
    """How many pairs of n things get the same number, of so many, in the mean: n (n - 1) / 2 over ``numbers``."""
    return n * (n - 1) / 2 / numbers


# What is printed.


def size(value: float) -> str:
    """Bytes, two digits or more."""
    for unit, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if value >= unit:
            return f"{_digits(value / unit)} {name}"
    return f"{value:,.0f} B"


def count(value: float) -> str:
    """A number of things."""
    for unit, name in ((1e9, " billion"), (1e6, " million")):
        if value >= unit:
            return f"{_digits(value / unit)}{name}"
    return _digits(value)


def _digits(value: float) -> str:
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def hours(seconds: float) -> str:
    """A time of work."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{_digits(seconds / unit)} {name}"
    return f"{_digits(seconds)} s"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def dollars(value: float) -> str:
    return f"${_digits(value)}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def figures(plan: Plan) -> str:
    """What goes in."""
    rows = []
    for name, figure in FIGURES.items():
        value = plan.values[name]
        own = value != figure.value
        told = "given" if own else f"measured: {figure.where}" if figure.where else f"**assumed**: {figure.why}"
        rows.append([f"`{name}`", f"{value:g} {figure.unit}".strip(), figure.what, told])
    return table(["name", "value", "what", "from where"], rows)


def passage(plan: Plan) -> str:
    """Bytes of a passage, by place and part."""
    rows = [
        ["text", size(plan.text())],
        ["folder: vector, scan, offsets and checksums", size(plan.vector_bytes + plan.scan_bytes + plan.rest_bytes)],
        ["folder: BM25", size(plan.words * plan.bm25_word_bytes)],
        ["folder: database beside the text", size(plan.database_bytes)],
        ["folder: codes of words", size(plan.codes())],
        ["**folder, all of it**", f"**{size(plan.folder())}**; with `--compact` {size(plan.folder(compact=True))}"],
        ["Parquet with vectors", f"{size(plan.exported())}; of a compact index {size(plan.exported(compact=True))}"],
        [
            "**PostgreSQL, all of it**",
            f"**{size(plan.postgres())}**, of it {size(plan.postgres_graph_bytes)} the index of vectors",
        ],
        ["Milvus, memory: vector and graph (HNSW, M=32)", size(plan.hnsw())],
        ["Milvus, memory: vector in DISKANN; on its disk", f"{size(plan.diskann_memory())}; {size(plan.diskann_disk())}"],
        ["Milvus, memory: vector in RaBitQ, without what it is compared with again", size(plan.rabitq_bytes)],
        ["Milvus, memory: postings of BM25, columns and their indexes", size(plan.words_in_memory())],
        ["Milvus, disk: text, spans, codes", f"{size(plan.bodies())}; compact {size(plan.bodies(compact=True))}"],
    ]
    return table(["part", "bytes a passage"], rows)


def _by_size(sizes: Sequence[float], rows: Mapping[str, Sequence[str]]) -> str:
    return table(["", *(f"{count(n)} passages" for n in sizes)], [[name, *cells] for name, cells in rows.items()])


def storage(plan: Plan, sizes: Sequence[float]) -> str:
    """What must be kept."""
    return _by_size(
        sizes,
        {
            "text": [size(n * plan.text()) for n in sizes],
            "folder": [size(n * plan.folder()) for n in sizes],
            "folder, compact": [size(n * plan.folder(compact=True)) for n in sizes],
            "folder: the scan, which memory should hold": [size(n * plan.scan_bytes) for n in sizes],
            "PostgreSQL": [size(n * plan.postgres()) if n < POSTGRES_MOST else "-" for n in sizes],
            "PostgreSQL: the index of vectors, which memory should hold": [
                size(n * plan.postgres_graph_bytes) if n < POSTGRES_MOST else "-" for n in sizes
            ],
            "Parquet with vectors": [size(n * plan.exported()) for n in sizes],
        },
    )


def encoding(plan: Plan, sizes: Sequence[float]) -> str:
    """How long the first build takes."""
    week = 7 * 86400
    core, writer = 1 / plan.cpu_rate(), plan.tokens() / plan.writer_tokens
    gpu, bound = 1 / plan.gpu_rate(), 1 / plan.gpu_bound()
    machine = core / plan.machine_cores
    cost = {"machines": plan.price_machine_hour / 3600 * machine, "GPUs": plan.price_gpu_hour / 3600 * gpu}
    return _by_size(
        sizes,
        {
            "hours of a core, bfloat16 (measured on 2)": [hours(n * core) for n in sizes],
            "of a core with AMX": [hours(n * core / plan.amx_factor) for n in sizes],
            "of a machine, bfloat16 (**assumed**: in proportion to cores)": [hours(n * machine) for n in sizes],
            "of a machine, 8 bits": [hours(n * machine / plan.int8_factor) for n in sizes],
            "of a GPU as measured, one process (H200)": [hours(n * gpu) for n in sizes],
            "of a GPU that is always fed (**assumed**)": [hours(n * bound) for n in sizes],
            "cores that feed such a GPU": [f"{plan.gpu_host_seconds / bound:.0f}"] * len(sizes),
            "the one process that reads, cuts and writes, however many encode": [hours(n * writer) for n in sizes],
            "cores that encode as fast as that one goes": [f"{core / writer:.0f}"] * len(sizes),
            "a week, encoding alone: machines": [f"{math.ceil(n * machine / week):,}" for n in sizes],
            "a week, encoding alone: GPUs as measured": [f"{math.ceil(n * gpu / week):,}" for n in sizes],
            "a week, all else: indexes beside each other, with such a process each": [
                f"{math.ceil(n * writer / week):,}" for n in sizes
            ],
            "cost of encoding by machines; by GPUs as measured": [
                f"{dollars(n * cost['machines'])}; {dollars(n * cost['GPUs'])}" for n in sizes
            ],
        },
    )


def asking(plan: Plan, sizes: Sequence[float]) -> str:
    """Questions of a folder."""
    rows: dict[str, list[str]] = {
        "a warm question": [],
        "of it, the arm of vectors": [],
        "questions a second of a machine (**assumed**: by its cores, or by what it reads of its memory)": [],
    }
    for n in sizes:
        best, worst = plan.asked(n)
        rows["a warm question"].append(milliseconds(best) if best == worst else f"{milliseconds(best)} to {milliseconds(worst)}")
        rows["of it, the arm of vectors"].append(milliseconds(plan.arm(n)))
        rows["questions a second of a machine (**assumed**: by its cores, or by what it reads of its memory)"].append(
            count(plan.questions(n))
        )
    return _by_size(sizes, rows)


def engines(plan: Plan, sizes: Sequence[float]) -> str:
    """An engine of many machines, by the index of its vectors."""
    rows: dict[str, list[str]] = {}
    kinds = {
        "HNSW": (plan.hnsw(), 0.0),
        "DISKANN": (plan.diskann_memory(), plan.diskann_disk()),
        "RaBitQ, no second comparison": (plan.rabitq_bytes, 0.0),
    }
    for name, (memory, disk) in kinds.items():
        for compact in (False, True):
            cells = []
            for n in sizes:
                held = n * plan.replicas * (memory + plan.words_in_memory())
                kept = n * plan.replicas * (disk + plan.bodies(compact=compact))
                machines = plan.machines(held, kept)
                cells.append(f"{size(held)} + {size(kept)}: {machines:,} machine{'s' if machines > 1 else ''}")
            rows[f"{name}{', compact' if compact else ''}: memory + disk"] = cells
    rows["segments that a question goes through"] = [count(plan.segments(n)) for n in sizes]
    rows["seconds of a core a question"] = [_digits(plan.segments(n) * plan.segment_seconds) for n in sizes]
    rows["cores for 100 questions a second"] = [count(100 * plan.segments(n) * plan.segment_seconds) for n in sizes]
    return _by_size(sizes, rows)


def year(plan: Plan, sizes: Sequence[float]) -> str:
    """What a year adds."""
    share = plan.yearly_growth + plan.yearly_change
    machine = 1 / plan.cpu_rate() / plan.machine_cores
    writer = plan.tokens() / plan.writer_tokens
    return _by_size(
        sizes,
        {
            "passages to encode": [count(n * share) for n in sizes],
            "a day": [count(n * share / 365) for n in sizes],
            "encoding alone, of a machine, a day": [hours(n * share / 365 * machine) for n in sizes],
            "encoding alone, of a GPU as measured, a day": [hours(n * share / 365 / plan.gpu_rate()) for n in sizes],
            "of the one process that cuts and writes, a day": [hours(n * share / 365 * writer) for n in sizes],
            "more on the disk (folder)": [size(n * plan.yearly_growth * plan.folder()) for n in sizes],
        },
    )


def numbers(sizes: Sequence[float]) -> str:
    """How often two passages of an engine would be one."""
    return _by_size(
        sizes,
        {"pairs of passages with one number, in the mean": [f"{collisions(n):.2g}" for n in sizes]},
    )


def tables(plan: Plan, sizes: Sequence[float] = SIZES) -> dict[str, str]:
    """All tables, as Markdown."""
    return {
        "figures": figures(plan),
        "passage": passage(plan),
        "storage": storage(plan, sizes),
        "encoding": encoding(plan, sizes),
        "asking": asking(plan, [n for n in sizes if n <= 2e7] or sizes[:1]),
        "engines": engines(plan, sizes),
        "year": year(plan, sizes),
        "numbers": numbers(sizes),
    }


def planned(given: Mapping[str, float] | None = None) -> Plan:
    """A plan of `FIGURES`, some of them yours.

    :raises ValueError: if there is no figure of a name, or it is not above 0.
    """
    own = dict(given or {})
    for name, value in own.items():
        if name not in FIGURES:
            raise ValueError(f"there is no figure {name!r}: there are {', '.join(FIGURES)}")
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} is a number above 0, not {value}")
    return Plan({name: figure.value for name, figure in FIGURES.items()} | own)


def _rows(file: Path) -> list[dict[str, Any]]:
    """Texts of passages, of up to some sixteen groups of the file, and the codes of their words where it has them."""
    from semsearch.errors import InputError, MissingExtra

    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra('Parquet files need pyarrow: python -m pip install "semsearch[parquet]"') from error
    wanted = "give a file that `semsearch export FILE.parquet` wrote"
    try:
        with pq.ParquetFile(file) as opened:
            columns = [name for name in ("text", "words") if name in opened.schema_arrow.names]
            groups = opened.num_row_groups
            read = list(range(0, groups, max(1, groups // 8)))
            found: list[dict[str, Any]] = opened.read_row_groups(read, columns=columns).to_pylist() if "text" in columns else []
    except FileNotFoundError as error:
        raise InputError(f"there is no {file}: {wanted}") from error
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{file} cannot be read as Parquet: {wanted}") from error
    # Any Parquet file may be given, with columns that are called so by chance.
    rows = [row for row in found if isinstance(row["text"], str) and row["text"].strip()]
    if not rows:
        raise InputError(f"there are no passages in {file}: {wanted}")
    return rows


def shape(file: Path, sample: int = 3000) -> dict[str, float]:
    """The figures of the passages that ``semsearch export`` wrote: words, and bytes, tokens, terms, codes a word.

    :raises SemsearchError: if the file cannot be read or has no passages, if pyarrow is not installed or there is no model.
    """
    import numpy as np

    from semsearch import encoder
    from semsearch.lexical import Analyzer

    found = _rows(file)
    rows = [found[place] for place in np.random.default_rng(0).choice(len(found), min(sample, len(found)), replace=False)]
    n_words = sum(len(row["text"].split()) for row in rows)
    analyzer = Analyzer("en")
    terms = [analyzer.terms(row["text"]) for row in rows]
    told = {
        "words": n_words / len(rows),
        "word_bytes": sum(len(row["text"].encode()) for row in rows) / n_words,
        "word_tokens": sum(encoder.load().count_tokens([row["text"] for row in rows])) / n_words,
        "word_terms": sum(len(set(each)) for each in terms) / n_words,
        "term_bytes": sum(len(" ".join(each).encode()) for each in terms) / n_words,
    }
    if all(isinstance(row.get("words"), bytes) for row in rows):
        told["word_codes"] = sum(len(row["words"]) / CODE_BYTES for row in rows) / n_words
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=float, action="append", metavar="N", help="in place of three sizes; may come again")
    parser.add_argument("--words", type=float, metavar="N", help="words of a passage")
    parser.add_argument("--encoder-rate", type=float, metavar="N", help="passages that a machine of yours encodes a second")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a figure of yours")
    parser.add_argument("--of", type=Path, metavar="FILE", help="print the figures of these passages, as --set of the next call")
    options = parser.parse_args()
    if options.of:
        _print_shape(parser, options.of)
        return
    try:
        plan = _given(options)
    except ValueError as error:
        parser.error(str(error))
    sizes = options.passages or SIZES
    if not all(1 <= n < 1e15 for n in sizes):
        parser.error("--passages is a number from 1 to 1e15")
    print("\n\n".join(f"## {name}\n\n{text}" for name, text in tables(plan, sizes).items()))


def _print_shape(parser: argparse.ArgumentParser, file: Path) -> None:
    # Not at the top: tables need no more than this file.
    from semsearch.errors import SemsearchError

    try:
        told = shape(file)
    except SemsearchError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    for name, value in told.items():
        print(f"--set {name}={value:.4g}")


def _given(options: argparse.Namespace) -> Plan:
    given: dict[str, float] = {}
    for each in options.set:
        name, _, value = each.partition("=")
        given[name] = float(value)
    if options.words:
        given["words"] = options.words
    plan = planned(given)
    if options.encoder_rate:
        # The whole machine's, spread over its cores.
        tokens = options.encoder_rate * plan.tokens() / plan.machine_cores * plan.cpu_cores
        plan = replace(plan, values={**plan.values, "cpu_tokens": tokens})
    return plan


if __name__ == "__main__":
    main()
