"""The page in a real browser: headless Chromium, by Playwright."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import made
import pytest
from conftest import FakeEncoder
from helpers import CHROMIUM, FILLER, Served, records

import semsearch

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the path"),
    pytest.mark.filterwarnings("default"),
]

HOSTILE = {
    "title": "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 2'>",
    "text": "</p></li><script>window.hurt = 3</script> <img src=x onerror=window.hurt=4> <svg/onload=window.hurt=5> election "
    "javascript:alert(1) {{7*7}} \u202e gnitset <a href='javascript:window.hurt=6'>here</a> said the whole town that day.",
    "url": "javascript:window.hurt=7",
    "author": "<b>Nobody</b>",
    "date": "<i>2019</i>",
    "tags": ["<img src=x onerror=window.hurt=8>", "plain"],
}


def made_up(number: int) -> dict:
    words = ["aid", "vaccine", "oil", "sword", "battle", "council", "gas", "charter", "sanction"]
    chosen = [words[(number * step) % len(words)] for step in (1, 2, 4)]
    return {
        "title": f"Report {number} on {chosen[0]}",
        "text": "\n\n".join(
            f"Paragraph {part} of report {number} is about {chosen[part % 3]}. "
            f"Nobody in town number {number * 7 + part} said a word of {chosen[(part + 1) % 3]} then."
            for part in range(4)
        ),
        "date": f"{2000 + number % 20}-0{1 + number % 9}-11",
        "tags": [chosen[0], "report"],
        "language": ("en", "fr")[number % 2],
    }


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[semsearch.Index]:
    folder = tmp_path_factory.mktemp("thousand")
    source = records(folder / "articles", [*(made_up(number) for number in range(1000)), HOSTILE])
    with semsearch.build(source, folder / "index", encoder=FakeEncoder()) as index:
        yield index


@pytest.fixture(scope="module")
def served(thousand) -> Iterator[Served]:
    running = Served(thousand)
    yield running
    running.stop()


@pytest.fixture
def page(browser, served):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    problems: list[str] = []
    opened.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    outside: list[str] = []
    opened.on("request", lambda request: outside.append(request.url) if not request.url.startswith(served.url) else None)
    opened.problems, opened.outside = problems, outside
    yield opened
    context.close()
    assert not outside


def ask(page, served, question: str, **parameters: str) -> None:
    page.goto(served.url)
    page.get_by_label("Your question").fill(question)
    page.locator(".hit").first.wait_for()


def until(page, expression: str) -> None:
    """Wait until an expression of the page's is true; Playwright's own way is forbidden by the page's policy."""
    deadline = time.monotonic() + 15
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        time.sleep(0.02)


def test_it_answers_as_one_types(page, served):
    page.goto(served.url)
    page.locator("#facts", has_text="1,001 articles").wait_for()
    assert page.locator("#state h2").inner_text() == "Ask in your own words"
    page.keyboard.type("vaccine")
    page.locator(".hit").first.wait_for()
    assert page.locator(".hit").count() == 10
    assert page.locator(".hit mark").count()
    assert "q=vaccine" in page.url
    assert page.locator("#said").inner_text().startswith("10 passages in")
    page.get_by_role("button", name="Show more passages").click()
    page.locator(".hit").nth(19).wait_for()
    assert not page.problems


@pytest.mark.model
def test_the_aid_among_the_articles_that_ship(browser, root: Path, tmp_path: Path, bundled):
    with semsearch.build(root / "seeds", tmp_path / "index", encoder=bundled) as index:
        running = Served(index)
        page = browser.new_page()
        try:
            page.goto(running.url)
            page.get_by_label("Your question").press_sequentially("what aid did Russia offer", delay=20)
            until(page, "document.querySelector('.hit mark')?.textContent.includes('humanitarian aid')")
            assert "russia-venezuela-road-map.md:16" in page.locator(".hit .trail").first.inner_text()
        finally:
            page.close()
            running.stop()


