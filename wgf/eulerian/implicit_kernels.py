"""Numba kernels of drift and diffusion along one axis: fluxes, explicit stages, line solves.

An array of the mesh is seen as ``(before, n, after)`` around the axis in question; a *line* runs
along it. The face between two cells with first variations ``xi`` and diffusion ``eps`` carries

    f = rate (eps B(z) rho_left - eps B(-z) rho_right),   z = (xi_right - xi_left) / eps,

``B(z) = z / (exp(z) - 1)``: the Scharfetter-Gummel flux, which vanishes exactly on the Gibbs
density ``exp(-xi / eps)`` and is the upwind flux as ``eps`` tends to 0.
"""

import numpy as np
from numba import njit, prange

LINES_PER_BLOCK = 16


@njit(cache=True)
def bernoulli(z):
    """Return ``z / (exp(z) - 1)``."""
    if abs(z) < 1e-8:
        return 1.0 - 0.5 * z
    if z > 700.0:
        return 0.0
    return z / np.expm1(z)


@njit(cache=True)
def bernoulli_slope(z):
    """Return the derivative of `bernoulli`, between -1 and 0."""
    if abs(z) < 1e-3:
        return -0.5 + z / 6.0 - z * z * z / 180.0
    return bernoulli(z) * (1.0 - bernoulli(-z)) / z


@njit(cache=True)
def face(left, right, delta, eps):
    """Return the coefficients of the outflow of both cells and the density that moves.

    The flux over rate is ``ahead left - back right``; its derivative in `delta`, the difference
    of the first variation, is minus the third number, which is never negative.
    """
    if eps > 0.0:
        z = delta / eps
        moved = -(bernoulli_slope(z) * left + bernoulli_slope(-z) * right)
        return eps * bernoulli(z), eps * bernoulli(-z), moved
    if delta < 0.0:
        return -delta, 0.0, left
    return 0.0, delta, right if delta > 0.0 else 0.5 * (left + right)


@njit(cache=True)
def dissipated(flux, left, right, eps):
    """Return ``flux^2 / rho`` with the upwind density, or the mean where there is diffusion."""
    if flux == 0.0:
        return 0.0
    if eps > 0.0:
        return 2.0 * flux * flux / (left + right)
    return flux * flux / (left if flux > 0.0 else right)


