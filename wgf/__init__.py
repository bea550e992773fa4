"""Wasserstein gradient flows ``∂t mu = ∇·(mu ∇F'(mu))`` as a density and as particles.

Every public name is loaded when it is first used, so that ``import wgf`` stays fast.
"""

import importlib

__version__ = "0.1.0"

_ROOMS = {
    "checks": (
        "InputError",
        "InputTypeError",
        "NumericalError",
        "BoxWarning",
        "StartWarning",
        "StationaryWarning",
    ),
    "mesh": ("Axis", "Mesh"),
    "measure": ("Density", "Particles"),
    "features": ("Neurons", "Filter", "Features", "FeatureMap"),
    "losses": ("Squared", "Logistic", "Loss"),
    "functional": ("Functional", "Term"),
    "terms": ("Risk", "L1", "Ridge", "Potential", "LinearTerm"),
    "energies": ("Entropy", "PowerEntropy", "Interaction"),
    "population": ("PopulationRisk",),
    "flows": ("GradientFlow", "FisherRao", "HeavyBall"),
    "eulerian": (
        "FiniteVolume",
        "GrowthSplitting",
        "ImplicitFiniteVolume",
        "KineticFiniteVolume",
    ),
    "lagrangian": (
        "Baoab",
        "Conic",
        "ForwardBackward",
        "GradientDescent",
        "HeavyBallParticles",
        "Langevin",
        "RungeKutta",
        "StochasticGradient",
    ),
    "phase": ("phase_space", "maxwellian", "positions", "velocities"),
    "signed": (
        "amplitude_projection",
        "radial_projection",
        "neuron_projection",
        "flat_norm",
        "flat_distance",
    ),
    "solution": ("Solution", "projected"),
    "store": ("open_run",),
    "driver": ("solve",),
    "transport": ("wasserstein",),
    "discrepancy": ("energy_distance", "mmd", "sliced_wasserstein", "sobolev_norm"),
    "duality": ("certificate", "certified", "gap_estimate", "Certificate"),
    "comparison": ("compare", "Comparison"),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name in _HOME:
        value = getattr(importlib.import_module(f"wgf.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name in ("cli", "plot", "tangent", "baseline"):
        return importlib.import_module(f"wgf.{name}")
    raise AttributeError(f"module 'wgf' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
