"""``semsearch bench`` over whole indexes: what is masked, what is compared, what is said; and passages of a given size."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import build, contents, run

import semsearch
from semsearch import encoder as encoders
from semsearch.errors import InputError
from semsearch.probing import benching, scratch
from semsearch.probing.benching import Units, _shares, rank_of, verdict
from semsearch.probing.probes import EVERYWHERE, Place, Probe
from semsearch.probing.values import ALL, BenchRow, Figures, Gap, Way
from semsearch.records import Highlight, Hit, Passage
from semsearch.store import ArticleText, Reader

PLACES = ("Almere", "Bergen", "Cadiz", "Dinard", "Erfurt", "Faro", "Ghent", "Husum")
CRAFTS = ("cooper", "glazier", "tanner", "saddler", "weaver", "thatcher", "potter", "fletcher")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight articles, each of its own words, with headings and sentences that can be told from the others."""
    for number, (place, craft) in enumerate(zip(PLACES, CRAFTS, strict=True)):
        other = CRAFTS[(number + 3) % 8]
        text = (
            f"# The {craft} of {place}\n\n"
            f"In {place} a {craft} sold barrels{number} to the abbot every single winter. "
            f"The abbot{number} paid in salt and wax.\n\n"
            f"## Guild rules{number} of {place}\n\n"
            f"Every {craft} swore an oath{number} upon the bridge of {place} at Easter. "
            f"Nobody was asked about the {other}{number} at all.\n"
        )
        path = tmp_path / "articles" / f"{place}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path / "articles"


@pytest.fixture
def index(folder: Path, home: Path) -> Path:
    build(folder, home)
    return home


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_probes_are_asked_of_an_index_that_has_not_their_words(index, monkeypatch):
    written = []
    original = scratch.write

    def write(folder, articles, encoder, known, **options):
        written.append(articles)
        return original(folder, articles, encoder, known, **options)

    monkeypatch.setattr(benching.scratch, "write", write)
    encoder = FakeEncoder()
    before = bytes_of(index)
    found = semsearch.bench(index, probes=12, encoder=encoder)
    assert bytes_of(index) == before
    by_kind = {kind: [probe for probe in found.probes if probe.kind == kind] for kind in ("title", "heading", "sentence")}
    assert {kind: len(probes) for kind, probes in by_kind.items()} == {"title": 4, "heading": 4, "sentence": 4}
    changed = set()
    for (kind, probes), articles in zip(by_kind.items(), written, strict=True):
        said = " ".join(
            " ".join((article.title, *(part for each in article.passages for part in (*each.headings, each.text))))
            for article in articles
        )
        for probe in probes:
            assert probe.text not in said
        own = {source for probe in probes for source in (place.source for place in probe.places)}
        for article in articles:
            if article.source in own:
                changed |= {each.text for each in article.passages}
            else:
                assert article.title.startswith("The ")
                assert [len(each.sentences) for each in article.passages] == [2, 2], kind
    # What is as it was is not encoded again.
    assert encoder.encoded
    assert set(encoder.encoded) <= changed


def test_the_figures(index):
    found = semsearch.bench(index, probes=9, encoder=FakeEncoder())
    assert [row.way.mode for row in found.rows if row.gap is None] == [found.rows[0].way.mode]
    assert {row.way for row in found.rows} == {Way(mode, "fake", None) for mode in ("hybrid", "dense", "lexical")}
    for row in found.rows:
        assert set(row.ranks) == {probe.id for probe in found.probes}
        every = row.figures[ALL]
        assert every.rr == pytest.approx(sum(1 / rank for rank in row.ranks.values() if rank) / len(row.ranks))
        assert every.r1 == pytest.approx(sum(rank == 1 for rank in row.ranks.values()) / len(row.ranks))
        assert every.r10 == pytest.approx(sum(rank is not None for rank in row.ranks.values()) / len(row.ranks))
        assert every.low <= every.rr <= every.high
        assert sum(row.figures[kind].n for kind in ("title", "heading", "sentence")) == every.n == 9
    assert [row.figures[ALL].rr for row in found.rows] == sorted((row.figures[ALL].rr for row in found.rows), reverse=True)
    # The fake encoder knows none of these words; by words each is found, but for sentences, of whose words nothing is left.
    named = next(row for row in found.rows if row.way.mode == "lexical")
    assert named.figures["title"].r1 == named.figures["title"].r10 == 1
    assert repr(found).splitlines()[-1] == found.verdict
    assert "3 titles, 3 headings, 3 sentences" in repr(found)


