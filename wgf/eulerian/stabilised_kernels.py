"""Numba kernels of the Runge-Kutta-Legendre method: fused stages of linear and power fluxes.

Arrays are flat in array order. The face ahead of a cell along the ``k``-th moving axis, between it
and the cell a stride further on, carries

    ahead p - back p_next + open (w - w_next)

with stored coefficients, ``p`` being a density and ``w`` its power entropies ``sum s rho^m``.
The coefficients of the faces that no mass crosses are 0, so that one loop serves any number of
axes: the cells beyond an end are numbers without a weight (the arrays are padded by the longest
stride). Faces that close a period are a list of their own.
"""

import numpy as np
from numba import njit, prange

from wgf.eulerian.implicit_kernels import LANES, gather, origins, scatter, solve_panel
from wgf.eulerian.transport_kernels import at, shifted

CELLS_PER_BLOCK = 1024
# cells of less than this share of the largest density do not set the step
UNUSED = 1e-10
REDUCTION = {"reassoc", "nsz", "contract"}
CONTRACTED = {"nsz", "contract"}


@njit(cache=True, forceinline=True)
def excess(z):
    """Return ``z / 2 coth(z / 2)``: the diffusion of the Scharfetter-Gummel flux over eps."""
    t = z * z
    if t < 1.0:
        # Taylor series, the first term left out is below 1e-16
        t *= 0.25
        return 1.0 + t * (
            1 / 3 + t * (-1 / 45 + t * (2 / 945 + t * (-1 / 4725 + t * (2 / 93555
            + t * (-1382 / 638512875 + t * (4 / 18243225 + t * (-3617 / 162820783125
            + t * (87734 / 38979295480125))))))))
        )  # fmt: skip
    half = 0.5 * abs(z)
    if half > 20.0:
        return half
    return half / np.tanh(half)


@njit(cache=True, forceinline=True)
def pair(delta, rate, eps):
    """Return the Scharfetter-Gummel coefficients of a face, 0 beside an infinite potential."""
    if not abs(delta) < np.inf:
        return 0.0, 0.0
    if eps > 0.0:
        # the smaller of the two is the other one times exp(-|z|), so that the flux vanishes on
        # the Gibbs density to round-off
        larger = rate * (eps * excess(delta / eps) + 0.5 * abs(delta))
        smaller = larger * np.exp(-abs(delta) / eps)
        return (smaller, larger) if delta > 0.0 else (larger, smaller)
    return rate * max(-delta, 0.0), rate * max(delta, 0.0)


@njit(cache=True)
def coefficients(potential, strides, counts, rates, eps, pad, ahead, back, stay):
    """Fill the coefficients of all inner faces and the rate at which every cell empties.

    ``ahead[k, pad + j]`` belongs to the face ahead of cell ``j`` along the ``k``-th moving axis.
    """
    stay[:] = 0.0
    for k in range(strides.size):
        stride, n, rate = strides[k], counts[k], rates[k]
        for begin in range(0, potential.size, stride * n):
            for j in range(begin, begin + stride * (n - 1)):
                a, b = pair(potential[j + stride] - potential[j], rate, eps)
                ahead[k, pad + j], back[k, pad + j] = a, b
                stay[j] += a
                stay[j + stride] += b


@njit(cache=True)
def steepest(potential, strides, counts):
    """Return the largest finite difference of neighbours, those across a period left out."""
    largest = 0.0
    for k in range(strides.size):
        stride, n = strides[k], counts[k]
        for begin in range(0, potential.size, stride * n):
            for j in range(begin, begin + stride * (n - 1)):
                delta = abs(potential[j + stride] - potential[j])
                if delta < np.inf:
                    largest = max(largest, delta)
    return largest


@njit(cache=True)
def fastest_in_use(values, rates, strides, counts, last, first):
    """Return the greatest outflow rate of the cells beside a face that is `in_use`."""
    least, greatest = in_use(values), 0.0
    for k in range(strides.size):
        stride, n = strides[k], counts[k]
        for begin in range(0, values.size, stride * n):
            for j in range(begin, begin + stride * (n - 1)):
                if max(values[j], values[j + stride]) > least:
                    greatest = max(greatest, max(rates[j], rates[j + stride]))
    for f in range(last.size):
        if max(values[last[f]], values[first[f]]) > least:
            greatest = max(greatest, max(rates[last[f]], rates[first[f]]))
    return greatest


@njit(cache=True, forceinline=True)
def in_use(values):
    """Return the density above which the rates of a cell must be exact."""
    return UNUSED * values.max()


