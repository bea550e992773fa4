"""Time integration against SciPy: time to the same error, one process, one thread.

    python tests/benchmarks/clock.py [names of rows]

Every row is a problem with an exact or a converged answer. The peers are the methods of lines of
forty lines with the same mesh: `scipy.integrate.solve_ivp` with BDF and Radau (rtol 1e-5, atol
1e-7, sparse Jacobian) and RK45 with the stored matrix. Printed are times in milliseconds (the best
of some runs), L1 errors over the mass, and our time, with default options, over that of the fastest
peer; it is said where our error is more than 1.2 times that of this peer.
"""

import sys
import time

import numba
import numpy as np
from scipy import sparse
from scipy.integrate import solve_ivp
from scipy.special import ndtr

import wgf
from wgf.parallel.threads import one_library_thread

REPEATS = 3
# a peer that took longer is not asked again
LONG = 1.0


def bernoulli(z):
    """Return ``z / (exp(z) - 1)``."""
    small = np.abs(z) < 1e-6
    safe = np.where(small, 1.0, z)
    with np.errstate(over="ignore"):
        return np.where(small, 1 - 0.5 * z, safe / np.expm1(safe))


class MethodOfLines:
    """``y' = matrix y + power y^m`` on a mesh: Scharfetter-Gummel and central power fluxes."""

    def __init__(self, mesh, potential=None, eps=0.0, exponent=None):
        cells = np.arange(mesh.cells).reshape(mesh.shape)
        self.exponent, parts, laplace = exponent, [], []
        potential = np.zeros(mesh.cells) if potential is None else potential
        for axis, h in enumerate(mesh.spacing):
            here = np.take(cells, range(mesh.shape[axis] - 1), axis).ravel()
            there = np.take(cells, range(1, mesh.shape[axis]), axis).ravel()
            z = (potential[there] - potential[here]) / eps if eps else np.zeros(here.size)
            ahead, back = bernoulli(z) / h**2, bernoulli(-z) / h**2
            parts.append(self._exchange(here, there, eps * ahead, eps * back, mesh.cells))
            ones = np.full(here.size, 1 / h**2)
            laplace.append(self._exchange(here, there, ones, ones, mesh.cells))
        self.matrix, self.laplace = sum(parts).tocsr(), sum(laplace).tocsr()

    @staticmethod
    def _exchange(here, there, ahead, back, cells):
        rows = np.concatenate([here, there, here, there])
        columns = np.concatenate([here, here, there, there])
        values = np.concatenate([-ahead, ahead, back, -back])
        return sparse.csr_matrix((values, (rows, columns)), shape=(cells, cells))

    def slope(self, t, y):
        """Return the right side."""
        if self.exponent is None:
            return self.matrix @ y
        return self.laplace @ np.maximum(y, 0) ** self.exponent

    def jacobian(self, t, y):
        """Return the Jacobian, sparse."""
        if self.exponent is None:
            return self.matrix.tocsc()
        slopes = self.exponent * np.maximum(y, 1e-12) ** (self.exponent - 1)
        return (self.laplace @ sparse.diags(slopes)).tocsc()


class NeuronLines:
    """The method of lines of a squared risk of tanh neurons with an entropy."""

    def __init__(self, mesh, samples, targets, eps):
        self.mesh, self.eps, self.targets = mesh, eps, targets
        a, w = np.meshgrid(*(axis.centers for axis in mesh.axes), indexing="ij")
        self.features = a.ravel()[:, None] * np.tanh(w.ravel()[:, None] * samples)

    def lines(self, y):
        """Return the linear problem of the first variation of `y`."""
        output = y @ self.features * self.mesh.cell_volume
        residual = (output - self.targets) / len(self.targets)
        return MethodOfLines(self.mesh, self.features @ residual, self.eps)

    def slope(self, t, y):
        """Return the right side."""
        return self.lines(y).matrix @ y

    def jacobian(self, t, y):
        """Return the Jacobian without its part of rank n."""
        return self.lines(y).matrix.tocsc()


def normal_cells(axis, mean, std):
    """Return exact cell averages of a normal density."""
    return np.diff(ndtr((axis.edges - mean) / std)) / axis.spacing


