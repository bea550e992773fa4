"""What ends a run before its time: conditions of one kind, asked after every step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wgf import checks
from wgf.measures.base import Measure
from wgf.stepping.stepper import Stepper

# a run at rest goes on for that many steps whose gap falls by less than a tenth
IDLE = 50


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
    """

    def __init__(self, stepper: Stepper, flow: Any, steps: int):
        self._stepper, self.flow, self.steps = stepper, flow, steps
        self.observed: dict[str, Any] = {}
        self.snapshot, self.status = False, "running"

    @property
    def time(self) -> float:
        """Time of the flow."""
        return self._stepper.time

    @property
    def row(self) -> dict[str, float]:
        """Row of diagnostics, with the observables."""
        return self._stepper.row | self.observed if self.observed else self._stepper.row

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
    """

    looks = False
    status = "stopped"

    def prepare(self, flow: Any, start: Measure) -> None:
        """Refuse, before anything is written, a problem in which it has no meaning."""

    def begin(self, row: dict[str, float]) -> None:
        """Refuse a row that lacks what it needs."""

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
    """A state at rest: small dissipation and, if asked for, a small optimality gap.

    Parameters
    ----------
    tolerance : float
        Largest dissipation, in units of ``|F|``.
    gap : float
        Largest optimality gap, in units of ``|F|``.
    """

    status = "done"

    def __init__(self, tolerance: float, gap: float):
        self.tolerance = checks.number("tolerance", tolerance, above=0)
        self.gap = gap if gap == np.inf else checks.number("gap", gap, above=0)
        self.best, self.idle = np.inf, 0

    def begin(self, row: dict[str, float]) -> None:
        if self.gap < np.inf and "gap" not in row:
            raise checks.InputError(
                f"gap: {self.gap:g} cannot be asked of this method, use wgf.ImplicitFiniteVolume"
            )

    def holds(self, state: State) -> bool:
        row = state.row
        size = abs(row["objective"])
        small = row["dissipation"] <= self.tolerance * size
        gap = row.get("gap", 0.0) / max(size, np.finfo(float).tiny)
        # at rest the gap has settled, or jumps up and down where a minimum lies between cells
        self.idle = self.idle + 1 if small and gap > 0.9 * self.best else 0
        self.best = min(self.best, gap)
        if small and gap <= self.gap:
            return True
        if self.idle < IDLE:
            return False
        warnings.warn(
            f"until: the state rests with a gap of {self.best:.2g} of |F| where {self.gap:.2g} is "
            "asked, refine the mesh or ask for less",
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
