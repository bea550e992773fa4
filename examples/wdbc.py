"""Tumours told apart by a wide network trained as particles: 30 features, ten splits.

    python examples/wdbc.py
    python examples/wdbc.py --splits 2 --particles 100

The 569 tumours of the Breast Cancer Wisconsin data set (data/README.md), 30 measurements each,
standardised by the training part of each split: 70 % for training, 30 % for testing, both with the
same share of benign ones. Neurons a tanh(w . x + b), theta = (a, w, b) in 32 dimensions, start as
independent normals and follow the gradient flow of

    F(mu) = 1/n sum_k log(1 + exp(-y_k ∫ a tanh(w . x_k + b) dmu)) + decay/2 ∫ |theta|^2 dmu.

The table gives the accuracy on the test part of each split, and their mean.
"""

import argparse
import pathlib

import numpy as np

import wgf

DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "wdbc.csv"
SHARE = 0.7


def load(path=DATA):
    """Return measurements ``(569, 30)`` and labels, +1 benign and -1 malignant."""
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    return table[:, :-1], 2 * table[:, -1] - 1


def split(labels, number):
    """Return which samples train: the same share of both classes, drawn by the number."""
    generator = np.random.default_rng(number)
    train = np.zeros(len(labels), dtype=bool)
    for label in (-1, 1):
        members = generator.permutation(np.flatnonzero(labels == label))
        train[members[: round(SHARE * len(members))]] = True
    return train


def standardised(x, train):
    """Return `x` in units of mean and standard deviation of the training part."""
    return (x - x[train].mean(axis=0)) / x[train].std(axis=0)


def fit(x, labels, particles, until, decay, seed=0, spread=0.3):
    """Return the solution of the flow from normal particles."""
    features = wgf.Neurons(x, "tanh", bias=True)
    F = wgf.Risk(features, wgf.Logistic(labels)) + wgf.Ridge(decay)
    generator = np.random.default_rng(seed)
    start = wgf.Particles(spread * generator.normal(size=(particles, x.shape[1] + 2)))
    return wgf.solve(wgf.GradientFlow(F), start, until)


def accuracy(measure, x, labels):
    """Return the share of samples on the side of their label."""
    output = wgf.Neurons(x, "tanh", bias=True).output(measure.points, measure.weights)
    return float(np.mean(output * labels > 0))


def main():
    """Train and test on every split and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--particles", type=int, default=200)
    parser.add_argument("--until", type=float, default=30.0)
    parser.add_argument("--decay", type=float, default=1e-3)
    choice = parser.parse_args()
    x, labels = load()
    found = []
    print("split   objective   train   test   steps")
    for number in range(choice.splits):
        train = split(labels, number)
        z = standardised(x, train)
        run = fit(z[train], labels[train], choice.particles, choice.until, choice.decay)
        rates = [accuracy(run.final, z[part], labels[part]) for part in (train, ~train)]
        found.append(rates)
        steps = len(run.diagnostics["t"]) - 1
        objective = run.diagnostics["objective"][-1]
        print(f"{number:5d} {objective:11.4f} {rates[0]:7.3f} {rates[1]:6.3f} {steps:7d}")
    train, test = np.mean(found, axis=0)
    spread = np.std(found, axis=0)[1]
    print(f" mean {'':11} {train:7.3f} {test:6.3f}   (standard deviation {spread:.3f})")


if __name__ == "__main__":
    main()
