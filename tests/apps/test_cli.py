"""The command line as people and programs use it: each command, its JSON, its errors and exit codes."""

import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clisupport import as_json, run

import cofactor as cf
from cofactor.__main__ import main as from_anywhere
from cofactor.data.metadata import Metadata
from cofactor.evaluation import evaluate as measure
from cofactor.lists import AtMost, Diversify, everyone
from cofactor.solvers import Popularity

DATA = "synthetic:80x50x1600:3"
LATE = "Popularity of the last 7 days"
QUICK = ["--solver", "keras", "--rank", "3", "--epochs", "2"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    run("fit", DATA, *QUICK, "-o", path)
    return path


@pytest.fixture
def plays(tmp_path):
    path = tmp_path / "plays.csv"
    rows = [f"ann,tea {k},{k % 5 + 1}" for k in range(20)] + [f"bob,tea {k},{k % 3 + 1}" for k in range(15)]
    path.write_text("\n".join(["listener,track,plays", *rows]))
    return path


COLUMNS = ["--user-column", "listener", "--item-column", "track", "--value-column", "plays"]


def test_fit_reports_in_json_all_that_was_measured(tmp_path):
    result = as_json("fit", DATA, *QUICK, "--test-fraction", "0.2", "--seed", "1", "-o", tmp_path / "m.safetensors")
    assert result["mse"] == pytest.approx(result["rmse"] ** 2)
    assert 0 < result["mae"] < result["rmse"]
    assert result["fit_seconds"] > 0
    assert {name: result[name] for name in ("epochs_run", "n_users", "n_items", "n_train", "n_test")} == {
        "epochs_run": 2, "n_users": 80, "n_items": 50, "n_train": 1280, "n_test": 320,
    }  # fmt: skip
    saved = cf.load(result["model"])
    assert saved.origin.settings["rank"] == 3
    assert saved.origin.settings["seed"] == 1
    assert saved.origin.metrics["mse"] == result["mse"]


def test_fit_speaks_to_people_too(model):
    told = run("fit", DATA, *QUICK).stdout
    assert "80 users × 50 items, 1,600 ratings from 1 to 5" in told
    assert "on 320 held-out ratings; lower is better:" in told
    assert re.search(r"metric +KerasMF +BiasOnly *\n", told)
    assert "not saved: give -o" in told
    saved, whole = run("fit", DATA, *QUICK, "-o", model).stdout, model.with_name("whole.safetensors")
    assert f"saved to {model}" in saved
    assert "may recommend them; --test-fraction 0 trains on all" in saved
    assert "--test-fraction" not in run("fit", DATA, *QUICK, "--test-fraction", "0", "-o", whole).stdout


def test_every_field_of_the_solver_is_an_option(monkeypatch):
    from cofactor.solvers import solver_class

    monkeypatch.setenv("COLUMNS", "200")
    for asked, solver in (([], "implicit-als"), (["--goal", "rating"], "als"), (["--solver", "keras"], "keras")):
        told = run("fit", *asked, "--help").stdout
        for field in dataclasses.fields(solver_class(solver)):
            assert f"--{field.name.replace('_', '-')}" in told


def test_stars_become_a_model_for_lists_unless_ratings_are_asked_for(tmp_path):
    small = ["--rank", "3", "--epochs", "2"]
    ranking = as_json("fit", DATA, *small, "-o", tmp_path / "ranking.safetensors")
    assert (ranking["solver"], ranking["goal"], ranking["mse"]) == ("ImplicitALS", "ranking", None)
    model = cf.load(ranking["model"])
    stars = np.unique(model.seen.data)
    assert stars.tolist() == [1, 2, 3, 4, 5]  # they are kept as they were given
    weights = model.preparation.apply(stars)
    assert weights[0] < 0  # one star is a dislike
    assert np.all(np.diff(weights) > 0)  # a star more weighs more
    rating = as_json("fit", DATA, *small, "--goal", "rating")
    assert (rating["solver"], rating["goal"]) == ("ALS", "rating")
    assert rating["mse"] > 0
    popular = as_json("fit", DATA, "--solver", "popularity", "-o", tmp_path / "popular.safetensors")
    assert set(cf.load(popular["model"]).preparation.apply(stars)) == {1.0}


def test_nmf_learns_for_either_goal():
    rating, ranking = (
        as_json("fit", DATA, "--solver", "nmf", "--rank", "2", "--goal", g) for g in ("rating", "ranking")
    )
    assert (rating["goal"], ranking["goal"]) == ("rating", "ranking")


def test_settings_of_time_are_for_lists(dated):
    fit = ["fit", dated, "--rank", "2", "--epochs", "2", "--half-life", "9d", "--recency", "0.9"]
    listed = as_json(*fit, "--solver", "nmf", "--goal", "ranking")
    assert listed["goal"] == "ranking"
    refused = run(*fit, "--solver", "nmf", "--goal", "rating", code=2).stderr
    assert "--half-life is for lists, and NMF predicts ratings: leave it out, or set --goal ranking" in " ".join(
        refused.split()
    )


def test_lists_by_predicted_rating_are_warned_of_once(model, tmp_path):
    from cofactor.model.warnings import warn_of_rating_model

    warn_of_rating_model.cache_clear()
    first, second = (run("recommend", model, "1", "2") for _ in range(2))
    assert "this list is ordered by predicted ratings" in first.stderr
    assert first.stderr.count("ImplicitALS().fit(ratings)") == 1
    assert not second.stderr
    path = tmp_path / "ranking.safetensors"
    run("fit", DATA, "--rank", "3", "--epochs", "2", "-o", path)
    warn_of_rating_model.cache_clear()
    assert not run("recommend", path, "1").stderr


@pytest.mark.parametrize(
    ("command", "default"),
    [("fit", "ranking"), ("fit", "by the goal"), ("compare", "keras"), ("refit", "the model's own")],
)
def test_the_help_says_what_holds_where_nothing_is_given(command, default):
    assert f"[default: ({default})]" in " ".join(run(command, "--help").stdout.replace("│", "").split())


def test_options_reach_the_solver(tmp_path):
    path = tmp_path / "m.safetensors"
    run(
        "fit",
        DATA,
        *QUICK,
        "--no-biases",
        "--schedule",
        "constant",
        "--optimizer",
        "sgd",
        "--batch-size",
        64,
        "-o",
        path,
    )
    settings = cf.load(path).origin.settings
    assert not settings["biases"]
    assert (settings["schedule"], settings["optimizer"], settings["batch_size"]) == ("constant", "sgd", 64)


@pytest.mark.parametrize("how", ["random", "last"])
def test_all_ratings_can_be_trained_on(how):
    result = as_json("fit", DATA, *QUICK, "--test-fraction", "0", "--split", how)
    assert (result["n_train"], result["n_test"], result["mse"]) == (1600, 0, None)


@pytest.mark.parametrize("how", ["random", "per-user", "last", "time"])
def test_each_way_to_split(how):
    result = as_json("fit", DATA, *QUICK, "--split", how)
    held_out = 1600 - result["n_train"]
    assert 0 < result["n_test"] <= held_out
    assert result["n_test"] == held_out or how == "time"  # most of its users have no history


def test_a_file_of_ones_own_columns(plays):
    result = as_json("fit", plays, *COLUMNS, *QUICK)
    assert (result["n_users"], result["n_items"]) == (2, 20)


def test_a_file_without_values_is_implicit_feedback(plays, tmp_path):
    path = tmp_path / "m.safetensors"
    columns = ["--user-column", "listener", "--item-column", "track", "--value-column", "none"]
    run("fit", plays, *columns, "--solver", "popularity", "-o", path)
    assert set(cf.load(path).seen.data) == {1.0}


def test_a_refit_reads_newer_data_as_fit_does(plays, tmp_path):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    run("fit", plays, *COLUMNS, *QUICK, "-o", first)
    again = as_json("refit", first, plays, *COLUMNS, "-o", second)
    assert again["n_train"] == 35 > again["n_train_before"]


def test_ids_can_be_read_as_integers(tmp_path):
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,7,4,1\n2,7,3,2\n2,9,5,3\n1,9,1,4\n")
    path = tmp_path / "m.safetensors"
    run("fit", tmp_path, "--ids", "int", "--solver", "bias", "-o", path)
    assert list(cf.load(path).users) == [1, 2]
    assert len(as_json("recommend", path, "1", "--include-seen")["recommendations"]) == 2


def test_a_database(tmp_path):
    pytest.importorskip("sqlalchemy", reason="the extra sql is not installed")
    import sqlite3

    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("create table stars (who text, what text, n real)")
        rows = [(f"u{k % 7}", f"i{k % 11}", float(k % 5 + 1)) for k in range(70)]
        connection.executemany("insert into stars values (?, ?, ?)", rows)
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    result = as_json("fit", url, "--query", "select who, what, n from stars", *QUICK)
    assert (result["n_users"], result["n_items"]) == (7, 11)
    assert "needs --query" in as_json("fit", url, *QUICK, code=2)["error"]


def test_evaluate_leaves_out_what_was_trained_on(model):
    fitted = as_json("fit", DATA, *QUICK)
    result = as_json("evaluate", model, DATA)
    assert result["mse"] == pytest.approx(fitted["mse"])
    assert (result["n_test"], result["n_trained_on"], result["n_unknown"]) == (320, 1280, 0)
    assert "1,280 ratings" in run("evaluate", model, DATA).stdout


def test_evaluate_prints_and_writes_every_figure_with_its_interval(model, tmp_path):
    result = as_json("evaluate", model, DATA, "-k", "3", "-k", "5", "-o", tmp_path)
    assert {"ndcg@3", "ndcg@5", "recall@5", "coverage@5", "rmse"} <= set(result)
    assert "ndcg@10" not in result
    low, high = result["intervals"]["ndcg@5"]
    assert low < result["ndcg@5"] < high
    assert result["protocol"] == "full ranking"
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["ndcg@5"] == result["ndcg@5"]
    assert {"recall@1", "recall@10", "recall@20"} <= set(stored)  # by which the curve is drawn
    table = pl.read_csv(tmp_path / "report.csv")
    assert table.columns == ["metric", "value", "low", "high", "protocol"]
    assert table.filter(metric="ndcg@5")["low"][0] == pytest.approx(low)
    assert (tmp_path / "recall-by-length.svg").read_text().startswith("<svg ")
    told = run("evaluate", model, DATA, "-k", "5").stdout
    assert f"{result['ndcg@5']:.4f}   {low:.4f} – {high:.4f}" in told
    assert f"320 held-out ratings of {result['n_users']} users; lists: full ranking" in told


def test_what_is_measured_against_sampled_items_says_so(model, tmp_path):
    result = as_json("evaluate", model, DATA, "--negatives", "20", "-o", tmp_path)
    assert result["protocol"] == "20 sampled negatives a user"
    assert set(result["intervals"]) == {"hit@10", "ndcg@10", "mrr@10"}
    assert "20 sampled negatives a user" in run("evaluate", model, DATA, "--negatives", "20").stdout
    assert (tmp_path / "hit-by-length.svg").exists()
    assert set(pl.read_csv(tmp_path / "report.csv")["protocol"]) == {"20 sampled negatives a user"}
    assert "negatives is 0" in as_json("evaluate", model, DATA, "--negatives", "0", code=2)["error"]
    both = as_json("evaluate", model, DATA, "--negatives", "20", "--relevant-from", "4", code=2)
    assert both["error"] == "--negatives ranks every held-out item: leave out --relevant-from"
    assert "k is 0" in as_json("evaluate", model, DATA, "-k", "0", code=2)["error"]


def test_evaluate_on_nothing_but_training_rows_is_an_error(tmp_path):
    path = tmp_path / "all.safetensors"
    run("fit", DATA, *QUICK, "--test-fraction", "0", "-o", path)
    assert "trained on every one" in as_json("evaluate", path, DATA, code=1)["error"]


def test_recommend_prints_lists(model, tmp_path):
    lists = as_json("recommend", model, "1", "2", "-n", "4")["recommendations"]
    assert [row["user"] for row in lists] == [1] * 4 + [2] * 4
    assert [row["position"] for row in lists] == [1, 2, 3, 4] * 2
    told = run("recommend", model, "1", "-n", "2").stdout
    assert lists[0]["title"] in told
    run("recommend", model, "1", "-o", tmp_path / "new" / "one.parquet")
    assert pl.read_parquet(tmp_path / "new" / "one.parquet").height == 10
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one.parquet"]


@pytest.mark.parametrize(("name", "read"), [("a.csv", pl.read_csv), ("a.jsonl", pl.read_ndjson)])
def test_the_name_of_the_output_says_its_format(name, read, model, tmp_path):
    run("recommend", model, "1", "-n", "4", "-o", tmp_path / name)
    assert read(tmp_path / name)["item"].to_list() == [
        row["item"] for row in as_json("recommend", model, "1", "-n", "4")["recommendations"]
    ]


def test_a_format_that_is_not_written_is_refused(model, tmp_path):
    for users in ("1", "--all"):
        failed = " ".join(run("recommend", model, users, "-o", tmp_path / "a.txt", code=2).stderr.split())
        assert "let its name end in .parquet, .csv or .jsonl" in failed
    assert list(tmp_path.iterdir()) == []


def test_the_next_command_works_as_it_is_printed(tmp_path, monkeypatch):
    """The first id looks like an option, and the user before it has nothing in the training part."""
    monkeypatch.chdir(tmp_path)
    rows = [("-a", "i0", 9)] + [
        (f"-{u}", f"i{i}", (i + ord(u)) % 5) for u in "bcdefg" for i in range(6) if i != ord(u) % 6
    ]
    pl.DataFrame(rows, ["user", "item", "timestamp"], orient="row").write_csv("plays.csv")
    columns = ["--value-column", "none", "--time-column", "timestamp", "--split", "time"]
    said = run("fit", "plays.csv", *columns, "--rank", "2", "-o", "m.safetensors").stdout
    proposed = shlex.split(said.split("next: ")[1])
    assert proposed[:5] == ["cofactor", "recommend", "-n", "5", "--"]
    assert proposed[-1] == "-b"
    assert "-b" in run(*proposed[1:]).stdout


def test_recommend_for_everyone(model, tmp_path):
    result = as_json("recommend", model, "--all", "-n", "3", "-o", tmp_path / "all.parquet")
    assert result == {"output": str(tmp_path / "all.parquet"), "n_users": 80}
    assert pl.read_parquet(tmp_path / "all.parquet").height == 240
    run("recommend", model, "--all", "-o", tmp_path / "all.parquet")


def test_recommend_for_everyone_goes_on_after_ctrl_c(model, tmp_path, monkeypatch):
    monkeypatch.setattr(everyone, "USERS_AT_ONCE", 30)
    command = ["recommend", model, "--all", "-n", "3", "-o", tmp_path / "all.parquet"]
    with monkeypatch.context() as patched:
        made, answer = iter(range(9)), everyone.answer

        def stopping(*arguments):
            if next(made) == 3:  # the first answer is for nobody
                raise KeyboardInterrupt
            return answer(*arguments)

        patched.setattr(everyone, "answer", stopping)
        stopped = " ".join(run(*command, code=130).stderr.split())
    assert "stopped after 60 of 80 users: the same command resumes there" in stopped
    run(*command)
    assert pl.read_parquet(tmp_path / "all.parquet").height == 240
    assert [entry.name for entry in tmp_path.iterdir()] == ["all.parquet"]


@pytest.mark.parametrize("arguments", [[], ["--all"], ["1", "--all", "-o", "x.parquet"]])
def test_recommend_for_nobody_or_both_is_bad_usage(model, arguments):
    run("recommend", model, *arguments, code=2)


def test_an_unknown_user_is_an_error(model):
    failed = run("recommend", model, "no-such", code=1)
    assert "error: unknown user 'no-such'" in failed.stderr
    assert failed.stdout == ""


@pytest.fixture
def with_genres(model, tmp_path):
    """A model whose items have genres, and the same in a file."""
    loaded = cf.load(model)
    genres = pl.Series([f"{'AB'[k % 2]}|{'CDE'[k % 3]}" for k in range(loaded.n_items)])
    years = pl.Series([1990 + k % 4 for k in range(loaded.n_items)])
    told = dataclasses.replace(loaded, metadata=Metadata(loaded.metadata.items.with_columns(genres=genres, year=years)))
    return told, told.save(tmp_path / "genres.safetensors")


def test_lists_keep_to_the_rules_of_the_options(with_genres, tmp_path):
    loaded, path = with_genres
    for options, rules in (
        (["--at-most", "2"], [AtMost(2)]),
        (["--at-most", "1", "--per", "year"], [AtMost(1, per="year")]),
        (["--diversify", "genres"], [Diversify("genres")]),
        (["--diversify", "genres", "--strength", "0.4", "--at-most", "3"], [AtMost(3), Diversify("genres", 0.4)]),
    ):
        expected = loaded.recommend([7, 8], n=4, rerank=rules)
        assert as_json("recommend", path, "7", "8", "-n", "4", *options)["recommendations"] == expected.to_dicts()
        run("recommend", path, "--all", "-n", "4", "-o", tmp_path / "all.parquet", *options)
        everyone_s = pl.read_parquet(tmp_path / "all.parquet")
        assert everyone_s.filter(pl.col("user").is_in([7, 8])).equals(expected)


def test_rules_that_do_not_suit_the_model_or_each_other_are_refused(with_genres, tmp_path):
    _, path = with_genres
    output = tmp_path / "all.parquet"
    for arguments in (["7"], ["--all", "-o", output]):
        failed = run("recommend", path, *arguments, "--at-most", "2", "--per", "brand", code=2)
        assert "there is no column 'brand': what is known of the items is item, title, genres, year" in failed.stderr
    assert not list(tmp_path.glob("all*"))
    for options in (
        ["--per", "genres"],
        ["--strength", "0.3"],
        ["--at-most", "0"],
        ["--diversify", "genres", "--strength", "2"],
    ):
        run("recommend", path, "7", *options, code=2)


def test_an_audience_is_told_by_id_or_title_and_written_as_a_table(model, tmp_path):
    loaded = cf.load(model)
    found = as_json("audience", model, "7", loaded.metadata.titles[3], "-n", "3")["audience"]
    assert found == loaded.recommend_users([7, 4], n=3).to_dicts()
    everybody = as_json("audience", model, "7", "--include-seen", "-o", tmp_path / "who.csv")["audience"]
    assert len(everybody) == 80 == len(pl.read_csv(tmp_path / "who.csv"))
    assert "position" in run("audience", model, "7").stdout
    assert "let its name end in" in run("audience", model, "7", "-o", tmp_path / "who.txt", code=2).stderr


def test_similar_takes_ids_and_titles(model):
    by_id = as_json("similar", model, "7", "-n", "3")
    assert by_id["item"] == 7
    assert len(by_id["similar"]) == 3
    title = cf.load(model).metadata.titles[6]
    assert as_json("similar", model, title.upper(), "-n", "3") == by_id
    assert title in run("similar", model, "7").stdout


@pytest.fixture
def priced(tmp_path):
    """A model of five items with prices and a table of their users."""
    plays, goods = tmp_path / "plays.csv", tmp_path / "goods.csv"
    plays.write_text("user,item,value\n" + "".join(f"u{u},i{i},1\n" for u in range(6) for i in range(5) if u != i))
    goods.write_text("item,title,price,kinds\n" + "".join(f"i{i},Thing {i},{10 * i},a|b{i}\n" for i in range(5)))
    people = tmp_path / "people.csv"
    people.write_text("user,age\n" + "".join(f"u{u},{20 + u}\n" for u in range(6)))
    tables = "--items", goods, "--users", people
    run("fit", plays, *tables, "--rank", 2, "--epochs", 2, "-o", tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_lists_keep_to_conditions(priced, tmp_path):
    recommend = ("recommend", priced, "u5", "--include-seen")
    listed = as_json(*recommend, "--where", "price < 20 or 'b4' in kinds")["recommendations"]
    assert sorted(row["item"] for row in listed) == ["i0", "i1", "i4"]
    run("recommend", priced, "--all", "--include-seen", "--where", "price >= 40", "-o", tmp_path / "all.parquet")
    assert set(pl.read_parquet(tmp_path / "all.parquet")["item"]) == {"i4"}
    both = as_json(*recommend, "--where", "price < 20 or 'b4' in kinds", "--at-most", "1", "--per", "kinds", "-n", "2")
    assert len({row["item"] for row in both["recommendations"]} & {"i0", "i1", "i4"}) == 2
    near = as_json("similar", priced, "i0", "--where", "price between 10 and 20")["similar"]
    assert sorted(row["item"] for row in near) == ["i1", "i2"]
    told = as_json("audience", priced, "i0", "--include-seen", "--where", "age >= 24")["audience"]
    assert sorted(row["user"] for row in told) == ["u4", "u5"]


def test_seen_items_are_excluded_by_the_option_that_python_names(model):
    loaded = cf.load(model)
    for option, excluded in ((), True), (("--exclude-seen",), True), (("--include-seen",), False):
        lists = as_json("recommend", model, "1", "-n", "50", *option)["recommendations"]
        expected = loaded.recommend([1], n=50, exclude_seen=excluded)
        assert [row["item"] for row in lists] == expected["item"].to_list()
        told = as_json("audience", model, "7", *option)["audience"]
        assert len(told) == len(loaded.recommend_users([7], 100, exclude_seen=excluded))


def test_a_condition_that_cannot_be_read_is_named_by_its_option(priced):
    failed = run("recommend", priced, "u5", "--where", "prise < 20", code=2)
    told = " ".join(failed.stderr.split())
    assert "error: --where is 'prise < 20', and from character 1 on: there is no column 'prise': did you mean" in told
    assert "what is known of the items is item, title, price, kinds" in told
    told = " ".join(run("audience", priced, "i0", "--where", "aeg < 30", code=2).stderr.split())
    assert "error: --where is 'aeg < 30', and from character 1 on: there is no column 'aeg': did you mean 'age'" in told
    assert "what is known of the users is user, age" in told


def test_brackets_in_titles_and_paths_are_shown_as_they_are(tmp_path):
    plays = tmp_path / "plays.csv"
    plays.write_text("user,item,value\n" + "".join(f"u{u},i{i},1\n" for u in range(6) for i in range(5) if u != i))
    folder = tmp_path / "a[b] [/b]"
    told = run("fit", plays, "--rank", "2", "--epochs", "2", "-o", folder / "m.safetensors").stdout
    assert f"saved to {folder}" in told
    assert f"next: cofactor recommend '{folder}/m.safetensors' u0 -n 5" in told
    loaded = cf.load(folder / "m.safetensors")
    titled = dataclasses.replace(
        loaded, metadata=Metadata(pl.DataFrame({"title": [f"[rec] {k} [/b]" for k in range(5)]}))
    )
    assert "like [rec] 1 [/b] (id i1)" in run("similar", titled.save(folder / "t.safetensors"), "i1").stdout


def test_a_figure_that_is_no_number_is_null_in_json(model, tmp_path):
    told = run("evaluate", model, DATA, "--relevant-from", "99", "--json", "-o", tmp_path)
    assert "no held-out rating is 99 or higher, so lists have no metrics: lower --relevant-from" in told.stderr
    for text in (told.stdout, (tmp_path / "report.json").read_text()):
        figures = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert figures["ndcg@10"] is None
        assert figures["intervals"]["ndcg@10"] == [None, None]


def test_a_title_that_is_nearly_right_offers_the_nearest(tmp_path):
    titles = ["Godfather, The (1972)", "Alien (1979)", "Aliens (1986)", "Fargo (1996)", None]
    path = cf.Factors.from_arrays(np.eye(5), np.eye(5), titles=titles).save(tmp_path / "films.safetensors")
    assert as_json("similar", path, "fargo")["item"] == 3
    assert as_json("similar", path, "ALIEN (1979)")["item"] == 1
    near = as_json("similar", path, "The Godfathr", code=1)["error"]
    assert near == "no item is called 'The Godfathr'; the nearest are: Godfather, The (1972) (id 0)"
    assert "Alien (1979) (id 1); Aliens (1986) (id 2)" in as_json("similar", path, "lie", code=1)["error"]
    assert as_json("similar", path, "%%%%%%", code=1)["error"] == (
        "no item is called '%%%%%%': give an item's id, such as '0', or words of its title"
    )
    bare = cf.Factors.from_arrays(np.eye(2), np.eye(2)).save(tmp_path / "bare.safetensors")
    assert "there are no titles" in as_json("similar", bare, "fargo", code=1)["error"]


def test_describe_tells_what_a_model_is(model):
    result = as_json("describe", model)
    assert (result["solver"], result["rank"], result["n_train"]) == ("KerasMF", 3, 1280)
    assert len(result["vectors"]) == 16
    told = run("describe", model).stdout
    assert "Factors of rank 3 for 80 users × 50 items by KerasMF" in told
    assert "item vectors" in told


def test_compare_trains_each_rank(tmp_path):
    result = as_json("compare", DATA, "--rank", "2", "--rank", "3", "-o", tmp_path)
    assert [(row["solver"], row["rank"]) for row in result["rows"]] == [("KerasMF", 2), ("KerasMF", 3), ("BiasOnly", 0)]
    assert result["n_test"] == 320
    assert (tmp_path / "error-by-rank.svg").read_text().startswith("<svg ")
    told = run("compare", DATA, "--rank", "2", "-o", tmp_path).stdout
    assert "error-by-rank.svg" in told
    assert "held-out part" in as_json("compare", DATA, "--test-fraction", "0", code=2)["error"]


def test_a_comparison_of_lists_is_printed_written_and_drawn(tmp_path):
    arguments = ["compare", DATA, "--solver", "als", "--solver", "implicit-als", "--rank", "2", "-k", "5"]
    result = as_json(*arguments, "-o", tmp_path)
    row = next(row for row in result["rows"] if row["solver"] == "ImplicitALS")
    assert row["intervals"]["ndcg@5"][0] < row["ndcg@5"] < row["intervals"]["ndcg@5"][1]
    assert row["protocol"] == "full ranking"
    lead = result["lead"]
    assert (lead["metric"], lead["difference"] >= 0, 0 < lead["p_value"] <= 1) == ("ndcg@5", True, True)
    names = {path.name for path in tmp_path.iterdir()}
    pictures = {"error-by-rank.svg", "recall-by-length.svg", "accuracy-against-popularity.svg"}
    assert names == pictures | {"report.json", "report.csv"}
    assert {path.rsplit("/", 1)[1] for path in result["pictures"]} == pictures
    compared = {"ALS", "ImplicitALS", "BiasOnly", "Popularity", LATE}
    assert set(pl.read_csv(tmp_path / "report.csv")["model"]) == compared
    told = run(*arguments).stdout
    assert f"{row['ndcg@5']:.4f}" in told
    first = told.splitlines()[0]
    assert first.startswith((f"{lead['best']} is better than {lead['next']}: nDCG at 5", "No clear difference between"))
    low, high = lead["interval"]
    assert f"{lead['difference']:+.4f} (95 % interval {low:+.4f} to {high:+.4f})".replace("-", "−") in first


def test_baselines_stand_beside_what_is_compared():
    rows = as_json("compare", DATA, "--solver", "als", "--rank", "2", "-k", "5")["rows"]
    assert [row["solver"] for row in rows] == ["ALS", "BiasOnly", "Popularity", LATE]
    assert rows[2]["mse"] is None
    assert 0 <= rows[0]["ndcg@5"] <= 1
    rows = as_json("compare", DATA, "--solver", "implicit-als", "--rank", "2")["rows"]
    assert [row["solver"] for row in rows] == ["ImplicitALS", "Popularity", LATE]


@pytest.mark.parametrize("solver", ["als", "implicit-als", "nmf", "svd", "popularity", "bias"])
def test_every_solver_can_be_fitted(solver, tmp_path):
    path = tmp_path / "m.safetensors"
    result = as_json("fit", DATA, "--solver", solver, "-o", path)
    assert (result["mse"] is None) == (solver in ("implicit-als", "svd", "popularity"))
    assert ("ndcg@10" in result) == (result["mse"] is None)
    assert as_json("evaluate", path, DATA)["n_test"] == 320
    assert len(as_json("recommend", path, "1", "-n", "3")["recommendations"]) == 3


def test_a_bayesian_models_intervals_are_measured(tmp_path):
    path = tmp_path / "m.safetensors"
    few = ["--sweeps", "40", "--burn-in", "10", "--n-samples", "10", "--rank", "2"]
    run("fit", DATA, "--solver", "bayesian", *few, "-o", path)
    result = as_json("evaluate", path, DATA, "-o", tmp_path)
    assert 0.7 < {row["level"]: row["share"] for row in result["calibration"]}[0.9] <= 1
    assert (tmp_path / "calibration.svg").read_text().startswith("<svg ")
    assert "intervals" in run("evaluate", path, DATA).stdout


def test_plot_draws_every_picture(model, tmp_path):
    result = as_json("plot", model, "-o", tmp_path / "plots")
    names = {path.rsplit("/", 1)[1] for path in result["pictures"]}
    assert names == {"training-curve.svg", "error-by-rank.svg", "item-map.svg", "model.svg"}
    for path in result["pictures"]:
        assert Path(path).read_text().startswith("<svg ")
    assert "wrote" in run("plot", model, "-o", tmp_path / "plots").stdout


def test_datasets_are_listed():
    names = [entry["name"] for entry in as_json("datasets")["datasets"]]
    assert {"ml-100k", "ml-latest-small", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m"} <= set(names)
    assert "ml-100k" in run("datasets").stdout


def test_the_version_is_told():
    assert run("--version").stdout.strip() == f"cofactor {cf.__version__}"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["fit", "no-such-data"], 1, "neither a file nor a named data set"),
        (["fit", DATA, "--solver", "magic"], 2, "unknown solver 'magic'"),
        (["fit", DATA, "--solver=magic"], 2, "unknown solver 'magic'"),
        (["fit", DATA, "--rank", "0"], 2, "--rank 0: it must be"),
        (["fit", DATA, "--solver", "als", "--goal", "ranking"], 2, "leave --solver out to use implicit-als"),
        (["fit", DATA, "--split", "magic"], 2, "unknown split 'magic'"),
        (["fit", DATA, "--test-fraction", "2"], 2, "--test-fraction is 2.0"),
        (["fit", DATA, "--solver", "implicit_als"], 2, "did you mean implicit-als? Or choose one of"),
        (["fit", DATA, "--split", "tme"], 2, "did you mean time? Or choose one of"),
        (["tune", DATA, "--metric", "ndgc@10"], 2, "did you mean ndcg@10? Or choose one of"),
        (["tune", DATA, "--trials", "0"], 2, "--trials is 0: it must be"),
        (["describe", __file__], 1, "or give the path of a model written by save() or 'cofactor fit -o'"),
        (["evaluate", __file__, "m.safetensors"], 1, "test_cli.py is not a whole safetensors file"),
        (["fit", "synthetic:5x5x99"], 2, "synthetic"),
        (["fit", DATA, "--solver", "spark-als", "-o", "m", "--memory", "1GB"], 2, "give Spark a table by URL or path"),
        (["recommend", "no-such.safetensors", "1"], 1, "no-such.safetensors is not there"),
        (["describe", "."], 1, "is a folder"),
        (["plot", "no-such.safetensors"], 1, "is not there"),
        (["compare", "no-such-data"], 1, "neither a file"),
        (["evaluate", "no-such.safetensors", DATA], 1, "is not there"),
    ],
)
def test_mistakes_get_one_line_and_a_code(arguments, code, text):
    failed = run(*arguments, code=code)
    assert text in failed.stderr
    assert failed.stderr.startswith("error: ")
    assert "Traceback" not in failed.output
    assert text in as_json(*arguments, code=code)["error"]


