"""The implicit equation of a growth step, as many unknowns as the model output has numbers."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from wgf.eulerian.features import FeatureOperator
from wgf.eulerian.sweep import discrete_residual
from wgf.parallel.threads import one_library_thread

# columns of a Gram matrix whose sum is handed on at once
COLUMNS = 64


class GrowthEquation:
    """The exponent ``-rate J*`` of a growth step.

    The change ``d`` of the model outputs, one after the other in one vector, solves
    ``d = ∫ phi (exp(-rate J*) - 1) dnu`` with ``J* = V + <g(s, s + d), phi>`` and ``g`` the
    discrete gradient of the losses, by Newton's method.

    Parameters
    ----------
    discrete : DiscreteFunctional
        With one risk or more; arrays over cells are those of its slab.
    """

    def __init__(self, discrete):
        self.discrete, self.slab = discrete, discrete.slab
        self.risks = discrete.functional.risks
        self.volume = discrete.mesh.cell_volume
        operators = discrete.operators
        self.ends = np.cumsum([operator.features.size for operator in operators])[:-1]
        self.operator = operators[0]
        if len(operators) > 1:
            joint = _Joint([risk.features for risk in self.risks])
            self.operator = FeatureOperator(joint, discrete.mesh, slab=self.slab)
        targets = [(risk.loss.target, risk.scale) for risk in self.risks]
        sizes = [np.linalg.norm(target) / scale for target, scale in targets if target is not None]
        self.target_size = sum(sizes)
        self.largest = self.slab.largest(_largest(self.operator))

    def potential(self, d):
        """Return ``J*`` on the cells for a change ``d`` of the outputs."""
        s = np.split(self.output, self.ends)
        ends = np.split(self.output + d, self.ends)
        result = np.empty_like(self.values)
        self.discrete.variation_of(
            [discrete_residual(*each) for each in zip(self.risks, s, ends)], result
        )
        return result

    def curvature(self, d):
        """Return half the curvature of the losses in the middle."""
        middle = np.split(self.output + 0.5 * d, self.ends)
        found = [r.loss.curvature(r.scale * s) for r, s in zip(self.risks, middle)]
        return 0.5 * np.concatenate(found)

    def evaluate(self, d, rate):
        """Return the exponent and the change of the outputs that it makes."""
        # a trial of the line search may overshoot: bounded, it is merely rejected
        exponent = np.minimum(-rate * self.potential(d), 300.0)
        return exponent, np.concatenate(self.discrete.outputs(self.values * np.expm1(exponent)))

    def solve(self, outputs, values, rate, tolerance=1e-13, most=60):
        """Return the exponent on the cells, None without convergence.

        The Jacobian is ``1 + rate A D`` with ``A = ∫ phi phi^T exp(-rate J*) dnu`` and ``D`` half
        the curvature of the losses.
        """
        self.output, self.values = np.concatenate(outputs), values
        d = np.zeros_like(self.output)
        exponent, target = self.evaluate(d, rate)
        error = np.linalg.norm(target - d)
        # an output is known to the round-off of the sum that makes it, and matters beside the data
        mass = self.volume * self.slab.sum(values[self.slab.own])
        floor = self.target_size + mass * self.largest + 1e-300
        for _ in range(most):
            size = np.linalg.norm(self.output) + np.linalg.norm(d) + floor
            if error <= tolerance * size:
                return exponent
            move = self._move(exponent, target - d, d, rate)
            if move is None:
                return None
            damping = 1.0
            while True:
                trial = d + damping * move
                trial_exponent, trial_target = self.evaluate(trial, rate)
                trial_error = np.linalg.norm(trial_target - trial)
                if trial_error < error or damping < 1e-8:
                    break
                damping *= 0.5
            if not trial_error < error:
                # round-off stalls the residual a little above the tolerance
                return exponent if error <= 1e-10 * size else None
            d, exponent, target, error = trial, trial_exponent, trial_target, trial_error
        return None

    def _move(self, exponent, residual, d, rate):
        """Return the direction of Newton's method, None if numbers overflow."""
        gram = gram_matrix(self.operator, self.values * np.exp(exponent))
        if not np.isfinite(gram).all():
            return None
        root = np.sqrt(rate * self.curvature(d))
        with one_library_thread():
            # symmetric form of the Jacobian, positive definite however long the step
            factor = cho_factor(np.eye(len(d)) + root[:, None] * gram * root)
            return residual - gram @ (root * cho_solve(factor, root * residual))


class _Joint:
    """The features of several risks, one after the other, as those of one.

    If only some have an amplitude, it is written out for every cell.
    """

    def __init__(self, features):
        self.features = features
        self.size = sum(each.size for each in features)
        self.amplitude = all(each.amplitude for each in features)
        parities = {each.parity for each in features}
        self.parity = parities.pop() if len(parities) == 1 else None

    def unit(self, rest):
        if self.amplitude:
            return np.hstack([each.unit(rest) for each in self.features])
        return np.hstack([each.values(rest) for each in self.features])

    def row_blocks(self, rows):
        return self.features[0].row_blocks(rows)


def _pieces(operator, share):
    """Yield slices of the share's own rows, the same however they are divided."""
    step = share.width * share.pack
    for start in range(0, share.high - share.low, step):
        yield slice(start, min(start + step, share.high - share.low))


def _largest(operator):
    """Return the largest size of an own entry of the feature matrix."""
    found = 0.0
    for share in operator.shares:
        held = operator.held(share)
        for rows in _pieces(operator, share):
            with one_library_thread():
                part = held[rows] if operator.mix is None else held[rows] @ operator.mix
            found = max(found, float(np.abs(part).max(initial=0.0)))
    return found


def gram_matrix(operator, values):
    """Return ``∫ phi phi^T dnu`` of the flat cell averages `values`, shape ``(n, n)``.

    A sum over pieces of rows of the feature matrix in their order, by matrix products of one
    thread and of one shape, handed on from part to part.
    """
    slab = operator.slab
    moments = operator.moments_of(values, operator.amplitude**2, parity=1)
    columns = operator.features.size if operator.rank is None else operator.rank
    total, part = np.zeros((columns, columns)), np.empty((columns, columns))
    for share in operator.shares:
        held, weights = operator.held(share), share.moments.fetch(moments)

        def add(chunk, share=share, held=held, weights=weights):
            # the other half follows by symmetry
            for rows in _pieces(operator, share):
                weighted = weights[rows, None] * held[rows, chunk]
                part[chunk, chunk.start :] += weighted.T @ held[rows, chunk.start :]

        with one_library_thread():
            slab.accumulate(part, add, COLUMNS)
        slab.from_last(part)
        total += part
    total = np.triu(total) + np.triu(total, 1).T
    if operator.mix is not None:
        with one_library_thread():
            total = operator.mix.T @ (total @ operator.mix)
            total = 0.5 * (total + total.T)
    return total * operator.volume
