"""The transport step of other packages, for `speed`: same scheme, same mesh, same numbers.

Every peer is a function ``peer(case, order)`` that returns a callable: it makes `STEPS` steps from
the density of the case and returns the new one. It may prepare and compile whatever it likes
before; it raises `ImportError` if its package is not installed and `Unavailable` for cases
that it does not have or that would take minutes.
"""

import functools
import itertools

import numpy as np

STEPS = 4


class Unavailable(Exception):
    """A peer has no such scheme, or needs minutes for such a mesh."""


class Case:
    """Upwind transport on a periodic mesh with the velocity of a given potential.

    Attributes
    ----------
    density, potential : array of the mesh's shape
    courants : list of array
        Velocity at the face after every cell along each axis, times dt / h.
    dt : float
    """

    def __init__(self, shape):
        generator = np.random.default_rng(0)
        angles = [2 * np.pi * (np.arange(n) + 0.5) / n for n in shape]
        grids = np.meshgrid(*angles, indexing="ij", sparse=True)
        self.shape = tuple(shape)
        waves = sum(np.sin(g + k) for k, g in enumerate(grids))
        self.potential = np.broadcast_to(waves, self.shape) + 0.0
        self.density = 1 + 0.5 * functools.reduce(np.multiply, [np.cos(2 * g) for g in grids])
        self.density += 0.1 * generator.random(self.shape)
        differences = [self.potential - np.roll(self.potential, -1, k) for k in range(len(shape))]
        self.dt = 0.2 / sum(np.abs(d).max() for d in differences) / 2
        self.courants = [self.dt * d for d in differences]


def formula(xp, courants, order):
    """Return one step of the scheme in whole arrays of a NumPy-like module."""

    def half_slope(r, axis):
        back, ahead = r - xp.roll(r, 1, axis), xp.roll(r, -1, axis) - r
        zero = xp.zeros_like(r)
        lowest = xp.minimum(xp.maximum(back, ahead), zero)
        highest = xp.maximum(xp.minimum(back, ahead), zero)
        return xp.minimum(xp.maximum(0.25 * (back + ahead), lowest), highest)

    def stage(r):
        new = r
        for axis, courant in enumerate(courants):
            zero = xp.zeros_like(courant)
            half = half_slope(r, axis) if order == 2 else 0.0
            after = xp.roll(r - half, -1, axis)
            flux = xp.maximum(courant, zero) * (r + half) + xp.minimum(courant, zero) * after
            new = new - (flux - xp.roll(flux, 1, axis))
        return new

    return stage if order == 1 else lambda r: 0.5 * (r + stage(stage(r)))


def numpy(case, order):
    """Whole arrays of NumPy: the reference."""
    if case.density.size > 1 << 21:
        raise Unavailable
    step = formula(np, case.courants, order)

    def call():
        density = case.density
        for _ in range(STEPS):
            density = step(density)
        return density

    return call


def jax(case, order):
    """JAX on the processor, double precision, all steps in one compiled function."""
    import jax as package
    import jax.numpy as xp

    package.config.update("jax_enable_x64", True)
    courants = [xp.asarray(c) for c in case.courants]

    @package.jit
    def steps(density, courants):
        step = formula(xp, courants, order)
        return package.lax.fori_loop(0, STEPS, lambda _, r: step(r), density)

    start = xp.asarray(case.density)
    return lambda: np.asarray(steps(start, courants).block_until_ready())


def torch(case, order):
    """PyTorch on the processor, double precision, compiled."""
    import torch as package

    courants = [package.from_numpy(c) for c in case.courants]
    step = package.compile(formula(package, courants, order), dynamic=False)
    start = package.from_numpy(case.density)

    def call():
        density = start
        with package.no_grad():
            for _ in range(STEPS):
                density = step(density)
        return density.numpy()

    return call


@functools.cache
def _stepper_of_pympdata(dimension, order):
    """Return the stepper of all grids: on one of known size it is no faster, and compiles anew."""
    from PyMPDATA import Options, Stepper

    return Stepper(options=Options(n_iters=order), n_dims=dimension)


def pympdata(case, order):
    """PyMPDATA: upwind, or one corrective pass as its second order."""
    from PyMPDATA import ScalarField, Solver, VectorField
    from PyMPDATA.boundary_conditions import Periodic

    stepper = _stepper_of_pympdata(len(case.shape), order)
    options = stepper.options
    walls = tuple(Periodic() for _ in case.shape)
    faces = []
    for axis, courant in enumerate(case.courants):
        last = np.take(courant, [-1], axis)
        faces.append(np.concatenate([last, courant], axis))
    field = ScalarField(case.density.copy(), options.n_halo, walls)
    solver = Solver(stepper, field, VectorField(tuple(faces), options.n_halo, walls))

    def call():
        solver.advectee.get()[:] = case.density
        solver.advance(n_steps=STEPS)
        return solver.advectee.get()

    return call


