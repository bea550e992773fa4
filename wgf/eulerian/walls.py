"""What a box cuts off: the mass in the cells at its walls, and the flux that they hold back."""

import functools

import numpy as np

from wgf.eulerian import kernels


class Walls:
    """The walls of the axes along which something moves.

    Parameters
    ----------
    slab : Slab
        The part of the mesh that this rank holds.
    mobility : sequence of float
        Factor of the velocity for every axis.
    """

    def __init__(self, slab, mobility):
        mesh, self.ranks = slab.mesh, slab.ranks
        self.volume = mesh.cell_volume
        self.sides = [
            (name, float(factor) / axis.spacing**2, [_side(slab, k, end) for end in (0, -1)])
            for k, (name, axis, factor) in enumerate(zip(mesh.names, mesh.axes, mobility))
            if not axis.periodic and factor > 0 and axis.cells > 1
        ]

    def columns(self, values, potential):
        """Return ``wall_<axis>`` and ``blocked_<axis>`` for every walled axis.

        Parameters
        ----------
        values, potential : array of shape ``(cells,)``
            Cell averages and first variation (that of the entropy left out) on the slab.

        Returns
        -------
        dict of float
            Mass in the cells at both walls, and the mass a unit of time that would leave through
            them: the outward velocity ``-mobility ∂F'`` of the last two cells times the density.
        """
        pairs = []
        for _, _, sides in self.sides:
            for last, inner, bounds in sides:
                rho, held = np.empty(last.size), np.empty(last.size)
                kernels.held_back(values, potential, last, inner, rho, held)
                pairs += [(rho, bounds), (held, bounds)]
        sums = iter(self.ranks.sums(*pairs) if pairs else ())
        found = {}
        for name, rate, sides in self.sides:
            mass = held = 0.0
            for _ in sides:
                mass += next(sums)
                held += next(sums)
            found[f"wall_{name}"] = mass * self.volume
            found[f"blocked_{name}"] = held * rate * self.volume
        return found


def _side(slab, axis, end):
    """Return the own cells at one end of an axis, their inner neighbours and the bounds of all."""
    shape = slab.shape[slab.axis :]
    strides = [int(np.prod(shape[k + 1 :])) for k in range(len(shape))]
    places = [np.arange(cells) * stride for cells, stride in zip(shape, strides)]
    last = end % slab.mesh.shape[axis]
    if axis == 0:
        last -= slab.offset // slab.per_plane
    places[axis] = np.array([last * strides[axis]])
    cells = functools.reduce(np.add.outer, places).ravel()
    cells = cells[(cells >= slab.own.start) & (cells < slab.own.stop)]
    inner = cells + (strides[axis] if end == 0 else -strides[axis])
    return cells, inner, slab.ranks.bounds_of(len(cells))
