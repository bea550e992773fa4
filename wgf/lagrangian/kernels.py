"""Numba kernels of the particles: model output and gradient of the first variation.

Particles are cut into blocks of fixed size; partial sums are added in the order of the blocks,
so the bits do not depend on the number of threads.
"""

import math

import numpy as np
from llvmlite.ir import IntType
from numba import types
from numba.extending import intrinsic

from wgf.parallel.compiled_kernels import njit
from wgf.parallel.threads import shared

PARTICLES_PER_BLOCK = 256
RELU, TANH, SIGMOID = 0, 1, 2
# products with the samples may be reassociated to fill vector lanes, in an order fixed by the code
REDUCTION = {"reassoc", "nsz", "contract"}
# a Gaussian nine standard deviations away is 3e-18 of its peak, below round-off
GAUSSIAN_REACH = 9.0
# added to a number below 2^51 it leaves no bits of a fraction; the low bits are an exponent of zero
ROUNDING = 1.5 * 2.0**52 + 1023


def blocks_of(particles):
    """Return the number of blocks that `particles` are cut into."""
    return (particles + PARTICLES_PER_BLOCK - 1) // PARTICLES_PER_BLOCK


@intrinsic
def shifted_to_exponent(typing, number):
    """Return the number whose exponent is the low bits of the significand of `number`."""

    def lower(context, builder, signature, arguments):
        kind, bits = arguments[0].type, IntType(64)
        whole = builder.bitcast(arguments[0], bits)
        return builder.bitcast(builder.shl(whole, bits(52)), kind)

    return types.float64(types.float64), lower


# no quotient is by zero: asking would keep the compiler from filling the lanes; sums may be fused
# with products but not reordered, or the rounding to whole numbers would be lost
@njit(cache=True, forceinline=True, error_model="numpy", fastmath={"contract"})
def tanh(x):
    """Return tanh(x) within a few units in the last place, in operations that fill vector lanes.

    With ``x = y + k ln(2)/2``, ``s = 2^-k`` and ``tanh(y) = a/b`` it is
    ``(b (1 - s) + a (1 + s)) / (b (1 + s) + a (1 - s))``: one quotient, and nothing cancels.
    ``a/b`` is the rational function of the least relative error on ``|y| <= ln(2)/4``, which is
    5e-18, found by Remez's exchange.
    """
    # beyond 20 the result is one; a NaN goes on
    x = 20.0 if x > 20.0 else x
    x = -20.0 if x < -20.0 else x
    # rounds to the whole number -k and leaves 1023 - k in the low bits
    turns = x * -2.8853900817779268 + ROUNDING
    s = shifted_to_exponent(turns)
    y = (turns - ROUNDING) * 0.34657359027997264 + x
    square = y * y
    a = ((0.06663713595532608 * square + 7.001330122286072) * square + 63.01862295755875) * y
    b = (square + 28.007537774805293) * square + 63.01862295755875
    return (b * (1.0 - s) + a * (1.0 + s)) / (b * (1.0 + s) + a * (1.0 - s))


@njit(cache=True, forceinline=True)
def scale_of(activation):
    """Return c of ``sigma(z) = (1 - c) + c tanh(c z)``, which tanh and the sigmoid are."""
    return 0.5 if activation == SIGMOID else 1.0


@njit(cache=True)
def constant_of(activation, residual):
    """Return the product of the residual with that constant ``1 - c``."""
    # in a kernel of its own, so that the order of the sum is that of the code
    return (1.0 - scale_of(activation)) * residual.sum()


@njit(cache=True)
def weights_of(points, i):
    """Return the weights of a neuron with three inputs, of which the last may be missing."""
    p = points.shape[1] - 1
    return points[i, 1], points[i, 2] if p > 1 else 0.0, points[i, 3] if p > 2 else 0.0


@njit(cache=True, fastmath=REDUCTION)
def add_activated(inputs, w, moment, activation, part):
    """Add ``moment sigma(w . x_k)`` to ``part[k]``, without the constant of the sigmoid."""
    x1, x2, x3 = inputs
    w1, w2, w3 = w
    if activation == RELU:
        for k in range(part.size):
            z = w1 * x1[k] + w2 * x2[k] + w3 * x3[k]
            part[k] += moment * (z if z > 0.0 else 0.0)
    else:
        c = scale_of(activation)
        w1, w2, w3, moment = c * w1, c * w2, c * w3, c * moment
        for k in range(part.size):
            part[k] += moment * tanh(w1 * x1[k] + w2 * x2[k] + w3 * x3[k])


