"""Numba kernel of one explicit stage: upwind transport on a mesh, all axes in one visit.

Arrays are flat in array order and seen as four axes, the missing ones in front with one cell.
A *row* is the contiguous run along the last axis; what is summed is summed row by row, so the
bits depend neither on the number of threads nor on how the rows are shared out.

No wall is treated: the neighbour beyond a wall is the cell itself, so that the difference of the
first variation, and with it the velocity and the flux through the wall, is exactly zero.

The flux is written once, in `face`, the reconstruction in `limited_half_slope`.
"""

import numpy as np
from llvmlite.ir import FunctionType
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from wgf.eulerian.kernels import cell_of_variation, row_of_variation
from wgf.parallel.compiled_kernels import njit
from wgf.parallel.threads import most_parts, shared

# a tile of a two-dimensional mesh: so many rows; of a larger one: so many rows or rows of together
# so many cells, on so many planes
ROWS_PER_TILE = 64
ROWS_OF_A_PLANE = 20
CELLS_PER_TILE = 4096
PLANES_PER_TILE = 32
CELLS_PER_PIECE = 4096  # of a longer row
PADDING = 16  # between two pieces that a part keeps
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
    if not periodic:
        return min(max(moved, 0), cells - 1)
    # a division would take as long as some cells of a row
    while moved >= cells:
        moved -= cells
    while moved < 0:
        moved += cells
    return moved


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
def face(rate, before, after, inner, outer):
    """Return what crosses a face.

    `rate` is mobility / h^2; `before` and `after` are the first variations of the cells beside the
    face, so that the velocity over h is ``rate (before - after)``; the flux is upwind between the
    densities `inner` and `outer`.

    Returns ``(positive part of the velocity, flux, loss)``, velocity and flux over h. One of the
    two products is zero, so that the flux is rounded once whether or not the sum is fused. A
    velocity that is no number has neither part: it is seen in the loss alone.
    """
    difference = before - after
    velocity = rate * difference
    flux = fused(larger(velocity, 0.0), inner, smaller(velocity, 0.0) * outer)
    return larger(velocity, 0.0), flux, difference * flux


# The loops below run over pieces of rows of `n` cells, given by addresses: so the compiler fills
# the vector lanes, and a call costs nothing. The number of axes and the order are known to it.


def stage_of_row(second):
    """Return ``(row, begin)`` made of the formulas of one order."""

    @njit(forceinline=True)
    def edges(left, centre, right):
        """Return the densities of a cell at its two faces."""
        if second:
            half = limited_half_slope(left, centre, right)
            return centre - half, centre + half
        return centre, centre

    @njit(forceinline=True)
    def across(rate, axis, rho, xi, j):
        """Return what a cell exchanges across its row: gain, outflow rate, loss.

        `axis` holds the rows after it: densities, first variation, the densities of the one after
        that; the first variation of the row before it; and what that row has left: the densities
        on this side of the faces after the present row, the flux through those before it. They are
        replaced by what the next row needs.
        """
        after, xi_after, further, xi_before, (edge, flux) = axis
        near, far = edges(rho, after[j], further[j])
        inner = edge[j] if second else rho
        ahead, outflow, loss = face(rate, xi, xi_after[j], inner, near)
        back = smaller(rate * (xi_before[j] - xi), 0.0)
        gain = flux[j] - outflow
        flux[j] = outflow
        if second:
            edge[j] = far
        return gain, ahead - back, loss

    @njit(forceinline=True)
    def row(line, variation, axes, rates, dt, base, result, keep, n):
        """Do one stage in a row; return its largest outflow rate and its loss.

        `line` and `variation` hold its densities and first variation with those beyond its ends.
        """
        peak = lost = 0.0
        rate = rates[0]
        edge = edges(line[-2], line[-1], line[0])[1]
        near, far = edges(line[-1], line[0], line[1])
        inflow = face(rate, variation[-1], variation[0], edge, near)[1]
        back, edge = smaller(rate * (variation[-1] - variation[0]), 0.0), far
        for j in range(n):
            rho, xi = line[j], variation[j]
            near, far = edges(rho, line[j + 1], line[j + 2])
            ahead, outflow, loss = face(rate, xi, variation[j + 1], edge, near)
            net, out, lost = inflow - outflow, ahead - back, plus(lost, loss)
            inflow, edge = outflow, far
            back = smaller(rate * (xi - variation[j + 1]), 0.0)
            gain, leaves, loss = across(rates[1], axes[0], rho, xi, j)
            net, out, lost = net + gain, out + leaves, plus(lost, loss)
            if len(axes) > 1:
                gain, leaves, loss = across(rates[2], axes[1], rho, xi, j)
                net, out, lost = net + gain, out + leaves, plus(lost, loss)
            if len(axes) > 2:
                gain, leaves, loss = across(rates[3], axes[2], rho, xi, j)
                net, out, lost = net + gain, out + leaves, plus(lost, loss)
            peak = larger(peak, out)
            new = fused(dt, net, rho)
            result[j] = fused(keep, base[j] - new, new)
        return peak, lost

    @njit()
    def begin(rate, axis, before, previous, here, xi, n):
        """Set what the row before leaves behind, see `across`; `previous` is the one before it."""
        after, _, _, xi_before, kept = axis
        entering = here, xi, after, xi_before, kept
        for j in range(n):
            if second:
                kept[0][j] = edges(previous[j], before[j], here[j])[1]
            across(rate, entering, before[j], xi_before[j], j)

    return row, begin


