"""The service behind proxies and under probes: nginx, HAProxy and Caddy run for real, set up as the guide says."""

import contextlib
import gzip
import http.client
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urljoin

import brotli
import pytest
from processes import free_port, until_listening
from starlette.testclient import TestClient
from websupport import Service, raw, until

from cofactor.apps.web.settings import ServiceSettings
from cofactor.errors import SettingError

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "serve.md"
NAME = "films.example.org"


def block(text):
    """Return the block of the guide that has some text in it."""
    blocks = re.findall(r"^```\w+\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return next(found for found in blocks if text in found)


NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/a;
    proxy_temp_path {folder}/b;
    fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d;
    scgi_temp_path {folder}/e;
    {server}
}}
"""


def program(name):
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {name}")
    return found


@pytest.fixture
def run(tmp_path):
    """Return what runs a proxy with some configuration until the test ends."""
    with contextlib.ExitStack() as stack:

        def start(name, port, config, *command):
            file = tmp_path / f"{name}.conf"
            file.write_text(config)
            home = {
                **os.environ,
                "HOME": str(tmp_path),
                "XDG_DATA_HOME": str(tmp_path),
                "XDG_CONFIG_HOME": str(tmp_path),
            }
            log = stack.enter_context((tmp_path / f"{name}.log").open("w"))
            process = subprocess.Popen([program(name), *command, str(file)], stdout=log, stderr=log, env=home)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            try:
                until_listening(port)
            except AssertionError:
                raise AssertionError((tmp_path / f"{name}.log").read_text()) from None

        yield start


def nginx(run, tmp_path, server, port):
    run("nginx", port, NGINX.format(folder=tmp_path, server=server), "-p", str(tmp_path), "-c")


def of_guide(text, service, port):
    return block(text).replace("listen 80", f"listen {port}").replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")


def ask(port, method, path, body=None, host=None, **headers):
    """Return status, headers and text, as a browser at a name gets them."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sent = None if body is None else json.dumps(body)
    given = {"Host": host or f"{NAME}:{port}", **({"content-type": "application/json"} if sent else {}), **headers}
    connection.request(method, path, sent, given)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, answer.headers, text


def use_as_a_browser(port, prefix="", host=None):
    """Load the page and what it loads, rate an item whose id has a slash, and read it back."""
    host = host or f"{NAME}:{port}"
    origin = {"Origin": f"http://{host}"}
    status, headers, page = ask(port, "GET", f"{prefix}/", host=host, **{"Accept-Encoding": "gzip"}, **origin)
    assert (status, headers["content-encoding"]) == (200, "gzip")
    page = gzip.decompress(page)
    for address in re.findall(r'(?:href|src|action)="([^"#]*)"', page.decode()):
        assert not address.startswith("/"), address
        assert ask(port, "GET", urljoin(f"{prefix}/", address), host=host)[0] == 200, address
    for path, value in (("v1/users/ann%2Fbob/ratings/i1", 5), ("v1/users/c%25d/ratings/i2", 4)):
        status, _, text = ask(port, "PUT", f"{prefix}/{path}", {"value": value}, host=host, **origin)
        assert status == 200, text
    kept = json.loads(ask(port, "GET", f"{prefix}/v1/users/ann%2Fbob/ratings", host=host)[2])
    assert (kept["user"], [one["rating"] for one in kept["ratings"]]) == ("ann/bob", [5.0])
    listed = json.loads(ask(port, "POST", f"{prefix}/v1/recommendations", {"ratings": []}, host=host, **origin)[2])
    assert listed["items"]
    other = ask(port, "PUT", f"{prefix}/v1/users/ann/ratings/i1", {"value": 5}, host=host, Origin="http://evil.example")
    assert other[0] == 403
    head = ask(port, "HEAD", f"{prefix}/v1/popular", host=host)
    assert (head[0], head[2]) == (200, b"")


def test_nginx_as_the_guide_says(serve, run, tmp_path):
    service, port = serve(None, "--name", NAME), free_port()
    nginx(run, tmp_path, of_guide("server_name", service, port), port)
    use_as_a_browser(port)