def test_models_and_passage_sizes_on_the_same_probes(index, monkeypatch):
    monkeypatch.setattr(encoders, "load", FakeEncoder)
    own = FakeEncoder()
    found = semsearch.bench(index, models=["other", "other"], passage_tokens=[20, 60], encoder=own, probes=9)
    # Sixty is what the model takes: that is the index as it is.
    assert {row.way for row in found.rows} == {
        Way("hybrid", model, tokens)
        for model, tokens in (("fake", None), ("fake", 20), ("other", None), ("other", 20), ("other", 60))
    }
    by_way = {row.way: row for row in found.rows}
    assert by_way["hybrid", "fake", None].passages == 16
    assert by_way["hybrid", "fake", 20].passages > 16
    # The other model is the same but for its name, so it finds the same.
    assert by_way["hybrid", "other", 20].ranks == by_way["hybrid", "fake", 20].ranks
    assert found.notes == ()


def test_files_that_are_no_longer_what_was_indexed(index, folder):
    for place in PLACES[:3]:
        (folder / f"{place}.md").write_text("# Other\n\nSomething else now.\n")
    (folder / f"{PLACES[3]}.md").unlink()
    found = semsearch.bench(index, passage_tokens=[20], encoder=FakeEncoder(), probes=4, kinds=["title"])
    assert found.articles == 4
    assert "4 articles are left out" in " ".join(found.notes)
    # Modes are compared on what is indexed, whatever became of the files.
    assert semsearch.bench(index, encoder=FakeEncoder(), probes=6, modes=["lexical"], kinds=["title"]).articles == 8
    for place in PLACES[4:]:
        (folder / f"{place}.md").unlink()
    with pytest.raises(InputError, match="are not where they were"):
        semsearch.bench(index, passage_tokens=[20], encoder=FakeEncoder())


def test_a_large_index_is_sampled(index, monkeypatch):
    monkeypatch.setattr(benching, "MOST_PASSAGES", 8)
    found = semsearch.bench(index, encoder=FakeEncoder(), probes=6)
    assert (found.articles, found.passages, found.all_articles, found.all_passages) == (4, 8, 8, 16)
    assert found.notes[0].startswith("a sample: 4 of 8 articles")
    chosen = {place.source for probe in found.probes for place in probe.places}
    assert chosen <= {f"{index.parent}/articles/{place}.md" for place in PLACES}


def test_compact_indexes(folder, home):
    build(folder, home, compact=True)
    found = semsearch.bench(home, encoder=FakeEncoder(), probes=4, kinds=["sentence"])
    assert len(found.rows) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probes": 0}, "probes is 0"),
        ({"modes": ["both"]}, "no mode 'both'"),
        ({"kinds": ["footnote"]}, "no kind of probes 'footnote'"),
        ({"passage_tokens": [15]}, "passage_tokens is 15"),
        ({"passage_tokens": [61]}, "more than the 60 that the model takes"),
    ],
)
def test_what_makes_no_sense_is_refused(index, options, message):
    with pytest.raises(InputError, match=message):
        semsearch.bench(index, encoder=FakeEncoder(), **options)


def test_articles_that_give_no_probes(tmp_path, home):
    (tmp_path / "a.md").write_text("# One\n\nIt is so.\n")
    build(tmp_path / "a.md", home)
    with pytest.raises(InputError, match="give no probes"):
        semsearch.bench(home, encoder=FakeEncoder())


