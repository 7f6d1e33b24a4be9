"""The page in all its states: named, offline, narrow, enlarged, without scripts, with hostile titles."""

import json

import pytest
from pagesupport import MEASURED, rate, rated, shown, titled, until


def give_name(page, name, token=None):
    page.click("#account-button")
    page.fill("#account-name", name)
    if token is not None:
        page.fill("#account-token", token)
    page.click("#account-form [type=submit]")


def test_nothing_is_stored_until_a_name_is_given_and_then_all_is(run_service, visit):
    service = run_service("rating")
    page = visit(service)
    rate(page, "i0", 5)
    rate(page, "i2", 4)
    assert service.ratings("Ada") == {}
    give_name(page, "Ada")
    titled(page, "For Ada")
    rate(page, "i4", 3)
    assert service.ratings("Ada") == {"i0": 5.0, "i2": 4.0, "i4": 3.0}
    assert page.evaluate("localStorage.getItem('cofactor.ratings')") is None

    elsewhere = visit(service)
    give_name(elsewhere, "Ada")
    until(elsewhere, "document.querySelectorAll('#rated-list li').length === 3")
    rate(elsewhere, "i2", None, "#rated-list")
    assert service.ratings("Ada") == {"i0": 5.0, "i4": 3.0}
    elsewhere.reload()
    until(elsewhere, "document.querySelectorAll('#rated-list li').length === 2")
    elsewhere.click("#account-button")
    elsewhere.click("#account-leave")
    titled(elsewhere, "Popular")
    assert service.ratings("Ada") == {"i0": 5.0, "i4": 3.0}


def test_where_storing_takes_a_token_the_page_asks_for_it(run_service, visit, tmp_path_factory):
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text("a-token-of-many-letters\n")
    service = run_service("rating", "--token-file", str(tokens))
    page = visit(service)
    rate(page, "i0", 5)
    give_name(page, "Bob", "not-the-right-token-at-all")
    until(page, "document.querySelector('#account-problem').textContent.includes('token')")
    page.click("#account-close")
    assert rated(page) == {"i0": 5.0}
    assert page.inner_text("#suggestions-title") == "For you"
    give_name(page, "Bob", "a-token-of-many-letters")
    titled(page, "For Bob")
    assert service.ratings("Bob") == {"i0": 5.0}


@pytest.mark.parametrize("name", [None, "Cleo"])
def test_ratings_given_while_the_service_is_away_count_once_it_is_back(run_service, visit, name):
    service = run_service("rating")
    page = visit(service)
    rate(page, "i0", 5)
    if name:
        give_name(page, name)
        until(page, "document.querySelector('#suggestions-title').textContent.startsWith('For Cleo')")
    before = shown(page)
    service.kill()
    page.click("#list .stars[data-item='i3'] input[value='1']")
    page.wait_for_selector("#notice:not([hidden])")
    assert "does not answer" in page.inner_text("#notice")
    assert rated(page) == {"i0": 5.0, "i3": 1.0}
    assert shown(page) == before
    service.start()
    page.wait_for_selector("#notice", state="hidden", timeout=60_000)
    until(page, "!document.querySelector('#list .row[data-item=\"i3\"]')")
    assert shown(page) != before
    if name:
        assert service.ratings(name) == {"i0": 5.0, "i3": 1.0}


def test_ratings_given_while_the_store_is_away_count_and_are_stored_once_it_is_back(run_service, visit):
    service = run_service("rating")
    page = visit(service)
    give_name(page, "Dora")
    titled(page, "Popular")
    until(page, "document.querySelector('#account-label').textContent === 'Dora'")
    problem = json.dumps({"type": "tag:cofactor,2026:store-away", "detail": "the store is away"})
    page.route("**/ratings/*", lambda route: route.fulfill(status=503, body=problem, headers={"Retry-After": "1"}))
    away = json.dumps({"ready": True, "store": "away", "writes": False})
    page.route("**/readyz", lambda route: route.fulfill(status=200, body=away))
    rate(page, "i0", 5)
    assert page.inner_text("#suggestions-title") == "For Dora"
    assert "cannot be stored right now" in page.inner_text("#notice")
    page.unroute("**/ratings/*")
    page.unroute("**/readyz")
    page.wait_for_selector("#notice", state="hidden")
    until(page, "localStorage.getItem('cofactor.pending') === '[]'")
    assert service.ratings("Dora") == {"i0": 5.0}