def pypde(case, order):
    """py-pde: the upwind fluxes written with its one-sided derivatives, explicit Euler, Numba."""
    import pde

    # its compilation takes more than a minute for a volume
    if order == 2 or len(case.shape) > 2 or case.density.size > 1 << 21:
        raise Unavailable
    grid = pde.CartesianGrid([(0, n) for n in case.shape], case.shape, periodic=True)
    names = "xyz"[: len(case.shape)]
    terms, constants = [], {}
    for name, courant in zip(names, case.courants):
        constants[f"p{name}"] = pde.ScalarField(grid, np.maximum(courant, 0))
        constants[f"m{name}"] = pde.ScalarField(grid, np.minimum(courant, 0))
        after = f"(c + d_d{name}_forward(c))"
        terms.append(f"d_d{name}_backward(p{name} * c + m{name} * {after})")
    equation = pde.PDE({"c": "-" + " - ".join(terms)}, consts=constants)
    start = pde.ScalarField(grid, case.density)
    solver = pde.ExplicitSolver(equation, scheme="euler", adaptive=False)
    steps = solver.make_stepper(start, dt=1.0)

    def call():
        field = start.copy()
        found = steps(field, 0.0, float(STEPS))
        return field.data if isinstance(found, float) else found[0].data

    return call


def fipy(case, order):
    """FiPy: its explicit upwind convection term and the sparse solver that it finds."""
    import fipy as package

    if order == 2 or len(case.shape) != 2 or case.density.size > 1 << 18:
        raise Unavailable
    mesh = package.PeriodicGrid2D(nx=case.shape[1], ny=case.shape[0], dx=1.0, dy=1.0)
    value = package.CellVariable(mesh=mesh, value=case.density.ravel())
    velocity = package.FaceVariable(mesh=mesh, rank=1)
    x, y = mesh.faceCenters.value
    along_x = np.abs(mesh.faceNormals[0]) > 0.5
    row, column = np.floor(y).astype(int), np.floor(x).astype(int)
    ny, nx = case.shape
    across = case.courants[1][row % ny, np.rint(x).astype(int) - 1]
    up = case.courants[0][(np.rint(y).astype(int) - 1) % ny, column % nx]
    velocity[0] = np.where(along_x, across, 0.0)
    velocity[1] = np.where(along_x, 0.0, up)
    equation = package.TransientTerm() + package.ExplicitUpwindConvectionTerm(coeff=velocity)

    def call():
        value.setValue(case.density.ravel())
        for _ in range(STEPS):
            equation.solve(var=value, dt=1.0)
        return np.asarray(value.value).reshape(case.shape)

    return call


PEERS = {"PyMPDATA": pympdata, "JAX": jax, "PyTorch": torch, "py-pde": pypde, "FiPy": fipy}


def particle_peers(inputs, targets, points):
    """Yield ``(name, call)``: the gradient of the least-squares risk of tanh neurons.

    `call` returns the gradient of the first variation at every particle, all of equal weight.
    """
    a, w = points[:, 0].copy(), points[:, 1:].copy()
    for name, make in (("PyTorch", _torch_particles), ("JAX", _jax_particles)):
        try:
            yield name, make(inputs, targets, a, w)
        except ImportError:
            continue


def _torch_particles(inputs, targets, a, w):
    import torch as package

    x, y = package.from_numpy(inputs), package.from_numpy(targets)
    a = package.from_numpy(a).requires_grad_()
    w = package.from_numpy(w).requires_grad_()

    def call():
        a.grad = w.grad = None
        output = a @ package.tanh(w @ x.T) / len(w)
        (0.5 * ((output - y) ** 2).mean() * len(w)).backward()
        return np.column_stack([a.grad.numpy(), w.grad.numpy()])

    return call


def _jax_particles(inputs, targets, a, w):
    import jax as package
    import jax.numpy as xp

    package.config.update("jax_enable_x64", True)
    x, y = xp.asarray(inputs), xp.asarray(targets)

    def risk(a, w):
        return 0.5 * xp.mean((a @ xp.tanh(w @ x.T) / len(w) - y) ** 2) * len(w)

    gradient = package.jit(package.grad(risk, argnums=(0, 1)))
    a, w = xp.asarray(a), xp.asarray(w)

    def call():
        return np.column_stack([np.asarray(g) for g in gradient(a, w)])

    return call


def installed(case, order):
    """Yield ``(name, call)`` for the peers that are there and have the scheme."""
    for name, make in itertools.chain({"NumPy": numpy}.items(), PEERS.items()):
        try:
            yield name, make(case, order)
        except (ImportError, Unavailable):
            continue
