"""Intervals that may be looked at again and again: they hold the truth at all looks at once."""

import math

__all__ = ["always_valid_reach"]


def always_valid_reach(n: int, deviation: float, level: float = 0.95, best_at: int = 1_000) -> float:
    """Return how far the asymptotic confidence sequence of a mean reaches to each side after n observations.

    A usual interval holds the truth in 95 of 100 experiments if each is looked at once, at a time that was fixed
    before. Whoever looks every day, and stops when the interval lies beside zero, finds a difference sooner or later
    where there is none. This interval holds the truth at all looks together; it is wider for that, by about a half to
    two thirds.

    **Reference.** Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Time-uniform central limit theory and
    asymptotic confidence sequences; the best ``best_at`` is by their approximation of Howard, Ramdas,
    McAuliffe and Sekhon (2021), Time-uniform, nonparametric, nonasymptotic confidence sequences.

    Parameters
    ----------
    n : int
        Observations so far, of independent users.
    deviation : float
        Their standard deviation.
    level : float
    best_at : int
        After how many observations the interval is to be narrowest, compared with others that are valid at all times.
        It must not be chosen after looking.

    Examples
    --------
    >>> usual, always = 1.96 / 1000**0.5, always_valid_reach(1000, 1.0)
    >>> round(always / usual, 2)
    1.55
    """
    alpha = 1 - level
    squared = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / best_at
    scaled = n * squared + 1
    return deviation * math.sqrt(2 * scaled / (n * n * squared) * math.log(math.sqrt(scaled) / alpha))