class Row:
    """A problem: flow, start, end time and the exact answer."""

    def __init__(self, name, F, start, until, exact, lines, wanted,
                 peers=("BDF", "Radau", "RK45")):  # fmt: skip
        self.name, self.flow, self.start, self.until = name, wgf.GradientFlow(F), start, until
        self.exact, self.lines, self.wanted, self.peers = exact, lines, wanted, peers

    def error(self, y):
        """Return the L1 distance to the exact answer over the mass."""
        return float(np.abs(y - self.exact).sum() / self.exact.sum())

    def timed(self, call):
        """Return the best time of some calls and the last result."""
        best = np.inf
        for _ in range(REPEATS):
            begin = time.perf_counter()
            result = call()
            best = min(best, time.perf_counter() - begin)
            if best > LONG:
                break
        return best, result

    def ours(self):
        """Return ``(seconds, error, method, counts)`` of a run with default options."""

        def call():
            return wgf.solve(self.flow, self.start, self.until)

        # the first call compiles or loads the kernels
        call()
        seconds, run = self.timed(call)
        steps = len(run.diagnostics["t"]) - 1
        return seconds, self.error(run.final.values.ravel()), "wgf", f"{steps} steps"

    def peer(self, method):
        """Return the same of a method of SciPy."""
        y0 = self.start.values.ravel()
        lines = self.lines()
        options = {} if method == "RK45" else {"jac": lines.jacobian}

        def call():
            return solve_ivp(lines.slope, (0, self.until), y0, method=method, rtol=1e-5, atol=1e-7,
                             t_eval=[self.until], **options)  # fmt: skip

        seconds, found = self.timed(call)
        return seconds, self.error(found.y[:, -1]), method, f"{found.nfev} slopes"

    def show(self):
        """Print the table of this row."""
        print(f"\n{self.name}")
        ours, peers = self.ours(), [self.peer(method) for method in self.peers]
        for seconds, error, method, counts in [ours, *peers]:
            print(f"  {method:12} {1e3 * seconds:10.2f} ms   L1 {error:.2e}   {counts}")
        fastest = min(peers)
        fair = ours[1] <= 1.2 * fastest[1]
        note = "" if fair else ", at a larger error"
        ratio = f"{ours[0] / fastest[0]:.3f} of {fastest[2]} (wanted {self.wanted}){note}"
        print(f"  {ratio}", flush=True)


def ornstein(dimension, n, wanted, length=6.0, **options):
    """Heat and confinement: V = |x|^2 / 2, eps = 1, from a normal density, t = 1."""
    axes = [wgf.Axis(-length, length, n) for _ in range(dimension)]
    mesh = wgf.Mesh(**dict(zip("xyz", axes)))
    means, stds = np.array([1.0, -0.5, 0.3])[:dimension], np.array([0.5, 0.7, 0.6])[:dimension]
    start = wgf.Density.normal(mesh, tuple(means), tuple(stds))
    exact = np.ones(1)
    for axis, m, s in zip(axes, means, stds):
        spread = np.sqrt(1 + (s * s - 1) * np.exp(-2))
        exact = np.multiply.outer(exact, normal_cells(axis, m * np.exp(-1), spread))
    potential = 0.5 * (mesh.points() ** 2).sum(axis=1)
    return Row(
        f"heat and confinement, {' x '.join([str(n)] * dimension)}", wgf.Ridge(1.0)
        + wgf.Entropy(1.0), start, 1.0, exact.ravel(), lambda: MethodOfLines(mesh, potential, 1.0),
        wanted, **options,
    )  # fmt: skip


def valley(n=256, eps=0.05, stiff=20.0, until=1.0):
    """A rotated valley: quadratic potential with eigenvalues 20 and 1, rotated by 30 degrees."""
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    turn = np.array([[c, -s], [s, c]])
    matrix = turn @ np.diag([stiff, 1.0]) @ turn.T
    axis = wgf.Axis(-2, 2, n)
    mesh = wgf.Mesh(x=axis, y=axis)
    start = wgf.Density.normal(mesh, (0.6, 0.6), 0.2)
    decay = turn @ np.diag(np.exp(-np.array([stiff, 1.0]) * until)) @ turn.T
    rest = eps * np.linalg.inv(matrix)
    mean = decay @ [0.6, 0.6]
    covariance = rest + decay @ (0.04 * np.eye(2) - rest) @ decay.T
    exact = normal_in_plane(mesh, mean, covariance)
    potential = 0.5 * np.einsum("ki,ij,kj->k", mesh.points(), matrix, mesh.points())
    F = wgf.Potential(lambda p: 0.5 * np.einsum("ki,ij,kj->k", p, matrix, p)) + wgf.Entropy(eps)
    return Row(f"rotated valley 20:1, eps {eps}, {n} x {n}", F, start, until, exact,
               lambda: MethodOfLines(mesh, potential, eps), 0.2, peers=PLANE)  # fmt: skip


