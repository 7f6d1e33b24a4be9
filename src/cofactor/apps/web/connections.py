"""The connections of a worker: how many there may be, in all and from one address, and how long each may be waited for.

uvicorn reads and writes HTTP, but waits for ever for a client that connects and says nothing, sends its request byte by
byte, or does not read its response. Here every wait ends; a client that is not served is told so, where it listens.
"""

import asyncio
import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from cofactor.apps.web.problems import BUSY, Problem, problem_response
from cofactor.apps.web.proxies import Networks, neighbourhood

__all__ = ["HEAD_SECONDS", "MAX_CONNECTIONS", "MAX_CUT", "MAX_PER_ADDRESS", "SEND_SECONDS", "Connection", "Connections"]

log = logging.getLogger("cofactor.web")

HEAD_SECONDS = 10.0
"""How long a request's head may take, and how long a connection may be idle."""

SEND_SECONDS = 30.0
"""How long the part of a response that the system does not take yet may wait for the client to read."""

CLOSING_SECONDS = 2.0
"""How long a client may go on sending what nobody reads, before the connection is cut and it may miss the response."""

MAX_CUT = 50
"""How many connections are cut off at a time."""

MAX_CONNECTIONS = 10_000
MAX_PER_ADDRESS = 1_000
MAX_HEAD_BYTES = 65_536
MAX_PIPELINED = 100

_MALFORMED = Problem(400, "the request is not valid HTTP", headers={"connection": "close"})
_LARGE_HEAD = Problem(
    431, f"the request's head is larger than {MAX_HEAD_BYTES:,} bytes", headers={"connection": "close"}
)
_LOG_SECONDS = 10.0
_NEVER = float("inf")


class Connections:
    """All connections of a worker.

    Parameters
    ----------
    proxies : Networks
        Whose connections are other people's, and are bounded only by ``most``.
    most, most_per_address : int
    refused : callable, optional
        Called for every connection that is refused or cut off.
    """

    def __init__(
        self,
        proxies: Networks,
        most: int = MAX_CONNECTIONS,
        most_per_address: int = MAX_PER_ADDRESS,
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        self._proxies, self._most, self._most_per_address = proxies, most, most_per_address
        self._open: dict[Connection, str] = {}
        self._per_address: Counter[str] = Counter()
        self._refused, self._logged_at = refused, -_NEVER
        self._to_look_at: list[Connection] = []
        self._share = 0

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: "Connection", address: str) -> Problem | None:
        """Note a connection, and return why it is refused, if it is."""
        key = neighbourhood(address)
        self._open[connection] = key
        self._per_address[key] += 1
        if len(self._open) > self._most:
            return self._refusal("there are too many connections: try again soon")
        if self._per_address[key] > self._most_per_address and not self._proxies.hold(address):
            return self._refusal(
                "there are too many connections from one address: try again soon; if it is a proxy's, start the "
                "service with --trusted-proxy ADDRESS"
            )
        return None

    def remove(self, connection: "Connection") -> None:
        """Forget a connection that is closed."""
        key = self._open.pop(connection)
        self._per_address[key] -= 1
        if not self._per_address[key]:
            del self._per_address[key]

    def cut_overdue(self) -> None:
        """Look at a tenth of the connections, and cut off some that have kept the worker waiting for too long.

        To be called ten times a second. To look at thousands at once, or to close them, would let all others wait.
        """
        if not self._to_look_at:
            self._to_look_at = list(self._open)
            self._share = -(-len(self._to_look_at) // 10)
        now, last = asyncio.get_running_loop().time(), max(len(self._to_look_at) - self._share, 0)
        some, self._to_look_at = self._to_look_at[last:], self._to_look_at[:last]
        for one in itertools.islice([one for one in some if one in self._open and one.is_overdue(now)], MAX_CUT):
            self._refused()
            one.transport.abort()

    @property
    def is_swamped(self) -> bool:
        """Whether there are so many beyond the bound that none of them is even answered."""
        return len(self._open) > self._most + 1_000

    def _refusal(self, detail: str) -> Problem:
        self._refused()
        if time.monotonic() - self._logged_at > _LOG_SECONDS:
            self._logged_at = time.monotonic()
            log.warning("a connection was refused: %s", detail, extra={"event": "connection_refused"})
        return Problem(503, detail, "too-many-connections", BUSY)


class Connection(HttpToolsProtocol):
    """A connection, as uvicorn handles it, with an end to every wait.

    Parameters
    ----------
    connections : Connections
    options
        Those of uvicorn's protocols.
    """

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._connections = connections
        self._deadline = _NEVER
        self._unsent_since = _NEVER
        self._fruitless_bytes = 0
        self._is_deaf = False

    def is_overdue(self, now: float) -> bool:
        """Tell whether the client has kept us waiting for too long; to be asked regularly."""
        if not self.transport.get_write_buffer_size():
            self._unsent_since = _NEVER
        elif self._unsent_since == _NEVER:
            self._unsent_since = now
        return now > self._deadline or now - self._unsent_since > SEND_SECONDS

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request, or refuse to."""
        super().connection_made(transport)
        self._await_head()
        self.write = transport.write
        refusal = self._connections.add(self, self.client[0] if self.client else "")
        if self._connections.is_swamped:
            transport.abort()
        elif refusal is not None:
            self._end_with(refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what comes, within limits."""
        if self._is_deaf:
            return
        self._fruitless_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # the request is answered as any other; what comes then is not HTTP
            self._stop_reading()
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, _TooManyPipelined):
                self._stop_reading()
            else:
                self._end_with(_MALFORMED)
            return
        if self._fruitless_bytes > MAX_HEAD_BYTES and not self._is_deaf:
            self._end_with(_LARGE_HEAD)

    def on_headers_complete(self) -> None:
        """Let the application answer."""
        if len(self.pipeline) >= MAX_PIPELINED:
            raise _TooManyPipelined
        self._fruitless_bytes, self._deadline = 0, _NEVER
        super().on_headers_complete()
        self.cycle.transport = self  # type: ignore[assignment]  # which closes with care

    def on_body(self, body: bytes) -> None:
        """Hand on a part of a body."""
        self._fruitless_bytes = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for one."""
        if self._is_deaf and not self.pipeline:
            self._linger()
            return
        if not self.pipeline:
            self._await_head()
        super().on_response_complete()

    def is_closing(self) -> bool:
        """Tell whether nothing can be sent any more."""
        return self.transport.is_closing()

    def close(self) -> None:
        """Close once everything is sent; where the client is sending still, not before it could read the response."""
        if self.cycle.more_body:
            self._linger()
        else:
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        async def in_one_piece(scope: Any, receive: Any, _: Any) -> None:
            await app(scope, receive, _Response(cycle, self.flow).send)

        super()._start_asgi_task(cycle, in_one_piece)

    def _await_head(self) -> None:
        self._deadline = self.loop.time() + HEAD_SECONDS

    def _stop_reading(self) -> None:
        """Answer what was asked, and close."""
        self._is_deaf = True
        if self.cycle is None or self.cycle.response_complete:
            self._linger()

    def _end_with(self, problem: Problem) -> None:
        """Answer with a problem in place of the last request's response, and close."""
        if self.pipeline:  # earlier requests are being answered
            self._stop_reading()
            return
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started:
                self.transport.abort()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_written(problem))
        self._linger()

    def _linger(self) -> None:
        """Say that nothing more comes, and drop what arrives until the client closes too."""
        self._is_deaf, self._deadline = True, self.loop.time() + CLOSING_SECONDS
        self._unset_keepalive_if_required()
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.transport.write_eof()


