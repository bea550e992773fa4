"""Would a third order in space pay? Error against time for three schemes, in one run.

    python tests/benchmarks/order_in_space.py [--small]

The flow of a given potential on the torus, for a smooth density, in one and two dimensions:

- *second*: the scheme of `wgf.FiniteVolume` (monotonised-central slopes, velocity from the
  difference of the potential over a face, two stages),
- *third*: slopes limited after Koren, velocity of fourth order at the faces, three stages,
- *third, corrected*: in two dimensions also the averages over the faces, from neighbouring rows. It
  may become negative.

In one dimension, ``V = 1 - cos x``, the exact masses of the cells are known from the paths,
``tan(x/2) = tan(x0/2) exp(-t)``; in two, ``V = -cos x cos y``, a mesh twice as fine as the finest
stands for them.

The limiter holds the third order down to about 2.4 at the extrema: on the finest meshes it leaves
half of the error in one dimension and two thirds in two, for one and a half of the time. In one
dimension that pays a little, in two it gains nothing, and the library keeps the second order. A
third would give up that the velocity has the sign of the difference of ``F'``, so that ``F``
never rises, and would need a functional with more than a midpoint rule.
"""

import sys
import time

import numpy as np
from numba import njit
from scipy.special import ndtr

import wgf

UNTIL, CENTRE, WIDTH, COURANT, REPEATS = 1.0, 1.2, 0.35, 0.4, 5
SCHEMES = ("second", "third", "third, corrected")


@njit(inline="always")
def half_slope(left, centre, right, third):
    """Return half the slope towards the right, limited: central, or biased of third order."""
    back, ahead = centre - left, right - centre
    if back * ahead <= 0:
        return 0.0
    aim = (back + 2 * ahead) / 6 if third else (back + ahead) / 4
    if back > 0:
        return min(aim, back, ahead)
    return max(aim, back, ahead)


@njit(cache=True)
def fluxes(rho, speed, third, along, flux):
    """Set the fluxes through the faces before every cell, in an array of two periodic axes."""
    n, m = rho.shape
    for i in range(n):
        for j in range(m):
            if along == 0:
                a, b, c, d = rho[i - 2, j], rho[i - 1, j], rho[i, j], rho[(i + 1) % n, j]
            else:
                a, b, c, d = rho[i, j - 2], rho[i, j - 1], rho[i, j], rho[i, (j + 1) % m]
            u = speed[i, j]
            if u > 0:
                flux[i, j] = u * (b + half_slope(a, b, c, third))
            else:
                flux[i, j] = u * (c + half_slope(d, c, b, third))


def corrected(speed, density_flux, along):
    """Return fluxes averaged over their faces: the second difference across, over 24."""
    other = 1 - along
    second = np.roll(density_flux, 1, other) - 2 * density_flux + np.roll(density_flux, -1, other)
    return density_flux + second / 24


def rate(rho, speeds, h, third, across):
    """Return the time derivative of the cell averages."""
    total = np.zeros_like(rho)
    for along, speed in enumerate(speeds):
        if rho.shape[along] == 1:
            continue
        values = rho
        if across:
            # averages over cells to averages along the axis, at the middle across it
            other = 1 - along
            values = rho - (np.roll(rho, 1, other) - 2 * rho + np.roll(rho, -1, other)) / 24
        flux = np.empty_like(rho)
        fluxes(values, speed, third, along, flux)
        if across:
            flux = corrected(speed, flux, along)
        total -= (np.roll(flux, -1, along) - flux) / h
    return total


def solve(rho, potential, h, scheme):
    """Return the cell averages at the end, by two or three strongly stable stages."""
    third, across = scheme != "second", scheme == "third, corrected"
    speeds = []
    for along in range(2):
        near = np.roll(potential, 1, along) - potential
        far = np.roll(potential, 2, along) - np.roll(potential, -1, along)
        speeds.append(((27 * near - far) / 24 if third else near) / h)
    fastest = sum(np.abs(s).max() for s in speeds)
    steps = int(np.ceil(UNTIL * fastest / (COURANT * h)))
    dt = UNTIL / steps
    for _ in range(steps):
        first = rho + dt * rate(rho, speeds, h, third, across)
        if not third:
            rho = (rho + first + dt * rate(first, speeds, h, third, across)) / 2
            continue
        second = 0.75 * rho + 0.25 * (first + dt * rate(first, speeds, h, third, across))
        rho = rho / 3 + 2 / 3 * (second + dt * rate(second, speeds, h, third, across))
    return rho


