"""Numba kernels of the mesh: sums by rows, products with the feature matrix.

Arrays are flat in array order and seen as four axes, the missing ones in front with one cell.
A *row* is the contiguous run along the last axis; every sum is taken row by row (or by fixed
blocks of rows) and added in order, so the bits do not depend on the number of threads.
"""

import numpy as np

from wgf.parallel.compiled_kernels import njit
from wgf.parallel.threads import shared

ROWS_PER_BLOCK = 64
# sums and maxima may be reassociated to fill vector lanes; the order stays fixed by the code
REDUCTION = {"reassoc", "nsz", "contract"}


def empty(size):
    """Return an array of `size` numbers, not set, that begins at a line of the cache."""
    line = 64 // 8
    room = np.empty(size + line)
    start = -(room.ctypes.data // 8) % line
    return room[start : start + size]


@shared(lambda a, b, c: 0.5 * a.size)
@njit(cache=True, nogil=True)
def triad(a, b, c, part, parts):
    """Fill ``a = b + 2.5 c``: the speed of memory."""
    n = a.size
    for i in range(part * n // parts, (part + 1) * n // parts):
        a[i] = b[i] + 2.5 * c[i]


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
def combine(result, base, density, net, dt, keep):
    """Fill ``result = keep base + (1 - keep) (density + dt net)``."""
    for j in range(result.size):
        result[j] = keep * base[j] + (1.0 - keep) * (density[j] + dt * net[j])


@njit(cache=True)
def accumulate(result, factor, values):
    """Add ``factor values`` to `result`."""
    for j in range(result.size):
        result[j] += factor * values[j]


@njit(cache=True)
def accumulate_four(result, factors, values, start, stride):
    """Add four stretches of `values`, a stride apart, in their order: the sum is in memory once."""
    a, b, c, d = factors[0], factors[1], factors[2], factors[3]
    n = result.size
    first, second = values[start : start + n], values[start + stride : start + stride + n]
    third = values[start + 2 * stride : start + 2 * stride + n]
    fourth = values[start + 3 * stride : start + 3 * stride + n]
    for j in range(n):
        result[j] = (((result[j] + a * first[j]) + b * second[j]) + c * third[j]) + d * fourth[j]


@njit(cache=True, forceinline=True)
def place_of(row, shape):
    """Return the index of a row along the three axes before the last."""
    _, n1, n2, _ = shape
    return row // (n1 * n2), row // n2 % n1, row % n2


@njit(cache=True, forceinline=True)
def across_row(profiles, shape, place):
    """Return the sum of the profiles along the axes before the last."""
    n0, n1, _, _ = shape
    i0, i1, i2 = place
    return profiles[i0] + profiles[n0 + i1] + profiles[n0 + n1 + i2]


@njit(cache=True, forceinline=True)
def row_of_variation(variation, shape, place):
    """Return ``(factor, start, across)`` of a row: its cells are `cell_of_variation` of them."""
    amplitude, unit, profiles = variation
    _, n1, n2, n = shape
    i0, i1, i2 = place
    row, rest = (i0 * n1 + i1) * n2 + i2, unit.size // n
    part = row // rest
    across = across_row(profiles, shape, place) if profiles.size else 0.0
    return amplitude[part], (row - part * rest) * n, across


@njit(cache=True, forceinline=True)
def cell_of_variation(factor, unit, across, along):
    """Return the first variation of a cell."""
    return factor * unit + (across + along)


@shared(lambda result, *_: 0.5 * result.size)
@njit(cache=True, nogil=True)
def first_variation(result, amplitude, unit, profiles, shape, part, parts):
    """Fill `result` with a first variation, see `wgf.eulerian.variation.Variation`."""
    n0, n1, n2, n = shape
    rows, variation = n0 * n1 * n2, (amplitude, unit, profiles)
    blocks = (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        for row in range(block * ROWS_PER_BLOCK, min((block + 1) * ROWS_PER_BLOCK, rows)):
            factor, start, across = row_of_variation(variation, shape, place_of(row, shape))
            target, source = result[row * n : (row + 1) * n], unit[start : start + n]
            if profiles.size:
                along = profiles[n0 + n1 + n2 :]
                for j in range(n):
                    target[j] = cell_of_variation(factor, source[j], across, along[j])
            else:
                target[:] = source


@shared(lambda density, profiles, *_: 0.3 * density.size * (1 + len(profiles)))
@njit(cache=True, nogil=True)
def axis_integrals(density, profiles, shape, sums, ends, first, part, parts):
    """Fill ``sums[i, 0]`` with the sum of row ``first + i``, ``sums[i, k]`` with that of rho V_k.

    ``ends[:, i]`` receives the densities of the first and the last cell of the row.
    ``profiles[k - 1]`` holds the profiles of the ``k``-th term, one an axis, one after the other.
    """
    n0, n1, n2, n = shape
    rows = sums.shape[0]
    blocks = (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        for i in range(block * ROWS_PER_BLOCK, min((block + 1) * ROWS_PER_BLOCK, rows)):
            row = first + i
            values = density[row * n : (row + 1) * n]
            mass = total(values)
            sums[i, 0] = mass
            ends[0, i], ends[1, i] = values[0], values[-1]
            for k in range(profiles.shape[0]):
                profile = profiles[k]
                across = across_row(profile, shape, place_of(row, shape))
                sums[i, k + 1] = across * mass + product(values, profile[n0 + n1 + n2 :])


@shared(lambda density, *_: 0.3 * density.size)
@njit(cache=True, nogil=True)
def row_products(density, given, n, sums, part, parts):
    """Fill ``sums[row]`` with the sum of ``density given`` over a row of `n` cells."""
    rows = sums.size
    blocks = (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        for row in range(block * ROWS_PER_BLOCK, min((block + 1) * ROWS_PER_BLOCK, rows)):
            sums[row] = product(density[row * n : (row + 1) * n], given[row * n : (row + 1) * n])


@shared(lambda density, amplitude, rest, moments, *_: 0.3 * amplitude.size * moments.size)
@njit(cache=True, nogil=True)
def add_amplitude_moments(density, amplitude, rest, moments, begin, first, last, part, parts):
    """Add ``sum_i amplitude_i density[i, r]`` to the moments of the cells ``r`` from `begin` on.

    `density` has `rest` cells for every amplitude; only those from `first` to `last` are seen.
    """
    width = max(64, min(1024, moments.size // 16))
    blocks = (moments.size + width - 1) // width
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        low = begin + block * width
        high = min(low + width, begin + moments.size)
        count, i = amplitude.size, 0
        while i < count:
            start, stop = i * rest + low, i * rest + high
            if i + 4 <= count and start >= first and stop + 3 * rest <= last:
                part = moments[low - begin : high - begin]
                accumulate_four(part, amplitude[i : i + 4], density, start, rest)
                i += 4
                continue
            start, stop = max(start, first), min(stop, last)
            if start < stop:
                r = start - i * rest - begin
                accumulate(moments[r : r + stop - start], amplitude[i], density[start:stop])
            i += 1


@njit(cache=True, fastmath=REDUCTION)
def held_in_row(rho, outer, inner, along, factors, across):
    """Return the sum over a row of what its cells would lose to the wall beside it.

    ``outer`` and ``inner`` are units of its first variation and of that of the row before the wall.
    """
    lost = 0.0
    for j in range(rho.size):
        beyond = along[j] if along.size else 0.0
        xi = cell_of_variation(factors[0], outer[j], across[0], beyond)
        xi1 = cell_of_variation(factors[1], inner[j], across[1], beyond)
        speed = xi1 - xi
        # an empty cell of a fast diffusion has an infinite first variation and nothing to lose
        if rho[j] > 0.0 and np.isfinite(xi1) and not speed <= 0.0:
            lost += rho[j] * speed
    return lost


@shared(lambda density, variation, shape, rows, *_: 2.0 * rows.size * shape[3])
@njit(cache=True, nogil=True)
def held_back(density, variation, shape, rows, inner, held, part, parts):
    """Fill what each of the `rows` at a wall would lose through it.

    The neighbours of their cells are those of the rows `inner`.
    """
    _, unit, profiles = variation
    n, along = shape[3], profiles[shape[0] + shape[1] + shape[2] :]
    count = rows.size
    for k in range(part * count // parts, (part + 1) * count // parts):
        at, near = rows[k], inner[k]
        factor, start, across = row_of_variation(variation, shape, place_of(at, shape))
        factor1, start1, across1 = row_of_variation(variation, shape, place_of(near, shape))
        held[k] = held_in_row(
            density[at * n : (at + 1) * n], unit[start : start + n], unit[start1 : start1 + n],
            along, (factor, factor1), (across, across1),
        )  # fmt: skip


@njit(cache=True)
def add_rows(matrix, factors, low, high, result):
    """Fill `result` with the sum of the rows from `low` to `high`, each by its factor."""
    values, row, n = matrix.ravel(), low, result.size
    result[:] = 0.0
    while row < high:
        four = factors[row : row + 4]
        if row + 4 <= high and (four != 0.0).all():
            accumulate_four(result, four, values, row * n, n)
            row += 4
            continue
        if factors[row] != 0.0:
            accumulate(result, factors[row], matrix[row])
        row += 1


@njit(cache=True)
def products_of_rows(matrix, values, low, high, result):
    """Fill ``result[row] = matrix[row] . values`` from `low` to `high`."""
    for row in range(low, high):
        result[row] = product(matrix[row], values)


@shared(lambda matrix, *_: 0.4 * matrix.size)
@njit(cache=True, nogil=True)
def features_output(matrix, moments, partials, width, part, parts):
    """Fill ``partials[block] = moments_block . matrix_block`` for blocks of `width` rows."""
    rows = matrix.shape[0]
    blocks = partials.shape[0]
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        high = min((block + 1) * width, rows)
        add_rows(matrix, moments, block * width, high, partials[block])


@shared(lambda matrix, *_: 0.4 * matrix.size)
@njit(cache=True, nogil=True)
def features_variation(matrix, residual, result, part, parts):
    """Fill ``result[row] = matrix[row] . residual``."""
    rows = matrix.shape[0]
    blocks = (rows + ROWS_PER_BLOCK - 1) // ROWS_PER_BLOCK
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        low = block * ROWS_PER_BLOCK
        products_of_rows(matrix, residual, low, min(low + ROWS_PER_BLOCK, rows), result)
