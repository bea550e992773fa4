"""The supremum of ``|<residual, unit(x)>|`` over all positions, bounded and not only sampled.

Branch and bound: a cell is cut into halves as long as its bound exceeds the largest value found at
a centre. Smooth features are bounded by their value, gradient and a bound on the Hessian; ReLU
neurons, seen on the unit sphere of their inner weights, by what is linear on a cap and the few
samples whose sign changes there. The bounds hold up to the round-off of evaluating them.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from wgf import checks
from wgf.functional.features import FeatureMap
from wgf.theory.problem import augmented, is_relu

CELLS_AT_START = {1: 256, 2: 48, 3: 16}
MOST_CELLS = 1 << 20
LEVELS = 60


class Supremum(NamedTuple):
    """What the search found.

    Attributes
    ----------
    value : float
        Largest value seen.
    bound : float
        No position has a larger one.
    where : array of shape ``(d',)``
        Position of `value`; of unit length for ReLU neurons.
    """

    value: float
    bound: float
    where: np.ndarray

    def __repr__(self):
        return f"Supremum(value={self.value:.12g}, bound={self.bound:.12g})"


def supremum(
    features: FeatureMap, residual: ArrayLike, box: Any = None, tolerance: float = 1e-10
) -> Supremum:
    """Return the `Supremum` of ``|<residual, unit(x)>|`` over the positions of the features.

    Parameters
    ----------
    features : FeatureMap
        With an amplitude: filters, tanh and sigmoid neurons, or ReLU neurons, for which the inner
        weights are those on the unit sphere.
    residual : array of shape ``(n,)``
    box : (lower, upper), optional
        Where the positions lie, each an array of shape ``(d',)``. Dirichlet filters are periodic
        and need none; Gaussian ones reach all of space without it; smooth neurons need one.
    tolerance : float
        Largest relative distance between value and bound, unless too many cells are needed.

    Raises
    ------
    InputError
        For features without a known bound, more than three coordinates, and a missing box.
    """
    residual = checks.array("supremum residual", residual, shape=(features.size,))
    dimension = _dimension(features)
    if dimension > 3:
        raise checks.InputError(
            f"supremum: {dimension} coordinates are too many cells to search, use "
            "wgf.gap_estimate, which is no bound"
        )
    if is_relu(features):
        cells, radius = _sphere(dimension)
        return _search(_Caps(features, residual), cells, radius, tolerance, 0.0)
    lower, upper, outside = _box(features, residual, box)
    count = CELLS_AT_START[dimension]
    radius = (upper - lower) / (2 * count)
    steps = [low + r * (2 * np.arange(count) + 1) for low, r in zip(lower, radius)]
    cells = np.stack([g.ravel() for g in np.meshgrid(*steps, indexing="ij")], axis=1)
    return _search(_Smooth(features, residual), cells, radius, tolerance, outside)


def _dimension(features):
    if not features.amplitude or features.names is None:
        raise checks.InputError(
            f"supremum: {features!r} has no known bound, use filters or neurons"
        )
    return len(features.names) - 1


def _box(features, residual, box):
    """Return the box to search and a bound of the values outside of it."""
    if hasattr(features, "order"):
        return np.zeros(features.dimension), np.ones(features.dimension), 0.0
    if box is not None:
        lower, upper = (np.asarray(side, dtype=np.float64) for side in box)
        return lower, upper, 0.0
    if hasattr(features, "samples"):
        # nine deviations away from every sample nothing is left
        reach = 9 * features.std
        lower, upper = features.samples.min(axis=0) - reach, features.samples.max(axis=0) + reach
        return lower, upper, float(np.abs(residual).sum() * np.exp(-0.5 * 9**2))
    raise checks.InputError(
        f"supremum: the positions of {features!r} are not bounded, give the measure a domain or "
        "the box to search"
    )


def _sphere(dimension):
    """Return centres of cells that cover the surface of the cube, and their half widths."""
    if dimension == 1:
        return np.array([[-1.0], [1.0]]), np.zeros(1)
    count = CELLS_AT_START[dimension - 1] // 4
    radius = 1.0 / count
    steps = -1 + radius * (2 * np.arange(count) + 1)
    face = np.stack(
        [g.ravel() for g in np.meshgrid(*[steps] * (dimension - 1), indexing="ij")], axis=1
    )
    cells = [np.insert(face, k, side, axis=1) for k in range(dimension) for side in (-1.0, 1.0)]
    return np.concatenate(cells), np.full(dimension, radius)


def _search(bounded, cells, radius, tolerance, outside):
    best, where, bound = -1.0, None, outside
    for _ in range(LEVELS):
        kept = []
        for start in range(0, len(cells), bounded.rows):
            block = cells[start : start + bounded.rows]
            values, bounds = bounded(block, radius)
            k = int(values.argmax())
            if values[k] > best:
                best, where = float(values[k]), bounded.position(block[k])
            kept.append((block, bounds))
        cells = np.concatenate([block for block, _ in kept])
        bounds = np.concatenate([found for _, found in kept])
        enough = best * (1 + tolerance)
        open_ = bounds > enough
        if not open_.any() or not radius.any() or open_.sum() << len(radius) > MOST_CELLS:
            top = float(bounds.max()) if open_.any() else enough
            return Supremum(best, max(bound, top, best), where)
        radius = 0.5 * radius
        cells = bounded.halves(cells[open_], radius)
    return Supremum(best, max(bound, float(bounds.max())), where)


class _Smooth:
    """Values at the centres of boxes and bounds over them by a Taylor polynomial."""

    def __init__(self, features, residual):
        self.features, self.residual = features, residual
        self.curvature = features.curvature_bound(residual)
        if self.curvature is None:
            raise checks.InputError(
                f"supremum: {features!r} has no known bound, use filters or neurons"
            )
        self.rows = max(1, (1 << 21) // max(1, features.size))

    def __call__(self, cells, radius):
        value, slope = self.features.unit_pullback(cells, self.residual)
        size = np.abs(value)
        return size, size + np.abs(slope) @ radius + 0.5 * self.curvature * (radius @ radius)

    @staticmethod
    def position(cell):
        return cell

    @staticmethod
    def halves(cells, radius):
        d = len(radius)
        corners = np.array(list(np.ndindex(*(2,) * d))) * 2 - 1
        return (cells[:, None, :] + corners * radius).reshape(-1, d)


class _Caps:
    """The same on the sphere, for ReLU neurons and cells on the surface of the cube.

    Projecting onto the sphere brings points of the cube's surface closer together: the cell of
    half widths r lies in the cap of radius |r| round the projection of its centre.
    """

    def __init__(self, features, residual):
        self.inputs, self.residual = augmented(features), residual
        self.lengths = np.linalg.norm(self.inputs, axis=1)
        self.rows = max(1, (1 << 20) // len(self.inputs))

    def __call__(self, cells, radius):
        centre = cells / np.linalg.norm(cells, axis=1, keepdims=True)
        z = centre @ self.inputs.T
        # a cell of the surface is flat: one of its widths is 0
        reach = np.sqrt(radius @ radius * (len(radius) - 1) / len(radius))
        margin = reach * self.lengths
        value = np.abs(np.maximum(z, 0) @ self.residual)
        sure = z > margin
        slope = (sure * self.residual) @ self.inputs
        along = np.einsum("ij,ij->i", slope, centre)
        across = np.sqrt(np.maximum(np.einsum("ij,ij->i", slope, slope) - along**2, 0))
        straight = np.abs(along) + reach * across
        unsure = np.where(np.abs(z) <= margin, z + margin, 0.0)
        up = unsure @ np.maximum(self.residual, 0)
        down = unsure @ np.maximum(-self.residual, 0)
        return value, straight + np.maximum(up, down)

    @staticmethod
    def position(cell):
        return cell / np.linalg.norm(cell)

    @staticmethod
    def halves(cells, radius):
        d = cells.shape[1]
        flat = np.abs(cells).argmax(axis=1)
        corners = np.array(list(np.ndindex(*(2,) * (d - 1)))) * 2 - 1
        result = np.repeat(cells[:, None, :], len(corners), axis=1)
        for k in range(d):
            others = [i for i in range(d) if i != k]
            rows = flat == k
            result[np.ix_(rows, range(len(corners)), others)] += corners * radius[0]
        return result.reshape(-1, d)
