"""The page of a map in a real browser: headless Chromium, by Playwright."""

from __future__ import annotations

import pytest
from conftest import WORDS, FakeEncoder
from helpers import CHROMIUM, records, sentence

import semsearch

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the path"),
    pytest.mark.filterwarnings("default"),
]

ATTACK = "<img src=x onerror=window.hurt=1></script><script>window.hurt=2</script>"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    given = [
        {
            "title": f"{word} {ATTACK}",
            "text": sentence(f"{word} {WORDS[number - 1]} {ATTACK}"),
            "kind": ("odd", "even")[number % 2],
        }
        for number, word in enumerate(WORDS)
    ]
    with semsearch.build(records(folder / "all", given), folder / "index", encoder=FakeEncoder()) as built:
        yield built


@pytest.fixture
def opened(browser, index, tmp_path):
    """Opens the map of a question; nothing may go wrong on it, and nothing be asked of anybody."""
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    page = context.new_page()
    page.set_default_timeout(15_000)
    problems, asked = [], []
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))

    def open_map(question: str, **options):
        index.plot(question, **options).to_html(tmp_path / "map.html")
        page.goto((tmp_path / "map.html").as_uri())
        return page

    yield open_map
    assert page.evaluate("window.hurt") is None
    context.close()
    assert not problems
    assert asked == [(tmp_path / "map.html").as_uri()]


def at(page, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_pointing_shows_a_passage_and_a_click_keeps_it(opened):
    page = opened("oil", k=3, color="kind")
    card = page.locator(".card")
    assert card.is_hidden()
    page.mouse.move(*at(page, ".hit:has-text('1') circle"))
    assert card.is_visible()
    assert "oil <img src=x onerror" in card.locator("strong").inner_text()
    assert "all.jsonl#3:3" in card.inner_text()
    assert "hit 1, score " in card.inner_text()
    page.mouse.move(3, 3)
    assert card.is_hidden()
    page.mouse.click(*at(page, ".hit:has-text('1') circle"))
    page.mouse.move(3, 3)
    assert card.is_visible()
    page.keyboard.press("Escape")
    page.locator(".hits button").nth(1).focus()
    assert "hit 2, score " in card.inner_text()


def test_any_passage_is_found_where_it_is_drawn(opened):
    page = opened("oil", k=1)
    places = page.evaluate(
        "(() => { const data = JSON.parse(document.querySelector('script').textContent);"
        " const box = document.querySelector('svg').getBoundingClientRect(), pixel = data.width / box.width;"
        " return data.x.map((x, at) => [box.x + x / pixel, box.y + data.y[at] / pixel, data.articles[data.article[at]][0]]) })()"
    )
    assert len(places) == 10
    for x, y, title in places:
        page.mouse.move(x, y)
        assert page.locator(".card strong").inner_text() == title


def test_a_group_can_be_hidden_and_the_map_be_zoomed(opened):
    page = opened("oil", k=1, color="kind")
    even = page.locator(".legend button", has_text="even")
    assert page.locator(".dots[data-group='0']").is_visible()
    even.click()
    assert even.get_attribute("aria-pressed") == "false"
    assert [page.locator(f".dots[data-group='{group}']").is_visible() for group in (0, 1)] == [False, True]
    before = at(page, ".star")
    page.get_by_title("nearer").click()
    assert "scale(1.6)" in page.locator(".view").get_attribute("transform")
    x, y = at(page, ".star")
    assert (x, y) != before
    page.mouse.move(300, 300)
    page.mouse.down()
    page.mouse.move(340, 320, steps=4)
    page.mouse.up()
    assert at(page, ".star") == pytest.approx((x + 40, y + 20), abs=0.5)
    assert page.locator(".card").is_hidden()
    page.get_by_title("all of it").click()
    assert at(page, ".star") == pytest.approx(before, abs=0.1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_anybody_can_use_it(browser, index, tmp_path, scheme):
    """axe-core finds nothing, and nothing is wider than the screen of a phone, where no passage hides the map."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(viewport={"width": 390, "height": 800}, color_scheme=scheme, bypass_csp=True)
    try:
        page = context.new_page()
        index.plot("oil", k=3, color="kind").to_html(tmp_path / "map.html")
        page.goto((tmp_path / "map.html").as_uri())
        page.locator(".hits button").first.click()
        card, stage = page.locator(".card").bounding_box(), page.locator(".stage").bounding_box()
        assert stage["y"] + stage["height"] <= card["y"] <= card["y"] + card["height"] <= 800
        found = axe.run(page).response["violations"]
        assert not found, [(item["id"], [node["html"] for node in item["nodes"]][:3]) for item in found]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    finally:
        context.close()


def test_two_maps_in_one_notebook_and_its_dark_theme(browser, index):
    page = browser.new_page()
    shown = index.plot("oil", color="kind")._repr_html_() + index.plot("sword", color="similarity")._repr_html_()
    try:
        colours = {}
        for light in ("true", "false"):
            page.set_content(f'<body data-jp-theme-light="{light}">{shown}</body>')
            assert page.locator(".semsearch-map[data-live]").count() == 2
            colours[light] = page.evaluate(
                "[...document.querySelectorAll('.dots[data-group=\"0\"]')].map((dots) => getComputedStyle(dots).stroke)"
            )
        assert colours == {
            "true": ["rgb(66, 105, 208)", "rgb(195, 205, 218)"],
            "false": ["rgb(127, 156, 245)", "rgb(61, 72, 86)"],
        }
    finally:
        page.close()
