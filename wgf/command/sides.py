"""The sides of a run: what each starts from and how it is solved."""

import dataclasses
import types

from wgf import checks
from wgf.command.settings import SIDES, Settings


@dataclasses.dataclass
class Side:
    """One side of a run: a density on a mesh or particles, perhaps drawn at random."""

    name: str
    start: object
    method: object = None
    drawn: bool = False


def sides(system: types.SimpleNamespace, settings: Settings) -> list[Side]:
    """Return the sides asked for; a method of None is the default of `wgf.solve`."""
    methods = system.methods or {}
    found = [Side(name, None, methods.get(name)) for name in SIDES[settings.method]]
    for side in found:
        if side.name == "mesh":
            side.start = system.start
            if settings.order is not None:
                side.method = _of_order(system, side.method, settings.order)
        else:
            side.start, side.drawn = _particles(system, settings)
    return found


def _particles(system, settings):
    """Return the particles to start from, and whether they were drawn."""
    count = system.particles if settings.particles is None else settings.particles
    if not isinstance(count, int | None):
        return count, False
    count = checks.whole("particles", count or 0)
    start = system.start
    return (start.sample(count, settings.seed), True) if count else (start.quadrature(), False)


def _of_order(system, method, order):
    """Return the finite volumes of the order that the command line asks for."""
    from wgf.eulerian import FiniteVolume
    from wgf.flows import GradientFlow

    if method is not None:
        raise checks.InputError(
            f"order: the script solves the mesh with {method!r}, leave --order out"
        )
    if not isinstance(system.flow, GradientFlow):
        raise checks.InputError(
            f"order: {type(system.flow).__name__} has one order on a mesh, leave --order out"
        )
    return FiniteVolume(order)
