"""Numba kernels of unsplit implicit steps: upwind transport down a potential, limited fluxes.

Faces are lists: face ``k`` lies between the cells ``left[k]`` and ``right[k]``.
"""

import numpy as np

from wgf.parallel.compiled_kernels import njit

# what a limited correction leaves of a cell that it empties
LEAVES = 1e-9


@njit(cache=True)
def downhill_order(beside, xi, higher, order):
    """Fill `order` with the cells such that none comes before a neighbour of higher `xi`.

    Cells where `xi` is not finite are left out; return the number of the others.
    """
    filled = 0
    for c in range(xi.size):
        higher[c] = 0
        if not np.isfinite(xi[c]):
            continue
        for j in range(beside.shape[1]):
            n = beside[c, j]
            if n >= 0 and xi[n] > xi[c] and np.isfinite(xi[n]):
                higher[c] += 1
        if higher[c] == 0:
            order[filled] = c
            filled += 1
    done = 0
    while done < filled:
        c = order[done]
        done += 1
        for j in range(beside.shape[1]):
            n = beside[c, j]
            if n >= 0 and xi[n] < xi[c] and np.isfinite(xi[n]):
                higher[n] -= 1
                if higher[n] == 0:
                    order[filled] = n
                    filled += 1
    return filled


@njit(cache=True)
def descend(order, beside, rates, xi, dt, base, result):
    """Solve ``rho + dt div(upwind flux in xi) = base`` cell after cell in a `downhill_order`.

    Mass flows downhill only, so that the matrix is triangular in this order, which adds, multiplies
    and divides only numbers of one sign if `base` has one. ``beside[c, j]`` is the neighbour of a
    cell ahead of a face of the rate ``rates[j]``, -1 for none; nothing passes where `xi` is not
    finite.
    """
    result[:] = base
    faces = beside.shape[1]
    weight = np.empty(faces)
    for k in range(order.size):
        c = order[k]
        if result[c] == 0.0:
            continue
        out = 0.0
        for j in range(faces):
            weight[j] = 0.0
            n = beside[c, j]
            if n >= 0 and xi[n] < xi[c] and np.isfinite(xi[n]):
                weight[j] = dt * rates[j] * (xi[c] - xi[n])
                out += weight[j]
        result[c] /= 1.0 + out
        for j in range(faces):
            if weight[j] > 0.0:
                result[beside[c, j]] += weight[j] * result[c]


@njit(cache=True)
def limited(base, left, right, correction, drained, result):
    """Fill `result` with `base` minus the divergence of limited corrections to its fluxes.

    `correction` is the density that passes a face beyond what made `base`. A cell from which more
    would be drained than it holds gives every face the same part of it (Zalesak 1979).
    """
    drained[:] = 0.0
    for k in range(left.size):
        if correction[k] > 0.0:
            drained[left[k]] += correction[k]
        else:
            drained[right[k]] -= correction[k]
    for c in range(base.size):
        result[c] = base[c]
        holds = (1.0 - LEAVES) * base[c]
        drained[c] = holds / drained[c] if drained[c] > holds else 1.0
    for k in range(left.size):
        passed = correction[k] * drained[left[k] if correction[k] > 0.0 else right[k]]
        result[left[k]] -= passed
        result[right[k]] += passed


@njit(cache=True)
def add_gained(change, left, right, moved, dt, gained):
    """Add what cells gain by the fluxes that a `change` of the first variation causes."""
    for k in range(left.size):
        if moved[k] > 0.0:
            passed = dt * moved[k] * (change[left[k]] - change[right[k]])
            gained[left[k]] -= passed
            gained[right[k]] += passed
