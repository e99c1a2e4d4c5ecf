"""`evaluate`: what is ranked and scored, with an encoder whose vectors can be computed by hand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
import pytrec_eval
from conftest import WORDS, FakeEncoder

import semsearch
from semsearch.encoder.fast import FastEncoder
from semsearch.errors import IndexMissing, InputError, MissingExtra
from semsearch.evaluation import Scored, parse_threshold, trec
from semsearch.evaluation.harness import DEPTH
from semsearch.outputs import check_writable
from semsearch.records import Mode

FILLER = "was there all day long and nobody in the whole town said a word of it"


def sentence(words: str) -> str:
    return f"The {words} {FILLER}."


def write_beir(folder: Path, documents: dict[str, str], queries: dict[str, str], judgments: str, split: str = "test") -> Path:
    """A folder in BEIR format; judgments are lines of query, document and grade."""
    (folder / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": name, "title": f"About {name}", "text": text}) for name, text in documents.items()]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = [json.dumps({"_id": name, "text": text}) for name, text in queries.items()]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = ["query-id\tcorpus-id\tscore", *("\t".join(line.split()) for line in judgments.split("\n") if line.strip())]
    (folder / "qrels" / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def collection(tmp_path: Path, cache: Path) -> Path:
    """Two documents on oil, of which the one with a passage on nothing but oil is the nearer; one on swords."""
    return write_beir(
        tmp_path / "collection",
        {
            "mixed": "\n\n".join([sentence("aid vaccine") * 3, sentence("oil oil oil")]),
            "oil": sentence("oil gas"),
            "sword": sentence("sword battle"),
        },
        {"q1": "oil", "q2": "sword", "unjudged": "gas", "zeros": "aid"},
        "q1 mixed 1\n q1 oil 2\n q2 sword 1\n zeros sword 0",
    )


def evaluate(dataset: Path | str, fake: FakeEncoder, **options) -> semsearch.Evaluation:
    return semsearch.evaluate(dataset, encoder=fake, **{"modes": ["dense"], **options})


def test_a_document_is_scored_by_its_best_passage(collection: Path, fake: FakeEncoder):
    (found,) = evaluate(collection, fake)
    assert [document for document, _ in found.rankings["q1"]][:2] == ["mixed", "oil"]
    with semsearch.build(collection / "corpus.jsonl", collection / "index", encoder=fake) as index:
        best = index.search("oil", k=1, mode="dense")[0]
    assert best.metadata["_id"] == "mixed"
    assert found.rankings["q1"][0] == Scored("mixed", best.score)
    assert len(found.rankings["q1"]) == len({document for document, _ in found.rankings["q1"]}) == 3
    assert (found.documents, found.passages) == (3, 4)


def test_only_queries_with_a_positive_judgment_count_and_grades_are_kept(collection: Path, fake: FakeEncoder):
    evaluation = evaluate(collection, fake)
    (found,) = evaluation
    assert list(evaluation.queries) == ["q1", "q2"]
    judgments = {"q1": {"mixed": 1, "oil": 2}, "q2": {"sword": 1}}
    assert evaluation.judgments == judgments
    run = {"q1": {"mixed": 3.0, "oil": 2.0, "sword": 1.0}, "q2": {"sword": 3.0, "x": 2.0, "y": 1.0}}
    theirs = pytrec_eval.RelevanceEvaluator(judgments, {"ndcg_cut_10"}).evaluate(run)
    assert found.per_query["nDCG@10"] == {query: values["ndcg_cut_10"] for query, values in theirs.items()}
    assert found.metrics["nDCG@10"] == sum(found.per_query["nDCG@10"].values()) / 2
    assert found.metrics["R@100"] == found.metrics["Success@1"] == 1
    assert len(found.latencies) == 2
    assert 0 < found.latency_ms["p50"] <= found.latency_ms["p95"]
    assert found.seconds.keys() == {"index", "search"}


def test_json_is_the_contract(collection: Path, fake: FakeEncoder):
    document = json.loads(evaluate(collection, fake).to_json())
    expected = ["dataset", "mode", "model", "queries", "documents", "passages", "metrics", "seconds", "latency_ms"]
    assert list(document) == expected
    assert (document["dataset"], document["mode"], document["queries"]) == ("collection", "dense", 2)
    assert list(document["metrics"]) == ["nDCG@10", "R@100", "RR@10", "AP", "P@5", "Success@1"]


def test_enough_passages_are_searched_for_a_hundred_documents(tmp_path: Path, cache: Path, fake: FakeEncoder):
    """One document has a thousand passages that are nearer than all others."""
    many = "\n\n".join(f"{sentence('oil oil')} It was day {number}." for number in range(1000))
    documents = {"many": many, **{f"d{number}": sentence(f"oil aid {number}") for number in range(150)}}
    folder = write_beir(tmp_path / "c", documents, {"q": "oil"}, "q d149 1")
    (found,) = evaluate(folder, fake)
    assert found.passages > 1000
    assert len(found.rankings["q"]) == DEPTH
    (deep,) = evaluate(folder, fake, metrics=["R@120"])
    assert len(deep.rankings["q"]) == 120
    (all_of_them,) = evaluate(folder, fake, k=500)
    assert len(all_of_them.rankings["q"]) == 151


def test_an_index_is_kept_and_refreshed(collection: Path, cache: Path):
    first, second, third = FakeEncoder(), FakeEncoder(), FakeEncoder()
    evaluate(collection, first)
    assert first.encoded
    evaluate(collection, second)
    assert not second.encoded
    with (collection / "corpus.jsonl").open("a") as file:
        file.write(json.dumps({"_id": "new", "text": sentence("gas")}) + "\n")
    (found,) = evaluate(collection, third)
    assert third.encoded == [sentence("gas")]
    assert found.documents == 4
    assert len(list(cache.rglob("semsearch.sqlite"))) == 1
    assert not (collection / "index").exists()


def test_each_model_has_its_index_and_one_that_changed_is_replaced(collection: Path, cache: Path):
    evaluate(collection, FakeEncoder("one"))
    other = FakeEncoder("two")
    evaluate(collection, other)
    assert len(list(cache.rglob("semsearch.sqlite"))) == 2
    changed = FakeEncoder("two")
    changed.fingerprint = replace(changed.fingerprint, weights="other")
    (found,) = evaluate(collection, changed)
    assert changed.encoded
    assert found.metrics["Success@1"] == 1
    assert len(list(cache.rglob("semsearch.sqlite"))) == 2


def test_whole_documents_are_one_passage_by_its_cosine_alone(collection: Path, fake: FakeEncoder):
    (found,) = evaluate(collection, fake, whole=True)
    assert found.passages == found.documents == 3
    query, mixed = FakeEncoder.vectors(["oil", "aid vaccine " * 3 + "oil " * 3 + "x"])
    scores = dict(found.rankings["q1"])
    # There are no codes of words, so late interaction takes no part.
    assert scores["mixed"] == pytest.approx(float(query @ mixed), abs=2e-6)
    oil, sword = FakeEncoder.vectors(["oil gas", "sword battle"])
    cosines = {"mixed": float(query @ mixed), "oil": float(query @ oil), "sword": float(query @ sword)}
    assert list(scores) == sorted(cosines, key=lambda document: -cosines[document])
    assert fake.encoded[0].startswith("About ")
    oil = next(text for text in fake.encoded if text.startswith("About oil"))
    assert oil == f"About oil {sentence('oil gas')}"


@pytest.mark.parametrize("modes", [["hybrid"], ["lexical"], ["dense", "hybrid"], "lexical"])
def test_whole_documents_are_ranked_in_no_other_mode(collection: Path, cache: Path, fake: FakeEncoder, modes):
    with pytest.raises(InputError, match=r"by their cosine alone: leave --mode (hybrid|lexical) or --whole out"):
        evaluate(collection, fake, whole=True, modes=modes)
    assert not cache.exists()
    assert evaluate(collection, fake, whole=True, modes=None)[0].mode == "dense"


def test_an_index_of_whole_documents_is_cut_anew_when_it_is_asked_for_passages(
    collection: Path, tmp_path: Path, fake: FakeEncoder
):
    place = tmp_path / "place"
    assert evaluate(collection, fake, index=place, whole=True)[0].passages == 3
    assert evaluate(collection, fake, index=place)[0].passages == 4
    assert evaluate(collection, fake, index=place, whole=True)[0].passages == 3
    with semsearch.build(collection / "corpus.jsonl", place, encoder=fake) as index:
        assert index.status()["passages"] == 4


def test_documents_of_a_data_set_are_not_put_into_an_index_of_something_else(collection: Path, tmp_path: Path, fake: FakeEncoder):
    notes = tmp_path / "note.txt"
    notes.write_text(sentence("charter"))
    semsearch.build(notes, tmp_path / "mine", encoder=fake).close()
    with pytest.raises(InputError, match="holds other articles"):
        evaluate(collection, fake, index=tmp_path / "mine")


def test_several_modes_give_one_measurement_each(collection: Path, fake: FakeEncoder):
    modes = get_args(Mode)
    evaluation = evaluate(collection, fake, modes=modes)
    assert [found.mode for found in evaluation] == list(modes)
    assert len(evaluation[0:1]) == 1
    assert all(found.mode in repr(evaluation) for found in evaluation)
    (default,) = evaluate(collection, fake, modes=None)
    assert default.mode == modes[0]
    with pytest.raises(InputError, match="no mode"):
        evaluate(collection, fake, modes=["best"])


def test_a_run_that_is_written_is_ranked_by_trec_eval_as_it_was_scored(tmp_path: Path):
    """Equal scores, which trec_eval would sort by id; scores that single precision cannot tell apart; ids with spaces."""
    ranking = ["b", "a", "c", "my notes/ä.md", "z", "y"]
    scores = dict(zip(ranking, [0.5, 0.5, 0.5 - 1e-12, 0.25, 0.0, 0.0], strict=True))
    judgments = {"q": {"a": 1, "my notes/ä.md": 2, "y": 1}}
    evaluation = semsearch.evaluate_search(lambda _: list(scores.items()), {"q": "?"}, judgments)
    path = tmp_path / "some.run"
    evaluation[0].write_run(path)
    lines = [line.split(" ") for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line[3] for line in lines] == ["1", "2", "3", "4", "5", "6"]
    assert {len(line) for line in lines} == {6}
    assert [document for document, _ in trec.read_run(path, ["q"], ranking)["q"]] == ranking
    read = {"q": {line[2].replace("%20", " ").replace("%C3%A4", "ä"): float(line[4]) for line in lines}}
    theirs = pytrec_eval.RelevanceEvaluator(judgments, {"map"}).evaluate(read)
    assert theirs["q"]["map"] == evaluation[0].per_query["AP"]["q"]


def test_files_that_cannot_be_written(tmp_path: Path):
    evaluation = semsearch.evaluate_search(lambda _: [("a", 1.0)], {"q": "?"}, {"q": {"a": 1}})
    with pytest.raises(InputError, match="cannot be written"):
        evaluation[0].write_run(tmp_path / "nowhere" / "my.run")
    with pytest.raises(InputError, match=r"cannot be written \(no folder .*nowhere\)"):
        check_writable(tmp_path / "nowhere" / "my.run")
    with pytest.raises(InputError, match=r"cannot be written \(Is a directory\)"):
        check_writable(tmp_path)


def test_whether_a_file_can_be_written_is_found_out_without_writing(tmp_path: Path, monkeypatch):
    check_writable(tmp_path / "my.run")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(InputError, match=r"my.run cannot be written \(Permission denied\)"):
        check_writable(tmp_path / "my.run")
    # A file that is there can be written whatever its folder is.
    (tmp_path / "my.run").write_text("before")
    check_writable(tmp_path / "my.run")
    assert (tmp_path / "my.run").read_text() == "before"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q Q0 a 1 0.5", "line 1: 5 columns"),
        ("q Q0 a 1 high tag", "line 1: 'high' is no score"),
        ("q Q0 a 1 nan tag", "line 1: 'nan' is no score"),
        ("q Q0 a 1 2 t\nq Q0 a 2 1 t", "line 2: 'a' comes twice"),
        ("other Q0 a 1 2 t", "none of the queries"),
        ("", "none of the queries"),
    ],
)
def test_a_file_that_is_no_run(tmp_path: Path, content: str, message: str):
    path = tmp_path / "bad.run"
    path.write_text(content)
    with pytest.raises(InputError, match=re.escape(message)):
        trec.read_run(path, ["q"], [])


def test_a_run_against_another(tmp_path: Path):
    queries = {"p": "first", "q": "second", "r": "third", "s": "fourth"}
    judgments = {query: {"good": 1} for query in queries}
    (tmp_path / "base.run").write_text("p Q0 good 1 2 t\nq Q0 bad 1 2 t\nq Q0 good 2 1 t\nr Q0 worse 1 2 t\nr Q0 good 2 1 t\n")
    answers = {"first": ["bad", "good"], "second": ["good"], "third": ["worse", "bad", "good"], "fourth": []}
    evaluation = semsearch.evaluate_search(
        lambda text: [(document, 1.0) for document in answers[text]],
        queries,
        judgments,
        metrics=["RR", "R@100"],
        against=tmp_path / "base.run",
    )
    compared = evaluation[0].comparison
    assert compared is not None
    rr, recall = compared.metrics
    # This run: 1/2, 1, 1/3, 0; the other: 1, 1/2, 1/2, 0.
    assert rr.value == pytest.approx((1 / 2 + 1 + 1 / 3) / 4)
    assert rr.baseline == pytest.approx(2 / 4)
    assert rr.difference == pytest.approx((-1 / 2 + 1 / 2 - 1 / 6) / 4)
    # No pattern of signs brings the sum of 1/2, 1/2 and 1/6 nearer to 0 than 1/6.
    assert rr.p == 1
    assert (recall.difference, recall.low, recall.high, recall.p_holm) == (0, 0, 0, 1)
    assert [(item.query, item.top, item.baseline_top) for item in compared.won] == [("q", "good", "bad")]
    assert [item.query for item in compared.lost] == ["p", "r"]
    assert compared.lost[0].difference == -0.5
    text = repr(evaluation)
    assert "won most" in text
    assert "second" in text
    assert evaluation.failures(["RR < -0.01", "RR < 0", "RR < -0.5", "R@100 > 0"]) == [
        "RR differs by -0.0417 (search): RR < -0.01",
        "RR differs by -0.0417 (search): RR < 0",
    ]


def test_the_documents_of_both_runs_are_shown(collection: Path, tmp_path: Path, fake: FakeEncoder):
    (tmp_path / "base.run").write_text("q1 Q0 sword 1 2 t\nq2 Q0 gone 1 2 t\n")
    evaluation = evaluate(collection, fake, against=tmp_path / "base.run", k=1, metrics=["P@1"])
    shown = evaluation.documents
    assert shown["sword"].title == "About sword"
    assert "gone" not in shown
    assert "About sword" in repr(evaluation)
    assert "gone" in repr(evaluation)


def test_a_search_of_somebody_elses(tmp_path: Path):
    evaluation = semsearch.evaluate_search(
        lambda text: [("a", 0.1), ("b", 0.9), ("a", 0.0)],
        {"q": "some question", "unjudged": "?"},
        {"q": {"b": 1}},
        metrics="RR",
        name="theirs",
    )
    assert evaluation[0].metrics == {"RR": 0.5}
    assert evaluation[0].rankings == {"q": (Scored("a", 0.1), Scored("b", 0.9))}
    assert "theirs" in repr(evaluation)


def test_thresholds():
    assert parse_threshold("nDCG@10 < -0.01") == ("nDCG@10", "<", -0.01)
    assert parse_threshold("MAP>=0.5") == ("AP", ">=", 0.5)
    assert parse_threshold("P(rel=2)@5 <= 1e-3") == ("P(rel=2)@5", "<=", 0.001)
    evaluation = semsearch.evaluate_search(lambda _: [("a", 1.0)], {"q": "?"}, {"q": {"a": 1}}, metrics=["RR"])
    assert evaluation.failures(["RR < 1", "RR <= 1", "RR > 1", "RR >= 1"]) == [
        "RR is 1.0000 (search): RR <= 1",
        "RR is 1.0000 (search): RR >= 1",
    ]
    with pytest.raises(InputError, match="AP was not measured"):
        evaluation.failures(["AP < 1"])


@pytest.mark.parametrize(
    "expression", ["", "nDCG@10", "nDCG@10 < ", "< 1", "nDCG@10 = 1", "nDCG@10 < nan", "foo < 1", "AP < 1 < 2"]
)
def test_expressions_that_cannot_be_read(expression: str):
    with pytest.raises(InputError):
        parse_threshold(expression)


class _Page(HTMLParser):
    """The texts of a page, what it loads, its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self.elements: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href", "srcset", "data")]

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.parametrize("compared", [False, True])
def test_a_report_is_one_page_that_loads_nothing_and_escapes_everything(tmp_path: Path, cache: Path, fake: FakeEncoder, compared):
    pytest.importorskip("matplotlib")
    evil = '<script>alert("$x$")</script>'
    folder = write_beir(
        tmp_path / "<b>c & d", {"a": f"{sentence('oil')} {evil}", evil[:8]: sentence("gas")}, {"q": f"oil {evil}"}, "q a 1"
    )
    run = tmp_path / "<i>$base.run"
    run.write_text("q Q0 <script> 1 2 t\n")
    evaluation = evaluate(folder, fake, against=run if compared else None)
    evaluation.report(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert not {"script", "link", "iframe", "img", "b>c", "i"} & set(page.elements)
    assert all(address.startswith("#") for address in page.addresses)
    assert not re.search(r"url\((?!#)|@import", text)
    assert page.elements.count("svg") == 3
    seen = " ".join(page.texts)
    assert "<b>c & d" in seen
    assert f"oil {evil}" in seen
    for metric, value in evaluation[0].metrics.items():
        assert metric in seen
        assert f"{value:.4f}" in seen
    assert ("Won most" in seen) == compared
    assert "$base.run" in seen or not compared


def test_a_report_of_several_measurements(collection: Path, tmp_path: Path, fake: FakeEncoder):
    pytest.importorskip("matplotlib")
    evaluation = evaluate(collection, fake)
    other = replace(evaluation[0], mode="other")
    replace(evaluation, measurements=(evaluation[0], other)).report(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "nDCG@10 of each question: other, fake" in text
    assert text.count("<svg") == 4


def test_equal_curves_are_both_seen():
    pytest.importorskip("matplotlib")
    from semsearch.evaluation import plots

    curve = [1 - step / 10 for step in range(11)]
    svg = plots.precision_recall(dict.fromkeys("abcdef", curve), {"base.run": curve})
    drawn = re.findall(r'<path d="[^"]*" clip-path="[^"]*" style="fill: none; ([^"]*stroke-width[^"]*)"', svg)
    lines = [style for style in drawn if "stroke-opacity: 0.12" not in style]
    assert len(lines) == 7
    # The first has no gaps; each other has gaps of its own, and none is thicker than the one below it.
    gaps = [re.search(r"stroke-dasharray: ([^;]*)", style) for style in lines]
    assert gaps[0] is None
    assert len({found[1] for found in gaps if found}) == 6
    widths = [float(re.search(r"stroke-width: ([\d.]+)", style)[1]) for style in lines[:6]]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[1] > widths[2]


BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(BROWSER is None, reason="no browser")
def test_the_figures_of_a_report_fit_a_window_of_1000_pixels(collection: Path, tmp_path: Path, fake: FakeEncoder):
    pytest.importorskip("matplotlib")
    (found,) = evaluate(collection, fake)
    slow = replace(found, model="all-MiniLM-L6-v2", seconds={"index": 1234.5, "search": 123.4}, latencies=(123.4, 1234.5))
    evaluation = replace(
        evaluate(collection, fake), measurements=tuple(replace(slow, mode=mode) for mode in ("hybrid", "dense", "lexical"))
    )
    evaluation.report(tmp_path / "report.html")
    script = "const t = document.querySelector('.scroll'); document.title = `${t.clientWidth} ${t.scrollWidth}`"
    with (tmp_path / "report.html").open("a", encoding="utf-8") as file:
        file.write(f"<script>{script}</script>")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    address = (tmp_path / "report.html").as_uri()
    done = subprocess.run(
        [*command, "--window-size=1000,2000", "--dump-dom", address], capture_output=True, text=True, timeout=60, check=True
    )
    there, needed = map(int, re.search(r"<title>(\d+) (\d+)</title>", done.stdout).groups())
    assert 850 < there < 1000
    assert needed <= there


def test_a_report_without_its_packages(collection: Path, tmp_path: Path, fake: FakeEncoder, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=re.escape('a report needs jinja2: python -m pip install "semsearch[eval]"')):
        evaluate(collection, fake).report(tmp_path / "report.html")


@pytest.fixture
def notes(tmp_path: Path, fake: FakeEncoder) -> Path:
    """An index of two articles in a folder with a space, and a JSONL file whose records have ids."""
    folder = tmp_path / "my notes"
    folder.mkdir()
    (folder / "aid.md").write_text(f"# Aid\n\n{sentence('aid')}\n\n{sentence('vaccine')}\n")
    (folder / "oil.md").write_text(f"# Oil\n\n{sentence('oil')}\n")
    (folder / "more.jsonl").write_text(json.dumps({"id": 17, "text": sentence("gas")}) + "\n")
    semsearch.build(folder, tmp_path / "index", encoder=fake).close()
    return folder


def test_a_list_of_questions_with_their_sources_or_passages(notes: Path, tmp_path: Path, fake: FakeEncoder):
    lines = [
        "Question\tAnswer",
        f"aid\t{notes}/aid.md",
        "oil\toil.md:3",
        f"vaccine\tThe VACCINE  {FILLER}",
        "gas\t17",
    ]
    path = tmp_path / "questions.tsv"
    path.write_text("\n".join(lines) + "\n")
    evaluation = evaluate(path, fake, index=tmp_path / "index", metrics=["RR", "NumRel"])
    assert evaluation.dataset == "questions"
    assert list(evaluation.queries.values()) == ["aid", "oil", "vaccine", "gas"]
    assert evaluation[0].metrics == {"RR": 1.0, "NumRel": 4.0}
    judged = {evaluation.queries[query]: list(grades) for query, grades in evaluation.judgments.items()}
    assert judged["oil"] == [f"{notes}/oil.md"]
    assert judged["gas"] == [f"{notes}/more.jsonl#1"]
    (passage,) = judged["vaccine"]
    start, end = map(int, passage.rpartition(":")[2].split("-"))
    assert (notes / "aid.md").read_text()[start:end] == sentence("vaccine")
    # The other passage of the same article is no answer.
    by_passage = next(query for query, text in evaluation.queries.items() if text == "vaccine")
    assert len(evaluation[0].rankings[by_passage]) == 4
    # Sources have a space, which a run cannot hold.
    evaluation[0].write_run(tmp_path / "my.run")
    again = evaluate(path, fake, index=tmp_path / "index", metrics=["RR"], against=tmp_path / "my.run")
    assert again[0].comparison is not None
    assert again[0].comparison.metrics[0].difference == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("oil\tnot to be found anywhere", "line 1: nothing in"),
        ("oil", "line 1: give a question, a tab"),
        ("1 0 oil.md 1", "judgments take --queries FILE"),
        ("oil\toil.md\noil\tThe oil was there all day long", "line 2: this question has sources and passages"),
        ("", "has no questions"),
    ],
)
def test_a_list_that_cannot_be_used(notes: Path, tmp_path: Path, fake: FakeEncoder, content: str, message: str):
    path = tmp_path / "questions.tsv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        evaluate(path, fake, index=tmp_path / "index")


