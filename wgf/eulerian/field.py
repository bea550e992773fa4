"""A functional on a mesh as the error-controlled integrators ask for it."""

from __future__ import annotations

import numpy as np

from wgf.eulerian.discrete import DiscreteFunctional


class MeshField:
    """The potential in which a density moves and the entropies that spread it.

    Parameters
    ----------
    discrete : DiscreteFunctional

    Attributes
    ----------
    eps : float
        Strength of the entropy.
    strengths, exponents : list of float
        Of the power entropies.
    moving : bool
        Whether the potential depends on the density.
    """

    def __init__(self, discrete: DiscreteFunctional):
        self.discrete = discrete
        self.eps = float(discrete.diffusion)
        self.strengths = [energy.strength for energy in discrete.energies]
        self.exponents = [energy.exponent for energy in discrete.energies]
        self.moving = bool(discrete.operators or discrete.pairs)
        self.flat = not (self.moving or discrete.given is not None or len(discrete.profiles))

    def potential(self, values: np.ndarray) -> np.ndarray | None:
        """Return the first variation without entropies at all cells, None where there is none."""
        if self.flat:
            return None
        discrete, result = self.discrete, np.empty(values.size)
        discrete.first_variation(discrete.outputs(values), result)
        for term in discrete.pairs:
            result += discrete.around(term, values)
        return result
