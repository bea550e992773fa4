"""Conic particles: weights that grow and positions that move, for `wgf.FisherRao`."""

from typing import Any, ClassVar

import numpy as np

from wgf import checks
from wgf.flows import FisherRao
from wgf.lagrangian.particles import ParticleMethod
from wgf.lagrangian.runge_kutta import DormandPrince
from wgf.measures.particles import Particles

RETRACTIONS = ("mirror", "canonical")


class Conic(ParticleMethod):
    """Particles ``(r, x)`` of mass ``r^2``: ``r' = -2 growth J' r``, ``x' = -transport ∇J'``.

    Parameters
    ----------
    retraction : {"mirror", "canonical"}
        Coordinate of the mass in which a step is straight: ``log r`` (mass stays positive for any
        step) or ``r`` itself.
    step : float, optional
        Fixed step of the fifth-order Dormand-Prince formula, without error control.
    tolerance : float
        Largest error of a coordinate in one step otherwise, in units of a quarter of the
        axis, of 1 for ``log r``, and of the largest ``r`` of the start for ``r``.
    """

    title = "conic"
    flow = FisherRao

    def __init__(
        self, retraction: str = "mirror", step: float | None = None, tolerance: float = 1e-8
    ):
        self.retraction = checks.one_of("conic retraction", retraction, RETRACTIONS)
        self.step = None if step is None else checks.number("conic step", step, above=0)
        self.tolerance = checks.number("conic tolerance", tolerance, above=0)

    def check(self, flow: FisherRao, start: Particles) -> None:
        flow.check(_signs(flow, start))
        if not start.weights.min() > 0:
            raise checks.InputError(
                f"conic start: the weight {start.weights.min():g} cannot grow, leave such "
                "particles out"
            )
        kinks = self.kinks(flow, start)
        if kinks.term is not None or (kinks.strength * kinks.mobility).any():
            raise checks.InputError(
                "conic: the functional has a kink along an axis on which particles move and this "
                "method needs its gradient, use wgf.GrowthSplitting on a wgf.Density"
            )

    def stepper(self, flow: FisherRao, start: Particles, world: Any) -> "_Stepper":
        """Return a stepper for `flow` from the particles `start`."""
        return _Stepper(self, flow, _signs(flow, start), world)

    def __repr__(self):
        return (
            f"Conic(retraction={self.retraction!r}, step={self.step!r}, "
            f"tolerance={self.tolerance:g})"
        )


def _signs(flow, start):
    """Return the particles with amplitudes -1 and +1 if they were drawn within two such cells."""
    domain = start.domain
    if not flow.signed or domain is None or list(domain.axes[0].centers) != [-1.0, 1.0]:
        return start
    points = start.points.copy()
    points[:, 0] = np.where(points[:, 0] > 0, 1.0, -1.0)
    return Particles(points, start.weights, domain=domain)


class _Stepper(DormandPrince):
    """State: one row ``(u, x)`` per particle, ``u = log r`` or ``r``."""

    saved: ClassVar[dict[str, str]] = {"rows": "all_rows"}
    state = velocity = None

    def __init__(self, method, flow, start, world):
        super().__init__(flow, start, world, method.step, method.tolerance)
        self.mirror = method.retraction == "mirror"
        radius = np.sqrt(start.weights[self.partition.own])
        self.state = np.column_stack([np.log(radius) if self.mirror else radius, self.points])
        unit = 1.0 if self.mirror else float(np.sqrt(start.weights.max()))
        self.scales = np.array([unit, *start.scales])
        self.enter()

    def _open(self, rows):
        """Return weights and positions of state rows, positions confined."""
        column = rows[:, 0]
        weights = np.exp(2 * column) if self.mirror else column**2
        return weights, self.empirical.confine(rows[:, 1:])

    def _evaluated(self, rows):
        """Return ``(x, outputs, J', velocity)`` of state rows; the functional has their weights."""
        empirical = self.empirical
        empirical.weights, x = self._open(rows)
        outputs = empirical.outputs(x)
        gradient = empirical.smooth_gradient(x, outputs)
        potential = empirical.potential(x, outputs)
        velocity = np.empty_like(rows)
        velocity[:, 0] = -2 * self.flow.growth * potential * (1.0 if self.mirror else rows[:, 0])
        velocity[:, 1:] = -empirical.mobility * gradient
        return x, outputs, potential, velocity

    def velocity_at(self, state: np.ndarray) -> np.ndarray:
        return self._evaluated(state)[-1]

    def evaluate(self) -> None:
        empirical = self.empirical
        self.points, self.outputs, potential, self.velocity = self._evaluated(self.state)
        self.state[:, 1:] = self.points
        moving = np.divide(
            self.velocity[:, 1:] ** 2,
            empirical.mobility,
            where=empirical.mobility > 0,
            out=np.zeros_like(self.points),
        )
        squares = 4 * self.flow.growth * potential**2 + moving.sum(axis=1)
        self.dissipation = self.partition.sum(empirical.weights * squares)

    def place(self, state: np.ndarray) -> None:
        self.state = state

    @property
    def measure(self) -> Particles | None:
        rows = self.all_rows
        if rows is None:
            return None
        weights, x = self._open(rows)
        return Particles(x, weights, domain=self.empirical.domain)

    @property
    def all_rows(self) -> np.ndarray | None:
        """State rows of all particles, None where no snapshots are kept."""
        return self.partition.gathered(self.state)

    @all_rows.setter
    def all_rows(self, rows: np.ndarray) -> None:
        self.state = np.array(rows)[self.partition.own]

    def resumed(self) -> None:
        self.evaluate()
