"""Every formula of `fusion` by hand arithmetic."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch import fusion
from semsearch.fusion import Parts
from semsearch.records import Mode


def floats(*values: float) -> np.ndarray:
    return np.asarray(values, np.float32)


def parts(**values: list[float]) -> Parts:
    size = len(next(iter(values.values())))
    return Parts(*(floats(*values.get(name, [0.0] * size)) for name in Parts._fields))


def test_hybrid_and_dense_by_hand():
    known = parts(cosine=[0.5, 0.2], late=[0.4, 0.6], lexical=[1.0, 0.0], feedback=[0.3, 0.1])
    assert known.before_feedback() == pytest.approx([0.5 + 1.2 * 0.4 + 0.45, 0.2 + 1.2 * 0.6])
    assert known.hybrid() == pytest.approx([(0.5 + 0.48 + 0.45 + 0.18) / 3.25, (0.2 + 0.72 + 0.06) / 3.25])
    assert known.dense() == pytest.approx([0.98 / 2.2, 0.92 / 2.2])
    assert {part.dtype for part in (known.hybrid(), known.dense(), known.before_feedback())} == {np.dtype(np.float32)}


@settings(derandomize=True, max_examples=60, deadline=None, database=None)
@given(st.lists(st.tuples(*[st.floats(-1.5, 1.5, width=32)] * 4), min_size=1, max_size=6))
def test_weights_are_what_the_scores_are_made_with(rows):
    known = Parts(*np.asarray(rows, np.float32).T)
    for mode, scores in (("hybrid", known.hybrid()), ("dense", known.dense())):
        counted = fusion.weights(mode)
        total = sum(weight * getattr(known, name) for name, weight in counted.items()) / sum(counted.values())
        assert scores == pytest.approx(np.clip(total, 0, 1), abs=1e-6)
        assert np.all((scores >= 0) & (scores <= 1))


def test_weights_of_each_mode():
    assert {mode: fusion.weights(mode) for mode in get_args(Mode)} == {
        "hybrid": {"cosine": 1.0, "late": 1.2, "lexical": 0.45, "feedback": 0.6},
        "dense": {"cosine": 1.0, "late": 1.2},
        "lexical": {"lexical": 1.0},
    }


def test_scores_are_kept_within_bounds():
    known = parts(cosine=[1.0, -1.0, 0.0], late=[1.4, -0.2, 0.0], lexical=[1.0, 0.0, 0.0], feedback=[1.0, -1.0, 0.0])
    assert known.hybrid().tolist() == known.dense().tolist() == [1.0, 0.0, 0.0]


# Late interaction.


def test_late_is_the_weighted_mean_of_the_best_tokens():
    similarities = floats(0.1, 0.9, 0.5, -0.2, 0.3, 0.2).reshape(2, 3)
    # The first passage has two tokens, the second one.
    scores = fusion.late(similarities, floats(0.75, 0.25), np.asarray([2, 1]))
    assert scores == pytest.approx([0.75 * 0.9 + 0.25 * 0.3, 0.75 * 0.5 + 0.25 * 0.2])
    assert scores.dtype == np.float32


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([0, 2, 1], [0, 0.9, 0.5]),
        ([2, 0, 1], [0.9, 0, 0.5]),
        ([2, 1, 0], [0.9, 0.5, 0]),
        ([0, 0, 3, 0, 0], [0, 0, 0.9, 0, 0]),
        ([1, 1, 1], [0.1, 0.9, 0.5]),
    ],
)
def test_a_passage_without_tokens_has_no_late_score_and_takes_none_away(sizes, expected):
    assert fusion.late(floats(0.1, 0.9, 0.5)[None], floats(1), np.asarray(sizes)) == pytest.approx(expected)


def test_late_of_nothing():
    assert fusion.late(np.empty((2, 0), np.float32), floats(0.5, 0.5), np.asarray([0, 0])).tolist() == [0, 0]
    assert fusion.late(np.empty((2, 0), np.float32), floats(0.5, 0.5), np.asarray([], np.int64)).tolist() == []


@settings(derandomize=True, max_examples=60, deadline=None, database=None)
@given(sizes=st.lists(st.integers(0, 4), max_size=7), tokens=st.integers(1, 4), seed=st.integers(0, 999))
def test_late_equals_one_passage_at_a_time(sizes, tokens, seed):
    draw = np.random.default_rng(seed)
    similarities = draw.uniform(-1, 1, (tokens, sum(sizes))).astype(np.float32)
    weights = draw.random(tokens).astype(np.float32)
    weights /= weights.sum()
    expected, first = [], 0
    for size in sizes:
        own = similarities[:, first : first + size]
        expected.append(sum(float(w) * float(max(row)) for w, row in zip(weights, own, strict=True)) if size else 0.0)
        first += size
    assert fusion.late(similarities, weights, np.asarray(sizes, np.int64)) == pytest.approx(expected, abs=1e-6)


# The best sentence.

SIMILARITIES = floats(0.1, 0.9, 0.5, 0.9, 0.3, 0.2, 0.8, 0.2).reshape(2, 4)


@pytest.mark.parametrize(
    ("sentences", "best"),
    [
        ([[0, 4]], 0),
        # 0.5 and 0.5 of: 0.1 0.3, 0.9 0.2, 0.5 0.8, 0.9 0.2.
        ([[0, 1], [1, 2], [2, 3], [3, 4]], 2),
        ([[0, 1], [1, 2], [3, 4]], 1),
        # Over several tokens each of the question's takes its best: 0.9 and 0.8 against 0.9 and 0.3.
        ([[0, 2], [2, 4]], 1),
        # Equal to the fifth decimal: the first.
        ([[3, 4], [1, 2]], 0),
        # What has no tokens is the worst.
        ([[2, 2], [0, 1]], 1),
        ([[0, 0], [1, 1]], 0),
    ],
)
def test_strongest_sentence(sentences, best):
    assert fusion.strongest_sentence(SIMILARITIES, floats(0.5, 0.5), np.asarray(sentences, np.int32)) == best


def test_the_strongest_sentence_hangs_on_the_weights():
    sentences = np.asarray([[1, 2], [2, 3]], np.int32)
    assert fusion.strongest_sentence(SIMILARITIES, floats(1, 0), sentences) == 0
    assert fusion.strongest_sentence(SIMILARITIES, floats(0, 1), sentences) == 1


def test_a_sentence_far_from_the_question_is_better_than_one_without_tokens():
    assert fusion.strongest_sentence(floats(-0.9)[None], floats(1), np.asarray([[0, 0], [0, 1]], np.int32)) == 1


# Feedback.


def angles(*degrees: float) -> np.ndarray:
    return np.asarray([[math.cos(math.radians(a)), math.sin(math.radians(a))] for a in degrees], np.float32)


def cos(degrees: float) -> float:
    return math.cos(math.radians(degrees))


def test_feedback_of_none_one_and_two():
    assert fusion.feedback(np.empty((0, 2), np.float32), floats()).tolist() == []
    assert fusion.feedback(angles(30), floats(0.5)).tolist() == [0]
    assert fusion.feedback(angles(0, 60), floats(0.1, 0.5)) == pytest.approx([0.5, 0.5], abs=1e-6)


def test_feedback_of_five_leaves_each_of_the_best_four_out_of_its_own():
    vectors, scores = angles(0, 10, 20, 30, 90), floats(0.1, 0.9, 0.8, 0.7, 0.6)
    # The best four stand at 10, 20, 30 and 90 degrees; the first is none of them.
    expected = [
        (cos(10) + cos(20) + cos(30) + cos(90)) / 4,
        (cos(10) + cos(20) + cos(80)) / 3,
        (cos(10) + cos(10) + cos(70)) / 3,
        (cos(20) + cos(10) + cos(60)) / 3,
        (cos(80) + cos(70) + cos(60)) / 3,
    ]
    assert fusion.feedback(vectors, scores) == pytest.approx(expected, abs=1e-6)


def test_feedback_of_many_hangs_on_the_best_four_alone():
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((60, 12)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = draw.permutation(60).astype(np.float32) / 60
    best = np.argsort(-scores)[:4]
    expected = [np.mean([vectors[row] @ vectors[other] for other in best if other != row]) for row in range(60)]
    assert fusion.feedback(vectors, scores) == pytest.approx(expected, abs=1e-6)


def test_feedback_does_not_hang_on_the_order_of_equals():
    vectors, scores = angles(0, 10, 20, 30, 70, 90), floats(0.9, 0.8, 0.7, 0.5, 0.5, 0.1)
    found = fusion.feedback(vectors, scores)
    # Two share the fourth place: five are the best.
    assert found[5] == pytest.approx((cos(90) + cos(80) + cos(70) + cos(60) + cos(20)) / 5, abs=1e-6)
    for _ in range(5):
        order = np.random.default_rng(0).permutation(6)
        assert fusion.feedback(vectors[order], scores[order]) == pytest.approx(found[order], abs=1e-6)


# Confidence: its constants are measured, and may change; what they must not do is turn round.

SHAPES = [(True, True, True), (True, True, False), (False, False, True)]


@settings(derandomize=True, max_examples=100, deadline=None, database=None)
@given(
    shape=st.sampled_from(SHAPES),
    values=st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 1)),
    place=st.integers(0, 2),
    more=st.floats(0.01, 0.5),
)
def test_confidence_is_a_probability_and_grows_with_each_of_what_is_known(shape, values, place, more):
    given_ = [value if known else None for value, known in zip(values, shape, strict=True)]
    before = fusion.confidence(*given_)
    assert 0 < before < 1
    if given_[place] is None:
        return
    given_[place] += more
    assert fusion.confidence(*given_) > before