@njit(cache=True)
def slow_down(rates, most, strides, counts, last, first, pad, ahead, back, closing, stay):
    """Scale the coefficients of faces beside cells that empty faster than `most`.

    Both by the same factor, so that the Gibbs density stays at rest. `stay` is summed again.
    """
    stay[:] = 0.0
    for k in range(strides.size):
        stride, n = strides[k], counts[k]
        for begin in range(0, rates.size, stride * n):
            for j in range(begin, begin + stride * (n - 1)):
                worst = max(rates[j], rates[j + stride])
                if worst > most:
                    ahead[k, pad + j] *= most / worst
                    back[k, pad + j] *= most / worst
                stay[j] += ahead[k, pad + j]
                stay[j + stride] += back[k, pad + j]
    for f in range(last.size):
        worst = max(rates[last[f]], rates[first[f]])
        if worst > most:
            closing[0, f] *= most / worst
            closing[1, f] *= most / worst
        stay[last[f]] += closing[0, f]
        stay[first[f]] += closing[1, f]


@njit(cache=True)
def closing_coefficients(potential, last, first, rates, eps, ahead, back, stay):
    """Fill the coefficients of the faces that close a period."""
    for f in range(last.size):
        ahead[f], back[f] = pair(potential[first[f]] - potential[last[f]], rates[f], eps)
        stay[last[f]] += ahead[f]
        stay[first[f]] += back[f]


@njit(cache=True, forceinline=True)
def power_of(rho, strengths, exponents):
    """Return ``sum s rho^m``, 0 for a stage below 0."""
    total = 0.0
    if rho > 0.0:
        for k in range(strengths.size):
            if exponents[k] == 2.0:
                total += strengths[k] * (rho * rho)
            elif exponents[k] == 3.0:
                total += strengths[k] * (rho * rho * rho)
            else:
                total += strengths[k] * rho ** exponents[k]
    return total


@njit(cache=True)
def powers(density, strengths, exponents, result):
    """Fill `result` with ``sum s rho^m``."""
    if strengths.size == 1 and exponents[0] == 2.0:
        factor = strengths[0]
        for j in range(density.size):
            rho = max(density[j], 0.0)
            result[j] = factor * rho * rho
    elif strengths.size == 1 and exponents[0] == 3.0:
        factor = strengths[0]
        for j in range(density.size):
            rho = max(density[j], 0.0)
            result[j] = factor * rho * rho * rho
    else:
        for j in range(density.size):
            result[j] = power_of(density[j], strengths, exponents)


@njit(cache=True, forceinline=True, fastmath=CONTRACTED)
def along(p, ahead, back, stay, net, size):
    """Fill what each of `size` cells gains through its faces along the last axis."""
    behind, low, high = shifted(ahead, -1), shifted(p, -1), shifted(p, 1)
    for j in range(size):
        net[j] = (behind[j] * low[j] + back[j] * high[j]) - stay[j] * p[j]


@njit(cache=True, forceinline=True, fastmath=CONTRACTED)
def across(p, ahead, back, stride, net, size):
    """Add what each of `size` cells receives through its faces along another axis."""
    behind, low, high = shifted(ahead, -stride), shifted(p, -stride), shifted(p, stride)
    for j in range(size):
        net[j] += behind[j] * low[j] + back[j] * high[j]


@njit(cache=True, forceinline=True, fastmath=CONTRACTED)
def across_and_mean(p, ahead, back, stride, net, start, new, factors, size):
    """Do `across` and `mean` in one visit."""
    mu, nu, whole, share = factors
    behind, low, high = shifted(ahead, -stride), shifted(p, -stride), shifted(p, stride)
    for j in range(size):
        gained = net[j] + (behind[j] * low[j] + back[j] * high[j])
        new[j] = (mu * p[j] + nu * new[j]) + (whole * start[j] + share * gained)


@njit(cache=True, forceinline=True, fastmath=CONTRACTED)
def power_gain(w, opened, stride, net, size):
    """Add what each of `size` cells gains by the central flux of `w`."""
    behind, low, high = shifted(opened, -stride), shifted(w, -stride), shifted(w, stride)
    for j in range(size):
        net[j] += behind[j] * (low[j] - w[j]) + opened[j] * (high[j] - w[j])


