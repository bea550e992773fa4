"""Tensor-product meshes of named uniform axes; all knowledge of walls and periods lives here."""

import math
import re

import numpy as np

from wgf import checks
from wgf.measures.base import Told, interval

# a density of 8 TiB
MOST_CELLS = 1 << 40


class Axis:
    """A uniform axis ``lower + (i + 1/2) h``, ``i = 0 … cells - 1``, with walls or a period.

    Parameters
    ----------
    lower, upper : float
        Ends of the axis, ``lower < upper``.
    cells : int
        Number of cells, at least 1.
    periodic : bool
        Whether the two ends are the same point; otherwise both are walls that no mass crosses.

    Raises
    ------
    InputError
        For ends that are not finite or not increasing and for ``cells < 1``.
    """

    def __init__(self, lower, upper, cells, periodic=False):
        self.lower = checks.number("axis lower", lower)
        self.upper = checks.number("axis upper", upper)
        self.cells = checks.whole("axis cells", cells, minimum=1, maximum=MOST_CELLS)
        self.periodic = checks.flag("axis periodic", periodic)
        if not self.upper > self.lower:
            raise checks.InputError(
                f"axis: upper {self.upper:g} is not above lower {self.lower:g}, give lower < upper"
            )
        self.length = self.upper - self.lower
        self.spacing = self.length / self.cells

    @property
    def centers(self):
        """Cell centres, shape ``(cells,)``."""
        return self.lower + self.spacing * (np.arange(self.cells) + 0.5)

    @property
    def edges(self):
        """Cell edges, shape ``(cells + 1,)``."""
        return self.lower + self.spacing * np.arange(self.cells + 1)

    def refined(self, factor=2):
        """Return the same axis with `factor` times the cells."""
        return Axis(self.lower, self.upper, self.cells * factor, self.periodic)

    def describe(self):
        """Return the constructor's arguments as a dictionary."""
        return {
            "lower": self.lower,
            "upper": self.upper,
            "cells": self.cells,
            "periodic": self.periodic,
        }

    def __repr__(self):
        tail = ", periodic=True" if self.periodic else ""
        return f"Axis({self.lower:g}, {self.upper:g}, {self.cells}{tail})"

    def __eq__(self, other):
        return isinstance(other, Axis) and self.describe() == other.describe()

    def __hash__(self):
        return hash(tuple(self.describe().values()))


# the axis of the velocities along the axis x is called v_x
VELOCITY = "v_"


def is_phase(names):
    """Return whether axes called `names` are positions and then their velocities."""
    half = len(names) // 2
    return half > 0 and tuple(names[half:]) == tuple(VELOCITY + name for name in names[:half])


