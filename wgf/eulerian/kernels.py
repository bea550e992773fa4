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


def blocks_of(rows):
    """Return the number of blocks that `rows` are cut into."""
    return (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK


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


@njit(cache=True)
def neighbour(index, shift, cells, periodic):
    """Return the index `shift` cells away, wrapped on a period and stopped at a wall."""
    moved = index + shift
    if periodic:
        return moved % cells
    return min(max(moved, 0), cells - 1)


@njit(cache=True)
def limited_half_slope(left, centre, right):
    """Return half the monotonised-central slope of a cell, zero at extrema.

    It is at most ``centre`` for non-negative data, so both edge values stay non-negative.
    """
    back = centre - left
    ahead = right - centre
    middle = 0.25 * (back + ahead)
    size_back, size_ahead, size = abs(back), abs(ahead), abs(middle)
    bound = size_back if size_back < size_ahead else size_ahead
    size = size if size < bound else bound
    signed = size if middle > 0.0 else -size
    return signed if back * ahead > 0.0 else 0.0


@njit(cache=True)
def exchange(xm, xc, xp, left_out, left_in, right_in, right_out, rate):
    """Return what one cell exchanges with its two neighbours along one axis.

    ``xm, xc, xp`` are first variations of the three cells; the densities at the left face are
    ``left_out`` (outside) and ``left_in``, those at the right face ``right_in`` and
    ``right_out``; `rate` is mobility / h^2. The face velocity over h is
    ``-(xi_right - xi_left) rate``, the flux is upwind.

    Returns ``(net inflow, outflow rate, u^2 rho / h^2 at the right face)``. Two neighbours
    evaluate the same expression on the same numbers for the face between them: what leaves one
    enters the other to the last bit.
    """
    speed_left = -(xc - xm) * rate
    speed_right = -(xp - xc) * rate
    value_left = left_out if speed_left > 0.0 else left_in
    value_right = right_in if speed_right > 0.0 else right_out
    out_right = speed_right if speed_right > 0.0 else 0.0
    in_left = speed_left if speed_left < 0.0 else 0.0
    net = speed_left * value_left - speed_right * value_right
    return net, out_right - in_left, speed_right * speed_right * value_right


# The loops below run over rows given as arrays of their own, and load every number before the
# first comparison: only so does the compiler fill the vector lanes (a factor of four to eight).


@njit(cache=True)
def row_first(m, c, p, xm, xc, xp, rate, share, net, out, lost):
    """Add the exchange of a row with its neighbours before and after it, first order."""
    for j in range(c.size):
        a, b, d = m[j], c[j], p[j]
        moved, leaving, loss = exchange(xm[j], xc[j], xp[j], a, b, b, d, rate)
        net[j] += moved
        out[j] += leaving
        lost[j] += loss * share


@njit(cache=True)
def row_second(mm, m, c, p, pp, xm, xc, xp, rate, share, net, out, lost):
    """Add the exchange of a row with its neighbours on both sides, limited reconstruction."""
    for j in range(c.size):
        aa, a, b, d, dd = mm[j], m[j], c[j], p[j], pp[j]
        left = limited_half_slope(aa, a, b)
        half = limited_half_slope(a, b, d)
        right = limited_half_slope(b, d, dd)
        moved, leaving, loss = exchange(
            xm[j], xc[j], xp[j], a + left, b - half, b + half, d - right, rate
        )
        net[j] += moved
        out[j] += leaving
        lost[j] += loss * share


@njit(cache=True)
def padded(row, wrap, result):
    """Copy a row with two neighbours beyond each end: wrapped, or the end cell at a wall."""
    n = row.size
    result[2 : n + 2] = row
    for k in range(2):
        result[k] = row[neighbour(0, k - 2, n, wrap)]
        result[n + 2 + k] = row[neighbour(n - 1, k + 1, n, wrap)]


@njit(cache=True)
def raise_to(peak, values):
    """Replace `peak` by the larger of the two, element by element."""
    for j in range(peak.size):
        old, new = peak[j], values[j]
        peak[j] = new if new > old else old


@njit(cache=True)
def combine(result, base, density, net, dt, keep):
    """Fill ``result = keep base + (1 - keep) (density + dt net)``."""
    for j in range(result.size):
        result[j] = keep * base[j] + (1.0 - keep) * (density[j] + dt * net[j])


@njit(cache=True, parallel=True)
def transport(
    density, potential, base, result, shape, periodic, rates, dt, keep, second, outflow, loss,
    first, last,
):  # fmt: skip
    """One upwind stage ``result = keep base + (1 - keep) (density + dt L(density))``.

    ``L(rho)_j = -sum_axes (f_right - f_left) / h``, flux ``f = u rho_upwind``. `rates` holds
    mobility / h^2 by axis. `outflow` receives the largest outflow rate of each block of rows,
    ``sum_axes (u_right^+ + u_left^-) / h``; `loss` its share of ``sum_faces u^2 rho / mobility``.
    Only the rows ``first … last`` are made, cut into blocks from the first one on.
    """
    _, n1, n2, n = shape
    blocks = (last - first + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
    strides = (n1 * n2, n2, 1)
    for block in prange(blocks):
        net, out = np.empty(n), np.empty(n)
        lost, peak = np.zeros(n), np.zeros(n)
        line, xi_line = np.empty(n + 4), np.empty(n + 4)
        begin = first + block * ROWS_PER_BLOCK
        for row in range(begin, min(begin + ROWS_PER_BLOCK, last)):
            net[:] = 0.0
            out[:] = 0.0
            centre = density[row * n : (row + 1) * n]
            xi = potential[row * n : (row + 1) * n]
            for axis in range(4):
                rate = rates[axis]
                if shape[axis] == 1 or rate == 0.0:
                    continue
                wrap = periodic[axis]
                share = 1.0 / rate
                if axis < 3:
                    stride = strides[axis]
                    i = (row // stride) % shape[axis]
                    origin = row - i * stride
                    m = (origin + neighbour(i, -1, shape[axis], wrap) * stride) * n
                    p = (origin + neighbour(i, 1, shape[axis], wrap) * stride) * n
                    mm = (origin + neighbour(i, -2, shape[axis], wrap) * stride) * n
                    pp = (origin + neighbour(i, 2, shape[axis], wrap) * stride) * n
                    far_before, before = density[mm : mm + n], density[m : m + n]
                    after, far_after = density[p : p + n], density[pp : pp + n]
                    xm, xp = potential[m : m + n], potential[p : p + n]
                else:
                    padded(centre, wrap, line)
                    padded(xi, wrap, xi_line)
                    far_before, before = line[0:n], line[1 : n + 1]
                    after, far_after = line[3 : n + 3], line[4 : n + 4]
                    xm, xp = xi_line[1 : n + 1], xi_line[3 : n + 3]
                if second:
                    row_second(
                        far_before, before, centre, after, far_after,
                        xm, xi, xp, rate, share, net, out, lost,
                    )  # fmt: skip
                else:
                    row_first(before, centre, after, xm, xi, xp, rate, share, net, out, lost)
            raise_to(peak, out)
            combine(
                result[row * n : (row + 1) * n],
                base[row * n : (row + 1) * n],
                centre,
                net,
                dt,
                keep,
            )
        outflow[block] = peak.max()
        loss[block] = total(lost)


@njit(cache=True)
def scale_into(result, factor, values, shift, along):
    """Fill ``result = factor values + (shift + along)``."""
    for j in range(result.size):
        result[j] = factor * values[j] + (shift + along[j])


@njit(cache=True)
def accumulate(result, factor, values):
    """Add ``factor values`` to `result`."""
    for j in range(result.size):
        result[j] += factor * values[j]


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
                scale_into(result[c : c + n], factor, g, across, along)
            else:
                scale_into(result[c : c + n], unit_variation[0], amplitude, across, along)
            if given.size:
                accumulate(result[c : c + n], 1.0, given[c : c + n])


@njit(cache=True, parallel=True)
def axis_integrals(density, profiles, shape, sums, first):
    """Fill ``sums[i, 0]`` with the sum of row ``first + i``, ``sums[i, k]`` with that of rho V_k.

    ``profiles[k - 1]`` holds the profiles of the ``k``-th term, one an axis, one after the other.
    """
    n0, n1, n2, n = shape
    rows = sums.shape[0]
    blocks = (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
    for block in prange(blocks):
        for i in range(block * ROWS_PER_BLOCK, min((block + 1) * ROWS_PER_BLOCK, rows)):
            row = first + i
            values = density[row * n : (row + 1) * n]
            mass = total(values)
            sums[i, 0] = mass
            for k in range(profiles.shape[0]):
                profile = profiles[k]
                across = (
                    profile[row // (n1 * n2)]
                    + profile[n0 + (row // n2) % n1]
                    + profile[n0 + n1 + row % n2]
                )
                sums[i, k + 1] = across * mass + product(values, profile[n0 + n1 + n2 :])


@njit(cache=True, parallel=True)
def row_products(density, given, n, sums):
    """Fill ``sums[row]`` with the sum of ``density given`` over a row of `n` cells."""
    rows = sums.size
    blocks = (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
    for block in prange(blocks):
        for row in range(block * ROWS_PER_BLOCK, min((block + 1) * ROWS_PER_BLOCK, rows)):
            sums[row] = product(density[row * n : (row + 1) * n], given[row * n : (row + 1) * n])


@njit(cache=True, parallel=True)
def add_amplitude_moments(density, amplitude, rest, moments, begin, first, last):
    """Add ``sum_i amplitude_i density[i, r]`` to the moments of the cells ``r`` from `begin` on.

    `density` has `rest` cells for every amplitude; only those from `first` to `last` are seen.
    """
    width = 1024
    blocks = (moments.size + width - 1) // width
    for block in prange(blocks):
        low = begin + block * width
        high = min(low + width, begin + moments.size)
        for i in range(amplitude.size):
            start, stop = max(i * rest + low, first), min(i * rest + high, last)
            if start < stop:
                r = start - i * rest - begin
                accumulate(moments[r : r + stop - start], amplitude[i], density[start:stop])


@njit(cache=True, parallel=True)
def features_output(matrix, moments, partials, width):
    """Fill ``partials[block] = moments_block . matrix_block`` for blocks of `width` rows."""
    rows = matrix.shape[0]
    blocks = partials.shape[0]
    for block in prange(blocks):
        part = partials[block]
        part[:] = 0.0
        for row in range(block * width, min((block + 1) * width, rows)):
            if moments[row] != 0.0:
                accumulate(part, moments[row], matrix[row])


@njit(cache=True, parallel=True)
def features_variation(matrix, residual, result):
    """Fill ``result[row] = matrix[row] . residual``."""
    rows = matrix.shape[0]
    blocks = (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
    for block in prange(blocks):
        for row in range(block * ROWS_PER_BLOCK, min((block + 1) * ROWS_PER_BLOCK, rows)):
            result[row] = product(matrix[row], residual)
