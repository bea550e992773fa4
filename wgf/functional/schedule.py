"""Strengths of terms that depend on time."""

from collections.abc import Callable
from typing import Any

from wgf import checks

# times whose values tell two strengths apart in words
SHOWN = (0.0, 1.0, 10.0)


class Schedule:
    """A strength as a function of time, checked wherever it is asked for.

    Parameters
    ----------
    what : str
        The strength in words, as messages begin.
    function : callable
        Of the time; it returns a number that is not negative.
    factor : float
        Multiplies what the function returns.
    """

    def __init__(self, what: str, function: Callable[[float], Any], factor: float = 1.0):
        self.what, self.function, self.factor = what, function, factor

    def __call__(self, time: float) -> float:
        """Return the strength at a time.

        Raises
        ------
        InputError
            For NaN and for a negative number.
        """
        what = f"{self.what} at t={time:g}"
        value = self.function(float(time))
        try:
            value = float(value)
        except (TypeError, ValueError):
            raise checks.InputTypeError(
                f"{what}: {checks.shown(value)} is not a number, return a number"
            ) from None
        return self.factor * checks.number(what, value, minimum=0)

    def times(self, factor: float) -> "Schedule":
        """Return the strength times a number."""
        return Schedule(self.what, self.function, factor * self.factor)

    def __repr__(self):
        name = getattr(self.function, "__name__", type(self.function).__name__)
        values = ", ".join(f"{self(time):.17g}" for time in SHOWN)
        return f"{name}: {values} at t=0, 1, 10"


def strength_of(what: str, value: Any, **bounds: float) -> tuple[float, Schedule | None]:
    """Return a strength at the time 0 and, if it depends on time, its `Schedule`."""
    if not callable(value):
        return checks.number(what, value, **bounds), None
    schedule = Schedule(what, value)
    return schedule(0.0), schedule
