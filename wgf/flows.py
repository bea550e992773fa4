"""Flows: the equations, without numerics."""

from wgf import checks
from wgf.functional import Functional, Term


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
        for name, factor in dict(mobility or {}).items():
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
