"""Random calls of the public interface: arguments that fit mixed with ones that do not."""

import numpy as np
from hypothesis import strategies as st

import wgf

FLOATS = st.floats(allow_nan=True, allow_infinity=True, width=64)
ODD_ARRAYS = (
    np.zeros(0),
    np.zeros((2, 0)),
    np.ones(3),
    np.ones((2, 2)),
    np.ones((2, 2, 2)),
    np.array([1, None], dtype=object),
    np.array(["a", "b"]),
    np.array([1j, 2]),
    np.array([True, False]),
    np.array(["2020-01-01"], dtype="datetime64[D]"),
    np.array([np.nan, 1.0]),
    np.array([1e308, -1e308]),
    np.array(5),
    np.float32(0.5),
    np.int64(-3),
)
FUNCTIONS = (
    len,
    np.sin,
    lambda p: p,
    lambda p: p[:, 0],
    lambda p: 3.0,
    lambda p: None,
    lambda p: "text",
    lambda p: np.full(len(p), np.nan),
    lambda p: np.full(len(p), 1e308),
    lambda p: np.zeros((len(p), 0)),
    lambda p: [[]],
    lambda p: p[:, :, None] * np.ones(p.shape[1]),
)


def junk():
    """Return a strategy for values that fit nowhere in particular."""
    plain = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 5),
        st.sampled_from([10**30, -(10**18), 2**63]),
        FLOATS,
        st.text(max_size=4),
        st.binary(max_size=3),
        st.sampled_from(ODD_ARRAYS),
        st.sampled_from(FUNCTIONS),
        st.sampled_from([1j, range(3), slice(2), ..., {1, 2}]),
    )
    nested = st.one_of(
        st.lists(plain, max_size=3),
        st.tuples(plain, plain),
        st.dictionaries(st.one_of(st.text(max_size=2), st.integers(0, 2)), plain, max_size=2),
    )
    return st.one_of(plain, nested)


NUMBERS = st.floats(-3, 3)
POSITIVE = st.one_of(st.floats(0.01, 3), st.sampled_from([1e-300, 1e300, 5e-324]))
NAMES = st.sampled_from(["x", "y", "a", "w", "x1", "b", ("a",), ["x", "y"], ()])


@st.composite
def axes(draw):
    lower = draw(NUMBERS)
    upper = lower + draw(st.sampled_from([1.0, 2.5, 1e-9, 1e9]))
    return wgf.Axis(lower, upper, draw(st.integers(1, 6)), draw(st.booleans()))


@st.composite
def meshes(draw):
    names = draw(st.sampled_from([("x",), ("a", "w"), ("a", "w", "b"), ("x", "y"), ("w", "x")]))
    return wgf.Mesh(**{name: draw(axes()) for name in names})


def numbers(*shape):
    return st.builds(
        lambda seed, scale: scale * np.random.default_rng(seed).normal(size=shape),
        st.integers(0, 99),
        st.sampled_from([1.0, 0.0, 1e-200, 1e200]),
    )


@st.composite
def densities(draw):
    mesh = draw(meshes())
    values = np.abs(draw(numbers(*mesh.shape)))
    return wgf.Density(mesh, values)


@st.composite
def particles(draw):
    m, d = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    weights = draw(st.one_of(st.none(), numbers(m).map(np.abs)))
    return wgf.Particles(draw(numbers(m, d)), weights)


@st.composite
def features(draw):
    kind = draw(st.sampled_from(["neurons", "dirichlet", "gaussian", "own"]))
    if kind == "neurons":
        x = draw(st.one_of(numbers(3), numbers(3, 2)))
        return wgf.Neurons(
            x, draw(st.sampled_from(["relu", "tanh", "sigmoid"])), draw(st.booleans())
        )
    if kind == "dirichlet":
        return wgf.Filter.dirichlet(draw(st.integers(0, 2)), draw(st.integers(1, 2)))
    if kind == "gaussian":
        return wgf.Filter.gaussian(draw(numbers(3)), draw(POSITIVE))
    return wgf.Features(draw(st.sampled_from(FUNCTIONS)), amplitude=draw(st.booleans()))


