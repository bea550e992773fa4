"""Numba kernels of the limited flux: order 2 where drift outweighs diffusion in a cell.

The Scharfetter-Gummel flux is of first order where ``|z| = |Δxi| / eps`` is large. There the flux

    -rate edge (ΔV + eps Δlog rho + Δpi),    pi = sum s m / (m - 1) rho^(m - 1),

with `edge` the limited reconstruction of the density on the upwind side (Carrillo, Chertock &
Huang 2015) is of second order for every eps and vanishes on the stationary states. It is stiff
where neighbours differ by orders of magnitude, so that the former flux stays there: what is added
to it is ``weight (limited flux - former flux)``, on a list of faces.
"""

import numpy as np
from numba import njit

from wgf.eulerian.stabilised_kernels import CELLS_PER_BLOCK, gain, pair, power_of, powers
from wgf.eulerian.stabilised_kernels import net_gain as linear_gain
from wgf.eulerian.transport_kernels import limited_half_slope

# cells of less than this share of the largest density keep the Scharfetter-Gummel flux
SLIGHT = 1e-7
# the limited flux pays where the other one spreads by this much more than eps ...
EXCESS = 2e-3
# ... and drift dissipates so many times more than diffusion
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
        if weight == 0.0:
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


@njit(cache=True)
def corrections(values, geometry, chosen, terms, eps, strengths, exponents, result):
    """Fill what the limited flux adds at the chosen faces."""
    here, there, before, beyond = geometry[:4]
    everywhere = eps == 0.0
    for k in range(strengths.size):
        everywhere = everywhere and exponents[k] >= 2.0
    for f in range(chosen.size):
        face = chosen[f]
        c, d = here[face], there[face]
        left, right = values[c], values[d]
        result[f] = 0.0
        rate, delta, weight = terms[f, 0], terms[f, 1], terms[f, 2]
        ahead, back = terms[f, 3], terms[f, 4]
        xi = delta
        if not everywhere or eps > 0.0:
            if not (left > 0.0 and right > 0.0):
                continue
            ratio = np.log(right / left)
            if abs(ratio) >= 2.0:
                continue
            weight *= min(2.0 - abs(ratio), 1.0)
            xi += eps * ratio
        former = ahead * left - back * right
        if strengths.size:
            xi += pressure(right, strengths, exponents) - pressure(left, strengths, exponents)
            former += power_of(left, strengths, exponents) - power_of(right, strengths, exponents)
        if xi < 0.0:
            edge = left + limited_half_slope(values[before[face]], left, right)
        else:
            edge = right - limited_half_slope(left, right, values[beyond[face]])
        result[f] = rate * weight * (-xi * edge - former)


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
    linear_gain(problem, faces, p, w, net)
    scatter_fluxes(mean, geometry, chosen, net)
    return mean