@njit(cache=True, parallel=True)
def add_fluxes(density, potential, before, n, after, periodic, rate, eps, net, outflow, loss):
    """Add minus the divergence of the flux along one axis to `net`.

    `outflow` gains the outflow rate of every cell, `loss` (one number a line) the dissipation
    ``sum_faces rate f^2 / rho``.
    """
    lines = before * after
    for line in prange(lines):
        origin = (line // after) * n * after + line % after
        lost = 0.0
        for i in range(n if periodic else n - 1):
            c = origin + i * after
            d = origin + ((i + 1) % n) * after
            ahead, back, _ = face(density[c], density[d], potential[d] - potential[c], eps)
            flux = ahead * density[c] - back * density[d]
            net[c] -= rate * flux
            net[d] += rate * flux
            outflow[c] += rate * ahead
            outflow[d] += rate * back
            lost += rate * dissipated(flux, density[c], density[d], eps)
        loss[line] += lost


@njit(cache=True)
def solve_line(a, b, y, periodic, q, p, c, x):
    """Solve ``(1 + a_i + b_i) x_i - b_{i-1} x_{i-1} - a_{i+1} x_{i+1} = y_i``; `y` is overwritten.

    ``a >= 0`` leaves to the left and ``b >= 0`` to the right; on a wall both are zero. The
    elimination adds, multiplies and divides only non-negative numbers: every entry is known to a
    few units in the last place times n, and a non-negative `y` gives a non-negative `x`. On a
    period the last cell is kept apart and the flow through the others is sent back to it.
    """
    n = a.size
    last = n - 1 if periodic else n
    q[0] = 1.0
    c[0] = a[0] if periodic else 0.0
    p[0] = q[0] + b[0] + c[0]
    for i in range(1, last):
        share = a[i] / p[i - 1]
        q[i] = 1.0 + share * q[i - 1]
        c[i] = share * c[i - 1]
        p[i] = q[i] + b[i] + c[i]
        y[i] += b[i - 1] / p[i - 1] * y[i - 1]
    if not periodic:
        x[n - 1] = y[n - 1] / p[n - 1]
        for i in range(n - 2, -1, -1):
            x[i] = (y[i] + a[i + 1] * x[i + 1]) / p[i]
        return
    k = n - 1
    stays = q[k - 1] / p[k - 1]
    pivot = 1.0 + a[k] * stays
    total = y[k] + b[k - 1] / p[k - 1] * y[k - 1]
    for i in range(k - 2, -1, -1):
        stays = (q[i] + b[i] * stays) / p[i]
    pivot += b[k] * stays
    for i in range(k):
        total += c[i] / p[i] * y[i]
    x[k] = total / pivot
    # inflow from the last cell, carried forward
    carried = b[k]
    for i in range(k):
        y[i] += carried * x[k]
        carried *= b[i] / p[i]
    y[k - 1] += a[k] * x[k]
    x[k - 1] = y[k - 1] / p[k - 1]
    for i in range(k - 2, -1, -1):
        x[i] = (y[i] + a[i + 1] * x[i + 1]) / p[i]


@njit(cache=True)
def slope_of_energy(rho, strength, exponent):
    """Return ``U'`` of ``U = strength rho^m / (m - 1)``."""
    return strength * exponent / (exponent - 1.0) * rho ** (exponent - 1.0)


@njit(cache=True)
def line_coefficients(
    rho, xi, eps, strength, exponent, step, periodic, linearised, a, b, moved, flux
):
    """Fill the outflow coefficients, the moved density and the flux of the faces.

    `linearised` adds the dependence of the power energy on the density to the coefficients.
    """
    n = rho.size
    a[:] = 0.0
    b[:] = 0.0
    for i in range(n if periodic else n - 1):
        j = (i + 1) % n
        delta = xi[j] - xi[i]
        if strength > 0.0:
            energy_i = slope_of_energy(rho[i], strength, exponent)
            delta += slope_of_energy(rho[j], strength, exponent) - energy_i
        ahead, back, moved[i] = face(rho[i], rho[j], delta, eps)
        flux[i] = step * (ahead * rho[i] - back * rho[j])
        if linearised and strength > 0.0:
            stiff = strength * exponent * moved[i]
            ahead += stiff * rho[i] ** (exponent - 2.0)
            back += stiff * rho[j] ** (exponent - 2.0)
        b[i] += step * ahead
        a[j] += step * back
    if not periodic:
        moved[n - 1] = 0.0
        flux[n - 1] = 0.0


@njit(cache=True)
def newton_line(start, xi, eps, strength, exponent, step, periodic, work, a, b, moved):
    """Solve one line of the implicit step; return whether it converged.

    The result is ``work[0]``. Without a power energy the system is linear and solved at once;
    with one it is an M-function and Newton's method is kept positive by taking at most nine
    tenths of a cell's content away.
    """
    n = start.size
    rho, y, q, p, c, flux, x = work[0], work[1], work[2], work[3], work[4], work[5], work[6]
    if strength == 0.0:
        rho[:] = start
        line_coefficients(rho, xi, eps, strength, exponent, step, periodic, True, a, b, moved, flux)
        y[:] = start
        solve_line(a, b, y, periodic, q, p, c, rho)
        # the moved density belongs to the solution
        line_coefficients(rho, xi, eps, strength, exponent, step, periodic, True, a, b, moved, flux)
        return True
    largest = start.max()
    if largest == 0.0:
        rho[:] = 0.0
        a[:] = 0.0
        b[:] = 0.0
        moved[:] = 0.0
        return True
    floor = 1e-30 * largest if exponent > 1.0 else 1e-10 * largest
    for i in range(n):
        rho[i] = max(start[i], floor)
    previous = np.inf
    for _ in range(200):
        line_coefficients(rho, xi, eps, strength, exponent, step, periodic, True, a, b, moved, flux)
        for i in range(n):
            before = flux[i - 1] if i > 0 else (flux[n - 1] if periodic else 0.0)
            # J rho - N(rho): what the linearised line must give
            own = (a[i] + b[i]) * rho[i]
            left = b[i - 1] * rho[i - 1] if i > 0 else b[n - 1] * rho[n - 1] * periodic
            right = a[i + 1] * rho[i + 1] if i < n - 1 else a[0] * rho[0] * periodic
            y[i] = start[i] - flux[i] + before + own - left - right
        solve_line(a, b, y, periodic, q, p, c, x)
        change = 0.0
        for i in range(n):
            new = max(x[i], 0.1 * rho[i])
            change = max(change, abs(new - rho[i]))
            if x[i] != new:
                change = max(change, abs(x[i]))
            rho[i] = new
        if not np.isfinite(change):
            return False
        if change <= 1e-15 * largest or (change <= 1e-11 * largest and change >= 0.5 * previous):
            # once more with the fluxes found: this solve conserves the mass to round-off
            line_coefficients(
                rho, xi, eps, strength, exponent, step, periodic, False, a, b, moved, flux
            )
            y[:] = start
            solve_line(a, b, y, periodic, q, p, c, rho)
            line_coefficients(
                rho, xi, eps, strength, exponent, step, periodic, True, a, b, moved, flux
            )
            return True
        previous = change
    return False


@njit(cache=True, parallel=True)
def implicit_lines(
    start, potential, before, n, after, periodic, step, eps, strength, exponent, result, a, b,
    moved, failed,
):  # fmt: skip
    """Make the implicit step along one axis; `step` is dt times mobility over h^2.

    Fills the density, the coefficients of the linearised lines and the moved density of the face
    ahead of each cell, all line after line (``a[line, i]``); ``failed[line]`` is 1 where
    Newton's method did not converge.
    """
    lines = before * after
    blocks = (lines + LINES_PER_BLOCK - 1) // LINES_PER_BLOCK
    for block in prange(blocks):
        work = np.empty((7, n))
        rho, xi = np.empty(n), np.empty(n)
        for line in range(block * LINES_PER_BLOCK, min((block + 1) * LINES_PER_BLOCK, lines)):
            origin = (line // after) * n * after + line % after
            for i in range(n):
                rho[i] = start[origin + i * after]
                xi[i] = potential[origin + i * after]
            done = newton_line(
                rho, xi, eps, strength, exponent, step, periodic, work,
                a[line], b[line], moved[line],
            )  # fmt: skip
            failed[line] = 0 if done else 1
            for i in range(n):
                result[origin + i * after] = work[0, i]


@njit(cache=True, parallel=True)
def linearised_lines(change, before, n, after, periodic, step, a, b, moved, result):
    """Fill the change of the density that a `change` of the first variation causes."""
    lines = before * after
    blocks = (lines + LINES_PER_BLOCK - 1) // LINES_PER_BLOCK
    for block in prange(blocks):
        work = np.empty((5, n))
        for line in range(block * LINES_PER_BLOCK, min((block + 1) * LINES_PER_BLOCK, lines)):
            origin = (line // after) * n * after + line % after
            y = work[0]
            y[:] = 0.0
            for i in range(n if periodic else n - 1):
                j = (i + 1) % n
                slope = change[origin + j * after] - change[origin + i * after]
                flux = -step * moved[line, i] * slope
                y[i] -= flux
                y[j] += flux
            solve_line(a[line], b[line], y, periodic, work[1], work[2], work[3], work[4])
            for i in range(n):
                result[origin + i * after] = work[4, i]
