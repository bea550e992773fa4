"""Numba kernels of the kinetic equation: shifts along lines, contraction, noise.

A line of cell values moves by a number of cells that need not be whole. The part ``F_i`` of cell
``i`` that ends one cell further is the integral of a polynomial of degree four, which has the
averages of five cells, over the part of the cell that crosses an edge. Only ``0 <= F_i <= rho_i``
is enforced: the mass stays to round-off, no cell turns negative, and smooth maxima are not cut
off. A density is seen as ``(before, n, …, after)`` around the axes in question.
"""

import numpy as np

from wgf.parallel.compiled_kernels import njit
from wgf.parallel.threads import shared

LINES_PER_BLOCK = 16
REACH = 2


@njit(cache=True)
def crossing(alpha, weights):
    """Fill the weights of five cells in the integral over the right share `alpha` of the middle.

    The primitive is the polynomial of degree five through its values at the six edges; `weights`
    are the differences of the integral from the edge ``1/2 - alpha`` to the edge ``1/2``.
    """
    x = 0.5 - alpha
    for k in range(5):
        weights[k] = 0.0
    for j in range(6):
        # Lagrange polynomial of the edge j - 5/2
        value = 1.0
        for m in range(6):
            if m != j:
                value *= (x - (m - 2.5)) / (j - m)
        # the primitive at edge j holds the cells before it
        for k in range(j):
            weights[k] -= value
    for k in range(3):
        weights[k] += 1.0


@njit(cache=True)
def crossed(a, b, c, d, e, weights):
    """Return the integral of the middle cell that crosses its edge, at most the cell."""
    part = weights[0] * a + weights[1] * b + weights[2] * c + weights[3] * d + weights[4] * e
    if part < 0.0:
        return 0.0
    return part if part < c else c


@njit(cache=True)
def shift_ring(ring, n, shift, weights, result):
    """Fill ``result[:n]`` with the periodic ``ring[:n]`` moved by `shift` cells."""
    whole = int(np.floor(shift))
    alpha = shift - whole
    crossing(alpha, weights)
    first = whole % n
    for i in range(n):
        result[i] = 0.0
    for i in range(n):
        c = ring[i]
        if c == 0.0:
            continue
        part = crossed(
            ring[(i - 2) % n], ring[i - 1 if i else n - 1], c,
            ring[i + 1 if i + 1 < n else 0], ring[(i + 2) % n], weights,
        )  # fmt: skip
        j = i + first
        j = j - n if j >= n else j
        result[j] += c - part
        j = j + 1 if j + 1 < n else 0
        result[j] += part


