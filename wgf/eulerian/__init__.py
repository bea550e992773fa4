"""Methods for densities: finite volumes on a mesh."""

from wgf.eulerian.explicit import FiniteVolume
from wgf.eulerian.growth import GrowthSplitting
from wgf.eulerian.implicit import ImplicitFiniteVolume
from wgf.eulerian.kinetic import KineticFiniteVolume

__all__ = ["FiniteVolume", "GrowthSplitting", "ImplicitFiniteVolume", "KineticFiniteVolume"]
