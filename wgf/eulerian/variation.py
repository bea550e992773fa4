"""The first variation at the cell centres as the kernels of a step read it."""

import numpy as np

from wgf.eulerian import kernels


class Variation:
    """``F'(mu) = amplitude unit + sum_axes profile`` on the cells of a slab.

    Neurons and filters have an amplitude, the first axis: then `unit` is needed on the cells of
    the other axes only, and nothing as large as the mesh is written or read. What does not factor
    is stored (`Variation.stored`).

    Attributes
    ----------
    arrays : tuple
        ``(amplitude, unit, profiles)``: `unit` has whole rows of the last axis; the cells of `unit`
        repeat along the mesh, the ``k``-th time with the factor ``amplitude[k]``; `profiles` holds
        one profile an axis, one after the other; in a stored one it is empty and `unit` all there
        is.
    """

    def __init__(self, amplitude, unit, profiles, shape):
        self.shape = shape
        if unit.size < shape[3]:
            # the amplitude is the only axis, and so a row
            amplitude, unit = unit, amplitude
        self.arrays = amplitude, unit, profiles

    @classmethod
    def stored(cls, values, shape):
        """Return the one that is `values` (flat)."""
        return cls(np.ones(1), values, np.zeros(0), shape)

    @property
    def values(self):
        """The stored values of one that does not factor."""
        return self.arrays[1]

    def fill(self, result):
        """Fill `result` (flat) with the values at all cells and return it."""
        kernels.first_variation(result, *self.arrays, self.shape)
        return result

    def rise(self, end):
        """Return the difference towards the inner neighbour at an end (0 or 1) of every row.

        It is 0 where the neighbour's value is infinite.
        """
        amplitude, unit, profiles = self.arrays
        last, inner = ((0, 1), (-1, -2))[end]
        units, along = unit.reshape(-1, self.shape[3]), profiles[-self.shape[3] :]
        with np.errstate(invalid="ignore"):
            found = units[:, inner] - units[:, last]
        found[~np.isfinite(units[:, inner])] = 0.0
        found = np.multiply.outer(amplitude, found).ravel()
        if profiles.size:
            found += along[inner] - along[last]
        return found