def test_mistakes_about_a_model_name_the_option_or_what_to_give(model):
    for arguments, words in (
        (["recommend", model, "1", "-n", "-3"], "-n is -3: it must be"),
        (["evaluate", model, DATA, "-k", "0"], "-k is 0: the length of a list"),
        (["report", model, DATA, "--examples", "-1"], "--examples is -1: it must be"),
        (["similar", model, ""], "give an item's id, such as '1', or words of its title"),
    ):
        result = run(*arguments, code=1 if "similar" in arguments else 2)
        assert result.stderr.startswith(f"error: {words.partition(' is ')[0] if words[0] == '-' else ''}")
        assert words in result.stderr


@pytest.mark.parametrize(
    ("written", "own"),
    [("--factors=10", "--rank"), ("--n-factors", "--rank"), ("--iterations", "--epochs"), ("--random_state", "--seed")],
)
def test_a_setting_by_another_librarys_name_is_told_its_own(written, own):
    words = [written] if "=" in written else [written, "10"]
    told = " ".join(run("fit", DATA, "--solver", "implicit-als", *words, code=2).output.replace("│", " ").split())
    assert f"it is called {own} here" in told


@pytest.mark.parametrize("arguments", [["fit"], ["fit", DATA, "--rank", "many"], ["magic"], ["fit", DATA, "--magic"]])
def test_what_cannot_be_parsed_is_bad_usage(arguments):
    run(*arguments, code=2)


