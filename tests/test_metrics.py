"""Figures against sums by hand and against trec_eval's own code; significance against arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch import metrics
from semsearch.errors import InputError

TREC = {
    "nDCG@10": "ndcg_cut_10",
    "R@100": "recall_100",
    "RR": "recip_rank",
    "AP": "map",
    "P@5": "P_5",
    "Success@1": "success_1",
    "nDCG": "ndcg",
}
DOCUMENTS = [f"d{number}" for number in range(14)] + ["ü", "D1", "a b", "zz"]


def test_graded_gains_and_unjudged_documents_by_hand():
    judgments = {"q": {"a": 2, "b": 1, "c": 0, "d": 1}}
    values = {name: found["q"] for name, found in metrics.figures(TREC, judgments, {"q": ["b", "unjudged", "a", "c"]}).items()}
    gained = 1 / math.log2(2) + 2 / math.log2(4)
    ideal = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert values["nDCG@10"] == pytest.approx(gained / ideal, abs=1e-15)
    assert values["R@100"] == 2 / 3
    assert values["RR"] == 1
    assert values["AP"] == pytest.approx((1 / 1 + 2 / 3) / 3, abs=1e-15)
    assert values["P@5"] == 2 / 5
    assert values["Success@1"] == 1


def test_queries_without_results_and_queries_that_the_run_lacks_count_0():
    judgments = {"found": {"a": 1}, "empty": {"a": 1}, "missing": {"a": 1}}
    found = metrics.figures(["RR@10", "nDCG@10"], judgments, {"found": ["x", "a"], "empty": [], "not judged": ["a"]})
    assert found["RR@10"] == {"found": 0.5, "empty": 0.0, "missing": 0.0}
    assert list(found["nDCG@10"]) == ["found", "empty", "missing"]
    assert metrics.summary("RR@10", found["RR@10"]) == 0.5 / 3


def test_a_reciprocal_rank_beyond_the_cutoff_is_0():
    judgments = {"q": {"a": 1}}
    ranking = [f"x{number}" for number in range(10)]
    assert metrics.figures(["RR@10"], judgments, {"q": [*ranking[:9], "a"]})["RR@10"]["q"] == 0.1
    assert metrics.figures(["RR@10"], judgments, {"q": [*ranking, "a"]})["RR@10"]["q"] == 0


def test_a_level_of_relevance_can_be_named():
    judgments = {"q": {"a": 1, "b": 2}}
    found = metrics.figures(["P(rel=2)@5", "P@5"], judgments, {"q": ["a", "b"]})
    assert (found["P(rel=2)@5"]["q"], found["P@5"]["q"]) == (1 / 5, 2 / 5)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_figures_are_bit_equal_to_trec_evals_also_where_scores_are_equal(data: st.DataObject):
    documents = st.sampled_from(DOCUMENTS)
    # Few different scores, some apart by less than single precision can tell.
    scores = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5 + 1e-9, 0.5 + 1e-6, 1.0, -3.0])
    judgments = data.draw(
        st.dictionaries(
            st.sampled_from("pqr"), st.dictionaries(documents, st.integers(0, 3), min_size=1, max_size=9), min_size=1, max_size=3
        )
    )
    run = {query: data.draw(st.dictionaries(documents, scores, min_size=1)) for query in judgments}
    mine = metrics.figures(TREC, judgments, {query: metrics.order(scored) for query, scored in run.items()})
    theirs = pytrec_eval.RelevanceEvaluator(judgments, set(TREC.values())).evaluate(run)
    for name, trec_name in TREC.items():
        assert mine[name] == {query: theirs[query][trec_name] for query in judgments}


@given(st.permutations(DOCUMENTS), st.integers(1, 12))
def test_a_cut_reciprocal_rank_is_trec_evals_of_the_cut_run(ranking: list[str], cutoff: int):
    judgments = {"q": {"ü": 1, "d3": 2}}
    mine = metrics.figures([f"RR@{cutoff}"], judgments, {"q": ranking})[f"RR@{cutoff}"]["q"]
    cut = metrics.falling(ranking[:cutoff])
    assert mine == pytrec_eval.RelevanceEvaluator(judgments, {"recip_rank"}).evaluate({"q": cut})["q"]["recip_rank"]


def test_order_is_by_score_in_single_precision_then_by_id_backwards():
    assert metrics.order({"a": 0.5, "b": 0.5 + 1e-9, "c": 0.75, "d": -1.0}) == ["c", "b", "a", "d"]


def test_names_are_brought_to_one_form_and_listed_once():
    assert metrics.canonical(["MAP", "AP", "NDCG@10"]) == ("AP", "nDCG@10")
    assert metrics.deepest(["R@1000", "AP", "nDCG@10"]) == 1000
    assert metrics.deepest(["AP"]) == 1


@pytest.mark.parametrize("name", ["", "foo", "nDCG@ten", "P", "P@1.5", "nDCG@0", "P@-1", "nDCG@10001", "ERR@10", "P(rel=0)@5"])
def test_a_metric_that_cannot_be_computed_is_refused(name: str):
    with pytest.raises(InputError, match=r"give|see"):
        metrics.canonical([name])


def test_no_metric_at_all_is_refused():
    with pytest.raises(InputError, match="give one"):
        metrics.canonical([])


def test_counts_are_summed_and_all_else_is_averaged():
    assert metrics.summary("NumRet", {"p": 3.0, "q": 4.0}) == 7
    assert metrics.summary("AP", {"p": 0.1, "q": 0.2, "r": 0.3}) == pytest.approx(0.2, abs=1e-16)


def test_interpolated_precision_by_hand():
    # Relevant at ranks 1 and 4: precision 1 up to recall 0.5, then 2/4.
    found = metrics.precision_at_recall({"q": {"a": 1, "b": 1}}, {"q": ["a", "x", "y", "b"]})
    assert found == [1.0] * 6 + [0.5] * 5


def test_p_of_few_queries_is_exact():
    # Of 8 sign patterns, +++ and --- are as far from 0.
    assert metrics.p_value([0.5, 0.25, 0.25]) == 2 / 8
    # Of 16, only ++++ and ----.
    assert metrics.p_value([1.0, 1.0, 1.0, 1.0]) == 2 / 16
    assert metrics.p_value([1.0, -1.0]) == 1
    assert metrics.p_value([0.3]) == 1
    assert metrics.p_value([]) == metrics.p_value([0.0, 0.0]) == 1


def test_queries_without_a_difference_leave_p_as_it_is():
    assert metrics.p_value([0.5, 0.25, 0.25] + [0.0] * 50) == 2 / 8


def test_p_of_many_queries_is_near_the_exact_one_and_always_the_same():
    differences = [1.0] * 22 + [-1.0] * 10
    # Two-sided sign test: P(at least 22 of 32 heads), twice.
    exact = 2 * sum(math.comb(32, heads) for heads in range(22, 33)) / 2**32
    assert metrics.p_value(differences) == pytest.approx(exact, abs=0.01)
    assert metrics.p_value(differences) == metrics.p_value(differences)


def test_interval_of_the_mean_difference():
    rng = np.random.default_rng(1)
    differences = rng.normal(0.1, 0.5, 400)
    low, high = metrics.interval(differences.tolist())
    # For so many, the bootstrap comes to the normal interval.
    error = 1.96 * differences.std() / math.sqrt(400)
    assert (low, high) == (
        pytest.approx(differences.mean() - error, abs=0.005),
        pytest.approx(differences.mean() + error, abs=0.005),
    )
    assert metrics.interval(differences.tolist()) == (low, high)
    assert metrics.interval([0.25, 0.25]) == (0.25, 0.25)
    assert metrics.interval([]) == (0.0, 0.0)


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, each at least the one before.
    assert metrics.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert metrics.holm([0.5, 0.6]) == [1.0, 1.0]
    assert metrics.holm([]) == []