def test_trec_judgments_with_queries_over_an_index(notes: Path, tmp_path: Path, fake: FakeEncoder, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "topics.tsv").write_text("1\toil\n2\tgas\n3\taid\n")
    (tmp_path / "topics.jsonl").write_text('{"_id": "1", "text": "oil"}\n{"_id": "2", "text": "gas"}\n')
    (tmp_path / "j.txt").write_text("1 0 x 0\n2 0 17 2\n2 0 y -1\n9 0 x 1\n")
    found = evaluate("j.txt", fake, queries="topics.tsv")
    assert list(found.queries) == ["2"]
    assert found[0].metrics["RR@10"] == 1
    assert "1 judged queries have no text and are left out (9)" in caplog.text
    assert evaluate("j.txt", fake, queries="topics.jsonl")[0].metrics == found[0].metrics
    caplog.clear()
    # Judged documents that are there and are not found are a matter of figures; ones that are not there are an error.
    (tmp_path / "j.txt").write_text("1 0 17 1\n1 0 elsewhere.md 1\n")
    assert evaluate("j.txt", fake, queries="topics.tsv", k=1, metrics=["P@1"])[0].metrics == {"P@1": 0}
    assert "no document that was found is judged" in caplog.text
    (tmp_path / "j.txt").write_text("1 0 elsewhere.md 1\n")
    with pytest.raises(
        InputError, match=r"no judged document is in index: the judgments have ids such as 'elsewhere.md', it has"
    ):
        evaluate("j.txt", fake, queries="topics.tsv")
    with pytest.raises(IndexMissing):
        evaluate("j.txt", fake, queries="topics.tsv", index="nowhere")
    with pytest.raises(InputError, match="leave --model and --whole out"):
        evaluate("j.txt", fake, queries="topics.tsv", whole=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 0 x high", "'high' is no grade"),
        ("1 0 x 1.5", "'1.5' is no grade"),
        ("1 0 x 1\n1 0 x 2", "line 2: 'x' is judged twice"),
        ("1 x", "line 1: 2 columns"),
        ("\n", "has no judgments"),
        ("1 0 x 0", "no query of j has a text and a positive judgment"),
        ("2 0 x 1", "query '2' of j is empty"),
    ],
)
def test_judgments_that_cannot_be_used(tmp_path: Path, content: str, message: str):
    (tmp_path / "j.txt").write_text(content)
    (tmp_path / "t.tsv").write_text("1\toil\n2\t\n")
    with pytest.raises(InputError, match=message):
        semsearch.evaluate(tmp_path / "j.txt", queries=tmp_path / "t.tsv", index=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 x 1.5\n1 y 1", "line 1: '1.5' is no grade"),
        ("1\tx\t0.5\n1\ty\t1", "line 1: '0.5' is no grade"),
        ("1 x nan\n1 y 1", "line 1: 'nan' is no grade"),
        ("query-id corpus-id score\n1 y 1.5", "line 2: '1.5' is no grade"),
        ("query-id corpus-id score\n1 x high", "line 2: 'high' is no grade"),
    ],
)
def test_only_a_header_is_passed_over(tmp_path: Path, content: str, message: str):
    path = tmp_path / "j.tsv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        trec.read_judgments(path)
    path.write_text("query-id corpus-id score\n1 x 1")
    assert trec.read_judgments(path) == {"1": {"x": 1}}
    path.write_text("1 y 2\n1 x 1.0")
    assert trec.read_judgments(path) == {"1": {"y": 2, "x": 1}}


