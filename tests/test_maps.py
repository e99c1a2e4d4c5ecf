"""Maps of passages: where they are placed, what they are coloured by, and what the page and the picture hold."""

from __future__ import annotations

import builtins
import json
import re
import sys
from dataclasses import FrozenInstanceError
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import WORDS, FakeEncoder
from helpers import records, run, sentence

import semsearch
from semsearch.errors import InputError, MissingExtra
from semsearch.maps import colors
from semsearch.maps.projection import project

ATTACK = "<script>window.hurt=1</script><img src=x onerror=window.hurt=2></script><!-- \u202e & \"'"


def article(number: int) -> dict:
    """Two passages each, about one word and another, so that no two articles are alike."""
    one, other = WORDS[number % 10], WORDS[(number * 3 + 1) % 10]
    return {
        "title": f"Report {number}",
        "text": "\n\n".join((sentence(f"{one} {other} " + f"{one} " * (number % 4)), sentence(f"{other} {number}"))),
        "date": f"{1990 + number}-03-0{1 + number % 9}",
        "tags": [WORDS[number % 3], "report"],
        "year": 1990 + number,
        "kind": "long" if number % 4 else "short",
    }


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    with semsearch.build(
        records(folder / "all", [article(n) for n in range(30)]), folder / "index", encoder=FakeEncoder()
    ) as built:
        yield built


def vectors(seed: int, n: int, d: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32) * np.linspace(3, 1, d, dtype=np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_pca_is_that_of_the_singular_values():
    given = vectors(1, 50, 12)
    placed = project(given, 40, "pca")
    mean = given[:40].astype(np.float64).mean(axis=0)
    _, values, axes = np.linalg.svd(given[:40] - mean, full_matrices=False)
    expected = (given - mean) @ axes[:2].T
    assert placed.places.shape == (50, 2)
    assert placed.places.dtype == np.float32
    # Either way along an axis is a principal component.
    signs = np.sign((placed.places * expected).sum(axis=0))
    assert np.allclose(placed.places, expected * signs, atol=1e-6)
    assert placed.explained_variance == pytest.approx(values[:2] ** 2 / (values**2).sum())


def test_pca_points_the_same_way_each_time():
    given = vectors(2, 40, 6)
    axes = np.linalg.lstsq(given - given.mean(axis=0), project(given, 40, "pca").places, rcond=None)[0]
    assert (axes[np.abs(axes).argmax(axis=0), [0, 1]] > 0).all()
    mirrored = project(given[::-1].copy(), 40, "pca").places[::-1]
    assert np.allclose(mirrored, project(given, 40, "pca").places, atol=1e-6)


@pytest.mark.parametrize(("n", "d"), [(1, 4), (2, 4), (5, 1), (3, 2)])
def test_pca_of_next_to_nothing(n, d):
    given = np.eye(n + 1, d, dtype=np.float32)
    placed = project(given, n, "pca")
    assert placed.places.shape == (n + 1, 2)
    assert np.isfinite(placed.places).all()
    assert placed.explained_variance is not None
    assert sum(placed.explained_variance) == pytest.approx(1 if n > 1 and d > 1 else sum(placed.explained_variance))
    assert project(np.ones((4, 3), np.float32), 3, "pca").explained_variance == (0, 0)


def test_umap_is_made_of_the_passages_and_takes_the_others_on(monkeypatch):
    made = []

    class Mapper:
        def __init__(self, **options):
            made.append(options)

        def fit_transform(self, given):
            self.fitted = len(given)
            return given[:, :2] + 1

        def transform(self, given):
            return given[:, :2] - self.fitted

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Mapper))
    given = vectors(3, 14, 5)
    placed = project(given, 12, "umap")
    assert made == [{"n_neighbors": 11, "metric": "cosine", "random_state": 7, "n_jobs": 1}]
    assert np.array_equal(placed.places, np.concatenate([given[:12, :2] + 1, given[12:, :2] - 12]))
    assert placed.explained_variance is None
    with pytest.raises(InputError, match="9 passages are too few for UMAP"):
        project(given, 9, "umap")