def test_nginx_under_a_path_as_the_guide_says(serve, run, tmp_path):
    service, port = serve(None, "--name", NAME, "--root-path", "/films"), free_port()
    location = of_guide("location /films/", service, port)
    nginx(run, tmp_path, f"server {{ listen {port}; {location} }}", port)
    use_as_a_browser(port, "/films")
    described = json.loads(ask(port, "GET", "/films/openapi.json")[2])
    assert described["servers"] == [{"url": "/films"}]
    assert service.ask("GET", "/v1/popular")[0] == 200  # a proxy that takes the path off is fine, too
    status, headers, _ = ask(service.port, "GET", "/films", host=NAME)
    assert (status, headers["location"]) == (308, "/films/")


BARE = {
    "nothing passed on": "",
    "the host without its port": "proxy_set_header Host $host;",
    "another host": "proxy_set_header Host localhost;",
}


@pytest.mark.parametrize("how", BARE)
def test_nginx_that_does_not_pass_the_host_on_is_told_the_remedy_which_works(serve, run, tmp_path, how):
    unnamed, named, port, other = serve(), serve(None, "--name", NAME), free_port(), free_port()
    servers = [
        f"server {{ listen {p}; location / {{ proxy_pass http://127.0.0.1:{s.port}; {BARE[how]} }} }}"
        for p, s in ((port, unnamed), (other, named))
    ]
    nginx(run, tmp_path, "\n".join(servers), port)
    origin = {"Origin": f"http://{NAME}:{port}"}
    status, _, text = ask(port, "PUT", "/v1/users/ann/ratings/i1", {"value": 5}, **origin)
    assert status in (403, 421)
    assert "--name HOST" in json.loads(text)["detail"]
    assert "proxy" in json.loads(text)["detail"]
    use_as_a_browser(other)


@pytest.mark.parametrize("header", [f"X-Forwarded-Host {NAME}:PORT", f'X-Forwarded-Host "{NAME}:PORT, inner"'])
def test_a_trusted_proxy_says_what_was_asked_for(serve, run, tmp_path, header):
    service, port = serve(None, "--name", NAME, "--trusted-proxy", "127.0.0.0/8"), free_port()
    lines = f"proxy_set_header {header.replace('PORT', str(port))}; proxy_set_header X-Forwarded-Prefix /shop;"
    location = f"location /shop/ {{ proxy_pass http://127.0.0.1:{service.port}; {lines} }}"
    nginx(run, tmp_path, f"server {{ listen {port}; {location} }}", port)
    use_as_a_browser(port, "/shop")


def test_what_others_forward_is_not_believed(make_client, models):
    forwarded = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/v1"}
    client = make_client(models["ranking"], trusted_proxies=("10.0.0.0/8",))
    assert client.get("/v1/popular", headers={**forwarded, "Origin": "http://evil.example"}).status_code == 403
    assert client.get("/v1/popular", headers=forwarded).status_code == 200


@pytest.mark.parametrize("prefix", ["//evil.example", "films", "/a b", "/<x>"])
def test_a_forwarded_path_that_is_none_is_ignored(make_client, models, prefix):
    client = make_client(models["ranking"], trusted_proxies=("0.0.0.0/0",))
    client._transport.client = ("127.0.0.1", 1)
    assert client.get("/v1/popular", headers={"X-Forwarded-Prefix": prefix}).status_code == 200


@pytest.mark.parametrize(
    "given", [{"root_path": "films"}, {"root_path": "/a b"}, {"root_path": "//x"}, {"trusted_proxies": ("proxy",)}]
)
def test_settings_of_proxies_that_cannot_be_are_refused(tmp_path, given):
    with pytest.raises(SettingError, match=r"--root-path|--trusted-proxy"):
        ServiceSettings(tmp_path / "m", "sqlite:///x", **given)


def test_haproxy_as_the_guide_says(serve, run):
    service, port = serve(None, "--name", NAME), free_port()
    config = of_guide("httpchk", service, port).replace("bind :80", f"bind 127.0.0.1:{port}")
    run("haproxy", port, config.replace(" check\n", " check inter 100ms\n"), "-f")
    until(lambda: ask(port, "GET", "/healthz")[0] == 200)
    use_as_a_browser(port)
    assert service.process.poll() is None


