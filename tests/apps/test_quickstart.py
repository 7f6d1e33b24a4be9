"""The main job: with the real data where it can be had, with made-up data where it cannot."""

import json

import pytest
from clisupport import as_json, run

import cofactor as cf
from cofactor.apps import quickstart

FILES = {
    "rank-5.safetensors", "rank-10.safetensors", "rank-20.safetensors", "ranking.safetensors",
    "training-curve.svg", "error-by-rank.svg", "item-map.svg", "model.svg",
}  # fmt: skip


def test_without_a_network_it_says_so_and_runs_on_made_up_ratings(tmp_path, monkeypatch):
    real = cf.load_dataset

    def unreachable(name, **options):
        if name == "ml-100k":
            raise cf.DownloadError("ml-100k could not be downloaded: no network")
        return real(name)

    monkeypatch.setattr("cofactor.data.catalog.load_dataset", unreachable)
    monkeypatch.setattr(quickstart, "WITHOUT_NETWORK", "synthetic:90x60x2000")
    result = run("quickstart", "-o", tmp_path)
    assert "no network" in result.stderr
    assert "synthetic:90x60x2000" in result.stderr
    assert "90 users × 60 items" in result.stdout
    assert "article's mse" not in result.stdout
    assert "user 1 liked best" in result.stdout
    assert {file.name for file in tmp_path.iterdir()} == FILES
    assert "nDCG@10 over all users" in result.stdout
    assert f"cofactor recommend {tmp_path}/ranking.safetensors 1" in result.stdout.replace("\n", "")
    assert f"cofactor report {tmp_path}/ranking.safetensors synthetic:90x60x2000 -o" in result.stdout
    *_, last = result.stdout.strip().splitlines()
    assert f"cofactor serve {tmp_path}/ranking.safetensors " in last
    assert "open http://127.0.0.1:8000 in a browser" in last
    told = json.loads(run("quickstart", "--data", "synthetic:90x60x2000", "-o", tmp_path, "--json").stdout)
    assert told["verdict"]["against"] == "popularity"
    assert told["verdict"]["said"].replace("\n", " ") in " ".join(result.stdout.split())


def test_what_was_held_out_is_not_shown_as_what_a_user_liked(tmp_path):
    ratings = cf.load_dataset("synthetic:90x60x2000")
    train, _ = ratings.split_random(test_fraction=0.2, seed=0)
    user, had = ratings.users[0], train.user_history(ratings.users[0]).head(5)
    assert had["item"].to_list() != ratings.user_history(user).head(5)["item"].to_list()
    lists = quickstart._lists(ratings, seed=0)
    assert lists.learnt.user_history(user).head(5).equals(had)
    listed = lists.top(lists.ours, user)["item"]
    assert not set(listed) & set(lists.learnt.user_history(user)["item"])


def test_another_set_that_cannot_be_had_is_an_error(tmp_path, monkeypatch):
    def unreachable(name, **options):
        raise cf.DownloadError("no network")

    monkeypatch.setattr("cofactor.data.catalog.load_dataset", unreachable)
    assert "no network" in run("quickstart", "--data", "ml-1m", "-o", tmp_path, code=1).stderr


def test_the_main_job_on_real_ratings(ml100k, tmp_path):
    result = as_json("quickstart", "-o", tmp_path)
    assert [row["rank"] for row in result["rows"]] == [5, 10, 20]
    for row in result["rows"]:
        assert row["mse"] < 0.85 < row["article's mse"]
        assert row["mae"] < row["article's mae"]
    seen = set(ml100k.user_history("1")["item"])
    top = result["recommendations"]
    assert len(top) == 5
    assert all(row["title"] for row in top)
    train, _ = ml100k.split_random(test_fraction=0.2, seed=0)
    assert not {row["item"] for row in top} & set(train.user_history("1")["item"])
    assert len(seen) == 272
    assert result["article_ndcg@10"] < 0.1 < 0.4 < result["ndcg@10"]
    articles = result["article_recommendations"]
    assert len(articles) == 5
    assert sum(row["rated_by"] for row in articles) < sum(row["rated_by"] for row in top) / 2
    assert {file.name for file in tmp_path.iterdir()} == FILES


@pytest.mark.parametrize("rank", quickstart.RANKS)
def test_the_articles_figures_are_the_articles(rank):
    printed = {5: (0.9430, 0.7500), 10: (1.1858, 0.8259), 20: (1.6322, 0.9582)}
    assert quickstart.ARTICLE[rank] == printed[rank]
