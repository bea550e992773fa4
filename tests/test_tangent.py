"""Gram matrices: Monte Carlo, closed forms, eigenvalues, the linear system, degenerate inputs."""

import warnings

import numpy as np
import pytest

import wgf
from wgf.theory import tangent


def sphere(n, d, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def neurons(features, width, seed, std=1.0):
    """Return particles with normal inner weights and a = ±1."""
    generator = np.random.default_rng(seed)
    points = std * generator.normal(size=(width, len(features.names)))
    points[:, 0] = generator.choice([-1.0, 1.0], size=width)
    return wgf.Particles(points)


@pytest.mark.parametrize("layers", tangent.LAYERS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("unit", [True, False])
def test_the_limit_against_monte_carlo(layers, bias, unit):
    """Unit and other inputs, both layers: the mean over 200 batches to 4 standard errors."""
    x = sphere(5, 3) * (1.0 if unit else np.array([0.3, 1.0, 2.0, 0.7, 1.5])[:, None])
    features = wgf.Neurons(x, "relu", bias=bias)
    std = 1.0 if layers == "inner" else 0.6
    samples = np.array(
        [tangent.gram(features, neurons(features, 300, s, std), layers) for s in range(200)]
    )
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    limit = tangent.limit_gram(features, layers, std)
    assert np.all(np.abs(samples.mean(axis=0) - limit) <= 4 * error + 1e-14)
    # the errors must be small enough to tell the layers from each other
    assert error.max() < 0.05 * limit.max()


def test_the_matrix_of_the_start_approaches_the_limit_like_one_over_root_m():
    features = wgf.Neurons(sphere(40, 30), "relu")
    limit = tangent.limit_gram(features)
    widths = np.array([100, 400, 1600, 6400])
    gaps = [
        np.mean(
            [
                np.linalg.norm(tangent.gram(features, neurons(features, m, s)) - limit, 2)
                for s in range(4)
            ]
        )
        for m in widths
    ]
    # the mean of four norms scatters by some percent: measured -0.50
    assert np.polyfit(np.log(widths), np.log(gaps), 1)[0] == pytest.approx(-0.5, abs=0.05)


def test_the_least_eigenvalue_at_the_size_of_the_paper():
    """n = d = 1000: between 0.22 and 0.27, the same by both solvers."""
    limit = tangent.limit_gram(wgf.Neurons(sphere(1000, 1000), "relu"))
    dense = tangent.least_eigenvalue(limit, "dense")
    assert 0.22 <= dense <= 0.27
    assert tangent.least_eigenvalue(limit, "iterative") == pytest.approx(dense, rel=1e-6)


def test_eigenvalues_of_a_known_spectrum():
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(60, 60)))[0]
    for least in (0.0, 1e-3, 0.7):
        matrix = (basis * np.linspace(least, 3.0, 60)) @ basis.T
        matrix = 0.5 * (matrix + matrix.T)
        for method in ("dense", "iterative"):
            # the iteration is asked for 1e-10 of the largest eigenvalue
            assert tangent.least_eigenvalue(matrix, method) == pytest.approx(least, abs=1e-9)


@pytest.mark.parametrize(("layers", "frozen"), [("inner", ("a",)), ("both", ())])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_output_starts_along_the_gram_matrix(layers, frozen, activation):
    """(u(step) - u(0)) / step -> H diag(weights) (y - u(0)), for any scale."""
    features = wgf.Neurons(sphere(7, 4), activation)
    generator = np.random.default_rng(1)
    y, weights = generator.normal(size=7), generator.random(7) + 0.5
    start = neurons(features, 50, 2)
    scale, step = 3.0, 1e-6
    risk = wgf.Risk(features, wgf.Squared(y, weights=weights), scale=scale)
    flow = wgf.GradientFlow(risk, frozen=frozen)
    run = wgf.solve(flow, start, until=step, method=wgf.GradientDescent(step))
    first, then = scale * run.outputs
    wanted = tangent.gram(features, start, layers) @ (weights * (y - first))
    # the quotient is off by O(step) and by round-off / step
    np.testing.assert_allclose((then - first) / step, wanted, rtol=2e-5, atol=2e-5)


def test_wide_networks_follow_the_bound_and_the_linear_system():
    """Loss below e^{-lambda_0 t}; flips and distance of slope -0.5 in the width."""
    n, widths, bound_holds = 60, np.array([500, 2000, 8000, 32000]), []
    x = sphere(n, 60)
    features = wgf.Neurons(x, "relu")
    limit = tangent.limit_gram(features)
    rate = tangent.least_eigenvalue(limit)
    y = np.random.default_rng(5).normal(size=n)
    flips, distances, gaps = [], [], []
    for m in widths:
        risk = wgf.Risk(features, wgf.Squared(y, weights=1.0), scale=m**0.5)
        flow, method = wgf.GradientFlow(risk, frozen=("a",)), wgf.GradientDescent(1.0)
        run = wgf.solve(flow, neurons(features, m, 3), until=30.0, every=1.0, method=method)
        columns = run.diagnostics
        flips.append(columns["flipped"][-1])
        distances.append(columns["moved"][-1])
        share = columns["objective"] / columns["objective"][0]
        bound_holds.append(bool(np.all(share <= tangent.decay_bound(rate, columns["t"]))))
        u = m**0.5 * run.outputs
        linear = tangent.linear_flow(limit, y, run.times, u[0], step=1.0)
        gaps.append(np.linalg.norm(u - linear, axis=1).max())
    for quantity in (flips, distances):
        assert np.polyfit(np.log(widths), np.log(quantity), 1)[0] == pytest.approx(-0.5, abs=0.1)
    assert bound_holds[-1] and bound_holds[-2]
    # the linear system with the limit matrix is approached like the matrix, m^{-1/2}
    assert np.polyfit(np.log(widths), np.log(gaps), 1)[0] < -0.35


