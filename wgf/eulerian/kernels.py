"""Numba kernels of the mesh: upwind transport, sums by rows, products with the feature matrix.

Arrays are flat in array order and seen as four axes, the missing ones in front with one cell.
A *row* is the contiguous run along the last axis; every sum is taken row by row (or by fixed
blocks of rows) and added in order, so the bits do not depend on the number of threads.

No wall is treated: the neighbour beyond a wall is the cell itself, so that the difference of the
first variation, and with it the velocity and the flux through the wall, is exactly zero.
"""

import numpy as np
from numba import njit, prange

ROWS_PER_BLOCK = 64
# sums and maxima may be reassociated to fill vector lanes; the order stays fixed by the code
REDUCTION = {"reassoc", "nsz", "contract"}


@njit(cache=True, fastmath=REDUCTION)
def total(values):
    """Return the sum of a short array."""
    result = 0.0
    for i in range(values.size):
        result += values[i]
    return result


@njit(cache=True, fastmath=REDUCTION)
def product(left, right):
    """Return the dot product of two short arrays."""
    result = 0.0
    for i in range(left.size):
        result += left[i] * right[i]
    return result


@njit(cache=True, fastmath=REDUCTION | {"nnan"})
def largest(values):
    """Return the maximum of a short non-negative array."""
    result = 0.0
    for i in range(values.size):
        result = max(result, values[i])
    return result


@njit(cache=True, inline="always")
def neighbour(index, shift, cells, periodic):
    """Return the index `shift` cells away, wrapped on a period and stopped at a wall."""
    moved = index + shift
    if periodic:
        return moved % cells
    return min(max(moved, 0), cells - 1)


@njit(cache=True, inline="always")
def limited_half_slope(left, centre, right):
    """Return half the monotonised-central slope of a cell, zero at extrema.

    It is at most ``centre`` for non-negative data, so both edge values stay non-negative.
    """
    back = centre - left
    ahead = right - centre
    middle = 0.25 * (back + ahead)
    bound = min(abs(back), abs(ahead))
    size = min(abs(middle), bound)
    signed = size if middle > 0.0 else -size
    return signed if back * ahead > 0.0 else 0.0


@njit(cache=True, inline="always")
def face(potential_left, potential_right, left, right, rate):
    """Return ``(u / h, upwind value)`` with ``u = -mobility (xi_R - xi_L) / h``."""
    speed = -(potential_right - potential_left) * rate
    return speed, left if speed > 0.0 else right


@njit(cache=True, inline="always")
def cell_update(mm, m, c, p, pp, xm, xc, xp, rate, second):
    """Return ``(net inflow, outflow rate, u^2 rho / h^2 at the right face)`` of one cell, one axis.

    ``mm … pp`` are the densities of five neighbours, ``xm, xc, xp`` first variations, `rate` is
    mobility / h^2. The two cells at a face evaluate the same expression on the same numbers: what
    leaves one enters the other to the last bit.
    """
    half_m, half_c, half_p = 0.0, 0.0, 0.0
    if second:
        half_m = limited_half_slope(mm, m, c)
        half_c = limited_half_slope(m, c, p)
        half_p = limited_half_slope(c, p, pp)
    speed_left, value_left = face(xm, xc, m + half_m, c - half_c, rate)
    speed_right, value_right = face(xc, xp, c + half_c, p - half_p, rate)
    out_right = speed_right if speed_right > 0.0 else 0.0
    out_left = -speed_left if speed_left < 0.0 else 0.0
    net = speed_left * value_left - speed_right * value_right
    return net, out_left + out_right, speed_right * speed_right * value_right


