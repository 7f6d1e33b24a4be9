"""Who may do what: bearer tokens from a file, and by which names the service may be called."""

import hashlib
import hmac
import ipaddress
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from cofactor.apps.web.settings import ServiceSettings, is_loopback
from cofactor.errors import SettingError

__all__ = ["HEADERS", "Doorkeeper", "Tokens"]

log = logging.getLogger("cofactor.web")

SHORTEST_TOKEN = 16

HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
"""What every answer carries: nothing from elsewhere is loaded, no other page frames or reads this one."""


class Tokens:
    """Bearer tokens, one a line of a file, which is read again when it has changed; ``#`` begins a remark.

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
        """Tell whether a token is one of them, in a time that tells nothing of how nearly it was."""
        try:
            self._read()
        except SettingError as error:
            log.error("token file: the old tokens stay: %s", error, extra={"event": "tokens_unreadable"})
        asked = _digest(token)
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(known, asked)
        return found

    def _read(self) -> None:
        try:
            status = self._file.stat()
            state = (status.st_mtime_ns, status.st_ino, status.st_size)
            if state == self._state:
                return
            lines = self._file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"the token file {self._file} cannot be read: {error}") from None
        tokens = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not tokens or min(map(len, tokens)) < SHORTEST_TOKEN:
            raise SettingError(
                f"the token file {self._file} needs a token a line, each of {SHORTEST_TOKEN} characters or more, such "
                "as 'openssl rand -hex 32' gives"
            )
        self._digests, self._state = [_digest(token) for token in tokens], state


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


_WRITES = frozenset({"PUT", "DELETE", "PATCH"})
_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9.\-_]{1,253}))(?::\d{1,5})?")


class Doorkeeper:
    """Decides of each request whether it may come in.

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
        self._names = {"localhost", settings.host.lower(), *(name.lower() for name in settings.names)}
        self._loopback_only = is_loopback(settings.host)

    @property
    def needs_token(self) -> bool:
        """Whether who writes needs a token."""
        return self._tokens is not None

    def knows_host(self, host: str) -> bool:
        """Tell whether a ``Host`` header names this service: a name that a stranger's page had its DNS point here by
        does not. IP addresses cannot be pointed anywhere; on loopback they must be loopback's own."""
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

    @staticmethod
    def same_origin(origin: str, host: str) -> bool:
        """Tell whether an ``Origin`` header is that of our own page."""
        scheme, _, rest = origin.partition("://")
        return scheme in ("http", "https") and rest.lower() == host.lower()

    def may(self, method: str, path: str, authorization: str) -> bool:
        """Tell whether a request may do what it asks for: writing and administering takes a token, if there are any."""
        if self._tokens is None or not (method in _WRITES or path.startswith("/v1/admin")):
            return True
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and self._tokens.admit(token.strip())
