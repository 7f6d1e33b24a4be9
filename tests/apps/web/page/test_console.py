"""The console, in a browser: behind the token, each part says what there is, and changes what it is told to."""

import json
import re
import shutil

import pytest
from websupport import Service, until

TOKEN = "secret-token-0123456789"


@pytest.fixture(scope="module")
def console(page_models, tmp_path_factory):
    """A service of its own, whose model may be switched, with a token."""
    folder = tmp_path_factory.mktemp("console")
    (folder / "tokens").write_text(TOKEN)
    model = shutil.copy(page_models["rating"], folder / "films.safetensors")
    service = Service(model, folder, "--token-file", str(folder / "tokens"))
    assert put(service, "/v1/users/ann/ratings", {"ratings": [{"item": f"i{k}", "value": 5} for k in (0, 2, 4)]})
    assert put(service, "/v1/admin/rules/items/i6?by=eve", {"pin": 2})
    yield service
    service.close()


def put(service, path, body):
    return service.ask("PUT", path, body, authorization=f"Bearer {TOKEN}")[0] == 200


@pytest.fixture
def visit(browse):
    """Return what opens a part of the console, signed in."""

    def open_part(service, part="overview", signed_in=True, **options):
        def watch(page, troubles):
            page.on("console", lambda message: troubles.append(message.text) if "Policy" in message.text else None)

        page = browse(f"{service.address}/admin#{part}", watch, **options)
        if signed_in:
            sign_in(page)
            page.wait_for_selector("#content h1")
        return page

    return open_part


def sign_in(page, token=TOKEN):
    page.fill("#operator", "Zoe")
    page.fill("#token", token)
    page.press("#token", "Enter")


def cells(page, caption):
    script = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    return page.eval_on_selector_all(f"[aria-label='{caption}'] tbody tr", script)


PARTS = {
    "overview": "text=Background work", "models": "text=Versions", "people/ann": "[aria-label='List'] tr",
    "items/i6": "[aria-label='Raters']",
}  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_axe_finds_nothing_serious_in_light_and_dark_and_on_a_phone(console, visit, findings, part):
    page = visit(console, part)
    page.wait_for_selector(PARTS[part])
    assert findings(page) == []
    page.emulate_media(color_scheme="dark")
    assert findings(page) == []
    page.set_viewport_size({"width": 360, "height": 780})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert findings(page) == []


def test_nothing_is_shown_or_asked_without_the_token_and_none_outlives_the_tab(console, visit, findings):
    page = visit(console, signed_in=False)
    page.wait_for_selector("#operator")
    assert findings(page) == []
    sign_in(page, "wrong-token-0123456789")
    page.wait_for_function("() => document.querySelector('#sign-in-problem').textContent !== ''")
    assert page.inner_text("#sign-in-problem") == "This is not one of the tokens."
    assert page.inner_text("#content") == ""
    sign_in(page)
    page.wait_for_selector("#content h1")
    page.reload()
    page.wait_for_selector("#content h1")
    kept = page.evaluate("[JSON.stringify(localStorage), document.cookie, location.href]")
    assert TOKEN not in "".join(kept)
    page.click("#leave")
    page.wait_for_selector("#operator")
    assert page.evaluate("sessionStorage.length") == 0


def test_the_overview_shows_what_the_service_counts(console, visit):
    page = visit(console)
    routes = {row[0]: row for row in cells(page, "Requests by route")}
    assert int(routes["/v1/users/{user}/ratings"][1]) == 1
    assert float(routes["/v1/users/{user}/ratings"][4].replace("over 5,000", "5000")) > 0
    assert ["refit", "well"] in [row[:2] for row in cells(page, "Background work")]
    page.click("text=As a table")
    assert cells(page, "Ratings a day")[0][1:] == ["3", "1"]


def test_someone_is_looked_up_and_their_list_tried_without_a_rating(console, visit):
    page = visit(console, "people")
    page.fill("#person", "ann")
    page.press("#person", "Enter")
    page.wait_for_selector("[aria-label='List'] tr")
    assert len(cells(page, "Ratings")) == 3
    assert cells(page, "List")[1][2] == "pinned"
    before = cells(page, "List")
    page.uncheck("[aria-label='Ratings'] tbody tr:first-child input")
    page.wait_for_function(
        "() => document.querySelector(\"[aria-label='List'] thead\").textContent.includes('Against')"
    )
    assert [row[0] for row in cells(page, "List")] != [row[0] for row in before]
    assert console.ratings("ann") == {"i0": 5.0, "i2": 5.0, "i4": 5.0}
    with page.expect_download() as started:
        page.click("text=Export")
    assert len(json.loads(started.value.path().read_text())["ratings"]) == 3


def test_someone_is_erased_after_a_question(console, visit):
    assert put(console, "/v1/users/gone/ratings/i1", {"value": 5})
    page = visit(console, "people/gone")
    page.click("text=Erase")
    page.click("text=Cancel")
    assert console.ratings("gone") == {"i1": 5.0}
    page.click("text=Erase")
    page.click("text=Erase for good")
    page.wait_for_selector("text=Nothing is known of")
    assert console.ratings("gone") == {}


def test_an_item_is_hidden_and_shown_again_with_who_and_when(console, visit):
    listed = lambda: [one["item"] for one in console.ask("GET", "/v1/popular?n=30")[1]["items"]]  # noqa: E731
    page = visit(console, "items")
    page.fill("#item-search", "story 3")
    page.press("#item-search", "Enter")
    page.click(".found-items a >> nth=0")
    page.wait_for_selector("#rule-kind")
    item = page.evaluate("location.hash").split("/")[1]
    assert item in listed()
    page.select_option("#rule-kind", "hide")
    page.click("form:has(#rule-kind) button[class=main-button]")
    until(lambda: item not in listed())
    page.wait_for_function("() => document.querySelectorAll(\"[aria-label='Rules'] tbody tr\").length === 2")
    assert cells(page, "Rules")[0][1:3] == ["hidden", "Zoe"]
    assert re.search(r"20\d\d", cells(page, "Rules")[0][3])
    page.click("[aria-label='Rules'] tbody tr:first-child button")
    until(lambda: item in listed())


def test_what_holds_by_default_is_set(console, visit):
    page = visit(console, "items")
    page.fill("#at-most", "3")
    page.select_option("#per", "genres")
    page.click("form:has(#at-most) button")
    until(lambda: console.ask("GET", "/v1/model")[1]["rules"]["lists"] == {"at_most": 3, "per": "genres"})
    page.wait_for_selector("text=at most 3 of each genres")


def test_a_model_is_refitted_and_rolled_back(console, visit):
    old = console.ask("GET", "/v1/model")[1]["users"]
    page = visit(console, "models")
    page.click("text=Refit now")
    until(lambda: console.ask("GET", "/v1/model")[1]["users"] > old)
    page.wait_for_function(
        "() => document.querySelectorAll(\"[aria-label='Versions of the model'] tbody tr\").length > 1"
    )
    page.wait_for_selector("text=Roll back")
    first = cells(page, "Versions of the model")[0]
    assert (first[1], first[3]) == ("served", "Zoe")
    page.click("text=Roll back")
    page.click("dialog >> text=Roll back")
    until(lambda: console.ask("GET", "/v1/model")[1]["users"] == old)
    page.wait_for_selector("text=Switch")
