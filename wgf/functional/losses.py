"""Convex losses ``R(s)`` of the model output ``s = ∫ phi dmu``."""

import numpy as np

from wgf import checks


class Loss:
    """Base of all losses: subclasses give `value` and `gradient`, and `size` if it is fixed.

    Attributes
    ----------
    convex : bool
        Whether the loss is known to be convex; a loss of your own says so by this attribute.
    """

    size = None
    target = None
    convex = False

    def value(self, s):
        """Return ``R(s)``."""
        raise TypeError(f"{type(self).__name__} gives no value(s), define it")

    def gradient(self, s):
        """Return ``R'(s)``, shape ``(n,)``."""
        raise TypeError(f"{type(self).__name__} gives no gradient(s), define it")

    def subset(self, samples):
        """Return the loss of these samples, scaled so that its mean over draws is this loss."""
        raise TypeError(f"{type(self).__name__} gives no subset(samples), define it")

    def scaled(self, factor):
        """Return the loss times a number."""
        return _Scaled(self, factor)

    def discrete_gradient(self, s0, s1):
        """Return ``g`` with ``g·(s1 - s0) = R(s1) - R(s0)`` (Gonzalez's midpoint form)."""
        middle, step = self.gradient(0.5 * (s0 + s1)), s1 - s0
        square = step @ step
        if square == 0:
            return middle
        return middle + (self.value(s1) - self.value(s0) - middle @ step) / square * step


class _Scaled(Loss):
    """A loss times a number."""

    def __init__(self, loss, factor):
        self.loss, self.factor = loss, factor
        self.size, self.target = loss.size, loss.target
        self.convex = loss.convex and factor >= 0

    def value(self, s):
        return self.factor * self.loss.value(s)

    def gradient(self, s):
        return self.factor * self.loss.gradient(s)

    def curvature(self, s):
        return self.factor * self.loss.curvature(s)

    def discrete_gradient(self, s0, s1):
        return self.factor * self.loss.discrete_gradient(s0, s1)

    def subset(self, samples):
        return _Scaled(self.loss.subset(samples), self.factor)

    def conjugate(self, p):
        """Return ``factor R*(p / factor)``, infinite for a factor that is not positive."""
        return self.factor * self.loss.conjugate(p / self.factor) if self.factor > 0 else np.inf

    def scaled(self, factor):
        return _Scaled(self.loss, factor * self.factor)

    def __repr__(self):
        return f"{self.factor:.17g} * {self.loss!r}"


class Squared(Loss):
    """Squared loss ``R(s) = 1/2 sum_k weights_k (s_k - y_k)^2``.

    Parameters
    ----------
    y : array of shape ``(n,)``
    weights : float or array of shape ``(n,)``, optional
        Positive; default ``1/n``.
    """

    convex = True

    def __init__(self, y, weights=None):
        self.y = checks.array("squared loss y", y, dimensions=(0, 1)).reshape(-1)
        self.size = self.y.size
        if self.size == 0:
            raise checks.InputError("squared loss y: no samples, give at least one")
        weights = 1.0 / self.size if weights is None else weights
        weights = checks.array("squared loss weights", weights, dimensions=(0, 1))
        if weights.ndim and weights.shape != self.y.shape:
            raise checks.InputError(
                f"squared loss weights: shape {weights.shape} does not fit y of shape "
                f"{self.y.shape}, give one weight a sample"
            )
        if not weights.min() > 0:
            raise checks.InputError(
                f"squared loss weights: {weights.min():g} is not positive, give weights > 0"
            )
        self.weights = np.array(np.broadcast_to(weights, self.y.shape))

    @property
    def target(self):
        """The data ``y``."""
        return self.y

    def value(self, s):
        return 0.5 * float(np.sum(self.weights * (s - self.y) ** 2))

    def gradient(self, s):
        return self.weights * (s - self.y)

    def subset(self, samples):
        return Squared(self.y[samples], self.weights[samples] * (self.size / len(samples)))

    def curvature(self, s):
        """Return the diagonal of ``R''(s)``."""
        return self.weights

    def discrete_gradient(self, s0, s1):
        return self.weights * (0.5 * (s0 + s1) - self.y)

    def conjugate(self, p):
        """Return ``R*(p) = sum_k p_k y_k + p_k^2 / (2 weights_k)``."""
        return float(np.sum(p * self.y + 0.5 * p**2 / self.weights))

    def __repr__(self):
        return f"Squared({checks.fingerprint(self.y)}, {checks.fingerprint(self.weights)})"


class Logistic(Loss):
    """Logistic loss ``R(s) = (1/n) sum_k log(1 + exp(-labels_k s_k))``, labels -1 or +1."""

    convex = True

    def __init__(self, labels):
        self.labels = checks.array("logistic labels", labels, shape=(None,))
        self.size = self.labels.size
        if self.size == 0:
            raise checks.InputError("logistic labels: no samples, give at least one")
        bad = np.abs(self.labels) != 1
        if bad.any():
            where = int(bad.argmax())
            raise checks.InputError(
                f"logistic labels: {self.labels[where]:g} at index {where} is neither -1 nor +1, "
                "recode the labels"
            )

    @property
    def target(self):
        """The labels."""
        return self.labels

    def value(self, s):
        return float(np.sum(np.logaddexp(0, -self.labels * s)) / self.size)

    def gradient(self, s):
        return -self.labels * self._wrong(s) / self.size

    def subset(self, samples):
        return Logistic(self.labels[samples])

    def _wrong(self, s):
        """Probability given to the wrong label."""
        return 0.5 * (1 - np.tanh(0.5 * self.labels * s))

    def curvature(self, s):
        """Return the diagonal of ``R''(s)``."""
        wrong = self._wrong(s)
        return wrong * (1 - wrong) / self.size

    def conjugate(self, p):
        """Return ``R*(p) = (1/n) sum_k q log q + (1 - q) log(1 - q)``, ``q = -n labels p``."""
        from scipy.special import entr

        q = -self.size * self.labels * p
        if q.min() < 0 or q.max() > 1:
            return np.inf
        return float(-np.sum(entr(q) + entr(1 - q)) / self.size)

    def __repr__(self):
        return f"Logistic({checks.fingerprint(self.labels)})"
