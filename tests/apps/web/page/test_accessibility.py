"""axe-core finds nothing serious in any state of the page, in the light and in the dark."""

import pytest
from pagesupport import rate


def rated_twice(page):
    rate(page, "i0", 5)
    rate(page, "i3", 1)


def searching(page):
    page.fill("#search", "story")
    page.wait_for_selector("#found [role=option]")
    page.keyboard.press("ArrowDown")


def in_the_drawer(page):
    rated_twice(page)
    page.click("#list .row:not(.is-rated) .title-button")
    page.wait_for_selector("#details .similar .row")
    page.wait_for_selector("#details .shares li")


def naming(page):
    page.click("#account-button")


def at_the_table(page):
    rated_twice(page)
    page.locator("#map").scroll_into_view_if_needed()
    page.wait_for_selector("#map circle")
    page.check("input[name=map-view][value=table]")


def in_trouble(page):
    page.route("**/v1/**", lambda route: route.abort())
    page.route("**/readyz", lambda route: route.abort())
    page.click("#list .stars[data-item='i0'] input[value='5']")
    page.wait_for_selector("#notice:not([hidden])")


STATES = {
    "first": lambda page: None, "rated": rated_twice, "search": searching, "drawer": in_the_drawer, "name": naming,
    "table": at_the_table, "trouble": in_trouble,
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_serious(run_service, visit, findings, state):
    page = visit(run_service("rating"))
    STATES[state](page)
    assert findings(page) == []


@pytest.mark.parametrize("state", ["drawer", "trouble"])
def test_nor_in_the_dark(run_service, visit, findings, state):
    page = visit(run_service("rating"), color_scheme="dark")
    STATES[state](page)
    assert findings(page) == []


def test_axe_finds_nothing_serious_on_a_phone(run_service, visit, findings):
    page = visit(run_service("unsure"), viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True)
    assert findings(page) == []


def test_focus_goes_in_the_order_of_what_is_seen(run_service, visit):
    page = visit(run_service("rating"))
    order = []
    page.wait_for_selector("#deck .answers button")
    for _ in range(16):
        page.keyboard.press("Tab")
        order.append(
            page.evaluate("""() => { const one = document.activeElement;
            return one.id || one.className || one.closest('.stars')?.dataset.item }""")
        )
    assert order == [
        "skip", "brand", "account-button", "search",
        "deck-close", *["quiet-button"] * 4, "fame", "attribute-0", "attribute-1", "variety",
        "title-button", "i0", "title-button",
    ]  # fmt: skip
