"""Methods for densities: finite volumes on a mesh."""

from wgf.eulerian.explicit import FiniteVolume

__all__ = ["FiniteVolume"]
