"""What a proxy in front of the service changes: the Host that people asked for, and a path that it serves us under."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Any

from cofactor.errors import SettingError

__all__ = [
    "Networks",
    "asked_host",
    "asked_scheme",
    "asking_address",
    "checked_root_path",
    "neighbourhood",
    "prefix_of",
    "strip_prefix",
]

_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class Networks:
    """The proxies whose ``X-Forwarded-*`` headers are believed.

    Parameters
    ----------
    addresses : iterable of str
        IP addresses and networks.

    Raises
    ------
    SettingError
        If one is neither.

    Examples
    --------
    >>> proxies = Networks(["10.0.0.0/8", "::1"])
    >>> [proxies.hold(address) for address in ("10.1.2.3", "::1", "192.168.0.1", "")]
    [True, True, False, False]
    """

    def __init__(self, addresses: Iterable[str]) -> None:
        try:
            self._networks = [ipaddress.ip_network(address, strict=False) for address in addresses]
        except ValueError as error:
            raise SettingError(
                f"--trusted-proxy: {error}: write an IP address or a network, such as 10.0.0.0/8"
            ) from None

    def hold(self, address: str) -> bool:
        """Tell whether an address is that of a trusted proxy."""
        if not self._networks:
            return False
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def asked_host(headers: list[tuple[bytes, bytes]], trusted: bool) -> str:
    """Return the host that was asked for; empty where the request does not say, or says it twice.

    Examples
    --------
    >>> asked_host([(b"host", b"127.0.0.1:8000"), (b"x-forwarded-host", b"films.example.org")], trusted=True)
    'films.example.org'
    """
    hosts = [value for name, value in headers if name == b"host"]
    if trusted and (forwarded := _first(headers, b"x-forwarded-host")):
        return forwarded
    return hosts[0].decode("latin-1") if len(hosts) == 1 else ""


def neighbourhood(address: str) -> str:
    """Return what counts as one address: of IPv6 the network, since anyone has 2⁶⁴ of them.

    Examples
    --------
    >>> neighbourhood("192.0.2.7"), neighbourhood("2001:db8::1:2")
    ('192.0.2.7', '2001:db8::/64')
    """
    return str(ipaddress.ip_network((address.split("%")[0], 64), strict=False)) if ":" in address else address


def asking_address(headers: list[tuple[bytes, bytes]], proxies: Networks, client: str) -> str:
    """Return the address that a trusted proxy was asked by: the last in its list that is no trusted proxy's itself.

    What is before it in the list is what the client says, who may say anything.

    Examples
    --------
    >>> forwarded = [(b"x-forwarded-for", b"1.1.1.1, 192.0.2.7, 10.0.0.2")]
    >>> asking_address(forwarded, Networks(["10.0.0.0/8"]), "10.0.0.1")
    '192.0.2.7'
    """
    listed = [
        one.strip()
        for name, value in headers
        if name == b"x-forwarded-for"
        for one in value.decode("latin-1").split(",")
    ]
    for address in reversed(listed):
        try:
            ipaddress.ip_address(address)
        except ValueError:  # some append the port, others "unknown"
            break
        if not proxies.hold(address):
            return address
    return client


def asked_scheme(headers: list[tuple[bytes, bytes]], trusted: bool) -> str:
    """Return the scheme that a trusted proxy was asked by; empty where it does not say.

    Examples
    --------
    >>> asked_scheme([(b"x-forwarded-proto", b"https, http")], trusted=True)
    'https'
    """
    forwarded = _first(headers, b"x-forwarded-proto").lower() if trusted else ""
    return forwarded if forwarded in ("http", "https") else ""


def prefix_of(headers: list[tuple[bytes, bytes]], trusted: bool, root_path: str) -> str:
    """Return the path that a proxy serves us under, without a slash at its end."""
    forwarded = _first(headers, b"x-forwarded-prefix") if trusted else ""
    return forwarded.rstrip("/") if _ROOT_PATH.fullmatch(forwarded.rstrip("/")) and forwarded else root_path


def strip_prefix(scope: Any, prefix: str) -> bool:
    """Take a prefix off a request's path, if it is there: some proxies do it themselves.

    Returns whether the path is the prefix alone, without the slash that relative addresses need.
    """
    scope["root_path"] = prefix
    if not prefix or scope["path"] == prefix:
        return bool(prefix)
    if scope["path"].startswith(f"{prefix}/"):
        scope["path"] = scope["path"][len(prefix) :]
        raw, start = scope.get("raw_path") or b"", prefix.encode()
        scope["raw_path"] = raw[len(start) :] if raw.startswith(start) else raw
    return False


def checked_root_path(path: str) -> str:
    """Return a root path without a slash at its end.

    Raises
    ------
    SettingError
        If it does not begin with a slash, or has characters that need quoting.

    Examples
    --------
    >>> checked_root_path("/films/"), checked_root_path("/")
    ('/films', '')
    """
    found = path.rstrip("/")
    if not _ROOT_PATH.fullmatch(found):
        raise SettingError(f"--root-path {path}: it must begin with a slash and have plain letters, such as /films")
    return found


def _first(headers: list[tuple[bytes, bytes]], name: bytes) -> str:
    """Return the first value of a list header: what was asked of the outermost proxy."""
    values = [value for key, value in headers if key == name]
    return values[0].decode("latin-1").split(",")[0].strip() if values else ""