def hit(rank: int, source: str, start: int) -> Hit:
    return Hit(rank, 0.5, "t", "", source, start, start + 10, 1, 1, "", Highlight(0, 0, ""), {}, {})


def test_an_index_without_articles(index, folder):
    semsearch.remove(folder, index)
    with pytest.raises(InputError, match="give no probes"):
        semsearch.bench(index, encoder=FakeEncoder())


def test_nothing_of_an_article_steers_a_terminal(tmp_path, home, no_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    title = "The \\u001b[31mcooper\\u202e of Almere"
    record = '{"title": "%s", "text": "Once he sold a barrel of herring to the abbot. It was the last of that winter, they say."}'
    Path("all.jsonl").write_text(record % title + "\n")
    build("all.jsonl", home)
    result = run("bench", "--index", str(home), "--probes-out", "probes.jsonl")
    kept = Path("probes.jsonl").read_text()
    assert "cooper" in kept
    for said in (result.stdout, result.stderr, kept, run("bench", "--index", str(home), "--json").stdout):
        assert not {"\x1b", "\u202e"} & set(said)
    Path("q.txt").write_text("cooper \x1b[31m herring\n")
    (tmp_path / "b.jsonl").write_text(record % "Another \\u001b[31mtitle" + "\n")
    build("b.jsonl", tmp_path / "other")
    for options in ((), ("--json",)):
        said = run("diff", str(home), "other", "--queries", "q.txt", *options).stdout
        assert "cooper" in said
        assert "\x1b" not in said


def unit_starts(**starts: list[int]) -> Units:
    """Articles by the offsets at which their longest passages begin."""
    cut = {source: tuple(Passage("t", (), 1, 1, at, at + 1, (), ()) for at in offsets) for source, offsets in starts.items()}
    return Units([ArticleText(source, "", {}, passages) for source, passages in cut.items()])


def test_ranks():
    units = unit_starts(a=[0, 30, 100], b=[0], x=[0, 20])
    title = Probe("t", "title", "", (Place("a", 0, EVERYWHERE), Place("b", 0, EVERYWHERE)), None, "")
    assert rank_of(title, [hit(1, "x", 0), hit(2, "b", 5)], units) == 2
    assert rank_of(title, [hit(1, "x", 0)], units) is None
    # The sentence stood at 60; the passage from 30 to 100 answers, whichever part of it is found.
    sentence = Probe("s", "sentence", "", (Place("a", 40, 60),), Place("a", 60, 70), "")
    assert rank_of(sentence, [hit(1, "a", 0), hit(2, "a", 31)], units) == 2
    assert rank_of(sentence, [hit(1, "a", 0), hit(2, "a", 80)], units) == 2
    assert rank_of(sentence, [hit(1, "a", 0), hit(2, "a", 100), hit(3, "b", 45)], units) is None
    # Parts of one passage are one place.
    assert rank_of(sentence, [hit(1, "x", 20), hit(2, "x", 25), hit(3, "x", 28), hit(4, "a", 90)], units) == 2
    heading = Probe("h", "heading", "", (Place("a", 0, 60),), None, "")
    assert rank_of(heading, [hit(1, "a", 100), hit(2, "a", 50)], units) == 2
    many = unit_starts(x=list(range(0, 400, 20)), a=[0])
    found = [hit(number, "x", 20 * number) for number in range(1, 11)]
    assert rank_of(title, [*found[:9], hit(10, "a", 0)], many) == 10
    assert rank_of(title, [*found, hit(11, "a", 0)], many) is None


def test_a_titles_rank_is_among_articles(tmp_path, home):
    """The other article has the words in each of its passages."""
    (tmp_path / "a").mkdir()
    other = "\n\n".join(f"In Oulu a ferryman again, and his sledge number {number}, on a day of no wind." for number in range(9))
    (tmp_path / "a" / "one.md").write_text(f"# Chronicle\n\n{other}\n")
    (tmp_path / "a" / "two.md").write_text("# The ferryman of Oulu\n\nIn Oulu he rowed for forty years and never said a word.\n")
    build(tmp_path / "a", home)
    found = semsearch.bench(home, kinds=["title"], modes=["lexical"], encoder=FakeEncoder())
    assert {probe.text: rank for probe, rank in zip(found.probes, found.rows[0].ranks.values(), strict=True)} == {
        "The ferryman of Oulu": 2
    }


def test_shares():
    assert _shares(300, {"title": 500, "heading": 20, "sentence": 500}) == {"title": 140, "heading": 20, "sentence": 140}
    assert _shares(10, {"title": 0, "heading": 0, "sentence": 99}) == {"title": 0, "heading": 0, "sentence": 10}
    assert _shares(9, {"title": 2, "heading": 1, "sentence": 2}) == {"title": 2, "heading": 1, "sentence": 2}


def row(mode: str, rr: float, p: float | None) -> BenchRow:
    gap = None if p is None else Gap(-0.1, -0.2, 0.0, p, p)
    return BenchRow(Way(mode, "m", None), 9, {ALL: Figures(50, rr, rr, rr, rr, rr)}, gap, {})


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("hybrid", 0.8, None)], "50 probes: nothing to compare with."),
        (
            [row("hybrid", 0.8, None), row("dense", 0.7, 0.01), row("lexical", 0.6, 0.04)],
            "hybrid does best here (RR@10 0.800 on 50 probes), and not by chance: ahead of dense and lexical.",
        ),
        (
            [row("dense", 0.8, None), row("hybrid", 0.79, 0.5), row("lexical", 0.6, 0.04)],
            "dense and hybrid do best here and cannot be told apart (RR@10 0.800 on 50 probes); lexical does worse.",
        ),
        (
            [row("hybrid", 0.8, None), row("dense", 0.7, 0.2), row("lexical", 0.6, 0.06)],
            "50 probes cannot tell hybrid, dense and lexical apart.",
        ),
    ],
)
def test_the_verdict(rows, said):
    assert verdict(rows) == said