def test_answers_that_come_too_late_are_dropped(page, served):
    page.goto(served.url)

    def late(route):
        if "q=oil&" in route.request.url:
            time.sleep(0.7)
        route.continue_()

    page.route("**/search?*", late)
    box = page.get_by_label("Your question")
    box.fill("oil")
    page.wait_for_timeout(300)
    box.fill("sword")
    page.wait_for_timeout(1500)
    assert all("sword" in text for text in page.locator(".hit .passage").all_inner_texts()[:3])
    assert page.title().startswith("sword")


def test_reading_the_article_and_going_back(page, served):
    ask(page, served, "council")
    page.evaluate("scrollTo(0, 300)")
    third = page.locator(".hit").nth(2)
    text = third.locator(".passage").inner_text()
    third.locator("h2 a").click()
    found = page.locator(".reader .found")
    found.wait_for()
    assert found.inner_text() == text
    assert page.locator(".reader .text p").count() == 4
    box = found.bounding_box()
    assert 0 < box["y"] < 900
    assert "article=" in page.url
    shared = page.url
    page.go_back()
    page.locator(".hit").first.wait_for()
    assert page.locator(".reader").is_hidden()
    page.go_forward()
    page.locator(".reader .found").wait_for()
    page.get_by_role("button", name="Back to the answers").click()
    page.locator(".hit").first.wait_for()
    # Somebody else opens the address.
    page.goto("about:blank")
    page.goto(shared)
    page.locator(".reader .found").wait_for()
    page.get_by_role("button", name="Back to the answers").click()
    page.locator(".hit").first.wait_for()
    assert page.get_by_label("Your question").input_value() == "council"
    page.outside.clear()
    assert not page.problems


def test_going_back_to_a_question_whose_answer_was_looked_at(page, served):
    page.clock.install()
    ask(page, served, "council")
    page.clock.run_for(5000)
    page.get_by_label("Your question").fill("sword b")
    page.clock.run_for(500)
    until(page, "document.title.startsWith('sword b ')")
    # Typed on at once: the same question, on its way.
    page.get_by_label("Your question").fill("sword battle")
    page.clock.run_for(500)
    until(page, "document.title.startsWith('sword battle')")
    page.go_back()
    until(page, "document.title.startsWith('council')")
    assert page.get_by_label("Your question").input_value() == "council"


def test_by_the_keyboard_alone(page, served):
    page.goto(served.url)
    page.locator("#theme").focus()
    page.keyboard.press("/")
    page.keyboard.type("battle")
    page.locator(".hit").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('.hit').dataset.rank") == "2"
    page.keyboard.press("Enter")
    page.locator(".reader .found").wait_for()
    page.keyboard.press("Escape")
    page.locator(".hit").first.wait_for()
    assert page.evaluate("document.activeElement.closest('.hit').dataset.rank") == "2"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.id") == "question"
    page.keyboard.press("Escape")
    assert page.get_by_label("Your question").input_value() == ""
    page.locator("#state h2").wait_for()


def test_more_context_and_why(page, served):
    ask(page, served, "vaccine")
    first = page.locator(".hit").first
    before = first.locator(".neighbour").count()
    first.get_by_role("button", name="More context").click()
    first.locator(".neighbour").first.wait_for()
    assert first.locator(".neighbour").count() > before
    first.get_by_role("button", name="Why this one").click()
    first.locator(".why dt", has_text="cosine").wait_for()
    shown = first.locator(".why").inner_text()
    assert "By meaning" in shown
    assert "By words" in shown


