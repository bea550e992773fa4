"""Numba kernel of one explicit stage: upwind transport on a mesh, all axes in one visit.

Arrays are flat in array order and seen as four axes, the missing ones in front with one cell.
A *row* is the contiguous run along the last axis; what is summed is summed row by row, so the
bits depend neither on the number of threads nor on how the rows are shared out.

No wall is treated: the neighbour beyond a wall is the cell itself, so that the difference of the
first variation, and with it the velocity and the flux through the wall, is exactly zero.

The flux is written once, in `face`, the reconstruction in `limited_half_slope`; everything else
decides which numbers they are given.
"""

import numpy as np
from llvmlite.ir import FunctionType
from numba import njit, prange, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

# a tile of a two-dimensional mesh: so many rows; of a larger one: rows of together so many cells,
# on so many planes
ROWS_PER_TILE = 64
CELLS_PER_TILE = 4096
PLANES_PER_TILE = 32
# longer rows are done in pieces
CELLS_PER_PIECE = 4096
# between two pieces that a thread keeps
PADDING = 40
# bytes of a line of the cache: what begins at one is read and written at once
LINE = 64

ADDRESS = types.CPointer(types.float64)


def extremum(name):
    """Return the larger or smaller of two numbers that are no NaN, as one vector operation."""

    @intrinsic
    def chosen(typing, left, right):
        def lower(context, builder, signature, arguments):
            number = context.get_value_type(types.float64)
            kind = FunctionType(number, (number, number))
            call = builder.module.declare_intrinsic(name, (number,), kind)
            return builder.call(call, arguments, fastmath=("nnan", "nsz"))

        return types.float64(types.float64, types.float64), lower

    return chosen


larger, smaller = extremum("llvm.maxnum"), extremum("llvm.minnum")


@intrinsic
def fused(typing, left, right, term):
    """Return ``left right + term``, rounded once where the processor can."""

    def lower(context, builder, signature, arguments):
        number = context.get_value_type(types.float64)
        kind = FunctionType(number, (number, number, number))
        call = builder.module.declare_intrinsic("llvm.fmuladd", (number,), kind)
        return builder.call(call, arguments)

    return types.float64(types.float64, types.float64, types.float64), lower


@intrinsic
def plus(typing, left, right):
    """Return a sum that may be reassociated, so that sums over a row fill the vector lanes."""

    def lower(context, builder, signature, arguments):
        return builder.fadd(*arguments, flags=("reassoc", "nsz"))

    return types.float64(types.float64, types.float64), lower


@intrinsic
def at(typing, values, index):
    """Return the address of an element; the array must live on."""

    def lower(context, builder, signature, arguments):
        array, index = arguments
        source = make_array(signature.args[0])(context, builder, array)
        return builder.gep(source.data, [index])

    return ADDRESS(types.Array(types.float64, 1, "C"), types.intp), lower


@intrinsic
def shifted(typing, address, cells):
    """Return an address so many numbers on."""

    def lower(context, builder, signature, arguments):
        return builder.gep(*arguments[:1], arguments[1:])

    return ADDRESS(ADDRESS, types.intp), lower


@intrinsic
def aligned(typing, address):
    """Return the first address from here on that begins a line of the cache."""

    def lower(context, builder, signature, arguments):
        (address,) = arguments
        number = context.get_value_type(types.uintp)
        bits = builder.add(builder.ptrtoint(address, number), number(LINE - 1))
        return builder.inttoptr(builder.and_(bits, number(-LINE)), address.type)

    return ADDRESS(ADDRESS), lower


@njit(cache=True, forceinline=True)
def neighbour(index, shift, cells, periodic):
    """Return the index `shift` cells away, wrapped on a period and stopped at a wall."""
    moved = index + shift
    if periodic:
        return moved % cells
    return min(max(moved, 0), cells - 1)


@njit(cache=True, forceinline=True)
def limited_half_slope(left, centre, right):
    """Return half the monotonised-central slope of a cell, zero at extrema.

    It is at most ``centre`` for non-negative data, so both edge values stay non-negative.
    """
    back, ahead = centre - left, right - centre
    lowest = smaller(larger(back, ahead), 0.0)
    highest = larger(smaller(back, ahead), 0.0)
    return smaller(larger(0.25 * (right - left), lowest), highest)


@njit(cache=True, forceinline=True)
def face(before, after, inner, outer):
    """Return what crosses a face, over the rate mobility / h^2.

    `before` and `after` are the first variations of its cells, so that the velocity over h is
    ``before - after``; the flux is upwind between the densities `inner` and `outer`.

    Returns ``(velocity, its positive part, its negative part, flux)``. One of the two products is
    zero, so that the flux is rounded once whether or not the sum is fused. A velocity that is no
    number has neither part: it is seen in the loss alone.
    """
    velocity = before - after
    ahead, back = larger(velocity, 0.0), smaller(velocity, 0.0)
    return velocity, ahead, back, fused(ahead, inner, back * outer)


# The loops below run over pieces of rows of `n` cells, given by addresses: so the compiler fills
# the vector lanes, and a call costs nothing. The number of axes is known to it.


