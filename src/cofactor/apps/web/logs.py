"""The log: one JSON object per line on stderr, without user ids, ratings, queries or tokens.

Writes, reloads and errors are logged; reads that went well are only counted in the metrics. A person who starts the
service on a terminal is told in plain words where the page is, what is wrong, and when the model changes.
"""

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator

from cofactor.errors import first_line

__all__ = ["set_up", "told"]

log = logging.getLogger("cofactor.web")

_FIELDS = ("event", "request_id", "method", "route", "status", "ms", "model", "worker", "address", "ratings", "error")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {"time": f"{moment}.{int(record.msecs):03d}Z", "level": record.levelname.lower()}
        line |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        line["message"] = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:  # where, not the text: it could quote a rating
            line["error"] = record.exc_info[0].__name__
            line["trace"] = _frames(record.exc_info[2])
        return json.dumps(line, ensure_ascii=False)


_FOR_PEOPLE = ("serving", "reloaded", "refitted")
"""Of what went well, the events that a person at a terminal is told of."""


class _PlainLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        if getattr(record, "event", "") == "serving":
            return f"Open {record.address} in a browser to rate and get recommendations; Ctrl-C ends it."  # type: ignore[attr-defined]
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text += f" ({record.exc_info[0].__name__} in {_frames(record.exc_info[2])})"
        return f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {text}"


def _is_for_people(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or getattr(record, "event", "") in _FOR_PEOPLE


def _frames(trace: object) -> str:
    import traceback

    frames = traceback.extract_tb(trace)[-8:]  # type: ignore[arg-type]
    return " > ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Log why the service cannot start; the server's own log goes nowhere."""
    try:
        yield
    except Exception as error:
        why = f"{type(error).__name__}: {first_line(error)}"
        log.critical("the service cannot start: %s", why, exc_info=error, extra={"event": "start_failed"})
        raise


def set_up() -> None:
    """Log to stderr what the service and the library say: as JSON, or in words if a person reads it on a terminal."""
    handler = logging.StreamHandler(sys.stderr)
    if sys.stderr.isatty() and sys.stdout.isatty():
        handler.setFormatter(_PlainLines())
        handler.addFilter(_is_for_people)
    else:
        handler.setFormatter(_JsonLines())
    logger = logging.getLogger("cofactor")
    logger.handlers, logger.propagate = [handler], False
    logging.getLogger("cofactor.web").setLevel(logging.INFO)
