"""What a service is started with."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cofactor.errors import SettingError

__all__ = ["ServiceSettings", "is_loopback"]


@dataclass(frozen=True)
class ServiceSettings:
    """All that the processes of a service must know.

    Parameters
    ----------
    model : Path
        The file that is served, or the model folder.
    ratings : str
        URL of the ratings store.
    host, port
        Where it listens.
    token_file : Path, optional
        Bearer tokens, one a line; with it, or away from loopback, who writes needs one.
    names : tuple of str
        Further names by which the service may be called, besides its host, loopback and IP addresses.
    workers : int
        How many processes answer.
    refit_every : float, optional
        Seconds between two trainings on the stored ratings.
    shared : Path, optional
        A folder that the processes of one service have in common.

    Raises
    ------
    SettingError
        If it would listen beyond loopback without a token file, or a number is out of range.
    """

    model: Path
    ratings: str
    host: str = "127.0.0.1"
    port: int = 8000
    token_file: Path | None = None
    names: tuple[str, ...] = ()
    workers: int = 1
    refit_every: float | None = None
    shared: Path | None = None

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and self.token_file is None:
            raise SettingError(
                f"--host {self.host} can be reached from other machines: give --token-file, a file with a token a "
                "line, without which nobody can write"
            )
        if self.workers < 1:
            raise SettingError(f"--workers {self.workers}: it must be 1 or more")
        if not 1 <= self.port <= 65535:
            raise SettingError(f"--port {self.port}: it must be from 1 to 65535")
        if self.refit_every is not None and self.refit_every < 1:
            raise SettingError("--refit-every must be a second or more, such as 6h")


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine alone.

    Examples
    --------
    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
