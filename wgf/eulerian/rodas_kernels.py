"""Numba kernels of the linearly implicit method on one line: RODAS steps with tridiagonal solves.

The face ahead of cell ``i`` carries ``ahead_i y_i - back_i y_j + opened_i (w_i - w_j)``, ``j``
being the next cell (the first one after the last on a period, no face there at a wall) and
``w = sum s y^m`` the power entropies. The matrix of a step is an M-matrix by columns; it is
factored without a subtraction, so that the solves conserve the sum to round-off for any step.
"""

import numpy as np
from numba import njit

from wgf.eulerian.flux_kernels import powers

STAGES = 6
GAMMA = 0.25
# RODAS, order 4, stiffly accurate and L-stable: Hairer & Wanner, Solving ODEs II, section IV.10
A = np.array(
    [
        [0, 0, 0, 0, 0],
        [1.544, 0, 0, 0, 0],
        [0.9466785280815826, 0.2557011698983284, 0, 0, 0],
        [3.314825187068521, 2.896124015972201, 0.9986419139977817, 0, 0],
        [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 0],
        [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 1],
    ]
)
C = np.array(
    [
        [0, 0, 0, 0, 0],
        [-5.6688, 0, 0, 0, 0],
        [-2.430093356833875, -0.2063599157091915, 0, 0, 0],
        [-0.1073529058151375, -9.594562251023355, -20.47028614809616, 0, 0],
        [7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160, 0],
        [8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136,
         -6.058818238834054],
    ]
)  # fmt: skip
# cells with less than this share of the largest density are stiff as if they had it
EMPTIEST = 1e-10


@njit(cache=True, error_model="numpy")
def factor(a, b, periodic, work):
    """Factor ``(1 + a_i + b_i) x_i - b_{i-1} x_{i-1} - a_{i+1} x_{i+1}`` into the rows of `work`.

    On a period the last cell is kept apart and the flow through the others is sent back to it.
    """
    n = a.size
    last = n - 1 if periodic else n
    left, right, inverse, sent, stays = work[0], work[1], work[2], work[3], work[4]
    q = 1.0
    c = a[0] if periodic else 0.0
    inverse[0] = 1.0 / (1.0 + b[0] + c)
    sent[0] = c * inverse[0]
    left[0] = 0.0
    for i in range(1, last):
        share = a[i] * inverse[i - 1]
        q = 1.0 + share * q
        c = share * c
        left[i] = b[i - 1] * inverse[i - 1]
        inverse[i] = 1.0 / (q + b[i] + c)
        right[i - 1] = a[i] * inverse[i - 1]
        sent[i] = c * inverse[i]
        stays[i] = q
    stays[0] = 1.0
    right[last - 1] = 0.0
    if periodic:
        m = n - 1
        s = stays[m - 1] * inverse[m - 1]
        # what a cell of the line sends on without passing the last one
        carried = 1.0 + a[m] * s
        for i in range(m - 2, -1, -1):
            s = (stays[i] + b[i] * s) * inverse[i]
        work[5, 0] = 1.0 / (carried + b[m] * s)


@njit(cache=True, error_model="numpy")
def solve(a, b, periodic, work, y):
    """Replace the right side `y` by the solution, the matrix being factored."""
    n = y.size
    last = n - 1 if periodic else n
    left, right, inverse, sent = work[0], work[1], work[2], work[3]
    for i in range(1, last):
        y[i] += left[i] * y[i - 1]
    if periodic:
        m = n - 1
        total = y[m] + b[m - 1] * inverse[m - 1] * y[m - 1]
        for i in range(m):
            total += sent[i] * y[i]
        x = total * work[5, 0]
        y[m] = x
        carried = b[m] * x
        for i in range(m):
            y[i] += carried
            carried *= b[i] * inverse[i]
        y[m - 1] += a[m] * x
    for i in range(last):
        y[i] *= inverse[i]
    for i in range(last - 2, -1, -1):
        y[i] += right[i] * y[i + 1]


@njit(cache=True)
def line_fluxes(y, w, ahead, back, opened, result):
    """Fill `result` with what crosses the face ahead of every cell in a unit of time."""
    n = y.size
    for i in range(n - 1):
        result[i] = ahead[i] * y[i] - back[i] * y[i + 1]
    result[n - 1] = ahead[n - 1] * y[n - 1] - back[n - 1] * y[0]
    if w.size:
        for i in range(n - 1):
            result[i] += opened[i] * (w[i] - w[i + 1])
        result[n - 1] += opened[n - 1] * (w[n - 1] - w[0])


