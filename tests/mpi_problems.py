"""Small problems for runs on several ranks: ``python -m mpi4py mpi_problems.py ACTION …``.

`all FILE` solves every problem, `begin RUN` and `go_on RUN` are the two halves of a stored run,
`fail` raises on the last rank, `all_fail` on all, `kill` kills the last, `full` fills the disk of
rank 0, `count FILE` notes the messages of a few steps, `memory FILE` the largest memory of a run.
"""

import hashlib
import json
import os
import resource
import signal
import sys
import tracemalloc

import numpy as np

import wgf
from wgf import parallel
from wgf.measures import density as measures
from wgf.record import layout


def cube(cells=(18, 17, 16)):
    return wgf.Mesh(**{n: wgf.Axis(-2, 2, c) for n, c in zip(("a", "w1", "w2"), cells)})


def regression(activation, samples=20):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(samples, 2)), generator.normal(size=samples)
    return wgf.Risk(wgf.Neurons(x, activation), wgf.Squared(y))


def waves(points):
    return np.cos(np.pi * points[:, 0] / 2) + points[:, 1] ** 2


def bell(points):
    return np.exp(-np.sum(points**2, axis=1))


def problems():
    """Yield ``(name, flow, start, until, method)``; 64 rows or 256 particles are one block."""
    start = wgf.Density.normal(cube(), 0.1, 0.5)
    strip = wgf.Mesh(x=wgf.Axis(-2, 2, 200, periodic=True), y=wgf.Axis(-2, 2, 24))
    bump = wgf.Density.normal(strip, (1.9, 0.1), 0.4)
    particles = start.sample(1100, 0)
    relu, tanh = regression("relu"), regression("tanh")
    penalised = tanh + wgf.L1(0.01, "a") + wgf.Ridge(0.1)
    flow = wgf.GradientFlow
    features = wgf.Risk(wgf.Features(np.tanh), wgf.Squared([0.3, -0.2]))
    porous = wgf.PowerEntropy(0.02, 2.0) + wgf.Interaction(lambda z: np.sum(z**2, axis=1))
    yield "order 2", flow(relu), start, 1.0, wgf.FiniteVolume()
    yield (
        "order 1",
        flow(penalised),
        start,
        0.5,
        wgf.FiniteVolume(1),
    )
    yield "period", flow(wgf.Potential(waves)), bump, 0.05, wgf.FiniteVolume()
    yield "features", flow(features + wgf.Ridge(0.1)), bump, 0.1, wgf.FiniteVolume()
    yield "porous", flow(porous), bump, 0.02, wgf.FiniteVolume()
    yield "diffusion", flow(wgf.Entropy(0.1) + wgf.Ridge(1.0)), bump, 0.01, wgf.FiniteVolume()
    implicit = relu + wgf.Entropy(0.01) + wgf.L1(0.1, "a")
    yield "implicit", flow(implicit), start, 0.2, wgf.ImplicitFiniteVolume(0.1)
    stabilised = wgf.StabilisedFiniteVolume()
    yield "stabilised", flow(implicit), start, 0.1, stabilised
    yield "stabilised pairs", flow(porous), bump, 0.05, stabilised
    thin = wgf.Density.normal(cube((6, 20, 9)), 0.1, 0.6)
    yield "two planes", flow(relu), thin, 0.1, wgf.ImplicitFiniteVolume(0.05)
    yield "implicit pairs", flow(porous), bump, 0.1, wgf.ImplicitFiniteVolume(0.05)
    backward = wgf.ForwardBackward(0.05)
    yield "forward-backward", flow(relu + wgf.L1(0.01, "a")), particles, 0.3, backward
    yield "runge-kutta", flow(tanh + wgf.Ridge(0.01)), particles, 0.5, wgf.RungeKutta()
    generator = np.random.default_rng(3)
    inputs, points = generator.normal(size=(20, 5)), generator.normal(size=(1100, 7))
    many = wgf.Risk(wgf.Neurons(inputs, "sigmoid", bias=True), wgf.Squared(inputs[:, 0]))
    yield "many inputs", flow(many), wgf.Particles(points), 0.5, wgf.RungeKutta()
    noise = tanh + wgf.Ridge(0.01) + wgf.Entropy(0.01)
    yield "langevin", flow(noise), particles, 0.05, wgf.Langevin(0.02)
    yield "sgd", flow(relu + wgf.L1(0.01)), particles, 0.5, wgf.StochasticGradient(0.05, 10)
    yield "descent", flow(relu), particles, 0.3, wgf.GradientDescent(0.1)
    many, wide = start.sample(3000, 0), regression("relu", 300)
    descent = wgf.GradientDescent(0.1)
    ridged = wide + wgf.Ridge(0.1) + wgf.Potential(waves)
    yield "descent in blocks", flow(ridged), many, 0.3, descent
    two = regression("relu", 700) + tanh
    yield "descent of two risks", flow(two), many, 0.2, wgf.GradientDescent(0.1)
    smeared = wgf.Risk(wgf.Features(np.sin), wgf.Squared([0.1, 0.2, 0.3]))
    yield "descent of features", flow(smeared), many, 0.2, wgf.GradientDescent(0.1)
    yield "own features", flow(smeared + wgf.Ridge(0.1)), many, 0.3, wgf.RungeKutta()
    generator = np.random.default_rng(1)
    inputs, targets = generator.normal(size=(40, 12)), generator.normal(size=40)
    deep = wgf.Particles(generator.normal(size=(3000, 13)))
    F = wgf.Risk(wgf.Neurons(inputs, "tanh"), wgf.Squared(targets))
    yield "many inputs", flow(F + wgf.L1(0.01)), deep, 0.3, wgf.ForwardBackward(0.05)
    yield "batches of many inputs", flow(F), deep, 0.2, wgf.StochasticGradient(0.05, 7)
    cloud = bump.sample(520, 0)
    pairs = wgf.Interaction(bell, lambda z: -2 * z * bell(z)[:, None]) + wgf.Ridge(0.1)
    yield "pairs", flow(pairs), cloud, 0.05, wgf.ForwardBackward(0.02)
    yield "descent of pairs", flow(pairs), cloud, 0.2, wgf.GradientDescent(0.1)
    beads = wgf.HeavyBall(pairs, 0.5, 0.1)
    yield "pairs with momentum", beads, cloud, 0.1, wgf.Baoab(0.05)
    spikes = wgf.Filter.dirichlet(3)
    signs = dict(zip(spikes.names, (wgf.Axis(-2, 2, 2), wgf.Axis(0, 1, 64, periodic=True))))
    copies = wgf.Density.uniform(wgf.Mesh(**signs))
    F = wgf.Risk(spikes, wgf.Squared(np.linspace(-1, 1, 7))) + wgf.L1(0.1, spikes.names[0])
    F = wgf.Risk(wgf.Features(np.tanh), wgf.Squared([0.5, -0.2]))
    for name, places, temperature in (
        ("walls", {"x": wgf.Axis(-2, 2, 17), "y": wgf.Axis(-1, 1, 5)}, 0.3),
        ("period", {"x": wgf.Axis(-2, 2, 24, periodic=True)}, 0.0),
    ):
        positions = wgf.Mesh(**places)
        potential = wgf.Ridge(0.3) if name == "walls" else wgf.Interaction(lambda z: z[:, 0] ** 2)
        ball = wgf.HeavyBall(F + potential if name == "walls" else potential, 0.7, temperature)
        phase = wgf.phase_space(positions, 3.5, 14)
        begin = wgf.maxwellian(wgf.Density.normal(positions, 0.7, 0.5), 0.3, phase)
        # the longest step reaches round the period and beyond the planes of a rank
        for step in (None, 2.0):
            method = wgf.KineticFiniteVolume(step)
            yield f"kinetic {name} {step}", ball, begin, step or 0.5, method
    masses = wgf.HeavyBall(relu + wgf.L1(0.01), 0.5, 0.1)
    yield "baoab", masses, wgf.maxwellian(particles, 0.1), 0.2, wgf.Baoab(0.05)
    masses = wgf.HeavyBall(tanh, 0.5, frozen=("a",))
    yield "heavy ball", masses, particles, 0.2, wgf.HeavyBallParticles(0.05, batch=5)
    F = wgf.Risk(spikes, wgf.Squared(np.linspace(-1, 1, 7))) + wgf.L1(0.1, spikes.names[0])
    yield "growth", wgf.FisherRao(F), copies, 0.02, wgf.GrowthSplitting()
    # two copies of an area, which both lie on every rank, and one of a volume
    area = wgf.Filter.dirichlet(1, 2)
    sides = (wgf.Axis(-2, 2, 2), wgf.Axis(0, 1, 96, periodic=True), wgf.Axis(0, 1, 8))
    sides = wgf.Density.uniform(wgf.Mesh(**dict(zip(area.names, sides))))
    G = wgf.Risk(area, wgf.Squared(np.linspace(-1, 1, area.size))) + wgf.L1(0.1, area.names[0])
    yield "growth of two copies", wgf.FisherRao(G), sides, 0.01, wgf.GrowthSplitting()
    G = features + wgf.Potential(waves)
    linear = wgf.FisherRao(wgf.Potential(waves), growth=0.3)
    whole = wgf.FisherRao(G, growth=0.5)
    both = wgf.FisherRao(G + wgf.Risk(wgf.Features(np.sin), wgf.Squared([0.1, 0.1])), growth=0.5)
    first = wgf.GrowthSplitting(order=1)
    yield "growth of order 1", whole, bump, 0.05, first
    yield "growth of two risks", both, bump, 0.05, wgf.GrowthSplitting()
    yield "linear growth", linear, bump, 0.05, wgf.GrowthSplitting()
    yield "growth without transport", wgf.FisherRao(G, 1.0, 0.0), bump, 0.3, first
    yield "implicit growth", whole, bump, 0.1, wgf.GrowthSplitting(0.04, implicit=True)
    cloud = bump.sample(3000, 0)
    yield "conic of own features", wgf.FisherRao(features), cloud, 0.02, wgf.Conic()
    yield "conic", wgf.FisherRao(F), copies.sample(600, 0), 0.02, wgf.Conic()


