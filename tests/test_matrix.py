"""Every term on every measure by every method, with all that a run leaves: it runs, or a sentence.

A combination that is refused is refused in one sentence. One that runs
is stored, breaks off, is resumed to the bit, told of, and compared with itself; every term on every
measure is drawn as well.
"""

import warnings

import matplotlib
import numpy as np
import pytest

import wgf
from wgf.record import store

matplotlib.use("Agg")

X = np.linspace(-1, 1, 5)
Y = np.sin(3 * X)
LINE = wgf.Mesh(x=wgf.Axis(-2, 2, 10))
RING = wgf.Mesh(x=wgf.Axis(-2, 2, 10, periodic=True))
PLANE = wgf.Mesh(a=wgf.Axis(-3, 3, 8), w=wgf.Axis(-3, 3, 8))
PHASE = wgf.phase_space(LINE, 4.0, 10)
SIGNS = wgf.Mesh(a=wgf.Axis(-2, 2, 2), w=wgf.Axis(-3, 3, 8))


def bump(points):
    return np.exp(-((points - X) ** 2) if points.shape[1] == 1 else -((points[:, :1] - X) ** 2))


class Cubic(wgf.LocalEnergy):
    """``0.05 ∫ rho^3``."""

    name = "cubic"

    def energy(self, rho):
        return 0.05 * rho**3

    def slope(self, rho):
        return 0.15 * rho**2


class Spread(wgf.Term):
    """``1/2 ∫ |theta - mean|^2 dmu``."""

    name = "spread"

    def _mean(self, measure):
        return sum(weights @ points for points, weights in measure.blocks()) / measure.mass

    def value_at(self, measure):
        mean = self._mean(measure)
        parts = measure.blocks()
        return sum(float(w @ np.sum((points - mean) ** 2, axis=1)) for points, w in parts) / 2

    def variation_at(self, measure, points, names):
        return 0.5 * np.sum((points - self._mean(measure)) ** 2, axis=1)

    def gradient_at(self, measure, points, names):
        return points - self._mean(measure)


class Tilt(wgf.LinearTerm):
    """``∫ theta_1 dmu``."""

    name = "tilt"

    def potential(self, points, names):
        return 0.1 * points[:, 0]

    def slope(self, points, names):
        found = np.zeros_like(points)
        found[:, 0] = 0.1
        return found


TERMS = {
    "tanh": lambda: wgf.Risk(wgf.Neurons(X, "tanh"), wgf.Squared(Y)),
    "relu": lambda: wgf.Risk(wgf.Neurons(X, "relu"), wgf.Squared(Y)),
    "spikes": lambda: wgf.Risk(wgf.Filter.gaussian(X, 0.5), wgf.Squared(Y)),
    "logistic": lambda: wgf.Risk(wgf.Features(bump), wgf.Logistic(np.sign(Y + 0.1))),
    "l1": lambda: wgf.L1(0.1),
    "ridge": lambda: wgf.Ridge(0.1),
    "well": lambda: wgf.Potential(lambda p: 0.5 * np.sum(p**2, axis=1)),
    "entropy": lambda: wgf.Entropy(0.1),
    "porous": lambda: wgf.PowerEntropy(0.1, 2),
    "fast": lambda: wgf.PowerEntropy(0.1, 0.7),
    "attraction": lambda: wgf.Interaction(lambda z: 0.5 * np.sum(z**2, axis=1)),
    "population": lambda: wgf.PopulationRisk([1.0], [[0.5]]),
    "cubic": Cubic,
    "spread": Spread,
    "tilt": Tilt,
    "half": lambda: 0.5 * wgf.Interaction(lambda z: np.sum(z**2, axis=1)),
    "all": lambda: (
        wgf.Risk(wgf.Features(bump), wgf.Squared(Y))
        + wgf.L1(0.01)
        + wgf.Ridge(0.1)
        + wgf.Entropy(0.05)
        + wgf.Interaction(lambda z: np.sum(z**2, axis=1))
    ),
}


def density(mesh, mean=0.3):
    return wgf.Density.normal(mesh, mean, 0.5)


def cloud(mesh, domain=True, count=9):
    drawn = density(mesh).sample(count, seed=0)
    return wgf.Particles(drawn.points, drawn.weights, domain=mesh if domain else None)


