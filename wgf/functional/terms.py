"""Terms of the functional: each has a value, a first variation and a name for reports.

*Linear* terms integrate a potential, ``∫ V dmu``; `Risk` composes a loss with the model output.
"""

import copy

import numpy as np

from wgf import checks
from wgf.functional import forms
from wgf.functional.features import FeatureMap
from wgf.functional.functional import Term, Weighted
from wgf.functional.losses import Loss
from wgf.functional.user import Differences, UserFunction


class Risk(Term):
    """``R(scale ∫ phi dmu) / scale^2``: a loss of the model output.

    Parameters
    ----------
    features : FeatureMap
    loss : Loss
    scale : float
        Output scale ``alpha``; 1 is the mean-field model, large values the lazy regime.

    Raises
    ------
    InputError
        For features and a loss of different numbers of samples.
    """

    name = "risk"
    sampled = True

    def __init__(self, features, loss, scale=1.0):
        self.features = checks.instance("risk features", features, FeatureMap)
        self.loss = checks.instance("risk loss", loss, Loss)
        self.scale = checks.number("risk scale", scale, above=0)
        known = getattr(features, "_size", features.size)
        if loss.size is not None and known is not None and known != loss.size:
            raise checks.InputError(
                f"risk: {known} features do not fit {loss.size} targets, give as many targets as "
                "samples"
            )

    @property
    def names(self):
        """Axis names that the features declare, or None."""
        return self.features.names

    def form(self):
        return forms.Composed(self)

    def on(self, measure):
        features = self.features.on(measure)
        return self if features is self.features else Risk(features, self.loss, self.scale)

    def scaled(self, factor):
        return Risk(self.features, self.loss.scaled(factor), self.scale)

    def check(self, names):
        wanted = self.features.names
        if wanted is not None and tuple(names) != wanted:
            raise checks.InputError(
                f"start: axes ({', '.join(names)}) do not match the axes ({', '.join(wanted)}) of "
                f"the features, build the mesh as Mesh({', '.join(f'{n}=Axis(…)' for n in wanted)})"
            )

    def meet(self, point):
        if self.features.names is None:
            size = self.features.measure_size(point.shape[1], point)
            if self.loss.size is not None and size != self.loss.size:
                raise checks.InputError(
                    f"risk: {size} features do not fit {self.loss.size} targets, give as many "
                    "targets as samples"
                )

    def output(self, measure):
        """Return the model output ``∫ phi dmu``, shape ``(n,)``."""
        if self.features.amplitude:
            rest, moments = measure.amplitude_moments()
            total = np.zeros(self.features.size)
            for rows in self.features.row_blocks(len(rest)):
                total += moments[rows] @ self.features.unit(rest[rows])
            return total
        return sum(self.features.output(*block) for block in measure.blocks())

    def predict(self, measure, inputs):
        """Return the model output ``scale ∫ phi dmu`` at new inputs.

        Parameters
        ----------
        measure : Density or Particles
        inputs : array
            As the features were given their own: shape ``(k,)`` or ``(k, p)``.

        Returns
        -------
        array of shape ``(k,)``

        Raises
        ------
        InputError
            For features that have no inputs.

        Examples
        --------
        >>> import numpy as np, wgf
        >>> risk = wgf.Risk(wgf.Neurons(np.array([-1.0, 1.0]), "relu"), wgf.Squared([0.0, 1.0]))
        >>> network = wgf.Particles([[1.0, 2.0], [3.0, -1.0]])
        >>> risk.predict(network, np.array([0.5, -2.0]))
        array([0.5, 3. ])
        """
        features = self.features.at(inputs)
        if features.names != self.names:
            raise checks.InputError(
                f"inputs: features of them have the axes {', '.join(features.names)} and not "
                f"{', '.join(self.names)}, give inputs of as many components as those of the model"
            )
        found = copy.copy(self)
        found.features = features
        return self.scale * found.output(measure)

    def draw(self, generator, batch):
        """Return this risk over `batch` of its samples, drawn without replacement.

        Raises
        ------
        InputError
            For more samples than there are, or features without samples.
        """
        size = self.features.size
        if batch > size:
            raise checks.InputError(f"batch: {batch} of {size} samples, give at most {size}")
        samples = np.sort(generator.choice(size, batch, replace=False))
        return Risk(self.features.subset(samples), self.loss.subset(samples), self.scale)

    def value_of(self, output):
        """Return the value from the model output."""
        return self.loss.value(self.scale * output) / self.scale**2

    def residual(self, output):
        """Return ``R'``, the vector whose product with ``phi`` is the first variation."""
        return self.loss.gradient(self.scale * output) / self.scale

    def value_at(self, measure):
        return self.value_of(self.output(measure))

    def variation_at(self, measure, points, names):
        """Return ``<R'(∫ phi dmu), phi(points)>``."""
        return self.features.potential(points, self.residual(self.output(measure)))

    def gradient_at(self, measure, points, names):
        """Return the gradient of the first variation, shape ``(k, d)``."""
        return self.features.potential_gradient(points, self.residual(self.output(measure)))

    def __repr__(self):
        tail = f", scale={self.scale:g}" if self.scale != 1 else ""
        return f"Risk({self.features!r}, {self.loss!r}{tail})"


