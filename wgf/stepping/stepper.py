"""The one stepper: time, row of diagnostics, attempts until one is accepted, restart."""

import math
from typing import Any, ClassVar

from wgf import checks
from wgf.stepping.control import Control
from wgf.stepping.trial import Diagnosis, Rest, Trial


class Stepper:
    """One run of a method: the state, and steps under a control.

    A subclass builds its state in its constructor, calls `begin`, and writes `attempt`, `commit`
    and `diagnose`; `advance`, `restart` and `restore` follow.

    Parameters
    ----------
    control : Control

    Attributes
    ----------
    time : float
    row : dict of float
        Diagnostics of the current state and of the step that led to it.
    saved : dict of str
        Attributes that a continued run needs, by the name under which they are stored.
    timed : bool
        Whether strengths depend on time: rows then have the column ``explicit``.
    settles : bool
        Whether the run heads for rest: it has no end time, and only where it ends matters.
    first : float
        The objective at the start.
    remedy : str
        What to do where a number is not finite.
    balanced : bool
        Whether the objective falls by the dissipation, so that their difference, the column
        ``residual``, tends to 0 with the step.
    """

    saved: ClassVar[dict[str, str]] = {}
    timed = False
    remedy: ClassVar[str] = "check the features and potentials for overflow"
    balanced: bool = True

    def __init__(self, control: Control):
        self.control = control
        self.time = 0.0
        self.settles = False
        self.row: dict[str, float] = {}
        self.first = math.nan

    def attempt(self, dt: float) -> Trial:
        """Try a step of length `dt`: the numerics of a method."""
        raise TypeError(f"{type(self).__name__} makes no step, define attempt(dt)")

    def commit(self, trial: Trial) -> None:
        """Make an accepted attempt the current state; it may still set the trial's dissipation."""

    def diagnose(self) -> Diagnosis:
        """Evaluate the current state."""
        raise TypeError(f"{type(self).__name__} evaluates nothing, define diagnose()")

    def settle(self) -> None:
        """Head for rest, before the first step."""
        self.settles = True

    def rest(self) -> Rest:
        """Return how far the current state is from rest.

        By default what the dissipation would take from ``F`` if it lasted for the time that has
        gone by.
        """
        return self.rest_of(self.row["dissipation"])

    def rest_of(self, dissipation: float) -> Rest:
        """Return how far a state of a given dissipation is from rest."""
        return Rest(dissipation * self.time, "the dissipation, kept up for the time gone by")

    @property
    def measure(self):
        """The current measure (a copy), None on ranks that keep no snapshots."""
        raise TypeError(f"{type(self).__name__} shows no measure, define it")

    @property
    def output(self):
        """Model output of the first risk, or None."""
        outputs = getattr(self, "outputs", None)
        return outputs[0] if outputs else None

    def begin(self, dissipation: float = 0.0) -> None:
        """Fill the row of the start."""
        self.row = self._report(0.0, Trial(dissipation=dissipation), 0)
        self.first = self.row["objective"]

    def advance(self, limit: float) -> dict[str, float]:
        """Make one step of at most `limit` and return its row of diagnostics.

        Raises
        ------
        NumericalError
            If a number is not finite or the step shrinks to nothing.
        """
        rejected = 0
        while True:
            dt = self.control.propose(limit)
            # without an end time only the time gone by says what is lost in its round-off
            if not dt > self.control.floor(self.time, 0.0 if self.settles else limit):
                raise checks.NumericalError(
                    f"step: dt={dt:g} at t={self.time:g} after {rejected} rejections is too "
                    "small, look at the diagnostics of the last steps"
                )
            trial = self.attempt(dt)
            if self.control.judge(dt, trial, rejected):
                break
            rejected += 1
        made = dt if trial.made is None else trial.made
        self.time += made
        self.commit(trial)
        self.row = self._report(made, trial, rejected)
        self.finite(made, objective=self.row["objective"])
        return self.row

    def land(self, time: float) -> None:
        """Take the current time for `time`, from which rounding alone keeps it."""
        self.time = self.row["t"] = time

    def finite(self, dt: float, **values: float) -> None:
        """Raise `NumericalError` for a value that is not finite."""
        for name, value in values.items():
            if not math.isfinite(value):
                raise checks.NumericalError(
                    f"{name.replace('_', ' ')}: {value} at t={self.time:g} with dt={dt:g}, "
                    f"{self.remedy}"
                )

    def _report(self, dt: float, trial: Trial, rejected: int) -> dict[str, float]:
        found, before = self.diagnose(), self.row
        objective = float(sum(found.parts.values()))
        row = {"t": self.time, "dt": dt, "mass": found.mass, "objective": objective}
        row.update(found.parts)
        row.update(found.energies)
        row.update(dissipation=trial.dissipation, rejected=rejected)
        if self.timed:
            row["explicit"] = trial.explicit
        row.update(trial.columns)
        row.update(found.more)
        # the budget of the energy that must not rise: with momentum that is not the objective
        energy = "lyapunov" if "lyapunov" in row else "objective"
        if not self.balanced:
            return row
        row["residual"] = 0.0
        if before:
            change = row[energy] - before[energy]
            lost = row["dissipation"] - trial.explicit if self.timed else row["dissipation"]
            row["residual"] = before["residual"] + (change + row["dt"] * lost)
        return row

    def restart(self) -> dict[str, Any]:
        """Return everything but the measure that a bit-identical continuation needs."""
        kept = {name: getattr(self.control, name) for name in self.control.saved}
        kept.update({name: getattr(self, attribute) for name, attribute in self.saved.items()})
        begun = {"time": self.time, "first_objective": self.first}
        return {**begun, **kept, **{f"row_{n}": v for n, v in self.row.items()}}

    def restore(self, saved: dict[str, Any]) -> None:
        """Continue from what `restart` returned, the measure being the start."""
        self.time = float(saved["time"])
        self.first = float(saved["first_objective"])
        for name in self.control.saved:
            setattr(self.control, name, float(saved[name]))
        for name, attribute in self.saved.items():
            setattr(self, attribute, saved[name])
        self.row = {
            name.removeprefix("row_"): float(value)
            for name, value in saved.items()
            if name.startswith("row_")
        }
        self.resumed()

    def resumed(self) -> None:
        """Evaluate what follows from restored fields."""
