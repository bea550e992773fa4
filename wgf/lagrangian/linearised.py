"""The flow of particles linearised at one state: small blocks and a coupling of low rank.

The Jacobian of all velocities is block diagonal but for the model outputs. With ``M`` the mobility,
``H_i`` the Hessian of the first variation at a particle, ``G_i`` the derivatives of its features
and ``D`` the curvature of the loss it is

    ∂v_i/∂theta_j = -M (H_i δ_ij + G_i D G_j^T weight_j),

so a solve costs one small inverse per particle and one factorisation of the size of the output
(Woodbury's formula).
"""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from wgf.functional import forms
from wgf.lagrangian.kernels import PARTICLES_PER_BLOCK, blocks_of

GAMMA = 0.5
# a growing mode of rate k is resolved if 1 - gamma h k is not below this: the method then has
# exp(h k) within 2 percent
MARGIN = 0.5
TINY_PIVOT = 1e-13
# a matrix product is worth its overhead for blocks of more rows
FEW_ROWS = 8


class Linearised:
    """Solves ``(1/(gamma h) + M (H + G D G^T weights)) K = b`` for any step ``h``.

    Unknowns are in units of the square root of the mobility, in which ``M H`` is symmetric and
    its eigenvalues are rates, whatever the units of the axes.

    Parameters
    ----------
    hessians : array of shape ``(m, d, d)``
    coupling : array of shape ``(m, d, n)``
        ``G`` times the square root of ``D``.
    weights : array of shape ``(m,)``
    root : array of shape ``(m, d)``
        Square roots of the mobilities, 0 for coordinates that are held.
    particles : ParticlePartition
    """

    def __init__(self, hessians, coupling, weights, root, particles):
        self.particles, self.weights = particles, weights
        if coupling.shape[2] == 0:
            coupling = np.zeros((*coupling.shape[:2], 1))
        m, d, n = coupling.shape
        root = np.ascontiguousarray(root.T)
        blocks = np.ascontiguousarray(hessians.transpose(1, 2, 0)) * root * root[:, None]
        self.blocks = 0.5 * (blocks + blocks.swapaxes(0, 1))
        coupling = np.ascontiguousarray(coupling.swapaxes(0, 1)) * root[:, :, None]
        if len(particles) * d < n:
            # the product with its transpose has a lower rank than there are outputs
            whole = particles.whole(coupling.swapaxes(0, 1).reshape(m, d * n)).reshape(-1, n)
            triangle = np.linalg.qr(whole.T, mode="r").T
            own = triangle[particles.own.start * d : particles.own.stop * d]
            coupling = np.ascontiguousarray(own.reshape(m, d, -1).swapaxes(0, 1))
        self.coupling = coupling
        self.step = None

    def rate(self):
        """Return a bound on the largest rate of the linearised flow."""
        own = np.sqrt(np.max(np.sum(self.blocks**2, axis=(0, 1))))
        joint = self.particles.sum(self.weights * np.sum(self.coupling**2, axis=(0, 2)))
        return self.particles.largest(own) + joint

    def bend(self, direction):
        """Return the second derivative of ``F`` along a direction of shape ``(m, d)``."""
        along = np.ascontiguousarray(direction.T)[:, :, None]
        own = np.sum(along * applied(self.blocks, along), axis=(0, 2))
        joint = self._total(self.coupling, along * self.weights[:, None])
        return self.particles.sum(self.weights * own) + float(joint @ joint)

    def factor(self, step, tolerated=0):
        """Prepare to solve for a step and return whether it resolves all growing modes.

        So many may be `tolerated`; `unresolved` says how many there are, None if no step of that
        length can be solved for.
        """
        self.unresolved = None
        scaled = GAMMA * step * self.blocks
        diagonal = np.arange(len(scaled))
        scaled[diagonal, diagonal] += 1.0 - MARGIN
        inverse, pivots = swept(scaled)
        if self._broken(pivots):
            return False
        growing = int(self.particles.sum(np.sum(pivots < 0, axis=0).astype(float)))
        unresolved = 0
        if growing:
            # by Haynsworth's formula: the coupling turns round some growing modes of the blocks
            turned = np.linalg.eigvalsh(self._inner(inverse, step)[1])
            unresolved = growing - int(np.sum(turned < 0))
        scaled[diagonal, diagonal] += MARGIN
        self.inverse, pivots = swept(scaled)
        if self._broken(pivots):
            return False
        self.step, self.definite = step, not growing
        self.solved, inner = self._inner(self.inverse, step)
        try:
            self.inner = cho_factor(inner) if self.definite else np.linalg.inv(inner)
        except LinAlgError:
            return False
        self.unresolved = unresolved
        return unresolved <= tolerated

    def _broken(self, pivots):
        return self.particles.largest(float(not np.isfinite(pivots).all())) > 0

    def _inner(self, inverse, step):
        """Return ``inverse G`` and ``1 + gamma h G^T weights inverse G``."""
        solved = applied(inverse, self.coupling)
        n = self.coupling.shape[2]
        total = self._total(self.coupling, solved * self.weights[:, None]).reshape(n, n)
        return solved, np.eye(n) + GAMMA * step * 0.5 * (total + total.T)

    def _total(self, left, right):
        """Return ``sum_i left_i^T right_i`` over all particles, block after block, flat."""
        size, (_, m, n), k = PARTICLES_PER_BLOCK, left.shape, right.shape[2]
        full = m // size
        result = np.zeros((blocks_of(m), n, k))
        for x, y in zip(left, right):
            if full:
                rows = x[: full * size].reshape(full, size, n).swapaxes(1, 2)
                result[:full] += rows @ y[: full * size].reshape(full, size, k)
            if m > full * size:
                result[full] += x[full * size :].T @ y[full * size :]
        return self.particles.column_sums(result.reshape(-1, n * k))

    def __call__(self, b):
        """Return ``K`` of the shape ``(m, d)``."""
        found = applied(self.inverse, np.ascontiguousarray(b.T)[:, :, None])
        output = self._total(self.coupling, found * self.weights[:, None])
        if self.definite:
            output = cho_solve(self.inner, output, check_finite=False)
        else:
            output = self.inner @ output
        scale = GAMMA * self.step
        return scale * (found[:, :, 0] - scale * (self.solved @ output)).T