def losses():
    return st.one_of(
        numbers(3).map(wgf.Squared), st.just(wgf.Logistic([1, -1, 1])), numbers(1).map(wgf.Squared)
    )


@st.composite
def terms(draw):
    """Return a strategy for terms; those whose parts do not fit each other are left out."""
    try:
        return draw(
            st.one_of(
                st.builds(wgf.Risk, features(), losses()),
                st.builds(wgf.L1, POSITIVE, st.one_of(st.none(), NAMES)),
                st.builds(wgf.Ridge, POSITIVE, st.one_of(st.none(), NAMES)),
                st.builds(wgf.Potential, st.sampled_from(FUNCTIONS)),
                st.builds(wgf.Entropy, POSITIVE),
                st.builds(wgf.PowerEntropy, POSITIVE, st.sampled_from([0.5, 2.0, 3.5])),
                st.just(wgf.Interaction(lambda z: (z**2).sum(axis=1))),
                st.just(wgf.Interaction(lambda z: np.abs(z).sum(axis=1) ** 0.5)),
            )
        )
    except wgf.InputError:
        return wgf.Ridge(1.0)


functionals = st.lists(terms(), min_size=1, max_size=3).map(wgf.Functional)


@st.composite
def flows(draw):
    functional = draw(functionals)
    if draw(st.booleans()):
        return wgf.FisherRao(functional, draw(POSITIVE), draw(POSITIVE))
    return wgf.GradientFlow(functional, draw(st.one_of(st.just(()), NAMES)))


methods = st.one_of(
    st.none(),
    st.builds(wgf.FiniteVolume, st.integers(1, 2)),
    st.builds(wgf.ImplicitFiniteVolume, st.floats(0.01, 1)),
    st.builds(
        wgf.GrowthSplitting, st.one_of(st.none(), POSITIVE), st.integers(1, 2), st.booleans()
    ),
    st.builds(wgf.RungeKutta, POSITIVE),
    st.builds(wgf.ForwardBackward, st.one_of(st.none(), POSITIVE)),
    st.builds(wgf.Conic, st.sampled_from(["mirror", "canonical"])),
    st.builds(wgf.GradientDescent, POSITIVE),
    st.builds(wgf.Langevin, POSITIVE),
    st.builds(wgf.StochasticGradient, POSITIVE, st.integers(1, 3), look=st.integers(1, 4)),
)
measures = st.one_of(densities(), particles())
SEEDS = st.integers(0, 9)


