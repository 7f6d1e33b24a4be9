"""Two models in one service: who gets whose lists, interleaved lists, and lists with chance in them."""

import collections
import random

import numpy as np
import pytest
from clisupport import run

from cofactor.apps.web.events_store import EventsStore, logged_lists
from cofactor.apps.web.experiment import Experiment, chance_for, explored
from cofactor.apps.web.settings import ServiceSettings
from cofactor.errors import SettingError
from cofactor.lists.team_draft import team_draft

USERS = [str(k) for k in range(40)]


@pytest.fixture
def two(make_client, models):
    return lambda **more: make_client(models["ranking"], challenger=models["other"], share=0.5, events=True, **more)


def lists_of(client, n=5):
    return {user: client.get(f"/v1/users/{user}/recommendations?n={n}").json() for user in USERS}


def test_a_user_has_one_arm_that_every_answer_tells_and_stays(two, make_client, models, tmp_path):
    first = lists_of(two())
    alone = {
        arm: lists_of(make_client(models[name], ratings=f"sqlite:///{tmp_path}/{arm}.db"))
        for arm, name in (("A", "ranking"), ("B", "other"))
    }
    arms = {user: found["arm"] for user, found in first.items()}
    assert set(arms.values()) == {"A", "B"}
    for user, found in first.items():
        assert found["model"] == alone[arms[user]][user]["model"]
        assert found["items"] == alone[arms[user]][user]["items"]
    client = two()
    assert {user: found["arm"] for user, found in lists_of(client).items()} == arms
    for user in USERS[:6]:
        entry = first[user]["items"][2]
        told = client.get(f"/v1/users/{user}/explanations/{entry['item']}").json()
        assert (told["model"], told["position"]) == (first[user]["model"], 3)
        changed = client.put(f"/v1/users/{user}/ratings/{entry['item']}", json={"value": 5}).json()["list"]
        assert (changed["model"], changed["arm"]) == (first[user]["model"], arms[user])
    client.app.service.events.flush()
    frame = logged_lists(EventsStore(client.app.service.ratings.store))
    assert dict(frame.select("user", "arm").unique().iter_rows()) == arms
    assert frame["experiment"].unique().to_list() == ["ranking.safetensors other.safetensors"]


def test_the_split_has_its_share_grows_with_it_and_differs_by_name():
    users = [f"user {k}" for k in range(20_000)]
    small, large, other = (np.array([*map(e.treats, users)]) for e in (
        Experiment("spring", 0.1), Experiment("spring", 0.3), Experiment("summer", 0.3)
    ))  # fmt: skip
    for split, share in ((small, 0.1), (large, 0.3), (other, 0.3)):
        assert abs(split.mean() - share) < 4 * (share * (1 - share) / len(users)) ** 0.5
    assert not (small & ~large).any()
    assert abs((large & other).mean() - 0.09) < 4 * (0.09 * 0.91 / len(users)) ** 0.5


def test_team_draft_gives_both_lists_the_same_chances():
    a, b = list(range(10)), [*range(5, 15)]
    firsts, counts = collections.Counter(), collections.Counter()
    for seed in range(4000):
        draft = team_draft(a, b, 8, random.Random(seed))
        assert len(set(draft.items)) == len(draft.items) == len(draft.teams) == 8
        for place in range(0, 8, 2):
            assert set(draft.teams[place : place + 2]) == {"A", "B"}
        for team, items in (("A", a), ("B", b)):
            picked = [item for item, side in zip(draft.items, draft.teams, strict=True) if side == team]
            others = set(draft.items) - set(picked)
            assert picked == [item for item in items if item not in others][: len(picked)]
        firsts[draft.teams[0]] += 1
        counts.update(draft.teams)
    assert abs(firsts["A"] / 4000 - 0.5) < 0.04
    assert counts["A"] == counts["B"]


def test_a_draft_of_short_lists_is_what_there_is():
    assert sorted(team_draft([1, 2], [2, 3], 10, random.Random(0)).items) == [1, 2, 3]
    assert team_draft([1], [], 5, random.Random(0)) == ([1], "A")
    assert team_draft([], [], 5, random.Random(0)) == ([], "")


def test_an_interleaved_list_is_of_both_models_and_the_same_all_day(two):
    client = two(interleave=True)
    found = lists_of(client, n=6)
    mixed = {user: one for user, one in found.items() if one["arm"] == "AB"}
    assert 5 < len(mixed) < len(USERS)
    assert {one["arm"] for one in found.values()} == {"A", "AB"}
    for user, one in mixed.items():
        assert [item["position"] for item in one["items"]] == [1, 2, 3, 4, 5, 6]
        assert sorted(item["team"] for item in one["items"]) == ["A"] * 3 + ["B"] * 3
        again = client.get(f"/v1/users/{user}/recommendations?n=6").json()
        assert again["items"] == one["items"]
        item = one["items"][0]["item"]
        after = client.put(f"/v1/users/{user}/ratings/{item}", json={"value": 5}, params={"n": 6}).json()["list"]
        assert after["arm"] == "AB"
        assert item not in {entry["item"] for entry in after["items"]}
    client.app.service.events.flush()
    frame = logged_lists(EventsStore(client.app.service.ratings.store))
    user, one = next(iter(mixed.items()))
    kept = frame.filter(list_id=one["list_id"])
    assert kept["team"].to_list() == [item["team"] for item in one["items"]]
    assert frame.filter(arm="A")["team"].null_count() == len(frame.filter(arm="A"))