MEASURES = {
    "line": lambda: density(LINE),
    "ring": lambda: density(RING),
    "plane": lambda: density(PLANE),
    "phase": lambda: wgf.maxwellian(density(LINE), 0.5, PHASE),
    "signs": lambda: density(SIGNS),
    "cloud": lambda: cloud(LINE),
    "cloud on a ring": lambda: cloud(RING),
    "neurons": lambda: cloud(PLANE),
    "free neurons": lambda: cloud(PLANE, domain=False),
    "moving": lambda: wgf.maxwellian(cloud(LINE), 0.5),
    "one": lambda: cloud(LINE, count=1),
}
METHODS = {
    "first order": lambda: wgf.FiniteVolume(1),
    "second order": wgf.FiniteVolume,
    "implicit": lambda: wgf.ImplicitFiniteVolume(0.02),
    "runge-kutta": wgf.RungeKutta,
    "forward-backward": lambda: wgf.ForwardBackward(0.02),
    "descent": lambda: wgf.GradientDescent(0.02),
    "stochastic": lambda: wgf.StochasticGradient(0.02, 2),
    "langevin": lambda: wgf.Langevin(0.02),
    "rosenbrock": wgf.Rosenbrock,
    "splitting": wgf.GrowthSplitting,
    "conic": wgf.Conic,
    "kinetic": wgf.KineticFiniteVolume,
    "baoab": lambda: wgf.Baoab(0.02),
    "momentum": lambda: wgf.HeavyBallParticles(0.02),
}
FLOWS = {
    "gradient": wgf.GradientFlow,
    "growth": wgf.FisherRao,
    "momentum": lambda F: wgf.HeavyBall(F, 1.0, 0.1),
}
UNTIL = 0.06
# what a method leaves does not depend on the walls and on how many particles there are
STORED = ("plane", "line", "neurons", "cloud", "moving", "phase", "signs")


class Broken(Exception):
    pass


def solve(flow, start, method, **options):
    return wgf.solve(
        flow, start, UNTIL, every=UNTIL / 2, method=method and METHODS[method](), **options
    )


def refused(work):
    """Return the sentence with which something is refused, None where it is done."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wgf.BoxWarning)
            warnings.simplefilter("ignore", wgf.StartWarning)
            work()
    except wgf.InputError as error:
        text = str(error)
        assert "\n" not in text and ": " in text and len(text) < 300, text
        return text
    return None


def stored(flow, start, method, whole, path):
    """Store a run, break it off, resume it to the bit, tell of it and compare it with the whole."""
    steps = iter(range(2))

    def count(row):
        if next(steps, None) is None:
            raise Broken

    try:
        solve(flow, start, method, save=path, progress=count)
    except Broken:
        run = solve(flow, start, method, save=path, resume=True)
        assert np.array_equal(run.final.points, whole.final.points)
        assert np.array_equal(run.final.weights, whole.final.weights)
    run = wgf.open_run(path)
    assert run.status == "done" and run.times[-1] == UNTIL
    assert "done" in store.summary(run)
    assert str(wgf.compare(whole, run))


def one(term, measure, flow, method, path):
    """Solve and keep a combination; return whether it was taken."""
    given = FLOWS[flow](TERMS[term]()), MEASURES[measure]()
    kept = []
    if refused(lambda: kept.append(solve(*given, method))):
        return False
    for name, column in kept[0].diagnostics.items():
        assert np.isfinite(column).all(), name
    # the entropies share the storage of all terms
    if measure in STORED and term not in ("half", "fast", "cubic", "tilt", "l1"):
        assert refused(lambda: stored(*given, method, kept[0], path)) is None
    return True


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("term", TERMS)
def test_each_method_runs_or_is_refused_in_one_sentence(term, measure, tmp_path):
    trouble = []
    for flow in FLOWS:
        if refused(lambda flow=flow: FLOWS[flow](TERMS[term]())):
            continue
        for method in METHODS:
            try:
                one(term, measure, flow, method, tmp_path / f"{flow} {method}")
            except Exception as error:
                trouble.append((flow, method, type(error).__name__, str(error)[:300]))
    assert not trouble, "\n".join(map(str, trouble))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("term", ["relu", "spikes", "entropy", "all"])
def test_each_run_is_drawn(term, measure):
    for flow in FLOWS:
        runs = []
        given = FLOWS[flow], TERMS[term], MEASURES[measure]
        if refused(lambda g=given, r=runs: r.append(solve(g[0](g[1]()), g[2](), None))):
            continue
        for figure in (
            wgf.plot.run(runs[0], functional=runs[0].functional),
            wgf.compare(runs[0], runs[0]).plot(),
        ):
            figure.canvas.draw()
