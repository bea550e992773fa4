"""Numba kernels of the Runge-Kutta-Legendre method: fused stages of stored fluxes."""

import numpy as np
from numba import njit, prange

from wgf.eulerian.flux_kernels import CELLS_PER_BLOCK, powers
from wgf.eulerian.transport_kernels import at, shifted

CONTRACTED = {"nsz", "contract"}


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
