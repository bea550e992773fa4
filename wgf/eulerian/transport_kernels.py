"""Numba kernel of one explicit stage: upwind transport on a mesh, all axes in one visit.

Arrays are flat in array order and seen as four axes, the missing ones in front with one cell.
A *row* is the contiguous run along the last axis; what is summed is summed row by row, so the
bits depend neither on the number of threads nor on how the rows are shared out.

No wall is treated: the neighbour beyond a wall is the cell itself, so that the difference of the
first variation, and with it the velocity and the flux through the wall, is exactly zero.

The flux is written once, in `exchange`, the reconstruction in `limited_half_slope`; everything
else decides which numbers they are given.
"""

import numpy as np
from llvmlite.ir import FunctionType
from numba import njit, prange, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

# a tile of a two-dimensional mesh: so many rows; of a larger one: rows of together so many cells,
# on so many planes
ROWS_PER_TILE = 64
CELLS_PER_TILE = 4096
PLANES_PER_TILE = 32


@intrinsic
def larger(typing, old, new):
    """Return the larger of two numbers that are no NaN, as a vector operation."""

    def lower(context, builder, signature, arguments):
        number = context.get_value_type(types.float64)
        kind = FunctionType(number, (number, number))
        call = builder.module.declare_intrinsic("llvm.maxnum", (number,), kind)
        return builder.call(call, arguments, fastmath=("nnan", "nsz"))

    return types.float64(types.float64, types.float64), lower


@intrinsic
def plus(typing, left, right):
    """Return a sum that may be reassociated, so that sums over a row fill the vector lanes."""

    def lower(context, builder, signature, arguments):
        return builder.fadd(*arguments, flags=("reassoc", "nsz"))

    return types.float64(types.float64, types.float64), lower


@intrinsic
def view(typing, values, start, size):
    """Return ``values[start : start + size]`` without counting the reference: it must not outlive.

    Counting them, atomically, costs more than the work on a short row.
    """

    def lower(context, builder, signature, arguments):
        array, start, size = arguments
        source = make_array(signature.args[0])(context, builder, array)
        result = make_array(signature.return_type)(context, builder)
        populate_array(
            result,
            data=builder.gep(source.data, [start]),
            shape=[size],
            strides=[source.itemsize],
            itemsize=source.itemsize,
            meminfo=None,
        )
        return result._getvalue()

    row = types.Array(types.float64, 1, "C")
    return row(types.Array(types.float64, 1, "C"), types.intp, types.intp), lower


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
def exchange(before, here, after, left_out, left_in, right_in, right_out):
    """Return what one cell exchanges with its two neighbours along one axis, all over the rate.

    ``before, here, after`` are first variations of the three cells; the densities at the left
    face are `left_out` (outside) and `left_in`, those at the right face `right_in` and
    `right_out`. The face velocity over h is ``-(xi_right - xi_left) rate`` with the rate
    mobility / h^2, the flux is upwind.

    Returns ``(net inflow, outflow rate, u^2 rho / h^2 at the right face over the rate)``. Two
    neighbours evaluate the same expression on the same numbers for the face between them.
    """
    left = before - here
    right = here - after
    inflow = left * (left_out if left > 0.0 else left_in)
    outflow = right * (right_in if right > 0.0 else right_out)
    ahead = right if right > 0.0 else 0.0
    back = 0.0 if left > 0.0 else left
    return inflow - outflow, ahead - back, right * outflow


# The loops below run over rows given as arrays of their own, all named before the loop, and load
# every number before the first comparison: only so does the compiler fill the vector lanes (a
# factor of four to eight). Branches on the number of axes are taken at compile time.


@njit(cache=True)
def half_slopes(before, here, after, result):
    """Fill `result` with half the limited slopes of a row, its neighbours being given."""
    for j in range(result.size):
        a, b, c = before[j], here[j], after[j]
        result[j] = limited_half_slope(a, b, c)