@shared(lambda values, *_: 5.0 * values.size)
@njit(cache=True, nogil=True)
def drift(values, before, n, middle, m, after, periodic, shifts, part, parts):
    """Move every cell along a position axis by ``shifts[k]`` cells, `k` its velocity, in place.

    `n` cells of the position, `m` of its velocity. On a wall the velocity is turned round: with
    the opposite velocity a line makes a ring of twice its length, on which all moves one way.
    The velocities must be symmetric, ``shifts[k] = -shifts[m - 1 - k]``.
    """
    pairs = m if periodic else m // 2
    jobs = before * middle * pairs * after
    blocks = (jobs + LINES_PER_BLOCK - 1) // LINES_PER_BLOCK
    stride, step = middle * m * after, after
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        ring, moved, weights = np.empty(2 * n), np.empty(2 * n), np.empty(5)
        for job in range(block * LINES_PER_BLOCK, min((block + 1) * LINES_PER_BLOCK, jobs)):
            a = job % after
            k = (job // after) % pairs
            outer = job // (after * pairs)
            origin = (outer // middle) * n * stride + (outer % middle) * m * after + a
            one = origin + k * step
            if periodic:
                for i in range(n):
                    ring[i] = values[one + i * stride]
                shift_ring(ring, n, shifts[k], weights, moved)
                for i in range(n):
                    values[one + i * stride] = moved[i]
                continue
            two = origin + (m - 1 - k) * step
            for i in range(n):
                ring[i] = values[one + i * stride]
                ring[2 * n - 1 - i] = values[two + i * stride]
            shift_ring(ring, 2 * n, shifts[k], weights, moved)
            for i in range(n):
                values[one + i * stride] = moved[i]
                values[two + i * stride] = moved[2 * n - 1 - i]


@njit(cache=True)
def inside(line, i, n):
    """Return a cell of a line, that at the end beyond it."""
    return line[min(max(i, 0), n - 1)]


@shared(lambda values, *_: 5.0 * values.size)
@njit(cache=True, nogil=True)
def kick(values, before, outer, n, after, shifts, part, parts):
    """Move the cells along a velocity axis by ``shifts[p]`` cells, `p` the position, in place.

    `before` positions, `outer` and `after` cells of the other velocities. What would leave the
    box stays in its last cell.
    """
    jobs = before * outer * after
    blocks = (jobs + LINES_PER_BLOCK - 1) // LINES_PER_BLOCK
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        line, weights = np.empty(n), np.empty(5)
        for job in range(block * LINES_PER_BLOCK, min((block + 1) * LINES_PER_BLOCK, jobs)):
            p = job // (outer * after)
            if shifts[p] == 0.0:
                continue
            origin = (job // after) * n * after + job % after
            for i in range(n):
                line[i] = values[origin + i * after]
                values[origin + i * after] = 0.0
            whole = int(np.floor(shifts[p]))
            crossing(shifts[p] - whole, weights)
            for i in range(n):
                c = line[i]
                if c == 0.0:
                    continue
                part = crossed(
                    inside(line, i - 2, n), inside(line, i - 1, n), c,
                    inside(line, i + 1, n), inside(line, i + 2, n), weights,
                )  # fmt: skip
                j = min(max(i + whole, 0), n - 1)
                values[origin + j * after] += c - part
                j = min(max(i + whole + 1, 0), n - 1)
                values[origin + j * after] += part


@shared(lambda values, *_: 5.0 * values.size)
@njit(cache=True, nogil=True)
def contract(values, before, n, after, factor, part, parts):
    """Contract a symmetric velocity axis towards 0 by `factor` of at most 1, in place."""
    jobs = before * after
    blocks = (jobs + LINES_PER_BLOCK - 1) // LINES_PER_BLOCK
    centre = 0.5 * n
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        line, weights = np.empty(n), np.empty(5)
        for job in range(block * LINES_PER_BLOCK, min((block + 1) * LINES_PER_BLOCK, jobs)):
            origin = (job // after) * n * after + job % after
            for i in range(n):
                line[i] = values[origin + i * after]
                values[origin + i * after] = 0.0
            for i in range(n):
                c = line[i]
                if c == 0.0:
                    continue
                # the image of a cell is shorter than a cell: at most one edge cuts it
                low = centre + (i - centre) * factor
                high = centre + (i + 1 - centre) * factor
                j = min(max(int(np.floor(low)), 0), n - 1)
                if high <= j + 1 or j == n - 1:
                    values[origin + j * after] += c
                    continue
                crossing(min((high - (j + 1)) / factor, 1.0), weights)
                part = crossed(
                    inside(line, i - 2, n), inside(line, i - 1, n), c,
                    inside(line, i + 1, n), inside(line, i + 2, n), weights,
                )  # fmt: skip
                values[origin + j * after] += c - part
                values[origin + (j + 1) * after] += part


@njit(cache=True, fastmath={"reassoc", "nsz", "contract"})
def product(left, right):
    """Return the dot product of two short arrays."""
    result = 0.0
    for i in range(left.size):
        result += left[i] * right[i]
    return result


@shared(lambda values, *_: 10.0 * values.size)
@njit(cache=True, nogil=True)
def spread(values, before, n, after, matrix, first, last, part, parts):
    """Multiply the lines along a velocity axis by a banded matrix of non-negative entries.

    Row ``i`` of `matrix` is 0 outside ``first[i] … last[i] - 1``.
    """
    jobs = before * after
    blocks = (jobs + LINES_PER_BLOCK - 1) // LINES_PER_BLOCK
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        line = np.empty(n)
        for job in range(block * LINES_PER_BLOCK, min((block + 1) * LINES_PER_BLOCK, jobs)):
            origin = (job // after) * n * after + job % after
            for i in range(n):
                line[i] = values[origin + i * after]
            for i in range(n):
                values[origin + i * after] = product(
                    matrix[i, first[i] : last[i]], line[first[i] : last[i]]
                )


@shared(lambda values, *_: 8.0 * values.size)
@njit(cache=True, nogil=True)
def entropy(values, partials, part, parts):
    """Fill the sums of ``rho log rho`` over fixed blocks of cells."""
    blocks = partials.size
    width = (values.size + blocks - 1) // blocks
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        total = 0.0
        for i in range(block * width, min((block + 1) * width, values.size)):
            if values[i] > 0.0:
                total += values[i] * np.log(values[i])
        partials[block] = total


@shared(lambda values, *_: 10.0 * values.size)
@njit(cache=True, nogil=True)
def friction_loss(values, before, n, after, spacing, lower, temperature, losses, part, parts):
    """Fill one number a line: the sum over faces of ``|r + T ∂_r log rho|^2 rho``.

    The flux of Scharfetter and Gummel times the difference of ``|r|^2 / 2 + T log rho``: what the
    discrete energy loses. Next to an empty cell, the flux squared over the mean of both cells.
    """
    jobs = before * after
    for job in range(part * jobs // parts, (part + 1) * jobs // parts):
        origin = (job // after) * n * after + job % after
        total = 0.0
        for i in range(n - 1):
            left, right = values[origin + i * after], values[origin + (i + 1) * after]
            mean = 0.5 * (left + right)
            if mean <= 0.0:
                continue
            speed = lower + (i + 1) * spacing
            if temperature == 0.0:
                total += speed * speed * mean
                continue
            z = speed * spacing / temperature
            ahead = 1.0 - 0.5 * z if abs(z) < 1e-8 else (0.0 if z > 700.0 else z / np.expm1(z))
            back = 1.0 + 0.5 * z if abs(z) < 1e-8 else (0.0 if z < -700.0 else -z / np.expm1(-z))
            flux = temperature / spacing * (ahead * left - back * right)
            if left > 0.0 and right > 0.0:
                fall = speed * spacing + temperature * (np.log(right) - np.log(left))
                total -= flux * fall / spacing
            else:
                total += flux * flux / mean
        losses[job] = total
