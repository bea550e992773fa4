"""Stationary states and rates with known values: what the implicit method makes of them.

    python tests/benchmarks/rest.py [--small]

Prints Markdown tables: the relaxation rate of a double well against an eigenproblem, stationary
states against exact ones, fixed points in the plane, one long step towards them, and the order in
time. References are of `scipy` alone.
"""

import argparse
import time

import numpy as np
from scipy.integrate import quad
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import brentq
from scipy.special import ive

import wgf


def double_well(points):
    """Return ``x^4 / 4 - x^2 / 2``."""
    return points[:, 0] ** 4 / 4 - points[:, 0] ** 2 / 2


def rate_of_double_well(eps, cells=4000):
    """Return the smallest decay rate of ``eps d^2 + d V'`` between walls at ±4."""
    x, h = (np.arange(cells) + 0.5) * 8 / cells - 4, 8 / cells
    v = double_well(x[:, None])
    # the symmetric form: sqrt(p) is in the kernel
    off = np.full(cells - 1, -eps / h**2)
    ahead = np.exp(-np.diff(v) / (2 * eps))
    diagonal = np.zeros(cells)
    diagonal[:-1] += eps / h**2 * ahead
    diagonal[1:] += eps / h**2 / ahead
    return eigh_tridiagonal(diagonal, off, select="i", select_range=(1, 1))[0][0]


def measured_rate(eps, method, cells=200, begin=20.0, end=40.0):
    """Return the decay rate of the mass on the right between two times."""
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, cells))
    x = mesh.centers("x")
    p = np.exp(-double_well(x[:, None]) / eps)
    start = wgf.Density(mesh, (1 + 0.5 * np.tanh(3 * x)) * p / p.sum() / mesh.spacing[0])
    flow = wgf.GradientFlow(wgf.Potential(double_well) + wgf.Entropy(eps))
    run = wgf.solve(flow, start, end, at=[begin], method=method)
    moments = [np.sum(np.sign(x) * density.values) for density in run.snapshots[1:]]
    return np.log(moments[0] / moments[1]) / (end - begin)


def two_well(eps, mean=1.0, cells=100):
    """Return flow and start of ``V + theta/4 ∫∫ (x - y)^2`` with theta = 1."""
    pull = wgf.Interaction(lambda z: 0.5 * z[:, 0] ** 2)
    mesh = wgf.Mesh(x=wgf.Axis(-4, 4, cells))
    flow = wgf.GradientFlow(wgf.Potential(double_well) + pull + wgf.Entropy(eps))
    return flow, wgf.Density.normal(mesh, mean, 0.5)


def mean_of_two_well(eps, guess=0.1):
    """Return the positive mean of the stationary state, 0 where there is none."""

    def excess(m):
        def weight(x, k):
            return x**k * np.exp(-(x**4 / 4 - x**2 / 2 + (x - m) ** 2 / 2) / eps)

        return quad(weight, -6, 6, (1,))[0] / quad(weight, -6, 6, (0,))[0] - m

    return brentq(excess, guess, 2) if excess(guess) > 0 else 0.0


def oscillators(coupling, cells=128):
    """Return flow and start of noisy oscillators at D = 1."""
    mesh = wgf.Mesh(x=wgf.Axis(-np.pi, np.pi, cells, periodic=True))
    pull = wgf.Interaction(lambda z: -coupling * np.cos(z[:, 0]))
    return wgf.GradientFlow(pull + wgf.Entropy(1.0)), wgf.Density.normal(mesh, 0.3, 1.0)


def order_parameter(density):
    """Return ``|∫ e^{ix} dmu|``."""
    x = density.mesh.centers("x")
    return abs(np.sum(density.values * np.exp(1j * x))) * density.mesh.spacing[0]


def exact_order(coupling):
    """Return the root of ``r = I1(K r) / I0(K r)``."""
    return brentq(lambda r: ive(1, coupling * r) / ive(0, coupling * r) - r, 1e-3, 1)


def correlated(c, cells):
    """Return flow, start and Gibbs density of a Gaussian with correlation c."""
    precision = np.linalg.inv(np.array([[1, c], [c, 1]]))

    def potential(points):
        return 0.5 * np.einsum("ki,ij,kj->k", points, precision, points)

    mesh = wgf.Mesh(x=wgf.Axis(-5, 5, cells), y=wgf.Axis(-5, 5, cells))
    flow = wgf.GradientFlow(wgf.Potential(potential) + wgf.Entropy(1.0))
    values = np.exp(-potential(mesh.points())).reshape(mesh.shape)
    gibbs = wgf.Density(mesh, values / (values.sum() * mesh.cell_volume))
    return flow, wgf.Density.normal(mesh, (1.0, 0.0), 0.5), gibbs


def regression(cells=40, eps=0.1):
    """Return flow and start of tanh neurons with an entropy."""
    x = np.linspace(-1, 1, 10)
    F = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(3 * x))) + wgf.Ridge(0.1)
    mesh = wgf.Mesh(a=wgf.Axis(-4, 4, cells), w=wgf.Axis(-6, 6, cells))
    return wgf.GradientFlow(F + wgf.Entropy(eps)), wgf.Density.normal(mesh, (0.3, 0.5), 0.5)