@pytest.mark.skipif(
    "not __import__('os').environ.get('SEMSEARCH_UMAP')", reason="SEMSEARCH_UMAP is not set: UMAP takes 20 seconds"
)
def test_umap_itself_keeps_groups_together(index):
    first = index.plot("oil", method="umap")
    again = index.plot("oil", method="umap")
    assert np.array_equal(first.coordinates, again.coordinates)
    near = np.linalg.norm(first.coordinates - first.question, axis=1)
    assert near[first.ranks > 0].mean() < np.median(near)
    assert "by UMAP" in first.summary()


def test_umap_that_is_not_installed(index, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "semsearch\[umap\]"'):
        index.plot("oil", method="umap")


def test_a_map_has_all_passages_the_question_and_its_hits(index):
    drawn = index.plot("oil and gas", k=4)
    asked = FakeEncoder().encode_queries(["oil and gas"]).vectors[0]
    frame = index.to_dataframe(vectors=True)
    stored = np.stack(frame["vector"])
    assert len(drawn) == drawn.n_passages == len(frame) == 60
    assert np.allclose(drawn.similarity, stored @ asked, atol=1e-6)
    expected = project(np.concatenate([stored, asked[None]]), 60, "pca")
    assert np.allclose(drawn.coordinates, expected.places[:60], atol=1e-5)
    assert np.allclose(drawn.question, expected.places[60], atol=1e-5)
    assert drawn.explained_variance == pytest.approx(expected.explained_variance)
    found = index.search("oil and gas", 4)
    assert [hit.passage_id for hit in drawn.results] == [hit.passage_id for hit in found]
    by_rank = {int(drawn.ranks[place]): drawn.rows[place].passage_id for place in np.flatnonzero(drawn.ranks)}
    assert by_rank == {hit.rank: hit.passage_id for hit in found}


def test_a_map_is_frozen(index):
    drawn = index.plot("oil")
    with pytest.raises(FrozenInstanceError):
        drawn.method = "umap"
    for array in (drawn.coordinates, drawn.question, drawn.similarity, drawn.ranks, drawn.colored.groups):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_of_many_passages_a_sample_is_drawn_and_the_hits_with_it(index):
    drawn, other = index.plot("oil", k=5, limit=12), index.plot("sword", k=5, limit=12)
    assert drawn.n_passages == 60
    assert 12 <= len(drawn) <= 17
    assert sorted(drawn.ranks[drawn.ranks > 0]) == [1, 2, 3, 4, 5]
    # Evenly from all articles, and the same whatever is asked.
    sample = [row.passage_id for row in drawn.rows[:12]]
    assert sample == [row.passage_id for row in other.rows[:12]]
    assert sample == index.to_dataframe()["passage_id"][::5].tolist()
    assert np.array_equal(drawn.coordinates[:12], other.coordinates[:12])
    assert drawn.summary().startswith(f"{len(drawn)} of 60 passages by PCA: the two axes carry ")
    assert np.array_equal(index.plot("oil", k=5, limit=12).coordinates, drawn.coordinates)


def test_a_filter_leaves_what_is_drawn(index):
    drawn = index.plot("oil", where="kind=short")
    assert drawn.n_passages == len(drawn) == 16
    assert {row.metadata["kind"] for row in drawn.rows} == {"short"}
    with pytest.raises(InputError, match="no passages to put on a map"):
        index.plot("oil", where="kind=none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "tsne"}, "no method 'tsne': use 'pca' or 'umap'"),
        ({"limit": 0}, "limit is 0"),
        ({"color": "colour"}, "no article on the map has 'colour' in its metadata"),
        ({"k": 0}, "k is 0"),
        ({"mode": "fast"}, "no mode 'fast'"),
    ],
)
def test_what_makes_no_map(index, options, message):
    with pytest.raises(InputError, match=message):
        index.plot("oil", **options)
    with pytest.raises(InputError, match="the question is empty"):
        index.plot("  ")


