"""The functional ``F(mu) = R(∫ phi dmu) + ∫ V dmu + …``: a sum of named terms."""

import copy
import numbers

import numpy as np

from wgf import checks
from wgf.functional import forms
from wgf.functional.kinks import Kinks
from wgf.measures.base import Measure, Told


class Functional(Told):
    """A sum of terms, each reported by name.

    ``Risk(...) + L1(...)`` builds one, and so do multiples and differences; the names of the parts
    stay. A number tells apart two terms of the same kind.

    Raises
    ------
    InputTypeError
        For anything in the sum that is not a term.
    """

    # a NumPy number on the left leaves the product to this class
    __array_ufunc__ = None

    def __init__(self, terms):
        if not isinstance(terms, list | tuple):
            raise checks.InputTypeError(
                f"functional: {type(terms).__name__} is not a list of terms, give a list of them"
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
        # `sum` begins with 0
        return Functional(self.terms) if type(other) is int and other == 0 else NotImplemented

    __radd__ = __add__

    def __mul__(self, factor):
        if isinstance(factor, bool) or not isinstance(factor, numbers.Real):
            return NotImplemented
        factor = checks.number("functional factor", factor)
        return Functional([term.scaled(factor) for term in self.terms])

    __rmul__ = __mul__

    def __neg__(self):
        return -1.0 * self

    def __sub__(self, other):
        return self + -1.0 * other if isinstance(other, Functional) else NotImplemented

    def facts(self):
        """Return the terms by name, as a notebook shows them."""
        return {name: repr(term) for name, term in zip(self.part_names, self.terms)}

    def of_form(self, *kinds):
        """Return the terms of some forms."""
        return tuple(term for term in self.terms if isinstance(term.form(), kinds))

    @property
    def risks(self):
        """The terms of the model output."""
        return self.of_form(forms.Composed)

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
        checks.instance("measure", measure, Measure)
        names = measure.names
        if names is None:
            declared = [term.names for term in self.terms if term.names]
            d = measure.dimension
            names = measure.axis_names(declared[0] if declared else None)
            if len(names) != d:
                raise checks.InputError(
                    f"start: particles in dimension {d} do not fit the features' axes "
                    f"({', '.join(names)}), give one column per axis"
                )
        for term in self.terms:
            term.check(names)
            term.meet(measure.point)
        return names

    def on(self, measure):
        """Return the functional with derivatives that fit the axes of a measure."""
        return Functional([term.on(measure) for term in self.terms])

    @property
    def timed(self):
        """Whether the strength of a term depends on time."""
        return any(term.timed for term in self.terms)

    def at(self, time):
        """Return the functional with the strengths that its terms have at a time."""
        return Functional([term.at(time) for term in self.terms])

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
        return measure.shaped(total) if points is None else total

    def gradient(self, measure, points=None):
        """Return ``∇F'(mu)`` at `points`, shape ``(k, d)``; the particle velocity is its negative.

        At a kink this is the element of least norm.
        """
        names = self.axis_names(measure)
        where = self._points(measure, points, names)
        measured = _Named(measure, names)
        slope = np.zeros(where.shape)
        for term in self.on(measure).terms:
            if term.smooth:
                slope += term.gradient_at(measured, where, names)
        return Kinks(self, names).slope(where, slope)

    def _points(self, measure, points, names):
        if points is None:
            return measure.points
        return checks.array("points", points, shape=(None, len(names)))

    def __repr__(self):
        return " + ".join(repr(term) for term in self.terms)


class Term(Functional):
    """Base of all terms; a single term is a functional, too.

    A term of any kind gives ``value_at(measure)``, ``variation_at(measure, points, names)`` and,
    if it is smooth, ``gradient_at(measure, points, names)``: shapes ``()``, ``(k,)`` and
    ``(k, d)``. Explicit methods for densities and all methods for particles then take it.

    Attributes
    ----------
    name : str
        Column of this term in reports.
    names : tuple of str or None
        Axis names that the term declares, for particles without a domain.
    smooth : bool
        Whether the first variation is differentiable in the point. If not, `prox` moves points by
        the term alone, and `wgf.ForwardBackward` takes it.
    timed : bool
        Whether the strength depends on time; ``at(time)`` then is the term at a time.
    sampled : bool
        Whether `draw` gives the term over random samples, for `wgf.StochasticGradient`.

    Notes
    -----
    A term that is of a special form says so by `form`, and methods make use of that.
    """

    name = "term"
    names = None
    smooth = True
    sampled = False
    timed = False

    def __init__(self):
        """A term holds nothing but itself."""

    def form(self):
        """Return how the term looks, one of the classes of `wgf.functional.forms`."""
        return forms.General(self)

    def check(self, names):
        """Raise `InputError` if the term does not fit axes called `names`."""

    def meet(self, point):
        """Raise `InputError` if the term cannot be evaluated at a point of the measure."""

    def on(self, measure):
        return self

    def at(self, time):
        return self

    def prox(self, points, step):
        """Return the points that minimise ``V(p) + |p - points|^2 / (2 step)``, row by row.

        ``V`` is the first variation of the term. The points themselves by default.
        """
        return points

    @property
    def proximal(self):
        """Whether the term is not smooth and moves points by a `prox` of its own."""
        return not self.smooth and type(self).prox is not Term.prox

    def draw(self, generator, batch):
        """Return a `Risk` over a random batch of samples whose mean over draws is this term."""
        raise TypeError(f"{type(self).__name__} draws no samples, define draw(generator, batch)")

    def scaled(self, factor):
        """Return the term times a number; its name stays."""
        return Scaled(self, factor)

    def kink(self, names):
        """Return the strength of ``|theta_i|`` in the first variation for every axis."""
        form = self.form()
        if isinstance(form, forms.Separable):
            return form.kink * form.mask(names)
        return np.zeros(len(names))

    @property
    def terms(self):
        """The term itself, as the terms of a sum."""
        return (self,)

    @property
    def part_names(self):
        """The name of the term, as those of a sum."""
        return (self.name,)

    def __repr__(self):
        return f"{type(self).__name__}()"


class Weighted(Term):
    """A term with a factor, its attribute `strength`, which may be a function of time.

    Attributes
    ----------
    strength : float
        At the time of the term, 0 unless `at` was asked.
    schedule : Schedule or None
        Strength as a function of time.
    """

    strength = 1.0
    schedule = None

    @property
    def timed(self):
        """Whether the strength depends on time."""
        return self.schedule is not None

    @property
    def told(self):
        """The strength as it is given: a number or a function."""
        return self.strength if self.schedule is None else self.schedule

    def at(self, time):
        if self.schedule is None:
            return self
        found = copy.copy(self)
        found.strength = self.schedule(time)
        return found

    def scaled(self, factor):
        found = copy.copy(self)
        found.strength = factor * self.strength
        if self.schedule is not None:
            found.schedule = self.schedule.times(factor)
        return found


class Scaled(Term):
    """A term times a number, of the same form."""

    def __init__(self, term, factor):
        if not term.smooth and factor < 0:
            raise checks.InputError(
                f"functional factor: {factor:g} makes the kink of the term {term.name} concave, "
                "give a factor of at least 0"
            )
        self.term, self.factor = term, factor
        self.name, self.names, self.smooth = term.name, term.names, term.smooth

    def form(self):
        return self.term.form().scaled(self, self.factor)

    @property
    def proximal(self):
        return self.term.proximal

    def check(self, names):
        self.term.check(names)

    def meet(self, point):
        self.term.meet(point)

    def on(self, measure):
        return Scaled(self.term.on(measure), self.factor)

    def potential(self, points, names):
        """Return the potential of a linear term."""
        return self.factor * self.term.potential(points, names)

    def energy(self, rho):
        """Return the energy of a local term."""
        return self.factor * self.term.energy(rho)

    def slope(self, *where):
        """Return the gradient of the potential, or the derivative of the energy."""
        return self.factor * self.term.slope(*where)

    def prox(self, points, step):
        return self.term.prox(points, self.factor * step)

    def value_at(self, measure):
        return self.factor * self.term.value_at(measure)

    def variation_at(self, measure, points, names):
        return self.factor * self.term.variation_at(measure, points, names)

    def gradient_at(self, measure, points, names):
        return self.factor * self.term.gradient_at(measure, points, names)

    def __repr__(self):
        return f"{self.factor:.17g} * {self.term!r}"


class _Named:
    """A measure seen under the axis names that the functional found."""

    def __init__(self, measure, names):
        self._measure = measure
        self.names = names

    def __getattr__(self, attribute):
        return getattr(self._measure, attribute)