first_order_row, first_order_begin = stage_of_row(False)
second_order_row, second_order_begin = stage_of_row(True)


@njit(cache=True, forceinline=True)
def begin(low, rate, axis, around, here, xi, n):
    """Set what the row before leaves behind; `around` are the rows `beside` the present one."""
    if low is None:
        second_order_begin(rate, axis, around[1], around[0], here, xi, n)
    else:
        first_order_begin(rate, axis, around[1], around[0], here, xi, n)


@njit(cache=True, forceinline=True)
def stage(low, line, xi, axes, rates, target):
    """Do one stage in a row; where `low` is None nothing of the first order is compiled."""
    if low is None:
        return second_order_row(line, xi, axes, rates, *target)
    return first_order_row(line, xi, axes, rates, *target)


@njit(cache=True, forceinline=True)
def density_row(density, start, column, cells, wrap, result, n):
    """Copy a piece of a row of densities with two neighbours beyond each end."""
    source = at(density, start + column)
    for j in range(n):
        result[j] = source[j]
    for k in range(1, 3):
        result[-k] = density[start + neighbour(column, -k, cells, wrap)]
        result[n - 1 + k] = density[start + neighbour(column + n - 1, k, cells, wrap)]


@njit(cache=True, forceinline=True)
def stored_row(unit, start, column, cells, wrap, result, n):
    """Copy a piece of a row of a stored first variation with one neighbour beyond each end."""
    source = at(unit, start + column)
    for j in range(n):
        result[j] = source[j]
    result[-1] = unit[start + neighbour(column, -1, cells, wrap)]
    result[n] = unit[start + neighbour(column + n - 1, 1, cells, wrap)]


@njit(cache=True)
def variation_row(variation, shape, wrap, place, column, result, n):
    """Fill a piece of a row of a first variation in factors as `stored_row` does."""
    _, unit, profiles = variation
    factor, start, across = row_of_variation(variation, shape, place)
    cells, first = shape[3], shape[0] + shape[1] + shape[2]
    source, along = at(unit, start + column), at(profiles, first + column)
    for j in range(n):
        result[j] = cell_of_variation(factor, source[j], across, along[j])
    left, right = neighbour(column, -1, cells, wrap), neighbour(column + n - 1, 1, cells, wrap)
    result[-1] = cell_of_variation(factor, unit[start + left], across, profiles[first + left])
    result[n] = cell_of_variation(factor, unit[start + right], across, profiles[first + right])


@njit(cache=True, forceinline=True)
def beside(density, start, i, cells, stride, wrap):
    """Return the rows two before, one before, one after and two after along an axis."""
    return (
        at(density, start + (neighbour(i, -2, cells, wrap) - i) * stride),
        at(density, start + (neighbour(i, -1, cells, wrap) - i) * stride),
        at(density, start + (neighbour(i, 1, cells, wrap) - i) * stride),
        at(density, start + (neighbour(i, 2, cells, wrap) - i) * stride),
    )


