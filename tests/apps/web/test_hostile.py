"""What nobody friendly would send: none of it ends in a failure of ours, or where it should not be.

That no failure was logged is looked at when the service that they share ends.
"""

import http.client
import json
import socket
import threading
import time

import numpy as np
import pytest
from websupport import raw

from cofactor.apps.web.limits import MAX_BODY_BYTES


def post(body, path="/v1/recommendations", headers=""):
    body = body if isinstance(body, bytes) else body.encode()
    kind = "" if "content-type" in headers.lower() else "Content-Type: application/json\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{kind}{headers}Content-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


def get(path, headers="Host: 127.0.0.1\r\n"):
    return f"GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n".encode("latin-1")


def problem_of(answer):
    """Return the status of an answer, once it is known to be a problem document and nothing else."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert b"content-type: application/problem+json" in head.lower(), answer[:500]
    assert json.loads(body)["status"] == status
    return status


LIST = '{"ratings": [{"item": "i1", "value": %s}]}'
MANY = json.dumps({"ratings": [{"item": f"i{k}", "value": 5} for k in range(1001)]})

BODIES = {
    "not JSON": "{", "empty": " ", "a number": "5", "null": "null", "a list": "[]", "text": '"x"',
    "NaN": LIST % "NaN", "infinity": LIST % "Infinity", "-infinity": LIST % "-Infinity", "1e999": LIST % "1e999",
    "text for a number": LIST % '"5"', "a boolean": LIST % "true", "off the scale": LIST % "5.5", "zero": LIST % "0",
    "huge number": LIST % ("9" * 5000), "deep lists": "[" * 100_000, "deep objects": '{"a":' * 100_000,
    "deep within": LIST % ("[" * 50_000 + "]" * 50_000),
    "bad UTF-8": b'{"ratings": [{"item": "\xff\xfe", "value": 5}]}',
    "a lone surrogate": '{"ratings": [{"item": "\\ud800", "value": 5}]}',
    "NUL": '{"ratings": [{"item": "\\u0000", "value": 5}]}',
    "a million characters": '{"ratings": [{"item": "%s", "value": 5}]}' % ("x" * 900_000),
    "empty id": '{"ratings": [{"item": "", "value": 5}]}',
    "an id that is a number": '{"ratings": [{"item": 1, "value": 5}]}',
    "too many ratings": MANY, "negative n": '{"ratings": [], "n": -1}', "n of zero": '{"ratings": [], "n": 0}',
    "huge n": '{"ratings": [], "n": 1000000000000000000000000}', "a fraction of n": '{"ratings": [], "n": 1.5}',
    "unknown key": '{"ratings": [], "admin": true}', "__proto__": '{"ratings": [], "__proto__": {}}',
    "years": '{"ratings": [], "year_from": -5}', "a BOM": b'\xef\xbb\xbf{"ratings": []}',
    "UTF-16": '{"ratings": []}'.encode("utf-16"),
    "too many genres": json.dumps({"ratings": [], "genres": ["x"] * 21}),
}  # fmt: skip


@pytest.mark.parametrize("what", BODIES)
def test_a_body_that_cannot_be_used_is_a_problem_of_the_sender(shared_service, what):
    assert problem_of(raw(shared_service.port, post(BODIES[what]))) in (400, 422)


def test_a_body_is_never_too_large_to_be_refused(shared_service):
    whole = post(b" " * (MAX_BODY_BYTES + 1))
    assert problem_of(raw(shared_service.port, whole)) == 413
    claimed = f"POST /v1/recommendations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {10**15}\r\n"
    assert problem_of(raw(shared_service.port, f"{claimed}Content-Type: application/json\r\n\r\n".encode())) == 413
    head = b"POST /v1/recommendations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    assert problem_of(raw(shared_service.port, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 20)) == 413


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "multipart/form-data"]
)
def test_a_body_that_a_form_could_send_is_refused(shared_service, kind):
    sent = post('{"ratings": []}', headers=f"Content-Type: {kind}\r\n")
    assert problem_of(raw(shared_service.port, sent)) == 415


PATHS = [
    "/v1/items/..%2f..%2fetc%2fpasswd", "/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%5c..%5cboot.ini",
    "/v1/items/i1%00", "/v1/items/%ff%fe", "/v1/users/%ed%a0%80/recommendations",
    "/v1/users/a%0d%0aX-Evil:1/recommendations",
    "/v1/items/" + "x" * 201, "/v1/items/" + "x" * 5000, "/v1/popular?n=-1", "/v1/popular?n=abc",
    "/v1/popular?n=" + "9" * 5000, "/v1/popular?genre=War",
    "/v1/popular?n=1e3", "/v1/popular?n=", "/v1/popular?by=x", "/v1/popular?exclude=" + "x" * 201,
    "/v1/popular?exclude=%00",
    "/v1/popular?" + "&".join("exclude=a" for _ in range(1001)), "/v1/items?search=",
    "/v1/items?search=" + "x" * 201, "/v1/items",
    "/v1/map?n=100000", "/v1/items/i1/similar?n=0", "//", "/v1", "/v1/", "/V1/popular", "/v1/popular/",
    "/.git/config", "/index.html.bak",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=[path[:40] for path in PATHS])
def test_an_address_that_means_nothing_is_a_problem_of_the_sender(shared_service, path):
    answer = raw(shared_service.port, get(path))
    assert problem_of(answer) in (400, 404, 414, 422)
    assert b"X-Evil" not in answer
    assert b"root:" not in answer


INJECTIONS = [
    "'; drop table cofactor_ratings; --", '" or 1=1 --', "<script>alert(1)</script>", "{{7*7}}", "${jndi:ldap://x}",
    "%s%s%n", "$(reboot)", "../../x", "ünï © 東京 🎬", "a" * 200, "\u202ereversed", "' union select * from x",
]  # fmt: skip


@pytest.mark.parametrize("name", INJECTIONS)
def test_a_strange_name_is_just_a_name(client, name):
    from urllib.parse import quote

    path = f"/v1/users/{quote(name, safe='')}/ratings"
    assert client.put(f"{path}/i1", json={"value": 5}).status_code == 200
    kept = client.get(path)
    assert kept.json()["user"] == name
    assert [rating["item"] for rating in kept.json()["ratings"]] == ["i1"]
    assert kept.headers["content-type"] == "application/json"
    assert client.get(f"/v1/users/{quote(name, safe='')}/recommendations").json()["user"] == name
    assert client.delete(path).status_code == 200
    assert client.get("/v1/items", params={"search": name}).status_code == 200
    body = {"ratings": [{"item": name, "value": 5}], "exclude": [name], "candidates": [name]}
    assert client.post("/v1/recommendations", json=body).json()["unknown"] == [name]
    assert client.get("/v1/users/bob/ratings").json()["ratings"] == []


@pytest.mark.parametrize(
    "headers",
    [
        "", "Host: evil.example\r\n", "Host: 127.0.0.1\r\nHost: evil.example\r\n", "Host: 127.0.0.1@evil.example\r\n",
        "Host: 127.0.0.1.evil.example\r\n", "Host: \xff\r\n", "Host: " + "a" * 300 + "\r\n",
    ],
)  # fmt: skip
def test_a_wrong_host_is_refused(shared_service, headers):
    answer = raw(shared_service.port, get("/v1/popular", headers))
    assert answer.split()[1] in (b"421", b"400"), answer


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00" * 1000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: a\r\n" * 5000 + b"\r\n",
    ],
)  # fmt: skip
def test_what_is_not_http_leaves_it_standing(shared_service, sent):
    raw(shared_service.port, sent, seconds=1)
    assert shared_service.ask("GET", "/healthz")[0] == 200


def percentile(service, requests=300):
    """Return the 99th percentile of what known users wait, in seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    times = []
    for k in range(requests):
        begun = time.perf_counter()
        assert service.ask("GET", f"/v1/users/u{k % 50}/recommendations", connection=connection)[0] == 200
        times.append(time.perf_counter() - begun)
    connection.close()
    return float(np.percentile(times, 99))