@pytest.mark.parametrize(
    "check", ["option httpchk", "option httpchk HEAD /healthz", "option httpchk GET /readyz HTTP/1.1"]
)
def test_haproxy_s_checks_find_it_up(serve, run, check):
    service, port = serve(None, "--name", NAME), free_port()
    config = of_guide("httpchk", service, port).replace("bind :80", f"bind 127.0.0.1:{port}")
    check = "option httpchk GET /healthz" if check == "option httpchk" else check
    config = config.replace("option httpchk GET /readyz", check).replace(" check\n", " check inter 100ms\n")
    run("haproxy", port, config, "-f")
    until(lambda: ask(port, "GET", "/v1/popular")[0] == 200, 10)


def test_caddy_as_the_guide_says(serve, run):
    service, port = serve(None, "--name", NAME), free_port()
    config = of_guide("reverse_proxy", service, port).replace(NAME, f"http://{NAME}:{port}")
    run("caddy", port, "{\n    admin off\n}\n" + config, "run", "--adapter", "caddyfile", "--config")
    use_as_a_browser(port)


PATHS = ["/", "/style.css", "/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/popular", "/v1/model", "/v1/map",
         "/v1/items?search=Film", "/v1/items/i1", "/v1/items/i1/similar", "/v1/users/u3/recommendations",
         "/v1/users/u3/ratings", "/nothing", "/v1/popular?n=x"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_head_is_answered_as_get_without_the_body(shared_service, path):
    host = f"127.0.0.1:{shared_service.port}"
    got, asked = (ask(shared_service.port, method, path, host=host) for method in ("GET", "HEAD"))
    assert (asked[0], asked[2]) == (got[0], b"")
    assert asked[1]["content-type"] == got[1]["content-type"]
    if path not in ("/metrics", "/readyz"):
        assert asked[1]["content-length"] == got[1]["content-length"]
    raw_answer = raw(shared_service.port, f"HEAD {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert raw_answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize(
    "head", ["HTTP/1.0\r\n", "HTTP/1.1\r\nHost: 10.1.2.3\r\n", "HTTP/1.1\r\nHost: probe.internal:80\r\n"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_is_told_whatever_the_host_is(shared_service, path, head, method):
    answer = raw(shared_service.port, f"{method} {path} {head}Connection: close\r\n\r\n".encode())
    assert answer.split()[1] == b"200", answer


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/v1/users/ann/ratings/i1"), ("DELETE", "/v1/users/ann/ratings"), ("GET", "/v1/popular"),
     ("POST", "/v1/admin/reload"), ("HEAD", "/healthz")],
)  # fmt: skip
def test_an_empty_body_in_chunks_is_no_body(shared_service, method, path):
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert raw(shared_service.port, head.encode() + b"0\r\n\r\n").split()[1] == b"200"


def test_a_body_in_chunks_still_needs_its_type(shared_service):
    head = (
        b"POST /v1/recommendations HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
    )
    body = b'\r\n1\r\n{\r\ne\r\n"ratings": []}\r\n0\r\n\r\n'
    assert raw(shared_service.port, head + body).split()[1] == b"415"
    assert raw(shared_service.port, head + b"Content-Type: application/json\r\n" + body).split()[1] == b"200"


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate", "zstd", "gzip, gzip"])
def test_a_compressed_body_is_refused_as_such(shared_service, coding):
    body = gzip.compress(b'{"ratings": []}')
    head = (
        "POST /v1/recommendations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Encoding: {coding}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    answer = raw(shared_service.port, head.encode() + body)
    assert answer.split()[1] == b"415"
    assert b"must not be compressed" in answer
    assert b"accept-encoding: identity" in answer.lower()


def test_answers_are_compressed_for_who_asks(shared_service):
    host = f"127.0.0.1:{shared_service.port}"
    for path in ("/v1/users/u3/recommendations?n=40", "/", "/openapi.json", "/style.css"):
        plain = ask(shared_service.port, "GET", path, host=host)
        assert "content-encoding" not in plain[1]
        assert "accept-encoding" in plain[1]["vary"].lower()
        for accepted, coding, unpack in (
            ("br, gzip;q=0.8", "br", brotli.decompress), ("gzip, deflate", "gzip", gzip.decompress),
            ("br;q=0, gzip", "gzip", gzip.decompress), ("*", "br", brotli.decompress),
        ):  # fmt: skip
            packed = ask(shared_service.port, "GET", path, host=host, **{"Accept-Encoding": accepted})
            assert packed[1]["content-encoding"] == coding
            assert unpack(packed[2]) == plain[2]
            assert len(packed[2]) < 0.5 * len(plain[2])
            assert int(packed[1]["content-length"]) == len(packed[2])
            assert "accept-encoding" in packed[1]["vary"].lower()
            head = ask(shared_service.port, "HEAD", path, host=host, **{"Accept-Encoding": accepted})
            assert head[2] == b""
            assert (head[1]["content-encoding"], head[1]["content-length"]) == (coding, packed[1]["content-length"])
        refused = ask(shared_service.port, "GET", path, host=host, **{"Accept-Encoding": "gzip;q=0, identity"})
        assert "content-encoding" not in refused[1]
    for small in ("/healthz", "/v1/items/i1"):
        answer = ask(shared_service.port, "GET", small, host=host, **{"Accept-Encoding": "gzip, br"})
        assert "content-encoding" not in answer[1]


def test_a_compressed_file_is_another_form_of_the_same_page(shared_service):
    host = f"127.0.0.1:{shared_service.port}"
    plain, *packed = (
        ask(shared_service.port, "GET", "/style.css", host=host, **({"Accept-Encoding": coding} if coding else {}))
        for coding in ("", "br", "gzip")
    )
    tag = plain[1]["etag"]
    assert tag.startswith('"')
    assert {one[1]["etag"] for one in packed} == {f"W/{tag}"}  # equal to the reader, not byte for byte
    for known in (tag, f"W/{tag}", f'"other", W/{tag}', "*"):
        again = ask(
            shared_service.port, "GET", "/style.css", host=host, **{"Accept-Encoding": "br", "If-None-Match": known}
        )
        assert (again[0], again[2]) == (304, b"")
    changed = ask(shared_service.port, "GET", "/style.css", host=host, **{"If-None-Match": '"other"'})
    assert changed[0] == 200


def test_a_service_under_a_path_shows_its_page(models, tmp_path, browse):
    service = Service(models["ranking"], tmp_path, "--root-path", "/films")
    try:
        page = browse(
            f"{service.address}/films",
            lambda page, troubles: page.on("requestfailed", lambda r: troubles.append(r.url)),
        )
        assert page.url == f"{service.address}/films/"
        page.wait_for_selector("#list .row")
    finally:
        service.close()


@pytest.mark.parametrize(
    ("origin", "proto", "host", "status"),
    [
        ("https://films.example.org", "https", NAME, 200),
        ("http://films.example.org", "https", NAME, 403),  # of a page that somebody on the way may have made
        ("https://films.example.org", "http", NAME, 403),
        ("https://films.example.org", "https, http", NAME, 200),
        ("https://films.example.org", "HTTPS", f"{NAME}:443", 200),
        ("https://films.example.org:443", "https", NAME, 200),
        ("https://films.example.org:8443", "https", f"{NAME}:8443", 200),
        ("http://films.example.org", "http", f"{NAME}:80", 200),
        ("http://films.example.org", "ftp", NAME, 200),  # which says nothing
        ("http://films.example.org", None, NAME, 200),
    ],
)
def test_the_scheme_that_a_trusted_proxy_names_is_the_page_s(make_client, models, origin, proto, host, status):
    headers = {"Origin": origin, "Host": host, **({"X-Forwarded-Proto": proto} if proto else {})}
    trusting = make_client(models["ranking"], names=(NAME,), trusted_proxies=("127.0.0.1",))
    trusting = TestClient(trusting.app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000))
    assert trusting.get("/v1/popular", headers=headers).status_code == status
    other = TestClient(trusting.app, base_url="http://127.0.0.1:8000", client=("10.0.0.9", 50000))
    assert other.get("/v1/popular", headers=headers).status_code == 200
