"""Activations of the user's own: on particles and a mesh as written out, and bad ones refused."""

import numpy as np
import pytest

import wgf
from wgf.functional.activations import ACTIVATIONS
from wgf.lagrangian import kernels

X = np.linspace(-1, 1, 12)


def sigmoid(z):
    return 0.5 * (1 + np.tanh(0.5 * z))


SOFTPLUS = wgf.Activation(lambda z: np.logaddexp(0, z), sigmoid, name="softplus", steepest=0.25)


def own_tanh(**options):
    return wgf.Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2, name="mine", **options)


@pytest.mark.parametrize("inputs", [1, 2, 9])
@pytest.mark.parametrize("bias", [False, True])
def test_the_gradient_of_softplus(inputs, bias):
    """Particles against central differences of the value, few weights and many."""
    x = np.sin(np.arange(12.0 * inputs)).reshape(12, inputs)
    F = wgf.Risk(wgf.Neurons(x, SOFTPLUS, bias=bias), wgf.Squared(np.abs(X))) + wgf.Ridge(0.1)
    start = wgf.Particles(np.random.default_rng(0).normal(size=(4, 1 + inputs + bias)))
    gradient = F.gradient(start)
    for i, j in ((0, 0), (1, 1), (2, -1)):
        values = []
        for shift in (1e-6, -1e-6):
            points = start.points.copy()
            points[i, j] += shift
            values.append(F.value(wgf.Particles(points)))
        # a particle has the weight 1/4; differences of size 1e-6 are exact to 1e-9
        assert 4 * (values[0] - values[1]) / 2e-6 == pytest.approx(gradient[i, j], abs=1e-8)
    run = wgf.solve(wgf.GradientFlow(F), start, 1.0)
    # the budget of the energy is that of the gradient that moved the particles
    assert abs(run.diagnostics["residual"][-1]) < 1e-2 * run.diagnostics["objective"][0]
    assert run.diagnostics["objective"][-1] < run.diagnostics["objective"][0]


@pytest.mark.parametrize("parity", [None, -1])
def test_the_same_function_under_another_name_is_the_same_flow(parity):
    """tanh by its own formulas and by the kernels: on particles within their tolerance."""
    mesh = wgf.Mesh(a=wgf.Axis(-3, 3, 24), w=wgf.Axis(-3, 3, 24))
    density = wgf.Density.normal(mesh, 0.3, 0.4)
    for start in (density.sample(300, 0), density):
        ends = [
            wgf.solve(
                wgf.GradientFlow(wgf.Risk(wgf.Neurons(X, each), wgf.Squared(np.abs(X)))), start, 1.0
            ).final
            for each in ("tanh", own_tanh(parity=parity))
        ]
        if start is density:
            np.testing.assert_allclose(ends[0].values, ends[1].values, atol=1e-10)
        else:
            np.testing.assert_allclose(ends[0].points, ends[1].points, atol=1e-7)


def test_batches_and_data_keep_the_activation():
    neurons = wgf.Neurons(X, SOFTPLUS)
    assert neurons.subset(np.array([0, 3])).sigma is SOFTPLUS
    assert neurons.at(X[:2]).sigma is SOFTPLUS

    def data(generator, batch):
        x = generator.uniform(-1, 1, size=(batch, 1))
        return x, np.abs(x[:, 0])

    flow = wgf.GradientFlow(wgf.Risk(neurons, wgf.Squared(np.abs(X))))
    start = wgf.Particles(np.random.default_rng(0).normal(size=(20, 2)))
    for method in (wgf.StochasticGradient(0.05, 4), wgf.StochasticGradient(0.05, 4, data=data)):
        columns = wgf.solve(flow, start, 20.0, method=method).diagnostics
        assert columns["objective"][-1] < 0.3 * columns["objective"][0]


def test_the_bound_on_the_curvature_serves_the_certificate():
    features, residual = wgf.Neurons(X, SOFTPLUS), np.cos(X)
    bound = features.curvature_bound(residual)
    w = np.linspace(-5, 5, 2001)[:, None]
    second = np.gradient(np.gradient(features.unit(w) @ residual, w[:, 0]), w[:, 0])
    assert np.abs(second).max() <= bound
    assert wgf.Neurons(X, own_tanh()).curvature_bound(residual) is None


def test_the_kernels_know_the_built_in_activations_by_their_codes():
    codes = {"relu": kernels.RELU, "tanh": kernels.TANH, "sigmoid": kernels.SIGMOID}
    assert {name: each.code for name, each in ACTIVATIONS.items()} == codes
    assert own_tanh().code is None
    assert repr(wgf.Neurons(X, SOFTPLUS)).endswith(", Activation('softplus'))")
    assert repr(wgf.Neurons(X, "tanh")).endswith(", 'tanh')")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: wgf.Activation(1.0, sigmoid, "one"), "activation function: 1.0 cannot be called"),
        (lambda: wgf.Activation(sigmoid, None, "one"), "activation slope: None cannot be called"),
        (lambda: wgf.Activation(sigmoid, sigmoid, "tanh"), "activation name: 'tanh' is"),
        (lambda: wgf.Activation(sigmoid, sigmoid, ""), "activation name: ''"),
        (lambda: wgf.Activation(sigmoid, sigmoid, "one", parity=2), "activation parity: 2"),
        (lambda: wgf.Activation(sigmoid, sigmoid, "one", parity=1), "one does not have the parity"),
        (lambda: wgf.Activation(np.sum, sigmoid, "one"), r"activation function: shape \(\) for"),
        (lambda: wgf.Activation(sigmoid, sigmoid, "one", steepest=-1), "activation steepest: -1"),
        (lambda: wgf.Neurons(X, "softplus"), "neuron activation: 'softplus' is unknown"),
        (lambda: wgf.Neurons(X, np.tanh), "neuron activation: .* is unknown"),
    ],
)
def test_bad_activations(make, words):
    with pytest.raises(wgf.InputError, match=words):
        make()
