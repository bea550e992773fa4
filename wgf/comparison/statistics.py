"""Means, medians and success rates with their 95 % intervals, and slopes with standard errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wgf import checks

# two-sided 95 %
UPPER = 0.975
RESAMPLES = 2000
INTERVALS = {
    ("mean", "t"): "Student's t of the logarithms",
    ("mean", "bootstrap"): "bootstrap percentiles",
    ("arithmetic", "t"): "Student's t",
    ("arithmetic", "bootstrap"): "bootstrap percentiles",
    ("median", "bootstrap"): "bootstrap percentiles",
}


def groups(sizes: ArrayLike, values: ArrayLike) -> list[tuple[float, np.ndarray]]:
    """Return ``[(size, values of its repeats), …]`` in the order of increasing size."""
    sizes, values = np.asarray(sizes, dtype=float), np.asarray(values, dtype=float)
    found = []
    for size in np.sort(sizes):
        if not found or not np.isclose(size, found[-1][0], rtol=1e-9):
            found.append((size, values[np.isclose(sizes, size, rtol=1e-9)]))
    return found


def summarise(
    sizes: ArrayLike, values: ArrayLike, statistic: str = "mean", interval: str = "t", seed: int = 0
) -> dict[str, np.ndarray]:
    """Return sizes, means or medians over the repeats of each, and their 95 % intervals.

    A ``mean`` is geometric, because slopes are taken of logarithms; a zero among the repeats makes
    it arithmetic, which ``arithmetic`` always is. A single repeat has an interval without width.

    Parameters
    ----------
    sizes, values : arrays of shape ``(k,)``
        One entry per run; runs of one size are independent repeats.
    statistic : {"mean", "arithmetic", "median"}
    interval : {"t", "bootstrap"}
        Student's t, for means alone and of logarithms for geometric ones, or percentiles of the
        bootstrap.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    dict of arrays
        ``size`` increasing, one named like the statistic, ``low``, ``high``, ``repeats``.
    """
    if (statistic, interval) not in INTERVALS:
        raise checks.InputError(
            f"summarise: no interval {interval!r} for the {statistic}, choose from "
            f"{', '.join(' '.join(pair) for pair in INTERVALS)}"
        )
    rows = []
    for size, held in groups(sizes, values):
        logarithms = statistic == "mean" and bool((held > 0).all())
        held = np.log(held) if logarithms else held
        band = np.array(_interval(held, statistic, interval, seed))
        if statistic == "mean":
            # values of a study are not negative
            band = np.exp(band) if logarithms else np.maximum(band, min(0.0, held.min()))
        rows.append((size, *band, len(held)))
    names = ("size", statistic, "low", "high", "repeats")
    return dict(zip(names, map(np.array, zip(*rows)))) if rows else {n: np.zeros(0) for n in names}


def _interval(values, statistic, interval, seed):
    from scipy.special import stdtrit

    average = np.median if statistic == "median" else np.mean
    n, middle = len(values), float(average(values))
    if n == 1:
        return middle, middle, middle
    if interval == "t":
        half = stdtrit(n - 1, UPPER) * values.std(ddof=1) / np.sqrt(n)
        return middle, middle - half, middle + half
    drawn = np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))
    found = average(values[drawn], axis=1)
    return middle, *np.quantile(found, [1 - UPPER, UPPER])


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a success rate.

    Parameters
    ----------
    successes, trials : int
        ``0 <= successes <= trials``, at least one trial.
    """
    trials = checks.whole("wilson trials", trials, minimum=1)
    successes = checks.whole("wilson successes", successes, maximum=trials)
    from scipy.special import ndtri

    z, p = float(ndtri(UPPER)), successes / trials
    centre, half = p + z**2 / (2 * trials), z * np.sqrt(p * (1 - p) + z**2 / (4 * trials))
    half /= np.sqrt(trials)
    # no success leaves 0 in the interval, and no failure 1, whatever the rounding
    low = 0.0 if successes == 0 else float((centre - half) / (1 + z**2 / trials))
    high = 1.0 if successes == trials else float((centre + half) / (1 + z**2 / trials))
    return low, high


def success(sizes: ArrayLike, values: ArrayLike, below: float) -> dict[str, np.ndarray]:
    """Return the rate of values below a level for each size, with Wilson's 95 % interval.

    Returns
    -------
    dict of arrays
        ``size`` increasing, ``rate``, ``low``, ``high``, ``successes``, ``repeats``. A value that
        is not a number is a failure.
    """
    rows = []
    for size, held in groups(sizes, values):
        count = int((held < below).sum())
        rows.append((size, count / len(held), *wilson(count, len(held)), count, len(held)))
    names = ("size", "rate", "low", "high", "successes", "repeats")
    return dict(zip(names, map(np.array, zip(*rows)))) if rows else {n: np.zeros(0) for n in names}


@dataclass(frozen=True)
class Fit:
    """A straight line through the logarithms of means against those of sizes.

    Attributes
    ----------
    slope : float
    error : float
        Standard error of the slope, NaN where no run is left to estimate it.
    low, high : float
        95 % interval of the slope by Student's t; NaN where the error is.
    sizes, runs : int
        Number of sizes and of runs that entered.
    """

    slope: float
    error: float
    low: float
    high: float
    sizes: int
    runs: int


def fit(sizes: ArrayLike, values: ArrayLike) -> Fit | None:
    """Return the least-squares slope of the mean against the size, None below two sizes.

    The means over the repeats enter with equal weights, the scatter of all runs about the line
    gives the standard error. Sizes whose mean is not positive do not enter.
    """
    held = []
    for size, found in groups(sizes, values):
        found = np.log(found) if (found > 0).all() else _log(found.mean())
        if np.isfinite(found).all():
            held.append((np.log(size), found))
    if len(held) < 2:
        return None
    from scipy.special import stdtrit

    x, y = np.array([at for at, _ in held]), np.array([found.mean() for _, found in held])
    share = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    slope = float(share @ y)
    line = y.mean() + slope * (x - x.mean())
    runs = sum(len(found) for _, found in held)
    error = half = np.nan
    if runs > 2:
        scatter = sum(np.sum((found - at) ** 2) for (_, found), at in zip(held, line)) / (runs - 2)
        counts = np.array([len(found) for _, found in held])
        error = float(np.sqrt(scatter * np.sum(share**2 / counts)))
        half = float(stdtrit(runs - 2, UPPER)) * error
    return Fit(slope, error, slope - half, slope + half, len(held), runs)


def _log(mean):
    return np.log([mean]) if mean > 0 else np.array([np.nan])


def slope(sizes: ArrayLike, means: ArrayLike) -> float | None:
    """Return the slope of ``log mean`` against ``log size``, None without two positive points."""
    found = fit(sizes, means)
    return None if found is None else found.slope
