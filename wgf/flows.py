"""Flows: the equations, without numerics."""

from wgf import checks
from wgf.functional import Functional, Term
from wgf.measure import Density


class GradientFlow:
    """Wasserstein gradient flow ``∂t mu = ∇·(mu ∇F'(mu))``, particle velocity ``-∇F'(mu)``.

    Parameters
    ----------
    F : Functional
    frozen : axis names
        Axes along which nothing moves.
    mobility : dict of float, optional
        Factor of the velocity along an axis, default 1: the flow in the metric
        ``sum_i dtheta_i^2 / mobility_i``, with the same minimisers.

    Notes
    -----
    The sign is such that ``dF/dt = -∫ |∇F'|^2 dmu <= 0``. Source: Chizat & Bach 2018, section 2.
    """

    def __init__(self, F, frozen=(), mobility=None):
        if isinstance(F, Term):
            F = Functional([F])
        self.functional = checks.instance("flow functional", F, Functional)
        self.frozen = checks.axis_names("flow frozen", frozen)
        self.mobility = {}
        if not isinstance(mobility, dict | None):
            raise checks.InputTypeError(
                f"flow mobility: {mobility!r} is no dictionary, give one of axis names and factors"
            )
        checks.axis_names("flow mobility", list(mobility or {}))
        for name, factor in (mobility or {}).items():
            self.mobility[name] = checks.number(f"flow mobility of {name}", factor, minimum=0)

    def mobilities(self, names):
        """Return the factor of the velocity for every axis in `names`, 0 for frozen ones."""
        checks.positions_of("flow frozen", self.frozen, names)
        checks.positions_of("flow mobility", tuple(self.mobility), names)
        return [0.0 if n in self.frozen else self.mobility.get(n, 1.0) for n in names]

    def __repr__(self):
        return (
            f"GradientFlow({self.functional!r}, frozen={self.frozen!r}, mobility={self.mobility!r})"
        )


class FisherRao:
    """Wasserstein-Fisher-Rao flow of an unbalanced measure on positions.

    ``∂t nu = transport ∇·(nu ∇J') - 4 growth J' nu`` with ``J' = F'(nu)``: mass moves and is
    created and destroyed, ``dF/dt = -∫ (transport |∇J'|^2 + 4 growth J'^2) dnu <= 0``.

    Parameters
    ----------
    F : Functional
        Of a non-negative measure. With features that have an amplitude axis the measure lives on
        signs and positions, the axis holding the two cells ``Axis(-2, 2, 2)`` with the centres
        -1 and +1 (or particles with amplitudes ±1): two copies whose difference is the signed
        measure. Nothing moves between the copies.
    growth, transport : float
        The coefficients alpha and beta, not negative and not both 0.

    Raises
    ------
    InputError
        If a penalty is not homogeneous of degree 1 in the amplitude, so that the flow on
        amplitudes and positions does not project onto this one.

    Notes
    -----
    For 2-homogeneous features and ``V = lambda |theta|^2`` the Wasserstein flow on ``R^d``,
    projected by ``nu(B) = ∫ r^2 mu(dr, B)`` onto the sphere, solves this equation with growth =
    transport = 1.
    """

    def __init__(self, F, growth=1.0, transport=1.0):
        if isinstance(F, Term):
            F = Functional([F])
        self.functional = checks.instance("flow functional", F, Functional)
        self.growth = checks.number("fisher-rao growth", growth, minimum=0)
        self.transport = checks.number("fisher-rao transport", transport, minimum=0)
        if self.growth == self.transport == 0:
            raise checks.InputError(
                "fisher-rao: growth 0 and transport 0 leave nothing to do, give one above 0"
            )

    @property
    def signed(self):
        """Whether the first axis holds the signs of two copies."""
        return any(risk.features.amplitude for risk in self.functional.risks)

    def mobilities(self, names):
        """Return the factor of the velocity for every axis in `names`, 0 for the signs."""
        return [0.0 if i == 0 and self.signed else self.transport for i in range(len(names))]

    def check(self, measure):
        """Raise `InputError` if the functional or the measure do not allow this flow."""
        names = self.functional.axis_names(measure)
        for name, term in zip(self.functional.part_names, self.functional.terms):
            if term.local or term.pairwise:
                raise checks.InputError(
                    f"fisher-rao: the term {name} has no growth step, use wgf.GradientFlow"
                )
        if not self.signed:
            return
        for name, term in zip(self.functional.part_names, self.functional.terms):
            if term.composed:
                continue
            kink = term.kink(names)
            idle = getattr(term, "strength", 1.0) == 0
            if not idle and (not term.linear or not kink[0] or kink[1:].any()):
                raise checks.InputError(
                    f"fisher-rao: the term {name} is not homogeneous of degree 1 in the amplitude "
                    f"{names[0]}, use an l1 penalty on {names[0]} alone"
                )
        first = measure.mesh.axes[0].centers if isinstance(measure, Density) else None
        values = measure.points[:, 0] if first is None else first
        if abs(abs(values) - 1).max() > 1e-12:
            worst = values[abs(abs(values) - 1).argmax()]
            raise checks.InputError(
                f"fisher-rao start: the amplitude {worst:g} is no sign, put the axis {names[0]} "
                "at -1 and +1, for example Axis(-2, 2, 2)"
            )

    def __repr__(self):
        return (
            f"FisherRao({self.functional!r}, growth={self.growth!r}, transport={self.transport!r})"
        )
