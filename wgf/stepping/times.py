"""When a run ends, and at which times it takes snapshots."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np

from wgf import checks

# relative difference of times that is rounding
NEAR = 1e-12
# no state takes so long to settle, in any units; a step may be of any length below
LONGEST = 1e250


def output_times(
    until: float | str,
    every: float | None = None,
    at: Any = None,
    names: tuple[str, str] = ("every", "at"),
) -> np.ndarray:
    """Return the increasing times at which snapshots are taken, 0 first and `until` last.

    `names` are those that messages call `every` and `at`.
    """
    if isinstance(until, str) and until == "stationary":
        if every is not None or at is not None:
            raise checks.InputError(
                f"until: 'stationary' does not go with snapshots at given times "
                f"({names[at is not None]}), leave them out"
            )
        return np.array([0.0, LONGEST])
    until = float(checks.number("until", until, above=0))
    if every is not None and at is not None:
        raise checks.InputError(f"every: {every!r} and at are both given, give one of them")
    if at is not None:
        times = checks.array(names[1], at, dimensions=(1,))
        if len(times) and (times.min() < 0 or times.max() > until * (1 + NEAR)):
            worst = times.min() if times.min() < 0 else times.max()
            raise checks.InputError(
                f"{names[1]}: {worst:g} lies outside [0, {until:g}], leave it out"
            )
    elif every is not None:
        every = checks.number(names[0], every, above=0)
        with np.errstate(over="ignore"):
            count = np.floor(np.float64(until) / every * (1 + NEAR))
        if count > 10**6:
            raise checks.InputError(
                f"{names[0]}: {every:g} asks for {count:g} times until {until:g}, give a longer one"
            )
        times = multiples(every, int(count))
    else:
        times = np.zeros(0)
    # times that rounding put next to the start or the end are these
    inside = (times > until * NEAR) & (times < until * (1 - NEAR))
    return np.concatenate([[0.0], distinct(times[inside], until), [until]])


def multiples(every: float, count: int) -> np.ndarray:
    """Return ``every, 2 every, …``: those of the decimal number if `every` is a short one.

    Three times 0.1 then is 0.3, as a user writes it who ends a run there.
    """
    exact = decimal.Decimal(repr(every))
    if len(exact.as_tuple().digits) > 15:
        return every * np.arange(1, count + 1)
    return np.array([float(exact * k) for k in range(1, count + 1)])


def distinct(times: np.ndarray, until: float) -> np.ndarray:
    """Return the times in order, one of those that differ by rounding: the shortest in print."""
    times = np.sort(times)
    groups = np.split(times, np.flatnonzero(np.diff(times) > NEAR * until) + 1)
    return np.array(
        [min(group, key=lambda t: len(repr(float(t)))) for group in groups if len(group)]
    )