def test_the_verdict_names_what_tells_ways_apart():
    def sized(model, tokens, rr, p):
        return replace(row("hybrid", rr, p), way=Way("hybrid", model, tokens))

    rows = [sized("m", None, 0.8, None), sized("m", 64, 0.7, 0.01), sized("n", 64, 0.6, 0.01)]
    assert verdict(rows) == (
        "m (passages as long as the model takes) does best here (RR@10 0.800 on 50 probes), and not by chance: "
        "ahead of m (passages of 64 tokens) and n (passages of 64 tokens)."
    )
    rows = [sized("m", None, 0.8, None), *(sized("m", tokens, 0.7, 0.01) for tokens in range(20, 70, 10))]
    assert verdict(rows).endswith("ahead of the other 5.")


def test_the_command(index, no_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("bench", "--index", str(index), "--probes", "9", "--json", "--probes-out", "probes.jsonl", "--seed", "3")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["probes"] == {"title": 3, "heading": 3, "sentence": 3}
    assert document["seed"] == 3
    assert {each["mode"] for each in document["rows"]} == {"hybrid", "dense", "lexical"}
    assert document["rows"][0]["behind_best"] is None
    assert document["rows"][1]["behind_best"]["p_holm"] <= 1
    lines = [json.loads(line) for line in Path("probes.jsonl").read_text().splitlines()]
    assert len(lines) == 9
    assert set(lines[0]) == {"id", "kind", "text", "sources", "start", "end", "answer", "ranks"}
    assert "9 probes with their answers are in probes.jsonl" in result.stderr
    table = run("bench", "--index", str(index), "--mode", "lexical").stdout
    assert table.splitlines()[-1].endswith("nothing to compare with.")
    refused = run("bench", "--index", str(index), "--probes-out", "no/such/folder.jsonl")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert run("bench", "--index", "nowhere").exit_code == 2


LONG = " ".join(f"Sentence number {number} says that the oil went up by some {number} dollars." for number in range(12))


def texts(home: Path) -> list[str]:
    return [item[0].text for item in contents(home)]


def test_passages_of_a_given_size(tmp_path, home):
    file = tmp_path / "a.md"
    file.write_text(f"# Oil\n\n{LONG}\n\nA short paragraph that nobody has to split at all.\n")
    build(file, home)
    default = texts(home)
    report, _ = build(file, home, passage_tokens=30)
    assert (report.changed, report.unchanged) == (1, 0)
    small = texts(home)
    assert len(small) > len(default)
    assert all(len(text.split()) + 1 <= 30 for text in small)
    assert " ".join(text for text in small if text.startswith("Sentence")) == LONG
    # Paragraphs are never joined.
    assert "A short paragraph that nobody has to split at all." in small
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        assert opened.status()["passage_tokens"] == 30
    # The index remembers it, and what was cut so is not encoded again.
    report, encoded = build(file, home)
    assert (report.changed, report.unchanged, encoded) == (0, 1, [])
    (tmp_path / "b.md").write_text(f"# More\n\n{LONG}\n")
    build(tmp_path / "b.md", home)
    assert all(len(text.split()) + 1 <= 30 for text in texts(home))
    assert semsearch.check(home, sources=True, encoder=FakeEncoder()).citations == {
        "OK": len(texts(home)),
        "MOVED": 0,
        "STALE": 0,
    }


def test_the_citation_is_looked_for_as_it_was_cut(tmp_path, home):
    file = tmp_path / "a.md"
    file.write_text(f"# Oil\n\n{LONG}\n")
    build(file, home, passage_tokens=30)
    file.write_text(f"# Oil\n\nA new paragraph stands above what there was before it.\n\n{LONG}\n")
    report = semsearch.check(home, sources=True, encoder=FakeEncoder())
    assert report.citations == {"OK": 0, "MOVED": len(texts(home)), "STALE": 0}


def test_another_size_and_back(tmp_path, home):
    file = tmp_path / "a.md"
    file.write_text(f"# Oil\n\n{LONG}\n")
    build(file, home)
    before = texts(home)
    build(file, home, passage_tokens=30)
    report, encoded = build(file, home, passage_tokens=60)
    # As many as the model takes is the default.
    assert texts(home) == before
    assert report.encoded == len(encoded) == len(before)
    with semsearch.open(home, encoder=FakeEncoder()) as opened, closing(Reader(home)) as reader:
        assert opened.status()["passage_tokens"] is None
        assert " " not in reader.meta["passages"]
    report, _ = build(file, home, passage_tokens=60)
    assert report.unchanged == 1


@pytest.mark.parametrize("tokens", [0, 15, -3, 61, 1000, True, 20.5])
def test_sizes_that_make_no_sense(tmp_path, home, tokens):
    (tmp_path / "a.md").write_text(f"# Oil\n\n{LONG}\n")
    build(tmp_path / "a.md", home)
    before = bytes_of(home)
    with pytest.raises(InputError, match="passage_tokens is"):
        build(tmp_path / "a.md", home, passage_tokens=tokens)
    kept = {name: data for name, data in bytes_of(home).items() if not name.endswith(("-wal", "-shm", ".lock"))}
    assert kept == {name: data for name, data in before.items() if not name.endswith(("-wal", "-shm", ".lock"))}


def test_the_size_on_the_command_line(tmp_path, home, no_model):
    (tmp_path / "a.md").write_text(f"# Oil\n\n{LONG}\n")
    assert run("index", str(tmp_path / "a.md"), "--index", str(home), "--passage-tokens", "30").exit_code == 0
    assert json.loads(run("status", "--index", str(home), "--json").stdout)["passage_tokens"] == 30
    assert "passage_tokens 30" in run("status", "--index", str(home)).stdout
    refused = run("index", str(tmp_path / "a.md"), "--index", str(home), "--passage-tokens", "61")
    assert refused.exit_code == 2
    assert "more than the 60 that the model takes" in refused.stderr
    assert run("index", str(tmp_path / "a.md"), "--index", str(home), "--passage-tokens", "3").exit_code == 2
