"""Who may write, which names and sites are answered, and what stands in the head of every answer."""

import os
import socket

import pytest

from cofactor.apps.web.access import AccessPolicy, Tokens
from cofactor.apps.web.server import resolved
from cofactor.apps.web.settings import ServiceSettings
from cofactor.errors import SettingError

TOKEN, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def token_file(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"# who writes\n{TOKEN}\n\n  {OTHER}  \n")
    return file


def settings(tmp_path, **given):
    return ServiceSettings(tmp_path / "m.safetensors", "sqlite:///x", **given)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_beyond_loopback_it_does_not_start_without_tokens(tmp_path, host, token_file):
    with pytest.raises(SettingError, match="--token-file"):
        settings(tmp_path, host=host)
    settings(tmp_path, host=host, token_file=token_file)


def test_several_tokens_and_no_others(token_file):
    tokens = Tokens(token_file)
    assert tokens.admit(TOKEN)
    assert tokens.admit(OTHER)
    for wrong in ("", TOKEN[:-1], TOKEN + "a", TOKEN.upper(), "# who writes", "\udcff", "ü"):
        assert not tokens.admit(wrong)


def test_a_changed_file_counts_at_once_and_a_lost_one_changes_nothing(token_file):
    tokens = Tokens(token_file)
    token_file.write_text("c" * 20)
    os.utime(token_file, ns=(1, 1))
    assert tokens.admit("c" * 20)
    assert not tokens.admit(TOKEN)
    token_file.unlink()
    assert tokens.admit("c" * 20)


@pytest.mark.parametrize("content", ["", "# nothing\n", "short\n", TOKEN + "\nshort"])
def test_a_file_without_good_tokens_is_refused(tmp_path, content):
    (tmp_path / "tokens").write_text(content)
    with pytest.raises(SettingError, match="token"):
        Tokens(tmp_path / "tokens")


def test_on_loopback_without_tokens_everybody_writes_and_with_them_nobody_else(make_client, models, token_file):
    assert make_client(models["ranking"]).put("/v1/users/a/ratings/i1", json={"value": 5}).status_code == 200
    client = make_client(models["ranking"], token_file=token_file)
    assert client.put("/v1/users/a/ratings/i1", json={"value": 5}).status_code == 401


def test_writing_and_administering_takes_a_token_and_reading_none(make_client, models, token_file):
    client = make_client(models["ranking"], host="0.0.0.0", token_file=token_file)
    asks = [
        ("PUT", "/v1/users/a/ratings/i1", {"value": 5}), ("PUT", "/v1/users/a/ratings", {"ratings": []}),
        ("DELETE", "/v1/users/a/ratings/i1", None), ("DELETE", "/v1/users/a/ratings", None),
        ("POST", "/v1/admin/reload", None),
    ]  # fmt: skip
    for method, path, body in asks:
        for wrong in (
            None,
            "",
            "Bearer",
            "Bearer ",
            f"Bearer {TOKEN}x",
            f"Basic {TOKEN}",
            TOKEN,
            f"Bearer {TOKEN[:-1]}",
        ):
            headers = {} if wrong is None else {"authorization": wrong}
            refused = client.request(method, path, json=body, headers=headers)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert refused.headers["content-type"] == "application/problem+json"
        for right in (f"Bearer {TOKEN}", f"bearer {OTHER}"):
            assert client.request(method, path, json=body, headers={"authorization": right}).status_code == 200
    for path in ("/v1/popular", "/v1/users/u1/recommendations", "/v1/model", "/healthz", "/metrics"):
        assert client.get(path).status_code == 200
    assert client.post("/v1/recommendations", json={"ratings": []}).status_code == 200
    assert client.get("/v1/model").json()["needs_token"] is True


@pytest.mark.parametrize(
    ("host", "loopback", "anywhere"),
    [
        ("127.0.0.1", True, True), ("127.0.0.1:8000", True, True), ("localhost:8000", True, True),
        ("LOCALHOST", True, True), ("[::1]:8000", True, True), ("films.example", True, True),
        ("192.168.1.7:8000", False, True), ("evil.example", False, False), ("evil.example:8000", False, False),
        ("127.0.0.1.evil.example", False, False), ("localhost.evil.example", False, False), ("", False, False),
        ("localhost:8000@evil", False, False), ("localhost:x", False, False), ("a b", False, False),
        ("[::1", False, False), ("[evil]", False, False), ("127.1", False, False), ("localhost,evil", False, False),
    ],
)  # fmt: skip
def test_it_answers_to_its_own_names_alone(tmp_path, token_file, host, loopback, anywhere):
    near = AccessPolicy(settings(tmp_path, names=("films.example",)))
    far = AccessPolicy(settings(tmp_path, host="0.0.0.0", token_file=token_file, names=("films.example",)))
    assert (near.knows_host(host), far.knows_host(host)) == (loopback, anywhere)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8000", 200), ("http://127.0.0.1:8001", 403), ("http://evil.example", 403), ("null", 403),
        ("http://127.0.0.1:8000.evil.example", 403), ("http://localhost:8000", 403), ("", 403),
    ],
)  # fmt: skip
def test_another_site_s_page_is_turned_away(ranking, origin, status):
    assert ranking.get("/v1/popular", headers={"origin": origin}).status_code == status
    answer = ranking.put("/v1/users/a/ratings/i1", json={"value": 5}, headers={"origin": origin})
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


def test_a_preflight_is_not_answered(ranking):
    asked = {"origin": "http://evil.example", "access-control-request-method": "PUT"}
    answer = ranking.options("/v1/users/a/ratings/i1", headers=asked)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/healthz", "/v1/popular", "/no/such", "/v1/popular?n=-1", "/metrics"])
def test_every_answer_is_guarded(ranking, path):
    headers = ranking.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-request-id"]


def test_a_request_keeps_the_id_it_came_with_unless_that_is_unfit(ranking):
    assert ranking.get("/healthz", headers={"x-request-id": "abc-123"}).headers["x-request-id"] == "abc-123"
    for unfit in ("a b", "x" * 65, 'a"b'):
        assert ranking.get("/healthz", headers={"x-request-id": unfit}).headers["x-request-id"] != unfit


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "::1"])
def test_a_name_of_this_machine_is_resolved(host):
    try:
        address = resolved(host, 8000)
    except SettingError:
        pytest.skip(f"{host} is not set up here")
    assert address in ("127.0.0.1", "::1")


@pytest.mark.parametrize(("host", "answer"), [("localhost", "192.168.1.2"), ("localhost", "0.0.0.0")])
def test_a_localhost_that_others_reach_is_refused(monkeypatch, host, answer):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer, 8000))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(SettingError, match="others may reach"):
        resolved(host, 8000)


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "x" * 300, "1.2.3.4.5"])
def test_a_host_that_is_none_is_refused(host):
    with pytest.raises(SettingError, match="--host"):
        resolved(host, 8000)


def test_it_listens_at_localhost(serve):
    service = serve(None, "--host", "localhost")
    assert service.ask("GET", "/v1/popular", host=f"localhost:{service.port}")[0] == 200
