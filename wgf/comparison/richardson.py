"""Error bars from runs on several meshes: Richardson's estimate and the order that is observed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wgf import checks

# an observed order is believed near those of the methods, beyond them with more care
BELIEVED, ORDERS = (0.9, 2.1), (0.5, 3.0)
# of the methods in space: a higher order that is observed would make the error too small
HIGHEST = 2.0
SAFE, CAREFUL = 1.25, 3.0
# of a value, the round-off in it
ROUNDING = 1e-13


class Estimate(NamedTuple):
    """What Richardson's extrapolation gives: a limit, an error bar of the finest value, an order.

    The order is NaN where three values show none.
    """

    limit: float
    error: float
    order: float


def richardson(values: Sequence[float], widths: Sequence[float], order: float = 1.0) -> Estimate:
    """Return limit and error bar of the value on the finest of two or three meshes.

    With ``Q(h) = Q + c h^p`` and the widths ``h1 < h2``, the error of ``Q(h1)`` is
    ``(Q(h2) - Q(h1)) / (r^p - 1)``, ``r = h2 / h1``. With a third mesh p is observed; of an order
    above 2 the error is that of order 2. The bar is that error times 1.25 for an observed order in
    [0.9, 2.1], times 3 for one in [0.5, 3] or an assumed one; three values that show no such order
    have a bar of 3 times their largest difference.

    Parameters
    ----------
    values, widths : sequences of 2 or 3 numbers
        From the finest to the coarsest mesh.
    order : float
        Assumed for two meshes.

    References
    ----------
    Celik, Ghia, Roache & Freitas, J. Fluids Eng. 130 (2008) 078001.

    Examples
    --------
    >>> from wgf.comparison.richardson import richardson
    >>> found = richardson([1.01, 1.04, 1.16], [0.1, 0.2, 0.4])
    >>> round(found.limit, 12), round(found.error, 12), round(found.order, 12)
    (1.0, 0.0125, 2.0)
    """
    first, second = float(values[0]), float(values[1])
    low = ROUNDING * max(map(abs, map(float, values)))
    ratio = widths[1] / widths[0]
    if not ratio > 1:
        raise checks.InputError(
            f"richardson widths: {widths[0]:g} and {widths[1]:g} do not grow, give them from the "
            "finest to the coarsest"
        )
    gap = second - first
    if len(values) == 2:
        step = gap / (ratio**order - 1)
        return Estimate(first - step, CAREFUL * abs(step) + low, np.nan)
    other = float(values[2]) - second
    if abs(gap) <= low and abs(other) <= low:
        return Estimate(first, CAREFUL * low, np.nan)
    found = _observed(gap, other, ratio, widths[2] / widths[1])
    if ORDERS[0] <= found <= ORDERS[1]:
        step = gap / (ratio ** min(found, HIGHEST) - 1)
        factor = SAFE if BELIEVED[0] <= found <= BELIEVED[1] else CAREFUL
        return Estimate(first - step, factor * abs(step) + low, found)
    return Estimate(first, CAREFUL * max(abs(gap), abs(other)) + low, np.nan)


def _observed(gap, other, ratio, coarser):
    """Return the order that two differences show, NaN where they show none."""
    if gap * other <= 0:
        return np.nan
    from scipy.optimize import brentq

    def excess(order):
        """Return by how much the logarithm of the ratio of differences is too large."""
        found = np.log(np.expm1(order * np.log(coarser)) / -np.expm1(-order * np.log(ratio)))
        return float(found - np.log(other / gap))

    low, high = 0.1 * ORDERS[0], 2 * ORDERS[1]
    return float(brentq(excess, low, high)) if excess(low) < 0 < excess(high) else np.nan


def student(values: Sequence[float], factor: float) -> float:
    """Return half the 95 % interval of one more value, whose deviation is `factor` of theirs."""
    from scipy.special import stdtrit

    values = np.asarray(values, dtype=float)
    return float(factor * stdtrit(len(values) - 1, 0.975) * values.std(ddof=1))