@njit(cache=True, forceinline=True)
def pair(pieces, number, size):
    """Return where two pieces begin."""
    return shifted(pieces, number * size), shifted(pieces, (number + 1) * size)


@njit(cache=True)
def sweep(
    density, variation, base, result, shape, periodic, rates, dt, keep, low, volume, space,
    outflow, loss, first, last, i0, planes, tile, column, n, scratch,
):  # fmt: skip
    """Do pieces of the rows ``first … last`` of a tile, see `transport`."""
    n0, n1, n2, cells = shape
    piece = (n + PADDING) // 8 * 8
    pieces = shifted(aligned(at(scratch, 0)), 8)
    line, kept0, kept2 = pieces, pair(pieces, 1, piece), pair(pieces, 3, piece)
    ends0 = pair(pieces, 5, piece)
    width = tile[1] - tile[0]
    ring = shifted(pieces, (7 + 2 * (width if n1 > 1 else 1)) * piece)
    held = (width + 2) * piece
    r0, r1, r2, r3 = rates[0], rates[1], rates[2], rates[3]
    wrap = periodic[3]
    unit, stored = variation[1], not variation[2].size
    # what lies before the first row and on it: two planes, of a single plane two rows
    for k in range(0 if stored else 2 if n1 > 1 else 1):
        i1 = neighbour(planes[0], k - 1, n1, periodic[1])
        for m in range(width + 2 if n1 > 1 else 2):
            i2 = neighbour(tile[0], m - 1, n2, periodic[2])
            target = shifted(ring, k * held + m * piece)
            variation_row(variation, shape, wrap, (i0, i1, i2), column, target, n)
    for i1 in range(planes[0], planes[1]):
        k = i1 - planes[0]
        behind, here, ahead = k % 3 * held, (k + 1) % 3 * held, (k + 2) % 3 * held
        successor = neighbour(i1, 1, n1, periodic[1])
        for i2 in range(tile[0], tile[1]):
            m = i2 - tile[0] + 1
            row = (i0 * n1 + i1) * n2 + i2
            start = row * cells + column
            further2 = beside(density, start, i2, n2, cells, periodic[2])
            xi0 = xi1 = ends0
            if stored:
                xi = ring
                stored_row(unit, row * cells, column, cells, wrap, xi, n)
                xi2 = beside(unit, start, i2, n2, cells, periodic[2])[1:3]
                xi1 = beside(unit, start, i1, n1, n2 * cells, periodic[1])[1:3]
                xi0 = beside(unit, start, i0, n0, n1 * n2 * cells, periodic[0])[1:3]
            elif n1 > 1:
                for q in range(m - 1 if m == 1 else m, m + 2 if m == width else m + 1):
                    other = neighbour(tile[0], q - 1, n2, periodic[2])
                    target = shifted(ring, ahead + q * piece)
                    variation_row(variation, shape, wrap, (i0, successor, other), column, target, n)
                xi = shifted(ring, here + m * piece)
                xi1 = shifted(ring, behind + m * piece), shifted(ring, ahead + m * piece)
                xi2 = shifted(ring, here + (m - 1) * piece), shifted(ring, here + (m + 1) * piece)
            else:
                other = neighbour(i2, 1, n2, periodic[2])
                target = shifted(ring, (m + 1 & 3) * piece)
                variation_row(variation, shape, wrap, (i0, i1, other), column, target, n)
                xi = shifted(ring, (m & 3) * piece)
                # along an axis of one cell every neighbour is the cell itself
                xi1 = xi, xi
                xi2 = shifted(ring, (m - 1 & 3) * piece), target
            if row < first or row >= last:
                continue
            density_row(density, row * cells, column, cells, wrap, line, n)
            a2 = further2[2], xi2[1], further2[3], xi2[0], kept2
            if i2 == tile[0] or row == first:
                begin(low, r2, a2, further2, line, xi, n)
            target = dt, at(base, start), at(result, start), keep, n
            if volume is None:
                found = stage(low, line, xi, (a2,), (r3, r2), target)
            else:
                further1 = beside(density, start, i1, n1, n2 * cells, periodic[1])
                kept1 = pair(pieces, 7 + 2 * (m - 1 if n1 > 1 else 0), piece)
                a1 = further1[2], xi1[1], further1[3], xi1[0], kept1
                if i1 == planes[0] or row - n2 < first:
                    begin(low, r1, a1, further1, line, xi, n)
                if space is None:
                    found = stage(low, line, xi, (a2, a1), (r3, r2, r1), target)
                else:
                    further0 = beside(density, start, i0, n0, n1 * n2 * cells, periodic[0])
                    for q in range(0 if stored else 2):
                        other = neighbour(i0, 2 * q - 1, n0, periodic[0])
                        variation_row(variation, shape, wrap, (other, i1, i2), column, xi0[q], n)
                    a0 = further0[2], xi0[1], further0[3], xi0[0], kept0
                    begin(low, r0, a0, further0, line, xi, n)
                    found = stage(low, line, xi, (a2, a1, a0), (r3, r2, r1, r0), target)
            peak, lost = found
            if column > 0:
                peak = larger(peak, outflow[row - first])
                lost += loss[row - first]
            outflow[row - first], loss[row - first] = peak, lost


