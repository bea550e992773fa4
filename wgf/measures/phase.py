"""Phase space: positions with velocities, for flows with momentum."""

import numpy as np

from wgf import checks
from wgf.measures.base import Measure, measured
from wgf.measures.density import Density
from wgf.measures.mesh import VELOCITY, Axis, Mesh
from wgf.measures.particles import Particles


def phase_space(mesh: Mesh, speed, cells) -> Mesh:
    """Return `mesh` with an axis of velocities for each of its axes.

    Parameters
    ----------
    mesh : Mesh
        Mesh of the positions, with one or two axes.
    speed : float or sequence of float
        The velocities lie in ``[-speed, speed]``; one number, or one per axis. The interval
        must hold about six standard deviations ``sqrt(T)`` and the speeds that the descent of
        ``F`` gives.
    cells : int or sequence of int
        Cells along each axis of the velocities.

    Returns
    -------
    Mesh
        The axes of `mesh` and then ``v_<name>`` for each of them.

    Raises
    ------
    InputError
        For more than two axes: a mesh has four at most.
    """
    checks.instance("phase space mesh", mesh, Mesh)
    if mesh.dimension > 2:
        raise checks.InputError(
            f"phase space: {mesh.dimension} axes with their velocities make "
            f"{2 * mesh.dimension}, a mesh has at most 4, use particles"
        )
    speeds = np.ravel(checks.array("phase space speed", speed, dimensions=(0, 1)))
    counts = [cells] if np.ndim(cells) == 0 else list(cells)
    for what, found in (("speed", speeds), ("cells", counts)):
        if len(found) not in (1, mesh.dimension):
            raise checks.InputError(
                f"phase space {what}: {len(found)} numbers for {mesh.dimension} axes, give one "
                "or one an axis"
            )
    axes = dict(zip(mesh.names, mesh.axes))
    for i, name in enumerate(mesh.names):
        reach = checks.number("phase space speed", float(speeds[i % len(speeds)]), above=0)
        axes[VELOCITY + name] = Axis(-reach, reach, counts[i % len(counts)])
    return Mesh(**axes)


def maxwellian(measure: Measure, temperature, mesh: Mesh | None = None, seed: int = 0) -> Measure:
    """Return a measure of positions with velocities of variance `temperature`.

    Parameters
    ----------
    measure : Density or Particles
        Measure of positions.
    temperature : float or sequence of float
        One number, or one per axis: ``T M_i`` for a flow with mobilities ``M_i``. 0 is rest:
        particles get velocity 0, a density fills the cells next to 0.
    mesh : Mesh, optional
        Phase space of a density, see `phase_space`; its positions are those of `measure`.
    seed : int
        Seed of the velocities that particles draw.

    Raises
    ------
    InputError
        For a density without a phase space that fits.
    """
    measured("maxwellian measure", measure)
    count = measure.dimension
    given = checks.array("maxwellian temperature", temperature, dimensions=(0, 1))
    if given.size not in (1, count):
        raise checks.InputError(
            f"maxwellian temperature: {given.size} numbers for {count} axes, give one or one an "
            "axis"
        )
    variances = [
        checks.number("maxwellian temperature", float(each), minimum=0)
        for each in np.broadcast_to(given, count)
    ]
    if measure.kind == "particles":
        # not the numbers that positions of the same seed were drawn with
        generator = np.random.default_rng([checks.whole("maxwellian seed", seed), 3])
        drawn = np.sqrt(variances) * generator.normal(size=measure.points.shape)
        return Particles(measure.points, measure.weights, drawn, measure.domain)
    checks.instance("maxwellian mesh", mesh, Mesh)
    if mesh.phase is None or mesh.phase[0] != measure.mesh:
        raise checks.InputError(
            f"maxwellian mesh: {mesh} is no phase space of {measure.mesh}, build it by "
            "wgf.phase_space"
        )
    box, factors = mesh.phase[1], [measure.values]
    for axis, variance in zip(box.axes, variances):
        if variance > 0:
            # the equilibrium of the discrete friction and noise: values at the centres
            profile = np.exp(-0.5 * axis.centers**2 / variance)
        else:
            profile = (np.abs(axis.centers) < 0.75 * axis.spacing).astype(float)
        factors.append(profile / (profile.sum() * axis.spacing))
    return Density.product(mesh, factors)


def positions(measure: Measure) -> Measure:
    """Return the marginal of the positions: a density of fewer axes, or particles at rest."""
    return measured("phase space measure", measure).half(0)


def velocities(measure: Measure) -> Measure:
    """Return the marginal of the velocities: a density of fewer axes, or particles in R^d."""
    return measured("phase space measure", measure).half(1)
