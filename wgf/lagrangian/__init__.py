"""Methods for particles, and which of them solves a flow when none is given."""

from wgf.flows import FisherRao, GradientFlow, HeavyBall
from wgf.functional import forms
from wgf.lagrangian.baoab import Baoab, HeavyBallParticles
from wgf.lagrangian.conic import Conic
from wgf.lagrangian.forward_backward import ForwardBackward
from wgf.lagrangian.gradient_descent import GradientDescent
from wgf.lagrangian.langevin import Langevin
from wgf.lagrangian.rosenbrock import Rosenbrock, stiff
from wgf.lagrangian.runge_kutta import RungeKutta
from wgf.lagrangian.stochastic_gradient import StochasticGradient
from wgf.measures.particles import Particles
from wgf.stepping import Method, register

__all__ = [
    "Baoab",
    "Conic",
    "ForwardBackward",
    "GradientDescent",
    "HeavyBallParticles",
    "Langevin",
    "Rosenbrock",
    "RungeKutta",
    "StochasticGradient",
]


def _for_gradient_flow(flow: GradientFlow, start: Particles, until: float) -> Method:
    if flow.functional.of_form(forms.Local):
        return Langevin()
    if stiff(flow, start, until):
        return Rosenbrock()
    return RungeKutta() if flow.functional.smooth else ForwardBackward()


register(GradientFlow, "particles", _for_gradient_flow, timed=True)
register(FisherRao, "particles", lambda flow, start: Conic())
register(HeavyBall, "particles", lambda flow, start: Baoab())
