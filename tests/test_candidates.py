"""``semsearch model``: a candidate beside the model that an index has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import build, run

import semsearch
from semsearch import encoder as encoders
from semsearch.errors import InputError, ModelUnavailable
from semsearch.probing import benching
from semsearch.probing.candidates import _command, _verdict
from semsearch.probing.values import ALL, Bench, BenchRow, Cost, Figures, Gap, Way

MONTHS = ("January", "February", "April", "June", "August", "October")


class Blind(FakeEncoder):
    """A model for which all is one: it gives every question and every passage the same vector."""

    @staticmethod
    def vectors(texts):
        return FakeEncoder.vectors(["" for _ in texts])


@pytest.fixture(autouse=True)
def models(monkeypatch):
    def load(name="fake"):
        if name == "nowhere":
            raise ModelUnavailable("no model at 'nowhere': give a folder")
        return Blind(name) if name.startswith("blind") else FakeEncoder(name)

    monkeypatch.setattr(encoders, "load", load)
    monkeypatch.setattr(encoders, "load_for", lambda fingerprint, network: load(fingerprint.model))


@pytest.fixture
def index(tmp_path: Path, home: Path) -> Path:
    """Six articles whose words the fake encoder counts, and titles of them."""
    words = ("aid", "vaccine", "oil", "sword", "gas", "charter")
    (tmp_path / "articles").mkdir()
    for word, month in zip(words, MONTHS, strict=True):
        text = (
            f"# Of {word} in {month}\n\nThey spoke of {word} and once more of {word} on the way there. "
            f"The{month}fair ended with {word} for all.\n\n"
            f"Nothing else is known of what they did on that day in the town, for nobody wrote it down.\n"
        )
        (tmp_path / "articles" / f"{month}.md").write_text(text)
    build(tmp_path / "articles", home)
    return home


def test_both_models_on_the_same_probes(index):
    before = {
        file.name: file.read_bytes() for file in index.iterdir() if file.is_file() and not file.name.endswith(("-wal", "-shm"))
    }
    found = semsearch.compare_model("blind", index, mode="dense", probes=12)
    assert before == {
        file.name: file.read_bytes() for file in index.iterdir() if file.is_file() and not file.name.endswith(("-wal", "-shm"))
    }
    assert {row.way for row in found.bench.rows} == {Way("dense", "fake", None), Way("dense", "blind", None)}
    best, other = found.bench.rows
    assert best.way.model == "fake"
    assert best.figures["title"].r1 == 1
    assert other.figures["title"].rr < 1
    assert (found.current.model, found.candidate.model) == ("fake", "blind")
    assert found.current.passages == found.candidate.passages == found.bench.all_passages == 12
    assert found.candidate.dimension == 11
    for cost in (found.current, found.candidate):
        assert cost.whole_seconds == pytest.approx(cost.seconds_per_1000 * 12 / 1000)
        assert cost.whole_bytes > 10_000
        assert cost.query_ms > 0
    # The probes are the questions, asked of articles that do not have them.
    assert {each.id for each in found.diff.questions} == {probe.id for probe in found.bench.probes}
    assert (found.diff.a, found.diff.b) == ("fake", "blind")
    assert {fact.kind for fact in found.diff.facts} == {"model"}
    assert set(found.diff.causes) == {"model"}
    assert found.command == f"semsearch index SOURCE... --model blind --fresh --index {index}"
    assert repr(found).splitlines()[-2:] == [found.verdict, f"to switch: {found.command}"]


def test_ones_own_questions(index, tmp_path):
    (tmp_path / "q.txt").write_text("aid\nnobody wrote\n")
    found = semsearch.compare_model("blind", index, mode="dense", probes=4, queries=tmp_path / "q.txt", k=3)
    assert [(each.id, each.text) for each in found.diff.questions] == [("1", "aid"), ("2", "nobody wrote")]
    assert found.diff.k == 3
    best = found.diff.questions[0].best("a")
    assert best is not None
    assert best.source.endswith("January.md")


def test_the_sample_is_reckoned_up(index, monkeypatch):
    monkeypatch.setattr(benching, "SAMPLE_PASSAGES", 4)
    found = semsearch.compare_model("blind", index, probes=4)
    assert (found.bench.articles, found.bench.passages) == (2, 4)
    assert found.current.passages == found.candidate.passages == 12
    assert found.bench.notes[0].startswith("a sample: 2 of 6 articles")


def test_what_makes_no_sense_is_refused(index):
    with pytest.raises(InputError, match="fake is the model that the index"):
        semsearch.compare_model("fake", index)
    with pytest.raises(InputError, match="mode hybrid or dense"):
        semsearch.compare_model("blind", index, mode="lexical")
    with pytest.raises(ModelUnavailable):
        semsearch.compare_model("nowhere", index)
    with pytest.raises(semsearch.IndexMissing):
        semsearch.compare_model("blind", index.parent / "nowhere")


def compared(rr: float, p: float, better: str) -> Bench:
    names = ("own", "new") if better == "own" else ("new", "own")
    rows = tuple(
        BenchRow(Way("hybrid", name, None), 9, {ALL: Figures(0, value, 0, 0, 0, 0)}, gap, {})
        for name, value, gap in zip(names, (rr, rr - 0.1), (None, Gap(-0.1, -0.2, 0, p, p)), strict=True)
    )
    return Bench("index", 1, 9, 1, 9, 0, (), rows, "", (), 0.0)


def cost(model: str, factor: float) -> Cost:
    return Cost(model, 384, 256, 9, factor, factor * 60, round(factor * 1000), factor * 5)


@pytest.mark.parametrize(
    ("bench", "factor", "said"),
    [
        (
            compared(0.8, 0.01, "new"),
            2.0,
            "new answers better here, and not by chance (RR@10 0.800 against 0.700 on 0 probes); "
            "it takes 2.0 times the time to encode, 2.0 times that of a question.",
        ),
        (
            compared(0.8, 0.01, "own"),
            0.5,
            "Stay with own: new answers worse here, and not by chance (RR@10 0.700 against 0.800 on 0 probes).",
        ),
        (
            compared(0.8, 0.3, "new"),
            2.0,
            "0 probes cannot tell new from own (RR@10 0.800 against 0.700 on 0 probes): there is no reason to switch.",
        ),
        (
            compared(0.8, 0.3, "own"),
            0.5,
            "0 probes cannot tell new from own (RR@10 0.700 against 0.800 on 0 probes): "
            "it costs less in time and disk, so switching saves that.",
        ),
    ],
)
def test_the_verdict(bench, factor, said):
    assert _verdict(bench, (cost("own", 1.0), cost("new", factor))) == said


def test_the_command_to_switch():
    assert _command("a model", "index") == "semsearch index SOURCE... --model 'a model' --fresh"


def test_the_command(index):
    result = run("model", "blind", "--index", str(index), "--probes", "4", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["candidate"]["model"] == "blind"
    assert document["bench"]["rows"][0]["mode"] == "hybrid"
    assert set(document["diff"]["summary"]) == set(semsearch.probing.DIFFERENCES)
    assert run("model", "fake", "--index", str(index)).exit_code == 2
    assert run("model", "blind", "--mode", "lexical", "--index", str(index)).exit_code == 2
    assert run("model", "blind", "--index", "nowhere").exit_code == 2
