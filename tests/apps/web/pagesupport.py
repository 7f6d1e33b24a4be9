"""What tests of the page do again and again: rate, wait for the list, read it."""

__all__ = ["MEASURED", "first_items", "raise_stars", "rate", "rated", "shown", "titled", "until"]

MEASURED = "performance.getEntriesByName('from rating to list').map(entry => entry.duration)"
"""How long each rating took to become a list on the screen, in milliseconds."""


def shown(page):
    """Return the ids in the list, without one that was just rated and is about to go."""
    return page.eval_on_selector_all("#list .row:not(.is-rated)", "rows => rows.map(row => row.dataset.item)")


def first_items(page, n):
    return shown(page)[:n]


def until(page, condition):
    """Wait until something holds in the page; as a function, since its policy forbids to evaluate mere text."""
    page.wait_for_function(f"() => {condition}")


def titled(page, title):
    """Wait until the list has a title."""
    until(page, f"document.querySelector('#suggestions-title').textContent === '{title}'")


def rate(page, item, value, where="#list"):
    """Click a star, or "no rating", and wait for the list that follows."""
    before = len(page.evaluate(MEASURED))
    value = "" if value is None else value
    page.locator(f"{where} .stars[data-item='{item}'] input[value='{value}']").click()
    page.wait_for_function(f"before => {MEASURED}.length > before", arg=before)


def raise_stars(page, presses):
    """Press the key that gives one more star, so many times."""
    before = len(page.evaluate(MEASURED))
    for _ in range(presses):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(f"before => {MEASURED}.length > before", arg=before)
    chosen = "[...document.querySelectorAll('#rated-list input:checked')].map(one => one.value)"
    until(page, f"{chosen}.includes(document.activeElement.value)")


def rated(page):
    """Return what the panel of ratings shows: stars by id."""
    script = "rows => rows.map(row => [row.dataset.item, row.querySelector('input:checked').value])"
    return {item: float(value) for item, value in page.eval_on_selector_all("#rated-list li", script) if value}
