"""The settings of a service."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cofactor.apps.web.proxies import Networks, checked_root_path
from cofactor.apps.web.shared import Shared
from cofactor.errors import SettingError

__all__ = ["ServiceSettings", "is_loopback"]


@dataclass(frozen=True)
class ServiceSettings:
    """What the processes of a service are started with.

    Parameters
    ----------
    model : Path
        The model's file or folder.
    ratings : str, optional
        URL of the ratings store; None for a file beside the model.
    host, port
        Where it listens.
    token_file : Path, optional
        Bearer tokens, one per line; with it, writing needs one of them.
    names : tuple of str
        Further host names that it answers to, besides its host, loopback and IP addresses.
    root_path : str
        The path that a proxy serves it under, without a slash at its end.
    trusted_proxies : tuple of str
        Addresses and networks of proxies whose ``X-Forwarded-Host``, ``-Proto`` and ``-Prefix`` are believed.
    workers : int
        How many processes answer requests.
    refit_every : float, optional
        Retraining interval in seconds.
    shared : Shared, optional
        What the processes of one service share.

    Raises
    ------
    SettingError
        If other machines could reach it and there is no token file, or a number is out of range.
    """

    model: Path
    ratings: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    token_file: Path | None = None
    names: tuple[str, ...] = ()
    root_path: str = ""
    trusted_proxies: tuple[str, ...] = ()
    workers: int = 1
    refit_every: float | None = None
    shared: Shared | None = None

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and self.token_file is None:
            raise SettingError(
                f"--host {self.host} can be reached from other machines: give --token-file FILE, with one "
                "bearer token per line; writing then needs one of them"
            )
        object.__setattr__(self, "root_path", checked_root_path(self.root_path))
        Networks(self.trusted_proxies)
        if self.workers < 1:
            raise SettingError(f"--workers {self.workers}: it must be 1 or more")
        if not 1 <= self.port <= 65535:
            raise SettingError(f"--port {self.port}: it must be from 1 to 65535")
        if self.refit_every is not None and self.refit_every < 1:
            raise SettingError("--refit-every must be one second or more, such as 6h")


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached only from this machine.

    Examples
    --------
    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
