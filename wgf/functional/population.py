"""The population loss of ReLU networks in closed form, without samples."""

import numpy as np

from wgf import checks
from wgf.functional import forms
from wgf.functional.features import Neurons
from wgf.functional.functional import Weighted
from wgf.functional.losses import Squared
from wgf.functional.terms import Risk


class PopulationRisk(Weighted):
    """``strength/2 E (∫ a relu(w·x) dmu - sum_j b_j relu(v_j·x))^2`` for normal inputs ``x``.

    What a student learns from a teacher given endless data. With ``phi`` the angle between ``u``
    and ``v``

        E relu(u·x) relu(v·x) = |u| |v| (sin phi + (pi - phi) cos phi) / (2 pi),

    which makes it a quadratic form in the neurons of both networks. Particles only; the cost of a
    gradient is that of all pairs.

    Parameters
    ----------
    amplitudes : array of shape ``(k,)``
        The teacher's output weights ``b``.
    directions : array of shape ``(k, p)``
        Its inner weights ``v``.
    strength : float
        Positive; default 1. `normalised` makes the loss of an empty network 1.

    Raises
    ------
    InputError
        For shapes that do not fit.

    Notes
    -----
    Axes: ``a, w1, …, wp``.
    """

    name = "population"
    sampled = True

    def form(self):
        return forms.General(self, ("particles",))

    def __init__(self, amplitudes, directions, strength=1.0):
        self.directions = checks.array("population directions", directions, shape=(None, None))
        self.amplitudes = checks.array(
            "population amplitudes", amplitudes, shape=(len(self.directions),)
        )
        self.strength = checks.number("population strength", strength, above=0)
        self.names = ("a", *(f"w{i + 1}" for i in range(self.directions.shape[1])))

    @classmethod
    def normalised(cls, amplitudes, directions):
        """Return the loss divided by that of an empty network."""
        found = cls(amplitudes, directions)
        size = found._form(found.amplitudes, found.directions)
        if not size > 0:
            raise checks.InputError("population amplitudes: the teacher is 0, give one that is not")
        return cls(amplitudes, directions, strength=1 / size)

    def _form(self, amplitudes, rows):
        return 0.5 * float(amplitudes @ arc_cosine(rows, rows)[0] @ amplitudes)

    def _both(self, measure):
        """Return amplitudes and inner weights of student and teacher, the latter negative."""
        moments = measure.weights * measure.points[:, 0]
        return (
            np.concatenate([moments, -self.amplitudes]),
            np.concatenate([measure.points[:, 1:], self.directions]),
        )

    def check(self, names):
        if tuple(names) != self.names:
            raise checks.InputError(
                f"start: axes ({', '.join(names)}) do not match the axes ({', '.join(self.names)}) "
                "of the population loss, give one coordinate each"
            )

    def draw(self, generator, batch):
        """Return the risk over `batch` fresh inputs, whose mean over draws is this one."""
        x = generator.normal(size=(batch, self.directions.shape[1]))
        y = np.maximum(x @ self.directions.T, 0) @ self.amplitudes
        return Risk(Neurons(x, "relu"), Squared(y, weights=self.strength / batch))

    def value_at(self, measure):
        return self.strength * self._form(*self._both(measure))

    def variation_at(self, measure, points, names):
        amplitudes, rows = self._both(measure)
        kernel = arc_cosine(points[:, 1:], rows)[0]
        return self.strength * points[:, 0] * np.sum(kernel * amplitudes, axis=1)

    def gradient_at(self, measure, points, names):
        amplitudes, rows = self._both(measure)
        kernel, towards, radial = arc_cosine(points[:, 1:], rows)
        result = np.empty(points.shape)
        result[:, 0] = np.sum(kernel * amplitudes, axis=1)
        own = np.sum(radial * amplitudes, axis=1)
        slope = own[:, None] * points[:, 1:] + (towards * amplitudes) @ rows
        result[:, 1:] = points[:, :1] * slope
        return self.strength * result

    def __repr__(self):
        return (
            f"PopulationRisk({checks.fingerprint(self.amplitudes)}, "
            f"{checks.fingerprint(self.directions)}, strength={self.strength:.17g})"
        )


def arc_cosine(u, v):
    """Return ``(K, T, S)`` of all pairs of rows: ``K = E relu(u·x) relu(v·x)``, x normal.

    The gradient of ``K`` in ``u`` is ``S u + T v``, ``T = (pi - phi) / (2 pi)`` and
    ``S = |v| sin phi / (2 pi |u|)``.
    """
    long_u = np.linalg.norm(u, axis=1)[:, None]
    long_v = np.linalg.norm(v, axis=1)[None, :]
    product = u @ v.T
    size = long_u * long_v
    cosine = np.divide(product, size, out=np.zeros_like(product), where=size > 0)
    cosine = np.clip(cosine, -1.0, 1.0)
    sine = np.sqrt((1 - cosine) * (1 + cosine))
    towards = (np.pi - np.arccos(cosine)) / (2 * np.pi)
    kernel = size * sine / (2 * np.pi) + product * towards
    radial = np.divide(long_v * sine, long_u, out=np.zeros_like(product), where=long_u > 0)
    return kernel, towards, radial / (2 * np.pi)
