"""Methods for densities, and which of them solves a flow when none is given."""

import math

from wgf import checks
from wgf.eulerian.explicit import FiniteVolume
from wgf.eulerian.growth import GrowthSplitting
from wgf.eulerian.implicit import ImplicitFiniteVolume
from wgf.eulerian.kinetic import KineticFiniteVolume
from wgf.eulerian.stabilised import StabilisedFiniteVolume, diffuses
from wgf.flows import FisherRao, GradientFlow, HeavyBall
from wgf.measures.density import Density
from wgf.stepping import Method, register, require

__all__ = [
    "FiniteVolume",
    "GrowthSplitting",
    "ImplicitFiniteVolume",
    "KineticFiniteVolume",
    "StabilisedFiniteVolume",
]


def _for_gradient_flow(flow: GradientFlow, start: Density, until: float) -> Method:
    """Return the stabilised method where diffusion acts until a given time, the explicit else."""
    method: Method = FiniteVolume()
    terms = [term for term in flow.functional.terms if diffuses(term.form())]
    if not terms:
        method.why = "no entropy acts"
    elif until == math.inf:
        method.why = "the run has no end time"
    else:
        stabilised = StabilisedFiniteVolume()
        try:
            require(stabilised, flow, start)
        except checks.InputError as refusal:
            method.why = str(refusal)
        else:
            method = stabilised
            names = " and ".join(term.name for term in terms)
            method.why = f"diffusion by {names}, long steps under error control"
    return method


register(GradientFlow, "density", _for_gradient_flow, timed=True)
register(FisherRao, "density", lambda flow, start: GrowthSplitting())
register(HeavyBall, "density", lambda flow, start: KineticFiniteVolume())
