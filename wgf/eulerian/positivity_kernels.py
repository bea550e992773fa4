"""Numba kernels that keep a step non-negative by changing what crossed the faces.

``fluxes[k, j]`` is what crossed the face ahead of cell ``j`` along the ``k``-th moving axis.
"""

import numpy as np
from numba import njit

from wgf.eulerian.implicit_kernels import LANES, gather, origins, scatter, solve_panel

# share of the largest density that may be missing by round-off
ROUND_OFF = 1e-13


@njit(cache=True)
def lift(values, fluxes, strides, counts):
    """Lift negative cells to 0 by less outflow in the step; return whether that was possible.

    ``fluxes[k]`` crossed the face ahead of every cell. What a cell gave too much is taken back
    from those that received it, in proportion; they may be next. What round-off took beyond that
    comes from the fullest neighbour.
    """
    size, moving = values.size, strides.size
    slight = ROUND_OFF * values.max()
    queue, waits = np.empty(size, dtype=np.int64), np.zeros(size, dtype=np.bool_)
    head = count = 0
    for j in range(size):
        if values[j] < 0.0:
            queue[count] = j
            waits[j] = True
            count += 1
    left = 50 * count + 1000
    while count > 0:
        left -= 1
        if left == 0:
            return False
        c = queue[head]
        head = head + 1 if head + 1 < size else 0
        count -= 1
        waits[c] = False
        missing = -values[c]
        if not missing > 0.0:
            continue
        given = 0.0
        for k in range(moving):
            i = c // strides[k] % counts[k]
            before = c - strides[k] if i > 0 else c + (counts[k] - 1) * strides[k]
            given += max(fluxes[k, c], 0.0) + max(-fluxes[k, before], 0.0)
        if not given >= missing - slight:
            return False
        share = min(missing / given, 1.0) if given > 0.0 else 0.0
        values[c] = 0.0
        if given < missing:
            fullest = -1
            for k in range(moving):
                i = c // strides[k] % counts[k]
                if i > 0 and (fullest < 0 or values[c - strides[k]] > values[fullest]):
                    fullest = c - strides[k]
                if i < counts[k] - 1 and (fullest < 0 or values[c + strides[k]] > values[fullest]):
                    fullest = c + strides[k]
            values[fullest] -= missing - given
            if values[fullest] < 0.0 and not waits[fullest]:
                place = head + count
                queue[place if place < size else place - size] = fullest
                waits[fullest] = True
                count += 1
        for k in range(moving):
            i = c // strides[k] % counts[k]
            before = c - strides[k] if i > 0 else c + (counts[k] - 1) * strides[k]
            after = c + strides[k] if i < counts[k] - 1 else c - (counts[k] - 1) * strides[k]
            for side in range(2):
                face, other = (c, after) if side else (before, before)
                back = share * fluxes[k, face]
                if (back > 0.0) == (side == 1) and back != 0.0:
                    fluxes[k, face] -= back
                    values[other] -= abs(back)
                    if values[other] < 0.0 and not waits[other]:
                        place = head + count
                        queue[place if place < size else place - size] = other
                        waits[other] = True
                        count += 1
    return True


@njit(cache=True)
def implicit_rates(problem, faces, start, w_start, dt, up, down):
    """Fill what leaves both cells of the face ahead of every cell, over their new densities.

    The powers are taken as ``(w / rho) rho`` with the old factor: an M-matrix.
    """
    linear, ahead, back, _, opened, strides, pad = problem[:7]
    axis_of, last, first, wrap_ahead, wrap_back, wrap_opened = faces
    size, total = start.size, start.size + 2 * pad
    stiff = np.zeros(total)
    for j in range(w_start.size):
        stiff[pad + j] = w_start[j] / start[j] if start[j] > 0.0 else 0.0
    for k in range(strides.size):
        stride, place = strides[k], k * total + pad
        for j in range(size):
            a = ahead[place + j] if linear else 0.0
            b = back[place + j] if linear else 0.0
            if w_start.size:
                a += opened[place + j] * stiff[pad + j]
                b += opened[place + j] * stiff[pad + j + stride]
            up[k, j], down[k, j] = dt * a, dt * b
    for f in range(axis_of.size):
        c, d = last[f], first[f]
        a = wrap_ahead[f] if linear else 0.0
        b = wrap_back[f] if linear else 0.0
        if w_start.size:
            a += wrap_opened[f] * stiff[pad + c]
            b += wrap_opened[f] * stiff[pad + d]
        up[axis_of[f], c], down[axis_of[f], c] = dt * a, dt * b


@njit(cache=True)
def low_order(start, up, down, wraps, before, n, after, moved, result):
    """Make one implicit Euler step along an axis and fill what crosses its faces.

    The result is not negative.
    """
    panels = (before * after + LANES - 1) // LANES
    a, b, y, x = np.empty((4, n, LANES))
    q, r, c = np.empty((3, n, LANES))
    for panel in range(panels):
        origin = origins(panel, before, n, after)
        gather(start, origin, after, y)
        gather(up, origin, after, b)
        gather(down, origin, after, x)
        for k in range(LANES):
            a[0, k] = x[n - 1, k]
        for i in range(1, n):
            for k in range(LANES):
                a[i, k] = x[i - 1, k]
        solve_panel(a, b, y, wraps, q, r, c, x)
        scatter(x, origin, after, result)
        for i in range(n):
            j = (i + 1) % n
            for k in range(LANES):
                y[i, k] = b[i, k] * x[i, k] - a[j, k] * x[j, k]
        scatter(y, origin, after, moved)


@njit(cache=True)
def limit(low, excess_flux, strides, counts, result):
    """Fill `result` with the state `low` moved by the share of the fluxes that it can bear.

    Zalesak's limiter for the lower bound 0: no cell gives more than it has.
    """
    share, gains, losses = np.empty(low.size), np.zeros(low.size), np.zeros(low.size)
    for k in range(strides.size):
        stride, n = strides[k], counts[k]
        for begin in range(0, low.size, stride * n):
            for i in range(n):
                here, there = begin + i * stride, begin + (i + 1) % n * stride
                for j in range(stride):
                    flux = excess_flux[k, here + j]
                    losses[here + j] += max(flux, 0.0)
                    losses[there + j] += max(-flux, 0.0)
    for j in range(low.size):
        # a little less than everything, so that rounding leaves nothing below 0
        bears = low[j] * (1.0 - 1e-14)
        share[j] = 1.0 if losses[j] <= bears else bears / losses[j]
        losses[j] = 0.0
    for k in range(strides.size):
        stride, n = strides[k], counts[k]
        for begin in range(0, low.size, stride * n):
            for i in range(n):
                here, there = begin + i * stride, begin + (i + 1) % n * stride
                for j in range(stride):
                    flux = excess_flux[k, here + j]
                    if flux > 0.0:
                        flux *= share[here + j]
                        losses[here + j] += flux
                        gains[there + j] += flux
                    else:
                        flux *= share[there + j]
                        gains[here + j] -= flux
                        losses[there + j] -= flux
    for j in range(low.size):
        # of numbers without full precision, next to 0, the shares are not exact
        result[j] = max(low[j] - losses[j], 0.0) + gains[j]