@njit(cache=True, forceinline=True)
def along_second(lines, j):
    """Return as `face` what crosses the face after a cell of the row.

    `lines` holds the densities, the first variation and half the slopes, with those beyond the
    ends.
    """
    line, xi, half = lines
    return face(xi[j], xi[j + 1], line[j] + half[j], line[j + 1] - half[j + 1])


@njit(cache=True, forceinline=True)
def along_first(lines, j):
    """Do as `along_second` with the cell averages as densities at the faces."""
    line, xi, _ = lines
    return face(xi[j], xi[j + 1], line[j], line[j + 1])


@njit(cache=True, forceinline=True)
def across_second(axis, rho, xi, j):
    """Return as `along_second` what a cell exchanges across its row.

    `axis` holds the densities and the first variation of the row after it, the densities of the
    one after that, and what the row before has left: the densities on this side of the faces
    after that row's successor, the flux through the faces before and their velocity back. They are
    replaced by what the next row needs.
    """
    after, xi_after, further, (edge, flux, back) = axis
    centre = after[j]
    half = limited_half_slope(rho, centre, further[j])
    velocity, ahead, away, outflow = face(xi, xi_after[j], edge[j], centre - half)
    found = flux[j] - outflow, ahead - back[j], velocity * outflow
    edge[j], flux[j], back[j] = centre + half, outflow, away
    return found


@njit(cache=True, forceinline=True)
def across_first(axis, rho, xi, j):
    """Do as `across_second` with the cell averages as densities at the faces."""
    after, xi_after, _, (_, flux, back) = axis
    velocity, ahead, away, outflow = face(xi, xi_after[j], rho, after[j])
    found = flux[j] - outflow, ahead - back[j], velocity * outflow
    flux[j], back[j] = outflow, away
    return found


def stage_of_row(along, across):
    """Return the loop over a piece of a row made of the formulas of one order."""

    def row(lines, axes, rates, dt, base, result, keep, n):
        """Do one stage in a row; return its largest outflow rate and its loss."""
        rate, step, lost = rates[0], dt * rates[0], 0.0
        rate1, step1, lost1 = rates[1], dt * rates[1], 0.0
        if len(axes) > 1:
            rate2, step2, lost2 = rates[2], dt * rates[2], 0.0
        if len(axes) > 2:
            rate3, step3, lost3 = rates[3], dt * rates[3], 0.0
        peak = 0.0
        _, _, back, inflow = along(lines, -1)
        for j in range(n):
            rho, xi = lines[0][j], lines[1][j]
            velocity, ahead, away, outflow = along(lines, j)
            net, out = step * (inflow - outflow), rate * (ahead - back)
            lost = plus(lost, velocity * outflow)
            inflow, back = outflow, away
            gain, leaves, loss = across(axes[0], rho, xi, j)
            net, out = fused(step1, gain, net), fused(rate1, leaves, out)
            lost1 = plus(lost1, loss)
            if len(axes) > 1:
                gain, leaves, loss = across(axes[1], rho, xi, j)
                net, out = fused(step2, gain, net), fused(rate2, leaves, out)
                lost2 = plus(lost2, loss)
            if len(axes) > 2:
                gain, leaves, loss = across(axes[2], rho, xi, j)
                net, out = fused(step3, gain, net), fused(rate3, leaves, out)
                lost3 = plus(lost3, loss)
            peak = larger(peak, out)
            new = rho + net
            result[j] = fused(keep, base[j] - new, new)
        total = rate * lost + rate1 * lost1
        if len(axes) > 1:
            total += rate2 * lost2
        if len(axes) > 2:
            total += rate3 * lost3
        return peak, total

    return njit(row, forceinline=True)


first_order_row = stage_of_row(along_first, across_first)
second_order_row = stage_of_row(along_second, across_second)


@njit(cache=True, forceinline=True)
def half_slopes(line, half, n):
    """Fill `half` with half the limited slopes of a row and of one cell beyond each end."""
    for j in range(-1, n + 1):
        half[j] = limited_half_slope(line[j - 1], line[j], line[j + 1])


@njit(cache=True, forceinline=True)
def padded(values, start, cells, column, wrap, result, n):
    """Copy a piece of a row from `column` on with two neighbours beyond each end."""
    source = at(values, start + column)
    for j in range(n):
        result[j] = source[j]
    for k in range(1, 3):
        result[-k] = values[start + neighbour(column, -k, cells, wrap)]
        result[n - 1 + k] = values[start + neighbour(column + n - 1, k, cells, wrap)]


@njit(cache=True, forceinline=True)
def after(density, potential, start, axis, shift, kept):
    """Return what `across_second` wants of an axis for the row `shift` rows from `start`.

    `axis` is ``(index of the row, cells, stride, wraps)``.
    """
    i, cells, stride, wrap = axis
    successor = start + (neighbour(i, shift + 1, cells, wrap) - i) * stride
    further = start + (neighbour(i, shift + 2, cells, wrap) - i) * stride
    return at(density, successor), at(potential, successor), at(density, further), kept


