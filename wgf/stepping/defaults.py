"""Which method solves a flow when none is given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from wgf import checks
from wgf.measures.base import Measure
from wgf.stepping.method import Method

_CHOICES: dict[tuple[type, str], tuple[Callable[..., Method], bool]] = {}


def register(
    flow: type, measure: str, choose: Callable[..., Method], timed: bool = False
) -> Callable[..., Method]:
    """Let `wgf.solve` find a method for a flow and a kind of measure.

    Parameters
    ----------
    flow : type
        Class of the equation.
    measure : {"density", "particles"}
    choose : callable
        Of flow and start; it returns the method, which may say why (`Method.why`), for the record.
    timed : bool
        Whether `choose` is also given the end time, which is infinite for a stationary state.

    Returns
    -------
    callable
        `choose`.
    """
    if not isinstance(flow, type):
        raise checks.InputTypeError(f"register flow: {flow!r} is not a class, give that of a flow")
    checks.one_of("register measure", measure, tuple(Measure.kinds))
    if not callable(choose):
        raise checks.InputTypeError(
            f"register choose: {choose!r} cannot be called, give a function of flow and start"
        )
    _CHOICES[flow, measure] = choose, timed
    return choose


def default_method(flow: Any, start: Measure, until: float | str = 0.0) -> Method:
    """Return the method that `wgf.solve` takes when none is given.

    Parameters
    ----------
    flow, start
    until : float or "stationary"
        End time; by default the method is one for short times.

    Raises
    ------
    InputTypeError
        For a flow or a measure for which no method is registered.
    """
    checks.instance("start", start, Measure)
    for kind in type(flow).__mro__:
        if (kind, start.kind) in _CHOICES:
            choose, timed = _CHOICES[kind, start.kind]
            end = math.inf if isinstance(until, str) else until
            return choose(flow, start, end) if timed else choose(flow, start)
    known = sorted({kind.__name__ for kind, measure in _CHOICES if measure == start.kind})
    raise checks.InputTypeError(
        f"flow: {type(flow).__name__} has no method for {start.kind}, give one of "
        f"{', '.join(f'wgf.{name}' for name in known)} or a method"
    )
