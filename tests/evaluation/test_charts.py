"""What charts are made of: axes, markup, marks, density, the map; and a chart that is a document of its own."""

import math
import re
from importlib.resources import files
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import sparse

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.evaluation.charts import (
    Chart,
    Series,
    Spot,
    bars,
    linear,
    linear_from_zero,
    lines,
    logarithmic,
    picture,
    spots,
)  # fmt: skip
from cofactor.evaluation.markup import Markup, breadth, decimals, shortened, tag
from cofactor.evaluation.plots import density_grid, map_chart, map_of
from cofactor.model.factors import Factors


@pytest.mark.parametrize("make", [linear, linear_from_zero, logarithmic])
@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0], [1.0, 1.0001], [0.12, 0.13], [1, 9000], [7e-9, 2e12], [1, 2, 5]])
def test_axes_hold_all_values_and_have_round_ticks(make, values):
    axis = make(values, 10, 110)
    shown = [value for value in values if value > 0 or make is not logarithmic]
    assert all(10 - 1e-6 <= axis(value) <= 110 + 1e-6 for value in shown)
    assert 1 <= len(axis.ticks) <= 25
    assert all(9.9 <= axis(tick) <= 110.1 for tick in axis.ticks)
    assert list(axis.ticks) == sorted(set(axis.ticks))


def test_axes_go_from_start_to_end():
    assert linear_from_zero([0.9], 200, 100)(0) == 200
    assert linear_from_zero([0.9], 200, 100).ticks == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axis = logarithmic([1, 100], 0, 100)
    assert [axis(value) for value in (1, 10, 100)] == pytest.approx([0, 50, 100])
    assert linear([-1, 1], 0, 100)(0) == pytest.approx(50)


def test_only_markup_is_left_as_it_is():
    assert tag("p", "<b>", Markup("<i></i>"), class_='a"b') == '<p class="a&quot;b">&lt;b&gt;<i></i></p>'
    assert tag("svg", tag("circle", cx=1.04, r="2"), aria_hidden=None, hidden=True) == (
        '<svg hidden><circle cx="1" r="2"/></svg>'
    )
    assert tag("p", "a\x00b\x9f") == "<p>a\ufffdb\ufffd</p>"


def test_figures_have_as_many_digits_as_one_can_read():
    written = [decimals(value) for value in (0.12345, 12.34567, 75_491.7923, -1.5, math.nan, None)]
    assert written == ["0.1235", "12.3457", "75,491.8", "-1.5000", "–", "–"]


def test_texts_are_cut_where_there_is_no_more_room():
    assert shortened("Star Wars", 9) == "Star Wars"
    assert shortened("The Long Kiss Goodnight", 10) == "The Long…"
    assert breadth(shortened("七人の侍七人の侍七人の侍", 10)) <= 10


