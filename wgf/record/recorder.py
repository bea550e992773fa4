"""What `wgf.solve` keeps of a run, in memory and on the disk."""

import functools

import numpy as np

from wgf import checks
from wgf.record import provenance
from wgf.record.solution import Solution
from wgf.record.store import Writer, open_run


class _Stored:
    """The snapshots of a run that rank 0 wrote, read when they are asked for."""

    def __init__(self, path):
        self.path = path

    @functools.cached_property
    def _snapshots(self):
        return open_run(self.path).snapshots

    def __len__(self):
        return len(self._snapshots)

    def __getitem__(self, index):
        return self._snapshots[index]


class Recorder:
    """Collects rows and snapshots in memory and, if asked, on disk: rank 0 writes."""

    def __init__(self, flow, start, method, world, save=None, overwrite=False, resume=False):
        names = flow.axis_names(start)
        self.problem = {
            "flow": repr(flow),
            "method": repr(method),
            "start": repr(start),
            "axes": list(names),
            "terms": list(flow.functional.part_names),
        }
        risks = flow.functional.risks
        self.target = risks[0].loss.target if risks else None
        self.abscissa = risks[0].features.abscissa if risks else None
        self.solution = Solution(self.problem, self.target, self.abscissa)
        self.solution.functional = flow.functional
        self.start, self.world = start, world
        self.path, self.overwrite, self.resume = save, overwrite, resume
        self.rows = {}
        self.steps = -1
        self.writer = self.run = None

    def _write(self, notes=None):
        self.writer = self.world.on_first(
            lambda: Writer(
                self.path,
                problem=self.problem,
                target=self.target,
                abscissa=self.abscissa,
                overwrite=self.overwrite,
                resume=self.resume,
                notes=notes,
            )
        )

    def stored(self):
        """Return the measure from which a stored run goes on.

        A run that was killed before its first snapshot goes on from the start.

        Raises
        ------
        InputError
            For a stored run of another problem.
        """
        self._write()
        if not self.world.on_first(lambda: self.writer.entries, everywhere=True):
            return self.start
        try:
            self.run = open_run(self.path)
            for key, value in self.problem.items():
                if self.run.problem.get(key) != value:
                    raise checks.InputError(
                        f"resume: the {key} of the stored run was {self.run.problem.get(key)}, "
                        f"now it is {value}, give the same problem or another directory"
                    )
            return self.run.final
        except BaseException:
            self.release()
            raise

    def begin(self, stepper):
        """Begin to record, or let the stepper go on where the stored run ended."""
        notes = provenance.kept_features(stepper)
        if not self.resume:
            if self.path is not None:
                self._write(notes)
            return
        self.world.on_first(lambda: self.writer.note(notes))
        if self.run is None:
            return
        run, solution = self.run, self.solution
        try:
            stepper.restore(run.restart())
        except KeyError as error:
            self.release()
            raise checks.InputError(
                f"resume: the last snapshot of {run.path} does not hold {error}, which this "
                "method needs to go on, run again"
            ) from None
        except BaseException:
            self.release()
            raise
        solution.times, solution.outputs = run.times, run.outputs
        solution.diagnostics = run.diagnostics
        if self.world.everywhere:
            solution.snapshots = list(run.snapshots)
        self.steps = len(run.diagnostics["t"]) - 1

    def release(self):
        """Give the directory back and leave it as it is."""
        if self.writer is not None:
            self.writer.release()

    def row(self, row):
        """Keep a row."""
        for name, value in row.items():
            self.rows.setdefault(name, []).append(float(value))
        self.steps += 1

    def snapshot(self, stepper):
        """Keep the current state and the rows since the last one."""
        measure, output = stepper.measure, stepper.output
        output = None if output is None else np.array(output)
        if self.path is not None:
            restart = stepper.restart()
            self.world.on_first(
                lambda: self.writer.write(
                    self.steps, stepper.time, measure, output, self.rows, restart
                ),
                sent=getattr(measure, "stream", None),
            )
        self.solution.append(stepper.time, measure, output, self.rows)
        if not self.world.everywhere:
            self.solution.snapshots = []
        self.rows = {}

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and self.writer is not None:
            self.writer.close("failed")
        elif kind is None:
            if self.path is not None:
                self.world.on_first(lambda: self.writer.close(self.solution.status))
            if not self.world.everywhere:
                self.solution.snapshots = _Stored(self.path)
        return False
