"""A crowd of clients that take without reading, say nothing, or send a byte a second, in a process of their own.

Run by `serve.py` and by the tests: one JSON object on stdin, ``ready`` on stdout once all have connected, and an end
with stdin. Whoever is cut off comes again. They have many addresses of 127.0.0.0/8, as a crowd has.
"""

import contextlib
import json
import select
import socket
import sys
import time

HEAD = b"Host: 127.0.0.1\r\n"
TAKERS = b"GET /v1/map HTTP/1.1\r\n" + HEAD + b"\r\n"
BODIES = (
    b"POST /v1/recommendations HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
)
HEADS = b"GET /v1/popular HTTP/1.1\r\n" + HEAD + b"X-Slow: "


class Client:
    """One of them."""

    def __init__(self, port, number, first, reads, dribbles):
        self.port, self.first, self.reads, self.dribbles = port, first, reads, dribbles
        self.address = (f"127.0.{1 + number // 200}.{1 + number % 50}", 0)
        self.socket = None

    def come(self):
        """Connect, if it is not connected."""
        if self.socket is not None:
            return
        with contextlib.suppress(OSError):
            self.socket = socket.create_connection(("127.0.0.1", self.port), 10, source_address=self.address)
            self.socket.setblocking(False)
            self.socket.send(self.first)

    def go_on(self):
        """Do what it does every second."""
        try:
            if self.dribbles:
                self.socket.send(b" ")
            if self.reads and not self.socket.recv(1000):
                raise OSError
        except BlockingIOError:
            pass
        except OSError:
            self.socket.close()
            self.socket = None


def main():
    asked = json.loads(sys.stdin.readline())
    kinds = [(TAKERS * 60, False, False)] * asked["unread"] + [(b"", True, False)] * asked["idle"]
    kinds += [(BODIES, True, True), (HEADS, True, True)] * (asked["slow"] // 2)
    crowd = [Client(asked["port"], number, *kind) for number, kind in enumerate(kinds)]
    told = False
    while True:
        begun = time.monotonic()
        for client in crowd:
            client.come()
        if not told:
            print("ready", flush=True)
            told = True
        for client in crowd:
            if client.socket is not None:
                client.go_on()
        if select.select([sys.stdin], [], [], max(0, begun + 1 - time.monotonic()))[0]:
            return


if __name__ == "__main__":
    main()