def test_density_is_the_share_of_each_part_that_is_filled():
    random = np.random.default_rng(0)
    table = sparse.csr_array((random.random((17, 23)) < random.random(23)).astype(np.float32))
    dense = table.toarray() > 0
    users, items = (np.argsort(-dense.sum(axis=axis), kind="stable") for axis in (1, 0))
    expected = [
        [part.mean() for part in (rows[:, [j for j in range(23) if j * 5 // 23 == column]] for column in range(5))]
        for rows in (dense[users][:, items][[i for i in range(17) if i * 4 // 17 == row]] for row in range(4))
    ]
    assert density_grid(table, 4, 5) == pytest.approx(np.array(expected))
    assert density_grid(table, 100, 100).shape == (17, 23)


def places(markup):
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", " ".join(re.findall(r' d="(.*?)"', markup)))]


def test_charts_stay_inside_their_frame():
    everything = [
        bars(["1", "2"], [0, 7], across="a", up="b", words="w"),
        lines(
            [Series("s", [1, 2, 3], [4, 9, 5], [3, 8, 4], [5, 10, 6])],
            across="a",
            up="b",
            scales=(linear, linear),
            words="w",
        ),
        spots(
            [Spot("p", (1, 0, 2), (3, 2, 4)), Spot("q", (0, 0, 0), (1, 1, 1))],
            across="a",
            up="b",
            vertical=linear,
            words="w",
        ),
    ]
    for chart in everything:
        assert 'aria-label="w"' in chart
        assert "nan" not in chart
        assert all(-10 <= place <= 400 for place in places(chart))


def test_a_bar_is_as_high_as_its_value():
    chart = bars(["a", "b", "c"], [10, 5, 0], across="", up="", words="w")
    low, high = zip(*((float(a), float(b)) for a, b in re.findall(r"M[\d.]+ ([\d.]+)V([\d.]+)h", chart)), strict=True)
    heights = [a - b for a, b in zip(low, high, strict=True)]
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.2)
    assert heights[2] == 0


def test_the_map_names_every_point_and_no_label_covers_another():
    random = np.random.default_rng(1)
    titles = [f"A film called {k} ({1900 + k})" for k in range(80)]
    seen = sparse.csr_array((random.random((30, 80)) < 0.5) * random.integers(1, 6, (30, 80)).astype(np.float32))
    model = Factors.from_arrays(random.normal(size=(30, 3)), random.normal(size=(80, 3)), seen=seen, titles=titles)
    data = Interactions(model.users, model.items, seen)
    shown = map_of(model, data)
    dense = seen.toarray()[:, shown.rows]
    assert shown.means == pytest.approx(dense.sum(axis=0) / (dense > 0).sum(axis=0))
    drawn = map_chart(model, shown).picture
    assert drawn.count("<title>") == len(shown.rows) == 53
    assert shown.counts.tolist() == sorted(shown.counts.tolist(), reverse=True)
    desk = re.search(r'<g class="desk">(.*?)</g>', drawn)[1]
    labels = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"( class="end")?>(.*?)</text>', desk)
    assert len(labels) > 10
    boxes = []
    for x, y, ends, text in labels:
        assert "(" not in text  # the year is in the hover title alone
        width = 0.54 * 12.5 * len(text)
        left = float(x) - width if ends else float(x)
        boxes.append((left, left + width, float(y)))
    for place, (left, right, y) in enumerate(boxes):
        assert 0 < left < right < 960
        assert not [o for o in boxes[:place] if o[0] < right - 0.2 and left < o[1] - 0.2 and abs(o[2] - y) < 17]


def test_the_report_and_the_service_have_the_same_colours():
    sheets = [files("cofactor") / place for place in ("evaluation/charts.css", "apps/web/page/style.css")]
    for report, service in zip(*(_colours(sheet.read_text()) for sheet in sheets), strict=True):  # light, dark
        shared = report.keys() & service.keys()
        assert {"--ink", "--paper", "--accent"} <= shared
        assert {name: report[name] for name in shared} == {name: service[name] for name in shared}


def _colours(sheet):
    blocks = re.findall(r":root\s*{(.*?)}", sheet, re.S)[:2]
    return [dict(re.findall(r"(--[\w-]+):\s*([^;]+);", block)) for block in blocks]


def a_chart(title="A <b>title</b> & more", labels=("one", "two")):
    return Chart(title, "What to look for.", picture("words", tag("circle", cx=1.0, cy=2.0, r=3.0)), labels)


def test_a_chart_is_a_whole_document_in_light_and_dark():
    document = a_chart().to_svg()
    root = ElementTree.fromstring(document)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["A <b>title</b> & more", "What to look for.", "one", "two"]
    assert "var(" not in document  # not all programs that show SVG know it
    assert "prefers-color-scheme: dark" in document
    for rule in re.findall(r"^(?!@|})[^{]+(?={)", re.search(r"<style>(.*?)</style>", document, re.S)[1], re.M):
        assert all(selector.startswith(".cofactor-chart ") for selector in rule.split(",")), rule


def test_a_single_series_has_no_legend_and_a_notebook_shows_the_chart():
    chart = a_chart(labels=("alone",))
    assert "alone" not in chart.to_svg()
    assert chart._repr_svg_() == chart.to_svg()


def test_a_chart_is_saved_as_svg_and_as_nothing_else(tmp_path):
    path = a_chart().save(tmp_path / "chart.svg")
    assert path.read_text() == a_chart().to_svg() + "\n"
    with pytest.raises(cf.SettingError, match=r"charts are written as SVG; name the file chart\.svg"):
        a_chart().save(tmp_path / "chart.png")


def test_the_first_thirty_six_series_all_look_different():
    from cofactor.evaluation.charts import marker

    assert len({marker(look, 0, 0) for look in range(36)}) == 36


def test_what_has_no_value_is_not_drawn():
    scales = (logarithmic, linear_from_zero)
    broken = Series("s", [1, 2, 3], [0.5, math.nan, 0.7], [0.4, math.nan, 0.6], [0.6, math.nan, 0.8])
    drawn = lines([broken, Series("none", [1], [math.nan])], across="a", up="b", scales=scales, words="w")
    assert re.findall("<title>(.*?)</title>", drawn) == ["s, 1: 0.5000", "s, 3: 0.7000"]
    nothing = spots([Spot("p", (1, 0, 2), (math.nan,) * 3)], across="a", up="b", vertical=linear, words="w")
    assert "<title>" not in nothing