def fixed_point(start, eps=0.1, samples=10):
    """Return the stationary density of `regression` by damped iteration in the model output."""
    mesh, x = start.mesh, np.linspace(-1, 1, samples)
    a, w = mesh.points().T
    phi, y = a[:, None] * np.tanh(np.outer(w, x)), np.sin(3 * x)
    s = np.zeros(samples)
    for _ in range(20000):
        xi = phi @ ((s - y) / samples) + 0.05 * (a**2 + w**2)
        p = np.exp(-(xi - xi.min()) / eps)
        p /= p.sum()
        change = p @ phi - s
        s = s + 0.05 * change
        if np.abs(change).max() < 1e-13:
            break
    return wgf.Density(mesh, (p / mesh.cell_volume).reshape(mesh.shape))


def distance(one, other):
    """Return the L1 distance of two densities."""
    return float(np.abs(one.values - other.values).sum() * one.mesh.cell_volume)


def at_rest(flow, start, step=0.1, **options):
    """Return the stationary run from a first step."""
    method = wgf.ImplicitFiniteVolume(step)
    return wgf.solve(flow, start, "stationary", method=method, **options)


def states():
    """Yield ``(name, steps, what, found, exact)``."""
    for eps in (0.447808, 0.5026):
        run = at_rest(*two_well(eps))
        yield f"two wells, ε={eps}", run, "mean", run.final.mean()[0], mean_of_two_well(eps)
    for coupling in (2.2, 3, 6):
        run = at_rest(*oscillators(coupling))
        found = order_parameter(run.final)
        yield f"oscillators, K/D={coupling}", run, "r", found, exact_order(coupling)
    for c in (0, 0.5, 0.95):
        flow, start, gibbs = correlated(c, 80)
        run = at_rest(flow, start)
        yield f"correlation {c}", run, "L1", distance(run.final, gibbs), 0.0
    for length, constant in ((1.0, 1e6), (1.0, 1e9), (1e-6, 0.0), (1e-3, 0.0), (1e6, 0.0)):
        mesh = wgf.Mesh(x=wgf.Axis(-4 * length, 4 * length, 100))
        p = np.exp(-double_well(mesh.points() / length) / 0.3)
        well = wgf.Potential(lambda q, u=length, c=constant: c + double_well(q / u))
        start = wgf.Density.normal(mesh, length, 0.3 * length)
        run = at_rest(wgf.GradientFlow(well + wgf.Entropy(0.3)), start)
        gibbs = wgf.Density(mesh, p / (p.sum() * mesh.spacing[0]))
        yield f"length {length:g}, constant {constant:g}", run, "L1", distance(run.final, gibbs), 0
    flow, start = regression()
    run = at_rest(flow, start)
    yield "tanh neurons with entropy", run, "L1", distance(run.final, fixed_point(start)), 0.0


def to_fixed_point(c, cells):
    """Return distance, steps and seconds of processor time to a correlated Gaussian."""
    flow, start, gibbs = correlated(c, cells)
    begin = time.process_time()
    run = at_rest(flow, start, tolerance=1e-17)
    return distance(run.final, gibbs), len(run.diagnostics["t"]) - 1, time.process_time() - begin


def contraction(c, cells, step=1e3):
    """Return what one step leaves of the distance to a correlated Gaussian."""
    flow, start, gibbs = correlated(c, cells)
    stepper = wgf.ImplicitFiniteVolume(step).prepare(flow, start)
    stepper.settle()
    stepper.advance(step)
    return distance(stepper.measure, gibbs) / distance(start, gibbs)


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="coarse meshes in the plane")
    cells = 64 if parser.parse_args().small else 128
    print("| relaxation rate at ε | exact | default method | implicit | off by |")
    print("|---|---|---|---|---|")
    for eps in (0.1, 0.2, 0.3):
        exact = rate_of_double_well(eps)
        found = [measured_rate(eps, method) for method in (None, wgf.ImplicitFiniteVolume())]
        off = ", ".join(f"{each / exact - 1:.1e}" for each in found)
        print(f"| {eps} | {exact:.8f} | {found[0]:.8f} | {found[1]:.8f} | {off} |", flush=True)
    print("\n| stationary state | status | steps | what | found | exact | off by |")
    print("|---|---|---|---|---|---|---|")
    for name, run, what, found, exact in states():
        steps = len(run.diagnostics["t"]) - 1
        print(
            f"| {name} | {run.status} | {steps} | {what} | {found:.8f} | {exact:.8f} "
            f"| {abs(found - exact):.1e} |",
            flush=True,
        )
    print(f"\n| fixed point, {cells}² | L1 | steps | CPU seconds | one step of 1e3 leaves |")
    print("|---|---|---|---|---|")
    for c in (0.95, 0.99):
        off, steps, seconds = to_fixed_point(c, cells)
        left = contraction(c, cells)
        print(f"| c={c} | {off:.1e} | {steps} | {seconds:.2f} | {left:.1e} |", flush=True)


if __name__ == "__main__":
    main()