@njit(cache=True)
def first_order_row(axes, rates, centre, xi, base, result, dt, keep):
    """Do one stage in a row, first order; return its largest outflow rate and its loss.

    `axes` holds for every axis the density before and after the row, and the first variation.
    """
    m0, p0, xm0, xp0 = axes[0]
    rate0, step0, lost0 = rates[0], dt * rates[0], 0.0
    if len(axes) > 1:
        m1, p1, xm1, xp1 = axes[1]
        rate1, step1, lost1 = rates[1], dt * rates[1], 0.0
    if len(axes) > 2:
        m2, p2, xm2, xp2 = axes[2]
        rate2, step2, lost2 = rates[2], dt * rates[2], 0.0
    if len(axes) > 3:
        m3, p3, xm3, xp3 = axes[3]
        rate3, step3, lost3 = rates[3], dt * rates[3], 0.0
    peak = 0.0
    for j in range(centre.size):
        rho, x = centre[j], xi[j]
        moved, leaving, loss = exchange(xm0[j], x, xp0[j], m0[j], rho, rho, p0[j])
        net = step0 * moved
        out = rate0 * leaving
        lost0 = plus(lost0, loss)
        if len(axes) > 1:
            moved, leaving, loss = exchange(xm1[j], x, xp1[j], m1[j], rho, rho, p1[j])
            net += step1 * moved
            out += rate1 * leaving
            lost1 = plus(lost1, loss)
        if len(axes) > 2:
            moved, leaving, loss = exchange(xm2[j], x, xp2[j], m2[j], rho, rho, p2[j])
            net += step2 * moved
            out += rate2 * leaving
            lost2 = plus(lost2, loss)
        if len(axes) > 3:
            moved, leaving, loss = exchange(xm3[j], x, xp3[j], m3[j], rho, rho, p3[j])
            net += step3 * moved
            out += rate3 * leaving
            lost3 = plus(lost3, loss)
        peak = larger(peak, out)
        new = rho + net
        result[j] = new + keep * (base[j] - new)
    lost = rate0 * lost0
    if len(axes) > 1:
        lost += rate1 * lost1
    if len(axes) > 2:
        lost += rate2 * lost2
    if len(axes) > 3:
        lost += rate3 * lost3
    return peak, lost


@njit(cache=True)
def second_order_row(axes, rates, centre, xi, base, result, dt, keep):
    """Do one stage in a row with limited edge values; return as `first_order_row`.

    `axes` holds also half the slopes before, in and after the row.
    """
    m0, p0, xm0, xp0, hm0, h0, hp0 = axes[0]
    rate0, step0, lost0 = rates[0], dt * rates[0], 0.0
    if len(axes) > 1:
        m1, p1, xm1, xp1, hm1, h1, hp1 = axes[1]
        rate1, step1, lost1 = rates[1], dt * rates[1], 0.0
    if len(axes) > 2:
        m2, p2, xm2, xp2, hm2, h2, hp2 = axes[2]
        rate2, step2, lost2 = rates[2], dt * rates[2], 0.0
    if len(axes) > 3:
        m3, p3, xm3, xp3, hm3, h3, hp3 = axes[3]
        rate3, step3, lost3 = rates[3], dt * rates[3], 0.0
    peak = 0.0
    for j in range(centre.size):
        rho, x = centre[j], xi[j]
        moved, leaving, loss = exchange(
            xm0[j], x, xp0[j], m0[j] + hm0[j], rho - h0[j], rho + h0[j], p0[j] - hp0[j]
        )
        net = step0 * moved
        out = rate0 * leaving
        lost0 = plus(lost0, loss)
        if len(axes) > 1:
            moved, leaving, loss = exchange(
                xm1[j], x, xp1[j], m1[j] + hm1[j], rho - h1[j], rho + h1[j], p1[j] - hp1[j]
            )
            net += step1 * moved
            out += rate1 * leaving
            lost1 = plus(lost1, loss)
        if len(axes) > 2:
            moved, leaving, loss = exchange(
                xm2[j], x, xp2[j], m2[j] + hm2[j], rho - h2[j], rho + h2[j], p2[j] - hp2[j]
            )
            net += step2 * moved
            out += rate2 * leaving
            lost2 = plus(lost2, loss)
        if len(axes) > 3:
            moved, leaving, loss = exchange(
                xm3[j], x, xp3[j], m3[j] + hm3[j], rho - h3[j], rho + h3[j], p3[j] - hp3[j]
            )
            net += step3 * moved
            out += rate3 * leaving
            lost3 = plus(lost3, loss)
        peak = larger(peak, out)
        new = rho + net
        result[j] = new + keep * (base[j] - new)
    lost = rate0 * lost0
    if len(axes) > 1:
        lost += rate1 * lost1
    if len(axes) > 2:
        lost += rate2 * lost2
    if len(axes) > 3:
        lost += rate3 * lost3
    return peak, lost