def test_filters_out_of_the_index(page, served):
    ask(page, served, "oil")
    page.get_by_role("button", name="Filters").click()
    page.locator(".chips label", has_text="sword").first.click()
    until(
        page,
        "document.querySelector('.hit') && [...document.querySelectorAll('.hit h2')].every(h => h.textContent.includes('sword'))",
    )
    assert "is=tags" in page.url
    page.get_by_label("From").fill("2015")
    page.get_by_label("From").press("Tab")
    until(
        page,
        "document.querySelector('.hit') && "
        "[...document.querySelectorAll('.hit .trail')].every(t => /201[5-9]-/.test(t.textContent))",
    )
    page.reload()
    page.locator(".hit").first.wait_for()
    assert page.locator("#filtered").inner_text() == "2"
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("To", exact=True).fill("1999")
    page.get_by_label("To", exact=True).press("Tab")
    page.locator("#state h2", has_text="Nothing found").wait_for()
    page.locator("#state").get_by_role("button", name="Clear filters").click()
    page.locator(".hit").first.wait_for()
    assert page.locator("#filtered").is_hidden()
    page.get_by_label("From").fill("soon")
    page.get_by_label("From").press("Tab")
    assert page.get_by_label("From").get_attribute("aria-invalid") == "true"


def test_modes(page, served):
    ask(page, served, "oil")
    page.locator(".modes label", has_text="Words").last.click()
    until(page, "location.search.includes('mode=lexical')")
    until(page, "!document.querySelector('.busy')")
    page.get_by_label("Your question").fill("zebra")
    page.locator("#state h2", has_text="Nothing found").wait_for()
    page.go_back()
    until(page, "document.querySelector('input[value=hybrid]').checked")


def test_articles_are_never_html(page, served):
    ask(page, served, "election")
    first = page.locator(".hit").first
    assert first.locator("h2").inner_text() == HOSTILE["title"]
    assert "<script>window.hurt = 3</script>" in first.locator(".passage").inner_text()
    first.get_by_role("button", name="More context").click()
    first.get_by_role("button", name="Why this one").click()
    page.get_by_role("button", name="Filters").click()
    first.locator("h2 a").click()
    page.locator(".reader .found").wait_for()
    assert page.locator(".reader h1").inner_text() == HOSTILE["title"]
    page.wait_for_timeout(300)
    assert page.evaluate("window.hurt") is None
    assert page.locator("main script, main img, main svg[onload]").count() == 0
    assert all(
        href.startswith("?")
        for href in page.evaluate("[...document.links].map(a => a.getAttribute('href'))")
        if href not in ("#main", ".")
    )


def test_when_the_service_is_gone_or_refuses(page, served):
    ask(page, served, "oil")
    page.route("**/search?*", lambda route: route.abort())
    page.get_by_label("Your question").fill("gas")
    page.locator(".state.bad").wait_for()
    assert "still running" in page.locator(".state.bad").inner_text()
    page.unroute("**/search?*")
    page.get_by_role("button", name="Try again").click()
    page.locator(".hit").first.wait_for()


def test_articles_that_cannot_be_read(page, served):
    ask(page, served, "oil")
    page.route("**/articles/*", lambda route: route.abort())
    page.locator(".hit h2 a").first.click()
    page.locator(".state.bad", has_text="still running").wait_for()
    page.unroute("**/articles/*")
    page.get_by_role("button", name="Try again").click()
    page.locator(".reader .found").wait_for()
    page.get_by_role("button", name="Back to the answers").click()
    page.locator(".hit").first.wait_for()
    # It was indexed anew since.
    answer = {"status": 404, "content_type": "application/problem+json", "body": '{"detail": "there is no article"}'}
    page.route("**/articles/*", lambda route: route.fulfill(**answer))
    with page.expect_request("**/search?*"):
        page.locator(".hit h2 a").first.click()
    page.locator(".hit").first.wait_for()
    assert "article=" not in page.url
    page.goto(f"{served.url}?article=1-0000000000")
    page.locator(".state.bad", has_text="there is no article").wait_for()
    page.get_by_label("Your question").fill("gas")
    page.locator(".hit").first.wait_for()
    assert "article=" not in page.url