@njit(cache=True)
def linearised(y, ahead, back, opened, strengths, exponents, scale, a, b):
    """Fill the coefficients of the derivative of the fluxes times `scale`."""
    n = y.size
    floor = EMPTIEST * y.max()
    stiff = np.zeros(n)
    for k in range(strengths.size):
        m = exponents[k]
        for i in range(n):
            if m == 2.0:
                stiff[i] += 2.0 * strengths[k] * y[i]
            elif m > 1.0:
                stiff[i] += strengths[k] * m * y[i] ** (m - 1.0)
            else:
                stiff[i] += strengths[k] * m * max(y[i], floor) ** (m - 1.0)
    for i in range(n):
        j = i + 1 if i < n - 1 else 0
        b[i] = scale * (ahead[i] + opened[i] * stiff[i])
        a[j] = scale * (back[i] + opened[i] * stiff[j])


@njit(cache=True)
def rodas(y, ahead, back, opened, strengths, exponents, dt, periodic, new, room, u, flows):
    """Make a step into `new`; return the error, summed over the cells.

    ``u[i]`` and ``flows[i]`` keep the stages and the fluxes at them.
    """
    n = y.size
    a, b, work, w = room[0], room[1], room[2:8], room[8]
    linearised(y, ahead, back, opened, strengths, exponents, GAMMA * dt, a, b)
    factor(a, b, periodic, work)
    powered = strengths.size > 0
    if not powered:
        w = w[:0]
    for k in range(STAGES):
        stage = new
        for i in range(n):
            stage[i] = y[i]
        for j in range(k):
            factor_a = A[k, j]
            if factor_a != 0.0:
                for i in range(n):
                    stage[i] += factor_a * u[j, i]
        if powered:
            powers(stage, strengths, exponents, w)
        line_fluxes(stage, w, ahead, back, opened, flows[k])
        right = u[k]
        scale = GAMMA * dt
        right[0] = scale * (flows[k, n - 1] - flows[k, 0])
        for i in range(1, n):
            right[i] = scale * (flows[k, i - 1] - flows[k, i])
        for j in range(k):
            factor_c = GAMMA * C[k, j]
            for i in range(n):
                right[i] += factor_c * u[j, i]
        solve(a, b, periodic, work, right)
    error = 0.0
    for i in range(n):
        new[i] += u[STAGES - 1, i]
        error += abs(u[STAGES - 1, i])
    return error


@njit(cache=True)
def limit_line(y, dt, periodic, new, room, u, flows):
    """Replace `new` by a state that is not negative, after `rodas`.

    The fluxes of an implicit Euler step, and of the rest the share that every cell can bear.
    """
    n = y.size
    a, b, work, low = room[0], room[1], room[2:8], room[8]
    total, moved = np.zeros(n), np.empty((STAGES, n))
    for k in range(STAGES):
        for i in range(n):
            j = i + 1 if i < n - 1 else 0
            moved[k, i] = GAMMA * dt * flows[k, i] + (b[i] * u[k, i] - a[j] * u[k, j])
        for j in range(k):
            for i in range(n):
                moved[k, i] += GAMMA * C[k, j] * moved[j, i]
        share = A[STAGES - 1, k] if k < STAGES - 1 else 1.0
        for i in range(n):
            total[i] += share * moved[k, i]
    for i in range(n):
        a[i] /= GAMMA
        b[i] /= GAMMA
        low[i] = y[i]
    factor(a, b, periodic, work)
    solve(a, b, periodic, work, low)
    losses, gains = np.zeros(n), np.zeros(n)
    for i in range(n):
        j = i + 1 if i < n - 1 else 0
        total[i] -= b[i] * low[i] - a[j] * low[j]
        losses[i] += max(total[i], 0.0)
        losses[j] += max(-total[i], 0.0)
    share = work[0]
    for i in range(n):
        bears = low[i] * (1.0 - 1e-14)
        share[i] = 1.0 if losses[i] <= bears else bears / losses[i]
        losses[i] = 0.0
    for i in range(n):
        j = i + 1 if i < n - 1 else 0
        if total[i] > 0.0:
            flux = share[i] * total[i]
            losses[i] += flux
            gains[j] += flux
        else:
            flux = -share[j] * total[i]
            losses[j] += flux
            gains[i] += flux
    for i in range(n):
        new[i] = (low[i] - losses[i]) + gains[i]
