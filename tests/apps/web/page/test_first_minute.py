"""The first minute: a deck of titles, ratings from elsewhere, and a page that does not move on any screen."""

import json

import pytest
from pagesupport import raise_stars, rated, shown, titled, until

PHONE = {"viewport": {"width": 375, "height": 667}}
ENLARGED = {"viewport": {"width": 640, "height": 450}, "device_scale_factor": 2}  # 200 % of 1280 × 900

SHIFTS = """window.shifted = 0;
new PerformanceObserver(list => list.getEntries().forEach(one => { if (!one.hadRecentInput) shifted += one.value; }))
  .observe({type: "layout-shift", buffered: true})"""


def answer(page, words):
    """Answer the deck's question, and wait until the next one is there, or the end."""
    before = page.inner_text("#deck-body")
    page.click(f"#deck .answers button:has-text('{words}')")
    page.wait_for_function("before => document.querySelector('#deck-body').innerText !== before", arg=before)


def start_deck(page):
    page.wait_for_selector("#deck .answers button")


@pytest.mark.parametrize("options", [{}, PHONE, ENLARGED])
def test_newcomers_are_asked_on_the_first_screen_and_have_a_list_after_five(run_service, visit, options):
    page = visit(run_service("rating"), **options)
    start_deck(page)
    height = (options or {"viewport": {"height": 900}})["viewport"]["height"]
    place = page.locator("#deck .answers").bounding_box()
    assert place["y"] + place["height"] <= height
    for words in ("Loved", "Haven’t seen", "Fine", "Not for me", "Loved", "Loved"):
        assert page.locator("#deck .answers").bounding_box() == place  # the next answer is where the last one was
        answer(page, words)
    titled(page, "For you")
    assert sorted(rated(page).values()) == [1.0, 3.0, 5.0, 5.0, 5.0]
    assert "Your list is ready, from 5 ratings" in page.inner_text("#deck")
    page.click("text=A few more")
    start_deck(page)
    answer(page, "Loved")
    until(page, "document.querySelectorAll('#rated-list li').length === 6")
    page.reload()
    page.wait_for_selector("#list .row:not(.is-blank)")
    assert page.locator("#deck").is_hidden()  # who was here before is not asked again


def test_the_deck_can_be_answered_by_keys_alone_and_closed(run_service, visit):
    page = visit(run_service("rating"))
    start_deck(page)
    page.focus("#deck .answers button:first-child")
    for _ in range(3):
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.textContent") == "Loved"
    until(page, "document.querySelectorAll('#rated-list li').length === 3")
    page.click("#deck-close")
    page.reload()
    page.wait_for_selector("#list .row:not(.is-blank)")
    assert page.locator("#deck").is_hidden()


def test_a_model_of_choices_asks_for_likes(run_service, visit):
    page = visit(run_service("ranking"))
    start_deck(page)
    assert page.locator("#deck .answers button").all_inner_texts() == ["Like it", "Not for me", "Don’t know it"]


@pytest.mark.parametrize("options", [PHONE, ENLARGED, {"viewport": {"width": 320, "height": 640}}])
def test_whoever_comes_back_finds_something_to_rate_on_the_first_screen(run_service, visit, options):
    page = visit(run_service("rating"), **options)
    kept = [{"item": f"i{k}", "title": f"Story {k}", "value": 5, "at": k} for k in range(0, 10, 2)]
    page.evaluate("kept => localStorage.setItem('cofactor.ratings', kept)", json.dumps(kept))
    page.add_init_script(SHIFTS)
    page.reload()
    page.wait_for_selector("#list .row:not(.is-blank)")
    page.wait_for_timeout(300)
    star = page.locator("#list .star").first.bounding_box()
    assert star["y"] + star["height"] <= options["viewport"]["height"]
    assert page.evaluate("shifted") < 0.05


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
def test_nothing_jumps_while_the_page_comes(run_service, visit, browse, width):
    page = visit(run_service("rating"), viewport={"width": width, "height": 900})
    page.add_init_script(SHIFTS)
    page.reload()
    page.wait_for_selector("#list .row:not(.is-blank)")
    start_deck(page)
    page.wait_for_timeout(300)
    assert page.evaluate("shifted") < 0.05


LETTERBOXD = """Date,Name,Year,Letterboxd URI,Rating
2024-01-01,The Rye Story 2,1952,https://boxd.it/a,4.5
2024-01-02,Tea Story 3,1954,https://boxd.it/b,0.5
2024-01-02,Tea Story 1,1990,https://boxd.it/c,5
2024-01-03,"Quotes' & &amp; <b>bold</b>",,https://boxd.it/d,4
"""
IMDB = """Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,IMDb Rating,Runtime,Year,Genres
tt1,10,2024-01-01,The Rye Story 2,x,u,movie,7.1,90,1952,Drama
tt2,4,2024-01-01,"Nobody, Knows This",x,u,movie,7.1,90,1999,Drama
"""
GOODREADS = """Book Id,Title,Author,My Rating,Year Published,Original Publication Year
7,"Rye Story 4, The",Ann,4,2001,1954
8,"Rye Story 6, The",Ann,0,2001,1956
"""
MOVIELENS = """movie_id,imdb_id,tmdb_id,rating,average_rating,title
1,1,1,3.5,4.0,"Tea Story 11, The (1961)"
"""


