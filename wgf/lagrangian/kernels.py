"""Numba kernels of the particles: model output and gradient of the first variation.

Particles are cut into blocks of fixed size; partial sums are added in the order of the blocks,
so the bits do not depend on the number of threads.
"""

import math

import numpy as np
from llvmlite.ir import IntType
from numba import get_num_threads, njit, prange, types
from numba.extending import intrinsic

__all__ = ["get_num_threads"]

PARTICLES_PER_BLOCK = 256
RELU, TANH, SIGMOID = 0, 1, 2
# products with the samples may be reassociated to fill vector lanes, in an order fixed by the code
REDUCTION = {"reassoc", "nsz", "contract"}
# a Gaussian nine standard deviations away is 3e-18 of its peak, below round-off
GAUSSIAN_REACH = 9.0


def blocks_of(particles):
    """Return the number of blocks that `particles` are cut into."""
    return (particles + PARTICLES_PER_BLOCK - 1) // PARTICLES_PER_BLOCK


@njit(cache=True, fastmath=REDUCTION)
def product(left, right):
    """Return the dot product of two short arrays."""
    result = 0.0
    for k in range(left.size):
        result += left[k] * right[k]
    return result


@njit(cache=True)
def neuron_arguments(inputs, point, bias, result):
    """Fill ``result[k] = w . x_k + b``; `inputs` holds one row a coordinate."""
    p = inputs.shape[0]
    result[:] = point[p] if bias else 0.0
    for i in range(p):
        weight = point[i]
        row = inputs[i]
        for k in range(result.size):
            result[k] += weight * row[k]


@intrinsic
def power_of_two(typing, exponent):
    """Return 2^exponent of a whole number between -1022 and 1023, given as a float."""

    def lower(context, builder, signature, arguments):
        # the last bits of the sum are those of the exponent of the result
        number, bits = arguments[0].type, IntType(64)
        total = builder.bitcast(builder.fadd(arguments[0], number(2.0**52 + 1023)), bits)
        return builder.bitcast(builder.shl(total, bits(52)), number)

    return types.float64(types.float64), lower


# no quotient is by zero: asking would keep the compiler from filling the lanes
@njit(cache=True, forceinline=True, error_model="numpy")
def tanh(x):
    """Return tanh(x) within a few units in the last place, in operations that fill vector lanes.

    The rational approximations of tanh near zero and of exp are those of Moshier's Cephes library.
    """
    size = abs(x)
    square = x * x
    top = (-9.64399179425052238628e-1 * square - 9.92877231001918586564e1) * square
    top -= 1.61468768441708447952e3
    low = (square + 1.12811678491632931402e2) * square + 2.23548839060100448583e3
    low = low * square + 4.84406305325125486048e3
    near = x + x * square * (top / low)
    # beyond 20 the result is one; a NaN goes on
    double = 40.0 if size > 20.0 else 2.0 * size
    turns = (double * 1.4426950408889634 + 6755399441055744.0) - 6755399441055744.0
    rest = double - turns * 6.93145751953125e-1 - turns * 1.42860682030941723212e-6
    square = rest * rest
    top = (1.26177193074810590878e-4 * square + 3.02994407707441961300e-2) * square + 1.0
    top *= rest
    low = (3.00198505138664455042e-6 * square + 2.52448340349684104192e-3) * square
    low = (low + 2.27265548208155028766e-1) * square + 2.0
    exponential = (1.0 + 2.0 * (top / (low - top))) * power_of_two(turns)
    far = 1.0 - 2.0 / (exponential + 1.0)
    far = -far if x < 0.0 else far
    return near if size < 0.625 else far


@njit(cache=True)
def activate(z, activation):
    """Replace ``z`` by ``sigma(z)``."""
    if activation == RELU:
        for k in range(z.size):
            z[k] = z[k] if z[k] > 0.0 else 0.0
    elif activation == TANH:
        for k in range(z.size):
            z[k] = tanh(z[k])
    else:
        for k in range(z.size):
            z[k] = 0.5 * (1.0 + tanh(0.5 * z[k]))


