"""The console's part of the API: behind the token, it says what there is and changes what it is told to."""

import dataclasses
import shutil

import pytest
from websupport import until

import cofactor as cf
from cofactor.apps.web.operators import person, raters, ratings_a_day
from cofactor.apps.web.store import RatingsStore
from cofactor.apps.web.versions import new_version
from cofactor.model.origin import Trial

TOKEN = "secret-token-0123456789"
TRIAL = Trial(
    "ndcg@10", "newest", 400, 90, (0.3, 0.2, 0.4), (0.1, 0.05, 0.15), (0.2, 0.1, 0.3), (0.1, 0.05, 0.15), 0.001
)


@pytest.fixture
def served(models, tmp_path):
    """A model of which it is known how good it is, alone in a folder."""
    folder = tmp_path / "model"
    folder.mkdir()
    model = cf.load(models["stars"])
    origin = dataclasses.replace(model.origin, trial=TRIAL, asked_by="ann")
    return dataclasses.replace(model, origin=origin).save(folder / "served.safetensors")


def test_every_route_of_the_console_needs_the_token(make_client, served, tmp_path):
    (tmp_path / "tokens").write_text(TOKEN)
    client = make_client(served, token_file=tmp_path / "tokens")
    paths = client.get("/openapi.json").json()["paths"]
    asked = [(method, path) for path, methods in paths.items() if path.startswith("/v1/admin") for method in methods]
    assert len(asked) >= 5
    for method, path in asked:
        path = path.replace("{name}", "x").replace("{item}", "i1").replace("{user}", "u1")
        assert client.request(method, path).status_code == 401, path
        assert client.request(method, path, headers={"authorization": "Bearer wrong"}).status_code == 401
        assert paths[path.replace("/x/", "/{name}/").replace("/i1", "/{item}").replace("/u1", "/{user}")]
    allowed = {"authorization": f"Bearer {TOKEN}"}
    assert client.get("/v1/admin/overview", headers=allowed).status_code == 200


def test_the_overview_says_how_good_the_model_is_and_how_the_service_does(make_client, served):
    client = make_client(served)
    for _ in range(5):
        assert client.get("/v1/users/u1/recommendations").status_code == 200
    assert client.get("/v1/users/u1/recommendations?n=0").status_code == 422
    client.put("/v1/users/ann/ratings/i1", json={"value": 5})
    found = client.get("/v1/admin/overview").json()
    assert found["served"]["trial"]["figure"] == [0.3, 0.2, 0.4]
    assert found["served"]["trial"]["baseline"] == [0.1, 0.05, 0.15]
    assert found["served"]["age_seconds"] >= 0
    assert [day["ratings"] for day in found["days"]] == [0] * 27 + [1]
    lists = next(one for one in found["routes"] if one["route"] == "/v1/users/{user}/recommendations")
    assert (lists["requests"], lists["refused"], lists["failed"]) == (6, 1, 0)
    assert 0 < lists["p50_ms"] <= lists["p95_ms"] <= lists["p99_ms"]
    assert {"following the store", "refit"} <= {job["name"] for job in found["jobs"]} | {"following the store"}
    assert all(job["failing"] is None for job in found["jobs"])
    assert found["store"]["state"] == "current"


def test_days_are_those_of_the_last_writes(store):
    store.write("ann", {"tea": 5.0, "rye": 4.0, "oat": None})
    store.write("bob", {"tea": 1.0})
    days = ratings_a_day(store, 3)
    assert [(day["ratings"], day["people"]) for day in days] == [(0, 0), (0, 0), (3, 2)]
    assert days[-1]["day"] % 86_400 == 0
    assert [day["ratings"] for day in ratings_a_day(store, 2, days[-1]["day"] + 86_400)] == [3, 0]
    assert [(one["user"], one["rating"]) for one in raters(store, "tea", 5)] == [("bob", 1.0), ("ann", 5.0)]
    assert len(raters(store, "tea", 1)) == 1
    assert {one["item"]: one["rating"] for one in person(store, "ann")} == {"tea": 5.0, "rye": 4.0, "oat": None}


def test_a_refit_is_asked_for_served_and_rolled_back(make_client, served):
    client = make_client(served)
    RatingsStore(f"sqlite:///{served.parent.parent}/ratings.db").write("zoe", {"i1": 5.0, "i2": 4.0})
    old = client.get("/v1/model").json()
    assert client.post("/v1/admin/refits").status_code == 422  # somebody must have asked
    assert client.post("/v1/admin/refits?by=zoe").status_code == 202
    until(lambda: client.get("/v1/model").json()["users"] > old["users"])
    until(lambda: not client.get("/v1/admin/models").json()["refitting"])
    listed = client.get("/v1/admin/models").json()
    assert [one["asked_by"] for one in listed["versions"]] == ["zoe", "ann"]
    assert [one["served"] for one in listed["versions"]] == [True, False]
    assert listed["versions"][0]["settings"]["rank"] == 4
    back = client.post(f"/v1/admin/models/{listed['versions'][1]['name']}/serve").json()
    assert back["version"] == listed["versions"][1]["name"]
    assert client.get("/v1/model").json()["users"] == old["users"]
    assert [one["served"] for one in client.get("/v1/admin/models").json()["versions"]] == [False, True]
    assert client.post("/v1/admin/models/..%2Fserved.safetensors/serve").status_code == 422
    assert client.post("/v1/admin/models/other.safetensors/serve").status_code == 404


def test_a_version_that_is_no_model_is_listed_as_that_and_not_switched_to(make_client, served):
    client = make_client(served)
    broken = new_version(served)
    broken.write_bytes(b"no model")
    listed = client.get("/v1/admin/models").json()["versions"]
    assert "not a whole safetensors file" in next(one for one in listed if one["name"] == broken.name)["problem"]
    assert client.post(f"/v1/admin/models/{broken.name}/serve").status_code == 409
    assert client.get("/v1/users/u1/recommendations").status_code == 200
    shutil.copy(served, broken)
    assert client.post(f"/v1/admin/models/{broken.name}/serve").status_code == 200
