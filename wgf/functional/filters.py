"""Filters: the features that recover spikes on the line, on the torus and in the plane."""

import math

import numpy as np

from wgf import checks
from wgf.functional.feature_map import FeatureMap

MOST_SAMPLES = 1 << 31


class Filter(FeatureMap):
    """Translates of a filter, ``phi(w, x) = w psi(. - x)``, for recovering spikes.

    Build one with `Filter.dirichlet` or `Filter.gaussian`. Axes: ``w, x`` on the line or the
    torus, ``w, x1, x2`` in the plane.
    """

    amplitude = True
    homogeneity = "partial"

    @classmethod
    def dirichlet(cls, order, dimension=1):
        """Ideal low-pass filter on the torus ``[0, 1)^dimension``.

        The features are the Fourier coefficients up to `order`, orthonormal and scaled so that
        ``|psi(x)| = 1``: ``n = (2 order + 1)^dimension`` numbers hold the signal exactly.
        """
        return Dirichlet(order, dimension)

    @classmethod
    def gaussian(cls, samples, std):
        """Gaussian filter seen at `samples`: ``psi_k(x) = exp(-|samples_k - x|^2 / 2 std^2)``.

        `samples` has the shape ``(n,)`` or, in the plane, ``(n, 2)``.
        """
        return Gaussian(samples, std)

    def _name_positions(self, dimension):
        self.names = ("w",) + (
            ("x",) if dimension == 1 else tuple(f"x{i + 1}" for i in range(dimension))
        )


class Dirichlet(Filter):
    """The ideal low-pass filter, see `Filter.dirichlet`."""

    def __init__(self, order, dimension):
        self.order = checks.whole("dirichlet order", order, minimum=0)
        self.dimension = checks.whole("dirichlet dimension", dimension, minimum=1, maximum=3)
        self.size = (2 * self.order + 1) ** self.dimension
        if self.size > MOST_SAMPLES:
            raise checks.InputError(
                f"dirichlet order: {self.order} makes {self.size} features, give an order with at "
                f"most {MOST_SAMPLES}"
            )
        self._name_positions(self.dimension)

    def _factors(self, x):
        """Features of one coordinate and their derivatives, each ``(k, 2 order + 1)``."""
        frequency = 2 * np.pi * np.arange(1, self.order + 1)
        angle = x[:, None] * frequency
        scale = 1 / math.sqrt(2 * self.order + 1)
        cosine, sine = math.sqrt(2) * np.cos(angle), math.sqrt(2) * np.sin(angle)
        one = np.ones((len(x), 1))
        value = np.concatenate([one, cosine, sine], axis=1) * scale
        slope = np.concatenate([0 * one, -frequency * sine, frequency * cosine], axis=1) * scale
        return value, slope

    def _product(self, factors):
        result = factors[0]
        for factor in factors[1:]:
            result = (result[:, :, None] * factor[:, None, :]).reshape(len(result), -1)
        return result

    def unit(self, rest):
        return self._product([self._factors(rest[:, i])[0] for i in range(self.dimension)])

    def unit_gradient(self, rest):
        pairs = [self._factors(rest[:, i]) for i in range(self.dimension)]
        columns = [
            self._product([pair[i == j] for j, pair in enumerate(pairs)])
            for i in range(self.dimension)
        ]
        return np.stack(columns, axis=2)

    def unit_hessian(self, rest, residual):
        # the second derivative of every factor is -frequency^2 times it
        frequency = 2 * np.pi * np.arange(1, self.order + 1)
        square = np.concatenate([[0.0], frequency, frequency]) ** 2
        pairs = [self._factors(rest[:, i]) for i in range(self.dimension)]
        triples = [(value, slope, -square * value) for value, slope in pairs]
        result = np.empty((*rest.shape, self.dimension))
        for i, j in np.ndindex(result.shape[1:]):
            orders = [(k == i) + (k == j) for k in range(self.dimension)]
            product = self._product([triple[n] for triple, n in zip(triples, orders)])
            result[:, i, j] = product @ residual
        return result

    def curvature_bound(self, residual):
        # every derivative of psi has the same norm at every position
        squares = (2 * np.pi * np.arange(1, self.order + 1)) ** 2
        share = 2 / (2 * self.order + 1)
        pure, mixed = share * np.sum(squares**2), (share * np.sum(squares)) ** 2
        d = self.dimension
        return float(np.linalg.norm(residual) * np.sqrt(d * pure + d * (d - 1) * mixed))

    def __repr__(self):
        tail = f", dimension={self.dimension}" if self.dimension > 1 else ""
        return f"Filter.dirichlet({self.order}{tail})"


class Gaussian(Filter):
    """The Gaussian filter at samples, see `Filter.gaussian`."""

    def __init__(self, samples, std):
        samples = checks.array("gaussian samples", samples, dimensions=(1, 2))
        if samples.size == 0:
            raise checks.InputError(
                f"gaussian samples: shape {samples.shape} is empty, give at least one sample"
            )
        self.samples = samples.reshape(len(samples), -1)
        self.std = checks.number("gaussian std", std, above=0)
        self.size = len(samples)
        self._name_positions(self.samples.shape[1])
        self.abscissa = self.samples[:, 0] if self.samples.shape[1] == 1 else None

    def at(self, inputs):
        return Gaussian(inputs, self.std)

    def subset(self, samples):
        return self.at(self.samples[samples])

    def _displacements(self, rest):
        return self.samples[None, :, :] - rest[:, None, :]

    def unit(self, rest):
        square = (self._displacements(rest) ** 2).sum(axis=2)
        return np.exp(-0.5 * square / self.std**2)

    def unit_gradient(self, rest):
        return self.unit(rest)[:, :, None] * self._displacements(rest) / self.std**2

    def unit_hessian(self, rest, residual):
        z = self._displacements(rest) / self.std
        weights = self.unit(rest) * residual
        spread = np.swapaxes(z * weights[:, :, None], 1, 2) @ z
        return (spread - weights.sum(axis=1)[:, None, None] * np.eye(z.shape[2])) / self.std**2

    def curvature_bound(self, residual):
        return float(np.abs(residual).sum() / self.std**2)

    def __repr__(self):
        return f"Filter.gaussian({checks.fingerprint(self.samples)}, {self.std:g})"
