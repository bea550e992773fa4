"""Methods for particles."""

from wgf.lagrangian.conic import Conic
from wgf.lagrangian.forward_backward import ForwardBackward
from wgf.lagrangian.runge_kutta import RungeKutta

__all__ = ["Conic", "ForwardBackward", "RungeKutta"]