def test_an_error_is_said_and_can_be_tried_again(run_service, visit):
    page = visit(run_service("rating"))
    problem = json.dumps({"type": "tag:cofactor,2026:internal-server-error", "detail": "something went wrong here"})
    answer = {"status": 500, "body": problem, "headers": {"X-Request-ID": "abc123"}}
    page.route("**/v1/recommendations", lambda route: route.fulfill(**answer))
    page.click("#list .stars[data-item='i0'] input[value='5']")
    page.wait_for_selector("#list-state .state")
    assert "abc123" in page.inner_text("#list-state")
    page.unroute("**/v1/recommendations")
    page.click("#list-state button")
    page.wait_for_selector("#list .row:not(.is-blank)")
    assert page.inner_text("#suggestions-title") == "For you"


def test_the_slider_goes_from_well_known_to_rarely_seen_and_an_empty_list_offers_a_way_out(run_service, visit):
    page = visit(run_service("rating"))
    page.focus("#fame")
    counts = {}
    for key in ("Home", "End"):
        page.keyboard.press(key)
        until(page, "document.querySelector('#list').getAttribute('aria-busy') === 'false'")
        page.wait_for_timeout(300)
        texts = page.locator("#list .known").all_inner_texts()
        counts[key] = [int(text.split("rated by ")[1].split()[0]) for text in texts]
    assert min(counts["Home"]) > max(counts["End"])
    page.keyboard.press("Home")
    until(page, "document.querySelectorAll('#list .row').length < 5")
    for item in list(shown(page)):
        rate(page, item, 4)
    page.select_option("#attribute-0", label="War")
    page.wait_for_selector("#list-state button")
    page.click("#list-state button")
    page.wait_for_selector("#list .row:not(.is-blank)")
    assert page.input_value("#fame") == "2"


def test_a_genre_is_kept_to_under_a_name_too(run_service, visit):
    page = visit(run_service("rating"))
    rate(page, "i0", 5)
    give_name(page, "Gil")
    titled(page, "For Gil")
    page.select_option("#attribute-0", label="Comedy")
    until(page, "document.querySelectorAll('#list .row').length < 7")
    assert {int(item[1:]) % 3 for item in shown(page)} == {0}


def test_titles_are_filtered_by_what_they_are_and_a_switch_gives_more_variety(run_service, visit):
    page = visit(run_service("rating"))
    rate(page, "i0", 5)
    plain = shown(page)
    assert page.locator("#attribute-filters label").all_inner_texts() == ["Genres", "Made in"]
    with page.expect_response("**/v1/recommendations"):
        page.select_option("#attribute-1", label="<b>'abroad'</b> or true")
    until(page, "document.querySelectorAll('#list .row').length < 5")
    assert {int(item[1:]) % 5 for item in shown(page)} == {0}
    with page.expect_response("**/v1/recommendations"):
        page.select_option("#attribute-0", label="Comedy")
    until(page, "document.querySelectorAll('#list .row').length === 1")
    assert shown(page) == ["i15"]
    page.select_option("#attribute-1", label="All")
    page.select_option("#attribute-0", label="All")
    until(page, f"document.querySelectorAll('#list .row').length >= {len(plain)}")
    with page.expect_response("**/v1/recommendations") as answer:
        page.locator("#variety").focus()
        page.keyboard.press("Space")
    assert answer.value.request.post_data_json["diversify"] == "genres"
    assert page.get_by_role("switch", name="More variety").is_checked()


def test_the_drawer_speaks_of_the_list_beside_it(run_service, visit):
    page = visit(run_service("rating"))
    rate(page, "i0", 5)
    rate(page, "i2", 5)
    page.select_option("#attribute-0", label="Comedy")
    until(page, "document.querySelectorAll('#list .row').length < 8")
    for place in (1, 2):
        page.click(f"#list .row:nth-child({place}) .title-button")
        page.wait_for_selector("#details .shares li")
        assert f"At place {place} of your list" in page.inner_text("#details")
        page.keyboard.press("Escape")
    page.fill("#search", "story 4,")
    page.wait_for_selector("#found [role=option]")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.click("#picked .title-button")
    page.wait_for_selector("#details .shares li")
    assert "not in your list as it is filtered now" in page.inner_text("#details")


def test_safe_and_adventurous_lists_where_the_model_knows_how_sure_it_is(run_service, visit):
    assert visit(run_service("rating")).locator("#daring-filter").is_hidden()
    page = visit(run_service("unsure"))
    page.set_default_timeout(60_000)
    rate(page, "i0", 5)
    lists = {}
    for daring in ("cautious", "optimistic"):
        with page.expect_response("**/v1/recommendations") as answer:
            page.check(f"input[value={daring}]")
        lists[daring] = [item["score"] for item in answer.value.json()["items"]]
    assert lists["optimistic"][0] > lists["cautious"][0]


