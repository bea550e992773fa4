"""Step control: how long the next step is, and whether the last attempt is accepted."""

import math
from collections.abc import Callable

import numpy as np

from wgf.stepping.trial import Trial

SMALLEST_STEP = 1e-14
# an accepted step of the energy control grows by this factor
GROWTH = 1.5


class Control:
    """Base of all step controls.

    Attributes
    ----------
    saved : tuple of str
        Attributes that a continued run needs.
    """

    saved: tuple[str, ...] = ()

    def propose(self, limit: float) -> float:
        """Return the length of the next attempt, at most `limit`."""
        raise TypeError(f"{type(self).__name__} proposes no step, define propose(limit)")

    def floor(self, time: float, limit: float) -> float:
        """Return the length below which a step is lost in the round-off of the time."""
        return SMALLEST_STEP * max(time, limit)

    def judge(self, dt: float, trial: Trial, rejected: int) -> bool:
        """Return whether the attempt is accepted, and learn from it.

        Parameters
        ----------
        dt : float
            Length of the attempt.
        trial : Trial
        rejected : int
            Attempts at this step that were rejected before.
        """
        return True


class Fixed(Control):
    """Steps of a given length; every attempt is accepted.

    Parameters
    ----------
    step : float or callable
        The length, or a function that returns the longest one for the current state.
    landing : {"cut", "even", "merge"}
        How steps land on an output time: the last one is cut; all are equally long; the last one
        is cut, and a remainder that differs from a step by accumulated rounding is one step.
    """

    def __init__(self, step: float | Callable[[], float], landing: str = "cut"):
        self._step, self.landing = step, landing

    @property
    def step(self) -> float:
        """The length of a step that no output time cuts."""
        return self._step() if callable(self._step) else self._step

    def propose(self, limit: float) -> float:
        step = self.step
        if self.landing == "even":
            return limit / max(1, math.ceil(limit / step - 1e-9))
        if self.landing == "merge":
            return limit if limit <= step * (1 + 1e-9) else step
        return min(limit, step)


class Energy(Control):
    """Steps below the outflow bound after which ``F`` has fallen as it should.

    Parameters
    ----------
    courant : float
        Fraction of the longest step that keeps every cell non-negative.

    Attributes
    ----------
    largest_outflow : float
        Largest outflow rate of a cell, times the number that the scheme asks for.
    energy_step : float
        Half of the last step after which ``F`` had risen, growing since.
    """

    saved = ("energy_step", "largest_outflow")

    def __init__(self, courant: float):
        self.courant = courant
        self.energy_step, self.largest_outflow = np.inf, 0.0

    def propose(self, limit: float) -> float:
        bound = self.courant / max(self.largest_outflow, 1e-300)
        return min(limit, bound, self.energy_step)

    def judge(self, dt: float, trial: Trial, rejected: int) -> bool:
        if dt * trial.outflow > 1.0:
            self.largest_outflow = trial.outflow
            return False
        if trial.rise > 0:
            self.energy_step = 0.5 * dt
            return False
        self.largest_outflow = trial.outflow
        if rejected == 0 and dt == self.energy_step:
            self.energy_step *= GROWTH
        return True


class Error(Control):
    """Steps whose error estimate is at most 1, in units of the tolerance.

    Parameters
    ----------
    step : float
        First step.
    order : int
        Exponent of the step in the error estimate.
    """

    saved = ("step",)

    def __init__(self, step: float, order: int):
        self.step, self.order = step, order

    def propose(self, limit: float) -> float:
        return min(limit, self.step)

    def judge(self, dt: float, trial: Trial, rejected: int) -> bool:
        error = trial.error
        factor = 0.9 * max(error, 1e-10) ** (-1.0 / self.order)
        # the comparison is false for NaN
        if not error <= 1.0:
            self.step = dt * (max(0.1, factor) if np.isfinite(error) else 0.1)
            return False
        # a step cut short by an output time says nothing about the next one
        if dt == self.step or factor < 1.0:
            self.step = dt * min(4.0, factor) if rejected == 0 else min(dt, dt * factor)
        return True


class Halving(Control):
    """Steps that are halved where the solve fails, and grow where it was easy.

    Parameters
    ----------
    step : float
        First step.
    growth : float
        Factor after an easy step; with 1 the step is never longer than the first one.
    """

    saved = ("step",)

    def __init__(self, step: float, growth: float):
        self.step, self.growth = step, growth
        self.longest = np.inf if growth > 1 else step

    def propose(self, limit: float) -> float:
        return min(limit, self.step)

    def floor(self, time: float, limit: float) -> float:
        return super().floor(time, min(limit, 1.0))

    def judge(self, dt: float, trial: Trial, rejected: int) -> bool:
        if trial.failed or trial.rise > 0:
            self.step = 0.5 * dt
            return False
        if rejected == 0 and dt == self.step and trial.easy:
            self.step = min(self.longest, dt * max(self.growth, 1.25))
        return True