def test_the_linear_system_and_its_iteration():
    matrix, y = np.diag([0.5, 2.0]), np.array([1.0, -1.0])
    first = np.array([0.0, 3.0])
    u = tangent.linear_flow(matrix, y, [0.0, 1.0], first)
    np.testing.assert_allclose(u[0], first, atol=1e-15)
    np.testing.assert_allclose(u[1], [1 - np.exp(-0.5), -1 + 4 * np.exp(-2.0)], rtol=1e-14)
    # two steps of 1/4: (1 - 1/8)^2 and (1 - 1/2)^2
    u = tangent.linear_flow(matrix, y, 0.5, first, step=0.25)
    np.testing.assert_allclose(u[0], [1 - 0.875**2, -1 + 4 * 0.25], rtol=1e-14)


def test_the_face_matrix_of_a_mesh_tends_to_the_limit():
    features = wgf.Neurons(sphere(4, 2, seed=2), "relu")
    limit, gaps = tangent.limit_gram(features), []
    for cells in (32, 64, 128):
        plane = {name: wgf.Axis(-6, 6, cells) for name in ("w1", "w2")}
        start = wgf.Density.normal(wgf.Mesh(a=wgf.Axis(-2, 2, 2), **plane), 0, 1)
        gaps.append(np.abs(tangent.face_gram(features, start) - limit).max())
    # first order: the faces that the kinks cut
    assert gaps[2] < 0.35 * gaps[0]
    assert gaps[2] < 0.02


@pytest.mark.parametrize("layers", tangent.LAYERS)
def test_parallel_inputs_are_named(layers):
    x = sphere(5, 3)
    x[4] = 2.5 * x[1]
    with pytest.warns(UserWarning, match=r"inputs 1 and 4 are parallel \(1 such pairs\)"):
        matrix = tangent.limit_gram(wgf.Neurons(x, "relu"), layers)
    assert tangent.least_eigenvalue(matrix) == pytest.approx(0, abs=1e-6)


def test_a_zero_input_is_named_and_a_bias_mends_it():
    x = sphere(5, 3)
    x[2] = 0.0
    with pytest.warns(UserWarning, match="input 2 is zero"):
        matrix = tangent.limit_gram(wgf.Neurons(x, "relu"))
    assert tangent.least_eigenvalue(matrix) == pytest.approx(0, abs=1e-15)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tangent.least_eigenvalue(tangent.limit_gram(wgf.Neurons(x, "relu", bias=True))) > 0


def test_opposite_inputs_alone_are_harmless():
    x = np.array([[1.0, 0.0], [-2.0, 0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        matrix = tangent.limit_gram(wgf.Neurons(x, "relu"))
    np.testing.assert_allclose(matrix, np.diag([0.5, 2.0]), atol=1e-15)


def test_bad_input():
    x = sphere(4, 2)
    relu, tanh = wgf.Neurons(x, "relu"), wgf.Neurons(x, "tanh")
    with pytest.raises(wgf.InputError, match="no closed form for tanh"):
        tangent.limit_gram(tanh)
    with pytest.raises(wgf.InputTypeError, match="tangent features"):
        tangent.limit_gram(wgf.Filter.dirichlet(3))
    with pytest.raises(wgf.InputError, match="'first' is unknown"):
        tangent.limit_gram(relu, "first")
    with pytest.raises(wgf.InputError, match="dimension 2 does not fit the axes"):
        tangent.gram(relu, wgf.Particles([[1.0, 2.0]]))
    with pytest.raises(wgf.InputError, match="is not square"):
        tangent.least_eigenvalue(np.ones((2, 3)))
    with pytest.raises(wgf.InputError, match="symmetric"):
        tangent.least_eigenvalue(np.array([[1.0, 2.0], [0.0, 1.0]]))
    with pytest.raises(wgf.InputError, match="decay bound rate"):
        tangent.decay_bound(-1.0, 1.0)
    with pytest.raises(wgf.InputError, match="multiples of the step"):
        tangent.linear_flow(np.eye(2), np.ones(2), [0.3], step=0.25)
    with pytest.raises(wgf.InputError, match="not two states"):
        tangent.moved(wgf.Particles([[1.0]]), wgf.Particles([[1.0, 2.0]]))
    density = wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-1, 1, 4)), 0, 1)
    with pytest.raises(wgf.InputError, match="do not match the axes"):
        tangent.face_gram(relu, density)