def swept(matrices):
    """Return inverses and pivots of symmetric matrices, shapes ``(d, d, m)`` and ``(d, m)``.

    By the sweep operator: the pivots are those of ``L D L^T``, so their signs are the inertia. They
    are NaN where a matrix has no such factors, or loses all digits in finding them.
    """
    a = matrices.copy()
    pivots = np.empty(a.shape[1:])
    for k in range(len(a)):
        pivot = a[k, k].copy()
        tiny = TINY_PIVOT * (1.0 + np.abs(matrices[k, k]))
        pivots[k] = np.where(np.abs(pivot) > tiny, pivot, np.nan)
        row, column = a[k] / pivots[k], a[:, k].copy()
        a -= column[:, None] * row
        a[k], a[:, k] = row, row
        a[k, k] = -1.0 / pivots[k]
    return -a, pivots


def applied(matrices, right):
    """Return ``matrices_i right_i`` for shapes ``(d, d, m)`` and ``(d, m, n)``."""
    if len(right) > FEW_ROWS:
        product = matrices.transpose(2, 0, 1) @ right.swapaxes(0, 1)
        return np.ascontiguousarray(product.swapaxes(0, 1))
    result = matrices[:, 0, :, None] * right[0]
    for j in range(1, len(right)):
        result += matrices[:, j, :, None] * right[j]
    return result


def linearised(empirical, points, outputs, mobility):
    """Return the `Linearised` flow at the points."""
    m, d = points.shape
    hessians, coupling = np.zeros((m, d, d)), np.empty((m, d, sum(map(len, outputs))))
    # blocks of particles are the same on any number of ranks
    for start in range(0, m, PARTICLES_PER_BLOCK):
        rows, low = slice(start, start + PARTICLES_PER_BLOCK), 0
        for risk, output in zip(empirical.risks, outputs):
            columns = slice(low, low + len(output))
            low = columns.stop
            bend = np.sqrt(risk.loss.curvature(risk.scale * output))
            residual = risk.residual(output)
            slopes, hessian = risk.features.derivatives(points[rows], residual)
            coupling[rows, :, columns] = slopes * bend
            hessians[rows] += hessian
    for _, term, form in empirical.terms:
        if isinstance(form, forms.Linear) and term.smooth:
            hessians += term.hessian(points, empirical.names)
    return Linearised(hessians, coupling, empirical.weights, np.sqrt(mobility), empirical.partition)
