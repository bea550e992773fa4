"""Numba kernels of the limited flux: order 2 where drift outweighs diffusion in a cell.

The Scharfetter-Gummel flux is of first order where ``|z| = |Δxi| / eps`` is large. There the flux

    -rate edge (ΔV + eps Δlog rho + Δpi),    pi = sum s m / (m - 1) rho^(m - 1),

with `edge` the limited reconstruction of the density on the upwind side (Carrillo, Chertock &
Huang 2015) is of second order for every eps and vanishes on the stationary states. It is stiff
where neighbours differ by orders of magnitude, so that the former flux stays there: what is added
to it is ``weight (limited flux - former flux)``, on a list of faces.
"""

import numpy as np

from wgf.eulerian.flux_kernels import CELLS_PER_BLOCK, net_gain, pair, power_of, powers
from wgf.eulerian.legendre_kernels import gain
from wgf.eulerian.transport_kernels import limited_half_slope
from wgf.parallel.compiled_kernels import njit

# cells of less than this share of the largest density keep the Scharfetter-Gummel flux
SLIGHT = 1e-7
# the limited flux pays where the other one spreads by this much more than eps ...
EXCESS = 2e-3
# ... and drift dissipates this many times more than diffusion
OUTWEIGHS = 30.0


@njit(cache=True)
def balance(potential, values, strides, counts, rates, eps):
    """Return what drift and diffusion would dissipate alone, and the mean excess diffusion.

    The excess is that of the Scharfetter-Gummel flux over eps, a mean over the mass.
    """
    least = SLIGHT * values.max()
    drift = diffusion = excess = weight = 0.0
    for k in range(strides.size):
        stride, n, rate = strides[k], counts[k], rates[k]
        for begin in range(0, values.size, stride * n):
            for j in range(begin, begin + stride * (n - 1)):
                both = values[j] + values[j + stride]
                if not both > least:
                    continue
                delta = potential[j + stride] - potential[j]
                if abs(delta) < np.inf:
                    rise = eps * (values[j + stride] - values[j])
                    drift += rate * both * delta * delta
                    diffusion += 4.0 * rate * rise * rise / both
                    # for small differences z^2 / 12, for large ones |z| / 2
                    z = abs(delta) / eps
                    excess += rate * both * min(z * z / 12.0, 0.5 * z)
                weight += rate * both
    return drift, diffusion, excess / max(weight, 1e-300)


@njit(cache=True)
def select(potential, values, geometry, eps, strengths, exponents, chosen, terms, advection):
    """Fill the faces on which the flux is limited; return how many there are and the fastest cell.

    ``terms`` receives rate, difference of the potential, weight and both coefficients of the
    former flux over the rate. The second number is the largest sum of drift velocities over the
    spacing in a cell.
    """
    here, there, rates = geometry[0], geometry[1], geometry[4]
    least, count = SLIGHT * values.max(), 0
    advection[:] = 0.0
    for f in range(here.size):
        c, d = here[f], there[f]
        if not max(values[c], values[d]) > least:
            continue
        delta = potential[d] - potential[c]
        if delta == 0.0 or not abs(delta) < np.inf:
            continue
        weight = 1.0
        if eps > 0.0:
            weight = min(max(10.0 * abs(delta) / eps - 1.0, 0.0), 1.0)
        # the former flux of drift and powers is that of two flows, which the balanced one mends
        if weight == 0.0 and not strengths.size:
            continue
        ahead, back = pair(delta, 1.0, eps)
        chosen[count] = f
        terms[count, 0], terms[count, 1], terms[count, 2] = rates[f], delta, weight
        terms[count, 3], terms[count, 4] = ahead, back
        count += 1
        diffusion = eps
        for k in range(strengths.size):
            mean = 0.5 * (values[c] + values[d])
            diffusion += strengths[k] * exponents[k] * mean ** (exponents[k] - 1.0)
        # a drift that diffusion outweighs does not bound the step
        if diffusion < abs(delta):
            advection[c] += rates[f] * abs(delta)
            advection[d] += rates[f] * abs(delta)
    return count, 0.5 * advection.max()


@njit(cache=True, forceinline=True)
def pressure(rho, strengths, exponents):
    """Return ``sum s m / (m - 1) rho^(m - 1)``."""
    total = 0.0
    for k in range(strengths.size):
        m = exponents[k]
        if m == 2.0:
            total += 2.0 * strengths[k] * rho
        else:
            total += strengths[k] * m / (m - 1.0) * max(rho, 0.0) ** (m - 1.0)
    return total


