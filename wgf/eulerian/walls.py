"""What a box cuts off: the mass in the cells at its walls, and the flux that they hold back."""

import numpy as np


class Walls:
    """The walls of the axes along which something moves.

    Parameters
    ----------
    mesh : Mesh
    mobility : sequence of float
        Factor of the velocity for every axis.
    """

    def __init__(self, mesh, mobility):
        self.shape = mesh.shape
        self.volume = mesh.cell_volume
        self.sides = [
            (k, name, float(factor) / axis.spacing**2)
            for k, (name, axis, factor) in enumerate(zip(mesh.names, mesh.axes, mobility))
            if not axis.periodic and factor > 0 and axis.cells > 1
        ]

    def columns(self, values, potential):
        """Return ``wall_<axis>`` and ``blocked_<axis>`` for every walled axis.

        Parameters
        ----------
        values, potential : array of shape ``(cells,)``
            Cell averages and first variation (that of the entropy left out).

        Returns
        -------
        dict of float
            Mass in the cells at both walls, and the mass a unit of time that would leave through
            them: the outward velocity ``-mobility ∂F'`` of the last two cells times the density.
        """
        values, potential = values.reshape(self.shape), potential.reshape(self.shape)
        found = {}
        for k, name, rate in self.sides:
            mass = held = 0.0
            for last, inner in ((0, 1), (-1, -2)):
                rho = values.take(last, axis=k)
                # empty cells of a fast diffusion have an infinite potential and nothing to lose
                ends = [np.where(rho > 0, potential.take(i, axis=k), 0.0) for i in (inner, last)]
                speed = np.where(np.isfinite(ends[0]), ends[0] - ends[1], 0.0)
                mass += float(rho.sum())
                held += float(np.sum(rho * np.maximum(speed, 0.0)))
            found[f"wall_{name}"] = mass * self.volume
            found[f"blocked_{name}"] = held * rate * self.volume
        return found