def test_judgments_of_other_documents_than_a_folder_has(collection: Path, cache: Path, fake: FakeEncoder, caplog):
    judgments = collection / "qrels" / "test.tsv"
    judgments.write_text("q1\tOTHER-1\t1\nq2\tOTHER-2\t1\n")
    with pytest.raises(InputError, match=r"no judged document is in .*corpus.jsonl: .* such as 'OTHER-1', it has .* 'mixed'"):
        evaluate(collection, fake)
    assert not fake.encoded
    judgments.write_text("q1\tOTHER-1\t1\nq2\tmixed\t1\n")
    assert evaluate(collection, fake, metrics=["P@1"])[0].metrics == {"P@1": 0}
    assert "no document that was found is judged" not in caplog.text
    judgments.write_text("q1\tsword\t1\nq2\tOTHER\t1\n")
    assert evaluate(collection, fake, k=1, metrics=["P@1"])[0].metrics == {"P@1": 0}
    assert "no document that was found is judged" not in caplog.text  # q2 has found it.
    judgments.write_text("q2\toil\t1\nq2\tOTHER\t1\n")
    assert evaluate(collection, fake, k=1, metrics=["P@1"])[0].metrics == {"P@1": 0}
    assert "no document that was found is judged" in caplog.text


def test_data_sets_that_cannot_be_used(collection: Path, tmp_path: Path, fake: FakeEncoder):
    with pytest.raises(InputError, match="give --split test"):
        evaluate(collection, fake, split="dev")
    with pytest.raises(InputError, match="a data set is a folder in BEIR format"):
        evaluate(tmp_path, fake)
    with pytest.raises(InputError, match="no data set"):
        evaluate("nowhere", fake)
    with pytest.raises(InputError, match="brings its own queries"):
        evaluate(collection, fake, queries="x.tsv")
    with pytest.raises(InputError, match="an encoder and models"):
        evaluate(collection, fake, models=["x"])
    with pytest.raises(InputError, match="an index has one model"):
        semsearch.evaluate(collection, models=["x", "y"], index=tmp_path / "x")
    (collection / "queries.jsonl").write_text('{"_id": "q1"}')
    with pytest.raises(InputError, match=r"queries.jsonl line 1: give '_id' and 'text'"):
        evaluate(collection, fake)
    (collection / "corpus.jsonl").write_text('{"text": "no id"}')
    with pytest.raises(InputError, match="no '_id' key"):
        evaluate(collection, fake)
    (collection / "corpus.jsonl").write_text("nothing")
    with pytest.raises(InputError, match="line 1: not JSON"):
        evaluate(collection, fake)
    (collection / "corpus.jsonl").unlink()
    with pytest.raises(InputError, match=r"no .*corpus.jsonl"):
        evaluate(collection, fake)


