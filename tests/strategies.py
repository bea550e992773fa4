"""Random meshes, densities and functionals that tests of several rooms share."""

import numpy as np
from hypothesis import strategies as st

import wgf

ACTIVATIONS = ("relu", "tanh", "sigmoid")


@st.composite
def meshes(draw, names=None, periodic=None):
    """A mesh of one to four axes with walls and periods mixed."""
    if names is None:
        names = ("p", "q", "r", "s")[: draw(st.integers(1, 4))]
    most = {1: 24, 2: 9, 3: 6, 4: 5}[len(names)]
    axes = {}
    for i, name in enumerate(names):
        lower = draw(st.floats(-2, 0.5))
        wrap = draw(st.booleans()) if periodic is None else periodic[i]
        axes[name] = wgf.Axis(
            lower, lower + draw(st.floats(0.5, 3)), draw(st.integers(1, most)), wrap
        )
    return wgf.Mesh(**axes)


@st.composite
def densities(draw, mesh):
    """A density on `mesh` with empty cells and values over several orders of magnitude."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = generator.random(mesh.shape) ** draw(st.sampled_from([1, 6]))
    values[generator.random(mesh.shape) < draw(st.sampled_from([0.0, 0.4, 0.9]))] = 0.0
    values.ravel()[generator.integers(values.size)] += 1.0
    return wgf.Density(mesh, values)


@st.composite
def features(draw):
    """Features of every kind with the periods that their axes must have."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["neurons", "dirichlet", "gaussian", "own", "own amplitude"]))
    n = draw(st.integers(1, 6))
    if kind == "neurons":
        p = draw(st.integers(1, 2))
        x = generator.normal(size=n if p == 1 else (n, p))
        found = wgf.Neurons(x, draw(st.sampled_from(ACTIVATIONS)), bias=draw(st.booleans()))
        return found, found.names, None
    if kind in ("dirichlet", "gaussian"):
        d = draw(st.integers(1, 2))
        if kind == "dirichlet":
            found = wgf.Filter.dirichlet(draw(st.integers(0, 3)), dimension=d)
        else:
            found = wgf.Filter.gaussian(generator.random((n, d)), draw(st.floats(0.2, 1)))
        return found, found.names, None
    amplitude = kind == "own amplitude"
    d = draw(st.integers(2 if amplitude else 1, 3))
    frequencies = generator.normal(size=(d - amplitude, n))

    def function(points):
        return np.cos(points @ frequencies)

    def gradient(points):
        return -np.sin(points @ frequencies)[:, :, None] * frequencies.T

    found = wgf.Features(function, gradient, amplitude=amplitude)
    found.measure_size(d)
    return found, ("p", "q", "r")[:d], None


@st.composite
def losses(draw, n):
    """Every loss for `n` samples."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["squared", "weighted", "logistic"]))
    if kind == "logistic":
        return wgf.Logistic(generator.choice([-1.0, 1.0], n))
    weights = generator.uniform(0.1, 5, n) if kind == "weighted" else None
    return wgf.Squared(generator.normal(size=n), weights)


@st.composite
def functionals(draw):
    """A functional with its axis names: a risk, penalties, or both."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    terms, names = [], ("p", "q", "r", "s")[: draw(st.integers(1, 4))]
    if draw(st.booleans()):
        phi, names, _ = draw(features())
        scale = draw(st.sampled_from([1.0, 3.0]))
        terms.append(wgf.Risk(phi, draw(losses(phi.size)), scale=scale))
    wanted = draw(st.sets(st.sampled_from(["l1", "ridge", "potential"]), min_size=not terms))
    if "l1" in wanted:
        terms.append(wgf.L1(draw(st.floats(0, 2)), axes=names[0]))
    if "ridge" in wanted:
        terms.append(wgf.Ridge(draw(st.floats(0, 2))))
    if "potential" in wanted:
        slope = generator.normal(size=len(names))
        terms.append(
            wgf.Potential(lambda p: np.sin(p @ slope), lambda p: np.cos(p @ slope)[:, None] * slope)
        )
    return wgf.Functional(terms), names


@st.composite
def functionals_and_densities(draw):
    """A functional and a density on a mesh whose axes fit."""
    functional, names = draw(functionals())
    mesh = draw(meshes(names=names))
    return functional, draw(densities(mesh))


@st.composite
def unbalanced_flows_and_densities(draw):
    """A Wasserstein-Fisher-Rao flow of every allowed kind and a density that fits."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    phi, names, _ = draw(features())
    scales = draw(st.sampled_from([(), (1.0,), (3.0,), (1.0, 2.0)]))
    terms = [wgf.Risk(phi, draw(losses(phi.size)), scale=scale) for scale in scales]
    signed = phi.amplitude and bool(scales)
    if signed:
        terms.append(wgf.L1(draw(st.floats(0, 2)), axes=names[0]))
    else:
        kinds = st.sampled_from(["l1", "ridge", "potential"])
        for kind in draw(st.sets(kinds, min_size=0 if terms else 1)):
            given = {"l1": wgf.L1(draw(st.floats(0, 2))), "ridge": wgf.Ridge(draw(st.floats(0, 2)))}
            slope = generator.normal(size=len(names))
            wave = wgf.Potential(lambda p, slope=slope: 1.0 + np.sin(p @ slope))
            terms.append(given.get(kind, wave))
    mesh = draw(meshes(names=names))
    if signed:
        mesh = wgf.Mesh(**{n: mesh.axis(n) for n in names} | {names[0]: wgf.Axis(-2, 2, 2)})
    flow = wgf.FisherRao(
        wgf.Functional(terms),
        growth=draw(st.sampled_from([0.0, 0.2, 2.0])),
        transport=draw(st.sampled_from([1e-3, 1.0])),
    )
    return flow, draw(densities(mesh))
