"""What passes between a method, step control, stop conditions and the row of diagnostics."""

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Trial:
    """What an attempt at a step found; the step control judges it.

    Attributes
    ----------
    result : object
        What `Stepper.commit` needs to make the attempt the current state.
    dissipation : float
        Mean rate at which the energy fell over the step.
    error : float
        Error estimate in units of the tolerance.
    outflow : float
        Largest outflow rate of a cell.
    rise : float
        Positive if ``F`` is larger than the control allows.
    explicit : float
        Mean rate at which the energy rose because strengths depend on time.
    failed, easy : bool
        Whether the solve failed, and whether it was so easy that the step may grow.
    made : float or None
        Length of the step if it is not the one attempted.
    columns : dict
        Further columns of the row.
    """

    result: Any = None
    dissipation: float = 0.0
    error: float = 0.0
    outflow: float = 0.0
    rise: float = -math.inf
    explicit: float = 0.0
    failed: bool = False
    easy: bool = True
    made: float | None = None
    columns: dict[str, float] = field(default_factory=dict)


@dataclass
class Diagnosis:
    """What a row says of a state.

    Attributes
    ----------
    mass : float
    parts : dict
        Value of every term of the functional.
    energies : dict
        Columns beside the parts: kinetic energy, entropy, ``lyapunov``, which then is the energy
        that must not rise.
    more : dict
        Columns after dissipation and rejections.
    """

    mass: float
    parts: dict[str, float]
    energies: dict[str, float] = field(default_factory=dict)
    more: dict[str, float] = field(default_factory=dict)


@dataclass
class Rest:
    """How far a state is from rest, judged on the state alone.

    Attributes
    ----------
    energy : float
        What ``F`` still loses by the criterion, 0 at rest.
    criterion : str
        What was judged, in words.
    unit : float or None
        Energy in units of which the tolerance is; None for the fall of ``F`` since the start.
    bound : str
        What the energy bounds, in words, and why it bounds nothing where that is so.
    columns : dict
        Columns of the row.
    """

    energy: float
    criterion: str
    unit: float | None = None
    bound: str = "which bounds nothing"
    columns: dict[str, float] = field(default_factory=dict)
