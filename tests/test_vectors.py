"""`vectors` against numpy: the same rows, the same values, in the same order."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch import signs
from semsearch.errors import IndexCorrupt
from semsearch.protocols import Found
from semsearch.vectors import SEGMENT_SUFFIX, Segment, Vectors, measure, opened, scan, segment_file
from semsearch.vectors.segment import _FAISS_HEADER, _PARTS

D = 8
ONE = np.asarray([[0, 1]], np.int32)
"""One sentence, of one token."""
TWO = np.asarray([[0, 1], [1, 2]], np.int32)


def unit(*shape: int, seed: int = 0) -> np.ndarray:
    """Unit vectors that half precision has room for."""
    rows = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return halved(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def halved(rows: np.ndarray) -> np.ndarray:
    return rows.astype(np.float16).astype(np.float32)


def codes(*counts: int, seed: int = 0) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.integers(0, 256, (count, signs.WIDTH), np.uint8) for count in counts]


def name_of(first: int) -> str:
    return f"segment-{first:016x}"


def segment(
    folder: Path, vectors: np.ndarray, first: int = 0, live: list[int] | None = None, words=None, sentences=None
) -> Segment:
    name = name_of(first)
    write_segment(folder, name, vectors, words or codes(*[1] * len(vectors)), sentences or [ONE] * len(vectors))
    chosen = None if live is None else np.asarray(live, np.int64)
    return open_segment(folder, name, first, len(vectors), vectors.shape[1], chosen)


def write_segment(folder: Path, name: str, *arrays) -> Path:
    path = folder / f"{name}{SEGMENT_SUFFIX}"
    path.write_bytes(b"".join(map(bytes, segment_file(name, *arrays))))
    return path


def open_segment(folder: Path, name: str, *facts) -> Segment:
    return Segment(name, memoryview((folder / f"{name}{SEGMENT_SUFFIX}").read_bytes()), *facts)


def search(segments: list[Segment], queries: np.ndarray, k: int, **options) -> list[Found]:
    return Vectors(segments, queries.shape[1], options.pop("depth", None)).search(queries, k, **options)


def brute_force(vectors: np.ndarray, query: np.ndarray, k: int, dead: set[int]) -> tuple[list[int], list[float]]:
    scores = (vectors.astype(np.float64) * query).sum(axis=1)
    order = [row for row in np.lexsort((np.arange(len(scores)), -scores)).tolist() if row not in dead][:k]
    return order, [scores[row] for row in order]


def several(folder: Path, vectors: np.ndarray, sizes: list[int], dead: set[int] | None) -> list[Segment]:
    segments, first = [], 0
    for size in sizes:
        live = None if dead is None else [row for row in range(first, first + size) if row not in dead]
        segments.append(segment(folder, vectors[first : first + size], first, live))
        first += size
    return segments


@settings(derandomize=True, max_examples=60, deadline=None, database=None)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    k=st.integers(1, 12),
    seed=st.integers(0, 2**31),
    masked=st.booleans(),
    queries=st.sampled_from([1, 2, 25]),
)
def test_search_equals_brute_force_over_several_segments(tmp_path_factory, sizes, k, seed, masked, queries):
    folder = tmp_path_factory.mktemp("segments")
    vectors, asked = unit(sum(sizes), D, seed=seed), unit(queries, D, seed=seed + 1)
    dead = set(np.flatnonzero(np.random.default_rng(seed).random(len(vectors)) < 0.4).tolist()) if masked else set()
    segments = several(folder, vectors, sizes, dead if masked else None)
    for query, found in zip(asked, search(segments, asked, k), strict=True):
        rows, scores = brute_force(vectors, query, k, dead)
        assert found.rows.tolist() == rows
        assert found.scores == pytest.approx(scores, abs=1e-6)
        assert (found.rows.dtype, found.scores.dtype) == (np.int64, np.float32)


@settings(derandomize=True, max_examples=100, deadline=None, database=None)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    k=st.integers(1, 40),
    seed=st.integers(0, 2**31),
    masked=st.booleans(),
    share=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    few=st.sampled_from([0, 3, 500]),
    queries=st.sampled_from([1, 2, 25]),
)
def test_nothing_is_lost_to_a_filter_and_nothing_else_comes(tmp_path_factory, sizes, k, seed, masked, share, few, queries):
    """Whether allowed rows are multiplied or faiss passes over the others."""
    vectors, asked = unit(sum(sizes), D, seed=seed), unit(queries, D, seed=seed + 1)
    draw = np.random.default_rng(seed)
    dead = set(np.flatnonzero(draw.random(len(vectors)) < 0.4).tolist()) if masked else set()
    # Rows of no segment may be named, too.
    allowed = np.flatnonzero(draw.random(len(vectors) + 5) < share)
    segments = several(tmp_path_factory.mktemp("segments"), vectors, sizes, dead if masked else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opened, "_FEW", few)
        results = search(segments, asked, k, allowed=allowed)
    for query, found in zip(asked, results, strict=True):
        rows, scores = brute_force(vectors, query, k, dead | (set(range(len(vectors))) - set(allowed.tolist())))
        assert found.rows.tolist() == rows
        assert found.scores == pytest.approx(scores, abs=1e-6)
        assert (found.rows.dtype, found.scores.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize("count", [1, 499, 500, 501, 1999, 2000])
def test_a_filter_over_a_large_segment(tmp_path, count):
    vectors, first = unit(2000, D), 7
    large = segment(tmp_path, vectors, first=first, live=list(range(first, first + 2000, 2)) if count < 1999 else None)
    allowed = np.sort(np.random.default_rng(count).permutation(2000)[:count]) + first
    reachable = {int(row) for row in allowed if large.live is None or (row - first) % 2 == 0}
    for query in unit(3, D, seed=9):
        (found,) = search([large], query[None], 2000, allowed=allowed)
        assert set(found.rows.tolist()) == reachable
        (found,) = search([large], query[None], 10, allowed=allowed)
        rows, _ = brute_force(vectors, query, 10, set(range(2000)) - {row - first for row in reachable})
        assert (found.rows - first).tolist() == rows


def test_a_search_without_filter_is_as_before_when_one_with_a_filter_ran(tmp_path):
    vectors = unit(100, D)
    small = segment(tmp_path, vectors, live=[3, 8, 63, 64, 99])
    search([small], vectors[:1], 100, allowed=np.asarray([8, 9]))
    (found,) = search([small], vectors[:1], 100)
    assert sorted(found.rows.tolist()) == [3, 8, 63, 64, 99]


def test_fewer_rows_than_k_come_back_without_padding(tmp_path):
    vectors = np.eye(D, dtype=np.float32)[:3]
    (found,) = search([segment(tmp_path, vectors, first=5, live=[6])], vectors[:1], 10)
    assert (found.rows.tolist(), found.scores.tolist()) == ([6], [0.0])


def test_no_row_alive_and_no_segment_give_nothing(tmp_path):
    vectors = np.eye(D, dtype=np.float32)
    for segments in ([segment(tmp_path, vectors, live=[])], []):
        found = search(segments, vectors[:2], 3)
        assert [len(each.rows) for each in found] == [0, 0]


def test_ties_come_in_the_order_of_rows(tmp_path):
    same = np.repeat(unit(1, D), 4, axis=0)
    segments = [segment(tmp_path, same, first=10), segment(tmp_path, same, first=0)]
    (found,) = search(segments, same[:1], 8)
    assert found.rows.tolist() == [0, 1, 2, 3, 10, 11, 12, 13]
    assert found.scores == pytest.approx(np.full(8, same[0] @ same[0]), abs=1e-6)


def test_mask_beyond_one_byte(tmp_path):
    vectors = unit(100, D)
    live = [3, 8, 63, 64, 99]
    (found,) = search([segment(tmp_path, vectors, live=live)], vectors[:1], 100)
    assert sorted(found.rows.tolist()) == live


def test_vectors_come_back_in_half_precision(tmp_path):
    vectors = np.random.default_rng(3).standard_normal((20, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    halves = segment(tmp_path, vectors, first=7)
    back = halves.vectors(np.asarray([8, 26, 7]))
    assert back.dtype == np.float32
    assert np.array_equal(back, halved(vectors)[[1, 19, 0]])
    (found,) = search([halves], vectors[:1], 20)
    assert found.scores == pytest.approx(np.sort(vectors @ vectors[0])[::-1], abs=5e-5)


def test_written_anew_vectors_stay_what_they_are(tmp_path):
    first = segment(tmp_path, np.random.default_rng(4).standard_normal((9, D)).astype(np.float32)).vectors(np.arange(9))
    assert np.array_equal(segment(tmp_path, first, first=9).vectors(np.arange(9, 18)), first)


@settings(derandomize=True, max_examples=40, deadline=None, database=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=9),
    cut=st.integers(0, 9),
    seed=st.integers(0, 99),
)
def test_words_and_sentences_come_back_bit_by_bit(tmp_path_factory, rows, cut, seed):
    """Of any of several segments, in any order; and again out of what was written from them."""
    folder = tmp_path_factory.mktemp("s")
    words = codes(*(count for count, _ in rows), seed=seed)
    draw = np.random.default_rng(seed)
    sentences = [np.sort(draw.integers(0, count + 1, (number, 2)), axis=1).astype(np.int32) for count, number in rows]
    vectors = unit(len(rows), D)
    parts = [
        segment(folder, vectors[part], first, None, words[part], sentences[part])
        for part, first in ((slice(0, cut), 3), (slice(cut, None), 50))
        if len(vectors[part])
    ]
    whole = Vectors(parts, D)
    numbers = [row for each in parts for row in range(each.first_row, each.first_row + each.n_rows)]
    order = draw.permutation(len(rows))
    asked = np.asarray(numbers, np.int64)[order]
    for found, place in zip(whole.words(asked), order, strict=True):
        assert (found.dtype, found.shape) == (np.uint8, words[place].shape)
        assert np.array_equal(found, words[place])
    for row, place in zip(asked.tolist(), order, strict=True):
        found = whole.sentences(row)
        assert (found.dtype, found.shape) == (np.int32, sentences[place].shape)
        assert np.array_equal(found, sentences[place])
    assert np.array_equal(whole.take(asked), vectors[order])
    kept = [whole.sentences(row) for row in numbers]
    again = segment(folder, vectors, 100, None, whole.words(np.asarray(numbers)), kept)
    again.check()
    for place in range(len(rows)):
        assert np.array_equal(again.words(place + 100), words[place])
        assert np.array_equal(again.sentences(place + 100), sentences[place])


def test_nothing_taken_is_nothing(tmp_path):
    whole = Vectors([segment(tmp_path, unit(3, D))], D)
    assert whole.take(np.empty(0, np.int64)).shape == (0, D)
    assert whole.words(np.empty(0, np.int64)) == []
    assert Vectors([], D).take(np.empty(0, np.int64)).shape == (0, D)
    with pytest.raises(IndexCorrupt, match="in no file"):
        whole.take(np.asarray([3]))


def test_segment_without_rows(tmp_path):
    empty = segment(tmp_path, np.empty((0, D), np.float32))
    rows, scores = empty.search(unit(2, D), 5)
    assert (rows.shape, scores.shape) == ((2, 0), (2, 0))
    assert empty.vectors(np.empty(0, np.int64)).shape == (0, D)


@pytest.mark.parametrize("name", ["with space", "Übersicht ж 中", "quote'\"#?%41"])
def test_folder_names_of_any_letters(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    vectors = unit(4, D)
    (found,) = search([segment(folder, vectors)], vectors[2:3], 1)
    assert found.rows.tolist() == [2]


NAME = name_of(10)


@pytest.mark.parametrize("length", [0, 1, 20, 127, 300, -1])
def test_cut_files_are_corrupt(tmp_path, length):
    path = write_segment(tmp_path, NAME, unit(5, D), codes(2, 2, 2, 2, 2), [TWO] * 5)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(IndexCorrupt, match=rf"{NAME} .*: mend it with semsearch check --repair$"):
        open_segment(tmp_path, NAME, 0, 5, D, None)


def test_foreign_files_are_corrupt(tmp_path):
    import faiss

    path = write_segment(tmp_path, NAME, unit(5, D), codes(2, 2, 2, 2, 2), [TWO] * 5)
    whole = path.read_bytes()
    flat = faiss.IndexFlatIP(D)
    flat.add(unit(5, D))
    pickled = np.array([{}, {}], dtype=object)
    np.save(tmp_path / "pickled.npy", pickled, allow_pickle=True)
    others = [
        b"\0" * 500,
        b"PK\x03\x04" + b"x" * 300,
        faiss.serialize_index(flat).tobytes(),
        (tmp_path / "pickled.npy").read_bytes(),
        whole + b"\0",
        b"\0" + whole,
        b"".join(map(bytes, segment_file(name_of(11), unit(5, D), codes(2, 2, 2, 2, 2), [TWO] * 5))),
    ]
    for content in others:
        path.write_bytes(content)
        with pytest.raises(IndexCorrupt):
            open_segment(tmp_path, NAME, 0, 5, D, None)
    path.write_bytes(whole)
    open_segment(tmp_path, NAME, 0, 5, D, None).check()
    for n_rows, dimension in ((4, D), (6, D), (5, D + 1)):
        with pytest.raises(IndexCorrupt):
            open_segment(tmp_path, NAME, 0, n_rows, dimension, None)


def test_offsets_that_run_backwards_are_corrupt(tmp_path):
    path = write_segment(tmp_path, NAME, unit(3, D), codes(2, 2, 2), [TWO] * 3)
    data = path.read_bytes()
    right = np.asarray([[0, 0], [2, 2], [4, 4], [6, 6]], "<u4").tobytes()
    wrong = np.asarray([[0, 0], [99, 99], [2, 2], [6, 6]], "<u4").tobytes()
    assert data.count(right) == 1
    path.write_bytes(data.replace(right, wrong))
    torn = open_segment(tmp_path, NAME, 0, 3, D, None)
    for row in (0, 1):
        for read in (torn.words, torn.sentences):
            with pytest.raises(IndexCorrupt, match=r"mend it with semsearch check --repair$"):
                read(row)


@pytest.mark.parametrize("spans", [[[-1, 1]], [[1, 0]], [[0, 3]], [[3, 3]], [[0, 1], [0, 2**31 - 1]]])
def test_sentences_of_other_words_than_the_rows_are_corrupt(tmp_path, spans):
    strange = segment(tmp_path, unit(2, D), words=codes(2, 9), sentences=[np.asarray(spans, np.int32), ONE])
    with pytest.raises(IndexCorrupt, match="sentences of row 0 are not where they should be"):
        strange.sentences(0)
    assert strange.sentences(1).tolist() == [[0, 1]]


def test_vectors_are_as_faiss_writes_them(tmp_path):
    """The header is ours, the oracle is faiss."""
    import faiss

    vectors = unit(7, 384)
    index = faiss.IndexScalarQuantizer(384, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.add(vectors)
    assert bytes(segment(tmp_path, vectors).verified("vectors")) == faiss.serialize_index(index).tobytes()


@settings(derandomize=True, max_examples=150, deadline=None, database=None)
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7), depth=st.sampled_from([None, 4]))
def test_a_flipped_bit_is_told_by_what_reads_it(tmp_path_factory, place, bit, depth):
    """Wherever it is: what is read is what was written, or refused."""
    folder = tmp_path_factory.mktemp("s")
    vectors, words = unit(4, D), codes(3, 0, 2, 5)
    sentences = [ONE, np.empty((0, 2), np.int32), TWO, ONE]
    path = write_segment(folder, NAME, vectors, words, sentences)
    data = bytearray(path.read_bytes())
    at = place % len(data)
    data[at] ^= 1 << bit
    path.write_bytes(data)
    try:
        torn = open_segment(folder, NAME, 0, 4, D, None)
    except IndexCorrupt:
        return
    told = 0
    messages: list[str] = []
    expected = [(torn.words, words), (torn.sentences, sentences), (lambda row: torn.vectors(np.asarray([row]))[0], vectors)]
    for read, values in expected:
        for row in range(4):
            try:
                assert np.array_equal(read(row), values[row])
            except IndexCorrupt as error:
                told += 1
                messages.append(str(error))
        assert all(re.search(r" row \d ", message) for message in messages)
    try:
        (found,) = Vectors([torn], D, depth).search(vectors[:1], 4)
        assert found.rows.tolist() == brute_force(vectors, vectors[0], 4, set())[0]
    except IndexCorrupt:
        told += 1
    with pytest.raises(IndexCorrupt):
        torn.check()
    # What no row has is read by nobody.
    parts, start = {}, 0
    for part in _PARTS:
        parts[part] = range(start, start + len(torn._parts[part]))
        start += len(torn._parts[part])
    header = range(parts["vectors"].start, parts["vectors"].start + _FAISS_HEADER.size)
    assert told or at in header or (depth is None and at in parts["scan"])


@pytest.mark.parametrize("n_rows", [-1, 2**40, 2**62, 2**70])
def test_counts_that_no_file_can_have_are_corrupt_before_anything_is_made_room_for(tmp_path, n_rows):
    write_segment(tmp_path, NAME, unit(2, D), codes(1, 1), [ONE] * 2)
    with pytest.raises(IndexCorrupt):
        open_segment(tmp_path, NAME, 0, n_rows, D, None)
    with pytest.raises(IndexCorrupt):
        open_segment(tmp_path, NAME, 0, 2, n_rows, None)


# Rows picked by their codes.


def real_like(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Unit vectors that differ more in some directions than in others, as those of texts do."""
    draw = np.random.default_rng(seed)
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((d, d)))[0]
    rows = draw.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.8 @ directions
    return halved((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


@settings(derandomize=True, max_examples=80, deadline=None, database=None)
@given(
    sizes=st.lists(st.integers(0, 70), min_size=1, max_size=4),
    dimension=st.sampled_from([3, 8, 11, 100, 384]),
    k=st.integers(1, 12),
    seed=st.integers(0, 2**31),
    masked=st.booleans(),
    share=st.sampled_from([None, 0.0, 0.03, 0.5, 1.0]),
    queries=st.sampled_from([1, 3]),
)
def test_rows_that_are_all_picked_are_as_if_all_were_multiplied(
    tmp_path_factory, sizes, dimension, k, seed, masked, share, queries
):
    vectors, asked = unit(sum(sizes), dimension, seed=seed), unit(queries, dimension, seed=seed + 1)
    draw = np.random.default_rng(seed)
    dead = set(np.flatnonzero(draw.random(len(vectors)) < 0.4).tolist()) if masked else set()
    allowed = None if share is None else np.flatnonzero(draw.random(len(vectors) + 5) < share)
    segments = several(tmp_path_factory.mktemp("s"), vectors, sizes, dead if masked else None)
    exact = search(segments, asked, k, allowed=allowed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opened, "_FEW", 0)
        patch.setattr(opened, "_SPREAD", 10**6)
        picked = search(segments, asked, k, allowed=allowed, depth=300)
    for one, other in zip(exact, picked, strict=True):
        assert other.rows.tolist() == one.rows.tolist()
        assert other.scores == pytest.approx(one.scores, abs=1e-6)
        assert (other.rows.dtype, other.scores.dtype) == (np.int64, np.float32)


def recall_of(exact: list[Found], found: list[Found]) -> float:
    return float(np.mean([len(set(a.rows) & set(b.rows)) / len(a.rows) for a, b in zip(exact, found, strict=True)]))


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> list[Segment]:
    folder = tmp_path_factory.mktemp("large")
    vectors = real_like(20_000, 384)
    return several(folder, vectors, [8000, 37, 8000, 3963], None)


@pytest.mark.parametrize("share", [None, 0.9, 0.3, 0.11, 0.02])
def test_codes_pick_what_is_near_whatever_a_filter_leaves(large, share):
    queries = real_like(60, 384, seed=5)
    draw = np.random.default_rng(1)
    allowed = None if share is None else np.flatnonzero(draw.random(20_000) < share)
    exact = search(large, queries, 10, allowed=allowed)
    assert recall_of(exact, search(large, queries, 10, allowed=allowed, depth=200)) >= 0.98
    for one, other in zip(exact, search(large, queries, 10, allowed=allowed, depth=200), strict=True):
        assert other.scores.tolist() == sorted(other.scores.tolist(), reverse=True)
        assert len(other.rows) == len(one.rows)


def test_a_filter_that_leaves_only_what_is_far_misses_nothing_near(large):
    """What is allowed is rarer near the question than elsewhere."""
    query = real_like(1, 384, seed=7)
    (order,) = search(large, query, 20_000)
    allowed = np.sort(order.rows[5000:])
    (found,) = search(large, query, 10, allowed=allowed, depth=200)
    assert found.rows.tolist() == order.rows[5000:5010].tolist()


def test_dead_rows_are_not_in_the_way(tmp_path):
    vectors = real_like(3000, 384)
    query = vectors[0]
    nearest = np.argsort(-(vectors @ query))
    dead = set(nearest[:1200].tolist())
    segments = several(tmp_path, vectors, [2000, 1000], dead)
    (found,) = search(segments, query[None], 10, depth=200)
    assert not set(found.rows.tolist()) & dead
    assert len(set(found.rows) & set(nearest[1200:1210])) >= 8


def test_the_recall_that_was_asked_for_is_measured_and_met(large):
    whole = Vectors(large, 384)
    asked, others = real_like(200, 384, seed=5), real_like(200, 384, seed=6)
    recall = measure(whole, asked, 0.98)
    assert (recall.target, recall.n_rows, recall.n_queries, recall.k) == (0.98, 20_000, 200, 10)
    assert recall.depth is not None
    assert recall.recall > 0.98
    exact = whole.search(others, 10)
    assert recall_of(exact, Vectors(large, 384, recall.depth).search(others, 10)) >= 0.98
    # More is picked where more is asked for; where no depth is sure to give it, all rows are multiplied.
    assert (measure(whole, asked, 0.9999).depth or 10**9) >= recall.depth
    assert measure(whole, asked, 1.01).depth is None


def test_codes_are_the_nearest_points_of_the_turned_vector():
    """By the written formula: for each four numbers the nearest of 16 points; the scan ranks by what they add up to."""
    vectors, queries = real_like(64, 48), real_like(5, 48, seed=3)
    turned = vectors @ signs.rotation(48) * np.sqrt(48)
    distances = ((turned.reshape(64, 12, 1, 4) - scan._POINTS) ** 2).sum(axis=3)
    nearest = scan._POINTS[distances.argmin(axis=2)].reshape(64, 48)
    whole = scan.Scan(48, [(100, 64, scan.codes(vectors))])
    for query, rows in zip(queries, whole.search(queries, 64), strict=True):
        estimates = nearest @ (query @ signs.rotation(48))
        assert sorted(rows.tolist()) == list(range(100, 164))
        # Faiss rounds its tables to eight bits.
        in_order = estimates[rows - 100]
        assert (np.maximum.accumulate(in_order[::-1])[::-1] - in_order).max() < 0.05 * np.ptp(estimates)


def test_codes_never_change():
    """They lie in indexes out there."""
    import hashlib

    vectors = ((np.arange(96 * 40, dtype=np.int64) * 7919 % 1009) - 504).reshape(40, 96).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    codes = scan.codes(vectors)
    assert (codes.dtype, codes.shape) == (np.uint8, (scan.size(40, 96),))
    assert hashlib.sha256(codes.tobytes()).hexdigest()[:16] == "dd5e8e0e1ffa3c1a"
    assert scan.codes(vectors[:0]).shape == (0,)