class _Response:
    """A response that goes out in one piece, where uvicorn takes its head and its body one by one.

    Parameters
    ----------
    cycle : RequestResponseCycle
        What uvicorn knows of the request, and whatever comes in several pieces.
    flow : FlowControl
    """

    def __init__(self, cycle: RequestResponseCycle, flow: FlowControl) -> None:
        self._cycle, self._flow = cycle, flow
        self._head: dict[str, Any] | None = None

    async def send(self, message: Any) -> None:
        """Send a message, but a response's head not before its body."""
        if message["type"] == "http.response.start" and self._head is None:
            self._head = message
            return
        head, self._head = self._head, None
        cycle = self._cycle
        if head is not None and not (message.get("more_body") or self._flow.write_paused or cycle.disconnected):
            headers = [*cycle.default_headers, *head["headers"]]
            if any(name == b"content-length" for name, _ in headers):
                self._send_whole(head["status"], headers, message["body"])
                return
        if head is not None:
            await cycle.send(head)  # type: ignore[arg-type]
        await cycle.send(message)

    def _send_whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        cycle = self._cycle
        if (b"connection", b"close") in headers:
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            headers.append((b"connection", b"close"))
        head = STATUS_LINE[status] + b"".join([b"%b: %b\r\n" % header for header in headers])
        if head.count(b"\n") != len(headers) + 1:
            raise RuntimeError("a header has a line end in it")
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(head + b"\r\n" + (b"" if cycle.scope["method"] == "HEAD" else body))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


class _TooManyPipelined(Exception):
    """More requests wait than are worth keeping."""


def _written(problem: Problem) -> bytes:
    """Return a problem as it goes over the wire."""
    response = problem_response(problem)
    lines = [b"HTTP/1.1 %d " % problem.status + problem.phrase.encode()]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(response.body)])
