"""Observables: functions of the measure and the time whose values are columns of a run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from wgf import checks
from wgf.measures.base import Measure
from wgf.record.schema import TAKEN
from wgf.stepping.times import NEAR

# a row is kept in memory and in every snapshot
MOST = 10_000
# names in the table of a sweep, and those that scales and histories there have
LABELS = ("observed", "side", "status")
RESERVED = re.compile(r"_index\d+$|_history$")


class Observables:
    """The observables of a run: what they are called, when they are due, what they gave.

    Parameters
    ----------
    functions : dict of callables, optional
        ``f(measure, t)`` by name, each a number or an array of at most `MOST` numbers.
    times : array, optional
        Times at which they are evaluated; by default at the start and after every step.

    Raises
    ------
    InputError
        For a name that no column can have and for what cannot be called.
    """

    def __init__(
        self,
        functions: Mapping[str, Callable[[Measure, float], Any]] | None = None,
        times: np.ndarray | None = None,
    ):
        if functions is not None and not isinstance(functions, Mapping):
            raise checks.InputTypeError(
                f"observe: {checks.shown(functions)} is not a dictionary, give "
                '{"name": function of the measure and the time}'
            )
        self.functions, self.times = dict(functions or {}), times
        if times is not None and not self.functions:
            raise checks.InputError("observe_every: there is no observable, give observe as well")
        for name, function in self.functions.items():
            if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
                raise checks.InputError(
                    f"observe: {checks.shown(name)} is not a name, use letters, digits and _"
                )
            if name in TAKEN or name in LABELS or RESERVED.search(name):
                raise checks.InputError(f"observe: a file uses the name {name} itself, rename it")
            if not callable(function):
                raise checks.InputTypeError(
                    f"observe: {name} is {checks.shown(function)}, which cannot be called, give "
                    "a function of the measure and the time"
                )
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._ahead: dict[str, Any] | None = None

    @property
    def names(self) -> list[str]:
        """Names of the observables."""
        return list(self.functions)

    def marks(self, times: np.ndarray) -> dict[float, tuple[bool, bool]]:
        """Return on what times steps land: for each whether it is one of `times`, and one of these.

        An observation within rounding of a snapshot is made at the time of the snapshot.
        """
        found = dict.fromkeys(times.tolist(), (True, False))
        for time in () if self.times is None else self.times.tolist():
            near = float(times[int(np.abs(times - time).argmin())])
            same = abs(near - time) <= NEAR * times[-1]
            found[near if same else time] = same, True
        return dict(sorted(found.items()))

    def begin(self, stepper: Any, world: Any) -> None:
        """Evaluate the observables at the start, before anything is written.

        Raises
        ------
        InputError
            For one that raises there, returns no numbers or has the name of a column of the run.
        """
        try:
            self._ahead = self._values(stepper, world)
        except checks.NumericalError as error:
            raise checks.InputError(str(error)) from error
        self.shapes = {name: np.shape(value) for name, value in self._ahead.items()}

    def resume(self, columns: Mapping[str, np.ndarray]) -> None:
        """Go on with the columns of a stored run."""
        self.shapes = {name: np.shape(columns[name])[1:] for name in self.functions}

    def row(self, stepper: Any, world: Any, due: bool) -> dict[str, Any]:
        """Return the values at the current state, NaN where the observables are not due."""
        if not self.functions:
            return {}
        if self._ahead is not None:
            found, self._ahead = self._ahead, None
            return found
        if self.times is not None and not due:
            return {name: np.full(shape, np.nan) for name, shape in self.shapes.items()}
        return self._values(stepper, world)

    def _values(self, stepper, world):
        if not self.functions:
            return {}
        # every rank has a part in gathering the measure
        measure, time, columns = stepper.measure, stepper.time, set(stepper.row)

        def evaluated():
            return {name: self._value(name, measure, time, columns) for name in self.functions}

        return world.on_first(evaluated, everywhere=True)

    def _value(self, name, measure, time, columns):
        if name in columns:
            raise checks.InputError(
                f"observe: {name} is a column of every run of this kind, rename the observable"
            )
        try:
            value = checks.returned(
                f"observe: {name} at t={time:g}", self._called(name, measure, time)
            )
        except checks.InputError as error:
            raise checks.NumericalError(str(error)) from error
        if value.size > MOST:
            _fail(f"{name} has {value.size} numbers at t={time:g}, return at most {MOST}")
        if name in self.shapes and value.shape != self.shapes[name]:
            _fail(
                f"{name} has the shape {value.shape} at t={time:g} and had {self.shapes[name]} "
                "before, return the same shape at all times"
            )
        if np.isnan(value).any():
            _fail(f"{name} is NaN at t={time:g}, look at its function")
        return value

    def _called(self, name, measure, time):
        try:
            return self.functions[name](measure, time)
        except Exception as error:
            text = " ".join(str(error).split())
            _fail(
                f"{name} raised {type(error).__name__} ({text}) at t={time:g}, look at its "
                "function",
                error,
            )


def _fail(text, cause=None):
    raise checks.NumericalError(f"observe: {text}") from cause