def dribble(port, stop, part):
    """Send a byte a second on 250 sockets, of a head or of a body, each opened anew when it is closed."""
    head = b"GET /v1/popular HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " if part == "head" else post(b"x" * 1000)[:-1000]
    sockets = []
    while not stop.is_set():
        while len(sockets) < 250:
            one = socket.create_connection(("127.0.0.1", port), timeout=5)
            one.sendall(head)
            sockets.append(one)
        for one in list(sockets):
            try:
                one.sendall(b"a")
            except OSError:
                sockets.remove(one)
                one.close()
        stop.wait(1)
    for one in sockets:
        one.close()


def test_five_hundred_dribbling_sockets_at_most_double_what_others_wait(shared_service):
    percentile(shared_service, 100)
    alone, beside = [], []
    for _ in range(3):  # in turns, so that what else the machine does meets both
        alone.append(percentile(shared_service))
        stop = threading.Event()
        slow = [threading.Thread(target=dribble, args=(shared_service.port, stop, part)) for part in ("head", "body")]
        for one in slow:
            one.start()
        time.sleep(2)
        beside.append(percentile(shared_service))
        stop.set()
        for one in slow:
            one.join()
    assert min(beside) <= 2 * max(alone) + 0.002, (alone, beside)


def until_closed(port, sent):
    """Send the beginning of something, then a byte every half second; return when the other side had enough."""
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as one:
        one.sendall(sent)
        answer = b""
        while time.perf_counter() - begun < 30:
            try:
                part = one.recv(1000)
                if not part:
                    break
                answer += part
            except TimeoutError:
                pass
            except OSError:
                break
            try:
                one.sendall(b"a")
            except OSError:
                break
    return time.perf_counter() - begun, answer


def test_a_request_has_a_deadline_to_arrive(shared_service):
    results = {}

    def measure(name, sent):
        results[name] = until_closed(shared_service.port, sent)

    beginnings = {
        "nothing": b"", "head": b"GET /healthz HTTP/1.1\r\nX: ", "body": post(b"x" * 1000)[:-1000],
        "second": b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /hea",
    }  # fmt: skip
    threads = [threading.Thread(target=measure, args=pair) for pair in beginnings.items()]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert all(seconds < 14 for seconds, _ in results.values()), results
    assert b" 408 " in results["body"][1].splitlines()[0]
