"""`vectors` against numpy: the same rows, the same values, in the same order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch.errors import IndexCorrupt
from semsearch.vectors import SEGMENT_SUFFIXES, Segment, search, write_segment

D = 8


def unit(*shape: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def segment(folder: Path, vectors: np.ndarray, first: int = 0, live: list[int] | None = None, sentences=None) -> Segment:
    name = f"segment-{first}"
    if sentences is None:
        sentences = [vectors[i : i + 1] for i in range(len(vectors))]
    write_segment(folder, name, vectors, sentences)
    chosen = None if live is None else np.asarray(live, np.int64)
    return Segment(folder, name, first, len(vectors), vectors.shape[1], chosen)


def brute_force(vectors: np.ndarray, query: np.ndarray, k: int, dead: set[int]) -> tuple[list[int], list[float]]:
    scores = (vectors.astype(np.float64) * query).sum(axis=1)
    order = [row for row in np.lexsort((np.arange(len(scores)), -scores)).tolist() if row not in dead][:k]
    return order, [scores[row] for row in order]


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
    segments, first = [], 0
    for size in sizes:
        rows = range(first, first + size)
        live = [row for row in rows if row not in dead] if masked else None
        segments.append(segment(folder, vectors[first : first + size], first, live))
        first += size
    for query, found in zip(asked, search(segments, asked, k), strict=True):
        rows, scores = brute_force(vectors, query, k, dead)
        assert found.rows.tolist() == rows
        assert found.scores == pytest.approx(scores, abs=1e-6)
        assert (found.rows.dtype, found.scores.dtype) == (np.int64, np.float32)


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
    assert found.scores == pytest.approx(np.ones(8), abs=1e-6)


def test_mask_beyond_one_byte(tmp_path):
    vectors = unit(100, D)
    live = [3, 8, 63, 64, 99]
    (found,) = search([segment(tmp_path, vectors, live=live)], vectors[:1], 100)
    assert sorted(found.rows.tolist()) == live


def test_vectors_come_back_as_they_were(tmp_path):
    vectors = unit(20, D)
    back = segment(tmp_path, vectors, first=7).vectors(np.asarray([8, 26, 7]))
    assert back.dtype == np.float32
    assert np.array_equal(back, vectors[[1, 19, 0]])


@settings(derandomize=True, max_examples=40, deadline=None, database=None)
@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=6), seed=st.integers(0, 2**31))
def test_sentences_keep_their_direction_and_unit_length(tmp_path_factory, counts, seed):
    sentences = [unit(count, 384, seed=seed + i) for i, count in enumerate(counts)]
    opened = segment(tmp_path_factory.mktemp("s"), unit(len(counts), 384), first=3, sentences=sentences)
    for row, expected in enumerate(sentences, 3):
        found = opened.sentences(row)
        assert (found.shape, found.dtype) == (expected.shape, np.float32)
        assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(len(found)), abs=1e-6)
        assert (found * expected).sum(axis=1) == pytest.approx(np.ones(len(found)), abs=2e-4)


def test_sentences_are_stored_again_without_loss(tmp_path):
    sentences = [unit(3, 384), unit(0, 384), unit(2, 384, seed=1)]
    first = segment(tmp_path, unit(3, 384), first=0, sentences=sentences)
    again = [first.sentences(row) for row in range(3)]
    second = segment(tmp_path, unit(3, 384), first=3, sentences=again)
    for row in range(3):
        assert np.array_equal(second.sentences(row + 3), again[row])


def test_zero_sentence_vector_stays_finite(tmp_path):
    opened = segment(tmp_path, unit(1, D), sentences=[np.zeros((1, D), np.float32)])
    assert np.array_equal(opened.sentences(0), np.zeros((1, D), np.float32))


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
    write_segment(tmp_path, "segment-a", unit(5, D), [unit(2, D)] * 5)
    path = tmp_path / f"segment-a{suffix}"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(IndexCorrupt, match=r"segment-a .*: remove the index and index the articles again$"):
        Segment(tmp_path, "segment-a", 0, 5, D, None)


@pytest.mark.parametrize("suffix", SEGMENT_SUFFIXES)
def test_missing_and_foreign_files_are_corrupt(tmp_path, suffix):
    write_segment(tmp_path, "segment-a", unit(5, D), [unit(2, D)] * 5)
    path = tmp_path / f"segment-a{suffix}"
    for content in (b"\0" * 500, b"PK\x03\x04" + b"x" * 300, None):
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(IndexCorrupt):
            Segment(tmp_path, "segment-a", 0, 5, D, None)


def test_other_arrays_than_expected_are_corrupt(tmp_path):
    import faiss

    def fresh() -> None:
        write_segment(tmp_path, "segment-a", unit(5, D), [unit(2, D)] * 5)

    def opened() -> Segment:
        return Segment(tmp_path, "segment-a", 0, 5, D, None)

    fresh()
    np.savez(tmp_path / "x.npz", a=np.arange(3))
    squared = faiss.IndexFlatL2(D)
    squared.add(unit(5, D))
    changes = [
        (".offsets.npy", np.arange(7)),
        (".offsets.npy", np.arange(6, dtype=np.int32)),
        (".offsets.npy", np.arange(6)),
        (".offsets.npy", np.int64(3)),
        (".sentences.npy", np.zeros((10, D), np.float32)),
        (".sentences.npy", np.zeros((10, D + 1), np.int8)),
        (".sentences.npy", np.zeros(10, np.int8)),
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
    fresh()
    (tmp_path / "segment-a.faiss").write_bytes(faiss.serialize_index(squared).tobytes())
    with pytest.raises(IndexCorrupt):
        opened()
    fresh()
    assert opened().n_rows == 5
    for n_rows, dimension in ((4, D), (6, D), (5, D + 1)):
        with pytest.raises(IndexCorrupt):
            Segment(tmp_path, "segment-a", 0, n_rows, dimension, None)


def test_pickles_are_never_loaded(tmp_path):
    write_segment(tmp_path, "segment-a", unit(1, D), [unit(1, D)])
    np.save(tmp_path / "segment-a.offsets.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(IndexCorrupt):
        Segment(tmp_path, "segment-a", 0, 1, D, None)


def test_offsets_that_run_backwards_are_corrupt(tmp_path):
    write_segment(tmp_path, "segment-a", unit(3, D), [unit(2, D)] * 3)
    np.save(tmp_path / "segment-a.offsets.npy", np.asarray([0, 99, 2, 6]))
    opened = Segment(tmp_path, "segment-a", 0, 3, D, None)
    for row in (0, 1):
        with pytest.raises(IndexCorrupt):
            opened.sentences(row)
