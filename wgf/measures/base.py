"""What the two measures have in common: weighted points along named axes.

Both read as weighted points: `blocks` yields ``(points, weights)`` a few thousand rows at a time,
so that a functional written once serves the two.
"""

import functools
import importlib
from typing import Any, ClassVar

import numpy as np

from wgf import checks

BLOCK_ROWS = 1 << 14


class Drawn:
    """What can be drawn: `wgf.plot` is named here and loaded when it is asked for."""

    def plot(self, *what: Any, **options: Any) -> Any:
        """Draw it; see `wgf.plot.measure` and, for runs, `wgf.plot.run` and `wgf.plot.part`."""
        return importlib.import_module("wgf.plot").show(self, *what, **options)

    def _repr_html_(self):
        return importlib.import_module("wgf.plot").table(self)


class Measure(Drawn):
    """What a density and particles have in common: weighted points along axes with names.

    Attributes
    ----------
    kind : {"density", "particles"}
    names : tuple of str or None
        Axis names; None for particles without a domain.
    domain : Mesh or None
        Walls and periods of the axes.
    points, weights : arrays of shape ``(n, d)`` and ``(n,)``
        Cell centres and masses, or the particles.
    size : int
        Number of cells or of particles.
    dimension : int
        Number of axes.
    mass : float
    resolution : float
        Geometric mean of the cell widths, or the number of particles.

    Notes
    -----
    Axes are given by name or by number; numbers serve particles whose axes have no names.
    """

    kind = "measure"
    kinds: ClassVar[dict] = {}

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        Measure.kinds.setdefault(cls.kind, cls)

    def index(self, axis):
        """Return the number of an axis given by name or by number.

        Raises
        ------
        InputError
            For an axis that the measure does not have.
        """
        if isinstance(axis, str):
            return checks.positions_of("marginal", (axis,), self.names or ())[0]
        return checks.whole("marginal", axis, maximum=self.dimension - 1)

    def axis_names(self, declared=None):
        """Return the names of the axes: its own, those `declared` elsewhere, or ``x1, x2, …``."""
        return tuple(self.names or declared or (f"x{i + 1}" for i in range(self.dimension)))

    @functools.cached_property
    def scales(self):
        """Length that counts as one along every axis, shape ``(dimension,)``.

        A quarter of the axis; without a domain the spread of the particles along it or, if they
        have none, the size of their coordinates, the spread along another axis, or 1.
        """
        if self.domain is not None:
            return np.array([axis.length for axis in self.domain.axes]) / 4
        spread, sizes = np.ptp(self.points, axis=0), np.abs(self.points).max(axis=0)
        largest = float(spread.max()) or 1.0
        return np.where(spread > 0, spread, np.where(sizes > 0, sizes, largest))

    def scaled(self, factor):
        """Return the measure times a number of at least 0."""
        raise TypeError(f"{type(self).__name__} cannot be scaled, define scaled(factor)")

    def joined(self, other):
        """Return the sum with a measure of the same kind in the same place."""
        raise TypeError(f"{type(self).__name__} cannot be added to, define joined(other)")

    def __mul__(self, factor):
        """Return a multiple: ``.5 * a + .5 * b`` is the mixture of two measures."""
        return self.scaled(checks.number(f"{self.kind} factor", factor, minimum=0))

    __rmul__ = __mul__

    def __add__(self, other):
        """Return the sum of two densities on one mesh, or of two clouds of particles."""
        if not isinstance(other, Measure):
            return NotImplemented
        if other.kind != self.kind or other.domain != self.domain:
            raise checks.InputError(
                f"{self.kind} sum: {other!r} does not lie in the same place, add measures of one "
                "kind along the same axes"
            )
        return self.joined(other)

    def period(self, axis):
        """Return the period of an axis, None where there is none."""
        found = None if self.domain is None else self.domain.axes[self.index(axis)]
        return found.length if found is not None and found.periodic else None

    def bounds(self, axis):
        """Return the ends of an axis, of the points along it where there is no domain."""
        if self.domain is not None:
            found = self.domain.axes[self.index(axis)]
            return found.lower, found.upper
        column = self.coordinates(axis)
        return float(column.min()), float(column.max())

    @property
    def signed(self):
        """Whether the first axis holds two copies, at -1 and +1, of a signed measure."""
        if self.domain is None or self.domain.dimension < 2:
            return False
        return list(self.domain.axes[0].centers) == [-1.0, 1.0]


def measured(what, value):
    """Return `value` if it is a density or particles or raise `InputTypeError`."""
    return checks.instance(what, value, tuple(Measure.kinds.values()))


def indices(measure, axes):
    """Return the numbers of axes given by name or by number."""
    if not axes:
        raise checks.InputError("marginal: no axis named, give at least one")
    if measure.domain is None and any(isinstance(axis, str) for axis in axes):
        raise checks.InputError(
            "marginal: these particles have no named axes, give them a domain=Mesh(...)"
        )
    return tuple(measure.index(axis) for axis in axes)