@pytest.fixture
def odd(browser, tmp_path: Path) -> Iterator[object]:
    """A page over articles with odd facts, one of them long."""
    said = f"was sold in the port, {FILLER}, and {FILLER}."
    parts = [f"## Part {number // 500}\n\n" if number % 500 == 0 else "" for number in range(1700)]
    paragraphs = [f"{heading}The oil of day {number} {said}" for number, heading in enumerate(parts)]
    long = "\n\n".join(paragraphs)
    (tmp_path / "long.md").write_text(f"# Long\n\n{long}\n", encoding="utf-8")
    texts = [
        {
            "title": f"Odd {number}",
            "text": f"The gas of day {number} was sold.",
            "url": "https://",
            "constructor": "xyz"[number % 3],
            "author": f"<{number % 4} somebody",
            "tags": [f"t{part}" * 20 for part in range(12)],
        }
        for number in range(12)
    ]
    records(tmp_path / "odd", texts)
    with semsearch.build([tmp_path / "odd", tmp_path / "long.md"], tmp_path / "index", encoder=FakeEncoder()) as index:
        running = Served(index)
        opened = browser.new_page()
        opened.set_default_timeout(15_000)
        problems: list[str] = []
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.goto(running.url)
        yield opened
        opened.close()
        running.stop()
    assert not problems


def test_odd_facts(odd):
    home = odd.url
    odd.goto(f"{home}?q=gas&is=__proto__=x&is=constructor=y")
    odd.locator("#state h2", has_text="Nothing found").wait_for()
    odd.get_by_role("button", name="Clear filters").last.click()
    odd.locator(".hit").first.wait_for()
    odd.get_by_role("button", name="Filters").click()
    assert odd.locator(".choice legend").all_inner_texts() == ["Tags", "Constructor"]  # those of authors cannot be asked for
    for chip in odd.locator(".choice").first.locator("label").all():
        chip.click()
    until(odd, "!document.querySelector('.busy')")
    assert odd.locator(".hit").count() == 10
    odd.go_back()
    odd.locator(".hit").first.wait_for()
    odd.locator(".hit h2 a", has_text="Odd").first.click()
    odd.locator(".reader .found").wait_for()
    assert odd.locator(".about a").count() == 0


def test_a_long_article_is_shown_in_parts(odd):
    odd.get_by_label("Your question").fill('"day 700"')
    odd.locator(".hit h2 a").first.click()
    odd.locator(".reader .found").wait_for()
    shown = odd.locator(".text p")
    assert shown.count() == 400
    odd.evaluate("document.getElementById('later').click(); document.getElementById('later').click()")
    until(odd, "document.querySelectorAll('.text p').length > 400")
    odd.get_by_role("button", name="Show what comes before").click()
    until(odd, "document.querySelectorAll('.text p').length > 1000")
    odd.get_by_role("button", name="Show what comes before").click()
    until(odd, "document.getElementById('earlier').hidden")
    odd.route("**/articles/*", lambda route: route.abort())
    odd.get_by_role("button", name="Show what comes next").click()
    odd.locator("#unread", has_text="still running").wait_for()
    odd.unroute("**/articles/*")
    odd.get_by_role("button", name="Show what comes next").click()
    until(odd, "document.getElementById('later').hidden")
    days = [text.split(" ")[4] for text in shown.all_inner_texts()]
    assert days == [str(number) for number in range(1700)]
    assert odd.locator(".text h2").all_inner_texts() == ["Part 0", "Part 1", "Part 2", "Part 3"]


def test_the_pages_of_a_pdf_are_told(browser, tmp_path):
    text = "The sword of the {} page was forged in the north and lay in the museum for a hundred years."
    (tmp_path / "a.pdf").write_bytes(made.pdf([[text.format(word)] for word in ("first", "second", "third")]))
    with semsearch.build(tmp_path / "a.pdf", tmp_path / "index", encoder=FakeEncoder()) as index:
        served = Served(index)
        try:
            with browser.new_context() as context:
                opened = context.new_page()
                opened.set_default_timeout(15_000)
                opened.goto(f"{served.url}?q=sword")
                opened.locator(".hit .trail").first.get_by_text("a.pdf, page ").wait_for()
                opened.locator(".hit h2 a").first.click()
                opened.locator(".reader .found").wait_for()
                assert opened.locator(".text .leaf").all_inner_texts() == ["page 1", "page 2", "page 3"]
        finally:
            served.stop()


