"""Whether the support of a start separates, as the theorem of global convergence asks."""

import numpy as np

from wgf.flows import GradientFlow
from wgf.measures.density import Density

MOST_POINTS = 5000
MOST_COORDINATES = 4


def one_sided(flow, start):
    """Return why the support of `start` does not separate, or None if nothing speaks against it.

    For features homogeneous in the amplitude alone the support must separate ``a = -r`` from
    ``a = +r``: it reaches from ``a <= 0`` to ``a >= 0``. For 2-homogeneous features (ReLU) it must
    separate a small sphere from a large one: then no half space holds all of it, which is looked
    at in up to four coordinates. A support that fails is a start from which the flow may end in a
    local minimum; one that passes may still be too thin to separate.

    Parameters
    ----------
    flow : GradientFlow
    start : Density or Particles

    Notes
    -----
    Source: Chizat & Bach 2018, section 3.
    """
    if not isinstance(flow, GradientFlow) or len(flow.functional.risks) != 1:
        return None
    features = flow.functional.risks[0].features
    names = flow.functional.axis_names(start)
    if features.homogeneity == "none" or 0.0 in flow.mobilities(names):
        return None
    points = _support(start)
    low, high = points[:, 0].min(), points[:, 0].max()
    if low > 0 or high < 0:
        side = "positive" if low > 0 else "negative"
        return (
            f"every amplitude {names[0]} is {side}, the support does not separate "
            f"{names[0]} = -r from {names[0]} = +r"
        )
    if features.homogeneity == "full" and points.shape[1] <= MOST_COORDINATES:
        normal = half_space(points)
        if normal is not None:
            text = ", ".join(f"{value:.2g}" for value in normal)
            return (
                f"all of the support lies on the side of the normal ({text}), it does not "
                "separate a small sphere from a large one"
            )
    return None


def _support(start):
    if not isinstance(start, Density):
        return start.points[start.weights > 0]
    # a density reaches over its cells
    mesh = start.mesh
    width, count, ends = 0.5 * mesh.spacing, 0, {}
    for low, _, values in start.pieces():
        full = np.flatnonzero(values > 0)
        count += len(full)
        for k, places in enumerate(np.unravel_index(full + low, mesh.shape)):
            for side in (-1, 1) if len(full) else ():
                at = int((side * places).argmax())
                if (k, side) not in ends or side * places[at] > side * ends[k, side][0]:
                    ends[k, side] = places[at], low + int(full[at])
    step, seen, chosen = max(1, count // MOST_POINTS), 0, []
    for low, _, values in start.pieces():
        full = np.flatnonzero(values > 0)
        chosen.append(low + full[-seen % step :: step])
        seen += len(full)
    cells = np.concatenate([*chosen, [cell for _, cell in ends.values()]]).astype(np.int64)
    index = np.stack(np.unravel_index(cells, mesh.shape), axis=1)
    points = mesh.lower + mesh.spacing * (index + 0.5)
    corners = np.array(list(np.ndindex(*(2,) * len(width)))) * 2 - 1
    return (points[:, None, :] + corners * width).reshape(-1, len(width))


def half_space(points):
    """Return the normal of a half space that holds all `points` strictly inside, or None."""
    from scipy.optimize import linprog

    step = max(1, len(points) // (MOST_POINTS * 4))
    points = points[::step]
    size = np.abs(points).max()
    if size == 0:
        return None
    # the largest margin s with normal . point >= s, |normal|_inf <= 1
    d = points.shape[1]
    bounds = [(-1, 1)] * d + [(None, 1)]
    rows = np.column_stack([-points / size, np.ones(len(points))])
    found = linprog(np.eye(d + 1)[-1] * -1, A_ub=rows, b_ub=np.zeros(len(rows)), bounds=bounds)
    normal, margin = found.x[:d], found.x[d]
    return normal if margin > 1e-9 else None
