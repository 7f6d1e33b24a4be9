"""cofactor report: a model and data in, one page out, or one line that says why not."""

import pytest
from clisupport import as_json, run

import cofactor as cf

DATA = "synthetic:80x50x1600:3"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    run("fit", DATA, "--rank", "3", "--epochs", "2", "-o", path)
    return path


def test_it_writes_one_page_with_the_figures_of_evaluate(model, tmp_path):
    told = run("report", model, DATA, "-o", tmp_path / "pages" / "my.html", "--rank", "2").stdout
    assert f"wrote {tmp_path / 'pages' / 'my.html'}" in told
    page = (tmp_path / "pages" / "my.html").read_text()
    measured = as_json("evaluate", model, DATA)
    assert f'<data value="{measured["ndcg@10"]!r}" data-metric="ndcg@10">' in page
    assert "<title>small – cofactor report</title>" in page
    assert '<section id="ranks"' in page
    assert [path.name for path in (tmp_path / "pages").iterdir()] == ["my.html"]


def test_it_writes_report_html_unless_told_otherwise(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = as_json("report", model, DATA, "--examples", "0")
    assert told["page"] == "report.html"
    assert (told["verdict"]["model"], told["verdict"]["against"]) == ("small", "popularity alone")
    page = (tmp_path / "report.html").read_text()
    assert '<section id="people"' not in page
    assert '<section id="ranks"' not in page


def test_it_says_from_which_rating_on_an_item_is_relevant(model, tmp_path):
    run("report", model, DATA, "-o", tmp_path / "liked.html", "--relevant-from", "4", "--examples", "0")
    measured = as_json("evaluate", model, DATA, "--relevant-from", "4")
    assert measured["n_without_relevant"] > 0
    page = (tmp_path / "liked.html").read_text()
    assert f'<data value="{measured["ndcg@10"]!r}" data-metric="ndcg@10">' in page
    assert "those of 4 or more" in page


def test_pictures_and_pages_leave_the_model_in_its_file(model, tmp_path, monkeypatch):
    opened, real = [], cf.open_model
    monkeypatch.setattr("cofactor.model.storage.open_model", lambda path: opened.append(path) or real(path))
    run("report", model, DATA, "-o", tmp_path / "my.html", "--examples", "0")
    run("plot", model, "-o", tmp_path / "plots")
    assert opened == [model, model]


def test_a_model_that_only_knows_its_objective_is_drawn_without_a_curve(model, tmp_path):
    assert set(cf.load(model).history) == {"objective"}
    run("plot", model, "-o", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["item-map.svg", "model.svg"]


def test_errors_say_what_to_do_and_leave_no_page(model, tmp_path):
    output = tmp_path / "report.html"
    everything, popular = tmp_path / "all.safetensors", tmp_path / "popular.safetensors"
    run("fit", DATA, "--rank", "3", "--epochs", "2", "--test-fraction", "0", "-o", everything)
    run("fit", DATA, "--solver", "popularity", "-o", popular)
    for arguments, code, words in (
        ([everything, DATA], 1, "trained on every one of these ratings: evaluate on held-out ones"),
        ([popular, DATA, "--rank", "5"], 2, "Popularity has no rank: leave the ranks to compare out"),
        ([model, "nothing.csv"], 1, "neither a file nor a named data set"),
        ([tmp_path / "missing.safetensors", DATA], 1, "missing.safetensors"),
        ([model, DATA, "--examples", "-1"], 2, "examples is -1"),
        ([model, "synthetic:5x5x10:1", "-k", "0"], 2, "k is 0"),
    ):
        result = run("report", *arguments, "-o", output, code=code)
        assert words in " ".join(result.stderr.split())
        assert not output.exists()
    told = as_json("report", model, "nothing.csv", code=1)
    assert "neither a file" in told["error"]


def test_a_folder_is_no_page(model, tmp_path):
    result = run("report", model, DATA, "-o", tmp_path, code=2)
    assert "is a folder: give the name of the file" in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_the_page_of_a_file_names_its_columns_as_evaluate_does(model, tmp_path):
    ratings = cf.load_dataset(DATA)
    table = tmp_path / "plays.csv"
    ratings.to_frame().select(listener="user", track="item", plays="value").write_csv(table)
    columns = ["--user-column", "listener", "--item-column", "track", "--value-column", "plays", "--ids", "int"]
    run("report", model, table, *columns, "-o", tmp_path / "page.html", "--examples", "1")
    assert (tmp_path / "page.html").read_text().count("<article") == 1


def test_the_first_line_says_which_model_is_better_by_how_much(model, tmp_path):
    other, page = tmp_path / "other.safetensors", tmp_path / "both.html"
    run("fit", DATA, "--rank", "1", "--epochs", "1", "-o", other)
    told = as_json("report", model, DATA, "--against", other, "-o", page)["verdict"]
    ours, theirs = (as_json("evaluate", one, DATA)["ndcg@10"] for one in (model, other))
    assert (told["value"], told["other_value"]) == (ours, theirs)
    assert told["difference"] == pytest.approx(ours - theirs)
    first, *_ = run("report", model, DATA, "--against", other, "-o", page).stdout.splitlines()
    assert first == told["said"]
    assert told["said"].partition(":")[0] in page.read_text()


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--against", "gone.safetensors"], 1, "gone.safetensors is not there"),
        (["--by", "colour"], 2, "--by names 'colour', which is no column of the model's users or items"),
    ],
)
def test_what_cannot_be_compared_is_refused(model, tmp_path, more, code, words):
    result = run("report", model, DATA, *more, "-o", tmp_path / "page.html", code=code)
    assert words in " ".join(result.stderr.split())
    assert not (tmp_path / "page.html").exists()