@njit(cache=True, forceinline=True)
def gain(problem, p, w, block, first, size, net, left_out):
    """Fill what the cells of a block gain in a unit of time by the fluxes of `p` and `w`.

    The first `left_out` axes of the linear flux are left to the caller. The sums are those of a
    matrix, fast and known to round-off of the largest product.
    """
    linear, ahead, back, stay, opened, strides, pad = problem[:7]
    edges, cells, partners, rates, exponents = problem[7:11] + problem[12:]
    target = at(net, 0)
    if linear:
        begin, stride = strides.size - 1, 1
        here = at(p, pad + first)
        if strides[begin] == 1:
            along(
                here, at(ahead, begin * p.size + pad + first),
                at(back, begin * p.size + pad + first), at(stay, first), target, size,
            )  # fmt: skip
        else:
            for j in range(size):
                target[j] = -stay[first + j] * p[pad + first + j]
            begin += 1
        for k in range(left_out, begin):
            stride = strides[k]
            place = k * p.size + pad + first
            across(here, at(ahead, place), at(back, place), stride, target, size)
    else:
        net[:size] = 0.0
    if exponents.size:
        here = at(w, pad + first)
        for k in range(strides.size):
            place = k * p.size + pad + first
            power_gain(here, at(opened, place), strides[k], target, size)
    # faces that close a period
    for k in range(edges[block], edges[block + 1]):
        c, d = cells[k], partners[k]
        if linear:
            net[c - first] += rates[0, k] * p[pad + d]
        if exponents.size:
            net[c - first] += rates[1, k] * (w[pad + d] - w[pad + c])


@njit(cache=True, forceinline=True, fastmath=CONTRACTED)
def mean(values, start, new, factors, added, size):
    """Replace `new` by ``mu values + nu new + gamma start + added``, the mean one stage further."""
    mu, nu, gamma, share = factors
    for j in range(size):
        new[j] = (mu * values[j] + nu * new[j]) + (gamma * start[j] + share * added[j])


@njit(cache=True, forceinline=True, fastmath=CONTRACTED)
def stage_value(start, dt, net, value, size):
    """Fill ``value = start + dt net``."""
    for j in range(size):
        value[j] = start[j] + dt * net[j]


@njit(cache=True)
def stage_of_block(problem, state, dt, factors, block, net, value):
    """Replace a block of `p_old` and `w_old` by the means of the next stage.

    ``Y = start + dt (flux of p and w)`` is the stage in hand; the next means are
    ``mu p + nu p_old + tilde Y + gamma start``, and likewise for the powers of the density.
    """
    start, w_start, p, p_old, w, w_old = state
    linear, pad, strengths, exponents = problem[0], problem[6], problem[11], problem[12]
    mu, nu, tilde, gamma = factors
    first = block * CELLS_PER_BLOCK
    size = min(CELLS_PER_BLOCK, start.size - first)
    begin, room = at(start, first), at(net, 0)
    if not exponents.size:
        strides = problem[5]
        left_out = 1 if strides.size > 1 or strides[0] > 1 else 0
        gain(problem, p, w, block, first, size, net, left_out)
        four = mu, nu, tilde + gamma, tilde * dt
        here, new = at(p, pad + first), at(p_old, pad + first)
        if left_out:
            ahead, back = at(problem[1], pad + first), at(problem[2], pad + first)
            across_and_mean(here, ahead, back, strides[0], room, begin, new, four, size)
        else:
            mean(here, begin, new, four, room, size)
        return
    gain(problem, p, w, block, first, size, net, 0)
    found = at(value, 0)
    stage_value(begin, dt, room, found, size)
    four = mu, nu, gamma, tilde
    if linear:
        mean(at(p, pad + first), begin, at(p_old, pad + first), four, found, size)
    powers(value[:size], strengths, exponents, net[:size])
    mean(at(w, pad + first), at(w_start, first), at(w_old, pad + first), four, room, size)


@njit(cache=True, parallel=True)
def shared_stage(problem, state, dt, factors, blocks):
    """Do one stage, the blocks shared by the threads."""
    for block in prange(blocks):
        net, value = np.empty(CELLS_PER_BLOCK), np.empty(CELLS_PER_BLOCK)
        stage_of_block(problem, state, dt, factors, block, net, value)


@njit(cache=True)
def legendre(problem, start, w_start, p, p_old, w, w_old, dt, factors, shared):
    """Fill `p` and `w` with the mean density and the mean powers of a step.

    ``factors[j]`` are ``(mu, nu, tilde, gamma)`` of the stages from the first on; their number is
    odd, so that the result ends in the arrays it began in.
    """
    tilde, pad, size = factors[0, 2], problem[6], start.size
    p_old[pad : pad + size] = 0.0
    for j in range(size):
        p[pad + j] = tilde * start[j]
    for j in range(w_start.size):
        w[pad + j] = tilde * w_start[j]
        w_old[pad + j] = 0.0
    blocks = (size + CELLS_PER_BLOCK - 1) // CELLS_PER_BLOCK
    net, value = np.empty(CELLS_PER_BLOCK), np.empty(CELLS_PER_BLOCK)
    for j in range(1, factors.shape[0]):
        four = factors[j, 0], factors[j, 1], factors[j, 2], factors[j, 3]
        if j % 2:
            state = start, w_start, p, p_old, w, w_old
        else:
            state = start, w_start, p_old, p, w_old, w
        if shared:
            shared_stage(problem, state, dt, four, blocks)
        else:
            for block in range(blocks):
                stage_of_block(problem, state, dt, four, block, net, value)


