"""One problem a method: small ones to be killed, and ones of many blocks to be run on threads."""

import hashlib

import numpy as np

import wgf

METHODS = (
    "FiniteVolume 1",
    "FiniteVolume 2",
    "ImplicitFiniteVolume",
    "StabilisedFiniteVolume",
    "StabilisedFiniteVolume line",
    "GrowthSplitting",
    "GrowthSplitting implicit",
    "RungeKutta",
    "ForwardBackward",
    "Rosenbrock",
    "Conic",
    "GradientDescent",
    "Langevin",
    "StochasticGradient",
    "KineticFiniteVolume",
    "Baoab",
    "HeavyBallParticles",
)


def problem(name, size=1):
    """Return the arguments of `wgf.solve` for a method; cells and particles grow with `size`."""
    n, m = 6 + 10 * size, 20 * size**3
    samples = 5 + 10 * (size - 1) ** 2
    x = np.linspace(-1, 1, samples)
    risk = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(3 * x)))
    mesh = wgf.Mesh(a=wgf.Axis(-3, 3, n), w=wgf.Axis(-3, 3, n + 2))
    density = wgf.Density.normal(mesh, (0.3, 0.5), 0.5)
    particles = density.sample(m, seed=1)
    signs = wgf.Mesh(a=wgf.Axis(-2, 2, 2), w=mesh.axes[1])
    signed = wgf.Density.uniform(signs, w=(-2, 1))
    smooth, kinked = risk + wgf.Ridge(1e-2), risk + wgf.L1(1e-2, "a")
    growing = wgf.FisherRao(kinked, transport=0.1)
    noisy = wgf.GradientFlow(risk + wgf.Entropy(0.05))
    phase = wgf.phase_space(mesh.sub("w"), speed=3.0, cells=n)
    moving = wgf.Density.normal(phase, (0.5, 0.2), (0.5, 0.5))
    neurons = wgf.Risk(wgf.Features(lambda w: np.tanh(w * x)), wgf.Squared(np.sin(3 * x)))
    ball = wgf.HeavyBall(neurons, 0.5, 0.1)
    flow, start, method, until = {
        "FiniteVolume 1": (wgf.GradientFlow(kinked), density, wgf.FiniteVolume(1), 6.0),
        "FiniteVolume 2": (wgf.GradientFlow(kinked), density, wgf.FiniteVolume(2), 6.0),
        "ImplicitFiniteVolume": (noisy, density, wgf.ImplicitFiniteVolume(0.02, 1), 0.6),
        "StabilisedFiniteVolume": (noisy, density, wgf.StabilisedFiniteVolume(), 2.0),
        "StabilisedFiniteVolume line": (
            *(wgf.GradientFlow(wgf.Ridge(1.0) + wgf.Entropy(0.05)), density.marginal("w")),
            *(wgf.StabilisedFiniteVolume(1e-8), 2.0),
        ),
        "GrowthSplitting": (growing, signed, wgf.GrowthSplitting(), 10.0),
        "GrowthSplitting implicit": (growing, signed, wgf.GrowthSplitting(0.1, implicit=True), 2.0),
        "RungeKutta": (wgf.GradientFlow(smooth), particles, wgf.RungeKutta(), 8.0),
        "ForwardBackward": (wgf.GradientFlow(kinked), particles, wgf.ForwardBackward(), 2.0),
        "Rosenbrock": (wgf.GradientFlow(kinked), particles, wgf.Rosenbrock(), 2.0),
        "Conic": (growing, signed.sample(m, seed=1), wgf.Conic(), 4.0),
        "GradientDescent": (*_wide(size, m), wgf.GradientDescent(0.1), 3.0),
        "KineticFiniteVolume": (ball, moving, wgf.KineticFiniteVolume(0.02), 0.6),
        "Baoab": (ball, moving.sample(m, seed=1), wgf.Baoab(0.02, seed=3), 0.6),
        "HeavyBallParticles": (
            *(wgf.HeavyBall(kinked, 1.0), particles),
            *(wgf.HeavyBallParticles(0.02), 0.6),
        ),
        "Langevin": (noisy, particles, wgf.Langevin(0.02, seed=3), 0.6),
        "StochasticGradient": (
            wgf.GradientFlow(kinked),
            particles,
            wgf.StochasticGradient(0.02, 2, seed=3, look=3),
            2.0,
        ),
    }[name]
    return {"flow": flow, "start": start, "until": until, "every": until / 7.5, "method": method}


def _wide(size, m):
    """Return flow and start of a ReLU network whose inputs go through matrix products."""
    n, d = 8 * size**2, 5 * size
    generator = np.random.default_rng(0)
    x = generator.normal(size=(n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    risk = wgf.Risk(wgf.Neurons(x, "relu"), wgf.Squared(generator.normal(size=n)), scale=m**0.5)
    start = np.column_stack([generator.choice([-1.0, 1.0], m), generator.normal(size=(m, d))])
    return wgf.GradientFlow(risk, frozen="a"), wgf.Particles(start)


def general(activation, inputs=12, size=3):
    """Return the arguments of a run whose features have no kernel: many inputs."""
    generator = np.random.default_rng(1)
    x = generator.normal(size=(40 * size, inputs)) / inputs**0.5
    risk = wgf.Risk(wgf.Neurons(x, activation), wgf.Squared(generator.normal(size=len(x))))
    start = wgf.Particles(generator.normal(size=(300 * size, inputs + 1)))
    method = wgf.RungeKutta(tolerance=1e-3)
    return {"flow": wgf.GradientFlow(risk), "start": start, "until": 0.2, "method": method}


def digest(solution):
    """Return a text that changes with one bit of the times, snapshots, outputs or diagnostics."""
    found = hashlib.sha256()
    arrays = [solution.times, *(solution.diagnostics[k] for k in sorted(solution.diagnostics))]
    for snapshot in solution.snapshots:
        arrays += [snapshot.points, snapshot.weights]
        if getattr(snapshot, "velocities", None) is not None:
            arrays.append(snapshot.velocities)
    if solution.outputs is not None:
        arrays.append(solution.outputs)
    for values in arrays:
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


NAMES_ON_THREADS = (*METHODS, "many inputs relu", "many inputs tanh", "own features")


def on_threads(name):
    """Return the arguments of a run large enough to be split among threads."""
    if name == "own features":
        generator = np.random.default_rng(2)
        frequencies = generator.normal(size=(60, 400)) / 8
        features = wgf.Features(
            lambda points: np.cos(points @ frequencies),
            lambda points: -np.sin(points @ frequencies)[:, :, None] * frequencies.T,
        )
        risk = wgf.Risk(features, wgf.Squared(np.ones(400)))
        start = wgf.Particles(generator.normal(size=(700, 60)))
        method = wgf.RungeKutta(tolerance=1e-2)
        return {"flow": wgf.GradientFlow(risk), "start": start, "until": 0.02, "method": method}
    if name.startswith("many inputs"):
        return {**general(name.split()[-1], inputs=33, size=20), "until": 0.05}
    if name == "GradientDescent":
        flow, start = _wide(6, 12_345)
        return {"flow": flow, "start": start, "until": 0.3, "method": wgf.GradientDescent(0.1)}
    found = problem(name, size=5)
    return {**found, "until": found["until"] / 20, "every": None}
