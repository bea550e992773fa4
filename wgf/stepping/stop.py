"""What ends a run before its time: conditions of one kind, asked after every step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wgf import checks
from wgf.functional import forms
from wgf.measures.base import Measure
from wgf.stepping.stepper import Stepper
from wgf.stepping.trial import Rest

# a run at rest goes on for this many steps whose gap falls by less than a tenth
IDLE = 50
# a run in which neither F nor the criterion falls goes on for this many times as many steps
PATIENCE = 2
# a fall of F by less than this fraction of |F| is round-off
UNSEEN = 1e-13


class State:
    """Where a run stands: at the start, and after every step.

    Attributes
    ----------
    steps : int
        Number of steps made.
    snapshot : bool
        Whether an output time was reached, or the run ends here.
    status : {"running", "done", "stopped"}
    observed : dict
        Values of the observables by name.
    message : str
        Why the run ended before its time.
    """

    def __init__(self, stepper: Stepper, flow: Any, steps: int):
        self._stepper, self.flow, self.steps = stepper, flow, steps
        self.observed: dict[str, Any] = {}
        self.snapshot, self.status, self.message = False, "running", ""

    @property
    def time(self) -> float:
        """Time of the flow."""
        return self._stepper.time

    @property
    def row(self) -> dict[str, float]:
        """Row of diagnostics, with the observables."""
        return self._stepper.row | self.observed if self.observed else self._stepper.row

    @property
    def first(self) -> float:
        """The objective at the start."""
        return self._stepper.first

    def rest(self) -> Rest:
        """Return how far the state is from rest."""
        return self._stepper.rest()

    @property
    def measure(self) -> Measure:
        """The current measure, a copy that is made when it is asked for."""
        return self._stepper.measure

    def __iter__(self) -> Iterator[Any]:
        """Unpack into time, measure and row."""
        return iter((self.time, self.measure, self.row))


class Condition:
    """What ends a run; `wgf.solve` asks it after every step.

    Attributes
    ----------
    looks : bool
        Whether it reads the measure, which then is at hand on all ranks.
    status : str
        Of the run that it ends.
    message : str
        Why it ends the run, in words.
    """

    looks = False
    status = "stopped"
    message = "the stop condition holds"

    def prepare(self, flow: Any, start: Measure) -> None:
        """Refuse, before anything is written, a problem in which it has no meaning."""

    def begin(self, stepper: Stepper) -> None:
        """Look at where the run begins, and refuse a stepper that lacks what it needs."""

    def holds(self, state: State) -> bool:
        """Return whether the run ends here."""
        raise TypeError(f"{type(self).__name__} holds never, define holds(state)")


class Asked(Condition):
    """A function of the row of diagnostics."""

    def __init__(self, function: Callable[[dict[str, float]], Any]):
        self.function = function

    def holds(self, state: State) -> bool:
        return bool(self.function(state.row))


class Stationary(Condition):
    """A state at rest, judged on the state alone, see `wgf.stepping.Rest`.

    Parameters
    ----------
    tolerance : float
        Largest energy that the criterion still finds, in its unit: eps times the mass with an
        entropy of strength eps, else the fall of ``F`` since the start.
    gap : float
        Largest optimality gap, in units of the fall of ``F`` since the start.
    """

    status = "done"

    def __init__(self, tolerance: float, gap: float):
        self.tolerance = checks.number("tolerance", tolerance, above=0)
        self.gap = gap if gap == np.inf else checks.number("gap", gap, above=0)
        self.best, self.idle = np.inf, 0
        # the least objective beyond round-off, the least energy, and the steps since
        self.lowest, self.least, self.still = np.inf, np.inf, 0

    def prepare(self, flow: Any, start: Measure) -> None:
        noise = [t for t in flow.functional.of_form(forms.Diffusion) if t.form().strength]
        if start.kind == "particles" and noise:
            raise checks.InputError(
                "until: 'stationary' has no meaning for particles with noise, which never rest, "
                "give a time, or a density as the start"
            )

    def begin(self, stepper: Stepper) -> None:
        stepper.row.update(stepper.rest().columns)
        if self.gap < np.inf and "gap" not in stepper.row:
            raise checks.InputError(
                f"gap: {self.gap:g} cannot be asked of this method, give a density and a method "
                "that lets F fall"
            )

    def holds(self, state: State) -> bool:
        found, row = state.rest(), state.row
        row.update(found.columns)
        fall = state.first - row["objective"]
        unit = fall if found.unit is None else found.unit
        small, gap = found.energy <= self.tolerance * unit, row.get("gap", 0.0)
        # at rest the gap has settled, or jumps up and down where a minimum lies between cells
        self.idle = self.idle + 1 if small and gap > 0.9 * self.best else 0
        self.best = min(self.best, gap)
        share = found.energy / unit if unit > 0 else 0.0
        self.message = f"at rest: {found.criterion}, is {share:.2g}, {found.bound}"
        if small and not gap > self.gap * fall:
            return True
        if not row["objective"] >= self.lowest - UNSEEN * abs(self.lowest):
            self.lowest, self.still = row["objective"], 0
        if not found.energy >= 0.99 * self.least:
            self.least, self.still = found.energy, 0
        self.still += 1
        # of what goes downhill F is of second order where it is curved, and lost in its round-off
        curved = found.unit is None and share <= self.tolerance**0.5
        if self.still >= IDLE and curved and not gap > self.gap * fall:
            self.message = f"{self.message}; F no longer falls beyond its round-off"
            return True
        if self.idle >= IDLE:
            self.message = (
                f"the state rests with a gap of {self.best:.2g} where {self.gap * fall:.2g} is "
                "asked"
            )
        elif self.still >= IDLE * PATIENCE and not small:
            self.message = (
                f"F no longer falls, but {found.criterion}, is {share:.2g} where "
                f"{self.tolerance:.2g} is asked"
            )
        else:
            return False
        warnings.warn(
            f"until: {self.message}, refine the mesh or ask for less",
            checks.StationaryWarning,
            stacklevel=4,
        )
        self.status = "stopped"
        return True


def condition(stop: Any) -> Condition | None:
    """Return what was given as a stop condition as a `Condition`, None for none."""
    if stop is None or isinstance(stop, Condition):
        return stop
    if not callable(stop):
        raise checks.InputTypeError(f"stop: {stop!r} cannot be called, give a function")
    return Asked(stop)
