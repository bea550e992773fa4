"""Linear solves by products with the matrix, all sums in one fixed order."""

import math

import numpy as np


def norm(vector):
    """Return the Euclidean norm, summed in one fixed order."""
    return math.sqrt(np.add.reduce(vector * vector))


def gmres(product, right, tolerance, limit):
    """Return `x` with ``|right - product(x)| <= tolerance |right|``, sums in one fixed order."""
    size = norm(right)
    if size == 0:
        return np.zeros_like(right)
    limit = min(limit, right.size)
    basis, vector = np.empty((min(limit, 8), right.size)), right / size
    # the Hessenberg matrix turned upper triangular by one rotation a column
    triangle, rotations = np.zeros((limit, limit)), []
    target = [size]
    for k in range(limit):
        if k == len(basis):
            basis = np.concatenate([basis, np.empty_like(basis)])
        basis[k] = vector
        vector = product(vector)
        known = basis[: k + 1]
        column = np.zeros(k + 1)
        for _ in range(2):
            shares = np.sum(known * vector, axis=1)
            vector = vector - np.sum(shares[:, None] * known, axis=0)
            column += shares
        below, whole = norm(vector), norm(column)
        if not np.isfinite(below + whole):
            # the linearised solve overflowed: no direction, so that the step is halved
            return np.zeros_like(right)
        for i, (cosine, sine) in enumerate(rotations):
            upper, lower = column[i], column[i + 1]
            column[i : i + 2] = cosine * upper + sine * lower, cosine * lower - sine * upper
        length = math.hypot(column[k], below)
        if length == 0.0:
            # a product of nothing: what is known already is the best
            target.pop()
            break
        rotations.append((column[k] / length, below / length))
        column[k] = length
        triangle[: k + 1, k] = column
        cosine, sine = rotations[-1]
        target[k:] = cosine * target[k], -sine * target[k]
        if abs(target[k + 1]) <= tolerance * size or below <= 1e-14 * whole:
            break
        vector = vector / below
    known = len(rotations)
    weights = np.linalg.solve(triangle[:known, :known], target[:known])
    return np.sum(weights[:, None] * basis[:known], axis=0)
