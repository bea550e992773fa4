"""What holds particles at kinks and walls for the length of a step, and the scales of a cloud."""

import numpy as np

from wgf.lagrangian.linearised import GAMMA
from wgf.lagrangian.walls import stopped, walls

# scale of a coordinate: fractions of the spread of the cloud and of its own distance from the
# centre
FLOOR, RELATIVE = 0.1, 0.1
# spread of a uniform distribution over a period
UNIFORM = 12**-0.5


class Held:
    """Which coordinates are held, and the signs that ``|theta|`` has for the length of a step.

    A kink holds a coordinate at 0 whose force is no larger than the strength of the kink;
    otherwise it leaves in the direction of the force. A wall holds what is pushed against it.

    Attributes
    ----------
    signs : array of shape ``(m, d)``
        Derivative of ``|theta|`` along axes with a kink, 0 where a coordinate is held.
    free : array of bool, shape ``(m, d)``
    slope : array of shape ``(m, d)``
        Element of least norm of the gradient of the first variation.
    drive : array of shape ``(m, d)``
        How much the force on a held coordinate exceeds what holds it: not above 0.
    """

    def __init__(self, points, gradient, kink, domain):
        at = (points == 0) & (kink > 0)
        leaving = -np.sign(gradient) * (np.abs(gradient) > kink)
        self.signs = np.where(at, leaving, np.sign(points)) * (kink > 0)
        self.free = ~(at & (self.signs == 0))
        self.slope = np.where(self.free, gradient + kink * self.signs, 0.0)
        self.drive = np.where(self.free, 0.0, np.abs(gradient) - kink)
        pressed = stopped(points, self.slope, domain)
        self.free[pressed] = False
        self.drive[pressed] = -np.abs(self.slope[pressed])
        self.slope[pressed] = 0.0

    def landed(self, points, domain):
        """Return `points` with those that crossed a kink or a wall put on it."""
        result = np.where(self.free & (self.signs * points < 0), 0.0, points)
        for k, axis in walls(domain):
            np.clip(result[:, k], axis.lower, axis.upper, out=result[:, k])
        return result

    def missed(self, later, start, end, landed, solve, mobility):
        """Return ``(own, others, left, power)``: what a step with fixed signs and bounds got wrong.

        A coordinate that is held where it landed is right, but what it overshot in the share
        `left` of the step moved the `others` (the linearised response). One that goes on from its
        kink, or was held too long, did not move meanwhile: its `own` error. It is that at the end
        of the step and grows like the `power` of the time since the event.
        """
        over, way = end - landed, np.abs(end - start)
        crossed = over != 0
        late = later.free & ~self.free & (mobility > 0)
        pull = np.where(later.free, np.abs(later.slope), 0.0)
        left = np.divide(np.abs(over), way, out=np.zeros(way.shape), where=crossed)
        np.divide(pull, pull - self.drive, out=left, where=late)
        power = np.where(late, 2, 1)
        own = solve.step / power * mobility * pull * left * (crossed | late)
        others = np.zeros(own.shape)
        if solve.particles.largest(float(crossed.any())) > 0:
            root = np.sqrt(mobility)
            extra = np.divide(over * left, root, out=np.zeros(own.shape), where=crossed)
            response = solve(extra / (GAMMA * solve.step)) - extra
            others = np.where(crossed, 0.0, np.abs(root * response))
        return own, others, left, power


class Ruler:
    """Scales of the coordinates, taken from the cloud itself: the same numbers in any units.

    Along an axis it is the spread of a uniform distribution over the period, or the root mean
    square distance of the cloud from the mean of the start (from 0 where there is a kink), the
    largest so far.
    """

    def __init__(self, empirical, points):
        self.particles, self.domain = empirical.partition, empirical.domain
        self.root = np.sqrt(empirical.mobility)
        count, mass = len(self.particles), self.particles.sum(empirical.weights)
        even = np.full(len(points), 1.0 / count)
        self.weights = empirical.weights / mass if mass > 0 else even
        self.even = even
        self.centre = np.where(empirical.kinks.strength > 0, 0.0, self._means(self.weights, points))
        self.reach = self.around(points)

    def _means(self, weights, values):
        return np.array([self.particles.sum(weights * column) for column in values.T])

    def around(self, points):
        """Return the scales that include those of a cloud, shape ``(d,)``."""
        found = np.sqrt(self._means(self.weights, (points - self.centre) ** 2))
        for k, axis in enumerate(self.domain.axes if self.domain is not None else ()):
            if axis.periodic:
                found[k] = axis.length * UNIFORM
        return np.maximum(found, getattr(self, "reach", 0.0))

    def scales(self, points):
        """Return the scale of every coordinate of a cloud, shape ``(m, d)``."""
        reach = self.around(points)
        # what is round-off of the motion along another axis is none
        moving = self.root > 0
        joint = np.max(reach[moving] / self.root[moving], initial=0.0)
        reach = np.maximum(reach, 1e-8 * self.root * joint)
        return FLOOR * reach + RELATIVE * np.abs(points - self.centre)

    def norm(self, error, scales):
        """Return the root mean square of the error in units of the scales, of the worst axis."""
        share = np.divide(error, scales, out=np.zeros(error.shape), where=error != 0)
        return float(np.sqrt(np.max(self._means(self.even, share**2))))