def centres(cells):
    """Return the centres of the cells of [-pi, pi)."""
    return (np.arange(cells) + 0.5) * 2 * np.pi / cells - np.pi


def masses(cells, t):
    """Return the exact masses of the cells in one dimension."""
    edges = np.arange(cells + 1) * 2 * np.pi / cells - np.pi
    # inner edges only: the tangent of the ends is infinite
    start = edges.copy()
    start[1:-1] = 2 * np.arctan(np.tan(edges[1:-1] / 2) * np.exp(t))
    turns = 2 * np.pi * np.arange(-3, 4)[:, None]
    return np.diff(ndtr((start + turns - CENTRE) / WIDTH).sum(axis=0))


def line(cells, scheme):
    """Return the error in one dimension in L1, and the time taken."""
    h = 2 * np.pi / cells
    start = masses(cells, 0.0)[:, None] / h
    begin = time.perf_counter()
    end = solve(start, 1 - np.cos(centres(cells))[:, None], h, scheme)
    taken = time.perf_counter() - begin
    return np.abs(end[:, 0] * h - masses(cells, UNTIL)).sum(), taken


def plane_end(cells, scheme):
    """Return masses at the end in two dimensions, and the time taken."""
    h, one = 2 * np.pi / cells, masses(cells, 0.0)
    start = np.multiply.outer(one, one) / h**2
    potential = -np.multiply.outer(np.cos(centres(cells)), np.cos(centres(cells)))
    begin = time.perf_counter()
    end = solve(start, potential, h, scheme)
    return end * h**2, time.perf_counter() - begin


def table(title, sizes, measure):
    """Print error, order, and time in units of the second-order scheme at the first size."""
    print(f"\n{title}\n\n| cells | {' | '.join(SCHEMES)} |\n|---|---|---|---|")
    unit, before = None, {}
    for cells in sizes:
        row = []
        for scheme in SCHEMES:
            found = [measure(cells, scheme) for _ in range(REPEATS)]
            error, taken = found[0][0], float(np.median([f[1] for f in found]))
            unit = unit or taken
            order = f" (order {np.log2(before[scheme] / error):.1f})" if scheme in before else ""
            before[scheme] = error
            row.append(f"{error:.1e}{order} in {taken / unit:.1f}")
        print(f"| {cells} | {' | '.join(row)} |", flush=True)


def main():
    small = "--small" in sys.argv
    for scheme in SCHEMES:
        line(16, scheme)
    table("One dimension", (50, 100, 200, 400)[: 2 if small else 4], line)

    sizes = (32, 64, 128, 256)[: 2 if small else 4]
    fine, _ = plane_end(2 * sizes[-1], "third, corrected")

    def plane(cells, scheme):
        end, taken = plane_end(cells, scheme)
        k = fine.shape[0] // cells
        return np.abs(end - fine.reshape(cells, k, cells, k).sum(axis=(1, 3))).sum(), taken

    table("Two dimensions", sizes, plane)

    # the library's own second order, as a check that the scheme compared is the one it has
    mesh = wgf.Mesh(x=wgf.Axis(-np.pi, np.pi, 100, periodic=True))
    start = wgf.Density(mesh, masses(100, 0.0))
    flow = wgf.GradientFlow(wgf.Potential(lambda p: 1 - np.cos(p[:, 0])))
    end = wgf.solve(flow, start, UNTIL).final.values
    print(f"\nwgf.FiniteVolume at 100 cells: {np.abs(end - masses(100, UNTIL)).sum():.1e}")


if __name__ == "__main__":
    main()