def test_colors_by_article_begin_with_those_of_the_hits(index):
    drawn = index.plot("election", k=3, color="article")
    labels = drawn.colored.labels
    assert len(labels) == colors.GROUPS
    assert labels[:2] == tuple(dict.fromkeys(hit.title for hit in drawn.results))[:2]
    assert drawn.colored.counts()[-1] == 60 - sum(drawn.colored.counts()[:-1]) > 0
    for place, group in enumerate(drawn.colored.groups):
        assert group == colors.OTHERS or labels[group] == drawn.rows[place].title


def test_colors_when_none_are_named(index):
    assert index.plot("oil").colored.by == "similarity"
    few = index.plot("oil", where="year<1995")
    assert few.colored.by == "article"
    assert sorted(few.colored.labels) == [f"Report {number}" for number in range(5)]
    assert few.colored.counts() == [2, 2, 2, 2, 2, 0]


def test_colors_by_similarity_are_steps(index):
    drawn = index.plot("oil", color="similarity")
    low, high = drawn.similarity.min(), drawn.similarity.max()
    steps = np.minimum(((drawn.similarity.astype(float) - low) / ((high - low) / 7)).astype(int), 6)
    assert np.array_equal(drawn.colored.groups, steps)
    assert drawn.colored.stepped
    assert drawn.colored.labels[-1].endswith(f"{high:.2f}")
    assert drawn.colored.labels[0].startswith(f"{low:.2f}")


def test_colors_by_metadata(index):
    kinds = index.plot("oil", color="kind").colored
    assert (kinds.labels, kinds.counts(), kinds.stepped) == (("long", "short"), [44, 16, 0], False)
    # Of a list the value that most others have.
    tags = index.plot("oil", color="tags").colored
    assert (tags.labels, tags.counts()) == (("report", "aid", "oil", "vaccine"), [60, 0, 0, 0, 0])
    years = index.plot("oil", color="year").colored
    assert years.stepped
    assert (years.labels[0], years.labels[-1]) == ("1990 to 1994", "2015 to 2019")
    dates = index.plot("oil", color="date").colored
    assert dates.stepped
    assert dates.labels[0].startswith("1990-03-01 to 199")


def test_colors_of_values_that_are_odd():
    found = [{"a": 10**400}, {"a": float("nan")}, {"a": True}, {"a": {"b": 1}}, {"a": None}, {"a": ""}, {}, {"a": [["x"], "y"]}]
    colored = colors.by_key("a", found)
    assert colored.groups.tolist()[4:7] == [colors.OTHERS] * 3
    assert {"true", '{"b": 1}', "NaN"} <= set(colored.labels)
    numbers = colors.by_key("a", [{"a": value} for value in (*range(20), 10**400)])
    assert not numbers.stepped
    assert colors.by_key("a", [*({"a": value} for value in range(20)), {}]).groups[-1] == colors.OTHERS
    assert colors.by_similarity(np.full(3, 0.5, np.float32)).groups.tolist() == [0, 0, 0]


def test_palettes_are_as_long_as_what_they_color():
    stepped, grouped = colors.by_similarity(np.linspace(0, 1, 9, dtype=np.float32)), colors.by_key("a", [{"a": "x"}, {"a": "y"}])
    scale = colors.palette(stepped, colors.LIGHT, ("#000000", "#0c1218"))
    assert scale == ["#000000", "#020304", "#040608", "#06090c", "#080c10", "#0a0f14", "#0c1218"]
    assert colors.palette(grouped, colors.LIGHT, colors.LIGHT_SCALE) == list(colors.LIGHT[:2])
    assert len(set(colors.LIGHT)) == len(set(colors.DARK)) == colors.GROUPS


