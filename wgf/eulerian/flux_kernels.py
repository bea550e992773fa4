"""Numba kernels of stored fluxes: Scharfetter-Gummel coefficients and powers of the density.

Arrays are flat in array order. The face ahead of a cell along the ``k``-th moving axis, between it
and the cell a stride further on, carries

    ahead p - back p_next + open (w - w_next)

with stored coefficients, ``p`` being a density and ``w`` its power entropies ``sum s rho^m``.
The coefficients of the faces that no mass crosses are 0, so that one loop serves any number of
axes: the cells beyond an end are numbers without a weight (the arrays are padded by the longest
stride). Faces that close a period are a list of their own.
"""

import numpy as np

from wgf.eulerian.transport_kernels import at, shifted
from wgf.parallel.compiled_kernels import njit

CELLS_PER_BLOCK = 1024
# cells of less than this share of the largest density do not set the step
UNUSED = 1e-10
REDUCTION = {"reassoc", "nsz", "contract"}


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


@njit(cache=True, forceinline=True)
def closing_flux(problem, faces, p, w, f):
    """Return what crosses the face `f` that closes a period, in a unit of time."""
    linear, pad, powered = problem[0], problem[6], problem[12].size > 0
    _, last, first, wrap_ahead, wrap_back, wrap_opened = faces
    c, d, flux = last[f], first[f], 0.0
    if linear:
        flux += wrap_ahead[f] * p[pad + c] - wrap_back[f] * p[pad + d]
    if powered:
        flux += wrap_opened[f] * (w[pad + c] - w[pad + d])
    return flux


@njit(cache=True)
def net_gain(problem, faces, p, w, net):
    """Fill `net` with what every cell gains in a unit of time; all of it is what others lose."""
    linear, ahead, back, _, opened, strides, pad = problem[:7]
    last, first = faces[1], faces[2]
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
        c, d = last[f], first[f]
        flux = closing_flux(problem, faces, p, w, f)
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
    axis_of, last = faces[:2]
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
        result[axis_of[f], last[f]] = dt * closing_flux(problem, faces, p, w, f)


@njit(cache=True, forceinline=True)
def dissipated(flux, left, right, rate, fall):
    """Return what a flux dissipates: times the fall of the first variation along it.

    Where that is infinite, beside an empty cell, the flux squared over rate and mean density.
    """
    if flux == 0.0:
        return 0.0
    lost = flux * fall
    return lost if abs(lost) < np.inf else 2.0 * flux * flux / (rate * (left + right))


@njit(cache=True)
def dissipation(problem, faces, density, p, w, xi, counts, face_rates, extra):
    """Return the sum of `dissipated` over all faces; `extra` is what is added to their fluxes.

    ``extra[k, j]`` belongs to the face ahead of cell ``j`` along the ``k``-th moving axis and is
    empty where nothing is added; `xi` is the whole first variation.
    """
    linear, ahead, back, _, opened, strides, pad = problem[:7]
    axis_of, last, first = faces[:3]
    size, total, powered, lost = density.size, density.size + 2 * pad, problem[12].size > 0, 0.0
    for k in range(strides.size):
        stride, n, place, rate = strides[k], counts[k], k * total + pad, face_rates[k]
        for begin in range(0, size, stride * n):
            part = 0.0
            for j in range(begin, begin + stride * (n - 1)):
                flux = 0.0
                if linear:
                    flux += ahead[place + j] * p[pad + j] - back[place + j] * p[pad + j + stride]
                if powered:
                    flux += opened[place + j] * (w[pad + j] - w[pad + j + stride])
                if extra.size:
                    flux += extra[k, j]
                left, right = density[j], density[j + stride]
                part += dissipated(flux, left, right, rate, xi[j] - xi[j + stride])
            lost += part
    for f in range(last.size):
        c, d = last[f], first[f]
        flux = closing_flux(problem, faces, p, w, f)
        if extra.size:
            flux += extra[axis_of[f], c]
        lost += dissipated(flux, density[c], density[d], face_rates[axis_of[f]], xi[c] - xi[d])
    return lost