@njit(cache=True)
def activate_with_slope(z, activation, residual, slope):
    """Replace ``z`` by ``sigma(z)`` and fill ``slope = sigma'(z) residual``."""
    if activation == RELU:
        for k in range(z.size):
            on = 1.0 if z[k] > 0.0 else 0.0
            z[k] *= on
            slope[k] = on * residual[k]
    elif activation == TANH:
        for k in range(z.size):
            value = tanh(z[k])
            z[k] = value
            slope[k] = (1.0 - value * value) * residual[k]
    else:
        for k in range(z.size):
            value = 0.5 * (1.0 + tanh(0.5 * z[k]))
            z[k] = value
            slope[k] = value * (1.0 - value) * residual[k]


@njit(cache=True, parallel=True)
def neuron_output(inputs, activation, bias, points, weights, partials):
    """Fill ``partials[block, k] = sum_i weights_i a_i sigma(w_i . x_k + b_i)``."""
    m = points.shape[0]
    for block in prange(partials.shape[0]):
        part = partials[block]
        part[:] = 0.0
        z = np.empty(inputs.shape[1])
        for i in range(block * PARTICLES_PER_BLOCK, min((block + 1) * PARTICLES_PER_BLOCK, m)):
            neuron_arguments(inputs, points[i, 1:], bias, z)
            activate(z, activation)
            moment = weights[i] * points[i, 0]
            for k in range(z.size):
                part[k] += moment * z[k]


@njit(cache=True, parallel=True)
def neuron_gradient(inputs, activation, bias, points, residual, result):
    """Fill ``result[i]`` with the gradient of ``<residual, a sigma(w . x + b)>``."""
    m = points.shape[0]
    p = inputs.shape[0]
    for block in prange((m + PARTICLES_PER_BLOCK - 1) // PARTICLES_PER_BLOCK):
        z = np.empty(inputs.shape[1])
        slope = np.empty(inputs.shape[1])
        for i in range(block * PARTICLES_PER_BLOCK, min((block + 1) * PARTICLES_PER_BLOCK, m)):
            neuron_arguments(inputs, points[i, 1:], bias, z)
            activate_with_slope(z, activation, residual, slope)
            result[i, 0] = product(z, residual)
            a = points[i, 0]
            for j in range(p):
                result[i, 1 + j] = a * product(slope, inputs[j])
            if bias:
                total = 0.0
                for k in range(slope.size):
                    total += slope[k]
                result[i, 1 + p] = a * total


@njit(cache=True, parallel=True)
def dirichlet_output(order, points, weights, partials):
    """Fill ``partials[block]`` with the Fourier features of spikes on the circle, unscaled."""
    m = points.shape[0]
    for block in prange(partials.shape[0]):
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


@njit(cache=True, parallel=True)
def dirichlet_gradient(order, points, residual, result):
    """Fill ``result[i]`` with the gradient of ``w <residual, psi(x)>``, `residual` scaled."""
    m = points.shape[0]
    for block in prange((m + PARTICLES_PER_BLOCK - 1) // PARTICLES_PER_BLOCK):
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


@njit(cache=True, parallel=True)
def gaussian_output(samples, std, points, weights, partials):
    """Fill ``partials[block, k] = sum_i weights_i w_i psi(samples_k - x_i)``, sorted samples."""
    m = points.shape[0]
    for block in prange(partials.shape[0]):
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


@njit(cache=True, parallel=True)
def gaussian_gradient(samples, std, points, residual, result):
    """Fill ``result[i]`` with the gradient of ``w <residual, psi(. - x)>``, sorted samples."""
    m = points.shape[0]
    for block in prange((m + PARTICLES_PER_BLOCK - 1) // PARTICLES_PER_BLOCK):
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