@njit(cache=True, forceinline=True)
def begin(density, potential, start, axis, second, kept, n):
    """Fill `kept` with what the row before leaves, see `across_second`."""
    i, cells, stride, wrap = axis
    near = start + (neighbour(i, -1, cells, wrap) - i) * stride
    far = start + (neighbour(i, -2, cells, wrap) - i) * stride
    row, xi, before = at(density, near), at(potential, near), at(density, far)
    here = after(density, potential, start, axis, -1, kept)
    for j in range(n):
        if second:
            kept[0][j] = row[j] + limited_half_slope(before[j], row[j], here[0][j])
            across_second(here, row[j], xi[j], j)
        else:
            across_first(here, row[j], xi[j], j)


@njit(cache=True, forceinline=True)
def three(pieces, number, size):
    """Return where three pieces begin."""
    return (
        shifted(pieces, number * size),
        shifted(pieces, (number + 1) * size),
        shifted(pieces, (number + 2) * size),
    )


@njit(cache=True)
def sweep(
    density, potential, base, result, shape, periodic, rates, dt, keep, second, outflow, loss,
    first, last, i0, planes, tile, column, n, scratch,
):  # fmt: skip
    """Do pieces of the rows ``first … last`` of a tile, see `transport`."""
    n0, n1, n2, cells = shape
    piece = (n + PADDING) // 8 * 8
    pieces = shifted(aligned(at(scratch, 0)), 8)
    lines, kept0, kept2 = three(pieces, 0, piece), three(pieces, 3, piece), three(pieces, 6, piece)
    r0, r1, r2, r3 = rates[0], rates[1], rates[2], rates[3]
    fields = density, potential
    for i1 in range(planes[0], planes[1]):
        for i2 in range(tile[0], tile[1]):
            row = (i0 * n1 + i1) * n2 + i2
            if row < first or row >= last:
                continue
            start = row * cells + column
            axis0 = i0, n0, n1 * n2 * cells, periodic[0]
            axis1 = i1, n1, n2 * cells, periodic[1]
            axis2 = i2, n2, cells, periodic[2]
            kept1 = three(pieces, 9 + (3 * (i2 - tile[0]) if n1 > 1 else 0), piece)
            padded(density, row * cells, cells, column, periodic[3], lines[0], n)
            padded(potential, row * cells, cells, column, periodic[3], lines[1], n)
            if second:
                half_slopes(lines[0], lines[2], n)
            if i2 == tile[0] or row == first:
                begin(*fields, start, axis2, second, kept2, n)
            a2 = after(*fields, start, axis2, 0, kept2)
            target = at(base, start), at(result, start), keep, n
            if n0 * n1 == 1:
                if second:
                    found = second_order_row(lines, (a2,), (r3, r2), dt, *target)
                else:
                    found = first_order_row(lines, (a2,), (r3, r2), dt, *target)
            else:
                if i1 == planes[0] or row - n2 < first:
                    begin(*fields, start, axis1, second, kept1, n)
                a1 = after(*fields, start, axis1, 0, kept1)
                if n0 == 1:
                    if second:
                        found = second_order_row(lines, (a2, a1), (r3, r2, r1), dt, *target)
                    else:
                        found = first_order_row(lines, (a2, a1), (r3, r2, r1), dt, *target)
                else:
                    begin(*fields, start, axis0, second, kept0, n)
                    a0 = after(*fields, start, axis0, 0, kept0)
                    if second:
                        found = second_order_row(lines, (a2, a1, a0), (r3, r2, r1, r0), dt, *target)
                    else:
                        found = first_order_row(lines, (a2, a1, a0), (r3, r2, r1, r0), dt, *target)
            peak, lost = found
            if column > 0:
                peak = larger(peak, outflow[row - first])
                lost += loss[row - first]
            outflow[row - first], loss[row - first] = peak, lost


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
    which are carried along the second one while the planes around them stay in the cache; what
    crosses a face is evaluated once and kept for the row behind it.
    """
    n0, n1, n2, cells = shape
    width = ROWS_PER_TILE if n1 == 1 else max(4, min(ROWS_PER_TILE, CELLS_PER_TILE // cells))
    chunks = (n1 + PLANES_PER_TILE - 1) // PLANES_PER_TILE
    tiles = (n2 + width - 1) // width
    n = min(cells, CELLS_PER_PIECE)
    size = (9 + (3 * width if n1 > 1 else 3)) * ((n + PADDING) // 8 * 8) + 32
    for task in prange(n0 * chunks * tiles):
        scratch = np.empty(size)
        i0, chunk, k = task // (chunks * tiles), task // tiles % chunks, task % tiles
        planes = chunk * PLANES_PER_TILE, min((chunk + 1) * PLANES_PER_TILE, n1)
        tile = k * width, min((k + 1) * width, n2)
        for column in range(0, cells, n):
            sweep(
                density, potential, base, result, shape, periodic, rates, dt, keep, second,
                outflow, loss, first, last, i0, planes, tile, column, min(n, cells - column),
                scratch,
            )  # fmt: skip
