"""Flows: the equations, without numerics."""

import numpy as np

from wgf import checks
from wgf.functional import forms
from wgf.functional.functional import Functional
from wgf.functional.schedule import strength_of
from wgf.measures.base import Measure
from wgf.measures.density import Density
from wgf.measures.mesh import VELOCITY


class _Transport:
    """A functional whose measures move, with a factor of the force along every axis."""

    def __init__(self, F, frozen, mobility):
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
        """Return the factor of the force for every axis in `names`, 0 for frozen ones."""
        checks.positions_of("flow frozen", self.frozen, names)
        checks.positions_of("flow mobility", tuple(self.mobility), names)
        return [0.0 if n in self.frozen else self.mobility.get(n, 1.0) for n in names]


class GradientFlow(_Transport):
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
        super().__init__(F, frozen, mobility)

    def axis_names(self, measure):
        """Return the names of the measure's axes; see `wgf.Functional.axis_names`."""
        return self.functional.axis_names(measure)

    def __repr__(self):
        return (
            f"GradientFlow({self.functional!r}, frozen={self.frozen!r}, mobility={self.mobility!r})"
        )


def _idle(form):
    """Return whether a penalty along axes has the strength 0."""
    return isinstance(form, forms.Separable) and not form.profile(np.ones(1)).any()


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

    def axis_names(self, measure):
        """Return the names of the measure's axes; see `wgf.Functional.axis_names`."""
        return self.functional.axis_names(measure)

    def mobilities(self, names):
        """Return the factor of the velocity for every axis in `names`, 0 for the signs."""
        return [0.0 if i == 0 and self.signed else self.transport for i in range(len(names))]

    def check(self, measure):
        """Raise `InputError` if the functional or the measure do not allow this flow."""
        names = self.functional.axis_names(measure)
        for name, term in zip(self.functional.part_names, self.functional.terms):
            if isinstance(term.form(), forms.Local | forms.Pairwise):
                raise checks.InputError(
                    f"fisher-rao: the term {name} has no growth step, use wgf.GradientFlow"
                )
        if not self.signed:
            return
        for name, term in zip(self.functional.part_names, self.functional.terms):
            form, kink = term.form(), term.kink(names)
            if isinstance(form, forms.Composed) or _idle(form):
                continue
            if not isinstance(form, forms.Linear) or not kink[0] or kink[1:].any():
                raise checks.InputError(
                    f"fisher-rao: the term {name} is not homogeneous of degree 1 in the amplitude "
                    f"{names[0]}, use an l1 penalty on {names[0]} alone"
                )
        values = measure.coordinates(0)
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


class HeavyBall(_Transport):
    """Heavy ball: the nonlinear kinetic Fokker-Planck equation of a flow with momentum.

    Every parameter has a velocity ``r``,

        dtheta = r dt,   dr = -(gamma r + ∇F'(mu)(theta)) dt + sqrt(2 gamma T) dW,

    and the density of both solves

        ∂t rho + r·∇_theta rho - ∇F'(mu)·∇_r rho = gamma ∇_r·(r rho + T ∇_r rho),

    ``mu`` being the marginal of the parameters: `F` acts on ``mu`` alone.

    Parameters
    ----------
    F : Functional
    friction : float
        ``gamma >= 0``.
    temperature : float or callable
        ``T = 1 / beta >= 0``, a number or, for particles, a function of time; 0 is the noiseless
        heavy ball, a nonlinear Vlasov equation with friction. The noise is ``sqrt(2 gamma T) dW``:
        the velocities tend to the Maxwellian of variance ``T`` whatever the friction, and without
        friction there is no noise.
    frozen : axis names
        Axes of the parameters along which nothing moves.
    mobility : dict of float, optional
        Factor ``M_i`` of the force along an axis, default 1, the inverse of a mass: the equations
        become ``dr_i = -(gamma r_i + M_i ∂_i F') dt + sqrt(2 gamma T M_i) dW_i``, ``|r|^2`` below
        is ``sum_i r_i^2 / M_i`` and the Maxwellian has the variances ``T M_i``.

    Raises
    ------
    InputError
        For a negative friction or temperature, and for terms of `F` that need the density of the
        parameters (entropies): give a temperature instead.

    Notes
    -----
    This is not a Wasserstein gradient flow, and ``F`` need not fall: it oscillates, as the height
    of a rolling ball does. What must not rise is

        E = F(mu) + ∫ |r|^2 / 2 drho + T ∫ rho log rho,
        dE/dt = -gamma ∫ |r + T ∇_r log rho|^2 drho,

    the columns ``objective``, ``kinetic``, ``entropy`` and ``lyapunov`` (E) of a run; its
    ``dissipation`` is the right side and ``residual`` the budget of E. With friction and noise the
    stationary states are ``rho ∝ exp(-(F'(mu) + |r|^2 / 2) / T)``. For large friction ``mu`` at
    the time ``gamma t`` is that of ``GradientFlow(F + Entropy(T))`` at ``t``. Source: Krichene,
    Caluya & Halder 2020.
    """

    def __init__(self, F, friction, temperature=0.0, frozen=(), mobility=None):
        super().__init__(F, frozen, mobility)
        self.friction = checks.number("heavy ball friction", friction, minimum=0)
        self.temperature, self.schedule = strength_of(
            "heavy ball temperature", temperature, minimum=0
        )
        F = self.functional
        for name, term in zip(F.part_names, F.terms):
            if isinstance(term.form(), forms.Local):
                raise checks.InputError(
                    f"heavy ball: the term {name} is a pressure that it does not have, leave it "
                    "out and give a temperature"
                )

    def axis_names(self, measure):
        """Return the names of positions and velocities of a density or of particles.

        Raises
        ------
        InputError
            For a density on a mesh that is no phase space.
        """
        checks.instance("measure", measure, Measure)
        if measure.kind == "particles":
            names = self.functional.axis_names(measure)
            return (*names, *(VELOCITY + name for name in names))
        if measure.mesh.phase is None:
            raise checks.InputError(
                f"heavy ball start: the axes ({', '.join(measure.names)}) hold no velocities, "
                "build the mesh by wgf.phase_space(mesh, speed, cells)"
            )
        self.functional.axis_names(Density.uniform(measure.mesh.phase[0]))
        return measure.names

    def temperature_at(self, time):
        """Return the temperature at a time."""
        return self.temperature if self.schedule is None else self.schedule(time)

    def __repr__(self):
        told = self.temperature if self.schedule is None else self.schedule
        return (
            f"HeavyBall({self.functional!r}, friction={self.friction!r}, "
            f"temperature={told!r}, frozen={self.frozen!r}, mobility={self.mobility!r})"
        )