@shared(lambda inputs, activation, points, *_: 0.7 * inputs[0].size * len(points))
@njit(cache=True, nogil=True)
def neuron_output(inputs, activation, points, weights, partials, part, parts):
    """Fill ``partials[block, k] = sum_i weights_i a_i sigma(w_i . x_k)``, a tuple of three inputs.

    Inputs that a neuron does not have are zeros, its bias is the weight of an input of ones.
    """
    m = points.shape[0]
    blocks = partials.shape[0]
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        part = partials[block]
        part[:] = 0.0
        total = 0.0
        for i in range(block * PARTICLES_PER_BLOCK, min((block + 1) * PARTICLES_PER_BLOCK, m)):
            moment = weights[i] * points[i, 0]
            total += moment
            add_activated(inputs, weights_of(points, i), moment, activation, part)
        part += (1.0 - scale_of(activation)) * total


@njit(cache=True, fastmath=REDUCTION)
def sums_of_slopes(inputs, w, activation, residual):
    """Return ``<residual, sigma(w . x)>`` and its derivatives in the three weights.

    The constant of the sigmoid is left out.
    """
    x1, x2, x3 = inputs
    w1, w2, w3 = w
    value, sum1, sum2, sum3 = 0.0, 0.0, 0.0, 0.0
    if activation == RELU:
        for k in range(residual.size):
            z = w1 * x1[k] + w2 * x2[k] + w3 * x3[k]
            slope = residual[k] if z > 0.0 else 0.0
            value += slope * z
            sum1 += slope * x1[k]
            sum2 += slope * x2[k]
            sum3 += slope * x3[k]
        return value, sum1, sum2, sum3
    c = scale_of(activation)
    w1, w2, w3 = c * w1, c * w2, c * w3
    for k in range(residual.size):
        t = tanh(w1 * x1[k] + w2 * x2[k] + w3 * x3[k])
        share = t * residual[k]
        slope = residual[k] - t * share
        value += share
        sum1 += slope * x1[k]
        sum2 += slope * x2[k]
        sum3 += slope * x3[k]
    return c * value, c * c * sum1, c * c * sum2, c * c * sum3


@shared(lambda inputs, activation, points, *_: 1.0 * inputs[0].size * len(points))
@njit(cache=True, nogil=True)
def neuron_gradient(inputs, activation, points, residual, result, part, parts):
    """Fill ``result[i]`` with the gradient of ``<residual, a sigma(w . x)>``."""
    m, d = points.shape
    constant = constant_of(activation, residual)
    blocks = (m + PARTICLES_PER_BLOCK - 1) // PARTICLES_PER_BLOCK
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        for i in range(block * PARTICLES_PER_BLOCK, min((block + 1) * PARTICLES_PER_BLOCK, m)):
            sums = sums_of_slopes(inputs, weights_of(points, i), activation, residual)
            result[i, 0] = constant + sums[0]
            for j in range(1, d):
                result[i, j] = points[i, 0] * sums[j]


@njit(cache=True, nogil=True, fastmath=REDUCTION)
def activate(arguments, shifts, moments, activation, activated, part):
    """Fill `activated` for arguments ``z[i] + shifts[i]`` and add ``moments . sigma`` to `part`.

    For the sigmoid, as for tanh, it is ``t = tanh(c z)``. Both arrays may be the same.
    """
    c = scale_of(activation)
    total = 0.0
    for i in range(arguments.shape[0]):
        z, t, shift, moment = arguments[i], activated[i], shifts[i], c * moments[i]
        total += moments[i]
        if activation == RELU:
            for k in range(part.size):
                value = z[k] + shift
                value = value if value > 0.0 else 0.0
                t[k] = value
                part[k] += moment * value
        else:
            for k in range(part.size):
                value = tanh(c * (z[k] + shift))
                t[k] = value
                part[k] += moment * value
    part += (1.0 - c) * total


@njit(cache=True, nogil=True, fastmath=REDUCTION)
def slopes(activated, amplitudes, activation, residual, slope, sums):
    """Fill ``slope = a sigma' residual`` and the rows ``(<residual, sigma>, sum(slope))``."""
    c = scale_of(activation)
    constant = constant_of(activation, residual)
    for i in range(activated.shape[0]):
        t, row, factor = activated[i], slope[i], c * c * amplitudes[i]
        value, total = 0.0, 0.0
        if activation == RELU:
            for k in range(residual.size):
                row[k] = factor * residual[k] if t[k] > 0.0 else 0.0
                value += t[k] * residual[k]
                total += row[k]
        else:
            for k in range(residual.size):
                share = t[k] * residual[k]
                row[k] = factor * (residual[k] - t[k] * share)
                value += share
                total += row[k]
        sums[i, 0], sums[i, 1] = constant + c * value, total