class Mesh(Told):
    """Tensor product of one to four named axes; the order given is the array order.

    Parameters
    ----------
    **axes : Axis
        The axes by name, for example ``Mesh(w=Axis(-1, 1, 64), x=Axis(0, 1, 128, True))``.

    Raises
    ------
    InputError
        For no axis or more than four, and for names that are no identifiers.
    """

    def __init__(self, **axes):
        if not 1 <= len(axes) <= 4:
            raise checks.InputError(
                f"mesh: {len(axes)} axes do not make a mesh, give 1 to 4 "
                "(use particles in higher dimension)"
            )
        for name, axis in axes.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise checks.InputError(f"mesh: axis name {name!r} is no identifier, rename it")
            checks.instance(f"mesh axis {name}", axis, Axis)
        self.names = tuple(axes)
        self.axes = tuple(axes.values())
        self.shape = tuple(axis.cells for axis in self.axes)
        self.dimension = len(self.axes)
        self.cells = math.prod(self.shape)
        if self.cells > MOST_CELLS:
            raise checks.InputError(
                f"mesh: {' x '.join(map(str, self.shape))} cells are too many, give at most "
                f"{MOST_CELLS} in all"
            )
        self.spacing = np.array([axis.spacing for axis in self.axes])
        self.cell_volume = math.prod(axis.spacing for axis in self.axes)
        self.lower = np.array([axis.lower for axis in self.axes])
        self.upper = np.array([axis.upper for axis in self.axes])
        self.periodic = np.array([axis.periodic for axis in self.axes])

    @property
    def phase(self):
        """The two meshes ``(positions, velocities)`` of a phase space, None for other meshes.

        A mesh is a phase space if the second half of its axes is called ``v_`` and the names of
        the first half; `wgf.phase_space` makes one.
        """
        half = self.dimension // 2
        if not is_phase(self.names):
            return None
        return self.sub(self.names[:half]), self.sub(self.names[half:])

    def axis(self, name):
        """Return the axis called `name`."""
        return self.axes[checks.positions_of("mesh", (name,), self.names)[0]]

    def centers(self, name):
        """Return the cell centres along the axis called `name`."""
        return self.axis(name).centers

    def points(self, start=0, stop=None):
        """Return the cell centres ``start … stop`` in array order, shape ``(k, dimension)``."""
        flat = np.arange(start, self.cells if stop is None else min(stop, self.cells))
        index = np.unravel_index(flat, self.shape)
        return np.stack([axis.centers[i] for axis, i in zip(self.axes, index)], axis=1)

    def sub(self, names):
        """Return the mesh of the axes called `names`, in that order."""
        names = checks.axis_names("mesh axes", names)
        index = checks.positions_of("mesh", names, self.names)
        return Mesh(**{self.names[i]: self.axes[i] for i in index})

    def refined(self, factor=2):
        """Return the same box with `factor` times the cells along every axis."""
        return Mesh(**{n: axis.refined(factor) for n, axis in zip(self.names, self.axes)})

    def confine(self, points):
        """Return `points` wrapped along periodic axes and stopped at the walls of the others."""
        points = np.array(points, dtype=np.float64)
        for i, axis in enumerate(self.axes):
            column = points[..., i]
            if axis.periodic:
                outside = (column < axis.lower) | (column >= axis.upper)
                wrapped = axis.lower + np.mod(column[outside] - axis.lower, axis.length)
                # rounding may put a point on the upper end, which is the lower one
                column[outside] = np.where(wrapped < axis.upper, wrapped, axis.lower)
            else:
                np.clip(column, axis.lower, axis.upper, out=column)
        return points

    def reflect(self, points):
        """Return ``(points, turned)``: wrapped along periodic axes, reflected at walls.

        ``turned`` of the shape of the points says which coordinates were reflected an odd number
        of times: a velocity along them points the other way.
        """
        points = np.array(points, dtype=np.float64)
        turned = np.zeros(points.shape, dtype=bool)
        for i, axis in enumerate(self.axes):
            if not axis.periodic:
                way = np.mod(points[..., i] - axis.lower, 2 * axis.length)
                turned[..., i] = way > axis.length
                way = np.where(turned[..., i], 2 * axis.length - way, way)
                points[..., i] = axis.lower + way
        return self.confine(points), turned

    def nearest(self, displacements):
        """Return the displacements to the nearest image along periodic axes."""
        result = np.array(displacements, dtype=np.float64)
        for i, axis in enumerate(self.axes):
            if axis.periodic:
                result[..., i] -= axis.length * np.round(result[..., i] / axis.length)
        return result

    def locate(self, points):
        """Return the flat index of the cell of each point; -1 for points beyond a wall."""
        points = np.asarray(points, dtype=np.float64)
        index = np.zeros(len(points), dtype=np.int64)
        inside = np.ones(len(points), dtype=bool)
        for i, axis in enumerate(self.axes):
            cell = np.floor((points[:, i] - axis.lower) / axis.spacing).astype(np.int64)
            if axis.periodic:
                cell %= axis.cells
            else:
                inside &= (points[:, i] >= axis.lower) & (points[:, i] <= axis.upper)
            index = index * axis.cells + np.clip(cell, 0, axis.cells - 1)
        return np.where(inside, index, -1)

    def facts(self):
        """Return cells and axes, as a notebook shows them."""
        found = {"mesh": f"{' x '.join(map(str, self.shape))} cells"}
        for name, axis in zip(self.names, self.axes):
            ends = interval(axis.lower, axis.upper, axis.periodic)
            found[name] = f"{ends}, cells of {axis.spacing:.4g}"
        return found

    def describe(self):
        """Return the axes as a dictionary that `Mesh.from_description` reads."""
        return {name: axis.describe() for name, axis in zip(self.names, self.axes)}

    @classmethod
    def from_description(cls, description):
        """Rebuild a mesh from `describe`."""
        return cls(**{name: Axis(**axis) for name, axis in description.items()})

    def __repr__(self):
        return f"Mesh({', '.join(f'{n}={a}' for n, a in zip(self.names, self.axes))})"

    def __eq__(self, other):
        return isinstance(other, Mesh) and self.names == other.names and self.axes == other.axes

    def __hash__(self):
        return hash((self.names, self.axes))
