"""The functional ``F(mu) = R(∫ phi dmu) + ∫ V dmu + …``: a sum of named terms."""

import numpy as np

from wgf import checks
from wgf.measures.density import Density
from wgf.measures.particles import Particles


class Term:
    """Base of all terms; a single term is a functional, too.

    Attributes
    ----------
    name : str
        Column of this term in reports.
    linear : bool
        Whether the term is ``∫ V dmu``; it then gives `potential` and, if smooth, `slope`.
    composed : bool
        Whether the term depends on the measure through a model output, as `wgf.Risk` does.
    local : bool
        Whether the term is ``∫ U(rho)`` of a density, as `wgf.Entropy` is.
    pairwise : bool
        Whether the term is ``1/2 ∫∫ W dmu dmu``; it then gives `potential` on a mesh.
    particles_only : bool
        Whether the term has no form on a mesh.
    smooth : bool
        Whether the first variation is differentiable in the point; if not, `kink` gives the
        strength of the absolute value for every axis.

    Notes
    -----
    Subclasses give ``value_at(measure)``, ``variation_at(measure, points, names)`` and, if
    smooth, ``gradient_at(measure, points, names)``.
    """

    name = "term"
    linear = False
    composed = False
    local = False
    pairwise = False
    particles_only = False
    smooth = True

    def check(self, names):
        """Raise `InputError` if the term does not fit axes called `names`."""

    def kink(self, names):
        """Return the strength of ``|theta_i|`` in the first variation for every axis."""
        return np.zeros(len(names))

    def __add__(self, other):
        return Functional([self]) + other

    def value(self, measure):
        """Return the value; see `Functional.value`."""
        return Functional([self]).value(measure)

    def parts(self, measure):
        """Return the value by name; see `Functional.parts`."""
        return Functional([self]).parts(measure)

    def first_variation(self, measure, points=None):
        """Return the first variation; see `Functional.first_variation`."""
        return Functional([self]).first_variation(measure, points)

    def gradient(self, measure, points=None):
        """Return the gradient of the first variation; see `Functional.gradient`."""
        return Functional([self]).gradient(measure, points)


class Functional:
    """A sum of terms, each reported by name.

    ``Risk(...) + L1(...)`` builds one. Two terms of the same kind are told apart by a number.

    Raises
    ------
    InputTypeError
        For anything in the sum that is no term.
    """

    def __init__(self, terms):
        if not isinstance(terms, list | tuple):
            raise checks.InputTypeError(
                f"functional: {type(terms).__name__} is no list of terms, give a list of them"
            )
        self.terms = tuple(terms)
        if not self.terms:
            raise checks.InputError("functional: no terms, give at least one")
        names, seen = [], {}
        for term in self.terms:
            checks.instance("functional term", term, Term)
            seen[term.name] = seen.get(term.name, 0) + 1
            names.append(term.name if seen[term.name] == 1 else f"{term.name}_{seen[term.name]}")
        self.part_names = tuple(names)

    def __add__(self, other):
        if isinstance(other, Functional):
            return Functional(self.terms + other.terms)
        if isinstance(other, Term):
            return Functional(self.terms + (other,))
        return NotImplemented

    @property
    def risks(self):
        """The terms of the model output."""
        return tuple(term for term in self.terms if term.composed)

    @property
    def smooth(self):
        """Whether the first variation is differentiable in the point."""
        return all(term.smooth for term in self.terms)

    @property
    def kinked(self):
        """Whether a feature's gradient jumps."""
        return any(risk.features.kinked for risk in self.risks)

    def axis_names(self, measure):
        """Return the names of the measure's axes, from the features if it has none itself.

        Raises
        ------
        InputError
            If the features or a penalty do not fit the measure's axes.
        """
        checks.instance("measure", measure, (Density, Particles))
        names = measure.names
        if names is None:
            declared = [risk.features.names for risk in self.risks if risk.features.names]
            declared += [term.names for term in self.terms if getattr(term, "names", None)]
            d = measure.points.shape[1]
            names = declared[0] if declared else tuple(f"x{i + 1}" for i in range(d))
            if len(names) != d:
                raise checks.InputError(
                    f"start: particles in dimension {d} do not fit the features' axes "
                    f"({', '.join(names)}), give one column an axis"
                )
        for term in self.terms:
            term.check(names)
        return names

    def parts(self, measure):
        """Return the value of every term by name."""
        measure = _Named(measure, self.axis_names(measure))
        return {name: term.value_at(measure) for name, term in zip(self.part_names, self.terms)}

    def value(self, measure):
        """Return ``F(mu)``."""
        return float(sum(self.parts(measure).values()))

    def first_variation(self, measure, points=None):
        """Return ``F'(mu)`` at `points`, shape ``(k,)``.

        Without `points`: at every cell centre, in the shape of the mesh, or at every particle.
        """
        names = self.axis_names(measure)
        where = self._points(measure, points, names)
        measured = _Named(measure, names)
        total = sum(term.variation_at(measured, where, names) for term in self.terms)
        if points is None and isinstance(measure, Density):
            return total.reshape(measure.mesh.shape)
        return total

    def gradient(self, measure, points=None):
        """Return ``∇F'(mu)`` at `points`, shape ``(k, d)``; the particle velocity is its negative.

        At a kink of the l1 penalty this is the element of least norm.
        """
        names = self.axis_names(measure)
        where = self._points(measure, points, names)
        measured = _Named(measure, names)
        slope = np.zeros(where.shape)
        for term in self.terms:
            if term.smooth:
                slope += term.gradient_at(measured, where, names)
        return least_norm(slope, where, self.kink_strength(names))

    def _points(self, measure, points, names):
        if points is None:
            return measure.points
        return checks.array("points", points, shape=(None, len(names)))

    def kink_strength(self, names):
        """Return the summed strength of the l1 penalties for every axis."""
        return sum((term.kink(names) for term in self.terms), np.zeros(len(names)))

    def __repr__(self):
        return " + ".join(repr(term) for term in self.terms)


def least_norm(slope, points, strength):
    """Return the least-norm element of ``slope + strength ∂|points|``, coordinate by coordinate."""
    at_kink = np.sign(slope) * np.maximum(np.abs(slope) - strength, 0)
    return np.where(points == 0, at_kink, slope + strength * np.sign(points))


class _Named:
    """A measure seen under the axis names that the functional found."""

    def __init__(self, measure, names):
        self._measure = measure
        self.names = names

    def __getattr__(self, attribute):
        return getattr(self._measure, attribute)
