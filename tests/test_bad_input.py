"""Bad input to the Python interface: one sentence with the value and what to do."""

import numpy as np
import pytest

import wgf

MESH = wgf.Mesh(a=wgf.Axis(-1, 1, 4), w=wgf.Axis(-1, 1, 4))
PLAIN = wgf.Mesh(x=wgf.Axis(0, 1, 4))
NEURONS = wgf.Neurons([0.0, 1.0, 2.0], "tanh")
RISK = wgf.Risk(NEURONS, wgf.Squared([0.0, 1.0, 2.0]))
CASES = [
    (lambda: wgf.Axis(0, 1, 0), "cells: 0 is too small"),
    (lambda: wgf.Axis(0, 1, -3), "cells: -3"),
    (lambda: wgf.Axis(0, 1, 2.5), "cells: 2.5 is not a whole number"),
    (lambda: wgf.Axis(0, 1, True), "cells: True"),
    (lambda: wgf.Axis(1, 1, 4), "upper 1 is not above lower 1"),
    (lambda: wgf.Axis(2, 1, 4), "upper 1 is not above lower 2"),
    (lambda: wgf.Axis(float("nan"), 1, 4), "lower: nan is not finite"),
    (lambda: wgf.Axis("left", 1, 4), "lower: 'left' is not a number"),
    (lambda: wgf.Mesh(), "0 axes"),
    (lambda: wgf.Mesh(**{f"x{i}": PLAIN.axes[0] for i in range(5)}), "5 axes.*use particles"),
    (lambda: wgf.Mesh(x=4), "int does not fit here, give a wgf.Axis"),
    (lambda: MESH.sub("b"), "no axis 'b', choose from a, w"),
    (lambda: wgf.Density(MESH, np.ones((4, 3))), r"shape \(4, 3\) does not fit"),
    (lambda: wgf.Density(PLAIN, [1, 2, np.nan, 3]), r"nan at index \(2,\)"),
    (lambda: wgf.Density(PLAIN, [1, 2, -0.5, 3]), r"-0.5 at index \(2,\) is negative"),
    (lambda: wgf.Density(4, [1]), "int does not fit here, give a wgf.Mesh"),
    (lambda: wgf.Density.normal(PLAIN, 0.5, 0), "std along x: 0 is too small"),
    (lambda: wgf.Density.normal(PLAIN, (0, 1, 2), 1), "3 numbers for 1 axes"),
    (lambda: wgf.Density.normal(PLAIN, 1e6, 1), "leaves no mass"),
    (lambda: wgf.Density.uniform(PLAIN, y=(0, 1)), "no axis 'y'"),
    (lambda: wgf.Density.uniform(PLAIN, x=(2, 3)), "lies outside"),
    (lambda: wgf.Density.uniform(PLAIN, x=(1, 0)), "upper: 0 is too small"),
    (lambda: wgf.Density.uniform(PLAIN).sample(0, 1), "sample m: 0"),
    (lambda: wgf.Density(PLAIN, np.zeros(4)).sample(3, 1), "no mass"),
    (lambda: wgf.Density.uniform(PLAIN).marginal(), "no axis named"),
    (lambda: wgf.Particles(np.ones(3)), r"shape \(3,\) does not fit"),
    (lambda: wgf.Particles(np.ones((0, 2))), "is empty"),
    (lambda: wgf.Particles([[np.inf]]), "inf at index"),
    (lambda: wgf.Particles([[1.0]], [-1.0]), "-1 at index 0 is negative"),
    (lambda: wgf.Particles([[1.0]], [0.5, 0.5]), r"shape \(2,\) does not fit"),
    (lambda: wgf.Particles([[2.0]], domain=PLAIN), "1 of 1 lie beyond a wall"),
    (lambda: wgf.Particles([[0.5, 0.5]], domain=PLAIN), "2 columns do not fit"),
    (lambda: wgf.Particles([[2.0]]).histogram(PLAIN), "1 of 1 particles lie outside"),
    (lambda: wgf.Neurons(np.ones((2, 2, 2)), "relu"), "3 dimensions"),
    (lambda: wgf.Neurons([], "relu"), "is empty"),
    (lambda: wgf.Neurons([1.0], "step"), "'step' is unknown, choose from relu, tanh, sigmoid"),
    (lambda: wgf.Filter.dirichlet(-1), "order: -1"),
    (lambda: wgf.Filter.gaussian([0.0], 0), "std: 0"),
    (lambda: wgf.Features(3), "3 cannot be called"),
    (lambda: wgf.Squared([]), "no samples"),
    (lambda: wgf.Squared([1.0, np.nan]), "nan at index"),
    (lambda: wgf.Squared([1.0], weights=-1.0), "-1 is not positive"),
    (lambda: wgf.Squared([1.0, 2.0], weights=[1.0]), "one weight a sample"),
    (lambda: wgf.Logistic([1, 0]), "0 at index 1 is neither -1 nor"),
    (lambda: wgf.Risk(NEURONS, wgf.Squared([1.0])), "3 features do not fit 1 targets"),
    (lambda: wgf.Risk(NEURONS, NEURONS), "Neurons does not fit here, give a wgf.Loss"),
    (lambda: wgf.L1(-1.0, "a"), "strength: -1"),
    (lambda: wgf.L1(1.0, 3), "3 is not a name"),
    (lambda: wgf.Potential("x"), "'x' cannot be called"),
    (lambda: wgf.GradientFlow(3), "int does not fit here, give a wgf.Functional"),
    (lambda: wgf.FiniteVolume(order=3), "order: 3 is unknown, choose 1 or 2"),
    (lambda: wgf.FiniteVolume(courant=1.5), "courant: 1.5 is too large"),
    (lambda: wgf.RungeKutta(tolerance=0), "tolerance: 0"),
    (lambda: wgf.ForwardBackward(step=-1), "step: -1"),
    (lambda: RISK.value(wgf.Density.uniform(PLAIN)), r"axes \(x\) do not match the axes \(a, w\)"),
    (lambda: RISK.value(wgf.Particles(np.ones((2, 3)))), "dimension 3 do not fit"),
    (lambda: (RISK + wgf.L1(1.0, "b")).value(wgf.Density.uniform(MESH)), "no axis 'b'"),
    (
        lambda: wgf.solve(wgf.GradientFlow(RISK, frozen="v"), wgf.Density.uniform(MESH), 1.0),
        "no axis 'v'",
    ),
    (lambda: wgf.solve(wgf.GradientFlow(RISK), 3, 1.0), "int does not fit here"),
    (lambda: wgf.open_run("nowhere"), "no run here"),
]


@pytest.mark.parametrize("call, message", CASES, ids=[message for _, message in CASES])
def test_one_sentence(call, message):
    with pytest.raises(wgf.InputError, match=message) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and ", " in text and ": " in text
    assert isinstance(caught.value, ValueError)


def test_a_wrong_type_is_a_type_error_too():
    with pytest.raises(TypeError):
        wgf.Axis("left", 1, 4)


def test_user_functions_of_the_wrong_shape_are_named():
    start = wgf.Density.uniform(PLAIN)
    for term, message in (
        (wgf.Potential(lambda p: p), r"shape \(4, 1\) for 4 points"),
        (wgf.Risk(wgf.Features(lambda p: p[:, 0]), wgf.Squared([1.0])), "return an array"),
        (wgf.Risk(wgf.Features(lambda p: p), wgf.Squared([1.0, 2.0])), "1 features do not fit 2"),
        (
            wgf.Risk(
                wgf.Features(lambda p: p * np.ones(3), amplitude=True), wgf.Squared(np.ones(3))
            ),
            r"given the shape \(1, 0\), one column per axis after the amplitude",
        ),
    ):
        with pytest.raises(wgf.InputError, match=message):
            wgf.solve(wgf.GradientFlow(term), start, until=1.0)