def test_a_bad_column_is_named(plays):
    failed = run("fit", plays, "--user-column", "listner", "--item-column", "track", code=1)
    assert "listener" in failed.stderr


def test_ctrl_c_ends_in_one_line(monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("cofactor.apps.sources.open_data", stop)
    assert "stopped" in run("fit", DATA, code=130).stderr


def test_ctrl_c_while_it_is_still_loading_ends_in_one_line_too(monkeypatch, capsys):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr("cofactor.apps.cli.main", stop)
    monkeypatch.setattr("os._exit", ended)
    with pytest.raises(Ended, match="130"):
        from_anywhere()
    assert capsys.readouterr().err == "error: stopped; no file was left half-written\n"


@pytest.mark.parametrize(("code", "at_once"), [(130, True), (0, False), (1, False), (2, False)])
def test_a_stopped_command_does_not_wait_for_threads_of_compiled_code(monkeypatch, code, at_once):
    monkeypatch.setattr("cofactor.apps.cli.main", lambda: sys.exit(code))
    monkeypatch.setattr("os._exit", ended)
    with pytest.raises(Ended if at_once else SystemExit, match=str(code)):
        from_anywhere()


class Ended(Exception):
    """In place of the process's end."""


def ended(code):
    raise Ended(code)


def test_python_runs_it_as_a_module():
    told = subprocess.run([sys.executable, "-m", "cofactor", "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"cofactor {cf.__version__}\n"


def test_a_file_without_a_header_is_read_by_its_places(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("".join(f"{k % 8},{k % 7},{k % 5 + 1}\n" for k in range(56)))
    assert "--no-header" in run("fit", path, *QUICK, code=1).stderr
    result = as_json("fit", path, *QUICK, "--no-header")
    assert (result["n_users"], result["n_items"]) == (8, 7)


def test_what_spark_cannot_do_is_refused_before_it_starts(plays, tmp_path):
    fit = ("fit", plays, "--solver", "spark-als", "-o", tmp_path / "model")
    assert "--split per-user: spark-als trains on all" in run(*fit, "--split", "per-user", code=2).stderr
    assert "--no-header works on one machine only" in run(*fit, "--no-header", code=2).stderr


def test_too_little_memory_ends_in_one_line_with_a_way_on(monkeypatch):
    def scarce(*_, **__):
        raise MemoryError("Unable to allocate 29.8 GiB")

    monkeypatch.setattr("cofactor.apps.fit.train", scarce)
    failed = " ".join(run("fit", DATA, code=1).stderr.split())
    assert failed == "error: out of memory (Unable to allocate 29.8 GiB): a smaller --rank, or --memory with a " + (
        "Parquet folder, needs less"
    )


@pytest.fixture
def files_of_a_page():
    resource = pytest.importorskip("resource")  # the system then refuses longer files, as a full disk would
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("files_of_a_page")
def test_what_the_system_refuses_to_write_is_one_line_that_names_the_target(model, tmp_path):
    for command in (
        ["fit", DATA, *QUICK, "-o", tmp_path / "m.safetensors"],
        ["recommend", model, "--all", "-o", tmp_path / "lists.parquet"],
        ["synthesize", "synthetic:2000x500x30000", "-o", tmp_path / "folder"],
    ):
        failed = run(*command, code=1)
        assert f"error: {command[-1]}" in " ".join(failed.stderr.split())
        assert "File too large" in failed.stderr
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix != ".parts"] == []


def test_a_disk_that_is_full_ends_in_one_line(monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    failed = run("fit", DATA, *QUICK, "-o", tmp_path / "m.safetensors", code=1)
    assert "No space left on device" in failed.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_reads_to_the_end_is_no_error(monkeypatch):
    def closed(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("cofactor.apps.show.table", closed)
    run("datasets", code=1)


def test_progress_is_drawn_where_somebody_watches(monkeypatch, capsys):
    from cofactor.apps import show

    monkeypatch.setenv("FORCE_COLOR", "1")
    for hidden in (True, False):
        with show.progress_bar("training", hidden=hidden) as bar:
            bar(0.5, "half")
        drawn = capsys.readouterr()
        assert drawn.out == ""
        assert ("training" in drawn.err and "half" in drawn.err) is not hidden


def test_a_movielens_folder(real_ratings):
    result = as_json("fit", real_ratings("ml-latest-small"), *QUICK)
    assert (result["n_users"], result["n_items"]) == (610, 9724)


def test_no_command_writes_over_what_it_reads(model, plays):
    table, bytes_of_model = plays.read_text(), model.read_bytes()
    for command in (
        ["fit", plays, *COLUMNS, "-o", plays],
        ["recommend", model, "1", "-o", model],
        ["recommend", model, "--all", "-o", model.parent / ".." / model.parent.name / model.name],
        ["report", model, plays, *COLUMNS, "-o", plays],
        ["report", model, plays, *COLUMNS, "-o", model],
    ):
        assert "is also an input and would be overwritten" in " ".join(run(*command, code=2).stderr.split())
    assert plays.read_text() == table
    assert model.read_bytes() == bytes_of_model


@pytest.mark.parametrize(("place", "said"), [(".", "is a folder: give the name"), ("plays.csv/m", "is a file: give a")])
def test_a_place_that_cannot_be_written_is_refused_before_training(place, said, plays, tmp_path, monkeypatch):
    monkeypatch.setattr("cofactor.apps.fit.train", None)  # nothing is trained
    failed = run("fit", plays, *COLUMNS, "-o", tmp_path / place, code=2)
    assert said in " ".join(failed.stderr.split())


@pytest.mark.parametrize(
    "command",
    [
        ("fit", DATA, "-o", "closed/m.safetensors"),
        ("tune", DATA, "-o", "closed/tuning"),
        ("compare", DATA, "-o", "closed"),
        ("quickstart", "--data", DATA, "-o", "closed/new/quickstart"),
        ("synthesize", DATA, "-o", "closed/parts"),
    ],
)
def test_a_folder_closed_to_writing_is_named_before_any_work(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("closed").mkdir()
    monkeypatch.setattr(os, "access", lambda place, _: Path(place) != tmp_path / "closed")
    said = run(*command, code=2).stderr
    assert f"no permission to write to {tmp_path / 'closed'}; give another path" in said
    assert not list(Path("closed").iterdir())


def test_a_folder_for_pictures_that_is_a_file_is_refused_before_training(plays, monkeypatch):
    monkeypatch.setattr("cofactor.apps.compare.compare_ranks", None)
    failed = run("compare", plays, *COLUMNS, "--solver", "als", "-o", plays, code=2)
    assert "is a file: give the name of a folder" in " ".join(failed.stderr.split())


def test_an_item_nearly_named_by_its_id_is_offered_where_there_are_no_titles(plays, tmp_path):
    run("fit", plays, *COLUMNS, "--rank", "2", "-o", tmp_path / "teas.safetensors")
    failed = run("similar", tmp_path / "teas.safetensors", "tee 12", code=1)
    assert "the nearest id is 'tea 12', and there are no titles" in " ".join(failed.stderr.split())


def test_an_unknown_user_is_told_what_the_command_line_can_do(model):
    failed = " ".join(run("recommend", model, "1", "nobody", code=1).stderr.split())
    assert failed == "error: unknown user 'nobody', the ids look like 1: use 'cofactor serve' for people who are new"


def test_users_without_history_are_an_error_or_get_what_is_asked_for(tmp_path):
    rows = [f"u{user},i{(user + step) % 7}" for user in range(20) for step in (0, 1, 3)]
    (tmp_path / "plays.csv").write_text("\n".join(["user,item", *rows, "h,i1"]))
    model = tmp_path / "m.safetensors"
    run("fit", tmp_path / "plays.csv", "--test-fraction", 0, "--rank", 2, "-o", model)
    cf.load(model).fold_in({"v": []}).save(model)
    refused = run("recommend", model, "u3", "v", code=1).stderr
    assert "user 'v' has no history in this model" in refused
    assert "--on-unknown popular lists popular items, --on-unknown skip leaves such users out" in refused
    assert "'cofactor serve' takes the ratings of new users" in refused
    skipped = json.loads(run("recommend", model, "u3", "v", "nobody", "--on-unknown", "skip", "--json").stdout)
    assert {row["user"] for row in skipped["recommendations"]} == {"u3"}
    lists = json.loads(run("recommend", model, "u3", "v", "nobody", "--on-unknown", "popular", "--json").stdout)
    popular = {row["user"]: row["popular"] for row in lists["recommendations"]}
    assert popular == {"u3": False, "v": True, "nobody": True}
    everyone = json.loads(run("recommend", model, "--all", "-o", tmp_path / "all.parquet", "--json").stdout)
    assert everyone["n_users"] == 21
    assert "v" not in pl.read_parquet(tmp_path / "all.parquet")["user"]


def test_popularity_of_late_is_fitted_by_its_options(tmp_path):
    path = tmp_path / "late.safetensors"
    told = as_json("fit", DATA, "--solver", "popularity", "--window", "7d", "-o", path)
    assert told["solver"] == "Popularity"
    assert cf.load(path).origin.settings["window"] == "7d"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--window", "7"], "--window is '7': it must be a length of time above 0, such as '30d', '12h', '2w', "),
        (["--half-life", "soon"], "--half-life is 'soon': it must be"),
        (["--window", "7d", "--half-life", "7d"], "give either --window … or --half-life …, not both"),
    ],
)
def test_a_length_of_time_that_is_none_is_refused_by_its_option(options, says):
    failed = run("fit", DATA, "--solver", "popularity", *options, code=2)
    assert says in failed.stderr
    assert "timedelta" not in failed.stderr


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--half-life", "soon"], 2, "--half-life is 'soon': it must be a length of time"),
        (["--recency", "2"], 2, "--recency is 2.0: it must be a number above 0 and at most 1"),
        (["--item-features", "colour"], 1, "--item-features names 'colour', and the items have no such column"),
        (["--item-features", "colour"], 1, "add some with --items FILE"),
        (["--item-features", "a,a"], 2, "name each column once"),
    ],
)
def test_settings_of_time_and_attributes_are_refused_by_their_options(options, code, says):
    failed = run("fit", DATA, "--solver", "implicit-als", *options, code=code)
    assert says in " ".join(failed.stderr.split())


def test_late_popularity_of_a_file_without_times_says_how_to_name_them(tmp_path):
    (tmp_path / "plays.csv").write_text("user,item\na,x\nb,y\na,y\nb,x\n")
    failed = run("fit", tmp_path / "plays.csv", "--solver", "popularity", "--half-life", "7d", code=1)
    assert "--half-life 7d needs the times" in failed.stderr
    assert "--time-column" in failed.stderr


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    """A file of plays over a hundred days, in which users and items appear one after the other."""
    random = np.random.default_rng(0)
    users, items = random.integers(0, 60, 1500), random.integers(0, 40, 1500)
    born = np.maximum(users * 1.6, items * 2.4)
    days = born + random.random(1500) * (100 - born)
    frame = pl.DataFrame({"user": users, "item": items, "time": 1_700_000_000 + (86_400 * days).astype(np.int64)})
    path = tmp_path_factory.mktemp("dated") / "plays.csv"
    frame.unique(["user", "item"], keep="last", maintain_order=True).write_csv(path)
    return path


def test_what_comes_after_the_cut_is_counted_in_the_line_that_says_what_was_measured(dated, tmp_path):
    path = tmp_path / "early.safetensors"
    fitted = as_json(
        "fit", dated, "--solver", "svd", "--rank", "3", "--split", "time", "--test-fraction", 0.6, "-o", path
    )
    told = as_json("evaluate", path, dated)
    assert told["n_test"] == fitted["n_test"]
    assert told["ndcg@10"] == fitted["ndcg@10"]
    assert told["n_items_without_history"] > 0
    words = f"({told['n_without_history']} users and {told['n_items_without_history']} items without history)"
    assert words in run("evaluate", path, dated).stdout
    assert not any("test period" in note for note in told["notes"])


def test_a_model_that_has_seen_the_future_says_so_beside_its_figures(dated, tmp_path):
    path = tmp_path / "shuffled.safetensors"
    run("fit", dated, "--solver", "svd", "--rank", "3", "-o", path)
    note = as_json("evaluate", path, dated)["notes"][0]
    assert "days into the test period" in note
    assert note in run("evaluate", path, dated).stdout
    page = tmp_path / "report.html"
    run("report", path, dated, "-o", page)
    assert f"{note[:1].upper()}{note[1:]}." in page.read_text()


def test_popularity_of_late_stands_beside_popularity_wherever_there_are_times(dated, tmp_path):
    path = tmp_path / "model.safetensors"
    learnt = cf.read_csv(dated, value=None).split_by_time(test_fraction=0.3)[0]
    fit = ["fit", dated, "--solver", "svd", "--rank", "3", "--split", "time", "--test-fraction", 0.3, "-o", path]
    fitted = as_json(*fit)
    told = as_json("evaluate", path, dated, "-k", 5, "-k", 10)
    for label, solver in (("Popularity", Popularity()), (LATE, Popularity(window="7d"))):
        test = cf.read_csv(dated, value=None).split_by_time(test_fraction=0.3)[1]
        report = measure(solver.fit(learnt), test, k=[5, 10])
        assert told["baselines"][label] == pytest.approx({name: report[name] for name in told["baselines"][label]})
    late = told["baselines"][LATE]["ndcg@10"]
    assert fitted["ndcg@10"] <= late
    line = f"these lists do not beat popularity of the last 7 days: ndcg@10 {fitted['ndcg@10']:.4f} against {late:.4f}"
    assert fitted["notes"] == told["notes"] == [line]
    said = run("evaluate", path, dated).stdout
    assert LATE in " ".join(said.split())
    assert line in said
    assert line in run(*fit).stdout
    page = tmp_path / "report.html"
    run("report", path, dated, "-o", page)
    text = re.sub(r"<[^>]*>", "", page.read_text())
    assert re.search(rf"popularity of the last 7 days\s+{late:.4f}", text)


def test_where_the_training_data_are_not_at_hand_no_baseline_is_made_up(dated, tmp_path):
    path, test = tmp_path / "model.safetensors", tmp_path / "test.csv"
    run("fit", dated, "--solver", "svd", "--rank", "3", "--split", "time", "-o", path)
    pl.read_csv(dated).sort("time").tail(150).write_csv(test)
    told = as_json("evaluate", path, test)
    assert (told["baselines"], told["notes"]) == ({}, [])


def test_a_random_split_of_dated_ratings_suggests_a_split_by_date(dated):
    arguments = ["fit", dated, "--solver", "svd", "--rank", "3"]
    for split in ("random", "per-user", "last"):
        said = run(*arguments, "--split", split).stdout
        assert "days into the test period" in said
        assert "--split time tests on the latest ratings instead" in said
    assert "--split time" not in run(*arguments, "--split", "time").stdout
    assert "--split time" not in run(*arguments, "--time-column", "none").stdout
    assert "--split time" not in run(*arguments, "--test-fraction", 0).stdout
    assert run(*arguments).stdout.count("--split time") == 1


def test_a_model_that_beats_what_is_new_is_not_told_otherwise(dated):
    fitted = as_json("fit", dated, "--solver", "popularity", "--half-life", "3d", "--split", "time")
    assert fitted["notes"] == []


@pytest.mark.parametrize("command", ["fit", "compare"])
def test_the_last_stretch_of_time_is_held_out_by_its_length(dated, command):
    table = cf.read_csv(dated, value=None)
    latest = int((table.timestamps > table.timestamps.max() - 20 * 86_400).sum())
    arguments = [command, dated, "--split", "rolling", "--solver", "svd", "--rank", "3"]

    def held_out(*options):
        told = as_json(*arguments, *options)
        return len(table) - told["n_train"] if command == "fit" else told["n_test"]

    assert held_out("--horizon", "20d") == latest
    assert held_out("--test-fraction", 0.25) == pytest.approx(0.25 * len(table), abs=1)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no shell that closes what a command writes to")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    "command", ["datasets", "datasets --json", "fit synthetic:30x20x200 --solver popularity -o {}"]
)
def test_a_command_works_with_closed_streams(tmp_path, closed, command):
    line = f"{shlex.quote(sys.executable)} -m cofactor {command.format(shlex.quote(str(tmp_path / 'm')))} {closed}"
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def on_a_terminal(monkeypatch, *arguments):
    """Return what a command prints on a terminal of 80 columns, without its colours."""
    monkeypatch.setattr("cofactor.apps.show.is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", run(*arguments).stdout)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A model for lists with many attributes of its items."""
    folder = tmp_path_factory.mktemp("films")
    names = {f"column {n}": [f"a rather long value {n} {i}" for i in range(50)] for n in range(4)}
    pl.DataFrame({"item": range(1, 51), **names}).write_csv(folder / "items.csv")
    run("fit", DATA, "--items", folder / "items.csv", "--rank", "12", "--epochs", "2", "-o", folder / "m.safetensors")
    return folder / "m.safetensors"


@pytest.mark.parametrize(
    "command",
    [
        ["describe", "MODEL"],
        ["evaluate", "MODEL", DATA],
        ["recommend", "MODEL", "1", "2"],
        ["similar", "MODEL", "3"],
        ["compare", DATA, "--solver", "implicit-als", "--solver", "als", "--rank", "12", "-k", "5", "-k", "10"],
        ["fit", DATA, "--rank", "12", "--epochs", "2"],
    ],
    ids=lambda command: command[0],
)
def test_nothing_is_cut_on_a_terminal_of_80_columns(films, command, monkeypatch):
    told = on_a_terminal(monkeypatch, *(films if word == "MODEL" else word for word in command))
    assert "…" not in told
    assert "{" not in told
    assert not re.search(r"\d\.\d{7}", told)
    assert max(map(len, told.splitlines())) <= 80


def test_columns_for_which_there_is_no_room_are_named(monkeypatch, capsys):
    from cofactor.apps import show

    monkeypatch.setattr("cofactor.apps.show.is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    show.table(pl.DataFrame({"item": ["a"], **{f"number {n}": [1234567.0 + n] for n in range(8)}}))
    told = capsys.readouterr().out
    assert "1,234,570.000" in told
    assert "not shown, for lack of room: number 4, number 5, number 6, number 7" in told


def test_fit_names_the_figures_of_popularity_beside_its_own_and_says_which_is_better(dated):
    fitted = as_json("fit", dated, "--solver", "svd", "--rank", "3", "--split", "time")
    assert set(fitted["baselines"]) == {"Popularity", LATE}
    told = " ".join(run("fit", dated, "--solver", "svd", "--rank", "3", "--split", "time").stdout.split())
    own, late = fitted["ndcg@10"], fitted["baselines"][LATE]["ndcg@10"]
    popular = fitted["baselines"]["Popularity"]["ndcg@10"]
    assert f"metric PureSVD Popularity {LATE}" in told
    assert f"ndcg@10 {own:.4f} {popular:.4f} {late:.4f}" in told
    best = max((popular, "Popularity"), (late, LATE))
    assert f"{best[1]}: nDCG at 10 {own:.4f} against {best[0]:.4f}" in told


def test_fit_says_what_it_does_from_the_first_moment(monkeypatch):
    import contextlib

    from cofactor.apps import show

    said = []

    @contextlib.contextmanager
    def watched(label, *, hidden):
        said.append((label, hidden, "cofactor.solvers.als" in sys.modules))
        yield lambda done, word: said.append((word, done))

    monkeypatch.setattr(show, "progress_bar", watched)
    run("fit", DATA, "--solver", "implicit-als", "--epochs", "2", "--rank", "2")
    labels = [entry[0] for entry in said if len(entry) == 3]
    assert labels == ["loading the solver", f"reading {DATA}", "training ImplicitALS"]
    assert [entry for entry in said if len(entry) == 2 and entry[1] is None] == [("measuring what is popular", None)]
    assert [entry[1] for entry in said if len(entry) == 2][:2] == [0.5, 1.0]
