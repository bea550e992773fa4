"""Whether the support of a start separates, as the theorem of global convergence asks."""

from typing import Any

import numpy as np

from wgf.flows import GradientFlow
from wgf.measures.base import BLOCK_ROWS, Measure

MOST_POINTS = 5000
MOST_COORDINATES = 4


def one_sided(flow: Any, start: Measure) -> str | None:
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
    """Return points that the support reaches: of a density, corners of its cells."""
    chosen, blocks = [], -(-start.size // BLOCK_ROWS)
    for points, weights in start.blocks():
        full = points[weights > 0]
        if len(full):
            ends = [full.argmin(axis=0), full.argmax(axis=0)]
            chosen += [
                full[:: max(1, len(full) * blocks // MOST_POINTS)],
                full[np.concatenate(ends)],
            ]
    points = np.concatenate(chosen)
    if start.kind == "particles":
        return points
    width = 0.5 * start.mesh.spacing
    corners = np.array(list(np.ndindex(*(2,) * len(width)))) * 2 - 1
    return (points[:, None, :] + corners * width).reshape(-1, len(width))


def half_space(points: np.ndarray) -> np.ndarray | None:
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
