"""How far a density is from rest, judged on its cell averages alone."""

from __future__ import annotations

import numpy as np

from wgf.eulerian.discrete import DiscreteFunctional, Outputs
from wgf.stepping import Rest

# what of F' round-off leaves unknown, in units of its largest value
ROUND_OFF = 1e-15


def rest(discrete: DiscreteFunctional, mobilities: list, values: np.ndarray, outputs: Outputs):
    """Return how far the density of flat cell averages `values` is from rest.

    With an entropy of strength eps it is ``eps KL(mu | p)``, ``p ∝ exp(-F0'(mu) / eps)`` of the
    same mass along the axes that move and F0 the rest of F, in units of eps times the mass. It
    bounds ``F - min F`` where F0 is convex (Nitanda, Wu & Suzuki 2022).

    Without an entropy it is what ``F`` loses to first order if the mass of every cell follows the
    steepest way down in ``F'(mu)``, from cell to cell, to where that ends: the flow in a fixed
    potential for an infinite time. Where F is convex it bounds how much lower the flow ends.
    """
    slab, mesh, eps = discrete.slab, discrete.mesh, discrete.diffusion
    found = discrete.variation(values, outputs, np.empty_like(values)).values
    gap = discrete.gap(values, found)
    rho, xi = (slab.whole(each).reshape(mesh.shape) for each in (values, found))
    moving = tuple(k for k, factor in enumerate(mobilities) if factor > 0)
    why = unconvex(discrete)
    bound = f"which bounds nothing, since {why} is not known to be convex"
    if eps:
        entropy = relative_entropy(rho, xi / eps, moving) * mesh.cell_volume
        kl_gap, mass = eps * entropy, float(rho.sum()) * mesh.cell_volume
        return Rest(
            kl_gap,
            "eps KL(mu | exp(-F0'(mu) / eps)), in units of eps times the mass",
            eps * mass,
            bound if why else "which bounds F - min F, since the rest F0 of F is convex",
            {"gap": gap, "kl_gap": kl_gap},
        )
    fall = downhill(rho, xi, moving, mesh.periodic) * mesh.cell_volume
    return Rest(
        fall,
        "the fall of F where all mass goes downhill in F'(mu), in units of the fall since the "
        "start",
        None,
        bound if why else "which bounds how much lower the flow ends, since F is convex",
        {"gap": gap},
    )


def unconvex(discrete: DiscreteFunctional) -> str:
    """Return the name of a term, the entropy left out, that is not known to be convex, or ""."""
    functional = discrete.functional
    names = {id(term): name for name, term in zip(functional.part_names, functional.terms)}
    bent = [risk for risk in discrete.risks if not risk.loss.convex]
    bent += [pair for pair in discrete.pairs if not pair.table(discrete.mesh).convex]
    found = [names[id(term)] for term in bent]
    found += [energy.name for energy in discrete.energies if not energy.convex]
    return next(iter([*found, *(name for name, _ in discrete.general)]), "")


def relative_entropy(rho: np.ndarray, xi: np.ndarray, moving: tuple[int, ...]) -> float:
    """Return ``sum rho log(rho / p)``, ``p ∝ exp(-xi)`` with the sums of `rho` along `moving`."""
    if np.isneginf(xi).any():
        return np.inf
    mass = rho.sum(axis=moving, keepdims=True)
    lowest = xi.min(axis=moving, keepdims=True)
    with np.errstate(all="ignore"):
        height = np.where(np.isfinite(lowest), xi - lowest, 0.0)
        weight = np.exp(-height)
        total = weight.sum(axis=moving, keepdims=True)
        given = mass * weight / total
        logarithm = np.log(rho) + height - np.log(mass / total)
        far = np.where(rho > 0, rho * logarithm, 0.0) - rho + given
        # rho log(rho / p) - rho + p is of second order in the difference, and lost in round-off
        part = (rho - given) / given
        near = given * part**2 * (0.5 - part / 6 + part**2 / 12)
        parts = np.where(np.abs(part) < 1e-4, near, np.maximum(far, 0.0))
    return float(np.where(mass > 0, parts, 0.0).sum())


def downhill(
    rho: np.ndarray, xi: np.ndarray, moving: tuple[int, ...], periodic: tuple[bool, ...]
) -> float:
    """Return ``sum rho (xi - xi_end)``, the end being that of the steepest way down from a cell."""
    lowest, ahead = xi.copy(), np.arange(xi.size).reshape(xi.shape)
    cells = ahead.copy()
    for axis in moving:
        for shift in (1, -1):
            beside = np.roll(xi, shift, axis)
            if not periodic[axis]:
                wall = [slice(None)] * xi.ndim
                wall[axis] = slice(0, 1) if shift == 1 else slice(-1, None)
                beside[tuple(wall)] = np.inf
            better = beside < lowest
            lowest[better] = beside[better]
            ahead[better] = np.roll(cells, shift, axis)[better]
    ahead = ahead.ravel()
    while not np.array_equal(further := ahead[ahead], ahead):
        ahead = further
    filled = rho.ravel() > 0
    height = xi.ravel()[filled]
    drop = height - xi.ravel()[ahead[filled]]
    noise = ROUND_OFF * np.abs(height).max(initial=0.0)
    return max(0.0, float((rho.ravel()[filled] * (drop - noise)).sum()))
