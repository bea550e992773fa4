"""The one driver: a flow, a start, a method, and what to keep of the run."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wgf import checks, parallel
from wgf.flows import HeavyBall
from wgf.measures.base import Measure
from wgf.parallel import threads as policy
from wgf.parallel.compiled_kernels import compiling
from wgf.parallel.threads import one_library_thread
from wgf.record.directory import is_run
from wgf.record.interrupts import held_back
from wgf.record.observables import Observables
from wgf.record.progress import Profile, reporter, tell_compiling
from wgf.record.recorder import Recorder
from wgf.record.run import folder, open_run
from wgf.record.solution import Solution
from wgf.stepping import Method, defaults, require
from wgf.stepping.stop import State, Stationary, condition
from wgf.stepping.times import LONGEST, NEAR, output_times
from wgf.theory.separation import one_sided

# fraction of the mass at a wall from which the box is said to be too small
WALL_FRACTION = 1e-8
# where the built-in methods for a kind of measure register themselves
METHODS = {"density": "wgf.eulerian", "particles": "wgf.lagrangian"}


def default_method(flow: Any, start: Measure, until: float | str = 0.0) -> Method:
    """Return the method that `solve` takes when none is given."""
    checks.instance("start", start, Measure)
    importlib.import_module(METHODS[start.kind])
    return defaults.default_method(flow, start, until)


def _begun_with(flow, start, until, save):
    """Return the default method of a stored run, which may have begun with another end."""
    try:
        stored = open_run(save).problem.get("method") if is_run(folder(save)) else None
    except checks.InputError:
        # nothing was stored before it ended
        return None
    # the choice changes at most once as the end moves away
    chosen = (default_method(flow, start, end) for end in (until, 0.0, np.inf))
    return next((method for method in chosen if repr(method) == stored), None)


def observables(until: float | str, observe: Any = None, observe_every: Any = None) -> Observables:
    """Return the observables of a run with the times at which they are evaluated."""
    if observe_every is None:
        return Observables(observe)
    given = {"at" if np.ndim(observe_every) else "every": observe_every}
    return Observables(observe, output_times(until, **given, names=("observe_every",) * 2))


def check(
    flow: Any,
    start: Measure,
    until: float | str,
    every: float | None = None,
    at: Any = None,
    method: Method | None = None,
    stop: Any = None,
    tolerance: float = 1e-9,
    gap: float = np.inf,
    observe: Any = None,
    observe_every: Any = None,
) -> Method:
    """Refuse what `solve` would refuse, as far as nothing has to be built for it.

    Returns
    -------
    Method
        The one given, or the default.
    """
    output_times(until, every, at)
    observables(until, observe, observe_every)
    _conditions(flow, start, until, stop, tolerance, gap)
    if method is None:
        method = default_method(flow, start, np.inf if until == LONGEST else until)
    elif isinstance(method, type) or not isinstance(method, Method):
        raise checks.InputTypeError(
            f"method: {method!r} is not a method, give for example wgf.FiniteVolume()"
        )
    require(method, flow, start)
    return method


def _conditions(flow, start, until, stop, tolerance, gap):
    """Return the conditions that end a run before the last of its times."""
    found = []
    if isinstance(until, str):
        if isinstance(flow, HeavyBall):
            raise checks.InputError(
                "until: 'stationary' has no meaning with momentum, which carries through states "
                "without dissipation, give a time"
            )
        if flow.functional.timed:
            raise checks.InputError(
                "until: 'stationary' has no meaning with a strength that depends on time, give a "
                "time"
            )
        found.append(Stationary(tolerance, gap))
    if stop is not None:
        found.insert(0, condition(stop))
    with np.errstate(all="ignore"):
        for each in found:
            each.prepare(flow, start)
    return found


def solve(
    flow: Any,
    start: Measure,
    until: float | str,
    every: float | None = None,
    at: Any = None,
    method: Method | None = None,
    save: Any = None,
    overwrite: bool = False,
    stop: Any = None,
    progress: bool | Callable[[dict[str, float]], Any] | None = None,
    resume: bool = False,
    tolerance: float = 1e-9,
    gap: float = np.inf,
    threads: int | None = None,
    profile: Profile | None = None,
    observe: dict[str, Callable[[Measure, float], Any]] | None = None,
    observe_every: Any = None,
) -> Solution:
    """Solve a flow from a start until a time; the same call for a density and for particles.

    Parameters
    ----------
    flow : GradientFlow, FisherRao or HeavyBall
    start : Density or Particles
        Never changed.
    until : float or "stationary"
        End time; the last step lands on it exactly. ``"stationary"`` ends with the first state
        at rest, see the notes; only the start and the end are kept then.
    every : float, optional
        Time between snapshots; `at` gives their times instead. The start and the end are always
        kept.
    method : optional
        How to solve; by default `FiniteVolume` for a density, `RungeKutta` for particles, and
        `ForwardBackward` for particles with a non-smooth penalty, in place of both `Rosenbrock`
        where explicit steps would cost more, with an entropy `Langevin`; with momentum
        `KineticFiniteVolume` and `Baoab`. The choice depends on the problem alone.
    save : path, optional
        Directory of the stored run, see `wgf.open_run`.
    overwrite : bool
        Whether an existing run at `save` is replaced.
    stop : callable, optional
        Given the row of diagnostics (a dictionary) after each step; the run ends with a snapshot
        once it returns true. `wgf.certified` gives one.
    progress : True or callable, optional
        True draws a bar, or prints lines where there is no terminal; a callable is given each
        row of diagnostics.
    resume : bool
        Continue the stored run at `save` after its last snapshot, with the same flow, start and
        method: the result is, to the bit, that of the run that was never interrupted.
    tolerance, gap : float
        When a state counts as stationary, see the notes. The gap bounds ``F - min F`` over the
        densities of the same mass if F is convex; it is at hand for densities.
    threads : int, optional
        Use at most this many threads, by default as many as the process has processors. Small steps
        use one. The numbers do not depend on it, to the bit.
    observe : dict of callables, optional
        Functions ``f(measure, t)`` by name; the number or small array that each returns is a
        column of `Solution.diagnostics`, in memory and on the disk, and an entry of the rows that
        `stop` and `progress` are given.
    observe_every : float or array of times, optional
        Time between the evaluations of the observables, or their times, on which steps land; the
        rows in between hold NaN. By default they are evaluated at the start and after every step.

    Returns
    -------
    Solution
        Its column ``residual`` is ``F(t) - F(0) + ∫_0^t dissipation``, zero for the exact flow;
        with momentum it is that of the column ``lyapunov`` instead of ``F``. Particles with an
        entropy have no such column: their noise raises ``F``, in which the entropy is missing.

    Warns
    -----
    BoxWarning
        If more than 1e-8 of the mass reached a wall that the start kept away from.
    StationaryWarning
        If the run comes to rest with a larger `gap` than asked; it ends there.
    StartWarning
        If the support of the start lies on one side, see `wgf.separation.one_sided`.

    Raises
    ------
    InputError
        For bad input, before anything is written.
    NumericalError
        For NaN or a step that shrinks to nothing, and for an observable that raises, returns NaN
        or changes its shape; snapshots written before are kept.
    KeyboardInterrupt
        After the step in hand where the run is interrupted; its attribute `solution` is what there
        is until then, the state reached included, and the stored run is ``"stopped"``. A second
        interrupt ends it at once, without that state.

    Notes
    -----
    Rest is judged on the state alone, so that neither units, nor a constant added to F, nor the
    step matter; the solution's `message` says by which criterion, and what it bounds:

    - a density with an entropy of strength eps rests where ``KL(mu | p)`` is at most `tolerance`
      times the mass, ``p ∝ exp(-F0'(mu) / eps)`` of the same mass and F0 the rest of F. The column
      ``kl_gap`` is ``eps KL(mu | p)``, which bounds ``F - min F`` where F0 is convex;
    - a density without an entropy rests where F would fall by at most `tolerance` times its fall
      since the start if all mass went downhill in ``F'(mu)`` as far as that leads; or by its square
      root at most, where F has not fallen beyond its round-off for 50 steps;
    - particles, and measures whose mass grows, rest where the dissipation times the time gone by is
      at most `tolerance` times the fall of F since the start: it is then as small a part of its
      mean.

    If a `gap` is asked for, ``<F'(mu), mu> - mass min F'(mu)``, the column ``gap``, must also be at
    most `gap` times the fall of F since the start.

    Under MPI all ranks call this with the same arguments and share the work; the numbers are
    those of one process, to the bit. Rank 0 alone writes, observes, shows progress and heeds
    `stop`. Every rank returns the whole solution; with `save` its snapshots are read from the disk.
    """
    if progress is not None and progress is not True and not callable(progress):
        raise checks.InputTypeError(f"progress: {progress!r} cannot be called, give a function")
    if resume and (save is None or overwrite):
        raise checks.InputError(
            f"resume: save={save!r} and overwrite={overwrite} do not go with it, give the "
            "directory of the run to continue"
        )
    if resume and method is None:
        method = _begun_with(flow, start, until, save)
    method = check(flow, start, until, every, at, method, stop, tolerance, gap)
    times = output_times(until, every, at)
    observed = observables(until, observe, observe_every)
    conditions = _conditions(flow, start, until, stop, tolerance, gap)
    threads = policy.checked(threads)
    profile = Profile() if profile is None else profile
    world = parallel.world()
    # a condition on the measure needs it on every rank, and what observes it all of it
    looks = bool(observed.names) or any(each.looks for each in conditions)
    world = world.keeping(world.size == 1 or save is None or looks)
    told = tell_compiling if progress is True and world.rank == 0 else None
    with contextlib.ExitStack() as stack:
        stack.enter_context(policy.using(threads))
        stack.enter_context(one_library_thread())
        profile.watch = stack.enter_context(compiling(told))
        # an overflow shows in the objective, which a sentence reports
        stack.enter_context(np.errstate(all="ignore"))
        recorder = Recorder(flow, start, method, world, save, overwrite, resume, observed.names)
        recorder.profile = profile
        measure = recorder.stored() if resume else start
        try:
            with profile("prepare"):
                stepper = _prepared(method, flow, measure, world, until)
            if recorder.run is None:
                observed.begin(stepper, world)
        except BaseException:
            recorder.release()
            raise
        if not resume:
            _warn_of_support(flow, start)
        recorder.begin(stepper)
        if recorder.run is not None:
            observed.resume(recorder.solution.diagnostics)
        # rank 0 alone shows progress
        show = None if world.rank > 0 else reporter(times[-1]) if progress is True else progress
        with recorder, held_back(world.size == 1) as interrupt:
            parts = conditions, world, recorder.steps, profile, observed
            for state in _states(flow, stepper, times, *parts):
                with profile("store"):
                    recorder.row(state.row)
                    if show is not None:
                        show(state.row)
                    if state.snapshot or interrupt.is_set():
                        recorder.snapshot(stepper)
                recorder.solution.status, recorder.solution.message = state.status, state.message
                if interrupt.is_set():
                    raise KeyboardInterrupt
        if world.rank == 0:
            warn_of_walls(recorder.solution)
    return recorder.solution


def iterate(
    flow: Any,
    start: Measure,
    until: float | str | None = None,
    every: float | None = None,
    at: Any = None,
    method: Method | None = None,
    stop: Any = None,
    tolerance: float = 1e-9,
    gap: float = np.inf,
) -> Iterator[State]:
    """Yield the state of a run at the start and after every step, for a loop of your own.

    Parameters
    ----------
    flow, start, every, at, method, stop, tolerance, gap
        As for `solve`.
    until : float or "stationary", optional
        End time; without one the loop goes on until it is left.

    Yields
    ------
    State
        With `time`, `measure` (a copy, made when it is asked for) and `row`; it unpacks into
        these three. `snapshot` says whether an output time was reached.

    Examples
    --------
    >>> import wgf
    >>> flow = wgf.GradientFlow(wgf.Ridge(1.0))
    >>> start = wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-2, 2, 16)), 0.5, 0.4)
    >>> for time, measure, row in wgf.iterate(flow, start):
    ...     if row["objective"] < 0.1:
    ...         break
    >>> bool(measure.mean()[0] < 0.5)
    True
    """
    until = LONGEST if until is None else until
    method = check(flow, start, until, every, at, method, stop, tolerance, gap)
    times = output_times(until, every, at)
    conditions = _conditions(flow, start, until, stop, tolerance, gap)
    world = parallel.world()
    with one_library_thread(), np.errstate(all="ignore"):
        stepper = _prepared(method, flow, start, world, until)
        _warn_of_support(flow, start)
    yield from _states(flow, stepper, times, conditions, world)


def _prepared(method, flow, start, world, until):
    """Return a stepper at the start, where the objective is finite."""
    stepper = method.prepare(flow, start, world)
    if isinstance(until, str):
        stepper.settle()
    if not np.isfinite(stepper.row["objective"]):
        raise checks.InputError(
            f"start: the objective is {stepper.row['objective']} there, check the features"
        )
    return stepper


def _states(flow, stepper, times, conditions, world, steps=-1, profile=None, observed=None):
    """Yield the state at the start of a new run and after every step, until the run ends."""
    profile = Profile() if profile is None else profile
    observed = Observables() if observed is None else observed
    for each in conditions:
        with one_library_thread(), np.errstate(all="ignore"):
            each.begin(stepper)
    if steps < 0:
        steps = 0
        state = State(stepper, flow, steps)
        state.snapshot, state.observed = True, observed.row(stepper, world, True)
        yield state
    marks = observed.marks(times)
    for target in (mark for mark in marks if mark > stepper.time * (1 + NEAR)):
        while stepper.time < target:
            left = target - stepper.time
            if target == LONGEST:
                # steppers measure a step too small by what they were allowed
                left = min(left, max(1e3, 10 * stepper.time))
            with one_library_thread(), profile("step"), np.errstate(all="ignore"):
                stepper.advance(left)
            if abs(stepper.time - target) <= 1e-14 * target:
                stepper.land(float(target))
            steps += 1
            state = State(stepper, flow, steps)
            state.snapshot, due = marks[target] if stepper.time >= target else (False, False)
            if observed.names:
                with profile("observe"):
                    state.observed = observed.row(stepper, world, due)
            for each in conditions:
                with one_library_thread(), np.errstate(all="ignore"):
                    held = each.holds(state)
                if world.broadcast(held) and state.status == "running":
                    state.snapshot, state.status, state.message = True, each.status, each.message
            if state.status != "running":
                yield state
                return
            if stepper.time >= times[-1]:
                # rest alone ends a run without an end time
                state.status = "stopped" if target == LONGEST else "done"
            yield state


def _warn_of_support(flow, start):
    trouble = one_sided(flow, start)
    if trouble:
        warnings.warn(
            f"start: {trouble}, the flow may end in a local minimum, spread the start round 0",
            checks.StartWarning,
            stacklevel=3,
        )


def warn_of_walls(solution: Solution) -> None:
    """Warn of walls that the start kept away from and the flow reached.

    Walls that the start already touches are taken for walls of the problem.
    """
    columns = solution.diagnostics
    for name in solution.problem["axes"]:
        wall = columns.get(f"wall_{name}")
        if wall is None:
            continue
        share = wall / columns["mass"]
        if share[0] <= WALL_FRACTION < share.max():
            held = columns[f"blocked_{name}"].max()
            told = f", which held back up to {held:.2g} a unit of time" if held > 0 else ""
            warnings.warn(
                f"box: {share.max():.2g} of the mass reached the walls of {name}{told}, enlarge "
                "the axis",
                checks.BoxWarning,
                stacklevel=3,
            )