def calls():
    """Return the public calls as ``(name, function, strategies of the arguments)``."""
    return [
        ("Axis", wgf.Axis, (NUMBERS, NUMBERS, st.integers(0, 5), st.booleans())),
        ("Mesh", lambda a, b: wgf.Mesh(x=a, y=b), (axes(), axes())),
        ("Mesh names", lambda n, a: wgf.Mesh(**{str(n): a}), (NAMES, axes())),
        ("Density", wgf.Density, (meshes(), numbers(3, 3))),
        ("normal", wgf.Density.normal, (meshes(), NUMBERS, POSITIVE)),
        (
            "uniform",
            lambda m, x: wgf.Density.uniform(m, x=x),
            (meshes(), st.tuples(NUMBERS, NUMBERS)),
        ),
        (
            "from_function",
            wgf.Density.from_function,
            (meshes(), st.sampled_from(FUNCTIONS), st.integers(1, 3)),
        ),
        (
            "of a density: sample",
            lambda d, m, s: d.sample(m, s),
            (densities(), st.integers(1, 5), SEEDS),
        ),
        ("of a density: marginal", lambda d, n: d.marginal(n), (densities(), NAMES)),
        (
            "of a density: mean",
            lambda d: (d.mean(), d.covariance(), d.quadrature()),
            (densities(),),
        ),
        ("Particles", wgf.Particles, (numbers(3, 2), numbers(3), st.none(), st.none())),
        (
            "Particles domain",
            lambda p, m: wgf.Particles(p, domain=m),
            (numbers(3, 2), meshes()),
        ),
        ("of particles: histogram", lambda p, m: p.histogram(m), (particles(), meshes())),
        ("of particles: marginal", lambda p, n: p.marginal(n), (particles(), NAMES)),
        ("of particles: mean", lambda p: (p.mean(), p.covariance()), (particles(),)),
        ("Neurons", wgf.Neurons, (numbers(3), st.sampled_from(["relu", "tanh"]), st.booleans())),
        ("dirichlet", wgf.Filter.dirichlet, (st.integers(0, 3), st.integers(1, 3))),
        ("gaussian", wgf.Filter.gaussian, (numbers(3), POSITIVE)),
        (
            "Features",
            wgf.Features,
            (st.sampled_from(FUNCTIONS), st.sampled_from(FUNCTIONS), st.booleans()),
        ),
        ("Squared", wgf.Squared, (numbers(3), POSITIVE)),
        ("Logistic", wgf.Logistic, (st.just([1, -1]),)),
        ("Risk", wgf.Risk, (features(), losses(), POSITIVE)),
        ("L1", wgf.L1, (POSITIVE, NAMES)),
        ("Ridge", wgf.Ridge, (POSITIVE, NAMES)),
        ("Potential", wgf.Potential, (st.sampled_from(FUNCTIONS), st.none())),
        ("Entropy", wgf.Entropy, (POSITIVE,)),
        ("PowerEntropy", wgf.PowerEntropy, (POSITIVE, POSITIVE)),
        ("Interaction", wgf.Interaction, (st.sampled_from(FUNCTIONS), st.none())),
        ("Functional", wgf.Functional, (st.lists(terms(), max_size=2),)),
        ("GradientFlow", wgf.GradientFlow, (functionals, NAMES, st.just({"x": 1.0}))),
        ("FisherRao", wgf.FisherRao, (functionals, POSITIVE, POSITIVE)),
        ("FiniteVolume", wgf.FiniteVolume, (st.integers(1, 2), POSITIVE)),
        ("ImplicitFiniteVolume", wgf.ImplicitFiniteVolume, (POSITIVE,)),
        ("GrowthSplitting", wgf.GrowthSplitting, (POSITIVE, st.integers(1, 2))),
        ("RungeKutta", wgf.RungeKutta, (POSITIVE,)),
        ("ForwardBackward", wgf.ForwardBackward, (POSITIVE, POSITIVE)),
        ("Conic", wgf.Conic, (st.just("mirror"), POSITIVE, POSITIVE)),
        ("Langevin", wgf.Langevin, (POSITIVE, SEEDS)),
        ("GradientDescent", wgf.GradientDescent, (POSITIVE,)),
        ("StochasticGradient", wgf.StochasticGradient, (POSITIVE, st.integers(1, 3))),
        ("of a functional: value", lambda f, m: f.value(m), (functionals, measures)),
        (
            "of a functional: first variation",
            lambda f, m: f.first_variation(m),
            (functionals, measures),
        ),
        (
            "of a functional: gradient",
            lambda f, m, p: f.gradient(m, p),
            (functionals, measures, numbers(2, 2)),
        ),
        ("open_run", wgf.open_run, (st.just("nowhere"),)),
        ("compare", wgf.compare, (st.none(), st.none())),
    ]


def brief_solve(flow, start, until, every, method):
    """Solve a few steps; a run that is merely long is no error."""
    left = 12

    def stop(row):
        nonlocal left
        left -= 1
        return left < 0

    return wgf.solve(flow, start, until, every=every, method=method, stop=stop)


SOLVE = (flows(), measures, POSITIVE, st.one_of(st.none(), POSITIVE), methods)


@st.composite
def mixed(draw, strategies, share, sure=0):
    """Draw arguments, in `share` of the cases (in tenths) one that does not fit.

    The first `sure` of them always fit: methods need their object.
    """
    found = []
    for number, strategy in enumerate(strategies):
        odd = number >= sure and draw(st.integers(1, 10)) <= share
        found.append(draw(junk() if odd else strategy))
    return found


@st.composite
def any_call(draw):
    """Draw a function and arguments for it."""
    name, function, strategies = draw(st.sampled_from(calls()))
    return function, draw(mixed(strategies, 3, sure=name.startswith("of ")))