@shared(lambda order, points, *_: 1.5 * order * len(points))
@njit(cache=True, nogil=True)
def dirichlet_output(order, points, weights, partials, part, parts):
    """Fill ``partials[block]`` with the Fourier features of spikes on the circle, unscaled."""
    m = points.shape[0]
    blocks = partials.shape[0]
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        part = partials[block]
        part[:] = 0.0
        for i in range(block * PARTICLES_PER_BLOCK, min((block + 1) * PARTICLES_PER_BLOCK, m)):
            moment = weights[i] * points[i, 0]
            angle = 2.0 * math.pi * points[i, 1]
            turn_cosine, turn_sine = math.cos(angle), math.sin(angle)
            cosine, sine = 1.0, 0.0
            part[0] += moment
            for k in range(1, order + 1):
                cosine, sine = (
                    cosine * turn_cosine - sine * turn_sine,
                    sine * turn_cosine + cosine * turn_sine,
                )
                part[k] += moment * cosine
                part[order + k] += moment * sine


@shared(lambda order, points, *_: 2.0 * order * len(points))
@njit(cache=True, nogil=True)
def dirichlet_gradient(order, points, residual, result, part, parts):
    """Fill ``result[i]`` with the gradient of ``w <residual, psi(x)>``, `residual` scaled."""
    m = points.shape[0]
    blocks = (m + PARTICLES_PER_BLOCK - 1) // PARTICLES_PER_BLOCK
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        for i in range(block * PARTICLES_PER_BLOCK, min((block + 1) * PARTICLES_PER_BLOCK, m)):
            angle = 2.0 * math.pi * points[i, 1]
            turn_cosine, turn_sine = math.cos(angle), math.sin(angle)
            cosine, sine = 1.0, 0.0
            value, slope = residual[0], 0.0
            for k in range(1, order + 1):
                cosine, sine = (
                    cosine * turn_cosine - sine * turn_sine,
                    sine * turn_cosine + cosine * turn_sine,
                )
                value += residual[k] * cosine + residual[order + k] * sine
                slope += k * (residual[order + k] * cosine - residual[k] * sine)
            result[i, 0] = value
            result[i, 1] = points[i, 0] * 2.0 * math.pi * slope


@shared(lambda samples, std, points, *_: 2.0 * samples.size * len(points))
@njit(cache=True, nogil=True)
def gaussian_output(samples, std, points, weights, partials, part, parts):
    """Fill ``partials[block, k] = sum_i weights_i w_i psi(samples_k - x_i)``, sorted samples."""
    m = points.shape[0]
    blocks = partials.shape[0]
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        part = partials[block]
        part[:] = 0.0
        for i in range(block * PARTICLES_PER_BLOCK, min((block + 1) * PARTICLES_PER_BLOCK, m)):
            moment = weights[i] * points[i, 0]
            x = points[i, 1]
            start = np.searchsorted(samples, x - GAUSSIAN_REACH * std)
            stop = np.searchsorted(samples, x + GAUSSIAN_REACH * std)
            for k in range(start, stop):
                z = (samples[k] - x) / std
                part[k] += moment * math.exp(-0.5 * z * z)


@shared(lambda samples, std, points, *_: 2.0 * samples.size * len(points))
@njit(cache=True, nogil=True)
def gaussian_gradient(samples, std, points, residual, result, part, parts):
    """Fill ``result[i]`` with the gradient of ``w <residual, psi(. - x)>``, sorted samples."""
    m = points.shape[0]
    blocks = (m + PARTICLES_PER_BLOCK - 1) // PARTICLES_PER_BLOCK
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        for i in range(block * PARTICLES_PER_BLOCK, min((block + 1) * PARTICLES_PER_BLOCK, m)):
            x = points[i, 1]
            start = np.searchsorted(samples, x - GAUSSIAN_REACH * std)
            stop = np.searchsorted(samples, x + GAUSSIAN_REACH * std)
            value, slope = 0.0, 0.0
            for k in range(start, stop):
                z = (samples[k] - x) / std
                share = residual[k] * math.exp(-0.5 * z * z)
                value += share
                slope += share * z
            result[i, 0] = value
            result[i, 1] = points[i, 0] * slope / std
