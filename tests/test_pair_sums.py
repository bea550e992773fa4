"""Sums over pairs by a grid and near pairs against the direct sum."""

import copy

import numpy as np
import pytest

import wgf
from wgf.functional import pair_sums
from wgf.functional.pair_sums import PairSums, direct


def away(function):
    """Return a function of displacements that is 0 at 0."""

    def values(z):
        with np.errstate(all="ignore"):
            found = function(z)
        found[~z.any(axis=1)] = 0.0
        return found

    return values


def square(z):
    return np.sum(z**2, axis=1, keepdims=True)


PULLS = {
    "|z| on the line": (1, away(np.sign)),
    "z^2 / 2 - |z|": (1, away(lambda z: z - np.sign(z))),
    "normal": (1, away(lambda z: -z * np.exp(-0.5 * square(z) / 0.3**2))),
    "|z|^2 / 2 - log |z|": (2, away(lambda z: z - z / square(z))),
    "|z|": (2, away(lambda z: z / np.sqrt(square(z)))),
    "Morse": (2, away(lambda z: np.exp(-np.sqrt(square(z))) * z / np.sqrt(square(z)))),
}


def cloud(dimension, count, seed=0):
    """Return particles in two heaps of different widths, and weights."""
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(count, dimension)) * np.linspace(1.0, 0.6, dimension)
    points[: count // 3] = 0.2 * points[: count // 3] + 1.0
    return points, generator.uniform(0.5, 1.5, count) / count


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("name", PULLS)
def test_sums_are_those_of_the_direct_sum(name, scale):
    dimension, pull = PULLS[name]
    points, weights = cloud(dimension, 3000)

    def scaled(z):
        return pull(z / scale)

    found = PairSums(scaled, dimension)(scale * points, scale * points, weights)
    few = slice(0, 3000, 7)
    exact = direct(scaled, dimension, scale * points[few], scale * points, weights)
    # the tolerance that the sums are held to at some of the points, with a factor for the others
    assert np.abs(found[few] - exact).max() <= 2 * pair_sums.TOLERANCE * np.abs(exact).max()


def test_a_sum_does_not_depend_on_the_other_points_asked_for():
    # ranks ask for the sums at their own particles
    dimension, pull = PULLS["Morse"]
    points, weights = cloud(dimension, 2000)
    sums = PairSums(pull, dimension)
    whole = sums(points, points, weights)
    for part in (slice(0, 700), slice(700, 2000)):
        assert np.array_equal(sums(points[part], points, weights), whole[part])


def test_the_table_serves_as_long_as_the_cloud_keeps_its_size():
    dimension, pull = PULLS["|z|"]
    points, weights = cloud(dimension, 2000)
    asked = []

    def counted(z):
        asked.append(len(z))
        return pull(z)

    sums = PairSums(counted, dimension)
    sums(points, points, weights)
    first, asked[:] = sum(asked), []
    moved = 1.001 * points
    found = sums(moved, moved, weights)
    # but for the displacements of its grid
    assert sum(asked) < first - (2 * 256) ** 2 + 1000
    # and a fresh one gives the same bits: a continued run makes its table anew
    assert np.array_equal(found, PairSums(pull, dimension)(moved, moved, weights))


def test_what_does_not_fit_is_left_to_the_direct_sum():
    dimension, pull = PULLS["|z|"]
    points, weights = cloud(dimension, 2000)
    sums = PairSums(pull, dimension)
    # few of them
    assert sums(points[:500], points[:500], weights[:500]) is None
    # points elsewhere
    assert sums(points + 10.0, points, weights) is None
    # on a line
    flat = points * [1.0, 0.0]
    assert sums(flat, flat, weights) is None
    # in space
    space = np.random.default_rng(0).normal(size=(2000, 3))
    assert PairSums(away(lambda z: z), 3)(space, space, weights) is None

    # jumps away from 0
    def near(z):
        return z * (np.sqrt(square(z)) < 0.5)

    assert PairSums(near, 2)(points, points, weights) is None


def test_interactions_of_many_particles_take_it(monkeypatch):
    points, weights = cloud(2, 2000)
    measure = wgf.Particles(points, weights)

    def kernel(z):
        return 0.5 * np.sum(z**2, axis=1) - 0.5 * np.log(np.sum(z**2, axis=1))

    term = wgf.Interaction(kernel, strength=0.7)
    slow = copy.copy(term)
    slow._sums = {}
    found = term.gradient_at(measure, points, None), term.value_at(measure)
    assert {pull for pull, _ in term._sums} == {"_pull", "_apart"}
    assert all(sums._key for sums in term._sums.values())
    monkeypatch.setattr(pair_sums, "LEAST", 1 << 62)
    exact = slow.gradient_at(measure, points, None), slow.value_at(measure)
    assert np.abs(found[0] - exact[0]).max() <= 2e-6 * np.abs(exact[0]).max()
    assert found[1] == pytest.approx(exact[1], rel=2e-6)
