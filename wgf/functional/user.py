"""Functions that the user gives: called on copies, checked, and differentiated where need be."""

import numpy as np

from wgf import checks

EPS = float(np.finfo(np.float64).eps)
# points at which a given gradient is compared with differences, and the largest disagreement
COMPARED, DISAGREEMENT = 9, 1e-2
# points that tell how much a function varies
LOOKED_AT = 64


class UserFunction:
    """A function of points, called so that neither side can disturb the other.

    The function is given a copy of the points, which it may change, and its result is copied, which
    it may keep and fill again.

    Attributes
    ----------
    precision : float
        Relative spacing of the numbers that came back: that of single precision if those were
        single.
    """

    def __init__(self, what, function):
        if not callable(function):
            raise checks.InputTypeError(f"{what}: {function!r} cannot be called, give a function")
        self.what, self.function = what, function
        self.precision = EPS

    @property
    def name(self):
        """The function's own name."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __call__(self, points):
        try:
            values = self.function(np.array(points))
        except (checks.InputError, MemoryError):
            raise
        except Exception as error:
            text = " ".join(str(error).split())
            raise checks.InputError(
                f"{self.what}: given points of shape {np.shape(points)}, it raised "
                f"{type(error).__name__}{f' ({text})' if text else ''}, give a function that takes "
                "points inside the box, one row per point"
            ) from error
        kind = getattr(values, "dtype", None)
        if isinstance(kind, np.dtype) and kind.kind == "f":
            self.precision = max(self.precision, float(np.finfo(kind).eps))
        return np.array(checks.returned(self.what, values))


class Differences:
    """Numerical derivatives with steps that fit the axes and the numbers that come back.

    Central differences; at walls one-sided ones of second order, so that no function is called
    beyond them.

    Parameters
    ----------
    measure : Density or Particles, optional
        Whose axes, or whose spread, give the scale of a step; without one the scale is
        ``max(1, |theta_i|)``.
    columns : slice
        Axes of the measure that the function is given.
    """

    def __init__(self, measure=None, columns=slice(None)):
        self.scales = self.walls = None
        if measure is None:
            return
        self.scales = measure.scales[columns]
        if measure.domain is not None:
            free = -np.inf, np.inf
            axes = measure.domain.axes[columns]
            self.walls = np.array([free if a.periodic else (a.lower, a.upper) for a in axes]).T

    def steps(self, function, points, precision):
        """Return the step along every axis, shape ``(k, d)``.

        Rounding errs by ``noise / step`` and a central difference by ``step^2`` of the third
        derivative: the step is the cube root of noise over variation, in units of the scale.
        """
        if self.scales is None:
            return precision ** (1 / 3) * np.maximum(1.0, np.abs(points))
        values = function(points[:: -(-len(points) // LOOKED_AT)])
        size = np.abs(values).max(initial=0.0)
        variation = np.ptp(values, axis=0).max(initial=0.0) if len(values) > 1 else size
        noise = precision * size / variation if variation > precision * size else precision
        share = np.clip(noise ** (1 / 3), precision ** (1 / 3), 0.05)
        steps = np.broadcast_to(share * self.scales, points.shape)
        # a step must be seen beside the coordinate itself
        return np.maximum(steps, 64 * EPS * np.abs(points))

    def __call__(self, function, points, precision=EPS):
        """Return the derivatives of ``function: (k, d) -> (k, …)``, a last axis for ``d``."""
        points = np.asarray(points, dtype=np.float64)
        steps, columns = self.steps(function, points, precision), []
        for i in range(points.shape[1]):
            ahead, back = np.array(points), np.array(points)
            ahead[:, i] += steps[:, i]
            back[:, i] -= steps[:, i]
            middle = None
            if self.walls is not None:
                low, high = self.walls[:, i]
                over, under = ahead[:, i] > high, back[:, i] < low
                middle = over | under
                inward = np.where(over, -1.0, 1.0) * steps[:, i]
                ahead[middle, i] = (points[:, i] + inward)[middle]
                back[middle, i] = (points[:, i] + 2 * inward)[middle]
            first, second = function(ahead), function(back)
            shape = (-1,) + (1,) * (first.ndim - 1)
            width = (ahead[:, i] - back[:, i]).reshape(shape)
            slope = (first - second) / width
            if middle is not None and middle.any():
                value = function(points[middle])
                step = (ahead[middle, i] - points[middle, i]).reshape(shape)
                slope[middle] = (4 * first[middle] - 3 * value - second[middle]) / (2 * step)
            columns.append(slope)
        return np.stack(columns, axis=-1)

    def require(self, what, function, gradient, points, precision=EPS):
        """Refuse a gradient that is not that of the function, at a few of the points.

        At a kink the two may differ: more than half of the points must disagree.

        Raises
        ------
        InputError
            With the value of both where they differ most.
        """
        points = np.asarray(points)[:: -(-len(points) // COMPARED)]
        with np.errstate(all="ignore"):
            found, expected = gradient(points), self(function, points, precision)
        if found.shape != expected.shape or not np.isfinite(expected).all():
            return
        each = tuple(range(1, found.ndim))
        size = np.abs(expected).max(axis=each) + np.abs(found).max(axis=each)
        off = np.abs(found - expected).max(axis=each)
        noise = precision ** (2 / 3) * np.abs(function(points)).max(initial=0.0)
        noise = noise / (1.0 if self.scales is None else self.scales.min())
        wrong = off > DISAGREEMENT * size + 100 * noise
        if 2 * np.count_nonzero(wrong) > len(points):
            k = int(np.argmax(off))
            worst = np.unravel_index(int(np.abs(found[k] - expected[k]).argmax()), found[k].shape)
            raise checks.InputError(
                f"{what}: {found[k][worst]:g} at {points[k]} where differences of the function "
                f"give {expected[k][worst]:g}, give its gradient or leave it out"
            )