def test_the_focus_stays_where_more_was_asked_for(page, served):
    ask(page, served, "vaccine")
    button = page.locator(".hit").nth(3).get_by_role("button", name="More context")
    button.focus()
    page.keyboard.press("Enter")
    page.locator(".hit").nth(3).locator(".neighbour").first.wait_for()
    until(page, "document.activeElement.closest('.hit')?.dataset.rank === '4'")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('.hit').dataset.rank") == "5"


def test_what_fails_late_does_no_harm(page, served):
    held = []
    page.route("**/facets", lambda route: held.append(route))
    ask(page, served, "oil")
    page.wait_for_timeout(100)
    held.pop().fulfill(status=503, content_type="application/problem+json", body='{"detail": "too many ask"}')
    page.wait_for_timeout(200)
    assert page.locator(".hit").count() == 10
    page.unroute("**/facets")
    page.locator(".hit h2 a").first.click()
    page.locator(".reader .found").wait_for()
    page.reload()
    page.locator(".reader .found").wait_for()
    page.route("**/search?*", lambda route: held.append(route))
    page.go_back()
    page.wait_for_timeout(200)
    page.go_forward()
    page.locator(".reader .found").wait_for()
    with suppress(Exception):  # given up by the page
        held.pop().fulfill(status=503, content_type="application/problem+json", body='{"detail": "too many ask"}')
    page.wait_for_timeout(200)
    assert page.locator(".reader .found").is_visible()


def test_a_token_is_asked_for(browser, thousand):
    running = Served(thousand, token="open sesame")
    page = browser.new_context().new_page()
    page.set_default_timeout(15_000)
    try:
        page.goto(running.url)
        page.get_by_label("Token").fill("wr…ng")
        page.keyboard.press("Enter")
        page.locator("#state", has_text="not the right one").wait_for()
        page.get_by_label("Token").fill("open sesame")
        page.get_by_role("button", name="Go on").click()
        page.locator("#facts", has_text="1,001").wait_for()
        page.get_by_label("Your question").fill("oil")
        page.locator(".hit h2 a").first.click()
        page.locator(".reader .found").wait_for()
        shared = page.url
        page.context.close()
        page = browser.new_context().new_page()
        page.goto(shared)
        page.get_by_label("Token").fill("open sesame")
        page.keyboard.press("Enter")
        page.locator(".reader .found").wait_for()
        page.context.close()
        page = browser.new_context().new_page()
        page.goto(f"{running.url}?q=oil#token=open%20sesame")
        page.locator(".hit").first.wait_for()
        assert "sesame" not in page.url
    finally:
        page.context.close()
        running.stop()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_anybody_can_use_it(browser, served, scheme: str, width: int):
    """axe-core finds nothing, nothing is wider than the screen, and nothing jumps."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.set_default_timeout(15_000)

    def looked_at() -> None:
        found = axe.run(page).response["violations"]
        assert not found, json.dumps([(item["id"], [node["html"] for node in item["nodes"]][:3]) for item in found], indent=1)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    page.add_init_script(
        "window.jumped = 0; new PerformanceObserver(list => { for (const entry of list.getEntries()) "
        "if (!entry.hadRecentInput) window.jumped += entry.value; }).observe({type: 'layout-shift', buffered: true});"
    )
    page.goto(served.url)
    page.locator("#facts", has_text="1,001").wait_for()
    looked_at()
    page.get_by_label("Your question").fill("vaccine")
    page.locator(".hit").nth(9).wait_for()
    page.wait_for_timeout(200)
    assert page.evaluate("window.jumped") < 0.01
    page.locator(".hit").first.get_by_role("button", name="Why this one").click()
    page.get_by_role("button", name="Filters").click()
    page.locator(".chips label").first.wait_for()
    looked_at()
    page.locator(".hit h2 a").first.click()
    page.locator(".reader .found").wait_for()
    looked_at()
    page.keyboard.press("Escape")
    page.route("**/search?*", lambda route: route.abort())
    page.get_by_label("Your question").fill("gas")
    page.locator(".state.bad").wait_for()
    looked_at()
    context.close()
