"""Methods for particles."""

from wgf.lagrangian.baoab import Baoab, HeavyBallParticles
from wgf.lagrangian.conic import Conic
from wgf.lagrangian.forward_backward import ForwardBackward
from wgf.lagrangian.gradient_descent import GradientDescent
from wgf.lagrangian.langevin import Langevin
from wgf.lagrangian.runge_kutta import RungeKutta
from wgf.lagrangian.stochastic_gradient import StochasticGradient

__all__ = [
    "Baoab",
    "Conic",
    "ForwardBackward",
    "GradientDescent",
    "HeavyBallParticles",
    "Langevin",
    "RungeKutta",
    "StochasticGradient",
]
