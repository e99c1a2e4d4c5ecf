"""`vectors` against numpy: the same rows, the same values, in the same order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch import signs
from semsearch import vectors as module
from semsearch.errors import IndexCorrupt
from semsearch.vectors import SEGMENT_SUFFIXES, Segment, search, segment_files

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


def segment(
    folder: Path, vectors: np.ndarray, first: int = 0, live: list[int] | None = None, tokens=None, sentences=None
) -> Segment:
    name = f"segment-{first}"
    write_segment(folder, name, vectors, tokens or codes(*[1] * len(vectors)), sentences or [ONE] * len(vectors))
    chosen = None if live is None else np.asarray(live, np.int64)
    return open_segment(folder, name, first, len(vectors), vectors.shape[1], chosen)


def write_segment(folder: Path, name: str, *arrays) -> None:
    for suffix, parts in segment_files(*arrays).items():
        (folder / f"{name}{suffix}").write_bytes(b"".join(bytes(part) for part in parts))


def open_segment(folder: Path, name: str, *facts) -> Segment:
    return Segment(name, {suffix: memoryview((folder / f"{name}{suffix}").read_bytes()) for suffix in SEGMENT_SUFFIXES}, *facts)


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
        patch.setattr("semsearch.vectors._FEW", few)
        results = search(segments, asked, k, allowed=allowed)
    for query, found in zip(asked, results, strict=True):
        rows, scores = brute_force(vectors, query, k, dead | (set(range(len(vectors))) - set(allowed.tolist())))
        assert found.rows.tolist() == rows
        assert found.scores == pytest.approx(scores, abs=1e-6)
        assert (found.rows.dtype, found.scores.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize("count", [1, 499, 500, 501, 1999, 2000])
def test_a_filter_over_a_large_segment(tmp_path, count):
    vectors, first = unit(2000, D), 7
    opened = segment(tmp_path, vectors, first=first, live=list(range(first, first + 2000, 2)) if count < 1999 else None)
    allowed = np.sort(np.random.default_rng(count).permutation(2000)[:count]) + first
    reachable = {int(row) for row in allowed if opened._live is None or (row - first) % 2 == 0}
    for query in unit(3, D, seed=9):
        (found,) = search([opened], query[None], 2000, allowed=allowed)
        assert set(found.rows.tolist()) == reachable
        (found,) = search([opened], query[None], 10, allowed=allowed)
        rows, _ = brute_force(vectors, query, 10, set(range(2000)) - {row - first for row in reachable})
        assert (found.rows - first).tolist() == rows


def test_a_search_without_filter_is_as_before_when_one_with_a_filter_ran(tmp_path):
    vectors = unit(100, D)
    opened = segment(tmp_path, vectors, live=[3, 8, 63, 64, 99])
    search([opened], vectors[:1], 100, allowed=np.asarray([8, 9]))
    (found,) = search([opened], vectors[:1], 100)
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
    opened = segment(tmp_path, vectors, first=7)
    back = opened.vectors(np.asarray([8, 26, 7]))
    assert back.dtype == np.float32
    assert np.array_equal(back, halved(vectors)[[1, 19, 0]])
    (found,) = search([opened], vectors[:1], 20)
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
def test_tokens_and_sentences_come_back_bit_by_bit(tmp_path_factory, rows, cut, seed):
    """Of any of several segments, in any order; and again out of what was written from them."""
    folder = tmp_path_factory.mktemp("s")
    tokens = codes(*(count for count, _ in rows), seed=seed)
    draw = np.random.default_rng(seed)
    sentences = [np.sort(draw.integers(0, count + 1, (number, 2)), axis=1).astype(np.int32) for count, number in rows]
    vectors = unit(len(rows), D)
    opened = [
        segment(folder, vectors[part], first, None, tokens[part], sentences[part])
        for part, first in ((slice(0, cut), 3), (slice(cut, None), 50))
        if len(vectors[part])
    ]
    numbers = [row for each in opened for row in range(each.first_row, each.first_row + each.n_rows)]
    order = draw.permutation(len(rows))
    asked = np.asarray(numbers, np.int64)[order]
    for found, place in zip(module.tokens(opened, asked), order, strict=True):
        assert (found.dtype, found.shape) == (np.uint8, tokens[place].shape)
        assert np.array_equal(found, tokens[place])
    for row, place in zip(asked.tolist(), order, strict=True):
        found = module.sentences(opened, row)
        assert (found.dtype, found.shape) == (np.int32, sentences[place].shape)
        assert np.array_equal(found, sentences[place])
    assert np.array_equal(module.take(opened, asked), vectors[order])
    kept = [module.sentences(opened, row) for row in numbers]
    again = segment(folder, vectors, 100, None, module.tokens(opened, np.asarray(numbers)), kept)
    for place in range(len(rows)):
        assert np.array_equal(again.tokens(place + 100), tokens[place])
        assert np.array_equal(again.sentences(place + 100), sentences[place])


def test_nothing_taken_is_nothing(tmp_path):
    opened = [segment(tmp_path, unit(3, D))]
    assert module.take(opened, np.empty(0, np.int64)).shape == (0, D)
    assert module.tokens(opened, np.empty(0, np.int64)) == []
    assert module.take([], np.empty(0, np.int64)).shape == (0, 0)


def test_segment_without_rows(tmp_path):
    opened = segment(tmp_path, np.empty((0, D), np.float32))
    rows, scores = opened.search(unit(2, D), 5)
    assert (rows.shape, scores.shape) == ((2, 0), (2, 0))
    assert opened.vectors(np.empty(0, np.int64)).shape == (0, D)


@pytest.mark.parametrize("name", ["with space", "Übersicht ж 中", "quote'\"#?%41"])
def test_folder_names_of_any_letters(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    vectors = unit(4, D)
    (found,) = search([segment(folder, vectors)], vectors[2:3], 1)
    assert found.rows.tolist() == [2]


@pytest.mark.parametrize("suffix", SEGMENT_SUFFIXES)
@pytest.mark.parametrize("length", [0, 1, 20, 127, -1])
def test_cut_files_are_corrupt(tmp_path, suffix, length):
    write_segment(tmp_path, "segment-a", unit(5, D), codes(2, 2, 2, 2, 2), [TWO] * 5)
    path = tmp_path / f"segment-a{suffix}"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(IndexCorrupt, match=r"segment-a .*: mend it with semsearch check --repair$"):
        open_segment(tmp_path, "segment-a", 0, 5, D, None)


@pytest.mark.parametrize("suffix", SEGMENT_SUFFIXES)
def test_foreign_files_are_corrupt(tmp_path, suffix):
    write_segment(tmp_path, "segment-a", unit(5, D), codes(2, 2, 2, 2, 2), [TWO] * 5)
    path = tmp_path / f"segment-a{suffix}"
    for content in (b"\0" * 500, b"PK\x03\x04" + b"x" * 300):
        path.write_bytes(content)
        with pytest.raises(IndexCorrupt):
            open_segment(tmp_path, "segment-a", 0, 5, D, None)


def test_other_arrays_than_expected_are_corrupt(tmp_path):
    import faiss

    def fresh() -> None:
        write_segment(tmp_path, "segment-a", unit(5, D), codes(2, 2, 2, 2, 2), [TWO] * 5)

    def opened() -> Segment:
        return open_segment(tmp_path, "segment-a", 0, 5, D, None)

    fresh()
    np.savez(tmp_path / "x.npz", a=np.arange(3))
    strange = [
        faiss.IndexFlatIP(D),
        faiss.IndexScalarQuantizer(D, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2),
        faiss.IndexScalarQuantizer(D, faiss.ScalarQuantizer.QT_bf16, faiss.METRIC_INNER_PRODUCT),
    ]
    for index in strange:
        index.add(unit(5, D))
    sizes = np.stack([np.arange(0, 12, 2)] * 3, axis=1)
    changes = [
        (".offsets.npy", sizes[:, 0]),
        (".offsets.npy", sizes[:5]),
        (".offsets.npy", sizes.astype(np.int32)),
        (".offsets.npy", sizes + 1),
        (".offsets.npy", np.int64(3)),
        (".tokens.npy", np.zeros((10, signs.WIDTH), np.int8)),
        (".tokens.npy", np.zeros((10, signs.WIDTH + 1), np.uint8)),
        (".tokens.npy", np.zeros((9, signs.WIDTH), np.uint8)),
        (".tokens.npy", np.zeros(10 * signs.WIDTH, np.uint8)),
        (".sentences.npy", np.zeros((10, 2), np.float32)),
        (".sentences.npy", np.zeros((11, 2), np.int32)),
        (".sentences.npy", np.zeros(10, np.int32)),
    ]
    for suffix, array in changes:
        fresh()
        np.save(tmp_path / f"segment-a{suffix}", array)
        with pytest.raises(IndexCorrupt):
            opened()
    for suffix in SEGMENT_SUFFIXES[1:]:
        fresh()
        (tmp_path / f"segment-a{suffix}").write_bytes((tmp_path / "x.npz").read_bytes())
        with pytest.raises(IndexCorrupt):
            opened()
    for index in strange:
        fresh()
        (tmp_path / "segment-a.faiss").write_bytes(faiss.serialize_index(index).tobytes())
        with pytest.raises(IndexCorrupt):
            opened()
    fresh()
    assert opened().n_rows == 5
    for n_rows, dimension in ((4, D), (6, D), (5, D + 1)):
        with pytest.raises(IndexCorrupt):
            open_segment(tmp_path, "segment-a", 0, n_rows, dimension, None)


def test_pickles_are_never_loaded(tmp_path):
    for suffix in SEGMENT_SUFFIXES[1:]:
        write_segment(tmp_path, "segment-a", unit(1, D), codes(1), [ONE])
        np.save(tmp_path / f"segment-a{suffix}", np.array([{}, {}], dtype=object), allow_pickle=True)
        with pytest.raises(IndexCorrupt):
            open_segment(tmp_path, "segment-a", 0, 1, D, None)


def test_offsets_that_run_backwards_are_corrupt(tmp_path):
    write_segment(tmp_path, "segment-a", unit(3, D), codes(2, 2, 2), [TWO] * 3)
    np.save(tmp_path / "segment-a.offsets.npy", np.asarray([[0, 0, 0], [99, 99, 0], [2, 2, 0], [6, 6, 0]]))
    opened = open_segment(tmp_path, "segment-a", 0, 3, D, None)
    for row in (0, 1):
        for read in (opened.tokens, opened.sentences):
            with pytest.raises(IndexCorrupt, match=r"mend it with semsearch check --repair$"):
                read(row)


@pytest.mark.parametrize("spans", [[[-1, 1]], [[1, 0]], [[0, 3]], [[3, 3]], [[0, 1], [0, 2**31 - 1]]])
def test_sentences_of_other_tokens_than_the_rows_are_corrupt(tmp_path, spans):
    opened = segment(tmp_path, unit(2, D), tokens=codes(2, 9), sentences=[np.asarray(spans, np.int32), ONE])
    with pytest.raises(IndexCorrupt, match="sentences of row 0 are not where they should be"):
        opened.sentences(0)
    assert opened.sentences(1).tolist() == [[0, 1]]


def test_files_are_as_faiss_writes_them(tmp_path):
    """The header is ours, the oracle is faiss."""
    import faiss

    vectors = unit(7, 384)
    index = faiss.IndexScalarQuantizer(384, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.add(vectors)
    write_segment(tmp_path, "segment-a", vectors, codes(*[1] * 7), [ONE] * 7)
    assert (tmp_path / "segment-a.faiss").read_bytes() == faiss.serialize_index(index).tobytes()
    for suffix, array in ((".tokens.npy", np.concatenate(codes(*[1] * 7))), (".sentences.npy", np.concatenate([ONE] * 7))):
        assert np.array_equal(np.load(tmp_path / f"segment-a{suffix}"), array)


@settings(derandomize=True, max_examples=60, deadline=None, database=None)
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7), suffix=st.sampled_from([".tokens.npy", ".sentences.npy"]))
def test_a_flipped_bit_is_told_by_the_row_that_has_it_and_by_no_other(tmp_path_factory, place, bit, suffix):
    folder = tmp_path_factory.mktemp("s")
    tokens = codes(3, 0, 2, 5)
    sentences = [ONE, np.empty((0, 2), np.int32), TWO, ONE]
    write_segment(folder, "segment-a", unit(4, D), tokens, sentences)
    path = folder / f"segment-a{suffix}"
    data = bytearray(path.read_bytes())
    head = len(np.lib.format.magic(1, 0)) + 2 + int.from_bytes(data[8:10], "little")
    at = head + place % (len(data) - head)
    data[at] ^= 1 << bit
    path.write_bytes(data)
    width = signs.WIDTH if suffix == ".tokens.npy" else 8
    sizes = [len(part) for part in (tokens if suffix == ".tokens.npy" else sentences)]
    hit = int(np.searchsorted(np.cumsum(sizes), (at - head) // width, side="right"))
    opened = open_segment(folder, "segment-a", 0, 4, D, None)
    for row in range(4):
        if row == hit:
            with pytest.raises(IndexCorrupt, match=f"row {row} are not what was written"):
                opened.tokens(row)
        else:
            assert np.array_equal(opened.tokens(row), tokens[row])
            assert np.array_equal(opened.sentences(row), sentences[row])


@pytest.mark.parametrize("n_rows", [-1, 2**40, 2**62, 2**70])
def test_counts_that_no_file_can_have_are_corrupt_before_anything_is_made_room_for(tmp_path, n_rows):
    write_segment(tmp_path, "segment-a", unit(2, D), codes(1, 1), [ONE] * 2)
    with pytest.raises(IndexCorrupt):
        open_segment(tmp_path, "segment-a", 0, n_rows, D, None)
    with pytest.raises(IndexCorrupt):
        open_segment(tmp_path, "segment-a", 0, 2, n_rows, None)
