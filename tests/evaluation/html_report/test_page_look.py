"""The page in a real browser: light, dark, on a phone, with its titles beside the pointer."""

import re

import pytest


@pytest.fixture(scope="module")
def address(stars, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(stars[1], encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def look(browse, address):
    """Return what opens the page; it may ask for nothing but itself, and say nothing to its console."""

    def watch(page, troubles):
        page.on("console", lambda message: troubles.append(message.text))
        page.on("request", lambda request: None if request.url == address else troubles.append(request.url))

    return lambda **options: browse(address, watch, **options)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(look, findings, scheme):
    page = look(color_scheme=scheme)
    page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert findings(page) == []
    assert page.title() == "Stars & co – cofactor report"  # as no title's script has run


def test_it_fits_a_phone(look):
    page = look(viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True)
    assert page.evaluate("() => document.documentElement.scrollWidth") == 360
    small = page.evaluate(
        """() => [...document.querySelectorAll("svg text")].filter((one) => one.getClientRects().length)
        .map((one) => parseFloat(getComputedStyle(one).fontSize) * one.getScreenCTM().a).filter((size) => size < 8.5)"""
    )
    assert small == []


def test_a_title_stands_beside_the_pointer(look):
    page = look()
    tip, point = page.locator(".tip"), page.locator("#map circle.item").last  # nothing is drawn above the last
    assert not tip.is_visible()
    point.hover(force=True)
    assert tip.is_visible()
    assert tip.text_content() == point.get_attribute("data-title")
    page.mouse.move(5, 5)
    assert not tip.is_visible()


def test_without_scripts_the_browser_has_the_titles(look):
    page = look(java_script_enabled=False)
    assert page.locator("#map circle.item title").count() > 20
    assert page.locator("#users article").count() == 3


def test_paper_is_white_with_everything_on_it(look):
    page = look(color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    ink = page.evaluate("() => getComputedStyle(document.body).color")
    assert ink == "rgb(31, 28, 25)"
    assert not page.locator("nav").is_visible()
    assert page.locator("#figures table").first.is_visible()


def test_paper_has_no_half_empty_pages(look):
    paper, inches = (688, 1016), 96  # A4 without its margins, in CSS pixels
    page = look(viewport={"width": paper[0], "height": paper[1]})
    page.emulate_media(media="print")
    needed = page.evaluate("() => document.documentElement.scrollHeight") / paper[1]
    printed = page.pdf(width=f"{210 / 25.4 * inches}px", height=f"{297 / 25.4 * inches}px")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) <= needed + 2


def test_nothing_is_cut_off_without_a_word(look):
    for width in (1280, 375):
        page = look(viewport={"width": width, "height": 800})
        cut = page.evaluate(
            """() => [...document.querySelectorAll(".scroll")].filter((one) => one.getClientRects().length
            && one.scrollHeight > one.clientHeight + 1).length"""
        )
        assert cut == 0
