"""The settings of a service."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cofactor.apps.web.proxies import Networks, checked_root_path
from cofactor.apps.web.shared import Shared
from cofactor.errors import SettingError

__all__ = ["ServiceSettings", "is_loopback"]

MAX_DAYS = 3_650
MAX_NAME = 200


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
    events : bool
        Whether lists are kept, and what people did with them.
    events_days : int
        For how many days.
    explore : float
        The share of lists whose items are drawn at random from the best, so that other models can be judged by them.
    challenger : Path, optional
        Another model's file or folder, for a share of the users.
    share : float
        Of the users, whose lists the challenger makes.
    interleave : bool
        Whether these users get lists of both models' items instead.
    experiment : str, optional
        What the split of the users follows from; the names of both models if not given.
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
    events: bool = False
    events_days: int = 90
    explore: float = 0.0
    challenger: Path | None = None
    share: float = 0.1
    interleave: bool = False
    experiment: str | None = None
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
        self._check_experiment()

    def _check_experiment(self) -> None:
        if not 1 <= self.events_days <= MAX_DAYS:
            raise SettingError(f"--events-days {self.events_days}: it must be from 1 to {MAX_DAYS:,}")
        if not 0 <= self.explore <= 1:
            raise SettingError(f"--explore {self.explore:g}: it must be from 0 to 1, such as 0.1")
        if self.explore and not self.events:
            raise SettingError("--explore without --events would draw lists at random and learn nothing: add --events")
        if not 0 < self.share <= 1:
            raise SettingError(f"--share {self.share:g}: it must be above 0 and at most 1, such as 0.1")
        if self.interleave and self.challenger is None:
            raise SettingError("--interleave needs two models: cofactor serve A B --interleave")
        if self.experiment is not None and not 1 <= len(self.experiment) <= MAX_NAME:
            raise SettingError(f"--experiment takes a name of 1 to {MAX_NAME} characters")


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