def digest(solution):
    """Return a text that changes with any bit of a solution."""
    found = hashlib.sha256()
    for measure in solution.snapshots:
        numbers = [getattr(measure, "values", measure.points), measure.weights]
        numbers.append(getattr(measure, "velocities", None))
        found.update(b"".join(np.ascontiguousarray(a).tobytes() for a in numbers if a is not None))
    for name, column in sorted(solution.diagnostics.items()):
        found.update(name.encode() + np.asarray(column).tobytes())
    if solution.outputs is not None:
        found.update(solution.outputs.tobytes())
    return found.hexdigest()


def solve_all():
    return {
        name: digest(wgf.solve(flow, start, until, method=method))
        for name, flow, start, until, method in problems()
    }


# runs that are interrupted and continued
CONTINUED = (
    *("order 2", "implicit", "kinetic walls None", "growth", "growth of two copies"),
    *("growth of order 1", "implicit growth", "forward-backward", "runge-kutta", "langevin"),
    *(
        "descent in blocks",
        "batches of many inputs",
        "pairs",
        "sgd",
        "baoab",
        "heavy ball",
        "conic",
    ),
)


def stored(path, share, resume):
    """Solve some problems up to a share of their times and return the digests by name."""
    found = {}
    for name, flow, start, until, method in problems():
        if name in CONTINUED:
            folder = f"{path}_{name.replace(' ', '_')}"
            solution = wgf.solve(
                flow, start, share * until, at=[0.5 * until], method=method, save=folder,
                resume=resume,
            )  # fmt: skip
            found[name] = digest(solution)
    return found


