"""The page's list for browsers that run no scripts, and the files beside it."""

from html.parser import HTMLParser

import pytest

from cofactor.apps.web.routes.page import FOLDER, PLACEHOLDER, list_html

HOSTILE = "<img src=x onerror=alert(1)> \"quoted\" 'too' &amp; </ol>"


class Reader(HTMLParser):
    """Collects what tags and what text some HTML has."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.values = set(), "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.values += [value for name, value in attributes if name == "value"]

    def handle_data(self, data):
        self.text += data


def item(**more):
    return {"position": 1, "item": "7", "title": None, "year": None, "genres": [], "rated_by": 1, "new": False, **more}


def test_no_title_genre_or_name_is_read_as_markup():
    reasons = [{"item": "3", "title": HOSTILE, "rating": 5.0, "share": 1.0}]
    found = {"popular": False, "items": [item(title=HOSTILE, genres=[HOSTILE], reasons=reasons)]}
    read = Reader(list_html(found, HOSTILE))
    assert "img" not in read.tags
    assert read.text.count(HOSTILE) == 4  # the heading, the title, the genre, the reason
    assert read.values == [HOSTILE]


def test_an_item_without_a_title_goes_by_its_id():
    read = Reader(list_html({"popular": True, "items": [item()]}, ""))
    assert "7" in read.text
    assert "rated by 1 person" in read.text


def test_an_empty_list_and_an_unknown_name_are_said():
    assert "Nothing is left" in list_html({"popular": False, "items": []}, "ann")
    assert "Nothing is known of ann" in list_html({"popular": True, "items": [item()]}, "ann")


def test_the_template_has_one_place_for_the_list_and_nothing_that_the_policy_forbids():
    template = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert template.count(PLACEHOLDER) == 1
    for forbidden in ("<style", " style=", "<script>", " onclick=", "http://", "https://"):
        assert forbidden not in template


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_the_files_of_the_page_are_small_and_take_nothing_from_elsewhere(file):
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert max(map(len, text.splitlines())) <= 120
    assert "innerHTML" not in text
    assert "//" not in text.replace("// ", "").replace('"http://www.w3.org/2000/svg"', "")


def test_the_card_tells_in_twentieths_how_many_people_rate_an_item(ranking):
    raters = ranking.get("/v1/model").json()["raters"]
    listed = [item["rated_by"] for item in ranking.get("/v1/popular?n=500").json()["items"]]
    assert len(raters) == 21
    assert raters == sorted(raters)
    assert (raters[0], raters[-1]) == (min(listed), max(listed))


def test_the_page_is_sent_once_and_then_only_asked_about(ranking):
    first = ranking.get("/")
    assert first.headers["content-type"].startswith("text/html")
    again = ranking.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert ranking.get("/?user=u1").headers["etag"] != first.headers["etag"]
    assert ranking.get("/?user=" + "u" * 201).status_code == 422
