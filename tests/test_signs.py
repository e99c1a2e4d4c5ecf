"""Codes of vectors against numpy's cosines; and that they never change, for indexes live long."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch import signs

DIMENSIONS = [8, 11, 32, 100, 128, 256, 384, 768, 1000, 1024]


def unit(*shape: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def pairs(dimension: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of unit vectors, 500 at each of five cosines."""
    cosines = np.repeat(np.asarray([-1.0, -0.4, 0.0, 0.6, 1.0], np.float32), 500)[:, None]
    one, other = unit(len(cosines), dimension, seed=seed), unit(len(cosines), dimension, seed=seed + 1)
    other -= (one * other).sum(axis=1, keepdims=True) * one
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    return one, cosines * one + np.sqrt(1 - cosines**2) * other, cosines[:, 0]


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_estimates_are_cosines_within_their_error(dimension):
    one, other, cosines = pairs(dimension)
    codes = signs.pack(other)
    estimates = np.concatenate(
        [signs.similarities(signs.turned(row[None]), code[None])[0] for row, code in zip(one, codes, strict=True)]
    )
    # The mean of a coordinate of a unit vector, without its sign, is a little more than is reckoned with: by 1 / 4d.
    errors = estimates - cosines * (1 + 1 / (4 * dimension))
    assert (one * other).sum(axis=1) == pytest.approx(cosines, abs=1e-5)
    # One in three is off by more than 0.07 to 0.09, none by five times that.
    assert np.sqrt((errors**2).mean()) < 0.09
    assert np.abs(errors).max() < 0.42
    for cosine in np.unique(cosines):
        assert abs(errors[cosines == cosine].mean()) < 0.01
    # A vector is surely nearer to itself than to one at right angles.
    assert estimates[cosines == 1].min() > 0.6
    assert np.abs(estimates[cosines == 0]).max() < 0.42


@settings(derandomize=True, max_examples=40, deadline=None, database=None)
@given(
    dimension=st.integers(2, 400),
    queries=st.integers(0, 5),
    count=st.integers(0, 70),
    block=st.sampled_from([1, 7, 8192]),
    seed=st.integers(0, 9),
)
def test_similarities_are_the_products_with_signs(dimension, queries, count, block, seed):
    """The written formula, one pair at a time, however many codes are unpacked at once."""
    asked, vectors = unit(queries, dimension, seed=seed), unit(count, dimension, seed=seed + 1)
    codes = signs.pack(vectors)
    assert (codes.shape, codes.dtype) == ((count, signs.WIDTH), np.uint8)
    directions = signs._matrix(dimension)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signs, "_BLOCK", block)
        found = signs.similarities(signs.turned(asked), codes)
    assert (found.shape, found.dtype) == ((queries, count), np.float32)
    plus_minus = np.where(vectors @ directions > 0, 1, -1)
    expected = np.sqrt(np.pi * dimension / 2) / signs.BITS * (asked @ directions) @ plus_minus.T
    assert found == pytest.approx(expected, abs=2e-4)
    # Only directions count.
    assert np.array_equal(signs.pack(4 * vectors), codes)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_the_rotation_keeps_lengths_and_angles(dimension):
    rows = 3 * unit(20, dimension)
    for number in range(3):
        turned = signs._rotated(rows, number)
        assert turned @ turned.T == pytest.approx(rows @ rows.T, abs=1e-4)
    # Several rotations are several.
    assert not np.allclose(signs._rotated(rows, 0), signs._rotated(rows, 1))
    for size in (1, 2, 64):
        assert signs._hadamard(size) @ signs._hadamard(size) == pytest.approx(np.eye(size), abs=1e-6)


def test_questions_are_not_rounded_and_not_changed():
    asked = unit(3, 384)
    kept, codes = asked.copy(), signs.pack(unit(50, 384, seed=1))
    first = signs.similarities(signs.turned(asked), codes)
    assert np.array_equal(asked, kept)
    assert np.array_equal(signs.similarities(signs.turned(asked), codes), first)
    assert signs.similarities(signs.turned(asked / 2), codes) == pytest.approx(first / 2, abs=1e-5)


# Bytes as they are in indexes out there: another rotation would make nonsense of every one of them.
GOLDEN = {
    100: ("e90900f5cfad05db2f6ad30c0bfc3025", "76686f71174f304b"),
    384: ("e35f9984b254897dbc39ce3b212c2229", "6a03a70d911c5c7f"),
    1024: ("1ce6acf21631de4b42ba29dd689299ae", "454a714797c2da04"),
}


def fixed(dimension: int) -> np.ndarray:
    """A few vectors of whole numbers, none of whose products is so near 0 that its sign could hang on the last bits."""
    return ((np.arange(4 * dimension, dtype=np.int64) * 7919 % 1009) - 504).reshape(4, dimension).astype(np.float32)


@pytest.mark.parametrize("dimension", sorted(GOLDEN))
def test_codes_never_change(dimension):
    vectors = fixed(dimension)
    codes = signs.pack(vectors)
    products = np.abs(vectors @ signs._matrix(dimension))
    assert products.min() > 0.01
    assert (codes[0].tobytes().hex(), hashlib.sha256(codes.tobytes()).hexdigest()[:16]) == GOLDEN[dimension]


def test_the_random_numbers_never_change():
    assert [hex(number) for number in signs.noise(3, 0).tolist()] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]
    assert [hex(number) for number in signs.noise(2, 5).tolist()] == ["0x5690c3475bc0427d", "0xd7b7a0d1af4a5e07"]