@njit(cache=True)
def face_gain(values, ahead, back, stride, net, size):
    """Add what each of `size` cells gains through its faces along an axis.

    Unlike `along` and `across` it takes every face flux as one number, the same on both sides.
    """
    a, b, p = shifted(ahead, -stride), shifted(back, -stride), shifted(values, -stride)
    high = shifted(values, stride)
    for j in range(size):
        flux_in = a[j] * p[j] - b[j] * values[j]
        flux_out = ahead[j] * values[j] - back[j] * high[j]
        net[j] += flux_in - flux_out


@njit(cache=True)
def face_gain_of_powers(w, opened, stride, net, size):
    """Add what each of `size` cells gains by the central flux of `w`, see `face_gain`."""
    behind, low, high = shifted(opened, -stride), shifted(w, -stride), shifted(w, stride)
    for j in range(size):
        net[j] += behind[j] * (low[j] - w[j]) - opened[j] * (w[j] - high[j])


@njit(cache=True)
def net_gain(problem, faces, p, w, net):
    """Fill `net` with what every cell gains in a unit of time; all of it is what others lose."""
    linear, ahead, back, _, opened, strides, pad = problem[:7]
    _, last, first, wrap_ahead, wrap_back, wrap_opened = faces
    powered, total = problem[12].size > 0, net.size + 2 * pad
    net[:] = 0.0
    for begin in range(0, net.size, CELLS_PER_BLOCK):
        size = min(CELLS_PER_BLOCK, net.size - begin)
        target = at(net, begin)
        for k in range(strides.size):
            place = k * total + pad + begin
            if linear:
                here, a, b = at(p, pad + begin), at(ahead, place), at(back, place)
                face_gain(here, a, b, strides[k], target, size)
            if powered:
                here = at(w, pad + begin)
                face_gain_of_powers(here, at(opened, place), strides[k], target, size)
    for f in range(last.size):
        c, d, flux = last[f], first[f], 0.0
        if linear:
            flux += wrap_ahead[f] * p[pad + c] - wrap_back[f] * p[pad + d]
        if powered:
            flux += wrap_opened[f] * (w[pad + c] - w[pad + d])
        net[c] -= flux
        net[d] += flux


@njit(cache=True, fastmath=REDUCTION)
def end_of_step(start, net, dt, nothing, result):
    """Fill ``result = start + dt net``, 0 below `nothing`; return the sum of the parts below 0."""
    below = 0.0
    for j in range(start.size):
        new = start[j] + dt * net[j]
        # numbers without full precision would make arithmetic slow
        result[j] = new if abs(new) > nothing else 0.0
        below += min(result[j], 0.0)
    return below


@njit(cache=True, fastmath=REDUCTION)
def step_error(start, end, net0, net1, dt):
    """Return the sum of ``|.8 (start - end) + .4 dt (net0 + net1)|``."""
    total = 0.0
    for j in range(start.size):
        total += abs(0.8 * (start[j] - end[j]) + 0.4 * dt * (net0[j] + net1[j]))
    return total


@njit(cache=True)
def fluxes(problem, faces, p, w, dt, result):
    """Fill ``result[k]`` with what crosses the face ahead of every cell in the time `dt`."""
    linear, ahead, back, _, opened, strides, pad = problem[:7]
    axis_of, last, first, wrap_ahead, wrap_back, wrap_opened = faces
    powered = problem[12].size > 0
    result[:] = 0.0
    for k in range(strides.size):
        stride, place = strides[k], k * p.size + pad
        if linear:
            for j in range(result.shape[1]):
                flux = ahead[place + j] * p[pad + j] - back[place + j] * p[pad + j + stride]
                result[k, j] = dt * flux
        if powered:
            for j in range(result.shape[1]):
                result[k, j] += dt * opened[place + j] * (w[pad + j] - w[pad + j + stride])
    for f in range(axis_of.size):
        c, d, flux = last[f], first[f], 0.0
        if linear:
            flux += wrap_ahead[f] * p[pad + c] - wrap_back[f] * p[pad + d]
        if powered:
            flux += wrap_opened[f] * (w[pad + c] - w[pad + d])
        result[axis_of[f], c] = dt * flux


@njit(cache=True)
def lift(values, fluxes, strides, counts):
    """Lift negative cells to 0 by less outflow in the step; return whether that was possible.

    ``fluxes[k]`` crossed the face ahead of every cell. What a cell gave too much is taken back
    from those that received it, in proportion; they may be next.
    """
    size, moving = values.size, strides.size
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
        if not given >= missing:
            return False
        share = missing / given
        values[c] = 0.0
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