@njit(cache=True, forceinline=True)
def balanced(left, right, xi, eps, strengths, exponents):
    """Return the flux over the rate that power entropies and drift make together.

    `xi` is the difference of the first variation without the entropy. The flux falls with the
    whole first variation and vanishes where that is constant; it is of first order.
    """
    if eps > 0.0:
        ahead, back = pair(xi, 1.0, eps)
        return ahead * left - back * right
    up, down = (right, left) if xi > 0.0 else (left, right)
    if up > 1.001 * down:
        # the mean for which the powers alone make the central flux
        up = (power_of(up, strengths, exponents) - power_of(down, strengths, exponents)) / (
            pressure(up, strengths, exponents) - pressure(down, strengths, exponents)
        )
    return -xi * up


@njit(cache=True)
def corrections(values, geometry, chosen, terms, eps, strengths, exponents, result):
    """Fill what the limited flux adds at the chosen faces."""
    here, there, before, beyond = geometry[:4]
    powered = strengths.size > 0
    everywhere = eps == 0.0
    for k in range(strengths.size):
        everywhere = everywhere and exponents[k] >= 2.0
    for f in range(chosen.size):
        face = chosen[f]
        left, right = values[here[face]], values[there[face]]
        rate, xi, weight = terms[f, 0], terms[f, 1], terms[f, 2]
        former = terms[f, 3] * left - terms[f, 4] * right
        low = former
        if powered:
            # a stage may lie a little below 0
            bare_left, bare_right = max(left, 0.0), max(right, 0.0)
            former += power_of(left, strengths, exponents) - power_of(right, strengths, exponents)
            xi += pressure(right, strengths, exponents) - pressure(left, strengths, exponents)
            low = balanced(bare_left, bare_right, xi, eps, strengths, exponents)
        if not everywhere:
            ratio = 2.0
            if left > 0.0 and right > 0.0:
                ratio = np.log(right / left)
            weight *= min(max(2.0 - abs(ratio), 0.0), 1.0)
            xi += eps * ratio
        flux = low
        if weight > 0.0:
            if xi < 0.0:
                edge = left + limited_half_slope(values[before[face]], left, right)
            else:
                edge = right - limited_half_slope(left, right, values[beyond[face]])
            flux += weight * (-xi * edge - low)
        result[f] = rate * (flux - former)


@njit(cache=True)
def scatter_fluxes(fluxes, geometry, chosen, net):
    """Add what cells gain by the fluxes of the chosen faces."""
    here, there = geometry[0], geometry[1]
    for f in range(chosen.size):
        net[here[chosen[f]]] -= fluxes[f]
        net[there[chosen[f]]] += fluxes[f]


@njit(cache=True)
def limited_legendre(problem, faces, start, w_start, p, p_old, w, w_old, dt, factors, limiter, net):
    """Make the stages of a step with the limited flux: as `legendre`, fluxes of every stage added.

    Returns the mean of what the limited flux added at the chosen faces; `net` is what every cell
    gains in a unit of time.
    """
    geometry, chosen, terms, eps, strengths, exponents = limiter
    pad, size, linear = problem[6], start.size, problem[0]
    value = start.copy()
    first = np.empty(chosen.size)
    corrections(start, geometry, chosen, terms, eps, strengths, exponents, first)
    tilde = factors[0, 2]
    mean, mean_old, found = tilde * first, np.zeros(chosen.size), np.empty(chosen.size)
    p_old[:], w_old[:] = 0.0, 0.0
    p[pad : pad + size] = tilde * start
    if w_start.size:
        w[pad : pad + size] = tilde * w_start
    for j in range(1, factors.shape[0]):
        mu, nu, tilde, gamma = factors[j, 0], factors[j, 1], factors[j, 2], factors[j, 3]
        for block in range((size + CELLS_PER_BLOCK - 1) // CELLS_PER_BLOCK):
            begin = block * CELLS_PER_BLOCK
            count = min(CELLS_PER_BLOCK, size - begin)
            gain(problem, p, w, block, begin, count, net[begin : begin + count], 0)
        scatter_fluxes(mean, geometry, chosen, net)
        for i in range(size):
            value[i] = start[i] + dt * net[i]
        if linear:
            for i in range(size):
                p_old[pad + i] = (mu * p[pad + i] + nu * p_old[pad + i]) + (
                    tilde * value[i] + gamma * start[i]
                )
            p, p_old = p_old, p
        if w_start.size:
            powers(value, strengths, exponents, net)
            for i in range(size):
                w_old[pad + i] = (mu * w[pad + i] + nu * w_old[pad + i]) + (
                    tilde * net[i] + gamma * w_start[i]
                )
            w, w_old = w_old, w
        corrections(value, geometry, chosen, terms, eps, strengths, exponents, found)
        for f in range(chosen.size):
            new = (mu * mean[f] + nu * mean_old[f]) + (tilde * found[f] + gamma * first[f])
            mean_old[f], mean[f] = mean[f], new
    net_gain(problem, faces, p, w, net)
    scatter_fluxes(mean, geometry, chosen, net)
    return mean
