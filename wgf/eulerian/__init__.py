"""Methods for densities: finite volumes on a mesh."""

from wgf.eulerian.explicit import FiniteVolume
from wgf.eulerian.growth import GrowthSplitting
from wgf.eulerian.implicit import ImplicitFiniteVolume
from wgf.eulerian.kinetic import KineticFiniteVolume
from wgf.eulerian.stabilised import StabilisedFiniteVolume
from wgf.flows import FisherRao, GradientFlow, HeavyBall
from wgf.stepping import register

__all__ = [
    "FiniteVolume",
    "GrowthSplitting",
    "ImplicitFiniteVolume",
    "KineticFiniteVolume",
    "StabilisedFiniteVolume",
]

register(GradientFlow, "density", lambda flow, start: FiniteVolume())
register(FisherRao, "density", lambda flow, start: GrowthSplitting())
register(HeavyBall, "density", lambda flow, start: KineticFiniteVolume())
