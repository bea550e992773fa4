"""What a box cuts off: the mass in the cells at its walls, and the flux that they hold back."""

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

    def columns(self, values, variation):
        """Return ``wall_<axis>`` and ``blocked_<axis>`` for every walled axis.

        Parameters
        ----------
        values : array of shape ``(cells,)``
            Cell averages on the slab.
        variation : Variation
            First variation, that of the entropy left out.

        Returns
        -------
        dict of float
            Mass in the cells at both walls, and the mass a unit of time that would leave through
            them: the outward velocity ``-mobility ∂F'`` of the last two cells times the density.
        """
        pairs = []
        for _, _, sides in self.sides:
            for *side, bounds in sides:
                rho, held = (np.empty(side[0].size * side[-1]) for _ in range(2))
                kernels.held_back(values, variation.arrays, variation.shape, *side, rho, held)
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
    """Return the cells at an end of an axis as `kernels.held_back` takes them, and their bounds."""
    shape, n = slab.shape[slab.axis :], slab.shape[3]
    rows, inward = np.arange(slab.first, slab.last), 1 if end == 0 else -1
    if axis == len(shape) - 1:
        return rows, rows, end % n, inward, 1, slab.ranks.bounds_of(len(rows))
    stride = int(np.prod(shape[axis + 1 : -1]))
    last = end % slab.mesh.shape[axis]
    if axis == 0:
        last -= slab.offset // slab.per_plane
    rows = rows[rows // stride % shape[axis] == last]
    return rows, rows + inward * stride, 0, 0, n, slab.ranks.bounds_of(len(rows) * n)
