"""Who may do what: bearer tokens from a file, the host names that the service answers to, and pages of other sites."""

import functools
import hashlib
import hmac
import ipaddress
import logging
import re
from pathlib import Path

from cofactor.apps.web.settings import ServiceSettings, is_loopback
from cofactor.errors import SettingError
from cofactor.gate import read_bytes

__all__ = ["AccessPolicy", "Tokens"]

log = logging.getLogger("cofactor.web")

MIN_TOKEN_LENGTH = 16
_MOST_BYTES = 1_000_000


class Tokens:
    """Bearer tokens, one per line of a file that is read again when it has changed; ``#`` starts a comment.

    Parameters
    ----------
    file : Path

    Raises
    ------
    SettingError
        If the file cannot be read, holds no token, or one of fewer than 16 characters.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._state: tuple[int, int, int] = (0, 0, 0)
        self._digests: list[bytes] = []
        self._read()

    def admit(self, token: str) -> bool:
        """Tell whether a token is one of them, in constant time."""
        try:
            self._read()
        except SettingError as error:
            log.error("token file not reloaded, the old tokens stay: %s", error, extra={"event": "tokens_unreadable"})
        given = _digest(token)
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(known, given)
        return found

    def _read(self) -> None:
        try:
            status = self._file.stat()
            state = (status.st_mtime_ns, status.st_ino, status.st_size)
            if state == self._state:
                return
            content = read_bytes(self._file, _MOST_BYTES, SettingError, "give a file of a token a line")
            lines = content.decode().splitlines()
        except (OSError, ValueError) as error:
            raise SettingError(f"the token file {self._file} cannot be read: {error}") from None
        tokens = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not tokens or min(map(len, tokens)) < MIN_TOKEN_LENGTH:
            raise SettingError(
                f"the token file {self._file} needs one token per line, each of {MIN_TOKEN_LENGTH} characters or more: "
                "'openssl rand -hex 32' makes one"
            )
        self._digests, self._state = [_digest(token) for token in tokens], state


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


_USUAL_PORTS = {"http": ":80", "https": ":443"}
_WRITES = frozenset({"PUT", "DELETE", "PATCH"})
_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9.\-_]{1,253}))(?::\d{1,5})?")


class AccessPolicy:
    """Decides for each request whether it is allowed.

    Parameters
    ----------
    settings : ServiceSettings

    Raises
    ------
    SettingError
        If there is a token file that cannot be used.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._tokens = None if settings.token_file is None else Tokens(settings.token_file)
        self._given_names = {name.lower() for name in settings.names}
        self._names = {"localhost", settings.host.lower(), *self._given_names}
        self._loopback_only = is_loopback(settings.host)
        self.knows_host = functools.lru_cache(maxsize=500)(self._knows_host)  # of requests, most name the same

    @property
    def needs_token(self) -> bool:
        """Whether writing needs a token."""
        return self._tokens is not None

    def _knows_host(self, host: str) -> bool:
        """Tell whether a ``Host`` header names this service; this rejects DNS-rebinding hosts.

        IP addresses cannot be rebound, so they are accepted; a service on loopback accepts loopback addresses only.
        """
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1] or found[2]
        if name.lower() in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._loopback_only

    def same_origin(self, origin: str, host: str, asked_scheme: str = "") -> bool:
        """Tell whether an ``Origin`` header is that of our own page.

        It is if it has the request's host and, where a proxy tells it, the scheme that the proxy was asked by. Proxies
        that do not pass the host on, or not its port, leave only the names that the service was given.
        """
        scheme, _, rest = origin.lower().partition("://")
        found = _HOST.fullmatch(rest)
        if scheme not in ("http", "https") or found is None or (asked_scheme and scheme != asked_scheme):
            return False
        usual = _USUAL_PORTS[scheme]
        return (
            rest.removesuffix(usual) == host.lower().removesuffix(usual) or (found[1] or found[2]) in self._given_names
        )

    def allows(self, method: str, path: str, authorization: str) -> bool:
        """Tell whether a request has the rights it needs: a token for writing and administration, if there are any."""
        if self._tokens is None or not (method in _WRITES or path.startswith("/v1/admin")):
            return True
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and self._tokens.admit(token.strip())
