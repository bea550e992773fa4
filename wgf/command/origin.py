"""A start taken from a stored run, carried over to the mesh of the script."""

import pathlib
import re
import types

import numpy as np

from wgf import checks
from wgf.measures.base import Measure
from wgf.measures.density import Density
from wgf.measures.mesh import Mesh
from wgf.measures.particles import Particles
from wgf.record.directory import is_run

# a larger fraction of the mass is not rounding
LOST = 1e-10


def replace_start(system: types.SimpleNamespace, source: str, names: tuple) -> None:
    """Put the state of a stored run in the place of the start that a script gives.

    Parameters
    ----------
    system : namespace
        What `setup` returned; its `start` and `particles` are replaced.
    source : str
        ``RUN`` for the last state of a run, ``RUN:TIME`` for that at a time.
    names : tuple of str
        The sides that are to run.

    Raises
    ------
    InputError
        If the run has no such state, or the mesh cannot hold it.
    """
    states, mesh = _states(source), system.start.mesh
    if "density" in states:
        system.start = carried(states["density"], mesh)
        # particles are drawn from the density, as many as the script draws
        system.particles = system.particles if isinstance(system.particles, int) else None
    elif "mesh" in names:
        raise checks.InputError(f"from: {source} holds particles alone, add --method particles")
    if "particles" in states:
        found = system.particles = states["particles"]
        if found.names == mesh.names:
            # both sides have the same walls
            system.particles = Particles(found.points, found.weights, found.velocities, mesh)


def _states(source):
    """Return the measures that a run of one side or both holds, by kind."""
    path, time = source, None
    parts = re.fullmatch(r"(.+):([^:/]+)", source)
    if parts and not pathlib.Path(source).exists():
        try:
            path, time = parts[1], float(parts[2])
        except ValueError:
            raise checks.InputError(
                f"from: {parts[2]!r} is not a time, give RUN or RUN:TIME"
            ) from None
    folders = [each for each in sorted(pathlib.Path(path).glob("*")) if is_run(each)]
    found = [_state(folder, time) for folder in folders or [pathlib.Path(path)]]
    return {measure.kind: measure for measure in found}


def _state(folder, time) -> Measure:
    from wgf.record.run import open_run

    run = open_run(folder)
    near = len(run.times) - 1 if time is None else int(np.abs(run.times - time).argmin())
    if time is not None and not np.isclose(run.times[near], time, rtol=1e-9, atol=0):
        raise checks.InputError(
            f"from: {folder} has no snapshot at t={time:g}, the nearest is at "
            f"t={run.times[near]:.12g}, give that"
        )
    return run.snapshots[near]


def carried(density: Density, mesh: Mesh) -> Density:
    """Return the density on another mesh with the same axes; every cell keeps the mass over it.

    Raises
    ------
    InputError
        For axes of other names, and if mass lies beyond the mesh.
    """
    if density.mesh == mesh:
        return density
    if density.mesh.names != mesh.names:
        raise checks.InputError(
            f"from: the axes {', '.join(density.mesh.names)} of the stored run do not fit the axes "
            f"{', '.join(mesh.names)}, give another run"
        )
    values = density.values
    for k, (old, new) in enumerate(zip(density.mesh.axes, mesh.axes)):
        upper = np.minimum(new.edges[1:, None], old.edges[1:])
        overlap = np.maximum(upper - np.maximum(new.edges[:-1, None], old.edges[:-1]), 0.0)
        fractions = overlap / np.diff(new.edges)[:, None]
        values = np.moveaxis(np.tensordot(fractions, values, (1, k)), 0, k)
    found = Density(mesh, values)
    lost = 1 - found.mass / density.mass
    if lost > LOST:
        raise checks.InputError(
            f"from: {lost:.2g} of the mass of the stored run lies beyond the mesh, enlarge its axes"
        )
    return found