class LinearTerm(Term):
    """``∫ V dmu``: subclasses give ``potential(points, names)`` and ``slope(points, names)``."""

    def form(self):
        return forms.Given(self)

    def value_at(self, measure):
        return float(sum(w @ self.potential(p, measure.names) for p, w in measure.blocks()))

    def variation_at(self, measure, points, names):
        """Return ``V(points)``."""
        return self.potential(points, names)

    def gradient_at(self, measure, points, names):
        """Return ``∇V(points)``, shape ``(k, d)``."""
        return self.slope(points, names)

    def hessian(self, points, names):
        """Return the second derivatives of ``V``, shape ``(k, d, d)``; here by differences."""
        return Differences()(lambda near: self.slope(near, names), points)


class _AxisTerm(Weighted, LinearTerm):
    """A linear term ``∫ sum_i V(theta_i) dmu`` over some axes; subclasses give `profile`."""

    def __init__(self, strength, axes):
        self.strength = checks.number(f"{self.name} strength", strength, minimum=0)
        self.axes = None if axes is None else checks.axis_names(f"{self.name} axes", axes)

    def form(self):
        return forms.Separable(self, self.profile, self.mask)

    def check(self, names):
        checks.positions_of(f"{self.name} axes", self.axes or (), names)

    def mask(self, names):
        """Return 1 for the axes the term acts on and 0 for the others."""
        return np.array([self.axes is None or name in self.axes for name in names], dtype=float)

    def profile(self, values):
        """Return ``V`` of the coordinates of one axis."""
        raise TypeError(f"{type(self).__name__} gives no profile(values), define it")

    def potential(self, points, names):
        """Return ``sum_i V(theta_i)`` over the axes the term acts on, shape ``(k,)``."""
        return self.profile(points) @ self.mask(names)

    def __repr__(self):
        return f"{type(self).__name__}({self.strength!r}, {self.axes!r})"


class L1(_AxisTerm):
    """Non-smooth penalty ``strength ∫ sum_i |theta_i| dmu`` over the named axes (default: all)."""

    name = "l1"
    smooth = False

    def __init__(self, strength, axes=None):
        super().__init__(strength, axes)

    def profile(self, values):
        """Return ``strength |theta_i|``."""
        return self.strength * np.abs(values)

    def form(self):
        return forms.Separable(self, self.profile, self.mask, self.strength)


class Ridge(_AxisTerm):
    """Smooth penalty ``strength/2 ∫ |theta|^2 dmu`` over the named axes (default: all)."""

    name = "ridge"

    def __init__(self, strength, axes=None):
        super().__init__(strength, axes)

    def profile(self, values):
        """Return ``strength/2 theta_i^2``."""
        return 0.5 * self.strength * values**2

    def slope(self, points, names):
        """Return ``strength theta``."""
        return self.strength * points * self.mask(names)

    def hessian(self, points, names):
        """Return ``strength`` on the diagonal."""
        diagonal = np.diag(self.strength * self.mask(names))
        return np.broadcast_to(diagonal, (*points.shape, points.shape[1]))


class Potential(Weighted, LinearTerm):
    """The user's own potential ``∫ V dmu``.

    Parameters
    ----------
    function : callable ``(k, d) -> (k,)``
    gradient : callable ``(k, d) -> (k, d)``, optional
        Differences are used without it, with steps that fit the axes of the measure and the
        precision of the result. The mesh solver needs no gradient. A gradient that is not that of
        `function` is refused at the start of a run of particles.
    strength : float, optional
        Factor of the potential.
    """

    name = "potential"

    def __init__(self, function, gradient=None, strength=1.0):
        self.strength = checks.number("potential strength", strength)
        self.function = UserFunction("potential function", function)
        self.given_gradient = gradient and UserFunction("potential gradient", gradient)
        self.differences = Differences()

    def on(self, measure):
        found = copy.copy(self)
        found.differences = Differences(measure)
        if self.given_gradient is not None and measure.kind == "particles":
            found.differences.require(
                "potential gradient", lambda near: self.potential(near, None),
                lambda near: self.slope(near, None), measure.points, self.function.precision,
            )  # fmt: skip
        return found

    def potential(self, points, names):
        """Return ``V(points)``, shape ``(k,)``."""
        values = self.function(points)
        if values.shape != (len(points),):
            raise checks.InputError(
                f"potential function: shape {values.shape} for {len(points)} points, return one "
                "value per point"
            )
        return self._times(values)

    def _times(self, values):
        return values if self.strength == 1 else self.strength * values

    def slope(self, points, names):
        """Return ``∇V(points)``, shape ``(k, d)``."""
        if self.given_gradient is None:
            return self.differences(
                lambda near: self.potential(near, names), points, self.function.precision
            )
        values = self.given_gradient(points)
        if values.shape != points.shape:
            raise checks.InputError(
                f"potential gradient: shape {values.shape} for points of shape {points.shape}, "
                "return one row per point"
            )
        return self._times(values)

    def hessian(self, points, names):
        """Return the second derivatives of ``V``, shape ``(k, d, d)``, by differences."""
        # differences of differences ask for a longer step
        given = self.given_gradient is not None
        precision = self.given_gradient.precision if given else self.function.precision ** (2 / 3)
        return self.differences(lambda near: self.slope(near, names), points, precision)

    def __repr__(self):
        tail = f", strength={self.strength:.17g}" if self.strength != 1 else ""
        return f"Potential({self.function.name}{tail})"
