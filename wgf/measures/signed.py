"""Signed and unbalanced measures: projections of homogeneous problems and the flat norm.

A signed measure on positions is held as two non-negative copies: its first axis takes the values
-1 and +1, the same representation that `wgf.FisherRao` evolves.
"""

import numpy as np

from wgf import checks
from wgf.measures.density import Density
from wgf.measures.mesh import Axis, Mesh
from wgf.measures.particles import Particles


def amplitude_projection(measure):
    """Return ``h1(mu) = ∫ w mu(dw, ·)`` as two copies, ``∫ w^+`` at +1 and ``∫ w^-`` at -1.

    Parameters
    ----------
    measure : Density or Particles
        Its first axis is the amplitude ``w``, the others are positions.

    Returns
    -------
    Density or Particles
        Of the same kind, the first axis replaced by ``Axis(-2, 2, 2)``; particles of amplitude 0
        carry nothing and are left out.
    """
    checks.instance("amplitude projection", measure, (Density, Particles))
    if isinstance(measure, Particles):
        amplitude = measure.points[:, 0]
        kept = amplitude != 0
        points = np.column_stack([np.sign(amplitude), measure.points[:, 1:]])[kept]
        weights = (measure.weights * np.abs(amplitude))[kept]
        if not kept.any():
            raise checks.InputError(
                "amplitude projection: every amplitude is 0, there is nothing to project"
            )
        return Particles(points, weights, domain=_signed(measure.domain))
    first = measure.mesh.axes[0]
    flat = measure.values.reshape(first.cells, -1) * first.spacing
    sides = [np.maximum(side * first.centers, 0) @ flat for side in (-1, 1)]
    mesh = _signed(measure.mesh)
    # each copy is one cell of length 2 along the axis of signs
    return Density(mesh, np.array(sides).reshape(mesh.shape) / 2)


def _signed(mesh):
    if mesh is None:
        return None
    if mesh.dimension < 2:
        raise checks.InputError(
            f"amplitude projection: {mesh} has no axis besides the amplitude, give positions"
        )
    rest = dict(zip(mesh.names[1:], mesh.axes[1:]))
    return Mesh(**{mesh.names[0]: Axis(-2, 2, 2)}, **rest)


def radial_projection(measure):
    """Return ``h2(mu)(B) = ∫ r^2 mu(dr, B)`` on the unit sphere as particles.

    Cells count as masses at their centres. Points at the origin carry nothing.
    """
    checks.instance("radial projection", measure, (Density, Particles))
    points, weights = measure.points, measure.weights
    square = (points**2).sum(axis=1)
    kept = (square > 0) & (weights > 0)
    if not kept.any():
        raise checks.InputError("radial projection: all mass is at the origin, nothing projects")
    return Particles(points[kept] / np.sqrt(square[kept])[:, None], (weights * square)[kept])


def neuron_projection(measure, cells):
    """Return ``∫ |a| |w| mu`` of ReLU neurons ``(a, w1, w2)`` on signs and directions of ``w``.

    On the balanced cone ``|a| = |w|``, which the penalty ``lambda/2 ∫ a^2 + |w|^2 dmu`` keeps and
    attracts to, it turns the Wasserstein flow into `wgf.FisherRao` with growth = 1/2, transport = 1
    and the penalty ``lambda |nu|``: ``(|a| |w|)' = -2 |a| |w| J'`` and ``angle' = -dJ'/dangle``.

    Parameters
    ----------
    measure : Density or Particles
        With the three axes ``a, w1, w2``. A cell counts as 27 equal masses.
    cells : int
        Cells of the circle of angles.

    Returns
    -------
    Density or Particles
        Of the same kind, on ``a=Axis(-2, 2, 2)`` and ``angle=Axis(-pi, pi, cells, periodic)``.
    """
    checks.instance("neuron projection", measure, (Density, Particles))
    cells = checks.whole("neuron projection cells", cells, minimum=1)
    if measure.points.shape[1] != 3:
        raise checks.InputError(
            f"neuron projection: {measure!r} has {measure.points.shape[1]} axes, give a, w1, w2"
        )
    circle = Axis(-np.pi, np.pi, cells, periodic=True)
    mesh = Mesh(a=Axis(-2, 2, 2), angle=circle)
    if isinstance(measure, Particles):
        points, share = _neurons(measure.points)
        kept = measure.weights * share > 0
        if not kept.any():
            raise checks.InputError("neuron projection: every neuron is 0, nothing projects")
        return Particles(points[kept], (measure.weights * share)[kept], domain=mesh)
    total = np.zeros(mesh.cells)
    for points, weights in measure.blocks():
        points, weights = points[weights > 0], weights[weights > 0]
        for shift in np.ndindex(3, 3, 3):
            offset = measure.mesh.spacing * (np.array(shift) - 1) / 3
            found, share = _neurons(points + offset)
            total += np.bincount(mesh.locate(found), weights * share / 27, mesh.cells)
    return Density(mesh, (total / mesh.cell_volume).reshape(mesh.shape))


def _neurons(points):
    """Return ``(sign, angle)`` and ``|a| |w|`` of neurons."""
    sign = np.where(points[:, 0] < 0, -1.0, 1.0)
    angle = np.arctan2(points[:, 2], points[:, 1])
    share = np.abs(points[:, 0]) * np.hypot(points[:, 1], points[:, 2])
    return np.column_stack([sign, angle]), share


