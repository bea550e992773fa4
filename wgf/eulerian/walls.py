"""What a box cuts off: the mass in the cells at its walls, and the flux that they hold back."""

import numpy as np

from wgf.eulerian import kernels


class Walls:
    """The walls of the axes along which something moves.

    Parameters
    ----------
    slab : Slab
        The part of the mesh that is held here.
    mobility : sequence of float
        Factor of the velocity for every axis.
    """

    def __init__(self, slab, mobility):
        mesh, self.slab = slab.mesh, slab
        self.volume = mesh.cell_volume
        self.sides = [
            (name, float(factor) / axis.spacing**2, [_side(slab, k, end) for end in (0, 1)])
            for k, (name, axis, factor) in enumerate(zip(mesh.names, mesh.axes, mobility))
            if not axis.periodic and factor > 0 and axis.cells > 1
        ]

    def columns(self, values, variation, masses, ends):
        """Return ``wall_<axis>`` and ``blocked_<axis>`` for every walled axis.

        Parameters
        ----------
        values : array of shape ``(cells,)``
            Cell averages on the slab.
        variation : Variation
            First variation, that of the entropy left out.
        masses : array of shape ``(rows,)``
            The sums of the own rows.
        ends : array of shape ``(2, rows)``
            Their first and last cell averages.

        Returns
        -------
        dict of float
            Mass in the cells at both walls, and the mass per unit of time that would leave through
            them: the outward velocity ``-mobility ∂F'`` of the last two cells times the density.
        """
        pairs = []
        for _, _, sides in self.sides:
            for side in sides:
                found = side.look(values, variation, masses, ends)
                pairs += [(each, side.cuts) for each in found]
        sums = iter(self.slab.sums(*pairs) if pairs else ())
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
    return _Ends(slab, end) if axis == slab.mesh.dimension - 1 else _Rows(slab, axis, end)


class _Rows:
    """The rows at one end of an axis other than the last."""

    def __init__(self, slab, axis, end):
        shape = slab.shape[slab.axis :]
        stride = int(np.prod(shape[axis + 1 : -1]))
        last = (slab.mesh.shape[axis] - 1) * end
        if axis == 0:
            last -= slab.halo.low
        rows = np.arange(slab.first, slab.last)
        self.rows = rows[rows // stride % shape[axis] == last]
        self.inner = self.rows + (-stride if end else stride)
        self.own = self.rows - slab.first
        self.cuts = slab.partition(self.rows.size)

    def look(self, values, variation, masses, ends):
        """Return densities and what is held back, summed in rows."""
        held = np.empty(self.rows.size)
        kernels.held_back(values, variation.arrays, variation.shape, self.rows, self.inner, held)
        return masses[self.own], held


class _Ends:
    """The cells at one end of all rows."""

    def __init__(self, slab, end):
        self.end, self.own = end, slice(slab.first, slab.last)
        self.cuts = slab.partition(slab.last - slab.first)

    def look(self, values, variation, masses, ends):
        """Return densities and what is held back."""
        rho, speed = ends[self.end], variation.rise(self.end)[self.own]
        held = np.zeros_like(rho)
        moves = (rho > 0) & ~(speed <= 0)
        held[moves] = rho[moves] * speed[moves]
        return rho, held
