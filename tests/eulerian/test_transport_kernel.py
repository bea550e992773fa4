"""The fused transport kernel against the same scheme written with whole NumPy arrays."""

import numpy as np
import pytest
from many_threads import on_threads

from wgf.eulerian import transport_kernels
from wgf.eulerian.variation import Variation

SHAPES = [(9,), (7, 40), (40, 5, 18), (3, 5, 4, 17), (70, 3), (1, 33), (35, 2, 1)]


def shifted(values, axis, shift, periodic):
    """Return the neighbour `shift` cells on: wrapped, or the last cell at a wall."""
    n = values.shape[axis]
    index = np.arange(n) + shift
    return values.take(index % n if periodic else np.clip(index, 0, n - 1), axis=axis)


def half_slope(values, axis, periodic):
    back = values - shifted(values, axis, -1, periodic)
    ahead = shifted(values, axis, 1, periodic) - values
    middle = (back + ahead) / 4
    size = np.minimum(np.minimum(abs(back), abs(ahead)), abs(middle))
    return np.where(back * ahead > 0, np.sign(middle) * size, 0.0)


def reference(density, potential, base, periodic, rates, dt, keep, second):
    """Return the new density, the largest outflow and the loss of every row."""
    change, out, loss = (np.zeros(density.shape) for _ in range(3))
    for axis, (wraps, rate) in enumerate(zip(periodic, rates)):
        half = half_slope(density, axis, wraps) if second else np.zeros(density.shape)
        speed = rate * (potential - shifted(potential, axis, 1, wraps))
        inner, outer = density + half, shifted(density - half, axis, 1, wraps)
        flux = speed * np.where(speed > 0, inner, outer)
        # the face after the last cell is that before the first: a period, or no velocity
        change += np.roll(flux, 1, axis) - flux
        out += np.maximum(speed, 0) - np.minimum(np.roll(speed, 1, axis), 0)
        loss += speed * flux / rate
    result = keep * base + (1 - keep) * (density + dt * change)
    return result, out.max(axis=-1), loss.sum(axis=-1)


def stage(density, potential, base, periodic, rates, dt, keep, second, first=0, last=None):
    """Do a stage; `potential` is an array over cells or what a `Variation` is made of."""
    shape = density.shape
    missing = 4 - len(shape)
    rows = density.size // shape[-1]
    last = rows if last is None else last
    result = np.full(density.size, np.nan)
    outflow, loss = np.empty(last - first), np.empty(last - first)
    shape4 = (1,) * missing + shape
    if isinstance(potential, np.ndarray):
        variation = Variation.stored(np.ravel(potential), shape4)
    else:
        variation = Variation(*potential, shape4)
    kind = transport_kernels.kind_of(shape4, 2 if second else 1)
    transport_kernels.transport(
        density.ravel(), variation.arrays, base.ravel(), result, shape4,
        (False,) * missing + periodic, np.concatenate([np.zeros(missing), rates]), dt, keep,
        kind, outflow, loss, first, last, transport_kernels.room(shape4),
    )  # fmt: skip
    return result, outflow, loss


def case(shape, seed):
    generator = np.random.default_rng(seed)
    density = generator.random(shape) * (generator.random(shape) < 0.8)
    potential, base = generator.normal(size=shape), generator.random(shape)
    return density, potential, base, generator.uniform(0.5, 2, len(shape))


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_kernel_is_the_scheme(shape, wraps, second):
    density, potential, base, rates = case(shape, 0)
    periodic = tuple(wraps and k % 2 == 0 for k in range(len(shape)))
    expected, out, lost = reference(density, potential, base, periodic, rates, 1e-2, 0.25, second)
    result, outflow, loss = stage(density, potential, base, periodic, rates, 1e-2, 0.25, second)
    # the same operations on numbers of order one, up to their order: a few units of round-off
    np.testing.assert_allclose(result, expected.ravel(), rtol=0, atol=4e-15)
    np.testing.assert_allclose(outflow, out.ravel(), rtol=1e-14)
    np.testing.assert_allclose(loss, lost.ravel(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_first_variation_in_factors_gives_the_bits_of_a_stored_one(shape, wraps, second):
    density, _, base, rates = case(shape, 3)
    generator = np.random.default_rng(4)
    profiles = generator.normal(size=4 - len(shape) + sum(shape))
    amplitude = generator.normal(size=shape[0])
    unit = generator.normal(size=density.size // shape[0])
    shape4 = (1,) * (4 - len(shape)) + shape
    stored = Variation(amplitude, unit, profiles, shape4).fill(np.empty(density.size))
    sums = sum(np.ix_(*np.split(profiles, np.cumsum(shape4)[:3])))
    expected = np.multiply.outer(amplitude, unit).ravel() + sums.ravel()
    # the order of the sum is another
    np.testing.assert_allclose(stored, expected, rtol=0, atol=4e-15)
    stored = stored.reshape(shape)
    periodic = tuple(wraps and k % 2 == 0 for k in range(len(shape)))
    arguments = base, periodic, rates, 1e-2, 0.25, second
    for one, other in zip(
        stage(density, (amplitude, unit, profiles), *arguments), stage(density, stored, *arguments)
    ):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_mass_is_kept_and_no_cell_falls_below_zero(shape):
    density, potential, _, rates = case(shape, 1)
    periodic = (True,) + (False,) * (len(shape) - 1)
    outflow = stage(density, potential, density, periodic, rates, 0.0, 0.0, True)[1]
    dt = 0.5 / max(outflow.max(), 1.0)
    result = stage(density, potential, density, periodic, rates, dt, 0.0, True)[0]
    assert result.min() >= 0
    # every cell rounds a few times: relative errors add up like a random walk, at worst linearly
    assert abs(result.sum() - density.sum()) <= 1e-15 * density.size


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("shape", [(150, 20), (40, 9, 18), (3, 5, 4, 17)], ids=str)
def test_bits_depend_neither_on_threads_nor_on_the_rows_asked_for(shape, second):
    density, potential, base, rates = case(shape, 2)
    periodic = (False,) * len(shape)
    arguments = (density, potential, base, periodic, rates, 1e-2, 0.5, second)
    alone = stage(*arguments)
    with on_threads(3):
        whole = stage(*arguments)
    for one, other in zip(whole, alone):
        assert np.array_equal(one, other)
    rows, n = density.size // shape[-1], shape[-1]
    cut = rows // 3 + 1
    for first, last in ((0, cut), (cut, rows)):
        part = stage(*arguments, first, last)
        own = slice(first * n, last * n)
        assert np.array_equal(part[0][own], whole[0][own])
        assert np.array_equal(part[1], whole[1][first:last])
        assert np.array_equal(part[2], whole[2][first:last])
        assert np.isnan(part[0]).sum() == density.size - (last - first) * n
