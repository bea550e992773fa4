"""What `wgf.solve` keeps of a run, in memory and on the disk."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from wgf import checks
from wgf.measures.base import Measure
from wgf.record import identity, provenance
from wgf.record.run import folder, open_run, snapshots
from wgf.record.solution import Solution
from wgf.record.store import Writer

# under which the identity of a problem is kept beside the state of a method
IDENTITY = "identity"


class Recorder:
    """Collects rows and snapshots in memory and, if asked, on disk: rank 0 writes.

    Parameters
    ----------
    flow, start, method
        The problem.
    world : Serial or Ranks
    save : path, optional
        Directory of the stored run.
    overwrite, resume : bool
        As for `wgf.solve`.
    observables : sequence of str
        Names of the columns that are the user's.

    Attributes
    ----------
    solution : Solution
    steps : int
        Number of the last step, -1 before the start.
    """

    def __init__(
        self,
        flow: Any,
        start: Measure,
        method: Any,
        world: Any,
        save: Any = None,
        overwrite: bool = False,
        resume: bool = False,
        observables: Sequence[str] = (),
    ):
        problem: dict[str, Any] = {
            "flow": repr(flow),
            "method": repr(method),
            "start": repr(start),
            "axes": list(flow.axis_names(start)),
            "terms": list(flow.functional.part_names),
        }
        if observables:
            problem["observables"] = list(observables)
        risk = next(iter(flow.functional.risks), None)
        data = (risk.loss.target, risk.features.abscissa) if risk else ()
        self.solution = Solution(problem, *data)
        self.solution.functional = flow.functional
        self.flow, self.start, self.world = flow, start, world
        # the working directory may change while the run goes on
        self.path = None if save is None else folder(save).absolute()
        self.overwrite, self.resume = overwrite, resume
        self.rows: dict[str, list[Any]] = {}
        self.steps = -1
        self.writer = self.run = None
        self.identity = None if save is None else identity.identity(flow, start, method)

    def _open(self, notes=None):
        solution = self.solution
        self.writer = self.world.on_first(
            lambda: Writer(
                self.path,
                problem=solution.problem,
                target=solution.target,
                abscissa=solution.abscissa,
                overwrite=self.overwrite,
                resume=self.resume,
                notes=notes,
            )
        )

    def stored(self) -> Measure:
        """Return the measure from which a stored run goes on.

        A run that was killed before its first snapshot goes on from the start.

        Raises
        ------
        InputError
            For a stored run of another problem.
        """
        self._open()
        if not self.world.on_first(lambda: self.writer.entries, everywhere=True):
            return self.start
        try:
            self.run = open_run(self.path)
            self.saved = self.run.restart()
            self._refuse_other(self.saved.pop(IDENTITY, None))
            final = self.run.final
            # what counts as one along an axis was taken from the start
            final.scales = self.start.scales
            return final
        except BaseException:
            self.release()
            raise

    def _refuse_other(self, known):
        """Refuse a stored run of another problem; one of an older version knows less of itself."""
        run, solution, names = self.run, self.solution, self.flow.functional.part_names
        here = {"observables": [], **solution.problem}["observables"]
        before = run.problem.get("observables", [])
        if here != before:
            told = [", ".join(held) or "none" for held in (before, here)]
            raise checks.InputError(
                f"resume: the observables of the stored run were {told[0]}, now they are "
                f"{told[1]}, {identity.REMEDY}"
            )
        for key, value in solution.problem.items():
            if run.problem.get(key) != value:
                raise checks.InputError(
                    f"resume: the {key} of the stored run was {run.problem.get(key)}, "
                    f"now it is {value}, {identity.REMEDY}"
                )
        for name in ("target", "abscissa"):
            identity.refuse_data(name, getattr(run, name), getattr(solution, name))
        if known is None:
            known = {**self.identity, "here": None}
            # a flow on signs takes the amplitudes of its start for signs
            if not getattr(self.flow, "signed", False):
                known |= identity.of_start(run.snapshots[0])
        else:
            known = json.loads(known)
        identity.refuse_other(known, self.identity, names)
        here = known["here"] and identity.variations(self.flow, run.final)
        identity.refuse_terms(known["here"], here, names, f"t={run.times[-1]:g}")

    def begin(self, stepper: Any) -> None:
        """Begin to record, or let the stepper go on where the stored run ended."""
        notes = {"ranks": self.world.size, **provenance.kept_features(stepper)}
        if not self.resume:
            if self.path is not None:
                self._open(notes)
            return
        self.world.on_first(lambda: self.writer.note(notes))
        if self.run is None:
            return
        run, solution = self.run, self.solution
        try:
            self._refuse_another_state(stepper)
            stepper.restore(self.saved)
        except KeyError as error:
            self.release()
            raise checks.InputError(
                f"resume: the last snapshot of {run.path} does not hold {error}, which this "
                "method needs to go on, run again"
            ) from None
        except BaseException:
            self.release()
            raise
        solution.extend(run)
        if self.world.everywhere:
            solution.snapshots = list(run.snapshots)
        self.steps = len(run.diagnostics["t"]) - 1

    def _refuse_another_state(self, stepper):
        """Refuse a problem whose outputs or values of terms at the last snapshot are others."""
        run, where = self.run, f"at t={self.run.times[-1]:g} in the stored run"
        for name in self.solution.problem["terms"]:
            column, value = run.diagnostics.get(name), stepper.row.get(name)
            if column is not None and value is not None:
                size = np.abs(column).max()
                identity.refuse_values(f"the term {name}", column[-1], value, size, where)
        if run.outputs is not None and stepper.output is not None:
            size = np.abs(run.outputs).max()
            output = "the model output"
            identity.refuse_values(output, run.outputs[-1], stepper.output, size, where)

    def release(self) -> None:
        """Give the directory back and leave it as it is."""
        if self.writer is not None:
            self.writer.release()

    def row(self, row: dict[str, Any]) -> None:
        """Keep a row of numbers and small arrays."""
        for name, value in row.items():
            kept = np.array(value, dtype=float) if np.ndim(value) else float(value)
            self.rows.setdefault(name, []).append(kept)
        self.steps += 1

    def snapshot(self, stepper: Any) -> None:
        """Keep the current state and the rows since the last one."""
        measure, output = stepper.measure, stepper.output
        output = None if output is None else np.array(output)
        if self.path is not None:
            restart = stepper.restart()
            self.world.on_first(
                lambda: self._write(stepper.time, measure, output, restart),
                sent=getattr(measure, "stream", None),
            )
        self.solution.append(stepper.time, measure, output, self.rows)
        if not self.world.everywhere:
            self.solution.snapshots = []
        self.rows = {}

    def _write(self, time, measure, output, restart):
        here = {**self.identity, "here": identity.variations(self.flow, measure)}
        restart = {**restart, IDENTITY: json.dumps(here)}
        self.writer.write(self.steps, time, measure, output, self.rows, restart)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            if self.writer is not None:
                self.writer.close("failed")
            return False
        if self.solution.status == "running":
            # a run that was complete when it was resumed takes no step
            self.solution.status = "done"
        if self.path is not None:
            entries = self.world.on_first(self._close, everywhere=not self.world.everywhere)
            if not self.world.everywhere:
                self.solution.snapshots = snapshots(self.path, entries)
        return False

    def _close(self):
        self.writer.close(self.solution.status)
        return self.writer.entries