@njit(cache=True)
def tiles_of(shape):
    """Return ``(rows of a tile, tiles of a plane, groups of planes, cells of a piece)``."""
    _, n1, n2, cells = shape
    width = ROWS_PER_TILE if n1 == 1 else max(4, min(ROWS_OF_A_PLANE, CELLS_PER_TILE // cells))
    width, groups = min(width, n2), (n1 + PLANES_PER_TILE - 1) // PLANES_PER_TILE
    return width, (n2 + width - 1) // width, groups, min(cells, CELLS_PER_PIECE)


def kind_of(shape, order):
    """Return what the compiler is told by None or True: of first order, of three axes, of four."""
    return tuple(each or None for each in (order == 1, shape[0] * shape[1] > 1, shape[0] > 1))


def room(shape):
    """Return the room that each part of `transport` needs beside the arrays over cells."""
    width, tiles, groups, n = tiles_of(shape)
    rows = 7 + (2 * width + 3 * (width + 2) if shape[1] > 1 else 6)
    size, parts = rows * ((n + PADDING) // 8 * 8) + 32, shape[0] * groups * tiles
    return np.empty((min(parts, most_parts()), size))


@shared(lambda density, *_: 1.5 * density.size, most=lambda *arguments: len(arguments[-1]))
@njit(cache=True, nogil=True)
def transport(
    density, variation, base, result, shape, periodic, rates, dt, keep, kind, outflow, loss,
    first, last, scratch, part, parts,
):  # fmt: skip
    """One upwind stage ``result = keep base + (1 - keep) (density + dt L(density))``.

    ``L(rho)_j = -sum_axes (f_right - f_left) / h``, flux ``f = u rho_upwind``. `variation` is the
    first variation as ``(amplitude, unit, profiles)``, see `kernels.first_variation`; `rates`
    holds mobility / h^2 by axis. Only the rows ``first … last`` are made. `outflow` receives the
    largest outflow rate of each of them, ``sum_axes (u_right^+ + u_left^-) / h``; `loss` its share
    of ``sum_faces u^2 rho / mobility``. `kind` comes from `kind_of`, `scratch` from `room`.

    All axes are done in one visit of a row. Parts are tiles: some rows along the third axis,
    which are carried along the second one while the planes around them stay in the cache; a face
    is evaluated once and kept for the row behind it, the first variation row by row, never stored.
    """
    width, tiles, groups, n = tiles_of(shape)
    tasks = shape[0] * groups * tiles
    for task in range(part * tasks // parts, (part + 1) * tasks // parts):
        i0, group, k = task // (groups * tiles), task // tiles % groups, task % tiles
        planes = group * PLANES_PER_TILE, min((group + 1) * PLANES_PER_TILE, shape[1])
        tile = k * width, min((k + 1) * width, shape[2])
        for column in range(0, shape[3], n):
            sweep(
                density, variation, base, result, shape, periodic, rates, dt, keep, kind[0],
                kind[1], kind[2], outflow, loss, first, last, i0, planes, tile, column,
                min(n, shape[3] - column), scratch[part],
            )  # fmt: skip
