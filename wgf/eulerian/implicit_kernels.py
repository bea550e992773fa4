"""Numba kernels of drift and diffusion along one axis: fluxes, explicit stages, line solves.

An array of the mesh is seen as ``(before, n, after)`` around the axis in question; a *line* runs
along it. The face between two cells with first variations ``xi`` and diffusion ``eps`` carries

    f = rate (eps B(z) rho_left - eps B(-z) rho_right),   z = (xi_right - xi_left) / eps,

``B(z) = z / (exp(z) - 1)``: the Scharfetter-Gummel flux, which vanishes exactly on the Gibbs
density ``exp(-xi / eps)`` and is the upwind flux as ``eps`` tends to 0.
"""

import numpy as np

from wgf.parallel.compiled_kernels import njit
from wgf.parallel.threads import shared

# lines solved side by side, one a vector lane: enough of them to hide the time of a division
LANES = 16


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


@shared(lambda density, *_: 15.0 * density.size)
@njit(cache=True, nogil=True)
def add_fluxes(
    density, potential, before, n, after, periodic, rate, eps, net, outflow, loss, part, parts,
):  # fmt: skip
    """Add minus the divergence of the flux along one axis to `net`.

    `outflow` gains the outflow rate of every cell, `loss` (one number a line) the dissipation
    ``sum_faces rate f^2 / rho``.
    """
    lines = before * after
    for line in range(part * lines // parts, (part + 1) * lines // parts):
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


@njit(cache=True, error_model="numpy")
def solve_panel(a, b, y, periodic, q, r, c, x):
    """Solve ``(1 + a_i + b_i) x_i - b_{i-1} x_{i-1} - a_{i+1} x_{i+1} = y_i`` in every lane.

    All arrays are ``(n, LANES)``; `y` is overwritten. ``a >= 0`` leaves to the left and ``b >= 0``
    to the right; on a wall both are zero. The elimination adds, multiplies and divides only
    non-negative numbers: every entry is known to a few units in the last place times n, and a
    non-negative `y` gives a non-negative `x`. On a period the last cell is kept apart and the flow
    through the others is sent back to it.
    """
    n = a.shape[0]
    last = n - 1 if periodic else n
    for k in range(LANES):
        q[0, k] = 1.0
        c[0, k] = a[0, k] if periodic else 0.0
        r[0, k] = 1.0 / (1.0 + b[0, k] + c[0, k])
    for i in range(1, last):
        for k in range(LANES):
            share = a[i, k] * r[i - 1, k]
            q[i, k] = 1.0 + share * q[i - 1, k]
            c[i, k] = share * c[i - 1, k]
            r[i, k] = 1.0 / (q[i, k] + b[i, k] + c[i, k])
            y[i, k] += b[i - 1, k] * r[i - 1, k] * y[i - 1, k]
    if periodic:
        close_period(a, b, y, q, r, c, x[n - 1])
    for k in range(LANES):
        x[last - 1, k] = y[last - 1, k] * r[last - 1, k]
    for i in range(last - 2, -1, -1):
        for k in range(LANES):
            x[i, k] = (y[i, k] + a[i + 1, k] * x[i + 1, k]) * r[i, k]


@njit(cache=True, error_model="numpy")
def close_period(a, b, y, q, r, c, x):
    """Find the last cell `x` of every periodic lane and add what flows from it to `y`."""
    m = a.shape[0] - 1
    stays, total, carried = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    for k in range(LANES):
        stays[k] = q[m - 1, k] * r[m - 1, k]
        carried[k] = 1.0 + a[m, k] * stays[k]
        total[k] = y[m, k] + b[m - 1, k] * r[m - 1, k] * y[m - 1, k]
    for i in range(m - 2, -1, -1):
        for k in range(LANES):
            stays[k] = (q[i, k] + b[i, k] * stays[k]) * r[i, k]
    for i in range(m):
        for k in range(LANES):
            total[k] += c[i, k] * r[i, k] * y[i, k]
    for k in range(LANES):
        x[k] = total[k] / (carried[k] + b[m, k] * stays[k])
        carried[k] = b[m, k]
    # inflow from the last cell, carried forward
    for i in range(m):
        for k in range(LANES):
            y[i, k] += carried[k] * x[k]
            carried[k] *= b[i, k] * r[i, k]
    for k in range(LANES):
        y[m - 1, k] += a[m, k] * x[k]


@shared(lambda rho, *_: 40.0 * rho.size)
@njit(cache=True, nogil=True)
def power_energy(rho, strength, exponent, slope, curve, part, parts):
    """Fill ``U'`` of ``U = strength rho^m / (m - 1)`` and ``rho^(m - 2)``, panel after panel."""
    panels = rho.shape[0]
    for panel in range(part * panels // parts, (part + 1) * panels // parts):
        for i in range(rho.shape[1]):
            for k in range(LANES):
                value = rho[panel, i, k]
                power = value ** (exponent - 1.0)
                slope[panel, i, k] = strength * exponent / (exponent - 1.0) * power
                curve[panel, i, k] = value ** (exponent - 2.0)


@njit(cache=True, error_model="numpy")
def coefficients(rho, xi, eps, energy, step, periodic, linearised, a, b, moved, flux):
    """Fill the outflow coefficients, the moved density and the flux of the faces of a panel.

    `energy` holds a factor, ``U'`` and ``U'' / factor`` of an energy of the density; the factor is
    0 if there is none. `linearised` adds what depends on the density through it.
    """
    n = rho.shape[0]
    factor, slope, curve = energy
    delta, ahead, back = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    a[0] = b[n - 1] = moved[n - 1] = flux[n - 1] = 0.0
    for i in range(n if periodic else n - 1):
        j = (i + 1) % n
        for k in range(LANES):
            delta[k] = xi[j, k] - xi[i, k]
        if factor > 0.0:
            for k in range(LANES):
                delta[k] += slope[j, k] - slope[i, k]
        if eps > 0.0:
            for k in range(LANES):
                ahead[k], back[k], moved[i, k] = face(rho[i, k], rho[j, k], delta[k], eps)
        else:
            for k in range(LANES):
                ahead[k], back[k], moved[i, k] = face(rho[i, k], rho[j, k], delta[k], 0.0)
        for k in range(LANES):
            flux[i, k] = step * (ahead[k] * rho[i, k] - back[k] * rho[j, k])
        if linearised and factor > 0.0:
            for k in range(LANES):
                stiff = factor * moved[i, k]
                ahead[k] += stiff * curve[i, k]
                back[k] += stiff * curve[j, k]
        for k in range(LANES):
            b[i, k] = step * ahead[k]
            a[j, k] = step * back[k]


@njit(cache=True)
def begin_newton(start, floor, rho, largest, done):
    """Fill the first guess: a line without mass is done, other cells hold a little at least."""
    for k in range(LANES):
        largest[k] = start[:, k].max()
        done[k] = largest[k] == 0.0
        for i in range(start.shape[0]):
            rho[i, k] = max(start[i, k], floor * largest[k])


@njit(cache=True, error_model="numpy")
def newton_step(
    start, xi, eps, energy, step, periodic, work, a, b, moved, largest, previous, done, failed
):
    """Improve ``work[0]`` by one step of Newton's method, in lanes that are not done.

    Every line is an M-function: the step is kept positive by taking at most nine tenths of a
    cell's content away.
    """
    n = start.shape[0]
    rho, y, x, flux = work[0], work[1], work[2], work[3]
    coefficients(rho, xi, eps, energy, step, periodic, True, a, b, moved, flux)
    for i in range(n):
        for k in range(LANES):
            # J rho - N(rho): what the linearised line must give
            own = (a[i, k] + b[i, k]) * rho[i, k]
            left = b[i - 1, k] * rho[i - 1, k]
            right = a[(i + 1) % n, k] * rho[(i + 1) % n, k]
            y[i, k] = start[i, k] - flux[i, k] + flux[i - 1, k] + own - left - right
    solve_panel(a, b, y, periodic, work[4], work[5], work[6], x)
    for k in range(LANES):
        if done[k]:
            continue
        change = 0.0
        for i in range(n):
            new = max(x[i, k], 0.1 * rho[i, k])
            change = max(change, abs(new - rho[i, k]))
            if x[i, k] != new:
                change = max(change, abs(x[i, k]))
            rho[i, k] = new
        small = change <= 1e-11 * largest[k] and change >= 0.5 * previous[k]
        done[k] = not np.isfinite(change) or small or change <= 1e-15 * largest[k]
        failed[k] = not np.isfinite(change)
        previous[k] = change


@njit(cache=True)
def copy(source, target):
    """Copy a panel."""
    target[:] = source


@njit(cache=True)
def origins(panel, before, n, after):
    """Return where the lines of a panel begin; lanes without a line of their own do the last."""
    found = np.empty(LANES, dtype=np.int64)
    for k in range(LANES):
        line = min(panel * LANES + k, before * after - 1)
        found[k] = (line // after) * n * after + line % after
    return found


@njit(cache=True)
def gather(values, origin, after, panel):
    """Copy lines into a panel."""
    for i in range(panel.shape[0]):
        for k in range(LANES):
            panel[i, k] = values[origin[k] + i * after]


@njit(cache=True)
def scatter(panel, origin, after, values):
    """Copy a panel into lines."""
    for i in range(panel.shape[0]):
        for k in range(LANES):
            values[origin[k] + i * after] = panel[i, k]


@njit(cache=True, error_model="numpy")
def implicit_panel(start, xi, eps, stage, energy, step, periodic, work, lines, progress):
    """Do a stage of `implicit_lines` in a panel, whose density is ``work[0]``."""
    a, b, moved = lines
    if stage == 1:
        newton_step(start, xi, eps, energy, step, periodic, work, a, b, moved, *progress)
    if stage == 2:
        coefficients(work[0], xi, eps, energy, step, periodic, False, a, b, moved, work[3])
        work[1] = start
        solve_panel(a, b, work[1], periodic, work[4], work[5], work[6], work[0])
    if stage == 3 or energy[0] == 0.0:
        # the moved density belongs to the solution
        coefficients(work[0], xi, eps, energy, step, periodic, True, a, b, moved, work[3])
    if stage == 3:
        for k in range(LANES):
            if start[:, k].max() == 0.0:
                work[0, :, k] = a[:, k] = b[:, k] = moved[:, k] = 0.0


@shared(lambda start, *_: 50.0 * start.size)
@njit(cache=True, nogil=True)
def implicit_lines(
    start, potential, before, n, after, periodic, step, eps, stage, factor, floor, rho, slope,
    curve, largest, previous, done, failed, result, a, b, moved, part, parts,
):  # fmt: skip
    """Do a stage of the implicit step along one axis; `step` is dt times mobility over h^2.

    - 0 makes a first guess of at least `floor` times the largest cell of its line,
    - 1 is one step of Newton's method,
    - 2 solves the lines with the fluxes found, which conserves the mass to round-off,
    - 3 linearises them there and fills the density `result`.

    Without an energy of the density the lines are linear: stage 2 alone does everything.

    Arrays hold panel after panel, ``a[panel, i, lane]``: the density and ``U'`` and
    ``U'' / factor`` there; the largest cell, the last change, and whether the line is done and has
    failed; the coefficients of the linearised lines and the moved density of the face ahead of
    each cell.
    """
    panels = a.shape[0]
    for panel in range(part * panels // parts, (part + 1) * panels // parts):
        work, begin, xi = np.empty((7, n, LANES)), np.empty((n, LANES)), np.empty((n, LANES))
        origin = origins(panel, before, n, after)
        gather(start, origin, after, begin)
        gather(potential, origin, after, xi)
        # no table is read without an energy
        slot = np.int64(panel) if factor > 0.0 else 0
        copy(rho[slot] if factor > 0.0 else begin, work[0])
        lines, energy = (a[panel], b[panel], moved[panel]), (factor, slope[slot], curve[slot])
        progress = largest[slot], previous[slot], done[slot], failed[slot]
        if stage == 0:
            begin_newton(begin, floor, work[0], largest[slot], done[slot])
        else:
            implicit_panel(begin, xi, eps, stage, energy, step, periodic, work, lines, progress)
        if factor > 0.0:
            copy(work[0], rho[slot])
        if stage == 3 or factor == 0.0:
            scatter(work[0], origin, after, result)


@shared(lambda change, *_: 10.0 * change.size)
@njit(cache=True, nogil=True)
def linearised_lines(change, before, n, after, periodic, step, a, b, moved, result, part, parts):
    """Fill the change of the density that a `change` of the first variation causes."""
    panels = a.shape[0]
    for panel in range(part * panels // parts, (part + 1) * panels // parts):
        work, flux = np.empty((5, n, LANES)), np.zeros((n, LANES))
        origin = origins(panel, before, n, after)
        gather(change, origin, after, work[4])
        for i in range(n if periodic else n - 1):
            j = (i + 1) % n
            for k in range(LANES):
                flux[i, k] = step * moved[panel, i, k] * (work[4, j, k] - work[4, i, k])
        for i in range(n):
            for k in range(LANES):
                work[0, i, k] = flux[i, k] - flux[i - 1, k]
        solve_panel(a[panel], b[panel], work[0], periodic, work[1], work[2], work[3], work[4])
        scatter(work[4], origin, after, result)
