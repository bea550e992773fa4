"""Accuracy on the 30-feature tumour data beside scikit-learn, on the same ten splits.

    python tests/benchmarks/wdbc.py [--small]

Prints a Markdown table: mean and standard deviation of the test accuracy and the training loss of
the particle flow of examples/wdbc.py, logistic regression, and a multilayer perceptron with as many
tanh neurons, all on standardised features. scikit-learn is needed for this script alone.
"""

import pathlib
import sys
import warnings

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "examples"))
import wdbc

NEURONS = 200


def rivals(decay):
    """Return scikit-learn's classifiers by name."""
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.neural_network import MLPClassifier
    except ImportError:
        raise SystemExit("scikit-learn is not installed, run pip install scikit-learn") from None
    return {
        "logistic regression": LogisticRegression(max_iter=1000),
        f"MLP, {NEURONS} tanh": MLPClassifier(
            (NEURONS,), activation="tanh", alpha=decay, max_iter=500, random_state=0
        ),
    }


def loss(output, labels):
    """Return the mean logistic loss."""
    return float(np.mean(np.logaddexp(0, -labels * output)))


def compete(splits, decay=1e-3):
    """Return ``{name: rows of (train accuracy, test accuracy, train loss)}``."""
    rivals(decay)
    x, y = wdbc.load()
    found = {}
    for number in range(splits):
        train = wdbc.split(y, number)
        z = wdbc.standardised(x, train)
        run = wdbc.fit(z[train], y[train], NEURONS, until=30.0, decay=decay)
        shares = [wdbc.accuracy(run.final, z[part], y[part]) for part in (train, ~train)]
        found.setdefault(f"wgf, {NEURONS} particles", []).append(
            (*shares, run.diagnostics["risk"][-1])
        )
        for name, model in rivals(decay).items():
            with warnings.catch_warnings():
                # its optimiser tells that it was stopped by the number of epochs
                warnings.simplefilter("ignore")
                model.fit(z[train], y[train])
            chance = model.predict_proba(z[train])[:, 1]
            output = np.log(np.maximum(chance, 1e-300)) - np.log(np.maximum(1 - chance, 1e-300))
            shares = [model.score(z[part], y[part]) for part in (train, ~train)]
            found.setdefault(name, []).append((*shares, loss(output, y[train])))
    return found


def main():
    """Print the table."""
    splits = 2 if "--small" in sys.argv[1:] else 10
    found = compete(splits)
    print("| method | test accuracy | standard deviation | train accuracy | train loss |")
    print("|---|---|---|---|---|")
    for name, rows in found.items():
        train, test, risk = np.mean(rows, axis=0)
        spread = np.std(rows, axis=0)[1]
        print(f"| {name} | {test:.3f} | {spread:.3f} | {train:.3f} | {risk:.4f} |")


if __name__ == "__main__":
    main()