def test_what_is_logged_as_likely_is_as_likely_as_that():
    pool = {"items": [{"item": str(k), "position": k + 1} for k in range(6)]}
    chance, counts, n = random.Random(3), np.zeros((6, 2)), 20_000
    told = np.full((6, 2), np.nan)
    for _ in range(n):
        found, likely = explored(pool, 2, 0.3, chance)
        assert [item["position"] for item in found["items"]] == [1, 2]
        for position, (item, probability) in enumerate(zip(found["items"], likely, strict=True)):
            counts[int(item["item"]), position] += 1
            told[int(item["item"]), position] = probability
    assert np.allclose(told.sum(axis=0), 1)
    assert np.abs(counts / n - told).max() < 4 * (0.25 / n) ** 0.5


def test_an_explored_list_is_logged_with_its_chances_and_one_with_rules_without(make_client, models):
    client = make_client(models["ranking"], events=True, explore=0.5)
    plain = make_client(models["ranking"])
    differ = 0
    for user in USERS:
        found = client.get(f"/v1/users/{user}/recommendations?n=4").json()
        usual = plain.get(f"/v1/users/{user}/recommendations?n=12").json()
        best = {item["item"]: item["score"] for item in usual["items"]}
        assert all(best[item["item"]] == item["score"] for item in found["items"])
        assert [item["position"] for item in found["items"]] == [1, 2, 3, 4]
        differ += [item["item"] for item in found["items"]] != [item["item"] for item in usual["items"][:4]]
    assert 8 < differ < 32
    ruled = client.get("/v1/users/1/recommendations?n=4&at_most=2&per=genres").json()
    client.app.service.events.flush()
    frame = logged_lists(EventsStore(client.app.service.ratings.store))
    assert frame.filter(list_id=ruled["list_id"])["propensity"].null_count() == 4
    others = frame.filter(frame["list_id"] != ruled["list_id"])["propensity"]
    assert set(others.round(6)) == {round(0.5 / 12, 6), round(0.5 + 0.5 / 12, 6)}


def test_somebody_without_a_name_has_new_chances_each_time():
    assert len({chance_for(None, "explore").random() for _ in range(20)}) == 20
    assert chance_for("ann", "explore").random() == chance_for("ann", "explore").random()
    assert chance_for("ann", "explore").random() != chance_for("ann", "interleave").random()


def test_erasing_and_reloading_reach_both_models(make_client, models, tmp_path):
    import shutil

    import cofactor as cf

    paths = [shutil.copy(models[name], tmp_path / f"{name}.safetensors") for name in ("ranking", "other")]
    client = make_client(paths[0], challenger=paths[1], share=0.5)
    user = next(user for user in USERS if client.get(f"/v1/users/{user}/recommendations").json()["arm"] == "B")
    assert client.delete(f"/v1/users/{user}").json()["in_model_file"] is False
    for path in paths:
        assert user not in set(map(str, cf.load(path).users.ids))
    assert client.get(f"/v1/users/{user}/recommendations").json()["popular"]
    shutil.copy(models["stars"], paths[1])
    before = client.get(f"/v1/users/{user}/recommendations").json()["model"]
    assert client.post("/v1/admin/reload").status_code == 200
    assert client.get(f"/v1/users/{user}/recommendations").json()["model"] != before


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"explore": 0.1}, "add --events"),
        ({"explore": 1.5, "events": True}, "--explore 1.5: it must be from 0 to 1"),
        ({"interleave": True}, "cofactor serve A B --interleave"),
        ({"share": 0.0}, "--share 0: it must be above 0"),
        ({"events_days": 0}, "--events-days 0"),
        ({"experiment": "x" * 201}, "1 to 200 characters"),
    ],
)
def test_settings_that_do_not_fit_are_refused(models, settings, says):
    with pytest.raises(SettingError, match=says):
        ServiceSettings(model=models["ranking"], **settings)


def test_a_share_of_one_model_is_refused(models):
    result = run("serve", models["ranking"], "--share", "0.1", code=2)
    assert "cofactor serve A B --share 0.1" in result.stderr


def test_a_challenger_that_is_not_there_is_named(models, tmp_path):
    result = run("serve", models["ranking"], tmp_path / "no.safetensors", code=2)
    assert "no.safetensors is not there" in result.stderr