def test_a_data_set_of_ir_datasets(cache: Path, fake: FakeEncoder, monkeypatch):
    """Its interface alone, for the real ones are downloaded."""
    document = namedtuple("Document", "doc_id title text")
    query = namedtuple("Query", "query_id text")
    qrel = namedtuple("Qrel", "query_id doc_id relevance iteration")
    asked = []

    def documents():
        asked.append("documents")
        return iter([document(word, word.title(), sentence(word)) for word in WORDS])

    small = SimpleNamespace(
        has_docs=lambda: True,
        has_queries=lambda: True,
        has_qrels=lambda: True,
        docs_iter=documents,
        queries_iter=lambda: iter([query("1", "oil"), query("2", "gas")]),
        qrels_iter=lambda: iter([qrel("1", "oil", 2, "0"), qrel("2", "gas", 0, "0")]),
    )
    monkeypatch.setitem(sys.modules, "ir_datasets", SimpleNamespace(load={"small/test": small}.__getitem__))
    for _ in range(2):
        evaluation = evaluate("ir_datasets:small/test", fake)
        assert evaluation.dataset == "ir_datasets:small/test"
        assert evaluation.judgments == {"1": {"oil": 2}}
        assert evaluation[0].metrics["nDCG@10"] == 1
        assert evaluation[0].documents == len(WORDS)
    assert asked == ["documents"]
    with pytest.raises(InputError, match="ir_datasets has no 'large'"):
        evaluate("ir_datasets:large", fake)
    small.has_qrels = lambda: False
    with pytest.raises(InputError, match="lacks documents, queries or judgments"):
        evaluate("ir_datasets:small/test", fake)
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(MissingExtra, match=re.escape('python -m pip install "semsearch[eval]"')):
        evaluate("ir_datasets:small/test", fake)


@pytest.mark.model
def test_a_small_collection_with_the_model(data_folder: Path, bundled: FastEncoder):
    """Encode in single precision: bfloat16 of other processors changed the figures of these 35 queries by up to 0.02."""
    single = FastEncoder(bundled.export, lambda engine: engine)
    hybrid, dense, lexical = semsearch.evaluate(data_folder / "adi", modes=["hybrid", "dense", "lexical"], encoder=single)
    (whole,) = semsearch.evaluate(data_folder / "adi", whole=True, encoder=single)
    assert (dense.documents, len(dense.per_query["AP"])) == (82, 35)
    assert hybrid.metrics["nDCG@10"] == pytest.approx(0.528, abs=0.005)
    assert dense.metrics["nDCG@10"] == pytest.approx(0.535, abs=0.005)
    assert lexical.metrics["nDCG@10"] == pytest.approx(0.490, abs=0.005)
    assert whole.metrics["nDCG@10"] == pytest.approx(0.497, abs=0.005)
    assert whole.passages == 82