@njit(cache=True, parallel=True)
def transport(
    density, potential, base, result, shape, periodic, rates, dt, keep, second, outflow, loss
):
    """One upwind stage ``result = keep base + (1 - keep) (density + dt L(density))``.

    ``L(rho)_j = -sum_axes (f_right - f_left) / h``, flux ``f = u rho_upwind``. `rates` holds
    mobility / h^2 by axis. `outflow` receives the largest outflow rate of each row,
    ``sum_axes (u_right^+ + u_left^-) / h``; `loss` its share of ``sum_faces u^2 rho / mobility``.
    """
    n0, n1, n2, n = shape
    rows = n0 * n1 * n2
    blocks = (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
    strides = (n1 * n2, n2, 1)
    for block in prange(blocks):
        net = np.empty(n)
        out = np.empty(n)
        lost = np.empty(n)
        for row in range(block * ROWS_PER_BLOCK, min((block + 1) * ROWS_PER_BLOCK, rows)):
            net[:] = 0.0
            out[:] = 0.0
            lost[:] = 0.0
            c = row * n
            for axis in range(3):
                if shape[axis] == 1 or rates[axis] == 0.0:
                    continue
                stride = strides[axis]
                i = (row // stride) % shape[axis]
                origin = row - i * stride
                wrap = periodic[axis]
                mm = (origin + neighbour(i, -2, shape[axis], wrap) * stride) * n
                m = (origin + neighbour(i, -1, shape[axis], wrap) * stride) * n
                p = (origin + neighbour(i, 1, shape[axis], wrap) * stride) * n
                pp = (origin + neighbour(i, 2, shape[axis], wrap) * stride) * n
                row_across(
                    density[mm : mm + n],
                    density[m : m + n],
                    density[c : c + n],
                    density[p : p + n],
                    density[pp : pp + n],
                    potential[m : m + n],
                    potential[c : c + n],
                    potential[p : p + n],
                    rates[axis],
                    second,
                    net,
                    out,
                    lost,
                )
            if n > 1 and rates[3] != 0.0:
                row_along(
                    density[c : c + n],
                    potential[c : c + n],
                    periodic[3],
                    rates[3],
                    second,
                    net,
                    out,
                    lost,
                )
            for j in range(n):
                moved = density[c + j] + dt * net[j]
                result[c + j] = keep * base[c + j] + (1.0 - keep) * moved
            outflow[row] = largest(out)
            loss[row] = total(lost)


@njit(cache=True)
def row_across(mm, m, c, p, pp, xm, xc, xp, rate, second, net, out, lost):
    """Add the exchange of a row with the rows on both sides along another axis."""
    share = 1.0 / rate
    for j in range(c.size):
        a, b, d = cell_update(mm[j], m[j], c[j], p[j], pp[j], xm[j], xc[j], xp[j], rate, second)
        net[j] += a
        out[j] += b
        lost[j] += d * share


@njit(cache=True)
def row_along(values, potential, wrap, rate, second, net, out, lost):
    """Add the exchange of the cells of a row with one another."""
    n = values.size
    share = 1.0 / rate
    inner = range(2, n - 2)
    for j in inner:
        a, b, d = cell_update(
            values[j - 2],
            values[j - 1],
            values[j],
            values[j + 1],
            values[j + 2],
            potential[j - 1],
            potential[j],
            potential[j + 1],
            rate,
            second,
        )
        net[j] += a
        out[j] += b
        lost[j] += d * share
    for j in range(n):
        if 2 <= j < n - 2:
            continue
        m, p = neighbour(j, -1, n, wrap), neighbour(j, 1, n, wrap)
        a, b, d = cell_update(
            values[neighbour(j, -2, n, wrap)],
            values[m],
            values[j],
            values[p],
            values[neighbour(j, 2, n, wrap)],
            potential[m],
            potential[j],
            potential[p],
            rate,
            second,
        )
        net[j] += a
        out[j] += b
        lost[j] += d * share


@njit(cache=True, parallel=True)
def first_variation(result, amplitude, unit_variation, profiles, given, shape):
    """Fill ``result = amplitude g + sum_axes profile + given``.

    ``unit_variation`` is ``g`` on the mesh without its first real axis if `amplitude` has the
    length of that axis, else (length 1) on all cells. `profiles` holds one profile an axis, one
    after the other; `given` is empty or holds one value a cell.
    """
    n0, n1, n2, n = shape
    rows = n0 * n1 * n2
    rows_rest = unit_variation.size // n
    blocks = (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
    along = profiles[n0 + n1 + n2 :]
    for block in prange(blocks):
        for row in range(block * ROWS_PER_BLOCK, min((block + 1) * ROWS_PER_BLOCK, rows)):
            c = row * n
            across = (
                profiles[row // (n1 * n2)]
                + profiles[n0 + (row // n2) % n1]
                + profiles[n0 + n1 + row % n2]
            )
            if rows_rest > 0:
                factor = amplitude[row // rows_rest]
                g = unit_variation[(row % rows_rest) * n : (row % rows_rest + 1) * n]
                for j in range(n):
                    result[c + j] = factor * g[j] + (across + along[j])
            else:
                for j in range(n):
                    result[c + j] = amplitude[j] * unit_variation[0] + (across + along[j])
            if given.size:
                for j in range(n):
                    result[c + j] += given[c + j]


@njit(cache=True, parallel=True)
def axis_integrals(density, profiles, shape, sums):
    """Fill ``sums[row, 0]`` with the sum of a row and ``sums[row, k]`` with that of rho V_k.

    ``profiles[k - 1]`` holds the profiles of the ``k``-th term, one an axis, one after the other.
    """
    n0, n1, n2, n = shape
    rows = n0 * n1 * n2
    blocks = (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
    for block in prange(blocks):
        for row in range(block * ROWS_PER_BLOCK, min((block + 1) * ROWS_PER_BLOCK, rows)):
            values = density[row * n : (row + 1) * n]
            mass = total(values)
            sums[row, 0] = mass
            for k in range(profiles.shape[0]):
                profile = profiles[k]
                across = (
                    profile[row // (n1 * n2)]
                    + profile[n0 + (row // n2) % n1]
                    + profile[n0 + n1 + row % n2]
                )
                sums[row, k + 1] = across * mass + product(values, profile[n0 + n1 + n2 :])


@njit(cache=True, parallel=True)
def row_products(density, given, shape, sums):
    """Fill ``sums[row]`` with the sum of ``density given`` over a row."""
    n0, n1, n2, n = shape
    rows = n0 * n1 * n2
    blocks = (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
    for block in prange(blocks):
        for row in range(block * ROWS_PER_BLOCK, min((block + 1) * ROWS_PER_BLOCK, rows)):
            sums[row] = product(
                density[row * n : (row + 1) * n], given[row * n : (row + 1) * n]
            )


@njit(cache=True, parallel=True)
def amplitude_moments(density, amplitude, moments):
    """Fill ``moments[r] = sum_i amplitude_i density[i, r]``."""
    rest = moments.size
    width = 1024
    blocks = (rest + width - 1) // width
    for block in prange(blocks):
        start, stop = block * width, min((block + 1) * width, rest)
        part = moments[start:stop]
        part[:] = 0.0
        for i in range(amplitude.size):
            values = density[i * rest + start : i * rest + stop]
            factor = amplitude[i]
            for j in range(part.size):
                part[j] += factor * values[j]


@njit(cache=True, parallel=True)
def features_output(matrix, moments, partials):
    """Fill ``partials[block] = moments_block . matrix_block`` for fixed blocks of rows."""
    rows, samples = matrix.shape
    blocks = partials.shape[0]
    width = (rows + blocks - 1) // blocks
    for block in prange(blocks):
        part = partials[block]
        part[:] = 0.0
        for row in range(block * width, min((block + 1) * width, rows)):
            factor = moments[row]
            if factor != 0.0:
                values = matrix[row]
                for k in range(samples):
                    part[k] += factor * values[k]


@njit(cache=True, parallel=True)
def features_variation(matrix, residual, result):
    """Fill ``result[row] = matrix[row] . residual``."""
    rows = matrix.shape[0]
    blocks = (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
    for block in prange(blocks):
        for row in range(block * ROWS_PER_BLOCK, min((block + 1) * ROWS_PER_BLOCK, rows)):
            result[row] = product(matrix[row], residual)
