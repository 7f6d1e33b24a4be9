"""A load generator in one process: keep-alive connections, requests made beforehand, latencies from when each was due.

Run by `serve.py` in a process of its own, with one JSON object on stdin and one on stdout. With a ``rate`` requests are
due at even distances whether or not earlier ones were answered, and a latency counts from then on, so that a stall is
charged to all who had to wait; without one every connection asks again as soon as it is answered.
"""

import asyncio
import json
import sys
import time
from collections import deque


class Connection(asyncio.Protocol):
    """One keep-alive connection; answers come in the order of the requests."""

    def __init__(self, done):
        self._done, self._buffer, self.asked = done, bytearray(), deque()
        self.closed = False

    def connection_made(self, transport):
        self.transport = transport

    def ask(self, request, due):
        self.asked.append(due)
        self.transport.write(request)

    def data_received(self, data):
        self._buffer += data
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n")[0])
            if len(self._buffer) < end + 4 + length:
                return
            del self._buffer[: end + 4 + length]
            self._done(self, int(head[9:12]), self.asked.popleft())

    def connection_lost(self, error):
        self.closed = True
        while self.asked:
            self._done(self, 0, self.asked.popleft())


class Run:
    """A run of requests against one address."""

    def __init__(self, host, port, requests, seconds, rate, connections):
        self.host, self.port, self.seconds, self.rate, self.count = host, port, seconds, rate, connections
        self.requests, self.next = [request.encode() for request in requests], 0
        self.latencies, self.statuses, self.over = [], {}, False

    def request(self):
        self.next += 1
        return self.requests[self.next % len(self.requests)]

    def done(self, connection, status, due):
        self.latencies.append(time.perf_counter() - due)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if self.rate is None and not self.over and not connection.closed:
            connection.ask(self.request(), time.perf_counter())

    async def connect(self):
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(lambda: Connection(self.done), self.host, self.port))[1]

    async def run(self):
        connections = [await self.connect() for _ in range(self.count)]
        begun = time.perf_counter()
        if self.rate is None:
            for connection in connections:
                connection.ask(self.request(), time.perf_counter())
            await asyncio.sleep(self.seconds)
        else:
            await self.steadily(connections, begun)
        self.over = True
        took = time.perf_counter() - begun
        answered = len(self.latencies)
        for _ in range(500):
            if not any(connection.asked for connection in connections):
                break
            await asyncio.sleep(0.01)
        for connection in connections:
            connection.transport.close()
        return {"seconds": took, "answered": answered, "latencies": self.latencies, "statuses": self.statuses}

    async def steadily(self, connections, begun):
        for number in range(int(self.seconds * self.rate)):
            due = begun + number / self.rate
            while (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            place = min(range(len(connections)), key=lambda k: len(connections[k].asked))
            if connections[place].closed:
                connections[place] = await self.connect()
            connections[place].ask(self.request(), due)
            if number % 8 == 0:
                await asyncio.sleep(0)


def main():
    asked = json.load(sys.stdin)
    json.dump(asyncio.run(Run(**asked).run()), sys.stdout)


if __name__ == "__main__":
    main()