@njit(cache=True)
def padded(row, wrap, result):
    """Copy a row with two neighbours beyond each end: wrapped, or the end cell at a wall."""
    n = row.size
    inner = view(result, 2, n)
    for j in range(n):
        inner[j] = row[j]
    for k in range(2):
        result[k] = row[neighbour(0, k - 2, n, wrap)]
        result[n + 2 + k] = row[neighbour(n - 1, k + 1, n, wrap)]


@njit(cache=True)
def row_at(values, row, n):
    """Return a row of `n` cells."""
    return view(values, row * n, n)


@njit(cache=True)
def across(density, potential, row, n, i, cells, stride, wrap):
    """Return the neighbours of a row along an axis of which it has index `i`."""
    before = row + (neighbour(i, -1, cells, wrap) - i) * stride
    after = row + (neighbour(i, 1, cells, wrap) - i) * stride
    return (
        row_at(density, before, n),
        row_at(density, after, n),
        row_at(potential, before, n),
        row_at(potential, after, n),
    )


@njit(cache=True)
def slopes_across(density, row, n, i, cells, stride, wrap, known, ring, shift, step):
    """Return half the slopes along an axis before, in and after a row.

    Row ``k`` of the axis keeps its slopes in row ``shift + (k + 1 mod 3) step`` of `ring`; those
    up to `known` are there already, what is missing is made.
    """
    for k in range(max(known + 1, i - 1), i + 2):
        here = row - i * stride
        half_slopes(
            row_at(density, here + neighbour(k, -1, cells, wrap) * stride, n),
            row_at(density, here + neighbour(k, 0, cells, wrap) * stride, n),
            row_at(density, here + neighbour(k, 1, cells, wrap) * stride, n),
            row_at(ring, shift + (k + 1) % 3 * step, n),
        )
    return (
        row_at(ring, shift + i % 3 * step, n),
        row_at(ring, shift + (i + 1) % 3 * step, n),
        row_at(ring, shift + (i + 2) % 3 * step, n),
    )


@njit(cache=True)
def first_order_sweep(
    density, potential, base, result, shape, periodic, rates, dt, keep, outflow, loss, first, last,
    i0, planes, tile,
):  # fmt: skip
    """Do the rows ``first … last`` of a tile, see `transport`."""
    n0, n1, n2, n = shape
    r0, r1, r2, r3 = rates[0], rates[1], rates[2], rates[3]
    line, xi_line = np.empty(n + 4), np.empty(n + 4)
    for i1 in range(planes[0], planes[1]):
        for i2 in range(tile[0], tile[1]):
            row = (i0 * n1 + i1) * n2 + i2
            if row < first or row >= last:
                continue
            centre, xi = row_at(density, row, n), row_at(potential, row, n)
            here = (centre, xi, row_at(base, row, n), row_at(result, row, n), dt, keep)
            padded(centre, periodic[3], line)
            padded(xi, periodic[3], xi_line)
            a3 = (view(line, 1, n), view(line, 3, n), view(xi_line, 1, n), view(xi_line, 3, n))
            a2 = across(density, potential, row, n, i2, n2, 1, periodic[2])
            if n0 * n1 == 1:
                found = first_order_row((a2, a3), (r2, r3), *here)
            else:
                a1 = across(density, potential, row, n, i1, n1, n2, periodic[1])
                if n0 == 1:
                    found = first_order_row((a1, a2, a3), (r1, r2, r3), *here)
                else:
                    a0 = across(density, potential, row, n, i0, n0, n1 * n2, periodic[0])
                    found = first_order_row((a0, a1, a2, a3), (r0, r1, r2, r3), *here)
            outflow[row - first], loss[row - first] = found