def model(plane, ranks):
    """Return the bytes that all ranks send in a step of order 2 by kind; see docs/parallel.md.

    For features with an amplitude, cut along it, `plane` cells of which are one plane.
    """
    cuts = ranks - 1
    return {
        # two stages: two planes each way over every cut; moments to who multiplies with them, the
        # first variation from there to all
        "cells": 2 * 8 * plane * cuts * (4 + 1 / ranks + 1),
        "moments": 2 * 8 * plane * cuts,
    }


def noted(slab):
    """Return the list of the axes whose lines the slab will have turned."""
    axes, turn = [], slab.turn
    slab.turn = lambda axis, values: axes.append(axis) or turn(axis, values)
    return axes


def growing(features=60):
    """Return a flow with growth and a density without amplitudes: moments are of Gram matrices."""
    places = np.random.default_rng(0).normal(size=(2, features))
    F = wgf.Risk(wgf.Features(lambda p: np.cos(p @ places)), wgf.Squared(np.ones(features)))
    mesh = wgf.Mesh(x=wgf.Axis(-2, 2, 200), y=wgf.Axis(-2, 2, 24))
    return wgf.FisherRao(F), wgf.Density.normal(mesh, 0.1, 0.5)


def spied(equation):
    """Return the list of the steps of Newton's method that the equation will have made."""
    steps = []
    if equation is not None:
        move = equation._move
        equation._move = lambda *arguments: steps.append(1) or move(*arguments)
    return steps