def normal_in_plane(mesh, mean, covariance, nodes=4):
    """Return cell averages of a normal density of the plane by Gauss-Legendre quadrature."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    inverse = np.linalg.inv(covariance)
    total = np.zeros(mesh.cells)
    for i, j in np.ndindex(nodes, nodes):
        shift = 0.5 * mesh.spacing * [x[i], x[j]]
        d = mesh.points() + shift - mean
        density = np.exp(-0.5 * np.einsum("ki,ij,kj->k", d, inverse, d))
        total += 0.25 * w[i] * w[j] * density
    return total / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))


def barenblatt_cells(mesh, time, m, parts=8):
    """Return cell averages of the self-similar solution of ``∂t rho = Δ rho^m``, m > 1."""
    d = mesh.dimension
    alpha = d / (d * (m - 1) + 2)
    k = alpha * (m - 1) / (2 * m * d)
    fine = mesh.refined(parts)
    squared = (fine.points() ** 2).sum(axis=1)
    inside = np.maximum(1 - k * squared * time ** (-2 * alpha / d), 0)
    values = time**-alpha * inside ** (1 / (m - 1))
    shape = [size for n in mesh.shape for size in (n, parts)]
    return values.reshape(shape).mean(axis=tuple(range(1, 2 * d, 2)))


def barenblatt(dimension, n, m, wanted, length, times, **options):
    """The porous medium equation between two times of its self-similar solution."""
    axis = wgf.Axis(-length, length, n)
    mesh = wgf.Mesh(**dict.fromkeys("xy"[:dimension], axis))
    start = wgf.Density(mesh, barenblatt_cells(mesh, times[0], m))
    exact = barenblatt_cells(mesh, times[1], m).ravel()
    return Row(f"Barenblatt m={m:g}, {' x '.join([str(n)] * dimension)}", wgf.PowerEntropy(1.0, m),
               start, times[1] - times[0], exact, lambda: MethodOfLines(mesh, exponent=m),
               wanted, **options)  # fmt: skip


def fast_diffusion(n, wanted, reference=6400):
    """``m = 1/2`` on ±20 from t = 2 to 3, against Radau at rtol 1e-10 on a fine mesh."""

    def start_on(cells):
        mesh = wgf.Mesh(x=wgf.Axis(-20, 20, cells))
        m, parts = 0.5, 8
        alpha = 1 / (m + 1)
        k = alpha * (1 - m) / (2 * m)
        x = mesh.refined(parts).centers("x")
        values = 2.0**-alpha * (1 + k * x**2 * 2.0 ** (-2 * alpha)) ** (1 / (m - 1))
        return mesh, values.reshape(cells, parts).mean(axis=1)

    mesh, values = start_on(n)
    fine, begin = start_on(reference)
    lines = MethodOfLines(fine, exponent=0.5)
    found = solve_ivp(lines.slope, (0, 1), begin, method="Radau", rtol=1e-10, atol=1e-12,
                      jac=lines.jacobian, t_eval=[1.0]).y[:, -1]  # fmt: skip
    exact = found.reshape(n, -1).mean(axis=1)
    return Row(f"fast diffusion m=1/2, {n}", wgf.PowerEntropy(1.0, 0.5),
               wgf.Density(mesh, values), 1.0, exact, lambda: MethodOfLines(mesh, exponent=0.5),
               wanted, peers=("BDF", "Radau"))  # fmt: skip


def double_well(n, wanted, eps=0.2, until=20.0, reference=6400):
    """V = x^4/4 - x^2/2 to t = 20, against Radau at rtol 1e-10 on a fine mesh."""

    def well(p):
        return 0.25 * p[:, 0] ** 4 - 0.5 * p[:, 0] ** 2

    def on(cells):
        mesh = wgf.Mesh(x=wgf.Axis(-3, 3, cells))
        return (
            mesh,
            wgf.Density.normal(mesh, 1.0, 0.3),
            MethodOfLines(mesh, well(mesh.points()), eps),
        )

    _, start, _ = on(n)
    _, begin, lines = on(reference)
    found = solve_ivp(lines.slope, (0, until), begin.values, method="Radau", rtol=1e-9, atol=1e-11,
                      jac=lines.jacobian, t_eval=[until]).y[:, -1]  # fmt: skip
    exact = found.reshape(n, -1).mean(axis=1)
    return Row(f"double well to t=20, {n}", wgf.Potential(well) + wgf.Entropy(eps), start, until,
               exact, lambda: on(n)[2], wanted,
               peers=("BDF", "Radau"))  # fmt: skip


def neurons(n=128, until=5.0, eps=0.05):
    """tanh neurons, 20 samples, against the limit of two finer meshes at a tight tolerance."""
    samples = np.linspace(-1, 1, 20)
    targets = np.sin(3 * samples)
    F = wgf.Risk(wgf.Neurons(samples, "tanh"), wgf.Squared(targets)) + wgf.Entropy(eps)

    def begin(cells):
        axis = wgf.Axis(-3, 3, cells)
        return wgf.Density.normal(wgf.Mesh(a=axis, w=axis), (0.3, 0.5), 0.5)

    def end(factor):
        method = wgf.StabilisedFiniteVolume(1e-6)
        made = wgf.solve(wgf.GradientFlow(F), begin(factor * n), until, method=method).final
        return made.values.reshape(n, factor, n, factor).mean(axis=(1, 3)).ravel()

    coarse, fine = end(1), end(2)
    start, exact = begin(n), fine + (fine - coarse) / 3
    mesh = start.mesh
    return Row(f"tanh neurons and entropy, {n} x {n}, to t={until:g}", F, start, until, exact,
               lambda: NeuronLines(mesh, samples, targets, eps), 0.2,
               peers=("BDF", "RK45"))  # fmt: skip


# Radau is the slowest of the three in the plane, and BDF in space: minutes
PLANE = ("BDF", "RK45")
LINE = {"peers": ("BDF", "Radau")}
ROWS = {
    "ou1_400": lambda: ornstein(1, 400, "1 + 10 ms", **LINE),
    "ou1_1600": lambda: ornstein(1, 1600, "1 + 10 ms", **LINE),
    "well_400": lambda: double_well(400, "1 + 10 ms"),
    "well_1600": lambda: double_well(1600, "1 + 10 ms"),
    "pm2_400": lambda: barenblatt(1, 400, 2.0, "1 + 10 ms", 8.0, (2, 3), **LINE),
    "pm2_1600": lambda: barenblatt(1, 1600, 2.0, "1 + 10 ms", 8.0, (2, 3), **LINE),
    "pm3_400": lambda: barenblatt(1, 400, 3.0, "1 + 10 ms", 8.0, (2, 3), **LINE),
    "pm3_1600": lambda: barenblatt(1, 1600, 3.0, "1 + 10 ms", 8.0, (2, 3), **LINE),
    "fast_400": lambda: fast_diffusion(400, "1 + 10 ms"),
    "fast_1600": lambda: fast_diffusion(1600, "1 + 10 ms"),
    "ou2": lambda: ornstein(2, 192, 0.2, peers=PLANE),
    "valley": lambda: valley(),
    "pm2_plane": lambda: barenblatt(2, 192, 2.0, 0.2, 4.0, (0.5, 1.0), peers=PLANE),
    "tanh": lambda: neurons(),
    "ou3_28": lambda: ornstein(3, 28, 1.0, peers=("RK45",)),
    "ou3_64": lambda: ornstein(3, 64, 0.5, peers=("RK45",)),
}


def main(names):
    """Print the tables of some rows, of all by default."""
    numba.set_num_threads(1)
    with one_library_thread():
        for name in names or ROWS:
            ROWS[name]().show()


if __name__ == "__main__":
    main(sys.argv[1:])
