"""One epoch of gradient descent on a wide ReLU network against the machine's matrix products.

An epoch needs two products: arguments = weights @ inputs^T and gradient = slopes @ inputs. Both are
timed bare, in the same run and in turn with the epochs, and the share of their rate that a whole
epoch with all its diagnostics reaches is printed, together with the memory it takes on top of the
data and the weights.

    python tests/benchmarks/wide_epoch.py --width 10000
"""

import argparse
import resource
import time

import numpy as np

import wgf


def network(n, d, width, seed=0):
    """Return a prepared stepper of the network of Du, Zhai, Poczos & Singh 2018."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    points = generator.normal(size=(width, d + 1))
    points[:, 0] = generator.choice([-1.0, 1.0], size=width)
    start = wgf.Particles(points)
    risk = wgf.Risk(
        wgf.Neurons(x, "relu"),
        wgf.Squared(generator.normal(size=n), weights=1.0),
        scale=width**0.5,
    )
    return x, start, wgf.GradientFlow(risk, frozen=("a",))


def peak():
    """Return the largest resident size of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--width", type=int, default=10000)
    parser.add_argument("--repeats", type=int, default=5)
    choice = parser.parse_args()
    x, start, flow = network(choice.samples, choice.inputs, choice.width)
    # the libraries' own memory must not count as the method's: touch them once
    wgf.solve(flow, wgf.Particles(start.points[:64]), until=1.0, method=wgf.GradientDescent(1.0))
    before = peak()
    wgf.solve(flow, start, until=2.0, method=wgf.GradientDescent(1.0))
    # the particles that move are the weights; the start that the caller keeps was there before
    weights = start.points.nbytes / 2**20
    print(f"memory on top of data and weights: {peak() - before - weights:.0f} MiB")

    stepper = wgf.GradientDescent(1.0).prepare(flow, start)
    inner = np.ascontiguousarray(start.points[:, 1:])
    slopes, gradient = np.empty((choice.width, choice.samples)), np.empty_like(inner)
    epochs, products = [], []
    for _ in range(choice.repeats + 1):
        epochs.append(seconds(lambda: stepper.advance(1.0)))
        first = seconds(lambda: np.matmul(inner, x.T, out=slopes))
        products.append(first + seconds(lambda: np.matmul(slopes, x, out=gradient)))
    # the first of each warms up
    epoch, product = np.median(epochs[1:]), np.median(products[1:])
    rate = 4e-9 * choice.width * choice.samples * choice.inputs / product
    print(f"two products: {product:.3f} s, {rate:.1f} Gflop/s")
    print(f"one epoch:    {epoch:.3f} s, {100 * product / epoch:.0f} % of that rate")


if __name__ == "__main__":
    main()