def count(cells=64, samples=20):
    """Return bytes and messages sent by kind in a step: order 2, implicit, kinetic, growth."""
    ranks, found = parallel.world(), {}
    start = wgf.Density.normal(cube((cells,) * 3), 0.1, 0.5)
    flow = wgf.GradientFlow(regression("relu", samples))
    places = wgf.Mesh(x=wgf.Axis(-2, 2, 40, periodic=True))
    phase = wgf.phase_space(places, 3.5, 14)
    begin = wgf.maxwellian(wgf.Density.normal(places, 0.7, 0.5), 0.3, phase)
    ball = wgf.HeavyBall(wgf.Interaction(lambda z: z[:, 0] ** 2), 0.7, 0.3)
    for name, method, problem in (
        ("explicit", wgf.FiniteVolume(), (flow, start)),
        ("implicit", wgf.ImplicitFiniteVolume(1e-3, growth=1), (flow, start)),
        ("kinetic", wgf.KineticFiniteVolume(), (ball, begin)),
        ("growth", wgf.GrowthSplitting(), growing()),
    ):
        stepper = method.prepare(*problem)
        before, turns = dict(ranks.sent), noted(stepper.slab)
        grams = spied(getattr(stepper, "equation", None))
        row = stepper.advance(1e-3)
        assert row["rejected"] == 0
        sent = {
            kind: [total[k] - before.get(kind, (0, 0))[k] for k in range(2)]
            for kind, total in ranks.sent.items()
        }
        turned = turns.count(stepper.slab.axis)
        found[name] = {"sent": sent, "turns": turned, "grams": len(grams)}
    return found


METHODS = {
    "explicit": wgf.FiniteVolume(),
    "implicit": wgf.ImplicitFiniteVolume(0.05),
    "growth": wgf.GrowthSplitting(),
    "implicit growth": wgf.GrowthSplitting(0.02, implicit=True),
}


def memory(path, cells=(192, 24, 24)):
    """Return the largest memory of arrays by method: of steps, and of a stored run if `path`."""
    # blocks small beside the density, as those of a large one are
    measures.BLOCK_CELLS = 1 << 12
    # asked for and given back untouched
    layout.SPARE_BYTES = 0
    found = {}
    for name, method in METHODS.items():
        for shape in ((24, 16, 16), cells):
            tracemalloc.start()
            # the look at the support of a start, left out with a frozen axis, has its own size
            flow = wgf.GradientFlow(regression("relu"), frozen=("w2",))
            if "growth" in name:
                own = wgf.Features(np.tanh)
                flow = wgf.FisherRao(wgf.Risk(own, wgf.Squared([0.5, -0.2, 0.1])))
            start = wgf.Density.normal(cube(shape), 0.1, 0.5)
            if path:
                wgf.solve(flow, start, 0.02, method=method, save=f"{path}_{name}_{shape[0]}")
            else:
                method.prepare(flow, start).advance(0.02)
            found[name] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    return found


def misbehave(how):
    """Solve a problem for hours in which something goes wrong after a while."""
    ranks, calls = parallel.world(), []

    def stop(row):
        calls.append(row)
        last = ranks.rank == ranks.size - 1
        if len(calls) == 3 and how == "full" and ranks.rank == 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000,) * 2)
        elif len(calls) == 3 and how == "kill" and last:
            os.kill(os.getpid(), signal.SIGKILL)
        elif len(calls) == 3 and (how == "all_fail" or (how == "fail" and last)):
            raise RuntimeError("told once")
        return False

    start = wgf.Density.normal(cube(), 0.1, 0.5)
    # one sided, of which rank 0 alone warns
    begin = wgf.Density.uniform(cube(), a=(1.0, 2.0)) if how == "all_fail" else start
    flow = wgf.GradientFlow(regression("relu"))
    wgf.solve(flow, begin, 1e3, every=1e-2, save=sys.argv[2], stop=stop)


def main():
    action, path = sys.argv[1:3]
    note = None
    if action == "all":
        note = solve_all()
    elif action == "count":
        note = count()
    elif action == "memory":
        note = memory(path)
    elif action in ("begin", "go_on"):
        note = stored(path, 1.0 if action == "go_on" else 0.5, action == "go_on")
        path = f"{path}_{action}"
    else:
        misbehave(action)
    with open(f"{path}.{parallel.world().rank}", "w") as file:
        json.dump(note, file)


if __name__ == "__main__":
    main()