def difference(measure):
    """Return the signed density ``nu(+1, ·) - nu(-1, ·)`` of two copies on a mesh.

    Shape of the mesh without its first axis, in mass per unit volume of positions.
    """
    checks.instance("difference", measure, Density)
    if measure.mesh.shape[0] != 2:
        raise checks.InputError(
            f"difference: the first axis has {measure.mesh.shape[0]} cells, give two copies"
        )
    return (measure.values[1] - measure.values[0]) * measure.mesh.axes[0].spacing


def flat_norm(masses, axis, reach):
    """Return the flat norm ``sup {∫ f dsigma : |f| <= 1, |f'| <= 1 / reach}`` on one axis.

    It compares signed measures of different mass: moving a unit of mass by ``d`` costs
    ``min(d / reach, 2)``, creating or destroying it costs 1. It is a norm of the difference, so
    two signed measures need no splitting into parts, and it metrises weak convergence; the
    Hellinger-Kantorovich distance would need non-negative measures.

    Parameters
    ----------
    masses : array of shape ``(cells,)``
        Signed mass of every cell.
    axis : Axis
    reach : float
        Length over which moving costs as much as creating.

    Returns
    -------
    float
    """
    masses = checks.array("flat norm masses", masses, shape=(axis.cells,))
    reach = checks.number("flat norm reach", reach, above=0)
    gaps = np.full(axis.cells if axis.periodic and axis.cells > 1 else axis.cells - 1, axis.spacing)
    return _flat(masses, gaps / reach)


def _flat(masses, costs):
    """Return the flat norm of masses in a row (or a ring) with the costs of the moves between."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_array, vstack

    n, m = len(masses), len(costs)
    left = np.arange(m)
    entries = np.concatenate([-np.ones(m), np.ones(m)])
    place = (np.concatenate([left, left]), np.concatenate([left, (left + 1) % n]))
    rows = coo_array((entries, place), shape=(m, n)).tocsr()
    result = linprog(
        -masses,
        A_ub=vstack([rows, -rows]).tocsr() if m else None,
        b_ub=np.concatenate([costs, costs]) if m else None,
        bounds=(-1, 1),
        method="highs",
    )
    if not result.success:
        raise checks.NumericalError(f"flat norm: {result.message}")
    return max(float(-result.fun), 0.0)


def flat_distance(first, second, axis=0, reach=1.0, period=None):
    """Return the flat norm of the difference of two measures along one axis; see `flat_norm`.

    Measures on two copies count with their sign. A cell is read as four equal masses, particles
    as they are.

    Parameters
    ----------
    first, second : Density or Particles
    axis : int
        Number of the axis.
    reach : float
        Length over which moving costs as much as creating.
    period : float, optional
        Length of the circle.

    Returns
    -------
    float
        In units of mass.
    """
    reach = checks.number("flat distance reach", reach, above=0)
    found = [_signed_masses(each, axis) for each in (first, second)]
    points = np.concatenate([found[0][0], found[1][0]])
    masses = np.concatenate([found[0][1], -found[1][1]])
    if period is not None:
        points = np.mod(points, period)
    order = np.argsort(points, kind="stable")
    points, masses = points[order], masses[order]
    gaps = np.diff(points)
    if period is not None and len(points) > 1:
        gaps = np.append(gaps, max(period - (points[-1] - points[0]), 0.0))
    return _flat(masses, gaps / reach)


def _signed_masses(measure, axis):
    """Return positions along an axis and signed masses."""
    checks.instance("flat distance", measure, (Density, Particles))
    signs = is_signed(measure)
    if isinstance(measure, Particles):
        sign = np.sign(measure.points[:, 0]) if signs else 1.0
        return measure.points[:, axis], measure.weights * sign
    name = measure.names[axis]
    if signs and axis:
        pair = measure.marginal(measure.names[0], name)
        masses = (pair.values[1] - pair.values[0]) * pair.mesh.cell_volume
    else:
        masses = measure.marginal(name).weights
    cell = measure.mesh.axes[axis]
    offsets = (np.arange(4) - 1.5) / 4 * cell.spacing
    return (cell.centers[:, None] + offsets).ravel(), np.repeat(masses / 4, 4)


def is_signed(measure):
    """Return whether the first axis of a measure holds two copies, at -1 and +1."""
    domain = measure.domain
    if domain is None or domain.dimension < 2:
        return False
    return list(domain.axes[0].centers) == [-1.0, 1.0]


def is_unbalanced(run):
    """Return whether a run is one of `wgf.FisherRao` or was projected by `wgf.projected`."""
    problem = run.problem
    # half of a phase space has the mass of the whole
    signed = problem.get("projection", "positions") not in ("positions", "velocities")
    return signed or str(problem.get("flow", "")).startswith("FisherRao")


def copies_of(measure):
    """Return the masses of the copies at -1 and at +1."""
    if isinstance(measure, Density):
        sides = measure.marginal(measure.names[0]).weights
        return float(sides[0]), float(sides[1])
    above = measure.points[:, 0] > 0
    return float(measure.weights[~above].sum()), float(measure.weights[above].sum())