@njit(cache=True)
def second_order_sweep(
    density, potential, base, result, shape, periodic, rates, dt, keep, outflow, loss, first, last,
    i0, planes, tile,
):  # fmt: skip
    """Do the rows ``first … last`` of a tile, see `transport`."""
    n0, n1, n2, n = shape
    r0, r1, r2, r3 = rates[0], rates[1], rates[2], rates[3]
    width = tile[1] - tile[0]
    line, xi_line, half = np.empty(n + 4), np.empty(n + 4), np.empty(n + 2)
    ring0, ring1, ring2 = np.empty(3 * n), np.empty(3 * width * n), np.empty(3 * n)
    known1 = np.full(width, -2)
    for i1 in range(planes[0], planes[1]):
        known2 = -2
        for i2 in range(tile[0], tile[1]):
            row = (i0 * n1 + i1) * n2 + i2
            if row < first or row >= last:
                continue
            centre, xi = row_at(density, row, n), row_at(potential, row, n)
            here = (centre, xi, row_at(base, row, n), row_at(result, row, n), dt, keep)
            padded(centre, periodic[3], line)
            padded(xi, periodic[3], xi_line)
            half_slopes(view(line, 0, n + 2), view(line, 1, n + 2), view(line, 2, n + 2), half)
            a3 = (
                view(line, 1, n), view(line, 3, n), view(xi_line, 1, n), view(xi_line, 3, n),
                view(half, 0, n), view(half, 1, n), view(half, 2, n),
            )  # fmt: skip
            a2 = across(density, potential, row, n, i2, n2, 1, periodic[2])
            slopes2 = slopes_across(density, row, n, i2, n2, 1, periodic[2], known2, ring2, 0, 1)
            known2 = i2 + 1
            if n0 * n1 == 1:
                found = second_order_row((a2 + slopes2, a3), (r2, r3), *here)
            else:
                k = i2 - tile[0]
                a1 = across(density, potential, row, n, i1, n1, n2, periodic[1])
                slopes1 = slopes_across(
                    density, row, n, i1, n1, n2, periodic[1], known1[k], ring1, k, width
                )
                known1[k] = i1 + 1
                if n0 == 1:
                    found = second_order_row((a1 + slopes1, a2 + slopes2, a3), (r1, r2, r3), *here)
                else:
                    a0 = across(density, potential, row, n, i0, n0, n1 * n2, periodic[0])
                    slopes0 = slopes_across(
                        density, row, n, i0, n0, n1 * n2, periodic[0], -2, ring0, 0, 1
                    )
                    found = second_order_row(
                        (a0 + slopes0, a1 + slopes1, a2 + slopes2, a3), (r0, r1, r2, r3), *here
                    )
            outflow[row - first], loss[row - first] = found


@njit(cache=True, parallel=True)
def transport(
    density, potential, base, result, shape, periodic, rates, dt, keep, second, outflow, loss,
    first, last,
):  # fmt: skip
    """One upwind stage ``result = keep base + (1 - keep) (density + dt L(density))``.

    ``L(rho)_j = -sum_axes (f_right - f_left) / h``, flux ``f = u rho_upwind``. `rates` holds
    mobility / h^2 by axis. Only the rows ``first … last`` are made. `outflow` receives the largest
    outflow rate of each of them, ``sum_axes (u_right^+ + u_left^-) / h``; `loss` its share of
    ``sum_faces u^2 rho / mobility``.

    All axes are done in one visit of a row. Threads take tiles: some rows along the third axis,
    which are carried along the second one while the planes around them stay in the cache.
    """
    n0, n1, n2, n = shape
    width = ROWS_PER_TILE if n1 == 1 else max(4, min(ROWS_PER_TILE, CELLS_PER_TILE // n))
    chunks = (n1 + PLANES_PER_TILE - 1) // PLANES_PER_TILE
    tiles = (n2 + width - 1) // width
    for task in prange(n0 * chunks * tiles):
        i0, chunk, k = task // (chunks * tiles), task // tiles % chunks, task % tiles
        planes = chunk * PLANES_PER_TILE, min((chunk + 1) * PLANES_PER_TILE, n1)
        tile = k * width, min((k + 1) * width, n2)
        if second:
            second_order_sweep(
                density, potential, base, result, shape, periodic, rates, dt, keep, outflow, loss,
                first, last, i0, planes, tile,
            )  # fmt: skip
        else:
            first_order_sweep(
                density, potential, base, result, shape, periodic, rates, dt, keep, outflow, loss,
                first, last, i0, planes, tile,
            )  # fmt: skip
