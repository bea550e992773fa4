"""Signed and unbalanced measures: projections of homogeneous problems and the flat norm.

A signed measure on positions is held as two non-negative copies: its first axis takes the values
-1 and +1, the same representation that `wgf.FisherRao` evolves.
"""

import numpy as np

from wgf import checks
from wgf.measures.base import Measure, measured
from wgf.measures.density import Density
from wgf.measures.mesh import Axis, Mesh
from wgf.measures.particles import Particles

# the axis of the two copies
SIGNS = Axis(-2, 2, 2)


def amplitude_projection(measure: Measure) -> Measure:
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
    mesh = _signed(measured("amplitude projection", measure).domain)

    def image(points):
        sign = np.where(points[:, 0] < 0, -1.0, 1.0)
        return np.column_stack([sign, points[:, 1:]]), np.abs(points[:, 0])

    return _image(measure, mesh, image, "amplitude projection: every amplitude is 0")


def _image(measure, mesh, image, trouble, nodes=1):
    """Return the measure moved to ``image(points)`` with its weights times shares, on `mesh`.

    ``image(points)`` gives new points and shares. A cell counts as ``nodes^d`` equal masses.
    """
    if measure.kind == "particles":
        points, shares = image(measure.points)
        weights = measure.weights * shares
        kept = weights > 0
        if not kept.any():
            raise checks.InputError(f"{trouble}, there is nothing to project")
        return Particles(points[kept], weights[kept], domain=mesh)
    total = np.zeros(mesh.cells)
    for points, weights in measure.blocks():
        points, weights = points[weights > 0], weights[weights > 0]
        for node in np.ndindex(*(nodes,) * measure.dimension):
            offset = measure.mesh.spacing * ((np.array(node) + 0.5) / nodes - 0.5)
            moved, shares = image(points + offset)
            masses = weights * shares / nodes**measure.dimension
            total += np.bincount(mesh.locate(moved), masses, mesh.cells)
    return Density(mesh, (total / mesh.cell_volume).reshape(mesh.shape))


def _signed(mesh):
    if mesh is None:
        return None
    if mesh.dimension < 2:
        raise checks.InputError(
            f"amplitude projection: {mesh} has no axis besides the amplitude, give positions"
        )
    rest = dict(zip(mesh.names[1:], mesh.axes[1:]))
    return Mesh(**{mesh.names[0]: SIGNS}, **rest)


def radial_projection(measure: Measure) -> Particles:
    """Return ``h2(mu)(B) = ∫ r^2 mu(dr, B)`` on the unit sphere as particles.

    Cells count as masses at their centres. Points at the origin carry nothing.
    """
    measured("radial projection", measure)
    points, weights = measure.points, measure.weights
    square = (points**2).sum(axis=1)
    kept = (square > 0) & (weights > 0)
    if not kept.any():
        raise checks.InputError("radial projection: all mass is at the origin, nothing projects")
    return Particles(points[kept] / np.sqrt(square[kept])[:, None], (weights * square)[kept])


def neuron_projection(measure: Measure, cells: int) -> Measure:
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
    measured("neuron projection", measure)
    cells = checks.whole("neuron projection cells", cells, minimum=1)
    if measure.dimension != 3:
        raise checks.InputError(
            f"neuron projection: {measure!r} has {measure.dimension} axes, give a, w1, w2"
        )
    mesh = Mesh(a=SIGNS, angle=Axis(-np.pi, np.pi, cells, periodic=True))

    def image(points):
        sign = np.where(points[:, 0] < 0, -1.0, 1.0)
        angle = np.arctan2(points[:, 2], points[:, 1])
        shares = np.abs(points[:, 0]) * np.hypot(points[:, 1], points[:, 2])
        return np.column_stack([sign, angle]), shares

    return _image(measure, mesh, image, "neuron projection: every neuron is 0", nodes=3)


def difference(measure: Density) -> np.ndarray:
    """Return the signed density ``nu(+1, ·) - nu(-1, ·)`` of two copies on a mesh.

    Shape of the mesh without its first axis, in mass per unit volume of positions.
    """
    checks.instance("difference", measure, Density)
    if measure.mesh.shape[0] != 2:
        raise checks.InputError(
            f"difference: the first axis has {measure.mesh.shape[0]} cells, give two copies"
        )
    return (measure.values[1] - measure.values[0]) * measure.mesh.axes[0].spacing


def flat_norm(masses, axis: Axis, reach: float) -> float:
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
    return max(0.0, float(-result.fun))


def flat_distance(
    first: Measure, second: Measure, axis: int = 0, reach: float = 1.0, period: float | None = None
) -> float:
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
        Length of the circle, by default the period of the measures along the axis.

    Returns
    -------
    float
        In units of mass.
    """
    if period is None:
        known = [each.period(axis) for each in (first, second) if each.domain is not None]
        period = known[0] if known else None
    reach = checks.number("flat distance reach", reach, above=0)
    both = [_signed_masses(each, axis) for each in (first, second)]
    points = np.concatenate([held[0] for held in both])
    if period is not None:
        points = np.mod(points, period)
    points, where = np.unique(points, return_inverse=True)
    # each measure is summed alone, so that a measure and itself differ by 0 exactly
    places = np.split(where, [both[0].shape[1]])
    masses = [np.bincount(at, held[1], len(points)) for at, held in zip(places, both)]
    masses = masses[0] - masses[1]
    gaps = np.diff(points)
    if period is not None and len(points) > 1:
        gaps = np.append(gaps, max(period - (points[-1] - points[0]), 0.0))
    return _flat(masses, gaps / reach)


def _signed_masses(measure, axis):
    """Return positions along an axis and signed masses, shape ``(2, k)``."""
    signs = is_signed(measured("flat distance", measure)) and axis > 0
    line = measure.marginal(*((0, axis) if signs else (axis,)))
    points, masses = line.points[:, -1], line.weights
    if signs:
        masses = masses * np.sign(line.points[:, 0])
    if line.kind == "particles":
        return np.stack([points, masses])
    offsets = (np.arange(4) - 1.5) / 4 * line.mesh.spacing[-1]
    return np.stack([np.add.outer(points, offsets).ravel(), np.repeat(masses / 4, 4)])


def is_signed(measure: Measure) -> bool:
    """Return whether the first axis of a measure holds two copies, at -1 and +1."""
    return measure.signed


def is_unbalanced(run) -> bool:
    """Return whether a run is one of `wgf.FisherRao` or was projected by `wgf.projected`."""
    problem = run.problem
    # half of a phase space has the mass of the whole
    signed = problem.get("projection", "positions") not in ("positions", "velocities")
    return signed or str(problem.get("flow", "")).startswith("FisherRao")


def copies_of(measure: Measure) -> tuple[float, float]:
    """Return the masses of the copies at -1 and at +1."""
    signs = measure.marginal(0)
    above = signs.points[:, 0] > 0
    return float(signs.weights[~above].sum()), float(signs.weights[above].sum())
