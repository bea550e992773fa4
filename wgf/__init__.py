"""Wasserstein gradient flows ``∂t mu = ∇·(mu ∇F'(mu))`` as a density and as particles.

Every public name is loaded when it is first used, so that ``import wgf`` stays fast.
"""

import importlib
import importlib.abc
import importlib.util
import sys

__version__ = "0.2.0"

_ROOMS = {
    "checks": (
        "InputError",
        "InputTypeError",
        "NumericalError",
        "BoxWarning",
        "StartWarning",
        "StationaryWarning",
    ),
    "measures.mesh": ("Axis", "Mesh"),
    "measures.density": ("Density",),
    "measures.particles": ("Particles",),
    "measures.phase": ("phase_space", "maxwellian", "positions", "velocities"),
    "measures.signed": (
        "amplitude_projection",
        "radial_projection",
        "neuron_projection",
        "flat_norm",
        "flat_distance",
    ),
    "functional.activations": ("Activation",),
    "functional.features": ("Neurons", "Filter", "Features", "FeatureMap"),
    "functional.losses": ("Squared", "Logistic", "Loss"),
    "functional.functional": ("Functional", "Term"),
    "functional.terms": ("Risk", "L1", "Ridge", "Potential", "LinearTerm"),
    "functional.energies": ("LocalEnergy", "Entropy", "PowerEntropy", "Interaction"),
    "functional.population": ("PopulationRisk",),
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
        "Rosenbrock",
        "RungeKutta",
        "StochasticGradient",
    ),
    "record.solution": ("Solution", "projected"),
    "record.store": ("open_run",),
    "driver": ("iterate", "solve"),
    "distances.transport": ("wasserstein",),
    "distances.standard": ("Distance",),
    "distances.discrepancy": ("energy_distance", "mmd", "sliced_wasserstein", "sobolev_norm"),
    "theory.duality": ("certificate", "certified", "gap_estimate", "Certificate"),
    "comparison": ("compare", "Comparison"),
    "command.sweep": ("sweep",),
    "command.refine": ("refine",),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

# where modules lived before they were sorted into wings: the old paths go on working
_ALIASES = {
    "mesh": "measures.mesh",
    "measure": "measures.density",
    "phase": "measures.phase",
    "signed": "measures.signed",
    "features": "functional.features",
    "losses": "functional.losses",
    "terms": "functional.terms",
    "energies": "functional.energies",
    "population": "functional.population",
    "exchange": "parallel.exchange",
    "threads": "parallel.threads",
    "solution": "record.solution",
    "store": "record.store",
    "directory": "record.directory",
    "layout": "record.layout",
    "polydata": "record.polydata",
    "provenance": "record.provenance",
    "tables": "record.tables",
    "progress": "record.progress",
    "distance": "distances.marginals",
    "transport": "distances.transport",
    "discrepancy": "distances.discrepancy",
    "study": "comparison.study",
    "duality": "theory.duality",
    "supremum": "theory.supremum",
    "baseline": "theory.baseline",
    "separation": "theory.separation",
    "tangent": "theory.tangent",
    "cli": "command.cli",
    "runner": "command.runner",
    "estimate": "command.estimate",
    "template": "command.template",
}

__all__ = sorted(_HOME)


class _Aliases(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module under the path that it had before it moved."""

    def find_spec(self, name, path=None, target=None):
        package, _, module = name.rpartition(".")
        if package == __name__ and module in _ALIASES:
            return importlib.util.spec_from_loader(name, self)
        return None

    def create_module(self, spec):
        """Leave it to Python: this module is replaced at once."""

    def exec_module(self, module):
        name = module.__spec__.name
        home = _ALIASES[name.rpartition(".")[2]]
        sys.modules[name] = importlib.import_module(f"{__name__}.{home}")


sys.meta_path.append(_Aliases())


def __getattr__(name):
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name in _ALIASES or name in ("plot", "distances", "theory"):
        return importlib.import_module(f"{__name__}.{_ALIASES.get(name, name)}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