@pytest.mark.parametrize(
    ("text", "expected", "said"),
    [
        (LETTERBOXD, {"i2": 5.0, "i3": 1.0, "i6": 4.0}, "3 of 4 ratings found"),
        (IMDB, {"i2": 5.0}, "1 of 2 ratings found. 1 title is not known here"),
        (GOODREADS, {"i4": 4.0}, "1 of 1 rating found"),
        (MOVIELENS, {"i11": 4.0}, "1 of 1 rating found"),
    ],
    ids=["letterboxd", "imdb", "goodreads", "movielens"],
)
def test_ratings_from_elsewhere_are_matched_here_and_sent_nowhere(run_service, visit, text, expected, said):
    page = visit(run_service("rating"))
    sent = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    page.set_input_files("#bring-file", {"name": "mine.csv", "mimeType": "text/csv", "buffer": text.encode()})
    until(page, f"document.querySelectorAll('#rated-list li').length === {len(expected)}")
    assert rated(page) == expected
    assert page.inner_text("#bring-note").startswith(said)
    assert not any("boxd" in body or "tt1" in body or "Nobody" in body for body in sent)
    titled(page, "For you")
    page.click("#undo")
    until(page, "document.querySelectorAll('#rated-list li').length === 0")


def test_a_file_without_ratings_is_refused_in_words(run_service, visit):
    page = visit(run_service("rating"))
    page.set_input_files("#bring-file", {"name": "x.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"})
    until(page, "document.querySelector('#bring-note').textContent.startsWith('No ratings were found')")


def test_keys_that_pass_from_star_to_star_give_one_rating_and_one_undo(run_service, visit):
    page = visit(run_service("rating"))
    page.focus("#list .row:nth-child(2) input:checked")
    raise_stars(page, 4)
    assert list(rated(page).values()) == [4.0]
    page.click("#undo")
    until(page, "document.querySelectorAll('#rated-list li').length === 0")


def test_trouble_is_told_where_it_is_seen_and_moves_nothing(run_service, visit):
    page = visit(run_service("rating"))
    page.route("**/v1/**", lambda route: route.abort())
    page.route("**/readyz", lambda route: route.abort())
    stars = page.locator(f"#list .stars[data-item='{shown(page)[13]}']")
    stars.scroll_into_view_if_needed()
    before = stars.bounding_box()
    stars.locator("input[value='5']").click()
    page.wait_for_selector("#notice:not([hidden])")
    notice = page.locator("#notice").bounding_box()
    assert 0 <= notice["y"] <= 900 - notice["height"]
    assert stars.bounding_box() == before


def test_the_name_that_was_typed_stays_when_the_store_is_away(run_service, visit):
    page = visit(run_service("rating"))
    page.click("#list .stars[data-item='i0'] input[value='5']")
    titled(page, "For you")
    away = {"status": 503, "content_type": "application/problem+json", "body": '{"detail": "gone"}'}
    page.route("**/v1/users/**", lambda route: route.fulfill(**away))
    page.click("#account-button")
    page.fill("#account-name", "Gilda")
    page.click("#account button[type=submit]")
    until(page, "document.querySelector('#account-problem').textContent.includes('Nothing of yours is lost')")
    assert page.input_value("#account-name") == "Gilda"


def test_in_forced_colours_what_is_chosen_can_be_told(run_service, visit):
    page = visit(run_service("rating"), forced_colors="active")
    colour = "one => getComputedStyle(one).backgroundColor"
    chosen, other = (
        page.locator(f"#map-views input[value={view}] + span").evaluate(colour) for view in ("picture", "table")
    )
    assert chosen != other
    page.click("#list .stars[data-item='i0'] input[value='5']")
    titled(page, "For you")
    page.click("#list .row:not(.is-rated) .title-button")
    page.wait_for_selector("#details .bar")
    assert page.locator("#details .bar").first.evaluate(colour) != page.locator("#details .track").first.evaluate(
        colour
    )


def test_covers_are_the_same_each_time_and_alike_for_what_is_alike(run_service, visit):
    page = visit(run_service("rating"))
    drawn = "rows => Object.fromEntries(rows.map(row => [row.dataset.item, row.querySelector('.cover').outerHTML]))"
    first = page.eval_on_selector_all("#list .row", drawn)
    page.reload()
    page.wait_for_selector("#list .row:not(.is-blank)")
    assert page.eval_on_selector_all("#list .row", drawn) == first
    assert len(set(first.values())) > 1