def test_similar_titles_and_reasons_are_a_click_away(run_service, visit):
    page = visit(run_service("rating"))
    rate(page, "i0", 5)
    rate(page, "i1", 1)
    page.click("#list .row:not(.is-rated) .title-button")
    page.wait_for_selector("#details .similar .row")
    page.wait_for_selector("#details .shares li")
    assert page.locator("#details .similar .row").count() == 8
    rate(page, page.get_attribute("#details .similar .row:not(.is-rated)", "data-item"), 5, "#details .similar")
    page.keyboard.press("Escape")
    assert page.locator("#details").is_hidden()
    assert page.evaluate("document.activeElement.className") == "title-button"


def test_ones_own_light_up_on_the_map_and_the_table_says_the_same(run_service, visit):
    page = visit(run_service("rating"))
    rate(page, "i0", 5)
    rate(page, "i2", 4)
    page.locator("#map").scroll_into_view_if_needed()
    page.wait_for_selector("#map circle")
    until(page, "document.querySelectorAll('#map circle.is-mine').length === 2")
    points = page.locator("#map circle").count()
    page.check("input[name=map-view][value=table]")
    assert page.locator("#map tbody tr").count() == points
    assert page.locator("#map tr.is-mine td:last-child").all_inner_texts() == ["5", "4"]


@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 320, "height": 640}},
        {"viewport": {"width": 360, "height": 780}, "has_touch": True, "is_mobile": True},
        {"viewport": {"width": 640, "height": 450}, "device_scale_factor": 2},  # 200 % of 1280 × 900
    ],
)
def test_nothing_is_cut_off_on_narrow_or_enlarged_screens(run_service, visit, options):
    page = visit(run_service("rating"), **options)
    rate(page, "i0", 5)
    page.locator("#map").scroll_into_view_if_needed()
    page.wait_for_selector("#map circle")
    width = options["viewport"]["width"]
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    sticking_out = """all => all.filter(one => one.getBoundingClientRect().right > innerWidth + 1
                      && !one.closest('.hidden, .symbols, dialog')).map(one => one.outerHTML.slice(0, 80))"""
    assert page.eval_on_selector_all("main *, header *", sticking_out) == []
    assert page.locator("#list .row:not(.is-rated) .star").first.bounding_box()["width"] >= 24


def test_lists_are_there_without_scripts(run_service, visit):
    service = run_service("rating")
    page = visit(service, java_script_enabled=False)
    assert page.locator("ol.rows .row").count() == 20
    assert "Popular" in page.inner_text("#suggestions")
    page.fill("input[name=user]", "u1")
    page.click("form button")
    assert page.inner_text("#suggestions noscript h2") == "For u1"
    expected = service.ask("GET", "/v1/users/u1/recommendations?n=20")[1]["items"]
    titles = page.locator("#suggestions .title").all_text_contents()
    assert titles == [item["title"] for item in expected]
    page = visit(service, "/?user=%3Cscript%3E%22nobody", java_script_enabled=False)
    assert '<script>"nobody' in page.inner_text("#suggestions noscript h2")
    assert page.input_value("input[name=user]") == '<script>"nobody'


def test_hostile_titles_are_shown_as_the_text_that_they_are(run_service, visit):
    page = visit(run_service("rating"), viewport={"width": 360, "height": 780})
    texts = page.locator("#list .title").all_text_contents()
    assert any(text.startswith("<script>document.title") for text in texts)
    assert "\"Quotes' & &amp; <b>bold</b>" in texts
    assert page.title().startswith("cofactor")
    for item in ("i5", "i6", "i7", "i8", "i9"):
        rate(page, item, 5)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
    page.fill("#search", "script")
    page.wait_for_selector("#found [role=option]")
    page.locator("#map").scroll_into_view_if_needed()
    page.wait_for_selector("#map circle.is-mine")
    assert page.title().startswith("cofactor")
    assert page.locator("main img, main script, #list .title b").count() == 0
    plain = visit(run_service("rating"), java_script_enabled=False)
    assert plain.locator("main img, main script").count() == 0
    assert plain.title().startswith("cofactor")


def test_two_tabs_of_a_visitor_agree(run_service, visit):
    page = visit(run_service("rating"))
    other = visit(run_service("rating"), context=page.context)
    rate(page, "i0", 5)
    until(other, "document.querySelectorAll('#rated-list li').length === 1")
    titled(other, "For you")
    assert rated(other) == {"i0": 5.0}
    assert other.evaluate(MEASURED) == []  # nothing was rated in this one