class Page(HTMLParser):
    """What a page holds: elements with their attributes, and its scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.scripts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.elements and self.elements[-1][0] == "script":
            self.scripts.append(data)

    def __getitem__(self, kind: str) -> list[dict]:
        return [attributes for _, attributes in self.elements if kind in (attributes.get("class") or "").split()]


def test_the_page_is_whole_and_loads_nothing(index, tmp_path):
    drawn = index.plot("oil and gas", k=4, color="kind")
    drawn.to_html(tmp_path / "map.html")
    text = (tmp_path / "map.html").read_text(encoding="utf-8")
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert not {"link", "img", "iframe", "object", "base"} & {tag for tag, _ in page.elements}
    assert not {"src", "href"} & {name for _, attributes in page.elements for name in attributes}
    assert not re.findall(r"url\(|@import|fetch\(|XMLHttpRequest|https?://(?!www\.w3\.org/2000/svg)", text)
    data = json.loads(page.scripts[0])
    assert len(data["x"]) == len(data["y"]) == len(data["text"]) == 60
    # All passages are drawn without the script, each once: as dots of their groups, or as hits.
    dots = {int(found["data-group"]): found["d"].count("M") for found in page["dots"]}
    assert sum(dots.values()) + len(page["hit"]) == 60
    assert len(page["hit"]) == 4
    assert len(page["star"]) == 1
    hits = {int(place): rank for place, (rank, _) in data["hits"].items()}
    assert {int(found["data-at"]): drawn.ranks[int(found["data-at"])] for found in page["hit"]} == hits
    assert [button["data-group"] for tag, button in page.elements if tag == "button" and "data-group" in button] == ["0", "1"]


def test_the_page_has_one_scale_for_both_axes(index):
    drawn = index.plot("oil and gas", k=4)
    data = json.loads(Page(drawn._repr_html_()).scripts[0])
    shown = np.stack([data["x"], data["y"]], axis=1)
    scale = np.ptp(shown[:, 0]) / np.ptp(drawn.coordinates[:, 0])
    moved = drawn.coordinates * (scale, -scale)
    assert np.allclose(shown - shown[0], moved - moved[0], atol=0.02)
    assert np.allclose(np.asarray(data["star"]) - shown[0], drawn.question * (scale, -scale) - moved[0], atol=0.02)
    assert (shown >= 0).all()
    assert (shown <= (900, 600)).all()


def test_a_notebook_shows_the_map_and_light_and_dark_are_its_own(index):
    shown = index.plot("oil")._repr_html_()
    assert shown.startswith('<div class="semsearch-map">')
    assert "<html" not in shown
    assert "data-jp-theme-light" in shown
    assert "vscode-dark" in shown


def test_a_page_escapes_everything(tmp_path):
    hostile = {"title": ATTACK, "text": f"# {ATTACK}\n\n{ATTACK} oil {sentence('oil')}", "kind": ATTACK}
    other = {"title": "Plain", "text": sentence("oil gas"), "kind": "x"}
    with semsearch.build(records(tmp_path / "all", [hostile, other]), tmp_path / "index", encoder=FakeEncoder()) as built:
        for color in ("article", "kind", "similarity"):
            drawn = built.plot(f"oil {ATTACK}", color=color)
            page = Page(drawn._repr_html_())
            tags = [tag for tag, _ in page.elements]
            assert tags.count("script") == 2
            assert "img" not in tags
            assert not {name for _, attributes in page.elements for name in attributes if name.startswith("on")}
            data = json.loads(page.scripts[0])
            assert any(title.startswith("<script>") for title, _ in data["articles"])
            assert "\u202e" not in drawn._repr_html_()
        drawn.to_html(tmp_path / "map.html")
        assert Page((tmp_path / "map.html").read_text(encoding="utf-8")).scripts[0] == page.scripts[0]


def test_a_picture(index, tmp_path):
    pytest.importorskip("matplotlib")
    drawn = index.plot("oil $x_1$ 中文", k=3, color="tags")
    drawn.to_png(tmp_path / "map.png", dpi=40)
    data = (tmp_path / "map.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n")
    assert int.from_bytes(data[16:20], "big") == 400
    from matplotlib.image import imread

    pixels = imread(tmp_path / "map.png")
    accent = np.asarray([0xC2, 0x26, 0x0C]) / 255
    assert (np.abs(pixels[:, :, :3] - accent).max(axis=2) < 0.1).sum() > 10


def test_a_picture_without_matplotlib(index, tmp_path, monkeypatch):
    load = builtins.__import__

    def refuse(name, *rest, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name=name)
        return load(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtra, match=r'to_png\(\) needs matplotlib: python -m pip install "semsearch\[plot\]"'):
        index.plot("oil").to_png(tmp_path / "map.png")
    assert not (tmp_path / "map.png").exists()


def test_a_file_that_cannot_be_written(index, tmp_path):
    drawn = index.plot("oil")
    with pytest.raises(InputError, match=r"cannot be written"):
        drawn.to_html(tmp_path / "none" / "map.html")
    with pytest.raises(InputError, match="dpi is 0"):
        drawn.to_png(tmp_path / "map.png", dpi=0)


def test_the_map_as_a_table(index):
    pytest.importorskip("pandas")
    drawn = index.plot("oil", k=3, color="kind")
    frame = drawn.to_dataframe()
    everything = index.to_dataframe()
    assert list(frame.columns) == [*everything.columns, "x", "y", "similarity", "rank", "group"]
    assert frame["passage_id"].tolist() == everything["passage_id"].tolist()
    assert np.array_equal(frame[["x", "y"]].to_numpy(np.float32), drawn.coordinates)
    assert frame["group"].tolist() == frame["metadata.kind"].tolist()
    ranked = frame[frame["rank"] > 0].sort_values("rank")
    assert ranked["passage_id"].tolist() == [hit.passage_id for hit in drawn.results]


def test_repr_says_what_is_drawn_and_how_far_to_trust_it(index):
    drawn = index.plot("oil")
    first, second = drawn.explained_variance
    assert repr(drawn) == (
        f"<map of 60 passages by PCA: the two axes carry {100 * (first + second):.0f} % of the variance "
        f"({100 * first:.1f} + {100 * second:.1f})>"
    )


def test_plot_in_the_shell(index, tmp_path, monkeypatch):
    from semsearch import encoder

    monkeypatch.setattr(encoder, "load_for", lambda fingerprint, network: FakeEncoder())
    home = index.status()["path"]
    target = str(tmp_path / "map.html")
    done = run("plot", "oil", "--index", home, "--output", target, "--where", "kind=short", "--color", "year")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{target}: 16 passages by PCA: the two axes carry ")
    assert len(json.loads(Page((tmp_path / "map.html").read_text(encoding="utf-8")).scripts[0])["x"]) == 16
    told = json.loads(run("plot", "oil", "-k", "3", "--index", home, "--output", target, "--json").stdout)
    assert {key: told[key] for key in ("output", "query", "method", "passages", "of", "hits", "color")} == {
        "output": target,
        "query": "oil",
        "method": "pca",
        "passages": 60,
        "of": 60,
        "hits": 3,
        "color": "similarity",
    }
    wrong = run("plot", "oil", "--index", home, "--output", "map.pdf")
    assert wrong.exit_code == 2
    assert "neither .html nor .png: see semsearch plot --help" in wrong.stderr
    assert run("plot", "oil", "--index", home, "--output", str(tmp_path / "none" / "map.html")).exit_code == 2
    picture = str(tmp_path / "map.png")
    assert run("plot", "oil", "--index", home, "--output", picture).exit_code == 0
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_maps_are_of_one_generation(tmp_path, monkeypatch):
    """Another thread goes on to the next generation while a question is answered."""
    source = records(tmp_path / "all", [article(n) for n in range(6)])
    with semsearch.build(source, tmp_path / "index", encoder=FakeEncoder()) as built:
        search = type(built).search
        turned = []

        def turning(self, *given, **options):
            found = search(self, *given, **options)
            if not turned:
                records(tmp_path / "all", [article(n) for n in range(3, 9)])
                semsearch.build(source, tmp_path / "index", encoder=FakeEncoder()).close()
                turned.append(self.refresh())
            return found

        monkeypatch.setattr(type(built), "search", turning)
        drawn = built.plot("oil", k=5)
        assert turned == [True]
        assert sorted({row.title for row in drawn.rows}) == [f"Report {number}" for number in range(3, 9)]
        assert (drawn.ranks > 0).sum() == 5
